#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "stack/sdp/sdp.h"
#include "stack/sdp/sdp_cases.h"

#include <stdio.h>
#include <stdlib.h>

#define AV_LEN(array) (sizeof(array) / sizeof((array)[0]))

static struct sdp sdp, other; // reused on purpose: nothing of the one before may be left

static void assert_bytes(struct bytes got, const char *wanted)
{
    assert_int_equal(got.len, strlen(wanted));
    assert_memory_equal(got.at, wanted, got.len);
}

static enum sdp_outcome parse(const char *text)
{
    return sdp_parse(bytes_text(text), &sdp);
}

// Every `from` of `text` becomes `to`.
static void replace(struct text *text, const char *from, const char *to)
{
    struct text made = {0};
    const char *at = text->at, *found;
    while ((found = strstr(at, from)) != NULL) {
        text_add(&made, bytes_of(at, (size_t)(found - at)));
        text_put(&made, to);
        at = found + strlen(from);
    }
    text_put(&made, at);
    text_free(text);
    *text = made;
}

static struct text file_text(const char *name)
{
    struct text text = {0};
    char path[200], buffer[4096];
    snprintf(path, sizeof path, "stack/sdp/testdata/%s", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t got;
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0)
        text_add(&text, bytes_of(buffer, got));
    fclose(file);
    return text;
}

static void test_sdp_parse_cases(void **state)
{
    (void)state;
    assert_int_equal(parse(case_base), SDP_OK);
    for (size_t i = 0; i < AV_LEN(cases); i++) {
        const struct sdp_case *c = &cases[i];
        struct text text = {0};
        text_put(&text, case_base);
        replace(&text, c->from, c->to);
        if (c->from2)
            replace(&text, c->from2, c->to2);
        enum sdp_outcome outcome = sdp_parse(text_bytes(&text), &sdp);
        if (outcome != c->outcome || sdp.error_line != c->error_line)
            fail_msg("%s (%s): %s at line %u", c->id, c->clause, sdp_outcome_name(outcome),
                     sdp.error_line);
        const char *check =
            outcome == SDP_OK ? sdp_data_check(&sdp, sdp_data_media(&sdp), false) : NULL;
        if ((check != NULL) != (c->check != NULL) || (check && strcmp(check, c->check) != 0))
            fail_msg("%s (%s): %s", c->id, c->clause, check ? check : "no check");
        text_free(&text);
    }
}

static void test_sdp_parse_raw_shapes(void **state)
{
    (void)state;
    struct text text = {0};
    text_put(&text, case_base);
    replace(&text, "\r\n", "\n"); // LF alone
    assert_int_equal(sdp_parse(text_bytes(&text), &sdp), SDP_OK);
    assert_int_equal(sdp.media_count, 3);
    assert_int_equal(sdp_parse(bytes_of(text.at, text.len - 1), &sdp), SDP_OK); // no last end
    assert_true(sdp.media[2].end_of_candidates);
    replace(&text, "\n", "\r"); // CR alone
    assert_int_equal(sdp_parse(text_bytes(&text), &sdp), SDP_BAD_LINE);
    text_free(&text);

    assert_int_equal(sdp_parse(bytes_of(NULL, 0), &sdp), SDP_MISSING);
    assert_int_equal(parse("\r\nv=0\r\n"), SDP_BAD_LINE);
    assert_int_equal(sdp.error_line, 1);
    static const char nul[] = "v=0\r\ns=-\0x\r\n";
    assert_int_equal(sdp_parse(bytes_of(nul, sizeof nul - 1), &sdp), SDP_BAD_LINE);
    assert_int_equal(sdp.error_line, 2);
    assert_int_equal(parse("v=0\r\ns=-\r\no=- 1 1 IN IP4 0.0.0.0\r\n"), SDP_BAD_ORDER);
    assert_int_equal(sdp.error_line, 3);
    assert_int_equal(parse("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n\r\n\r\n"), SDP_OK);
    assert_int_equal(parse("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 x\r\n"), SDP_BAD_TIME);
    assert_int_equal(parse("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4\r\n"), SDP_BAD_CONNECTION);
    assert_int_equal(parse("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nr=1\r\n"), SDP_BAD_ORDER);
    assert_int_equal(parse("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\na=\r\n"), SDP_BAD_ATTRIBUTE);

    char *long_text = mem_alloc(SDP_SIZE_MAX + 1);
    memset(long_text, 'x', SDP_SIZE_MAX + 1);
    assert_int_equal(sdp_parse(bytes_of(long_text, SDP_SIZE_MAX + 1), &sdp), SDP_TOO_LONG);
    assert_int_equal(sdp_parse(bytes_of(long_text, SDP_SIZE_MAX), &sdp), SDP_BAD_LINE);
    free(long_text);
}

