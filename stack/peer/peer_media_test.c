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
            assert_int_equal(rtp.formats_count, 2); // VP8 and its RTX
            assert_int_equal(rtp.formats[0].type, 96);
            assert_int_equal(rtp.formats[0].feedback,
                             SDP_NACK | SDP_PLI | SDP_FIR | SDP_REMB | SDP_TRANSPORT_CC);
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
        // What is not there yet is on its way.
        struct peer_stats other = wire_stats(wire, 1 - i);
        assert_true(stats.bytes_received <= other.bytes_sent);
        assert_true(stats.bytes_received > other.bytes_sent / 100 * 95);
        assert_true(stats.bytes_received > 50 * (stats.dtls_received + stats.media_received));
    }
    wire_free(wire);
}

// ------------------------------------------------------------------------------------- line by
// line

static bool answers(struct wire *wire, const char *line)
{
    return strstr(wire->actor[1].described.at, line) != NULL;
}

#define HEAD(group)                                                                                \
    "v=0\r\no=- 7 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE " group "\r\n"              \
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:actpass\r\n"                  \
    "a=fingerprint:sha-256 49:66:12:17:0D:1C:91:AE:57:4C:C6:36:DD:D5:97:D2:7D:62:C9:9A:7F:B9:A3:"  \
    "F4:70:03:E7:43:91:73:23:5E\r\n"
#define VIDEO(lines)                                                                               \
    "m=video 9 UDP/TLS/RTP/SAVPF 96 98\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\na=rtcp-mux\r\n"           \
    "a=rtpmap:96 VP8/90000\r\na=rtpmap:98 VP9/90000\r\n" lines
#define AUDIO(lines)                                                                               \
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:a\r\na=rtcp-mux\r\n"             \
    "a=rtpmap:111 opus/48000/2\r\n" lines
#define MID_URI "urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
#define LEVEL_URI "urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"

// RFC 9429 5.3.1: what the direction and the offer allow, and no more.
static void test_peer_media_answers_line_by_line(void **state)
{
    (void)state;
    struct wire *wire = wire_new(2, NULL);
    wire_track_add(wire, 1, false);
    wire_track_add(wire, 1, true);
    answer_of_bob(wire, bytes_text(HEAD("v a") VIDEO("a=sendonly\r\na=extmap:5 " MID_URI)
                                       AUDIO("a=recvonly\r\na=extmap-allow-mixed\r\n")));
    sdp_rtp_parse(&sdp, &sdp.media[0], &rtp);
    assert_int_equal(rtp.direction, SDP_RECVONLY);
    assert_int_equal(rtp.msid.len, 0); // RFC 8830: of what is sent
    assert_int_equal(rtp.ssrcs_count, 0);
    assert_false(rtp.mixed_extensions || rtp.reduced_size);
    assert_int_equal(rtp.extensions[0].id, 5);
    sdp_rtp_parse(&sdp, &sdp.media[1], &rtp);
    assert_int_equal(rtp.direction, SDP_SENDONLY);
    assert_true(bytes_is(rtp.msid, "bob audio"));
    assert_true(rtp.mixed_extensions); // RFC 8285 6: as offered
    wire_free(wire);
}

// RFC 8285 7: extensions with a direction, and those of the session.
static void test_peer_media_answers_extensions(void **state)
{
    (void)state;
    struct wire *wire = wire_new(2, NULL);
    wire_track_add(wire, 1, false);
    wire_track_add(wire, 1, true);
    answer_of_bob(wire, bytes_text(HEAD("v a") "a=extmap:6/sendonly " MID_URI
                                               "a=extmap:7 " LEVEL_URI VIDEO("a=sendonly\r\n")
                                                   AUDIO("a=sendrecv\r\n")));
    sdp_rtp_parse(&sdp, &sdp.media[0], &rtp);
    assert_int_equal(rtp.extensions_count, 1); // the level is of audio
    assert_int_equal(rtp.extensions[0].id, 6);
    assert_int_equal(rtp.extensions[0].direction, SDP_RECVONLY);
    sdp_rtp_parse(&sdp, &sdp.media[1], &rtp);
    assert_int_equal(rtp.extensions_count, 1); // one way only of a stream that goes both ways
    assert_int_equal(rtp.extensions[0].id, 7);
    wire_free(wire);
}

