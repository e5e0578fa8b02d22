/*
 * main.c - the neap command: lua's options, and then a machine.
 *
 * An embedder like any other: it may touch neap.h, Lua's public headers and
 * POSIX. LUA_INIT, -e, -l, the script and each interactive line run as one
 * task after the other; when the last has ended, all other tasks are
 * cancelled and awaited, and the machine is freed.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "main_options.h"
#include "main_signals.h"
#include "neap.h"

enum { STATUS_INTERRUPTED = 130 };

/* So many arguments can be given to a task as they are. */
enum { MANY = 200 };

/* What a run gives beside LUA_OK: it was told to the user already. */
enum { FAILED = 1 };

typedef struct Host {
  int argc;
  char **argv;
  Options options;
  const char *translate; /* the file to translate, or NULL */
  const char *program;   /* goes before messages; NULL: nothing does */
  char *line;            /* the buffer of getline */
  size_t line_size;
  int status;            /* what the process will exit with */
  int failed;            /* an error was reported that nobody retrieved */
} Host;

/* == Messages =========================================================== */

static void complain(const char *program, const char *text) {
  if (program != NULL) fprintf(stderr, "%s: ", program);
  fprintf(stderr, "%s\n", text);
  fflush(stderr);
}

/*
 * Where a tree of tasks goes: into the file that `neap ps` has made for us
 * and waits at, if it is our user's, or else to stderr.
 */
static void write_dump(const char *text) {
  char path[64];
  struct stat info;
  int fd;
  snprintf(path, sizeof(path), "/tmp/neap-ps.%ld", (long)getpid());
  fd = open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
      info.st_uid == geteuid()) {
    (void)dprintf(fd, "%s\n", text);
  } else {
    complain(NULL, text);
  }
  if (fd >= 0) (void)close(fd);
}

static void on_report(neap_Vm *vm, const neap_Report *report) {
  Host *host = neap_data(vm);
  if (report->kind == NEAP_REPORT_DUMP) {
    write_dump(report->text);
    return;
  }
  if (report->kind == NEAP_REPORT_ERROR) host->failed = 1;
  complain(report->kind == NEAP_REPORT_LUA ? "Lua warning" : "neap",
           report->text);
  if (report->source != NULL) fprintf(stderr, "    %s\n", report->source);
  if (report->traceback != NULL) complain(NULL, report->traceback);
}

/*
 * A standard file that is closed at the start would give its number to the
 * next thing that is opened, and print would write there. It is opened the
 * wrong way round, so that using it still fails.
 */
