// Pairs of DTLS associations over a virtual link with delay and chosen losses.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/libenv.h"
#include "stack/dtls/dtls.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#define DELAY (20 * TIME_MS)
#define FLIGHT_MAX 256
#define DATAGRAM_MAX 2048

struct packet {
    nanotime at;
    int to;
    size_t len;
    uint8_t bytes[DATAGRAM_MAX];
};

struct end {
    struct dtls *dtls;
    struct rng rng;
    unsigned sent; // datagrams, lost ones too
    uint64_t drop; // bit n: lose the n-th datagram
    uint8_t got[65536];
    size_t got_len;
    unsigned records, states;
};

struct duo {
    nanotime now;
    struct end ends[2];
    struct packet flight[FLIGHT_MAX];
    unsigned flying;
    uint64_t hash;
};

struct setup {
    uint64_t seed;
    size_t mtu;
    const struct dtls_fingerprint *remote; // what the client expects; NULL: the right one
    unsigned remote_count;
    const struct dtls_fingerprint *remote_of_server;
    const char *srtp_profiles[2]; // of client and server
};

static struct duo *duo_with(struct setup setup)
{
    struct duo *duo = mem_zero(1, sizeof *duo);
    libenv_reset();
    for (unsigned i = 0; i < 2; i++) {
        struct dtls_config config = {
            .identity = dtls_identity_pooled(i),
            .role = i == 0 ? DTLS_CLIENT : DTLS_SERVER,
            .remote = dtls_identity_fingerprint(dtls_identity_pooled(1 - i)),
            .remote_count = 1,
            .mtu = setup.mtu ? setup.mtu : 1200,
            .rng = &duo->ends[i].rng,
            .srtp_profiles = setup.srtp_profiles[i],
        };
        if (i == 0 && (setup.remote || setup.remote_count)) {
            config.remote = setup.remote;
            config.remote_count = setup.remote_count;
        }
        if (i == 1 && setup.remote_of_server)
            config.remote = setup.remote_of_server;
        duo->ends[i].rng = rng_seed(setup.seed, i ? "b" : "a");
        duo->ends[i].dtls = dtls_new(&config);
    }
    return duo;
}

static struct duo *duo_new(void)
{
    return duo_with((struct setup){.seed = 1});
}

static void duo_free(struct duo *duo)
{
    for (int i = 0; i < 2; i++)
        dtls_free(duo->ends[i].dtls);
    assert_int_equal(libenv_orphan_draws(), 0);
    free(duo);
}

static void packet_send(struct duo *duo, int from, struct bytes bytes)
{
    struct end *end = &duo->ends[from];
    duo->hash = (duo->hash ^ (uint64_t)duo->now) * 0x100000001b3u;
    for (size_t i = 0; i < bytes.len; i++)
        duo->hash = (duo->hash ^ bytes.at[i]) * 0x100000001b3u;
    unsigned number = end->sent++;
    if (number < 64 && end->drop >> number & 1)
        return;
    assert_true(duo->flying < FLIGHT_MAX && bytes.len <= DATAGRAM_MAX);
    struct packet *packet = &duo->flight[duo->flying++];
    *packet = (struct packet){.at = duo->now + DELAY, .to = 1 - from, .len = bytes.len};
    memcpy(packet->bytes, bytes.at, bytes.len);
}

static void drain(struct duo *duo)
{
    for (int i = 0; i < 2; i++) {
        struct end *end = &duo->ends[i];
        struct dtls_output out;
        while (dtls_poll(end->dtls, duo->now, &out)) {
            switch (out.kind) {
            case DTLS_SEND:
                packet_send(duo, i, out.bytes);
                break;
            case DTLS_STATE_CHANGED:
                end->states++;
                break;
            case DTLS_DATA:
                assert_true(end->got_len + out.bytes.len <= sizeof end->got);
                memcpy(end->got + end->got_len, out.bytes.at, out.bytes.len);
                end->got_len += out.bytes.len;
                end->records++;
                break;
            }
        }
    }
}

static void run(struct duo *duo, nanotime span)
{
    nanotime until = duo->now + span;
    for (;;) {
        drain(duo);
        nanotime next = duo->flying ? duo->flight[0].at : TIME_NEVER;
        for (int i = 0; i < 2; i++)
            next = time_min(next, dtls_deadline(duo->ends[i].dtls));
        if (next > until)
            break;
        assert_true(next >= duo->now);
        duo->now = next;
        if (!duo->flying || duo->flight[0].at != next)
            continue;
        struct packet packet = duo->flight[0];
        memmove(duo->flight, duo->flight + 1, --duo->flying * sizeof *duo->flight);
        dtls_input(duo->ends[packet.to].dtls, duo->now, bytes_of(packet.bytes, packet.len));
    }
    duo->now = until;
}

