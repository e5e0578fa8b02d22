/*
 * openssl.c - loads OpenSSL: see openssl.h.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include "openssl.h"
#include "stream.h"
#include "tls.h"

#if NP_HAVE_OPENSSL

#define STRING(x) #x
#define TEXT(x) STRING(x)

#ifdef __APPLE__
#define FILE_NAME "libssl." TEXT(OPENSSL_SHLIB_VERSION) ".dylib"
#else
#define FILE_NAME "libssl.so." TEXT(OPENSSL_SHLIB_VERSION)
#endif

/* The first name that is missing, or NULL. */
static const char *look_up(np_Openssl *o, void *library) {
#define LOOK_UP(name) \
  *(void **)(void *)&o->name = dlsym(library, #name); \
  if (o->name == NULL) return #name;
  NP_OPENSSL_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
  return NULL;
}

static int buffers_new(np_Net *net, np_Openssl *o) {
  o->in = o->BIO_new(o->BIO_s_mem());
  o->out = o->BIO_new(o->BIO_s_mem());
  o->text = o->BIO_new(o->BIO_s_mem());
  o->output = o->BUF_MEM_new();
  net->tls_space = malloc(NP_TLS_READ);
  if (!o->in || !o->out || !o->text || !o->output || !net->tls_space)
    return 0;
  (void)o->BIO_ctrl(o->in, BIO_C_SET_BUF_MEM, BIO_NOCLOSE, &o->input);
  (void)o->BIO_ctrl(o->out, BIO_C_SET_BUF_MEM, BIO_NOCLOSE, o->output);
  return 1;
}

const np_Openssl *np_openssl_get(lua_State *L) {
  np_Net *net = np_net_get(L);
  const char *missing;
  np_Openssl *o;
  void *library;
  if (net->openssl != NULL) return net->openssl;
  /* It stays loaded: it has handlers for the end of the process. */
  library = dlopen(FILE_NAME, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL)
    neap_raise(L, "TLSError", "NO_OPENSSL", "tls: cannot load OpenSSL: %s",
               dlerror());
  o = calloc(1, sizeof *o);
  if (o == NULL) luaL_error(L, "not enough memory");
  missing = look_up(o, library);
  if (missing != NULL) {
    free(o);
    neap_raise(L, "TLSError", "NO_OPENSSL", "tls: OpenSSL has no %s", missing);
  }
  net->openssl = o;
  if (!buffers_new(net, o)) {
    np_openssl_free(o);
    free(net->tls_space);
    net->tls_space = NULL;
    net->openssl = NULL;
    luaL_error(L, "not enough memory");
  }
  return o;
}

void np_openssl_free(np_Openssl *o) {
  if (o == NULL) return;
  (void)o->BIO_free(o->in);
  (void)o->BIO_free(o->out);
  (void)o->BIO_free(o->text);
  o->BUF_MEM_free(o->output);
  if (o->system != NULL) o->X509_STORE_free(o->system);
  free(o);
}

#else

void np_openssl_free(struct np_Openssl *o) { (void)o; }

#endif
