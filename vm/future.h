/*
 * future.h - futures and who waits for them.
 */
#ifndef NP_FUTURE_H
#define NP_FUTURE_H

#include "vm.h"

enum { NP_PENDING, NP_DONE, NP_FAILED, NP_CANCELLED };

enum {
  NP_F_TASK = 1,      /* made for a task: a Lua Task */
  NP_F_RETRIEVED = 2, /* somebody looked at the error */
  NP_F_SINGLE = 4,    /* the value is itself, not in a list with n */
  NP_F_GROUP = 8,     /* it is of group.c */
  NP_F_GATHER = 16,   /* of gather.c */
  NP_F_LINE = 32,     /* of queue.c and loading.c: its tasks are let go */
  NP_F_LIMIT = 64     /* its task was stopped: see limits.c */
};

/*
 * The userdata of Future and Task. Its first user value is the value (or
 * values, or error) once done, its second a table for what few of them have:
 * name, traceback, callbacks.
 */
struct np_Future {
  uint8_t state, flags;
  np_Link list;    /* head of the ring of links that wait for it */
  neap_Vm *vm;
  neap_Task *task; /* the running task, NULL otherwise */
  /* gives up the work behind it; NULL for a plain future */
  int (*cancel)(np_Future *f);
  uint64_t id; /* of its task: the number in its name */
  int line;    /* where it was made */
  uint32_t source;
  uint16_t cancelling; /* of a task that has ended */
};

/* == future.c =========================================================== */

/* Pushes a new future, `what` being NP_R_FUTURE or NP_R_TASK; the second is
 * the beginning of a struct of that size. */
np_Future *np_future_new(lua_State *L, int what);
np_Future *np_future_sized(lua_State *L, int what, size_t size);

/* The one at `index`; if it is none, the first gives NULL and the second
 * raises. */
np_Future *np_future_test(lua_State *L, int index);
np_Future *np_future_check(lua_State *L, int index);

/* Gives the future at `index` the n values on top, or the error on top, and
 * pops them; np_future_finish then ends it. If `watch`, the error will be
 * reported unless somebody looks at it. */
void np_future_resolve(lua_State *L, int index, int n);
void np_future_reject(lua_State *L, int index, int watch);

/* Asks it to end, with what is behind it; 0 if it cannot be. */
int np_future_cancel(np_Future *f);
/* The same for the future at `index`, with the message on top, which is popped
 * and may be nil. */
int np_future_cancel_as(lua_State *L, int index);

/* Moves all who wait for it into the ready ring. */
void np_future_finish(neap_Vm *vm, np_Future *f, int state);

/* Pushes its values and returns how many, or raises its error. */
int np_future_values(lua_State *L, int index);

/* async function body: waits for the future at 1. */
int np_future_await(lua_State *L);

/* Puts `link` at the end of the future's list, or takes it out. */
void np_link(np_Future *f, np_Link *link);
void np_unlink(np_Link *link);

/* Pushes a field of the table of rare things (nil if there is none). */
void np_extra_get(lua_State *L, int index, const char *field);
/* Pops a value and sets it; the second does nothing for nil. */
void np_extra_set(lua_State *L, int index, const char *field);
void np_extra_set_nonnil(lua_State *L, int index, const char *field);

/* Pushes the value (or list of values) or the error of a done future. */
void np_future_outcome(lua_State *L, int index);

/* Pushes the name of the task or future at `index`. */
void np_future_name_push(lua_State *L, int index);

/* == lost.c: errors that nobody looks at ================================ */

/* Arranges that the failed future at `index` is reported if it is lost. */
void np_future_watch(lua_State *L, np_Future *f, int index);

/* Somebody has looked at the error of the future at `index`. */
void np_future_retrieved(lua_State *L, np_Future *f, int index);

/* Reports all failed futures that nobody has looked at, still referenced or
 * not. */
void np_report_all_lost(lua_State *L);

/* == callback.c, gather.c, group.c ====================================== */

/* The methods of these names. */
int np_add_done_callback(lua_State *L);
int np_remove_done_callback(lua_State *L);

/* How many have not ended. */
uint32_t np_gather_pending(np_Future *f);
uint32_t np_group_count(np_Future *f);

/* Calls visit(arg, t) for each of its tasks that has not ended. */
void np_gather_tasks(np_Future *f, void (*visit)(void *, neap_Task *),
                     void *arg);
void np_group_tasks(np_Future *f, void (*visit)(void *, neap_Task *),
                    void *arg);

#endif
