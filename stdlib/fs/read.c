/*
 * read.c - reading from a file: read, read_line, read_all.
 *
 * Each operation says what it wants, and reads until that is there or the
 * file has ended. One that was woken begins anew, because another task may
 * have written in between.
 */
#include <lauxlib.h>
#include <string.h>

#include "file.h"

#define CHUNK ((size_t)128 << 10) /* what read gives unless told */

/* 1 if what is wanted is there; -1 if it is too long. */
static int met(np_File *f) {
  np_Want *w = &f->want;
  size_t size = np_buf_size(&f->in);
  const char *data = np_buf_data(&f->in), *at = NULL;
  if (w->kind == NP_WANT_SIZE)
    return size >= w->n || (f->pos < 0 && size > 0);
  if (w->kind == NP_WANT_ALL) return 0;
  if (size > w->scanned)
    at = memchr(data + w->scanned, '\n', size - w->scanned);
  w->scanned = size;
  if (at == NULL) return w->n > 0 && size > w->n ? -1 : 0;
  w->found = (size_t)(at - data) + 1;
  w->scanned = 0;
  return w->n > 0 && w->found - 1 > w->n ? -1 : 1;
}

/* Gives the first `n` bytes, and forgets them and `more` behind them. */
static int take(lua_State *L, np_File *f, size_t n, size_t more) {
  lua_pushlstring(L, n > 0 ? np_buf_data(&f->in) : "", n);
  np_buf_consume(&f->in, n + more);
  f->want.scanned = 0;
  if (f->pos >= 0) f->pos += (int64_t)(n + more);
  return 1;
}

static int give(lua_State *L, np_File *f, int is_met) {
  np_Want *w = &f->want;
  size_t size = np_buf_size(&f->in);
  if (is_met < 0)
    return neap_raise(L, "LimitOverrunError", NULL,
                      "read_line %s: no line ends within %I bytes", f->path,
                      (LUAI_UACINT)w->n);
  if (is_met > 0 && w->kind == NP_WANT_LINE)
    return take(L, f, w->found - !w->whole, (size_t)!w->whole);
  if (is_met > 0) return take(L, f, size < w->n ? size : w->n, 0);
  if (f->end != UV_EOF)
    return np_fs_fail(L, f->end, "read", f->path, NULL);
  if (size > 0 || w->kind == NP_WANT_ALL) return take(L, f, size, 0);
  lua_pushnil(L);
  return 1;
}

/* Goes on as long as there is something without waiting. While a thread adds
 * to what was read ahead, for a task that was cancelled, none of it is taken:
 * it would move. */
static int go(lua_State *L, np_File *f, neap_Done done) {
  for (;;) {
    int is_met = f->filling ? 0 : met(f);
    if (is_met != 0 || (!f->filling && f->end != 0))
      return give(L, f, is_met);
    if (!np_file_fill(f)) return neap_await(L, &f->reader, done);
  }
}

/* Keeps what is known of the line, and of the end if this read met it. */
static np_File *begin(lua_State *L, const char *name, np_Want want,
                      int fresh) {
  np_File *f = np_file_check(L);
  if (neap_waiting(&f->reader))
    neap_misuse(L, name, "another task is reading");
  if (!f->readable)
    neap_misuse(L, name, "the file was not opened for reading");
  if (want.kind == NP_WANT_LINE && f->want.kind == NP_WANT_LINE)
    want.scanned = f->want.scanned;
  f->want = want;
  if (fresh) f->end = 0;
  return f;
}

static void resumed(lua_State *L, int status) {
  np_File *f = neap_handle_test(L, 1, &np_file_class);
  if (status == 0 && neap_handle_closed(&f->handle)) status = NEAP_ECLOSED;
  if (status < 0) np_fs_fail(L, status, "read", f->path, NULL);
}

/* == read_line ======================================================== */

static int line_done(lua_State *L, int status);

static int line(lua_State *L, int fresh) {
  np_Want want = {.kind = NP_WANT_LINE};
  if (!lua_isnoneornil(L, 2))
    want.n = (size_t)np_fs_integer(L, 2, "read_line", "max", 1);
  return go(L, begin(L, "read_line", want, fresh), line_done);
}

static int line_done(lua_State *L, int status) {
  resumed(L, status);
  return line(L, 0);
}

/**
 * async file:read_line([max]) -> string, or nil at the end
 *
 * The next line without its newline; the last one may lack it. A line of more
 * than `max` bytes (no limit) raises an `asyncio.LimitOverrunError`, and
 * stays.
 */
static int file_read_line(lua_State *L) {
  np_fs_method(L, "read_line", 1);
  return line(L, 1);
}

/* == read_all ========================================================= */

static int all_done(lua_State *L, int status);

static int all(lua_State *L, int fresh) {
  np_Want want = {.kind = NP_WANT_ALL};
  return go(L, begin(L, "read_all", want, fresh), all_done);
}

static int all_done(lua_State *L, int status) {
  resumed(L, status);
  return all(L, 0);
}

/**
 * async file:read_all() -> string
 *
 * The rest; `""` if there is none.
 */
static int file_read_all(lua_State *L) {
  np_fs_method(L, "read_all", 0);
  return all(L, 1);
}

/* == read ============================================================= */

/* What a format of Lua's io wants. */
static np_Want format_want(lua_State *L) {
  np_Want want = {.kind = NP_WANT_LINE};
  const char *format = lua_tostring(L, 2);
  if (*format == '*') format++;
  if (strcmp(format, "a") == 0) want.kind = NP_WANT_ALL;
  else if (strcmp(format, "L") == 0) want.whole = 1;
  else if (strcmp(format, "l") != 0)
    neap_misuse(L, "read", "unknown format '%s'", format);
  return want;
}

static int some_done(lua_State *L, int status);

static int some(lua_State *L, int fresh) {
  np_Want want = {.kind = NP_WANT_SIZE, .n = CHUNK};
  if (lua_type(L, 2) == LUA_TSTRING)
    want = format_want(L);
  else if (!lua_isnoneornil(L, 2))
    want.n = (size_t)np_fs_integer(L, 2, "read", "n", 0);
  return go(L, begin(L, "read", want, fresh), some_done);
}

static int some_done(lua_State *L, int status) {
  resumed(L, status);
  return some(L, 0);
}

/**
 * async file:read([n]) -> string, or nil at the end
 *
 * The next `n` bytes (131072), less only if the file ends before; from a FIFO
 * or a device, what there is. With n = 0 it is `""`. `file:read "l"`, `"L"`
 * and `"a"` are read_line, read_line with its newline, and read_all. A file
 * that has ended may grow, so that later reads give more.
 */
static int file_read(lua_State *L) {
  np_fs_method(L, "read", 1);
  return some(L, 1);
}

const neap_Async np_file_read_ops[] = {
  {"read", file_read},
  {"read_line", file_read_line},
  {"read_all", file_read_all},
  {NULL, NULL}
};
