/*
 * machine.c - what a Lua state costs that is made and freed, and a call of a
 * Lua function from C: the limit of neap/machine.c.
 */
#include <lauxlib.h>
#include <lualib.h>

#include "bench.h"

enum { ROUNDS = 9, STATES = 200, CALLS = 200000 };

static void states(void) {
  double us[ROUNDS];
  for (int r = 0; r < ROUNDS; r++) {
    double start = cpu_s();
    for (int i = 0; i < STATES; i++) {
      lua_State *L = luaL_newstate();
      if (L == NULL) die("luaL_newstate");
      luaL_openlibs(L);
      lua_close(L);
    }
    us[r] = (cpu_s() - start) * 1e6 / STATES;
  }
  report("machine", median(us, ROUNDS));
}

static void calls(void) {
  lua_State *L = luaL_newstate();
  double ns[ROUNDS];
  if (L == NULL || luaL_dostring(L, "function f(x) return x + 1 end")) exit(1);
  for (int r = 0; r < ROUNDS; r++) {
    double start = cpu_s();
    for (int i = 0; i < CALLS; i++) {
      lua_getglobal(L, "f");
      lua_pushinteger(L, i);
      if (lua_pcall(L, 1, 1, 0) != LUA_OK) exit(1);
      lua_settop(L, 0);
    }
    ns[r] = (cpu_s() - start) * 1e9 / CALLS;
  }
  report("ccall", median(ns, ROUNDS));
  lua_close(L);
}

int main(void) {
  states();
  calls();
  return 0;
}
