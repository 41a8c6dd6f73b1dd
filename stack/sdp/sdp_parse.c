// The parser: one pass over the lines, each looked at once.
#include "stack/sdp/sdp_priv.h"

// The place of a session's lines in the order of RFC 8866 5: see rank_of.
enum { RANK_V = 1, RANK_O, RANK_S, RANK_C = 8, RANK_T = 10, RANK_M = 14 };

struct parser {
    const uint8_t *at, *end; // the text from the next line on
    bool clean;              // no line of it has a NUL or a CR in it
    struct bytes line;       // the value of the line being parsed
    const uint8_t *line_at;
    struct sdp *out;
    struct sdp_media *media; // the section we are in; NULL: the session
    unsigned rank;           // of the line before, in its part of the description
    uint32_t seen;           // session lines, by rank
    bool connection;         // the section has c=
    unsigned unconnected;    // first line of a section in use without c=; 0: none
    unsigned line_number, media_line;
    unsigned bundle_groups;
    const struct dtls_fingerprint *fingerprint; // the last, and what it was read from; NULL: none
    struct bytes fingerprint_text;
    struct bytes last_pwd; // likewise
    // What sections inherit from the session.
    struct bytes ufrag, pwd, tls_id;
    struct dtls_fingerprint fingerprints[SDP_FINGERPRINTS_MAX];
    unsigned fingerprints_count;
    enum sdp_setup setup;
    bool trickle;
};

// ----------------------------------------------------------------------------- lines of the
// session

static bool is_number(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_digit(text.at[i]))
            return false;
    return text.len > 0;
}

static bool is_address_type(struct bytes text)
{
    return bytes_is(text, "IP4") || bytes_is(text, "IP6");
}

// RFC 8866 9: any number of digits. What 64 bits do not hold counts as the largest.
static bool large_number(struct bytes text, uint64_t *out)
{
    if (bytes_parse_u64(text, UINT64_MAX, out))
        return true;
    *out = UINT64_MAX;
    return is_number(text);
}

// RFC 8866 5.2: user, session id, version, "IN", address type, address.
static enum sdp_outcome parse_origin(struct parser *p)
{
    struct bytes rest = p->line;
    struct bytes user = field(&rest), id = field(&rest), version = field(&rest);
    struct bytes net = field(&rest), type = field(&rest), address = field(&rest);
    if (user.len == 0 || address.len == 0 || rest.len > 0 || !bytes_is(net, "IN") ||
        !is_address_type(type))
        return SDP_BAD_ORIGIN;
    return large_number(id, &p->out->session_id) && large_number(version, &p->out->session_version)
               ? SDP_OK
               : SDP_BAD_ORIGIN;
}

static enum sdp_outcome parse_connection(struct parser *p)
{
    struct bytes rest = p->line;
    struct bytes net = field(&rest), type = field(&rest), address = field(&rest);
    if (!bytes_is(net, "IN") || !is_address_type(type) || address.len == 0 || rest.len > 0)
        return SDP_BAD_CONNECTION;
    p->connection = true;
    return SDP_OK;
}

static enum sdp_outcome parse_time(struct parser *p)
{
    struct bytes rest = p->line;
    struct bytes start = field(&rest), stop = field(&rest);
    return is_number(start) && is_number(stop) && rest.len == 0 ? SDP_OK : SDP_BAD_TIME;
}

// -------------------------------------------------------------------------------------- attributes

static enum sdp_outcome attribute_group(struct parser *p, struct bytes value)
{
    struct bytes semantics = field(&value);
    struct sdp *out = p->out;
    if (p->media || !bytes_is(semantics, "BUNDLE"))
        return SDP_OK;
    bool first = p->bundle_groups++ == 0;
    while (value.len > 0) {
        struct bytes mid = field(&value);
        if (mid.len == 0)
            return SDP_BAD_ATTRIBUTE;
        // RFC 9143 5: a section is in one BUNDLE group at most.
        for (unsigned i = 0; i < out->bundle_count; i++)
            if (bytes_equal(out->bundle[i], mid))
                return SDP_BAD_ATTRIBUTE;
        if (!first)
            continue;
        if (out->bundle_count == SDP_MEDIA_MAX)
            return SDP_BAD_ATTRIBUTE;
        out->bundle[out->bundle_count++] = mid;
    }
    return SDP_OK;
}

