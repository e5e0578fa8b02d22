/*
 * finalizer.c - __gc in a machine whose instructions are counted.
 *
 * While Lua runs a finalizer it has no hooks, so an endless one could not be
 * stopped. Here Lua never sees a script's __gc: setmetatable hides it, and
 * gives the object a sentinel whose finalizer, in C, calls what the
 * metatable has then, on a thread of its own where hooks work. The sentinel
 * is the value of the object in an ephemeron table and refers to the object,
 * so that both are collected at the same time.
 */
#include "limits.h"

/* The registry has the ephemeron table, and the sentinels' metatable, under
 * these addresses. */
static const char sentinels = 0, metatable = 0;

/* Runs protected: calls the __gc of the object at 1. */
static int call_gc(lua_State *L) {
  if (luaL_getmetafield(L, 1, "__gc") != LUA_TNIL) {
    lua_insert(L, 1);
    lua_call(L, 1, 0);
  }
  return 0;
}

void np_finalize(lua_State *L, lua_CFunction f) {
  neap_Vm *vm = np_vm(L);
  lua_State *F, *running = vm->running;
  if (!np_hooked(vm)) {
    lua_pushcfunction(L, f);
    lua_insert(L, -2);
    lua_call(L, 1, 0);
    return;
  }
  F = vm->limits->finalizer;
  vm->running = F;
  np_limits_enter(vm);
  lua_pushcfunction(F, f);
  lua_xmove(L, F, 1);
  if (lua_pcall(F, 1, 0, 0) != LUA_OK) {
    lua_warning(F, "error in __gc (", 1);
    lua_warning(F, lua_type(F, -1) == LUA_TSTRING ? lua_tostring(F, -1)
                   : "error object is not a string", 1);
    lua_warning(F, ")", 0);
  }
  lua_settop(F, 0);
  np_limits_leave(vm);
  vm->running = running;
}

/* __gc of a sentinel, whose user value is the object */
static int sentinel_gc(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &sentinels);
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, -1);
  lua_pushnil(L);
  lua_rawset(L, -4); /* it may be given a finalizer again */
  if (np_spent(vm)) return 0;
  np_finalize(L, call_gc);
  return 0;
}

/* Gives the value at `index` a sentinel unless it has one. */
static void watch(lua_State *L, int index) {
  luaL_checkstack(L, 5, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &sentinels);
  lua_pushvalue(L, index);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pushvalue(L, index);
    lua_newuserdatauv(L, 0, 1);
    lua_pushvalue(L, index);
    lua_setiuservalue(L, -2, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable);
    lua_setmetatable(L, -2);
    lua_rawset(L, -4);
  }
  lua_pop(L, 2);
}

void np_setmetatable(lua_State *L, int index) {
  int gc, mt = lua_gettop(L);
  index = lua_absindex(L, index);
  if (!np_hooked(np_vm(L)) || lua_isnil(L, mt)) {
    lua_setmetatable(L, index);
    return;
  }
  luaL_checkstack(L, 5, NULL);
  lua_pushliteral(L, "__gc");
  gc = lua_rawget(L, mt) != LUA_TNIL;
  if (gc) {
    watch(L, index);
    lua_pushliteral(L, "__gc");
    lua_pushnil(L);
    lua_rawset(L, mt);
  }
  lua_pushvalue(L, mt);
  lua_setmetatable(L, index);
  if (gc) {
    lua_pushliteral(L, "__gc");
    lua_pushvalue(L, mt + 1);
    lua_rawset(L, mt);
  }
  lua_settop(L, mt - 1);
}

/* setmetatable(table, metatable) */
static int base_setmetatable(lua_State *L) {
  int t = lua_type(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, t == LUA_TNIL || t == LUA_TTABLE, 2, "nil or table");
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
    return luaL_error(L, "cannot change a protected metatable");
  lua_settop(L, 2);
  np_setmetatable(L, 1);
  return 1;
}

/* debug.setmetatable(value, metatable) */
static int debug_setmetatable(lua_State *L) {
  int t = lua_type(L, 2);
  luaL_argexpected(L, t == LUA_TNIL || t == LUA_TTABLE, 2, "nil or table");
  lua_settop(L, 2);
  if (lua_istable(L, 1) || lua_type(L, 1) == LUA_TUSERDATA)
    np_setmetatable(L, 1);
  else
    lua_setmetatable(L, 1);
  return 1;
}

void np_finalizer_open(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  vm->limits->finalizer = lua_newthread(L);
  (void)luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &sentinels);
  lua_newtable(L);
  lua_pushcfunction(L, sentinel_gc);
  lua_setfield(L, -2, "__gc");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable);
  lua_pushcfunction(L, base_setmetatable);
  lua_setglobal(L, "setmetatable");
  lua_getglobal(L, "debug");
  lua_pushcfunction(L, debug_setmetatable);
  lua_setfield(L, -2, "setmetatable");
  lua_pop(L, 1);
  luaL_getmetatable(L, "FILE*"); /* files have a finalizer of C's */
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}
