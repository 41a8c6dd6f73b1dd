// RTP packets: vectors, round trips, hostile bytes, late patches.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stack/rtp/rtp.h"
#include "stack/rtp/rtp_vectors.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

// 1 audio level, 2 abs-send-time, 3 transport-cc, 4 mid, as the vectors have them.
static const struct rtp_extension_map map = {
    .id = {[RTP_MID] = 4, [RTP_AUDIO_LEVEL] = 1, [RTP_ABS_SEND_TIME] = 2, [RTP_TRANSPORT_CC] = 3}};

static struct rtp_packet parse(const char *name, uint8_t *buffer)
{
    struct rtp_packet packet = {0};
    struct bytes bytes = rtp_vector_bytes(rtp_vectors, COUNT(rtp_vectors), name, buffer);
    assert_int_equal(rtp_parse(bytes, &packet), RTP_OK);
    return packet;
}

static struct bytes element(const struct rtp_packet *packet, uint8_t id)
{
    struct rtp_extension_map only = {.id = {[RTP_MID] = id}};
    struct rtp_extension_values values;
    rtp_extensions_read(packet, &only, &values);
    return values.mid;
}

static void test_rtp_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rtp_vectors); i++) {
        uint8_t buffer[2048], again[2048];
        struct bytes bytes = hex_bytes(rtp_vectors[i].hex, buffer);
        struct rtp_packet packet;
        enum rtp_outcome outcome = rtp_parse(bytes, &packet);
        assert_int_equal(outcome == RTP_OK, rtp_vectors[i].valid);
        if (outcome == RTP_OK && packet.padding == 0) {
            size_t len = rtp_write(again, sizeof again, &packet, NULL, NULL);
            assert_true(bytes_equal(bytes_of(again, len), bytes));
            assert_int_equal(rtp_write(again, len - 1, &packet, NULL, NULL), 0);
        }
    }
}

static void test_rtp_outcomes_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum rtp_outcome outcome;
    } rows[] = {
        {"bad-version1", RTP_BAD_VERSION}, {"bad-short11", RTP_TOO_SHORT},
        {"bad-cc", RTP_TOO_SHORT},         {"bad-ext-len", RTP_TOO_SHORT},
        {"bad-padding", RTP_BAD_PADDING},  {"bad-padding-zero", RTP_BAD_PADDING},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t buffer[2048];
        struct rtp_packet packet;
        assert_int_equal(
            rtp_parse(rtp_vector_bytes(rtp_vectors, COUNT(rtp_vectors), rows[i].name, buffer),
                      &packet),
            rows[i].outcome);
    }
    uint8_t buffer[64];
    struct rtp_packet packet;
    // An element of one byte, and one of two, that run past the end (RFC 8285 4.1).
    assert_int_equal(
        rtp_parse(hex_bytes("906000040000000011223344bede000113aabbcc", buffer), &packet),
        RTP_BAD_EXTENSION);
    assert_int_equal(
        rtp_parse(hex_bytes("9060000400000000112233441000000101030000", buffer), &packet),
        RTP_BAD_EXTENSION);
    assert_int_equal(
        rtp_parse(hex_bytes("9060000400000000112233441000000100000001", buffer), &packet),
        RTP_BAD_EXTENSION);
    for (enum rtp_outcome i = 0; i < RTP_OUTCOMES; i++)
        assert_non_null(rtp_outcome_name(i));
}

static void test_rtp_fields(void **state)
{
    (void)state;
    uint8_t buffer[2048];
    struct rtp_packet packet = parse("marker-csrc", buffer);
    assert_true(packet.marker);
    assert_int_equal(packet.csrc_count, 2);
    assert_int_equal(packet.csrc[1], 2);
    assert_int_equal(packet.payload.len, 2);
    packet = parse("padding-4", buffer);
    assert_int_equal(packet.padding, 4);
    assert_int_equal(packet.payload.len, 4);
    packet = parse("padding-only", buffer);
    assert_int_equal(packet.padding, 255);
    assert_int_equal(packet.payload.len, 0);
}

static void test_rtp_extension_elements(void **state)
{
    (void)state;
    uint8_t buffer[2048];
    struct rtp_packet packet = parse("ext-onebyte", buffer);
    assert_int_equal(element(&packet, 1).len, 1);
    assert_int_equal(element(&packet, 2).len, 2);
    packet = parse("ext-onebyte-pad-inside", buffer);
    assert_int_equal(element(&packet, 3).at[0], 0xdd);
    packet = parse("ext-onebyte-id15", buffer); // RFC 8285 4.2
    assert_int_equal(element(&packet, 1).len, 1);
    assert_int_equal(element(&packet, 2).len, 0);
    packet = parse("ext-twobyte", buffer);
    assert_int_equal(element(&packet, 16).len, 2);
    packet = parse("ext-unknown-profile", buffer);
    assert_int_equal(packet.extension_profile, 0xabcd);
    assert_int_equal(element(&packet, 1).len, 0);
    packet = parse("ext-common-ids", buffer);
    struct rtp_extension_values values;
    rtp_extensions_read(&packet, &map, &values);
    assert_true(values.voice);
    assert_int_equal(values.audio_level, 8);
    assert_int_equal(values.abs_send_time, 0x123456);
    assert_int_equal(values.transport_sequence, 5);
    assert_true(bytes_is(values.mid, "0"));
}

