/*
 * udp_room.c - datagrams that the system has no room for: the tasks that wait
 * to send go on in their order. On loopback there is always room, but for
 * what this program says.
 */
#undef _GNU_SOURCE /* with which glibc gives sendto types of its own */
#include "host.h"

#include <errno.h>
#include <lauxlib.h>
#include <sys/socket.h>

static int room, sent;
static char order[8]; /* the first bytes of what was sent */

/* In the place of the system's: what is sent goes nowhere. */
ssize_t sendto(int fd, const void *data, size_t size, int flags,
               const struct sockaddr *to, socklen_t to_size) {
  (void)fd;
  (void)flags;
  (void)to;
  (void)to_size;
  if (room == 0) {
    errno = EAGAIN;
    return -1;
  }
  room--;
  if (sent < 7) order[sent++] = *(const char *)data;
  return (ssize_t)size;
}

/* set_room(n): room for so many datagrams */
static int set_room(lua_State *L) {
  room = (int)luaL_checkinteger(L, 1);
  return 0;
}

int main(void) {
  Host host;
  host_open(&host, NULL);
  lua_register(host.L, "set_room", set_room);
  expect(run(&host,
             "local udp <close> = require 'neap.net'.udp{}\n"
             "local tasks = {}\n"
             "local function send(text)\n"
             "  table.insert(tasks, asyncio.create_task(\n"
             "    udp:send(text, '127.0.0.1', 9)))\n"
             "  await asyncio.sleep(0)\n"
             "end\n"
             "send '1' send '2' send 'x' send '3'\n"
             "tasks[3]:cancel()\n"
             "await asyncio.sleep(0)\n"
             "set_room(2)\n"
             "send '4'\n"
             "await asyncio.wait {tasks[2]}\n"
             "set_room(5)\n"
             "send '5'\n"
             "await asyncio.gather(tasks[1], tasks[4], tasks[5], tasks[6])") ==
         LUA_OK);
  expect(strcmp(order, "12345") == 0);
  if (failures) printf("order: %s\n", order);
  host_close(&host);
  return failures != 0;
}
