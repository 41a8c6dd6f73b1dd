#include "stack/srtp/srtp.h"

#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>

#include <srtp2/srtp.h>

#define RTP_FIXED 12
#define RTCP_FIXED 8
#define RTCP_INDEX 4 // E and the index (RFC 3711 3.4)

struct secure_streams {
    uint32_t ssrc[SECURE_STREAMS_MAX];
    unsigned count;
};

struct secure {
    enum secure_profile profile;
    srtp_t out, in;
    struct secure_streams sending, receiving;
    struct secure_stats stats;
};

struct profile {
    enum secure_profile profile;
    const char *name;
    size_t key, salt, tag;
    srtp_profile_t library;
};
static const struct profile profiles[] = {
    {SECURE_AES128_CM_SHA1_80, "SRTP_AES128_CM_HMAC_SHA1_80", 16, 14, 10,
     srtp_profile_aes128_cm_sha1_80},
    {SECURE_AEAD_AES_128_GCM, "SRTP_AEAD_AES_128_GCM", 16, 12, 16, srtp_profile_aead_aes_128_gcm},
    {SECURE_AEAD_AES_256_GCM, "SRTP_AEAD_AES_256_GCM", 32, 12, 16, srtp_profile_aead_aes_256_gcm},
};

static const struct profile *profile_of(enum secure_profile profile)
{
    for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++) {
        if (profiles[i].profile == profile)
            return &profiles[i];
    }
    return NULL;
}

const char *secure_profile_name(enum secure_profile profile)
{
    const struct profile *found = profile_of(profile);
    return found ? found->name : "none";
}

size_t secure_key_len(enum secure_profile profile)
{
    const struct profile *found = profile_of(profile);
    return found ? found->key : 0;
}

size_t secure_salt_len(enum secure_profile profile)
{
    const struct profile *found = profile_of(profile);
    return found ? found->salt : 0;
}

const char *secure_outcome_name(enum secure_outcome outcome)
{
    static const char *const names[SECURE_OUTCOMES] = {
        [SECURE_OK] = "ok",
        [SECURE_TOO_SHORT] = "too-short",
        [SECURE_MALFORMED] = "malformed",
        [SECURE_UNAUTHENTICATED] = "unauthenticated",
        [SECURE_REPLAYED] = "replayed",
        [SECURE_TOO_OLD] = "too-old",
        [SECURE_KEY_EXPIRED] = "key-expired",
        [SECURE_NO_ROOM] = "no-room",
        [SECURE_TOO_MANY_STREAMS] = "too-many-streams",
        [SECURE_FAILED] = "failed",
    };
    return names[outcome];
}

// ----------------------------------------------------------------------------------------- library

// One session that is never used: while it stands, the crypto library below stays up.
static srtp_t keeper;
static bool running;

static bool session_new(srtp_t *out, const struct profile *profile, unsigned char *key,
                        srtp_ssrc_type_t direction, unsigned window)
{
    // Without RTX a packet is sent again as it was (RFC 4585 6.2.1): the same bytes under the same
    // index are the same packet, of which nothing shows that did not before (RFC 3711 9.1, RFC 7714
    // 8.1). stack/media sees to it that not a byte differs, extensions included
    // (media_repair_remember), and its test compares what repeats.
    srtp_policy_t policy = {.key = key, .window_size = window, .allow_repeat_tx = 1};
    policy.ssrc.type = direction;
    return srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, profile->library) ==
               srtp_err_status_ok &&
           srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, profile->library) ==
               srtp_err_status_ok &&
           srtp_create(out, &policy) == srtp_err_status_ok;
}

static void library_start(void)
{
    if (running)
        return;
    unsigned char key[64] = {0};
    bool up = srtp_init() == srtp_err_status_ok &&
              session_new(&keeper, profile_of(SECURE_AEAD_AES_128_GCM), key, ssrc_any_inbound, 128);
    assert(up); // what Debian ships has all three profiles
    running = true;
}

void secure_library_fini(void)
{
    if (!running)
        return;
    srtp_dealloc(keeper);
    srtp_shutdown();
    running = false;
}

// -------------------------------------------------------------------------------------------- life

struct secure *secure_new(const struct secure_config *config)
{
    const struct profile *profile = profile_of(config->profile);
    if (!profile || config->material.len < 2 * (profile->key + profile->salt))
        return NULL;
    library_start();
    // RFC 5764 4.2: client_write key, server_write key, client salt, server salt.
    const uint8_t *at = config->material.at;
    unsigned char client[64], server[64];
    memcpy(client, at, profile->key);
    memcpy(server, at + profile->key, profile->key);
    memcpy(client + profile->key, at + 2 * profile->key, profile->salt);
    memcpy(server + profile->key, at + 2 * profile->key + profile->salt, profile->salt);
    struct secure *s = mem_zero(1, sizeof *s);
    unsigned window = config->window ? config->window : SECURE_WINDOW;
    s->profile = config->profile;
    if (!session_new(&s->out, profile, config->client ? client : server, ssrc_any_outbound,
                     window) ||
        !session_new(&s->in, profile, config->client ? server : client, ssrc_any_inbound, window)) {
        secure_free(s);
        return NULL;
    }
    return s;
}

