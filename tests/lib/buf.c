/* buf.c - tests of lib/buf.h: against a long array with two marks. */
#define _GNU_SOURCE
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail; /* memory is out */

static void *test_malloc(size_t size) { return fail ? NULL : malloc(size); }

static void *test_realloc(void *block, size_t size) {
  return fail ? NULL : realloc(block, size);
}

#define malloc test_malloc
#define realloc test_realloc
#include "../../lib/buf.c"
#undef malloc
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

enum { ALL = 1 << 22 };

/* The bytes from `out` to `in` of `all` are what should be inside. */
static void random_life(const char *all, uint32_t most) {
  np_Buf b;
  size_t in = 0, out = 0, n;
  np_buf_init(&b);
  while (in + 2 * most < ALL) {
    CHECK(np_buf_size(&b) == in - out);
    if (rnd(16) == 0 && in > out)
      CHECK(memcmp(np_buf_data(&b), all + out, in - out) == 0);
    n = rnd(most);
    fail = rnd(4) == 0;
    switch (rnd(6)) {
      case 0: case 1:
        if (np_buf_append(&b, all + in, n) == 0) in += n;
        else CHECK(fail);
        break;
      case 2: {
        char *room = np_buf_reserve(&b, n);
        if (room == NULL) {
          CHECK(fail);
          break;
        }
        fail = 1;
        CHECK(np_buf_room(&b) >= n);
        CHECK(np_buf_reserve(&b, n) == room);
        memcpy(room, all + in, n);
        np_buf_commit(&b, n / 2);
        np_buf_commit(&b, n - n / 2);
        in += n;
        break;
      }
      case 3:
        if (rnd(20) > 0) break;
        np_buf_clear(&b);
        out = in;
        break;
      default:
        if (n > in - out) n = in - out;
        np_buf_consume(&b, n);
        out += n;
    }
    fail = 0;
    if (in == out) CHECK(b.cap <= NP_BUF_KEEP);
  }
  np_buf_free(&b);
  CHECK(np_buf_size(&b) == 0 && np_buf_data(&b) == NULL);
}

/* A reader that always leaves something makes each byte move only once. */
static void compaction(const char *all) {
  np_Buf b;
  int i;
  np_buf_init(&b);
  CHECK(np_buf_append(&b, all, 100) == 0);
  for (i = 0; i < 100000; i++) {
    CHECK(np_buf_append(&b, all, 1000) == 0);
    np_buf_consume(&b, 1000);
  }
  CHECK(b.cap <= 4096);
  np_buf_free(&b);
}

static void edges(void) {
  np_Buf b;
  np_buf_init(&b);
  CHECK(np_buf_append(&b, NULL, 0) == 0);
  CHECK(np_buf_reserve(&b, SIZE_MAX) == NULL);
  fail = 1;
  CHECK(np_buf_append(&b, "x", 1) == -1);
  fail = 0;
  CHECK(np_buf_reserve(&b, 0) != NULL);
  CHECK(np_buf_append(&b, "\0x", 2) == 0);
  CHECK(np_buf_reserve(&b, SIZE_MAX) == NULL);
  CHECK(np_buf_size(&b) == 2 && memcmp(np_buf_data(&b), "\0x", 2) == 0);
  np_buf_clear(&b);
  np_buf_clear(&b);
  CHECK(np_buf_size(&b) == 0);
  np_buf_free(&b);
  np_buf_free(&b);
}

int main(void) {
  char *all = malloc(ALL);
  size_t i;
  for (i = 0; i < ALL; i++) all[i] = (char)rnd(256);
  random_life(all, 10);
  random_life(all, 3000);
  random_life(all, 100000);
  compaction(all);
  edges();
  free(all);
  return failures > 0;
}
