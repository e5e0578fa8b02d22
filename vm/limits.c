/*
 * limits.c - how much a machine may use: memory, instructions, time, and
 * how many of what it opens.
 *
 * Memory is counted in front of the machine's allocator. Instructions are
 * counted by Lua's count hook, every COUNT of them, on each thread; the
 * clock is read then, too. Work that C does without running instructions
 * (copying, collecting, searching) is charged as if it had run some.
 *
 * A limit of time or instructions that is reached stops the step: an error
 * that nothing catches (see np_stopped). `<close>` handlers still run, for
 * GRACE instructions; then each further instruction raises. A limit of the
 * whole machine ends all tasks in the same way, and none begins again. What
 * is counted in pieces, such as tasks and files, gives ordinary errors.
 */
#include <stdlib.h>
#include <string.h>

#include "future.h"
#include "limits.h"
#include "loop.h"
#include "task.h"

#define COUNT 1000     /* instructions between two looks at the clock */
#define GRACE 20000    /* instructions of clean-up in a step that was stopped */
#define BYTES 16       /* so many allocated ones count as an instruction */
#define MUCH (256 << 10) /* bytes after which that is looked at */

static const char *const names[] = {
  "", "STEP_INSTRUCTIONS", "STEP_SECONDS", "TASK_INSTRUCTIONS",
  "TASK_SECONDS", "INSTRUCTIONS", "SECONDS", "FINISH_SECONDS", "DEPTH",
  "TASK_LIFE_SECONDS", "STOPPED"};

static void on_count(lua_State *L, lua_Debug *ar);

/* == Memory =========================================================== */

/* Has the hook look soon: something took long that ran no instructions. */
void np_look_soon(neap_Vm *vm, uint64_t charge) {
  vm->limits->step += charge;
  if (vm->running != NULL)
    lua_sethook(vm->running, on_count, LUA_MASKCOUNT, 1);
}

static void *limited(void *ud, void *block, size_t old, size_t size) {
  neap_Vm *vm = ud;
  np_Limits *l = vm->limits;
  size_t now = block != NULL ? old : 0;
  void *moved;
  if (size > now) {
    size_t more = size - now;
    if (l->max.memory != 0 && (l->used >= l->max.memory ||
                               more > l->max.memory - l->used)) {
      /* Lua collects and asks again, which with much garbage pays off. */
      if (l->hooked) np_look_soon(vm, COUNT + l->used / 4);
      return NULL;
    }
    if (l->hooked && (l->allocated += more) > MUCH) {
      np_look_soon(vm, COUNT + l->allocated / BYTES);
      l->allocated = 0;
    }
  }
  moved = l->inner(l->inner_data, block, old, size);
  if (moved == NULL && size > 0) return NULL;
  l->used = l->used - now + size;
  if (l->used > l->most) l->most = l->used;
  return moved;
}

void *neap_alloc(neap_Vm *vm, void *block, size_t old, size_t size) {
  return np_alloc(vm, block, old, size);
}

size_t neap_memory_left(neap_Vm *vm) {
  const np_Limits *l = vm->limits;
  if (l == NULL || l->max.memory == 0) return SIZE_MAX;
  return l->used < l->max.memory ? l->max.memory - l->used : 0;
}

int neap_memory_count(neap_Vm *vm, size_t *counted, size_t now) {
  np_Limits *l = vm->limits;
  if (l == NULL) return 0;
  if (now > *counted && now - *counted > neap_memory_left(vm))
    return UV_ENOMEM;
  l->used = l->used - *counted + now;
  if (l->used > l->most) l->most = l->used;
  *counted = now;
  return 0;
}

/* == Errors =========================================================== */

static void describe(lua_State *L, const neap_Limits *m, int what) {
  switch (what) {
  case NP_STOP_STEP_INSTRUCTIONS:
    lua_pushfstring(L, "a step may run %I instructions",
                    (LUAI_UACINT)m->step_instructions);
    break;
  case NP_STOP_STEP_SECONDS:
    lua_pushfstring(L, "a step may run %f seconds", m->step_seconds);
    break;
  case NP_STOP_TASK_INSTRUCTIONS:
    lua_pushfstring(L, "a task may run %I instructions",
                    (LUAI_UACINT)m->task_instructions);
    break;
  case NP_STOP_TASK_SECONDS:
    lua_pushfstring(L, "a task may run %f seconds", m->task_seconds);
    break;
  case NP_STOP_INSTRUCTIONS:
    lua_pushfstring(L, "the program may run %I instructions",
                    (LUAI_UACINT)m->instructions);
    break;
  case NP_STOP_SECONDS:
    lua_pushfstring(L, "the program may run %f seconds", m->seconds);
    break;
  case NP_STOP_FINISH_SECONDS:
    lua_pushfstring(L, "clean-up at the end may take %f seconds",
                    m->finish_seconds);
    break;
  case NP_STOP_TASK_LIFE_SECONDS:
    lua_pushfstring(L, "a task may live for %f seconds",
                    m->task_life_seconds);
    break;
  case NP_STOP_HOST:
    lua_pushliteral(L, "the machine was stopped");
    break;
  default:
    lua_pushfstring(L, "calls may nest %d deep", m->depth);
  }
}

