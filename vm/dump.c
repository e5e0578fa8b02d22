/*
 * dump.c - what every task is doing, as Lua tables: asyncio._tasks().
 *
 * The tree and its text are made in Lua (stdlib/asyncio/dump.lua); here is
 * only what Lua cannot see: states, waits, and the stacks of others.
 */
#include <string.h>

#include "async.h"
#include "error.h"
#include "future.h"
#include "limits.h"
#include "loop.h"
#include "task.h"

void np_task_name_push(lua_State *L, neap_Task *t) {
  if (t->future == NULL) { /* it has none of its own */
    lua_pushfstring(L, "Task-%d", (int)t->id);
    return;
  }
  np_task_push(L, t);
  np_future_name_push(L, -1);
  lua_remove(L, -2);
}

/* Pushes what a task that is parked on a future waits for. */
static void push_awaited(lua_State *L, np_Future *f) {
  if (f->task != NULL) {
    np_task_name_push(L, f->task);
    lua_pushfstring(L, "task '%s'", lua_tostring(L, -1));
    lua_remove(L, -2);
  } else if (f->flags & NP_F_GATHER) {
    lua_pushfstring(L, "gather, %d to go", (int)np_gather_pending(f));
  } else if (f->flags & NP_F_GROUP) {
    lua_pushfstring(L, "the end of a TaskGroup, %d to go",
                    (int)np_group_count(f));
  } else {
    lua_pushliteral(L, "a future");
  }
}

