// STUN's checks against a second implementation of them.
//
// The mutator signs what it made with the key, so that mutants get past the checks. Then what
// stun_check_* say must be what HMAC and CRC-32, computed here, say; and a message with one bit
// flipped under a check must not pass it.
#include "fuzz/fuzz.h"
#include "stack/stun/stun.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define ROOM 4096
static const char password[] = "VOkJxbRl1RmTxUk/WvJxBt"; // RFC 5769 2

static unsigned u16_at(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

// HMAC over the message up to `at`, with the length of the header as RFC 8489 14.5 wants it.
static void hmac(struct bytes raw, size_t at, size_t mac_len, const EVP_MD *hash, uint8_t *out)
{
    uint8_t copy[ROOM];
    assert(at <= sizeof copy);
    memcpy(copy, raw.at, at);
    put_u16(copy + 2, (uint16_t)(at + 4 + mac_len - STUN_HEADER_LEN));
    unsigned len;
    HMAC(hash, password, (int)strlen(password), copy, at, out, &len);
}

// ITU V.42, a bit at a time.
static uint32_t crc32_slow(const uint8_t *at, size_t len)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

// The end of the attributes that may stand before the checks.
static size_t attributes_end(const uint8_t *data, size_t size)
{
    size_t at = STUN_HEADER_LEN;
    while (at + 4 <= size) {
        unsigned type = u16_at(data + at), len = u16_at(data + at + 2);
        size_t next = at + 4 + ((len + 3u) & ~3u);
        if (type == STUN_MESSAGE_INTEGRITY || type == STUN_MESSAGE_INTEGRITY_SHA256 ||
            type == STUN_FINGERPRINT || next > size)
            break;
        at = next;
    }
    return at;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max);
    if (seed % 16 == 0 || max < STUN_HEADER_LEN + 72 || max > ROOM)
        return size;
    if (size < STUN_HEADER_LEN)
        memset(data + size, 0, STUN_HEADER_LEN - size);
    size = size < STUN_HEADER_LEN ? STUN_HEADER_LEN : size;
    data[0] &= 0x3f;
    put_u32(data + 4, STUN_COOKIE);
    struct writer w = writer_of(data, max);
    w.len = attributes_end(data, size);
    w.len = w.len > max - 72 ? STUN_HEADER_LEN : w.len;
    uint8_t mac[EVP_MAX_MD_SIZE];
    if (seed & 0x100) {
        hmac(bytes_of(data, w.len), w.len, 20, EVP_sha1(), mac);
        write_u32(&w, (uint32_t)STUN_MESSAGE_INTEGRITY << 16 | 20);
        write_bytes(&w, bytes_of(mac, 20));
    }
    if (seed & 0x200) {
        size_t len = 16 + (seed >> 12) % 5 * 4;
        hmac(bytes_of(data, w.len), w.len, len, EVP_sha256(), mac);
        write_u32(&w, (uint32_t)STUN_MESSAGE_INTEGRITY_SHA256 << 16 | (uint32_t)len);
        write_bytes(&w, bytes_of(mac, len));
    }
    if (seed & 0x400) {
        put_u16(data + 2, (uint16_t)(w.len + 8 - STUN_HEADER_LEN));
        uint32_t crc = crc32_slow(data, w.len);
        write_u32(&w, (uint32_t)STUN_FINGERPRINT << 16 | 4);
        write_u32(&w, crc ^ 0x5354554e);
    }
    put_u16(data + 2, (uint16_t)(w.len - STUN_HEADER_LEN));
    return w.len;
}

struct verdicts {
    bool integrity, integrity256, fingerprint;
};

static struct verdicts ask(const struct stun_msg *msg, struct stun_key *key)
{
    return (struct verdicts){stun_check_integrity(msg, key), stun_check_integrity256(msg, key),
                             stun_check_fingerprint(msg)};
}

static struct verdicts compute(const struct stun_msg *msg)
{
    struct verdicts want = {0};
    uint8_t mac[EVP_MAX_MD_SIZE];
    const uint8_t *raw = msg->raw.at;
    if (msg->integrity_at) {
        hmac(msg->raw, msg->integrity_at, 20, EVP_sha1(), mac);
        want.integrity = memcmp(mac, raw + msg->integrity_at + 4, 20) == 0;
    }
    if (msg->integrity256_at && msg->integrity256_len == 32) { // no usage here truncates it
        hmac(msg->raw, msg->integrity256_at, msg->integrity256_len, EVP_sha256(), mac);
        want.integrity256 = memcmp(mac, raw + msg->integrity256_at + 4, msg->integrity256_len) == 0;
    }
    if (msg->fingerprint_at && msg->fingerprint_at + 8 == msg->raw.len) {
        const uint8_t *at = raw + msg->fingerprint_at + 4;
        uint32_t got = (uint32_t)u16_at(at) << 16 | u16_at(at + 2);
        want.fingerprint = got == (crc32_slow(raw, msg->fingerprint_at) ^ 0x5354554e);
    }
    return want;
}

static void check_agrees(const struct stun_msg *msg, struct stun_key *key)
{
    struct verdicts got = ask(msg, key), want = compute(msg);
    assert(got.integrity == want.integrity);
    assert(got.integrity256 == want.integrity256);
    assert(got.fingerprint == want.fingerprint);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct stun_key *key;
    if (!key)
        key = stun_key_new(bytes_text(password));
    struct stun_msg msg, other;
    if (size > ROOM || stun_decode(bytes_of(data, size), &msg) != STUN_OK)
        return 0;
    check_agrees(&msg, key);
    struct verdicts before = ask(&msg, key);

    // One bit, in a place that the bytes choose.
    uint8_t copy[ROOM];
    memcpy(copy, data, size);
    size_t bit = crc32_slow(data, size) % (size * 8);
    copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    if (stun_decode(bytes_of(copy, size), &other) != STUN_OK)
        return 0;
    check_agrees(&other, key);
    // The two bytes of the length are not covered: they are computed anew for each check.
    bool length = bit / 8 == 2 || bit / 8 == 3;
    if (before.integrity && !length && bit / 8 < msg.integrity_at + 24)
        assert(!stun_check_integrity(&other, key));
    if (before.integrity256 && !length && bit / 8 < msg.integrity256_at + 4 + msg.integrity256_len)
        assert(!stun_check_integrity256(&other, key));
    if (before.fingerprint)
        assert(!stun_check_fingerprint(&other));
    return 0;
}
