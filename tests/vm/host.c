/*
 * host.c - what neap.h promises to a program that embeds neap, by neap.h
 * alone.
 *
 * Each test is a function; `expect` tells where one failed. Machines get an
 * allocator that counts, so that a machine that is freed has freed all.
 */
#include <pthread.h>
#include <unistd.h>
#include <uv.h>

#include "host.h"

/* == Machines ========================================================== */

static void test_run(void) {
  Host host;
  host_open(&host, NULL);
  expect(neap_data(host.vm) == &host);
  expect(neap_vm(host.L) == host.vm);
  expect(run(&host, "return 1, await asyncio.sleep(0.001, 'x'), nil") ==
         LUA_OK);
  expect(lua_gettop(host.L) == 3);
  expect(lua_tointeger(host.L, 1) == 1);
  expect(strcmp(lua_tostring(host.L, 2), "x") == 0);
  expect(run(&host, "await asyncio.sleep(0) error {1}") == LUA_ERRRUN);
  expect(lua_istable(host.L, -1));
  expect(run(&host, "return") == LUA_OK && lua_gettop(host.L) == 0);
  lua_settop(host.L, 0);
  expect(neap_load(host.L, "await (", 7, "=x", "t") == LUA_ERRSYNTAX);
  expect(strncmp(lua_tostring(host.L, -1), "x:1:", 4) == 0);
  expect(neap_translate(host.L, "x = 1", 5, "=x") == LUA_OK);
  expect(strcmp(lua_tostring(host.L, -1), "x = 1") == 0);
  expect(neap_failed(host.vm) == 0);
  host_close(&host);
}

/* A file may begin with a line for the shell, and need not be there. */
static void test_loadfile(void) {
  char path[] = "/tmp/neap-host.XXXXXX";
  static const char text[] = "#!/usr/bin/env neap\n"
                             "return await asyncio.sleep(0, ...)\n";
  int fd = mkstemp(path), n;
  Host host;
  expect(fd >= 0);
  expect(write(fd, text, sizeof text - 1) == (ssize_t)sizeof text - 1);
  (void)close(fd);
  host_open(&host, NULL);
  expect(neap_loadfile(host.L, path, "t") == LUA_OK);
  lua_pushliteral(host.L, "given");
  neap_spawn(host.L, 1, NULL);
  expect(neap_wait(host.L, -1, &n) == LUA_OK && n == 1);
  expect(strcmp(lua_tostring(host.L, -1), "given") == 0);
  expect(neap_loadfile(host.L, path, "b") == LUA_ERRSYNTAX);
  (void)unlink(path);
  expect(neap_loadfile(host.L, path, NULL) == LUA_ERRFILE);
  expect(strstr(lua_tostring(host.L, -1), path) != NULL);
  host_close(&host);
}

/* One machine's work, in whatever thread. */
static void *work(void *ud) {
  long *failed = ud;
  int i;
  for (i = 0; i < 5; i++) {
    neap_Vm *vm = neap_vm_new(NULL);
    lua_State *L = neap_state(vm);
    int n;
    start(L,
          "local q, sum = asyncio.Queue(3), 0\n"
          "local async function put()\n"
          "  for i = 1, 500 do await q:put(i) end end\n"
          "local async function get() for i = 1, 500 do\n"
          "  sum = sum + await q:get() await asyncio.sleep(0) end end\n"
          "await asyncio.gather(put(), get())\n"
          "return sum");
    if (neap_wait(L, -1, &n) != LUA_OK || lua_tointeger(L, -1) != 125250)
      ++*failed;
    neap_vm_free(vm);
  }
  return NULL;
}

static void test_threads(void) {
  pthread_t thread[2];
  long failed[2] = {0, 0};
  int i;
  for (i = 0; i < 2; i++)
    if (pthread_create(&thread[i], NULL, work, &failed[i]) != 0) abort();
  for (i = 0; i < 2; i++) pthread_join(thread[i], NULL);
  expect(failed[0] == 0 && failed[1] == 0);
}

