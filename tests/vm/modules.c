/*
 * modules.c - what scripts can require is the host's to say.
 */
#include "host.h"

static int open_math2(lua_State *L) {
  lua_newtable(L);
  lua_pushinteger(L, 42);
  lua_setfield(L, -2, "answer");
  return 1;
}

static const char waits[] = "await asyncio.sleep(0)\n"
                            "return {name = ..., waited = true}";
static const char broken[] = "\nerror 'no good'";

static const neap_Module list[] = {
  {"host.math", NULL, NULL, 0, open_math2},
  {"host.waits", "waits.lua", waits, sizeof waits - 1, NULL},
  {"host.broken", "parts/broken.lua", broken, sizeof broken - 1, NULL},
  {"neap.ps", NULL, NULL, 0, open_math2}, /* instead of neap's */
  {NULL, NULL, NULL, 0, NULL}};

static void test_preload(void) {
  Host host;
  host_open(&host, NULL);
  neap_preload(host.L, list);
  expect(run(&host, "local m, how = require 'host.math' "
                    "return m.answer, how, require 'neap.ps'.answer") ==
         LUA_OK);
  expect(lua_tointeger(host.L, 1) == 42 && lua_tointeger(host.L, 3) == 42);
  expect(strcmp(lua_tostring(host.L, 2), ":host:") == 0);
  expect(run(&host, "local m = require 'host.waits' "
                    "assert(m == require 'host.waits') "
                    "return m.name, m.waited") == LUA_OK);
  expect(strcmp(lua_tostring(host.L, 1), "host.waits") == 0);
  expect(lua_toboolean(host.L, 2));
  expect(run(&host, "require 'host.broken'") == LUA_ERRRUN);
  expect(strstr(text_at(&host, -1), "parts/broken.lua:2: no good") != NULL);
  host_close(&host);
}

/* Gives each of "many.*" as a text that knows its name; refuses one. */
static int resolve(lua_State *L, const char *name) {
  Host *host = neap_data(neap_vm(L));
  host->warnings++; /* counts the calls */
  if (strcmp(name, "many.bad") == 0) return luaL_error(L, "%s is bad", name);
  if (strncmp(name, "many.", 5) != 0) return 0;
  lua_pushfstring(L, "return '%s'", name);
  if (neap_load(L, lua_tostring(L, -1), lua_rawlen(L, -1), "=many", "t") !=
      LUA_OK)
    return lua_error(L);
  return 1;
}

static void test_resolve(void) {
  Host host;
  neap_Options options;
  memset(&options, 0, sizeof options);
  options.resolve = resolve;
  host_open_with(&host, &options);
  expect(run(&host, "local a, b = require 'many.a' "
                    "assert(require 'many.a' == a) return a, b") == LUA_OK);
  expect(strcmp(lua_tostring(host.L, 1), "many.a") == 0);
  expect(host.warnings == 1);
  expect(run(&host, "require 'many.bad'") == LUA_ERRRUN);
  expect(strstr(text_at(&host, -1), "many.bad is bad") != NULL);
  expect(run(&host, "require 'other'") == LUA_ERRRUN);
  expect(strstr(text_at(&host, -1), "module 'other' not found") != NULL);
  host_close(&host);
}

static void test_allowed(void) {
  static const char *const names[] = {"neap.fs", "my", NULL};
  Host host;
  neap_Options options;
  memset(&options, 0, sizeof options);
  options.modules = names;
  host_open_with(&host, &options);
  neap_preload(host.L, list + 1);
  expect(run(&host, "return require 'host.waits'.waited") == LUA_OK);
  expect(run(&host, "require 'host.math'") == LUA_ERRRUN);
  expect(run(&host, "return require 'neap.fs', require 'neap'.asyncio, "
                    "asyncio.Queue, require 'string'") == LUA_OK);
  expect(lua_istable(host.L, 1) && lua_istable(host.L, 2));
  expect(run(&host, "require 'neap.net'") == LUA_ERRRUN);
  expect(strstr(text_at(&host, -1), "'neap.net' is not allowed") != NULL);
  expect(run(&host, "require 'neap.fsx'") == LUA_ERRRUN);
  expect(run(&host, "for i = 1, 4 do local f = package.searchers[i]\n"
                    "  local g = f and f 'neap.net'\n"
                    "  assert(type(g) ~= 'function') end") == LUA_OK);
  expect(run(&host, "load([[return require 'neap.net']], '=stdlib/x')()") ==
         LUA_ERRRUN);
  expect(run(&host, "require 'my.own'") == LUA_ERRRUN);
  expect(strstr(text_at(&host, -1), "module 'my.own' not found") != NULL);
  host_close(&host);
}

/* Every module of the build once, asyncio among them. */
static void test_next(void) {
  const neap_Module *m = NULL, *k;
  int asyncio = 0;
  while ((m = neap_module_next(m)) != NULL) {
    asyncio += strcmp(m->name, "neap.asyncio") == 0;
    for (k = neap_module_next(m); k != NULL; k = neap_module_next(k))
      expect(strcmp(k->name, m->name) != 0);
  }
  expect(asyncio == 1);
}

int main(void) {
  test_preload();
  test_resolve();
  test_allowed();
  test_next();
  if (failures == 0) printf("modules: ok\n");
  return failures != 0;
}
