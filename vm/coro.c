/*
 * coro.c - the coroutine library of a machine.
 *
 * It behaves as Lua's own, and differs in two points. An await inside a
 * coroutine parks the task: resume sees that the coroutine stopped for that
 * and yields its own thread in turn, then resumes it again. And the thread
 * of a task takes the place of the main thread: it cannot be yielded or
 * resumed by a script. For clean-up that awaits, see `body` and
 * `close_thread`.
 */
#include <lualib.h>

#include "async.h"
#include "error.h"
#include "future.h"
#include "limits.h"
#include "loop.h"
#include "task.h"

static lua_State *check_thread(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co != NULL, 1, "thread");
  return co;
}

/* == Resuming ========================================================= */

enum { RESUME, WRAP, CLOSE, FAILED }; /* how the end is told */

/* What is on top is the error with which `co` ended, closed by now. */
static int raise_end(lua_State *L, int status) {
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

/* The coroutine is closed: its error, or nil, is on top. One that FAILED has
 * an error even if that is nil. */
static int close_end(lua_State *L, int how) {
  if (how == WRAP) return raise_end(L, LUA_OK);
  if (how == CLOSE && lua_isnil(L, -1)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  if (np_is_own(L, -1)) return lua_error(L);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

static int closed_late(lua_State *L, int status, lua_KContext how) {
  (void)status;
  return close_end(L, (int)how);
}

/*
 * Closes the variables of `co`. What must await for that cannot run inside
 * it any more, and is called here after it.
 */
static int close_thread(lua_State *L, lua_State *co, int how) {
  neap_Vm *vm = np_vm(L);
  lua_State *closed = vm->closed;
  int postponed = vm->postponed, status;
  if (np_thread_kind(co) == NP_X_STOPPED) {
    lua_pushnil(L);
    return close_end(L, how);
  }
  vm->closed = co;
  vm->postponed = LUA_NOREF;
  status = lua_resetthread(co);
  if (status != LUA_OK) lua_xmove(co, L, 1);
  else lua_pushnil(L);
  if (status != LUA_OK && how == CLOSE) how = FAILED;
  status = vm->postponed;
  vm->closed = closed;
  vm->postponed = postponed;
  if (status == LUA_NOREF) return close_end(L, how);
  np_push_made(L, vm, NP_R_LATE);
  lua_rawgeti(L, LUA_REGISTRYINDEX, status);
  luaL_unref(L, LUA_REGISTRYINDEX, status);
  lua_rotate(L, -3, 2);
  lua_callk(L, 2, 1, how, closed_late);
  return close_end(L, how);
}

/* The coroutine gave `n` values (at its top) or an error (n < 0, on ours). */
static int resume_end(lua_State *L, lua_State *co, int n, int how) {
  int status;
  if (n >= 0) {
    if (how == WRAP) return n;
    lua_pushboolean(L, 1);
    lua_insert(L, -(n + 1));
    return n + 1;
  }
  status = lua_status(co);
  if (how == WRAP || np_is_own(L, -1)) {
    if (status == LUA_OK || status == LUA_YIELD) return raise_end(L, status);
    /* It ended by the error, which closing its variables may replace. */
    lua_xmove(L, co, 1);
    return close_thread(L, co, WRAP);
  }
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
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
  np_signal_fence(); /* a signal may come in between: see poke.c */
  vm->resumes = &frame;
  vm->running = co;
  np_poke_hook(vm, co);
  status = lua_resume(co, L, narg, &n);
  vm->running = before;
  vm->resumes = frame.prev;
  np_signal_fence();
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
  if (np_stopped(vm)) {
    /* An error that a hook has raised leaves it without hooks for ever: no
     * code may run in it any more. */
    np_thread_mark(co, NP_X_STOPPED);
    return lua_error(L);
  }
  np_blame_caller(L, co, 0);
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

static int body_end(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
  return lua_gettop(L) - 1;
}

/* The handler of np_coro_body. When the coroutine has died its frames are gone,
 * which those of others are not, so debug.traceback finds their text here. */
static int body_error(lua_State *L) {
  (void)np_blame(L);
  if (!lua_checkstack(L, 30)) return 1;
  np_push(L, np_vm(L), NP_R_DEAD);
  lua_pushthread(L);
  np_traceback_lua(L, L, NULL, 1);
  lua_rawset(L, -3);
  lua_settop(L, 1);
  return 1;
}

const char *np_coro_died(lua_State *L, lua_State *co) {
  const char *text = NULL;
  if (lua_status(co) == LUA_OK || lua_status(co) == LUA_YIELD) return NULL;
  np_push(L, np_vm(L), NP_R_DEAD);
  lua_pushthread(co);
  lua_xmove(co, L, 1);
  if (lua_rawget(L, -2) == LUA_TSTRING) text = lua_tostring(L, -1);
  lua_remove(L, -2);
  if (text == NULL) lua_pop(L, 1);
  return text;
}

/*
 * What a coroutine runs whose function awaits: calls 1 with the rest, so that
 * an error closes the variables of 1 while they may still await. All others
 * have the frames that they have in Lua.
 */
int np_coro_body(lua_State *L) {
  int n = lua_gettop(L) - 1;
  lua_pushcfunction(L, body_error);
  lua_insert(L, 1);
  return body_end(L, lua_pcallk(L, n, LUA_MULTRET, 1, 0, body_end), 0);
}

/* Tells whether the function at 1 has an await or an async function in it. */
static int has_words(lua_State *L) {
  static const int words[] = {NP_R_CALLS, NP_R_AWAIT, NP_R_METHOD,
                              NP_R_ASYNC};
  neap_Vm *vm = np_vm(L);
  int i, w, found = 0;
  if (lua_iscfunction(L, 1)) return 0;
  for (i = 1; !found && lua_getupvalue(L, 1, i) != NULL; i++) {
    for (w = 0; !found && w < (int)(sizeof words / sizeof *words); w++) {
      np_push(L, vm, words[w]);
      found = lua_rawequal(L, -1, -2);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  return found;
}

/* Still to be started, with np_coro_body in front of its function. */
static int is_fresh(lua_State *co) {
  lua_Debug ar;
  return lua_status(co) == LUA_OK && lua_tocfunction(co, 1) == np_coro_body &&
         !lua_getstack(co, 0, &ar);
}

/* Moves the `narg` arguments on top to `co` and runs it. */
static int resume_start(lua_State *L, lua_State *co, int narg, int how) {
  int fresh;
  if (np_thread_kind(co) != NP_X_PLAIN) { /* a task's, or in an await */
    lua_pushliteral(L, "cannot resume non-suspended coroutine");
    return resume_end(L, co, -1, how);
  }
  if (!lua_checkstack(co, narg)) {
    lua_pushliteral(L, "too many arguments to resume");
    return resume_end(L, co, -1, how);
  }
  fresh = is_fresh(co);
  lua_xmove(L, co, narg);
  return resume_run(L, co, fresh + narg, how);
}

static int co_resume(lua_State *L) {
  lua_State *co = check_thread(L);
  return resume_start(L, co, lua_gettop(L) - 1, RESUME);
}

static int co_wrapped(lua_State *L) {
  lua_State *co = resumed_thread(L, WRAP);
  return resume_start(L, co, lua_gettop(L), WRAP);
}

lua_State *np_coro_resumed(lua_State *L) {
  lua_Debug ar, inner;
  lua_State *co = NULL;
  if (!lua_getstack(L, 0, &ar) || lua_getinfo(L, "f", &ar) == 0) return NULL;
  if (lua_tocfunction(L, -1) == co_wrapped) {
    (void)lua_getupvalue(L, -1, 1);
    co = lua_tothread(L, -1);
    lua_pop(L, 1);
  } else if (lua_tocfunction(L, -1) == co_resume &&
             lua_getlocal(L, &ar, 1) != NULL) {
    co = lua_tothread(L, -1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  if (co == NULL || np_thread_kind(co) == NP_X_PARKED) return co;
  return lua_status(co) == LUA_OK && lua_getstack(co, 0, &inner) ? co : NULL;
}

/* == The rest ========================================================= */

static int co_create(lua_State *L) {
  lua_State *co;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  co = lua_newthread(L);
  np_thread_mark(co, NP_X_PLAIN);
  if (np_hooked(np_vm(L))) np_limits_thread(co);
  if (has_words(L)) lua_pushcfunction(co, np_coro_body);
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
  if (np_thread_kind(L) == NP_X_TASK) { /* as Lua says it: no position */
    lua_pushliteral(L, "attempt to yield from outside a coroutine");
    return lua_error(L);
  }
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
  return close_thread(L, co, CLOSE);
}

int np_base_yields(lua_CFunction f);

/* 1 if `f` is a C function that an await can pass. */
int np_yields(lua_CFunction f) {
  return f == co_resume || f == co_wrapped || f == np_task_main ||
         f == np_future_await || np_is_word(f) || np_base_yields(f);
}

void np_coro_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"create", co_create}, {"resume", co_resume}, {"wrap", co_wrap},
    {"yield", co_yield}, {"status", co_status}, {"running", co_running},
    {"isyieldable", co_isyieldable}, {"close", co_close}, {NULL, NULL}};
  np_weak_push(L, "k");
  np_keep(L, np_vm(L), NP_R_DEAD);
  lua_getglobal(L, LUA_COLIBNAME);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
