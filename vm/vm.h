/*
 * vm.h - what the files of vm/ share: the machine, its tasks and futures.
 *
 * The life of one await, in one place: a C function that must wait calls
 * np_park, which yields the Lua thread up to np_task_run; a callback of
 * libuv, another task or a timer pushes the task's node into the ready ring;
 * the next turn of the loop resumes the thread, whose continuation either
 * raises the task's cancellation or goes on.
 *
 * Memory: what a machine allocates in C comes from its own allocator by
 * np_alloc; a pending task is anchored by its slot (thread and future in the
 * tables of the store), a finished one only by whoever holds its future.
 */
#ifndef NP_VM_H
#define NP_VM_H

#include <stdio.h>

#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <uv.h>

#include "buf.h"
#include "heap.h"
#include "inbox.h"
#include "neap.h"
#include "ring.h"
#include "slab.h"

/* == Nodes: whatever can be run in a turn ============================= */

typedef struct np_Node np_Node;

/* Something in the ready ring; `run` is called once for each push. */
struct np_Node {
  void (*run)(neap_Vm *vm, np_Node *node);
};

typedef struct np_Link np_Link;

/* A node that can wait in a future's list until the future is done. */
struct np_Link {
  np_Node node; /* first */
  np_Link *prev, *next;
};

/* == Futures ========================================================== */

typedef struct neap_Task neap_Task;
typedef struct np_Future np_Future;

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

/* == Tasks ============================================================ */

/*
 * Who takes the values of many tasks without going through futures. `store`
 * runs on the task's stack, where the values are first..first+n-1 (status
 * NP_DONE) or the error at `first`. `ended` is called as soon as the task has
 * ended, without Lua, and tells whether `done` is wanted in the next turn. The
 * list has the tasks that have not ended, by their number. A table that `store`
 * needs each time may lie on every task's stack (NP_TASK_TABLE).
 */
typedef struct np_Sink np_Sink;
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

/* == Coroutine objects ================================================ */

enum { NP_CO_NEW, NP_CO_USED, NP_CO_EXCUSED /* new, but see np_co_excuse */ };

/* User values: the body, then the arguments. */
typedef struct np_Co {
  uint32_t record; /* its number, see object.c */
  uint32_t source; /* where it was made */
  int line;
  uint16_t nargs;
  uint8_t state;
} np_Co;

typedef struct np_Made np_Made; /* of one that was not claimed */

/* == The machine ====================================================== */

/* A coroutine.resume in progress; the chain tells whether all can yield. */
typedef struct np_Resume {
  lua_State *from;
  struct np_Resume *prev;
} np_Resume;

/* Indices in the stack of the store, a thread that never runs. */
enum {
  NP_S_THREADS = 1, /* number -> thread */
  NP_S_STARTS,      /* slot -> coroutine object that will run */
  NP_S_FUTURES,     /* slot -> future of a running task */
  NP_S_CONTEXTS,    /* slot -> context table */
  NP_S_INHERIT,     /* slot -> {error, traceback, spawned} */
  NP_S_SCHEDULED,   /* callback -> true: not to be collected */
  NP_S_MADE,        /* record -> coroutine object, weak: see object.c */
  NP_S_PROBE,       /* 1 -> a table until it is collected, weak */
  NP_S_LAST = NP_S_PROBE
};