static void occupy_standard_files(void) {
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
      (void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

/* == Running ============================================================ */

/* Says, as lua does, where the task at index `task` was when the error at the
 * top reached it. */
static int interruption(Host *host, lua_State *L, int task) {
  neap_error_text(L, -1, task);
  const char *stack = strstr(lua_tostring(L, -1), "\nstack traceback:\n");
  complain(host->program, lua_pushfstring(L, "interrupted!%s",
                                          stack != NULL ? stack : ""));
  host->status = STATUS_INTERRUPTED;
  return FAILED;
}

/* 1 if the value on top is an object of the script's that makes its own
 * text, and not an Error of neap's. */
static int is_foreign(lua_State *L) {
  if (luaL_getmetafield(L, -1, "__tostring") == LUA_TNIL) return 0;
  lua_pop(L, 1);
  if (!lua_istable(L, -1)) return 1;
  lua_pushliteral(L, "message");
  int type = lua_rawget(L, -2);
  lua_pop(L, 1);
  return type == LUA_TNIL;
}

/*
 * Says what the error at the top is, of the task at index `task` or 0. Such
 * an object has lua's prefix, the command as it was called, which is all
 * that programs written for lua can know of it.
 */
static int failure(Host *host, lua_State *L, int task) {
  const char *program = host->program;
  if (program != NULL && is_foreign(L)) program = host->argv[0];
  neap_error_text(L, -1, task);
  complain(program, lua_tostring(L, -1));
  host->status = EXIT_FAILURE;
  return FAILED;
}

/* Runs the function and `nargs` arguments on top as a task. Leaves what
 * neap_wait gives, above `base`: the results, or the error and under it the
 * task. */
static int wait_for(lua_State *L, int nargs, const char *name, int *n) {
  int base = lua_gettop(L) - nargs - 1;
  neap_spawn(L, nargs, name);
  neap_set_main(L, base + 1);
  signals_interrupt(neap_vm(L));
  int status = neap_wait(L, base + 1, n);
  signals_interrupt(NULL);
  if (status == LUA_OK) lua_remove(L, base + 1);
  return status;
}

/*
 * The same for code of the user's: an error is told to them. Leaves the
 * results and their number, or nothing and FAILED.
 */
static int run(Host *host, lua_State *L, int nargs, const char *name,
               int *n) {
  int base = lua_gettop(L) - nargs - 1;
  int status = wait_for(L, nargs, name, n);
  if (neap_exiting(neap_vm(L), &host->status)) {
    status = FAILED;
  } else if (status == NEAP_ECANCELED && signals_interrupted()) {
    status = interruption(host, L, base + 1);
  } else if (status != LUA_OK) {
    status = failure(host, L, base + 1);
  }
  if (status != LUA_OK) lua_settop(L, base);
  return status;
}

/* Runs what neap_load has pushed, and drops the results. */
static int run_loaded(Host *host, lua_State *L, int load_status,
                      const char *name) {
  int n, base = lua_gettop(L) - 1;
  int status = load_status == LUA_OK ? run(host, L, 0, name, &n)
                                     : failure(host, L, 0);
  lua_settop(L, base);
  return status;
}

static int run_text(Host *host, lua_State *L, const char *text,
                    const char *name) {
  int status = neap_load(L, text, strlen(text), name, NULL);
  if (strchr(text, '\n') != NULL) /* one line need not be shown */
    neap_keep_source(L, name + 1, text, strlen(text));
  return run_loaded(host, L, status, name + 1);
}

static int run_file(Host *host, lua_State *L, const char *filename) {
  int status = neap_loadfile(L, filename, NULL);
  return run_loaded(host, L, status, filename ? filename : "stdin");
}

static int run_init(Host *host, lua_State *L) {
  const char *name = "=LUA_INIT_5_4", *init = getenv(name + 1);
  if (init == NULL) init = getenv((name = "=LUA_INIT") + 1);
  if (init == NULL) return LUA_OK;
  if (init[0] == '@') return run_file(host, L, init + 1);
  return run_text(host, L, init, name);
}

/* `what` is MOD or G=MOD. */
static int run_require(Host *host, lua_State *L, const char *what) {
  int n = 0, base = lua_gettop(L);
  const char *equals = strchr(what, '=');
  lua_getglobal(L, "require");
  lua_pushstring(L, equals != NULL ? equals + 1 : what);
  int status = run(host, L, 1, "require", &n);
  if (status == LUA_OK) {
    lua_settop(L, base + 1); /* the module, or nil */
    lua_pushlstring(L, what, equals ? (size_t)(equals - what) : strlen(what));
    lua_insert(L, -2);
    lua_pushglobaltable(L);
    lua_insert(L, -3);
    lua_settable(L, -3);
  }
  lua_settop(L, base);
  return status;
}

/* -e, -l and -W, in the order in which they were given. */
static int run_options(Host *host, lua_State *L) {
  for (int i = 1; i < host->options.script; i++) {
    const char *arg = host->argv[i];
    int status = LUA_OK;
    if (strcmp(arg, "--") == 0) break;
    if (arg[1] == 'W') lua_warning(L, "@on", 0);
    if (arg[1] != 'e' && arg[1] != 'l') continue;
    const char *value = arg[2] != '\0' ? arg + 2 : host->argv[++i];
    if (arg[1] == 'e')
      status = run_text(host, L, value, "=(command line)");
    else
      status = run_require(host, L, value);
    if (status != LUA_OK) return status;
  }
  return LUA_OK;
}

/* arg[0] is the script; without one it is the command. */
static void make_arg(lua_State *L, const Host *host) {
  int script = host->options.script;
  if (script >= host->argc) script = 0;
  lua_createtable(L, host->argc - script, script + 1);
  for (int i = 0; i < host->argc; i++) {
    lua_pushstring(L, host->argv[i]);
    lua_rawseti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
}

/* Pushes what `arg` holds by now: an option may have changed it. */
static int push_arguments(lua_State *L) {
  if (lua_getglobal(L, "arg") != LUA_TTABLE)
    return luaL_error(L, "'arg' is not a table");
  int n = (int)luaL_len(L, -1);
  luaL_checkstack(L, n + 3, "too many arguments to script");
  for (int i = 1; i <= n; i++) lua_rawgeti(L, -i, i);
  lua_remove(L, -n - 1);
  return n;
}

static int called(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  return lua_gettop(L);
}

/* Calls its first upvalue with its second upvalue's values. */
static int call_packed(lua_State *L) {
  lua_settop(L, 0);
  lua_getfield(L, lua_upvalueindex(2), "n");
  int n = (int)lua_tointeger(L, 1);
  luaL_checkstack(L, n + 3, "too many arguments to script");
  lua_pushvalue(L, lua_upvalueindex(1));
  for (int i = 1; i <= n; i++) lua_rawgeti(L, lua_upvalueindex(2), i);
  lua_remove(L, 1);
  lua_callk(L, n, LUA_MULTRET, 0, called);
  return called(L, LUA_OK, 0);
}

/* A task takes a few hundred arguments, but `neap x.lua *` may have more.
 * Replaces the function and its `n` arguments by one that has none. */
static void pack_arguments(lua_State *L, int n) {
  int base = lua_gettop(L) - n;
  lua_createtable(L, n, 1);
  lua_insert(L, base + 1);
  for (int i = n; i > 0; i--) lua_rawseti(L, base + 1, i);
  lua_pushinteger(L, n);
  lua_setfield(L, base + 1, "n");
  lua_pushcclosure(L, call_packed, 2);
}

static int run_script(Host *host, lua_State *L) {
  char **argv = host->argv + host->options.script;
  const char *filename = argv[0];
  int n, nargs;
  if (strcmp(filename, "-") == 0 && strcmp(argv[-1], "--") != 0)
    filename = NULL;
  if (neap_loadfile(L, filename, NULL) != LUA_OK) return failure(host, L, 0);
  nargs = push_arguments(L);
  if (nargs > MANY) pack_arguments(L, nargs);
  int status = run(host, L, nargs > MANY ? 0 : nargs, "main", &n);
  lua_settop(L, 0);
  return status;
}

/* == Interactive mode =================================================== */

/* Writes the prompt that the script may have set: any value, as a string. */
static void show_prompt(lua_State *L, int first) {
  int top = lua_gettop(L);
  if (lua_getglobal(L, first ? "_PROMPT" : "_PROMPT2") == LUA_TNIL)
    lua_pushstring(L, first ? "> " : ">> ");
  fputs(luaL_tolstring(L, -1, NULL), stdout);
  fflush(stdout);
  lua_settop(L, top);
}

/*
 * Pushes a line without its end, or returns 0 at the end of the input. What
 * does not come from a terminal is shown, so that the output reads as a
 * session.
 */
static int read_line(Host *host, lua_State *L, int first) {
  show_prompt(L, first);
  ssize_t length = getline(&host->line, &host->line_size, stdin);
  if (length < 0) return 0;
  if (length > 0 && host->line[length - 1] == '\n') length--;
  lua_pushlstring(L, host->line, (size_t)length);
  if (!isatty(STDIN_FILENO)) {
    puts(lua_tostring(L, -1));
    fflush(stdout); /* before what the line may write to stderr */
  }
  return 1;
}

/*
 * Replaces the line on top by its function if it is an expression, and
 * returns 1. "=" before it is Lua 5.2's way to say that it is one.
 */
static int load_expression(lua_State *L) {
  const char *line = lua_tostring(L, -1);
  if (*line == '=') {
    lua_pushfstring(L, "return %s", line + 1);
    lua_replace(L, -2);
    return 0;
  }
  const char *text = lua_pushfstring(L, "return %s", line);
  int ok = neap_load(L, text, strlen(text), "=stdin", "t") == LUA_OK;
  if (ok) lua_replace(L, -3);
  lua_pop(L, ok ? 1 : 2);
  return ok;
}

static int is_incomplete(lua_State *L, int status) {
  static const char mark[] = "<eof>";
  size_t length, n = sizeof(mark) - 1;
  if (status != LUA_ERRSYNTAX) return 0;
  const char *message = lua_tolstring(L, -1, &length);
  return length >= n && strcmp(message + length - n, mark) == 0;
}

/* Replaces the line on top by the function of a statement, for which more
 * lines may be needed, or by a message. */
static int load_statement(Host *host, lua_State *L) {
  for (;;) {
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    int status = neap_load(L, text, length, "=stdin", "t");
    if (!is_incomplete(L, status) || !read_line(host, L, 0)) {
      lua_replace(L, -2);
      return status;
    }
    lua_replace(L, -2);
    lua_pushliteral(L, "\n");
    lua_insert(L, -2);
    lua_concat(L, 3);
  }
}

/* Prints the `n` values on top as the global print does. */
static int print_values(Host *host, lua_State *L, int n) {
  int base = lua_gettop(L) - n;
  if (n == 0) return LUA_OK;
  luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
  lua_getglobal(L, "print");
  lua_insert(L, base + 1);
  int status = wait_for(L, n, "print", &n);
  if (neap_exiting(neap_vm(L), &host->status)) return FAILED;
  if (status == NEAP_ECANCELED && signals_interrupted()) {
    (void)interruption(host, L, base + 1);
  } else if (status != LUA_OK) {
    const char *why = luaL_tolstring(L, -1, NULL);
    complain(NULL, lua_pushfstring(L, "error calling 'print' (%s)", why));
  }
  lua_settop(L, base);
  return LUA_OK;
}

static int has_module(const char *name) {
  const neap_Module *m = neap_module_next(NULL);
  while (m != NULL && strcmp(m->name, name) != 0) m = neap_module_next(m);
  return m != NULL;
}

/* Has the module edit lines and run them; 0 if it is not in the build or
 * there is no terminal to do it on. */
static int run_editor(Host *host, lua_State *L) {
  static const char text[] =
    "return await require 'neap.repl'.run{"
    "banner = 'help() tells how to use this prompt'}";
  int n, done = 1;
  if (!has_module("neap.repl")) return 0;
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) return 0;
  if (neap_load(L, text, sizeof(text) - 1, "=repl", "t") != LUA_OK)
    (void)failure(host, L, 0);
  else if (run(host, L, 0, "repl", &n) == LUA_OK && n > 0)
    done = lua_toboolean(L, -n);
  lua_settop(L, 0);
  return done;
}

/*
 * Reads, runs and prints until the input ends or os.exit is called. Messages
 * have no program's name in front, and no error sets the exit status.
 */
static void run_interactive(Host *host, lua_State *L) {
  int n, status = host->status;
  if (run_editor(host, L)) return;
  host->program = NULL;
  for (lua_settop(L, 0); read_line(host, L, 1); lua_settop(L, 0)) {
    if (!load_expression(L) && load_statement(host, L) != LUA_OK)
      (void)failure(host, L, 0);
    else if (run(host, L, 0, "stdin", &n) == LUA_OK)
      (void)print_values(host, L, n);
    if (neap_exiting(neap_vm(L), &host->status)) return;
  }
  host->status = status;
  host->program = "neap";
  fputs("\n", stdout);
  fflush(stdout);
}

/* == neap translate ===================================================== */

static void push_contents(lua_State *L, const char *filename, FILE *file) {
  luaL_Buffer buffer;
  size_t n;
  luaL_buffinit(L, &buffer);
  do {
    char *room = luaL_prepbuffer(&buffer);
    n = fread(room, 1, LUAL_BUFFERSIZE, file);
    luaL_addsize(&buffer, n);
  } while (n > 0);
  luaL_pushresult(&buffer);
  int err = ferror(file) ? errno : 0;
  if (file != stdin) (void)fclose(file); /* it was only read */
  if (err) luaL_error(L, "cannot read %s: %s", filename, strerror(err));
}

/* The length of what loadfile skips: a byte order mark and a line with #. */
static size_t preamble(const char *text) {
  size_t mark = strncmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
  return text[mark] == '#' ? mark + strcspn(text + mark, "\n") : mark;
}

/*
 * The first line with # is kept only when the text did not change: otherwise
 * something of neap's stands on the first line, and lines must not move.
 */
static int translate(lua_State *L) {
  const char *filename = lua_touserdata(L, 1);
  int is_stdin = strcmp(filename, "-") == 0;
  FILE *file = is_stdin ? stdin : fopen(filename, "rb");
  size_t length, result_length;
  if (file == NULL)
    return luaL_error(L, "cannot open %s: %s", filename, strerror(errno));
  push_contents(L, is_stdin ? "stdin" : filename, file);
  const char *text = lua_tolstring(L, -1, &length);
  if (*text == LUA_SIGNATURE[0])
    return luaL_error(L, "%s: a compiled chunk has no text", filename);
  lua_pushfstring(L, is_stdin ? "=stdin" : "@%s", filename);
  const char *name = lua_tostring(L, -1);
  size_t skipped = preamble(text);
  text += skipped;
  length -= skipped;
  if (neap_translate(L, text, length, name) != LUA_OK) return lua_error(L);
  const char *result = lua_tolstring(L, -1, &result_length);
  if (result_length == length && memcmp(result, text, length) == 0)
    fwrite(text - skipped, 1, skipped, stdout);
  fwrite(result, 1, result_length, stdout);
  return 0;
}

/* == From beginning to end ============================================== */

static void run_all(Host *host, lua_State *L) {
  const Options *o = &host->options;
  if (o->environment && run_init(host, L) != LUA_OK) return;
  if (run_options(host, L) != LUA_OK) return;
  if (o->script < host->argc && run_script(host, L) != LUA_OK) return;
  if (o->interactive) {
    run_interactive(host, L);
  } else if (o->script >= host->argc && !o->execute && !o->version) {
    if (!isatty(STDIN_FILENO)) {
      (void)run_file(host, L, NULL);
    } else {
      options_print_version(1);
      run_interactive(host, L);
    }
  }
}

/* Everything that may raise: a lack of memory, or 'arg' no table. */
static int protected_main(lua_State *L) {
  Host *host = lua_touserdata(L, 1);
  lua_settop(L, 0);
  if (host->translate != NULL) {
    lua_pushlightuserdata(L, (void *)host->translate);
    return translate(L);
  }
  if (host->options.version) options_print_version(host->options.version);
  make_arg(L, host);
  run_all(host, L);
  return 0;
}

/* The tasks that are left clean up; an interrupt does not wait for that. */
static int protected_finish(lua_State *L) {
  neap_finish(L);
  return 0;
}

static void call(Host *host, lua_State *L, lua_CFunction f) {
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, host);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    const char *text = lua_tostring(L, -1);
    if (text == NULL) text = "(error object is no string)";
    complain(host->program, text);
    host->status = EXIT_FAILURE;
  }
  lua_settop(L, 0);
}

