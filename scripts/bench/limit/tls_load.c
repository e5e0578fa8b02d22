/*
 * tls_load.c - `tls_load NAME SIZE CONNECTIONS WARM_MS SERVER ARGS...`: as
 * load.c, through TLS. With SIZE 0 it makes one full handshake after the other
 * instead, each with one byte echoed, and prints the server's processor us
 * each (NAME). The certificate is not verified.
 */
#define _GNU_SOURCE
#include <openssl/ssl.h>

#include "server.h"

#define MEASURE_MS 500

typedef struct Load {
  char *message, *answer;
  size_t size;
  size_t *received; /* per connection, of the message in flight */
  SSL **connections;
  int count, epoll;
  SSL_CTX *context;
} Load;

static SSL *connection_open(Load *l, int port) {
  int s = server_connect(port);
  SSL *ssl = SSL_new(l->context);
  if (ssl == NULL || SSL_set_fd(ssl, s) != 1 || SSL_connect(ssl) != 1)
    fail("handshake");
  return ssl;
}

static void connections_open(Load *l, int port) {
  for (int i = 0; i < l->count; i++) {
    struct epoll_event e = {EPOLLIN, {.u32 = (uint32_t)i}};
    l->connections[i] = connection_open(l, port);
    int s = SSL_get_fd(l->connections[i]);
    fcntl(s, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, s, &e) < 0) fail("epoll_ctl");
  }
}

static void message_send(Load *l, int i) {
  SSL *ssl = l->connections[i];
  struct pollfd p = {SSL_get_fd(ssl), POLLOUT, 0};
  int n;
  while ((n = SSL_write(ssl, l->message, (int)l->size)) != (int)l->size)
    if (SSL_get_error(ssl, n) != SSL_ERROR_WANT_WRITE ||
        poll(&p, 1, PATIENCE_MS) != 1)
      fail("send");
}

/* Takes what has come on connection `i`; 1 when its message is complete. */
static int message_receive(Load *l, int i) {
  SSL *ssl = l->connections[i];
  int n;
  while ((n = SSL_read(ssl, l->answer, (int)(l->size - l->received[i]))) > 0) {
    if (memcmp(l->answer, l->message + l->received[i], (size_t)n) != 0) {
      errno = EBADMSG;
      fail("echo");
    }
    l->received[i] += (size_t)n;
    if (l->received[i] < l->size) continue;
    l->received[i] = 0;
    return 1;
  }
  if (SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ) fail("recv");
  return 0;
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
  for (int i = 0; i < l->count; i++) message_send(l, i);
  (void)messages_exchange(l, warm_ms);
  double cpu = server_cpu(), wall = wall_s();
  long n = messages_exchange(l, MEASURE_MS);
  wall = wall_s() - wall;
  cpu = server_cpu() - cpu;
  snprintf(cpu_name, sizeof(cpu_name), "%s.cpu", name);
  report(name, (double)n / wall / 1e3);
  report(cpu_name, cpu * 1e6 / (double)n);
}

static long handshakes(Load *l, int port, double ms) {
  long count = 0;
  char byte = 'x';
  for (double end = wall_s() + ms / 1e3; wall_s() < end; count++) {
    SSL *ssl = connection_open(l, port);
    if (SSL_write(ssl, &byte, 1) != 1 || SSL_read(ssl, &byte, 1) != 1)
      fail("no answer");
    (void)SSL_shutdown(ssl);
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
  }
  return count;
}

static void handshakes_measure(Load *l, const char *name, int port,
                               double warm_ms) {
  (void)handshakes(l, port, warm_ms);
  double cpu = server_cpu();
  long n = handshakes(l, port, MEASURE_MS);
  report(name, (server_cpu() - cpu) * 1e6 / (double)n);
}

int main(int argc, char **argv) {
  if (argc < 6) return 2;
  Load l = {.size = (size_t)atol(argv[2]), .count = atoi(argv[3])};
  if (l.count < 1) return 2;
  signal(SIGPIPE, SIG_IGN);
  l.message = malloc(l.size + 1);
  l.answer = malloc(l.size + 1);
  l.received = calloc((size_t)l.count, sizeof(*l.received));
  l.connections = calloc((size_t)l.count, sizeof(SSL *));
  l.epoll = epoll_create1(EPOLL_CLOEXEC);
  l.context = SSL_CTX_new(TLS_client_method());
  if (!l.message || !l.answer || !l.received || !l.connections || !l.context)
    fail("malloc");
  for (size_t i = 0; i < l.size; i++) l.message[i] = (char)(i * 31 % 251);

  int port = server_start(argv + 5);
  if (l.size == 0) {
    handshakes_measure(&l, argv[1], port, atof(argv[4]));
  } else {
    connections_open(&l, port);
    measure(&l, argv[1], atof(argv[4]));
  }
  server_end();
  return 0;
}
