/*
 * udp.c - datagrams: the class Udp.
 *
 * Tasks send and receive themselves, on their own stacks; libuv only tells
 * when the socket is ready again. Datagrams that nobody asks for stay in the
 * kernel, which drops what does not fit.
 */
#include <errno.h>
#include <lauxlib.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "net.h"
#include "stream.h"

#define BURST 64 /* datagrams in a row without waiting */

/* A task that waits to send, in the order in which they came. Those who
 * stopped waiting stay in the list until the socket is ready. */
typedef struct Sender {
  neap_Wait wait;
  struct Sender *next;
} Sender;

typedef struct Udp {
  neap_Handle handle; /* first */
  uv_poll_t poll;
  neap_Wait receiver;
  Sender *senders, **last; /* what points to none behind them */
  np_Net *net;
  int fd, is_open;
  int connected; /* sends to its peer alone */
  int family;
  int polling; /* for these events */
  unsigned burst;
  int only_peers; /* in a sandbox: hears only whom it may send to */
} Udp;

/* == libuv's side ===================================================== */

static void on_ready(uv_poll_t *poll, int status, int events);

static int watch(Udp *u) {
  int events = (neap_waiting(&u->receiver) ? UV_READABLE : 0) |
               (u->senders != NULL ? UV_WRITABLE : 0);
  int err = 0;
  if (events == u->polling) return 0;
  if (events == 0)
    (void)uv_poll_stop(&u->poll); /* it always gives 0 */
  else
    err = uv_poll_start(&u->poll, events, on_ready);
  if (err == 0) u->polling = events;
  return err;
}

static void sender_add(Udp *u, Sender *w) {
  if (u->senders == NULL) u->last = &u->senders;
  *u->last = w;
  u->last = &w->next;
}

static void senders_wake(Udp *u, int status) {
  while (u->senders != NULL) {
    Sender *w = u->senders;
    u->senders = w->next;
    (void)neap_wake(&w->wait, status);
    free(w);
  }
}

static void on_ready(uv_poll_t *poll, int status, int events) {
  Udp *u = poll->data;
  if (status < 0) events = UV_READABLE | UV_WRITABLE; /* they find why */
  if (events & UV_WRITABLE) senders_wake(u, 0);
  /* Nobody waits any more if the task was cancelled, or woken just now. */
  if (events & UV_READABLE) (void)neap_wake(&u->receiver, 0);
  (void)watch(u); /* stopping does not fail */
}

static void udp_close(neap_Handle *h) {
  Udp *u = (Udp *)h;
  (void)neap_wake(&u->receiver, NEAP_ECLOSED);
  senders_wake(u, NEAP_ECLOSED);
  if (u->polling && h->uv != NULL) (void)uv_poll_stop(&u->poll);
  u->polling = 0;
  if (u->is_open) (void)close(u->fd);
  u->is_open = 0;
}

const neap_Class np_udp_class = {"neap.Udp", udp_close, NULL};

static Udp *check(lua_State *L) {
  return neap_handle_check(L, 1, &np_udp_class);
}

/* == recv ============================================================== */

/* 1 if the sender, on top, is one that the sandbox permits to send to. */
static int is_peer(lua_State *L) {
  int is;
  lua_getfield(L, -1, "host");
  lua_getfield(L, -2, "port");
  is = neap_permitted_host(L, NEAP_MAY_CONNECT, lua_tostring(L, -2),
                           (int)lua_tointeger(L, -1));
  lua_pop(L, 2);
  return is;
}

static int recv_done(lua_State *L, int status);

static int recv_wait(lua_State *L, Udp *u) {
  int err = 0;
  u->burst = 0;
  if (!(u->polling & UV_READABLE)) {
    err = uv_poll_start(&u->poll, u->polling | UV_READABLE, on_ready);
    if (err == 0) u->polling |= UV_READABLE;
  }
  if (err < 0) return neap_fail(L, err, "recv");
  return neap_await(L, &u->receiver, recv_done);
}

/**
 * async udp:recv() -> string, {host=, port=}
 *
 * The next datagram and who sent it. One task receives at a time. What comes
 * while nobody receives stays in the system's buffer, which drops what does
 * not fit.
 */
