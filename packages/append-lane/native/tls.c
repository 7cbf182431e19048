#include "tls.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>

struct tls_context {
  SSL_CTX *context;
};

struct tls {
  SSL *ssl;
  /* OpenSSL's own, freed with it. */
  BIO *in;
  BIO *out;
};

/* Bytes to be sent as a BIO: a record is encrypted, and then is where it is sent from. */

static int write_out(BIO *bio, const char *bytes, int length) {
  if (length > 0) bytes_add(BIO_get_data(bio), bytes, (size_t)length);
  return length;
}

static long control_out(BIO *bio, int command, long number, void *pointer) {
  (void)bio;
  (void)number;
  (void)pointer;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *out_method;
static pthread_once_t out_method_once = PTHREAD_ONCE_INIT;

static void make_out_method(void) {
  out_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bytes");
  if (out_method == NULL || BIO_meth_set_write(out_method, write_out) != 1 || BIO_meth_set_ctrl(out_method, control_out) != 1) abort();
}

static BIO *out_bio(void) {
  pthread_once(&out_method_once, make_out_method);
  BIO *made = BIO_new(out_method);
  if (made != NULL) BIO_set_init(made, 1);
  return made;
}

/* As Node writes it: ERR_SSL_ and the reason's name. */
static void name_problem(char *problem, size_t room) {
  unsigned long error = ERR_peek_last_error();
  const char *reason = error == 0 ? NULL : ERR_reason_error_string(error);
  ERR_clear_error();
  snprintf(problem, room, "ERR_SSL_%s", reason == NULL ? "FAILED" : reason);
  for (char *at = problem; *at != '\0'; at++) *at = *at == ' ' ? '_' : (char)toupper((unsigned char)*at);
}

/* All are let through here: TypeScript refuses, and can say why. */
static int let_through(int is_good, X509_STORE_CTX *store) {
  (void)is_good;
  (void)store;
  return 1;
}

static bool use_certificate(SSL_CTX *context, const char *pem) {
  BIO *text = BIO_new_mem_buf(pem, -1);
  X509 *own = PEM_read_bio_X509(text, NULL, NULL, NULL);
  bool is_used = own != NULL && SSL_CTX_use_certificate(context, own) == 1;
  X509_free(own);
  for (X509 *more; is_used && (more = PEM_read_bio_X509(text, NULL, NULL, NULL)) != NULL;) is_used = SSL_CTX_add0_chain_cert(context, more) == 1;
  /* The end of the text is an error to it. */
  ERR_clear_error();
  BIO_free(text);
  return is_used;
}

static bool use_key(SSL_CTX *context, const char *pem) {
  BIO *text = BIO_new_mem_buf(pem, -1);
  EVP_PKEY *key = PEM_read_bio_PrivateKey(text, NULL, NULL, NULL);
  bool is_used = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
  EVP_PKEY_free(key);
  BIO_free(text);
  return is_used;
}

static bool believe(SSL_CTX *context, const char *pem) {
  BIO *text = BIO_new_mem_buf(pem, -1);
  X509 *authority = PEM_read_bio_X509(text, NULL, NULL, NULL);
  bool is_believed = authority != NULL && X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority) == 1 &&
                     SSL_CTX_add_client_CA(context, authority) == 1;
  X509_free(authority);
  BIO_free(text);
  return is_believed;
}

struct tls_context *tls_context_new(const char *certificate, const char *key, const char *const *authorities, size_t count, const char *ciphers,
                                    char *problem, size_t problem_room) {
  SSL_CTX *context = SSL_CTX_new(TLS_server_method());
  bool is_good = context != NULL && SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                 SSL_CTX_set_ciphersuites(context, ciphers) == 1 && use_certificate(context, certificate) && use_key(context, key);
  for (size_t at = 0; is_good && at < count; at++) is_good = believe(context, authorities[at]);
  struct tls_context *made = is_good ? malloc(sizeof *made) : NULL;
  if (made == NULL) {
    name_problem(problem, problem_room);
    SSL_CTX_free(context);
    return NULL;
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, let_through);
  /* Sessions are not resumed: each handshake is judged by what is believed then. */
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  made->context = context;
  return made;
}

void tls_context_free(struct tls_context *context) {
  if (context == NULL) return;
  SSL_CTX_free(context->context);
  free(context);
}

struct tls *tls_accept(struct tls_context *context) {
  struct tls *tls = calloc(1, sizeof *tls);
  if (tls == NULL) abort();
  tls->ssl = SSL_new(context->context);
  tls->in = BIO_new(BIO_s_mem());
  tls->out = out_bio();
  if (tls->ssl == NULL || tls->in == NULL || tls->out == NULL) abort();
  /* Nothing there yet is no end. */
  BIO_set_mem_eof_return(tls->in, -1);
  SSL_set_bio(tls->ssl, tls->in, tls->out);
  SSL_set_accept_state(tls->ssl);
  return tls;
}

void tls_goes_to(struct tls *tls, struct bytes *out) { BIO_set_data(tls->out, out); }

void tls_free(struct tls *tls) {
  if (tls == NULL) return;
  SSL_free(tls->ssl);
  free(tls);
}

enum { READ_BYTES = 16 * 1024 };

enum tls_state tls_receive(struct tls *tls, const void *bytes, size_t length, struct bytes *plain, char *problem, size_t problem_room) {
  ERR_clear_error();
  if (length > 0 && BIO_write(tls->in, bytes, (int)length) != (int)length) abort();
  if (!SSL_is_init_finished(tls->ssl)) {
    int done = SSL_do_handshake(tls->ssl);
    if (done != 1) {
      int error = SSL_get_error(tls->ssl, done);
      if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return TLS_SHAKING;
      name_problem(problem, problem_room);
      return TLS_FAILED;
    }
  }
  for (;;) {
    int got = SSL_read(tls->ssl, bytes_reserve(plain, READ_BYTES), READ_BYTES);
    if (got > 0) {
      plain->to += (size_t)got;
      continue;
    }
    int error = SSL_get_error(tls->ssl, got);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return TLS_SECURED;
    if (error == SSL_ERROR_ZERO_RETURN) return TLS_ENDED;
    name_problem(problem, problem_room);
    return TLS_FAILED;
  }
}

bool tls_send(struct tls *tls, const void *bytes, size_t length) {
  ERR_clear_error();
  return length == 0 || SSL_write(tls->ssl, bytes, (int)length) == (int)length;
}

void tls_end(struct tls *tls) {
  ERR_clear_error();
  if (SSL_is_init_finished(tls->ssl)) SSL_shutdown(tls->ssl);
  ERR_clear_error();
}

size_t tls_peer(struct tls *tls, unsigned char **der) {
  X509 *shown = SSL_get0_peer_certificate(tls->ssl);
  *der = NULL;
  int length = shown == NULL ? 0 : i2d_X509(shown, der);
  return length > 0 ? (size_t)length : 0;
}

void tls_free_der(unsigned char *der) { OPENSSL_free(der); }

bool tls_is_verified(struct tls *tls) { return SSL_get_verify_result(tls->ssl) == X509_V_OK; }
