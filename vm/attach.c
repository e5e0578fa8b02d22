/*
 * attach.c - neap as a module of a Lua state that it did not make.
 *
 * luaopen_neap gives a state a machine: with the state's own allocator, in a
 * userdata that lives as long as the state, with a loop that asyncio.run
 * drives. Lua tells the machine of a thread by its extra space, which new
 * threads inherit from the main one; those that are there already are looked
 * for. The machine ends in a finalizer, which runs no task any more.
 */
#include <stdlib.h>

#include "async.h"
#include "future.h"
#include "load.h"
#include "loop.h"
#include "task.h"

/* == Threads that are there already ==================================== */

/* Indices of the walk's own: what was seen, what is still to be looked at. */
enum { SEEN = 1, LEFT };

/* Pops a value; one that may lead to threads and is new is to be looked at. */
static void visit(lua_State *L) {
  int type = lua_type(L, -1);
  if (type != LUA_TTABLE && type != LUA_TFUNCTION && type != LUA_TTHREAD &&
      type != LUA_TUSERDATA) {
    lua_pop(L, 1);
    return;
  }
  lua_pushvalue(L, -1);
  if (lua_rawget(L, SEEN) == LUA_TNIL) {
    lua_pushvalue(L, -2);
    lua_pushboolean(L, 1);
    lua_rawset(L, SEEN);
    lua_pushvalue(L, -2);
    lua_rawseti(L, LEFT, (lua_Integer)lua_rawlen(L, LEFT) + 1);
  }
  lua_pop(L, 2);
}

static void visit_table(lua_State *L, int table) {
  lua_pushnil(L);
  while (lua_next(L, table) != 0) {
    visit(L);
    lua_pushvalue(L, -1);
    visit(L);
  }
}

/* The same for a value on top of `co`. */
static void visit_of(lua_State *L, lua_State *co) {
  if (co != L) lua_xmove(co, L, 1);
  visit(L);
}

/* What is in the frames of a thread, and below them if it has not begun. */
static void visit_stack(lua_State *L, lua_State *co) {
  lua_Debug ar;
  int level, i, sign;
  if (!lua_checkstack(co, 2)) return;
  for (level = co == L; lua_getstack(co, level, &ar); level++) {
    for (sign = 1; sign >= -1; sign -= 2) /* variables, then varargs */
      for (i = 1; lua_getlocal(co, &ar, sign * i) != NULL; i++)
        visit_of(L, co);
    lua_getinfo(co, "f", &ar);
    visit_of(L, co);
  }
  if (level > 0) return;
  for (i = lua_gettop(co); i >= 1; i--) {
    lua_pushvalue(co, i);
    lua_xmove(co, L, 1);
    visit(L);
  }
}

/* What the value on top, which is popped, leads to. */
static void look(lua_State *L, neap_Vm *vm) {
  int at = lua_gettop(L), i;
  if (lua_getmetatable(L, at)) visit(L);
  switch (lua_type(L, at)) {
    case LUA_TTABLE: visit_table(L, at); break;
    case LUA_TFUNCTION:
      for (i = 1; lua_getupvalue(L, at, i) != NULL; i++) visit(L);
      break;
    case LUA_TUSERDATA:
      for (i = 1; lua_getiuservalue(L, at, i) != LUA_TNONE; i++) visit(L);
      lua_pop(L, 1); /* the nil of that */
      break;
    default: {
      lua_State *co = lua_tothread(L, at);
      *np_extra(co) = (uintptr_t)vm;
      visit_stack(L, co);
      break;
    }
  }
  lua_settop(L, at - 1);
}

/* Runs as a call of its own, so that its own indices are 1 and 2. */
static int adopt_threads(lua_State *L) {
  neap_Vm *vm = lua_touserdata(L, 1);
  lua_Integer n;
  lua_settop(L, 0);
  luaL_checkstack(L, 20, NULL);
  lua_newtable(L);
  lua_newtable(L);
  lua_pushvalue(L, LUA_REGISTRYINDEX);
  visit(L);
  lua_pushthread(L);
  visit(L);
  while ((n = (lua_Integer)lua_rawlen(L, LEFT)) > 0) {
    lua_rawgeti(L, LEFT, n);
    lua_pushnil(L);
    lua_rawseti(L, LEFT, n);
    look(L, vm);
  }
  return 0;
}

/* == The end =========================================================== */

/* Tasks that are left do not run any more: their memory is all that they
 * have outside of Lua's. */
static void drop_tasks(neap_Vm *vm) {
  neap_Task *t, *next;
  for (t = vm->tasks; t != NULL; t = next) {
    next = t->next;
    np_call_drop(t);
    if (t->future != NULL) {
      t->future->task = NULL;
      t->future->state = NP_CANCELLED;
      t->future->list.next = t->future->list.prev = &t->future->list;
    }
    np_alloc(vm, t, sizeof *t, 0);
  }
  vm->tasks = vm->tasks_last = NULL;
  np_task_close(vm);
  vm->nslots = vm->nfree = vm->slots_size = 0; /* see grow in pool.c */
  vm->nthreads = vm->npool = vm->threads_size = 0;
}