void np_limits_push(lua_State *L) {
  np_Limits *l = np_vm(L)->limits;
  int what = l->spent != NP_STOP_NONE ? l->spent : l->stop;
  luaL_checkstack(L, 10, NULL);
  describe(L, &l->max, what);
  lua_pushfstring(L, "limit reached: %s", lua_tostring(L, -1));
  neap_error_new(L, "LimitError", 0, names[what], lua_tostring(L, -1));
  lua_replace(L, -3);
  lua_pop(L, 1);
}

int np_limits_raise(lua_State *L) {
  np_limits_push(L);
  return lua_error(L);
}

static int too_many(lua_State *L, const char *code, const char *what,
                    size_t most) {
  return neap_raise(L, "LimitError", code,
                    "limit reached: there may be %I %s at a time",
                    (LUAI_UACINT)most, what);
}

/* == Counting ========================================================= */

/* The limit that is exceeded by what runs now, or 0. What runs outside of a
 * task may use as much as one. */
static int exceeded(neap_Vm *vm, lua_State *L) {
  np_Limits *l = vm->limits;
  const neap_Limits *m = &l->max;
  const neap_Task *t = vm->current;
  lua_Debug ar;
  if (m->instructions > 0 && l->count + l->step > m->instructions)
    return NP_STOP_INSTRUCTIONS;
  if (m->step_instructions > 0 && l->step > m->step_instructions)
    return NP_STOP_STEP_INSTRUCTIONS;
  if (m->task_instructions > 0 &&
      (t != NULL ? t->instructions : 0) + l->step > m->task_instructions)
    return NP_STOP_TASK_INSTRUCTIONS;
  if (m->depth > 0 && lua_getstack(L, m->depth, &ar)) return NP_STOP_DEPTH;
  if (l->timed && l->depth > 0) {
    uint64_t ns = uv_hrtime() - l->began;
    if (m->seconds > 0 && (double)(l->ran + ns) > m->seconds * 1e9)
      return NP_STOP_SECONDS;
    if (m->step_seconds > 0 && (double)ns > m->step_seconds * 1e9)
      return NP_STOP_STEP_SECONDS;
    if (t != NULL) ns += t->ran;
    if (m->task_seconds > 0 && (double)ns > m->task_seconds * 1e9)
      return NP_STOP_TASK_SECONDS;
  }
  return NP_STOP_NONE;
}

/* Again, even if they have let a cancellation pass. */
static void cancel_all(neap_Vm *vm) {
  neap_Task *t, *next;
  np_batch_cancel_all(vm, 0);
  for (t = vm->tasks; t != NULL; t = next) {
    next = t->next;
    if (t != vm->current) (void)np_task_cancel(t);
  }
}

void np_limits_stop(neap_Vm *vm, int what) {
  np_Limits *l = vm->limits;
  if (l->depth == 0 || l->stop != NP_STOP_NONE) return;
  l->stop = what;
  l->left = l->step + GRACE;
}

/* Ends all that the machine does: nothing new begins. */
static void spend(neap_Vm *vm, int what) {
  np_Limits *l = vm->limits;
  if (l->spent != NP_STOP_NONE) return;
  l->spent = what;
  np_limits_stop(vm, what);
  cancel_all(vm);
}

/* Raises if a limit is exceeded, at once or after the grace. */
static void look(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  np_Limits *l = vm->limits;
  int what;
  if (l->stop != NP_STOP_NONE) {
    if (l->step < l->left) return;
    lua_sethook(L, on_count, LUA_MASKCOUNT, 1);
    np_limits_raise(L);
  }
  what = exceeded(vm, L);
  if (what == NP_STOP_NONE) return;
  if (what == NP_STOP_INSTRUCTIONS || what == NP_STOP_SECONDS)
    spend(vm, what);
  np_limits_stop(vm, what);
  np_limits_raise(L);
}

/* A count of 1 was set to look soon; all but COUNT else is a new coroutine's
 * first, unless the script has hooks of its own. */
static void on_count(lua_State *L, lua_Debug *ar) {
  neap_Vm *vm = np_vm(L);
  np_Limits *l = vm->limits;
  int n = lua_gethookcount(L);
  if (l->hooks && np_hooks_call(L, ar)) return;
  l->step += n == 1 || l->hooks ? (uint64_t)n : COUNT;
  np_hook_off(L);
  if (np_wants(vm, ~0)) np_poke_look(L);
  look(L);
}