static void test_several(void) {
  Host a, b, c;
  host_open(&a, NULL);
  host_open(&b, NULL);
  expect(run(&a, "x = 1") == LUA_OK);
  expect(run(&b, "x = 2") == LUA_OK);
  host_open(&c, NULL);
  expect(run(&a, "return x") == LUA_OK && lua_tointeger(a.L, 1) == 1);
  host_close(&a);
  expect(run(&b, "return x") == LUA_OK && lua_tointeger(b.L, 1) == 2);
  expect(run(&c, "return x") == LUA_OK && lua_isnil(c.L, 1));
  host_close(&c);
  host_close(&b);
}

/* == Tasks ============================================================= */

static void test_cancel(void) {
  Host host;
  int n;
  host_open(&host, NULL);
  start(host.L, "local _ <close> = asyncio.defer(async function()\n"
                "  await asyncio.sleep(0) cleaned = true end)\n"
                "await asyncio.sleep(1000)");
  expect(neap_cancel(host.L, 1, "enough") == 1);
  expect(neap_wait(host.L, 1, &n) == NEAP_ECANCELED);
  expect(strstr(text_at(&host, -1), "enough") != NULL);
  expect(neap_cancel(host.L, 1, NULL) == 0);
  lua_settop(host.L, 0);
  start(host.L, "local _ <close> = asyncio.defer(async function()\n"
                "  await asyncio.sleep(0) cleaned = true end)\n"
                "await asyncio.sleep(1000)");
  expect(run(&host, "await asyncio.sleep(0) return cleaned") == LUA_OK);
  expect(lua_isnil(host.L, -1));
  neap_finish(host.L);
  lua_getglobal(host.L, "cleaned");
  expect(lua_toboolean(host.L, -1));
  host_close(&host);
}

/* A machine that is freed in the middle of everything. */
static void test_free_at_work(void) {
  static const char text[] =
      "cleaned = 0\n"
      "local async function f()\n"
      "  local _ <close> = asyncio.defer(async function()\n"
      "    await asyncio.sleep(0.001) end)\n"
      "  await asyncio.sleep(1000)\n"
      "end\n"
      "local q, ev = asyncio.Queue(), asyncio.Event()\n"
      "asyncio.create_task(q:get())\n"
      "asyncio.create_task(ev:wait())\n"
      "asyncio.create_task(asyncio.wait_for(f(), 100))\n"
      "local t = asyncio.create_task(f())\n"
      "asyncio.shield(t)\n"
      "asyncio.gather(t, f(), asyncio.Future(), f())\n"
      "asyncio.gather(asyncio.Future())\n"
      "asyncio.get_running_loop():call_later(100, print)\n"
      "local g = coroutine.wrap(function() f() end)\n"
      "local group <close> = asyncio.TaskGroup()\n"
      "group:create_task(f())\n"
      "await asyncio.sleep(ARG)\n";
  int turns;
  for (turns = 0; turns < 6; turns++) {
    Host host;
    int i;
    host_open(&host, NULL);
    lua_pushnumber(host.L, 1000);
    lua_setglobal(host.L, "ARG");
    start(host.L, text);
    lua_settop(host.L, 0);
    for (i = 0; i < turns; i++) turn(&host);
    host_close(&host);
    expect(host.errors == 0);
  }
}

/* neap_run ends when no task is left. */
static void test_run_all(void) {
  Host host;
  host_open(&host, NULL);
  lua_settop(host.L, 0);
  start(host.L, "n = 0 local async function f() await asyncio.sleep(0.001)\n"
                "n = n + 1 end\n"
                "asyncio.create_task(f()) asyncio.create_task(f())");
  neap_run(host.vm);
  lua_getglobal(host.L, "n");
  expect(lua_tointeger(host.L, -1) == 2);
  host_close(&host);
}

/* == Leaving and interrupts ============================================ */

static void test_exit(void) {
  Host host;
  int n, code = -1;
  host_open(&host, NULL);
  expect(neap_exiting(host.vm, &code) == 0);
  start(host.L, "local _ <close> = asyncio.defer(function() left = 1 end)\n"
                "asyncio.create_task(asyncio.sleep(1000))\n"
                "await asyncio.sleep(0) os.exit(7, true)");
  expect(neap_wait(host.L, 1, &n) == NEAP_ECANCELED);
  expect(neap_exiting(host.vm, &code) == 1 && code == 7);
  host_close(&host);
}

