/*
 * wheel.c - the limit of a timeout that is armed and then cancelled: a hashed
 * timer wheel with links inside the timers, 100,000 others pending.
 */
#include <stdint.h>

#include "bench.h"

#define SLOTS 4096
#define PENDING 100000
#define ROUNDS 10000000

typedef struct Timer {
  struct Timer *prev, *next;
  uint64_t when;
} Timer;

static void arm(Timer *wheel, Timer *t, uint64_t when) {
  Timer *slot = &wheel[when & (SLOTS - 1)];
  t->when = when;
  t->prev = slot->prev;
  t->next = slot;
  slot->prev->next = t;
  slot->prev = t;
}

static void cancel(Timer *t) {
  t->prev->next = t->next;
  t->next->prev = t->prev;
}

int main(void) {
  Timer *wheel = calloc(SLOTS, sizeof(*wheel));
  Timer *pending = calloc(PENDING, sizeof(*pending));
  Timer t;
  if (wheel == NULL || pending == NULL) die("calloc");
  for (int i = 0; i < SLOTS; i++) wheel[i].prev = wheel[i].next = &wheel[i];
  for (int i = 0; i < PENDING; i++) arm(wheel, &pending[i], (uint64_t)i * 7);
  double start = cpu_s();
  for (uint64_t i = 0; i < ROUNDS; i++) {
    arm(wheel, &t, 30000 + i / 1024);
    cancel(&t);
    __asm__ volatile("" ::: "memory"); /* or the pair would be optimised out */
  }
  report("timeout", (cpu_s() - start) * 1e9 / ROUNDS);
  free(pending);
  free(wheel);
  return 0;
}
