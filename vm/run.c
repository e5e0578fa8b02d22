/*
 * run.c - what a host runs: a call of a script's function, a file, a text;
 * and what becomes of tasks that go on by themselves.
 *
 * A call begins at once, without the loop, so that a function that does not
 * wait costs little more than it would without tasks.
 */
#include <string.h>

#include "async.h"
#include "error.h"
#include "future.h"
#include "limits.h"
#include "task.h"

/* == Calls ============================================================ */

/* Takes the values of a task to the stack of who has called it. */
typedef struct Call {
  np_Sink sink; /* first */
  lua_State *L;
  int n, status;
  int ended;
} Call;

static int status_of(int state) {
  return state == NP_DONE ? LUA_OK
                          : state == NP_CANCELLED ? NEAP_ECANCELED : LUA_ERRRUN;
}

static void call_store(lua_State *L, np_Sink *s, neap_Task *t, int first,
                       int n, int status) {
  Call *call = (Call *)s;
  int i;
  if (!lua_checkstack(call->L, n + LUA_MINSTACK))
    luaL_error(L, "too many results");
  if (status == NP_FAILED) {
    np_take_traces(L, t, first);
    np_trace_keep(L, first);
  }
  for (i = 0; i < n; i++) {
    lua_pushvalue(L, first + i);
    lua_xmove(L, call->L, 1);
  }
  call->n = n;
  call->status = np_ended_by_limit(t->vm) && status != NP_DONE
                     ? NEAP_ELIMIT : status_of(status);
}

static int call_ended(np_Sink *s, neap_Task *t) {
  (void)t;
  ((Call *)s)->ended = 1;
  return 0;
}

/* The task with that id waits: pushes its object, and lets it go on. */
static int call_waits(lua_State *L, uint64_t id, const char *name) {
  neap_Task *t = np_vm(L)->tasks_last;
  while (t->id != id) t = t->prev;
  t->sink = NULL;
  if (np_vm(L)->main == t) np_vm(L)->main = NULL; /* it goes on by itself */
  np_task_push(L, t);
  if (name != NULL) {
    lua_pushstring(L, name);
    np_extra_set(L, -2, "name");
  }
  return NEAP_EPENDING;
}

int neap_begin(lua_State *L, int nargs, const char *name, int *nresults) {
  neap_Vm *vm = np_vm(L);
  Call call = {{call_store, call_ended, NULL, NULL, NULL, 0}, L, 0,
               LUA_ERRMEM, 0};
  uint64_t id = vm->ids + 1;
  *nresults = 0;
  if (vm->current != NULL || vm->turning)
    return np_error(L, "a call from C inside of a task or callback");
  luaL_checkstack(L, LUA_MINSTACK, "too many arguments");
  np_async_strip(L, -nargs - 1);
  np_task_now(L, nargs, &call.sink);
  if (vm->exiting) {
    lua_pushnil(L);
    return NEAP_ECANCELED;
  }
  if (!call.ended) return call_waits(L, id, name);
  if (call.status == LUA_ERRMEM) np_push(L, vm, NP_R_NOMEM);
  *nresults = call.status == LUA_OK ? call.n : 0;
  return call.status;
}

int neap_call(lua_State *L, int nargs, int *nresults) {
  int task = lua_gettop(L) - nargs, status;
  status = neap_begin(L, nargs, NULL, nresults);
  if (status != NEAP_EPENDING) return status;
  if (np_vm(L)->main == NULL) neap_set_main(L, task);
  status = neap_wait(L, task, nresults);
  lua_remove(L, task);
  return status;
}

/* == Texts and files =================================================== */

typedef struct Script {
  const char *text, *name;
  int status;
} Script;

/* Runs protected. */
static int run_script(lua_State *L) {
  Script *s = lua_touserdata(L, 1);
  int n;
  lua_settop(L, 0);
  if (s->text != NULL)
    s->status = neap_load(L, s->text, strlen(s->text), s->name, NULL);
  else
    s->status = neap_loadfile(L, s->name, NULL);
  if (s->status == LUA_OK) s->status = neap_call(L, 0, &n);
  return lua_gettop(L);
}

