/*
 * child.c - children: the class Child, which knows one process from its
 * start to its end.
 *
 * The kernel tells of the end through a pidfd, so nobody else's children are
 * touched and no signal is caught; where there are none, a timer asks. What
 * is closed before its end is killed, and its pidfd handed to the machine's
 * Orphans, which reap it.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <uv.h>

#include "launch.h"
#include "process.h"

#define ASK_FIRST ((uint64_t)1000000) /* ns between questions of the timer */
#define ASK_MOST ((uint64_t)50000000)

extern char **environ;

/* A task that waits for the end; a userdata on its stack. */
typedef struct Waiter Waiter;
struct Waiter {
  neap_Wait wait;
  pid_t pid;
  Waiter *next, **at; /* at: what points to it, NULL if nothing does */
};

typedef struct Child {
  neap_Handle handle; /* first */
  uv_poll_t poll;     /* of the pidfd ... */
  neap_Timer timer;   /* ... or this, if there is none */
  uint64_t pause;
  Waiter *waiters;
  np_Orphans *orphans;
  pid_t pid;
  int pidfd;      /* or -1 */
  int ours[3];    /* our ends of its pipes until they are streams, or -1 */
  int running;    /* not reaped yet */
  int detached;   /* closing lets it live */
  int leader;     /* of a process group: signals go to all of it */
  int ending;     /* what is left of the group ends with it */
  int status;     /* from waitpid, once reaped */
  int lost;       /* somebody else reaped it */
  int made;       /* what is above is set */
} Child;

/* == Its end ========================================================== */

static void waiter_unlink(Waiter *w) {
  if (w->at == NULL) return;
  *w->at = w->next;
  if (w->next != NULL) w->next->at = w->at;
  w->at = NULL;
}

/* In the order in which they came. */
static void waiter_link(Child *c, Waiter *w) {
  w->at = &c->waiters;
  while (*w->at != NULL) w->at = &(*w->at)->next;
  *w->at = w;
}

/* Whatever happens to its task, none stays in the list. */
static int waiter_gc(lua_State *L) {
  waiter_unlink(lua_touserdata(L, 1));
  return 0;
}

static Waiter *waiter_new(lua_State *L) {
  Waiter *w = lua_newuserdatauv(L, sizeof *w, 0);
  memset(w, 0, sizeof *w);
  if (luaL_newmetatable(L, "neap.process.Waiter")) {
    lua_pushcfunction(L, waiter_gc);
    lua_setfield(L, -2, "__gc");
    neap_metatable_hide(L);
  }
  lua_setmetatable(L, -2);
  return w;
}

static void waiters_wake(Child *c, int status) {
  while (c->waiters != NULL) {
    Waiter *w = c->waiters;
    waiter_unlink(w);
    (void)neap_wake(&w->wait, status);
  }
}

/* 0, or an errno. Before it is reaped, its number cannot be another's. */
static int child_signal(const Child *c, int number) {
  if (!c->running) return ESRCH;
  return kill(c->leader ? -c->pid : c->pid, number) < 0 ? errno : 0;
}

/* 1 if it has ended, and then its status is known. */
static int child_reap(Child *c) {
  siginfo_t info;
  int r;
  info.si_pid = 0;
  r = waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT);
  if (r == 0 && info.si_pid == 0) return 0;
  if (r < 0 && errno == EINTR) return 0;
  if (c->ending && c->leader) (void)kill(-c->pid, SIGKILL);
  do r = (int)waitpid(c->pid, &c->status, WNOHANG);
  while (r < 0 && errno == EINTR);
  c->lost = r != c->pid;
  c->running = 0;
  return 1;
}

/* Stops listening to the kernel, and gives the pidfd or -1. */
static int watch_stop(Child *c) {
  int pidfd = c->pidfd;
  neap_timer_stop(c->handle.vm, &c->timer);
  if (pidfd >= 0 && c->handle.uv != NULL)
    (void)uv_poll_stop(&c->poll); /* it always gives 0 */
  c->pidfd = -1;
  return pidfd;
}

static void child_ended(Child *c) {
  waiters_wake(c, 0);
  neap_handle_close(&c->handle);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
  Child *c = poll->data;
  (void)status;
  (void)events;
  if (child_reap(c)) child_ended(c);
}

