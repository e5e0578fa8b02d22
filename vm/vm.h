/*
 * vm.h - the machine, which all files of vm/ share.
 *
 * The life of one await, in one place: a C function that must wait calls
 * np_park, which yields the Lua thread up to np_task_run; a callback of
 * libuv, another task or a timer pushes the task's node into the ready ring;
 * the next turn of the loop resumes the thread, whose continuation either
 * raises the task's cancellation or goes on.
 *
 * The parts of it have headers of their own, each of which includes this one:
 *
 *   loop.h    turns, timers, and what others want of a machine
 *   task.h    tasks: made, started, parked, cancelled, ended
 *   future.h  futures, and what counts many of them
 *   async.h   async functions, coroutine objects, coroutines
 *   load.h    modules and scripts
 *   error.h   errors, positions, tracebacks, reports
 *   limits.h, permit.h   what a script may use, and touch
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

/* == Nodes: whatever can be run in a turn =============================== */

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

/* == The machine ======================================================== */

typedef struct neap_Task neap_Task;
typedef struct np_Future np_Future;
typedef struct np_Batch np_Batch;
typedef struct np_Made np_Made; /* of one that was not claimed */

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
  NP_R_NAMES,     /* body -> name of the async function; main chunk -> false;
                     handler that a guard has called -> 1 */
  NP_R_LIBRARY,   /* function -> its name in package.loaded, or false */
  NP_R_ERRORS,    /* name -> error class; class -> true */
  NP_R_DEAD,      /* coroutine -> its traceback, weak: see coro.c */
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
  uint32_t made_size, made_used, nmade;
  uint64_t made_time; /* when they were last found to be needed */

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
  np_Link awaited; /* in what the host waits for */
  int enough;      /* that has ended: no further turn */
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

/* == Reaching it ======================================================== */

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

/* 1 inside of a task, a callback or a run of the loop, where nothing may
 * drive that. */
static inline int np_is_busy(const neap_Vm *vm) {
  return vm->current != NULL || vm->turning || vm->passing;
}

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

/* == vm.c: making one, and its memory =================================== */

/* Empties the struct of a machine. */
void np_init(neap_Vm *vm);
/* Opens everything of neap's in a state that has Lua's libraries. */
int np_open(lua_State *L);
/* Says that the state has a machine, see luaopen_neap. */
void np_attach_mark(lua_State *L);

/* The machine's allocator, as a lua_Alloc: makes, moves or frees a block. */
void *np_alloc(neap_Vm *vm, void *block, size_t old, size_t size);

/* Pushes a new table that is weak: "k" or "v". */
void np_weak_push(lua_State *L, const char *mode);

/* finalizer.c: calls f with the value on top, which is popped: for finalizers
 * that may come to code of a script's, which could run for ever there. */
void np_finalize(lua_State *L, lua_CFunction f);

/* Raises while the state is being closed: Lua calls no finalizer for what is
 * made then, so nothing may be that needs one. */
void np_closing_check(lua_State *L);

/* == What opens the parts of a machine, and ends them =================== */

void np_async_open(lua_State *L);
void np_base_open(lua_State *L);
void np_callback_open(lua_State *L);
void np_context_open(lua_State *L);
void np_coro_open(lua_State *L);
void np_dump_open(lua_State *L);
void np_error_open(lua_State *L);
void np_future_open(lua_State *L);
void np_gather_open(lua_State *L);
void np_group_open(lua_State *L);
void np_handle_open(lua_State *L);
void np_handler_open(lua_State *L);
void np_load_open(lua_State *L);
void np_lost_open(lua_State *L);
void np_module_open(lua_State *L);
void np_object_open(lua_State *L);
void np_output_open(lua_State *L);
void np_queue_open(lua_State *L);
void np_quote_open(lua_State *L);
void np_report_open(neap_Vm *vm); /* Lua's warnings, and its panic */
void np_run_open(lua_State *L);
void np_site_open(lua_State *L);
void np_sleep_open(lua_State *L);
void np_task_open(lua_State *L);
void np_text_open(lua_State *L);
void np_timeout_open(lua_State *L);

void np_object_close(neap_Vm *vm);
void np_output_close(neap_Vm *vm);
void np_task_close(neap_Vm *vm); /* frees what it has in C */

/* Closes whatever is open; waits till libuv has closed it all and no request
 * is in flight. */
void np_handle_close_all(neap_Vm *vm);
void np_handle_wait(neap_Vm *vm);
/* Frees what is left when Lua was closed: nobody has it any more, though there
 * may have been no memory to call its finalizer. */
void np_handle_end(neap_Vm *vm);

/* What np_make calls. */
void np_co_make_metatable(lua_State *L);
void np_future_make_metatables(lua_State *L);
void np_timeout_make_metatables(lua_State *L);
void np_callback_make_metatable(lua_State *L);
void np_queue_make_metatable(lua_State *L);
void np_loading_make_metatable(lua_State *L);
void np_lost_make_metatable(lua_State *L);
void np_library_make(lua_State *L);
void np_rest_make(lua_State *L);

#endif
