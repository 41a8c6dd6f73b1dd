#include "scenarios/runner/cli/explain.h"

#include "scenarios/runner/run/oracle.h"

#include <inttypes.h>

static const char *place_name(const struct scenario *s, int lan)
{
    return lan == SCENARIO_WAN ? "wan" : s->lans[lan].name;
}

static const char *at_text(nanotime time)
{
    static char text[TIME_TEXT_MAX];
    return time_print(time, text);
}

static void firewall(struct text *to, const struct firewall_config *f)
{
    text_printf(to, "firewall: out %s, in %s", f->allow_out ? "allowed" : "denied",
                f->allow_in ? "allowed" : "answers only");
    if (f->rules_count)
        text_printf(to, ", after %u rule%s", f->rules_count, f->rules_count == 1 ? "" : "s");
}

static void network(struct text *to, const struct scenario *s)
{
    char ip[IP_TEXT_MAX];
    text_put(to, "\nNetwork\n  wan: ");
    explain_link(to, &s->wan);
    text_put(to, "\n");
    for (unsigned i = 0; i < s->lans_count; i++) {
        const struct scenario_lan *lan = &s->lans[i];
        text_printf(to, "  %s: %s/%u behind %s%s\n", lan->name, ip_print(&lan->prefix.ip, ip),
                    lan->prefix.bits, place_name(s, lan->behind),
                    lan->isolate ? ", hosts kept apart" : "");
        text_printf(to, "    gateway %s, outside ", ip_print(&lan->gateway_ip, ip));
        for (unsigned k = 0; k < lan->nat.external_count && lan->has_nat; k++)
            text_printf(to, "%s%s", k ? " " : "", ip_print(&lan->nat.external[k], ip));
        if (!lan->has_nat)
            text_put(to, ip_print(&lan->outside_ip, ip));
        text_put(to, ": ");
        if (lan->has_nat)
            explain_nat(to, &lan->nat);
        else
            text_put(to, "no NAT, routed");
        text_put(to, "\n");
        if (lan->has_firewall) {
            text_put(to, "    ");
            firewall(to, &lan->firewall);
            text_put(to, "\n");
        }
        text_put(to, "    uplink up: ");
        explain_link(to, &lan->uplink.up);
        text_put(to, "; down: ");
        explain_link(to, &lan->uplink.down);
        text_put(to, "\n    hosts' links: ");
        explain_link(to, &lan->link);
        text_put(to, "\n");
    }
}

static void servers(struct text *to, const struct scenario *s)
{
    char addr[ADDR_TEXT_MAX];
    if (s->servers_count)
        text_put(to, "\nServers\n");
    for (unsigned i = 0; i < s->servers_count; i++) {
        const struct scenario_server *server = &s->servers[i];
        text_printf(to, "  %s: %s on %s at %s", server->name,
                    server->kind == PEER_TURN ? "TURN" : "STUN", place_name(s, server->lan),
                    addr_print(&server->addr, addr));
        if (!addr_is_none(&server->other))
            text_printf(to, ", other address %s", addr_print(&server->other, addr));
        if (server->transports & 1u << PEER_TCP)
            text_put(to, server->transports & 1u << PEER_UDP ? ", by UDP and TCP" : ", by TCP");
        if (server->redirect >= 0)
            text_printf(to, ", sends clients to %s", s->servers[server->redirect].name);
        if (server->kind == PEER_TURN)
            text_printf(to, ", user %s, relay ports %u-%u, lifetime %" PRIu32 "s, quota %u",
                        server->user, server->relay_port_min, server->relay_port_max,
                        server->lifetime_s, server->quota);
        text_put(to, "\n");
    }
}

