/*
 * address.c - socket addresses, from Lua and to Lua: see address.h.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <uv.h>

#include "address.h"
#include "neap.h"

/* Abstract names begin with a NUL, others may end with one. */
static size_t path_size(const struct sockaddr_un *name, socklen_t size) {
  size_t head = offsetof(struct sockaddr_un, sun_path);
  size_t n = size > head ? size - head : 0;
  return n > 0 && name->sun_path[0] != '\0' ? strnlen(name->sun_path, n) : n;
}

static void push_path(lua_State *L, const struct sockaddr_un *name,
                      socklen_t size) {
  lua_createtable(L, 0, 1);
  lua_pushlstring(L, name->sun_path, path_size(name, size));
  lua_setfield(L, -2, "path");
}

/* "fe80::1%eth0": a link-local address means nothing without its interface */
static void push_ip6(lua_State *L, const struct sockaddr_in6 *name) {
  char host[INET6_ADDRSTRLEN] = "", link[IF_NAMESIZE];
  (void)uv_ip6_name(name, host, sizeof host); /* it fits */
  if (name->sin6_scope_id != 0 && if_indextoname(name->sin6_scope_id, link))
    lua_pushfstring(L, "%s%%%s", host, link);
  else
    lua_pushstring(L, host);
}

void np_address_push(lua_State *L, const struct sockaddr_storage *name,
                     socklen_t size) {
  const void *at = name;
  if (name->ss_family == AF_UNIX) {
    push_path(L, at, size);
    return;
  }
  lua_createtable(L, 0, 2);
  if (name->ss_family == AF_INET6) {
    push_ip6(L, at);
    lua_pushinteger(L, ntohs(((const struct sockaddr_in6 *)at)->sin6_port));
  } else {
    char host[INET_ADDRSTRLEN] = "";
    (void)uv_ip4_name(at, host, sizeof host); /* it fits */
    lua_pushstring(L, host);
    lua_pushinteger(L, ntohs(((const struct sockaddr_in *)at)->sin_port));
  }
  lua_setfield(L, -3, "port");
  lua_setfield(L, -2, "host");
}

void np_address_push_own(lua_State *L, int fd, const char *what) {
  struct sockaddr_storage name;
  socklen_t size = sizeof name;
  if (getsockname(fd, (struct sockaddr *)&name, &size) < 0)
    neap_fail(L, uv_translate_sys_error(errno), "%s", what);
  np_address_push(L, &name, size);
}

socklen_t np_address_parse(const char *host, int port,
                           struct sockaddr_storage *to) {
  void *at = to;
  memset(to, 0, sizeof *to);
  if (uv_ip4_addr(host, port, at) == 0) return sizeof(struct sockaddr_in);
  if (uv_ip6_addr(host, port, at) == 0) return sizeof(struct sockaddr_in6);
  return 0;
}

socklen_t np_address_path(const char *path, struct sockaddr_storage *to) {
  struct sockaddr_un *un = (void *)to;
  memset(to, 0, sizeof *to);
  if (strlen(path) >= sizeof un->sun_path) return 0;
  un->sun_family = AF_UNIX;
  memcpy(un->sun_path, path, strlen(path) + 1);
  return sizeof *un;
}

void np_address_write(const struct sockaddr_storage *name, socklen_t size,
                      char *text, size_t room) {
  const struct sockaddr_un *un = (const void *)name;
  char host[INET6_ADDRSTRLEN] = "";
  const void *at = name;
  *text = '\0';
  if (name->ss_family == AF_INET) {
    (void)uv_ip4_name(at, host, sizeof host); /* it fits */
    (void)snprintf(text, room, "%s:%d", host,
                   ntohs(((const struct sockaddr_in *)at)->sin_port));
  } else if (name->ss_family == AF_INET6) {
    (void)uv_ip6_name(at, host, sizeof host); /* it fits */
    (void)snprintf(text, room, "[%s]:%d", host,
                   ntohs(((const struct sockaddr_in6 *)at)->sin6_port));
  } else if (name->ss_family == AF_UNIX) {
    (void)snprintf(text, room, "%.*s", (int)path_size(un, size),
                   un->sun_path);
  }
}

void np_address_write_own(int fd, char *text, size_t room) {
  struct sockaddr_storage name;
  socklen_t size = sizeof name;
  *text = '\0';
  if (getsockname(fd, (struct sockaddr *)&name, &size) == 0)
    np_address_write(&name, size, text, room);
}

void np_address_text(lua_State *L, const char *host, int port) {
  const char *form = strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d";
  lua_pushfstring(L, form, host, port);
}
