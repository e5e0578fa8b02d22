/*
 * gather.c - many awaitables at once: asyncio.gather.
 *
 * gather is a future with children. Coroutine objects become tasks without
 * a Lua object, whose values go straight into the table of results (see
 * np_Sink); futures and tasks are linked to. On the first failure the other
 * children are cancelled, and the gather ends when all of them have.
 */
#include <string.h>

#include "async.h"
#include "error.h"
#include "future.h"
#include "limits.h"
#include "loop.h"
#include "task.h"

/* A child that is no task of ours. */
typedef struct Other {
  np_Link link; /* first */
  struct Gather *gather;
  np_Future *future; /* somebody's, or NULL once that is done */
  uint32_t number;   /* which child it is, from 1 */
  uint32_t same;     /* it is this earlier child once more */
  uint8_t early;     /* the future was done beforehand */
} Other;

/* Fields of the table of results that are not results. They are there from
 * the start, so that setting them never needs memory. */
enum {
  GATHER = 0,
  FAILURE = -1, /* the error of which it fails */
  FUTURES = -2, /* list of the children that are futures */
  OTHERS = -3   /* userdata: the structs */
};

/* Places in the list that stands for a child's error; a list of the script's
 * has nothing like `mark`. */
enum { MARK = 1, ERROR, TRACEBACK, SPAWNED };

static const char mark = 0;

typedef struct Gather {
  np_Future f; /* first */
  np_Sink sink;
  np_Batch batch; /* the children, if they all are coroutine objects */
  np_Node end;    /* all children have ended well */
  Other *other;   /* in the order of their numbers */
  uint32_t n, nothers;
  uint32_t pending, telling; /* not ended; failed, and to tell of it */
  uint8_t keep_errors, failing, cancelled, ending;
} Gather;

static Gather *of_sink(np_Sink *s) {
  return (Gather *)((char *)s - offsetof(Gather, sink));
}

/* Cancels once more what is cancelled already as child number `at`. */
static void cancel_again(Gather *g, uint32_t at) {
  neap_Task *t;
  uint32_t i;
  for (t = g->sink.first; t != NULL; t = t->sink_next)
    if (t->number == at) (void)np_task_cancel(t);
  for (i = 0; i < g->nothers; i++)
    if (g->other[i].number == at && g->other[i].future != NULL)
      (void)np_future_cancel(g->other[i].future);
}

/* Cancels all children, in their order; 0 if all have ended. */
static int cancel_children(Gather *g) {
  neap_Task *t = g->sink.first, *next;
  int some = t != NULL;
  uint32_t i;
  for (i = 0; i < g->nothers; i++) {
    Other *c = &g->other[i];
    for (; t != NULL && t->number < c->number; t = next) {
      next = t->sink_next;
      (void)np_task_cancel(t);
    }
    if (c->same != 0) cancel_again(g, c->same);
    else if (c->future != NULL) some |= np_future_cancel(c->future);
  }
  for (; t != NULL; t = next) {
    next = t->sink_next;
    (void)np_task_cancel(t);
  }
  return np_batch_cancel(&g->batch, 0) || some;
}

static int gather_cancel(np_Future *f) {
  Gather *g = (Gather *)f;
  if (f->state != NP_PENDING || !cancel_children(g)) return 0;
  g->cancelled = 1;
  return 1;
}

static int make_cancelled(lua_State *L) {
  neap_error_new(L, "CancelledError", 0, NULL, "the gather was cancelled");
  return 1;
}

/* Pushes the error of a gather that was cancelled, and returns its state: it
 * has failed, as in asyncio, and is only cancelled if memory is out. */
static int push_cancelled(lua_State *S, neap_Vm *vm) {
  lua_State *C = vm->calls;
  int status;
  lua_pushcfunction(C, make_cancelled);
  status = lua_pcall(C, 0, 1, 0);
  if (status != LUA_OK) {
    lua_pop(C, 1);
    lua_pushnil(S);
    return NP_CANCELLED;
  }
  lua_xmove(C, S, 1);
  return NP_FAILED;
}

