// Retransmissions: there and back, header extensions, padding, what has no room.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stack/rtp/rtx.h"

#define MEDIA_SSRC 0x11223344
#define RTX_SSRC 0x55667788

static const struct rtp_extension_map map = {.id = {[RTP_MID] = 1, [RTP_TRANSPORT_CC] = 3}};

static const struct rtp_packet media = {.marker = true,
                                        .payload_type = 96,
                                        .sequence = 0xfedc,
                                        .timestamp = 123456,
                                        .ssrc = MEDIA_SSRC,
                                        .csrc_count = 2,
                                        .csrc = {7, 9}};

// A packet of the media stream with a mid, as it goes out.
static size_t original(uint8_t *to, size_t max, const char *payload, uint8_t padding)
{
    struct rtp_packet packet = media;
    packet.payload = bytes_text(payload);
    packet.padding = padding;
    const struct rtp_extension_values values = {.has = 1 << RTP_MID | 1 << RTP_TRANSPORT_CC,
                                                .mid = bytes_text("v"),
                                                .transport_sequence = 77};
    size_t len = rtp_write(to, max, &packet, &map, &values);
    assert_true(len > 0);
    return len;
}

static struct rtp_packet parse(const uint8_t *at, size_t len)
{
    struct rtp_packet packet;
    assert_int_equal(rtp_parse(bytes_of(at, len), &packet), RTP_OK);
    return packet;
}

// RFC 4588 4: the payload behind the original's number; timestamp, marker, CSRCs and extensions are
// the original's. What comes back is the original, byte by byte.
static void test_rtx_round_trip_with_extensions(void **state)
{
    (void)state;
    uint8_t sent[RTP_PACKET_MAX], wrapped[RTP_PACKET_MAX], back[RTP_PACKET_MAX];
    size_t len = original(sent, sizeof sent, "a piece of a frame", 0);
    size_t wrapped_len =
        rtx_wrap(bytes_of(sent, len), 97, RTX_SSRC, 1000, NULL, NULL, wrapped, sizeof wrapped);
    assert_int_equal(wrapped_len, len + RTX_OVERHEAD);
    struct rtp_packet rtx = parse(wrapped, wrapped_len);
    assert_int_equal(rtx.payload_type, 97);
    assert_int_equal(rtx.ssrc, RTX_SSRC);
    assert_int_equal(rtx.sequence, 1000);
    assert_int_equal(rtx.timestamp, media.timestamp);
    assert_true(rtx.marker);
    assert_int_equal(rtx.csrc_count, 2);
    assert_int_equal(rtx.csrc[1], 9);
    struct rtp_extension_values values;
    rtp_extensions_read(&rtx, &map, &values);
    assert_int_equal(values.has, 1 << RTP_MID | 1 << RTP_TRANSPORT_CC);
    assert_true(bytes_is(values.mid, "v"));
    assert_int_equal(values.transport_sequence, 77);
    assert_int_equal(rtx.payload.at[0] << 8 | rtx.payload.at[1], media.sequence);
    assert_true(bytes_is(bytes_from(rtx.payload, RTX_OVERHEAD), "a piece of a frame"));

    assert_int_equal(rtx_unwrap(&rtx, 96, MEDIA_SSRC, back, sizeof back), len);
    assert_memory_equal(back, sent, len);
}

// The stream's own values take the place of the original's.
static void test_rtx_writes_its_own_extensions(void **state)
{
    (void)state;
    uint8_t sent[RTP_PACKET_MAX], wrapped[RTP_PACKET_MAX];
    size_t len = original(sent, sizeof sent, "payload", 0);
    struct rtp_extension_map other = map;
    other.id[RTP_REPAIRED_RID] = 5;
    const struct rtp_extension_values own = {.has = 1 << RTP_MID | 1 << RTP_REPAIRED_RID,
                                             .mid = bytes_text("v"),
                                             .repaired_rid = bytes_text("hi")};
    size_t wrapped_len =
        rtx_wrap(bytes_of(sent, len), 97, RTX_SSRC, 1, &other, &own, wrapped, sizeof wrapped);
    struct rtp_packet rtx = parse(wrapped, wrapped_len);
    struct rtp_extension_values values;
    rtp_extensions_read(&rtx, &other, &values);
    assert_int_equal(values.has, own.has);
    assert_true(bytes_is(values.repaired_rid, "hi"));
    assert_true(bytes_is(bytes_from(rtx.payload, RTX_OVERHEAD), "payload"));
}

