/*
 * tokens.c - tokens that are given back, cancelled, collected and left
 * behind in every order, from the machine's thread and from others.
 */
#include <pthread.h>

#include "machine.h"

static struct {
  neap_Token *token;
  int cancelled, give_back; /* what `on_cancelled` has done, is to do */
} last;

static void on_cancelled(void *data) {
  ++*(int *)data;
  if (last.give_back) expect(neap_token_reject(last.token, 0, "late") == 0);
}

/* take(): an async function that waits for a token */
static int take(lua_State *L) {
  last.token = neap_token_new(L, on_cancelled, &last.cancelled);
  lua_pushliteral(L, "something above it");
  return neap_token_await(L, last.token);
}

/* drop(): one that fails after it has taken the token */
static int drop(lua_State *L) {
  last.token = neap_token_new(L, on_cancelled, &last.cancelled);
  return luaL_error(L, "no");
}

/* at_once(): one whose token is given back before it waits */
static int at_once(lua_State *L) {
  neap_Token *token = neap_token_new(L, NULL, NULL);
  neap_Value values[6];
  values[0] = neap_nil();
  values[1] = neap_boolean(1);
  values[2] = neap_integer(-5);
  values[3] = neap_number(0.5);
  values[4] = neap_lstring("a\0b", 3);
  values[5] = neap_pointer(&last);
  expect(neap_token_resolve(token, values, 6) == 1);
  return neap_token_await(L, token);
}

static const neap_Async functions[] = {
    {"take", take}, {"drop", drop}, {"at_once", at_once}, {NULL, NULL}};

static void open_tokens(Machine *m) {
  memset(&last, 0, sizeof last);
  machine_open(m, NULL);
  lua_pushglobaltable(m->L);
  neap_setasync(m->L, functions);
  lua_settop(m->L, 0);
}

/* Drives until a task of the text waits for its token. */
static void start_taking(Machine *m, const char *text) {
  machine_start(m, text);
  while (last.token == NULL) (void)neap_poll(m->vm, -1);
}

/* == Values and errors ================================================= */

static void test_values(void) {
  Machine m;
  open_tokens(&m);
  expect(machine_run(&m, "return await at_once()") == LUA_OK);
  expect(lua_gettop(m.L) == 6 && lua_isnil(m.L, 1) && lua_toboolean(m.L, 2));
  expect(lua_isinteger(m.L, 3) && lua_tointeger(m.L, 3) == -5);
  expect(lua_tonumber(m.L, 4) == 0.5 && lua_rawlen(m.L, 5) == 3);
  expect(memcmp(lua_tostring(m.L, 5), "a\0b", 4) == 0);
  expect(lua_touserdata(m.L, 6) == &last);
  machine_close(&m);
}

static void test_errors(void) {
  Machine m;
  int n;
  open_tokens(&m);
  start_taking(&m, "await take()");
  expect(neap_token_reject(last.token, UV_ECONNREFUSED, "db") == 1);
  expect(neap_wait(m.L, 1, &n) == LUA_ERRRUN);
  expect(strcmp(machine_text(&m), "test:1: db: connection refused") == 0);
  lua_settop(m.L, 0);
  last.token = NULL;
  start_taking(&m, "local ok, e = pcall(await, take())\n"
                   "return asyncio.iserror(e, asyncio.Error), e.message");
  expect(neap_token_reject(last.token, 0, "100% wrong") == 1);
  expect(neap_wait(m.L, 1, &n) == LUA_OK && lua_toboolean(m.L, -2));
  expect(strcmp(lua_tostring(m.L, -1), "100% wrong") == 0);
  lua_settop(m.L, 0);
  expect(neap_load(m.L, "await take()", 12, "=x", "t") == LUA_OK);
  expect(lua_pcall(m.L, 0, 0, 0) == LUA_ERRRUN); /* outside of a task */
  expect(last.cancelled == 0);
  machine_close(&m);
}

/* == Orders ============================================================ */

/*
 * c(ancel), r(esolve), t(urns), f(ree the machine), b: `cancelled` gives the
 * token back, d: the function fails before it waits.
 */