static int is_on(const char *variable) {
  const char *value = getenv(variable);
  return value != NULL && value[0] != '\0' && strcmp(value, "0") != 0;
}

static void run_machine(Host *host) {
  neap_Options options;
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.report = on_report;
  options.terminal = signals_edit;
  options.data = host;
  options.ignore_env = !host->options.environment;
  options.debug = host->options.debug ||
                  (host->options.environment && is_on("NEAP_DEBUG"));
  options.limits = &host->options.limits;
  options.sandbox = host->options.is_sandbox ? &host->options.sandbox : NULL;
  errno = ENOMEM; /* unless the loop finds no descriptors */
  neap_Vm *vm = neap_vm_new(&options);
  if (vm == NULL) {
    fprintf(stderr, "neap: cannot create state: %s\n", strerror(errno));
    host->status = EXIT_FAILURE;
    return;
  }
  if (host->options.block_limit > 0)
    neap_set_block_limit(vm, host->options.block_limit);
  signals_start(vm);
  call(host, neap_state(vm), protected_main);
  if (!neap_exiting(vm, &host->status))
    call(host, neap_state(vm), protected_finish);
  (void)neap_exiting(vm, &host->status);
  signals_stop();
  neap_vm_free(vm);
}

/* 0 if something that was written to stdout did not get there. */
static int flush_output(void) {
  errno = 0;
  if (fflush(stdout) == 0 && !ferror(stdout)) return 1;
  int err = errno;
  if (signals_reader_is_gone(STDOUT_FILENO)) signals_die_of_pipe();
  fprintf(stderr, "neap: cannot write to stdout%s%s\n", err ? ": " : "",
          err ? strerror(err) : "");
  return 0;
}

