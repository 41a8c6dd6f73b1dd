#include "stack/media/media_world.h"
#include "stack/rtp/rtcp.h"

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

// RFC 7587 4.2: a packet has one frame, and a datagram has an end.
static void test_media_sound_fits_its_packet_whatever_the_bitrate(void **state)
{
    (void)state;
    for (int red = 0; red < 2; red++) {
        struct media_world *world = media_world_new(NULL);
        struct media_track_config loud = opus;
        loud.bitrate = 600000;
        loud.red = red;
        unsigned audio = media_world_track(world, &loud, true, false);
        media_world_start(world);
        media_world_run(world, 2 * TIME_S);
        media_command(
            world->sides[0], world->now,
            &(struct media_command){.kind = MEDIA_BITRATE, .track = audio, .bps = 2000000});
        media_world_run(world, 10 * TIME_S);
        struct media_track_stats got = media_world_stats(world, 1, audio);
        assert_in_range(got.in.packetsReceived, 490, 501);
        assert_int_equal(got.in.packetsLost, 0);
        assert_int_equal(got.in.concealedSamples, 0);
        assert_in_range(got.in.bytesReceived / got.in.packetsReceived, 1000, 1200);
        media_world_free(world);
    }
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

// RFC 5104 4.3.1.2: as soon as possible, which is not once for each of those who ask.
static void test_media_a_storm_of_requests_gets_few_key_frames(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    unsigned video = media_world_track(world, &vp8, true, false);
    media_world_start(world);
    for (int i = 0; i < 60; i++) {
        media_world_run(world, (2000 + i * 50) * TIME_MS);
        struct media_command command = {.kind = MEDIA_KEYFRAME, .track = video};
        media_command(world->sides[1], world->now, &command);
    }
    media_world_run(world, 6 * TIME_S);
    struct media_track_stats got = media_world_stats(world, 1, video);
    assert_in_range(got.in.pliCount, 50, 60);
    assert_in_range(got.in.keyFramesDecoded, 10, 12); // the first, and one each 300 ms or so
    media_world_free(world);
}

// All of two seconds is lost: what is sent again leaves room for what is new, and is sent once.
static void test_media_goes_on_soon_after_an_outage(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    unsigned video = media_world_track(world, &vp8, true, false);
    media_world_start(world);
    media_world_run(world, 4 * TIME_S);
    world->paths[0].loss = RNG_BILLION;
    media_world_run(world, 6 * TIME_S);
    world->paths[0].loss = 0;
    media_world_run(world, 7 * TIME_S);
    struct media_track_stats got = media_world_stats(world, 1, video);
    assert_true(got.in.lastPacketReceivedTimestamp > 6900 * TIME_MS);
    assert_true(got.in.framesDecoded > 100);
    media_world_run(world, 9 * TIME_S);
    struct media_track_stats then = media_world_stats(world, 1, video);
    assert_in_range(then.in.framesDecoded - got.in.framesDecoded, 49, 52); // as in time as before
    struct media_transport_stats sender;
    media_transport_stats(world->sides[0], &sender);
    assert_int_equal(sender.pacer_drops, 0);
    media_world_free(world);
}

static void test_media_digits_are_no_loss_of_audio(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    unsigned audio = media_world_track(world, &opus, true, false);
    media_world_start(world);
    media_world_run(world, 2 * TIME_S);
    struct media_command dial = {.kind = MEDIA_DIAL, .track = audio, .digits = "0123456789"};
    media_command(world->sides[0], world->now, &dial);
    media_world_run(world, 5 * TIME_S);
    struct media_track_stats got = media_world_stats(world, 1, audio);
    assert_int_equal(got.quality.digits, 10);
    assert_in_range(got.in.concealedSamples, 0, 10 * 480); // a second of tones was sent
    media_world_free(world);
}

// RFC 4585 6.2.1: without RTX a packet comes again under its own number, and is then not lost.
static void test_media_lost_video_comes_back_without_rtx(void **state)
{
    (void)state;
    struct media_track_config plain = vp8;
    plain.rtx = false;
    struct media_world *world = media_world_new(NULL);
    unsigned video = media_world_track(world, &plain, true, false);
    world->paths[0].loss = RNG_BILLION / 50;
    media_world_start(world);
    media_world_run(world, 10 * TIME_S);
    struct media_track_stats got = media_world_stats(world, 1, video);
    assert_true(world->paths[0].lost > 10);
    assert_true(got.in.framesDecoded > 240);
    assert_int_equal(got.in.retransmittedPacketsReceived, 0);
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

// Congestion control sees by RTP numbers (RFC 8888) what it sees by those of the transport, also
// across their wrap, with RTX and FEC beside the media.
static void test_media_ccfb_finds_the_bottleneck(void **state)
{
    (void)state;
    struct media_config configs[2] = {{.control = MEDIA_CCFB}, {.control = MEDIA_CCFB}};
    struct media_world *world = media_world_new(configs);
    struct media_track_config config = vp8;
    config.bitrate = 3000000;
    config.fec = MEDIA_FLEXFEC;
    config.has_first_sequence = true;
    config.first_sequence = 65400;
    unsigned video = media_world_track(world, &config, true, false);
    unsigned audio = media_world_track(world, &opus, true, true);
    for (unsigned i = 0; i < 4; i++) { // a=rtcp-fb:* ack ccfb, and no transport-wide numbers
        unsigned side = i / 2, track = i % 2 ? audio : video;
        struct media_agreement agreement =
            media_world_agreement(i % 2 ? &opus : &config, track ? "1" : "0");
        for (unsigned k = 0; k < agreement.formats_count; k++) {
            agreement.formats[k].transport_cc = false;
            agreement.formats[k].ccfb = true;
        }
        agreement.extensions.id[RTP_TRANSPORT_CC] = 0;
        agreement.send = track == audio || side == 0;
        agreement.receive = track == audio || side == 1;
        media_agree(world->sides[side], 0, track, &agreement);
    }
    world->paths[0].rate = 1000000;
    media_world_start(world);
    media_world_run(world, 10 * TIME_S);
    struct media_transport_stats sender, receiver;
    for (int i = 0; i < 20; i++) {
        media_world_run(world, (10 + i) * TIME_S);
        media_transport_stats(world->sides[0], &sender);
        assert_in_range(sender.availableOutgoingBitrate, 700000, 1100000);
    }
    media_transport_stats(world->sides[1], &receiver);
    assert_int_equal(receiver.feedback_sent, 0);
    assert_in_range(receiver.ccfbMessagesSent, 29 * 4, 29 * 21); // each 50..250 ms
    assert_true(sender.ccfbMessagesReceived + 2 >= receiver.ccfbMessagesSent);
    assert_in_range(sender.acked_bps, 700000, 1050000);
    struct media_track_stats got = media_world_stats(world, 1, video);
    assert_true(got.in.framesDecoded > 700);
    assert_int_equal(media_world_stats(world, 1, audio).quality.damaged, 0);
    media_world_free(world);
}

// Reports of what was never sent, of strangers, with clocks that jump.
static void test_media_ccfb_hostile_reports(void **state)
{
    (void)state;
    struct media_config configs[2] = {{.control = MEDIA_CCFB}, {.control = MEDIA_CCFB}};
    struct media_world *world = media_world_new(configs);
    (void)media_world_track(world, &vp8, true, false);
    media_world_start(world);
    media_world_run(world, 2 * TIME_S);
    struct media_ssrcs ssrcs;
    media_ssrcs(world->sides[0], 0, &ssrcs);
    struct rng rng = rng_seed(3, "reports");
    for (int i = 0; i < 2000; i++) {
        uint8_t bytes[1200];
        struct writer w = writer_of(bytes, sizeof bytes);
        struct rtcp_ccfb_writer to = rtcp_write_ccfb(&w, 77);
        struct rtcp_ccfb_metric metrics[40];
        for (unsigned k = 0; k < 40; k++)
            metrics[k] = (struct rtcp_ccfb_metric){.received = rng_below(&rng, 2),
                                                   .offset = (uint16_t)rng_below(&rng, 8192)};
        rtcp_write_ccfb_block(&to, rng_below(&rng, 2) ? ssrcs.media[0] : rng_u32(&rng),
                              (uint16_t)rng_u32(&rng), metrics, 40);
        rtcp_write_ccfb_end(&to, rng_u32(&rng));
        assert_int_equal(media_input_rtcp(world->sides[0], world->now, writer_bytes(&w)),
                         MEDIA_KEPT);
        media_world_run(world, world->now + 5 * TIME_MS);
    }
    assert_true(media_world_stats(world, 1, 0).in.framesDecoded > 200);
    media_world_free(world);
}

// What getStats() has of a simulcast: a stream for each layer, with its name, beside their sum.
static void test_media_stats_of_layers(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    struct media_track_config config = vp8;
    config.layers[0] = (struct media_layer){"q", 4, 100000};
    config.layers[1] = (struct media_layer){"f", 1, 700000};
    config.layers_count = 2;
    unsigned video = media_world_track(world, &config, true, false);
    media_world_start(world);
    media_world_run(world, 10 * TIME_S);
    struct media_track_stats sent = media_world_stats(world, 0, video);
    assert_string_equal(sent.mid, "0");
    assert_int_equal(sent.payload_type, 96);
    assert_int_equal(sent.layers_count, 2);
    assert_string_equal(sent.layers[0].rid, "q");
    assert_string_equal(sent.layers[1].rid, "f");
    assert_int_equal(sent.layers[0].out.frameWidth, 160);
    assert_int_equal(sent.layers[1].out.frameWidth, 640);
    assert_int_not_equal(sent.layers[0].out.ssrc, sent.layers[1].out.ssrc);
    assert_int_equal(sent.layers[0].out.packetsSent + sent.layers[1].out.packetsSent,
                     sent.out.packetsSent);
    assert_true(sent.layers[1].out.active);
    for (unsigned i = 0; i < 2; i++) { // all but those since the last report
        const struct media_layer_stats *layer = &sent.layers[i];
        uint64_t media = layer->out.packetsSent - layer->out.retransmittedPacketsSent;
        assert_in_range(layer->remote_in.packetsReceived, media - media / 10, media);
    }
    assert_true(sent.out.qualityLimitationNone + sent.out.qualityLimitationBandwidth ==
                10 * TIME_S);
    media_world_free(world);
}

// The source's energy and the receiver's, by the levels in the header extension, are the same.
static void test_media_stats_of_audio_energy(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    unsigned audio = media_world_track(world, &opus, true, false);
    media_world_start(world);
    media_world_run(world, 10 * TIME_S);
    struct media_track_stats sent = media_world_stats(world, 0, audio);
    struct media_track_stats got = media_world_stats(world, 1, audio);
    assert_in_range(sent.source.totalSamplesDuration, 9950 * TIME_MS, 10020 * TIME_MS);
    // -20 to -29 dBov: a hundredth to a thousandth of full scale's energy.
    assert_in_range(sent.source.totalAudioEnergy, 10000, 100000);
    assert_in_range(got.in.totalAudioEnergy, sent.source.totalAudioEnergy * 99 / 100,
                    sent.source.totalAudioEnergy);
    assert_in_range(got.in.audioLevel, 31, 100);
    media_world_free(world);
}

static unsigned rembs;
static nanotime last_remb;
static void count_rembs(struct media_world *world, int from, struct media_flying *packet)
{
    struct rtcp_walk walk;
    struct rtcp_packet parsed;
    if (from == 0 || !packet->rtcp)
        return;
    (void)rtcp_walk_start(&walk, bytes_of(packet->bytes, packet->len), true);
    while (rtcp_next(&walk, &parsed) == RTCP_OK) {
        rembs += parsed.kind == RTCP_REMB;
        last_remb = parsed.kind == RTCP_REMB ? world->now : last_remb;
    }
}

// What a receiver takes is told again and again: a path that loses the first loses not all.
static void test_media_receive_max_is_told_each_second_and_at_once_when_it_falls(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    struct media_track_config config = vp8;
    config.receive_max_bps = 400000;
    unsigned video = media_world_track(world, &config, true, false);
    world->paths[1].loss = RNG_BILLION / 2;
    world->tamper = count_rembs;
    rembs = 0;
    media_world_start(world);
    media_world_run(world, 20 * TIME_S);
    struct media_transport_stats sender;
    media_transport_stats(world->sides[0], &sender);
    assert_in_range(rembs, 4, 18); // those that arrive, of one a second
    assert_in_range(sender.availableOutgoingBitrate, 1, 400000);
    world->paths[1].loss = 0;
    struct media_command command = {.kind = MEDIA_RECEIVE_MAX, .track = video, .bps = 200000};
    media_command(world->sides[1], world->now, &command);
    media_world_run(world, 20 * TIME_S + 500 * TIME_MS);
    media_transport_stats(world->sides[0], &sender);
    assert_in_range(last_remb, 20 * TIME_S, 20 * TIME_S + 450 * TIME_MS);
    assert_in_range(sender.availableOutgoingBitrate, 1, 200000);
    rembs = 0;
    media_world_run(world, 30 * TIME_S + 500 * TIME_MS);
    assert_in_range(rembs, 9, 11);
    media_world_free(world);
}

static uint64_t frames_with_fec(enum media_fec fec, struct media_track_stats *got)
{
    struct media_world *world = media_world_new(NULL);
    struct media_track_config config = vp8;
    config.nack = config.rtx = false;
    config.fec = fec;
    config.fec_share = 300;
    unsigned video = media_world_track(world, &config, true, false);
    world->paths[0].loss = RNG_BILLION / 20;
    media_world_start(world);
    media_world_run(world, 20 * TIME_S);
    *got = media_world_stats(world, 1, video);
    media_world_free(world);
    return got->in.framesDecoded;
}

// Without repair one loss costs all frames up to the key frame that is asked for. With three repair
// packets for ten of media, a frame is lost when two of the same group are: far less often.
static void test_media_fec_brings_lost_video_back(void **state)
{
    (void)state;
    struct media_track_stats none, ulp, flex;
    uint64_t without = frames_with_fec(MEDIA_NO_FEC, &none);
    assert_int_equal(none.in.fecPacketsReceived, 0);
    assert_true(frames_with_fec(MEDIA_ULPFEC, &ulp) > 2 * without);
    assert_true(frames_with_fec(MEDIA_FLEXFEC, &flex) > 2 * without);
    assert_true(ulp.quality.recovered > 20 && flex.quality.recovered > 20);
    assert_true(ulp.in.fecPacketsReceived > 200 && flex.in.fecPacketsReceived > 200);
    assert_int_equal(ulp.quality.damaged + flex.quality.damaged, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_audio_and_video_without_loss_arrive_whole),
        cmocka_unit_test(test_media_lost_video_comes_back_by_rtx),
        cmocka_unit_test(test_media_red_brings_lost_audio_back),
        cmocka_unit_test(test_media_lost_video_comes_back_without_rtx),
        cmocka_unit_test(test_media_a_storm_of_requests_gets_few_key_frames),
        cmocka_unit_test(test_media_goes_on_soon_after_an_outage),
        cmocka_unit_test(test_media_digits_are_no_loss_of_audio),
        cmocka_unit_test(test_media_sound_fits_its_packet_whatever_the_bitrate),
        cmocka_unit_test(test_media_on_a_long_path_rtx_is_waited_for),
        cmocka_unit_test(test_media_nacks_do_not_wait_for_reports),
        cmocka_unit_test(test_media_receive_max_is_told_each_second_and_at_once_when_it_falls),
        cmocka_unit_test(test_media_stats_of_layers),
        cmocka_unit_test(test_media_stats_of_audio_energy),
        cmocka_unit_test(test_media_ccfb_finds_the_bottleneck),
        cmocka_unit_test(test_media_ccfb_hostile_reports),
        cmocka_unit_test(test_media_fec_brings_lost_video_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
