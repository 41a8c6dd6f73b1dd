// Who reports how, and who says goodbye (RFC 3550 6.3, 6.4; RFC 8108 6.2).
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
                                               .dtx = true};
static const struct media_track_config vp8 = {.label = "video",
                                              .kind = MEDIA_VIDEO,
                                              .codecs = {"VP8"},
                                              .codecs_count = 1,
                                              .bitrate = 300000,
                                              .fps = 25,
                                              .width = 320,
                                              .height = 180,
                                              .nack = true,
                                              .rtx = true,
                                              .pli = true};

// What alice's RTCP says: of each SSRC how many reports of either kind, and goodbyes.
#define SPEAKERS_MAX 64
static struct speaker {
    uint32_t ssrc;
    unsigned senders, receivers, byes, names, packets;
    nanotime last_rtp, last_sender;
} speakers[SPEAKERS_MAX];
static unsigned speakers_count, largest, rrtrs;
static struct rtcp_sender_info last_info;

static struct speaker *speaker_of(uint32_t ssrc)
{
    for (unsigned i = 0; i < speakers_count; i++) {
        if (speakers[i].ssrc == ssrc)
            return &speakers[i];
    }
    assert_true(speakers_count < SPEAKERS_MAX);
    speakers[speakers_count] = (struct speaker){.ssrc = ssrc, .last_sender = -1};
    return &speakers[speakers_count++];
}

static void note_names(const struct rtcp_packet *packet)
{
    struct rtcp_sdes_walk chunks = rtcp_sdes_start(packet);
    struct rtcp_sdes_chunk chunk;
    while (rtcp_sdes_chunk_next(&chunks, &chunk))
        speaker_of(chunk.ssrc)->names++;
}

static void note_extended(const struct rtcp_packet *packet)
{
    struct rtcp_xr_walk blocks = rtcp_xr_start(packet);
    struct rtcp_xr_block block;
    uint64_t ntp;
    while (rtcp_xr_next(&blocks, &block))
        rrtrs += rtcp_xr_rrtr(&block, &ntp);
}

static void note(struct media_world *world, int from, struct media_flying *flying)
{
    struct rtcp_walk walk;
    struct rtcp_packet packet;
    struct bytes bytes = bytes_of(flying->bytes, flying->len);
    if (from)
        return;
    if (!flying->rtcp) {
        struct rtp_packet rtp;
        assert_int_equal(rtp_parse(bytes, &rtp), RTP_OK);
        speaker_of(rtp.ssrc)->last_rtp = world->now;
        speaker_of(rtp.ssrc)->packets++;
        return;
    }
    largest = flying->len > largest ? (unsigned)flying->len : largest;
    assert_int_equal(rtcp_walk_start(&walk, bytes, true), RTCP_OK);
    while (rtcp_next(&walk, &packet) == RTCP_OK) {
        uint32_t ssrc;
        if (packet.kind == RTCP_SR) {
            speaker_of(packet.sender)->senders++;
            speaker_of(packet.sender)->last_sender = world->now;
            last_info = packet.report.info;
        }
        speaker_of(packet.sender)->receivers += packet.kind == RTCP_RR;
        if (packet.kind == RTCP_XR)
            note_extended(&packet);
        if (packet.kind == RTCP_SDES)
            note_names(&packet);
        for (size_t i = 0; packet.kind == RTCP_BYE && rtcp_ssrc_at(packet.bye.ssrcs, i, &ssrc); i++)
            speaker_of(ssrc)->byes++;
    }
}

static void forget(void)
{
    speakers_count = largest = rrtrs = 0;
}

static struct media_world *begin(void)
{
    struct media_world *world = media_world_new(NULL);
    world->tamper = note;
    forget();
    return world;
}

static void mute(struct media_world *world, unsigned track, bool muted)
{
    struct media_command command = {.kind = muted ? MEDIA_MUTE : MEDIA_UNMUTE, .track = track};
    media_command(world->sides[0], world->now, &command);
}

