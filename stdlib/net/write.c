/*
 * write.c - writing to a stream: write, shutdown.
 *
 * A write first tries the socket, straight from the memory of the Lua strings
 * and Buffers. Only what it does not take becomes an np_Write, which libuv
 * sends in order while the task waits. That request owns itself: it outlives a
 * cancelled task, and a table that it anchors keeps strings and Buffers alive;
 * these know that they are being written. Because its callback cannot touch
 * Lua, a finished request is kept in np_Net.spent until the next write can let
 * go of the anchor.
 */
#include <lauxlib.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "stream.h"
#include "tls.h"

#define BUFS 16      /* strings that need no memory */
#define COPY 4096    /* a rest of at most so many bytes is copied */
#define BURST 256    /* so many writes in a row may do without waiting */
#define PIECE ((size_t)256 << 10) /* is encrypted at once */

typedef struct np_Write np_Write;
struct np_Write {
  uv_write_t request;
  np_Stream *stream;
  neap_Wait wait;  /* its task */
  int anchor;      /* of the strings, LUA_NOREF if their rest was copied */
  np_Write *next;  /* spent ones */
  size_t counted;  /* of a copy, see neap_memory_count */
  size_t nheld;
  np_Buffer *held[]; /* the buffers, or instead of them the copy */
};

static char *copy_of(np_Write *w) { return (char *)w->held; }

typedef struct Shutdown {
  uv_shutdown_t request;
  np_Stream *stream;
  neap_Wait wait;
} Shutdown;

static void write_detail(const neap_Wait *wait, char *text, size_t size) {
  const char *w = (const char *)wait - offsetof(np_Write, wait);
  np_stream_detail(((const np_Write *)(const void *)w)->stream, text, size);
}

static void shutdown_detail(const neap_Wait *wait, char *text, size_t size) {
  const char *d = (const char *)wait - offsetof(Shutdown, wait);
  np_stream_detail(((const Shutdown *)(const void *)d)->stream, text, size);
}

/* == libuv's side ===================================================== */

static void copy_free(np_Write *w) {
  (void)neap_memory_count(w->stream->handle.vm, &w->counted, 0); /* less */
  free(w);
}

static int outcome(const np_Stream *s, int status) {
  return neap_handle_closed(&s->handle) ? NEAP_ECLOSED : status;
}

static void on_written(uv_write_t *request, int status) {
  np_Write *w = (np_Write *)request;
  np_Stream *s = w->stream;
  s->queued--;
  if (status < 0 && s->broken == 0) s->broken = status;
  for (size_t i = 0; i < w->nheld; i++) w->held[i]->writes--;
  (void)neap_wake(&w->wait, outcome(s, status));
  if (w->anchor == LUA_NOREF) {
    copy_free(w);
  } else {
    w->next = s->net->spent;
    s->net->spent = w;
  }
  neap_handle_unpin(&s->handle);
}

/* A pipe that goes one way has no half: its end is that it is closed. */
static int pipe_end(np_Stream *s, int status) {
  if (status != UV_ENOTSOCK || uv_is_readable(&s->uv.stream)) return status;
  neap_handle_close(&s->handle);
  return 0;
}

static void on_shutdown(uv_shutdown_t *request, int status) {
  Shutdown *d = (Shutdown *)request;
  status = outcome(d->stream, status);
  (void)neap_wake(&d->wait, pipe_end(d->stream, status));
  neap_handle_unpin(&d->stream->handle);
  free(d);
}

/* == Bytes that are copied ============================================ */

/* Queues a copy: NULL, and *err, if that fails. */
static np_Write *copy_queue(np_Stream *s, const char *data, size_t n,
                            int *err) {
  np_Write *w = malloc(sizeof *w + n);
  uv_buf_t buf;
  *err = UV_ENOMEM;
  if (w == NULL) return NULL;
  memset(w, 0, sizeof *w);
  w->stream = s;
  w->anchor = LUA_NOREF;
  w->wait.what = "write";
  w->wait.detail = write_detail;
  memcpy(copy_of(w), data, n);
  buf.base = copy_of(w);
  buf.len = n;
  *err = neap_memory_count(s->handle.vm, &w->counted, n);
  if (*err == 0)
    *err = uv_write(&w->request, &s->uv.stream, &buf, 1, on_written);
  if (*err < 0) {
    copy_free(w);
    return NULL;
  }
  s->queued++;
  neap_handle_pin(&s->handle);
  return w;
}

