/*
 * path.c - what is asked and said about one or two paths: stat, mkdir,
 * rename and so on. Each is one call of libuv's, made on a file thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs.h"

/* == stat, lstat ====================================================== */

const char *np_fs_type(unsigned mode) {
  switch (mode & S_IFMT) {
  case S_IFREG: return "file";
  case S_IFDIR: return "directory";
  case S_IFLNK: return "link";
  case S_IFIFO: return "fifo";
  case S_IFSOCK: return "socket";
  case S_IFCHR: return "char";
  case S_IFBLK: return "block";
  }
  return "unknown";
}

static void run_stat(np_Job *job) {
  uv_fs_t req;
  if (job->flags || job->pinned)
    job->status = uv_fs_lstat(NULL, &req, job->path, NULL);
  else
    job->status = uv_fs_stat(NULL, &req, job->path, NULL);
  job->stat = req.statbuf;
  uv_fs_req_cleanup(&req);
}

static void set_integer(lua_State *L, const char *name, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

static void set_time(lua_State *L, const char *name, uv_timespec_t t) {
  lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec / 1e9);
  lua_setfield(L, -2, name);
}

static void push_stat(lua_State *L, const uv_stat_t *st) {
  lua_createtable(L, 0, 16);
  lua_pushstring(L, np_fs_type((unsigned)st->st_mode));
  lua_setfield(L, -2, "type");
  set_integer(L, "size", st->st_size);
  set_integer(L, "mode", st->st_mode & 07777);
  set_integer(L, "uid", st->st_uid);
  set_integer(L, "gid", st->st_gid);
  set_integer(L, "nlink", st->st_nlink);
  set_integer(L, "ino", st->st_ino);
  set_integer(L, "dev", st->st_dev);
  set_integer(L, "rdev", st->st_rdev);
  set_integer(L, "blocks", st->st_blocks);
  set_integer(L, "blksize", st->st_blksize);
  set_time(L, "mtime", st->st_mtim);
  set_time(L, "atime", st->st_atim);
  set_time(L, "ctime", st->st_ctim);
  set_time(L, "birthtime", st->st_birthtim);
}

int np_fs_stat_done(lua_State *L, int status) {
  np_Job *job = np_job_check(L, status);
  uv_stat_t st = job->stat;
  np_job_drop(L, -1);
  push_stat(L, &st);
  return 1;
}

static int stat_path(lua_State *L, const char *name, int no_follow) {
  np_Job *job;
  np_fs_arguments(L, name, 1);
  job = np_job_new(L, name, run_stat,
                   np_fs_permitted(L, 1, name, "path", NEAP_MAY_READ |
                                   (no_follow ? NEAP_NO_FOLLOW : 0)), NULL);
  job->flags = no_follow;
  return np_job_await(L, job, np_fs_stat_done);
}

/**
 * async fs.stat(path) -> table
 * async fs.lstat(path) -> table
 *
 * What the system knows about a file; lstat does not follow a symbolic link.
 * Fields: `type` (`"file"`, `"directory"`, `"link"`, `"fifo"`, `"socket"`,
 * `"char"`, `"block"`), `size`, `mode` (the permission bits), `uid`, `gid`,
 * `nlink`, `ino`, `dev`, `rdev`, `blocks`, `blksize`, and the times `mtime`,
 * `atime`, `ctime`, `birthtime` in seconds with fractions.
 */
static int fs_stat(lua_State *L) { return stat_path(L, "stat", 0); }

/* fs.lstat(path) -> table */
static int fs_lstat(lua_State *L) { return stat_path(L, "lstat", 1); }

/* == exists =========================================================== */

static int exists_done(lua_State *L, int status) {
  np_Job *job = np_job_get(L, status);
  int err = job->status;
  if (err < 0 && err != UV_ENOENT && err != UV_ENOTDIR && err != UV_ELOOP)
    return np_job_fail(L, job);
  np_job_drop(L, -1);
  lua_pushboolean(L, err == 0);
  return 1;
}

/**
 * async fs.exists(path) -> boolean
 *
 * Follows links: false for one that leads nowhere. Raises if it cannot be told
 * (`EACCES`).
 */