static void order(const char *steps) {
  Machine m;
  int given = 0, had = failures, closed = 0, told = 0, early = 0;
  const char *step;
  neap_Value value = neap_string("given");
  open_tokens(&m);
  last.give_back = strchr(steps, 'b') != NULL;
  start_taking(&m, strchr(steps, 'd') ? "pcall(await, drop())\n"
                                        "collectgarbage()\n"
                                        "collectgarbage()"
                                      : "await take()");
  if (strchr(steps, 'd')) neap_run(m.vm);
  for (step = steps; *step != '\0'; step++) {
    switch (*step) {
    case 'c': (void)neap_cancel(m.L, 1, NULL); break;
    case 'r':
      early = last.cancelled == 0;
      given = neap_token_resolve(last.token, &value, 1);
      break;
    case 't': neap_run(m.vm); break;
    case 'f': machine_close(&m); closed = 1; break;
    default: break;
    }
  }
  told = last.cancelled;
  if (!closed) machine_close(&m);
  expect(last.cancelled <= 1);
  if (strchr(steps, 'r') != NULL) expect(given == early);
  if (given) expect(last.cancelled == 0);
  else expect(told == 1 || last.cancelled == 1);
  if (strpbrk(steps, "rb") == NULL) /* or it would never be freed */
    expect(neap_token_resolve(last.token, NULL, 0) == 0);
  if (failures > had) printf("  in the order %s\n", steps);
}

static void test_orders(void) {
  static const char *const orders[] = {
      "r",  "rt", "rf",  "rc",  "rct", "c",    "cr",  "ctr", "ct",  "cf",
      "cfr", "f", "fr",  "ctf", "ctfr", "rtcf", "bc",  "bct", "bf",  "bctf",
      "d",  "dr", "dfr", "df",  "dcr", "bd",   "dbf"};
  size_t i;
  for (i = 0; i < sizeof orders / sizeof *orders; i++) order(orders[i]);
}

/* Caught, and awaited again: it does not wait for ever. */
static int take_twice(lua_State *L) {
  last.token = neap_token_new(L, on_cancelled, &last.cancelled);
  lua_pushlightuserdata(L, last.token);
  return neap_token_await(L, last.token);
}

static void test_cancelled_state(void) {
  Machine m;
  int n;
  open_tokens(&m);
  lua_pushcfunction(m.L, take_twice);
  neap_async(m.L, "take_twice");
  lua_setglobal(m.L, "take_twice");
  start_taking(&m, "await take_twice()");
  expect(neap_token_cancelled(last.token) == 0);
  (void)neap_cancel(m.L, 1, NULL);
  expect(neap_token_cancelled(last.token) == 1 && last.cancelled == 1);
  expect(neap_wait(m.L, 1, &n) == NEAP_ECANCELED);
  expect(neap_token_resolve(last.token, NULL, 0) == 0);
  machine_close(&m);
}

/* == From other threads ================================================ */

/* A pool of one thread, which gives tokens back as they come. */
typedef struct Giver {
  pthread_t thread;
  uv_mutex_t mutex;
  uv_cond_t more;
  neap_Token *queue[1024];
  int count, stopping, given, late, cancelled;
} Giver;

static void *give(void *ud) {
  Giver *g = ud;
  uv_mutex_lock(&g->mutex);
  for (;;) {
    neap_Token *token;
    neap_Value value;
    while (g->count == 0 && !g->stopping) uv_cond_wait(&g->more, &g->mutex);
    if (g->count == 0) break;
    token = g->queue[--g->count];
    uv_mutex_unlock(&g->mutex);
    value = neap_integer(1);
    if (neap_token_resolve(token, &value, 1)) g->given++;
    else g->late++;
    uv_mutex_lock(&g->mutex);
  }
  uv_mutex_unlock(&g->mutex);
  return NULL;
}

static void count_cancelled(void *data) { ++((Giver *)data)->cancelled; }

/* ask(): waits until the thread has given its token back */
static int ask(lua_State *L) {
  Giver *g = lua_touserdata(L, lua_upvalueindex(1));
  neap_Token *token = neap_token_new(L, count_cancelled, g);
  uv_mutex_lock(&g->mutex);
  if (g->count == 1024) abort();
  g->queue[g->count++] = token;
  uv_cond_signal(&g->more);
  uv_mutex_unlock(&g->mutex);
  return neap_token_await(L, token);
}

