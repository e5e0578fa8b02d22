/*
 * neap.h - the door between C and neap.
 *
 * What a host program or a C module may call is declared here; the rest may
 * change without notice. Four rules hold for the whole file:
 *
 *   - a function that takes a lua_State may raise a Lua error; one that does
 *     not take it never does, so libuv callbacks may call it;
 *   - a negative int is an error code (UV_E* or NEAP_E*), and an operation
 *     that fails to start never calls back;
 *   - what `new` returns is yours to `free`; anything else is lent, and its
 *     comment says until when;
 *   - a machine belongs to one thread at a time; what may be called from
 *     another one says so.
 */
#ifndef NEAP_H
#define NEAP_H

#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NEAP_VERSION "0.1.0"
#define NEAP_API __attribute__((visibility("default")))

struct uv_loop_s;
struct uv_handle_s;

typedef struct neap_Vm neap_Vm;

/* Codes beside libuv's own; neap_fail knows both kinds. */
#define NEAP_ECANCELED (-9001) /* the task was cancelled: see neap_wait */
#define NEAP_ECLOSED (-9002)   /* the handle was closed under the operation */
#define NEAP_ELIMIT (-9003)    /* a limit has ended it: see neap_Limits */
#define NEAP_EPENDING (-9004)  /* the task waits or is still to run */
#define NEAP_ERUNNING (-9005)  /* the task is the one that runs now */

/* == A machine: one Lua state and the loop that drives it ============== */

/* What a machine tells its host. The texts are lent during the call. */
typedef struct neap_Report {
  int kind;              /* NEAP_REPORT_* */
  const char *text;      /* without "neap:" before and newline behind it */
  const char *traceback; /* "stack traceback:..." or NULL */
  const char *task;      /* whose error it is, or NULL */
  const char *file;      /* where in the script, as Lua shows it, or NULL */
  int line;              /* 0 if `file` is NULL */
  const char *source;    /* the text of that line, or NULL */
} neap_Report;

enum {
  NEAP_REPORT_WARNING,  /* a coroutine never awaited, a scope not closed ... */
  NEAP_REPORT_ERROR,    /* an error that nobody retrieved: status 1 */
  NEAP_REPORT_DEBUG,    /* said in debug mode only */
  NEAP_REPORT_DUMP,     /* the tree of tasks, several lines */
  NEAP_REPORT_LUA       /* a warning that Lua or a script gave with warn() */
};

/*
 * Options of neap_vm_new. Set `size` to sizeof(neap_Options) and the rest to
 * zero, then what you want: later versions may add fields at the end.
 */
typedef struct neap_Options {
  size_t size;
  struct uv_loop_s *loop; /* borrowed, must outlive the machine; NULL: own */
  lua_Alloc alloc;        /* NULL: neap's own allocator */
  void *alloc_data;
  void (*report)(neap_Vm *vm, const neap_Report *report); /* NULL: silence */
  void *data;             /* the host's, see neap_data */
  int debug;              /* debug mode from the start */
  int ignore_env;         /* 1: package ignores LUA_PATH and LUA_CPATH */
  /* The names that scripts may require, ended by NULL; "a" allows "a.b" too,
   * a module of neap's brings those it needs, and those of neap_preload need
   * not be named. NULL: every name. Must live as long as the machine. */
  const char *const *modules;
  /* Asked by `require` for what is not a module of the host's or neap's,
   * before files are looked for: pushes a function that makes the module and
   * returns 1, or returns 0. May raise. */
  int (*resolve)(lua_State *L, const char *name);
  /* Takes what scripts write with print, io.write, io.stdout and io.stderr;
   * `fd` is 1 or 2. The text is lent; may not raise. NULL: the process's own
   * files. */
  void (*write)(neap_Vm *vm, int fd, const char *text, size_t length);
  /* Called when a script calls os.exit, which then ends its task and not the
   * process; see neap_exiting. May not raise. NULL: os.exit ends the process,
   * as in Lua. */
  void (*exit)(neap_Vm *vm, int code);
  const struct neap_Limits *limits; /* copied; NULL: none, see below */
  const struct neap_Sandbox *sandbox; /* copied; NULL: none, see below */
  /* Called with 1 when a session at the process's terminal begins (neap.repl)
   * and with 0 when it has ended; they may nest. Meanwhile every SIGINT should
   * become a neap_interrupt, and a signal that ends the process should leave
   * the terminal's modes as they are at the call. May not raise. */
  void (*terminal)(neap_Vm *vm, int on);
} neap_Options;

/*
 * Makes a machine with Lua's standard libraries and asyncio open. `options`
 * may be NULL. NULL means out of memory, or that libuv could not start.
 */
NEAP_API neap_Vm *neap_vm_new(const neap_Options *options);

/*
 * Cancels every task and runs their clean-up, closes every handle, waits for
 * both and for requests in flight, closes the Lua state and frees `vm`. Runs
 * the loop meanwhile, a borrowed one too. Outside of any task or callback:
 * there it is reported and does nothing. NULL is allowed.
 */
NEAP_API void neap_vm_free(neap_Vm *vm);

/* The machine's main Lua state: for setting up, not for running scripts. */
NEAP_API lua_State *neap_state(neap_Vm *vm);

/*
 * require "neap": gives a Lua state that the host has made itself, with Lua's
 * libraries open, a machine that ends with it, in lua_close; see doc/lua.md.
 * To be called with luaL_requiref(L, "neap", luaopen_neap, 0). It takes the
 * extra space of the state's threads (lua_getextraspace) for itself.
 * neap_vm(L) is the machine then; it is not to be freed.
 */
NEAP_API int luaopen_neap(lua_State *L);

/* The machine that `L` belongs to. */
NEAP_API neap_Vm *neap_vm(lua_State *L);

