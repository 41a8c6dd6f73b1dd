// Published packets, and two ends with hostile bytes between them.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stack/srtp/srtp.h"
#include "stack/srtp/srtp_vectors.h"

#include <stdlib.h>

#define ROOM 256
#define COUNT(table) (sizeof table / sizeof table[0])

static const enum secure_profile profiles[] = {SECURE_AES128_CM_SHA1_80, SECURE_AEAD_AES_128_GCM,
                                               SECURE_AEAD_AES_256_GCM};

struct packet {
    uint8_t at[ROOM];
    size_t len;
};

static size_t unhex(const char *text, uint8_t *to)
{
    size_t len = strlen(text) / 2;
    for (size_t i = 0; i < len; i++) {
        const char digits[] = {text[2 * i], text[2 * i + 1], 0};
        to[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return len;
}

static struct packet packet_of(const char *hex)
{
    struct packet packet = {0};
    assert_true(strlen(hex) / 2 <= ROOM);
    packet.len = unhex(hex, packet.at);
    return packet;
}

static void assert_same_as(const char *name, const struct packet *a, const struct packet *b)
{
    if (a->len != b->len || memcmp(a->at, b->at, a->len) != 0)
        fail_msg("%s: other bytes", name);
}

static void assert_same(const struct packet *a, const struct packet *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->at, b->at, a->len);
}

static struct packet rtp(uint16_t sequence, uint32_t ssrc)
{
    struct packet packet = {{0x80, 111, (uint8_t)(sequence >> 8), (uint8_t)sequence, 0, 0, 1, 2,
                             (uint8_t)(ssrc >> 24), (uint8_t)(ssrc >> 16), (uint8_t)(ssrc >> 8),
                             (uint8_t)ssrc, 'd', 'a', 't', 'a', (uint8_t)sequence},
                            17};
    return packet;
}

static struct packet rtcp(uint32_t ssrc)
{
    struct packet packet = {{0x80, 201, 0, 1, (uint8_t)(ssrc >> 24), (uint8_t)(ssrc >> 16),
                             (uint8_t)(ssrc >> 8), (uint8_t)ssrc},
                            8};
    return packet;
}

// One side under keys that are counted up from `first`.
static struct secure *side_with(enum secure_profile profile, bool client, uint8_t first,
                                unsigned window)
{
    uint8_t material[SECURE_MATERIAL_MAX];
    for (size_t i = 0; i < sizeof material; i++)
        material[i] = (uint8_t)(first + i);
    struct secure *secure = secure_new(&(struct secure_config){
        profile, bytes_of(material, 2 * (secure_key_len(profile) + secure_salt_len(profile))),
        client, window});
    assert_non_null(secure);
    return secure;
}

struct duo {
    struct secure *sender, *receiver;
};

static struct duo duo_new(enum secure_profile profile)
{
    return (struct duo){side_with(profile, true, 1, 0), side_with(profile, false, 1, 0)};
}

static void duo_free(struct duo *duo)
{
    secure_free(duo->sender);
    secure_free(duo->receiver);
}

static struct packet sealed(struct duo *duo, struct packet packet, bool is_rtcp)
{
    enum secure_outcome outcome =
        is_rtcp ? secure_protect_rtcp(duo->sender, packet.at, &packet.len, ROOM)
                : secure_protect_rtp(duo->sender, packet.at, &packet.len, ROOM);
    assert_string_equal(secure_outcome_name(outcome), "ok");
    return packet;
}

static enum secure_outcome opened(struct duo *duo, struct packet *packet, bool is_rtcp)
{
    return is_rtcp ? secure_open_rtcp(duo->receiver, packet->at, &packet->len)
                   : secure_open_rtp(duo->receiver, packet->at, &packet->len);
}

static void expect_opens(struct duo *duo, struct packet packet, bool is_rtcp,
                         enum secure_outcome outcome)
{
    assert_string_equal(secure_outcome_name(opened(duo, &packet, is_rtcp)),
                        secure_outcome_name(outcome));
}

// ---------------------------------------------------------------------------------------- vectors

// The side that seals with the keys of a vector, and the one that opens it.
static struct duo duo_of(const struct srtp_vector *vector)
{
    uint8_t material[SECURE_MATERIAL_MAX] = {0};
    size_t key = secure_key_len(vector->profile), salt = secure_salt_len(vector->profile);
    assert_int_equal(unhex(vector->key, material), key);
    assert_int_equal(unhex(vector->salt, material + 2 * key), salt);
    struct secure_config config = {vector->profile, bytes_of(material, 2 * (key + salt)), true, 0};
    struct duo duo = {.sender = secure_new(&config)};
    config.client = false;
    duo.receiver = secure_new(&config);
    assert_true(duo.sender && duo.receiver);
    return duo;
}

static void sequence_set(struct packet *packet, uint16_t sequence)
{
    packet->at[2] = (uint8_t)(sequence >> 8);
    packet->at[3] = (uint8_t)sequence;
}

static void pass(struct duo *duo, const char *hex, uint16_t sequence)
{
    struct packet packet = packet_of(hex);
    sequence_set(&packet, sequence);
    packet = sealed(duo, packet, false);
    assert_int_equal(opened(duo, &packet, false), SECURE_OK);
}

// Packets before one of RTP, until its sequence numbers have rolled over so many times. No step is
// as far as half of them.
static void roll_over(struct duo *duo, const struct srtp_vector *vector)
{
    for (uint32_t i = 0; i < vector->index; i++) {
        for (unsigned step = 0; step < 3; step++)
            pass(duo, vector->plain, (uint16_t)(step * 0x7fff));
    }
    if (vector->index > 0 && packet_of(vector->plain).at[2] >= 0x80) {
        pass(duo, vector->plain, 0);
        pass(duo, vector->plain, 0x7fff);
        pass(duo, vector->plain, 0xfffe);
    }
}

static void test_srtp_seals_and_opens_published_packets(void **state)
{
    (void)state;
    unsigned checked = 0;
    for (size_t i = 0; i < COUNT(srtp_vectors); i++) {
        const struct srtp_vector *vector = &srtp_vectors[i];
        struct packet plain = packet_of(vector->plain), wanted = packet_of(vector->sealed);
        struct duo duo = duo_of(vector);
        // The library counts SRTCP from 1; so far as an index can be reached by sealing.
        bool reached =
            vector->rtcp ? vector->index >= 1 && vector->index <= 2 : vector->index <= 0xffff;
        if (!vector->rtcp && reached)
            roll_over(&duo, vector);
        for (uint32_t k = 1; vector->rtcp && reached && k < vector->index; k++)
            sealed(&duo, plain, true);
        if (reached) {
            struct packet got = sealed(&duo, plain, vector->rtcp);
            assert_same_as(vector->name, &got, &wanted);
            checked++;
        }
        if (vector->rtcp || reached) {
            assert_int_equal(opened(&duo, &wanted, vector->rtcp), SECURE_OK);
            assert_same_as(vector->name, &wanted, &plain);
        }
        duo_free(&duo);
    }
    assert_int_equal(checked, COUNT(srtp_vectors) - 3); // a rollover counter of 2^32-1, indices 0
} // and 2^31-1

// RFC 5764 4.2: client key, server key, client salt, server salt. Who is the client seals with
// its own, and opens with the other's.
static void test_srtp_cuts_keying_material_as_rfc_5764_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(srtp_materials); i++) {
        const struct srtp_material *row = &srtp_materials[i];
        uint8_t whole[SECURE_MATERIAL_MAX];
        size_t len = unhex(row->material, whole);
        assert_int_equal(len, 2 * (secure_key_len(row->profile) + secure_salt_len(row->profile)));
        for (int client = 0; client < 2; client++) {
            struct srtp_vector alone = {.profile = row->profile,
                                        .key = client ? row->client_key : row->server_key,
                                        .salt = client ? row->client_salt : row->server_salt};
            struct duo one = duo_of(&alone);
            struct secure *whole_side = secure_new(
                &(struct secure_config){row->profile, bytes_of(whole, len), client != 0, 0});
            struct packet a = sealed(&one, rtp(7, 9), false), b = rtp(7, 9);
            assert_int_equal(secure_protect_rtp(whole_side, b.at, &b.len, ROOM), SECURE_OK);
            assert_same(&a, &b);
            secure_free(whole_side);
            duo_free(&one);
        }
    }
}