/* Objects that C must find fast, as fields of the registry. */
enum {
  /* Zero is none, so that what is made at its first use can be told. */
  NP_R_CO,        /* metatable of coroutine objects */
  NP_R_FUTURE, NP_R_TASK, NP_R_CALLBACK, NP_R_SENTINEL, NP_R_TIMEOUT,
  NP_R_TIMEOUT_LEFT, NP_R_QUEUE, NP_R_LOADING,
  NP_R_CALLS,     /* callee -> what to call for an await */
  NP_R_AWAIT, NP_R_METHOD, NP_R_ASYNC, NP_R_NIL, NP_R_RETURN,
  NP_R_NAMES,     /* body -> name of the async function */
  NP_R_LIBRARY,   /* function -> its name in package.loaded, or false */
  NP_R_ERRORS,    /* name -> error class; class -> true */
  NP_R_OWN,       /* CancelledError -> the task that it is for */
  NP_R_SOURCES,   /* number <-> string: see site.c */
  NP_R_HANDLES,   /* handle -> object, weak */
  NP_R_ASYNCIO,   /* the table */
  NP_R_NOMEM,     /* message of a task that ran out of memory */
  NP_R_HANDLER,   /* exception handler of the loop */
  NP_R_CONTEXT,   /* context table of what runs outside tasks */
  NP_R_WRAP, NP_R_THROUGH, NP_R_GUARD, NP_R_LATE, /* the rest of the prelude */
  NP_R_LOST,      /* failed futures that nobody has looked at, weak */
  NP_R_QUOTES,    /* where lines of the script are to be read: quote.c */
  NP_R_PRELOAD,   /* name -> neap_Module of the host */
  NP_R_LAST,      /* the error last given to the host, and its traceback */
  NP_R_COUNT
};

/* What others may want of a machine, as bits. */
enum {
  NP_WANT_INTERRUPT = 1, NP_WANT_STOP = 2, NP_WANT_DUMP = 4,
  NP_WANT_BLOCKED = 8 /* the watchdog's: tell where it is */
};

/* See poke.c. */
typedef struct np_Poke {
  pthread_t thread; /* which is inside */
  int inside;
  int senders, flying; /* who looks at it; a signal has not come yet */
} np_Poke;

/* A file of C's whose text goes to the host. */
typedef struct np_Output {
  neap_Vm *vm;
  FILE *file;
  int fd;
} np_Output;


struct neap_Vm {
  lua_State *L;     /* the main state, for the host */
  lua_State *store; /* see NP_S_* */
  lua_State *calls; /* runs callbacks outside any task */
  uv_loop_t *loop;
  np_Ring ready;
  np_Heap timers;
  uint64_t parks;
  neap_Task *current;   /* the task that runs now */
  lua_State *running;   /* the Lua thread that runs now */
  np_Resume *resumes;   /* coroutine.resume's in progress, innermost first */
  int parking;          /* an await yields, not coroutine.yield */
  int cancels;          /* some cancellation was raised in this machine */
  int ref[NP_R_COUNT];
  const void *co_meta; /* metatables, to compare with */
  const void *future_meta, *task_meta, *timeout_meta, *timeout_left;
  const void *queue_meta;

  neap_Task *tasks, *tasks_last;
  neap_Task *main, *main_before; /* see neap_set_main */
  np_Batch *batches, *batches_last;
  np_Batch *batch; /* the one that starts now */
  uint64_t ids;
  size_t ntasks, nscheduled; /* what is or may come into the ring */
  size_t nlive;              /* tasks that have not ended */
  neap_Task **slots;
  uint32_t *free_slots; /* a stack; both arrays have slots_size places */
  uint32_t nslots, nfree, slots_size;
  lua_State **threads; /* by number; NULL if it was given to Lua */
  uint32_t *pool;      /* numbers of idle threads, a stack */
  uint32_t nthreads, npool, threads_size, pool_low;
  uint64_t pool_time;

  char last_source[LUA_IDSIZE]; /* cache of np_source */
  uint32_t last_number;
  uint32_t nsources;

  np_Made *made; /* records of coroutine objects: object.c */
  uint32_t made_size, nmade, made_free, made_lost;
  int made_many; /* there are far more than are needed */

