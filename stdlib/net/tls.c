/*
 * tls.c - TLS on a stream: see tls.h.
 *
 * Options and defaults are in tls.lua, certificates in context.c.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls.h"

#if NP_HAVE_OPENSSL

#define RECORD ((size_t)16 << 10)    /* the most in one */
#define SPARE ((size_t)1 << 20)      /* a larger buffer is given back */

/* A task that waits for the end of the handshake. Those who stopped waiting
 * stay here until then. */
typedef struct np_TlsWait {
  neap_Wait wait; /* first */
  const np_Stream *stream;
  struct np_TlsWait *next;
} Wait;

typedef struct np_TlsFailure {
  char code[64];
  char reason[192];
} Failure;

/* In the order in which they came, which the list has backwards. */
static void waits_wake(np_Tls *t, int status) {
  Wait *first = NULL, *w;
  while ((w = t->waits) != NULL) {
    t->waits = w->next;
    w->next = first;
    first = w;
  }
  while ((w = first) != NULL) {
    first = w->next;
    (void)neap_wake(&w->wait, status);
    free(w);
  }
}

/* == Failures ========================================================== */

static void failed(np_Tls *t, const char *code, const char *reason) {
  t->failed = 1;
  if (t->failure != NULL) return;
  t->failure = calloc(1, sizeof *t->failure);
  if (t->failure == NULL) return;
  (void)snprintf(t->failure->code, sizeof t->failure->code, "%s", code);
  (void)snprintf(t->failure->reason, sizeof t->failure->reason, "%s", reason);
}

static const char *verify_code(long result) {
  switch (result) {
  case X509_V_ERR_CERT_HAS_EXPIRED: return "CERT_HAS_EXPIRED";
  case X509_V_ERR_CERT_NOT_YET_VALID: return "CERT_NOT_YET_VALID";
  case X509_V_ERR_HOSTNAME_MISMATCH: return "HOSTNAME_MISMATCH";
  case X509_V_ERR_IP_ADDRESS_MISMATCH: return "IP_ADDRESS_MISMATCH";
  case X509_V_ERR_CERT_REVOKED: return "CERT_REVOKED";
  case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
  case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: return "SELF_SIGNED_CERT";
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
  case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: return "UNKNOWN_ISSUER";
  default: return "CERTIFICATE_VERIFY_FAILED";
  }
}

static void verify_failed(np_Tls *t, long result) {
  char text[160];
  (void)snprintf(text, sizeof text, "certificate verify failed: %s",
                 t->openssl->X509_verify_cert_error_string(result));
  failed(t, verify_code(result), text);
}

/* OpenSSL's own reason, "wrong version number"; the code spelled after it. */
static void openssl_failed(np_Tls *t) {
  const np_Openssl *o = t->openssl;
  unsigned long error = o->ERR_peek_error();
  const char *reason = o->ERR_reason_error_string(error);
  long result = o->SSL_get_verify_result(t->ssl);
  char code[64], *at = code;
  if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
      ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED &&
      result != X509_V_OK) {
    verify_failed(t, result);
    return;
  }
  if (reason == NULL) reason = "the connection failed";
  for (const char *c = reason; *c != '\0' && at < code + sizeof code - 1; c++)
    *at++ = isalnum((unsigned char)*c) ? (char)toupper((unsigned char)*c)
                                       : '_';
  *at = '\0';
  failed(t, code, reason);
}

int np_tls_fail(lua_State *L, const np_Stream *s, int status,
                const char *what) {
  const Failure *f = s->tls != NULL ? s->tls->failure : NULL;
  if (status != NP_ETLS) return neap_fail(L, status, "%s", what);
  if (s->tls == NULL) return neap_fail(L, NEAP_ECLOSED, "%s", what);
  if (f == NULL) return neap_fail(L, UV_ENOMEM, "%s", what);
  return neap_raise(L, "TLSError", f->code, "%s: %s", what, f->reason);
}

/* OpenSSL looks at what failed before. Asking is much cheaper than clearing,
 * which goes through all the places that it has for errors. */
static void errors_clear(const np_Openssl *o) {
  if (o->ERR_peek_error() != 0) o->ERR_clear_error();
}

/* == The shared buffers ================================================ */

/* A memory BIO that is told to reset itself clears all its memory; one that
 * is given its buffer again begins anew as well. */
