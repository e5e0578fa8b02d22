/*
 * task.c - the life of a task: spawned, started, stepped, ended.
 *
 * A task is a C struct with a Lua thread from the pool. Its Lua object (a
 * future) exists only if somebody asks for it. The body runs under a pcall
 * that can yield, in np_task_main, so that <close> handlers can await while
 * an error is on its way; the same function stores the results while still
 * inside the coroutine, where running out of memory is an ordinary error.
 */
#include <string.h>

#include "async.h"
#include "error.h"
#include "future.h"
#include "limits.h"
#include "loop.h"
#include "task.h"

/* == Spawning ========================================================= */

static void append(neap_Vm *vm, neap_Task *t) {
  t->prev = vm->tasks_last;
  if (t->prev != NULL) t->prev->next = t;
  else vm->tasks = t;
  vm->tasks_last = t;
  vm->nlive++;
}

/* In debug mode a task knows the whole stack that spawned it. */
static void remember_spawn(lua_State *L, neap_Task *t) {
  np_task_push(L, t);
  np_traceback(L, L, 0);
  luaL_gsub(L, lua_tostring(L, -1), "stack traceback:", "");
  lua_remove(L, -2);
  luaL_gsub(L, lua_tostring(L, -1), "\n\t", "\n\t\t");
  lua_remove(L, -2);
  np_extra_set(L, -2, "spawn_stack");
  lua_pop(L, 1);
}

neap_Task *np_task_blank(neap_Vm *vm) {
  neap_Task *t;
  uint32_t slot;
  if (vm->closing || np_slot_take(vm, &slot) < 0) return NULL;
  t = np_alloc(vm, NULL, 0, sizeof *t);
  if (t == NULL) {
    np_slot_release(vm, slot);
    return NULL;
  }
  memset(t, 0, sizeof *t);
  t->link.node.run = np_task_start;
  t->timer.fire = np_sleep_over;
  t->vm = vm;
  t->slot = slot;
  vm->slots[slot] = t;
  return t;
}

static void discard(neap_Vm *vm, neap_Task *t) {
  np_slot_release(vm, t->slot);
  np_alloc(vm, t, sizeof *t, 0);
}

/* A new task among all tasks, or NULL when memory is out. */
static neap_Task *enter(neap_Vm *vm, int line, uint32_t source) {
  neap_Task *t = np_task_blank(vm);
  if (t == NULL) return NULL;
  vm->ntasks++;
  if (np_reserve(vm) < 0 || np_limits_born(vm, &t->born) < 0) {
    vm->ntasks--;
    discard(vm, t);
    return NULL;
  }
  t->id = ++vm->ids;
  t->parent = vm->current != NULL ? (uint32_t)vm->current->id : 0;
  t->line = line;
  t->source = source;
  append(vm, t);
  return t;
}

/*
 * Makes the task that will run the coroutine object on top, and pops that.
 * It gets a thread only when it starts, so that many short tasks share few.
 */
static neap_Task *spawn(lua_State *L, int line, uint32_t source) {
  neap_Vm *vm = np_vm(L);
  neap_Task *t;
  if (vm->limits != NULL) np_limits_tasks(L, 1);
  t = enter(vm, line, source);
  if (t == NULL) {
    luaL_error(L, "not enough memory");
    return NULL;
  }
  np_ready(vm, &t->link.node);
  np_task_prepare(L, t); /* an error leaves a task that ends by itself */
  np_context_inherit(L, t);
  if (vm->debug) remember_spawn(L, t);
  return t;
}

static void go_on(neap_Vm *vm, np_Node *node) {
  np_task_run(vm, (neap_Task *)node, 0);
}

/* Gives the task that thread, with the function at its bottom, and above it
 * all but the body and the arguments. */
static void begin_on(neap_Vm *vm, neap_Task *t, uint32_t thread) {
  t->flags |= NP_T_STARTED;
  t->link.node.run = go_on;
  t->thread = thread;
  t->L = vm->threads[thread];
  lua_pushcfunction(t->L, np_task_main);
  lua_pushcfunction(t->L, np_task_handler);
  if (t->sink != NULL && t->sink->table != 0)
    lua_rawgeti(t->L, LUA_REGISTRYINDEX, t->sink->table);
  else
    lua_pushnil(t->L);
}

