/*
 * loop.c - the turns of a machine on its libuv loop, and its timers.
 *
 * Everything runs from one check handle: libuv polls, its callbacks push
 * nodes into the ready ring, then turns run: each takes what was ready when
 * it began, in order. After some nodes or some time the loop is polled
 * again; an idle handle keeps that from blocking while the ring is not
 * empty. Timers are in one heap over one uv_timer. No Lua here.
 */
#include <poll.h>

#include "loop.h"
#include "task.h"

#define SLICE_NODES 256    /* a poll costs as much as five switches */
#define SLICE_TIME 50000   /* ns; but I/O must not wait longer than this */

/* == Timers =========================================================== */

uint64_t neap_now(void) { return uv_hrtime(); }

static void on_idle(uv_idle_t *idle) { (void)idle; }

void np_loop_busy(neap_Vm *vm) {
  if (vm->idling || uv_is_closing((uv_handle_t *)&vm->idle)) return;
  (void)uv_idle_start(&vm->idle, on_idle);
  vm->idling = 1;
}

static void on_timer(uv_timer_t *timer) {
  neap_Vm *vm = timer->data;
  vm->armed = 0;
  np_loop_busy(vm); /* so that the poll before our turn does not block */
}

/* Sets libuv's timer to the first deadline. */
static void arm(neap_Vm *vm) {
  uint64_t when, now, ms;
  if (np_heap_min(&vm->timers, &when) == NULL) {
    if (vm->armed != 0) uv_timer_stop(&vm->timer);
    vm->armed = 0;
    return;
  }
  if (vm->clock != 0) {
    if (np_ring_count(&vm->ready) == 0 && when > vm->clock) vm->clock = when;
    np_loop_busy(vm);
    return;
  }
  if (vm->armed == when) return;
  now = uv_hrtime();
  ms = when > now ? (when - now + 999999) / 1000000 : 0;
  uv_update_time(vm->loop);
  uv_timer_start(&vm->timer, on_timer, ms, 0);
  vm->armed = when;
}

int neap_timer_start(neap_Vm *vm, neap_Timer *t, uint64_t when) {
  np_HeapNode *node = (np_HeapNode *)t;
  if (np_heap_test(node)) np_heap_remove(&vm->timers, node);
  if (when < vm->due_time) when = vm->due_time; /* behind those */
  if (np_heap_insert(&vm->timers, node, when) < 0) return UV_ENOMEM;
  if (!vm->turning) arm(vm);
  return 0;
}

void neap_timer_stop(neap_Vm *vm, neap_Timer *t) {
  np_HeapNode *node = (np_HeapNode *)t;
  if (!np_heap_test(node)) return;
  np_heap_remove(&vm->timers, node);
  if (!vm->turning) arm(vm); /* it may be all that keeps the loop alive */
}

/* Fires what was due, and not started later, when this took its place. */
static void fire_due(neap_Vm *vm, np_Node *node) {
  uint64_t when;
  np_HeapNode *first;
  (void)node;
  while ((first = np_heap_min(&vm->timers, &when)) != NULL &&
         when <= vm->due_time && (int32_t)(first->seq - vm->due_seq) < 0) {
    neap_Timer *t = (neap_Timer *)np_heap_pop(&vm->timers);
    t->fire(vm, t);
  }
  vm->due_time = 0;
}

/*
 * Timers have their place in the turn, behind all that was ready: whom they
 * wake comes after those that the others woke, as in asyncio.
 */
static void look_at_timers(neap_Vm *vm) {
  uint64_t when, now;
  vm->soon = 0;
  if (np_heap_min(&vm->timers, &when) == NULL) return;
  now = np_now(vm);
  if (when > now) return;
  if (vm->due_time != 0) {
    vm->soon = 1;
    return;
  }
  np_ready(vm, &vm->due);
  vm->due_time = now;
  vm->due_seq = vm->timers.seq;
}

/* == Turns ============================================================ */

