// Everything that can be wrong with a file, and the one line that says so.

#include "scenarios/runner/load/scenario.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#define PEERS "peers: {a: {at: wan}, b: {at: wan}}\n"
#define HEAD "name: x\n" PEERS
#define LAN(text) "name: x\nnetwork: {lans: {home: " text "}}\n" PEERS
#define PEER(text)                                                                                 \
    "name: x\nservers: {stun: {at: wan}}\npeers: {a: {at: wan" text "}, b: {at: wan}}\n"
#define SERVER(text) HEAD "servers: {stun: " text "}\n"
#define SESSION(text) HEAD "session: " text "\n"
#define TIMELINE(text)                                                                             \
    "name: x\nnetwork: {lans: {home: {}, raw: {gateway: {nat: none}}}}\n"                          \
    "servers: {stun: {at: wan}}\n" PEERS "session: {data: [{label: chat}]}\ntimeline:\n  - " text  \
    "\n"
#define MATRIX(text) "name: x\nnetwork: {lans: {home: {}}}\n" PEERS "matrix:\n" text "\n"

struct wrong {
    const char *text;
    const char *message; // after "f.yaml:"
};

// What the loader says of each text, exactly.
static void check_all(const struct wrong *wrong, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct scenario_set set = {0};
        struct err err = {0};
        char expected[ERR_TEXT_MAX];
        snprintf(expected, sizeof expected, "f.yaml:%s", wrong[i].message);
        assert_false(scenario_load_text(&set, "f.yaml", bytes_text(wrong[i].text), &err));
        assert_string_equal(err.text, expected);
        assert_int_equal(set.count, 0);
        scenario_set_free(&set);
    }
}
#define CHECK(table) check_all(table, sizeof table / sizeof table[0])

