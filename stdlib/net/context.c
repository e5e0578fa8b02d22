/*
 * context.c - certificates, trust and protocols: see context.h.
 *
 * Each method of the class TLSContext is one setting; options, files and
 * defaults are in tls.lua.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "context.h"
#include "stream.h"

#if NP_HAVE_OPENSSL

typedef struct np_ContextName {
  struct np_ContextName *next;
  np_Context *context; /* one count of it */
  char name[];
} Name;

/* == Sessions ========================================================== */

SSL_SESSION *np_context_session(const np_Context *c, const char *key) {
  /* The newest is the best, and a server gives several. */
  for (unsigned i = 1; i <= NP_SESSIONS; i++) {
    unsigned at = (c->next - i) % NP_SESSIONS;
    const char *kept = c->sessions[at].key;
    if (kept != NULL && strcmp(kept, key) == 0 &&
        c->openssl->SSL_SESSION_is_resumable(c->sessions[at].session))
      return c->sessions[at].session;
  }
  return NULL;
}

static void session_free(np_Context *c, unsigned at) {
  if (c->sessions[at].key == NULL) return;
  free(c->sessions[at].key);
  c->sessions[at].key = NULL;
  c->openssl->SSL_SESSION_free(c->sessions[at].session);
}

/* The place of the session with this key, or else the oldest's. */
static unsigned session_place(np_Context *c, const char *key) {
  for (unsigned at = 0; at < NP_SESSIONS; at++) {
    const char *kept = c->sessions[at].key;
    if (kept != NULL && strcmp(kept, key) == 0) return at;
  }
  return c->next++ % NP_SESSIONS;
}

int np_context_keep(np_Context *c, const char *key, SSL_SESSION *session) {
  char *copy = strdup(key);
  unsigned at;
  if (copy == NULL) return 0;
  at = session_place(c, key);
  session_free(c, at);
  c->sessions[at].key = copy;
  c->sessions[at].session = session;
  return 1;
}

/* == What OpenSSL asks ================================================= */

/* `name` is below `pattern`: "*.b.c" holds "a.b.c", not "x.a.b.c". */
static int is_below(const char *pattern, const char *name) {
  if (strncmp(pattern, "*.", 2) != 0) return 0;
  name = strchr(name, '.');
  return name != NULL && strcasecmp(pattern + 1, name) == 0;
}

/* Whose certificate is for the name: its own before one for many. */
static np_Context *context_for(const np_Context *c, const char *name) {
  for (const Name *n = c->names; n != NULL; n = n->next)
    if (strcasecmp(n->name, name) == 0) return n->context;
  for (const Name *n = c->names; n != NULL; n = n->next)
    if (is_below(n->name, name)) return n->context;
  return NULL;
}

/* Gives the connection the certificate of the other context, and nothing but
 * that: whom it trusts and what it speaks stays. */
static int identity_take(SSL *ssl, const np_Context *other) {
  const np_Openssl *o = other->openssl;
  STACK_OF(X509) *chain = NULL;
  (void)o->SSL_CTX_ctrl(other->ctx, SSL_CTRL_GET_CHAIN_CERTS, 0, &chain);
  o->SSL_certs_clear(ssl); /* one for another kind of key would be left */
  return o->SSL_use_cert_and_key(
      ssl, o->SSL_CTX_get0_certificate(other->ctx),
      o->SSL_CTX_get0_privatekey(other->ctx), chain, 1);
}

