/*
 * junk.c - whatever function of the library a script in a sandbox gets hold
 * of, it may call with anything: the host stays whole.
 *
 * The script goes through all tables that it can reach, methods of objects
 * too, and calls each function that it finds with many kinds of values, in
 * tasks that are cancelled afterwards.
 */
#include <lauxlib.h>
#include <lua.h>
#include <neap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char script[] =
    "local function try(f, ...) return pcall(f, ...) end\n"
    "local objects = {}\n"
    "local function add(f, ...)\n"
    "  local t = table.pack(pcall(f, ...))\n"
    "  for i = 2, t[1] and t.n or 1 do objects[#objects + 1] = t[i] end\n"
    "end\n"
    "if UNCHECKED then\n"
    "  local checks = require 'neap.arguments'\n"
    "  for k, v in pairs(checks) do\n"
    "    if type(v) == 'function' then checks[k] = function() end end\n"
    "  end\n"
    "  checks.options = function(_, o)\n"
    "    return type(o) == 'table' and o or {} end\n"
    "end\n"
    "local fs, net = require 'neap.fs', require 'neap.net'\n"
    "local process = require 'neap.process'\n"
    "require 'neap.arguments' try(require, 'neap.ps')\n"
    "add(net.pair) add(net.udp, {}) add(net.buffer, 100)\n"
    "add(asyncio.Future)\n"
    "add(asyncio.create_task, asyncio.sleep(1e6)) add(asyncio.timeout, 1e6)\n"
    "add(asyncio.defer, print) add(asyncio.Lock) add(asyncio.Queue)\n"
    "add(asyncio.TaskGroup) add(asyncio.Event) add(asyncio.Condition)\n"
    "add(asyncio.PriorityQueue) add(asyncio.Semaphore, 1)\n"
    "add(asyncio.Barrier, 2) add(asyncio.ContextVar, 'x')\n"
    "add(asyncio.Error.new, 'x') add(asyncio.get_running_loop)\n"
    "add(asyncio.sleep, 1) add(asyncio.gather, asyncio.sleep(1e6))\n"
    "add(function() return asyncio.get_running_loop():call_later(1e6,\n"
    "  function() end) end)\n"
    "add(function() return await fs.open(IN .. '/file') end)\n"
    "add(function() return await fs.temp_dir{dir = IN} end)\n"
    "add(function() return await fs.temp_file{dir = IN} end)\n"
    "add(fs.scandir, IN) add(fs.watch, IN) add(fs.walk, IN)\n"
    "add(function() return await net.listen{path = IN .. '/s'} end)\n"
    "add(function() return require 'neap.net'.tls_context{verify = false}\n"
    "  end)\n"
    "local seen, functions = {}, {}\n"
    "local skip = {[print] = 1, [pcall] = 1, [xpcall] = 1, [error] = 1,\n"
    "  [collectgarbage] = 1, [load] = 1, [warn] = 1,\n"
    "  [asyncio.run] = 1, [asyncio.dump_tasks] = 1}\n"
    "local function walk(t, name)\n"
    "  if seen[t] then return end\n"
    "  seen[t] = true\n"
    "  if type(t) == 'function' then\n"
    "    if not skip[t] then functions[#functions + 1] = {name, t} end\n"
    "    return\n"
    "  end\n"
    "  local meta = getmetatable(t)\n"
    "  if type(meta) == 'table' then walk(meta, name .. '.meta') end\n"
    "  if type(t) ~= 'table' then return end\n"
    "  pcall(function() for k, v in pairs(t) do\n"
    "    local type = type(v)\n"
    "    if type == 'table' or type == 'function' or type == 'userdata' then\n"
    "      walk(v, name .. '.' .. tostring(k))\n"
    "    end\n"
    "  end end)\n"
    "end\n"
    "walk(_G, '_G')\n"
    "for i, o in ipairs(objects) do\n"
    "  if type(o) ~= 'number' and type(o) ~= 'string' then\n"
    "    walk(o, 'object' .. i)\n"
    "  end\n"
    "end\n"
    "local values = {false, true, 0, -1, 1, 1 << 62, 0/0, 1.5, '', 'x',\n"
    "  ('x'):rep(300), '127.0.0.1', '\\0', {}, {1, 2}, print, load, walk,\n"
    "  coroutine.create(print), setmetatable({}, {__index = function()\n"
    "    return 1 end, __len = function() return 5 end})}\n"
    "for _, o in ipairs(objects) do values[#values + 1] = o end\n"
    "local n, seed = #values, SEED\n"
    "local function random(k)\n"
    "  seed = seed * 6364136223846793005 + 1442695040888963407\n"
    "  return (seed >> 33) % k + 1\n"
    "end\n"
    "local function value()\n"
    "  local i = random(n + 1)\n"
    "  return values[i]\n"
    "end\n"
    "local function call(f, ...)\n"
    "  local ok, r = pcall(f, ...)\n"
    "  if ok and asyncio.iscoroutine(r) then\n"
    "    ok, r = pcall(asyncio.create_task, r)\n"
    "    await asyncio.sleep(0)\n"
    "    if ok then r:cancel() end\n"
    "  end\n"
    "end\n"
    "local done = 0\n"
    "for round = 1, ROUNDS do\n"
    "  for _, f in ipairs(functions) do\n"
    "    if TELL then print(f[1]) end\n"
    "    local task = asyncio.create_task((async function()\n"
    "      if round == 1 then call(f[2]) call(f[2], nil, nil) end\n"
    "      call(f[2], value())\n"
    "      call(f[2], value(), value())\n"
    "      call(f[2], value(), value(), value())\n"
    "      call(f[2], objects[random(#objects)], value(), value(), value())\n"
    "    end)())\n"
    "    done = done + 1\n"
    "    for i = 1, 10 do\n"
    "      if task:done() then break end\n"
    "      asyncio.catch(asyncio.sleep, 0)\n"
    "      asyncio.catch(function() await asyncio.sleep(0) end)\n"
    "    end\n"
    "    task:cancel()\n"
    "  end\n"
    "end\n"
    "return done";

