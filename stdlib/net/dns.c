/*
 * dns.c - asking name servers, with c-ares.
 *
 * Each question has a channel of its own, so that giving it up gives up its
 * sockets, and changes of the system's settings are seen. Like OpenSSL,
 * c-ares is loaded when it is first needed, and neap builds without it; then
 * connect.c finds addresses on libuv's threads.
 */
#include <dlfcn.h>
#include <lauxlib.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "net.h"
#include "stream.h"

#if defined __has_include && !defined HAVE_CARES
#if __has_include(<ares.h>)
#define HAVE_CARES 1
#endif
#endif
#ifndef HAVE_CARES
#define HAVE_CARES 0
#endif

#if HAVE_CARES
#define CARES_NO_DEPRECATED
#include <ares.h>

#ifdef __APPLE__
#define FILE_NAME "libcares.2.dylib"
#else
#define FILE_NAME "libcares.so.2"
#endif

#define FUNCTIONS(F) \
  F(ares_destroy) F(ares_free_data) F(ares_free_hostent) \
  F(ares_freeaddrinfo) F(ares_getaddrinfo) F(ares_gethostbyaddr) \
  F(ares_init_options) F(ares_library_init) F(ares_parse_mx_reply) \
  F(ares_parse_ptr_reply) F(ares_parse_srv_reply) \
  F(ares_parse_txt_reply_ext) F(ares_process_fd) F(ares_query) \
  F(ares_set_servers_ports_csv) F(ares_strerror) F(ares_timeout)

#define MEMBER(name) __typeof__(&name) name;
typedef struct np_Cares {
  FUNCTIONS(MEMBER)
} Cares;
#undef MEMBER

enum { TYPE_ADDRESS = 0, TYPE_PTR = 12, TYPE_MX = 15, TYPE_TXT = 16,
       TYPE_SRV = 33 };

typedef struct Lookup Lookup;

/* A socket of c-ares. */
typedef struct Poll {
  uv_poll_t uv; /* first */
  Lookup *lookup;
  struct Poll *next;
  ares_socket_t fd;
} Poll;

struct Lookup {
  neap_Handle handle; /* first */
  neap_Wait wait;
  neap_Timer timer;
  const Cares *cares;
  const char *name; /* lent by the task while it waits */
  uv_loop_t *loop;
  ares_channel channel; /* NULL before and after */
  Poll *polls;
  int finished;
  int status;                 /* of c-ares, once finished */
  struct ares_addrinfo *info; /* answer to a question for addresses */
  np_Buf answer;              /* to any other: the message; or names, each
                               * ended by a NUL */
};

/* == libuv's side ===================================================== */

static void on_closed(uv_handle_t *uv) {
  Poll *p = (Poll *)uv;
  Lookup *l = p->lookup;
  free(p);
  neap_handle_unpin(&l->handle);
}

static void timer_set(Lookup *l) {
  struct timeval tv;
  uint64_t ns;
  if (l->finished || l->channel == NULL ||
      l->cares->ares_timeout(l->channel, NULL, &tv) == NULL) {
    neap_timer_stop(l->handle.vm, &l->timer);
    return;
  }
  ns = (uint64_t)tv.tv_sec * 1000000000u + (uint64_t)tv.tv_usec * 1000u;
  /* If it cannot start, the time limit of the whole is left. */
  (void)neap_timer_start(l->handle.vm, &l->timer, neap_now() + ns);
}

