#include "scenarios/runner/load/scenario.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// Every key of the language, once.
static const char everything[] =
    "name: everything\n"
    "about: all keys\n"
    "covers: [8445-7.3.1.4-1, 4787-4.1-1]\n"
    "seed: 18446744073709551615\n"
    "limit: 1min\n"
    "resources: {cpu: 10s, memory: 512MiB, wall: 30s}\n"
    "network:\n"
    "  wan: {delay: 25ms, jitter: 5ms, jitter-shape: normal, jitter-reorders: true, loss: 0.5%,\n"
    "    loss-burst: 3, duplicate: 0.0000001%, reorder: 100%, reorder-by: 1.5ms, corrupt: 1%,\n"
    "    rate: 1.5Mbps, queue: 0.0625MiB, discipline: codel, codel-target: 10ms,\n"
    "    codel-interval: 200ms, mtu: 1400, down: true}\n"
    "  lans:\n"
    "    home:\n"
    "      gateway:\n"
    "        nat: {preset: symmetric, mapping: address-dependent, ports: sequential,\n"
    "          port-parity: false, pooling: arbitrary, hairpin: internal, lifetime: 30s,\n"
    "          filter-lifetime: 20s, refresh: in, port-min: 2000, port-max: 3000,\n"
    "          mappings-max: 7, when-full: evict}\n"
    "        firewall: {preset: corporate, default-out: allow, default-in: deny, idle: 5s,\n"
    "          flows-max: 9, rules: [{direction: out, action: deny, protocol: udp,\n"
    "          address: 203.0.113.0/24, ports: 3478-3479, payload: stun}]}\n"
    "      uplink: {preset: dsl, delay: 1ms, up: {delay: 2ms, loss: 1%}, down: {preset: lte}}\n"
    "      link: {rate: 1Gbps, down: true}\n"
    "      prefix: 10.9.8.7/24\n"
    "      behind: cgn\n"
    "      isolate: true\n"
    "      external: [100.64.0.9, 100.64.0.10]\n"
    "    cgn: {gateway: {nat: full-cone}, uplink: {down: true}}\n"
    "    raw: {gateway: {nat: none, firewall: none}, external: 198.18.0.77}\n"
    "servers:\n"
    "  stun: {at: wan, other-address: true, port: 3500}\n"
    "  turn: {at: wan, kind: turn, port: 3478, user: u, password: p, realm: r, lifetime: 300s,\n"
    "    lifetime-max: 1h, nonce-lifetime: 1min, quota: 3, allocations-max: 30,\n"
    "    relay-ports: 50000-50010, redirect: spare, allow-loopback-peers: true,\n"
    "    address: 203.0.113.1}\n"
    "  spare: {at: raw, kind: turn}\n"
    "peers:\n"
    "  alice: {at: [home, wan], ice-servers: [turn, stun], relay-only: true,\n"
    "    role: controlled, tiebreaker: 9, dtls: passive, wrong-fingerprint: true, mtu: 1000,\n"
    "    srtp: [aes-gcm-256, aes-cm-80], sctp-port: 5001, max-message-size: 1MiB, ta: 5ms, "
    "consent-interval: 1s,\n"
    "    consent-timeout: 9s, nomination-wait: 100ms, patience: 20s, gather-timeout: 2s,\n"
    "    turn-lifetime: 100s, turn-channels: true, identity: 0, polite: true}\n"
    "  bob: {at: raw, ice-lite: true}\n"
    "session:\n"
    "  offerer: bob\n"
    "  answerer: alice\n"
    "  at: 1s\n"
    "  trickle: false\n"
    "  ice-only: false\n"
    "  signaling: {delay: 10ms, jitter: 1ms, loss: 1%, duplicate: 2%, reorder: 3%,\n"
    "    reorder-by: 4ms, lose: [offer, bob.candidates, alice.end-of-candidates]}\n"
    "  glare: true\n"
    "  data: [{label: chat, ordered: false, max-retransmits: 2, protocol: p, priority: 512,\n"
    "    from: alice}, {label: n, negotiated: true, id: 7, max-lifetime: 250ms, count: 3}]\n"
    "timeline:\n"
    "  - {at: 9s, close: alice}\n"
    "  - {at: 2s, send: {from: alice, channel: more, messages: 5, size: 1KiB, interval: 1ms,\n"
    "      text: true}}\n"
    "  - {at: 2s, open-channel: {peer: bob, label: more}}\n"
    "  - {at: 3s, close-channel: {peer: alice, channel: chat}}\n"
    "  - {at: 5s, link: {home.uplink: {loss: 30%}, wan: {preset: cable}, alice.link.up: {down: "
    "true},\n"
    "      cgn.uplink: {preset: dsl}, turn.link: {up: {delay: 1s}}}}\n"
    "  - {at: 5s, nat: {home: reboot, cgn: rebind}}\n"
    "  - {at: 5s, nat: {home: {lifetime: 10s}}}\n"
    "  - {at: 5s, nat: {cgn: {rebind: 198.18.0.99}}}\n"
    "  - {at: 5s, server: {turn: restart}}\n"
    "  - {at: 8s, restart-ice: alice}\n"
    "expect: [alice.ice.state == connected within 3s]\n";

