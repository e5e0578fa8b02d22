/*
 * net.h - what the files of this room give to net.c, which puts them into
 * the table neap.net.core.
 */
#ifndef NP_NET_H
#define NP_NET_H

#include <lauxlib.h>

#include "neap.h"

/* net.c: `await net.listen{...}` is right too: a server is there at once. */
int np_net_itself(lua_State *L);

/* connect.c */
extern const neap_Async np_connect_ops[];
int np_net_socket(lua_State *L);
int np_net_pair(lua_State *L);
int np_net_is_address(lua_State *L);
int np_net_is_localhost(lua_State *L);

/* dns.c */
extern const neap_Async np_dns_ops[];
int np_net_dns_ready(lua_State *L);

/* server.c */
extern const neap_Class np_server_class;
extern const luaL_Reg np_server_methods[];
extern const neap_Async np_server_ops[];
int np_net_listen(lua_State *L);
int np_net_server_tls(lua_State *L);

/* udp.c */
extern const neap_Class np_udp_class;
extern const luaL_Reg np_udp_methods[];
extern const neap_Async np_udp_ops[];
int np_net_udp(lua_State *L);

#endif