static int is_verb(int argc, char **argv, const char *verb) {
  return argc >= 2 && strcmp(argv[1], verb) == 0;
}

/* What is wrong with `neap ps ...` or `neap translate ...`, or NULL. Without
 * just one word behind it, a verb may be the name of a script. */
static const char *verb_misuse(int argc, char **argv) {
  int ps = is_verb(argc, argv, "ps");
  if (!ps && !is_verb(argc, argv, "translate")) return NULL;
  if (argc != 3 && access(argv[1], F_OK) < 0)
    return ps ? "ps needs the number of a process, and only that"
              : "translate needs the name of a file, and only that";
  if (ps && argc == 3 && (strspn(argv[2], "0123456789") != strlen(argv[2]) ||
                          strlen(argv[2]) > 10))
    return "ps needs the number of a process";
  return NULL;
}

/* A program that reads and writes blocks would otherwise give the end of the
 * heap back to the kernel, and fetch it again, for each of them. */
static void keep_memory(void) {
#ifdef __GLIBC__
  (void)mallopt(M_TRIM_THRESHOLD, 16 << 20);
  (void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
}

int main(int argc, char **argv) {
  char name[] = "neap", *only_name[] = {name, NULL};
  char execute[] = "-e", call_ps[160], *ps[] = {name, execute, call_ps, NULL};
  Host host = {.argc = argc, .argv = argv, .program = "neap"};
  const char *misuse = verb_misuse(argc, argv);
  if (argc < 1) {
    host.argc = 1;
    host.argv = only_name;
  }
  occupy_standard_files();
  keep_memory();
  if (misuse != NULL) {
    complain("neap", misuse);
    return EXIT_FAILURE;
  }
  if (argc == 3 && is_verb(argc, argv, "ps")) {
    snprintf(call_ps, sizeof(call_ps),
             "local ok, e = pcall(require 'neap.ps', '%s') if not ok then "
             "io.stderr:write('neap: ', tostring(e), '\\n') os.exit(1, true) "
             "end", argv[2]);
    host.argv = ps;
  }
  if (argc == 3 && is_verb(argc, argv, "translate"))
    host.translate = argv[2];
  else
    options_parse(&host.options, host.argc, host.argv);
  if (host.options.wrong) {
    options_print_usage(host.argv[host.options.wrong]);
    return EXIT_FAILURE;
  }
  if (host.options.help)
    options_print_help();
  else if (host.options.version == 2)
    options_print_version(2);
  else
    run_machine(&host);
  free(host.line);
  options_free(&host.options);
  if (host.status == 0 && host.failed) host.status = EXIT_FAILURE;
  if (!flush_output() && host.status == 0) host.status = EXIT_FAILURE;
  return host.status;
}
