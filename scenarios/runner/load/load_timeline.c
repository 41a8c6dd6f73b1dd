// The timeline: what happens when.

#include "scenarios/runner/load/load_priv.h"

#include <stdlib.h>

struct action_nodes {
    nanotime at;
    const struct yaml_node *send, *open, *close_channel, *link, *nat, *server, *restart_ice, *close;
    const struct yaml_node *media[6]; // by enum media_command_kind
};
#define AT(member) offsetof(struct action_nodes, member)
static const struct field action_fields[] = {
    {"at", FIELD_TIME, AT(at), 0, 0, NULL},
    {"send", FIELD_NODE, AT(send), 0, 0, NULL},
    {"open-channel", FIELD_NODE, AT(open), 0, 0, NULL},
    {"close-channel", FIELD_NODE, AT(close_channel), 0, 0, NULL},
    {"link", FIELD_NODE, AT(link), 0, 0, NULL},
    {"nat", FIELD_NODE, AT(nat), 0, 0, NULL},
    {"server", FIELD_NODE, AT(server), 0, 0, NULL},
    {"restart-ice", FIELD_NODE, AT(restart_ice), 0, 0, NULL},
    {"close", FIELD_NODE, AT(close), 0, 0, NULL},
    {"mute", FIELD_NODE, AT(media[MEDIA_MUTE]), 0, 0, NULL},
    {"unmute", FIELD_NODE, AT(media[MEDIA_UNMUTE]), 0, 0, NULL},
    {"keyframe", FIELD_NODE, AT(media[MEDIA_KEYFRAME]), 0, 0, NULL},
    {"dial", FIELD_NODE, AT(media[MEDIA_DIAL]), 0, 0, NULL},
    {"bitrate", FIELD_NODE, AT(media[MEDIA_BITRATE]), 0, 0, NULL},
    {"receive-max", FIELD_NODE, AT(media[MEDIA_RECEIVE_MAX]), 0, 0, NULL},
    {0},
};
#undef AT

struct timeline {
    struct load *load;
    struct scenario_action *actions;
    unsigned count, max;
    struct scenario_action now; // the entry being read: its time and place
};

static bool action_add(struct timeline *t, const struct scenario_action *action)
{
    if (t->count == SCENARIO_ACTIONS_MAX)
        return err_at(t->load->err, action->mark, "expected at most %u actions, got more",
                      SCENARIO_ACTIONS_MAX);
    if (t->count == t->max) {
        t->max = t->max ? t->max * 2 : 16;
        t->actions = mem_grow(t->actions, t->max * sizeof *t->actions);
    }
    t->actions[t->count++] = *action;
    return true;
}

// ------------------------------------------------------------------------------------------- data

struct send_nodes {
    struct scenario_action action;
    const struct yaml_node *from, *peer, *channel;
};
#define AT(member) offsetof(struct send_nodes, member)
static const struct field send_fields[] = {
    {"from", FIELD_NODE, AT(from), 0, 0, NULL},
    {"channel", FIELD_NODE, AT(channel), 0, 0, NULL},
    {"messages", FIELD_U32, AT(action.messages), 1, 10000000, NULL},
    {"size", FIELD_SIZE, AT(action.size), 0, 1u << 30, NULL},
    {"interval", FIELD_TIME, AT(action.interval), 0, 0, NULL},
    {"text", FIELD_BOOL, AT(action.text), 0, 0, NULL},
    {0},
};
static const struct field close_fields[] = {
    {"peer", FIELD_NODE, AT(peer), 0, 0, NULL},
    {"channel", FIELD_NODE, AT(channel), 0, 0, NULL},
    {0},
};
#undef AT

static const char *const *labels(struct load *load)
{
    const struct scenario *s = load->scenario;
    unsigned count = 0, at = 0;
    for (unsigned i = 0; i < s->sessions_count; i++)
        count += s->sessions[i].channels_count;
    const char **words = arena_alloc(load->arena, (count + 1) * sizeof *words);
    for (unsigned i = 0; i < s->sessions_count; i++) {
        for (unsigned k = 0; k < s->sessions[i].channels_count; k++)
            words[at++] = (const char *)s->sessions[i].channels[k].config.label.at;
    }
    return words;
}

