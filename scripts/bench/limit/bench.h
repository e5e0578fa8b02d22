/*
 * bench.h - clocks, memory and the report, for the limit programs.
 *
 * A limit program does what neap must do with as little as possible between
 * Lua, libuv and the processor. It prints lines `name value`, which run.lua
 * reads. Time is the processor's where nothing sleeps: it forgives neighbours.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double clock_s(clockid_t id) {
  struct timespec t;
  (void)clock_gettime(id, &t); /* both clocks used here always exist */
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline double wall_s(void) { return clock_s(CLOCK_MONOTONIC); }
static inline double cpu_s(void) { return clock_s(CLOCK_PROCESS_CPUTIME_ID); }

static inline void report(const char *name, double value) {
  printf("%s %.6g\n", name, value);
  fflush(stdout);
}

static inline void die(const char *what) {
  perror(what);
  exit(1);
}

/* The most memory this process has had, in bytes; getrusage's figure would
 * be the parent's if that was the larger one. */
static inline double peak_rss(void) {
  char line[128];
  double kib = 0;
  FILE *f = fopen("/proc/self/status", "r");
  if (f == NULL) return 0;
  while (fgets(line, sizeof(line), f) != NULL)
    if (sscanf(line, "VmHWM: %lf", &kib) == 1) break;
  fclose(f);
  return kib * 1024;
}

static inline int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static inline double median(double *values, int n) {
  qsort(values, (size_t)n, sizeof(*values), by_value);
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

#endif
