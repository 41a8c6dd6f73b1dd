// Three tables make the NAT:
//
//     mappings   (internal endpoint, remote as far as the mapping depends on it) -> mapping
//     externals  (external endpoint) -> the newest mapping that has it
//     filters    (external endpoint, remote as far as the filter depends on it) -> mapping
//
// A filter entry is the permission of one remote to reach one external endpoint, and names the
// mapping it reaches. So where the filter depends on address and port, an inbound packet is one
// look-up; and where hosts share a port (overloading), the entry is what tells them apart.
//
// Entries stand in the order of their last use, all with the same lifetime: what has expired is at
// the old end, and is forgotten before each step.
#include "simnet/nat.h"

#include "base/arena.h"
#include "simnet/nat_ports_priv.h"
#include "simnet/table_priv.h"

#include <assert.h>
#include <stdlib.h>

#define LIFETIME_DEFAULT (120 * TIME_S) // RFC 4787 4.3 REQ-5: not less than two minutes
#define MAPPINGS_DEFAULT 65536u
#define FILTERS_PER_MAPPING 4u // on average: the bound of the filter table
#define FILTERS_LEAST 1024u
#define EXTERNAL_MAX (sizeof((struct nat_config *)0)->external / sizeof(struct ip))

struct mapping {
    struct addr external;
    uint32_t filters;      // the first of its filter entries
    uint32_t filter_last;  // the one used last by outbound packets: most often the next one too
    uint32_t older, newer; // neighbours with the same external endpoint
    uint8_t pool;          // index of the external address
};

struct filter {
    uint32_t previous, next; // of the same mapping
};

struct nat {
    struct nat_config config;
    struct rng rng;
    uint64_t pairing; // decides which internal address has which external one
    uint16_t port_next;
    struct table mappings, externals, filters;
    struct mapping *mapping; // by number in `mappings`
    struct filter *filter;   // by number in `filters`
    uint32_t mapping_room, filter_room, filters_max;
    struct port_set *ports; // for each external address
    struct nat_stats stats;
};

const char *nat_dependence_name(enum nat_dependence dependence)
{
    static const char *const names[] = {
        [NAT_ENDPOINT_INDEPENDENT] = "endpoint-independent",
        [NAT_ADDRESS_DEPENDENT] = "address-dependent",
        [NAT_ADDRESS_AND_PORT_DEPENDENT] = "address-and-port-dependent",
    };
    return names[dependence];
}

const char *nat_outcome_name(enum nat_outcome outcome)
{
    static const char *const names[] = {
        [NAT_PASS] = "pass",
        [NAT_NO_MAPPING] = "no-mapping",
        [NAT_FILTERED] = "filtered",
        [NAT_TABLE_FULL] = "table-full",
        [NAT_NO_PORT] = "no-port",
        [NAT_HAIRPINNED] = "hairpinned",
        [NAT_HAIRPIN_REFUSED] = "hairpin-refused",
        [NAT_OUTCOMES] = "outcomes",
    };
    return names[outcome];
}

bool nat_preset(struct nat_config *config, struct bytes name)
{
    static const struct {
        const char *name;
        enum nat_dependence mapping, filtering;
    } presets[] = {
        // RFC 3489 5
        {"full-cone", NAT_ENDPOINT_INDEPENDENT, NAT_ENDPOINT_INDEPENDENT},
        {"restricted-cone", NAT_ENDPOINT_INDEPENDENT, NAT_ADDRESS_DEPENDENT},
        {"port-restricted", NAT_ENDPOINT_INDEPENDENT, NAT_ADDRESS_AND_PORT_DEPENDENT},
        {"symmetric", NAT_ADDRESS_AND_PORT_DEPENDENT, NAT_ADDRESS_AND_PORT_DEPENDENT},
    };
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (bytes_is(name, presets[i].name)) {
            config->mapping = presets[i].mapping;
            config->filtering = presets[i].filtering;
            return true;
        }
    return false;
}

