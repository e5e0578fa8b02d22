/*
 * process.c - require "neap.process.core": puts the room together, and what
 * is asked of the system beside: our number, environment, users.
 *
 * What scripts see is process.lua.
 */
#include <errno.h>
#include <grp.h>
#include <lauxlib.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "process.h"

/* core.signal_number(signal, name) -> integer */
static int process_signal_number(lua_State *L) {
  lua_pushinteger(L, np_signal_check(L, 1, luaL_checkstring(L, 2)));
  return 1;
}

/* core.pid() -> integer */
static int process_pid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

/**
 * process.pid
 * process.environ() -> table
 *
 * Our own number, and a copy of our environment.
 */
static int process_environ(lua_State *L) {
  char **at;
  lua_newtable(L);
  for (at = environ; at != NULL && *at != NULL; at++) {
    const char *equals = strchr(*at, '=');
    if (equals == NULL) continue;
    lua_pushlstring(L, *at, (size_t)(equals - *at));
    if (!neap_permitted_env(L, lua_tostring(L, -1))) {
      lua_pop(L, 1);
      continue;
    }
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (lua_isnil(L, -1)) { /* the first one counts, as for getenv */
      lua_pop(L, 1);
      lua_pushstring(L, equals + 1);
      lua_rawset(L, -3);
    } else {
      lua_pop(L, 2);
    }
  }
  return 1;
}

/* core.fileno(file) -> the descriptor of an open io file, flushed; or nil if
 * it is none */
static int process_fileno(lua_State *L) {
  luaL_Stream *file = luaL_testudata(L, 1, LUA_FILEHANDLE);
  if (file == NULL || file->closef == NULL) return 0;
  (void)fflush(file->f); /* what fails is for its owner to see */
  lua_pushinteger(L, fileno(file->f));
  return 1;
}

/* == Users ============================================================ */

/* Pushes the list of groups of a user. */
static void groups_push(lua_State *L, const struct passwd *user) {
  int i, n = 64;
  gid_t *groups = lua_newuserdatauv(L, sizeof *groups * (size_t)n, 0);
  if (getgrouplist(user->pw_name, user->pw_gid, groups, &n) < 0) {
    groups = lua_newuserdatauv(L, sizeof *groups * (size_t)n, 0);
    if (getgrouplist(user->pw_name, user->pw_gid, groups, &n) < 0) n = 0;
  }
  lua_createtable(L, n, 0);
  for (i = 0; i < n; i++) {
    lua_pushinteger(L, groups[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

/*
 * core.user(name or number) -> number, its group, its groups; no group if the
 * number has no name, no groups if we may not set them; nil if there is no
 * such name
 */
static int process_user(lua_State *L) {
  char space[16384];
  struct passwd entry, *found = NULL;
  if (lua_isinteger(L, 1)) {
    lua_pushvalue(L, 1);
    (void)getpwuid_r((uid_t)lua_tointeger(L, 1), &entry, space, sizeof space,
                     &found);
    if (found == NULL && geteuid() != 0) return 1;
    if (found == NULL) {
      lua_pushnil(L);
      lua_newtable(L); /* not ours, which are root's */
      return 3;
    }
  } else {
    (void)getpwnam_r(luaL_checkstring(L, 1), &entry, space, sizeof space,
                     &found);
    if (found == NULL) return 0;
    lua_pushinteger(L, found->pw_uid);
  }
  lua_pushinteger(L, found->pw_gid);
  if (geteuid() != 0) return 2;
  groups_push(L, found);
  lua_insert(L, 4);
  lua_settop(L, 4);
  return 3;
}

/* core.group(name) -> number, or nil */
static int process_group(lua_State *L) {
  char space[16384];
  struct group entry, *found = NULL;
  (void)getgrnam_r(luaL_checkstring(L, 1), &entry, space, sizeof space,
                   &found);
  if (found == NULL) return 0;
  lua_pushinteger(L, found->gr_gid);
  return 1;
}

static const luaL_Reg functions[] = {
  {"spawn", np_child_spawn},
  {"standard", np_stdio_open},
  {"watch", np_signal_watch},
  {"kill", np_signal_kill},
  {"signal_number", process_signal_number},
  {"pid", process_pid},
  {"environ", process_environ},
  {"fileno", process_fileno},
  {"user", process_user},
  {"group", process_group},
  {NULL, NULL}
};

int luaopen_neap_process_core(lua_State *L) {
  (void)neap_sandboxed(L); /* each function asks */
  np_orphans_open(L);
  luaL_newlib(L, functions);
  neap_class_new(L, &np_child_class, np_child_methods, np_child_ops);
  lua_setfield(L, -2, "Child");
  neap_class_new(L, &np_stdio_class, np_stdio_methods, np_stdio_ops);
  lua_setfield(L, -2, "File");
  neap_class_new(L, &np_signal_class, NULL, NULL);
  lua_pop(L, 1);
  return 1;
}
