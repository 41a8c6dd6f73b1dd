// HMAC keys for STUN. OpenSSL does the hashing; this file keeps its states keyed.
//
// An HMAC is two hashes, each begun with the key in a padded block (RFC 2104 2). Those two states
// are made once for each key; a message then costs two copies of a state instead of two keyings.
#include "stack/stun/stun_priv.h"

#include "base/arena.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#define BLOCK_LEN 64 // of both SHA-1 and SHA-256

struct keyed {
    EVP_MD_CTX *inner, *outer;
};

struct stun_key {
    uint8_t block[BLOCK_LEN]; // the key, zero-padded
    size_t long_len;          // of a key longer than a block, which hashes differ on; else 0
    uint8_t *long_key;
    struct keyed sha1, sha256; // made when first used
    EVP_MD_CTX *work;
};

static EVP_MD_CTX *hash_new(void)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    assert(hash);
    return hash;
}

struct stun_key *stun_key_new(struct bytes password)
{
    struct stun_key *key = mem_zero(1, sizeof *key);
    key->work = hash_new();
    if (password.len > BLOCK_LEN) {
        key->long_key = mem_alloc(password.len);
        memcpy(key->long_key, password.at, password.len);
        key->long_len = password.len;
    } else if (password.len) {
        memcpy(key->block, password.at, password.len);
    }
    return key;
}

struct stun_key *stun_key_new_long_term(struct bytes username, struct bytes realm,
                                        struct bytes password,
                                        enum stun_password_algorithm algorithm)
{
    const struct bytes colon = bytes_text(":");
    const struct bytes parts[] = {username, colon, realm, colon, password};
    EVP_MD_CTX *hash = hash_new();
    int ok = EVP_DigestInit_ex2(hash, algorithm == STUN_MD5 ? EVP_md5() : EVP_sha256(), NULL);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ok &= EVP_DigestUpdate(hash, parts[i].at, parts[i].len);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    ok &= EVP_DigestFinal_ex(hash, digest, &len);
    EVP_MD_CTX_free(hash);
    assert(ok);
    struct stun_key *key = stun_key_new(bytes_of(digest, len));
    OPENSSL_cleanse(digest, sizeof digest);
    return key;
}

void stun_key_free(struct stun_key *key)
{
    if (!key)
        return;
    EVP_MD_CTX_free(key->sha1.inner);
    EVP_MD_CTX_free(key->sha1.outer);
    EVP_MD_CTX_free(key->sha256.inner);
    EVP_MD_CTX_free(key->sha256.outer);
    EVP_MD_CTX_free(key->work);
    if (key->long_key)
        OPENSSL_cleanse(key->long_key, key->long_len);
    free(key->long_key);
    OPENSSL_cleanse(key, sizeof *key);
    free(key);
}

static EVP_MD_CTX *padded(const EVP_MD *md, const uint8_t block[BLOCK_LEN], uint8_t pad)
{
    uint8_t mixed[BLOCK_LEN];
    for (size_t i = 0; i < BLOCK_LEN; i++)
        mixed[i] = block[i] ^ pad;
    EVP_MD_CTX *hash = hash_new();
    int ok = EVP_DigestInit_ex2(hash, md, NULL) && EVP_DigestUpdate(hash, mixed, sizeof mixed);
    OPENSSL_cleanse(mixed, sizeof mixed);
    assert(ok);
    return hash;
}

static const struct keyed *keyed_get(struct stun_key *key, bool sha256)
{
    struct keyed *keyed = sha256 ? &key->sha256 : &key->sha1;
    if (keyed->inner)
        return keyed;
    const EVP_MD *md = sha256 ? EVP_sha256() : EVP_sha1();
    uint8_t block[BLOCK_LEN];
    memcpy(block, key->block, sizeof block);
    if (key->long_len) { // RFC 2104 2: a key longer than a block is hashed first
        int ok = EVP_Digest(key->long_key, key->long_len, block, NULL, md, NULL);
        assert(ok);
    }
    keyed->inner = padded(md, block, 0x36);
    keyed->outer = padded(md, block, 0x5c);
    OPENSSL_cleanse(block, sizeof block);
    return keyed;
}

