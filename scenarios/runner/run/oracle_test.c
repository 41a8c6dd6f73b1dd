#include "scenarios/runner/run/oracle.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#define HOST (1u << ICE_HOST)
#define SRFLX (1u << ICE_SRFLX)
#define PRFLX (1u << ICE_PRFLX)
#define RELAY (1u << ICE_RELAY)

static struct oracle_outcome compute(const char *text)
{
    struct scenario_set set = {0};
    struct err err = {0};
    struct arena arena = {0};
    (void)scenario_load_text(&set, "f.yaml", bytes_text(text), &err);
    assert_string_equal(err.text, "");
    struct oracle_outcome o = oracle_compute(&arena, set.scenarios[0], set.scenarios[0]->sessions);
    assert_true(o.because && *o.because);
    o.because = NULL;
    arena_free(&arena);
    scenario_set_free(&set);
    return o;
}

// Two peers, each behind a NAT of its own, with these servers.
static struct oracle_outcome pair(const char *a, const char *b, const char *servers)
{
    char text[1000];
    snprintf(text, sizeof text,
             "name: x\nnetwork: {lans: {a: {gateway: {nat: %s}}, b: {gateway: {nat: %s}}}}\n"
             "servers: {stun: {at: wan}, turn: {at: wan}}\n"
             "peers: {alice: {at: a, ice-servers: [%s]}, bob: {at: b, ice-servers: [%s]}}\n"
             "session: {trickle: false}\n",
             a, b, servers, servers);
    return compute(text);
}

static void check(struct oracle_outcome o, enum scenario_outcome outcome, unsigned offerer,
                  unsigned answerer)
{
    assert_int_equal(o.outcome, outcome);
    assert_int_equal(o.types_offerer, offerer);
    assert_int_equal(o.types_answerer, answerer);
}

// RFC 3489 5's types in pairs. A cone has the mapping that the server saw; a symmetric NAT shows
// the other side a new one, which a filter by port has not been opened for.
static void test_oracle_classic_pairs(void **state)
{
    (void)state;
    static const char *const types[] = {"full-cone", "restricted-cone", "port-restricted",
                                        "symmetric"};
    for (unsigned a = 0; a < 4; a++) {
        for (unsigned b = 0; b < 4; b++) {
            bool refused = (a == 3 && b >= 2) || (b == 3 && a >= 2);
            struct oracle_outcome o = pair(types[a], types[b], "stun");
            if (refused) {
                check(o, OUTCOME_NONE, 0, 0);
                assert_int_equal(pair(types[a], types[b], "stun, turn").outcome, OUTCOME_RELAY);
                continue;
            }
            // The answerer's checks may be faster than its server; the offerer's are later.
            check(o, OUTCOME_DIRECT, a == 3 ? PRFLX : SRFLX, b == 3 ? PRFLX : SRFLX | PRFLX);
            assert_int_equal(pair(types[a], types[b], "stun, turn").outcome, OUTCOME_DIRECT);
        }
    }
}

// The best pair with a relay has the peer-reflexive address of one side at its other end.
static void test_oracle_relay_types(void **state)
{
    (void)state;
    // Alice's reflexive candidate is known before; bob's mapping to her relay is not, and 110 is
    // more than 100: so her relay is used.
    check(pair("port-restricted", "symmetric", "stun, turn"), OUTCOME_RELAY, RELAY, PRFLX);
    check(pair("symmetric", "symmetric", "stun, turn"), OUTCOME_RELAY, RELAY | PRFLX,
          RELAY | PRFLX);
    // The server of relays tells reflexive addresses too.
    check(pair("full-cone", "symmetric", "turn"), OUTCOME_DIRECT, SRFLX, PRFLX);
}

#define NAT(m, f) "{mapping: " m ", filtering: " f "}"
#define EI "endpoint-independent"
#define AD "address-dependent"
#define AP "address-and-port-dependent"