// A channel's label is known from the sessions and from what the timeline opens.
static bool label_load(struct load *load, const struct yaml_node *node, struct err_mark mark,
                       const char **label)
{
    uint32_t value;
    if (!node)
        return err_at(load->err, mark, "expected 'channel', got none");
    if (node->kind != YAML_SCALAR || !names_find(&load->labels, 0, node->text, &value))
        return load_expected_word(load, node, "the label of a data channel", labels(load));
    *label = load_text(load, node->text);
    return true;
}

static bool who_load(struct load *load, const struct yaml_node *node, struct err_mark mark,
                     const char *key, unsigned *peer)
{
    if (!node)
        return err_at(load->err, mark, "expected '%s', got none", key);
    return load_name(load, node, NAMED_PEER, "the name of a peer", peer);
}

static bool send_load(struct timeline *t, const struct yaml_node *node)
{
    struct send_nodes nodes = {.action = t->now};
    nodes.action.kind = ACTION_SEND;
    nodes.action.messages = 1;
    nodes.action.size = 100;
    return load_fields(t->load, node, "send", send_fields, &nodes, NULL) &&
           who_load(t->load, nodes.from, node->mark, "from", &nodes.action.peer) &&
           label_load(t->load, nodes.channel, node->mark, &nodes.action.channel) &&
           action_add(t, &nodes.action);
}

static bool close_channel_load(struct timeline *t, const struct yaml_node *node)
{
    struct send_nodes nodes = {.action = t->now};
    nodes.action.kind = ACTION_CLOSE_CHANNEL;
    return load_fields(t->load, node, "close-channel", close_fields, &nodes, NULL) &&
           who_load(t->load, nodes.peer, node->mark, "peer", &nodes.action.peer) &&
           label_load(t->load, nodes.channel, node->mark, &nodes.action.channel) &&
           action_add(t, &nodes.action);
}

// ------------------------------------------------------------------------------------------ links

// "wan", "home.uplink", "home.uplink.up", "alice.link", "turn.link.down"
static bool link_name_parse(struct load *load, struct bytes name, struct scenario_link_change *out)
{
    *out = (struct scenario_link_change){.up = true, .down = true};
    if (bytes_is(name, "wan")) {
        out->kind = LINK_OF_WAN;
        return true;
    }
    struct bytes parts[3] = {0};
    unsigned count = 0;
    for (size_t start = 0; start <= name.len; count++) {
        size_t end = start;
        while (end < name.len && name.at[end] != '.')
            end++;
        if (count == 3)
            return false;
        parts[count] = (struct bytes){name.at + start, end - start};
        start = end + 1;
    }
    uint32_t value;
    if (count < 2 || !names_find(&load->names, 0, parts[0], &value))
        return false;
    for (unsigned kind = NAMED_LAN; kind <= NAMED_PEER; kind++) {
        if (value - load_named(kind, 0) < load_named(1, 0)) {
            static const enum scenario_link_kind kinds[] = {LINK_OF_UPLINK, LINK_OF_SERVER,
                                                            LINK_OF_PEER};
            out->kind = kinds[kind];
            out->index = value - load_named(kind, 0);
        }
    }
    if (!bytes_is(parts[1], out->kind == LINK_OF_UPLINK ? "uplink" : "link"))
        return false;
    if (count == 2)
        return true;
    out->up = bytes_is(parts[2], "up");
    out->down = bytes_is(parts[2], "down");
    return out->up || out->down;
}

static const char *const *link_names(struct load *load)
{
    const struct scenario *s = load->scenario;
    unsigned at = 0;
    const char **words = arena_alloc(
        load->arena, (s->lans_count + s->peers_count + s->servers_count + 2) * sizeof *words);
    words[at++] = "wan";
    for (unsigned i = 0; i < s->lans_count; i++)
        words[at++] = arena_printf(load->arena, "%s.uplink", s->lans[i].name);
    for (unsigned i = 0; i < s->peers_count; i++)
        words[at++] = arena_printf(load->arena, "%s.link", s->peers[i].name);
    for (unsigned i = 0; i < s->servers_count; i++)
        words[at++] = arena_printf(load->arena, "%s.link", s->servers[i].name);
    return words;
}

