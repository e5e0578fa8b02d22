/*
 * temp.c - temporary files and directories: fs.temp_file and the class
 * TempDir. Their names are random, and they are made so that nobody else can
 * have made them.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "fs.h"

#define RANDOM 12 /* characters */
#define TRIES 100

int np_fs_random(char *to) {
  static const char digits[] = "abcdefghijkmnpqrstuvwxyz23456789";
  unsigned char bytes[RANDOM];
  int err = uv_random(NULL, NULL, bytes, sizeof bytes, 0, NULL), i;
  for (i = 0; err == 0 && i < RANDOM; i++) to[i] = digits[bytes[i] % 32];
  return err;
}

/* == Names: job->path is what comes before, job->other what comes after == */

/* Calls `make` with new names until one is free; it then is job->path. */
static void make_one(np_Job *job, int (*make)(np_Job *job, const char *name)) {
  size_t before = strlen(job->path), after = strlen(job->other);
  char *name = malloc(before + RANDOM + after + 1);
  int i, err = UV_ENOMEM;
  if (name != NULL) {
    memcpy(name, job->path, before);
    memcpy(name + before + RANDOM, job->other, after + 1);
    for (i = 0, err = UV_EEXIST; i < TRIES && err == UV_EEXIST; i++) {
      err = np_fs_random(name + before);
      if (err == 0) err = make(job, name);
    }
  }
  job->status = err;
  job->other = NULL;
  job->data = name;
  if (name != NULL) job->path = name;
}

/* == Files ============================================================ */

static int make_file(np_Job *job, const char *name) {
  job->fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  return job->fd < 0 ? uv_translate_sys_error(errno) : 0;
}

static void run_file(np_Job *job) { make_one(job, make_file); }

static void discard_file(np_Job *job) {
  if (job->fd < 0) return;
  (void)close(job->fd);
  (void)unlink(job->path);
}

static int file_done(lua_State *L, int status) {
  np_Job *job = np_job_check(L, status);
  job->stat.st_mode = S_IFREG;
  (void)np_file_new(L, job);
  np_job_drop(L, -2);
  return 1;
}

static np_Job *temp_job(lua_State *L, const char *name,
                        void (*run)(np_Job *)) {
  const char *before = np_fs_path(L, 1, name, "prefix");
  np_Job *job;
  int inside = before[0] != '\0' && before[strlen(before) - 1] == '/';
  before = neap_permit_path(L, 1, NEAP_MAY_WRITE | NEAP_NO_FOLLOW, name);
  if (inside && neap_sandboxed(L)) before = lua_pushfstring(L, "%s/", before);
  job = np_job_new(L, name, run, before, luaL_checkstring(L, 2));
  job->mode = !lua_toboolean(L, 3);
  job->pins &= (uint8_t)~NP_PIN_OTHER; /* not a path */
  return job;
}

/* core.temp_file(before, after, keep) -> File */
static int fs_temp_file(lua_State *L) {
  np_Job *job = temp_job(L, "temp_file", run_file);
  job->flags = O_RDWR;
  job->discard = discard_file;
  return np_job_await(L, job, file_done);
}

/* == Directories ====================================================== */

typedef struct TempDir {
  neap_Handle handle;
  neap_Wait closer;
  char *path;
  int removed; /* it was, or that has failed: then status says why */
  int status;
  int keep;
} TempDir;

/* What is still in flight may make files in it while it is being removed. */
static void run_remove(np_Job *job) {
  int tries = TRIES;
  do {
    job->status = np_fs_remove_tree(job->path, NULL);
  } while (job->status == UV_ENOTEMPTY && --tries > 0);
}

static void remove_finish(np_Job *job) {
  TempDir *t = job->owner;
  t->removed = 1;
  t->status = job->status;
  (void)neap_wake(&t->closer, 0);
  neap_handle_unpin(&t->handle);
}

