/*
 * object.c - coroutine objects: what an async function gives that is called
 * without await.
 *
 * A coroutine object is a userdata of the body and the arguments; nothing of
 * it runs. Whoever awaits it, or makes a task of it, claims it and takes them
 * out. One that is collected before that was lost, and the host is told.
 *
 * That is found out without a finalizer, which would hold the memory for one
 * collection longer: a new object has a record, and the place of the same
 * number in a weak table. After a collection
 * (collector.c), and when there are no more records, those are looked for
 * whose objects are gone.
 */
#include <string.h>

#include "async.h"
#include "error.h"

/* Records are in the order in which their objects were made. That of an object
 * which was claimed stays until they are compacted, but for the last one: then
 * all begin anew. */
struct np_Made {
  uint32_t source, name, trace; /* numbers of np_number */
  int line;                     /* or CLAIMED */
};

#define CLAIMED (-1)
#define FIRST 64  /* records at first */
#define MANY 1024 /* more are given back when none is in use */

/* == Records ========================================================== */

/* Of so many, which are numbered from 1. */
static size_t memory(uint32_t size) {
  return size > 0 ? (size + 1) * sizeof(np_Made) : 0;
}

void np_object_close(neap_Vm *vm) {
  np_alloc(vm, vm->made, memory(vm->made_size), 0);
  vm->made = NULL;
  vm->made_size = vm->made_used = vm->nmade = 0;
}

void np_object_trim(neap_Vm *vm) {
  if (vm->nmade > 0 || vm->made_size <= MANY) return;
  lua_pushvalue(vm->store, NP_S_PROBE); /* in place of the table */
  lua_replace(vm->store, NP_S_MADE);
  np_object_close(vm);
}

/* Nothing will be told of the object. It may have no record, and in one case
 * its number is another's by now, of whom nothing is told either: if only a
 * finalizer had it, so that it was found lost before it was claimed. */
static void forget(neap_Vm *vm, np_Co *co) {
  uint32_t at = co->record;
  co->record = 0;
  if (at == 0 || at > vm->made_used || vm->made[at].line == CLAIMED) return;
  vm->made[at].line = CLAIMED;
  if (--vm->nmade == 0) vm->made_used = 0;
}

/* Pushes the object of a record on the store, or nil: it is gone. */
static np_Co *push_object(neap_Vm *vm, uint32_t at) {
  (void)lua_rawgeti(vm->store, NP_S_MADE, at);
  return lua_touserdata(vm->store, -1);
}

/* The records that are left are the first ones afterwards. */
static void compact(neap_Vm *vm) {
  uint32_t at, n = 0;
  for (at = 1; at <= vm->made_used; at++) {
    np_Co *co;
    if (vm->made[at].line == CLAIMED || ++n == at) continue;
    vm->made[n] = vm->made[at];
    co = push_object(vm, at);
    if (co != NULL) co->record = n;
    lua_rawseti(vm->store, NP_S_MADE, n); /* it has a place */
  }
  vm->made_used = n;
}

/* Has `size` records, in memory and in the table. */
static void resize(lua_State *L, uint32_t size) {
  neap_Vm *vm = np_vm(L);
  np_Made *made;
  uint32_t at;
  lua_createtable(L, (int)size, 0);
  if (vm->made_size >= size) { /* a finalizer has done it meanwhile */
    lua_pop(L, 1);
    return;
  }
  made = np_alloc(vm, vm->made, memory(vm->made_size), memory(size));
  if (made == NULL) luaL_error(L, "not enough memory");
  vm->made = made;
  vm->made_size = size;
  vm->made_time = uv_hrtime();
  (void)lua_getmetatable(vm->store, NP_S_PROBE); /* weak */
  lua_xmove(vm->store, L, 1);
  lua_setmetatable(L, -2);
  for (at = 1; at <= vm->made_used; at++) {
    (void)push_object(vm, at);
    lua_xmove(vm->store, L, 1);
    lua_rawseti(L, -2, at);
  }
  lua_xmove(L, vm->store, 1);
  lua_replace(vm->store, NP_S_MADE);
}

