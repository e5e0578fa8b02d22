/*
 * group.c - the tasks of a TaskGroup, counted and cancelled in C.
 *
 * The group's scope and its rules are Lua (stdlib/asyncio/groups.lua); here
 * is what happens for every task: it is in the group's list while it runs,
 * its error goes to the group's list of errors, and the first failure
 * cancels the others and the parent. The group is a future, which is done
 * when the list is empty.
 */
#include "error.h"
#include "future.h"
#include "task.h"

typedef struct Group {
  np_Future f; /* first; user value 1 is the list of errors */
  np_Sink sink;
  uint64_t parent; /* id of the task that holds the group, and its slot */
  uint32_t parent_slot;
  uint32_t count;
  int errors; /* reference of the list while tasks run */
  uint8_t aborting, parent_cancelled;
} Group;

static Group *of_sink(np_Sink *s) {
  return (Group *)((char *)s - offsetof(Group, sink));
}

static Group *check(lua_State *L) {
  np_Future *f = np_future_check(L, 1);
  Group *g = (Group *)f;
  luaL_argexpected(L, f->flags & NP_F_GROUP, 1, "group");
  return g;
}

static void cancel_tasks(Group *g) {
  neap_Task *t, *next;
  for (t = g->sink.first; t != NULL; t = next) {
    next = t->sink_next;
    (void)np_task_cancel(t);
  }
}

/* Runs on the task's stack: its error goes into the list. */
static void task_store(lua_State *L, np_Sink *s, neap_Task *t, int first,
                       int n, int status) {
  Group *g = of_sink(s);
  lua_Integer at;
  (void)n;
  if (status != NP_FAILED) return;
  lua_rawgeti(L, LUA_REGISTRYINDEX, g->errors);
  at = (lua_Integer)lua_rawlen(L, -1) + 1;
  lua_pushvalue(L, first);
  lua_rawseti(L, -2, at);
  lua_getfield(L, -1, "traces");
  np_take_traces(L, t, first);
  if (lua_isnil(L, -1)) lua_pop(L, 1);
  else lua_concat(L, 2);
  lua_rawseti(L, -2, at);
}

static int task_ended(np_Sink *s, neap_Task *t) {
  np_sink_leave(s, t);
  return 1;
}

static void task_done(neap_Vm *vm, np_Sink *s, neap_Task *t) {
  Group *g = of_sink(s);
  if (t->state == NP_FAILED && !g->aborting) {
    neap_Task *parent = np_task_find(vm, g->parent_slot, g->parent);
    g->aborting = g->parent_cancelled = 1;
    cancel_tasks(g);
    if (parent != NULL) (void)np_task_cancel(parent);
  }
  if (--g->count > 0) return;
  if (g->f.state == NP_PENDING) np_future_finish(vm, &g->f, NP_DONE);
  luaL_unref(vm->store, LUA_REGISTRYINDEX, g->errors);
  g->errors = LUA_NOREF;
}

uint32_t np_group_count(np_Future *f) { return ((Group *)f)->count; }

void np_group_tasks(np_Future *f, void (*visit)(void *, neap_Task *),
                    void *arg) {
  neap_Task *t;
  for (t = ((Group *)f)->sink.first; t != NULL; t = t->sink_next)
    visit(arg, t);
}

/* _group(errors) -> group of the running task */
static int group_new(lua_State *L) {
  neap_Task *t = np_vm(L)->current;
  Group *g;
  luaL_checktype(L, 1, LUA_TTABLE);
  if (t == NULL) return np_error(L, "a TaskGroup needs a task");
  g = (Group *)np_future_sized(L, NP_R_FUTURE, sizeof *g);
  g->f.flags = NP_F_GROUP;
  g->sink.store = task_store;
  g->sink.ended = task_ended;
  g->sink.done = task_done;
  g->parent = t->id;
  g->parent_slot = t->slot;
  g->errors = LUA_NOREF;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* _group_add(group, task): a task that has not started */
static int group_add(lua_State *L) {
  Group *g = check(L);
  np_Future *f = np_future_check(L, 2);
  neap_Task *t = f->task;
  if (t == NULL || t->sink != NULL || t->flags & NP_T_STARTED)
    return luaL_argerror(L, 2, "a new task expected");
  if (g->count == 0) {
    /* The list refers to the group, so that it lives as long as they do. */
    lua_getiuservalue(L, 1, 1);
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, "group");
    g->errors = luaL_ref(L, LUA_REGISTRYINDEX);
    g->f.state = NP_PENDING;
  }
  g->count++;
  np_sink_join(&g->sink, t);
  return 0;
}

/* _group_cancel(group, abort): cancels its tasks, oldest first */
static int group_cancel(lua_State *L) {
  Group *g = check(L);
  if (lua_toboolean(L, 2)) g->aborting = 1;
  cancel_tasks(g);
  return 0;
}

/* _group_state(group, again) -> count of tasks, aborting, parent was
 * cancelled; `again` is for who waits, has seen how that ended, and will wait
 * again if there are tasks */
static int group_state(lua_State *L) {
  Group *g = check(L);
  if (lua_toboolean(L, 2) && g->count > 0) g->f.state = NP_PENDING;
  lua_pushinteger(L, g->count);
  lua_pushboolean(L, g->aborting);
  lua_pushboolean(L, g->parent_cancelled);
  return 3;
}

void np_group_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"_group", group_new}, {"_group_add", group_add},
    {"_group_cancel", group_cancel}, {"_group_state", group_state},
    {NULL, NULL}};
  np_push(L, np_vm(L), NP_R_ASYNCIO);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