static void peers(struct text *to, const struct scenario *s)
{
    char ip[IP_TEXT_MAX];
    text_put(to, "\nPeers\n");
    for (unsigned i = 0; i < s->peers_count; i++) {
        const struct scenario_peer *peer = &s->peers[i];
        text_printf(to, "  %s:", peer->name);
        for (unsigned k = 0; k < peer->interfaces; k++)
            text_printf(to, "%s %s on %s", k ? "," : "", ip_print(&peer->ips[k], ip),
                        place_name(s, peer->lans[k]));
        for (unsigned k = 0; k < peer->servers_count; k++)
            text_printf(to, "%s%s%s", k ? ", " : "; ICE servers ",
                        s->servers[peer->servers[k]].name,
                        peer->transports[k] == PEER_TCP ? " by TCP" : "");
        const struct peer_config *c = &peer->config;
        text_printf(to, "%s%s%s", c->relay_only ? "; relay only" : "",
                    c->ice_lite ? "; ICE lite" : "",
                    c->wrong_fingerprint ? "; describes a wrong fingerprint" : "");
        if (c->force_role)
            text_printf(to, "; starts as %s",
                        c->role == ICE_CONTROLLING ? "controlling" : "controlled");
        text_put(to, "\n");
    }
}

// ----------------------------------------------------------------------------- sessions and time

static void channel(struct text *to, const struct scenario *s, const struct scenario_channel *c)
{
    const struct channel_config *config = &c->config;
    text_printf(to, "'%.*s' of %s", (int)config->label.len, (const char *)config->label.at,
                s->peers[c->peer].name);
    if (c->count > 1)
        text_printf(to, " %u times", c->count);
    if (config->delivery.unordered)
        text_put(to, " unordered");
    if (config->delivery.reliability == SCTP_MAX_RETRANSMITS)
        text_printf(to, " with at most %" PRIu32 " retransmissions", config->delivery.limit);
    if (config->delivery.reliability == SCTP_MAX_LIFETIME)
        text_printf(to, " for at most %" PRIu32 "ms", config->delivery.limit);
    if (config->negotiated)
        text_printf(to, " negotiated as %u", config->id);
}

static const char *outcome_name(enum scenario_outcome outcome)
{
    static const char *const names[] = {[OUTCOME_COMPUTED] = "computed",
                                        [OUTCOME_DIRECT] = "direct",
                                        [OUTCOME_RELAY] = "relay",
                                        [OUTCOME_NONE] = "none"};
    return names[outcome];
}

static void signals_lost(struct text *to, const struct scenario *s,
                         const struct scenario_session *session)
{
    static const char *const names[SCENARIO_SIGNALS] = {"offers", "answers", "candidates",
                                                        "end-of-candidates"};
    const unsigned peers[] = {session->offerer, session->answerer};
    for (unsigned side = 0; side < 2; side++) {
        unsigned lost = session->signaling.lose[side];
        if (!lost)
            continue;
        text_printf(to, "  signaling loses of %s:", s->peers[peers[side]].name);
        for (unsigned i = 0; i < SCENARIO_SIGNALS; i++) {
            if (lost & 1u << i)
                text_printf(to, " %s", names[i]);
        }
        text_put(to, "\n");
    }
}

static void sessions(struct text *to, const struct scenario *s)
{
    for (unsigned i = 0; i < s->sessions_count; i++) {
        const struct scenario_session *session = &s->sessions[i];
        const struct peer_config *config = &s->peers[session->offerer].config;
        text_printf(to, "\nSession: %s offers to %s at %s%s%s\n", s->peers[session->offerer].name,
                    s->peers[session->answerer].name, at_text(session->at),
                    config->trickle ? "" : ", without trickling",
                    config->ice_only ? ", ICE only" : "");
        if (session->glare)
            text_printf(to, "  %s makes an offer at the same moment\n",
                        s->peers[session->answerer].name);
        for (unsigned k = 0; k < 2 && session->glare; k++) {
            const struct scenario_peer *peer = &s->peers[k ? session->answerer : session->offerer];
            if (peer->config.polite)
                text_printf(to, "  %s is polite: its offer gives way\n", peer->name);
        }
        text_printf(to, "  signaling takes %s\n", at_text(session->signaling.delay));
        signals_lost(to, s, session);
        for (unsigned k = 0; k < session->channels_count; k++) {
            text_put(to, "  data channel ");
            channel(to, s, &session->channels[k]);
            text_put(to, "\n");
        }
        explain_tracks(to, s, session);
        struct arena arena = {0};
        struct oracle_outcome o = oracle_compute(&arena, s, session);
        text_printf(to, "  computed outcome: %s (%s)\n", outcome_name(o.outcome), o.because);
        arena_free(&arena);
        if (s->outcome_override != OUTCOME_COMPUTED)
            text_printf(to, "  but the file says: %s, because %s\n",
                        outcome_name(s->outcome_override), s->outcome_reason);
    }
}

