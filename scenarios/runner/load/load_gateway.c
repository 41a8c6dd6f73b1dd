// NATs and firewalls: presets and their single behaviours.

#include "scenarios/runner/load/load_priv.h"

static const char *const nat_presets[] = {
    "full-cone", "restricted-cone", "port-restricted", "symmetric", "none", NULL,
};
static const char *const firewall_presets[] = {"home", "udp-blocked", "corporate", NULL};

static const char *const dependences[] = {
    "endpoint-independent",
    "address-dependent",
    "address-and-port-dependent",
    NULL,
};
static const char *const ports[] = {"preserve", "overload", "sequential", "random", NULL};
static const char *const poolings[] = {"arbitrary", "paired", NULL};
static const char *const hairpins[] = {"off", "external", "internal", NULL};
static const char *const refreshes[] = {"out", "in", "both", NULL};
enum { REFRESH_OUT, REFRESH_IN, REFRESH_BOTH };
static const char *const fulls[] = {"refuse", "evict", NULL};

struct nat_nodes {
    struct nat_config nat;
    const struct yaml_node *preset;
    unsigned pooling, refresh, full;
};
#define AT(member) offsetof(struct nat_nodes, member)
static const struct field nat_fields[] = {
    {"preset", FIELD_NODE, AT(preset), 0, 0, NULL},
    {"mapping", FIELD_WORD, AT(nat.mapping), 0, 0, dependences},
    {"filtering", FIELD_WORD, AT(nat.filtering), 0, 0, dependences},
    {"ports", FIELD_WORD, AT(nat.ports), 0, 0, ports},
    {"port-parity", FIELD_BOOL, AT(nat.port_parity), 0, 0, NULL},
    {"pooling", FIELD_WORD, AT(pooling), 0, 0, poolings},
    {"hairpin", FIELD_WORD, AT(nat.hairpin), 0, 0, hairpins},
    {"lifetime", FIELD_TIME, AT(nat.lifetime), 1, 0, NULL},
    {"filter-lifetime", FIELD_TIME, AT(nat.filter_lifetime), 1, 0, NULL},
    {"refresh", FIELD_WORD, AT(refresh), 0, 0, refreshes},
    {"port-min", FIELD_U16, AT(nat.port_min), 1, 0, NULL},
    {"port-max", FIELD_U16, AT(nat.port_max), 1, 0, NULL},
    {"mappings-max", FIELD_UNSIGNED, AT(nat.mappings_max), 1, 1u << 20, NULL},
    {"when-full", FIELD_WORD, AT(full), 0, 0, fulls},
    {0},
};
#undef AT

// RFC 4787's recommendations, with the filtering of the classic type that most homes have.
static void nat_default(struct nat_config *nat)
{
    *nat = nat_config_default();
    (void)nat_preset(nat, bytes_text("port-restricted"));
}

static bool nat_preset_load(struct load *load, const struct yaml_node *node, bool *has_nat,
                            struct nat_config *nat)
{
    int at = node->kind == YAML_SCALAR ? load_word_find(node->text, nat_presets) : -1;
    if (at < 0)
        return load_expected_word(load, node, "a NAT preset, none or a mapping", nat_presets);
    *has_nat = !bytes_is(node->text, "none");
    if (*has_nat)
        (void)nat_preset(nat, node->text);
    return true;
}

bool load_nat(struct load *load, const struct yaml_node *node, bool *has_nat,
              struct nat_config *nat)
{
    nat_default(nat);
    *has_nat = true;
    if (!node)
        return true;
    if (node->kind != YAML_MAPPING)
        return nat_preset_load(load, node, has_nat, nat);

    // The preset first, wherever it stands, so that the other keys lie over it.
    struct nat_nodes nodes = {.nat = *nat,
                              .pooling = nat->pooling_paired,
                              .refresh = nat->refresh_in ? REFRESH_BOTH : REFRESH_OUT,
                              .full = nat->mappings_evict};
    const struct yaml_node *preset = yaml_get(node, "preset");
    if (preset && !nat_preset_load(load, preset, has_nat, &nodes.nat))
        return false;
    if (!*has_nat && node->count > 1)
        return err_at(load->err, preset->mark, "expected 'preset: none' alone, got other keys too");
    if (!load_fields(load, node, "a NAT", nat_fields, &nodes, NULL))
        return false;
    *nat = nodes.nat;
    nat->pooling_paired = nodes.pooling == 1;
    nat->refresh_out = nodes.refresh != REFRESH_IN;
    nat->refresh_in = nodes.refresh != REFRESH_OUT;
    nat->mappings_evict = nodes.full == 1;
    if (nat->port_min && nat->port_max && nat->port_min > nat->port_max)
        return err_at(load->err, yaml_get(node, "port-min")->mark,
                      "expected port-min up to port-max %u, got %u", nat->port_max, nat->port_min);
    if (!nat->port_min && nat->port_max && nat->port_max < NAT_PORT_MIN)
        return err_at(load->err, yaml_get(node, "port-max")->mark,
                      "expected port-min beside a port-max below %u, got none", NAT_PORT_MIN);
    return true;
}

// ---------------------------------------------------------------------------------------- firewall

static const char *const verdicts[] = {"deny", "allow", NULL};
static const char *const directions[] = {"out", "in", "both", NULL};
static const char *const actions[] = {"allow", "deny", NULL};
static const char *const protocols[] = {"any", "udp", "tcp", NULL};
static const char *const payloads[] = {"any", "stun", "dtls", NULL};
static const uint8_t protocol_numbers[] = {0, 17, 6};

