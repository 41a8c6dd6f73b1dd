// Streams that come and go: a sender that changes its SSRC, with and without goodbyes.
#include "stack/media/media_world.h"
#include "stack/rtp/rtcp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct media_track_config opus = {.label = "audio",
                                               .kind = MEDIA_AUDIO,
                                               .codecs = {"opus"},
                                               .codecs_count = 1,
                                               .bitrate = 32000,
                                               .frame_time = 60 * TIME_MS};

static nanotime change_each; // bob's SSRC becomes another so often; 0: with each packet
static uint32_t base, packets;

static uint32_t ssrc_at(nanotime now)
{
    return base + (uint32_t)(change_each ? (uint32_t)(now / change_each) : packets);
}

static void change(struct media_world *world, int from, struct media_flying *packet)
{
    if (!from || packet->rtcp)
        return;
    packets++;
    put_u32(packet->bytes + 8, ssrc_at(world->now));
}

static struct media_world *begin(nanotime each)
{
    struct media_world *world = media_world_new(NULL);
    (void)media_world_track(world, &opus, true, true);
    change_each = each;
    base = 0x10000;
    packets = 0;
    world->tamper = change;
    media_world_start(world);
    return world;
}

static uint64_t refused(struct media_world *world)
{
    struct media_transport_stats stats;
    media_transport_stats(world->sides[0], &stats);
    return stats.drops[MEDIA_TOO_MANY_STREAMS];
}

// Two hours with another SSRC each ten seconds: 720 of them, of which the table holds 128.
static void test_media_streams_of_a_long_call_find_room(void **state)
{
    (void)state;
    struct media_world *world = begin(10 * TIME_S);
    for (int i = 1; i <= 8; i++) {
        media_world_run(world, i * 900 * TIME_S + TIME_S);
        assert_int_equal(refused(world), 0);
        struct media_track_stats got = media_world_stats(world, 0, 0);
        assert_int_equal(got.in.ssrc, ssrc_at(world->now - 100 * TIME_MS));
        assert_true(got.in.lastPacketReceivedTimestamp >= world->now - 150 * TIME_MS);
    }
    media_world_free(world);
}

// With each packet another: the table is full after 128, and says so; once the flood is over, what
// is silent makes room.
static void test_media_streams_of_a_flood_are_bounded(void **state)
{
    (void)state;
    struct media_world *world = begin(0);
    media_world_run(world, 20 * TIME_S);
    assert_in_range(packets, 330, 336);
    assert_in_range(refused(world), packets - 130, packets - 126);
    change_each = 1000 * TIME_S;
    base = 0x20000;
    uint64_t before = refused(world);
    media_world_run(world, 40 * TIME_S); // the oldest is silent for 25 s by then
    assert_in_range(refused(world) - before, 1, 25 * 17);
    struct media_track_stats got = media_world_stats(world, 0, 0);
    assert_int_equal(got.in.ssrc, ssrc_at(world->now));
    assert_true(got.in.packetsReceived > 200);
    media_world_free(world);
}

// The same by the names of RTCP alone: they take no room from what is heard.
static void test_media_streams_of_names_alone_are_bounded(void **state)
{
    (void)state;
    struct media_world *world = begin(1000 * TIME_S);
    media_world_run(world, 2 * TIME_S);
    for (uint32_t i = 0; i < 300; i++) {
        uint8_t bytes[64];
        struct writer w = writer_of(bytes, sizeof bytes);
        rtcp_write_rr(&w, 0x30000 + i, NULL, 0);
        rtcp_write_cname(&w, 0x30000 + i, bytes_text("x"), bytes_text("0"));
        assert_int_equal(media_input_rtcp(world->sides[0], world->now, writer_bytes(&w)),
                         MEDIA_KEPT);
    }
    media_world_run(world, 4 * TIME_S);
    struct media_track_stats got = media_world_stats(world, 0, 0);
    assert_int_equal(got.in.ssrc, ssrc_at(0));
    base = 0x40000;
    media_world_run(world, 40 * TIME_S);
    got = media_world_stats(world, 0, 0);
    assert_int_equal(got.in.ssrc, ssrc_at(0));
    media_world_free(world);
}

