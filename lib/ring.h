/*
 * ring.h - a queue of pointers: first in, first out.
 *
 * np_Ring grows by doubling and never shrinks. Putting in and taking out are
 * inline and cannot fail; only np_ring_reserve allocates, which is called
 * beforehand for as many as will be inside.
 */
#ifndef NP_RING_H
#define NP_RING_H

#include <stddef.h>

typedef struct np_Ring {
  void **slot;
  size_t mask; /* slots less one; the slots are a power of two, or none */
  size_t head; /* pops so far; wraps around */
  size_t tail; /* pushes so far; wraps around */
} np_Ring;

/* Makes an empty ring; this allocates nothing. */
static inline void np_ring_init(np_Ring *r);

/* Frees the ring's memory, not what the pointers in it point to. */
void np_ring_free(np_Ring *r);

/* Makes room for `count` pointers in all. 0, or -1 when memory is out. */
int np_ring_reserve(np_Ring *r, size_t count);

/* Puts `p` at the end, where room is known to be: it was reserved. */
static inline void np_ring_put(np_Ring *r, void *p);

/* Takes the first; NULL when the ring is empty. */
static inline void *np_ring_pop(np_Ring *r);

/* How many are inside. */
static inline size_t np_ring_count(const np_Ring *r);

/* == Inside: only what is inline ====================================== */

static inline void np_ring_init(np_Ring *r) {
  r->slot = NULL;
  r->mask = (size_t)-1; /* no slots: full at once */
  r->head = r->tail = 0;
}

static inline size_t np_ring_count(const np_Ring *r) {
  return r->tail - r->head;
}

static inline void np_ring_put(np_Ring *r, void *p) {
  r->slot[r->tail++ & r->mask] = p;
}

static inline void *np_ring_pop(np_Ring *r) {
  if (r->head == r->tail) return NULL;
  return r->slot[r->head++ & r->mask];
}

#endif
