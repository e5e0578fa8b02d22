/*
 * timeout.c - timeout scopes: local t <close> = asyncio.timeout(seconds).
 *
 * A scope is a timer that cancels the task which made it, and a __close that
 * turns that very cancellation into a TimeoutError. Whether the cancellation
 * is the scope's own is decided by counting requests, as asyncio does.
 */
#include "error.h"
#include "loop.h"
#include "task.h"

enum { ACTIVE, EXPIRING, EXPIRED, LEFT };

typedef struct Timeout {
  neap_Timer timer; /* first */
  uint64_t id;      /* of the task */
  uint32_t slot;
  uint16_t cancelling; /* requests when the scope began */
  uint8_t state, limited;
  lua_Number when;
  neap_Vm *vm;
  struct Over *over; /* in place of the timer if the limit has passed */
} Timeout;

/* A scope whose limit has passed when it is set has its place among those
 * that are ready, as in asyncio. User value 1 is the scope. */
typedef struct Over {
  np_Node node; /* first */
  Timeout *scope; /* NULL: it was left, or its limit moved */
} Over;

static void expire(Timeout *s) {
  neap_Task *t = np_task_find(s->vm, s->slot, s->id);
  if (t == NULL || !np_task_cancel(t)) return;
  s->state = EXPIRING;
}

static void on_timeout(neap_Vm *vm, neap_Timer *timer) {
  (void)vm;
  expire((Timeout *)timer);
}

static void unanchor(neap_Vm *vm, Over *over) {
  vm->nscheduled--;
  lua_pushnil(vm->store);
  lua_rawsetp(vm->store, NP_S_SCHEDULED, over);
}

static void on_over(neap_Vm *vm, np_Node *node) {
  Over *over = (Over *)node;
  if (over->scope != NULL) {
    over->scope->over = NULL;
    expire(over->scope);
  }
  unanchor(vm, over);
}

/* The scope at `index`, whose limit has passed, expires in the next turn. */
static void expire_soon(lua_State *L, Timeout *s, int index) {
  neap_Vm *vm = s->vm;
  Over *over = lua_newuserdatauv(L, sizeof *over, 1);
  over->node.run = on_over;
  lua_pushvalue(L, index);
  lua_setiuservalue(L, -2, 1);
  np_store(L, vm, NP_S_SCHEDULED);
  lua_insert(L, -2);
  lua_rawsetp(L, -2, over);
  lua_pop(L, 1);
  vm->nscheduled++;
  if (np_reserve(vm) < 0) {
    unanchor(vm, over);
    luaL_error(L, "not enough memory");
  }
  over->scope = s;
  s->over = over;
  np_ready(vm, &over->node);
}

static void stop(Timeout *s) {
  neap_timer_stop(s->vm, &s->timer);
  if (s->over == NULL) return;
  s->over->scope = NULL;
  s->over = NULL;
}

/* Sets the timer of the scope at `index` to s->when; reading the clock is
 * dear, so `now` is given. */
static void start(lua_State *L, Timeout *s, int index, uint64_t now) {
  uint64_t ns = np_deadline(s->when, now);
  stop(s);
  if (ns <= now) expire_soon(L, s, index);
  else if (neap_timer_start(s->vm, &s->timer, ns) < 0)
    luaL_error(L, "not enough memory");
}

static int scope_new(lua_State *L, int limited, lua_Number when,
                     uint64_t now) {
  neap_Vm *vm = np_vm(L);
  neap_Task *t = vm->current;
  Timeout *s;
  if (t == NULL) return np_error(L, "a timeout scope needs a task");
  s = lua_newuserdatauv(L, sizeof *s, 0);
  s->timer.index = 0;
  s->timer.fire = on_timeout;
  s->id = t->id;
  s->slot = t->slot;
  s->cancelling = t->cancelling;
  s->state = ACTIVE;
  s->limited = (uint8_t)limited;
  s->when = when;
  s->vm = vm;
  s->over = NULL;
  np_push_made(L, vm, NP_R_TIMEOUT);
  lua_setmetatable(L, -2);
  if (limited) start(L, s, lua_gettop(L), now);
  return 1;
}

/**
 * asyncio.timeout(seconds) -> scope
 *
 * A scope with a time limit, for `<close>`. When the limit passes, the task is
 * cancelled where it waits; at the end of the scope that becomes a
 * TimeoutError. So inside the scope there is a cancellation, which `pcall`
 * does not catch, and around it an ordinary error, which it does. nil means no
 * limit (yet).
 *
 * A cancellation from outside stays one. Scopes nest; the one whose limit
 * passed raises. A scope that never awaits is never interrupted. A scope that
 * was made without `<close>` is reported on stderr when it is collected.
 * *Raises* outside a task.
 *
 * ```lua
 * local ok, err = pcall(function()
 *   local t <close> = asyncio.timeout(0.01)
 *   t:reschedule(t:when() + 0.01)
 *   await asyncio.sleep(10)
 * end)
 * print(asyncio.iserror(err, asyncio.TimeoutError))  --> true
 * ```
 */
static int timeout(lua_State *L) {
  lua_Number s;
  uint64_t now;
  if (lua_isnoneornil(L, 1)) return scope_new(L, 0, 0, 0);
  s = luaL_checknumber(L, 1);
  luaL_argcheck(L, s == s, 1, "a number of seconds expected, got nan");
  now = np_now(np_vm(L));
  return scope_new(L, 1, (lua_Number)now / 1e9 + s, now);
}

