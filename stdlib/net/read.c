/*
 * read.c - reading from a stream: read, read_into, read_exactly, read_line,
 * read_until, read_all.
 *
 * Each operation says what it wants, waits until the input answers it or the
 * stream has ended, and takes it from there. One that was woken begins anew,
 * because another task may have read in between.
 */
#include <lauxlib.h>
#include <string.h>

#include "buffer.h"
#include "stream.h"
#include "tls.h"

#define SOME ((size_t)128 << 10) /* what read gives at most unless told */
#define LINE ((size_t)64 << 10)  /* the longest line unless told */

/* Pushes what was wanted: it is there (1), cannot be (-1), or the stream has
 * ended (0). */
typedef int (*Give)(lua_State *L, np_Stream *s, int met);

static np_Stream *begin(lua_State *L, const char *name) {
  np_Stream *s = np_stream_check(L);
  if (neap_waiting(&s->reader))
    neap_misuse(L, name, "another task is reading");
  return s;
}

/* Keeps what is known of the input if the separator is the same. */
static void want_set(np_Stream *s, np_Want want, int fresh) {
  if (!fresh && s->want.sep == want.sep && s->want.need == want.need)
    want.scanned = s->want.scanned;
  s->want = want;
}

static int go(lua_State *L, np_Stream *s, const char *name, Give give,
              neap_Done done) {
  int met, err;
  while ((met = np_stream_met(s)) == 0 && s->end == 0) {
    if (np_stream_fill(s)) continue;
    err = np_stream_listen(s);
    if (err < 0) return np_stream_fail(L, s, err, name);
    return neap_await(L, &s->reader, done);
  }
  return give(L, s, met);
}

/* Gives the first `n` bytes, and forgets them and `more` behind them. Fresh
 * ones that are left must be safe before Lua can run anything else. */
static int take(lua_State *L, np_Stream *s, size_t n, size_t more) {
  size_t size;
  const char *data = np_stream_data(s, &size);
  int err = s->fresh > 0 ? np_stream_keep(s, n + more) : 1;
  if (err < 0) return np_stream_fail(L, s, err, "read");
  lua_pushlstring(L, n > 0 ? data : "", n);
  if (err > 0) (void)np_stream_keep(s, n + more);
  return 1;
}

static size_t unread(const np_Stream *s) {
  size_t n;
  (void)np_stream_data(s, &n);
  return n;
}

/* The stream has ended: raises unless that is just its end. */
static void end_check(lua_State *L, np_Stream *s, const char *name) {
  if (s->end != UV_EOF) np_stream_fail(L, s, s->end, name);
}

/* Raises an IncompleteReadError with all that came; `expected` may be 0. */
static int incomplete(lua_State *L, np_Stream *s, const char *name,
                      size_t expected) {
  const char *message;
  name = np_stream_what(L, s, name);
  if (expected > 0)
    message = lua_pushfstring(L, "%s: the stream ended after %I of %I bytes",
                              name, (LUAI_UACINT)unread(s),
                              (LUAI_UACINT)expected);
  else
    message = lua_pushfstring(
        L, "%s: the stream ended before the separator", name);
  neap_error_new(L, "IncompleteReadError", 1, NULL, message);
  (void)take(L, s, unread(s), 0);
  lua_setfield(L, -2, "partial");
  if (expected > 0) {
    lua_pushinteger(L, (lua_Integer)expected);
    lua_setfield(L, -2, "expected");
  }
  return lua_error(L);
}

static int overrun(lua_State *L, np_Stream *s, const char *name,
                   const char *part) {
  return neap_raise(L, "LimitOverrunError", NULL,
                    "%s: no %s ends within %I bytes",
                    np_stream_what(L, s, name), part,
                    (LUAI_UACINT)s->want.n);
}

static void resumed(lua_State *L, int status, const char *name) {
  if (status >= 0) return;
  np_stream_fail(L, neap_handle_test(L, 1, &np_stream_class), status, name);
}

/* == read ============================================================= */

static int give_some(lua_State *L, np_Stream *s, int met) {
  size_t n = unread(s);
  if (met) return take(L, s, n < s->want.n ? n : s->want.n, 0);
  end_check(L, s, "read");
  lua_pushnil(L);
  return 1;
}

static int some_done(lua_State *L, int status);

