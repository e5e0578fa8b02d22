/*
 * module.c - what `require` finds: modules of the build and of the host, what
 * the host's resolver gives, and files.
 *
 * require is written anew, because Lua's cannot be suspended and a module
 * may await while it is loaded. The modules of the build stand in tables
 * that scripts/embed.sh makes, one for each directory of stdlib/.
 */
#include <string.h>

#include <lualib.h>

#include "error.h"
#include "load.h"
#include "permit.h"

extern const neap_Module neap_module_asyncio[];

static const char halves = 0; /* its address: where the registry has their
                               * environment */

/* == The modules of the build ========================================== */

static const neap_Module *end_of(const neap_Module *list) {
  while (list->name != NULL) list++;
  return list;
}

/* asyncio's list comes first, whether the host has named it or not. */
const neap_Module *neap_module_next(const neap_Module *m) {
  const neap_Module *const *list = neap_modules;
  if (m == NULL) return neap_module_asyncio;
  if ((++m)->name != NULL) return m;
  if (m != end_of(neap_module_asyncio))
    while (end_of(*list++) != m) continue;
  while (*list == neap_module_asyncio) list++;
  return *list;
}

const neap_Module *np_module_find(const char *name) {
  const neap_Module *m = neap_module_next(NULL);
  while (m != NULL && strcmp(m->name, name) != 0) m = neap_module_next(m);
  return m;
}

/* 1 if `name` is `family`, or "family.more". */
static int is_below(const char *name, const char *family) {
  size_t n = strlen(family);
  return strncmp(name, family, n) == 0 && (name[n] == '\0' || name[n] == '.');
}

static const neap_Module *find_preloaded(lua_State *L, neap_Vm *vm,
                                         const char *name) {
  const neap_Module *m;
  np_push(L, vm, NP_R_PRELOAD);
  lua_getfield(L, -1, name);
  m = lua_touserdata(L, -1);
  lua_pop(L, 2);
  return m;
}

static int allowed(neap_Vm *vm, const char *name) {
  const char *const *allow = vm->modules;
  if (allow == NULL || is_below(name, "neap.asyncio") ||
      strcmp(name, "neap") == 0)
    return 1;
  while (*allow != NULL && !is_below(name, *allow)) allow++;
  return *allow != NULL;
}

/* 1 if the function that calls require is of a Lua half: a module brings
 * those that it needs with it. */
static int called_by_module(lua_State *L) {
  lua_Debug ar;
  if (np_vm(L)->sandbox != NULL) return 0; /* halves have their own require */
  return lua_getstack(L, 1, &ar) && lua_getinfo(L, "S", &ar) &&
         np_is_half(ar.source);
}

/* == Searching ========================================================= */

/* Opens a C half in a sandbox; upvalue 1 is the module. */
static int open_asking(lua_State *L) {
  np_sandbox_module(L, lua_touserdata(L, lua_upvalueindex(1)));
  return 1;
}

/* Pushes the function that opens the module. */
static void push_opener(lua_State *L, const neap_Module *m,
                        const char *form) {
  if (m->source == NULL && m->open == NULL)
    luaL_error(L, "module '%s' has neither text nor function", m->name);
  if (m->source == NULL) {
    lua_pushcfunction(L, m->open);
    return;
  }
  lua_pushfstring(L, form, m->file != NULL ? m->file : m->name);
  if (neap_load(L, m->source, m->length, lua_tostring(L, -1), "t") !=
      LUA_OK)
    lua_error(L);
  lua_remove(L, -2);
}

void np_table_copy(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
}

void np_halves_set(lua_State *L) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &halves);
}

void np_halves_open(lua_State *L) {
  lua_pushglobaltable(L);
  np_table_copy(L, -1);
  np_halves_set(L);
  lua_pop(L, 1);
}

void np_module_load(lua_State *L, const neap_Module *m) {
  if (m->source == NULL) np_closing_check(L);
  if (m->source != NULL) {
    push_opener(L, m, "=%s");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &halves);
    if (lua_setupvalue(L, -2, 1) == NULL) lua_pop(L, 1);
  } else if (np_vm(L)->sandbox == NULL) {
    lua_pushcfunction(L, m->open);
  } else {
    lua_pushlightuserdata(L, (void *)(uintptr_t)m);
    lua_pushcclosure(L, open_asking, 1);
  }
}

