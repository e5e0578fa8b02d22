/*
 * inbox.h - how other threads reach a machine: one list, one wake-up.
 *
 * What a thread has for a machine is a post. It is appended to the inbox of
 * the machine under a mutex; the first one in an empty inbox wakes the loop,
 * the others ride along. The machine's thread takes the whole list at the
 * beginning of its turns and runs each post there, in order.
 *
 * An inbox outlives its machine as long as somebody holds it: tokens, calls
 * and event queues, whose threads may come late. Its mutex guards what these
 * share with the machine, too.
 */
#ifndef NP_INBOX_H
#define NP_INBOX_H

#include <lua.h>
#include <pthread.h>
#include <uv.h>

#include "neap.h"

typedef struct np_Post np_Post;
struct np_Post {
  np_Post *next;
  /* On the machine's thread, in a turn; or in neap_vm_free when all of Lua
   * is gone, which `closed` says. */
  void (*run)(neap_Vm *vm, np_Post *post, int closed);
};

typedef struct np_Inbox {
  uv_mutex_t mutex;
  uv_cond_t changed; /* for tokens whose `cancelled` is being called */
  neap_Vm *vm;       /* NULL once it is closed */
  int refusing;      /* no more submissions */
  int holders;
  uintptr_t inside;  /* the thread that runs the machine just now, or 0 */
  np_Post *first, *last;
} np_Inbox;

/* An inbox that wakes `vm`, held once; NULL when memory is out. */
np_Inbox *np_inbox_new(neap_Vm *vm);

/* Refuses posts from now on, runs those that are left, and lets go of the
 * machine's inbox. */
void np_inbox_close(neap_Vm *vm);

/* One holder more; one less: the last one frees it. From any thread. */
np_Inbox *np_inbox_hold(np_Inbox *in);
void np_inbox_drop(np_Inbox *in);

void np_inbox_lock(np_Inbox *in);
void np_inbox_unlock(np_Inbox *in);

/* Appends; 0, or NEAP_ECLOSED. With the inbox locked. */
int np_inbox_put(np_Inbox *in, np_Post *post);

/* Runs posts for a slice of time; the rest comes in the next pass. On the
 * machine's thread. */
void np_inbox_run(neap_Vm *vm);

/* == Values =========================================================== */

/* Copies of values and their strings, in one block of malloc's. */
typedef struct np_Values {
  int n;
  neap_Value value[];
} np_Values;

/* NULL when memory is out, or a value is of no known type. */
np_Values *np_values_copy(const neap_Value *values, int n);

/* Pushes them and returns how many; raises when memory is out. */
int np_values_push(lua_State *L, const np_Values *values);

/* Fills *value with a view of what is at `index`; 0 if that cannot leave the
 * machine. */
int np_value_view(lua_State *L, int index, neap_Value *value);

/* == Objects on the stack of an async function ======================== */

/*
 * A box: the Lua object of something in C, which waits for its end. Pushes
 * one whose finalizer is `gc`, known by that, and returns its place, NULL
 * inside.
 */
void **np_box_new(lua_State *L, lua_CFunction gc);

/* Pushes a copy of the box, which must be on the stack; raises otherwise. */
void np_box_find(lua_State *L, void **box, const char *what);

#endif
