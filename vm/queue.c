/*
 * queue.c - what queues count, who waits in them, and the plain one's items.
 *
 * A core counts what was put, got and dealt with since the beginning, and has
 * a line for those who wait to put, to get and to join: a future that is never
 * done, of which the first link is let go at a time. So waiting makes no
 * object, and a cancellation is only a step out of the line (cancel.c). The
 * classes are Lua (stdlib/asyncio/queues.lua). Programs spend their time in put
 * and get of the plain queue: those are here as a whole, as closures of each
 * queue over its core and its items, so that nothing has to be looked up.
 */
#include <math.h>
#include <string.h>

#include "error.h"
#include "future.h"
#include "loop.h"
#include "task.h"

enum { GET, PUT, JOIN, LINES };

enum { STEPPED_OUT, LET_GO }; /* status of a task that goes on */

/* User value 1 is the list of items. The plain queue's is a ring: item number
 * n is in place n & mask, counted from 0. */
typedef struct Queue {
  np_Future line[LINES];
  uint64_t put, got, done; /* counted since the beginning */
  uint64_t limit;
  uint64_t room; /* the size from which a put has more to do */
  uint64_t mask; /* places less one */
  int shut;
} Queue;

enum { CORE = 1, ITEMS }; /* upvalues of put and get */

static Queue *core_of(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(CORE));
}

static Queue *check(lua_State *L) {
  Queue *q = lua_touserdata(L, 1);
  int is = 0;
  if (q != NULL && lua_getmetatable(L, 1)) {
    is = lua_topointer(L, -1) == np_vm(L)->queue_meta;
    lua_pop(L, 1);
  }
  luaL_argexpected(L, is, 1, "queue");
  return q;
}

static uint64_t size_of(const Queue *q) { return q->put - q->got; }

/* == Waiting ========================================================== */

/* Whether who waits in the line can go on. */
static int can_go(const Queue *q, int line) {
  if (line == JOIN) return q->put == q->done;
  return line == GET ? size_of(q) > 0 : !q->shut && size_of(q) < q->limit;
}

/* Lets the first in the line go on; 0 if there is none. */
static int let_go(Queue *q, int line) {
  np_Future *f = &q->line[line];
  np_Link *link = f->list.next;
  if (link == &f->list) return 0;
  ((neap_Task *)link)->status = LET_GO;
  np_unlink(link);
  np_ready(f->vm, &link->node);
  return 1;
}

static void let_all_go(Queue *q, int line) {
  while (let_go(q, line)) continue;
}

/* Parks the running task in the line, unless the queue is shut down. */
static int wait_in(lua_State *L, Queue *q, int line, lua_KFunction again) {
  neap_Task *t;
  if (q->shut && line != JOIN)
    return neap_raise(L, "QueueShutDown", NULL, "the queue was shut down");
  t = np_park_check(L);
  t->awaiting = &q->line[line];
  t->status = STEPPED_OUT;
  if (t->flags & NP_T_MUST_CANCEL) np_task_give_up(t);
  else np_link(t->awaiting, &t->link);
  return np_park(L, line, again);
}

/* After that: raises the task's cancellation if one is due. A wake-up that
 * came together with it is handed on. */
static void waited(lua_State *L, Queue *q, int line) {
  neap_Task *t = np_vm(L)->current;
  t->awaiting = NULL;
  if (!(t->flags & NP_T_MUST_CANCEL)) return;
  if (t->status == LET_GO && can_go(q, line)) (void)let_go(q, line);
  np_resumed(L, t);
}

static int wait_again(lua_State *L, int status, lua_KContext line) {
  Queue *q = lua_touserdata(L, 1);
  (void)status;
  waited(L, q, (int)line);
  if (line == JOIN) return 0; /* all was done, though more may have come */
  return can_go(q, (int)line) ? 0 : wait_in(L, q, (int)line, wait_again);
}

/* core:wait_to(line): until who waits in it can go on */
static int core_wait_to(lua_State *L) {
  static const char *const names[] = {"get", "put", "join", NULL};
  Queue *q = check(L);
  int line = luaL_checkoption(L, 2, NULL, names);
  return can_go(q, line) ? 0 : wait_in(L, q, line, wait_again);
}

/* == The plain queue ================================================== */

