/*
 * text.c - an error as people and hosts read it: its text, with the position,
 * the line of the script and the traceback across tasks.
 */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "future.h"
#include "limits.h"

/* == Where it was raised =============================================== */

/* How long the position is that Lua has put before a message, or 0. */
static size_t position_length(const char *message) {
  const char *at = message;
  if (strncmp(at, "[string \"", 9) == 0) {
    at = strstr(at, "\"]");
    if (at == NULL) return 0;
  }
  for (; (at = strchr(at, ':')) != NULL; at++) {
    size_t n = strspn(at + 1, "0123456789");
    if (n > 0 && at[n + 1] == ':') return (size_t)(at - message) + n + 1;
  }
  return 0;
}

/* Runs protected, with an Error at 1: one that wraps a message has its
 * position in that. */
static int get_where(lua_State *L) {
  if (lua_getfield(L, 1, "where") == LUA_TNIL &&
      lua_getfield(L, 1, "message") == LUA_TSTRING)
    lua_pushlstring(L, lua_tostring(L, -1),
                    position_length(lua_tostring(L, -1)));
  return 1;
}

void np_error_where(lua_State *L, int index) {
  index = lua_absindex(L, index);
  luaL_checkstack(L, 5, NULL);
  if (lua_type(L, index) == LUA_TSTRING) {
    const char *message = lua_tostring(L, index);
    lua_pushlstring(L, message, position_length(message));
  } else if (np_error_test(L, index)) {
    lua_pushcfunction(L, get_where);
    lua_pushvalue(L, index);
    (void)lua_pcall(L, 1, 1, 0);
  } else {
    lua_pushnil(L);
  }
  if (lua_type(L, -1) == LUA_TSTRING && lua_rawlen(L, -1) > 0) return;
  lua_pop(L, 1);
  lua_pushnil(L);
}

/* == What people read ================================================= */

static int call_tostring(lua_State *L) {
  if (!luaL_callmeta(L, 1, "__tostring")) lua_pushnil(L);
  return 1;
}

/*
 * Pushes the message of the error at `index` as the stand-alone Lua would;
 * returns 1 if the object made it itself.
 */
static int message_text(lua_State *L, int index) {
  int status;
  if (lua_isstring(L, index)) {
    luaL_tolstring(L, index, NULL);
    return 0;
  }
  lua_pushcfunction(L, call_tostring);
  lua_pushvalue(L, index);
  np_limits_enter(np_vm(L));
  status = lua_pcall(L, 1, 1, 0);
  np_limits_leave(np_vm(L));
  if (status == LUA_OK && lua_type(L, -1) == LUA_TSTRING) return 1;
  lua_pop(L, 1);
  lua_pushfstring(L, "(error object is a %s value)",
                  luaL_typename(L, index));
  return 0;
}

/* Adds the line that the error at `index` is about to the text on top. */
static void add_quote(lua_State *L, int index, const char *traceback) {
  np_error_where(L, index);
  np_quote(L, lua_tostring(L, -1), traceback);
  lua_remove(L, -2);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  lua_pushliteral(L, "\n    ");
  lua_insert(L, -2);
  lua_concat(L, 3);
}

/* What is shown of errors in errors: a script can make them go round. */
typedef struct Room {
  int depth; /* groups in groups to come */
  int left;  /* errors to come */
} Room;

static void group_text(lua_State *L, int index, Room *room);

/* Adds to the text on top what led to the error at `index`, from the last
 * cause to the first. That a timeout has cancelled is no news. */