static void test_sdp_parse_credentials_length_limits(void **state)
{
    (void)state;
    static const struct {
        const char *from, *name;
        size_t len;
        enum sdp_outcome outcome;
    } rows[] = {
        {"ice-ufrag:Uj33", "ice-ufrag:", 256, SDP_OK},
        {"ice-ufrag:Uj33", "ice-ufrag:", 257, SDP_BAD_ATTRIBUTE},
        {"ice-pwd:pzE6Pr1Y5Y3LAgJ4G1ZmWzq1", "ice-pwd:", 256, SDP_OK},
        {"ice-pwd:pzE6Pr1Y5Y3LAgJ4G1ZmWzq1", "ice-pwd:", 257, SDP_BAD_ATTRIBUTE},
    };
    for (size_t i = 0; i < AV_LEN(rows); i++) {
        struct text text = {0}, value = {0};
        text_put(&value, rows[i].name);
        for (size_t k = 0; k < rows[i].len; k++)
            text_put(&value, "p");
        text_put(&text, case_base);
        replace(&text, rows[i].from, value.at);
        assert_int_equal(sdp_parse(text_bytes(&text), &sdp), rows[i].outcome);
        text_free(&text);
        text_free(&value);
    }
}

static void test_sdp_parse_too_many_media(void **state)
{
    (void)state;
    struct text text = {0};
    text_put(&text, "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 h\r\nt=0 0\r\n");
    for (unsigned i = 0; i < SDP_MEDIA_MAX; i++)
        text_printf(&text, "m=audio 9 RTP/AVP 0\r\na=mid:%u\r\n", i);
    assert_int_equal(sdp_parse(text_bytes(&text), &sdp), SDP_OK);
    assert_int_equal(sdp.media_count, SDP_MEDIA_MAX);
    text_put(&text, "m=audio 9 RTP/AVP 0\r\n");
    assert_int_equal(sdp_parse(text_bytes(&text), &sdp), SDP_TOO_MANY_MEDIA);
    text_free(&text);
}

