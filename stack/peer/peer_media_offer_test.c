// What a second offer of a call keeps, whoever makes it: places, mids and numbers; tracks that
// come, rest and go by it; offers that cross.
#include "stack/peer/peer_world.h"

#include "stack/sdp/sdp_rtp.h"

static struct sdp sdp, other;
static struct sdp_rtp rtp;

static const struct sdp *described(struct wire *wire, int i)
{
    assert_int_equal(sdp_parse(text_bytes(&wire->actor[i].described), &sdp), SDP_OK);
    return &sdp;
}

// Sections as "audio:0 video:1! application:2", `!` where the port is 0.
static void check_sections(struct wire *wire, int i, const char *wanted)
{
    char text[1024] = "";
    size_t at = 0;
    described(wire, i);
    for (unsigned k = 0; k < sdp.media_count; k++) {
        const struct sdp_media *media = &sdp.media[k];
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%.*s:%.*s%s", k ? " " : "",
                               (int)media->kind.len, (const char *)media->kind.at,
                               (int)media->mid.len, (const char *)media->mid.at,
                               media->port ? "" : "!");
    }
    assert_string_equal(text, wanted);
}

static void check_bundle(struct wire *wire, int i, const char *wanted)
{
    char text[256] = "";
    size_t at = 0;
    described(wire, i);
    for (unsigned k = 0; k < sdp.bundle_count; k++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%.*s", k ? " " : "",
                               (int)sdp.bundle[k].len, (const char *)sdp.bundle[k].at);
    assert_string_equal(text, wanted);
}

static void text_cut(struct text *text, const char *words)
{
    char *at = strstr(text->at, words);
    assert_non_null(at);
    memmove(at, at + strlen(words), strlen(at + strlen(words)) + 1);
    text->len -= strlen(words);
}

static void offer(struct wire *wire, int i, bool restart)
{
    unsigned before = wire->actor[1 - i].answers;
    peer_simrtc.describe(wire->actor[i].peer, wire->now, restart);
    wire_run(wire, wire->now + TIME_S);
    for (int k = 0; k < 2; k++) {
        assert_string_equal(wire_stats(wire, k).error, "");
        assert_int_equal(wire_stats(wire, k).signaling, PEER_STABLE);
        assert_int_equal(wire_stats(wire, k).state, PEER_CONNECTED);
    }
    assert_true(wire->actor[1 - i].answers > before);
}

// Each track brings frames to both within a second.
static void check_flow(struct wire *wire, unsigned tracks)
{
    struct media_track_stats before[2][8];
    unsigned drops[2];
    for (int i = 0; i < 2; i++) {
        drops[i] = wire_stats(wire, i).drops[PEER_REFUSED];
        for (unsigned k = 0; k < tracks; k++)
            before[i][k] = wire_track_stats(wire, i, k);
    }
    wire_run(wire, wire->now + TIME_S);
    for (int i = 0; i < 2; i++) {
        for (unsigned k = 0; k < tracks; k++) {
            struct media_track_stats after = wire_track_stats(wire, i, k);
            assert_true(after.in.packetsReceived > before[i][k].in.packetsReceived + 20);
            assert_int_equal(after.quality.damaged, 0);
        }
        assert_int_equal(wire_stats(wire, i).drops[PEER_REFUSED], drops[i]);
    }
}

static void add_to_both(struct wire *wire, bool video)
{
    wire_track_add(wire, 0, video);
    wire_track_add(wire, 1, video);
}

static void test_peer_media_offer_keeps_data_first(void **state)
{
    (void)state;
    struct wire *wire = wire_new(1, NULL);
    int channel = wire_open(wire, 0, "chat");
    offer(wire, 0, false);
    add_to_both(wire, false);
    add_to_both(wire, true);
    offer(wire, 0, false);
    for (int i = 0; i < 2; i++)
        check_sections(wire, i, "application:0 audio:1 video:2");
    check_flow(wire, 2);
    for (int i = 1; i >= 0; i--) { // by who answered, and by who offered
        offer(wire, i, true);
        for (int k = 0; k < 2; k++) {
            check_sections(wire, k, "application:0 audio:1 video:2");
            check_bundle(wire, k, "0 1 2");
        }
        check_flow(wire, 2);
        check_connected(wire, channel);
    }
    assert_int_equal(wire_stats(wire, 0).restarts, 2);
    wire_free(wire);
}

