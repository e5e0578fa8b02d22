/*
 * buf.c - bytes that are added at the end and taken from the front.
 *
 * May touch the C library.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include "buf.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST 256 /* bytes in the smallest buffer */

/* Moves the bytes to new memory of `cap` bytes. 0 or -1. */
static int move(np_Buf *b, size_t cap) {
  size_t size = np_buf_size(b);
  char *memory;
  if (b->start == 0) {
    memory = (char *)realloc(b->memory, cap);
    if (memory == NULL) return -1;
  } else { /* what was consumed need not be copied */
    memory = (char *)malloc(cap);
    if (memory == NULL) return -1;
    memcpy(memory, b->memory + b->start, size);
    free(b->memory);
  }
  b->memory = memory;
  b->start = 0;
  b->end = size;
  b->cap = cap;
  return 0;
}

/* `cap`, doubled until it is at least `least`, which is at most half of all. */
static size_t enough(size_t cap, size_t least) {
  if (cap < FIRST) cap = FIRST;
  while (cap < least) cap *= 2;
  return cap;
}

char *np_buf_reserve(np_Buf *b, size_t size) {
  size_t used = np_buf_size(b), need = used + size;
  if (b->memory != NULL && np_buf_room(b) >= size) return b->memory + b->end;
  if (size > PTRDIFF_MAX - used) return NULL; /* so `need` is right */
  if (need > b->cap || b->memory == NULL) {
    if (move(b, enough(b->cap, need)) < 0) return NULL;
  } else if (used <= b->start || move(b, enough(b->cap * 2, need)) < 0) {
    /* no more moves than was consumed, so each byte moves once in all */
    memmove(b->memory, b->memory + b->start, used);
    b->start = 0;
    b->end = used;
  }
  return b->memory + b->end;
}

int np_buf_append(np_Buf *b, const void *bytes, size_t size) {
  char *room;
  if (size == 0) return 0;
  room = np_buf_reserve(b, size);
  if (room == NULL) return -1;
  memcpy(room, bytes, size);
  np_buf_commit(b, size);
  return 0;
}

void np_buf_consume(np_Buf *b, size_t size) {
  assert(size <= np_buf_size(b));
  b->start += size;
  if (b->start < b->end) return;
  b->start = b->end = 0;
  if (b->cap > NP_BUF_KEEP) np_buf_free(b);
}

void np_buf_free(np_Buf *b) {
  free(b->memory);
  np_buf_init(b);
}
