/*
 * net.c - require "neap.net.core": puts the room together.
 *
 * The classes Stream and Server, how they come to be, and what a machine's
 * streams share. What scripts see is net.lua.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "net.h"
#include "stream.h"
#include "tls.h"

/* The registry has the machine's np_Net under this address. */
static const char net_key = 0;

static int net_gc(lua_State *L) {
  np_Net *net = lua_touserdata(L, 1);
  np_write_free_spent(net);
  np_openssl_free(net->openssl);
  free(net->tls_space);
  free(net->cares);
  net->openssl = NULL;
  net->cares = NULL;
  net->tls_space = NULL;
  free(net->space);
  net->space = NULL;
  return 0;
}

static void net_new(lua_State *L) {
  np_Net *net = lua_newuserdatauv(L, sizeof *net, 0);
  memset(net, 0, sizeof *net);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, net_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  net->space = malloc(NP_STREAM_SPACE);
  if (net->space == NULL) luaL_error(L, "not enough memory");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &net_key);
}

np_Net *np_net_get(lua_State *L) {
  np_Net *net;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &net_key) == LUA_TNIL) {
    lua_pop(L, 1);
    net_new(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &net_key);
  }
  net = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return net;
}

/* core.timed_out(what): raises a TimeoutError with the script's line */
static int net_timed_out(lua_State *L) {
  return neap_raise(L, "TimeoutError", "ETIMEDOUT", "%s: timed out",
                    luaL_checkstring(L, 1));
}

/* In a sandbox: what the permitted path names, and not what a link leads to
 * that has taken the place of a part of it. NULL sets errno. */
static FILE *open_permitted(lua_State *L, const char *path) {
  char text[NEAP_PIN_SIZE];
  int directory = UV_ENOTSUP, fd;
  FILE *file;
  if (neap_sandboxed(L))
    directory = neap_permit_pin(path, 0, text, sizeof text);
  if (directory == UV_ENOTSUP) return fopen(path, "rbe");
  errno = -directory;
  if (directory < 0) return NULL;
  fd = open(text, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  (void)close(directory);
  file = fd < 0 ? NULL : fdopen(fd, "rb");
  if (file == NULL && fd >= 0) (void)close(fd);
  return file;
}

/* core.read_file(path, what) -> its text: a certificate's, once */
static int net_read_file(lua_State *L) {
  const char *what = luaL_checkstring(L, 2);
  const char *path = neap_permit_path(L, 1, NEAP_MAY_READ, what);
  FILE *file = open_permitted(L, path);
  luaL_Buffer b;
  int err = file == NULL ? errno : 0;
  luaL_buffinit(L, &b);
  while (err == 0 && !feof(file)) {
    char some[1024];
    size_t n = fread(some, 1, sizeof some, file);
    luaL_addlstring(&b, some, n);
    if (ferror(file)) err = errno;
  }
  if (file != NULL) (void)fclose(file);
  luaL_pushresult(&b);
  if (err == 0) return 1;
  return neap_fail(L, uv_translate_sys_error(err), "%s %s", what, path);
}

/* core.report(what, error, task): tells of the error of a task, with the line
 * and the traceback */
static int net_report(lua_State *L) {
  const char *text, *trace, *what = luaL_checkstring(L, 1);
  neap_error_text(L, 2, 3);
  text = lua_tostring(L, -1);
  trace = strstr(text, "\nstack traceback:");
  lua_pushlstring(L, text, trace != NULL ? (size_t)(trace - text)
                                         : strlen(text));
  lua_pushfstring(L, "%s: %s", what, lua_tostring(L, -1));
  neap_report(neap_vm(L), NEAP_REPORT_WARNING, lua_tostring(L, -1),
              trace != NULL ? trace + 1 : NULL);
  return 0;
}

/* core.debug(text): tells of what is usual, in debug mode */
static int net_debug(lua_State *L) {
  if (neap_debug(neap_vm(L)))
    neap_report(neap_vm(L), NEAP_REPORT_DEBUG, luaL_checkstring(L, 1), NULL);
  return 0;
}

static const luaL_Reg functions[] = {
  {"socket", np_net_socket},
  {"pair", np_net_pair},
  {"buffer", np_net_buffer},
  {"buffer_size", np_net_buffer_size},
  {"open_fd", np_net_open_fd},
  {"fileno", np_net_fileno},
  {"dns_ready", np_net_dns_ready},
  {"is_address", np_net_is_address},
  {"is_localhost", np_net_is_localhost},
  {"listen", np_net_listen},
  {"udp", np_net_udp},
  {"server_tls", np_net_server_tls},
  {"tls_context", np_net_context},
  {"tls_start", np_net_tls_start},
  {"tls_info", np_net_tls_info},
  {"read_file", net_read_file},
  {"timed_out", net_timed_out},
  {"report", net_report},
  {"debug", net_debug},
  {NULL, NULL}
};

int np_net_itself(lua_State *L) {
  lua_settop(L, 1);
  return 1;
}

int luaopen_neap_net_core(lua_State *L) {
  (void)neap_sandboxed(L); /* each operation asks */
  (void)np_net_get(L);
  np_buffer_open(L);
  luaL_newlib(L, functions);
  neap_setasync(L, np_connect_ops);
  neap_setasync(L, np_dns_ops);
  neap_setasync(L, np_trust_ops);
  neap_class_new(L, &np_stream_class, np_stream_methods, np_read_ops);
  neap_setasync(L, np_write_ops);
  neap_setasync(L, np_tls_ops);
  lua_setfield(L, -2, "Stream");
  neap_class_new(L, &np_server_class, np_server_methods, np_server_ops);
  lua_setfield(L, -2, "Server");
  neap_class_new(L, &np_udp_class, np_udp_methods, np_udp_ops);
  lua_setfield(L, -2, "Udp");
  return 1;
}