/* Gives the ring at `items` twice as many places. */
static void grow(lua_State *L, Queue *q, int items) {
  uint64_t places = q->mask + 1, n;
  for (n = places; n < 2 * places; n++) { /* this may run out of memory */
    lua_pushboolean(L, 0);
    lua_rawseti(L, items, (lua_Integer)n + 1);
  }
  for (n = q->got; n != q->put; n++) {
    if (!(n & places)) continue;
    lua_rawgeti(L, items, (lua_Integer)(n & q->mask) + 1);
    lua_rawseti(L, items, (lua_Integer)(n & (2 * places - 1)) + 1);
    lua_pushboolean(L, 0);
    lua_rawseti(L, items, (lua_Integer)(n & q->mask) + 1);
  }
  q->mask = 2 * places - 1;
  q->room = q->limit < 2 * places ? q->limit : 2 * places;
}

/* Puts the value on top, which is popped, into the ring at `items`. */
static void put_last(lua_State *L, Queue *q, int items) {
  if (size_of(q) > q->mask) grow(L, q, items);
  lua_rawseti(L, items, (lua_Integer)(q->put & q->mask) + 1);
  q->put++;
  (void)let_go(q, GET);
}

static int put_again(lua_State *L, int status, lua_KContext ctx) {
  Queue *q = core_of(L);
  (void)status;
  (void)ctx;
  waited(L, q, PUT);
  if (!can_go(q, PUT)) return wait_in(L, q, PUT, put_again);
  put_last(L, q, lua_upvalueindex(ITEMS));
  return 0;
}

static int bad_self(lua_State *L, const char *method) {
  lua_settop(L, 1);
  return np_error(L, "calling '%s' on bad self (a %s value): did you write "
                  "'.' for ':'?", method, luaL_typename(L, 1));
}

/* await queue:put(item) */
static int queue_put(lua_State *L) {
  Queue *q = core_of(L);
  if (!lua_istable(L, 1)) return bad_self(L, "put");
  lua_settop(L, 2);
  if (size_of(q) >= q->room && !can_go(q, PUT))
    return wait_in(L, q, PUT, put_again);
  put_last(L, q, lua_upvalueindex(ITEMS));
  return 0;
}

/* Pushes the first item of the ring at `items` and takes it out. */
static void get_first(lua_State *L, Queue *q, int items) {
  lua_Integer place = (lua_Integer)(q->got & q->mask) + 1;
  lua_rawgeti(L, items, place);
  lua_pushboolean(L, 0);
  lua_rawseti(L, items, place);
  q->got++;
  (void)let_go(q, PUT);
}

static int get_again(lua_State *L, int status, lua_KContext ctx) {
  Queue *q = core_of(L);
  (void)status;
  (void)ctx;
  waited(L, q, GET);
  if (!can_go(q, GET)) return wait_in(L, q, GET, get_again);
  get_first(L, q, lua_upvalueindex(ITEMS));
  return 1;
}

/* await queue:get() -> item */
static int queue_get(lua_State *L) {
  Queue *q = core_of(L);
  if (!lua_istable(L, 1)) return bad_self(L, "get");
  if (q->put == q->got) return wait_in(L, q, GET, get_again);
  get_first(L, q, lua_upvalueindex(ITEMS));
  return 1;
}

/* core:push(item) and core:pop() -> item: without waiting; the caller knows
 * that there is room, or an item */
static int core_push(lua_State *L) {
  Queue *q = check(L);
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, 1);
  lua_insert(L, 2);
  put_last(L, q, 2);
  return 0;
}

static int core_pop(lua_State *L) {
  Queue *q = check(L);
  if (size_of(q) == 0) return 0;
  lua_getiuservalue(L, 1, 1);
  get_first(L, q, lua_gettop(L));
  return 1;
}

/* == Counting ========================================================= */

/* core:size() -> items inside, items not dealt with */
static int core_size(lua_State *L) {
  Queue *q = check(L);
  lua_pushinteger(L, (lua_Integer)size_of(q));
  lua_pushinteger(L, (lua_Integer)(q->put - q->done));
  return 2;
}

/* core:full() -> whether there are as many items as there may be */
static int core_full(lua_State *L) {
  Queue *q = check(L);
  lua_pushboolean(L, size_of(q) >= q->limit);
  return 1;
}

/* core:waiting(line) -> how many tasks */
static int core_waiting(lua_State *L) {
  static const char *const names[] = {"get", "put", "join", NULL};
  Queue *q = check(L);
  np_Future *f = &q->line[luaL_checkoption(L, 2, NULL, names)];
  np_Link *link;
  lua_Integer n = 0;
  for (link = f->list.next; link != &f->list; link = link->next) n++;
  lua_pushinteger(L, n);
  return 1;
}