/* There is a free record afterwards. */
static void make_room(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  luaL_checkstack(L, 4, NULL);
  if (vm->made_size == 0) {
    resize(L, FIRST);
    return;
  }
  np_co_lost(L, 0);
  if (vm->made_used > vm->made_size / 4 * 3) resize(L, 2 * vm->made_size);
}

static void report(lua_State *L, const np_Made *made) {
  const char *where;
  np_site_push(L, made->line, made->source);
  where = lua_tostring(L, -1);
  np_number_push(L, made->name);
  lua_pushfstring(L, "coroutine object %s (%s) was never awaited",
                  lua_tostring(L, -1), where);
  np_quote(L, where, NULL);
  if (made->trace != 0) np_number_push(L, made->trace);
  else lua_pushnil(L);
  np_report(np_vm(L), NEAP_REPORT_WARNING, lua_tostring(L, -3),
            lua_tostring(L, -1), NULL, where, lua_tostring(L, -2));
  lua_pop(L, 5);
}

static int is_gone(neap_Vm *vm, uint32_t at) {
  int gone = push_object(vm, at) == NULL;
  lua_pop(vm->store, 1);
  return gone;
}

/* The host that is told may have scripts make and claim objects meanwhile:
 * what is not met because of that, the next time will meet. */
void np_co_lost(lua_State *L, int all) {
  neap_Vm *vm = np_vm(L);
  uint32_t at;
  luaL_checkstack(L, 10, NULL);
  for (at = 1; at <= vm->made_used; at++) {
    np_Made made = vm->made[at];
    if (made.line == CLAIMED || (!all && !is_gone(vm, at))) continue;
    vm->made[at].line = CLAIMED;
    vm->nmade--;
    report(L, &made);
  }
  compact(vm);
}

/* From now on the object on top is told of if it is lost. */
static void remember(lua_State *L, np_Co *co, uint32_t name) {
  neap_Vm *vm = np_vm(L);
  np_Made *made;
  uint32_t trace = 0;
  if (vm->closing) return;
  if (vm->debug) {
    np_traceback(L, L, 1);
    trace = np_number(L);
  }
  while (vm->made_used == vm->made_size) make_room(L);
  co->record = ++vm->made_used;
  vm->nmade++;
  made = &vm->made[co->record];
  made->source = co->source;
  made->line = co->line;
  made->name = name;
  made->trace = trace;
  lua_pushvalue(L, -1);
  lua_xmove(L, vm->store, 1);
  lua_rawseti(vm->store, NP_S_MADE, co->record); /* it has a place */
}

/* == Making =========================================================== */

/* Pushes a coroutine object of the body at `body` and the n arguments from
 * `first` on. */
static np_Co *co_new(lua_State *L, int body, int first, int n) {
  np_Co *co = lua_newuserdatauv(L, sizeof *co, n + 1);
  int i;
  memset(co, 0, sizeof *co); /* NP_CO_NEW */
  co->nargs = (uint16_t)n;
  lua_pushvalue(L, body);
  lua_setiuservalue(L, -2, 1);
  for (i = 0; i < n; i++) {
    lua_pushvalue(L, first + i);
    lua_setiuservalue(L, -2, i + 2);
  }
  np_push_made(L, np_vm(L), NP_R_CO);
  lua_setmetatable(L, -2);
  return co;
}

/* Notes the line that made it, which C (pcall, table.sort) may have called
 * for: then the script's nearest. */
static void find_site(lua_State *L, np_Co *co) {
  lua_Debug ar;
  int level;
  for (level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0 || (level > 1 && !np_is_script(&ar))) continue;
    co->line = ar.currentline;
    co->source = np_source(L, ar.short_src);
    return;
  }
}