static void add_causes(lua_State *L, int index, Room *room) {
  enum { MOST = 10 };
  int text = lua_gettop(L), cause = text + 1;
  luaL_checkstack(L, 10, NULL);
  lua_pushvalue(L, index);
  for (int i = 0; i < MOST && np_error_test(L, cause); i++) {
    lua_getfield(L, cause, "cause");
    lua_replace(L, cause);
    if (lua_isnil(L, cause) || np_error_is(L, cause, "CancelledError")) break;
    if (np_error_test(L, cause)) lua_getfield(L, cause, "traceback");
    else lua_pushnil(L);
    (void)message_text(L, cause);
    add_quote(L, cause, lua_tostring(L, cause + 1));
    group_text(L, cause, room);
    int traced = lua_isstring(L, cause + 1);
    lua_pushfstring(L, "%s\ncaused by %s%s%s", lua_tostring(L, text),
                    lua_tostring(L, cause + 2), traced ? "\n" : "",
                    traced ? lua_tostring(L, cause + 1) : "");
    lua_replace(L, text);
    lua_settop(L, cause);
  }
  lua_settop(L, text);
}

/* Adds the errors of a group and their tracebacks to the text on top. */
static void group_text(lua_State *L, int index, Room *room) {
  int i, text = lua_gettop(L), n;
  if (!np_error_is(L, index, "ExceptionGroup")) return;
  luaL_checkstack(L, 10, NULL);
  room->depth--;
  lua_getfield(L, index, "errors");
  lua_getfield(L, index, "traces");
  n = lua_istable(L, text + 1) ? (int)lua_rawlen(L, text + 1) : 0;
  for (i = 1; i <= n && room->depth >= 0 && room->left-- > 0; i++) {
    const char *trace;
    lua_rawgeti(L, text + 1, i);
    if (lua_istable(L, text + 2)) lua_rawgeti(L, text + 2, i);
    else lua_pushnil(L);
    trace = lua_tostring(L, text + 4);
    message_text(L, text + 3);
    add_quote(L, text + 3, trace);
    group_text(L, text + 3, room);
    lua_pushfstring(L, "%d: %s%s%s", i, lua_tostring(L, text + 5),
                    trace != NULL ? "\n" : "", trace != NULL ? trace : "");
    add_causes(L, text + 3, room);
    luaL_gsub(L, lua_tostring(L, -1), "\n", "\n  ");
    lua_pushfstring(L, "%s\n  %s", lua_tostring(L, text),
                    lua_tostring(L, -1));
    lua_replace(L, text);
    lua_settop(L, text + 2);
  }
  room->depth++;
  lua_settop(L, text);
  if (i > n) return;
  lua_pushfstring(L, "%s\n  ... (%d more)", lua_tostring(L, text), n - i + 1);
  lua_replace(L, text);
}

void np_trace_keep(lua_State *L, int index) {
  index = lua_absindex(L, index);
  if (lua_isstring(L, -2) && lua_isstring(L, -1)) lua_concat(L, 2);
  else lua_pop(L, 1);
  np_push(L, np_vm(L), NP_R_LAST);
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, 1);
  lua_insert(L, -2);
  lua_rawseti(L, -2, 2);
  lua_pop(L, 1);
}

/* If the error is the last one that the host was given: pushes its traceback
 * and returns 1. */
static int push_last(lua_State *L, int index) {
  np_push(L, np_vm(L), NP_R_LAST);
  lua_rawgeti(L, -1, 1);
  if (lua_rawequal(L, -1, index)) {
    lua_rawgeti(L, -2, 2);
    lua_replace(L, -3);
    lua_pop(L, 1);
    if (lua_isstring(L, -1)) return 1;
    lua_pop(L, 1);
    return 0;
  }
  lua_pop(L, 2);
  return 0;
}

/* Pushes the traceback that is kept for the error, or nil. */
static void push_trace(lua_State *L, int index, int task) {
  if (task != 0 && np_future_test(L, task) != NULL) {
    np_extra_get(L, task, "traceback");
    np_extra_get(L, task, "spawned");
    if (lua_isstring(L, -2) && lua_isstring(L, -1)) lua_concat(L, 2);
    else lua_pop(L, 1);
  } else if (!push_last(L, index)) {
    if (np_error_test(L, index)) lua_getfield(L, index, "traceback");
    else lua_pushnil(L);
  }
}