static void test_oracle_other_combinations(void **state)
{
    (void)state;
    // One side lets anybody in and always has the mapping that was told: whoever comes is answered.
    check(pair(NAT(EI, EI), NAT(AP, AP), "stun"), OUTCOME_DIRECT, SRFLX, PRFLX);
    // Both map by address and let anybody in: each has one mapping for the other's address, and
    // the answer to it comes from where it was sent.
    check(pair(NAT(AD, EI), NAT(AD, EI), "stun"), OUTCOME_DIRECT, PRFLX, PRFLX);
    // The same with filters: what the server saw stays closed, and nobody learns the other mapping.
    check(pair(NAT(AD, AD), NAT(AD, AD), "stun"), OUTCOME_NONE, 0, 0);
    // One side lets anybody in: the other's check arrives, and shows its mapping.
    check(pair(NAT(AD, AD), NAT(AD, EI), "stun"), OUTCOME_DIRECT, PRFLX, PRFLX);
    // Every answer from a new port: always asymmetric (RFC 8445 7.2.5.2.1), for ever.
    check(pair(NAT(AP, EI), NAT(AP, EI), "stun"), OUTCOME_NONE, 0, 0);
    // Open, but the answer comes from another port than asked, which the other's filter refuses.
    check(pair(NAT(AP, EI), NAT(EI, AP), "stun"), OUTCOME_NONE, 0, 0);
    check(pair(NAT(AD, EI), NAT(EI, AP), "stun"), OUTCOME_NONE, 0, 0);
    // By address only, the other port is let in.
    check(pair(NAT(AP, AP), NAT(EI, AD), "stun"), OUTCOME_DIRECT, PRFLX, SRFLX | PRFLX);
    // RFC 4787 4.2.1: overloaded ports are the same to everybody, whatever the mapping.
    check(pair("{preset: symmetric, ports: overload}", "{preset: symmetric, ports: overload}",
               "stun"),
          OUTCOME_DIRECT, SRFLX, SRFLX | PRFLX);
    check(pair("{preset: symmetric, ports: preserve}", "symmetric", "stun"), OUTCOME_NONE, 0, 0);
}

// Mirrored sides have mirrored outcomes, in all 81.
static void test_oracle_is_symmetric(void **state)
{
    (void)state;
    static const char *const nats[] = {NAT(EI, EI), NAT(EI, AD), NAT(EI, AP),
                                       NAT(AD, EI), NAT(AD, AD), NAT(AD, AP),
                                       NAT(AP, EI), NAT(AP, AD), NAT(AP, AP)};
    for (unsigned a = 0; a < 9; a++) {
        for (unsigned b = 0; b < 9; b++) {
            enum scenario_outcome direct = pair(nats[a], nats[b], "stun").outcome;
            assert_int_equal(direct, pair(nats[b], nats[a], "stun").outcome);
            enum scenario_outcome relayed = pair(nats[a], nats[b], "stun, turn").outcome;
            assert_int_equal(relayed, direct == OUTCOME_DIRECT ? OUTCOME_DIRECT : OUTCOME_RELAY);
        }
    }
}

#define PEERS(a, b, more)                                                                          \
    "servers: {stun: {at: wan}, turn: {at: wan}}\n"                                                \
    "peers: {alice: {at: " a ", " more "}, bob: {at: " b ", " more "}}\n"                          \
    "session: {trickle: false}\n"
#define STUN "ice-servers: [stun]"
#define BOTH "ice-servers: [stun, turn]"

