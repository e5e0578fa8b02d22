/*
 * orphans.c - children that were closed before their end, for the machine to
 * reap.
 *
 * Their pidfds are in one epoll, which the loop watches without being kept
 * alive by it.
 */
#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "process.h"

#define LAST_WAIT 100 /* ms that the machine's end waits for the killed */

typedef struct Orphan {
  pid_t pid; /* negative if it is detached: that one may live long */
  int pidfd; /* or -1: then it is reaped when we look at another */
} Orphan;

/* Those that were closed before their end, for the machine. This is no handle
 * of a script's: it is there as long as the machine, and keeps it from
 * nothing. */
struct np_Orphans {
  neap_Vm *vm;
  uv_poll_t poll;
  int epoll; /* of all their pidfds; -1 until there is one */
  Orphan *list;
  size_t n, size;
};

/* The registry has the machine's Orphans under this address. */
static const char orphans_key = 0;

void np_fd_close(int *fd) {
  if (*fd >= 0) (void)close(*fd);
  *fd = -1;
}

int np_orphans_reap(np_Orphans *o) {
  size_t i, left = 0;
  int killed = 0;
  for (i = 0; i < o->n; i++) {
    Orphan *one = &o->list[i];
    if (waitpid(one->pid < 0 ? -one->pid : one->pid, NULL, WNOHANG) != 0) {
      np_fd_close(&one->pidfd);
      continue;
    }
    killed = killed || one->pid > 0;
    o->list[left++] = *one;
  }
  o->n = left;
  return killed;
}

static void on_orphan(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  (void)np_orphans_reap(poll->data);
}

/* 0 or a code, after which it can be tried again. */
static int orphans_listen(np_Orphans *o) {
  int err;
  if (o->epoll >= 0) return 0;
  o->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (o->epoll < 0) return uv_translate_sys_error(errno);
  err = uv_poll_init(neap_loop(neap_state(o->vm)), &o->poll, o->epoll);
  if (err < 0) {
    np_fd_close(&o->epoll);
    return err;
  }
  o->poll.data = o;
  uv_unref((uv_handle_t *)&o->poll);
  return uv_poll_start(&o->poll, UV_READABLE, on_orphan);
}

static int orphans_grow(np_Orphans *o) {
  size_t size = o->size > 0 ? o->size * 2 : 8;
  Orphan *list = realloc(o->list, size * sizeof *list);
  if (list == NULL) return UV_ENOMEM;
  o->list = list;
  o->size = size;
  return 0;
}

void np_orphans_add(np_Orphans *o, pid_t pid, int pidfd) {
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  event.events = EPOLLIN;
  if (o->n == o->size && orphans_grow(o) < 0) {
    np_fd_close(&pidfd);
    return;
  }
  if (pidfd >= 0 && (orphans_listen(o) < 0 ||
                     epoll_ctl(o->epoll, EPOLL_CTL_ADD, pidfd, &event) < 0))
    np_fd_close(&pidfd);
  o->list[o->n++] = (Orphan){pid, pidfd};
}

static void on_orphans_closed(uv_handle_t *poll) {
  np_Orphans *o = poll->data;
  neap_Vm *vm = o->vm;
  free(o);
  neap_request_end(vm);
}

/* The machine ends: the killed ones have a moment left. */
static int orphans_gc(lua_State *L) {
  np_Orphans **box = lua_touserdata(L, 1), *o = *box;
  size_t i;
  int tries = 0;
  *box = NULL;
  if (o == NULL) return 0;
  while (np_orphans_reap(o) && tries++ < LAST_WAIT) (void)usleep(1000);
  for (i = 0; i < o->n; i++) np_fd_close(&o->list[i].pidfd);
  free(o->list);
  if (o->epoll < 0) {
    free(o);
  } else if (!uv_is_closing((uv_handle_t *)&o->poll)) { /* or the host's */
    (void)uv_poll_stop(&o->poll); /* it always gives 0 */
    np_fd_close(&o->epoll);
    neap_request_begin(o->vm);
    uv_close((uv_handle_t *)&o->poll, on_orphans_closed);
  }
  return 0;
}

np_Orphans *np_orphans_get(lua_State *L) {
  np_Orphans **box;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &orphans_key);
  box = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return box != NULL ? *box : NULL;
}

void np_orphans_open(lua_State *L) {
  np_Orphans **box;
  if (np_orphans_get(L) != NULL) return;
  box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, orphans_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  *box = calloc(1, sizeof **box);
  if (*box == NULL) luaL_error(L, "not enough memory");
  (*box)->vm = neap_vm(L);
  (*box)->epoll = -1;
  lua_rawsetp(L, LUA_REGISTRYINDEX, &orphans_key);
}
