/*
 * inherit.c - errors on their way up, and from task to task.
 *
 * The message handler of a task's body keeps the traceback of an error that
 * nothing inside has caught; who awaits the task gets both, and its own
 * handler adds the line that was waiting. No loop and no threads here.
 */
#include "error.h"
#include "future.h"
#include "limits.h"
#include "task.h"

/* Pushes "\n\tspawned at FILE:LINE", with the stack if that is known. */
static void spawn_text(lua_State *L, neap_Task *t) {
  np_site_push(L, t->line, t->source);
  lua_pushfstring(L, "\n\tspawned at %s", lua_tostring(L, -1));
  lua_remove(L, -2);
  if (t->future == NULL) return;
  np_task_push(L, t);
  np_extra_get(L, -1, "spawn_stack");
  lua_remove(L, -2);
  if (lua_isstring(L, -1)) lua_concat(L, 2);
  else lua_pop(L, 1);
}

int np_inherit_push(lua_State *L, neap_Task *t) {
  if (!(t->flags & NP_T_INHERIT)) {
    lua_pushnil(L);
    return 0;
  }
  np_store(L, t->vm, NP_S_INHERIT);
  lua_rawgeti(L, -1, (lua_Integer)t->slot + 1);
  lua_remove(L, -2);
  return 1;
}

void np_inherit_set(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  neap_Task *t = vm->current;
  int top = lua_gettop(L);
  if (t == NULL) { /* the host is who looks at it */
    np_trace_keep(L, top - 2);
    return;
  }
  np_store(L, vm, NP_S_INHERIT);
  lua_createtable(L, 3, 0);
  lua_pushvalue(L, top - 2);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, top - 1);
  lua_rawseti(L, -2, 2);
  lua_pushvalue(L, top);
  lua_rawseti(L, -2, 3);
  lua_rawseti(L, -2, (lua_Integer)t->slot + 1);
  t->flags |= NP_T_INHERIT;
  lua_settop(L, top - 2);
}

/* A foreign error object of the main chunk makes its text where it was
 * raised, as the stand-alone Lua has it. */
static void keep_text(lua_State *L, neap_Task *t) {
  if (lua_isstring(L, 1) || np_error_is(L, 1, "Error") ||
      !luaL_callmeta(L, 1, "__tostring"))
    return;
  if (lua_type(L, -1) == LUA_TSTRING && np_inherit_push(L, t)) {
    lua_insert(L, -2);
    lua_rawseti(L, -2, 4);
  }
  lua_settop(L, 1);
}

/* Of a step that a limit has ended: nothing of the script's may run here. */
static int stopped_handler(lua_State *L) {
  if (!np_error_is(L, 1, "LimitError")) return 1;
  lua_pushliteral(L, "traceback");
  lua_rawget(L, 1);
  lua_pushnil(L);
  np_inherit_set(L);
  return 1;
}

/*
 * The message handler of a task's body: keeps the traceback of an error that
 * nothing inside catches. An error that came from another task already has
 * one: to that only the line is added that was waiting. A cancellation needs
 * none, but for an interrupt: whoever presses Ctrl-C asks where it was.
 */
/* The error came with a traceback, in the entry at 2: adds who awaited. */
static void add_awaited(lua_State *L) {
  int line;
  uint32_t source;
  lua_rawgeti(L, 2, 2);
  np_site(L, 1, &line, &source);
  np_site_push(L, line, source);
  lua_pushfstring(L, "%s\n\tawaited at %s",
                  lua_isstring(L, 4) ? lua_tostring(L, 4) : "",
                  lua_tostring(L, 5));
  lua_rawseti(L, 2, 2);
}

int np_task_handler(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  neap_Task *t = vm->current;
  int own;
  lua_settop(L, 1);
  if (t != NULL && np_stopped(vm)) return stopped_handler(L);
  if (t == NULL) return 1;
  own = np_is_own(L, 1);
  if (own && !(t->flags & NP_T_INTERRUPTED)) return 1;
  np_blame_caller(L, L, 1);
  if (np_inherit_push(L, t)) {
    lua_rawgeti(L, 2, 1);
    if (lua_rawequal(L, 1, 3)) {
      if (!own) add_awaited(L); /* <close> lets a cancellation pass */
      lua_settop(L, 1);
      return 1;
    }
  }
  lua_settop(L, 1);
  np_traceback(L, L, 1);
  if (np_error_test(L, 1) && !np_in_script(L)) {
    lua_pushliteral(L, "traceback"); /* see timeout.c and groups.lua */
    if (lua_rawget(L, 1) == LUA_TSTRING) lua_replace(L, 2);
    lua_settop(L, 2);
  }
  if (np_error_is(L, 1, "Error")) {
    lua_pushvalue(L, 2);
    lua_setfield(L, 1, "traceback");
  }
  lua_pushnil(L);
  np_inherit_set(L);
  if (t->flags & NP_T_MAIN) keep_text(L, t);
  return 1;
}

void np_take_traces(lua_State *L, neap_Task *t, int index) {
  int top = lua_gettop(L);
  if (np_inherit_push(L, t)) {
    lua_rawgeti(L, top + 1, 1);
    if (lua_rawequal(L, index, -1)) {
      lua_rawgeti(L, top + 1, 2);
      lua_rawgeti(L, top + 1, 3);
      if (t->source != 0) {
        if (!lua_isstring(L, top + 4)) {
          lua_pushliteral(L, "");
          lua_replace(L, top + 4);
        }
        spawn_text(L, t);
        lua_concat(L, 2);
      }
      lua_replace(L, top + 2);
      lua_copy(L, top + 3, top + 1);
      lua_settop(L, top + 2);
      return;
    }
  }
  lua_settop(L, top);
  lua_pushnil(L);
  lua_pushnil(L);
}
