// STUN's checks against a second implementation of them.
//
// The mutator signs what it made with the key, so that mutants get past the checks. Then what
// stun_check_* say must be what HMAC and CRC-32, computed here, say; and a message with one bit
// flipped under a check must not pass it.
#include "fuzz/fuzz.h"
#include "fuzz/kit/stun_mutate.h"
#include "stack/stun/stun.h"

#define ROOM STUN_MUTATE_MAX

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return stun_mutate(data, size, max, seed);
}

static unsigned u16_at(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
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
    uint8_t mac[32];
    const uint8_t *raw = msg->raw.at;
    if (msg->integrity_at) {
        stun_model_hmac(msg->raw, msg->integrity_at, 20, false, mac);
        want.integrity = memcmp(mac, raw + msg->integrity_at + 4, 20) == 0;
    }
    if (msg->integrity256_at && msg->integrity256_len == 32) { // no usage here truncates it
        stun_model_hmac(msg->raw, msg->integrity256_at, msg->integrity256_len, true, mac);
        want.integrity256 = memcmp(mac, raw + msg->integrity256_at + 4, msg->integrity256_len) == 0;
    }
    if (msg->fingerprint_at && msg->fingerprint_at + 8 == msg->raw.len) {
        const uint8_t *at = raw + msg->fingerprint_at + 4;
        uint32_t got = (uint32_t)u16_at(at) << 16 | u16_at(at + 2);
        want.fingerprint = got == (stun_model_crc32(raw, msg->fingerprint_at) ^ 0x5354554e);
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
        key = stun_key_new(bytes_text(STUN_MUTATE_PASSWORD));
    struct stun_msg msg, other;
    if (size > ROOM || stun_decode(bytes_of(data, size), &msg) != STUN_OK)
        return 0;
    check_agrees(&msg, key);
    struct verdicts before = ask(&msg, key);

    // One bit, in a place that the bytes choose.
    uint8_t copy[ROOM];
    memcpy(copy, data, size);
    size_t bit = stun_model_crc32(data, size) % (size * 8);
    copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    if (stun_decode(bytes_of(copy, size), &other) != STUN_OK)
        return 0;
    check_agrees(&other, key);
    // The two bytes of the length are not covered: they are computed anew for each check. And a bit
    // of a type or length may bring out an attribute that was sealed, too, as part of a value.
    bool length = bit / 8 == 2 || bit / 8 == 3;
    bool same = other.integrity_at == msg.integrity_at;
    bool same256 = other.integrity256_at == msg.integrity256_at;
    if (before.integrity && same && !length && bit / 8 < msg.integrity_at + 24)
        assert(!stun_check_integrity(&other, key));
    if (before.integrity256 && same256 && !length &&
        bit / 8 < msg.integrity256_at + 4 + msg.integrity256_len)
        assert(!stun_check_integrity256(&other, key));
    if (before.fingerprint)
        assert(!stun_check_fingerprint(&other));
    return 0;
}
