// Audio and video in descriptions: what a peer answers to Chrome, and that what was agreed on
// flows.
#include "stack/peer/peer_world.h"

#include "stack/sdp/sdp_rtp.h"

static struct sdp sdp;
static struct sdp_rtp rtp;
static char file[16384];

static struct bytes load(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "stack/sdp/testdata/%s", name);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    size_t len = fread(file, 1, sizeof file, in);
    fclose(in);
    return bytes_of(file, len);
}

static void take_media(struct peer_config *config, int i)
{
    config->take_media = i == 1;
}

// What bob answers to a description, parsed.
static void answer_of_bob(struct wire *wire, struct bytes offer)
{
    if (!peer_simrtc.accept(BOB, wire->now, offer, false))
        fail_msg("%s", wire_stats(wire, 1).error);
    wire_run(wire, wire->now + 10 * TIME_MS);
    assert_int_equal(wire->actor[1].answers, 1);
    assert_int_equal(sdp_parse(text_bytes(&wire->actor[1].described), &sdp), SDP_OK);
}

static void test_peer_media_rejected_without_tracks(void **state)
{
    (void)state;
    struct wire *wire = wire_new(1, NULL);
    wire_track_add(wire, 0, false);
    wire_track_add(wire, 0, true);
    wire_offer(wire);
    wire_run(wire, 2 * TIME_S);
    assert_int_equal(sdp_parse(text_bytes(&wire->actor[1].described), &sdp), SDP_OK);
    assert_int_equal(sdp.media_count, 3);
    assert_int_equal(sdp.media[0].port, 0); // RFC 3264 6
    assert_int_equal(sdp.media[1].port, 0);
    assert_int_not_equal(sdp.media[2].port, 0);
    assert_int_equal(sdp.bundle_count, 1); // RFC 9143 7.3.3: what is rejected leaves the group
    wire_free(wire);
}

// Before its answer, sections of an offer may have transports of their own (RFC 9143 7.2.2):
// Chrome, wrtc, werift and aiortc offer one for each section. Here the first one's becomes another.
static void other_transport_in_first_section(struct wire *wire)
{
    wire_pump(wire);
    for (unsigned i = 0; i < wire->events_count; i++) {
        if (wire->events[i].kind != WIRE_OFFER)
            continue;
        char *text = (char *)wire->events[i].bytes;
        text[wire->events[i].len] = 0;
        char *first = strstr(text, "\r\nm="), *ufrag = strstr(first, "a=ice-ufrag:"),
             *pwd = strstr(first, "a=ice-pwd:");
        assert_non_null(strstr(pwd, "\r\nm="));
        memset(ufrag + strlen("a=ice-ufrag:"), 'x', 4);
        memset(pwd + strlen("a=ice-pwd:"), 'x', 22);
        return;
    }
    fail_msg("no offer is under way");
}

// RFC 9143 7.3.1: the transport is that of the first section that the answer accepts.
static void test_peer_media_rejected_section_is_no_transport(void **state)
{
    (void)state;
    for (int with_video = 0; with_video < 2; with_video++) {
        struct wire *wire = wire_new(1, NULL);
        wire_track_add(wire, 0, false);
        wire_track_add(wire, 0, true);
        if (with_video)
            wire_track_add(wire, 1, true);
        int channel = wire_open(wire, 0, "chat");
        wire_offer(wire);
        other_transport_in_first_section(wire);
        wire_run(wire, 2 * TIME_S);
        assert_int_equal(sdp_parse(text_bytes(&wire->actor[1].described), &sdp), SDP_OK);
        assert_int_equal(sdp.media[0].port, 0);
        assert_int_equal(sdp.media[1].port != 0, with_video);
        check_connected(wire, channel);
        wire_free(wire);
    }
}

// RFC 3264 6.1, RFC 9429 5.3.1: only what was offered, under its numbers.
static void test_peer_media_answers_chrome(void **state)
{
    (void)state;
    struct wire *wire = wire_new(1, NULL);
    wire_track_add(wire, 1, false);
    wire_track_add(wire, 1, true);
    answer_of_bob(wire, load("chrome-media-1-offer.sdp"));
    assert_int_equal(sdp.media_count, 2);
    assert_int_equal(sdp.bundle_count, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(bytes_is(sdp.media[i].mid, i ? "1" : "0"));
        assert_int_not_equal(sdp.media[i].port, 0);
        sdp_rtp_parse(&sdp, &sdp.media[i], &rtp);
        assert_int_equal(rtp.direction, SDP_SENDRECV);
        assert_true(rtp.rtcp_mux && rtp.reduced_size);
        assert_int_equal(rtp.ignored, 0);
        if (i == 0) {
            assert_int_equal(rtp.formats[0].type, 111);
            assert_int_equal(rtp.formats[0].feedback, SDP_TRANSPORT_CC & rtp.formats[0].feedback);
        } else {
            assert_int_equal(rtp.formats_count, 2); // VP8 and its RTX; REMB is no control of ours
            assert_int_equal(rtp.formats[0].type, 96);
            assert_int_equal(rtp.formats[0].feedback,
                             SDP_NACK | SDP_PLI | SDP_FIR | SDP_TRANSPORT_CC);
            assert_int_equal(rtp.formats[1].type, 97);
            assert_true(bytes_is(rtp.formats[1].fmtp, "apt=96"));
            assert_int_equal(rtp.groups_count, 1);
        }
        for (unsigned k = 0; k < rtp.extensions_count; k++) { // as Chrome numbers them
            if (bytes_is(rtp.extensions[k].uri, "urn:ietf:params:rtp-hdrext:sdes:mid"))
                assert_int_equal(rtp.extensions[k].id, 4);
            assert_int_not_equal(rtp.extensions[k].id, 14); // toffset is not known here
        }
    }
    wire_free(wire);
}

static void test_peer_media_takes_what_no_track_fits(void **state)
{
    (void)state;
    struct wire *wire = wire_new(1, take_media);
    answer_of_bob(wire, load("chrome-media-4-offer.sdp"));
    for (unsigned i = 0; i < 2; i++) {
        assert_int_not_equal(sdp.media[i].port, 0);
        sdp_rtp_parse(&sdp, &sdp.media[i], &rtp);
        assert_int_equal(rtp.direction, SDP_RECVONLY);
        assert_int_equal(rtp.ssrcs_count, 0);
    }
    wire_free(wire);
}

static void test_peer_media_flows_both_ways(void **state)
{
    (void)state;
    struct wire *wire = wire_new(1, NULL);
    for (int i = 0; i < 2; i++) {
        wire_track_add(wire, i, false);
        wire_track_add(wire, i, true);
    }
    wire_offer(wire);
    wire_run(wire, 4 * TIME_S);
    for (int i = 0; i < 2; i++) {
        struct peer_stats stats = wire_stats(wire, i);
        assert_int_equal(stats.state, PEER_CONNECTED);
        assert_int_equal(stats.srtp_profile, SECURE_AEAD_AES_128_GCM);
        assert_true(stats.media_received > 200);
        assert_int_equal(stats.drops[PEER_REFUSED], 0);
    }
    wire_free(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_media_rejected_without_tracks),
        cmocka_unit_test(test_peer_media_rejected_section_is_no_transport),
        cmocka_unit_test(test_peer_media_answers_chrome),
        cmocka_unit_test(test_peer_media_takes_what_no_track_fits),
        cmocka_unit_test(test_peer_media_flows_both_ways),
    };
    return cmocka_run_group_tests(tests, peer_tests_setup, peer_tests_teardown);
}
