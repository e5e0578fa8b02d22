/*
 * reload.c - a script that is changed while its host runs, and keeps its
 * state.
 *
 * The host keeps the state, a table that it gives to each version; a version
 * is a file that returns its functions. One that cannot be loaded changes
 * nothing, and a task that runs goes on with the functions it began with.
 *
 * --> version 1: 1 guest
 * --> version 1: 2 guests
 * --> loaded anew
 * --> version 2: 3 guests, and cake
 * --> not loaded: app.lua:1: unexpected symbol near '='
 * --> version 2: 4 guests, and cake
 */
#include <lauxlib.h>
#include <neap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the host keeps both in Lua's registry. */
static const char STATE[] = "host.state", APP[] = "host.app";

/*
 * Loads a version and puts it in the place of the one before. 1, or 0 and
 * the error is on top of the stack.
 */
static int load_app(lua_State *L, const char *text) {
  int n;
  lua_settop(L, 0);
  if (neap_load(L, text, strlen(text), "@app.lua", "t") != LUA_OK) return 0;
  if (neap_call(L, 0, &n) != LUA_OK) return 0;
  if (n != 1 || !lua_istable(L, -1)) {
    lua_pushliteral(L, "app.lua gives no table");
    return 0;
  }
  lua_setfield(L, LUA_REGISTRYINDEX, APP);
  return 1;
}

/* Calls the function of that name of the version that is in place. */
static void call_app(lua_State *L, const char *name) {
  int n;
  lua_settop(L, 0);
  lua_getfield(L, LUA_REGISTRYINDEX, APP);
  lua_getfield(L, 1, name);
  lua_getfield(L, LUA_REGISTRYINDEX, STATE);
  if (neap_call(L, 1, &n) == LUA_OK)
    printf("%s\n", lua_tostring(L, -1));
  else
    printf("%s failed: %s\n", name, neap_error(L, -1)->text);
}

static const char *const versions[] = {
    "return {greet = async function(state)\n"
    "  state.guests = (state.guests or 0) + 1\n"
    "  await asyncio.sleep(0.001)\n"
    "  return ('version 1: %d guest%s'):format(state.guests,\n"
    "    state.guests > 1 and 's' or '')\n"
    "end}",

    "local function count(state)\n"
    "  state.guests = state.guests + 1\n"
    "  return state.guests\n"
    "end\n"
    "return {greet = async function(state)\n"
    "  return ('version 2: %d guests, and cake'):format(count(state))\n"
    "end}",

    "return = {}",
};

int main(void) {
  neap_Vm *vm = neap_vm_new(NULL);
  if (vm == NULL) return 1;
  lua_State *L = neap_state(vm);
  lua_newtable(L);
  lua_setfield(L, LUA_REGISTRYINDEX, STATE);
  if (!load_app(L, versions[0])) return 1;
  call_app(L, "greet");
  call_app(L, "greet");
  if (load_app(L, versions[1])) printf("loaded anew\n");
  call_app(L, "greet");
  if (!load_app(L, versions[2]))
    printf("not loaded: %s\n", neap_error(L, -1)->text);
  call_app(L, "greet");
  neap_vm_free(vm);
  return 0;
}
