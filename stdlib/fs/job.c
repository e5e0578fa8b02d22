/*
 * job.c - work on libuv's file threads: see job.h.
 *
 * Until a job is started, and when it has ended, its box owns it. In between
 * it owns itself; if its box is collected then, it is an orphan, and frees
 * itself when it has ended.
 */
#include <lauxlib.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "job.h"

enum { NEW, WAITING, RUNNING, ENDED };

/* The registry has the metatable of boxes under this address. */
static const char box_key = 0;

/* == Life ============================================================= */

static void on_abort(neap_Wait *w) {
  char *job = (char *)w - offsetof(np_Job, wait);
  np_job_abandon((np_Job *)(void *)job, 0);
}

static char *text_add(char *to, const char *text, const char **field) {
  size_t size;
  if (text == NULL) return to;
  size = strlen(text) + 1;
  *field = memcpy(to, text, size);
  return to + size;
}

static void detail(const neap_Wait *w, char *text, size_t size) {
  const char *at = (const char *)w - offsetof(np_Job, wait);
  const np_Job *job = (const np_Job *)(const void *)at;
  const char *path = job->file != NULL ? job->file->path : job->path;
  (void)snprintf(text, size, "%s", path != NULL ? path : "");
}

np_Job *np_job_bare(neap_Vm *vm, const char *name, void (*run)(np_Job *),
                    const char *path, const char *other) {
  size_t size = (path != NULL ? strlen(path) + 1 : 0) +
                (other != NULL ? strlen(other) + 1 : 0);
  np_Job *job = malloc(sizeof *job + size);
  if (job == NULL) return NULL;
  memset(job, 0, sizeof *job);
  job->vm = vm;
  job->loop = neap_loop(neap_state(vm));
  job->name = job->wait.what = name;
  job->wait.abort = on_abort;
  job->wait.detail = detail;
  job->run = run;
  job->fd = -1;
  if (neap_sandboxed(neap_state(vm))) job->pins = NP_PIN_PATH | NP_PIN_OTHER;
  (void)text_add(text_add(job->text, path, &job->path), other, &job->other);
  return job;
}

static void job_free(np_Job *job) {
  if (job->discard != NULL) job->discard(job);
  free(job->data);
  (void)neap_memory_count(job->vm, &job->counted, 0); /* cannot fail */
  free(job);
}

/* == On a file thread, in a sandbox =================================== */

typedef struct Pin {
  const char *path; /* as it was */
  int fd;
  char text[NEAP_PIN_SIZE];
} Pin;

static int pin(Pin *p, const char **path, int make) {
  p->path = *path;
  p->fd = -1;
  if (*path == NULL) return 0;
  p->fd = neap_permit_pin(*path, make, p->text, sizeof p->text);
  if (p->fd >= 0) *path = p->text;
  return p->fd >= 0 || p->fd == UV_ENOTSUP ? 0 : p->fd;
}

/* The job has made a path of its own, for messages or as what it gives: that
 * leads where the other one does. */
static int unpin_made(np_Job *job, const Pin *p) {
  size_t pinned = (size_t)(strrchr(p->text, '/') - p->text);
  size_t before = (size_t)(strrchr(p->path, '/') - p->path);
  size_t rest = strlen(job->data + pinned) + 1;
  char *made = malloc(before + rest);
  if (made == NULL) return UV_ENOMEM;
  memcpy(made, p->path, before);
  memcpy(made + before, job->data + pinned, rest);
  free(job->data);
  job->path = job->data = made;
  return 0;
}

static void unpin(np_Job *job, const Pin *p, const char **path) {
  if (p->fd < 0) return;
  (void)close(p->fd);
  if (*path == p->text) *path = p->path;
  else if (*path != NULL && *path == job->data && unpin_made(job, p) < 0)
    job->status = UV_ENOMEM;
}

static void run_pinned(np_Job *job) {
  Pin path = {NULL, -1, ""}, other = {NULL, -1, ""};
  int make = job->pins & NP_PIN_MAKE;
  if (job->pins & NP_PIN_PATH) job->status = pin(&path, &job->path, make);
  if (job->status == 0 && job->pins & NP_PIN_OTHER)
    job->status = pin(&other, &job->other, 0);
  job->pinned = path.fd >= 0 || other.fd >= 0;
  if (job->status == 0) job->run(job);
  else if (!(job->pins & NP_PIN_OTHER)) job->other = NULL; /* no path */
  unpin(job, &path, &job->path);
  unpin(job, &other, &job->other);
}

