/*
 * host.h - a host for tests of neap.h: a machine whose allocator counts, so
 * that one that is freed has freed all, and whose last report is kept.
 *
 * A test is a program of functions; `expect` tells where one failed.
 */
#ifndef HOST_H
#define HOST_H

#include <lauxlib.h>
#include <lua.h>
#include <neap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct uv_loop_s;

static int failures; /* of the main thread's tests */

#define expect(what) \
  ((what) ? (void)0 : (void)(failures++, printf("%s:%d: not so: %s\n", \
                                                __FILE__, __LINE__, #what)))

/* == A host ============================================================ */

typedef struct Host {
  neap_Vm *vm;
  lua_State *L;
  long blocks;
  int warnings, errors;
  char text[256], file[64], source[64]; /* of the last report */
  int line;
} Host;

static inline void *count(void *ud, void *block, size_t old, size_t size) {
  Host *host = ud;
  (void)old;
  host->blocks += (size > 0) - (block != NULL);
  if (size > 0) return realloc(block, size);
  free(block);
  return NULL;
}

static inline void on_report(neap_Vm *vm, const neap_Report *report) {
  Host *host = neap_data(vm);
  host->warnings += report->kind == NEAP_REPORT_WARNING;
  host->errors += report->kind == NEAP_REPORT_ERROR;
  snprintf(host->text, sizeof host->text, "%s", report->text);
  snprintf(host->file, sizeof host->file, "%s",
           report->file != NULL ? report->file : "");
  host->line = report->line;
  snprintf(host->source, sizeof host->source, "%s",
           report->source != NULL ? report->source : "");
}

/* With what is set in `options`, and the rest as all hosts here have it. */
static inline void host_open_with(Host *host, neap_Options *options) {
  memset(host, 0, sizeof *host);
  options->size = sizeof *options;
  options->alloc = count;
  options->alloc_data = host;
  options->report = on_report;
  options->data = host;
  host->vm = neap_vm_new(options);
  if (host->vm == NULL) abort();
  host->L = neap_state(host->vm);
  lua_settop(host->L, 0);
}

static inline void host_open(Host *host, struct uv_loop_s *loop) {
  neap_Options options;
  memset(&options, 0, sizeof options);
  options.loop = loop;
  host_open_with(host, &options);
}

static inline void host_close(Host *host) {
  neap_vm_free(host->vm);
  expect(host->blocks == 0);
}

/* Loads the text and starts a task, whose object it pushes. */
static inline void start(lua_State *L, const char *text) {
  if (neap_load(L, text, strlen(text), "=host", "t") != LUA_OK) {
    printf("%s\n", lua_tostring(L, -1));
    abort();
  }
  neap_spawn(L, 0, NULL);
}

/* Runs the text; its results or its error are all that is on the stack. */
static inline int run(Host *host, const char *text) {
  lua_State *L = host->L;
  int n, status;
  lua_settop(L, 0);
  start(L, text);
  status = neap_wait(L, -1, &n);
  lua_remove(L, 1);
  expect(status != LUA_OK || lua_gettop(L) == n);
  return status;
}

static inline const char *text_at(Host *host, int index) {
  const char *text = luaL_tolstring(host->L, index, NULL);
  return text;
}

/* Some turns go by. */
static inline void turn(Host *host) {
  int top = lua_gettop(host->L), n;
  start(host->L, "await asyncio.sleep(0)");
  expect(neap_wait(host->L, -1, &n) == LUA_OK);
  lua_settop(host->L, top);
}

#endif
