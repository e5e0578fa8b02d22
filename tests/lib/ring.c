/* ring.c - tests of lib/ring.h: against two numbers. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail; /* memory is out */

static void *test_malloc(size_t size) { return fail ? NULL : malloc(size); }

#define malloc test_malloc
#include "../../lib/ring.c"
#undef malloc

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

static void *pointer(size_t n) { return (void *)(uintptr_t)(n + 1); }

static int push(np_Ring *r, void *p) {
  if (np_ring_reserve(r, np_ring_count(r) + 1) < 0) return -1;
  np_ring_put(r, p);
  return 0;
}

/* Pointers 0, 1, 2.. go in; `out` have come out, `in` have gone in. */
static void random_life(uint32_t most, size_t start) {
  np_Ring r;
  size_t in = 0, out = 0, step;
  np_ring_init(&r);
  r.head = r.tail = start;
  for (step = 0; step < 100000; step++) {
    size_t count = in - out;
    CHECK(np_ring_count(&r) == count);
    fail = rnd(2) == 0;
    switch (rnd(16)) {
      case 0:
        if (np_ring_reserve(&r, count + 3) == 0) {
          fail = 1;
          for (; in - out < count + 3; in++)
            CHECK(push(&r, pointer(in)) == 0);
        } else {
          CHECK(fail);
        }
        break;
      default:
        if (rnd(most) < count) {
          CHECK(np_ring_pop(&r) == pointer(out));
          out++;
        } else if (push(&r, pointer(in)) == 0) {
          in++;
        } else {
          CHECK(fail);
        }
    }
    fail = 0;
  }
  while (out < in) CHECK(np_ring_pop(&r) == pointer(out)), out++;
  CHECK(np_ring_pop(&r) == NULL);
  CHECK(np_ring_reserve(&r, SIZE_MAX / 8) < 0);
  CHECK(np_ring_reserve(&r, SIZE_MAX) < 0);
  np_ring_free(&r);
  CHECK(r.slot == NULL);
  CHECK(push(&r, pointer(5)) == 0);
  CHECK(np_ring_pop(&r) == pointer(5));
  np_ring_free(&r);
}

int main(void) {
  random_life(2, 0);
  random_life(16, SIZE_MAX - 5);
  random_life(40, 0);
  random_life(3000, 12345);
  return failures > 0;
}