static int run_protected(neap_Vm *vm, Script *s) {
  lua_State *L = vm->L;
  int status;
  if (np_is_busy(vm)) return UV_EBUSY; /* what drives it uses that stack */
  lua_settop(L, 0);
  lua_pushcfunction(L, run_script);
  lua_pushlightuserdata(L, s);
  status = lua_pcall(L, 1, LUA_MULTRET, 0);
  return status != LUA_OK ? status : s->status;
}

int neap_dofile(neap_Vm *vm, const char *filename) {
  Script s = {NULL, filename, LUA_OK};
  return run_protected(vm, &s);
}

int neap_dostring(neap_Vm *vm, const char *text, const char *name) {
  Script s = {text, name, LUA_OK};
  return run_protected(vm, &s);
}

/* _drive(f, ...): f in a task, by who is in none; what it gives or raises */
static int drive(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  int n, status;
  if (vm->current != NULL || vm->turning)
    return luaL_error(L, "asyncio.run() cannot be called in a callback");
  status = neap_call(L, lua_gettop(L) - 1, &n);
  np_report_all_lost(L);
  if (vm->attached && vm->exiting) {
    lua_settop(L, 0);
    lua_pushinteger(L, vm->exit_code);
    lua_pushboolean(L, 1);
    return vm->os_exit(L); /* it closes the state */
  }
  return status == LUA_OK ? n : lua_error(L);
}

void np_run_open(lua_State *L) {
  np_push(L, np_vm(L), NP_R_ASYNCIO);
  lua_pushcfunction(L, drive);
  lua_setfield(L, -2, "_drive");
  lua_pop(L, 1);
}

/* == Tasks ============================================================ */

static int ended_as(np_Future *f) {
  int status = status_of(f->state);
  return status == LUA_OK ? status : np_limits_status(f, status);
}

int neap_task_state(lua_State *L, int index) {
  np_Future *f = np_future_check(L, index);
  if (f->state != NP_PENDING) return ended_as(f);
  return f->task != NULL && f->task == f->vm->current ? NEAP_ERUNNING
                                                      : NEAP_EPENDING;
}

const char *neap_task_name(lua_State *L, int index) {
  (void)np_future_check(L, index);
  np_future_name_push(L, index);
  return lua_tostring(L, -1);
}

static int future_values(lua_State *L) {
  return np_future_values(L, 1);
}

int neap_task_result(lua_State *L, int index, int *nresults) {
  np_Future *f = np_future_check(L, index);
  int top = lua_gettop(L), status;
  *nresults = 0;
  if (f->state == NP_PENDING) return NEAP_EPENDING;
  luaL_checkstack(L, 3, NULL);
  lua_pushcfunction(L, future_values);
  lua_pushvalue(L, index < 0 ? index - 1 : index);
  status = lua_pcall(L, 1, LUA_MULTRET, 0);
  if (status == LUA_OK) *nresults = lua_gettop(L) - top;
  return status == LUA_ERRRUN ? ended_as(f) : status;
}

/* What neap_task_done was given. */
typedef struct Ended {
  neap_Ended done;
  void *data;
} Ended;

/* A callback of the Task at 1; upvalue 1 is the Ended. */
static int on_ended(lua_State *L) {
  Ended *e = lua_touserdata(L, lua_upvalueindex(1));
  int n, status = neap_task_result(L, 1, &n);
  lua_remove(L, 1);
  e->done(L, status, n, e->data);
  return 0;
}

void neap_task_done(lua_State *L, int index, neap_Ended done, void *data) {
  Ended *e;
  luaL_checkstack(L, 5, NULL);
  (void)np_future_check(L, index);
  index = lua_absindex(L, index);
  lua_pushcfunction(L, np_add_done_callback);
  lua_pushvalue(L, index);
  e = lua_newuserdatauv(L, sizeof *e, 0);
  e->done = done;
  e->data = data;
  lua_pushcclosure(L, on_ended, 1);
  lua_call(L, 2, 0);
}
