// A NAT against a reference model of RFC 4787: lists that are searched from end to end.
//
// The bytes choose the behaviours, then packets and time. The model predicts every outcome and
// address. Where the NAT has a choice (an address of the pool, a port), the model takes what it
// chose and says whether it may.
#include "fuzz/fuzz.h"
#include "simnet/nat.h"

// libFuzzer: -max_len=1200

#define LIST_MAX 512
#define EXTERNALS 2

struct entry { // of a mapping's filter
    struct addr remote;
    nanotime used;
};

struct map {
    struct addr inside, remote, outside; // `remote`: as far as the mapping depends on it
    nanotime used;
    uint64_t made;
    struct entry filters[LIST_MAX];
    unsigned filters_count;
};

struct model {
    struct nat_config config;
    nanotime now, lifetime, filter_lifetime;
    struct map *maps;
    unsigned count, max;
    uint64_t made;
    uint16_t port_next; // where ports are given in turn
    uint64_t created, expired, evicted, outcomes[NAT_OUTCOMES];
};

static struct addr key_of(enum nat_dependence dependence, const struct addr *remote)
{
    switch (dependence) {
    case NAT_ENDPOINT_INDEPENDENT:
        break;
    case NAT_ADDRESS_DEPENDENT:
        return (struct addr){.ip = remote->ip};
    case NAT_ADDRESS_AND_PORT_DEPENDENT:
        return *remote;
    }
    return (struct addr){0};
}

static bool overloads(const struct model *m)
{
    return m->config.ports == NAT_PORTS_OVERLOAD;
}

// Where hosts share a port, the remote endpoint tells them apart, whatever the filter looks at.
static bool keeps(const struct model *m, enum nat_dependence dependence)
{
    return m->config.filtering == dependence ||
           (overloads(m) && dependence == NAT_ADDRESS_AND_PORT_DEPENDENT);
}

static void map_remove(struct model *m, unsigned i)
{
    memmove(&m->maps[i], &m->maps[i + 1], (m->count - i - 1) * sizeof *m->maps);
    m->count--;
}

static void expire(struct model *m)
{
    for (unsigned i = 0; i < m->count;) {
        struct map *map = &m->maps[i];
        unsigned kept = 0;
        for (unsigned k = 0; k < map->filters_count; k++)
            if (m->now - map->filters[k].used < m->filter_lifetime)
                map->filters[kept++] = map->filters[k];
        map->filters_count = kept;
        if (m->now - map->used < m->lifetime) {
            i++;
            continue;
        }
        map_remove(m, i);
        m->expired++;
    }
}

static struct entry *filter_find(struct map *map, const struct addr *key)
{
    for (unsigned i = 0; i < map->filters_count; i++)
        if (addr_equal(&map->filters[i].remote, key))
            return &map->filters[i];
    return NULL;
}

// An answer to a shared port goes to whoever sent last: the others lose the entry, not its age.
static void filter_open(struct model *m, struct map *map, const struct addr *key)
{
    struct entry *own = filter_find(map, key);
    nanotime used = m->now;
    if (own) {
        own->used = m->config.refresh_out ? m->now : own->used;
        return;
    }
    for (unsigned i = 0; i < m->count; i++) {
        struct map *other = &m->maps[i];
        struct entry *theirs =
            addr_equal(&other->outside, &map->outside) ? filter_find(other, key) : NULL;
        if (!theirs)
            continue;
        used = m->config.refresh_out ? m->now : theirs->used;
        *theirs = other->filters[--other->filters_count];
    }
    assert(map->filters_count < LIST_MAX);
    map->filters[map->filters_count++] = (struct entry){*key, used};
}

static bool is_taken(const struct model *m, const struct addr *outside)
{
    for (unsigned i = 0; i < m->count; i++)
        if (addr_equal(&m->maps[i].outside, outside))
            return true;
    return false;
}

static unsigned free_ports(const struct model *m, const struct ip *ip, int parity)
{
    unsigned count = 0;
    for (unsigned port = m->config.port_min; port <= m->config.port_max; port++) {
        struct addr outside = {*ip, (uint16_t)port};
        if ((parity < 0 || (int)(port % 2) == parity) && !is_taken(m, &outside))
            count++;
    }
    return count;
}

