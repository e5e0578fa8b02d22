/*
 * slab.c - fast memory for one Lua state: regions, chunks, refilling.
 *
 * The life of a chunk: fresh or free; open, when its size's bin gives out
 * its blocks and takes them back without counting; full, when the bin had
 * nothing left and moved on, so that every block is known to be out; partial,
 * in a list of its size, once one has come back; free again when all have.
 * What the sizes share at the beginning, behind the slab itself and in chunks
 * that stay open for ever, returns to the bin of its size without being told
 * apart.
 *
 * May touch the C library and the system's memory calls.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "slab.h"

#include <string.h>

#ifdef NP_SLAB_MALLOC

np_Slab *np_slab_new(void) { return (np_Slab *)calloc(1, sizeof(np_Slab)); }

void np_slab_free(np_Slab *s) { free(s); }

size_t np_slab_trim(np_Slab *s, size_t keep) {
  (void)s;
  (void)keep;
  return 0;
}

void np_slab_finish(np_Slab *s) { (void)s; }

#else

#include <sys/mman.h>

#define CHUNK ((size_t)1 << NP_SLAB_SHIFT)
#define CHUNKS (NP_SLAB_REGION / CHUNK)
#define PAGE 4096 /* if the system's pages are bigger, madvise only fails */

#define SHARE 8192              /* of the shared memory, for one size */
#define WARM 32                 /* free chunks keep their memory, at first */
#define MANY 32                 /* chunks of one size: the next is needed */
#define SMALL 16                /* regions: below, huge pages are too big */
#define LAST_RESORT (16 * 1024) /* kept for shrinking without memory */

typedef struct Region {
  np_SlabChunk chunk[CHUNKS]; /* first: np_slab_chunk_ relies on it */
  struct Region *next;
} Region;

/* Precedes what malloc gave, so that np_slab_free finds it. */
typedef struct Big {
  struct Big *next, *prev;
} Big;

typedef struct Slab {
  np_Slab base; /* first: what the header knows */
  Region *regions;                     /* the newest first */
  size_t nregions;
  np_SlabChunk *fresh, *fresh_end;     /* of the newest region, never used */
  np_SlabChunk *warm, *cold;           /* free, with and without memory */
  size_t nused, nwarm;                 /* chunks that are not free, and warm */
  size_t keep;                         /* so many more than nused may be warm */
  char *shared, *shared_end;           /* where the sizes begin */
  char *resort;                        /* the last resort: LAST_RESORT left */
  size_t resort_left;
  Big big;                             /* the ring of what malloc gave */
  np_SlabChunk *partial[NP_SLAB_CLASSES + 1];
  uint32_t chunks[NP_SLAB_CLASSES + 1]; /* how many each size has */
  uint16_t share[NP_SLAB_CLASSES + 1]; /* shared bytes it took at first */
} Slab;

/* == Chunks ============================================================ */

static Region *region_of(np_SlabChunk *c) {
  return (Region *)((uintptr_t)c & ~(NP_SLAB_REGION - 1));
}

/* Where the blocks of `c` begin: in the first chunk, behind the region's. */
static char *chunk_base(np_SlabChunk *c) {
  Region *r = region_of(c);
  size_t index = (size_t)(c - r->chunk);
  if (index == 0) return (char *)r + ((sizeof(*r) + 63) & ~(size_t)63);
  return (char *)r + index * CHUNK;
}

static char *chunk_end(np_SlabChunk *c) {
  Region *r = region_of(c);
  return (char *)r + (size_t)(c - r->chunk + 1) * CHUNK;
}

static void chunk_link(np_SlabChunk **list, np_SlabChunk *c) {
  c->prev = NULL;
  c->next = *list;
  if (*list != NULL) (*list)->prev = c;
  *list = c;
}

static void chunk_unlink(np_SlabChunk **list, np_SlabChunk *c) {
  if (c->prev != NULL) c->prev->next = c->next;
  else *list = c->next;
  if (c->next != NULL) c->next->prev = c->prev;
}

