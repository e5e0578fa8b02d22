/*
 * async.c - async functions, coroutine objects, and what `await` calls.
 *
 * An async function is a C closure (async_call) over its body. Called, it
 * makes a coroutine object: the body and the arguments, nothing runs. What
 * the translator writes for `await f(x)` is `__call[f](x)`: the table maps
 * an async function to its body, so that the await is a call from Lua to
 * Lua; for any other callee it has a function that calls and then awaits.
 *
 * The few functions that must be Lua, so that awaiting nests without nesting
 * C calls, are in the prelude below. It may touch tasks only by futures.
 */
#include <stdio.h>
#include <string.h>

#include "vm.h"

static const char prelude[] =
  "local begin, object, callee, calls = ...\n"
  "local function call(f, ...) return f(...) end\n"
  "local function await(v) return call(begin(v)) end\n"
  "return await, function(o, name, ...)\n"
  "  object(o)\n"
  "  local f = o[name]\n"
  "  return calls[f or callee(f, name)](o, ...)\n"
  "end\n";

/* What few programs need is compiled when one does. */
static const char rest[] =
  "local await, catch = ...\n"
  "return function(f) return function(...) return await((f(...))) end end,\n"
  "function(m, v) return await((m(v))) end, function(own, h)\n"
  "  return function(e)\n"
  "    local is, message = own(e)\n"
  "    if is then return e end\n"
  "    return h(message)\n"
  "  end\n"
  "end, function(list, e)\n"
  "  for i = 1, #list, 2 do\n"
  "    local ok, e2 = catch(list[i], list[i + 1] or nil)\n"
  "    if not ok then e = e2 end\n"
  "  end\n"
  "  return e\n"
  "end\n";

#define PRELUDE "=(neap)"

int np_internal(const char *source) { return strcmp(source, PRELUDE) == 0; }

/* == Sites: where in the script something happened ===================== */

/* The number of the source name on top, which is popped. */
static uint32_t source_number(lua_State *L, neap_Vm *vm) {
  uint32_t number;
  np_push(L, vm, NP_R_SOURCES);
  lua_pushvalue(L, -2);
  if (lua_rawget(L, -2) == LUA_TNUMBER) {
    number = (uint32_t)lua_tointeger(L, -1);
    lua_pop(L, 3);
    return number;
  }
  lua_pop(L, 1);
  number = ++vm->nsources;
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, number);
  lua_pushvalue(L, -2);
  lua_pushinteger(L, number);
  lua_rawset(L, -3);
  lua_pop(L, 2);
  return number;
}

void np_site(lua_State *L, int level, int *line, uint32_t *source) {
  neap_Vm *vm = np_vm(L);
  lua_Debug ar;
  const neap_Task *t = vm->current;
  *line = t != NULL ? t->line : 0;
  *source = t != NULL ? t->source : 0;
  if (!np_script_line(L, level, &ar)) return;
  if (strcmp(ar.short_src, vm->last_source) != 0) {
    lua_pushstring(L, ar.short_src);
    vm->last_number = source_number(L, vm);
    strcpy(vm->last_source, ar.short_src);
  }
  *source = vm->last_number;
  *line = ar.currentline;
}

