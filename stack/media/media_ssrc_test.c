// SSRCs that collide, and packets of ours that come back (RFC 3550 8.2).
#include "stack/media/media_world.h"
#include "stack/rtp/rtcp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct media_track_config audio = {
    .label = "audio", .kind = MEDIA_AUDIO, .codecs = {"opus"}, .codecs_count = 1, .bitrate = 32000};
static const struct media_track_config video = {.label = "video",
                                                .kind = MEDIA_VIDEO,
                                                .codecs = {"VP8"},
                                                .codecs_count = 1,
                                                .bitrate = 500000,
                                                .fps = 25,
                                                .width = 640,
                                                .height = 360,
                                                .nack = true,
                                                .rtx = true,
                                                .pli = true};

static uint32_t stolen;                   // bob sends his video under it
static unsigned byes;                     // of that SSRC
static uint64_t said_packets, sent_after; // by the SR of the new SSRC
static bool seen_under_it;                // a packet of alice's under it after its BYE

static uint32_t u32_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void read_rtcp(struct bytes datagram)
{
    struct rtcp_walk walk;
    struct rtcp_packet packet;
    uint32_t ssrc;
    assert_int_equal(rtcp_walk_start(&walk, datagram, true), RTCP_OK);
    while (rtcp_next(&walk, &packet) == RTCP_OK) {
        for (size_t i = 0; packet.kind == RTCP_BYE && rtcp_ssrc_at(packet.bye.ssrcs, i, &ssrc); i++)
            byes += ssrc == stolen;
        if (packet.kind == RTCP_SR && byes)
            said_packets = packet.report.info.packets;
    }
}

static void steal(struct media_world *world, int from, struct media_flying *packet)
{
    (void)world;
    if (from && !packet->rtcp && stolen)
        put_u32(packet->bytes + 8, stolen);
    if (!from && packet->rtcp)
        read_rtcp(bytes_of(packet->bytes, packet->len));
    if (from || packet->rtcp || !byes)
        return;
    seen_under_it |= u32_at(packet->bytes + 8) == stolen;
    sent_after++;
}

#define STREAMS 8
static struct {
    uint32_t ssrc;
    uint16_t sequence;
} firsts[STREAMS];
static unsigned firsts_count;

static void note_first(struct media_world *world, int from, struct media_flying *packet)
{
    (void)world;
    uint32_t ssrc = u32_at(packet->bytes + 8);
    if (from || packet->rtcp)
        return;
    for (unsigned i = 0; i < firsts_count; i++)
        if (firsts[i].ssrc == ssrc)
            return;
    assert_in_range(firsts_count, 0, STREAMS - 1);
    firsts[firsts_count].ssrc = ssrc;
    firsts[firsts_count++].sequence = (uint16_t)(packet->bytes[2] << 8 | packet->bytes[3]);
}

// RFC 3711 3.3.1: a receiver of SRTP that missed all before the first wrap could open nothing.
static void test_media_ssrc_begins_far_from_the_wrap(void **state)
{
    (void)state;
    struct media_world *world = media_world_new(NULL);
    for (unsigned i = 0; i < STREAMS; i++)
        (void)media_world_track(world, &audio, true, true);
    firsts_count = 0;
    world->tamper = note_first;
    media_world_start(world);
    media_world_run(world, TIME_S);
    assert_int_equal(firsts_count, STREAMS);
    for (unsigned i = 0; i < STREAMS; i++)
        assert_in_range(firsts[i].sequence, 0, 0x7fff);
    media_world_free(world);
}

static uint64_t collisions(struct media_world *world, int side, uint64_t *loops)
{
    struct media_transport_stats stats;
    media_transport_stats(world->sides[side], &stats);
    *loops = stats.drops[MEDIA_LOOP];
    return stats.collisions;
}