static void test_peer_media_offer_keeps_data_between(void **state)
{
    (void)state;
    struct wire *wire = wire_new(2, NULL);
    int channel = wire_open(wire, 0, "chat");
    add_to_both(wire, false);
    offer(wire, 0, false);
    check_sections(wire, 1, "audio:0 application:1");
    add_to_both(wire, true);
    offer(wire, 1, true); // the answerer restarts ICE, and adds the video
    for (int i = 0; i < 2; i++)
        check_sections(wire, i, "audio:0 application:1 video:2");
    check_flow(wire, 2);
    // RFC 3264 5.1: what bob offered came before the answer did.
    assert_int_equal(wire_stats(wire, 1).drops[PEER_REFUSED], 0);
    check_connected(wire, channel);
    offer(wire, 0, true);
    check_sections(wire, 0, "audio:0 application:1 video:2");
    check_flow(wire, 2);
    wire_free(wire);
}

#define HEAD                                                                                       \
    "v=0\r\no=- 7 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE v data a\r\n"               \
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:actpass\r\n"                  \
    "a=fingerprint:sha-256 49:66:12:17:0D:1C:91:AE:57:4C:C6:36:DD:D5:97:D2:7D:62:C9:9A:7F:B9:A3:"  \
    "F4:70:03:E7:43:91:73:23:5E\r\n"
#define VIDEO                                                                                      \
    "m=video 9 UDP/TLS/RTP/SAVPF 111 96 97 120\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\na=rtcp-mux\r\n"   \
    "a=rtpmap:111 H264/90000\r\na=fmtp:111 packetization-mode=0;profile-level-id=42e01f\r\n"       \
    "a=rtpmap:96 rtx/90000\r\na=fmtp:96 apt=120\r\na=rtpmap:97 AV1/90000\r\n"                      \
    "a=rtpmap:120 VP8/90000\r\na=extmap:4 urn:other\r\n"                                           \
    "a=extmap:7 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
#define DATA                                                                                       \
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:data\r\n"       \
    "a=sctp-port:5000\r\n"
#define AUDIO                                                                                      \
    "m=audio 9 UDP/TLS/RTP/SAVPF 98\r\nc=IN IP4 0.0.0.0\r\na=mid:a\r\na=rtcp-mux\r\n"              \
    "a=rtpmap:98 opus/48000/2\r\n"

static bool has_line(struct wire *wire, int i, const char *line)
{
    return strstr(wire->actor[i].described.at, line) != NULL;
}

// RFC 3264 8.3.2, RFC 8285 7: numbers keep their meaning when the answerer offers.
static void test_peer_media_offer_keeps_numbers(void **state)
{
    (void)state;
    struct wire *wire = wire_new(3, NULL);
    wire_track_add(wire, 1, false);
    wire_track_add(wire, 1, true);
    assert_true(wire_accept(wire, 1, HEAD VIDEO DATA AUDIO, false));
    wire_run(wire, 10 * TIME_MS);
    check_sections(wire, 1, "video:v application:data audio:a");
    peer_simrtc.describe(BOB, wire->now, false);
    wire_run(wire, 20 * TIME_MS);
    assert_int_equal(wire->actor[1].offers, 1);
    check_sections(wire, 1, "video:v application:data audio:a");
    check_bundle(wire, 1, "v data a");
    assert_true(has_line(wire, 1, "a=rtpmap:120 VP8/90000"));
    assert_true(has_line(wire, 1, "a=fmtp:96 apt=120"));
    assert_true(has_line(wire, 1, "a=rtpmap:98 opus/48000/2")); // 111 was H264
    assert_true(has_line(wire, 1, "a=extmap:7 urn:ietf:params:rtp-hdrext:sdes:mid"));
    assert_false(has_line(wire, 1, "a=extmap:4 "));
    assert_false(has_line(wire, 1, "a=rtpmap:96 VP8"));
    assert_false(has_line(wire, 1, "a=rtcp-rsize")); // RFC 9429 5.2.2: it was not answered
    // Events are new, and what they are usually is free.
    assert_true(has_line(wire, 1, "a=rtpmap:110 telephone-event/48000"));
    wire_free(wire);
}