void np_site_push(lua_State *L, int line, uint32_t source) {
  if (source == 0) {
    lua_pushliteral(L, "?");
    return;
  }
  np_push(L, np_vm(L), NP_R_SOURCES);
  lua_rawgeti(L, -1, source);
  lua_pushfstring(L, "%s:%d", lua_tostring(L, -1), line);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* == Coroutine objects ================================================ */

/*
 * Makes a coroutine object of the body at `body` and the n arguments above
 * it, or at 1..n if `body` is an upvalue; pushes it.
 */
static np_Co *co_new(lua_State *L, int body, int first, int n) {
  neap_Vm *vm = np_vm(L);
  np_Co *co = lua_newuserdatauv(L, sizeof *co, n + 2 + (vm->debug != 0));
  int i;
  co->state = NP_CO_NEW;
  co->traced = vm->debug != 0;
  co->nargs = (uint16_t)n;
  co->line = 0;
  lua_pushvalue(L, body);
  lua_setiuservalue(L, -2, 1);
  for (i = 0; i < n; i++) {
    lua_pushvalue(L, first + i);
    lua_setiuservalue(L, -2, i + 3);
  }
  np_push_made(L, vm, NP_R_CO);
  lua_setmetatable(L, -2);
  return co;
}

/* Notes the nearest line of the script for the coroutine object on top,
 * which a C function (pcall, table.sort) has made by a call. */
static void co_find_site(lua_State *L, np_Co *co) {
  lua_Debug ar;
  int level;
  for (level = 2; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (!np_is_script(&ar)) continue;
    lua_getinfo(L, "f", &ar);
    co->line = ar.currentline;
    lua_setiuservalue(L, -2, 2);
    return;
  }
}

/* f(...) of an async function: upvalue 1 is the body. */
static int async_call(lua_State *L) {
  int n = lua_gettop(L);
  lua_Debug ar;
  np_Co *co;
  luaL_argcheck(L, n < 250, 250, "too many arguments for an async function");
  co = co_new(L, lua_upvalueindex(1), 1, n);
  if (!lua_getstack(L, 1, &ar)) return 1;
  lua_getinfo(L, "lf", &ar); /* in one go, which is faster */
  if (ar.currentline > 0) {
    co->line = ar.currentline;
    lua_setiuservalue(L, -2, 2);
  } else {
    lua_pop(L, 1);
    co_find_site(L, co);
  }
  if (co->traced) { /* behind the arguments */
    np_traceback(L, L, 1);
    lua_setiuservalue(L, -2, n + 3);
  }
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
  neap_Vm *vm;
  const void *meta;
  if (co == NULL || !lua_getmetatable(L, index)) return NULL;
  meta = lua_topointer(L, -1);
  lua_pop(L, 1);
  vm = np_vm(L);
  return meta == vm->co_new || meta == vm->co_used ? co : NULL;
}

/* Pushes "app.lua:12", the line that made the coroutine object. */
static void co_site(lua_State *L, int index) {
  np_Co *co = lua_touserdata(L, index);
  lua_Debug ar;
  if (lua_getiuservalue(L, index, 2) != LUA_TFUNCTION) {
    lua_pop(L, 1);
    lua_pushliteral(L, "?");
    return;
  }
  lua_getinfo(L, ">S", &ar);
  if (co->line > 0)
    lua_pushfstring(L, "%s:%d", ar.short_src, co->line);
  else
    lua_pushstring(L, ar.short_src);
}

/* Pushes the name of the function whose body is at `index`. */
static void body_name(lua_State *L, int index) {
  lua_pushvalue(L, index);
  np_push(L, np_vm(L), NP_R_NAMES);
  lua_insert(L, -2);
  if (lua_rawget(L, -2) != LUA_TSTRING) {
    lua_pop(L, 1);
    lua_pushliteral(L, "?");
  }
  lua_remove(L, -2);
}

void np_push_running(lua_State *L) {
  lua_Debug ar;
  const char *name = "?";
  if (lua_getstack(L, 0, &ar)) {
    lua_getinfo(L, "nf", &ar);
    body_name(L, lua_gettop(L));
    lua_replace(L, -2);
    name = lua_tostring(L, -1);
    if (ar.name != NULL && strcmp(name, "?") == 0) name = ar.name;
  }
  lua_pushstring(L, name + (*name == '_')); /* what only a Lua half calls */
}

void np_co_describe(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_getiuservalue(L, index, 1);
  body_name(L, lua_gettop(L));
  co_site(L, index);
  lua_pushfstring(L, "%s (%s)", lua_tostring(L, -2), lua_tostring(L, -1));
  lua_replace(L, -4);
  lua_pop(L, 2);
}

int np_co_claim_new(lua_State *L) {
  np_Co *co = lua_touserdata(L, -1);
  neap_Vm *vm = np_vm(L);
  int is_new;
  if (co == NULL || !lua_getmetatable(L, -1)) return 0;
  is_new = lua_topointer(L, -1) == vm->co_new;
  lua_pop(L, 1);
  if (!is_new) return 0;
  co->state = NP_CO_USED;
  /* Without a finalizer its collection costs nothing. */
  np_push(L, vm, NP_R_CO_USED);
  lua_setmetatable(L, -2);
  return 1;
}

void np_co_claim(lua_State *L, int index) {
  int claimed;
  lua_pushvalue(L, index);
  claimed = np_co_claim_new(L);
  lua_pop(L, 1);
  if (claimed) return;
  np_co_describe(L, index);
  np_error(L, "cannot await coroutine object %s again: it was awaited or "
           "given to a task already", lua_tostring(L, -1));
}

void np_co_unclaim(lua_State *L, int index) {
  ((np_Co *)lua_touserdata(L, index))->state = NP_CO_NEW;
  index = lua_absindex(L, index);
  np_push(L, np_vm(L), NP_R_CO);
  lua_setmetatable(L, index);
}

void np_co_unpack(lua_State *L, const np_Co *co) {
  int n = co->nargs, i; /* the object stays anchored until its last value */
  for (i = 1; i <= n; i++) lua_getiuservalue(L, -i, i + 2);
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
    luaL_checkstack(L, co->nargs + 4, "too many arguments");
    for (i = 3; i <= co->nargs + 2; i++) lua_getiuservalue(L, index, i);
    lua_remove(L, index);
  }
}