static const struct wrong file_wrong[] = {
    {"- a\n", "1:1: expected a mapping with 'name', 'peers' and more, got a list"},
    {"x\n", "1:1: expected a mapping with 'name', 'peers' and more, got 'x'"},
    {"about: y\n" PEERS, "1:1: expected 'name', got none"},
    {"name: x\n", "1:1: expected 'peers', got none"},
    {"name: x\npeers: {a: {at: wan}}\n", "2:8: expected at least 2 peers, got 1"},
    {"name: x\npeers: 3\n", "2:8: expected a mapping of peers, got '3'"},
    {"name: x\npeers:\n", "2:7: expected at least 2 peers, got 0"},
    {HEAD "sed: 1\n", "3:1: expected a key of a scenario, got 'sed': did you mean 'seed'?"},
    {HEAD "seed: 0\n", "3:7: expected a number from 1 to 18446744073709551615, got '0'"},
    {HEAD "seed: -1\n", "3:7: expected a number from 1 to 18446744073709551615, got '-1'"},
    {HEAD "limit: 30\n",
     "3:8: expected a time with its unit, such as 25ms, from 0.001s to 86400s, got '30'"},
    {HEAD "limit: 3 s\n",
     "3:8: expected a time with its unit, such as 25ms, from 0.001s to 86400s, got '3 s'"},
    {HEAD "limit: 25h\n",
     "3:8: expected a time with its unit, such as 25ms, from 0.001s to 86400s, got '25h'"},
    {HEAD "covers: x\n", "3:9: expected a list of requirement ids, got 'x'"},
    {HEAD "covers: [[]]\n", "3:10: expected the id of a requirement, got an empty list"},
    {HEAD "resources: {memory: 12XB}\n",
     "3:21: expected a size, such as 64KiB, from 1048576 to 1099511627776, got '12XB'"},
    {HEAD "resources: {memory: 100KiB}\n",
     "3:21: expected a size, such as 64KiB, from 1048576 to 1099511627776, got '100KiB'"},
    {HEAD "expect: [{}]\n", "3:10: expected an expectation, got an empty mapping"},
    {HEAD "expect: [a.slected is relay]\n", "3:10: expected a metric of a, got 'slected', did you "
                                            "mean 'selected'? (simrtc metrics lists them)"},
    {HEAD "session: {}\nsessions: []\n", "4:11: expected 'session' or 'sessions', got both"},
    {"name: x\npeers: {wan: {at: wan}, b: {at: wan}}\n",
     "2:9: expected another name, got the reserved 'wan'"},
    {"name: x\npeers: {a b: {at: wan}, b: {at: wan}}\n",
     "2:9: expected a name of letters, digits, '-' and '_', got 'a b'"},
    {"name: x\nservers: {a: {at: wan}}\n" PEERS,
     "3:9: expected a name of its own, got 'a', which another has"},
    {"name: x\nnetwork: {lans: {b: {}}}\n" PEERS,
     "3:23: expected a name of its own, got 'b', which another has"},
    {"name: x\nnetwork: {wan: {delay: 25}}\n" PEERS,
     "2:24: expected a time with its unit, such as 25ms, from 0s to 86400s, got '25'"},
    {"name: x\nnetwork: {wan: {loss: 0.5}}\n" PEERS,
     "2:23: expected a percentage, such as 0.5%, from 0% to 100%, got '0.5'"},
    {"name: x\nnetwork: {wan: {loss: 101%}}\n" PEERS,
     "2:23: expected a percentage, such as 0.5%, from 0% to 100%, got '101%'"},
    {"name: x\nnetwork: {wan: {loss: 0.00000001%}}\n" PEERS,
     "2:23: expected a percentage, such as 0.5%, from 0% to 100%, got '0.00000001%'"},
    {"name: x\nnetwork: {wan: {rate: 10}}\n" PEERS,
     "2:23: expected a rate, such as 10Mbps, from 1bps to 1000Gbps, got '10'"},
    {"name: x\nnetwork: {wan: {rate: 0bps}}\n" PEERS,
     "2:23: expected a rate, such as 10Mbps, from 1bps to 1000Gbps, got '0bps'"},
    {"name: x\nnetwork: {wan: {queue: 3kB}}\n" PEERS,
     "2:24: expected a size, such as 64KiB, from 0 to 1073741824, got '3kB'"},
    {"name: x\nnetwork: {wan: {discipline: red}}\n" PEERS,
     "2:29: expected tail or codel, got 'red'"},
    {"name: x\nnetwork: {wan: {codel-interval: 5s}}\n" PEERS,
     "2:33: expected a time with its unit, such as 25ms, from 0.001s to 4s, got '5s'"},
    {"name: x\nnetwork: {wan: {mtu: 10}}\n" PEERS,
     "2:22: expected a size, such as 64KiB, from 68 to 65535, got '10'"},
    {"name: x\nnetwork: {wan: {down: maybe}}\n" PEERS, "2:23: expected true or false, got 'maybe'"},
    {"name: x\nnetwork: {wan: {preset: cabel}}\n" PEERS,
     "2:25: expected a link preset, got 'cabel': did you mean 'cable'?"},
    {"name: x\nnetwork: {wan: {jitter-shape: gauss}}\n" PEERS,
     "2:31: expected uniform or normal, got 'gauss'"},
    {"name: x\nnetwork: {wan: {dealy: 1s}}\n" PEERS,
     "2:17: expected a key of a link, got 'dealy': did you mean 'delay'?"},
    {"name: x\nnetwork: {wan: {up: {}}}\n" PEERS, "2:21: expected a link of one way, got 'up'"},
    {"name: x\nnetwork: {wann: {}}\n" PEERS,
     "2:11: expected a key of network, got 'wann': did you mean 'wan'?"},
};

static void test_load_file_is_refused_in_one_line(void **state)
{
    (void)state;
    CHECK(file_wrong);
}

