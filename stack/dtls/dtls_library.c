// What the associations of a process share: OpenSSL's start and end, the identities, and a context
// of settings for each identity.
#include "stack/dtls/dtls_priv.h"

#include "base/arena.h"
#include "base/libenv.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

struct dtls_identity {
    EVP_PKEY *key;
    X509 *certificate;
    SSL_CTX *context;
    struct dtls_fingerprint fingerprint;
    char *text; // of the certificate
};

static struct {
    bool ready;
    BIO_METHOD *bio;
    struct dtls_identity *identities[DTLS_IDENTITIES];
} library;

#define DAY_S 86400

bool dtls_library_init(struct err *err)
{
    if (library.ready)
        return true;
    if (!libenv_check(err))
        return false;
    if (!OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL))
        return err_set(err, "OpenSSL did not start");
    if (!dtls_random_install(err))
        return false;
    library.bio = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "simrtc datagram");
    if (!library.bio || !BIO_meth_set_write(library.bio, dtls_bio_write) ||
        !BIO_meth_set_read(library.bio, dtls_bio_read) ||
        !BIO_meth_set_ctrl(library.bio, dtls_bio_control))
        return err_set(err, "OpenSSL did not accept the datagram BIO");
    library.ready = true;
    return true;
}

void dtls_library_fini(void)
{
    for (unsigned i = 0; i < DTLS_IDENTITIES; i++) {
        struct dtls_identity *identity = library.identities[i];
        if (!identity)
            continue;
        SSL_CTX_free(identity->context);
        X509_free(identity->certificate);
        EVP_PKEY_free(identity->key);
        free(identity->text);
        free(identity);
        library.identities[i] = NULL;
    }
    if (!library.ready)
        return;
    library.ready = false;
    BIO_meth_free(library.bio);
    library.bio = NULL;
    dtls_random_remove();
}

BIO_METHOD *dtls_bio_method(void)
{
    return library.bio;
}

// A self-signed certificate as browsers make it: no extensions, a common name, days of validity.
// Dates count from the virtual epoch, whatever `now` is, so that the bytes are always the same.
static X509 *certificate_new(EVP_PKEY *key, struct rng *rng)
{
    static const unsigned char name[] = "WebRTC";
    X509 *x = X509_new();
    assert(x);
    X509_NAME *subject = X509_get_subject_name(x);
    bool made = X509_set_version(x, X509_VERSION_3) &&
                ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), rng_u64(rng) >> 1) &&
                ASN1_TIME_set(X509_getm_notBefore(x), (time_t)TIME_EPOCH_S - DAY_S) &&
                ASN1_TIME_set(X509_getm_notAfter(x), (time_t)TIME_EPOCH_S + 365 * DAY_S) &&
                X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, name, -1, -1, 0) &&
                X509_set_issuer_name(x, subject) && X509_set_pubkey(x, key) &&
                X509_sign(x, key, EVP_sha256()) > 0;
    assert(made);
    return x;
}

// RFC 8827 6.5: DTLS 1.2, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 and P-256 must be supported. The
// RSA suites are for peers with an RSA certificate.
static SSL_CTX *context_new(const struct dtls_identity *identity)
{
    SSL_CTX *context = SSL_CTX_new(DTLS_method());
    assert(context);
    bool set = SSL_CTX_set_min_proto_version(context, DTLS1_2_VERSION) &&
               SSL_CTX_set_max_proto_version(context, DTLS1_2_VERSION) &&
               SSL_CTX_set_cipher_list(context, "ECDHE-ECDSA-AES128-GCM-SHA256:"
                                                "ECDHE-RSA-AES128-GCM-SHA256:"
                                                "ECDHE-ECDSA-CHACHA20-POLY1305:"
                                                "ECDHE-RSA-CHACHA20-POLY1305:"
                                                "ECDHE-ECDSA-AES256-GCM-SHA384:"
                                                "ECDHE-RSA-AES256-GCM-SHA384") &&
               SSL_CTX_set1_groups_list(context, "P-256:X25519:P-384") &&
               SSL_CTX_set1_sigalgs_list(context, "ECDSA+SHA256:RSA-PSS+SHA256:RSA+SHA256:"
                                                  "ECDSA+SHA384:RSA-PSS+SHA384:RSA+SHA384") &&
               SSL_CTX_set_tlsext_use_srtp(context, DTLS_SRTP_PROFILES) == 0 && // zero: it is set
               SSL_CTX_use_certificate(context, identity->certificate) &&
               SSL_CTX_use_PrivateKey(context, identity->key) &&
               SSL_CTX_set_max_send_fragment(context, 2048);
    assert(set);
    SSL_CTX_set_options(context, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    // No chain: the certificate stands alone, and its fingerprint is what is checked.
    SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(context, dtls_verify, NULL);
    return context;
}

static char *certificate_text(const X509 *certificate)
{
    unsigned char *der = NULL;
    int len = i2d_X509(certificate, &der);
    assert(len > 0);
    char *text = mem_alloc(4 * ((size_t)len + 2) / 3 + 1);
    EVP_EncodeBlock((unsigned char *)text, der, len);
    OPENSSL_free(der);
    return text;
}

const struct dtls_identity *dtls_identity_pooled(unsigned index)
{
    assert(library.ready);
    index %= DTLS_IDENTITIES;
    if (library.identities[index])
        return library.identities[index];

    // From its number alone, so that no run before this one can be seen in it.
    char name[32];
    snprintf(name, sizeof name, "identity %u", index);
    struct rng rng = rng_seed(0, name);
    struct libenv env = libenv_enter(libenv_now(), &rng);
    struct dtls_identity *identity = mem_zero(1, sizeof *identity);
    identity->key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    assert(identity->key);
    identity->certificate = certificate_new(identity->key, &rng);
    identity->context = context_new(identity);
    bool printed = dtls_fingerprint_of(identity->certificate, "sha-256", &identity->fingerprint);
    assert(printed);
    identity->text = certificate_text(identity->certificate);
    libenv_leave(env);
    library.identities[index] = identity;
    return identity;
}

SSL_CTX *dtls_identity_context(const struct dtls_identity *identity)
{
    return identity->context;
}

const struct dtls_fingerprint *dtls_identity_fingerprint(const struct dtls_identity *identity)
{
    return &identity->fingerprint;
}

const char *dtls_identity_certificate(const struct dtls_identity *identity)
{
    return identity->text;
}