static void buffer_set(const np_Openssl *o, BIO *bio, BUF_MEM *buffer) {
  (void)o->BIO_ctrl(bio, BIO_C_SET_BUF_MEM, BIO_NOCLOSE, buffer);
}

/* Lends what is to be read: nothing is copied until OpenSSL reads it. */
static void input_set(np_Openssl *o, const char *bytes, size_t n) {
  o->input = (BUF_MEM){.length = n, .max = n, .data = (char *)bytes};
  buffer_set(o, o->in, &o->input);
}

static void output_forget(np_Openssl *o) {
  if (o->output->max > SPARE) {
    BUF_MEM *fresh = o->BUF_MEM_new();
    if (fresh != NULL) {
      o->BUF_MEM_free(o->output);
      o->output = fresh;
    }
  }
  o->output->length = 0;
  buffer_set(o, o->out, o->output);
}

void np_tls_forget(np_Stream *s) { output_forget(s->net->openssl); }

/* Sends what OpenSSL has to say on its own. */
static void flush(np_Stream *s, int may_wait) {
  const BUF_MEM *output = s->net->openssl->output;
  if (output->length == 0) return;
  np_stream_send(s, output->data, output->length, may_wait);
  np_tls_forget(s);
}

/* == Receiving ========================================================= */

/* OpenSSL gave `result`, which is no success: 1 if that means failure. */
static int is_failure(np_Tls *t, int result) {
  switch (t->openssl->SSL_get_error(t->ssl, result)) {
  case SSL_ERROR_WANT_READ: return 0;
  case SSL_ERROR_ZERO_RETURN: t->got_end = 1; return 0;
  default: openssl_failed(t); return 1;
  }
}

static void handshake(np_Tls *t) {
  int result = t->openssl->SSL_do_handshake(t->ssl);
  if (result == 1)
    t->done = 1;
  else
    (void)is_failure(t, result);
}

static size_t decrypt(np_Tls *t, char *to, size_t room) {
  size_t got = 0;
  int n;
  while (got < room) {
    n = t->openssl->SSL_read(t->ssl, to + got, (int)(room - got));
    if (n <= 0) {
      (void)is_failure(t, n);
      break;
    }
    got += (size_t)n;
  }
  return got;
}

/* A client's session can be resumed once a ticket has come. */
static void session_keep(np_Tls *t) {
  const np_Openssl *o = t->openssl;
  SSL_SESSION *session = o->SSL_get_session(t->ssl);
  if (session == NULL || !o->SSL_SESSION_is_resumable(session)) return;
  if (o->SSL_SESSION_up_ref(session) != 1) return;
  if (!np_context_keep(t->context, t->session, session))
    o->SSL_SESSION_free(session);
  free(t->session);
  t->session = NULL;
}

size_t np_tls_receive(np_Stream *s, const char *bytes, size_t n, int *end) {
  np_Tls *t = s->tls;
  np_Openssl *o = s->net->openssl;
  int was_done = t->done;
  size_t got = 0;
  if (!t->failed) {
    errors_clear(o);
    input_set(o, bytes, n);
    if (!t->done) handshake(t);
    if (t->done) got = decrypt(t, s->net->space, NP_STREAM_SPACE);
    input_set(o, NULL, 0);
    flush(s, 1);
    if (t->done && t->session != NULL && !t->failed) session_keep(t);
    if (!was_done || t->failed) errors_clear(o);
  }
  *end = t->failed ? NP_ETLS : t->got_end ? UV_EOF : 0;
  if (t->failed && s->broken == 0) s->broken = NP_ETLS;
  if (t->done && !was_done) waits_wake(t, 0);
  return got;
}

int np_tls_ended(np_Stream *s, int why) {
  np_Tls *t = s->tls;
  if (why == UV_EOF && (!t->got_end || !t->done)) {
    failed(t, "UNEXPECTED_EOF",
           t->done ? "the peer ended without close_notify"
                   : "the peer ended during the handshake");
    why = NP_ETLS;
  }
  waits_wake(t, why);
  return why;
}

/* == Sending =========================================================== */

static int encrypt(np_Tls *t, const char *data, size_t size) {
  while (size > 0) {
    size_t step = size < ((size_t)1 << 30) ? size : (size_t)1 << 30;
    int n = t->openssl->SSL_write(t->ssl, data, (int)step);
    if (n <= 0) {
      (void)is_failure(t, n);
      if (t->failure == NULL) failed(t, "WRITE_FAILED", "nothing was written");
      return NP_ETLS;
    }
    data += n;
    size -= (size_t)n;
  }
  return 0;
}

