/*
 * ticker.c - a class of handles: ticker(ms) gives an object over a libuv
 * timer, with an async method `next` and all that neap gives every class.
 *
 * --> tick 1
 * --> tick 2
 * --> ticker:next: it was closed
 * --> Ticker (closed)
 */
#include <lauxlib.h>
#include <neap.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

typedef struct Ticker {
  neap_Handle handle; /* first */
  uv_timer_t timer;
  neap_Wait next;     /* the task inside ticker:next() */
  lua_Integer missed; /* ticks that came while nobody waited */
} Ticker;

static void on_tick(uv_timer_t *timer) {
  Ticker *t = timer->data;
  if (!neap_wake(&t->next, 0)) t->missed++;
}

/* Called once, by whatever way it is closed; uv_close follows by itself. */
static void ticker_close(neap_Handle *h) {
  (void)neap_wake(&((Ticker *)h)->next, NEAP_ECLOSED);
}

static const neap_Class ticker_class = {"Ticker", ticker_close, NULL};

static int next_done(lua_State *L, int status) {
  if (status < 0) return neap_fail(L, status, "ticker:next");
  lua_pushboolean(L, 1);
  return 1;
}

/* ticker:next() -> true at the next tick, at once if one was missed */
static int ticker_next(lua_State *L) {
  Ticker *t = neap_handle_check(L, 1, &ticker_class);
  if (t->missed == 0) return neap_await(L, &t->next, next_done);
  t->missed--;
  return next_done(L, 0);
}

/* ticker(ms) -> Ticker */
static int ticker_new(lua_State *L) {
  lua_Integer ms = luaL_checkinteger(L, 1);
  luaL_argcheck(L, ms > 0 && ms < 1000000, 1, "out of range");
  Ticker *t = neap_handle_new(L, sizeof *t, &ticker_class);
  t->next.what = "ticker:next";
  (void)uv_timer_init(neap_loop(L), &t->timer); /* cannot fail */
  neap_handle_opened(&t->handle, &t->timer);
  int err = uv_timer_start(&t->timer, on_tick, (uint64_t)ms, (uint64_t)ms);
  if (err < 0) return neap_fail(L, err, "ticker");
  return 1;
}

static const char script[] =
    "local t <close> = ticker(5)\n"
    "for i = 1, 2 do await t:next() print('tick ' .. i) end\n"
    "asyncio.get_running_loop():call_soon(t.close, t)\n"
    "while true do\n"
    "  local ok, e = pcall(await, t:next())\n"
    "  if not ok then print(e.message) break end\n"
    "end\n"
    "print(t)";

/* Adds the class and what makes one; both may run out of memory. */
static int open_ticker(lua_State *L) {
  static const neap_Async async[] = {{"next", ticker_next}, {NULL, NULL}};
  neap_class_new(L, &ticker_class, NULL, async);
  lua_register(L, "ticker", ticker_new);
  return 0;
}

int main(void) {
  neap_Vm *vm = neap_vm_new(NULL);
  if (vm == NULL) return 1;
  lua_State *L = neap_state(vm);
  lua_pushcfunction(L, open_ticker);
  int n, status = lua_pcall(L, 0, 0, 0);
  if (status == LUA_OK)
    status = neap_load(L, script, strlen(script), "=script", "t");
  if (status == LUA_OK) {
    neap_spawn(L, 0, "main");
    status = neap_wait(L, -1, &n);
  }
  if (status != LUA_OK) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  neap_vm_free(vm);
  return status != LUA_OK;
}
