/*
 * future.c - futures: a value or an error to come, and who waits for it.
 *
 * Future and Task are the same userdata with two metatables. Who waits is a
 * ring of links; finishing moves them all into the ready ring, in order, so
 * a callback never runs inside set_result. Behaviour is asyncio's.
 */
#include <string.h>

#include "error.h"
#include "future.h"
#include "loop.h"
#include "task.h"

/* == Links ============================================================ */

void np_link(np_Future *f, np_Link *link) {
  link->next = &f->list;
  link->prev = f->list.prev;
  link->prev->next = link;
  f->list.prev = link;
}

void np_unlink(np_Link *link) {
  if (link->next == NULL) return;
  link->prev->next = link->next;
  link->next->prev = link->prev;
  link->next = link->prev = NULL;
}

void np_future_finish(neap_Vm *vm, np_Future *f, int state) {
  f->state = (uint8_t)state;
  while (f->list.next != &f->list) {
    np_Link *link = f->list.next;
    np_unlink(link);
    np_ready(vm, &link->node);
  }
}

/* == Making and finding =============================================== */

np_Future *np_future_sized(lua_State *L, int what, size_t size) {
  neap_Vm *vm = np_vm(L);
  np_Future *f = lua_newuserdatauv(L, size, 2);
  memset(f, 0, size);
  f->list.next = f->list.prev = &f->list;
  f->vm = vm;
  if (what == NP_R_TASK) f->flags = NP_F_TASK;
  np_push_made(L, vm, what);
  lua_setmetatable(L, -2);
  return f;
}

np_Future *np_future_new(lua_State *L, int what) {
  return np_future_sized(L, what, sizeof(np_Future));
}

np_Future *np_future_test(lua_State *L, int index) {
  np_Future *f = lua_touserdata(L, index);
  neap_Vm *vm;
  const void *meta;
  if (f == NULL || !lua_getmetatable(L, index)) return NULL;
  meta = lua_topointer(L, -1);
  lua_pop(L, 1);
  vm = np_vm(L);
  return meta == vm->future_meta || meta == vm->task_meta ? f : NULL;
}

np_Future *np_future_check(lua_State *L, int index) {
  np_Future *f = np_future_test(L, index);
  luaL_argexpected(L, f != NULL, index, "Future or Task");
  return f;
}

/* == The table of rare things ========================================= */

void np_extra_get(lua_State *L, int index, const char *field) {
  if (lua_getiuservalue(L, index, 2) == LUA_TTABLE) {
    lua_getfield(L, -1, field);
    lua_replace(L, -2);
  }
}

void np_extra_set(lua_State *L, int index, const char *field) {
  index = lua_absindex(L, index);
  if (lua_getiuservalue(L, index, 2) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, index, 2);
  }
  lua_insert(L, -2);
  lua_setfield(L, -2, field);
  lua_pop(L, 1);
}

void np_extra_set_nonnil(lua_State *L, int index, const char *field) {
  if (lua_isnil(L, -1)) lua_pop(L, 1);
  else np_extra_set(L, index, field);
}

void np_future_name_push(lua_State *L, int index) {
  const np_Future *f = lua_touserdata(L, index);
  index = lua_absindex(L, index);
  np_extra_get(L, index, "name");
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  if (f->flags & NP_F_TASK)
    lua_pushfstring(L, "Task-%I", (LUAI_UACINT)f->id);
  else
    lua_pushstring(L, f->flags & NP_F_GATHER ? "gather" : "Future");
}

/* == Ending =========================================================== */

void np_future_resolve(lua_State *L, int index, int n) {
  np_Future *f;
  index = lua_absindex(L, index);
  f = lua_touserdata(L, index);
  f->flags &= (uint8_t)~NP_F_SINGLE;
  if (n == 0) return;
  if (n == 1) {
    f->flags |= NP_F_SINGLE;
  } else {
    int i;
    lua_createtable(L, n, 1);
    lua_insert(L, -n - 1);
    for (i = n; i >= 1; i--) lua_rawseti(L, -i - 1, i);
    lua_pushinteger(L, n);
    lua_setfield(L, -2, "n");
  }
  lua_setiuservalue(L, index, 1);
}

void np_future_reject(lua_State *L, int index, int watch) {
  np_Future *f;
  index = lua_absindex(L, index);
  f = lua_touserdata(L, index);
  f->flags |= NP_F_SINGLE;
  lua_setiuservalue(L, index, 1);
  if (watch) np_future_watch(L, f, index);
}

