/*
 * limits.c - limits that hold: whatever a script does, it is stopped, and
 * the host and the machine stay whole.
 *
 * Each attack is a script that would run for ever. It runs in a machine
 * whose steps are limited; afterwards an ordinary script must run in the
 * same machine, as if nothing had been.
 */
#include <lauxlib.h>
#include <lua.h>
#include <neap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static int failures;

#define expect(what, name) \
  ((what) ? (void)0 : (void)(failures++, printf("%s:%d: %s: not so: %s\n", \
                                                __FILE__, __LINE__, name, \
                                                #what)))

/* == A host ============================================================ */

typedef struct Host {
  neap_Vm *vm;
  lua_State *L;
  char text[512]; /* of the last report of an error */
} Host;

static void on_report(neap_Vm *vm, const neap_Report *report) {
  Host *host = neap_data(vm);
  if (report->kind == NEAP_REPORT_ERROR)
    snprintf(host->text, sizeof host->text, "%s", report->text);
}

static void host_open(Host *host, const neap_Limits *limits) {
  neap_Options options = {.size = sizeof options, .report = on_report,
                          .data = host, .limits = limits};
  memset(host, 0, sizeof *host);
  host->vm = neap_vm_new(&options);
  if (host->vm == NULL) abort();
  host->L = neap_state(host->vm);
}

/* Runs protected: the script at 1; gives the status and the result. */
static int run_it(lua_State *L) {
  const char *script = lua_tostring(L, 1);
  int n = 0, status = neap_load(L, script, strlen(script), "=script", "t");
  if (status != LUA_OK) return lua_error(L);
  neap_spawn(L, 0, "main");
  status = neap_wait(L, 2, &n);
  if (status == LUA_OK && n == 0) lua_pushnil(L);
  lua_pushinteger(L, status);
  lua_insert(L, -2);
  return 2;
}

/* The status of neap_wait; the result or error is on top. */
static int run(Host *host, const char *script) {
  lua_State *L = host->L;
  int status;
  lua_settop(L, 0);
  lua_pushcfunction(L, run_it);
  lua_pushstring(L, script);
  status = lua_pcall(L, 1, 2, 0);
  if (status == LUA_OK) status = (int)lua_tointeger(L, 1);
  if (getenv("LIMITS_TELL") != NULL && status != LUA_OK)
    printf("%d: %s\n", status, luaL_tolstring(L, -1, NULL));
  if (lua_gettop(L) > 2) lua_settop(L, 2);
  return status;
}

/* 1 if the error on top has this code. */
static int has_code(Host *host, const char *code) {
  int is;
  if (!lua_istable(host->L, -1)) return 0;
  lua_getfield(host->L, -1, "code");
  is = lua_isstring(host->L, -1) &&
       strcmp(lua_tostring(host->L, -1), code) == 0;
  lua_pop(host->L, 1);
  return is;
}

/* == Steps that never end ============================================= */

typedef struct Attack {
  const char *name, *script;
} Attack;

static const Attack attacks[] = {
  {"a loop", "while true do end"},
  {"a loop after an await", "await asyncio.sleep(0) while true do end"},
  {"recursion by tail calls", "local function f() return f() end f()"},
  {"goto", "::again:: goto again"},
  {"a loop with calls", "while true do math.abs(1) end"},
  {"in a coroutine", "coroutine.wrap(function() while true do end end)()"},
  {"in a coroutine that is resumed again",
   "local co = coroutine.create(function() while true do end end)\n"
   "while true do coroutine.resume(co) end"},
  {"in ever new coroutines",
   "while true do coroutine.wrap(function()\n"
   "  for i = 1, 300 do end end)() end"},
  {"in coroutines in coroutines",
   "local function f() return coroutine.wrap(f)() end\n"
   "while true do pcall(f) end"},
  {"in a generator", "for i in coroutine.wrap(function()\n"
   "  while true do coroutine.yield(1) end end) do end"},
  {"pcall", "while true do pcall(function() while true do end end) end"},
  {"pcall in pcall",
   "local function f() while true do pcall(f) end end f()"},
  {"pcall without a loop inside", "while true do pcall(error) end"},
  {"xpcall", "while true do\n"
   "  xpcall(function() while true do end end, function() end) end"},
  {"a message handler",
   "while true do xpcall(error, function() while true do end end) end"},
  {"a message handler of a step that was stopped",
   "xpcall(function() while true do end end,\n"
   "  function() while true do end end)"},
  {"a message handler that fails",
   "xpcall(function() while true do end end, function(e) error(e) end)\n"
   "while true do end"},
  {"asyncio.catch",
   "while true do asyncio.catch(function() while true do end end) end"},
  {"coroutine.close",
   "local co = coroutine.create(function()\n"
   "  local _ <close> = setmetatable({}, {__close = function()\n"
   "    while true do end end})\n"
   "  coroutine.yield() end)\n"
   "coroutine.resume(co) while true do coroutine.close(co) end"},
  {"__close", "local _ <close> = setmetatable({}, {__close = function()\n"
   "  while true do end end})"},
  {"__close of a step that was stopped",
   "local _ <close> = setmetatable({}, {__close = function()\n"
   "  while true do end end}) while true do end"},
  {"many __close", "local function f(n)\n"
   "  local _ <close> = setmetatable({}, {__close = function()\n"
   "    while true do pcall(f, 100) end end})\n"
   "  if n > 0 then f(n - 1) end while true do end end\n"
   "f(50)"},
  {"__close of a coroutine that was stopped",
   "coroutine.wrap(function()\n"
   "  local _ <close> = setmetatable({}, {__close = function()\n"
   "    while true do end end}) while true do end end)()"},
  {"__close of a coroutine that awaits and was stopped",
   "coroutine.wrap(function() await asyncio.sleep(0)\n"
   "  local _ <close> = setmetatable({}, {__close = function()\n"
   "    while true do end end}) while true do end end)()"},
  {"closing a coroutine after it was stopped in it",
   "local co = coroutine.create(function()\n"
   "  local _ <close> = setmetatable({}, {__close = function()\n"
   "    while true do end end})\n"
   "  while true do end end)\n"
   "local _ <close> = setmetatable({}, {__close = function()\n"
   "  coroutine.close(co) while true do end end})\n"
   "coroutine.resume(co)"},
  {"defer", "local _ <close> = asyncio.defer(function()\n"
   "  while true do end end) while true do end"},
  {"defer that awaits", "local _ <close> = asyncio.defer(async function()\n"
   "  while true do pcall(asyncio.sleep, 1000)\n"
   "    await asyncio.sleep(1000) end end) while true do end"},
  {"defer that spawns", "local f f = async function()\n"
   "  local _ <close> = asyncio.defer(function()\n"
   "    asyncio.create_task(f()) end) while true do end end\n"
   "await f()"},
  {"__gc", "while true do setmetatable({}, {__gc = function()\n"
   "  while true do end end}) end"},
  {"__gc that is set later", "local mt = {__gc = true}\n"
   "for i = 1, 10 do setmetatable({}, mt) end\n"
   "mt.__gc = function() while true do end end\n"
   "collectgarbage() while true do end"},
  {"__gc of an error", "local E = asyncio.Error:extend('E')\n"
   "E.__gc = function() while true do end end\n"
   "for i = 1, 10 do E.new('x') end\n"
   "collectgarbage() while true do end"},
  {"__gc of a coroutine in it", "while true do\n"
   "  setmetatable({}, {__gc = coroutine.wrap(function()\n"
   "    while true do end end)}) end"},
  {"__gc that makes more", "local mt = {}\n"
   "mt.__gc = function() for i = 1, 2 do setmetatable({}, mt) end end\n"
   "setmetatable({}, mt)\n"
   "while true do collectgarbage() end"},
  {"__index", "local t = setmetatable({}, {__index = function()\n"
   "  while true do end end}) while true do pcall(function()\n"
   "    return t.x end) end"},
  {"__tostring", "while true do pcall(tostring, setmetatable({},\n"
   "  {__tostring = function() while true do end end})) end"},
  {"__await", "await setmetatable({}, {__await = function()\n"
   "  while true do end end})"},
  {"__eq in a chain of calls", "local mt = {} mt.__eq = function(a, b)\n"
   "  while true do end end\n"
   "pcall(rawequal, 1, 2) pcall(function()\n"
   "  return setmetatable({}, mt) == setmetatable({}, mt) end)"},
  {"a comparison in sort", "while true do\n"
   "  pcall(table.sort, {3, 2, 1}, function() while true do end end) end"},
  {"a comparison that lies", "local t = {}\n"
   "for i = 1, 1000 do t[i] = i end\n"
   "while true do pcall(table.sort, t, function() return true end) end"},
  {"gsub with a function", "while true do pcall(string.gsub, 'x', '.',\n"
   "  function() while true do end end) end"},
  {"load with a reader", "while true do pcall(load, function()\n"
   "  while true do end end) end"},
  {"a load of loads", "while true do load('local x = 1')() end"},
  {"require", "package.preload.x = function() while true do end end\n"
   "while true do pcall(require, 'x') end"},
  {"an error whose text is endless", "error(setmetatable({},\n"
   "  {__tostring = function() while true do end end}))"},
  {"an error that is a function", "while true do\n"
   "  pcall(error, function() while true do end end) end"},
  {"concatenation of long strings",
   "local s = ('x'):rep(1000000) while true do local t = s .. 'y' end"},
  {"collectgarbage", "local t = {}\n"
   "for i = 1, 10000 do t[i] = {} end\n"
   "while true do collectgarbage() end"},
  {"a hook", "debug.sethook(function() end, '', 1) while true do end"},
  {"string.rep of nothing", "while true do (''):rep(1 << 60) end"},
  {"string.rep of much", "while true do pcall(string.rep, 'x', 1 << 25) end"},
  {"a pattern that tries all",
   "(('a'):rep(100000)):find(('.-'):rep(30) .. 'b')"},
  {"a pattern that tries all, in match",
   "(('a'):rep(100000)):match(('a*'):rep(30) .. 'b')"},
  {"a pattern that tries all, in gmatch",
   "for _ in (('a'):rep(100000)):gmatch(('a?'):rep(100) .. 'b') do end"},
  {"a pattern that tries all, in gsub",
   "(('a'):rep(100000)):gsub(('.-'):rep(30) .. 'b', '')"},
  {"a pattern with a long set",
   "(('a'):rep(100000)):find('[' .. ('b'):rep(100000) .. ']')"},
  {"brackets that do not close", "(('('):rep(1000000)):gsub('%b()', '')"},
  {"a text in itself", "local s = ('a'):rep(1000000)\n"
   "while true do s:find(s .. 'b', 1, true) end"},
  {"table.move of nothing", "table.move({}, 1, math.maxinteger - 1, 2)"},
  {"table.move by metamethods of C",
   "table.move(setmetatable({}, {__index = type}), 1, 1 << 60, 1,\n"
   "  setmetatable({}, {__newindex = type}))"},
  {"table.insert into a table that says it is long",
   "table.insert(setmetatable({}, {__len = function() return 1 << 60 end}),\n"
   "  1, 1)"},
  {"table.insert into a table with a far border",
   "local t = {} for i = 0, 62 do t[1 << i] = 1 end\n"
   "while true do pcall(table.insert, t, 1, 1) end"},
  {"table.remove", "while true do pcall(table.remove, setmetatable({},\n"
   "  {__len = function() return 1 << 60 end}), 1) end"},
  {"table.concat by metamethods of C",
   "while true do pcall(table.concat, setmetatable({}, {__index = rawlen}),\n"
   "  '', 1, 1 << 60) end"},
  {"table.concat of empty strings", "local t = {}\n"
   "for i = 1, 100000 do t[i] = '' end\n"
   "while true do pcall(table.concat, t) end"},
  {"table.concat of empty strings from a hole", "local t = {}\n"
   "for i = 1, 30000 do t[-i] = '' end\n"
   "while true do pcall(table.concat, t, '', -30000, 1 << 60) end"},
  {"tracebacks of many calls", "local function f(n)\n"
   "  if n > 0 then return 1 + f(n - 1) end\n"
   "  while true do debug.traceback('x', 30000) end end f(30000)"},
  {"table.sort by a function of C", "local t = {}\n"
   "for i = 0, 29 do t[1 << i] = 1 end\n"
   "while true do pcall(table.sort, t, coroutine.isyieldable) end"},
  {"table.unpack", "while true do pcall(table.unpack, {}, 1, 900000) end"},
  {"utf8.len", "local s = ('x'):rep(10000000)\n"
   "while true do utf8.len(s) end"},
  {"a load of numbers", "while true do pcall(load, os.clock) end"},
  {"tracebacks", "package.loaded.x = {} for i = 1, 100000 do\n"
   "  package.loaded.x['x' .. i] = i end\n"
   "while true do pcall(asyncio.sleep) asyncio.Error.new('x') end"},
  {"no memory any more", "local t = {}\n"
   "while true do pcall(function()\n"
   "  while true do t[#t + 1] = ('x'):rep(10000) .. #t end end) end"},
  {"no memory, and none is wanted", "local t = {}\n"
   "pcall(function() while true do t[#t + 1] = {} end end)\n"
   "while true do pcall(function() return {} end) end"},
  {"no hook any more", "debug.sethook() while true do end"},
  {NULL, NULL}};

static void attack(const Attack *a) {
  neap_Limits limits = {.size = sizeof limits, .step_instructions = 1000000,
                        .memory = 64 << 20};
  Host host;
  int status;
  host_open(&host, &limits);
  status = run(&host, a->script);
  expect(status == NEAP_ELIMIT, a->name);
  expect(has_code(&host, "STEP_INSTRUCTIONS"), a->name);
  status = run(&host, "local n = 0 for i = 1, 100 do\n"
                      "  n = n + await asyncio.sleep(0, i) end return n");
  expect(status == LUA_OK, a->name);
  expect(lua_tointeger(host.L, -1) == 5050, a->name);
  neap_vm_free(host.vm);
}

/* The same by the clock: stopped is all that can be said. */
static void attack_by_time(const Attack *a) {
  neap_Limits limits = {.size = sizeof limits, .step_seconds = 0.01,
                        .memory = 64 << 20};
  Host host;
  host_open(&host, &limits);
  expect(run(&host, a->script) == NEAP_ELIMIT, a->name);
  expect(has_code(&host, "STEP_SECONDS"), a->name);
  neap_vm_free(host.vm);
}

/* == Tasks and the whole machine ====================================== */

/* Each step is short, but there are many. */
static const char steps[] =
    "while true do\n"
    "  for i = 1, 1000 do end\n"
    "  pcall(function() await asyncio.sleep(0) end)\n"
    "end";

static void test_task(void) {
  neap_Limits limits = {.size = sizeof limits, .task_instructions = 300000};
  Host host;
  host_open(&host, &limits);
  expect(run(&host, steps) == NEAP_ELIMIT, "task");
  expect(has_code(&host, "TASK_INSTRUCTIONS"), "task");
  expect(run(&host, steps) == NEAP_ELIMIT, "task, again");
  expect(run(&host, "return 1") == LUA_OK, "task, after it");
  neap_vm_free(host.vm);
}

/* A task that awaits one that was stopped has an ordinary error. */
static void test_awaiting(void) {
  neap_Limits limits = {.size = sizeof limits, .task_instructions = 300000};
  Host host;
  host_open(&host, &limits);
  expect(run(&host, "local ok, e = pcall(function()\n"
                    "  await asyncio.create_task((async function()\n"
                    "    while true do end end)()) end)\n"
                    "assert(asyncio.iserror(e, asyncio.LimitError))\n"
                    "return e.code") == LUA_OK, "awaiting");
  expect(strcmp(lua_tostring(host.L, -1), "TASK_INSTRUCTIONS") == 0,
         "awaiting");
  neap_vm_free(host.vm);
}

static void test_machine(double seconds, uint64_t instructions,
                         const char *code) {
  neap_Limits limits = {.size = sizeof limits, .seconds = seconds,
                        .instructions = instructions};
  Host host;
  host_open(&host, &limits);
  expect(run(&host,
             "for i = 1, 10 do asyncio.create_task(asyncio.sleep(1e6)) end\n"
             "local loop = asyncio.get_running_loop()\n"
             "local function again() loop:call_soon(again) end again()\n"
             "while true do pcall(function()\n"
             "  await asyncio.create_task((async function()\n"
             "    for i = 1, 1000 do end end)()) end) end") == NEAP_ELIMIT,
         code);
  expect(has_code(&host, code), code);
  neap_run(host.vm); /* the others have ended, too */
  expect(run(&host, "return 1") == NEAP_ELIMIT, code);
  expect(has_code(&host, code), code);
  neap_vm_free(host.vm);
}

static void test_depth(void) {
  static const char *const scripts[] = {
    "f()", "while true do pcall(f) end",
    "coroutine.wrap(function() pcall(f) end)()"};
  neap_Limits limits = {.size = sizeof limits, .depth = 10000};
  Host host;
  size_t i;
  host_open(&host, &limits);
  (void)run(&host, "function f() return 1 + f() end");
  for (i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    expect(run(&host, scripts[i]) == NEAP_ELIMIT, scripts[i]);
    expect(has_code(&host, "DEPTH"), scripts[i]);
  }
  expect(run(&host, "local function f(n) if n > 0 then return 1 + f(n - 1)\n"
                    "end return 0 end\n"
                    "for i = 1, 100 do f(5000) end") == LUA_OK, "depth");
  neap_vm_free(host.vm);
}

/* == Lives ============================================================ */

/* Scripts that only wait. */
static const char *const waiting[] = {
  "await asyncio.Future()",
  "await asyncio.sleep(1e6)",
  "while true do await asyncio.sleep(0) end",
  "while true do await asyncio.sleep(0.001) end",
  "while true do asyncio.catch(await, asyncio.sleep(1e6)) end",
  "while true do asyncio.catch(function() await asyncio.Future() end) end",
  "while true do pcall(function() await asyncio.Queue():get() end) end",
  "await asyncio.shield(asyncio.sleep(1e6))",
  "await asyncio.gather(asyncio.sleep(1e6), asyncio.sleep(1e6))",
  "await asyncio.wait({asyncio.create_task(asyncio.sleep(1e6))})",
  "await asyncio.wait_for(asyncio.sleep(1e6), 1e6)",
  "local _ <close> = asyncio.timeout(1e6) await asyncio.sleep(1e6)",
  "local l = asyncio.Lock() await l:acquire() await l:acquire()",
  "local tg <close> = asyncio.TaskGroup()\n"
  "tg:create_task(asyncio.sleep(1e6))",
  "local _ <close> = asyncio.defer(function() await asyncio.sleep(1e6) end)\n"
  "await asyncio.sleep(1e6)",
  "for v in coroutine.wrap(function() await asyncio.sleep(1e6) end) do end",
  "local a, b = require 'neap.net'.pair() await b:read(1)",
  "local a, b = require 'neap.net'.pair()\n"
  "while true do await a:write(('x'):rep(100000)) end",
  "await require 'neap.process'.run{'sleep', '1000'}",
  "local stubborn = asyncio.create_task((async function()\n"
  "  while true do asyncio.catch(await, asyncio.sleep(1e6)) end end)())\n"
  "await stubborn",
  "local a, b\n"
  "a = asyncio.create_task((async function() await b end)())\n"
  "b = asyncio.create_task((async function() await a end)())\n"
  "await a",
  "require 'endless'",
  NULL};

static void test_life(void) {
  neap_Limits limits = {.size = sizeof limits, .task_life_seconds = 0.02,
                        .step_instructions = 300000, .finish_seconds = 0.1};
  static const neap_Module modules[] = {
    {"endless", NULL, "await asyncio.Future()", 22, NULL},
    {NULL, NULL, NULL, 0, NULL}};
  size_t i;
  for (i = 0; waiting[i] != NULL; i++) {
    Host host;
    host_open(&host, &limits);
    neap_preload(host.L, modules);
    expect(run(&host, waiting[i]) == NEAP_ELIMIT, waiting[i]);
    expect(has_code(&host, "TASK_LIFE_SECONDS"), waiting[i]);
    neap_run(host.vm); /* what it has started ends as well */
    expect(run(&host, "return await asyncio.sleep(0, 1)") == LUA_OK,
           waiting[i]);
    neap_vm_free(host.vm);
  }
}

/* A life begins with the task: not when the loop was last looked at. It holds
 * the loop only as long as there are tasks. */
static void test_life_begins(void) {
  neap_Limits limits = {.size = sizeof limits, .task_life_seconds = 1000};
  uv_loop_t loop;
  neap_Options options = {.size = sizeof options, .limits = &limits,
                          .loop = &loop};
  Host host;
  int n;
  uv_loop_init(&loop);
  host.vm = neap_vm_new(&options);
  host.L = neap_state(host.vm);
  loop.time -= 2000000; /* as if it had not run for so long */
  expect(run(&host, "return await asyncio.sleep(0, 1)") == LUA_OK, "begins");
  expect(luaL_loadstring(host.L, "await_nothing = 1") == LUA_OK, "begins");
  expect(neap_begin(host.L, 0, NULL, &n) == LUA_OK, "begins");
  uv_run(&loop, UV_RUN_DEFAULT);
  expect(uv_loop_alive(&loop) == 0, "begins");
  neap_vm_free(host.vm);
  uv_loop_close(&loop);
}

/* == Callbacks, finalizers, the end =================================== */

static void test_callback(void) {
  neap_Limits limits = {.size = sizeof limits, .task_instructions = 300000};
  Host host;
  host_open(&host, &limits);
  expect(run(&host, "local loop = asyncio.get_running_loop()\n"
                    "loop:call_soon(function() while true do end end)\n"
                    "await asyncio.sleep(0) await asyncio.sleep(0)\n"
                    "return 1") == LUA_OK, "callback");
  expect(strstr(host.text, "limit reached: a task may run") != NULL,
         "callback");
  expect(run(&host, "local loop = asyncio.get_running_loop()\n"
                    "loop:set_exception_handler(function()\n"
                    "  while true do end end)\n"
                    "loop:call_soon(error, 'x')\n"
                    "await asyncio.sleep(0) await asyncio.sleep(0)\n"
                    "return 1") == LUA_OK, "exception handler");
  neap_vm_free(host.vm);
}

static void test_end(void) {
  static const char *const scripts[] = {
    "setmetatable({}, {__gc = function() while true do end end})",
    "x = setmetatable({}, {__gc = function() while true do end end})",
    ("local mt = {} mt.__gc = function()\n"
    "  setmetatable({}, mt) end setmetatable({}, mt)"),
    ("asyncio.create_task((async function()\n"
    "  local _ <close> = asyncio.defer(async function()\n"
    "    await asyncio.sleep(1e9) end)\n"
    "  await asyncio.sleep(1e9) end)()) await asyncio.sleep(0)"),
    ("local f f = async function()\n"
    "  local _ <close> = asyncio.defer(function()\n"
    "    asyncio.create_task(f()) asyncio.create_task(f()) end)\n"
    "  await asyncio.sleep(1e9) end\n"
    "asyncio.create_task(f()) await asyncio.sleep(0)"),
    ("asyncio.create_task((async function() while true do\n"
    "  asyncio.catch(asyncio.sleep, 1e9)\n"
    "  asyncio.catch(function() await asyncio.sleep(1e9) end) end end)())\n"
    "await asyncio.sleep(0)"),
    ("local f = asyncio.Future()\n"
    "asyncio.create_task((async function()\n"
    "  asyncio.catch(function() await asyncio.gather(\n"
    "    asyncio.shield(f), asyncio.sleep(1e9)) end)\n"
    "  await asyncio.Future() end)())\n"
    "await asyncio.sleep(0)"),
    "x = io.stdout getmetatable(x).__gc = function() while true do end end"};
  neap_Limits limits = {.size = sizeof limits, .step_instructions = 300000,
                        .finish_seconds = 0.02, .memory = 64 << 20};
  size_t i;
  for (i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    Host host;
    host_open(&host, &limits);
    (void)run(&host, scripts[i]);
    neap_vm_free(host.vm);
  }
}

/* What is told of an error that nobody looked at, when it is collected. The
 * script may go on for a while, which a collection may use up. */
static void test_lost_error(void) {
  static const char *const scripts[] = {
    ("fail(setmetatable({}, {__tostring = function() while true do end end}))\n"
     "await asyncio.sleep(0) collectgarbage() return 1"),
    ("asyncio.get_running_loop():set_exception_handler(function()\n"
     "  while true do end end) fail 'x'\n"
     "await asyncio.sleep(0) collectgarbage() return 1")};
  neap_Limits limits = {.size = sizeof limits, .task_instructions = 300000};
  size_t i;
  for (i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    Host host;
    int status;
    host_open(&host, &limits);
    (void)run(&host, "function fail(e)\n"
                     "  local async function raise() error(e) end\n"
                     "  asyncio.create_task(raise())\n"
                     "end");
    status = run(&host, scripts[i]);
    expect(status == LUA_OK || status == NEAP_ELIMIT, scripts[i]);
    expect(strstr(host.text, "error in") != NULL, host.text);
    neap_vm_free(host.vm);
  }
}

/* Finalizers work as they do in Lua. */
static void test_finalizers(void) {
  neap_Limits limits = {.size = sizeof limits, .seconds = 1e6};
  Host host;
  host_open(&host, &limits);
  expect(run(&host,
             "local order = {}\n"
             "local function make(name)\n"
             "  setmetatable({name = name}, {__gc = function(o)\n"
             "    order[#order + 1] = o.name end})\n"
             "end\n"
             "make 'a' make 'b' make 'c' collectgarbage()\n"
             "assert(table.concat(order) == 'cba', table.concat(order))\n"
             "local kept local mt = {}\n"
             "mt.__gc = function(o) kept = o setmetatable(o, mt) end\n"
             "setmetatable({7}, mt) collectgarbage()\n"
             "assert(kept[1] == 7) kept = nil collectgarbage()\n"
             "assert(kept[1] == 7)\n"
             "local w = setmetatable({}, {__mode = 'v'})\n"
             "w[1] = setmetatable({}, {__gc = function() end})\n"
             "collectgarbage() assert(w[1] == nil)\n"
             "setmetatable({}, {__gc = error}) collectgarbage()\n"
             "local t = {} local mt = {__gc = print}\n"
             "assert(setmetatable(t, mt) == t)\n"
             "assert(getmetatable(t) == mt and mt.__gc == print)\n"
             "mt.__gc = nil\n"
             "return 1") == LUA_OK, "finalizers");
  neap_vm_free(host.vm);
}

/* == Memory =========================================================== */

static int finish(lua_State *L) {
  neap_finish(L);
  return 0;
}

static void test_memory(void) {
  static const char *const scripts[] = {
    "local t = {} while true do t[#t + 1] = {} end",
    "local s = 'x' while true do s = s .. s end",
    "return ('x'):rep(1 << 30)",
    "while true do asyncio.create_task(asyncio.sleep(1e6)) end",
    "local function f() return 1, f() end f()",
    "local t = {} for i = 1, 1e9 do t[i] = coroutine.wrap(print) end"};
  neap_Limits limits = {.size = sizeof limits, .memory = 2 << 20};
  neap_Usage usage = {.size = sizeof usage};
  size_t i;
  for (i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    Host host;
    host_open(&host, &limits);
    expect(run(&host, scripts[i]) != LUA_OK, scripts[i]);
    neap_usage(host.vm, &usage);
    expect(usage.most_memory <= 2 << 20, scripts[i]);
    lua_settop(host.L, 0);
    lua_pushcfunction(host.L, finish);
    expect(lua_pcall(host.L, 0, 0, 0) == LUA_OK, scripts[i]);
    expect(run(&host, "return pcall(string.rep, 'x', 1 << 25)") == LUA_OK,
           scripts[i]);
    neap_vm_free(host.vm);
  }
}

/* What modules read for a script counts. */
static void test_buffers(void) {
  static const char *const scripts[] = {
    "local f <close> = await fs.open '/dev/zero' return #await f:read 'a'",
    "local d <close> = await fs.temp_dir()\n"
    "local f <close> = await fs.open(d:path 'big', 'w')\n"
    "await f:truncate(1 << 30)\n"
    "return #await fs.read_file(d:path 'big')",
    "local a, b = require 'neap.net'.pair()\n"
    "local function send() local s = ('x'):rep(100000)\n"
    "  while true do await a:write(s) end end\n"
    "asyncio.create_task(async(send)())\n"
    "return #await b:read_all()",
    "local d <close>, all = await fs.temp_dir(), {}\n"
    "local s = ('x'):rep(1 << 20)\n"
    "for i = 1, 100 do all[i] = asyncio.create_task(\n"
    "  fs.write_file(d:path 'x', s)) end\n"
    "for i = 1, 100 do await all[i] end"};
  neap_Limits limits = {.size = sizeof limits, .memory = 8 << 20};
  neap_Usage usage = {.size = sizeof usage};
  char script[1024];
  size_t i;
  for (i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    Host host;
    host_open(&host, &limits);
    snprintf(script, sizeof script, "local fs = require 'neap.fs'\n%s",
             scripts[i]);
    expect(run(&host, script) == LUA_ERRRUN, scripts[i]);
    expect(strstr(luaL_tolstring(host.L, 2, NULL), "not enough memory") !=
           NULL, scripts[i]);
    neap_usage(host.vm, &usage);
    expect(usage.most_memory <= 8 << 20, scripts[i]);
    neap_vm_free(host.vm);
  }
}

/* == Pieces =========================================================== */

static void test_pieces(void) {
  neap_Limits limits = {.size = sizeof limits, .tasks = 5, .handles = 8,
                        .files = 2, .sockets = 3, .processes = 1};
  Host host;
  host_open(&host, &limits);
  expect(run(&host,
             "local function code(f, ...)\n"
             "  local ok, e = pcall(f, ...)\n"
             "  assert(not ok and asyncio.iserror(e, asyncio.LimitError), e)\n"
             "  return e.code\n"
             "end\n"
             "for i = 1, 4 do asyncio.create_task(asyncio.sleep(10)) end\n"
             "assert(code(asyncio.create_task, asyncio.sleep(10)) == 'TASKS')\n"
             "local fs, net = require 'neap.fs', require 'neap.net'\n"
             "local process = require 'neap.process'\n"
             "local a <close> = await fs.open('/dev/null')\n"
             "do local b <close> = await fs.open('/dev/null')\n"
             "  assert(code(function() await fs.open('/dev/null') end)\n"
             "    == 'FILES') end\n"
             "local c <close> = await fs.open('/dev/null')\n"
             "local d, e = net.pair()\n"
             "assert(code(net.pair) == 'SOCKETS')\n"
             "d:close() e:close() collectgarbage()\n"
             "local p <close> = process.spawn{'sleep', '100'}\n"
             "assert(code(function() process.spawn{'true'} end)\n"
             "  == 'PROCESSES', 'processes')\n"
             "p:kill 'SIGKILL' await p:wait()\n"
             "return 1") == LUA_OK, "pieces");
  neap_vm_free(host.vm);
  limits = (neap_Limits){.size = sizeof limits, .handles = 4};
  host_open(&host, &limits);
  expect(run(&host, "local net, all = require 'neap.net', {}\n"
                    "for i = 1, 2 do all[i] = {net.pair()} end\n"
                    "local ok, e = pcall(net.pair)\n"
                    "return e.code") == LUA_OK, "handles");
  expect(lua_tostring(host.L, -1) != NULL &&
         strcmp(lua_tostring(host.L, -1), "HANDLES") == 0, "handles");
  neap_vm_free(host.vm);
}

/* == Other hooks ====================================================== */

static void test_interrupt(void) {
  neap_Limits limits = {.size = sizeof limits,
                        .step_instructions = 2000000000};
  Host host;
  lua_State *L;
  int n;
  host_open(&host, &limits);
  L = host.L;
  if (luaL_loadstring(L, "while true do xpcall(function()\n"
                         "  while true do end end, function()\n"
                         "  while true do end end) end") != LUA_OK) abort();
  neap_spawn(L, 0, "main");
  neap_set_main(L, -1);
  neap_interrupt(host.vm);
  expect(neap_wait(L, -1, &n) == NEAP_ECANCELED, "interrupt");
  neap_vm_free(host.vm);
}

static void test_hooks(void) {
  neap_Limits limits = {.size = sizeof limits, .seconds = 1e6};
  Host host;
  host_open(&host, &limits);
  expect(run(&host,
             "local lines, counts, calls = {}, 0, 0\n"
             "local function count() counts = counts + 1 end\n"
             "debug.sethook(count, '', 10)\n"
             "for i = 1, 1000 do end\n"
             "local f, mask, n = debug.gethook()\n"
             "debug.sethook()\n"
             "assert(f == count and mask == '' and n == 10)\n"
             "assert(counts > 90 and counts < 200, counts)\n"
             "counts = 0\n"
             "debug.sethook(count, '', 5000)\n"
             "for i = 1, 100000 do end\n"
             "debug.sethook()\n"
             "assert(counts >= 19 and counts <= 30, counts)\n"
             "debug.sethook(function(event, line)\n"
             "  lines[#lines + 1] = line end, 'l')\n"
             "local x\n"
             "x = 1\n"
             "debug.sethook()\n"
             "assert(lines[1] == 16 and lines[2] == 17, lines[1])\n"
             "assert(debug.gethook() == nil)\n"
             "return 1") == LUA_OK, "hooks");
  neap_vm_free(host.vm);
}

/* == Functions that are written anew ================================== */

static void test_tables(void) {
  neap_Limits limits = {.size = sizeof limits, .seconds = 1e6};
  Host host;
  host_open(&host, &limits);
  expect(run(&host,
             "local function proxy(t) return setmetatable({}, {\n"
             "  __index = t, __len = function() return #t end,\n"
             "  __newindex = function(_, k, v) t[k] = v end}), t end\n"
             "local function is(t, text)\n"
             "  assert(table.concat(t, ' ') == text, table.concat(t, ' '))\n"
             "end\n"
             "local p, t = proxy{1, 2, 3}\n"
             "table.insert(p, 4) is(t, '1 2 3 4')\n"
             "table.insert(p, 1, 0) is(t, '0 1 2 3 4')\n"
             "assert(table.remove(p) == 4) is(t, '0 1 2 3')\n"
             "assert(table.remove(p, 1) == 0) is(t, '1 2 3')\n"
             "assert(table.remove(p, 4) == nil) is(t, '1 2 3')\n"
             "table.move(p, 1, 3, 2) is(t, '1 1 2 3')\n"
             "table.move(p, 2, 4, 1) is(t, '1 2 3 3')\n"
             "assert(table.concat(p, ',') == '1,2,3,3')\n"
             "assert(table.concat(p, ',', 2, 3) == '2,3')\n"
             "table.sort(p, function(a, b) return a > b end)\n"
             "is(t, '3 3 2 1')\n"
             "local long = {} for i = 1, 30000 do\n"
             "  long[i] = i * 7919 % 30011 end\n"
             "table.sort(long)\n"
             "for i = 2, #long do assert(long[i - 1] <= long[i]) end\n"
             "table.insert(long, 1, 'first') assert(#long == 30001)\n"
             "assert(table.remove(long, 1) == 'first' and #long == 30000)\n"
             "table.move(long, 1, 30000, 2) assert(long[1] == long[2])\n"
             "for _, name in ipairs{'insert', 'remove', 'concat', 'sort'} do\n"
             "  local ok, e = pcall(table[name], 1)\n"
             "  assert(e:find 'table expected, got number', e)\n"
             "  ok, e = pcall(table[name], 'x')\n"
             "  assert(e:find 'table expected, got string', e)\n"
             "end\n"
             "assert(('x'):rep(3, ',') == 'x,x,x' and (''):rep(9) == '')\n"
             "assert(collectgarbage 'count' > 0)\n"
             "assert(collectgarbage 'step' ~= nil)\n"
             "assert(not pcall(collectgarbage, 'setpause', 1))\n"
             "return 1") == LUA_OK, "tables");
  neap_vm_free(host.vm);
}

int main(int argc, char **argv) {
  const Attack *a;
  for (a = attacks; a->name != NULL; a++) {
    if (argc > 1 && strcmp(argv[1], a->name) != 0) continue;
    if (getenv("LIMITS_TELL") != NULL) puts(a->name);
    fflush(stdout);
    attack(a);
    attack_by_time(a);
  }
  if (argc > 1) return failures != 0;
  test_task();
  test_awaiting();
  test_machine(0, 300000, "INSTRUCTIONS");
  test_machine(0.02, 0, "SECONDS");
  test_depth();
  test_life();
  test_life_begins();
  test_callback();
  test_end();
  test_lost_error();
  test_finalizers();
  test_memory();
  test_buffers();
  test_pieces();
  test_interrupt();
  test_hooks();
  test_tables();
  return failures != 0;
}