// A number that is taken is replaced by one that is free.
static void test_peer_media_offer_finds_free_numbers(void **state)
{
    (void)state;
    struct wire *wire = wire_new(3, NULL);
    wire_track_add(wire, 1, true);
    assert_true(wire_accept(wire, 1, HEAD VIDEO DATA AUDIO, false));
    wire_run(wire, 10 * TIME_MS);
    check_sections(wire, 1, "video:v application:data audio:a!");
    check_bundle(wire, 1, "v data");
    wire_track_add(wire, 1, false);
    peer_simrtc.describe(BOB, wire->now, false);
    wire_run(wire, 20 * TIME_MS);
    // RFC 9429 5.2.2: the place of the rejected section, under a new mid.
    check_sections(wire, 1, "video:v application:data audio:0");
    check_bundle(wire, 1, "v data 0");
    assert_true(has_line(wire, 1, "a=rtpmap:98 opus/48000/2"));
    wire_free(wire);
}

// Without mids there are places alone.
static void test_peer_media_offer_without_mids(void **state)
{
    (void)state;
    struct wire *wire = wire_new(3, NULL);
    wire_track_add(wire, 1, true);
    struct text text = {0};
    text_put(&text, HEAD VIDEO);
    text_cut(&text, "a=group:BUNDLE v data a\r\n");
    text_cut(&text, "a=mid:v\r\n");
    assert_true(wire_accept(wire, 1, text.at, false));
    wire_run(wire, 10 * TIME_MS);
    check_sections(wire, 1, "video:");
    peer_simrtc.describe(BOB, wire->now, false);
    wire_run(wire, 20 * TIME_MS);
    check_sections(wire, 1, "video:"); // and no data channels, since none was opened
    assert_true(wire_open(wire, 1, "chat") >= 0);
    peer_simrtc.describe(BOB, wire->now, false);
    wire_run(wire, 30 * TIME_MS);
    check_sections(wire, 1, "video: application:0");
    text_free(&text);
    wire_free(wire);
}

// RFC 9429 5.3.1, must-bundle: a section that would want a transport of its own is rejected.
static void test_peer_media_answer_rejects_what_is_not_bundled(void **state)
{
    (void)state;
    static const struct {
        const char *group, *accepted;
    } rows[] = {{"a=group:BUNDLE v data a\r\n", "video:v application:data audio:a"},
                {"a=group:BUNDLE v data\r\n", "video:v application:data audio:a!"},
                {"a=group:BUNDLE data a\r\n", "video:v! application:data audio:a"},
                {"a=group:BUNDLE v a\r\n", "video:v application:data! audio:a"},
                {"", "video:v! application:data audio:a!"}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wire *wire = wire_new(3, NULL);
        wire_track_add(wire, 1, false);
        wire_track_add(wire, 1, true);
        struct text text = {0};
        text_put(&text, HEAD VIDEO DATA AUDIO);
        char *group = strstr(text.at, "a=group");
        size_t len = strlen(rows[i].group), before = strlen(rows[0].group);
        memcpy(group, rows[i].group, len);
        memmove(group + len, group + before, strlen(group + before) + 1);
        assert_true(wire_accept(wire, 1, text.at, false));
        wire_run(wire, 10 * TIME_MS);
        check_sections(wire, 1, rows[i].accepted);
        text_free(&text);
        wire_free(wire);
    }
}

// ----------------------------------------------------------------------------- hold, come and go

static enum sdp_direction direction(struct wire *wire, int i, unsigned section)
{
    described(wire, i);
    sdp_rtp_parse(&sdp, &sdp.media[section], &rtp);
    return rtp.direction;
}

static void test_peer_media_holds_and_resumes(void **state)
{
    (void)state;
    struct wire *wire = wire_new(4, NULL);
    add_to_both(wire, false);
    add_to_both(wire, true);
    offer(wire, 0, false);
    check_flow(wire, 2);
    static const struct {
        bool send, receive;
        enum sdp_direction offered, answered;
    } rows[] = {{true, false, SDP_SENDONLY, SDP_RECVONLY},
                {false, true, SDP_RECVONLY, SDP_SENDONLY},
                {false, false, SDP_INACTIVE, SDP_INACTIVE},
                {true, true, SDP_SENDRECV, SDP_SENDRECV}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int who = i % 2; // in turn, and each keeps to what it said before
        peer_simrtc.track_direct(ALICE, 1, rows[i].send, rows[i].receive);
        peer_simrtc.track_direct(BOB, 1, true, true);
        if (who)
            peer_simrtc.track_direct(BOB, 1, rows[i].receive, rows[i].send);
        offer(wire, who, false);
        assert_int_equal(direction(wire, 0, 1), rows[i].offered);
        assert_int_equal(direction(wire, 1, 1), rows[i].answered);
        assert_true(rtp.msid.len > 0); // RFC 9429 5.2.2: it stays, whatever the direction
        struct media_track_stats alice = wire_track_stats(wire, 0, 1), bob;
        assert_true(alice.sends == rows[i].send && alice.receives == rows[i].receive);
        wire_run(wire, wire->now + TIME_S);
        alice = wire_track_stats(wire, 0, 1);
        bob = wire_track_stats(wire, 1, 1);
        wire_run(wire, wire->now + 2 * TIME_S);
        struct media_track_stats after = wire_track_stats(wire, 0, 1);
        assert_true((after.in.packetsReceived > alice.in.packetsReceived + 20) == rows[i].receive);
        after = wire_track_stats(wire, 1, 1);
        assert_true((after.in.packetsReceived > bob.in.packetsReceived + 20) == rows[i].send);
        check_flow(wire, 1); // sound goes on
    }
    check_flow(wire, 2);
    wire_free(wire);
}

