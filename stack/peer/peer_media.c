// Audio and video over the selected pair: what descriptions agree on for each track, SRTP under the
// keys of DTLS, packets between the session (stack/media) and the network.
#include "stack/peer/peer_media_priv.h"

#include "base/arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define RELAY_OVERHEAD 52 // see peer_data.c
static_assert(PEER_TRACKS_MAX < SDP_MEDIA_MAX && PEER_TRACKS_MAX <= MEDIA_TRACKS_MAX,
              "a section for each track, and one for the data channels");
#define CLEAR_MAX 64 // packets of PEER_CLEAR that wait for poll

// ------------------------------------------------------------------------------------------- life

static size_t media_mtu(const struct peer *p)
{
    bool relays = false;
    for (unsigned i = 0; i < p->config.servers_count; i++)
        relays = relays || p->config.servers[i].kind == PEER_TURN;
    size_t mtu = peer_mtu(p) - (relays ? RELAY_OVERHEAD : 0) - SECURE_OVERHEAD_MAX;
    return mtu < RTP_PACKET_MAX ? mtu : RTP_PACKET_MAX; // what its packets have room for
}

static void media_make(struct peer *p)
{
    if (p->media)
        return;
    struct media_config config = {.cname = p->config.name,
                                  .rng = &p->rng,
                                  .mtu = media_mtu(p),
                                  .control = p->config.media_control,
                                  .start_bps = p->config.media_start_bps,
                                  .min_bps = p->config.media_min_bps,
                                  .max_bps = p->config.media_max_bps,
                                  .clock_ppb = p->config.media_clock_ppb,
                                  .trace = trace_part(&p->trace, "media")};
    p->media = media_new(&config);
}

int peer_media_track_add(struct peer *p, const struct media_track_config *config)
{
    if (p->config.ice_only || p->closing != PEER_OPEN)
        return -1;
    media_make(p);
    if (media_tracks(p->media) == PEER_TRACKS_MAX)
        return -1;
    int track = media_track_add(p->media, config);
    if (track >= 0)
        p->tracks[track] = (struct peer_track){.section = -1,
                                               .direction = (config->send ? SDP_SENDS : 0) |
                                                            (config->receive ? SDP_RECEIVES : 0)};
    return track;
}

void peer_media_track_direct(struct peer *p, unsigned track, bool send, bool receive)
{
    if (track >= peer_tracks(p))
        return;
    const struct media_track_config *config = media_track_config(p->media, track);
    p->tracks[track].direction =
        (send && config->send ? SDP_SENDS : 0) | (receive && config->receive ? SDP_RECEIVES : 0);
}

void peer_media_track_stop(struct peer *p, unsigned track)
{
    if (track >= peer_tracks(p))
        return;
    p->tracks[track].stopped = p->tracks[track].ended = true;
    media_track_stop(p->media, track);
}

void peer_media_free(struct peer *p)
{
    media_free(p->media);
    secure_free(p->secure);
    text_free(&p->clear);
}

bool peer_media_codec_parameters(const struct peer *p, unsigned track, unsigned payload_type,
                                 struct text *to)
{
    static struct sdp theirs; // one thread, and done with when this returns
    static struct sdp_rtp rtp;
    if (!p->has_accepted || track >= peer_tracks(p) || p->tracks[track].section < 0 ||
        sdp_parse(text_bytes(&p->accepted), &theirs) != SDP_OK)
        return false;
    unsigned section = (unsigned)p->tracks[track].section;
    if (section >= theirs.media_count)
        return false;
    sdp_rtp_parse(&theirs, &theirs.media[section], &rtp);
    for (unsigned i = 0; i < rtp.formats_count; i++) {
        if (rtp.formats[i].type != payload_type || rtp.formats[i].fmtp.len == 0)
            continue;
        text_add(to, rtp.formats[i].fmtp);
        return true;
    }
    return false;
}

// ------------------------------------------------------------------------------------ keys and
// flow

const char *peer_media_profiles(const struct peer *p)
{
    static const char *const texts[8] = {
        NULL,
        "SRTP_AES128_CM_SHA1_80",
        "SRTP_AEAD_AES_128_GCM",
        "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80",
        "SRTP_AEAD_AES_256_GCM",
        "SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_SHA1_80",
        "SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM",
        "SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80",
    };
    return texts[p->config.srtp_profiles & 7];
}

void peer_media_start(struct peer *p, nanotime now)
{
    uint8_t material[SECURE_MATERIAL_MAX];
    if (!p->media || p->secure || !p->dtls || dtls_state(p->dtls) != DTLS_CONNECTED)
        return;
    enum secure_profile profile = dtls_srtp_profile(p->dtls);
    size_t len = 2 * (secure_key_len(profile) + secure_salt_len(profile));
    if (len == 0 || !dtls_srtp_material(p->dtls, material, len)) {
        trace(&p->trace, now, "no SRTP: no profile was agreed on");
        return;
    }
    struct secure_config config = {.profile = profile,
                                   .material = bytes_of(material, len),
                                   .client = dtls_role(p->dtls) == DTLS_CLIENT};
    p->secure = secure_new(&config);
    if (!p->secure)
        return;
    p->stats.srtp_profile = profile;
    trace(&p->trace, now, "SRTP by %s", secure_profile_name(profile));
    media_start(p->media, now);
    p->changed = true;
}

