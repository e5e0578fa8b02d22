/*
 * native_async.c - an async function in C: nap(ms) -> how long it took.
 *
 * --> slept for 20 ms: true
 * --> gave up: true
 */
#include <lauxlib.h>
#include <neap.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct Nap {
  neap_Vm *vm;
  neap_Timer timer;
  neap_Wait wait;
  uint64_t start;
} Nap;

/* The loop calls this: it wakes the task and touches no Lua. */
static void on_due(neap_Vm *vm, neap_Timer *timer) {
  Nap *nap = (Nap *)((char *)timer - offsetof(Nap, timer));
  (void)vm;
  (void)neap_wake(&nap->wait, 0);
}

/* The task is cancelled: what would wake it is given up. */
static void on_abort(neap_Wait *wait) {
  Nap *nap = (Nap *)((char *)wait - offsetof(Nap, wait));
  neap_timer_stop(nap->vm, &nap->timer);
}

/* On the task's own stack, which is as nap left it. */
static int nap_done(lua_State *L, int status) {
  Nap *nap = lua_touserdata(L, 2);
  if (status < 0) return neap_fail(L, status, "nap");
  lua_pushnumber(L, (lua_Number)(neap_now() - nap->start) / 1e6);
  return 1;
}

/* nap(ms) -> milliseconds */
static int nap(lua_State *L) {
  lua_Integer ms = luaL_checkinteger(L, 1);
  luaL_argcheck(L, ms >= 0 && ms < 1000000, 1, "out of range");
  lua_settop(L, 1);
  neap_await_check(L); /* or the timer would be left to fire for nobody */
  Nap *nap = lua_newuserdatauv(L, sizeof *nap, 0); /* lives on the stack */
  memset(nap, 0, sizeof *nap);
  nap->vm = neap_vm(L);
  nap->timer.fire = on_due;
  nap->wait.abort = on_abort;
  nap->wait.what = "nap";
  nap->start = neap_now();
  int err = neap_timer_start(nap->vm, &nap->timer,
                             nap->start + (uint64_t)ms * 1000000);
  if (err < 0) return neap_fail(L, err, "nap");
  return neap_await(L, &nap->wait, nap_done);
}

static const neap_Async functions[] = {{"nap", nap}, {NULL, NULL}};

static const char script[] =
    "local ms = await nap(20)\n"
    "print('slept for 20 ms: ' .. tostring(ms >= 20 and ms < 2000))\n"
    "local ok, e = pcall(await, asyncio.wait_for(nap(60000), 0.01))\n"
    "print('gave up: ' .. tostring(asyncio.iserror(e, asyncio.TimeoutError)))";

int main(void) {
  neap_Vm *vm = neap_vm_new(NULL);
  if (vm == NULL) return 1;
  lua_State *L = neap_state(vm);
  lua_pushglobaltable(L);
  neap_setasync(L, functions);
  lua_pop(L, 1);
  int n, status = neap_load(L, script, strlen(script), "=script", "t");
  if (status == LUA_OK) {
    neap_spawn(L, 0, "main");
    status = neap_wait(L, -1, &n);
  }
  if (status != LUA_OK) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  neap_vm_free(vm);
  return status != LUA_OK;
}