static bool is_pool(const struct model *m, const struct ip *ip)
{
    for (unsigned i = 0; i < m->config.external_count; i++)
        if (ip_equal(ip, &m->config.external[i]))
            return true;
    return false;
}

// RFC 4787 4.2.1: of ports in turn, the next that is free; first of the same parity, if that
// counts.
static uint16_t port_in_turn(const struct model *m, const struct ip *ip, int parity)
{
    unsigned port = m->port_next;
    for (;;) {
        struct addr outside = {*ip, (uint16_t)port};
        if ((parity < 0 || (int)(port % 2) == parity) && !is_taken(m, &outside))
            return (uint16_t)port;
        port = port == m->config.port_max ? m->config.port_min : port + 1;
        if (port == m->port_next) {
            assert(parity >= 0); // one was free
            parity = -1;
        }
    }
}

// Was this a port that the NAT may give? RFC 4787 4.2
static void check_choice(const struct model *m, const struct addr *inside,
                         const struct addr *outside)
{
    uint16_t port = outside->port;
    assert(is_pool(m, &outside->ip));
    assert(port >= m->config.port_min && port <= m->config.port_max);
    bool in_range = inside->port >= m->config.port_min && inside->port <= m->config.port_max;
    if (overloads(m) && in_range) {
        assert(port == inside->port);
        return;
    }
    assert(!is_taken(m, outside)); // REQ-3
    struct addr same = {outside->ip, inside->port};
    if (m->config.ports == NAT_PORTS_PRESERVE && in_range && !is_taken(m, &same))
        assert(port == inside->port);
    int parity = inside->port % 2;
    if (m->config.port_parity && free_ports(m, &outside->ip, parity) > 0)
        assert(port % 2 == parity);
    if (m->config.ports == NAT_PORTS_SEQUENTIAL)
        assert(port == port_in_turn(m, &outside->ip, m->config.port_parity ? parity : -1));
    // REQ-2: paired pooling gives an inside address one outside address.
    for (unsigned i = 0; i < m->count && m->config.pooling_paired; i++)
        if (ip_equal(&m->maps[i].inside.ip, &inside->ip))
            assert(ip_equal(&m->maps[i].outside.ip, &outside->ip));
}

static struct map *map_find(struct model *m, const struct addr *inside, const struct addr *remote)
{
    for (unsigned i = 0; i < m->count; i++)
        if (addr_equal(&m->maps[i].inside, inside) && addr_equal(&m->maps[i].remote, remote))
            return &m->maps[i];
    return NULL;
}

// Room for one more; false: refused.
static bool map_room(struct model *m)
{
    if (m->count < m->max)
        return true;
    if (!m->config.mappings_evict)
        return false;
    unsigned oldest = 0;
    for (unsigned i = 1; i < m->count; i++) {
        const struct map *a = &m->maps[i], *b = &m->maps[oldest];
        if (a->made < b->made) // `made` moves with each use: the order of last use
            oldest = i;
    }
    map_remove(m, oldest);
    m->evicted++;
    return true;
}

static void map_touch(struct model *m, struct map *map)
{
    map->used = m->now;
    map->made = m->made++;
}

// The packet out, without hairpinning. `got`: what the NAT made of it.
static enum nat_outcome model_map(struct model *m, const struct addr *src, const struct addr *dst,
                                  enum nat_outcome outcome, const struct addr *got,
                                  struct map **out)
{
    struct addr remote = key_of(m->config.mapping, dst);
    struct map *map = map_find(m, src, &remote);
    if (map && m->config.refresh_out)
        map_touch(m, map);
    if (!map) {
        if (!map_room(m))
            return NAT_TABLE_FULL;
        if (outcome == NAT_NO_PORT) { // only where there is none
            unsigned empty = 0;
            for (unsigned i = 0; i < m->config.external_count; i++)
                empty += free_ports(m, &m->config.external[i], -1) == 0;
            assert(m->config.pooling_paired ? empty > 0 : empty == m->config.external_count);
            return NAT_NO_PORT;
        }
        check_choice(m, src, got);
        if (m->config.ports == NAT_PORTS_SEQUENTIAL)
            m->port_next =
                got->port == m->config.port_max ? m->config.port_min : (uint16_t)(got->port + 1);
        map = &m->maps[m->count++];
        *map = (struct map){.inside = *src, .remote = remote, .outside = *got};
        map_touch(m, map);
        m->created++;
    }
    for (enum nat_dependence d = NAT_ADDRESS_DEPENDENT; d <= NAT_ADDRESS_AND_PORT_DEPENDENT; d++) {
        struct addr key = key_of(d, dst);
        if (keeps(m, d))
            filter_open(m, map, &key);
    }
    *out = map;
    return NAT_PASS;
}