static int some(lua_State *L, int fresh) {
  np_Stream *s = begin(L, "read");
  size_t n = lua_isnoneornil(L, 2) ? SOME : np_net_count(L, 2, "read", "n", 0);
  if (n == 0) return take(L, s, 0, 0);
  want_set(s, (np_Want){.need = 1, .n = n}, fresh);
  return go(L, s, "read", give_some, some_done);
}

static int some_done(lua_State *L, int status) {
  resumed(L, status, "read");
  return some(L, 0);
}

/**
 * async stream:read([n]) -> string, or nil at the end
 *
 * What there is: at least one byte, and at most `n` (131072). With n = 0 it is
 * `""`, without waiting.
 */
static int stream_read(lua_State *L) { return some(L, 1); }

/* == read_into ======================================================== */

/* Has the buffer hold the `n` bytes that were put into it. */
static int give_count(lua_State *L, np_Buffer *b, size_t n) {
  b->n = n;
  lua_pushinteger(L, (lua_Integer)n);
  return 1;
}

static int give_into(lua_State *L, np_Stream *s, np_Buffer *b) {
  size_t n;
  const char *data = np_stream_data(s, &n);
  int err;
  if (n > s->want.n) n = s->want.n;
  np_buffer_take(L, 2, b);
  memcpy(b->bytes, data, n);
  err = np_stream_keep(s, n);
  if (err < 0) return np_stream_fail(L, s, err, "read_into");
  return give_count(L, b, n);
}

/* Where nothing is unread, the kernel writes into the buffer itself. */
static ssize_t fill_into(lua_State *L, np_Stream *s, np_Buffer *b) {
  if (s->tls != NULL) return np_stream_fill(s) ? 0 : UV_EAGAIN;
  np_buffer_take(L, 2, b);
  return np_stream_read(s, b->bytes, s->want.n);
}

static int go_into(lua_State *L, np_Stream *s, np_Buffer *b, neap_Done done) {
  int err;
  while (unread(s) == 0 && s->end == 0) {
    ssize_t n = fill_into(L, s, b);
    if (n > 0) return give_count(L, b, (size_t)n);
    if (n != UV_EAGAIN) continue;
    np_buffer_leave(L, 2, b);
    err = np_stream_listen(s);
    if (err < 0) return np_stream_fail(L, s, err, "read_into");
    return neap_await(L, &s->reader, done);
  }
  if (unread(s) > 0) return give_into(L, s, b);
  np_buffer_leave(L, 2, b);
  end_check(L, s, "read_into");
  lua_pushnil(L);
  return 1;
}

static int into_done(lua_State *L, int status);

static int into(lua_State *L, int fresh) {
  np_Stream *s = begin(L, "read_into");
  np_Buffer *b = np_buffer_check(L, s->net, 2, "read_into");
  size_t n = b->size;
  if (!lua_isnoneornil(L, 3)) n = np_net_count(L, 3, "read_into", "n", 0);
  if (n > b->size)
    return neap_misuse(L, "read_into", "n is %I, and the buffer has room for "
                       "%I", (LUAI_UACINT)n, (LUAI_UACINT)b->size);
  b->n = 0;
  if (n == 0) return give_count(L, b, 0);
  want_set(s, (np_Want){.need = 1, .n = n}, fresh);
  return go_into(L, s, b, into_done);
}

static int into_done(lua_State *L, int status) {
  resumed(L, status, "read_into");
  return into(L, 0);
}

/**
 * async stream:read_into(buffer [, n]) -> number of bytes, or nil at the end
 *
 * As read, into a [Buffer](#buffer), whose bytes are then those that came: at
 * least one, and at most `n` (its size). What it held before is gone when the
 * read begins. It is an error if the buffer is still being written, by another
 * task or by a write that was cancelled.
 */
static int stream_read_into(lua_State *L) { return into(L, 1); }

/* == read_exactly ===================================================== */

static int give_exactly(lua_State *L, np_Stream *s, int met) {
  if (met) return take(L, s, s->want.n, 0);
  end_check(L, s, "read_exactly");
  return incomplete(L, s, "read_exactly", s->want.n);
}

static int exactly_done(lua_State *L, int status);

static int exactly(lua_State *L, int fresh) {
  np_Stream *s = begin(L, "read_exactly");
  size_t n = np_net_count(L, 2, "read_exactly", "n", 0);
  want_set(s, (np_Want){.need = n, .n = n}, fresh);
  return go(L, s, "read_exactly", give_exactly, exactly_done);
}

