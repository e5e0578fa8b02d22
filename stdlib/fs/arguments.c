/*
 * arguments.c - what the functions of this room take and what they raise:
 * see job.h.
 */
#include <lauxlib.h>
#include <string.h>

#include "fs.h"
#include "job.h"

/* == Errors =========================================================== */

int np_fs_fail(lua_State *L, int status, const char *name, const char *path,
               const char *dest) {
  luaL_checkstack(L, 10, NULL);
  if (dest != NULL)
    lua_pushfstring(L, "%s %s -> %s", name, path, dest);
  else if (path != NULL)
    lua_pushfstring(L, "%s %s", name, path);
  else
    lua_pushstring(L, name);
  neap_failure_new(L, status, lua_tostring(L, -1));
  if (lua_istable(L, -1)) {
    lua_pushstring(L, path);
    lua_setfield(L, -2, "path");
    lua_pushstring(L, dest);
    lua_setfield(L, -2, "dest");
  }
  return lua_error(L);
}

/* == Arguments ======================================================== */

const char *np_fs_path(lua_State *L, int index, const char *name,
                       const char *what) {
  size_t size;
  const char *path = np_temp_dir_test(L, index);
  if (path != NULL) {
    lua_pushstring(L, path);
    lua_replace(L, index);
  }
  if (lua_type(L, index) != LUA_TSTRING)
    neap_misuse(L, name, "%s must be a string, not %s", what,
                 neap_typename(L, index));
  path = lua_tolstring(L, index, &size);
  if (size == 0) neap_misuse(L, name, "%s is empty", what);
  if (strlen(path) != size) neap_misuse(L, name, "%s has a NUL", what);
  return path;
}

const char *np_fs_permitted(lua_State *L, int index, const char *name,
                            const char *what, int may) {
  (void)np_fs_path(L, index, name, what);
  return neap_permit_path(L, index, may, name);
}

/* With `self` before those that count. */
static void arguments(lua_State *L, const char *name, int self, int most) {
  int i;
  for (i = self + most + 1; i <= lua_gettop(L); i++) {
    if (lua_isnil(L, i)) continue;
    lua_pushnil(L);
    if (lua_istable(L, i) && lua_next(L, i) != 0) {
      lua_pop(L, 1);
      neap_misuse(L, name, "unknown option '%s'",
                   luaL_tolstring(L, -1, NULL));
    }
    neap_misuse(L, name, "takes %d argument%s, not %d", most,
                 most == 1 ? "" : "s", i - self);
  }
  lua_settop(L, self + most);
}

void np_fs_arguments(lua_State *L, const char *name, int most) {
  arguments(L, name, 0, most);
}

void np_fs_method(lua_State *L, const char *name, int most) {
  arguments(L, name, 1, most);
}

lua_Integer np_fs_integer(lua_State *L, int index, const char *name,
                          const char *what, lua_Integer least) {
  int is_integer;
  lua_Integer n = lua_tointegerx(L, index, &is_integer);
  if (!is_integer || lua_type(L, index) != LUA_TNUMBER)
    neap_misuse(L, name, "%s must be an integer, not %s", what,
                 lua_type(L, index) == LUA_TNUMBER
                   ? luaL_tolstring(L, index, NULL)
                   : neap_typename(L, index));
  if (n < least)
    neap_misuse(L, name, "%s must be at least %I, not %I", what,
                 (LUAI_UACINT)least, (LUAI_UACINT)n);
  return n;
}

const char *np_fs_bytes(lua_State *L, int index, const char *name,
                        const char *what, size_t *size) {
  if (!lua_isstring(L, index))
    neap_misuse(L, name, "%s must be a string, not %s", what,
                 neap_typename(L, index));
  return lua_tolstring(L, index, size);
}
