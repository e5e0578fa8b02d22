/*
 * bounded.c - functions of Lua's libraries that could run for ever without
 * an instruction of the script's, in a machine whose instructions are
 * counted.
 *
 * A function whose work is that of a string's length is charged for it. One
 * that goes over a table is Lua's own for a short ordinary table; otherwise
 * it is one that is written in Lua, below, and can be stopped like any code.
 */
#include <lualib.h>

#include "limits.h"

#define SHORT 20000 /* a table that C may go over in one go */

static const char source[] =
  "local concat, tonumber, select, error, type = ...\n"
  "local function check(t, name)\n"
  "  if type(t) == 'string' then\n"
  "    error(\"bad argument #1 to '\" .. name .. \"' (table expected, got \""
  "      .. type(t) .. ')', 4)\n"
  "  end\n"
  "  return #t\n"
  "end\n"
  "local function insert(t, ...)\n"
  "  local n, k, pos, v = check(t, 'insert'), select('#', ...), ...\n"
  "  if k == 1 then t[n + 1] = pos return end\n"
  "  if k ~= 2 then error(\"wrong number of arguments to 'insert'\", 3) end\n"
  "  if pos < 1 or pos > n + 1 then\n"
  "    error(\"bad argument #2 to 'insert' (position out of bounds)\", 3)\n"
  "  end\n"
  "  for i = n + 1, pos + 1, -1 do t[i] = t[i - 1] end\n"
  "  t[pos] = v\n"
  "end\n"
  "local function remove(t, pos)\n"
  "  local n = check(t, 'remove')\n"
  "  if pos and pos ~= n and (pos < 1 or pos > n + 1) then\n"
  "    error(\"bad argument #2 to 'remove' (position out of bounds)\", 3)\n"
  "  end\n"
  "  pos = pos or n\n"
  "  local v = t[pos]\n"
  "  for i = pos, n - 1 do t[i] = t[i + 1] pos = i + 1 end\n"
  "  t[pos] = nil\n"
  "  return v\n"
  "end\n"
  "local function move(a, f, e, t, b)\n"
  "  check(a, 'move')\n"
  "  b = b or a\n"
  "  if e < f then return b end\n"
  "  if t > e or t <= f or a ~= b then\n"
  "    for i = 0, e - f do b[t + i] = a[f + i] end\n"
  "  else\n"
  "    for i = e - f, 0, -1 do b[t + i] = a[f + i] end\n"
  "  end\n"
  "  return b\n"
  "end\n"
  "local function join(t, sep, i, j)\n"
  "  local list, n = {}, 0\n"
  "  for k = i or 1, j or check(t, 'concat') do\n"
  "    n = n + 1\n"
  "    list[n] = t[k]\n"
  "    if not tonumber(list[n]) and type(list[n]) ~= 'string' then\n"
  "      error('invalid value (at index ' .. k ..\n"
  "        \") in table for 'concat'\", 3)\n"
  "    end\n"
  "  end\n"
  "  return concat(list, sep)\n"
  "end\n"
  "local function less(a, b) return a < b end\n"
  "local function merge(from, to, low, middle, high, lt)\n"
  "  local i, j = low, middle + 1\n"
  "  for k = low, high do\n"
  "    if j > high or i <= middle and not lt(from[j], from[i]) then\n"
  "      to[k] = from[i] i = i + 1\n"
  "    else\n"
  "      to[k] = from[j] j = j + 1\n"
  "    end\n"
  "  end\n"
  "end\n"
  "local function sort(t, lt)\n"
  "  local n, from, to = check(t, 'sort'), {}, {}\n"
  "  lt = lt or less\n"
  "  for i = 1, n do from[i] = t[i] end\n"
  "  local width = 1\n"
  "  while width < n do\n"
  "    for low = 1, n, 2 * width do\n"
  "      local middle, high = low + width - 1, low + 2 * width - 1\n"
  "      merge(from, to, low, middle < n and middle or n,\n"
  "        high < n and high or n, lt)\n"
  "    end\n"
  "    from, to, width = to, from, width * 2\n"
  "  end\n"
  "  for i = 1, n do t[i] = from[i] end\n"
  "end\n"
  "return insert, remove, move, join, sort\n";

