/*
 * patterns.c - string.find, match, gmatch and gsub in a machine whose
 * instructions are counted.
 *
 * They are Lua's, but the matcher is lib/pattern's, which counts its work,
 * so that a pattern that would take years is stopped as a loop is.
 */
#include <lualib.h>
#include <string.h>

#include "limits.h"
#include "pattern.h"

static void on_work(void *L, size_t steps) { neap_charge(L, steps); }

static void start(lua_State *L, np_Match *m, const char *text, size_t length,
                  const char *pattern_end) {
  np_match_init(m, text, length, pattern_end);
  m->work = on_work;
  m->data = L;
}

/* == Captures ========================================================= */

static const char *attempt(lua_State *L, np_Match *m, const char *at,
                           const char *pattern) {
  const char *end = np_match(m, at, pattern);
  if (m->error == NULL) return end;
  if (strcmp(m->error, "invalid capture index") == 0)
    luaL_error(L, "%s %%%d", m->error, m->error_index);
  luaL_error(L, "%s", m->error);
  return NULL;
}

/* Pushes capture `i`, or the whole match at..end as the first of none. */
static void push_capture(lua_State *L, const np_Match *m, int i,
                         const char *at, const char *end) {
  const np_Capture *c = &m->capture[i];
  if (i >= m->captures) {
    if (i > 0) luaL_error(L, "invalid capture index %%%d", i + 1);
    lua_pushlstring(L, at, (size_t)(end - at));
  } else if (c->length == NP_CAPTURE_POSITION) {
    lua_pushinteger(L, c->start - m->text + 1);
  } else if (c->length == NP_CAPTURE_OPEN) {
    luaL_error(L, "unfinished capture");
  } else {
    lua_pushlstring(L, c->start, (size_t)c->length);
  }
}

/* Pushes all captures; if `whole`, the match where there are none. */
static int push_captures(lua_State *L, const np_Match *m, const char *at,
                         const char *end, int whole) {
  int i, n = m->captures == 0 && whole ? 1 : m->captures;
  luaL_checkstack(L, n, "too many captures");
  for (i = 0; i < n; i++) push_capture(L, m, i, at, end);
  return n;
}

/* == find, match ====================================================== */

/* The index that argument `arg` means, from 0; beyond the end if it is. */
static size_t from_argument(lua_State *L, int arg, size_t length) {
  lua_Integer i = luaL_optinteger(L, arg, 1);
  if (i > 0) return (lua_Unsigned)i - 1 > length ? length + 1 : (size_t)i - 1;
  if (i == 0 || i < -(lua_Integer)length) return 0;
  return length - (size_t)-i;
}

static int find_plain(lua_State *L, const char *text, size_t length,
                      size_t from, const char *what, size_t n) {
  const char *found;
  neap_charge(L, (length - from) / 16);
  found = memmem(text + from, length - from, what, n);
  if (n == 0) found = text + from;
  if (found == NULL) {
    luaL_pushfail(L);
    return 1;
  }
  lua_pushinteger(L, found - text + 1);
  lua_pushinteger(L, found - text + (lua_Integer)n);
  return 2;
}

static int search(lua_State *L, int find) {
  size_t length, n, from;
  const char *text = luaL_checklstring(L, 1, &length), *at;
  const char *p = luaL_checklstring(L, 2, &n), *pattern_end = p + n;
  int anchored;
  np_Match m;
  from = from_argument(L, 3, length);
  if (from > length) {
    luaL_pushfail(L);
    return 1;
  }
  if (find && (lua_toboolean(L, 4) || np_pattern_plain(p, n)))
    return find_plain(L, text, length, from, p, n);
  anchored = n > 0 && *p == '^';
  start(L, &m, text, length, pattern_end);
  at = text + from;
  do {
    const char *end = attempt(L, &m, at, p + anchored);
    if (end == NULL) continue;
    if (!find) return push_captures(L, &m, at, end, 1);
    lua_pushinteger(L, at - text + 1);
    lua_pushinteger(L, end - text);
    return push_captures(L, &m, at, end, 0) + 2;
  } while (at++ < m.text_end && !anchored);
  luaL_pushfail(L);
  return 1;
}

/* string.find(s, pattern [, init [, plain]]) */
static int string_find(lua_State *L) { return search(L, 1); }

/* string.match(s, pattern [, init]) */
static int string_match(lua_State *L) { return search(L, 0); }

/* == gmatch =========================================================== */

typedef struct Walk {
  size_t at;   /* where to look on */
  size_t last; /* where the last match ended, or SIZE_MAX */
} Walk;

