#include "fuzz/kit/sdp_mutate.h"

#include "base/bytes.h"
#include "base/rng.h"
#include "fuzz/fuzz.h"

#define LINES_MAX 1024
#define LINE_MAX 1024

// The text being changed, and where its lines begin; starts[lines] is the end.
struct sdp_draft {
    uint8_t *at;
    size_t len, max;
    size_t starts[LINES_MAX + 1];
    unsigned lines;
    struct rng rng;
};

static unsigned any(struct sdp_draft *d, unsigned limit)
{
    return limit ? (unsigned)rng_below(&d->rng, limit) : 0;
}

static void index_lines(struct sdp_draft *d)
{
    d->lines = 0;
    for (size_t at = 0; at < d->len && d->lines < LINES_MAX;) {
        const uint8_t *end = memchr(d->at + at, '\n', d->len - at);
        d->starts[d->lines++] = at;
        at = end ? (size_t)(end - d->at) + 1 : d->len;
    }
    d->starts[d->lines] = d->len;
}

static struct bytes line_of(const struct sdp_draft *d, unsigned line)
{
    return bytes_of(d->at + d->starts[line], d->starts[line + 1] - d->starts[line]);
}

// Put `with` where `cut` bytes are; nothing where there is no room.
static void replace(struct sdp_draft *d, size_t at, size_t cut, struct bytes with)
{
    if (d->len - cut + with.len > d->max)
        return;
    memmove(d->at + at + with.len, d->at + at + cut, d->len - at - cut);
    if (with.len)
        memcpy(d->at + at, with.at, with.len);
    d->len = d->len - cut + with.len;
    index_lines(d);
}

// ------------------------------------------------------------------------------------ the grammar

// N: a number, P: a port, I: an address, W: a word, H: a hash's name and value, F: a value of ICE.
static const char *const grammar[] = {
    "v=0",
    "v=N",
    "o=- N N IN IP4 I",
    "o=W N N IN IP6 I",
    "s=-",
    "t=0 0",
    "t=N N",
    "r=N N N",
    "c=IN IP4 I",
    "c=IN IP6 ::",
    "c=IN IP4 I/N/N",
    "b=AS:N",
    "i=W",
    "m=application P UDP/DTLS/SCTP webrtc-datachannel",
    "m=application P TCP/DTLS/SCTP webrtc-datachannel",
    "m=application P DTLS/SCTP P",
    "m=audio P UDP/TLS/RTP/SAVPF 111 N",
    "m=video P/N UDP/TLS/RTP/SAVPF N N",
    "m=W P W W",
    "a=mid:W",
    "a=mid:0",
    "a=mid:1",
    "a=group:BUNDLE 0 1",
    "a=group:BUNDLE W W W",
    "a=group:LS 0",
    "a=bundle-only",
    "a=ice-ufrag:F",
    "a=ice-pwd:FFFFFFFFFF",
    "a=ice-lite",
    "a=ice-options:trickle",
    "a=ice-options:W trickle ice2",
    "a=setup:actpass",
    "a=setup:active",
    "a=setup:passive",
    "a=setup:holdconn",
    "a=setup:W",
    "a=tls-id:W",
    "a=fingerprint:H",
    "a=sctp-port:P",
    "a=sctp-port:N",
    "a=sctpmap:P webrtc-datachannel N",
    "a=max-message-size:N",
    "a=end-of-candidates",
    "a=candidate:N 1 udp N I P typ host",
    "a=candidate:N 1 UDP N I P typ srflx raddr I rport P",
    "a=candidate:N N udp N I P typ relay raddr I rport P generation N ufrag F",
    "a=candidate:W 1 tcp N I P typ host tcptype active",
    "a=candidate:W 1 udp N W.local P typ host",
    "a=rtpmap:N VP8/90000",
    "a=fmtp:N W=N;W=N",
    "a=rtcp-fb:N nack pli",
    "a=extmap:N urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=rid:W send",
    "a=simulcast:send W;~W recv W",
    "a=ssrc:N cname:W",
    "a=ssrc-group:FID N N",
    "a=msid:W W",
    "a=rtcp:P IN IP4 I",
    "a=rtcp-mux",
    "a=inactive",
    "a=W",
    "a=W:W",
    "z=N N",
    "k=W",
    "W=W",
};

