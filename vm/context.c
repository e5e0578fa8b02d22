/*
 * context.c - the table of context variables: which one is in force.
 *
 * A task has one, in the store, if any are set there or where it was spawned.
 * What the variables are is asyncio's Lua half's business.
 */
#include "task.h"

void np_context_push(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  neap_Task *t = vm->current;
  if (t == NULL) {
    np_push(L, vm, NP_R_CONTEXT);
  } else if (t->flags & NP_T_CONTEXT) {
    np_store(L, vm, NP_S_CONTEXTS);
    lua_rawgeti(L, -1, (lua_Integer)t->slot + 1);
    lua_remove(L, -2);
  } else {
    lua_pushnil(L);
  }
}

void np_no_context(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  lua_pushnil(L);
  lua_rawseti(L, LUA_REGISTRYINDEX, vm->ref[NP_R_CONTEXT]);
}

void np_context_inherit(lua_State *L, neap_Task *t) {
  neap_Vm *vm = t->vm;
  if (vm->current != NULL && !(vm->current->flags & NP_T_CONTEXT)) return;
  np_store(L, vm, NP_S_CONTEXTS);
  np_context_push(L);
  if (lua_toboolean(L, -1)) {
    lua_rawseti(L, -2, (lua_Integer)t->slot + 1);
    lua_pop(L, 1);
    t->flags |= NP_T_CONTEXT;
  } else {
    lua_pop(L, 2);
  }
}

/* _context() -> the table of context variables, or nil */
static int context_get(lua_State *L) {
  np_context_push(L);
  return 1;
}

/* _set_context(table) */
static int context_set(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (vm->current == NULL) {
    lua_rawseti(L, LUA_REGISTRYINDEX, vm->ref[NP_R_CONTEXT]);
    return 0;
  }
  np_store(L, vm, NP_S_CONTEXTS);
  lua_insert(L, 1);
  lua_rawseti(L, 1, (lua_Integer)vm->current->slot + 1);
  vm->current->flags |= NP_T_CONTEXT;
  return 0;
}

void np_context_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"_context", context_get}, {"_set_context", context_set}, {NULL, NULL}};
  neap_Vm *vm = np_vm(L);
  lua_pushboolean(L, 0);
  np_keep(L, vm, NP_R_CONTEXT);
  np_push(L, vm, NP_R_ASYNCIO);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
