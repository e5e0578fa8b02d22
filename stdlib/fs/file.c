/*
 * file.c - open files: their life, the queue, and what comes in; see file.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "file.h"

#define SMALL ((size_t)16 << 10) /* so much is read at least */
#define LINES ((size_t)64 << 10) /* so much for lines */
#define STEP ((size_t)1 << 20)   /* so much at most */
#define CACHED ((size_t)128 << 10) /* more is copied by a thread */
#define BURST 16                 /* reads in a row without waiting */

/* == Closing ========================================================== */

static void run_close(np_Job *job) {
  if (close(job->fd) < 0 && errno != EINTR)
    job->status = uv_translate_sys_error(errno);
  if (job->flags && unlink(job->path) < 0 && job->status == 0)
    job->status = uv_translate_sys_error(errno);
}

static void close_finish(np_Job *job) {
  np_File *f = job->owner;
  f->fd = -1;
  f->close_status = job->status;
  (void)neap_wake(&f->closer, 0);
  neap_handle_unpin(&f->handle);
}

static void send_close(np_File *f) {
  np_Job *job = np_job_bare(f->handle.vm, "close", run_close, f->path, NULL);
  if (job == NULL) { /* no memory: then it has to be here */
    (void)close(f->fd);
    if (f->temporary) (void)unlink(f->path);
    f->fd = -1;
    (void)neap_wake(&f->closer, 0);
    return;
  }
  job->fd = f->fd;
  job->pins = 0; /* its name is random: nobody else can have such a one */
  job->flags = f->temporary;
  job->owner = f;
  job->finish = close_finish;
  neap_handle_pin(&f->handle);
  np_job_send(job);
}

/**
 * file:closed() -> boolean
 */

/* What waits for its turn is given up; what is under way ends before the
 * descriptor is closed, but a wait in the loop may last for ever. */
static void file_close(neap_Handle *h) {
  np_File *f = (np_File *)h;
  np_Job *job, *next;
  (void)neap_wake(&f->reader, NEAP_ECLOSED);
  if (f->polls && h->uv != NULL) (void)uv_poll_stop(&f->poll);
  if (f->fd < 0) return;
  for (job = f->first; job != NULL; job = next) {
    next = job->next;
    if (job != f->active) np_job_abandon(job, NEAP_ECLOSED);
  }
  job = f->active;
  if (job == NULL)
    send_close(f);
  else if (job->run != NULL)
    np_job_abandon(job, NEAP_ECLOSED);
  else {
    (void)neap_wake(&job->wait, NEAP_ECLOSED);
    np_job_ended(job, UV_ECANCELED);
  }
}

static void file_release(neap_Handle *h) {
  np_File *f = (np_File *)h;
  np_buf_free(&f->in);
  (void)neap_memory_count(h->vm, &f->counted, 0); /* less cannot fail */
  free(f->path);
}

/**
 * file:close()
 *
 * Ends what waits. Writes that had begun are completed. The descriptor is
 * closed in the background; `await file:close()` waits for that and raises if
 * it fails, which can matter on network file systems.
 */
const neap_Class np_file_class = {"neap.File", file_close, file_release};

/* == The queue ======================================================== */

int np_file_enter(np_Job *job) {
  np_File *f = job->file;
  neap_handle_pin(&f->handle);
  job->prev = f->last;
  if (f->last != NULL) f->last->next = job;
  else f->first = job;
  f->last = job;
  if (f->active != NULL || f->nexting) return 0;
  f->active = job;
  return 1;
}

void np_file_leave(np_Job *job) {
  np_File *f = job->file;
  if (job->prev != NULL) job->prev->next = job->next;
  else f->first = job->next;
  if (job->next != NULL) job->next->prev = job->prev;
  else f->last = job->prev;
  if (f->active == job) f->active = NULL;
}

void np_file_next(np_File *f) {
  if (!f->nexting) {
    f->nexting = 1; /* a job may end while it is begun */
    while (f->active == NULL && f->first != NULL) {
      f->active = f->first;
      np_job_run(f->active);
    }
    f->nexting = 0;
    if (f->first == NULL && neap_handle_closed(&f->handle)) send_close(f);
  }
  neap_handle_unpin(&f->handle);
}

/* == Polling ========================================================== */

static void on_poll(uv_poll_t *poll, int status, int events) {
  np_File *f = poll->data;
  if (status < 0) { /* the other end has gone: the operation will tell */
    events = f->events;
    f->events = 0;
  }
  if (events & UV_READABLE) {
    (void)np_file_poll(f, UV_READABLE, 1);
    f->ready = 1;
    (void)neap_wake(&f->reader, 0);
  }
  if ((events & UV_WRITABLE) && f->active != NULL) np_file_write_on(f);
}

int np_file_poll(np_File *f, int events, int off) {
  events = off ? f->events & ~events : f->events | events;
  if (events == f->events) return 0;
  f->events = events;
  if (events == 0) return uv_poll_stop(&f->poll);
  return uv_poll_start(&f->poll, events, on_poll);
}

/* == What comes in ==================================================== */

/* How much to read now. */
static size_t amount(const np_File *f) {
  const np_Want *w = &f->want;
  size_t have = np_buf_size(&f->in), n = LINES;
  if (w->kind == NP_WANT_SIZE) n = w->n > have ? w->n - have : 0;
  if (w->kind == NP_WANT_ALL) n = have;
  if (n < SMALL) n = w->kind == NP_WANT_ALL ? LINES : SMALL;
  return n < STEP ? n : STEP;
}