static void on_ask(neap_Vm *vm, neap_Timer *timer) {
  Child *c = (Child *)(void *)((char *)timer - offsetof(Child, timer));
  if (child_reap(c)) {
    child_ended(c);
    return;
  }
  c->pause = c->pause * 2 < ASK_MOST ? c->pause * 2 : ASK_MOST;
  (void)neap_timer_start(vm, timer, neap_now() + c->pause);
}

static int watch_start(lua_State *L, Child *c) {
  c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
  if (c->pidfd >= 0 && uv_poll_init(neap_loop(L), &c->poll, c->pidfd) == 0) {
    neap_handle_opened(&c->handle, &c->poll);
    return uv_poll_start(&c->poll, UV_READABLE, on_readable);
  }
  if (c->pidfd >= 0) (void)close(c->pidfd);
  c->pidfd = -1;
  c->timer.fire = on_ask;
  c->pause = ASK_FIRST;
  return neap_timer_start(c->handle.vm, &c->timer, neap_now() + c->pause);
}

static void child_close(neap_Handle *h) {
  Child *c = (Child *)h;
  int pidfd;
  if (!c->made) return;
  for (int i = 0; i < 3; i++) np_fd_close(&c->ours[i]);
  waiters_wake(c, NEAP_ECLOSED);
  c->ending = !c->detached;
  if (!c->detached) (void)child_signal(c, SIGKILL);
  if (c->running) (void)child_reap(c);
  pidfd = watch_stop(c);
  if (c->running)
    np_orphans_add(c->orphans, c->detached ? -c->pid : c->pid, pidfd);
  else
    np_fd_close(&pidfd);
}

const neap_Class np_child_class = {"neap.Process", child_close, NULL};

/* == Starting ========================================================= */

/* What spawn holds until it is done, on the Lua stack: whatever is raised in
 * between, its collection gives back what is still here. */
typedef struct Spawn {
  np_Launch launch;
  int theirs[3]; /* descriptors for the child that are ours to close */
  int ours[3];   /* our ends of pipes, or of the terminal */
  int cleared[3]; /* O_NONBLOCK was taken off what is shared with us */
  gid_t *groups;
} Spawn;

static void spawn_close(Spawn *s) {
  for (int i = 0; i < 3; i++) {
    np_fd_close(&s->theirs[i]);
    np_fd_close(&s->ours[i]);
  }
}

static int spawn_gc(lua_State *L) {
  spawn_close(lua_touserdata(L, 1));
  return 0;
}

static Spawn *spawn_new(lua_State *L) {
  Spawn *s = lua_newuserdatauv(L, sizeof *s, 0);
  memset(s, 0, sizeof *s);
  for (int i = 0; i < 3; i++)
    s->launch.fds[i] = s->theirs[i] = s->ours[i] = -1;
  if (luaL_newmetatable(L, "neap.process.Spawn")) {
    lua_pushcfunction(L, spawn_gc);
    lua_setfield(L, -2, "__gc");
    neap_metatable_hide(L);
  }
  lua_setmetatable(L, -2);
  return s;
}

/* A pipe whose ends are at least 3: 0 or an errno. */
static int pipe_new(int *reads, int *writes) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return errno;
  *reads = np_fd_raise(ends[0]);
  *writes = np_fd_raise(ends[1]);
  return *reads < 0 || *writes < 0 ? errno : 0;
}

/* Another descriptor for `fd`, which the child may block on. */
static int fd_share(Spawn *s, int i, int fd) {
  int flags, to = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (to < 0) return errno;
  s->theirs[i] = to;
  flags = fcntl(to, F_GETFL);
  if (flags < 0 || !(flags & O_NONBLOCK)) return 0;
  s->cleared[i] = 1;
  return fcntl(to, F_SETFL, flags & ~O_NONBLOCK) < 0 ? errno : 0;
}

/* Nobody was started: we go on with what was to be shared. */
static void fds_restore(const Spawn *s) {
  for (int i = 0; i < 3; i++)
    if (s->cleared[i])
      (void)fcntl(s->theirs[i], F_SETFL,
                  fcntl(s->theirs[i], F_GETFL) | O_NONBLOCK);
}

static int null_open(int *fd) {
  *fd = np_fd_raise(open("/dev/null", O_RDWR | O_CLOEXEC));
  return *fd < 0 ? errno : 0;
}