static enum sdp_outcome attribute_mid(struct parser *p, struct bytes value)
{
    if (!p->media)
        return SDP_OK;
    if (value.len == 0 || p->media->mid.len > 0 || memchr(value.at, ' ', value.len))
        return SDP_BAD_ATTRIBUTE;
    for (unsigned i = 0; i + 1 < p->out->media_count; i++) // RFC 5888 4: unique
        if (bytes_equal(p->out->media[i].mid, value))
            return SDP_BAD_ATTRIBUTE;
    p->media->mid = value;
    return SDP_OK;
}

static enum sdp_outcome attribute_ufrag(struct parser *p, struct bytes value)
{
    // RFC 8839 5.4: 4 to 256 ice-chars.
    if (value.len < 4 || value.len >= ICE_UFRAG_MAX || !is_ice_chars(value))
        return SDP_BAD_ATTRIBUTE;
    *(p->media ? &p->media->ufrag : &p->ufrag) = value;
    return SDP_OK;
}

static enum sdp_outcome attribute_pwd(struct parser *p, struct bytes value)
{
    // RFC 8839 5.4: 22 to 256 ice-chars.
    if (value.len < 22 || value.len >= ICE_PWD_MAX ||
        (!bytes_equal(value, p->last_pwd) && !is_ice_chars(value)))
        return SDP_BAD_ATTRIBUTE;
    *(p->media ? &p->media->pwd : &p->pwd) = p->last_pwd = value;
    return SDP_OK;
}

// RFC 8839 5.6: tags are separated by spaces. libdatachannel writes "ice2,trickle", and the
// candidates that it trickles must not be lost for a comma, which is in no tag.
static struct bytes option_tag(struct bytes *value)
{
    size_t len = 0;
    while (len < value->len && value->at[len] != ' ' && value->at[len] != ',')
        len++;
    struct bytes tag = bytes_of(value->at, len);
    *value = bytes_from(*value, len < value->len ? len + 1 : len);
    return tag;
}

static enum sdp_outcome attribute_options(struct parser *p, struct bytes value)
{
    bool trickle = bytes_is(value, "trickle"); // as most have it
    while (value.len > 0 && !trickle)
        trickle = bytes_is(option_tag(&value), "trickle");
    if (trickle)
        *(p->media ? &p->media->trickle : &p->trickle) = true;
    return SDP_OK;
}

// Bytes of a hash, or 0 for a hash that we do not know.
static size_t hash_len(struct bytes name)
{
    static const struct {
        const char *name;
        uint8_t len;
    } hashes[] = {{"sha-256", 32}, {"sha-1", 20}, {"sha-224", 28}, {"sha-384", 48},
                  {"sha-512", 64}, {"md5", 16},   {"md2", 16}};
    for (unsigned i = 0; i < sizeof hashes / sizeof hashes[0]; i++)
        if (is_word(name, hashes[i].name))
            return hashes[i].len;
    return 0;
}

// RFC 8122 5: `pairs` of hex digits with colons between them. Lower case is taken, and made upper.
static bool hex_copy(const uint8_t *from, size_t pairs, char *to)
{
#define HEX(digit) ((digit) | 0x80) // what is no digit has no such bit
    static const uint8_t upper[256] = {
        ['0'] = HEX('0'), ['1'] = HEX('1'), ['2'] = HEX('2'), ['3'] = HEX('3'), ['4'] = HEX('4'),
        ['5'] = HEX('5'), ['6'] = HEX('6'), ['7'] = HEX('7'), ['8'] = HEX('8'), ['9'] = HEX('9'),
        ['A'] = HEX('A'), ['B'] = HEX('B'), ['C'] = HEX('C'), ['D'] = HEX('D'), ['E'] = HEX('E'),
        ['F'] = HEX('F'), ['a'] = HEX('A'), ['b'] = HEX('B'), ['c'] = HEX('C'), ['d'] = HEX('D'),
        ['e'] = HEX('E'), ['f'] = HEX('F')};
#undef HEX
    unsigned digits = 0x80, colons = 0;
    for (size_t i = 0; i < pairs; i++, from += 3, to += 3) {
        unsigned high = upper[from[0]], low = upper[from[1]];
        digits &= high & low;
        to[0] = (char)(high & 0x7f);
        to[1] = (char)(low & 0x7f);
        if (i + 1 == pairs)
            break;
        colons |= from[2] ^ ':';
        to[2] = ':';
    }
    to[2] = 0;
    return digits && !colons;
}