/* All children have ended: nothing that fails from here on. */
static void gather_end(Gather *g) {
  neap_Vm *vm = g->f.vm;
  lua_State *S = vm->store;
  uint32_t i;
  int results, state = NP_DONE;
  lua_rawgeti(S, LUA_REGISTRYINDEX, g->sink.table);
  results = lua_gettop(S);
  for (i = 0; i < g->nothers; i++) {
    if (g->other[i].same == 0) continue;
    lua_rawgeti(S, results, g->other[i].same);
    lua_rawseti(S, results, g->other[i].number);
  }
  lua_rawgeti(S, results, GATHER);
  lua_rawgeti(S, results, FAILURE);
  if (g->failing) {
    state = NP_FAILED;
    g->f.flags |= NP_F_SINGLE;
    lua_setiuservalue(S, results + 1, 1);
  } else if (g->cancelled) {
    g->f.flags |= NP_F_SINGLE;
    state = push_cancelled(S, vm);
    lua_setiuservalue(S, results + 1, 1);
  }
  for (i = 0; i <= 3; i++) {
    lua_pushnil(S);
    lua_rawseti(S, results, GATHER - (int)i);
  }
  g->other = NULL;
  g->nothers = 0;
  vm->nscheduled--;
  np_future_finish(vm, &g->f, state);
  lua_settop(S, results - 1);
  luaL_unref(S, LUA_REGISTRYINDEX, g->sink.table);
}

/*
 * The list on top has the error of a child that failed. Sees to it that the
 * gather has fields for its traces, if there are any: then it can be given
 * those of the child that failed first without memory.
 */
static void reserve_traces(lua_State *L, Gather *g) {
  int list = lua_gettop(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, g->sink.table);
  lua_rawgeti(L, -1, GATHER);
  np_extra_get(L, -1, "sentinel");
  if (lua_isnil(L, -1)) np_future_watch(L, &g->f, list + 2);
  np_extra_get(L, list + 2, "traceback");
  if (lua_isnil(L, -1) &&
      lua_rawgeti(L, list, TRACEBACK) != LUA_TNIL) {
    np_extra_set(L, list + 2, "traceback");
    lua_rawgeti(L, list, SPAWNED);
    np_extra_set(L, list + 2, "spawned");
  }
  lua_settop(L, list);
}

/*
 * Puts the outcome of child number `at` into the table of results: the value
 * at `index`, or the error there. If the gather may fail of that, it is put
 * into a list with its traces, which are the two values on top. May run out
 * of memory.
 */
static void keep(lua_State *L, Gather *g, uint32_t at, int index,
                 int status) {
  int top = lua_gettop(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, g->sink.table);
  if (status == NP_DONE) {
    lua_pushvalue(L, index);
  } else if (g->keep_errors) {
    np_error_wrap(L, index);
  } else {
    lua_createtable(L, 4, 0);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&mark);
    lua_rawseti(L, -2, MARK);
    lua_pushvalue(L, index);
    lua_rawseti(L, -2, ERROR);
    lua_pushvalue(L, top - 1);
    lua_rawseti(L, -2, TRACEBACK);
    if (lua_isnil(L, top)) lua_pushliteral(L, "");
    else lua_pushvalue(L, top);
    lua_rawseti(L, -2, SPAWNED);
    if (status == NP_FAILED) reserve_traces(L, g);
  }
  lua_rawseti(L, top + 1, at);
  /* whoever calls drops what is on the stack */
}

static void child_store(lua_State *L, np_Sink *s, neap_Task *t, int first,
                        int n, int status) {
  Gather *g = of_sink(s);
  if (g->failing) return;
  if (n == 0) lua_pushnil(L);
  if (status == NP_DONE) {
    lua_pushvalue(L, first);
    lua_rawseti(L, NP_TASK_TABLE, t->number);
    return;
  }
  if (status == NP_FAILED && !g->keep_errors) np_take_traces(L, t, first);
  else lua_settop(L, lua_gettop(L) + 2);
  keep(L, g, t->number, first, status);
}

/* The table of results is on top, and below it the list of a child's error, of
 * which the gather fails. */