/* The loop that drives the machine of `L`. */
NEAP_API struct uv_loop_s *neap_loop(lua_State *L);

/* The host's pointer from the options. */
NEAP_API void *neap_data(neap_Vm *vm);

/* Sends a report to the host as the machine does; one of kind
 * NEAP_REPORT_ERROR counts for neap_failed. */
NEAP_API void neap_report(neap_Vm *vm, int kind, const char *text,
                          const char *traceback);

/* Tells the host that a session at the terminal begins or has ended: see
 * `terminal` in the options. For modules that edit lines. */
NEAP_API void neap_terminal(neap_Vm *vm, int on);

/* 1 once an error was reported that nobody retrieved. */
NEAP_API int neap_failed(neap_Vm *vm);

/* Debug mode: sites of coroutines and tasks are kept whole, and so on. */
NEAP_API int neap_debug(neap_Vm *vm);
NEAP_API void neap_set_debug(neap_Vm *vm, int on);

/* == Limits: how much a machine may use ================================ */

/*
 * Set `size` to sizeof(neap_Limits); what is zero is not limited.
 *
 * A step is what runs between two waits of a task, or one callback; a task's
 * time is that of its steps, the machine's that of all, and its life is all
 * the time until it ends, looked at while it waits. When one of these is used
 * up, the script is stopped where it is. It cannot catch that: its
 * `<close>` handlers run a little longer, but cannot wait. The task fails
 * with a LimitError whose `code` is the field's name in capitals, such as
 * "STEP_SECONDS", and neap_wait gives NEAP_ELIMIT. After a limit of the
 * whole machine all tasks end so, and none runs any more.
 *
 * Where memory is used up, allocating raises "not enough memory", which a
 * script may catch. Tasks and handles beyond a limit raise a LimitError that
 * may be caught as well.
 */
typedef struct neap_Limits {
  size_t size;
  size_t memory;              /* bytes; the machine's own are some 40,000,
                               * with the modules a script uses 250,000 */
  uint64_t step_instructions; /* of Lua's virtual machine */
  uint64_t task_instructions;
  uint64_t instructions;
  double step_seconds;        /* of the clock on the wall, while it runs */
  double task_seconds;
  double seconds;
  double finish_seconds;      /* for clean-up in neap_finish, neap_vm_free */
  int depth;                  /* of calls in one coroutine */
  size_t tasks;               /* at a time, as all the following */
  size_t handles;             /* of whatever class */
  size_t files;
  size_t sockets;
  size_t processes;
  double task_life_seconds;   /* from a task's start to its end, waiting too */
} neap_Limits;

/* What a machine with limits has used; all zero for one without. */
typedef struct neap_Usage {
  size_t size;           /* set it to sizeof(neap_Usage) */
  size_t memory, most_memory;
  uint64_t instructions; /* if instructions, time or depth are limited */
  double seconds;        /* if time is limited */
} neap_Usage;

/* Fills in what was used so far. */
NEAP_API void neap_usage(neap_Vm *vm, neap_Usage *usage);

/*
 * Says that C code does work for the script that is worth so many
 * instructions; raises like them when a limit is reached. To be called now
 * and then by what takes long, or before it.
 */
NEAP_API void neap_charge(lua_State *L, size_t instructions);

/*
 * The machine's allocator, in the form of lua_Alloc: what C keeps on behalf
 * of a script counts as its memory. NULL if there is none left.
 */
NEAP_API void *neap_alloc(neap_Vm *vm, void *block, size_t old, size_t size);

/*
 * The same for memory from elsewhere: counts `now` bytes in the place of
 * *counted (0 at first), and sets that. 0, or UV_ENOMEM if the limit allows
 * no more; less always is counted. neap_memory_left is what the limit leaves.
 */
NEAP_API int neap_memory_count(neap_Vm *vm, size_t *counted, size_t now);
NEAP_API size_t neap_memory_left(neap_Vm *vm);

/* == A sandbox: what a script may touch ================================ */

/*
 * Set `size` to sizeof(neap_Sandbox). Each list is ended by NULL; a list that
 * is NULL permits nothing. A script in a sandbox has no io, no debug but
 * traceback, no C modules and compiled chunks, and of os what does not touch
 * the system; modules ask for all they do. What is not permitted raises a
 * PermissionError with the code "EPERM". What the host itself gives to
 * scripts, and loads, is the host's to judge.
 */
typedef struct neap_Sandbox {
  size_t size;
  const char *const *read;  /* files, and directories with all below them */
  const char *const *write; /* the same; to change, make and remove */
  const char *const *connect; /* "HOST" or "HOST:PORT", "*" for any: see doc */
  const char *const *listen;  /* the same, for the script's own addresses */
  const char *const *run;   /* programs: their paths, or names in the PATH of
                             * now; what they do is not restricted */
  const char *const *env;   /* environment variables, "*": all */
  int process;              /* 1: it may use standard streams, signals and
                             * os.exit, as the program itself */
} neap_Sandbox;

/*
 * A C half that a sandboxed machine may load asks this when it is opened, and
 * the following in whatever reaches out of the machine. 1: there is a sandbox.
 */
NEAP_API int neap_sandboxed(lua_State *L);

/* What is asked for; bits, for paths. */
enum {
  NEAP_MAY_READ = 1,
  NEAP_MAY_WRITE = 2,
  NEAP_NO_FOLLOW = 4, /* the operation is about the link itself */
  NEAP_MAY_CONNECT = 8,
  NEAP_MAY_LISTEN = 16,
  NEAP_MAY_ENV = 32,
  NEAP_MAY_PROCESS = 64,
  NEAP_MAY_RUN = 128 /* everything: what is no program has no name */
};