static int plain_cancel(np_Future *f) {
  if (f->state != NP_PENDING) return 0;
  np_future_finish(f->vm, f, NP_CANCELLED);
  return 1;
}

int np_future_cancel(np_Future *f) {
  if (f->state != NP_PENDING) return 0;
  if (f->task != NULL) return np_task_cancel(f->task);
  return f->cancel != NULL ? f->cancel(f) : plain_cancel(f);
}

int np_future_cancel_as(lua_State *L, int index) {
  np_Future *f = lua_touserdata(L, index);
  neap_Task *t = f->task;
  int taken;
  if (lua_isnil(L, -1) || f->state != NP_PENDING ||
      (t != NULL && np_task_cancel_is_due(t))) {
    lua_pop(L, 1);
    return np_future_cancel(f);
  }
  np_extra_set(L, index, "cancel_message");
  if (t != NULL) f->vm->cancel_message = t->slot + 1;
  taken = np_future_cancel(f);
  f->vm->cancel_message = 0;
  return taken;
}

/* Pushes the error of a failed or cancelled future. */
static void push_error(lua_State *L, np_Future *f, int index) {
  lua_getiuservalue(L, index, 1);
  if (f->state == NP_CANCELLED && lua_isnil(L, -1)) {
    lua_pop(L, 1);
    neap_error_new(L, "CancelledError", 0, NULL, "the future was cancelled");
    np_extra_get(L, index, "cancel_message");
    if (lua_isnil(L, -1)) lua_pop(L, 1);
    else lua_setfield(L, -2, "message");
  }
}

void np_future_outcome(lua_State *L, int index) {
  np_Future *f = lua_touserdata(L, index);
  if (f->state != NP_DONE) {
    np_future_retrieved(L, f, index);
    push_error(L, f, index);
  } else {
    lua_getiuservalue(L, index, 1);
  }
}

int np_future_values(lua_State *L, int index) {
  np_Future *f = lua_touserdata(L, index);
  index = lua_absindex(L, index);
  if (f->state == NP_DONE) {
    if (lua_getiuservalue(L, index, 1) != LUA_TTABLE ||
        f->flags & NP_F_SINGLE) {
      if (f->flags & NP_F_SINGLE) return 1;
      lua_pop(L, 1);
      return 0;
    } else {
      int i, n, values = lua_gettop(L);
      lua_getfield(L, values, "n");
      n = (int)lua_tointeger(L, -1);
      lua_pop(L, 1);
      luaL_checkstack(L, n, "too many values");
      for (i = 1; i <= n; i++) lua_rawgeti(L, values, i);
      return n;
    }
  }
  np_future_retrieved(L, f, index);
  push_error(L, f, index);
  np_extra_get(L, index, "traceback");
  np_extra_get(L, index, "spawned");
  if (lua_isnil(L, -2)) lua_pop(L, 2);
  else np_inherit_set(L);
  return lua_error(L);
}

/* == Awaiting ========================================================= */

/* Gives the cancellation on top the message of the awaited task's, below it:
 * that may have come by another request, or raised one of its own. */
static void take_message(lua_State *L, neap_Task *t) {
  if (t->flags & (NP_T_INTERRUPTED | NP_T_BROKEN) ||
      !np_error_is(L, -1, "CancelledError"))
    return;
  lua_getfield(L, -2, "message");
  lua_setfield(L, -2, "message");
}

static int await_done(lua_State *L, int status, lua_KContext ctx) {
  neap_Task *t = np_vm(L)->current;
  np_Future *f = t->awaiting;
  int sent = t->flags & NP_T_CANCEL_SENT;
  (void)status;
  (void)ctx;
  t->awaiting = NULL;
  t->flags &= (uint16_t)~NP_T_CANCEL_SENT;
  /* An error that a cancel overtakes has still reached who waited for it. */
  if (t->flags & NP_T_MUST_CANCEL && f->state == NP_FAILED)
    np_future_retrieved(L, f, 1);
  np_resumed(L, t);
  if (sent && f->state != NP_DONE) {
    np_future_retrieved(L, f, 1);
    push_error(L, f, 1);
    if (f->state == NP_CANCELLED || np_error_is(L, -1, "CancelledError")) {
      np_cancel_push(L, t);
      if (f->flags & NP_F_TASK) take_message(L, t);
      return lua_error(L);
    }
    lua_pop(L, 1);
  }
  return np_future_values(L, 1);
}

