/*
 * errors.c - what a host is told: errors of its own tasks from neap_wait,
 * all others by reports.
 *
 * --> script:2: no bread
 * --> stack traceback:
 * --> 	[C]: in function 'error'
 * --> 	script:2: in async function 'buy'
 * --> 	awaited at script:4
 * --> 	spawned at script:4
 * --> report 1: error in task 'Task-4' was never retrieved: script:1: lost
 */
#include <neap.h>
#include <stdio.h>
#include <string.h>

/* The texts are lent; a report comes in the middle of anything. */
static void on_report(neap_Vm *vm, const neap_Report *report) {
  (void)vm;
  printf("report %d: %s\n", report->kind, report->text);
}

static void run(lua_State *L, const char *script) {
  int n, status;
  lua_settop(L, 0);
  status = neap_load(L, script, strlen(script), "=script", "t");
  if (status == LUA_OK) {
    neap_spawn(L, 0, NULL);
    status = neap_wait(L, 1, &n);
  }
  if (status == LUA_OK) return;
  neap_error_text(L, -1, 1); /* with the traceback that its task kept */
  printf("%s\n", lua_tostring(L, -1));
}

int main(void) {
  neap_Options options = {.size = sizeof options, .report = on_report};
  neap_Vm *vm = neap_vm_new(&options);
  if (vm == NULL) return 1;
  run(neap_state(vm),
      "local async function buy()\n"
      "  error('no bread')\n"
      "end\n"
      "await asyncio.create_task(buy())");
  run(neap_state(vm),
      "local async function lose() error('lost') end\n"
      "asyncio.create_task(lose())\n"
      "await asyncio.sleep(0.001)");
  neap_finish(neap_state(vm));
  int failed = neap_failed(vm); /* 1: an exit status, if we were a command */
  neap_vm_free(vm);
  return failed != 1;
}
