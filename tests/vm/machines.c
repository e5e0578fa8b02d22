/*
 * machines.c - many machines, one after the other and at the same time.
 */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <uv.h>

#include "host.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* A sanitizer keeps what was freed, and so does valgrind. */
static int frees_at_once(void) {
  return !SANITIZED && getenv("VALGRIND") == NULL;
}

/* Pages of memory that the process has; 0 if that cannot be known. */
static long resident(void) {
  FILE *file = fopen("/proc/self/statm", "r");
  long pages = 0;
  if (file == NULL) return 0;
  if (fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
  fclose(file);
  return pages;
}

static neap_Vm *make(void) {
  neap_Vm *vm = neap_vm_new(NULL);
  if (vm == NULL) abort();
  return vm;
}

/* Every tenth has done something before it is freed. */
static void test_make_and_free(void) {
  int i, n = SANITIZED ? 1000 : getenv("VALGRIND") != NULL ? 10 : 10000;
  long before = 0;
  for (i = 0; i < n; i++) {
    neap_Vm *vm = make();
    if (i % 10 == 0)
      start(neap_state(vm), "local q = asyncio.Queue(1)\n"
                            "asyncio.create_task(q:get())\n"
                            "await asyncio.sleep(0) await q:put(1)");
    neap_vm_free(vm);
    if (i == n / 10) before = resident();
  }
  if (frees_at_once()) expect(resident() <= before + 256);
  neap_vm_free(NULL);
}

/* Loops cost files, of which a process has few: these share one. */
static void test_at_once(void) {
  enum { N = 1000 };
  static neap_Vm *all[N];
  uv_loop_t loop;
  long before = resident();
  int i, n = getenv("VALGRIND") != NULL ? 20 : N;
  neap_Options options;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.loop = &loop;
  if (uv_loop_init(&loop) < 0) abort();
  for (i = 0; i < n; i++) {
    all[i] = neap_vm_new(&options);
    if (all[i] == NULL) abort();
  }
  if (!SANITIZED) /* 150 KiB each, and what malloc may have kept */
    expect((resident() - before) * 4 <= n * 150L + 1024);
  for (i = 0; i < n; i++)
    start(neap_state(all[i]), "x = 0 for i = 1, 3 do "
                              "x = x + await asyncio.sleep(0, i) end");
  expect(uv_run(&loop, UV_RUN_DEFAULT) == 0);
  for (i = 0; i < n; i++) {
    lua_getglobal(neap_state(all[i]), "x");
    expect(lua_tointeger(neap_state(all[i]), -1) == 6);
  }
  for (i = 0; i < n; i++) neap_vm_free(all[i]);
  expect(uv_loop_close(&loop) == 0);
}

/* A host that was compiled when the options were fewer: what is behind its
 * `size` is not looked at. */
static void test_old_options(void) {
  struct {
    neap_Options options;
    char more[64];
  } given;
  neap_Vm *vm;
  memset(&given, 0x55, sizeof given);
  memset(&given, 0, offsetof(neap_Options, modules));
  given.options.size = offsetof(neap_Options, modules);
  given.options.data = &given;
  vm = neap_vm_new(&given.options);
  expect(vm != NULL && neap_data(vm) == &given);
  expect(neap_dostring(vm, "return require 'neap.fs'", "=x") == LUA_OK);
  neap_vm_free(vm);
  memset(&given, 0, sizeof given); /* and one that is newer than the library */
  memset(given.more, 0x55, sizeof given.more);
  given.options.size = sizeof given;
  vm = neap_vm_new(&given.options);
  expect(vm != NULL);
  neap_vm_free(vm);
}

static uv_sem_t listening;

static int say_listening(lua_State *L) {
  (void)L;
  uv_sem_post(&listening);
  return 0;
}

/* A machine on a thread, which takes so many signals; gives what it got. */
static void *listen_to(void *count) {
  Host host;
  char text[200];
  long got;
  host_open(&host, NULL);
  lua_register(host.L, "say", say_listening);
  snprintf(text, sizeof text,
           "local s <close> = require 'neap.process'.signals 'SIGUSR2' "
           "for i = 1, %d do say() if await s:next() ~= 'SIGUSR2' then "
           "return 0 end end return %d", *(int *)count, *(int *)count);
  got = run(&host, text) == LUA_OK ? (long)lua_tointeger(host.L, 1) : -1;
  host_close(&host);
  return (void *)got;
}

/* Each of two machines is told of a signal; one goes on when the other has
 * left, and when both have, nobody listens. */
static void test_signals(void) {
  pthread_t threads[2];
  int counts[] = {1, 2}, i;
  struct sigaction action;
  void *got;
  if (uv_sem_init(&listening, 0) < 0) abort();
  for (i = 0; i < 2; i++)
    if (pthread_create(&threads[i], NULL, listen_to, &counts[i]) != 0) abort();
  for (i = 0; i < 2; i++) uv_sem_wait(&listening);
  (void)kill(getpid(), SIGUSR2);
  (void)pthread_join(threads[0], &got);
  expect((long)got == 1);
  uv_sem_wait(&listening); /* the other has had it, too */
  (void)kill(getpid(), SIGUSR2);
  (void)pthread_join(threads[1], &got);
  expect((long)got == 2);
  expect(sigaction(SIGUSR2, NULL, &action) == 0 &&
         action.sa_handler == SIG_DFL);
  uv_sem_destroy(&listening);
}

int main(void) {
  test_signals();
  test_old_options();
  test_make_and_free();
  test_at_once();
  if (failures == 0) printf("machines: ok\n");
  return failures != 0;
}
