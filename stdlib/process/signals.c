/*
 * signals.c - signals that come to us: the class SignalWatch; and their
 * names.
 *
 * libuv catches a signal and tells every watch of it; a watch has its Lua
 * function called in the next turn. libuv restores the default when the last
 * watch of a signal goes, but the host may have had a handler of its own:
 * that one is put back.
 */
#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <string.h>
#include <uv.h>

#include "process.h"

typedef struct Watch Watch;
struct Watch {
  neap_Handle handle; /* first */
  uv_signal_t signal;
  neap_Callback *callback;
  struct sigaction before; /* the process's handler, if has_before */
  int has_before;
  int number;
  Watch **all, *next, *prev; /* those of this machine that are open */
};

/* The registry has the head of that list under this address. */
static const char watches_key = 0;

/* == Names ============================================================ */

static const struct {
  const char *name;
  int number;
} names[] = {
#define S(name) {#name, name}
  S(SIGHUP), S(SIGINT), S(SIGQUIT), S(SIGILL), S(SIGTRAP), S(SIGABRT),
  S(SIGBUS), S(SIGFPE), S(SIGKILL), S(SIGUSR1), S(SIGSEGV), S(SIGUSR2),
  S(SIGPIPE), S(SIGALRM), S(SIGTERM), S(SIGCHLD), S(SIGCONT), S(SIGSTOP),
  S(SIGTSTP), S(SIGTTIN), S(SIGTTOU), S(SIGURG), S(SIGXCPU), S(SIGXFSZ),
  S(SIGVTALRM), S(SIGPROF), S(SIGWINCH), S(SIGIO), S(SIGSYS),
#ifdef SIGPWR
  S(SIGPWR),
#endif
#ifdef SIGSTKFLT
  S(SIGSTKFLT),
#endif
#undef S
};

enum { NAMES = sizeof names / sizeof names[0] };

const char *np_signal_push(lua_State *L, int number) {
  for (int i = 0; i < NAMES; i++)
    if (names[i].number == number) return lua_pushstring(L, names[i].name);
  return lua_pushfstring(L, "SIG%d", number);
}

/* The number that `text` is the name of, or 0. */
static int number_of(lua_State *L, const char *text) {
  int number, found = 0;
  for (number = 1; number < NSIG && !found; number++) {
    found = strcmp(np_signal_push(L, number), text) == 0;
    lua_pop(L, 1);
  }
  return found ? number - 1 : 0;
}

int np_signal_check(lua_State *L, int index, const char *name) {
  const char *text;
  int number;
  if (lua_isinteger(L, index) && lua_tointeger(L, index) > 0 &&
      lua_tointeger(L, index) < NSIG)
    return (int)lua_tointeger(L, index);
  if (lua_type(L, index) != LUA_TSTRING && lua_type(L, index) != LUA_TNUMBER)
    return neap_misuse(L, name, "signal must be a name, not %s",
                             neap_typename(L, index));
  text = luaL_tolstring(L, index, NULL);
  number = number_of(L, text);
  if (number > 0) return number;
  return neap_misuse(L, name, "unknown signal '%s'", text);
}

/* == libuv's side ===================================================== */

static void on_signal(uv_signal_t *signal, int number) {
  Watch *w = signal->data;
  (void)number;
  neap_callback_call(w->callback);
}

/* Puts the process's handler back, or leaves that to another watch. */
static void before_restore(Watch *w) {
  struct sigaction now;
  Watch *other = *w->all;
  while (other != NULL && other->number != w->number) other = other->next;
  if (!w->has_before) return;
  if (other != NULL) {
    other->before = w->before;
    other->has_before = 1;
  } else if (sigaction(w->number, NULL, &now) == 0 &&
             now.sa_handler == SIG_DFL) {
    (void)sigaction(w->number, &w->before, NULL);
  }
}

static void watch_close(neap_Handle *h) {
  Watch *w = (Watch *)h;
  neap_callback_free(w->callback);
  w->callback = NULL;
  if (w->all == NULL) return; /* it was never started */
  (void)uv_signal_stop(&w->signal); /* it always gives 0 */
  if (w->prev != NULL) w->prev->next = w->next;
  else *w->all = w->next;
  if (w->next != NULL) w->next->prev = w->prev;
  before_restore(w);
}

