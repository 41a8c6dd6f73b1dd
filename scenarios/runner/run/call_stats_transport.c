// getStats() of all but media: the connection, its transport, pairs, candidates, certificates,
// channels. The names of pairs and candidates have numbers that an ICE agent never uses again.
#include "scenarios/runner/run/call_stats_priv.h"

#include <stddef.h>
#include <stdio.h>

#define PAIR(field, unit, meaning)                                                                 \
    {                                                                                              \
        PAIR_PREFIX #field, UNIT_##unit, offsetof(struct ice_pair_stats, field), meaning, NULL     \
    }
const struct media_member pair_members[] = {
    PAIR(packetsSent, COUNT, "DTLS, SRTP and SRTCP on the selected pair, no checks"),
    PAIR(packetsReceived, COUNT, "DTLS, SRTP and SRTCP on the selected pair, no checks"),
    PAIR(bytesSent, COUNT, "of those, payload of UDP"),
    PAIR(bytesReceived, COUNT, "of those, payload of UDP"),
    PAIR(packetsDiscardedOnSend, COUNT, "that nothing would send: its relay is gone"),
    PAIR(bytesDiscardedOnSend, COUNT, "of those, payload of UDP"),
    PAIR(lastPacketSentTimestamp, TIME, "when the last of those went out"),
    PAIR(lastPacketReceivedTimestamp, TIME, "when the last of those came"),
    PAIR(requestsSent, COUNT, "checks, without retransmissions and consent"),
    PAIR(consentRequestsSent, COUNT, "consent checks"),
    PAIR(requestsReceived, COUNT, "of both kinds, with retransmissions"),
    PAIR(responsesSent, COUNT, "to those"),
    PAIR(responsesReceived, COUNT, "to checks of both kinds"),
    PAIR(currentRoundTripTime, TIME,
         "by the latest response to a check, from when that was sent last"),
    PAIR(totalRoundTripTime, TIME, "sum of those of all responses"),
    {0},
};

// ----------------------------------------------------------------------------------------- the ids

static const char *numbered(char id[CALL_STATS_ID_MAX], const char *what, unsigned number)
{
    snprintf(id, CALL_STATS_ID_MAX, "%s-%u", what, number);
    return id;
}

static const char *candidate_id(char id[CALL_STATS_ID_MAX], bool local, unsigned number)
{
    return numbered(id, local ? "local-candidate" : "remote-candidate", number);
}

static const char *pair_id(char id[CALL_STATS_ID_MAX], unsigned number)
{
    return numbered(id, "candidate-pair", number);
}

// ----------------------------------------------------------------------------------- the transport

// The number of the selected pair. False: there is none.
static bool selected_number(const struct call_stats_view *view, unsigned *number)
{
    const struct peer_ops *ops = view->run->ops;
    struct ice_pair_info info;
    for (unsigned i = 0; ops->pair && ops->pair(view->peer->peer, i, &info); i++) {
        *number = info.number;
        if (info.selected)
            return true;
    }
    return false;
}

static const char *dtls_role_of(const struct peer_stats *s)
{
    if (s->dtls_state == DTLS_NEW)
        return "unknown"; // RTCDtlsRole
    return s->dtls_role == DTLS_CLIENT ? "client" : "server";
}