void np_stream_send(np_Stream *s, const char *data, size_t n, int may_wait) {
  uv_buf_t buf = {.base = (char *)data, .len = n};
  int sent, err = 0;
  if (s->broken < 0 || s->shut) return;
  sent = np_stream_try(s, &buf, 1);
  if (sent < 0 && sent != UV_EAGAIN) err = sent;
  if (sent < 0) sent = 0;
  if (err == 0 && may_wait && (size_t)sent < n)
    (void)copy_queue(s, data + sent, n - (size_t)sent, &err);
  if (err < 0) s->broken = err;
}

/* == Strings to buffers =============================================== */

static void spent_release(lua_State *L, np_Net *net) {
  while (net->spent != NULL) {
    np_Write *w = net->spent;
    net->spent = w->next;
    luaL_unref(L, LUA_REGISTRYINDEX, w->anchor);
    free(w);
  }
}

void np_write_free_spent(np_Net *net) {
  while (net->spent != NULL) {
    np_Write *w = net->spent;
    net->spent = w->next;
    free(w);
  }
}

/* What the argument at `index`, which is no string, has to write. */
static uv_buf_t buf_of(lua_State *L, const np_Net *net, int index) {
  const np_Buffer *b = np_buffer_test(L, net, index);
  if (b == NULL)
    neap_misuse(L, "write", "argument %d must be a string or a Buffer, not %s",
                index - 1, neap_typename(L, index));
  else if (b->n > 0)
    return (uv_buf_t){.base = b->bytes, .len = b->n};
  return (uv_buf_t){.base = (char *)"", .len = 0};
}

/* Fills `bufs` from the arguments 2 to n+1; returns the sum of their sizes. */
static size_t bufs_fill(lua_State *L, const np_Net *net, uv_buf_t *bufs,
                        int n) {
  size_t sum = 0;
  for (int i = 0; i < n; i++) {
    bufs[i].base = (char *)lua_tolstring(L, i + 2, &bufs[i].len);
    if (bufs[i].base == NULL) bufs[i] = buf_of(L, net, i + 2);
    sum += bufs[i].len;
  }
  return sum;
}

/* Takes `done` bytes off the front of *bufs. */
static void bufs_advance(uv_buf_t **bufs, int *n, size_t done) {
  while (*n > 0 && done >= (*bufs)->len) {
    done -= (*bufs)->len;
    ++*bufs;
    --*n;
  }
  if (*n == 0) return;
  (*bufs)->base += done;
  (*bufs)->len -= done;
}

static void bufs_copy(char *to, const uv_buf_t *bufs, int n) {
  for (int i = 0; i < n; i++) {
    memcpy(to, bufs[i].base, bufs[i].len);
    to += bufs[i].len;
  }
}