static void on_timer(neap_Vm *vm, neap_Timer *t) {
  Lookup *l = (Lookup *)(void *)((char *)t - offsetof(Lookup, timer));
  (void)vm;
  l->cares->ares_process_fd(l->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  timer_set(l);
}

static void on_poll(uv_poll_t *uv, int status, int events) {
  Poll *p = (Poll *)uv;
  Lookup *l = p->lookup;
  ares_socket_t fd = p->fd;
  if (status < 0) events = UV_READABLE | UV_WRITABLE; /* it finds why */
  l->cares->ares_process_fd(l->channel,
                            events & UV_READABLE ? fd : ARES_SOCKET_BAD,
                            events & UV_WRITABLE ? fd : ARES_SOCKET_BAD);
  timer_set(l);
}

static Poll *poll_open(Lookup *l, ares_socket_t fd) {
  Poll *p = calloc(1, sizeof *p);
  if (p == NULL) return NULL;
  if (uv_poll_init(l->loop, &p->uv, fd) < 0) {
    free(p);
    return NULL;
  }
  p->lookup = l;
  p->fd = fd;
  p->next = l->polls;
  l->polls = p;
  neap_handle_pin(&l->handle);
  return p;
}

/* Only the first counts. */
static void finish(Lookup *l, int status) {
  if (l->finished) return;
  l->status = status;
  l->finished = 1;
  (void)neap_wake(&l->wait, 0);
}

/* c-ares says what it wants of a socket; nothing if it is closing it. */
static void on_socket(void *data, ares_socket_t fd, int readable,
                      int writable) {
  Lookup *l = data;
  Poll **at = &l->polls, *p;
  int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
  while (*at != NULL && (*at)->fd != fd) at = &(*at)->next;
  p = *at;
  if (events == 0 && p == NULL) return;
  if (events == 0) {
    *at = p->next;
    uv_close((uv_handle_t *)&p->uv, on_closed);
    return;
  }
  if (p == NULL) p = poll_open(l, fd);
  /* Without it the answer would not be seen. */
  if (p == NULL || uv_poll_start(&p->uv, events, on_poll) < 0)
    finish(l, ARES_ENOMEM);
}

static void on_addresses(void *data, int status, int timeouts,
                         struct ares_addrinfo *info) {
  Lookup *l = data;
  (void)timeouts;
  l->info = info;
  finish(l, status);
}

static int name_add(Lookup *l, const char *name) {
  return np_buf_append(&l->answer, name, strlen(name) + 1) < 0 ? ARES_ENOMEM
                                                               : ARES_SUCCESS;
}

/* A name server's names are all aliases, /etc/hosts has its first apart. */
static void on_names(void *data, int status, int timeouts,
                     struct hostent *host) {
  Lookup *l = data;
  char **at;
  (void)timeouts;
  if (status == ARES_SUCCESS) {
    for (at = host->h_aliases; *at != NULL; at++)
      if (strcmp(*at, host->h_name) == 0) break;
    if (*at == NULL) status = name_add(l, host->h_name);
    for (at = host->h_aliases; status == ARES_SUCCESS && *at != NULL; at++)
      status = name_add(l, *at);
  }
  finish(l, status);
}

static void on_message(void *data, int status, int timeouts,
                       unsigned char *message, int size) {
  Lookup *l = data;
  (void)timeouts;
  if (status == ARES_SUCCESS &&
      np_buf_append(&l->answer, message, (size_t)size) < 0)
    status = ARES_ENOMEM;
  finish(l, status);
}

static void lookup_close(neap_Handle *h) {
  Lookup *l = (Lookup *)h;
  (void)neap_wake(&l->wait, NEAP_ECLOSED);
  neap_timer_stop(h->vm, &l->timer);
  if (l->channel != NULL) l->cares->ares_destroy(l->channel);
  l->channel = NULL;
  if (l->info != NULL) l->cares->ares_freeaddrinfo(l->info);
  l->info = NULL;
  np_buf_free(&l->answer);
}

static const neap_Class lookup_class = {"neap.Lookup", lookup_close, NULL};

static void on_abort(neap_Wait *w) {
  char *l = (char *)w - offsetof(Lookup, wait);
  neap_handle_close(&((Lookup *)(void *)l)->handle);
}

static void lookup_detail(const neap_Wait *w, char *text, size_t size) {
  const char *l = (const char *)w - offsetof(Lookup, wait);
  const char *name = ((const Lookup *)(const void *)l)->name;
  (void)snprintf(text, size, "%s", name);
}

/* == What was found ==================================================== */

static void addresses_push(lua_State *L, const struct ares_addrinfo *info) {
  int n = 0;
  lua_newtable(L);
  for (const struct ares_addrinfo_node *at = info->nodes; at != NULL;
       at = at->ai_next) {
    struct sockaddr_storage name = {0};
    if ((size_t)at->ai_addrlen > sizeof name) continue;
    memcpy(&name, at->ai_addr, (size_t)at->ai_addrlen);
    np_address_push(L, &name, (socklen_t)at->ai_addrlen);
    lua_getfield(L, -1, "host");
    lua_rawseti(L, -3, ++n);
    lua_pop(L, 1);
  }
}

static void field(lua_State *L, const char *name, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

static int mx_push(lua_State *L, const Cares *c, const unsigned char *data,
                   int size) {
  struct ares_mx_reply *list, *at;
  int status = c->ares_parse_mx_reply(data, size, &list), n = 0;
  if (status != ARES_SUCCESS) return status;
  lua_newtable(L);
  for (at = list; at != NULL; at = at->next) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, at->host);
    lua_setfield(L, -2, "host");
    field(L, "priority", at->priority);
    lua_rawseti(L, -2, ++n);
  }
  c->ares_free_data(list);
  return status;
}

