/*
 * batch.c - coroutine objects that become tasks together.
 *
 * A gather of a hundred thousand would make as many tasks for the next turn,
 * most of which only run and end. A batch makes each when its turn comes: one
 * node in the ready ring runs all of them, and one that ends without having
 * waited gives its struct, its slot and the thread that it ran on to the next,
 * without leaving the thread. Whoever looks at tasks before that finds them
 * made (np_batch_show). Order and numbers are what they would be for as many
 * calls of create_task.
 */
#include "future.h"
#include "limits.h"
#include "loop.h"
#include "task.h"

/* == Sinks ============================================================ */

void np_sink_join(np_Sink *s, neap_Task *t) {
  t->sink = s;
  t->sink_next = NULL;
  t->sink_prev = s->last;
  if (s->last != NULL) s->last->sink_next = t;
  else s->first = t;
  s->last = t;
}

void np_sink_leave(np_Sink *s, neap_Task *t) {
  if (t->sink_prev != NULL) t->sink_prev->sink_next = t->sink_next;
  else s->first = t->sink_next;
  if (t->sink_next != NULL) t->sink_next->sink_prev = t->sink_prev;
  else s->last = t->sink_prev;
}

/* == Becoming tasks =================================================== */

/* Gives `t` the next number. */
static void number(np_Batch *b, neap_Task *t) {
  t->id = b->id++;
  t->number = ++b->at;
  t->flags |= b->flags;
}

/* Puts `t` among all tasks, which are in the order of their ids. */
static void insert(neap_Vm *vm, np_Batch *b, neap_Task *t) {
  neap_Task *p = b->before;
  if (p == NULL)
    for (p = vm->tasks_last; p != NULL && p->id > t->id;) p = p->prev;
  t->prev = p;
  t->next = p != NULL ? p->next : vm->tasks;
  if (t->next != NULL) t->next->prev = t;
  else vm->tasks_last = t;
  if (p != NULL) p->next = t;
  else vm->tasks = t;
  b->before = t;
}

/* The next as a task, or NULL if memory is out. */
static neap_Task *next_task(neap_Vm *vm, np_Batch *b) {
  neap_Task *t = np_task_blank(vm);
  if (t == NULL) return NULL;
  number(b, t);
  t->parent = b->parent;
  t->born = b->born;
  t->line = b->line;
  t->source = b->source;
  insert(vm, b, t);
  np_sink_join(b->sink, t);
  return t;
}

static void drop_batch(neap_Vm *vm, np_Batch *b) {
  if (b->prev != NULL) b->prev->next = b->next;
  else vm->batches = b->next;
  if (b->next != NULL) b->next->prev = b->prev;
  else vm->batches_last = b->prev;
  vm->nscheduled--;
}

/* == Running ========================================================== */

/* Moves object number `at` from the table at `index` to the top of L. */
static void take_object(lua_State *L, int index, uint32_t at) {
  lua_rawgeti(L, index, at);
  lua_pushnil(L);
  lua_rawseti(L, index, at);
}

/* Takes object number `at` out of the table: memory is out. */
static void drop_object(lua_State *S, const np_Batch *b, uint32_t at) {
  lua_rawgeti(S, LUA_REGISTRYINDEX, b->sink->table);
  lua_pushnil(S);
  lua_rawseti(S, -2, at);
  lua_pop(S, 1);
}

static void lose_next(neap_Vm *vm, np_Batch *b) {
  b->id++;
  drop_object(vm->store, b, ++b->at);
  if (--vm->nlive == 0) np_limits_idle(vm);
  vm->ntasks--;
  b->lost(b->sink, b->at);
}

