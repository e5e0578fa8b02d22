/*
 * connect.c - how streams come to be: connecting, pairs, and finding the
 * addresses of a name.
 *
 * Each function here is one attempt with one address; options, several
 * addresses and time limits are in net.lua.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "address.h"
#include "net.h"
#include "stream.h"

/* == Connecting: a stream, address, port, nodelay ====================== */

#ifndef O_PATH
#define O_PATH 0 /* nothing is pinned then */
#endif

typedef struct Connect {
  uv_connect_t request;
  np_Stream *stream;
} Connect;

static void on_connect(uv_connect_t *request, int status) {
  Connect *c = (Connect *)request;
  np_Stream *s = c->stream;
  (void)neap_wake(&s->reader, status);
  free(c);
  neap_handle_unpin(&s->handle);
}

static void on_abort(neap_Wait *w) {
  char *s = (char *)w - offsetof(np_Stream, reader);
  neap_handle_close(&((np_Stream *)(void *)s)->handle);
}

static int connect_fail(lua_State *L, np_Stream *s, int status) {
  neap_handle_close(&s->handle);
  if (lua_isnil(L, 3))
    lua_pushvalue(L, 2);
  else
    np_address_text(L, lua_tostring(L, 2), (int)lua_tointeger(L, 3));
  return neap_fail(L, status, "connect %s", lua_tostring(L, -1));
}

static int connect_done(lua_State *L, int status) {
  np_Stream *s = neap_handle_test(L, 1, &np_stream_class);
  if (status < 0) return connect_fail(L, s, status);
  s->reader.abort = NULL;
  s->reader.what = "read";
  return 0;
}

/* In a sandbox: to the socket that the permitted path names, and not to what
 * a link leads to that has taken the place of a part of it. */
static int connect_pinned(Connect *c, np_Stream *s, const char *path) {
  char text[NEAP_PIN_SIZE];
  struct stat st;
  int directory = neap_permit_pin(path, 0, text, sizeof text), fd, err = 0;
  if (directory < 0) return directory;
  fd = open(text, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st) < 0) err = uv_translate_sys_error(errno);
  else if (S_ISLNK(st.st_mode)) err = UV_ELOOP;
  (void)close(directory);
  (void)snprintf(text, sizeof text, "/proc/self/fd/%d", fd);
  if (err == 0) uv_pipe_connect(&c->request, &s->uv.pipe, text, on_connect);
  if (fd >= 0) (void)close(fd);
  return err;
}

static int connect_path(Connect *c, np_Stream *s, lua_State *L) {
  const char *path = lua_tostring(L, 2);
  int err = UV_ENOTSUP;
  if (neap_sandboxed(L)) err = connect_pinned(c, s, path);
  if (err != UV_ENOTSUP) return err;
  uv_pipe_connect(&c->request, &s->uv.pipe, path, on_connect);
  return 0;
}

static int connect_start(Connect *c, np_Stream *s, lua_State *L) {
  const char *to = lua_tostring(L, 2);
  struct sockaddr_storage name;
  c->stream = s;
  if (s->kind == NP_STREAM_PIPE) return connect_path(c, s, L);
  if (np_address_parse(to, (int)lua_tointeger(L, 3), &name) == 0)
    return UV_EINVAL;
  np_stream_set_peer(s, &name);
  if (lua_toboolean(L, 4)) (void)uv_tcp_nodelay(&s->uv.tcp, 1);
  return uv_tcp_connect(&c->request, &s->uv.tcp, (struct sockaddr *)&name,
                        on_connect);
}

/* core.socket(tcp) -> a Stream for core.connect. Whoever is cancelled just
 * when it is connected can close it only if it was there before. */
int np_net_socket(lua_State *L) {
  (void)np_stream_new(L, lua_toboolean(L, 1) ? NP_STREAM_TCP
                                             : NP_STREAM_PIPE);
  return 1;
}

/* core.connect(stream, address, port, nodelay), core.connect(stream, path) */
static int net_connect(lua_State *L) {
  np_Stream *s = np_stream_check(L);
  Connect *c;
  int err = UV_ENOMEM;
  lua_settop(L, 4);
  if (s->kind == NP_STREAM_PIPE)
    (void)neap_permit_path(L, 2, NEAP_MAY_READ | NEAP_MAY_WRITE, "connect");
  else
    neap_permit_host(L, NEAP_MAY_CONNECT, "connect", luaL_checkstring(L, 2),
                     (int)lua_tointeger(L, 3));
  c = calloc(1, sizeof *c);
  if (c != NULL) err = connect_start(c, s, L);
  if (err < 0) {
    free(c);
    return connect_fail(L, s, err);
  }
  neap_handle_pin(&s->handle);
  s->reader.abort = on_abort;
  s->reader.what = "connect";
  return neap_await(L, &s->reader, connect_done);
}

/**
 * net.pair() -> Stream, Stream
 *
 * Two streams connected with each other: what one writes, the other reads.
 *
 * ```lua
 * local net = require "neap.net"
 * local a <close>, b = net.pair()
 * await a:write("ping ", 1)
 * print(await b:read())
 * --> ping 1
 * b:close()
 * print(await a:read())
 * --> nil
 * ```
 */