/*
 * Maps a region at an address that is a multiple of its size. `small` asks
 * for no huge pages, where the system would give them unasked.
 */
static Region *region_map(int small) {
  const int prot = PROT_READ | PROT_WRITE;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  size_t lead, size = NP_SLAB_REGION, twice = 2 * size - PAGE;
  char *at = (char *)mmap(NULL, twice, prot, flags, -1, 0);
  Region *r;
  if (at == (char *)MAP_FAILED) return NULL;
  lead = (size_t)(-(uintptr_t)at & (NP_SLAB_REGION - 1));
  r = (Region *)(void *)(at + lead);
  if (lead > 0) (void)munmap(at, lead);
  if (twice - lead > size)
    (void)munmap(at + lead + size, twice - lead - size);
  if (small) (void)madvise(r, size, MADV_NOHUGEPAGE);
  return r;
}

/* A chunk that nobody has used yet; NULL if memory is out. */
static np_SlabChunk *chunk_fresh(Slab *s) {
  if (s->fresh == s->fresh_end) {
    Region *r = region_map(s->nregions < SMALL);
    if (r == NULL) return NULL;
    s->nregions++;
    r->next = s->regions;
    s->regions = r;
    s->fresh = r->chunk;
    s->fresh_end = r->chunk + CHUNKS;
  }
  return s->fresh++;
}

/* The whole pages of a chunk, from `*from` on. */
static size_t chunk_pages(np_SlabChunk *c, void **from) {
  uintptr_t first = ((uintptr_t)chunk_base(c) + PAGE - 1) & -(uintptr_t)PAGE;
  *from = (void *)first;
  return (size_t)((uintptr_t)chunk_end(c) - first);
}

/*
 * A chunk for blocks of `class`, warm if possible; NULL if memory is out. One
 * of a size that has many gets its memory at once, which costs the system
 * less than page after page.
 */
static np_SlabChunk *chunk_take(Slab *s, size_t class) {
  np_SlabChunk *c = s->warm;
  s->chunks[class]++;
  s->nused++;
  if (c != NULL) {
    chunk_unlink(&s->warm, c);
    s->nwarm--;
    return c;
  }
  c = s->cold;
  if (c != NULL) {
    chunk_unlink(&s->cold, c);
    s->keep++; /* it should not have been cooled */
  } else {
    c = chunk_fresh(s);
  }
#ifdef MADV_POPULATE_WRITE
  if (c != NULL && s->chunks[class] > MANY) {
    void *from;
    size_t size = chunk_pages(c, &from);
    (void)madvise(from, size, MADV_POPULATE_WRITE); /* or when it is used */
  }
#endif
  if (c == NULL) {
    s->chunks[class]--;
    s->nused--;
  }
  return c;
}

/* Gives the memory of a free chunk back to the system. */
static void chunk_cool(Slab *s) {
  void *from;
  np_SlabChunk *c = s->warm;
  size_t size = chunk_pages(c, &from);
  chunk_unlink(&s->warm, c);
  s->nwarm--;
  (void)madvise(from, size, MADV_DONTNEED); /* failing costs only memory */
  chunk_link(&s->cold, c);
}

/*
 * Takes back a chunk of which every block has come back. As many as are in use
 * stay warm: a collector frees half of what there is, to need it again.
 */
static void chunk_give(Slab *s, np_SlabChunk *c) {
  s->chunks[c->size]--;
  s->nused--;
  c->free = NULL;
  chunk_link(&s->warm, c);
  s->nwarm++;
  while (s->nwarm > s->keep + s->nused) chunk_cool(s);
}

/* == Blocks that are too big ========================================== */

static void big_link(Slab *s, Big *b) {
  b->prev = &s->big;
  b->next = s->big.next;
  b->next->prev = b;
  s->big.next = b;
}

static void big_unlink(Big *b) {
  b->prev->next = b->next;
  b->next->prev = b->prev;
}