int np_async_call(lua_State *L) {
  int n = lua_gettop(L);
  const void *name;
  np_Co *co;
  luaL_argcheck(L, n < 250, 250, "too many arguments for an async function");
  co = co_new(L, lua_upvalueindex(1), 1, n);
  find_site(L, co);
  name = lua_touserdata(L, lua_upvalueindex(3));
  remember(L, co, (uint32_t)(uintptr_t)name);
  return 1;
}

void np_co_make(lua_State *L, int nargs) {
  int body = lua_gettop(L) - nargs;
  luaL_argcheck(L, nargs < 250, 250, "too many arguments for a task");
  luaL_checkstack(L, 5, NULL);
  (void)co_new(L, body, body + 1, nargs);
  lua_replace(L, body);
  lua_settop(L, body);
}

np_Co *np_co_test(lua_State *L, int index) {
  np_Co *co = lua_touserdata(L, index);
  const void *meta;
  if (co == NULL || !lua_getmetatable(L, index)) return NULL;
  meta = lua_topointer(L, -1);
  lua_pop(L, 1);
  return meta == np_vm(L)->co_meta ? co : NULL;
}

/* The number of the name of the object at `index`. */
static uint32_t name_of(lua_State *L, int index) {
  lua_getiuservalue(L, index, 1);
  np_async_name(L, lua_gettop(L));
  lua_replace(L, -2);
  return np_number(L);
}

/* Pushes "fetch (app.lua:12)". */
static void describe(lua_State *L, int index) {
  const np_Co *co = lua_touserdata(L, index);
  lua_getiuservalue(L, index, 1);
  np_async_name(L, lua_gettop(L));
  np_site_push(L, co->line, co->source);
  lua_pushfstring(L, "%s (%s)", lua_tostring(L, -2), lua_tostring(L, -1));
  lua_replace(L, -4);
  lua_pop(L, 2);
}

/* == Claiming ========================================================= */

int np_co_claim_new(lua_State *L) {
  np_Co *co = np_co_test(L, -1);
  if (co == NULL || co->state == NP_CO_USED) return 0;
  co->state = NP_CO_USED;
  forget(np_vm(L), co);
  return 1;
}

void np_co_claim(lua_State *L, int index) {
  int claimed;
  lua_pushvalue(L, index);
  claimed = np_co_claim_new(L);
  lua_pop(L, 1);
  if (claimed) return;
  describe(L, index);
  np_error(L, "cannot await coroutine object %s again: it was awaited or "
           "given to a task already", lua_tostring(L, -1));
}

void np_co_unclaim(lua_State *L, int index) {
  np_Co *co = lua_touserdata(L, index);
  co->state = NP_CO_NEW;
  lua_pushvalue(L, index);
  remember(L, co, name_of(L, lua_gettop(L)));
  lua_pop(L, 1);
}

void np_co_unpack(lua_State *L, const np_Co *co) {
  int n = co->nargs, i; /* the object stays anchored until its last value */
  for (i = 1; i <= n; i++) lua_getiuservalue(L, -i, i + 1);
  lua_getiuservalue(L, -n - 1, 1);
  lua_replace(L, -n - 2);
}

int np_co_take(lua_State *L, int index) {
  int n = ((np_Co *)lua_touserdata(L, index))->nargs;
  np_co_claim(L, index);
  luaL_checkstack(L, n + 4, "too many arguments");
  lua_pushvalue(L, index);
  np_co_unpack(L, lua_touserdata(L, -1));
  return n;
}

void np_co_excuse(lua_State *L, int base) {
  while (lua_gettop(L) > base) {
    int index = lua_gettop(L), i;
    np_Co *co = np_co_test(L, index);
    if (co == NULL || co->state != NP_CO_NEW) {
      lua_settop(L, index - 1);
      continue;
    }
    co->state = NP_CO_EXCUSED;
    forget(np_vm(L), co);
    luaL_checkstack(L, co->nargs + 4, "too many arguments");
    for (i = 2; i <= co->nargs + 1; i++) lua_getiuservalue(L, index, i);
    lua_remove(L, index);
  }
}