static int on_name(SSL *ssl, int *alert, void *data) {
  const np_Context *c = data, *other;
  const char *name =
      c->openssl->SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == NULL) return SSL_TLSEXT_ERR_NOACK;
  other = context_for(c, name);
  if (other == NULL || identity_take(ssl, other) == 1)
    return SSL_TLSEXT_ERR_OK;
  *alert = SSL_AD_INTERNAL_ERROR;
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Without a protocol in common there is none, as with clients that offer
 * none. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *size,
                   const unsigned char *in, unsigned in_size, void *data) {
  np_Context *c = data;
  unsigned char *chosen;
  int found = c->openssl->SSL_select_next_proto(
      &chosen, size, c->alpn, (unsigned)c->alpn_size, in, in_size);
  (void)ssl;
  if (found != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

/* == Life ============================================================== */

void np_context_free(np_Context *c) {
  if (c == NULL || --c->count > 0) return;
  for (unsigned at = 0; at < NP_SESSIONS; at++) session_free(c, at);
  while (c->names != NULL) {
    Name *n = c->names;
    c->names = n->next;
    np_context_free(n->context);
    free(n);
  }
  if (c->ctx != NULL) c->openssl->SSL_CTX_free(c->ctx);
  free(c->alpn);
  free(c);
}

static int context_gc(lua_State *L) {
  np_Context **at = luaL_checkudata(L, 1, NP_CONTEXT);
  np_context_free(*at);
  *at = NULL;
  return 0;
}

static np_Context *check(lua_State *L, int index) {
  return *(np_Context **)luaL_checkudata(L, index, NP_CONTEXT);
}

/* Raises a TLSError with OpenSSL's reason. */
static int fail(lua_State *L, const np_Openssl *o, const char *what) {
  unsigned long error = o->ERR_peek_error();
  const char *reason = o->ERR_reason_error_string(error);
  o->ERR_clear_error();
  return neap_raise(L, "TLSError", "BAD_OPTION", "%s: %s", what,
                    reason != NULL ? reason : "OpenSSL refuses it");
}

static void settings(np_Context *c) {
  const np_Openssl *o = c->openssl;
  (void)o->SSL_CTX_ctrl(c->ctx, SSL_CTRL_MODE,
                        SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY, NULL);
  (void)o->SSL_CTX_set_options(c->ctx, SSL_OP_NO_RENEGOTIATION |
                                           SSL_OP_NO_COMPRESSION |
                                           SSL_OP_CIPHER_SERVER_PREFERENCE);
  (void)o->SSL_CTX_ctrl(c->ctx, SSL_CTRL_SET_MIN_PROTO_VERSION,
                        TLS1_2_VERSION, NULL);
  /* OpenSSL keeps none: servers give tickets, clients keep them here. */
  (void)o->SSL_CTX_ctrl(c->ctx, SSL_CTRL_SET_SESS_CACHE_MODE,
                        SSL_SESS_CACHE_OFF, NULL);
  if (c->server) {
    (void)o->SSL_CTX_set_num_tickets(c->ctx, 1);
    /* Sessions of clients with certificates need a name to be resumed. */
    (void)o->SSL_CTX_set_session_id_context(c->ctx,
                                            (const unsigned char *)"neap", 4);
  }
}

/* == Settings: each raises "WHAT: reason" ============================== */

static BIO *memory(lua_State *L, const np_Openssl *o, int index) {
  size_t size;
  const char *text = luaL_checklstring(L, index, &size);
  BIO *bio = o->BIO_new_mem_buf(text, (int)size);
  if (bio == NULL) luaL_error(L, "not enough memory");
  return bio;
}

/* 1 if reading stopped because there was nothing more to read. */
static int was_last(const np_Openssl *o) {
  unsigned long error = o->ERR_peek_last_error();
  o->ERR_clear_error();
  return error == 0 || (ERR_GET_LIB(error) == ERR_LIB_PEM &&
                        ERR_GET_REASON(error) == PEM_R_NO_START_LINE);
}

/* context:_trust(what, pem): these certificates, and no others. They need not
 * be roots. */
static int context_trust(lua_State *L) {
  np_Context *c = check(L, 1);
  const np_Openssl *o = c->openssl;
  const char *what = luaL_checkstring(L, 2);
  X509_STORE *store = o->SSL_CTX_get_cert_store(c->ctx);
  BIO *bio = memory(L, o, 3);
  X509 *x;
  int n = 0;
  o->ERR_clear_error();
  for (; (x = o->PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL; n++) {
    (void)o->X509_STORE_add_cert(store, x); /* if it fails, it is missed */
    if (c->server) (void)o->SSL_CTX_add_client_CA(c->ctx, x);
    o->X509_free(x);
  }
  (void)o->BIO_free(bio);
  (void)o->X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN); /* it is 1 */
  if (n == 0) return fail(L, o, what);
  if (!was_last(o))
    return neap_raise(L, "TLSError", "BAD_OPTION",
                      "%s: a certificate in it is damaged", what);
  return 0;
}

/* context:_trust_system(): reading them takes 20 ms, so that is done once */
static int context_trust_system(lua_State *L) {
  np_Context *c = check(L, 1);
  np_Openssl *o = np_net_get(L)->openssl;
  X509_STORE *store;
  if (o->system != NULL) {
    o->SSL_CTX_set1_cert_store(c->ctx, o->system);
    return 0;
  }
  if (o->SSL_CTX_set_default_verify_paths(c->ctx) != 1)
    return fail(L, o, "the system's certificates");
  o->ERR_clear_error();
  store = o->SSL_CTX_get_cert_store(c->ctx);
  if (o->X509_STORE_up_ref(store) == 1) o->system = store;
  return 0;
}

/* context:_certificate(what, pem): ours, and those between it and its root */
static int context_certificate(lua_State *L) {
  np_Context *c = check(L, 1);
  const np_Openssl *o = c->openssl;
  BIO *bio = memory(L, o, 3);
  X509 *x;
  int ok;
  o->ERR_clear_error();
  x = o->PEM_read_bio_X509(bio, NULL, NULL, NULL);
  ok = x != NULL && o->SSL_CTX_use_certificate(c->ctx, x) == 1;
  if (x != NULL) o->X509_free(x);
  while (ok && (x = o->PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
    ok = o->SSL_CTX_ctrl(c->ctx, SSL_CTRL_CHAIN_CERT, 1, x) == 1;
    o->X509_free(x);
  }
  (void)o->BIO_free(bio);
  if (!ok || !was_last(o)) return fail(L, o, luaL_checkstring(L, 2));
  return 0;
}

/* context:_key(what, pem, password) */
static int context_key(lua_State *L) {
  np_Context *c = check(L, 1);
  const np_Openssl *o = c->openssl;
  char *password = (char *)luaL_checkstring(L, 4); /* OpenSSL only reads it */
  BIO *bio;
  EVP_PKEY *key;
  int ok;
  if (strstr(luaL_checkstring(L, 3), "PRIVATE KEY-----") == NULL)
    return neap_raise(L, "TLSError", "BAD_OPTION",
                      "%s: there is no private key in it",
                      luaL_checkstring(L, 2)); /* OpenSSL: "unsupported" */
  bio = memory(L, o, 3);
  o->ERR_clear_error();
  key = o->PEM_read_bio_PrivateKey(bio, NULL, NULL, password);
  ok = key != NULL && o->SSL_CTX_use_PrivateKey(c->ctx, key) == 1 &&
       o->SSL_CTX_check_private_key(c->ctx) == 1;
  if (key != NULL) o->EVP_PKEY_free(key);
  (void)o->BIO_free(bio);
  if (!ok) return fail(L, o, luaL_checkstring(L, 2));
  o->ERR_clear_error();
  return 0;
}

/* context:_verify("none" | "optional" | "required") */
static int context_verify(lua_State *L) {
  static const char *const names[] = {"none", "optional", "required", NULL};
  static const int modes[] = {
    SSL_VERIFY_NONE, SSL_VERIFY_PEER,
    SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
  };
  np_Context *c = check(L, 1);
  c->verify = modes[luaL_checkoption(L, 2, NULL, names)];
  c->openssl->SSL_CTX_set_verify(c->ctx, c->verify, NULL);
  return 0;
}

/* context:_alpn(protocols as on the wire) */
static int context_alpn(lua_State *L) {
  np_Context *c = check(L, 1);
  size_t size;
  const char *wire = luaL_checklstring(L, 2, &size);
  free(c->alpn);
  c->alpn = malloc(size + 1);
  if (c->alpn == NULL) return luaL_error(L, "not enough memory");
  memcpy(c->alpn, wire, size);
  c->alpn_size = size;
  if (c->server)
    c->openssl->SSL_CTX_set_alpn_select_cb(c->ctx, on_alpn, c);
  else if (c->openssl->SSL_CTX_set_alpn_protos(c->ctx, c->alpn,
                                               (unsigned)size) != 0)
    return fail(L, c->openssl, "alpn");
  return 0;
}

/* context:_versions(least, most): "1.2" or "1.3" */
static int context_versions(lua_State *L) {
  static const char *const names[] = {"1.2", "1.3", NULL};
  static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
  np_Context *c = check(L, 1);
  int least = versions[luaL_checkoption(L, 2, "1.2", names)];
  int most = versions[luaL_checkoption(L, 3, "1.3", names)];
  (void)c->openssl->SSL_CTX_ctrl(c->ctx, SSL_CTRL_SET_MIN_PROTO_VERSION,
                                 least, NULL);
  (void)c->openssl->SSL_CTX_ctrl(c->ctx, SSL_CTRL_SET_MAX_PROTO_VERSION,
                                 most, NULL);
  return 0;
}

/* context:_name(name, other context): whose certificate is for the name */
static int context_name(lua_State *L) {
  np_Context *c = check(L, 1), *other = check(L, 3);
  size_t size;
  const char *name = luaL_checklstring(L, 2, &size);
  Name *n = malloc(sizeof *n + size + 1), **last = &c->names;
  if (n == NULL) return luaL_error(L, "not enough memory");
  memcpy(n->name, name, size + 1);
  n->context = other;
  n->next = NULL;
  other->count++;
  while (*last != NULL) last = &(*last)->next;
  *last = n;
  (void)c->openssl->SSL_CTX_callback_ctrl(
      c->ctx, SSL_CTRL_SET_TLSEXT_SERVERNAME_CB, (void (*)(void))on_name);
  (void)c->openssl->SSL_CTX_ctrl(c->ctx, SSL_CTRL_SET_TLSEXT_SERVERNAME_ARG,
                                 0, c);
  return 0;
}

static const luaL_Reg methods[] = {
  {"_trust", context_trust},
  {"_trust_system", context_trust_system},
  {"_certificate", context_certificate},
  {"_key", context_key},
  {"_verify", context_verify},
  {"_alpn", context_alpn},
  {"_versions", context_versions},
  {"_name", context_name},
  {NULL, NULL}
};

int np_net_context(lua_State *L) {
  const np_Openssl *o = np_openssl_get(L);
  np_Context **at = lua_newuserdatauv(L, sizeof *at, 0), *c;
  *at = NULL;
  if (luaL_newmetatable(L, NP_CONTEXT)) {
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, context_gc);
    lua_setfield(L, -2, "__gc");
    neap_metatable_hide(L);
  }
  lua_setmetatable(L, -2);
  c = *at = calloc(1, sizeof *c);
  if (c == NULL) return luaL_error(L, "not enough memory");
  c->openssl = o;
  c->count = 1;
  c->server = lua_toboolean(L, 1);
  c->ctx = o->SSL_CTX_new(c->server ? o->TLS_server_method()
                                    : o->TLS_client_method());
  if (c->ctx == NULL) return fail(L, o, "tls");
  settings(c);
  return 1;
}

#else

void np_context_free(np_Context *c) { (void)c; }

int np_net_context(lua_State *L) {
  return neap_raise(L, "TLSError", "NO_OPENSSL",
                    "tls: neap was built without OpenSSL");
}

#endif
