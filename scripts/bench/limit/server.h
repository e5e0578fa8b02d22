/*
 * server.h - the server that a load program measures: started on core 0, asked
 * for its port, its processor time and its memory, ended with the program.
 *
 * The load itself runs on core 1, over loopback.
 */
#ifndef SERVER_H
#define SERVER_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PATIENCE_MS 5000 /* for the server to start, and for any answer */

static pid_t server_pid;

static inline void server_end(void) {
  if (server_pid <= 0) return;
  kill(server_pid, SIGKILL);
  (void)waitpid(server_pid, NULL, 0);
}

static inline void fail(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  server_end();
  exit(1);
}

static inline void pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  (void)sched_setaffinity(0, sizeof(set), &set); /* there may be one only */
}

/* Starts the server with its standard output in a pipe; returns the pipe. */
static inline int server_fork(char **argv) {
  int ends[2];
  pid_t parent = getpid();
  if (pipe(ends) < 0) fail("pipe");
  server_pid = fork();
  if (server_pid < 0) fail("fork");
  if (server_pid > 0) {
    close(ends[1]);
    return ends[0];
  }
  pin(0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  dup2(ends[1], 1);
  close(ends[0]);
  close(ends[1]);
  execvp(argv[0], argv);
  perror(argv[0]);
  _exit(127);
}

/* Starts the server; gives the port, which is its first line. */
static inline int server_start(char **argv) {
  char line[64];
  size_t n = 0;
  struct pollfd p = {server_fork(argv), POLLIN, 0};
  pin(1);
  while (n < sizeof(line) - 1 && memchr(line, '\n', n) == NULL) {
    ssize_t got = poll(&p, 1, PATIENCE_MS) == 1
                      ? read(p.fd, line + n, sizeof(line) - 1 - n)
                      : -1;
    if (got <= 0) fail("no port from the server");
    n += (size_t)got;
  }
  line[n] = '\0';
  return atoi(line);
}

/* The processor time of all the server's threads, in seconds. */
static inline double server_cpu(void) {
  char path[300];
  double sum = 0, ns;
  struct dirent *entry;
  snprintf(path, sizeof(path), "/proc/%d/task", (int)server_pid);
  DIR *dir = opendir(path);
  if (dir == NULL) fail("the server has ended");
  while ((entry = readdir(dir)) != NULL) {
    snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat",
             (int)server_pid, entry->d_name);
    FILE *f = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
    if (f == NULL) continue;
    if (fscanf(f, "%lf", &ns) == 1) sum += ns * 1e-9;
    fclose(f);
  }
  closedir(dir);
  return sum;
}

/* The memory that the server has now, in bytes. */
static inline double server_rss(void) {
  char path[64];
  double pages = 0;
  snprintf(path, sizeof(path), "/proc/%d/statm", (int)server_pid);
  FILE *f = fopen(path, "r");
  if (f == NULL || fscanf(f, "%*f %lf", &pages) != 1)
    fail("the server has ended");
  fclose(f);
  return pages * (double)sysconf(_SC_PAGESIZE);
}

/* A connection to the server, with TCP_NODELAY. */
static inline int server_connect(int port) {
  struct sockaddr_in to = {.sin_family = AF_INET};
  int yes = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  to.sin_port = htons((uint16_t)port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof(to)) < 0)
    fail("connect");
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  return s;
}

/* As many descriptors as we may have, for us and for the server. */
static inline void descriptors_raise(void) {
  struct rlimit most;
  if (getrlimit(RLIMIT_NOFILE, &most) < 0) return;
  most.rlim_cur = most.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &most); /* then fewer must do */
}

#endif