static int srv_push(lua_State *L, const Cares *c, const unsigned char *data,
                    int size) {
  struct ares_srv_reply *list, *at;
  int status = c->ares_parse_srv_reply(data, size, &list), n = 0;
  if (status != ARES_SUCCESS) return status;
  lua_newtable(L);
  for (at = list; at != NULL; at = at->next) {
    lua_createtable(L, 0, 4);
    lua_pushstring(L, at->host);
    lua_setfield(L, -2, "host");
    field(L, "port", at->port);
    field(L, "priority", at->priority);
    field(L, "weight", at->weight);
    lua_rawseti(L, -2, ++n);
  }
  c->ares_free_data(list);
  return status;
}

/* The pieces of a long text are put together again. */
static int txt_push(lua_State *L, const Cares *c, const unsigned char *data,
                    int size) {
  struct ares_txt_ext *list, *at;
  int status = c->ares_parse_txt_reply_ext(data, size, &list), n = 0;
  if (status != ARES_SUCCESS) return status;
  lua_newtable(L);
  for (at = list; at != NULL; at = at->next) {
    if (at->record_start || n == 0)
      n++;
    else
      lua_rawgeti(L, -1, n);
    lua_pushlstring(L, (const char *)at->txt, at->length);
    if (!at->record_start && lua_isstring(L, -2)) lua_concat(L, 2);
    lua_rawseti(L, -2, n);
  }
  c->ares_free_data(list);
  return status;
}

static int ptr_push(lua_State *L, const Cares *c, const unsigned char *data,
                    int size) {
  struct hostent *host;
  int status = c->ares_parse_ptr_reply(data, size, NULL, 0, AF_INET, &host);
  int n = 0;
  if (status != ARES_SUCCESS) return status;
  lua_newtable(L);
  for (char **at = host->h_aliases; *at != NULL; at++) {
    lua_pushstring(L, *at);
    lua_rawseti(L, -2, ++n);
  }
  c->ares_free_hostent(host);
  return status;
}

static int names_push(lua_State *L, const char *at, size_t size) {
  const char *end = at + size;
  lua_newtable(L);
  for (int n = 1; at < end; n++, at += strlen(at) + 1) {
    lua_pushstring(L, at);
    lua_rawseti(L, -2, n);
  }
  return ARES_SUCCESS;
}

static int answer_push(lua_State *L, Lookup *l, int type, int are_names) {
  const unsigned char *data = (unsigned char *)np_buf_data(&l->answer);
  int size = (int)np_buf_size(&l->answer);
  if (are_names) return names_push(L, (const char *)data, (size_t)size);
  switch (type) {
  case TYPE_ADDRESS: addresses_push(L, l->info); return ARES_SUCCESS;
  case TYPE_MX: return mx_push(L, l->cares, data, size);
  case TYPE_SRV: return srv_push(L, l->cares, data, size);
  case TYPE_TXT: return txt_push(L, l->cares, data, size);
  default: return ptr_push(L, l->cares, data, size);
  }
}

