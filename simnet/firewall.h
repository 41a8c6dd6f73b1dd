// A stateful firewall: ordered rules for the first packet of a flow; replies follow it in.
#ifndef SIMNET_FIREWALL_H
#define SIMNET_FIREWALL_H

#include "base/addr.h"
#include "base/clock.h"

enum firewall_direction { FIREWALL_OUT, FIREWALL_IN, FIREWALL_BOTH };
enum firewall_action { FIREWALL_ALLOW, FIREWALL_DENY };
enum firewall_payload { // by inspection of the first payload bytes (RFC 7983)
    FIREWALL_ANY,
    FIREWALL_STUN,
    FIREWALL_DTLS,
};

struct firewall_rule {
    enum firewall_direction direction;
    enum firewall_action action;
    uint8_t protocol;              // 17 UDP, 6 TCP; 0: any
    struct ip_prefix remote;       // the address outside; family IP_NONE: any
    uint16_t port_min, port_max;   // the remote port; 0, 0: any
    enum firewall_payload payload; // a rule that looks into packets and denies is for every packet
                                   // of a flow, the others for its first alone
};

#define FIREWALL_RULES_MAX 32
struct firewall_config {
    struct firewall_rule rules[FIREWALL_RULES_MAX]; // the first that matches decides
    unsigned rules_count;
    bool allow_out; // when no rule matches
    bool allow_in;
    nanotime idle;      // a flow without packets is forgotten after this; 0: 60 s
    unsigned flows_max; // 0: 65536; when full, new flows are refused
};

// "udp-blocked": no UDP either way. "corporate": out only TCP 80 and 443, and what answers it.
// "home": out everything, in only answers. False: no such name.
bool firewall_preset(struct firewall_config *config, struct bytes name);

struct firewall;
struct firewall *firewall_new(const struct firewall_config *config);
void firewall_free(struct firewall *firewall);

enum firewall_outcome { FIREWALL_PASS, FIREWALL_REFUSED, FIREWALL_FULL };
// `inside` and `outside` are the packet's two ends as they are outside of any NAT; `payload` is
// what follows the UDP or TCP header.
enum firewall_outcome firewall_check(struct firewall *firewall, nanotime now,
                                     enum firewall_direction direction, uint8_t protocol,
                                     const struct addr *inside, const struct addr *outside,
                                     struct bytes payload);

#endif
