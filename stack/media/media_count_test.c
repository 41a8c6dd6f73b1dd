// Both ends count the same: what one side says it sent is what the other says it received, kind by
// kind, and what one is asked for is what the other asked.
#include "stack/media/media_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct media_track_config opus = {.label = "audio",
                                               .kind = MEDIA_AUDIO,
                                               .codecs = {"opus"},
                                               .codecs_count = 1,
                                               .stop_at = 9 * TIME_S,
                                               .bitrate = 32000};
static const struct media_track_config vp8 = {.label = "video",
                                              .kind = MEDIA_VIDEO,
                                              .codecs = {"VP8"},
                                              .codecs_count = 1,
                                              .stop_at = 9 * TIME_S,
                                              .bitrate = 1000000,
                                              .fps = 25,
                                              .width = 640,
                                              .height = 360,
                                              .nack = true,
                                              .rtx = true,
                                              .pli = true};

// Ten seconds, of which the sources are silent in the last, so that nothing is on its way.
static void test_media_count_ends_agree_without_loss(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    unsigned tracks[2] = {media_world_track(world, &opus, true, true),
                          media_world_track(world, &vp8, true, false)};
    media_world_start(world);
    media_world_run(world, 10 * TIME_S);
    for (int i = 0; i < 2; i++) {
        struct media_track_stats out = media_world_stats(world, 0, tracks[i]);
        struct media_track_stats in = media_world_stats(world, 1, tracks[i]);
        assert_true(out.out.packetsSent > 400);
        assert_int_equal(in.in.ssrc, out.out.ssrc);
        assert_int_equal(in.in.packetsReceived, out.out.packetsSent);
        assert_int_equal(in.in.bytesReceived, out.out.bytesSent);
        assert_int_equal(in.in.headerBytesReceived, out.out.headerBytesSent);
        assert_int_equal(in.in.retransmittedPacketsReceived, out.out.retransmittedPacketsSent);
        assert_int_equal(in.in.retransmittedBytesReceived, out.out.retransmittedBytesSent);
        // Probes repeat what was sent; a sender report is of media alone (RFC 3550 6.4.1).
        assert_true((i == 1) == (out.out.retransmittedPacketsSent > 0));
        assert_int_equal(in.remote_out.packetsSent,
                         in.in.packetsReceived - in.in.retransmittedPacketsReceived);
        assert_int_equal(in.remote_out.bytesSent,
                         in.in.bytesReceived - in.in.retransmittedBytesReceived);
        assert_true(in.remote_out.reportsSent > 2);
        assert_int_equal(out.remote_in.packetsLost, 0);
        assert_int_equal(out.remote_in.fractionLost, 0);
        assert_int_equal(in.in.packetsLost, 0);
        assert_int_equal(in.quality.damaged + in.quality.frames_missing, 0);
    }
    struct media_track_stats out = media_world_stats(world, 0, tracks[1]);
    struct media_track_stats in = media_world_stats(world, 1, tracks[1]);
    assert_int_equal(out.out.framesSent, out.out.framesEncoded);
    assert_int_equal(in.in.framesReceived, out.out.framesSent);
    assert_int_equal(in.in.framesDecoded, out.out.framesSent);
    assert_int_equal(in.in.framesRendered, out.out.framesSent);
    assert_int_equal(in.in.keyFramesDecoded, out.out.keyFramesEncoded);
    assert_int_equal(in.in.frameWidth, out.out.frameWidth);
    assert_int_equal(in.in.frameHeight, out.out.frameHeight);
    assert_int_equal(in.quality.intact, in.in.framesDecoded);
    assert_int_equal(in.quality.layer, 0);
    struct media_transport_stats a, b;
    media_transport_stats(world->sides[0], &a);
    media_transport_stats(world->sides[1], &b);
    assert_int_equal(a.packetsSent, world->paths[0].sent);
    assert_int_equal(b.packetsSent, world->paths[1].sent);
    // A report may be on its way.
    assert_in_range(a.packetsSent - b.packetsReceived, 0, 1);
    assert_in_range(b.packetsSent - a.packetsReceived, 0, 1);
    assert_in_range(a.rtcp_sent - b.rtcp_received, 0, 1);
    assert_in_range(b.feedback_sent - a.feedback_received, 0, 1);
    assert_true(b.feedback_sent > 50 && a.rtcp_sent > 5);
    media_world_free(world);
}