int np_reserve(neap_Vm *vm) {
  size_t need = vm->ntasks + vm->nscheduled + 8;
  if (need <= vm->ready.mask + 1) return 0; /* mask is -1 without slots */
  if (vm->closing == 2) return UV_ENOMEM;
  return np_ring_reserve(&vm->ready, need) < 0 ? UV_ENOMEM : 0;
}

static void run_turn(neap_Vm *vm, size_t n) {
  while (n-- > 0) {
    np_Node *node = np_ring_pop(&vm->ready);
    node->run(vm, node);
  }
}

/* A stop lasts until no task is left: clean-up may start new ones. */
static void go_on_stopping(neap_Vm *vm) {
  if (vm->nlive == 0) vm->stopping = 0;
  else np_cancel_all(vm);
}

/* What is ready, for a slice. */
static void run_slice(neap_Vm *vm) {
  uint64_t start = 0;
  size_t ran = 0, look = 16, n;
  np_collector_look(vm);
  while (ran < SLICE_NODES && (n = np_ring_count(&vm->ready)) > 0) {
    run_turn(vm, n);
    if (vm->enough) break;
    ran += n;
    if (ran >= look) {
      uint64_t now = uv_hrtime();
      if (start == 0) start = now;
      if (now - start > SLICE_TIME) break;
      np_collector_look(vm);
      look = ran + 16;
    }
    if (vm->soon) look_at_timers(vm);
  }
}

/* 1 if there is something to do that needs no event. */
static int is_ready(neap_Vm *vm) {
  return np_ring_count(&vm->ready) > 0 || vm->posts != NULL || vm->posted;
}

int np_loop_stuck(neap_Vm *vm) {
  uint64_t when;
  return !is_ready(vm) && np_heap_min(&vm->timers, &when) == NULL &&
         vm->holds == 0 && !uv_loop_alive(vm->loop);
}

static void turn(neap_Vm *vm) {
  np_Outside outside;
  if (vm->turning) return;
  vm->turning = 1;
  outside = np_outside(vm);
  np_poke_enter(vm);
  if (np_wants(vm, ~0)) np_attend(vm);
  if (vm->stopping) go_on_stopping(vm);
  if (vm->posted || vm->posts != NULL) np_inbox_run(vm);
  look_at_timers(vm);
  run_slice(vm);
  if (vm->stopping) go_on_stopping(vm);
  np_poke_leave(vm);
  np_inside(vm, outside);
  vm->turning = 0;
  if (is_ready(vm)) {
    np_loop_busy(vm);
  } else {
    if (vm->idling) uv_idle_stop(&vm->idle);
    vm->idling = 0;
    if (vm->npool > 1024 && !vm->closing) np_pool_trim(vm);
  }
  arm(vm);
}

static void on_check(uv_check_t *check) { turn(check->data); }

static void on_async(uv_async_t *async) {
  neap_Vm *vm = async->data;
  vm->posted = 1;
}

/* == Driving ========================================================== */

int np_loop_lost(neap_Vm *vm) {
  return uv_is_closing((uv_handle_t *)&vm->check);
}

/* Turns go on without the loop, so that what is left can end. */
static void pass_alone(neap_Vm *vm, int wait) {
  (void)uv_run(vm->loop, UV_RUN_NOWAIT);
  vm->posted = 1;
  turn(vm);
  if (wait && !is_ready(vm)) uv_sleep(1);
}

static void pass_loop(neap_Vm *vm, int wait) {
  np_loop_hold(vm);
  (void)uv_run(vm->loop,
               wait && !is_ready(vm) ? UV_RUN_ONCE : UV_RUN_NOWAIT);
  np_loop_release(vm);
}

void np_loop_pass(neap_Vm *vm, int wait) {
  vm->passing++;
  if (np_loop_lost(vm)) pass_alone(vm, wait);
  else pass_loop(vm, wait);
  vm->passing--;
}

void np_loop_hold(neap_Vm *vm) {
  if (vm->holds++ == 0) uv_ref((uv_handle_t *)&vm->async);
}

