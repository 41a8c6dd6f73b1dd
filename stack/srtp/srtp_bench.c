// What protecting and opening a packet costs, the library alone beside it, and what a session
// costs.
#include "base/bench.h"
#include "base/clock.h"
#include "stack/srtp/srtp.h"

#include <stdio.h>

#include <srtp2/srtp.h>

#define PACKETS 50000
#define PAYLOAD 1100
#define SESSIONS 2000

static uint8_t material[SECURE_MATERIAL_MAX];

static size_t packet_make(uint8_t *packet, unsigned sequence)
{
    memset(packet, 7, 12 + PAYLOAD);
    packet[0] = 0x80;
    packet[1] = 96;
    packet[2] = (uint8_t)(sequence >> 8);
    packet[3] = (uint8_t)sequence;
    return 12 + PAYLOAD;
}

static struct secure *side(enum secure_profile profile, bool client)
{
    struct secure *secure = secure_new(
        &(struct secure_config){profile, bytes_of(material, sizeof material), client, 0});
    if (!secure)
        exit(1);
    return secure;
}

// Nanoseconds of one packet protected by one side and opened by the other.
static double take_ours(void *user)
{
    enum secure_profile profile = *(enum secure_profile *)user;
    struct secure *sender = side(profile, true), *receiver = side(profile, false);
    uint8_t packet[12 + PAYLOAD + SECURE_OVERHEAD_MAX];
    nanotime start = clock_cpu();
    for (unsigned i = 0; i < PACKETS; i++) {
        size_t len = packet_make(packet, i);
        if (secure_protect_rtp(sender, packet, &len, sizeof packet) != SECURE_OK ||
            secure_open_rtp(receiver, packet, &len) != SECURE_OK)
            exit(1);
    }
    double taken = (double)(clock_cpu() - start) / PACKETS;
    secure_free(sender);
    secure_free(receiver);
    return taken;
}

static srtp_t library_side(enum secure_profile profile, srtp_ssrc_type_t direction)
{
    unsigned char key[64] = {0};
    srtp_profile_t which = profile == SECURE_AES128_CM_SHA1_80  ? srtp_profile_aes128_cm_sha1_80
                           : profile == SECURE_AEAD_AES_128_GCM ? srtp_profile_aead_aes_128_gcm
                                                                : srtp_profile_aead_aes_256_gcm;
    srtp_policy_t policy = {.key = key, .window_size = SECURE_WINDOW};
    policy.ssrc.type = direction;
    srtp_t session;
    if (srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, which) != srtp_err_status_ok ||
        srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, which) != srtp_err_status_ok ||
        srtp_create(&session, &policy) != srtp_err_status_ok)
        exit(1);
    return session;
}

// The same by the library, with nothing of ours around it.
static double take_library(void *user)
{
    enum secure_profile profile = *(enum secure_profile *)user;
    srtp_t sender = library_side(profile, ssrc_any_outbound);
    srtp_t receiver = library_side(profile, ssrc_any_inbound);
    uint8_t packet[12 + PAYLOAD + SECURE_OVERHEAD_MAX];
    nanotime start = clock_cpu();
    for (unsigned i = 0; i < PACKETS; i++) {
        int len = (int)packet_make(packet, i);
        if (srtp_protect(sender, packet, &len) != srtp_err_status_ok ||
            srtp_unprotect(receiver, packet, &len) != srtp_err_status_ok)
            exit(1);
    }
    double taken = (double)(clock_cpu() - start) / PACKETS;
    srtp_dealloc(sender);
    srtp_dealloc(receiver);
    return taken;
}

// Microseconds of one side made and freed again.
static double take_session(void *user)
{
    enum secure_profile profile = *(enum secure_profile *)user;
    nanotime start = clock_cpu();
    for (unsigned i = 0; i < SESSIONS; i++)
        secure_free(side(profile, i % 2));
    return (double)(clock_cpu() - start) / 1e3 / SESSIONS;
}

int main(void)
{
    static const struct {
        enum secure_profile profile;
        const char *name;
    } rows[] = {{SECURE_AES128_CM_SHA1_80, "cm128_sha1_80"},
                {SECURE_AEAD_AES_128_GCM, "gcm128"},
                {SECURE_AEAD_AES_256_GCM, "gcm256"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum secure_profile profile = rows[i].profile;
        double ours = bench_median(take_ours, &profile);
        double library = bench_median(take_library, &profile);
        printf("srtp_%s_protect_open_ns\t%.0f\tns\n", rows[i].name, ours);
        printf("srtp_%s_library_alone_ns\t%.0f\tns\n", rows[i].name, library);
        printf("srtp_%s_session_us\t%.2f\tus\n", rows[i].name,
               bench_median(take_session, &profile));
    }
    secure_library_fini();
    return 0;
}
