/*
 * tree.c - making, removing and copying: mkdir, remove, copy. What concerns
 * many files here is one job, which ends early if its task is cancelled.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs.h"

#define COPY_STEP ((size_t)16 << 20) /* so much without asking for a stop */

enum { RECURSIVE = 1, MISSING_OK = 2 }; /* remove */

static int code(void) { return uv_translate_sys_error(errno); }

/* == mkdir ============================================================ */

static int is_directory(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Makes `path` and, from its end to its start, what is missing above it. */
static int make_parents(char *path, int mode) {
  char *slash;
  int err;
  if (mkdir(path, (mode_t)mode) == 0) return 0;
  err = code();
  if (err == UV_EEXIST || err == UV_EISDIR || err == UV_EROFS)
    return is_directory(path) ? 0 : err;
  if (err != UV_ENOENT) return err;
  slash = strrchr(path, '/');
  while (slash != NULL && slash > path && slash[-1] == '/') slash--;
  if (slash == NULL || slash == path) return err;
  *slash = '\0';
  err = make_parents(path, 0777);
  *slash = '/';
  if (err < 0 || mkdir(path, (mode_t)mode) == 0) return err;
  return errno == EEXIST && is_directory(path) ? 0 : code();
}

static void run_mkdir(np_Job *job) {
  if (job->flags) {
    char *path = strdup(job->path);
    job->status = path != NULL ? make_parents(path, job->mode) : UV_ENOMEM;
    free(path);
  } else if (mkdir(job->path, (mode_t)job->mode) < 0) {
    job->status = code();
  }
}

/* core.mkdir(path, parents, mode) */
static int fs_mkdir(lua_State *L) {
  const char *path = np_fs_permitted(L, 1, "mkdir", "path",
                                     NEAP_MAY_WRITE | NEAP_NO_FOLLOW);
  np_Job *job = np_job_new(L, "mkdir", run_mkdir, path, NULL);
  job->flags = lua_toboolean(L, 2);
  if (job->flags) job->pins |= NP_PIN_MAKE;
  job->mode = (int)luaL_checkinteger(L, 3);
  return np_job_await(L, job, np_job_nothing);
}

/* == remove =========================================================== */

/* Where in the tree we are: for the path of what cannot be removed. */
typedef struct Level {
  const struct Level *up;
  const char *name;
} Level;

typedef struct Removal {
  const atomic_int *stop; /* or NULL */
  char *failed;           /* path of what failed; may stay NULL */
} Removal;

/* The path in memory of its own; NULL when there is none. */
static char *path_of(const Level *at) {
  const Level *l;
  size_t size = 0;
  char *path;
  for (l = at; l != NULL; l = l->up)
    size += strlen(l->name) + (l->up != NULL);
  path = malloc(size + 1);
  if (path == NULL) return NULL;
  path[size] = '\0';
  for (l = at; l != NULL; l = l->up) {
    size -= strlen(l->name);
    memcpy(path + size, l->name, strlen(l->name));
    if (l->up != NULL) path[--size] = '/';
  }
  return path;
}

static int failed(Removal *r, const Level *at, int err) {
  if (r->failed == NULL) r->failed = path_of(at);
  return err;
}

static int remove_at(Removal *r, int parent, const Level *at);

/* Removes what is in the directory: a count, or a code. */
static int remove_inside(Removal *r, DIR *dir, const Level *at) {
  struct dirent *entry;
  int count = 0, err = 0;
  while (err == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
    Level below = {at, entry->d_name};
    if (strcmp(entry->d_name, ".") == 0) continue;
    if (strcmp(entry->d_name, "..") == 0) continue;
    if (r->stop != NULL && atomic_load(r->stop)) return UV_ECANCELED;
    err = remove_at(r, dirfd(dir), &below);
    count = 1;
  }
  if (err < 0) return err;
  return errno != 0 ? failed(r, at, code()) : count;
}

/* Again until nothing is left: some file systems skip names when others are
 * removed. */
static int remove_directory(Removal *r, int parent, const Level *at) {
  int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  int fd = openat(parent, at->name, flags), more;
  DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
  if (dir == NULL) {
    int err = code();
    if (fd >= 0) (void)close(fd);
    return failed(r, at, err);
  }
  while ((more = remove_inside(r, dir, at)) > 0) rewinddir(dir);
  (void)closedir(dir);
  if (more < 0) return more;
  if (unlinkat(parent, at->name, AT_REMOVEDIR) == 0) return 0;
  return errno == ENOENT ? 0 : failed(r, at, code());
}

/* 0 also if it was gone already. */
static int remove_at(Removal *r, int parent, const Level *at) {
  if (unlinkat(parent, at->name, 0) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR && errno != EPERM) return failed(r, at, code());
  return remove_directory(r, parent, at);
}

int np_fs_remove_tree(const char *path, const atomic_int *stop) {
  Removal r = {.stop = stop};
  Level top = {NULL, path};
  int err = remove_at(&r, AT_FDCWD, &top);
  free(r.failed);
  return err;
}

static int remove_one(const char *path) {
  if (unlink(path) == 0) return 0;
  if (errno != EISDIR && errno != EPERM) return code();
  return rmdir(path) < 0 ? code() : 0;
}

static int remove_tree(np_Job *job) {
  Removal r = {.stop = &job->stop};
  Level top = {NULL, job->path};
  struct stat st;
  int err;
  if (lstat(job->path, &st) < 0) return code();
  err = remove_at(&r, AT_FDCWD, &top);
  job->data = r.failed;
  if (r.failed != NULL) job->path = r.failed;
  return err;
}

static void run_remove(np_Job *job) {
  int err = job->flags & RECURSIVE ? remove_tree(job) : remove_one(job->path);
  if (err == UV_ENOENT && (job->flags & MISSING_OK)) err = 0;
  job->status = err;
}

/* core.remove(path, flags) */
static int fs_remove(lua_State *L) {
  const char *path = np_fs_permitted(L, 1, "remove", "path",
                                     NEAP_MAY_WRITE | NEAP_NO_FOLLOW);
  np_Job *job = np_job_new(L, "remove", run_remove, path, NULL);
  job->flags = (int)luaL_checkinteger(L, 2);
  return np_job_await(L, job, np_job_nothing);
}

/* == copy ============================================================= */

/* Leads `at` to where there are data, and gives where they end: holes stay
 * holes. */
static off_t find_data(int fd, off_t size, off_t *at) {
  off_t data = lseek(fd, *at, SEEK_DATA), end;
  if (data < 0) data = errno == ENXIO ? size : *at;
  *at = data < size ? data : size;
  end = lseek(fd, *at, SEEK_HOLE);
  return end > *at && end < size ? end : size;
}

/* Copies at most `size` bytes at `at`, in the kernel if that can do it: how
 * many, 0 at the end, or a code. */
static ssize_t copy_some(int in, int out, off_t at, size_t size) {
  char space[32768];
  off_t from = at, to = at;
  size_t done = 0;
  ssize_t n = copy_file_range(in, &from, out, &to, size, 0);
  int err;
  if (n > 0) return n;
  do n = pread(in, space, size < sizeof space ? size : sizeof space, at);
  while (n < 0 && errno == EINTR);
  if (n <= 0) return n < 0 ? code() : 0;
  err = np_fs_write(out, space, (size_t)n, at, &done);
  return err < 0 ? err : n;
}

/* A size of 0 says nothing, as in /proc. */
static int copy_data(np_Job *job, int in, int out, off_t size) {
  off_t at = 0, end = 0;
  while (size == 0 || at < size) {
    size_t most = COPY_STEP;
    ssize_t n;
    if (at == end && size > 0) end = find_data(in, size, &at);
    if (size > 0 && (size_t)(end - at) < most) most = (size_t)(end - at);
    n = most > 0 ? copy_some(in, out, at, most) : 0;
    if (n < 0) return (int)n;
    if (n == 0) break;
    at += n;
    if (atomic_load(&job->stop)) return UV_ECANCELED;
  }
  return ftruncate(out, at) < 0 ? code() : 0;
}

/* Some file systems have no modes, and only its owner may set a file's. */
static int copy_to(np_Job *job, int in, int out, const struct stat *st) {
  if (ftruncate(out, 0) < 0) return code();
  if (fchmod(out, st->st_mode & 07777) < 0 && errno != EPERM) return code();
  return copy_data(job, in, out, st->st_size);
}

/* What is no ordinary file could block the thread for ever. A part of a copy
 * is removed. */
static int copy_open(np_Job *job, int in) {
  struct stat st, to;
  int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK;
  int out, err;
  if (fstat(in, &st) < 0) return code();
  if (!S_ISREG(st.st_mode)) return S_ISDIR(st.st_mode) ? UV_EISDIR : UV_EINVAL;
  out = open(job->other, flags | job->flags, st.st_mode & 0777);
  if (out < 0) return code();
  if (fstat(out, &to) < 0 || !S_ISREG(to.st_mode)) {
    (void)close(out);
    return UV_EINVAL;
  }
  err = to.st_dev == st.st_dev && to.st_ino == st.st_ino
          ? 0 : copy_to(job, in, out, &st);
  if (close(out) < 0 && err == 0 && errno != EINTR) err = code();
  if (err < 0) (void)unlink(job->other);
  return err;
}

static void run_copy(np_Job *job) {
  int in;
  if (job->pinned) job->flags |= O_NOFOLLOW;
  in = open(job->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY |
                           (job->flags & O_NOFOLLOW));
  job->status = in >= 0 ? copy_open(job, in) : code();
  if (in >= 0) (void)close(in); /* it was only read */
}

/* core.copy(path, dest, overwrite) */
static int fs_copy(lua_State *L) {
  const char *path = np_fs_permitted(L, 1, "copy", "path", NEAP_MAY_READ);
  const char *dest = np_fs_permitted(L, 2, "copy", "dest", NEAP_MAY_WRITE);
  np_Job *job = np_job_new(L, "copy", run_copy, path, dest);
  job->flags = lua_toboolean(L, 3) ? 0 : O_EXCL;
  return np_job_await(L, job, np_job_nothing);
}

const neap_Async np_tree_ops[] = {
  {"mkdir", fs_mkdir},
  {"remove", fs_remove},
  {"copy", fs_copy},
  {NULL, NULL}
};