static enum sdp_outcome attribute_fingerprint(struct parser *p, struct bytes value)
{
    struct dtls_fingerprint *list = p->media ? p->media->fingerprints : p->fingerprints;
    unsigned *count = p->media ? &p->media->fingerprints_count : &p->fingerprints_count;
    if (p->fingerprint && bytes_equal(value, p->fingerprint_text)) { // all sections have the same
        if (*count < SDP_FINGERPRINTS_MAX)
            list[(*count)++] = *p->fingerprint;
        return SDP_OK;
    }
    struct bytes whole = value, name = field(&value), hex = field(&value);
    size_t len = hash_len(name);
    if (name.len == 0 || hex.len == 0 || value.len > 0)
        return SDP_BAD_ATTRIBUTE;
    if (len == 0) // RFC 8122 5: a hash of tomorrow
        return SDP_OK;
    if (hex.len != len * 3 - 1)
        return SDP_BAD_ATTRIBUTE;
    struct dtls_fingerprint got;
    for (size_t i = 0; i < name.len; i++)
        got.hash[i] = (char)lower(name.at[i]);
    got.hash[name.len] = 0;
    if (!hex_copy(hex.at, len, got.value))
        return SDP_BAD_ATTRIBUTE;
    if (*count == SDP_FINGERPRINTS_MAX)
        return SDP_OK;
    p->fingerprint = &list[*count];
    p->fingerprint_text = whole;
    list[(*count)++] = got;
    return SDP_OK;
}

static enum sdp_outcome attribute_setup(struct parser *p, struct bytes value)
{
    static const char *const words[] = {"active", "passive", "actpass", "holdconn"};
    for (unsigned i = 0; i < 4; i++) {
        if (is_word(value, words[i])) {
            *(p->media ? &p->media->setup : &p->setup) = (enum sdp_setup)(i + 1);
            return SDP_OK;
        }
    }
    return SDP_BAD_ATTRIBUTE;
}

static enum sdp_outcome attribute_tls_id(struct parser *p, struct bytes value)
{
    *(p->media ? &p->media->tls_id : &p->tls_id) = value;
    return value.len > 0 ? SDP_OK : SDP_BAD_ATTRIBUTE;
}

static enum sdp_outcome attribute_candidate(struct parser *p, struct bytes value)
{
    struct sdp_media *media = p->media;
    (void)value; // what reads it wants the whole line
    if (!media)
        return SDP_OK;
    struct ice_candidate spare;
    bool full = media->candidates_count == SDP_CANDIDATES_MAX, usable;
    struct ice_candidate *to = full ? &spare : &media->candidates[media->candidates_count];
    if (!sdp_candidate_parse(p->line, to, &usable))
        return SDP_BAD_ATTRIBUTE;
    if (usable && !full)
        media->candidates_count++;
    else
        media->candidates_ignored++;
    return SDP_OK;
}

static enum sdp_outcome attribute_sctp_port(struct parser *p, struct bytes value)
{
    uint64_t port;
    if (!p->media)
        return SDP_OK;
    // RFC 8841 5.2: no zeros in front.
    if (!bytes_parse_u64(value, 65535, &port) || (value.len > 1 && value.at[0] == '0'))
        return SDP_BAD_ATTRIBUTE;
    p->media->sctp_port = (uint16_t)port;
    p->media->has_sctp_port = true;
    return SDP_OK;
}

// "sctpmap:5000 webrtc-datachannel 1024", of the drafts before RFC 8841.
static enum sdp_outcome attribute_sctpmap(struct parser *p, struct bytes value)
{
    struct bytes port_text = field(&value), application = field(&value);
    uint64_t port;
    if (!p->media || !bytes_is(application, "webrtc-datachannel"))
        return SDP_OK;
    if (!bytes_parse_u64(port_text, 65535, &port))
        return SDP_BAD_ATTRIBUTE;
    p->media->old_sctp = bytes_is(p->media->protocol, "DTLS/SCTP");
    if (!p->media->has_sctp_port)
        p->media->sctp_port = (uint16_t)port;
    p->media->has_sctp_port = true;
    return SDP_OK;
}

