/*
 * loop.h - turns and timers, and what others want of a machine.
 */
#ifndef NP_LOOP_H
#define NP_LOOP_H

#include "vm.h"

/* == loop.c: turns and timers =========================================== */

int np_loop_open(neap_Vm *vm);
void np_loop_close(neap_Vm *vm);

/* Keeps the poll from blocking while nodes are ready. */
void np_loop_busy(neap_Vm *vm);

/* 1 if nothing is ready and nothing in the loop could change that: only
 * another thread or a signal can. */
int np_loop_stuck(neap_Vm *vm);

/* Pushes a node; there is room, because whoever made the node reserved it. */
static inline void np_ready(neap_Vm *vm, np_Node *node) {
  np_ring_put(&vm->ready, node);
  if (!vm->idling) np_loop_busy(vm);
}

/*
 * The time that timers go by. With a clock of its own, as _own_clock in
 * asyncio gives it, a machine is never late: time stands still while something
 * is ready, and jumps to the next deadline when nothing is. Events from
 * outside have no part in it, so it is for tests of what only sleeps.
 */
static inline uint64_t np_now(neap_Vm *vm) {
  return vm->clock != 0 ? vm->clock : uv_hrtime();
}

/*
 * A point in time of the script's, which is seconds, in ns. Rounded, since a
 * sleep and a limit of the same length that begin at the same time must end at
 * the same time too; one that is too far away is put off for 30 years.
 */
static inline uint64_t np_deadline(lua_Number when, uint64_t now) {
  lua_Number ns = when * 1e9 + 0.5;
  if (!(ns < 1e18 + (lua_Number)now)) return now + (uint64_t)1e18;
  return ns > 0 ? (uint64_t)ns : 0;
}

/* Room for one node more; 0, or UV_ENOMEM. */
int np_reserve(neap_Vm *vm);

/* One pass of the loop: waits for events if nothing is ready and `wait`. */
void np_loop_pass(neap_Vm *vm, int wait);

/* 1 if the host has closed all handles of its loop, and so ours. */
int np_loop_lost(neap_Vm *vm);

/* The loop is kept running until released as often: what a task waits for
 * may come from outside of libuv. */
void np_loop_hold(neap_Vm *vm);
void np_loop_release(neap_Vm *vm);

/* == collector.c ======================================================== */

/* Between turns: does what is to be done after a collection, if one was. */
void np_collector_look(neap_Vm *vm);

/* == poke.c: what others want of a machine ============================== */

/* From any thread or a signal handler: wants one of NP_WANT_* soon. */
void np_poke(neap_Vm *vm, int want);

/* The machine's thread is about to run Lua code; it does not any more. */
void np_poke_enter(neap_Vm *vm);
void np_poke_leave(neap_Vm *vm);

/* What of `what` is wanted; taking it clears it. */
int np_wants(neap_Vm *vm, int what);
int np_wants_take(neap_Vm *vm, int what);

/* Sets the hook on L if anything is wanted. Only on the machine's thread. */
void np_poke_arm(neap_Vm *vm, lua_State *L);

/* What the handler of our signal reads is written before it, not after. */
static inline void np_signal_fence(void) {
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void np_poke_hook(neap_Vm *vm, lua_State *L) {
  if (__atomic_load_n(&vm->wants, __ATOMIC_RELAXED)) np_poke_arm(vm, L);
}

/* The same from a hook that is there anyway, as it counts. */
void np_poke_look(lua_State *L);

/* Between steps: does what is wanted. */
void np_attend(neap_Vm *vm);

/* == submit.c, worker.c: other threads ================================== */

/* If the task is a call of another thread: it is over, and will not end. */
void np_call_drop(neap_Task *t);

/* Ends the worker threads, which have nothing left to do. */
void np_workers_stop(neap_Vm *vm);

/* Starts a thread that gets no signals: those are for the host's threads. */
int np_os_thread(uv_thread_t *thread, void (*run)(void *arg), void *arg);

/* == watch.c, dump.c: seeing ============================================ */

void np_watch_start(neap_Vm *vm);
void np_watch_stop(neap_Vm *vm);
void np_watch_ended(neap_Vm *vm); /* a step that was found to block */
double np_block_limit(neap_Vm *vm);
/* Reports the step that runs on L, which the watchdog has found too long. */
void np_watch_blocked(lua_State *L);

/* A step begins or ends; 1 if it was reported for its length. */
static inline int np_watch_step(neap_Vm *vm) {
  uint64_t step = vm->steps;
  __atomic_store_n(&vm->steps, step + 1, __ATOMIC_RELAXED);
  return step == __atomic_load_n(&vm->blocked_step, __ATOMIC_RELAXED);
}

/* Reports the tree of tasks; raises nothing. */
void np_dump_report(lua_State *L);

#endif