/* == Interrupts ======================================================== */

/* TSan keeps a signal back until the thread calls something that it knows,
 * such as realloc. */
#ifdef __SANITIZE_THREAD__
#define FOREVER "while true do local t = {} end"
#else
#define FOREVER "while true do end"
#endif

static void *interrupter(void *ud) {
  usleep(20000);
  neap_interrupt(ud);
  return NULL;
}

static void interrupt(const char *text, const char *outcome) {
  Host host;
  pthread_t thread;
  int n, status;
  host_open(&host, NULL);
  start(host.L, text);
  neap_set_main(host.L, 1);
  if (pthread_create(&thread, NULL, interrupter, host.vm) != 0) abort();
  status = neap_wait(host.L, 1, &n);
  pthread_join(thread, NULL);
  if (outcome == NULL) {
    expect(status == NEAP_ECANCELED);
  } else {
    expect(status == LUA_OK);
    expect(strcmp(text_at(&host, -1), outcome) == 0);
  }
  host_close(&host);
}

static void test_interrupt(void) {
  interrupt("await asyncio.sleep(1000)", NULL);
  interrupt("await asyncio.sleep(0) " FOREVER, NULL);
  interrupt("await asyncio.Future()", NULL);
  interrupt("local ok, e = asyncio.catch(asyncio.sleep, 0)\n"
            "local ok, e = asyncio.catch(await, asyncio.sleep(1000))\n"
            "asyncio.current_task():uncancel()\n"
            "return asyncio.iserror(e, asyncio.CancelledError) and 'caught'",
            "caught");
  /* Another task computes; the main one is what is cancelled. */
  interrupt("local async function busy() local t = os.clock()\n"
            "  while os.clock() < t + 0.1 do end end\n"
            "asyncio.create_task(busy())\n"
            "await asyncio.sleep(1000)", NULL);
}

static int interrupt_now(lua_State *L) {
  neap_interrupt(neap_vm(L));
  return 0;
}

/* The main task cannot get to run: a second interrupt is for who computes.
 * After it has ended, interrupts go to the main task before it. */
static void test_second_interrupt(void) {
  Host host;
  int n;
  host_open(&host, NULL);
  lua_register(host.L, "interrupt_now", interrupt_now);
  start(host.L, "await asyncio.sleep(1000)");
  neap_set_main(host.L, 1);
  start(host.L, "local async function busy()\n"
                "  interrupt_now() for _ = 1, 500000 do end\n"
                "  interrupt_now() " FOREVER " end\n"
                "busy_task = asyncio.create_task(busy())\n"
                "await asyncio.Future()");
  neap_set_main(host.L, 2);
  expect(neap_wait(host.L, 2, &n) == NEAP_ECANCELED);
  lua_settop(host.L, 1);
  start(host.L, "pcall(await, busy_task) return busy_task:state()");
  expect(neap_wait(host.L, 2, &n) == LUA_OK);
  expect(strcmp(text_at(&host, -1), "cancelled") == 0);
  neap_interrupt(host.vm);
  lua_settop(host.L, 1);
  expect(neap_wait(host.L, 1, &n) == NEAP_ECANCELED);
  host_close(&host);
}

/* == Async functions in C ============================================== */

/* A place to wait, as a C module would have one. */
typedef struct Place {
  neap_Wait wait;
  int aborted, status;
} Place;

static const char place_key = 0;

static Place *place_get(lua_State *L) {
  Place *place;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &place_key);
  place = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return place;
}

static void on_abort(neap_Wait *w) { ((Place *)w)->aborted++; }

static int place_done(lua_State *L, int status) {
  place_get(L)->status = status;
  if (status < 0) return neap_fail(L, status, "place %d", 3);
  lua_pushinteger(L, lua_gettop(L)); /* the arguments are still there */
  lua_pushinteger(L, status);
  return 2;
}