// ------------------------------------------------------------------------------------------- both

static void test_srtp_round_trip_of_each_profile(void **state)
{
    (void)state;
    static const char *const names[] = {"SRTP_AES128_CM_HMAC_SHA1_80", "SRTP_AEAD_AES_128_GCM",
                                        "SRTP_AEAD_AES_256_GCM"};
    static const size_t overheads[] = {10, 16, 16};
    for (size_t i = 0; i < COUNT(profiles); i++) {
        assert_string_equal(secure_profile_name(profiles[i]), names[i]);
        struct duo duo = duo_new(profiles[i]);
        for (unsigned k = 0; k < 40; k++) {
            bool control = k % 4 == 3;
            struct packet plain = control ? rtcp(5 + k % 2) : rtp((uint16_t)k, 5 + k % 2);
            struct packet wire = sealed(&duo, plain, control);
            // RFC 3711 3.4: SRTCP has its index too.
            assert_int_equal(wire.len, plain.len + overheads[i] + (control ? 4 : 0));
            assert_true(wire.len - plain.len <= SECURE_OVERHEAD_MAX);
            assert_int_equal(opened(&duo, &wire, control), SECURE_OK);
            assert_same(&wire, &plain);
        }
        assert_int_equal(secure_stats(duo.sender)->protected, 40);
        assert_int_equal(secure_stats(duo.receiver)->opened, 40);
        duo_free(&duo);
    }
    assert_string_equal(secure_profile_name(SECURE_NONE), "none");
}

