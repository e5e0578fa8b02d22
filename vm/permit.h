/*
 * permit.h - what permit.c knows, for the files of vm/.
 */
#ifndef NP_PERMIT_H
#define NP_PERMIT_H

#include "vm.h"

/* Something that is permitted; which fields count depends on the list. */
typedef struct np_Rule {
  char *text;    /* as given; a canonical path */
  char *host;    /* without its port; NULL: every one */
  int port;      /* -1: every one */
  int is_address;
  unsigned char address[16]; /* IPv4 ones are mapped */
} np_Rule;

typedef struct np_Rules {
  np_Rule *rule;
  size_t n;
} np_Rules;

/* An address that a name was found to have. */
typedef struct np_Found {
  uint32_t list, rule;
  unsigned char address[16];
} np_Found;

enum { NP_FOUND = 1024 }; /* so many are remembered */

typedef struct np_Sandbox {
  np_Rules lists[6]; /* read, write, connect, listen, run, env */
  int process;       /* the process is the script's */
  int asks;          /* the module that was opened last asks for permission */
  np_Found *found;   /* a ring of NP_FOUND */
  size_t nfound;
  unsigned char fds[128]; /* bits of descriptors that scripts were given */
} np_Sandbox;

/* Copies what is permitted; 0 or UV_ENOMEM. */
int np_sandbox_new(neap_Vm *vm, const neap_Sandbox *given);
void np_sandbox_free(neap_Vm *vm);

/* Takes away what a script in a sandbox may not have. */
void np_sandbox_open(lua_State *L);

/* Loads a C half that asks, or raises; pushes what it gives. */
void np_sandbox_module(lua_State *L, const neap_Module *m);

/* 1 if the name is a module's own part, which scripts may not require. */
int np_sandbox_private(neap_Vm *vm, const char *name);

/* 1 if the file may be read; `path` is a script's. */
int np_may_read(neap_Vm *vm, const char *path);

/* 1 if the name is in the list of environment variables, or anything is. */
int np_may_env(neap_Vm *vm, const char *name);

#endif
