/*
 * stream.c - streams: their life, what comes in, names and settings.
 *
 * This file turns libuv's stream handles into the class Stream and fills its
 * input. It knows neither what tasks want to read (read.c) nor how a stream
 * comes to be connected (connect.c, server.c).
 */
#include <errno.h>
#include <lauxlib.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "address.h"
#include "stream.h"
#include "tls.h"

#define BURST 16                  /* so many reads in a row without waiting */
#define DOUBT 15                  /* so many guesses are left out, see below */
#define PEER 160                  /* room for the name of a peer */
#define PIECES 1024               /* most that writev takes */
#define KEEP 512                  /* most memory of a stream with no bytes */
#define STEP ((size_t)1 << 20)    /* most that is reserved on a promise */

/**
 * stream:closed() -> boolean
 * server:closed() -> boolean
 *
 * Whether it was closed from our side.
 */
/* == Memory of its own ================================================ */

static int own_count(np_Stream *s) {
  return neap_memory_count(s->handle.vm, &s->counted, s->own.cap);
}

static int own_add(np_Stream *s, const char *bytes, size_t n) {
  return np_buf_append(&s->own, bytes, n) < 0 ? -1 : own_count(s);
}

static void own_free(np_Stream *s) {
  np_buf_free(&s->own);
  (void)own_count(s); /* less cannot fail */
}

static void stream_close(neap_Handle *h) {
  np_Stream *s = (np_Stream *)h;
  (void)neap_wake(&s->reader, NEAP_ECLOSED);
  np_tls_close(s);
  np_buf_free(&s->own);
}

/**
 * stream:close()
 *
 * Closes both directions at once. What is still being written by another or a
 * cancelled task is dropped; what an awaited write has taken is not. But TCP
 * resets a connection that is closed while the peer's bytes are unread, or
 * when more of them come, and then the peer may miss the end: where that
 * matters, shutdown and read to the end before closing.
 */
const neap_Class np_stream_class = {"neap.Stream", stream_close, NULL};

/* == What is wanted =================================================== */

int np_stream_part(np_Stream *s) {
  np_Want *w = &s->want;
  size_t size, length;
  const char *data = np_stream_data(s, &size), *at = NULL;
  if (size > w->scanned)
    at = memmem(data + w->scanned, size - w->scanned, w->sep, w->need);
  if (at != NULL) {
    length = (size_t)(at - data);
    if (length > w->n) return -1;
    w->n = length + w->need;
    return 1;
  }
  if (size < w->need) return 0;
  w->scanned = size - w->need + 1;
  return w->scanned > w->n ? -1 : 0;
}

/* How much of what is wanted had better be collected without the task, in
 * memory of the stream's own; 0 if it is not that much. */
static size_t wanted(const np_Stream *s) {
  const np_Want *w = &s->want;
  size_t have;
  if (w->need < NP_STREAM_SPACE || w->sep != NULL) return 0;
  if (w->need == NP_WANT_ALL) return NP_STREAM_SPACE;
  have = np_buf_size(&s->own);
  if (w->need < have + NP_STREAM_SPACE) return 0;
  return w->need - have < STEP ? w->need - have : STEP;
}

/* == Its descriptor ==================================================== */

/*
 * -1 if libuv has none, or has closed it, which the host may do. What else
 * libuv knows lies in other lines of the cache than what is ours.
 */
static int fd_of(np_Stream *s) {
  uv_os_fd_t fd;
  if (uv_is_closing(&s->uv.any)) return -1;
  if (s->fd < 0 && uv_fileno(&s->uv.any, &fd) == 0) s->fd = fd;
  return s->fd;
}