static void test_srtp_needs_a_profile_and_its_material(void **state)
{
    (void)state;
    uint8_t material[SECURE_MATERIAL_MAX] = {0};
    struct secure_config config = {SECURE_NONE, bytes_of(material, sizeof material), true, 0};
    assert_null(secure_new(&config));
    config.profile = (enum secure_profile)2; // the short tag (RFC 8827 6.5 knows it not)
    assert_null(secure_new(&config));
    for (size_t i = 0; i < COUNT(profiles); i++) {
        config.profile = profiles[i];
        size_t whole = 2 * (secure_key_len(profiles[i]) + secure_salt_len(profiles[i]));
        for (size_t len = 0; len < whole; len++) {
            config.material.len = len;
            assert_null(secure_new(&config));
        }
    }
    secure_free(NULL);
}

// --------------------------------------------------------------------------------- hostile bytes

static void test_srtp_truncated_at_every_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * COUNT(profiles); i++) {
        bool control = i % 2;
        struct duo duo = duo_new(profiles[i / 2]);
        struct packet whole = sealed(&duo, control ? rtcp(3) : rtp(1, 3), control);
        size_t tag = profiles[i / 2] == SECURE_AES128_CM_SHA1_80 ? 10 : 16;
        for (size_t len = 0; len < whole.len; len++) {
            // In a heap block of just that size: reading past its end is found.
            struct packet cut = whole;
            uint8_t *exact = malloc(len ? len : 1);
            memcpy(exact, whole.at, len);
            cut.len = len;
            enum secure_outcome outcome = control ? secure_open_rtcp(duo.receiver, exact, &cut.len)
                                                  : secure_open_rtp(duo.receiver, exact, &cut.len);
            assert_int_not_equal(outcome, SECURE_OK);
            assert_int_equal(outcome == SECURE_TOO_SHORT, len < (control ? 8 + 4 : 12) + tag);
            assert_int_equal(cut.len, len);
            free(exact);
        }
        expect_opens(&duo, whole, control, SECURE_OK);
        duo_free(&duo);
    }
}

