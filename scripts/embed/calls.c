/*
 * calls.c - the host calls async functions of a script, two at a time.
 *
 * --> working on one
 * --> working on two
 * --> one is done after 2 steps
 * --> two is done after 1 steps
 */
#include <neap.h>
#include <stdio.h>
#include <string.h>

static const char script[] =
    "async function work(name, steps)\n"
    "  print('working on ' .. name)\n"
    "  for i = 1, steps do await asyncio.sleep(0.01) end\n"
    "  return name, steps\n"
    "end\n";

/* Pushes the Task that runs the script's async function work(name, steps). */
static void begin(lua_State *L, const char *name, int steps) {
  lua_getglobal(L, "work");
  lua_pushstring(L, name);
  lua_pushinteger(L, steps);
  neap_spawn(L, 2, name);
}

static void end(lua_State *L, int task) {
  int n;
  if (neap_wait(L, task, &n) == LUA_OK && n == 2)
    printf("%s is done after %d steps\n", lua_tostring(L, -2),
           (int)lua_tointeger(L, -1));
}

/* Runs protected, because what it calls may raise. */
static int run(lua_State *L) {
  int n;
  if (neap_load(L, script, strlen(script), "=script", "t") != LUA_OK)
    return lua_error(L);
  neap_spawn(L, 0, "main");
  if (neap_wait(L, -1, &n) != LUA_OK) return lua_error(L);
  lua_settop(L, 0);
  begin(L, "one", 2);
  begin(L, "two", 1);
  end(L, 1);
  end(L, 2);
  return 0;
}

int main(void) {
  neap_Vm *vm = neap_vm_new(NULL);
  if (vm == NULL) return 1;
  lua_State *L = neap_state(vm);
  lua_pushcfunction(L, run);
  int status = lua_pcall(L, 0, 0, 0);
  if (status != LUA_OK) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  neap_vm_free(vm);
  return status != LUA_OK;
}
