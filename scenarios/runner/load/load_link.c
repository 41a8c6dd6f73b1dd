// Links: their keys, the presets, and the two ways of an uplink.

#include "scenarios/runner/load/load_priv.h"

// Access links as they are met, in round figures chosen once. They follow the orders of magnitude
// that regulators publish for fixed lines (delay and jitter of the line alone, no wide area), what
// 3GPP systems reach in the field for lte and 3g, the geometry of a geostationary orbit for
// satellite (36,000 km up and down is 240 ms), and for wifi-bad and conference-hotel what users of
// calls complain about. They are not measurements of this project.
struct preset {
    const char *name;
    nanotime delay, jitter;
    uint32_t loss, loss_burst; // per billion; packets
    uint64_t up_bps, down_bps;
    uint32_t up_queue, down_queue; // bytes; a slow uplink has a deep queue
};
#define PERMILLE 1000000u
#define MBPS 1000000u
#define KIB 1024u
static const struct preset presets[] = {
    {"dsl", 12 * TIME_MS, 2 * TIME_MS, PERMILLE, 1, 1 * MBPS, 16 * MBPS, 64 * KIB, 128 * KIB},
    {"cable", 6 * TIME_MS, 3 * TIME_MS, PERMILLE / 2, 1, 10 * MBPS, 100 * MBPS, 128 * KIB,
     256 * KIB},
    {"wifi", 2 * TIME_MS, 3 * TIME_MS, 2 * PERMILLE, 1, 50 * MBPS, 50 * MBPS, 128 * KIB, 128 * KIB},
    {"wifi-bad", 5 * TIME_MS, 30 * TIME_MS, 40 * PERMILLE, 3, 2 * MBPS, 5 * MBPS, 64 * KIB,
     64 * KIB},
    {"lte", 25 * TIME_MS, 10 * TIME_MS, 2 * PERMILLE, 1, 10 * MBPS, 30 * MBPS, 256 * KIB,
     256 * KIB},
    {"3g", 60 * TIME_MS, 20 * TIME_MS, 5 * PERMILLE, 1, MBPS / 2, 2 * MBPS, 64 * KIB, 128 * KIB},
    {"satellite", 280 * TIME_MS, 5 * TIME_MS, 5 * PERMILLE, 1, 3 * MBPS, 20 * MBPS, 256 * KIB,
     512 * KIB},
    {"conference-hotel", 40 * TIME_MS, 40 * TIME_MS, 30 * PERMILLE, 5, MBPS / 2, 1 * MBPS, 64 * KIB,
     64 * KIB},
};
#define PRESETS (sizeof presets / sizeof presets[0])

static const char *const disciplines[] = {"tail", "codel", NULL};
static const char *const shapes[] = {"uniform", "normal", NULL};

// The link is first, so that its fields have the same places as in a link alone.
struct link_nodes {
    struct link_config link;
    const struct yaml_node *preset, *up, *down;
};

#define AT(member) offsetof(struct link_config, member)
const struct field load_link_fields[] = {
    {"preset", FIELD_NODE, offsetof(struct link_nodes, preset), 0, 0, NULL},
    {"delay", FIELD_TIME, AT(delay), 0, 0, NULL},
    {"jitter", FIELD_TIME, AT(jitter), 0, 0, NULL},
    {"jitter-shape", FIELD_WORD, AT(shape), 0, 0, shapes},
    {"jitter-reorders", FIELD_BOOL, AT(jitter_reorders), 0, 0, NULL},
    {"loss", FIELD_PERCENT, AT(loss), 0, 0, NULL},
    {"loss-burst", FIELD_U32, AT(loss_burst), 0, 1000000, NULL},
    {"duplicate", FIELD_PERCENT, AT(duplicate), 0, 0, NULL},
    {"reorder", FIELD_PERCENT, AT(reorder), 0, 0, NULL},
    {"reorder-by", FIELD_TIME, AT(reorder_by), 0, 0, NULL},
    {"corrupt", FIELD_PERCENT, AT(corrupt), 0, 0, NULL},
    {"rate", FIELD_RATE, AT(rate_bps), 0, 0, NULL},
    {"queue", FIELD_SIZE, AT(queue_bytes), 0, 1u << 30, NULL},
    {"discipline", FIELD_WORD, AT(discipline), 0, 0, disciplines},
    {"codel-target", FIELD_TIME, AT(codel_target), 1, 0, NULL},
    {"codel-interval", FIELD_TIME, AT(codel_interval), TIME_MS, LINK_CODEL_INTERVAL_MAX, NULL},
    {"mtu", FIELD_SIZE, AT(mtu), 68, 65535, NULL}, // RFC 791 3.2: every link takes 68
    {"down", FIELD_NODE, offsetof(struct link_nodes, down), 0, 0, NULL},
    {"up", FIELD_NODE, offsetof(struct link_nodes, up), 0, 0, NULL},
    {0},
};
static const struct field down_field = {"down", FIELD_BOOL, AT(down), 0, 0, NULL};
#define BIT_DOWN ((uint64_t)1 << 17) // where "down" stands in the table

