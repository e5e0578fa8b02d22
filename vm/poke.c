/*
 * poke.c - how others get the attention of a machine that computes.
 *
 * Another thread or a signal handler says what it wants by a flag and wakes
 * the loop. That is enough for a machine that waits. In one that runs Lua
 * code a hook must be set, which only its own thread can do: a signal is
 * sent to that thread, and the handler sets the hook. The signal is a
 * real-time one that nobody else uses, and it carries the machine's address,
 * so that there is no variable beside the machine.
 *
 * A signal may only be sent to a thread that is inside of the machine, and
 * may not come after it has left. So senders are counted before they look
 * whether a thread is inside, and a thread that leaves waits for them and
 * for what they have sent.
 *
 * Where such signals do not exist, the hook is set from outside; Lua allows
 * it for a signal handler, and another thread has a small chance to crash.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "limits.h"
#include "loop.h"
#include "task.h"

/* == On the machine's own thread: the hook ============================ */

/* How many instructions a script may run before a cancellation is raised
 * between two of them and not at an await. */
#define PATIENCE 100000

int np_wants(neap_Vm *vm, int what) {
  return __atomic_load_n(&vm->wants, __ATOMIC_SEQ_CST) & what;
}

int np_wants_take(neap_Vm *vm, int what) {
  return __atomic_fetch_and(&vm->wants, ~what, __ATOMIC_SEQ_CST) & what;
}

static void on_hook(lua_State *L, lua_Debug *ar);

void np_poke_arm(neap_Vm *vm, lua_State *L) {
  if (np_hooked(vm)) return; /* the hook that counts looks by itself */
  lua_sethook(L, on_hook, LUA_MASKCOUNT, vm->patience ? PATIENCE : 1);
}

/* What runs, and what has resumed it: a coroutine may soon yield. */
static void arm_all(neap_Vm *vm) {
  np_Resume *r;
  if (vm->running == NULL) return;
  np_poke_arm(vm, vm->running);
  for (r = vm->resumes; r != NULL; r = r->prev) np_poke_arm(vm, r->from);
}

static void on_hook(lua_State *L, lua_Debug *ar) {
  neap_Vm *vm = np_vm(L);
  (void)ar;
  np_hook_off(L);
  if (np_wants_take(vm, NP_WANT_BLOCKED)) np_watch_blocked(L);
  if (np_wants_take(vm, NP_WANT_DUMP)) np_dump_report(L);
  if (!np_wants(vm, NP_WANT_INTERRUPT | NP_WANT_STOP)) return;
  if (vm->patience == 0 && !np_interrupt_is_plain(vm)) {
    /* It may reach an await by itself. */
    vm->patience = 1;
    arm_all(vm);
    return;
  }
  vm->patience = 0;
  np_interrupt_now(L);
}

/* The tree of tasks waits for the next turn: a script may have replaced what
 * makes it, and inside of a hook nothing would stop that. */
void np_poke_look(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  np_Limits *l = vm->limits;
  uint64_t now = l->count + l->step;
  if (np_wants_take(vm, NP_WANT_BLOCKED)) np_watch_blocked(L);
  if (!np_wants(vm, NP_WANT_INTERRUPT | NP_WANT_STOP)) return;
  if (l->patience == 0) l->patience = now + PATIENCE;
  if (now < l->patience) return;
  l->patience = 0;
  np_interrupt_now(L);
}

/* == Signals ========================================================== */

#if defined(__GLIBC__) && defined(SIGRTMAX)

static void on_signal(int number, siginfo_t *info, void *context) {
  neap_Vm *vm = info->si_value.sival_ptr;
  int saved = errno;
  (void)number;
  (void)context;
  if (info->si_code != SI_QUEUE || info->si_pid != getpid()) return;
  arm_all(vm);
  __atomic_store_n(&vm->poke.flying, 0, __ATOMIC_SEQ_CST);
  errno = saved;
}

