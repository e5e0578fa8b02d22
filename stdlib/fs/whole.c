/*
 * whole.c - reading and writing whole files, each in one job.
 *
 * Four trips to a file thread for a small file cost more than its contents,
 * so opening, reading and closing are one.
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

#define FIRST 4096 /* for files that do not know their size, as in /proc */
#define MOST_LINKS 40
#define PATH_SIZE 4096 /* the system takes no longer ones */
#define TEMP_NAME 15 /* two dots, 12 random characters, a NUL */

enum { ATOMIC = 1, SYNC = 2, APPEND = 4, NO_READER = 8 };

static int code(void) { return uv_translate_sys_error(errno); }

static int open_retry(const char *path, int flags, int mode) {
  int fd;
  do fd = open(path, flags | O_CLOEXEC | O_NOCTTY, mode);
  while (fd < 0 && errno == EINTR);
  return fd;
}

/* == read_file ======================================================== */

static int grow(np_Job *job, size_t size) {
  char *data = size <= job->most ? realloc(job->data, size) : NULL;
  if (data == NULL) return UV_ENOMEM;
  job->data = data;
  job->size = size;
  return 0;
}

/* Reads to the end. If it is where the size said, which is 0 if that is not
 * known, one read tells: it could have given a byte more. */
static int read_all(np_Job *job, int fd, size_t known) {
  for (;;) {
    ssize_t n = read(fd, job->data + job->done, job->size - job->done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return code();
    if (n == 0) return 0;
    job->done += (size_t)n;
    if (job->done == known) return 0;
    if (atomic_load(&job->stop)) return UV_ECANCELED;
    if (job->done == job->size && grow(job, job->size * 2) < 0)
      return UV_ENOMEM;
  }
}

/* What is no ordinary file might never end: it is kept open in job->fd. */
static int kept(np_Job *job, int fd, const struct stat *st) {
  if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)) return 0;
  job->fd = fd;
  job->stat.st_mode = st->st_mode;
  return 1;
}

/* Pushes it as a File. */
static int push_kept(lua_State *L, np_Job *job, int access) {
  job->flags = access;
  job->mode = 0;
  (void)np_file_new(L, job);
  np_job_drop(L, -2);
  return 1;
}

static int read_open(np_Job *job, int fd) {
  struct stat st;
  if (fstat(fd, &st) < 0) return code();
  if (S_ISDIR(st.st_mode)) return UV_EISDIR;
  if (kept(job, fd, &st)) return 0;
  if ((uint64_t)st.st_size >= SIZE_MAX / 4) return UV_ENOMEM;
  if (grow(job, st.st_size > 0 ? (size_t)st.st_size + 1 : FIRST) < 0)
    return UV_ENOMEM;
  return read_all(job, fd, (size_t)st.st_size);
}

static int no_follow(const np_Job *job) {
  return job->pinned ? O_NOFOLLOW : 0;
}

static void run_read(np_Job *job) {
  int flags = O_RDONLY | O_NONBLOCK | no_follow(job);
  int fd = open_retry(job->path, flags, 0);
  if (fd < 0) {
    job->status = code();
    return;
  }
  job->status = read_open(job, fd);
  if (job->fd < 0) (void)close(fd); /* it was only read */
}

static void read_finish(np_Job *job) {
  if (neap_memory_count(job->vm, &job->counted, job->size) < 0)
    job->status = UV_ENOMEM;
}

static int read_done(lua_State *L, int status) {
  np_Job *job = np_job_check(L, status);
  if (job->fd >= 0) return push_kept(L, job, O_RDONLY);
  lua_pushlstring(L, job->done > 0 ? job->data : "", job->done);
  np_job_drop(L, -2);
  return 1;
}

/* core.read_file(path) -> string, or a File to read if it is no ordinary
 * one */
static int fs_read_file(lua_State *L) {
  const char *path;
  np_Job *job;
  np_fs_arguments(L, "read_file", 1);
  path = np_fs_permitted(L, 1, "read_file", "path", NEAP_MAY_READ);
  job = np_job_new(L, "read_file", run_read, path, NULL);
  job->discard = np_fs_discard_fd;
  job->most = neap_memory_left(neap_vm(L));
  job->finish = read_finish;
  return np_job_await(L, job, read_done);
}

/* == write_file, append_file ========================================== */

/* Writes, syncs if asked to, and closes. */
static int write_close(np_Job *job, int fd) {
  size_t done = 0;
  int err = np_fs_write(fd, job->data, job->size, -1, &done);
  if (err == 0 && (job->flags & SYNC) && fsync(fd) < 0) err = code();
  if (close(fd) < 0 && err == 0 && errno != EINTR) err = code();
  return err;
}

/* One that is no ordinary file must not block the thread: nothing is written
 * to it here. ENXIO is a FIFO that nobody reads. */
