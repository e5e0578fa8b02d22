/*
 * sandbox.c - what a script in a sandbox is given of Lua's libraries.
 *
 * Scripts lose io, debug, C modules, compiled chunks, and what os does to
 * the system; asyncio is a copy of the library's table, without its internal
 * names, so that what a script changes in it is the script's alone. The Lua
 * halves of modules are the library's: they have an environment of their own
 * with Lua's libraries as they were, so that nothing that a script does to
 * its globals reaches them, and a require for the parts of modules, C halves
 * too, which scripts cannot get.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lualib.h>

#include "limits.h"
#include "load.h"
#include "permit.h"

/* The registry has under this address: what halves have required. */
static const char parts = 0;

/* == os, package ====================================================== */

/* os.getenv(name): what is not permitted is not set */
static int os_getenv(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  lua_pushstring(L, np_may_env(np_vm(L), name) ? getenv(name) : NULL);
  return 1;
}

/* Adds what the template says of the name; pops nothing, pushes the path. */
static const char *push_path(lua_State *L, const char *template, size_t n,
                             const char *name) {
  luaL_Buffer b;
  size_t i;
  luaL_buffinit(L, &b);
  for (i = 0; i < n; i++) {
    if (template[i] == '?') luaL_addstring(&b, name);
    else luaL_addchar(&b, template[i]);
  }
  luaL_pushresult(&b);
  return lua_tostring(L, -1);
}

/* package.searchpath(name, path [, sep [, rep]]) */
static int package_searchpath(lua_State *L) {
  const char *name = luaL_checkstring(L, 1), *path = luaL_checkstring(L, 2);
  const char *sep = luaL_optstring(L, 3, "."), *rep = luaL_optstring(L, 4, "/");
  lua_settop(L, 4);
  if (*sep != '\0') name = luaL_gsub(L, name, sep, rep);
  else lua_pushvalue(L, 1);
  lua_pushliteral(L, "");
  while (*path != '\0') {
    size_t n = strcspn(path, ";");
    const char *file = push_path(L, path, n, name);
    int may = np_may_read(np_vm(L), file);
    neap_charge(L, 1000);
    if (may && access(file, R_OK) == 0) return 1;
    lua_pushfstring(L, may ? "%s%sno file '%s'"
                           : "%s%sno permission to read '%s'",
                    lua_tostring(L, 6), lua_rawlen(L, 6) > 0 ? "\n\t" : "",
                    file);
    lua_replace(L, 6);
    lua_settop(L, 6);
    path += n + (path[n] == ';');
  }
  luaL_pushfail(L);
  lua_insert(L, -2);
  return 2;
}

/* == Modules ========================================================== */

int np_sandbox_private(neap_Vm *vm, const char *name) {
  return vm->sandbox != NULL && strncmp(name, "neap.", 5) == 0 &&
         strchr(name + 5, '.') != NULL;
}

void np_sandbox_module(lua_State *L, const neap_Module *m) {
  np_Sandbox *s = np_vm(L)->sandbox;
  s->asks = 0;
  lua_pushcfunction(L, m->open);
  lua_pushstring(L, m->name);
  lua_call(L, 1, 1);
  if (!s->asks)
    luaL_error(L, "module '%s' cannot be used in a sandbox", m->name);
}

/* The half has run: its name, a table of modules, what it gave. */
static int half_end(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  lua_pushvalue(L, -1);
  lua_setfield(L, 2, lua_tostring(L, 1));
  return 1;
}

/* The require of halves: parts of modules, and modules of the build, which
 * are the same that scripts require. */
static int half_require(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  const char *name = luaL_checkstring(L, 1);
  const neap_Module *m;
  lua_settop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &parts);
  if (lua_getfield(L, 2, name) != LUA_TNIL) return 1;
  if (!np_sandbox_private(vm, name)) {
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_replace(L, 2);
    lua_settop(L, 2);
    if (lua_getfield(L, 2, name) != LUA_TNIL) return 1;
  }
  lua_settop(L, 2);
  m = np_module_find(name);
  if (m == NULL) return luaL_error(L, "module '%s' not found", name);
  if (m->source == NULL) {
    np_sandbox_module(L, m);
    return half_end(L, LUA_OK, 0);
  }
  np_module_load(L, m);
  lua_pushvalue(L, 1);
  lua_callk(L, 1, 1, 0, half_end);
  return half_end(L, LUA_OK, 0);
}

/* == The environment of halves ======================================== */