static void test_srtp_one_flipped_bit_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * COUNT(profiles); i++) {
        bool control = i % 2;
        struct duo duo = duo_new(profiles[i / 2]);
        struct packet whole = sealed(&duo, control ? rtcp(3) : rtp(1, 3), control);
        for (size_t bit = 0; bit < 8 * whole.len; bit++) {
            struct packet changed = whole;
            changed.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_not_equal(opened(&duo, &changed, control), SECURE_OK);
        }
        const struct secure_stats *stats = secure_stats(duo.receiver);
        uint64_t refused = 0;
        for (unsigned k = 0; k < SECURE_OUTCOMES; k++)
            refused += stats->refused[k];
        assert_int_equal(refused, 8 * whole.len);
        assert_int_equal(stats->refused[SECURE_FAILED], 0); // each has a name of its own
        expect_opens(&duo, whole, control, SECURE_OK);
        duo_free(&duo);
    }
}

static void test_srtp_another_key_opens_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(profiles); i++) {
        struct duo duo = {side_with(profiles[i], true, 1, 0), side_with(profiles[i], false, 2, 0)};
        expect_opens(&duo, sealed(&duo, rtp(1, 3), false), false, SECURE_UNAUTHENTICATED);
        expect_opens(&duo, sealed(&duo, rtcp(3), true), true, SECURE_UNAUTHENTICATED);
        duo_free(&duo);
        duo = (struct duo){side_with(profiles[i], true, 1, 0), side_with(profiles[i], true, 1, 0)};
        // Two clients: nobody opens what it sealed itself.
        expect_opens(&duo, sealed(&duo, rtp(1, 3), false), false, SECURE_UNAUTHENTICATED);
        duo_free(&duo);
    }
}

static void test_srtp_opens_each_packet_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(profiles); i++) {
        struct duo duo = duo_new(profiles[i]);
        struct packet media = sealed(&duo, rtp(1, 3), false);
        struct packet control = sealed(&duo, rtcp(3), true);
        for (unsigned k = 0; k < 3; k++) {
            expect_opens(&duo, media, false, k ? SECURE_REPLAYED : SECURE_OK);
            expect_opens(&duo, control, true, k ? SECURE_REPLAYED : SECURE_OK);
        }
        assert_int_equal(secure_stats(duo.receiver)->refused[SECURE_REPLAYED], 4);
        duo_free(&duo);
    }
}

// RFC 3711 3.3.2: what is behind the window is not taken, what is in it is, in any order.
static void test_srtp_replay_window(void **state)
{
    (void)state;
    for (unsigned window = 64; window <= SECURE_WINDOW; window *= 4) {
        struct duo duo = {side_with(profiles[0], true, 1, 0),
                          side_with(profiles[0], false, 1, window)};
        struct packet *kept = malloc((window + 1) * sizeof *kept);
        for (unsigned i = 0; i <= window; i++)
            kept[i] = sealed(&duo, rtp((uint16_t)i, 3), false);
        expect_opens(&duo, kept[window], false, SECURE_OK);
        expect_opens(&duo, kept[0], false, SECURE_TOO_OLD);
        for (unsigned i = window - 1; i >= 1; i--)
            expect_opens(&duo, kept[i], false, SECURE_OK);
        for (unsigned i = 1; i <= window; i++)
            expect_opens(&duo, kept[i], false, SECURE_REPLAYED);
        assert_int_equal(secure_stats(duo.receiver)->refused[SECURE_TOO_OLD], 1);
        free(kept);
        duo_free(&duo);
    }
}

