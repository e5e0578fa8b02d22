/*
 * nomem.h - memory runs out at every place where it can.
 *
 * A script that uses much of what a machine has is run again and again; each
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
 *
 * Included by the programs that have scripts, which call nomem_run. They define
 * USUAL_STEP, a prime, so that each run hits other places.
 */
#ifndef NOMEM_H
#define NOMEM_H

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

/* Whoever calls: a call at a function's end has the address of its caller. */
void free(void *block) {
  if (block != NULL) others_change(block, NULL);
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

#ifdef SANITIZED
#define SECONDS 60
#else
#define SECONDS (getenv("VALGRIND") ? 60 : 10)
#endif

#define NEVER (1L << 40)
#define DEBUG_COUNT 8 /* these are refused to a machine in debug mode */

/* == One run =========================================================== */

static char file[] = "/tmp/neap-nomem-XXXXXX";
static struct {
  const char *const *scripts;
  int script, birth;
  long first, count;
} now; /* what runs, for on_alarm */

static int failures;

/* What a test has in its machines beside what every machine has. */
static lua_CFunction nomem_setup;
static void (*nomem_options)(neap_Options *options);

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
  lua_pushstring(L, getenv("CERT"));
  lua_setglobal(L, "CERT");
  if (nomem_setup != NULL) {
    lua_pushcfunction(L, nomem_setup);
    lua_call(L, 0, 0);
  }
  if (neap_load(L, text, strlen(text), "=script", "t") != LUA_OK)
    return lua_error(L);
  if (now.script % 2 == 0) {
    status = neap_call(L, 0, &n);
  } else {
    neap_spawn(L, 0, "main");
    status = neap_wait(L, -1, &n);
  }
  if (status != LUA_OK) {
    (void)neap_error(L, -1);
    return lua_error(L);
  }
  return n;
}

/* Of a group of errors, that of the first. */
static int error_text(lua_State *L) {
  if (luaL_getmetafield(L, 1, "__index") != LUA_TNIL &&
      lua_getfield(L, 1, "errors") == LUA_TTABLE) {
    lua_rawgeti(L, -1, 1);
    lua_replace(L, 1);
  }
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
  if (nomem_options != NULL) nomem_options(&options);
  memory.count = now.birth ? 0 : -1;
  vm = neap_vm_new(&options);
  if (vm != NULL) {
    lua_State *L = neap_state(vm);
    int status;
    if (!now.birth) memory.count = 0;
    lua_settop(L, 0);
    lua_pushcfunction(L, run_script);
    lua_pushlightuserdata(L, (void *)(size_t)now.scripts[now.script]);
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

/* Each of the `n` scripts is a whole program and gives "done". They find a file
 * of their own in FILE, and in CERT that of the environment, if it is there.
 * If `births`, the first is also used to refuse at a machine's birth. Gives
 * main's result. */
static int nomem_run(const char *const *scripts, int n, int births) {
  static const long counts[] = {1, 2, 3, DEBUG_COUNT, 100, NEVER};
  const char *only = getenv("NOMEM_ONLY");
  long step = from_environment("NOMEM_STEP", USUAL_STEP);
  int i, descriptor = mkstemp(file);
  size_t k;
  now.scripts = scripts;
  memory.count = -1;
  if (getenv("VALGRIND") != NULL) step = 997;
  if (descriptor < 0 || write(descriptor, "return await asyncio.sleep(0, 5)",
                              32) != 32)
    return 1;
  close(descriptor);
  signal(SIGALRM, on_alarm);
  run_machine(); /* libuv opens its files */
  for (i = 0; i < n; i++) {
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
  births = births && only == NULL;
  for (k = 0; births && k < sizeof counts / sizeof *counts; k++)
    sweep(0, 1, counts[k], 7 * step);
  (void)remove(file);
  if (failures == 0) printf("nomem: ok\n");
  return failures != 0;
}

#endif
