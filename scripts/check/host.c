/*
 * host.c - the smallest host: runs one script in a machine of its own.
 *
 * install.sh compiles it against what was installed.
 */
#include <stdio.h>

#include <neap.h>

static const char script[] =
    "return await asyncio.sleep(0.001, '42 from ' .. 'a task')";

int main(void) {
  neap_Vm *vm = neap_vm_new(NULL);
  int status = vm != NULL ? neap_dostring(vm, script, "=script") : LUA_ERRMEM;
  if (status == LUA_OK) puts(lua_tostring(neap_state(vm), 1));
  neap_vm_free(vm);
  return status != LUA_OK;
}
