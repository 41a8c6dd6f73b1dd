// What goes out: each packet has the next number, whatever could not be sent.
#include "stack/media/media_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

// Every number of alice's media, in the order that they go out.
static struct {
    bool any;
    uint16_t sequence;
    unsigned packets, holes, repairs;
    size_t longest;
} seen;

static void note(struct media_world *world, int from, struct media_flying *packet)
{
    struct rtp_packet parsed;
    (void)world;
    if (from || packet->rtcp)
        return;
    assert_int_equal(rtp_parse(bytes_of(packet->bytes, packet->len), &parsed), RTP_OK);
    if (parsed.payload_type == 97)
        return; // RTX
    seen.holes += seen.any && parsed.sequence != (uint16_t)(seen.sequence + 1);
    seen.any = true;
    seen.sequence = parsed.sequence;
    seen.packets++;
    seen.longest = packet->len > seen.longest ? packet->len : seen.longest;
    seen.repairs += parsed.payload_type == 98 && parsed.payload.at[0] == 99;
}

static struct media_transport_stats run(struct media_world *world, nanotime until)
{
    struct media_transport_stats stats;
    memset(&seen, 0, sizeof seen);
    world->tamper = note;
    media_world_start(world);
    media_world_run(world, until);
    media_transport_stats(world->sides[0], &stats);
    return stats;
}

#define CLIP_FRAMES 50

// Opus of 20 ms, of which every fifth frame is longer than a packet of `mtu`.
static struct clip *clip_new(size_t mtu)
{
    struct clip *clip = mem_zero(1, sizeof *clip);
    clip->kind = CODEC_OPUS;
    clip->frames = mem_zero(CLIP_FRAMES, sizeof *clip->frames);
    clip->bytes = mem_zero(CLIP_FRAMES, mtu);
    clip->frames_count = CLIP_FRAMES;
    clip->duration = CLIP_FRAMES * 960;
    for (unsigned i = 0; i < CLIP_FRAMES; i++) {
        clip->frames[i] = (struct clip_frame){.at = clip->bytes_len,
                                              .len = i % 5 == 4 ? mtu : 100,
                                              .timestamp = (uint64_t)i * 960,
                                              .keyframe = true};
        clip->bytes[clip->bytes_len] = 0xf8; // RFC 6716 3.1: CELT, 20 ms, one frame
        clip->bytes_len += clip->frames[i].len;
    }
    return clip;
}

// RFC 7587 4.2: a frame of sound is a packet. What does not fit is not sent, and leaves no hole.
static void test_media_send_sound_that_fits_no_packet_leaves_no_hole(void **state)
{
    (void)state;
    for (int red = 0; red < 2; red++) {
        struct media_config configs[2] = {{.mtu = 600}, {.mtu = 600}};
        struct media_world *world = media_world_new(configs);
        struct clip *clip = clip_new(600);
        struct media_track_config config = {.label = "audio",
                                            .kind = MEDIA_AUDIO,
                                            .codecs = {"opus"},
                                            .codecs_count = 1,
                                            .bitrate = 64000,
                                            .clip = clip,
                                            .clip_loops = true,
                                            .red = red};
        unsigned track = media_world_track(world, &config, true, false);
        struct media_transport_stats stats = run(world, 10 * TIME_S);
        assert_in_range(seen.packets, 395, 402);
        assert_in_range(stats.frames_too_long, 98, 101);
        assert_int_equal(seen.holes, 0);
        assert_true(seen.longest <= 600);
        struct media_track_stats got = media_world_stats(world, 1, track);
        assert_int_equal(got.in.packetsLost, 0);
        media_world_free(world);
        clip_free(clip);
    }
}

// RFC 6184 6.2: in mode 0 a NAL unit that is longer than a packet cannot be sent.
static void test_media_send_a_unit_that_fits_no_packet_leaves_no_hole(void **state)
{
    (void)state;
    struct media_config configs[2] = {{.mtu = 500}, {.mtu = 500}};
    struct media_world *world = media_world_new(configs);
    struct media_track_config config = {.label = "video",
                                        .kind = MEDIA_VIDEO,
                                        .codecs = {"H264"},
                                        .codecs_count = 1,
                                        .bitrate = 300000,
                                        .fps = 25,
                                        .width = 320,
                                        .height = 180};
    unsigned track = media_world_track(world, &config, true, false);
    struct media_agreement agreement = media_world_agreement(&config, "0");
    agreement.formats[0].single_nal = true;
    agreement.receive = false;
    media_agree(world->sides[0], 0, track, &agreement);
    struct media_transport_stats stats = run(world, 4 * TIME_S);
    assert_true(stats.frames_too_long > 20);
    assert_true(seen.longest <= 500);
    assert_int_equal(seen.holes, 0);
    media_world_free(world);
}

// RFC 5109 14.2: ULPFEC has numbers among the media's, each the next.
static void test_media_send_repair_has_numbers_among_the_media(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    struct media_track_config config = {.label = "video",
                                        .kind = MEDIA_VIDEO,
                                        .codecs = {"VP8"},
                                        .codecs_count = 1,
                                        .bitrate = 1000000,
                                        .fps = 25,
                                        .width = 640,
                                        .height = 360,
                                        .fec = MEDIA_ULPFEC,
                                        .fec_share = 300};
    (void)media_world_track(world, &config, true, false);
    struct media_transport_stats stats = run(world, 10 * TIME_S);
    assert_true(seen.repairs > 300);
    assert_int_equal(stats.frames_too_long, 0);
    assert_int_equal(seen.holes, 0);
    media_world_free(world);
}

