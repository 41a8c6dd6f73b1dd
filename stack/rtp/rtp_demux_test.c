// Whose packet is it: by MID, SSRC, payload type; RTCP; collisions, loops, full tables, bad MIDs.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "stack/rtp/rtp_demux.h"

#define OURS 0xaaaa
#define AUDIO 0
#define VIDEO 1

// Audio has 111 and 8, video 96 and 8.
static struct rtp_demux *demux_new(unsigned receive_max)
{
    struct rtp_demux *d = rtp_demux_new(
        &(struct rtp_demux_config){.sections_max = 2, .receive_max = receive_max, .send_max = 1});
    assert_true(rtp_demux_section_set(
        d, AUDIO, &(struct rtp_demux_section){bytes_text("a"), {1u << 8, 1ull << (111 - 64)}}));
    assert_true(rtp_demux_section_set(
        d, VIDEO, &(struct rtp_demux_section){bytes_text("v"), {1u << 8, 1ull << (96 - 64)}}));
    assert_true(rtp_demux_send(d, OURS, VIDEO));
    return d;
}

static struct rtp_demux_result result;

static enum rtp_demux_outcome take(struct rtp_demux *d, uint32_t ssrc, uint8_t type,
                                   uint16_t sequence, const char *mid)
{
    struct rtp_packet packet = {.ssrc = ssrc, .payload_type = type, .sequence = sequence};
    struct rtp_extension_values values = {0};
    if (mid)
        values = (struct rtp_extension_values){.has = 1u << RTP_MID, .mid = bytes_text(mid)};
    return rtp_demux_rtp(d, 0, NULL, &packet, &values, &result);
}

static void test_rtp_demux_by_mid_ssrc_payload_type(void **state)
{
    (void)state;
    struct rtp_demux *d = demux_new(4);
    assert_int_equal(take(d, 1, 111, 1, NULL), RTP_DEMUX_OK); // a payload type of audio alone
    assert_int_equal(result.section, AUDIO);
    assert_true(result.is_new);
    assert_int_equal(take(d, 1, 8, 2, NULL), RTP_DEMUX_OK); // known now
    assert_false(result.is_new);
    assert_int_equal(take(d, 1, 96, 3, NULL), RTP_DEMUX_PAYLOAD_TYPE); // cannot move by that
    assert_int_equal(take(d, 2, 8, 1, NULL), RTP_DEMUX_UNKNOWN);       // of both
    assert_int_equal(take(d, 2, 8, 1, "v"), RTP_DEMUX_OK);
    assert_int_equal(result.section, VIDEO);
    assert_int_equal(take(d, 2, 8, 5, "a"), RTP_DEMUX_OK); // moved by a later MID
    assert_int_equal(result.section, AUDIO);
    assert_int_equal(take(d, 2, 8, 3, "v"), RTP_DEMUX_OK); // RFC 7941 4.2.6: an older one does not
    assert_int_equal(result.section, AUDIO);
    assert_int_equal(take(d, 3, 111, 1, "x"), RTP_DEMUX_UNKNOWN_MID);
    assert_int_equal(take(d, 3, 127, 1, NULL), RTP_DEMUX_UNKNOWN);
    rtp_demux_free(d);
}

// RFC 9143 9.2: a MID tells whose the stream is before its payload type is looked at.
static void test_rtp_demux_mid_of_a_packet_that_is_not_decoded_counts(void **state)
{
    (void)state;
    struct rtp_demux *d = demux_new(2);
    assert_int_equal(take(d, 5, 127, 1, "v"), RTP_DEMUX_PAYLOAD_TYPE);
    assert_int_equal(result.section, RTP_DEMUX_NONE);
    assert_int_equal(take(d, 5, 8, 2, NULL), RTP_DEMUX_OK); // of both, but known now
    assert_int_equal(result.section, VIDEO);
    assert_int_equal(take(d, 5, 96, 3, "a"), RTP_DEMUX_PAYLOAD_TYPE); // moved
    assert_int_equal(take(d, 5, 8, 4, NULL), RTP_DEMUX_OK);
    assert_int_equal(result.section, AUDIO);
    rtp_demux_free(d);
}

