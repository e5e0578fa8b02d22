/*
 * sink.h - takes what is written to stdout and stderr and keeps it.
 *
 * While a sink is started, the descriptors 1 and 2 lead into a pipe that a
 * thread empties: whoever prints (a task, a C module, a child, a report)
 * never blocks and never writes into the line that is being edited. The
 * loop is told, and takes the text.
 */
#ifndef NP_SINK_H
#define NP_SINK_H

#include <stddef.h>
#include <uv.h>

typedef struct np_Sink {
  uv_async_t async;
  uv_thread_t thread;
  uv_mutex_t mutex; /* guards text, size, room, stopped and reading */
  void (*on_text)(void *data);
  void *data;
  char *text;
  size_t size, room;
  int pipe[2];
  int saved[2]; /* 1 and 2 as they were, while the sink is started */
  int is_open, is_started, stopped;
} np_Sink;

/* Zeroed before; `on_text(data)` is called from the loop. 0 or a code. */
int np_sink_open(np_Sink *s, uv_loop_t *loop, void (*on_text)(void *data),
                 void *data);

/* From here on what is printed goes to the sink, until it is stopped. */
int np_sink_start(np_Sink *s);
void np_sink_stop(np_Sink *s);

/* Adds text of our own; 0 or UV_ENOMEM. */
int np_sink_add(np_Sink *s, const char *text, size_t size);

/* What has come since the last time; free it. NULL if that is nothing. */
char *np_sink_take(np_Sink *s, size_t *size);

/* Ends the thread and closes the handle, whose `data` is that of the open;
 * 0 if `on_closed` will not be called, because it was not open. */
int np_sink_close(np_Sink *s, uv_close_cb on_closed);

/* After that, or instead of it: what np_sink_take has not taken. */
void np_sink_free(np_Sink *s);

#endif
