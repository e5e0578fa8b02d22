/*
 * token.c - tokens that another thread gives back, with 1000 tasks that wait,
 * and callbacks that another thread submits; thousands a second.
 */
#include <neap.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../limit/bench.h"

enum { TASKS = 1000, EACH = 1000, ROUNDS = 5 };

/* The tokens of one batch after another go to the other thread. */
static struct {
  pthread_mutex_t mutex;
  pthread_cond_t more;
  neap_Token *tokens[TASKS];
  int count, stopping, submitted;
} box = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, {0}, 0, 0, 0};

static int ask(lua_State *L) {
  neap_Token *token = neap_token_new(L, NULL, NULL);
  pthread_mutex_lock(&box.mutex);
  box.tokens[box.count++] = token;
  if (box.count == 1) pthread_cond_signal(&box.more);
  pthread_mutex_unlock(&box.mutex);
  return neap_token_await(L, token);
}

static void *give_back(void *ud) {
  neap_Token *mine[TASKS];
  neap_Value one = neap_integer(1);
  (void)ud;
  pthread_mutex_lock(&box.mutex);
  while (!box.stopping) {
    int n = box.count;
    memcpy(mine, box.tokens, (size_t)n * sizeof *mine);
    box.count = 0;
    pthread_mutex_unlock(&box.mutex);
    for (int i = 0; i < n; i++) (void)neap_token_resolve(mine[i], &one, 1);
    pthread_mutex_lock(&box.mutex);
    while (box.count == 0 && !box.stopping)
      pthread_cond_wait(&box.more, &box.mutex);
  }
  pthread_mutex_unlock(&box.mutex);
  return NULL;
}

static const neap_Async functions[] = {{"ask", ask}, {NULL, NULL}};

static const char script[] =
    "local tasks, each = ...\n"
    "local async function one() for i = 1, each do await ask() end end\n"
    "local list = {}\n"
    "for i = 1, tasks do list[i] = one() end\n"
    "await asyncio.gather(list)\n";

static void tokens(void) {
  double rate[ROUNDS];
  pthread_t thread;
  neap_Vm *vm = neap_vm_new(NULL);
  lua_State *L = neap_state(vm);
  int n;
  if (pthread_create(&thread, NULL, give_back, NULL) != 0) exit(1);
  lua_pushglobaltable(L);
  neap_setasync(L, functions);
  for (int r = 0; r < ROUNDS; r++) {
    lua_settop(L, 0);
    if (neap_load(L, script, strlen(script), "=bench", "t") != LUA_OK) exit(1);
    lua_pushinteger(L, TASKS);
    lua_pushinteger(L, EACH);
    double start = wall_s();
    if (neap_call(L, 2, &n) != LUA_OK) exit(1);
    rate[r] = TASKS * EACH / (wall_s() - start) / 1e3;
  }
  report("token", median(rate, ROUNDS));
  pthread_mutex_lock(&box.mutex);
  box.stopping = 1;
  pthread_cond_signal(&box.more);
  pthread_mutex_unlock(&box.mutex);
  pthread_join(thread, NULL);
  neap_vm_free(vm);
}

static void count(lua_State *L, void *data) {
  (void)L;
  (void)data;
  box.submitted++;
}

static void *submit(void *vm) {
  for (int i = 0; i < TASKS * EACH; i++)
    if (neap_submit(vm, count, NULL) < 0) exit(1);
  return NULL;
}

static void submissions(void) {
  pthread_t thread;
  neap_Vm *vm = neap_vm_new(NULL);
  double start = wall_s();
  if (pthread_create(&thread, NULL, submit, vm) != 0) exit(1);
  while (box.submitted < TASKS * EACH) (void)neap_poll(vm, -1);
  report("submit", TASKS * EACH / (wall_s() - start) / 1e3);
  pthread_join(thread, NULL);
  neap_vm_free(vm);
}

int main(void) {
  tokens();
  submissions();
  return 0;
}
