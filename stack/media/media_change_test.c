// Streams that change under way: another codec, another start, a return after a goodbye; and
// agreements that change.
#include "stack/media/media_world.h"
#include "stack/rtp/rtcp.h"
#include "stack/rtp/rtp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct media_track_config audio = {.label = "audio",
                                                .kind = MEDIA_AUDIO,
                                                .codecs = {"opus", "PCMU", "G722"},
                                                .codecs_count = 3,
                                                .bitrate = 32000};
static const struct media_track_config video = {.label = "video",
                                                .kind = MEDIA_VIDEO,
                                                .codecs = {"VP8", "VP9", "H264"},
                                                .codecs_count = 3,
                                                .bitrate = 500000,
                                                .fps = 25,
                                                .width = 640,
                                                .height = 360,
                                                .nack = true,
                                                .rtx = true,
                                                .pli = true};

// ------------------------------------------------------------------------------------------ codecs

// What `side` makes of a description with these codecs, by its preference.
static void agree(struct media_world *world, int side, const enum codec_kind *kinds, unsigned count)
{
    const struct media_track_config *config = media_track_config(world->sides[side], 0);
    struct media_agreement agreement = media_world_agreement(config, "0");
    agreement.send = config->send;
    agreement.receive = config->receive;
    agreement.formats_count = 0;
    for (unsigned i = 0; i < count; i++)
        media_world_format(&agreement, kinds[i], (uint8_t)(100 + kinds[i]), 0);
    assert_true(media_agree(world->sides[side], world->now, 0, &agreement));
}

static struct media_world *begin(const struct media_track_config *config)
{
    struct media_world *world = media_world_new(NULL);
    (void)media_world_track(world, config, true, false);
    return world;
}

// RFC 3264 6.1, 7: what comes may be of any of the formats agreed on, not the first alone.
static void test_media_change_any_audio_codec_agreed_on_is_played(void **state)
{
    (void)state;
    static const enum codec_kind all[] = {CODEC_OPUS, CODEC_PCMU, CODEC_G722};
    for (unsigned i = 0; i < 3; i++) {
        const enum codec_kind sent[] = {all[i], all[(i + 1) % 3], all[(i + 2) % 3]};
        struct media_world *world = begin(&audio);
        agree(world, 0, sent, 3);
        agree(world, 1, all, 3);
        media_world_start(world);
        media_world_run(world, 5 * TIME_S);
        struct media_track_stats got = media_world_stats(world, 1, 0);
        assert_int_equal(got.in.concealedSamples, 0);
        assert_int_equal(got.in.packetsDiscarded, 0);
        assert_in_range(got.quality.intact, 240, 250);
        uint64_t rate = all[i] == CODEC_OPUS ? 48000 : all[i] == CODEC_PCMU ? 8000 : 16000;
        assert_in_range(got.in.totalSamplesReceived, rate * 48 / 10, rate * 5);
        media_world_free(world);
    }
}

static void test_media_change_any_video_codec_agreed_on_is_played(void **state)
{
    (void)state;
    static const enum codec_kind all[] = {CODEC_VP8, CODEC_VP9, CODEC_H264};
    for (unsigned i = 0; i < 3; i++) {
        const enum codec_kind sent[] = {all[i], all[(i + 1) % 3], all[(i + 2) % 3]};
        struct media_world *world = begin(&video);
        agree(world, 0, sent, 3);
        agree(world, 1, all, 3);
        media_world_start(world);
        media_world_run(world, 5 * TIME_S);
        struct media_track_stats got = media_world_stats(world, 1, 0);
        assert_int_equal(got.in.framesDropped, 0);
        assert_in_range(got.quality.intact, 115, 125);
        media_world_free(world);
    }
}

// A new agreement changes the codec of a stream that goes on under its SSRC.
static void test_media_change_of_codec_goes_on(void **state)
{
    (void)state;
    static const enum codec_kind kinds[2][3] = {{CODEC_OPUS, CODEC_PCMU, CODEC_G722},
                                                {CODEC_VP8, CODEC_H264, CODEC_VP9}};
    for (unsigned is_video = 0; is_video < 2; is_video++) {
        struct media_world *world = begin(is_video ? &video : &audio);
        agree(world, 0, kinds[is_video], 1);
        agree(world, 1, kinds[is_video], 3);
        media_world_start(world);
        media_world_run(world, 4 * TIME_S);
        uint64_t each = media_world_stats(world, 1, 0).quality.intact;
        for (unsigned i = 1; i < 3; i++) {
            agree(world, 0, kinds[is_video] + i, 1);
            media_world_run(world, (i + 1) * 4 * TIME_S);
        }
        struct media_track_stats got = media_world_stats(world, 1, 0);
        assert_in_range(got.quality.intact, 3 * each - 4, 3 * each + 8);
        assert_int_equal(got.quality.damaged, 0);
        assert_int_equal(got.in.packetsLost, 0);
        assert_true(got.in.jitter < 20 * TIME_MS);
        media_world_free(world);
    }
}

