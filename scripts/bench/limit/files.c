/*
 * files.c - `files make DIR` writes FILES small files; `files DIR` is the limit
 * of reading them all at once: one job each on libuv's threads, which opens,
 * reads and closes. Prints the us that a file takes.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "bench.h"

#define FILES 10000
#define SIZE 1000

typedef struct Job {
  uv_work_t request; /* first */
  char path[256];
  char *data;
  ssize_t size;
} Job;

static void path_set(char *path, size_t size, const char *dir, int i) {
  snprintf(path, size, "%s/%d.txt", dir, i + 1);
}

static void make(const char *dir) {
  char path[256], data[SIZE];
  memset(data, 'x', sizeof(data));
  if (mkdir(dir, 0700) < 0) die(dir);
  for (int i = 0; i < FILES; i++) {
    path_set(path, sizeof(path), dir, i);
    FILE *f = fopen(path, "w");
    if (f == NULL || fwrite(data, 1, SIZE, f) != SIZE || fclose(f) != 0)
      die(path);
  }
}

static void run(uv_work_t *request) {
  Job *j = (Job *)request;
  struct stat st;
  int fd = open(j->path, O_RDONLY | O_CLOEXEC);
  j->size = -1;
  if (fd < 0) return;
  if (fstat(fd, &st) == 0 && (j->data = malloc((size_t)st.st_size + 1)))
    j->size = read(fd, j->data, (size_t)st.st_size + 1);
  close(fd);
}

static void on_done(uv_work_t *request, int status) {
  Job *j = (Job *)request;
  if (status < 0 || j->size != SIZE) die(j->path);
  free(j->data);
}

int main(int argc, char **argv) {
  if (argc == 3) make(argv[2]);
  if (argc != 2) return argc != 3;
  Job *jobs = calloc(FILES, sizeof(*jobs));
  if (jobs == NULL) die("calloc");
  double start = wall_s();
  for (int i = 0; i < FILES; i++) {
    path_set(jobs[i].path, sizeof(jobs[i].path), argv[1], i);
    if (uv_queue_work(uv_default_loop(), &jobs[i].request, run, on_done) < 0)
      die("uv_queue_work");
  }
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  report("files", (wall_s() - start) * 1e6 / FILES);
  free(jobs);
  return 0;
}