static enum sdp_outcome attribute_max_message_size(struct parser *p, struct bytes value)
{
    if (!p->media)
        return SDP_OK;
    if (!bytes_parse_u64(value, UINT64_MAX, &p->media->max_message_size))
        return SDP_BAD_ATTRIBUTE;
    p->media->has_max_message_size = true;
    return SDP_OK;
}

static enum sdp_outcome attribute_bundle_only(struct parser *p, struct bytes value)
{
    (void)value;
    if (p->media)
        p->media->bundle_only = true;
    return SDP_OK;
}

static enum sdp_outcome attribute_end_of_candidates(struct parser *p, struct bytes value)
{
    (void)value;
    if (p->media)
        p->media->end_of_candidates = true;
    return SDP_OK;
}

// RFC 8839 5.3: of the session alone.
static enum sdp_outcome attribute_ice_lite(struct parser *p, struct bytes value)
{
    (void)value;
    p->out->ice_lite |= !p->media;
    return SDP_OK;
}

struct attribute {
    const char *name;
    uint8_t len, second, last; // of its letters
    enum sdp_outcome (*parse)(struct parser *p, struct bytes value);
};
#define ATTRIBUTE(name, parse)                                                                     \
    {                                                                                              \
        name, sizeof name - 1, name[1], name[sizeof name - 2], parse                               \
    }
// By first letters, so that a look at two letters says that a line is not for us: most are not.
static const struct attribute of_b[] = {ATTRIBUTE("bundle-only", attribute_bundle_only), {0}};
static const struct attribute of_c[] = {ATTRIBUTE("candidate", attribute_candidate), {0}};
static const struct attribute of_e[] = {ATTRIBUTE("end-of-candidates", attribute_end_of_candidates),
                                        {0}};
static const struct attribute of_f[] = {ATTRIBUTE("fingerprint", attribute_fingerprint), {0}};
static const struct attribute of_g[] = {ATTRIBUTE("group", attribute_group), {0}};
static const struct attribute of_i[] = {ATTRIBUTE("ice-ufrag", attribute_ufrag),
                                        ATTRIBUTE("ice-pwd", attribute_pwd),
                                        ATTRIBUTE("ice-options", attribute_options),
                                        ATTRIBUTE("ice-lite", attribute_ice_lite),
                                        {0}};
static const struct attribute of_m[] = {ATTRIBUTE("mid", attribute_mid),
                                        ATTRIBUTE("max-message-size", attribute_max_message_size),
                                        {0}};
static const struct attribute of_s[] = {ATTRIBUTE("setup", attribute_setup),
                                        ATTRIBUTE("sctp-port", attribute_sctp_port),
                                        ATTRIBUTE("sctpmap", attribute_sctpmap),
                                        {0}};
static const struct attribute of_t[] = {ATTRIBUTE("tls-id", attribute_tls_id), {0}};
static const struct attribute *const attributes[256] = {
    ['b'] = of_b, ['c'] = of_c, ['e'] = of_e, ['f'] = of_f, ['g'] = of_g,
    ['i'] = of_i, ['m'] = of_m, ['s'] = of_s, ['t'] = of_t};

// The attributes whose names may begin with these letters: the first of them with such a second
// one. NULL: none.
static const struct attribute *known_by(uint8_t first, uint8_t second)
{
    const struct attribute *known = attributes[first];
    while (known && known->second != second)
        known = known->name ? known + 1 : NULL;
    return known;
}

static bool is_attribute(struct bytes line, const struct attribute *known)
{
    size_t len = known->len;
    return line.len >= len && line.at[len - 1] == known->last &&
           memcmp(line.at, known->name, len) == 0 && (line.len == len || line.at[len] == ':');
}