static char *room_for(np_File *f, size_t size) {
  char *room = np_buf_reserve(&f->in, size);
  if (neap_memory_count(f->handle.vm, &f->counted, f->in.cap) < 0)
    return NULL;
  return room;
}

static void fill_begin(np_Job *job) {
  np_File *f = job->owner;
  job->size = amount(f);
  job->data = room_for(f, job->size);
  if (job->data == NULL) job->status = UV_ENOMEM;
  job->offset = f->pos;
  if (f->pos >= 0) job->offset += (int64_t)np_buf_size(&f->in);
}

static void run_fill(np_Job *job) {
  ssize_t n;
  do {
    if (job->offset < 0)
      n = read(job->fd, job->data, job->size);
    else
      n = pread(job->fd, job->data, job->size, job->offset);
  } while (n < 0 && errno == EINTR);
  if (n < 0) job->status = uv_translate_sys_error(errno);
  else job->done = (size_t)n;
}

static void filled(np_File *f, int status, size_t n) {
  if (status < 0) f->end = status;
  else if (n == 0) f->end = UV_EOF;
  else np_buf_commit(&f->in, n);
}

static void fill_finish(np_Job *job) {
  np_File *f = job->owner;
  job->data = NULL; /* the file's */
  f->filling = 0;
  filled(f, job->status, job->done);
  (void)neap_wake(&f->reader, 0);
}

/* From what can be polled: it waits in the loop. */
static int fill_now(np_File *f) {
  size_t size = amount(f);
  char *room = room_for(f, size);
  ssize_t n;
  if (room == NULL) {
    f->end = UV_ENOMEM;
    return 1;
  }
  if (f->burst++ == BURST) f->ready = 0;
  do n = f->ready ? read(f->fd, room, size) : -2;
  while (n == -1 && errno == EINTR);
  if (n == -2 || (n < 0 && errno == EAGAIN)) {
    f->ready = f->burst = 0;
    f->end = np_file_poll(f, UV_READABLE, 0);
    return f->end < 0;
  }
  filled(f, n < 0 ? uv_translate_sys_error(errno) : 0, (size_t)n);
  return 1;
}

/* What the kernel has in memory needs no thread: 1 if there was some, or the
 * end. */
static int fill_cached(np_File *f) {
  struct iovec room;
  ssize_t n;
  if (f->first != NULL || f->pos < 0 || f->slow) return 0;
  if (f->burst++ == BURST) return f->burst = 0;
  room.iov_len = amount(f);
  if (room.iov_len > CACHED) return 0;
  room.iov_base = room_for(f, room.iov_len);
  if (room.iov_base == NULL) return 0;
  n = preadv2(f->fd, &room, 1, f->pos + (int64_t)np_buf_size(&f->in),
              RWF_NOWAIT);
  if (n >= 0) filled(f, 0, (size_t)n);
  else if (errno != EAGAIN && errno != EINTR) f->slow = 1;
  return n >= 0;
}

int np_file_fill(np_File *f) {
  np_Job *job;
  if (f->polls) return fill_now(f);
  if (f->filling) return 0;
  if (fill_cached(f)) return 1;
  job = np_job_bare(f->handle.vm, "read", run_fill, NULL, NULL);
  if (job == NULL) {
    f->end = UV_ENOMEM;
    return 1;
  }
  job->file = job->owner = f;
  job->fd = f->fd;
  job->begin = fill_begin;
  job->finish = fill_finish;
  f->filling = 1;
  np_job_send(job);
  return 0;
}

void np_file_forget(np_File *f) {
  np_buf_clear(&f->in);
  f->want.scanned = 0;
}

/* == Making =========================================================== */

static void reader_detail(const neap_Wait *w, char *text, size_t size) {
  const char *at = (const char *)w - offsetof(np_File, reader);
  const np_File *f = (const np_File *)(const void *)at;
  (void)snprintf(text, size, "%s", f->path);
}

/* Most of what cannot be polled has positions, but not all of it. */
static void take(np_File *f, np_Job *job) {
  int kind = (int)job->stat.st_mode & S_IFMT;
  int access = job->flags & O_ACCMODE;
  f->fd = job->fd;
  job->fd = -1;
  f->reader.what = "read";
  f->reader.detail = reader_detail;
  f->closer.what = "close";
  f->readable = access != O_WRONLY;
  f->writable = access != O_RDONLY;
  f->append = (job->flags & O_APPEND) != 0;
  f->temporary = job->mode;
  f->pos = kind == S_IFREG || kind == S_IFBLK ? 0 : -1;
  if (f->pos == 0 || uv_poll_init(job->loop, &f->poll, f->fd) < 0) return;
  f->polls = 1;
  neap_handle_opened(&f->handle, &f->poll);
}

np_File *np_file_new(lua_State *L, np_Job *job) {
  np_File *f = neap_handle_new(L, sizeof *f, &np_file_class);
  f->fd = -1;
  f->path = strdup(job->path);
  if (f->path == NULL) luaL_error(L, "not enough memory");
  neap_handle_count(L, &f->handle, NEAP_KIND_FILE);
  take(f, job);
  return f;
}

np_File *np_file_check(lua_State *L) {
  return neap_handle_check(L, 1, &np_file_class);
}