static void test_media_count_ends_agree_with_loss(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    unsigned video = media_world_track(world, &vp8, true, false);
    media_world_start(world);
    media_world_run(world, TIME_S);
    world->paths[0].loss = 50000000; // 5 %, one way
    media_world_run(world, 8 * TIME_S);
    world->paths[0].loss = 0;
    media_world_run(world, 12 * TIME_S);
    struct media_track_stats out = media_world_stats(world, 0, video);
    struct media_track_stats in = media_world_stats(world, 1, video);
    assert_true(in.in.packetsLost > 5);
    assert_true(in.in.nackCount > 5);
    assert_int_equal(out.out.nackCount, in.in.nackCount);
    assert_int_equal(out.out.pliCount, in.in.pliCount);
    assert_int_equal(out.remote_in.packetsLost, in.in.packetsLost);
    assert_true(in.in.retransmittedPacketsReceived > 5);
    assert_true(in.in.retransmittedPacketsReceived <= out.out.retransmittedPacketsSent);
    assert_true(in.in.retransmittedBytesReceived <= out.out.retransmittedBytesSent);
    assert_true(in.in.retransmittedBytesReceived > 100 * in.in.retransmittedPacketsReceived);
    // Each that was lost came back, once, or was lost again.
    assert_true(in.quality.recovered >= 5 &&
                in.quality.recovered <= in.in.retransmittedPacketsReceived);
    assert_true(in.quality.recovered <= (uint64_t)in.in.packetsLost);
    assert_int_equal(in.in.framesDecoded + in.quality.frames_missing, out.out.framesSent);
    media_world_free(world);
}

// Each request is answered by one key frame, and by no second one later.
static void test_media_count_a_request_is_answered_once(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    unsigned video = media_world_track(world, &vp8, true, false);
    media_world_start(world);
    media_world_run(world, TIME_S);
    struct media_command command = {.kind = MEDIA_KEYFRAME, .track = video};
    for (int i = 1; i <= 3; i++) {
        media_command(world->sides[1], world->now, &command);
        media_world_run(world, (nanotime)i * 2 * TIME_S);
        struct media_track_stats out = media_world_stats(world, 0, video);
        assert_int_equal(out.out.pliCount, i);
        assert_int_equal(out.out.keyFramesEncoded, 1 + i);
        assert_int_equal(media_world_stats(world, 1, video).in.pliCount, i);
    }
    media_world_free(world);
}

// Repair packets are counted apart from media, with their bytes, by both formats.
static void test_media_count_repair_is_no_media(void **state)
{
    (void)state;
    for (enum media_fec fec = MEDIA_ULPFEC; fec <= MEDIA_FLEXFEC; fec++) {
        struct media_world *world = media_world_new(NULL);
        struct media_track_config config = vp8;
        config.fec = fec;
        config.fec_share = 300;
        config.rtx = config.nack = false;
        unsigned video = media_world_track(world, &config, true, false);
        media_world_start(world);
        media_world_run(world, 5 * TIME_S);
        struct media_track_stats in = media_world_stats(world, 1, video);
        assert_true(in.in.fecPacketsReceived > 50);
        assert_true(in.in.fecBytesReceived > 50 * in.in.fecPacketsReceived);
        assert_true(in.in.fecBytesReceived < 1300 * in.in.fecPacketsReceived);
        assert_true(in.in.fecPacketsDiscarded > 0); // nothing was lost
        // On an SSRC of their own or not, they are of what was received.
        struct media_track_stats out = media_world_stats(world, 0, video);
        assert_in_range(out.out.packetsSent - in.in.packetsReceived, 0, 12); // on their way
        assert_int_equal(in.in.packetsLost, 0);
        assert_int_equal(in.quality.recovered, 0);
        assert_int_equal(in.quality.damaged, 0);
        assert_in_range(in.in.framesDecoded, 120, 126);
        media_world_free(world);
    }
}

// Counters never go back. A packet without RED among those with it brings no repair that nobody
// needed, nor takes any away.
static void test_media_count_of_repair_nobody_needed_grows(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    struct media_track_config config = opus;
    config.red = true;
    config.stop_at = 0;
    (void)media_world_track(world, &config, true, false);
    media_world_start(world);
    media_world_run(world, 4 * TIME_S);
    uint64_t before = media_world_stats(world, 1, 0).in.fecPacketsDiscarded;
    assert_true(before > 150);
    media_command(world->sides[0], world->now,
                  &(struct media_command){.kind = MEDIA_DIAL, .digits = "1"});
    media_world_run(world, 6 * TIME_S);
    assert_true(media_world_stats(world, 1, 0).in.fecPacketsDiscarded > before + 50);
    media_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_count_ends_agree_without_loss),
        cmocka_unit_test(test_media_count_ends_agree_with_loss),
        cmocka_unit_test(test_media_count_a_request_is_answered_once),
        cmocka_unit_test(test_media_count_of_repair_nobody_needed_grows),
        cmocka_unit_test(test_media_count_repair_is_no_media),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