// RFC 8851 6.3, RFC 8853 5.3.2: layers that come, with what restricts them.
static void test_peer_media_answers_layers_to_receive(void **state)
{
    (void)state;
    struct wire *wire = wire_new(2, NULL);
    wire_track_add(wire, 1, true);
    answer_of_bob(wire, bytes_text(HEAD("v") VIDEO("a=sendonly\r\na=rid:1 send pt=98\r\n"
                                                   "a=rid:2 send pt=96,98;max-width=640\r\n"
                                                   "a=rid:3 send\r\na=rid:4 send\r\n"
                                                   "a=simulcast:send 1;2;~3,4\r\n")));
    assert_true(answers(wire, "a=rid:2 recv pt=96;max-width=640\r\n"));
    assert_true(answers(wire, "a=rid:3 recv\r\n"));
    assert_true(answers(wire, "a=simulcast:recv 2;3\r\n")); // 1 is VP9 alone
    assert_false(answers(wire, "a=rid:1"));
    assert_false(answers(wire, "a=rid:4"));
    wire_free(wire);
}

// What an SFU asks for: layers of ours, by their names.
static void test_peer_media_answers_layers_to_send(void **state)
{
    (void)state;
    struct wire *wire = wire_new(2, NULL);
    struct media_track_config config = {
        .label = "v",
        .kind = MEDIA_VIDEO,
        .send = true,
        .codecs = {"VP8"},
        .codecs_count = 1,
        .layers = {{"q", 4, 100000}, {"h", 2, 200000}, {"f", 1, 400000}},
        .layers_count = 3};
    assert_int_equal(peer_simrtc.track_add(BOB, &config), 0);
    answer_of_bob(wire, bytes_text(HEAD("v") VIDEO("a=recvonly\r\na=rid:f recv\r\na=rid:h recv\r\n"
                                                   "a=rid:q recv max-width=1\r\na=rid:x recv\r\n"
                                                   "a=simulcast:recv f;h;q;x\r\n")));
    assert_true(answers(wire, "a=simulcast:send h;f\r\n")); // RFC 8851 6.3: q as we cannot
    assert_true(answers(wire, "a=rid:h send\r\na=rid:f send\r\n"));
    wire_free(wire);
}

// -------------------------------------------------------------------------------- no common codec

static void track_of(struct wire *wire, int i, enum media_kind kind, const char *codec)
{
    struct media_track_config config = {.label = media_kind_name(kind),
                                        .kind = kind,
                                        .send = true,
                                        .receive = true,
                                        .codecs = {codec},
                                        .codecs_count = 1,
                                        .bitrate = 100000,
                                        .fps = 25,
                                        .width = 320,
                                        .height = 180};
    assert_true(peer_simrtc.track_add(wire->actor[i].peer, &config) >= 0);
}

// RFC 3264 6: a section without a common codec is rejected, and the rest of the call goes on,
// whichever of them it is.
static void test_peer_media_without_common_codec(void **state)
{
    (void)state;
    static const char *const codecs[2][2] = {{"opus", "H264"}, {"PCMU", "VP8"}}; // of bob
    for (unsigned i = 0; i < 2; i++) {
        struct wire *wire = wire_new(3, NULL);
        unsigned lost = 1 - i; // the section that is rejected: the video, then the tagged audio
        int channel = wire_open(wire, 0, "chat");
        track_of(wire, 0, MEDIA_AUDIO, "opus");
        track_of(wire, 0, MEDIA_VIDEO, "VP8");
        track_of(wire, 1, MEDIA_AUDIO, codecs[i][0]);
        track_of(wire, 1, MEDIA_VIDEO, codecs[i][1]);
        wire_offer(wire);
        wire_run(wire, 3 * TIME_S);
        assert_int_equal(sdp_parse(text_bytes(&wire->actor[1].described), &sdp), SDP_OK);
        assert_int_equal(sdp.media[lost].port, 0);
        assert_int_equal(sdp.bundle_count, 2);
        for (int k = 0; k < 2; k++) {
            struct media_track_stats stats = wire_track_stats(wire, k, lost);
            assert_false(stats.sends || stats.receives);
            assert_string_equal(stats.codec, "");
            assert_int_equal(stats.in.packetsReceived + stats.out.packetsSent, 0);
            stats = wire_track_stats(wire, k, 1 - lost);
            assert_true(stats.sends && stats.receives);
            assert_true(stats.in.packetsReceived > 50);
            assert_int_equal(wire_stats(wire, k).drops[PEER_REFUSED], 0);
        }
        check_connected(wire, channel);
        wire_free(wire);
    }
}

