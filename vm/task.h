/*
 * task.h - tasks, from their making to their end.
 */
#ifndef NP_TASK_H
#define NP_TASK_H

#include "vm.h"

typedef struct np_Sink np_Sink;

enum {
  NP_T_MUST_CANCEL = 1,  /* raise at the next resume */
  NP_T_CANCEL_SENT = 2,  /* handed on to what it waits for */
  NP_T_STARTED = 4,
  NP_T_MAIN = 8,         /* the host spawned it: a main chunk */
  NP_T_CONTEXT = 16,     /* has a table of context variables */
  NP_T_INHERIT = 32,     /* an error of another task was raised in it */
  NP_T_ENDED = 64,
  NP_T_INTERRUPTED = 128,
  NP_T_EXITING = 256,    /* it called os.exit(code, true) */
  NP_T_FINISHING = 512,  /* the machine ends: cancelled for that */
  NP_T_PASSING = 1024,   /* it is handing a cancel on just now */
  NP_T_BROKEN = 2048,    /* cancelled because memory ran out */
  NP_T_LATE = 4096,      /* it has lived for too long: see limits.c */
  NP_T_GIVEN_UP = 8192   /* with NP_T_MUST_CANCEL: it has left its await for
                            that, so it cannot be taken back */
};

/* What lies at the bottom of a task's stack; then its function, arguments. */
enum { NP_TASK_HANDLER = 1, NP_TASK_TABLE, NP_TASK_BODY };

/* In three lines of the cache: what each step needs, what a start and an end
 * need too, and the rest. */
struct neap_Task {
  np_Link link; /* first: its place in the ring or in a future's list */
  neap_Vm *vm;
  lua_State *L;
  neap_Wait *wait; /* the native wait it is parked on */
  uint32_t turn;
  int status;
  uint16_t flags;
  uint16_t cancelling;
  uint8_t state; /* of a future, once ended */

  np_Sink *sink;
  neap_Task *prev, *next; /* all tasks of the machine, oldest first */
  neap_Task *sink_prev, *sink_next; /* those of its sink */
  np_Future *future; /* its object if somebody has it */
  uint32_t number;   /* for its sink: which child it is */
  uint32_t slot;     /* its place in the tables of the store */
  uint32_t thread;   /* number of its thread, once started */
  uint32_t born;     /* ms of the clock */

  neap_Timer timer;    /* of its sleep */
  np_Future *awaiting; /* the future it is parked on */
  uint64_t id;
  uint32_t parent;  /* id of the task that spawned it, 0 if none */
  uint32_t message; /* 1 + slot of the task that has the cancel's message */
  int line;         /* where it was spawned */
  uint32_t source;
  uint64_t instructions, ran; /* of all its steps, if they are counted */
};

/*
 * Who takes the values of many tasks without going through futures. `store`
 * runs on the task's stack, where the values are first..first+n-1 (status
 * NP_DONE) or the error at `first`. `ended` is called as soon as the task has
 * ended, without Lua, and tells whether `done` is wanted in the next turn. The
 * list has the tasks that have not ended, by their number. A table that `store`
 * needs each time may lie on every task's stack (NP_TASK_TABLE).
 */
struct np_Sink {
  void (*store)(lua_State *L, np_Sink *s, neap_Task *t, int first, int n,
                int status);
  int (*ended)(np_Sink *s, neap_Task *t);
  void (*done)(neap_Vm *vm, np_Sink *s, neap_Task *t);
  neap_Task *first, *last;
  int table; /* its reference, or 0 */
};

/*
 * Coroutine objects that become tasks of one sink. They start in the order in
 * which they are in its table, one right after the other in the next turn, and
 * until then are no tasks yet: one that does not wait leaves its struct, slot
 * and thread to the next (batch.c).
 */
typedef struct np_Batch {
  np_Node node; /* first: in the ready ring until they start */
  struct np_Batch *prev, *next; /* all that have not started, oldest first */
  np_Sink *sink;
  /* child number `at` cannot run: memory is out */
  void (*lost)(np_Sink *sink, uint32_t at);
  uint32_t at, n;    /* number of the last that became a task; of the last */
  neap_Task *waiting; /* tasks that somebody wanted to see before */
  neap_Task *before;  /* where the next belongs in the list of all tasks */
  uint64_t id;       /* of the next */
  uint32_t parent, born, source;
  int line;
  uint16_t flags;    /* of those that become tasks from now on */
} np_Batch;

/* == pool.c: slots and threads ========================================== */

/* A free slot; 0, or UV_ENOMEM. The next call gives what was last released. */
int np_slot_take(neap_Vm *vm, uint32_t *slot);
void np_slot_release(neap_Vm *vm, uint32_t slot);

/* The number of a thread for a task that starts; 0, or UV_ENOMEM. */
int np_thread_take(neap_Vm *vm, uint32_t *number);
void np_thread_release(neap_Vm *vm, uint32_t number);

/* Gives threads that were idle for a while to Lua. */
void np_pool_trim(neap_Vm *vm);

/* == task.c: the life of a task ========================================= */

/*
 * Starts a task from the function and its `nargs` arguments on top of L,
 * pops them. `line` and `source` are where it was spawned. NULL never:
 * raises when memory is out.
 */
neap_Task *np_task_new(lua_State *L, int nargs, int line, uint32_t source);

/* The same from the awaitable at `index`: a coroutine object, or anything
 * with __await. */
neap_Task *np_task_from(lua_State *L, int index, int line, uint32_t source);

/* The same from the claimed coroutine object on top, which is popped. */
neap_Task *np_task_of(lua_State *L, int line, uint32_t source);

/* Pushes the Task object of `t`, making it if need be. */
void np_task_push(lua_State *L, neap_Task *t);