struct rule_nodes {
    struct firewall_rule rule;
    unsigned protocol;
    const struct yaml_node *ports;
};
#define AT(member) offsetof(struct rule_nodes, member)
static const struct field rule_fields[] = {
    {"direction", FIELD_WORD, AT(rule.direction), 0, 0, directions},
    {"action", FIELD_WORD, AT(rule.action), 0, 0, actions},
    {"protocol", FIELD_WORD, AT(protocol), 0, 0, protocols},
    {"address", FIELD_PREFIX, AT(rule.remote), 0, 0, NULL},
    {"ports", FIELD_NODE, AT(ports), 0, 0, NULL},
    {"payload", FIELD_WORD, AT(rule.payload), 0, 0, payloads},
    {0},
};
#undef AT

struct firewall_nodes {
    struct firewall_config firewall;
    unsigned out, in;
    const struct yaml_node *preset, *rules;
};
#define AT(member) offsetof(struct firewall_nodes, member)
static const struct field firewall_fields[] = {
    {"preset", FIELD_NODE, AT(preset), 0, 0, NULL},
    {"default-out", FIELD_WORD, AT(out), 0, 0, verdicts},
    {"default-in", FIELD_WORD, AT(in), 0, 0, verdicts},
    {"idle", FIELD_TIME, AT(firewall.idle), 1, 0, NULL},
    {"flows-max", FIELD_UNSIGNED, AT(firewall.flows_max), 1, 1u << 20, NULL},
    {"rules", FIELD_NODE, AT(rules), 0, 0, NULL},
    {0},
};
#undef AT

bool load_ports(struct load *load, const struct yaml_node *node, uint16_t *min, uint16_t *max)
{
    struct bytes text = node->text;
    size_t dash = 0;
    while (dash < text.len && text.at[dash] != '-')
        dash++;
    uint64_t low, high;
    bool ok = node->kind == YAML_SCALAR &&
              bytes_parse_u64((struct bytes){text.at, dash}, UINT16_MAX, &low);
    if (ok && dash < text.len)
        ok = bytes_parse_u64(bytes_from(text, dash + 1), UINT16_MAX, &high);
    else if (ok)
        high = low;
    if (!ok || low == 0 || low > high)
        return load_expected(load, node, "a port or a range of ports, such as 1024-65535");
    *min = (uint16_t)low;
    *max = (uint16_t)high;
    return true;
}

static bool rule_load(struct load *load, const struct yaml_node *node, struct firewall_rule *rule)
{
    struct rule_nodes nodes = {.rule = {.direction = FIREWALL_BOTH}};
    if (node->kind != YAML_MAPPING)
        return load_expected(load, node, "a firewall rule");
    if (!load_fields(load, node, "a firewall rule", rule_fields, &nodes, NULL))
        return false;
    if (!yaml_get(node, "action"))
        return err_at(load->err, node->mark, "expected a rule with 'action', got none");
    *rule = nodes.rule;
    rule->protocol = protocol_numbers[nodes.protocol];
    return !nodes.ports || load_ports(load, nodes.ports, &rule->port_min, &rule->port_max);
}

static bool firewall_preset_load(struct load *load, const struct yaml_node *node,
                                 struct firewall_config *firewall)
{
    if (node->kind != YAML_SCALAR || load_word_find(node->text, firewall_presets) < 0)
        return load_expected_word(load, node, "a firewall preset or a mapping", firewall_presets);
    (void)firewall_preset(firewall, node->text);
    return true;
}

bool load_firewall(struct load *load, const struct yaml_node *node, bool *has_firewall,
                   struct firewall_config *firewall)
{
    *has_firewall = node && !(node->kind == YAML_SCALAR && bytes_is(node->text, "none"));
    if (!*has_firewall)
        return true;
    if (node->kind != YAML_MAPPING)
        return firewall_preset_load(load, node, firewall);

    struct firewall_nodes nodes = {0};
    (void)firewall_preset(&nodes.firewall, bytes_text("home"));
    const struct yaml_node *preset = yaml_get(node, "preset");
    if (preset && !firewall_preset_load(load, preset, &nodes.firewall))
        return false;
    nodes.out = nodes.firewall.allow_out;
    nodes.in = nodes.firewall.allow_in;
    if (!load_fields(load, node, "a firewall", firewall_fields, &nodes, NULL))
        return false;
    *firewall = nodes.firewall;
    firewall->allow_out = nodes.out == 1;
    firewall->allow_in = nodes.in == 1;
    if (!nodes.rules)
        return true;
    // Rules of the file are asked before those of the preset.
    struct firewall_rule below[FIREWALL_RULES_MAX];
    unsigned below_count = firewall->rules_count;
    memcpy(below, firewall->rules, sizeof below);
    if (!load_is_list(load, nodes.rules, "a list of firewall rules",
                      FIREWALL_RULES_MAX - below_count))
        return false;
    for (unsigned i = 0; i < nodes.rules->count; i++) {
        if (!rule_load(load, nodes.rules->items[i], &firewall->rules[i]))
            return false;
    }
    memcpy(firewall->rules + nodes.rules->count, below, below_count * sizeof below[0]);
    firewall->rules_count += nodes.rules->count;
    return true;
}
