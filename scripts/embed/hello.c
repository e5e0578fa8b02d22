/*
 * hello.c - the first program: one script, run to its end.
 *
 * --> good morning, host
 */
#include <neap.h>
#include <stdio.h>

static const char script[] =
    "local part = await asyncio.sleep(0.01, 'morning')\n"
    "return 'good ' .. part .. ', host'";

int main(void) {
  neap_Vm *vm = neap_vm_new(NULL);
  if (vm == NULL) return 1;
  lua_State *L = neap_state(vm);
  int status = neap_dostring(vm, script, "=script");
  if (status == LUA_OK)
    printf("%s\n", lua_tostring(L, 1));
  else
    fprintf(stderr, "%s\n", neap_error(L, 1)->text);
  neap_vm_free(vm);
  return status != LUA_OK;
}