// The repair of the longest packets fits, too, with all extensions on both: in every size of
// frames, nothing that was made is too long.
static void test_media_send_repair_of_the_longest_packets_fits(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        size_t mtu = 500 + i * 12;
        struct media_config configs[2] = {{.mtu = mtu, .control = MEDIA_FIXED, .max_bps = 4000000},
                                          {.mtu = mtu, .control = MEDIA_FIXED}};
        struct media_world *world = media_world_new(configs);
        struct media_track_config config = {.label = "video",
                                            .kind = MEDIA_VIDEO,
                                            .codecs = {"VP8"},
                                            .codecs_count = 1,
                                            .bitrate = 2000000 + i * 7000,
                                            .fps = 10,
                                            .width = 640,
                                            .height = 360,
                                            .fec = i % 2 ? MEDIA_ULPFEC : MEDIA_FLEXFEC,
                                            .fec_share = 100};
        (void)media_world_track(world, &config, true, false);
        world->paths[1].loss = RNG_BILLION; // no report comes: the MID goes along
        (void)run(world, TIME_S);
        assert_true(seen.longest <= mtu);
        assert_true(seen.longest + 100 > mtu);
        media_world_free(world);
    }
}

// Probes repeat by RTX, which has numbers of its own, and video alone: a packet that goes out twice
// under one number is none.
static void test_media_send_padding_is_rtx_of_video(void **state)
{
    (void)state;
    static const struct media_track_config audio = {.label = "audio",
                                                    .kind = MEDIA_AUDIO,
                                                    .codecs = {"opus"},
                                                    .codecs_count = 1,
                                                    .bitrate = 32000,
                                                    .nack = true,
                                                    .rtx = true};
    struct media_track_config video = {.label = "video",
                                       .kind = MEDIA_VIDEO,
                                       .codecs = {"VP8"},
                                       .codecs_count = 1,
                                       .bitrate = 4000000,
                                       .fps = 25,
                                       .width = 640,
                                       .height = 360,
                                       .nack = true};
    for (int rtx = 0; rtx < 2; rtx++) {
        struct media_world *world = media_world_new(NULL);
        video.rtx = rtx;
        unsigned a = media_world_track(world, &audio, true, false);
        unsigned v = media_world_track(world, &video, true, false);
        struct media_agreement agreement = media_world_agreement(&audio, "0");
        media_world_format(&agreement, CODEC_RTX, 112, 111);
        agreement.receive = false;
        media_agree(world->sides[0], 0, a, &agreement);
        media_world_start(world);
        media_world_run(world, 5 * TIME_S);
        struct media_transport_stats stats;
        media_transport_stats(world->sides[0], &stats);
        assert_true(stats.probes >= 2);
        assert_int_equal(media_world_stats(world, 0, a).out.retransmittedPacketsSent, 0);
        assert_int_equal(media_world_stats(world, 0, v).out.retransmittedPacketsSent > 5, rtx);
        media_world_free(world);
    }
}

// The rate to begin with is that of all tracks together, in whatever order they are.
static void test_media_send_begins_at_the_rate_to_begin_with(void **state)
{
    (void)state;
    static const struct media_track_config tracks[2] = {{.label = "video",
                                                         .kind = MEDIA_VIDEO,
                                                         .codecs = {"VP8"},
                                                         .codecs_count = 1,
                                                         .bitrate = 3000000,
                                                         .fps = 25,
                                                         .width = 640,
                                                         .height = 360,
                                                         .nack = true,
                                                         .pli = true},
                                                        {.label = "audio",
                                                         .kind = MEDIA_AUDIO,
                                                         .codecs = {"opus"},
                                                         .codecs_count = 1,
                                                         .bitrate = 32000}};
    for (unsigned first = 0; first < 2; first++) {
        static const struct media_config configs[2] = {{.start_bps = 1000000}};
        struct media_world *world = media_world_new(configs);
        (void)media_world_track(world, &tracks[first], true, false);
        (void)media_world_track(world, &tracks[1 - first], true, false);
        media_world_start(world);
        for (nanotime now = 10 * TIME_MS; now <= 300 * TIME_MS; now += 10 * TIME_MS) {
            struct media_transport_stats stats;
            media_world_run(world, now);
            media_transport_stats(world->sides[0], &stats);
            assert_true(stats.availableOutgoingBitrate >= 1000000);
        }
        media_world_free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_send_sound_that_fits_no_packet_leaves_no_hole),
        cmocka_unit_test(test_media_send_a_unit_that_fits_no_packet_leaves_no_hole),
        cmocka_unit_test(test_media_send_repair_has_numbers_among_the_media),
        cmocka_unit_test(test_media_send_repair_of_the_longest_packets_fits),
        cmocka_unit_test(test_media_send_padding_is_rtx_of_video),
        cmocka_unit_test(test_media_send_begins_at_the_rate_to_begin_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