int np_stream_try(np_Stream *s, const uv_buf_t *bufs, int n) {
  int fd = fd_of(s);
  ssize_t sent;
  if (s->queued > 0) return UV_EAGAIN;
  if (s->kind != NP_STREAM_TCP || fd < 0) /* a pipe may go one way only */
    return uv_try_write(&s->uv.stream, bufs, (unsigned)n);
  if (n > PIECES) n = PIECES;
  do
    sent = n == 1 ? write(fd, bufs->base, bufs->len)
                  : writev(fd, (const struct iovec *)bufs, n);
  while (sent < 0 && errno == EINTR);
  if (sent >= 0) return (int)sent; /* the system writes no more at a time */
  if (errno == EWOULDBLOCK || errno == ENOBUFS) return UV_EAGAIN;
  return uv_translate_sys_error(errno);
}

/* == What comes in ==================================================== */

static void reading_stop(np_Stream *s) {
  if (s->reading) (void)uv_read_stop(&s->uv.stream); /* it always gives 0 */
  s->reading = 0;
}

/* The kernel tells of a reset once: if a write was told, the end that is read
 * then is none. */
static void ended(np_Stream *s, int why) {
  reading_stop(s);
  if (why == UV_EOF && s->broken == UV_ECONNRESET) why = UV_ECONNRESET;
  if (why == UV_EIO && s->tty) why = UV_EOF; /* nobody has the other side */
  if (why == UV_ENOBUFS) why = UV_ENOMEM;
  s->end = s->tls != NULL ? np_tls_ended(s, why) : why;
  (void)neap_wake(&s->reader, 0);
}

/* No buffer means to libuv that nothing is read now, and it says so to
 * on_read: that is how a waiting task is told. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  np_Stream *s = handle->data;
  size_t much = wanted(s);
  int waiting = neap_waiting(&s->reader);
  (void)suggested;
  *buf = uv_buf_init(NULL, 0);
  if (s->tls != NULL && (!waiting || !s->tls->done || much > 0)) {
    *buf = uv_buf_init(s->net->tls_space, NP_TLS_READ);
  } else if (!waiting) {
    *buf = uv_buf_init(s->net->space, NP_STREAM_SPACE);
  } else if (much > 0) {
    buf->base = np_buf_reserve(&s->own, much);
    if (own_count(s) < 0) buf->base = NULL;
    buf->len = buf->base != NULL ? np_buf_room(&s->own) : 0;
  }
}

void np_stream_deliver(np_Stream *s, size_t n, int end) {
  if (n > 0 && own_add(s, s->net->space, n) < 0) end = UV_ENOMEM;
  if (end < 0) ended(s, end);
}

/* Adds what libuv has read: 0 or a code. */
static int received(np_Stream *s, const uv_buf_t *buf, size_t n) {
  if (s->tls != NULL) {
    int end;
    n = np_tls_receive(s, buf->base, n, &end);
    np_stream_deliver(s, n, end);
    return 0;
  }
  if (buf->base == s->net->space)
    return own_add(s, buf->base, n) < 0 ? UV_ENOMEM : 0;
  np_buf_commit(&s->own, n);
  return 0;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  np_Stream *s = stream->data;
  int err;
  if (n == 0) return;
  if (n == UV_ENOBUFS && wanted(s) == 0) {
    s->ready = 1;
    (void)neap_wake(&s->reader, 0);
    return;
  }
  err = n < 0 ? (int)n : received(s, buf, (size_t)n);
  if (err < 0)
    ended(s, err);
  else if (neap_waiting(&s->reader) && np_stream_met(s))
    (void)neap_wake(&s->reader, 0);
  else if (!neap_waiting(&s->reader) && np_buf_size(&s->own) > NP_STREAM_HIGH)
    reading_stop(s);
}

/* Takes the `n` bytes read to the shared memory. */
static void filled(np_Stream *s, size_t n) {
  if (np_buf_size(&s->own) == 0)
    s->fresh = n;
  else if (own_add(s, s->net->space, n) < 0)
    ended(s, UV_ENOMEM);
}

static void tls_filled(np_Stream *s, size_t n) {
  int end;
  n = np_tls_receive(s, s->net->tls_space, n, &end);
  if (n > 0) filled(s, n);
  if (end < 0) ended(s, end);
}

/* A read that fills its memory has probably left something, so the next one
 * need not be told; where messages are as long as the memory, that is seldom
 * right. */