/* realloc for blocks with a Big before them; `block` may be NULL. */
static void *big_realloc(Slab *s, void *block, size_t size) {
  Big *b, *old = block != NULL ? (Big *)block - 1 : NULL;
  if (size > SIZE_MAX - sizeof(Big)) return NULL;
  if (old != NULL) big_unlink(old);
  b = (Big *)realloc(old, size + sizeof(Big));
  if (b != NULL) big_link(s, b);
  else if (old != NULL) big_link(s, old);
  return b != NULL ? b + 1 : NULL;
}

void np_slab_drop_big_(np_Slab *base, void *block, size_t size) {
  Big *b = (Big *)block - 1;
  big_unlink(b);
  free(b);
  base->used -= size;
}

/* == Blocks =========================================================== */

/* Takes a block from the memory that the sizes share, or NULL. */
static void *shared_take(Slab *s, size_t class) {
  size_t size = class * 16;
  char *block;
  if (s->share[class] + size > SHARE) return NULL;
  if ((size_t)(s->shared_end - s->shared) < size) {
    np_SlabChunk *c = chunk_take(s, 0);
    if (c == NULL) return NULL;
    c->open = 1;
    s->shared = chunk_base(c);
    s->shared_end = chunk_end(c);
  }
  block = s->shared;
  s->shared += size;
  s->share[class] = (uint16_t)(s->share[class] + size);
  return block;
}

/* Makes `c` the chunk that the bin of its size takes from. */
static void bin_open(np_SlabBin *bin, np_SlabChunk *c) {
  np_SlabChunk *old = bin->chunk;
  if (old != NULL) {
    old->open = 0;
    old->used = old->cap;
  }
  bin->chunk = c;
  bin->free = c->free;
  c->free = NULL;
  c->open = 1;
}

/* Makes a fresh or free chunk one of blocks of `class`. */
static void bin_open_empty(np_SlabBin *bin, np_SlabChunk *c, size_t class) {
  char *base = chunk_base(c);
  c->size = (uint8_t)class;
  c->cap = (uint16_t)((size_t)(chunk_end(c) - base) / (class * 16));
  bin_open(bin, c);
  bin->bump = base;
  bin->end = base + c->cap * class * 16;
}

/* The slow half of np_slab_alloc: the bin is empty, or the block big. */
void *np_slab_refill_(np_Slab *base, size_t size) {
  Slab *s = (Slab *)(void *)base;
  size_t class = np_slab_class_(size);
  np_SlabBin *bin;
  np_SlabChunk *c;
  void *block;
  if (size > NP_SLAB_MAX) {
    block = big_realloc(s, NULL, size);
    if (block != NULL) base->used += size;
    return block;
  }
  bin = &base->bin[class];
  c = s->partial[class];
  if (c != NULL) {
    chunk_unlink(&s->partial[class], c);
    bin_open(bin, c);
  } else {
    if (bin->chunk == NULL && (block = shared_take(s, class)) != NULL) {
      base->used += size;
      return block;
    }
    c = chunk_take(s, class);
    if (c == NULL) return NULL;
    bin_open_empty(bin, c, class);
  }
  return np_slab_alloc(base, size);
}

/* The slow half of np_slab_drop: `c` was full, or is free now. */
void np_slab_settle_(np_Slab *base, np_SlabChunk *c, int was_full) {
  Slab *s = (Slab *)(void *)base;
  if (c->used > 0) {
    chunk_link(&s->partial[c->size], c);
  } else {
    if (!was_full) chunk_unlink(&s->partial[c->size], c);
    chunk_give(s, c);
  }
}

/*
 * A block for `size` bytes without any new memory, for blocks that shrink.
 * One of a larger size will do: its chunk counts blocks, not bytes, and
 * whichever bin it comes back to, it is big enough.
 */