/* Raises "OP WHAT: not permitted" unless `what` (of NEAP_MAY_ENV, or NULL with
 * NEAP_MAY_PROCESS) is. */
NEAP_API void neap_permit(lua_State *L, int may, const char *op,
                          const char *what);

/*
 * The same for the path at `index`, which is replaced by the canonical one in
 * a sandbox; returns what the operation is to use. Do not keep it longer than
 * the value is there.
 */
NEAP_API const char *neap_permit_path(lua_State *L, int index, int may,
                                      const char *op);

/*
 * For the use of such a path, which may be later and on another thread, when
 * another task has put a link in the place of a directory: opens the one that
 * `path` is in without following any, makes those that are missing if `make`,
 * and puts a path into `text` that leads through it. What is at its end must
 * not be followed either. The descriptor, to be closed after the use; or a
 * code, UV_ENOTSUP where the system cannot do that. From any thread.
 */
#define NEAP_PIN_SIZE 320 /* room for every `text` */
NEAP_API int neap_permit_pin(const char *path, int make, char *text,
                             size_t size);

/* 1 if the path at `index`, which is canonical, may be read. */
NEAP_API int neap_permitted_read(lua_State *L, int index);

/*
 * The same for a host, a name or an address, and a port; -1: some port. With
 * `permitted` it is only asked. neap_permit_found says that the name was
 * found to have the address, which then is permitted as the name is.
 */
NEAP_API void neap_permit_host(lua_State *L, int may, const char *op,
                               const char *host, int port);
NEAP_API int neap_permitted_host(lua_State *L, int may, const char *host,
                                 int port);
NEAP_API void neap_permit_found(lua_State *L, const char *name,
                                const char *address);

/* 1 if the environment variable, or the program at this path, is permitted;
 * and what raises if none of those that could be run is. */
NEAP_API int neap_permitted_env(lua_State *L, const char *name);
NEAP_API int neap_permitted_program(lua_State *L, const char *path);
NEAP_API int neap_refuse_program(lua_State *L, const char *op,
                                 const char *program);

/* Descriptors that pass through a script's hands, by number: `give` before,
 * `take` raises for one that was not given. */
NEAP_API void neap_give_fd(lua_State *L, int fd);
NEAP_API void neap_take_fd(lua_State *L, const char *op, int fd);

/* == Loading and running ============================================== */

/*
 * Like luaL_loadbufferx and luaL_loadfilex (a NULL filename is stdin), for
 * neap's language: pushes the chunk as a function, or a message.
 */
NEAP_API int neap_load(lua_State *L, const char *text, size_t length,
                       const char *name, const char *mode);
NEAP_API int neap_loadfile(lua_State *L, const char *filename,
                           const char *mode);

/*
 * Has lines of `text` shown under errors of a chunk that is called `name` in
 * messages ("=settings" is called "settings"), as those of files are. It is
 * copied; a later text by the same name replaces it.
 */
NEAP_API void neap_keep_source(lua_State *L, const char *name,
                               const char *text, size_t length);

/* The same for a lua_Reader, which is called till it has no more, or as in
 * Lua till the first mistake if neither word was seen before it. */
NEAP_API int neap_loadreader(lua_State *L, lua_Reader reader, void *data,
                             const char *name, const char *mode);

/*
 * Translates source text to plain Lua, pushes it as a string and returns
 * LUA_OK; or pushes a message and returns what neap_load does.
 */
NEAP_API int neap_translate(lua_State *L, const char *text, size_t length,
                            const char *name);

/*
 * Starts a task from the function and `nargs` arguments on top of the stack
 * and replaces them by the Task object. The task begins in the loop's next
 * turn. An async function is run, not called: no coroutine object is made.
 * `name` may be NULL ("Task-N").
 */
NEAP_API void neap_spawn(lua_State *L, int nargs, const char *name);

/*
 * Drives the loop until the Task or Future at `index` is done. Only for the
 * machine's owner: raises inside of a task or callback. Returns LUA_OK and
 * pushes the results, with their count in *nresults; or LUA_ERRRUN (LUA_ERRMEM
 * if there is no memory to push them) and pushes the error value; or
 * NEAP_ECANCELED and pushes the CancelledError if it was cancelled, or nil if
 * a task called os.exit(code, true), see neap_exiting; or NEAP_ELIMIT and
 * pushes the error if a limit has ended it, see neap_Limits.
 */
NEAP_API int neap_wait(lua_State *L, int index, int *nresults);

/*
 * Cancels every task, drives the loop until all have ended, and reports the
 * errors that nobody has looked at. Outside of any task or callback.
 */
NEAP_API void neap_finish(lua_State *L);

/* Drives the loop until no task is left, or one called os.exit(code, true).
 * Waits even if nothing in the loop can wake a task: see neap_interrupt.
 * Inside of a task or callback it is reported and does nothing. */
NEAP_API void neap_run(neap_Vm *vm);

/*
 * Makes the Task or Future at `index` cancelled as task:cancel() does;
 * returns 0 if it was done already.
 */
NEAP_API int neap_cancel(lua_State *L, int index, const char *message);

/*
 * Names the task (at `index`) that an interrupt goes to until it has ended,
 * usually the main chunk's; after that it goes to the one named before.
 */
NEAP_API void neap_set_main(lua_State *L, int index);

/*
 * Cancels the main task (see neap_set_main), even if it is computing and not
 * waiting; if there is none, does nothing. If another task or callback
 * computes, so that the main task does not get to run, a second call cancels
 * that one. May be called from a signal
 * handler and from any thread, as long as the machine is there.
 */
NEAP_API void neap_interrupt(neap_Vm *vm);