struct loaded {
    struct scenario_set set;
    struct err err;
    const struct scenario *first;
};

static struct loaded load_as(const char *path, const char *text)
{
    struct loaded loaded = {0};
    bool ok = scenario_load_text(&loaded.set, path, bytes_text(text), &loaded.err);
    assert_string_equal(loaded.err.text, "");
    assert_true(ok);
    loaded.first = loaded.set.scenarios[0];
    return loaded;
}

static struct loaded load(const char *text)
{
    return load_as("f.yaml", text);
}

static const char *ip_of(const struct ip *ip)
{
    static char text[IP_TEXT_MAX];
    return ip_print(ip, text);
}

static void test_load_everything_top_and_links(void **state)
{
    (void)state;
    struct loaded l = load(everything);
    const struct scenario *s = l.first;
    assert_string_equal(s->name, "everything");
    assert_string_equal(s->about, "all keys");
    assert_string_equal(s->covers[1], "4787-4.1-1");
    assert_null(s->covers[2]);
    assert_int_equal(s->covers_marks[1].line, 3);
    assert_int_equal(s->covers_marks[1].column, 26);
    assert_true(s->seed == UINT64_MAX);
    assert_int_equal(s->limit, 60 * TIME_S);
    assert_int_equal(s->cpu_limit, 10 * TIME_S);
    assert_int_equal(s->wall_limit, 30 * TIME_S);
    assert_int_equal(s->memory_limit, 512u * 1024 * 1024);
    assert_string_equal(s->cell, "");
    assert_string_equal(s->id, "f");

    assert_int_equal(s->wan.delay, 25 * TIME_MS);
    assert_int_equal(s->wan.jitter, 5 * TIME_MS);
    assert_int_equal(s->wan.shape, JITTER_NORMAL);
    assert_true(s->wan.jitter_reorders);
    assert_int_equal(s->wan.loss, 5000000);
    assert_int_equal(s->wan.loss_burst, 3);
    assert_int_equal(s->wan.duplicate, 1);
    assert_int_equal(s->wan.reorder, 1000000000);
    assert_int_equal(s->wan.reorder_by, 1500000);
    assert_int_equal(s->wan.corrupt, 10000000);
    assert_int_equal(s->wan.rate_bps, 1500000);
    assert_int_equal(s->wan.queue_bytes, 65536);
    assert_int_equal(s->wan.discipline, LINK_CODEL);
    assert_int_equal(s->wan.codel_target, 10 * TIME_MS);
    assert_int_equal(s->wan.codel_interval, 200 * TIME_MS);
    assert_int_equal(s->wan.mtu, 1400);
    assert_true(s->wan.down);
    scenario_set_free(&l.set);
}

static void test_load_everything_gateways(void **state)
{
    (void)state;
    struct loaded l = load(everything);
    const struct scenario_lan *home = &l.first->lans[0], *cgn = &l.first->lans[1];
    assert_int_equal(l.first->lans_count, 3);
    assert_string_equal(home->name, "home");
    assert_int_equal(home->behind, 1);
    assert_int_equal(cgn->behind, SCENARIO_WAN);
    assert_true(home->isolate);
    const struct nat_config *nat = &home->nat;
    assert_true(home->has_nat);
    assert_int_equal(nat->mapping, NAT_ADDRESS_DEPENDENT);
    assert_int_equal(nat->filtering, NAT_ADDRESS_AND_PORT_DEPENDENT);
    assert_int_equal(nat->ports, NAT_PORTS_SEQUENTIAL);
    assert_false(nat->port_parity);
    assert_false(nat->pooling_paired);
    assert_int_equal(nat->hairpin, NAT_HAIRPIN_INTERNAL);
    assert_int_equal(nat->lifetime, 30 * TIME_S);
    assert_int_equal(nat->filter_lifetime, 20 * TIME_S);
    assert_false(nat->refresh_out);
    assert_true(nat->refresh_in);
    assert_int_equal(nat->port_min, 2000);
    assert_int_equal(nat->port_max, 3000);
    assert_int_equal(nat->mappings_max, 7);
    assert_true(nat->mappings_evict);
    assert_int_equal(nat->external_count, 2);
    assert_string_equal(ip_of(&nat->external[1]), "100.64.0.10");
    assert_string_equal(ip_of(&home->prefix.ip), "10.9.8.0");
    assert_string_equal(ip_of(&home->gateway_ip), "10.9.8.1");

    assert_true(home->has_firewall);
    assert_true(home->firewall.allow_out);
    assert_false(home->firewall.allow_in);
    assert_int_equal(home->firewall.idle, 5 * TIME_S);
    assert_int_equal(home->firewall.flows_max, 9);
    assert_true(home->firewall.rules_count > 1); // those of the preset are asked after
    const struct firewall_rule *rule = &home->firewall.rules[0];
    assert_int_equal(rule->direction, FIREWALL_OUT);
    assert_int_equal(rule->action, FIREWALL_DENY);
    assert_int_equal(rule->protocol, 17);
    assert_int_equal(rule->remote.bits, 24);
    assert_int_equal(rule->port_min, 3478);
    assert_int_equal(rule->port_max, 3479);
    assert_int_equal(rule->payload, FIREWALL_STUN);

    assert_int_equal(home->uplink.up.delay, 2 * TIME_MS);
    assert_int_equal(home->uplink.up.loss, 10000000);
    assert_int_equal(home->uplink.up.rate_bps, 1000000);
    assert_int_equal(home->uplink.down.delay, 25 * TIME_MS);
    assert_int_equal(home->uplink.down.rate_bps, 30000000);
    assert_int_equal(home->link.rate_bps, 1000000000);
    assert_true(home->link.down);
    assert_true(cgn->uplink.up.down && cgn->uplink.down.down);
    assert_false(l.first->lans[2].has_nat);
    assert_false(l.first->lans[2].has_firewall);
    assert_string_equal(ip_of(&l.first->lans[2].outside_ip), "198.18.0.77");
    scenario_set_free(&l.set);
}

