/*
 * children.c - the limit of running `true` a thousand times, twenty at once,
 * with libuv. Its output is read to the end, as a program that runs another
 * one usually does. Prints the us that one takes.
 */
#include <string.h>
#include <uv.h>

#include "bench.h"

#define RUNS 1000
#define AT_ONCE 20

typedef struct Child {
  uv_process_t process;
  uv_pipe_t out, err;
  int open; /* of the three */
} Child;

static int started;

static void child_start(Child *c);

static void on_closed(uv_handle_t *handle) {
  Child *c = handle->data;
  if (--c->open == 0 && started < RUNS) child_start(c);
}

static void on_ended(uv_process_t *process, int64_t status, int signal) {
  if (status != 0 || signal != 0) die("true");
  uv_close((uv_handle_t *)process, on_closed);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf) {
  static char buffer[4096];
  (void)handle;
  (void)size;
  *buf = uv_buf_init(buffer, sizeof(buffer));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  (void)buf;
  if (n < 0) uv_close((uv_handle_t *)stream, on_closed);
}

static void pipe_prepare(Child *c, uv_pipe_t *pipe, uv_stdio_container_t *at) {
  (void)uv_pipe_init(uv_default_loop(), pipe, 0);
  pipe->data = c;
  at->flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
  at->data.stream = (uv_stream_t *)pipe;
}

static void child_start(Child *c) {
  char *argv[] = {"true", NULL};
  uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE}};
  uv_process_options_t o = {.file = "true", .args = argv, .stdio = stdio,
                            .stdio_count = 3, .exit_cb = on_ended};
  pipe_prepare(c, &c->out, &stdio[1]);
  pipe_prepare(c, &c->err, &stdio[2]);
  c->open = 3;
  if (uv_spawn(uv_default_loop(), &c->process, &o) < 0) die("uv_spawn");
  c->process.data = c;
  started++;
  (void)uv_read_start((uv_stream_t *)&c->out, on_alloc, on_read);
  (void)uv_read_start((uv_stream_t *)&c->err, on_alloc, on_read);
}

int main(void) {
  static Child children[AT_ONCE];
  double start = wall_s();
  for (int i = 0; i < AT_ONCE; i++) child_start(&children[i]);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  report("children", (wall_s() - start) * 1e6 / RUNS);
  return 0;
}