static enum sdp_outcome parse_attribute(struct parser *p)
{
    struct bytes line = p->line;
    if (line.len == 0 || line.at[0] == ':') // RFC 8866 9: a name has a character at least
        return SDP_BAD_ATTRIBUTE;
    const struct attribute *known = line.len == 1 ? NULL : known_by(line.at[0], line.at[1]);
    while (known && known->name && !is_attribute(line, known))
        known++;
    if (known && known->name)
        return known->parse(p, bytes_from(line, known->len + 1u));
    return SDP_OK;
}

// ------------------------------------------------------------------------------------ sections

// Close the section that we are in: its inheritance, and what it must have.
static void end_section(struct parser *p)
{
    struct sdp_media *media = p->media;
    if (!media)
        return;
    media->lines.len = (size_t)(p->line_at - media->lines.at);
    // RFC 8866 5.7: c= in the session, or in every section; rejected ones are written without.
    if (!p->connection && !(p->seen & 1u << (RANK_C - 1)) && media->port != 0 &&
        p->unconnected == 0)
        p->unconnected = p->media_line;
    if (media->ufrag.len == 0)
        media->ufrag = p->ufrag;
    if (media->pwd.len == 0)
        media->pwd = p->pwd;
    if (media->setup == SDP_SETUP_NONE)
        media->setup = p->setup;
    if (media->tls_id.len == 0)
        media->tls_id = p->tls_id;
    media->trickle = media->trickle || p->trickle;
    if (media->fingerprints_count == 0 && p->fingerprints_count > 0) {
        media->fingerprints_count = p->fingerprints_count;
        memcpy(media->fingerprints, p->fingerprints,
               p->fingerprints_count * sizeof p->fingerprints[0]);
    }
}

// RFC 8866 5.14: media, port[/count], protocol, formats.
static enum sdp_outcome parse_media(struct parser *p)
{
    end_section(p);
    if (p->out->media_count == SDP_MEDIA_MAX)
        return SDP_TOO_MANY_MEDIA;
    struct bytes rest = p->line;
    struct bytes kind = field(&rest), port_text = field(&rest), protocol = field(&rest);
    const uint8_t *slash = port_text.len ? memchr(port_text.at, '/', port_text.len) : NULL;
    uint64_t port, count;
    if (slash) {
        size_t len = (size_t)(slash - port_text.at);
        if (!bytes_parse_u64(bytes_from(port_text, len + 1), 65535, &count))
            return SDP_BAD_MEDIA;
        port_text.len = len;
    }
    if (kind.len == 0 || protocol.len == 0 || rest.len == 0 ||
        !bytes_parse_u64(port_text, 65535, &port))
        return SDP_BAD_MEDIA;

    struct sdp_media *media = &p->out->media[p->out->media_count++];
    media->kind = kind;
    media->port = (uint16_t)port;
    media->protocol = protocol;
    media->formats = rest;
    media->mid = media->ufrag = media->pwd = media->tls_id = (struct bytes){NULL, 0};
    media->fingerprints_count = 0; // the arrays stay as they are: see the header
    media->setup = SDP_SETUP_NONE;
    media->candidates_count = media->candidates_ignored = 0;
    media->end_of_candidates = media->trickle = media->bundle_only = false;
    media->has_sctp_port = media->old_sctp = media->has_max_message_size = false;
    media->sctp_port = 0;
    media->max_message_size = 65536; // RFC 8841 6.1: without the attribute
    media->lines = (struct bytes){p->line_at, 0};
    p->media = media;
    p->media_line = p->line_number;
    p->connection = false;
    return SDP_OK;
}