/* Upvalues: the text, the pattern, the Walk. */
static int gmatch_next(lua_State *L) {
  size_t length, n, at;
  const char *text = lua_tolstring(L, lua_upvalueindex(1), &length);
  const char *p = lua_tolstring(L, lua_upvalueindex(2), &n);
  Walk *w = lua_touserdata(L, lua_upvalueindex(3));
  np_Match m;
  start(L, &m, text, length, p + n);
  for (at = w->at; at <= length; at++) {
    const char *end = attempt(L, &m, text + at, p);
    if (end == NULL || (size_t)(end - text) == w->last) continue;
    w->at = w->last = (size_t)(end - text);
    return push_captures(L, &m, text + at, end, 1);
  }
  w->at = at;
  return 0;
}

/* string.gmatch(s, pattern [, init]) */
static int string_gmatch(lua_State *L) {
  size_t length, from;
  Walk *w;
  (void)luaL_checklstring(L, 1, &length);
  (void)luaL_checkstring(L, 2);
  from = from_argument(L, 3, length);
  lua_settop(L, 2);
  w = lua_newuserdatauv(L, sizeof *w, 0);
  w->at = from;
  w->last = SIZE_MAX;
  lua_pushcclosure(L, gmatch_next, 3);
  return 1;
}

/* == gsub ============================================================= */

/* Adds the replacement string at 3 with its %0 to %9 filled in. */
static void add_text(lua_State *L, const np_Match *m, luaL_Buffer *b,
                     const char *at, const char *end) {
  size_t n;
  const char *r = lua_tolstring(L, 3, &n), *r_end = r + n;
  for (; r < r_end; r++) {
    const char *percent = memchr(r, '%', (size_t)(r_end - r));
    if (percent == NULL) percent = r_end;
    luaL_addlstring(b, r, (size_t)(percent - r));
    if (percent == r_end) return;
    r = percent + 1;
    if (r < r_end && *r == '%') {
      luaL_addchar(b, '%');
    } else if (r < r_end && *r == '0') {
      luaL_addlstring(b, at, (size_t)(end - at));
    } else if (r < r_end && *r >= '1' && *r <= '9') {
      push_capture(L, m, *r - '1', at, end);
      (void)luaL_tolstring(L, -1, NULL);
      lua_remove(L, -2);
      luaL_addvalue(b);
    } else {
      luaL_error(L, "invalid use of '%%' in replacement string");
    }
  }
}

/* Adds what takes the place of the match at..end; 1 if it is another text. */
static int add_value(lua_State *L, const np_Match *m, luaL_Buffer *b,
                     const char *at, const char *end, int type) {
  switch (type) {
  case LUA_TFUNCTION:
    lua_pushvalue(L, 3);
    lua_call(L, push_captures(L, m, at, end, 1), 1);
    break;
  case LUA_TTABLE:
    push_capture(L, m, 0, at, end);
    lua_gettable(L, 3);
    break;
  default:
    add_text(L, m, b, at, end);
    return 1;
  }
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    luaL_addlstring(b, at, (size_t)(end - at));
    return 0;
  }
  if (!lua_isstring(L, -1))
    return luaL_error(L, "invalid replacement value (a %s)",
                      luaL_typename(L, -1));
  luaL_addvalue(b);
  return 1;
}

/* string.gsub(s, pattern, replacement [, n]) */
static int string_gsub(lua_State *L) {
  size_t length, n;
  const char *at = luaL_checklstring(L, 1, &length), *last = NULL;
  const char *p = luaL_checklstring(L, 2, &n);
  int type = lua_type(L, 3), anchored = n > 0 && *p == '^', changed = 0;
  lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)length + 1);
  lua_Integer count = 0;
  luaL_Buffer b;
  np_Match m;
  luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING ||
                   type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
                   "string/function/table");
  if (type == LUA_TNUMBER) (void)lua_tostring(L, 3);
  start(L, &m, at, length, p + n);
  luaL_buffinit(L, &b);
  while (count < most) {
    const char *end = attempt(L, &m, at, p + anchored);
    if (end != NULL && end != last) {
      count++;
      changed |= add_value(L, &m, &b, at, end, type);
      at = last = end;
    } else if (at < m.text_end) {
      luaL_addchar(&b, *at++);
    } else {
      break;
    }
    if (anchored) break;
  }
  luaL_addlstring(&b, at, (size_t)(m.text_end - at));
  luaL_pushresult(&b);
  if (!changed) {
    lua_pushvalue(L, 1);
    lua_replace(L, -2);
  }
  lua_pushinteger(L, count);
  return 2;
}

void np_patterns_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"find", string_find}, {"match", string_match},
    {"gmatch", string_gmatch}, {"gsub", string_gsub}, {NULL, NULL}};
  lua_getglobal(L, LUA_STRLIBNAME);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
