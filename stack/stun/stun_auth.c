// Credentials of STUN requests (RFC 8489 9).
#include "stack/stun/stun_auth.h"

#include "base/arena.h"
#include "stack/stun/stun_priv.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct stun_auth {
    bool long_term;
    struct bytes username, password; // owned
    uint8_t realm[STUN_TEXT_MAX], nonce[STUN_TEXT_MAX], algorithms[STUN_ALGORITHMS_MAX];
    size_t realm_len, nonce_len, algorithms_len;
    enum stun_password_algorithm algorithm;
    bool challenged, anonymous;
    bool sha256; // RFC 8489 9.2.5: once PASSWORD-ALGORITHMS was seen, only the SHA-256 integrity
    struct stun_key *key;
};

static struct bytes copy_of(struct bytes from)
{
    uint8_t *to = mem_alloc(from.len);
    if (from.len)
        memcpy(to, from.at, from.len);
    return bytes_of(to, from.len);
}

static struct stun_auth *auth_new(struct bytes username, struct bytes password, bool long_term)
{
    struct stun_auth *auth = mem_zero(1, sizeof *auth);
    auth->username = copy_of(username);
    auth->password = copy_of(password);
    auth->long_term = long_term;
    return auth;
}

struct stun_auth *stun_auth_new_short_term(struct bytes username, struct bytes password)
{
    struct stun_auth *auth = auth_new(username, password, false);
    auth->key = stun_key_new(password);
    return auth;
}

struct stun_auth *stun_auth_new_long_term(struct bytes username, struct bytes password)
{
    return auth_new(username, password, true);
}

void stun_auth_free(struct stun_auth *auth)
{
    if (!auth)
        return;
    stun_key_free(auth->key);
    free((void *)auth->username.at);
    OPENSSL_cleanse((void *)auth->password.at, auth->password.len);
    free((void *)auth->password.at);
    free(auth);
}

bool stun_auth_is_ready(const struct stun_auth *auth)
{
    return auth->key != NULL;
}

void stun_auth_reset(struct stun_auth *auth)
{
    if (!auth->long_term)
        return;
    stun_key_free(auth->key);
    auth->key = NULL;
    auth->challenged = auth->anonymous = auth->sha256 = false;
    auth->realm_len = auth->nonce_len = auth->algorithms_len = 0;
}

void stun_auth_add(struct stun_auth *auth, struct stun_writer *s)
{
    if (!auth->key)
        return; // RFC 8489 9.2.3.1: the first request omits all of this
    struct bytes realm = bytes_of(auth->realm, auth->realm_len);
    if (auth->anonymous) {
        uint8_t hash[STUN_USERHASH_LEN];
        stun_userhash(auth->username, realm, hash);
        stun_add_bytes(s, STUN_USERHASH, bytes_of(hash, sizeof hash));
    } else {
        stun_add_bytes(s, STUN_USERNAME, auth->username);
    }
    if (auth->long_term) {
        stun_add_bytes(s, STUN_REALM, realm);
        stun_add_bytes(s, STUN_NONCE, bytes_of(auth->nonce, auth->nonce_len));
    }
    if (auth->algorithms_len) {
        // RFC 8489 9.2.5: the list goes back as it came, with our choice from it.
        struct bytes list = bytes_of(auth->algorithms, auth->algorithms_len);
        stun_add_bytes(s, STUN_PASSWORD_ALGORITHMS, list);
        stun_add_u32(s, STUN_PASSWORD_ALGORITHM, (uint32_t)auth->algorithm << 16);
    }
    if (auth->sha256)
        stun_add_integrity256(s, auth->key);
    else
        stun_add_integrity(s, auth->key);
}

bool stun_auth_check(struct stun_auth *auth, const struct stun_msg *response)
{
    if (!auth->key)
        return false;
    return auth->sha256 ? stun_check_integrity256(response, auth->key)
                        : stun_check_integrity(response, auth->key);
}

// RFC 8489 9.2.5: its nonce announces password algorithms, and their list is gone: somebody took it
// out on the way.
static bool is_stripped(const struct stun_msg *response)
{
    uint32_t features = 0;
    return stun_nonce_features(response->nonce, &features) &&
           features & STUN_FEATURE_PASSWORD_ALGORITHMS &&
           !stun_has(response, STUN_PASSWORD_ALGORITHMS);
}

