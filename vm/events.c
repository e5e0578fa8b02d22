/*
 * events.c - a queue from C into scripts.
 *
 * The queue itself is C's and is guarded by the inbox. The object that
 * scripts have is a handle that points to it. A post goes to the machine only
 * when a task waits and none is on its way: it wakes all that wait, and those
 * that find nothing wait again, so that one which is cancelled meanwhile
 * takes nothing with it.
 */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "loop.h"
#include "task.h"

typedef struct Event {
  struct Event *next;
  np_Values *values;
} Event;

struct neap_Events {
  np_Post wake; /* first */
  np_Inbox *inbox;
  size_t bound;
  /* guarded by the inbox */
  Event *first, *last;
  size_t count;
  int holders, posted, waiting;
  int ended;  /* C has let go of it */
  int closed; /* no script will read */
  /* the machine's thread alone */
  struct Reader *readers, *readers_last;
};

/* A task that waits; on its stack. */
typedef struct Reader {
  neap_Wait wait; /* first */
  neap_Events *events;
  neap_Vm *vm;
  struct Reader *prev, *next;
} Reader;

typedef struct Object {
  neap_Handle handle; /* first */
  neap_Events *events;
} Object;

/* == The queue ======================================================== */

/* With the inbox locked: wakes who waits. */
static void wake(neap_Events *q) {
  if (q->posted || q->waiting == 0) return;
  if (np_inbox_put(q->inbox, &q->wake) < 0) return;
  q->posted = 1;
  q->holders++;
}

static void drop_events(Event *e) {
  Event *next;
  for (; e != NULL; e = next) {
    next = e->next;
    free(e->values);
    free(e);
  }
}

/* Ends a hold; unlocks the inbox. */
static void let_go(neap_Events *q) {
  np_Inbox *in = q->inbox;
  int last = --q->holders == 0;
  np_inbox_unlock(in);
  if (!last) return;
  drop_events(q->first);
  free(q);
  np_inbox_drop(in);
}

/* Appends; 0 or an error. With the inbox locked. */
static int append(neap_Events *q, Event *e) {
  if (q->closed || q->ended || q->inbox->vm == NULL) return NEAP_ECLOSED;
  if (q->bound > 0 && q->count >= q->bound) return UV_EAGAIN;
  if (q->last != NULL) q->last->next = e;
  else q->first = e;
  q->last = e;
  q->count++;
  wake(q);
  return 0;
}

int neap_events_push(neap_Events *q, const neap_Value *values, int n) {
  Event *e;
  int err;
  if (n < 1) return UV_EINVAL;
  e = calloc(1, sizeof *e);
  if (e != NULL) e->values = np_values_copy(values, n);
  if (e == NULL || e->values == NULL) {
    free(e);
    return UV_ENOMEM;
  }
  np_inbox_lock(q->inbox);
  err = append(q, e);
  np_inbox_unlock(q->inbox);
  if (err < 0) drop_events(e);
  return err;
}

void neap_events_free(neap_Events *q) {
  if (q == NULL) return;
  np_inbox_lock(q->inbox);
  q->ended = 1;
  wake(q);
  let_go(q);
}

/* Takes the first event, NULL if there is none. */
static Event *take(neap_Events *q) {
  Event *e;
  np_inbox_lock(q->inbox);
  e = q->first;
  if (e != NULL) {
    q->first = e->next;
    if (q->first == NULL) q->last = NULL;
    q->count--;
    e->next = NULL;
  }
  np_inbox_unlock(q->inbox);
  return e;
}

/* == Readers ========================================================== */

static void leave(Reader *r) {
  neap_Events *q = r->events;
  if (r->prev != NULL) r->prev->next = r->next;
  else q->readers = r->next;
  if (r->next != NULL) r->next->prev = r->prev;
  else q->readers_last = r->prev;
  np_inbox_lock(q->inbox);
  q->waiting--;
  np_inbox_unlock(q->inbox);
  np_loop_release(r->vm);
}

static void on_abort(neap_Wait *w) { leave((Reader *)w); }

static void wake_readers(neap_Events *q, int status) {
  while (q->readers != NULL) {
    Reader *r = q->readers;
    leave(r);
    (void)neap_wake(&r->wait, status);
  }
}

static void on_wake(neap_Vm *vm, np_Post *post, int closed) {
  neap_Events *q = (neap_Events *)post;
  (void)vm;
  if (!closed) wake_readers(q, 0);
  np_inbox_lock(q->inbox);
  q->posted = 0;
  let_go(q);
}

