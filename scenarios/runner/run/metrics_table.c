// The metrics of peers, channels, servers, LANs and the run.
#include "scenarios/runner/live/live_run.h"
#include "scenarios/runner/run/metrics_priv.h"

#include <stddef.h>

// ------------------------------------------------------------------------------------------- words

static const char *const peer_states[] = {"new",    "connecting", "connected", "disconnected",
                                          "failed", "closed",     NULL};
static const char *const signaling_states[] = {"stable", "have-local-offer", "have-remote-offer",
                                               "closed", NULL};
static const char *const gathering_states[] = {"new", "gathering", "complete", NULL};
static const char *const ice_states[] = {"new",          "checking", "connected", "completed",
                                         "disconnected", "failed",   "closed",    NULL};
static const char *const ice_failures[] = {"none", "no-remote-candidates", "checks-failed",
                                           "consent-expired", NULL};
static const char *const ice_roles[] = {"controlled", "controlling", NULL};
static const char *const candidate_types[] = {"none", "host", "srflx", "prflx", "relay", NULL};
static const char *const paths[] = {"none", "direct", "relay", NULL};
static const char *const dtls_states[] = {"new",    "connecting", "connected",
                                          "closed", "failed",     NULL};
static const char *const srtp_profiles[] = {"none", "aes-cm-80", "aes-gcm-128", "aes-gcm-256",
                                            NULL};
static const char *const dtls_roles[] = {"client", "server", NULL};
static const char *const sctp_states[] = {"new", "connecting", "connected", "closed", NULL};

static struct value word(const char *text)
{
    return (struct value){.kind = VALUE_WORD, .word = text};
}

static struct value boolean(bool b)
{
    return (struct value){.kind = VALUE_BOOL, .number = b};
}

struct value metrics_number(uint64_t n)
{
    return (struct value){.kind = VALUE_NUMBER, .number = (int64_t)n};
}

const struct peer_stats *metrics_peer(struct run *run, const struct metric_ref *ref)
{
    return peer_stats_now(&run->peers[ref->index]);
}

static struct value get_state(struct run *run, const struct metric_ref *ref)
{
    return word(peer_states[metrics_peer(run, ref)->state]);
}

static struct value get_signaling(struct run *run, const struct metric_ref *ref)
{
    return word(signaling_states[metrics_peer(run, ref)->signaling]);
}

static struct value get_gathering(struct run *run, const struct metric_ref *ref)
{
    return word(gathering_states[metrics_peer(run, ref)->gathering]);
}

static struct value get_ice_state(struct run *run, const struct metric_ref *ref)
{
    return word(ice_states[metrics_peer(run, ref)->ice_state]);
}

static struct value get_ice_failure(struct run *run, const struct metric_ref *ref)
{
    return word(ice_failures[metrics_peer(run, ref)->ice_failure]);
}

static struct value get_ice_role(struct run *run, const struct metric_ref *ref)
{
    return word(ice_roles[metrics_peer(run, ref)->ice_role]);
}

static struct value get_selected(struct run *run, const struct metric_ref *ref)
{
    const struct peer_stats *stats = metrics_peer(run, ref);
    return word(stats->has_selected ? candidate_types[1 + stats->selected.local.type] : "none");
}

static struct value get_selected_remote(struct run *run, const struct metric_ref *ref)
{
    const struct peer_stats *stats = metrics_peer(run, ref);
    return word(stats->has_selected ? candidate_types[1 + stats->selected.remote.type] : "none");
}

static struct value get_nominated(struct run *run, const struct metric_ref *ref)
{
    const struct peer_stats *stats = metrics_peer(run, ref);
    return boolean(stats->has_selected && stats->selected.nominated);
}

// Relayed on either side: the other's relayed address may have been learned as peer-reflexive, so
// both ends' own views count.
static struct value get_path(struct run *run, const struct metric_ref *ref)
{
    struct run_peer *peer = &run->peers[ref->index];
    const struct peer_stats *stats = metrics_peer(run, ref);
    if (run->live && strcmp(live_run_path(run, peer), "none") != 0)
        return word(live_run_path(run, peer));
    if (!stats->has_selected)
        return word("none");
    bool relay = peer_is_relayed(peer) || stats->selected.remote.type == ICE_RELAY;
    if (peer->session != NO_SESSION)
        relay |= peer_is_relayed(&run->peers[peer->remote]);
    return word(relay ? "relay" : "direct");
}

