/*
 * callback.c - Lua functions that the loop calls, outside any task.
 *
 * call_soon, call_later and add_done_callback all make the same userdata, a
 * Callback: the function, its arguments, a place in the ring or in a
 * future's list, and a timer. It is anchored until it has run or was
 * cancelled. Errors go to the exception handler of the loop, or the host.
 * A neap_Callback is the same, but may run many times.
 */
#include <math.h>
#include <string.h>

#include "async.h"
#include "error.h"
#include "future.h"
#include "limits.h"
#include "loop.h"
#include "task.h"

typedef struct neap_Callback {
  np_Link link; /* first */
  neap_Timer timer;
  lua_Number when; /* as it was asked for; NAN for call_soon */
  neap_Vm *vm;
  uint8_t cancelled, scheduled;
  uint8_t kept;   /* a neap_Callback: called until it is freed ... */
  uint8_t queued; /* ... and in the ring now */
  int nargs; /* user values: context, the function, then the arguments */
} Callback;

/* == Running ========================================================== */

static void unanchor(neap_Vm *vm, Callback *c) {
  if (!c->scheduled) return;
  c->scheduled = 0;
  vm->nscheduled--;
  lua_pushnil(vm->store);
  lua_rawsetp(vm->store, NP_S_SCHEDULED, c);
}

/* The registry has the traceback of a failing callback under this address:
 * a closure for each call would need memory to call anything. */
static const char trace_key = 0;

static int trace(lua_State *L) {
  if (np_error_is(L, 1, "Error")) return 1;
  np_blame_caller(L, L, 1);
  np_traceback(L, L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &trace_key);
  return 1;
}

/*
 * The function on top of L, which is popped, could not run to its end for
 * lack of memory. If it is the library's, tasks may wait for ever for what
 * it was to do.
 */