static struct media_world *begin(const struct media_track_config *config)
{
    struct media_world *world = media_world_new(NULL);
    (void)media_world_track(world, config, true, true);
    stolen = 0;
    byes = 0;
    said_packets = sent_after = 0;
    seen_under_it = false;
    world->tamper = steal;
    media_world_start(world);
    media_world_run(world, 3 * TIME_S);
    return world;
}

// Both go on: alice under another SSRC, after a BYE, and bob under the one that was hers.
static void test_media_ssrc_collision_takes_another_after_a_bye(void **state)
{
    (void)state;
    const struct media_track_config *configs[] = {&audio, &video};
    for (unsigned i = 0; i < 2; i++) {
        struct media_world *world = begin(configs[i]);
        uint64_t loops;
        stolen = (uint32_t)media_world_stats(world, 0, 0).out.ssrc;
        media_world_run(world, 8 * TIME_S);
        struct media_track_stats alice = media_world_stats(world, 0, 0);
        struct media_track_stats bob = media_world_stats(world, 1, 0);
        assert_int_equal(collisions(world, 0, &loops), 1);
        assert_int_equal(loops, 0); // bob's are his now
        assert_int_not_equal(alice.out.ssrc, stolen);
        assert_int_equal(byes, 1);
        assert_false(seen_under_it);
        assert_int_equal(alice.in.ssrc, stolen);
        assert_int_equal(bob.in.ssrc, alice.out.ssrc);
        // RFC 3550 6.4.1: counted from the new one on.
        assert_in_range(said_packets, sent_after / 2, sent_after);
        assert_int_equal(bob.in.packetsLost, 0);
        if (i == 1)
            assert_in_range(bob.in.framesDecoded, 110, 126); // since then
        else
            assert_in_range(bob.in.packetsReceived, 240, 251);
        media_world_free(world);
    }
}

// A path that gives back what it gets: the SSRC changes once, and no flood of BYEs follows.
static void test_media_ssrc_loop_is_dropped(void **state)
{
    (void)state;
    struct media_world *world = begin(&audio);
    uint64_t loops;
    uint32_t before = (uint32_t)media_world_stats(world, 0, 0).out.ssrc;
    for (int i = 0; i < 50; i++) {
        media_world_run(world, (3000 + i * 20) * TIME_MS);
        struct rtp_packet packet = {.payload_type = 111,
                                    .sequence = (uint16_t)i,
                                    .ssrc = (uint32_t)media_world_stats(world, 0, 0).out.ssrc,
                                    .payload = bytes_text("xyz")};
        uint8_t bytes[100];
        size_t len = rtp_write(bytes, sizeof bytes, &packet, NULL, NULL);
        enum media_drop drop = media_input_rtp(world->sides[0], world->now, bytes_of(bytes, len));
        assert_int_equal(drop, i ? MEDIA_LOOP : MEDIA_KEPT);
    }
    assert_int_equal(collisions(world, 0, &loops), 1);
    assert_int_equal(loops, 49);
    assert_int_not_equal(media_world_stats(world, 0, 0).out.ssrc, before);
    media_world_free(world);
}

// By RTCP alone, and of the SSRC of RTX.
static void test_media_ssrc_collision_by_rtcp(void **state)
{
    (void)state;
    struct media_world *world = begin(&video);
    struct media_ssrcs ours, then;
    uint64_t loops;
    media_ssrcs(world->sides[0], 0, &ours);
    uint8_t bytes[64];
    struct writer w = writer_of(bytes, sizeof bytes);
    rtcp_write_rr(&w, ours.rtx[0], NULL, 0);
    assert_int_equal(media_input_rtcp(world->sides[0], world->now, writer_bytes(&w)), MEDIA_KEPT);
    assert_int_equal(collisions(world, 0, &loops), 1);
    media_ssrcs(world->sides[0], 0, &then);
    assert_int_not_equal(then.rtx[0], ours.rtx[0]);
    assert_int_not_equal(then.media[0], ours.media[0]);
    // Once more, of the new one: a loop.
    w = writer_of(bytes, sizeof bytes);
    rtcp_write_rr(&w, then.media[0], NULL, 0);
    (void)media_input_rtcp(world->sides[0], world->now, writer_bytes(&w));
    assert_int_equal(collisions(world, 0, &loops), 1);
    assert_int_equal(loops, 1);
    world->paths[0].loss = RNG_BILLION / 20;
    media_world_run(world, 13 * TIME_S);
    struct media_track_stats bob = media_world_stats(world, 1, 0);
    assert_in_range(bob.in.framesDecoded, 240, 251);
    assert_true(bob.in.retransmittedPacketsReceived > 10); // the new RTX repairs the new media
    media_world_free(world);
}