// -------------------------------------------------------------------------------- before the keys

static unsigned held;

// What the DTLS server says last is lost twice: it has its keys, and the client waits.
static bool lose_finished(struct wire *wire, const struct datagram *datagram)
{
    bool handshake = datagram->bytes.len > 0 && datagram->bytes.at[0] == 20; // ChangeCipherSpec
    bool server = addr_equal(&datagram->from, &wire->actor[0].addr);
    if (handshake && server && held < 2)
        return ++held > 0;
    return false;
}

static void test_peer_media_before_keys(void **state)
{
    (void)state;
    struct wire *wire = wire_new(4, NULL);
    for (int i = 0; i < 2; i++)
        wire_track_add(wire, i, false);
    held = 0;
    wire->lost = lose_finished;
    wire_offer(wire);
    wire_run(wire, 5 * TIME_S);
    assert_int_equal(held, 2);
    struct peer_stats bob = wire_stats(wire, 1);
    assert_true(bob.drops[PEER_BEFORE_KEYS] > 10);
    assert_int_equal(bob.drops[PEER_REFUSED], 0);
    assert_int_equal(wire_stats(wire, 0).drops[PEER_BEFORE_KEYS], 0);
    assert_true(wire_log_has(wire, ": before-keys"));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wire_stats(wire, i).state, PEER_CONNECTED);
        assert_true(wire_track_stats(wire, i, 0).in.packetsReceived > 50);
    }
    wire_free(wire);
}

// --------------------------------------------------------------------------- in the place of
// Chrome

// The words between `mark` and the end of the line, of the first such line of `from`, put in place
// of those of each such line of `to`.
static void text_set(struct text *to, const char *from, const char *mark)
{
    struct text made = {0};
    const char *value = strstr(from, mark), *rest = to->at, *at;
    assert_non_null(value);
    value += strlen(mark);
    while ((at = strstr(rest, mark))) {
        at += strlen(mark);
        text_add(&made, bytes_of((const uint8_t *)rest, (size_t)(at - rest)));
        text_add(&made, bytes_of((const uint8_t *)value, strcspn(value, "\r")));
        rest = at + strcspn(at, "\r");
    }
    text_put(&made, rest);
    text_free(to);
    *to = made;
}

// A description of Chrome with the transport of `i`, who will speak for it.
static struct text chrome_text(struct wire *wire, int i, const char *name)
{
    struct text text = {0};
    text_add(&text, load(name));
    text_set(&text, wire->actor[i].described.at, "a=ice-ufrag:");
    text_set(&text, wire->actor[i].described.at, "a=ice-pwd:");
    text_set(&text, wire->actor[i].described.at, "a=fingerprint:sha-256 ");
    return text;
}

// Two with a track of each kind; alice has offered, and nothing is delivered but candidates.
static struct wire *chrome_wire(void)
{
    struct wire *wire = wire_new(5, NULL);
    for (int i = 0; i < 2; i++) {
        wire_track_add(wire, i, false);
        wire_track_add(wire, i, true);
    }
    wire->signal_delay[WIRE_OFFER] = wire->signal_delay[WIRE_ANSWER] = 1000 * TIME_S;
    wire_offer(wire);
    wire_run(wire, TIME_MS);
    return wire;
}

