/*
 * tls.h - TLS on a stream: what lies between the socket and np_stream_fill.
 *
 * OpenSSL reads from a buffer and writes to one that all streams of the
 * machine share. Each call here finds them empty and leaves them empty.
 * So an idle stream has no buffer here either, and nothing in this file
 * waits. The handshake goes on whenever bytes come in, whoever waits for
 * them; those who wait for its end are woken by it.
 *
 * All of it is there without OpenSSL too, and then does nothing.
 */
#ifndef NP_TLS_H
#define NP_TLS_H

#include "context.h"
#include "openssl.h"
#include "stream.h"

/* The most to be given to np_tls_receive at once: with the part of a record
 * that OpenSSL has already, it decrypts to at most NP_STREAM_SPACE bytes. */
#define NP_TLS_READ ((size_t)48000)

typedef struct np_Tls {
  const struct np_Openssl *openssl;
  np_Context *context; /* one count of it */
  struct ssl_st *ssl;
  struct np_TlsWait *waits;
  struct np_TlsFailure *failure;
  char *session;       /* where its session is kept, or NULL */
  uint8_t done;        /* the handshake is */
  uint8_t failed;      /* OpenSSL must not be called any more */
  uint8_t got_end;     /* close_notify came */
  uint8_t sent_end;    /* and was sent */
} np_Tls;

/*
 * Decrypts `n` bytes that came from the socket, at most NP_TLS_READ, to
 * net->space, and sends what OpenSSL has to say. Gives the number of bytes
 * there; *end is 0 or why nothing more comes.
 */
size_t np_tls_receive(np_Stream *s, const char *bytes, size_t n, int *end);

/* The socket ended with `why`: what that means for the stream. */
int np_tls_ended(np_Stream *s, int why);

/* 1 if the handshake is done, or there is none. */
static inline int np_tls_done(const np_Stream *s) {
  return s->tls == NULL || s->tls->done;
}

/* Parks the task until the handshake is done (0) or has failed. */
int np_tls_await(lua_State *L, np_Stream *s, neap_Done done);

/*
 * Encrypts: the bytes to send are lent in *out until np_tls_forget, which
 * must come before anything else happens. 0, or a code, and nothing is lent.
 */
int np_tls_encrypt(np_Stream *s, const uv_buf_t *bufs, int n, uv_buf_t *out);
void np_tls_forget(np_Stream *s);

/* Sends close_notify if that can be done now. */
void np_tls_end(np_Stream *s);

/* The stream was closed: frees its np_Tls. */
void np_tls_close(np_Stream *s);

/* Raises the error of the code, which may be NP_ETLS. */
int np_tls_fail(lua_State *L, const np_Stream *s, int status,
                const char *what);

/*
 * Gives the stream TLS: a client for the host `name`, whose session is kept
 * under `key` (both may be NULL), or a server, as the context is. 0, or a
 * code; NP_ETLS if the name is none.
 */
int np_tls_attach(np_Stream *s, np_Context *c, const char *name,
                  const char *key);

/* core.tls_start(stream, context, server_hostname, session) */
int np_net_tls_start(lua_State *L);

/* core.tls_info(stream) -> table, or nothing if it has no TLS (yet) */
int np_net_tls_info(lua_State *L);

extern const neap_Async np_tls_ops[];

/* trust.c: core.tls_trust() reads whom the system trusts, on a thread */
extern const neap_Async np_trust_ops[];

#endif