// RFC 9143 7.1.3: in a group, transport attributes are those of the first section.
static void inherit_bundle(struct sdp *sdp)
{
    const struct sdp_media *tagged = NULL;
    for (unsigned i = 0; i < sdp->media_count && sdp->bundle_count > 0 && !tagged; i++)
        if (bytes_equal(sdp->media[i].mid, sdp->bundle[0]))
            tagged = &sdp->media[i];
    if (!tagged || tagged->ufrag.len == 0)
        return;
    for (unsigned i = 0; i < sdp->media_count; i++) {
        struct sdp_media *media = &sdp->media[i];
        bool grouped = false;
        for (unsigned k = 1; k < sdp->bundle_count && !grouped; k++)
            grouped = media->mid.len > 0 && bytes_equal(media->mid, sdp->bundle[k]);
        if (!grouped || (media->ufrag.len > 0 && !bytes_equal(media->ufrag, tagged->ufrag)))
            continue;
        // pion repeats the credentials, but not the candidates.
        if (media->candidates_count == 0) {
            media->candidates_count = tagged->candidates_count;
            media->candidates_ignored = tagged->candidates_ignored;
            media->end_of_candidates |= tagged->end_of_candidates;
            memcpy(media->candidates, tagged->candidates,
                   tagged->candidates_count * sizeof tagged->candidates[0]);
        }
        if (media->ufrag.len > 0)
            continue;
        media->ufrag = tagged->ufrag;
        media->pwd = tagged->pwd;
        media->setup = tagged->setup;
        media->tls_id = tagged->tls_id;
        media->trickle = tagged->trickle;
        media->fingerprints_count = tagged->fingerprints_count;
        memcpy(media->fingerprints, tagged->fingerprints,
               tagged->fingerprints_count * sizeof tagged->fingerprints[0]);
    }
}

// ------------------------------------------------------------------------------------------- lines

// RFC 8866 9: byte-string is without NUL, CR and LF. CR stands before LF alone, or at the end.
static bool is_clean(const uint8_t *at, const uint8_t *end)
{
    if (memchr(at, 0, (size_t)(end - at)))
        return false;
    while ((at = memchr(at, '\r', (size_t)(end - at))) && ++at < end) {
        if (*at != '\n')
            return false;
    }
    return true;
}

static struct bytes without_cr(const uint8_t *at, const uint8_t *end)
{
    size_t len = (size_t)(end - at);
    return (struct bytes){at, len > 0 && at[len - 1] == '\r' ? len - 1 : len};
}

// The next line without its end, which is CRLF or LF alone.
static struct bytes next_line(struct parser *p)
{
    const uint8_t *at = p->line_at = p->at, *end = memchr(at, '\n', (size_t)(p->end - at));
    if (end)
        p->at = end + 1;
    else
        p->at = end = p->end;
    return without_cr(at, end);
}

// RFC 8866 5: the order of lines, as ranks; "r" is of a t= line. 0: not a line at all.
static unsigned rank_of(uint8_t letter, bool in_media)
{
    static const uint8_t session[256] = {
        ['v'] = 1, ['o'] = 2,  ['s'] = 3,  ['i'] = 4,  ['u'] = 5,  ['e'] = 6,  ['p'] = 7, ['c'] = 8,
        ['b'] = 9, ['t'] = 10, ['r'] = 10, ['z'] = 11, ['k'] = 12, ['a'] = 13, ['m'] = 14};
    static const uint8_t section[256] = {
        ['i'] = 1, ['c'] = 2, ['b'] = 4, ['k'] = 5, ['a'] = 6, ['m'] = 7};
    return (in_media ? section : session)[letter];
}

#define REQUIRED (1u << (RANK_V - 1) | 1u << (RANK_O - 1) | 1u << (RANK_S - 1) | 1u << (RANK_T - 1))

// May the line come here? RFC 8866 5: in order, and those without * or r in its list once.
static enum sdp_outcome check_order(struct parser *p, uint8_t letter)
{
    unsigned rank = rank_of(letter, p->media != NULL);
    if (rank == 0) // a session's line in a section, or no line that RFC 8866 knows
        return rank_of(letter, false) ? SDP_BAD_ORDER : SDP_BAD_LINE;
    if (p->media) {
        // RFC 8866 5: i= c= b= k= a=. Browsers and others mix b= and a=: taken in any order.
        return SDP_OK;
    }
    bool repeats = strchr("epbtra", letter) != NULL;
    if (rank < p->rank || (rank == p->rank && !repeats))
        return SDP_BAD_ORDER;
    if (letter == 'r' && !(p->seen & 1u << (RANK_T - 1)))
        return SDP_BAD_ORDER;
    if (rank == RANK_M && (p->seen & REQUIRED) != REQUIRED)
        return SDP_MISSING;
    p->rank = rank;
    p->seen |= 1u << (rank - 1);
    return SDP_OK;
}