/* Parks the running task on the future at 1; nothing else is on the stack. */
static int park_on(lua_State *L, np_Future *f, lua_KFunction k) {
  neap_Task *t = np_park_check(L);
  if (f->task == t) return np_error(L, "a task cannot await itself");
  np_link(f, &t->link);
  t->awaiting = f;
  if (t->flags & NP_T_MUST_CANCEL) {
    t->flags &= (uint16_t)~NP_T_MUST_CANCEL;
    if (!np_task_pass_cancel(t)) t->flags |= NP_T_MUST_CANCEL;
  }
  return np_park(L, 0, k);
}

int np_future_await(lua_State *L) {
  np_Future *f = np_future_check(L, 1);
  lua_settop(L, 1);
  if (f->state != NP_PENDING) return np_future_values(L, 1);
  return park_on(L, f, await_done);
}

/* Pushes false and the task's own cancellation. */
static int attempt_cancelled(lua_State *L, neap_Task *t) {
  t->flags &= (uint16_t)~(NP_T_MUST_CANCEL | NP_T_GIVEN_UP);
  lua_pushboolean(L, 0);
  np_cancel_push(L, t);
  return 2;
}

static int attempt_result(lua_State *L, np_Future *f) {
  lua_pushboolean(L, f->state == NP_DONE);
  if (f->state == NP_DONE) {
    f->state = NP_PENDING;
    return 1;
  }
  push_error(L, f, 1);
  return 2;
}

static int attempt_done(lua_State *L, int status, lua_KContext ctx) {
  neap_Task *t = np_vm(L)->current;
  np_Future *f = t->awaiting;
  int sent = t->flags & NP_T_CANCEL_SENT;
  (void)status;
  (void)ctx;
  t->awaiting = NULL;
  t->flags &= (uint16_t)~NP_T_CANCEL_SENT;
  if (t->flags & NP_T_MUST_CANCEL || (sent && f->state == NP_CANCELLED))
    return attempt_cancelled(L, t);
  return attempt_result(L, f);
}

/*
 * _attempt(future) -> true, or false and the error: catch(await, future) at
 * a fraction of its price, for those who wait in queues and locks. The
 * future has no value and was given to nobody else: after true it is pending
 * again, to be used once more.
 */
static int future_attempt(lua_State *L) {
  np_Future *f = np_future_check(L, 1);
  lua_settop(L, 1);
  if (f->state == NP_PENDING) return park_on(L, f, attempt_done);
  return attempt_result(L, f);
}

/* == Lua's side ======================================================= */

/**
 * task:done() -> boolean
 *
 * Whether it has ended, however.
 */
static int future_done(lua_State *L) {
  lua_pushboolean(L, np_future_check(L, 1)->state != NP_PENDING);
  return 1;
}

/**
 * task:cancelled() -> boolean
 *
 * Whether it ended by cancellation.
 */
static int future_cancelled(lua_State *L) {
  lua_pushboolean(L, np_future_check(L, 1)->state == NP_CANCELLED);
  return 1;
}

/**
 * task:result() -> its values
 *
 * *Raises* its error; InvalidStateError before the end.
 */
static int future_result(lua_State *L) {
  np_Future *f = np_future_check(L, 1);
  lua_settop(L, 1);
  if (f->state == NP_PENDING)
    return neap_raise(L, "InvalidStateError", NULL, "result is not ready");
  return np_future_values(L, 1);
}

/**
 * task:exception() -> its error, or nil if it has none
 *
 * *Raises* CancelledError if it was cancelled, InvalidStateError before the
 * end.
 */
static int future_exception(lua_State *L) {
  np_Future *f = np_future_check(L, 1);
  lua_settop(L, 1);
  if (f->state == NP_PENDING)
    return neap_raise(L, "InvalidStateError", NULL, "exception is not set");
  if (f->state == NP_DONE) {
    lua_pushnil(L);
    return 1;
  }
  np_future_retrieved(L, f, 1);
  push_error(L, f, 1);
  return f->state == NP_CANCELLED ? lua_error(L) : 1;
}

/**
 * task:cancel([message]) -> boolean
 *
 * Asks it to end; false if it was done already. The task sees it at its await,
 * as a CancelledError that `pcall` does not catch; it may still clean up, and
 * await while it does. Two requests before the task gets to run raise one
 * error. To know that a task has ended, await it, or `asyncio.wait {task}`.
 */
