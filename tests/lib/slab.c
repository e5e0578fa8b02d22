/* slab.c - tests of lib/slab.h: a random life, sizes, memory running out. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Counts down to the allocation that fails; 0 never fails. */
static long fail_at;

static int failing(void) { return fail_at > 0 && --fail_at == 0; }

static void *test_realloc(void *block, size_t size) {
  if (fail_at < 0 || failing()) return NULL;
  return realloc(block, size);
}

#ifndef NP_SLAB_MALLOC
static void *test_mmap(void *at, size_t size, int prot, int flags, int fd,
                       off_t offset) {
  if (fail_at < 0 || failing()) return MAP_FAILED;
  return mmap(at, size, prot, flags, fd, offset);
}
#endif

/* The part itself, with those instead of the system's. */
#define realloc test_realloc
#define mmap test_mmap
#include "../../lib/slab.c"
#undef realloc
#undef mmap

static int failures;

#define CHECK(what)                                                   \
  ((what) ? (void)0                                                   \
          : (void)(failures++, printf("%s:%d: %s\n", __FILE__,        \
                                      __LINE__, #what)))

static uint64_t seed = 42;

static uint32_t rnd(uint32_t n) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(seed >> 33) % n;
}

typedef struct Block {
  unsigned char *at;
  size_t size;
  unsigned char fill;
} Block;

static void fill(Block *b) {
  b->fill = (unsigned char)rnd(256);
  memset(b->at, b->fill, b->size);
}

static int intact(const Block *b, size_t size) {
  size_t i;
  for (i = 0; i < size; i++)
    if (b->at[i] != b->fill) return 0;
  return 1;
}

static size_t any_size(void) {
  switch (rnd(8)) {
    case 0: return 1 + rnd(5000);
    case 1: return 1000 + rnd(50);
    case 2: case 3: return 1 + rnd(1100);
    default: return 1 + rnd(128);
  }
}

/* Gives a block a new size and checks what realloc promises. */
static void step(np_Slab *s, Block *b, size_t size, size_t *used) {
  size_t both = b->size < size ? b->size : size;
  void *at = np_slab_realloc(s, b->at, b->at ? b->size : rnd(9), size);
  if (size == 0) {
    CHECK(at == NULL);
  } else if (at == NULL) {
    CHECK(fail_at <= 0 && size > b->size);
    if (b->at) CHECK(intact(b, b->size));
    return;
  }
  *used += size - (b->at ? b->size : 0);
  CHECK(np_slab_used(s) == *used);
  CHECK((uintptr_t)at % 16 == 0);
  if (b->at && size > 0) {
    b->at = at;
    CHECK(intact(b, both));
  }
  b->at = at;
  b->size = size;
  if (at) fill(b);
}

/* `n` live blocks at most, `steps` changes, all freed in the end. */
static void random_life(uint32_t n, uint32_t steps, int drop) {
  np_Slab *s = np_slab_new();
  Block *blocks = calloc(n, sizeof(Block));
  size_t used = 0;
  uint32_t i;
  for (i = 0; i < steps; i++) {
    Block *b = &blocks[rnd(n)];
    step(s, b, rnd(3) == 0 ? 0 : any_size(), &used);
    if (rnd(steps / 4) == 0) np_slab_trim(s, rnd(2) * 1000000);
  }
  for (i = 0; i < n && drop; i++) {
    if (blocks[i].at) CHECK(intact(&blocks[i], blocks[i].size));
    step(s, &blocks[i], 0, &used);
  }
  if (drop) CHECK(np_slab_used(s) == 0);
  np_slab_free(s);
  free(blocks);
}

/* Every size up to beyond the limit, to every other size and back. */
static void all_sizes(void) {
  np_Slab *s = np_slab_new();
  size_t from, to, used = 0;
  for (from = 1; from <= NP_SLAB_MAX + 40; from += 3) {
    for (to = 1; to <= NP_SLAB_MAX + 40; to += 37) {
      Block b = {0};
      step(s, &b, from, &used);
      step(s, &b, to, &used);
      step(s, &b, from, &used);
      step(s, &b, 0, &used);
    }
  }
  CHECK(np_slab_used(s) == 0);
  CHECK(np_slab_realloc(s, NULL, 7, 0) == NULL);
  np_slab_free(s);
  np_slab_free(NULL);
}

#ifndef NP_SLAB_MALLOC
/* How much memory the regions of `s` have from the system. */
static size_t resident(np_Slab *base) {
  static unsigned char page[NP_SLAB_REGION / PAGE];
  size_t i, count = 0;
  Region *r;
  for (r = ((Slab *)(void *)base)->regions; r != NULL; r = r->next) {
    if (mincore(r, NP_SLAB_REGION, page) < 0) return 0;
    for (i = 0; i < NP_SLAB_REGION / PAGE; i++) count += page[i] & 1;
  }
  return count * PAGE;
}

/* The same block comes back, and one realloc'ed within its class stays. */
static void same_block(void) {
  np_Slab *s = np_slab_new();
  void *a = np_slab_alloc(s, 40), *b;
  CHECK(np_slab_realloc(s, a, 40, 33) == a);
  CHECK(np_slab_realloc(s, a, 33, 48) == a);
  np_slab_drop(s, a, 48);
  b = np_slab_alloc(s, 35);
  CHECK(a == b);
  np_slab_free(s);
}

/* Memory grows no more than blocks do, and falls after the peak. */
static void memory_returns(void) {
  enum { N = 200000, SIZE = 208, ALL = N * SIZE };
  np_Slab *s = np_slab_new();
  void **blocks = malloc(N * sizeof(void *));
  size_t i;
  int round;
  for (round = 0; round < 4; round++) {
    for (i = 0; i < N; i++)
      memset(blocks[i] = np_slab_alloc(s, SIZE), 1, SIZE);
    CHECK(resident(s) > ALL - NP_SLAB_START);
    CHECK(resident(s) < ALL / 100 * 102);
    for (i = 0; i < N; i++)
      np_slab_drop(s, blocks[i * 7919 % N], SIZE);
    if (round == 0) CHECK(resident(s) < ALL / 10);
    if (round == 3) CHECK(resident(s) > ALL / 2); /* it will be wanted again */
  }
  CHECK(np_slab_trim(s, ALL / 4) > ALL / 4);
  CHECK(resident(s) < ALL / 3);
  np_slab_trim(s, 0);
  CHECK(resident(s) < 200000);
  free(blocks);
  np_slab_free(s);
}

/* What falls free stays warm up to what is in use, or for what comes last. */
static void half_stays(void) {
  enum { N = 200000, SIZE = 208, ALL = N * SIZE };
  np_Slab *s = np_slab_new();
  void **blocks = malloc(N * sizeof(void *));
  size_t i;
  for (i = 0; i < N; i++)
    memset(blocks[i] = np_slab_alloc(s, SIZE), 1, SIZE);
  for (i = N / 2; i < N; i++) np_slab_drop(s, blocks[i], SIZE);
  CHECK(resident(s) > ALL / 100 * 95);
  for (i = N / 10; i < N / 2; i++) np_slab_drop(s, blocks[i], SIZE);
  CHECK(resident(s) < ALL / 3);
  for (i = N / 10; i < N / 2; i++)
    memset(blocks[i] = np_slab_alloc(s, SIZE), 1, SIZE);
  np_slab_finish(s);
  for (i = 0; i < N / 2; i++) np_slab_drop(s, blocks[i], SIZE);
  CHECK(resident(s) > ALL / 3);
  free(blocks);
  np_slab_free(s);
}

/* A small slab asks the system for nothing, and a block that it began with
 * comes back to it when there is more. */
static void small_stays_small(void) {
  np_Slab *s = np_slab_new();
  void *first = np_slab_alloc(s, 1000), *more;
  size_t size;
  for (size = 16; size <= NP_SLAB_MAX; size += 16)
    memset(np_slab_alloc(s, size), 1, size);
  CHECK(((Slab *)(void *)s)->regions == NULL);
  do more = np_slab_alloc(s, 1000);
  while (((Slab *)(void *)s)->regions == NULL);
  np_slab_drop(s, first, 1000);
  np_slab_drop(s, more, 1000);
  CHECK(np_slab_alloc(s, 1000) == more);
  CHECK(np_slab_alloc(s, 1000) == first);
  np_slab_free(s);
}

/* Shrinking gives a block even when the system has no more memory. */
static void shrinking_without_memory(void) {
  enum { N = 8 };
  np_Slab *s = np_slab_new();
  Block big[N] = {{0}}, small = {0};
  size_t used = 0, i;
  for (i = 0; i < N; i++) step(s, &big[i], 1500, &used);
  step(s, &small, 500, &used);
  fail_at = -1;
  for (i = 0; i < 100000; i++) /* until not a byte is left */
    if (np_slab_alloc(s, 100 + i % 800) == NULL && i > 20000) break;
  used = np_slab_used(s);
  for (i = 0; i < N; i++) {
    step(s, &big[i], 1000, &used);
    CHECK(big[i].at && big[i].size == 1000);
  }
  step(s, &small, 50, &used);
  CHECK(small.at && small.size == 50);
  for (i = 0; i < N; i++) step(s, &big[i], 0, &used);
  step(s, &small, 0, &used);
  fail_at = 0;
  np_slab_free(s);
}
#endif

/* Whichever allocation fails, nothing is lost or broken. */
static void each_failure(void) {
  enum { N = 300 };
  long n;
  for (n = 1; n < 60; n++) {
    np_Slab *s;
    Block blocks[N] = {{0}};
    size_t used = 0, i;
    s = np_slab_new();
    CHECK(s != NULL);
    fail_at = n;
    for (i = 0; i < 3 * N; i++) step(s, &blocks[rnd(N)], any_size(), &used);
    for (i = 0; i < N; i++) step(s, &blocks[i], 0, &used);
    CHECK(np_slab_used(s) == 0);
    fail_at = 0;
    np_slab_free(s);
  }
}

int main(void) {
  random_life(10, 20000, 1);
  random_life(1000, 100000, 1);
  random_life(20000, 300000, 1);
  all_sizes();
  each_failure();
#ifndef NP_SLAB_MALLOC
  random_life(5000, 50000, 0);
  same_block();
  memory_returns();
  half_stays();
  small_stays_small();
  shrinking_without_memory();
#endif
  return failures > 0;
}