// RFC 3550 6.4: an SR from who has sent since the report before the last, else an RR; 6.3.8: who
// sends again is a sender again.
static void silent(bool by_agreement)
{
    struct media_world *world = begin();
    struct media_track_config config = opus;
    config.stop_at = by_agreement ? 0 : 3 * TIME_S;
    unsigned audio = media_world_track(world, &config, true, false);
    media_world_start(world);
    media_world_run(world, 3 * TIME_S);
    uint32_t ssrc = (uint32_t)media_world_stats(world, 0, audio).out.ssrc;
    assert_true(speaker_of(ssrc)->senders >= 8);
    assert_int_equal(rrtrs, 0);

    struct media_agreement agreement = media_world_agreement(&config, "0");
    agreement.send = false;
    if (by_agreement)
        media_agree(world->sides[0], world->now, audio, &agreement);
    media_world_run(world, 4 * TIME_S);
    struct speaker before = *speaker_of(ssrc);
    assert_true(before.last_sender - before.last_rtp <= 2 * 300 * TIME_MS); // two intervals
    media_world_run(world, 8 * TIME_S);
    struct speaker after = *speaker_of(ssrc);
    assert_int_equal(after.senders, before.senders);
    // RFC 8108 6.2: what pauses stays an active participant, by RTCP, and has its name.
    assert_true(after.receivers >= before.receivers + 12);
    assert_true(after.names >= before.names + 12);
    assert_true(rrtrs > 0); // RFC 3611 4.4: a receiver wants to know its round trip
    assert_int_equal(after.byes, 0);

    agreement.send = true;
    if (by_agreement) {
        media_agree(world->sides[0], world->now, audio, &agreement);
        media_world_run(world, 9 * TIME_S);
        assert_true(speaker_of(ssrc)->senders >= before.senders + 2);
        assert_int_equal(speaker_of(ssrc)->receivers, after.receivers);
    }
    media_world_free(world);
}

static void test_media_rtcp_who_fell_silent_sends_receiver_reports(void **state)
{
    (void)state;
    silent(false);
    silent(true);
}

// One speaks while the other of the same bundle is silent: each SSRC reports for itself.
static void test_media_rtcp_each_ssrc_reports_what_it_is(void **state)
{
    (void)state;
    struct media_world *world = begin();
    unsigned audio = media_world_track(world, &opus, true, false);
    unsigned video = media_world_track(world, &vp8, true, false);
    media_world_start(world);
    media_world_run(world, 3 * TIME_S);
    uint32_t a = (uint32_t)media_world_stats(world, 0, audio).out.ssrc;
    uint32_t v = (uint32_t)media_world_stats(world, 0, video).out.ssrc;
    assert_true(speaker_of(a)->senders >= 8 && speaker_of(v)->senders >= 8);
    struct media_agreement agreement = media_world_agreement(&vp8, "1");
    agreement.send = false;
    media_agree(world->sides[0], world->now, video, &agreement);
    media_world_run(world, 4 * TIME_S);
    forget();
    media_world_run(world, 8 * TIME_S);
    assert_true(speaker_of(a)->senders >= 12);
    assert_int_equal(speaker_of(a)->receivers, 0);
    assert_int_equal(speaker_of(v)->senders, 0);
    assert_true(speaker_of(v)->receivers >= 12);
    assert_int_equal(rrtrs, 0);
    media_world_free(world);
}

// Comfort noise each 400 ms is RTP, too: an SR after it, an RR when there was none for two reports.
static void test_media_rtcp_comfort_noise_makes_a_sender(void **state)
{
    (void)state;
    struct media_world *world = begin();
    unsigned audio = media_world_track(world, &opus, true, false);
    media_world_start(world);
    media_world_run(world, 2 * TIME_S);
    mute(world, audio, true);
    media_world_run(world, 3 * TIME_S);
    forget();
    media_world_run(world, 13 * TIME_S);
    uint32_t ssrc = (uint32_t)media_world_stats(world, 0, audio).out.ssrc;
    struct speaker *speaker = speaker_of(ssrc);
    assert_in_range(speaker->packets, 24, 26);
    assert_true(speaker->senders >= 24);
    assert_true(speaker->senders + speaker->receivers >= 35);
    media_world_free(world);
}

// RFC 3550 6.6, RFC 8108 6.2: every SSRC that spoke says goodbye, none that did not (6.3.7).
static void test_media_rtcp_bye_is_of_all_that_spoke(void **state)
{
    (void)state;
    struct media_world *world = begin();
    unsigned audio = media_world_track(world, &opus, true, true);
    unsigned video = media_world_track(world, &vp8, true, true);
    unsigned silent = media_world_track(world, &opus, false, true);
    media_world_start(world);
    world->paths[0].loss = RNG_BILLION / 20;
    media_world_run(world, 2 * TIME_S);
    world->paths[0].loss = 0;
    media_world_run(world, 3 * TIME_S);
    struct media_ssrcs a, v, s;
    media_ssrcs(world->sides[0], audio, &a);
    media_ssrcs(world->sides[0], video, &v);
    media_ssrcs(world->sides[0], silent, &s);
    forget();
    media_stop(world->sides[0], world->now);
    media_world_run(world, 4 * TIME_S);
    assert_int_equal(speaker_of(a.media[0])->byes, 1);
    assert_int_equal(speaker_of(v.media[0])->byes, 1);
    assert_int_equal(speaker_of(v.rtx[0])->byes, 1); // what was lost went out again
    assert_int_equal(speaker_of(s.media[0])->byes, 0);
    for (unsigned i = 0; i < speakers_count; i++)
        assert_int_equal(speakers[i].packets, 0); // BYE is the last
    struct media_transport_stats stats;
    media_transport_stats(world->sides[1], &stats);
    assert_int_equal(stats.drops[MEDIA_UNKNOWN_STREAM], 0);
    media_world_free(world);
}

