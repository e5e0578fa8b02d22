/*
 * sandbox.c - a script in a sandbox touches what is permitted, and nothing
 * else.
 *
 * Each attack is a script that tries to get out; it ends with an error or
 * returns what it found. A file outside, with a word in it that no script
 * may give back, and a directory outside, which must not change, are there
 * to be reached: by paths, links, races of names, modules' insides and what
 * Lua's libraries have left.
 */
#include <arpa/inet.h>
#include <lauxlib.h>
#include <lua.h>
#include <neap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int failures;

#define expect(what, name) \
  ((what) ? (void)0 : (void)(failures++, printf("%s:%d: %s: not so: %s\n", \
                                                __FILE__, __LINE__, name, \
                                                #what)))

/* == The world ========================================================= */

static char top[64], in[80], out[80], program[200];

static void put(const char *directory, const char *name, const char *text) {
  char path[200];
  FILE *file;
  snprintf(path, sizeof path, "%s/%s", directory, name);
  file = fopen(path, "w");
  if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) abort();
}

static void make_world(void) {
  char path[200];
  snprintf(top, sizeof top, "%s/neap-sandbox-XXXXXX",
           getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
  if (mkdtemp(top) == NULL) abort();
  snprintf(in, sizeof in, "%s/in", top);
  snprintf(out, sizeof out, "%s/out", top);
  if (mkdir(in, 0755) < 0 || mkdir(out, 0755) < 0) abort();
  put(in, "file", "within");
  put(in, "module.lua", "return 'a module'");
  put(out, "secret", "SECRET");
  put(out, "module2.lua", "return 'SECRET'");
  snprintf(path, sizeof path, "%s/link", in);
  if (symlink(out, path) < 0) abort();
  snprintf(path, sizeof path, "%s/leads", in);
  if (symlink("../out/secret", path) < 0) abort();
  snprintf(path, sizeof path, "%s/dangling", in);
  if (symlink("../out/new", path) < 0) abort();
  snprintf(path, sizeof path, "%s/inner", in);
  if (symlink("file", path) < 0) abort();
}

static void remove_world(void) {
  char command[200];
  snprintf(command, sizeof command, "rm -rf '%s'", top);
  if (system(command) != 0) abort();
}

/* 1 if nothing outside has changed. */
static int is_whole(void) {
  char command[500];
  snprintf(command, sizeof command,
           "test \"$(cd '%s' && ls -a | tr '\\n' ' ')\" = "
           "'. .. module2.lua secret ' && "
           "test \"$(cat '%s/secret')\" = SECRET && "
           "test -w '%s/secret' -a ! -x '%s/secret'", out, out, out, out);
  return system(command) == 0;
}

/* == Hosts ============================================================ */

typedef struct Host {
  neap_Vm *vm;
  lua_State *L;
} Host;

static void host_open(Host *host, const neap_Sandbox *sandbox) {
  static const neap_Limits limits = {.size = sizeof limits,
                                     .memory = 64 << 20, .seconds = 60};
  neap_Options options = {.size = sizeof options, .sandbox = sandbox,
                          .limits = &limits};
  host->vm = neap_vm_new(&options);
  if (host->vm == NULL) abort();
  host->L = neap_state(host->vm);
  lua_pushstring(host->L, in);
  lua_setglobal(host->L, "IN");
  lua_pushstring(host->L, out);
  lua_setglobal(host->L, "OUT");
}

/* Permits the directory inside, and nothing else. */
static void host_open_in(Host *host) {
  const char *paths[] = {in, NULL};
  neap_Sandbox sandbox = {.size = sizeof sandbox, .read = paths,
                          .write = paths};
  host_open(host, &sandbox);
}

/* What the script returned, as text, or its error. */
static const char *run(Host *host, const char *script, int *status) {
  *status = neap_dostring(host->vm, script, "=script");
  if (*status == LUA_OK && lua_gettop(host->L) == 0) lua_pushnil(host->L);
  return luaL_tolstring(host->L, *status == LUA_OK ? 1 : -1, NULL);
}

static void finish(Host *host) { neap_vm_free(host->vm); }

/* == What is permitted ================================================ */

static void test_inside(void) {
  Host host;
  int status;
  const char *result;
  host_open_in(&host);
  result = run(&host,
    "local fs = require 'neap.fs'\n"
    "assert(await fs.read_file(IN .. '/file') == 'within')\n"
    "assert(await fs.read_file(IN .. '/inner') == 'within')\n"
    "assert(await fs.read_file(IN .. '/../in/./file') == 'within')\n"
    "await fs.write_file(IN .. '/new', 'x')\n"
    "await fs.write_file(IN .. '/new', 'y', {atomic = true})\n"
    "await fs.append_file(IN .. '/new', 'z')\n"
    "assert(await fs.read_file(IN .. '/new') == 'yz')\n"
    "await fs.mkdir(IN .. '/a/b/c', {parents = true})\n"
    "await fs.rename(IN .. '/new', IN .. '/a/new')\n"
    "await fs.copy(IN .. '/file', IN .. '/a/copy')\n"
    "await fs.link(IN .. '/file', IN .. '/a/hard')\n"
    "await fs.symlink('../file', IN .. '/a/soft')\n"
    "assert(await fs.read_file(IN .. '/a/soft') == 'within')\n"
    "assert(await fs.readlink(IN .. '/leads') == '../out/secret')\n"
    "assert((await fs.lstat(IN .. '/leads')).type == 'link')\n"
    "await fs.chmod(IN .. '/a/copy', '600') await fs.utime(IN .. '/a/copy')\n"
    "do local f <close> = await fs.open(IN .. '/a/f', 'w+')\n"
    "  await f:write 'abc' end\n"
    "do local t <close> = await fs.temp_file{dir = IN}\n"
    "  local d <close> = await fs.temp_dir{dir = IN, prefix = ''}\n"
    "  assert(d:path():sub(1, #IN + 1) == IN .. '/') end\n"
    "local n = 0 for _ in fs.walk(IN) do n = n + 1 end\n"
    "assert(n > 5) assert(#await fs.glob('*', {root = IN}) > 2)\n"
    "await fs.remove(IN .. '/a', {recursive = true})\n"
    "package.path = IN .. '/?.lua'\n"
    "assert(require 'module' == 'a module')\n"
    "assert(dofile(IN .. '/module.lua') == 'a module')\n"
    "do local net = require 'neap.net'\n"
    "  local s <close> = net.listen{path = IN .. '/socket'}\n"
    "  local a <close> = await net.connect{path = IN .. '/socket'}\n"
    "  local b <close> = await s:accept() await a:write 'x'\n"
    "  assert(await b:read() == 'x' and a:peername().path == IN .. '/socket')\n"
    "end\n"
    "local a, b = require 'neap.net'.pair() await a:write 'x'\n"
    "assert(await b:read() == 'x')\n"
    "assert(load 'return 1'() == 1 and os.time() > 0)\n"
    "assert(debug.traceback() and os.getenv 'PATH' == nil)\n"
    "return 'fine'", &status);
  expect(strcmp(result, "fine") == 0, result);
  finish(&host);
}

/* == Attacks ========================================================== */

static const char *const attacks[] = {
  /* paths */
  "return await fs.read_file(OUT .. '/secret')",
  "return await fs.read_file(IN .. '/../out/secret')",
  "return await fs.read_file(IN .. '/link/secret')",
  "return await fs.read_file(IN .. '/leads')",
  "return await fs.read_file(IN .. '/link/../out/secret')",
  "return await fs.read_file(IN .. '/file/../../out/secret')",
  "return await fs.read_file(IN .. 'x/../out/secret')",
  "return await fs.read_file('/proc/self/root' .. OUT .. '/secret')",
  "return await fs.read_file('/proc/self/cwd/../../../../../..' .. OUT ..\n"
  "  '/secret')",
  "return await fs.read_file('/proc/self/environ')",
  "return await fs.read_file('/proc/self/fd/0')",
  "return await fs.read_file('/dev/fd/0')",
  "return await fs.read_file(IN .. '/file\\0/../../out/secret')",
  "return await fs.read_file('//' .. OUT .. '//secret')",
  "return await fs.read_file(OUT:sub(2) .. '/secret')",
  "return (await fs.stat(OUT .. '/secret')).size",
  "return (await fs.lstat(OUT .. '/secret')).size",
  "return await fs.exists(OUT .. '/secret')",
  "return await fs.exists(OUT .. '/nothing')",
  "return await fs.exists(IN .. '/link/nothing')",
  "return await fs.realpath(IN .. '/link')",
  "return await fs.readlink(OUT .. '/secret')",
  "return (await fs.open(IN .. '/leads')):path()",
  "return await (await fs.open(IN .. '/link/secret', 'r+')):read(100)",
  "for e in fs.scandir(OUT) do return 'seen' end error 'no'",
  "for e in fs.scandir(IN .. '/link') do return 'seen' end error 'no'",
  "for p in fs.walk(OUT) do return 'seen' end error 'no'",
  "for p in fs.walk(IN, {follow = true}) do\n"
  "  if p:find 'secret' then return 'SECRET' end end error 'no'",
  "return (await fs.glob('*', {root = OUT}))[1].x",
  "return fs.watch(OUT):next().x",
  /* writing */
  "await fs.write_file(OUT .. '/new', 'x') return 1",
  "await fs.write_file(IN .. '/dangling', 'x') return 1",
  "await fs.write_file(IN .. '/dangling', 'x', {atomic = true}) return 1",
  "await fs.write_file(IN .. '/leads', 'x') return 1",
  "await fs.append_file(IN .. '/link/secret', 'x') return 1",
  "await fs.open(IN .. '/dangling', 'w') return 1",
  "await fs.open(IN .. '/dangling', 'a+') return 1",
  "await fs.mkdir(OUT .. '/d') return 1",
  "await fs.mkdir(IN .. '/link/d/e', {parents = true}) return 1",
  "await fs.mkdir(IN .. '/no/../../out/d', {parents = true}) return 1",
  "await fs.remove(OUT .. '/secret') return 1",
  "await fs.remove(IN .. '/link/secret') return 1",
  "await fs.remove(IN .. '/link/', {recursive = true}) return 1",
  "await fs.remove(IN .. '/..', {recursive = true}) return 1",
  "await fs.rename(OUT .. '/secret', IN .. '/s') return 1",
  "await fs.rename(IN .. '/file', OUT .. '/s') return 1",
  "await fs.rename(IN .. '/link/secret', IN .. '/s') return 1",
  "await fs.link(OUT .. '/secret', IN .. '/s')\n"
  "return await fs.read_file(IN .. '/s')",
  "await fs.link(IN .. '/link/secret', IN .. '/s')\n"
  "return await fs.read_file(IN .. '/s')",
  "await fs.link(IN .. '/file', OUT .. '/s') return 1",
  "await fs.symlink(OUT, IN .. '/s') return 1",
  "await fs.symlink('../out/secret', IN .. '/s') return 1",
  "await fs.symlink('file', OUT .. '/s') return 1",
  "await fs.symlink('link/secret', IN .. '/s') return 1",
  "await fs.copy(OUT .. '/secret', IN .. '/s') return 1",
  "await fs.copy(IN .. '/file', OUT .. '/s') return 1",
  "await fs.copy(IN .. '/leads', IN .. '/s')\n"
  "return await fs.read_file(IN .. '/s')",
  "await fs.copy(IN .. '/link', IN .. '/s', {recursive = true})\n"
  "return await fs.read_file(IN .. '/s/secret')",
  "await fs.chmod(OUT .. '/secret', '777') return 1",
  "await fs.chmod(IN .. '/leads', '777') return 1",
  "await fs.utime(IN .. '/leads', 0) return 1",
  "await fs.temp_file{dir = OUT} return 1",
  "await fs.temp_dir{dir = IN .. '/link'} return 1",
  "await fs.temp_file() return 1",
  "await fs.temp_dir{dir = IN, prefix = '../out/x'} return 1",
  "await fs.mkdir(IN .. ('/x'):rep(1500), {parents = true}) return 1",
  "await fs.write_file(IN .. ('/x'):rep(1500), 'x') return 1",
  "for i = 1, 60 do\n"
  "  await fs.symlink(i == 1 and 'file' or 'l' .. i - 1, IN .. '/l' .. i)\n"
  "end return await fs.read_file(IN .. '/l60')",
  /* Lua's libraries */
  "return io.open(OUT .. '/secret'):read 'a'",
  "return os.execute 'true'", "return os.tmpname()",
  "return os.remove(OUT .. '/secret')", "os.exit(1)", "os.exit(1, true)",
  "return os.setlocale 'C' .. ''",
  "return package.loaded.io.open", "return package.loaded.os.execute()",
  "return require 'io'.open", "return require 'debug'.getregistry()",
  "return debug.getregistry()", "return debug.getinfo(1)",
  "return debug.getupvalue(load, 1)", "return debug.sethook()",
  "return string.dump(function() end)", "return ('').dump(function() end)",
  "return package.loadlib('libc.so.6', '*')",
  "package.cpath = '/usr/lib/?.so' return require 'lua_x'",
  "return assert(loadfile(OUT .. '/module2.lua'))()",
  "return assert(loadfile(IN .. '/link/module2.lua'))()",
  "return dofile(OUT .. '/module2.lua')", "return assert(loadfile())()",
  "package.path = OUT .. '/?.lua' return require 'module2'",
  "package.path = IN .. '/link/?.lua' return require 'module2'",
  "return assert(package.searchpath('module2', OUT .. '/?.lua'))",
  "assert(type(package.searchers[2]('neap.fs.core')) == 'function')",
  "return require 'neap.fs.core'.read_file", "return require 'neap.net.tls'",
  "package.searchers[4]('x')",
  "return assert(load('\\27Lua'))", "return assert(load('\\27Lua', 'x', 'b'))",
  "return assert(load(function() return nil end, '=stdlib/x', 'b'))()",
  "return load('return require \"neap.fs.core\"', '=stdlib/fs/x.lua')()",
  "return load('return io.x', 'x', 't', _ENV)()",
  "return getmetatable(fs).__index.x",
  "return getmetatable(require 'neap.net'.pair()).__gc(1)",
  "return getmetatable(require 'neap.net'.pair()).__close(1)",
  "return getmetatable(asyncio.Future()).__gc()",
  "return getmetatable(asyncio).__index(asyncio, '_load').x",
  "for k, v in pairs(asyncio) do if k == '_load' then return k end end\n"
  "error 'no'",
  "return asyncio._load 'neap.asyncio.run'", "return next(asyncio).x",
  "asyncio._part, asyncio.defer = error, function(f) return f end\n"
  "asyncio.Event() net.udp{} error 'fine'",
  "return rawget(asyncio, '_load')()",
  "return (select(2, xpcall(error, debug.traceback))).x()",
  /* the network */
  "return await net.connect('127.0.0.1', PORT)",
  "return await net.connect('localhost', PORT)",
  "return await net.connect('::ffff:127.0.0.1', PORT)",
  "return await net.connect('0.0.0.0', PORT)",
  "return await net.connect('127.1', PORT)",
  "return await net.connect('2130706433', PORT)",
  "return await net.connect{path = OUT .. '/socket'}",
  "return await net.connect{path = '/var/run/docker.sock'}",
  "return await net.resolve 'localhost'",
  "return await net.resolve('example.com', {type = 'TXT'})",
  "return await net.listen{host = '127.0.0.1', port = 0}",
  "return await net.listen{path = OUT .. '/s'}",
  "return await net.listen{path = IN .. '/link/s'}",
  "return net.udp{host = '127.0.0.1'}", "return net.udp{port = PORT}",
  "return await net.udp{}:send('x', '127.0.0.1', PORT)",
  "return net.udp{remote_host = '127.0.0.1', remote_port = PORT}",
  "net.udp{}:join '224.0.0.251' return 1",
  "local a = net.pair() return await a:sendfile(OUT .. '/secret')",
  "return require 'neap.net'._open_fd(0, 'x')",
  "return require 'neap.net'._open_fd(3, 'x'):read()",
  "return await net.connect('127.0.0.1', PORT, {tls = {\n"
  "  ca = OUT .. '/secret'}})",
  /* processes */
  "return await process.run{'true'}", "return process.spawn{'/bin/sh'}",
  "return process.spawn({'sh'}, {env = {PATH = OUT}})",
  "process.kill(process.pid, 'SIGTERM') return 1",
  "process.kill(1, 'SIGCONT') return 1",
  "return process.signals 'SIGUSR1'", "return await process.stdin:read()",
  "await process.stdout:write 'x' return 1",
  "return asyncio.get_running_loop():add_signal_handler('SIGUSR1', print)",
  "return require 'neap.repl'.run()", "return require 'neap.ps' '1'",
  NULL};

static int listen_somewhere(int *port) {
  struct sockaddr_in name = {.sin_family = AF_INET};
  socklen_t size = sizeof name;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (struct sockaddr *)&name, size) < 0 ||
      listen(fd, 5) < 0 ||
      getsockname(fd, (struct sockaddr *)&name, &size) < 0)
    abort();
  *port = ntohs(name.sin_port);
  return fd;
}

static void test_attacks(void) {
  static const char begin[] =
    "local fs, net = require 'neap.fs', require 'neap.net'\n"
    "local process = require 'neap.process'\n";
  char script[2048];
  int i, port, status, fd = listen_somewhere(&port);
  for (i = 0; attacks[i] != NULL; i++) {
    Host host;
    const char *result;
    host_open_in(&host);
    lua_pushinteger(host.L, port);
    lua_setglobal(host.L, "PORT");
    snprintf(script, sizeof script, "%s%s", begin, attacks[i]);
    result = run(&host, script, &status);
    if (getenv("SANDBOX_TELL") != NULL)
      printf("%s\n  --> %d %s\n", attacks[i], status, result);
    expect(status == LUA_ERRRUN, attacks[i]);
    expect(strstr(result, "SECRET") == NULL, attacks[i]);
    expect(!neap_exiting(host.vm, NULL), attacks[i]);
    finish(&host);
  }
  expect(is_whole(), "outside");
  close(fd);
}

/* == Swaps ============================================================ */

/*
 * All file threads are busy while something is asked for, and so is, before
 * it, that a link out takes the place of the directory A (or of the file in
 * it), which was looked at by then. The link led inside where it was made.
 */
static const char swap[] =
  "local fs = require 'neap.fs'\n"
  "local A = IN .. '/a' .. N\n"
  "await fs.mkdir(IN .. '/out', {parents = true})\n"
  "await fs.mkdir(IN .. '/d/e', {parents = true})\n"
  "await fs.mkdir(A) await fs.write_file(A .. '/secret', 'decoy')\n"
  "await fs.symlink('../out', IN .. '/d/link' .. N)\n"
  "await fs.symlink('../../out/secret', IN .. '/d/e/link' .. N)\n"
  "await fs.write_file(IN .. '/big', ('x'):rep(8 << 20))\n"
  "local all = {}\n"
  "local function ask(x) all[#all + 1] = asyncio.create_task(x) end\n"
  "for i = 1, 8 do ask(fs.copy(IN .. '/big', IN .. '/big' .. i)) end\n"
  "if FILE then ask(fs.rename(A .. '/secret', IN .. '/was' .. N))\n"
  "  ask(fs.rename(IN .. '/d/e/link' .. N, A .. '/secret'))\n"
  "else ask(fs.rename(A, IN .. '/was' .. N))\n"
  "  ask(fs.rename(IN .. '/d/link' .. N, A)) end\n"
  "ask((async function() %s end)())\n"
  "all = await asyncio.gather(all, {return_exceptions = true})\n"
  "return all[#all]";

static const char *const swapped[] = {
  "return await fs.read_file(A .. '/secret')",
  "return await (await fs.open(A .. '/secret')):read(100)",
  "await (await fs.open(A .. '/secret', 'r+')):write 'x'",
  "await fs.append_file(A .. '/secret', 'x')",
  "await fs.write_file(A .. '/secret', 'x')",
  "await fs.write_file(A .. '/secret', 'x', {atomic = true})",
  "await fs.write_file(A .. '/new', 'x')",
  "await fs.open(A .. '/new', 'w')",
  "await fs.mkdir(A .. '/new')",
  "await fs.mkdir(A .. '/new/e/w', {parents = true})",
  "await fs.remove(A .. '/secret')",
  "await fs.remove(A, {recursive = true})",
  "await fs.rename(A .. '/secret', IN .. '/got' .. N)",
  "await fs.rename(IN .. '/big', A .. '/new')",
  "await fs.link(A .. '/secret', IN .. '/got' .. N)\n"
  "return await fs.read_file(IN .. '/got' .. N)",
  "await fs.symlink('file', A .. '/new')",
  "await fs.copy(A .. '/secret', IN .. '/got' .. N)\n"
  "return await fs.read_file(IN .. '/got' .. N)",
  "await fs.copy(IN .. '/module.lua', A .. '/secret')",
  "await fs.copy(IN .. '/module.lua', A .. '/new')",
  "await fs.chmod(A .. '/secret', '777')",
  "if (await fs.stat(A .. '/secret')).size == 6 then return 'SECRET' end",
  "if await fs.exists(A .. '/module2.lua') then return 'SECRET' end",
  "if (await fs.realpath(A .. '/secret')):find(OUT, 1, true) then\n"
  "  return 'SECRET' end",
  "for e in fs.scandir(A) do\n"
  "  if e.name == 'module2.lua' then return 'SECRET' end end",
  "await fs.temp_dir{dir = A, keep = true}",
  "await fs.temp_file{dir = A, keep = true}",
  NULL};

static void test_swaps(void) {
  char script[2048];
  int i, file, status, n = 0;
  for (i = 0; swapped[i] != NULL; i++) {
    for (file = 0; file <= 1; file++) {
      Host host;
      const char *result;
      host_open_in(&host);
      lua_pushinteger(host.L, n++);
      lua_setglobal(host.L, "N");
      lua_pushboolean(host.L, file);
      lua_setglobal(host.L, "FILE");
      snprintf(script, sizeof script, swap, swapped[i]);
      result = run(&host, script, &status);
      if (getenv("SANDBOX_TELL") != NULL)
        printf("%s\n  --> %d %s\n", swapped[i], status, result);
      expect(status == LUA_OK, result);
      expect(strstr(result, "SECRET") == NULL, swapped[i]);
      finish(&host);
      expect(is_whole(), swapped[i]);
    }
  }
}

/* == Errors =========================================================== */

static void test_error(void) {
  Host host;
  int status;
  const char *result;
  host_open_in(&host);
  result = run(&host,
    "local ok, e = pcall(function()\n"
    "  await require 'neap.fs'.read_file(OUT .. '/secret') end)\n"
    "assert(asyncio.iserror(e, asyncio.PermissionError))\n"
    "assert(asyncio.iserror(e, asyncio.OSError))\n"
    "assert(e.permission == 'read' and e.path == OUT .. '/secret')\n"
    "assert(e.message:find('--allow-read=' .. OUT .. '/secret', 1, true))\n"
    "return e.code", &status);
  expect(strcmp(result, "EPERM") == 0, result);
  finish(&host);
}

/* == Lists ============================================================ */

typedef struct Case {
  const char *rule, *script;
  int ok;
} Case;

static void test_case(const Case *c, int list) {
  const char *rules[] = {c->rule, NULL}, *result;
  neap_Sandbox sandbox = {.size = sizeof sandbox};
  Host host;
  int status;
  if (list == 0) sandbox.connect = rules;
  if (list == 1) sandbox.listen = rules;
  if (list == 2) sandbox.run = rules;
  if (list == 3) sandbox.env = rules;
  if (list == 4) sandbox.read = rules;
  if (list == 5) sandbox.write = rules;
  host_open(&host, &sandbox);
  result = run(&host, c->script, &status);
  if ((status == LUA_OK) != c->ok)
    printf("%s: %s\n  %s\n", c->rule, c->script, result);
  expect((status == LUA_OK) == c->ok, c->script);
  finish(&host);
}

/* Connecting is permitted if the error is not about permissions. */
#define CONNECT(host) "local net = require 'neap.net'\n" \
  "local ok, e = pcall(function() (await net.connect(" host "))\n" \
  "  :close() end)\n" \
  "if not ok and e.code == 'EPERM' then error(e) end"
#define LISTEN(host) \
  "require 'neap.net'.listen{host = " host "}:close()"
#define SPAWN(argv, options) "local process = require 'neap.process'\n" \
  "return (await process.run({" argv "}, {" options "})).stdout"

static void test_lists(void) {
  static const Case connects[] = {
    {"127.0.0.1", CONNECT("'127.0.0.1', 1"), 1},
    {"127.0.0.1:1", CONNECT("'127.0.0.1', 1"), 1},
    {"127.0.0.1:2", CONNECT("'127.0.0.1', 1"), 0},
    {"127.0.0.1", CONNECT("'::ffff:127.0.0.1', 1"), 1},
    {"::ffff:127.0.0.1", CONNECT("'127.0.0.1', 1"), 1},
    {"[::1]:1", CONNECT("'::1', 1"), 1}, {"::1", CONNECT("'::1', 1"), 1},
    {"[::1]:1", CONNECT("'::1', 2"), 0},
    {"127.0.0.1", CONNECT("'127.0.0.2', 1"), 0},
    {"localhost", CONNECT("'localhost', 1"), 1},
    {"localhost:2", CONNECT("'localhost', 1"), 0},
    {"example.com", CONNECT("'localhost', 1"), 0},
    {"*", CONNECT("'127.0.0.1', 1"), 1},
    {"*:1", CONNECT("'127.0.0.1', 1"), 1},
    {"*:2", CONNECT("'127.0.0.1', 1"), 0},
    {"127.0.0.1", "await require 'neap.net'.udp{}:send('x', '127.0.0.1', 9)",
     1},
    {"127.0.0.1", LISTEN("'127.0.0.1'"), 0},
    {NULL, NULL, 0}};
  static const Case listens[] = {
    {"127.0.0.1", LISTEN("'127.0.0.1'"), 1},
    {"127.0.0.1:0", LISTEN("'127.0.0.1'"), 1},
    {"127.0.0.1:1", LISTEN("'127.0.0.1'"), 0},
    {"127.0.0.1", LISTEN("'0.0.0.0'"), 0}, {"*", LISTEN("'0.0.0.0'"), 1},
    {"localhost", LISTEN("'127.0.0.1'"), 1},
    {"127.0.0.1", CONNECT("'127.0.0.1', 1"), 0},
    {NULL, NULL, 0}};
  static const Case runs[] = {
    {"echo", SPAWN("'echo', 'x'", ""), 1}, {"echo", SPAWN("'ls'", ""), 0},
    {"echo", SPAWN("'/bin/../bin/ls'", ""), 0},
    {"/bin/echo", SPAWN("'/bin/echo', 'x'", ""), 1},
    {"*", SPAWN("'ls'", ""), 1},
    {"env", "assert(require 'neap.process'.run{'env'}"
            ":__x() == nil)", 0},
    {"env", "local r = await require 'neap.process'.run{'env'}\n"
            "assert(r.stdout == '', r.stdout)", 1},
    {"echo", SPAWN("'echo'", "env = {LD_PRELOAD = '/x.so'}"), 0},
    {"echo", SPAWN("'echo'", "cwd = '/'"), 0},
    {NULL, NULL, 0}};
  static const Case envs[] = {
    {"PATH", "assert(os.getenv 'PATH')", 1},
    {"PATH", "assert(os.getenv 'HOME')", 0},
    {"*", "assert(os.getenv 'PATH')", 1},
    {NULL, NULL, 0}};
  const Case *c;
  for (c = connects; c->rule != NULL; c++) test_case(c, 0);
  for (c = listens; c->rule != NULL; c++) test_case(c, 1);
  for (c = runs; c->rule != NULL; c++) test_case(c, 2);
  for (c = envs; c->rule != NULL; c++) test_case(c, 3);
}

/* What may only be read cannot be changed, and the other way round. */
static void test_paths(void) {
  Case reads[] = {
    {in, "return await require 'neap.fs'.read_file(IN .. '/file')", 1},
    {in, "await require 'neap.fs'.write_file(IN .. '/file', 'x')", 0},
    {in, "await require 'neap.fs'.open(IN .. '/file', 'r+')", 0},
    {in, "await require 'neap.fs'.remove(IN .. '/file')", 0},
    {in, "await require 'neap.fs'.rename(IN .. '/file', IN .. '/x')", 0},
    {in, "await require 'neap.fs'.chmod(IN .. '/file', '777')", 0},
    {in, "require 'neap.net'.listen{path = IN .. '/s'}", 0},
    {program, "return await require 'neap.fs'.read_file(IN .. '/file')", 1},
    {program, "return await require 'neap.fs'.read_file(IN ..\n"
              "  '/module.lua')", 0},
    {"", "return await require 'neap.fs'.read_file(IN .. '/file')", 0},
    {NULL, NULL, 0}};
  Case writes[] = {
    {in, "await require 'neap.fs'.write_file(IN .. '/w', 'x')", 1},
    {in, "return await require 'neap.fs'.read_file(IN .. '/file')", 0},
    {in, "return await require 'neap.fs'.exists(IN .. '/file')", 0},
    {in, "await require 'neap.fs'.open(IN .. '/file', 'r+')", 0},
    {in, "require 'neap.net'.listen{path = IN .. '/s'}:close()", 1},
    {in, "await require 'neap.fs'.rename(IN .. '/w', IN .. '/w2')", 1},
    {NULL, NULL, 0}};
  const Case *c;
  snprintf(program, sizeof program, "%s/file", in);
  for (c = reads; c->rule != NULL; c++) test_case(c, 4);
  for (c = writes; c->rule != NULL; c++) test_case(c, 5);
}

/* == Modules of a host ================================================ */

static int open_asking(lua_State *L) {
  (void)neap_sandboxed(L);
  lua_newtable(L);
  return 1;
}

static int host_function(lua_State *L) {
  lua_pushliteral(L, "of the host");
  return 1;
}

static void test_host(void) {
  static const char source[] = "return {price = function() return ask() end}";
  static const neap_Module modules[] = {
    {"shop", NULL, source, sizeof source - 1, NULL},
    {"shop.core", NULL, NULL, 0, open_asking}, {NULL, NULL, NULL, 0, NULL}};
  neap_Sandbox nothing = {.size = sizeof nothing};
  Host host;
  int status;
  host_open(&host, &nothing);
  lua_register(host.L, "ask", host_function);
  neap_preload(host.L, modules);
  expect(strcmp(run(&host, "return require 'shop'.price()", &status),
                "of the host") == 0, "host");
  run(&host, "return require 'shop.core'", &status);
  expect(status == LUA_OK, "host's C");
  finish(&host);
}

int main(void) {
  make_world();
  test_inside();
  test_attacks();
  test_swaps();
  test_error();
  test_lists();
  test_paths();
  test_host();
  remove_world();
  return failures != 0;
}