static bool link_one(struct timeline *t, const struct yaml_pair *pair)
{
    struct scenario_action action = t->now;
    struct scenario_link_change *change = &action.link;
    action.kind = ACTION_LINK;
    if (!link_name_parse(t->load, pair->key->text, change))
        return load_expected_word(t->load, pair->key,
                                  "wan, LAN.uplink, PEER.link or SERVER.link, or one way of it, "
                                  "such as home.uplink.up",
                                  link_names(t->load));
    struct scenario_uplink ways = {0};
    uint64_t set_up = 0, set_down = 0;
    if (!load_uplink(t->load, pair->value, &ways, &set_up, &set_down))
        return false;
    bool both = change->up && change->down;
    if (both && set_up == set_down && load_link_equal(&ways.up, &ways.down)) {
        change->config = ways.up;
        change->set = set_up;
        return action_add(t, &action);
    }
    // Each way changes in a way of its own: two actions at one time.
    struct scenario_action down = action;
    change->down = false;
    change->config = ways.up;
    change->set = set_up;
    if (change->up && set_up && change->kind != LINK_OF_WAN && !action_add(t, &action))
        return false;
    down.link.up = change->kind == LINK_OF_WAN; // it has one way alone
    down.link.config = ways.down;
    down.link.set = set_down;
    return !down.link.down || !set_down || action_add(t, &down);
}

static bool link_load(struct timeline *t, const struct yaml_node *node)
{
    if (node->kind != YAML_MAPPING)
        return load_expected(t->load, node, "a mapping of links");
    for (unsigned i = 0; i < node->count; i++) {
        if (!link_one(t, &node->pairs[i]))
            return false;
    }
    return true;
}

// ---------------------------------------------------------------------------------------- gateways

struct nat_nodes {
    nanotime lifetime;
    const struct yaml_node *rebind;
};
static const struct field nat_fields[] = {
    {"lifetime", FIELD_TIME, offsetof(struct nat_nodes, lifetime), 1, 0, NULL},
    {"rebind", FIELD_NODE, offsetof(struct nat_nodes, rebind), 0, 0, NULL},
    {0},
};

static bool nat_word(struct load *load, const struct yaml_node *node,
                     struct scenario_action *action)
{
    static const char *const words[] = {"reboot", "rebind", NULL};
    int at = node->kind == YAML_SCALAR ? load_word_find(node->text, words) : -1;
    if (at < 0)
        return load_expected_word(load, node, "reboot, rebind or a mapping", words);
    action->kind = at == 0 ? ACTION_NAT_REBOOT : ACTION_NAT_REBIND;
    return true;
}

static bool nat_one(struct timeline *t, const struct yaml_pair *pair)
{
    static const struct field rebind = {
        "rebind", FIELD_IP, offsetof(struct scenario_action, rebind_to), 0, 0, NULL};
    struct load *load = t->load;
    struct scenario_action action = t->now;
    if (!load_name(load, pair->key, NAMED_LAN, "the name of a LAN", &action.lan))
        return false;
    if (!load->lans[action.lan].has_nat)
        return load_expected(load, pair->key, "a LAN with a NAT");
    if (pair->value->kind != YAML_MAPPING) {
        if (!nat_word(load, pair->value, &action))
            return false;
    } else {
        struct nat_nodes nodes = {0};
        if (!load_fields(load, pair->value, "a NAT's change", nat_fields, &nodes, NULL))
            return false;
        if (pair->value->count != 1)
            return load_expected(load, pair->value, "one of lifetime and rebind");
        action.kind = nodes.rebind ? ACTION_NAT_REBIND : ACTION_NAT_LIFETIME;
        action.lifetime = nodes.lifetime;
        if (nodes.rebind && !load_value(load, nodes.rebind, &rebind, &action))
            return false;
    }
    if (action.kind == ACTION_NAT_REBIND && !load_rebind_address(load, &action, pair->value->mark))
        return false;
    return action_add(t, &action);
}

static bool nat_load(struct timeline *t, const struct yaml_node *node)
{
    if (node->kind != YAML_MAPPING)
        return load_expected(t->load, node, "a mapping of LANs");
    for (unsigned i = 0; i < node->count; i++) {
        if (!nat_one(t, &node->pairs[i]))
            return false;
    }
    return true;
}

// ----------------------------------------------------------------------------------------- the
// rest

static bool server_load(struct timeline *t, const struct yaml_node *node)
{
    static const char *const words[] = {"restart", NULL};
    if (node->kind != YAML_MAPPING)
        return load_expected(t->load, node, "a mapping of servers");
    for (unsigned i = 0; i < node->count; i++) {
        const struct yaml_pair *pair = &node->pairs[i];
        struct scenario_action action = t->now;
        action.kind = ACTION_SERVER_RESTART;
        if (!load_name(t->load, pair->key, NAMED_SERVER, "the name of a server", &action.server))
            return false;
        if (pair->value->kind != YAML_SCALAR || !bytes_is(pair->value->text, "restart"))
            return load_expected_word(t->load, pair->value, "restart", words);
        if (!action_add(t, &action))
            return false;
    }
    return true;
}