static void test_sdp_parse_tables_full(void **state)
{
    (void)state;
    struct text text = {0};
    text_put(&text, "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 h\r\nt=0 0\r\n"
                    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n");
    for (unsigned i = 0; i < SDP_CANDIDATES_MAX + 3; i++)
        text_printf(&text, "a=candidate:1 1 udp 1 192.0.2.1 %u typ host\r\n", 1000 + i);
    for (unsigned i = 0; i < SDP_FINGERPRINTS_MAX + 3; i++)
        text_printf(&text,
                    "a=fingerprint:md5 %02X:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00\r\n", i);
    text_put(&text, "a=fingerprint:sha-3000 AA\r\n"); // unknown hash: ignored
    assert_int_equal(sdp_parse(text_bytes(&text), &sdp), SDP_OK);
    const struct sdp_media *media = sdp_data_media(&sdp);
    assert_int_equal(media->candidates_count, SDP_CANDIDATES_MAX);
    assert_int_equal(media->candidates_ignored, 3);
    assert_int_equal(media->candidates[SDP_CANDIDATES_MAX - 1].addr.port,
                     1000 + SDP_CANDIDATES_MAX - 1);
    assert_int_equal(media->fingerprints_count, SDP_FINGERPRINTS_MAX);
    text_free(&text);
}

static void test_sdp_parse_browser_offers(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        unsigned media;
        const char *mid, *ufrag;
        unsigned candidates, ignored;
        uint64_t max_message_size;
        bool trickle, old;
        enum sdp_setup setup;
    } rows[] = {
        {"chrome-data-offer.sdp", 1, "0", "HhS+", 0, 0, 262144, true, false, SDP_SETUP_ACTPASS},
        {"chrome-data-audio-video-offer.sdp", 3, "0", "v8Lx", 1, 1, 262144, true, false,
         SDP_SETUP_ACTPASS},
        {"safari-audio-video-data-offer.sdp", 3, "2", "A4sp", 0, 0, 262144, true, false,
         SDP_SETUP_ACTPASS},
        {"old-chrome-sctpmap-offer.sdp", 3, "data", "XSmV", 3, 0, 65536, true, true,
         SDP_SETUP_ACTPASS},
        {"old-firefox-sctpmap-offer.sdp", 1, "sdparta_0", "96c030e8", 0, 0, 1610612736, true, true,
         SDP_SETUP_ACTPASS},
        {"sctp-dtls-26.sdp", 1, "data", "8qF7", 0, 0, 10000, true, false, SDP_SETUP_ACTPASS},
        {"libp2p-lite-answer.sdp", 1, "0", "libp2p+webrtc+v1/YwapWySn6fE6L9i47PhlB6X4gzNXcgFs", 1,
         0, 16384, false, false, SDP_SETUP_PASSIVE},
    };
    for (size_t i = 0; i < AV_LEN(rows); i++) {
        struct text text = file_text(rows[i].file);
        assert_int_equal(sdp_parse(text_bytes(&text), &sdp), SDP_OK);
        assert_int_equal(sdp.media_count, rows[i].media);
        const struct sdp_media *media = sdp_data_media(&sdp);
        assert_null(sdp_data_check(&sdp, media, false));
        assert_bytes(media->mid, rows[i].mid);
        assert_bytes(media->ufrag, rows[i].ufrag);
        assert_int_equal(media->candidates_count, rows[i].candidates);
        assert_int_equal(media->candidates_ignored, rows[i].ignored);
        assert_true(media->max_message_size == rows[i].max_message_size);
        assert_int_equal(media->trickle, rows[i].trickle);
        assert_int_equal(media->old_sctp, rows[i].old);
        assert_int_equal(media->sctp_port, 5000);
        assert_int_equal(media->setup, rows[i].setup);
        assert_int_equal(media->fingerprints_count, 1);
        assert_string_equal(media->fingerprints[0].hash, "sha-256");
        assert_true(bytes_starts(media->lines, "m=application "));
        assert_int_equal(media->lines.at[media->lines.len - 1], '\n');
        if (media == &sdp.media[sdp.media_count - 1]) // to the end of the text
            assert_ptr_equal(media->lines.at + media->lines.len, text.at + text.len);
        text_free(&text);
    }
    assert_true(sdp.ice_lite); // the last one
}

// A Firefox of today: everything about the transport in the session, IPv6 and mDNS candidates.
static void test_sdp_parse_session_level_inherited(void **state)
{
    (void)state;
    assert_int_equal(
        parse("v=0\r\no=mozilla...THIS_IS_SDPARTA-99.0 6019 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
              "a=fingerprint:SHA-256 "
              "ab:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13:14:15:16:17:18:19:1a:1b:"
              "1c:1d:1e:1f\r\na=group:BUNDLE 0\r\na=ice-options:trickle\r\na=setup:actpass\r\n"
              "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef012345\r\na=msid-semantic:WMS *\r\n"
              "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
              "a=sendrecv\r\na=mid:0\r\na=sctp-port:5001\r\na=max-message-size:1073741823\r\n"
              "a=candidate:0 1 UDP 2122252543 8f2c3a4b-0001-4002-8003-000000000004.local 50000 typ "
              "host\r\n"
              "a=candidate:1 1 UDP 2122187007 2001:db8::5 50001 typ host\r\n"
              "a=candidate:2 1 TCP 2105458943 192.0.2.5 9 typ host tcptype active\r\n"
              "a=end-of-candidates\r\n"),
        SDP_OK);
    const struct sdp_media *media = sdp_data_media(&sdp);
    assert_null(sdp_data_check(&sdp, media, false));
    assert_bytes(media->ufrag, "abcd");
    assert_bytes(media->pwd, "0123456789abcdef012345");
    assert_int_equal(media->setup, SDP_SETUP_ACTPASS);
    assert_true(media->trickle && media->end_of_candidates);
    assert_string_equal(media->fingerprints[0].hash, "sha-256");
    assert_memory_equal(media->fingerprints[0].value, "AB:01:", 6);
    assert_int_equal(media->candidates_count, 1);
    assert_int_equal(media->candidates_ignored, 2);
    assert_int_equal(media->candidates[0].addr.ip.family, IP_V6);
    assert_int_equal(media->sctp_port, 5001);
}