/* Adds the task's id to the list on top. */
static void add_id(void *arg, neap_Task *t) {
  lua_State *L = arg;
  lua_pushinteger(L, (lua_Integer)(uint32_t)t->id);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

/* The tasks that a future needs to end. */
static void visit_awaited(np_Future *f, void (*visit)(void *, neap_Task *),
                          void *arg) {
  if (f->task != NULL) visit(arg, f->task);
  else if (f->flags & NP_F_GATHER) np_gather_tasks(f, visit, arg);
  else if (f->flags & NP_F_GROUP) np_group_tasks(f, visit, arg);
}

/* "read 127.0.0.1:80" */
static void push_place(lua_State *L, const neap_Wait *w) {
  char text[256] = "";
  if (w->detail != NULL) w->detail(w, text, sizeof text);
  lua_pushfstring(L, "%s%s%s", w->what != NULL ? w->what : "C code",
                  *text != '\0' ? " " : "", text);
}

static void push_wait(lua_State *L, neap_Task *t) {
  neap_Vm *vm = t->vm;
  if (t == vm->current) {
    lua_pushliteral(L, "runs now");
  } else if (!(t->flags & NP_T_STARTED)) {
    lua_pushliteral(L, "has not started");
  } else if (t->awaiting != NULL && t->awaiting->state == NP_PENDING) {
    push_awaited(L, t->awaiting);
  } else if (t->wait != NULL) {
    push_place(L, t->wait);
  } else if (np_heap_test((np_HeapNode *)&t->timer)) {
    uint64_t when = np_heap_key(&vm->timers, (np_HeapNode *)&t->timer);
    uint64_t now = uv_hrtime();
    lua_pushfstring(L, "sleep, %f s to go",
                    when > now ? (double)((when - now) / 1000000) / 1e3
                               : 0.0);
  } else {
    lua_pushliteral(L, "is ready to run");
  }
}

/* Replaces the name of a function on top, "wait", by that with its module,
 * "asyncio.wait". */
static void add_module(lua_State *L, const lua_Debug *ar) {
  const char *name = lua_tostring(L, -1), *dir = ar->source + 8;
  if (strncmp(ar->source, "=stdlib/", 8) != 0 || strpbrk(name, ".:") != NULL)
    return;
  lua_pushlstring(L, dir, strcspn(dir, "/"));
  lua_pushfstring(L, "%s.%s", lua_tostring(L, -1), name);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* The thread in which the task waits: its own, or that of a generator. */
static lua_State *innermost(neap_Task *t) {
  lua_State *co, *at = t->L;
  while (at != NULL && (co = np_coro_resumed(at)) != NULL) at = co;
  return at;
}

/* Pushes the name of the library function that the script awaits and its
 * first argument, the object if it is a method; or two nils. */
static void push_call(lua_State *L, neap_Task *t) {
  lua_Debug ar;
  lua_State *at = innermost(t);
  int level;
  lua_pushnil(L);
  lua_pushnil(L);
  if (at == NULL || t == t->vm->current || !lua_checkstack(at, 3)) return;
  for (level = 0; lua_getstack(at, level, &ar); level++) {
    if (!lua_getinfo(at, "Slf", &ar)) return;
    lua_xmove(at, L, 1);
    if (np_is_script(&ar)) {
      lua_pop(L, 1);
      return;
    }
    np_push(L, t->vm, NP_R_NAMES);
    lua_insert(L, -2);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (lua_type(L, -1) == LUA_TSTRING) {
      add_module(L, &ar);
      lua_replace(L, -3);
      if (lua_getlocal(at, &ar, 1) != NULL) lua_xmove(at, L, 1);
      else lua_pushnil(L);
      lua_replace(L, -2);
    } else {
      lua_pop(L, 1);
    }
  }
}

/* Pushes the future that the task is parked on, or nil. */
static void push_future(lua_State *L, neap_Task *t) {
  lua_Debug ar;
  lua_State *at = innermost(t);
  if (t->awaiting == NULL || at == NULL || !lua_checkstack(at, 3) ||
      !lua_getstack(at, 0, &ar) || lua_getlocal(at, &ar, 1) == NULL) {
    lua_pushnil(L);
    return;
  }
  lua_xmove(at, L, 1);
}

static void push_task(lua_State *L, neap_Task *t) {
  lua_createtable(L, 0, 12);
  np_task_name_push(L, t);
  lua_setfield(L, -2, "name");
  lua_pushinteger(L, (lua_Integer)(uint32_t)t->id);
  lua_setfield(L, -2, "id");
  lua_pushinteger(L, t->parent);
  lua_setfield(L, -2, "parent");
  lua_pushnumber(L, (double)((uint32_t)(uv_hrtime() / 1000000) - t->born) /
                    1e3);
  lua_setfield(L, -2, "age");
  push_wait(L, t);
  lua_setfield(L, -2, "waits");
  push_call(L, t);
  lua_setfield(L, -3, "object");
  lua_setfield(L, -2, "call");
  push_future(L, t);
  lua_setfield(L, -2, "future");
  if (t->cancelling > 0) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "cancelling");
  }
  if (t->awaiting != NULL && t->awaiting->state == NP_PENDING) {
    lua_newtable(L);
    visit_awaited(t->awaiting, add_id, L);
    lua_setfield(L, -2, "awaits");
  }
  if (t->source != 0) {
    np_site_push(L, t->line, t->source);
    lua_setfield(L, -2, "spawned");
  }
  if (t->L != NULL) {
    np_traceback(L, t->L, 0);
    lua_setfield(L, -2, "stack");
  }
}

/* _tasks() -> list of tables: name, id, parent, age, cancelling, waits, call,
 * object, future, awaits (a list of ids), spawned, stack */
static int tasks(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  neap_Task *t;
  lua_Integer n = 0;
  np_batch_show(L);
  lua_createtable(L, (int)vm->nlive, 0);
  for (t = vm->tasks; t != NULL; t = t->next) {
    push_task(L, t);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* Runs protected: reports the text of asyncio._dump(). */
static int report_dump(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  np_push(L, vm, NP_R_ASYNCIO);
  lua_getfield(L, -1, "_dump");
  lua_call(L, 0, 1);
  neap_report(vm, NEAP_REPORT_DUMP, luaL_checkstring(L, -1), NULL);
  return 0;
}

void np_dump_report(lua_State *L) {
  if (!lua_checkstack(L, 5)) return;
  lua_pushcfunction(L, report_dump);
  np_limits_enter(np_vm(L));
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) lua_pop(L, 1);
  np_limits_leave(np_vm(L));
}

void np_dump_open(lua_State *L) {
  np_push(L, np_vm(L), NP_R_ASYNCIO);
  lua_pushcfunction(L, tasks);
  lua_setfield(L, -2, "_tasks");
  lua_pop(L, 1);
}
