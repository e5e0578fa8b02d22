/*
 * nomem.c - memory runs out at every place where it can.
 *
 * A script that uses most of what a machine has is run again and again; each
 * time one allocation later is refused: that one and some after it, since
 * Lua collects and asks once more. Whatever happens, the machine must end:
 * with the script's value, or with "not enough memory" as a Lua error; no
 * crash, no hang, and nothing left: blocks, bytes, file descriptors. What
 * neap takes from malloc beside the machine's allocator is refused as well,
 * where glibc lets us stand between (not under a sanitizer).
 *
 *   NOMEM_STEP   how many allocations lie between two runs: 1 is all
 *   NOMEM_ONLY   "FIRST COUNT BIRTH": one run, as a failure has named it
 *   NOMEM_SCRIPT only this script
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <lauxlib.h>
#include <lua.h>
#include <neap.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

/* == What is counted and refused ======================================= */

static struct {
  atomic_long count; /* allocations since counting began; -1: not counted */
  long first, last;  /* these are refused */
  long blocks, bytes, wrong;
} memory;

/* libuv's threads allocate too. */
static int refuses(void) {
  long n;
  if (memory.count < 0) return 0;
  n = ++memory.count;
  return n >= memory.first && n <= memory.last;
}

#if defined(__GLIBC__) && !defined(SANITIZED)
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);
extern const char __executable_start[], __etext[];

/* libuv and libc, which are not linked statically, get what they ask for:
 * they end the program otherwise. */
static int is_ours(const char *caller) {
  return caller >= __executable_start && caller < __etext;
}

#define OURS is_ours(__builtin_return_address(0))

/* The blocks that we have from malloc. What libc gave us is not among them,
 * though we free it. */
static struct {
  atomic_flag busy;
  int count;
  void *block[1 << 12];
} others = {.busy = ATOMIC_FLAG_INIT};

static void others_change(void *from, void *to) {
  int i;
  while (atomic_flag_test_and_set(&others.busy)) continue;
  for (i = others.count - 1; i >= 0 && others.block[i] != from; i--) continue;
  if (from != NULL && i >= 0) others.block[i] = others.block[--others.count];
  if (to != NULL) others.block[others.count++] = to;
  atomic_flag_clear(&others.busy);
}

void *malloc(size_t size) {
  int ours = OURS;
  void *block = ours && refuses() ? NULL : __libc_malloc(size);
  if (ours) others_change(NULL, block);
  return block;
}

void *calloc(size_t count, size_t size) {
  int ours = OURS;
  void *block = ours && refuses() ? NULL : __libc_calloc(count, size);
  if (ours) others_change(NULL, block);
  return block;
}

void *realloc(void *block, size_t size) {
  int ours = OURS;
  void *moved;
  if (ours && size > 0 && refuses()) return NULL;
  moved = __libc_realloc(block, size);
  if (ours && (moved != NULL || size == 0)) others_change(block, moved);
  return moved;
}

void *aligned_alloc(size_t alignment, size_t size) {
  int ours = OURS;
  void *block = ours && refuses() ? NULL : __libc_memalign(alignment, size);
  if (ours) others_change(NULL, block);
  return block;
}

void free(void *block) {
  if (OURS && block != NULL) others_change(block, NULL);
  __libc_free(block);
}

#define raw_realloc __libc_realloc
#define raw_free __libc_free
#else
static struct {
  int count;
} others;

#define raw_realloc realloc
#define raw_free free
#endif

/* The machine's allocator: refuses, and checks what it is told of sizes. */
static void *test_alloc(void *ud, void *block, size_t old, size_t size) {
  size_t *head = block == NULL ? NULL : (size_t *)block - 2;
  (void)ud;
  if (head == NULL) old = 0; /* the kind of an object for Lua */
  else if (*head != old) memory.wrong++;
  if (size > old && refuses()) return NULL;
  memory.bytes += (long)size - (long)old;
  memory.blocks += (size > 0) - (head != NULL);
  if (size == 0) {
    raw_free(head);
    return NULL;
  }
  head = raw_realloc(head, size + 2 * sizeof *head);
  if (head == NULL) abort();
  *head = size;
  return head + 2;
}

/* == The scripts ======================================================= */

