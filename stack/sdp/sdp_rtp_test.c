// Sections of audio and video: descriptions of Chrome read line by line, what is malformed counted,
// and what is written read again.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stack/sdp/sdp_rtp.h"

#include <stdio.h>

static char file[16384];
static struct sdp sdp, again;
static struct sdp_rtp rtp, rtp_again;

static void load(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "stack/sdp/testdata/%s", name);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    size_t len = fread(file, 1, sizeof file, in);
    fclose(in);
    assert_int_equal(sdp_parse(bytes_of(file, len), &sdp), SDP_OK);
}

static const struct sdp_format *format(unsigned type)
{
    for (unsigned i = 0; i < rtp.formats_count; i++) {
        if (rtp.formats[i].type == type)
            return &rtp.formats[i];
    }
    fail_msg("no format %u", type);
    return NULL;
}

static void check_format(unsigned type, const char *name, uint32_t clock_rate, unsigned channels,
                         const char *fmtp, unsigned feedback)
{
    const struct sdp_format *got = format(type);
    assert_true(bytes_is(got->name, name));
    assert_int_equal(got->clock_rate, clock_rate);
    assert_int_equal(got->channels, channels);
    assert_true(bytes_is(got->fmtp, fmtp));
    assert_int_equal(got->feedback, feedback);
}

static void check_extension(unsigned index, unsigned id, const char *uri)
{
    assert_int_equal(rtp.extensions[index].id, id);
    assert_int_equal(rtp.extensions[index].direction, SDP_SENDRECV);
    assert_true(bytes_is(rtp.extensions[index].uri, uri));
}

#define VIDEO_FEEDBACK (SDP_NACK | SDP_PLI | SDP_FIR | SDP_REMB | SDP_TRANSPORT_CC)