static char directory[64];

/* What it prints is junk as well. */
static void on_write(neap_Vm *vm, int fd, const char *text, size_t length) {
  (void)vm;
  if (getenv("JUNK_TELL") != NULL)
    fprintf(stderr, "%d: %.*s", fd, (int)length, text);
}

/* `unchecked`: the script has replaced what checks arguments in Lua halves. */
static int run(long seed, int rounds, int unchecked, int tell) {
  const char *paths[] = {directory, NULL};
  neap_Sandbox sandbox = {.size = sizeof sandbox, .read = paths,
                          .write = paths};
  neap_Limits limits = {.size = sizeof limits, .memory = 64 << 20,
                        .task_instructions = 200000000, .finish_seconds = 2,
                        .step_instructions = 5000000};
  neap_Options options = {.size = sizeof options, .sandbox = &sandbox,
                          .limits = &limits, .write = on_write};
  neap_Vm *vm = neap_vm_new(&options);
  lua_State *L;
  int status;
  if (vm == NULL) return 1;
  L = neap_state(vm);
  lua_pushstring(L, directory);
  lua_setglobal(L, "IN");
  lua_pushinteger(L, seed);
  lua_setglobal(L, "SEED");
  lua_pushinteger(L, rounds);
  lua_setglobal(L, "ROUNDS");
  lua_pushboolean(L, unchecked);
  lua_setglobal(L, "UNCHECKED");
  lua_pushboolean(L, tell);
  lua_setglobal(L, "TELL");
  status = neap_dostring(vm, script, "=junk");
  if (status != LUA_OK) printf("%s\n", luaL_tolstring(L, -1, NULL));
  else if (tell) printf("%d functions\n", (int)lua_tointeger(L, -1));
  /* Junk may have ended it: what counts is that all is whole. */
  neap_vm_free(vm);
  return 0;
}

int main(int argc, char **argv) {
  char command[100];
  long seed = argc > 1 ? atol(argv[1]) : 1;
  int failed;
  signal(SIGPIPE, SIG_IGN); /* as hosts do whose scripts write to sockets */
  snprintf(directory, sizeof directory, "/tmp/neap-junk-XXXXXX");
  if (mkdtemp(directory) == NULL) return 1;
  snprintf(command, sizeof command, "echo text > %s/file", directory);
  failed = system(command) != 0 ||
           run(seed, argc > 2 ? atoi(argv[2]) : 2, 0, argc > 3) ||
           run(seed, argc > 2 ? atoi(argv[2]) : 1, 1, argc > 3);
  snprintf(command, sizeof command, "rm -rf %s", directory);
  return system(command) != 0 || failed;
}
