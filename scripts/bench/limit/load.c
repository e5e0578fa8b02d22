/*
 * load.c - `load NAME SIZE CONNECTIONS WARM_MS SERVER ARGS...`: starts an echo
 * server and keeps one message of SIZE bytes in flight on every connection.
 * Prints thousands of messages a second (NAME) and the server's processor us
 * each (NAME.cpu), then ends the server. With SIZE 0 the connections send one
 * byte each and are idle then: prints what memory of the server each costs
 * (NAME). Bounded by WARM_MS and MEASURE_MS.
 */
#define _GNU_SOURCE
#include "server.h"

#define MEASURE_MS 500

typedef struct Load {
  char *message, *answer;
  size_t size;
  size_t *received; /* per connection, of the message in flight */
  int *sockets, connections, epoll;
  int check; /* while warming up, the bytes are compared as well */
} Load;

static void message_send(const Load *l, int i) {
  size_t sent = 0;
  struct pollfd p = {l->sockets[i], POLLOUT, 0};
  while (sent < l->size) {
    ssize_t n = send(l->sockets[i], l->message + sent, l->size - sent,
                     MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) fail("send");
    if (n < 0 && poll(&p, 1, PATIENCE_MS) != 1) fail("send");
    if (n > 0) sent += (size_t)n;
  }
}

static void connections_open(Load *l, int port) {
  for (int i = 0; i < l->connections; i++) {
    struct epoll_event e = {EPOLLIN, {.u32 = (uint32_t)i}};
    int s = l->sockets[i] = server_connect(port);
    fcntl(s, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, s, &e) < 0) fail("epoll_ctl");
  }
}

/* Takes what has come on connection `i`; 1 when its message is complete. */
static int message_receive(Load *l, int i) {
  size_t have = l->received[i];
  ssize_t n = recv(l->sockets[i], l->answer, l->size - have, 0);
  if (n < 0 && errno == EAGAIN) return 0;
  if (n <= 0) fail("recv");
  if (l->check && memcmp(l->answer, l->message + have, (size_t)n) != 0) {
    errno = EBADMSG;
    fail("echo");
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
    if (n <= 0) fail("no answer");
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
  double cpu = server_cpu(), wall = wall_s();
  long n = messages_exchange(l, MEASURE_MS);
  wall = wall_s() - wall;
  cpu = server_cpu() - cpu;
  snprintf(cpu_name, sizeof(cpu_name), "%s.cpu", name);
  report(name, (double)n / wall / 1e3);
  report(cpu_name, cpu * 1e6 / (double)n);
}

/* Connects, has each connection answered once, and leaves them idle. A few
 * come before, so that the server has all that it needs only once. */
static void idle_measure(Load *l, const char *name, int port) {
  double before = 0;
  char byte = 'x';
  int few = l->connections / 100;
  for (int i = 0; i < l->connections + few; i++) {
    if (i == few) before = server_rss();
    int s = server_connect(port);
    if (send(s, &byte, 1, MSG_NOSIGNAL) != 1 || recv(s, &byte, 1, 0) != 1)
      fail("no answer");
  }
  report(name, (server_rss() - before) / l->connections);
}

int main(int argc, char **argv) {
  if (argc < 6) return 2;
  Load l = {.size = (size_t)atol(argv[2]), .connections = atoi(argv[3])};
  if (l.connections < 1) return 2;
  l.message = malloc(l.size + 1);
  l.answer = malloc(l.size + 1);
  l.received = calloc((size_t)l.connections, sizeof(*l.received));
  l.sockets = calloc((size_t)l.connections, sizeof(*l.sockets));
  l.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (!l.message || !l.answer || !l.received || !l.sockets) fail("malloc");
  for (size_t i = 0; i < l.size; i++) l.message[i] = (char)(i * 31 % 251);

  descriptors_raise();
  int port = server_start(argv + 5);
  if (l.size == 0) {
    idle_measure(&l, argv[1], port);
  } else {
    connections_open(&l, port);
    measure(&l, argv[1], atof(argv[4]));
  }
  server_end();
  return 0;
}
