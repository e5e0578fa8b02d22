/*
 * address.h - socket addresses, from Lua and to Lua.
 */
#ifndef NP_ADDRESS_H
#define NP_ADDRESS_H

#include <lua.h>
#include <sys/socket.h>

/* Pushes {host=, port=} or {path=}. */
void np_address_push(lua_State *L, const struct sockaddr_storage *name,
                     socklen_t size);

/* Pushes the name of the socket, or raises "WHAT: reason". */
void np_address_push_own(lua_State *L, int fd, const char *what);

/* The numeric address `host` with `port`: its size, or 0 if it is none. */
socklen_t np_address_parse(const char *host, int port,
                           struct sockaddr_storage *to);

/* The path of a Unix socket; it must fit. */
socklen_t np_address_path(const char *path, struct sockaddr_storage *to);

/* Writes "1.2.3.4:80", "[::1]:80", or the path; "" if there is none. */
void np_address_write(const struct sockaddr_storage *name, socklen_t size,
                      char *text, size_t room);

/* The same of the name of the socket. */
void np_address_write_own(int fd, char *text, size_t room);

/* Pushes "1.2.3.4:80" or "[::1]:80". */
void np_address_text(lua_State *L, const char *host, int port);

#endif