static void put_transport(struct call_stats_view *view)
{
    const struct peer_stats *s = &view->stats;
    struct stats *to = view->to;
    bool up = s->dtls_state == DTLS_CONNECTED;
    char id[CALL_STATS_ID_MAX];
    unsigned selected;
    stats_object(to, "transport", "transport");
    // RTCTransportStats counts what goes over the selected pair, and no checks of ICE.
    stats_number(to, "packetsSent", (int64_t)(s->dtls_sent + s->media_sent));
    stats_number(to, "packetsReceived", (int64_t)(s->dtls_received + s->media_received));
    stats_number(to, "bytesSent", (int64_t)s->bytes_sent);
    stats_number(to, "bytesReceived", (int64_t)s->bytes_received);
    stats_text(to, "iceRole", s->ice_role == ICE_CONTROLLING ? "controlling" : "controlled");
    stats_text(to, "iceLocalUsernameFragment", s->ufrag);
    stats_text(to, "iceState", ice_state_name(s->ice_state));
    stats_text(to, "dtlsState", dtls_state_name(s->dtls_state));
    stats_text(to, "selectedCandidatePairId",
               selected_number(view, &selected) ? pair_id(id, selected) : NULL);
    stats_number(to, "selectedCandidatePairChanges", s->ice.selections);
    stats_text(to, "localCertificateId", "certificate");
    stats_text(to, "remoteCertificateId", up ? "remote-certificate" : NULL);
    stats_text(to, "tlsVersion", up ? "FEFD" : NULL); // DTLS 1.2
    stats_text(to, "dtlsCipher", s->dtls_cipher);
    stats_text(to, "srtpCipher",
               s->srtp_profile == SECURE_NONE ? NULL : secure_profile_name(s->srtp_profile));
    stats_text(to, "dtlsRole", dtls_role_of(s));
    stats_number(to, "ccfbMessagesSent", (int64_t)view->media.ccfbMessagesSent);
    stats_number(to, "ccfbMessagesReceived", (int64_t)view->media.ccfbMessagesReceived);
}

// W3C: url and relayProtocol are of local candidates that a server gave.
static void put_server(struct stats *to, const struct ice_candidate *candidate)
{
    static const char *const schemes[] = {"", "stun", "turn", "turn"};
    static const char *const queries[] = {"", "", "?transport=udp", "?transport=tcp"};
    enum ice_server kind = candidate->server_kind;
    char server[ADDR_TEXT_MAX], url[ADDR_TEXT_MAX + 32];
    if (kind == ICE_NO_SERVER)
        return;
    snprintf(url, sizeof url, "%s:%s%s", schemes[kind], addr_print(&candidate->server, server),
             queries[kind]);
    stats_text(to, "url", url);
    if (candidate->type == ICE_RELAY)
        stats_text(to, "relayProtocol", kind == ICE_TURN_TCP ? "tcp" : "udp");
}

static void put_candidate(struct stats *to, const struct ice_candidate_info *info, bool local)
{
    const struct ice_candidate *candidate = info->candidate;
    char address[IP_TEXT_MAX], id[CALL_STATS_ID_MAX];
    stats_object(to, local ? "local-candidate" : "remote-candidate",
                 candidate_id(id, local, info->number));
    stats_text(to, "transportId", "transport");
    stats_text(to, "address", ip_print(&candidate->addr.ip, address));
    stats_number(to, "port", candidate->addr.port);
    stats_text(to, "protocol", "udp");
    stats_text(to, "candidateType", ice_candidate_type_name(candidate->type));
    stats_number(to, "priority", candidate->priority);
    put_server(to, candidate);
    stats_text(to, "foundation", candidate->foundation[0] ? candidate->foundation : NULL);
    if (!addr_is_none(&candidate->related)) {
        stats_text(to, "relatedAddress", ip_print(&candidate->related.ip, address));
        stats_number(to, "relatedPort", candidate->related.port);
    }
    stats_text(to, "usernameFragment", info->ufrag);
}

static void put_candidates(struct call_stats_view *view, bool local)
{
    const struct peer_ops *ops = view->run->ops;
    struct ice_candidate_info info;
    for (unsigned i = 0; ops->candidate && ops->candidate(view->peer->peer, local, i, &info); i++)
        put_candidate(view->to, &info, local);
}

