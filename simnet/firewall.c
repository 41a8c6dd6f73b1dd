#include "simnet/firewall.h"

#include "base/arena.h"
#include "simnet/table_priv.h"

#include <assert.h>
#include <stdlib.h>

#define IDLE_DEFAULT (60 * TIME_S)
#define FLOWS_DEFAULT 65536u
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17

struct firewall {
    struct firewall_config config;
    struct table flows; // by (inside, outside), the protocol folded in
    bool inspects;      // some rule looks into payloads
};

struct preset {
    const char *name;
    bool allow_out;
    struct firewall_rule rules[2];
    unsigned rules_count;
};

static const struct preset presets[] = {
    {"udp-blocked",
     true,
     {{.direction = FIREWALL_BOTH, .action = FIREWALL_DENY, .protocol = PROTOCOL_UDP}},
     1},
    {"corporate",
     false,
     {{.action = FIREWALL_ALLOW, .protocol = PROTOCOL_TCP, .port_min = 80, .port_max = 80},
      {.action = FIREWALL_ALLOW, .protocol = PROTOCOL_TCP, .port_min = 443, .port_max = 443}},
     2},
    {"home", true, {{0}}, 0},
};

bool firewall_preset(struct firewall_config *config, struct bytes name)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        const struct preset *preset = &presets[i];
        if (!bytes_is(name, preset->name))
            continue;
        memcpy(config->rules, preset->rules, sizeof preset->rules);
        config->rules_count = preset->rules_count;
        config->allow_out = preset->allow_out;
        config->allow_in = false;
        return true;
    }
    return false;
}

struct firewall *firewall_new(const struct firewall_config *config)
{
    assert(config->rules_count <= FIREWALL_RULES_MAX);
    struct firewall *firewall = mem_zero(1, sizeof *firewall);
    firewall->config = *config;
    if (firewall->config.idle == 0)
        firewall->config.idle = IDLE_DEFAULT;
    if (firewall->config.flows_max == 0)
        firewall->config.flows_max = FLOWS_DEFAULT;
    firewall->flows = table_new();
    for (unsigned i = 0; i < config->rules_count; i++)
        firewall->inspects |= config->rules[i].payload != FIREWALL_ANY;
    return firewall;
}

void firewall_free(struct firewall *firewall)
{
    if (!firewall)
        return;
    table_free(&firewall->flows);
    free(firewall);
}

struct packet_view {
    enum firewall_direction direction;
    uint8_t protocol;
    const struct addr *outside;
    struct bytes payload;
};

// RFC 7983 7: the first byte tells the protocols that share a socket apart.
static bool payload_matches(enum firewall_payload wanted, struct bytes payload)
{
    uint8_t first = payload.len ? payload.at[0] : UINT8_MAX;
    switch (wanted) {
    case FIREWALL_ANY:
        break;
    case FIREWALL_STUN:
        return first <= 3;
    case FIREWALL_DTLS:
        return first >= 20 && first <= 63;
    }
    return true;
}

static bool rule_matches(const struct firewall_rule *rule, const struct packet_view *packet)
{
    if (rule->direction != FIREWALL_BOTH && rule->direction != packet->direction)
        return false;
    if (rule->protocol != 0 && rule->protocol != packet->protocol)
        return false;
    if (rule->remote.ip.family != IP_NONE && !ip_prefix_has(&rule->remote, &packet->outside->ip))
        return false;
    bool any_port = rule->port_min == 0 && rule->port_max == 0;
    if (!any_port &&
        (packet->outside->port < rule->port_min || packet->outside->port > rule->port_max))
        return false;
    return payload_matches(rule->payload, packet->payload);
}

// NULL: none matches.
static const struct firewall_rule *rule_find(const struct firewall_config *config,
                                             const struct packet_view *packet)
{
    for (unsigned i = 0; i < config->rules_count; i++)
        if (rule_matches(&config->rules[i], packet))
            return &config->rules[i];
    return NULL;
}

static bool is_allowed(const struct firewall_config *config, const struct firewall_rule *rule,
                       enum firewall_direction direction)
{
    if (rule)
        return rule->action == FIREWALL_ALLOW;
    return direction == FIREWALL_OUT ? config->allow_out : config->allow_in;
}

enum firewall_outcome firewall_check(struct firewall *firewall, nanotime now,
                                     enum firewall_direction direction, uint8_t protocol,
                                     const struct addr *inside, const struct addr *outside,
                                     struct bytes payload)
{
    assert(direction != FIREWALL_BOTH);
    const struct firewall_config *config = &firewall->config;
    for (uint32_t idle; (idle = table_idle(&firewall->flows, now, config->idle)) != 0;)
        table_remove(&firewall->flows, idle);

    struct addr key = *outside;
    key.ip.family = (uint16_t)(key.ip.family | protocol << 8);
    uint32_t flow = table_find(&firewall->flows, inside, &key);
    if (flow && !firewall->inspects) {
        table_touch(&firewall->flows, flow, now);
        return FIREWALL_PASS;
    }
    struct packet_view packet = {direction, protocol, outside, payload};
    const struct firewall_rule *rule = rule_find(config, &packet);
    if (flow) {
        // The rest of a flow passes, unless a rule that looks into packets says no to this one.
        if (rule && rule->payload != FIREWALL_ANY && rule->action == FIREWALL_DENY)
            return FIREWALL_REFUSED;
        table_touch(&firewall->flows, flow, now);
        return FIREWALL_PASS;
    }
    if (!is_allowed(config, rule, direction))
        return FIREWALL_REFUSED;
    if (firewall->flows.count >= config->flows_max)
        return FIREWALL_FULL;
    table_add(&firewall->flows, inside, &key, now);
    return FIREWALL_PASS;
}
