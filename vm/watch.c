/*
 * watch.c - the watchdog of debug mode: who blocks the loop, and where.
 *
 * A thread looks from time to time whether the machine is still in the same
 * step. If so for longer than the limit, it pokes the machine, whose hook
 * fires before the next instruction and reports the stack.
 * When the step ends at last, its length is reported. A step costs one
 * increment and one comparison for this.
 */
#include <stdio.h>
#include <stdlib.h>

#include "error.h"
#include "loop.h"
#include "task.h"

struct np_Watch {
  uv_thread_t thread;
  uv_mutex_t mutex;
  uv_cond_t cond;
  int stopping;
  char name[64], who[80]; /* of the task that was found to block */
  const char *task;       /* `name`, or NULL: a callback */
};

static uint64_t load(const uint64_t *p) {
  return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store(uint64_t *p, uint64_t value) {
  __atomic_store_n(p, value, __ATOMIC_RELEASE);
}

/* Runs protected, on the Lua thread that blocks: reports where it is. */
static int report_blocked(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  struct np_Watch *w = vm->watch;
  np_Resume *r;
  lua_State *bottom = L;
  char text[160];
  for (r = vm->resumes; r != NULL; r = r->prev) bottom = r->from;
  snprintf(text, sizeof text, "%s has been running for %.2f s, which blocks "
           "the loop", w->who,
           (double)(uv_hrtime() - load(&vm->blocked)) / 1e9);
  np_traceback(L, bottom, 1);
  np_position(L, L, 1);
  np_quote(L, lua_tostring(L, -1), lua_tostring(L, -2));
  np_report(vm, NEAP_REPORT_DEBUG, text, lua_tostring(L, 1), w->task,
            lua_tostring(L, 2), lua_tostring(L, 3));
  return 0;
}

/* Runs protected: keeps the name of the step for its end, too. */
static int name_step(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  struct np_Watch *w = vm->watch;
  snprintf(w->who, sizeof w->who, "a callback");
  w->task = NULL;
  if (vm->current == NULL) return 0;
  np_task_name_push(L, vm->current);
  snprintf(w->name, sizeof w->name, "%s", lua_tostring(L, -1));
  w->task = w->name;
  snprintf(w->who, sizeof w->who, "task '%s'", w->name);
  return 0;
}

void np_watch_blocked(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  if (vm->watch == NULL || !lua_checkstack(L, 20)) return;
  if (load(&vm->blocked_step) != vm->steps) return; /* it has ended */
  lua_pushcfunction(L, name_step);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) lua_pop(L, 1);
  lua_pushcfunction(L, report_blocked);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) lua_pop(L, 1);
}

static void watch(void *arg) {
  neap_Vm *vm = arg;
  struct np_Watch *w = vm->watch;
  uint64_t step = 0, since = 0;
  uv_mutex_lock(&w->mutex);
  while (!w->stopping) {
    uint64_t limit = load(&vm->slow), now = uv_hrtime(), s;
    s = load(&vm->steps);
    if (s != step || !(s & 1)) { /* odd while a step runs */
      step = s;
      since = now;
    } else if (now - since >= limit && load(&vm->blocked_step) != s) {
      store(&vm->blocked, since);
      store(&vm->blocked_step, s);
      if (load(&vm->steps) == s) np_poke(vm, NP_WANT_BLOCKED);
    }
    (void)uv_cond_timedwait(&w->cond, &w->mutex,
                            limit / 4 > 1000000 ? limit / 4 : 1000000);
  }
  uv_mutex_unlock(&w->mutex);
}

/* The step that blocked has ended. */
void np_watch_ended(neap_Vm *vm) {
  struct np_Watch *w = vm->watch;
  char text[160];
  if (w == NULL) return;
  snprintf(text, sizeof text, "%s ran for %.2f s without an await",
           *w->who != '\0' ? w->who : "a step",
           (double)(uv_hrtime() - load(&vm->blocked)) / 1e9);
  np_report(vm, NEAP_REPORT_DEBUG, text, NULL, w->task, NULL, NULL);
  *w->who = '\0';
  w->task = NULL;
}

void neap_set_block_limit(neap_Vm *vm, double seconds) {
  store(&vm->slow, seconds > 0 ? (uint64_t)(seconds * 1e9) : 0);
}

double np_block_limit(neap_Vm *vm) { return (double)load(&vm->slow) / 1e9; }

void np_watch_start(neap_Vm *vm) {
  struct np_Watch *w;
  if (vm->watch != NULL) return;
  w = calloc(1, sizeof *w);
  if (w == NULL) return; /* debug mode works without it */
  if (uv_mutex_init(&w->mutex) < 0) goto no_mutex;
  if (uv_cond_init(&w->cond) < 0) goto no_cond;
  vm->watch = w;
  if (np_os_thread(&w->thread, watch, vm) == 0) return;
  vm->watch = NULL;
  uv_cond_destroy(&w->cond);
no_cond:
  uv_mutex_destroy(&w->mutex);
no_mutex:
  free(w);
}

void np_watch_stop(neap_Vm *vm) {
  struct np_Watch *w = vm->watch;
  if (w == NULL) return;
  uv_mutex_lock(&w->mutex);
  w->stopping = 1;
  uv_cond_signal(&w->cond);
  uv_mutex_unlock(&w->mutex);
  (void)uv_thread_join(&w->thread);
  uv_cond_destroy(&w->cond);
  uv_mutex_destroy(&w->mutex);
  free(w);
  vm->watch = NULL;
}