int np_net_pair(lua_State *L) {
  int fds[2], err = 0, err2;
  np_Stream *a = np_stream_new(L, NP_STREAM_PIPE);
  np_Stream *b = np_stream_new(L, NP_STREAM_PIPE);
  int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  if (socketpair(AF_UNIX, type, 0, fds) < 0) {
    err = uv_translate_sys_error(errno);
  } else {
    err = np_stream_adopt(a, fds[0]);
    err2 = np_stream_adopt(b, fds[1]);
    if (err == 0) err = err2;
  }
  if (err == 0) return 2;
  neap_handle_close(&a->handle);
  neap_handle_close(&b->handle);
  return neap_fail(L, err, "pair");
}

/* == Finding addresses ================================================= */

typedef struct Resolve {
  neap_Handle handle;
  uv_getaddrinfo_t request;
  neap_Wait wait;
  int asking; /* the request is in flight */
} Resolve;

static void on_resolved(uv_getaddrinfo_t *request, int status,
                        struct addrinfo *found) {
  Resolve *r = request->data;
  (void)found; /* release frees it, from the request */
  r->asking = 0;
  (void)neap_wake(&r->wait, status);
  neap_handle_unpin(&r->handle);
}

static void resolve_close(neap_Handle *h) {
  Resolve *r = (Resolve *)h;
  (void)neap_wake(&r->wait, NEAP_ECLOSED);
  /* Fails if a thread is at it already: then the answer is not used. */
  if (r->asking) (void)uv_cancel((uv_req_t *)&r->request);
}

static void resolve_release(neap_Handle *h) {
  uv_freeaddrinfo(((Resolve *)h)->request.addrinfo);
}

static const neap_Class resolve_class = {"neap.Resolve", resolve_close,
                                         resolve_release};

static void on_resolve_abort(neap_Wait *w) {
  char *r = (char *)w - offsetof(Resolve, wait);
  neap_handle_close(&((Resolve *)(void *)r)->handle);
}

static void addresses_push(lua_State *L, const char *host,
                           const struct addrinfo *at) {
  int n = 0;
  lua_newtable(L);
  for (; at != NULL; at = at->ai_next) {
    struct sockaddr_storage name = {0};
    if (at->ai_addrlen > sizeof name) continue;
    memcpy(&name, at->ai_addr, at->ai_addrlen);
    np_address_push(L, &name, at->ai_addrlen);
    lua_getfield(L, -1, "host");
    neap_permit_found(L, host, lua_tostring(L, -1));
    lua_rawseti(L, -3, ++n);
    lua_pop(L, 1);
  }
}

static int resolve_done(lua_State *L, int status) {
  Resolve *r = neap_handle_test(L, 2, &resolve_class);
  if (status == 0) addresses_push(L, lua_tostring(L, 1), r->request.addrinfo);
  neap_handle_close(&r->handle);
  if (status < 0)
    return neap_fail(L, status, "resolve %s", lua_tostring(L, 1));
  return 1;
}

/* core.resolve(host, family) -> list of addresses; where there is no c-ares */
static int net_resolve(lua_State *L) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  const char *host = luaL_checkstring(L, 1);
  int family = (int)luaL_optinteger(L, 2, 0);
  Resolve *r;
  int err;
  neap_permit_host(L, NEAP_MAY_CONNECT, "resolve", host, -1);
  hints.ai_family = family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNSPEC;
  lua_settop(L, 1);
  neap_class_new(L, &resolve_class, NULL, NULL);
  lua_pop(L, 1);
  r = neap_handle_new(L, sizeof *r, &resolve_class);
  r->request.data = r;
  r->wait.what = "resolve";
  r->wait.abort = on_resolve_abort;
  err = uv_getaddrinfo(neap_loop(L), &r->request, on_resolved, host, NULL,
                       &hints);
  if (err < 0) return neap_fail(L, err, "resolve %s", host);
  r->asking = 1;
  neap_handle_pin(&r->handle);
  return neap_await(L, &r->wait, resolve_done);
}

/* core.is_address(host): whether it needs no resolving */
int np_net_is_address(lua_State *L) {
  struct sockaddr_storage name;
  lua_pushboolean(L, np_address_parse(luaL_checkstring(L, 1), 0, &name) > 0);
  return 1;
}

/* core.is_localhost(host): whether a name is this machine's, whatever anybody
 * says (RFC 6761). A sandbox is asked as if it were resolved. */
int np_net_is_localhost(lua_State *L) {
  static const char name[] = "localhost";
  size_t n, length = sizeof name - 1;
  const char *host = luaL_checklstring(L, 1, &n);
  if (n > 0 && host[n - 1] == '.') n--;
  if (n < length || strncasecmp(host + n - length, name, length) != 0 ||
      (n > length && host[n - length - 1] != '.'))
    return 0;
  neap_permit_host(L, NEAP_MAY_CONNECT, "resolve", host, -1);
  lua_pushboolean(L, 1);
  return 1;
}

const neap_Async np_connect_ops[] = {
  {"connect", net_connect},
  {"resolve", net_resolve},
  {NULL, NULL}
};