enum stun_auth_verdict stun_auth_judge(struct stun_auth *auth, bool authenticated,
                                       const struct stun_msg *response)
{
    bool is_unsigned = !response->integrity_at && !response->integrity256_at;
    bool challenge =
        response->class == STUN_ERROR &&
        (response->error_code == STUN_UNAUTHENTICATED || response->error_code == STUN_STALE_NONCE);
    bool stripped = !challenge && is_stripped(response); // of a challenge: STUN_AUTH_BID_DOWN
    bool trusted = !authenticated || stun_auth_check(auth, response) || (challenge && is_unsigned);
    if (trusted && !stripped)
        return STUN_AUTH_COUNTS;
    return is_unsigned && response->error_code == STUN_BAD_REQUEST ? STUN_AUTH_UNHEARD
                                                                   : STUN_AUTH_FORGED;
}

static enum stun_auth_step choose_algorithm(const struct stun_msg *error,
                                            enum stun_password_algorithm *out)
{
    *out = STUN_MD5;
    if (is_stripped(error))
        return STUN_AUTH_BID_DOWN; // RFC 8489 9.2.5: MUST NOT retry
    if (!stun_has(error, STUN_PASSWORD_ALGORITHMS))
        return STUN_AUTH_RETRY;
    if (error->password_algorithms.len > STUN_ALGORITHMS_MAX ||
        !stun_algorithms_pick(error->password_algorithms, out))
        return STUN_AUTH_UNSUPPORTED;
    return STUN_AUTH_RETRY;
}

enum stun_auth_step stun_auth_challenge(struct stun_auth *auth, const struct stun_msg *error)
{
    if (!auth->long_term)
        return STUN_AUTH_REFUSED;
    struct bytes old = bytes_of(auth->realm, auth->realm_len);
    // RFC 8489 9.2.5: a 438 may leave the realm as it was.
    struct bytes realm = stun_has(error, STUN_REALM) ? error->realm : old;
    if (!stun_has(error, STUN_NONCE) || (!auth->challenged && !stun_has(error, STUN_REALM)))
        return STUN_AUTH_UNSUPPORTED;
    assert(realm.len <= STUN_TEXT_MAX && error->nonce.len <= STUN_TEXT_MAX);

    enum stun_password_algorithm algorithm;
    enum stun_auth_step step = choose_algorithm(error, &algorithm);
    if (step != STUN_AUTH_RETRY)
        return step;
    bool same = auth->challenged && bytes_equal(realm, old) && algorithm == auth->algorithm;
    // RFC 8489 9.2.5: no retry of a 401 with the user, realm and password that were refused.
    if (same && error->error_code == STUN_UNAUTHENTICATED)
        return STUN_AUTH_REFUSED;

    if (!same) {
        stun_key_free(auth->key);
        auth->key = stun_key_new_long_term(auth->username, realm, auth->password, algorithm);
        memmove(auth->realm, realm.at, realm.len);
        auth->realm_len = realm.len;
        auth->algorithm = algorithm;
    }
    if (error->nonce.len)
        memcpy(auth->nonce, error->nonce.at, error->nonce.len);
    auth->nonce_len = error->nonce.len;
    auth->sha256 = stun_has(error, STUN_PASSWORD_ALGORITHMS);
    auth->algorithms_len = error->password_algorithms.len;
    if (auth->algorithms_len)
        memcpy(auth->algorithms, error->password_algorithms.at, auth->algorithms_len);
    uint32_t features = 0;
    auth->anonymous =
        stun_nonce_features(error->nonce, &features) && features & STUN_FEATURE_USERNAME_ANONYMITY;
    auth->challenged = true;
    return STUN_AUTH_RETRY;
}

// ----------------------------------------------------------------------------------------- nonces

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char nonce_prefix[] = "obMatJos2";
#define NONCE_PREFIX_LEN (sizeof nonce_prefix - 1)