static void start(struct duo *duo)
{
    dtls_start(duo->ends[1].dtls, duo->now);
    dtls_start(duo->ends[0].dtls, duo->now);
}

static void assert_states(const struct duo *duo, enum dtls_state a, enum dtls_state b)
{
    assert_string_equal(dtls_state_name(dtls_state(duo->ends[0].dtls)), dtls_state_name(a));
    assert_string_equal(dtls_state_name(dtls_state(duo->ends[1].dtls)), dtls_state_name(b));
}

static void test_dtls_handshake_is_four_datagrams(void **state)
{
    (void)state;
    struct duo *duo = duo_new();
    assert_states(duo, DTLS_NEW, DTLS_NEW);
    assert_int_equal(dtls_data_max(duo->ends[0].dtls), 0);
    start(duo);
    run(duo, TIME_S);
    assert_states(duo, DTLS_CONNECTED, DTLS_CONNECTED);
    assert_int_equal(duo->ends[0].sent, 2);
    assert_int_equal(duo->ends[1].sent, 2);
    assert_int_equal(dtls_stats(duo->ends[1].dtls).connected_at, 3 * DELAY);
    assert_int_equal(dtls_stats(duo->ends[0].dtls).connected_at, 4 * DELAY);
    assert_int_equal(dtls_deadline(duo->ends[0].dtls), TIME_NEVER);
    assert_int_equal(dtls_deadline(duo->ends[1].dtls), TIME_NEVER);
    assert_int_equal(duo->ends[0].states, 2);
    assert_string_equal(dtls_failure(duo->ends[0].dtls), "");
    char keys[2][DTLS_KEY_LOG_MAX];
    for (int i = 0; i < 2; i++)
        dtls_key_log(duo->ends[i].dtls, keys[i]);
    assert_string_equal(keys[0], keys[1]);
    assert_int_equal(strlen(keys[0]), strlen("CLIENT_RANDOM ") + 64 + 1 + 96);
    duo_free(duo);
}

// RFC 5764 4.1.1: extension 14 of the ClientHello, with both profiles and no MKI; the server picks
// one, or pion and GStreamer would refuse it.
static void test_dtls_offers_and_takes_srtp_profiles(void **state)
{
    (void)state;
    static const uint8_t offered[] = {0, 14, 0, 7, 0, 4, 0, 7, 0, 1, 0};
    static const uint8_t taken[] = {0, 14, 0, 5, 0, 2, 0, 7, 0};
    const struct bytes wanted[] = {bytes_of(offered, sizeof offered),
                                   bytes_of(taken, sizeof taken)};
    struct duo *duo = duo_new();
    start(duo);
    for (int i = 0; i < 2; i++) { // the ClientHello, then what begins with the ServerHello
        drain(duo);
        assert_true(duo->flying > 0);
        const struct packet *hello = &duo->flight[0];
        bool found = false;
        for (size_t at = 0; at + wanted[i].len <= hello->len; at++)
            found |= memcmp(hello->bytes + at, wanted[i].at, wanted[i].len) == 0;
        assert_true(found);
        run(duo, i == 0 ? DELAY : 0);
    }
    duo_free(duo);
}