static bool peer_load(struct timeline *t, const struct yaml_node *node,
                      enum scenario_action_kind kind)
{
    struct scenario_action action = t->now;
    action.kind = kind;
    return load_name(t->load, node, NAMED_PEER, "the name of a peer", &action.peer) &&
           action_add(t, &action);
}

static bool open_load(struct timeline *t, const struct yaml_node *node)
{
    struct scenario_action action = t->now;
    action.kind = ACTION_OPEN_CHANNEL;
    if (!load_channel(t->load, node, 0, NULL, &action.open))
        return false;
    action.peer = action.open.peer;
    action.channel = load_text(t->load, action.open.config.label);
    return action_add(t, &action);
}

static bool entry_load(struct timeline *t, const struct yaml_node *node)
{
    struct action_nodes nodes = {0};
    if (node->kind != YAML_MAPPING)
        return load_expected(t->load, node, "a mapping with 'at' and an action");
    if (!load_fields(t->load, node, "a timeline entry", action_fields, &nodes, NULL))
        return false;
    if (!yaml_get(node, "at"))
        return err_at(t->load->err, node->mark, "expected 'at' of a timeline entry, got none");
    if (!load_moment(t->load, yaml_get(node, "at"), nodes.at))
        return false;
    if (node->count != 2)
        return err_at(t->load->err, node->mark, "expected 'at' and one action, got %u actions",
                      node->count - 1);
    t->now = (struct scenario_action){.at = nodes.at, .mark = node->mark};
    if (nodes.send)
        return send_load(t, nodes.send);
    if (nodes.open)
        return open_load(t, nodes.open);
    if (nodes.close_channel)
        return close_channel_load(t, nodes.close_channel);
    if (nodes.link)
        return link_load(t, nodes.link);
    if (nodes.nat)
        return nat_load(t, nodes.nat);
    if (nodes.server)
        return server_load(t, nodes.server);
    for (unsigned i = 0; i <= MEDIA_RECEIVE_MAX; i++) {
        struct scenario_action action = t->now;
        if (nodes.media[i])
            return load_media_command(t->load, nodes.media[i], i, &action) &&
                   action_add(t, &action);
    }
    if (nodes.restart_ice)
        return peer_load(t, nodes.restart_ice, ACTION_RESTART_ICE);
    return peer_load(t, nodes.close, ACTION_CLOSE);
}

// Labels that the timeline opens may be used by entries that stand before.
static void labels_collect(struct load *load, const struct yaml_node *node)
{
    for (unsigned i = 0; i < node->count; i++) {
        const struct yaml_node *label = yaml_get(yaml_get(node->items[i], "open-channel"), "label");
        if (label && label->kind == YAML_SCALAR)
            (void)names_add(&load->labels, 0, label->text, 0);
    }
}

// By time; entries of one time stay as they are in the file.
static void sort(struct scenario_action *actions, struct scenario_action *spare, size_t count)
{
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t middle = start + width < count ? start + width : count;
            size_t end = middle + width < count ? middle + width : count;
            size_t left = start, right = middle;
            for (size_t at = start; at < end; at++) {
                bool take =
                    right == end || (left < middle && actions[left].at <= actions[right].at);
                spare[at] = actions[take ? left++ : right++];
            }
        }
        memcpy(actions, spare, count * sizeof *actions);
    }
}

bool load_timeline(struct load *load, const struct yaml_node *node)
{
    if (!load_is_list(load, node, "a list of actions", SCENARIO_ACTIONS_MAX))
        return false;
    labels_collect(load, node);
    struct timeline t = {.load = load};
    bool ok = true;
    for (unsigned i = 0; i < node->count && ok; i++)
        ok = entry_load(&t, node->items[i]);
    if (ok) {
        struct scenario_action *actions = arena_alloc(load->arena, t.count * sizeof *actions);
        sort(t.actions, actions, t.count);
        if (t.count)
            memcpy(actions, t.actions, t.count * sizeof *actions);
        load->scenario->actions = actions;
        load->scenario->actions_count = t.count;
    }
    free(t.actions);
    return ok;
}