static int base_require(lua_State *L);

/* 1 if require, which has asked already, is what calls the searcher, and not
 * a script that has taken it out of package.searchers. */
static int called_by_require(lua_State *L) {
  lua_Debug ar;
  int is;
  if (!lua_getstack(L, 1, &ar) || !lua_getinfo(L, "f", &ar)) return 0;
  is = lua_tocfunction(L, -1) == base_require;
  lua_pop(L, 1);
  return is;
}

/* Those of the host and of the build: pushes a loader and its data. */
static int search_given(lua_State *L, neap_Vm *vm, const char *name) {
  const neap_Module *m = find_preloaded(L, vm, name);
  if (m != NULL) {
    push_opener(L, m, "@%s");
    lua_pushliteral(L, ":host:");
    return 2;
  }
  if (np_sandbox_private(vm, name)) return 0;
  m = called_by_require(L) || allowed(vm, name) ? np_module_find(name) : NULL;
  if (m == NULL) return 0;
  np_module_load(L, m);
  lua_pushliteral(L, ":neap:");
  return 2;
}

static int search_file(lua_State *L, const char *name) {
  lua_getfield(L, lua_upvalueindex(1), "searchpath");
  lua_pushvalue(L, 1);
  lua_getfield(L, lua_upvalueindex(1), "path");
  if (!lua_isstring(L, -1))
    return luaL_error(L, "'package.path' must be a string");
  lua_call(L, 2, 2);
  if (lua_isnil(L, -2)) return 1; /* the message */
  lua_pop(L, 1);
  if (np_vm(L)->sandbox != NULL)
    (void)neap_permit_path(L, -1, NEAP_MAY_READ, "require");
  if (np_loadfile(L, lua_tostring(L, -1), np_load_mode(L, NULL)) == LUA_OK) {
    lua_insert(L, -2);
    return 2;
  }
  return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s",
                    name, lua_tostring(L, -2), lua_tostring(L, -1));
}

/* The searcher that stands where Lua's for Lua files was; upvalue 1 is
 * package. */
static int search(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  const char *name = luaL_checkstring(L, 1);
  int n;
  lua_settop(L, 1);
  if ((n = search_given(L, vm, name)) > 0) return n;
  if (strcmp(name, "neap") == 0) {
    lua_pushcfunction(L, luaopen_neap);
    lua_pushliteral(L, ":neap:");
    return 2;
  }
  if (vm->resolve != NULL && vm->resolve(L, name)) {
    luaL_checktype(L, -1, LUA_TFUNCTION);
    lua_pushliteral(L, ":host:");
    return 2;
  }
  lua_settop(L, 1);
  return search_file(L, name);
}

/* == require =========================================================== */

/* Pushes the loader of the module named at 1 and its data, or raises. */
static void find_loader(lua_State *L, const char *name) {
  luaL_Buffer b;
  int i;
  if (lua_getfield(L, lua_upvalueindex(1), "searchers") != LUA_TTABLE)
    luaL_error(L, "'package.searchers' must be a table");
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "");
  for (i = 1;; i++) {
    size_t before = luaL_bufflen(&b);
    luaL_addstring(&b, "\n\t");
    if (lua_rawgeti(L, 3, i) == LUA_TNIL) {
      lua_pop(L, 1);
      luaL_buffsub(&b, luaL_bufflen(&b) - before);
      luaL_pushresult(&b);
      luaL_error(L, "module '%s' not found:%s", name, lua_tostring(L, -1));
    }
    lua_pushstring(L, name);
    lua_call(L, 1, 2);
    if (lua_isfunction(L, -2)) return;
    if (lua_isstring(L, -2)) {
      lua_pop(L, 1);
      luaL_addvalue(&b);
    } else {
      lua_pop(L, 2);
      luaL_buffsub(&b, luaL_bufflen(&b) - before);
    }
  }
}

/* The loader has run: name, loaded, ..., data, Loading, result. */
static int require_end(lua_State *L, int status, lua_KContext ctx) {
  const char *name = lua_tostring(L, 1);
  int data = lua_gettop(L) - 2;
  (void)status;
  (void)ctx;
  if (lua_isnil(L, -1)) lua_pop(L, 1);
  else lua_setfield(L, 2, name);
  if (lua_getfield(L, 2, name) == LUA_TNIL) {
    lua_pushboolean(L, 1);
    lua_copy(L, -1, -2);
    lua_setfield(L, 2, name);
  }
  lua_pushvalue(L, data);
  return 2;
}

