/*
 * dir.c - reading directories: the class Dir.
 *
 * One job opens the directory, reads a batch of names, and closes it again if
 * that were all: a small directory is one job. The batch is kept in the Dir
 * until a task takes it, so that nothing is lost by a cancellation.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "fs.h"

#define BATCH ((size_t)32 << 10) /* bytes */

typedef struct Dir {
  neap_Handle handle;
  neap_Wait wait;
  char *path;
  DIR *dir;      /* NULL before the first batch and after the last */
  np_Buf batch;  /* a letter for its type, the name, a NUL, and again */
  int status;    /* UV_EOF after the last batch, or why there is none */
  int reading;
  int no_follow; /* raises ELOOP or ENOTDIR for a link */
} Dir;

/* == On a file thread ================================================= */

static const char letters[] = "?fdlpscb";
static const char *const types[] = {"unknown", "file", "directory", "link",
                                    "fifo", "socket", "char", "block"};

static char letter_of(const char *type) {
  size_t i;
  for (i = 0; i < sizeof types / sizeof *types; i++)
    if (strcmp(types[i], type) == 0) return letters[i];
  return '?';
}

static char entry_type(DIR *dir, const struct dirent *entry) {
  struct stat st;
  if (entry->d_type != DT_UNKNOWN)
    return letter_of(np_fs_type(DTTOIF(entry->d_type)));
  if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return '?';
  return letter_of(np_fs_type(st.st_mode));
}

static int add(np_Buf *batch, char type, const char *name) {
  if (np_buf_append(batch, &type, 1) < 0) return UV_ENOMEM;
  return np_buf_append(batch, name, strlen(name) + 1) < 0 ? UV_ENOMEM : 0;
}

static int open_dir(Dir *d, const np_Job *job) {
  int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  int no_follow = d->no_follow || job->pinned ? O_NOFOLLOW : 0;
  int fd = open(job->path, flags | no_follow);
  d->dir = fd >= 0 ? fdopendir(fd) : NULL;
  return d->dir == NULL ? uv_translate_sys_error(errno) : 0;
}

static int read_batch(Dir *d, const np_Job *job) {
  struct dirent *entry;
  int err = d->dir == NULL ? open_dir(d, job) : 0;
  while (err == 0 && np_buf_size(&d->batch) < BATCH) {
    errno = 0;
    entry = readdir(d->dir);
    if (entry == NULL)
      return errno != 0 ? uv_translate_sys_error(errno) : UV_EOF;
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      err = add(&d->batch, entry_type(d->dir, entry), entry->d_name);
  }
  return err;
}

static void dir_end(Dir *d) {
  if (d->dir != NULL) (void)closedir(d->dir); /* it was only read */
  d->dir = NULL;
}

static void run_batch(np_Job *job) {
  Dir *d = job->owner;
  d->status = read_batch(d, job);
  if (d->status < 0) dir_end(d);
}

/* == On the loop ====================================================== */

static void batch_finish(np_Job *job) {
  Dir *d = job->owner;
  d->reading = 0;
  if (neap_handle_closed(&d->handle)) dir_end(d);
  (void)neap_wake(&d->wait, 0);
  neap_handle_unpin(&d->handle);
}

static void dir_close(neap_Handle *h) {
  Dir *d = (Dir *)h;
  (void)neap_wake(&d->wait, NEAP_ECLOSED);
  if (!d->reading) dir_end(d);
}

static void dir_release(neap_Handle *h) {
  Dir *d = (Dir *)h;
  np_buf_free(&d->batch);
  free(d->path);
}

static const neap_Class dir_class = {"neap.Dir", dir_close, dir_release};

/* == Lua's side ======================================================= */

/* Pushes {name, type, name, type ...} and forgets the batch. */
static int take(lua_State *L, Dir *d) {
  const char *at = np_buf_data(&d->batch);
  const char *end = at + np_buf_size(&d->batch);
  lua_Integer n = 0;
  lua_createtable(L, 64, 0);
  while (at < end) {
    lua_pushstring(L, at + 1);
    lua_rawseti(L, -2, ++n);
    lua_pushstring(L, types[strchr(letters, *at) - letters]);
    lua_rawseti(L, -2, ++n);
    at += strlen(at) + 1;
  }
  np_buf_clear(&d->batch);
  return 1;
}

static int batch_done(lua_State *L, int status);

static int batch_go(lua_State *L, Dir *d) {
  np_Job *job;
  if (d->reading) return neap_await(L, &d->wait, batch_done);
  if (np_buf_size(&d->batch) > 0) return take(L, d);
  if (d->status == UV_EOF) return 0;
  if (d->status < 0) return np_fs_fail(L, d->status, "scandir", d->path, NULL);
  job = np_job_bare(neap_vm(L), "scandir", run_batch, d->path, NULL);
  if (job == NULL) return luaL_error(L, "not enough memory");
  if (d->dir != NULL) job->pins = 0;
  job->owner = d;
  job->finish = batch_finish;
  d->reading = 1;
  neap_handle_pin(&d->handle);
  np_job_send(job);
  return neap_await(L, &d->wait, batch_done);
}

static int batch_done(lua_State *L, int status) {
  Dir *d = neap_handle_test(L, 1, &dir_class);
  if (status == 0 && neap_handle_closed(&d->handle)) status = NEAP_ECLOSED;
  if (status < 0) return np_fs_fail(L, status, "scandir", d->path, NULL);
  return batch_go(L, d);
}

/* dir:batch() -> {name, type, name, type ...}, nothing at the end */
static int dir_batch(lua_State *L) {
  return batch_go(L, neap_handle_check(L, 1, &dir_class));
}

/* core.dir(path [, no_follow]) -> Dir, which is not opened before it is
 * read */
int np_dir_new(lua_State *L) {
  const char *path = np_fs_permitted(L, 1, "scandir", "path",
                                     NEAP_MAY_READ);
  int no_follow = lua_toboolean(L, 2);
  Dir *d = neap_handle_new(L, sizeof *d, &dir_class);
  neap_handle_count(L, &d->handle, NEAP_KIND_FILE);
  d->wait.what = "scandir";
  d->no_follow = no_follow;
  d->path = strdup(path);
  return d->path != NULL ? 1 : luaL_error(L, "not enough memory");
}

void np_dir_open(lua_State *L) {
  static const neap_Async ops[] = {{"_batch", dir_batch}, {NULL, NULL}};
  neap_class_new(L, &dir_class, NULL, ops);
}
