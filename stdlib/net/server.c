/*
 * server.c - listening sockets: the class Server.
 *
 * The accepting task takes connections from the kernel itself, on its own
 * stack, as many as there are; libuv only tells it that there are some again.
 * Descriptors that nobody accepts stay in the kernel's backlog.
 */
#include <errno.h>
#include <lauxlib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "address.h"
#include "net.h"
#include "stream.h"
#include "tls.h"

#define BURST 64                    /* accepted in a row without waiting */
#define REST ((uint64_t)50000000)   /* ns to wait for a free descriptor */

typedef struct Server {
  neap_Handle handle; /* first */
  uv_poll_t poll;
  neap_Wait acceptor;
  neap_Timer rest;
  np_Context *tls;    /* of its streams, one count of it, or NULL */
  int fd, is_open;
  int accepted;       /* taken from the kernel, not yet a stream ... */
  int has_accepted;   /* ... if this is set */
  struct sockaddr_storage peer; /* of what was accepted */
  int kind;           /* of its streams */
  int polling;
  unsigned burst;
  int starved;        /* no descriptor was left, and that was reported */
  dev_t dev;          /* which file of the file system is ours */
  ino_t ino;
  char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
} Server;

/* == libuv's side ===================================================== */

static void polling_stop(Server *v) {
  if (v->polling && v->handle.uv != NULL)
    (void)uv_poll_stop(&v->poll); /* it always gives 0 */
  v->polling = 0;
}

static void on_ready(uv_poll_t *poll, int status, int events) {
  Server *v = poll->data;
  (void)status; /* accept finds the reason */
  (void)events;
  if (!neap_wake(&v->acceptor, 0)) polling_stop(v);
}

static void on_rested(neap_Vm *vm, neap_Timer *t) {
  Server *v = (Server *)(void *)((char *)t - offsetof(Server, rest));
  (void)vm;
  (void)neap_wake(&v->acceptor, 0);
}

/* Removes our socket from the file system, unless another one is there. */
static void path_remove(Server *v) {
  struct stat st;
  if (v->path[0] == '\0' || v->ino == 0) return;
  if (lstat(v->path, &st) < 0) return;
  if (st.st_dev == v->dev && st.st_ino == v->ino) (void)unlink(v->path);
}

static void server_close(neap_Handle *h) {
  Server *v = (Server *)h;
  (void)neap_wake(&v->acceptor, NEAP_ECLOSED);
  neap_timer_stop(h->vm, &v->rest);
  polling_stop(v);
  path_remove(v);
  if (v->has_accepted) (void)close(v->accepted);
  if (v->is_open) (void)close(v->fd);
  v->has_accepted = v->is_open = 0;
  np_context_free(v->tls);
  v->tls = NULL;
}

const neap_Class np_server_class = {"neap.Server", server_close, NULL};

/* == Accepting ======================================================== */

/* 1 if only this connection was lost while it was waiting. */
static int is_passing(int error) {
  switch (error) {
  case EINTR: case ECONNABORTED: case EPROTO: case ENETDOWN:
  case ENOPROTOOPT: case EHOSTDOWN: case ENONET: case EHOSTUNREACH:
  case ENETUNREACH: return 1;
  default: return 0;
  }
}

static int is_starving(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS ||
         error == ENOMEM;
}

/* Takes a connection from the kernel: 0, or a code. */
static int take(Server *v) {
  if (v->has_accepted) return 0;
  if (v->burst >= BURST) return UV_EAGAIN;
  do {
    socklen_t size = sizeof v->peer;
    v->accepted = accept4(v->fd, (struct sockaddr *)&v->peer, &size,
                          SOCK_NONBLOCK | SOCK_CLOEXEC);
  } while (v->accepted < 0 && is_passing(errno));
  if (v->accepted < 0) return uv_translate_sys_error(errno);
  v->has_accepted = 1;
  v->burst++;
  v->starved = 0;
  return 0;
}

static void accept_detail(const neap_Wait *w, char *text, size_t size) {
  const char *at = (const char *)w - offsetof(Server, acceptor);
  np_address_write_own(((const Server *)(const void *)at)->fd, text, size);
}