static const struct wrong lan_wrong[] = {
    {LAN("{uplink: {up: {up: {}}}}"), "2:43: expected a link of one way, got 'up'"},
    {LAN("{uplink: {down: {down: {}}}}"), "2:47: expected a link of one way, got 'down'"},
    {LAN("{uplink: [1]}"), "2:33: expected a link, got a list"},
    {LAN("3"), "2:24: expected a LAN, got '3'"},
    {LAN("{gatway: {}}"), "2:25: expected a key of a LAN, got 'gatway': did you mean 'gateway'?"},
    {LAN("{gateway: {nat: symetric}}"),
     "2:40: expected a NAT preset, none or a mapping, got 'symetric': did you mean 'symmetric'?"},
    {LAN("{gateway: {nat: {mapping: dependent}}}"),
     "2:50: expected endpoint-independent, address-dependent or address-and-port-dependent, got "
     "'dependent'"},
    {LAN("{gateway: {nat: {port-min: 9, port-max: 8}}}"),
     "2:51: expected port-min up to port-max 8, got 9"},
    {LAN("{gateway: {nat: {port-max: 500}}}"),
     "2:51: expected port-min beside a port-max below 1024, got none"},
    {LAN("{external: 0.0.0.0}"), "2:35: expected an address that a host can have, got 0.0.0.0"},
    {LAN("{external: [198.18.0.9, 224.0.0.1]}"),
     "2:48: expected an address that a host can have, got 224.0.0.1"},
    {LAN("{external: 255.255.255.255}"),
     "2:35: expected an address that a host can have, got 255.255.255.255"},
    {LAN("{external: 127.0.0.1}"), "2:35: expected an address that a host can have, got 127.0.0.1"},
    {LAN("{prefix: 224.0.0.0/24}"),
     "2:33: expected a prefix of addresses that hosts can have, got '224.0.0.0/24'"},
    {LAN("{prefix: 127.0.0.0/8}"),
     "2:33: expected a prefix of addresses that hosts can have, got '127.0.0.0/8'"},
    {LAN("{gateway: {nat: {preset: none, lifetime: 1s}}}"),
     "2:49: expected 'preset: none' alone, got other keys too"},
    {LAN("{gateway: {nat: {refresh: never}}}"), "2:50: expected out, in or both, got 'never'"},
    {LAN("{gateway: {firewall: hom}}"),
     "2:45: expected a firewall preset or a mapping, got 'hom': did you mean 'home'?"},
    {LAN("{gateway: {firewall: {rules: [{ports: 80}]}}}"),
     "2:54: expected a rule with 'action', got none"},
    {LAN("{gateway: {firewall: {rules: [{action: deny, ports: 9-8}]}}}"),
     "2:76: expected a port or a range of ports, such as 1024-65535, got '9-8'"},
    {LAN("{gateway: {firewall: {rules: [{action: deny, address: 1.2.3}]}}}"),
     "2:78: expected an IPv4 prefix, such as 192.168.1.0/24, got '1.2.3'"},
    {LAN("{gateway: {firewall: {rules: [deny]}}}"), "2:54: expected a firewall rule, got 'deny'"},
    {LAN("{gateway: {firewall: {rules: {}}}}"),
     "2:53: expected a list of firewall rules, got an empty mapping"},
    {LAN("{prefix: 2001:db8::/64}"),
     "2:33: expected an IPv4 prefix, such as 192.168.1.0/24, got '2001:db8::/64'"},
    {LAN("{prefix: 10.0.0.0/31}"),
     "2:33: expected an IPv4 prefix of 8 to 30 bits, got '10.0.0.0/31'"},
    {LAN("{behind: hme}"),
     "2:33: expected the name of a LAN or wan, got 'hme': did you mean 'home'?"},
    {LAN("{behind: home}"),
     "2:33: expected gateways that lead to the wan, got a circle through 'home'"},
    {"name: x\nnetwork: {lans: {k1: {behind: k2}, k2: {behind: k3}, k3: {behind: k1}}}\n" PEERS,
     "2:31: expected gateways that lead to the wan, got a circle through 'k1'"},
    {"name: x\nnetwork: {lans: {k0: {behind: k1}, k1: {behind: k2}, k2: {behind: k3}, k3: {behind: "
     "k4}, k4: {behind: k5}, k5: {behind: k6}, k6: {behind: k7}, k7: {behind: k8}, k8: {behind: "
     "wan}}}\n" PEERS,
     "2:31: expected at most 8 gateways in a row, got more"},
    {LAN("{external: []}"), "2:35: expected 1 to 8 external addresses, got 0"},
    {LAN("{external: [1.1.1.1, 1.1.1.1]}"),
     "2:45: expected a free address, got 1.1.1.1, which another has"},
    {LAN("{external: x}"), "2:35: expected an IPv4 address, got 'x'"},
    {LAN("{isolate: yes}"), "2:34: expected true or false, got 'yes'"},
    {"name: x\nnetwork: {lans: {cgn: {}, home: {behind: cgn, external: 9.9.9.9}}}\n" PEERS,
     "2:57: expected an address of 'cgn', 100.64.0.0/16, got 9.9.9.9"},
    {"name: x\nnetwork: {lans: {home: {prefix: 10.0.0.0/30}}}\npeers: {a: {at: home}, b: {at: "
     "home}}\n",
     "3:24: expected an address left on 'home' for 'b', got none"},
    {"name: x\nnetwork: {lans: {home: {prefix: 10.0.0.0/30}}}\nservers: {stun: {at: home}}\npeers: "
     "{a: {at: home}, b: {at: wan}}\n",
     "3:11: expected an address left on 'home' for 'stun', got none"},
};