/* == As Lua sees them ================================================= */

/* debug.getmetatable gives scripts what follows, to be called with anything. */
static void co_check(lua_State *L, int index) {
  if (np_co_test(L, index) == NULL)
    luaL_typeerror(L, index, "coroutine object");
}

static int co_tostring(lua_State *L) {
  co_check(L, 1);
  describe(L, 1);
  lua_pushfstring(L, "coroutine object %s", lua_tostring(L, -1));
  return 1;
}

/* Upvalue 1 says what was attempted: "index", "call" ... */
int np_co_misuse(lua_State *L) {
  int index = np_co_test(L, 1) != NULL ? 1 : 2;
  co_check(L, index);
  describe(L, index);
  return np_error(L, "attempt to %s coroutine object %s: did you forget "
                  "await?", lua_tostring(L, lua_upvalueindex(1)),
                  lua_tostring(L, -1));
}

/* Sets misuse of the kind `attempt` for the events that follow, in the
 * metatable on top. */
static void co_events(lua_State *L, const char *attempt,
                      const char *const *events) {
  lua_pushstring(L, attempt);
  lua_pushcclosure(L, np_co_misuse, 1);
  for (; *events != NULL; events++) {
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, *events);
  }
  lua_pop(L, 1);
}

void np_co_make_metatable(lua_State *L) {
  static const char *const all[][15] = {
    {"index", "__index", "__newindex"}, {"call", "__call"},
    {"compare", "__eq", "__lt", "__le"}, {"concatenate", "__concat"},
    {"get length of", "__len"}, {"iterate over", "__pairs"},
    {"perform arithmetic on", "__add", "__sub", "__mul", "__div", "__mod",
     "__pow", "__unm", "__idiv"},
    {"perform bitwise operation on", "__band", "__bor", "__bxor", "__shl",
     "__shr", "__bnot"}};
  neap_Vm *vm = np_vm(L);
  size_t i;
  lua_createtable(L, 0, 28);
  for (i = 0; i < sizeof all / sizeof *all; i++)
    co_events(L, all[i][0], all[i] + 1);
  lua_pushliteral(L, "coroutine object");
  lua_setfield(L, -2, "__name");
  lua_pushcfunction(L, co_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  vm->co_meta = lua_topointer(L, -1);
  np_keep(L, vm, NP_R_CO);
}

/* _discard(v): a coroutine object that will not be awaited, on purpose */
static int discard(lua_State *L) {
  np_Co *co = np_co_test(L, 1);
  if (co == NULL || co->state == NP_CO_USED) return 0;
  (void)np_co_take(L, 1);
  np_co_excuse(L, 1);
  return 0;
}

/* _take(x): a coroutine object that runs what x would have run, which is used
 * now; anything else is given back */
static int take(lua_State *L) {
  const np_Co *co = np_co_test(L, 1);
  np_Co *taken;
  lua_settop(L, 1);
  if (co == NULL) return 1;
  np_co_make(L, np_co_take(L, 1));
  taken = lua_touserdata(L, 2);
  taken->line = co->line;
  taken->source = co->source;
  remember(L, taken, name_of(L, 2));
  return 1;
}

/**
 * asyncio.iscoroutine(v) -> boolean
 *
 * Whether `v` is a coroutine object.
 */
static int is_coroutine(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, np_co_test(L, 1) != NULL);
  return 1;
}

void np_object_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"iscoroutine", is_coroutine},
    {"_discard", discard}, {"_take", take}, {NULL, NULL}};
  np_weak_push(L, "v");
  lua_xmove(L, np_vm(L)->store, 1);
  lua_replace(np_vm(L)->store, NP_S_PROBE);
  np_push(L, np_vm(L), NP_R_ASYNCIO);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
