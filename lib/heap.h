/*
 * heap.h - a queue of things that are due, the earliest first.
 *
 * np_Heap orders nodes by a 64-bit key, and nodes of the same key by the
 * order in which they were inserted. A node is part of the caller's struct
 * and must not move while it is inside. Inserting a key that is not below
 * the others, and removing one that is among the last, take constant time, and
 * so does taking the least as long as no key was below one before it and none
 * was removed from the middle; everything else takes the logarithm of the
 * count, on the average.
 */
#ifndef NP_HEAP_H
#define NP_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* Embed one; zero it, or call np_heap_init_node, before its first use. */
typedef struct np_HeapNode {
  uint32_t index; /* its place in the heap from 1; 0 when it is in none */
  uint32_t seq;   /* when it was inserted, for nodes of the same key */
} np_HeapNode;

typedef struct np_HeapEntry {
  uint64_t key;
  np_HeapNode *node;
} np_HeapEntry;

typedef struct np_Heap {
  np_HeapEntry *entry; /* children of i: 4i-2..4i+1; see heap.c */
  uint32_t count;
  uint32_t cap;
  uint32_t seq;  /* of the next node */
  uint32_t gone; /* places in front of the first entry: 0 unless `sorted` */
  uint32_t sorted; /* the entries lie in their order */
  uint32_t lead; /* bytes from the memory's beginning to `entry` */
} np_Heap;

/* Makes an empty heap; this allocates nothing. */
void np_heap_init(np_Heap *h);

/* Frees the heap's memory. Nodes still inside are not touched. */
void np_heap_free(np_Heap *h);

/*
 * Puts `node`, which is in no heap, inside. 0, or -1 when memory is out or
 * the heap has 134 million nodes.
 */
int np_heap_insert(np_Heap *h, np_HeapNode *node, uint64_t key);

/* Takes `node` out; it must be in `h`. */
void np_heap_remove(np_Heap *h, np_HeapNode *node);

/* Takes the least node out and gives it; NULL when the heap is empty. */
np_HeapNode *np_heap_pop(np_Heap *h);

/* Lends the least node and stores its key if `key` is not NULL; or NULL. */
static inline np_HeapNode *np_heap_min(const np_Heap *h, uint64_t *key) {
  if (h->count == 0) return NULL;
  if (key != NULL) *key = h->entry[h->gone + 1].key;
  return h->entry[h->gone + 1].node;
}

/* 1 if `node` is in a heap, else 0. */
static inline int np_heap_test(const np_HeapNode *node) {
  return node->index != 0;
}

/* The key `node` was inserted with; it must be in `h`. */
static inline uint64_t np_heap_key(const np_Heap *h, const np_HeapNode *node) {
  return h->entry[node->index].key;
}

static inline void np_heap_init_node(np_HeapNode *node) { node->index = 0; }

#endif
