/*
 * game.c - a loop that draws frames and gives its scripts 2 ms of each.
 *
 * Actors are tasks. What the player does comes to them as events, and what
 * does not fit into a frame goes on in the next one.
 *
 * --> frame 2: the door hears a knock, 3 times
 * --> frame 4: the door opens
 * --> the map has 1000000 fields
 */
#include <lauxlib.h>
#include <neap.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct Game {
  neap_Events *keys;
  int frame, over;
} Game;

static const char script[] =
    "local async function door()\n"
    "  local what, times = await keys:get()\n"
    "  print(('frame %d: the door hears a %s, %d times'):format(\n"
    "    frame(), what, times))\n"
    "  local later = frame() + 2\n"
    "  while frame() < later do await asyncio.sleep(0) end\n"
    "  print(('frame %d: the door opens'):format(frame()))\n"
    "end\n"
    "local async function map()\n"
    "  local fields = 0\n"
    "  for i = 1, 1000 do\n"
    "    for j = 1, 1000 do fields = fields + 1 end\n"
    "    await asyncio.sleep(0) -- others, and the frame, have their turn\n"
    "  end\n"
    "  return fields\n"
    "end\n"
    "local making = asyncio.create_task(map())\n"
    "await door()\n"
    "print(('the map has %d fields'):format(await making))\n"
    "finish()\n";

/* frame() -> number of the frame that is made */
static int get_frame(lua_State *L) {
  lua_pushinteger(L, ((Game *)neap_data(neap_vm(L)))->frame);
  return 1;
}

/* finish(): the game is over */
static int finish(lua_State *L) {
  ((Game *)neap_data(neap_vm(L)))->over = 1;
  return 0;
}

static void take_keys(Game *game) {
  neap_Value knock[2];
  if (game->frame != 2) return; /* this player knocks once */
  knock[0] = neap_string("knock");
  knock[1] = neap_integer(3);
  (void)neap_events_push(game->keys, knock, 2);
}

static void draw(void) {
  struct timespec rest = {0, 1000000};
  nanosleep(&rest, NULL);
}

/* Sets up what the script needs; runs protected. */
static int start(lua_State *L) {
  Game *game = neap_data(neap_vm(L));
  game->keys = neap_events_new(L, 100);
  lua_setglobal(L, "keys");
  lua_register(L, "frame", get_frame);
  lua_register(L, "finish", finish);
  if (neap_load(L, script, strlen(script), "=script", "t") != LUA_OK)
    return lua_error(L);
  neap_spawn(L, 0, "main");
  return 0;
}

int main(void) {
  Game game = {NULL, 0, 0};
  neap_Options options = {.size = sizeof options, .data = &game};
  neap_Vm *vm = neap_vm_new(&options);
  if (vm == NULL) return 1;
  lua_pushcfunction(neap_state(vm), start);
  if (lua_pcall(neap_state(vm), 0, 0, 0) != LUA_OK) return 1;
  while (!game.over) {
    game.frame++;
    take_keys(&game);
    (void)neap_run_for(vm, 0.002);
    draw();
  }
  neap_events_free(game.keys);
  neap_vm_free(vm);
  return 0;
}