// RFC 9429 7.3: the answer's data section has no transport attributes, those of a1 hold.
static void test_sdp_parse_bundle_inherited(void **state)
{
    (void)state;
    assert_int_equal(
        parse("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE a1 d1\r\n"
              "m=audio 12100 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 192.0.2.100\r\na=mid:a1\r\n"
              "a=ice-ufrag:ATEn\r\na=ice-pwd:AtSK0WpNtpUjkY4+86js7ZQl\r\na=setup:passive\r\n"
              "a=fingerprint:md5 00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:01\r\n"
              "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n"
              "m=application 12100 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 192.0.2.100\r\n"
              "a=mid:d1\r\na=sctp-port:5000\r\n"),
        SDP_OK);
    const struct sdp_media *media = sdp_data_media(&sdp);
    assert_bytes(media->ufrag, "ATEn");
    assert_int_equal(media->setup, SDP_SETUP_PASSIVE);
    assert_int_equal(media->fingerprints_count, 1);
    assert_int_equal(media->candidates_count, 1);
    assert_bytes(sdp.media[0].kind, "audio");
}

// pion repeats the credentials in each section of the group, and has the candidates in the first
// alone.
static void test_sdp_parse_bundle_candidates_inherited(void **state)
{
    (void)state;
    assert_int_equal(
        parse("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n"
              "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
              "a=ice-ufrag:ATEn\r\na=ice-pwd:AtSK0WpNtpUjkY4+86js7ZQl\r\n"
              "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n"
              "a=end-of-candidates\r\n"
              "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
              "a=mid:1\r\na=ice-ufrag:ATEn\r\na=ice-pwd:AtSK0WpNtpUjkY4+86js7ZQl\r\n"
              "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\n"
              "a=ice-ufrag:Other\r\na=ice-pwd:AtSK0WpNtpUjkY4+86js7ZQl\r\n"),
        SDP_OK);
    const struct sdp_media *media = sdp_data_media(&sdp);
    assert_int_equal(media->candidates_count, 1);
    assert_true(media->end_of_candidates);
    assert_int_equal(media->candidates[0].addr.port, 10100);
    assert_int_equal(sdp.media[2].candidates_count, 0); // another transport
}

// aiortc waits for the candidates of what is refused unless there are no more; werift takes them
// for those of the transport that it shares with the rest.
static void test_sdp_write_answer_ends_candidates_of_other_transports(void **state)
{
    (void)state;
    static const char *const ufrags[] = {"ATEn", "Other"};
    for (int own = 0; own < 2; own++) {
        char offer[800];
        snprintf(offer, sizeof offer,
                 "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"
                 "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
                 "a=ice-ufrag:%s\r\na=ice-pwd:AtSK0WpNtpUjkY4+86js7ZQl\r\n"
                 "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
                 "a=mid:1\r\na=ice-ufrag:ATEn\r\na=ice-pwd:AtSK0WpNtpUjkY4+86js7ZQl\r\n"
                 "a=sctp-port:5000\r\n",
                 ufrags[own]);
        assert_int_equal(parse(offer), SDP_OK);
        struct ice_credentials credentials = {"ufrg", "0123456789012345678901"};
        struct sdp_local local = {.credentials = &credentials, .sctp_port = 5000};
        struct text text = {0};
        sdp_write_answer(&text, &local, &sdp);
        const char *audio = strstr(text.at, "m=audio 0 "),
                   *data = strstr(audio, "m=application 9 ");
        const char *end = strstr(text.at, "a=end-of-candidates");
        assert_int_equal(end != NULL, own);
        assert_true(!end || end < data);
        text_free(&text);
    }
}

