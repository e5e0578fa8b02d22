/*
 * lost.c - errors of futures that nobody has looked at.
 *
 * A failed future is in the weak table NP_R_LOST until somebody looks, and has
 * a sentinel that is collected with it, whose finalizer reports the error.
 */
#include "error.h"
#include "future.h"

void np_future_retrieved(lua_State *L, np_Future *f, int index) {
  if (f->flags & NP_F_RETRIEVED) return;
  f->flags |= NP_F_RETRIEVED;
  if (f->state != NP_FAILED) return;
  index = lua_absindex(L, index);
  np_push(L, f->vm, NP_R_LOST);
  lua_pushvalue(L, index);
  lua_pushnil(L);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* Reports the error of the future at `index` if it was never looked at. */
static void report_lost(lua_State *L, int index) {
  np_Future *f = lua_touserdata(L, index);
  int top = lua_gettop(L);
  const char *kind;
  if (f == NULL || f->flags & NP_F_RETRIEVED) return;
  np_future_retrieved(L, f, index);
  luaL_checkstack(L, 20, NULL);
  np_future_name_push(L, index);
  lua_getiuservalue(L, index, 1);
  kind = f->flags & NP_F_TASK ? "task" : "future";
  lua_pushfstring(L, "error in %s '%s' was never retrieved", kind,
                  lua_tostring(L, top + 1));
  np_report_error(L, lua_tostring(L, -1), top + 2, index);
  lua_settop(L, top);
}

static int report_this(lua_State *L) {
  report_lost(L, 1);
  return 0;
}

/* __gc of the sentinel of a failed future: an exception handler, and the
 * error's __tostring, are a script's. */
static int sentinel_gc(lua_State *L) {
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, 1);
  np_finalize(L, report_this);
  return 0;
}

void np_report_all_lost(lua_State *L) {
  int top = lua_gettop(L), i = 0, n;
  luaL_checkstack(L, 10, NULL);
  np_push(L, np_vm(L), NP_R_LOST);
  lua_pushnil(L);
  if (lua_next(L, top + 1) == 0) {
    lua_settop(L, top);
    return;
  }
  lua_settop(L, top + 1);
  lua_newtable(L); /* a copy, since reporting changes the table */
  lua_insert(L, top + 1);
  lua_pushnil(L);
  while (lua_next(L, top + 2) != 0) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, top + 1, ++i);
  }
  for (n = i, i = 1; i <= n; i++) {
    lua_rawgeti(L, top + 1, i);
    report_lost(L, lua_gettop(L));
    lua_settop(L, top + 1);
  }
  lua_settop(L, top);
}

void np_future_watch(lua_State *L, np_Future *f, int index) {
  if (f->flags & NP_F_RETRIEVED) return;
  index = lua_absindex(L, index);
  lua_newuserdatauv(L, 0, 1);
  lua_pushvalue(L, index);
  lua_setiuservalue(L, -2, 1);
  np_push_made(L, f->vm, NP_R_SENTINEL);
  lua_setmetatable(L, -2);
  np_extra_set(L, index, "sentinel");
  np_push(L, f->vm, NP_R_LOST);
  lua_pushvalue(L, index);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void np_lost_make_metatable(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, sentinel_gc);
  lua_setfield(L, -2, "__gc");
  np_keep(L, np_vm(L), NP_R_SENTINEL);
}

void np_lost_open(lua_State *L) {
  np_weak_push(L, "k");
  np_keep(L, np_vm(L), NP_R_LOST);
}
