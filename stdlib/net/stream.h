/*
 * stream.h - two-way streams of bytes on one descriptor: the class Stream.
 *
 * What is connected by whatever means becomes a Stream: np_stream_new, then
 * np_stream_adopt with a descriptor, or with `uv` connected otherwise.
 *
 * How bytes come in: while a task waits, libuv only tells that some are there
 * and the task reads them itself, into memory that all streams of the machine
 * share and that is still warm when they become a Lua string. So an idle
 * stream has no buffer. What the task does not take, or what comes when no
 * task waits, is copied to a buffer of the stream's own. Reading is stopped
 * only when more than NP_STREAM_HIGH bytes are unread.
 *
 * TLS lies below np_stream_fill: see tls.h.
 */
#ifndef NP_STREAM_H
#define NP_STREAM_H

#include <lauxlib.h>
#include <netinet/in.h>
#include <stdint.h>
#include <uv.h>

#include "buf.h"
#include "neap.h"

enum { NP_STREAM_TCP, NP_STREAM_PIPE };

#define NP_STREAM_HIGH ((size_t)64 << 10) /* no reading ahead beyond this */
#define NP_STREAM_SPACE ((size_t)64 << 10)

#define NP_ETLS (-9101) /* TLS failed: np_tls_fail knows how */

/* What the machine's streams share. */
typedef struct np_Net {
  char *space;            /* NP_STREAM_SPACE bytes to read into */
  struct np_Write *spent; /* finished writes that still anchor strings */
  struct np_Openssl *openssl; /* NULL until a stream wants TLS ... */
  char *tls_space; /* ... and then NP_TLS_READ bytes to read into */
  struct np_Cares *cares; /* NULL until a name is looked up */
  const void *buffer_class; /* the metatable of Buffer, by its address */
} np_Net;

/* What must have come before the reading task goes on. */
typedef struct np_Want {
  size_t need;     /* so many bytes; if there is a `sep`, its length */
  size_t n;        /* the most that is given, or that precedes `sep`; if that
                      is there, what goes up to its end */
  const char *sep; /* lent by the task's stack, or NULL */
  size_t scanned;  /* unread bytes known not to begin a `sep` */
} np_Want;

#define NP_WANT_ALL SIZE_MAX /* the need of who reads to the end */

/* What each message needs is together, so that few lines of the processor's
 * cache are: a thousand connections do not fit into it. */
typedef struct np_Stream {
  neap_Handle handle; /* first */
  np_Net *net;
  neap_Wait reader; /* the task that reads; before, the one that connects */
  size_t fresh;     /* unread bytes in net->space instead of own, see below */
  struct np_Tls *tls; /* NULL without TLS */
  np_Want want;     /* while a task reads */
  np_Buf own;       /* unread bytes */
  int end;          /* nothing more comes: UV_EOF, or why */
  int broken;       /* why nothing can be written any more */
  int fd;           /* -1 until it is needed: fd_of */
  uint32_t queued;  /* writes that libuv has */
  uint16_t burst;   /* operations since its task last waited */
  uint8_t kind;
  uint8_t reading;  /* libuv reads, or tells */
  uint8_t ready;    /* bytes are probably there */
  uint8_t doubt;    /* how often not to guess that they are */
  uint8_t shut;     /* shutdown was called */
  uint8_t tty;      /* a terminal, or the far side of one */
  size_t counted;   /* of own's memory, see neap_memory_count */
  union {
    uv_handle_t any;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } uv;
  union {
    sa_family_t family;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
    char label[28]; /* if it is a pipe: "stdin of cat", or "" */
  } peer;           /* of TCP, else 0: the kernel forgets it after a reset */
} np_Stream;

extern const neap_Class np_stream_class;

/* == Making =========================================================== */

/* Pushes a new stream that is not connected yet. */
np_Stream *np_stream_new(lua_State *L, int kind);