struct nat_config nat_config_default(void)
{
    return (struct nat_config){
        .mapping = NAT_ENDPOINT_INDEPENDENT, // RFC 4787 4.1 REQ-1
        .filtering = NAT_ADDRESS_AND_PORT_DEPENDENT,
        .ports = NAT_PORTS_PRESERVE,
        .port_parity = true,             // RFC 4787 4.2.2 REQ-4
        .pooling_paired = true,          // RFC 4787 4.1 REQ-2
        .hairpin = NAT_HAIRPIN_EXTERNAL, // RFC 4787 6 REQ-9
        .lifetime = 300 * TIME_S,        // RFC 4787 4.3 REQ-5c
        .refresh_out = true,             // RFC 4787 4.3 REQ-6
    };
}

// How many port sets there are: rebinding needs one, whatever there was before.
static size_t pool_size(const struct nat *nat)
{
    return nat->config.external_count ? nat->config.external_count : 1;
}

struct nat *nat_new(const struct nat_config *config, struct rng rng)
{
    assert(config->external_count <= EXTERNAL_MAX);
    struct nat *nat = mem_zero(1, sizeof *nat);
    nat->config = *config;
    if (nat->config.mappings_max == 0)
        nat->config.mappings_max = MAPPINGS_DEFAULT;
    if (nat->config.port_min == 0)
        nat->config.port_min = NAT_PORT_MIN;
    if (nat->config.port_max == 0)
        nat->config.port_max = 65535;
    assert(nat->config.port_min <= nat->config.port_max);
    nat_set_lifetime(nat, config->lifetime, config->filter_lifetime);
    nat->rng = rng;
    nat->pairing = rng_u64(&nat->rng);
    nat->port_next = nat->config.port_min;
    nat->filters_max = nat->config.mappings_max > FILTERS_LEAST / FILTERS_PER_MAPPING
                           ? nat->config.mappings_max * FILTERS_PER_MAPPING
                           : FILTERS_LEAST;
    nat->mappings = table_new();
    nat->externals = table_new();
    nat->filters = table_new();
    nat->ports = mem_zero(pool_size(nat), sizeof *nat->ports);
    return nat;
}

void nat_free(struct nat *nat)
{
    if (!nat)
        return;
    table_free(&nat->mappings);
    table_free(&nat->externals);
    table_free(&nat->filters);
    free(nat->mapping);
    free(nat->filter);
    free(nat->ports);
    free(nat);
}

void nat_set_lifetime(struct nat *nat, nanotime lifetime, nanotime filter_lifetime)
{
    nat->config.lifetime = lifetime ? lifetime : LIFETIME_DEFAULT;
    nat->config.filter_lifetime = filter_lifetime ? filter_lifetime : nat->config.lifetime;
}

struct nat_stats nat_stats(const struct nat *nat)
{
    struct nat_stats stats = nat->stats;
    stats.live = nat->mappings.count;
    return stats;
}

void nat_reboot(struct nat *nat)
{
    table_clear(&nat->mappings);
    table_clear(&nat->externals);
    table_clear(&nat->filters);
    memset(nat->ports, 0, pool_size(nat) * sizeof *nat->ports);
}

void nat_rebind(struct nat *nat, const struct ip *to)
{
    nat_reboot(nat);
    memset(nat->config.external, 0, sizeof nat->config.external);
    nat->config.external[0] = *to;
    nat->config.external_count = 1;
}

// ---------------------------------------------------------------------------------------- filters

// The remote as a rule of this dependence sees it; `part` is room for it.
static const struct addr *remote_key(enum nat_dependence dependence, const struct addr *remote,
                                     struct addr *part)
{
    switch (dependence) {
    case NAT_ENDPOINT_INDEPENDENT:
        return &no_addr;
    case NAT_ADDRESS_DEPENDENT:
        *part = (struct addr){.ip = remote->ip};
        return part;
    case NAT_ADDRESS_AND_PORT_DEPENDENT:
        break;
    }
    return remote;
}

static void filter_leave(struct nat *nat, uint32_t filter)
{
    struct filter *left = &nat->filter[filter];
    struct mapping *mapping = &nat->mapping[table_at(&nat->filters, filter)->value];
    if (left->previous)
        nat->filter[left->previous].next = left->next;
    else
        mapping->filters = left->next;
    if (left->next)
        nat->filter[left->next].previous = left->previous;
    if (mapping->filter_last == filter)
        mapping->filter_last = 0;
}

