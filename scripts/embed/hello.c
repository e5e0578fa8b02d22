/*
 * hello.c - the first program: one script, run to its end.
 *
 * --> good morning, host
 */
#include <neap.h>
#include <stdio.h>
#include <string.h>

static const char script[] =
    "local part = await asyncio.sleep(0.01, 'morning')\n"
    "return 'good ' .. part .. ', ' .. ...";

int main(void) {
  neap_Vm *vm = neap_vm_new(NULL);
  if (vm == NULL) return 1;
  lua_State *L = neap_state(vm);
  int n = 0, status = neap_load(L, script, strlen(script), "=script", "t");
  if (status == LUA_OK) {
    lua_pushstring(L, "host"); /* the script's `...` */
    neap_spawn(L, 1, "main");
    status = neap_wait(L, -1, &n);
  }
  if (status == LUA_OK)
    printf("%s\n", lua_tostring(L, -1));
  else
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
  neap_vm_free(vm);
  return status != LUA_OK;
}