  neap_Handle *handles;
  size_t nhandles; /* libuv's that are not closed yet */
  size_t nopen;    /* handles that nobody closed */
  int closing;     /* 1: the machine is being freed; 2: of it only the struct
                    * is left, for finalizers that come later */
  int failed, debug;
  np_Poke poke;
  np_Inbox *inbox;  /* what other threads have for it */
  np_Post *posts;   /* taken out of it, to be run */
  struct np_Workers *workers;
  int workers_most; /* 0: nothing was said */
  int wants;    /* NP_WANT_*, set by others: see poke.c */
  int patience; /* a hook lets the script go on for a while */
  int stopping; /* every task is to end: see neap_stop */
  int exiting, exit_code;
  int cancel_depth;  /* of a cancellation on its way, see np_task_cancel */
  uint32_t cancel_message; /* 1 + slot of who has its message; 0: nobody */
  lua_State *closed; /* a coroutine whose variables are being closed */
  int postponed;     /* reference of the list of what has to be awaited */
  struct np_Watch *watch;
  /* shared with its thread: nanoseconds, and numbers of steps */
  uint64_t slow, steps, blocked_step, blocked;

  uv_check_t check;
  uv_idle_t idle;
  uv_timer_t timer;
  uv_async_t async;
  uint64_t armed; /* deadline that `timer` is set to, 0 if none */
  int idling, turning, posted, uv_open;
  int passing;    /* in the middle of a pass of the loop */
  int refusing;   /* its host is being told of a misuse */
  int holds; /* who keeps the loop running though libuv knows of nothing */
  np_Node due;       /* fires the timers that are due */
  uint64_t due_time; /* those due then; 0 while it is not in the ring */
  uint32_t due_seq;  /* and put into the heap before this number */
  int soon;          /* look at the timers before the next turn */
  uint64_t clock;    /* see np_now; 0 if it is the real one */

  np_Slab *slab;
  lua_Alloc alloc;
  void *alloc_data;
  void (*report)(neap_Vm *vm, const neap_Report *report);
  void *data;
  uv_loop_t own_loop;
  int owns_loop;
  neap_Error error; /* what neap_error has given */
  int ignore_env;
  struct np_Limits *limits; /* NULL: none; see limits.h */
  struct np_Sandbox *sandbox; /* NULL: none; see permit.h */
  const char *const *modules; /* the host's, see neap_Options */
  int (*resolve)(lua_State *L, const char *name);
  void (*write)(neap_Vm *vm, int fd, const char *text, size_t length);
  void (*exit)(neap_Vm *vm, int code);
  void (*terminal)(neap_Vm *vm, int on);
  int attached;          /* to a state that it did not make, see attach.c */
  lua_CFunction os_exit; /* which had this os.exit */
  np_Output outputs[2]; /* io.stdout and io.stderr, if `write` takes them */
  int warn, warn_more; /* Lua's warnings: on, in the middle of one */
  np_Buf warning;      /* what there is of that one */
};

/*
 * What runs tasks may have been called by Lua code that no task runs, in a
 * coroutine even: what is known of that is put aside meanwhile.
 */
typedef struct np_Outside {
  lua_State *running;
  np_Resume *resumes;
} np_Outside;

static inline np_Outside np_outside(neap_Vm *vm) {
  np_Outside o = {vm->running, vm->resumes};
  vm->running = NULL;
  vm->resumes = NULL;
  return o;
}
static inline void np_inside(neap_Vm *vm, np_Outside o) {
  vm->running = o.running;
  vm->resumes = o.resumes;
}

/* finalizer.c: calls f with the value on top, which is popped: for finalizers
 * that may come to code of a script's, which could run for ever there. */
void np_finalize(lua_State *L, lua_CFunction f);

/* Raises while the state is being closed: Lua calls no finalizer for what is
 * made then, so nothing may be that needs one. */
void np_closing_check(lua_State *L);

/* 1 inside of a task, a callback or a run of the loop, where nothing may
 * drive that. */
static inline int np_is_busy(const neap_Vm *vm) {
  return vm->current != NULL || vm->turning || vm->passing;
}

/* The machine of a state: kept in the extra space of every thread, with the
 * low bits telling what the thread is. */
enum { NP_X_PLAIN, NP_X_TASK, NP_X_PARKED, NP_X_STOPPED };