static void put_pair(struct call_stats_view *view, const struct ice_pair_info *info)
{
    struct stats *to = view->to;
    char id[CALL_STATS_ID_MAX];
    stats_object(to, "candidate-pair", pair_id(id, info->number));
    stats_text(to, "transportId", "transport");
    stats_text(to, "localCandidateId", candidate_id(id, true, info->local_number));
    stats_text(to, "remoteCandidateId", candidate_id(id, false, info->remote_number));
    stats_text(to, "state", info->state);
    stats_bool(to, "nominated", info->nominated);
    for (const struct media_member *m = pair_members; m->name; m++)
        call_stats_member(to, m->name + strlen(PAIR_PREFIX), m, info->stats);
    if (!info->selected)
        return;
    if (view->media.availableOutgoingBitrate)
        stats_number(to, "availableOutgoingBitrate", (int64_t)view->media.availableOutgoingBitrate);
    if (view->media.availableIncomingBitrate)
        stats_number(to, "availableIncomingBitrate", (int64_t)view->media.availableIncomingBitrate);
}

static void put_pairs(struct call_stats_view *view)
{
    const struct peer_ops *ops = view->run->ops;
    struct ice_pair_info info;
    for (unsigned i = 0; ops->pair && ops->pair(view->peer->peer, i, &info); i++)
        put_pair(view, &info);
}

// -------------------------------------------------------------------------------------- the others

static unsigned identity_of(const struct run_peer *peer)
{
    return peer->scenario->identity_given ? peer->scenario->config.identity : peer->index;
}

// Self-signed: there is no issuerCertificateId.
static void put_certificate(struct stats *to, const char *id, unsigned identity)
{
    const struct dtls_identity *of = dtls_identity_pooled(identity);
    const struct dtls_fingerprint *fingerprint = dtls_identity_fingerprint(of);
    stats_object(to, "certificate", id);
    stats_text(to, "fingerprint", fingerprint->value);
    stats_text(to, "fingerprintAlgorithm", fingerprint->hash);
    stats_text(to, "base64Certificate", dtls_identity_certificate(of));
}

static void put_channel(struct stats *to, unsigned channel, const struct peer_channel_stats *c)
{
    char id[CALL_STATS_ID_MAX], text[CHANNEL_LABEL_MAX] = "";
    stats_object(to, "data-channel", numbered(id, "channel", channel));
    (void)bytes_copy_text(c->label, text, sizeof text);
    stats_text(to, "label", text);
    (void)bytes_copy_text(c->protocol, text, sizeof text);
    stats_text(to, "protocol", text);
    if (c->has_id)
        stats_number(to, "dataChannelIdentifier", c->id);
    stats_text(to, "state", channel_state_name(c->state));
    stats_number(to, "messagesSent", c->counts.messages_sent);
    stats_number(to, "bytesSent", (int64_t)c->counts.bytes_sent);
    stats_number(to, "messagesReceived", c->counts.messages_received);
    stats_number(to, "bytesReceived", (int64_t)c->counts.bytes_received);
}

// Those that are open now.
static unsigned put_channels(struct call_stats_view *view)
{
    const struct peer_ops *ops = view->run->ops;
    struct peer_channel_stats stats;
    unsigned open = 0;
    for (unsigned i = 0; ops->channel_stats && ops->channel_stats(view->peer->peer, i, &stats);
         i++) {
        put_channel(view->to, i, &stats);
        open += stats.state == CHANNEL_OPEN;
    }
    return open;
}

void call_stats_transport(struct call_stats_view *view)
{
    struct run_peer *peer = view->peer;
    unsigned open = put_channels(view), opened = view->stats.channels_opened;
    stats_object(view->to, "peer-connection", "peer-connection");
    stats_number(view->to, "dataChannelsOpened", opened);
    // Left the state "open", whatever became of them since.
    stats_number(view->to, "dataChannelsClosed", opened - (open < opened ? open : opened));
    put_certificate(view->to, "certificate", identity_of(peer));
    if (view->stats.dtls_state == DTLS_CONNECTED)
        put_certificate(view->to, "remote-certificate",
                        identity_of(&view->run->peers[peer->remote]));
    put_transport(view);
    put_candidates(view, true);
    put_candidates(view, false);
    put_pairs(view);
}