static int fs_exists(lua_State *L) {
  const char *path;
  np_fs_arguments(L, "exists", 1);
  path = np_fs_permitted(L, 1, "exists", "path", NEAP_MAY_READ);
  return np_job_await(L, np_job_new(L, "exists", run_stat, path, NULL),
                      exists_done);
}

/* == Two paths ======================================================== */

static void run_rename(np_Job *job) {
  uv_fs_t req;
  job->status = uv_fs_rename(NULL, &req, job->path, job->other, NULL);
  uv_fs_req_cleanup(&req);
}

static void run_link(np_Job *job) {
  uv_fs_t req;
  job->status = uv_fs_link(NULL, &req, job->path, job->other, NULL);
  uv_fs_req_cleanup(&req);
}

static void run_symlink(np_Job *job) {
  uv_fs_t req;
  job->status = uv_fs_symlink(NULL, &req, job->path, job->other, 0, NULL);
  uv_fs_req_cleanup(&req);
}

static int two_paths(lua_State *L, const char *name, const char *first,
                     const char *second, void (*run)(np_Job *)) {
  const char *path, *other;
  np_Job *job;
  np_fs_arguments(L, name, 2);
  path = np_fs_path(L, 1, name, first);
  other = np_fs_path(L, 2, name, second);
  job = np_job_new(L, name, run, path, other);
  if (run == run_symlink) job->pins &= (uint8_t)~NP_PIN_PATH; /* a text */
  return np_job_await(L, job, np_job_nothing);
}

/* What has two names may be changed by both, and read by none that could not
 * be read before. */
static void permit_two(lua_State *L, const char *name) {
  const int both = NEAP_MAY_WRITE | NEAP_NO_FOLLOW;
  if (!neap_sandboxed(L)) return;
  np_fs_arguments(L, name, 2);
  (void)np_fs_permitted(L, 2, name, "dest", both);
  (void)np_fs_permitted(L, 1, name, "path",
                        both | (neap_permitted_read(L, 2) ? NEAP_MAY_READ
                                                          : 0));
}

/* A link may lead only to what can be read. */
static void permit_symlink(lua_State *L) {
  const char *target, *path, *slash;
  if (!neap_sandboxed(L)) return;
  np_fs_arguments(L, "symlink", 2);
  target = np_fs_path(L, 1, "symlink", "target");
  path = np_fs_permitted(L, 2, "symlink", "path",
                         NEAP_MAY_WRITE | NEAP_NO_FOLLOW);
  slash = strrchr(path, '/'); /* it is absolute */
  if (*target == '/') lua_pushvalue(L, 1);
  else lua_pushlstring(L, path, (size_t)(slash - path) + 1);
  if (*target != '/') lua_pushvalue(L, 1);
  if (*target != '/') lua_concat(L, 2);
  (void)neap_permit_path(L, 3, NEAP_MAY_READ, "symlink");
  lua_settop(L, 2);
}

/**
 * async fs.rename(path, dest)
 *
 * Replaces `dest` if that is a file.
 */
static int fs_rename(lua_State *L) {
  permit_two(L, "rename");
  return two_paths(L, "rename", "path", "dest", run_rename);
}

/**
 * async fs.link(path, dest)
 * async fs.symlink(target, path)
 *
 * A second name of a file; a symbolic link to `target`.
 */
static int fs_link(lua_State *L) {
  permit_two(L, "link");
  return two_paths(L, "link", "path", "dest", run_link);
}

/* fs.symlink(target, path) */
static int fs_symlink(lua_State *L) {
  permit_symlink(L);
  return two_paths(L, "symlink", "target", "path", run_symlink);
}

/* == readlink, realpath =============================================== */

static void take_string(np_Job *job, uv_fs_t *req) {
  if (job->status == 0) {
    job->data = strdup(req->ptr);
    if (job->data == NULL) job->status = UV_ENOMEM;
    else job->size = strlen(job->data);
  }
  uv_fs_req_cleanup(req);
}

static void run_readlink(np_Job *job) {
  uv_fs_t req;
  job->status = uv_fs_readlink(NULL, &req, job->path, NULL);
  take_string(job, &req);
}

