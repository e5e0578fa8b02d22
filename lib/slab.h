/*
 * slab.h - fast memory for one Lua state.
 *
 * A slab gives out blocks of 1 to NP_SLAB_MAX bytes, rounded up to a multiple
 * of 16 and nothing more: a block has no header, because whoever frees it
 * says how big it was, as Lua does. Bigger blocks are malloc's. Four rules
 * hold for the whole file:
 *
 *   - a slab belongs to one thread at a time; there may be any number of them;
 *   - blocks are aligned to 16 bytes and their contents are undefined;
 *   - the size given with a block must be the one it was asked for with;
 *   - NULL means out of memory, and then nothing has changed.
 *
 * A small state stays small, and costs no system call: each size takes its
 * first few KiB from an area shared by all of them, which is malloc's. More
 * memory comes from the system in regions of 4 MiB and is touched only when
 * used. A chunk of 64 KiB that falls free serves any size; its memory goes back
 * to the system when more is free than in use, but for a reserve.
 *
 * Compiled with NP_SLAB_MALLOC (for sanitizers and valgrind) every block is
 * malloc's, and one that is not freed before the slab is a leak.
 */
#ifndef NP_SLAB_H
#define NP_SLAB_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define NP_SLAB_MAX 1024 /* the biggest block that is not malloc's */

typedef struct np_Slab np_Slab;

/* Makes an empty slab. */
np_Slab *np_slab_new(void);

/* Frees `s` and at once all blocks that it has given out. NULL is allowed. */
void np_slab_free(np_Slab *s);

/* A block of `size` bytes, at least 1. */
static inline void *np_slab_alloc(np_Slab *s, size_t size);

/* Takes back `block`, which was asked for with `size`. */
static inline void np_slab_drop(np_Slab *s, void *block, size_t size);

/*
 * Makes `block` `size` bytes long, moving it if need be; this is lua_Alloc,
 * but for the type of `s`. A NULL block is made (`old` is ignored then), a
 * `size` of 0 frees it and gives NULL. Making a block smaller does not fail.
 */
static inline void *np_slab_realloc(np_Slab *s, void *block, size_t old,
                                    size_t size);

/* Bytes in blocks given out, as they were asked for. Costs nothing. */
static inline size_t np_slab_used(const np_Slab *s);

/*
 * Gives memory that is free back to the system, but for about `keep` bytes.
 * Never needed for correctness: a good moment is after a full collection, or
 * when the program has become idle. Returns how many bytes went back.
 */
size_t np_slab_trim(np_Slab *s, size_t keep);

/* Until np_slab_free, which comes soon, nothing goes back to the system. */
void np_slab_finish(np_Slab *s);

/* == Inside: only what the functions above need to be inline =========== */

#ifndef NP_SLAB_MALLOC

#define NP_SLAB_CLASSES (NP_SLAB_MAX / 16)
#define NP_SLAB_START ((uintptr_t)1 << 16)  /* the slab, its first blocks */
#define NP_SLAB_REGION ((uintptr_t)4 << 20) /* also its alignment */
#define NP_SLAB_SHIFT 16                    /* chunks are 1 << this */

/* What is known of a chunk; kept apart, so that a chunk is only blocks. */
typedef struct np_SlabChunk {
  void *free;                       /* its free blocks, unless it is open */
  struct np_SlabChunk *next, *prev; /* in a list of partial or free chunks */
  uint16_t used;                    /* blocks given out, unless it is open */
  uint16_t cap;                     /* blocks that fit */
  uint8_t size;                     /* of a block, in units of 16 bytes */
  uint8_t open;                     /* blocks go to the bin of their size */
} np_SlabChunk;

/* Where blocks of one size are taken from. */
typedef struct np_SlabBin {
  void *free;         /* blocks of open chunks, each begins with the next */
  char *bump, *end;   /* the part of `chunk` that was never used */
  np_SlabChunk *chunk;
} np_SlabBin;

struct np_Slab {
  size_t used;
  np_SlabBin bin[NP_SLAB_CLASSES + 1]; /* by size / 16, rounded up */
};

void *np_slab_refill_(np_Slab *s, size_t size);
void np_slab_settle_(np_Slab *s, np_SlabChunk *c, int was_full);
void *np_slab_move_(np_Slab *s, void *block, size_t old, size_t size);
void np_slab_drop_big_(np_Slab *s, void *block, size_t size);

static inline size_t np_slab_class_(size_t size) { return (size + 15) >> 4; }

/* A region begins with the np_SlabChunk of each of its chunks. */
static inline np_SlabChunk *np_slab_chunk_(const void *block) {
  uintptr_t at = (uintptr_t)block;
  np_SlabChunk *chunks = (np_SlabChunk *)(at & ~(NP_SLAB_REGION - 1));
  return &chunks[(at & (NP_SLAB_REGION - 1)) >> NP_SLAB_SHIFT];
}

static inline void *np_slab_alloc(np_Slab *s, size_t size) {
  np_SlabBin *bin;
  void *block;
  if (size > NP_SLAB_MAX) return np_slab_refill_(s, size);
  bin = &s->bin[np_slab_class_(size)];
  block = bin->free;
  if (block != NULL) {
    bin->free = *(void **)block;
    __builtin_prefetch(bin->free); /* it is the next to be given out */
  } else if (bin->bump != bin->end) {
    block = bin->bump;
    bin->bump += (size + 15) & ~(size_t)15;
  } else {
    return np_slab_refill_(s, size);
  }
  s->used += size;
  return block;
}

static inline void np_slab_drop(np_Slab *s, void *block, size_t size) {
  np_SlabChunk *c;
  if (size > NP_SLAB_MAX) {
    np_slab_drop_big_(s, block, size);
    return;
  }
  s->used -= size;
  c = np_slab_chunk_(block);
  if ((uintptr_t)block - (uintptr_t)s < NP_SLAB_START || c->open) {
    np_SlabBin *bin = &s->bin[np_slab_class_(size)];
    *(void **)block = bin->free;
    bin->free = block;
  } else {
    void *next = c->free;
    *(void **)block = next;
    c->free = block;
    if (--c->used == 0 || next == NULL) np_slab_settle_(s, c, next == NULL);
  }
}

static inline void *np_slab_realloc(np_Slab *s, void *block, size_t old,
                                    size_t size) {
  if (block == NULL) return size == 0 ? NULL : np_slab_alloc(s, size);
  if (size == 0) {
    np_slab_drop(s, block, old);
    return NULL;
  }
  if (size <= NP_SLAB_MAX && np_slab_class_(old) == np_slab_class_(size)) {
    s->used += size - old;
    return block;
  }
  return np_slab_move_(s, block, old, size);
}

#else

struct np_Slab {
  size_t used;
};

static inline void *np_slab_realloc(np_Slab *s, void *block, size_t old,
                                    size_t size) {
  void *moved;
  if (block == NULL) old = 0;
  if (size == 0) {
    free(block);
    s->used -= old;
    return NULL;
  }
  moved = realloc(block, size);
  if (moved == NULL && size > old) return NULL;
  s->used += size - old;
  return moved != NULL ? moved : block;
}

static inline void *np_slab_alloc(np_Slab *s, size_t size) {
  return np_slab_realloc(s, NULL, 0, size);
}

static inline void np_slab_drop(np_Slab *s, void *block, size_t size) {
  np_slab_realloc(s, block, size, 0);
}

#endif

static inline size_t np_slab_used(const np_Slab *s) { return s->used; }

#endif