static void broke(lua_State *L) {
  lua_Debug ar;
  if (lua_iscfunction(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  lua_getinfo(L, ">S", &ar);
  if (np_is_half(ar.source)) np_task_break_all(np_vm(L));
}

/* One run: the Callback may be gone after it has begun. */
typedef struct Run {
  Callback *c;
  int begun;
} Run;

/* Runs protected; the Run's address is at 1. */
static int call(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  Run *run = lua_touserdata(L, 1);
  Callback *c = run->c;
  int i, status;
  run->begun = 1;
  np_store(L, vm, NP_S_SCHEDULED);
  lua_rawgetp(L, -1, c);
  lua_replace(L, 1);
  lua_settop(L, 1);
  if (!c->kept) unanchor(vm, c);
  lua_pushcfunction(L, trace);
  luaL_checkstack(L, c->nargs + 5, NULL);
  lua_getiuservalue(L, 1, 1);
  lua_rawseti(L, LUA_REGISTRYINDEX, vm->ref[NP_R_CONTEXT]);
  for (i = 2; i <= c->nargs + 2; i++) lua_getiuservalue(L, 1, i);
  status = lua_pcall(L, c->nargs, 0, 2);
  if (status == LUA_OK) return 0;
  if (status == LUA_ERRMEM) {
    lua_getiuservalue(L, 1, 2);
    broke(L);
  }
  if (!np_error_is(L, -1, "Error") && lua_isstring(L, -1)) {
    np_error_wrap(L, -1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &trace_key);
    lua_setfield(L, -2, "traceback");
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &trace_key);
  }
  np_report_error(L, "error in a callback", -1, 0);
  return 0;
}

/* There was no memory even to begin. */
static void give_up(neap_Vm *vm, Callback *c) {
  lua_State *S = vm->store;
  lua_rawgetp(S, NP_S_SCHEDULED, c);
  lua_getiuservalue(S, -1, 2);
  if (!c->kept) unanchor(vm, c);
  broke(S);
  lua_pop(S, 1);
}

static void run_callback(neap_Vm *vm, np_Node *node) {
  Callback *c = (Callback *)node;
  lua_State *C = vm->calls;
  Run run = {c, 0};
  c->queued = 0;
  if (c->cancelled || np_spent(vm)) {
    unanchor(vm, c);
    return;
  }
  np_limits_enter(vm);
  vm->running = C;
  (void)np_watch_step(vm);
  lua_pushcfunction(C, call);
  lua_pushlightuserdata(C, &run);
  if (lua_pcall(C, 1, 0, 0) != LUA_OK) {
    const char *message = lua_tostring(C, -1);
    neap_report(vm, NEAP_REPORT_ERROR,
                message != NULL ? message : "error in a callback", NULL);
    lua_pop(C, 1);
    if (!run.begun) give_up(vm, c);
  }
  np_no_context(C);
  if (np_watch_step(vm)) np_watch_ended(vm);
  vm->running = NULL;
  np_limits_leave(vm);
}

static void on_due(neap_Vm *vm, neap_Timer *timer) {
  Callback *c = (Callback *)((char *)timer - offsetof(Callback, timer));
  run_callback(vm, &c->link.node);
}

/* == Making =========================================================== */

/* An async function would only make a coroutine object, which nobody awaits. */
static void check_function(lua_State *L, int index) {
  luaL_checktype(L, index, LUA_TFUNCTION);
  if (lua_tocfunction(L, index) == np_async_call)
    (void)np_error(L, "a callback cannot be an async function: have it make "
                      "a task");
}

/* Makes a Callback of the function at `first` and the arguments above it. */
static Callback *callback_new(lua_State *L, int first) {
  neap_Vm *vm = np_vm(L);
  int i, n = lua_gettop(L) - first;
  Callback *c;
  check_function(L, first);
  luaL_argcheck(L, n < 250, first + 250, "too many arguments");
  c = lua_newuserdatauv(L, sizeof *c, n + 2);
  memset(c, 0, sizeof *c);
  c->vm = vm;
  c->link.node.run = run_callback;
  c->timer.fire = on_due;
  c->nargs = n;
  for (i = 0; i <= n; i++) {
    lua_pushvalue(L, first + i);
    lua_setiuservalue(L, -2, i + 2);
  }
  np_context_push(L);
  lua_setiuservalue(L, -2, 1);
  np_push_made(L, vm, NP_R_CALLBACK);
  lua_setmetatable(L, -2);
  np_store(L, vm, NP_S_SCHEDULED);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, c);
  lua_pop(L, 1);
  vm->nscheduled++;
  c->scheduled = 1;
  if (np_reserve(vm) < 0) {
    unanchor(vm, c);
    luaL_error(L, "not enough memory");
  }
  return c;
}

/* == What C has called ================================================ */

neap_Callback *neap_callback_new(lua_State *L, int index) {
  Callback *c;
  luaL_checkstack(L, 10, NULL);
  lua_pushvalue(L, index);
  c = callback_new(L, lua_gettop(L));
  c->kept = 1;
  lua_pop(L, 2);
  return c;
}

void neap_callback_call(neap_Callback *c) {
  if (c->queued || c->cancelled) return;
  c->queued = 1;
  np_ready(c->vm, &c->link.node);
}

void neap_callback_free(neap_Callback *c) {
  if (c == NULL || c->cancelled) return;
  c->cancelled = 1;
  if (!c->queued) unanchor(c->vm, c);
}

/* == What scripts have called ========================================= */

/* call_soon(f, ...) -> handle */
static int call_soon(lua_State *L) {
  Callback *c = callback_new(L, 1);
  c->when = NAN;
  np_ready(np_vm(L), &c->link.node);
  return 1;
}

static int start_timer(lua_State *L, Callback *c, lua_Number when) {
  neap_Vm *vm = np_vm(L);
  uint64_t now = np_now(vm), deadline = np_deadline(when, now);
  c->when = when;
  if (deadline <= now) vm->soon = 1;
  if (neap_timer_start(vm, &c->timer, deadline) < 0) {
    unanchor(vm, c);
    return luaL_error(L, "not enough memory");
  }
  return 1;
}

