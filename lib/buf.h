/*
 * buf.h - bytes that are added at the end and taken from the front.
 *
 * np_Buf is what has been read and not yet asked for, or what is to be
 * written. Its bytes are one piece of memory; adding may move them, so what
 * np_buf_data lends is good until the next call that adds. Taking from the
 * front moves nothing. A large buffer that becomes empty frees its memory.
 */
#ifndef NP_BUF_H
#define NP_BUF_H

#include <stddef.h>

typedef struct np_Buf {
  char *memory;
  size_t start; /* of the bytes in `memory` */
  size_t end;
  size_t cap;
} np_Buf;

#define NP_BUF_KEEP 65536 /* an empty buffer keeps no more memory than this */

/* Makes an empty buffer; this allocates nothing. */
static inline void np_buf_init(np_Buf *b);

/* Frees the memory; the buffer is empty and can be used again. */
void np_buf_free(np_Buf *b);

/* How many bytes are inside. */
static inline size_t np_buf_size(const np_Buf *b);

/* Lends the bytes; may be NULL when there are none. */
static inline char *np_buf_data(const np_Buf *b);

/* == Adding =========================================================== */

/* Copies `size` bytes to the end. 0, or -1 when memory is out. */
int np_buf_append(np_Buf *b, const void *bytes, size_t size);

/*
 * Lends room for `size` bytes behind the end, to be filled and then added
 * with np_buf_commit, once or in parts; NULL when memory is out.
 */
char *np_buf_reserve(np_Buf *b, size_t size);

/* How much room there is now; np_buf_reserve of no more cannot fail. */
static inline size_t np_buf_room(const np_Buf *b);

/* Adds `size` bytes, which are in the room that was reserved. */
static inline void np_buf_commit(np_Buf *b, size_t size);

/* == Taking =========================================================== */

/* Drops `size` bytes, which are inside, from the front. */
void np_buf_consume(np_Buf *b, size_t size);

/* Drops all. */
static inline void np_buf_clear(np_Buf *b);

/* == Inside: only what is inline ====================================== */

static inline void np_buf_init(np_Buf *b) {
  b->memory = NULL;
  b->start = b->end = b->cap = 0;
}

static inline size_t np_buf_size(const np_Buf *b) { return b->end - b->start; }

static inline char *np_buf_data(const np_Buf *b) {
  return b->memory == NULL ? NULL : b->memory + b->start;
}

static inline size_t np_buf_room(const np_Buf *b) { return b->cap - b->end; }

static inline void np_buf_commit(np_Buf *b, size_t size) { b->end += size; }

static inline void np_buf_clear(np_Buf *b) {
  np_buf_consume(b, np_buf_size(b));
}

#endif
