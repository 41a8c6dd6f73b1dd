// A NAT (RFC 4787) as a table and two pure steps, with its behaviours as orthogonal parameters.
//
// `nat_out` and `nat_in` decide what becomes of a packet's addresses; rewriting the packet is the
// gateway's work. No node, link or clock is known here.
#ifndef SIMNET_NAT_H
#define SIMNET_NAT_H

#include "base/addr.h"
#include "base/clock.h"
#include "base/rng.h"

// RFC 4787 4.1 and 5: does the mapping, does the filter, depend on where the packet goes, or came
// from?
enum nat_dependence {
    NAT_ENDPOINT_INDEPENDENT,
    NAT_ADDRESS_DEPENDENT,
    NAT_ADDRESS_AND_PORT_DEPENDENT,
};
const char *nat_dependence_name(enum nat_dependence dependence); // "endpoint-independent" ...

enum nat_ports {          // RFC 4787 4.2.1
    NAT_PORTS_PRESERVE,   // the internal port where it is free, else random
    NAT_PORTS_OVERLOAD,   // the internal port even when it is taken by another host
    NAT_PORTS_SEQUENTIAL, // the next free one
    NAT_PORTS_RANDOM,
};

// With port parity, a port of the other parity is given only when no other is left. Two mappings
// share an external port only with NAT_PORTS_OVERLOAD; then the remote endpoint decides whose an
// inbound packet is, and where both sent to it, whoever sent last.

enum nat_hairpin { // RFC 4787 6; the receiver's filter sees the mapped address in both modes
    NAT_HAIRPIN_OFF,
    NAT_HAIRPIN_EXTERNAL, // the source seen is the mapped address (REQ-9)
    NAT_HAIRPIN_INTERNAL, // the source seen is the internal address
};

#define NAT_PORT_MIN 1024 // RFC 4787 4.2.1 REQ-3a: not a well-known one

struct nat_config {
    enum nat_dependence mapping, filtering;
    enum nat_ports ports;
    bool port_parity; // RFC 4787 4.2.2
    bool
        pooling_paired; // RFC 4787 4.1 REQ-2; else an address of the pool is drawn for each mapping
    enum nat_hairpin hairpin;
    nanotime lifetime; // of an idle mapping; 0: 120 s (RFC 4787 4.3 REQ-5: not less than 2 minutes)
    nanotime filter_lifetime; // of an idle filter entry; 0: as `lifetime`. An entry belongs to one
                              // mapping and ends with it, but has its own age
    bool refresh_out;         // outbound packets refresh (REQ-6); false only in a broken NAT
    bool refresh_in;          // inbound packets refresh too
    uint16_t port_min, port_max; // 0: NAT_PORT_MIN to 65535
    unsigned mappings_max;       // 0: 65536. Filter entries: four times as many, at least 1024
    bool mappings_evict;         // when full: forget the mapping idle longest, instead of refusing
    struct ip external[8];       // the pool
    unsigned external_count;
};

// The four classic types (RFC 3489 5) by name: "full-cone", "restricted-cone", "port-restricted",
// "symmetric". Sets mapping and filtering and leaves the rest. False: no such name.
bool nat_preset(struct nat_config *config, struct bytes name);
// A config with everything as RFC 4787 recommends (EIM, APDF, preserve, hairpin external).
struct nat_config nat_config_default(void);

enum nat_outcome {
    NAT_PASS,
    NAT_NO_MAPPING,
    NAT_FILTERED,
    NAT_TABLE_FULL,
    NAT_NO_PORT,    // no free external port
    NAT_HAIRPINNED, // nat_out: send it back inside; use `to` for its destination too
    NAT_HAIRPIN_REFUSED,
    NAT_OUTCOMES,
};
const char *nat_outcome_name(enum nat_outcome outcome);

// Time never goes back between steps. Each step is O(1), expiry included (amortised).
struct nat;
struct nat *nat_new(const struct nat_config *config, struct rng rng);
void nat_free(struct nat *nat);

// A packet from inside, `src` to `dst`. NAT_PASS: *src becomes the external address.
// NAT_HAIRPINNED: *src and *dst become what the inside receiver sees.
enum nat_outcome nat_out(struct nat *nat, nanotime now, struct addr *src, struct addr *dst);
// A packet from outside, to one of our external addresses. NAT_PASS: *dst becomes the internal one.
enum nat_outcome nat_in(struct nat *nat, nanotime now, const struct addr *src, struct addr *dst);

void nat_reboot(struct nat *nat);                      // forget every mapping
void nat_rebind(struct nat *nat, const struct ip *to); // forget, and the pool is now this address
void nat_set_lifetime(struct nat *nat, nanotime lifetime, nanotime filter_lifetime);

struct nat_stats {
    uint64_t created, expired, evicted;
    unsigned live; // as of the last packet
    uint64_t outcomes[NAT_OUTCOMES];
};
// Forget what has been idle for too long. Every packet does that first; ask for it before reading
// the statistics of a NAT that may have seen none for a while.
void nat_expire(struct nat *nat, nanotime now);
struct nat_stats nat_stats(const struct nat *nat);

#endif
