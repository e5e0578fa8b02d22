/*
 * token.c - a wait that any thread may end, for hosts without libuv.
 *
 * A token has two holders: its box on the task's stack, and whoever will give
 * it back. Giving it back hands the second hold to a post, which wakes the
 * task. So the memory is there in every order of giving back, cancelling,
 * collecting and the end of the machine. What both sides look at is guarded
 * by the inbox.
 */
#include <stdlib.h>

#include "error.h"
#include "loop.h"
#include "task.h"

enum { PENDING, GIVEN_BACK, CANCELLING, CANCELLED };

struct neap_Token {
  np_Post post; /* first */
  np_Inbox *inbox;
  /* the machine's side alone */
  neap_Vm *vm;
  neap_Wait wait;
  void **box;
  void (*cancelled)(void *data);
  void *data;
  /* both sides */
  int state, holders;
  pthread_t canceller;
  int rejected, status;
  np_Values *values; /* the message, if it was rejected */
};

/* Ends a hold; unlocks the inbox. */
static void let_go(neap_Token *t) {
  np_Inbox *in = t->inbox;
  int last = --t->holders == 0;
  np_inbox_unlock(in);
  if (!last) return;
  free(t->values);
  free(t);
  np_inbox_drop(in);
}

/* == The machine's side =============================================== */

/* Nobody will look at the result: tells the other side, if it is at work. */
static void cancel(neap_Token *t) {
  np_inbox_lock(t->inbox);
  if (t->state == PENDING) {
    t->state = CANCELLING;
    t->canceller = pthread_self();
    np_inbox_unlock(t->inbox);
    if (t->cancelled != NULL) t->cancelled(t->data);
    np_inbox_lock(t->inbox);
    t->state = CANCELLED;
    uv_cond_broadcast(&t->inbox->changed);
  }
  np_inbox_unlock(t->inbox);
}

static void on_abort(neap_Wait *w) {
  neap_Token *t = (neap_Token *)((char *)w - offsetof(neap_Token, wait));
  np_loop_release(t->vm);
  cancel(t);
}

static void on_given_back(neap_Vm *vm, np_Post *post, int closed) {
  neap_Token *t = (neap_Token *)post;
  if (!closed && neap_wake(&t->wait, 0)) np_loop_release(vm);
  np_inbox_lock(t->inbox);
  let_go(t);
}

static int token_gc(lua_State *L) {
  neap_Token **box = lua_touserdata(L, 1), *t = *box;
  if (t == NULL) return 0;
  *box = NULL;
  cancel(t);
  np_inbox_lock(t->inbox);
  let_go(t);
  return 0;
}

neap_Token *neap_token_new(lua_State *L, void (*cancelled)(void *data),
                           void *data) {
  neap_Vm *vm = np_park_check(L)->vm;
  void **box = np_box_new(L, token_gc);
  neap_Token *t = calloc(1, sizeof *t);
  if (t == NULL) {
    luaL_error(L, "not enough memory");
    return NULL;
  }
  t->post.run = on_given_back;
  t->inbox = np_inbox_hold(vm->inbox);
  t->vm = vm;
  t->box = box;
  t->wait.abort = on_abort;
  t->wait.what = "a token";
  t->cancelled = cancelled;
  t->data = data;
  t->holders = 2;
  *box = t;
  return t;
}

/* The box is on top. */
static int token_done(lua_State *L, int status) {
  neap_Token *t = *(neap_Token **)lua_touserdata(L, -1);
  (void)status;
  if (!t->rejected) return np_values_push(L, t->values);
  if (t->values == NULL) return luaL_error(L, "not enough memory");
  if (t->status < 0)
    return neap_fail(L, t->status, "%s", t->values->value[0].as.string);
  return neap_raise(L, "Error", NULL, "%s", t->values->value[0].as.string);
}

int neap_token_await(lua_State *L, neap_Token *token) {
  int state;
  np_box_find(L, token->box, "token");
  np_inbox_lock(token->inbox);
  state = token->state;
  np_inbox_unlock(token->inbox);
  if (state == GIVEN_BACK) return token_done(L, 0);
  if (state != PENDING) return np_error(L, "the token was cancelled");
  (void)np_park_check(L);
  np_loop_hold(token->vm);
  return neap_await(L, &token->wait, token_done);
}

/* == The other side =================================================== */

/* Waits while `cancelled` is called by another thread. */
static void wait_for_cancel(neap_Token *t) {
  while (t->state == CANCELLING &&
         !pthread_equal(t->canceller, pthread_self()))
    uv_cond_wait(&t->inbox->changed, &t->inbox->mutex);
}

static int give_back(neap_Token *t, np_Values *values, int rejected,
                     int status) {
  np_inbox_lock(t->inbox);
  wait_for_cancel(t);
  if (t->state != PENDING) {
    let_go(t);
    free(values);
    return 0;
  }
  t->state = GIVEN_BACK;
  t->values = values;
  t->rejected = rejected;
  t->status = status;
  (void)np_inbox_put(t->inbox, &t->post); /* open while a task has the box */
  np_inbox_unlock(t->inbox);
  return 1;
}

int neap_token_resolve(neap_Token *token, const neap_Value *values, int n) {
  np_Values *copy = NULL;
  if (n > 0) copy = np_values_copy(values, n);
  return give_back(token, copy, n > 0 && copy == NULL, 0);
}

int neap_token_reject(neap_Token *token, int status, const char *message) {
  neap_Value text = neap_string(message);
  return give_back(token, np_values_copy(&text, 1), 1, status);
}

int neap_token_cancelled(neap_Token *token) {
  int state;
  np_inbox_lock(token->inbox);
  state = token->state;
  np_inbox_unlock(token->inbox);
  return state == CANCELLING || state == CANCELLED;
}
