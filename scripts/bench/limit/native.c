/*
 * native.c - the limit of awaiting an async function in C that is done at
 * once: the plain call of a C function from Lua; ns a call.
 */
#include "luabench.h"

enum { ROUNDS = 9, CALLS = 5000000 };

static int same(lua_State *L) {
  lua_settop(L, 1);
  return 1;
}

int main(void) {
  double ns[ROUNDS];
  lua_State *L = open_lua("local f = ... return function(n)\n"
                          "local sum = 0\n"
                          "for i = 1, n do sum = sum + f(i) end end", same);
  for (int r = 0; r < ROUNDS; r++) {
    double start = cpu_s();
    lua_pushvalue(L, -1);
    lua_pushinteger(L, CALLS);
    lua_call(L, 1, 0);
    ns[r] = (cpu_s() - start) * 1e9 / CALLS;
  }
  report("native", median(ns, ROUNDS));
  lua_close(L);
  return 0;
}