// RFC 5764 4.1.2 and 4.2: the profile is one of both lists, the keying material the same at both
// ends.
static void test_dtls_srtp_profile_and_material(void **state)
{
    (void)state;
    static const char cm[] = "SRTP_AES128_CM_SHA1_80", gcm[] = "SRTP_AEAD_AES_128_GCM",
                      long_gcm[] = "SRTP_AEAD_AES_256_GCM",
                      all[] = "SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80";
    static const struct {
        const char *client, *server;
        uint16_t profile;
    } rows[] = {{NULL, NULL, 7}, {cm, NULL, 1}, {NULL, cm, 1},      {all, all, 8},
                {gcm, all, 7},   {all, gcm, 7}, {long_gcm, all, 8}, {long_gcm, NULL, 0},
                {cm, gcm, 0},    {all, cm, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t material[2][88] = {{0}};
        struct duo *duo = duo_with(
            (struct setup){.seed = 5 + i, .srtp_profiles = {rows[i].client, rows[i].server}});
        assert_int_equal(dtls_srtp_profile(duo->ends[0].dtls), 0);
        assert_false(dtls_srtp_material(duo->ends[0].dtls, material[0], 60)); // not connected
        start(duo);
        run(duo, TIME_S);
        assert_states(duo, DTLS_CONNECTED, DTLS_CONNECTED); // without overlap, too
        for (int k = 0; k < 2; k++) {
            assert_int_equal(dtls_srtp_profile(duo->ends[k].dtls), rows[i].profile);
            assert_true(dtls_srtp_material(duo->ends[k].dtls, material[k], 88));
        }
        assert_memory_equal(material[0], material[1], 88);
        assert_memory_not_equal(material[0], material[0] + 44, 44);
        duo_free(duo);
    }
}

static void test_dtls_data_both_ways(void **state)
{
    (void)state;
    struct duo *duo = duo_new();
    static uint8_t data[1200];
    assert_false(dtls_send(duo->ends[0].dtls, 0, bytes_of(data, 1)));
    start(duo);
    run(duo, TIME_S);
    size_t max = dtls_data_max(duo->ends[0].dtls);
    assert_int_equal(max, 1200 - 13 - 8 - 16); // record header, explicit nonce, tag
    for (int i = 0; i < 2; i++) {
        assert_true(dtls_send(duo->ends[i].dtls, duo->now, bytes_of("one", 3)));
        assert_true(dtls_send(duo->ends[i].dtls, duo->now, bytes_of(data, max)));
        assert_false(dtls_send(duo->ends[i].dtls, duo->now, bytes_of(data, max + 1)));
        assert_false(dtls_send(duo->ends[i].dtls, duo->now, bytes_of(data, 0)));
    }
    run(duo, TIME_S);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(duo->ends[i].records, 2);
        assert_int_equal(duo->ends[i].got_len, 3 + max);
        assert_memory_equal(duo->ends[i].got, "one", 3);
    }
    duo_free(duo);
}

// Each datagram of the handshake lost once: its flight comes again after 1 s.
static void test_dtls_each_lost_flight_is_recovered(void **state)
{
    (void)state;
    for (unsigned lost = 0; lost < 4; lost++) {
        struct duo *duo = duo_new();
        duo->ends[lost & 1].drop = 1u << (lost >> 1);
        start(duo);
        run(duo, 10 * TIME_S);
        assert_states(duo, DTLS_CONNECTED, DTLS_CONNECTED);
        nanotime connected = dtls_stats(duo->ends[0].dtls).connected_at;
        assert_true(connected > TIME_S && connected < TIME_S + 200 * TIME_MS);
        unsigned timeouts =
            dtls_stats(duo->ends[0].dtls).timeouts + dtls_stats(duo->ends[1].dtls).timeouts;
        assert_true(timeouts >= 1 && timeouts <= 2);
        duo_free(duo);
    }
}

// RFC 6347 4.2.4.1: 1 s, doubled each time.
static void test_dtls_retransmission_schedule(void **state)
{
    (void)state;
    struct duo *duo = duo_new();
    duo->ends[0].drop = 0x1f;
    start(duo);
    static const nanotime at[] = {0, 1 * TIME_S, 3 * TIME_S, 7 * TIME_S, 15 * TIME_S, 31 * TIME_S};
    for (unsigned i = 0; i < 6; i++) {
        run(duo, at[i] - duo->now);
        assert_int_equal(duo->ends[0].sent, i + 1);
        assert_int_equal(dtls_stats(duo->ends[0].dtls).timeouts, i);
        if (i < 5)
            assert_int_equal(dtls_deadline(duo->ends[0].dtls), at[i + 1]);
    }
    run(duo, TIME_S);
    assert_states(duo, DTLS_CONNECTED, DTLS_CONNECTED);
    duo_free(duo);
}

static void test_dtls_gives_up_without_an_answer(void **state)
{
    (void)state;
    struct duo *duo = duo_new();
    duo->ends[0].drop = UINT64_MAX;
    dtls_start(duo->ends[0].dtls, 0);
    run(duo, 3600 * TIME_S);
    assert_states(duo, DTLS_FAILED, DTLS_NEW);
    assert_string_equal(dtls_failure(duo->ends[0].dtls), "read timeout expired");
    assert_int_equal(dtls_deadline(duo->ends[0].dtls), TIME_NEVER);
    duo_free(duo);
}