// Has the other side of who sends under it heard that this source is gone?
static bool has_left(struct wire *wire, uint64_t ssrc)
{
    char words[64];
    snprintf(words, sizeof words, "stream %08x of ", (uint32_t)ssrc);
    const char *at = strstr(wire->log.text.at, words);
    return at && strstr(at, "says goodbye") && strstr(at, "says goodbye") < strchr(at, '\n');
}

static void renumber(char *text, const char *from, const char *to)
{
    for (char *at = text; (at = strstr(at, from));)
        memcpy(at, to, strlen(to));
}

static bool lose_some(struct wire *wire, const struct datagram *datagram)
{
    static unsigned packets;
    bool is_rtp = datagram->bytes.len > 300 && datagram->bytes.at[0] >= 128;
    return wire->now > TIME_S && is_rtp && ++packets % 10 == 0;
}

// RFC 3264 6.1: an answer may have numbers of its own. That of RTX is told by what it repairs.
static void test_peer_media_answer_with_other_numbers(void **state)
{
    (void)state;
    struct wire *wire = wire_new(4, NULL);
    static const char *const words[][2] = {{"SAVPF 96 97", "SAVPF 98 99"},
                                           {"rtpmap:96", "rtpmap:98"},
                                           {"rtpmap:97", "rtpmap:99"},
                                           {"rtcp-fb:96", "rtcp-fb:98"},
                                           {"fmtp:97 apt=96", "fmtp:99 apt=98"}};
    add_to_both(wire, true);
    peer_simrtc.describe(ALICE, wire->now, false);
    wire->signal_delay[WIRE_OFFER] = 5 * TIME_MS;
    wire_run(wire, wire->now + TIME_MS);
    for (unsigned i = 0; i < wire->events_count; i++) {
        if (wire->events[i].kind != WIRE_OFFER)
            continue;
        wire->events[i].bytes[wire->events[i].len] = 0;
        for (unsigned k = 0; k < sizeof words / sizeof words[0]; k++)
            renumber((char *)wire->events[i].bytes, words[k][0], words[k][1]);
    }
    wire->lost = lose_some;
    wire_run(wire, 5 * TIME_S);
    struct media_track_stats bob = wire_track_stats(wire, 1, 0);
    assert_true(bob.in.framesDecoded > 80);
    assert_true(bob.in.retransmittedPacketsReceived > 5); // by RTX, as it is the only one counted
    wire_free(wire);
}

// W3C webrtc-pc 5.4.1, direction: what is changed while an offer waits for its answer is of the
// next.
static void test_peer_media_direction_is_that_of_the_offer(void **state)
{
    (void)state;
    for (unsigned resume = 0; resume < 2; resume++) {
        struct wire *wire = wire_new(4, NULL);
        add_to_both(wire, false);
        if (resume)
            peer_simrtc.track_direct(ALICE, 0, false, true);
        peer_simrtc.describe(ALICE, wire->now, false);
        wire_run(wire, wire->now + TIME_MS);
        assert_int_equal(wire_stats(wire, 0).signaling, PEER_HAVE_LOCAL_OFFER);
        peer_simrtc.track_direct(ALICE, 0, resume, true);
        wire_run(wire, wire->now + TIME_S);
        struct media_track_stats alice = wire_track_stats(wire, 0, 0);
        assert_int_equal(alice.sends, !resume);
        assert_true(alice.receives);
        offer(wire, 0, false);
        alice = wire_track_stats(wire, 0, 0);
        assert_int_equal(alice.sends, resume);
        wire_free(wire);
    }
}