const neap_Class np_signal_class = {"neap.Signals", watch_close, NULL};

/* == Lua's side ======================================================= */

/* Those that come from a mistake of the program would come for ever. */
static int is_watchable(int number) {
  switch (number) {
  case SIGKILL: case SIGSTOP: case SIGSEGV: case SIGBUS: case SIGFPE:
  case SIGILL: return 0;
  default: return 1;
  }
}

static Watch **watches(lua_State *L) {
  Watch **all;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &watches_key) == LUA_TNIL) {
    all = lua_newuserdatauv(L, sizeof *all, 0);
    *all = NULL;
    lua_rawsetp(L, LUA_REGISTRYINDEX, &watches_key);
  } else {
    all = lua_touserdata(L, -1);
  }
  lua_pop(L, 1);
  return all;
}

/* Starts it: 0 or a code. If libuv's handler is there already, another watch
 * knows what was before. */
static int watch_start(Watch *w, Watch **all) {
  struct sigaction now;
  int err;
  if (sigaction(w->number, NULL, &w->before) < 0)
    return uv_translate_sys_error(errno);
  err = uv_signal_start(&w->signal, on_signal, w->number);
  if (err < 0) return err;
  w->has_before = sigaction(w->number, NULL, &now) == 0 &&
                  now.sa_handler != w->before.sa_handler &&
                  w->before.sa_handler != SIG_DFL;
  w->all = all;
  w->next = *all;
  if (w->next != NULL) w->next->prev = w;
  *all = w;
  return 0;
}

/* core.watch(signal, f, name [, ref]) -> SignalWatch, its number and name:
 * f() is called in a turn for it; `ref` keeps a host's loop running */
int np_signal_watch(lua_State *L) {
  const char *name = luaL_checkstring(L, 3);
  int number = np_signal_check(L, 1, name), err;
  Watch **all = watches(L), *w;
  const char *text;
  lua_settop(L, 4);
  text = np_signal_push(L, number);
  if (!is_watchable(number))
    return neap_misuse(L, name, "%s cannot be handled", text);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  neap_permit(L, NEAP_MAY_PROCESS, name, NULL);
  w = neap_handle_new(L, sizeof *w, &np_signal_class);
  w->number = number;
  w->callback = neap_callback_new(L, 2);
  err = uv_signal_init(neap_loop(L), &w->signal);
  if (err < 0) return neap_fail(L, err, "%s %s", name, text);
  neap_handle_opened(&w->handle, &w->signal);
  if (!lua_toboolean(L, 4)) uv_unref((uv_handle_t *)&w->signal);
  err = watch_start(w, all);
  if (err < 0) {
    neap_handle_close(&w->handle);
    return neap_fail(L, err, "%s %s", name, text);
  }
  lua_pushinteger(L, number);
  lua_pushstring(L, text);
  return 3;
}

/**
 * process.kill(pid, signal)
 *
 * Sends a signal to any process, or to a group (a negative number). Raises an
 * OSError (`"ESRCH"`, `"EPERM"`). With 0 for the signal it sends nothing and
 * only raises, or not.
 */
int np_signal_kill(lua_State *L) {
  lua_Integer pid;
  int number, is_integer;
  pid = lua_tointegerx(L, 1, &is_integer);
  if (!is_integer || pid != (pid_t)pid || pid == 0)
    return neap_misuse(L, "kill", "pid must be an integer, not %s",
                             luaL_tolstring(L, 1, NULL));
  if (lua_isinteger(L, 2) && lua_tointeger(L, 2) == 0) number = 0;
  else number = np_signal_check(L, 2, "kill");
  neap_permit(L, pid == getpid() ? NEAP_MAY_PROCESS : NEAP_MAY_RUN, "kill",
              NULL);
  if (kill((pid_t)pid, number) < 0)
    return neap_fail(L, uv_translate_sys_error(errno), "kill %I",
                     (LUAI_UACINT)pid);
  return 0;
}
