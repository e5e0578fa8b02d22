/*
 * stream.h - two-way streams of bytes on one descriptor: the class Stream.
 *
 * What is connected by whatever means becomes a Stream: np_stream_new, then
 * np_stream_adopt with a descriptor, or with `uv` connected otherwise. The
 * files of this room are layers: input.c keeps bytes, stream.c fills it from
 * libuv, read.c takes from it and write.c sends. A layer that changes bytes
 * on their way belongs between stream.c and read.c, in np_stream_received.
 */
#ifndef NP_STREAM_H
#define NP_STREAM_H

#include <lua.h>
#include <uv.h>

#include "input.h"
#include "neap.h"

enum { NP_STREAM_TCP, NP_STREAM_PIPE };

#define NP_STREAM_HIGH ((size_t)64 << 10) /* no reading ahead beyond this */

/* What the machine's streams share. */
typedef struct np_Net {
  np_Arena *arena;
  struct np_Write *spent; /* finished writes that still anchor strings */
} np_Net;

/* What must have come before the reading task goes on. */
typedef struct np_Want {
  enum { NP_WANT_SOME, NP_WANT_EXACT, NP_WANT_PART, NP_WANT_ALL } kind;
  size_t n;        /* SOME, EXACT: bytes; PART: the most before `sep` */
  const char *sep; /* PART: lent by the task's stack */
  size_t sep_len;
  size_t scanned;  /* unread bytes known not to begin a `sep` */
  size_t found;    /* length of the part, if it is there */
} np_Want;

typedef struct np_Stream {
  neap_Handle handle; /* first */
  union {
    uv_handle_t any;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } uv;
  neap_Wait reader; /* the task that reads; before, the one that connects */
  np_Net *net;
  np_Input in;
  np_Want want;     /* while a task waits in `reader` */
  int end;          /* nothing more comes: UV_EOF, or why */
  int broken;       /* why nothing can be written any more */
  unsigned burst;   /* operations since its task last waited */
  uint8_t kind;
  uint8_t reading;  /* libuv reads */
  uint8_t shut;     /* shutdown was called */
} np_Stream;

extern const neap_Class np_stream_class;

/* == Making =========================================================== */

/* Pushes a new stream that is not connected yet. */
np_Stream *np_stream_new(lua_State *L, int kind);

/* Takes over the connected socket `fd`: 0, or a code, and `fd` is closed. */
int np_stream_adopt(np_Stream *s, int fd);

/* == Incoming ========================================================= */

/* 1 if the input answers `want`; -1 if it holds too much for that. */
int np_stream_met(np_Stream *s);

/* Reads what is there without waiting, unless libuv does: 1 if that changed
 * anything, 0 if the task must wait. */
int np_stream_try(np_Stream *s);

/* Gets ready for the task to wait in `reader`: 0 or a code. */
int np_stream_listen(np_Stream *s);

/* Forgets `n` unread bytes. */
void np_stream_eat(np_Stream *s, size_t n);

/* == Lua's side ======================================================= */

/* The open stream at 1. */
np_Stream *np_stream_check(lua_State *L);

/* Raises "NAME: REASON" with the script's line. */
int np_net_misuse(lua_State *L, const char *name, const char *reason, ...);

/* The count at `index`, at least `least`, called `what` in messages. */
size_t np_net_count(lua_State *L, int index, const char *name,
                    const char *what, lua_Integer least);

/* What of the class is elsewhere: for net.c, which puts it together. */
struct luaL_Reg;
extern const struct luaL_Reg np_stream_methods[];
extern const neap_Async np_read_ops[], np_write_ops[];
void np_write_free_spent(np_Net *net);

np_Net *np_net_get(lua_State *L);

#endif