static void test_load_lan_is_refused_in_one_line(void **state)
{
    (void)state;
    CHECK(lan_wrong);
}

static const struct wrong host_wrong[] = {
    {SERVER("{}"), "3:11: expected 'at' of server 'stun', got none"},
    {SERVER("{at: here}"), "3:22: expected the name of a LAN or wan, got 'here'"},
    {SERVER("{at: wan, port: 0}"), "3:33: expected a number from 1 to 65535, got '0'"},
    {SERVER("{at: wan, port: 70000}"), "3:33: expected a number from 1 to 65535, got '70000'"},
    {SERVER("{at: wan, lifetime: 1.5s}"),
     "3:37: expected whole seconds, such as 60s, from 1s to 86400s, got '1.5s'"},
    {SERVER("{at: wan, lifetime: 2h}"),
     "3:11: expected lifetime up to lifetime-max 3600s, got 7200s"},
    {SERVER("{at: wan, relay-ports: x}"),
     "3:40: expected a port or a range of ports, such as 1024-65535, got 'x'"},
    {SERVER("{at: wan, redirect: stn}"),
     "3:37: expected the name of a server, got 'stn': did you mean 'stun'?"},
    {SERVER("{at: wan, kind: sturn}"),
     "3:33: expected stun or turn, got 'sturn': did you mean 'stun'?"},
    {SERVER("{at: wan, transports: udp}"), "3:39: expected a list of transports, got 'udp'"},
    {SERVER("{at: wan, transports: [upd]}"),
     "3:40: expected udp or tcp, got 'upd': did you mean 'udp'?"},
    {SERVER("{at: wan, transports: []}"), "3:39: expected udp, tcp or both, got an empty list"},
    {SERVER("{at: wan, transports: [udp, tcp]}"), "3:45: expected udp of a STUN server, got 'tcp'"},
    {"name: x\nservers: {turn: {at: wan}}\npeers: {a: {at: wan, ice-servers: [{turn: tcp}]}, b: "
     "{at: wan}}\n",
     "3:43: expected a transport of that server, got 'tcp'"},
    {"name: x\nservers: {turn: {at: wan}}\npeers: {a: {at: wan, ice-servers: [{turn: sctp}]}, b: "
     "{at: wan}}\n",
     "3:43: expected udp or tcp, got 'sctp': did you mean 'tcp'?"},
    {SERVER("{at: wan, user: ''}"), "3:33: expected text, got ''"},
    {SERVER("{at: wan, user: []}"), "3:33: expected text, got an empty list"},
    {HEAD "servers: {relay: {at: wan}}\n",
     "3:11: expected 'kind: stun' or 'kind: turn' of server 'relay', got neither"},
    {SERVER("{at: wan, address: 1.2.3}"), "3:36: expected an IPv4 address, got '1.2.3'"},
    {"name: x\nservers: {stun: {at: wan, address: 9.9.9.9}, turn: {at: wan, address: "
     "9.9.9.9}}\n" PEERS,
     "2:71: expected a free address, got 9.9.9.9, which another has"},
    {"name: x\npeers: {a: {}, b: {at: wan}}\n", "2:9: expected 'at' of peer 'a', got none"},
    {"name: x\npeers: {a: {at: []}, b: {at: wan}}\n", "2:17: expected 1 to 4 places, got 0"},
    {"name: x\npeers: {a: {at: [wan, wam]}, b: {at: wan}}\n",
     "2:23: expected the name of a LAN or wan, got 'wam': did you mean 'wan'?"},
    {PEER(", ice-servers: [stan]"),
     "3:36: expected the name of a server, got 'stan': did you mean 'stun'?"},
    {PEER(", ice-servers: stun"), "3:35: expected a list of servers, got 'stun'"},
    {PEER(", ice-servers: [a]"), "3:36: expected the name of a server, got 'a'"},
    {PEER(", role: master"), "3:28: expected controlled or controlling, got 'master'"},
    {PEER(", dtls: client"), "3:28: expected auto, active or passive, got 'client'"},
    {PEER(", ice-lite: true, relay-only: true"),
     "3:50: expected ice-lite without relay-only, got both: it has host candidates alone"},
    {PEER(", mtu: 560"), "3:27: expected a size, such as 64KiB, from 561 to 65507, got '560'"},
    {"name: x\nservers: {turn: {at: wan}}\npeers: {a: {at: wan, mtu: 612, ice-servers: [turn]}, b: "
     "{at: wan}}\n",
     "3:27: expected an mtu of at least 613 with a TURN server, got '612'"},
    {PEER(", identity: 16"), "3:32: expected a number from 0 to 15, got '16'"},
    {PEER(", relay-only:"),
     "3:32: expected YAML, got an error: found unexpected ':' while scanning a plain scalar"},
    {PEER(", relay-olny: true"),
     "3:22: expected a key of a peer, got 'relay-olny': did you mean 'relay-only'?"},
};

