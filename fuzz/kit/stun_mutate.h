// Mutation of STUN messages that gets past what seals them.
//
// Attributes are swapped, repeated, removed and spliced, lengths and padding made good, and then
// MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT computed anew, by code that shares
// nothing with the stack's.
#ifndef FUZZ_KIT_STUN_MUTATE_H
#define FUZZ_KIT_STUN_MUTATE_H

#include "base/bytes.h"

#define STUN_MUTATE_MAX 4096
#define STUN_MUTATE_PASSWORD "VOkJxbRl1RmTxUk/WvJxBt" // RFC 5769 2

// As LLVMFuzzerCustomMutator; sealed by STUN_MUTATE_PASSWORD.
size_t stun_mutate(uint8_t *data, size_t size, size_t max, unsigned seed);

// HMAC with that password over the message up to `at`, with the length of the header as RFC 8489
// 14.5 wants it: `mac_len` bytes follow. SHA-1, or SHA-256; `out` has room for 32 bytes.
void stun_model_hmac(struct bytes raw, size_t at, size_t mac_len, bool sha256, uint8_t *out);
uint32_t stun_model_crc32(const uint8_t *at, size_t len); // ITU V.42, a bit at a time

#endif