/*
 * Cancels every task, also one that computes, and those that their clean-up
 * starts, until none is left; then neap_run returns, neap_wait gives
 * NEAP_ECANCELED, and the machine may be used again. A machine that is not
 * driven just now is stopped when it is. May be called from a signal handler
 * and from any thread, as long as the machine is there.
 */
NEAP_API void neap_stop(neap_Vm *vm);

/*
 * Has the tree of tasks reported soon (NEAP_REPORT_DUMP). May be called from
 * a signal handler and from any thread.
 */
NEAP_API void neap_dump(neap_Vm *vm);

/*
 * In debug mode a step that runs longer than this many seconds is reported
 * while it runs, with the Lua stack of the line that blocks; 0.1 by default.
 */
NEAP_API void neap_set_block_limit(neap_Vm *vm, double seconds);

/*
 * If os.exit(code, true) was called in a task, or os.exit in whatever form
 * when the options have an `exit`: 1 and the code. neap_wait, neap_call and
 * neap_run have returned then; the host frees the machine.
 */
NEAP_API int neap_exiting(neap_Vm *vm, int *code);

/*
 * Pushes the text that a person should see for an uncaught error: the
 * message at `index` as text, the line of the script that it names, if that
 * can be found, and the traceback across tasks that the machine kept for it
 * (the task at `task`, 0 if none).
 */
NEAP_API void neap_error_text(lua_State *L, int index, int task);

/* == Running scripts and calling them ================================= */

/*
 * Runs a file (NULL: stdin) or a text to its end, as neap_call does. These
 * never raise. The stack of neap_state(vm) then has the results, or else the
 * error, and nothing else. UV_EBUSY inside of a task or callback, with the
 * stack as it was.
 *
 *   if (neap_dofile(vm, "app.lua") != LUA_OK)
 *     fprintf(stderr, "%s\n", neap_error(neap_state(vm), -1)->text);
 */
NEAP_API int neap_dofile(neap_Vm *vm, const char *filename);
NEAP_API int neap_dostring(neap_Vm *vm, const char *text, const char *name);

/*
 * Calls the function below the `nargs` arguments on top of the stack, async
 * or not, and replaces all by what neap_wait gives: the results, their number
 * in *nresults, and LUA_OK; or the error and another status. The function is
 * a task and may await. It begins at once, before whatever is ready in the
 * loop; if it waits, the loop is driven until it has ended, and other tasks
 * run meanwhile. An interrupt goes to it if there is no main task. Only for
 * the machine's owner: raises inside of a task or callback, where
 * neap_await_value is what is wanted; and not in a callback of libuv's, which
 * cannot drive the loop that has called it.
 */
NEAP_API int neap_call(lua_State *L, int nargs, int *nresults);

/*
 * The same, but one that waits goes on by itself, in the loop: then the
 * function and the arguments are replaced by its Task, and NEAP_EPENDING is
 * returned. For hosts that may not block, and that drive the loop otherwise.
 * `name` (may be NULL) is that of the task.
 */
NEAP_API int neap_begin(lua_State *L, int nargs, const char *name,
                        int *nresults);

/* == Tasks that go on by themselves =================================== */

/*
 * What has become of the Task or Future at `index`: LUA_OK, LUA_ERRRUN,
 * NEAP_ECANCELED or NEAP_ELIMIT when it is done; NEAP_EPENDING or
 * NEAP_ERUNNING.
 */
NEAP_API int neap_task_state(lua_State *L, int index);

/* Pushes the name and returns it. */
NEAP_API const char *neap_task_name(lua_State *L, int index);

/* As neap_wait, of which it is the end: it pushes the results or the error,
 * but gives NEAP_EPENDING and pushes nothing if there are none yet. */
NEAP_API int neap_task_result(lua_State *L, int index, int *nresults);

/*
 * Has `done` called when the Task or Future at `index` is done, or soon if it
 * is: once, in the loop, outside of any task, with its results (or the error)
 * as all that is on the stack. `status` and `nresults` are those of
 * neap_task_result. What it raises is reported. Of a task it is called before
 * neap_vm_free returns, since that ends all tasks.
 */
typedef void (*neap_Ended)(lua_State *L, int status, int nresults,
                           void *data);
NEAP_API void neap_task_done(lua_State *L, int index, neap_Ended done,
                             void *data);

/* == Errors as a host reads them ====================================== */

/* Any error value. What is not known is NULL; `text` and `message` never. */
typedef struct neap_Error {
  const char *text;      /* "app.lua:3: no bread", what a person should see */
  const char *message;   /* "no bread" */
  const char *name;      /* of its class, "OSError"; NULL: not an Error */
  const char *code;      /* "ECONNREFUSED" */
  const char *traceback; /* across tasks: "stack traceback:\n\t..." */
  const char *file;      /* where it was raised, as Lua shows it */
  int line;              /* 0 if `file` is NULL */
} neap_Error;

/*
 * Describes the error at `index`. The traceback is that of the error which
 * neap_call, neap_wait or another of these gave last, or the Error's own. The
 * struct and its texts are lent until the next call for this machine. Never
 * raises, never NULL.
 */
NEAP_API const neap_Error *neap_error(lua_State *L, int index);

/* == Driving: who runs the loop ======================================= */

/*
 * There are three ways, which may be mixed: neap_run and neap_wait above;
 * the host's own uv_run on the loop of the options, which needs no call; and
 * neap_poll from any other loop. All of them on the machine's thread and
 * outside of any task, callback or run of its loop; what is declared here
 * gives UV_EBUSY inside of one.
 */

/*
 * One pass: waits at most `timeout_ms` for something to do (0: not at all,
 * -1: until there is something), and does a slice of it, see neap_run_for.
 * Returns 1 while tasks are left or something is open in the loop, else 0.
 */
NEAP_API int neap_poll(neap_Vm *vm, int timeout_ms);