static struct map *newest_with(struct model *m, const struct addr *outside)
{
    struct map *found = NULL;
    uint64_t at = 0;
    for (unsigned i = 0; i < m->count; i++)
        if (addr_equal(&m->maps[i].outside, outside) && (!found || i >= at)) {
            found = &m->maps[i]; // the list is in the order of making
            at = i;
        }
    return found;
}

static enum nat_outcome model_in(struct model *m, const struct addr *src, const struct addr *dst,
                                 struct addr *inside)
{
    struct map *found = NULL;
    struct entry *entry = NULL;
    // The finer rule first.
    for (int d = NAT_ADDRESS_AND_PORT_DEPENDENT; d >= NAT_ADDRESS_DEPENDENT && !found; d--) {
        struct addr key = key_of((enum nat_dependence)d, src);
        for (unsigned i = 0; i < m->count && !found && keeps(m, (enum nat_dependence)d); i++) {
            entry = addr_equal(&m->maps[i].outside, dst) ? filter_find(&m->maps[i], &key) : NULL;
            found = entry ? &m->maps[i] : NULL;
        }
    }
    if (!found && !newest_with(m, dst))
        return NAT_NO_MAPPING;
    if (!found && m->config.filtering == NAT_ENDPOINT_INDEPENDENT)
        found = newest_with(m, dst);
    if (!found)
        return NAT_FILTERED;
    if (m->config.refresh_in) {
        map_touch(m, found);
        if (entry)
            entry->used = m->now;
    }
    *inside = found->inside;
    return NAT_PASS;
}

static void step_out(struct model *m, struct nat *nat, struct addr src, struct addr dst)
{
    struct addr got_src = src, got_dst = dst;
    enum nat_outcome got = nat_out(nat, m->now, &got_src, &got_dst), want;
    m->outcomes[got]++;
    expire(m);
    struct map *map = NULL;
    if (!is_pool(m, &dst.ip)) {
        want = model_map(m, &src, &dst, got, &got_src, &map);
        assert(got == want);
        assert(addr_equal(&got_dst, &dst));
        assert(addr_equal(&got_src, map ? &map->outside : &src));
        return;
    }
    if (m->config.hairpin == NAT_HAIRPIN_OFF) {
        assert(got == NAT_HAIRPIN_REFUSED && addr_equal(&got_src, &src));
        return;
    }
    // RFC 4787 6: out by one's own mapping, in by the other's. What is seen of a mapping that is
    // new is hidden in NAT_HAIRPIN_INTERNAL: these packets are left to what has a mapping.
    struct addr remote = key_of(m->config.mapping, &dst), inside = dst;
    assert(map_find(m, &src, &remote));
    want = model_map(m, &src, &dst, got, &got_src, &map);
    assert(want == NAT_PASS);
    want = model_in(m, &map->outside, &dst, &inside);
    assert(got == (want == NAT_PASS ? NAT_HAIRPINNED : want));
    if (want != NAT_PASS)
        return;
    assert(addr_equal(&got_dst, &inside));
    assert(addr_equal(&got_src, m->config.hairpin == NAT_HAIRPIN_EXTERNAL ? &map->outside : &src));
}

static void step_in(struct model *m, struct nat *nat, struct addr src, struct addr dst)
{
    struct addr got_dst = dst, inside = dst;
    enum nat_outcome got = nat_in(nat, m->now, &src, &got_dst);
    m->outcomes[got]++;
    expire(m);
    enum nat_outcome want = model_in(m, &src, &dst, &inside);
    assert(got == want && addr_equal(&got_dst, &inside));
}

