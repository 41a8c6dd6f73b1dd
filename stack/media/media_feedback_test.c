// Feedback, as it is written and as it is read.
#include "stack/media/media_world.h"
#include "stack/rtp/rtcp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct media_track_config video = {.label = "video",
                                                .kind = MEDIA_VIDEO,
                                                .codecs = {"VP8"},
                                                .codecs_count = 1,
                                                .bitrate = 500000,
                                                .fps = 25,
                                                .width = 640,
                                                .height = 360,
                                                .nack = true,
                                                .pli = true};

// ----------------------------------------------------------------------------------------- written

#define TRACKS 6

static unsigned nacks[TRACKS], asked[TRACKS], plis[TRACKS];

static void note(struct media_world *world, int from, struct media_flying *flying)
{
    struct rtcp_walk walk;
    struct rtcp_packet packet;
    (void)world;
    if (!from || !flying->rtcp)
        return;
    assert_int_equal(rtcp_walk_start(&walk, bytes_of(flying->bytes, flying->len), true), RTCP_OK);
    while (rtcp_next(&walk, &packet) == RTCP_OK) {
        unsigned track = packet.kind == RTCP_NACK || packet.kind == RTCP_PLI
                             ? packet.feedback.media - 1000
                             : TRACKS;
        uint16_t sequence;
        if (track >= TRACKS)
            continue;
        plis[track] += packet.kind == RTCP_PLI;
        nacks[track] += packet.kind == RTCP_NACK;
        struct rtcp_nack_walk list = {.left = {NULL, 0}};
        if (packet.kind == RTCP_NACK)
            list = rtcp_nack_start(&packet);
        while (rtcp_nack_next(&list, &sequence))
            asked[track]++;
    }
}

// A packet of a key frame of VP8, of which the end never comes. The first has number 0.
static void piece(struct media_world *world, unsigned track, uint16_t sequence)
{
    uint8_t bytes[64], payload[] = {sequence ? 0x00 : 0x10, 0x00};
    char mid[] = {(char)('0' + track), 0};
    struct media_agreement agreement = media_world_agreement(&video, mid);
    struct rtp_packet packet = {.payload_type = 96,
                                .sequence = sequence,
                                .timestamp = 1000,
                                .ssrc = 1000 + track,
                                .payload = bytes_of(payload, sizeof payload)};
    struct rtp_extension_values values = {.has = 1u << RTP_MID, .mid = bytes_text(mid)};
    size_t len = rtp_write(bytes, sizeof bytes, &packet, &agreement.extensions, &values);
    assert_int_equal(media_input_rtp(world->sides[1], world->now, bytes_of(bytes, len)),
                     MEDIA_KEPT);
}

// More is missing at once than one datagram can ask for: what has no room waits for the next.
static void test_media_feedback_that_has_no_room_waits(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    memset(nacks, 0, sizeof nacks);
    memset(asked, 0, sizeof asked);
    memset(plis, 0, sizeof plis);
    world->tamper = note;
    for (unsigned i = 0; i < TRACKS; i++)
        (void)media_world_track(world, &video, false, false);
    for (unsigned i = 0; i < TRACKS; i++) {
        char mid[] = {(char)('0' + i), 0};
        struct media_agreement agreement = media_world_agreement(&video, mid);
        agreement.send = false;
        assert_true(media_agree(world->sides[1], 0, i, &agreement));
    }
    media_world_start(world);
    media_world_run(world, TIME_S);
    for (unsigned i = 0; i < TRACKS; i++)
        for (uint16_t sequence = 0; sequence < 100 * 18; sequence++)
            if (!sequence || sequence % 18) // an entry for each, as no two fit in one
                piece(world, i, sequence);
    for (unsigned i = 0; i < TRACKS; i++)
        media_command(world->sides[1], world->now,
                      &(struct media_command){.kind = MEDIA_KEYFRAME, .track = i});
    media_world_run(world, TIME_S + 200 * TIME_MS);
    for (unsigned i = 0; i < TRACKS; i++) {
        assert_int_equal(plis[i], 1);
        assert_true(asked[i] >= 99);
        struct media_track_stats stats = media_world_stats(world, 1, i);
        assert_int_equal(stats.in.nackCount, nacks[i]);
        assert_int_equal(stats.in.pliCount, plis[i]);
    }
    media_world_free(world);
}