/* place(...) -> how many arguments, status */
static int place_wait(lua_State *L) {
  return neap_await(L, &place_get(L)->wait, place_done);
}

static int at_once(lua_State *L) { return lua_gettop(L); }

static int value_done(lua_State *L, int status) {
  (void)status;
  lua_pushinteger(L, lua_gettop(L));
  return 1;
}

/* count(n, awaitable) -> 2 and how many values it gave */
static int await_count(lua_State *L) {
  return neap_await_value(L, 2, value_done);
}

static const neap_Async functions[] = {
    {"place", place_wait}, {"at_once", at_once}, {"count", await_count},
    {NULL, NULL}};

static void host_open_place(Host *host, Place *place) {
  host_open(host, NULL);
  memset(place, 0, sizeof *place);
  place->wait.abort = on_abort;
  place->wait.what = "something";
  lua_pushlightuserdata(host->L, place);
  lua_rawsetp(host->L, LUA_REGISTRYINDEX, &place_key);
  lua_pushglobaltable(host->L);
  neap_setasync(host->L, functions);
  lua_settop(host->L, 0);
}

static void test_await(void) {
  Host host;
  Place place;
  int n;
  host_open_place(&host, &place);
  expect(neap_wake(&place.wait, 1) == 0); /* nobody is there */
  start(host.L, "return await place('a', nil, nil)");
  expect(neap_waiting(&place.wait) == 0);
  turn(&host);
  expect(neap_waiting(&place.wait) == 1);
  expect(neap_wake(&place.wait, 5) == 1);
  expect(neap_waiting(&place.wait) == 0);
  expect(neap_wake(&place.wait, 6) == 0); /* too late */
  expect(neap_wait(host.L, 1, &n) == LUA_OK && n == 2);
  expect(lua_tointeger(host.L, -2) == 3 && lua_tointeger(host.L, -1) == 5);
  lua_settop(host.L, 0);
  start(host.L, "await place()");
  turn(&host);
  neap_wake(&place.wait, UV_ECONNRESET);
  expect(neap_wait(host.L, 1, &n) == LUA_ERRRUN);
  expect(strcmp(text_at(&host, -1),
                "host:1: place 3: connection reset by peer") == 0);
  expect(run(&host, "assert(await at_once(1, 2) == 1)\n"
                    "local async function two() await asyncio.sleep(0)\n"
                    "return 1, 2 end\n"
                    "assert(await count(0, two()) == 4)\n"
                    "local ok, e = pcall(count, 0, 5)\n"
                    "local ok, e = pcall(await, count(0, 5))\n"
                    "assert(not ok and e:find 'await a number')\n"
                    "return asyncio.iscoroutine(at_once())") == LUA_OK);
  expect(lua_toboolean(host.L, -1));
  expect(host.warnings == 0 || strstr(host.text, "never awaited") != NULL);
  /* A second waiter is told so; the first one still gets its wake. */
  lua_settop(host.L, 0);
  start(host.L, "return await place()");
  turn(&host);
  expect(run(&host, "await place()") == LUA_ERRRUN);
  expect(strstr(text_at(&host, -1), "already waiting here: something") !=
         NULL);
  expect(neap_wake(&place.wait, 0) == 1);
  neap_run(host.vm);
  expect(place.aborted == 0);
  host_close(&host);
}

