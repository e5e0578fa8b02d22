/*
 * native.c - an async function in C that is done at once; ns an await.
 */
#include <neap.h>
#include <stdlib.h>
#include <string.h>

#include "../limit/bench.h"

enum { ROUNDS = 9, CALLS = 5000000 };

static int same(lua_State *L) {
  lua_settop(L, 1);
  return 1;
}

static const neap_Async functions[] = {{"same", same}, {NULL, NULL}};

int main(void) {
  double ns[ROUNDS];
  neap_Vm *vm = neap_vm_new(NULL);
  int n;
  if (vm == NULL) return 1;
  lua_State *L = neap_state(vm);
  lua_pushglobaltable(L);
  neap_setasync(L, functions);
  if (neap_dostring(vm, "local f = same return function(n)\n"
                        "local sum = 0\n"
                        "for i = 1, n do sum = sum + await f(i) end end",
                    "=bench") != LUA_OK)
    return 1;
  for (int r = 0; r < ROUNDS; r++) {
    double start = cpu_s();
    lua_pushvalue(L, 1);
    lua_pushinteger(L, CALLS);
    if (neap_call(L, 1, &n) != LUA_OK) return 1;
    ns[r] = (cpu_s() - start) * 1e9 / CALLS;
  }
  report("native", median(ns, ROUNDS));
  neap_vm_free(vm);
  return 0;
}