static void open_halves(lua_State *L) {
  static const char *const libraries[] = {
    "string", "table", "math", "utf8", "coroutine", "os", "io", "debug"};
  size_t i;
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &parts);
  lua_pushglobaltable(L);
  np_table_copy(L, -1);
  for (i = 0; i < sizeof libraries / sizeof *libraries; i++) {
    lua_getfield(L, -2, libraries[i]);
    np_table_copy(L, -1);
    lua_setfield(L, -3, libraries[i]);
    lua_pop(L, 1);
  }
  lua_getfield(L, -1, "os");
  lua_pushcfunction(L, os_getenv);
  lua_setfield(L, -2, "getenv");
  lua_pop(L, 1);
  lua_pushcfunction(L, half_require);
  lua_setfield(L, -2, "require");
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "_G");
  np_halves_set(L);
  lua_pop(L, 1);
}

/* == What scripts see ================================================= */

static void keep_only(lua_State *L, const char *table,
                      const char *const *fields) {
  lua_getglobal(L, table);
  lua_newtable(L);
  for (; *fields != NULL; fields++) {
    lua_getfield(L, -2, *fields);
    lua_setfield(L, -2, *fields);
  }
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, table);
  lua_pop(L, 1);
  lua_setglobal(L, table);
  lua_pop(L, 1);
}

static void remove_global(lua_State *L, const char *name) {
  lua_pushnil(L);
  lua_setglobal(L, name);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushnil(L);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

static void open_libraries(lua_State *L, neap_Vm *vm) {
  static const char *const os[] = {"clock", "date", "difftime", "time", "exit",
                                   NULL};
  static const char *const debugs[] = {"traceback", NULL};
  int i;
  keep_only(L, "os", os);
  keep_only(L, "debug", debugs);
  lua_getglobal(L, "os");
  lua_pushcfunction(L, os_getenv);
  lua_setfield(L, -2, "getenv");
  if (!vm->sandbox->process && vm->exit == NULL) {
    lua_pushnil(L);
    lua_setfield(L, -2, "exit");
  }
  lua_pop(L, 1);
  remove_global(L, "io");
  lua_getglobal(L, "string");
  lua_pushnil(L);
  lua_setfield(L, -2, "dump");
  lua_pop(L, 1);
  lua_getglobal(L, "package");
  lua_pushnil(L);
  lua_setfield(L, -2, "loadlib");
  lua_pushliteral(L, "");
  lua_setfield(L, -2, "cpath");
  lua_pushcfunction(L, package_searchpath);
  lua_setfield(L, -2, "searchpath");
  lua_getfield(L, -1, "searchers");
  for (i = 4; i >= 3; i--) { /* those of C */
    lua_pushnil(L);
    lua_rawseti(L, -2, i);
  }
  lua_pop(L, 2);
}

/* == asyncio, as scripts see it ======================================= */

static int is_internal(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TSTRING && *lua_tostring(L, index) == '_';
}

/* __index; upvalue 1 is the table */
static int view_index(lua_State *L) {
  if (is_internal(L, 2)) return 0;
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  lua_gettable(L, lua_upvalueindex(1));
  if (lua_isnil(L, 3)) return 1;
  lua_pushvalue(L, 2); /* found at once the next time */
  lua_pushvalue(L, 3);
  lua_rawset(L, 1);
  return 1;
}

static int view_next(lua_State *L) {
  lua_settop(L, 2);
  do {
    if (!lua_next(L, lua_upvalueindex(1))) return 0;
    if (!is_internal(L, -2)) return 2;
    lua_pop(L, 1);
  } while (1);
}

/* __pairs; the table's own makes all of it first */
static int view_pairs(lua_State *L) {
  if (luaL_getmetafield(L, lua_upvalueindex(1), "__pairs") != LUA_TNIL) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_call(L, 1, 0);
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, view_next, 1);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

static void open_view(lua_State *L) {
  static const luaL_Reg meta[] = {
    {"__index", view_index}, {"__pairs", view_pairs}, {NULL, NULL}};
  lua_newtable(L);
  lua_newtable(L);
  np_push(L, np_vm(L), NP_R_ASYNCIO);
  luaL_setfuncs(L, meta, 1);
  lua_pushliteral(L, "asyncio");
  lua_setfield(L, -2, "__name");
  neap_metatable_hide(L);
  lua_setmetatable(L, -2);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "neap.asyncio");
  lua_pop(L, 1);
  lua_setglobal(L, "asyncio");
}

void np_sandbox_open(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  if (vm->sandbox == NULL) return;
  open_halves(L);
  open_libraries(L, vm);
  open_view(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &parts);
  np_push(L, vm, NP_R_ASYNCIO);
  lua_setfield(L, -2, "neap.asyncio");
  lua_pop(L, 1);
}