/* Makes the arguments live until luaL_unref. */
static int anchor_new(lua_State *L, int first, int last) {
  int i;
  lua_createtable(L, last - first + 1, 0);
  for (i = first; i <= last; i++) {
    lua_pushvalue(L, i);
    lua_rawseti(L, -2, i - first + 1);
  }
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* == write ============================================================ */

static int write_done(lua_State *L, int status) {
  np_Stream *s = neap_handle_test(L, 1, &np_stream_class);
  spent_release(L, s->net);
  if (status < 0) return np_stream_fail(L, s, status, "write");
  return 0;
}

static int write_submit(np_Write *w, uv_buf_t *bufs, int n, size_t rest) {
  uv_buf_t copied = uv_buf_init(copy_of(w), (unsigned)rest);
  int err;
  if (w->anchor == LUA_NOREF) {
    bufs_copy(copied.base, bufs, n);
    bufs = &copied;
    n = 1;
  }
  err = uv_write(&w->request, &w->stream->uv.stream, bufs, (unsigned)n,
                 on_written);
  if (err < 0) return err;
  w->stream->queued++;
  neap_handle_pin(&w->stream->handle);
  for (size_t i = 0; i < w->nheld; i++) w->held[i]->writes++;
  return 0;
}

/* Memory for a write of the arguments from `first` to `last`, or for the copy
 * of `rest` bytes if that is not 0. */
static np_Write *write_new(lua_State *L, np_Stream *s, int first, int last,
                           size_t rest) {
  size_t held = sizeof(np_Buffer *) * (size_t)(last - first + 1);
  np_Write *w = calloc(1, sizeof *w + (rest > 0 ? rest : held));
  if (w == NULL) return NULL;
  w->stream = s;
  w->wait.what = "write";
  w->wait.detail = write_detail;
  for (int i = first; rest == 0 && i <= last; i++) {
    np_Buffer *b = np_buffer_test(L, s->net, i);
    if (b != NULL) w->held[w->nheld++] = b;
  }
  return w;
}

/* Queues what the socket did not take, and waits. The last `n` of `last - 1`
 * arguments are left. */
static int write_rest(lua_State *L, np_Stream *s, uv_buf_t *bufs, int n,
                      int last, size_t rest) {
  int copied = rest <= COPY, err;
  int anchor = copied ? LUA_NOREF : anchor_new(L, last - n + 1, last);
  np_Write *w = write_new(L, s, last - n + 1, last, copied ? rest : 0);
  err = w != NULL ? 0 : UV_ENOMEM;
  if (err == 0) {
    w->anchor = anchor;
    err = write_submit(w, bufs, n, rest);
  }
  if (err < 0) {
    luaL_unref(L, LUA_REGISTRYINDEX, anchor);
    free(w);
    return np_stream_fail(L, s, err, "write");
  }
  s->burst = 0;
  return neap_await(L, &w->wait, write_done);
}

/* How much the socket takes at once: 0 if others are before us. */
static size_t write_now(lua_State *L, np_Stream *s, uv_buf_t *bufs, int n) {
  int sent = np_stream_try(s, bufs, n);
  if (sent >= 0) return (size_t)sent;
  if (sent == UV_EAGAIN) return 0;
  s->broken = sent;
  return (size_t)np_stream_fail(L, s, sent, "write");
}

static int stream_write(lua_State *L);

static int handshaken(lua_State *L, int status) {
  np_Stream *s = neap_handle_test(L, 1, &np_stream_class);
  if (status < 0) return np_stream_fail(L, s, status, "write");
  return stream_write(L);
}

/* Sees that there is memory for `n` bytes as they are encrypted, which are a
 * copy. Later is too late: a record that is not sent breaks the stream. */
static int tls_room(lua_State *L, const np_Stream *s, size_t n) {
  size_t left = neap_memory_left(s->handle.vm);
  n += n / 256 + 1024; /* what OpenSSL adds to each record, and more */
  if (left >= n) return 0;
  (void)lua_gc(L, LUA_GCCOLLECT); /* which may close streams, this one too */
  if (neap_handle_closed(&s->handle)) return NEAP_ECLOSED;
  return neap_memory_left(s->handle.vm) >= n ? 0 : UV_ENOMEM;
}

/* Encrypts and sends `n` buffers; what the socket does not take is queued, and
 * *w is its write, as is all once there is one. 0 or a code. */
static int tls_send(np_Stream *s, const uv_buf_t *bufs, int n, np_Write **w) {
  uv_buf_t out;
  int sent = 0, err = np_tls_encrypt(s, bufs, n, &out);
  if (err < 0) return err;
  if (*w == NULL && s->burst++ < BURST) sent = np_stream_try(s, &out, 1);
  if (sent == UV_EAGAIN) sent = 0;
  if (sent < 0)
    err = sent;
  else if ((size_t)sent < out.len)
    *w = copy_queue(s, out.base + sent, out.len - (size_t)sent, &err);
  np_tls_forget(s);
  return err;
}

/* How many of the buffers have at most PIECE bytes together; *size is how many
 * that is. 0 if already the first has more. */
static int piece_of(const uv_buf_t *bufs, int n, size_t *size) {
  int i;
  *size = 0;
  for (i = 0; i < n && *size + bufs[i].len <= PIECE; i++) *size += bufs[i].len;
  return i;
}

/* Only a piece at a time is there twice, plain and encrypted, unless the
 * socket does not take it: then what is left waits encrypted, as it must go
 * out if the task is cancelled, and before what others write. */
static int tls_write(lua_State *L, np_Stream *s, uv_buf_t *bufs, int n,
                     size_t sum) {
  np_Write *w = NULL;
  int err = tls_room(L, s, sum);
  if (err < 0) return np_stream_fail(L, s, err, "write");
  while (n > 0) {
    size_t size;
    int count = piece_of(bufs, n, &size);
    uv_buf_t part = {.base = bufs->base, .len = PIECE};
    if (count == 0) size = PIECE;
    err = tls_send(s, count == 0 ? &part : bufs, count == 0 ? 1 : count, &w);
    if (err < 0) {
      s->broken = err;
      return np_stream_fail(L, s, err, "write");
    }
    bufs_advance(&bufs, &n, size);
  }
  if (w == NULL) return 0;
  s->burst = 0;
  return neap_await(L, &w->wait, write_done);
}

/**
 * async stream:write(...)
 *
 * Writes strings, numbers and what [Buffers](#buffer) hold, one after the
 * other and without joining them, and returns when the kernel has all of it.
 * A slow peer thus slows the writer down. Writing to a peer that has gone
 * raises an OSError, usually at the second write (`EPIPE`, `ECONNRESET`).
 *
 * If the task is cancelled while it waits, what it had begun to write still
 * goes out in the background, complete and in order, unless the stream is
 * closed: the next write cannot land in its middle.
 */
static int stream_write(lua_State *L) {
  np_Stream *s = np_stream_check(L);
  int last = lua_gettop(L), n = last - 1;
  uv_buf_t few[BUFS], *bufs = few;
  size_t sum, sent = 0;
  if (n > BUFS) bufs = lua_newuserdatauv(L, sizeof *bufs * (size_t)n, 0);
  sum = bufs_fill(L, s->net, bufs, n);
  if (s->shut) return neap_misuse(L, "write", "the stream was shut down");
  if (s->broken < 0) return np_stream_fail(L, s, s->broken, "write");
  if (s->net->spent != NULL) spent_release(L, s->net);
  if (sum == 0) return 0;
  if (!np_tls_done(s)) return np_tls_await(L, s, handshaken);
  if (s->tls != NULL) return tls_write(L, s, bufs, n, sum);
  if (s->burst++ < BURST) sent = write_now(L, s, bufs, n);
  if (sent == sum) return 0;
  bufs_advance(&bufs, &n, sent);
  return write_rest(L, s, bufs, n, last, sum - sent);
}

/* == shutdown ========================================================= */

static int shutdown_done(lua_State *L, int status) {
  const np_Stream *s = neap_handle_test(L, 1, &np_stream_class);
  if (status < 0) return np_stream_fail(L, s, status, "shutdown");
  return 0;
}

static int stream_shutdown(lua_State *L);

static int shutdown_handshaken(lua_State *L, int status) {
  np_Stream *s = neap_handle_test(L, 1, &np_stream_class);
  if (status < 0) return np_stream_fail(L, s, status, "shutdown");
  return stream_shutdown(L);
}

/**
 * async stream:shutdown()
 *
 * Ends our direction: the peer reads the end after what was written. Reading
 * goes on. A second call does nothing; a write after it is an error.
 */
static int stream_shutdown(lua_State *L) {
  np_Stream *s = np_stream_check(L);
  Shutdown *d;
  int err;
  if (s->shut) return 0;
  if (!np_tls_done(s)) return np_tls_await(L, s, shutdown_handshaken);
  d = calloc(1, sizeof *d);
  if (d == NULL) return neap_fail(L, UV_ENOMEM, "shutdown");
  np_tls_end(s);
  err = uv_shutdown(&d->request, &s->uv.stream, on_shutdown);
  if (err < 0) {
    free(d);
    return np_stream_fail(L, s, err, "shutdown");
  }
  s->shut = 1;
  d->stream = s;
  d->wait.what = "shutdown";
  d->wait.detail = shutdown_detail;
  neap_handle_pin(&s->handle);
  return neap_await(L, &d->wait, shutdown_done);
}

const neap_Async np_write_ops[] = {
  {"write", stream_write},
  {"shutdown", stream_shutdown},
  {NULL, NULL}
};