// On one LAN the host candidates do; kept apart, only a NAT that hairpins joins them.
static void test_oracle_one_lan_and_hairpin(void **state)
{
    (void)state;
    check(compute("name: x\nnetwork: {lans: {h: {}}}\n" PEERS("h", "h", STUN)), OUTCOME_DIRECT,
          HOST, HOST);
    check(compute("name: x\nnetwork: {lans: {h: {isolate: true}}}\n" PEERS("h", "h", STUN)),
          OUTCOME_DIRECT, SRFLX, SRFLX | PRFLX);
    check(compute("name: x\nnetwork: {lans: {h: {isolate: true, gateway: {nat: {hairpin: off}}}}}"
                  "\n" PEERS("h", "h", STUN)),
          OUTCOME_NONE, 0, 0);
    check(compute("name: x\nnetwork: {lans: {h: {isolate: true, gateway: {nat: {hairpin: off}}}}}"
                  "\n" PEERS("h", "h", BOTH)),
          OUTCOME_RELAY, RELAY | SRFLX, RELAY | SRFLX | PRFLX);
    // RFC 4787 6 REQ-9: with the internal source, the answer does not come from where it was asked.
    check(compute("name: x\nnetwork: {lans: {h: {isolate: true, gateway: {nat: {hairpin: "
                  "internal}}}}}\n" PEERS("h", "h", STUN)),
          OUTCOME_NONE, 0, 0);
}

#define CHAIN(nat)                                                                                 \
    "name: x\nnetwork: {lans: {cgn: {gateway: {nat: " nat "}}, a: {behind: cgn}, b: {behind: "     \
    "cgn}, c: {}}}\n"

// NAT444: two homes behind one carrier's NAT meet through its hairpin; and from outside, the
// stricter of both NATs decides.
static void test_oracle_chains(void **state)
{
    (void)state;
    check(compute(CHAIN("port-restricted") PEERS("a", "b", STUN)), OUTCOME_DIRECT, SRFLX,
          SRFLX | PRFLX);
    check(compute(CHAIN("{preset: port-restricted, hairpin: off}") PEERS("a", "b", STUN)),
          OUTCOME_NONE, 0, 0);
    check(compute(CHAIN("port-restricted") PEERS("a", "c", STUN)), OUTCOME_DIRECT, SRFLX,
          SRFLX | PRFLX);
    check(compute(CHAIN("symmetric") PEERS("a", "c", STUN)), OUTCOME_NONE, 0, 0);
    check(compute(CHAIN("symmetric") PEERS("a", "wan", STUN)), OUTCOME_DIRECT, PRFLX, HOST);
}

static void test_oracle_firewalls(void **state)
{
    (void)state;
#define WALL(firewall) "name: x\nnetwork: {lans: {a: {gateway: {firewall: " firewall "}}, b: {}}}\n"
    check(compute(WALL("home") PEERS("a", "b", BOTH)), OUTCOME_DIRECT, SRFLX, SRFLX | PRFLX);
    check(compute(WALL("udp-blocked") PEERS("a", "b", BOTH)), OUTCOME_NONE, 0, 0);
    check(compute(WALL("corporate") PEERS("a", "b", BOTH)), OUTCOME_NONE, 0, 0);
    // Out to the servers alone: the relay is the way.
    check(compute(WALL("{default-out: deny, default-in: deny, rules: [{direction: out, action: "
                       "allow, protocol: udp, ports: 3478}]}") PEERS("a", "b", BOTH)),
          OUTCOME_RELAY, RELAY, SRFLX | PRFLX);
    // DTLS that is refused does not hinder checks.
    check(compute(WALL("{rules: [{action: deny, payload: dtls}]}") PEERS("a", "b", STUN)),
          OUTCOME_DIRECT, SRFLX, SRFLX | PRFLX);
}