static int dns_fail(lua_State *L, const Cares *c, int status) {
  static const struct {
    int status;
    const char *code, *text;
  } known[] = {
    {ARES_ENOTFOUND, "EAI_NONAME", "no such name"},
    {ARES_EBADNAME, "EAI_NONAME", "not a name"},
    {ARES_ENODATA, "EAI_NODATA", "the name has no such records"},
    {ARES_ETIMEOUT, "EAI_AGAIN", "no name server answered"},
    {ARES_ECONNREFUSED, "EAI_AGAIN", "no name server would answer"},
    {ARES_ESERVFAIL, "EAI_FAIL", "the name server failed"},
    {ARES_EREFUSED, "EAI_FAIL", "the name server refused"},
    {ARES_EBADRESP, "EAI_FAIL", "the name server's answer is damaged"}
  };
  const char *name = lua_tostring(L, 1);
  if (status == ARES_ENOMEM) return neap_fail(L, UV_ENOMEM, "resolve %s", name);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i].status == status)
      return neap_raise(L, "DNSError", known[i].code, "resolve %s: %s", name,
                        known[i].text);
  return neap_raise(L, "DNSError", "EAI_FAIL", "resolve %s: %s", name,
                    c->ares_strerror(status));
}

/* == Lua's side: name, type, family, servers, then the Lookup ========== */

/* A sandbox must permit each of "1.2.3.4:53,[::1]:53". */
static void permit_servers(lua_State *L, const char *servers) {
  while (*servers != '\0') {
    size_t n = strcspn(servers, ","), host = n;
    const char *at = lua_pushlstring(L, servers, n), *colon;
    int port = 53, bracket = *at == '[';
    colon = strrchr(at, ':');
    if (colon != NULL && (bracket ? colon[-1] == ']'
                                  : strchr(at, ':') == colon)) {
      port = atoi(colon + 1);
      host = (size_t)(colon - at);
    }
    lua_pushlstring(L, at + bracket, host - 2 * (size_t)bracket);
    neap_permit_host(L, NEAP_MAY_CONNECT, "resolve", lua_tostring(L, -1),
                     port);
    lua_pop(L, 2);
    servers += n + (servers[n] == ',');
  }
}

/* The addresses of a name, in the list on top, are permitted as it is. */
static void permit_answers(lua_State *L, const char *name) {
  lua_Integer i, n = (lua_Integer)lua_rawlen(L, -1);
  for (i = 1; i <= n; i++) {
    if (lua_rawgeti(L, -1, i) == LUA_TSTRING)
      neap_permit_found(L, name, lua_tostring(L, -1));
    lua_pop(L, 1);
  }
}

static int dns_done(lua_State *L, int status) {
  Lookup *l = neap_handle_test(L, 5, &lookup_class);
  const Cares *c = l->cares;
  int type = (int)lua_tointeger(L, 2), family = (int)lua_tointeger(L, 3);
  int err = l->status;
  if (status < 0)
    return neap_fail(L, status, "resolve %s", lua_tostring(L, 1));
  if (err == ARES_SUCCESS) {
    err = answer_push(L, l, type, type == TYPE_PTR && family != 0);
    if (err == ARES_SUCCESS && lua_rawlen(L, -1) == 0) err = ARES_ENODATA;
    if (err == ARES_EBADNAME) err = ARES_EBADRESP; /* it is in the answer */
  }
  neap_handle_close(&l->handle);
  if (err != ARES_SUCCESS) return dns_fail(L, c, err);
  if (type == TYPE_ADDRESS) permit_answers(L, lua_tostring(L, 1));
  return 1;
}

static int channel_open(Lookup *l, const char *servers, int hosts_only) {
  struct ares_options o = {0};
  char files[] = "f";
  int mask = ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS, err;
  o.sock_state_cb = on_socket;
  o.sock_state_cb_data = l;
  o.timeout = 2000; /* ms until another server is asked, then longer */
  if (hosts_only) {
    o.lookups = files;
    mask |= ARES_OPT_LOOKUPS;
  }
  err = l->cares->ares_init_options(&l->channel, &o, mask);
  if (err != ARES_SUCCESS) {
    l->channel = NULL;
    return err;
  }
  if (servers == NULL) return err;
  return l->cares->ares_set_servers_ports_csv(l->channel, servers);
}