static struct value get_dtls_state(struct run *run, const struct metric_ref *ref)
{
    return word(dtls_states[metrics_peer(run, ref)->dtls_state]);
}

static struct value get_srtp_profile(struct run *run, const struct metric_ref *ref)
{
    switch (metrics_peer(run, ref)->srtp_profile) {
    case SECURE_AES128_CM_SHA1_80:
        return word(srtp_profiles[1]);
    case SECURE_AEAD_AES_128_GCM:
        return word(srtp_profiles[2]);
    case SECURE_AEAD_AES_256_GCM:
        return word(srtp_profiles[3]);
    case SECURE_NONE:
        break;
    }
    return word(srtp_profiles[0]);
}

static struct value get_dtls_role(struct run *run, const struct metric_ref *ref)
{
    return word(dtls_roles[metrics_peer(run, ref)->dtls_role]);
}

static struct value get_sctp_state(struct run *run, const struct metric_ref *ref)
{
    return word(sctp_states[metrics_peer(run, ref)->sctp_state]);
}

static struct value get_refused_descriptions(struct run *run, const struct metric_ref *ref)
{
    return boolean(metrics_peer(run, ref)->error[0] != 0);
}

// ---------------------------------------------------------------------------------------- captures

static struct capture_counts counts_of(struct run *run, const struct metric_ref *ref)
{
    int capture = world_capture_find(run->world, run->scenario->peers[ref->index].name);
    struct capture_counts none = {0};
    return capture < 0 ? none : capture_counts(run->world, (unsigned)capture);
}

static struct value get_stun_packets(struct run *run, const struct metric_ref *ref)
{
    return metrics_number(counts_of(run, ref).stun);
}

static struct value get_dtls_packets(struct run *run, const struct metric_ref *ref)
{
    return metrics_number(counts_of(run, ref).dtls);
}

// ---------------------------------------------------------------------------------------- channels

const struct channel_track *metrics_channel(struct run *run, const struct metric_ref *ref)
{
    static const struct channel_track none = {
        .opened_at = TIME_NEVER, .first_at = TIME_NEVER, .last_at = TIME_NEVER};
    const struct channel_track *track = traffic_find(&run->peers[ref->index], ref->label);
    return track ? track : &none;
}

static struct value get_channel_state(struct run *run, const struct metric_ref *ref)
{
    const struct channel_track *track = metrics_channel(run, ref);
    return word(track->opened == 0 ? "new" : track->opened > track->closed ? "open" : "closed");
}
static const char *const channel_states[] = {"new", "open", "closed", NULL};

static struct value get_in_order(struct run *run, const struct metric_ref *ref)
{
    return boolean(metrics_channel(run, ref)->out_of_order == 0);
}

static struct value get_intact(struct run *run, const struct metric_ref *ref)
{
    return boolean(metrics_channel(run, ref)->damaged == 0);
}

static struct value get_refused(struct run *run, const struct metric_ref *ref)
{
    return boolean(metrics_channel(run, ref)->refused);
}

// --------------------------------------------------------------------------------- NATs, the world

static struct nat_stats nat_stats_of(struct run *run, const struct metric_ref *ref)
{
    struct nat *nat = gateway_nat(run->gateways[ref->index]);
    if (!nat)
        return (struct nat_stats){0};
    nat_expire(nat, run_now(run));
    return nat_stats(nat);
}

static struct value get_nat_live(struct run *run, const struct metric_ref *ref)
{
    return metrics_number(nat_stats_of(run, ref).live);
}

static struct value get_nat_created(struct run *run, const struct metric_ref *ref)
{
    return metrics_number(nat_stats_of(run, ref).created);
}

static struct value get_nat_expired(struct run *run, const struct metric_ref *ref)
{
    return metrics_number(nat_stats_of(run, ref).expired);
}