// RFC 8656 2.1: who cannot send UDP reaches a relay by TCP, where the firewall lets that out.
static void test_oracle_relays_by_tcp(void **state)
{
    (void)state;
#define BY_TCP(from, to, port)                                                                     \
    "servers: {stun: {at: wan}, turn: {at: wan, transports: [udp, tcp], port: " port "}}\n"        \
    "peers: {alice: {at: " from ", " BOTH "}, bob: {at: " to ", " BOTH "}}\n"                      \
    "session: {trickle: false}\n"
    check(compute(WALL("udp-blocked") BY_TCP("a", "b", "3478")), OUTCOME_RELAY, RELAY,
          SRFLX | PRFLX);
    check(compute(WALL("udp-blocked") BY_TCP("a", "wan", "3478")), OUTCOME_RELAY, RELAY, HOST);
    check(compute(WALL("corporate") BY_TCP("a", "b", "3478")), OUTCOME_NONE, 0, 0);
    check(compute(WALL("corporate") BY_TCP("a", "b", "443")), OUTCOME_RELAY, RELAY, SRFLX | PRFLX);
    check(compute(WALL("{default-out: deny}") BY_TCP("a", "b", "3478")), OUTCOME_NONE, 0, 0);
    // Both behind such firewalls, through one server: from relay to relay.
    check(compute("name: x\nnetwork: {lans: {a: {gateway: {firewall: udp-blocked}}, b: {gateway: "
                  "{nat: symmetric, firewall: udp-blocked}}}}\n" BY_TCP("a", "b", "3478")),
          OUTCOME_RELAY, RELAY, RELAY);
    // Without a firewall it is of no use to anyone.
    check(compute(WALL("home") BY_TCP("a", "b", "3478")), OUTCOME_DIRECT, SRFLX, SRFLX | PRFLX);
}

static void test_oracle_peers_of_many_kinds(void **state)
{
    (void)state;
    check(compute("name: x\n" PEERS("wan", "wan", STUN)), OUTCOME_DIRECT, HOST, HOST);
#define HOMES "name: x\nnetwork: {lans: {a: {}, b: {}}}\n"
    check(compute(HOMES PEERS("a", "b", "relay-only: true, " BOTH)), OUTCOME_RELAY, RELAY, RELAY);
    check(compute(HOMES PEERS("a", "b", "relay-only: true, " STUN)), OUTCOME_NONE, 0, 0);
    // Without a server nobody has an address that the other could reach ...
    check(compute(HOMES PEERS("a", "b", "ice-servers: []")), OUTCOME_NONE, 0, 0);
    // ... but one public address is enough, and shows the other's.
    check(compute(HOMES PEERS("a", "wan", "ice-servers: []")), OUTCOME_DIRECT, PRFLX, HOST);
    check(compute(HOMES PEERS("wan", "a", "ice-servers: []")), OUTCOME_DIRECT, HOST, PRFLX);
    // RFC 8445 8.2: two lite agents take a pair without asking whether it works.
    check(compute(HOMES PEERS("a", "wan", "ice-lite: true")), OUTCOME_DIRECT, HOST, HOST);
    check(compute(HOMES
                  "servers: {stun: {at: wan}}\npeers: {alice: {at: wan, ice-lite: true}, bob: "
                  "{at: b, " STUN "}}\nsession:\n"),
          OUTCOME_DIRECT, HOST, SRFLX | PRFLX);
    // Two interfaces: the one on the other's LAN.
    check(compute(HOMES "servers: {stun: {at: wan}}\npeers: {alice: {at: [a, b]}, bob: {at: b}}\n"
                        "session:\n"),
          OUTCOME_DIRECT, HOST, HOST);
    // A server that is not there to be reached; one that sends on; two that send in circles.
    check(compute(HOMES "servers: {turn: {at: a}}\npeers: {alice: {at: a, ice-servers: [turn]}, "
                        "bob: {at: b, ice-servers: [turn]}}\nsession:\n"),
          OUTCOME_NONE, 0, 0);
    check(compute(HOMES "servers: {turn: {at: wan, redirect: turn2}, turn2: {at: wan}}\n"
                        "peers: {alice: {at: a, relay-only: true, ice-servers: [turn]}, "
                        "bob: {at: wan}}\nsession:\n"),
          OUTCOME_RELAY, RELAY, HOST);
    check(compute(HOMES "servers: {turn: {at: wan, redirect: turn2}, turn2: {at: wan, redirect: "
                        "turn}}\npeers: {alice: {at: a, relay-only: true, ice-servers: [turn]}, "
                        "bob: {at: wan}}\nsession:\n"),
          OUTCOME_NONE, 0, 0);
    // Routed without NAT, both are reachable as they are.
    check(compute("name: x\nnetwork: {lans: {a: {gateway: {nat: none}}, b: {gateway: {nat: "
                  "none}}}}\n" PEERS("a", "b", STUN)),
          OUTCOME_DIRECT, HOST, HOST);
    // Trickling, the offerer's checks may be as fast as the answerer's.
    check(compute(HOMES "servers: {stun: {at: wan}}\npeers: {alice: {at: a, " STUN "}, bob: {at: "
                        "b, " STUN "}}\nsession:\n"),
          OUTCOME_DIRECT, SRFLX | PRFLX, SRFLX | PRFLX);
}