static void temp_dir_close(neap_Handle *h) {
  TempDir *t = (TempDir *)h;
  np_Job *job;
  t->removed = t->path == NULL || t->keep;
  if (t->removed) return;
  job = np_job_bare(h->vm, "remove", run_remove, t->path, NULL);
  if (job == NULL) { /* no memory: then it has to be here */
    t->status = np_fs_remove_tree(t->path, NULL);
    t->removed = 1;
    return;
  }
  job->pins = 0; /* its name is random: nobody else can have such a one */
  job->owner = t;
  job->finish = remove_finish;
  neap_handle_pin(h);
  np_job_send(job);
}

static void temp_dir_release(neap_Handle *h) { free(((TempDir *)h)->path); }

static const neap_Class temp_dir_class = {"neap.TempDir", temp_dir_close,
                                          temp_dir_release};

static int make_directory(np_Job *job, const char *name) {
  if (mkdir(name, 0700) < 0) return uv_translate_sys_error(errno);
  job->fd = 0; /* it is there, and nobody has it yet */
  return 0;
}

static void run_directory(np_Job *job) { make_one(job, make_directory); }

static void discard_directory(np_Job *job) {
  if (job->fd == 0) (void)rmdir(job->path);
}

static int directory_done(lua_State *L, int status) {
  np_Job *job = np_job_check(L, status);
  TempDir *t = neap_handle_new(L, sizeof *t, &temp_dir_class);
  t->closer.what = "close";
  t->keep = !job->mode;
  t->path = job->data;
  job->data = NULL;
  job->fd = -1;
  np_job_drop(L, -2);
  return 1;
}

/* core.temp_dir(before, after, keep) -> TempDir */
static int fs_temp_dir(lua_State *L) {
  np_Job *job = temp_job(L, "temp_dir", run_directory);
  job->discard = discard_directory;
  return np_job_await(L, job, directory_done);
}

const char *np_temp_dir_test(lua_State *L, int index) {
  const TempDir *t = neap_handle_test(L, index, &temp_dir_class);
  return t != NULL ? t->path : NULL;
}

/* dir:_path() -> string */
static int temp_dir_path(lua_State *L) {
  TempDir *t = neap_handle_test(L, 1, &temp_dir_class);
  if (t == NULL) return luaL_typeerror(L, 1, "TempDir");
  lua_pushstring(L, t->path);
  return 1;
}

/* Its path before or behind a string, as tostring(dir) .. "/name" gives it. */
static int temp_dir_concat(lua_State *L) {
  int i;
  for (i = 1; i <= 2; i++) {
    const char *path = np_temp_dir_test(L, i);
    if (path == NULL && !lua_isstring(L, i))
      return luaL_error(L, "attempt to concatenate a %s value",
                        neap_typename(L, i));
    if (path == NULL) continue;
    lua_pushstring(L, path);
    lua_replace(L, i);
  }
  lua_concat(L, 2);
  return 1;
}

static int gone_done(lua_State *L, int status) {
  TempDir *t = neap_handle_test(L, 1, &temp_dir_class);
  if (status == 0) status = t->status;
  if (status < 0) return np_fs_fail(L, status, "close", t->path, NULL);
  return 0;
}

/* dir:_gone(): returns when a closed directory is removed */
static int temp_dir_gone(lua_State *L) {
  TempDir *t = neap_handle_test(L, 1, &temp_dir_class);
  if (t == NULL) return luaL_typeerror(L, 1, "TempDir");
  if (t->removed) return gone_done(L, 0);
  return neap_await(L, &t->closer, gone_done);
}

void np_temp_open(lua_State *L) {
  static const luaL_Reg methods[] = {
    {"_path", temp_dir_path}, {"__tostring", temp_dir_path},
    {"__concat", temp_dir_concat}, {NULL, NULL}};
  static const neap_Async ops[] = {{"_gone", temp_dir_gone}, {NULL, NULL}};
  neap_class_new(L, &temp_dir_class, methods, ops);
}

const neap_Async np_temp_ops[] = {
  {"temp_file", fs_temp_file},
  {"temp_dir", fs_temp_dir},
  {NULL, NULL}
};