static void link_action(struct text *to, const struct scenario *s,
                        const struct scenario_link_change *change)
{
    struct link_config config = scenario_link_merge(&(struct link_config){0}, change);
    switch (change->kind) {
    case LINK_OF_WAN:
        text_put(to, "wan");
        break;
    case LINK_OF_UPLINK:
        text_printf(to, "%s.uplink", s->lans[change->index].name);
        break;
    case LINK_OF_PEER:
        text_printf(to, "%s.link", s->peers[change->index].name);
        break;
    case LINK_OF_SERVER:
        text_printf(to, "%s.link", s->servers[change->index].name);
        break;
    }
    if (change->up != change->down && change->kind != LINK_OF_WAN)
        text_put(to, change->up ? ".up" : ".down");
    text_put(to, " changes to ");
    explain_link(to, &config);
}

static void action(struct text *to, const struct scenario *s, const struct scenario_action *a)
{
    char ip[IP_TEXT_MAX];
    switch (a->kind) {
    case ACTION_SEND:
        text_printf(to, "%s sends %" PRIu32 " %s of %" PRIu32 " bytes on '%s'",
                    s->peers[a->peer].name, a->messages, a->text ? "texts" : "messages", a->size,
                    a->channel);
        if (a->interval)
            text_printf(to, ", one each %s", at_text(a->interval));
        break;
    case ACTION_OPEN_CHANNEL:
        text_put(to, "opens ");
        channel(to, s, &a->open);
        break;
    case ACTION_CLOSE_CHANNEL:
        text_printf(to, "%s closes '%s'", s->peers[a->peer].name, a->channel);
        break;
    case ACTION_LINK:
        link_action(to, s, &a->link);
        break;
    case ACTION_NAT_REBOOT:
        text_printf(to, "NAT of %s reboots", s->lans[a->lan].name);
        break;
    case ACTION_NAT_REBIND:
        text_printf(to, "NAT of %s rebinds to %s", s->lans[a->lan].name,
                    ip_print(&a->rebind_to, ip));
        break;
    case ACTION_NAT_LIFETIME:
        text_printf(to, "mappings of %s now live %s", s->lans[a->lan].name, at_text(a->lifetime));
        break;
    case ACTION_SERVER_RESTART:
        text_printf(to, "%s restarts", s->servers[a->server].name);
        break;
    case ACTION_RESTART_ICE:
        text_printf(to, "%s restarts ICE", s->peers[a->peer].name);
        break;
    case ACTION_CLOSE:
        text_printf(to, "%s closes", s->peers[a->peer].name);
        break;
    case ACTION_MEDIA:
        explain_media_command(to, s, a);
        break;
    }
}

bool explain(struct text *to, const struct scenario *s)
{
    text_printf(to, "%s\n  %s\n", s->id, s->name);
    if (*s->about)
        text_printf(to, "  %s\n", s->about);
    text_printf(to, "  seed %" PRIu64 ", at most %s of virtual time\n", s->seed, at_text(s->limit));
    if (s->stats_interval)
        text_printf(to, "  getStats() of every peer each %s\n", at_text(s->stats_interval));
    for (unsigned i = 0; s->covers[i]; i++)
        text_printf(to, "%s%s%s", i ? ", " : "  covers ", s->covers[i],
                    s->covers[i + 1] ? "" : "\n");
    network(to, s);
    servers(to, s);
    peers(to, s);
    sessions(to, s);
    if (s->actions_count)
        text_put(to, "\nTimeline\n");
    for (unsigned i = 0; i < s->actions_count; i++) {
        text_printf(to, "  %s  ", at_text(s->actions[i].at));
        action(to, s, &s->actions[i]);
        text_put(to, "\n");
    }
    if (s->expects_count)
        text_put(to, "\nExpected\n");
    for (unsigned i = 0; i < s->expects_count; i++)
        text_printf(to, "  %s\n", s->expects[i].text);
    return true;
}
