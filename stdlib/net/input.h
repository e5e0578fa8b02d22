/*
 * input.h - the bytes that came and were not yet read.
 *
 * Reads go into the space of an Arena, which all streams of a machine share,
 * so that an idle stream has no buffer and a message is copied only once, into
 * a Lua string. Bytes that a waiting task will take in this very turn stay in
 * the arena as a slice; whatever stays longer is copied into a buffer of the
 * input's own. Two rules hold for the whole file:
 *
 *   - the unread bytes are always in one piece: the slice or the buffer;
 *   - a function that returns int gives 0 or UV_ENOMEM, and has then changed
 *     nothing.
 *
 * No Lua and no I/O here.
 */
#ifndef NP_INPUT_H
#define NP_INPUT_H

#include <stddef.h>

#include "buf.h"

typedef struct np_Arena np_Arena;
typedef struct np_Input np_Input;

/* Zeroed, it is empty. */
struct np_Input {
  np_Buf own;              /* empty if there is a slice */
  char *slice;             /* NULL, or unread bytes in the arena */
  size_t slice_size;
  struct np_Block *block;  /* where it is */
  np_Input *prev, *next;   /* all that have one, oldest first */
};

/* How many bytes are unread; lends them until the next call. */
static inline size_t np_input_size(const np_Input *in) {
  return in->slice != NULL ? in->slice_size : np_buf_size(&in->own);
}
static inline char *np_input_data(const np_Input *in) {
  return in->slice != NULL ? in->slice : np_buf_data(&in->own);
}

/* == The arena ======================================================== */

np_Arena *np_arena_new(void);

/* Every input that used it must be empty. NULL is allowed. */
void np_arena_free(np_Arena *a);

/*
 * Space to read into, at least 64 KiB: its size goes to *size. It is lent
 * until the next call, or until np_input_slice keeps what was read there.
 * NULL if memory is out.
 */
char *np_arena_space(np_Arena *a, size_t *size);

/* == Coming in ======================================================== */

/* Adds `n` bytes read into the arena's space, in place if that is possible.
 * Call np_input_settle unless they are dropped soon. */
int np_input_slice(np_Input *in, np_Arena *a, char *bytes, size_t n);

/* Moves the bytes out of the arena, if they are there. */
int np_input_settle(np_Input *in, np_Arena *a);

/* Adds a copy of `n` bytes. */
int np_input_add(np_Input *in, np_Arena *a, const char *bytes, size_t n);

/*
 * Space of the input's own to read into, behind the unread bytes: for bytes
 * that are to be collected. `wanted` is how many will come, if known; the
 * space is smaller if that is a lot. np_input_added says how many came.
 */
char *np_input_space(np_Input *in, np_Arena *a, size_t wanted, size_t *size);
void np_input_added(np_Input *in, size_t n);

/* == Going out ======================================================== */

/* Forgets the first `n` unread bytes; when none is left, all memory. */
void np_input_drop(np_Input *in, np_Arena *a, size_t n);

#endif