// A line of two characters at least.
static enum sdp_outcome parse_line(struct parser *p, struct bytes line)
{
    if (line.at[1] != '=' || (!p->clean && !is_clean(line.at, line.at + line.len)))
        return SDP_BAD_LINE;
    uint8_t letter = line.at[0];
    p->line = (struct bytes){line.at + 2, line.len - 2};
    if (letter == 'a' && p->media) // nearly all; RFC 8866 5: the last of a section
        return parse_attribute(p);
    enum sdp_outcome order = check_order(p, letter);
    if (order != SDP_OK)
        return order;
    switch (letter) {
    case 'v':
        return bytes_is(p->line, "0") ? SDP_OK : SDP_BAD_VERSION;
    case 'o':
        return parse_origin(p);
    case 't':
        return parse_time(p);
    case 'c':
        return parse_connection(p);
    case 'a':
        return parse_attribute(p);
    case 'm':
        return parse_media(p);
    }
    return SDP_OK; // s, i, u, e, p, b, r, z, k: any text
}

// The attributes that come next in a section of text whose lines are clean, but for the last line
// of the text. Most are for others, as two letters tell.
static enum sdp_outcome parse_attributes(struct parser *p)
{
    enum sdp_outcome outcome = SDP_OK;
    const uint8_t *at = p->at, *end = p->end, *next;
    uint8_t head[4];
    while (end - at > 4 && outcome == SDP_OK) {
        memcpy(head, at, sizeof head);
        next = memchr(at, '\n', (size_t)(end - at));
        if (head[0] != 'a' || head[1] != '=' || !next)
            break;
        p->line_number++;
        // RFC 8866 9: a name has a character at least. What has none is refused there.
        if (head[2] <= ':' || known_by(head[2], head[3])) {
            p->line = without_cr(at + 2, next);
            outcome = parse_attribute(p);
        }
        at = next + 1;
    }
    p->at = p->line_at = at;
    return outcome;
}

// Blank lines are taken at the end of the text alone.
static bool only_blank(const uint8_t *at, const uint8_t *end)
{
    for (; at < end; at++)
        if (*at != '\r' && *at != '\n')
            return false;
    return true;
}

static enum sdp_outcome parse_lines(struct parser *p)
{
    while (p->at < p->end) {
        struct bytes line = next_line(p);
        p->line_number++;
        if (line.len < 2)
            return line.len == 0 && p->line_number > 1 && only_blank(p->at, p->end) ? SDP_OK
                                                                                    : SDP_BAD_LINE;
        enum sdp_outcome outcome = parse_line(p, line);
        p->line_at = p->at;
        if (outcome == SDP_OK && p->clean && p->media)
            outcome = parse_attributes(p);
        if (outcome != SDP_OK)
            return outcome;
    }
    return SDP_OK;
}

enum sdp_outcome sdp_parse(struct bytes text, struct sdp *out)
{
    struct parser p;
    memset(&p, 0, offsetof(struct parser, fingerprints)); // the array stays as it is
    p.fingerprints_count = 0;
    p.setup = SDP_SETUP_NONE;
    p.trickle = false;
    p.at = p.line_at = text.at;
    p.out = out;
    p.end = text.at + text.len;
    out->session_id = out->session_version = 0;
    out->session_lines = bytes_of(text.at, 0);
    out->ice_lite = false;
    out->bundle_count = out->media_count = out->error_line = 0;
    if (text.len == 0 || text.len > SDP_SIZE_MAX) {
        out->error_line = 1;
        return text.len == 0 ? SDP_MISSING : SDP_TOO_LONG;
    }

    p.clean = is_clean(p.at, p.end);
    enum sdp_outcome outcome = parse_lines(&p);
    out->error_line = p.line_number;
    if (outcome != SDP_OK)
        return outcome;
    if ((p.seen & REQUIRED) != REQUIRED)
        return SDP_MISSING;
    end_section(&p);
    if (p.unconnected > 0) {
        out->error_line = p.unconnected;
        return SDP_MISSING;
    }
    inherit_bundle(out);
    out->session_lines = text;
    if (out->media_count > 0)
        out->session_lines.len = (size_t)(out->media[0].lines.at - text.at);
    out->error_line = 0;
    return SDP_OK;
}