// RFC 3550 8.2: each chunk of SDES is looked up, not the first alone.
static void test_media_ssrc_collision_by_a_chunk_of_sdes(void **state)
{
    (void)state;
    struct media_world *world = begin(&video);
    struct media_ssrcs ours, then;
    uint64_t loops;
    media_ssrcs(world->sides[0], 0, &ours);
    uint8_t bytes[100];
    struct writer w = writer_of(bytes, sizeof bytes);
    struct rtcp_sdes_item item = {RTCP_CNAME, bytes_text("mallory")};
    rtcp_write_rr(&w, 4711, NULL, 0);
    struct rtcp_sdes_writer sdes = rtcp_write_sdes(&w);
    rtcp_write_sdes_chunk(&sdes, 4711, &item, 1);
    rtcp_write_sdes_chunk(&sdes, ours.media[0], &item, 1);
    rtcp_write_sdes_end(&sdes);
    assert_int_equal(media_input_rtcp(world->sides[0], world->now, writer_bytes(&w)), MEDIA_KEPT);
    assert_int_equal(collisions(world, 0, &loops), 1);
    media_ssrcs(world->sides[0], 0, &then);
    assert_int_not_equal(then.media[0], ours.media[0]);
    media_world_free(world);
}

// RFC 3550 8.2: packets of others that collide with each other come by the one path that there is,
// and are of one stream: nothing of ours changes.
static void test_media_ssrc_of_others_changes_nothing(void **state)
{
    (void)state;
    struct media_world *world = begin(&audio);
    uint64_t loops;
    uint32_t before = (uint32_t)media_world_stats(world, 0, 0).out.ssrc;
    for (int i = 0; i < 20; i++) { // the same numbers as bob's, from a third
        media_world_run(world, (3000 + i * 20) * TIME_MS);
        struct rtp_packet packet = {.payload_type = 111,
                                    .sequence = (uint16_t)(i * 1000),
                                    .ssrc = (uint32_t)media_world_stats(world, 0, 0).in.ssrc,
                                    .payload = bytes_text("xyz")};
        uint8_t bytes[100];
        size_t len = rtp_write(bytes, sizeof bytes, &packet, NULL, NULL);
        enum media_drop drop = media_input_rtp(world->sides[0], world->now, bytes_of(bytes, len));
        assert_true(drop < MEDIA_DROPS && drop != MEDIA_COLLISION && drop != MEDIA_LOOP);
    }
    media_world_run(world, 5 * TIME_S);
    assert_int_equal(collisions(world, 0, &loops), 0);
    assert_int_equal(media_world_stats(world, 0, 0).out.ssrc, before);
    assert_int_equal(byes, 0);
    media_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_ssrc_begins_far_from_the_wrap),
        cmocka_unit_test(test_media_ssrc_collision_takes_another_after_a_bye),
        cmocka_unit_test(test_media_ssrc_loop_is_dropped),
        cmocka_unit_test(test_media_ssrc_collision_by_rtcp),
        cmocka_unit_test(test_media_ssrc_collision_by_a_chunk_of_sdes),
        cmocka_unit_test(test_media_ssrc_of_others_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