void np_task_now(lua_State *L, int nargs, np_Sink *sink) {
  neap_Vm *vm = np_vm(L);
  np_Outside outside;
  neap_Task *t = NULL;
  lua_State *T;
  uint32_t thread, source;
  int line;
  if (vm->limits != NULL) np_limits_tasks(L, 1);
  np_site(L, 0, &line, &source);
  if (np_thread_take(vm, &thread) < 0) luaL_error(L, "not enough memory");
  T = vm->threads[thread];
  if (lua_checkstack(T, nargs + 10)) t = enter(vm, line, source);
  if (t == NULL) {
    np_thread_release(vm, thread);
    luaL_error(L, "not enough memory");
    return;
  }
  t->flags = NP_T_MAIN;
  t->sink = sink;
  if (vm->main == NULL) {
    vm->main = t;
    if (np_wants(vm, NP_WANT_INTERRUPT)) /* it was for the one before */
      (void)np_wants_take(vm, NP_WANT_INTERRUPT);
  }
  begin_on(vm, t, thread);
  lua_xmove(L, T, nargs + 1);
  outside = np_outside(vm);
  np_poke_enter(vm);
  np_poke_hook(vm, T); /* what is wanted already cannot wait for a turn */
  np_task_run(vm, t, nargs + NP_TASK_BODY);
  np_poke_leave(vm);
  np_inside(vm, outside);
}

neap_Task *np_task_new(lua_State *L, int nargs, int line, uint32_t source) {
  np_co_make(L, nargs);
  np_co_claim(L, -1);
  return spawn(L, line, source);
}

neap_Task *np_task_of(lua_State *L, int line, uint32_t source) {
  return spawn(L, line, source);
}

neap_Task *np_task_from(lua_State *L, int index, int line, uint32_t source) {
  if (np_co_test(L, index) != NULL) {
    lua_pushvalue(L, index);
    np_co_claim(L, -1);
    return spawn(L, line, source);
  }
  index = lua_absindex(L, index);
  np_push(L, np_vm(L), NP_R_AWAIT);
  lua_pushvalue(L, index);
  return np_task_new(L, 1, line, source);
}

void np_task_prepare(lua_State *L, neap_Task *t) {
  np_store(L, t->vm, NP_S_STARTS);
  lua_insert(L, -2);
  lua_rawseti(L, -2, (lua_Integer)t->slot + 1);
  lua_pop(L, 1);
}

int np_task_begin(neap_Vm *vm, neap_Task *t) {
  uint32_t thread;
  if (np_thread_take(vm, &thread) < 0) return UV_ENOMEM;
  begin_on(vm, t, thread);
  return 0;
}

/* Every Lua thread has room for so many arguments. */
#define FEW 8

int np_task_load(neap_Task *t) {
  lua_State *T = t->L;
  np_Co *co = lua_touserdata(T, -1);
  int n = co != NULL ? co->nargs : -1;
  if (n < 0 || (n > FEW && !lua_checkstack(T, n + 4))) {
    lua_settop(T, 0); /* there is no error on it */
    return UV_ENOMEM;
  }
  np_co_unpack(T, co);
  return n + NP_TASK_BODY;
}

void np_task_push(lua_State *L, neap_Task *t) {
  neap_Vm *vm = t->vm;
  np_store(L, vm, NP_S_FUTURES);
  if (t->future == NULL) {
    np_Future *f = np_future_new(L, NP_R_TASK);
    f->task = t;
    f->id = t->id;
    f->line = t->line;
    f->source = t->source;
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, (lua_Integer)t->slot + 1);
    t->future = f;
    lua_remove(L, -2);
    return;
  }
  lua_rawgeti(L, -1, (lua_Integer)t->slot + 1);
  lua_remove(L, -2);
}

neap_Task *np_task_find(neap_Vm *vm, uint32_t slot, uint64_t id) {
  neap_Task *t = slot < vm->nslots ? vm->slots[slot] : NULL;
  return t != NULL && t->id == id ? t : NULL;
}

/* == The body ========================================================= */

/* A nil that was raised, at `index`, which is the top: becomes an Error. */
static void wrap_nil(lua_State *L, neap_Task *t, int index) {
  lua_pushnil(L);
  np_error_wrap(L, index);
  lua_replace(L, index);
  lua_settop(L, index);
  lua_pushliteral(L, "(error object is a nil value)");
  lua_setfield(L, index, "message");
  if (np_inherit_push(L, t)) { /* it has the traceback of the nil */
    lua_pushvalue(L, index);
    lua_rawseti(L, -2, 1);
  }
  lua_settop(L, index);
}