void np_hook_off(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  int mask = LUA_MASKCOUNT, count = COUNT;
  if (!np_hooked(vm)) {
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  if (vm->limits->hooks) np_hooks_wanted(L, &mask, &count);
  if (lua_gethook(L) != on_count || lua_gethookcount(L) != count ||
      lua_gethookmask(L) != mask)
    lua_sethook(L, on_count, mask, count);
}

void neap_charge(lua_State *L, size_t instructions) {
  neap_Vm *vm = np_vm(L);
  if (!np_hooked(vm)) return;
  vm->limits->step += instructions;
  look(L);
}

/*
 * A coroutine that is used once would run up to COUNT instructions unseen.
 * So the first count of each is a random one, and counts as if it were
 * whole, which on the average is what it runs.
 */
void np_limits_thread(lua_State *co) {
  np_Limits *l = np_vm(co)->limits;
  l->seed ^= l->seed << 13;
  l->seed ^= l->seed >> 7;
  l->seed ^= l->seed << 17;
  lua_sethook(co, on_count, LUA_MASKCOUNT, 1 + (int)(l->seed % COUNT));
}

/* == Steps ============================================================ */

void np_limits_enter(neap_Vm *vm) {
  np_Limits *l = vm->limits;
  if (l == NULL || l->depth++ > 0) return;
  l->step = 0;
  if (l->timed) l->began = uv_hrtime();
  l->stop = l->spent;
  if (l->stop == NP_STOP_NONE && vm->current != NULL &&
      vm->current->flags & NP_T_LATE)
    l->stop = NP_STOP_TASK_LIFE_SECONDS;
  l->left = GRACE;
}

void np_limits_leave(neap_Vm *vm) {
  np_Limits *l = vm->limits;
  if (l == NULL || --l->depth > 0) return;
  l->count += l->step;
  if (l->timed) l->ran += uv_hrtime() - l->began;
  l->step = 0;
  l->stop = NP_STOP_NONE;
}

void np_limits_leave_task(neap_Vm *vm) {
  np_Limits *l = vm->limits;
  neap_Task *t = vm->current;
  t->instructions += l->step;
  if (l->timed) t->ran += uv_hrtime() - l->began;
  np_limits_leave(vm);
}

int np_limits_status(const np_Future *f, int status) {
  return f->flags & NP_F_LIMIT || np_spent(f->vm) ? NEAP_ELIMIT : status;
}

/* == Lives ============================================================ */

static uint64_t life(const np_Limits *l) {
  double ms = l->max.task_life_seconds * 1e3;
  return ms < 1e9 ? (uint64_t)ms : 1000000000;
}

static int alarm_after(neap_Vm *vm, uint64_t now, uint64_t ms) {
  return neap_timer_start(vm, &vm->limits->life, now + (ms + 1) * 1000000);
}

/* Wakes the task, whatever it waits for and whoever keeps that going. */
static void end_life(neap_Vm *vm, neap_Task *t) {
  t->flags |= NP_T_LATE;
  (void)np_task_cancel(t);
  t->flags |= NP_T_MUST_CANCEL;
  if (t->awaiting == NULL || t->link.next == NULL) return;
  np_unlink(&t->link);
  np_ready(vm, &t->link.node);
}

static void on_life(neap_Vm *vm, neap_Timer *timer) {
  np_Limits *l = vm->limits;
  uint64_t now = uv_hrtime(), most = life(l), next = most;
  neap_Task *t;
  (void)timer;
  for (t = vm->tasks; t != NULL; t = t->next) {
    uint32_t age = (uint32_t)(now / 1000000) - t->born;
    if (t->flags & NP_T_LATE) continue;
    if (age >= most) end_life(vm, t);
    else if (most - age < next) next = most - age;
  }
  if (vm->nlive > 0 && alarm_after(vm, now, next) < 0)
    spend(vm, NP_STOP_TASK_LIFE_SECONDS);
}

int np_limits_born(neap_Vm *vm, uint32_t *born) {
  np_Limits *l = vm->limits;
  uint64_t now;
  *born = (uint32_t)uv_now(vm->loop);
  if (l == NULL || !(l->max.task_life_seconds > 0)) return 0;
  now = uv_hrtime(); /* the loop's clock may have stood still for long */
  *born = (uint32_t)(now / 1000000);
  if (np_heap_test((np_HeapNode *)&l->life)) return 0;
  l->life.fire = on_life;
  return alarm_after(vm, now, life(l));
}

void np_limits_idle(neap_Vm *vm) {
  if (vm->limits != NULL) neap_timer_stop(vm, &vm->limits->life);
}

/* == Pieces =========================================================== */

void np_limits_tasks(lua_State *L, size_t n) {
  neap_Vm *vm = np_vm(L);
  size_t most = vm->limits != NULL ? vm->limits->max.tasks : 0;
  if (most > 0 && (n > most || vm->nlive > most - n))
    (void)too_many(L, "TASKS", "tasks", most);
}

void np_limits_handle(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  size_t most = vm->limits != NULL ? vm->limits->max.handles : 0;
  if (most > 0 && vm->nopen >= most)
    (void)too_many(L, "HANDLES", "open handles", most);
}

void neap_handle_count(lua_State *L, neap_Handle *h, int kind) {
  static const char *const codes[] = {"FILES", "SOCKETS", "PROCESSES"};
  static const char *const texts[] = {"open files", "open sockets",
                                      "processes"};
  np_Limits *l = h->vm->limits;
  size_t most;
  if (l == NULL) return;
  most = kind == NEAP_KIND_FILE ? l->max.files :
         kind == NEAP_KIND_SOCKET ? l->max.sockets : l->max.processes;
  if (most > 0 && l->kinds[kind - 1] >= most)
    (void)too_many(L, codes[kind - 1], texts[kind - 1], most);
  l->kinds[kind - 1]++;
  h->kind = (uint8_t)kind;
}

/* == The end ========================================================== */

static void on_late(neap_Vm *vm, neap_Timer *timer) {
  (void)timer;
  spend(vm, NP_STOP_FINISH_SECONDS);
}

void np_limits_finish(neap_Vm *vm) {
  np_Limits *l = vm->limits;
  if (l == NULL || !(l->max.finish_seconds > 0)) return;
  l->timer.fire = on_late;
  if (neap_timer_start(vm, &l->timer, uv_hrtime() + (uint64_t)
                       (l->max.finish_seconds * 1e9)) < 0)
    spend(vm, NP_STOP_FINISH_SECONDS);
}

void np_limits_finished(neap_Vm *vm) {
  if (vm->limits != NULL) neap_timer_stop(vm, &vm->limits->timer);
}

/* == Opening ========================================================== */

static int is_hooked(const neap_Limits *m) {
  return m->step_instructions > 0 || m->task_instructions > 0 ||
         m->instructions > 0 || m->step_seconds > 0 ||
         m->task_seconds > 0 || m->seconds > 0 || m->depth > 0;
}

/* Nothing is limited: then nothing is counted either. */
static int is_none(const neap_Limits *max) {
  neap_Limits m;
  memset(&m, 0, sizeof m);
  memcpy(&m, max, max->size < sizeof m ? max->size : sizeof m);
  return !is_hooked(&m) && m.memory == 0 && m.finish_seconds <= 0 &&
         m.task_life_seconds <= 0 && m.tasks == 0 && m.handles == 0 &&
         m.files == 0 && m.sockets == 0 && m.processes == 0;
}

int np_limits_new(neap_Vm *vm, const neap_Limits *max) {
  np_Limits *l;
  if (max == NULL || is_none(max)) return 0;
  l = calloc(1, sizeof *l);
  if (l == NULL) return UV_ENOMEM;
  memcpy(&l->max, max, max->size < sizeof l->max ? max->size : sizeof l->max);
  l->hooked = is_hooked(&l->max);
  l->timed = l->max.step_seconds > 0 || l->max.task_seconds > 0 ||
             l->max.seconds > 0;
  l->inner = vm->alloc;
  l->inner_data = vm->alloc_data;
  l->seed = uv_hrtime() | 1;
  if (uv_random(NULL, NULL, &l->seed, sizeof l->seed, 0, NULL) < 0) l->seed = 1;
  l->seed |= 1;
  vm->limits = l;
  vm->alloc = limited;
  vm->alloc_data = vm;
  return 0;
}

void np_limits_free(neap_Vm *vm) {
  free(vm->limits);
  vm->limits = NULL;
}

void np_limits_open(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  if (!np_hooked(vm)) return;
  np_finalizer_open(L);
  np_bounded_open(L);
  np_hooks_open(L);
}

void np_limits_begin(neap_Vm *vm) {
  if (!np_hooked(vm)) return;
  np_hook_off(vm->L);
  np_hook_off(vm->calls);
  np_hook_off(vm->limits->finalizer);
}

void neap_usage(neap_Vm *vm, neap_Usage *usage) {
  const np_Limits *l = vm->limits;
  neap_Usage u;
  memset(&u, 0, sizeof u);
  u.size = usage->size;
  if (l != NULL) {
    u.memory = l->used;
    u.most_memory = l->most;
    u.instructions = l->count + l->step;
    u.seconds = (double)l->ran / 1e9;
  }
  memcpy(usage, &u, u.size < sizeof u ? u.size : sizeof u);
}
