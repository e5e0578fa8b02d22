/*
 * uncollected.c - handles whose finalizers there was no memory to call.
 */
#include "host.h"

static lua_Alloc allocate;

/* Gives memory back, and none out. */
static void *refuse(void *ud, void *block, size_t old, size_t size) {
  if (size > (block != NULL ? old : 0)) return NULL;
  return allocate(ud, block, old, size);
}

int main(void) {
  Host host;
  lua_State *fresh;
  void *ud;
  host_open(&host, NULL);
  fresh = lua_newthread(host.L);
  if (luaL_dostring(host.L, "require 'neap.net'.pair()") != LUA_OK) abort();
  /* A thread that has called nothing yet needs memory for its first call. */
  allocate = lua_getallocf(host.L, &ud);
  lua_setallocf(host.L, refuse, ud);
  lua_gc(fresh, LUA_GCCOLLECT);
  lua_setallocf(host.L, allocate, ud);
  host_close(&host); /* which counts the blocks */
  return failures != 0;
}