static inline uintptr_t *np_extra(lua_State *L) {
  return (uintptr_t *)lua_getextraspace(L);
}
static inline neap_Vm *np_vm(lua_State *L) {
  return (neap_Vm *)(*np_extra(L) & ~(uintptr_t)3);
}
static inline int np_thread_kind(lua_State *L) {
  return (int)(*np_extra(L) & 3);
}
static inline void np_thread_mark(lua_State *L, int kind) {
  *np_extra(L) = (*np_extra(L) & ~(uintptr_t)3) | (uintptr_t)kind;
}

/* Pushes the object kept under `what` (NP_R_*). */
static inline void np_push(lua_State *L, neap_Vm *vm, int what) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, vm->ref[what]);
}
/* Makes what is kept under `what`, and what goes with it. */
void np_make(lua_State *L, int what);
/* np_push for what is made when it is first used. */
static inline void np_push_made(lua_State *L, neap_Vm *vm, int what) {
  if (vm->ref[what] == 0) np_make(L, what);
  np_push(L, vm, what);
}
/* Pushes one of the store's tables (NP_S_*) on L. */
static inline void np_store(lua_State *L, neap_Vm *vm, int what) {
  lua_pushvalue(vm->store, what);
  lua_xmove(vm->store, L, 1);
}
/* Pops the value on top and keeps it under `what`. */
void np_keep(lua_State *L, neap_Vm *vm, int what);

/* == vm.c, attach.c: making one ======================================== */

/* Empties the struct of a machine. */
void np_init(neap_Vm *vm);
/* Opens everything of neap's in a state that has Lua's libraries. */
int np_open(lua_State *L);
/* Says that the state has a machine, see luaopen_neap. */
void np_attach_mark(lua_State *L);

/* Pushes a new table that is weak: "k" or "v". */
void np_weak_push(lua_State *L, const char *mode);

void *np_alloc(neap_Vm *vm, void *block, size_t old, size_t size);

/* == report.c: what the host is told ================================== */

/* neap_report with the name of the task it is about, with where it happened,
 * "app.lua:12", and with the text of that line; all may be NULL. */
void np_report(neap_Vm *vm, int kind, const char *text,
               const char *traceback, const char *task, const char *where,
               const char *source);
void np_report_open(neap_Vm *vm); /* Lua's warnings, and its panic */

/* == loop.c: turns and timers ========================================= */

int np_loop_open(neap_Vm *vm);
void np_loop_close(neap_Vm *vm);

/* Keeps the poll from blocking while nodes are ready. */
void np_loop_busy(neap_Vm *vm);

/* 1 if nothing is ready and nothing in the loop could change that: only
 * another thread or a signal can. */
int np_loop_stuck(neap_Vm *vm);

/* Pushes a node; there is room, because whoever made the node reserved it. */
static inline void np_ready(neap_Vm *vm, np_Node *node) {
  np_ring_put(&vm->ready, node);
  if (!vm->idling) np_loop_busy(vm);
}

/*
 * The time that timers go by. With a clock of its own, as _own_clock in
 * asyncio gives it, a machine is never late: time stands still while something
 * is ready, and jumps to the next deadline when nothing is. Events from
 * outside have no part in it, so it is for tests of what only sleeps.
 */
static inline uint64_t np_now(neap_Vm *vm) {
  return vm->clock != 0 ? vm->clock : uv_hrtime();
}

/*
 * A point in time of the script's, which is seconds, in ns. Rounded, since a
 * sleep and a limit of the same length that begin at the same time must end at
 * the same time too; one that is too far away is put off for 30 years.
 */
static inline uint64_t np_deadline(lua_Number when, uint64_t now) {
  lua_Number ns = when * 1e9 + 0.5;
  if (!(ns < 1e18 + (lua_Number)now)) return now + (uint64_t)1e18;
  return ns > 0 ? (uint64_t)ns : 0;
}

