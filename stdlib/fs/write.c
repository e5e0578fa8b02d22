/*
 * write.c - what else is done with an open file: open, write, seek, truncate,
 * sync, stat. All but opening are jobs in the file's queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "fs.h"

/* Pushes the box of a job in the queue of the file at 1. */
static np_Job *file_job(lua_State *L, const char *name,
                        void (*run)(np_Job *)) {
  np_File *f = np_file_check(L);
  np_Job *job = np_job_new(L, name, run, f->path, NULL);
  job->file = job->owner = f;
  job->fd = f->fd;
  job->pins = 0; /* the path is for messages */
  return job;
}

static void check_writable(lua_State *L, const char *name) {
  if (!np_file_check(L)->writable)
    neap_misuse(L, name, "the file was not opened for writing");
}

/* == open ============================================================= */

/* Nothing may block a file thread for ever: hence O_NONBLOCK, which is
 * without effect on ordinary files. */
static void run_open(np_Job *job) {
  struct stat st;
  int flags = job->flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  if (job->pinned) flags |= O_NOFOLLOW;
  do job->fd = open(job->path, flags, job->mode);
  while (job->fd < 0 && errno == EINTR);
  if (job->fd < 0 || fstat(job->fd, &st) < 0)
    job->status = uv_translate_sys_error(errno);
  else if (S_ISDIR(st.st_mode))
    job->status = UV_EISDIR;
  job->stat.st_mode = st.st_mode;
}

void np_fs_discard_fd(np_Job *job) {
  if (job->fd >= 0) (void)close(job->fd);
}

static int open_done(lua_State *L, int status) {
  np_Job *job = np_job_check(L, status);
  int box = lua_gettop(L);
  job->mode = 0;
  (void)np_file_new(L, job);
  np_job_drop(L, box);
  return 1;
}

/* What a sandbox must permit for these flags of open. */
static int access_of(int flags) {
  int access = flags & O_ACCMODE;
  return (access != O_WRONLY ? NEAP_MAY_READ : 0) |
         (access != O_RDONLY || flags & (O_CREAT | O_TRUNC) ? NEAP_MAY_WRITE
                                                            : 0);
}

/* core.open(path, flags, mode) -> File */
static int fs_open(lua_State *L) {
  int flags = (int)luaL_checkinteger(L, 2);
  const char *path = np_fs_permitted(L, 1, "open", "path", access_of(flags));
  np_Job *job = np_job_new(L, "open", run_open, path, NULL);
  job->flags = flags;
  job->mode = (int)luaL_checkinteger(L, 3);
  job->discard = np_fs_discard_fd;
  return np_job_await(L, job, open_done);
}

/* == write ============================================================ */

/* 0 or a code; *done counts what was written. Appending, or without
 * positions, the offset is -1. */
int np_fs_write(int fd, const char *data, size_t size, int64_t offset,
                size_t *done) {
  ssize_t n;
  while (*done < size) {
    if (offset < 0)
      n = write(fd, data + *done, size - *done);
    else
      n = pwrite(fd, data + *done, size - *done, offset + (int64_t)*done);
    if (n >= 0) *done += (size_t)n;
    else if (errno != EINTR) return uv_translate_sys_error(errno);
  }
  return 0;
}

static void run_write(np_Job *job) {
  job->status = np_fs_write(job->fd, job->data, job->size, job->offset,
                            &job->done);
  if (job->flags) job->offset = lseek(job->fd, 0, SEEK_CUR);
}

static void write_begin(np_Job *job) {
  np_File *f = job->owner;
  np_file_forget(f);
  job->flags = f->append && f->pos >= 0;
  job->offset = f->append ? -1 : f->pos;
}

static void write_finish(np_Job *job) {
  np_File *f = job->owner;
  if (f->pos < 0) return;
  if (!job->flags) f->pos = job->offset + (int64_t)job->done;
  else if (job->offset >= 0) f->pos = job->offset;
}

