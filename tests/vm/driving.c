/*
 * driving.c - a machine is driven by itself, by the host's loop, or bit by
 * bit, and can be stopped.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "machine.h"

/* == Stopping ========================================================= */

/* TSan keeps a signal back until the thread calls something that it knows,
 * such as realloc. */
#ifdef __SANITIZE_THREAD__
#define FOREVER "while true do local t = {} end"
#else
#define FOREVER "while true do end"
#endif

/* Each tells the host that it is at work, then takes for ever. */
static const char *const busy[] = {
    "at_work() await asyncio.sleep(1000)",
    "at_work() await asyncio.Future()",
    "at_work() " FOREVER,
    "at_work() while true do await asyncio.sleep(0) end",
    "at_work() while true do pcall(function() " FOREVER " end) end",
    "coroutine.wrap(function() at_work() " FOREVER " end)()",
#ifndef __SANITIZE_THREAD__ /* which does not forget frames left by a yield */
    "local co = coroutine.wrap(function()\n"
    "  while true do coroutine.yield {} end end)\n"
    "at_work() while true do co() end",
#endif
    "asyncio.get_running_loop():call_soon(function()\n"
    "  at_work() " FOREVER " end)\n"
    "await asyncio.sleep(1000)",
};

typedef struct Gate {
  uv_sem_t open;
  neap_Vm *vm;
} Gate;

/* at_work(): lets the stopper go */
static int at_work(lua_State *L) {
  Gate *gate = lua_touserdata(L, lua_upvalueindex(1));
  uv_sem_post(&gate->open);
  return 0;
}

static void *stopper(void *ud) {
  Gate *gate = ud;
  uv_sem_wait(&gate->open);
  neap_stop(gate->vm);
  return NULL;
}

static void stop(const char *text) {
  Machine m;
  Gate gate;
  pthread_t thread;
  machine_open(&m, NULL);
  gate.vm = m.vm;
  if (uv_sem_init(&gate.open, 0) < 0) abort();
  lua_pushlightuserdata(m.L, &gate);
  lua_pushcclosure(m.L, at_work, 1);
  lua_setglobal(m.L, "at_work");
  lua_pushfstring(m.L,
                  "local async function task()\n%s\nend\n"
                  "local _ <close> = asyncio.defer(async function()\n"
                  "  await asyncio.sleep(0)\n"
                  "  asyncio.create_task(asyncio.sleep(1000))\n"
                  "  cleaned = 1\n"
                  "end)\n"
                  "asyncio.create_task(asyncio.sleep(1000))\n"
                  "await asyncio.create_task(task())", text);
  if (pthread_create(&thread, NULL, stopper, &gate) != 0) abort();
  machine_start(&m, lua_tostring(m.L, -1));
  neap_run(m.vm);
  pthread_join(thread, NULL);
  expect(machine_count(&m, "cleaned") == 1);
  /* The machine may be used again. */
  expect(machine_run(&m, "await asyncio.sleep(0) return 7") == LUA_OK);
  expect(lua_tointeger(m.L, -1) == 7);
  machine_close(&m);
  uv_sem_destroy(&gate.open);
}

static void test_stop(void) {
  size_t i;
  for (i = 0; i < sizeof busy / sizeof *busy; i++) stop(busy[i]);
}

/* From a signal handler, on the machine's thread and on another one. */
static neap_Vm *volatile stoppable;

static void on_signal(int number) {
  (void)number;
  neap_stop(stoppable);
}

static int raise_signal(lua_State *L) {
  (void)L;
  (void)raise(SIGUSR2);
  return 0;
}

static void *raiser(void *ud) {
  (void)ud;
  (void)raise(SIGUSR2);
  return NULL;
}

static void test_stop_by_signal(void) {
  Machine m;
  pthread_t thread;
  machine_open(&m, NULL);
  stoppable = m.vm;
  (void)signal(SIGUSR2, on_signal);
  lua_register(m.L, "raise_signal", raise_signal);
  expect(machine_run(&m, "raise_signal() " FOREVER) ==
         NEAP_ECANCELED);
  lua_settop(m.L, 0);
  machine_start(&m, "await asyncio.sleep(1000)");
  if (pthread_create(&thread, NULL, raiser, NULL) != 0) abort();
  neap_run(m.vm);
  pthread_join(thread, NULL);
  (void)signal(SIGUSR2, SIG_DFL);
  machine_close(&m);
}

