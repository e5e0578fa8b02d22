/*
 * attach.c - a machine for a Lua state that the host has made itself.
 */
#include <lualib.h>

#include "host.h"

/* == An allocator that counts, and refuses one =========================== */

typedef struct Memory {
  long blocks, count, refused; /* the number of the one; 0: none */
} Memory;

static void *allocate(void *ud, void *block, size_t old, size_t size) {
  Memory *m = ud;
  if (size == 0) {
    m->blocks -= block != NULL;
    free(block);
    return NULL;
  }
  /* Lua relies on it that shrinking does not fail. */
  if ((block == NULL || size > old) && m->refused > 0 &&
      ++m->count >= m->refused && m->count < m->refused + 3)
    return NULL;
  m->blocks += block == NULL;
  return realloc(block, size);
}

static lua_State *make(Memory *m) {
  lua_State *L;
  memset(m, 0, sizeof *m);
  L = lua_newstate(allocate, m);
  if (L == NULL) abort();
  luaL_openlibs(L);
  return L;
}

static int open_neap(lua_State *L) {
  luaL_requiref(L, "neap", luaopen_neap, 0);
  return 0;
}

static int runs(lua_State *L, const char *text) {
  if (luaL_dostring(L, text) == LUA_OK) return 1;
  printf("%s\n", lua_tostring(L, -1));
  return 0;
}

static const char work[] =
    "local neap = require 'neap'\n"
    "local f = neap.load [[local q = asyncio.Queue(1)\n"
    "  asyncio.create_task(q:put(5)) return await q:get()]]\n"
    "return asyncio.run(async(f)())";

static void test_attach(void) {
  Memory m;
  lua_State *L = make(&m);
  int n;
  lua_pushcfunction(L, open_neap);
  expect(lua_pcall(L, 0, 0, 0) == LUA_OK);
  expect(runs(L, work) && lua_tointeger(L, -1) == 5);
  expect(neap_vm(L) != NULL && neap_data(neap_vm(L)) == NULL);
  expect(neap_load(L, "return await asyncio.sleep(0, 6)", 32, "=x", "t") ==
         LUA_OK);
  expect(neap_call(L, 0, &n) == LUA_OK && n == 1);
  expect(lua_tointeger(L, -1) == 6);
  neap_vm_free(neap_vm(L)); /* does nothing */
  expect(runs(L, work));
  expect(runs(L, "left = asyncio.create_task(asyncio.sleep(1000))\n"
                 "require 'neap.process'"));
  lua_close(L);
  expect(m.blocks == 0);
}

/* It asks first whether there is one: in another thread, and in a machine. */
static void test_once(void) {
  Memory m;
  lua_State *L = make(&m);
  Host host;
  neap_Vm *vm;
  lua_pushcfunction(L, open_neap);
  expect(lua_pcall(L, 0, 0, 0) == LUA_OK);
  vm = neap_vm(L);
  expect(runs(L, "package.loaded.neap = nil\n"
                 "return coroutine.wrap(function()\n"
                 "  return require 'neap'.asyncio == asyncio end)()"));
  expect(lua_toboolean(L, -1) && neap_vm(L) == vm);
  lua_close(L);
  host_open(&host, NULL);
  vm = host.vm;
  lua_pushcfunction(host.L, open_neap);
  expect(lua_pcall(host.L, 0, 0, 0) == LUA_OK && neap_vm(host.L) == vm);
  host_close(&host);
}

static int open_and_work(lua_State *L) {
  static const char text[] =
      "local q = asyncio.Queue(1)\n"
      "left = asyncio.create_task(asyncio.sleep(1000))\n"
      "local _, x = asyncio.run(asyncio.gather(q:put(5), q:get()))\n"
      "return x";
  (void)open_neap(L);
  if (luaL_loadstring(L, text) != LUA_OK) return lua_error(L);
  lua_call(L, 0, 1);
  if (lua_tointeger(L, -1) != 5) return luaL_error(L, "no 5");
  return 0;
}

/* Memory that is out at whatever place leaves a state that can be closed. */
static void test_no_memory(void) {
  long n, step = getenv("VALGRIND") != NULL ? 101 : 1;
  int done = 0;
  for (n = 1; !done && n < 20000; n += step) {
    Memory m;
    lua_State *L = make(&m);
    m.refused = n;
    lua_pushcfunction(L, open_and_work);
    done = lua_pcall(L, 0, 0, 0) == LUA_OK && m.count < n;
    m.refused = 0;
    lua_close(L);
    expect(m.blocks == 0);
    if (failures > 0) {
      printf("allocation %ld\n", n);
      return;
    }
  }
  expect(done);
}

int main(void) {
  test_attach();
  test_once();
  test_no_memory();
  if (failures == 0) printf("attach: ok\n");
  return failures != 0;
}
