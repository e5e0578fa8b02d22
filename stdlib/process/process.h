/*
 * process.h - what the files of this room give to each other: process.c
 * puts it into the table neap.process.core.
 */
#ifndef NP_PROCESS_H
#define NP_PROCESS_H

#include <lauxlib.h>
#include <lua.h>

#include "neap.h"

/* child.c */
extern const neap_Class np_child_class;
extern const luaL_Reg np_child_methods[];
extern const neap_Async np_child_ops[];
int np_child_spawn(lua_State *L);
void np_child_open(lua_State *L); /* before the first spawn */

/* signals.c */
extern const neap_Class np_signal_class;
int np_signal_watch(lua_State *L);
int np_signal_kill(lua_State *L);

/* Pushes and gives "SIGTERM" for 15, "SIG40" for one that has no name. */
const char *np_signal_push(lua_State *L, int number);

/* The signal at `index`, a name or a number; raises for NAME if it is none. */
int np_signal_check(lua_State *L, int index, const char *name);

/* stdio.c */
extern const neap_Class np_stdio_class;
extern const luaL_Reg np_stdio_methods[];
extern const neap_Async np_stdio_ops[];
int np_stdio_open(lua_State *L);

#endif
