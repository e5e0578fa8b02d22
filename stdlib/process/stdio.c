/*
 * stdio.c - our own standard streams: descriptors of our own for them, and
 * the class StandardFile for what cannot be waited for, like files.
 *
 * What can be waited for is opened anew, because being non-blocking belongs
 * to the open file, which other programs share with us. A file is read and
 * written by libuv's threads, one operation at a time; one whose task was
 * cancelled goes on, and the next one waits for it and has its result.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <uv.h>

#include "process.h"

#define KEPT ((size_t)64 << 10) /* of memory, between two reads */

typedef struct File {
  neap_Handle handle; /* first */
  uv_fs_t request;
  uv_loop_t *loop;
  neap_Wait wait;
  char *bytes;      /* being read or written */
  size_t counted;   /* of them, see neap_memory_count */
  size_t size, sent;
  ssize_t result;   /* of the last operation: bytes or a code */
  int fd;           /* 0 before it is opened and when it is closed */
  int busy;         /* the request is in flight */
  int writing;      /* and writes */
  int has_result;   /* bytes that were read and nobody has taken */
} File;

/* == libuv's side ===================================================== */

static void fd_close(File *f) {
  if (f->fd > 0) (void)close(f->fd);
  f->fd = 0;
}

static int request_start(File *f, uv_fs_cb on_done) {
  uv_buf_t buf = uv_buf_init(f->bytes + f->sent,
                             (unsigned)(f->size - f->sent));
  return f->writing
             ? uv_fs_write(f->loop, &f->request, f->fd, &buf, 1, -1, on_done)
             : uv_fs_read(f->loop, &f->request, f->fd, &buf, 1, -1, on_done);
}

static void on_done(uv_fs_t *request) {
  File *f = request->data;
  f->result = request->result;
  uv_fs_req_cleanup(request);
  if (f->writing && f->result > 0) {
    f->sent += (size_t)f->result;
    if (f->sent < f->size && !neap_handle_closed(&f->handle)) {
      int err = request_start(f, on_done);
      if (err == 0) return;
      f->result = err;
    }
  }
  f->busy = 0;
  f->has_result = !f->writing;
  if (neap_handle_closed(&f->handle)) fd_close(f);
  (void)neap_wake(&f->wait, 0);
  neap_handle_unpin(&f->handle);
}

static void file_close(neap_Handle *h) {
  File *f = (File *)h;
  (void)neap_wake(&f->wait, NEAP_ECLOSED);
  if (!f->busy) fd_close(f);
}

static void bytes_free(File *f) {
  free(f->bytes);
  f->bytes = NULL;
  (void)neap_memory_count(f->handle.vm, &f->counted, 0); /* cannot fail */
}

static void file_release(neap_Handle *h) { bytes_free((File *)h); }

const neap_Class np_stdio_class = {"neap.StandardFile", file_close,
                                  file_release};

/* == Lua's side ======================================================= */

static File *file_check(lua_State *L) {
  return neap_handle_check(L, 1, &np_stdio_class);
}

/* Raises "read stdin: reason"; the file, at 1, may be closed by now. */
static int fail(lua_State *L, int status, const char *what) {
  const File *f = neap_handle_test(L, 1, &np_stdio_class);
  return neap_fail(L, status, "%s %s", what, f->wait.what);
}

/* file:_name() -> "stdin" */
static int file_name(lua_State *L) {
  lua_pushstring(L, file_check(L)->wait.what);
  return 1;
}

static int operation_start(lua_State *L, File *f, const char *name,
                           int writing, size_t size) {
  int err;
  char *bytes = NULL;
  if (neap_memory_count(f->handle.vm, &f->counted, size) == 0)
    bytes = realloc(f->bytes, size);
  if (bytes == NULL) return fail(L, UV_ENOMEM, name);
  f->bytes = bytes;
  f->size = size;
  f->sent = 0;
  f->writing = writing;
  f->request.data = f;
  if (writing) memcpy(bytes, lua_tostring(L, 2), size);
  err = request_start(f, on_done);
  if (err < 0) return fail(L, err, name);
  f->busy = 1;
  neap_handle_pin(&f->handle);
  return 0;
}

