/*
 * buffer.h - memory that streams read into and write from: the class Buffer.
 *
 * A buffer has memory only while it holds something: one that waits to be
 * read into gives it back, to be used by the next that has something to read
 * while it is still in the processor's cache. So a thousand connections with a
 * buffer each share the memory of a few. It is memory of Lua's, which collects
 * what nobody uses.
 *
 * Streams fill a buffer on the stack of the task that reads, never from a
 * callback, so only a write can be under way in it. Such a write anchors the
 * buffer and counts in `writes`, and as long as it does, the bytes may not
 * change.
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
  char *bytes;     /* NULL without memory: then n is 0 */
} np_Buffer;

/* The buffer at `index`, or NULL. */
np_Buffer *np_buffer_test(lua_State *L, const np_Net *net, int index);

/* The buffer at `index`, to be changed by `name`: raises for what is none,
 * and while it is being written. */
np_Buffer *np_buffer_check(lua_State *L, const np_Net *net, int index,
                           const char *name);

/* Sees that the buffer at `index` has memory; raises if there is none. */
void np_buffer_take(lua_State *L, int index, np_Buffer *b);

/* Empties the buffer at `index` and gives its memory back. */
void np_buffer_leave(lua_State *L, int index, np_Buffer *b);

/* Makes the class. */
void np_buffer_open(lua_State *L);

/* core.buffer(size) -> Buffer */
int np_net_buffer(lua_State *L);

/* core.buffer_size(v) -> its size, or nothing if that is no Buffer */
int np_net_buffer_size(lua_State *L);

#endif