/*
 * For the host's poll, select or epoll: the machine has something to do when
 * this descriptor is readable, and at the latest after so many milliseconds
 * (0: now, -1: no limit). Then call neap_poll(vm, 0). The descriptor stays
 * the same, the time must be asked for before each wait.
 */
NEAP_API int neap_backend_fd(neap_Vm *vm);
NEAP_API int neap_backend_timeout(neap_Vm *vm);

/*
 * For a loop with a frame to draw: does what is ready, without waiting, for
 * about so many seconds, and returns 1 if there is more that is ready now.
 * A task is not interrupted. One slice, which is at most 64 steps of tasks
 * or 50 microseconds and the step in which they end, is always done.
 */
NEAP_API int neap_run_for(neap_Vm *vm, double seconds);

/* == Async functions in C ============================================= */

/*
 * Wraps the function on top of the stack as an async function: called, it
 * gives a coroutine object; awaited, the function runs on the task's own
 * stack, where it may park with neap_await. `name` (may be NULL) is for
 * messages.
 */
NEAP_API void neap_async(lua_State *L, const char *name);

typedef struct neap_Async {
  const char *name;
  lua_CFunction body;
} neap_Async;

/* Sets each of `list` (ended by a NULL name) as an async function in the
 * table on top of the stack. */
NEAP_API void neap_setasync(lua_State *L, const neap_Async *list);

/* == Waiting: how C parks a task and wakes it ========================== */

typedef struct neap_Wait neap_Wait;

/*
 * A place where one task can wait. Embed it zeroed in your struct. `abort`,
 * if set, is called when the task is cancelled while parked, but not once it
 * was woken: it gives the operation up. The task leaves the place in any case
 * and a wake that comes later is dropped. `what` says what is waited for
 * ("read"), for people; static or as long-lived as the wait. `detail`, if set,
 * writes on what ("127.0.0.1:80") when somebody looks, at most `size` bytes
 * with the NUL.
 */
struct neap_Wait {
  struct neap_Task *task; /* the machine's own */
  uint32_t turn;
  void (*abort)(neap_Wait *w);
  const char *what;
  void (*detail)(const neap_Wait *w, char *text, size_t size);
};

/* Runs on the task's own stack (the caller's arguments still at 1..n), after
 * a wake, and pushes values or raises; returns the number of values. */
typedef int (*neap_Done)(lua_State *L, int status);

/*
 * Parks the running task on `w` until neap_wake or cancellation; then `done`
 * runs on the task's own stack. Written `return neap_await(L, w, done);`.
 * Raises if no task runs, if C code between cannot be suspended, or if
 * another task is parked on `w` already. When the task was cancelled, the
 * cancellation is raised instead of calling `done`.
 */
NEAP_API int neap_await(lua_State *L, neap_Wait *w, neap_Done done);

/*
 * Raises what neap_await would raise here if no task could wait: to be called
 * before starting what cannot be taken back.
 */
NEAP_API void neap_await_check(lua_State *L);

/*
 * Makes the task parked on `w` ready to run, with `status` for its `done`; 0
 * if nobody was parked (any more).
 */
NEAP_API int neap_wake(neap_Wait *w, int status);

/* 1 if a task is parked on `w` and was not yet woken. */
NEAP_API int neap_waiting(const neap_Wait *w);

/*
 * Awaits the value at `index` (coroutine object, Task, Future, __await) from
 * C, then runs `done` with its values on top of those the function had, or
 * raises its error. Written `return neap_await_value(L, index, done)`.
 * `done` gets status 0 and finds the count of values by lua_gettop.
 */
NEAP_API int neap_await_value(lua_State *L, int index, neap_Done done);

/* == Values: what crosses threads ===================================== */

enum {
  NEAP_NIL, NEAP_BOOLEAN, NEAP_INTEGER, NEAP_NUMBER, NEAP_STRING,
  NEAP_POINTER /* a light userdata */
};

/*
 * A value outside of any machine. What a function takes is copied, strings
 * too; a string may have zeros in it, and what is given has one behind it.
 */
typedef struct neap_Value {
  int type; /* NEAP_NIL ... */
  union {
    int boolean;
    lua_Integer integer;
    lua_Number number;
    const char *string;
    void *pointer;
  } as;
  size_t length; /* of the string */
} neap_Value;

static inline neap_Value neap_nil(void) {
  neap_Value v = {NEAP_NIL, {0}, 0};
  return v;
}
static inline neap_Value neap_boolean(int b) {
  neap_Value v = {NEAP_BOOLEAN, {0}, 0};
  v.as.boolean = b != 0;
  return v;
}
static inline neap_Value neap_integer(lua_Integer i) {
  neap_Value v = {NEAP_INTEGER, {0}, 0};
  v.as.integer = i;
  return v;
}
static inline neap_Value neap_number(lua_Number n) {
  neap_Value v = {NEAP_NUMBER, {0}, 0};
  v.as.number = n;
  return v;
}
static inline neap_Value neap_lstring(const char *s, size_t length) {
  neap_Value v = {NEAP_STRING, {0}, 0};
  v.as.string = s;
  v.length = length;
  return v;
}
static inline neap_Value neap_string(const char *s) {
  size_t n = 0;
  while (s[n] != '\0') n++;
  return neap_lstring(s, n);
}
static inline neap_Value neap_pointer(void *p) {
  neap_Value v = {NEAP_POINTER, {0}, 0};
  v.as.pointer = p;
  return v;
}

/* == Tokens: a wait that any thread may end =========================== */

