/*
 * context.h - how TLS is to be done: certificates, whom to trust, protocols.
 *
 * Made in Lua step by step (tls.lua) and then shared by any number of
 * streams; those of clients keep their servers' sessions here.
 */
#ifndef NP_CONTEXT_H
#define NP_CONTEXT_H

#include <lauxlib.h>
#include <stddef.h>

#include "openssl.h"

#define NP_CONTEXT "neap.net.TLSContext"
#define NP_SESSIONS 64 /* remembered by a context */

typedef struct np_Context {
  const struct np_Openssl *openssl;
  struct ssl_ctx_st *ctx;
  unsigned count;   /* of those who hold it */
  int server;
  int verify;       /* as SSL_VERIFY_* */
  unsigned char *alpn; /* as on the wire */
  size_t alpn_size;
  struct np_ContextName *names; /* of a server's other certificates */
  struct {
    char *key;
    struct ssl_session_st *session;
  } sessions[NP_SESSIONS];
  unsigned next; /* place of the next session */
} np_Context;

void np_context_free(np_Context *c);

/* The session kept under `key`, lent, or NULL. */
struct ssl_session_st *np_context_session(const np_Context *c,
                                          const char *key);

/* Keeps the session, which it takes over: 1, or 0 if it could not. */
int np_context_keep(np_Context *c, const char *key,
                    struct ssl_session_st *session);

/* core.tls_context(server) -> TLSContext */
int np_net_context(lua_State *L);

#endif
