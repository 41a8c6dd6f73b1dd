#include "stack/media/media_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct media_track_config opus = {
    .label = "audio", .kind = MEDIA_AUDIO, .codecs = {"opus"}, .codecs_count = 1, .bitrate = 32000};
static const struct media_track_config vp8 = {.label = "video",
                                              .kind = MEDIA_VIDEO,
                                              .codecs = {"VP8"},
                                              .codecs_count = 1,
                                              .bitrate = 1000000,
                                              .fps = 25,
                                              .width = 640,
                                              .height = 360,
                                              .nack = true,
                                              .rtx = true,
                                              .pli = true};

static void test_media_audio_and_video_without_loss_arrive_whole(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    unsigned audio = media_world_track(world, &opus, true, true);
    unsigned video = media_world_track(world, &vp8, true, true);
    media_world_start(world);
    media_world_run(world, 10 * TIME_S);
    for (int side = 0; side < 2; side++) {
        struct media_track_stats a = media_world_stats(world, side, audio);
        struct media_track_stats v = media_world_stats(world, side, video);
        assert_in_range(a.in.packetsReceived, 490, 501); // 50 a second
        assert_int_equal(a.in.packetsLost, 0);
        assert_int_equal(a.in.concealedSamples, 0);
        assert_int_equal(a.quality.damaged, 0);
        assert_true(a.quality.intact > 480);
        assert_in_range(a.quality.mos, 4200, 4500);
        assert_int_equal(a.quality.burst_ratio, 1000);
        // The call begins at 0: what is played now was captured a little while ago.
        assert_in_range(a.in.estimatedPlayoutTimestamp, 9800 * TIME_MS, 9990 * TIME_MS);
        assert_in_range(v.in.estimatedPlayoutTimestamp, 9800 * TIME_MS, 9990 * TIME_MS);
        assert_in_range(v.quality.lip_sync + 30 * TIME_MS, 0, 60 * TIME_MS);
        assert_in_range(v.in.framesDecoded, 240, 251); // 25 a second
        assert_int_equal(v.in.freezeCount, 0);
        assert_int_equal(v.in.nackCount, 0);
        assert_int_equal(v.quality.damaged, 0);
        assert_int_equal(v.in.keyFramesDecoded, 1);
        assert_true(v.remote_in.roundTripTimeMeasurements > 0);
        assert_in_range(v.remote_in.roundTripTime, 39 * TIME_MS, 45 * TIME_MS);
    }
    media_world_free(world);
}

// A retransmission takes 600 ms: holes are waited for as long, and no key frame is asked for.
static void test_media_on_a_long_path_rtx_is_waited_for(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    unsigned video = media_world_track(world, &vp8, true, false);
    world->paths[0].delay = world->paths[1].delay = 300 * TIME_MS;
    media_world_start(world);
    media_world_run(world, 3 * TIME_S);
    world->paths[0].loss = RNG_BILLION / 200;
    media_world_run(world, 20 * TIME_S);
    struct media_track_stats got = media_world_stats(world, 1, video);
    assert_true(world->paths[0].lost > 5);
    assert_int_equal(got.in.pliCount, 0);
    assert_int_equal(got.quality.frames_missing, 0);
    media_world_free(world);
}

// By the schedule of reports alone it would be five a second.
static void test_media_nacks_do_not_wait_for_reports(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    unsigned video = media_world_track(world, &vp8, true, false);
    world->paths[0].loss = RNG_BILLION / 10;
    media_world_start(world);
    media_world_run(world, 5 * TIME_S);
    struct media_track_stats got = media_world_stats(world, 1, video);
    assert_true(got.in.nackCount > 50);
    assert_true(got.remote_out.reportsSent < 40);
    media_world_free(world);
}

static void test_media_lost_video_comes_back_by_rtx(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    unsigned video = media_world_track(world, &vp8, true, false);
    world->paths[0].loss = RNG_BILLION / 20;
    media_world_start(world);
    media_world_run(world, 20 * TIME_S);
    struct media_track_stats got = media_world_stats(world, 1, video);
    assert_true(world->paths[0].lost > 50);
    assert_true(got.in.nackCount > 10);
    assert_true(got.in.retransmittedPacketsReceived > 50);
    assert_true(got.in.framesDecoded > 490); // of 500: NACK mends nearly all
    assert_int_equal(got.quality.damaged, 0);
    assert_true(got.in.packetsLost > 0); // what the network lost stays lost
    media_world_free(world);
}

// 5 % loss with RED: one packet lost in a row loses nothing.
static void test_media_red_brings_lost_audio_back(void **state)
{
    (void)state;
    uint64_t concealed[2];
    for (int red = 0; red < 2; red++) {
        struct media_world *world = media_world_new(NULL);
        struct media_track_config config = opus;
        config.red = red;
        unsigned audio = media_world_track(world, &config, true, false);
        world->paths[0].loss = RNG_BILLION / 20;
        media_world_start(world);
        media_world_run(world, 20 * TIME_S);
        struct media_track_stats got = media_world_stats(world, 1, audio);
        assert_true(world->paths[0].lost > 20);
        assert_int_equal(got.quality.recovered > 20, red);
        assert_int_equal(got.in.fecPacketsReceived > 800, red);
        assert_int_equal(got.quality.damaged, 0);
        assert_true(got.quality.mos > 1000);
        concealed[red] = got.in.concealedSamples;
        media_world_free(world);
    }
    assert_true(concealed[1] * 3 < concealed[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_audio_and_video_without_loss_arrive_whole),
        cmocka_unit_test(test_media_lost_video_comes_back_by_rtx),
        cmocka_unit_test(test_media_red_brings_lost_audio_back),
        cmocka_unit_test(test_media_on_a_long_path_rtx_is_waited_for),
        cmocka_unit_test(test_media_nacks_do_not_wait_for_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