static void fail_as(lua_State *S) {
  int list = lua_gettop(S) - 1;
  lua_rawgeti(S, list, ERROR);
  lua_rawseti(S, -2, FAILURE);
  lua_rawgeti(S, -1, GATHER);
  np_extra_get(S, -1, "traceback");
  if (!lua_isnil(S, -1)) {
    lua_rawgeti(S, list, TRACEBACK);
    np_extra_set(S, list + 2, "traceback");
    lua_rawgeti(S, list, SPAWNED);
    np_extra_set(S, list + 2, "spawned");
  }
}

/* Whether the value is the list that `keep` makes of an error: there is none
 * if memory ran out. */
static int is_failure(lua_State *S, int index) {
  int is;
  if (!lua_istable(S, index)) return 0;
  lua_rawgeti(S, index, MARK);
  is = lua_touserdata(S, -1) == &mark;
  lua_pop(S, 1);
  return is;
}

/* Takes note of child number `at`, which has failed. */
static void child_failed(Gather *g, uint32_t at) {
  lua_State *S = g->f.vm->store;
  int top = lua_gettop(S);
  if (g->failing) return;
  lua_rawgeti(S, LUA_REGISTRYINDEX, g->sink.table);
  lua_rawgeti(S, -1, at);
  lua_insert(S, -2);
  if (!g->keep_errors) {
    g->failing = 1;
    if (is_failure(S, -2)) fail_as(S);
  } else if (lua_isnil(S, -2)) { /* memory ran out while it was kept */
    np_push(S, g->f.vm, NP_R_NOMEM);
    lua_rawseti(S, -2, at);
  }
  lua_settop(S, top);
  if (g->failing && !g->cancelled && g->pending > 0)
    (void)cancel_children(g);
}

static void on_end(neap_Vm *vm, np_Node *node) {
  (void)vm;
  gather_end((Gather *)((char *)node - offsetof(Gather, end)));
}

/* All have ended, and have told of it if they failed. */
static int is_over(const Gather *g) {
  return g->pending == 0 && g->telling == 0 && !g->ending;
}

static void end_later(Gather *g) {
  g->ending = 1;
  np_ready(g->f.vm, &g->end);
}

/* Nobody can tell when a child is counted that has ended well, but for the
 * last one, and where others are futures, which count in their turn. */
static int child_ended(np_Sink *s, neap_Task *t) {
  Gather *g = of_sink(s);
  np_sink_leave(s, t);
  g->pending--;
  if (t->state != NP_DONE || g->nothers > 0) {
    g->telling++;
    return 1;
  }
  if (g->pending == 0) end_later(g);
  return 0;
}

static void child_done(neap_Vm *vm, np_Sink *s, neap_Task *t) {
  Gather *g = of_sink(s);
  (void)vm;
  g->telling--;
  if (t->state != NP_DONE) child_failed(g, t->number);
  if (is_over(g)) gather_end(g);
}

static void child_lost(np_Sink *s, uint32_t at) {
  Gather *g = of_sink(s);
  g->pending--;
  child_failed(g, at);
  if (is_over(g)) end_later(g);
}

/* Runs protected: copies the outcome of a child that is a future. */
static int copy_outcome(lua_State *L) {
  Other *c = lua_touserdata(L, 1);
  Gather *g = c->gather;
  np_Future *f = c->future;
  lua_settop(L, 0);
  lua_rawgeti(L, LUA_REGISTRYINDEX, g->sink.table);
  lua_rawgeti(L, 1, FUTURES);
  lua_rawgeti(L, 2, c->number);
  lua_replace(L, 2);
  np_future_outcome(L, 2);
  if (f->state == NP_DONE && !(f->flags & NP_F_SINGLE) && lua_istable(L, 3)) {
    lua_rawgeti(L, 3, 1);
    lua_replace(L, 3);
  }
  if (f->state != NP_DONE) {
    np_extra_get(L, 2, "traceback");
    np_extra_get(L, 2, "spawned");
  }
  keep(L, g, c->number, 3, f->state);
  return 0;
}

