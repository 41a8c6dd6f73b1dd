// What a sender repeats, and what a receiver makes of it.
#include "stack/media/media_world.h"
#include "stack/rtp/fec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct media_track_config video = {.label = "video",
                                                .kind = MEDIA_VIDEO,
                                                .codecs = {"VP8"},
                                                .codecs_count = 1,
                                                .bitrate = 1000000,
                                                .fps = 25,
                                                .width = 640,
                                                .height = 360,
                                                .fec_share = 300,
                                                .nack = true,
                                                .pli = true};

// ------------------------------------------------------------------------------------ the same
// index

#define SENT_MAX 16384

static struct {
    uint8_t bytes[RTP_PACKET_MAX];
    size_t len;
    uint32_t ssrc;
    uint16_t sequence;
} sent[SENT_MAX];
static unsigned sent_count, repeated, different;
static struct rng loss;

// Notes what goes out, and loses some of it.
static void note(struct media_world *world, int from, struct media_flying *packet)
{
    struct rtp_packet parsed;
    if (from || packet->rtcp)
        return;
    assert_int_equal(rtp_parse(bytes_of(packet->bytes, packet->len), &parsed), RTP_OK);
    unsigned at = 0;
    while (at < sent_count &&
           (sent[at].ssrc != parsed.ssrc || sent[at].sequence != parsed.sequence))
        at++;
    if (at < sent_count) {
        repeated++;
        different += !bytes_equal(bytes_of(packet->bytes, packet->len),
                                  bytes_of(sent[at].bytes, sent[at].len));
    } else {
        assert_true(sent_count < SENT_MAX);
        memcpy(sent[at].bytes, packet->bytes, packet->len);
        sent[at].len = packet->len;
        sent[at].ssrc = parsed.ssrc;
        sent[at].sequence = parsed.sequence;
        sent_count++;
    }
    if (world->now > 3 * TIME_S && rng_chance(&loss, RNG_BILLION / 20))
        packet->len = 0;
}

// RFC 3711 9.1, RFC 7714 8.1: under the same index of the same SSRC nothing but the same packet may
// be encrypted, or two plaintexts show through.
static void test_media_repair_under_the_same_number_it_is_the_same_packet(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        struct media_world *world = media_world_new(NULL);
        struct media_track_config config = video;
        config.fec = (enum media_fec)(i % 3);
        config.rtx = i >= 3;
        (void)media_world_track(world, &config, true, false);
        loss = rng_seed(i, "loss");
        sent_count = repeated = different = 0;
        world->tamper = note;
        media_world_start(world);
        media_world_run(world, 30 * TIME_S);
        assert_int_equal(different, 0);
        if (config.rtx)
            assert_int_equal(repeated, 0);
        else
            assert_true(repeated > 10); // FEC leaves little to ask for
        media_world_free(world);
    }
}

// RFC 3550 6.4.1: a sender counts all packets and bytes that went out under its SSRC, those that
// are sent once more included.
static void test_media_repair_under_its_ssrc_is_of_the_senders_counts(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    struct media_track_config config = video;
    config.stop_at = 6 * TIME_S;
    (void)media_world_track(world, &config, true, false);
    loss = rng_seed(7, "loss");
    sent_count = repeated = different = 0;
    world->tamper = note;
    media_world_start(world);
    media_world_run(world, 9 * TIME_S);
    struct media_outbound out = media_world_stats(world, 0, 0).out;
    assert_true(out.retransmittedPacketsSent > 10);
    assert_int_equal(out.packetsSent, sent_count + repeated);
    struct media_remote_outbound told = media_world_stats(world, 1, 0).remote_out;
    assert_int_equal(told.packetsSent, out.packetsSent);
    assert_int_equal(told.bytesSent, out.bytesSent);
    media_world_free(world);
}

// --------------------------------------------------------------------------- holes that held
// nothing

// H.264 has no numbers of pictures: a lost packet of ULPFEC, which has a number among the media's,
// looks like a part of a frame until the sender has told.
static void test_media_repair_lost_fec_is_no_lost_frame(void **state)
{
    (void)state;
    for (int rtx = 0; rtx < 2; rtx++) {
        struct media_world *world = media_world_new(NULL);
        struct media_track_config config = video;
        config.codecs[0] = "H264";
        config.fec = MEDIA_ULPFEC;
        config.rtx = rtx;
        unsigned track = media_world_track(world, &config, true, false);
        world->paths[0].loss = RNG_BILLION / 20;
        media_world_start(world);
        media_world_run(world, 20 * TIME_S);
        struct media_track_stats got = media_world_stats(world, 1, track);
        assert_true(world->paths[0].lost > 50);
        assert_true(got.in.framesDecoded > 480); // of 500
        assert_true(got.in.pliCount <= 1);
        assert_int_equal(got.quality.damaged, 0);
        media_world_free(world);
    }
}

