/*
 * submit.c - what other threads have done in a machine: C callbacks, and
 * calls of a script's functions that they can wait for.
 *
 * Both are posts. A call is a task with a sink: the values are copied out
 * on the task's own stack, and its end wakes the thread that waits. A call
 * is held by that thread, by its task until that has ended, and by a request
 * to cancel it that is on its way.
 */
#include <stdlib.h>
#include <string.h>

#include "async.h"
#include "error.h"
#include "future.h"
#include "loop.h"
#include "task.h"

/* Appends unless the machine is being freed; 0, or NEAP_ECLOSED. */
static int submit(np_Inbox *in, np_Post *post) {
  int err = NEAP_ECLOSED;
  np_inbox_lock(in);
  if (!in->refusing) err = np_inbox_put(in, post);
  np_inbox_unlock(in);
  return err;
}

/* == Running Lua from a post ========================================== */

static int trace(lua_State *L) {
  if (lua_type(L, 1) == LUA_TSTRING) {
    np_error_wrap(L, 1);
    np_traceback(L, L, 1);
    lua_setfield(L, -2, "traceback");
  }
  return 1;
}

/*
 * Calls f(data) outside of any task. It is called even if memory is out: the
 * machine's stack for calls has room for one call. What it raises is left on
 * top of that stack, and 0 is given.
 */
static int protect(neap_Vm *vm, lua_CFunction f, void *data) {
  lua_State *C = vm->calls;
  int handler = lua_gettop(C) + 1, status;
  vm->running = C;
  lua_pushcfunction(C, trace);
  lua_pushcfunction(C, f);
  lua_pushlightuserdata(C, data);
  status = lua_pcall(C, 1, 0, handler);
  vm->running = NULL;
  lua_remove(C, handler);
  return status == LUA_OK;
}

/* == Callbacks ======================================================== */

typedef struct Submission {
  np_Post post; /* first */
  void (*f)(lua_State *L, void *data);
  void *data;
} Submission;

static int call_f(lua_State *L) {
  Submission *s = lua_touserdata(L, 1);
  lua_settop(L, 0);
  np_no_context(L);
  s->f(L, s->data);
  return 0;
}

static int report_error(lua_State *L) {
  np_report_error(L, "error in a submitted callback", 1, 0);
  return 0;
}

/* Reports the error on top of C, and pops it. */
static void report_failure(neap_Vm *vm, lua_State *C) {
  lua_pushcfunction(C, report_error);
  lua_insert(C, -2);
  if (lua_pcall(C, 1, 0, 0) == LUA_OK) return;
  neap_report(vm, NEAP_REPORT_ERROR,
              "error in a submitted callback: not enough memory", NULL);
  lua_pop(C, 1);
}

static void on_submission(neap_Vm *vm, np_Post *post, int closed) {
  Submission *s = (Submission *)post;
  /* Only a state of another's is closed with any of these left. */
  if (!closed && !protect(vm, call_f, s)) report_failure(vm, vm->calls);
  free(s);
}

int neap_submit(neap_Vm *vm, void (*f)(lua_State *L, void *data),
                void *data) {
  Submission *s = malloc(sizeof *s);
  int err;
  if (s == NULL) return UV_ENOMEM;
  s->post.run = on_submission;
  s->f = f;
  s->data = data;
  err = submit(vm->inbox, &s->post);
  if (err < 0) free(s);
  return err;
}

/* == Calls ============================================================ */

struct neap_Call {
  np_Post start; /* first */
  np_Post cancel;
  np_Sink sink;
  np_Inbox *inbox;
  char *name;
  np_Values *args;
  neap_Task *task; /* the machine's thread alone */
  int stored;
  /* guarded by the inbox */
  int holders, cancelling;
  /* guarded by the mutex until it has ended */
  uv_mutex_t mutex;
  uv_cond_t end;
  int ended, status;
  np_Values *values;
  char *error;
};

static void call_free(neap_Call *c) {
  free(c->name);
  free(c->args);
  free(c->values);
  free(c->error);
  uv_cond_destroy(&c->end);
  uv_mutex_destroy(&c->mutex);
  free(c);
}

static void let_go(neap_Call *c) {
  np_Inbox *in = c->inbox;
  int last;
  np_inbox_lock(in);
  last = --c->holders == 0;
  np_inbox_unlock(in);
  if (!last) return;
  call_free(c);
  np_inbox_drop(in);
}

