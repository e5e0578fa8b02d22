/* heap.c - tests of lib/heap.h: against a list that is searched. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail; /* memory is out */

static void *test_realloc(void *block, size_t size) {
  return fail ? NULL : realloc(block, size);
}

#define realloc test_realloc
#include "../../lib/heap.c"
#undef realloc

static int failures;

#define CHECK(what)                                            \
  ((what) ? (void)0                                            \
          : (void)(failures++, printf("%s:%d: %s\n", __FILE__, \
                                      __LINE__, #what)))

static uint64_t seed = 42;

static uint32_t rnd(uint32_t n) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(seed >> 33) % n;
}

typedef struct Item {
  np_HeapNode node;
  uint64_t key;
  uint64_t when; /* it was inserted: what seq is without wrapping */
} Item;

static Item *first(Item *items, uint32_t n) {
  Item *best = NULL;
  uint32_t i;
  for (i = 0; i < n; i++) {
    Item *t = &items[i];
    if (!np_heap_test(&t->node)) continue;
    if (best == NULL || t->key < best->key ||
        (t->key == best->key && t->when < best->when))
      best = t;
  }
  return best;
}

static void random_life(uint32_t n, uint32_t keys, uint32_t start) {
  np_Heap h;
  Item *items = calloc(n, sizeof(Item));
  uint64_t key = 0, clock = 0;
  uint32_t step, inside = 0;
  np_heap_init(&h);
  h.seq = start;
  for (step = 0; step < 100 * n; step++) {
    Item *t = &items[rnd(n)], *least = first(items, n);
    CHECK(h.count == inside);
    CHECK(np_heap_min(&h, &key) == (least ? &least->node : NULL));
    if (least) CHECK(key == least->key);
    if (rnd(4) == 0) {
      CHECK(np_heap_pop(&h) == (least ? &least->node : NULL));
      if (least) CHECK(!np_heap_test(&least->node)), inside--;
    } else if (np_heap_test(&t->node)) {
      CHECK(np_heap_key(&h, &t->node) == t->key);
      if (rnd(2)) np_heap_remove(&h, &t->node), inside--;
    } else {
      t->key = rnd(8) == 0 ? UINT64_MAX - rnd(2) : rnd(keys);
      t->when = clock++;
      fail = rnd(3) == 0;
      if (np_heap_insert(&h, &t->node, t->key) == 0) inside++;
      else CHECK(fail && !np_heap_test(&t->node));
      fail = 0;
    }
  }
  np_heap_free(&h);
  CHECK(np_heap_min(&h, NULL) == NULL);
  free(items);
}

/* Keys that mostly rise, of which the first are taken, the last given up, and
 * seldom others; memory is out now and then. */
static void rising_life(uint32_t n, uint32_t steps, uint32_t seldom) {
  np_Heap h;
  Item *items = calloc(n, sizeof(Item)), *last = NULL;
  uint64_t key = 0, clock = 1;
  uint32_t inside = 0;
  np_heap_init(&h);
  while (steps-- > 0) {
    Item *t = &items[rnd(n)], *least = first(items, n);
    uint32_t what = rnd(8);
    int odd = rnd(seldom) == 0;
    CHECK(h.count == inside);
    CHECK(np_heap_min(&h, &key) == (least ? &least->node : NULL));
    if (least) CHECK(key == least->key);
    if (what < 2 || inside > n / 2) {
      CHECK(np_heap_pop(&h) == (least ? &least->node : NULL));
      if (least) inside--;
    } else if (what == 2 && last != NULL && np_heap_test(&last->node)) {
      np_heap_remove(&h, &last->node), inside--;
    } else if (np_heap_test(&t->node)) {
      CHECK(np_heap_key(&h, &t->node) == t->key);
      if (odd) np_heap_remove(&h, &t->node), inside--;
    } else {
      t->key = odd ? rnd(100) : clock / 3;
      t->when = clock++;
      fail = rnd(5) == 0;
      if (np_heap_insert(&h, &t->node, t->key) == 0) inside++, last = t;
      else CHECK(fail && !np_heap_test(&t->node));
      fail = 0;
    }
  }
  while (np_heap_pop(&h) != NULL) inside--;
  CHECK(inside == 0 && h.count == 0);
  np_heap_free(&h);
  free(items);
}

/* Many, in order, backwards and equal, come out in order. */
static void sorted(int mode) {
  enum { N = 30000 };
  np_Heap h;
  Item *items = calloc(N, sizeof(Item));
  uint32_t i;
  uint64_t key = 0, last = 0;
  np_heap_init(&h);
  for (i = 0; i < N; i++) {
    uint64_t keys[] = {i, N - i, 7, rnd(1000)};
    CHECK(np_heap_insert(&h, &items[i].node, keys[mode]) == 0);
  }
  for (i = 0; i < N; i++) {
    np_HeapNode *least = np_heap_min(&h, &key);
    CHECK(key >= last);
    if (mode == 0 || mode == 2) CHECK(least == &items[i].node);
    last = key;
    CHECK(np_heap_pop(&h) == least);
  }
  CHECK(np_heap_pop(&h) == NULL);
  np_heap_free(&h);
  free(items);
}

int main(void) {
  int mode;
  random_life(1, 2, 0);
  random_life(6, 3, UINT32_MAX - 100);
  random_life(100, 10, UINT32_MAX - 1000);
  random_life(300, 1000000, INT32_MAX - 1000);
  rising_life(20, 20000, 100);
  rising_life(200, 20000, 1000);
  rising_life(500, 20000, 1000000);
  for (mode = 0; mode < 4; mode++) sorted(mode);
  return failures > 0;
}