static void test_load_server_or_peer_is_refused_in_one_line(void **state)
{
    (void)state;
    CHECK(host_wrong);
}

static const struct wrong session_wrong[] = {
    {SESSION("{offerer: c}"), "3:20: expected the name of a peer, got 'c': did you mean 'a'?"},
    {SESSION("{at: 60.1s}"), "3:15: expected a time within the limit of 60s, got '60.1s'"},
    {SESSION("{offerer: a, answerer: a}"),
     "3:33: expected an answerer that is not the offerer, got 'a'"},
    {SESSION("{trikle: true}"),
     "3:11: expected a key of a session, got 'trikle': did you mean 'trickle'?"},
    {SESSION("{signaling: {delya: 1s}}"),
     "3:23: expected a key of signaling, got 'delya': did you mean 'delay'?"},
    {SESSION("{signaling: {lose: answer}}"),
     "3:29: expected a list of messages to lose, such as [answer], got 'answer'"},
    {SESSION("{signaling: {lose: [anser]}}"),
     "3:30: expected offer, answer, candidates or end-of-candidates, maybe of a peer of this "
     "session, got 'anser': did you mean 'answer'?"},
    {SESSION("{signaling: {lose: [answer, b.candidate]}}"),
     "3:38: expected offer, answer, candidates or end-of-candidates, maybe of a peer of this "
     "session, got 'b.candidate': did you mean 'b.candidates'?"},
    {SESSION("{signaling: {lose: [[]]}}"),
     "3:30: expected offer, answer, candidates or end-of-candidates, maybe of a peer of this "
     "session, got an empty list"},
    {SESSION("{glare: both}"), "3:18: expected true or false, got 'both'"},
    {"name: x\npeers: {a: {at: wan, polite: true}, b: {at: wan, polite: true}}\nsession: {}\n",
     "3:10: expected one peer of a session to be polite, got both"},
    {SESSION("{data: {}}"), "3:17: expected a list of data channels, got an empty mapping"},
    {SESSION("{data: [chat]}"), "3:18: expected a data channel, got 'chat'"},
    {SESSION("{data: [{}]}"), "3:18: expected a data channel with 'label', got none"},
    {SESSION("{data: [{label: x, max-retransmits: 1, max-lifetime: 1s}]}"),
     "3:63: expected max-retransmits or max-lifetime, got both"},
    {SESSION("{data: [{label: x, max-lifetime: 1us}]}"),
     "3:43: expected whole milliseconds, got '1us'"},
    {SESSION("{data: [{label: x, negotiated: true}]}"),
     "3:18: expected 'negotiated: true' and 'id' together, got one of them"},
    {SESSION("{data: [{label: x, id: 65535, negotiated: true}]}"),
     "3:33: expected a number from 0 to 65534, got '65535'"},
    {SESSION("{data: [{label: x, from: c}]}"),
     "3:35: expected the name of a peer, got 'c': did you mean 'a'?"},
    {SESSION("{data: [{label: x, peer: a}]}"),
     "3:35: expected 'from' to say who opens it, got 'peer'"},
    {SESSION("{ice-only: true, data: [{label: x}]}"),
     "3:33: expected no data channels with 'ice-only: true', got 1"},
    {"name: x\npeers: {a: {at: wan}, b: {at: wan}, c: {at: wan}}\nsession: {offerer: a}\n",
     "3:10: expected 'offerer' and 'answerer' with more than two peers, got no answerer"},
    {"name: x\npeers: {a: {at: wan}, b: {at: wan}, c: {at: wan}}\nsession: {answerer: a}\n",
     "3:10: expected 'offerer' and 'answerer' with more than two peers, got no offerer"},
    {"name: x\npeers: {a: {at: wan}, b: {at: wan}, c: {at: wan}}\nsessions: [{offerer: a, "
     "answerer: b}, {offerer: c, answerer: b}]\n",
     "3:39: expected each peer in one session, got 'b' again"},
    {"name: x\npeers: {a: {at: wan}, b: {at: wan}, c: {at: wan}}\nsession: {offerer: a, answerer: "
     "b, data: [{label: x, from: c}]}\n",
     "3:60: expected a peer of this session, got 'c'"},
};