static int udp_recv(lua_State *L) {
  Udp *u = check(L);
  struct sockaddr_storage name = {0};
  socklen_t size = sizeof name;
  ssize_t n = -1;
  if (neap_waiting(&u->receiver))
    return neap_misuse(L, "recv", "another task is receiving");
  if (u->burst++ >= BURST) return recv_wait(L, u);
  do
    n = recvfrom(u->fd, u->net->space, NP_STREAM_SPACE, MSG_DONTWAIT,
                 (struct sockaddr *)&name, &size);
  while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return recv_wait(L, u);
  if (n < 0) return neap_fail(L, uv_translate_sys_error(errno), "recv");
  lua_pushlstring(L, u->net->space, (size_t)n);
  np_address_push(L, &name, size);
  if (!u->only_peers || is_peer(L)) return 2;
  lua_pop(L, 2);
  return udp_recv(L); /* at most BURST deep */
}

static int recv_done(lua_State *L, int status) {
  if (status < 0) return neap_fail(L, status, "recv");
  return udp_recv(L);
}

/* == send ============================================================== */

static int send_done(lua_State *L, int status);

static int send_wait(lua_State *L, Udp *u) {
  Sender *w = calloc(1, sizeof *w);
  int err;
  if (w == NULL) return neap_fail(L, UV_ENOMEM, "send");
  w->wait.what = "send";
  sender_add(u, w);
  err = watch(u);
  if (err < 0) return neap_fail(L, err, "send");
  return neap_await(L, &w->wait, send_done);
}

/* "send 1.2.3.4:80: reason" */
static int send_fail(lua_State *L, int error) {
  int err = uv_translate_sys_error(error);
  if (lua_isnoneornil(L, 3)) return neap_fail(L, err, "send");
  np_address_text(L, lua_tostring(L, 3), (int)lua_tointeger(L, 4));
  return neap_fail(L, err, "send %s", lua_tostring(L, -1));
}

/* udp:_send(data [, address, port]) */
static int udp_send(lua_State *L) {
  Udp *u = check(L);
  size_t size;
  const char *data = luaL_checklstring(L, 2, &size);
  struct sockaddr_storage name;
  const struct sockaddr *to = NULL;
  socklen_t to_size = 0;
  ssize_t n;
  if (!lua_isnoneornil(L, 3)) {
    if (u->connected) /* Linux would send it, others refuse */
      return neap_misuse(L, "send", "host is given, and the socket is "
                         "connected");
    neap_permit_host(L, NEAP_MAY_CONNECT, "send", luaL_checkstring(L, 3),
                     (int)luaL_checkinteger(L, 4));
    to = (const struct sockaddr *)&name;
    to_size = np_address_parse(luaL_checkstring(L, 3),
                               (int)luaL_checkinteger(L, 4), &name);
    if (to_size == 0) return send_fail(L, EINVAL);
  }
  if (u->senders != NULL) return send_wait(L, u); /* they are before us */
  do n = sendto(u->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, to, to_size);
  while (n < 0 && errno == EINTR);
  if (n >= 0) return 0;
  if (errno == EAGAIN || errno == EWOULDBLOCK) return send_wait(L, u);
  return send_fail(L, errno);
}

static int send_done(lua_State *L, int status) {
  if (status < 0) return neap_fail(L, status, "send");
  return udp_send(L);
}

/* == Settings ========================================================== */

static int set(Udp *u, int level, int name, int value) {
  return setsockopt(u->fd, level, name, &value, sizeof value);
}

static int result(lua_State *L, int failed, const char *what) {
  return failed < 0 ? neap_fail(L, uv_translate_sys_error(errno), "%s", what)
                    : 0;
}

static int boolean(lua_State *L, const char *name) {
  if (!lua_isboolean(L, 2))
    neap_misuse(L, name, "on must be a boolean, not %s",
                  neap_typename(L, 2));
  return lua_toboolean(L, 2);
}

/**
 * udp:set_broadcast(on), udp:set_multicast_loop(on)
 *
 * Whether it may send to broadcast addresses (false), and whether what it
 * sends to a group comes to this machine too (true).
 */
static int udp_set_broadcast(lua_State *L) {
  Udp *u = check(L);
  int on = boolean(L, "set_broadcast");
  return result(L, set(u, SOL_SOCKET, SO_BROADCAST, on), "set_broadcast");
}

/* udp:set_multicast_loop(on) */
static int udp_set_multicast_loop(lua_State *L) {
  Udp *u = check(L);
  int on = boolean(L, "set_multicast_loop");
  int failed = u->family == AF_INET6
                   ? set(u, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, on)
                   : set(u, IPPROTO_IP, IP_MULTICAST_LOOP, on);
  return result(L, failed, "set_multicast_loop");
}

static int hops(lua_State *L, const char *name, lua_Integer least) {
  size_t n = np_net_count(L, 2, name, "hops", least);
  if (n > 255) neap_misuse(L, name, "hops must be at most 255");
  return (int)n;
}