// -------------------------------------------------------------------------------------------- read

static void rtcp_in(struct media_world *world, int side, const struct writer *w)
{
    assert_int_equal(media_input_rtcp(world->sides[side], world->now, writer_bytes(w)), MEDIA_KEPT);
}

// RFC 3611 4.5: each part of a DLRR is for the receiver that it names.
static void test_media_feedback_round_trips_of_others_are_not_ours(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    (void)media_world_track(world, &video, true, false);
    media_world_start(world);
    media_world_run(world, 3 * TIME_S);
    struct media_track_stats before = media_world_stats(world, 1, 0);
    assert_in_range(before.remote_out.roundTripTime, 39 * TIME_MS, 41 * TIME_MS);
    uint8_t bytes[64];
    struct writer w = writer_of(bytes, sizeof bytes);
    struct rtcp_dlrr dlrr = {.ssrc = 77, .lrr = rtcp_ntp_middle(rtcp_ntp(world->now - 2 * TIME_S))};
    rtcp_write_xr_dlrr(&w, (uint32_t)before.in.ssrc, &dlrr, 1);
    rtcp_in(world, 1, &w);
    struct media_track_stats after = media_world_stats(world, 1, 0);
    assert_true(after.remote_out.roundTripTime == before.remote_out.roundTripTime);
    assert_int_equal(after.remote_out.roundTripTimeMeasurements,
                     before.remote_out.roundTripTimeMeasurements);
    media_world_free(world);
}

// draft-alvestrand-rmcat-remb-03 2.2: 18 bits of mantissa and 6 of exponent tell more than 32 bits.
static void test_media_feedback_a_large_remb_lifts_a_small_one(void **state)
{
    (void)state;
    struct media_config configs[2] = {{.control = MEDIA_REMB}, {.control = MEDIA_REMB}};
    struct media_world *world = media_world_new(configs);
    (void)media_world_track(world, &video, true, false);
    media_world_start(world);
    media_world_run(world, TIME_S);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t bytes[64];
        struct writer w = writer_of(bytes, sizeof bytes);
        struct media_ssrcs ssrcs;
        media_ssrcs(world->sides[0], 0, &ssrcs);
        rtcp_write_remb(&w, 5, i ? 10000000000 : 50000, ssrcs.media, 1);
        rtcp_in(world, 0, &w);
        struct media_output out;
        while (media_poll(world->sides[0], world->now, &out))
            continue;
        struct media_transport_stats stats;
        media_transport_stats(world->sides[0], &stats);
        if (i == 0)
            assert_int_equal(stats.availableOutgoingBitrate, 50000);
        else
            assert_true(stats.availableOutgoingBitrate > 50000);
    }
    media_world_free(world);
}

static void remb(struct media_world *world, uint64_t bps)
{
    uint8_t bytes[64];
    struct writer w = writer_of(bytes, sizeof bytes);
    struct media_ssrcs ssrcs;
    media_ssrcs(world->sides[0], 0, &ssrcs);
    rtcp_write_remb(&w, 5, bps, ssrcs.media, 1);
    rtcp_in(world, 0, &w);
    media_world_run(world, world->now + 100 * TIME_MS);
}