void np_loop_release(neap_Vm *vm) {
  if (--vm->holds == 0) uv_unref((uv_handle_t *)&vm->async);
}

int neap_backend_fd(neap_Vm *vm) { return uv_backend_fd(vm->loop); }

int neap_backend_timeout(neap_Vm *vm) {
  int timeout;
  if (is_ready(vm) || np_loop_lost(vm)) return 0;
  uv_update_time(vm->loop);
  np_loop_hold(vm); /* or libuv says 0 when it knows of nothing */
  timeout = uv_backend_timeout(vm->loop);
  np_loop_release(vm);
  return timeout;
}

int neap_poll(neap_Vm *vm, int timeout_ms) {
  struct pollfd fd = {neap_backend_fd(vm), POLLIN, 0};
  int wait = neap_backend_timeout(vm);
  if (np_is_busy(vm)) return UV_EBUSY;
  if (timeout_ms >= 0 && (wait < 0 || wait > timeout_ms)) wait = timeout_ms;
  if (wait != 0) (void)poll(&fd, 1, wait);
  np_loop_pass(vm, 0);
  return vm->nlive > 0 || uv_loop_alive(vm->loop);
}

int neap_run_for(neap_Vm *vm, double seconds) {
  uint64_t start = uv_hrtime();
  uint64_t budget = seconds > 0 ? (uint64_t)(seconds * 1e9) : 0;
  if (np_is_busy(vm)) return UV_EBUSY;
  do np_loop_pass(vm, 0);
  while (is_ready(vm) && uv_hrtime() - start < budget);
  return is_ready(vm);
}

/* == Opening and closing ============================================== */

int np_loop_open(neap_Vm *vm) {
  int err;
  if (vm->owns_loop && (err = uv_loop_init(vm->loop)) < 0) {
    vm->owns_loop = 0;
    return err;
  }
  np_ring_init(&vm->ready);
  np_heap_init(&vm->timers);
  vm->due.run = fire_due;
  if ((vm->inbox = np_inbox_new(vm)) == NULL) return UV_ENOMEM;
  if ((err = uv_async_init(vm->loop, &vm->async, on_async)) < 0) return err;
  (void)uv_check_init(vm->loop, &vm->check); /* these cannot fail */
  (void)uv_idle_init(vm->loop, &vm->idle);
  (void)uv_timer_init(vm->loop, &vm->timer);
  vm->check.data = vm->idle.data = vm->timer.data = vm->async.data = vm;
  vm->uv_open = 1;
  (void)uv_check_start(&vm->check, on_check);
  uv_unref((uv_handle_t *)&vm->check);
  uv_unref((uv_handle_t *)&vm->async);
  return np_reserve(vm);
}

static void on_closed(uv_handle_t *handle) {
  neap_Vm *vm = handle->data;
  vm->uv_open--;
}

static void close_one(neap_Vm *vm, void *handle) {
  if (uv_is_closing(handle)) return; /* the host has done that */
  vm->uv_open++;
  uv_close(handle, on_closed);
}

void np_loop_close(neap_Vm *vm) {
  if (vm->inbox != NULL) np_inbox_close(vm);
  if (vm->uv_open) {
    vm->uv_open = 0;
    close_one(vm, &vm->check);
    close_one(vm, &vm->idle);
    close_one(vm, &vm->timer);
    close_one(vm, &vm->async);
    do (void)uv_run(vm->loop, UV_RUN_NOWAIT); /* closed by whomever */
    while (vm->uv_open > 0);
  }
  np_ring_free(&vm->ready);
  np_heap_free(&vm->timers);
  if (vm->owns_loop) {
    int err = uv_loop_close(vm->loop);
    if (err == UV_EBUSY) { /* a module left a handle that is not neap's */
      (void)uv_run(vm->loop, UV_RUN_NOWAIT);
      (void)uv_loop_close(vm->loop);
    }
  }
}