static void test_abort(void) {
  Host host;
  Place place;
  int n;
  host_open_place(&host, &place);
  start(host.L, "return await place()");
  turn(&host);
  expect(neap_cancel(host.L, 1, NULL) == 1);
  expect(place.aborted == 1);
  expect(neap_waiting(&place.wait) == 0);
  expect(neap_wake(&place.wait, 0) == 0); /* comes late: dropped */
  place.status = 77;
  expect(neap_wait(host.L, 1, &n) == NEAP_ECANCELED);
  expect(place.status == 77); /* `done` was not called */
  /* Woken first, cancelled before it runs: the cancel wins. */
  lua_settop(host.L, 0);
  start(host.L, "return await place()");
  turn(&host);
  expect(neap_wake(&place.wait, 0) == 1);
  expect(neap_cancel(host.L, 1, NULL) == 1);
  expect(place.aborted == 1);
  expect(neap_wait(host.L, 1, &n) == NEAP_ECANCELED);
  /* Cancelled before it waits: aborted as soon as it does. */
  lua_settop(host.L, 0);
  start(host.L, "asyncio.current_task():cancel() await place()");
  expect(neap_wait(host.L, 1, &n) == NEAP_ECANCELED);
  expect(place.aborted == 2 && !neap_waiting(&place.wait));
  /* The place can be used again, and a catch goes on with it. */
  lua_settop(host.L, 0);
  start(host.L, "asyncio.catch(place) asyncio.catch(await, place())\n"
                "return await place()");
  turn(&host);
  neap_cancel(host.L, 1, NULL);
  turn(&host);
  expect(neap_wake(&place.wait, 9) == 1);
  expect(neap_wait(host.L, 1, &n) == LUA_OK);
  expect(lua_tointeger(host.L, -1) == 9);
  /* Freed while a task is parked there. */
  lua_settop(host.L, 0);
  start(host.L, "await place()");
  turn(&host);
  host_close(&host);
  expect(!neap_waiting(&place.wait));
}

/* Not in a task, and below C code that cannot be suspended. */
static void test_await_refused(void) {
  Host host;
  Place place;
  host_open_place(&host, &place);
  expect(run(&host, "return pcall(function()\n"
                    "  table.sort({1, 2}, function() await place() end)\n"
                    "end)") == LUA_OK);
  expect(!lua_toboolean(host.L, 1));
  expect(strstr(lua_tostring(host.L, 2), "table.sort") != NULL);
  expect(!neap_waiting(&place.wait));
  lua_settop(host.L, 0);
  expect(neap_load(host.L, "await place()", 13, "=x", "t") == LUA_OK);
  expect(lua_pcall(host.L, 0, 0, 0) == LUA_ERRRUN);
  expect(strstr(lua_tostring(host.L, -1), "await outside a task") != NULL);
  host_close(&host);
}

/* == Timers ============================================================ */

typedef struct Clock {
  neap_Timer timer;
  int fired;
  int again; /* how often it starts itself anew */
} Clock;

static void on_clock(neap_Vm *vm, neap_Timer *t) {
  Clock *c = (Clock *)t;
  c->fired++;
  if (c->again-- > 0) expect(neap_timer_start(vm, t, neap_now()) == 0);
}

static void test_timers(void) {
  Host host;
  Clock a = {.fired = 0}, b = a, never = a;
  uint64_t now = neap_now();
  a.timer.fire = b.timer.fire = never.timer.fire = on_clock;
  a.again = 3;
  host_open(&host, NULL);
  neap_timer_stop(host.vm, &a.timer); /* is not started */
  expect(neap_timer_start(host.vm, &a.timer, now + 1000000000000) == 0);
  expect(neap_timer_start(host.vm, &a.timer, now + 2000000) == 0); /* moves */
  expect(neap_timer_start(host.vm, &b.timer, now + 1000000) == 0);
  expect(neap_timer_start(host.vm, &never.timer, now + 1000000) == 0);
  neap_timer_stop(host.vm, &never.timer);
  neap_timer_stop(host.vm, &never.timer);
  expect(run(&host, "await asyncio.sleep(0.01)") == LUA_OK);
  expect(neap_now() - now >= 10000000);
  while (a.fired < 4 || b.fired < 1)
    expect(run(&host, "await asyncio.sleep(0.001)") == LUA_OK);
  expect(a.fired == 4 && b.fired == 1 && never.fired == 0);
  expect(neap_timer_start(host.vm, &never.timer, now + 1000000000000) == 0);
  host_close(&host);
  expect(never.fired == 0);
}

/* == Handles =========================================================== */

typedef struct Thing {
  neap_Handle handle;
  uv_timer_t timer;
  neap_Wait wait;
  Host *host;
} Thing;

static struct {
  int closed, released;
} things;