static void test_oracle_what_signaling_loses(void **state)
{
    (void)state;
#define PUBLIC(signaling)                                                                          \
    HOMES "servers: {stun: {at: wan}}\npeers: {alice: {at: a, " STUN "}, bob: {at: wan}}\n"        \
          "session: {offerer: alice, " signaling "}\n"
    check(compute(PUBLIC("glare: true")), OUTCOME_NONE, 0, 0);
    // Of a polite peer's offer nothing is missed but by itself.
#define POLITE(signaling)                                                                          \
    HOMES "servers: {stun: {at: wan}}\npeers: {alice: {at: a, polite: true, " STUN                 \
          "}, bob: {at: wan}}\nsession: {offerer: alice, glare: true, " signaling "}\n"
    check(compute(POLITE("")), OUTCOME_DIRECT, SRFLX | PRFLX, HOST);
    check(compute(POLITE("signaling: {lose: [alice.offer]}")), OUTCOME_DIRECT, SRFLX | PRFLX, HOST);
    check(compute(POLITE("signaling: {lose: [bob.offer]}")), OUTCOME_NONE, 0, 0);
    check(compute(POLITE("signaling: {lose: [alice.answer]}")), OUTCOME_NONE, 0, 0);
    check(compute(PUBLIC("signaling: {lose: [offer]}")), OUTCOME_NONE, 0, 0);
    check(compute(PUBLIC("signaling: {lose: [answer]}")), OUTCOME_NONE, 0, 0);
    // The offerer makes no answers, and the end of candidates is waited for, no more.
    check(compute(PUBLIC("signaling: {lose: [alice.answer, bob.offer, end-of-candidates]}")),
          OUTCOME_DIRECT, SRFLX | PRFLX, HOST);
    // Bob learns Alice's address from her checks; Alice could learn his from none.
    check(compute(PUBLIC("signaling: {lose: [alice.candidates]}")), OUTCOME_DIRECT, SRFLX | PRFLX,
          HOST);
    check(compute(PUBLIC("signaling: {lose: [candidates]}")), OUTCOME_NONE, 0, 0);
    // Without trickling they are in the descriptions.
    check(compute(PUBLIC("trickle: false, signaling: {lose: [candidates]}")), OUTCOME_DIRECT, SRFLX,
          HOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oracle_classic_pairs),
        cmocka_unit_test(test_oracle_relay_types),
        cmocka_unit_test(test_oracle_other_combinations),
        cmocka_unit_test(test_oracle_is_symmetric),
        cmocka_unit_test(test_oracle_one_lan_and_hairpin),
        cmocka_unit_test(test_oracle_chains),
        cmocka_unit_test(test_oracle_firewalls),
        cmocka_unit_test(test_oracle_relays_by_tcp),
        cmocka_unit_test(test_oracle_peers_of_many_kinds),
        cmocka_unit_test(test_oracle_what_signaling_loses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
