/*
 * ring.c - a queue of pointers: growing and freeing.
 *
 * May touch the C library.
 */
#include "ring.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST 16 /* slots in the smallest ring */

/* Moves everything to `slots` new slots, a power of two that is enough. */
static int resize(np_Ring *r, size_t slots) {
  size_t count = np_ring_count(r), first = r->head & r->mask;
  size_t straight = r->mask + 1 - first; /* until the slots wrap around */
  void **slot = (void **)malloc(slots * sizeof(void *));
  if (slot == NULL) return -1;
  if (straight > count) straight = count;
  if (count > 0) {
    memcpy(slot, r->slot + first, straight * sizeof(void *));
    memcpy(slot + straight, r->slot, (count - straight) * sizeof(void *));
  }
  free(r->slot);
  r->slot = slot;
  r->mask = slots - 1;
  r->head = 0;
  r->tail = count;
  return 0;
}

int np_ring_reserve(np_Ring *r, size_t count) {
  size_t slots = FIRST;
  if (count <= r->mask + 1) return 0;
  if (count > SIZE_MAX / 2 / sizeof(void *)) return -1;
  while (slots < count) slots *= 2;
  return resize(r, slots);
}

void np_ring_free(np_Ring *r) {
  free(r->slot);
  np_ring_init(r);
}