// RFC 4588 4: padding of the original is taken off; of the RTX packet it is no payload.
static void test_rtx_padding_is_not_repeated(void **state)
{
    (void)state;
    uint8_t sent[RTP_PACKET_MAX], plain[RTP_PACKET_MAX], wrapped[RTP_PACKET_MAX];
    size_t plain_len = original(plain, sizeof plain, "payload", 0);
    size_t len = original(sent, sizeof sent, "payload", 20);
    assert_int_equal(len, plain_len + 20);
    size_t wrapped_len =
        rtx_wrap(bytes_of(sent, len), 97, RTX_SSRC, 1, NULL, NULL, wrapped, sizeof wrapped);
    assert_int_equal(wrapped_len, plain_len + RTX_OVERHEAD);

    struct rtp_packet rtx = parse(wrapped, wrapped_len);
    uint8_t padded[RTP_PACKET_MAX], back[RTP_PACKET_MAX];
    rtx.padding = 30;
    rtx = parse(padded, rtp_write(padded, sizeof padded, &rtx, NULL, NULL));
    assert_int_equal(rtx.padding, 30);
    assert_int_equal(rtx_unwrap(&rtx, 96, MEDIA_SSRC, back, sizeof back), plain_len);
    assert_memory_equal(back, plain, plain_len);
}

// Padding for probes has no number in it, and brings nothing back.
static void test_rtx_padding_alone_brings_nothing(void **state)
{
    (void)state;
    uint8_t bytes[RTP_PACKET_MAX], back[RTP_PACKET_MAX];
    struct rtp_packet packet = {.payload_type = 97, .ssrc = RTX_SSRC, .padding = 255};
    packet = parse(bytes, rtp_write(bytes, sizeof bytes, &packet, NULL, NULL));
    assert_int_equal(packet.payload.len, 0);
    assert_int_equal(rtx_unwrap(&packet, 96, MEDIA_SSRC, back, sizeof back), 0);
    packet.payload = bytes_of("\x12", 1);
    assert_int_equal(rtx_unwrap(&packet, 96, MEDIA_SSRC, back, sizeof back), 0);
    packet.payload = bytes_of("\x12\x34", 2); // an original without payload
    size_t len = rtx_unwrap(&packet, 96, MEDIA_SSRC, back, sizeof back);
    struct rtp_packet empty = parse(back, len);
    assert_int_equal(empty.sequence, 0x1234);
    assert_int_equal(empty.payload.len, 0);
}

static void test_rtx_no_room(void **state)
{
    (void)state;
    uint8_t sent[RTP_PACKET_MAX], to[RTP_PACKET_MAX], back[RTP_PACKET_MAX];
    size_t len = original(sent, sizeof sent, "payload", 0);
    for (size_t max = 0; max < len + RTX_OVERHEAD; max++)
        assert_int_equal(rtx_wrap(bytes_of(sent, len), 97, RTX_SSRC, 1, NULL, NULL, to, max), 0);
    size_t wrapped =
        rtx_wrap(bytes_of(sent, len), 97, RTX_SSRC, 1, NULL, NULL, to, len + RTX_OVERHEAD);
    assert_int_equal(wrapped, len + RTX_OVERHEAD);
    struct rtp_packet rtx = parse(to, wrapped);
    for (size_t max = 0; max < len; max++)
        assert_int_equal(rtx_unwrap(&rtx, 96, MEDIA_SSRC, back, max), 0);
    assert_int_equal(rtx_unwrap(&rtx, 96, MEDIA_SSRC, back, len), len);
}

static void test_rtx_malformed_original(void **state)
{
    (void)state;
    uint8_t sent[RTP_PACKET_MAX], to[RTP_PACKET_MAX];
    size_t len = original(sent, sizeof sent, "payload", 0);
    assert_int_equal(rtx_wrap(bytes_of(sent, 11), 97, RTX_SSRC, 1, NULL, NULL, to, sizeof to), 0);
    sent[0] ^= 0x80; // the version
    assert_int_equal(rtx_wrap(bytes_of(sent, len), 97, RTX_SSRC, 1, NULL, NULL, to, sizeof to), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rtx_round_trip_with_extensions),
        cmocka_unit_test(test_rtx_writes_its_own_extensions),
        cmocka_unit_test(test_rtx_padding_is_not_repeated),
        cmocka_unit_test(test_rtx_padding_alone_brings_nothing),
        cmocka_unit_test(test_rtx_no_room),
        cmocka_unit_test(test_rtx_malformed_original),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