/* Room for one node more; 0, or UV_ENOMEM. */
int np_reserve(neap_Vm *vm);

/* One pass of the loop: waits for events if nothing is ready and `wait`. */
void np_loop_pass(neap_Vm *vm, int wait);

/* 1 if the host has closed all handles of its loop, and so ours. */
int np_loop_lost(neap_Vm *vm);

/* The loop is kept running until released as often: what a task waits for
 * may come from outside of libuv. */
void np_loop_hold(neap_Vm *vm);
void np_loop_release(neap_Vm *vm);

/* == pool.c: slots and threads ======================================== */

/* A free slot; 0, or UV_ENOMEM. The next call gives what was last released. */
int np_slot_take(neap_Vm *vm, uint32_t *slot);
void np_slot_release(neap_Vm *vm, uint32_t slot);

/* The number of a thread for a task that starts; 0, or UV_ENOMEM. */
int np_thread_take(neap_Vm *vm, uint32_t *number);
void np_thread_release(neap_Vm *vm, uint32_t number);

/* Gives threads that were idle for a while to Lua. */
void np_pool_trim(neap_Vm *vm);

/* == task.c, cancel.c ================================================= */

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

/* The task in `slot` if it still is the one with `id`, or NULL. */
neap_Task *np_task_find(neap_Vm *vm, uint32_t slot, uint64_t id);

/* Parks the running task: yields all the way to the loop. Before it, see
 * np_park_check. */
int np_park(lua_State *L, lua_KContext ctx, lua_KFunction k);

/* 1 if a task runs on L and everything between can yield. */
int np_can_park(lua_State *L);
/* Raises unless that is so; gives the task. */
neap_Task *np_park_check(lua_State *L);

/* After a resume: raises the task's cancellation if one is due. */
void np_resumed(lua_State *L, neap_Task *t);

/* Pushes a new CancelledError that is `t`'s own. */
void np_cancel_push(lua_State *L, neap_Task *t);

/* 1 if the value at `index` is the running task's own cancellation. */
int np_is_own(lua_State *L, int index);

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
void np_task_open(lua_State *L);
void np_task_close(neap_Vm *vm); /* frees what it has in C */
int np_task_main(lua_State *L);

/* == batch.c: many that start together ================================ */

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

/* Pushes the table of context variables in force, or nil. */
void np_context_push(lua_State *L);
/* Outside of tasks there are no context variables from now on. */
void np_no_context(lua_State *L);

/* == future.c ========================================================= */

void np_future_open(lua_State *L);

/* Pushes a new future. */
np_Future *np_future_new(lua_State *L, int what);
np_Future *np_future_test(lua_State *L, int index);
np_Future *np_future_check(lua_State *L, int index);

/* Ends the future at `index` with n values on top, or an error on top;
 * pops them. */
void np_future_resolve(lua_State *L, int index, int n);
/* (if `watch`, it will be reported unless somebody looks at it) */
void np_future_reject(lua_State *L, int index, int watch);
np_Future *np_future_sized(lua_State *L, int what, size_t size);
void np_report_all_lost(lua_State *L);
/* Arranges that the failed future at `index` is reported if it is lost. */
void np_future_watch(lua_State *L, np_Future *f, int index);
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

/* == loading.c: modules that are being loaded ========================= */

/* Begins to load the module named at 1: pushes what says so until the C
 * function that runs ends. */
void np_loading_begin(lua_State *L);

/* 1 if another task is loading the module named at 1: pushes what to wait
 * for. Raises if that would wait for the running task. */
int np_loading_find(lua_State *L);

/* Parks the task until what is on top has ended; `again` then calls
 * np_loading_waited first, which raises if the task was cancelled. */
int np_loading_wait(lua_State *L, lua_KFunction again);
void np_loading_waited(lua_State *L);

/* == site.c: where in the script something happened =================== */

/* Where the script is: line and number of the source, from `level` up; if it
 * is nowhere, where the task was made. */