static struct value get_delivered(struct run *run, const struct metric_ref *ref)
{
    (void)ref;
    return metrics_number(world_counters(run->world).delivered);
}

// Asked at a moment, or at the end: in a world of thousands it is no thing to watch.
static struct value get_peers_connected(struct run *run, const struct metric_ref *ref)
{
    (void)ref;
    unsigned count = 0;
    for (unsigned i = 0; i < run->scenario->peers_count; i++)
        count += peer_stats_now(&run->peers[i])->state == PEER_CONNECTED;
    return metrics_number(count);
}

static struct value get_sent(struct run *run, const struct metric_ref *ref)
{
    (void)ref;
    return metrics_number(world_counters(run->world).sent);
}

#define PEER_WORD(name, get, words, meaning, rule)                                                 \
    {                                                                                              \
        OF_PEER, name, VALUE_WORD, FIELD_FUNCTION, 0, get, words, "word", meaning, rule            \
    }
#define PEER_BOOL(name, get, meaning)                                                              \
    {                                                                                              \
        OF_PEER, name, VALUE_BOOL, FIELD_FUNCTION, 0, get, NULL, "true or false", meaning, NULL    \
    }
#define PEER_COUNT(name, field, meaning, rule)                                                     \
    {                                                                                              \
        OF_PEER, name, VALUE_NUMBER, FIELD_UNSIGNED, offsetof(struct peer_stats, field), NULL,     \
            NULL, "count", meaning, rule                                                           \
    }
#define PEER_U64(name, field, meaning)                                                             \
    {                                                                                              \
        OF_PEER, name, VALUE_NUMBER, FIELD_U64, offsetof(struct peer_stats, field), NULL, NULL,    \
            "count", meaning, NULL                                                                 \
    }
#define PEER_TIME(name, field, meaning)                                                            \
    {                                                                                              \
        OF_PEER, name, VALUE_TIME, FIELD_TIME, offsetof(struct peer_stats, field), NULL, NULL,     \
            "time of the run, or never", meaning, NULL                                             \
    }
#define CHANNEL_U64(name, field, unit, meaning)                                                    \
    {                                                                                              \
        OF_CHANNEL, name, VALUE_NUMBER, FIELD_U64, offsetof(struct channel_track, field), NULL,    \
            NULL, unit, meaning, "RFC 8831 6"                                                      \
    }
#define CHANNEL_COUNT(name, field, meaning)                                                        \
    {                                                                                              \
        OF_CHANNEL, name, VALUE_NUMBER, FIELD_UNSIGNED, offsetof(struct channel_track, field),     \
            NULL, NULL, "count", meaning, "RFC 8832 5"                                             \
    }
#define CHANNEL_TIME(name, field, meaning)                                                         \
    {                                                                                              \
        OF_CHANNEL, name, VALUE_TIME, FIELD_TIME, offsetof(struct channel_track, field), NULL,     \
            NULL, "time", meaning, NULL                                                            \
    }
#define CHANNEL_BOOL(name, get, meaning, rule)                                                     \
    {                                                                                              \
        OF_CHANNEL, name, VALUE_BOOL, FIELD_FUNCTION, 0, get, NULL, "true or false", meaning, rule \
    }
#define SERVER_COUNT(name, field, meaning)                                                         \
    {                                                                                              \
        OF_SERVER, name, VALUE_NUMBER, FIELD_UNSIGNED, offsetof(struct turn_server_stats, field),  \
            NULL, NULL, "count", meaning, NULL                                                     \
    }
#define SERVER_U64(name, field, meaning)                                                           \
    {                                                                                              \
        OF_SERVER, name, VALUE_NUMBER, FIELD_U64, offsetof(struct turn_server_stats, field), NULL, \
            NULL, "datagrams", meaning, NULL                                                       \
    }
#define LAN_COUNT(name, get, meaning)                                                              \
    {                                                                                              \
        OF_LAN, name, VALUE_NUMBER, FIELD_FUNCTION, 0, get, NULL, "count", meaning, NULL           \
    }
