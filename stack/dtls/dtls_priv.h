// Shared inside dtls/: the library's objects and the fingerprint check.
#ifndef STACK_DTLS_DTLS_PRIV_H
#define STACK_DTLS_DTLS_PRIV_H

#include "stack/dtls/dtls.h"

#include <openssl/ssl.h>

// The RAND provider, dtls_random.c. _install before anything else draws from OpenSSL.
bool dtls_random_install(struct err *err);
void dtls_random_remove(void);

// The settings and certificate of every association of this identity, both roles.
SSL_CTX *dtls_identity_context(const struct dtls_identity *identity);
// The one BIO kind: see dtls.c.
BIO_METHOD *dtls_bio_method(void);

// Filled by dtls.c: what the shared objects above call back.
long dtls_bio_control(BIO *bio, int command, long number, void *at);
int dtls_bio_write(BIO *bio, const char *from, int len);
int dtls_bio_read(BIO *bio, char *to, int len);
int dtls_verify(X509_STORE_CTX *store, void *unused);

// "sha-256" of the certificate as RFC 8122 writes it. False: not a hash of the registry, or one
// that RFC 8122 5 forbids.
bool dtls_fingerprint_of(X509 *certificate, const char *hash, struct dtls_fingerprint *out);
// RFC 8122 5.1, 6.2. On false `why` (of DTLS_FAILURE_MAX bytes) says it for a person.
#define DTLS_FAILURE_MAX 320
bool dtls_fingerprint_check(X509 *certificate, const struct dtls_fingerprint *offered,
                            unsigned count, char *why);

#endif
