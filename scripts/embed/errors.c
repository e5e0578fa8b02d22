/*
 * errors.c - what a host is told: errors of what it runs by neap_error, all
 * others by reports.
 *
 * --> script:2: no bread
 * --> stack traceback:
 * --> 	[C]: in function 'error'
 * --> 	script:2: in async function 'buy'
 * --> 	awaited at script:4
 * --> 	spawned at script:4
 * --> report 1 at script:1, of Task-4:
 * --> error in task 'Task-4' was never retrieved: script:1: lost
 */
#include <neap.h>
#include <stdio.h>

/* The texts are lent; a report comes in the middle of anything. */
static void on_report(neap_Vm *vm, const neap_Report *report) {
  (void)vm;
  printf("report %d at %s:%d, of %s:\n%s\n", report->kind, report->file,
         report->line, report->task, report->text);
}

static void run(neap_Vm *vm, const char *script) {
  const neap_Error *e;
  if (neap_dostring(vm, script, "=script") == LUA_OK) return;
  e = neap_error(neap_state(vm), -1);
  printf("%s\n%s\n", e->text, e->traceback);
}

int main(void) {
  neap_Options options = {.size = sizeof options, .report = on_report};
  neap_Vm *vm = neap_vm_new(&options);
  if (vm == NULL) return 1;
  run(vm,
      "local async function buy()\n"
      "  error('no bread')\n"
      "end\n"
      "await asyncio.create_task(buy())");
  run(vm,
      "local async function lose() error('lost') end\n"
      "asyncio.create_task(lose())\n"
      "await asyncio.sleep(0.001)");
  neap_finish(neap_state(vm));
  int failed = neap_failed(vm); /* 1: an exit status, if we were a command */
  neap_vm_free(vm);
  return failed != 1;
}