// libdatachannel: its words of ice-options are joined by a comma.
static void test_sdp_parse_ice_options_with_comma(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        bool trickle;
    } rows[] = {{"ice2,trickle", true}, {"trickle,ice2", true},     {"ice2 trickle", true},
                {"ice2", false},        {"nottrickle,ice2", false}, {",,", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[400];
        snprintf(text, sizeof text,
                 "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
                 "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
                 "a=ice-ufrag:ATEn\r\na=ice-pwd:AtSK0WpNtpUjkY4+86js7ZQl\r\na=ice-options:%s\r\n",
                 rows[i].options);
        assert_int_equal(parse(text), SDP_OK);
        assert_int_equal(sdp.media[0].trickle, rows[i].trickle);
    }
}

static void test_sdp_candidate_parse_rows(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool well_formed, usable;
    } rows[] = {
        {"candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host", true, true},
        {"a=candidate:1 1 UDP 2130706431 2001:db8::1 5000 typ host generation 0 ufrag ab", true,
         true},
        {"candidate:1 1 udp 1 192.0.2.1 5000 typ srflx raddr 10.0.0.1 rport 9", true, true},
        {"candidate:1 1 udp 1 192.0.2.1 5000 typ relay raddr x.local rport 9", true, true},
        {"candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active", true, false},
        {"candidate:1 1 udp 1 abc.local 5000 typ host", true, false},
        {"candidate:1 2 udp 1 192.0.2.1 5000 typ host", true, false},
        {"candidate:1 1 udp 1 192.0.2.1 0 typ host", true, false},
        {"candidate:1 1 udp 1 192.0.2.1 5000 typ magic", true, false},
        {"candidate:1 0 udp 1 192.0.2.1 5000 typ host", false, false},
        {"candidate:1 1 udp 0 192.0.2.1 5000 typ host", false, false},
        {"candidate:1 1 udp 1 192.0.2.1 65536 typ host", false, false},
        {"candidate:1 1 udp 1 192.0.2.1 5000 host", false, false},
        {"candidate:1 1 udp 1 192.0.2.1 5000 typ", false, false},
        {"candidate:1  udp 1 192.0.2.1 5000 typ host", false, false},
        {"candidate:. 1 udp 1 192.0.2.1 5000 typ host", false, false},
        {"candidate:1 1 udp 1 192.0.2.1 5000 typ srflx raddr 10.0.0.1 rport x", false, false},
        {"candidat:1 1 udp 1 192.0.2.1 5000 typ host", false, false},
        {"", false, false},
    };
    for (size_t i = 0; i < AV_LEN(rows); i++) {
        struct ice_candidate candidate;
        bool usable = true;
        bool well_formed = sdp_candidate_parse(bytes_text(rows[i].line), &candidate, &usable);
        if (well_formed != rows[i].well_formed || usable != rows[i].usable)
            fail_msg("%s: %d %d", rows[i].line, well_formed, usable);
    }
    static const char zero[] = "candidate:1\0a 1 udp 1 192.0.2.1 5000 typ host";
    struct ice_candidate spare;
    bool usable;
    assert_false(sdp_candidate_parse(bytes_of(zero, sizeof zero - 1), &spare, &usable));
    assert_bytes(sdp_candidate_ufrag(bytes_text(rows[1].line)), "ab");
    assert_int_equal(sdp_candidate_ufrag(bytes_text(rows[0].line)).len, 0);
    assert_int_equal(sdp_candidate_ufrag(bytes_text("")).len, 0);
}

static void test_sdp_candidate_write_parses_back(void **state)
{
    (void)state;
    struct ice_candidate relay = {.type = ICE_RELAY,
                                  .addr = {ip_v4(203, 0, 113, 9), 49152},
                                  .related = {ip_v4(192, 0, 2, 9), 61000},
                                  .priority = 12345,
                                  .component = 1,
                                  .foundation = "3"};
    struct text text = {0};
    sdp_candidate_write(&text, &relay);
    assert_string_equal(text.at, "candidate:3 1 udp 12345 203.0.113.9 49152 typ relay raddr "
                                 "192.0.2.9 rport 61000");
    struct ice_candidate back;
    bool usable;
    assert_true(sdp_candidate_parse(text_bytes(&text), &back, &usable) && usable);
    assert_true(addr_equal(&back.addr, &relay.addr) && addr_equal(&back.related, &relay.related));
    assert_true(back.type == ICE_RELAY && back.priority == 12345 && back.component == 1);
    assert_string_equal(back.foundation, "3");

    text_clear(&text);
    relay.type = ICE_SRFLX;
    relay.related = (struct addr){0};
    sdp_candidate_write(&text, &relay);
    assert_string_equal(text.at, "candidate:3 1 udp 12345 203.0.113.9 49152 typ srflx raddr "
                                 "0.0.0.0 rport 0");
    text_free(&text);
}