// Of an id that is there twice the last counts, also when it is empty or of a wrong length.
static void test_rtp_extension_last_element_counts(void **state)
{
    (void)state;
    static const char *const packets[] = {
        "906000040000000011223344100000020102aabb01000000", // two-byte: 2 bytes, then none
        "906000040000000011223344100000020103aabbcc0101dd", // 3, then 1
        "906000040000000011223344bede000212aabbcc10dd0000", // the same with one-byte heads
    };
    const struct rtp_extension_map mids = {.id = {[RTP_MID] = 1}}, times = {.id = {0, 0, 0, 0, 1}};
    for (size_t i = 0; i < COUNT(packets); i++) {
        uint8_t buffer[64];
        struct rtp_packet packet;
        struct rtp_extension_values values;
        assert_int_equal(rtp_parse(hex_bytes(packets[i], buffer), &packet), RTP_OK);
        rtp_extensions_read(&packet, &mids, &values);
        assert_int_equal(values.has, i == 0 ? 0 : 1u << RTP_MID);
        assert_int_equal(values.mid.len, i == 0 ? 0 : 1);
        rtp_extensions_read(&packet, &times, &values);
        assert_int_equal(values.has, 0);
    }
}

static void round_trip(const struct rtp_extension_map *with, struct bytes mid, uint16_t profile)
{
    struct rtp_extension_values values = {.has = (1u << RTP_MID) | (1u << RTP_AUDIO_LEVEL) |
                                                 (1u << RTP_ABS_SEND_TIME) |
                                                 (1u << RTP_TRANSPORT_CC),
                                          .mid = mid,
                                          .audio_level = 127,
                                          .abs_send_time = 0xabcdef,
                                          .transport_sequence = 65535};
    struct rtp_packet packet = {.payload_type = 127,
                                .sequence = 65535,
                                .ssrc = 1,
                                .csrc_count = 1,
                                .csrc = {9},
                                .payload = bytes_text("payload"),
                                .padding = 5};
    uint8_t buffer[RTP_PACKET_MAX];
    size_t len = rtp_write(buffer, sizeof buffer, &packet, with, &values);
    for (size_t max = 0; max < len; max++)
        assert_int_equal(rtp_write(buffer, max, &packet, with, &values), 0);
    assert_int_equal(rtp_write(buffer, len, &packet, with, &values), len);
    assert_true(rtp_patch_abs_send_time(buffer, len, with, 0x010203));
    assert_true(rtp_patch_transport_sequence(buffer, len, with, 77));
    struct rtp_packet got;
    struct rtp_extension_values read;
    assert_int_equal(rtp_parse(bytes_of(buffer, len), &got), RTP_OK);
    assert_int_equal(got.extension_profile, profile);
    assert_true(bytes_is(got.payload, "payload"));
    assert_int_equal(got.padding, 5);
    rtp_extensions_read(&got, with, &read);
    assert_int_equal(read.has, values.has);
    assert_true(bytes_equal(read.mid, mid));
    assert_int_equal(read.abs_send_time, 0x010203);
    assert_int_equal(read.transport_sequence, 77);
    assert_int_equal(read.audio_level, 127);
    assert_false(read.voice);
}

static void test_rtp_round_trip(void **state)
{
    (void)state;
    round_trip(&map, bytes_text("audio"), 0xbede);
    struct rtp_extension_map mixed = map;
    mixed.two_byte = true;
    round_trip(&mixed, bytes_text("audio"), 0xbede); // RFC 8285 4.1.2: one byte is enough
    round_trip(&mixed, bytes_text("more than sixteen bytes"), 0x1000);
    mixed.id[RTP_MID] = 255;
    round_trip(&mixed, bytes_text("a"), 0x1000);
}

static void test_rtp_patch_of_what_is_not_there(void **state)
{
    (void)state;
    uint8_t buffer[2048];
    struct bytes bytes = rtp_vector_bytes(rtp_vectors, COUNT(rtp_vectors), "pcmu", buffer);
    assert_false(rtp_patch_abs_send_time(buffer, bytes.len, &map, 1));
    assert_false(rtp_patch_transport_sequence(buffer, 3, &map, 1));
}

static void test_rtp_hostile(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rtp_hostile); i++) {
        uint8_t buffer[2048];
        struct bytes bytes = hex_bytes(rtp_hostile[i], buffer);
        for (size_t len = 0; len <= bytes.len; len++) {
            struct rtp_packet packet;
            struct rtp_extension_values values;
            if (rtp_parse(bytes_of(buffer, len), &packet) == RTP_OK)
                rtp_extensions_read(&packet, &map, &values);
        }
    }
}

static void test_rtp_sequences(void **state)
{
    (void)state;
    assert_true(rtp_later(0, 65535));
    assert_false(rtp_later(65535, 0));
    assert_int_equal(rtp_unwrap(-1, 65535), 65535);
    assert_int_equal(rtp_unwrap(65535, 2), 65538);
    assert_int_equal(rtp_unwrap(65538, 65535), 65535);
    enum rtp_extension extension;
    for (enum rtp_extension i = 0; i < RTP_EXTENSIONS; i++) {
        assert_true(rtp_extension_by_uri(bytes_text(rtp_extension_uri(i)), &extension));
        assert_int_equal(extension, i);
    }
    assert_false(rtp_extension_by_uri(bytes_text("urn:x"), &extension));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rtp_vectors),
        cmocka_unit_test(test_rtp_outcomes_are_told_apart),
        cmocka_unit_test(test_rtp_fields),
        cmocka_unit_test(test_rtp_extension_elements),
        cmocka_unit_test(test_rtp_extension_last_element_counts),
        cmocka_unit_test(test_rtp_round_trip),
        cmocka_unit_test(test_rtp_patch_of_what_is_not_there),
        cmocka_unit_test(test_rtp_hostile),
        cmocka_unit_test(test_rtp_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