/* Sets up stream i as the value on top says, and pops it: 0 or an errno. */
static int stream_set(lua_State *L, Spawn *s, int i) {
  const char *kind = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1)
                                                    : "";
  int fd = (int)lua_tointeger(L, -1), err = 0;
  if (lua_type(L, -1) == LUA_TNUMBER)
    err = fd_share(s, i, fd);
  else if (strcmp(kind, "null") == 0)
    err = null_open(&s->theirs[i]);
  else if (strcmp(kind, "pipe") == 0 && i == 0)
    err = pipe_new(&s->theirs[0], &s->ours[0]);
  else if (strcmp(kind, "pipe") == 0)
    err = pipe_new(&s->ours[i], &s->theirs[i]);
  else if (strcmp(kind, "stdout") == 0 && s->launch.fds[1] >= 0)
    s->launch.fds[2] = s->launch.fds[1];
  else if (strcmp(kind, "stdout") == 0)
    err = fd_share(s, 2, 1);
  if (s->theirs[i] >= 0) s->launch.fds[i] = s->theirs[i];
  lua_pop(L, 1);
  return err;
}

/* A terminal for all three: 0 or an errno. */
static int terminal_open(Spawn *s, const struct winsize *size) {
  char name[128];
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), err;
  s->ours[0] = np_fd_raise(master);
  if (s->ours[0] < 0) return errno;
  if (grantpt(s->ours[0]) < 0 || unlockpt(s->ours[0]) < 0) return errno;
  err = ptsname_r(s->ours[0], name, sizeof name);
  if (err != 0) return err;
  s->theirs[0] = np_fd_raise(open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (s->theirs[0] < 0) return errno;
  if (ioctl(s->ours[0], TIOCSWINSZ, size) < 0) return errno;
  for (int i = 0; i < 3; i++) s->launch.fds[i] = s->theirs[0];
  s->launch.session = s->launch.terminal = 1;
  return 0;
}

static unsigned short dimension(lua_State *L, const char *field) {
  lua_getfield(L, 1, field);
  unsigned short n = (unsigned short)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return n;
}

static int flag(lua_State *L, const char *field) {
  lua_getfield(L, 1, field);
  int on = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return on;
}

static int streams_open(lua_State *L, Spawn *s) {
  static const char *const fields[] = {"stdin", "stdout", "stderr"};
  struct winsize size;
  int err = 0;
  memset(&size, 0, sizeof size);
  size.ws_row = dimension(L, "rows");
  size.ws_col = dimension(L, "cols");
  if (flag(L, "pty")) return terminal_open(s, &size);
  for (int i = 0; i < 3 && err == 0; i++) {
    lua_getfield(L, 1, fields[i]);
    err = stream_set(L, s, i);
  }
  return err;
}

/* Pushes the strings of the list `field` as a C array, which lives as long
 * as that on the stack and the list do; NULL if there is no list. */
static char **strings(lua_State *L, const char *field) {
  lua_Integer i, n;
  char **array = NULL;
  if (lua_getfield(L, 1, field) == LUA_TTABLE) {
    n = luaL_len(L, -1);
    array = lua_newuserdatauv(L, sizeof *array * (size_t)(n + 1), 0);
    for (i = 1; i <= n; i++) {
      lua_rawgeti(L, -2, i);
      array[i - 1] = (char *)lua_tostring(L, -1);
      lua_pop(L, 1);
    }
    array[n] = NULL;
    lua_remove(L, -2);
  }
  return array;
}

