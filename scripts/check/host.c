/*
 * host.c - the smallest host: runs one script in a machine of its own.
 *
 * install.sh compiles it against what was installed.
 */
#include <stdio.h>
#include <string.h>

#include <neap.h>

static const char script[] =
    "return await asyncio.sleep(0.001, '42 from ' .. 'a task')";

static int run(lua_State *L) {
  int n = 0;
  if (neap_load(L, script, strlen(script), "=script", "t") != LUA_OK) return 1;
  neap_spawn(L, 0, "main");
  if (neap_wait(L, -1, &n) != LUA_OK || n != 1) return 1;
  puts(lua_tostring(L, -1));
  return 0;
}

int main(void) {
  neap_Vm *vm = neap_vm_new(NULL);
  int status = vm ? run(neap_state(vm)) : 1;
  neap_vm_free(vm);
  return status;
}
