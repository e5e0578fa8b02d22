/*
 * error.c - Error objects, and raising them.
 *
 * An Error is a table whose metatable is its class; a class is a table that
 * is its own __index and inherits from its parent. Everything that raises
 * for the machine or a module comes through here, so that it has a position of
 * the script's: see traceback.c.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "limits.h"

#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 32)
#define HAS_ERRNO_NAMES
#endif
#endif

/* == Classes ========================================================== */

static int error_new(lua_State *L);

/* Fills the class table on top; its parent is at `parent` (0 if none). */
static void class_fill(lua_State *L, const char *name, int parent) {
  int cls = lua_gettop(L);
  lua_pushstring(L, name);
  lua_setfield(L, cls, "name");
  lua_pushvalue(L, cls);
  lua_setfield(L, cls, "__index");
  lua_pushvalue(L, cls);
  lua_pushcclosure(L, error_new, 1);
  lua_setfield(L, cls, "new");
  lua_newtable(L);
  lua_pushvalue(L, cls);
  lua_pushcclosure(L, error_new, 1);
  lua_setfield(L, -2, "__call");
  if (parent != 0) {
    lua_pushvalue(L, parent);
    lua_setfield(L, -2, "__index");
    lua_getfield(L, parent, "__tostring");
    lua_setfield(L, cls, "__tostring");
  }
  lua_setmetatable(L, cls);
  np_push(L, np_vm(L), NP_R_ERRORS);
  lua_pushvalue(L, cls);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* 1 if the value at `index` is an error class. */
static int is_class(lua_State *L, int index) {
  int is;
  if (!lua_istable(L, index)) return 0;
  index = lua_absindex(L, index);
  np_push(L, np_vm(L), NP_R_ERRORS);
  lua_pushvalue(L, index);
  is = lua_rawget(L, -2) == LUA_TBOOLEAN;
  lua_pop(L, 2);
  return is;
}

int np_error_test(lua_State *L, int index) {
  int is = 0;
  if (lua_istable(L, index) && lua_getmetatable(L, index)) {
    is = is_class(L, -1);
    lua_pop(L, 1);
  }
  return is;
}

/* 1 if the error at `index` is of the class on top or one derived of it;
 * pops the class. */
static int error_is_a(lua_State *L, int index) {
  enum { MOST = 2000 }; /* as Lua has it: a script can make them go round */
  int cls = lua_gettop(L), is = 0, i;
  index = lua_absindex(L, index);
  if (np_error_test(L, index) && lua_getmetatable(L, index)) {
    for (i = 0; i < MOST && lua_istable(L, cls + 1); i++) {
      is = lua_rawequal(L, cls + 1, cls);
      if (is || !lua_getmetatable(L, cls + 1)) break;
      lua_pushliteral(L, "__index");
      lua_rawget(L, -2);
      lua_replace(L, cls + 1);
      lua_settop(L, cls + 1);
    }
  }
  lua_settop(L, cls - 1);
  return is;
}

/* The classes there are, each with its parent; made when first asked for. */
static const char *const classes[][2] = {
  {"Error", NULL}, {"CancelledError", "Error"}, {"TimeoutError", "Error"},
  {"InvalidStateError", "Error"}, {"QueueEmpty", "Error"},
  {"QueueFull", "Error"}, {"QueueShutDown", "Error"},
  {"BrokenBarrierError", "Error"}, {"LimitError", "Error"},
  {"ExceptionGroup", "Error"},
  {"EOFError", "Error"}, {"IncompleteReadError", "EOFError"},
  {"LimitOverrunError", "Error"}, {"OSError", "Error"},
  {"PermissionError", "OSError"},
  {"DNSError", "OSError"}, {"TLSError", "OSError"},
  {"HTTPError", "OSError"}};
#define NCLASSES (sizeof classes / sizeof *classes)

static void push_class(lua_State *L, const char *name);
static int error_tostring(lua_State *L);
static int error_extend(lua_State *L);

/* Makes the class and pushes it; `parent` may be NULL. */
static void class_make(lua_State *L, const char *name, const char *parent) {
  int top = lua_gettop(L);
  luaL_checkstack(L, 10, NULL);
  if (parent != NULL) push_class(L, parent);
  else lua_pushnil(L);
  lua_createtable(L, 0, 5);
  if (parent == NULL) {
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushcfunction(L, error_extend);
    lua_setfield(L, -2, "extend");
  }
  class_fill(L, name, parent != NULL ? top + 1 : 0);
  np_push(L, np_vm(L), NP_R_ERRORS);
  lua_pushvalue(L, top + 2);
  lua_setfield(L, -2, name);
  np_push(L, np_vm(L), NP_R_ASYNCIO);
  lua_pushstring(L, name);
  lua_pushvalue(L, top + 2);
  lua_rawset(L, -3);
  lua_settop(L, top + 2);
  lua_replace(L, top + 1);
}

static const char *const *class_find(const char *name) {
  size_t i = 0;
  while (i < NCLASSES && strcmp(classes[i][0], name) != 0) i++;
  return i < NCLASSES ? classes[i] : NULL;
}

static void push_class(lua_State *L, const char *name) {
  const char *const *cls;
  np_push(L, np_vm(L), NP_R_ERRORS);
  if (lua_getfield(L, -1, name) == LUA_TNIL) {
    lua_pop(L, 1);
    cls = class_find(name);
    if (cls == NULL) luaL_error(L, "there is no error class '%s'", name);
    else class_make(L, cls[0], cls[1]);
  }
  lua_replace(L, -2);
}

int np_error_class(lua_State *L, const char *name) {
  if (class_find(name) == NULL) return 0;
  push_class(L, name);
  return 1;
}

void np_error_classes(lua_State *L) {
  size_t i;
  for (i = 0; i < NCLASSES; i++) {
    push_class(L, classes[i][0]);
    lua_pop(L, 1);
  }
}

int np_error_is(lua_State *L, int index, const char *cls) {
  index = lua_absindex(L, index);
  push_class(L, cls);
  return error_is_a(L, index);
}

/* Makes an error of the class at `cls` with the message on top, replaces
 * that; position and frames are from `level`. */
static void make(lua_State *L, int cls, int level, int trace) {
  lua_createtable(L, 0, 4);
  lua_insert(L, -2);
  lua_setfield(L, -2, "message");
  np_position(L, L, level);
  lua_setfield(L, -2, "where");
  if (trace) {
    np_traceback(L, L, level);
    lua_setfield(L, -2, "traceback");
  }
  lua_pushvalue(L, cls);
  np_setmetatable(L, -2); /* a script could give the class a __gc */
}

/**
 * asyncio.Error.new(message [, {code = nil, cause = nil}]) -> error
 *
 * Makes an Error with the caller's position, for `error(...)`. Every class has
 * `new`, and `extend`.
 */
static int error_new(lua_State *L) {
  if (lua_rawequal(L, 1, lua_upvalueindex(1))) lua_remove(L, 1);
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) {
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, 2) != 0) {
      const char *option = luaL_tolstring(L, 3, NULL);
      if (strcmp(option, "code") != 0 && strcmp(option, "cause") != 0)
        return np_error(L, "unknown option '%s' for Error.new", option);
      lua_pop(L, 2);
    }
  }
  if (lua_isnil(L, 1)) {
    lua_pushliteral(L, "");
    lua_replace(L, 1);
  }
  lua_pushvalue(L, 1);
  make(L, lua_upvalueindex(1), 1, 1);
  if (!lua_isnil(L, 2)) {
    lua_getfield(L, 2, "code");
    lua_setfield(L, -2, "code");
    lua_getfield(L, 2, "cause");
    lua_setfield(L, -2, "cause");
  }
  return 1;
}

