/*
 * files.c - how many threads libuv has for files.
 *
 * They are the process's and all machines'. libuv asks the environment for
 * their number when it is given work for the first time: so the number is put
 * there, work is given, and the environment is as before, also for children.
 * Whether the threads were there already can only be seen.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm.h"

#define VARIABLE "UV_THREADPOOL_SIZE"
#define MOST_THREADS 1024 /* libuv's own limit */

/* How many threads the process has; -1 if the system does not tell. */
static int count_threads(void) {
  DIR *dir = opendir("/proc/self/task");
  struct dirent *entry;
  int n = 0;
  if (dir == NULL) return -1;
  while ((entry = readdir(dir)) != NULL) n += entry->d_name[0] != '.';
  (void)closedir(dir);
  return n;
}

static void on_work(uv_work_t *request) { (void)request; }

static int start_threads(void) {
  uv_loop_t loop;
  uv_work_t work;
  int err = uv_loop_init(&loop);
  if (err < 0) return err;
  /* It fails only without a function to run. */
  (void)uv_queue_work(&loop, &work, on_work, NULL);
  (void)uv_run(&loop, UV_RUN_DEFAULT); /* until it is done */
  (void)uv_loop_close(&loop);          /* nothing is open */
  return 0;
}

/* With another value of the variable, which is then what it was. */
static int start_as(const char *value) {
  const char *before = getenv(VARIABLE);
  char *kept = before != NULL ? strdup(before) : NULL;
  int err = UV_ENOMEM;
  if (before != NULL && kept == NULL) return err;
  if (setenv(VARIABLE, value, 1) == 0) err = start_threads();
  if (kept != NULL) (void)setenv(VARIABLE, kept, 1); /* it was there */
  else (void)unsetenv(VARIABLE);
  free(kept);
  return err;
}

int neap_set_file_threads(int n) {
  char text[16];
  int before = count_threads(), err;
  if (n < 1 || n > MOST_THREADS) return UV_EINVAL;
  (void)snprintf(text, sizeof text, "%d", n);
  err = start_as(text);
  if (err < 0 || before < 0) return err;
  return count_threads() < before + n ? UV_EALREADY : 0;
}