static void test_load_everything_servers_and_peers(void **state)
{
    (void)state;
    struct loaded l = load(everything);
    const struct scenario_server *stun = &l.first->servers[0], *turn = &l.first->servers[1];
    assert_int_equal(stun->kind, PEER_STUN);
    assert_int_equal(stun->addr.port, 3500);
    assert_int_equal(stun->other.port, 3501);
    assert_string_equal(ip_of(&stun->addr.ip), "203.0.113.2"); // the turn server asked for .1
    assert_string_equal(ip_of(&stun->other.ip), "203.0.113.3");
    assert_int_equal(turn->kind, PEER_TURN);
    assert_string_equal(turn->user, "u");
    assert_string_equal(turn->password, "p");
    assert_string_equal(turn->realm, "r");
    assert_int_equal(turn->lifetime_s, 300);
    assert_int_equal(turn->lifetime_max_s, 3600);
    assert_int_equal(turn->nonce_lifetime_s, 60);
    assert_int_equal(turn->quota, 3);
    assert_int_equal(turn->allocations_max, 30);
    assert_int_equal(turn->relay_port_min, 50000);
    assert_int_equal(turn->relay_port_max, 50010);
    assert_int_equal(turn->redirect, 2);
    assert_true(turn->allow_loopback_peers);
    assert_int_equal(l.first->servers[2].lan, 2);
    assert_int_equal(l.first->servers[2].redirect, -1);

    const struct scenario_peer *alice = &l.first->peers[0], *bob = &l.first->peers[1];
    const struct peer_config *c = &alice->config;
    assert_int_equal(alice->interfaces, 2);
    assert_int_equal(alice->lans[0], 0);
    assert_int_equal(alice->lans[1], SCENARIO_WAN);
    assert_string_equal(ip_of(&alice->ips[0]), "10.9.8.2");
    assert_string_equal(ip_of(&alice->ips[1]), "198.51.100.1");
    assert_int_equal(alice->servers_count, 2);
    assert_int_equal(alice->servers[0], 1);
    assert_true(c->relay_only && !c->ice_lite && c->force_role && c->wrong_fingerprint &&
                c->polite);
    assert_true(c->turn_channels && alice->identity_given);
    assert_true(alice[1].config.ice_lite);
    assert_int_equal(c->role, ICE_CONTROLLED);
    assert_int_equal(c->tiebreaker, 9);
    assert_int_equal(c->setup, PEER_SETUP_PASSIVE);
    assert_int_equal(c->mtu, 1000);
    assert_int_equal(c->srtp_profiles, 5);
    assert_int_equal(c->sctp_port, 5001);
    assert_int_equal(c->max_message_size, 1048576);
    assert_int_equal(c->ice_ta, 5 * TIME_MS);
    assert_int_equal(c->consent_interval, TIME_S);
    assert_int_equal(c->consent_timeout, 9 * TIME_S);
    assert_int_equal(c->nomination_wait, 100 * TIME_MS);
    assert_int_equal(c->patience, 20 * TIME_S);
    assert_int_equal(c->gather_timeout, 2 * TIME_S);
    assert_int_equal(c->turn_lifetime_s, 100);
    assert_false(c->trickle);
    assert_false(bob->config.trickle || bob->config.force_role || bob->identity_given);
    scenario_set_free(&l.set);
}

