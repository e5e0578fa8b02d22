/*
 * submit.c - other threads call a script and wait for what it answers.
 *
 * --> 1 + 2 = 3
 * --> it takes too long: cancelled
 * --> script:5: no such user
 * --> a callback in the machine: 3 calls
 */
#include <lauxlib.h>
#include <neap.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const char script[] =
    "calls, finish = 0, asyncio.Future()\n"
    "async function add(a, b)\n"
    "  calls = calls + 1 await asyncio.sleep(0.001) return a + b end\n"
    "function find_user(name)\n"
    "  calls = calls + 1 error 'no such user'\n"
    "end\n"
    "async function wait() calls = calls + 1 await asyncio.Future() end\n"
    "await finish\n";

/* Called on the machine's thread; may do there what Lua allows. */
static void in_machine(lua_State *L, void *data) {
  (void)data;
  lua_getglobal(L, "calls");
  printf("a callback in the machine: %d calls\n", (int)lua_tointeger(L, -1));
  lua_getglobal(L, "finish");
  lua_getfield(L, -1, "set_result");
  lua_insert(L, -2);
  lua_call(L, 1, 0);
}

static void call_add(neap_Vm *vm) {
  neap_Value args[2];
  int n;
  args[0] = neap_integer(1);
  args[1] = neap_integer(2);
  neap_Call *call = neap_call_start(vm, "add", args, 2);
  if (call != NULL && neap_call_wait(call, -1) == LUA_OK)
    printf("1 + 2 = %d\n", (int)neap_call_values(call, &n)[0].as.integer);
  neap_call_free(call);
}

static void call_wait(neap_Vm *vm) {
  neap_Call *call = neap_call_start(vm, "wait", NULL, 0);
  if (call == NULL) return;
  if (neap_call_wait(call, 10) < 0) { /* a time limit of 10 ms */
    neap_call_cancel(call);
    if (neap_call_wait(call, -1) == NEAP_ECANCELED)
      printf("it takes too long: cancelled\n");
  }
  neap_call_free(call);
}

static void call_find_user(neap_Vm *vm) {
  neap_Value name = neap_string("eve");
  neap_Call *call = neap_call_start(vm, "find_user", &name, 1);
  if (call == NULL) return;
  if (neap_call_wait(call, -1) == LUA_ERRRUN) {
    const char *text = neap_call_error(call);
    printf("%.*s\n", (int)strcspn(text, "\n"), text);
  }
  neap_call_free(call);
}

static void *caller(void *vm) {
  call_add(vm);
  call_wait(vm);
  call_find_user(vm);
  (void)neap_submit(vm, in_machine, NULL);
  return NULL;
}

int main(void) {
  pthread_t thread;
  neap_Vm *vm = neap_vm_new(NULL);
  if (vm == NULL) return 1;
  lua_State *L = neap_state(vm);
  if (neap_load(L, script, strlen(script), "=script", "t") != LUA_OK) return 1;
  neap_spawn(L, 0, "main");
  (void)neap_poll(vm, 0); /* now the functions are there */
  if (pthread_create(&thread, NULL, caller, vm) != 0) return 1;
  neap_run(vm);
  pthread_join(thread, NULL); /* it uses the machine until it ends */
  neap_vm_free(vm);
  return 0;
}