/* == Calls: the machine's side ======================================== */

/* The machine is done with it. */
static void end(neap_Call *c, int status) {
  c->task = NULL;
  uv_mutex_lock(&c->mutex);
  if (status == LUA_OK && !c->stored) status = LUA_ERRMEM;
  if (c->status == LUA_OK) c->status = status;
  c->ended = 1;
  uv_cond_broadcast(&c->end);
  uv_mutex_unlock(&c->mutex);
  let_go(c);
}

static void keep_error(neap_Call *c, int status, const char *text) {
  c->status = status;
  c->error = strdup(text != NULL ? text : "?");
}

/* Copies the results first..first+n-1. */
static void keep_results(lua_State *L, neap_Call *c, int first, int n) {
  neap_Value *views = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *views, 0);
  int i;
  for (i = 0; i < n; i++) {
    if (np_value_view(L, first + i, &views[i])) continue;
    lua_pushfstring(L, "result %d of '%s' is a %s, which cannot leave the "
                    "machine", i + 1, c->name, neap_typename(L, first + i));
    keep_error(c, LUA_ERRRUN, lua_tostring(L, -1));
    c->stored = 1;
    return;
  }
  c->values = np_values_copy(views, n);
  c->stored = c->values != NULL;
}

/* On the task's stack: what is left of the task is taken out of Lua. */
static void call_store(lua_State *L, np_Sink *s, neap_Task *t, int first,
                       int n, int status) {
  neap_Call *c = (neap_Call *)((char *)s - offsetof(neap_Call, sink));
  if (status == NP_DONE) {
    keep_results(L, c, first, n);
    return;
  }
  neap_error_text(L, first, 0);
  np_take_traces(L, t, first);
  if (lua_isnil(L, -1)) lua_pop(L, 1);
  else lua_concat(L, 2);
  if (lua_isstring(L, -1) && strstr(lua_tostring(L, -2), "\nstack ") == NULL)
    lua_pushfstring(L, "%s\n%s", lua_tostring(L, -2), lua_tostring(L, -1));
  else
    lua_pushvalue(L, -2);
  keep_error(c, status == NP_CANCELLED ? NEAP_ECANCELED : LUA_ERRRUN,
             lua_tostring(L, -1));
  c->stored = 1;
}

static int call_ended(np_Sink *s, neap_Task *t) {
  neap_Call *c = (neap_Call *)((char *)s - offsetof(neap_Call, sink));
  np_sink_leave(s, t);
  end(c, LUA_OK);
  return 0;
}

void np_call_drop(neap_Task *t) {
  neap_Call *c;
  if (t->sink == NULL || t->sink->ended != call_ended) return;
  c = (neap_Call *)((char *)t->sink - offsetof(neap_Call, sink));
  keep_error(c, NEAP_ECLOSED, "the machine is gone");
  end(c, NEAP_ECLOSED);
}

/* Pushes the function, a global or a field of one. */
static void push_function(lua_State *L, const char *name) {
  const char *part = name, *dot;
  lua_pushglobaltable(L);
  do {
    dot = strchr(part, '.');
    lua_pushlstring(L, part, dot != NULL ? (size_t)(dot - part)
                                         : strlen(part));
    lua_gettable(L, -2);
    lua_remove(L, -2);
    part = dot + 1;
  } while (dot != NULL && lua_istable(L, -1));
  if (dot != NULL || !lua_isfunction(L, -1))
    luaL_error(L, "there is no function '%s'", name);
}

/* Runs protected: starts the task. */
static int call_begin(lua_State *L) {
  neap_Call *c = lua_touserdata(L, 1);
  lua_settop(L, 0);
  np_no_context(L);
  push_function(L, c->name);
  np_async_strip(L, 1);
  c->task = np_task_new(L, np_values_push(L, c->args), 0, 0);
  np_sink_join(&c->sink, c->task);
  return 0;
}

/* Runs protected: keeps the text of the error at 1. */
static int keep_text(lua_State *L) {
  neap_Call *c = lua_touserdata(L, 2);
  neap_error_text(L, 1, 0);
  keep_error(c, LUA_ERRRUN, lua_tostring(L, -1));
  return 0;
}