// W3C qualityLimitationResolutionChanges: up or down, by the bandwidth; that it begins is no
// change. What the other side does not take is not limited by it.
static void test_media_feedback_limits_layers(void **state)
{
    (void)state;
    struct media_config configs[2] = {{.control = MEDIA_REMB, .start_bps = 5000000},
                                      {.control = MEDIA_REMB}};
    struct media_world *world = media_world_new(configs);
    struct media_track_config config = video;
    config.bitrate = 900000;
    config.layers[0] = (struct media_layer){"q", 4, 100000};
    config.layers[1] = (struct media_layer){"h", 2, 300000};
    config.layers[2] = (struct media_layer){"f", 1, 500000};
    config.layers_count = 3;
    unsigned track = media_world_track(world, &config, true, false);
    media_world_start(world);
    media_world_run(world, TIME_S);
    struct media_track_stats sent = media_world_stats(world, 0, track);
    assert_int_equal(sent.out.qualityLimitationResolutionChanges, 0);
    assert_int_equal(sent.out.frameWidth, 640);
    remb(world, 200000);
    sent = media_world_stats(world, 0, track);
    assert_int_equal(sent.out.qualityLimitationResolutionChanges, 1); // both go at once
    for (unsigned i = 0; i < 3; i++)
        assert_string_equal(sent.layers[i].out.qualityLimitationReason, i ? "bandwidth" : "none");

    struct media_agreement agreement = media_world_agreement(&config, "0");
    agreement.receive = agreement.layer_taken[2] = false;
    assert_true(media_agree(world->sides[0], world->now, track, &agreement));
    sent = media_world_stats(world, 0, track);
    assert_string_equal(sent.layers[2].out.qualityLimitationReason, "none");
    agreement.send = false;
    assert_true(media_agree(world->sides[0], world->now, track, &agreement));
    sent = media_world_stats(world, 0, track);
    assert_string_equal(sent.layers[1].out.qualityLimitationReason, "none");
    media_world_free(world);
}

// RFC 8888 3.1: what came too long ago for its time to be told, or at a time that is not known,
// came.
static void test_media_feedback_received_without_a_time_is_received(void **state)
{
    (void)state;
    struct media_config configs[2] = {{.control = MEDIA_CCFB}, {.control = MEDIA_CCFB}};
    struct media_world *world = media_world_new(configs);
    struct media_track_config config = video;
    config.has_first_sequence = true;
    config.first_sequence = 100;
    (void)media_world_track(world, &config, true, false);
    struct media_agreement agreement = media_world_agreement(&config, "0");
    agreement.formats[0].ccfb = true;
    agreement.receive = false;
    assert_true(media_agree(world->sides[0], 0, 0, &agreement));
    media_world_start(world);
    media_world_run(world, TIME_S);
    struct media_ssrcs ssrcs;
    media_ssrcs(world->sides[0], 0, &ssrcs);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t bytes[64];
        struct writer w = writer_of(bytes, sizeof bytes);
        struct rtcp_ccfb_metric metrics[2] = {{.received = i, .offset = 0x1ffe},
                                              {.received = i, .offset = 0x1fff}};
        struct rtcp_ccfb_writer to = rtcp_write_ccfb(&w, 77);
        rtcp_write_ccfb_block(&to, ssrcs.media[0], 100, metrics, 2);
        rtcp_write_ccfb_end(&to, rtcp_ntp_middle(rtcp_ntp(world->now)));
        rtcp_in(world, 0, &w);
        struct media_remote_inbound told = media_world_stats(world, 0, 0).remote_in;
        assert_int_equal(told.packetsReportedAsLost, 2);
        assert_int_equal(told.packetsReportedAsLostButRecovered, i ? 2 : 0);
    }
    media_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_feedback_that_has_no_room_waits),
        cmocka_unit_test(test_media_feedback_round_trips_of_others_are_not_ours),
        cmocka_unit_test(test_media_feedback_a_large_remb_lifts_a_small_one),
        cmocka_unit_test(test_media_feedback_limits_layers),
        cmocka_unit_test(test_media_feedback_received_without_a_time_is_received),
    };
    return cmocka_run_group_tests_name("media_feedback", tests, NULL, NULL);
}
