/*
 * net.c - require "neap.net.core": puts the room together.
 *
 * The classes Stream and Server, how they come to be, and what a machine's
 * streams share. What scripts see is net.lua.
 */
#include <lauxlib.h>
#include <stdlib.h>

#include "net.h"
#include "stream.h"

/* The registry has the machine's np_Net under this address. */
static const char net_key = 0;

static int net_gc(lua_State *L) {
  np_Net *net = lua_touserdata(L, 1);
  np_write_free_spent(net);
  free(net->space);
  net->space = NULL;
  return 0;
}

static void net_new(lua_State *L) {
  np_Net *net = lua_newuserdatauv(L, sizeof *net, 0);
  net->space = NULL;
  net->spent = NULL;
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

/* core.misuse(name, reason): raises it with the script's line */
static int net_misuse(lua_State *L) {
  return np_net_misuse(L, luaL_checkstring(L, 1), "%s",
                       luaL_checkstring(L, 2));
}

/* core.timed_out(what): raises a TimeoutError with the script's line */
static int net_timed_out(lua_State *L) {
  return neap_raise(L, "TimeoutError", "ETIMEDOUT", "%s: timed out",
                    luaL_checkstring(L, 1));
}

/* core.report(text, traceback): tells of an error that ends nothing */
static int net_report(lua_State *L) {
  neap_report(neap_vm(L), NEAP_REPORT_WARNING, luaL_checkstring(L, 1),
              luaL_optstring(L, 2, NULL));
  return 0;
}

static const luaL_Reg functions[] = {
  {"pair", np_net_pair},
  {"open_fd", np_net_open_fd},
  {"fileno", np_net_fileno},
  {"is_address", np_net_is_address},
  {"listen", np_net_listen},
  {"misuse", net_misuse},
  {"timed_out", net_timed_out},
  {"report", net_report},
  {NULL, NULL}
};

int luaopen_neap_net_core(lua_State *L) {
  (void)np_net_get(L);
  luaL_newlib(L, functions);
  neap_setasync(L, np_connect_ops);
  neap_class_new(L, &np_stream_class, np_stream_methods, np_read_ops);
  neap_setasync(L, np_write_ops);
  lua_setfield(L, -2, "Stream");
  neap_class_new(L, &np_server_class, np_server_methods, np_server_ops);
  lua_setfield(L, -2, "Server");
  return 1;
}