void np_site(lua_State *L, int level, int *line, uint32_t *source);
/* Pushes "app.lua:12" or "?". */
void np_site_push(lua_State *L, int line, uint32_t source);

/* The number of a source by its short name; of the string on top, which is
 * popped. A string that has one is kept for ever. */
uint32_t np_source(lua_State *L, const char *name);
uint32_t np_number(lua_State *L);
/* Pushes the string of that number, "?" for 0. */
void np_number_push(lua_State *L, uint32_t number);
void np_site_open(lua_State *L);

/* == object.c: coroutine objects ====================================== */

void np_object_open(lua_State *L);
void np_object_close(neap_Vm *vm);

/* A call of an async function: upvalue 1 is the body, 3 the number of its
 * name; see neap_async. */
int np_async_call(lua_State *L);

np_Co *np_co_test(lua_State *L, int index);

/* Makes a coroutine object of the function and arguments on top, of which
 * nobody is told if it is lost. */
void np_co_make(lua_State *L, int nargs);

/* Marks the coroutine object at `index` used; raises if it was. */
void np_co_claim(lua_State *L, int index);
void np_co_unclaim(lua_State *L, int index);

/* Claims the value on top if it is a new coroutine object; 0 if not. */
int np_co_claim_new(lua_State *L);

/* Replaces the claimed object on top, which is `co`, by body and arguments;
 * one slot more is needed on the way. Allocates nothing. */
void np_co_unpack(lua_State *L, const np_Co *co);

/* Claims the one at `index` and pushes body and arguments; returns the
 * number of arguments. */
int np_co_take(lua_State *L, int index);

/* Pops all above `base`. The coroutine objects among them, and those that
 * were given to these, are not reported if nobody awaits them. */
void np_co_excuse(lua_State *L, int base);

/* Reports those that were collected new, or at the end `all` that are new. */
void np_co_lost(lua_State *L, int all);

/* Raises what misusing one gives. */
int np_co_misuse(lua_State *L);

/* == collector.c ====================================================== */

/* Between turns: does what is to be done after a collection, if one was. */
void np_collector_look(neap_Vm *vm);

/* == async.c: async functions, await ================================== */

void np_async_open(lua_State *L);
void np_async_strip(lua_State *L, int index);

/* Pushes the name of the async function whose body is at `index`, or "?". */
void np_async_name(lua_State *L, int index);

/* Pushes the name of the C function that is running, "?" if it has none. */
void np_push_running(lua_State *L);

/* 1 if the source name is one of the machine's own pieces of Lua. */
int np_internal(const char *source);

/* 1 if `f` is of what the words become; not for tracebacks. */
int np_is_word(lua_CFunction f);

/* 1 if it is the Lua half of a module of the build. */
int np_is_half(const char *source);

/*
 * Finds the first line of the script from `level` up, also in those that
 * resumed the running coroutine. 0 if there is none.
 */
int np_script_line(lua_State *L, int level, lua_Debug *ar);

/* Tells whether a line of the script is on the stack: none is when a task's
 * variables are closed after an error that nothing in it catches. */
int np_in_script(lua_State *L);

/* 1 if the frame is a line of the script, not of neap or of C. */
int np_is_script(const lua_Debug *ar);

/* == error.c ========================================================== */

void np_error_open(lua_State *L);

/* 1 if the value at `index` is an Error of any class. */
int np_error_test(lua_State *L, int index);
int np_error_is(lua_State *L, int index, const char *cls);

/* Pushes the error class of that name, made if need be, or returns 0. */
int np_error_class(lua_State *L, const char *name);
void np_error_classes(lua_State *L); /* makes them all */

/* Raises a string with the script's position. */
int np_error(lua_State *L, const char *format, ...);
void np_error_wrap(lua_State *L, int index);
/* Pushes where the error at `index` was raised, "app.lua:12", or nil. */
void np_error_where(lua_State *L, int index);