/* It could not begin: the error is on top of C, and is popped. */
static void keep_failure(lua_State *C, neap_Call *c) {
  c->status = LUA_ERRMEM;
  lua_pushcfunction(C, keep_text);
  lua_insert(C, -2);
  lua_pushlightuserdata(C, c);
  if (lua_pcall(C, 2, 0, 0) != LUA_OK) lua_pop(C, 1);
}

static void on_start(neap_Vm *vm, np_Post *post, int closed) {
  neap_Call *c = (neap_Call *)post;
  if (closed) {
    keep_error(c, NEAP_ECLOSED, "the machine is gone");
    end(c, NEAP_ECLOSED);
    return;
  }
  if (protect(vm, call_begin, c)) return;
  keep_failure(vm->calls, c);
  end(c, LUA_ERRRUN);
}

static void on_cancel(neap_Vm *vm, np_Post *post, int closed) {
  neap_Call *c = (neap_Call *)((char *)post - offsetof(neap_Call, cancel));
  (void)vm;
  if (!closed && c->task != NULL) (void)np_task_cancel(c->task);
  np_inbox_lock(c->inbox);
  c->cancelling = 0;
  np_inbox_unlock(c->inbox);
  let_go(c);
}

/* == Calls: the other side ============================================ */

static neap_Call *call_new(np_Inbox *in, const char *name,
                           const neap_Value *args, int n) {
  neap_Call *c = calloc(1, sizeof *c);
  if (c == NULL) return NULL;
  if (uv_mutex_init(&c->mutex) < 0) goto no_mutex;
  if (uv_cond_init(&c->end) < 0) goto no_cond;
  c->name = strdup(name);
  c->args = np_values_copy(args, n);
  c->inbox = in;
  c->start.run = on_start;
  c->cancel.run = on_cancel;
  c->sink.store = call_store;
  c->sink.ended = call_ended;
  c->holders = 2;
  if (c->name != NULL && c->args != NULL) return c;
  call_free(c);
  return NULL;
no_cond:
  uv_mutex_destroy(&c->mutex);
no_mutex:
  free(c);
  return NULL;
}

neap_Call *neap_call_start(neap_Vm *vm, const char *name,
                           const neap_Value *args, int n) {
  neap_Call *c = call_new(vm->inbox, name, args, n);
  if (c == NULL) return NULL;
  (void)np_inbox_hold(c->inbox);
  if (submit(c->inbox, &c->start) == 0) return c;
  np_inbox_drop(c->inbox);
  call_free(c);
  return NULL;
}

/* 1 on the thread that runs the machine just now, in the middle of that. */
static int is_inside(np_Inbox *in) {
  return __atomic_load_n(&in->inside, __ATOMIC_RELAXED) ==
         (uintptr_t)pthread_self();
}

int neap_call_wait(neap_Call *c, int timeout_ms) {
  uint64_t limit = uv_hrtime() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) *
                                     1000000;
  int status;
  uv_mutex_lock(&c->mutex);
  while (!c->ended && !is_inside(c->inbox)) {
    uint64_t now = uv_hrtime();
    if (timeout_ms < 0) uv_cond_wait(&c->end, &c->mutex);
    else if (now >= limit) break;
    else (void)uv_cond_timedwait(&c->end, &c->mutex, limit - now);
  }
  status = c->ended ? c->status : UV_ETIMEDOUT;
  if (!c->ended && is_inside(c->inbox)) status = UV_EBUSY;
  uv_mutex_unlock(&c->mutex);
  return status;
}

const neap_Value *neap_call_values(const neap_Call *c, int *n) {
  *n = c->values != NULL ? c->values->n : 0;
  return c->values != NULL ? c->values->value : NULL;
}

const char *neap_call_error(const neap_Call *c) {
  if (c->status == LUA_OK) return NULL;
  return c->error != NULL ? c->error : "not enough memory";
}

void neap_call_cancel(neap_Call *c) {
  np_Inbox *in = c->inbox;
  np_inbox_lock(in);
  if (!c->cancelling && np_inbox_put(in, &c->cancel) == 0) {
    c->cancelling = 1;
    c->holders++;
  }
  np_inbox_unlock(in);
}

void neap_call_free(neap_Call *c) {
  if (c != NULL) let_go(c);
}