static void test_load_everything_session(void **state)
{
    (void)state;
    struct loaded l = load(everything);
    const struct scenario_session *session = l.first->sessions;
    assert_int_equal(l.first->sessions_count, 1);
    assert_int_equal(session->offerer, 1);
    assert_int_equal(session->answerer, 0);
    assert_int_equal(session->at, TIME_S);
    assert_int_equal(session->signaling.delay, 10 * TIME_MS);
    assert_int_equal(session->signaling.jitter, TIME_MS);
    assert_int_equal(session->signaling.loss, 10000000);
    assert_int_equal(session->signaling.duplicate, 20000000);
    assert_int_equal(session->signaling.reorder, 30000000);
    assert_int_equal(session->signaling.reorder_by, 4 * TIME_MS);
    assert_int_equal(session->signaling.lose[0], 1 << SIGNAL_OFFER | 1 << SIGNAL_CANDIDATES);
    assert_int_equal(session->signaling.lose[1], 1 << SIGNAL_OFFER | 1 << SIGNAL_END);
    assert_true(session->glare);
    assert_int_equal(session->channels_count, 2);
    const struct channel_config *chat = &session->channels[0].config;
    assert_true(bytes_is(chat->label, "chat") && bytes_is(chat->protocol, "p"));
    assert_true(chat->delivery.unordered);
    assert_int_equal(chat->delivery.reliability, SCTP_MAX_RETRANSMITS);
    assert_int_equal(chat->delivery.limit, 2);
    assert_int_equal(chat->priority, 512);
    assert_int_equal(chat->id, CHANNEL_ID_AUTO);
    assert_int_equal(session->channels[0].peer, 0);
    assert_int_equal(session->channels[0].count, 1);
    const struct channel_config *n = &session->channels[1].config;
    assert_int_equal(session->channels[1].peer, 1);
    assert_int_equal(session->channels[1].count, 3);
    assert_true(n->negotiated && !n->delivery.unordered);
    assert_int_equal(n->id, 7);
    assert_int_equal(n->delivery.reliability, SCTP_MAX_LIFETIME);
    assert_int_equal(n->delivery.limit, 250);
    assert_int_equal(l.first->expects_count, 1);
    assert_string_equal(l.first->expects[0].text, "alice.ice.state == connected within 3s");
    scenario_set_free(&l.set);
}

static void test_load_everything_timeline(void **state)
{
    (void)state;
    struct loaded l = load(everything);
    static const enum scenario_action_kind kinds[] = {
        ACTION_SEND,       ACTION_OPEN_CHANNEL,   ACTION_CLOSE_CHANNEL, ACTION_LINK,
        ACTION_LINK,       ACTION_LINK,           ACTION_LINK,          ACTION_LINK,
        ACTION_LINK,       ACTION_NAT_REBOOT,     ACTION_NAT_REBIND,    ACTION_NAT_LIFETIME,
        ACTION_NAT_REBIND, ACTION_SERVER_RESTART, ACTION_RESTART_ICE,   ACTION_CLOSE,
    };
    const struct scenario_action *a = l.first->actions;
    assert_int_equal(l.first->actions_count, sizeof kinds / sizeof kinds[0]);
    for (unsigned i = 0; i < l.first->actions_count; i++)
        assert_int_equal(a[i].kind, kinds[i]);
    assert_int_equal(a[0].messages, 5);
    assert_int_equal(a[0].size, 1024);
    assert_int_equal(a[0].interval, TIME_MS);
    assert_true(a[0].text);
    assert_string_equal(a[0].channel, "more");
    assert_int_equal(a[1].peer, 1);
    assert_int_equal(a[1].open.peer, 1);
    assert_string_equal(a[2].channel, "chat");

    struct link_config merged = scenario_link_merge(&l.first->lans[0].uplink.up, &a[3].link);
    assert_int_equal(merged.loss, 300000000);
    assert_int_equal(merged.delay, 2 * TIME_MS);
    assert_true(a[3].link.up && a[3].link.down && a[3].link.kind == LINK_OF_UPLINK);
    assert_true(a[4].link.kind == LINK_OF_WAN);
    merged = scenario_link_merge(&l.first->wan, &a[4].link);
    assert_int_equal(merged.rate_bps, 100000000);
    assert_int_equal(merged.duplicate, 1); // not of the preset
    assert_true(merged.down);
    assert_true(a[5].link.kind == LINK_OF_PEER && a[5].link.up && !a[5].link.down);
    assert_true(scenario_link_merge(&(struct link_config){0}, &a[5].link).down);
    // A preset is of each way its own.
    assert_true(a[6].link.up && !a[6].link.down && a[6].link.config.rate_bps == 1000000);
    assert_true(!a[7].link.up && a[7].link.down && a[7].link.config.rate_bps == 16000000);
    assert_true(a[8].link.kind == LINK_OF_SERVER && a[8].link.up && !a[8].link.down);
    assert_int_equal(a[8].link.index, 1);

    assert_string_equal(ip_of(&a[10].rebind_to), "198.18.0.2"); // the next free one
    assert_int_equal(a[11].lifetime, 10 * TIME_S);
    assert_string_equal(ip_of(&a[12].rebind_to), "198.18.0.99");
    assert_int_equal(a[13].server, 1);
    assert_int_equal(a[15].mark.line, 56);
    scenario_set_free(&l.set);
}

