// The wide area network and the LANs: names, what is behind what, gateways, uplinks.

#include "scenarios/runner/load/load_priv.h"

#define NAME_MAX_LEN 63

// Words with a meaning of their own where a name may stand (expect.h, `at: wan`).
static const char *const reserved[] = {"wan", "no", "not", "and", "or", "as", "packets", NULL};

static bool name_is_good(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool other = (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (!letter && (i == 0 || !other))
            return false;
    }
    return name.len >= 1 && name.len <= NAME_MAX_LEN;
}

bool load_collect(struct load *load, const struct yaml_node *node, enum named_kind kind,
                  const char *what, unsigned max)
{
    if (!load_is_mapping(load, node, what, max))
        return false;
    for (unsigned i = 0; i < node->count; i++) {
        const struct yaml_node *key = node->pairs[i].key;
        if (!name_is_good(key->text))
            return load_expected(load, key, "a name of letters, digits, '-' and '_'");
        if (load_word_find(key->text, reserved) >= 0)
            return err_at(load->err, key->mark, "expected another name, got the reserved %s",
                          yaml_describe(load->arena, key));
        if (!names_add(&load->names, 0, key->text, load_named(kind, i)))
            return err_at(load->err, key->mark,
                          "expected a name of its own, got %s, which another has",
                          yaml_describe(load->arena, key));
    }
    return true;
}

struct lan_nodes {
    struct scenario_lan lan;
    const struct yaml_node *gateway, *uplink, *link, *behind, *external;
};
#define AT(member) offsetof(struct lan_nodes, member)
static const struct field lan_fields[] = {
    {"gateway", FIELD_NODE, AT(gateway), 0, 0, NULL},
    {"uplink", FIELD_NODE, AT(uplink), 0, 0, NULL},
    {"link", FIELD_NODE, AT(link), 0, 0, NULL},
    {"prefix", FIELD_PREFIX, AT(lan.prefix), 0, 0, NULL},
    {"behind", FIELD_NODE, AT(behind), 0, 0, NULL},
    {"isolate", FIELD_BOOL, AT(lan.isolate), 0, 0, NULL},
    {"external", FIELD_NODE, AT(external), 0, 0, NULL},
    {0},
};
#undef AT

struct gateway_nodes {
    const struct yaml_node *nat, *firewall;
};
static const struct field gateway_fields[] = {
    {"nat", FIELD_NODE, offsetof(struct gateway_nodes, nat), 0, 0, NULL},
    {"firewall", FIELD_NODE, offsetof(struct gateway_nodes, firewall), 0, 0, NULL},
    {0},
};

#define POOL_MAX (sizeof((struct nat_config *)0)->external / sizeof(struct ip))

static bool external_load(struct load *load, const struct yaml_node *node, struct scenario_lan *lan)
{
    static const struct field field = {"external", FIELD_IP, 0, 0, 0, NULL};
    const struct yaml_node *const *items = node->kind == YAML_SEQUENCE ? node->items : &node;
    unsigned count = node->kind == YAML_SEQUENCE ? node->count : 1;
    unsigned max = lan->has_nat ? (unsigned)POOL_MAX : 1;
    if (count == 0 || count > max)
        return err_at(load->err, node->mark, "expected 1 to %u external addresses, got %u", max,
                      count);
    for (unsigned i = 0; i < count; i++) {
        struct ip *to = lan->has_nat ? &lan->nat.external[i] : &lan->outside_ip;
        if (!load_value(load, items[i], &field, to))
            return false;
    }
    lan->nat.external_count = lan->has_nat ? count : 0;
    return true;
}

static bool prefix_check(struct load *load, const struct yaml_node *node, struct scenario_lan *lan)
{
    // A gateway and one host need two addresses besides the two that name the network.
    if (lan->prefix.bits < 8 || lan->prefix.bits > 30)
        return load_expected(load, node, "an IPv4 prefix of 8 to 30 bits");
    if (!load_is_host(&lan->prefix.ip))
        return load_expected(load, node, "a prefix of addresses that hosts can have");
    uint32_t mask = UINT32_MAX << (32 - lan->prefix.bits);
    lan->prefix.ip = ip_v4_of(ip_v4_value(&lan->prefix.ip) & mask);
    return true;
}

static bool lan_load(struct load *load, unsigned index)
{
    const struct yaml_pair *pair = &load->lans_node->pairs[index];
    struct lan_nodes nodes = {
        .lan = {.name = load_text(load, pair->key->text), .behind = SCENARIO_WAN}};
    struct scenario_lan *lan = &nodes.lan;
    load->lan_marks[index] = pair->key->mark;
    if (!load_fields(load, pair->value, "a LAN", lan_fields, &nodes, NULL))
        return false;
    struct gateway_nodes gateway = {0};
    if (nodes.gateway &&
        !load_fields(load, nodes.gateway, "a gateway", gateway_fields, &gateway, NULL))
        return false;
    if (!load_nat(load, gateway.nat, &lan->has_nat, &lan->nat) ||
        !load_firewall(load, gateway.firewall, &lan->has_firewall, &lan->firewall))
        return false;
    uint64_t up = 0, down = 0;
    if (nodes.uplink && !load_uplink(load, nodes.uplink, &lan->uplink, &up, &down))
        return false;
    if (nodes.link && !load_link(load, nodes.link, &lan->link))
        return false;
    if (lan->prefix.ip.family != IP_NONE &&
        !prefix_check(load, yaml_get(pair->value, "prefix"), lan))
        return false;
    if (nodes.external && !external_load(load, nodes.external, lan))
        return false;
    if (nodes.behind) {
        load->lan_marks[index] = nodes.behind->mark;
        if (!load_place(load, nodes.behind, &lan->behind))
            return false;
    }
    load->lans[index] = *lan;
    return true;
}

// Every way out ends at the wan, in at most SCENARIO_CHAIN_MAX gateways. Each LAN is walked once.
static bool chains_check(struct load *load)
{
    unsigned count = load->scenario->lans_count;
    unsigned *length = arena_alloc(load->arena, count * sizeof *length); // 0: not known yet
    int *path = arena_alloc(load->arena, count * sizeof *path);
    for (unsigned i = 0; i < count; i++) {
        unsigned steps = 0;
        int at = (int)i;
        while (at != SCENARIO_WAN && length[at] == 0 && steps < count) {
            path[steps++] = at;
            at = load->lans[at].behind;
        }
        if (at != SCENARIO_WAN && length[at] == 0)
            return err_at(load->err, load->lan_marks[at],
                          "expected gateways that lead to the wan, got a circle through '%s'",
                          load->lans[at].name);
        unsigned known = at == SCENARIO_WAN ? 0 : length[at];
        while (steps)
            length[path[--steps]] = ++known;
        if (known > SCENARIO_CHAIN_MAX)
            return err_at(load->err, load->lan_marks[i],
                          "expected at most %u gateways in a row, got more", SCENARIO_CHAIN_MAX);
    }
    return true;
}

bool load_network(struct load *load, const struct yaml_node *wan)
{
    if (wan && !load_link(load, wan, &load->scenario->wan))
        return false;
    unsigned count = load->lans_node ? load->lans_node->count : 0;
    load->lans = arena_alloc(load->arena, count * sizeof *load->lans);
    load->lan_marks = arena_alloc(load->arena, count * sizeof *load->lan_marks);
    load->scenario->lans = load->lans;
    load->scenario->lans_count = count;
    for (unsigned i = 0; i < count; i++) {
        if (!lan_load(load, i))
            return false;
    }
    return chains_check(load);
}