static int read_done(lua_State *L, int status);

/* file:_read(size) -> string, nil at the end */
static int file_read(lua_State *L) {
  File *f = file_check(L);
  size_t size = (size_t)luaL_checkinteger(L, 2);
  if (!f->busy && !f->has_result) operation_start(L, f, "read", 0, size);
  if (f->busy) return neap_await(L, &f->wait, read_done);
  if (f->result > 0)
    lua_pushlstring(L, f->bytes, (size_t)f->result);
  f->has_result = 0;
  if (f->result < 0) return fail(L, (int)f->result, "read");
  if (f->result == 0) lua_pushnil(L);
  if (f->size > KEPT) bytes_free(f);
  return 1;
}

static int read_done(lua_State *L, int status) {
  if (status < 0) return fail(L, status, "read");
  return file_read(L);
}

static int written(lua_State *L, int status) {
  File *f = neap_handle_test(L, 1, &np_stdio_class);
  if (status == 0 && f->result < 0) status = (int)f->result;
  if (status < 0) return fail(L, status, "write");
  return 0;
}

static int write_done(lua_State *L, int status);

/* file:_write(string): all of it; one that was begun before comes first */
static int file_write(lua_State *L) {
  File *f = file_check(L);
  size_t size;
  (void)luaL_checklstring(L, 2, &size);
  if (f->busy) return neap_await(L, &f->wait, write_done);
  if (size == 0) return 0;
  operation_start(L, f, "write", 1, size);
  return neap_await(L, &f->wait, written);
}

static int write_done(lua_State *L, int status) {
  if (status < 0) return fail(L, status, "write");
  return file_write(L);
}

const luaL_Reg np_stdio_methods[] = {
  {"_name", file_name},
  {NULL, NULL}
};

const neap_Async np_stdio_ops[] = {
  {"_read", file_read},
  {"_write", file_write},
  {NULL, NULL}
};

/* == Descriptors ====================================================== */

/* 1 if the kernel tells when something can be read or written, 0 if not (as
 * for files), or a code. */
static int is_pollable(int fd) {
  struct epoll_event event = {.events = EPOLLIN};
  int epoll = epoll_create1(EPOLL_CLOEXEC), error;
  if (epoll < 0) return uv_translate_sys_error(errno);
  error = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? errno : 0;
  (void)close(epoll);
  if (error == EPERM) return 0;
  return error != 0 ? uv_translate_sys_error(error) : 1;
}

/* Sockets cannot be opened anew, and some things not by us: these share
 * being non-blocking. */
static int fd_open(int number) {
  char path[32];
  int fd;
  snprintf(path, sizeof path, "/proc/self/fd/%d", number);
  fd = open(path, (number == 0 ? O_RDONLY : O_WRONLY) | O_NONBLOCK |
                      O_NOCTTY | O_CLOEXEC);
  return fd >= 0 ? fd : fcntl(number, F_DUPFD_CLOEXEC, 3);
}

/* core.standard(number, name) -> StandardFile, or a descriptor that is the
 * caller's */
int np_stdio_open(lua_State *L) {
  int number = (int)luaL_checkinteger(L, 1), fd;
  const char *name = luaL_checkstring(L, 2);
  int pollable;
  File *f;
  neap_permit(L, NEAP_MAY_PROCESS, name, NULL);
  pollable = is_pollable(number);
  if (pollable < 0) return neap_fail(L, pollable, "%s", name);
  if (pollable) {
    fd = fd_open(number);
    if (fd < 0) return neap_fail(L, uv_translate_sys_error(errno), "%s", name);
    neap_give_fd(L, fd);
    lua_pushinteger(L, fd);
    return 1;
  }
  f = neap_handle_new(L, sizeof *f, &np_stdio_class);
  f->loop = neap_loop(L);
  f->wait.what = name;
  fd = fcntl(number, F_DUPFD_CLOEXEC, 3);
  if (fd < 0) {
    pollable = uv_translate_sys_error(errno);
    neap_handle_close(&f->handle);
    return neap_fail(L, pollable, "%s", name);
  }
  f->fd = fd;
  return 1;
}