/**
 * asyncio.timeout_at(when) -> scope
 *
 * The same with a point in time, as `asyncio.time()` gives them.
 */
static int timeout_at(lua_State *L) {
  lua_Number when;
  if (lua_isnoneornil(L, 1)) return scope_new(L, 0, 0, 0);
  when = luaL_checknumber(L, 1);
  luaL_argcheck(L, when == when, 1, "a time expected, got nan");
  return scope_new(L, 1, when, np_now(np_vm(L)));
}

static Timeout *check(lua_State *L) {
  Timeout *s = lua_touserdata(L, 1);
  int is = 0;
  if (s != NULL && lua_getmetatable(L, 1)) {
    const void *meta = lua_topointer(L, -1);
    neap_Vm *vm = np_vm(L);
    is = meta == vm->timeout_meta || meta == vm->timeout_left;
    lua_pop(L, 1);
  }
  luaL_argexpected(L, is, 1, "timeout scope");
  return s;
}

/* The error on top has no line of the script: it gets that of the await which
 * was given up, whose error is at 2. */
static void take_place(lua_State *L) {
  lua_getfield(L, 2, "where");
  if (!lua_isstring(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  lua_pushfstring(L, "stack traceback:\n\t%s: in the await that was given up",
                  lua_tostring(L, -1));
  lua_setfield(L, -3, "traceback");
  lua_setfield(L, -2, "where");
}

/* __close(scope, error) */
static int scope_close(lua_State *L) {
  Timeout *s = check(L);
  neap_Task *t = np_task_find(s->vm, s->slot, s->id);
  if (s->state == EXPIRED || s->state == LEFT)
    return np_error(L, "a timeout scope can be used only once");
  stop(s);
  np_push(L, s->vm, NP_R_TIMEOUT_LEFT); /* has no finalizer: collected fast */
  lua_setmetatable(L, 1);
  if (s->state == ACTIVE) {
    s->state = LEFT;
    return 0;
  }
  s->state = EXPIRED;
  if (t == NULL) return 0;
  if (np_task_uncancel(t) > s->cancelling || lua_isnoneornil(L, 2))
    return 0;
  if (!np_error_is(L, 2, "CancelledError")) return 0;
  neap_error_new(L, "TimeoutError", 1, NULL, "timed out");
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "cause");
  if (!np_in_script(L)) take_place(L);
  return lua_error(L);
}

/**
 * scope:when() -> the point in time of the limit, or nil
 */
static int scope_when(lua_State *L) {
  Timeout *s = check(L);
  if (s->limited) lua_pushnumber(L, s->when);
  else lua_pushnil(L);
  return 1;
}

/**
 * scope:reschedule(when)
 *
 * Moves the limit to another point in time; nil removes it.
 */
static int scope_reschedule(lua_State *L) {
  Timeout *s = check(L);
  if (s->state != ACTIVE)
    return np_error(L, "cannot reschedule a timeout scope that %s",
                    s->state == LEFT ? "was left" : "has expired");
  if (lua_isnoneornil(L, 2)) {
    s->limited = 0;
    stop(s);
    return 0;
  }
  s->when = luaL_checknumber(L, 2);
  luaL_argcheck(L, s->when == s->when, 2, "a time expected, got nan");
  s->limited = 1;
  start(L, s, 1, np_now(np_vm(L)));
  return 0;
}

/**
 * scope:expired() -> boolean
 *
 * Whether the limit was reached.
 */
static int scope_expired(lua_State *L) {
  Timeout *s = check(L);
  lua_pushboolean(L, s->state == EXPIRING || s->state == EXPIRED);
  return 1;
}

static int scope_gc(lua_State *L) {
  Timeout *s = check(L);
  stop(s);
  if (s->state == ACTIVE || s->state == EXPIRING)
    neap_report(s->vm, NEAP_REPORT_WARNING, "a timeout scope was never left: "
                "write local t <close> = asyncio.timeout(...)", NULL);
  return 0;
}

static const void *metatable(lua_State *L, int what, int gc) {
  static const luaL_Reg methods[] = {
    {"when", scope_when}, {"reschedule", scope_reschedule},
    {"expired", scope_expired}, {NULL, NULL}};
  const void *pointer;
  lua_createtable(L, 0, 4);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, "timeout scope");
  lua_setfield(L, -2, "__name");
  lua_pushcfunction(L, scope_close);
  lua_setfield(L, -2, "__close");
  if (gc) {
    lua_pushcfunction(L, scope_gc);
    lua_setfield(L, -2, "__gc");
  }
  neap_metatable_hide(L);
  pointer = lua_topointer(L, -1);
  np_keep(L, np_vm(L), what);
  return pointer;
}

void np_timeout_make_metatables(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  vm->timeout_left = metatable(L, NP_R_TIMEOUT_LEFT, 0);
  vm->timeout_meta = metatable(L, NP_R_TIMEOUT, 1);
}

void np_timeout_open(lua_State *L) {
  np_push(L, np_vm(L), NP_R_ASYNCIO);
  lua_pushcfunction(L, timeout);
  lua_setfield(L, -2, "timeout");
  lua_pushcfunction(L, timeout_at);
  lua_setfield(L, -2, "timeout_at");
  lua_pop(L, 1);
}