static void test_peer_media_comes_and_goes(void **state)
{
    (void)state;
    struct wire *wire = wire_new(5, NULL);
    int channel = wire_open(wire, 0, "chat");
    add_to_both(wire, false);
    offer(wire, 0, false);
    check_flow(wire, 1);
    add_to_both(wire, true);
    offer(wire, 0, false);
    check_sections(wire, 1, "audio:0 application:1 video:2");
    check_flow(wire, 2);
    struct media_track_stats alice = wire_track_stats(wire, 0, 1),
                             bob = wire_track_stats(wire, 1, 1);
    peer_simrtc.describe(ALICE, wire->now, false); // the answer to this does not bring it back
    wire_pump(wire);
    peer_simrtc.track_stop(ALICE, 1);
    uint64_t sent = wire_track_stats(wire, 0, 1).out.packetsSent;
    wire_run(wire, wire->now + TIME_S);
    assert_int_equal(wire_track_stats(wire, 0, 1).out.packetsSent, sent);
    assert_true(has_left(wire, bob.in.ssrc)); // W3C: with stop(), before the section goes
    assert_false(has_left(wire, alice.in.ssrc));
    offer(wire, 0, false);
    assert_true(has_left(wire, alice.in.ssrc)); // RFC 9429 4.2.2: likewise
    for (int i = 0; i < 2; i++) {
        check_sections(wire, i, "audio:0 application:1 video:2!"); // RFC 3264 8.2
        check_bundle(wire, i, "0 1");
        struct media_track_stats stats = wire_track_stats(wire, i, 1);
        assert_false(stats.sends || stats.receives);
    }
    check_flow(wire, 1);
    // Bob offers next, and another video takes the place.
    add_to_both(wire, true);
    offer(wire, 1, false);
    for (int i = 0; i < 2; i++)
        check_sections(wire, i, "audio:0 application:1 video:3");
    wire_run(wire, wire->now + TIME_S);
    for (int i = 0; i < 2; i++)
        assert_true(wire_track_stats(wire, i, 2).in.framesDecoded > 20);
    check_flow(wire, 1);
    check_connected(wire, channel);
    wire_free(wire);
}

// The answerer stops a track: RFC 9143 7.3.3, it rests in the answer, and goes with the next offer.
static void test_peer_media_stopped_by_the_answerer(void **state)
{
    (void)state;
    struct wire *wire = wire_new(6, NULL);
    add_to_both(wire, false);
    add_to_both(wire, true);
    offer(wire, 0, false);
    uint64_t ssrc = wire_track_stats(wire, 0, 0).in.ssrc;
    peer_simrtc.track_stop(BOB, 0); // the one that is tagged
    wire_run(wire, wire->now + TIME_S);
    assert_true(has_left(wire, ssrc));
    uint64_t sent = wire_track_stats(wire, 1, 0).out.packetsSent;
    offer(wire, 0, false);
    assert_int_equal(wire_track_stats(wire, 1, 0).out.packetsSent, sent);
    check_sections(wire, 1, "audio:0 video:1 application:2");
    assert_int_equal(direction(wire, 1, 0), SDP_INACTIVE);
    offer(wire, 1, false);
    for (int i = 0; i < 2; i++) {
        check_sections(wire, i, "audio:0! video:1 application:2");
        check_bundle(wire, i, "1 2");
    }
    offer(wire, 0, true);
    check_sections(wire, 0, "audio:0! video:1 application:2");
    struct media_track_stats before = wire_track_stats(wire, 0, 1);
    wire_run(wire, wire->now + TIME_S);
    assert_true(wire_track_stats(wire, 0, 1).in.framesDecoded > before.in.framesDecoded + 20);
    wire_free(wire);
}