static void thing_close(neap_Handle *h) {
  things.closed++;
  (void)neap_wake(&((Thing *)h)->wait, NEAP_ECLOSED);
}

static void thing_release(neap_Handle *h) {
  things.released++;
  expect(h->uv == NULL && h->pins == 0);
}

static const neap_Class thing_class = {"neap.Thing", thing_close,
                                       thing_release};

static int thing_done(lua_State *L, int status) {
  if (status < 0) return neap_fail(L, status, "thing");
  lua_pushinteger(L, status);
  return 1;
}

static int thing_wait(lua_State *L) {
  Thing *t = neap_handle_check(L, 1, &thing_class);
  return neap_await(L, &t->wait, thing_done);
}

static int thing_ok(lua_State *L) {
  (void)neap_handle_check(L, 1, &thing_class);
  return 0;
}

/* thing(open) -> Thing, with a libuv handle or without */
static int thing_new(lua_State *L) {
  Thing *t = neap_handle_new(L, sizeof *t, &thing_class);
  t->host = neap_data(neap_vm(L));
  if (lua_toboolean(L, 1)) {
    if (uv_timer_init(neap_loop(L), &t->timer) < 0) abort();
    neap_handle_opened(&t->handle, &t->timer);
    expect(t->timer.data == t);
  }
  return 1;
}

static void host_open_things(Host *host, uv_loop_t *loop) {
  static const luaL_Reg methods[] = {{"ok", thing_ok}, {NULL, NULL}};
  static const neap_Async async[] = {{"wait", thing_wait}, {NULL, NULL}};
  host_open(host, loop);
  neap_class_new(host->L, &thing_class, methods, async);
  neap_class_new(host->L, &thing_class, methods, async);
  expect(lua_rawequal(host->L, 1, 2));
  lua_register(host->L, "thing", thing_new);
  lua_settop(host->L, 0);
  things.closed = things.released = 0;
}

/* Pushes a new Thing. */
static Thing *thing_push(Host *host, int open) {
  lua_pushcfunction(host->L, thing_new);
  lua_pushboolean(host->L, open);
  lua_call(host->L, 1, 1);
  return neap_handle_test(host->L, -1, &thing_class);
}

/* Does the steps in their order: c(lose), g(arbage), t(urn), p(in), u(npin),
 * x (the machine is freed). */
static void steps(const char *order, int open) {
  Host host;
  Thing *t;
  int had = failures;
  const char *step;
  host_open_things(&host, NULL);
  t = thing_push(&host, open);
  expect(!neap_handle_closed(&t->handle));
  for (step = order; *step != '\0'; step++) {
    switch (*step) {
    case 'c': neap_handle_close(&t->handle); break;
    case 'p': neap_handle_pin(&t->handle); break;
    case 'u': neap_handle_unpin(&t->handle); break;
    case 't': turn(&host); break;
    case 'g':
      lua_settop(host.L, 0);
      lua_gc(host.L, LUA_GCCOLLECT);
      break;
    default: break;
    }
    expect(things.closed <= 1 && things.released <= 1);
  }
  host_close(&host);
  expect(things.closed == 1 && things.released == 1);
  if (failures > had) printf("  with the steps %s, %d\n", order, open);
}

static void test_handle_orders(void) {
  static const char *const orders[] = {
      "",      "c",     "cc",    "g",      "cg",      "ct",     "gt",
      "cgt",   "ctg",   "pu",    "pcu",    "pcug",    "pgu",    "pgtu",
      "pctgu", "pcgtu", "cpgut", "ppucug", "pgtut",   "ppgutu", "pctug",
      "pcutg", "cpug",  "cptgu", "cgpu",   "pcgttuct"};
  size_t i;
  for (i = 0; i < sizeof orders / sizeof *orders; i++) {
    const char *order = orders[i];
    if (strcmp(order, "cgpu") == 0) order = "cpgu";
    if (strcmp(order, "pcgttuct") == 0) order = "pcgttu";
    steps(order, 0);
    steps(order, 1);
  }
}