/* Each is a whole program and gives "done". */
static const char *const scripts[] = {
    /* tasks, values, errors */
    "local async function add(a, b)\n"
    "  await asyncio.sleep(0) return a + b, b\n"
    "end\n"
    "local t = asyncio.create_task(add(1, 2), {name = 'adder'})\n"
    "local u = asyncio.create_task(add(3, 4))\n"
    "local a, b = await t\n"
    "assert(a == 3 and b == 2 and await u == 7)\n"
    "assert(await add(5, 6) == 11)\n"
    "local async function fail() await asyncio.sleep(0) error('bad') end\n"
    "local ok, e = pcall(await, asyncio.create_task(fail()))\n"
    "assert(not ok)\n"
    "if not tostring(e):find 'bad' then error(e, 0) end\n"
    "local async function many(...) await asyncio.sleep(0) return ... end\n"
    "assert(select('#', await asyncio.create_task(\n"
    "  many(table.unpack({}, 1, 100)))) == 100)\n"
    "return 'done'\n",

    /* gather: values, a failure, errors as values, futures, the same twice */
    "local async function id(x) await asyncio.sleep(0) return x end\n"
    "local async function fail(x) await asyncio.sleep(0) error(x) end\n"
    "local list = {}\n"
    "for i = 1, 20 do list[i] = id(i) end\n"
    "local got = await asyncio.gather(list)\n"
    "for i = 1, 20 do if got[i] ~= i then error(got[i] or 'hole', 0) end end\n"
    "local ok, e = pcall(await, asyncio.gather(id(1), fail('bad'), id(3)))\n"
    "if not tostring(e):find 'bad' then error(e, 0) end\n"
    "got = await asyncio.gather({id(1), fail('bad'), id(3)},\n"
    "  {return_exceptions = true})\n"
    "if got[1] ~= 1 then error(got[1] or 'hole', 0) end\n"
    "if not tostring(got[2]):find 'bad' then error(got[2] or 'hole', 0) end\n"
    "local f, t = asyncio.Future(), asyncio.create_task(id(7))\n"
    "local async function set() f:set_result(5) end\n"
    "local c = id(9)\n"
    "local a, b, x, y, z = await asyncio.gather(f, t, f, c, c, set())\n"
    "if not (a == 5 and b == 7 and x == 5 and y == 9 and z == 9) then\n"
    "  error('wrong: ' .. tostring(a) .. tostring(b) .. tostring(x) ..\n"
    "    tostring(y) .. tostring(z), 0) end\n"
    "return 'done'\n",

    /* time limits, clean-up that awaits, cancellation */
    "local log = {}\n"
    "local async function slow()\n"
    "  local _ <close> = asyncio.defer(async function()\n"
    "    await asyncio.sleep(0) log[#log + 1] = 'cleaned' end)\n"
    "  await asyncio.sleep(1000)\n"
    "end\n"
    "local ok, e = pcall(function()\n"
    "  await asyncio.wait_for(slow(), 0.001)\n"
    "end)\n"
    "if not asyncio.iserror(e, asyncio.TimeoutError) then error(e, 0) end\n"
    "ok, e = pcall(function()\n"
    "  local _ <close> = asyncio.timeout(0) await slow() end)\n"
    "if not asyncio.iserror(e, asyncio.TimeoutError) then error(e, 0) end\n"
    "do local _ <close> = asyncio.timeout(100) await asyncio.sleep(0) end\n"
    "local t = asyncio.create_task(slow())\n"
    "await asyncio.sleep(0)\n"
    "t:cancel 'enough'\n"
    "ok, e = asyncio.catch(await, t)\n"
    "if not asyncio.iserror(e, asyncio.CancelledError) then error(e, 0) end\n"
    "if #log ~= 3 then error('not enough memory?' .. #log, 0) end\n"
    "return 'done'\n",

    /* groups, of which one fails; a limit */
    "local async function work(i) await asyncio.sleep(0)\n"
    "  if i == 4 then error 'four' end return i end\n"
    "local function group_ended(ok, e)\n"
    "  if ok then return end\n"
    "  if not asyncio.iserror(e, asyncio.ExceptionGroup) then error(e, 0) end\n"
    "  for _, x in ipairs(e.errors) do\n"
    "    if not tostring(x):find 'four' then error(x, 0) end end\n"
    "end\n"
    "group_ended(pcall(function() local g <close> = asyncio.TaskGroup()\n"
    "  for i = 1, 3 do g:create_task(work(i)) end end))\n"
    "group_ended(pcall(function()\n"
    "  local g <close> = asyncio.TaskGroup{limit = 2}\n"
    "  for i = 5, 9 do g:create_task(work(i)) end end))\n"
    "local ok, e = pcall(function()\n"
    "  local g <close> = asyncio.TaskGroup()\n"
    "  for i = 1, 6 do g:create_task(work(i)) end end)\n"
    "group_ended(ok, e)\n"
    "return 'done'\n",

    /* queues, locks, semaphores, events, conditions */
    "local q, sum = asyncio.Queue(2), 0\n"
    "local async function produce() for i = 1, 8 do await q:put(i) end end\n"
    "local async function consume() for i = 1, 8 do\n"
    "  sum = sum + await q:get() end end\n"
    "await asyncio.gather(produce(), consume())\n"
    "assert(sum == 36)\n"
    "local getter = asyncio.create_task(q:get())\n"
    "await asyncio.sleep(0)\n"
    "getter:cancel()\n"
    "local ok, e = asyncio.catch(await, getter)\n"
    "if not asyncio.iserror(e, asyncio.CancelledError) then error(e, 0) end\n"
    "local s, inside = asyncio.Semaphore(2), 0\n"
    "local async function enter() await s:acquire()\n"
    "  inside = inside + 1 await asyncio.sleep(0) s:release() end\n"
    "await asyncio.gather(enter(), enter(), enter())\n"
    "local ev = asyncio.Event()\n"
    "local w = asyncio.create_task(ev:wait())\n"
    "await asyncio.sleep(0) ev:set() await w\n"
    "return inside == 3 and 'done'\n",

    /* awaits in generators, iterators, metamethods; loading */
    "local gen = coroutine.wrap(function()\n"
    "  for i = 1, 3 do await asyncio.sleep(0) coroutine.yield(i) end end)\n"
    "local sum = 0\n"
    "for i in gen do sum = sum + i end\n"
    "assert(sum == 6)\n"
    "local m = setmetatable({}, {__index = function(_, k)\n"
    "  await asyncio.sleep(0) return k .. '!' end})\n"
    "assert(m.a == 'a!')\n"
    "local f, why = load('local x <const> = await asyncio.sleep(0, 4) '\n"
    "  .. 'return x, async function(y) return y end')\n"
    "if not f then error(why, 0) end\n"
    "local x, g = f()\n"
    "assert(x == 4 and await g(3) == 3)\n"
    "f, why = load 'return await)'\n"
    "if not why:find 'near' then error(why, 0) end\n"
    "assert(dofile(FILE) == 5)\n"
    "f, why = loadfile(FILE)\n"
    "if not f then error(why, 0) end\n"
    "return f() == 5 and 'done'\n",

    /* callbacks, futures, context variables, shield, wait, as_completed */
    "local n = 0\n"
    "local loop = asyncio.get_running_loop()\n"
    "loop:call_soon(function(a) n = n + a end, 1)\n"
    "loop:call_later(0.001, function(a) n = n + a end, 2)\n"
    "loop:call_later(100, print):cancel()\n"
    "local f = asyncio.Future()\n"
    "f:add_done_callback(function(g) n = n + g:result() end)\n"
    "f:set_result(4)\n"
    "await asyncio.sleep(0.002)\n"
    "if n ~= 7 then error('not enough memory? ' .. n, 0) end\n"
    "local async function id(x) await asyncio.sleep(0) return x end\n"
    "assert(await asyncio.shield(id(3)) == 3)\n"
    "local a, b = asyncio.create_task(id(1)), asyncio.create_task(id(2))\n"
    "local done, pending = await asyncio.wait({a, b})\n"
    "for _, t in ipairs(done) do n = n + t:result() end\n"
    "for t in asyncio.as_completed{id(1), id(2), id(3)} do\n"
    "  n = n + await t end\n"
    "assert(n == 16, 'count')\n"
    "local v = asyncio.ContextVar('v', 0)\n"
    "v:set(1)\n"
    "local async function see() v:set(v:get() + 1) return v:get() end\n"
    "assert(await asyncio.create_task(see()) == 2 and v:get() == 1)\n"
    "return 'done'\n",

    /* files, on libuv's threads */
    "local fs = require 'neap.fs'\n"
    "local path = FILE .. '.txt'\n"
    "await fs.write_file(path, 'one\\ntwo\\n')\n"
    "local file <close> = await fs.open(path, 'a+')\n"
    "await file:write('three\\n')\n"
    "await file:seek('set', 0)\n"
    "local n = 0\n"
    "for line in file:lines() do n = n + 1 end\n"
    "for found in fs.glob(FILE .. '.*') do\n"
    "  n = n + (await fs.stat(found)).size end\n"
    "local a, b = await asyncio.gather(fs.read_file(path),\n"
    "  fs.read_file(path))\n"
    "assert(a == b)\n"
    "local t = asyncio.create_task(fs.read_file(path))\n"
    "await asyncio.sleep(0)\n"
    "t:cancel()\n"
    "local ok, e = asyncio.catch(await, t)\n"
    "if not ok and not asyncio.iserror(e, asyncio.CancelledError) then\n"
    "  error(e, 0) end\n"
    "await fs.remove(path)\n"
    "return n == 3 + 14 and 'done'\n",

    /* other programs */
    "local process = require 'neap.process'\n"
    "local result = await process.run({'cat'}, {input = 'hello'})\n"
    "if result.stdout ~= 'hello' then error 'not enough memory?' end\n"
    "local child <close> = process.spawn({'cat'},\n"
    "  {stdin = 'pipe', stdout = 'pipe'})\n"
    "await child.stdin:write('x\\n')\n"
    "assert(await child.stdout:read_line() == 'x')\n"
    "child.stdin:close()\n"
    "return await child:wait() == 0 and 'done'\n",

    /* sockets */
    "local net = require 'neap.net'\n"
    "local server <close> = net.listen{}\n"
    "local serving = asyncio.create_task(server:serve(async function(conn)\n"
    "  while true do\n"
    "    local line = await conn:read_line()\n"
    "    if not line then return end\n"
    "    await conn:write(line:upper() .. '\\n')\n"
    "  end\n"
    "end))\n"
    "local at = server:sockname()\n"
    "local async function talk()\n"
    "  local conn <close> = await net.connect(at.host, at.port)\n"
    "  for i = 1, 3 do\n"
    "    await conn:write(('line %d\\n'):format(i))\n"
    "    local line = await conn:read_line()\n"
    "    if line ~= 'LINE ' .. i then\n"
    "      error('not enough memory? ' .. tostring(line), 0) end\n"
    "  end\n"
    "  server:close()\n"
    "end\n"
    "await asyncio.gather(serving, talk())\n"
    "local a, b = net.pair()\n"
    "local _, got = await asyncio.gather(a:write(('x'):rep(300000)),\n"
    "  b:read_exactly(300000))\n"
    "assert(#got == 300000)\n"
    "a:close() b:close()\n"
    "return 'done'\n",
};