/* == traceback.c ====================================================== */

/* Pushes the position "file:line: " of the script from `level` up. */
void np_where(lua_State *L, int level);
/* The same as luaL_where gives it, for `level` as a script counts them. */
void np_where_called(lua_State *L, int level);
/* Pushes the script's position from `level` up in L1, "app.lua:12", or nil. */
void np_position(lua_State *L, lua_State *L1, int level);

/*
 * The error on top, of L1 from `level` up: if it is a message with the line of
 * a Lua half, that becomes the line of the script that has called it. What
 * Lua itself says of a mistake in a half is about what the half was given.
 */
void np_blame_caller(lua_State *L, lua_State *L1, int level);
int np_blame(lua_State *L); /* the same as a message handler */

/* Pushes the stack of L1 from `level` on; if L1 is another thread than L, with
 * that of the coroutines that it resumes, `level` being that of L in it. */
void np_traceback(lua_State *L, lua_State *L1, int level);
/* The same as Lua has it, luaL_traceback, where nothing is asynchronous. */
void np_traceback_lua(lua_State *L, lua_State *L1, const char *message,
                      int level);
/* Pushes the best name for the function on top of the stack. */
void np_function_name(lua_State *L, const lua_Debug *ar);

/* == text.c: errors to be read ========================================= */

void np_text_open(lua_State *L);

/* Keeps the traceback and the spawn lines (or nils) on top, which are popped,
 * for whoever asks for those of the error at `index`. */
void np_trace_keep(lua_State *L, int index);

/* neap_error_text, with the line of the script only if `quoted`. */
void np_error_text(lua_State *L, int index, int task, int quoted);

/* == quote.c: lines of the script ====================================== */

/* Says that a file was loaded, whose lines may then be quoted. */
void np_quote_file(lua_State *L, const char *path);

/* Pushes the text of the line `where` ("app.lua:12", may be NULL) without
 * blanks around it, or nil. `traceback` (may be NULL) is of the same error. */
void np_quote(lua_State *L, const char *where, const char *traceback);
void np_quote_open(lua_State *L);

/*
 * Tells the exception handler, or else the host, of the error at `index`
 * that nobody waits for; `task` is the index of its task, or 0.
 */
void np_report_error(lua_State *L, const char *message, int index, int task);

/* == callback.c, coro.c, base.c, load.c, handle.c, timeout.c ========== */

void np_callback_open(lua_State *L);
int np_add_done_callback(lua_State *L);
void np_coro_open(lua_State *L);
/* The coroutine that the innermost function of L resumes, or NULL. */
lua_State *np_coro_resumed(lua_State *L);
/* Below the function of a coroutine that awaits; not for tracebacks. */
int np_coro_body(lua_State *L);
void np_base_open(lua_State *L);
int np_base_misuse(lua_State *L); /* what modules raise a mistake with */
int np_catch(lua_State *L);
void np_load_open(lua_State *L);
void np_module_open(lua_State *L);
void np_output_open(lua_State *L);
void np_run_open(lua_State *L);
void np_output_close(neap_Vm *vm);
void np_handle_open(lua_State *L);
/* Closes whatever is open; waits till libuv has closed it all and no request
 * is in flight. */
void np_handle_close_all(neap_Vm *vm);
void np_handle_wait(neap_Vm *vm);
/* Frees what is left when Lua was closed: nobody has it any more, though there
 * may have been no memory to call its finalizer. */
void np_handle_end(neap_Vm *vm);
void np_timeout_open(lua_State *L);
/* What np_make calls. */
void np_co_make_metatable(lua_State *L);
void np_future_make_metatables(lua_State *L);
void np_timeout_make_metatables(lua_State *L);
void np_callback_make_metatable(lua_State *L);
void np_queue_make_metatable(lua_State *L);
void np_loading_make_metatable(lua_State *L);
void np_library_make(lua_State *L);
void np_rest_make(lua_State *L);
void np_gather_open(lua_State *L);
uint32_t np_gather_pending(np_Future *f);
uint32_t np_group_count(np_Future *f);

