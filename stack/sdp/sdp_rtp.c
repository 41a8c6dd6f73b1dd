// Reading the sections of audio and video.
#include "stack/sdp/sdp_rtp.h"

#include "stack/sdp/sdp_priv.h"

const char *sdp_direction_name(enum sdp_direction direction)
{
    static const char *const names[] = {"inactive", "sendonly", "recvonly", "sendrecv"};
    return names[direction];
}

enum sdp_direction sdp_direction_reversed(enum sdp_direction direction)
{
    return (direction & SDP_SENDS ? SDP_RECEIVES : 0) | (direction & SDP_RECEIVES ? SDP_SENDS : 0);
}

bool sdp_is_rtp(const struct sdp_media *media)
{
    if (!bytes_is(media->kind, "audio") && !bytes_is(media->kind, "video"))
        return false;
    // RFC 9429 5.1.2: what may be read.
    return bytes_is(media->protocol, "UDP/TLS/RTP/SAVPF") ||
           bytes_is(media->protocol, "UDP/TLS/RTP/SAVP") ||
           bytes_is(media->protocol, "TCP/DTLS/RTP/SAVPF") ||
           bytes_is(media->protocol, "TCP/DTLS/RTP/SAVP") ||
           bytes_is(media->protocol, "RTP/SAVPF") || bytes_is(media->protocol, "RTP/SAVP");
}

// The next line, without its end.
static bool line_next(struct bytes *rest, struct bytes *line)
{
    if (rest->len == 0)
        return false;
    const uint8_t *end = memchr(rest->at, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->at) : rest->len;
    *line = bytes_of(rest->at, len > 0 && rest->at[len - 1] == '\r' ? len - 1 : len);
    *rest = bytes_from(*rest, end ? len + 1 : len);
    return true;
}

// "name:value", or "name" alone.
static bool attribute_is(struct bytes line, const char *name, struct bytes *value)
{
    size_t len = strlen(name);
    if (line.len < 2 + len || memcmp(line.at, "a=", 2) != 0 || memcmp(line.at + 2, name, len) != 0)
        return false;
    *value = bytes_from(line, 2 + len);
    if (value->len == 0)
        return true;
    if (value->at[0] != ':')
        return false;
    *value = bytes_from(*value, 1);
    return true;
}

static bool number(struct bytes text, uint64_t max, uint64_t *out)
{
    return text.len > 0 && bytes_parse_u64(text, max, out);
}

static struct sdp_format *format_of(struct sdp_rtp *rtp, struct bytes type)
{
    uint64_t wanted;
    if (!number(type, 127, &wanted))
        return NULL;
    for (unsigned i = 0; i < rtp->formats_count; i++) {
        if (rtp->formats[i].type == wanted)
            return &rtp->formats[i];
    }
    return NULL;
}

// Up to `mark`, taken off `rest` with it.
static struct bytes part(struct bytes *rest, char mark)
{
    const uint8_t *at = rest->len ? memchr(rest->at, mark, rest->len) : NULL;
    size_t len = at ? (size_t)(at - rest->at) : rest->len;
    struct bytes got = {rest->at, len};
    *rest = bytes_from(*rest, len + 1);
    return got;
}

// a=rtpmap:111 opus/48000/2
static bool parse_rtpmap(struct sdp_rtp *rtp, struct bytes value)
{
    struct sdp_format *format = format_of(rtp, field(&value));
    struct bytes name = part(&value, '/'), rate = part(&value, '/');
    uint64_t clock_rate, channels = 0;
    if (!format || name.len == 0 || !number(rate, UINT32_MAX, &clock_rate) || clock_rate == 0 ||
        (value.len > 0 && !number(value, 255, &channels)))
        return false;
    format->name = name;
    format->clock_rate = (uint32_t)clock_rate;
    format->channels = (unsigned)channels;
    return true;
}

// RFC 8866 6.15: at most one for each format. The first counts.
static bool parse_fmtp(struct sdp_rtp *rtp, struct bytes value)
{
    struct sdp_format *format = format_of(rtp, field(&value));
    if (!format || format->fmtp.len > 0)
        return false;
    format->fmtp = value;
    return true;
}

static unsigned feedback_of(struct bytes value)
{
    static const struct {
        const char *text;
        unsigned bit;
    } known[] = {{"nack", SDP_NACK},
                 {"nack pli", SDP_PLI},
                 {"ccm fir", SDP_FIR},
                 {"goog-remb", SDP_REMB},
                 {"transport-cc", SDP_TRANSPORT_CC},
                 {"ack ccfb", SDP_CCFB}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (bytes_is(value, known[i].text))
            return known[i].bit;
    }
    return 0; // others are no fault
}