static void mac(struct stun_key *key, bool sha256, struct bytes head, struct bytes rest,
                uint8_t *out)
{
    const struct keyed *keyed = keyed_get(key, sha256);
    uint8_t inner[STUN_SHA256_LEN];
    unsigned len = 0;
    int ok = EVP_MD_CTX_copy_ex(key->work, keyed->inner) &&
             EVP_DigestUpdate(key->work, head.at, head.len);
    if (ok && rest.len)
        ok = EVP_DigestUpdate(key->work, rest.at, rest.len);
    ok = ok && EVP_DigestFinal_ex(key->work, inner, &len) &&
         EVP_MD_CTX_copy_ex(key->work, keyed->outer) && EVP_DigestUpdate(key->work, inner, len) &&
         EVP_DigestFinal_ex(key->work, out, &len);
    assert(ok);
}

void stun_key_mac(struct stun_key *key, struct bytes bytes, uint8_t out[STUN_SHA256_LEN])
{
    mac(key, true, bytes, bytes_of(NULL, 0), out);
}

void stun_key_hmac(struct stun_key *key, bool sha256, struct bytes message, size_t attr_at,
                   size_t value_len, uint8_t *out)
{
    assert(attr_at >= STUN_HEADER_LEN && attr_at <= message.len);
    // RFC 8489 14.5, 14.6: the length points to the end of this attribute. Short messages are put
    // together first: one update costs less than two.
    uint8_t head[256];
    size_t head_len = attr_at < sizeof head ? attr_at : STUN_HEADER_LEN;
    memcpy(head, message.at, head_len);
    put_u16(head + 2, (uint16_t)(attr_at + 4 + value_len - STUN_HEADER_LEN));
    mac(key, sha256, bytes_of(head, head_len), bytes_of(message.at + head_len, attr_at - head_len),
        out);
}

bool stun_check_integrity(const struct stun_msg *msg, struct stun_key *key)
{
    if (!msg->integrity_at)
        return false;
    uint8_t want[STUN_SHA256_LEN];
    stun_key_hmac(key, false, msg->raw, msg->integrity_at, STUN_SHA1_LEN, want);
    return CRYPTO_memcmp(want, msg->raw.at + msg->integrity_at + 4, STUN_SHA1_LEN) == 0;
}

bool stun_check_integrity256(const struct stun_msg *msg, struct stun_key *key)
{
    // RFC 8489 14.6: the full 32 bytes unless the usage allows truncation. None here does.
    if (!msg->integrity256_at || msg->integrity256_len != STUN_SHA256_LEN)
        return false;
    uint8_t want[STUN_SHA256_LEN];
    stun_key_hmac(key, true, msg->raw, msg->integrity256_at, STUN_SHA256_LEN, want);
    return CRYPTO_memcmp(want, msg->raw.at + msg->integrity256_at + 4, STUN_SHA256_LEN) == 0;
}

static void add_hmac(struct stun_writer *s, struct stun_key *key, bool sha256)
{
    size_t at = s->w.len, len = sha256 ? STUN_SHA256_LEN : STUN_SHA1_LEN;
    uint8_t *room = write_room(&s->w, 4 + len);
    if (!room)
        return;
    uint8_t hmac[STUN_SHA256_LEN];
    stun_key_hmac(key, sha256, bytes_of(s->w.at, at), at, len, hmac);
    put_u16(room, sha256 ? STUN_MESSAGE_INTEGRITY_SHA256 : STUN_MESSAGE_INTEGRITY);
    put_u16(room + 2, (uint16_t)len);
    memcpy(room + 4, hmac, len);
}

void stun_add_integrity(struct stun_writer *s, struct stun_key *key)
{
    add_hmac(s, key, false);
}

void stun_add_integrity256(struct stun_writer *s, struct stun_key *key)
{
    add_hmac(s, key, true);
}
