/*
 * site.c - where in the script something happened: a line and a number.
 *
 * What is made in great numbers (tasks, futures, coroutine objects) remembers
 * where by two integers. The number stands for a name of a source as messages
 * have it, or for any other string that is needed after all else has gone.
 */
#include <string.h>

#include "error.h"
#include "task.h"

uint32_t np_number(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  uint32_t number;
  np_push(L, vm, NP_R_SOURCES);
  lua_pushvalue(L, -2);
  if (lua_rawget(L, -2) == LUA_TNUMBER) {
    number = (uint32_t)lua_tointeger(L, -1);
    lua_pop(L, 3);
    return number;
  }
  lua_pop(L, 1);
  number = ++vm->nsources;
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, number);
  lua_pushvalue(L, -2);
  lua_pushinteger(L, number);
  lua_rawset(L, -3);
  lua_pop(L, 2);
  return number;
}

void np_number_push(lua_State *L, uint32_t number) {
  if (number == 0) {
    lua_pushliteral(L, "?");
    return;
  }
  np_push(L, np_vm(L), NP_R_SOURCES);
  lua_rawgeti(L, -1, number);
  lua_remove(L, -2);
}

uint32_t np_source(lua_State *L, const char *name) {
  neap_Vm *vm = np_vm(L);
  if (strcmp(name, vm->last_source) != 0) {
    lua_pushstring(L, name);
    vm->last_number = np_number(L);
    strcpy(vm->last_source, name);
  }
  return vm->last_number;
}

void np_site(lua_State *L, int level, int *line, uint32_t *source) {
  lua_Debug ar;
  const neap_Task *t = np_vm(L)->current;
  *line = t != NULL ? t->line : 0;
  *source = t != NULL ? t->source : 0;
  if (!np_script_line(L, level, &ar)) return;
  *source = np_source(L, ar.short_src);
  *line = ar.currentline;
}

void np_site_push(lua_State *L, int line, uint32_t source) {
  np_number_push(L, source);
  if (source == 0 || line <= 0) return;
  lua_pushfstring(L, "%s:%d", lua_tostring(L, -1), line);
  lua_remove(L, -2);
}

void np_site_open(lua_State *L) {
  lua_newtable(L);
  np_keep(L, np_vm(L), NP_R_SOURCES);
}