/* Takes the outcome of child `c`, which is a future that is done. */
static void take_future(lua_State *C, Other *c) {
  Gather *g = c->gather;
  uint32_t at = c->number;
  int status = c->future->state;
  lua_pushcfunction(C, copy_outcome);
  lua_pushlightuserdata(C, c);
  if (lua_pcall(C, 1, 0, 0) != LUA_OK) {
    status = NP_FAILED; /* out of memory; the error is a ready-made one */
    lua_pop(C, 1);
  }
  lua_rawgeti(C, LUA_REGISTRYINDEX, g->sink.table);
  lua_rawgeti(C, -1, FUTURES);
  lua_pushnil(C);
  lua_rawseti(C, -2, at);
  lua_pop(C, 2);
  c->future = NULL;
  g->f.vm->nscheduled--;
  g->pending--;
  if (status != NP_DONE) child_failed(g, at);
  if (is_over(g)) gather_end(g);
}

static void future_ended(neap_Vm *vm, np_Node *node) {
  take_future(vm->calls, (Other *)node);
}

/* Those that were done beforehand count at once, as in asyncio: if all were,
 * so is the gather. */
static void take_done(lua_State *L, Gather *g) {
  uint32_t i;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  for (i = 0; i < g->nothers; i++)
    if (g->other[i].early) take_future(L, &g->other[i]);
}

uint32_t np_gather_pending(np_Future *f) { return ((Gather *)f)->pending; }

void np_gather_tasks(np_Future *f, void (*visit)(void *, neap_Task *),
                     void *arg) {
  Gather *g = (Gather *)f;
  uint32_t i;
  neap_Task *t;
  for (t = g->sink.first; t != NULL; t = t->sink_next) visit(arg, t);
  for (i = 0; i < g->nothers; i++) {
    np_Future *other = g->other[i].future;
    if (other != NULL && other->task != NULL) visit(arg, other->task);
  }
}

/* == Starting ========================================================= */

/* Stack of the functions here. */
enum { LIST = 1, RESULTS, FUTURE };

/* Number of an earlier awaitable that is the one on top, or 0. */
static uint32_t find_same(lua_State *L, uint32_t before) {
  uint32_t i;
  for (i = 1; i < before; i++) {
    int found;
    lua_rawgeti(L, LIST, i);
    found = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    if (found) return i;
  }
  return 0;
}

/* Takes the claims back: gather raises, and the objects stay as they were. */
static void unclaim(lua_State *L, uint32_t n) {
  uint32_t i;
  for (i = 1; i <= n; i++) {
    if (lua_rawgeti(L, RESULTS, i) == LUA_TUSERDATA) np_co_unclaim(L, -1);
    lua_pop(L, 1);
  }
}

/* Raises: awaitable number `at`, on top, is none, or was used. */
static int refuse(lua_State *L, uint32_t at) {
  unclaim(L, at);
  if (np_co_test(L, -1) != NULL) np_co_claim(L, -1);
  return np_error(L, "gather needs awaitables: number %d is a %s value%s",
                  (int)at, neap_typename(L, -1),
                  lua_isfunction(L, -1) ? ": call the function" : "");
}

/*
 * Claims the coroutine objects among the n awaitables and puts them into the
 * table of results, until they start. Returns how many others there are.
 */
