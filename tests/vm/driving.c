/*
 * driving.c - a machine is driven by itself, by the host's loop, or bit by
 * bit, and can be stopped.
 */
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

/* == All of them ====================================================== */

int main(void) {
  test_stop();
  test_stop_by_signal();
  test_stop_blocked();
  if (failures == 0) printf("driving: ok\n");
  return failures != 0;
}
