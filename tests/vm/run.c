/*
 * run.c - scripts that a host runs and calls, and what it learns of them.
 */
#include <unistd.h>

#include "host.h"

/* Pushes the global function and calls it with the number 20. */
static int call(Host *host, const char *name, int *n) {
  lua_settop(host->L, 0);
  lua_getglobal(host->L, name);
  lua_pushinteger(host->L, 20);
  return neap_call(host->L, 1, n);
}

static int same(const char *a, const char *b) {
  return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* == Calls ============================================================ */

static void test_call(void) {
  Host host;
  int n;
  host_open(&host, NULL);
  expect(neap_dostring(host.vm,
    "local order = {}\n"
    "async function twice(x) return 2 * x, 'two' end\n"
    "function plain(x) return x + 1 end\n"
    "async function slow(x) return await asyncio.sleep(0.001, x) end\n"
    "function nothing() end\n"
    "async function fails() error('bad', 0) end\n"
    "async function gone() asyncio.current_task():cancel() \n"
    "  await asyncio.sleep(0) end\n"
    "async function seen() local t = asyncio.current_task()\n"
    "  return t:get_name(), asyncio.run(twice(1)) end\n"
    "async function many() return table.unpack({}, 1, 3000) end\n"
    "async function cleans() local _ <close> = asyncio.defer(function()\n"
    "  await asyncio.sleep(0) cleaned = true end) error('late', 0) end",
    "=script") == LUA_OK);
  expect(lua_gettop(host.L) == 0);
  expect(call(&host, "twice", &n) == LUA_OK && n == 2);
  expect(lua_gettop(host.L) == 2 && lua_tointeger(host.L, 1) == 40);
  expect(call(&host, "plain", &n) == LUA_OK && n == 1);
  expect(lua_gettop(host.L) == 1 && lua_tointeger(host.L, 1) == 21);
  expect(call(&host, "slow", &n) == LUA_OK && n == 1);
  expect(lua_gettop(host.L) == 1 && lua_tointeger(host.L, 1) == 20);
  expect(call(&host, "nothing", &n) == LUA_OK && n == 0);
  expect(lua_gettop(host.L) == 0);
  expect(call(&host, "fails", &n) == LUA_ERRRUN && n == 0);
  expect(lua_gettop(host.L) == 1 && same(lua_tostring(host.L, 1), "bad"));
  expect(call(&host, "gone", &n) == NEAP_ECANCELED && n == 0);
  expect(lua_gettop(host.L) == 1 && lua_istable(host.L, 1));
  expect(call(&host, "seen", &n) == LUA_OK && n == 3);
  expect(call(&host, "many", &n) == LUA_OK && n == 3000);
  expect(call(&host, "cleans", &n) == LUA_ERRRUN);
  lua_getglobal(host.L, "cleaned");
  expect(lua_toboolean(host.L, -1));
  expect(call(&host, "none", &n) == LUA_ERRRUN);
  expect(strstr(text_at(&host, 1), "attempt to call a nil value") != NULL);
  expect(neap_failed(host.vm) == 0);
  host_close(&host);
}

/* What is below the arguments stays, and other tasks run only if it waits. */
static void test_call_order(void) {
  Host host;
  int n;
  host_open(&host, NULL);
  start(host.L, "log = 'a' await asyncio.sleep(0) log = log .. 'c'");
  lua_pushliteral(host.L, "mine");
  expect(neap_load(host.L, "log = (log or '') .. 'b'", 24, "=b", "t") ==
         LUA_OK);
  expect(neap_call(host.L, 0, &n) == LUA_OK && lua_gettop(host.L) == 2);
  expect(same(lua_tostring(host.L, 2), "mine"));
  lua_getglobal(host.L, "log");
  expect(same(lua_tostring(host.L, -1), "b"));
  expect(neap_wait(host.L, 1, &n) == LUA_OK);
  lua_getglobal(host.L, "log");
  expect(same(lua_tostring(host.L, -1), "ac"));
  host_close(&host);
}

/* A C function of a script's that would call back in this way. */
static int call_inside(lua_State *L) {
  int n;
  lua_pushvalue(L, 1);
  return neap_call(L, 0, &n) == LUA_OK ? n : lua_error(L);
}

static void test_call_inside(void) {
  Host host;
  host_open(&host, NULL);
  lua_register(host.L, "call_inside", call_inside);
  expect(run(&host, "call_inside(print)") == LUA_ERRRUN);
  expect(strstr(text_at(&host, -1), "inside of a task") != NULL);
  expect(run(&host, "asyncio._call_soon(function()\n"
                    "  ok, why = pcall(call_inside, print) end)\n"
                    "await asyncio.sleep(0) await asyncio.sleep(0)\n"
                    "return ok, why") == LUA_OK);
  expect(!lua_toboolean(host.L, 1));
  expect(strstr(text_at(&host, 2), "inside of a task or callback") != NULL);
  host_close(&host);
}

/* Lua code that no task runs may call C that does, in a coroutine too. */
static void test_call_in_coroutine(void) {
  static const char text[] =
      "local function f() return call_inside(function()\n"
      "  await asyncio.sleep(0) return 5 end) end\n"
      "local g = coroutine.wrap(function()\n"
      "  coroutine.yield(f()) return 2 * f() end)\n"
      "return g() + g() + f()";
  Host host;
  host_open(&host, NULL);
  lua_register(host.L, "call_inside", call_inside);
  expect(neap_load(host.L, text, sizeof text - 1, "=x", "t") == LUA_OK);
  expect(lua_pcall(host.L, 0, 1, 0) == LUA_OK);
  expect(lua_tointeger(host.L, -1) == 20);
  host_close(&host);
}

/* An interrupt reaches what was called, and os.exit ends it. */
static int interrupt_me(lua_State *L) {
  neap_interrupt(neap_vm(L));
  return 0;
}

static void test_call_ends(void) {
  Host host;
  int n, code = 0;
  host_open(&host, NULL);
  lua_register(host.L, "interrupt_me", interrupt_me);
  expect(neap_dostring(host.vm, "interrupt_me() await asyncio.sleep(1000)",
                       "=x") == NEAP_ECANCELED);
  expect(strstr(neap_error(host.L, -1)->text, "interrupted!") != NULL);
  expect(neap_dostring(host.vm, "await asyncio.sleep(0) interrupt_me()\n"
                       "await asyncio.sleep(1000)", "=x") == NEAP_ECANCELED);
  lua_settop(host.L, 0);
  expect(neap_load(host.L, "os.exit(7, true)", 16, "=x", "t") == LUA_OK);
  expect(neap_call(host.L, 0, &n) == NEAP_ECANCELED);
  expect(neap_exiting(host.vm, &code) == 1 && code == 7);
  host_close(&host);
}

/* == Tasks ============================================================ */

typedef struct End {
  int calls, status, n, top;
  char text[64];
} End;

static void on_end(lua_State *L, int status, int nresults, void *data) {
  End *end = data;
  end->calls++;
  end->status = status;
  end->n = nresults;
  end->top = lua_gettop(L);
  if (end->top > 0)
    snprintf(end->text, sizeof end->text, "%s", neap_error(L, 1)->message);
}

static void test_begin(void) {
  Host host;
  End end = {0, 0, 0, 0, ""};
  int n;
  host_open(&host, NULL);
  expect(neap_dostring(host.vm,
    "async function work(x) if x then await asyncio.sleep(0) end\n"
    "return 'a', 'b' end", "=x") == LUA_OK);
  lua_getglobal(host.L, "work");
  expect(neap_begin(host.L, 0, "w", &n) == LUA_OK && n == 2);
  lua_settop(host.L, 0);
  lua_getglobal(host.L, "work");
  lua_pushboolean(host.L, 1);
  expect(neap_begin(host.L, 1, "worker", &n) == NEAP_EPENDING);
  expect(lua_gettop(host.L) == 1);
  expect(same(neap_task_name(host.L, 1), "worker"));
  lua_settop(host.L, 1);
  expect(neap_task_state(host.L, 1) == NEAP_EPENDING);
  expect(neap_task_result(host.L, 1, &n) == NEAP_EPENDING);
  expect(lua_gettop(host.L) == 1);
  neap_task_done(host.L, 1, on_end, &end);
  neap_interrupt(host.vm); /* is for nobody: this one is no main task */
  neap_run(host.vm);
  turn(&host);
  expect(end.calls == 1 && end.status == LUA_OK && end.n == 2);
  expect(end.top == 2 && same(end.text, "a"));
  expect(neap_task_state(host.L, 1) == LUA_OK);
  expect(neap_task_result(host.L, 1, &n) == LUA_OK && n == 2);
  expect(lua_gettop(host.L) == 3 && same(lua_tostring(host.L, 3), "b"));
  host_close(&host);
}

/* One that comes when a call has ended is not for the next. */
static void test_late_interrupt(void) {
  Host host;
  host_open(&host, NULL);
  expect(neap_dostring(host.vm, "return 1", "=x") == LUA_OK);
  neap_interrupt(host.vm);
  expect(neap_dostring(host.vm, "await asyncio.sleep(0)", "=x") == LUA_OK);
  neap_interrupt(host.vm);
  expect(neap_dostring(host.vm, "return 1", "=x") == LUA_OK);
  host_close(&host);
}

/* Of one that fails, one that is cancelled, one done already, and one that
 * the end of the machine ends. */
static void test_done(void) {
  Host host;
  End fails = {0, 0, 0, 0, ""}, left = fails, late = fails, freed = fails;
  int n;
  host_open(&host, NULL);
  start(host.L, "await asyncio.sleep(0) error 'no bread'");
  neap_task_done(host.L, -1, on_end, &fails);
  start(host.L, "await asyncio.sleep(1000)");
  neap_task_done(host.L, -1, on_end, &left);
  expect(neap_cancel(host.L, -1, "enough") == 1);
  expect(neap_wait(host.L, 1, &n) == LUA_ERRRUN);
  lua_settop(host.L, 2);
  turn(&host);
  expect(fails.calls == 1 && fails.status == LUA_ERRRUN && fails.n == 0);
  expect(fails.top == 1 && same(fails.text, "no bread"));
  expect(left.calls == 1 && left.status == NEAP_ECANCELED);
  expect(same(left.text, "enough"));
  expect(neap_task_state(host.L, 1) == LUA_ERRRUN);
  expect(neap_task_state(host.L, 2) == NEAP_ECANCELED);
  neap_task_done(host.L, 2, on_end, &late);
  expect(late.calls == 0);
  turn(&host);
  expect(late.calls == 1 && late.status == NEAP_ECANCELED);
  start(host.L, "await asyncio.sleep(1000)");
  neap_task_done(host.L, -1, on_end, &freed);
  expect(host.errors == 0);
  host_close(&host);
  expect(freed.calls == 1 && freed.status == NEAP_ECANCELED);
}

static void raise_at_end(lua_State *L, int status, int n, void *data) {
  (void)status;
  (void)n;
  ++*(int *)data;
  luaL_error(L, "from done");
}

static void test_done_raises(void) {
  Host host;
  int calls = 0, n;
  host_open(&host, NULL);
  start(host.L, "return");
  neap_task_done(host.L, 1, raise_at_end, &calls);
  expect(neap_wait(host.L, 1, &n) == LUA_OK);
  turn(&host);
  expect(calls == 1 && host.errors == 1);
  expect(strstr(host.text, "from done") != NULL);
  host_close(&host);
}

/* == Errors =========================================================== */

static const neap_Error *raised(Host *host, const char *text) {
  expect(neap_dostring(host->vm, text, "=script") == LUA_ERRRUN);
  expect(lua_gettop(host->L) == 1);
  return neap_error(host->L, -1);
}

static void test_errors(void) {
  Host host;
  const neap_Error *e;
  host_open(&host, NULL);
  e = raised(&host, "\nerror 'no bread'");
  expect(same(e->text, "script:2: no bread") && same(e->message, "no bread"));
  expect(same(e->file, "script") && e->line == 2 && e->name == NULL);
  expect(e->traceback != NULL && strstr(e->traceback, "script:2: in main"));
  e = raised(&host, "local async function f() error 'deep' end\n"
                    "await asyncio.create_task(f())");
  expect(strstr(e->traceback, "script:1: in async function 'f'") != NULL);
  expect(strstr(e->traceback, "awaited at script:2") != NULL);
  expect(strstr(e->traceback, "spawned at script:2") != NULL);
  e = raised(&host, "await asyncio.sleep(0)\nerror(asyncio.OSError.new("
                    "'cannot', {code = 'EPERM'}))");
  expect(same(e->name, "OSError") && same(e->code, "EPERM"));
  expect(same(e->message, "cannot") && same(e->text, "script:2: cannot"));
  expect(same(e->file, "script") && e->line == 2);
  e = raised(&host, "error({})");
  expect(same(e->text, "(error object is a table value)"));
  expect(e->file == NULL && e->line == 0 && e->code == NULL);
  e = raised(&host, "error(setmetatable({}, {__tostring = function()\n"
                    "  return 'mine' end}))");
  expect(same(e->text, "mine") && same(e->message, "mine"));
  expect(neap_dostring(host.vm, "x = = 1", "=script") == LUA_ERRSYNTAX);
  e = neap_error(host.L, -1);
  expect(same(e->file, "script") && e->line == 1);
  expect(same(e->message, "unexpected symbol near '='"));
  lua_gc(host.L, LUA_GCCOLLECT);
  expect(same(e->message, "unexpected symbol near '='")); /* still lent */
  lua_pushnil(host.L);
  expect(same(neap_error(host.L, -1)->text, "(error object is a nil value)"));
  host_close(&host);
}

/* == Files and readers ================================================ */

static void test_files(void) {
  char path[] = "/tmp/neap-run.XXXXXX";
  static const char text[] = "#!/usr/bin/env neap\n"
                             "return await asyncio.sleep(0, 'file')\n";
  int fd = mkstemp(path);
  Host host;
  if (fd < 0 || write(fd, text, sizeof text - 1) < 0) abort();
  (void)close(fd);
  host_open(&host, NULL);
  expect(neap_dofile(host.vm, path) == LUA_OK && lua_gettop(host.L) == 1);
  expect(same(lua_tostring(host.L, 1), "file"));
  (void)unlink(path);
  expect(neap_dofile(host.vm, path) == LUA_ERRFILE);
  expect(strstr(neap_error(host.L, -1)->text, path) != NULL);
  host_close(&host);
}

typedef struct Pieces {
  const char *text;
  size_t size; /* of a piece */
} Pieces;

static const char *read_piece(lua_State *L, void *data, size_t *size) {
  Pieces *p = data;
  const char *at = p->text;
  *size = strlen(at) < p->size ? strlen(at) : p->size;
  if (*at == '!') luaL_error(L, "cannot read");
  p->text += *size;
  return *size > 0 ? at : NULL;
}

static void test_reader(void) {
  Host host;
  int n;
  size_t size;
  host_open(&host, NULL);
  for (size = 1; size < 40; size += 3) {
    Pieces p = {"return await asyncio.sleep(0, 'x')", size};
    lua_settop(host.L, 0);
    expect(neap_loadreader(host.L, read_piece, &p, "=r", "t") == LUA_OK);
    expect(neap_call(host.L, 0, &n) == LUA_OK && n == 1);
    expect(same(lua_tostring(host.L, 1), "x"));
  }
  {
    Pieces p = {"return!", 6};
    lua_settop(host.L, 0);
    expect(neap_loadreader(host.L, read_piece, &p, "=r", "t") == LUA_ERRRUN);
    expect(same(lua_tostring(host.L, 1), "cannot read"));
  }
  host_close(&host);
}

int main(void) {
  test_call();
  test_call_order();
  test_call_inside();
  test_call_in_coroutine();
  test_call_ends();
  test_begin();
  test_late_interrupt();
  test_done();
  test_done_raises();
  test_errors();
  test_files();
  test_reader();
  if (failures == 0) printf("run: ok\n");
  return failures != 0;
}
