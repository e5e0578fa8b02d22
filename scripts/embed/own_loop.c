/*
 * own_loop.c - a machine on the host's loop, which the host runs itself.
 *
 * The host has a timer of its own and has a function of the script called
 * for each tick. uv_run returns when neither side has anything left to do.
 *
 * --> the host ticks
 * --> the script heard of tick 1
 * --> the host ticks
 * --> the script heard of tick 2
 * --> nothing is left to do
 */
#include <neap.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

static const char script[] =
    "local heard, ticks = asyncio.Queue(), 0\n"
    "local async function listen()\n"
    "  for i = 1, 2 do\n"
    "    print('the script heard of tick ' .. await heard:get())\n"
    "  end\n"
    "end\n"
    "asyncio.create_task(listen())\n"
    "return function()\n"
    "  ticks = ticks + 1\n"
    "  heard:put_nowait(ticks)\n"
    "end\n";

typedef struct Host {
  uv_timer_t timer;
  neap_Callback *tell; /* the function that the script returned */
  int ticks;
} Host;

/* libuv calls this. It may not touch Lua, but it may have Lua called. */
static void on_tick(uv_timer_t *timer) {
  Host *host = timer->data;
  printf("the host ticks\n");
  neap_callback_call(host->tell);
  if (++host->ticks == 2) uv_close((uv_handle_t *)timer, NULL);
}

/* Runs the script; its result is on top of the stack. */
static int start(lua_State *L) {
  int n;
  if (neap_load(L, script, strlen(script), "=script", "t") != LUA_OK) return 0;
  neap_spawn(L, 0, "main");
  return neap_wait(L, -1, &n) == LUA_OK && n == 1;
}

int main(void) {
  Host host = {.ticks = 0};
  uv_loop_t *loop = uv_default_loop();
  neap_Options options = {.size = sizeof options, .loop = loop};
  neap_Vm *vm = neap_vm_new(&options);
  if (vm == NULL || !start(neap_state(vm))) return 1;
  host.tell = neap_callback_new(neap_state(vm), -1);
  uv_timer_init(loop, &host.timer);
  host.timer.data = &host;
  uv_timer_start(&host.timer, on_tick, 10, 10);
  uv_run(loop, UV_RUN_DEFAULT);
  printf("nothing is left to do\n");
  neap_callback_free(host.tell);
  neap_vm_free(vm); /* before the loop, which it only borrows */
  return uv_loop_close(loop) != 0;
}
