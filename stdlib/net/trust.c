/*
 * trust.c - whom the system trusts: read once, on a thread, since that takes
 * 20 ms.
 *
 * The request owns itself: it goes on when its task is cancelled, and what it
 * has read is the machine's.
 */
#include <stdlib.h>
#include <uv.h>

#include "tls.h"

#if NP_HAVE_OPENSSL

typedef struct Trust {
  uv_work_t request; /* first */
  neap_Vm *vm;
  np_Openssl *openssl;
  X509_STORE *store;
  neap_Wait wait;
} Trust;

static void on_work(uv_work_t *request) {
  Trust *t = (Trust *)request;
  const np_Openssl *o = t->openssl;
  t->store = o->X509_STORE_new();
  if (t->store != NULL && o->X509_STORE_set_default_paths(t->store) != 1) {
    o->X509_STORE_free(t->store);
    t->store = NULL;
  }
  o->OPENSSL_thread_stop(); /* what it keeps for a thread, errors too */
}

static void on_worked(uv_work_t *request, int status) {
  Trust *t = (Trust *)request;
  np_Openssl *o = t->openssl;
  if (t->store != NULL && o->system != NULL)
    o->X509_STORE_free(t->store); /* another one was faster */
  else if (t->store != NULL)
    o->system = t->store;
  (void)neap_wake(&t->wait, o->system != NULL ? 0 : UV_ENOMEM);
  (void)status; /* nobody cancels it */
  neap_request_end(t->vm);
  free(t);
}

static int trust_done(lua_State *L, int status) {
  return status < 0 ? neap_fail(L, status, "the system's certificates") : 0;
}

/* core.tls_trust(): returns when context:_trust_system() need not read */
static int net_trust(lua_State *L) {
  Trust *t;
  int err;
  (void)np_openssl_get(L);
  neap_await_check(L);
  t = calloc(1, sizeof *t);
  if (t == NULL) return trust_done(L, UV_ENOMEM);
  t->vm = neap_vm(L);
  t->openssl = np_net_get(L)->openssl;
  t->wait.what = "reading the system's certificates";
  err = uv_queue_work(neap_loop(L), &t->request, on_work, on_worked);
  if (err < 0) {
    free(t);
    return trust_done(L, err);
  }
  neap_request_begin(t->vm);
  return neap_await(L, &t->wait, trust_done);
}

const neap_Async np_trust_ops[] = {
  {"tls_trust", net_trust},
  {NULL, NULL}
};

#else

const neap_Async np_trust_ops[] = {{NULL, NULL}};

#endif
