/*
 * base.c - what neap changes in Lua's basic functions: pcall, xpcall, error,
 * os.exit and debug.traceback; and asyncio.catch and defer.
 *
 * pcall and xpcall are Lua's, but for one rule: they let the running task's
 * own cancellation pass. The price of that is one test when an error was
 * caught.
 */
#include <stdlib.h>
#include <string.h>

#include "async.h"
#include "error.h"
#include "limits.h"
#include "permit.h"
#include "task.h"

/* == Protected calls ================================================== */

/* `extra` is how many values stay below the results. */
static int pcall_end(lua_State *L, int status, lua_KContext extra) {
  if (status != LUA_OK && status != LUA_YIELD) {
    if (np_is_own(L, -1)) return lua_error(L);
    lua_pushboolean(L, 0);
    lua_pushvalue(L, -2);
    return 2;
  }
  return lua_gettop(L) - (int)extra;
}

/*
 * Calls 1 with the rest, protected. There is no message handler: it would
 * cost, and Lua calls it in places where that does harm, as in a handler of
 * <close> while the state is closed.
 */
static int protected(lua_State *L, lua_KFunction end) {
  int status;
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, end);
  return end(L, status, 0);
}

static int base_pcall(lua_State *L) { return protected(L, pcall_end); }

/* Marks the handler on top, which its guard calls, for tracebacks. */
static void mark_handler(lua_State *L) {
  np_push(L, np_vm(L), NP_R_NAMES);
  lua_pushvalue(L, -2);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pushvalue(L, -3);
    lua_pushinteger(L, 1);
    lua_rawset(L, -4);
  }
}

/* own(e, handler) -> whether it is the task's own cancellation, e */
static int is_own(lua_State *L) {
  mark_handler(L);
  lua_settop(L, 1);
  np_blame_caller(L, L, 1);
  lua_pushboolean(L, np_is_own(L, 1));
  lua_insert(L, 1);
  return 2;
}

/* Pushes the traceback `text` of a coroutine that has died, without its first
 * `level` lines. */
static void push_died(lua_State *L, const char *message, const char *text,
                      lua_Integer level) {
  const char *first = strchr(text, '\n');
  while (first != NULL && level-- > 0) first = strchr(first + 1, '\n');
  lua_pushfstring(L, "%s%sstack traceback:%s", message != NULL ? message : "",
                  message != NULL ? "\n" : "", first != NULL ? first : "");
}

/* debug.traceback([thread,] [message [, level]]), as Lua's */
static int base_traceback(lua_State *L) {
  int at = lua_isthread(L, 1);
  lua_State *L1 = at ? lua_tothread(L, 1) : L;
  const char *message, *text;
  lua_Integer level;
  if (L1 == L && lua_gettop(L) == 1) np_blame_caller(L, L, 1); /* a handler */
  message = lua_tostring(L, at + 1);
  if (message == NULL && !lua_isnoneornil(L, at + 1)) {
    lua_pushvalue(L, at + 1);
    return 1;
  }
  level = luaL_optinteger(L, at + 2, L1 == L);
  if (at && (text = np_coro_died(L, L1)) != NULL)
    push_died(L, message, text, level);
  else
    np_traceback_lua(L, L1, message, (int)level);
  return 1;
}

/*
 * The handler at 2 must not see a cancellation that passes: what it returned
 * would take its place. A Lua function in front of it, with a tail call, so
 * that levels counted by the handler stay what they were.
 */
static void guard_handler(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  if (lua_tocfunction(L, 2) == base_traceback) return;
  if (vm->current == NULL && !np_hooked(vm)) return;
  np_push_made(L, vm, NP_R_GUARD);
  lua_pushcfunction(L, is_own);
  lua_pushvalue(L, 2);
  lua_call(L, 2, 1);
  lua_replace(L, 2);
}

static int base_xpcall(lua_State *L) {
  int status, n = lua_gettop(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  guard_handler(L);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2);
  status = lua_pcallk(L, n - 2, LUA_MULTRET, 2, 2, pcall_end);
  return pcall_end(L, status, 2);
}

static int catch_end(lua_State *L, int status, lua_KContext extra) {
  if (status != LUA_OK && status != LUA_YIELD) {
    if (np_stopped(np_vm(L))) return lua_error(L);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
  }
  return lua_gettop(L) - (int)extra;
}

/**
 * asyncio.catch(f, ...) -> boolean, ...
 *
 * `pcall` that catches the current task's own cancellation too. Raise it again
 * (`error(e)`) when you have seen what you wanted to see.
 */
int np_catch(lua_State *L) { return protected(L, catch_end); }

/*
 * error(message [, level]), as Lua's; but what lies between a call and its
 * await is no level, and nobody's line is that of a Lua half
 */
