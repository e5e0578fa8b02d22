/*
 * vm.c - a machine: made, driven by its host, and freed.
 *
 * This file puts the others together and is the part of neap.h that a host
 * sees first. It opens Lua's libraries, then what neap changes in them.
 */
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "async.h"
#include "error.h"
#include "future.h"
#include "limits.h"
#include "load.h"
#include "loop.h"
#include "permit.h"
#include "task.h"

#define REGISTRY_PLACES 64

/* == Memory =========================================================== */

static void *own_alloc(void *slab, void *block, size_t old, size_t size) {
  return np_slab_realloc(slab, block, old, size);
}

void *np_alloc(neap_Vm *vm, void *block, size_t old, size_t size) {
  return vm->alloc(vm->alloc_data, block, old, size);
}

void np_keep(lua_State *L, neap_Vm *vm, int what) {
  vm->ref[what] = luaL_ref(L, LUA_REGISTRYINDEX);
}

int neap_debug(neap_Vm *vm) { return vm->debug; }

void neap_set_debug(neap_Vm *vm, int on) {
  vm->debug = on;
  if (on) np_watch_start(vm);
  else np_watch_stop(vm);
}

lua_State *neap_state(neap_Vm *vm) { return vm->L; }
neap_Vm *neap_vm(lua_State *L) { return np_vm(L); }
struct uv_loop_s *neap_loop(lua_State *L) { return np_vm(L)->loop; }
void *neap_data(neap_Vm *vm) { return vm->data; }

/* == Opening ========================================================== */

void np_make(lua_State *L, int what) {
  luaL_checkstack(L, 10, NULL);
  switch (what) {
    case NP_R_CO: np_co_make_metatable(L); break;
    case NP_R_FUTURE: case NP_R_TASK: np_future_make_metatables(L); break;
    case NP_R_SENTINEL: np_lost_make_metatable(L); break;
    case NP_R_TIMEOUT: np_timeout_make_metatables(L); break;
    case NP_R_QUEUE: np_queue_make_metatable(L); break;
    case NP_R_LOADING: np_loading_make_metatable(L); break;
    case NP_R_CALLBACK: np_callback_make_metatable(L); break;
    case NP_R_LIBRARY: np_library_make(L); break;
    default: np_rest_make(L); break;
  }
}

static int do_nothing(lua_State *L) {
  (void)L;
  return 0;
}

static void open_store(lua_State *L, neap_Vm *vm) {
  int i;
  vm->store = lua_newthread(L);
  (void)luaL_ref(L, LUA_REGISTRYINDEX);
  vm->calls = lua_newthread(L);
  (void)luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pushcfunction(vm->calls, do_nothing); /* so that there is room for it */
  if (!lua_checkstack(vm->store, 50) ||
      lua_pcall(vm->calls, 0, 0, 0) != LUA_OK)
    luaL_error(L, "not enough memory");
  for (i = 1; i <= NP_S_LAST; i++) {
    lua_newtable(L);
    lua_xmove(L, vm->store, 1);
  }
}

static int debug_get(lua_State *L) {
  lua_pushboolean(L, np_vm(L)->debug);
  return 1;
}

static int debug_set(lua_State *L) {
  neap_set_debug(np_vm(L), lua_toboolean(L, 1));
  return 0;
}

/* _block_limit([seconds]) -> seconds; see neap_set_block_limit */
static int block_limit(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  if (!lua_isnoneornil(L, 1))
    neap_set_block_limit(vm, luaL_checknumber(L, 1));
  lua_pushnumber(L, np_block_limit(vm));
  return 1;
}

static void open_debug(lua_State *L, neap_Vm *vm) {
  static const luaL_Reg functions[] = {
    {"_get_debug", debug_get}, {"_set_debug", debug_set},
    {"_block_limit", block_limit}, {NULL, NULL}};
  np_push(L, vm, NP_R_ASYNCIO);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}

/*
 * Gives the registry so many places in its array as what is kept there needs,
 * where Lua finds it fastest: each is filled once, and free again.
 */
static void widen_registry(lua_State *L) {
  int first, i;
  lua_pushboolean(L, 1);
  first = luaL_ref(L, LUA_REGISTRYINDEX); /* all behind it is free */
  for (i = 1; i < REGISTRY_PLACES; i++) {
    lua_pushboolean(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, first + i);
  }
  while (i-- > 0) luaL_unref(L, LUA_REGISTRYINDEX, first + i);
}

int np_open(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  if (!vm->attached) widen_registry(L); /* in its own all places are free */
  open_store(L, vm);
  lua_createtable(L, 0, 64);
  np_keep(L, vm, NP_R_ASYNCIO);
  np_quote_open(L);
  np_error_open(L);
  np_text_open(L);
  np_site_open(L);
  np_async_open(L);
  np_object_open(L);
  np_future_open(L);
  np_lost_open(L);
  np_callback_open(L);
  np_handler_open(L);
  np_task_open(L);
  np_context_open(L);
  np_sleep_open(L);
  np_gather_open(L);
  np_group_open(L);
  np_queue_open(L);
  np_timeout_open(L);
  np_coro_open(L);
  np_base_open(L);
  if (vm->write != NULL) np_output_open(L);
  np_load_open(L);
  np_handle_open(L);
  np_dump_open(L);
  open_debug(L, vm);
  np_module_open(L);
  np_run_open(L);
  return 0;
}

