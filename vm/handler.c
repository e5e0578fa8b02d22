/*
 * handler.c - errors that nobody waits for: to the loop's exception handler,
 * or else to the host.
 */
#include <string.h>

#include "error.h"
#include "future.h"
#include "limits.h"

static int handle_error(lua_State *L) {
  /* handler, message, error, task or nil */
  lua_createtable(L, 0, 3);
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "message");
  lua_pushvalue(L, 3);
  lua_setfield(L, -2, "exception");
  lua_pushvalue(L, 4);
  lua_setfield(L, -2, "task");
  lua_pushvalue(L, 1);
  lua_insert(L, -2);
  lua_call(L, 1, 0);
  return 0;
}

/*
 * Gives it to the exception handler; 1 if that has taken it. If it has failed,
 * its own error is on top.
 */
static int handled(lua_State *L, const char *message, int index, int task) {
  neap_Vm *vm = np_vm(L);
  int status;
  lua_pushcfunction(L, handle_error);
  np_push(L, vm, NP_R_HANDLER);
  if (!lua_isfunction(L, -1)) {
    lua_pop(L, 2);
    return 0;
  }
  lua_pushstring(L, message);
  lua_pushvalue(L, index);
  if (task != 0) lua_pushvalue(L, task);
  else lua_pushnil(L);
  np_limits_enter(vm);
  status = lua_pcall(L, 4, 0, 0);
  np_limits_leave(vm);
  return status == LUA_OK;
}

static void tell_host(lua_State *L, const char *message, int index, int task) {
  const char *text, *trace;
  np_error_text(L, index, task, 0);
  text = lua_tostring(L, -1);
  trace = strstr(text, "\nstack traceback:");
  lua_pushlstring(L, text, trace != NULL ? (size_t)(trace - text)
                                         : strlen(text));
  lua_pushfstring(L, "%s: %s", message, lua_tostring(L, -1));
  if (task != 0) np_future_name_push(L, task);
  else lua_pushnil(L);
  np_error_where(L, index);
  np_quote(L, lua_tostring(L, -1), trace);
  np_report(np_vm(L), NEAP_REPORT_ERROR, lua_tostring(L, -4),
            trace != NULL ? trace + 1 : NULL, lua_tostring(L, -3),
            lua_tostring(L, -2), lua_tostring(L, -1));
}

void np_report_error(lua_State *L, const char *message, int index,
                     int task) {
  int top = lua_gettop(L);
  luaL_checkstack(L, 10, NULL);
  index = lua_absindex(L, index);
  if (task != 0) task = lua_absindex(L, task);
  if (!handled(L, message, index, task)) {
    if (lua_gettop(L) == top)
      tell_host(L, message, index, task);
    else
      tell_host(L, "error in the exception handler", top + 1, 0);
  }
  lua_settop(L, top);
}

/* _set_exception_handler(f or nil) */
static int set_handler(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_pushboolean(L, 0);
    lua_replace(L, 1);
  }
  lua_rawseti(L, LUA_REGISTRYINDEX, vm->ref[NP_R_HANDLER]);
  return 0;
}

/* _report(message, error, task): as the loop does for lost errors */
static int report(lua_State *L) {
  lua_settop(L, 3);
  np_report_error(L, luaL_checkstring(L, 1), 2, lua_isnil(L, 3) ? 0 : 3);
  return 0;
}

/* _warn(text): tells the host */
static int warn(lua_State *L) {
  neap_report(np_vm(L), NEAP_REPORT_WARNING, luaL_checkstring(L, 1), NULL);
  return 0;
}

void np_handler_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"_set_exception_handler", set_handler}, {"_report", report},
    {"_warn", warn}, {NULL, NULL}};
  neap_Vm *vm = np_vm(L);
  lua_pushboolean(L, 0);
  np_keep(L, vm, NP_R_HANDLER);
  np_push(L, vm, NP_R_ASYNCIO);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