/**
 * udp:set_ttl(hops), udp:set_multicast_ttl(hops)
 *
 * How many routers a datagram may pass (the system's default; 1). To groups
 * it may be 0: what is sent stays on this machine.
 */
static int udp_set_ttl(lua_State *L) {
  Udp *u = check(L);
  int n = hops(L, "set_ttl", 1);
  int failed = u->family == AF_INET6
                   ? set(u, IPPROTO_IPV6, IPV6_UNICAST_HOPS, n)
                   : set(u, IPPROTO_IP, IP_TTL, n);
  return result(L, failed, "set_ttl");
}

/* udp:set_multicast_ttl(hops) */
static int udp_set_multicast_ttl(lua_State *L) {
  Udp *u = check(L);
  int n = hops(L, "set_multicast_ttl", 0);
  int failed = u->family == AF_INET6
                   ? set(u, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, n)
                   : set(u, IPPROTO_IP, IP_MULTICAST_TTL, n);
  return result(L, failed, "set_multicast_ttl");
}

typedef struct Member {
  union {
    struct sockaddr_storage any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
  } group;
  const char *interface; /* its name, or for IPv4 its address, or NULL */
} Member;

/* Finds the interface by name or address: 0 or -1 with errno. */
static int interface4(struct ip_mreqn *r, const char *interface) {
  struct sockaddr_in at;
  if (uv_ip4_addr(interface, 0, &at) == 0)
    r->imr_address = at.sin_addr;
  else if ((r->imr_ifindex = (int)if_nametoindex(interface)) == 0)
    return -1;
  return 0;
}

static int member4(Udp *u, const Member *m, int join) {
  struct ip_mreqn r = {.imr_multiaddr = m->group.ip4.sin_addr};
  if (m->interface != NULL && interface4(&r, m->interface) < 0) return -1;
  return setsockopt(u->fd, IPPROTO_IP,
                    join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &r,
                    sizeof r);
}

static int member6(Udp *u, const Member *m, int join) {
  struct ipv6_mreq r = {.ipv6mr_multiaddr = m->group.ip6.sin6_addr};
  if (m->interface != NULL &&
      (r.ipv6mr_interface = if_nametoindex(m->interface)) == 0)
    return -1;
  return setsockopt(u->fd, IPPROTO_IPV6,
                    join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &r, sizeof r);
}

static int member(lua_State *L, const char *name, int join) {
  Udp *u = check(L);
  Member m;
  int failed;
  if (lua_type(L, 2) != LUA_TSTRING ||
      np_address_parse(lua_tostring(L, 2), 0, &m.group.any) == 0 ||
      m.group.any.ss_family != u->family)
    return neap_misuse(L, name, "group must be an address of the socket's "
                         "family");
  if (!lua_isnoneornil(L, 3) && lua_type(L, 3) != LUA_TSTRING)
    return neap_misuse(L, name, "interface must be a string, not %s",
                       neap_typename(L, 3));
  m.interface = lua_tostring(L, 3);
  if (join)
    neap_permit_host(L, NEAP_MAY_LISTEN, name, lua_tostring(L, 2), -1);
  failed = u->family == AF_INET6 ? member6(u, &m, join) : member4(u, &m, join);
  if (failed < 0)
    return neap_fail(L, uv_translate_sys_error(errno), "%s %s", name,
                     lua_tostring(L, 2));
  return 0;
}

/**
 * udp:join(group [, interface]), udp:leave(group [, interface])
 *
 * Receives what is sent to a multicast group, or no more. `interface` is the
 * name of one, or for IPv4 its address; else the system chooses.
 */
static int udp_join(lua_State *L) { return member(L, "join", 1); }

/* udp:leave(group [, interface]) */
static int udp_leave(lua_State *L) { return member(L, "leave", 0); }

/**
 * udp:set_multicast_interface(interface)
 *
 * Where what it sends to groups goes out; named as for join.
 */