static void test_sdp_rtp_audio_of_chrome(void **state)
{
    (void)state;
    load("chrome-media-1-offer.sdp");
    assert_true(sdp_is_rtp(&sdp.media[0]));
    sdp_rtp_parse(&sdp, &sdp.media[0], &rtp);
    assert_int_equal(rtp.formats_count, 8);
    check_format(111, "opus", 48000, 2, "minptime=10;useinbandfec=1", SDP_TRANSPORT_CC);
    check_format(63, "red", 48000, 2, "111/111", 0);
    check_format(9, "G722", 8000, 0, "", 0);
    check_format(0, "PCMU", 8000, 0, "", 0);
    check_format(8, "PCMA", 8000, 0, "", 0);
    check_format(13, "CN", 8000, 0, "", 0);
    check_format(110, "telephone-event", 48000, 0, "", 0);
    check_format(126, "telephone-event", 8000, 0, "", 0);
    assert_int_equal(rtp.extensions_count, 4);
    check_extension(0, 1, "urn:ietf:params:rtp-hdrext:ssrc-audio-level");
    check_extension(1, 2, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time");
    check_extension(2, 3,
                    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01");
    check_extension(3, 4, "urn:ietf:params:rtp-hdrext:sdes:mid");
    assert_int_equal(rtp.direction, SDP_SENDRECV);
    assert_true(rtp.rtcp_mux && rtp.reduced_size && rtp.mixed_extensions); // the last: session's
    assert_int_equal(rtp.ssrcs_count, 1);
    assert_int_equal(rtp.ssrcs[0], 3437501515);
    assert_int_equal(rtp.groups_count + rtp.rids_count + rtp.ignored, 0);
    assert_true(bytes_is(
        rtp.msid, "d15c6979-87f7-4177-b082-e54548148e46 b8e4fae9-2614-4222-8eb2-73c42d5594d6"));
}

static void test_sdp_rtp_video_of_chrome(void **state)
{
    (void)state;
    static const uint8_t order[] = {96, 97, 102, 103, 104, 105, 106, 107, 108, 109, 127, 125, 39,
                                    40, 45, 46,  98,  99,  100, 101, 112, 113, 116, 117, 118};
    load("chrome-media-1-offer.sdp");
    sdp_rtp_parse(&sdp, &sdp.media[1], &rtp);
    assert_int_equal(rtp.formats_count, sizeof order);
    for (unsigned i = 0; i < sizeof order; i++)
        assert_int_equal(rtp.formats[i].type, order[i]);
    check_format(96, "VP8", 90000, 0, "", VIDEO_FEEDBACK);
    check_format(97, "rtx", 90000, 0, "apt=96", 0);
    check_format(106, "H264", 90000, 0,
                 "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
                 VIDEO_FEEDBACK);
    check_format(45, "AV1", 90000, 0, "level-idx=5;profile=0;tier=0", VIDEO_FEEDBACK);
    check_format(100, "VP9", 90000, 0, "profile-id=2", VIDEO_FEEDBACK);
    check_format(116, "red", 90000, 0, "", 0);
    check_format(118, "ulpfec", 90000, 0, "", 0);
    assert_int_equal(rtp.extensions_count, 11);
    check_extension(0, 14, "urn:ietf:params:rtp-hdrext:toffset");
    check_extension(9, 10, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id");
    check_extension(10, 11, "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id");
    assert_int_equal(rtp.ssrcs_count, 2);
    assert_int_equal(rtp.groups_count, 1); // RFC 5576 4.2
    assert_true(bytes_is(rtp.groups[0].semantics, "FID"));
    assert_int_equal(rtp.groups[0].ssrcs[0], 583334944);
    assert_int_equal(rtp.groups[0].ssrcs[1], 2876421606);
    assert_int_equal(rtp.ignored, 0);
}

static void test_sdp_rtp_answers_of_chrome(void **state)
{
    (void)state;
    load("chrome-media-4-answer.sdp");
    sdp_rtp_parse(&sdp, &sdp.media[0], &rtp);
    assert_int_equal(rtp.direction, SDP_RECVONLY);
    assert_true(rtp.rtcp_mux && !rtp.reduced_size && !rtp.mixed_extensions);
    assert_int_equal(rtp.formats_count, 13);
    check_format(103, "ISAC", 16000, 0, "", 0);
    assert_int_equal(rtp.ssrcs_count + rtp.ignored, 0);
    sdp_rtp_parse(&sdp, &sdp.media[1], &rtp);
    assert_int_equal(rtp.direction, SDP_RECVONLY);
    check_format(121, "rtx", 90000, 0, "apt=102", 0);
    assert_int_equal(rtp.formats_count, 21);
    assert_int_equal(rtp.ignored, 0);
    load("chrome-media-1-answer.sdp");
    sdp_rtp_parse(&sdp, &sdp.media[1], &rtp);
    assert_int_equal(rtp.ssrcs_count, 2);
    assert_int_equal(rtp.groups[0].ssrcs[1], 1983657469);
    load("chrome-media-4-offer.sdp");
    sdp_rtp_parse(&sdp, &sdp.media[1], &rtp);
    assert_int_equal(rtp.ssrcs_count, 2);
    assert_int_equal(rtp.ignored, 0);
}

#define HEAD                                                                                       \
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"                                          \
    "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\n"

static void parse_with(const char *lines)
{
    snprintf(file, sizeof file, HEAD "%s\r\n", lines);
    assert_int_equal(sdp_parse(bytes_text(file), &sdp), SDP_OK);
    sdp_rtp_parse(&sdp, &sdp.media[0], &rtp);
}

static void test_sdp_rtp_counts_what_is_malformed(void **state)
{
    (void)state;
    static const char *const wrong[] = {"a=rtpmap:96",
                                        "a=rtpmap:95 VP8/90000",
                                        "a=rtpmap:96 VP8",
                                        "a=rtpmap:96 VP8/0",
                                        "a=rtpmap:96 /90000",
                                        "a=rtpmap:x VP8/90000",
                                        "a=rtpmap:96 VP8/9e4",
                                        "a=rtpmap:96 opus/8000/x",
                                        "a=rtpmap:128 VP8/90000",
                                        "a=rtpmap:96 V/4294967296",
                                        "a=fmtp:95 apt=96",
                                        "a=fmtp:",
                                        "a=rtcp-fb:95 nack",
                                        "a=rtcp-fb:",
                                        "a=extmap:0 urn:x",
                                        "a=extmap:15 urn:x",
                                        "a=extmap:256 urn:x",
                                        "a=extmap:1",
                                        "a=extmap:1/both urn:x",
                                        "a=extmap:x urn:x",
                                        "a=ssrc:x cname:y",
                                        "a=ssrc:4294967296 cname:y",
                                        "a=ssrc-group:",
                                        "a=ssrc-group:FID 1 2 3 4",
                                        "a=ssrc-group:FID x",
                                        "a=rid:a",
                                        "a=rid: send",
                                        "a=rid:a both",
                                        "a=rid:a send pt=95",
                                        "a=rid:a send pt=x;max-width=1",
                                        "a=extmap:1 urn:x\r\na=extmap:1 urn:y",
                                        "a=extmap:1 urn:x\r\na=extmap:2 urn:x",
                                        "a=fmtp:96 x=1\r\na=fmtp:96 y=2",
                                        "a=simulcast:send",
                                        "a=simulcast:",
                                        "a=simulcast:both a",
                                        "a=simulcast:send a send b",
                                        "a=simulcast:send a recv",
                                        "a=simulcast:send a\r\na=simulcast:recv b"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        parse_with(wrong[i]);
        if (rtp.ignored != 1)
            fail_msg("%s: %u ignored", wrong[i], rtp.ignored);
    }
    static const char *const right[] = {"a=rtpmap:96 VP8/90000",
                                        "a=fmtp:97 apt=96",
                                        "a=rtcp-fb:* nack",
                                        "a=rtcp-fb:96 unheard of",
                                        "a=extmap:255 urn:x",
                                        "a=extmap:14/sendonly urn:x b",
                                        "a=ssrc:1 cname:y",
                                        "a=ssrc-group:SIM 1 2 3",
                                        "a=rid:q send pt=96;max-width=320",
                                        "a=simulcast:send q;h recv x",
                                        "a=unheard-of:x",
                                        "a=rtpmapx:96 y"};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        parse_with(right[i]);
        if (rtp.ignored != 0)
            fail_msg("%s: ignored", right[i]);
    }
}

// The line, with the number in place of each %u.
static size_t put_row(char *to, size_t size, const char *line, unsigned number)
{
    size_t at = 0;
    for (; *line; line++) {
        assert_true(at + 12 < size);
        if (strncmp(line, "%u", 2) == 0)
            at += (size_t)snprintf(to + at, size - at, "%u", number), line++;
        else
            to[at++] = *line;
    }
    to[at] = 0;
    return at;
}

static void test_sdp_rtp_lists_are_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        unsigned most;
        const unsigned *count;
    } rows[] = {{"a=extmap:%u urn:%u\r\n", SDP_EXTENSIONS_MAX, &rtp.extensions_count},
                {"a=ssrc-group:FID 1 2\r\n", SDP_SSRC_GROUPS_MAX, &rtp.groups_count},
                {"a=rid:%u send\r\n", SDP_RIDS_MAX, &rtp.rids_count}};
    char lines[4096];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t at = 0;
        for (unsigned k = 0; k < rows[i].most + 5; k++)
            at += put_row(lines + at, sizeof lines - at, rows[i].line, 16 + k);
        parse_with(lines);
        assert_int_equal(*rows[i].count, rows[i].most);
        assert_int_equal(rtp.ignored, 5);
    }
    size_t at = 0;
    for (unsigned k = 0; k < SDP_SSRCS_MAX + 5; k++)
        at += (size_t)snprintf(lines + at, sizeof lines - at, "a=ssrc:%u cname:x\r\n", k + 1);
    parse_with(lines);
    assert_int_equal(rtp.ssrcs_count, SDP_SSRCS_MAX);
    assert_int_equal(rtp.ignored, 5);
}