static void ask(Lookup *l, const char *name, int type, int family) {
  struct ares_addrinfo_hints hints = {.ai_socktype = SOCK_STREAM};
  if (type == TYPE_ADDRESS) {
    hints.ai_family = family == 4 ? AF_INET : family == 6 ? AF_INET6
                                                          : AF_UNSPEC;
    l->cares->ares_getaddrinfo(l->channel, name, NULL, &hints, on_addresses,
                               l);
  } else if (type == TYPE_PTR && family == 4) {
    struct sockaddr_storage at;
    (void)np_address_parse(name, 0, &at); /* Lua knows that it is one */
    l->cares->ares_gethostbyaddr(
        l->channel, &((struct sockaddr_in *)&at)->sin_addr,
        sizeof(struct in_addr), AF_INET, on_names, l);
  } else if (type == TYPE_PTR && family == 6) {
    struct sockaddr_storage at;
    (void)np_address_parse(name, 0, &at);
    l->cares->ares_gethostbyaddr(
        l->channel, &((struct sockaddr_in6 *)&at)->sin6_addr,
        sizeof(struct in6_addr), AF_INET6, on_names, l);
  } else {
    l->cares->ares_query(l->channel, name, 1, type, on_message, l);
  }
}

/* core.dns(name, type, family, servers, hosts_only) -> list; hosts_only asks
 * /etc/hosts alone, for addresses, and does not wait */
static int net_dns(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  int type = (int)luaL_checkinteger(L, 2);
  int family = (int)luaL_checkinteger(L, 3), err;
  const char *servers = luaL_optstring(L, 4, NULL);
  int hosts_only = lua_toboolean(L, 5);
  np_Net *net = np_net_get(L);
  Lookup *l;
  lua_settop(L, 4);
  neap_permit_host(L, NEAP_MAY_CONNECT, "resolve", name, -1);
  if (servers != NULL) permit_servers(L, servers);
  neap_class_new(L, &lookup_class, NULL, NULL);
  lua_pop(L, 1);
  l = neap_handle_new(L, sizeof *l, &lookup_class);
  l->cares = net->cares;
  l->wait.what = "resolve";
  l->wait.detail = lookup_detail;
  l->name = name;
  l->wait.abort = on_abort;
  l->timer.fire = on_timer;
  l->loop = neap_loop(L);
  err = channel_open(l, servers, hosts_only);
  if (err != ARES_SUCCESS) {
    neap_handle_close(&l->handle);
    return dns_fail(L, net->cares, err);
  }
  ask(l, name, type, family);
  if (l->finished) return dns_done(L, 0);
  timer_set(l);
  return neap_await(L, &l->wait, dns_done);
}

/* core.dns_ready(): whether core.dns can be called */
int np_net_dns_ready(lua_State *L) {
  np_Net *net = np_net_get(L);
  void *library;
  Cares *c;
  lua_pushboolean(L, 1);
  if (net->cares != NULL) return 1;
  lua_pushboolean(L, 0);
  library = dlopen(FILE_NAME, RTLD_NOW | RTLD_LOCAL); /* it stays loaded */
  if (library == NULL) return 1;
  c = calloc(1, sizeof *c);
  if (c == NULL) return luaL_error(L, "not enough memory");
#define LOOK_UP(name) *(void **)(void *)&c->name = dlsym(library, #name);
  FUNCTIONS(LOOK_UP)
#undef LOOK_UP
#define MISSES(name) c->name == NULL ||
  if (FUNCTIONS(MISSES) c->ares_library_init(ARES_LIB_INIT_ALL) != 0) {
    free(c);
    return 1;
  }
#undef MISSES
  net->cares = c;
  lua_pushboolean(L, 1);
  return 1;
}

const neap_Async np_dns_ops[] = {
  {"dns", net_dns},
  {NULL, NULL}
};

#else

int np_net_dns_ready(lua_State *L) {
  lua_pushboolean(L, 0);
  return 1;
}

const neap_Async np_dns_ops[] = {{NULL, NULL}};

#endif
