/*
 * cancel.c - how a cancellation is requested, handed on and raised.
 *
 * A request goes to what the task is parked on; only what cannot be
 * cancelled there makes the task itself raise, at its next resume. The error
 * that is raised is known as the task's own, which pcall lets pass. An
 * interrupt is a request for the main task that does not wait for an await.
 */
#include "future.h"
#include "limits.h"
#include "loop.h"
#include "task.h"

/* Gives the error on top the message that the request came with. */
static void set_message(lua_State *L, neap_Task *t) {
  neap_Task *origin = t->vm->slots[t->message - 1];
  if (origin == NULL || origin->future == NULL) return;
  np_task_push(L, origin);
  np_extra_get(L, -1, "cancel_message");
  if (!lua_isnil(L, -1)) lua_setfield(L, -3, "message");
  else lua_pop(L, 1);
  lua_pop(L, 1);
}

void np_cancel_push(lua_State *L, neap_Task *t) {
  neap_Vm *vm = t->vm;
  const char *message = "the task was cancelled";
  if (np_ended_by_limit(vm)) {
    np_limits_push(L);
    return;
  }
  if (t->flags & NP_T_INTERRUPTED) message = "interrupted!";
  else if (t->flags & NP_T_BROKEN) message = "not enough memory";
  vm->cancels = 1;
  neap_error_new(L, "CancelledError", 1, NULL, message);
  if (t->message != 0 && !(t->flags & NP_T_INTERRUPTED)) set_message(L, t);
  np_push(L, vm, NP_R_OWN);
  lua_pushvalue(L, -2);
  lua_pushinteger(L, (lua_Integer)t->id);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

int np_is_own(lua_State *L, int index) {
  neap_Vm *vm = np_vm(L);
  int is;
  if (np_stopped(vm)) return 1;
  if (!vm->cancels || vm->current == NULL || !lua_istable(L, index))
    return 0;
  index = lua_absindex(L, index);
  luaL_checkstack(L, 3, NULL);
  np_push(L, vm, NP_R_OWN);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  is = lua_tointeger(L, -1) == (lua_Integer)vm->current->id;
  lua_pop(L, 2);
  return is;
}

int np_task_pass_cancel(neap_Task *t) {
  uint32_t message = t->vm->cancel_message;
  int sent;
  t->flags |= NP_T_PASSING;
  t->vm->cancel_message = t->message;
  sent = np_future_cancel(t->awaiting);
  t->vm->cancel_message = message;
  t->flags &= (uint16_t)~NP_T_PASSING;
  if (sent && !(t->flags & NP_T_MUST_CANCEL)) t->flags |= NP_T_CANCEL_SENT;
  return sent;
}

void np_task_give_up(neap_Task *t) {
  t->flags |= NP_T_GIVEN_UP;
  np_ready(t->vm, &t->link.node);
}

/* It no longer waits for the future, if that has not let it go already. */
static void leave(neap_Task *t) {
  if (t->link.next == NULL) return;
  np_unlink(&t->link);
  np_task_give_up(t);
}

/* Tasks that wait for each other in a ring: the cancel has come round to t,
 * which lets go of what it waits for, as nobody else in the ring can. */
static int break_ring(neap_Task *t) {
  t->flags |= NP_T_MUST_CANCEL;
  leave(t);
  return 1;
}

/* How many tasks that await each other a cancellation goes through; the C
 * stack has room for some more. */
#define DEEPEST_CANCEL 20000

int np_task_cancel_is_due(const neap_Task *t) {
  return t->flags & NP_T_GIVEN_UP ||
         (t->flags & NP_T_CANCEL_SENT && t->awaiting->state != NP_PENDING);
}

int np_task_cancel(neap_Task *t) {
  if (t->flags & NP_T_ENDED) return 0;
  if (t->flags & NP_T_PASSING) return break_ring(t);
  if (t->cancelling < UINT16_MAX) t->cancelling++;
  if (!np_task_cancel_is_due(t)) t->message = t->vm->cancel_message;
  if (t->awaiting != NULL && t->awaiting->flags & NP_F_LINE) {
    leave(t);
  } else if (t->awaiting != NULL) {
    if (t->awaiting->state == NP_PENDING) {
      int sent = 0;
      if (t->vm->cancel_depth >= DEEPEST_CANCEL) {
        leave(t); /* it ends here, what it awaits goes on */
      } else {
        t->vm->cancel_depth++;
        sent = np_task_pass_cancel(t);
        t->vm->cancel_depth--;
      }
      if (sent) return 1;
    }
  } else if (t->wait != NULL) {
    neap_Wait *w = t->wait;
    t->wait = NULL;
    w->task = NULL;
    if (w->abort != NULL) w->abort(w);
    np_task_give_up(t);
  } else if (np_heap_test((np_HeapNode *)&t->timer)) {
    neap_timer_stop(t->vm, &t->timer);
    np_task_give_up(t);
  }
  t->flags |= NP_T_MUST_CANCEL;
  return 1;
}

void np_task_break_all(neap_Vm *vm) {
  neap_Task *t;
  np_batch_cancel_all(vm, NP_T_BROKEN);
  for (t = vm->tasks; t != NULL; t = t->next) {
    t->flags |= NP_T_BROKEN;
    (void)np_task_cancel(t);
  }
}

int np_task_uncancel(neap_Task *t) {
  if (t->cancelling > 0 && --t->cancelling == 0 &&
      !(t->flags & NP_T_GIVEN_UP))
    t->flags &= (uint16_t)~NP_T_MUST_CANCEL;
  return t->cancelling;
}

/* == Interrupts ======================================================= */

void np_interrupt_handle(neap_Vm *vm) {
  if (vm->main == NULL) return;
  vm->main->flags |= NP_T_INTERRUPTED;
  (void)np_task_cancel(vm->main);
}

/* Ends the task or the callback that is at work here. */
static void break_running(lua_State *L, const char *why) {
  neap_Task *t = np_vm(L)->current;
  if (t == NULL) {
    neap_error_new(L, "CancelledError", 0, NULL, why);
  } else {
    t->cancelling++;
    np_cancel_push(L, t);
  }
  lua_error(L);
}

/* A stop that finds a task or a callback at work ends it here; those that
 * wait are cancelled in the next turn. */
static void stop_now(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  vm->stopping = 1;
  if (np_hooked(vm)) np_limits_stop(vm, NP_STOP_HOST);
  if (vm->current != NULL) vm->current->flags |= NP_T_FINISHING;
  break_running(L, "the machine was stopped");
}

int np_interrupt_is_plain(neap_Vm *vm) {
  return vm->main != NULL && vm->main == vm->current && vm->parks == 0 &&
         vm->nlive == 1 && !np_hooked(vm);
}

void np_interrupt_now(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  if (np_wants_take(vm, NP_WANT_STOP)) stop_now(L);
  if (!np_wants_take(vm, NP_WANT_INTERRUPT)) return;
  if (vm->main == NULL || vm->main != vm->current) {
    /* The second one, for which the main task has not got to run yet, is for
     * what keeps it from that. */
    if (vm->main != NULL &&
        vm->main->flags & (NP_T_MUST_CANCEL | NP_T_CANCEL_SENT))
      break_running(L, "interrupted!");
    np_interrupt_handle(vm);
    return;
  }
  if (np_interrupt_is_plain(vm)) { /* its pcall may catch this, as in Lua */
    neap_error_new(L, "CancelledError", 0, NULL, "interrupted!");
    lua_error(L);
  }
  vm->main->flags |= NP_T_INTERRUPTED;
  vm->main->cancelling++;
  np_cancel_push(L, vm->main);
  lua_error(L);
}

/* == All of them ====================================================== */

void np_cancel_all(neap_Vm *vm) {
  neap_Task *t, *next;
  np_batch_cancel_all(vm, NP_T_FINISHING);
  for (t = vm->tasks; t != NULL; t = next) {
    next = t->next;
    if (!(t->flags & NP_T_FINISHING)) {
      t->flags |= NP_T_FINISHING;
      (void)np_task_cancel(t);
    }
  }
}
