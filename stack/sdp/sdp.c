// The rules of offer and answer (RFC 3264, RFC 9429 5) for data channel sections.
#include "stack/sdp/sdp_priv.h"
#include "stack/sdp/sdp_rtp.h"

const char *sdp_outcome_name(enum sdp_outcome outcome)
{
    static const char *const names[SDP_OUTCOMES] = {
        [SDP_OK] = "ok",
        [SDP_TOO_LONG] = "too long",
        [SDP_BAD_LINE] = "bad line",
        [SDP_BAD_ORDER] = "line out of order",
        [SDP_MISSING] = "required line missing",
        [SDP_BAD_VERSION] = "bad version",
        [SDP_BAD_ORIGIN] = "bad origin",
        [SDP_BAD_TIME] = "bad time",
        [SDP_BAD_CONNECTION] = "bad connection",
        [SDP_BAD_MEDIA] = "bad media line",
        [SDP_BAD_ATTRIBUTE] = "bad attribute",
        [SDP_TOO_MANY_MEDIA] = "too many media sections",
    };
    return names[outcome];
}

static bool is_data(const struct sdp_media *media)
{
    if (!bytes_is(media->kind, "application"))
        return false;
    // RFC 8841 4: the two protocols of today; RFC 9429 5.1.2: and the one of older drafts.
    if (bytes_is(media->protocol, "DTLS/SCTP"))
        return media->old_sctp;
    return (bytes_is(media->protocol, "UDP/DTLS/SCTP") ||
            bytes_is(media->protocol, "TCP/DTLS/SCTP")) &&
           bytes_is(media->formats, "webrtc-datachannel");
}

const struct sdp_media *sdp_data_media(const struct sdp *sdp)
{
    for (unsigned i = 0; i < sdp->media_count; i++)
        if (is_data(&sdp->media[i]))
            return &sdp->media[i];
    return NULL;
}

static const struct sdp_media *media_of_mid(const struct sdp *sdp, struct bytes mid)
{
    for (unsigned i = 0; i < sdp->media_count; i++)
        if (sdp->media[i].mid.len > 0 && bytes_equal(sdp->media[i].mid, mid))
            return &sdp->media[i];
    return NULL;
}

static bool in_bundle(const struct sdp *sdp, struct bytes mid)
{
    for (unsigned i = 0; i < sdp->bundle_count; i++)
        if (bytes_equal(sdp->bundle[i], mid))
            return true;
    return false;
}

static bool in_use(const struct sdp_media *media)
{
    return media && (media->port != 0 || media->bundle_only);
}

const struct sdp_media *sdp_transport_media(const struct sdp *sdp)
{
    static const bool none[SDP_MEDIA_MAX];
    return sdp_transport_media_but(sdp, none);
}

const struct sdp_media *sdp_transport_media_but(const struct sdp *sdp,
                                                const bool rejected[SDP_MEDIA_MAX])
{
    for (unsigned i = 0; i < sdp->bundle_count; i++) {
        const struct sdp_media *media = media_of_mid(sdp, sdp->bundle[i]);
        if (in_use(media) && !rejected[media - sdp->media] && (is_data(media) || sdp_is_rtp(media)))
            return media;
    }
    const struct sdp_media *data = sdp_data_media(sdp);
    for (unsigned i = 0; i < sdp->media_count && !in_use(data); i++) {
        if (in_use(&sdp->media[i]) && !rejected[i] && sdp_is_rtp(&sdp->media[i]))
            return &sdp->media[i];
    }
    return data;
}

bool sdp_is_bundled(const struct sdp *sdp, const struct sdp_media *media,
                    const struct sdp_media *transport)
{
    return media == transport || (media->mid.len > 0 && in_bundle(sdp, media->mid) &&
                                  transport->mid.len > 0 && in_bundle(sdp, transport->mid));
}