bool stun_nonce_features(struct bytes nonce, uint32_t *features)
{
    if (nonce.len < STUN_NONCE_COOKIE_LEN || !bytes_starts(nonce, nonce_prefix))
        return false;
    uint32_t bits = 0;
    for (size_t i = NONCE_PREFIX_LEN; i < STUN_NONCE_COOKIE_LEN; i++) {
        const char *found = nonce.at[i] ? strchr(base64, nonce.at[i]) : NULL;
        if (!found)
            return false;
        bits = bits << 6 | (uint32_t)(found - base64);
    }
    *features = bits;
    return true;
}

static void print_hex(uint64_t value, char out[16])
{
    for (int i = 0; i < 16; i++)
        out[i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
}

void stun_nonce_make(struct stun_key *secret, uint32_t features, nanotime now,
                     const struct addr *client, char out[STUN_NONCE_LEN])
{
    memcpy(out, nonce_prefix, NONCE_PREFIX_LEN);
    for (unsigned i = 0; i < 4; i++)
        out[NONCE_PREFIX_LEN + i] = base64[features >> (18 - 6 * i) & 63];
    char *time = out + STUN_NONCE_COOKIE_LEN;
    print_hex((uint64_t)now, time);

    // RFC 8489 9.2.4: no two source addresses may get the same nonce.
    uint8_t covered[STUN_NONCE_COOKIE_LEN + 16 + 20], mac[STUN_SHA256_LEN];
    memcpy(covered, out, STUN_NONCE_COOKIE_LEN + 16);
    memcpy(covered + STUN_NONCE_COOKIE_LEN + 16, client->ip.at, 16);
    put_u16(covered + STUN_NONCE_COOKIE_LEN + 32, client->ip.family);
    put_u16(covered + STUN_NONCE_COOKIE_LEN + 34, client->port);
    stun_key_mac(secret, bytes_of(covered, sizeof covered), mac);
    struct reader r = reader_of(bytes_of(mac, sizeof mac));
    print_hex(read_u64(&r), time + 16);
}

bool stun_nonce_check(struct stun_key *secret, uint32_t features, const struct addr *client,
                      struct bytes nonce, nanotime *made_at)
{
    if (nonce.len != STUN_NONCE_LEN)
        return false;
    uint64_t time = 0;
    for (size_t i = STUN_NONCE_COOKIE_LEN; i < STUN_NONCE_COOKIE_LEN + 16; i++) {
        uint8_t c = nonce.at[i];
        bool digit = c >= '0' && c <= '9';
        if (!digit && (c < 'a' || c > 'f'))
            return false;
        time = time << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    char want[STUN_NONCE_LEN];
    stun_nonce_make(secret, features, (nanotime)time, client, want);
    if (CRYPTO_memcmp(want, nonce.at, sizeof want) != 0)
        return false;
    *made_at = (nanotime)time;
    return true;
}

// ------------------------------------------------------------------------------------- algorithms

bool stun_algorithms_has(struct bytes list, unsigned algorithm)
{
    struct reader r = reader_of(list);
    bool found = false;
    while (r.len > 0 && !r.failed) {
        unsigned number = read_u16(&r), len = read_u16(&r);
        read_skip(&r, len);
        size_t padding = (0 - len) & 3;
        read_skip(&r, padding < r.len ? padding : r.len); // the last one may lack its padding
        found |= number == algorithm;
    }
    return found && !r.failed;
}

bool stun_algorithms_pick(struct bytes list, enum stun_password_algorithm *out)
{
    // RFC 8656 6: with both offered, SHA-256 MUST be taken.
    *out = stun_algorithms_has(list, STUN_SHA256) ? STUN_SHA256 : STUN_MD5;
    return stun_algorithms_has(list, *out);
}

void stun_userhash(struct bytes username, struct bytes realm, uint8_t out[STUN_USERHASH_LEN])
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    assert(hash);
    int ok = EVP_DigestInit_ex2(hash, EVP_sha256(), NULL) &&
             EVP_DigestUpdate(hash, username.at, username.len) && EVP_DigestUpdate(hash, ":", 1) &&
             EVP_DigestUpdate(hash, realm.at, realm.len) && EVP_DigestFinal_ex(hash, out, NULL);
    EVP_MD_CTX_free(hash);
    assert(ok);
}
