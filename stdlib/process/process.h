/*
 * process.h - what the files of this room give to each other: process.c
 * puts it into the table neap.process.core.
 */
#ifndef NP_PROCESS_H
#define NP_PROCESS_H

#include <lauxlib.h>
#include <lua.h>
#include <sys/types.h>

#include "neap.h"

/* child.c */
extern const neap_Class np_child_class;
extern const luaL_Reg np_child_methods[];
extern const neap_Async np_child_ops[];
int np_child_spawn(lua_State *L);

/* orphans.c: children that were closed before their end */
typedef struct np_Orphans np_Orphans;
/* Makes the machine's, before any child, so that they are collected after
 * all. */
void np_orphans_open(lua_State *L);
/* Those of the machine; NULL when it ends. */
np_Orphans *np_orphans_get(lua_State *L);
/* Takes a child, whose pid is negative if it is detached, and its pidfd (or
 * -1). Without memory it stays a zombie until we end. */
void np_orphans_add(np_Orphans *o, pid_t pid, int pidfd);
/* Reaps those that have ended; gives 1 if a killed one has not yet. */
int np_orphans_reap(np_Orphans *o);

/* Closes the descriptor unless it is -1, which it is then. */
void np_fd_close(int *fd);

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