const char *sdp_transport_check(const struct sdp *sdp, const struct sdp_media *media, bool ice_only)
{
    // RFC 9143 7.1.1: every identification tag of the group is that of a section.
    for (unsigned i = 0; i < sdp->bundle_count; i++)
        if (!media_of_mid(sdp, sdp->bundle[i]))
            return "a=group:BUNDLE names a mid that no section has";
    if (!media)
        return "no data channel section";
    bool data = is_data(media);
    if (!in_use(media))
        return data ? "the data channel section is rejected" : "every section is rejected";
    if (media->ufrag.len == 0 || media->pwd.len == 0)
        return data ? "the data channel section has no ICE credentials"
                    : "the section of the transport has no ICE credentials";
    if (ice_only)
        return NULL;
    if (media->fingerprints_count == 0)
        return data ? "the data channel section has no fingerprint"
                    : "the section of the transport has no fingerprint";
    if (media->setup == SDP_SETUP_NONE)
        return data ? "the data channel section has no a=setup"
                    : "the section of the transport has no a=setup";
    if (media->setup == SDP_SETUP_HOLDCONN) // RFC 8842 5.1: MUST NOT be used with DTLS
        return "a=setup:holdconn is not allowed with DTLS";
    return NULL;
}

const char *sdp_data_check(const struct sdp *sdp, const struct sdp_media *media, bool ice_only)
{
    const char *why = sdp_transport_check(sdp, media, ice_only);
    if (why || ice_only)
        return why;
    if (!media->has_sctp_port)
        return "the data channel section has no a=sctp-port";
    if (media->sctp_port == 0) // RFC 8841 10.3: the association is closed
        return "a=sctp-port:0 closes the association";
    return NULL;
}

bool sdp_dtls_role(enum sdp_setup offer, enum sdp_setup answer, bool we_offered,
                   enum dtls_role *out)
{
    bool answerer_active;
    // RFC 4145 4.1: the table, without holdconn (RFC 8842 5.1).
    if (answer == SDP_SETUP_ACTIVE && (offer == SDP_SETUP_ACTPASS || offer == SDP_SETUP_PASSIVE))
        answerer_active = true;
    else if (answer == SDP_SETUP_PASSIVE &&
             (offer == SDP_SETUP_ACTPASS || offer == SDP_SETUP_ACTIVE))
        answerer_active = false;
    else
        return false;
    *out = answerer_active == !we_offered ? DTLS_CLIENT : DTLS_SERVER;
    return true;
}

static const char *section_check(const struct sdp *answer, const struct sdp_media *offered,
                                 const struct sdp_media *answered)
{
    // RFC 3264 6: the same sections, in the same order, of the same kind and protocol.
    if (!bytes_equal(offered->kind, answered->kind))
        return "the answer has another kind of media in a section";
    if (!bytes_equal(offered->protocol, answered->protocol))
        return "the answer has another protocol in a section";
    // RFC 5888 9.1: the mid of a section is that of the offer.
    if (!bytes_equal(offered->mid, answered->mid))
        return "the answer has another mid in a section";
    // RFC 3264 6: a section with port 0 in the offer is rejected, unless bundle-only.
    if (offered->port == 0 && !offered->bundle_only && answered->port != 0)
        return "the answer accepts a section that the offer disabled";
    // RFC 9143 7.3.3: a rejected section is in no group.
    if (answered->port == 0 && answered->mid.len > 0 && in_bundle(answer, answered->mid))
        return "the answer bundles a section that it rejects";
    return NULL;
}

const char *sdp_answer_check(const struct sdp *offer, const struct sdp *answer)
{
    if (offer->media_count != answer->media_count)
        return "the answer has another number of sections than the offer";
    for (unsigned i = 0; i < offer->media_count; i++) {
        const char *why = section_check(answer, &offer->media[i], &answer->media[i]);
        if (why)
            return why;
    }
    for (unsigned i = 0; i < answer->bundle_count; i++) // RFC 9143 7.3: no more than was offered
        if (!in_bundle(offer, answer->bundle[i]))
            return "the answer bundles a mid that the offer did not";
    const struct sdp_media *answered = sdp_transport_media(answer);
    if (!answered)
        return NULL;
    const struct sdp_media *offered = &offer->media[answered - answer->media];
    enum dtls_role role;
    // RFC 8842 5.3: active or passive, as the offer allows. Without DTLS in either: nothing to say.
    bool dtls = offered->setup != SDP_SETUP_NONE || answered->setup != SDP_SETUP_NONE;
    if (answered->port != 0 && dtls && !sdp_dtls_role(offered->setup, answered->setup, true, &role))
        return "the answer's a=setup does not fit the offer's";
    return NULL;
}