// RFC 9143 9.2: after a goodbye the SSRC goes a little later, without a need for room: 400 in 40 s
// are never more than 128 in 5 s.
static void test_media_streams_that_said_goodbye_go(void **state)
{
    (void)state;
    struct media_world *world = begin(100 * TIME_MS);
    for (int i = 1; i <= 400; i++) {
        media_world_run(world, i * 100 * TIME_MS + 50 * TIME_MS);
        uint8_t bytes[64];
        struct writer w = writer_of(bytes, sizeof bytes);
        uint32_t gone = ssrc_at(world->now - 200 * TIME_MS);
        rtcp_write_rr(&w, gone, NULL, 0);
        rtcp_write_bye(&w, &gone, 1, bytes_of(NULL, 0));
        assert_int_equal(media_input_rtcp(world->sides[0], world->now, writer_bytes(&w)),
                         MEDIA_KEPT);
    }
    assert_int_equal(refused(world), 0);
    media_world_free(world);
}

// What a track plays stays, however long it is silent: its statistics are the track's.
static void test_media_streams_that_play_stay(void **state)
{
    (void)state;
    struct media_world *world = begin(1000 * TIME_S);
    media_world_run(world, 2 * TIME_S);
    media_stop(world->sides[1], world->now); // BYE
    media_world_run(world, 100 * TIME_S);
    struct media_track_stats got = media_world_stats(world, 0, 0);
    assert_int_equal(got.in.ssrc, ssrc_at(0));
    assert_in_range(got.in.packetsReceived, 30, 34);
    media_world_free(world);
}

static const struct media_track_config simulcast = {.label = "video",
                                                    .kind = MEDIA_VIDEO,
                                                    .codecs = {"VP8"},
                                                    .codecs_count = 1,
                                                    .bitrate = 800000,
                                                    .fps = 25,
                                                    .width = 640,
                                                    .height = 360,
                                                    .pli = true,
                                                    .layers = {{"q", 4, 100000}, {"f", 1, 700000}},
                                                    .layers_count = 2};

// RFC 8285 7: ids are the same in all sections, but a section may have some of the extensions
// alone: sound tells levels, video tells rids.
static void test_media_streams_of_sections_with_other_extensions(void **state)
{
    (void)state;
    static const struct media_config configs[2] = {{.start_bps = 2000000}};
    for (unsigned audio_first = 0; audio_first < 2; audio_first++) {
        struct media_world *world = media_world_new(configs);
        (void)media_world_track(world, audio_first ? &opus : &simulcast, true, false);
        (void)media_world_track(world, audio_first ? &simulcast : &opus, true, false);
        for (int side = 0; side < 2; side++) {
            for (unsigned track = 0; track < 2; track++) {
                bool is_audio = (track == 0) == audio_first;
                struct media_agreement agreement =
                    media_world_agreement(is_audio ? &opus : &simulcast, track ? "1" : "0");
                agreement.send = side == 0;
                agreement.receive = side == 1;
                if (is_audio)
                    agreement.extensions.id[RTP_RID] = agreement.extensions.id[RTP_REPAIRED_RID] =
                        0;
                else
                    agreement.extensions.id[RTP_AUDIO_LEVEL] = 0;
                assert_true(media_agree(world->sides[side], 0, track, &agreement));
            }
        }
        media_world_start(world);
        media_world_run(world, 10 * TIME_S);
        struct media_track_stats audio = media_world_stats(world, 1, !audio_first);
        struct media_track_stats layers = media_world_stats(world, 1, audio_first);
        assert_true(audio.in.totalAudioEnergy > 0);
        assert_int_equal(layers.in.frameWidth, 640);
        assert_int_equal(layers.quality.layer, 1);
        media_world_free(world);
    }
}

// W3C rtxSsrc, fecSsrc: of the stream that plays, not of another layer.
static void test_media_streams_repair_is_of_its_layer(void **state)
{
    (void)state;
    static const struct media_config configs[2] = {{.start_bps = 3000000}};
    struct media_track_config video = simulcast;
    video.fec = MEDIA_FLEXFEC;
    struct media_world *world = media_world_new(configs);
    (void)media_world_track(world, &video, true, false);
    media_world_start(world);
    media_world_run(world, 5 * TIME_S);
    struct media_ssrcs ssrcs;
    media_ssrcs(world->sides[0], 0, &ssrcs);
    struct media_track_stats got = media_world_stats(world, 1, 0);
    assert_int_equal(got.in.ssrc, ssrcs.media[1]);
    assert_int_equal(got.in.fecSsrc, ssrcs.fec[1]);
    media_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_streams_of_a_long_call_find_room),
        cmocka_unit_test(test_media_streams_of_a_flood_are_bounded),
        cmocka_unit_test(test_media_streams_of_names_alone_are_bounded),
        cmocka_unit_test(test_media_streams_that_said_goodbye_go),
        cmocka_unit_test(test_media_streams_that_play_stay),
        cmocka_unit_test(test_media_streams_repair_is_of_its_layer),
        cmocka_unit_test(test_media_streams_of_sections_with_other_extensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
