/*
 * main_options.c - the command line of the neap command, and its help.
 *
 * It may touch what main.c may: neap.h, Lua's public headers and POSIX.
 */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lua.h>

#include "main_options.h"

static const char USAGE[] =
    "usage: neap [options] [script [arguments]]\n"
    "       neap translate FILE\n"
    "       neap ps PID\n";

static const char OPTIONS[] =
    "Options, those of lua first:\n"
    "  -e CODE    run the text CODE; may be repeated\n"
    "  -l MOD     require MOD into the global MOD\n"
    "  -l G=MOD   require MOD into the global G\n"
    "  -i         go interactive after the script\n"
    "  -v         print the version\n"
    "  -E         ignore the environment variables\n"
    "  -W         turn warnings on\n"
    "  --         end the options\n"
    "  -          end the options and run standard input\n"
    "  --debug    debug mode, as NEAP_DEBUG=1\n"
    "  --block-limit=SECONDS\n"
    "             debug mode, and what it calls a step that blocks (0.1)\n"
    "  --sandbox  the script may touch nothing but what these options allow\n"
    "  --allow-read[=PATH,...], --allow-write[=PATH,...]\n"
    "             files, and directories with all below them\n"
    "  --allow-net[=HOST[:PORT],...], --allow-listen[=HOST[:PORT],...]\n"
    "             where to connect to, and addresses of its own\n"
    "  --allow-run[=PROGRAM,...], --allow-env[=NAME,...]\n"
    "             programs, and environment variables\n"
    "  --memory-limit=SIZE, --time-limit=SECONDS\n"
    "             how much memory (such as 64M) and time the script may use\n"
    "  --version  print the version and end\n"
    "  --help     print this and end\n";

static const char HELP[] =
    "\n"
    "Runs a program written in Lua 5.4 with async and await. Without a\n"
    "script, runs standard input, or goes interactive if that is a\n"
    "terminal. `neap translate FILE` prints FILE as plain Lua.\n"
    "\n"
    "Environment: LUA_INIT, LUA_PATH and LUA_CPATH, each also with _5_4 at\n"
    "its end, NEAP_DEBUG, NEAP_HISTORY, NO_COLOR, UV_THREADPOOL_SIZE.\n"
    "Status: 0; 1 after an error; 130 when interrupted.\n";

void options_print_help(void) {
  printf("%s%s%s", USAGE, OPTIONS, HELP);
}

/* An option whose value is missing or wrong; 0 if it has none. */
static int print_value_usage(const char *wrong) {
  static const char *const valued[][2] = {
      {"--block-limit", "a number of seconds"},
      {"--time-limit", "a number of seconds"},
      {"--memory-limit", "a size (64M)"}};
  size_t i, n = strcspn(wrong, "=");
  for (i = 0; i < sizeof(valued) / sizeof(*valued); i++) {
    if (strlen(valued[i][0]) != n || strncmp(wrong, valued[i][0], n) != 0)
      continue;
    fprintf(stderr, "neap: '%s' needs %s above 0", valued[i][0], valued[i][1]);
    if (wrong[n] == '=') fprintf(stderr, ", not '%s'", wrong + n + 1);
    fputc('\n', stderr);
    return 1;
  }
  return 0;
}

void options_print_usage(const char *wrong) {
  if (wrong[1] == 'e' || wrong[1] == 'l')
    fprintf(stderr, "neap: '%s' needs argument\n", wrong);
  else if (!print_value_usage(wrong))
    fprintf(stderr, "neap: unrecognized option '%s'\n", wrong);
  fprintf(stderr, "%s%s", USAGE, OPTIONS);
}

/* Lua's name stands first, because programs look for it there. */
void options_print_version(int kind) {
  if (kind == 1)
    printf("%s (neap %s)\n", LUA_COPYRIGHT, NEAP_VERSION);
  else
    printf("neap %s\n%s\n", NEAP_VERSION, LUA_COPYRIGHT);
  fflush(stdout);
}

/* == The command line =================================================== */

static int seconds_of(const char *text, double *seconds) {
  char *end;
  *seconds = strtod(text, &end);
  return *end == '\0' && *seconds > 0;
}

/* "64M": bytes, or so many K, M or G of them. */
static int size_of(const char *text, size_t *size) {
  static const char units[] = "KMG";
  char *end;
  double n = strtod(text, &end);
  const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
  if (unit != NULL) {
    for (; unit >= units; unit--) n *= 1024;
    end++;
  }
  if (*end != '\0' || !(n >= 1 && n < 1e18)) return 0;
  *size = (size_t)n;
  return 1;
}