/* A pinned one was canonical, and is taken for what it is until it has gone. */
static void run_realpath(np_Job *job) {
  uv_fs_t req;
  if (job->pinned) {
    run_stat(job);
    return;
  }
  job->status = uv_fs_realpath(NULL, &req, job->path, NULL);
  take_string(job, &req);
}

static int string_done(lua_State *L, int status) {
  np_Job *job = np_job_check(L, status);
  if (job->data != NULL) lua_pushlstring(L, job->data, job->size);
  else lua_pushstring(L, job->path);
  np_job_drop(L, -2);
  return 1;
}

static int string_of(lua_State *L, const char *name, void (*run)(np_Job *),
                     int may) {
  const char *path;
  np_fs_arguments(L, name, 1);
  path = np_fs_permitted(L, 1, name, "path", may);
  return np_job_await(L, np_job_new(L, name, run, path, NULL), string_done);
}

/**
 * async fs.readlink(path) -> string
 * async fs.realpath(path) -> string
 *
 * What a link says; the absolute path without links, `.` and `..`.
 */
static int fs_readlink(lua_State *L) {
  return string_of(L, "readlink", run_readlink,
                   NEAP_MAY_READ | NEAP_NO_FOLLOW);
}

/* fs.realpath(path) -> string */
static int fs_realpath(lua_State *L) {
  return string_of(L, "realpath", run_realpath, NEAP_MAY_READ);
}

/* == chmod, utime ===================================================== */

static void run_chmod(np_Job *job) {
  if (fchmodat(AT_FDCWD, job->path, (mode_t)job->mode,
               job->pinned ? AT_SYMLINK_NOFOLLOW : 0) < 0)
    job->status = uv_translate_sys_error(errno);
}

/* core.chmod(path, mode) */
static int fs_chmod(lua_State *L) {
  const char *path;
  np_Job *job;
  np_fs_arguments(L, "chmod", 2);
  path = np_fs_permitted(L, 1, "chmod", "path", NEAP_MAY_WRITE);
  job = np_job_new(L, "chmod", run_chmod, path, NULL);
  job->mode = (int)luaL_checkinteger(L, 2);
  return np_job_await(L, job, np_job_nothing);
}

static void run_utime(np_Job *job) {
  uv_fs_t req;
  job->status = (job->pinned ? uv_fs_lutime : uv_fs_utime)
      (NULL, &req, job->path, job->times[0], job->times[1], NULL);
  uv_fs_req_cleanup(&req);
}

static double time_at(lua_State *L, int index, const char *what) {
  if (lua_type(L, index) != LUA_TNUMBER)
    neap_misuse(L, "utime", "%s must be a number, not %s", what,
                 neap_typename(L, index));
  if (!(lua_tonumber(L, index) > -1e15 && lua_tonumber(L, index) < 1e15))
    neap_misuse(L, "utime", "%s is out of range", what);
  return lua_tonumber(L, index);
}

/**
 * async fs.utime(path [, atime [, mtime]])
 *
 * Sets the times of access and change in seconds with fractions. Without them
 * it is now; without `mtime` both are `atime`.
 */
static int fs_utime(lua_State *L) {
  const char *path;
  double times[2];
  uv_timeval64_t now;
  np_Job *job;
  np_fs_arguments(L, "utime", 3);
  path = np_fs_permitted(L, 1, "utime", "path", NEAP_MAY_WRITE);
  (void)uv_gettimeofday(&now); /* it fails only without `now` */
  times[0] = (double)now.tv_sec + now.tv_usec / 1e6;
  if (!lua_isnil(L, 2)) times[0] = time_at(L, 2, "atime");
  times[1] = lua_isnil(L, 3) ? times[0] : time_at(L, 3, "mtime");
  job = np_job_new(L, "utime", run_utime, path, NULL);
  memcpy(job->times, times, sizeof times);
  return np_job_await(L, job, np_job_nothing);
}

const neap_Async np_path_ops[] = {
  {"stat", fs_stat},
  {"lstat", fs_lstat},
  {"exists", fs_exists},
  {"rename", fs_rename},
  {"link", fs_link},
  {"symlink", fs_symlink},
  {"readlink", fs_readlink},
  {"realpath", fs_realpath},
  {"chmod", fs_chmod},
  {"utime", fs_utime},
  {NULL, NULL}
};
