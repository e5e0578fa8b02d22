/*
 * plugins.c - plugins, each in a limited and sandboxed machine of its own.
 *
 * They come from strangers: one is honest, one reads what it must not, one
 * computes for ever and will not stop, one waits for ever, one fills the
 * memory. None of them harms the host or another plugin.
 *
 * --> greeter: hello, world
 * --> thief: plugin:2: read_file /a/key: not permitted (--allow-read=/a/key)
 * --> spinner: stopped, limit STEP_INSTRUCTIONS
 * --> sleeper: stopped, limit TASK_LIFE_SECONDS
 * --> hog: not enough memory
 * --> greeter: hello, again
 */
#include <neap.h>
#include <stdio.h>
#include <string.h>

enum { PLUGINS = 5 };

static const char *const names[PLUGINS] = {"greeter", "thief", "spinner",
                                           "sleeper", "hog"};
static const char *const scripts[PLUGINS] = {
    "function run(whom)\n"
    "  return 'hello, ' .. await asyncio.sleep(0.001, whom)\n"
    "end",
    "function run()\n"
    "  return await require 'neap.fs'.read_file '/a/key'\n"
    "end",
    "function run()\n"
    "  while true do pcall(function() while true do end end) end\n"
    "end",
    "function run()\n"
    "  while true do asyncio.catch(await, asyncio.Future()) end\n"
    "end",
    "function run()\n"
    "  local all = {}\n"
    "  while true do all[#all + 1] = {} end\n"
    "end"};

/* What every plugin gets: nothing of the world, and little of the rest. */
static neap_Vm *plugin_new(void) {
  neap_Limits limits = {.size = sizeof limits,
                        .memory = 4 << 20,
                        .step_instructions = 10000000,
                        .task_life_seconds = 0.5,
                        .finish_seconds = 1,
                        .tasks = 100,
                        .handles = 20};
  neap_Sandbox sandbox = {.size = sizeof sandbox};
  neap_Options options = {.size = sizeof options,
                          .limits = &limits,
                          .sandbox = &sandbox};
  return neap_vm_new(&options);
}

/* Runs protected: calls the plugin's run(whom), and prints what it gives. */
static int call(lua_State *L) {
  const char *name = lua_tostring(L, 1);
  int n, status;
  lua_getglobal(L, "run");
  lua_pushvalue(L, 2);
  status = neap_call(L, 1, &n);
  const neap_Error *e = neap_error(L, -1);
  if (status == LUA_OK)
    printf("%s: %s\n", name, lua_tostring(L, -1));
  else if (status == NEAP_ELIMIT)
    printf("%s: stopped, limit %s\n", name, e->code);
  else
    printf("%s: %s\n", name, e->text);
  return 0;
}

static void run(neap_Vm *vm, const char *name, const char *whom) {
  lua_State *L = neap_state(vm);
  lua_settop(L, 0);
  lua_pushcfunction(L, call);
  lua_pushstring(L, name);
  lua_pushstring(L, whom);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK)
    printf("%s: %s\n", name, lua_tostring(L, -1));
}

int main(void) {
  neap_Vm *plugins[PLUGINS];
  int i;
  for (i = 0; i < PLUGINS; i++) {
    plugins[i] = plugin_new();
    if (plugins[i] == NULL ||
        neap_dostring(plugins[i], scripts[i], "=plugin") != LUA_OK)
      return 1;
  }
  for (i = 0; i < PLUGINS; i++) run(plugins[i], names[i], "world");
  run(plugins[0], names[0], "again"); /* it has not noticed anything */
  for (i = 0; i < PLUGINS; i++) neap_vm_free(plugins[i]);
  return 0;
}