static int udp_set_multicast_interface(lua_State *L) {
  Udp *u = check(L);
  const char *what = "set_multicast_interface", *interface;
  struct ip_mreqn r = {0};
  int index, failed;
  if (lua_type(L, 2) != LUA_TSTRING)
    return neap_misuse(L, what, "interface must be a string, not %s",
                         neap_typename(L, 2));
  interface = lua_tostring(L, 2);
  if (u->family == AF_INET6) {
    index = (int)if_nametoindex(interface);
    failed = index == 0 ? -1 : set(u, IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
  } else {
    failed = interface4(&r, interface);
    if (failed == 0)
      failed = setsockopt(u->fd, IPPROTO_IP, IP_MULTICAST_IF, &r, sizeof r);
  }
  return result(L, failed, what);
}

/**
 * udp:sockname() -> table
 * udp:peername() -> table
 * udp:close()
 * udp:closed() -> boolean
 *
 * As for streams.
 */
static int udp_sockname(lua_State *L) {
  np_address_push_own(L, check(L)->fd, "sockname");
  return 1;
}

/* udp:peername() -> table */
static int udp_peername(lua_State *L) {
  Udp *u = check(L);
  struct sockaddr_storage name;
  socklen_t size = sizeof name;
  int failed = getpeername(u->fd, (struct sockaddr *)&name, &size);
  if (failed < 0) return result(L, failed, "peername");
  np_address_push(L, &name, size);
  return 1;
}

/* == Opening =========================================================== */

/* A client's socket, on whatever port, needs no permission to listen; but it
 * hears only those that it may send to. */
static int permit_bind(lua_State *L) {
  const char *host = luaL_checkstring(L, 1);
  int port = (int)luaL_checkinteger(L, 2);
  if (neap_permitted_host(L, NEAP_MAY_LISTEN, host, port)) return 0;
  if (port != 0 || (strcmp(host, "0.0.0.0") != 0 && strcmp(host, "::") != 0))
    neap_permit_host(L, NEAP_MAY_LISTEN, "udp", host, port);
  return 1;
}

static void receiver_detail(const neap_Wait *w, char *text, size_t size) {
  const char *at = (const char *)w - offsetof(Udp, receiver);
  np_address_write_own(((const Udp *)(const void *)at)->fd, text, size);
}

/* core.udp(address, port, reuse_address, reuse_port) -> Udp, bound */
int np_net_udp(lua_State *L) {
  struct sockaddr_storage name;
  socklen_t size = np_address_parse(luaL_checkstring(L, 1),
                                    (int)luaL_checkinteger(L, 2), &name);
  int only_peers = permit_bind(L);
  np_Net *net = np_net_get(L);
  Udp *u = neap_handle_new(L, sizeof *u, &np_udp_class);
  int failed = -1, err = 0;
  neap_handle_count(L, &u->handle, NEAP_KIND_SOCKET);
  u->net = net;
  u->only_peers = only_peers;
  u->receiver.what = "recv";
  u->receiver.detail = receiver_detail;
  u->family = name.ss_family;
  u->fd = socket(u->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  u->is_open = u->fd >= 0;
  if (u->is_open) failed = 0;
  if (failed == 0 && lua_toboolean(L, 3))
    failed = set(u, SOL_SOCKET, SO_REUSEADDR, 1);
  if (failed == 0 && lua_toboolean(L, 4))
    failed = set(u, SOL_SOCKET, SO_REUSEPORT, 1);
  if (failed == 0) failed = bind(u->fd, (struct sockaddr *)&name, size);
  if (failed < 0) err = uv_translate_sys_error(errno);
  if (err == 0) err = uv_poll_init(neap_loop(L), &u->poll, u->fd);
  if (err == 0) {
    neap_handle_opened(&u->handle, &u->poll);
    return 1;
  }
  neap_handle_close(&u->handle);
  np_address_text(L, lua_tostring(L, 1), (int)lua_tointeger(L, 2));
  return neap_fail(L, err, "udp %s", lua_tostring(L, -1));
}

/* udp:_connect(address, port): whom to send to and to hear, alone */
static int udp_connect(lua_State *L) {
  Udp *u = check(L);
  struct sockaddr_storage name;
  int port = (int)luaL_checkinteger(L, 3);
  neap_permit_host(L, NEAP_MAY_CONNECT, "udp", luaL_checkstring(L, 2), port);
  socklen_t size = np_address_parse(luaL_checkstring(L, 2), port, &name);
  u->connected = connect(u->fd, (struct sockaddr *)&name, size) == 0;
  if (u->connected) return 0;
  np_address_text(L, lua_tostring(L, 2), port);
  return neap_fail(L, uv_translate_sys_error(errno), "udp %s",
                   lua_tostring(L, -1));
}

const luaL_Reg np_udp_methods[] = {
  {"set_broadcast", udp_set_broadcast},
  {"set_multicast_interface", udp_set_multicast_interface},
  {"set_multicast_loop", udp_set_multicast_loop},
  {"set_multicast_ttl", udp_set_multicast_ttl},
  {"set_ttl", udp_set_ttl},
  {"join", udp_join},
  {"leave", udp_leave},
  {"sockname", udp_sockname},
  {"peername", udp_peername},
  {"_connect", udp_connect},
  {NULL, NULL}
};

const neap_Async np_udp_ops[] = {
  {"recv", udp_recv},
  {"_send", udp_send},
  {"__await", np_net_itself},
  {NULL, NULL}
};
