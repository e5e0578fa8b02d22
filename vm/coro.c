/*
 * coro.c - the coroutine library of a machine.
 *
 * It behaves as Lua's own, and differs in two points. An await inside a
 * coroutine parks the task: resume sees that the coroutine stopped for that
 * and yields its own thread in turn, then resumes it again. And the thread
 * of a task takes the place of the main thread: it cannot be yielded or
 * resumed by a script.
 */
#include <lualib.h>

#include "vm.h"

static lua_State *check_thread(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co != NULL, 1, "coroutine");
  return co;
}

/* == Resuming ========================================================= */

enum { RESUME, WRAP }; /* how the end of a resume is told */

/* The coroutine gave `n` values (at its top) or an error (n < 0, on ours). */
static int resume_end(lua_State *L, lua_State *co, int n, int how) {
  int status;
  if (n >= 0) {
    if (how == WRAP) return n;
    lua_pushboolean(L, 1);
    lua_insert(L, -(n + 1));
    return n + 1;
  }
  if (np_is_own(L, -1)) {
    if (how == WRAP) {
      (void)lua_resetthread(co);
      lua_pop(co, lua_gettop(co) > 0);
    }
    return lua_error(L);
  }
  if (how == RESUME) {
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
  }
  status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) { /* it ended by the error */
    status = lua_resetthread(co); /* closes its variables */
    lua_xmove(co, L, 1); /* the error, which those may have replaced */
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int resume_again(lua_State *L, int status, lua_KContext how);

/* Resumes `co` with `narg` arguments that are on its stack. */
static int resume_run(lua_State *L, lua_State *co, int narg, int how) {
  neap_Vm *vm = np_vm(L);
  np_Resume frame;
  lua_State *before = vm->running;
  int n, status;
  frame.from = L;
  frame.prev = vm->resumes;
  vm->resumes = &frame;
  vm->running = co;
  status = lua_resume(co, L, narg, &n);
  vm->running = before;
  vm->resumes = frame.prev;
  if (status == LUA_YIELD && vm->parking) {
    if (vm->resumes != NULL) np_thread_mark(L, NP_X_PARKED);
    return lua_yieldk(L, 0, how, resume_again);
  }
  if (status == LUA_OK || status == LUA_YIELD) {
    if (!lua_checkstack(L, n + 1)) {
      lua_pop(co, n);
      lua_pushliteral(L, "too many results to resume");
      return resume_end(L, co, -1, how);
    }
    lua_xmove(co, L, n);
    return resume_end(L, co, n, how);
  }
  lua_xmove(co, L, 1);
  return resume_end(L, co, -1, how);
}

static lua_State *resumed_thread(lua_State *L, int how) {
  return lua_tothread(L, how == WRAP ? lua_upvalueindex(1) : 1);
}

static int resume_again(lua_State *L, int status, lua_KContext how) {
  lua_State *co = resumed_thread(L, (int)how);
  (void)status;
  np_thread_mark(co, NP_X_PLAIN);
  return resume_run(L, co, 0, (int)how);
}

/* Moves the `narg` arguments on top to `co` and runs it. */
static int resume_start(lua_State *L, lua_State *co, int narg, int how) {
  if (np_thread_kind(co) != NP_X_PLAIN) { /* a task's, or in an await */
    lua_pushliteral(L, "cannot resume non-suspended coroutine");
    return resume_end(L, co, -1, how);
  }
  if (!lua_checkstack(co, narg)) {
    lua_pushliteral(L, "too many arguments to resume");
    return resume_end(L, co, -1, how);
  }
  lua_xmove(L, co, narg);
  return resume_run(L, co, narg, how);
}

static int co_resume(lua_State *L) {
  lua_State *co = check_thread(L);
  return resume_start(L, co, lua_gettop(L) - 1, RESUME);
}

static int co_wrapped(lua_State *L) {
  lua_State *co = resumed_thread(L, WRAP);
  return resume_start(L, co, lua_gettop(L), WRAP);
}

/* == The rest ========================================================= */

static int co_create(lua_State *L) {
  lua_State *co;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  co = lua_newthread(L);
  np_thread_mark(co, NP_X_PLAIN);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  return 1;
}

static int co_wrap(lua_State *L) {
  co_create(L);
  lua_pushcclosure(L, co_wrapped, 1);
  return 1;
}

static int co_yield(lua_State *L) {
  if (np_thread_kind(L) == NP_X_TASK)
    return luaL_error(L, "attempt to yield from outside a coroutine");
  return lua_yield(L, lua_gettop(L));
}

static const char *status_of(lua_State *L, lua_State *co) {
  lua_Debug ar;
  if (L == co) return "running";
  switch (lua_status(co)) {
    case LUA_YIELD:
      return np_thread_kind(co) == NP_X_PLAIN ? "suspended" : "normal";
    case LUA_OK:
      if (lua_getstack(co, 0, &ar)) return "normal";
      return lua_gettop(co) == 0 ? "dead" : "suspended";
    default:
      return "dead";
  }
}

static int co_status(lua_State *L) {
  lua_pushstring(L, status_of(L, check_thread(L)));
  return 1;
}

static int co_running(lua_State *L) {
  int main = lua_pushthread(L);
  lua_pushboolean(L, main || np_thread_kind(L) == NP_X_TASK);
  return 2;
}

static int co_isyieldable(lua_State *L) {
  lua_State *co = lua_isnone(L, 1) ? L : check_thread(L);
  lua_pushboolean(L, lua_isyieldable(co) &&
                  np_thread_kind(co) != NP_X_TASK);
  return 1;
}

static int co_close(lua_State *L) {
  lua_State *co = check_thread(L);
  const char *status = status_of(L, co);
  if (*status != 's' && *status != 'd')
    return luaL_error(L, "cannot close a %s coroutine", status);
  if (lua_resetthread(co) == LUA_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_xmove(co, L, 1);
  if (np_is_own(L, -1)) return lua_error(L);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

int np_base_yields(lua_CFunction f);

/* 1 if `f` is a C function that an await can pass. */
int np_yields(lua_CFunction f) {
  return f == co_resume || f == co_wrapped || f == np_task_main ||
         f == np_future_await || np_base_yields(f);
}

void np_coro_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"create", co_create}, {"resume", co_resume}, {"wrap", co_wrap},
    {"yield", co_yield}, {"status", co_status}, {"running", co_running},
    {"isyieldable", co_isyieldable}, {"close", co_close}, {NULL, NULL}};
  lua_getglobal(L, LUA_COLIBNAME);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
