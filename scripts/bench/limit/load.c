/*
 * load.c - `load NAME SIZE CONNECTIONS WARM_MS SERVER ARGS...`: starts an echo
 * server on core 0, reads its port from its first line, and from core 1 keeps
 * one message of SIZE bytes in flight on every connection. Prints thousands of
 * messages a second (NAME) and the server's processor us each (NAME.cpu), then
 * ends the server. Loopback only; bounded by WARM_MS and MEASURE_MS.
 */
#define _GNU_SOURCE
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
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define MEASURE_MS 500
#define PATIENCE_MS 5000 /* for the server to start, and for any answer */

typedef struct Load {
  char *message, *answer;
  size_t size;
  size_t *received; /* per connection, of the message in flight */
  int *sockets, connections, epoll;
  pid_t server;
  int check; /* while warming up, the bytes are compared as well */
} Load;

static void fail(const Load *l, const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  if (l->server > 0) kill(l->server, SIGKILL);
  exit(1);
}

static void pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  (void)sched_setaffinity(0, sizeof(set), &set); /* there may be one only */
}

/* Starts the server with its standard output in a pipe; returns the pipe. */
static int server_start(Load *l, char **argv) {
  int ends[2];
  pid_t parent = getpid();
  if (pipe(ends) < 0) fail(l, "pipe");
  l->server = fork();
  if (l->server < 0) fail(l, "fork");
  if (l->server > 0) {
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

static int server_port(Load *l, int from) {
  char line[64];
  size_t n = 0;
  struct pollfd p = {from, POLLIN, 0};
  while (n < sizeof(line) - 1 && memchr(line, '\n', n) == NULL) {
    ssize_t got = poll(&p, 1, PATIENCE_MS) == 1
                      ? read(from, line + n, sizeof(line) - 1 - n)
                      : -1;
    if (got <= 0) fail(l, "no port from the server");
    n += (size_t)got;
  }
  line[n] = '\0';
  return atoi(line);
}

/* The processor time of all the server's threads, in seconds. */
static double server_cpu(const Load *l) {
  char path[300];
  double sum = 0, ns;
  struct dirent *entry;
  snprintf(path, sizeof(path), "/proc/%d/task", (int)l->server);
  DIR *dir = opendir(path);
  if (dir == NULL) fail(l, "the server has ended");
  while ((entry = readdir(dir)) != NULL) {
    snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)l->server,
             entry->d_name);
    FILE *f = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
    if (f == NULL) continue;
    if (fscanf(f, "%lf", &ns) == 1) sum += ns * 1e-9;
    fclose(f);
  }
  closedir(dir);
  return sum;
}

static void message_send(const Load *l, int i) {
  size_t sent = 0;
  struct pollfd p = {l->sockets[i], POLLOUT, 0};
  while (sent < l->size) {
    ssize_t n = send(l->sockets[i], l->message + sent, l->size - sent,
                     MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) fail(l, "send");
    if (n < 0 && poll(&p, 1, PATIENCE_MS) != 1) fail(l, "send");
    if (n > 0) sent += (size_t)n;
  }
}

static void connections_open(Load *l, int port) {
  struct sockaddr_in to = {.sin_family = AF_INET};
  int yes = 1;
  to.sin_port = htons((uint16_t)port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < l->connections; i++) {
    struct epoll_event e = {EPOLLIN, {.u32 = (uint32_t)i}};
    int s = l->sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof(to)) < 0)
      fail(l, "connect");
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    fcntl(s, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, s, &e) < 0) fail(l, "epoll_ctl");
  }
}

/* Takes what has come on connection `i`; 1 when its message is complete. */
static int message_receive(Load *l, int i) {
  size_t have = l->received[i];
  ssize_t n = recv(l->sockets[i], l->answer, l->size - have, 0);
  if (n < 0 && errno == EAGAIN) return 0;
  if (n <= 0) fail(l, "recv");
  if (l->check && memcmp(l->answer, l->message + have, (size_t)n) != 0) {
    errno = EBADMSG;
    fail(l, "echo");
  }
  l->received[i] = (have + (size_t)n) % l->size;
  return l->received[i] == 0;
}

/* Answers every complete message with the next one for `ms`; returns how many
 * were complete. */
static long messages_exchange(Load *l, double ms) {
  struct epoll_event events[256];
  long count = 0;
  for (double end = wall_s() + ms / 1e3; wall_s() < end;) {
    int n = epoll_wait(l->epoll, events, 256, PATIENCE_MS);
    if (n == 0) errno = ETIMEDOUT;
    if (n <= 0) fail(l, "no answer");
    for (int e = 0; e < n; e++) {
      int i = (int)events[e].data.u32;
      if (!message_receive(l, i)) continue;
      message_send(l, i);
      count++;
    }
  }
  return count;
}

static void measure(Load *l, const char *name, double warm_ms) {
  char cpu_name[64];
  for (int i = 0; i < l->connections; i++) message_send(l, i);
  l->check = 1;
  (void)messages_exchange(l, warm_ms);
  l->check = 0;
  double cpu = server_cpu(l), wall = wall_s();
  long n = messages_exchange(l, MEASURE_MS);
  wall = wall_s() - wall;
  cpu = server_cpu(l) - cpu;
  snprintf(cpu_name, sizeof(cpu_name), "%s.cpu", name);
  report(name, (double)n / wall / 1e3);
  report(cpu_name, cpu * 1e6 / (double)n);
}

int main(int argc, char **argv) {
  if (argc < 6) return 2;
  Load l = {.size = (size_t)atol(argv[2]), .connections = atoi(argv[3])};
  if (l.size < 1 || l.connections < 1) return 2;
  l.message = malloc(l.size);
  l.answer = malloc(l.size);
  l.received = calloc((size_t)l.connections, sizeof(*l.received));
  l.sockets = calloc((size_t)l.connections, sizeof(*l.sockets));
  l.epoll = epoll_create1(0);
  if (!l.message || !l.answer || !l.received || !l.sockets) fail(&l, "malloc");
  for (size_t i = 0; i < l.size; i++) l.message[i] = (char)(i * 31 % 251);

  int port = server_port(&l, server_start(&l, argv + 5));
  pin(1);
  connections_open(&l, port);
  measure(&l, argv[1], atof(argv[4]));
  kill(l.server, SIGKILL);
  (void)waitpid(l.server, NULL, 0);
  return 0;
}