static void test_load_session_is_refused_in_one_line(void **state)
{
    (void)state;
    CHECK(session_wrong);
}

static const struct wrong timeline_wrong[] = {
    {HEAD "timeline: {}\n", "3:11: expected a list of actions, got an empty mapping"},
    {TIMELINE("x"), "7:5: expected a mapping with 'at' and an action, got 'x'"},
    {TIMELINE("{close: a}"), "7:5: expected 'at' of a timeline entry, got none"},
    {TIMELINE("{at: 61s, close: a}"), "7:10: expected a time within the limit of 60s, got '61s'"},
    {TIMELINE("{at: 1s}"), "7:5: expected 'at' and one action, got 0 actions"},
    {TIMELINE("{at: 1s, close: a, restart-ice: b}"),
     "7:5: expected 'at' and one action, got 2 actions"},
    {TIMELINE("{at: 1s, close: c}"),
     "7:21: expected the name of a peer, got 'c': did you mean 'a'?"},
    {TIMELINE("{at: 1s, clsoe: a}"),
     "7:14: expected a key of a timeline entry, got 'clsoe': did you mean 'close'?"},
    {TIMELINE("{at: 1s, send: {channel: chat}}"), "7:20: expected 'from', got none"},
    {TIMELINE("{at: 1s, send: {from: a}}"), "7:20: expected 'channel', got none"},
    {TIMELINE("{at: 1s, send: {from: a, channel: chatt}}"),
     "7:39: expected the label of a data channel, got 'chatt': did you mean 'chat'?"},
    {TIMELINE("{at: 1s, close-channel: {peer: a}}"), "7:29: expected 'channel', got none"},
    {TIMELINE("{at: 1s, open-channel: {label: x}}"),
     "7:28: expected 'peer' to say who opens it, got none"},
    {TIMELINE("{at: 1s, open-channel: {label: x, from: a}}"),
     "7:45: expected 'peer' to say who opens it, got 'from'"},
    {TIMELINE("{at: 1s, link: {home.uplnk: {}}}"),
     "7:21: expected wan, LAN.uplink, PEER.link or SERVER.link, or one way of it, such as "
     "home.uplink.up, got 'home.uplnk': did you mean 'home.uplink'?"},
    {TIMELINE("{at: 1s, link: {hme.uplink: {}}}"),
     "7:21: expected wan, LAN.uplink, PEER.link or SERVER.link, or one way of it, such as "
     "home.uplink.up, got 'hme.uplink': did you mean 'home.uplink'?"},
    {TIMELINE("{at: 1s, link: {a.link.left: {}}}"),
     "7:21: expected wan, LAN.uplink, PEER.link or SERVER.link, or one way of it, such as "
     "home.uplink.up, got 'a.link.left'"},
    {TIMELINE("{at: 1s, link: {a.link.up.up: {}}}"),
     "7:21: expected wan, LAN.uplink, PEER.link or SERVER.link, or one way of it, such as "
     "home.uplink.up, got 'a.link.up.up'"},
    {TIMELINE("{at: 1s, link: home}"), "7:20: expected a mapping of links, got 'home'"},
    {TIMELINE("{at: 1s, link: {wan: {los: 1%}}}"),
     "7:27: expected a key of a link, got 'los': did you mean 'loss'?"},
    {TIMELINE("{at: 1s, nat: {home: rebot}}"),
     "7:26: expected reboot, rebind or a mapping, got 'rebot': did you mean 'reboot'?"},
    {TIMELINE("{at: 1s, nat: {a: reboot}}"), "7:20: expected the name of a LAN, got 'a'"},
    {TIMELINE("{at: 1s, nat: {raw: reboot}}"), "7:20: expected a LAN with a NAT, got 'raw'"},
    {TIMELINE("{at: 1s, nat: {home: {}}}"),
     "7:26: expected one of lifetime and rebind, got an empty mapping"},
    {TIMELINE("{at: 1s, nat: {home: {rebind: x}}}"), "7:35: expected an IPv4 address, got 'x'"},
    {TIMELINE("{at: 1s, nat: {home: {rebind: 203.0.113.1}}}"),
     "7:26: expected a free address, got 203.0.113.1, which another has"},
    {TIMELINE("{at: 1s, nat: x}"), "7:19: expected a mapping of LANs, got 'x'"},
    {TIMELINE("{at: 1s, server: {stun: stop}}"), "7:29: expected restart, got 'stop'"},
    {TIMELINE("{at: 1s, server: {turn: restart}}"),
     "7:23: expected the name of a server, got 'turn': did you mean 'stun'?"},
    {TIMELINE("{at: 1s, server: stun}"), "7:22: expected a mapping of servers, got 'stun'"},
    {TIMELINE("{at: soon, close: a}"),
     "7:10: expected a time with its unit, such as 25ms, from 0s to 86400s, got 'soon'"},
};