static void test_dtls_wrong_fingerprint_of_the_server(void **state)
{
    (void)state;
    struct duo *duo = duo_with((struct setup){
        .seed = 1,
        .remote = dtls_identity_fingerprint(dtls_identity_pooled(5)),
        .remote_count = 1,
    });
    start(duo);
    run(duo, 10 * TIME_S);
    assert_states(duo, DTLS_FAILED, DTLS_FAILED);
    assert_true(strncmp(dtls_failure(duo->ends[0].dtls), "fingerprint mismatch: sha-256 expected ",
                        39) == 0);
    assert_string_equal(dtls_failure(duo->ends[1].dtls), "alert 42 bad_certificate");
    assert_false(dtls_send(duo->ends[0].dtls, duo->now, bytes_of("x", 1)));
    duo_free(duo);
}

// What getStats() has of it: the DER whose hash is the fingerprint.
static void test_dtls_certificate_is_what_the_fingerprint_is_of(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DTLS_IDENTITIES; i++) {
        const struct dtls_identity *identity = dtls_identity_pooled(i);
        const char *text = dtls_identity_certificate(identity);
        unsigned char der[2048], sum[EVP_MAX_MD_SIZE];
        size_t len = strlen(text), pad = 0;
        while (pad < 2 && text[len - 1 - pad] == '=')
            pad++;
        assert_in_range(len, 300, 2000);
        assert_null(strchr(text, '\n'));
        int decoded = EVP_DecodeBlock(der, (const unsigned char *)text, (int)len);
        assert_true(decoded > 0);
        unsigned sum_len = 0;
        assert_int_equal(EVP_Digest(der, (size_t)decoded - pad, sum, &sum_len, EVP_sha256(), NULL),
                         1);
        char hex[DTLS_FINGERPRINT_MAX] = "";
        for (unsigned k = 0; k < sum_len; k++)
            snprintf(hex + 3 * k - (k > 0), 4, k ? ":%02X" : "%02X", sum[k]);
        assert_string_equal(hex, dtls_identity_fingerprint(identity)->value);
    }
}

static void test_dtls_wrong_fingerprint_of_the_client(void **state)
{
    (void)state;
    struct duo *duo = duo_with((struct setup){
        .seed = 1,
        .remote_of_server = dtls_identity_fingerprint(dtls_identity_pooled(5)),
    });
    start(duo);
    run(duo, 10 * TIME_S);
    assert_states(duo, DTLS_FAILED, DTLS_FAILED);
    assert_true(strncmp(dtls_failure(duo->ends[1].dtls), "fingerprint mismatch", 20) == 0);
    assert_string_equal(dtls_failure(duo->ends[0].dtls), "alert 42 bad_certificate");
    assert_int_equal(duo->ends[1].records, 0);
    duo_free(duo);
}

static enum dtls_state client_state_with(const struct dtls_fingerprint *remote, unsigned count)
{
    struct duo *duo = duo_with((struct setup){.seed = 1, .remote = remote, .remote_count = count});
    start(duo);
    run(duo, TIME_S);
    enum dtls_state got = dtls_state(duo->ends[0].dtls);
    duo_free(duo);
    return got;
}

static void test_dtls_fingerprint_sets(void **state)
{
    (void)state;
    struct dtls_fingerprint right = *dtls_identity_fingerprint(dtls_identity_pooled(1));
    struct dtls_fingerprint wrong = *dtls_identity_fingerprint(dtls_identity_pooled(2));
    struct dtls_fingerprint set[3] = {wrong, right, wrong};
    assert_int_equal(client_state_with(set, 3), DTLS_CONNECTED);
    assert_int_equal(client_state_with(set, 1), DTLS_FAILED);

    // Names and digits in any case; hashes that we do not know are passed over.
    for (char *p = set[1].value; *p; p++)
        *p = *p >= 'A' && *p <= 'F' ? (char)(*p + 32) : *p;
    snprintf(set[1].hash, sizeof set[1].hash, "SHA-256");
    snprintf(set[0].hash, sizeof set[0].hash, "sha-3");
    snprintf(set[2].hash, sizeof set[2].hash, "md5");
    assert_int_equal(client_state_with(set, 3), DTLS_CONNECTED);

    // RFC 8122 5.1: the strongest set decides alone, and MD5 never counts.
    set[0] = right;
    set[1] = wrong;
    snprintf(set[1].hash, sizeof set[1].hash, "sha-512");
    assert_int_equal(client_state_with(set, 2), DTLS_FAILED);
    assert_int_equal(client_state_with(&set[2], 1), DTLS_FAILED);
    snprintf(set[1].hash, sizeof set[1].hash, "sha-1");
    assert_int_equal(client_state_with(set, 2), DTLS_CONNECTED);
    assert_int_equal(client_state_with(&set[1], 1), DTLS_FAILED);
    struct dtls_fingerprint empty = {.hash = ""};
    assert_int_equal(client_state_with(&empty, 1), DTLS_FAILED);
}