/* Short strings share a record, of at most RECORD bytes, which they are
 * copied to. */
static int encrypt_all(np_Stream *s, const uv_buf_t *bufs, int n) {
  char *record = s->net->tls_space;
  size_t have = 0;
  int err = 0;
  for (int i = 0; i < n && err == 0; i++) {
    if (have + bufs[i].len > RECORD) {
      err = encrypt(s->tls, record, have);
      have = 0;
    }
    if (err == 0 && (bufs[i].len > RECORD || n == 1)) {
      err = encrypt(s->tls, bufs[i].base, bufs[i].len);
    } else if (err == 0) {
      memcpy(record + have, bufs[i].base, bufs[i].len);
      have += bufs[i].len;
    }
  }
  return err == 0 ? encrypt(s->tls, record, have) : err;
}

int np_tls_encrypt(np_Stream *s, const uv_buf_t *bufs, int n, uv_buf_t *out) {
  np_Tls *t = s->tls;
  int err;
  if (t->failed) return NP_ETLS;
  err = encrypt_all(s, bufs, n);
  if (err < 0) {
    errors_clear(t->openssl);
    s->broken = err;
    np_tls_forget(s);
    return err;
  }
  out->base = s->net->openssl->output->data;
  out->len = s->net->openssl->output->length;
  return 0;
}

static void end_send(np_Stream *s, int may_wait) {
  np_Tls *t = s->tls;
  if (t == NULL || !t->done || t->failed || t->sent_end) return;
  t->sent_end = 1;
  errors_clear(t->openssl);
  (void)t->openssl->SSL_shutdown(t->ssl); /* it has only to be written */
  errors_clear(t->openssl);
  flush(s, may_wait);
}

void np_tls_end(np_Stream *s) { end_send(s, 1); }

static void tls_free(np_Tls *t) {
  if (t->ssl != NULL) t->openssl->SSL_free(t->ssl);
  np_context_free(t->context);
  free(t->failure);
  free(t->session);
  free(t);
}

void np_tls_close(np_Stream *s) {
  np_Tls *t = s->tls;
  if (t == NULL) return;
  waits_wake(t, NEAP_ECLOSED);
  if (s->broken == 0 && !s->shut) end_send(s, 0);
  s->tls = NULL;
  tls_free(t);
}

/* == Lua's side ======================================================== */

static void wait_detail(const neap_Wait *w, char *text, size_t size) {
  np_stream_detail(((const Wait *)w)->stream, text, size);
}

int np_tls_await(lua_State *L, np_Stream *s, neap_Done done) {
  int err = s->end < 0 ? s->end : np_stream_listen(s);
  Wait *w;
  if (err < 0) return np_tls_fail(L, s, err, "handshake");
  w = calloc(1, sizeof *w);
  if (w == NULL) return neap_fail(L, UV_ENOMEM, "handshake");
  w->wait.what = "handshake";
  w->wait.detail = wait_detail;
  w->stream = s;
  w->next = s->tls->waits;
  s->tls->waits = w;
  return neap_await(L, &w->wait, done);
}

/* In the words of who waits, or naming the peer. */
static int handshake_fail(lua_State *L, const np_Stream *s, int status) {
  if (lua_isnoneornil(L, 2)) return np_stream_fail(L, s, status, "handshake");
  return np_tls_fail(L, s, status, luaL_checkstring(L, 2));
}

static int handshake_done(lua_State *L, int status) {
  np_Stream *s = neap_handle_test(L, 1, &np_stream_class);
  return status < 0 ? handshake_fail(L, s, status) : 0;
}

/* stream:_handshake(what): waits for its end */
static int stream_handshake(lua_State *L) {
  np_Stream *s = np_stream_check(L);
  if (s->tls == NULL)
    return neap_misuse(L, luaL_optstring(L, 2, "handshake"),
                       "not a TLS stream");
  if (s->tls->done) return 0;
  if (s->end < 0) return handshake_fail(L, s, s->end);
  return np_tls_await(L, s, handshake_done);
}

