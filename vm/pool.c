/*
 * pool.c - the slots and the Lua threads of a machine's tasks.
 *
 * A slot is a task's place in the tables of the store. A thread is made when
 * the pool has none, and goes back to it when the task has ended; what nobody
 * needed for a second is given back to Lua, half at a time.
 */
#include "async.h"
#include "limits.h"
#include "task.h"

/* Makes both arrays, which grow together, one size larger. */
static int grow(neap_Vm *vm, void **all, size_t item, uint32_t **free_ones,
                uint32_t *size) {
  uint32_t larger = *size == 0 ? 16 : *size * 2;
  void *p;
  if (vm->closing == 2) return UV_ENOMEM;
  p = np_alloc(vm, *free_ones, *size * sizeof(uint32_t),
               larger * sizeof(uint32_t));
  if (p == NULL) return UV_ENOMEM;
  *free_ones = p;
  p = np_alloc(vm, *all, *size * item, larger * item);
  if (p == NULL) {
    /* Shrinking back cannot fail, and keeps both of one size. */
    *free_ones = np_alloc(vm, *free_ones, larger * sizeof(uint32_t),
                          *size * sizeof(uint32_t));
    return UV_ENOMEM;
  }
  *all = p;
  *size = larger;
  return 0;
}

/* A free slot: the task's place in the tables of the store. */
int np_slot_take(neap_Vm *vm, uint32_t *slot) {
  if (vm->nfree > 0) {
    *slot = vm->free_slots[--vm->nfree];
    return 0;
  }
  if (vm->nslots == vm->slots_size &&
      grow(vm, (void **)&vm->slots, sizeof *vm->slots, &vm->free_slots,
           &vm->slots_size) < 0)
    return UV_ENOMEM;
  *slot = vm->nslots++;
  return 0;
}

void np_slot_release(neap_Vm *vm, uint32_t slot) {
  vm->slots[slot] = NULL;
  vm->free_slots[vm->nfree++] = slot;
}

/* Makes the thread of that number; the table of them is on top of L. */
static void make(lua_State *L, neap_Vm *vm, uint32_t number) {
  lua_State *T = lua_newthread(L);
  np_thread_mark(T, NP_X_TASK);
  lua_rawseti(L, -2, (lua_Integer)number + 1);
  vm->threads[number] = T;
}

/* How many to make at the price of one call: more where there are many. */
static uint32_t at_once(neap_Vm *vm) {
  uint32_t more = vm->nthreads / 16;
  return 1 + (more < 32 ? more : 32);
}

/* Runs protected: makes the threads of the numbers on top of the pool. */
static int make_threads(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  uint32_t n = at_once(vm), at = vm->npool;
  np_object_trim(vm); /* there may be much of that, for these */
  np_store(L, vm, NP_S_THREADS);
  while (n-- > 0 && at > 0 && vm->threads[vm->pool[at - 1]] == NULL)
    make(L, vm, vm->pool[--at]);
  return 0;
}

/* Sees to it that the number on top of the pool has a thread. */
static int fill_top(neap_Vm *vm) {
  lua_State *C = vm->calls;
  lua_pushcfunction(C, make_threads);
  if (lua_pcall(C, 0, 0, 0) == LUA_OK) return 0;
  lua_pop(C, 1);
  return vm->threads[vm->pool[vm->npool - 1]] != NULL ? 0 : UV_ENOMEM;
}

/*
 * Puts new numbers into the empty pool, the least on top. Threads are taken
 * in the order in which they were made, so that many that run one after the
 * other lie side by side, which the processor's caches notice.
 */
static int add_numbers(neap_Vm *vm) {
  uint32_t n = at_once(vm), i;
  if (vm->nthreads == vm->threads_size &&
      grow(vm, (void **)&vm->threads, sizeof *vm->threads, &vm->pool,
           &vm->threads_size) < 0)
    return UV_ENOMEM;
  if (n > vm->threads_size - vm->nthreads)
    n = vm->threads_size - vm->nthreads;
  for (i = vm->nthreads += n; n > 0; n--) {
    vm->threads[--i] = NULL;
    vm->pool[vm->npool++] = i;
  }
  return 0;
}

/* A thread for a task that starts, from the pool if it has one. */
int np_thread_take(neap_Vm *vm, uint32_t *number) {
  if (vm->npool == 0 && add_numbers(vm) < 0) return UV_ENOMEM;
  if (vm->threads[vm->pool[vm->npool - 1]] == NULL && fill_top(vm) < 0)
    return UV_ENOMEM;
  *number = vm->pool[--vm->npool];
  if (vm->npool < vm->pool_low) vm->pool_low = vm->npool;
  return 0;
}

void np_thread_release(neap_Vm *vm, uint32_t number) {
  lua_State *T = vm->threads[number];
  lua_settop(T, 0);
  if (lua_gethookmask(T) != 0) {
    if (vm->limits != NULL && vm->limits->hooks) np_hooks_forget(T);
    np_hook_off(T);
  }
  vm->pool[vm->npool++] = number;
}

/* Gives half of the threads that nobody needed for a second to Lua. */
void np_pool_trim(neap_Vm *vm) {
  uint64_t now = uv_hrtime();
  uint32_t drop = vm->pool_low / 2;
  if (vm->pool_time == 0) vm->pool_time = now;
  if (now - vm->pool_time < 1000000000) return;
  vm->pool_time = now;
  while (drop-- > 0) { /* from below, where the longest unused are */
    uint32_t number = vm->pool[drop];
    if (vm->threads[number] == NULL) continue;
    vm->threads[number] = NULL;
    lua_pushnil(vm->store);
    lua_rawseti(vm->store, NP_S_THREADS, (lua_Integer)number + 1);
  }
  vm->pool_low = vm->npool;
  if (vm->slab != NULL) (void)np_slab_trim(vm->slab, (size_t)1 << 20);
}