static const struct ice_credentials credentials = {"EsAw", "P2uYro0UCOQ4zxjKXaWCBui1"};
static const struct dtls_fingerprint fingerprint = {
    "sha-256", "49:66:12:17:0D:1C:91:AE:57:4C:C6:36:DD:D5:97:D2:7D:62:C9:9A:7F:B9:A3:F4:70:03:E7:"
               "43:91:73:23:5E"};

static struct sdp_local local_of(const struct ice_candidate *candidates, unsigned count)
{
    return (struct sdp_local){.session_id = 4611731400430051336,
                              .session_version = 2,
                              .credentials = &credentials,
                              .trickle = true,
                              .end_of_candidates = true,
                              .fingerprint = &fingerprint,
                              .setup = SDP_SETUP_ACTPASS,
                              .candidates = candidates,
                              .candidates_count = count,
                              .sctp_port = 5000,
                              .max_message_size = 262144};
}

static void test_sdp_write_offer_round_trip(void **state)
{
    (void)state;
    struct ice_candidate host = {.addr = {ip_v4(192, 0, 2, 1), 5000},
                                 .priority = 2130706431,
                                 .component = 1,
                                 .foundation = "1"};
    struct sdp_local local = local_of(&host, 1);
    struct text text = {0};
    sdp_write_offer(&text, &local);
    assert_string_equal(
        text.at,
        "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
        "a=group:BUNDLE 0\r\na=msid-semantic: WMS\r\n"
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
        "a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host\r\na=end-of-candidates\r\n"
        "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=ice-options:trickle ice2\r\n"
        "a=fingerprint:sha-256 "
        "49:66:12:17:0D:1C:91:AE:57:4C:C6:36:DD:D5:97:D2:7D:62:C9:9A:7F:B9:A3:F4:70:03:E7:43:91:73:"
        "23:5E\r\n"
        "a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n");
    assert_int_equal(sdp_parse(text_bytes(&text), &sdp), SDP_OK);
    const struct sdp_media *media = sdp_data_media(&sdp);
    assert_null(sdp_data_check(&sdp, media, false));
    assert_true(sdp.session_id == local.session_id && sdp.session_version == 2);
    assert_bytes(media->ufrag, credentials.ufrag);
    assert_bytes(media->pwd, credentials.pwd);
    assert_string_equal(media->fingerprints[0].value, fingerprint.value);
    assert_true(addr_equal(&media->candidates[0].addr, &host.addr));
    assert_int_equal(media->max_message_size, 262144);
    assert_true(media->trickle && media->end_of_candidates && !sdp.ice_lite);
    text_free(&text);
}

static void test_sdp_write_answer_rejects_other_media(void **state)
{
    (void)state;
    struct text offer = file_text("safari-audio-video-data-offer.sdp"), text = {0};
    assert_int_equal(sdp_parse(text_bytes(&offer), &sdp), SDP_OK);
    struct sdp_local local = local_of(NULL, 0);
    local.setup = SDP_SETUP_ACTIVE;
    sdp_write_answer(&text, &local, &sdp);
    assert_int_equal(sdp_parse(text_bytes(&text), &other), SDP_OK);
    assert_null(sdp_answer_check(&sdp, &other));
    assert_int_equal(other.media_count, 3);
    assert_int_equal(other.media[0].port, 0);
    assert_bytes(other.media[0].mid, "0");
    assert_bytes(other.media[1].mid, "1");
    assert_int_equal(other.media[2].port, 9);
    assert_int_equal(other.bundle_count, 1);
    assert_bytes(other.bundle[0], "2");
    // What pion, GStreamer and aiortc look for even in what is refused.
    assert_bytes(other.media[1].ufrag, credentials.ufrag);
    assert_int_equal(other.media[1].setup, SDP_SETUP_ACTIVE);
    assert_non_null(strstr(strstr(text.at, "m=video 0 "), "a=rtpmap:96 "));
    assert_non_null(strstr(text.at, "a=inactive\r\n"));
    text_free(&offer);
    text_free(&text);
}

