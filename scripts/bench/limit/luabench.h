/*
 * luabench.h - what the limit programs that hold a Lua state share: opening
 * one, loading a function into it, a C function that yields, a ring.
 */
#ifndef LUABENCH_H
#define LUABENCH_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "bench.h"

static inline int yield(lua_State *L) { return lua_yield(L, 0); }

/* A state with the libraries; chunk(yield) has left its one value on top. */
static inline lua_State *open_lua(const char *chunk, lua_CFunction wait) {
  lua_State *L = luaL_newstate();
  if (L == NULL) die("luaL_newstate");
  luaL_openlibs(L);
  if (luaL_loadstring(L, chunk) != LUA_OK) die(lua_tostring(L, -1));
  lua_pushcfunction(L, wait);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) die(lua_tostring(L, -1));
  return L;
}

/* Ready coroutines in order; `mask` + 1 is a power of two. */
typedef struct Ring {
  lua_State **slots;
  unsigned mask, head, tail;
} Ring;

static inline Ring ring_new(unsigned size) {
  Ring r = {calloc(size, sizeof(lua_State *)), size - 1, 0, 0};
  if (r.slots == NULL) die("calloc");
  return r;
}

static inline void ring_push(Ring *r, lua_State *co) {
  r->slots[r->tail++ & r->mask] = co;
}

static inline lua_State *ring_pop(Ring *r) {
  return r->slots[r->head++ & r->mask];
}

#endif
