/*
 * nomem_limits.c - memory runs out at every place where it can, in a machine
 * with limits and a sandbox. See nomem.h.
 */
#define _GNU_SOURCE
#define USUAL_STEP 307
#include "nomem.h"

static const char *const scripts[] = {
  /* lives that end while they wait, steps that are stopped, finalizers */
  "local function ends(f)\n"
  "  local t = asyncio.create_task(async(f)())\n"
  "  await asyncio.wait({t})\n"
  "  local e = t:exception() or 'not enough memory, which was caught'\n"
  "  if not asyncio.iserror(e) or e.code == nil then error(e, 0) end\n"
  "  return e.code\n"
  "end\n"
  "local mt = {__gc = function(o) o[1] = 1 end}\n"
  "local a = ends(function() local _ <close> = asyncio.defer(function()\n"
  "  end) while true do setmetatable({}, mt) end end)\n"
  "local b = ends(function() pcall(asyncio.catch, function()\n"
  "  coroutine.wrap(function() while true do end end)() end) end)\n"
  "local async function lives()\n"
  "  local _ <close> = asyncio.defer(function() end)\n"
  "  await asyncio.gather(asyncio.sleep(1e6), asyncio.Future())\n"
  "end\n"
  "local tg = asyncio.create_task(lives())\n"
  "tg:cancel()\n"
  "await asyncio.wait({tg})\n"
  "return a == 'STEP_INSTRUCTIONS' and a == b and 'done'\n",

  /* what is permitted, and what is not */
  "local fs, net = require 'neap.fs', require 'neap.net'\n"
  "local function refused(f, ...)\n"
  "  local ok, e = pcall(f, ...)\n"
  "  if ok or not asyncio.iserror(e) or e.code ~= 'EPERM' then\n"
  "    error(e, 0) end\n"
  "end\n"
  "refused(function() await fs.read_file '/etc/hostname' end)\n"
  "refused(function() await net.connect('127.0.0.1', 9) end)\n"
  "refused(function() net.listen{} end)\n"
  "local top <close> = await fs.temp_dir{dir = DIRECTORY}\n"
  "await fs.write_file(top:path 'a', 'text', {atomic = true})\n"
  "await fs.copy(top:path 'a', top:path 'b')\n"
  "await fs.mkdir(top:path 'c/d', {parents = true})\n"
  "await fs.rename(top:path 'b', top:path 'c/d/b')\n"
  "await fs.symlink('../a', top:path 'c/link')\n"
  "local n = 0\n"
  "for _ in fs.walk(top:path()) do n = n + 1 end\n"
  "assert(await fs.read_file(top:path 'c/link') == 'text')\n"
  "do local file <close> = await fs.open(top:path 'c/d/b', 'r+')\n"
  "  await file:write 'T' await file:seek('set', 0)\n"
  "  assert(await file:read(4) == 'Text') end\n"
  "do local s <close> = net.listen{path = top:path 's'}\n"
  "  local x <close> = await net.connect{path = top:path 's'}\n"
  "  local y <close> = await s:accept()\n"
  "  local buffer = net.buffer(10)\n"
  "  await x:write(net.buffer(4):set 'four')\n"
  "  assert(await y:read_into(buffer) == 4) end\n"
  "package.path = top:path '?.lua'\n"
  "await fs.write_file(top:path 'm.lua', 'return await asyncio.sleep(0, 8)')\n"
  "assert(require 'm' == 8)\n"
  "return n > 4 and 'done'\n",
};

static char directory[] = "/tmp/neap-nomem-dir-XXXXXX";

static int set_directory(lua_State *L) {
  lua_pushstring(L, directory);
  lua_setglobal(L, "DIRECTORY");
  return 0;
}

static void set_options(neap_Options *options) {
  static const char *const paths[] = {directory, NULL};
  static const neap_Sandbox sandbox = {.size = sizeof sandbox, .read = paths,
                                       .write = paths};
  static const neap_Limits limits = {.size = sizeof limits,
                                     .memory = 64 << 20,
                                     .step_instructions = 100000,
                                     .task_life_seconds = 100, .tasks = 100};
  options->limits = &limits;
  options->sandbox = &sandbox;
}

int main(void) {
  char command[128];
  int failed;
  if (mkdtemp(directory) == NULL) return 1;
  nomem_setup = set_directory;
  nomem_options = set_options;
  failed = nomem_run(scripts, sizeof scripts / sizeof *scripts, 1);
  snprintf(command, sizeof command, "rm -rf '%s'", directory);
  return system(command) != 0 || failed;
}