// Nothing of what the other side answers is known: what is buffered plays, nothing else is taken.
static void test_media_change_to_no_codec_ends_nothing_badly(void **state)
{
    (void)state;
    for (unsigned is_video = 0; is_video < 2; is_video++) {
        static const enum codec_kind kinds[2] = {CODEC_OPUS, CODEC_VP8}, fec = CODEC_ULPFEC;
        struct media_world *world = begin(is_video ? &video : &audio);
        agree(world, 0, &kinds[is_video], 1);
        agree(world, 1, &kinds[is_video], 1);
        media_world_start(world);
        media_world_run(world, 2 * TIME_S + 7 * TIME_MS);
        agree(world, 1, &fec, is_video);
        media_world_run(world, 3 * TIME_S);
        uint64_t then = media_world_stats(world, 1, 0).quality.intact;
        agree(world, 1, &kinds[is_video], 1);
        media_world_run(world, 6 * TIME_S);
        assert_true(media_world_stats(world, 1, 0).quality.intact >= then + 70);
        media_world_free(world);
    }
}

// --------------------------------------------------------------------------------- another start

static nanotime restart_at;
static uint16_t sequence_step;
static uint32_t timestamp_step;

// From then on as if the sender had begun anew: the same SSRC, other numbers, another clock.
static void restart(struct media_world *world, int from, struct media_flying *packet)
{
    if (from || packet->rtcp || world->now < restart_at)
        return;
    uint8_t *at = packet->bytes;
    put_u16(at + 2, (uint16_t)(((unsigned)at[2] << 8 | at[3]) + sequence_step));
    put_u32(at + 4, ((uint32_t)at[4] << 24 | (uint32_t)at[5] << 16 | (uint32_t)at[6] << 8 | at[7]) +
                        timestamp_step);
}

// RFC 3550 A.1: two packets in sequence, far from those before, are a source that began anew.
static void test_media_change_of_numbers_goes_on(void **state)
{
    (void)state;
    static const struct {
        uint16_t sequence;
        uint32_t timestamp;
    } steps[] = {{60000, 0},
                 {60000, 3000000000u},
                 {60000, 1000000000u},
                 {20000, 3000000000u},
                 {20000, 1000000000u}};
    for (unsigned i = 0; i < 2 * sizeof steps / sizeof steps[0]; i++) {
        struct media_track_config config = i % 2 ? video : audio;
        config.has_first_sequence = config.has_first_timestamp = true;
        config.first_sequence = 20000;
        config.first_timestamp = 500000000;
        struct media_world *world = media_world_new(NULL);
        (void)media_world_track(world, &config, true, false);
        restart_at = 4 * TIME_S;
        sequence_step = steps[i / 2].sequence;
        timestamp_step = steps[i / 2].timestamp;
        world->tamper = restart;
        media_world_start(world);
        media_world_run(world, 4 * TIME_S);
        struct media_track_stats before = media_world_stats(world, 1, 0);
        media_world_run(world, 9 * TIME_S);
        struct media_track_stats after = media_world_stats(world, 1, 0);
        unsigned each = i % 2 ? 25 : 50;
        assert_in_range(after.quality.intact - before.quality.intact, each * 9 / 2, each * 5);
        uint64_t emitted = after.in.jitterBufferEmittedCount - before.in.jitterBufferEmittedCount;
        assert_true((after.in.jitterBufferDelay - before.in.jitterBufferDelay) / (nanotime)emitted <
                    100 * TIME_MS);
        media_world_free(world);
    }
}

// ---------------------------------------------------------------------------------------- goodbye

static void say_goodbye(struct media_world *world)
{
    uint8_t bytes[64];
    struct media_ssrcs ssrcs;
    media_ssrcs(world->sides[0], 0, &ssrcs);
    struct writer w = writer_of(bytes, sizeof bytes);
    rtcp_write_rr(&w, ssrcs.media[0], NULL, 0);
    rtcp_write_bye(&w, ssrcs.media, 1, bytes_of(NULL, 0));
    assert_int_equal(media_input_rtcp(world->sides[1], world->now, writer_bytes(&w)), MEDIA_KEPT);
}

