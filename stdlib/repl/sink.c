/*
 * sink.c - what is printed while a line is edited.
 *
 * Two may empty the pipe: the thread, whenever something comes, and the loop
 * when it takes the text, so that nothing is late. Both do it with the mutex
 * held and without blocking.
 */
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Text that nobody takes is dropped beyond this: its task never awaits. */
enum { MOST = 64 << 20 };

static int add(np_Sink *s, const char *text, size_t size) {
  if (size == 0) return 0;
  if (s->size + size > MOST) return UV_ENOBUFS;
  if (s->size + size > s->room) {
    size_t room = s->room * 2 > s->size + size ? s->room * 2
                                               : s->size + size;
    char *grown = realloc(s->text, room);
    if (grown == NULL) return UV_ENOMEM;
    s->text = grown;
    s->room = room;
  }
  memcpy(s->text + s->size, text, size);
  s->size += size;
  return 0;
}

/* With the mutex held: all that is in the pipe. */
static void drain(np_Sink *s) {
  char space[4096];
  for (;;) {
    ssize_t n = read(s->pipe[0], space, sizeof space);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    (void)add(s, space, (size_t)n); /* dropped if there is no room */
  }
}

static void empty(void *data) {
  np_Sink *s = data;
  int stopped = 0;
  while (!stopped) {
    struct pollfd ready = {.fd = s->pipe[0], .events = POLLIN};
    (void)poll(&ready, 1, -1);
    uv_mutex_lock(&s->mutex);
    drain(s);
    stopped = s->stopped;
    if (s->size > 0 && !stopped) (void)uv_async_send(&s->async);
    uv_mutex_unlock(&s->mutex);
  }
}

static void on_async(uv_async_t *async) {
  np_Sink *s = (np_Sink *)async; /* its first member */
  s->on_text(s->data);
}

static int start_thread(np_Sink *s) {
  sigset_t all, before;
  sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  int err = uv_thread_create(&s->thread, empty, s);
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  return err;
}

int np_sink_open(np_Sink *s, uv_loop_t *loop, void (*on_text)(void *data),
                 void *data) {
  int err;
  s->on_text = on_text;
  s->data = data;
  if (pipe2(s->pipe, O_CLOEXEC) < 0) return uv_translate_sys_error(errno);
  (void)fcntl(s->pipe[0], F_SETFL, O_NONBLOCK);
  err = uv_mutex_init(&s->mutex);
  if (err < 0) goto fail_pipe;
  err = uv_async_init(loop, &s->async, on_async);
  if (err < 0) goto fail_mutex;
  s->async.data = data;
  s->is_open = 1;
  err = start_thread(s);
  if (err < 0) s->is_open = -1; /* only the handle is there to be closed */
  if (err == 0) return 0;
fail_mutex:
  uv_mutex_destroy(&s->mutex);
fail_pipe:
  (void)close(s->pipe[0]);
  (void)close(s->pipe[1]);
  return err;
}

int np_sink_start(np_Sink *s) {
  if (s->is_started) return 0;
  (void)fflush(stdout); /* its error shows at the end of the program */
  for (int i = 0; i < 2; i++) {
    s->saved[i] = fcntl(i + 1, F_DUPFD_CLOEXEC, 3);
    if (s->saved[i] < 0) {
      int err = uv_translate_sys_error(errno);
      if (i == 1) (void)close(s->saved[0]);
      return err;
    }
  }
  (void)dup2(s->pipe[1], STDOUT_FILENO);
  (void)dup2(s->pipe[1], STDERR_FILENO);
  s->is_started = 1;
  return 0;
}

void np_sink_stop(np_Sink *s) {
  if (!s->is_started) return;
  (void)fflush(stdout);
  for (int i = 0; i < 2; i++) {
    (void)dup2(s->saved[i], i + 1);
    (void)close(s->saved[i]);
  }
  s->is_started = 0;
  s->on_text(s->data);
}

int np_sink_add(np_Sink *s, const char *text, size_t size) {
  uv_mutex_lock(&s->mutex);
  int err = add(s, text, size);
  uv_mutex_unlock(&s->mutex);
  return err;
}

char *np_sink_take(np_Sink *s, size_t *size) {
  char *text;
  *size = 0;
  if (s->is_open != 1) return NULL;
  uv_mutex_lock(&s->mutex);
  drain(s);
  text = s->text;
  *size = s->size;
  s->text = NULL;
  s->size = s->room = 0;
  uv_mutex_unlock(&s->mutex);
  return text;
}

int np_sink_close(np_Sink *s, uv_close_cb on_closed) {
  if (s->is_open == 0) return 0;
  if (s->is_open == 1) {
    uv_mutex_lock(&s->mutex);
    s->stopped = 1;
    uv_mutex_unlock(&s->mutex);
    (void)!write(s->pipe[1], "", 1); /* wakes the thread */
    (void)uv_thread_join(&s->thread);
    uv_mutex_destroy(&s->mutex);
    (void)close(s->pipe[0]);
    (void)close(s->pipe[1]);
  }
  s->is_open = 0;
  uv_close((uv_handle_t *)&s->async, on_closed);
  return 1;
}

void np_sink_free(np_Sink *s) { free(s->text); }