// The text of a failure names what the certificate has: offer just that the next time.
static void test_dtls_fingerprint_of_other_hashes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t len;
    } hashes[] = {{"sha-1", 20}, {"sha-224", 28}};
    for (unsigned i = 0; i < 2; i++) {
        struct dtls_fingerprint offer = {.hash = ""};
        snprintf(offer.hash, sizeof offer.hash, "%s", hashes[i].name);
        struct duo *duo = duo_with((struct setup){.seed = 1, .remote = &offer, .remote_count = 1});
        start(duo);
        run(duo, TIME_S);
        const char *got = strstr(dtls_failure(duo->ends[0].dtls), "got ");
        assert_non_null(got);
        assert_int_equal(strlen(got + 4), hashes[i].len * 3 - 1);
        snprintf(offer.value, sizeof offer.value, "%s", got + 4);
        duo_free(duo);
        assert_int_equal(client_state_with(&offer, 1), DTLS_CONNECTED);
    }
}

static void test_dtls_fragments_to_the_mtu(void **state)
{
    (void)state;
    static const size_t mtus[] = {DTLS_MTU_MIN, 300, 500, 1400};
    for (unsigned i = 0; i < 4; i++) {
        struct duo *duo = duo_with((struct setup){.seed = 1, .mtu = mtus[i]});
        duo->ends[1].drop = 1; // and a fragment is lost
        start(duo);
        run(duo, 10 * TIME_S); // dtls.c asserts the size of each datagram
        assert_states(duo, DTLS_CONNECTED, DTLS_CONNECTED);
        assert_true(mtus[i] > 600 || duo->ends[1].sent > 3);
        duo_free(duo);
    }
}

static void test_dtls_close(void **state)
{
    (void)state;
    struct duo *duo = duo_new();
    start(duo);
    run(duo, TIME_S);
    dtls_close(duo->ends[0].dtls, duo->now);
    assert_states(duo, DTLS_CLOSED, DTLS_CONNECTED);
    assert_false(dtls_send(duo->ends[0].dtls, duo->now, bytes_of("x", 1)));
    run(duo, TIME_S);
    assert_states(duo, DTLS_CLOSED, DTLS_CLOSED);
    assert_int_equal(duo->ends[1].sent, 3); // its own close_notify
    assert_int_equal(dtls_input(duo->ends[1].dtls, duo->now, bytes_of("\x16", 1)),
                     DTLS_AFTER_CLOSE);
    assert_string_equal(dtls_failure(duo->ends[1].dtls), "");
    duo_free(duo);

    duo = duo_new(); // in the middle of the handshake
    start(duo);
    run(duo, DELAY);
    dtls_close(duo->ends[0].dtls, duo->now);
    dtls_close(duo->ends[1].dtls, duo->now);
    run(duo, TIME_S);
    assert_states(duo, DTLS_CLOSED, DTLS_CLOSED);
    duo_free(duo);
}

static void test_dtls_drops_have_names(void **state)
{
    (void)state;
    struct duo *duo = duo_new();
    struct dtls *client = duo->ends[0].dtls, *server = duo->ends[1].dtls;
    static uint8_t large[DTLS_DATAGRAM_MAX + 1] = {22};
    assert_int_equal(dtls_input(client, 0, bytes_of(large, 100)), DTLS_NOT_STARTED);
    assert_int_equal(dtls_input(server, 0, bytes_of(large, sizeof large)), DTLS_TOO_LARGE);
    static const uint8_t others[] = {0, 1, 19, 64, 128, 255};
    for (unsigned i = 0; i < sizeof others; i++)
        assert_int_equal(dtls_input(server, 0, bytes_of(&others[i], 1)), DTLS_NOT_DTLS);
    assert_int_equal(dtls_input(server, 0, bytes_of("", 0)), DTLS_NOT_DTLS);
    assert_string_equal(dtls_drop_name(DTLS_AFTER_CLOSE), "after-close");
    duo_free(duo);
}