static int future_cancel(lua_State *L) {
  (void)np_future_check(L, 1);
  lua_settop(L, 2);
  lua_pushboolean(L, np_future_cancel_as(L, 1));
  return 1;
}

/**
 * task:state() -> string
 *
 * `"running"` (the current task), `"pending"`, `"done"` or `"cancelled"`.
 */
static int future_state(lua_State *L) {
  np_Future *f = np_future_check(L, 1);
  static const char *const names[] = {"pending", "done", "done",
                                      "cancelled"};
  lua_pushstring(L, f->task != NULL && f->task == f->vm->current ?
                 "running" : names[f->state]);
  return 1;
}

static np_Future *check_pending(lua_State *L) {
  np_Future *f = np_future_check(L, 1);
  if (f->flags & NP_F_TASK)
    luaL_error(L, "a Task sets its result itself");
  if (f->state != NP_PENDING)
    neap_raise(L, "InvalidStateError", NULL, "the future is done already");
  return f;
}

/**
 * future:set_result(...)
 *
 * Makes it done with these values. *Raises* InvalidStateError if it is done
 * already. Waiters are woken and callbacks called in a later turn of the loop,
 * never inside this call.
 */
static int future_set_result(lua_State *L) {
  np_Future *f = check_pending(L);
  np_future_resolve(L, 1, lua_gettop(L) - 1);
  np_future_finish(f->vm, f, NP_DONE);
  return 0;
}

/**
 * future:set_exception(e)
 *
 * Makes it failed with this error value; the rest as for `set_result`.
 *
 * ```lua
 * local future = asyncio.Future()
 * asyncio.get_running_loop():call_later(0.01, function()
 *   future:set_result("late", "but here")
 * end)
 * print(await future)  --> late	but here
 * ```
 */
static int future_set_exception(lua_State *L) {
  np_Future *f = check_pending(L);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) np_error_wrap(L, 2);
  np_future_reject(L, 1, 1);
  np_future_finish(f->vm, f, NP_FAILED);
  return 0;
}

static int future_tostring(lua_State *L) {
  np_Future *f = np_future_check(L, 1);
  static const char *const names[] = {"pending", "done", "failed",
                                      "cancelled"};
  const char *state = f->task != NULL && f->task == f->vm->current ?
                      "running" : names[f->state];
  if (f->flags & NP_F_TASK) {
    np_future_name_push(L, 1);
    np_site_push(L, f->line, f->source);
    lua_pushfstring(L, "Task '%s' (%s, %s)", lua_tostring(L, -2),
                    lua_tostring(L, -1), state);
  } else if (f->source != 0) {
    np_site_push(L, f->line, f->source);
    lua_pushfstring(L, "Future (%s, %s)", lua_tostring(L, -1), state);
  } else {
    lua_pushfstring(L, "Future (%s)", state);
  }
  return 1;
}

/**
 * task:cancelling() -> integer
 *
 * How many requests to cancel are standing.
 */
static int task_cancelling(lua_State *L) {
  np_Future *f = np_future_check(L, 1);
  lua_pushinteger(L, f->task != NULL ? f->task->cancelling : f->cancelling);
  return 1;
}

/**
 * task:uncancel() -> integer
 *
 * Takes one request to cancel back; gives how many are left.
 */
static int task_uncancel(lua_State *L) {
  np_Future *f = np_future_check(L, 1);
  if (f->task != NULL)
    lua_pushinteger(L, np_task_uncancel(f->task));
  else
    lua_pushinteger(L, f->cancelling > 0 ? --f->cancelling : 0);
  return 1;
}

/**
 * task:get_name() -> string
 */
static int task_get_name(lua_State *L) {
  (void)np_future_check(L, 1);
  np_future_name_push(L, 1);
  return 1;
}

/**
 * task:set_name(name)
 */
static int task_set_name(lua_State *L) {
  (void)np_future_check(L, 1);
  (void)luaL_checkstring(L, 2);
  lua_settop(L, 2);
  np_extra_set(L, 1, "name");
  return 0;
}

/**
 * task:traceback() -> string
 *
 * Where it stands, across tasks; of a failed task: where it failed.
 *
 * ```lua
 * local nap = asyncio.sleep(0.01, "slept")
 * local task = asyncio.create_task(nap, {name = "nap"})
 * print(task:get_name(), task:state())  --> nap	pending
 * print(await task)                     --> slept
 * print(task:result(), task:state())    --> slept	done
 *
 * task = asyncio.create_task(asyncio.sleep(10))
 * print(task:cancel "no more time")     --> true
 * local ok, err = pcall(await, task)
 * print(err.name, err.message)          --> CancelledError	no more time
 * ```
 */