static bool parse_feedback(struct sdp_rtp *rtp, struct bytes value)
{
    struct bytes type = field(&value);
    while (value.len && value.at[value.len - 1] == ' ') // pion: "nack "
        value.len--;
    unsigned bit = feedback_of(value);
    if (bytes_is(type, "*")) { // RFC 4585 4.2: of all formats
        for (unsigned i = 0; i < rtp->formats_count; i++)
            rtp->formats[i].feedback |= bit;
        return true;
    }
    struct sdp_format *format = format_of(rtp, type);
    if (format)
        format->feedback |= bit & ~(unsigned)SDP_CCFB;
    return format != NULL;
}

static bool direction_of(struct bytes word, enum sdp_direction *out)
{
    for (unsigned i = SDP_INACTIVE; i <= SDP_SENDRECV; i++) {
        if (bytes_is(word, sdp_direction_name(i))) {
            *out = i;
            return true;
        }
    }
    return false;
}

// a=extmap:3/sendonly URI attributes
static bool parse_extmap(struct sdp_rtp *rtp, struct bytes value)
{
    struct bytes which = field(&value), id_text = part(&which, '/'), uri = field(&value);
    struct sdp_extension extension = {.direction = SDP_SENDRECV, .uri = uri};
    uint64_t id;
    if (!number(id_text, 255, &id) || id == 0 || id == 15 || uri.len == 0 ||
        (which.len > 0 && !direction_of(which, &extension.direction)) ||
        rtp->extensions_count == SDP_EXTENSIONS_MAX)
        return false;
    extension.id = (uint8_t)id;
    for (unsigned i = 0; i < rtp->extensions_count; i++) // RFC 8285 5: once for each section
        if (rtp->extensions[i].id == id || bytes_equal(rtp->extensions[i].uri, uri))
            return false;
    rtp->extensions[rtp->extensions_count++] = extension;
    return true;
}

static bool parse_ssrc(struct sdp_rtp *rtp, struct bytes value)
{
    uint64_t ssrc;
    if (!number(field(&value), UINT32_MAX, &ssrc))
        return false;
    for (unsigned i = 0; i < rtp->ssrcs_count; i++) {
        if (rtp->ssrcs[i] == ssrc)
            return true;
    }
    if (rtp->ssrcs_count == SDP_SSRCS_MAX)
        return false;
    rtp->ssrcs[rtp->ssrcs_count++] = (uint32_t)ssrc;
    return true;
}

static bool parse_ssrc_group(struct sdp_rtp *rtp, struct bytes value)
{
    struct sdp_ssrc_group group = {.semantics = field(&value)};
    while (value.len > 0) {
        uint64_t ssrc;
        if (group.count == 3 || !number(field(&value), UINT32_MAX, &ssrc))
            return false;
        group.ssrcs[group.count++] = (uint32_t)ssrc;
    }
    if (group.semantics.len == 0 || rtp->groups_count == SDP_SSRC_GROUPS_MAX)
        return false;
    rtp->groups[rtp->groups_count++] = group;
    return true;
}

static bool parse_rid(struct sdp_rtp *rtp, struct bytes value)
{
    struct sdp_rid rid = {.id = field(&value)};
    struct bytes direction = field(&value);
    rid.send = bytes_is(direction, "send");
    rid.restrictions = value;
    if (rid.id.len == 0 || (!rid.send && !bytes_is(direction, "recv")) ||
        rtp->rids_count == SDP_RIDS_MAX)
        return false;
    rtp->rids[rtp->rids_count++] = rid;
    return true;
}

// RFC 8853 5.1: "send 1;2,~3 recv 4", each direction once at most. 5.3.2: where there are two such
// lines, none counts.
static bool parse_simulcast(struct sdp_rtp *rtp, struct bytes value)
{
    bool seen[2] = {false, false}, fine = value.len > 0 && rtp->simulcast_lines++ == 0;
    rtp->simulcast[0] = rtp->simulcast[1] = (struct bytes){NULL, 0};
    while (value.len > 0 && fine) {
        struct bytes direction = field(&value), list = field(&value);
        bool send = bytes_is(direction, "send");
        fine = list.len > 0 && !seen[send] && (send || bytes_is(direction, "recv"));
        seen[send] = true;
        rtp->simulcast[send] = list;
    }
    rtp->simulcast_send = fine && seen[1];
    rtp->simulcast_receive = fine && seen[0];
    return fine;
}

bool sdp_rid_restriction(struct bytes *list, struct bytes *name, struct bytes *value)
{
    if (list->len == 0)
        return false;
    *value = part(list, ';');
    *name = part(value, '=');
    return true;
}

bool sdp_rid_format(struct bytes *list, uint8_t *type)
{
    uint64_t got;
    if (list->len == 0 || !number(part(list, ','), 127, &got))
        return false;
    *type = (uint8_t)got;
    return true;
}