// Records that anybody could send, of every type and with every length up to past the seal's own:
// the association goes on, and what is too short to be sealed is dropped by name.
static void test_dtls_forged_records_end_nothing(void **state)
{
    (void)state;
    struct duo *duo = duo_new();
    start(duo);
    run(duo, TIME_S);
    assert_states(duo, DTLS_CONNECTED, DTLS_CONNECTED);
    for (unsigned type = 20; type <= 26; type++) {
        for (unsigned len = 0; len < 64; len++) {
            uint8_t record[13 + 64] = {
                (uint8_t)type, 0xfe, 0xfd, 0, 1, [10] = 9, [12] = (uint8_t)len};
            struct bytes bytes = bytes_of(record, 13 + len);
            for (int i = 0; i < 2; i++)
                assert_int_equal(dtls_input(duo->ends[i].dtls, duo->now, bytes),
                                 len < 24 ? DTLS_SHORT_RECORD : DTLS_KEPT);
        }
    }
    run(duo, TIME_S);
    assert_states(duo, DTLS_CONNECTED, DTLS_CONNECTED);
    assert_true(dtls_send(duo->ends[0].dtls, duo->now, bytes_of("one", 3)));
    run(duo, TIME_S);
    assert_int_equal(duo->ends[1].records, 1);
    duo_free(duo);
}

static void test_dtls_queue_is_bounded(void **state)
{
    (void)state;
    struct duo *duo = duo_new();
    start(duo);
    run(duo, TIME_S);
    static uint8_t data[1000];
    unsigned sent = 0;
    while (dtls_send(duo->ends[0].dtls, duo->now, bytes_of(data, sizeof data)))
        assert_true(++sent < 2000);
    assert_true(sent > 900);
    assert_int_equal(dtls_input(duo->ends[0].dtls, duo->now, bytes_of("\x17", 1)), DTLS_QUEUE_FULL);
    duo_free(duo);
}

// A server listens before its dtls_start.
static void test_dtls_server_answers_before_its_start(void **state)
{
    (void)state;
    struct duo *duo = duo_new();
    dtls_start(duo->ends[0].dtls, 0);
    run(duo, TIME_S);
    assert_states(duo, DTLS_CONNECTED, DTLS_CONNECTED);
    dtls_start(duo->ends[1].dtls, duo->now);
    assert_states(duo, DTLS_CONNECTED, DTLS_CONNECTED);
    duo_free(duo);
}

static void garbage(struct duo *duo, struct rng *rng)
{
    for (int i = 0; i < 500; i++) {
        uint8_t bytes[200];
        size_t len = 1 + rng_below(rng, sizeof bytes - 1);
        rng_fill(rng, bytes, len);
        bytes[0] = (uint8_t)(20 + rng_below(rng, 44));
        if (len > 13 && rng_chance(rng, RNG_BILLION / 2)) {
            bytes[1] = 0xfe; // a well-formed record of DTLS 1.2, but not an alert in the clear
            bytes[2] = 0xfd;
            put_u16(bytes + 11, (uint16_t)(len - 13));
            bytes[0] = bytes[0] == 21 ? 22 : bytes[0];
        }
        dtls_input(duo->ends[rng_below(rng, 2)].dtls, duo->now, bytes_of(bytes, len));
    }
}

static void test_dtls_survives_garbage(void **state)
{
    (void)state;
    struct rng rng = rng_seed(3, "garbage");
    for (int when = 0; when < 3; when++) {
        for (int round = 0; round < 20; round++) {
            struct duo *duo = duo_new();
            start(duo);
            run(duo, when * 2 * DELAY);
            garbage(duo, &rng);
            run(duo, 10 * TIME_S);
            if (when == 2) // authenticated by now: nothing gets through
                assert_states(duo, DTLS_CONNECTED, DTLS_CONNECTED);
            duo_free(duo);
        }
    }
}