static void test_load_defaults(void **state)
{
    (void)state;
    struct loaded l = load("name: x\nnetwork: {lans: {home: }}\nservers: {stun: {at: wan}}\n"
                           "peers: {a: {at: home}, b: {at: wan}, c: {at: wan}}\n");
    const struct scenario_lan *home = l.first->lans;
    assert_string_equal(l.first->about, "");
    assert_null(l.first->covers[0]);
    assert_int_equal(l.first->seed, 1);
    assert_int_equal(l.first->limit, 60 * TIME_S);
    assert_true(home->has_nat && !home->has_firewall);
    assert_int_equal(home->nat.mapping, NAT_ENDPOINT_INDEPENDENT);
    assert_int_equal(home->nat.filtering, NAT_ADDRESS_AND_PORT_DEPENDENT);
    assert_string_equal(ip_of(&home->nat.external[0]), "198.18.0.1");
    assert_string_equal(ip_of(&home->prefix.ip), "192.168.1.0");
    assert_string_equal(ip_of(&l.first->peers[0].ips[0]), "192.168.1.2");
    assert_string_equal(ip_of(&l.first->peers[2].ips[0]), "198.51.100.2");
    assert_int_equal(l.first->servers[0].addr.port, 3478);
    assert_int_equal(l.first->servers[0].other.ip.family, IP_NONE);
    assert_true(l.first->peers[0].config.trickle);
    assert_int_equal(l.first->sessions_count, 0);
    scenario_set_free(&l.set);
}

// With two peers a session need not say who offers, or says it once.
static void test_load_session_sides(void **state)
{
    (void)state;
    static const struct {
        const char *session;
        unsigned offerer;
    } sides[] = {{"session:\n", 0},
                 {"session: {offerer: b}\n", 1},
                 {"session: {answerer: a}\n", 1},
                 {"session: {answerer: b}\n", 0},
                 {"sessions: [{}]\n", 0}};
    for (unsigned i = 0; i < 5; i++) {
        char text[200];
        snprintf(text, sizeof text, "name: x\npeers: {a: {at: wan}, b: {at: wan}}\n%s",
                 sides[i].session);
        struct loaded l = load(text);
        assert_int_equal(l.first->sessions_count, 1);
        assert_int_equal(l.first->sessions[0].offerer, sides[i].offerer);
        assert_int_equal(l.first->sessions[0].answerer, 1 - sides[i].offerer);
        scenario_set_free(&l.set);
    }
}

static void test_load_presets_of_links(void **state)
{
    (void)state;
    static const char *const names[] = {"dsl", "cable", "wifi",      "wifi-bad",
                                        "lte", "3g",    "satellite", "conference-hotel"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[300];
        snprintf(text, sizeof text,
                 "name: x\nnetwork: {lans: {h: {uplink: {preset: %s}}}}\n"
                 "peers: {a: {at: h}, b: {at: wan}}\n",
                 names[i]);
        struct loaded l = load(text);
        const struct scenario_uplink *uplink = &l.first->lans[0].uplink;
        assert_true(uplink->up.delay > 0 && uplink->up.jitter > 0 && uplink->up.loss > 0);
        assert_true(uplink->up.rate_bps > 0 && uplink->up.rate_bps <= uplink->down.rate_bps);
        scenario_set_free(&l.set);
    }
}

// 2,000 peers, a LAN each: addresses go on after 250 LANs, and every name is looked at a few times.
static void test_load_many_addresses(void **state)
{
    (void)state;
    struct text text = {0};
    text_put(&text, "name: many\nnetwork:\n  lans:\n    cgn: {}\n    crowd: {}\n");
    for (unsigned i = 0; i < 2000; i++)
        text_printf(&text, "    l%u: {%s}\n", i, i % 2 ? "behind: cgn" : "");
    text_put(&text, "peers:\n");
    for (unsigned i = 0; i < 2000; i++)
        text_printf(&text, "  p%u: {at: l%u}\n  w%u: {at: wan}\n  c%u: {at: crowd}\n", i, i, i, i);
    struct scenario_set set = {0};
    struct err err = {0};
    nanotime before = clock_cpu();
    assert_true(scenario_load_text(&set, "many.yaml", text_bytes(&text), &err));
    // Nothing is done for each pair of names: that would be 32 million steps. No clock decides
    // here, but a loop inside a loop would run into this by far.
    assert_true(clock_cpu() - before < 20 * TIME_S);
    const struct scenario *s = set.scenarios[0];
    assert_string_equal(ip_of(&s->lans[0].prefix.ip), "100.64.0.0");
    assert_int_equal(s->lans[0].prefix.bits, 16);
    assert_string_equal(ip_of(&s->lans[1].prefix.ip), "100.65.0.0");
    assert_string_equal(ip_of(&s->lans[2].prefix.ip), "192.168.3.0");
    assert_string_equal(ip_of(&s->lans[249].prefix.ip), "192.168.250.0");
    assert_string_equal(ip_of(&s->lans[250].prefix.ip), "10.0.0.0");
    assert_string_equal(ip_of(&s->lans[2001].prefix.ip), "10.6.215.0");
    assert_string_equal(ip_of(&s->peers[1].ips[0]), "198.51.100.1");
    assert_string_equal(ip_of(&s->peers[1 + 3 * 253].ips[0]), "198.51.100.254");
    assert_string_equal(ip_of(&s->peers[1 + 3 * 254].ips[0]), "198.19.0.1");
    assert_string_equal(ip_of(&s->peers[2 + 3 * 1999].ips[0]), "100.65.7.209");
    assert_string_equal(ip_of(&s->lans[3].nat.external[0]), "100.64.0.2");
    scenario_set_free(&set);
    text_free(&text);
}