/* == Tables =========================================================== */

/* 1 for a table without a metatable, and for what is no table at all, so
 * that Lua's own says so. */
static int is_plain(lua_State *L, int index) {
  if (lua_isnoneornil(L, index) || !lua_getmetatable(L, index)) return 1;
  lua_pop(L, 1);
  return 0;
}

static int is_short(lua_State *L, lua_Unsigned work) {
  if (work > SHORT) return 0;
  neap_charge(L, (size_t)work);
  return 1;
}

/* Calls upvalue 1, Lua's own, or upvalue 2, which is written in Lua. */
static int choose(lua_State *L, int own) {
  int n = lua_gettop(L);
  if (own) return lua_tocfunction(L, lua_upvalueindex(1))(L);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_call(L, n, LUA_MULTRET);
  return lua_gettop(L);
}

/* What is behind the place `at` in a table, all if it is no integer. */
static lua_Unsigned behind(lua_State *L, int at) {
  lua_Unsigned n = lua_rawlen(L, 1);
  lua_Integer i = lua_isinteger(L, at) ? lua_tointeger(L, at) : 1;
  return i > 0 && (lua_Unsigned)i <= n ? n - (lua_Unsigned)i : 0;
}

/* table.insert(list, [pos,] value) */
static int table_insert(lua_State *L) {
  return choose(L, is_plain(L, 1) &&
                   (lua_gettop(L) < 3 || is_short(L, behind(L, 2))));
}

/* table.remove(list [, pos]) */
static int table_remove(lua_State *L) {
  return choose(L, is_plain(L, 1) &&
                   (lua_gettop(L) < 2 || is_short(L, behind(L, 2))));
}

/* table.move(a, f, e, t [, b]) */
static int table_move(lua_State *L) {
  lua_Integer f = lua_tointeger(L, 2), e = lua_tointeger(L, 3);
  return choose(L, is_plain(L, 1) && is_plain(L, 5) &&
                   is_short(L, e < f ? 0 : (lua_Unsigned)e -
                                           (lua_Unsigned)f));
}

/* table.concat(list [, sep [, i [, j]]]): ends at the first nil, but before
 * that there may be many empty strings */
static int table_concat(lua_State *L) {
  lua_Unsigned n = lua_rawlen(L, 1), range;
  lua_Integer i = luaL_optinteger(L, 3, 1);
  lua_Integer j = luaL_optinteger(L, 4, (lua_Integer)n);
  if (!is_plain(L, 1)) return choose(L, 0);
  range = j < i ? 0 : (lua_Unsigned)j - (lua_Unsigned)i;
  if (range > n && (i < 1 || (lua_Unsigned)i > n))
    return choose(L, is_short(L, range)); /* nobody knows where a nil is */
  neap_charge(L, (size_t)(range < n ? range : n));
  return choose(L, 1);
}

/* table.sort(list [, comp]) */
static int table_sort(lua_State *L) {
  lua_Unsigned n = lua_rawlen(L, 1);
  int own = is_plain(L, 1) && is_short(L, n);
  if (own) neap_charge(L, (size_t)n * 20);
  return choose(L, own);
}

/* Sets a field of the table on top to `f`, whose upvalues are what it was
 * and the value at `index`. */
static void guard(lua_State *L, const char *name, lua_CFunction f,
                  int index) {
  lua_getfield(L, -1, name);
  lua_pushvalue(L, index);
  lua_pushcclosure(L, f, 2);
  lua_setfield(L, -2, name);
}

static void open_table(lua_State *L) {
  static const char *const needs[] = {"tonumber", "select", "error", "type"};
  int base = lua_gettop(L);
  size_t i;
  if (luaL_loadbufferx(L, source, sizeof source - 1, "=(neap)", "t") !=
      LUA_OK)
    lua_error(L);
  lua_getglobal(L, LUA_TABLIBNAME);
  lua_getfield(L, -1, "concat");
  lua_remove(L, -2);
  for (i = 0; i < sizeof needs / sizeof *needs; i++)
    lua_getglobal(L, needs[i]);
  lua_call(L, 5, 5);
  lua_getglobal(L, LUA_TABLIBNAME);
  guard(L, "insert", table_insert, base + 1);
  guard(L, "remove", table_remove, base + 2);
  guard(L, "move", table_move, base + 3);
  guard(L, "concat", table_concat, base + 4);
  guard(L, "sort", table_sort, base + 5);
  lua_settop(L, base);
}