static int task_traceback(lua_State *L) {
  np_Future *f = np_future_check(L, 1);
  lua_settop(L, 1);
  if (f->task != NULL) {
    if (f->task->L == NULL)
      lua_pushliteral(L, "stack traceback:\n\t(not started)");
    else
      np_traceback(L, f->task->L, f->task == np_vm(L)->current);
    if (f->source != 0) {
      np_site_push(L, f->line, f->source);
      lua_pushfstring(L, "%s\n\tspawned at %s", lua_tostring(L, 2),
                      lua_tostring(L, 3));
    }
    return 1;
  }
  np_extra_get(L, 1, "traceback");
  np_extra_get(L, 1, "spawned");
  if (lua_isstring(L, 2) && lua_isstring(L, 3)) lua_concat(L, 2);
  else lua_settop(L, 2);
  return 1;
}

/* _copy_outcome(from, to): ends `to` as `from`, which is done, has ended */
static int copy_outcome(lua_State *L) {
  np_Future *from = np_future_check(L, 1), *to = np_future_check(L, 2);
  lua_settop(L, 2);
  if (to->state != NP_PENDING || from->state == NP_PENDING) return 0;
  np_future_retrieved(L, from, 1);
  to->flags |= from->flags & NP_F_SINGLE;
  lua_getiuservalue(L, 1, 1);
  lua_setiuservalue(L, 2, 1);
  np_extra_get(L, 1, "traceback");
  np_extra_set_nonnil(L, 2, "traceback");
  np_extra_get(L, 1, "spawned");
  np_extra_set_nonnil(L, 2, "spawned");
  if (from->state == NP_FAILED) np_future_watch(L, to, 2);
  np_future_finish(to->vm, to, from->state);
  return 0;
}

/**
 * asyncio.isfuture(v) -> boolean
 *
 * Whether `v` is a Future or a Task.
 */
static int future_is(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, np_future_test(L, 1) != NULL);
  return 1;
}

/**
 * asyncio.Future() -> future
 *
 * A result to come that somebody else sets: the bridge from callbacks to
 * await. It has a Task's methods but those for names, tracebacks and counting,
 * and two more.
 */
static int future_make(lua_State *L) {
  np_Future *f = np_future_new(L, NP_R_FUTURE);
  if (f->vm->debug) np_site(L, 1, &f->line, &f->source);
  return 1;
}

static const void *make_metatable(lua_State *L, int what, const char *name,
                                  const luaL_Reg *methods,
                                  const luaL_Reg *more) {
  const void *pointer;
  lua_createtable(L, 0, 3);
  lua_createtable(L, 0, 13);
  luaL_setfuncs(L, methods, 0);
  luaL_setfuncs(L, more, 0);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushcfunction(L, future_tostring);
  lua_setfield(L, -2, "__tostring");
  neap_metatable_hide(L);
  pointer = lua_topointer(L, -1);
  np_keep(L, np_vm(L), what);
  return pointer;
}

void np_future_make_metatables(lua_State *L) {
  static const luaL_Reg methods[] = {
    {"done", future_done}, {"cancelled", future_cancelled},
    {"result", future_result}, {"exception", future_exception},
    {"cancel", future_cancel}, {"state", future_state},
    {"add_done_callback", np_add_done_callback},
    {"remove_done_callback", np_remove_done_callback}, {NULL, NULL}};
  static const luaL_Reg future[] = {
    {"set_result", future_set_result},
    {"set_exception", future_set_exception}, {NULL, NULL}};
  static const luaL_Reg task[] = {
    {"cancelling", task_cancelling}, {"uncancel", task_uncancel},
    {"get_name", task_get_name}, {"set_name", task_set_name},
    {"traceback", task_traceback}, {NULL, NULL}};
  neap_Vm *vm = np_vm(L);
  if (vm->ref[NP_R_FUTURE] == 0) /* else memory ran out behind it */
    vm->future_meta = make_metatable(L, NP_R_FUTURE, "Future", methods,
                                     future);
  vm->task_meta = make_metatable(L, NP_R_TASK, "Task", methods, task);
}

void np_future_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"Future", future_make}, {"isfuture", future_is},
    {"_attempt", future_attempt}, {"_copy_outcome", copy_outcome},
    {NULL, NULL}};
  np_push(L, np_vm(L), NP_R_ASYNCIO);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