/* Runs the next and those that follow on its thread. */
static void run_next(neap_Vm *vm, np_Batch *b) {
  neap_Task *t = next_task(vm, b), *prev;
  uint32_t slot;
  int n;
  if (t == NULL) {
    lose_next(vm, b);
    return;
  }
  prev = t->prev;
  slot = t->slot;
  n = np_task_begin(vm, t);
  if (n == 0) {
    take_object(t->L, NP_TASK_TABLE + 1, t->number); /* 1: np_task_main */
    n = np_task_load(t);
  } else {
    drop_object(vm->store, b, t->number);
  }
  if (n < 0) np_task_fail(vm, t);
  else np_task_run(vm, t, n);
  if (np_task_find(vm, slot, b->id - 1) == NULL) b->before = prev;
}

/* Runs the first of those that somebody has looked at. */
static void run_waiting(neap_Vm *vm, np_Batch *b) {
  neap_Task *t = b->waiting;
  b->waiting = t->sink_next;
  b->before = NULL;
  np_task_start(vm, &t->link.node);
}

static void run_batch(neap_Vm *vm, np_Node *node) {
  np_Batch *b = (np_Batch *)node;
  drop_batch(vm, b);
  vm->batch = b;
  b->before = NULL;
  while (b->waiting != NULL || b->at < b->n) {
    if (b->waiting != NULL) run_waiting(vm, b);
    else run_next(vm, b);
  }
  vm->batch = NULL;
}

int np_batch_next(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  np_Batch *b = vm->batch;
  neap_Task *t = vm->current;
  if (b == NULL || t->state != NP_DONE || b->waiting != NULL ||
      b->at == b->n)
    return 0;
  np_step_ended(vm);
  np_task_renew(vm, t);
  number(b, t);
  np_sink_join(b->sink, t);
  np_step_begun(vm);
  lua_settop(L, NP_TASK_TABLE);
  take_object(L, NP_TASK_TABLE, t->number);
  if (np_task_load(t) < 0) luaL_error(L, "not enough memory");
  return 1;
}

/* == Before they start ================================================ */

int np_batch_start(neap_Vm *vm, np_Batch *b) {
  vm->ntasks += b->n;
  vm->nscheduled++;
  if (np_reserve(vm) < 0 || np_limits_born(vm, &b->born) < 0) {
    vm->ntasks -= b->n;
    vm->nscheduled--;
    return UV_ENOMEM;
  }
  b->node.run = run_batch;
  b->at = 0;
  b->id = vm->ids + 1;
  vm->ids += b->n;
  vm->nlive += b->n;
  b->parent = vm->current != NULL ? (uint32_t)vm->current->id : 0;
  b->prev = vm->batches_last;
  if (b->prev != NULL) b->prev->next = b;
  else vm->batches = b;
  vm->batches_last = b;
  np_ready(vm, &b->node);
  return 0;
}

static void show(lua_State *L, np_Batch *b) {
  neap_Vm *vm = np_vm(L);
  int table = lua_gettop(L) + 1;
  lua_rawgeti(L, LUA_REGISTRYINDEX, b->sink->table);
  while (b->at < b->n) {
    neap_Task *t = next_task(vm, b);
    if (t == NULL) luaL_error(L, "not enough memory");
    if (b->waiting == NULL) b->waiting = t;
    take_object(L, table, t->number);
    np_task_prepare(L, t);
  }
  lua_settop(L, table - 1);
}

void np_batch_show(lua_State *L) {
  np_Batch *b;
  for (b = np_vm(L)->batches; b != NULL; b = b->next) show(L, b);
  if (np_vm(L)->batch != NULL) show(L, np_vm(L)->batch);
}

int np_batch_cancel(np_Batch *b, int flags) {
  b->flags |= (uint16_t)(flags | NP_T_MUST_CANCEL);
  return b->node.run != NULL && b->at < b->n;
}

void np_batch_cancel_all(neap_Vm *vm, int flags) {
  np_Batch *b;
  for (b = vm->batches; b != NULL; b = b->next)
    (void)np_batch_cancel(b, flags);
  if (vm->batch != NULL) (void)np_batch_cancel(vm->batch, flags);
}
