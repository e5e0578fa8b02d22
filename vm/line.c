/*
 * line.c - a line of tasks, of which the first is let go at a time.
 *
 * Queues wait with it. A line is a future that is never done: who waits is
 * linked to it, and let_go takes the first link out. So waiting makes no
 * object, and being cancelled is only stepping out of the line (cancel.c).
 */
#include "vm.h"

enum { STEPPED_OUT, LET_GO }; /* status of a task that goes on */

static np_Future *check(lua_State *L) {
  np_Future *line = lua_touserdata(L, 1);
  int is = 0;
  if (line != NULL && lua_getmetatable(L, 1)) {
    is = lua_topointer(L, -1) == np_vm(L)->line_meta;
    lua_pop(L, 1);
  }
  luaL_argexpected(L, is, 1, "line");
  return line;
}

void np_line_make_metatable(lua_State *L) {
  lua_createtable(L, 0, 2);
  lua_pushliteral(L, "line");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  np_vm(L)->line_meta = lua_topointer(L, -1);
  np_keep(L, np_vm(L), NP_R_LINE);
}

/* _line() -> line */
static int line_new(lua_State *L) {
  np_future_new(L, NP_R_LINE)->flags = NP_F_LINE;
  return 1;
}

static int wait_done(lua_State *L, int status, lua_KContext ctx) {
  neap_Task *t = np_vm(L)->current;
  (void)status;
  (void)ctx;
  t->awaiting = NULL;
  if (!(t->flags & NP_T_MUST_CANCEL)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  t->flags &= (uint16_t)~NP_T_MUST_CANCEL;
  lua_pushboolean(L, 0);
  np_cancel_push(L, t);
  lua_pushboolean(L, t->status == LET_GO);
  return 3;
}

/* _wait_in(line) -> true; or, when the task is cancelled: false, the error
 * and whether it was let go nevertheless */
static int line_wait(lua_State *L) {
  neap_Task *t = np_park_check(L);
  np_Future *line = check(L);
  lua_settop(L, 1);
  t->awaiting = line;
  t->status = STEPPED_OUT;
  if (t->flags & NP_T_MUST_CANCEL) np_ready(t->vm, &t->link.node);
  else np_link(line, &t->link);
  return np_park(L, 0, wait_done);
}

/* _let_go(line): the first goes on; nothing happens if there is none */
static int line_let_go(lua_State *L) {
  np_Future *line = check(L);
  np_Link *link = line->list.next;
  if (link == &line->list) return 0;
  ((neap_Task *)link)->status = LET_GO;
  np_unlink(link);
  np_ready(line->vm, &link->node);
  return 0;
}

/* _check_await(): raises unless a task can wait here */
static int check_await(lua_State *L) {
  (void)np_park_check(L);
  return 0;
}

void np_line_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"_line", line_new}, {"_wait_in", line_wait}, {"_let_go", line_let_go},
    {"_check_await", check_await}, {NULL, NULL}};
  np_push(L, np_vm(L), NP_R_ASYNCIO);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