// RFC 3550 6.3.7: a participant that never sent anything MUST NOT say goodbye.
static void test_media_rtcp_no_bye_of_who_never_spoke(void **state)
{
    (void)state;
    struct media_world *world = begin();
    struct media_track_config late = opus;
    late.start_at = 5 * TIME_S;
    (void)media_world_track(world, &late, true, false);
    media_world_start(world);
    media_stop(world->sides[0], world->now);
    media_world_run(world, 2 * TIME_S);
    assert_int_equal(speakers_count, 0);
    media_world_free(world);
}

static void reject(struct media_world *world, int side, unsigned track, const char *mid)
{
    struct media_agreement agreement = {.mid = bytes_text(mid), .rejected = true};
    assert_true(media_agree(world->sides[side], world->now, track, &agreement));
}

// A section that is rejected takes its sources with it: at once, each that spoke (RFC 3550 6.3.7,
// 6.6), after a last report. The other section's go on, and speak for the receiver, too.
static void test_media_rtcp_bye_of_a_section_that_is_rejected(void **state)
{
    (void)state;
    struct media_world *world = begin();
    unsigned video = media_world_track(world, &vp8, true, true);
    unsigned audio = media_world_track(world, &opus, true, true);
    media_world_start(world);
    media_world_run(world, 2500 * TIME_MS);
    world->paths[0].loss = RNG_BILLION / 2;
    media_world_run(world, 3001 * TIME_MS); // part of a frame waits in the pacer
    struct media_ssrcs v, a;
    media_ssrcs(world->sides[0], video, &v);
    media_ssrcs(world->sides[0], audio, &a);
    struct media_outbound sent = media_world_stats(world, 0, video).out;
    world->paths[0].loss = 0;
    forget();
    reject(world, 0, video, "0");
    media_world_run(world, world->now); // at once
    assert_int_equal(speaker_of(v.media[0])->byes, 1);
    assert_int_equal(speaker_of(v.rtx[0])->byes, 1); // what was lost went out again
    assert_int_equal(speaker_of(v.media[0])->senders, 1);
    assert_int_equal(speaker_of(v.media[0])->names, 1);
    // RFC 3550 6.4.1: of all that was sent.
    assert_int_equal(last_info.packets, sent.packetsSent - sent.retransmittedPacketsSent);
    // Bob has not heard of it but by the BYE: of a source that is gone nothing is asked for.
    media_world_run(world, 3025 * TIME_MS);
    struct media_inbound then = media_world_stats(world, 1, video).in;
    assert_true(then.nackCount > 0);
    media_world_run(world, 6 * TIME_S);
    struct media_inbound after = media_world_stats(world, 1, video).in;
    assert_int_equal(after.nackCount, then.nackCount);
    assert_int_equal(after.pliCount, then.pliCount);
    assert_int_equal(speaker_of(v.media[0])->packets + speaker_of(v.rtx[0])->packets, 0);
    assert_int_equal(speaker_of(v.media[0])->senders + speaker_of(v.media[0])->receivers, 1);
    assert_true(speaker_of(a.media[0])->senders >= 8);
    assert_int_equal(speaker_of(a.media[0])->byes, 0);
    assert_int_equal(speakers_count, 3); // under none but these anything was said
    media_stop(world->sides[0], world->now);
    media_world_run(world, 7 * TIME_S);
    assert_int_equal(speaker_of(a.media[0])->byes, 1);
    assert_int_equal(speaker_of(v.media[0])->byes + speaker_of(v.rtx[0])->byes, 2);
    assert_int_equal(speakers_count, 3);
    media_world_free(world);
}

// Who receives makes nothing up for a source that left, and its last samples were played.
static void test_media_rtcp_bye_ends_the_source(void **state)
{
    (void)state;
    struct media_world *world = begin();
    unsigned audio = media_world_track(world, &opus, true, false);
    media_world_start(world);
    media_world_run(world, 3 * TIME_S);
    media_track_stop(world->sides[0], audio);
    media_world_run(world, 4 * TIME_S);
    struct media_track_stats then = media_world_stats(world, 1, audio);
    media_world_run(world, 8 * TIME_S);
    struct media_track_stats after = media_world_stats(world, 1, audio);
    assert_int_equal(then.in.concealedSamples, 0);
    assert_int_equal(after.in.totalSamplesReceived, then.in.totalSamplesReceived);
    media_world_free(world);
}

