/*
 * watch.c - the watchdog of debug mode: who blocks the loop, and where.
 *
 * A thread looks from time to time whether the machine is still in the same
 * step. If so for longer than the limit, it arms a hook on the Lua thread
 * that runs; that fires before the next instruction and reports the stack.
 * When the step ends at last, its length is reported. A step costs one
 * increment and one comparison for this.
 */
#include <stdio.h>
#include <stdlib.h>

#include "vm.h"

struct np_Watch {
  uv_thread_t thread;
  uv_mutex_t mutex;
  uv_cond_t cond;
  int stopping;
};

static void on_blocked(lua_State *L, lua_Debug *ar) {
  neap_Vm *vm = np_vm(L);
  char text[120];
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  if (vm->watch == NULL || !lua_checkstack(L, 20)) return;
  snprintf(text, sizeof text, "a step has been running for %.2f s, which "
           "blocks the loop", (double)(uv_hrtime() - vm->blocked) / 1e9);
  np_traceback(L, L, 0);
  np_position(L, L, 0);
  np_quote(L, lua_tostring(L, -1), lua_tostring(L, -2));
  np_report(vm, NEAP_REPORT_DEBUG, text, lua_tostring(L, -3), NULL,
            lua_tostring(L, -2), lua_tostring(L, -1));
  lua_pop(L, 3);
}

static uint64_t load(const uint64_t *p) {
  return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void watch(void *arg) {
  neap_Vm *vm = arg;
  struct np_Watch *w = vm->watch;
  uint64_t step = 0, since = 0;
  uv_mutex_lock(&w->mutex);
  while (!w->stopping) {
    uint64_t limit = (uint64_t)(vm->slow * 1e9), now = uv_hrtime(), s;
    s = load(&vm->steps);
    if (s != step || !(s & 1)) { /* odd while a step runs */
      step = s;
      since = now;
    } else if (now - since >= limit && load(&vm->blocked_step) != s) {
      lua_State *L = vm->running;
      vm->blocked = since;
      __atomic_store_n(&vm->blocked_step, s, __ATOMIC_RELEASE);
      if (L != NULL && load(&vm->steps) == s)
        lua_sethook(L, on_blocked, LUA_MASKCOUNT, 1);
    }
    (void)uv_cond_timedwait(&w->cond, &w->mutex,
                            limit / 4 > 1000000 ? limit / 4 : 1000000);
  }
  uv_mutex_unlock(&w->mutex);
}

/* The step that blocked has ended. */
void np_watch_ended(neap_Vm *vm) {
  char text[120];
  snprintf(text, sizeof text, "a step took %.2f s",
           (double)(uv_hrtime() - vm->blocked) / 1e9);
  neap_report(vm, NEAP_REPORT_DEBUG, text, NULL);
}

void np_watch_start(neap_Vm *vm) {
  struct np_Watch *w;
  if (vm->watch != NULL) return;
  w = calloc(1, sizeof *w);
  if (w == NULL) return; /* debug mode works without it */
  if (uv_mutex_init(&w->mutex) < 0) goto no_mutex;
  if (uv_cond_init(&w->cond) < 0) goto no_cond;
  vm->watch = w;
  if (uv_thread_create(&w->thread, watch, vm) == 0) return;
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