// RFC 3711 3.3.1: a receiver guesses the rollover counter, through loss and reordering around it.
static void test_srtp_sequence_numbers_roll_over(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(profiles); i++) {
        struct duo duo = duo_new(profiles[i]);
        struct packet kept[20], plain[20];
        for (uint32_t k = 0; k < 3 * 65536; k++) {
            uint16_t sequence = (uint16_t)(60000 + k);
            uint16_t place = (uint16_t)(sequence + 10); // 0..19: ten before zero, ten from it on
            struct packet wire = sealed(&duo, rtp(sequence, 3), false);
            if (place < COUNT(kept)) {
                kept[place] = wire;
                plain[place] = rtp(sequence, 3);
            } else if (k % 9 == 0) { // eight of nine are lost
                expect_opens(&duo, wire, false, SECURE_OK);
            }
            for (unsigned from = 0; place == 19 && from < 20; from++) {
                unsigned at = from * 7 % 20; // before and after zero in turn
                struct packet again = kept[at];
                assert_int_equal(opened(&duo, &kept[at], false), SECURE_OK);
                assert_same(&kept[at], &plain[at]);
                expect_opens(&duo, again, false, SECURE_REPLAYED);
            }
        }
        assert_int_equal(secure_stats(duo.receiver)->refused[SECURE_UNAUTHENTICATED], 0);
        duo_free(&duo);
    }
}

// RFC 3711 3.3.1: nothing but the packets tells how often it rolled over before the first that
// came. So senders begin in the lower half (stack/media): 2^15 packets would have to be lost.
static void test_srtp_first_packets_lost_before_the_roll_over(void **state)
{
    (void)state;
    static const struct {
        uint16_t first;
        uint32_t lost;
        enum secure_outcome outcome;
    } cases[] = {{65535, 0, SECURE_OK},
                 {65535, 1, SECURE_UNAUTHENTICATED},
                 {65533, 2, SECURE_OK},
                 {32767, 32768, SECURE_OK},
                 {32767, 32769, SECURE_UNAUTHENTICATED}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct duo duo = duo_new(profiles[0]);
        for (uint32_t k = 0; k < cases[i].lost; k++)
            (void)sealed(&duo, rtp((uint16_t)(cases[i].first + k), 3), false);
        for (uint32_t k = 0; k < 100; k++) {
            uint16_t sequence = (uint16_t)(cases[i].first + cases[i].lost + k);
            expect_opens(&duo, sealed(&duo, rtp(sequence, 3), false), false, cases[i].outcome);
        }
        duo_free(&duo);
    }
}

// --------------------------------------------------------------------------------------- bounds

static void test_srtp_says_when_there_is_no_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(profiles); i++) {
        struct secure *secure = side_with(profiles[i], true, 1, 0);
        struct packet media = rtp(1, 3), control = rtcp(3);
        size_t len = media.len;
        assert_int_equal(secure_protect_rtp(secure, media.at, &len, len + SECURE_OVERHEAD_MAX - 1),
                         SECURE_NO_ROOM);
        assert_int_equal(len, media.len);
        assert_memory_equal(media.at, rtp(1, 3).at, len);
        assert_int_equal(secure_protect_rtp(secure, media.at, &len, len + SECURE_OVERHEAD_MAX),
                         SECURE_OK);
        for (size_t cut = 0; cut < 12; cut++) {
            len = cut;
            assert_int_equal(secure_protect_rtp(secure, media.at, &len, ROOM), SECURE_TOO_SHORT);
        }
        for (size_t cut = 0; cut < 8; cut++) {
            len = cut;
            assert_int_equal(secure_protect_rtcp(secure, control.at, &len, ROOM), SECURE_TOO_SHORT);
        }
        // More CSRCs than there are bytes.
        struct packet wrong = rtp(2, 3);
        wrong.at[0] |= 15;
        assert_int_equal(secure_protect_rtp(secure, wrong.at, &wrong.len, ROOM), SECURE_MALFORMED);
        assert_int_equal(secure_stats(secure)->protected, 1);
        secure_free(secure);
    }
}

// However they take turns, each is one.
static void test_srtp_counts_a_stream_once(void **state)
{
    (void)state;
    struct duo duo = duo_new(SECURE_AES128_CM_SHA1_80);
    for (uint16_t i = 0; i < 3 * SECURE_STREAMS_MAX; i++)
        expect_opens(&duo, sealed(&duo, rtp((uint16_t)(1 + i), i % 3), false), false, SECURE_OK);
    for (uint32_t i = 3; i < SECURE_STREAMS_MAX - 2; i++)
        expect_opens(&duo, sealed(&duo, rtp(1, i), false), false, SECURE_OK);
    expect_opens(&duo, sealed(&duo, rtp(1, 0x8000), false), false, SECURE_OK);
    for (uint16_t i = 2; i < 5; i++) // none of those that are there is one too many
        expect_opens(&duo, sealed(&duo, rtp(i, 0x10000), false), false, SECURE_OK);
    struct packet another = rtp(1, SECURE_STREAMS_MAX);
    assert_int_equal(secure_protect_rtp(duo.sender, another.at, &another.len, ROOM),
                     SECURE_TOO_MANY_STREAMS);
    duo_free(&duo);
}