// Who stopped and said so, as browsers do when a track is held, may go on under the same SSRC.
static void test_media_change_back_after_a_goodbye(void **state)
{
    (void)state;
    for (unsigned is_video = 0; is_video < 2; is_video++) {
        struct media_world *world = media_world_new(NULL);
        (void)media_world_track(world, is_video ? &video : &audio, true, false);
        media_world_start(world);
        media_world_run(world, 3 * TIME_S);
        world->paths[0].loss = 1000000000;
        media_world_run(world, 3 * TIME_S + 100 * TIME_MS);
        say_goodbye(world);
        media_world_run(world, 5 * TIME_S);
        struct media_track_stats away = media_world_stats(world, 1, 0);
        world->paths[0].loss = 0;
        media_world_run(world, 7 * TIME_S);
        uint64_t reported = media_world_stats(world, 0, 0).remote_in.packetsReceived;
        media_world_run(world, 11 * TIME_S);
        struct media_track_stats back = media_world_stats(world, 1, 0);
        assert_true(back.quality.intact >= away.quality.intact + (is_video ? 25u : 50u) * 11 / 2);
        assert_true(media_world_stats(world, 0, 0).remote_in.packetsReceived > reported + 90);
        if (!is_video) // while it was away, silence was due
            assert_true(back.in.concealedSamples < 48000 / 2);
        media_world_free(world);
    }
}

// What was on its way when the goodbye came brings nothing back.
static void test_media_change_stragglers_bring_nothing_back(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    (void)media_world_track(world, &audio, true, false);
    media_world_start(world);
    media_world_run(world, 3 * TIME_S);
    say_goodbye(world);
    media_world_run(world, 3 * TIME_S + 500 * TIME_MS);
    world->paths[0].loss = 1000000000;
    media_world_run(world, 4 * TIME_S);
    uint64_t played = media_world_stats(world, 1, 0).in.totalSamplesReceived;
    media_world_run(world, 6 * TIME_S);
    assert_int_equal(media_world_stats(world, 1, 0).in.totalSamplesReceived, played);
    media_world_free(world);
}

// Of what both agreed not to send nothing is lost, and nothing is made up for it.
static void test_media_change_held_sound_is_not_concealed(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    (void)media_world_track(world, &audio, true, false);
    media_world_start(world);
    struct media_agreement agreement = media_world_agreement(&audio, "0");
    struct media_track_stats got[3];
    for (unsigned i = 0; i < 3; i++) {
        for (int side = 0; side < 2; side++) {
            agreement.send = side == 0 && i != 1;
            agreement.receive = side == 1 && i != 1;
            assert_true(media_agree(world->sides[side], world->now, 0, &agreement));
        }
        media_world_run(world, (i + 1) * 10 * TIME_S);
        got[i] = media_world_stats(world, 1, 0);
    }
    assert_true(got[2].in.concealedSamples < 48000 / 10);
    assert_true(got[1].in.totalSamplesReceived < got[0].in.totalSamplesReceived + 48000 / 2);
    assert_true(got[2].quality.intact > 980);
    assert_true(got[2].quality.mos > 4000);
    media_world_free(world);
}

// Nor is anything asked for of it, though a key frame was waited for.
static void test_media_change_held_video_is_not_asked_for(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    (void)media_world_track(world, &video, true, false);
    media_world_start(world);
    media_world_run(world, 2 * TIME_S);
    world->paths[0].loss = RNG_BILLION / 5;
    world->paths[1].loss = RNG_BILLION; // nothing is repaired
    media_world_run(world, 4 * TIME_S);
    struct media_agreement agreement = media_world_agreement(&video, "0");
    agreement.send = agreement.receive = false;
    for (int side = 0; side < 2; side++)
        assert_true(media_agree(world->sides[side], world->now, 0, &agreement));
    struct media_track_stats before = media_world_stats(world, 1, 0);
    assert_true(before.in.pliCount > 2);
    media_world_run(world, 10 * TIME_S);
    struct media_track_stats after = media_world_stats(world, 1, 0);
    assert_int_equal(after.in.pliCount, before.in.pliCount);
    assert_int_equal(after.in.nackCount, before.in.nackCount);
    media_world_free(world);
}

// RFC 8853 5.3.4: a layer that the new answer does not take is sent no more, one that it takes is.
static void test_media_change_of_layers_taken(void **state)
{
    (void)state;
    struct media_config configs[2] = {{.control = MEDIA_FIXED, .max_bps = 5000000},
                                      {.control = MEDIA_FIXED, .max_bps = 5000000}};
    struct media_world *world = media_world_new(configs);
    struct media_track_config config = video;
    config.bitrate = 900000;
    config.layers[0] = (struct media_layer){"q", 4, 100000};
    config.layers[1] = (struct media_layer){"f", 1, 700000};
    config.layers_count = 2;
    (void)media_world_track(world, &config, true, false);
    media_world_start(world);
    struct media_agreement agreement = media_world_agreement(&config, "0");
    agreement.receive = false;
    for (unsigned i = 0; i < 3; i++) {
        uint64_t before = media_world_stats(world, 0, 0).layers[1].out.framesSent;
        agreement.layer_taken[1] = i != 1;
        assert_true(media_agree(world->sides[0], world->now, 0, &agreement));
        media_world_run(world, (i + 1) * 2 * TIME_S);
        uint64_t sent = media_world_stats(world, 0, 0).layers[1].out.framesSent - before;
        assert_in_range(sent, i == 1 ? 0 : 45, i == 1 ? 1 : 51);
    }
    media_world_free(world);
}