/* debug.getmetatable gives scripts what follows, to be called with anything. */
static void co_check(lua_State *L, int index) {
  if (np_co_test(L, index) == NULL)
    luaL_typeerror(L, index, "coroutine object");
}

static int co_tostring(lua_State *L) {
  co_check(L, 1);
  np_co_describe(L, 1);
  lua_pushfstring(L, "coroutine object %s", lua_tostring(L, -1));
  return 1;
}

static int co_gc(lua_State *L) {
  np_Co *co = np_co_test(L, 1);
  if (co == NULL || co->state != NP_CO_NEW) return 0;
  co_site(L, 1);
  np_co_describe(L, 1);
  lua_pushfstring(L, "coroutine object %s was never awaited",
                  lua_tostring(L, -1));
  np_quote(L, lua_tostring(L, 2), NULL);
  if (co->traced) lua_getiuservalue(L, 1, co->nargs + 3);
  else lua_pushnil(L);
  np_report(np_vm(L), NEAP_REPORT_WARNING, lua_tostring(L, -3),
            lua_tostring(L, -1), NULL, lua_tostring(L, 2),
            lua_tostring(L, -2));
  return 0;
}

/* Upvalue 1 says what was attempted: "index", "call" ... */
static int co_misuse(lua_State *L) {
  int index = np_co_test(L, 1) != NULL ? 1 : 2;
  co_check(L, index);
  np_co_describe(L, index);
  return np_error(L, "attempt to %s coroutine object %s: did you forget "
                  "await?", lua_tostring(L, lua_upvalueindex(1)),
                  lua_tostring(L, -1));
}

/* Sets misuse of the kind `attempt` for the events that follow, in both
 * metatables, which are on top. */
static void co_events(lua_State *L, const char *attempt,
                      const char *const *events) {
  lua_pushstring(L, attempt);
  lua_pushcclosure(L, co_misuse, 1);
  for (; *events != NULL; events++) {
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, *events);
    lua_pushvalue(L, -1);
    lua_setfield(L, -4, *events);
  }
  lua_pop(L, 1);
}

static void co_common(lua_State *L) {
  lua_pushliteral(L, "coroutine object");
  lua_setfield(L, -2, "__name");
  lua_pushcfunction(L, co_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
}

/* The metatable of coroutine objects, and that of used ones. */
void np_co_make_metatables(lua_State *L) {
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
  lua_createtable(L, 0, 28);
  for (i = 0; i < sizeof all / sizeof *all; i++)
    co_events(L, all[i][0], all[i] + 1);
  co_common(L);
  vm->co_used = lua_topointer(L, -1);
  np_keep(L, vm, NP_R_CO_USED);
  co_common(L);
  lua_pushcfunction(L, co_gc);
  lua_setfield(L, -2, "__gc");
  vm->co_new = lua_topointer(L, -1);
  np_keep(L, vm, NP_R_CO);
}

/* == Async functions ================================================== */

void neap_async(lua_State *L, const char *name) {
  if (name != NULL) {
    np_push(L, np_vm(L), NP_R_NAMES);
    lua_pushvalue(L, -2);
    lua_pushstring(L, name);
    lua_rawset(L, -3);
    lua_pop(L, 1);
  }
  lua_pushboolean(L, 0);
  lua_pushcclosure(L, async_call, 2);
}

void neap_setasync(lua_State *L, const neap_Async *list) {
  for (; list->name != NULL; list++) {
    /* A closure of its own, so that it can have a name. */
    lua_pushboolean(L, 0);
    lua_pushcclosure(L, list->body, 1);
    neap_async(L, list->name);
    lua_setfield(L, -2, list->name);
  }
}

/* Replaces the async function at `index` by its body; others stay. */
void np_async_strip(lua_State *L, int index) {
  if (lua_tocfunction(L, index) != async_call) return;
  index = lua_absindex(L, index);
  (void)lua_getupvalue(L, index, 1);
  lua_replace(L, index);
}

/* Tells whether the function on top is of a module of neap. */
static int is_of_half(lua_State *L) {
  lua_Debug ar;
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">S", &ar);
  return np_is_half(ar.source);
}

/* __async(name, f), what `async function` becomes. The functions of modules
 * go by their bare names in messages, whatever they are written in. */
