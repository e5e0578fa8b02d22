/*
 * switch.c - the limit of `await asyncio.sleep(0)` between two tasks: a ring
 * of two coroutines that C resumes in turn, each at call depth 0, then 20.
 */
#include "luabench.h"

#define SWITCHES 4000000

static const char CHUNK[] =
    "local yield = ... "
    "local function down(n) "
    "  if n == 0 then while true do yield() end end "
    "  local r = down(n - 1) return r "
    "end "
    "return down";

static double switches(int depth) {
  lua_State *L = open_lua(CHUNK, yield);
  Ring ring = ring_new(2);
  int n = 0;
  for (int i = 0; i < 2; i++) {
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, depth);
    lua_xmove(L, co, 2);
    if (lua_resume(co, L, 1, &n) != LUA_YIELD) die("resume");
    ring_push(&ring, co);
  }
  double start = cpu_s();
  for (int i = 0; i < SWITCHES; i++) {
    lua_State *co = ring_pop(&ring);
    if (lua_resume(co, L, 0, &n) != LUA_YIELD) die("resume");
    ring_push(&ring, co);
  }
  double ns = (cpu_s() - start) * 1e9 / SWITCHES;
  free(ring.slots);
  lua_close(L);
  return ns;
}

int main(void) {
  report("switch0", switches(0));
  report("switch20", switches(20));
  return 0;
}
