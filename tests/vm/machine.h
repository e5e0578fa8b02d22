/*
 * machine.h - a host for tests: one machine whose memory is counted and
 * whose reports are kept.
 *
 * `expect` counts what is not so and says where; a test's main returns
 * whether there was any.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <lauxlib.h>
#include <lua.h>
#include <neap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static int failures;

#define expect(what) \
  ((what) ? (void)0 : (void)(failures++, printf("%s:%d: not so: %s\n", \
                                                __FILE__, __LINE__, #what)))

typedef struct Machine {
  neap_Vm *vm;
  lua_State *L;
  long blocks;
  int warnings, errors;
  char text[512]; /* of the last report */
} Machine;

static void *machine_alloc(void *ud, void *block, size_t old, size_t size) {
  Machine *m = ud;
  (void)old;
  m->blocks += (size > 0) - (block != NULL);
  if (size > 0) return realloc(block, size);
  free(block);
  return NULL;
}

static void machine_report(neap_Vm *vm, const neap_Report *report) {
  Machine *m = neap_data(vm);
  m->warnings += report->kind == NEAP_REPORT_WARNING;
  m->errors += report->kind == NEAP_REPORT_ERROR;
  (void)snprintf(m->text, sizeof m->text, "%s", report->text);
}

/* Opens a machine on `loop`, or on its own if that is NULL. */
static void machine_open(Machine *m, uv_loop_t *loop) {
  neap_Options options;
  memset(m, 0, sizeof *m);
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.loop = loop;
  options.alloc = machine_alloc;
  options.alloc_data = m;
  options.report = machine_report;
  options.data = m;
  m->vm = neap_vm_new(&options);
  if (m->vm == NULL) abort();
  m->L = neap_state(m->vm);
  lua_settop(m->L, 0);
}

static void machine_close(Machine *m) {
  neap_vm_free(m->vm);
  expect(m->blocks == 0);
}

/* Starts a task that runs the text, and pushes it. */
static void machine_start(Machine *m, const char *text) {
  if (neap_load(m->L, text, strlen(text), "=test", "t") != LUA_OK) {
    printf("%s\n", lua_tostring(m->L, -1));
    abort();
  }
  neap_spawn(m->L, 0, NULL);
}

/* Runs the text; its results or its error are all that is on the stack. */
static inline int machine_run(Machine *m, const char *text) {
  int n, status;
  lua_settop(m->L, 0);
  machine_start(m, text);
  status = neap_wait(m->L, -1, &n);
  lua_remove(m->L, 1);
  return status;
}

/* What is on top of the stack, as text. */
static inline const char *machine_text(Machine *m) {
  return luaL_tolstring(m->L, -1, NULL);
}

/* The global variable as an integer. */
static inline lua_Integer machine_count(Machine *m, const char *name) {
  lua_Integer n;
  lua_getglobal(m->L, name);
  n = lua_tointeger(m->L, -1);
  lua_pop(m->L, 1);
  return n;
}

#endif