static void filter_join(struct nat *nat, uint32_t filter, uint32_t mapping)
{
    struct mapping *joined = &nat->mapping[mapping];
    nat->filter[filter] = (struct filter){.next = joined->filters};
    if (joined->filters)
        nat->filter[joined->filters].previous = filter;
    joined->filters = filter;
    table_at(&nat->filters, filter)->value = mapping;
}

static void filter_remove(struct nat *nat, uint32_t filter)
{
    filter_leave(nat, filter);
    table_remove(&nat->filters, filter);
}

static uint32_t filter_add(struct nat *nat, nanotime now, uint32_t mapping,
                           const struct addr *remote)
{
    if (nat->filters.count >= nat->filters_max) {
        if (!nat->config.mappings_evict)
            return 0;
        filter_remove(nat, nat->filters.oldest);
    }
    uint32_t filter = table_add(&nat->filters, &nat->mapping[mapping].external, remote, now);
    if (nat->filter_room < nat->filters.room) {
        nat->filter_room = nat->filters.room;
        nat->filter = mem_grow(nat->filter, nat->filter_room * sizeof *nat->filter);
    }
    filter_join(nat, filter, mapping);
    return filter;
}

// RFC 4787 5: what is sent to `remote` lets `remote` answer. False: no room to remember it.
static bool filter_open(struct nat *nat, nanotime now, uint32_t mapping,
                        enum nat_dependence dependence, const struct addr *remote)
{
    struct mapping *opened = &nat->mapping[mapping];
    struct addr part;
    const struct addr *key = remote_key(dependence, remote, &part);
    uint32_t filter = opened->filter_last;
    if (filter == 0 || !table_is_key(table_at(&nat->filters, filter), &opened->external, key))
        filter = table_find(&nat->filters, &opened->external, key);
    if (filter == 0) {
        filter = filter_add(nat, now, mapping, key);
        if (filter == 0)
            return false;
    } else {
        if (table_at(&nat->filters, filter)->value != mapping) {
            filter_leave(nat, filter); // overloading: an answer goes to whoever sent last
            filter_join(nat, filter, mapping);
        }
        if (nat->config.refresh_out)
            table_touch(&nat->filters, filter, now);
    }
    opened->filter_last = filter;
    return true;
}

static bool is_overloading(const struct nat *nat)
{
    return nat->config.ports == NAT_PORTS_OVERLOAD;
}

static bool filters_open(struct nat *nat, nanotime now, uint32_t mapping, const struct addr *remote)
{
    if (nat->config.filtering == NAT_ADDRESS_DEPENDENT &&
        !filter_open(nat, now, mapping, NAT_ADDRESS_DEPENDENT, remote))
        return false;
    // RFC 4787 4.2.1: where hosts share a port, only the remote endpoint tells whose answer it is.
    if (nat->config.filtering == NAT_ADDRESS_AND_PORT_DEPENDENT || is_overloading(nat))
        return filter_open(nat, now, mapping, NAT_ADDRESS_AND_PORT_DEPENDENT, remote);
    return true;
}

// --------------------------------------------------------------------------------------- mappings

static void external_join(struct nat *nat, nanotime now, uint32_t mapping)
{
    struct mapping *joined = &nat->mapping[mapping];
    uint32_t external = table_find(&nat->externals, &joined->external, &no_addr);
    if (external == 0)
        external = table_add(&nat->externals, &joined->external, &no_addr, now);
    joined->older = table_at(&nat->externals, external)->value;
    if (joined->older)
        nat->mapping[joined->older].newer = mapping;
    table_at(&nat->externals, external)->value = mapping;
    port_take(&nat->ports[joined->pool], joined->external.port);
}

static void external_leave(struct nat *nat, const struct mapping *left)
{
    if (left->older)
        nat->mapping[left->older].newer = left->newer;
    if (left->newer) {
        nat->mapping[left->newer].older = left->older;
        return;
    }
    uint32_t external = table_find(&nat->externals, &left->external, &no_addr);
    table_at(&nat->externals, external)->value = left->older;
    if (left->older == 0) {
        table_remove(&nat->externals, external);
        port_give(&nat->ports[left->pool], left->external.port);
    }
}

static void mapping_remove(struct nat *nat, uint32_t mapping)
{
    while (nat->mapping[mapping].filters)
        filter_remove(nat, nat->mapping[mapping].filters);
    external_leave(nat, &nat->mapping[mapping]);
    table_remove(&nat->mappings, mapping);
}

