/*
 * stream.c - streams: their life, what comes in, names and settings.
 *
 * This file turns libuv's stream handles into the class Stream and fills its
 * input. It knows neither what tasks want to read (read.c) nor how a stream
 * comes to be connected (connect.c, server.c).
 */
#include <errno.h>
#include <lauxlib.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "stream.h"

/* So many reads in a row may do without waiting. */
#define BURST 16

static void stream_close(neap_Handle *h) {
  np_Stream *s = (np_Stream *)h;
  (void)neap_wake(&s->reader, NEAP_ECLOSED);
  np_input_drop(&s->in, s->net->arena, np_input_size(&s->in));
}

const neap_Class np_stream_class = {"neap.Stream", stream_close, NULL};

/* == What is wanted =================================================== */

static int part_met(np_Want *w, const np_Input *in) {
  const char *data = np_input_data(in), *at = NULL;
  size_t size = np_input_size(in);
  if (size > w->scanned)
    at = memmem(data + w->scanned, size - w->scanned, w->sep, w->sep_len);
  if (at != NULL) {
    w->found = (size_t)(at - data) + w->sep_len;
    return (size_t)(at - data) <= w->n ? 1 : -1;
  }
  if (size < w->sep_len) return 0;
  w->scanned = size - w->sep_len + 1;
  return w->scanned > w->n ? -1 : 0;
}

int np_stream_met(np_Stream *s) {
  switch (s->want.kind) {
  case NP_WANT_SOME: return np_input_size(&s->in) > 0;
  case NP_WANT_EXACT: return np_input_size(&s->in) >= s->want.n;
  case NP_WANT_PART: return part_met(&s->want, &s->in);
  case NP_WANT_ALL: return 0;
  }
  return 0;
}

/* 1 if so much is wanted that it is worth to read it to where it stays. */
static int wants_much(const np_Stream *s) {
  const np_Want *w = &s->want;
  if (w->kind == NP_WANT_ALL) return 1;
  return w->kind == NP_WANT_EXACT && w->n > np_input_size(&s->in) &&
         w->n - np_input_size(&s->in) >= NP_STREAM_HIGH;
}

void np_stream_eat(np_Stream *s, size_t n) {
  np_input_drop(&s->in, s->net->arena, n);
  s->want.scanned = 0;
}

/* == What comes in ==================================================== */

/* `waited` tells that `want` is what a task waits for, now. */
static char *space(np_Stream *s, int waited, size_t *size) {
  if (waited && wants_much(s)) {
    size_t n = 0;
    if (s->want.kind == NP_WANT_EXACT) n = s->want.n - np_input_size(&s->in);
    return np_input_space(&s->in, s->net->arena, n, size);
  }
  return np_arena_space(s->net->arena, size);
}

/* Takes the `n` bytes read to where `space` had it. */
static int received(np_Stream *s, int waited, char *bytes, size_t n) {
  if (waited && wants_much(s)) {
    np_input_added(&s->in, n);
    return 0;
  }
  if (waited) return np_input_slice(&s->in, s->net->arena, bytes, n);
  return np_input_add(&s->in, s->net->arena, bytes, n);
}

static void reading_stop(np_Stream *s) {
  if (s->reading) (void)uv_read_stop(&s->uv.stream); /* it always gives 0 */
  s->reading = 0;
}

/* The kernel tells of a reset once: if a write was told, the end that is read
 * then is none. */
static int end_of(const np_Stream *s, int why) {
  return why == UV_EOF && s->broken == UV_ECONNRESET ? UV_ECONNRESET : why;
}

static void ended(np_Stream *s, int why) {
  reading_stop(s);
  s->end = end_of(s, why);
  (void)neap_wake(&s->reader, 0);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  np_Stream *s = handle->data;
  size_t size = 0;
  (void)suggested;
  buf->base = space(s, neap_waiting(&s->reader), &size);
  buf->len = buf->base != NULL ? size : 0;
}

/* A task that waits goes on when it can, and reading goes on if it cannot. */
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  np_Stream *s = stream->data;
  int waited = neap_waiting(&s->reader), err;
  if (n == 0) return;
  err = n < 0 ? (int)n : received(s, waited, buf->base, (size_t)n);
  if (err < 0) {
    ended(s, err == UV_ENOBUFS ? UV_ENOMEM : err);
    return;
  }
  if (waited && np_stream_met(s) != 0) {
    (void)neap_wake(&s->reader, 0);
    waited = 0;
  } else if (waited) {
    err = np_input_settle(&s->in, s->net->arena);
    if (err < 0) ended(s, err);
    return;
  }
  if (np_input_size(&s->in) > NP_STREAM_HIGH) reading_stop(s);
}

int np_stream_try(np_Stream *s) {
  uv_os_fd_t fd;
  size_t size = 0;
  ssize_t n;
  char *to;
  if (s->reading || s->burst >= BURST || uv_fileno(&s->uv.any, &fd) < 0)
    return 0;
  to = space(s, 1, &size);
  if (to == NULL) return 0;
  do n = read(fd, to, size);
  while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
  s->burst++;
  if (n > 0)
    s->end = received(s, 1, to, (size_t)n);
  else
    s->end = n == 0 ? end_of(s, UV_EOF) : uv_translate_sys_error(errno);
  return 1;
}