/* A thread that blocks all signals is stopped at its next await. */
static void test_stop_blocked(void) {
  Machine m;
  sigset_t all, before;
  sigfillset(&all);
  (void)pthread_sigmask(SIG_BLOCK, &all, &before);
  stop("at_work() while true do await asyncio.sleep(0) end");
  machine_open(&m, NULL);
  neap_stop(m.vm); /* this waits until the machine is driven */
  expect(machine_run(&m, "await asyncio.sleep(1000)") == NEAP_ECANCELED);
  expect(machine_run(&m, "await asyncio.sleep(0.001)") == LUA_OK);
  machine_close(&m);
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* A call from C begins outside of the loop, and is stopped there as well. */
static void test_stop_call(void) {
  Machine m;
  Gate gate;
  pthread_t thread;
  machine_open(&m, NULL);
  neap_stop(m.vm);
  expect(neap_dostring(m.vm, FOREVER, "=test") == NEAP_ECANCELED);
  gate.vm = m.vm;
  if (uv_sem_init(&gate.open, 0) < 0) abort();
  lua_pushlightuserdata(m.L, &gate);
  lua_pushcclosure(m.L, at_work, 1);
  lua_setglobal(m.L, "at_work");
  if (pthread_create(&thread, NULL, stopper, &gate) != 0) abort();
  expect(neap_dostring(m.vm, "at_work() " FOREVER, "=test") ==
         NEAP_ECANCELED);
  pthread_join(thread, NULL);
  uv_sem_destroy(&gate.open);
  machine_close(&m);
}

/* == Many at once ===================================================== */

enum { STORMERS = 3, STORMS = 300 };

static void *storm(void *ud) {
  Gate *gate = ud;
  int i;
  for (i = 0; i < STORMS; i++) {
    neap_interrupt(gate->vm); /* there is no main task: it does nothing */
    neap_dump(gate->vm);
    if (i % 16 == 0) uv_sleep(1);
  }
  uv_sem_post(&gate->open);
  return NULL;
}

/* over(): whether all threads have done what they do */
static int is_over(lua_State *L) {
  Gate *gate = lua_touserdata(L, lua_upvalueindex(1));
  lua_Integer ended = lua_tointeger(L, 1);
  while (uv_sem_trywait(&gate->open) == 0) ended++;
  lua_pushinteger(L, ended);
  lua_pushboolean(L, ended == STORMERS);
  return 2;
}

#ifdef __SANITIZE_THREAD__ /* which does not forget frames left by a yield */
#define SWITCH "  local t = {}\n"
#else
#define SWITCH "  await asyncio.sleep(0)\n" \
               "  local co = coroutine.wrap(coroutine.yield)\n" \
               "  co() co()\n"
#endif

/* Hooks are set while Lua calls, returns, yields and fails. */
static void test_storm(void) {
  Machine m;
  Gate gate;
  pthread_t thread[STORMERS];
  int i, n;
  machine_open(&m, NULL);
  gate.vm = m.vm;
  if (uv_sem_init(&gate.open, 0) < 0) abort();
  lua_pushlightuserdata(m.L, &gate);
  lua_pushcclosure(m.L, is_over, 1);
  lua_setglobal(m.L, "over");
  machine_start(&m, "local ended, all = 0\n"
                    "local function switch()\n" SWITCH " end\n"
                    "local function deep(n) if n > 0 then deep(n - 1) end end\n"
                    "while not all do\n"
                    "  ended, all = over(ended)\n"
                    "  deep(20)\n"
                    "  pcall(error, 'x')\n"
                    "  switch()\n"
                    "end\n"
                    "return 'whole'");
  for (i = 0; i < STORMERS; i++)
    if (pthread_create(&thread[i], NULL, storm, &gate) != 0) abort();
  expect(neap_wait(m.L, 1, &n) == LUA_OK && n == 1);
  for (i = 0; i < STORMERS; i++) pthread_join(thread[i], NULL);
  machine_close(&m);
  uv_sem_destroy(&gate.open);
}

/* == Polled by a foreign loop ========================================= */

/* A loop of poll(2), which knows nothing of libuv; -> how often it woke. */
static int foreign_loop(Machine *m) {
  int passes = 0;
  do {
    struct pollfd fd = {neap_backend_fd(m->vm), POLLIN, 0};
    if (poll(&fd, 1, neap_backend_timeout(m->vm)) < 0) abort();
    passes++;
  } while (neap_poll(m->vm, 0));
  return passes;
}

/* poll_inside(): neap_poll inside of a task */
static int poll_inside(lua_State *L) {
  lua_pushboolean(L, neap_poll(neap_vm(L), 0) == UV_EBUSY &&
                     neap_run_for(neap_vm(L), 0) == UV_EBUSY);
  return 1;
}

static void test_poll(void) {
  Machine m;
  machine_open(&m, NULL);
  expect(neap_poll(m.vm, 0) == 0); /* nothing is there */
  lua_register(m.L, "poll_inside", poll_inside);
  expect(machine_run(&m, "await asyncio.sleep(0) return poll_inside()") ==
         LUA_OK);
  expect(lua_toboolean(m.L, -1));
  machine_start(&m, "local net = require 'neap.net'\n"
                    "local server <close> = net.listen{host = '127.0.0.1'}\n"
                    "local async function shout(conn)\n"
                    "  for line in conn:lines() do\n"
                    "    await conn:write(line:upper(), '\\n') end\n"
                    "end\n"
                    "asyncio.create_task(server:serve(shout))\n"
                    "local port = server:sockname().port\n"
                    "local host = '127.0.0.1'\n"
                    "local conn <close> = await net.connect(host, port)\n"
                    "for i = 1, 20 do\n"
                    "  await conn:write('x\\n')\n"
                    "  assert(await conn:read_line() == 'X')\n"
                    "  if i % 5 == 0 then await asyncio.sleep(0.002) end\n"
                    "end\n"
                    "done = 1");
  (void)foreign_loop(&m);
  expect(machine_count(&m, "done") == 1);
  machine_close(&m);
}

/* It sleeps while it waits: a busy loop would wake without end. */
static void test_poll_sleeps(void) {
  Machine m;
  uint64_t start = neap_now();
  int passes;
  machine_open(&m, NULL);
  machine_start(&m, "await asyncio.sleep(0.3)");
  passes = foreign_loop(&m);
  expect(neap_now() - start >= 300000000);
  expect(passes < 100);
  /* Waits in neap_poll itself, and no longer than it may. */
  machine_start(&m, "await asyncio.sleep(0.05) done = 1");
  for (passes = 0; machine_count(&m, "done") == 0; passes++)
    (void)neap_poll(m.vm, -1);
  expect(passes < 100);
  machine_start(&m, "await asyncio.sleep(1000)");
  expect(neap_poll(m.vm, 0) == 1);
  expect(neap_poll(m.vm, 1) == 1);
  machine_close(&m);
}

static void on_submitted(lua_State *L, void *data) {
  (void)data;
  lua_pushboolean(L, 1);
  lua_setglobal(L, "submitted");
}

static void *submitter(void *ud) {
  expect(neap_submit(ud, on_submitted, NULL) == 0);
  return NULL;
}

/* A thread's submission makes the descriptor readable, with no task there. */
static void test_poll_wakes(void) {
  Machine m;
  pthread_t thread;
  int is = 0;
  machine_open(&m, NULL);
  (void)neap_poll(m.vm, 0);
  expect(neap_backend_timeout(m.vm) == -1);
  if (pthread_create(&thread, NULL, submitter, m.vm) != 0) abort();
  while (!is) {
    struct pollfd fd = {neap_backend_fd(m.vm), POLLIN, 0};
    expect(poll(&fd, 1, neap_backend_timeout(m.vm)) >= 0);
    (void)neap_poll(m.vm, 0);
    lua_getglobal(m.L, "submitted");
    is = lua_toboolean(m.L, -1);
    lua_pop(m.L, 1);
  }
  pthread_join(thread, NULL);
  machine_close(&m);
}

/* A frame gets its budget and no more: there is work without end. */
static void test_run_for(void) {
  Machine m;
  int frames;
  machine_open(&m, NULL);
  machine_start(&m, "n = 0\n"
                    "while n < 20000 do n = n + 1 await asyncio.sleep(0) end");
  expect(neap_run_for(m.vm, 0) == 1); /* one slice */
  expect(machine_count(&m, "n") > 0 && machine_count(&m, "n") < 20000);
  for (frames = 0; neap_run_for(m.vm, 0.0005); frames++) continue;
  expect(machine_count(&m, "n") == 20000 && frames > 0);
  machine_start(&m, "await asyncio.sleep(1000)");
  expect(neap_run_for(m.vm, 1000) == 0); /* nothing is ready: it returns */
  machine_close(&m);
}

/* == On the host's loop =============================================== */

/* later(): waits for a token that nobody gives back */
static int later(lua_State *L) {
  neap_Token **kept = lua_touserdata(L, lua_upvalueindex(1));
  *kept = neap_token_new(L, NULL, NULL);
  return neap_token_await(L, *kept);
}

static void *resolver(void *ud) {
  (void)neap_token_resolve(ud, NULL, 0);
  return NULL;
}

/* A job that ends when it is cancelled. */
static void job_run(void *job) {
  while (!neap_work_cancelled(job)) uv_sleep(1);
}

static int job_done(lua_State *L, void *job) {
  (void)L;
  (void)job;
  return 0;
}

static const neap_Work job_work = {"a job", job_run, job_done, NULL, NULL};

static int job(lua_State *L) {
  return neap_work_await(L, neap_work_new(L, 1, &job_work));
}

static neap_Token *start_later(Machine *m) {
  static neap_Token *token;
  token = NULL;
  lua_pushlightuserdata(m->L, &token);
  lua_pushcclosure(m->L, later, 1);
  neap_async(m->L, "later");
  lua_setglobal(m->L, "later");
  machine_start(m, "await later() done = 1");
  while (token == NULL) (void)neap_poll(m->vm, 0);
  return token;
}

/* uv_run goes on while a task waits for a token. */
static void test_token_keeps_loop(void) {
  uv_loop_t loop;
  Machine m;
  pthread_t thread;
  if (uv_loop_init(&loop) < 0) abort();
  machine_open(&m, &loop);
  if (pthread_create(&thread, NULL, resolver, start_later(&m)) != 0) abort();
  expect(uv_run(&loop, UV_RUN_DEFAULT) == 0);
  expect(machine_count(&m, "done") == 1);
  pthread_join(thread, NULL);
  machine_close(&m);
  expect(uv_loop_close(&loop) == 0);
}

static void close_it(uv_handle_t *handle, void *ud) {
  (void)ud;
  if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

/* The host closes every handle of its loop, then frees the machine. */
static void lost_loop(int passes) {
  uv_loop_t loop;
  Machine m;
  neap_Token *token;
  if (uv_loop_init(&loop) < 0) abort();
  machine_open(&m, &loop);
  token = start_later(&m);
  lua_pushcfunction(m.L, job);
  neap_async(m.L, "job");
  lua_setglobal(m.L, "job");
  machine_start(&m, "asyncio.create_task(job())\n"
                    "local net = require 'neap.net'\n"
                    "local server = net.listen{host = '127.0.0.1'}\n"
                    "asyncio.create_task(server:serve(function() end))\n"
                    "local fs = require 'neap.fs'\n"
                    "asyncio.create_task(fs.read_file('Makefile'))\n"
                    "local a, b = net.pair()\n"
                    "asyncio.create_task(a:read(1))\n"
                    "local _ <close> = asyncio.defer(async function()\n"
                    "  await asyncio.sleep(0.001) end)\n"
                    "await asyncio.sleep(1000)");
  lua_settop(m.L, 0);
  (void)neap_poll(m.vm, 0);
  uv_walk(&loop, close_it, NULL);
  while (passes-- > 0) (void)uv_run(&loop, UV_RUN_NOWAIT);
  machine_close(&m);
  expect(neap_token_resolve(token, NULL, 0) == 0);
  (void)uv_run(&loop, UV_RUN_NOWAIT);
  expect(uv_loop_close(&loop) == 0);
}

/* == All of them ====================================================== */

int main(void) {
  test_stop();
  test_stop_by_signal();
  test_stop_blocked();
  test_stop_call();
  test_storm();
  test_poll();
  test_poll_sleeps();
  test_poll_wakes();
  test_run_for();
  test_token_keeps_loop();
  lost_loop(0);
  lost_loop(1);
  lost_loop(5);
  if (failures == 0) printf("driving: ok\n");
  return failures != 0;
}
