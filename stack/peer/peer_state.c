// States as the W3C derives them (webrtc-pc 4.3), the times of their changes, and statistics.
#include "stack/peer/peer_priv.h"

#include <stdio.h>

const char *peer_state_name(enum peer_state state)
{
    static const char *const names[] = {"new",          "connecting", "connected",
                                        "disconnected", "failed",     "closed"};
    return names[state];
}

const char *peer_signaling_name(enum peer_signaling state)
{
    static const char *const names[] = {"stable", "have-local-offer", "have-remote-offer",
                                        "closed"};
    return names[state];
}

const char *peer_gathering_name(enum peer_gathering state)
{
    static const char *const names[] = {"new", "gathering", "complete"};
    return names[state];
}

const char *peer_drop_name(enum peer_drop drop)
{
    static const char *const names[PEER_DROPS] = {
        [PEER_KEPT] = "kept",
        [PEER_UNKNOWN_PROTOCOL] = "unknown-protocol",
        [PEER_TOO_EARLY] = "too-early",
        [PEER_UNAUTHENTICATED] = "unauthenticated",
        [PEER_REFUSED] = "refused",
        [PEER_AFTER_CLOSE] = "after-close",
        [PEER_BEFORE_KEYS] = "before-keys",
    };
    return names[drop];
}

void peer_set_signaling(struct peer *p, nanotime now, enum peer_signaling state)
{
    if (p->stats.signaling == state)
        return;
    p->stats.signaling = state;
    p->changed = true;
    trace(&p->trace, now, "signaling %s", peer_signaling_name(state));
}

void peer_set_gathering(struct peer *p, nanotime now, enum peer_gathering state)
{
    if (p->stats.gathering == state)
        return;
    p->stats.gathering = state;
    p->changed = true;
    if (state == PEER_GATHER_COMPLETE && p->stats.gathered_at == TIME_NEVER)
        p->stats.gathered_at = now;
    trace(&p->trace, now, "gathering %s", peer_gathering_name(state));
}

// webrtc-pc 4.3.3, RTCPeerConnectionState: the first that fits.
static enum peer_state derive(const struct peer *p, enum ice_state ice, enum dtls_state dtls)
{
    bool pair = ice == ICE_CONNECTED || ice == ICE_COMPLETED;
    bool secure = p->config.ice_only || dtls == DTLS_CONNECTED || dtls == DTLS_CLOSED;
    if (p->closing != PEER_OPEN)
        return PEER_CLOSED;
    if (ice == ICE_FAILED || dtls == DTLS_FAILED)
        return PEER_FAILED;
    if (ice == ICE_DISCONNECTED)
        return PEER_DISCONNECTED;
    if (ice == ICE_NEW && dtls == DTLS_NEW)
        return PEER_NEW;
    return pair && secure ? PEER_CONNECTED : PEER_CONNECTING;
}

static void first_time(nanotime *at, nanotime now)
{
    if (*at == TIME_NEVER)
        *at = now;
}

static void note_connection(struct peer *p, nanotime now, enum peer_state state)
{
    if (state == p->stats.state)
        return;
    p->stats.state = state;
    p->changed = true;
    if (state == PEER_CONNECTED)
        first_time(&p->stats.connected_at, now);
    if (state == PEER_FAILED)
        first_time(&p->stats.failed_at, now);
    if (state == PEER_DISCONNECTED)
        p->stats.disconnected_at = now;
    trace(&p->trace, now, "connection %s", peer_state_name(state));
}

void peer_update(struct peer *p, nanotime now)
{
    struct peer_stats *stats = &p->stats;
    enum ice_state ice = ice_agent_state(p->ice);
    enum dtls_state dtls = p->dtls ? dtls_state(p->dtls) : DTLS_NEW;
    enum sctp_state sctp = p->channels ? channels_association(p->channels) : SCTP_NEW;
    if (ice != stats->ice_state) {
        stats->ice_state = ice;
        p->changed = true;
        if (ice == ICE_CONNECTED || ice == ICE_COMPLETED)
            first_time(&stats->ice_connected_at, now);
        trace(&p->trace, now, "ice %s%s%s", ice_state_name(ice), ice == ICE_FAILED ? ": " : "",
              ice == ICE_FAILED ? ice_failure_name(ice_agent_failure(p->ice)) : "");
    }
    if (dtls != stats->dtls_state) {
        stats->dtls_state = dtls;
        p->changed = true;
        if (dtls == DTLS_CONNECTED)
            first_time(&stats->dtls_connected_at, now);
        trace(&p->trace, now, "dtls %s", dtls_state_name(dtls));
    }
    if (sctp != stats->sctp_state) {
        stats->sctp_state = sctp;
        p->changed = true;
        if (sctp == SCTP_CONNECTED)
            first_time(&stats->sctp_connected_at, now);
        trace(&p->trace, now, "sctp %s", sctp_state_name(sctp));
    }
    note_connection(p, now, derive(p, ice, dtls));
}

void peer_fill_stats(const struct peer *p, struct peer_stats *out)
{
    *out = p->stats;
    const struct ice_pair *pair = ice_agent_selected(p->ice);
    out->ice_failure = ice_agent_failure(p->ice);
    out->ice_role = ice_agent_role(p->ice);
    out->ice = ice_agent_stats(p->ice);
    out->pair = *ice_agent_selected_stats(p->ice);
    out->ufrag = ice_agent_credentials(p->ice)->ufrag;
    out->has_selected = pair != NULL;
    if (pair)
        out->selected = *pair;
    if (p->dtls) {
        out->dtls_role = dtls_role(p->dtls);
        out->dtls = dtls_stats(p->dtls);
        out->dtls_cipher = dtls_cipher(p->dtls);
        snprintf(out->dtls_failure, sizeof out->dtls_failure, "%s", dtls_failure(p->dtls));
    }
    if (p->channels)
        out->sctp = channels_sctp_stats(p->channels);
    struct turn_client_stats turn = gather_stats(&p->gather);
    out->turn_allocations = p->gather.allocations;
    out->turn_refreshes = turn.refreshes;
    out->turn_permissions = turn.permissions;
    out->turn_channel_binds = turn.channel_binds;
    out->turn_stale_nonces = turn.stale_nonces;
    out->turn_error = p->gather.turn_error;
    out->error = p->error;
}