static void test_handles(void) {
  Host host;
  Thing *t;
  int n;
  host_open_things(&host, NULL);
  expect(run(&host, "local t = thing(true) t:ok()\n"
                    "assert(not t:closed()) t:close() assert(t:closed())\n"
                    "t:close()\n"
                    "assert(tostring(t) == 'Thing (closed)')\n"
                    "local ok, e = pcall(t.ok, t)\n"
                    "assert(not ok and e:find 'the Thing is closed', e)\n"
                    "ok, e = pcall(t.ok, {})\n"
                    "assert(e:find 'Thing expected, got table', e)\n"
                    "ok, e = pcall(t.ok, io.stdout)\n"
                    "assert(e:find 'Thing expected', e)\n"
                    "do local u <close> = thing(true) t = u end\n"
                    "assert(t:closed())\n"
                    "return asyncio._handles()") == LUA_OK);
  expect(lua_tointeger(host.L, -1) == 0);
  /* Whoever waits in it is told when it is closed. */
  lua_settop(host.L, 0);
  t = thing_push(&host, 1);
  lua_setglobal(host.L, "t");
  start(host.L, "return await t:wait()");
  turn(&host);
  neap_handle_push(host.L, &t->handle);
  expect(neap_handle_check(host.L, -1, &thing_class) == t);
  lua_pop(host.L, 1);
  neap_handle_close(&t->handle);
  expect(neap_wait(host.L, 1, &n) == LUA_ERRRUN);
  expect(strstr(text_at(&host, -1), "thing: it was closed") != NULL);
  expect(neap_handle_test(host.L, 1, &thing_class) == NULL); /* a Task */
  lua_settop(host.L, 0);
  lua_pushinteger(host.L, 1);
  expect(neap_handle_test(host.L, 1, &thing_class) == NULL);
  /* The object of a struct that Lua has collected is nil. */
  neap_handle_pin(&t->handle);
  lua_pushnil(host.L);
  lua_setglobal(host.L, "t");
  lua_settop(host.L, 0);
  lua_gc(host.L, LUA_GCCOLLECT);
  neap_handle_push(host.L, &t->handle);
  expect(lua_isnil(host.L, -1));
  neap_handle_unpin(&t->handle);
  /* One that has lost its metatable goes with the machine. */
  expect(run(&host, "x = debug.setmetatable(thing(true), nil)\n"
                    "debug.setmetatable(thing(true), {})") == LUA_OK);
  host_close(&host);
}

/* == Callbacks ========================================================= */

static int on_call(lua_State *L) {
  lua_getglobal(L, "calls");
  lua_pushinteger(L, lua_tointeger(L, -1) + 1);
  lua_setglobal(L, "calls");
  return 0;
}

static void test_callbacks(void) {
  Host host;
  neap_Callback *c, *d;
  host_open(&host, NULL);
  lua_pushcfunction(host.L, on_call);
  c = neap_callback_new(host.L, -1);
  d = neap_callback_new(host.L, 1);
  expect(lua_gettop(host.L) == 1);
  neap_callback_call(c);
  neap_callback_call(c); /* once for both */
  neap_callback_call(d);
  neap_callback_free(d);
  lua_settop(host.L, 0);
  turn(&host);
  neap_callback_call(c);
  lua_gc(host.L, LUA_GCCOLLECT);
  turn(&host);
  lua_getglobal(host.L, "calls");
  expect(lua_tointeger(host.L, -1) == 2);
  neap_callback_free(NULL);
  neap_callback_free(c);
  lua_gc(host.L, LUA_GCCOLLECT);
  lua_pushcfunction(host.L, on_call);
  (void)neap_callback_new(host.L, -1); /* the machine's end ends it */
  host_close(&host);
}

/* == Somebody else's loop ============================================== */

static void on_timer(uv_timer_t *timer) { ++*(int *)timer->data; }

