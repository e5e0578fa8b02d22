/*
 * tls_echo.c - `tls_echo CERT`: the limit of a TLS echo server on libuv and
 * OpenSSL in plain C. Bytes go through memory BIOs: what a read callback gets
 * is decrypted and encrypted at once and tried to be written at once. CERT is
 * a PEM file with certificate and key. Prints its port, serves until it is
 * killed.
 */
#define _GNU_SOURCE
#include <openssl/ssl.h>
#include <signal.h>
#include <string.h>
#include <uv.h>

#include "bench.h"

typedef struct Server {
  uv_tcp_t tcp;
  SSL_CTX *context;
  char cipher[65536], plain[65536];
} Server;

typedef struct Conn {
  uv_tcp_t tcp; /* first: the handle is the connection */
  uv_write_t request;
  SSL *ssl;
  BIO *in, *out;
  char *rest; /* what the socket did not take at once */
} Conn;

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf) {
  (void)size;
  Server *server = handle->loop->data;
  *buf = uv_buf_init(server->cipher, sizeof(server->cipher));
}

static void on_closed(uv_handle_t *handle) {
  Conn *c = (Conn *)handle;
  SSL_free(c->ssl);
  free(c->rest);
  free(c);
}

static void conn_close(Conn *c) {
  if (!uv_is_closing((uv_handle_t *)c)) uv_close((uv_handle_t *)c, on_closed);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void on_written(uv_write_t *request, int status) {
  Conn *c = (Conn *)request->handle;
  free(c->rest);
  c->rest = NULL;
  if (status < 0)
    conn_close(c);
  else
    (void)uv_read_start((uv_stream_t *)c, on_alloc, on_read);
}

/* Queues what is left, and does not read on until it is gone. */
static int write_rest(Conn *c, const char *data, size_t n) {
  uv_buf_t buf = uv_buf_init(c->rest = malloc(n), (unsigned)n);
  if (c->rest == NULL) return UV_ENOMEM;
  memcpy(c->rest, data, n);
  (void)uv_read_stop((uv_stream_t *)c);
  return uv_write(&c->request, (uv_stream_t *)c, &buf, 1, on_written);
}

/* Sends what OpenSSL has written: 0 or a code. */
static int flush(Conn *c) {
  char *data;
  long n = BIO_get_mem_data(c->out, &data);
  if (n <= 0) return 0;
  uv_buf_t buf = uv_buf_init(data, (unsigned)n);
  int sent = uv_try_write((uv_stream_t *)c, &buf, 1), err = 0;
  if (sent < 0 && sent != UV_EAGAIN) return sent;
  if (sent < 0) sent = 0;
  if (sent < n) err = write_rest(c, data + sent, (size_t)(n - sent));
  (void)BIO_reset(c->out);
  return err;
}

/* Sends back all that can be read: 1 unless the connection has ended. If the
 * client said so, it is answered. */
static int echo(Conn *c, Server *server) {
  int n, error;
  while ((n = SSL_read(c->ssl, server->plain, sizeof(server->plain))) > 0)
    if (SSL_write(c->ssl, server->plain, n) != n) return 0;
  error = SSL_get_error(c->ssl, n);
  if (error == SSL_ERROR_ZERO_RETURN) (void)SSL_shutdown(c->ssl);
  return flush(c) == 0 && error == SSL_ERROR_WANT_READ;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  Conn *c = (Conn *)stream;
  if (n == 0) return;
  if (n < 0 || BIO_write(c->in, buf->base, (int)n) != (int)n ||
      !echo(c, stream->loop->data))
    conn_close(c);
}

static void on_connection(uv_stream_t *stream, int status) {
  Server *server = stream->loop->data;
  Conn *c = calloc(1, sizeof(*c));
  if (status < 0 || c == NULL) die("connection");
  (void)uv_tcp_init(stream->loop, &c->tcp);
  c->ssl = SSL_new(server->context);
  c->in = BIO_new(BIO_s_mem());
  c->out = BIO_new(BIO_s_mem());
  if (c->ssl == NULL || c->in == NULL || c->out == NULL) die("SSL_new");
  SSL_set_bio(c->ssl, c->in, c->out);
  SSL_set_accept_state(c->ssl);
  if (uv_accept(stream, (uv_stream_t *)c) < 0) {
    conn_close(c);
    return;
  }
  (void)uv_tcp_nodelay(&c->tcp, 1);
  (void)uv_read_start((uv_stream_t *)c, on_alloc, on_read);
}

static void context_open(Server *server, const char *cert) {
  SSL_CTX *context = server->context = SSL_CTX_new(TLS_server_method());
  if (context == NULL) die("SSL_CTX_new");
  (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  (void)SSL_CTX_set_num_tickets(context, 1);
  if (SSL_CTX_use_certificate_chain_file(context, cert) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, cert, SSL_FILETYPE_PEM) != 1)
    die(cert);
}

int main(int argc, char **argv) {
  static Server server;
  struct sockaddr_in at;
  int size = sizeof(at);
  uv_loop_t *loop = uv_default_loop();
  if (argc != 2) return 2;
  signal(SIGPIPE, SIG_IGN);
  context_open(&server, argv[1]);
  loop->data = &server;
  uv_tcp_init(loop, &server.tcp);
  uv_ip4_addr("127.0.0.1", 0, &at);
  uv_tcp_bind(&server.tcp, (struct sockaddr *)&at, 0);
  if (uv_listen((uv_stream_t *)&server.tcp, 1024, on_connection) < 0)
    die("listen");
  uv_tcp_getsockname(&server.tcp, (struct sockaddr *)&at, &size);
  printf("%d\n", ntohs(at.sin_port));
  fflush(stdout);
  return uv_run(loop, UV_RUN_DEFAULT);
}