static void ready_guess(np_Stream *s) {
  if (s->doubt > 0) s->doubt--;
  else s->ready = 1;
}

ssize_t np_stream_read(np_Stream *s, char *to, size_t size) {
  uint8_t guessed = s->ready;
  ssize_t n;
  int fd;
  if (s->reading && !s->ready) return UV_EAGAIN;
  if (s->burst >= BURST || (fd = fd_of(s)) < 0) return UV_EAGAIN;
  s->ready = 0;
  do n = read(fd, to, size);
  while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    if (guessed) s->doubt = DOUBT;
    return UV_EAGAIN;
  }
  s->burst++;
  if (n > 0 && (size_t)n == size) ready_guess(s);
  if (n > 0) return n;
  n = n == 0 ? UV_EOF : uv_translate_sys_error(errno);
  ended(s, (int)n);
  return n;
}

int np_stream_fill(np_Stream *s) {
  char *to = s->tls != NULL ? s->net->tls_space : s->net->space;
  size_t size = s->tls != NULL ? NP_TLS_READ : NP_STREAM_SPACE;
  ssize_t n;
  if (s->fresh > 0 && np_stream_keep(s, 0) < 0) return 1;
  n = np_stream_read(s, to, size);
  if (n > 0 && s->tls != NULL)
    tls_filled(s, (size_t)n);
  else if (n > 0)
    filled(s, (size_t)n);
  return n != UV_EAGAIN;
}

int np_stream_keep(np_Stream *s, size_t n) {
  size_t fresh = s->fresh;
  s->fresh = 0;
  if (n > 0) s->want.scanned = 0;
  if (fresh == 0) {
    np_buf_consume(&s->own, n);
    if (np_buf_size(&s->own) == 0 && s->own.cap > KEEP) own_free(s);
  } else if (own_add(s, s->net->space + n, fresh - n) < 0) {
    ended(s, UV_ENOMEM);
    return UV_ENOMEM;
  }
  return 0;
}

int np_stream_listen(np_Stream *s) {
  int err = s->fresh > 0 ? np_stream_keep(s, 0) : 0;
  s->burst = 0;
  if (err < 0 || s->reading) return err;
  err = uv_read_start(&s->uv.stream, on_alloc, on_read);
  s->reading = err == 0;
  return err;
}

/* == Who the peer is ================================================== */

void np_stream_set_peer(np_Stream *s, const struct sockaddr_storage *name) {
  if (name->ss_family == AF_INET)
    memcpy(&s->peer.ip4, name, sizeof s->peer.ip4);
  else if (name->ss_family == AF_INET6)
    memcpy(&s->peer.ip6, name, sizeof s->peer.ip6);
}

/* 0, or -1 with errno. What is no socket has none. */
static int peer_get(const np_Stream *s, struct sockaddr_storage *name,
                    socklen_t *size) {
  uv_os_fd_t fd;
  memset(name, 0, sizeof *name);
  if (s->kind == NP_STREAM_TCP) memcpy(name, &s->peer, sizeof s->peer);
  if (name->ss_family != 0) return 0;
  errno = EBADF;
  if (uv_fileno(&s->uv.any, &fd) < 0) return -1;
  return getpeername(fd, (struct sockaddr *)name, size);
}

void np_stream_detail(const np_Stream *s, char *text, size_t room) {
  struct sockaddr_storage name;
  socklen_t size = sizeof name;
  *text = '\0';
  if (s->kind == NP_STREAM_PIPE && s->peer.label[0] != '\0')
    (void)snprintf(text, room, "%s", s->peer.label);
  else if (peer_get(s, &name, &size) == 0)
    np_address_write(&name, size, text, room);
}

static void reader_detail(const neap_Wait *w, char *text, size_t size) {
  const char *s = (const char *)w - offsetof(np_Stream, reader);
  np_stream_detail((const np_Stream *)(const void *)s, text, size);
}

const char *np_stream_what(lua_State *L, const np_Stream *s,
                           const char *name) {
  char peer[PEER];
  np_stream_detail(s, peer, sizeof peer);
  return lua_pushfstring(L, *peer != '\0' ? "%s %s" : "%s", name, peer);
}