static const struct sdp_rid *rid(const char *id)
{
    for (unsigned i = 0; i < rtp.rids_count; i++) {
        if (bytes_is(rtp.rids[i].id, id))
            return &rtp.rids[i];
    }
    fail_msg("no rid %s", id);
    return NULL;
}

// RFC 8853 5.6.1, RFC 8851 10.1 and what is wrong with others.
static void test_sdp_rtp_simulcast(void **state)
{
    (void)state;
    parse_with("a=rid:1 send pt=97;max-width=1280;max-height=720\r\na=rid:2 send pt=98\r\n"
               "a=rid:3 send pt=95,96\r\na=rid:4 send\r\na=rid:c recv pt=97\r\n"
               "a=simulcast:send 1,~4;2;~3 recv c");
    assert_int_equal(rtp.rids_count, 4); // there is no 98
    assert_int_equal(rtp.ignored, 1);
    assert_true(rid("1")->simulcast && rid("3")->simulcast && rid("c")->simulcast);
    assert_false(rid("4")->simulcast); // an alternative
    assert_true(rtp.simulcast_send && rtp.simulcast_receive);
    struct bytes list = rid("1")->restrictions, name, value;
    assert_true(sdp_rid_restriction(&list, &name, &value));
    uint8_t type;
    assert_true(bytes_is(name, "pt") && sdp_rid_format(&value, &type) && type == 97);
    assert_false(sdp_rid_format(&value, &type));
    assert_true(sdp_rid_restriction(&list, &name, &value));
    assert_true(bytes_is(name, "max-width") && bytes_is(value, "1280"));
    assert_true(sdp_rid_restriction(&list, &name, &value));
    assert_false(sdp_rid_restriction(&list, &name, &value));

    // RFC 8851 6.2.2: all that have one id; of the list, 1 is replaced by its alternative.
    parse_with("a=rid:1 send\r\na=rid:1 recv\r\na=rid:2 send\r\na=simulcast:send 1,2");
    assert_int_equal(rtp.rids_count, 1);
    assert_int_equal(rtp.ignored, 2);
    assert_true(rid("2")->simulcast && rtp.simulcast_send && !rtp.simulcast_receive);

    // RFC 8853 5.3.2: two lines are none, and three.
    static const char *const more[] = {"\r\na=simulcast:send 1",
                                       "\r\na=simulcast:send 1\r\na=simulcast:send 1"};
    for (unsigned i = 0; i < 2; i++) {
        char lines[200];
        snprintf(lines, sizeof lines, "a=rid:1 send\r\na=simulcast:send 1%s", more[i]);
        parse_with(lines);
        assert_int_equal(rtp.ignored, i + 1);
        assert_false(rtp.simulcast_send || rid("1")->simulcast);
    }
}