/* Gives the future at `index` the error above it, with its traces. */
static void store_error(lua_State *L, neap_Task *t, int index) {
  if (t->flags & NP_T_MAIN && np_inherit_push(L, t)) {
    lua_rawgeti(L, -1, 4);
    np_extra_set_nonnil(L, index, "text");
  }
  lua_settop(L, index + 1);
  np_take_traces(L, t, index + 1);
  np_extra_set_nonnil(L, index, "spawned");
  np_extra_set_nonnil(L, index, "traceback");
  np_future_reject(L, index, t->state == NP_FAILED);
}

/* Stores what the body gave (first..top) or raised (on top). */
static int task_store(lua_State *L, int state, int first) {
  neap_Task *t = np_vm(L)->current;
  int n = lua_gettop(L) - first + 1;
  if (n > FEW) luaL_checkstack(L, LUA_MINSTACK, "too many results");
  if (state == NP_FAILED) {
    first = lua_gettop(L);
    n = 1;
    if (lua_isnil(L, first)) wrap_nil(L, t, first);
    if (np_error_is(L, first, "CancelledError")) state = NP_CANCELLED;
  }
  t->state = (uint8_t)state;
  if (t->sink != NULL) {
    t->sink->store(L, t->sink, t, first, n, state);
    if (t->future == NULL) return 0;
    t->future->flags |= NP_F_RETRIEVED;
    lua_settop(L, first + n - 1);
  }
  if (t->future == NULL) return 0;
  if (np_ended_by_limit(t->vm)) t->future->flags |= NP_F_LIMIT;
  np_task_push(L, t);
  lua_insert(L, first);
  if (state == NP_DONE) np_future_resolve(L, first, n);
  else store_error(L, t, first);
  return 0;
}

/* The body does not run, or its values do not count. */
static int task_cancelled(lua_State *L, neap_Task *t) {
  t->flags &= (uint16_t)~(NP_T_MUST_CANCEL | NP_T_GIVEN_UP);
  lua_settop(L, NP_TASK_TABLE);
  np_cancel_push(L, t);
  return task_store(L, NP_FAILED, NP_TASK_BODY);
}

/* A cancellation that found no await any more is the outcome, as in asyncio. */
static int task_ended(lua_State *L, int status, lua_KContext ctx) {
  neap_Task *t = np_vm(L)->current;
  (void)ctx;
  if (status != LUA_OK && status != LUA_YIELD)
    return task_store(L, NP_FAILED, NP_TASK_BODY);
  if (t->flags & NP_T_MUST_CANCEL) return task_cancelled(L, t);
  return task_store(L, NP_DONE, NP_TASK_BODY);
}

static void run_body(lua_State *L) {
  neap_Task *t = np_vm(L)->current;
  int status;
  if (np_spent(t->vm)) {
    lua_settop(L, NP_TASK_TABLE);
    np_limits_push(L);
    (void)task_store(L, NP_FAILED, NP_TASK_BODY);
    return;
  }
  if (t->flags & NP_T_MUST_CANCEL) {
    np_co_excuse(L, NP_TASK_TABLE);
    (void)task_cancelled(L, t);
    return;
  }
  status = lua_pcallk(L, lua_gettop(L) - NP_TASK_BODY, LUA_MULTRET,
                      NP_TASK_HANDLER, 0, task_ended);
  (void)task_ended(L, status, 0);
}

int np_task_main(lua_State *L) {
  do run_body(L);
  while (np_batch_next(L));
  return 0;
}

/* == Steps ============================================================ */

static void task_free(neap_Vm *vm, neap_Task *t) {
  np_alloc(vm, t, sizeof *t, 0);
  vm->ntasks--;
}

static void tell_sink(neap_Vm *vm, np_Node *node) {
  neap_Task *t = (neap_Task *)node;
  t->sink->done(vm, t->sink, t);
  task_free(vm, t);
}

static void forget(neap_Vm *vm, int table, uint32_t slot) {
  lua_pushnil(vm->store);
  lua_rawseti(vm->store, table, (lua_Integer)slot + 1);
}

