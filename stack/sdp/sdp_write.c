// Descriptions of ours, in the order of lines that Chrome writes.
#include "stack/sdp/sdp_priv.h"

static void put_number(struct text *to, uint64_t value)
{
    uint8_t digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (uint8_t)('0' + value % 10);
    while (value /= 10);
    text_add(to, bytes_of(digits + at, sizeof digits - at));
}

static void put_pair(struct text *to, const char *name, const char *value)
{
    text_put(to, name);
    text_put(to, value);
    text_put(to, "\r\n");
}

static void put_count(struct text *to, const char *name, uint64_t value)
{
    text_put(to, name);
    put_number(to, value);
    text_put(to, "\r\n");
}

static void put_bytes(struct text *to, const char *name, struct bytes value)
{
    text_put(to, name);
    text_add(to, value);
    text_put(to, "\r\n");
}

static void put_session(struct text *to, const struct sdp_local *local, struct bytes bundle)
{
    text_put(to, "v=0\r\no=- ");
    put_number(to, local->session_id);
    text_put(to, " ");
    put_number(to, local->session_version);
    text_put(to, " IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n");
    if (local->ice_lite)
        text_put(to, "a=ice-lite\r\n");
    if (bundle.len > 0)
        put_bytes(to, "a=group:BUNDLE ", bundle);
    text_put(to, "a=msid-semantic: WMS\r\n");
}

// Credentials, fingerprint and role.
static void put_transport(struct text *to, const struct sdp_local *local)
{
    static const char *const setups[] = {NULL, "active", "passive", "actpass", "holdconn"};
    put_pair(to, "a=ice-ufrag:", local->credentials->ufrag);
    put_pair(to, "a=ice-pwd:", local->credentials->pwd);
    if (local->trickle)
        text_put(to, "a=ice-options:trickle\r\n");
    if (local->fingerprint) {
        text_put(to, "a=fingerprint:");
        text_put(to, local->fingerprint->hash);
        put_pair(to, " ", local->fingerprint->value);
    }
    if (local->setup != SDP_SETUP_NONE)
        put_pair(to, "a=setup:", setups[local->setup]);
}

// All of the data channel section after its m= line.
static void put_data(struct text *to, const struct sdp_local *local, struct bytes mid, bool old)
{
    text_put(to, "c=IN IP4 0.0.0.0\r\n");
    for (unsigned i = 0; i < local->candidates_count; i++) {
        text_put(to, "a=");
        sdp_candidate_write(to, &local->candidates[i]);
        text_put(to, "\r\n");
    }
    if (local->end_of_candidates)
        text_put(to, "a=end-of-candidates\r\n");
    put_transport(to, local);
    if (mid.len > 0)
        put_bytes(to, "a=mid:", mid);
    if (old) {
        text_put(to, "a=sctpmap:");
        put_number(to, local->sctp_port);
        text_put(to, " webrtc-datachannel 65535\r\n");
    } else {
        put_count(to, "a=sctp-port:", local->sctp_port);
    }
    put_count(to, "a=max-message-size:", local->max_message_size);
}

void sdp_write_offer(struct text *to, const struct sdp_local *local)
{
    put_session(to, local, bytes_text("0"));
    text_put(to, "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n");
    put_data(to, local, bytes_text("0"), false);
}

static bool is_in(const struct bytes *list, unsigned count, struct bytes wanted)
{
    for (unsigned i = 0; i < count; i++)
        if (wanted.len > 0 && bytes_equal(list[i], wanted))
            return true;
    return false;
}

static void put_media_line(struct text *to, const struct sdp_media *offered, bool accepted,
                           uint16_t sctp_port)
{
    text_put(to, "m=");
    text_add(to, offered->kind);
    text_put(to, accepted ? " 9 " : " 0 ");
    text_add(to, offered->protocol);
    text_put(to, " ");
    if (accepted && offered->old_sctp)
        put_number(to, sctp_port); // the format is our port
    else
        text_add(to, offered->formats);
    text_put(to, "\r\n");
}

// RFC 3264 6: rejected by port 0, its mid kept (RFC 5888 9.1). The rest is to be ignored, but pion
// looks for what its formats are, GStreamer and aiortc for a transport in every section, and aiortc
// waits for its candidates unless there are no more.
static void put_refusal(struct text *to, const struct sdp_local *local,
                        const struct sdp_media *media)
{
    text_put(to, "c=IN IP4 0.0.0.0\r\n");
    put_transport(to, local);
    if (media->mid.len > 0)
        put_bytes(to, "a=mid:", media->mid);
    struct bytes rest = media->lines;
    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.at, '\n', rest.len);
        size_t len = end ? (size_t)(end - rest.at) : rest.len;
        struct bytes line = bytes_of(rest.at, len > 0 && rest.at[len - 1] == '\r' ? len - 1 : len);
        if (bytes_starts(line, "a=rtpmap:") || bytes_is(line, "a=rtcp-mux"))
            put_bytes(to, "", line);
        rest = bytes_from(rest, end ? len + 1 : len);
    }
    if (!bytes_is(media->kind, "application"))
        text_put(to, "a=inactive\r\na=end-of-candidates\r\n");
}

void sdp_write_answer(struct text *to, const struct sdp_local *local, const struct sdp *offer)
{
    const struct sdp_media *data = sdp_data_media(offer);
    // RFC 8841 10.3: an association that is to be closed is answered with port 0.
    bool refused = !data || (data->has_sctp_port && data->sctp_port == 0) ||
                   (data->port == 0 && !data->bundle_only);
    // RFC 9143 7.3.1: in the group goes what was in the offer's and is accepted.
    struct bytes bundle = {NULL, 0};
    if (!refused && is_in(offer->bundle, offer->bundle_count, data->mid))
        bundle = data->mid;
    put_session(to, local, bundle);
    for (unsigned i = 0; i < offer->media_count; i++) {
        const struct sdp_media *media = &offer->media[i];
        bool accepted = media == data && !refused;
        put_media_line(to, media, accepted, local->sctp_port);
        if (accepted) {
            put_data(to, local, media->mid, media->old_sctp);
            continue;
        }
        put_refusal(to, local, media);
    }
}