static int name_set(np_Tls *t, const char *name) {
  const np_Openssl *o = t->openssl;
  X509_VERIFY_PARAM *param = o->SSL_get0_param(t->ssl);
  if (o->X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1) return 1;
  errors_clear(o);
  o->X509_VERIFY_PARAM_set_hostflags(param,
                                     X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return o->X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
         o->SSL_ctrl(t->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME,
                     TLSEXT_NAMETYPE_host_name, (char *)name) == 1;
}

static void bios_set(np_Tls *t) {
  const np_Openssl *o = t->openssl;
  (void)o->BIO_up_ref(o->in); /* it always gives 1 */
  (void)o->BIO_up_ref(o->out);
  o->SSL_set_bio(t->ssl, o->in, o->out);
}

/* 0, or a code, or NP_ETLS if OpenSSL refuses the name. */
static int tls_open(np_Tls *t, const char *name, const char *key) {
  const np_Openssl *o = t->openssl;
  SSL_SESSION *session;
  t->ssl = o->SSL_new(t->context->ctx);
  if (t->ssl == NULL) return UV_ENOMEM;
  bios_set(t);
  if (t->context->server) {
    o->SSL_set_accept_state(t->ssl);
    return 0;
  }
  o->SSL_set_connect_state(t->ssl);
  if (name != NULL && !name_set(t, name)) return NP_ETLS;
  if (key == NULL) return 0;
  t->session = strdup(key);
  session = np_context_session(t->context, key);
  if (session != NULL) (void)o->SSL_set_session(t->ssl, session);
  return 0;
}

/* What was read before it was said that this is TLS belongs to TLS. */
static void own_receive(np_Stream *s) {
  np_Buf was = s->own;
  int end;
  np_buf_init(&s->own);
  do {
    size_t got, n = np_buf_size(&was);
    if (n > NP_TLS_READ) n = NP_TLS_READ;
    got = np_tls_receive(s, np_buf_data(&was), n, &end);
    np_stream_deliver(s, got, end);
    np_buf_consume(&was, n);
  } while (np_buf_size(&was) > 0 && end == 0);
  np_buf_free(&was);
}

int np_tls_attach(np_Stream *s, np_Context *c, const char *name,
                  const char *key) {
  np_Tls *t = calloc(1, sizeof *t);
  int err;
  if (t == NULL) return UV_ENOMEM;
  t->openssl = c->openssl;
  t->context = c;
  c->count++;
  err = tls_open(t, name, key);
  if (err < 0) {
    tls_free(t);
    return err;
  }
  s->tls = t;
  own_receive(s);
  if (s->end < 0) s->end = np_tls_ended(s, s->end);
  return 0;
}

int np_net_tls_start(lua_State *L) {
  np_Stream *s = np_stream_check(L);
  np_Context *c = *(np_Context **)luaL_checkudata(L, 2, NP_CONTEXT);
  const char *name = luaL_optstring(L, 3, NULL);
  int err;
  if (s->tls != NULL) return neap_misuse(L, "start_tls", "has TLS already");
  if (s->shut)
    return neap_misuse(L, "start_tls", "the stream was shut down");
  if (neap_waiting(&s->reader))
    return neap_misuse(L, "start_tls", "another task is reading");
  err = np_tls_attach(s, c, name, luaL_optstring(L, 4, NULL));
  if (err == NP_ETLS)
    return neap_misuse(L, "start_tls", "server_hostname '%s' is no name",
                         name);
  return err < 0 ? neap_fail(L, err, "start_tls") : 0;
}

/* == What became of it ================================================= */

/* Writes to the machine's BIO for texts; gives how much is in it now. What is
 * there when something raises is dropped by the next. */
static size_t text_end(const np_Openssl *o, char **text) {
  long n = o->BIO_ctrl(o->text, BIO_CTRL_INFO, 0, text);
  return n > 0 ? (size_t)n : 0;
}

static void field_push(lua_State *L, const char *name, const char *text,
                       size_t from, size_t to) {
  lua_pushlstring(L, to > from ? text + from : "", to - from);
  lua_setfield(L, -2, name);
}

/* A point in time as os.time gives them, or 0. */
static lua_Integer time_of(const np_Openssl *o, const ASN1_TIME *when) {
  ASN1_TIME *epoch = o->ASN1_TIME_set(NULL, 0);
  int days = 0, seconds = 0;
  if (epoch != NULL) (void)o->ASN1_TIME_diff(&days, &seconds, epoch, when);
  o->ASN1_TIME_free(epoch);
  return (lua_Integer)days * 86400 + seconds;
}

static void peer_push(lua_State *L, const np_Tls *t) {
  const np_Openssl *o = t->openssl;
  X509 *x = o->SSL_get1_peer_certificate(t->ssl);
  size_t subject, issuer, pem;
  lua_Integer from, to;
  char *text;
  if (x == NULL) return;
  (void)o->BIO_ctrl(o->text, BIO_CTRL_RESET, 0, NULL);
  (void)o->X509_NAME_print_ex(o->text, o->X509_get_subject_name(x), 0,
                              XN_FLAG_RFC2253);
  subject = text_end(o, &text);
  (void)o->X509_NAME_print_ex(o->text, o->X509_get_issuer_name(x), 0,
                              XN_FLAG_RFC2253);
  issuer = text_end(o, &text);
  (void)o->PEM_write_bio_X509(o->text, x);
  pem = text_end(o, &text);
  from = time_of(o, o->X509_get0_notBefore(x));
  to = time_of(o, o->X509_get0_notAfter(x));
  o->X509_free(x);
  lua_createtable(L, 0, 5);
  field_push(L, "subject", text, 0, subject);
  field_push(L, "issuer", text, subject, issuer);
  field_push(L, "pem", text, issuer, pem);
  lua_pushinteger(L, from);
  lua_setfield(L, -2, "not_before");
  lua_pushinteger(L, to);
  lua_setfield(L, -2, "not_after");
  lua_setfield(L, -2, "peer");
}

/* core.tls_info(stream) -> table, or nil before there is TLS */
int np_net_tls_info(lua_State *L) {
  np_Stream *s = np_stream_check(L);
  const np_Tls *t = s->tls;
  const unsigned char *alpn;
  const char *name;
  unsigned size;
  if (np_tls_done(s) == 0 || t == NULL) return 0;
  lua_createtable(L, 0, 6);
  lua_pushstring(L, t->openssl->SSL_get_version(t->ssl));
  lua_setfield(L, -2, "version");
  lua_pushstring(L, t->openssl->SSL_CIPHER_get_name(
                        t->openssl->SSL_get_current_cipher(t->ssl)));
  lua_setfield(L, -2, "cipher");
  lua_pushboolean(L, t->openssl->SSL_session_reused(t->ssl));
  lua_setfield(L, -2, "resumed");
  t->openssl->SSL_get0_alpn_selected(t->ssl, &alpn, &size);
  if (size > 0) {
    lua_pushlstring(L, (const char *)alpn, size);
    lua_setfield(L, -2, "alpn");
  }
  name = t->openssl->SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
  if (name != NULL) {
    lua_pushstring(L, name);
    lua_setfield(L, -2, "server_hostname");
  }
  peer_push(L, t);
  return 1;
}

const neap_Async np_tls_ops[] = {
  {"_handshake", stream_handshake},
  {NULL, NULL}
};

#else

size_t np_tls_receive(np_Stream *s, const char *bytes, size_t n, int *end) {
  (void)s;
  (void)bytes;
  (void)n;
  *end = 0;
  return 0;
}

int np_tls_ended(np_Stream *s, int why) {
  (void)s;
  return why;
}

int np_tls_await(lua_State *L, np_Stream *s, neap_Done done) {
  (void)s;
  (void)done;
  return neap_fail(L, UV_ENOTSUP, "handshake");
}

int np_tls_encrypt(np_Stream *s, const uv_buf_t *bufs, int n, uv_buf_t *out) {
  (void)s;
  (void)bufs;
  (void)n;
  (void)out;
  return UV_ENOTSUP;
}

void np_tls_forget(np_Stream *s) { (void)s; }
void np_tls_end(np_Stream *s) { (void)s; }
void np_tls_close(np_Stream *s) { (void)s; }

int np_tls_fail(lua_State *L, const np_Stream *s, int status,
                const char *what) {
  (void)s;
  return neap_fail(L, status, "%s", what);
}

int np_tls_attach(np_Stream *s, np_Context *c, const char *name,
                  const char *key) {
  (void)s;
  (void)c;
  (void)name;
  (void)key;
  return UV_ENOTSUP;
}

int np_net_tls_start(lua_State *L) {
  return neap_fail(L, UV_ENOTSUP, "start_tls");
}

int np_net_tls_info(lua_State *L) {
  (void)L;
  return 0;
}

const neap_Async np_tls_ops[] = {{NULL, NULL}};

#endif
