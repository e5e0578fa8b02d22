/*
 * heap.c - a queue of things that are due: a heap of four children.
 *
 * The entries lie so that four siblings share a cache line. As long as each
 * key is not below those before it, as deadlines of the same length are, they
 * are simply in their order: the first is taken from the front, and nothing
 * moves. The first key that is below, or the first node that is taken out of
 * the middle, makes a heap of them, which a sorted array is, until it is empty.
 * May touch the C library.
 */
#include "heap.h"

#include <stdlib.h>
#include <string.h>

#define LINE 64
#define FIRST 16                 /* entries in the smallest heap */
#define MOST ((uint32_t)1 << 27) /* in the biggest */

static int before(const np_HeapEntry *a, const np_HeapEntry *b) {
  if (a->key != b->key) return a->key < b->key;
  return (int32_t)(a->node->seq - b->node->seq) < 0;
}

static void place(np_Heap *h, uint32_t i, np_HeapEntry e) {
  h->entry[i] = e;
  e.node->index = i;
}

/* Moves the hole at `i` up to where `e` belongs, and fills it. */
static void sift_up(np_Heap *h, uint32_t i, np_HeapEntry e) {
  while (i > 1) {
    uint32_t parent = (i + 2) / 4;
    if (!before(&e, &h->entry[parent])) break;
    place(h, i, h->entry[parent]);
    i = parent;
  }
  place(h, i, e);
}

/* The least of the children of `i`; 0 if it has none. */
static uint32_t least_child(const np_Heap *h, uint32_t i) {
  uint64_t first = (uint64_t)i * 4 - 2, last = first + 3, c;
  uint32_t least = (uint32_t)first;
  if (first > h->count) return 0;
  if (last > h->count) last = h->count;
  for (c = first + 1; c <= last; c++)
    if (before(&h->entry[c], &h->entry[least])) least = (uint32_t)c;
  return least;
}

/*
 * Moves the hole at `i` down to a leaf, and the last entry into it. Most
 * often the last entry belongs at a leaf, so it is not compared on the way.
 */
static void fill_hole(np_Heap *h, uint32_t i) {
  np_HeapEntry last = h->entry[h->count];
  uint32_t child;
  if (i == h->count--) return;
  while ((child = least_child(h, i)) != 0) {
    place(h, i, h->entry[child]);
    i = child;
  }
  sift_up(h, i, last);
}

/* entry[2] begins a cache line, and so do all first children. */
static np_HeapEntry *line_up(void *memory) {
  uintptr_t at = ((uintptr_t)memory + LINE - 1) & -(uintptr_t)LINE;
  return (np_HeapEntry *)at + LINE / sizeof(np_HeapEntry) - 2;
}

static int grow(np_Heap *h) {
  uint32_t cap = h->cap == 0 ? FIRST : h->cap * 2;
  uint32_t lead = h->lead;
  char *memory = h->entry == NULL ? NULL : (char *)h->entry - lead;
  if (cap > MOST) return -1;
  memory = realloc(memory, ((size_t)cap + 2) * sizeof(np_HeapEntry) + LINE);
  if (memory == NULL) return -1;
  h->entry = line_up(memory);
  h->lead = (uint32_t)((char *)h->entry - memory);
  if (h->count > 0 && h->lead != lead)
    memmove(h->entry + 1, memory + lead + sizeof(np_HeapEntry),
            (h->gone + h->count) * sizeof(np_HeapEntry));
  h->cap = cap;
  return 0;
}

/* Moves sorted entries to the beginning. */
static void shift(np_Heap *h) {
  uint32_t gone = h->gone, i;
  h->gone = 0;
  for (i = 1; gone > 0 && i <= h->count; i++) place(h, i, h->entry[gone + i]);
}

void np_heap_init(np_Heap *h) {
  memset(h, 0, sizeof(*h));
  h->sorted = 1;
}

void np_heap_free(np_Heap *h) {
  if (h->entry != NULL) free((char *)h->entry - h->lead);
  np_heap_init(h);
}

/* 1 if the key belongs behind all others, and they are sorted. */
static int is_last(const np_Heap *h, uint64_t key) {
  return h->sorted &&
         (h->count == 0 || key >= h->entry[h->gone + h->count].key);
}

int np_heap_insert(np_Heap *h, np_HeapNode *node, uint64_t key) {
  np_HeapEntry e = {key, node};
  int last = is_last(h, key);
  if (!last || h->gone > h->cap / 2) shift(h);
  if (h->gone + h->count == h->cap && grow(h) < 0) return -1;
  node->seq = h->seq++;
  h->sorted = (uint32_t)last;
  h->count++;
  if (last) place(h, h->gone + h->count, e);
  else sift_up(h, h->count, e);
  return 0;
}

/* Takes the one at `i` out of sorted entries if it is at an end of them. */
static int remove_end(np_Heap *h, uint32_t i) {
  if (i == h->gone + 1) h->gone++;
  else if (i != h->gone + h->count) return 0;
  if (--h->count == 0) h->gone = 0;
  return 1;
}

void np_heap_remove(np_Heap *h, np_HeapNode *node) {
  uint32_t i = node->index;
  if (!h->sorted || !remove_end(h, i)) {
    i -= h->gone;
    shift(h);
    fill_hole(h, i);
    h->sorted = h->count == 0;
  }
  node->index = 0;
}

np_HeapNode *np_heap_pop(np_Heap *h) {
  np_HeapNode *node;
  if (h->count == 0) return NULL;
  node = h->entry[h->gone + 1].node;
  np_heap_remove(h, node);
  return node;
}