// RFC 8851 6.2.2, step 3: of those it names, is one in the section?
static bool rid_has_format(struct sdp_rtp *rtp, const struct sdp_rid *rid)
{
    struct bytes list = rid->restrictions, name, value;
    bool has = true;
    while (sdp_rid_restriction(&list, &name, &value)) {
        if (!bytes_is(name, "pt"))
            continue;
        has = false;
        while (value.len > 0)
            has |= format_of(rtp, part(&value, ',')) != NULL;
    }
    return has;
}

// RFC 8851 6.2.2: what is discarded is counted, and no more there.
static void rids_discard(struct sdp_rtp *rtp)
{
    bool discarded[SDP_RIDS_MAX];
    unsigned kept = 0;
    for (unsigned i = 0; i < rtp->rids_count; i++) {
        discarded[i] = !rid_has_format(rtp, &rtp->rids[i]);
        for (unsigned k = 0; k < rtp->rids_count; k++)
            discarded[i] |= k != i && bytes_equal(rtp->rids[k].id, rtp->rids[i].id);
    }
    for (unsigned i = 0; i < rtp->rids_count; i++) {
        rtp->ignored += discarded[i];
        if (!discarded[i])
            rtp->rids[kept++] = rtp->rids[i];
    }
    rtp->rids_count = kept;
}

static struct sdp_rid *rid_of(struct sdp_rtp *rtp, struct bytes id, bool send)
{
    for (unsigned i = 0; i < rtp->rids_count; i++) {
        if (rtp->rids[i].send == send && bytes_equal(rtp->rids[i].id, id))
            return &rtp->rids[i];
    }
    return NULL;
}

// RFC 8853 5.2: streams between semicolons, alternatives of one between commas. A tilde says that
// it begins paused, which without RFC 7728 in use means nothing (5.3.3).
static void simulcast_resolve(struct sdp_rtp *rtp, bool send)
{
    bool used = send ? rtp->simulcast_send : rtp->simulcast_receive;
    struct bytes list = used ? rtp->simulcast[send] : (struct bytes){NULL, 0};
    while (list.len > 0) {
        struct bytes stream = part(&list, ';');
        struct sdp_rid *rid = NULL;
        while (stream.len > 0 && !rid) {
            struct bytes id = part(&stream, ',');
            rid = rid_of(rtp, bytes_starts(id, "~") ? bytes_from(id, 1) : id, send);
        }
        if (rid)
            rid->simulcast = true;
    }
}

static bool parse_line(struct sdp_rtp *rtp, struct bytes line)
{
    static const struct {
        const char *name;
        bool (*parse)(struct sdp_rtp *rtp, struct bytes value);
    } known[] = {{"rtpmap", parse_rtpmap},    {"fmtp", parse_fmtp},
                 {"rtcp-fb", parse_feedback}, {"extmap", parse_extmap},
                 {"ssrc", parse_ssrc},        {"ssrc-group", parse_ssrc_group},
                 {"rid", parse_rid},          {"simulcast", parse_simulcast}};
    struct bytes value;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (attribute_is(line, known[i].name, &value))
            return known[i].parse(rtp, value);
    }
    if (attribute_is(line, "rtcp-mux", &value))
        rtp->rtcp_mux = true;
    else if (attribute_is(line, "rtcp-rsize", &value))
        rtp->reduced_size = true;
    else if (attribute_is(line, "extmap-allow-mixed", &value))
        rtp->mixed_extensions = true;
    else if (attribute_is(line, "msid", &value))
        rtp->msid = value;
    else if (line.len > 2 && line.at[0] == 'a')
        (void)direction_of(bytes_from(line, 2), &rtp->direction);
    return true;
}

void sdp_rtp_parse(const struct sdp *sdp, const struct sdp_media *media, struct sdp_rtp *out)
{
    struct bytes rest = sdp->session_lines, line, types = media->formats;
    *out = (struct sdp_rtp){.direction = SDP_SENDRECV};
    while (types.len > 0) {
        uint64_t type;
        if (out->formats_count < SDP_FORMATS_MAX && number(field(&types), 127, &type))
            out->formats[out->formats_count++] = (struct sdp_format){.type = (uint8_t)type};
        else if (out->formats_count == SDP_FORMATS_MAX)
            types.len = 0;
    }
    while (line_next(&rest, &line)) { // what a section inherits (RFC 8866 6.7, RFC 8285 5, 6)
        struct bytes value;
        if (attribute_is(line, "extmap-allow-mixed", &value))
            out->mixed_extensions = true;
        else if (attribute_is(line, "extmap", &value))
            out->ignored += !parse_extmap(out, value);
        else if (line.len > 2 && line.at[0] == 'a')
            (void)direction_of(bytes_from(line, 2), &out->direction);
    }
    rest = media->lines;
    while (line_next(&rest, &line))
        out->ignored += !parse_line(out, line);
    if (out->rids_count == 0)
        return;
    rids_discard(out);
    simulcast_resolve(out, false);
    simulcast_resolve(out, true);
}