static void test_rtp_demux_sections(void **state)
{
    (void)state;
    struct rtp_demux *d = demux_new(4);
    struct rtp_demux_section same = {bytes_text("a"), {0, 0}};
    assert_false(rtp_demux_section_set(d, VIDEO, &same));
    same.mid = bytes_text("a mid of more than thirty-two bytes");
    assert_false(rtp_demux_section_set(d, VIDEO, &same));
    assert_true(rtp_demux_receive(d, 7, VIDEO));
    assert_int_equal(take(d, 7, 96, 1, NULL), RTP_DEMUX_OK);
    rtp_demux_section_remove(d, VIDEO);
    assert_int_equal(take(d, 7, 96, 1, NULL), RTP_DEMUX_UNKNOWN);
    assert_int_equal(rtp_demux_send_section(d, OURS), RTP_DEMUX_NONE);
    assert_int_equal(take(d, 7, 8, 1, NULL), RTP_DEMUX_OK); // of audio alone by now
    rtp_demux_free(d);
}

static void test_rtp_demux_full(void **state)
{
    (void)state;
    struct rtp_demux *d = demux_new(1);
    assert_false(rtp_demux_send(d, OURS + 1, AUDIO));
    assert_int_equal(take(d, 1, 111, 1, NULL), RTP_DEMUX_OK);
    assert_int_equal(take(d, 2, 111, 1, NULL), RTP_DEMUX_FULL);
    assert_false(rtp_demux_receive(d, 3, AUDIO));
    rtp_demux_forget(d, 1);
    assert_int_equal(take(d, 2, 111, 1, NULL), RTP_DEMUX_OK);
    rtp_demux_free(d);
}

// RFC 9143 9.2: tables follow the descriptions; what another one does not name any more may go.
static void test_rtp_demux_signalled_no_more(void **state)
{
    (void)state;
    struct rtp_demux *d = demux_new(4);
    struct rtp_demux_stream stream;
    assert_true(rtp_demux_receive(d, 7, VIDEO));
    assert_true(rtp_demux_receive(d, 8, AUDIO));
    struct rtp_demux_section again = {bytes_text("v"), {0, 1ull << (96 - 64)}};
    assert_true(rtp_demux_section_set(d, VIDEO, &again));
    assert_true(rtp_demux_stream_by_ssrc(d, 7, &stream));
    assert_int_equal(stream.section, VIDEO);
    assert_false(stream.signalled);
    assert_true(rtp_demux_stream_by_ssrc(d, 8, &stream) && stream.signalled);
    assert_true(rtp_demux_receive(d, 7, VIDEO));
    assert_true(rtp_demux_stream_by_ssrc(d, 7, &stream) && stream.signalled);
    rtp_demux_free(d);
}

// The table against the plainest model of it.
static void test_rtp_demux_table_holds_what_was_put(void **state)
{
    (void)state;
    struct rtp_demux *d = demux_new(20);
    struct rng rng = rng_seed(1, "table");
    bool in[64] = {false};
    unsigned count = 0;
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t key = (uint32_t)rng_below(&rng, 64);
        if (rng_below(&rng, 2)) {
            bool fits = in[key] || count < 20;
            assert_int_equal(rtp_demux_receive(d, key * 128, AUDIO), fits);
            count += fits && !in[key];
            in[key] = in[key] || fits;
        } else {
            rtp_demux_forget(d, key * 128);
            count -= in[key];
            in[key] = false;
        }
        struct rtp_demux_stream stream;
        key = (uint32_t)rng_below(&rng, 64);
        assert_int_equal(rtp_demux_stream_by_ssrc(d, key * 128, &stream), in[key]);
        assert_true(!in[key] || rtp_demux_stream_at(d, stream.index, &stream));
    }
    rtp_demux_free(d);
}

// The same with SSRCs of all kinds, in a full table: whatever shares a chain of it is found when
// others of the chain go.
static void test_rtp_demux_table_closes_its_gaps(void **state)
{
    (void)state;
    struct rtp_demux *d = demux_new(250);
    struct rng rng = rng_seed(2, "table");
    uint32_t ssrcs[250];
    struct rtp_demux_stream stream;
    for (unsigned i = 0; i < 250; i++) {
        ssrcs[i] = rng_u32(&rng);
        assert_true(rtp_demux_receive(d, ssrcs[i], AUDIO));
    }
    assert_false(rtp_demux_receive(d, rng_u32(&rng), AUDIO));
    for (unsigned round = 0; round < 2000; round++) {
        unsigned gone = (unsigned)rng_below(&rng, 250);
        rtp_demux_forget(d, ssrcs[gone]);
        assert_false(rtp_demux_stream_by_ssrc(d, ssrcs[gone], &stream));
        for (unsigned i = 0; i < 250; i++)
            assert_int_equal(rtp_demux_stream_by_ssrc(d, ssrcs[i], &stream), i != gone);
        ssrcs[gone] = rng_u32(&rng);
        assert_true(rtp_demux_receive(d, ssrcs[gone], AUDIO));
    }
    rtp_demux_free(d);
}

