/*
 * loading.c - modules that are being loaded, which may take several steps.
 *
 * A module is loaded once, however many tasks require it meanwhile: the others
 * stand in the line of its Loading and ask again when that ends, well or not.
 * A Loading is a value to be closed in the frame of require; the table of all
 * is weak, so that one in a generator that was dropped is forgotten. Programs
 * that never await in a module see nothing of this: require calls the loader
 * again inside itself, as Lua's does.
 */
#include "error.h"
#include "future.h"
#include "load.h"
#include "loop.h"
#include "task.h"

typedef struct Loading {
  np_Future line; /* first: who waits, and is let go at the end */
  uint64_t task;  /* the id of the task that loads, and its slot */
  uint32_t slot;
  uint64_t step;  /* in which that began */
} Loading;

enum { NAME = 1, BEFORE }; /* user values: what stood for the name before */

/* Pushes the table from the names of modules to their Loadings. */
static void push_all(lua_State *L) {
  np_push_made(L, np_vm(L), NP_R_LOADING);
  lua_getfield(L, -1, "all");
  lua_remove(L, -2);
}

/* __close: lets go who waits */
static int loading_close(lua_State *L) {
  Loading *l = lua_touserdata(L, 1);
  push_all(L);
  lua_getiuservalue(L, 1, NAME);
  lua_getiuservalue(L, 1, BEFORE);
  lua_rawset(L, -3);
  while (l->line.list.next != &l->line.list) {
    np_Link *link = l->line.list.next;
    np_unlink(link);
    np_ready(l->line.vm, &link->node);
  }
  return 0;
}

void np_loading_make_metatable(lua_State *L) {
  lua_createtable(L, 0, 4);
  lua_pushcfunction(L, loading_close);
  lua_setfield(L, -2, "__close");
  lua_pushliteral(L, "loading");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  np_weak_push(L, "v");
  lua_setfield(L, -2, "all");
  np_keep(L, np_vm(L), NP_R_LOADING);
}

void np_loading_begin(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  Loading *l = (Loading *)np_future_sized(L, NP_R_LOADING, sizeof *l);
  l->line.flags = NP_F_LINE;
  l->step = vm->steps;
  if (vm->current != NULL) {
    l->task = vm->current->id;
    l->slot = vm->current->slot;
  }
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, NAME);
  push_all(L);
  lua_pushvalue(L, 1);
  lua_rawget(L, -2);
  lua_setiuservalue(L, -3, BEFORE);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  lua_toclose(L, -1);
}

/* == When somebody else loads it ====================================== */

/* The task that loads it, NULL if it has ended. */
static neap_Task *loader(neap_Vm *vm, const Loading *l) {
  return np_task_find(vm, l->slot, l->task);
}

/* The one in whose line the task stands, or NULL; all are on top. */
static Loading *stands_in(lua_State *L, const neap_Task *t) {
  Loading *found = NULL;
  if (t->awaiting == NULL) return NULL;
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    Loading *l = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (t->awaiting == &l->line) found = l;
  }
  return found;
}

/* Tells whether the end of `l` needs the running task; all are on top. */
static int needs_current(lua_State *L, neap_Vm *vm, const Loading *l) {
  while (l != NULL) {
    neap_Task *t = loader(vm, l);
    if (t == NULL || t == vm->current) return t != NULL;
    l = stands_in(L, t);
  }
  return 0;
}

int np_loading_find(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  Loading *l;
  neap_Task *t;
  push_all(L);
  lua_pushvalue(L, 1);
  lua_rawget(L, -2);
  lua_insert(L, -2); /* the Loading, all */
  l = lua_touserdata(L, -2);
  t = l != NULL ? loader(vm, l) : NULL;
  if (t == NULL || (t == vm->current && l->step == vm->steps)) {
    lua_pop(L, 2);
    return 0;
  }
  if (needs_current(L, vm, l))
    return np_error(L, "module '%s' is being loaded: modules require each "
                    "other in a ring", lua_tostring(L, 1));
  lua_pop(L, 1);
  return 1;
}

int np_loading_wait(lua_State *L, lua_KFunction again) {
  Loading *l = lua_touserdata(L, -1);
  neap_Task *t = np_park_check(L);
  t->awaiting = &l->line;
  if (t->flags & NP_T_MUST_CANCEL) np_task_give_up(t);
  else np_link(&l->line, &t->link);
  return np_park(L, 0, again);
}

void np_loading_waited(lua_State *L) {
  neap_Task *t = np_vm(L)->current;
  t->awaiting = NULL;
  np_resumed(L, t);
}
