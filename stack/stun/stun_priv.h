// Shared inside stack/stun only.
#ifndef STACK_STUN_STUN_PRIV_H
#define STACK_STUN_STUN_PRIV_H

#include "stack/stun/stun.h"

#define STUN_SHA1_LEN 20
#define STUN_SHA256_LEN 32
#define STUN_FINGERPRINT_XOR 0x5354554eu // RFC 8489 14.7

uint32_t stun_crc32(struct bytes bytes);

// A bit of stun_msg.has for each attribute type of enum stun_attr; -1 for a type that has none.
// The types sit in three dense ranges, so 56 bits are enough.
static inline int stun_attr_bit(unsigned type)
{
    if (type <= 0x27)
        return (int)type;
    if (type >= 0x8000 && type <= 0x8004)
        return (int)(40 + type - 0x8000);
    if (type >= 0x8022 && type <= 0x802c)
        return (int)(45 + type - 0x8022);
    return -1;
}
#define STUN_ATTR_BITS 56

// HMAC over `message` up to `attr_at`, with the header's length set as though the attribute at
// `attr_at`, whose value has `value_len` bytes, were the last. `out` has room for STUN_SHA256_LEN.
void stun_key_hmac(struct stun_key *key, bool sha256, struct bytes message, size_t attr_at,
                   size_t value_len, uint8_t *out);

// Plain HMAC-SHA256 of `bytes`.
void stun_key_mac(struct stun_key *key, struct bytes bytes, uint8_t out[STUN_SHA256_LEN]);

#endif