// ------------------------------------------------------------------------------------------- ids

static const char two[] = "name: x\npeers: {a: {at: wan}, b: {at: wan}}\n";

static void test_load_ids_are_unique_and_safe(void **state)
{
    (void)state;
    static const struct {
        const char *path, *id;
    } ids[] = {
        {"/work/scenarios/nat/x.yaml", "nat/x"},
        {"scenarios/nat/x.yaml", "nat/x-2"},
        {"a/scenarios/b/scenarios/c.yaml", "c"},
        {"/tmp/c.yaml", "c-2"},
        {"c", "c-3"},
        {"myscenarios/d.yaml", "d"},
        {"scenarios/../e f.yaml", "-./e-f"},
        {"scenarios/.g.yaml", "-g"},
        {"c-2.yaml", "c-2-2"},
    };
    struct scenario_set set = {0};
    struct err err = {0};
    for (unsigned i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_true(scenario_load_text(&set, ids[i].path, bytes_text(two), &err));
        assert_string_equal(set.scenarios[i]->id, ids[i].id);
        assert_string_equal(set.scenarios[i]->file, ids[i].path);
    }
    scenario_set_free(&set);
}

static void test_load_matrix_cells(void **state)
{
    (void)state;
    struct loaded l = load("name: m\n"
                           "network: {lans: {home: {}, office: {gateway: {nat: symmetric}}}}\n"
                           "servers: {turn: {at: wan}}\n"
                           "peers: {alice: {at: home}, bob: {at: office}}\n"
                           "session: {data: [{label: chat}]}\n"
                           "matrix:\n"
                           "  home.nat: [full-cone, {mapping: address-dependent, filtering: "
                           "endpoint-independent}]\n"
                           "  office.nat.lifetime: [30s, 1min]\n"
                           "  wan.loss: [0%]\n"
                           "  turn.quota: [5]\n"
                           "  alice.relay-only: [true]\n"
                           "  session.data.0.label: [a/b]\n"
                           "  home.uplink: [{loss: 1%}, {duplicate: 1%}]\n"
                           "  home.firewall: [udp-blocked]\n"
                           "  seed: [7]\n"
                           "matrix-except:\n"
                           "  - {cell: {home.nat: full-cone, office.nat.lifetime: 1min}, "
                           "outcome: none, reason: why}\n"
                           "  - {cell: {home.nat: full-cone, home.uplink: {loss: 1%}}, outcome: "
                           "direct, reason: not}\n");
    assert_int_equal(l.set.count, 8);
    const struct scenario *first = l.set.scenarios[0], *last = l.set.scenarios[7];
    assert_string_equal(first->cell, "full-cone,30s,0%,5,true,a/b,loss=1%,udp-blocked,7");
    assert_string_equal(first->id, "f/full-cone,30s,0%,5,true,a-b,loss=1%,udp-blocked,7");
    assert_string_equal(last->cell, "address-dependent+endpoint-independent,1min,0%,5,true,a/b,"
                                    "duplicate=1%,udp-blocked,7");
    assert_int_equal(first->lans[0].nat.filtering, NAT_ENDPOINT_INDEPENDENT);
    assert_int_equal(last->lans[0].nat.mapping, NAT_ADDRESS_DEPENDENT);
    assert_int_equal(first->lans[1].nat.lifetime, 30 * TIME_S);
    assert_int_equal(last->lans[1].nat.lifetime, 60 * TIME_S);
    assert_int_equal(last->lans[1].nat.mapping, NAT_ADDRESS_AND_PORT_DEPENDENT); // still symmetric
    assert_int_equal(first->lans[0].uplink.up.loss, 10000000);
    assert_int_equal(last->lans[0].uplink.up.loss, 0);
    assert_int_equal(last->lans[0].uplink.up.duplicate, 10000000);
    assert_true(first->lans[0].has_firewall && !first->lans[1].has_firewall);
    assert_true(first->peers[0].config.relay_only && !first->peers[1].config.relay_only);
    assert_int_equal(first->servers[0].quota, 5);
    assert_int_equal(first->seed, 7);
    assert_true(bytes_is(first->sessions[0].channels[0].config.label, "a/b"));

    static const enum scenario_outcome outcomes[] = {OUTCOME_DIRECT, OUTCOME_COMPUTED, OUTCOME_NONE,
                                                     OUTCOME_NONE};
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(l.set.scenarios[i]->outcome_override,
                         i < 4 ? outcomes[i] : OUTCOME_COMPUTED);
    assert_string_equal(l.set.scenarios[2]->outcome_reason, "why");
    scenario_set_free(&l.set);
}

