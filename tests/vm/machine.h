/*
 * machine.h - the host of host.h for tests of what runs in several machines
 * or threads: the same under names that say which machine is meant.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <uv.h>

#include "host.h"

typedef Host Machine;

/* Opens a machine on `loop`, or on its own if that is NULL. */
static inline void machine_open(Machine *m, uv_loop_t *loop) {
  host_open(m, loop);
}

static inline void machine_close(Machine *m) { host_close(m); }

/* Starts a task that runs the text, and pushes it. */
static inline void machine_start(Machine *m, const char *text) {
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
