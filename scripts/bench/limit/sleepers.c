/*
 * sleepers.c - the limit of N tasks that sleep a second: a coroutine each, a
 * 4-ary heap of (deadline, coroutine) and one uv_timer_t. Prints what a task
 * costs in processor time (us) and memory (bytes), and the ms beyond 1 s.
 */
#include <string.h>
#include <uv.h>

#include "luabench.h"

typedef struct Entry {
  uint64_t when; /* ns */
  lua_State *co;
} Entry;

typedef struct Sleepers {
  lua_State *L;
  uv_timer_t timer;
  Entry *heap;
  int size, running;
  uint64_t now; /* read again every 64 coroutines */
} Sleepers;

static const char CHUNK[] = "local sleep = ... return function() sleep() end";
static const int THREADS = 2; /* stack slot of the table that anchors them */
static const uint64_t SECOND = 1000000000;

static void heap_push(Sleepers *s, Entry e) {
  int i = s->size++;
  while (i > 0 && s->heap[(i - 1) / 4].when > e.when) {
    s->heap[i] = s->heap[(i - 1) / 4];
    i = (i - 1) / 4;
  }
  s->heap[i] = e;
}

static int least_child(const Sleepers *s, int i) {
  int best = i * 4 + 1, end = i * 4 + 5 < s->size ? i * 4 + 5 : s->size;
  for (int c = best + 1; c < end; c++)
    if (s->heap[c].when < s->heap[best].when) best = c;
  return best;
}

static Entry heap_pop(Sleepers *s) {
  Entry top = s->heap[0], last = s->heap[--s->size];
  int i = 0;
  for (int c; i * 4 + 1 < s->size; i = c) {
    c = least_child(s, i);
    if (s->heap[c].when >= last.when) break;
    s->heap[i] = s->heap[c];
  }
  s->heap[i] = last;
  return top;
}

/* The coroutine's number lives in its extra space, so that its anchor is
 * found without a search; the main state's holds the Sleepers. */
static int *number_of(lua_State *co) { return lua_getextraspace(co); }

static int sleep_second(lua_State *co) {
  lua_rawgeti(co, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  lua_State *L = lua_tothread(co, -1);
  lua_pop(co, 1);
  Sleepers *s;
  memcpy(&s, lua_getextraspace(L), sizeof(s));
  heap_push(s, (Entry){s->now + SECOND, co});
  return lua_yield(co, 0);
}

static void spawn_all(Sleepers *s, int n) {
  int results = 0;
  for (int i = 1; i <= n; i++) {
    if (i % 64 == 1) s->now = uv_hrtime();
    lua_State *co = lua_newthread(s->L);
    *number_of(co) = i;
    lua_rawseti(s->L, THREADS, i);
    lua_pushvalue(s->L, 1);
    lua_xmove(s->L, co, 1);
    if (lua_resume(co, s->L, 0, &results) != LUA_YIELD) die("resume");
  }
  s->running = n;
}

static void wake_one(Sleepers *s) {
  int results = 0;
  lua_State *co = heap_pop(s).co;
  if (lua_resume(co, s->L, 0, &results) != LUA_OK) die("resume");
  lua_pushnil(s->L);
  lua_rawseti(s->L, THREADS, *number_of(co));
  if (--s->running % 64 == 0) s->now = uv_hrtime();
}

static void on_timer(uv_timer_t *timer) {
  Sleepers *s = timer->data;
  s->now = uv_hrtime();
  while (s->size > 0 && s->heap[0].when <= s->now) wake_one(s);
  if (s->size == 0) return;
  uv_update_time(timer->loop);
  uint64_t wait = s->heap[0].when - s->now;
  (void)uv_timer_start(timer, on_timer, (wait + 999999) / 1000000, 0);
}

int main(int argc, char **argv) {
  int n = argc > 1 ? atoi(argv[1]) : 100000;
  Sleepers s = {.L = open_lua(CHUNK, sleep_second)}, *self = &s;
  memcpy(lua_getextraspace(s.L), &self, sizeof(self));
  s.heap = malloc((size_t)n * sizeof(Entry));
  if (s.heap == NULL || n < 1) die("malloc");
  lua_newtable(s.L);
  uv_timer_init(uv_default_loop(), &s.timer);
  s.timer.data = &s;

  double wall = wall_s(), cpu = cpu_s(), rss = peak_rss();
  spawn_all(&s, n);
  on_timer(&s.timer);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  report("cpu", (cpu_s() - cpu) * 1e6 / n);
  report("late", (wall_s() - wall - 1) * 1e3);
  report("rss", (peak_rss() - rss) / n);
  return 0;
}
