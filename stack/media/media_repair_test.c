// What a sender repeats, and what a receiver makes of it.
#include "stack/media/media_world.h"

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
        media_world_run(world, 12 * TIME_S);
        assert_int_equal(different, 0);
        if (config.rtx)
            assert_int_equal(repeated, 0);
        else
            assert_true(repeated > 10); // FEC leaves little to ask for
        media_world_free(world);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_repair_under_the_same_number_it_is_the_same_packet),
        cmocka_unit_test(test_media_repair_lost_fec_is_no_lost_frame),
        cmocka_unit_test(test_media_repair_lost_fec_is_no_lost_frame_without_nack),
        cmocka_unit_test(test_media_repair_rtx_of_red_is_taken),
        cmocka_unit_test(test_media_repair_rtx_and_fec_together),
        cmocka_unit_test(test_media_repair_a_pause_keeps_the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
