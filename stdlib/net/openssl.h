/*
 * openssl.h - OpenSSL, which is loaded when the first stream wants TLS.
 *
 * Loading it takes longer than starting neap does, so nothing is linked with
 * it: the headers say what there is when neap is built, and the functions
 * are looked up when they are first needed. Without the headers neap builds
 * as well and has no TLS; -DNP_HAVE_OPENSSL=0 says so too.
 */
#ifndef NP_OPENSSL_H
#define NP_OPENSSL_H

#include <lua.h>

#if defined __has_include && !defined NP_HAVE_OPENSSL
#if __has_include(<openssl/ssl.h>)
#include <openssl/opensslv.h>
#if OPENSSL_VERSION_MAJOR >= 3
#define NP_HAVE_OPENSSL 1
#endif
#endif
#endif

#ifndef NP_HAVE_OPENSSL
#define NP_HAVE_OPENSSL 0
#endif

#if NP_HAVE_OPENSSL
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* What we call. Macros of OpenSSL's headers cannot be used: they name
 * functions that are not linked. */
#define NP_OPENSSL_FUNCTIONS(F) \
  F(BIO_ctrl) F(BIO_free) F(BIO_new) F(BIO_new_mem_buf) F(BIO_s_mem) \
  F(BIO_up_ref) F(BUF_MEM_free) F(BUF_MEM_new) F(ERR_clear_error) \
  F(ERR_peek_error) F(ERR_peek_last_error) F(ERR_reason_error_string) \
  F(EVP_PKEY_free) F(OPENSSL_thread_stop) F(PEM_read_bio_PrivateKey) \
  F(PEM_read_bio_X509) F(PEM_write_bio_X509) F(SSL_CIPHER_get_name) \
  F(SSL_CTX_add_client_CA) \
  F(SSL_CTX_callback_ctrl) F(SSL_CTX_check_private_key) F(SSL_CTX_ctrl) \
  F(SSL_CTX_free) F(SSL_CTX_get_cert_store) F(SSL_CTX_new) \
  F(SSL_CTX_set1_cert_store) F(SSL_CTX_set_alpn_protos) \
  F(SSL_CTX_set_alpn_select_cb) F(X509_STORE_free) F(X509_STORE_new) \
  F(X509_STORE_set_default_paths) F(X509_STORE_set_flags) \
  F(X509_STORE_up_ref) \
  F(SSL_CTX_set_default_verify_paths) F(SSL_CTX_set_num_tickets) \
  F(SSL_CTX_set_options) F(SSL_CTX_set_session_id_context) \
  F(SSL_CTX_set_verify) F(SSL_CTX_use_PrivateKey) F(SSL_CTX_use_certificate) \
  F(SSL_SESSION_free) F(SSL_SESSION_is_resumable) F(SSL_SESSION_up_ref) \
  F(SSL_ctrl) F(SSL_do_handshake) F(SSL_free) F(SSL_get0_alpn_selected) \
  F(SSL_get0_param) F(SSL_get1_peer_certificate) F(SSL_get_current_cipher) \
  F(SSL_get_error) F(SSL_get_servername) F(SSL_get_session) \
  F(SSL_get_verify_result) F(SSL_get_version) F(SSL_new) F(SSL_read) \
  F(SSL_CTX_get0_certificate) F(SSL_CTX_get0_privatekey) \
  F(SSL_certs_clear) F(SSL_use_cert_and_key) \
  F(SSL_select_next_proto) F(SSL_set_accept_state) \
  F(SSL_set_bio) F(SSL_set_connect_state) F(SSL_set_session) \
  F(SSL_session_reused) F(SSL_shutdown) F(SSL_write) F(TLS_client_method) \
  F(TLS_server_method) F(X509_NAME_print_ex) F(X509_STORE_add_cert) \
  F(X509_VERIFY_PARAM_set1_host) F(X509_VERIFY_PARAM_set1_ip_asc) \
  F(X509_VERIFY_PARAM_set_hostflags) F(X509_free) F(X509_get_issuer_name) \
  F(X509_get_subject_name) F(X509_verify_cert_error_string) \
  F(ASN1_TIME_diff) F(ASN1_TIME_free) F(ASN1_TIME_set) \
  F(X509_get0_notAfter) F(X509_get0_notBefore)

#define NP_OPENSSL_MEMBER(name) __typeof__(&name) name;
typedef struct np_Openssl {
  NP_OPENSSL_FUNCTIONS(NP_OPENSSL_MEMBER)
  X509_STORE *system; /* whom the system trusts, once it was read */
  BIO *in, *out; /* what all streams read from and write to, see tls.h */
  BIO *text; /* for what is written for people */
  BUF_MEM input, *output; /* the bytes in them; those of `input` are lent */
} np_Openssl;

/* The machine's, loaded now if it is not yet; raises a TLSError. */
const np_Openssl *np_openssl_get(lua_State *L);
#endif

/* Frees what np_openssl_get gave. */
struct np_Openssl;
void np_openssl_free(struct np_Openssl *o);

#endif