/* Takes over the connected socket `fd`: 0, or a code, and `fd` is closed. */
int np_stream_adopt(np_Stream *s, int fd);

/* Remembers whom it is, or will be, connected with. */
void np_stream_set_peer(np_Stream *s, const struct sockaddr_storage *name);

/* core.open_fd(fd, label) -> Stream, which takes `fd` over: a socket, a pipe,
 * a terminal, but no file. core.fileno(stream) -> its fd, lent. */
int np_net_open_fd(lua_State *L);
int np_net_fileno(lua_State *L);

/* == Incoming ========================================================= */

/* Lends the unread bytes. */
static inline const char *np_stream_data(const np_Stream *s, size_t *n) {
  *n = s->fresh > 0 ? s->fresh : np_buf_size(&s->own);
  return s->fresh > 0 ? s->net->space : np_buf_data(&s->own);
}

/* Looks for `want.sep` in the unread bytes, see np_stream_met. */
int np_stream_part(np_Stream *s);

/* 1 if the unread bytes answer `want`; -1 if they are too many for that. */
static inline int np_stream_met(np_Stream *s) {
  size_t n;
  if (s->want.sep != NULL) return np_stream_part(s);
  (void)np_stream_data(s, &n);
  return n >= s->want.need;
}

/*
 * Reads without waiting, if something is probably there: 1 if that changed
 * anything, 0 if the task must wait. What it reads may be fresh: before
 * anything else can run, it must be taken or kept.
 */
int np_stream_fill(np_Stream *s);

/*
 * Reads straight to `to`, past what is unread and below TLS: the number of
 * bytes, UV_EAGAIN if the task must wait, or why the stream has ended now.
 */
ssize_t np_stream_read(np_Stream *s, char *to, size_t size);

/* Forgets the first `n` unread bytes and moves the rest of fresh ones to a
 * safe place; the memory of those forgotten is still lent. 0 or a code. */
int np_stream_keep(np_Stream *s, size_t n);

/* Gets ready for the task to wait in `reader`: 0 or a code. */
int np_stream_listen(np_Stream *s);

/*
 * Adds the `n` bytes in net->space, which came without a task, to what is
 * unread; `end` is 0 or why nothing more comes.
 */
void np_stream_deliver(np_Stream *s, size_t n, int end);

/* == Outgoing ========================================================= */

/*
 * Writes what the socket takes at once: the number of bytes, UV_EAGAIN if that
 * is none or others are before us, or why nothing can be written any more.
 */
int np_stream_try(np_Stream *s, const uv_buf_t *bufs, int n);

/* Sends bytes that no task waits for. If the socket does not take them now,
 * the rest is copied and sent later, or dropped unless `may_wait`. */
void np_stream_send(np_Stream *s, const char *data, size_t n, int may_wait);

/* == Lua's side ======================================================= */

/* The open stream at 1. */
np_Stream *np_stream_check(lua_State *L);

/* Raises the error of the code, which may be NP_ETLS: "read 1.2.3.4:80: reason"
 * if `what` is "read". */
int np_stream_fail(lua_State *L, const np_Stream *s, int status,
                   const char *what);

/* Pushes "read 1.2.3.4:80" if `name` is "read" and the peer is known. */
const char *np_stream_what(lua_State *L, const np_Stream *s, const char *name);

/* For neap_Wait.detail: writes who the peer is, if anybody knows. */
void np_stream_detail(const np_Stream *s, char *text, size_t size);

/* The count at `index`, at least `least`, called `what` in messages. */
size_t np_net_count(lua_State *L, int index, const char *name,
                    const char *what, lua_Integer least);

/* What of the class is elsewhere: for net.c, which puts it together. */
extern const luaL_Reg np_stream_methods[];
extern const neap_Async np_read_ops[], np_write_ops[];
void np_write_free_spent(np_Net *net);

np_Net *np_net_get(lua_State *L);

#endif