/**
 * asyncio.Error:extend(name) -> class
 *
 * Makes a class derived from this one. A class may be called: `NotFound("no
 * such page")` is `NotFound.new("no such page")`.
 *
 * ```lua
 * local NotFound = asyncio.Error:extend "NotFound"
 * local ok, e = pcall(function()
 *   error(NotFound.new("no such page", {code = "E404"}))
 * end)
 * print(e.name, e.code, e.message)              --> NotFound	E404	no such page
 * print(asyncio.iserror(e, NotFound))           --> true
 * print(asyncio.iserror(e, asyncio.OSError))    --> false
 * print(asyncio.iserror "a string")             --> false
 * ```
 */
static int error_extend(lua_State *L) {
  const char *name = luaL_checkstring(L, 2);
  luaL_argexpected(L, is_class(L, 1), 1, "error class");
  lua_newtable(L);
  class_fill(L, name, 1);
  return 1;
}

static int error_tostring(lua_State *L) {
  lua_settop(L, 1);
  lua_getfield(L, 1, "where");
  lua_getfield(L, 1, "message");
  luaL_tolstring(L, 3, NULL);
  if (lua_isstring(L, 2))
    lua_pushfstring(L, "%s: %s", lua_tostring(L, 2), lua_tostring(L, 4));
  return 1;
}