// Without NACK nobody tells: the pictures' numbers, or the FEC around the hole, do. As many frames
// are lost as with FlexFEC, which has numbers of its own.
static void test_media_repair_lost_fec_is_no_lost_frame_without_nack(void **state)
{
    (void)state;
    static const char *const codecs[] = {"H264", "VP8", "VP9"};
    for (unsigned i = 0; i < 3; i++) {
        uint64_t decoded[3];
        for (enum media_fec fec = MEDIA_NO_FEC; fec <= MEDIA_FLEXFEC; fec++) {
            struct media_world *world = media_world_new(NULL);
            struct media_track_config config = video;
            config.codecs[0] = codecs[i];
            config.fec = fec;
            config.nack = false;
            unsigned track = media_world_track(world, &config, true, false);
            media_world_start(world);
            media_world_run(world, 2 * TIME_S);
            world->paths[0].loss = RNG_BILLION / 50;
            media_world_run(world, 42 * TIME_S);
            struct media_track_stats got = media_world_stats(world, 1, track);
            assert_true(world->paths[0].lost > 80);
            assert_int_equal(got.quality.damaged, 0);
            decoded[fec] = got.in.framesDecoded; // of 1050
            media_world_free(world);
        }
        assert_true(decoded[MEDIA_NO_FEC] < 500);
        assert_true(decoded[MEDIA_FLEXFEC] > 900);
        assert_true(decoded[MEDIA_ULPFEC] > decoded[MEDIA_FLEXFEC] * 9 / 10);
    }
}

// ------------------------------------------------------------------------------- RTX that holds
// RED

// As browsers write it: the payload type of RTX that goes with RED, and RED inside.
static void rtx_of_red(struct media_world *world, int from, struct media_flying *packet)
{
    struct rtp_packet parsed;
    (void)world;
    if (from || packet->rtcp || (packet->bytes[1] & 0x7f) != 97)
        return;
    assert_int_equal(rtp_parse(bytes_of(packet->bytes, packet->len), &parsed), RTP_OK);
    if (parsed.payload.len <= 2)
        return;
    size_t at = packet->len - parsed.payload.len + 2;
    memmove(packet->bytes + at + 1, packet->bytes + at, packet->len - at);
    packet->bytes[at] = 96;
    packet->bytes[1] = (uint8_t)((packet->bytes[1] & 0x80) | 101);
    packet->len++;
    repeated++;
}

static void test_media_repair_rtx_of_red_is_taken(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    struct media_track_config config = video;
    config.fec = MEDIA_ULPFEC;
    config.rtx = true;
    unsigned track = media_world_track(world, &config, true, false);
    struct media_agreement agreement = media_world_agreement(&config, "0");
    media_world_format(&agreement, CODEC_RTX, 101, 98);
    agreement.send = false;
    media_agree(world->sides[1], 0, track, &agreement);
    world->paths[0].loss = RNG_BILLION / 20;
    world->tamper = rtx_of_red;
    repeated = 0;
    media_world_start(world);
    media_world_run(world, 40 * TIME_S);
    struct media_track_stats got = media_world_stats(world, 1, track);
    assert_true(repeated > 20);
    assert_true(got.in.retransmittedPacketsReceived > 20);
    assert_true(got.in.framesDecoded > 980); // of 1000
    assert_true(got.in.pliCount <= 1);
    media_world_free(world);
}

// RTX mends what FEC cannot, and FEC goes on where it did.
static void test_media_repair_rtx_and_fec_together(void **state)
{
    (void)state;
    for (enum media_fec fec = MEDIA_ULPFEC; fec <= MEDIA_FLEXFEC; fec++) {
        struct media_world *world = media_world_new(NULL);
        struct media_track_config config = video;
        config.fec = fec;
        config.rtx = true;
        unsigned track = media_world_track(world, &config, true, false);
        world->paths[0].loss = RNG_BILLION / 10;
        media_world_start(world);
        media_world_run(world, 20 * TIME_S);
        struct media_track_stats got = media_world_stats(world, 1, track);
        assert_true(got.in.framesDecoded > 485);
        assert_true(got.in.fecPacketsReceived > got.in.fecPacketsDiscarded);
        assert_int_equal(got.quality.damaged, 0);
        media_world_free(world);
    }
}