// RFC 9143 7.3.3: with no codec left in the section that is tagged, a later offer is refused as a
// whole, and all goes on as it was; with none left in another, that one is rejected.
static void test_peer_media_no_codec_is_left(void **state)
{
    (void)state;
    static const char *const codecs[] = {"opus/48000", "VP8/90000"};
    for (unsigned i = 0; i < 2; i++) {
        struct wire *wire = wire_new(12, NULL);
        add_to_both(wire, false);
        add_to_both(wire, true);
        offer(wire, 0, false);
        wire->signal_delay[WIRE_OFFER] = 60 * TIME_S;
        peer_simrtc.describe(ALICE, wire->now, false);
        wire_pump(wire);
        struct text text = {0};
        text_add(&text, text_bytes(&wire->actor[0].described));
        for (char *at = text.at; (at = strstr(at, codecs[i]));)
            memcpy(at, "none", 3);
        assert_int_equal(wire_accept(wire, 1, text.at, false), i == 1);
        wire_run(wire, wire->now + 500 * TIME_MS);
        assert_int_equal(wire_stats(wire, 1).signaling, PEER_STABLE);
        check_flow(wire, i == 0 ? 2 : 1);
        if (i == 0) {
            assert_non_null(strstr(wire_stats(wire, 1).error, "tagged"));
        } else {
            check_sections(wire, 1, "audio:0 video:1! application:2");
            check_bundle(wire, 1, "0 2");
        }
        text_free(&text);
        wire_free(wire);
    }
}

// RFC 8841 10.3: port 0 closes the data channels of a call that goes on.
static void test_peer_media_data_goes(void **state)
{
    (void)state;
    struct wire *wire = wire_new(7, NULL);
    wire_open(wire, 0, "chat");
    add_to_both(wire, false);
    offer(wire, 0, false);
    assert_int_equal(wire_stats(wire, 1).channels_open, 1);
    wire->signal_delay[WIRE_OFFER] = TIME_S;
    peer_simrtc.describe(ALICE, wire->now, false);
    wire_pump(wire);
    struct text text = {0};
    text_add(&text, text_bytes(&wire->actor[0].described));
    strstr(text.at, "m=application 9")[strlen("m=application ")] = '0';
    text_cut(&text, "a=group:BUNDLE 0 1\r\n");
    assert_true(wire_accept(wire, 1, text.at, false));
    wire_run(wire, wire->now + 500 * TIME_MS);
    check_sections(wire, 1, "audio:0 application:1!");
    assert_int_equal(wire_stats(wire, 1).channels_open, 0);
    assert_int_equal(wire_stats(wire, 1).state, PEER_CONNECTED);
    text_free(&text);
    wire_free(wire);
}

// ------------------------------------------------------------------------------------------- glare

static void bob_is_polite(struct peer_config *config, int i)
{
    config->polite = i == 1;
}

static void alice_is_polite(struct peer_config *config, int i)
{
    config->polite = i == 0;
}

// Both offer at the same moment.
static void cross(struct wire *wire, bool restart_alice, bool restart_bob)
{
    peer_simrtc.describe(ALICE, wire->now, restart_alice);
    peer_simrtc.describe(BOB, wire->now, restart_bob);
    wire_run(wire, wire->now + 3 * TIME_S);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wire_stats(wire, i).signaling, PEER_STABLE);
        assert_int_equal(wire_stats(wire, i).state, PEER_CONNECTED);
    }
}

static void test_peer_media_glare_of_first_offers(void **state)
{
    (void)state;
    for (int polite = 0; polite < 2; polite++) {
        struct wire *wire = wire_new(8, polite ? bob_is_polite : alice_is_polite);
        int channel = wire_open(wire, 0, "chat");
        add_to_both(wire, false);
        add_to_both(wire, true);
        cross(wire, false, false);
        assert_int_equal(wire_stats(wire, polite).rollbacks, 1);
        assert_int_equal(wire_stats(wire, 1 - polite).rollbacks, 0);
        assert_int_equal(wire_stats(wire, polite).ice_role, ICE_CONTROLLED);
        assert_int_equal(wire->actor[polite].answers, 1);
        assert_int_equal(wire->actor[polite].offers, 1); // it has nothing more to say
        for (int i = 0; i < 2; i++)
            check_sections(wire, i, "audio:0 video:1 application:2");
        check_flow(wire, 2);
        check_connected(wire, channel);
        wire_free(wire);
    }
}

// What of the polite one's found no place in the other's offer is offered after it.
static void test_peer_media_glare_offers_the_rest_again(void **state)
{
    (void)state;
    struct wire *wire = wire_new(9, bob_is_polite);
    wire_track_add(wire, 0, false);
    wire_track_add(wire, 1, true);
    wire_track_add(wire, 1, false);
    cross(wire, false, false);
    assert_int_equal(wire->actor[1].offers, 2);
    assert_int_equal(wire_stats(wire, 1).rollbacks, 1);
    for (int i = 0; i < 2; i++) // alice has no track for it
        check_sections(wire, i,
                       i ? "audio:0 application:1 video:3" : "audio:0 application:1 video:3!");
    wire_free(wire);
}

