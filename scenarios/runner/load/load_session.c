// Sessions: who offers to whom, how their signaling travels, which data channels they open.

#include "scenarios/runner/load/load_priv.h"

// -------------------------------------------------------------------------------- data channels

struct channel_nodes {
    struct channel_config config;
    unsigned count;
    const struct yaml_node *from, *peer, *retransmits, *lifetime, *id;
};
#define AT(member) offsetof(struct channel_nodes, member)
static const struct field channel_fields[] = {
    {"label", FIELD_BYTES, AT(config.label), 0, CHANNEL_LABEL_MAX - 1, NULL},
    {"ordered", FIELD_NOT, AT(config.delivery.unordered), 0, 0, NULL},
    {"max-retransmits", FIELD_NODE, AT(retransmits), 0, 0, NULL},
    {"max-lifetime", FIELD_NODE, AT(lifetime), 0, 0, NULL},
    {"negotiated", FIELD_BOOL, AT(config.negotiated), 0, 0, NULL},
    {"id", FIELD_NODE, AT(id), 0, 0, NULL},
    {"protocol", FIELD_BYTES, AT(config.protocol), 0, CHANNEL_LABEL_MAX - 1, NULL},
    {"priority", FIELD_U16, AT(config.priority), 0, 0, NULL},
    {"count", FIELD_UNSIGNED, AT(count), 1, CHANNELS_MAX, NULL},
    {"from", FIELD_NODE, AT(from), 0, 0, NULL},
    {"peer", FIELD_NODE, AT(peer), 0, 0, NULL},
    {0},
};
#undef AT

// RFC 8831 6.4: limited by retransmissions or by lifetime, not both.
static bool reliability_load(struct load *load, const struct channel_nodes *nodes,
                             struct sctp_delivery *delivery)
{
    static const struct field retransmits = {"max-retransmits", FIELD_U32, 0, 0, 65535, NULL};
    static const struct field lifetime = {
        "max-lifetime", FIELD_TIME, 0, 0, (uint64_t)(65535 * TIME_MS), NULL};
    if (nodes->retransmits && nodes->lifetime)
        return err_at(load->err, nodes->lifetime->mark,
                      "expected max-retransmits or max-lifetime, got both");
    if (nodes->retransmits) {
        delivery->reliability = SCTP_MAX_RETRANSMITS;
        return load_value(load, nodes->retransmits, &retransmits, &delivery->limit);
    }
    if (!nodes->lifetime)
        return true;
    nanotime time = 0;
    if (!load_value(load, nodes->lifetime, &lifetime, &time))
        return false;
    if (time % TIME_MS != 0)
        return load_expected(load, nodes->lifetime, "whole milliseconds");
    delivery->reliability = SCTP_MAX_LIFETIME;
    delivery->limit = (uint32_t)(time / TIME_MS);
    return true;
}

bool load_channel(struct load *load, const struct yaml_node *node, unsigned from,
                  const struct scenario_session *session, struct scenario_channel *channel)
{
    static const struct field id = {"id", FIELD_U16, 0, 0, CHANNELS_MAX, NULL};
    struct channel_nodes nodes = {.config = {.priority = 256, .id = CHANNEL_ID_AUTO}, .count = 1};
    if (node->kind != YAML_MAPPING)
        return load_expected(load, node, "a data channel");
    if (!load_fields(load, node, "a data channel", channel_fields, &nodes, NULL))
        return false;
    if (!nodes.config.label.at)
        return err_at(load->err, node->mark, "expected a data channel with 'label', got none");
    if (!reliability_load(load, &nodes, &nodes.config.delivery))
        return false;
    if (nodes.id && !load_value(load, nodes.id, &id, &nodes.config.id))
        return false;
    if (nodes.config.negotiated != (nodes.id != NULL))
        return err_at(load->err, node->mark,
                      "expected 'negotiated: true' and 'id' together, got one of them");
    *channel = (struct scenario_channel){from, nodes.config, nodes.count};
    const struct yaml_node *opener = session ? nodes.from : nodes.peer;
    const struct yaml_node *wrong = session ? nodes.peer : nodes.from;
    if (wrong)
        return err_at(load->err, wrong->mark, "expected '%s' to say who opens it, got '%s'",
                      session ? "from" : "peer", session ? "peer" : "from");
    if (!session && !opener)
        return err_at(load->err, node->mark, "expected 'peer' to say who opens it, got none");
    if (opener && !load_name(load, opener, NAMED_PEER, "the name of a peer", &channel->peer))
        return false;
    if (session && channel->peer != session->offerer && channel->peer != session->answerer)
        return load_expected(load, opener, "a peer of this session");
    (void)names_add(&load->labels, 0, nodes.config.label, 0);
    return true;
}