/* call_at(time, f, ...) -> handle */
static int call_at(lua_State *L) {
  lua_Number when = luaL_checknumber(L, 1);
  Callback *c = callback_new(L, 2);
  return start_timer(L, c, when);
}

/* call_later(seconds, f, ...) -> handle */
static int call_later(lua_State *L) {
  lua_Number s = luaL_checknumber(L, 1);
  Callback *c = callback_new(L, 2);
  return start_timer(L, c, (lua_Number)np_now(np_vm(L)) / 1e9 + s);
}

static Callback *check(lua_State *L) {
  return luaL_checkudata(L, 1, "asyncio.Handle");
}

/**
 * handle:cancel()
 *
 * What `call_soon`, `call_later` or `call_at` was asked for is not called.
 */
static int handle_cancel(lua_State *L) {
  Callback *c = check(L);
  neap_Vm *vm = np_vm(L);
  if (c->cancelled) return 0;
  c->cancelled = 1; /* also if it was called already */
  if (np_heap_test((np_HeapNode *)&c->timer)) {
    neap_timer_stop(vm, &c->timer);
    unanchor(vm, c);
  }
  return 0;
}

/**
 * handle:cancelled() -> boolean
 */
static int handle_cancelled(lua_State *L) {
  lua_pushboolean(L, check(L)->cancelled);
  return 1;
}

/**
 * handle:when() -> the point in time; nil for call_soon
 */
static int handle_when(lua_State *L) {
  Callback *c = check(L);
  if (isnan(c->when)) lua_pushnil(L);
  else lua_pushnumber(L, c->when);
  return 1;
}

/**
 * task:add_done_callback(f)
 *
 * Calls `f(task)` in a turn of the loop after the end. Callbacks run outside
 * any task: they cannot await. An error in one goes to the loop's exception
 * handler and disturbs nobody else.
 */
int np_add_done_callback(lua_State *L) {
  np_Future *f = np_future_check(L, 1);
  Callback *c;
  lua_settop(L, 2);
  lua_pushvalue(L, 1);
  c = callback_new(L, 2);
  if (f->state != NP_PENDING) np_ready(f->vm, &c->link.node);
  else np_link(f, &c->link);
  return 0;
}

/**
 * task:remove_done_callback(f) -> integer
 *
 * Removes it again; gives how many there were.
 */
int np_remove_done_callback(lua_State *L) {
  np_Future *f = np_future_check(L, 1);
  np_Link *link, *next;
  lua_Integer n = 0;
  lua_settop(L, 2);
  np_store(L, f->vm, NP_S_SCHEDULED);
  for (link = f->list.next; link != &f->list; link = next) {
    next = link->next;
    if (link->node.run != run_callback) continue;
    lua_rawgetp(L, 3, link);
    lua_getiuservalue(L, 4, 2);
    if (lua_rawequal(L, 2, 5)) {
      np_unlink(link);
      unanchor(f->vm, (Callback *)link);
      n++;
    }
    lua_settop(L, 3);
  }
  lua_pushinteger(L, n);
  return 1;
}

/* _check_callback(f): raises unless f may be one */
static int check_callback(lua_State *L) {
  check_function(L, 1);
  return 0;
}

void np_callback_make_metatable(lua_State *L) {
  static const luaL_Reg methods[] = {
    {"cancel", handle_cancel}, {"cancelled", handle_cancelled},
    {"when", handle_when}, {NULL, NULL}};
  luaL_newmetatable(L, "asyncio.Handle");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  neap_metatable_hide(L);
  np_keep(L, np_vm(L), NP_R_CALLBACK);
}

void np_callback_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"_call_soon", call_soon}, {"_call_at", call_at},
    {"_call_later", call_later}, {"_check_callback", check_callback},
    {NULL, NULL}};
  np_push(L, np_vm(L), NP_R_ASYNCIO);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