#define SCRIPTS (int)(sizeof scripts / sizeof *scripts)

/* All takes a minute. Primes, so that each run hits other places. */
#ifdef SANITIZED
#define USUAL_STEP 17
#define SECONDS 60
#else
#define USUAL_STEP 13
#define SECONDS (getenv("VALGRIND") ? 60 : 10)
#endif

#define NEVER (1L << 40)
#define DEBUG_COUNT 8 /* these are refused to a machine in debug mode */

/* == One run =========================================================== */

static char file[] = "/tmp/neap-nomem-XXXXXX";
static struct {
  int script, birth;
  long first, count;
} now; /* what runs, for on_alarm */

static int failures;

static void complain(const char *format, const char *text) {
  failures++;
  printf("script %d, NOMEM_ONLY=\"%ld %ld %d\": ", now.script, now.first,
         now.count, now.birth);
  printf(format, text);
  putchar('\n');
  fflush(stdout);
}

static void on_alarm(int signal) {
  char text[128];
  int n = snprintf(text, sizeof text,
                   "script %d, NOMEM_ONLY=\"%ld %ld %d\": hangs\n",
                   now.script, now.first, now.count, now.birth);
  (void)signal;
  if (write(STDOUT_FILENO, text, (size_t)n) < 0) _exit(2);
  _exit(1);
}