/* The signal that is ours, or becomes it; -1 if none is free. */
static int our_signal(void) {
  struct sigaction now;
  int n;
  for (n = SIGRTMAX; n >= SIGRTMIN; n--) {
    if (sigaction(n, NULL, &now) != 0) continue;
    if (now.sa_flags & SA_SIGINFO) {
      if (now.sa_sigaction == on_signal) return n;
    } else if (now.sa_handler == SIG_DFL) {
      now.sa_flags = SA_SIGINFO | SA_RESTART;
      now.sa_sigaction = on_signal;
      sigemptyset(&now.sa_mask);
      if (sigaction(n, &now, NULL) == 0) return n;
    }
  }
  return -1;
}

/* One at a time: the hook that it sets will see what is wanted by then. */
static void send_signal(neap_Vm *vm) {
  union sigval value;
  int number = our_signal();
  if (number < 0) return;
  value.sival_ptr = vm;
  if (__atomic_exchange_n(&vm->poke.flying, 1, __ATOMIC_SEQ_CST)) return;
  if (pthread_sigqueue(vm->poke.thread, number, value) != 0)
    __atomic_store_n(&vm->poke.flying, 0, __ATOMIC_SEQ_CST);
}

/* Lets our signal in, if the host has it blocked. */
static void unblock(sigset_t *before) {
  sigset_t ours;
  int number = our_signal();
  sigemptyset(&ours);
  if (number > 0) sigaddset(&ours, number);
  (void)pthread_sigmask(SIG_UNBLOCK, &ours, before);
}

#else

static void send_signal(neap_Vm *vm) {
  arm_all(vm);
}

static void unblock(sigset_t *before) {
  (void)pthread_sigmask(SIG_BLOCK, NULL, before);
}

#endif

/* == Both sides ======================================================= */

void np_poke(neap_Vm *vm, int want) {
  int saved = errno;
  (void)__atomic_fetch_or(&vm->wants, want, __ATOMIC_SEQ_CST);
  (void)uv_async_send(&vm->async);
  (void)__atomic_fetch_add(&vm->poke.senders, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&vm->poke.inside, __ATOMIC_SEQ_CST)) {
    if (!pthread_equal(vm->poke.thread, pthread_self())) send_signal(vm);
    else arm_all(vm);
  }
  (void)__atomic_fetch_sub(&vm->poke.senders, 1, __ATOMIC_SEQ_CST);
  errno = saved;
}

void np_poke_enter(neap_Vm *vm) {
  vm->poke.thread = pthread_self();
  __atomic_store_n(&vm->inbox->inside, (uintptr_t)pthread_self(),
                   __ATOMIC_RELAXED);
  __atomic_store_n(&vm->poke.inside, 1, __ATOMIC_SEQ_CST);
}

void np_poke_leave(neap_Vm *vm) {
  sigset_t before;
  __atomic_store_n(&vm->inbox->inside, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&vm->poke.inside, 0, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&vm->poke.senders, __ATOMIC_SEQ_CST) == 0 &&
      __atomic_load_n(&vm->poke.flying, __ATOMIC_SEQ_CST) == 0)
    return;
  unblock(&before);
  while (__atomic_load_n(&vm->poke.senders, __ATOMIC_SEQ_CST) != 0 ||
         __atomic_load_n(&vm->poke.flying, __ATOMIC_SEQ_CST) != 0)
    (void)usleep(1);
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* == What is wanted =================================================== */

void neap_interrupt(neap_Vm *vm) { np_poke(vm, NP_WANT_INTERRUPT); }

void neap_stop(neap_Vm *vm) { np_poke(vm, NP_WANT_STOP); }

void neap_dump(neap_Vm *vm) { np_poke(vm, NP_WANT_DUMP); }

void np_attend(neap_Vm *vm) {
  if (np_wants_take(vm, NP_WANT_DUMP)) np_dump_report(vm->calls);
  if (np_wants_take(vm, NP_WANT_INTERRUPT)) np_interrupt_handle(vm);
  if (np_wants_take(vm, NP_WANT_STOP)) vm->stopping = 1;
  (void)np_wants_take(vm, NP_WANT_BLOCKED);
  vm->patience = 0;
}