// -------------------------------------------------------------------------------------- sessions

struct session_nodes {
    struct scenario_session session;
    const struct yaml_node *offerer, *answerer, *signaling, *data;
    struct load_media_nodes media;
    bool trickle, ice_only, clear_capture;
};
#define AT(member) offsetof(struct session_nodes, member)
static const struct field session_fields[] = {
    {"offerer", FIELD_NODE, AT(offerer), 0, 0, NULL},
    {"answerer", FIELD_NODE, AT(answerer), 0, 0, NULL},
    {"at", FIELD_TIME, AT(session.at), 0, 0, NULL},
    {"glare", FIELD_BOOL, AT(session.glare), 0, 0, NULL},
    {"trickle", FIELD_BOOL, AT(trickle), 0, 0, NULL},
    {"ice-only", FIELD_BOOL, AT(ice_only), 0, 0, NULL},
    {"clear-capture", FIELD_BOOL, AT(clear_capture), 0, 0, NULL},
    {"signaling", FIELD_NODE, AT(signaling), 0, 0, NULL},
    {"data", FIELD_NODE, AT(data), 0, 0, NULL},
    {"audio", FIELD_NODE, AT(media.audio), 0, 0, NULL},
    {"video", FIELD_NODE, AT(media.video), 0, 0, NULL},
    {"media", FIELD_NODE, AT(media.tracks), 0, 0, NULL},
    {"bandwidth", FIELD_NODE, AT(media.bandwidth), 0, 0, NULL},
    {0},
};
#undef AT

struct signaling_nodes {
    struct scenario_signaling signaling;
    const struct yaml_node *lose;
};
#define AT(member) offsetof(struct signaling_nodes, member)
static const struct field signaling_fields[] = {
    {"delay", FIELD_TIME, AT(signaling.delay), 0, 0, NULL},
    {"jitter", FIELD_TIME, AT(signaling.jitter), 0, 0, NULL},
    {"loss", FIELD_PERCENT, AT(signaling.loss), 0, 0, NULL},
    {"duplicate", FIELD_PERCENT, AT(signaling.duplicate), 0, 0, NULL},
    {"reorder", FIELD_PERCENT, AT(signaling.reorder), 0, 0, NULL},
    {"reorder-by", FIELD_TIME, AT(signaling.reorder_by), 0, 0, NULL},
    {"lose", FIELD_NODE, AT(lose), 0, 0, NULL},
    {0},
};
#undef AT

static const char *const signal_names[SCENARIO_SIGNALS] = {"offer", "answer", "candidates",
                                                           "end-of-candidates"};

// `candidates`, or `alice.candidates` where only one peer's are lost.
static bool lose_load(struct load *load, const struct yaml_node *node,
                      const struct scenario_session *session, struct scenario_signaling *signaling)
{
    const char *words[3 * SCENARIO_SIGNALS + 1] = {0};
    const unsigned sides[] = {session->offerer, session->answerer};
    for (unsigned i = 0; i < SCENARIO_SIGNALS; i++) {
        words[i] = signal_names[i];
        for (unsigned side = 0; side < 2; side++)
            words[(1 + side) * SCENARIO_SIGNALS + i] =
                arena_printf(load->arena, "%s.%s", load->peers[sides[side]].name, signal_names[i]);
    }
    if (node->kind != YAML_SEQUENCE)
        return load_expected(load, node, "a list of messages to lose, such as [answer]");
    for (unsigned i = 0; i < node->count; i++) {
        const struct yaml_node *item = node->items[i];
        int got = item->kind == YAML_SCALAR ? load_word_find(item->text, words) : -1;
        if (got < 0)
            return load_expected_word(load, item,
                                      "offer, answer, candidates or end-of-candidates, maybe of a "
                                      "peer of this session",
                                      words);
        unsigned of = (unsigned)got / SCENARIO_SIGNALS,
                 bit = 1u << (unsigned)got % SCENARIO_SIGNALS;
        signaling->lose[0] |= of == 2 ? 0 : bit;
        signaling->lose[1] |= of == 1 ? 0 : bit;
    }
    return true;
}

