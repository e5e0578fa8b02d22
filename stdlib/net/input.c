/*
 * input.c - the bytes that came and were not yet read: see input.h.
 *
 * The arena is a few blocks. Slices are cut from the current one, front to
 * back; a block is free again when its last slice is gone, which mostly is
 * within the turn, so that the same warm memory is used over and over. A task
 * that was cancelled just after its bytes came leaves its slice behind: such
 * slices are settled, oldest first, before the arena grows beyond its limit.
 */
#include <stdlib.h>
#include <uv.h>

#include "input.h"

#define SPACE ((size_t)64 << 10)   /* least space for one read */
#define BLOCK ((size_t)256 << 10)
#define BLOCKS 8                   /* more only if none can be freed */
#define STEP ((size_t)1 << 20)     /* most that is reserved on a promise */

typedef struct np_Block {
  struct np_Block *next; /* free ones */
  size_t used;           /* bytes cut off from the front */
  size_t slices;
  char bytes[];
} np_Block;

struct np_Arena {
  np_Block *current, *free;
  unsigned blocks;
  np_Input slices; /* head of the ring */
};

/* == The arena ======================================================== */

np_Arena *np_arena_new(void) {
  np_Arena *a = calloc(1, sizeof *a);
  if (a != NULL) a->slices.prev = a->slices.next = &a->slices;
  return a;
}

void np_arena_free(np_Arena *a) {
  if (a == NULL) return;
  free(a->current);
  while (a->free != NULL) {
    np_Block *b = a->free;
    a->free = b->next;
    free(b);
  }
  free(a);
}

static np_Block *block_find(np_Arena *a) {
  np_Block *b;
  if (a->blocks >= BLOCKS) {
    while (a->free == NULL && a->slices.next != &a->slices)
      if (np_input_settle(a->slices.next, a) < 0) break;
  }
  b = a->free;
  if (b != NULL) {
    a->free = b->next;
  } else {
    b = malloc(sizeof *b + BLOCK);
    if (b == NULL) return NULL;
    a->blocks++;
  }
  b->used = b->slices = 0;
  return b;
}

char *np_arena_space(np_Arena *a, size_t *size) {
  if (a->current == NULL || BLOCK - a->current->used < SPACE) {
    /* The full one comes back when its last slice goes. */
    a->current = NULL;
    a->current = block_find(a);
    if (a->current == NULL) return NULL;
  }
  *size = SPACE;
  return a->current->bytes + a->current->used;
}

static void slice_release(np_Input *in, np_Arena *a) {
  np_Block *b = in->block;
  in->prev->next = in->next;
  in->next->prev = in->prev;
  in->slice = NULL;
  if (--b->slices > 0) return;
  b->used = 0;
  if (b == a->current) return;
  b->next = a->free;
  a->free = b;
}

/* == Coming in ======================================================== */

int np_input_settle(np_Input *in, np_Arena *a) {
  if (in->slice == NULL) return 0;
  if (np_buf_append(&in->own, in->slice, in->slice_size) < 0)
    return UV_ENOMEM;
  slice_release(in, a);
  return 0;
}

static void slice_begin(np_Input *in, np_Arena *a, char *bytes) {
  in->block = a->current;
  in->block->slices++;
  in->slice = bytes;
  in->slice_size = 0;
  in->next = &a->slices;
  in->prev = a->slices.prev;
  in->prev->next = in->next->prev = in;
}

int np_input_slice(np_Input *in, np_Arena *a, char *bytes, size_t n) {
  if (np_input_size(in) == 0)
    slice_begin(in, a, bytes);
  else if (in->slice == NULL || in->slice + in->slice_size != bytes)
    return np_input_add(in, a, bytes, n);
  in->slice_size += n;
  in->block->used += n;
  return 0;
}

int np_input_add(np_Input *in, np_Arena *a, const char *bytes, size_t n) {
  if (np_input_settle(in, a) < 0) return UV_ENOMEM;
  return np_buf_append(&in->own, bytes, n) < 0 ? UV_ENOMEM : 0;
}

char *np_input_space(np_Input *in, np_Arena *a, size_t wanted, size_t *size) {
  char *space;
  if (wanted > STEP) wanted = STEP;
  if (np_input_settle(in, a) < 0) return NULL;
  space = np_buf_reserve(&in->own, wanted > SPACE ? wanted : SPACE);
  *size = np_buf_room(&in->own);
  return space;
}

void np_input_added(np_Input *in, size_t n) { np_buf_commit(&in->own, n); }

/* == Going out ======================================================== */

void np_input_drop(np_Input *in, np_Arena *a, size_t n) {
  if (in->slice != NULL) {
    in->slice += n;
    in->slice_size -= n;
    if (in->slice_size == 0) slice_release(in, a);
  } else {
    np_buf_consume(&in->own, n);
    if (np_buf_size(&in->own) == 0) np_buf_free(&in->own);
  }
}
