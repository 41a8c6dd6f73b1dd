// The network of the oracle: where a packet comes out, and what it leaves behind in NATs and
// firewalls on its way. No time: what was opened once stays open.
#ifndef SCENARIOS_ORACLE_PRIV_H
#define SCENARIOS_ORACLE_PRIV_H

#include "scenarios/runner/load/scenario.h"

// A transport address. Ports of 65536 and more are symbols: one for each socket and mapping.
struct place {
    struct ip ip;
    uint32_t port; // 0 stands for any
};

// RFC 4787 4.1: packets from `inside` to `remote`, as far as the NAT looks, come from `outside`.
struct net_mapping {
    int lan; // whose gateway
    struct place inside, remote, outside;
};
// RFC 4787 5: `remote`, as far as the NAT looks, may send to `outside`. `inside`: who receives it.
struct net_filter {
    int lan;
    struct place outside, remote, inside;
};
// A flow that a firewall has let through once.
struct net_flow {
    int lan;
    struct place inside, outside;
};

#define NET_MAPPINGS_MAX 512
#define NET_FILTERS_MAX 2048
#define NET_FLOWS_MAX 1024
#define NET_LANS_MAX 160 // gateways that can matter to two peers and their servers
#define NET_HOSTS_MAX 64

// Somebody who can receive: a peer's interface or a server.
struct net_host {
    int lan; // or SCENARIO_WAN
    struct ip ip;
};

struct net {
    const struct scenario *scenario;
    int lans[NET_LANS_MAX];
    unsigned lans_count;
    struct net_host hosts[NET_HOSTS_MAX];
    unsigned hosts_count;
    struct net_mapping mappings[NET_MAPPINGS_MAX];
    unsigned mappings_count;
    struct net_filter filters[NET_FILTERS_MAX];
    unsigned filters_count;
    struct net_flow flows[NET_FLOWS_MAX];
    unsigned flows_count;
    uint32_t port_next;
    bool tcp;     // what is sent now is of TCP
    bool changed; // something new was left behind
};

bool place_equal(const struct place *a, const struct place *b);
// A port that nobody has.
uint32_t net_port(struct net *net);
// The LAN, and the LANs that lie between it and the wan, take part.
void net_add_lan(struct net *net, int lan);
void net_add_host(struct net *net, int lan, const struct ip *ip);

// From a host on `lan`: true if it comes to a host. *from and *to become what that host sees.
bool net_send(struct net *net, int lan, struct place *from, struct place *to);

#endif
