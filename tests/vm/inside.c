/*
 * inside.c - a host that drives or frees its machine from inside of it is
 * told so, and the machine goes on.
 *
 * Each way into the host, from a task, a finalizer, a callback of libuv's, a
 * report, tries all that is for the machine's owner, outside of them.
 */
#include <uv.h>

#include "host.h"

static int refused, others;

static void on_inside_report(neap_Vm *vm, const neap_Report *report) {
  if (strstr(report->text, "inside of a task or callback") == NULL) {
    others++;
    return;
  }
  refused++;
  neap_vm_free(vm); /* again, and not told again */
}

/* All that does not take a lua_State. */
static int is_refused(neap_Vm *vm) {
  int before = refused;
  neap_vm_free(vm);
  neap_run(vm);
  return refused == before + 2 && neap_poll(vm, 0) == UV_EBUSY &&
         neap_run_for(vm, 0) == UV_EBUSY &&
         neap_dostring(vm, "return 1", "=inner") == UV_EBUSY &&
         neap_dofile(vm, "none.lua") == UV_EBUSY;
}

static int entered;

static int finish(lua_State *L) {
  neap_finish(L);
  return 0;
}

/* inside(): tries it, and gives the argument */
static int inside(lua_State *L) {
  entered++;
  expect(is_refused(neap_vm(L)));
  lua_pushcfunction(L, finish);
  expect(lua_pcall(L, 0, 0, 0) == LUA_ERRRUN);
  lua_settop(L, 1);
  return lua_gettop(L);
}

/* freeing(): frees the machine, which is not there to return to */
static int freeing(lua_State *L) {
  int before = refused;
  entered++;
  neap_vm_free(neap_vm(L));
  expect(refused == before + 1);
  return 0;
}

static void submitted(lua_State *L, void *data) {
  (void)data;
  (void)inside(L);
}

static void ended(lua_State *L, int status, int n, void *data) {
  (void)data;
  expect(status == LUA_OK && n == 0);
  (void)inside(L);
}

static void in_timer(uv_timer_t *timer) {
  neap_Vm *vm = timer->data;
  entered++;
  expect(is_refused(vm));
  uv_close((uv_handle_t *)timer, NULL);
}

static void try(Host *host, const char *script) {
  int before = entered;
  expect(run(host, script) == LUA_OK);
  expect(entered > before);
  expect(strcmp(text_at(host, 1), "went on") == 0);
}

static const char *const scripts[] = {
  "inside() return 'went on'",
  "await asyncio.sleep(0) inside() return 'went on'",
  "return coroutine.wrap(function() return inside 'went on' end)()",
  "do local _ <close> = asyncio.defer(inside) end return 'went on'",
  "asyncio.get_running_loop():call_soon(inside)\n"
  "await asyncio.sleep(0) await asyncio.sleep(0) return 'went on'",
  "setmetatable({}, {__gc = function() inside() end})\n"
  "collectgarbage() return 'went on'",
  "local f = asyncio.Future() f:add_done_callback(inside)\n"
  "f:set_result(1) await asyncio.sleep(0) return 'went on'",
  "return select(2, pcall(function() return inside 'went on' end))",
};

static void test_inside(void) {
  neap_Options options = {.size = sizeof options, .report = on_inside_report};
  Host host;
  uv_timer_t timer;
  size_t i;
  memset(&host, 0, sizeof host);
  host.vm = neap_vm_new(&options);
  if (host.vm == NULL) abort();
  host.L = neap_state(host.vm);
  lua_register(host.L, "inside", inside);
  for (i = 0; i < sizeof scripts / sizeof *scripts; i++)
    try(&host, scripts[i]);
  expect(neap_submit(host.vm, submitted, NULL) == 0);
  try(&host, "await asyncio.sleep(0) return 'went on'");
  lua_settop(host.L, 0);
  start(host.L, "await asyncio.sleep(0)");
  neap_task_done(host.L, -1, ended, NULL);
  try(&host, "for _ = 1, 5 do await asyncio.sleep(0) end return 'went on'");
  (void)uv_timer_init(neap_loop(host.L), &timer);
  timer.data = host.vm;
  (void)uv_timer_start(&timer, in_timer, 0, 0);
  try(&host, "await asyncio.sleep(0.002) return 'went on'");
  expect(others == 0);
  neap_vm_free(host.vm);
}

/* Outside of tasks, but in a function that Lua has called. */
static void test_called(void) {
  neap_Options options = {.size = sizeof options, .report = on_inside_report};
  neap_Vm *vm = neap_vm_new(&options);
  if (vm == NULL) abort();
  lua_pushcfunction(neap_state(vm), freeing);
  expect(lua_pcall(neap_state(vm), 0, 0, 0) == LUA_OK);
  lua_register(neap_state(vm), "freeing", freeing);
  expect(!luaL_dostring(neap_state(vm),
                        "at_end = setmetatable({}, {__gc = freeing})"));
  neap_vm_free(vm); /* whose finalizers try it */
}

int main(void) {
  test_inside();
  test_called();
  return failures;
}
