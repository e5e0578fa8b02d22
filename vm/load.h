/*
 * load.h - modules and scripts.
 */
#ifndef NP_LOAD_H
#define NP_LOAD_H

#include "vm.h"

/* == module.c =========================================================== */

/* The module of the build by that name, or NULL. */
const neap_Module *np_module_find(const char *name);
/* Pushes the function of its Lua half. */
void np_module_load(lua_State *L, const neap_Module *m);
/* Pushes a copy of the table at `index`. */
void np_table_copy(lua_State *L, int index);
/* Lua halves have an environment of their own, so that a script may call its
 * variables as it likes: the globals as they are now, ... */
void np_halves_open(lua_State *L);
/* ... or the table on top, which is popped. */
void np_halves_set(lua_State *L);

/* == loading.c: modules that are being loaded =========================== */

/* Begins to load the module named at 1: pushes what says so until the C
 * function that runs ends. */
void np_loading_begin(lua_State *L);

/* 1 if another task is loading the module named at 1: pushes what to wait
 * for. Raises if that would wait for the running task. */
int np_loading_find(lua_State *L);

/* Parks the task until what is on top has ended; `again` then calls
 * np_loading_waited first, which raises if the task was cancelled. */
int np_loading_wait(lua_State *L, lua_KFunction again);
void np_loading_waited(lua_State *L);

/* == load.c ============================================================= */

/* The mode in which a script may load; raises if it may not. */
const char *np_load_mode(lua_State *L, const char *mode);

/* neap_loadfile for a script: in a sandbox the path is a permitted one, and
 * no link is followed. */
int np_loadfile(lua_State *L, const char *filename, const char *mode);

#endif