static int exactly_done(lua_State *L, int status) {
  resumed(L, status, "read_exactly");
  return exactly(L, 0);
}

/**
 * async stream:read_exactly(n) -> string
 *
 * Exactly `n` bytes. If the stream ends before, a `net.IncompleteReadError`:
 * `e.partial` holds what came (perhaps `""`), `e.expected` is `n`.
 */
static int stream_read_exactly(lua_State *L) { return exactly(L, 1); }

/* == read_line ======================================================== */

static int give_line(lua_State *L, np_Stream *s, int met) {
  if (met > 0) return take(L, s, s->want.n - 1, 1);
  if (met < 0) return overrun(L, s, "read_line", "line");
  end_check(L, s, "read_line");
  if (unread(s) > 0) return take(L, s, unread(s), 0);
  lua_pushnil(L);
  return 1;
}

static size_t most(lua_State *L, int index, const char *name) {
  if (lua_isnoneornil(L, index)) return LINE;
  return np_net_count(L, index, name, "max", 1);
}

static int line_done(lua_State *L, int status);

static int line(lua_State *L, int fresh) {
  np_Stream *s = begin(L, "read_line");
  np_Want want = {.need = 1, .sep = "\n"};
  want.n = most(L, 2, "read_line");
  want_set(s, want, fresh);
  return go(L, s, "read_line", give_line, line_done);
}

static int line_done(lua_State *L, int status) {
  resumed(L, status, "read_line");
  return line(L, 0);
}

/**
 * async stream:read_line([max]) -> string, or nil at the end
 *
 * The next line without its newline; a carriage return before that stays. The
 * last line may lack its newline. A line of more than `max` bytes (65536)
 * raises a `net.LimitOverrunError` and stays in the stream.
 */
static int stream_read_line(lua_State *L) { return line(L, 1); }

/* == read_until ======================================================= */

static int give_part(lua_State *L, np_Stream *s, int met) {
  if (met > 0) return take(L, s, s->want.n, 0);
  if (met < 0) return overrun(L, s, "read_until", "part");
  end_check(L, s, "read_until");
  if (unread(s) > 0) return incomplete(L, s, "read_until", 0);
  lua_pushnil(L);
  return 1;
}

static int until_done(lua_State *L, int status);

static int until(lua_State *L, int fresh) {
  np_Stream *s = begin(L, "read_until");
  np_Want want = {.n = 0};
  if (lua_type(L, 2) != LUA_TSTRING)
    return neap_misuse(L, "read_until", "separator must be a string, not %s",
                         neap_typename(L, 2));
  want.sep = lua_tolstring(L, 2, &want.need);
  if (want.need == 0)
    return neap_misuse(L, "read_until", "separator is empty");
  want.n = most(L, 3, "read_until");
  want_set(s, want, fresh);
  return go(L, s, "read_until", give_part, until_done);
}

static int until_done(lua_State *L, int status) {
  resumed(L, status, "read_until");
  return until(L, 0);
}

/**
 * async stream:read_until(separator [, max]) -> string, or nil at the end
 *
 * Everything up to and including `separator`. If the stream ends first, a
 * `net.IncompleteReadError` with what came in `e.partial`. If more than `max`
 * bytes (65536) precede the separator, a `net.LimitOverrunError`, and the
 * bytes stay in the stream.
 */
static int stream_read_until(lua_State *L) { return until(L, 1); }

/* == read_all ========================================================= */

static int give_all(lua_State *L, np_Stream *s, int met) {
  (void)met;
  end_check(L, s, "read_all");
  return take(L, s, unread(s), 0);
}

static int all_done(lua_State *L, int status);

static int all(lua_State *L, int fresh) {
  np_Stream *s = begin(L, "read_all");
  want_set(s, (np_Want){.need = NP_WANT_ALL}, fresh);
  return go(L, s, "read_all", give_all, all_done);
}

static int all_done(lua_State *L, int status) {
  resumed(L, status, "read_all");
  return all(L, 0);
}

/**
 * async stream:read_all() -> string
 *
 * Everything up to the end; `""` if nothing comes. There is no limit on it.
 */
static int stream_read_all(lua_State *L) { return all(L, 1); }

const neap_Async np_read_ops[] = {
  {"read", stream_read},
  {"read_into", stream_read_into},
  {"read_exactly", stream_read_exactly},
  {"read_line", stream_read_line},
  {"read_until", stream_read_until},
  {"read_all", stream_read_all},
  {NULL, NULL}
};