/* Calls visit(arg, t) for each of its tasks that has not ended. */
void np_gather_tasks(np_Future *f, void (*visit)(void *, neap_Task *),
                     void *arg);
void np_group_tasks(np_Future *f, void (*visit)(void *, neap_Task *),
                    void *arg);

/* Pushes the name of the task or future at `index`. */
void np_future_name_push(lua_State *L, int index);

/* == poke.c: what others want of a machine ============================ */

/* From any thread or a signal handler: wants one of NP_WANT_* soon. */
void np_poke(neap_Vm *vm, int want);

/* The machine's thread is about to run Lua code; it does not any more. */
void np_poke_enter(neap_Vm *vm);
void np_poke_leave(neap_Vm *vm);

/* What of `what` is wanted; taking it clears it. */
int np_wants(neap_Vm *vm, int what);
int np_wants_take(neap_Vm *vm, int what);

/* Sets the hook on L if anything is wanted. Only on the machine's thread. */
void np_poke_arm(neap_Vm *vm, lua_State *L);

/* What the handler of our signal reads is written before it, not after. */
static inline void np_signal_fence(void) {
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void np_poke_hook(neap_Vm *vm, lua_State *L) {
  if (__atomic_load_n(&vm->wants, __ATOMIC_RELAXED)) np_poke_arm(vm, L);
}

/* The same from a hook that is there anyway, as it counts. */
void np_poke_look(lua_State *L);

/* Between steps: does what is wanted. */
void np_attend(neap_Vm *vm);

/* == submit.c ========================================================= */

/* If the task is a call of another thread: it is over, and will not end. */
void np_call_drop(neap_Task *t);

/* == worker.c ========================================================= */

/* Ends the worker threads, which have nothing left to do. */
void np_workers_stop(neap_Vm *vm);

/* Starts a thread that gets no signals: those are for the host's threads. */
int np_os_thread(uv_thread_t *thread, void (*run)(void *arg), void *arg);

/* == watch.c, dump.c: seeing ========================================== */

void np_watch_start(neap_Vm *vm);
void np_watch_stop(neap_Vm *vm);
void np_watch_ended(neap_Vm *vm); /* a step that was found to block */
double np_block_limit(neap_Vm *vm);
/* Reports the step that runs on L, which the watchdog has found too long. */
void np_watch_blocked(lua_State *L);

/* A step begins or ends; 1 if it was reported for its length. */
static inline int np_watch_step(neap_Vm *vm) {
  uint64_t step = vm->steps;
  __atomic_store_n(&vm->steps, step + 1, __ATOMIC_RELAXED);
  return step == __atomic_load_n(&vm->blocked_step, __ATOMIC_RELAXED);
}

void np_task_name_push(lua_State *L, neap_Task *t);
void np_dump_open(lua_State *L);
/* Reports the tree of tasks; raises nothing. */
void np_dump_report(lua_State *L);
void np_group_open(lua_State *L);
void np_queue_open(lua_State *L);

/* load.c: the mode in which a script may load; raises if it may not. */
const char *np_load_mode(lua_State *L, const char *mode);

/* neap_loadfile for a script: in a sandbox the path is a permitted one, and
 * no link is followed. */
int np_loadfile(lua_State *L, const char *filename, const char *mode);

/* == module.c ========================================================= */

/* The module of the build by that name, or NULL. */
const neap_Module *np_module_find(const char *name);
/* Pushes the function of its Lua half. */
void np_module_load(lua_State *L, const neap_Module *m);
/* Pushes a copy of the table at `index`. */
void np_table_copy(lua_State *L, int index);
/* Lua halves have an environment of their own, so that a script may call its
 * variables as it likes: the globals as they are now, ... */
void np_halves_open(lua_State *L);
/* ... or the table on top, which is popped. */
void np_halves_set(lua_State *L);

#endif