static int wait_ready(Server *v) {
  int err = 0;
  v->burst = 0;
  if (!v->polling) err = uv_poll_start(&v->poll, UV_READABLE, on_ready);
  v->polling = err == 0;
  return err;
}

/* Connections are there, but no descriptor: asks again after a while. */
static int wait_rest(Server *v, int error) {
  char text[128] = "accept: ", *end = text + strlen(text);
  polling_stop(v);
  if (!v->starved) {
    uv_strerror_r(error, end, sizeof text - (size_t)(end - text));
    neap_report(v->handle.vm, NEAP_REPORT_WARNING, text, NULL);
  }
  v->starved = 1;
  v->rest.fire = on_rested;
  return neap_timer_start(v->handle.vm, &v->rest, neap_now() + REST);
}

/* Makes a Stream of what was taken. If memory is out, it is still taken. */
static int stream_push(lua_State *L, Server *v) {
  np_Stream *s = np_stream_new(L, v->kind);
  int fd = v->accepted, err;
  v->has_accepted = 0;
  np_stream_set_peer(s, &v->peer);
  err = np_stream_adopt(s, fd);
  if (err == 0 && v->tls != NULL) err = np_tls_attach(s, v->tls, NULL, NULL);
  if (err < 0) neap_handle_close(&s->handle);
  return err < 0 ? neap_fail(L, err, "accept") : 1;
}

static int accept_go(lua_State *L, Server *v, neap_Done done) {
  int err = take(v);
  if (err == 0) return stream_push(L, v);
  if (err == UV_EAGAIN)
    err = wait_ready(v);
  else if (is_starving(-err))
    err = wait_rest(v, err);
  if (err < 0) return neap_fail(L, err, "accept");
  return neap_await(L, &v->acceptor, done);
}

static void acceptor_check(lua_State *L, const Server *v) {
  if (neap_waiting(&v->acceptor))
    neap_misuse(L, "accept", "another task is accepting");
}

static int accept_done(lua_State *L, int status);

/**
 * async server:accept() -> Stream
 *
 * The next connection. One task accepts at a time. If the process has no
 * descriptors left, a warning is reported and accepting goes on when there
 * are.
 */
static int server_accept(lua_State *L) {
  Server *v = neap_handle_check(L, 1, &np_server_class);
  acceptor_check(L, v);
  return accept_go(L, v, accept_done);
}

static int accept_done(lua_State *L, int status) {
  if (status < 0) return neap_fail(L, status, "accept");
  return server_accept(L);
}

static int next_done(lua_State *L, int status);

/* server:_next() -> Stream, or nil once the server is closed */
static int server_next(lua_State *L) {
  Server *v = neap_handle_test(L, 1, &np_server_class);
  if (v == NULL) return neap_misuse(L, "connections", "not a server");
  if (neap_handle_closed(&v->handle)) return 0;
  acceptor_check(L, v);
  return accept_go(L, v, next_done);
}

static int next_done(lua_State *L, int status) {
  if (status < 0 && status != NEAP_ECLOSED)
    return neap_fail(L, status, "accept");
  return server_next(L);
}

/* == Listening ======================================================== */

static int option_set(int fd, int level, int name) {
  int on = 1;
  return setsockopt(fd, level, name, &on, sizeof on);
}

/* 1 if nobody listens on the socket that is at the path: a program left it
 * behind. */
static int is_stale(const struct sockaddr_storage *name, socklen_t size) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int stale = fd >= 0 && connect(fd, (const void *)name, size) < 0 &&
              errno == ECONNREFUSED;
  if (fd >= 0) (void)close(fd);
  return stale;
}

static int path_bind(Server *v, const struct sockaddr_storage *name,
                     socklen_t size) {
  struct stat st;
  int err = bind(v->fd, (const void *)name, size);
  if (err < 0 && errno == EADDRINUSE && lstat(v->path, &st) == 0 &&
      S_ISSOCK(st.st_mode)) {
    if (is_stale(name, size) && unlink(v->path) == 0)
      err = bind(v->fd, (const void *)name, size);
    else
      errno = EADDRINUSE;
  }
  if (err < 0) return err;
  if (lstat(v->path, &st) == 0) {
    v->dev = st.st_dev;
    v->ino = st.st_ino;
  }
  return 0;
}

