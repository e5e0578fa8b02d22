/*
 * sleep.c - asyncio.sleep, and the clock that it goes by.
 */
#include "error.h"
#include "loop.h"
#include "task.h"

void np_sleep_over(neap_Vm *vm, neap_Timer *timer) {
  neap_Task *t = (neap_Task *)((char *)timer - offsetof(neap_Task, timer));
  np_ready(vm, &t->link.node);
}

static int sleep_done(lua_State *L, int status, lua_KContext value) {
  (void)status;
  np_resumed(L, np_vm(L)->current);
  return (int)value; /* 0 or 1 */
}

/**
 * async asyncio.sleep(seconds [, value]) -> value
 *
 * Parks the task for so long, then gives `value`. `sleep(0)`, or a negative
 * time, gives every other ready task one turn.
 */
static int task_sleep(lua_State *L) {
  int whole, value = lua_gettop(L) > 1;
  lua_Integer n = lua_tointegerx(L, 1, &whole); /* faster for what is one */
  lua_Number s = whole ? (lua_Number)n : lua_tonumberx(L, 1, &whole);
  neap_Task *t = np_park_check(L);
  if (!whole || s != s)
    return np_error(L, "sleep needs a number of seconds, not %s",
                    whole ? "nan" : lua_isnone(L, 1) ? "nothing" :
                    lua_pushfstring(L, "a %s value", neap_typename(L, 1)));
  if (value) lua_settop(L, 2);
  if (!(s > 0)) {
    np_ready(t->vm, &t->link.node);
  } else if (t->flags & NP_T_MUST_CANCEL) {
    np_task_give_up(t);
  } else {
    uint64_t ns = s < 1e9 ? (uint64_t)(s * 1e9 + 0.5) : (uint64_t)1e18;
    if (neap_timer_start(t->vm, &t->timer, np_now(t->vm) + ns) < 0)
      return luaL_error(L, "not enough memory");
  }
  return np_park(L, value, sleep_done);
}

/**
 * asyncio.time() -> seconds
 *
 * The loop's clock. It only ever goes forward and has nothing to do with the
 * time of day.
 */
static int task_time(lua_State *L) {
  lua_pushnumber(L, (lua_Number)np_now(np_vm(L)) / 1e9);
  return 1;
}

/* _own_clock(boolean): whether the machine is never late, see np_now */
static int task_own_clock(lua_State *L) {
  np_vm(L)->clock = lua_toboolean(L, 1) ? uv_hrtime() : 0;
  return 0;
}

void np_sleep_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"time", task_time}, {"_own_clock", task_own_clock}, {NULL, NULL}};
  static const neap_Async async[] = {{"sleep", task_sleep}, {NULL, NULL}};
  np_push(L, np_vm(L), NP_R_ASYNCIO);
  luaL_setfuncs(L, functions, 0);
  neap_setasync(L, async);
  lua_pop(L, 1);
}