static int base_error(lua_State *L) {
  int level = (int)luaL_optinteger(L, 2, 1);
  lua_settop(L, 1);
  if (lua_type(L, 1) == LUA_TSTRING && level > 0) {
    np_where_called(L, level);
    lua_insert(L, 1);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

/* == defer ============================================================ */

static int defer_done(lua_State *L, int status) {
  (void)L;
  (void)status;
  return 0;
}

static int defer_called(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (lua_gettop(L) >= 3 && np_co_test(L, 3) != NULL)
    return neap_await_value(L, 3, defer_done);
  return 0;
}

/* f may await, but a coroutine that is being closed cannot be suspended:
 * whoever closes it calls f then. */
static int postpone(lua_State *L, neap_Vm *vm) {
  lua_Integer n;
  if (vm->postponed == LUA_NOREF) {
    lua_newtable(L);
    vm->postponed = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, vm->postponed);
  n = (lua_Integer)lua_rawlen(L, -1);
  lua_insert(L, -2);
  lua_rawseti(L, -2, n + 1);
  if (lua_isnil(L, 2)) lua_pushboolean(L, 0);
  else lua_pushvalue(L, 2);
  lua_rawseti(L, -2, n + 2);
  return 0;
}

/*
 * _postpone(f, error) -> whether the running coroutine is being closed, so
 * that it cannot await: then f(error) will be called by whoever closes it
 */
static int base_postpone(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  int closing = vm->closed == L && !lua_isyieldable(L);
  lua_settop(L, 2);
  if (closing) {
    lua_pushvalue(L, 1);
    (void)postpone(L, vm);
  }
  lua_pushboolean(L, closing);
  return 1;
}

/* __close of what defer returned: calls f(error) and awaits an async one */
static int defer_close(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, 1);
  if (vm->closed == L && !lua_isyieldable(L)) return postpone(L, vm);
  lua_pushvalue(L, 2);
  lua_callk(L, 1, LUA_MULTRET, 0, defer_called);
  return defer_called(L, LUA_OK, 0);
}

/* _misuse(message): raises it with the line of the script */
int np_base_misuse(lua_State *L) {
  (void)luaL_checkstring(L, 1);
  np_where(L, 1);
  lua_pushvalue(L, 1); /* a NUL in it stays */
  lua_concat(L, 2);
  return lua_error(L);
}

/**
 * asyncio.defer(f) -> a value to be closed
 *
 * For `<close>`: it calls `f` with the error, if there is one, at the end of
 * the scope. `f` may await.
 */
static int base_defer(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_newuserdatauv(L, 0, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  if (luaL_newmetatable(L, "asyncio.defer")) {
    lua_pushcfunction(L, defer_close);
    lua_setfield(L, -2, "__close");
    neap_metatable_hide(L);
  }
  lua_setmetatable(L, -2);
  return 1;
}

/* == os.exit ========================================================== */

static int never(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return luaL_error(L, "the program is ending");
}

static int exit_code(lua_State *L) {
  if (lua_isnoneornil(L, 1)) return EXIT_SUCCESS;
  if (lua_isboolean(L, 1))
    return lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
  return (int)luaL_checkinteger(L, 1);
}

/* The task leaves, by a cancellation where it cannot be suspended. */
static int leave(lua_State *L, neap_Vm *vm, int parks) {
  if (vm->current == NULL) return never(L, LUA_OK, 0);
  vm->current->flags |= NP_T_EXITING;
  if (parks) return np_park(L, 0, never);
  np_cancel_push(L, vm->current);
  return lua_error(L);
}

/*
 * Ends the process from inside of C code that cannot be left, as Lua does:
 * closes the variables of the task, as of the main thread there, and then
 * the state. Nothing of either runs any more.
 */
static void close_here(neap_Vm *vm, int code) {
  np_limits_enter(vm);
  (void)lua_resetthread(vm->current->L);
  vm->current = NULL;
  vm->running = NULL;
  vm->closing = 1;
  lua_close(vm->L);
  exit(code);
}

/*
 * os.exit([code [, close]]). To close the state, the task has to leave it
 * first: it parks for ever, and the host, which sees neap_exiting, frees the
 * machine and ends. A host that wants to be asked keeps its process.
 */
static int base_exit(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  int code = exit_code(L);
  int parks = np_can_park(L);
  int close = lua_toboolean(L, 2), inside = vm->current != NULL || vm->turning;
  if (vm->attached && !(close && inside)) return vm->os_exit(L);
  if (!vm->attached && vm->exit == NULL && !(close && parks) &&
      (vm->sandbox == NULL || vm->sandbox->process)) {
    if (close && vm->current != NULL) close_here(vm, code);
    exit(code);
  }
  vm->exiting = 1;
  vm->exit_code = code;
  if (vm->exit != NULL) vm->exit(vm, code);
  return leave(L, vm, parks);
}

int np_load_yields(lua_CFunction f);
int np_module_yields(lua_CFunction f);

int np_base_yields(lua_CFunction f) {
  return f == base_pcall || f == base_xpcall || f == np_catch ||
         f == defer_close || np_load_yields(f) || np_module_yields(f);
}

void np_base_open(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  lua_getglobal(L, "debug");
  lua_pushcfunction(L, base_traceback);
  lua_setfield(L, -2, "traceback");
  lua_pop(L, 1);
  lua_pushcfunction(L, base_pcall);
  lua_setglobal(L, "pcall");
  lua_pushcfunction(L, base_xpcall);
  lua_setglobal(L, "xpcall");
  lua_pushcfunction(L, base_error);
  lua_setglobal(L, "error");
  lua_getglobal(L, "os");
  lua_getfield(L, -1, "exit");
  vm->os_exit = lua_tocfunction(L, -1);
  lua_pop(L, 1);
  lua_pushcfunction(L, base_exit);
  lua_setfield(L, -2, "exit");
  lua_pop(L, 1);
  np_push(L, vm, NP_R_ASYNCIO);
  lua_pushcfunction(L, np_catch);
  lua_setfield(L, -2, "catch");
  lua_pushcfunction(L, base_defer);
  lua_setfield(L, -2, "defer");
  lua_pushcfunction(L, np_base_misuse);
  lua_setfield(L, -2, "_misuse");
  lua_pushcfunction(L, base_postpone);
  lua_setfield(L, -2, "_postpone");
  lua_pop(L, 1);
}