static void test_sdp_write_answer_old_sctpmap(void **state)
{
    (void)state;
    struct text offer = file_text("old-chrome-sctpmap-offer.sdp"), text = {0};
    assert_int_equal(sdp_parse(text_bytes(&offer), &sdp), SDP_OK);
    struct sdp_local local = local_of(NULL, 0);
    local.setup = SDP_SETUP_PASSIVE;
    local.sctp_port = 5002;
    sdp_write_answer(&text, &local, &sdp);
    assert_non_null(strstr(text.at, "m=application 9 DTLS/SCTP 5002\r\n"));
    assert_non_null(strstr(text.at, "a=sctpmap:5002 webrtc-datachannel 65535\r\n"));
    assert_int_equal(sdp_parse(text_bytes(&text), &other), SDP_OK);
    assert_null(sdp_answer_check(&sdp, &other));
    assert_int_equal(sdp_data_media(&other)->sctp_port, 5002);
    text_free(&offer);
    text_free(&text);
}

static void test_sdp_answer_check_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *why;
    } rows[] = {
        {"m=audio 0", "m=video 0", "kind"},
        {"UDP/TLS/RTP/SAVPF", "RTP/AVP", "protocol"},
        {"a=mid:v1", "a=mid:v2", "mid"},
        {"a=group:BUNDLE d1", "a=group:BUNDLE d1 a1", "bundles a section that it rejects"},
        {"a=group:BUNDLE d1", "a=group:BUNDLE d1 zz", "did not"},
        {"a=setup:active", "a=setup:actpass", "a=setup"},
        {"m=application", "m=audio 0 RTP/AVP 0\r\nm=application", "number of sections"},
    };
    struct text good = {0};
    struct sdp_local local = local_of(NULL, 0);
    local.setup = SDP_SETUP_ACTIVE;
    assert_int_equal(parse(case_base), SDP_OK);
    sdp_write_answer(&good, &local, &sdp);
    assert_int_equal(sdp_parse(text_bytes(&good), &other), SDP_OK);
    assert_null(sdp_answer_check(&sdp, &other));
    for (size_t i = 0; i < AV_LEN(rows); i++) {
        struct text bad = {0};
        text_put(&bad, good.at);
        replace(&bad, rows[i].from, rows[i].to);
        assert_int_equal(sdp_parse(text_bytes(&bad), &other), SDP_OK);
        const char *why = sdp_answer_check(&sdp, &other);
        if (!why || !strstr(why, rows[i].why))
            fail_msg("%s: %s", rows[i].why, why ? why : "taken");
        text_free(&bad);
    }
    text_free(&good);
}

static void test_sdp_dtls_role_table(void **state)
{
    (void)state;
    static const struct {
        enum sdp_setup offer, answer;
        bool works;
        enum dtls_role offerer;
    } rows[] = {
        {SDP_SETUP_ACTPASS, SDP_SETUP_ACTIVE, true, DTLS_SERVER},
        {SDP_SETUP_ACTPASS, SDP_SETUP_PASSIVE, true, DTLS_CLIENT},
        {SDP_SETUP_ACTIVE, SDP_SETUP_PASSIVE, true, DTLS_CLIENT},
        {SDP_SETUP_PASSIVE, SDP_SETUP_ACTIVE, true, DTLS_SERVER},
    };
    for (unsigned offer = SDP_SETUP_NONE; offer <= SDP_SETUP_HOLDCONN; offer++) {
        for (unsigned answer = SDP_SETUP_NONE; answer <= SDP_SETUP_HOLDCONN; answer++) {
            enum dtls_role offerer, answerer;
            bool wanted = false, works = sdp_dtls_role(offer, answer, true, &offerer);
            assert_int_equal(sdp_dtls_role(offer, answer, false, &answerer), works);
            for (size_t i = 0; i < AV_LEN(rows); i++) {
                if (rows[i].offer != offer || rows[i].answer != answer)
                    continue;
                wanted = true;
                assert_true(works && offerer == rows[i].offerer && answerer != offerer);
            }
            assert_int_equal(works, wanted);
        }
    }
}

