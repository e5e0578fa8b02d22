/*
 * results.c - a host that calls a script's functions: values in, results and
 * errors out.
 *
 * --> 6 slices of rye
 * --> the baker waits: 2 loaves of spelt
 * --> cannot bake stone: NoSuchGrain
 * -->   at bakery.lua:3
 * --> the task 'night shift' goes on
 * --> the night shift made 12 rolls
 */
#include <neap.h>
#include <stdio.h>

static const char bakery[] =
    "local BadGrain = asyncio.Error:extend('BadGrain')\n"
    "async function bake(n, grain)\n"
    "  if grain == 'stone' then error(BadGrain('cannot bake stone',\n"
    "    {code = 'NoSuchGrain'})) end\n"
    "  if grain == 'spelt' then await asyncio.sleep(0.001) end\n"
    "  return n, grain\n"
    "end\n"
    "async function night(n)\n"
    "  await asyncio.sleep(0.001)\n"
    "  return n\n"
    "end\n";

/* Calls bake(n, grain). The results or the error are all that is on the
 * stack. */
static int bake(lua_State *L, int n, const char *grain) {
  int nresults;
  lua_settop(L, 0);
  lua_getglobal(L, "bake");
  lua_pushinteger(L, n);
  lua_pushstring(L, grain);
  return neap_call(L, 2, &nresults);
}

static void bake_some(lua_State *L) {
  const neap_Error *e;
  if (bake(L, 6, "rye") == LUA_OK)
    printf("%d slices of %s\n", (int)lua_tointeger(L, 1), lua_tostring(L, 2));
  if (bake(L, 2, "spelt") == LUA_OK)
    printf("the baker waits: %d loaves of %s\n", (int)lua_tointeger(L, 1),
           lua_tostring(L, 2));
  if (bake(L, 1, "stone") != LUA_OK) {
    e = neap_error(L, -1);
    printf("%s: %s\n  at %s:%d\n", e->message, e->code, e->file, e->line);
  }
}

/* Called in the loop when the task is done; its results are on the stack. */
static void on_done(lua_State *L, int status, int nresults, void *data) {
  const char *who = data;
  if (status == LUA_OK && nresults == 1)
    printf("the %s made %d rolls\n", who, (int)lua_tointeger(L, 1));
  else
    printf("the %s failed: %s\n", who, neap_error(L, 1)->text);
}

/* Begins night(n), which goes on by itself in whatever drives the loop. */
static void begin_night(lua_State *L, int n) {
  static char who[] = "night shift";
  int nresults;
  lua_settop(L, 0);
  lua_getglobal(L, "night");
  lua_pushinteger(L, n);
  if (neap_begin(L, 1, who, &nresults) != NEAP_EPENDING) return;
  neap_task_done(L, 1, on_done, who);
  printf("the task '%s' goes on\n", neap_task_name(L, 1));
}

int main(void) {
  neap_Vm *vm = neap_vm_new(NULL);
  if (vm == NULL) return 1;
  lua_State *L = neap_state(vm);
  int status = neap_dostring(vm, bakery, "@bakery.lua");
  if (status == LUA_OK) {
    bake_some(L);
    begin_night(L, 12);
    neap_run(vm);
  }
  neap_vm_free(vm);
  return status != LUA_OK;
}
