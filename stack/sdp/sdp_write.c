// Descriptions of ours, in the order of lines that Chrome writes.
#include "stack/sdp/sdp_priv.h"
#include "stack/sdp/sdp_rtp.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>

#define MID_NUMBER_MAX 12

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

// Up to the BUNDLE group.
static void put_session(struct text *to, const struct sdp_local *local)
{
    text_put(to, "v=0\r\no=- ");
    put_number(to, local->session_id);
    text_put(to, " ");
    put_number(to, local->session_version);
    text_put(to, " IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n");
    if (local->ice_lite)
        text_put(to, "a=ice-lite\r\n");
}

// A mid of the group; `section` is tagged when it is the first (RFC 9143 7.2): else `*tagged` was
// `none`.
static void put_bundled(struct text *to, struct bytes mid, unsigned section, unsigned none,
                        unsigned *tagged)
{
    text_put(to, *tagged == none ? "a=group:BUNDLE " : " ");
    text_add(to, mid);
    *tagged = *tagged == none ? section : *tagged;
}

static void end_session(struct text *to, bool bundle)
{
    text_put(to, bundle ? "\r\na=msid-semantic: WMS\r\n" : "a=msid-semantic: WMS\r\n");
}

// Credentials, fingerprint and role.
static void put_transport(struct text *to, const struct sdp_local *local)
{
    static const char *const setups[] = {NULL, "active", "passive", "actpass", "holdconn"};
    put_pair(to, "a=ice-ufrag:", local->credentials->ufrag);
    put_pair(to, "a=ice-pwd:", local->credentials->pwd);
    // RFC 8445 10: who keeps to it says ice2.
    text_put(to, local->trickle ? "a=ice-options:trickle ice2\r\n" : "a=ice-options:ice2\r\n");
    if (local->fingerprint) {
        text_put(to, "a=fingerprint:");
        text_put(to, local->fingerprint->hash);
        put_pair(to, " ", local->fingerprint->value);
    }
    if (local->setup != SDP_SETUP_NONE)
        put_pair(to, "a=setup:", setups[local->setup]);
}

static void put_candidates(struct text *to, const struct sdp_local *local)
{
    for (unsigned i = 0; i < local->candidates_count; i++) {
        text_put(to, "a=");
        sdp_candidate_write(to, &local->candidates[i]);
        text_put(to, "\r\n");
    }
    if (local->end_of_candidates)
        text_put(to, "a=end-of-candidates\r\n");
}