static void test_peer_media_glare_of_later_offers(void **state)
{
    (void)state;
    struct wire *wire = wire_new(10, alice_is_polite);
    int channel = wire_open(wire, 0, "chat");
    add_to_both(wire, false);
    offer(wire, 0, false);
    add_to_both(wire, true);
    cross(wire, false, false);
    assert_int_equal(wire_stats(wire, 0).rollbacks, 1);
    for (int i = 0; i < 2; i++)
        check_sections(wire, i, "audio:0 application:1 video:2");
    check_flow(wire, 2);
    check_connected(wire, channel);
    wire_free(wire);
}

// A mid of an offer that was rolled back is the other side's as well: RFC 9429 5.7, it means
// nothing any more.
static void test_peer_media_glare_over_a_mid(void **state)
{
    (void)state;
    struct wire *wire = wire_new(10, bob_is_polite);
    int channel = wire_open(wire, 0, "chat");
    add_to_both(wire, false);
    offer(wire, 0, false);
    wire_track_add(wire, 0, true);
    wire_track_add(wire, 1, false); // its section would be the one with mid 2
    unsigned video = wire_track_add(wire, 1, true);
    cross(wire, false, false);
    assert_int_equal(wire_stats(wire, 1).rollbacks, 1);
    check_sections(wire, 1, "audio:0 application:1 video:2 audio:4");
    assert_false(wire_log_has(wire, "cannot be used"));
    for (int i = 0; i < 2; i++) {
        struct media_track_stats stats = wire_track_stats(wire, i, i ? video : 1);
        assert_string_equal(stats.mid, "2");
        assert_true(stats.in.framesDecoded > 20);
    }
    check_connected(wire, channel);
    wire_free(wire);
}

// W3C webrtc-pc 4.7.3: a track that was stopped wants an offer until its section is disabled.
static void test_peer_media_glare_of_a_stop(void **state)
{
    (void)state;
    struct wire *wire = wire_new(10, bob_is_polite);
    add_to_both(wire, false);
    add_to_both(wire, true);
    offer(wire, 0, false);
    peer_simrtc.track_stop(BOB, 1);
    cross(wire, true, false);
    assert_int_equal(wire_stats(wire, 1).rollbacks, 1);
    for (int i = 0; i < 2; i++)
        check_sections(wire, i, "audio:0 video:1! application:2");
    assert_int_equal(wire->actor[1].offers, 2); // and no more of them
    wire_free(wire);
}

// An ICE restart that crosses another offer, or another restart, comes about.
static void test_peer_media_glare_of_ice_restarts(void **state)
{
    (void)state;
    for (unsigned both = 1; both < 4; both++) {
        struct wire *wire = wire_new(11, bob_is_polite);
        int channel = wire_open(wire, 0, "chat");
        add_to_both(wire, true);
        offer(wire, 0, false);
        cross(wire, both & 1, both & 2);
        wire_run(wire, wire->now + 3 * TIME_S);
        assert_int_equal(wire_stats(wire, 1).rollbacks, 1);
        for (int i = 0; i < 2; i++)
            assert_int_equal(wire_stats(wire, i).restarts, 1);
        assert_int_equal(wire->actor[1].offers, both == 2 ? 2 : 1);
        check_flow(wire, 1);
        check_connected(wire, channel);
        wire_free(wire);
    }
}

// Without anybody polite nothing moves, and nothing breaks.
static void test_peer_media_glare_of_the_impolite(void **state)
{
    (void)state;
    struct wire *wire = wire_new(12, NULL);
    add_to_both(wire, false);
    offer(wire, 0, false);
    add_to_both(wire, true);
    peer_simrtc.describe(ALICE, wire->now, false);
    peer_simrtc.describe(BOB, wire->now, false);
    wire_run(wire, wire->now + TIME_S);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wire_stats(wire, i).signaling, PEER_HAVE_LOCAL_OFFER);
        assert_non_null(strstr(wire_stats(wire, i).error, "glare"));
    }
    check_flow(wire, 1);
    wire_free(wire);
}

// ------------------------------------------------------------------------------------------ bounds