static void user_set(lua_State *L, Spawn *s) {
  np_Launch *l = &s->launch;
  lua_Integer i, n;
  lua_getfield(L, 1, "uid");
  lua_getfield(L, 1, "gid");
  l->has_uid = lua_isinteger(L, -2);
  l->uid = (uid_t)lua_tointeger(L, -2);
  l->has_gid = lua_isinteger(L, -1);
  l->gid = (gid_t)lua_tointeger(L, -1);
  lua_pop(L, 2);
  if (lua_getfield(L, 1, "groups") != LUA_TTABLE) return;
  n = luaL_len(L, -1);
  s->groups = lua_newuserdatauv(L, sizeof *s->groups * (size_t)(n + 1), 0);
  for (i = 1; i <= n; i++) {
    lua_rawgeti(L, -2, i);
    s->groups[i - 1] = (gid_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  l->has_groups = 1;
  l->groups = s->groups;
  l->ngroups = (size_t)n;
}

static int spawn_fail(lua_State *L, Spawn *s, int err, int stage) {
  const char *program = s->launch.argv[0];
  err = uv_translate_sys_error(err);
  fds_restore(s);
  spawn_close(s);
  if (stage == NP_STAGE_CWD)
    return neap_fail(L, err, "spawn %s: cwd %s", program, s->launch.cwd);
  if (stage == NP_STAGE_USER)
    return neap_fail(L, err, "spawn %s: user", program);
  return neap_fail(L, err, "spawn %s", program);
}

/* Leaves of `paths` what a sandbox permits to run. */
static void permit_program(lua_State *L, np_Launch *l) {
  char **path, **to = l->paths;
  for (path = to; *path != NULL; path++)
    if (neap_permitted_program(L, *path)) *to++ = *path;
  *to = NULL;
  if (to == l->paths) (void)neap_refuse_program(L, "spawn", l->argv[0]);
}

/* The variables that are permitted; a script may not set others. */
static void permit_variables(lua_State *L, np_Launch *l) {
  int given = l->envp != environ;
  char **at, **to;
  size_t n = 0;
  while (l->envp[n] != NULL) n++;
  to = lua_newuserdatauv(L, (n + 1) * sizeof *to, 0);
  at = l->envp;
  l->envp = to;
  for (; *at != NULL; at++) {
    lua_pushlstring(L, *at, strcspn(*at, "="));
    if (neap_permitted_env(L, lua_tostring(L, -1))) *to++ = *at;
    else if (given)
      neap_permit(L, NEAP_MAY_ENV, "spawn", lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  *to = NULL;
}

/* The directory is on top. */
static void permit_launch(lua_State *L, np_Launch *l) {
  int cwd = lua_gettop(L);
  permit_program(L, l);
  if (!lua_isnil(L, cwd))
    (void)neap_permit_path(L, cwd, NEAP_MAY_READ, "spawn");
  permit_variables(L, l); /* stays below, on the stack */
  lua_pushvalue(L, cwd);
}

/*
 * core.spawn{argv=, paths=, env=, cwd=, stdin=, stdout=, stderr=, pty=,
 * rows=, cols=, detached=, new_group=, uid=, gid=, groups=}
 * -> Child
 */
int np_child_spawn(lua_State *L) {
  Spawn *s;
  Child *c;
  np_Stage stage = NP_STAGE_STREAMS;
  int err;
  if (np_orphans_get(L) == NULL) return luaL_error(L, "the program is ending");
  lua_settop(L, 1);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkstack(L, 20, NULL);
  s = spawn_new(L);
  s->launch.argv = strings(L, "argv");
  s->launch.paths = strings(L, "paths");
  s->launch.envp = strings(L, "env");
  if (s->launch.envp == NULL) s->launch.envp = environ;
  lua_getfield(L, 1, "cwd");
  if (neap_sandboxed(L)) permit_launch(L, &s->launch);
  s->launch.cwd = lua_tostring(L, -1);
  user_set(L, s);
  c = neap_handle_new(L, sizeof *c, &np_child_class);
  neap_handle_count(L, &c->handle, NEAP_KIND_PROCESS);
  c->pidfd = c->ours[0] = c->ours[1] = c->ours[2] = -1;
  c->made = 1;
  c->orphans = np_orphans_get(L);
  (void)np_orphans_reap(c->orphans);
  c->detached = s->launch.session = flag(L, "detached");
  s->launch.group = flag(L, "new_group");
  err = streams_open(L, s);
  if (err == 0) err = np_launch(&s->launch, &c->pid, &stage);
  if (err != 0) {
    neap_handle_close(&c->handle);
    return spawn_fail(L, s, err, (int)stage);
  }
  c->leader = s->launch.session || s->launch.group;
  c->running = 1;
  err = watch_start(L, c);
  if (err < 0) {
    spawn_close(s);
    neap_handle_close(&c->handle);
    return neap_fail(L, err, "spawn %s", s->launch.argv[0]);
  }
  for (int i = 0; i < 3; i++) {
    np_fd_close(&s->theirs[i]);
    c->ours[i] = s->ours[i];
    s->ours[i] = -1;
  }
  return 1;
}

/* == The class ======================================================== */

static Child *child_check(lua_State *L) {
  Child *c = neap_handle_test(L, 1, &np_child_class);
  if (c == NULL) luaL_typeerror(L, 1, "Process");
  return c;
}

/* The status, then the name of the signal; one of them is nil. */
static int outcome_push(lua_State *L, const Child *c) {
  if (!c->lost && WIFSIGNALED(c->status)) {
    lua_pushnil(L);
    (void)np_signal_push(L, WTERMSIG(c->status));
    return 2;
  }
  /* Whoever else reaped it has the status. */
  lua_pushinteger(L, c->lost ? 255 : WEXITSTATUS(c->status));
  lua_pushnil(L);
  return 2;
}

static void on_wait_abort(neap_Wait *wait) {
  waiter_unlink((Waiter *)(void *)((char *)wait - offsetof(Waiter, wait)));
}

static void wait_detail(const neap_Wait *w, char *text, size_t size) {
  const char *waiter = (const char *)w - offsetof(Waiter, wait);
  (void)snprintf(text, size, "for process %d",
                 (int)((const Waiter *)(const void *)waiter)->pid);
}

static int wait_done(lua_State *L, int status) {
  if (status < 0) return neap_fail(L, status, "%s", lua_tostring(L, 2));
  return outcome_push(L, child_check(L));
}

/* child:wait(name) -> status or nil, signal or nil. `name` is what the script
 * has called ("wait"). */
static int child_wait(lua_State *L) {
  Child *c = child_check(L);
  const char *name;
  Waiter *w;
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_pushliteral(L, "wait");
    lua_replace(L, 2);
  }
  name = luaL_checkstring(L, 2);
  if (c->pid > 0 && !c->running) return outcome_push(L, c);
  if (neap_handle_closed(&c->handle))
    return neap_misuse(L, name, "the Process is closed");
  w = waiter_new(L);
  w->wait.what = "wait";
  w->wait.detail = wait_detail;
  w->wait.abort = on_wait_abort;
  w->pid = c->pid;
  waiter_link(c, w);
  return neap_await(L, &w->wait, wait_done);
}

/* child:kill(signal) -> whether it was still there */
static int child_kill(lua_State *L) {
  Child *c = child_check(L);
  int number = SIGTERM, err;
  if (!lua_isnoneornil(L, 2)) number = np_signal_check(L, 2, "kill");
  if (neap_handle_closed(&c->handle)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  err = child_signal(c, number);
  if (err != 0 && err != ESRCH)
    return neap_fail(L, uv_translate_sys_error(err), "kill %I",
                     (LUAI_UACINT)c->pid);
  lua_pushboolean(L, err == 0);
  return 1;
}

/* child:ending(): from now on, what is left of its group ends with it */
static int child_ending(lua_State *L) {
  child_check(L)->ending = 1;
  return 0;
}

/* child:pid() -> integer */
static int child_pid(lua_State *L) {
  lua_pushinteger(L, child_check(L)->pid);
  return 1;
}

static int *end_check(lua_State *L) {
  lua_Integer i = luaL_checkinteger(L, 2);
  luaL_argcheck(L, i >= 0 && i < 3, 2, "out of range");
  return &child_check(L)->ours[i];
}

/* child:_fd(i) -> our end of its stream i, lent; nil if there is none */
static int child_fd(lua_State *L) {
  int fd = *end_check(L);
  if (fd < 0) return 0;
  neap_give_fd(L, fd);
  lua_pushinteger(L, fd);
  return 1;
}

/* child:taken(i): that end is somebody else's now */
static int child_taken(lua_State *L) {
  *end_check(L) = -1;
  return 0;
}

/* child:resize(fd, rows, cols) */
static int child_resize(lua_State *L) {
  struct winsize size;
  memset(&size, 0, sizeof size);
  size.ws_row = (unsigned short)luaL_checkinteger(L, 3);
  size.ws_col = (unsigned short)luaL_checkinteger(L, 4);
  if (ioctl((int)luaL_checkinteger(L, 2), TIOCSWINSZ, &size) < 0)
    return neap_fail(L, uv_translate_sys_error(errno), "resize");
  return 0;
}

const luaL_Reg np_child_methods[] = {
  {"kill", child_kill},
  {"_ending", child_ending},
  {"pid", child_pid},
  {"_fd", child_fd},
  {"_taken", child_taken},
  {"resize", child_resize},
  {NULL, NULL}
};

const neap_Async np_child_ops[] = {
  {"wait", child_wait},
  {NULL, NULL}
};
