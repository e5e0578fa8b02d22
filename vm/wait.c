/*
 * wait.c - how a task is parked, and by whom it is woken.
 *
 * Every await that suspends comes through np_park. It yields the running
 * Lua thread; where that is a coroutine which the task resumed, co_resume
 * yields the thread around it in turn, up to the task's own, so that an
 * await in a generator parks the task and not the generator.
 */
#include <string.h>

#include "error.h"
#include "limits.h"
#include "loop.h"
#include "task.h"

int np_yields(lua_CFunction f);

/* Raises: the C function between that cannot be suspended is named. */
static void blocked(lua_State *L, lua_State *L1) {
  lua_Debug ar;
  int level;
  for (level = L == L1 ? 1 : 0; lua_getstack(L1, level, &ar); level++) {
    lua_getinfo(L1, "Snf", &ar);
    if (L1 != L) lua_xmove(L1, L, 1);
    if (*ar.what == 'C' && !np_yields(lua_tocfunction(L, -1))) {
      np_function_name(L, &ar);
      np_error(L, "cannot await here: the C function '%s' between cannot be "
               "suspended", lua_tostring(L, -1));
    }
    if (ar.namewhat[0] == 'm' && ar.name != NULL &&
        (strcmp(ar.name, "__gc") == 0 || strcmp(ar.name, "gc") == 0))
      np_error(L, "cannot await in a finalizer (__gc)");
    lua_pop(L, 1);
  }
  np_error(L, "cannot await here: C code between cannot be suspended");
}

/* The running coroutine, or one that has resumed it, if it cannot yield. */
static lua_State *unyieldable(neap_Vm *vm, lua_State *L) {
  np_Resume *r;
  if (!lua_isyieldable(L)) return L;
  for (r = vm->resumes; r != NULL; r = r->prev)
    if (!lua_isyieldable(r->from)) return r->from;
  return NULL;
}

int np_can_park(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  return vm->current != NULL && vm->running == L &&
         unyieldable(vm, L) == NULL;
}

neap_Task *np_park_check(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  lua_State *between;
  if (np_stopped(vm)) np_limits_raise(L);
  if (vm->current == NULL) np_error(L, "await outside a task");
  if (vm->running != L)
    np_error(L, "cannot await here: C code resumed this coroutine");
  between = unyieldable(vm, L);
  if (between != NULL) blocked(L, between);
  return vm->current;
}

int np_park(lua_State *L, lua_KContext ctx, lua_KFunction k) {
  neap_Vm *vm = np_vm(L);
  vm->parking = 1;
  vm->parks++;
  if (vm->resumes != NULL) np_thread_mark(L, NP_X_PARKED);
  return lua_yieldk(L, 0, ctx, k);
}

void np_resumed(lua_State *L, neap_Task *t) {
  if (!(t->flags & NP_T_MUST_CANCEL)) return;
  t->flags &= (uint16_t)~(NP_T_MUST_CANCEL | NP_T_GIVEN_UP);
  np_cancel_push(L, t);
  lua_error(L);
}

static int wait_done(lua_State *L, int status, lua_KContext ctx) {
  neap_Task *t = np_vm(L)->current;
  (void)status;
  np_resumed(L, t);
  return ((neap_Done)ctx)(L, t->status);
}

void neap_await_check(lua_State *L) { (void)np_park_check(L); }

int neap_await(lua_State *L, neap_Wait *w, neap_Done done) {
  neap_Task *t = np_park_check(L);
  if (w->task != NULL)
    return np_error(L, "another task is already waiting here%s%s",
                    w->what != NULL ? ": " : "",
                    w->what != NULL ? w->what : "");
  w->task = t;
  w->turn = ++t->turn;
  t->wait = w;
  t->status = 0;
  if (t->flags & NP_T_MUST_CANCEL) { /* it was cancelled while it ran */
    t->cancelling--;
    t->vm->cancel_message = t->message;
    (void)np_task_cancel(t);
    t->vm->cancel_message = 0;
  }
  return np_park(L, (lua_KContext)done, wait_done);
}

int neap_wake(neap_Wait *w, int status) {
  neap_Task *t = w->task;
  if (t == NULL) return 0;
  w->task = NULL;
  if (t->wait != w || t->turn != w->turn) return 0;
  t->wait = NULL;
  t->status = status;
  np_ready(t->vm, &t->link.node);
  return 1;
}

int neap_waiting(const neap_Wait *w) { return w->task != NULL; }