// RFC 8866 6.15: at most one for each format.
static void test_sdp_rtp_first_fmtp_counts(void **state)
{
    (void)state;
    parse_with("a=rtpmap:96 VP9/90000\r\na=fmtp:96 profile-id=2\r\na=fmtp:96 profile-id=0\r\n"
               "a=fmtp:97 apt=96");
    assert_true(bytes_is(format(96)->fmtp, "profile-id=2"));
    assert_true(bytes_is(format(97)->fmtp, "apt=96"));
    assert_int_equal(rtp.ignored, 1);
}

// RFC 4585 4.2: of all formats, besides what each has of its own.
static void test_sdp_rtp_feedback_of_all_formats(void **state)
{
    (void)state;
    parse_with("a=rtcp-fb:96 nack pli\r\na=rtcp-fb:* nack\r\na=rtcp-fb:* trr-int 100\r\n"
               "a=rtcp-fb:97 transport-cc\r\na=rtcp-fb:* ccm fir");
    assert_int_equal(format(96)->feedback, SDP_NACK | SDP_PLI | SDP_FIR);
    assert_int_equal(format(97)->feedback, SDP_NACK | SDP_TRANSPORT_CC | SDP_FIR);
    assert_int_equal(rtp.ignored, 0);
    // RFC 8888 6: of one format alone it is none.
    parse_with("a=rtcp-fb:* ack ccfb");
    assert_int_equal(format(96)->feedback, SDP_CCFB);
    assert_int_equal(format(97)->feedback, SDP_CCFB);
    parse_with("a=rtcp-fb:96 ack ccfb");
    assert_int_equal(format(96)->feedback, 0);
    assert_int_equal(rtp.ignored, 0);
}

// pion 3.1 ends those that have no parameter with a space.
static void test_sdp_rtp_feedback_before_spaces(void **state)
{
    (void)state;
    parse_with("a=rtcp-fb:96 nack \r\na=rtcp-fb:96 transport-cc  \r\na=rtcp-fb:97 nack pli \r\n"
               "a=rtcp-fb:97  ");
    assert_int_equal(format(96)->feedback, SDP_NACK | SDP_TRANSPORT_CC);
    assert_int_equal(format(97)->feedback, SDP_PLI);
    assert_int_equal(rtp.ignored, 0);
}

// RFC 8285 5, 6: what the session says holds for each section.
static void test_sdp_rtp_inherits_extensions(void **state)
{
    (void)state;
    static const char session[] = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
                                  "a=extmap-allow-mixed\r\na=extmap:3/recvonly urn:a\r\n"
                                  "a=extmap:16 urn:b\r\n"
                                  "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\n"
                                  "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n"
                                  "a=extmap:5 urn:c\r\n";
    assert_int_equal(sdp_parse(bytes_text(session), &sdp), SDP_OK);
    for (unsigned i = 0; i < 2; i++) {
        sdp_rtp_parse(&sdp, &sdp.media[i], &rtp);
        assert_true(rtp.mixed_extensions);
        assert_int_equal(rtp.extensions_count, 2 + i);
        assert_int_equal(rtp.extensions[0].id, 3);
        assert_int_equal(rtp.extensions[0].direction, SDP_RECVONLY);
        assert_true(bytes_is(rtp.extensions[1].uri, "urn:b") && rtp.extensions[1].id == 16);
    }
    parse_with("a=extmap-allow-mixed");
    assert_true(rtp.mixed_extensions);
}