// All of the data channel section after its m= line. `first`: it is the transport's section.
static void put_data(struct text *to, const struct sdp_local *local, struct bytes mid, bool old,
                     bool first)
{
    text_put(to, "c=IN IP4 0.0.0.0\r\n");
    if (first)
        put_candidates(to, local);
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

// ------------------------------------------------------------------------------- audio and video

static void put_format(struct text *to, const struct sdp_format *format)
{
    static const char *const feedback[] = {"nack", "nack pli", "ccm fir", "goog-remb",
                                           "transport-cc"};
    text_put(to, "a=rtpmap:");
    put_number(to, format->type);
    text_put(to, " ");
    text_add(to, format->name);
    text_put(to, "/");
    put_number(to, format->clock_rate);
    if (format->channels > 1) {
        text_put(to, "/");
        put_number(to, format->channels);
    }
    text_put(to, "\r\n");
    for (unsigned i = 0; i < sizeof feedback / sizeof feedback[0]; i++) {
        if (!(format->feedback & 1u << i))
            continue;
        text_put(to, "a=rtcp-fb:");
        put_number(to, format->type);
        put_pair(to, " ", feedback[i]);
    }
    if (format->fmtp.len > 0) {
        text_put(to, "a=fmtp:");
        put_number(to, format->type);
        put_bytes(to, " ", format->fmtp);
    }
}

// RFC 8888 6: the payload type must be the wildcard.
static void put_feedback_of_all(struct text *to, const struct sdp_rtp_local *rtp)
{
    for (unsigned i = 0; i < rtp->formats_count; i++) {
        if (rtp->formats[i].feedback & SDP_CCFB) {
            text_put(to, "a=rtcp-fb:* ack ccfb\r\n");
            return;
        }
    }
}

// RFC 8853 5.1, RFC 8851 4.
static void put_layers(struct text *to, const struct sdp_rtp_local *rtp)
{
    for (unsigned i = 0; i < rtp->rids_count; i++) {
        text_put(to, "a=rid:");
        text_add(to, rtp->rids[i]);
        text_put(to, rtp->rids_send ? " send" : " recv");
        put_bytes(to, rtp->rid_restrictions[i].len ? " " : "", rtp->rid_restrictions[i]);
    }
    if (rtp->rids_count == 0)
        return;
    text_put(to, rtp->rids_send ? "a=simulcast:send " : "a=simulcast:recv ");
    for (unsigned i = 0; i < rtp->rids_count; i++) {
        text_put(to, i ? ";" : "");
        text_add(to, rtp->rids[i]);
    }
    text_put(to, "\r\n");
}

static void put_ssrc(struct text *to, const struct sdp_rtp_local *rtp, uint32_t ssrc)
{
    if (!ssrc)
        return;
    text_put(to, "a=ssrc:");
    put_number(to, ssrc);
    put_pair(to, " cname:", rtp->cname);
    text_put(to, "a=ssrc:");
    put_number(to, ssrc);
    text_put(to, " msid:");
    text_put(to, rtp->stream);
    put_pair(to, " ", rtp->track);
}

static void put_group(struct text *to, const char *semantics, uint32_t first, uint32_t second)
{
    if (!second)
        return;
    text_put(to, semantics);
    put_number(to, first);
    text_put(to, " ");
    put_number(to, second);
    text_put(to, "\r\n");
}

// RFC 8285 5, 6.
static void put_extensions(struct text *to, const struct sdp_rtp_local *rtp)
{
    if (rtp->mixed_extensions)
        text_put(to, "a=extmap-allow-mixed\r\n");
    for (unsigned i = 0; i < rtp->extensions_count; i++) {
        const struct sdp_extension *extension = &rtp->extensions[i];
        text_put(to, "a=extmap:");
        put_number(to, extension->id);
        if (extension->direction != SDP_SENDRECV) {
            text_put(to, "/");
            text_put(to, sdp_direction_name(extension->direction));
        }
        put_bytes(to, " ", extension->uri);
    }
}

static void put_rtp(struct text *to, const struct sdp_local *local, const struct sdp_rtp_local *rtp,
                    struct bytes protocol, bool first)
{
    text_put(to, "m=");
    text_put(to, rtp->kind);
    text_put(to, " 9 ");
    text_add(to, protocol);
    for (unsigned i = 0; i < rtp->formats_count; i++) {
        text_put(to, " ");
        put_number(to, rtp->formats[i].type);
    }
    text_put(to, "\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n");
    if (first)
        put_candidates(to, local);
    put_transport(to, local);
    if (rtp->mid.len > 0)
        put_bytes(to, "a=mid:", rtp->mid);
    put_extensions(to, rtp);
    put_pair(to, "a=", sdp_direction_name(rtp->direction));
    if (rtp->stream) {
        text_put(to, "a=msid:");
        text_put(to, rtp->stream);
        put_pair(to, " ", rtp->track);
    }
    text_put(to, "a=rtcp-mux\r\n");
    if (rtp->reduced_size)
        text_put(to, "a=rtcp-rsize\r\n");
    for (unsigned i = 0; i < rtp->formats_count; i++)
        put_format(to, &rtp->formats[i]);
    put_feedback_of_all(to, rtp);
    put_layers(to, rtp);
    for (unsigned i = 0; i < rtp->ssrcs_count; i++) {
        put_group(to, "a=ssrc-group:FID ", rtp->ssrcs[i].media, rtp->ssrcs[i].rtx);
        put_group(to, "a=ssrc-group:FEC-FR ", rtp->ssrcs[i].media, rtp->ssrcs[i].fec);
    }
    for (unsigned i = 0; i < rtp->ssrcs_count; i++) {
        put_ssrc(to, rtp, rtp->ssrcs[i].media);
        put_ssrc(to, rtp, rtp->ssrcs[i].rtx);
        put_ssrc(to, rtp, rtp->ssrcs[i].fec);
    }
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
// waits for its candidates unless there are no more. That must not be said of a transport that it
// shares with what is accepted: werift believes it.
static void put_refusal(struct text *to, const struct sdp_local *local,
                        const struct sdp_media *media, bool own_transport)
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
        text_put(to, "a=inactive\r\n");
    if (own_transport)
        text_put(to, "a=end-of-candidates\r\n");
}

// ------------------------------------------------------------------------------------------ offers

// An offer, section by section.
struct plan {
    const struct sdp_local *local;
    const struct sdp_media *agreed; // the sections that have their places
    unsigned agreed_count;
    const struct sdp_media *agreed_data; // NULL: none of them
    const struct bytes *bundle;
    unsigned bundle_count;
    unsigned count; // of sections, in the end
    unsigned data;  // the section of the data channels; UINT_MAX: none
    struct bytes data_mid;
};

static const struct sdp_rtp_local *rtp_at(const struct sdp_local *local, unsigned section)
{
    return section < local->media_count ? local->media[section] : NULL;
}

static bool mid_is_taken(const struct plan *plan, struct bytes mid)
{
    for (unsigned i = 0; i < plan->agreed_count; i++) {
        if (bytes_equal(plan->agreed[i].mid, mid))
            return true;
    }
    for (unsigned i = 0; i < plan->local->media_count; i++) {
        if (plan->local->media[i] && bytes_equal(plan->local->media[i]->mid, mid))
            return true;
    }
    return false;
}

// The mid of the data section, drawn up in `to` when it is new.
static struct bytes data_mid(const struct plan *plan, char to[MID_NUMBER_MAX])
{
    if (plan->agreed_data && plan->agreed_data->port != 0)
        return plan->agreed_data->mid;
    if (plan->local->data_mid.len > 0)
        return plan->local->data_mid;
    unsigned number = plan->data;
    do // RFC 5888 4: mids differ, and those of sections may be the other side's
        snprintf(to, MID_NUMBER_MAX, "%u", number++);
    while (mid_is_taken(plan, bytes_text(to)));
    return bytes_text(to);
}

// Empty: disabled, or without one.
static struct bytes mid_at(const struct plan *plan, unsigned section)
{
    if (section == plan->data)
        return plan->data_mid;
    const struct sdp_rtp_local *rtp = rtp_at(plan->local, section);
    return rtp ? rtp->mid : (struct bytes){NULL, 0};
}

// RFC 9429 5.2.2: the group of before, without what is disabled, and what is new. Returns the
// section that is tagged.
static unsigned put_group_offered(struct text *to, const struct plan *plan)
{
    unsigned none = plan->count, tagged = none;
    for (unsigned i = 0; i < plan->bundle_count; i++) {
        for (unsigned k = 0; k < plan->count; k++) {
            if (is_in(&plan->bundle[i], 1, mid_at(plan, k)))
                put_bundled(to, plan->bundle[i], k, none, &tagged);
        }
    }
    for (unsigned i = 0; i < plan->count; i++) {
        struct bytes mid = mid_at(plan, i);
        if (mid.len > 0 && !is_in(plan->bundle, plan->bundle_count, mid))
            put_bundled(to, mid, i, none, &tagged);
    }
    end_session(to, tagged != none);
    for (unsigned i = 0; i < plan->count && tagged == none; i++) // none has a mid
        tagged = i == plan->data || rtp_at(plan->local, i) ? i : tagged;
    return tagged;
}

static void put_section(struct text *to, const struct plan *plan, unsigned section, bool tagged)
{
    const struct sdp_local *local = plan->local;
    const struct sdp_rtp_local *rtp = rtp_at(local, section);
    const struct sdp_media *before = section < plan->agreed_count ? &plan->agreed[section] : NULL;
    if (section == plan->data && before) {
        put_media_line(to, before, true, local->sctp_port);
        put_data(to, local, plan->data_mid, before->old_sctp, tagged);
    } else if (section == plan->data) {
        text_put(to, "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n");
        put_data(to, local, plan->data_mid, false, tagged);
    } else if (rtp) {
        bool same = before && sdp_is_rtp(before);
        put_rtp(to, local, rtp, same ? before->protocol : bytes_text("UDP/TLS/RTP/SAVPF"), tagged);
    } else { // RFC 3264 8.2
        assert(before);
        put_media_line(to, before, false, local->sctp_port);
        put_refusal(to, local, before, false);
    }
}

static struct plan plan_of(const struct sdp_local *local)
{
    const struct sdp *agreed = local->agreed;
    struct plan plan = {.local = local, .count = local->media_count, .data = UINT_MAX};
    if (agreed) {
        plan.agreed = agreed->media;
        plan.agreed_count = agreed->media_count;
        plan.agreed_data = sdp_data_media(agreed);
        plan.bundle = agreed->bundle;
        plan.bundle_count = agreed->bundle_count;
    }
    if (plan.count < plan.agreed_count)
        plan.count = plan.agreed_count;
    if (local->no_data)
        return plan;
    // RFC 3264 8: the place it has. The first one goes after all others (RFC 9429 5.2.1).
    plan.data = plan.agreed_data ? (unsigned)(plan.agreed_data - plan.agreed) : plan.count++;
    return plan;
}

void sdp_write_offer(struct text *to, const struct sdp_local *local)
{
    char number[MID_NUMBER_MAX];
    struct plan plan = plan_of(local);
    assert(plan.count <= SDP_MEDIA_MAX);
    if (plan.data != UINT_MAX)
        plan.data_mid = data_mid(&plan, number);
    put_session(to, local);
    unsigned tagged = put_group_offered(to, &plan);
    for (unsigned i = 0; i < plan.count; i++)
        put_section(to, &plan, i, i == tagged);
}

// ----------------------------------------------------------------------------------------- answers

static bool data_is_refused(const struct sdp_media *data)
{
    // RFC 8841 10.3: an association that is to be closed is answered with port 0.
    return !data || (data->has_sctp_port && data->sctp_port == 0) ||
           (data->port == 0 && !data->bundle_only);
}

// RFC 9143 7.3.1: in the group goes what was in the offer's and is accepted. Returns the section
// that is tagged, or without a group the first that is accepted.
static unsigned put_group_answered(struct text *to, const struct sdp_local *local,
                                   const struct sdp *offer, const struct sdp_media *data)
{
    unsigned none = offer->media_count, tagged = none, first = none;
    for (unsigned i = none; i-- > 0;)
        first = &offer->media[i] == data || rtp_at(local, i) ? i : first;
    for (unsigned i = 0; i < offer->bundle_count; i++) {
        for (unsigned k = 0; k < offer->media_count; k++) {
            const struct sdp_media *media = &offer->media[k];
            bool accepted = media == data || rtp_at(local, k);
            if (accepted && is_in(&offer->bundle[i], 1, media->mid))
                put_bundled(to, media->mid, k, none, &tagged);
        }
    }
    end_session(to, tagged != none);
    return tagged == none ? first : tagged;
}

void sdp_write_answer(struct text *to, const struct sdp_local *local, const struct sdp *offer)
{
    const struct sdp_media *data = sdp_data_media(offer);
    data = local->no_data || data_is_refused(data) ? NULL : data;
    put_session(to, local);
    unsigned tagged = put_group_answered(to, local, offer, data);
    for (unsigned i = 0; i < offer->media_count; i++) {
        const struct sdp_media *media = &offer->media[i];
        if (rtp_at(local, i)) {
            put_rtp(to, local, rtp_at(local, i), media->protocol, i == tagged);
        } else if (media == data) {
            put_media_line(to, media, true, local->sctp_port);
            put_data(to, local, media->mid, media->old_sctp, i == tagged);
        } else {
            put_media_line(to, media, false, local->sctp_port);
            bool own = tagged == offer->media_count ||
                       !bytes_equal(media->ufrag, offer->media[tagged].ufrag);
            put_refusal(to, local, media, own);
        }
    }
}