int np_stream_listen(np_Stream *s) {
  int err = np_input_settle(&s->in, s->net->arena);
  s->burst = 0;
  if (err < 0 || s->reading) return err;
  err = uv_read_start(&s->uv.stream, on_alloc, on_read);
  s->reading = err == 0;
  return err;
}

/* == Making =========================================================== */

np_Stream *np_stream_new(lua_State *L, int kind) {
  np_Net *net = np_net_get(L);
  np_Stream *s = neap_handle_new(L, sizeof *s, &np_stream_class);
  int err;
  s->net = net;
  s->kind = (uint8_t)kind;
  s->reader.what = "read";
  if (kind == NP_STREAM_TCP)
    err = uv_tcp_init(neap_loop(L), &s->uv.tcp);
  else
    err = uv_pipe_init(neap_loop(L), &s->uv.pipe, 0);
  if (err < 0) neap_fail(L, err, "stream");
  neap_handle_opened(&s->handle, &s->uv.any);
  return s;
}

int np_stream_adopt(np_Stream *s, int fd) {
  int err = s->kind == NP_STREAM_TCP ? uv_tcp_open(&s->uv.tcp, fd)
                                     : uv_pipe_open(&s->uv.pipe, fd);
  if (err < 0) (void)close(fd); /* it was never used */
  return err;
}

/* == Lua's side ======================================================= */

np_Stream *np_stream_check(lua_State *L) {
  return neap_handle_check(L, 1, &np_stream_class);
}

int np_net_misuse(lua_State *L, const char *name, const char *reason, ...) {
  va_list args;
  lua_pushfstring(L, "%s: ", name);
  va_start(args, reason);
  lua_pushvfstring(L, reason, args);
  va_end(args);
  lua_concat(L, 2);
  /* An Error knows the script's line, above the lines of Lua halves. */
  neap_error_new(L, "Error", 0, NULL, lua_tostring(L, -1));
  luaL_tolstring(L, -1, NULL);
  return lua_error(L);
}

size_t np_net_count(lua_State *L, int index, const char *name,
                    const char *what, lua_Integer least) {
  int is_integer;
  lua_Integer n = lua_tointegerx(L, index, &is_integer);
  if (!is_integer)
    np_net_misuse(L, name, "%s must be an integer, not %s", what,
                  lua_isnumber(L, index) ? luaL_tolstring(L, index, NULL)
                                         : luaL_typename(L, index));
  if (n < least)
    np_net_misuse(L, name, "%s must be at least %I, not %I", what,
                  (LUAI_UACINT)least, (LUAI_UACINT)n);
  return (size_t)n;
}

typedef int (*GetName)(int fd, struct sockaddr *to, socklen_t *size);

static int name_push(lua_State *L, GetName get, const char *what) {
  np_Stream *s = np_stream_check(L);
  struct sockaddr_storage name;
  socklen_t size = sizeof name;
  uv_os_fd_t fd = -1;
  int err = uv_fileno(&s->uv.any, &fd);
  if (err == 0 && get(fd, (struct sockaddr *)&name, &size) < 0)
    err = uv_translate_sys_error(errno);
  if (err < 0) return neap_fail(L, err, "%s", what);
  np_address_push(L, &name, size);
  return 1;
}

/* stream:peername() -> {host=, port=} or {path=} */
static int stream_peername(lua_State *L) {
  return name_push(L, getpeername, "peername");
}

/* stream:sockname() -> {host=, port=} or {path=} */
static int stream_sockname(lua_State *L) {
  return name_push(L, getsockname, "sockname");
}

static np_Stream *tcp_check(lua_State *L, const char *name) {
  np_Stream *s = np_stream_check(L);
  if (s->kind != NP_STREAM_TCP) np_net_misuse(L, name, "not a TCP stream");
  if (!lua_isboolean(L, 2))
    np_net_misuse(L, name, "on must be a boolean, not %s",
                  luaL_typename(L, 2));
  return s;
}

/* stream:set_nodelay(on) */
static int stream_set_nodelay(lua_State *L) {
  np_Stream *s = tcp_check(L, "set_nodelay");
  int err = uv_tcp_nodelay(&s->uv.tcp, lua_toboolean(L, 2));
  return err < 0 ? neap_fail(L, err, "set_nodelay") : 0;
}

/* stream:set_keepalive(on [, seconds]) */
static int stream_set_keepalive(lua_State *L) {
  np_Stream *s = tcp_check(L, "set_keepalive");
  size_t seconds = 60;
  int err;
  if (!lua_isnoneornil(L, 3))
    seconds = np_net_count(L, 3, "set_keepalive", "seconds", 1);
  if (seconds > 32767) /* the most that Linux takes */
    return np_net_misuse(L, "set_keepalive", "seconds must be at most 32767");
  err = uv_tcp_keepalive(&s->uv.tcp, lua_toboolean(L, 2), (unsigned)seconds);
  return err < 0 ? neap_fail(L, err, "set_keepalive") : 0;
}

const luaL_Reg np_stream_methods[] = {
  {"peername", stream_peername},
  {"sockname", stream_sockname},
  {"set_nodelay", stream_set_nodelay},
  {"set_keepalive", stream_set_keepalive},
  {NULL, NULL}
};
