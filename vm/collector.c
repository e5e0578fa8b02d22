/*
 * collector.c - what neap has to do when Lua has collected.
 *
 * That it has is seen, between two turns, by a table that nobody but a weak
 * one refers to. A finalizer would be told at once, but one that is called at
 * the end of a full stack spoils Lua's message of that.
 */
#include "async.h"
#include "loop.h"

/*
 * Lua begins a collection when the heap has doubled. A small one doubles with
 * a few messages of a socket, and collecting it took a seventh of an echo's
 * time, so it may grow to many times its size, up to so many KiB. No further:
 * what fits into the processor's cache is faster than what is collected less.
 * A machine with limits has no memory to give away.
 */
#define TIMES 16
#define MOST 1024
#define PAUSE 200 /* percent: Lua's own */

static void hold_off(lua_State *L) {
  int used = lua_gc(L, LUA_GCCOUNT), pause;
  int most = used < MOST / TIMES ? used * TIMES : MOST;
  if (used >= most || np_vm(L)->limits != NULL) return;
  pause = lua_gc(L, LUA_GCSETPAUSE, PAUSE);
  (void)lua_gc(L, LUA_GCSETPAUSE, pause);
  if (pause != PAUSE) return; /* somebody wants it otherwise */
  (void)lua_gc(L, LUA_GCSTEP, used - most); /* it has so much time */
}

/* Gives back what many coroutine objects needed, if none is left that is new
 * and none was for a second. */
static void trim(neap_Vm *vm) {
  uint64_t now = uv_hrtime();
  if (vm->nmade > 0) vm->made_time = now;
  else if (now - vm->made_time > 1000000000) np_object_trim(vm);
}

static int collected(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  np_store(L, vm, NP_S_PROBE);
  lua_newtable(L);
  lua_rawseti(L, -2, 1);
  hold_off(L);
  np_co_lost(L, 0);
  trim(vm);
  return 0;
}

void np_collector_look(neap_Vm *vm) {
  lua_State *S = vm->store, *L = vm->calls;
  int type;
  if (vm->closing) return;
  type = lua_rawgeti(S, NP_S_PROBE, 1);
  lua_pop(S, 1);
  if (type != LUA_TNIL) return;
  lua_pushcfunction(L, collected);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) lua_pop(L, 1); /* the next turn */
}
