/*
 * main_options.h - the command line of the neap command: see main.c.
 */
#ifndef NP_MAIN_OPTIONS_H
#define NP_MAIN_OPTIONS_H

#include "neap.h"

typedef struct Options {
  int script;      /* index in argv; argc if there is none */
  int wrong;       /* index of an option that is none, or 0 */
  int environment; /* 0: ignored */
  int interactive;
  int version;     /* 1: -v, 2: --version, which does nothing else */
  int execute;     /* an -e was given */
  int debug;
  double block_limit; /* 0 if none was given */
  int help;
  neap_Limits limits;
  neap_Sandbox sandbox; /* its lists are to be freed ... */
  int is_sandbox;       /* ... and it is wanted */
  char **texts;         /* what the lists point into, ended by NULL */
} Options;

void options_parse(Options *o, int argc, char **argv);
void options_free(Options *o);

void options_print_help(void);
void options_print_usage(const char *wrong);
void options_print_version(int kind);

#endif
