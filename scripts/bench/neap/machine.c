/*
 * machine.c - what a machine costs that is made and freed, its memory when
 * there are a thousand, and a call from C into an async function that does
 * not wait. Linked with libneap.a.
 */
#include <neap.h>
#include <string.h>
#include <uv.h>

#include "../limit/bench.h"

enum { ROUNDS = 9, MACHINES = 200, CALLS = 200000, AT_ONCE = 1000 };

static void machines(void) {
  double us[ROUNDS];
  for (int r = 0; r < ROUNDS; r++) {
    double start = cpu_s();
    for (int i = 0; i < MACHINES; i++) neap_vm_free(neap_vm_new(NULL));
    us[r] = (cpu_s() - start) * 1e6 / MACHINES;
  }
  report("machine", median(us, ROUNDS));
}

static void at_once(void) {
  static neap_Vm *all[AT_ONCE];
  uv_loop_t loop;
  neap_Options options;
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.loop = &loop;
  if (uv_loop_init(&loop) < 0) exit(1);
  double before = peak_rss();
  for (int i = 0; i < AT_ONCE; i++)
    if ((all[i] = neap_vm_new(&options)) == NULL) exit(1);
  report("machine.kib", (peak_rss() - before) / 1024 / AT_ONCE);
  for (int i = 0; i < AT_ONCE; i++) neap_vm_free(all[i]);
  (void)uv_loop_close(&loop);
}

static void calls(void) {
  neap_Vm *vm = neap_vm_new(NULL);
  double ns[ROUNDS];
  int n;
  if (vm == NULL || neap_dostring(vm, "async function f(x) return x + 1 end",
                                  "=bench") != LUA_OK)
    exit(1);
  lua_State *L = neap_state(vm);
  for (int r = 0; r < ROUNDS; r++) {
    double start = cpu_s();
    for (int i = 0; i < CALLS; i++) {
      lua_getglobal(L, "f");
      lua_pushinteger(L, i);
      if (neap_call(L, 1, &n) != LUA_OK) exit(1);
      lua_settop(L, 0);
    }
    ns[r] = (cpu_s() - start) * 1e9 / CALLS;
  }
  report("ccall", median(ns, ROUNDS));
  neap_vm_free(vm);
}

int main(void) {
  machines();
  at_once();
  calls();
  return 0;
}