static uint32_t claim_all(lua_State *L, uint32_t n) {
  uint32_t i, others = 0;
  for (i = 1; i <= n; i++) {
    lua_rawgeti(L, LIST, i);
    if (np_co_claim_new(L)) {
      lua_rawseti(L, RESULTS, i);
      continue;
    }
    others++;
    if (np_co_test(L, -1) != NULL) {
      if (find_same(L, i) == 0) return (uint32_t)refuse(L, i);
    } else if (np_future_test(L, -1) == NULL) {
      if (luaL_getmetafield(L, -1, "__await") == LUA_TNIL)
        return (uint32_t)refuse(L, i);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  return others;
}

/* Links the gather to the future on top, which is child `c`. */
static void start_future(lua_State *L, Gather *g, Other *c) {
  neap_Vm *vm = g->f.vm;
  np_Future *f = lua_touserdata(L, -1);
  lua_rawgeti(L, RESULTS, FUTURES);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, c->number);
  lua_pop(L, 1);
  vm->nscheduled++;
  if (np_reserve(vm) < 0) {
    vm->nscheduled--;
    luaL_error(L, "not enough memory");
  }
  c->future = f;
  c->link.node.run = future_ended;
  if (f->state == NP_PENDING) np_link(f, &c->link);
  else c->early = 1;
  g->pending++;
}

static void start_task(Gather *g, neap_Task *t, uint32_t at) {
  np_sink_join(&g->sink, t);
  t->number = at;
  g->pending++;
}

/* Starts child number `at`, which is on top and no coroutine object that was
 * claimed for this place. */
static void start_other(lua_State *L, Gather *g, uint32_t at) {
  np_Future *f = np_future_test(L, -1);
  Other *c = &g->other[g->nothers];
  if (f == NULL && np_co_test(L, -1) == NULL) {
    start_task(g, np_task_from(L, -1, g->batch.line, g->batch.source), at);
    return;
  }
  c->gather = g;
  c->number = at;
  if (f == NULL) c->same = find_same(L, at);
  else start_future(L, g, c);
  g->nothers++;
}

/* Runs protected: starts the children one by one. */
static int start_each(lua_State *L) {
  Gather *g = lua_touserdata(L, FUTURE);
  uint32_t i;
  for (i = 1; i <= g->n; i++) {
    if (lua_rawgeti(L, RESULTS, i) == LUA_TUSERDATA) {
      lua_pushnil(L);
      lua_rawseti(L, RESULTS, i);
      start_task(g, np_task_of(L, g->batch.line, g->batch.source), i);
    } else {
      lua_rawgeti(L, LIST, i);
      start_other(L, g, i);
    }
    lua_settop(L, FUTURE);
  }
  return 0;
}

/* Starts all children; they are a batch if nothing else is needed. */
static int start_all(lua_State *L, Gather *g, uint32_t others) {
  neap_Vm *vm = g->f.vm;
  if (others == 0 && !vm->debug && vm->current != NULL &&
      !(vm->current->flags & NP_T_CONTEXT)) {
    g->pending = g->n;
    if (np_batch_start(vm, &g->batch) == 0) return LUA_OK;
    g->pending = 0;
    lua_pushliteral(L, "not enough memory");
    return LUA_ERRMEM;
  }
  lua_pushcfunction(L, start_each);
  lua_pushvalue(L, LIST);
  lua_pushvalue(L, RESULTS);
  lua_pushvalue(L, FUTURE);
  return lua_pcall(L, 3, 0, 0);
}

/* Puts into the table of results what is needed until the end. */
static void fill_results(lua_State *L, Gather *g, uint32_t others) {
  lua_pushvalue(L, FUTURE);
  lua_rawseti(L, RESULTS, GATHER);
  np_push(L, g->f.vm, NP_R_NOMEM);
  lua_rawseti(L, RESULTS, FAILURE);
  lua_newtable(L);
  lua_rawseti(L, RESULTS, FUTURES);
  g->other = lua_newuserdatauv(L, others * sizeof(Other) + 1, 0);
  memset(g->other, 0, others * sizeof(Other));
  lua_rawseti(L, RESULTS, OTHERS);
  lua_pushvalue(L, RESULTS);
  g->sink.table = luaL_ref(L, LUA_REGISTRYINDEX);
}

static Gather *new_gather(lua_State *L, uint32_t n, int as_list,
                          int keep_errors) {
  Gather *g = (Gather *)np_future_sized(L, NP_R_FUTURE, sizeof *g);
  g->f.cancel = gather_cancel;
  g->f.flags = NP_F_GATHER | (as_list ? NP_F_SINGLE : 0);
  g->sink.store = child_store;
  g->sink.ended = child_ended;
  g->sink.done = child_done;
  g->batch.sink = &g->sink;
  g->batch.lost = child_lost;
  g->batch.n = g->n = n;
  g->end.run = on_end;
  g->keep_errors = (uint8_t)keep_errors;
  return g;
}

/* The list at 1 with n awaitables -> future; as_list says in what form the
 * results come. */
static int gather(lua_State *L, uint32_t n, int as_list, int keep_errors) {
  neap_Vm *vm = np_vm(L);
  Gather *g;
  uint32_t others;
  if (vm->limits != NULL) np_limits_tasks(L, n);
  lua_createtable(L, (int)n, 5);
  lua_pushinteger(L, n);
  lua_setfield(L, RESULTS, "n");
  g = new_gather(L, n, as_list, keep_errors);
  lua_pushvalue(L, RESULTS);
  lua_setiuservalue(L, FUTURE, 1);
  if (n == 0) {
    np_future_finish(vm, &g->f, NP_DONE);
    return 1;
  }
  others = claim_all(L, n);
  fill_results(L, g, others);
  np_site(L, 1, &g->batch.line, &g->batch.source);
  if (g->batch.source == 0)
    np_site(L, 0, &g->batch.line, &g->batch.source);
  vm->nscheduled++; /* `end`; all others reserve a place after it */
  if (start_all(L, g, others) != LUA_OK) {
    /* What has started ends by itself; nobody sees it. */
    g->failing = 1;
    (void)cancel_children(g);
    if (g->pending == 0) gather_end(g);
    return lua_error(L);
  }
  take_done(L, g);
  return 1;
}

/**
 * async asyncio.gather(a, b, ...) -> a value of each
 * async asyncio.gather(list [, {return_exceptions = false}]) -> list
 *
 * Runs the awaitables at once and gives their values in the order of the
 * arguments, one of each. On the first failure it cancels the others, waits
 * for their end and raises that failure. Cancelling the gather cancels them
 * all.
 *
 * With a list it gives a list, with its length in `n` because values may be
 * nil. With `return_exceptions` nothing is cancelled and nothing raised: each
 * failure stands in its place as an Error object (test with
 * `asyncio.iserror`). An error value that is no Error object is wrapped in
 * one, as `e.value`.
 *
 * What either returns is a Future: the children have started, whether or not
 * it is awaited. It is done at once if all of them were. An awaitable that is
 * named twice runs once and is given twice.
 *
 * ```lua
 * local async function half(x)
 *   await asyncio.sleep(0.001)
 *   if x % 2 == 1 then error(asyncio.Error.new(x .. " is odd")) end
 *   return x // 2
 * end
 *
 * print(await asyncio.gather(half(4), half(10)))       --> 2	5
 *
 * local results = await asyncio.gather({half(2), half(3)},
 *   {return_exceptions = true})
 * print(results.n, results[1], results[2].message)     --> 2	1	3 is odd
 * ```
 */
static int gather_lua(lua_State *L) {
  int n = lua_gettop(L), keep_errors = 0, i;
  if (n >= 1 && lua_istable(L, 1) &&
      luaL_getmetafield(L, 1, "__await") == LUA_TNIL) {
    luaL_argcheck(L, n <= 2, 3, "a list and a table of options expected");
    lua_settop(L, 2);
    np_option(L, 2, "gather", "return_exceptions", LUA_TBOOLEAN);
    keep_errors = lua_toboolean(L, 3);
    lua_settop(L, 1);
    lua_pushliteral(L, "return_exceptions");
    if (lua_rawget(L, 1) != LUA_TNIL)
      return np_error(L, "gather has the option 'return_exceptions' behind "
                      "the list, not in it");
    lua_settop(L, 1);
    return gather(L, (uint32_t)lua_rawlen(L, 1), 1, keep_errors);
  }
  lua_settop(L, n);
  lua_createtable(L, n, 0);
  lua_insert(L, 1);
  for (i = n; i > 0; i--) lua_rawseti(L, 1, i);
  return gather(L, (uint32_t)n, 0, 0);
}

void np_gather_open(lua_State *L) {
  np_push(L, np_vm(L), NP_R_ASYNCIO);
  lua_pushcfunction(L, gather_lua);
  lua_setfield(L, -2, "gather");
  lua_pop(L, 1);
}