// Cut at every byte: an outcome each time, and no read past the cut (checked by ASan).
static void test_sdp_parse_truncated_everywhere(void **state)
{
    (void)state;
    size_t len = strlen(case_base);
    unsigned counts[SDP_OUTCOMES] = {0};
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *copy = mem_alloc(cut + 1);
        memcpy(copy + 1, case_base, cut);
        enum sdp_outcome outcome = sdp_parse(bytes_of(copy + 1, cut), &sdp);
        assert_true(outcome < SDP_OUTCOMES);
        assert_true((outcome == SDP_OK) == (sdp.error_line == 0));
        counts[outcome]++;
        free(copy);
    }
    assert_true(counts[SDP_OK] > 0 && counts[SDP_MISSING] > 0 && counts[SDP_BAD_ATTRIBUTE] > 0);
}

// Every byte changed to each of a few others.
static void test_sdp_parse_corrupted_everywhere(void **state)
{
    (void)state;
    static const uint8_t others[] = {0, '\n', '\r', ' ', ':', '0', 'a', '=', 0xff};
    struct text text = {0};
    text_put(&text, case_base);
    for (size_t i = 0; i < text.len; i++) {
        char before = text.at[i];
        for (size_t k = 0; k < sizeof others; k++) {
            text.at[i] = (char)others[k];
            if (sdp_parse(text_bytes(&text), &sdp) == SDP_OK)
                (void)sdp_data_check(&sdp, sdp_data_media(&sdp), false);
        }
        text.at[i] = before;
    }
    text_free(&text);
}

// Lines of the sort that make a careless parser quadratic: all of the size limit in each.
static void test_sdp_parse_hostile_repetition(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "a=group:BUNDLE b\r\n",
        "a=group:BUNDLE a a a a a a a a a a a a\r\n",
        "a=mid:x\r\n",
        "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host a b a b a b a b a b a b\r\n",
        "a=ice-options:a b c d e f g h i j k l m n o p q r s t u v w x y z\r\n",
        "a=x\r\n"};
    for (size_t i = 0; i < AV_LEN(lines); i++) {
        struct text text = {0};
        text_put(&text, "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n");
        while (text.len + strlen(lines[i]) < SDP_SIZE_MAX)
            text_put(&text, lines[i]);
        assert_true(sdp_parse(text_bytes(&text), &sdp) < SDP_OUTCOMES);
        text_free(&text);
    }
}

static void test_sdp_outcome_names(void **state)
{
    (void)state;
    for (int i = 0; i < SDP_OUTCOMES; i++)
        assert_true(strlen(sdp_outcome_name((enum sdp_outcome)i)) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sdp_parse_cases),
        cmocka_unit_test(test_sdp_parse_raw_shapes),
        cmocka_unit_test(test_sdp_parse_credentials_length_limits),
        cmocka_unit_test(test_sdp_parse_too_many_media),
        cmocka_unit_test(test_sdp_parse_tables_full),
        cmocka_unit_test(test_sdp_parse_browser_offers),
        cmocka_unit_test(test_sdp_parse_session_level_inherited),
        cmocka_unit_test(test_sdp_parse_bundle_inherited),
        cmocka_unit_test(test_sdp_parse_bundle_candidates_inherited),
        cmocka_unit_test(test_sdp_parse_ice_options_with_comma),
        cmocka_unit_test(test_sdp_write_answer_ends_candidates_of_other_transports),
        cmocka_unit_test(test_sdp_candidate_parse_rows),
        cmocka_unit_test(test_sdp_candidate_write_parses_back),
        cmocka_unit_test(test_sdp_write_offer_round_trip),
        cmocka_unit_test(test_sdp_write_answer_rejects_other_media),
        cmocka_unit_test(test_sdp_write_answer_old_sctpmap),
        cmocka_unit_test(test_sdp_answer_check_refusals),
        cmocka_unit_test(test_sdp_dtls_role_table),
        cmocka_unit_test(test_sdp_parse_truncated_everywhere),
        cmocka_unit_test(test_sdp_parse_corrupted_everywhere),
        cmocka_unit_test(test_sdp_parse_hostile_repetition),
        cmocka_unit_test(test_sdp_outcome_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
