/*
 * hooks.c - debug.sethook in a machine whose instructions are counted.
 *
 * A thread has one hook, and that is ours. A script's is kept in a table, by
 * thread, and called from it. While a hook runs Lua has no hooks, so what it
 * does is not limited: a script that must not be trusted has no debug
 * library (see sandbox.c).
 */
#include <string.h>

#include "limits.h"

enum { FUNCTION = 1, MASK, EVERY, SEEN }; /* fields of an entry */

/* The registry has the table of entries under this address. */
static const char key = 0;

/* Pushes the entry of L1 on L, or pushes nothing and returns 0. */
static int push_entry(lua_State *L, lua_State *L1) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
  lua_pushthread(L1);
  if (L1 != L) lua_xmove(L1, L, 1);
  if (lua_rawget(L, -2) == LUA_TTABLE) {
    lua_remove(L, -2);
    return 1;
  }
  lua_pop(L, 2);
  return 0;
}

static lua_Integer field(lua_State *L, int what) {
  lua_Integer n;
  lua_rawgeti(L, -1, what);
  n = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return n;
}

void np_hooks_wanted(lua_State *L, int *mask, int *count) {
  lua_Integer every;
  if (!lua_checkstack(L, 5) || !push_entry(L, L)) return;
  *mask |= (int)field(L, MASK);
  every = field(L, EVERY);
  if (every > 0 && every < *count) *count = (int)every;
  lua_pop(L, 1);
}

void np_hooks_forget(lua_State *L) {
  if (!lua_checkstack(L, 5)) return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
  lua_pushthread(L);
  lua_pushnil(L);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* Counts the event for the entry on top: 1 if the script wants it now. */
static int is_due(lua_State *L, const lua_Debug *ar) {
  lua_Integer every = field(L, EVERY), seen;
  if (ar->event != LUA_HOOKCOUNT) return 1;
  if (every <= 0) return 0;
  seen = field(L, SEEN) + lua_gethookcount(L);
  lua_pushinteger(L, seen >= every ? 0 : seen);
  lua_rawseti(L, -2, SEEN);
  return seen >= every;
}

int np_hooks_call(lua_State *L, lua_Debug *ar) {
  static const char *const events[] = {"call", "return", "line", "count",
                                       "tail call"};
  luaL_checkstack(L, 10, NULL);
  if (push_entry(L, L)) {
    if (is_due(L, ar)) {
      lua_rawgeti(L, -1, FUNCTION);
      lua_pushstring(L, events[ar->event]);
      if (ar->currentline >= 0 && ar->event == LUA_HOOKLINE)
        lua_pushinteger(L, ar->currentline);
      else
        lua_pushnil(L);
      lua_call(L, 2, 0);
    }
    lua_pop(L, 1);
  }
  return ar->event != LUA_HOOKCOUNT;
}

/* == Lua's side ======================================================= */

static lua_State *thread_of(lua_State *L, int *arg) {
  *arg = lua_isthread(L, 1);
  return *arg ? lua_tothread(L, 1) : L;
}

static int mask_of(const char *text) {
  return (strchr(text, 'c') != NULL ? LUA_MASKCALL : 0) |
         (strchr(text, 'r') != NULL ? LUA_MASKRET : 0) |
         (strchr(text, 'l') != NULL ? LUA_MASKLINE : 0);
}

/* Pushes the entry that the arguments after `arg` ask for, or nil. */
static void make_entry(lua_State *L, int arg) {
  int mask;
  lua_Integer every;
  if (lua_isnoneornil(L, arg + 1)) {
    lua_pushnil(L);
    return;
  }
  mask = mask_of(luaL_checkstring(L, arg + 2));
  luaL_checktype(L, arg + 1, LUA_TFUNCTION);
  every = luaL_optinteger(L, arg + 3, 0);
  lua_createtable(L, SEEN, 0);
  lua_pushvalue(L, arg + 1);
  lua_rawseti(L, -2, FUNCTION);
  lua_pushinteger(L, mask);
  lua_rawseti(L, -2, MASK);
  lua_pushinteger(L, every);
  lua_rawseti(L, -2, EVERY);
}

/* debug.sethook([thread,] f, mask [, count]) */
static int hooks_set(lua_State *L) {
  int arg;
  lua_State *L1 = thread_of(L, &arg);
  make_entry(L, arg);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
  if (!lua_checkstack(L1, 2)) return luaL_error(L, "stack overflow");
  lua_pushthread(L1);
  lua_xmove(L1, L, 1);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  np_vm(L)->limits->hooks = 1;
  np_hook_off(L1);
  return 0;
}

/* debug.gethook([thread]) -> f, mask, count */
static int hooks_get(lua_State *L) {
  int arg, mask;
  lua_State *L1 = thread_of(L, &arg);
  char text[4], *end = text;
  if (!lua_checkstack(L1, 2) || !push_entry(L, L1)) {
    luaL_pushfail(L);
    return 1;
  }
  mask = (int)field(L, MASK);
  if (mask & LUA_MASKCALL) *end++ = 'c';
  if (mask & LUA_MASKRET) *end++ = 'r';
  if (mask & LUA_MASKLINE) *end++ = 'l';
  *end = '\0';
  lua_rawgeti(L, -1, FUNCTION);
  lua_pushstring(L, text);
  lua_rawgeti(L, -3, EVERY);
  return 3;
}

void np_hooks_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"sethook", hooks_set}, {"gethook", hooks_get}, {NULL, NULL}};
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  lua_getglobal(L, "debug");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