// Nobody is left to speak: nothing is said. A section that comes back has sources of its own.
static void test_media_rtcp_bye_is_for_good(void **state)
{
    (void)state;
    struct media_world *world = begin();
    unsigned audio = media_world_track(world, &opus, true, true);
    media_world_start(world);
    media_world_run(world, 3 * TIME_S);
    struct media_ssrcs before, after;
    media_ssrcs(world->sides[0], audio, &before);
    forget();
    reject(world, 0, audio, "0");
    reject(world, 1, audio, "0");
    media_world_run(world, 20 * TIME_S);
    reject(world, 0, audio, "0"); // as each description says again
    media_world_run(world, 21 * TIME_S);
    assert_int_equal(speakers_count, 1);
    assert_int_equal(speaker_of(before.media[0])->byes, 1);
    struct media_agreement agreement = media_world_agreement(&opus, "0");
    for (int i = 0; i < 2; i++)
        assert_true(media_agree(world->sides[i], world->now, audio, &agreement));
    media_ssrcs(world->sides[0], audio, &after);
    media_world_run(world, 23 * TIME_S);
    assert_true(speaker_of(after.media[0])->packets > 90);
    assert_int_equal(speaker_of(before.media[0])->packets, 0);
    assert_int_equal(media_world_stats(world, 1, audio).in.ssrc, after.media[0]);
    reject(world, 0, audio, "0");
    media_stop(world->sides[0], world->now); // what is waiting is said
    media_world_run(world, 24 * TIME_S);
    assert_int_equal(speaker_of(after.media[0])->byes, 1);
    assert_int_equal(speakers_count, 2);
    media_world_free(world);
}

// The last report's counts are those of the whole stream, and its RTP time that of its NTP time.
static void test_media_rtcp_last_report_is_of_the_end(void **state)
{
    (void)state;
    struct media_world *world = begin();
    unsigned audio = media_world_track(world, &opus, true, false);
    media_world_start(world);
    media_world_run(world, 3 * TIME_S + 10 * TIME_MS);
    struct rtcp_sender_info before = last_info;
    nanotime said_at = speakers[0].last_sender;
    media_stop(world->sides[0], world->now);
    media_world_run(world, 4 * TIME_S);
    uint64_t sent = media_world_stats(world, 0, audio).out.packetsSent;
    assert_int_equal(last_info.packets, sent);
    uint32_t span = (uint32_t)((3 * TIME_S + 10 * TIME_MS - said_at) * 48 / TIME_MS);
    assert_in_range(last_info.rtp_timestamp - before.rtp_timestamp, span - 1, span + 1);
    media_world_free(world);
}

// RFC 3550 6.4, RFC 8108 5: more than one datagram holds take turns, none is left out.
static void test_media_rtcp_many_senders_take_turns(void **state)
{
    (void)state;
    struct media_config configs[2] = {{.mtu = 600}, {.mtu = 600}};
    struct media_world *world = media_world_new(configs);
    world->tamper = note;
    forget();
    struct media_ssrcs ssrcs;
    for (unsigned i = 0; i < 24; i++)
        (void)media_world_track(world, &opus, true, true);
    media_world_start(world);
    media_world_run(world, 10 * TIME_S);
    assert_in_range(largest, 300, 600);
    for (unsigned i = 0; i < 24; i++) {
        media_ssrcs(world->sides[0], i, &ssrcs);
        struct speaker *speaker = speaker_of(ssrcs.media[0]);
        assert_true(speaker->senders >= 5);
        assert_int_equal(speaker->names, speaker->senders + speaker->receivers);
        assert_true(media_world_stats(world, 0, i).remote_in.roundTripTimeMeasurements > 0);
    }
    media_stop(world->sides[0], world->now);
    media_world_run(world, 11 * TIME_S);
    for (unsigned i = 0; i < 24; i++) {
        media_ssrcs(world->sides[0], i, &ssrcs);
        assert_int_equal(speaker_of(ssrcs.media[0])->byes, 1);
    }
    media_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_rtcp_who_fell_silent_sends_receiver_reports),
        cmocka_unit_test(test_media_rtcp_each_ssrc_reports_what_it_is),
        cmocka_unit_test(test_media_rtcp_comfort_noise_makes_a_sender),
        cmocka_unit_test(test_media_rtcp_bye_is_of_all_that_spoke),
        cmocka_unit_test(test_media_rtcp_no_bye_of_who_never_spoke),
        cmocka_unit_test(test_media_rtcp_bye_of_a_section_that_is_rejected),
        cmocka_unit_test(test_media_rtcp_bye_ends_the_source),
        cmocka_unit_test(test_media_rtcp_bye_is_for_good),
        cmocka_unit_test(test_media_rtcp_last_report_is_of_the_end),
        cmocka_unit_test(test_media_rtcp_many_senders_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