static void test_srtp_bounds_its_streams(void **state)
{
    (void)state;
    struct duo duo = duo_new(SECURE_AES128_CM_SHA1_80);
    // What is not authentic takes no room.
    for (uint32_t i = 0; i < 2 * SECURE_STREAMS_MAX; i++) {
        struct packet forged = rtp(1, 100000 + i);
        forged.len = 60;
        expect_opens(&duo, forged, false, SECURE_UNAUTHENTICATED);
    }
    for (uint32_t i = 0; i < SECURE_STREAMS_MAX; i++) {
        struct packet wire = sealed(&duo, i % 2 ? rtp(1, i) : rtcp(i), i % 2 == 0);
        expect_opens(&duo, wire, i % 2 == 0, SECURE_OK);
    }
    struct packet another = rtp(1, SECURE_STREAMS_MAX);
    assert_int_equal(secure_protect_rtp(duo.sender, another.at, &another.len, ROOM),
                     SECURE_TOO_MANY_STREAMS);
    struct secure *full = duo.sender; // one that has met no stream yet seals another
    duo.sender = side_with(SECURE_AES128_CM_SHA1_80, true, 1, 0);
    expect_opens(&duo, sealed(&duo, rtp(1, SECURE_STREAMS_MAX), false), false,
                 SECURE_TOO_MANY_STREAMS);
    expect_opens(&duo, sealed(&duo, rtp(2, 5), false), false, SECURE_OK); // those that it knows
    assert_int_equal(secure_stats(duo.receiver)->refused[SECURE_TOO_MANY_STREAMS], 1);
    secure_free(full);
    duo_free(&duo);
}

static void test_srtp_library_comes_up_again(void **state)
{
    (void)state;
    secure_library_fini();
    secure_library_fini(); // nothing to do
    struct duo duo = duo_new(SECURE_AEAD_AES_128_GCM);
    expect_opens(&duo, sealed(&duo, rtp(1, 3), false), false, SECURE_OK);
    duo_free(&duo);
}

static void test_srtp_outcomes_have_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SECURE_OUTCOMES; i++) {
        assert_non_null(secure_outcome_name(i));
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(secure_outcome_name(i), secure_outcome_name(k));
    }
}

static int library_stop(void **state)
{
    (void)state;
    secure_library_fini();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_srtp_seals_and_opens_published_packets),
        cmocka_unit_test(test_srtp_cuts_keying_material_as_rfc_5764_does),
        cmocka_unit_test(test_srtp_round_trip_of_each_profile),
        cmocka_unit_test(test_srtp_needs_a_profile_and_its_material),
        cmocka_unit_test(test_srtp_truncated_at_every_length),
        cmocka_unit_test(test_srtp_one_flipped_bit_anywhere),
        cmocka_unit_test(test_srtp_another_key_opens_nothing),
        cmocka_unit_test(test_srtp_opens_each_packet_once),
        cmocka_unit_test(test_srtp_replay_window),
        cmocka_unit_test(test_srtp_sequence_numbers_roll_over),
        cmocka_unit_test(test_srtp_first_packets_lost_before_the_roll_over),
        cmocka_unit_test(test_srtp_says_when_there_is_no_room),
        cmocka_unit_test(test_srtp_bounds_its_streams),
        cmocka_unit_test(test_srtp_counts_a_stream_once),
        cmocka_unit_test(test_srtp_library_comes_up_again),
        cmocka_unit_test(test_srtp_outcomes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, library_stop);
}