static int async_make(lua_State *L) {
  const char *name, *dot;
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  name = lua_tostring(L, 1);
  dot = name != NULL ? strrchr(name, '.') : NULL;
  if (dot != NULL && is_of_half(L)) name = dot + 1;
  neap_async(L, name);
  return 1;
}

/* async(f): the call form */
static int async_global(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  if (lua_tocfunction(L, 1) == async_call) return 1;
  neap_async(L, NULL);
  return 1;
}

static void load_lua(lua_State *L, const char *text, size_t length) {
  if (luaL_loadbufferx(L, text, length, PRELUDE, "t") != LUA_OK) lua_error(L);
}

void np_rest_make(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  load_lua(L, rest, sizeof rest - 1);
  np_push(L, vm, NP_R_AWAIT);
  lua_pushcfunction(L, np_catch);
  lua_call(L, 2, 4);
  np_keep(L, vm, NP_R_LATE);
  np_keep(L, vm, NP_R_GUARD);
  np_keep(L, vm, NP_R_THROUGH);
  np_keep(L, vm, NP_R_WRAP);
}

/* == Calls of C functions ============================================= */

static int called_c(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return lua_gettop(L);
}

/*
 * Calls upvalue 1, a C function, for the prelude, so that what it says of its
 * arguments names neither the prelude's line nor the prelude's variable.
 */
static int call_c(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, called_c);
  return lua_gettop(L);
}

/* Puts it in front of the function on top if that is one in C. */
static void guard_c(lua_State *L) {
  if (lua_iscfunction(L, -1) && lua_tocfunction(L, -1) != async_call)
    lua_pushcclosure(L, call_c, 1);
}

/* == Awaiting ========================================================= */

static int can_call(lua_State *L, int index) {
  if (lua_isfunction(L, index)) return 1;
  if (luaL_getmetafield(L, index, "__call") == LUA_TNIL) return 0;
  lua_pop(L, 1);
  return 1;
}

/* __index of the table of callees: what to call for `await key(...)` */
static int calls_index(lua_State *L) {
  if (lua_tocfunction(L, 2) == async_call) {
    lua_getupvalue(L, 2, 1);
    lua_getupvalue(L, 2, 2);
    if (lua_toboolean(L, -1)) {
      lua_pushvalue(L, 2);
      lua_pushvalue(L, 3);
      lua_rawset(L, 1);
    } else { /* one that is awaited once is not worth remembering */
      lua_pushboolean(L, 1);
      lua_setupvalue(L, 2, 2);
    }
    lua_settop(L, 3);
    return 1;
  }
  if (!can_call(L, 2))
    return np_error(L, "attempt to call a %s value", neap_typename(L, 2));
  lua_settop(L, 2);
  if (np_co_test(L, 2) != NULL) { /* its __call says what is wrong */
    lua_pushvalue(L, 2);
    lua_call(L, 0, 0);
  }
  np_push_made(L, np_vm(L), NP_R_WRAP);
  lua_pushvalue(L, 2);
  guard_c(L);
  lua_call(L, 1, 1);
  if (lua_isfunction(L, 2)) {
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_rawset(L, 1);
  }
  return 1;
}

/* How Lua would call the variable `name` of the function at `level`. */
static const char *variable_kind(lua_State *L, const char *name) {
  lua_Debug ar;
  const char *found;
  int i;
  if (!lua_getstack(L, 1, &ar)) return "global";
  for (i = 1; (found = lua_getlocal(L, &ar, i)) != NULL; i++) {
    lua_pop(L, 1);
    if (strcmp(found, name) == 0) return "local";
  }
  lua_getinfo(L, "f", &ar);
  for (i = 1; (found = lua_getupvalue(L, -1, i)) != NULL; i++) {
    lua_pop(L, 1);
    if (strcmp(found, name) == 0) return "upvalue";
  }
  return "global";
}

/*
 * __nil "f", ".f" or ":f": the callee of that name is nil or false; "f." is
 * the field whose method is called
 */
static int nil_callee(lua_State *L) {
  size_t length;
  const char *name = luaL_checklstring(L, 1, &length);
  const char *kind = name[0] == ':' ? "method" : name[0] == '.' ? "field" :
                     variable_kind(L, name);
  if (name[length - 1] == '.') {
    lua_pushlstring(L, name, length - 1);
    return np_error(L, "attempt to index a nil value (field '%s')",
                    lua_tostring(L, -1));
  }
  if (name[0] == ':' || name[0] == '.') name++;
  return np_error(L, "attempt to call a nil value (%s '%s')", kind, name);
}