// A file is loaded whole or not at all, and what was there before stays.
static void test_load_matrix_with_one_bad_cell_adds_nothing(void **state)
{
    (void)state;
    struct scenario_set set = {0};
    struct err err = {0};
    assert_true(scenario_load_text(&set, "a.yaml", bytes_text(two), &err));
    assert_false(scenario_load_text(
        &set, "b.yaml",
        bytes_text("name: x\npeers: {a: {at: wan}, b: {at: wan}}\nmatrix: {seed: [1, 2, x]}\n"),
        &err));
    assert_string_equal(err.text, "b.yaml:3:23: expected a number from 1 to 18446744073709551615, "
                                  "got 'x'");
    assert_int_equal(set.count, 1);
    scenario_set_free(&set);
}

static void test_load_matrix_work_is_bounded(void **state)
{
    (void)state;
    struct text text = {0};
    text_put(&text, "name: x\npeers:\n");
    for (unsigned i = 0; i < 2000; i++)
        text_printf(&text, "  p%u: {at: wan}\n", i);
    text_put(&text, "matrix: {seed: [1");
    for (unsigned i = 2; i <= 4000; i++)
        text_printf(&text, ", %u", i);
    text_put(&text, "]}\n");
    struct scenario_set set = {0};
    struct err err = {0};
    assert_false(scenario_load_text(&set, "f.yaml", text_bytes(&text), &err));
    assert_string_equal(err.text, "f.yaml:2003:9: expected a smaller file or fewer cells, got 4000 "
                                  "cells of 12009 nodes");
    scenario_set_free(&set);
    text_free(&text);
}

// Each cell is a scenario of its own, whatever the nodes of the file become in it.
static void test_load_matrix_memory_is_bounded(void **state)
{
    (void)state;
    struct text text = {0};
    text_put(&text, "name: x\npeers: {a: {at: wan}, b: {at: wan}}\nabout: ");
    for (unsigned i = 0; i < 90000; i++)
        text_put(&text, "aaaaaaaaaa");
    text_put(&text, "\nmatrix: {seed: [1");
    for (unsigned i = 2; i <= 4000; i++)
        text_printf(&text, ", %u", i);
    text_put(&text, "]}\n");
    struct scenario_set set = {0};
    struct err err = {0};
    assert_false(scenario_load_text(&set, "f.yaml", text_bytes(&text), &err));
    assert_string_equal(err.text, "f.yaml:4:9: expected a smaller file or fewer cells, got cells "
                                  "that take more than 512 MiB");
    assert_int_equal(set.count, 0);
    scenario_set_free(&set);
    text_free(&text);
}

// A cell's id is the name of its folder, which has an end; two that begin alike are still two.
static void test_load_matrix_long_cells(void **state)
{
    (void)state;
    char name[300], yaml[1024];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    snprintf(yaml, sizeof yaml, "peers: {a: {at: wan}, b: {at: wan}}\nmatrix: {name: [%s1, %s2]}\n",
             name, name);
    struct scenario_set set = {0};
    struct err err = {0};
    if (!scenario_load_text(&set, "f.yaml", bytes_text(yaml), &err))
        fail_msg("%s", err.text);
    assert_int_equal(set.count, 2);
    assert_int_equal(strlen(set.scenarios[0]->id), 2 + 200);
    assert_int_equal(strlen(set.scenarios[1]->id), 2 + 200 + 2);
    scenario_set_free(&set);
}

// ------------------------------------------------------------------------------------------ files

static void file_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void check_path(const char *path, const char *message)
{
    struct scenario_set set = {0};
    struct err err = {0};
    assert_false(scenario_load_path(&set, path, &err));
    assert_string_equal(err.text, message);
    assert_int_equal(set.count, 0);
    scenario_set_free(&set);
}