static void write_number(struct sdp_draft *d, struct writer *w)
{
    static const char *const special[] = {"0",          "1",
                                          "255",        "256",
                                          "65535",      "65536",
                                          "2147483647", "2147483648",
                                          "4294967295", "4294967296",
                                          "2130706431", "9223372036854775807",
                                          "-1",         "18446744073709551615",
                                          "00",         "18446744073709551616"};
    char text[24];
    if (any(d, 3) == 0) {
        write_bytes(w, bytes_text(special[any(d, 16)]));
        return;
    }
    snprintf(text, sizeof text, "%u", any(d, 1u << any(d, 31)));
    write_bytes(w, bytes_text(text));
}

static void write_hash(struct sdp_draft *d, struct writer *w)
{
    static const struct {
        const char *name;
        unsigned len;
    } hashes[] = {{"sha-1", 20},   {"sha-256", 32}, {"SHA-384", 48},
                  {"sha-512", 64}, {"md5", 16},     {"sha-3", 7}};
    unsigned which = any(d, 6);
    write_bytes(w, bytes_text(hashes[which].name));
    unsigned len = hashes[which].len + (any(d, 8) == 0);
    for (unsigned i = 0; i < len; i++) {
        char hex[4];
        snprintf(hex, sizeof hex, any(d, 20) ? "%c%02X" : "%c%02x", i ? ':' : ' ', any(d, 256));
        write_bytes(w, bytes_text(hex));
    }
}

static void write_symbol(struct sdp_draft *d, struct writer *w, char symbol)
{
    static const char *const addresses[] = {"192.0.2.1",       "0.0.0.0", "::1",      "2001:db8::7",
                                            "255.255.255.255", "10.0.0.", "127.0.0.1"};
    static const char *const ports[] = {"9", "0", "5000", "65535", "65536", "1"};
    static const char *const words[] = {"0", "1",       "data", "audio",  "-", "a b",
                                        "",  "trickle", "8hhY", "x=y;z:", "2", "~"};
    char text[8];
    switch (symbol) {
    case 'N':
        write_number(d, w);
        return;
    case 'P':
        write_bytes(w, bytes_text(ports[any(d, 6)]));
        return;
    case 'I':
        write_bytes(w, bytes_text(addresses[any(d, 7)]));
        return;
    case 'W':
        write_bytes(w, bytes_text(words[any(d, 12)]));
        return;
    case 'F':
        snprintf(text, sizeof text, "%04x", any(d, 65536));
        write_bytes(w, bytes_text(text));
        return;
    case 'H':
        write_hash(d, w);
        return;
    }
    write_u8(w, (uint8_t)symbol);
}

// Its symbols are capitals between what is no letter; a run of F is one of values.
static bool is_symbol(const char *rule, size_t i)
{
    char before = i ? rule[i - 1] : ' ', next = rule[i + 1];
    bool alone = !((next >= 'A' && next <= 'Z') || (next >= 'a' && next <= 'z')) &&
                 !((before >= 'A' && before <= 'Z') || (before >= 'a' && before <= 'z'));
    return strchr("NPIWHF", rule[i]) &&
           (alone || (rule[i] == 'F' && (next == 'F' || before == 'F')));
}

// A line of the grammar with its end, in `to` of LINE_MAX bytes.
static struct bytes write_line(struct sdp_draft *d, uint8_t *to)
{
    struct writer w = writer_of(to, LINE_MAX);
    const char *rule = grammar[any(d, sizeof grammar / sizeof grammar[0])];
    for (size_t i = 0; rule[i]; i++) {
        if (is_symbol(rule, i))
            write_symbol(d, &w, rule[i]);
        else
            write_u8(&w, (uint8_t)rule[i]);
    }
    write_bytes(&w, bytes_text(any(d, 16) ? "\r\n" : "\n"));
    return writer_bytes(&w);
}

// --------------------------------------------------------------------------------------- the edits

static void swap_lines(struct sdp_draft *d)
{
    static uint8_t copy[LINE_MAX];
    unsigned a = any(d, d->lines), b = any(d, d->lines);
    struct bytes line = line_of(d, a);
    if (line.len > LINE_MAX)
        return;
    memcpy(copy, line.at, line.len);
    replace(d, d->starts[a], line.len, bytes_of(NULL, 0));
    replace(d, d->starts[b < d->lines ? b : d->lines], 0, bytes_of(copy, line.len));
}