/*
 * For an operation that ends by a callback which is not libuv's, on whatever
 * thread. An async function takes a token, gives it to the operation and
 * waits:
 *
 *   static void on_rows(void *token, int count) {
 *     neap_Value rows = neap_integer(count);
 *     neap_token_resolve(token, &rows, 1);
 *   }
 *
 *   static int async_count(lua_State *L) {
 *     const char *table = luaL_checkstring(L, 1);
 *     neap_Token *token = neap_token_new(L, NULL, NULL);
 *     db_count(table, on_rows, token);
 *     return neap_token_await(L, token);
 *   }
 *
 * The token is the operation's from neap_token_new on, until it gives it back
 * by neap_token_resolve or neap_token_reject, which must be called once,
 * whatever has become of the task and even of the machine.
 */
typedef struct neap_Token neap_Token;

/*
 * Makes a token and pushes an object that must stay on the stack until
 * neap_token_await. `cancelled` (may be NULL) is called on the machine's
 * thread with `data`, at most once, if the task is cancelled before the token
 * is given back, or never comes to wait. It may give the token back itself.
 * Raises outside of a task, like neap_await_check, and out of memory.
 */
NEAP_API neap_Token *neap_token_new(lua_State *L,
                                    void (*cancelled)(void *data),
                                    void *data);

/*
 * Parks the running task until the token has been given back; at once if
 * that has happened. Written `return neap_token_await(L, token)`: the values
 * are those of the await.
 */
NEAP_API int neap_token_await(lua_State *L, neap_Token *token);

/*
 * Give the token back, from any thread: with `n` values, or with an error,
 * which the script gets as from neap_fail: an asyncio.OSError for a negative
 * `status` ("MESSAGE: reason"), an asyncio.Error for 0. Return 1; or 0 if the
 * task was cancelled before. `cancelled` has returned by then or will never
 * be called, so do not hold a lock that it takes. The token is void.
 */
NEAP_API int neap_token_resolve(neap_Token *token, const neap_Value *values,
                                int n);
NEAP_API int neap_token_reject(neap_Token *token, int status,
                               const char *message);

/* 1 if the task was cancelled: the result will not be looked at. From any
 * thread that has the token. */
NEAP_API int neap_token_cancelled(neap_Token *token);

/* == Worker threads: C functions that block =========================== */

/*
 * What is done on a thread of the machine's own, of which there are as many
 * as there is work for, up to neap_set_workers. An async function fills a
 * job and waits for it:
 *
 *   static void sum_run(void *job) { ... }     on a worker, no Lua
 *   static int sum_done(lua_State *L, void *job) {
 *     lua_pushinteger(L, ((Sum *)job)->result);
 *     return 1;
 *   }
 *   static const neap_Work sum_work = {"sum", sum_run, sum_done, NULL, NULL};
 *
 *   static int async_sum(lua_State *L) {
 *     int n = (int)luaL_checkinteger(L, 1);
 *     Sum *sum = neap_work_new(L, sizeof *sum, &sum_work);
 *     sum->n = n;
 *     return neap_work_await(L, sum);
 *   }
 *
 * A task that is cancelled goes on at once. A job that has not begun by then
 * never will; one that runs is told by `cancel` and runs to its end, and
 * neap_vm_free waits for that. Its memory stays as long as it runs.
 */
typedef struct neap_Work {
  const char *name;                   /* what is waited for, to people */
  void (*run)(void *job);             /* on a worker thread */
  int (*done)(lua_State *L, void *job); /* on the task's stack; as neap_Done */
  void (*cancel)(void *job);  /* NULL, or called on the machine's thread while
                               * `run` may be running, to make it end soon */
  void (*release)(void *job); /* NULL, or called on the machine's thread just
                               * before the job's memory is freed; no Lua */
} neap_Work;

/*
 * Makes a job: `size` bytes, zeroed, and pushes an object that must stay on
 * the stack until neap_work_await: read the arguments before. `work` must
 * live as long as the machine. Raises outside of a task, like
 * neap_await_check, and out of memory.
 */
NEAP_API void *neap_work_new(lua_State *L, size_t size,
                             const neap_Work *work);

/* Hands the job to a worker thread and parks the running task until it is
 * done. Written `return neap_work_await(L, job)`. */
NEAP_API int neap_work_await(lua_State *L, void *job);

/* 1 if the task was cancelled: for `run`, to end soon. */
NEAP_API int neap_work_cancelled(void *job);

/* How many worker threads there may be, 4 if nothing was said; 1 to 1024.
 * Those that are there already stay. */
NEAP_API void neap_set_workers(neap_Vm *vm, int n);

/*
 * How many threads libuv has for files, those of all machines in the process:
 * 4, or what the environment variable UV_THREADPOOL_SIZE says, or `n`, from 1
 * to 1024, which starts them. To be called before anything was done with
 * files, and while no other threads are made or look at the environment. 0, or
 * UV_EINVAL for another number, or UV_EALREADY (on Linux) if they were there.
 */
NEAP_API int neap_set_file_threads(int n);

/* == Other threads: what they may have done in a machine ============== */

/*
 * These may be called from any thread, the machine's own too, as long as the
 * machine is there: whoever frees it sees to it that nobody calls neap_submit
 * or neap_call_start for it any more. Not from signal handlers.
 */

/*
 * Has f(L, data) called on the machine's thread, once, in the loop's next
 * turn and outside of any task. It may raise, which goes to the loop's
 * exception handler. Calls come in the order in which they were submitted.
 * 0; UV_ENOMEM; or NEAP_ECLOSED if the machine is being freed. What was
 * submitted before that is still called.
 */
NEAP_API int neap_submit(neap_Vm *vm, void (*f)(lua_State *L, void *data),
                         void *data);

/* A call of a script's function by another thread, and what comes of it. */
typedef struct neap_Call neap_Call;

/*
 * Starts a task that runs the function `name`, a global or a field of one
 * ("handlers.login"), plain or async, with `n` arguments. NULL if memory is
 * out or the machine is being freed. It is yours to free.
 */