void nat_expire(struct nat *nat, nanotime now)
{
    uint32_t idle;
    while ((idle = table_idle(&nat->filters, now, nat->config.filter_lifetime)) != 0)
        filter_remove(nat, idle);
    while ((idle = table_idle(&nat->mappings, now, nat->config.lifetime)) != 0) {
        mapping_remove(nat, idle);
        nat->stats.expired++;
    }
}

// The address of the pool to begin with.
static unsigned pool_choose(struct nat *nat, const struct ip *internal)
{
    unsigned count = nat->config.external_count;
    if (count <= 1)
        return 0;
    if (!nat->config.pooling_paired)
        return (unsigned)rng_below(&nat->rng, count);
    // RFC 4787 4.1 REQ-2: all mappings of an internal address have one external address.
    char name[IP_TEXT_MAX];
    struct rng paired = rng_seed(nat->pairing, ip_print(internal, name));
    return (unsigned)rng_below(&paired, count);
}

static bool port_in_range(const struct nat *nat, uint16_t port)
{
    return port >= nat->config.port_min && port <= nat->config.port_max;
}

static uint16_t port_start(struct nat *nat)
{
    if (nat->config.ports == NAT_PORTS_SEQUENTIAL)
        return nat->port_next;
    uint32_t range = (uint32_t)nat->config.port_max - nat->config.port_min + 1;
    return (uint16_t)(nat->config.port_min + rng_below(&nat->rng, range));
}

// 0: no port is free.
static uint16_t port_choose(struct nat *nat, const struct port_set *set, uint16_t internal)
{
    uint16_t min = nat->config.port_min, max = nat->config.port_max;
    if (is_overloading(nat) && port_in_range(nat, internal))
        return internal;
    if (nat->config.ports == NAT_PORTS_PRESERVE && port_in_range(nat, internal) &&
        !port_is_taken(set, internal))
        return internal;

    enum port_parity parity = PARITY_ANY;
    if (nat->config.port_parity) // RFC 4787 4.2.2
        parity = internal % 2 ? PARITY_ODD : PARITY_EVEN;
    uint16_t start = port_start(nat);
    uint16_t port = port_free_from(set, start, min, max, parity);
    if (port == 0 && parity != PARITY_ANY) // a wish, not a rule
        port = port_free_from(set, start, min, max, PARITY_ANY);
    if (port != 0 && nat->config.ports == NAT_PORTS_SEQUENTIAL)
        nat->port_next = port == max ? min : (uint16_t)(port + 1);
    return port;
}

static bool external_choose(struct nat *nat, const struct addr *internal, struct mapping *mapping)
{
    unsigned pool = pool_choose(nat, &internal->ip);
    unsigned tries = nat->config.pooling_paired ? 1 : nat->config.external_count;
    for (unsigned i = 0; i < tries && nat->config.external_count > 0; i++) {
        uint16_t port = port_choose(nat, &nat->ports[pool], internal->port);
        if (port != 0) {
            mapping->external = (struct addr){nat->config.external[pool], port};
            mapping->pool = (uint8_t)pool;
            return true;
        }
        pool = (pool + 1) % nat->config.external_count;
    }
    return false;
}

static enum nat_outcome mapping_add(struct nat *nat, nanotime now, const struct addr *internal,
                                    const struct addr *remote, uint32_t *out)
{
    if (nat->mappings.count >= nat->config.mappings_max) {
        if (!nat->config.mappings_evict)
            return NAT_TABLE_FULL;
        mapping_remove(nat, nat->mappings.oldest);
        nat->stats.evicted++;
    }
    struct mapping made = {0};
    if (!external_choose(nat, internal, &made))
        return NAT_NO_PORT;
    uint32_t mapping = table_add(&nat->mappings, internal, remote, now);
    if (nat->mapping_room < nat->mappings.room) {
        nat->mapping_room = nat->mappings.room;
        nat->mapping = mem_grow(nat->mapping, nat->mapping_room * sizeof *nat->mapping);
    }
    nat->mapping[mapping] = made;
    external_join(nat, now, mapping);
    nat->stats.created++;
    *out = mapping;
    return NAT_PASS;
}