/* core:added(), core:taken(): an item was put or got that is kept elsewhere */
static int core_added(lua_State *L) {
  Queue *q = check(L);
  q->put++;
  (void)let_go(q, GET);
  return 0;
}

static int core_taken(lua_State *L) {
  Queue *q = check(L);
  if (size_of(q) == 0) return 0; /* a script has called it */
  q->got++;
  (void)let_go(q, PUT);
  return 0;
}

/* core:task_done() -> false if all items were dealt with already */
static int core_task_done(lua_State *L) {
  Queue *q = check(L);
  int some = q->put != q->done;
  if (some && ++q->done == q->put) let_all_go(q, JOIN);
  lua_pushboolean(L, some);
  return 1;
}

/* Throws the items away and counts them as dealt with. */
static void clear(lua_State *L, Queue *q) {
  uint64_t n = size_of(q), open = q->put - q->done, place;
  lua_getiuservalue(L, 1, 1);
  for (place = 0; place <= q->mask; place++) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, (lua_Integer)place + 1);
  }
  q->got = q->put;
  q->done += n < open ? n : open;
  if (q->put == q->done) let_all_go(q, JOIN);
}

/* core:shutdown(immediate) */
static int core_shutdown(lua_State *L) {
  Queue *q = check(L);
  if (lua_toboolean(L, 2)) clear(L, q);
  q->shut = 1;
  q->room = 0;
  let_all_go(q, GET);
  let_all_go(q, PUT);
  return 0;
}

/* == Making =========================================================== */

void np_queue_make_metatable(lua_State *L) {
  static const luaL_Reg methods[] = {
    {"wait_to", core_wait_to}, {"push", core_push}, {"pop", core_pop},
    {"size", core_size}, {"full", core_full}, {"waiting", core_waiting},
    {"added", core_added}, {"taken", core_taken},
    {"task_done", core_task_done}, {"shutdown", core_shutdown}, {NULL, NULL}};
  lua_createtable(L, 0, 2);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, "queue");
  lua_setfield(L, -2, "__name");
  np_vm(L)->queue_meta = lua_topointer(L, -1);
  np_keep(L, np_vm(L), NP_R_QUEUE);
}

static Queue *new_core(lua_State *L, lua_Number limit) {
  neap_Vm *vm = np_vm(L);
  Queue *q = lua_newuserdatauv(L, sizeof *q, 1);
  int i;
  memset(q, 0, sizeof *q);
  for (i = 0; i < LINES; i++) {
    q->line[i].list.next = q->line[i].list.prev = &q->line[i].list;
    q->line[i].vm = vm;
    q->line[i].flags = NP_F_LINE;
  }
  q->limit = limit < 1e18 ? (uint64_t)ceil(limit) : UINT64_MAX;
  np_push_made(L, vm, NP_R_QUEUE);
  lua_setmetatable(L, -2);
  return q;
}

/* Pushes a list of `places` places. */
static void push_ring(lua_State *L, int places) {
  int i;
  lua_createtable(L, places, 0);
  for (i = 1; i <= places; i++) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, i);
  }
}

static void push_closure(lua_State *L, lua_CFunction body, const char *name) {
  lua_pushvalue(L, 2); /* the core */
  lua_pushvalue(L, 3); /* its items */
  lua_pushcclosure(L, body, 2);
  neap_async(L, name);
}

/* _queue(limit) -> core, put, get: of a plain queue, if they are used */
static int queue_new(lua_State *L) {
  lua_Number limit = luaL_checknumber(L, 1);
  Queue *q;
  int places = 4;
  lua_settop(L, 1);
  q = new_core(L, limit);
  while (places < 16 && (lua_Number)places < limit) places *= 2;
  push_ring(L, places);
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, 2, 1);
  q->mask = (uint64_t)places - 1;
  q->room = q->limit < (uint64_t)places ? q->limit : (uint64_t)places;
  lua_pushvalue(L, 2);
  push_closure(L, queue_put, "Queue:put");
  push_closure(L, queue_get, "Queue:get");
  return 3;
}

void np_queue_open(lua_State *L) {
  np_push(L, np_vm(L), NP_R_ASYNCIO);
  lua_pushcfunction(L, queue_new);
  lua_setfield(L, -2, "_queue");
  lua_pop(L, 1);
}
