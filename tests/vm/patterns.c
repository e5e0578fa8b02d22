/*
 * patterns.c - string.find and its kin in a machine with limits do what
 * Lua's own do, errors included.
 *
 * The same script runs in both, and writes down what each of many calls
 * gave: with given patterns, and with ones that are made by chance out of
 * the pieces of patterns.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <neap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char script[] =
    "local seed = ...\n"
    "local function random(n)\n"
    "  seed = seed * 6364136223846793005 + 1442695040888963407\n"
    "  return (seed >> 33) % n + 1\n"
    "end\n"
    "local pieces = {'a', 'b', '.', '%a', '%A', '%d', '%s', '%w', '%W',\n"
    "  '[ab]', '[^a]', '[a-c]', '[%a_]', '[]a]', '[^]]', '[a-]', '(', ')',\n"
    "  '()', '%1', '%2', '%b()', '%bxy', '%f[a]', '%f[^%w]', '*', '+', '-',\n"
    "  '?', '^', '$', '%', '[', ']', '\\0', '%z', 'x', '%.', '%0', '%9',\n"
    "  '%u', '%x', '%p', '%c', '%l', '%g', '%b', '%f', '[%', '[a', '.-',\n"
    "  '.*', '.+', '(.)', '(a*)', '(.-)', '%%'}\n"
    "local letters = {'a', 'b', 'c', 'x', 'y', '(', ')', ' ', '1', 'A',\n"
    "  '.', '\\0', '_', '\\255', ']'}\n"
    "local function text(from, most)\n"
    "  local t = {}\n"
    "  for i = 1, random(most) - 1 do t[i] = from[random(#from)] end\n"
    "  return table.concat(t)\n"
    "end\n"
    "local out = {}\n"
    "local function put(...)\n"
    "  local t = table.pack(...)\n"
    "  for i = 1, t.n do t[i] = tostring(t[i]) end\n"
    "  out[#out + 1] = table.concat(t, '|', 1, t.n)\n"
    "end\n"
    "local function all(s, p)\n"
    "  local t = {}\n"
    "  for a, b in s:gmatch(p) do\n"
    "    t[#t + 1] = tostring(a) .. ',' .. tostring(b)\n"
    "  end\n"
    "  return table.concat(t, ';')\n"
    "end\n"
    "local function upper(a, b)\n"
    "  if a == 'b' then return nil end\n"
    "  return '<' .. tostring(a) .. tostring(b) .. '>'\n"
    "end\n"
    "for i = 1, 4000 do\n"
    "  local s, p = text(letters, 20), text(pieces, 8)\n"
    "  local init = random(30) - 15\n"
    "  put('pattern', s, p, init)\n"
    "  put(pcall(string.find, s, p, init))\n"
    "  put(pcall(string.find, s, p, init, true))\n"
    "  put(pcall(string.match, s, p, init))\n"
    "  put(pcall(all, s, p))\n"
    "  put(pcall(string.gsub, s, p, upper))\n"
    "  put(pcall(string.gsub, s, p, {a = 1, b = false, c = 'C'}))\n"
    "  put(pcall(string.gsub, s, p, '[%0%1]', random(4) - 1))\n"
    "  put(pcall(string.gsub, s, p, text({'%', '%2', 'x', '%%', '%a',\n"
    "    '%0'}, 5)))\n"
    "end\n"
    "put(pcall(string.gsub, 'x', 'x', true))\n"
    "put(pcall(string.gsub, 'x', 'x', function() return {} end))\n"
    "put(pcall(string.find)) put(pcall(string.find, 'x'))\n"
    "put(pcall(string.match, 'x', {})) put(pcall(string.gmatch, 'x'))\n"
    "put(pcall(string.find, ('a'):rep(400), ('a?'):rep(400)))\n"
    "put(pcall(string.find, 'x', ('('):rep(40)))\n"
    "put(pcall(string.rep, 'ab', 3, '-'))\n"
    "return table.concat(out, '\\n')";

/* Runs it in Lua alone; the result is malloc's. */
static char *run_lua(long seed) {
  lua_State *L = luaL_newstate();
  char *result = NULL;
  luaL_openlibs(L);
  if (luaL_loadstring(L, script) != LUA_OK) abort();
  lua_pushinteger(L, seed);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) result = strdup(lua_tostring(L, -1));
  else puts(lua_tostring(L, -1));
  lua_close(L);
  return result;
}

static char *run_neap(long seed) {
  neap_Limits limits = {.size = sizeof limits, .seconds = 1e6};
  neap_Options options = {.size = sizeof options, .limits = &limits};
  neap_Vm *vm = neap_vm_new(&options);
  lua_State *L = neap_state(vm);
  char *result = NULL;
  int n;
  if (luaL_loadstring(L, script) != LUA_OK) abort();
  lua_pushinteger(L, seed);
  neap_spawn(L, 1, "main");
  if (neap_wait(L, -1, &n) == LUA_OK) result = strdup(lua_tostring(L, -1));
  else puts(lua_tostring(L, -1));
  neap_vm_free(vm);
  return result;
}

/* Prints the first line that differs, and the call before it. */
static void tell(const char *a, const char *b) {
  const char *call = a, *line_a = a, *line_b = b;
  for (;;) {
    size_t n = strcspn(line_a, "\n"), m = strcspn(line_b, "\n");
    if (strncmp(line_a, "pattern", 7) == 0) call = line_a;
    if (n != m || memcmp(line_a, line_b, n) != 0) {
      printf("%.*s\nLua:  %.*s\nneap: %.*s\n", (int)strcspn(call, "\n"), call,
             (int)n, line_a, (int)m, line_b);
      return;
    }
    if (line_a[n] == '\0') return;
    line_a += n + 1;
    line_b += m + 1;
  }
}

int main(int argc, char **argv) {
  long seed = argc > 1 ? atol(argv[1]) : 1, end = argc > 2 ? atol(argv[2]) : 3;
  int failed = 0;
  for (; seed <= end && !failed; seed++) {
    char *a = run_lua(seed), *b = run_neap(seed);
    failed = a == NULL || b == NULL || strcmp(a, b) != 0;
    if (a != NULL && b != NULL && failed) tell(a, b);
    free(a);
    free(b);
  }
  return failed;
}