// ------------------------------------------------------------------------------------------ steps

static enum nat_outcome map_out(struct nat *nat, nanotime now, struct addr *src,
                                const struct addr *dst)
{
    // RFC 4787 4.1: which packets from X:x use the same mapping.
    struct addr part;
    const struct addr *remote = remote_key(nat->config.mapping, dst, &part);
    uint32_t mapping = table_find(&nat->mappings, src, remote);
    if (mapping == 0) {
        enum nat_outcome outcome = mapping_add(nat, now, src, remote, &mapping);
        if (outcome != NAT_PASS)
            return outcome;
    } else if (nat->config.refresh_out) { // RFC 4787 4.3 REQ-6
        table_touch(&nat->mappings, mapping, now);
    }
    if (!filters_open(nat, now, mapping, dst))
        return NAT_TABLE_FULL;
    *src = nat->mapping[mapping].external;
    return NAT_PASS;
}

// The mapping that lets `src` reach `dst`. 0: none; `why` says more.
static uint32_t find_in(const struct nat *nat, const struct addr *src, const struct addr *dst,
                        uint32_t *filter, enum nat_outcome *why)
{
    *filter = 0;
    if (nat->config.filtering == NAT_ADDRESS_AND_PORT_DEPENDENT || is_overloading(nat))
        *filter = table_find(&nat->filters, dst, src);
    if (*filter == 0 && nat->config.filtering == NAT_ADDRESS_DEPENDENT)
        *filter = table_find(&nat->filters, dst, &(struct addr){.ip = src->ip});
    if (*filter != 0)
        return table_at(&nat->filters, *filter)->value;

    uint32_t external = table_find(&nat->externals, dst, &no_addr);
    *why = external ? NAT_FILTERED : NAT_NO_MAPPING;
    if (external && nat->config.filtering == NAT_ENDPOINT_INDEPENDENT)
        return table_at(&nat->externals, external)->value;
    return 0;
}

static enum nat_outcome map_in(struct nat *nat, nanotime now, const struct addr *src,
                               struct addr *dst)
{
    enum nat_outcome why = NAT_NO_MAPPING;
    uint32_t filter, mapping = find_in(nat, src, dst, &filter, &why);
    if (mapping == 0)
        return why;
    if (nat->config.refresh_in) { // RFC 4787 4.3 REQ-6a
        table_touch(&nat->mappings, mapping, now);
        if (filter)
            table_touch(&nat->filters, filter, now);
    }
    *dst = table_at(&nat->mappings, mapping)->a;
    return NAT_PASS;
}

static bool is_external(const struct nat *nat, const struct ip *ip)
{
    for (unsigned i = 0; i < nat->config.external_count; i++)
        if (ip_equal(ip, &nat->config.external[i]))
            return true;
    return false;
}

// RFC 4787 6: out as any packet, and at once in again by the other's mapping, past its filter.
static enum nat_outcome hairpin(struct nat *nat, nanotime now, struct addr *src, struct addr *dst)
{
    if (nat->config.hairpin == NAT_HAIRPIN_OFF)
        return NAT_HAIRPIN_REFUSED;
    struct addr from = *src, to = *dst;
    enum nat_outcome outcome = map_out(nat, now, &from, dst);
    if (outcome == NAT_PASS)
        outcome = map_in(nat, now, &from, &to);
    if (outcome != NAT_PASS)
        return outcome;
    if (nat->config.hairpin == NAT_HAIRPIN_EXTERNAL) // RFC 4787 6 REQ-9a
        *src = from;
    *dst = to;
    return NAT_HAIRPINNED;
}

enum nat_outcome nat_out(struct nat *nat, nanotime now, struct addr *src, struct addr *dst)
{
    nat_expire(nat, now);
    enum nat_outcome outcome =
        is_external(nat, &dst->ip) ? hairpin(nat, now, src, dst) : map_out(nat, now, src, dst);
    nat->stats.outcomes[outcome]++;
    return outcome;
}

enum nat_outcome nat_in(struct nat *nat, nanotime now, const struct addr *src, struct addr *dst)
{
    nat_expire(nat, now);
    enum nat_outcome outcome = map_in(nat, now, src, dst);
    nat->stats.outcomes[outcome]++;
    return outcome;
}