static bool signaling_load(struct load *load, const struct yaml_node *node,
                           struct scenario_session *session)
{
    struct signaling_nodes nodes = {.signaling = session->signaling};
    if (!load_fields(load, node, "signaling", signaling_fields, &nodes, NULL) ||
        (nodes.lose && !lose_load(load, nodes.lose, session, &nodes.signaling)))
        return false;
    session->signaling = nodes.signaling;
    return true;
}

// Who is who. With two peers the file need not say.
static bool sides_load(struct load *load, const struct yaml_node *node,
                       const struct session_nodes *nodes, struct scenario_session *session)
{
    bool two = load->scenario->peers_count == 2;
    if (!two && (!nodes->offerer || !nodes->answerer))
        return err_at(load->err, node->mark,
                      "expected 'offerer' and 'answerer' with more than two peers, got %s",
                      nodes->offerer ? "no answerer" : "no offerer");
    if (nodes->offerer &&
        !load_name(load, nodes->offerer, NAMED_PEER, "the name of a peer", &session->offerer))
        return false;
    if (nodes->answerer &&
        !load_name(load, nodes->answerer, NAMED_PEER, "the name of a peer", &session->answerer))
        return false;
    if (!nodes->offerer && nodes->answerer)
        session->offerer = 1 - session->answerer;
    if (!nodes->answerer)
        session->answerer = 1 - session->offerer;
    if (session->offerer == session->answerer)
        return load_expected(load, nodes->answerer, "an answerer that is not the offerer");
    const unsigned sides[] = {session->offerer, session->answerer};
    for (unsigned i = 0; i < 2; i++) {
        const char *name = load->peers[sides[i]].name;
        if (!names_add(&load->in_session, 0, bytes_text(name), 0))
            return err_at(load->err, node->mark,
                          "expected each peer in one session, got '%s' again", name);
    }
    return true;
}

static bool session_load(struct load *load, const struct yaml_node *node,
                         struct scenario_session *out)
{
    struct session_nodes nodes = {.session = {.signaling = {.delay = 40 * TIME_MS}},
                                  .trickle = true};
    struct scenario_session *session = &nodes.session;
    if (!load_fields(load, node, "a session", session_fields, &nodes, NULL) ||
        !sides_load(load, node, &nodes, session))
        return false;
    if ((nodes.signaling && !signaling_load(load, nodes.signaling, session)) ||
        !load_moment(load, yaml_get(node, "at"), session->at))
        return false;
    const unsigned sides[] = {session->offerer, session->answerer};
    if (load->peers[sides[0]].config.polite && load->peers[sides[1]].config.polite)
        return err_at(load->err, node->mark,
                      "expected one peer of a session to be polite, got both");
    for (unsigned i = 0; i < 2; i++) {
        load->peers[sides[i]].config.trickle = nodes.trickle;
        load->peers[sides[i]].config.ice_only = nodes.ice_only;
        load->peers[sides[i]].config.clear_media = nodes.clear_capture;
    }
    if (nodes.data) {
        if (!load_is_list(load, nodes.data, "a list of data channels", SCENARIO_CHANNELS_MAX))
            return false;
        if (nodes.ice_only && nodes.data->count)
            return err_at(load->err, nodes.data->mark,
                          "expected no data channels with 'ice-only: true', got %u",
                          nodes.data->count);
        struct scenario_channel *channels =
            arena_alloc(load->arena, nodes.data->count * sizeof *channels);
        for (unsigned i = 0; i < nodes.data->count; i++) {
            if (!load_channel(load, nodes.data->items[i], session->offerer, session, &channels[i]))
                return false;
        }
        session->channels = channels;
        session->channels_count = nodes.data->count;
    }
    if (!load_media(load, &nodes.media, session))
        return false;
    if (nodes.ice_only && session->tracks_count)
        return err_at(load->err, node->mark,
                      "expected no audio or video with 'ice-only: true', got some");
    *out = *session;
    return true;
}

bool load_sessions(struct load *load, const struct yaml_node *one, const struct yaml_node *many)
{
    if (one && many)
        return err_at(load->err, many->mark, "expected 'session' or 'sessions', got both");
    if (!one && !many)
        return true;
    if (many && !load_is_list(load, many, "a list of sessions", SCENARIO_PEERS_MAX / 2))
        return false;
    const struct yaml_node *const *items = many ? many->items : &one;
    unsigned count = many ? many->count : 1;
    struct scenario_session *sessions = arena_alloc(load->arena, count * sizeof *sessions);
    for (unsigned i = 0; i < count; i++) {
        if (!session_load(load, items[i], &sessions[i]))
            return false;
    }
    load->scenario->sessions = sessions;
    load->scenario->sessions_count = count;
    return true;
}