// RFC 3550 8.2: who came first under an SSRC keeps it, until nothing came of it for long.
static void test_rtp_demux_third_party(void **state)
{
    (void)state;
    struct rtp_demux *d = demux_new(4);
    struct rtp_packet packet = {.ssrc = 99, .payload_type = 96};
    struct rtp_extension_values values = {0};
    struct addr one = {ip_v4(192, 0, 2, 1), 1}, two = {ip_v4(192, 0, 2, 2), 1};
    assert_int_equal(rtp_demux_rtp(d, 0, &one, &packet, &values, &result), RTP_DEMUX_OK);
    assert_int_equal(rtp_demux_rtp(d, 1, &two, &packet, &values, &result), RTP_DEMUX_THIRD_PARTY);
    assert_int_equal(result.section, RTP_DEMUX_NONE);
    assert_int_equal(rtp_demux_rtp(d, TIME_S, &one, &packet, &values, &result), RTP_DEMUX_OK);
    nanotime at = 40 * TIME_S;
    assert_int_equal(rtp_demux_rtp(d, at, &two, &packet, &values, &result), RTP_DEMUX_THIRD_PARTY);
    at = 60 * TIME_S; // the first was silent, the other was not heard
    assert_int_equal(rtp_demux_rtp(d, at, &two, &packet, &values, &result), RTP_DEMUX_OK);
    assert_int_equal(rtp_demux_rtp(d, at, &one, &packet, &values, &result), RTP_DEMUX_THIRD_PARTY);
    // Where nobody says where it came from, it is of one who may move.
    assert_int_equal(rtp_demux_rtp(d, at, NULL, &packet, &values, &result), RTP_DEMUX_OK);
    assert_int_equal(rtp_demux_rtp(d, at, &one, &packet, &values, &result), RTP_DEMUX_OK);
    rtp_demux_free(d);
}

static void test_rtp_demux_collision_and_loop(void **state)
{
    (void)state;
    struct rtp_demux *d = demux_new(4);
    struct rtp_packet packet = {.ssrc = OURS, .payload_type = 96};
    struct rtp_extension_values values = {0};
    struct addr one = {ip_v4(192, 0, 2, 1), 1}, two = {ip_v4(192, 0, 2, 2), 1};
    // RFC 3550 8.2.
    assert_int_equal(rtp_demux_rtp(d, 0, &one, &packet, &values, &result), RTP_DEMUX_COLLISION);
    assert_int_equal(rtp_demux_rtp(d, 1, &one, &packet, &values, &result), RTP_DEMUX_LOOP);
    assert_int_equal(rtp_demux_rtp(d, 2, &two, &packet, &values, &result), RTP_DEMUX_COLLISION);
    assert_int_equal(rtp_demux_rtp(d, 60 * TIME_S, &one, &packet, &values, &result),
                     RTP_DEMUX_COLLISION); // forgotten
    for (uint16_t i = 0; i < 3 * RTP_DEMUX_CONFLICTS_MAX; i++) {
        two.port = (uint16_t)(100 + i);
        assert_int_equal(rtp_demux_rtp(d, 60 * TIME_S + i, &two, &packet, &values, &result),
                         RTP_DEMUX_COLLISION);
    }
    for (enum rtp_demux_outcome i = 0; i < RTP_DEMUX_OUTCOMES; i++)
        assert_non_null(rtp_demux_outcome_name(i));
    rtp_demux_free(d);
}

static void test_rtp_demux_csrc_and_rid(void **state)
{
    (void)state;
    struct rtp_demux *d = demux_new(4);
    assert_true(rtp_demux_receive(d, 50, VIDEO));
    struct rtp_packet packet = {
        .ssrc = 1, .payload_type = 111, .csrc_count = 3, .csrc = {50, 50, 99}};
    struct rtp_extension_values values = {.has = 1u << RTP_RID, .rid = bytes_text("hi")};
    assert_int_equal(rtp_demux_rtp(d, 5, NULL, &packet, &values, &result), RTP_DEMUX_OK);
    assert_int_equal(result.csrc_sections, 1);
    assert_int_equal(result.csrc_section[0], VIDEO);
    struct rtp_demux_stream stream;
    assert_true(rtp_demux_stream_by_ssrc(d, 1, &stream));
    assert_true(bytes_is(stream.rid, "hi"));
    assert_int_equal(stream.last_seen, 5);
    assert_int_equal(stream.index, result.stream);
    rtp_demux_free(d);
}