static struct nat_config config_of(struct reader *r)
{
    struct nat_config c = {
        .mapping = (enum nat_dependence)fuzz_choice(r, 3),
        .filtering = (enum nat_dependence)fuzz_choice(r, 3),
        .ports = (enum nat_ports)fuzz_choice(r, 4),
        .hairpin = (enum nat_hairpin)fuzz_choice(r, 3),
        .lifetime = (nanotime)(1 + fuzz_choice(r, 8)) * 10 * TIME_S,
        .external_count = 1 + fuzz_choice(r, EXTERNALS),
        .port_min = 1024,
        .mappings_max = 1 + fuzz_choice(r, 24),
    };
    unsigned flags = read_u8(r);
    c.port_parity = flags & 1;
    c.pooling_paired = flags & 2;
    c.refresh_out = flags & 4;
    c.refresh_in = flags & 8;
    c.mappings_evict = flags & 16;
    c.filter_lifetime = flags & 32 ? (nanotime)(1 + fuzz_choice(r, 8)) * 10 * TIME_S : 0;
    c.port_max = (uint16_t)(1024 + (flags & 64 ? fuzz_choice(r, 8) : 300));
    for (unsigned i = 0; i < c.external_count; i++)
        c.external[i] = ip_v4(198, 51, 100, (uint8_t)(1 + i));
    return c;
}

static struct addr inside_of(unsigned v)
{
    return (struct addr){ip_v4(10, 0, 0, (uint8_t)(1 + v % 4)), (uint16_t)(1022 + v / 4 % 8)};
}

static struct addr outside_of(unsigned v)
{
    return (struct addr){ip_v4(203, 0, 113, (uint8_t)(1 + v % 3)), (uint16_t)(4000 + v / 3 % 4)};
}

// An external endpoint: that of a mapping, or any.
static struct addr target_of(struct model *m, unsigned v)
{
    if (m->count > 0 && v % 8 != 7)
        return m->maps[v / 8 % m->count].outside;
    return (struct addr){m->config.external[v / 8 % m->config.external_count],
                         (uint16_t)(1024 + v % 5)};
}

static void step(struct model *m, struct nat *nat, struct reader *r)
{
    unsigned kind = fuzz_choice(r, 16), a = read_u8(r), b = read_u8(r);
    if (kind < 6) {
        step_out(m, nat, inside_of(a), outside_of(b));
    } else if (kind < 11) {
        step_in(m, nat, outside_of(a), target_of(m, b));
    } else if (kind < 13) {
        struct addr dst = target_of(m, b), src = inside_of(a);
        struct addr remote = key_of(m->config.mapping, &dst);
        // The NAT forgets with the next packet, so this may not forget before there is one.
        const struct map *own = map_find(m, &src, &remote);
        bool stands = own && m->now - own->used < m->lifetime;
        if (m->config.hairpin == NAT_HAIRPIN_OFF || stands)
            step_out(m, nat, src, dst);
    } else if (kind < 15) {
        m->now += (nanotime)a * TIME_S / 4;
    } else if (a < 16) {
        nat_reboot(nat);
        m->count = 0;
    } else if (a < 32) {
        m->lifetime = (nanotime)(1 + b % 8) * 5 * TIME_S;
        m->filter_lifetime = m->lifetime;
        nat_set_lifetime(nat, m->lifetime, 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(bytes_of(data, size));
    struct model m = {.config = config_of(&r)};
    m.lifetime = m.config.lifetime;
    m.filter_lifetime = m.config.filter_lifetime ? m.config.filter_lifetime : m.lifetime;
    m.max = m.config.mappings_max;
    m.port_next = m.config.port_min;
    static struct map maps[32];
    m.maps = maps;
    struct nat *nat = nat_new(&m.config, rng_seed(1, "nat"));
    for (unsigned i = 0; i < 500 && r.len > 0; i++)
        step(&m, nat, &r);
    // The next packet expires what is idle: then both count the same.
    struct addr src = outside_of(0), dst = m.config.external[0].family ? target_of(&m, 7) : src;
    step_in(&m, nat, src, dst);
    struct nat_stats stats = nat_stats(nat);
    assert(stats.live == m.count && stats.created == m.created);
    assert(stats.expired == m.expired && stats.evicted == m.evicted);
    assert(memcmp(stats.outcomes, m.outcomes, sizeof m.outcomes) == 0);
    nat_free(nat);
    return 0;
}