/* In the loop: what the descriptor does not take waits for the poll. */
void np_file_write_on(np_File *f) {
  np_Job *job = f->active;
  int err;
  if (job->run != NULL) return;
  err = np_fs_write(job->fd, job->data, job->size, -1, &job->done);
  if (err == UV_EAGAIN) err = np_file_poll(f, UV_WRITABLE, 0);
  else (void)np_file_poll(f, UV_WRITABLE, 1); /* stopping cannot fail */
  if (err < 0 || job->done == job->size) np_job_ended(job, err);
}

static void polled_begin(np_Job *job) { np_file_write_on(job->owner); }

/* Sums up the sizes of the arguments 2 to `last`. */
static size_t sum(lua_State *L, int last) {
  size_t all = 0, size;
  int i;
  for (i = 2; i <= last; i++) {
    if (!lua_isstring(L, i))
      neap_misuse(L, "write", "argument %d must be a string, not %s", i - 1,
                   neap_typename(L, i));
    (void)lua_tolstring(L, i, &size);
    all += size;
  }
  return all;
}

static void copy(lua_State *L, np_Job *job, int last) {
  size_t size;
  int i;
  for (i = 2; i <= last; i++) {
    const char *text = lua_tolstring(L, i, &size);
    memcpy(job->data + job->size, text, size);
    job->size += size;
  }
}

/**
 * async file:write(...)
 *
 * Writes strings and numbers, one after the other, at the position (with
 * `"a"`, at the end of the file), and returns when the kernel has all of it.
 * If the task is cancelled after the writing began, it is completed.
 */
static int file_write(lua_State *L) {
  int last = lua_gettop(L);
  np_File *f = np_file_check(L);
  size_t size = sum(L, last);
  np_Job *job;
  check_writable(L, "write");
  if (size == 0) return 0;
  job = file_job(L, "write", f->polls ? NULL : run_write);
  np_job_room(L, job, size);
  copy(L, job, last);
  job->begin = f->polls ? polled_begin : write_begin;
  job->finish = write_finish;
  return np_job_await(L, job, np_job_nothing);
}

/* == seek ============================================================= */

static void run_seek(np_Job *job) {
  struct stat st;
  if (job->flags != SEEK_END) return;
  if (fstat(job->fd, &st) < 0) job->status = uv_translate_sys_error(errno);
  else if (S_ISBLK(st.st_mode)) st.st_size = lseek(job->fd, 0, SEEK_END);
  job->done = (size_t)st.st_size;
}

static int add(int64_t a, int64_t b, int64_t *sum_of) {
  return __builtin_add_overflow(a, b, sum_of) || *sum_of < 0;
}

/* What was read ahead stays if the new position is in it. */
static void seek_finish(np_Job *job) {
  np_File *f = job->owner;
  int64_t base = job->flags == SEEK_CUR ? f->pos : 0, to;
  if (job->status < 0) return;
  if (job->flags == SEEK_END) base = (int64_t)job->done;
  if (f->pos < 0) {
    job->status = UV_ESPIPE;
  } else if (add(base, job->offset, &to)) {
    job->status = UV_EINVAL;
  } else {
    if (to < f->pos || to > f->pos + (int64_t)np_buf_size(&f->in))
      np_file_forget(f);
    else
      np_buf_consume(&f->in, (size_t)(to - f->pos));
    f->want.scanned = 0;
    job->offset = f->pos = to;
  }
}

static int seek_done(lua_State *L, int status) {
  np_Job *job = np_job_check(L, status);
  int64_t offset = job->offset;
  np_job_drop(L, -1);
  lua_pushinteger(L, (lua_Integer)offset);
  return 1;
}

static int whence_of(lua_State *L) {
  const char *name = lua_isnoneornil(L, 2) ? "cur" : lua_tostring(L, 2);
  if (name != NULL && strcmp(name, "set") == 0) return SEEK_SET;
  if (name != NULL && strcmp(name, "cur") == 0) return SEEK_CUR;
  if (name != NULL && strcmp(name, "end") == 0) return SEEK_END;
  return neap_misuse(L, "seek",
                      "whence must be \"set\", \"cur\" or \"end\", not %s",
                      luaL_tolstring(L, 2, NULL));
}

static void seek_begin(np_Job *job) { np_job_ended(job, 0); }