static void test_peer_media_offer_is_bounded(void **state)
{
    (void)state;
    struct wire *wire = wire_new(13, NULL);
    struct media_track_config config = {
        .label = "v", .kind = MEDIA_VIDEO, .send = true, .codecs = {"VP8"}, .codecs_count = 1};
    for (int i = 0; i < 2; i++) {
        unsigned taken = 0;
        while (taken < 100 && peer_simrtc.track_add(wire->actor[i].peer, &config) >= 0)
            taken++;
        assert_int_equal(taken, SDP_MEDIA_MAX - 1); // and the data channels
    }
    peer_simrtc.describe(ALICE, wire->now, false);
    wire_run(wire, TIME_S);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wire_stats(wire, i).signaling, PEER_STABLE);
        assert_int_equal(described(wire, i)->media_count, SDP_MEDIA_MAX);
    }
    wire_free(wire);
}

// Where the other side's sections have filled the description, a track of ours finds no place.
static void test_peer_media_offer_is_full(void **state)
{
    (void)state;
    struct wire *wire = wire_new(13, NULL);
    struct text text = {0};
    text_put(&text, HEAD);
    text_cut(&text, "a=group:BUNDLE v data a\r\n");
    text_put(&text, DATA);
    for (unsigned i = 1; i < SDP_MEDIA_MAX; i++)
        text_put(&text, "m=image 9 udptl t38\r\nc=IN IP4 0.0.0.0\r\n");
    assert_true(wire_accept(wire, 1, text.at, false));
    wire_run(wire, 10 * TIME_MS);
    wire_track_add(wire, 1, true);
    peer_simrtc.describe(BOB, wire->now, false);
    wire_run(wire, 20 * TIME_MS);
    assert_true(wire_log_has(wire, "no section is left for 'video'"));
    assert_int_equal(described(wire, 1)->media_count, SDP_MEDIA_MAX);
    assert_int_not_equal(sdp.media[0].port, 0);
    assert_int_equal(sdp.media[1].port, 0);
    text_put(&text, "m=image 9 udptl t38\r\nc=IN IP4 0.0.0.0\r\n");
    assert_int_equal(sdp_parse(text_bytes(&text), &other), SDP_TOO_MANY_MEDIA);
    text_free(&text);
    wire_free(wire);
}

static void test_peer_media_description_too_long(void **state)
{
    (void)state;
    struct wire *wire = wire_new(13, NULL);
    struct text text = {0};
    text_put(&text, HEAD DATA);
    while (text.len <= SDP_SIZE_MAX / 2)
        text_put(&text, "a=x-unknown:something that is of no use to anybody\r\n");
    assert_false(wire_accept(wire, 1, text.at, false));
    assert_non_null(strstr(wire_stats(wire, 1).error, "longer than"));
    text_free(&text);
    wire_free(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_media_offer_keeps_data_first),
        cmocka_unit_test(test_peer_media_offer_keeps_data_between),
        cmocka_unit_test(test_peer_media_offer_keeps_numbers),
        cmocka_unit_test(test_peer_media_offer_finds_free_numbers),
        cmocka_unit_test(test_peer_media_offer_without_mids),
        cmocka_unit_test(test_peer_media_answer_rejects_what_is_not_bundled),
        cmocka_unit_test(test_peer_media_holds_and_resumes),
        cmocka_unit_test(test_peer_media_answer_with_other_numbers),
        cmocka_unit_test(test_peer_media_direction_is_that_of_the_offer),
        cmocka_unit_test(test_peer_media_comes_and_goes),
        cmocka_unit_test(test_peer_media_stopped_by_the_answerer),
        cmocka_unit_test(test_peer_media_no_codec_is_left),
        cmocka_unit_test(test_peer_media_data_goes),
        cmocka_unit_test(test_peer_media_glare_of_first_offers),
        cmocka_unit_test(test_peer_media_glare_offers_the_rest_again),
        cmocka_unit_test(test_peer_media_glare_of_later_offers),
        cmocka_unit_test(test_peer_media_glare_over_a_mid),
        cmocka_unit_test(test_peer_media_glare_of_a_stop),
        cmocka_unit_test(test_peer_media_glare_of_ice_restarts),
        cmocka_unit_test(test_peer_media_glare_of_the_impolite),
        cmocka_unit_test(test_peer_media_offer_is_bounded),
        cmocka_unit_test(test_peer_media_offer_is_full),
        cmocka_unit_test(test_peer_media_description_too_long),
    };
    return cmocka_run_group_tests(tests, peer_tests_setup, peer_tests_teardown);
}