// ------------------------------------------------------------------------------------------- moves

static void piece_of(struct media_world *world, uint32_t ssrc, uint16_t sequence, const char *mid)
{
    uint8_t bytes[64], payload[] = {0x10, 0x00};
    struct media_agreement agreement = media_world_agreement(&video, mid);
    struct rtp_packet packet = {.payload_type = 96,
                                .marker = true,
                                .sequence = sequence,
                                .timestamp = sequence * 3600u,
                                .ssrc = ssrc,
                                .payload = bytes_of(payload, sizeof payload)};
    struct rtp_extension_values values = {.has = 1u << RTP_MID, .mid = bytes_text(mid)};
    size_t len = rtp_write(bytes, sizeof bytes, &packet, &agreement.extensions, &values);
    assert_int_equal(media_input_rtp(world->sides[1], world->now, bytes_of(bytes, len)),
                     MEDIA_KEPT);
    media_world_run(world, world->now + 40 * TIME_MS);
}

// RFC 9143 9.2: another mid moves a stream to another section. It is of the one before no more.
static void test_media_change_of_section(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    for (unsigned i = 0; i < 2; i++)
        (void)media_world_track(world, &video, true, false);
    media_world_start(world);
    world->paths[0].loss = 1000000000;
    for (uint16_t i = 0; i < 50; i++)
        piece_of(world, 1234, i, i < 25 ? "0" : "1");
    struct media_track_stats left = media_world_stats(world, 1, 0);
    struct media_track_stats come = media_world_stats(world, 1, 1);
    assert_int_equal(come.in.ssrc, 1234);
    assert_in_range(come.in.framesDecoded, 20, 25);
    assert_int_equal(left.in.ssrc, 0);
    assert_int_equal(left.in.framesDecoded, 0);
    piece_of(world, 4321, 7, "0");
    assert_int_equal(media_world_stats(world, 1, 0).in.ssrc, 4321);
    media_world_free(world);
}

// ------------------------------------------------------------------------------------- rejections

// RFC 9143 9.2: of a section that is given up, neither mid nor payload types tell anything.
static void test_media_change_rejected_sections_claim_nothing(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    for (unsigned i = 0; i < 3; i++)
        (void)media_world_track(world, &video, true, false);
    struct media_agreement agreement = media_world_agreement(&video, "2");
    agreement.send = false;
    for (unsigned i = 1; i < 3; i++) {
        struct media_agreement rejected = {.mid = bytes_text(i == 1 ? "1" : "2"), .rejected = true};
        assert_true(media_agree(world->sides[1], 0, i, &rejected));
    }
    media_world_start(world);
    uint8_t bytes[64], payload[] = {0x10, 0x00};
    struct rtp_packet packet = {
        .payload_type = 96, .ssrc = 1234, .payload = bytes_of(payload, sizeof payload)};
    size_t len = rtp_write(bytes, sizeof bytes, &packet, NULL, NULL);
    assert_int_equal(media_input_rtp(world->sides[1], 0, bytes_of(bytes, len)), MEDIA_KEPT);
    assert_int_equal(media_world_stats(world, 1, 0).in.ssrc, 1234);
    assert_true(media_agree(world->sides[1], 0, 1, &agreement)); // the mid of the third
    media_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_change_any_audio_codec_agreed_on_is_played),
        cmocka_unit_test(test_media_change_any_video_codec_agreed_on_is_played),
        cmocka_unit_test(test_media_change_of_codec_goes_on),
        cmocka_unit_test(test_media_change_to_no_codec_ends_nothing_badly),
        cmocka_unit_test(test_media_change_of_numbers_goes_on),
        cmocka_unit_test(test_media_change_back_after_a_goodbye),
        cmocka_unit_test(test_media_change_stragglers_bring_nothing_back),
        cmocka_unit_test(test_media_change_held_sound_is_not_concealed),
        cmocka_unit_test(test_media_change_held_video_is_not_asked_for),
        cmocka_unit_test(test_media_change_of_layers_taken),
        cmocka_unit_test(test_media_change_of_section),
        cmocka_unit_test(test_media_change_rejected_sections_claim_nothing),
    };
    return cmocka_run_group_tests_name("media_change", tests, NULL, NULL);
}