static void test_dtls_duplicates_and_reordering_do_no_harm(void **state)
{
    (void)state;
    struct duo *duo = duo_with((struct setup){.seed = 1, .mtu = 400});
    start(duo);
    for (int i = 0; i < 400; i++) {
        drain(duo);
        if (duo->flying > 1) { // the last first, and the first twice
            struct packet packet = duo->flight[duo->flying - 1];
            dtls_input(duo->ends[packet.to].dtls, duo->now, bytes_of(packet.bytes, packet.len));
            packet = duo->flight[0];
            dtls_input(duo->ends[packet.to].dtls, duo->now, bytes_of(packet.bytes, packet.len));
        }
        run(duo, 10 * TIME_MS);
    }
    assert_states(duo, DTLS_CONNECTED, DTLS_CONNECTED);
    duo_free(duo);
}

static uint64_t hash_of(uint64_t seed, uint64_t drop)
{
    struct duo *duo = duo_with((struct setup){.seed = seed});
    duo->ends[1].drop = drop;
    start(duo);
    run(duo, 10 * TIME_S);
    assert_true(dtls_send(duo->ends[0].dtls, duo->now, bytes_of("hello", 5)));
    dtls_close(duo->ends[0].dtls, duo->now);
    run(duo, TIME_S);
    uint64_t hash = duo->hash;
    duo_free(duo);
    return hash;
}

static void test_dtls_same_seed_same_bytes(void **state)
{
    (void)state;
    uint64_t first = hash_of(1, 0);
    assert_true(first == hash_of(1, 0));
    assert_true(first != hash_of(2, 0));
    assert_true(hash_of(1, 1) == hash_of(1, 1));
    for (uint64_t i = 0; i < 5; i++) { // after runs cut off in the middle
        struct duo *duo = duo_with((struct setup){.seed = 90 + i, .mtu = 300});
        dtls_identity_pooled((unsigned)i + 7);
        start(duo);
        run(duo, (nanotime)i * DELAY);
        duo_free(duo);
        assert_true(first == hash_of(1, 0));
    }
}

static void test_dtls_identities_are_pooled(void **state)
{
    (void)state;
    const struct dtls_identity *one = dtls_identity_pooled(3);
    assert_ptr_equal(one, dtls_identity_pooled(3 + DTLS_IDENTITIES));
    assert_ptr_not_equal(one, dtls_identity_pooled(4));
    const struct dtls_fingerprint *a = dtls_identity_fingerprint(one);
    assert_string_equal(a->hash, "sha-256");
    assert_int_equal(strlen(a->value), 32 * 3 - 1);
    assert_string_not_equal(a->value, dtls_identity_fingerprint(dtls_identity_pooled(4))->value);
}

static int library_start(void **state)
{
    (void)state;
    static struct err err;
    libenv_reset();
    if (!dtls_library_init(&err))
        print_error("%s\n", err.text);
    return err_is_set(&err) ? -1 : 0;
}

static int library_stop(void **state)
{
    (void)state;
    dtls_library_fini();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dtls_handshake_is_four_datagrams),
        cmocka_unit_test(test_dtls_offers_and_takes_srtp_profiles),
        cmocka_unit_test(test_dtls_srtp_profile_and_material),
        cmocka_unit_test(test_dtls_data_both_ways),
        cmocka_unit_test(test_dtls_each_lost_flight_is_recovered),
        cmocka_unit_test(test_dtls_retransmission_schedule),
        cmocka_unit_test(test_dtls_gives_up_without_an_answer),
        cmocka_unit_test(test_dtls_wrong_fingerprint_of_the_server),
        cmocka_unit_test(test_dtls_wrong_fingerprint_of_the_client),
        cmocka_unit_test(test_dtls_certificate_is_what_the_fingerprint_is_of),
        cmocka_unit_test(test_dtls_fingerprint_sets),
        cmocka_unit_test(test_dtls_fingerprint_of_other_hashes),
        cmocka_unit_test(test_dtls_fragments_to_the_mtu),
        cmocka_unit_test(test_dtls_close),
        cmocka_unit_test(test_dtls_drops_have_names),
        cmocka_unit_test(test_dtls_forged_records_end_nothing),
        cmocka_unit_test(test_dtls_queue_is_bounded),
        cmocka_unit_test(test_dtls_server_answers_before_its_start),
        cmocka_unit_test(test_dtls_survives_garbage),
        cmocka_unit_test(test_dtls_duplicates_and_reordering_do_no_harm),
        cmocka_unit_test(test_dtls_same_seed_same_bytes),
        cmocka_unit_test(test_dtls_identities_are_pooled),
    };
    return cmocka_run_group_tests(tests, library_start, library_stop);
}
