// SRTP and SRTCP (RFC 3711, RFC 7714) under keys that DTLS agreed on (RFC 5764). libsrtp2 does the
// protocol; this gives it keys, bounds and names for what it refuses.
//
// One `struct secure` protects what one side sends and opens what it receives, for all SSRCs of the
// transport. Its own names begin with secure_: srtp_ is the library's.
#ifndef STACK_SRTP_SRTP_H
#define STACK_SRTP_SRTP_H

#include "base/bytes.h"

// Never NULL encryption. The numbers are those of DTLS (RFC 5764 4.1.2, RFC 7714 14.2).
enum secure_profile {
    SECURE_NONE = 0,
    SECURE_AES128_CM_SHA1_80 = 0x0001,
    SECURE_AEAD_AES_128_GCM = 0x0007,
    SECURE_AEAD_AES_256_GCM = 0x0008,
};
const char *secure_profile_name(enum secure_profile profile); // as the RFC writes it
// Of one side: master key and master salt. 0: not a profile of ours.
size_t secure_key_len(enum secure_profile profile);
size_t secure_salt_len(enum secure_profile profile);

#define SECURE_MATERIAL_MAX 88 // two keys of 32 bytes, two salts of 12
#define SECURE_OVERHEAD_MAX 20 // that protecting adds: tag, and the index of SRTCP
#define SECURE_WINDOW 1024     // replay window, packets (RFC 3711 3.3.2: at least 64)
#define SECURE_STREAMS_MAX 256 // SSRCs, each way

enum secure_outcome {
    SECURE_OK,
    SECURE_TOO_SHORT,       // no whole header, or no room for a tag
    SECURE_MALFORMED,       // a header that contradicts itself
    SECURE_UNAUTHENTICATED, // the tag does not fit: another key, or changed on its way
    SECURE_REPLAYED,        // the same packet came before
    SECURE_TOO_OLD,         // behind the replay window
    SECURE_KEY_EXPIRED,     // RFC 3711 9.2: 2^48 packets
    SECURE_NO_ROOM,         // the buffer has no room for the tag
    SECURE_TOO_MANY_STREAMS,
    SECURE_FAILED, // the library says no more than that
    SECURE_OUTCOMES,
};
const char *secure_outcome_name(enum secure_outcome outcome);

struct secure_config {
    enum secure_profile profile;
    // RFC 5764 4.2: client key, server key, client salt, server salt, as exported.
    struct bytes material;
    bool client;     // our role in the DTLS handshake
    unsigned window; // 0: SECURE_WINDOW
};

// NULL: no such profile, or not enough material.
struct secure *secure_new(const struct secure_config *config);
void secure_free(struct secure *secure); // NULL is allowed

// In place. `len` is of the packet, and of what it became; `max` of the buffer.
enum secure_outcome secure_protect_rtp(struct secure *secure, uint8_t *packet, size_t *len,
                                       size_t max);
enum secure_outcome secure_protect_rtcp(struct secure *secure, uint8_t *packet, size_t *len,
                                        size_t max);
enum secure_outcome secure_open_rtp(struct secure *secure, uint8_t *packet, size_t *len);
enum secure_outcome secure_open_rtcp(struct secure *secure, uint8_t *packet, size_t *len);

struct secure_stats {
    uint64_t protected, opened;
    uint64_t refused[SECURE_OUTCOMES]; // of what was to be opened
};
const struct secure_stats *secure_stats(const struct secure *secure);

// At exit, for leak checkers, after every session is freed. (The first secure_new starts the
// library, and keeps one session of it for the life of the process: starting it costs 0.6 ms.)
void secure_library_fini(void);

#endif