/* The userdata has room to put the struct where cache lines begin. */
static neap_Vm *struct_in(char *block) {
  return (neap_Vm *)(void *)(block + (-(uintptr_t)block & 63));
}

/* __gc of the machine, when the state closes: Lua has collected all objects
 * of neap's by now, and frees the struct when no finalizer is left. */
static int detach(lua_State *L) {
  neap_Vm *vm = struct_in(lua_touserdata(L, 1));
  if (vm->closing || vm->loop == NULL) return 0;
  np_co_lost(L, 1);
  np_watch_stop(vm);
  np_workers_stop(vm);
  vm->closing = 1;
  vm->turning = 1; /* no turn runs in the loop */
  if (vm->inbox != NULL) np_inbox_close(vm); /* jobs that were done */
  if (vm->uv_open) {
    np_handle_close_all(vm);
    np_handle_wait(vm);
  }
  np_loop_close(vm);
  np_ring_init(&vm->ready);
  np_heap_init(&vm->timers);
  drop_tasks(vm);
  np_object_close(vm);
  np_output_close(vm);
  vm->closing = 2;
  return 0;
}

/* == The beginning ===================================================== */

/* There is no host, so this is as the command says it. */
static void on_report(neap_Vm *vm, const neap_Report *report) {
  (void)vm;
  fprintf(stderr, "neap: %s\n", report->text);
  if (report->traceback != NULL) fprintf(stderr, "%s\n", report->traceback);
  fflush(stderr);
}

/* The registry has the machine under this name, so that two copies of neap
 * in a process find each other, and its address under that of `copy`. */
#define KEY "neap.machine"
static const char copy = 0;

void np_attach_mark(lua_State *L) {
  lua_pushboolean(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, KEY);
  lua_pushboolean(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &copy);
}

static lua_State *main_thread(lua_State *L) {
  lua_State *main;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  main = lua_tothread(L, -1);
  lua_pop(L, 1);
  return main;
}

/* Pushes the userdata with the struct, which ends as it should from here on,
 * however little of it was opened. */
static neap_Vm *push_vm(lua_State *L) {
  neap_Vm *vm = struct_in(lua_newuserdatauv(L, sizeof(neap_Vm) + 63, 0));
  np_init(vm);
  vm->alloc = lua_getallocf(L, &vm->alloc_data);
  vm->report = on_report;
  vm->attached = 1;
  vm->L = main_thread(L);
  np_buf_init(&vm->warning);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, detach);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  return vm;
}

static void attach(lua_State *L) {
  neap_Vm *vm = push_vm(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, vm);
  vm->loop = &vm->own_loop;
  vm->owns_loop = 1;
  if (np_loop_open(vm) < 0) luaL_error(L, "cannot open a loop");
  *np_extra(L) = *np_extra(vm->L) = (uintptr_t)vm;
  lua_pushcfunction(L, adopt_threads);
  lua_pushlightuserdata(L, vm);
  lua_call(L, 1, 0);
  (void)np_open(L);
  np_attach_mark(L);
  np_halves_open(L);
}

static int translate(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  if (neap_translate(L, text, n, luaL_optstring(L, 2, text)) == LUA_OK)
    return 1;
  luaL_pushfail(L);
  lua_insert(L, -2);
  return 2;
}

/* Sets fields of the table on top to globals of the same names. */
static void copy_globals(lua_State *L) {
  static const char *const names[] = {"asyncio", "async", "await", "load",
                                      "loadfile", "dofile"};
  size_t i;
  for (i = 0; i < sizeof names / sizeof *names; i++) {
    lua_getglobal(L, names[i]);
    lua_setfield(L, -2, names[i]);
  }
}

/* require "neap": {asyncio=, async=, await=, load=, loadfile=, dofile=,
 * translate=, version=} */
int luaopen_neap(lua_State *L) {
  int ours, any;
  luaL_checkstack(L, 20, NULL);
  ours = lua_rawgetp(L, LUA_REGISTRYINDEX, &copy) != LUA_TNIL;
  any = lua_getfield(L, LUA_REGISTRYINDEX, KEY) != LUA_TNIL;
  lua_pop(L, 2);
  if (any && !ours)
    return luaL_error(L, "another copy of neap is in this Lua state");
  if (!any) attach(L);
  lua_createtable(L, 0, 8);
  copy_globals(L);
  lua_pushcfunction(L, translate);
  lua_setfield(L, -2, "translate");
  lua_pushliteral(L, NEAP_VERSION);
  lua_setfield(L, -2, "version");
  return 1;
}