void peer_media_selected(struct peer *p, nanotime now, const struct ice_pair *pair)
{
    struct peer_pair here = {pair->local.base, pair->remote.addr};
    bool another =
        !addr_equal(&here.local, &p->route.local) || !addr_equal(&here.remote, &p->route.remote);
    if (p->media && another && p->has_route)
        media_route_changed(p->media, now);
    p->route = here;
    p->has_route = true;
}

// A copy for PEER_CLEAR: lengths and addresses before the bytes.
static void clear_keep(struct peer *p, const struct addr *from, const struct addr *to,
                       struct bytes bytes)
{
    struct peer_clear head = {*from, *to, bytes.len};
    if (!p->config.clear_media || p->clear.len > CLEAR_MAX * (sizeof head + RTP_PACKET_MAX))
        return;
    text_add(&p->clear, bytes_of(&head, sizeof head));
    text_add(&p->clear, bytes);
}

static bool clear_next(struct peer *p, struct peer_output *out)
{
    struct peer_clear head;
    if (p->clear_at >= p->clear.len) {
        if (p->clear.len)
            text_clear(&p->clear);
        p->clear_at = 0;
        return false;
    }
    memcpy(&head, p->clear.at + p->clear_at, sizeof head);
    p->clear_at += sizeof head;
    struct bytes bytes = bytes_of(p->clear.at + p->clear_at, head.len);
    p->clear_at += head.len;
    *out = (struct peer_output){.kind = PEER_CLEAR, .datagram = {head.from, head.to, bytes}};
    return true;
}

enum peer_drop peer_media_input(struct peer *p, nanotime now, const struct datagram *datagram)
{
    size_t len = datagram->bytes.len;
    if (!p->media)
        return PEER_UNKNOWN_PROTOCOL;
    if (!peer_is_authenticated(p, datagram))
        return PEER_UNAUTHENTICATED;
    peer_count_received(p, now, datagram, &p->stats.media_received);
    if (!p->secure) // browsers keep nothing of it either; what counts is asked for again
        return p->dtls && dtls_state(p->dtls) == DTLS_CONNECTED
                   ? peer_datagram_refuse(p, "DTLS", "no SRTP was agreed on")
                   : PEER_BEFORE_KEYS;
    if (len > sizeof p->wire)
        return peer_datagram_refuse(p, "SRTP", "longer than any packet");
    memcpy(p->wire, datagram->bytes.at, len);
    bool rtcp = rtp_is_rtcp(datagram->bytes);
    enum secure_outcome outcome = rtcp ? secure_open_rtcp(p->secure, p->wire, &len)
                                       : secure_open_rtp(p->secure, p->wire, &len);
    if (outcome != SECURE_OK)
        return peer_datagram_refuse(p, "SRTP", secure_outcome_name(outcome));
    struct bytes clear = bytes_of(p->wire, len);
    clear_keep(p, &datagram->from, &datagram->to, clear);
    enum media_drop drop =
        rtcp ? media_input_rtcp(p->media, now, clear) : media_input_rtp(p->media, now, clear);
    return drop == MEDIA_KEPT ? PEER_KEPT : peer_datagram_refuse(p, "media", media_drop_name(drop));
}

static enum peer_step packet_out(struct peer *p, nanotime now, const struct media_output *got,
                                 struct peer_output *out)
{
    const struct ice_pair *pair = ice_agent_selected(p->ice);
    size_t len = got->bytes.len;
    if (!pair || !ice_agent_may_send(p->ice) || len > sizeof p->wire)
        return PEER_WORKED; // RFC 7675 5.1: what is due without consent is lost
    memcpy(p->wire, got->bytes.at, len);
    clear_keep(p, &pair->local.base, &pair->remote.addr, got->bytes);
    enum secure_outcome outcome =
        got->kind == MEDIA_SEND_RTCP ? secure_protect_rtcp(p->secure, p->wire, &len, sizeof p->wire)
                                     : secure_protect_rtp(p->secure, p->wire, &len, sizeof p->wire);
    if (outcome != SECURE_OK) {
        trace(&p->trace, now, "SRTP does not protect: %s", secure_outcome_name(outcome));
        return PEER_WORKED;
    }
    return peer_send_data(p, now, bytes_of(p->wire, len), &p->stats.media_sent, out);
}

enum peer_step peer_media_poll(struct peer *p, nanotime now, struct peer_output *out)
{
    struct media_output got;
    if (!p->secure)
        return PEER_IDLE;
    if (p->config.clear_media && clear_next(p, out))
        return PEER_OUTPUT;
    if (!media_poll(p->media, now, &got))
        return PEER_IDLE;
    switch (got.kind) {
    case MEDIA_SEND_RTP:
    case MEDIA_SEND_RTCP:
        return packet_out(p, now, &got, out);
    case MEDIA_FRAME:
        *out = (struct peer_output){
            .kind = PEER_FRAME, .track = got.track, .bytes = got.bytes, .timestamp = got.timestamp};
        return PEER_OUTPUT;
    case MEDIA_DIGIT:
        *out = (struct peer_output){.kind = PEER_DIGIT, .track = got.track, .digit = got.digit};
        return PEER_OUTPUT;
    case MEDIA_CHANGED:
        p->changed = true;
        break;
    }
    return PEER_WORKED;
}

nanotime peer_media_deadline(const struct peer *p)
{
    if (!p->secure)
        return TIME_NEVER;
    return p->clear_at < p->clear.len ? 0 : media_deadline(p->media);
}

void peer_media_close(struct peer *p, nanotime now)
{
    if (p->media)
        media_stop(p->media, now);
}
