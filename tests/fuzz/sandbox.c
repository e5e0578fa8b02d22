/*
 * sandbox.c - fuzzes a limited machine in a sandbox with scripts: it may not
 * crash, hang, touch the world or keep anything.
 *
 * The input is a script. So that chance comes further than to syntax errors,
 * one that does not load is taken as a list of numbers, each of which is a
 * line of the table below: pieces of attacks, put one after the other.
 */
#include <lauxlib.h>
#include <lua.h>
#include <neap.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

static const char *const lines[] = {
  "local a, b, c = 1, {}, 'x'", "a = b", "b = c", "c = a", "a, b = b, a",
  "a = {a, b, c}", "b[1] = a", "a = #c", "c = c .. c", "a = a[1]", "a(b)",
  "a(b, c)", "b = a(c)", "a:b(c)", "a = function(...) return ... end",
  "a = function() while true do end end", "a = function() error(b) end",
  "a = function() coroutine.yield(c) end", "pcall(a, b)", "pcall(a)",
  "xpcall(a, b)", "xpcall(a, a, c)", "pcall(pcall, a)",
  "a = coroutine.create(a)", "a = coroutine.wrap(a)",
  "coroutine.resume(a, b)", "coroutine.close(a)", "b = coroutine.running()",
  "do local x <close> = setmetatable({}, {__close = a})", "end", "do",
  "while true do", "for i = 1, 10 do", "repeat", "until c", "if a then",
  "setmetatable({}, {__gc = a})", "collectgarbage()", "a = asyncio",
  ("b = setmetatable({}, {__index = a, __newindex = a, __call = a,\n"
   "  __len = a, __eq = a, __lt = a, __concat = a, __tostring = a,\n"
   "  __name = a, __close = a, __mode = 'k', __metatable = b})"),
  "a = getmetatable(b)", "tostring(b)", "b = a.__index", "b = a.__gc",
  "for k, v in pairs(a) do pcall(v, b, c) end", "for k in next, a do a = k end",
  "a = require 'neap.fs'", "a = require 'neap.net'", "b = net.pair()",
  "a = require 'neap.process'", "a = require 'neap.repl'", "a = _G",
  "a = package.loaded", "a = package.searchers[2]", "a = load(c)",
  "a = load(a)", "a = string", "a = debug", "a = os", "os.exit(1)",
  "a = asyncio.Future()", "a = asyncio.create_task(asyncio.sleep(0))",
  "a = asyncio.create_task(async(a)())", "await a", "await asyncio.sleep(0)",
  "asyncio.catch(a, b)", "asyncio.catch(asyncio.sleep, 1)", "a:cancel()",
  "asyncio.gather(a, b)", "local _ <close> = asyncio.defer(a)",
  "local _ <close> = asyncio.timeout(0)", "a = asyncio.Queue()", "a:put(b)",
  "local _ <close> = asyncio.TaskGroup()", "a:create_task(async(b)())",
  "asyncio.get_running_loop():call_soon(a, b)", "a:add_done_callback(b)",
  "asyncio.get_running_loop():set_exception_handler(a)", "error(b)",
  "error(setmetatable({}, {__tostring = a}))", "b = asyncio.Error:extend 'E'",
  "b.__gc = a", "a = b.new(c)", "table.sort(a, b)", "table.concat(a, c)",
  "table.insert(a, 1, b)", "table.move(a, 1, 1 << 50, 2)", "table.unpack(a)",
  "c = c:rep(1 << 20)", "c = c:rep(1 << 40)", "c:find(('.-'):rep(20) .. 'y')",
  "c = c:gsub('.', a)", "c:gsub('', b)", "c = ('%s'):format(b)",
  "local function f() return f() end f()", "local function f() f() f() end f()",
  "async function f() await f() end await f()", "goto x", "::x::", "break",
  "return a", "return await a", "a = net.udp{}", "a = fs.open '/etc/passwd'",
  "a = fs.write_file('/tmp/neap-fuzz-escaped', 'x')", "a = print",
  "a = process.spawn{'touch', '/tmp/neap-fuzz-escaped'}",
  "a = net.connect('127.0.0.1', 1)", "a = net.listen{host = '127.0.0.1'}",
  ("local fs, net, process = require 'neap.fs', require 'neap.net',\n"
   "  require 'neap.process'")};

#define ESCAPED "/tmp/neap-fuzz-escaped"
#define LINES (sizeof lines / sizeof *lines)

static void on_write(neap_Vm *vm, int fd, const char *text, size_t length) {
  (void)vm;
  (void)fd;
  (void)text;
  (void)length;
}

/* No limit counts the time that a script only waits: the host ends that. */
#define PATIENCE 50 /* milliseconds */

static void on_patience(uv_timer_t *timer) {
  neap_stop(timer->data);
}

/* Pushes the script that the numbers mean. */
static void push_pieces(lua_State *L, const uint8_t *data, size_t size) {
  luaL_Buffer b;
  size_t i;
  luaL_buffinit(L, &b);
  for (i = 0; i < size && i < 200; i++) {
    luaL_addstring(&b, lines[data[i] % LINES]);
    luaL_addchar(&b, '\n');
  }
  luaL_pushresult(&b);
}

typedef struct Input {
  const uint8_t *data;
  size_t size;
} Input;

/* Runs protected. */
static int run(lua_State *L) {
  Input *in = lua_touserdata(L, 1);
  const char *text = (const char *)in->data;
  size_t size = in->size;
  int n;
  lua_settop(L, 0);
  if (neap_load(L, text, size, "=fuzz", "t") != LUA_OK) {
    push_pieces(L, in->data, in->size);
    text = lua_tolstring(L, -1, &size);
    if (neap_load(L, text, size, "=fuzz", "t") != LUA_OK) return 0;
  }
  if (neap_call(L, 0, &n) != LUA_OK) neap_error_text(L, -1, 0);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const neap_Limits limits = {.size = sizeof limits,
                                     .memory = 4 << 20,
                                     .step_instructions = 200000,
                                     .instructions = 2000000,
                                     .seconds = 2,
                                     .finish_seconds = 0.2,
                                     .tasks = 50,
                                     .handles = 50};
  static const neap_Sandbox sandbox = {.size = sizeof sandbox};
  neap_Options options = {.size = sizeof options, .limits = &limits,
                          .sandbox = &sandbox, .write = on_write};
  Input in = {data, size};
  uv_timer_t patience;
  uv_loop_t loop;
  neap_Vm *vm;
  lua_State *L;
  if (uv_loop_init(&loop) < 0) abort();
  options.loop = &loop;
  vm = neap_vm_new(&options);
  if (vm == NULL) abort();
  L = neap_state(vm);
  uv_timer_init(&loop, &patience);
  patience.data = vm;
  uv_timer_start(&patience, on_patience, PATIENCE, PATIENCE);
  lua_pushcfunction(L, run);
  lua_pushlightuserdata(L, &in);
  (void)lua_pcall(L, 1, 0, 0);
  uv_close((uv_handle_t *)&patience, NULL);
  neap_vm_free(vm);
  while (uv_run(&loop, UV_RUN_DEFAULT) != 0) {
  }
  if (uv_loop_close(&loop) < 0) abort();
  if (access(ESCAPED, F_OK) == 0) abort();
  return 0;
}
