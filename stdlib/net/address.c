/*
 * address.c - socket addresses, from Lua and to Lua: see address.h.
 */
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <uv.h>

#include "address.h"

static void push_path(lua_State *L, const struct sockaddr_un *name,
                      socklen_t size) {
  size_t head = offsetof(struct sockaddr_un, sun_path);
  size_t n = size > head ? size - head : 0;
  /* Abstract names begin with a NUL, others may end with one. */
  if (n > 0 && name->sun_path[0] != '\0') n = strnlen(name->sun_path, n);
  lua_createtable(L, 0, 1);
  lua_pushlstring(L, name->sun_path, n);
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
  un->sun_family = AF_UNIX;
  memcpy(un->sun_path, path, strlen(path) + 1);
  return sizeof *un;
}

void np_address_text(lua_State *L, const char *host, int port) {
  const char *form = strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d";
  lua_pushfstring(L, form, host, port);
}