/* == Strings ========================================================== */

/* Upvalue 1 is Lua's own function, whose work is that of a long string. */
static int charged(lua_State *L) {
  int type = lua_type(L, 1);
  size_t n = type == LUA_TSTRING ? lua_rawlen(L, 1) / 4 : 0;
  neap_charge(L, n + (size_t)lua_gettop(L));
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* string.rep(s, n [, sep]): Lua's own repeats an empty text, too */
static int string_rep(lua_State *L) {
  size_t length, sep;
  (void)luaL_checklstring(L, 1, &length);
  (void)luaL_checkinteger(L, 2);
  (void)luaL_optlstring(L, 3, "", &sep);
  if (length + sep > 0)
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
  lua_pushliteral(L, "");
  return 1;
}

static void guard_all(lua_State *L, const char *table,
                      const char *const *names, lua_CFunction f) {
  lua_getglobal(L, table);
  for (; *names != NULL; names++) {
    if (lua_getfield(L, -1, *names) == LUA_TFUNCTION) {
      lua_pushcclosure(L, f, 1);
      lua_setfield(L, -2, *names);
    } else {
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
}

static void open_strings(lua_State *L) {
  static const char *const strings[] = {"byte", "char", "format", "pack",
                                        "packsize", "unpack", NULL};
  static const char *const utf8[] = {"len", "codepoint", "offset", "char",
                                     NULL};
  static const char *const base[] = {"tonumber", "select", NULL};
  static const char *const tables[] = {"unpack", "pack", NULL};
  static const char *const rep[] = {"rep", NULL}, *const date[] = {"date",
                                                                   NULL};
  guard_all(L, LUA_STRLIBNAME, strings, charged);
  guard_all(L, LUA_UTF8LIBNAME, utf8, charged);
  guard_all(L, LUA_GNAME, base, charged);
  guard_all(L, LUA_TABLIBNAME, tables, charged);
  guard_all(L, LUA_OSLIBNAME, date, charged);
  guard_all(L, LUA_STRLIBNAME, rep, string_rep);
}

/* == collectgarbage =================================================== */

/* A collection's work is that of what is there. */
static int collect(lua_State *L, int what, int argument) {
  int result = lua_gc(L, what, argument);
  if (result == -1) { /* a finalizer runs */
    luaL_pushfail(L);
    return 1;
  }
  neap_charge(L, np_vm(L)->limits->used / 4);
  if (what == LUA_GCSTEP) lua_pushboolean(L, result);
  else lua_pushinteger(L, result);
  return 1;
}

/* collectgarbage([what]): how eager the collector is stays as it is, since
 * one that is too eager never lets the script run */
static int base_collectgarbage(lua_State *L) {
  static const char *const options[] = {
    "collect", "step", "count", "isrunning", "stop", "restart",
    "setpause", "setstepmul", "incremental", "generational", NULL};
  int what = luaL_checkoption(L, 1, "collect", options);
  switch (what) {
  case 0: return collect(L, LUA_GCCOLLECT, 0);
  case 1: return collect(L, LUA_GCSTEP, (int)luaL_optinteger(L, 2, 0));
  case 2:
    lua_pushnumber(L, (lua_Number)lua_gc(L, LUA_GCCOUNT) +
                      (lua_Number)lua_gc(L, LUA_GCCOUNTB) / 1024);
    return 1;
  case 3:
    lua_pushboolean(L, lua_gc(L, LUA_GCISRUNNING));
    return 1;
  case 4: case 5:
    lua_pushinteger(L, lua_gc(L, what == 4 ? LUA_GCSTOP : LUA_GCRESTART));
    return 1;
  default:
    return luaL_error(L, "collectgarbage '%s' is not allowed in a machine "
                      "with limits", options[what]);
  }
}

void np_bounded_open(lua_State *L) {
  open_table(L);
  open_strings(L);
  np_patterns_open(L);
  lua_pushcfunction(L, base_collectgarbage);
  lua_setglobal(L, "collectgarbage");
}