/* Adds a text to a list that NULL ends; 0 if memory is out. */
static int add(void *list, const char *text) {
  const char ***at = list, **grown;
  size_t n = 0;
  while (*at != NULL && (*at)[n] != NULL) n++;
  grown = realloc((void *)*at, (n + 2) * sizeof(*grown));
  if (grown == NULL) return 0;
  grown[n] = text;
  grown[n + 1] = NULL;
  *at = grown;
  return 1;
}

/* "read=A,B", or "read" for everything. */
static int allow_option(Options *o, const char *arg) {
  const struct {
    const char *name, *all;
    void *list;
  } lists[] = {{"read", "/", &o->sandbox.read},
               {"write", "/", &o->sandbox.write},
               {"net", "*", &o->sandbox.connect},
               {"listen", "*", &o->sandbox.listen},
               {"run", "*", &o->sandbox.run},
               {"env", "*", &o->sandbox.env}};
  size_t i, n = strcspn(arg, "=");
  char *text, *item, *rest;
  for (i = 0; i < sizeof(lists) / sizeof(*lists); i++)
    if (strlen(lists[i].name) == n && strncmp(lists[i].name, arg, n) == 0)
      break;
  if (i == sizeof(lists) / sizeof(*lists)) return 0;
  o->is_sandbox = 1;
  if (arg[n] == '\0') return add(lists[i].list, lists[i].all);
  text = strdup(arg + n + 1);
  if (text == NULL || !add(&o->texts, text)) return 0;
  for (item = strtok_r(text, ",", &rest); item != NULL;
       item = strtok_r(NULL, ",", &rest))
    if (!add(lists[i].list, item)) return 0;
  return 1;
}

static int long_option(Options *o, const char *arg) {
  static const char limit[] = "--block-limit=";
  if (strcmp(arg, "--debug") == 0) return o->debug = 1;
  if (strncmp(arg, limit, sizeof(limit) - 1) == 0) {
    o->debug = 1;
    return seconds_of(arg + sizeof(limit) - 1, &o->block_limit);
  }
  if (strcmp(arg, "--help") == 0) return o->help = 1;
  if (strcmp(arg, "--sandbox") == 0) return o->is_sandbox = 1;
  if (strncmp(arg, "--allow-", 8) == 0) return allow_option(o, arg + 8);
  if (strncmp(arg, "--memory-limit=", 15) == 0)
    return size_of(arg + 15, &o->limits.memory);
  if (strncmp(arg, "--time-limit=", 13) == 0)
    return seconds_of(arg + 13, &o->limits.seconds);
  if (strcmp(arg, "--version") == 0) return o->version = 2;
  return 0;
}

/* A letter that stands alone; 0 if it does not, or is no option. */
static int short_option(Options *o, const char *arg) {
  if (arg[2] != '\0') return 0;
  switch (arg[1]) {
    case 'E': o->environment = 0; return 1;
    case 'W': return 1;
    case 'i': o->interactive = 1; /* fall through */
    case 'v':
      if (o->version == 0) o->version = 1;
      return 1;
    default: return 0;
  }
}

void options_parse(Options *o, int argc, char **argv) {
  int i;
  o->environment = 1;
  o->limits.size = sizeof(o->limits);
  o->sandbox.size = sizeof(o->sandbox);
  o->sandbox.process = 1;
  for (i = 1; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
    const char *arg = argv[i];
    int known;
    if (strcmp(arg, "--") == 0) {
      i++;
      break;
    }
    if (arg[1] == 'e' || arg[1] == 'l') {
      if (arg[1] == 'e') o->execute = 1;
      known = arg[2] != '\0' || (i + 1 < argc && argv[i + 1][0] != '-');
      if (!known) o->wrong = i;
      if (arg[2] == '\0') i++;
    } else if (arg[1] == '-') {
      known = long_option(o, arg);
    } else {
      known = short_option(o, arg);
    }
    if (!known) {
      if (o->wrong == 0) o->wrong = i;
      return;
    }
  }
  o->script = i;
}

void options_free(Options *o) {
  const neap_Sandbox *s = &o->sandbox;
  size_t i;
  for (i = 0; o->texts != NULL && o->texts[i] != NULL; i++) free(o->texts[i]);
  free(o->texts);
  free((void *)s->read);
  free((void *)s->write);
  free((void *)s->connect);
  free((void *)s->listen);
  free((void *)s->run);
  free((void *)s->env);
}
