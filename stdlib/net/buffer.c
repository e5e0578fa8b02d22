/*
 * buffer.c - memory that streams read into and write from: see buffer.h.
 *
 * Reading into one is in read.c, writing one in write.c.
 */
#include <string.h>

#include "buffer.h"

#define MOST ((lua_Integer)0x7fffffff) /* what one call of the system takes */

np_Buffer *np_buffer_test(lua_State *L, const np_Net *net, int index) {
  np_Buffer *b = lua_touserdata(L, index);
  int same;
  if (b == NULL || !lua_getmetatable(L, index)) return NULL;
  same = lua_topointer(L, -1) == net->buffer_class;
  lua_pop(L, 1);
  return same ? b : NULL;
}

np_Buffer *np_buffer_check(lua_State *L, const np_Net *net, int index,
                           const char *name) {
  np_Buffer *b = np_buffer_test(L, net, index);
  if (b == NULL)
    neap_misuse(L, name, "buffer must be a Buffer, not %s",
                luaL_typename(L, index));
  else if (b->writes > 0)
    neap_misuse(L, name, "the buffer is still being written");
  return b;
}

static np_Buffer *self(lua_State *L) {
  return luaL_checkudata(L, 1, NP_BUFFER);
}

/**
 * net.buffer(size) -> Buffer
 *
 * Memory for `size` bytes (1 to 2 GiB), which is used again and again: a
 * stream reads into it and another writes it, without a string for each piece.
 * What passes much on and looks at little of it is spared most of the work
 * beside the kernel's. `#buffer` is the number of bytes that it holds, 0 at
 * first, and `tostring(buffer)` a copy of them. It counts as memory of the
 * machine, is no handle and needs no closing; an idle connection that keeps
 * one costs its size.
 *
 * ```lua
 * local net = require "neap.net"
 *
 * -- Passes on what comes, and gives the number of bytes.
 * local async function copy(from, to)
 *   local buffer, sum = net.buffer(65536), 0
 *   while await from:read_into(buffer) do
 *     await to:write(buffer)
 *     sum = sum + #buffer
 *   end
 *   return sum
 * end
 *
 * local a <close>, b = net.pair()
 * local c <close>, d = net.pair()
 * await a:write("from a to d")
 * a:close()
 * print(await copy(b, c))
 * --> 11
 * print(await d:read())
 * --> from a to d
 * ```
 */
int np_net_buffer(lua_State *L) {
  size_t size = np_net_count(L, 1, "buffer", "size", 1);
  np_Buffer *b;
  if (size > (size_t)MOST)
    return neap_misuse(L, "buffer", "size must be at most %I, not %I",
                       (LUAI_UACINT)MOST, (LUAI_UACINT)size);
  b = lua_newuserdatauv(L, sizeof *b + size, 0);
  b->size = size;
  b->n = 0;
  b->writes = 0;
  luaL_setmetatable(L, NP_BUFFER);
  return 1;
}

int np_net_buffer_size(lua_State *L) {
  const np_Buffer *b = np_buffer_test(L, np_net_get(L), 1);
  if (b == NULL) return 0;
  lua_pushinteger(L, (lua_Integer)b->size);
  return 1;
}

/**
 * buffer:size() -> integer
 *
 * How many bytes it can hold.
 */
static int buffer_size(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)self(L)->size);
  return 1;
}

static int buffer_len(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)self(L)->n);
  return 1;
}

static int buffer_tostring(lua_State *L) {
  const np_Buffer *b = self(L);
  lua_pushlstring(L, b->bytes, b->n);
  return 1;
}

/* Where the position is, counted from 1; negative ones count from the end. */
static lua_Integer place(lua_State *L, int index, const char *what,
                         size_t n) {
  int is_integer;
  lua_Integer i = lua_tointegerx(L, index, &is_integer);
  if (!is_integer)
    neap_misuse(L, "sub", "%s must be an integer, not %s", what,
                luaL_typename(L, index));
  return i >= 0 ? i : i < -(lua_Integer)n ? 0 : (lua_Integer)n + i + 1;
}

/**
 * buffer:sub(i [, j]) -> string
 *
 * A part of the bytes that it holds, as string.sub gives it.
 */
static int buffer_sub(lua_State *L) {
  const np_Buffer *b = self(L);
  lua_Integer last = (lua_Integer)b->n, from = place(L, 2, "i", b->n);
  lua_Integer to = lua_isnoneornil(L, 3) ? last : place(L, 3, "j", b->n);
  if (from < 1) from = 1;
  if (to > last) to = last;
  lua_pushlstring(L, from > to ? "" : b->bytes + from - 1,
                  from > to ? 0 : (size_t)(to - from + 1));
  return 1;
}

/**
 * buffer:set(s) -> buffer
 *
 * Has it hold the bytes of a string, which may be no longer than its size.
 */
static int buffer_set(lua_State *L) {
  np_Buffer *b = self(L);
  const char *s;
  size_t n;
  if (b->writes > 0) neap_misuse(L, "set", "the buffer is still being written");
  if (lua_type(L, 2) != LUA_TSTRING)
    return neap_misuse(L, "set", "s must be a string, not %s",
                       luaL_typename(L, 2));
  s = lua_tolstring(L, 2, &n);
  if (n > b->size)
    return neap_misuse(L, "set", "s has %I bytes, and the buffer room for %I",
                       (LUAI_UACINT)n, (LUAI_UACINT)b->size);
  memcpy(b->bytes, s, n);
  b->n = n;
  lua_settop(L, 1);
  return 1;
}

static const luaL_Reg methods[] = {
  {"size", buffer_size},
  {"sub", buffer_sub},
  {"set", buffer_set},
  {NULL, NULL}
};

static const luaL_Reg metamethods[] = {
  {"__len", buffer_len},
  {"__tostring", buffer_tostring},
  {NULL, NULL}
};

void np_buffer_open(lua_State *L) {
  if (luaL_newmetatable(L, NP_BUFFER)) {
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    neap_metatable_hide(L);
    np_net_get(L)->buffer_class = lua_topointer(L, -1);
  }
  lua_pop(L, 1);
}
