/*
 * buffer.h - memory that streams read into and write from: the class Buffer.
 *
 * A buffer is one userdata that holds its bytes. Streams fill it on the stack
 * of the task that reads, never from a callback, so only a write can be under
 * way in it. Such a write anchors the buffer and counts in `writes`, and as
 * long as it does, the bytes may not change.
 */
#ifndef NP_BUFFER_H
#define NP_BUFFER_H

#include <lauxlib.h>
#include <stddef.h>

#include "stream.h"

#define NP_BUFFER "neap.Buffer"

typedef struct np_Buffer {
  size_t size;
  size_t n;        /* bytes that it holds */
  unsigned writes; /* under way, which still read them */
  char bytes[];
} np_Buffer;

/* The buffer at `index`, or NULL. */
np_Buffer *np_buffer_test(lua_State *L, const np_Net *net, int index);

/* The buffer at `index`, to be changed by `name`: raises for what is none,
 * and while it is being written. */
np_Buffer *np_buffer_check(lua_State *L, const np_Net *net, int index,
                           const char *name);

/* Makes the class. */
void np_buffer_open(lua_State *L);

/* core.buffer(size) -> Buffer */
int np_net_buffer(lua_State *L);

/* core.buffer_size(v) -> its size, or nothing if that is no Buffer */
int np_net_buffer_size(lua_State *L);

#endif