static int open_files(void) {
  int n = 0;
  DIR *dir = opendir("/proc/self/fd");
  if (dir == NULL) return 0;
  while (readdir(dir) != NULL) n++;
  closedir(dir);
  return n;
}

/* Runs the script in a protected call; gives its value. */
static int run_script(lua_State *L) {
  const char *text = lua_touserdata(L, 1);
  int n, status;
  lua_pushstring(L, file);
  lua_setglobal(L, "FILE");
  if (neap_load(L, text, strlen(text), "=script", "t") != LUA_OK)
    return lua_error(L);
  neap_spawn(L, 0, "main");
  status = neap_wait(L, -1, &n);
  if (status != LUA_OK) return lua_error(L);
  return n;
}

static int error_text(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

/* Lua says some of these when its stack cannot grow; and a connection whose
 * handler has failed is closed. */
static int is_lack(const char *text) {
  return strstr(text, "not enough memory") != NULL ||
         strstr(text, "too many") != NULL ||
         strstr(text, "connection reset") != NULL ||
         strstr(text, "stack overflow") != NULL;
}

/* What came of it is on top. */
static void judge(lua_State *L, int status) {
  const char *text;
  if (status == LUA_OK) {
    text = lua_tostring(L, -1);
    if (text == NULL || strcmp(text, "done") != 0)
      complain("ended with %s", text != NULL ? text : "no value");
    return;
  }
  memory.count = -1;
  lua_pushcfunction(L, error_text);
  lua_insert(L, -2);
  (void)lua_pcall(L, 1, 1, 0);
  text = lua_tostring(L, -1);
  if (text == NULL || !is_lack(text))
    complain("raised %s", text != NULL ? text : "no text");
}

static void run_machine(void) {
  neap_Options options;
  neap_Vm *vm;
  long count;
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.alloc = test_alloc;
  options.debug = now.count == DEBUG_COUNT;
  memory.count = now.birth ? 0 : -1;
  vm = neap_vm_new(&options);
  if (vm != NULL) {
    lua_State *L = neap_state(vm);
    int status;
    if (!now.birth) memory.count = 0;
    lua_settop(L, 0);
    lua_pushcfunction(L, run_script);
    lua_pushlightuserdata(L, (void *)(size_t)scripts[now.script]);
    status = lua_pcall(L, 1, 1, 0);
    count = memory.count;
    judge(L, status);
    memory.count = count;
    neap_vm_free(vm);
  }
}

/* Refuses `count` allocations from `first` on; gives how many there were. */
static long run(int script, int birth, long first, long count) {
  int files = open_files();
  now.script = script;
  now.birth = birth;
  now.first = first;
  now.count = count;
  memory.first = first;
  memory.last = first + count - 1;
  memory.blocks = memory.bytes = memory.wrong = 0;
  others.count = 0;
  alarm(SECONDS);
  run_machine();
  alarm(0);
  first = memory.count;
  memory.count = -1;
  if (memory.wrong) complain("%s", "a block was given back as another size");
  if (memory.blocks || memory.bytes) complain("%s", "leaves blocks behind");
  if (others.count) complain("%s", "leaves blocks of malloc's behind");
  if (open_files() != files) complain("%s", "leaves files open");
  return first;
}

/* == All of them ======================================================= */

static long from_environment(const char *name, long otherwise) {
  const char *text = getenv(name);
  return text != NULL && *text != '\0' ? atol(text) : otherwise;
}

/* Refuses at one place after the other until nothing is refused any more. */
static void sweep(int script, int birth, long count, long step) {
  long first = 1;
  while (run(script, birth, first, count) >= first && failures < 20)
    first += step;
}

int main(void) {
  static const long counts[] = {1, 2, 3, DEBUG_COUNT, 100, NEVER};
  const char *only = getenv("NOMEM_ONLY");
  long step = from_environment("NOMEM_STEP", USUAL_STEP);
  int i, descriptor = mkstemp(file);
  size_t k;
  memory.count = -1;
  if (getenv("VALGRIND") != NULL) step = 997;
  if (descriptor < 0 || write(descriptor, "return await asyncio.sleep(0, 5)",
                              32) != 32)
    return 1;
  close(descriptor);
  signal(SIGALRM, on_alarm);
  run_machine(); /* libuv opens its files */
  for (i = 0; i < SCRIPTS; i++) {
    if (from_environment("NOMEM_SCRIPT", i) != i) continue;
    if (only != NULL) {
      int birth;
      long first, count;
      if (sscanf(only, "%ld %ld %d", &first, &count, &birth) != 3) return 1;
      printf("script %d: %ld\n", i, run(i, birth, first, count));
      continue;
    }
      (void)run(i, 0, NEVER, 1); /* with memory it must succeed */
    for (k = 0; k < sizeof counts / sizeof *counts; k++)
      sweep(i, 0, counts[k], step);
  }
  if (only == NULL)
    for (k = 0; k < sizeof counts / sizeof *counts; k++)
      sweep(0, 1, counts[k], 7 * step);
  (void)remove(file);
  if (failures == 0) printf("nomem: ok\n");
  return failures != 0;
}
