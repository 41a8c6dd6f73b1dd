// What the file says should happen, when its time has come: sessions start, actions are carried
// out.
#include "scenarios/runner/live/live_run.h"
#include "scenarios/runner/run/run_priv.h"

static void start_session(struct run *run, const struct scenario_session *session)
{
    struct run_peer *offerer = &run->peers[session->offerer];
    traffic_open_initial(run, session);
    calls_begin(run, session);
    struct run_peer *answerer = &run->peers[session->answerer];
    run->ops->describe(offerer->peer, run_now(run), false);
    if (session->glare) // neither has heard of the other's offer
        run->ops->describe(answerer->peer, run_now(run), false);
    peer_pump(run, offerer);
    peer_pump(run, answerer);
}

static void change_link(struct link *link, const struct scenario_link_change *change)
{
    struct link_config config = scenario_link_merge(link_config(link), change);
    link_configure(link, &config);
}

static void change_host(struct host *host, unsigned interfaces,
                        const struct scenario_link_change *change)
{
    for (unsigned i = 0; i < interfaces; i++) {
        if (change->up)
            change_link(host_link(host, i, true), change);
        if (change->down)
            change_link(host_link(host, i, false), change);
    }
}

static void act_link(struct run *run, const struct scenario_link_change *change)
{
    struct link_config config;
    switch (change->kind) {
    case LINK_OF_WAN:
        config = scenario_link_merge(segment_transit(run->wan), change);
        segment_configure(run->wan, &config);
        return;
    case LINK_OF_UPLINK:
        if (change->up)
            change_link(gateway_link(run->gateways[change->index], true), change);
        if (change->down)
            change_link(gateway_link(run->gateways[change->index], false), change);
        return;
    case LINK_OF_PEER:
        change_host(run->peers[change->index].host, run->scenario->peers[change->index].interfaces,
                    change);
        return;
    case LINK_OF_SERVER:
        change_host(run->servers[change->index].host, 1, change);
        return;
    }
}

static const char *const action_names[] = {
    [ACTION_SEND] = "send",
    [ACTION_OPEN_CHANNEL] = "open-channel",
    [ACTION_CLOSE_CHANNEL] = "close-channel",
    [ACTION_LINK] = "link",
    [ACTION_NAT_REBOOT] = "nat reboot",
    [ACTION_NAT_REBIND] = "nat rebind",
    [ACTION_NAT_LIFETIME] = "nat lifetime",
    [ACTION_SERVER_RESTART] = "server restart",
    [ACTION_RESTART_ICE] = "restart-ice",
    [ACTION_CLOSE] = "close",
    [ACTION_MEDIA] = "media",
};

static void act(struct run *run, const struct scenario_action *action)
{
    nanotime now = run_now(run);
    struct run_peer *peer = &run->peers[action->peer];
    trace(&run->trace, now, "timeline: %s (line %u)", action_names[action->kind],
          action->mark.line);
    switch (action->kind) {
    case ACTION_SEND:
        traffic_send(run, action);
        break;
    case ACTION_OPEN_CHANNEL:
        traffic_open(run, peer, &action->open);
        peer_pump(run, peer);
        break;
    case ACTION_CLOSE_CHANNEL:
        traffic_close(run, peer, action->channel);
        peer_pump(run, peer);
        break;
    case ACTION_LINK:
        act_link(run, &action->link);
        break;
    case ACTION_NAT_REBOOT:
        gateway_reboot(run->gateways[action->lan]);
        break;
    case ACTION_NAT_REBIND:
        gateway_rebind(run->gateways[action->lan], &action->rebind_to);
        break;
    case ACTION_NAT_LIFETIME:
        nat_set_lifetime(gateway_nat(run->gateways[action->lan]), action->lifetime,
                         action->lifetime);
        break;
    case ACTION_SERVER_RESTART:
        if (run->servers[action->server].server) {
            turn_server_reset(run->servers[action->server].server, now);
            server_pump(run, &run->servers[action->server]);
        } else {
            live_run_restart_server(run, action->server);
        }
        break;
    case ACTION_RESTART_ICE:
        run->ops->describe(peer->peer, now, true);
        peer_pump(run, peer);
        break;
    case ACTION_MEDIA:
        if (action->media.kind == MEDIA_KEYFRAME)
            call_keyframe_asked(run, peer, action->media.track);
        if (run->ops->media_command)
            run->ops->media_command(peer->peer, now, &action->media);
        peer_pump(run, peer);
        break;
    case ACTION_CLOSE:
        run->ops->close(peer->peer, now);
        peer->closed = true;
        peer->closed_at = now;
        peer_pump(run, peer);
        break;
    }
}

static const struct scenario_session *next_session(const struct run *run)
{
    return run->session_next < run->scenario->sessions_count
               ? &run->scenario->sessions[run->session_order[run->session_next]]
               : NULL;
}

nanotime timeline_deadline(const struct run *run)
{
    const struct scenario_session *session = next_session(run);
    nanotime at = session ? session->at : TIME_NEVER;
    if (run->action_next < run->scenario->actions_count)
        at = time_min(at, run->scenario->actions[run->action_next].at);
    return at;
}

void timeline_run_due(struct run *run)
{
    nanotime now = run_now(run);
    const struct scenario_session *session;
    while ((session = next_session(run)) && session->at <= now) {
        run->session_next++;
        start_session(run, session);
    }
    while (run->action_next < run->scenario->actions_count &&
           run->scenario->actions[run->action_next].at <= now)
        act(run, &run->scenario->actions[run->action_next++]);
}