/* Tells who waits of the end. Returns whether the struct is needed for that. */
static int tell(neap_Vm *vm, neap_Task *t) {
  int later = t->sink != NULL && t->sink->ended(t->sink, t);
  t->flags |= NP_T_ENDED;
  if (--vm->nlive == 0) np_limits_idle(vm);
  if (vm->main_before == t) vm->main_before = NULL;
  if (vm->main == t) {
    vm->main = vm->main_before;
    vm->main_before = NULL;
  }
  if (t->flags & NP_T_CONTEXT) forget(vm, NP_S_CONTEXTS, t->slot);
  if (t->flags & NP_T_INHERIT) forget(vm, NP_S_INHERIT, t->slot);
  if (later) { /* it was there before anybody who awaits */
    t->link.node.run = tell_sink;
    np_ready(vm, &t->link.node);
  }
  if (t->future != NULL) {
    t->future->cancelling = t->cancelling;
    t->future->task = NULL;
    np_future_finish(vm, t->future, t->state);
    forget(vm, NP_S_FUTURES, t->slot);
  }
  return later;
}

/* Takes an ended task out of everything. */
static void task_end(neap_Vm *vm, neap_Task *t) {
  if (t->prev != NULL) t->prev->next = t->next;
  else vm->tasks = t->next;
  if (t->next != NULL) t->next->prev = t->prev;
  else vm->tasks_last = t->prev;
  if (t->L != NULL) np_thread_release(vm, t->thread);
  np_slot_release(vm, t->slot);
  if (!tell(vm, t)) task_free(vm, t);
}

void np_task_renew(neap_Vm *vm, neap_Task *t) {
  (void)tell(vm, t);
  vm->ntasks--;
  t->future = NULL;
  t->flags = NP_T_STARTED;
  t->cancelling = 0;
}

/* The body's end could not be stored: memory ran out. The error message is
 * on top of T, or the one that was made for this moment is taken. */
static void task_broke(neap_Vm *vm, neap_Task *t) {
  lua_State *S = vm->store, *T = t->L;
  t->state = NP_FAILED;
  if (t->future != NULL) {
    lua_rawgeti(S, NP_S_FUTURES, (lua_Integer)t->slot + 1);
    if (T != NULL && lua_gettop(T) > 0 && !lua_isnil(T, -1))
      lua_xmove(T, S, 1);
    else
      np_push(S, vm, NP_R_NOMEM);
    t->future->flags |= NP_F_SINGLE;
    lua_setiuservalue(S, -2, 1);
    lua_pop(S, 1);
  }
  if (T != NULL) (void)lua_resetthread(T);
}

void np_step_begun(neap_Vm *vm) {
  (void)np_watch_step(vm);
  if (vm->limits != NULL) np_limits_enter(vm);
}

void np_step_ended(neap_Vm *vm) {
  if (np_watch_step(vm)) np_watch_ended(vm);
  if (vm->limits != NULL) np_limits_leave_task(vm);
  vm->resumes = NULL;
}

void np_task_run(neap_Vm *vm, neap_Task *t, int n) {
  lua_State *T = t->L;
  int status, results;
  vm->current = t;
  vm->running = T;
  np_step_begun(vm);
  status = lua_resume(T, vm->L, n, &results);
  np_step_ended(vm);
  t = vm->current; /* of a batch, the last one */
  vm->current = NULL;
  vm->running = NULL;
  if (status == LUA_YIELD) {
    if (vm->parking) {
      vm->parking = 0;
      if (vm->exiting != 1 || !(t->flags & NP_T_EXITING)) return;
      vm->exiting = 2;
      t->state = NP_CANCELLED;
      np_limits_enter(vm);
      (void)lua_resetthread(T); /* runs its <close> handlers, no error */
      np_limits_leave(vm);
    } else { /* C code yields by itself: it gets a turn's pause */
      lua_pop(T, results);
      np_ready(vm, &t->link.node);
      return;
    }
  } else if (status != LUA_OK) {
    task_broke(vm, t);
  }
  task_end(vm, t);
}