static const char no_data[] =
    "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\n";

static void check_played(struct wire *wire, int i, unsigned track, bool plays)
{
    struct media_track_stats stats = wire_track_stats(wire, i, track);
    assert_int_equal(stats.receives, plays);
    assert_string_equal(stats.codec, track ? "VP8" : "opus");
    assert_int_equal(stats.quality.damaged, 0);
    if (!plays)
        assert_int_equal(stats.in.packetsReceived, 0);
    else if (track)
        assert_true(stats.in.framesDecoded > 60 && stats.in.keyFramesDecoded > 0);
    else
        assert_true(stats.in.packetsReceived > 130 && stats.in.concealedSamples == 0);
}

// Bob answers Chrome's offer, alice speaks as Chrome under what he answers.
static void test_peer_media_plays_offers_of_chrome(void **state)
{
    (void)state;
    static const char *const names[] = {"chrome-media-1-offer.sdp", "chrome-media-4-offer.sdp"};
    for (unsigned i = 0; i < 2; i++) {
        struct wire *wire = chrome_wire();
        struct text offer = chrome_text(wire, 0, names[i]);
        answer_of_bob(wire, text_bytes(&offer));
        text_put(&wire->actor[1].described, no_data);
        assert_true(wire_accept(wire, 0, wire->actor[1].described.at, true));
        wire_run(wire, 4 * TIME_S);
        for (int k = 0; k < 2; k++) {
            check_played(wire, k, 0, true);
            check_played(wire, k, 1, true);
            assert_int_equal(wire_stats(wire, k).drops[PEER_REFUSED], 0);
        }
        text_free(&offer);
        wire_free(wire);
    }
}

// Alice's offer is answered as Chrome did; bob, who was told what she offered, speaks as Chrome.
// The second answer receives alone.
static void test_peer_media_plays_answers_of_chrome(void **state)
{
    (void)state;
    static const char *const names[] = {"chrome-media-1-answer.sdp", "chrome-media-4-answer.sdp"};
    for (unsigned i = 0; i < 2; i++) {
        struct wire *wire = chrome_wire();
        for (unsigned k = 0; k < 2; k++)
            peer_simrtc.track_direct(BOB, k, i == 0, true);
        struct text offer = {0};
        text_add(&offer, text_bytes(&wire->actor[0].described));
        answer_of_bob(wire, text_bytes(&offer));
        struct text answer = chrome_text(wire, 1, names[i]);
        text_put(&answer, no_data);
        if (!wire_accept(wire, 0, answer.at, true))
            fail_msg("%s", wire_stats(wire, 0).error);
        wire_run(wire, 4 * TIME_S);
        for (unsigned k = 0; k < 2; k++) {
            check_played(wire, 1, k, true);
            check_played(wire, 0, k, i == 0);
        }
        assert_true(wire_track_stats(wire, 0, 1).remote_in.roundTripTimeMeasurements > 0);
        text_free(&offer);
        text_free(&answer);
        wire_free(wire);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_media_rejected_without_tracks),
        cmocka_unit_test(test_peer_media_rejected_section_is_no_transport),
        cmocka_unit_test(test_peer_media_answers_chrome),
        cmocka_unit_test(test_peer_media_takes_what_no_track_fits),
        cmocka_unit_test(test_peer_media_flows_both_ways),
        cmocka_unit_test(test_peer_media_answers_line_by_line),
        cmocka_unit_test(test_peer_media_answers_extensions),
        cmocka_unit_test(test_peer_media_answers_layers_to_receive),
        cmocka_unit_test(test_peer_media_answers_layers_to_send),
        cmocka_unit_test(test_peer_media_without_common_codec),
        cmocka_unit_test(test_peer_media_before_keys),
        cmocka_unit_test(test_peer_media_plays_offers_of_chrome),
        cmocka_unit_test(test_peer_media_plays_answers_of_chrome),
    };
    return cmocka_run_group_tests(tests, peer_tests_setup, peer_tests_teardown);
}