struct link_config scenario_link_merge(const struct link_config *base,
                                       const struct scenario_link_change *change)
{
    struct link_config merged = *base;
    for (unsigned i = 0; load_link_fields[i].key; i++) {
        const struct field *field = &load_link_fields[i];
        bool given = change->set & (uint64_t)1 << i;
        if (given && field->kind != FIELD_NODE)
            load_field_copy(field, &merged, &change->config);
    }
    if (change->set & BIT_DOWN)
        merged.down = change->config.down;
    return merged;
}

bool load_link_equal(const struct link_config *a, const struct link_config *b)
{
    for (unsigned i = 0; load_link_fields[i].key; i++) {
        if (load_link_fields[i].kind != FIELD_NODE && !load_field_equal(&load_link_fields[i], a, b))
            return false;
    }
    return a->down == b->down;
}

static uint64_t preset_bits(void)
{
    static const char *const keys[] = {
        "delay",      "jitter", "jitter-shape", "jitter-reorders", "loss",
        "loss-burst", "rate",   "queue",        "discipline",      "mtu",
        NULL};
    uint64_t bits = 0;
    for (unsigned i = 0; load_link_fields[i].key; i++) {
        if (load_word_find(bytes_text(load_link_fields[i].key), keys) >= 0)
            bits |= (uint64_t)1 << i;
    }
    return bits;
}

// Without `preset`, `up` and `down`, which are no values of a link.
static uint64_t values_bits(void)
{
    uint64_t bits = 0;
    for (unsigned i = 0; load_link_fields[i].key; i++) {
        if (load_link_fields[i].kind != FIELD_NODE)
            bits |= (uint64_t)1 << i;
    }
    return bits;
}

static bool preset_load(struct load *load, const struct yaml_node *node, bool up,
                        struct link_config *link)
{
    const char *words[PRESETS + 1] = {0};
    for (unsigned i = 0; i < PRESETS; i++)
        words[i] = presets[i].name;
    int at = node->kind == YAML_SCALAR ? load_word_find(node->text, words) : -1;
    if (at < 0)
        return load_expected_word(load, node, "a link preset", words);
    const struct preset *p = &presets[at];
    *link = (struct link_config){
        .delay = p->delay,
        .jitter = p->jitter,
        .loss = p->loss,
        .loss_burst = p->loss_burst,
        .rate_bps = up ? p->up_bps : p->down_bps,
        .queue_bytes = up ? p->up_queue : p->down_queue,
    };
    return true;
}

// The keys of one mapping, laid over *link. A way of its own (`up:`) is handed back.
static bool keys_load(struct load *load, const struct yaml_node *node, bool up,
                      struct link_config *link, uint64_t *set, struct link_nodes *nodes)
{
    *nodes = (struct link_nodes){0};
    uint64_t given = 0;
    if (!load_fields(load, node, "a link", load_link_fields, nodes, &given))
        return false;
    if (nodes->preset) {
        if (!preset_load(load, nodes->preset, up, link))
            return false;
        *set |= preset_bits();
    }
    struct scenario_link_change change = {.config = nodes->link, .set = given & ~BIT_DOWN};
    *link = scenario_link_merge(link, &change);
    *set |= given & values_bits();
    if (!nodes->down || nodes->down->kind == YAML_MAPPING)
        return true;
    nodes->down = NULL;
    *set |= BIT_DOWN;
    return load_value(load, yaml_get(node, "down"), &down_field, link);
}

static bool one_way(struct load *load, const struct yaml_node *node, bool up,
                    struct link_config *link, uint64_t *set)
{
    struct link_nodes nodes;
    if (!keys_load(load, node, up, link, set, &nodes))
        return false;
    if (nodes.up)
        return err_at(load->err, nodes.up->mark, "expected a link of one way, got 'up'");
    if (nodes.down)
        return err_at(load->err, nodes.down->mark, "expected a link of one way, got 'down'");
    return true;
}

bool load_link(struct load *load, const struct yaml_node *node, struct link_config *link)
{
    uint64_t set = 0;
    return one_way(load, node, false, link, &set);
}

bool load_uplink(struct load *load, const struct yaml_node *node, struct scenario_uplink *uplink,
                 uint64_t *set_up, uint64_t *set_down)
{
    struct link_nodes nodes;
    if (!keys_load(load, node, true, &uplink->up, set_up, &nodes) ||
        !keys_load(load, node, false, &uplink->down, set_down, &nodes))
        return false;
    if (nodes.up && !one_way(load, nodes.up, true, &uplink->up, set_up))
        return false;
    return !nodes.down || one_way(load, nodes.down, false, &uplink->down, set_down);
}