typedef struct Listen {
  const char *host; /* or the path */
  int port, backlog, reuse_port, nodelay;
} Listen;

/* Opens the socket as `l` says: 0 or -1 with errno. */
static int socket_open(Server *v, const Listen *l) {
  struct sockaddr_storage name;
  socklen_t size = v->kind == NP_STREAM_PIPE
                       ? np_address_path(l->host, &name)
                       : np_address_parse(l->host, l->port, &name);
  int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  errno = EINVAL;
  if (size == 0) return -1; /* no address, or too long a path */
  v->fd = socket(name.ss_family, type, 0);
  if (v->fd < 0) return -1;
  v->is_open = 1;
  if (v->kind == NP_STREAM_PIPE) {
    memcpy(v->path, l->host, strlen(l->host) + 1);
    if (path_bind(v, &name, size) < 0) return -1;
  } else {
    if (option_set(v->fd, SOL_SOCKET, SO_REUSEADDR) < 0) return -1;
    if (l->reuse_port && option_set(v->fd, SOL_SOCKET, SO_REUSEPORT) < 0)
      return -1;
    /* What is accepted inherits this. */
    if (l->nodelay && option_set(v->fd, IPPROTO_TCP, TCP_NODELAY) < 0)
      return -1;
    if (bind(v->fd, (struct sockaddr *)&name, size) < 0) return -1;
  }
  return listen(v->fd, l->backlog);
}

static int listen_fail(lua_State *L, Server *v, const Listen *l, int err) {
  neap_handle_close(&v->handle);
  if (v->kind == NP_STREAM_TCP)
    np_address_text(L, l->host, l->port);
  else
    lua_pushstring(L, l->host);
  return neap_fail(L, err, "listen %s", lua_tostring(L, -1));
}

static void permit_listen(lua_State *L) {
  if (lua_isnil(L, 2))
    (void)neap_permit_path(L, 1, NEAP_MAY_WRITE | NEAP_NO_FOLLOW, "listen");
  else
    neap_permit_host(L, NEAP_MAY_LISTEN, "listen", luaL_checkstring(L, 1),
                     (int)lua_tointeger(L, 2));
}

/* core.listen(address | path, port | nil, backlog, reuse_port, nodelay)
 * -> Server */
int np_net_listen(lua_State *L) {
  permit_listen(L);
  Listen l = {.host = luaL_checkstring(L, 1),
              .port = (int)lua_tointeger(L, 2),
              .backlog = (int)luaL_checkinteger(L, 3),
              .reuse_port = lua_toboolean(L, 4),
              .nodelay = lua_toboolean(L, 5)};
  Server *v = neap_handle_new(L, sizeof *v, &np_server_class);
  int err = 0;
  neap_handle_count(L, &v->handle, NEAP_KIND_SOCKET);
  v->kind = lua_isnil(L, 2) ? NP_STREAM_PIPE : NP_STREAM_TCP;
  v->acceptor.what = "accept";
  v->acceptor.detail = accept_detail;
  if (socket_open(v, &l) < 0) err = uv_translate_sys_error(errno);
  if (err == 0) err = uv_poll_init(neap_loop(L), &v->poll, v->fd);
  if (err < 0) return listen_fail(L, v, &l, err);
  neap_handle_opened(&v->handle, &v->poll);
  return 1;
}

/* core.server_tls(server, context): streams accepted from now on have TLS */
int np_net_server_tls(lua_State *L) {
  Server *v = neap_handle_check(L, 1, &np_server_class);
  np_Context *c = *(np_Context **)luaL_checkudata(L, 2, NP_CONTEXT);
  c->count++;
  np_context_free(v->tls);
  v->tls = c;
  return 0;
}

/**
 * server:sockname() -> table
 *
 * `{host=, port=}` or `{path=}`.
 */
static int server_sockname(lua_State *L) {
  Server *v = neap_handle_check(L, 1, &np_server_class);
  np_address_push_own(L, v->fd, "sockname");
  return 1;
}

const luaL_Reg np_server_methods[] = {
  {"sockname", server_sockname},
  {NULL, NULL}
};

const neap_Async np_server_ops[] = {
  {"accept", server_accept},
  {"_next", server_next},
  {"__await", np_net_itself},
  {NULL, NULL}
};