static void test_sdp_rtp_directions(void **state)
{
    (void)state;
    static const char *const names[] = {"inactive", "sendonly", "recvonly", "sendrecv"};
    static const enum sdp_direction reversed[] = {SDP_INACTIVE, SDP_RECVONLY, SDP_SENDONLY,
                                                  SDP_SENDRECV};
    for (unsigned i = 0; i < 4; i++) {
        char line[32];
        snprintf(line, sizeof line, "a=%s", names[i]);
        parse_with(line);
        assert_int_equal(rtp.direction, i);
        assert_string_equal(sdp_direction_name(i), names[i]);
        assert_int_equal(sdp_direction_reversed(i), reversed[i]);
    }
    parse_with("a=mid:0");
    assert_int_equal(rtp.direction, SDP_SENDRECV);
}

static void test_sdp_rtp_written_is_read_again(void **state)
{
    (void)state;
    static const struct ice_credentials credentials = {"EsAw", "P2uYro0UCOQ4zxjKXaWCBui1"};
    static const struct dtls_fingerprint fingerprint = {
        "sha-256",
        "49:66:12:17:0D:1C:91:AE:57:4C:C6:36:DD:D5:97:D2:7D:62:C9:9A:7F:B9:A3:F4:70:03:E7:43:91:73:"
        "23:5E"};
    struct sdp_rtp_local section = {.kind = "video",
                                    .direction = SDP_SENDRECV,
                                    .stream = "s",
                                    .track = "t",
                                    .cname = "c",
                                    .ssrcs_count = 1};
    load("chrome-media-1-offer.sdp");
    sdp_rtp_parse(&sdp, &sdp.media[1], &rtp);
    section.mid = sdp.media[1].mid;
    section.formats = rtp.formats;
    section.formats_count = rtp.formats_count;
    section.extensions = rtp.extensions;
    section.extensions_count = rtp.extensions_count;
    section.reduced_size = true;
    section.ssrcs[0].media = rtp.ssrcs[0];
    section.ssrcs[0].rtx = rtp.ssrcs[1];
    const struct sdp_rtp_local *sections[] = {&section};
    struct sdp_local local = {.session_id = 1,
                              .credentials = &credentials,
                              .fingerprint = &fingerprint,
                              .setup = SDP_SETUP_ACTPASS,
                              .sctp_port = 5000,
                              .media = sections,
                              .media_count = 1};
    struct text text = {0};
    sdp_write_offer(&text, &local);
    assert_int_equal(sdp_parse(text_bytes(&text), &again), SDP_OK);
    sdp_rtp_parse(&again, &again.media[0], &rtp_again);
    assert_int_equal(rtp_again.formats_count, rtp.formats_count);
    for (unsigned i = 0; i < rtp.formats_count; i++) {
        const struct sdp_format *a = &rtp.formats[i], *b = &rtp_again.formats[i];
        assert_true(a->type == b->type && a->clock_rate == b->clock_rate &&
                    a->feedback == b->feedback && bytes_equal(a->name, b->name) &&
                    bytes_equal(a->fmtp, b->fmtp));
    }
    assert_int_equal(rtp_again.extensions_count, rtp.extensions_count);
    for (unsigned i = 0; i < rtp.extensions_count; i++)
        assert_true(rtp.extensions[i].id == rtp_again.extensions[i].id &&
                    bytes_equal(rtp.extensions[i].uri, rtp_again.extensions[i].uri));
    assert_int_equal(rtp_again.groups_count, 1);
    assert_memory_equal(rtp_again.ssrcs, rtp.ssrcs, 2 * sizeof rtp.ssrcs[0]);
    assert_true(rtp_again.rtcp_mux && rtp_again.reduced_size);
    assert_int_equal(rtp_again.ignored, 0);
    text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sdp_rtp_audio_of_chrome),
        cmocka_unit_test(test_sdp_rtp_video_of_chrome),
        cmocka_unit_test(test_sdp_rtp_answers_of_chrome),
        cmocka_unit_test(test_sdp_rtp_counts_what_is_malformed),
        cmocka_unit_test(test_sdp_rtp_lists_are_bounded),
        cmocka_unit_test(test_sdp_rtp_simulcast),
        cmocka_unit_test(test_sdp_rtp_first_fmtp_counts),
        cmocka_unit_test(test_sdp_rtp_feedback_of_all_formats),
        cmocka_unit_test(test_sdp_rtp_feedback_before_spaces),
        cmocka_unit_test(test_sdp_rtp_inherits_extensions),
        cmocka_unit_test(test_sdp_rtp_directions),
        cmocka_unit_test(test_sdp_rtp_written_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
