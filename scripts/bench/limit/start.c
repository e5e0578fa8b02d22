/*
 * start.c - `start N COMMAND ARGS...`: runs a command N times and prints the
 * median ms from spawn to exit, and the most memory it had, in MB.
 */
#define _GNU_SOURCE
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "bench.h"

extern char **environ;

/* ru_maxrss starts at what the parent had, which here is less than any
 * interpreter needs. */
static double run_ms(char **argv, long *kib) {
  struct rusage usage;
  int status;
  pid_t pid;
  double start = wall_s();
  if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0)
    die(argv[0]);
  if (wait4(pid, &status, 0, &usage) != pid || status != 0) die(argv[0]);
  if (usage.ru_maxrss > *kib) *kib = usage.ru_maxrss;
  return (wall_s() - start) * 1e3;
}

int main(int argc, char **argv) {
  int n = argc > 2 ? atoi(argv[1]) : 0;
  if (n < 1) return 2;
  double *ms = calloc((size_t)n, sizeof(*ms));
  long kib = 0;
  if (ms == NULL) die("calloc");
  for (int i = 0; i < n; i++) ms[i] = run_ms(argv + 2, &kib);
  report("start", median(ms, n));
  report("start.rss", (double)kib / 1024);
  free(ms);
  return 0;
}