NEAP_API neap_Call *neap_call_start(neap_Vm *vm, const char *name,
                                    const neap_Value *args, int n);

/*
 * Waits until the call has ended, at most `timeout_ms` (-1: without limit).
 * LUA_OK; LUA_ERRRUN, also if there is no such function or a result is of a
 * type that cannot leave the machine; LUA_ERRMEM; NEAP_ECANCELED; or
 * UV_ETIMEDOUT if it has not ended yet. UV_EBUSY on the machine's own thread
 * inside of a task or callback, where it could never end.
 */
NEAP_API int neap_call_wait(neap_Call *call, int timeout_ms);

/* After LUA_OK: the results and their count. Lent until neap_call_free. */
NEAP_API const neap_Value *neap_call_values(const neap_Call *call, int *n);

/* After an error: its text as neap_error_text has it. Lent until
 * neap_call_free. NULL if there is none. */
NEAP_API const char *neap_call_error(const neap_Call *call);

/* Cancels the task, if it has not ended. The machine may be gone. */
NEAP_API void neap_call_cancel(neap_Call *call);

/* Lets go of the call; the task goes on. The machine may be gone. NULL is
 * allowed. */
NEAP_API void neap_call_free(neap_Call *call);

/* == Events: a queue from C into scripts ============================== */

/*
 * An object that scripts read from, and C puts into from any thread:
 *
 *   for name, x, y in events:items() do ... end
 *   local name, x, y = await events:get()
 *
 * items() ends when the queue was closed and is empty, get() then raises a
 * QueueShutDown. Several tasks may read; each event goes to one. Scripts
 * have also qsize() and close().
 */
typedef struct neap_Events neap_Events;

/*
 * Pushes a new queue, for at most `bound` events (0: no limit), and returns
 * what C has of it, which is yours to free. Raises when memory is out.
 */
NEAP_API neap_Events *neap_events_new(lua_State *L, size_t bound);

/*
 * Puts an event of `n` values, at least one, at the end, from any thread. 0;
 * UV_EAGAIN if the queue is full; UV_ENOMEM; or NEAP_ECLOSED if it was
 * closed, by either side, or the machine is gone.
 */
NEAP_API int neap_events_push(neap_Events *events, const neap_Value *values,
                              int n);

/* Lets nothing more in, and frees C's side of it, from any thread. Scripts
 * read what is left. NULL is allowed. */
NEAP_API void neap_events_free(neap_Events *events);

/* == Timers: many deadlines over one libuv timer ======================= */

/*
 * A timer of the machine, embedded zeroed in your struct; it must stay in
 * place while started. `fire` runs from the loop, outside any task, must not
 * raise, and finds the timer stopped.
 */
typedef struct neap_Timer neap_Timer;
struct neap_Timer {
  uint32_t index, seq; /* the machine's own */
  void (*fire)(neap_Vm *vm, neap_Timer *t);
};

/* Nanoseconds of the machine's monotonic clock. */
NEAP_API uint64_t neap_now(void);

/* Starts (or moves) `t` to fire at `when` ns; 0 or UV_ENOMEM. */
NEAP_API int neap_timer_start(neap_Vm *vm, neap_Timer *t, uint64_t when);

/* Stops `t`; harmless if it is not started. */
NEAP_API void neap_timer_stop(neap_Vm *vm, neap_Timer *t);

/* == Callbacks: Lua functions that the loop calls ====================== */

/*
 * A Lua function for libuv's callbacks, which may not touch Lua, to have
 * called: in the loop's next turn and outside any task, like those of
 * loop:call_soon. It keeps nothing alive and counts as no task.
 */
typedef struct neap_Callback neap_Callback;

/* Keeps the function at `index`, no async one, until neap_callback_free, or
 * until the machine is freed, after which the pointer is void. */
NEAP_API neap_Callback *neap_callback_new(lua_State *L, int index);

/* Has it called without arguments; asked again before that, once for all.
 * Its errors go to the loop's exception handler. */
NEAP_API void neap_callback_call(neap_Callback *c);

/* It is not called any more, even if that was asked. NULL is allowed. */
NEAP_API void neap_callback_free(neap_Callback *c);

/* == Handles: things that open and close ============================== */

/*
 * The first member of a module's struct. The struct lives until libuv has
 * closed it and Lua has collected its object, whichever is last.
 */
typedef struct neap_Handle neap_Handle;
struct neap_Handle {
  neap_Vm *vm;
  struct uv_handle_s *uv;      /* NULL before opened and after closed */
  const struct neap_Class *cls;
  neap_Handle *prev, *next;    /* all live handles of the machine */
  size_t size;                 /* of the struct around it */
  uint32_t pins;
  uint8_t state, kind;         /* the machine's own */
};

/*
 * A class of handles. `close` is called once, when the handle is closed by
 * the script, by <close>, by collection or by the machine: it wakes who is
 * parked in it with NEAP_ECLOSED and gives up what is not libuv's. The
 * machine then calls uv_close on the opened uv handle. `release` (may be
 * NULL) runs just before the memory is freed: no Lua, no libuv there.
 */
typedef struct neap_Class {
  const char *name;   /* "neap.Stream"; to people, without its "neap." */
  void (*close)(neap_Handle *h);
  void (*release)(neap_Handle *h);
} neap_Class;

/*
 * Registers the class: makes its metatable with `methods` (plain C
 * functions, may be NULL), `async` ones (may be NULL), close, closed,
 * __close, __gc, __name, __tostring and __index. Methods that are called
 * __await, __concat or __tostring are metamethods. Pushes the method table, so
 * that a Lua half can add to it; a script cannot reach the metatable. Calling
 * it again pushes the same table.
 */