// The sections of the one packet that was written.
static struct rtp_demux_sections route(struct rtp_demux *d, const struct writer *w)
{
    struct rtcp_walk walk;
    struct rtcp_packet packet;
    struct rtp_demux_sections sections;
    assert_int_equal(rtp_demux_learn(d, 0, writer_bytes(w)), RTP_DEMUX_OK);
    assert_int_equal(rtcp_walk_start(&walk, writer_bytes(w), true), RTCP_OK);
    assert_int_equal(rtcp_next(&walk, &packet), RTCP_OK);
    enum rtp_demux_outcome outcome = rtp_demux_rtcp(d, 0, NULL, &packet, &sections);
    assert_int_equal(outcome, sections.count ? RTP_DEMUX_OK : RTP_DEMUX_UNKNOWN);
    return sections;
}

static void test_rtp_demux_rtcp(void **state)
{
    (void)state;
    struct rtp_demux *d = demux_new(4);
    uint8_t buffer[256];
    struct writer w = writer_of(buffer, sizeof buffer);
    rtcp_write_cname(&w, 77, bytes_text("c"), bytes_text("a")); // learnt from SDES
    struct rtp_demux_sections got = route(d, &w);
    assert_true(rtp_demux_has(&got, AUDIO) && got.count == 1);
    assert_int_equal(take(d, 77, 8, 1, NULL), RTP_DEMUX_OK);
    assert_int_equal(result.section, AUDIO);

    // An SR goes to its own section, and to those that its blocks are about.
    w = writer_of(buffer, sizeof buffer);
    struct rtcp_block block = {.ssrc = OURS};
    rtcp_write_sr(&w, 77, &(struct rtcp_sender_info){0}, &block, 1);
    got = route(d, &w);
    assert_int_equal(got.count, 2);
    w = writer_of(buffer, sizeof buffer);
    rtcp_write_pli(&w, 77, OURS);
    got = route(d, &w);
    assert_true(rtp_demux_has(&got, VIDEO) && got.count == 1);
    w = writer_of(buffer, sizeof buffer);
    rtcp_write_fir(&w, 77, &(struct rtcp_fir_entry){.ssrc = OURS}, 1);
    got = route(d, &w);
    assert_true(rtp_demux_has(&got, VIDEO));
    w = writer_of(buffer, sizeof buffer);
    rtcp_write_pli(&w, 77, 12345);
    assert_int_equal(route(d, &w).count, 0);

    // RFC 3611 4.5: to whose reference time it answers.
    w = writer_of(buffer, sizeof buffer);
    rtcp_write_xr_dlrr(&w, 77, &(struct rtcp_dlrr){.ssrc = OURS}, 1);
    got = route(d, &w);
    assert_true(rtp_demux_has(&got, VIDEO) && rtp_demux_has(&got, AUDIO));

    w = writer_of(buffer, sizeof buffer);
    uint32_t ssrc = 77;
    rtcp_write_bye(&w, &ssrc, 1, bytes_text(""));
    got = route(d, &w);
    assert_true(rtp_demux_has(&got, AUDIO));
    struct rtp_demux_stream stream;
    assert_true(rtp_demux_stream_by_ssrc(d, 77, &stream) && stream.bye);

    struct rtcp_walk walk;
    struct rtcp_packet packet;
    w = writer_of(buffer, sizeof buffer);
    rtcp_write_rr(&w, OURS, NULL, 0);
    assert_int_equal(rtcp_walk_start(&walk, writer_bytes(&w), true), RTCP_OK);
    assert_int_equal(rtcp_next(&walk, &packet), RTCP_OK);
    assert_int_equal(rtp_demux_rtcp(d, 0, NULL, &packet, &got), RTP_DEMUX_COLLISION);
    rtp_demux_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rtp_demux_by_mid_ssrc_payload_type),
        cmocka_unit_test(test_rtp_demux_mid_of_a_packet_that_is_not_decoded_counts),
        cmocka_unit_test(test_rtp_demux_sections),
        cmocka_unit_test(test_rtp_demux_full),
        cmocka_unit_test(test_rtp_demux_signalled_no_more),
        cmocka_unit_test(test_rtp_demux_table_holds_what_was_put),
        cmocka_unit_test(test_rtp_demux_table_closes_its_gaps),
        cmocka_unit_test(test_rtp_demux_collision_and_loop),
        cmocka_unit_test(test_rtp_demux_third_party),
        cmocka_unit_test(test_rtp_demux_csrc_and_rid),
        cmocka_unit_test(test_rtp_demux_rtcp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