static int open_all(lua_State *L) {
  if (np_vm(L)->ignore_env) {
    lua_pushboolean(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  (void)lua_gc(L, LUA_GCSTOP); /* there is no garbage yet */
  luaL_openlibs(L);
  (void)np_open(L);
  np_attach_mark(L);
  np_limits_open(L);
  np_halves_open(L);
  np_sandbox_open(L);
  (void)lua_gc(L, LUA_GCRESTART);
  return 0;
}

static neap_Options take_options(neap_Vm *vm, const neap_Options *given) {
  neap_Options o;
  memset(&o, 0, sizeof o);
  if (given != NULL)
    memcpy(&o, given, given->size < sizeof o ? given->size : sizeof o);
  vm->loop = o.loop;
  vm->alloc = o.alloc;
  vm->alloc_data = o.alloc_data;
  vm->report = o.report;
  vm->data = o.data;
  vm->debug = o.debug;
  vm->ignore_env = o.ignore_env;
  vm->modules = o.modules;
  vm->resolve = o.resolve;
  vm->write = o.write;
  vm->exit = o.exit;
  vm->terminal = o.terminal;
  return o;
}

void np_init(neap_Vm *vm) {
  memset(vm, 0, sizeof *vm);
  neap_set_block_limit(vm, 0.1);
  vm->steps = 2; /* even: no step runs; and not blocked_step */
  vm->postponed = LUA_NOREF;
}

neap_Vm *neap_vm_new(const neap_Options *options) {
  neap_Vm *vm = aligned_alloc(64, (sizeof *vm + 63) / 64 * 64);
  neap_Options o;
  if (vm == NULL) return NULL;
  np_init(vm);
  o = take_options(vm, options);
  if (np_sandbox_new(vm, o.sandbox) < 0) goto fail;
  if (vm->alloc == NULL) {
    vm->slab = np_slab_new();
    if (vm->slab == NULL) goto fail;
    vm->alloc = own_alloc;
    vm->alloc_data = vm->slab;
  }
  if (vm->loop == NULL) {
    vm->loop = &vm->own_loop;
    vm->owns_loop = 1;
  }
  if (np_limits_new(vm, o.limits) < 0 || np_loop_open(vm) < 0) goto fail;
  vm->L = lua_newstate(vm->alloc, vm->alloc_data);
  if (vm->L == NULL) goto fail;
  *np_extra(vm->L) = (uintptr_t)vm;
  np_report_open(vm);
  lua_pushcfunction(vm->L, open_all);
  if (lua_pcall(vm->L, 0, 0, 0) != LUA_OK) {
    neap_report(vm, NEAP_REPORT_ERROR, lua_tostring(vm->L, -1), NULL);
    goto fail;
  }
  np_limits_begin(vm);
  if (vm->debug) np_watch_start(vm);
  return vm;
fail:
  neap_vm_free(vm);
  return NULL;
}

/* == Driving ========================================================== */

/* A pass that waits even if nothing in the loop can end the waiting but
 * another thread or a signal. */
static void pass(neap_Vm *vm) { np_loop_pass(vm, 1); }

void neap_spawn(lua_State *L, int nargs, const char *name) {
  int line;
  uint32_t source;
  neap_Task *t;
  np_async_strip(L, -nargs - 1);
  np_site(L, 0, &line, &source);
  t = np_task_new(L, nargs, line, source);
  t->flags |= NP_T_MAIN;
  np_task_push(L, t);
  if (name != NULL) {
    lua_pushstring(L, name);
    np_extra_set(L, -2, "name");
  }
}

/* In debug mode, tells what all wait for when nothing is left to wake them. */
static int tell_stuck(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  if (!vm->debug || !np_loop_stuck(vm)) return 0;
  neap_report(vm, NEAP_REPORT_DEBUG, "all tasks wait for each other, or for "
              "what nothing is left to do", NULL);
  np_dump_report(L);
  return 1;
}

/* In the turn after the end of what the host waits for, which is the last one
 * before it has its say, as in asyncio. */
static void on_awaited(neap_Vm *vm, np_Node *node) {
  (void)node;
  vm->enough = 1;
}

int neap_wait(lua_State *L, int index, int *nresults) {
  neap_Vm *vm = np_vm(L);
  np_Future *f = np_future_check(L, index);
  int told = 0;
  if (np_is_busy(vm))
    return np_error(L, "neap_wait inside of a task or callback");
  if (f->state == NP_PENDING) {
    vm->awaited.node.run = on_awaited;
    np_link(f, &vm->awaited);
    while (!vm->enough && !vm->exiting) {
      if (!told) told = tell_stuck(L);
      pass(vm);
    }
    np_unlink(&vm->awaited);
    vm->enough = 0;
  }
  *nresults = 0;
  if (vm->exiting) {
    lua_pushnil(L);
    return NEAP_ECANCELED;
  }
  return neap_task_result(L, index, nresults);
}

/* What tasks that have ended left in the ring, but nothing that makes more of
 * itself for ever. */
static void run_left(neap_Vm *vm) {
  size_t left = np_ring_count(&vm->ready);
  while (left-- > 0 && np_ring_count(&vm->ready) > 0)
    np_loop_pass(vm, 0);
}

void neap_finish(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  if (np_is_busy(vm))
    np_error(L, "neap_finish inside of a task or callback");
  np_limits_finish(vm);
  while (vm->ntasks > 0) { /* those too that have ended and must tell it */
    np_cancel_all(vm);
    pass(vm);
  }
  np_limits_finished(vm);
  run_left(vm);
  np_report_all_lost(L);
}

/* Tells the host of its mistake; not again if it repeats that meanwhile. */
static void refuse(neap_Vm *vm, const char *text) {
  if (vm->refusing) return;
  vm->refusing = 1;
  neap_report(vm, NEAP_REPORT_ERROR, text, NULL);
  vm->refusing = 0;
}

void neap_run(neap_Vm *vm) {
  if (np_is_busy(vm)) {
    refuse(vm, "neap_run inside of a task or callback");
    return;
  }
  while (vm->nlive > 0 && !vm->exiting) pass(vm);
}

int neap_cancel(lua_State *L, int index, const char *message) {
  (void)np_future_check(L, index);
  lua_pushstring(L, message); /* nil if there is none */
  return np_future_cancel_as(L, index < 0 ? index - 1 : index);
}

void neap_set_main(lua_State *L, int index) {
  np_Future *f = np_future_check(L, index);
  neap_Vm *vm = np_vm(L);
  if (f->task == vm->main) return;
  if (vm->main != NULL) vm->main_before = vm->main;
  vm->main = f->task;
}

int neap_exiting(neap_Vm *vm, int *code) {
  if (vm->exiting && code != NULL) *code = vm->exit_code;
  return vm->exiting != 0;
}

void np_closing_check(lua_State *L) {
  if (np_vm(L)->closing) luaL_error(L, "the program is ending");
}

/* == Freeing ========================================================== */

static int finish(lua_State *L) {
  neap_finish(L);
  return 0;
}

static int report_lost(lua_State *L) {
  np_co_lost(L, 1);
  return 0;
}

/* What was submitted before is still done. */
static void refuse_submissions(neap_Vm *vm) {
  np_inbox_lock(vm->inbox);
  vm->inbox->refusing = 1;
  np_inbox_unlock(vm->inbox);
  do {
    vm->posted = 1;
    np_loop_pass(vm, 0);
  } while (vm->posts != NULL || vm->posted);
}

/* 1 if something that would go on with the machine has called the host. */
static int is_in_use(neap_Vm *vm) {
  lua_Debug ar;
  return np_is_busy(vm) || (vm->L != NULL && lua_getstack(vm->L, 0, &ar));
}

void neap_vm_free(neap_Vm *vm) {
  if (vm == NULL || vm->attached) return; /* that one is Lua's to free */
  if (is_in_use(vm)) {
    refuse(vm, "neap_vm_free inside of a task or callback");
    return;
  }
  np_watch_stop(vm);
  if (vm->ref[NP_R_HANDLES] != 0) { /* it was opened, all but the Lua half */
    vm->exiting = 0;
    if (np_loop_lost(vm)) np_handle_close_all(vm); /* nothing may use them */
    refuse_submissions(vm);
    lua_settop(vm->L, 0);
    lua_pushcfunction(vm->L, finish);
    if (lua_pcall(vm->L, 0, 0, 0) != LUA_OK) lua_settop(vm->L, 0);
    np_handle_close_all(vm);
    np_handle_wait(vm);
    lua_pushcfunction(vm->L, report_lost);
    if (lua_pcall(vm->L, 0, 0, 0) != LUA_OK) lua_settop(vm->L, 0);
  }
  np_workers_stop(vm);
  vm->closing = 1;
  if (vm->L != NULL) {
    /* Objects that are collected last may still have to be closed. */
    lua_State *L = vm->L;
    np_limits_enter(vm);
    if (vm->slab != NULL) np_slab_finish(vm->slab);
    lua_close(L);
    np_handle_end(vm);
  }
  if (vm->loop != NULL) np_loop_close(vm);
  np_task_close(vm);
  np_object_close(vm);
  np_output_close(vm);
  np_limits_free(vm);
  np_sandbox_free(vm);
  np_slab_free(vm->slab);
  free(vm);
}
