// Any bytes as SRTP and SRTCP. What opens, sealed again by its sender, is the same bytes; it does
// not open twice, nor with any bit changed, nor under another key, nor back at its sender; what
// does not open has a reason, which is that one, and is counted. The mutator opens what is sealed,
// changes it and seals it again.
#include "fuzz/fuzz.h"
#include "stack/srtp/srtp.h"

// libFuzzer: -max_len=2000

#define ROOM 2048
#define PROFILES 3

static const enum secure_profile profiles[PROFILES] = {
    SECURE_AES128_CM_SHA1_80, SECURE_AEAD_AES_128_GCM, SECURE_AEAD_AES_256_GCM};

static struct secure *side(unsigned profile, bool client, uint8_t key)
{
    uint8_t material[SECURE_MATERIAL_MAX];
    for (size_t i = 0; i < sizeof material; i++)
        material[i] = (uint8_t)(i * 7 + key);
    const struct secure_config config = {profiles[profile], bytes_of(material, sizeof material),
                                         client, 0};
    struct secure *secure = secure_new(&config);
    assert(secure);
    return secure;
}

typedef enum secure_outcome protect_fn(struct secure *, uint8_t *, size_t *, size_t);
typedef enum secure_outcome open_fn(struct secure *, uint8_t *, size_t *);
static protect_fn *const protects[] = {secure_protect_rtp, secure_protect_rtcp};
static open_fn *const opens[] = {secure_open_rtp, secure_open_rtcp};

// The first two bytes say how it is sealed: a profile, and RTP or RTCP.
struct how {
    unsigned profile;
    bool rtcp;
};
static struct how how_of(const uint8_t *data)
{
    return (struct how){data[0] % PROFILES, data[1] & 1};
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    uint8_t packet[ROOM];
    if (size < 2 || size > ROOM - SECURE_OVERHEAD_MAX || max < size + SECURE_OVERHEAD_MAX ||
        seed % 4 == 0)
        return LLVMFuzzerMutate(data, size, max);
    struct how how = how_of(data);
    size_t len = size - 2;
    struct secure *receiver = side(how.profile, false, 0), *sender = side(how.profile, true, 0);
    memcpy(packet, data + 2, len);
    if (opens[how.rtcp](receiver, packet, &len) != SECURE_OK) {
        len = size - 2;
        memcpy(packet, data + 2, len);
    }
    size_t room = max - 2 < ROOM ? max - 2 : ROOM;
    len = LLVMFuzzerMutate(packet, len, room - SECURE_OVERHEAD_MAX);
    size_t sealed = len;
    if (protects[how.rtcp](sender, packet, &sealed, room) != SECURE_OK)
        sealed = len;
    memcpy(data + 2, packet, sealed);
    secure_free(receiver);
    secure_free(sender);
    return sealed + 2;
}

// What has opened, in `clear`: sealed again it is what came. (SRTCP counts its packets: the first
// alone is the same.)
static void seal_again(struct how how, struct bytes sealed, const uint8_t *clear, size_t len)
{
    uint8_t again[ROOM];
    struct secure *sender = side(how.profile, true, 0);
    memcpy(again, clear, len);
    assert(protects[how.rtcp](sender, again, &len, sizeof again) == SECURE_OK);
    assert(len == sealed.len);
    assert(how.rtcp || memcmp(again, sealed.at, len) == 0);
    secure_free(sender);
}

static enum secure_outcome stays_shut(struct secure *receiver, struct how how,
                                      const uint8_t *packet, size_t len)
{
    uint8_t copy[ROOM];
    const struct secure_stats before = *secure_stats(receiver);
    size_t got = len;
    memcpy(copy, packet, len);
    enum secure_outcome outcome = opens[how.rtcp](receiver, copy, &got);
    assert(outcome != SECURE_OK && outcome < SECURE_OUTCOMES && got == len);
    assert(secure_stats(receiver)->opened == before.opened);
    assert(secure_stats(receiver)->refused[outcome] == before.refused[outcome] + 1);
    assert(secure_outcome_name(outcome)[0] != 0);
    return outcome;
}

static void check_opened(struct secure *receiver, struct how how, struct bytes sealed)
{
    uint8_t copy[ROOM];
    assert(stays_shut(receiver, how, sealed.at, sealed.len) == SECURE_REPLAYED);
    struct secure *stranger = side(how.profile, false, 1), *fresh = side(how.profile, false, 0);
    struct secure *sender = side(how.profile, true, 0);
    assert(stays_shut(stranger, how, sealed.at, sealed.len) == SECURE_UNAUTHENTICATED);
    assert(stays_shut(sender, how, sealed.at, sealed.len) == SECURE_UNAUTHENTICATED);
    memcpy(copy, sealed.at, sealed.len);
    size_t bit = (sealed.at[2] * 256u + sealed.at[sealed.len - 1]) % (sealed.len * 8);
    copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
    stays_shut(fresh, how, copy, sealed.len);
    stays_shut(fresh, how, sealed.at, sealed.len - 1);
    secure_free(stranger);
    secure_free(sender);
    secure_free(fresh);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool kept;
    uint8_t packet[ROOM];
    if (size < 2 || size > ROOM)
        return 0;
    if (!kept) { // the library keeps one session for the life of the process
        kept = atexit(secure_library_fini) == 0;
        assert(kept);
    }
    struct how how = how_of(data);
    struct secure *receiver = side(how.profile, false, 0);
    struct bytes sealed = bytes_of(data + 2, size - 2);
    size_t len = sealed.len;
    memcpy(packet, sealed.at, len);
    enum secure_outcome outcome = opens[how.rtcp](receiver, packet, &len);
    assert(outcome < SECURE_OUTCOMES);
    if (outcome == SECURE_OK) {
        assert(len < sealed.len && sealed.len - len <= SECURE_OVERHEAD_MAX);
        assert(secure_stats(receiver)->opened == 1);
        seal_again(how, sealed, packet, len);
        check_opened(receiver, how, sealed);
    } else {
        assert(len == sealed.len && secure_stats(receiver)->refused[outcome] == 1);
    }
    secure_free(receiver);
    return 0;
}