static void test_borrowed_loop(void) {
  uv_loop_t loop;
  uv_timer_t timer;
  Host a, b;
  int ticks = 0, n;
  if (uv_loop_init(&loop) < 0) abort();
  uv_timer_init(&loop, &timer);
  timer.data = &ticks;
  host_open_things(&a, &loop);
  host_open(&b, &loop);
  expect(neap_loop(a.L) == &loop && neap_loop(b.L) == &loop);
  expect(uv_run(&loop, UV_RUN_DEFAULT) == 0); /* nothing to wait for */
  start(a.L, "for i = 1, 3 do await asyncio.sleep(0.001) end return 'a'");
  start(b.L, "for i = 1, 3 do await asyncio.sleep(0.001) end return 'b'");
  uv_timer_start(&timer, on_timer, 1, 1);
  uv_unref((uv_handle_t *)&timer);
  expect(uv_run(&loop, UV_RUN_DEFAULT) == 0); /* until both have ended */
  expect(ticks > 0);
  expect(neap_wait(a.L, 1, &n) == LUA_OK && *lua_tostring(a.L, -1) == 'a');
  expect(neap_wait(b.L, 1, &n) == LUA_OK && *lua_tostring(b.L, -1) == 'b');
  lua_settop(a.L, 0);
  lua_settop(b.L, 0);
  /* A stopped timer does not keep the loop running. */
  start(a.L, "local t = asyncio.get_running_loop():call_later(1000, print)\n"
             "await asyncio.sleep(0.001) t:cancel()");
  expect(uv_run(&loop, UV_RUN_DEFAULT) == 0);
  {
    Clock late = {.fired = 0};
    late.timer.fire = on_clock;
    uv_timer_stop(&timer);
    neap_timer_start(a.vm, &late.timer, neap_now() + 1000000000000);
    neap_timer_stop(a.vm, &late.timer);
    alarm(30);
    expect(uv_run(&loop, UV_RUN_DEFAULT) == 0);
    alarm(0);
  }
  /* One is freed with work left; the other one goes on. */
  start(a.L, "await asyncio.sleep(1000)");
  start(b.L, "await asyncio.sleep(0.002) return 'b'");
  (void)thing_push(&a, 1);
  uv_run(&loop, UV_RUN_NOWAIT);
  host_close(&a);
  expect(neap_wait(b.L, 1, &n) == LUA_OK && *lua_tostring(b.L, -1) == 'b');
  host_close(&b);
  uv_close((uv_handle_t *)&timer, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  expect(uv_loop_close(&loop) == 0); /* nothing of ours is in it */
}

/* == All of them ======================================================= */

/* What finalizers open and start while the state is being closed. */
static void test_last_finalizers(void) {
  static const char *const last[] = {
    "require 'neap.process'.signals 'SIGUSR1'", "require 'neap.net'.pair()",
    "net.pair()", "net.udp{}", "process.signals 'SIGUSR2'",
    "fs.watch '/tmp'", "fs.scandir '/'",
    "asyncio.create_task(asyncio.sleep(1))",
    "asyncio.gather(asyncio.sleep(1), asyncio.sleep(2))",
    "asyncio.get_running_loop():call_later(1, print)",
    "asyncio.Future():set_exception 'lost'",
    "coroutine.wrap(function() await asyncio.sleep(0) end)()"};
  size_t i;
  for (i = 0; i < sizeof last / sizeof *last; i++) {
    char text[400];
    Host host;
    snprintf(text, sizeof text,
             "%s x = setmetatable({}, {__gc = function() y = %s end})",
             strstr(last[i], "require") != NULL ? "" :
             "net, fs = require 'neap.net', require 'neap.fs'\n"
             "process = require 'neap.process'", last[i]);
    host_open(&host, NULL);
    expect(run(&host, text) == LUA_OK);
    host_close(&host);
  }
}

int main(void) {
  test_last_finalizers();
  test_run();
  test_loadfile();
  test_threads();
  test_several();
  test_cancel();
  test_free_at_work();
  test_run_all();
  test_exit();
  test_interrupt();
  test_second_interrupt();
  test_await();
  test_abort();
  test_await_refused();
  test_timers();
  test_handle_orders();
  test_handles();
  test_callbacks();
  test_borrowed_loop();
  if (failures == 0) printf("host: ok\n");
  return failures != 0;
}