struct luaL_Reg;
NEAP_API void neap_class_new(lua_State *L, const neap_Class *cls,
                             const struct luaL_Reg *methods,
                             const neap_Async *async);

/*
 * Has getmetatable give a copy of the metatable on top, with its __name,
 * __index and __await, so that no script can call or replace the others.
 */
NEAP_API void neap_metatable_hide(lua_State *L);

/* Pushes a new object of the class; its struct is zeroed and `size` bytes. */
NEAP_API void *neap_handle_new(lua_State *L, size_t size,
                               const neap_Class *cls);

/*
 * Says that `uv` (inside the struct) was initialised with uv_*_init; it will
 * be closed with the object. uv->data is set to the handle.
 */
NEAP_API void neap_handle_opened(neap_Handle *h, void *uv);

/*
 * Counts a new handle as one of a kind, until it is closed; raises if there
 * are as many as the limits allow.
 */
enum { NEAP_KIND_FILE = 1, NEAP_KIND_SOCKET, NEAP_KIND_PROCESS };
NEAP_API void neap_handle_count(lua_State *L, neap_Handle *h, int kind);

/* The struct of the open object at `index`; raises if it is none or closed. */
NEAP_API void *neap_handle_check(lua_State *L, int index,
                                 const neap_Class *cls);

/* The same, or NULL if it is not of the class; closed ones are given too. */
NEAP_API void *neap_handle_test(lua_State *L, int index,
                                const neap_Class *cls);

/* Pushes the object of `h` (nil if Lua has collected it). */
NEAP_API void neap_handle_push(lua_State *L, neap_Handle *h);

/* 1 if `h` was closed or is closing. */
NEAP_API int neap_handle_closed(const neap_Handle *h);

/* Closes `h` now; harmless the second time. */
NEAP_API void neap_handle_close(neap_Handle *h);

/*
 * Keeps `h`'s struct alive while a request that points into it is in flight
 * (uv_write_t, uv_fs_t ...), until unpinned as often.
 */
NEAP_API void neap_handle_pin(neap_Handle *h);
NEAP_API void neap_handle_unpin(neap_Handle *h);

/*
 * Says that a request of libuv that belongs to no handle is in flight, and
 * that its callback has come: neap_vm_free waits until all have. A pin says
 * the same.
 */
NEAP_API void neap_request_begin(neap_Vm *vm);
NEAP_API void neap_request_end(neap_Vm *vm);

/* == Errors =========================================================== */

/*
 * Raises an asyncio.OSError for a libuv code or NEAP_E* (a DNSError for EAI_*,
 * "not enough memory" for UV_ENOMEM), with the script's line: the message
 * reads "WHAT: reason", WHAT formatted like lua_pushfstring; `code` is the
 * constant's name, "ECONNREFUSED" or "ECLOSED".
 */
NEAP_API int neap_fail(lua_State *L, int status, const char *what, ...);

/* Pushes what neap_fail would raise, for those who add fields to it; it is a
 * string for UV_ENOMEM. */
NEAP_API void neap_failure_new(lua_State *L, int status, const char *what);

/*
 * Raises the script's own mistake (a wrong argument, a closed object) as a
 * string "WHAT: reason" with the script's line, that of the caller of a Lua
 * half; the reason is formatted like lua_pushfstring. As luaL_error otherwise.
 */
NEAP_API int neap_misuse(lua_State *L, const char *what, const char *reason,
                         ...);

/*
 * What a value is, for such messages: the name of its class ("Stream",
 * "coroutine object"), or else of its type. Lent, like the class's name.
 */
NEAP_API const char *neap_typename(lua_State *L, int index);

/*
 * Pushes an Error object of the class named `cls` ("TimeoutError"), with its
 * position from `level`; code may be NULL. neap_raise also raises it.
 */
NEAP_API void neap_error_new(lua_State *L, const char *cls, int level,
                             const char *code, const char *message);
NEAP_API int neap_raise(lua_State *L, const char *cls, const char *code,
                        const char *message, ...);

/* == Modules ========================================================== */

/* A module that scripts can require: text in Lua, or a function in C. */
typedef struct neap_Module {
  const char *name;       /* as scripts require it: "neap.net" */
  const char *file;       /* what messages call the text; NULL: the name */
  const char *source;     /* Lua source, or NULL: then `open` is the module */
  size_t length;          /* of the source */
  lua_CFunction open;     /* as luaopen_NAME of Lua's modules, or NULL */
} neap_Module;

/*
 * Gives the scripts of a machine the modules of `list`, which a NULL name
 * ends and which must live as long as the machine. They go before those of
 * neap and before files. A text may await while it is loaded.
 */
NEAP_API void neap_preload(lua_State *L, const neap_Module *list);

/* The module of the build after `m`, the first one for NULL; NULL at the
 * end. */
NEAP_API const neap_Module *neap_module_next(const neap_Module *m);

/*
 * The modules of the build: a list of lists, one for each directory of
 * stdlib/, with NULL at its end. A host that links libneap.a and defines this
 * itself is linked with the modules that it names and no others, so it names
 * what these require, too; asyncio need not be named. It declares them by
 * their directories' names:
 *
 *   extern const neap_Module neap_module_fs[], neap_module_arguments[];
 *   const neap_Module *const neap_modules[] = {
 *     neap_module_fs, neap_module_arguments, NULL};
 */
extern const neap_Module *const neap_modules[];

/* A page of doc/ in the program: that of a module ("net") or of a subject. */
typedef struct neap_Page {
  const char *name;
  const char *text; /* Markdown */
} neap_Page;

/* The table the build makes out of doc/ and the comments beside the
 * functions of stdlib; ends with a NULL name. */
extern const neap_Page neap_pages[];

#ifdef __cplusplus
}
#endif

#endif