/* Another task has loaded the module, or failed to: asks again. */
static int require_again(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  np_loading_waited(L);
  lua_settop(L, 1);
  return base_require(L);
}

/* require(name) -> module, data of the loader */
static int base_require(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, 2, name);
  if (lua_toboolean(L, -1)) return 1;
  lua_pop(L, 1);
  if (np_sandbox_private(np_vm(L), name))
    return luaL_error(L, "module '%s' is a part of another, and not for "
                      "scripts in a sandbox", name);
  if (!allowed(np_vm(L), name) && !called_by_module(L) &&
      find_preloaded(L, np_vm(L), name) == NULL)
    return luaL_error(L, "module '%s' is not allowed here", name);
  if (np_loading_find(L)) return np_loading_wait(L, require_again);
  find_loader(L, name);
  np_loading_begin(L);
  lua_pushvalue(L, -3);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, -4);
  lua_callk(L, 2, 1, 0, require_end);
  return require_end(L, LUA_OK, 0);
}

int np_module_yields(lua_CFunction f) { return f == base_require; }

/* == For C and for Lua halves ========================================== */

void neap_preload(lua_State *L, const neap_Module *list) {
  luaL_checkstack(L, 5, NULL);
  np_push(L, np_vm(L), NP_R_PRELOAD);
  for (; list->name != NULL; list++) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)list);
    lua_setfield(L, -2, list->name);
  }
  lua_pop(L, 1);
}

/*
 * _load(name) -> what the part of asyncio gives, whatever the script has made
 * of require and package; each is loaded once
 */
static int load_part(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const neap_Module *m = neap_module_asyncio;
  while (m->name != NULL && strcmp(m->name, name) != 0) m++;
  if (m->name == NULL) return luaL_error(L, "no part '%s' of asyncio", name);
  np_module_load(L, m);
  lua_call(L, 0, 1);
  return 1;
}

/* Calls `_part(name)` of asyncio's Lua half, which is loaded first if this
 * is the first time; `name` is on top and is replaced by what is given. */
static void call_part(lua_State *L) {
  np_push(L, np_vm(L), NP_R_ASYNCIO);
  lua_pushliteral(L, "_part");
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pushcfunction(L, load_part);
    lua_pushliteral(L, "neap.asyncio");
    lua_call(L, 1, 0);
    lua_pushliteral(L, "_part");
    lua_rawget(L, -3);
    lua_remove(L, -2);
  }
  lua_replace(L, -2);
  lua_insert(L, -2);
  lua_call(L, 1, 1);
}

/* __index of asyncio: error classes, and what its Lua half has. */
static int part_index(lua_State *L) {
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TSTRING && np_error_class(L, lua_tostring(L, 2)))
    return 1;
  call_part(L);
  return 1;
}

static int part_next(lua_State *L) {
  lua_settop(L, 2);
  if (lua_next(L, 1)) return 2;
  lua_pushnil(L);
  return 1;
}

static int part_pairs(lua_State *L) {
  lua_settop(L, 1);
  np_error_classes(L);
  lua_pushnil(L);
  call_part(L); /* all of them */
  lua_pushcfunction(L, part_next);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

static void open_asyncio(lua_State *L) {
  static const luaL_Reg meta[] = {
    {"__index", part_index}, {"__pairs", part_pairs}, {NULL, NULL}};
  np_push(L, np_vm(L), NP_R_ASYNCIO);
  lua_pushcfunction(L, load_part);
  lua_setfield(L, -2, "_load");
  luaL_newlib(L, meta);
  lua_pushliteral(L, "asyncio");
  lua_setfield(L, -2, "__name");
  lua_setmetatable(L, -2);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "neap.asyncio");
  lua_pop(L, 1);
  lua_setglobal(L, "asyncio");
}

void np_module_open(lua_State *L) {
  lua_newtable(L);
  np_keep(L, np_vm(L), NP_R_PRELOAD);
  open_asyncio(L);
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, base_require, 1);
  lua_setglobal(L, "require");
  lua_getfield(L, -1, "searchers");
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, search, 1);
  lua_rawseti(L, -2, 2);
  lua_pop(L, 2);
}