static void repeat_line(struct sdp_draft *d)
{
    static uint8_t copy[LINE_MAX];
    struct bytes line = line_of(d, any(d, d->lines));
    if (line.len > LINE_MAX)
        return;
    memcpy(copy, line.at, line.len);
    unsigned times = any(d, 16) ? 1 : 40; // more than any table has room for
    for (unsigned i = 0, to = any(d, d->lines + 1); i < times; i++)
        replace(d, d->starts[to], 0, bytes_of(copy, line.len));
}

static void remove_line(struct sdp_draft *d)
{
    unsigned line = any(d, d->lines);
    replace(d, d->starts[line], line_of(d, line).len, bytes_of(NULL, 0));
}

static void splice_line(struct sdp_draft *d, bool instead)
{
    static uint8_t made[LINE_MAX];
    unsigned line = any(d, d->lines + !instead);
    struct bytes with = write_line(d, made);
    replace(d, d->starts[line], instead ? line_of(d, line).len : 0, with);
}

// From one m= line to the next, once more.
static void repeat_section(struct sdp_draft *d)
{
    static uint8_t copy[8192];
    unsigned first = any(d, d->lines);
    while (first > 0 && !bytes_starts(line_of(d, first), "m="))
        first--;
    unsigned end = first + 1;
    while (end < d->lines && !bytes_starts(line_of(d, end), "m="))
        end++;
    size_t len = d->starts[end] - d->starts[first];
    if (first == 0 || len > sizeof copy)
        return;
    memcpy(copy, d->at + d->starts[first], len);
    replace(d, d->len, 0, bytes_of(copy, len));
}

static void change_number(struct sdp_draft *d)
{
    uint8_t text[24];
    struct writer w = writer_of(text, sizeof text);
    size_t at = any(d, (unsigned)d->len), end;
    while (at < d->len && (d->at[at] < '0' || d->at[at] > '9'))
        at++;
    while (at > 0 && d->at[at - 1] >= '0' && d->at[at - 1] <= '9')
        at--;
    for (end = at; end < d->len && d->at[end] >= '0' && d->at[end] <= '9';)
        end++;
    write_number(d, &w);
    if (end > at)
        replace(d, at, end - at, writer_bytes(&w));
}

// What stands behind the first ':' or '=' of a line, by libFuzzer.
static void change_value(struct sdp_draft *d)
{
    static uint8_t value[LINE_MAX];
    struct bytes line = line_of(d, any(d, d->lines));
    size_t from = 0, end = line.len;
    while (from < line.len && line.at[from] != ':' && (line.at[from] != '=' || any(d, 2)))
        from++;
    while (end > 0 && (line.at[end - 1] == '\n' || line.at[end - 1] == '\r'))
        end--;
    if (from + 1 >= end || end - from - 1 > LINE_MAX / 2)
        return;
    size_t len = end - from - 1;
    memcpy(value, line.at + from + 1, len);
    size_t made = LLVMFuzzerMutate(value, len, LINE_MAX);
    replace(d, (size_t)(line.at - d->at) + from + 1, len, bytes_of(value, made));
}

static void edit(struct sdp_draft *d)
{
    switch (any(d, 10)) {
    case 0:
        swap_lines(d);
        break;
    case 1:
        repeat_line(d);
        break;
    case 2:
        remove_line(d);
        break;
    case 3:
    case 4:
        splice_line(d, false);
        break;
    case 5:
        splice_line(d, true);
        break;
    case 6:
        repeat_section(d);
        break;
    case 7:
        change_number(d);
        break;
    default:
        change_value(d);
        break;
    }
}

size_t sdp_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static struct sdp_draft draft;
    draft.rng = rng_seed(seed, "sdp");
    if (any(&draft, 8) == 0)
        return LLVMFuzzerMutate(data, size, max);
    draft.at = data;
    draft.len = size;
    draft.max = max;
    index_lines(&draft);
    for (unsigned edits = 1 + any(&draft, 4); edits > 0; edits--) {
        if (draft.lines == 0)
            splice_line(&draft, false);
        else
            edit(&draft);
    }
    return draft.len;
}
