// Certificate fingerprints (RFC 8122): writing ours, checking the peer's.
#include "stack/dtls/dtls_priv.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <strings.h>

// Most preferred first. RFC 8122 5: MD2 and MD5 must not be used.
static const struct {
    const char *name;
    const EVP_MD *(*digest)(void);
} hashes[] = {
    {"sha-512", EVP_sha512}, {"sha-384", EVP_sha384}, {"sha-256", EVP_sha256},
    {"sha-224", EVP_sha224}, {"sha-1", EVP_sha1},
};
#define HASHES (sizeof hashes / sizeof hashes[0])

static size_t hash_find(const char *name)
{
    size_t i = 0;
    while (i < HASHES && strcasecmp(hashes[i].name, name) != 0)
        i++;
    return i;
}

bool dtls_fingerprint_of(X509 *certificate, const char *hash, struct dtls_fingerprint *out)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t found = hash_find(hash);
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    *out = (struct dtls_fingerprint){.hash = ""};
    if (found == HASHES || !X509_digest(certificate, hashes[found].digest(), sum, &len))
        return false;
    snprintf(out->hash, sizeof out->hash, "%s", hashes[found].name);
    char *to = out->value;
    for (unsigned i = 0; i < len; i++) {
        if (i)
            *to++ = ':';
        *to++ = hex[sum[i] >> 4];
        *to++ = hex[sum[i] & 15];
    }
    *to = 0;
    return true;
}

bool dtls_fingerprint_check(X509 *certificate, const struct dtls_fingerprint *offered,
                            unsigned count, char *why)
{
    // RFC 8122 5.1: take the set with our most preferred hash; the certificate must match one of
    // that set, and the others do not count.
    size_t best = HASHES;
    for (unsigned i = 0; i < count; i++) {
        size_t hash = hash_find(offered[i].hash);
        best = hash < best ? hash : best;
    }
    if (best == HASHES) {
        snprintf(why, DTLS_FAILURE_MAX, "fingerprint mismatch: none offered with a known hash");
        return false;
    }
    struct dtls_fingerprint seen;
    if (!dtls_fingerprint_of(certificate, hashes[best].name, &seen)) {
        snprintf(why, DTLS_FAILURE_MAX, "fingerprint mismatch: %s failed", hashes[best].name);
        return false;
    }
    const char *expected = "";
    for (unsigned i = 0; i < count; i++) {
        if (hash_find(offered[i].hash) != best)
            continue;
        if (strcasecmp(offered[i].value, seen.value) == 0)
            return true;
        expected = offered[i].value;
    }
    snprintf(why, DTLS_FAILURE_MAX, "fingerprint mismatch: %s expected %.95s, got %.95s", seen.hash,
             expected, seen.value);
    return false;
}