/* object(o): o, whose method is called, can be indexed */
static int method_object(lua_State *L) {
  int type = lua_type(L, 1);
  if (type == LUA_TTABLE || type == LUA_TUSERDATA || type == LUA_TSTRING ||
      luaL_getmetafield(L, 1, "__index") != LUA_TNIL)
    return 0;
  return np_error(L, "attempt to index a %s value", lua_typename(L, type));
}

/* callee(f, name): f, the method of that name, is nil or false */
static int method_callee(lua_State *L) {
  return np_error(L, "attempt to call a %s value (method '%s')",
                  luaL_typename(L, 1), lua_tostring(L, 2));
}

static int await_begin(lua_State *L) {
  np_Future *f;
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  if (lua_isuserdata(L, 1)) {
    if (np_co_test(L, 1) != NULL) return np_co_take(L, 1) + 1;
    f = np_future_test(L, 1);
    if (f != NULL) {
      lua_pushcfunction(L, np_future_await);
      lua_insert(L, 1);
      return 2;
    }
  }
  if (luaL_getmetafield(L, 1, "__await") == LUA_TNIL)
    return np_error(L, "attempt to await a %s value%s", neap_typename(L, 1),
                    lua_isfunction(L, 1) ? ": call the function" : "");
  if (!can_call(L, 2))
    return np_error(L, "attempt to call a %s value (metamethod 'await')",
                    neap_typename(L, 2));
  guard_c(L);
  np_push_made(L, np_vm(L), NP_R_THROUGH);
  lua_insert(L, 1);
  lua_insert(L, 2);
  return 3;
}

int np_is_word(lua_CFunction f) {
  return f == call_c || f == calls_index || f == nil_callee ||
         f == method_object || f == method_callee || f == await_begin ||
         f == co_misuse;
}

static int pass(lua_State *L) { return lua_gettop(L); }

static int await_value_done(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  return ((neap_Done)ctx)(L, 0);
}

int neap_await_value(lua_State *L, int index, neap_Done done) {
  index = lua_absindex(L, index);
  np_push(L, np_vm(L), NP_R_AWAIT);
  lua_pushvalue(L, index);
  lua_callk(L, 1, LUA_MULTRET, (lua_KContext)done, await_value_done);
  return done(L, 0);
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
  lua_settop(L, 1);
  if (co == NULL) return 1;
  np_co_make(L, np_co_take(L, 1));
  ((np_Co *)lua_touserdata(L, 2))->line = co->line;
  lua_getiuservalue(L, 1, 2);
  lua_setiuservalue(L, 2, 2);
  return 1;
}

/* _typename(v): see neap_typename */
static int type_name(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushstring(L, neap_typename(L, 1));
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

void np_weak_push(lua_State *L, const char *mode) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushstring(L, mode);
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

static void open_calls(lua_State *L) {
  np_weak_push(L, "k");
  lua_getmetatable(L, -1);
  lua_pushcfunction(L, calls_index);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  np_keep(L, np_vm(L), NP_R_CALLS);
}

static void open_prelude(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  load_lua(L, prelude, sizeof prelude - 1);
  lua_pushcfunction(L, await_begin);
  lua_pushcfunction(L, method_object);
  lua_pushcfunction(L, method_callee);
  np_push(L, vm, NP_R_CALLS);
  lua_call(L, 4, 2);
  np_keep(L, vm, NP_R_METHOD);
  np_keep(L, vm, NP_R_AWAIT);
}

void np_async_open(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  lua_newtable(L);
  np_keep(L, vm, NP_R_SOURCES);
  np_weak_push(L, "k");
  np_keep(L, vm, NP_R_NAMES);
  open_calls(L);
  open_prelude(L);
  lua_pushcfunction(L, async_make);
  np_keep(L, vm, NP_R_ASYNC);
  lua_pushcfunction(L, nil_callee);
  np_keep(L, vm, NP_R_NIL);
  lua_pushcfunction(L, pass);
  np_keep(L, vm, NP_R_RETURN);
  np_push(L, vm, NP_R_AWAIT);
  lua_setglobal(L, "await");
  lua_pushcfunction(L, async_global);
  lua_setglobal(L, "async");
  np_push(L, vm, NP_R_ASYNCIO);
  lua_pushcfunction(L, is_coroutine);
  lua_setfield(L, -2, "iscoroutine");
  lua_pushcfunction(L, discard);
  lua_setfield(L, -2, "_discard");
  lua_pushcfunction(L, take);
  lua_setfield(L, -2, "_take");
  lua_pushcfunction(L, type_name);
  lua_setfield(L, -2, "_typename");
  lua_pop(L, 1);
}