/**
 * async file:seek([whence [, offset]]) -> position
 *
 * As in Lua: `whence` is `"set"`, `"cur"` (the default) or `"end"`. Raises an
 * OSError (`ESPIPE`) for what has no position.
 */
static int file_seek(lua_State *L) {
  int whence;
  lua_Integer offset = 0;
  np_Job *job;
  np_fs_method(L, "seek", 2);
  whence = whence_of(L);
  if (!lua_isnoneornil(L, 3))
    offset = np_fs_integer(L, 3, "seek", "offset", LUA_MININTEGER);
  job = file_job(L, "seek", whence == SEEK_END ? run_seek : NULL);
  job->flags = whence;
  job->offset = offset;
  if (job->run == NULL) job->begin = seek_begin;
  job->finish = seek_finish;
  return np_job_await(L, job, seek_done);
}

/* == truncate, sync, stat ============================================= */

static void run_truncate(np_Job *job) {
  if (ftruncate(job->fd, job->offset) < 0)
    job->status = uv_translate_sys_error(errno);
}

static void truncate_begin(np_Job *job) {
  np_File *f = job->owner;
  np_file_forget(f);
  if (job->flags) job->offset = f->pos;
}

/**
 * async file:truncate([size])
 *
 * Cuts the file to `size` bytes, or fills it up with zeros; without `size`, at
 * the position. The position stays.
 */
static int file_truncate(lua_State *L) {
  int here = lua_isnoneornil(L, 2);
  lua_Integer size = here ? 0 : np_fs_integer(L, 2, "truncate", "size", 0);
  np_Job *job;
  np_fs_method(L, "truncate", 1);
  check_writable(L, "truncate");
  job = file_job(L, "truncate", run_truncate);
  job->flags = here;
  job->offset = size;
  job->begin = truncate_begin;
  return np_job_await(L, job, np_job_nothing);
}

static void run_sync(np_Job *job) {
  if (fsync(job->fd) < 0) job->status = uv_translate_sys_error(errno);
}

/**
 * async file:sync()
 *
 * Returns when the kernel has written everything to the disk.
 */
static int file_sync(lua_State *L) {
  np_fs_method(L, "sync", 0);
  return np_job_await(L, file_job(L, "sync", run_sync), np_job_nothing);
}

static void run_stat(np_Job *job) {
  uv_fs_t req;
  job->status = uv_fs_fstat(NULL, &req, job->fd, NULL);
  job->stat = req.statbuf;
  uv_fs_req_cleanup(&req);
}

/**
 * async file:stat() -> table
 *
 * As fs.stat, of the open file.
 */
static int file_stat(lua_State *L) {
  np_fs_method(L, "stat", 0);
  return np_job_await(L, file_job(L, "stat", run_stat), np_fs_stat_done);
}

/* == path, and waiting for the end ==================================== */

/**
 * file:path() -> string
 *
 * The path it was opened with.
 */
static int file_path(lua_State *L) {
  np_File *f = neap_handle_test(L, 1, &np_file_class);
  if (f == NULL) return luaL_typeerror(L, 1, "File");
  lua_pushstring(L, f->path);
  return 1;
}

static int gone_done(lua_State *L, int status) {
  np_File *f = neap_handle_test(L, 1, &np_file_class);
  if (status == 0) status = f->close_status;
  if (status < 0) return np_fs_fail(L, status, "close", f->path, NULL);
  return 0;
}

/* file:_gone(): returns when the descriptor of a closed file is closed */
static int file_gone(lua_State *L) {
  np_File *f = neap_handle_test(L, 1, &np_file_class);
  if (f == NULL) return luaL_typeerror(L, 1, "File");
  if (f->fd < 0) return gone_done(L, 0);
  return neap_await(L, &f->closer, gone_done);
}

const luaL_Reg np_file_methods[] = {
  {"path", file_path},
  {NULL, NULL}
};

const neap_Async np_file_ops[] = {
  {"write", file_write},
  {"seek", file_seek},
  {"truncate", file_truncate},
  {"sync", file_sync},
  {"stat", file_stat},
  {"_gone", file_gone},
  {NULL, NULL}
};

const neap_Async np_open_ops[] = {{"open", fs_open}, {NULL, NULL}};
