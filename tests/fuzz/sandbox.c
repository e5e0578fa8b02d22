/*
 * sandbox.c - fuzzes a limited machine in a sandbox with scripts: it may not
 * crash, hang, touch the world or keep anything. It may read and write in one
 * directory, IN; beside that is another one, with a secret.
 *
 * The input is a script. So that chance comes further than to syntax errors,
 * one that does not load is taken as a list of numbers, each of which is a
 * line of the table below: pieces of attacks, put one after the other.
 */
#include <dirent.h>
#include <ftw.h>
#include <lauxlib.h>
#include <lua.h>
#include <neap.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
   "  require 'neap.process'"),
  "await asyncio.Future()", "asyncio.catch(await, asyncio.sleep(1e6))",
  "await asyncio.shield(a)", "await asyncio.wait_for(a, 1e6)",
  "await asyncio.wait({a})", "await asyncio.gather(a, b)", "await b",
  "for x in asyncio.as_completed({a}) do b = x end", "a:cancel() await a",
  "a = asyncio.Lock()", "await a:acquire()", "a:release()",
  "a = asyncio.Condition()", "await a:wait()", "a:notify_all()",
  "a = asyncio.Barrier(2)", "a = asyncio.Event()", "await a:get()",
  "b:set_result(a, b, c)", "b:set_exception(a)", "b = a:exception()",
  "asyncio.current_task():cancel()", "asyncio.dump_tasks()",
  "for _, t in ipairs(asyncio.all_tasks()) do t:cancel() end",
  "a = coroutine.wrap(function() await asyncio.sleep(0) end)",
  "a = coroutine.create(function() await asyncio.Future() end)",
  "for k in coroutine.wrap(a) do b = k end", "coroutine.wrap(a)(b)",
  "setmetatable(a, {__await = b})", "setmetatable(a, {__mode = 'k'})",
  "setmetatable(a, {__gc = b}) a = nil collectgarbage()",
  "getmetatable('').__index = a", "getmetatable('').__add = b", "b = c + c",
  "string.rep = a", "table.unpack = a", "error = a", "select = b",
  "setmetatable(_G, {__index = a, __newindex = b})", "_ENV = a",
  "package.loaded['neap.fs'] = nil", "package.preload.x = a require 'x'",
  "package.searchers[1] = a", "package.path = c", "asyncio.defer = a",
  "asyncio.Error.new = a", "asyncio.Error.__index = a", "b = a[1]:find(c)",
  "for k, v in pairs(getmetatable(a) or {}) do pcall(v, a, b) end",
  "a = require 'neap.arguments'", "a, b = net.pair()", "await a:write(c)",
  "await b:read(1)", "b = await a:read_until(c)", "a:close()",
  "asyncio.create_task(async(function() await a:read_all() end)())",
  "local _ <close> = a", "local _ <close>, x = net.pair()",
  "a = asyncio.ContextVar(c)", "a:set(b)", "b = a:get()",
  "a = table.pack(table.unpack({}, 1, 100000))", "a = a[#a]", "b(a, a, a)",
  "for i = 1, 1e5 do a[i] = '' end", "c = table.concat(a)",
  "for i = 1, #a do a[i] = nil end", "while true do next(a) end",
  "for k in c:gmatch(c) do b = k end", "c = c:format(a, b, c)",
  "c = c:pack(1, 2, 3)", "a = {c:unpack(c)}", "c = utf8.char(0x7fffffff)",
  "for p in utf8.codes(c) do a = p end", "c = load", "c = '\\27Lua'",
  "c = string.rep('(', 200)", "a = load(function() return c end)",
  "fs.watch '/tmp'", "for e in fs.walk '/' do a = e end",
  "a = fs.temp_dir()", "a = net.resolve 'localhost'",
  "a = net.connect{path = '/tmp/neap-fuzz'}", "a = net.listen{path = c}",
  "a = IN", "a = IN .. '/a'", "b = IN .. '/a/b'", "b = a .. '/../out'",
  "b = a .. '/secret'", "c = '../out'", "c = '../../out/secret'",
  "await fs.mkdir(a)", "await fs.mkdir(b, {parents = true})",
  "await fs.symlink(c, a)", "await fs.symlink(c, b)",
  "await fs.symlink(a, b)", "await fs.rename(a, b)", "await fs.link(a, b)",
  "await fs.copy(a, b)", "await fs.write_file(a, 'x')",
  "await fs.write_file(b, 'x', {atomic = true})",
  "print(await fs.read_file(b))",
  "print(await (await fs.open(a, 'r+')):read(100))", "await fs.remove(a)",
  "await fs.remove(b, {recursive = true})", "await fs.chmod(b, '777')",
  "for e in fs.scandir(b) do print(e.name) end", "await fs.truncate(a, 0)",
  "for p in fs.walk(IN, {follow = true}) do print(p) end",
  "await fs.temp_file{dir = b}", "print(pcall(dofile, b))",
  "package.path = IN .. '/?;' .. b pcall(require, 'secret')",
  "asyncio.create_task(fs.rename(a, b))", "asyncio.create_task(fs.mkdir(b))",
  "asyncio.create_task(fs.symlink(c, b))",
  "asyncio.create_task(fs.write_file(b, 'x'))",
  "asyncio.create_task(fs.copy(a, b))",
  "asyncio.create_task(async(function(p) print(await fs.read_file(p)) end)(b))",
  "await net.listen{path = a}", "await net.connect{path = a}"};