static void *last_resort(Slab *s, size_t size) {
  size_t class = np_slab_class_(size), i;
  for (i = class; i <= NP_SLAB_CLASSES; i++) {
    np_SlabBin *bin = &s->base.bin[i];
    void *block = bin->free;
    if (block != NULL) bin->free = *(void **)block;
    else if (bin->bump != bin->end) block = bin->bump, bin->bump += i * 16;
    if (block != NULL) return block;
  }
  if (s->resort_left < class * 16) return NULL;
  s->resort_left -= class * 16;
  return s->resort + s->resort_left;
}

/* The slow half of np_slab_realloc: the block needs another class. */
void *np_slab_move_(np_Slab *base, void *block, size_t old, size_t size) {
  Slab *s = (Slab *)(void *)base;
  void *moved;
  if (old > NP_SLAB_MAX && size > NP_SLAB_MAX) {
    moved = big_realloc(s, block, size);
    if (moved == NULL && size > old) return NULL;
    base->used += size - old;
    return moved != NULL ? moved : block;
  }
  moved = np_slab_alloc(base, size);
  if (moved == NULL && size < old) {
    base->used += size;
    if (old <= NP_SLAB_MAX) { /* last_resort says why that may be */
      base->used -= old;
      return block;
    }
    moved = last_resort(s, size);
    if (moved == NULL) base->used -= size;
  }
  if (moved == NULL) return NULL;
  memcpy(moved, block, old < size ? old : size);
  np_slab_drop(base, block, old);
  return moved;
}

/* == The slab itself ================================================== */

np_Slab *np_slab_new(void) {
  Slab *s = (Slab *)aligned_alloc(64, NP_SLAB_START);
  if (s == NULL) return NULL;
  memset(s, 0, sizeof(*s));
  s->shared = (char *)s + ((sizeof(*s) + 63) & ~(size_t)63);
  s->shared_end = (char *)s + NP_SLAB_START - LAST_RESORT;
  s->resort = s->shared_end;
  s->resort_left = LAST_RESORT;
  s->keep = WARM;
  s->big.next = s->big.prev = &s->big;
  return &s->base;
}

void np_slab_free(np_Slab *base) {
  Slab *s = (Slab *)(void *)base;
  Region *r, *next;
  if (s == NULL) return;
  while (s->big.next != &s->big) {
    Big *b = s->big.next;
    big_unlink(b);
    free(b);
  }
  for (r = s->regions; r != NULL; r = next) {
    next = r->next;
    (void)munmap(r, NP_SLAB_REGION);
  }
  free(s);
}

/* Takes the chunk away from a bin that has all of its blocks. */
static void bin_close_unused(Slab *s, np_SlabBin *bin) {
  np_SlabChunk *c = bin->chunk;
  void **link, *block;
  size_t bytes = 0;
  if (c == NULL) return;
  for (block = bin->free; block != NULL; block = *(void **)block)
    if (np_slab_chunk_(block) == c) bytes += (size_t)c->size * 16;
  bytes += (size_t)(bin->end - bin->bump);
  if (bytes < (size_t)c->cap * c->size * 16) return;
  for (link = &bin->free; *link != NULL;) {
    block = *link;
    if (np_slab_chunk_(block) == c) *link = *(void **)block;
    else link = (void **)block;
  }
  bin->bump = bin->end = NULL;
  bin->chunk = NULL;
  c->open = 0;
  chunk_give(s, c);
}

void np_slab_finish(np_Slab *base) {
  ((Slab *)(void *)base)->keep = SIZE_MAX / 2;
}

size_t np_slab_trim(np_Slab *base, size_t keep) {
  Slab *s = (Slab *)(void *)base;
  size_t i, given = 0;
  for (i = 1; i <= NP_SLAB_CLASSES; i++) bin_close_unused(s, &base->bin[i]);
  s->keep = s->keep / 2 > WARM ? s->keep / 2 : WARM;
  while (s->nwarm > keep / CHUNK) {
    chunk_cool(s);
    given += CHUNK;
  }
  return given;
}

#endif