/* Pushes the name of `t`. */
void np_task_name_push(lua_State *L, neap_Task *t);

/* The task in `slot` if it still is the one with `id`, or NULL. */
neap_Task *np_task_find(neap_Vm *vm, uint32_t slot, uint64_t id);

/*
 * Makes a task of the function and `nargs` arguments on top of L, pops them,
 * and runs it at once, outside of the loop, until it waits or ends. Raises
 * when memory is out.
 */
void np_task_now(lua_State *L, int nargs, np_Sink *sink);
/* A struct with a slot, in no list; NULL when memory is out. */
neap_Task *np_task_blank(neap_Vm *vm);
/* Keeps the claimed coroutine object on top, which is popped, for it. */
void np_task_prepare(lua_State *L, neap_Task *t);
/* The `run` of the node of a task that has not started. */
void np_task_start(neap_Vm *vm, np_Node *node);
/* Gives it a thread with the function at its bottom; 0, or UV_ENOMEM. */
int np_task_begin(neap_Vm *vm, neap_Task *t);
/* Replaces the object on top of the thread by what it will run; how many
 * values are on the thread then, or UV_ENOMEM. */
int np_task_load(neap_Task *t);
/* Runs it with `n` values on its thread until it waits or ends. */
void np_task_run(neap_Vm *vm, neap_Task *t, int n);
/* Ends it: memory is out. */
void np_task_fail(neap_Vm *vm, neap_Task *t);
/* One that has ended well becomes another: what is left is its struct, slot
 * and thread. */
void np_task_renew(neap_Vm *vm, neap_Task *t);
/* Counts the end of a step: see watch.c. */
void np_step_begun(neap_Vm *vm);
void np_step_ended(neap_Vm *vm);
int np_task_main(lua_State *L);

/* == context.c, sleep.c ================================================= */

/* Pushes the table of context variables in force, or nil. */
void np_context_push(lua_State *L);

/* Outside of tasks there are no context variables from now on. */
void np_no_context(lua_State *L);

/* Those of who spawns `t`, a task or a callback, are its own, too. */
void np_context_inherit(lua_State *L, neap_Task *t);

/* The timer of a task that sleeps has fired. */
void np_sleep_over(neap_Vm *vm, neap_Timer *timer);

/* == batch.c: many that start together ================================== */

/* Puts `t` at the end of the sink's list, or takes it out. */
void np_sink_join(np_Sink *s, neap_Task *t);
void np_sink_leave(np_Sink *s, neap_Task *t);

/*
 * Starts `b`, of which sink, lost, line, source and n are set: in the next
 * turn its objects run as tasks of the sink. 0, or UV_ENOMEM.
 */
int np_batch_start(neap_Vm *vm, np_Batch *b);

/* At the end of a task on L: 1 if the next of its batch is on the stack. */
int np_batch_next(lua_State *L);

/* Makes tasks of all that have not started, for somebody to look at. */
void np_batch_show(lua_State *L);

/* Cancels all that have not started, with `flags`; 0 if all have. */
int np_batch_cancel(np_Batch *b, int flags);
void np_batch_cancel_all(neap_Vm *vm, int flags);

/* == wait.c: parking ==================================================== */

/* Parks the running task: yields all the way to the loop. Before it, see
 * np_park_check. */
int np_park(lua_State *L, lua_KContext ctx, lua_KFunction k);

/* 1 if a task runs on L and everything between can yield. */
int np_can_park(lua_State *L);

/* Raises unless that is so; gives the task. */
neap_Task *np_park_check(lua_State *L);

/* After a resume: raises the task's cancellation if one is due. */
void np_resumed(lua_State *L, neap_Task *t);

/* == cancel.c: cancellation and interrupts ============================== */

/* Requests a cancellation; 0 if the task has ended. */
int np_task_cancel(neap_Task *t);

/* Cancels every task: what some rely on was lost as memory ran out. */
void np_task_break_all(neap_Vm *vm);

/* Hands a cancel on to the future t waits for; 0 if that cannot take it. */
int np_task_pass_cancel(neap_Task *t);

/* Tells whether a cancel has ended what t waits for: it is the error of that
 * one which will be raised, and no later one's. */
int np_task_cancel_is_due(const neap_Task *t);

/* It goes on in the next turn, and raises its cancellation then. */
void np_task_give_up(neap_Task *t);

/* Takes a request back, and what it asked for if the task has not left its
 * await for that. */
int np_task_uncancel(neap_Task *t);

/* Cancels the main task because of neap_interrupt. */
void np_interrupt_handle(neap_Vm *vm);

/* The same, or what neap_stop wants, in the middle of what runs on L. */
void np_interrupt_now(lua_State *L);

/* Tells whether nothing but the main task runs, which has never waited: a
 * plain Lua program. It is interrupted at once, as in Lua. */
int np_interrupt_is_plain(neap_Vm *vm);

/* Cancels every task once. */
void np_cancel_all(neap_Vm *vm);

/* Pushes a new CancelledError that is `t`'s own. */
void np_cancel_push(lua_State *L, neap_Task *t);

/* 1 if the value at `index` is the running task's own cancellation. */
int np_is_own(lua_State *L, int index);

/* == inherit.c: errors from task to task ================================ */

/* Pushes {error, traceback, spawned} of the running task, or nil. */
int np_inherit_push(lua_State *L, neap_Task *t);
/* Says that an error was handed to the running task by another: the error,
 * its traceback and its spawn lines are on top; pops the last two. */
void np_inherit_set(lua_State *L);
/* The message handler of a task's body. */
int np_task_handler(lua_State *L);
/* Pushes the traceback and the spawn lines that `t` has for the error at
 * `index`, or two nils. */
void np_take_traces(lua_State *L, neap_Task *t, int index);

#endif
