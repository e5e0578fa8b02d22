/*
 * job.h - work on libuv's file threads that a task waits for.
 *
 * A job is one or several system calls in a row: `run` makes them on a file
 * thread, touching the job alone, and leaves what they gave in it. It owns
 * all that it needs, so that its task may be cancelled at any time: then it
 * is given up if no thread has it yet, and otherwise ends by itself, and
 * `discard` undoes what nobody will take.
 *
 * In Lua a job is a box, on top of the stack of the function that waits:
 *
 *   np_Job *job = np_job_new(L, "stat", run_stat, path, NULL);
 *   return np_job_await(L, job, stat_done);
 *
 *   static int stat_done(lua_State *L, int status) {
 *     np_Job *job = np_job_check(L, status);   // raises if it has failed
 *     ... push what job has ...
 *     np_job_drop(L, index of the box);         // sooner than the collector
 */
#ifndef NP_JOB_H
#define NP_JOB_H

#include <lua.h>
#include <stdatomic.h>
#include <stdint.h>
#include <uv.h>

#include "neap.h"

typedef struct np_Job np_Job;
struct np_Job {
  uv_work_t request;
  neap_Vm *vm;
  uv_loop_t *loop;
  neap_Wait wait;
  const char *name;              /* "stat", for messages */
  void (*run)(np_Job *job);      /* on a file thread; NULL: `begin` sees to
                                  * it and calls np_job_ended later */
  void (*begin)(np_Job *job);    /* on the loop just before, or NULL */
  void (*finish)(np_Job *job);   /* on the loop right after it, or NULL */
  void (*discard)(np_Job *job);  /* when freed with its result, or NULL */
  struct np_File *file;          /* in whose queue it is, or NULL */
  np_Job *prev, *next;           /* in that queue */
  void *owner;                   /* of the job's maker */
  int status;                    /* 0, or the code of what failed */
  int fd;
  atomic_int stop;               /* a long job had better end */
  uint8_t pins;                  /* which of its paths ... */
  uint8_t pinned;                /* ... no link may lead away from: then what
                                  * they end with must not be followed */
  uint8_t state;                 /* job.c's own */
  uint8_t orphan;                /* nobody takes the result */
  int flags, mode;               /* whatever `run` takes and gives */
  int64_t offset;
  size_t size, done;
  double times[2];
  char *data;                    /* freed with the job */
  size_t counted;                /* of it, as memory of the machine's ... */
  size_t most;                   /* ... which may have so much more */
  uv_stat_t stat;
  const char *path, *other;      /* in `text`; may be NULL */
  char text[];
};

/* In a sandbox the paths of a job are pinned while it runs, see
 * neap_permit_pin; np_job_bare sets both. */
enum { NP_PIN_PATH = 1, NP_PIN_OTHER = 2, NP_PIN_MAKE = 4 };

/* == Making and starting ============================================= */

/* Pushes the box of a new job; the paths are copied and may be NULL. */
np_Job *np_job_new(lua_State *L, const char *name, void (*run)(np_Job *),
                   const char *path, const char *other);

/* Gives the job memory for `size` bytes in data; raises if there is none. */
void np_job_room(lua_State *L, np_Job *job, size_t size);

/* Starts the job, whose box is on top, and parks the task. */
int np_job_await(lua_State *L, np_Job *job, neap_Done done);

/* A job that has no box; NULL when memory is out. */
np_Job *np_job_bare(neap_Vm *vm, const char *name, void (*run)(np_Job *),
                    const char *path, const char *other);

/* Starts a bare job. It frees itself when it has ended. */
void np_job_send(np_Job *job);

/* == In the queue of a file: see file.c =============================== */

/* Starts a job that its file has kept back until now. */
void np_job_run(np_Job *job);

/* It has ended with `status`, without a thread. */
void np_job_ended(np_Job *job, int status);

/* Its task stops waiting, with `status`; see above for the rest. */
void np_job_abandon(np_Job *job, int status);

/* == Results ========================================================== */

/* The ended job of the box on top; raises if it has failed. */
np_Job *np_job_check(lua_State *L, int status);

/* The same, but gives a job that has failed, too. */
np_Job *np_job_get(lua_State *L, int status);

/* Raises what the job of the box on top has failed with. */
int np_job_fail(lua_State *L, np_Job *job);

/* Frees the job of the box at `index`. */
void np_job_drop(lua_State *L, int index);

/* `done` of a job that gives nothing. */
int np_job_nothing(lua_State *L, int status);

/* == Errors =========================================================== */

/* Raises an OSError "NAME PATH -> DEST: reason" with its path and dest. */
int np_fs_fail(lua_State *L, int status, const char *name, const char *path,
               const char *dest);

/* == Arguments ======================================================== */

/* The path at `index`, called `what` in messages; if a TempDir is there, it is
 * replaced by its path. */
const char *np_fs_path(lua_State *L, int index, const char *name,
                       const char *what);

/* The same for a path that a sandbox must permit (NEAP_MAY_READ and so on);
 * there the canonical path takes its place on the stack. */
const char *np_fs_permitted(lua_State *L, int index, const char *name,
                            const char *what, int may);

/* Raises if more than `most` arguments were given that are not nil. */
void np_fs_arguments(lua_State *L, const char *name, int most);

/* The same for a method, beside the object at 1. */
void np_fs_method(lua_State *L, const char *name, int most);

/* The integer at `index`, at least `least`. */
lua_Integer np_fs_integer(lua_State *L, int index, const char *name,
                          const char *what, lua_Integer least);

/* The string or number at `index`. */
const char *np_fs_bytes(lua_State *L, int index, const char *name,
                        const char *what, size_t *size);

#endif