int np_stream_fail(lua_State *L, const np_Stream *s, int status,
                   const char *what) {
  return np_tls_fail(L, s, status, np_stream_what(L, s, what));
}

/* == Making =========================================================== */

np_Stream *np_stream_new(lua_State *L, int kind) {
  np_Net *net = np_net_get(L);
  np_Stream *s = neap_handle_new(L, sizeof *s, &np_stream_class);
  int err;
  neap_handle_count(L, &s->handle, NEAP_KIND_SOCKET);
  s->net = net;
  s->kind = (uint8_t)kind;
  s->fd = -1;
  s->reader.what = "read";
  s->reader.detail = reader_detail;
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

int np_net_open_fd(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1), err;
  const char *label = luaL_checkstring(L, 2);
  np_Stream *s;
  neap_take_fd(L, label, fd);
  s = np_stream_new(L, NP_STREAM_PIPE);
  (void)snprintf(s->peer.label, sizeof s->peer.label, "%s", label);
  s->tty = isatty(fd) != 0;
  err = np_stream_adopt(s, fd);
  if (err == 0) return 1;
  neap_handle_close(&s->handle);
  return neap_fail(L, err, "open");
}

int np_net_fileno(lua_State *L) {
  np_Stream *s = np_stream_check(L);
  uv_os_fd_t fd = -1;
  int err = uv_fileno(&s->uv.any, &fd);
  if (err < 0) return neap_fail(L, err, "fileno");
  lua_pushinteger(L, fd);
  return 1;
}

/* == Lua's side ======================================================= */

np_Stream *np_stream_check(lua_State *L) {
  return neap_handle_check(L, 1, &np_stream_class);
}

size_t np_net_count(lua_State *L, int index, const char *name,
                    const char *what, lua_Integer least) {
  int is_integer;
  lua_Integer n = lua_tointegerx(L, index, &is_integer);
  if (!is_integer)
    neap_misuse(L, name, "%s must be an integer, not %s", what,
                  lua_isnumber(L, index) ? luaL_tolstring(L, index, NULL)
                                         : neap_typename(L, index));
  if (n < least)
    neap_misuse(L, name, "%s must be at least %I, not %I", what,
                  (LUAI_UACINT)least, (LUAI_UACINT)n);
  return (size_t)n;
}

/**
 * stream:peername() -> table
 * stream:sockname() -> table
 *
 * The two ends: `{host=, port=}`, or `{path=}` for a Unix socket (`""` if it
 * has none).
 */
static int stream_peername(lua_State *L) {
  np_Stream *s = np_stream_check(L);
  struct sockaddr_storage name;
  socklen_t size = sizeof name;
  if (peer_get(s, &name, &size) < 0)
    return neap_fail(L, uv_translate_sys_error(errno), "peername");
  np_address_push(L, &name, size);
  return 1;
}

/* stream:sockname() -> {host=, port=} or {path=} */
static int stream_sockname(lua_State *L) {
  np_Stream *s = np_stream_check(L);
  uv_os_fd_t fd = -1;
  int err = uv_fileno(&s->uv.any, &fd);
  if (err < 0) return neap_fail(L, err, "sockname");
  np_address_push_own(L, fd, "sockname");
  return 1;
}

static np_Stream *tcp_check(lua_State *L, const char *name) {
  np_Stream *s = np_stream_check(L);
  if (s->kind != NP_STREAM_TCP) neap_misuse(L, name, "not a TCP stream");
  if (!lua_isboolean(L, 2))
    neap_misuse(L, name, "on must be a boolean, not %s",
                  neap_typename(L, 2));
  return s;
}

/**
 * stream:set_nodelay(on), stream:set_keepalive(on [, seconds])
 *
 * `seconds` without traffic after which the peer is probed (60). TCP only: for
 * another stream they are errors.
 */
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
    return neap_misuse(L, "set_keepalive", "seconds must be at most 32767");
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