static void test_load_timeline_is_refused_in_one_line(void **state)
{
    (void)state;
    CHECK(timeline_wrong);
}

static const struct wrong matrix_wrong[] = {
    {MATRIX("  hme.nat: [symmetric]"), "5:3: expected a path that starts with a key of the file or "
                                       "a name, got 'hme.nat': did you mean 'home'?"},
    {MATRIX("  home.nta: [symmetric]"), "5:3: expected a key of a LAN, got 'nta'"},
    {MATRIX("  home.nat: [symetric]"),
     "5:14: expected a NAT preset, none or a mapping, got 'symetric': did you mean 'symmetric'?"},
    {MATRIX("  home.nat: symmetric"), "5:13: expected a list of values, got 'symmetric'"},
    {MATRIX("  home.nat: []"), "5:13: expected a list of values, got an empty list"},
    {MATRIX("  home.nat: [none, none]"), "5:3: expected values that differ, got some twice"},
    {MATRIX("  home..nat: [none]"), "5:3: expected a path of keys joined by '.', got 'home..nat'"},
    {MATRIX("  home.uplink.loss: [1%, x]"),
     "5:26: expected a percentage, such as 0.5%, from 0% to 100%, got 'x'"},
    {MATRIX("  expect.0: [x]"), "5:3: expected a list of expectations, got a mapping"},
    {MATRIX("  peers.a.at: [wan]\n  covers: [[], [x], [[]]]"),
     "6:3: expected values that differ, got some twice"},
    {HEAD "matrix: []\n", "3:9: expected a mapping of paths to lists of values, got an empty list"},
    {HEAD "matrix: {seed: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, "
          "21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, "
          "43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, "
          "65], limit: [1s, 2s, 3s, 4s, 5s, 6s, 7s, 8s, 9s, 10s, 11s, 12s, 13s, 14s, 15s, 16s, "
          "17s, 18s, 19s, 20s, 21s, 22s, 23s, 24s, 25s, 26s, 27s, 28s, 29s, 30s, 31s, 32s, 33s, "
          "34s, 35s, 36s, 37s, 38s, 39s, 40s, 41s, 42s, 43s, 44s, 45s, 46s, 47s, 48s, 49s, 50s, "
          "51s, 52s, 53s, 54s, 55s, 56s, 57s, 58s, 59s, 60s, 61s, 62s, 63s, 64s]}\n",
     "3:9: expected at most 4096 cells, got more"},
    {HEAD "matrix-except: []\n", "3:16: expected 'matrix' beside matrix-except, got none"},
    {MATRIX("  home.nat: [none]\nmatrix-except:\n  - {cell: {home.nat: non}, outcome: none, "
            "reason: y}"),
     "7:23: expected a value of the matrix, got 'non': did you mean 'none'?"},
    {MATRIX("  home.nat: [none]\nmatrix-except:\n  - {cell: {home.nut: none}, outcome: none, "
            "reason: y}"),
     "7:13: expected a path of the matrix, got 'home.nut': did you mean 'home.nat'?"},
    {MATRIX("  home.nat: [none]\nmatrix-except:\n  - {cell: {home.nat: none}, outcome: none}"),
     "7:5: expected 'cell', 'outcome' and 'reason', got no 'reason'"},
    {MATRIX("  home.nat: [none]\nmatrix-except:\n  - {cell: {home.nat: none}, outcome: relais, "
            "reason: y}"),
     "7:39: expected direct, relay or none, got 'relais': did you mean 'relay'?"},
    {MATRIX("  home.nat: [none]\nmatrix-except:\n  - {cell: x, outcome: relay, reason: y}"),
     "7:12: expected a mapping of paths to values, got 'x'"},
    {MATRIX("  home.nat: [none]\nmatrix-except:\n  - {outcome: relay, reason: y}"),
     "7:5: expected 'cell', 'outcome' and 'reason', got no 'cell'"},
    {MATRIX("  home.nat: [none]\nmatrix-except: x"), "6:16: expected a list of cells, got 'x'"},
    {HEAD "expect: [a, b]\nmatrix: {expect.2: [x]}\n",
     "4:10: expected a number below 2 in the path, got '2'"},
};

static void test_load_matrix_is_refused_in_one_line(void **state)
{
    (void)state;
    CHECK(matrix_wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_file_is_refused_in_one_line),
        cmocka_unit_test(test_load_lan_is_refused_in_one_line),
        cmocka_unit_test(test_load_server_or_peer_is_refused_in_one_line),
        cmocka_unit_test(test_load_session_is_refused_in_one_line),
        cmocka_unit_test(test_load_timeline_is_refused_in_one_line),
        cmocka_unit_test(test_load_matrix_is_refused_in_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