#define DROPPED(drop, name, meaning, rule)                                                         \
    {OF_LAN,                                                                                       \
     "dropped." name,                                                                              \
     VALUE_NUMBER,                                                                                 \
     FIELD_U64,                                                                                    \
     offsetof(struct net_counters, drops[drop]),                                                   \
     NULL,                                                                                         \
     NULL,                                                                                         \
     "packets",                                                                                    \
     meaning ", at this gateway",                                                                  \
     rule},                                                                                        \
    {                                                                                              \
        OF_RUN, "dropped." name, VALUE_NUMBER, FIELD_U64,                                          \
            offsetof(struct net_counters, drops[drop]), NULL, NULL, "packets",                     \
            meaning ", in the whole network", rule                                                 \
    }

const struct metric metrics[] = {
    PEER_WORD("state", get_state, peer_states, "RTCPeerConnectionState", NULL),
    PEER_WORD("signaling", get_signaling, signaling_states, "RTCSignalingState", "RFC 9429 3.2"),
    PEER_WORD("gathering", get_gathering, gathering_states, "RTCIceGatheringState", NULL),
    PEER_WORD("ice.state", get_ice_state, ice_states, "RTCIceTransportState", "RFC 8445 8.1"),
    PEER_WORD("ice.failure", get_ice_failure, ice_failures, "why ICE failed", "RFC 8445 8.1.2"),
    PEER_WORD("ice.role", get_ice_role, ice_roles, "the role at the end", "RFC 8445 6.1.1"),
    PEER_WORD("selected", get_selected, candidate_types,
              "type of the local candidate of the selected pair", "RFC 8445 8.1.1"),
    PEER_WORD("selected.remote", get_selected_remote, candidate_types,
              "type of the remote candidate of the selected pair", "RFC 8445 8.1.1"),
    PEER_WORD("path", get_path, paths, "whether data goes direct or through a relay",
              "RFC 8445 8.1.1"),
    PEER_WORD("dtls.state", get_dtls_state, dtls_states, "RTCDtlsTransportState", "RFC 6347 4.2"),
    PEER_WORD("dtls.role", get_dtls_role, dtls_roles, "from a=setup", "RFC 8842 5.2"),
    PEER_WORD("srtp.profile", get_srtp_profile, srtp_profiles, "how media is protected",
              "RFC 5764 4.1.2"),
    PEER_WORD("sctp.state", get_sctp_state, sctp_states, "RTCSctpTransportState", "RFC 9260 5.1"),
    PEER_BOOL("nominated", get_nominated, "the selected pair is nominated"),
    PEER_BOOL("refused", get_refused_descriptions, "it refused a description or candidate"),
    PEER_TIME("gathered-at", gathered_at, "gathering was complete"),
    PEER_TIME("ice.connected-at", ice_connected_at, "ICE first had a usable pair"),
    PEER_TIME("ice.selected-at", ice.selected_at, "a pair was nominated"),
    PEER_TIME("dtls.connected-at", dtls_connected_at, "the DTLS handshake was done"),
    PEER_TIME("sctp.connected-at", sctp_connected_at, "the association stood"),
    PEER_TIME("connected-at", connected_at, "the connection was first connected"),
    PEER_TIME("disconnected-at", disconnected_at, "it was last disconnected"),
    PEER_TIME("failed-at", failed_at, "it failed"),
    PEER_COUNT("candidates.host", candidates[ICE_HOST], "host candidates gathered",
               "RFC 8445 5.1.1.1"),
    PEER_COUNT("candidates.srflx", candidates[ICE_SRFLX], "server-reflexive candidates gathered",
               "RFC 8445 5.1.1.2"),
    PEER_COUNT("candidates.relay", candidates[ICE_RELAY], "relayed candidates gathered",
               "RFC 8445 5.1.1.2"),
    PEER_COUNT("candidates.remote", remote_candidates, "candidates signaled by the other side",
               "RFC 8838 11"),
    PEER_COUNT("ice.pairs", ice.pairs, "candidate pairs", "RFC 8445 6.1.2"),
    PEER_COUNT("ice.checks-sent", ice.checks_sent, "connectivity checks, without retransmissions",
               NULL),
    PEER_COUNT("ice.checks-received", ice.checks_received, "connectivity checks received", NULL),
    PEER_COUNT("ice.responses-received", ice.responses_received, "responses to our checks", NULL),
    PEER_COUNT("ice.retransmissions", ice.retransmissions, "checks sent again", NULL),
    PEER_COUNT("ice.role-conflicts", ice.role_conflicts, "487 sent or received",
               "RFC 8445 7.3.1.1"),
    PEER_COUNT("ice.consent-checks", ice.consent_checks, "consent checks sent", "RFC 7675 5.1"),
    PEER_COUNT("ice.asymmetric", ice.drops[ICE_ASYMMETRIC], "responses from a wrong address",
               "RFC 8445 7.2.5.2.1"),
    PEER_COUNT("ice.selections", ice.selections,
               "changes of the selected pair (selectedCandidatePairChanges)", NULL),
    PEER_COUNT("restarts", restarts, "ICE restarts", "RFC 8445 9"),
    PEER_COUNT("rollbacks", rollbacks, "offers of its own that it rolled back", "RFC 9429 5.7"),
    PEER_COUNT("srtp.before-keys", drops[PEER_BEFORE_KEYS],
               "packets of media dropped since DTLS had no keys yet", "RFC 5764 4.2"),
    PEER_COUNT("dtls.timeouts", dtls.timeouts, "flights sent again", "RFC 6347 4.2.4"),
    PEER_COUNT("sctp.retransmissions", sctp.retransmissions, "DATA chunks sent again", NULL),
    PEER_COUNT("sctp.abandoned", sctp.messages_abandoned, "messages given up", "RFC 3758 3.5"),
    PEER_COUNT("channels.open", channels_open, "open now", NULL),
    PEER_COUNT("channels.opened", channels_opened, "ever opened", NULL),
    PEER_COUNT("channels.closed", channels_closed, "closed on both sides", "RFC 8831 6.7"),
    PEER_COUNT("turn.allocations", turn_allocations, "allocations made", "RFC 8656 7"),
    PEER_COUNT("turn.refreshes", turn_refreshes, "allocation refreshes answered", "RFC 8656 8"),
    PEER_COUNT("turn.permissions", turn_permissions, "CreatePermission answered", "RFC 8656 9"),
    PEER_COUNT("turn.channel-binds", turn_channel_binds, "ChannelBind answered", "RFC 8656 12"),
    PEER_COUNT("turn.stale-nonces", turn_stale_nonces, "438 received", "RFC 8489 9.2.5"),
    PEER_COUNT("turn.error", turn_error, "the error code that ended an allocation, or 0", NULL),
    PEER_U64("datagrams-sent", datagrams_sent, "by the peer"),
    PEER_U64("datagrams-received", datagrams_received, "by the peer"),
    {OF_PEER, "stun-packets", VALUE_NUMBER, FIELD_FUNCTION, 0, get_stun_packets, NULL, "packets",
     "STUN and TURN ChannelData by UDP in its capture, both ways", NULL},
    {OF_PEER, "dtls-packets", VALUE_NUMBER, FIELD_FUNCTION, 0, get_dtls_packets, NULL, "packets",
     "DTLS by UDP in its capture, both ways, also inside of TURN", NULL},

    {OF_CHANNEL, "state", VALUE_WORD, FIELD_FUNCTION, 0, get_channel_state, channel_states, "word",
     "open while one with this label is", "RFC 8832 5"},
    CHANNEL_COUNT("opened", opened, "channels with this label that opened"),
    CHANNEL_COUNT("closed", closed, "channels with this label that closed again"),
    CHANNEL_U64("sent", sent, "messages", "accepted for sending"),
    CHANNEL_U64("bytes-sent", bytes_sent, "bytes", "of those"),
    CHANNEL_U64("received", received, "messages", "received"),
    CHANNEL_U64("bytes-received", bytes_received, "bytes", "received in messages"),
    CHANNEL_U64("damaged", damaged, "messages", "received with wrong content"),
    CHANNEL_U64("out-of-order", out_of_order, "messages", "received after one sent later"),
    CHANNEL_BOOL("in-order", get_in_order, "no message came after one sent later", "RFC 8831 6.6"),
    CHANNEL_BOOL("intact", get_intact, "every message had its content", "RFC 8831 6.6"),
    CHANNEL_BOOL("refused", get_refused, "an open or a send was refused", NULL),
    CHANNEL_TIME("opened-at", opened_at, "the first opened"),
    CHANNEL_TIME("first-at", first_at, "the first message came"),
    CHANNEL_TIME("last-at", last_at, "the latest message came"),
    {OF_CHANNEL, "latency-max", VALUE_TIME, FIELD_TIME, offsetof(struct channel_track, latency_max),
     NULL, NULL, "span", "longest from send to receipt (messages of 16 bytes or more)", NULL},

    SERVER_COUNT("bindings", bindings, "Binding requests answered"),
    SERVER_COUNT("allocations", allocations, "allocations made"),
    SERVER_COUNT("allocations-live", allocations_live, "allocations that stand"),
    SERVER_COUNT("refreshes", refreshes, "Refresh requests granted"),
    SERVER_COUNT("permissions", permissions, "permissions installed or refreshed"),
    SERVER_COUNT("channels", channels, "channels bound or refreshed"),
    SERVER_COUNT("errors", errors, "error responses, challenges among them"),
    SERVER_COUNT("stale-nonces", stale_nonces, "438 sent"),
    SERVER_COUNT("quota-refusals", quota_refusals, "486 sent"),
    SERVER_U64("relayed-to-peers", relayed_to_peers, "from clients to peers"),
    SERVER_U64("relayed-to-clients", relayed_to_clients, "from peers to clients"),

    LAN_COUNT("nat.mappings", get_nat_live, "mappings that stand"),
    LAN_COUNT("nat.created", get_nat_created, "mappings made"),
    LAN_COUNT("nat.expired", get_nat_expired, "mappings that ran out"),

    DROPPED(NET_LOSS, "loss", "by chance", NULL),
    DROPPED(NET_QUEUE_FULL, "queue-full", "at a full queue", NULL),
    DROPPED(NET_CODEL, "codel", "that had waited too long in a queue under CoDel", "RFC 8289 5.5"),
    DROPPED(NET_LINK_DOWN, "link-down", "at a link that was down", NULL),
    DROPPED(NET_TOO_BIG, "too-big", "over a link's MTU", NULL),
    DROPPED(NET_TTL_EXCEEDED, "ttl-exceeded", "after too many hops", NULL),
    DROPPED(NET_NO_ROUTE, "no-route", "without a way to go", NULL),
    DROPPED(NET_NO_HOST, "no-host", "to an address that nobody has", NULL),
    DROPPED(NET_ISOLATED, "isolated", "between hosts kept apart", NULL),
    DROPPED(NET_NO_SOCKET, "no-socket", "to a closed port", NULL),
    DROPPED(NET_BAD_PACKET, "bad-packet", "with a wrong checksum", NULL),
    DROPPED(NET_NAT_NO_MAPPING, "nat-no-mapping", "to an unmapped port", "RFC 4787 4.3"),
    DROPPED(NET_NAT_FILTERED, "nat-filtered", "by the NAT's filter", "RFC 4787 5"),
    DROPPED(NET_NAT_TABLE_FULL, "nat-table-full", "with the NAT's table full", NULL),
    DROPPED(NET_NAT_NO_PORT, "nat-no-port", "with no external port free", NULL),
    DROPPED(NET_NAT_NO_HAIRPIN, "nat-no-hairpin", "by a NAT that does not hairpin", "RFC 4787 6"),
    DROPPED(NET_FIREWALL, "firewall", "by a firewall rule", NULL),
    {OF_RUN, "peers-connected", VALUE_NUMBER, FIELD_FUNCTION, 0, get_peers_connected, NULL, "count",
     "peers that are connected", NULL},
    {OF_RUN, "datagrams-sent", VALUE_NUMBER, FIELD_FUNCTION, 0, get_sent, NULL, "datagrams",
     "by all hosts", NULL},
    {OF_RUN, "datagrams-delivered", VALUE_NUMBER, FIELD_FUNCTION, 0, get_delivered, NULL,
     "datagrams", "to all hosts", NULL},
};
const size_t metrics_count = sizeof metrics / sizeof metrics[0];