/* Puts the reader at the end; 0 if there is an event or the end by now. */
static int enter(Reader *r) {
  neap_Events *q = r->events;
  int empty;
  np_inbox_lock(q->inbox);
  empty = q->first == NULL && !q->ended;
  if (empty) q->waiting++;
  np_inbox_unlock(q->inbox);
  if (!empty) return 0;
  r->next = NULL;
  r->prev = q->readers_last;
  if (r->prev != NULL) r->prev->next = r;
  else q->readers = r;
  q->readers_last = r;
  np_loop_hold(r->vm);
  return 1;
}

/* == Lua's side ======================================================= */

static void object_close(neap_Handle *h) {
  neap_Events *q = ((Object *)h)->events;
  if (q == NULL) return;
  np_inbox_lock(q->inbox);
  q->closed = 1;
  np_inbox_unlock(q->inbox);
  wake_readers(q, NEAP_ECLOSED);
}

static void object_release(neap_Handle *h) {
  neap_Events *q = ((Object *)h)->events;
  if (q == NULL) return;
  np_inbox_lock(q->inbox);
  let_go(q);
}

static const neap_Class events_class = {"neap.Events", object_close,
                                        object_release};

static neap_Events *check(lua_State *L) {
  Object *o = neap_handle_check(L, 1, &events_class);
  return o->events;
}

static int event_gc(lua_State *L) {
  Event **box = lua_touserdata(L, 1);
  drop_events(*box);
  *box = NULL;
  return 0;
}

enum { SELF = 1, FOR_ITEMS, READER }; /* the stack of who reads */

/* The queue has ended and is empty. */
static int give_end(lua_State *L) {
  if (!lua_toboolean(L, FOR_ITEMS))
    return neap_raise(L, "QueueShutDown", NULL, "the queue was shut down");
  lua_pushnil(L);
  return 1;
}

static int give(lua_State *L, void **box) {
  Event *e = *box;
  int n;
  if (lua_toboolean(L, FOR_ITEMS) && e->values->value[0].type == NEAP_NIL)
    return np_error(L, "an event begins with nil, which would end the loop");
  n = np_values_push(L, e->values);
  *box = NULL;
  drop_events(e);
  return n;
}

static int read_done(lua_State *L, int status);

/* Gives an event, or waits for one. */
static int read_event(lua_State *L) {
  neap_Events *q = check(L);
  Reader *r = lua_touserdata(L, READER);
  void **box = np_box_new(L, event_gc);
  *box = take(q);
  if (*box != NULL) return give(L, box);
  lua_pop(L, 1);
  if (r == NULL) {
    lua_settop(L, FOR_ITEMS);
    r = lua_newuserdatauv(L, sizeof *r, 0);
    memset(r, 0, sizeof *r);
    r->wait.what = "an event";
    r->wait.abort = on_abort;
    r->events = q;
    r->vm = np_vm(L);
  }
  (void)np_park_check(L);
  if (enter(r)) return neap_await(L, &r->wait, read_done);
  box = np_box_new(L, event_gc); /* it has come in this moment */
  *box = take(q);
  return *box != NULL ? give(L, box) : give_end(L);
}

static int read_done(lua_State *L, int status) {
  if (status < 0) return neap_fail(L, status, "events");
  return read_event(L);
}

/* events:get() -> the values of the next event */
static int events_get(lua_State *L) {
  (void)check(L);
  lua_settop(L, SELF);
  lua_pushboolean(L, 0);
  return read_event(L);
}

/* The iterator of items(): upvalue 1 is the object. */
static int events_next(lua_State *L) {
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushboolean(L, 1);
  return read_event(L);
}

/* events:items() -> iterator */
static int events_items(lua_State *L) {
  (void)check(L);
  lua_settop(L, SELF);
  lua_pushcclosure(L, events_next, 1);
  return 1;
}

/* events:qsize() -> how many events are there */
static int events_qsize(lua_State *L) {
  neap_Events *q = check(L);
  size_t n;
  np_inbox_lock(q->inbox);
  n = q->count;
  np_inbox_unlock(q->inbox);
  lua_pushinteger(L, (lua_Integer)n);
  return 1;
}

neap_Events *neap_events_new(lua_State *L, size_t bound) {
  static const luaL_Reg methods[] = {
    {"items", events_items}, {"qsize", events_qsize}, {NULL, NULL}};
  static const neap_Async async[] = {{"get", events_get}, {NULL, NULL}};
  neap_Events *q;
  Object *o;
  neap_class_new(L, &events_class, methods, async);
  lua_pop(L, 1);
  o = neap_handle_new(L, sizeof *o, &events_class);
  q = calloc(1, sizeof *q);
  if (q == NULL) {
    luaL_error(L, "not enough memory");
    return NULL;
  }
  q->wake.run = on_wake;
  q->inbox = np_inbox_hold(np_vm(L)->inbox);
  q->bound = bound;
  q->holders = 2;
  o->events = q;
  return q;
}