void secure_free(struct secure *s)
{
    if (!s)
        return;
    if (s->out)
        srtp_dealloc(s->out);
    if (s->in)
        srtp_dealloc(s->in);
    free(s);
}

const struct secure_stats *secure_stats(const struct secure *s)
{
    return &s->stats;
}

// ---------------------------------------------------------------------------------------- packets

static enum secure_outcome outcome_of(srtp_err_status_t status)
{
    switch (status) {
    case srtp_err_status_ok:
        return SECURE_OK;
    case srtp_err_status_auth_fail:
    case srtp_err_status_cant_check: // RFC 3711 3.4: its E bit says that it is not encrypted
        return SECURE_UNAUTHENTICATED;
    case srtp_err_status_replay_fail:
        return SECURE_REPLAYED;
    case srtp_err_status_replay_old:
    case srtp_err_status_pkt_idx_old:
        return SECURE_TOO_OLD;
    case srtp_err_status_key_expired:
        return SECURE_KEY_EXPIRED;
    case srtp_err_status_bad_param:
    case srtp_err_status_parse_err:
        return SECURE_MALFORMED;
    default:
        return SECURE_FAILED;
    }
}

static uint32_t ssrc_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

// The library makes a stream for each SSRC that it meets and forgets none: count them here. Most
// packets are of the SSRC that was looked up last, so it stands first.
static bool stream_fits(struct secure_streams *streams, uint32_t ssrc)
{
    for (unsigned i = 0; i < streams->count; i++) {
        if (streams->ssrc[i] != ssrc)
            continue;
        streams->ssrc[i] = streams->ssrc[0];
        streams->ssrc[0] = ssrc;
        return true;
    }
    return streams->count < SECURE_STREAMS_MAX;
}

static void stream_add(struct secure_streams *streams, uint32_t ssrc)
{
    if (streams->count == 0 || streams->ssrc[0] != ssrc)
        streams->ssrc[streams->count++] = ssrc;
}

typedef srtp_err_status_t work(srtp_t session, void *packet, int *len);

static enum secure_outcome protect(struct secure *s, work *library, size_t fixed, uint8_t *packet,
                                   size_t *len, size_t max)
{
    if (*len < fixed)
        return SECURE_TOO_SHORT;
    if (max < *len + SECURE_OVERHEAD_MAX)
        return SECURE_NO_ROOM;
    uint32_t ssrc = ssrc_at(packet + fixed - 4);
    if (!stream_fits(&s->sending, ssrc))
        return SECURE_TOO_MANY_STREAMS;
    int size = (int)*len;
    enum secure_outcome outcome = outcome_of(library(s->out, packet, &size));
    if (outcome != SECURE_OK)
        return outcome;
    stream_add(&s->sending, ssrc);
    s->stats.protected ++;
    *len = (size_t)size;
    return SECURE_OK;
}

static enum secure_outcome open_packet(struct secure *s, work *library, size_t fixed,
                                       uint8_t *packet, size_t *len)
{
    enum secure_outcome outcome = SECURE_TOO_SHORT;
    size_t least = fixed + profile_of(s->profile)->tag + (fixed == RTCP_FIXED ? RTCP_INDEX : 0);
    uint32_t ssrc = *len >= least ? ssrc_at(packet + fixed - 4) : 0;
    int size = (int)*len;
    if (*len >= least)
        outcome = stream_fits(&s->receiving, ssrc) ? outcome_of(library(s->in, packet, &size))
                                                   : SECURE_TOO_MANY_STREAMS;
    if (outcome != SECURE_OK) {
        s->stats.refused[outcome]++;
        return outcome;
    }
    // Only what is authentic takes room: an outsider cannot fill the table.
    stream_add(&s->receiving, ssrc);
    s->stats.opened++;
    *len = (size_t)size;
    return SECURE_OK;
}

enum secure_outcome secure_protect_rtp(struct secure *s, uint8_t *packet, size_t *len, size_t max)
{
    return protect(s, srtp_protect, RTP_FIXED, packet, len, max);
}

enum secure_outcome secure_protect_rtcp(struct secure *s, uint8_t *packet, size_t *len, size_t max)
{
    return protect(s, srtp_protect_rtcp, RTCP_FIXED, packet, len, max);
}

enum secure_outcome secure_open_rtp(struct secure *s, uint8_t *packet, size_t *len)
{
    return open_packet(s, srtp_unprotect, RTP_FIXED, packet, len);
}

enum secure_outcome secure_open_rtcp(struct secure *s, uint8_t *packet, size_t *len)
{
    return open_packet(s, srtp_unprotect_rtcp, RTCP_FIXED, packet, len);
}