static int write_plain(np_Job *job) {
  int flags = O_WRONLY | O_CREAT | O_NONBLOCK | no_follow(job), fd;
  struct stat st;
  flags |= job->flags & APPEND ? O_APPEND : O_TRUNC;
  fd = open_retry(job->path, flags, job->mode);
  if (fd < 0 && errno == ENXIO) job->flags |= NO_READER;
  if (fd < 0) return job->flags & NO_READER ? 0 : code();
  if (fstat(fd, &st) == 0 && kept(job, fd, &st)) return 0;
  return write_close(job, fd);
}

/* The directory's entry is on the disk only when the directory is. File
 * systems that cannot do it have no other way either. */
static void sync_directory(char *path, size_t name) {
  char first = path[name];
  int fd;
  path[name] = '\0';
  fd = open_retry(name > 0 ? path : ".", O_RDONLY | O_DIRECTORY, 0);
  path[name] = first;
  if (fd < 0) return;
  (void)fsync(fd);
  (void)close(fd);
}

/* Gives a new file the owner and the mode of the one that it replaces. Who
 * may not give it away does not let others run it as its owner either. */
static int inherit(int fd, const struct stat *old) {
  mode_t mode = old->st_mode & 07777;
  if (fchown(fd, old->st_uid, old->st_gid) < 0) {
    (void)!fchown(fd, (uid_t)-1, old->st_gid); /* its group at least */
    mode &= 01777;
  }
  return fchmod(fd, mode) < 0 ? code() : 0;
}

/* To a new file `temp`, which then takes the place of `path`. */
static int replace(np_Job *job, const char *path, const char *temp) {
  struct stat st;
  int is_new = (job->pinned ? lstat : stat)(path, &st) < 0, fd, err;
  if (!is_new && !S_ISREG(st.st_mode))
    return S_ISDIR(st.st_mode) ? UV_EISDIR : UV_EINVAL;
  fd = open_retry(temp, O_WRONLY | O_CREAT | O_EXCL, job->mode);
  if (fd < 0) return code();
  err = is_new ? 0 : inherit(fd, &st);
  if (err == 0) err = write_close(job, fd);
  else (void)close(fd);
  if (err == 0 && rename(temp, path) < 0) err = code();
  if (err < 0) (void)unlink(temp);
  return err;
}

/* Makes `path`, which has PATH_SIZE bytes, that of the file which a link leads
 * to, however far; it need not be there yet. 0 or a code. */
static int follow(char *path) {
  char target[PATH_SIZE], *to;
  ssize_t n;
  int links;
  for (links = 0; links < MOST_LINKS; links++) {
    n = readlink(path, target, sizeof target);
    if (n < 0) return errno == EINVAL || errno == ENOENT ? 0 : code();
    to = target[0] == '/' ? NULL : strrchr(path, '/');
    to = to != NULL ? to + 1 : path;
    if (to + n >= path + PATH_SIZE) return UV_ENAMETOOLONG;
    memcpy(to, target, (size_t)n);
    to[n] = '\0';
  }
  return UV_ELOOP;
}

static int write_atomic(np_Job *job) {
  char path[PATH_SIZE], temp[PATH_SIZE + TEMP_NAME];
  const char *slash;
  size_t name;
  int err;
  if (strlen(job->path) >= sizeof path) return UV_ENAMETOOLONG;
  strcpy(path, job->path);
  err = job->pinned ? 0 : follow(path); /* a link stays a link */
  if (err < 0) return err;
  slash = strrchr(path, '/');
  name = slash != NULL ? (size_t)(slash - path) + 1 : 0;
  memcpy(temp, path, name);
  memcpy(temp + name, "..", 2);
  temp[name + TEMP_NAME - 1] = '\0';
  err = np_fs_random(temp + name + 2);
  if (err == 0) err = replace(job, path, temp);
  if (err == 0) sync_directory(temp, name);
  return err;
}

static void run_write(np_Job *job) {
  job->status = job->flags & ATOMIC ? write_atomic(job) : write_plain(job);
}

static int write_done(lua_State *L, int status) {
  np_Job *job = np_job_check(L, status);
  if (job->fd >= 0) return push_kept(L, job, O_WRONLY);
  lua_pushboolean(L, !(job->flags & NO_READER));
  np_job_drop(L, -2);
  return 1;
}

/* core.write_file(name, path, data, flags, mode) -> true, or a File to write
 * to if it is no ordinary one, or false if that has no reader yet */
static int fs_write_file(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const char *path = np_fs_permitted(L, 2, name, "path", NEAP_MAY_WRITE);
  const char *data;
  size_t size;
  np_Job *job;
  data = np_fs_bytes(L, 3, name, "data", &size);
  job = np_job_new(L, "write_file", run_write, path, NULL);
  job->flags = (int)luaL_checkinteger(L, 4);
  job->mode = (int)luaL_checkinteger(L, 5);
  job->discard = np_fs_discard_fd;
  if (job->flags & APPEND) job->name = "append_file";
  np_job_room(L, job, size);
  memcpy(job->data, data, size);
  job->size = size;
  return np_job_await(L, job, write_done);
}

const neap_Async np_whole_ops[] = {
  {"read_file", fs_read_file},
  {"write_file", fs_write_file},
  {NULL, NULL}
};