// ------------------------------------------------------------------------ what FEC protects

// RED around a packet with these extensions; `plain`: as it was protected, before the pacer's
// values (RFC 5109 14.2).
static size_t red_packet(uint8_t *to, struct bytes *plain, uint8_t *plain_room,
                         const struct rtp_packet *packet, const struct rtp_extension_map *map,
                         unsigned has)
{
    struct rtp_extension_values values = {
        .has = has, .mid = bytes_text("0"), .transport_sequence = 0, .abs_send_time = 0};
    *plain = bytes_of(plain_room, rtp_write(plain_room, RTP_PACKET_MAX, packet, map, &values));
    uint8_t block[200];
    struct rtp_packet red = *packet;
    block[0] = 96;
    memcpy(block + 1, packet->payload.at, packet->payload.len);
    red.payload_type = 98;
    red.payload = bytes_of(block, packet->payload.len + 1);
    values.transport_sequence = (uint16_t)(0x5a5a + packet->sequence);
    values.abs_send_time = 0xa5a5a5;
    return rtp_write(to, RTP_PACKET_MAX, &red, map, &values);
}

// Packets of one frame whose extensions differ: the pacer's values are at other places in each, and
// are no part of what is protected.
static void test_media_repair_fec_is_of_packets_without_the_pacers_values(void **state)
{
    (void)state;
    // RFC 7741 4.2, RFC 6386 9.1: a key frame of 320 x 180, and another frame in two packets.
    static const uint8_t key[] = {0x10, 0x10, 0x02, 0x00, 0x9d, 0x01,
                                  0x2a, 0x40, 0x01, 0xb4, 0x00, 1};
    static const uint8_t start[] = {0x10, 0x11, 0x02, 0x00, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    static const uint8_t rest[] = {0x00, 21, 22, 23, 24, 25, 26, 27, 28};
    static uint8_t wire[3][RTP_PACKET_MAX], room[2][RTP_PACKET_MAX];
    struct media_track_config config = video;
    config.fec = MEDIA_ULPFEC;
    config.nack = false;
    struct media_agreement agreement = media_world_agreement(&config, "0");
    const struct rtp_extension_map *map = &agreement.extensions;
    const unsigned pacer = 1u << RTP_TRANSPORT_CC | 1u << RTP_ABS_SEND_TIME;
    for (int has_mid = 0; has_mid < 2; has_mid++) { // the one that is lost
        struct media_world *world = media_world_new(NULL);
        unsigned track = media_world_track(world, &config, false, true);
        media_start(world->sides[0], 0);
        media_play_out(world->sides[0], track);
        struct rtp_packet first = {.payload_type = 96,
                                   .sequence = 100,
                                   .timestamp = 3000,
                                   .ssrc = 77,
                                   .payload = bytes_of(start, sizeof start)};
        struct rtp_packet last = first;
        last.sequence = 101;
        last.marker = true;
        last.payload = bytes_of(rest, sizeof rest);
        struct bytes group[2];
        (void)red_packet(wire[0], &group[0], room[0], &first, map,
                         pacer | (has_mid ? 1u << RTP_MID : 0));
        size_t len = red_packet(wire[1], &group[1], room[1], &last, map,
                                pacer | (has_mid ? 0 : 1u << RTP_MID));
        uint8_t repair[400] = {99}; // RFC 2198 3: one block, of ULPFEC
        size_t repair_len = 1 + fec_encode(FEC_ULP, group, 2, repair + 1, sizeof repair - 1);
        struct rtp_packet fec = first;
        fec.payload_type = 98;
        fec.sequence = 102;
        fec.payload = bytes_of(repair, repair_len);
        size_t fec_len = rtp_write(wire[2], RTP_PACKET_MAX, &fec, NULL, NULL);
        struct rtp_packet before = last;
        before.sequence = 99;
        before.timestamp = 0;
        before.payload = bytes_of(key, sizeof key);
        size_t before_len = rtp_write(wire[0], RTP_PACKET_MAX, &before, NULL, NULL);
        assert_int_equal(media_input_rtp(world->sides[0], 0, bytes_of(wire[0], before_len)),
                         MEDIA_KEPT);
        assert_int_equal(media_input_rtp(world->sides[0], 0, bytes_of(wire[1], len)), MEDIA_KEPT);
        assert_int_equal(media_input_rtp(world->sides[0], 0, bytes_of(wire[2], fec_len)),
                         MEDIA_KEPT);
        struct media_output out;
        unsigned frames = 0;
        while (media_poll(world->sides[0], TIME_S, &out)) {
            if (out.kind != MEDIA_FRAME)
                continue;
            if (++frames == 1)
                continue;
            assert_int_equal(out.bytes.len, sizeof start + sizeof rest - 2);
            assert_memory_equal(out.bytes.at, start + 1, sizeof start - 1);
            assert_memory_equal(out.bytes.at + sizeof start - 1, rest + 1, sizeof rest - 1);
        }
        assert_int_equal(frames, 2);
        media_world_free(world);
    }
}

// ----------------------------------------------------------------------------- another agreement

// RFC 3550 5.1: timestamps go on by the clock when sending pauses and begins again.
static uint32_t last_timestamp;
static int64_t most_step;
static void note_timestamp(struct media_world *world, int from, struct media_flying *packet)
{
    struct rtp_packet parsed;
    (void)world;
    if (from || packet->rtcp || (packet->bytes[1] & 0x7f) != 96)
        return;
    assert_int_equal(rtp_parse(bytes_of(packet->bytes, packet->len), &parsed), RTP_OK);
    int32_t step = (int32_t)(parsed.timestamp - last_timestamp);
    assert_true(step >= 0 || most_step < 0);
    most_step = most_step < 0 ? 0 : step > most_step ? step : most_step;
    last_timestamp = parsed.timestamp;
}

static void test_media_repair_a_pause_keeps_the_clock(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    unsigned track = media_world_track(world, &video, true, false);
    world->tamper = note_timestamp;
    most_step = -1;
    media_world_start(world);
    media_world_run(world, 4 * TIME_S);
    struct media_agreement agreement = media_world_agreement(&video, "0");
    agreement.send = false;
    media_agree(world->sides[0], world->now, track, &agreement);
    media_world_run(world, 7 * TIME_S);
    agreement.send = true;
    media_agree(world->sides[0], world->now, track, &agreement);
    media_world_run(world, 12 * TIME_S);
    assert_in_range(most_step, 3 * 90000 - 3600, 3 * 90000 + 3600);
    struct media_track_stats got = media_world_stats(world, 1, track);
    assert_in_range(got.in.framesDecoded, 215, 230); // nine seconds of 25
    media_world_free(world);
}

// RFC 9143 15.1, RFC 8852 3.1: whose a repair stream is, is told until that stream is known, not
// the one that it repairs. Of a simulcast SDP names no SSRC; FlexFEC of two tracks has one payload
// type.
static void test_media_repair_streams_say_whose_they_are(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    struct media_track_config config = video;
    config.rtx = true;
    config.layers[0] = (struct media_layer){"q", 4, 150000};
    config.layers[1] = (struct media_layer){"f", 1, 700000};
    config.layers_count = 2;
    unsigned layers = media_world_track(world, &config, true, false);
    config.layers_count = 0;
    config.fec = MEDIA_FLEXFEC;
    unsigned single = media_world_track(world, &config, true, false);
    media_world_start(world);
    media_world_run(world, 5 * TIME_S); // by now the media streams are acknowledged
    assert_int_equal(media_world_stats(world, 1, layers).in.retransmittedPacketsReceived, 0);
    world->paths[0].loss = 50000000;
    media_world_run(world, 15 * TIME_S);
    struct media_transport_stats stats;
    media_transport_stats(world->sides[1], &stats);
    assert_int_equal(stats.drops[MEDIA_UNKNOWN_STREAM], 0);
    assert_true(media_world_stats(world, 1, layers).quality.recovered > 10);
    assert_true(media_world_stats(world, 1, single).in.fecPacketsReceived > 100);
    media_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_repair_under_the_same_number_it_is_the_same_packet),
        cmocka_unit_test(test_media_repair_lost_fec_is_no_lost_frame),
        cmocka_unit_test(test_media_repair_lost_fec_is_no_lost_frame_without_nack),
        cmocka_unit_test(test_media_repair_rtx_of_red_is_taken),
        cmocka_unit_test(test_media_repair_rtx_and_fec_together),
        cmocka_unit_test(test_media_repair_fec_is_of_packets_without_the_pacers_values),
        cmocka_unit_test(test_media_repair_a_pause_keeps_the_clock),
        cmocka_unit_test(test_media_repair_under_its_ssrc_is_of_the_senders_counts),
        cmocka_unit_test(test_media_repair_streams_say_whose_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
