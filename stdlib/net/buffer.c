/*
 * buffer.c - memory that streams read into and write from: see buffer.h.
 *
 * Reading into one is in read.c, writing one in write.c.
 */
#include <string.h>

#include "buffer.h"

#define MOST ((lua_Integer)0x7fffffff) /* what one call of the system takes */
#define SHARED ((size_t)256 << 10)     /* larger memory is not shared */
#define SPARE 16                       /* at most so many of a size */

/* The registry has a table under this address, from a size to the list of
 * memory of that size which nobody uses. The lists are weak: they go when the
 * collector passes, and are made anew. */
static const char spare_key = 0;

enum { MEMORY = 1 }; /* the user value that is a buffer's memory */

/* Pushes the list of the size. */
static void spare_push(lua_State *L, size_t size) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &spare_key);
  if (lua_rawgeti(L, -1, (lua_Integer)size) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_createtable(L, SPARE, 0);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, (lua_Integer)size);
  }
  lua_remove(L, -2);
}

/* Pushes memory of the size: what was used last, or new. */
static void memory_push(lua_State *L, size_t size) {
  lua_Integer n;
  if (size > SHARED) {
    lua_newuserdatauv(L, size, 0);
    return;
  }
  spare_push(L, size);
  n = (lua_Integer)lua_rawlen(L, -1);
  if (n == 0) {
    lua_newuserdatauv(L, size, 0);
  } else {
    lua_rawgeti(L, -1, n);
    lua_pushnil(L);
    lua_rawseti(L, -3, n);
  }
  lua_remove(L, -2);
}

void np_buffer_take(lua_State *L, int index, np_Buffer *b) {
  if (b->bytes != NULL) return;
  memory_push(L, b->size);
  b->bytes = lua_touserdata(L, -1);
  lua_setiuservalue(L, index, MEMORY);
}

void np_buffer_leave(lua_State *L, int index, np_Buffer *b) {
  lua_Integer n;
  b->n = 0;
  if (b->bytes == NULL || b->size > SHARED) return;
  spare_push(L, b->size);
  n = (lua_Integer)lua_rawlen(L, -1);
  lua_getiuservalue(L, index, MEMORY);
  if (n < SPARE) lua_rawseti(L, -2, n + 1);
  lua_settop(L, n < SPARE ? -2 : -3);
  b->bytes = NULL;
  lua_pushnil(L);
  lua_setiuservalue(L, index, MEMORY);
}

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
                neap_typename(L, index));
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
 * first, and `tostring(buffer)` a copy of them. It is no handle and needs no
 * closing. It has memory, which counts as the machine's, only while it holds
 * something, so that idle connections may keep one each.
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
  b = lua_newuserdatauv(L, sizeof *b, 1);
  *b = (np_Buffer){.size = size};
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
  lua_pushlstring(L, b->n > 0 ? b->bytes : "", b->n);
  return 1;
}

/* Where the position is, counted from 1; negative ones count from the end. */
static lua_Integer place(lua_State *L, int index, const char *what,
                         size_t n) {
  int is_integer;
  lua_Integer i = lua_tointegerx(L, index, &is_integer);
  if (!is_integer)
    neap_misuse(L, "sub", "%s must be an integer, not %s", what,
                neap_typename(L, index));
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
                       neap_typename(L, 2));
  s = lua_tolstring(L, 2, &n);
  if (n > b->size)
    return neap_misuse(L, "set", "s has %I bytes, and the buffer room for %I",
                       (LUAI_UACINT)n, (LUAI_UACINT)b->size);
  np_buffer_take(L, 1, b);
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
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &spare_key);
  }
  lua_pop(L, 1);
}