/**
 * asyncio.iserror(v [, class]) -> boolean
 *
 * Whether `v` is an Error object; of this class or one derived from it, if you
 * name one.
 */
static int error_iserror(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_pushboolean(L, np_error_test(L, 1));
    return 1;
  }
  luaL_argexpected(L, is_class(L, 2), 2, "error class");
  lua_pushboolean(L, error_is_a(L, 1));
  return 1;
}

/* == What C raises ==================================================== */

int np_error(lua_State *L, const char *format, ...) {
  va_list args;
  np_where(L, 1);
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  lua_concat(L, 2);
  return lua_error(L);
}

void np_option(lua_State *L, int index, const char *what, const char *name,
               int type) {
  if (lua_isnoneornil(L, index)) {
    lua_pushnil(L);
    return;
  }
  if (!lua_istable(L, index))
    np_error(L, "options of %s must be a table, not a %s", what,
             neap_typename(L, index));
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING ||
        strcmp(lua_tostring(L, -1), name) != 0) {
      luaL_tolstring(L, -1, NULL);
      np_error(L, "unknown option '%s' for %s", lua_tostring(L, -1), what);
    }
  }
  if (lua_getfield(L, index, name) != LUA_TNIL && lua_type(L, -1) != type)
    np_error(L, "option '%s' of %s must be a %s, not a %s", name, what,
             lua_typename(L, type), neap_typename(L, -1));
}

int neap_misuse(lua_State *L, const char *what, const char *reason, ...) {
  va_list args;
  luaL_checkstack(L, 10, NULL);
  np_where(L, 1);
  lua_pushfstring(L, "%s: ", what);
  va_start(args, reason);
  lua_pushvfstring(L, reason, args);
  va_end(args);
  lua_concat(L, 3);
  return lua_error(L);
}

const char *neap_typename(lua_State *L, int index) {
  const char *name;
  int type = luaL_getmetafield(L, index, "__name");
  if (type == LUA_TNIL) return luaL_typename(L, index);
  name = type == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, index);
  lua_pop(L, 1);
  return name;
}

void neap_error_new(lua_State *L, const char *cls, int level,
                    const char *code, const char *message) {
  int top = lua_gettop(L);
  luaL_checkstack(L, 10, NULL);
  push_class(L, cls);
  lua_pushstring(L, message);
  make(L, top + 1, level, strcmp(cls, "CancelledError") != 0);
  if (code != NULL) {
    lua_pushstring(L, code);
    lua_setfield(L, -2, "code");
  }
  lua_replace(L, top + 1);
}

int neap_raise(lua_State *L, const char *cls, const char *code,
               const char *message, ...) {
  va_list args;
  va_start(args, message);
  lua_pushvfstring(L, message, args);
  va_end(args);
  neap_error_new(L, cls, 0, code, lua_tostring(L, -1));
  return lua_error(L);
}

/* The name of a code and what it says. libuv does not know all that the
 * system has. */