static void giver_start(Giver *g, Machine *m) {
  memset(g, 0, sizeof *g);
  if (uv_mutex_init(&g->mutex) < 0 || uv_cond_init(&g->more) < 0) abort();
  machine_open(m, NULL);
  lua_pushlightuserdata(m->L, g);
  lua_pushcclosure(m->L, ask, 1);
  neap_async(m->L, "ask");
  lua_setglobal(m->L, "ask");
  if (pthread_create(&g->thread, NULL, give, g) != 0) abort();
}

static void giver_stop(Giver *g) {
  uv_mutex_lock(&g->mutex);
  g->stopping = 1;
  uv_cond_signal(&g->more);
  uv_mutex_unlock(&g->mutex);
  pthread_join(g->thread, NULL);
  uv_cond_destroy(&g->more);
  uv_mutex_destroy(&g->mutex);
}

static void test_thread(void) {
  Machine m;
  Giver g;
  giver_start(&g, &m);
  expect(machine_run(&m, "local sum = 0\n"
                         "local async function one()\n"
                         "  for i = 1, 50 do\n"
                         "    local n = await ask() sum = sum + n end\n"
                         "end\n"
                         "local list = {}\n"
                         "for i = 1, 100 do list[i] = one() end\n"
                         "await asyncio.gather(list)\n"
                         "return sum") == LUA_OK);
  expect(lua_tointeger(m.L, -1) == 5000);
  machine_close(&m);
  giver_stop(&g);
  expect(g.given == 5000 && g.late == 0 && g.cancelled == 0);
}

/* Cancelled while the thread gives them back; the machine is freed. */
static void test_thread_cancel(void) {
  Machine m;
  Giver g;
  giver_start(&g, &m);
  expect(machine_run(&m, "for round = 1, 100 do\n"
                         "  local list = {}\n"
                         "  for i = 1, 8 do\n"
                         "    list[i] = asyncio.create_task(ask()) end\n"
                         "  await asyncio.sleep(0)\n"
                         "  for i = 1, 8 do list[i]:cancel() end\n"
                         "end\n"
                         "for i = 1, 20 do asyncio.create_task(ask()) end\n"
                         "await asyncio.sleep(0)") == LUA_OK);
  machine_close(&m);
  giver_stop(&g);
  expect(g.given + g.late == 820 && g.late == g.cancelled);
}

/* == Methods ========================================================== */

/* account:balance() -> 7, a method of a userdata of the host's */
static int balance(lua_State *L) {
  int *account = luaL_checkudata(L, 1, "Account");
  neap_Value value = neap_integer(*account);
  neap_Token *token = neap_token_new(L, NULL, NULL);
  (void)neap_token_resolve(token, &value, 1);
  return neap_token_await(L, token);
}

static void test_methods(void) {
  static const neap_Async methods[] = {{"balance", balance}, {NULL, NULL}};
  Machine m;
  int *account;
  open_tokens(&m);
  account = lua_newuserdatauv(m.L, sizeof *account, 0);
  *account = 7;
  luaL_newmetatable(m.L, "Account");
  lua_newtable(m.L);
  neap_setasync(m.L, methods);
  lua_setfield(m.L, -2, "__index");
  lua_setmetatable(m.L, -2);
  lua_setglobal(m.L, "account");
  expect(machine_run(&m, "local task = asyncio.create_task(account:balance())\n"
                         "return await account:balance() + await task") ==
         LUA_OK);
  expect(lua_tointeger(m.L, -1) == 14);
  expect(machine_run(&m, "await account.balance(5)") == LUA_ERRRUN);
  expect(strstr(machine_text(&m), "Account expected") != NULL);
  machine_close(&m);
}

int main(void) {
  test_values();
  test_errors();
  test_orders();
  test_cancelled_state();
  test_methods();
  test_thread();
  test_thread_cancel();
  if (failures == 0) printf("tokens: ok\n");
  return failures != 0;
}
