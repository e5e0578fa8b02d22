/*
 * spawn.c - the limit of gather over 100,000 tasks. `spawn pooled` and
 * `spawn new` run trivial coroutines to their end one by one, on one thread
 * used again or on a new thread each; `spawn suspend` starts all, each yields
 * once, then all are finished: a first wave that makes the threads, later
 * waves that use them again. Each result goes into a table; with a second
 * argument, `object`, a small userdata was in its place: a task is a value. A
 * thread that has ended well is used again as it is: lua_resetthread would
 * shrink its stack, only to grow again.
 */
#include <string.h>

#include "luabench.h"

#define TASKS 100000
#define WAVES 5
#define FUNCTION 1 /* stack slots of the main state */
#define RESULTS 2
#define THREADS 3
#define OBJECT 64 /* bytes of the userdata */

static const char TRIVIAL[] = "return function(i) return i end";
static const char SUSPEND[] =
    "local yield = ... return function(i) yield() return i end";

static lua_State *open_tables(const char *chunk) {
  lua_State *L = open_lua(chunk, yield);
  lua_createtable(L, TASKS, 0);
  lua_createtable(L, TASKS, 0);
  return L;
}

/* A thread anchored in slot `i` of THREADS, which keeps what it finds there
 * unless `fresh`. */
static lua_State *thread_at(lua_State *L, int i, int fresh) {
  lua_State *co = NULL;
  if (!fresh && lua_rawgeti(L, THREADS, i) == LUA_TTHREAD)
    co = lua_tothread(L, -1);
  lua_settop(L, THREADS);
  if (co != NULL) return co;
  co = lua_newthread(L);
  lua_rawseti(L, THREADS, i);
  return co;
}

static int start(lua_State *L, lua_State *co, int i, int object) {
  int n = 0;
  if (object) {
    (void)lua_newuserdatauv(L, OBJECT, 0);
    lua_rawseti(L, RESULTS, i);
  }
  lua_pushvalue(L, FUNCTION);
  lua_xmove(L, co, 1);
  lua_pushinteger(co, i);
  return lua_resume(co, L, 1, &n);
}

static void keep_result(lua_State *L, lua_State *co, int i) {
  lua_xmove(co, L, 1);
  lua_rawseti(L, RESULTS, i);
}

static void trivial_wave(lua_State *L, int fresh, int object) {
  for (int i = 1; i <= TASKS; i++) {
    lua_State *co = thread_at(L, 1, fresh);
    if (start(L, co, i, object) != LUA_OK) die("resume");
    keep_result(L, co, i);
  }
}

static void suspend_wave(lua_State *L, Ring *ring, int object) {
  int n = 0;
  for (int i = 1; i <= TASKS; i++) {
    lua_State *co = thread_at(L, i, 0);
    if (start(L, co, i, object) != LUA_YIELD) die("resume");
    ring_push(ring, co);
  }
  for (int i = 1; i <= TASKS; i++) {
    lua_State *co = ring_pop(ring);
    if (lua_resume(co, L, 0, &n) != LUA_OK) die("resume");
    keep_result(L, co, i);
  }
}

static void trivial(int fresh, int object) {
  lua_State *L = open_tables(TRIVIAL);
  double ns[WAVES];
  for (int wave = 0; wave < WAVES; wave++) {
    double begin = cpu_s();
    trivial_wave(L, fresh, object);
    ns[wave] = (cpu_s() - begin) * 1e9 / TASKS;
  }
  report(fresh ? "spawn.new" : object ? "spawn.object" : "spawn",
         median(ns, WAVES));
  lua_close(L);
}

static void suspend(int object) {
  lua_State *L = open_tables(SUSPEND);
  Ring ring = ring_new(1 << 17);
  double ns[WAVES];
  for (int wave = 0; wave < WAVES; wave++) {
    double begin = cpu_s();
    suspend_wave(L, &ring, object);
    ns[wave] = (cpu_s() - begin) * 1e9 / TASKS;
  }
  report(object ? "first.object" : "first", ns[0]);
  report(object ? "later.object" : "later", median(ns + 1, WAVES - 1));
  free(ring.slots);
  lua_close(L);
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  int object = argc > 2 && strcmp(argv[2], "object") == 0;
  if (strcmp(mode, "suspend") == 0)
    suspend(object);
  else
    trivial(strcmp(mode, "new") == 0, object);
  return 0;
}