/* == libuv's side ===================================================== */

/* The next job of the file is started last: this one no longer counts. */
static void end(np_Job *job) {
  neap_Vm *vm = job->vm;
  np_File *file = job->file;
  job->state = ENDED;
  if (file != NULL) np_file_leave(job);
  (void)neap_wake(&job->wait, 0);
  if (job->orphan) job_free(job);
  if (file != NULL) np_file_next(file);
  neap_request_end(vm);
}

void np_job_ended(np_Job *job, int status) {
  if (status < 0) job->status = status;
  if (job->finish != NULL) job->finish(job);
  end(job);
}

static void on_work(uv_work_t *request) {
  np_Job *job = (np_Job *)request;
  if (job->status != 0) return;
  if (job->pins & (NP_PIN_PATH | NP_PIN_OTHER)) run_pinned(job);
  else job->run(job);
}

static void on_worked(uv_work_t *request, int status) {
  np_job_ended((np_Job *)request, status);
}

void np_job_run(np_Job *job) {
  job->state = RUNNING;
  if (job->begin != NULL) job->begin(job);
  if (job->run == NULL) return;
  /* It fails only without a function to run. */
  (void)uv_queue_work(job->loop, &job->request, on_work, on_worked);
}

static void start(np_Job *job) {
  neap_request_begin(job->vm);
  job->state = WAITING;
  if (job->file == NULL || np_file_enter(job)) np_job_run(job);
}

void np_job_send(np_Job *job) {
  job->orphan = 1;
  start(job);
}

void np_job_abandon(np_Job *job, int status) {
  atomic_store(&job->stop, 1);
  (void)neap_wake(&job->wait, status);
  if (job->state == WAITING) {
    job->status = UV_ECANCELED;
    end(job);
  } else if (job->state == RUNNING && job->run != NULL) {
    /* Fails if a thread has it already: then it ends by itself. */
    (void)uv_cancel((uv_req_t *)&job->request);
  }
}

/* == Boxes ============================================================ */

static int box_gc(lua_State *L) {
  np_job_drop(L, 1);
  return 0;
}

static void push_metatable(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &box_key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, box_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &box_key);
}

np_Job *np_job_new(lua_State *L, const char *name, void (*run)(np_Job *),
                   const char *path, const char *other) {
  np_Job **box;
  luaL_checkstack(L, 10, NULL);
  box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  push_metatable(L);
  lua_setmetatable(L, -2);
  *box = np_job_bare(neap_vm(L), name, run, path, other);
  if (*box == NULL) luaL_error(L, "not enough memory");
  return *box;
}

void np_job_room(lua_State *L, np_Job *job, size_t size) {
  if (neap_memory_count(job->vm, &job->counted, size) == 0)
    job->data = malloc(size > 0 ? size : 1);
  if (job->data == NULL) luaL_error(L, "not enough memory");
}

int np_job_await(lua_State *L, np_Job *job, neap_Done done) {
  neap_await_check(L);
  start(job);
  if (job->state == ENDED) return done(L, 0);
  return neap_await(L, &job->wait, done);
}

void np_job_drop(lua_State *L, int index) {
  np_Job **box = lua_touserdata(L, index), *job = *box;
  *box = NULL;
  if (job == NULL) return;
  if (job->state == WAITING || job->state == RUNNING)
    job->orphan = 1;
  else
    job_free(job);
}

np_Job *np_job_get(lua_State *L, int status) {
  np_Job *job = *(np_Job **)lua_touserdata(L, -1);
  if (status < 0) np_fs_fail(L, status, job->name, job->path, job->other);
  return job;
}

int np_job_fail(lua_State *L, np_Job *job) {
  return np_fs_fail(L, job->status, job->name, job->path, job->other);
}

np_Job *np_job_check(lua_State *L, int status) {
  np_Job *job = np_job_get(L, status);
  if (job->status < 0) np_job_fail(L, job);
  return job;
}

int np_job_nothing(lua_State *L, int status) {
  (void)np_job_check(L, status);
  np_job_drop(L, -1);
  return 0;
}
