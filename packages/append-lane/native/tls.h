/* TLS 1.3 by Node's own OpenSSL, over memory: no sockets, no threads. Who may come is TypeScript's to say, by the certificate that was shown. */
#ifndef APPEND_LANE_TLS_H
#define APPEND_LANE_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "bytes.h"

struct tls_context;
struct tls;

/* `authorities`: PEM texts. Gives NULL, and why in `problem`. */
struct tls_context *tls_context_new(const char *certificate, const char *key, const char *const *authorities, size_t count, const char *ciphers,
                                    char *problem, size_t problem_room);
void tls_context_free(struct tls_context *context);

/* The accepting end; holds on to the context by itself. */
struct tls *tls_accept(struct tls_context *context);
/* Whatever is to be sent is added to the end of `out`, which outlives it. Before anything else is asked of it. */
void tls_goes_to(struct tls *tls, struct bytes *out);
void tls_free(struct tls *tls);

enum tls_state { TLS_SHAKING, TLS_SECURED, TLS_ENDED, TLS_FAILED };

/*
 * Takes bytes from the network and adds what they say to `plain`; what has to be sent is where `tls_goes_to` says. TLS_SECURED once the handshake is
 * over, TLS_ENDED when the other end has said its last. After TLS_FAILED `problem` has OpenSSL's name for it.
 */
enum tls_state tls_receive(struct tls *tls, const void *bytes, size_t length, struct bytes *plain, char *problem, size_t problem_room);

/* As much as one record takes: whoever receives it deals with each record by itself, and each is encrypted by itself. */
enum { TLS_RECORD_BYTES = 16 * 1024 };

/* Encrypts, in records of TLS_RECORD_BYTES as long as there is so much; gives false where that fails. */
bool tls_send(struct tls *tls, const void *bytes, size_t length);
/* Says that nothing more will be sent. */
void tls_end(struct tls *tls);

/* The certificate that the other end has shown, DER; its length, 0 where it has shown none. To be freed by `tls_free_der`. */
size_t tls_peer(struct tls *tls, unsigned char **der);
void tls_free_der(unsigned char *der);
/* Is its chain good, by the authorities of the context? */
bool tls_is_verified(struct tls *tls);

#endif
