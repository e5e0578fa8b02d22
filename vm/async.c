/*
 * async.c - async functions, and what `await` calls.
 *
 * An async function is a C closure (np_async_call) over its body. Called, it
 * makes a coroutine object (object.c). What the translator writes for
 * `await f(x)` is `__call[f](x)`: the table maps an async function to its
 * body, so that the await is a call from Lua to Lua; for any other callee it
 * has a function that calls and then awaits.
 *
 * The few functions that must be Lua, so that awaiting nests without nesting
 * C calls, are in the prelude below. It may touch tasks only by futures.
 */
#include <stdio.h>
#include <string.h>

#include "async.h"
#include "error.h"
#include "future.h"

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
  "local await, catch, other = ...\n"
  "return function(f) return function(...) return await((f(...))) end end,\n"
  "function(m, v) return await(other(v, (m(v)))) end, function(own, h)\n"
  "  return function(e)\n"
  "    local is, message = own(e, h)\n"
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

/* == Async functions ================================================== */

void np_async_name(lua_State *L, int index) {
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
    np_async_name(L, lua_gettop(L));
    lua_replace(L, -2);
    name = lua_tostring(L, -1);
    if (ar.name != NULL && strcmp(name, "?") == 0) name = ar.name;
  }
  lua_pushstring(L, name + (*name == '_')); /* what only a Lua half calls */
}

void neap_async(lua_State *L, const char *name) {
  uint32_t number = 0;
  if (name != NULL) {
    np_push(L, np_vm(L), NP_R_NAMES);
    lua_pushvalue(L, -2);
    lua_pushstring(L, name);
    lua_pushvalue(L, -1);
    number = np_number(L);
    lua_rawset(L, -3);
    lua_pop(L, 1);
  }
  lua_pushboolean(L, 0);
  lua_pushlightuserdata(L, (void *)(uintptr_t)number); /* fast to read */
  lua_pushcclosure(L, np_async_call, 3);
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

void np_async_strip(lua_State *L, int index) {
  if (lua_tocfunction(L, index) != np_async_call) return;
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
  if (lua_tocfunction(L, 1) == np_async_call) return 1;
  neap_async(L, NULL);
  return 1;
}

static void load_lua(lua_State *L, const char *text, size_t length) {
  if (luaL_loadbufferx(L, text, length, PRELUDE, "t") != LUA_OK) lua_error(L);
}

/* other(v, w): w, which the metamethod __await of v gave, and not v itself,
 * whose turn would come for ever */
static int other_value(lua_State *L) {
  if (lua_rawequal(L, 1, 2))
    return np_error(L, "metamethod 'await' returned its own object");
  return 1;
}

void np_rest_make(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  load_lua(L, rest, sizeof rest - 1);
  np_push(L, vm, NP_R_AWAIT);
  lua_pushcfunction(L, np_catch);
  lua_pushcfunction(L, other_value);
  lua_call(L, 3, 4);
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
  if (lua_iscfunction(L, -1) && lua_tocfunction(L, -1) != np_async_call)
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
  if (lua_tocfunction(L, 2) == np_async_call) {
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

/* Pushes the innermost local called `name`; 0 if there is none. */
static int push_local(lua_State *L, const lua_Debug *ar, const char *name) {
  const char *found;
  int i, at = 0;
  for (i = 1; (found = lua_getlocal(L, ar, i)) != NULL; i++) {
    if (strcmp(found, name) == 0) at = i;
    lua_pop(L, 1);
  }
  return at != 0 && lua_getlocal(L, ar, at) != NULL;
}

static int push_upvalue(lua_State *L, lua_Debug *ar, const char *name) {
  const char *found;
  int i;
  lua_getinfo(L, "f", ar);
  for (i = 1; (found = lua_getupvalue(L, -1, i)) != NULL; i++) {
    if (strcmp(found, name) == 0) return 1;
    lua_pop(L, 1);
  }
  return 0;
}

/* Pushes the variable `name` of who awaits; gives what Lua calls its kind. */
static const char *push_variable(lua_State *L, const char *name) {
  lua_Debug ar;
  if (lua_getstack(L, 1, &ar)) {
    if (push_local(L, &ar, name)) return "local";
    if (push_upvalue(L, &ar, name)) return "upvalue";
    if ((push_local(L, &ar, "_ENV") || push_upvalue(L, &ar, "_ENV")) &&
        lua_istable(L, -1)) {
      lua_pushstring(L, name);
      lua_rawget(L, -2);
      return "global";
    }
  }
  lua_pushnil(L);
  return "global";
}

/*
 * __nil "f", ".f" or ":f": the callee of that name is nil or false; "f." is
 * the field whose method is called
 */
static int nil_callee(lua_State *L) {
  size_t length;
  const char *name = luaL_checklstring(L, 1, &length);
  const char *kind;
  if (name[length - 1] == '.') {
    lua_pushlstring(L, name, length - 1);
    return np_error(L, "attempt to index a nil value (field '%s')",
                    lua_tostring(L, -1));
  }
  if (name[0] == ':' || name[0] == '.') {
    kind = name[0] == ':' ? "method" : "field";
    return np_error(L, "attempt to call a nil value (%s '%s')", kind, name + 1);
  }
  kind = push_variable(L, name);
  return np_error(L, "attempt to call a %s value (%s '%s')",
                  luaL_typename(L, -1), kind, name);
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
         f == other_value || f == np_co_misuse;
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

/* _typename(v): see neap_typename */
static int type_name(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushstring(L, neap_typename(L, 1));
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
  lua_pushcfunction(L, type_name);
  lua_setfield(L, -2, "_typename");
  lua_pop(L, 1);
}