static void test_load_files_and_folders(void **state)
{
    (void)state;
    char root[] = "/tmp/simrtc-load-XXXXXX";
    assert_non_null(mkdtemp(root));
    assert_int_equal(chdir(root), 0);
    check_path("none.yaml", "none.yaml: No such file or directory");
    check_path(".", ".: expected files that end in .yaml, got none");
    assert_int_equal(mkdir("scenarios", 0755), 0);
    assert_int_equal(mkdir("scenarios/b", 0755), 0);
    assert_int_equal(symlink("..", "scenarios/b/up"), 0); // no circle
    file_write("scenarios/c.yaml", two);
    file_write("scenarios/b/x.yaml", two);
    file_write("scenarios/b/y.txt", "not one");
    struct scenario_set set = {0};
    struct err err = {0};
    assert_true(scenario_load_path(&set, "scenarios/", &err));
    assert_int_equal(set.count, 2);
    assert_string_equal(set.scenarios[0]->id, "b/x");
    assert_string_equal(set.scenarios[1]->file, "scenarios/c.yaml");
    scenario_set_free(&set);

    assert_false(scenario_load(&set, "scenarios", &err));
    assert_string_equal(err.text, "scenarios: Is a directory");
    scenario_set_free(&set);
    file_write("scenarios/b/bad.yaml", "nam: x\n");
    check_path("scenarios", "scenarios/b/bad.yaml:1:1: expected a key of a scenario, got 'nam': "
                            "did you mean 'name'?");
    assert_int_equal(unlink("scenarios/b/bad.yaml"), 0);
    assert_int_equal(unlink("scenarios/b/x.yaml"), 0);
    assert_int_equal(unlink("scenarios/b/y.txt"), 0);
    assert_int_equal(unlink("scenarios/b/up"), 0);
    assert_int_equal(unlink("scenarios/c.yaml"), 0);
    assert_int_equal(rmdir("scenarios/b"), 0);
    assert_int_equal(rmdir("scenarios"), 0);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(root), 0);
}

// ---------------------------------------------------------------------------------------- hostile

// Cut at every byte, and every byte replaced: a good file or one line, never a crash.
static void test_load_damaged_file_is_an_error_or_a_scenario(void **state)
{
    (void)state;
    size_t len = sizeof everything - 1;
    char *copy = mem_alloc(len);
    static const char damage[] = {0, '{', '\n', '*', (char)0xff};
    for (size_t i = 0; i < len; i++) {
        for (unsigned k = 0; k <= sizeof damage; k++) {
            struct scenario_set set = {0};
            struct err err = {0};
            memcpy(copy, everything, len);
            if (k < sizeof damage)
                copy[i] = damage[k];
            size_t shown = k < sizeof damage ? len : i;
            bool ok = scenario_load_text(&set, "f.yaml", bytes_of(copy, shown), &err);
            assert_int_equal(ok, !err_is_set(&err));
            assert_int_equal(ok, set.count);
            assert_true(ok || strncmp(err.text, "f.yaml:", 7) == 0);
            assert_null(strchr(err.text, '\n'));
            scenario_set_free(&set);
        }
    }
    free(copy);
}

// Both ways to a server are two servers of the peer.
static void test_load_transports(void **state)
{
    (void)state;
    struct loaded l = load("name: x\n"
                           "servers: {turn: {at: wan, transports: [tcp, udp]}, stun: {at: wan},\n"
                           "  turn-two: {at: wan, port: 443, transports: [tcp]}}\n"
                           "peers:\n"
                           "  a: {at: wan, ice-servers: [stun, turn, turn-two]}\n"
                           "  b: {at: wan, ice-servers: [{turn: tcp}, {turn: udp}]}\n");
    assert_int_equal(l.first->servers[0].transports, 1u << PEER_UDP | 1u << PEER_TCP);
    assert_int_equal(l.first->servers[1].transports, 1u << PEER_UDP);
    assert_int_equal(l.first->servers[2].transports, 1u << PEER_TCP);
    const struct scenario_peer *a = &l.first->peers[0], *b = &l.first->peers[1];
    assert_int_equal(a->servers_count, 4);
    assert_int_equal(a->servers[1], 0);
    assert_int_equal(a->transports[1], PEER_UDP); // UDP first
    assert_int_equal(a->servers[2], 0);
    assert_int_equal(a->transports[2], PEER_TCP);
    assert_int_equal(a->servers[3], 2);
    assert_int_equal(a->transports[3], PEER_TCP);
    assert_int_equal(b->servers_count, 2);
    assert_int_equal(b->transports[0], PEER_TCP);
    assert_int_equal(b->transports[1], PEER_UDP);
    scenario_set_free(&l.set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_everything_top_and_links),
        cmocka_unit_test(test_load_everything_gateways),
        cmocka_unit_test(test_load_everything_servers_and_peers),
        cmocka_unit_test(test_load_everything_session),
        cmocka_unit_test(test_load_transports),
        cmocka_unit_test(test_load_everything_timeline),
        cmocka_unit_test(test_load_defaults),
        cmocka_unit_test(test_load_session_sides),
        cmocka_unit_test(test_load_presets_of_links),
        cmocka_unit_test(test_load_many_addresses),
        cmocka_unit_test(test_load_ids_are_unique_and_safe),
        cmocka_unit_test(test_load_matrix_cells),
        cmocka_unit_test(test_load_matrix_with_one_bad_cell_adds_nothing),
        cmocka_unit_test(test_load_matrix_work_is_bounded),
        cmocka_unit_test(test_load_matrix_memory_is_bounded),
        cmocka_unit_test(test_load_matrix_long_cells),
        cmocka_unit_test(test_load_files_and_folders),
        cmocka_unit_test(test_load_damaged_file_is_an_error_or_a_scenario),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