static void explain(int status, char *code, size_t size, char *reason,
                    size_t room) {
  const char *name = NULL, *text = NULL;
  if (status == NEAP_ECLOSED) name = "ECLOSED", text = "it was closed";
  if (status == NEAP_ECANCELED) name = "ECANCELED", text = "cancelled";
  uv_err_name_r(status, code, size);
  uv_strerror_r(status, reason, room);
#ifdef HAS_ERRNO_NAMES
  if (strncmp(code, "Unknown", 7) == 0 && name == NULL) {
    name = strerrorname_np(-status);
    text = strerrordesc_np(-status);
  }
#endif
  if (name == NULL || text == NULL) return;
  (void)snprintf(code, size, "%s", name);
  (void)snprintf(reason, room, "%s", text);
  reason[0] = (char)tolower((unsigned char)reason[0]);
}

void neap_failure_new(lua_State *L, int status, const char *what) {
  char code[64], reason[128];
  const char *cls = strncmp(uv_err_name_r(status, code, sizeof code), "EAI_",
                            4) == 0 ? "DNSError" : "OSError";
  luaL_checkstack(L, 10, NULL);
  if (status == UV_ENOMEM) {
    np_where(L, 1);
    lua_pushliteral(L, "not enough memory");
    lua_concat(L, 2);
    return;
  }
  explain(status, code, sizeof code, reason, sizeof reason);
  lua_pushfstring(L, "%s: %s", what, reason);
  neap_error_new(L, cls, 0, code, lua_tostring(L, -1));
  lua_remove(L, -2);
}

int neap_fail(lua_State *L, int status, const char *what, ...) {
  va_list args;
  va_start(args, what);
  lua_pushvfstring(L, what, args);
  va_end(args);
  neap_failure_new(L, status, lua_tostring(L, -1));
  return lua_error(L);
}

void np_error_wrap(lua_State *L, int index) {
  index = lua_absindex(L, index);
  if (np_error_test(L, index)) {
    lua_pushvalue(L, index);
    return;
  }
  push_class(L, "Error");
  luaL_tolstring(L, index, NULL);
  lua_createtable(L, 0, 2);
  lua_insert(L, -2);
  lua_setfield(L, -2, "message");
  lua_pushvalue(L, index);
  lua_setfield(L, -2, "value");
  lua_insert(L, -2);
  np_setmetatable(L, -2);
}

/**
 * asyncio.Error, asyncio.CancelledError, asyncio.TimeoutError,
 *   asyncio.InvalidStateError, asyncio.QueueEmpty, asyncio.QueueFull,
 *   asyncio.QueueShutDown, asyncio.BrokenBarrierError,
 *   asyncio.ExceptionGroup, asyncio.EOFError, asyncio.IncompleteReadError,
 *   asyncio.LimitError, asyncio.LimitOverrunError, asyncio.OSError,
 *   asyncio.PermissionError, asyncio.DNSError, asyncio.TLSError,
 *   asyncio.HTTPError
 *
 * | class | raised when |
 * |---|---|
 * | `Error` | the root of all |
 * | `CancelledError` | a task was cancelled |
 * | `TimeoutError` | a time limit has passed |
 * | `InvalidStateError` | a Future is not done yet, or done already |
 * | `QueueEmpty`, `QueueFull` | `get_nowait`, `put_nowait` would have to wait |
 * | `QueueShutDown` | a queue was shut down |
 * | `BrokenBarrierError` | a barrier was reset or aborted |
 * | `ExceptionGroup` | tasks of a group failed; `e.errors` is the list |
 * | `EOFError` | something ended too early |
 * | `IncompleteReadError` | the same in a read of so many bytes; `e.partial` |
 * | `LimitError` | the host's limits allow no more; `code` names the limit |
 * | `LimitOverrunError` | a line or a part is longer than allowed |
 * | `OSError` | the system refused: `code` says how |
 * | `PermissionError` | the sandbox does not permit it; `e.permission` |
 * | `DNSError` | a name was not found |
 * | `TLSError`, `HTTPError` | of these protocols |
 *
 * All are derived from `Error`; IncompleteReadError is an EOFError, and the
 * last four are OSErrors.
 */
void np_error_open(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  np_weak_push(L, "k");
  np_keep(L, vm, NP_R_ERRORS);
  np_push(L, vm, NP_R_ASYNCIO);
  lua_pushcfunction(L, error_iserror);
  lua_setfield(L, -2, "iserror");
  lua_pop(L, 1);
}