/* Moves the object that is to start from the store to the task's thread. */
static int load_start(neap_Vm *vm, neap_Task *t) {
  lua_State *S = vm->store;
  if (np_task_begin(vm, t) < 0) return UV_ENOMEM;
  if (lua_rawgeti(S, NP_S_STARTS, (lua_Integer)t->slot + 1) ==
      LUA_TUSERDATA) { /* it could not be kept otherwise */
    lua_pushboolean(S, 0);
    lua_rawseti(S, NP_S_STARTS, (lua_Integer)t->slot + 1);
  }
  lua_xmove(S, t->L, 1);
  return np_task_load(t);
}

void np_task_start(neap_Vm *vm, np_Node *node) {
  neap_Task *t = (neap_Task *)node;
  int n = load_start(vm, t);
  if (n < 0) np_task_fail(vm, t);
  else np_task_run(vm, t, n);
}

void np_task_fail(neap_Vm *vm, neap_Task *t) {
  task_broke(vm, t);
  task_end(vm, t);
}

/* == Lua's side ======================================================= */

/**
 * asyncio.create_task(x [, {name = nil}]) -> Task
 *
 * Makes a Task that runs the awaitable `x` beside the caller, from the loop's
 * next turn on. The loop holds the task until it is done. Without a name it is
 * called `Task-1` and so on. Its context variables are a copy of the caller's.
 * *Raises* when `x` is a coroutine object that was awaited or given away
 * before. *The surprise:* `create_task(f)` is an error, `create_task(f())` is
 * meant.
 */
static int create_task(lua_State *L) {
  neap_Task *t;
  int line;
  uint32_t source;
  lua_settop(L, 2);
  if (np_co_test(L, 1) == NULL && np_future_test(L, 1) == NULL &&
      luaL_getmetafield(L, 1, "__await") == LUA_TNIL)
    return np_error(L, "create_task needs an awaitable, not a %s value%s",
                    neap_typename(L, 1),
                    lua_isfunction(L, 1) ? ": call the function" : "");
  lua_settop(L, 2);
  np_option(L, 2, "create_task", "name", LUA_TSTRING);
  np_site(L, 1, &line, &source);
  t = np_task_from(L, 1, line, source);
  np_task_push(L, t);
  if (!lua_isnil(L, 3)) {
    lua_pushvalue(L, 3);
    np_extra_set(L, -2, "name");
  }
  return 1;
}

/**
 * asyncio.current_task() -> Task, or nil outside any task
 */
static int current_task(lua_State *L) {
  neap_Task *t = np_vm(L)->current;
  if (t == NULL) lua_pushnil(L);
  else np_task_push(L, t);
  return 1;
}

/**
 * asyncio.all_tasks() -> list of the tasks that are not done
 */
static int all_tasks(lua_State *L) {
  neap_Task *t;
  lua_Integer i = 0;
  np_batch_show(L);
  lua_newtable(L);
  for (t = np_vm(L)->tasks; t != NULL; t = t->next) {
    np_task_push(L, t);
    lua_rawseti(L, -2, ++i);
  }
  return 1;
}

/* _task_id() -> number of the running task, 0 outside of one */
static int task_id(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  lua_pushinteger(L, vm->current != NULL ?
                     (lua_Integer)(uint32_t)vm->current->id : 0);
  return 1;
}

static int is_main(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  lua_pushboolean(L, vm->current != NULL &&
                  vm->current->flags & NP_T_MAIN);
  return 1;
}

void np_task_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"create_task", create_task}, {"current_task", current_task},
    {"all_tasks", all_tasks}, {"_is_main", is_main}, {"_task_id", task_id},
    {NULL, NULL}};
  neap_Vm *vm = np_vm(L);
  np_weak_push(L, "k");
  np_keep(L, vm, NP_R_OWN);
  lua_pushliteral(L, "not enough memory");
  np_keep(L, vm, NP_R_NOMEM);
  np_push(L, vm, NP_R_ASYNCIO);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}

void np_task_close(neap_Vm *vm) {
  if (vm->slots != NULL) {
    np_alloc(vm, vm->slots, vm->slots_size * sizeof *vm->slots, 0);
    np_alloc(vm, vm->free_slots, vm->slots_size * sizeof(uint32_t), 0);
  }
  if (vm->threads != NULL) {
    np_alloc(vm, vm->threads, vm->threads_size * sizeof *vm->threads, 0);
    np_alloc(vm, vm->pool, vm->threads_size * sizeof(uint32_t), 0);
  }
}
