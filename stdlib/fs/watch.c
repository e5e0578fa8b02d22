/*
 * watch.c - what the kernel tells about changes: the class Watch.
 *
 * A Watch is an inotify descriptor with any number of directories or files in
 * it. The kernel keeps what nobody has taken yet, up to a limit, and says when
 * there was more; so nothing is kept here. What the events mean is in
 * watch.lua.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs.h"

#if NP_HAVE_INOTIFY
#include <sys/inotify.h>

#define SPACE 8192 /* bytes of events that are taken at once */

typedef struct Watch {
  neap_Handle handle;
  uv_poll_t poll;
  neap_Wait wait;
  int fd;
  char path[]; /* of the root, for messages */
} Watch;

/* == libuv's side ===================================================== */

static void run_close(np_Job *job) { (void)close(job->fd); }

/* With many watches it takes its time. */
static void watch_close(neap_Handle *h) {
  Watch *w = (Watch *)h;
  np_Job *job;
  (void)neap_wake(&w->wait, NEAP_ECLOSED);
  if (w->fd < 0) return;
  if (h->uv != NULL) (void)uv_poll_stop(&w->poll);
  job = np_job_bare(h->vm, "close", run_close, NULL, NULL);
  if (job == NULL) {
    (void)close(w->fd);
  } else {
    job->fd = w->fd;
    np_job_send(job);
  }
  w->fd = -1;
}

static const neap_Class watch_class = {"neap.Watcher", watch_close, NULL};

static void on_poll(uv_poll_t *poll, int status, int events) {
  Watch *w = poll->data;
  (void)status;
  (void)events;
  (void)uv_poll_stop(poll); /* it always gives 0 */
  (void)neap_wake(&w->wait, 0);
}

/* == Lua's side ======================================================= */

static void set(lua_State *L, lua_Integer n, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_rawseti(L, -2, n);
}

/* Pushes {watch, mask, cookie, name, watch, mask ...}; no name is "". */
static int push_events(lua_State *L, const char *at, const char *end) {
  struct inotify_event event;
  lua_Integer n = 0;
  lua_createtable(L, 16, 0);
  while (at < end) {
    memcpy(&event, at, sizeof event);
    at += sizeof event;
    set(L, ++n, event.wd);
    set(L, ++n, event.mask);
    set(L, ++n, event.cookie);
    lua_pushstring(L, event.len > 0 ? at : ""); /* it is padded with NULs */
    lua_rawseti(L, -2, ++n);
    at += event.len;
  }
  return 1;
}

static int read_done(lua_State *L, int status);

static int read_go(lua_State *L, Watch *w) {
  char space[SPACE];
  ssize_t n;
  int err;
  if (neap_waiting(&w->wait))
    return neap_misuse(L, "next", "another task is waiting for events");
  do n = read(w->fd, space, sizeof space);
  while (n < 0 && errno == EINTR);
  if (n >= 0) return push_events(L, space, space + n);
  err = uv_translate_sys_error(errno);
  if (err == UV_EAGAIN && lua_toboolean(L, 2))
    return push_events(L, space, space);
  if (err == UV_EAGAIN) err = uv_poll_start(&w->poll, UV_READABLE, on_poll);
  if (err < 0) return np_fs_fail(L, err, "next", w->path, NULL);
  return neap_await(L, &w->wait, read_done);
}

static int read_done(lua_State *L, int status) {
  Watch *w = neap_handle_test(L, 1, &watch_class);
  if (status == 0 && neap_handle_closed(&w->handle)) status = NEAP_ECLOSED;
  if (status < 0) return np_fs_fail(L, status, "next", w->path, NULL);
  return read_go(L, w);
}

/* watch:_read([at_once]) -> {watch, mask, cookie, name ...} */
static int watch_read(lua_State *L) {
  return read_go(L, neap_handle_check(L, 1, &watch_class));
}

/* On a duplicate of the descriptor, which may be closed meanwhile. */
static void run_add(np_Job *job) {
  int flags = job->flags | (job->pinned ? IN_DONT_FOLLOW : 0);
  int wd = inotify_add_watch(job->fd, job->path, (uint32_t)flags);
  if (wd < 0) job->status = uv_translate_sys_error(errno);
  job->offset = wd;
}

static int add_done(lua_State *L, int status) {
  np_Job *job = np_job_check(L, status);
  lua_Integer wd = job->offset;
  np_job_drop(L, -1);
  lua_pushinteger(L, wd);
  return 1;
}

/* watch:_add(path, mask) -> number of the watch */
static int watch_add(lua_State *L) {
  Watch *w = neap_handle_check(L, 1, &watch_class);
  const char *path = np_fs_permitted(L, 2, "watch", "path", NEAP_MAY_READ);
  np_Job *job = np_job_new(L, "watch", run_add, path, NULL);
  job->flags = (int)luaL_checkinteger(L, 3);
  job->discard = np_fs_discard_fd;
  job->fd = fcntl(w->fd, F_DUPFD_CLOEXEC, 0);
  if (job->fd < 0) {
    job->status = uv_translate_sys_error(errno);
    return np_job_fail(L, job);
  }
  return np_job_await(L, job, add_done);
}

/* watch:_drop(number): it may be gone already */
static int watch_drop(lua_State *L) {
  Watch *w = neap_handle_check(L, 1, &watch_class);
  (void)inotify_rm_watch(w->fd, (int)luaL_checkinteger(L, 2));
  return 0;
}

/* core.watch(path) -> Watch */
int np_watch_new(lua_State *L) {
  size_t size;
  const char *path = luaL_checklstring(L, 1, &size);
  Watch *w = neap_handle_new(L, sizeof *w + size + 1, &watch_class);
  int err;
  memcpy(w->path, path, size + 1);
  w->fd = -1;
  neap_handle_count(L, &w->handle, NEAP_KIND_FILE);
  w->wait.what = "watch";
  w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  err = w->fd < 0 ? uv_translate_sys_error(errno) : 0;
  if (err == 0) err = uv_poll_init(neap_loop(L), &w->poll, w->fd);
  if (err < 0) {
    neap_handle_close(&w->handle);
    return np_fs_fail(L, err, "watch", path, NULL);
  }
  neap_handle_opened(&w->handle, &w->poll);
  return 1;
}

void np_watch_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"_drop", watch_drop}, {NULL, NULL}};
  static const neap_Async ops[] = {
    {"_read", watch_read}, {"_add", watch_add}, {NULL, NULL}};
  neap_class_new(L, &watch_class, methods, ops);
}

#else

int np_watch_new(lua_State *L) {
  return np_fs_fail(L, UV_ENOSYS, "watch", luaL_checkstring(L, 1), NULL);
}

void np_watch_open(lua_State *L) { lua_newtable(L); }

#endif