#define ESCAPED "/tmp/neap-fuzz-escaped"
#define SECRET "7f1e5ec2e7"
#define LINES (sizeof lines / sizeof *lines)

static void on_write(neap_Vm *vm, int fd, const char *text, size_t length) {
  (void)vm;
  (void)fd;
  if (memmem(text, length, SECRET, strlen(SECRET)) != NULL) abort();
}

/* == The world: a directory for scripts, and one beside it ============= */

static char top[64], inside[80], outside[80], secret[100];

static int drop(const char *path, const struct stat *st, int type,
                struct FTW *at) {
  (void)st;
  (void)type;
  (void)at;
  return remove(path);
}

static void make_world(void) {
  FILE *file;
  snprintf(top, sizeof top, "/tmp/neap-fuzz-XXXXXX");
  if (mkdtemp(top) == NULL) abort();
  snprintf(inside, sizeof inside, "%s/in", top);
  snprintf(outside, sizeof outside, "%s/out", top);
  snprintf(secret, sizeof secret, "%s/secret", outside);
  if (mkdir(inside, 0755) < 0 || mkdir(outside, 0755) < 0) abort();
  file = fopen(secret, "w");
  if (file == NULL || fputs(SECRET, file) < 0 || fclose(file) != 0) abort();
}

/* Nothing was changed but in the directory for that. */
static void remove_world(void) {
  struct dirent *entry;
  struct stat st;
  DIR *dir = opendir(outside);
  int n = 0;
  if (dir == NULL) abort();
  while ((entry = readdir(dir)) != NULL) n++;
  closedir(dir);
  if (n != 3 || stat(secret, &st) < 0 || st.st_mode & 0111 ||
      st.st_size != (off_t)strlen(SECRET) || st.st_nlink != 1)
    abort();
  if (access(ESCAPED, F_OK) == 0) abort();
  if (nftw(top, drop, 16, FTW_DEPTH | FTW_PHYS) != 0) abort();
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
                                     .task_life_seconds = 0.05,
                                     .finish_seconds = 0.2,
                                     .tasks = 50,
                                     .handles = 50};
  const char *paths[] = {inside, NULL};
  neap_Sandbox sandbox = {.size = sizeof sandbox, .read = paths,
                          .write = paths};
  neap_Options options = {.size = sizeof options, .limits = &limits,
                          .sandbox = &sandbox, .write = on_write};
  Input in = {data, size};
  neap_Vm *vm;
  lua_State *L;
  make_world();
  vm = neap_vm_new(&options);
  if (vm == NULL) abort();
  L = neap_state(vm);
  lua_pushstring(L, inside);
  lua_setglobal(L, "IN");
  lua_pushcfunction(L, run);
  lua_pushlightuserdata(L, &in);
  (void)lua_pcall(L, 1, 0, 0);
  neap_vm_free(vm);
  remove_world();
  return 0;
}