void np_error_text(lua_State *L, int index, int task, int quoted) {
  int top = lua_gettop(L);
  Room room = {.depth = 10, .left = 200};
  luaL_checkstack(L, 20, NULL);
  index = lua_absindex(L, index);
  if (task != 0 && np_future_test(L, task) != NULL) {
    np_extra_get(L, task, "text");
    if (lua_type(L, -1) == LUA_TSTRING) return;
    lua_pop(L, 1);
  }
  if (message_text(L, index) && !np_error_test(L, index)) return;
  push_trace(L, index, task);
  lua_insert(L, top + 1);
  if (quoted) add_quote(L, index, lua_tostring(L, top + 1));
  group_text(L, index, &room);
  if (lua_isstring(L, top + 1))
    lua_pushfstring(L, "%s\n%s", lua_tostring(L, top + 2),
                    lua_tostring(L, top + 1));
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  add_causes(L, index, &room);
}

void neap_error_text(lua_State *L, int index, int task) {
  np_error_text(L, index, task, 1);
}

/* == What hosts read =================================================== */

/* Sets a text of the machine's neap_Error to what is on top, which goes into
 * the table at 2 and so stays. */
static void set_text(lua_State *L, const char **text) {
  *text = NULL;
  if (lua_isstring(L, -1)) {
    *text = lua_tostring(L, -1);
    lua_rawseti(L, 2, (lua_Integer)lua_rawlen(L, 2) + 1);
  } else {
    lua_pop(L, 1);
  }
}

static void set_where(lua_State *L, neap_Error *e) {
  const char *where, *colon;
  np_error_where(L, 1);
  where = lua_tostring(L, -1);
  colon = where != NULL ? strrchr(where, ':') : NULL;
  if (colon != NULL) {
    e->line = atoi(colon + 1);
    lua_pushlstring(L, where, (size_t)(colon - where));
  } else {
    lua_pushnil(L);
  }
  set_text(L, &e->file);
  lua_pop(L, 1);
}

/* What an Error has beyond its text; `text` is that of any value. */
static void set_fields(lua_State *L, neap_Error *e) {
  e->message = e->text;
  if (np_error_test(L, 1)) {
    lua_getfield(L, 1, "name");
    set_text(L, &e->name);
    lua_getfield(L, 1, "code");
    set_text(L, &e->code);
    if (lua_getfield(L, 1, "message") == LUA_TSTRING)
      set_text(L, &e->message);
    else
      lua_pop(L, 1);
  }
  if (lua_type(L, 1) == LUA_TSTRING) {
    size_t n = position_length(e->text);
    if (n > 0) e->message = e->text + n + strspn(e->text + n, ": ");
  }
}

/* Runs protected, with the error at 1. */
static int fill_error(lua_State *L) {
  neap_Vm *vm = np_vm(L);
  neap_Error e;
  memset(&e, 0, sizeof e);
  lua_settop(L, 1);
  lua_newtable(L);
  message_text(L, 1);
  set_text(L, &e.text);
  set_fields(L, &e);
  set_where(L, &e);
  push_trace(L, 1, 0);
  set_text(L, &e.traceback);
  lua_settop(L, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &vm->error);
  vm->error = e;
  return 0;
}

const neap_Error *neap_error(lua_State *L, int index) {
  neap_Vm *vm = np_vm(L);
  static const neap_Error lack = {"not enough memory", "not enough memory",
                                  NULL, NULL, NULL, NULL, 0};
  index = lua_absindex(L, index);
  if (!lua_checkstack(L, 2)) return &lack;
  lua_pushcfunction(L, fill_error);
  lua_pushvalue(L, index);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return &vm->error;
  lua_pop(L, 1);
  return &lack;
}

void np_text_open(lua_State *L) {
  np_weak_push(L, "v");
  np_keep(L, np_vm(L), NP_R_LAST);
}
