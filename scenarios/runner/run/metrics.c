// Names resolved, values read, all of them collected for a report.
#include "scenarios/runner/live/live_run.h"
#include "scenarios/runner/run/call_decode.h"
#include "scenarios/runner/run/call_stats_priv.h"
#include "scenarios/runner/run/metrics_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#define MEMBERS_MAX 200 // of media_stats.h's tables, of what is decoded and of pairs, together
#define PAIR_MEMBERS_MAX 20

static const char *const entity_names[] = {
    [OF_PEER] = "PEER.",
    [OF_CHANNEL] = "PEER.LABEL.",
    [OF_SERVER] = "SERVER.",
    [OF_LAN] = "LAN.",
    [OF_RUN] = "",
    [OF_TRACK] = "PEER.TRACK.",
    [OF_TRANSPORT] = "PEER.",
    [OF_DECODED] = "PEER.TRACK.",
    [OF_PAIR] = "PEER.",
};

// ----------------------------------------------------------------------------------------- reading

static const void *struct_of(struct run *run, const struct metric_ref *ref,
                             struct net_counters *counters, struct turn_server_stats *server)
{
    switch (ref->entity) {
    case OF_PEER:
        return metrics_peer(run, ref);
    case OF_CHANNEL:
        return metrics_channel(run, ref);
    case OF_SERVER:
        *server = (struct turn_server_stats){0};
        if (run->servers[ref->index].server)
            *server = turn_server_stats(run->servers[ref->index].server);
        return server;
    case OF_LAN:
        *counters = gateway_counters(run->gateways[ref->index]);
        return counters;
    case OF_RUN:
        *counters = world_counters(run->world);
        return counters;
    case OF_TRACK:
    case OF_TRANSPORT:
    case OF_DECODED:
    case OF_PAIR:
        break;
    }
    return NULL;
}

struct value metric_value(struct run *run, const struct metric_ref *ref)
{
    const struct metric *metric = ref->metric;
    if (ref->member)
        return metrics_media_get(run, ref);
    if (metric->field == FIELD_FUNCTION)
        return metric->get(run, ref);
    struct net_counters counters;
    struct turn_server_stats server;
    const char *at = (const char *)struct_of(run, ref, &counters, &server) + metric->offset;
    unsigned u;
    uint64_t u64;
    nanotime time;
    switch (metric->field) {
    case FIELD_UNSIGNED:
        memcpy(&u, at, sizeof u);
        return metrics_number(u);
    case FIELD_U64:
        memcpy(&u64, at, sizeof u64);
        return metrics_number(u64);
    case FIELD_TIME:
        memcpy(&time, at, sizeof time);
        return (struct value){.kind = VALUE_TIME, .number = time};
    case FIELD_FUNCTION:
        break;
    }
    return metrics_number(0);
}

const char *metric_name(const struct metric_ref *ref)
{
    return ref->member ? ref->member->name : ref->metric->name;
}

bool metric_is_told(const struct run *run, const struct metric_ref *ref)
{
    return !run->live || live_run_tells(run, ref);
}

bool metric_needs_network(const struct metric_ref *ref)
{
    static const char *const of_connection[] = {"state", "ice.",         "selected",
                                                "path",  "nominated",    "dtls.",
                                                "sctp.", "connected-at", "channels."};
    if (ref->entity == OF_CHANNEL || ref->member)
        return true;
    for (size_t i = 0; i < sizeof of_connection / sizeof of_connection[0]; i++) {
        if (ref->entity == OF_PEER && bytes_starts(bytes_text(ref->metric->name), of_connection[i]))
            return true;
    }
    return false;
}

enum value_kind metric_kind(const struct metric_ref *ref)
{
    return ref->member ? metrics_media_kind(ref->member) : ref->metric->kind;
}

const char *const *metric_words(const struct metric_ref *ref)
{
    return ref->member ? metrics_media_words(ref->member) : ref->metric->words;
}

const char *metric_rule(const struct metric_ref *ref)
{
    if (ref->entity == OF_PAIR)
        return NULL;
    return ref->member ? "RFC 3550 6.4" : ref->metric->rule;
}

// A result holds hundreds of numbers, and a run may take 50 us in all: no printf here.
static const char *number_text(struct arena *arena, int64_t number)
{
    char digits[21], *at = digits + sizeof digits;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    *--at = 0;
    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (number < 0)
        *--at = '-';
    return arena_copy(arena, at, (size_t)(digits + sizeof digits - at));
}

// "3.85", "12.5%": as many decimals as it takes.
static const char *scaled_text(struct arena *arena, int64_t number, int64_t one, const char *unit)
{
    uint64_t size = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    uint64_t part = size % (uint64_t)one;
    char digits[24] = "";
    int len = 0;
    for (uint64_t place = (uint64_t)one / 10; part > 0; part %= place, place /= 10) {
        digits[len++] = (char)('0' + part / place);
        if (place == 1)
            break;
    }
    return arena_printf(arena, "%s%" PRIu64 "%s%s%s", number < 0 ? "-" : "", size / (uint64_t)one,
                        len ? "." : "", digits, unit);
}

const char *value_text(struct arena *arena, struct value value)
{
    char time[TIME_TEXT_MAX];
    switch (value.kind) {
    case VALUE_NUMBER:
        return value.number == 0 ? "0" : number_text(arena, value.number);
    case VALUE_TIME:
        return value.number == TIME_NEVER ? "never"
               : value.number == 0        ? "0s"
                                          : arena_text(arena, time_print(value.number, time));
    case VALUE_WORD:
        return value.word;
    case VALUE_BOOL:
        return value.number ? "true" : "false";
    case VALUE_DECIMAL:
        return scaled_text(arena, value.number, 1000000, "");
    case VALUE_SHARE:
        return scaled_text(arena, value.number, RNG_BILLION / 100, "%");
    }
    return "";
}

// --------------------------------------------------------------------------------------- resolving

static bool label_known(const struct scenario *scenario, struct bytes label, const char **out)
{
    for (unsigned i = 0; i < scenario->sessions_count; i++) {
        const struct scenario_session *session = &scenario->sessions[i];
        for (unsigned j = 0; j < session->channels_count; j++) {
            if (bytes_equal(session->channels[j].config.label, label)) {
                *out = (const char *)session->channels[j].config.label.at;
                return true;
            }
        }
    }
    for (unsigned i = 0; i < scenario->actions_count; i++) {
        const struct scenario_action *action = &scenario->actions[i];
        if (action->kind == ACTION_OPEN_CHANNEL && bytes_equal(action->open.config.label, label)) {
            *out = (const char *)action->open.config.label.at;
            return true;
        }
    }
    return false;
}

static const struct metric *metric_find(enum entity entity, struct bytes name)
{
    for (size_t i = 0; i < metrics_count; i++) {
        if (metrics[i].entity == entity && bytes_is(name, metrics[i].name))
            return &metrics[i];
    }
    return NULL;
}

// What the first word of a name names.
static bool owner_find(const struct scenario *scenario, struct bytes name, enum entity *entity,
                       unsigned *index)
{
    for (*index = 0; *index < scenario->peers_count; ++*index) {
        *entity = OF_PEER;
        if (bytes_is(name, scenario->peers[*index].name))
            return true;
    }
    for (*index = 0; *index < scenario->servers_count; ++*index) {
        *entity = OF_SERVER;
        if (bytes_is(name, scenario->servers[*index].name))
            return true;
    }
    for (*index = 0; *index < scenario->lans_count; ++*index) {
        *entity = OF_LAN;
        if (bytes_is(name, scenario->lans[*index].name))
            return true;
    }
    return false;
}

static size_t dot_in(struct bytes name)
{
    size_t i = 0;
    while (i < name.len && name.at[i] != '.')
        i++;
    return i;
}

static bool unknown_rest(struct arena *arena, enum entity entity, struct bytes owner,
                         struct bytes rest, struct err_mark mark, struct err *err)
{
    const char **words = arena_alloc(arena, (metrics_count + MEMBERS_MAX + 1) * sizeof *words);
    size_t count = 0;
    for (size_t i = 0; i < metrics_count; i++) {
        if (metrics[i].entity == entity)
            words[count++] = metrics[i].name;
    }
    const struct media_member *member = entity == OF_TRACK || entity == OF_DECODED
                                            ? media_track_members
                                        : entity == OF_PEER ? media_transport_members
                                                            : NULL;
    for (; member && member->name; member++)
        words[count++] = member->name;
    for (member = call_decoded_members; entity == OF_DECODED && member->name; member++)
        words[count++] = member->name;
    for (member = pair_members; entity == OF_PEER && member->name; member++)
        words[count++] = member->name;
    words[count] = NULL;
    const char *got = arena_printf(arena, "%.*s", (int)rest.len, (const char *)rest.at);
    const char *near = err_nearest(got, words);
    return err_at(err, mark,
                  "expected a metric of %.*s, got '%s'%s%s%s (simrtc metrics lists them)",
                  (int)owner.len, (const char *)owner.at, got, near ? ", did you mean '" : "",
                  near ? near : "", near ? "'?" : "");
}

static bool unknown_owner(struct arena *arena, const struct scenario *scenario, struct bytes owner,
                          struct err_mark mark, struct err *err)
{
    unsigned total = scenario->peers_count + scenario->servers_count + scenario->lans_count;
    const char **words = arena_alloc(arena, sizeof *words * (total + 1));
    unsigned count = 0;
    for (unsigned i = 0; i < scenario->peers_count; i++)
        words[count++] = scenario->peers[i].name;
    for (unsigned i = 0; i < scenario->servers_count; i++)
        words[count++] = scenario->servers[i].name;
    for (unsigned i = 0; i < scenario->lans_count; i++)
        words[count++] = scenario->lans[i].name;
    const char *got = arena_printf(arena, "%.*s", (int)owner.len, (const char *)owner.at);
    const char *near = err_nearest(got, words);
    return err_at(err, mark, "expected the name of a peer, server or LAN, got '%s'%s%s%s", got,
                  near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
}

// PEER.LABEL.NAME, of a track or of channels.
static bool label_resolve(struct arena *arena, const struct scenario *scenario, struct bytes name,
                          struct bytes peer, struct err_mark mark, struct metric_ref *out,
                          struct err *err)
{
    struct bytes rest = bytes_from(name, peer.len + 1);
    size_t dot = dot_in(rest);
    struct bytes label = {rest.at, dot}, owner = {name.at, peer.len + 1 + dot};
    struct bytes last = bytes_from(rest, dot + 1);
    const char *found;
    if (metrics_media_track(scenario, out->index, label, &out->track)) {
        out->entity = OF_TRACK;
        out->member = metrics_media_find(media_track_members, last);
        if (!out->member && metrics_media_decoded(scenario, out->index, out->track)) {
            out->entity = OF_DECODED;
            out->member = metrics_media_find(call_decoded_members, last);
        }
        return out->member || unknown_rest(arena, out->entity, owner, last, mark, err);
    }
    if (!label_known(scenario, label, &found))
        return unknown_rest(arena, OF_PEER, peer, rest, mark, err);
    out->entity = OF_CHANNEL;
    out->label = arena_printf(arena, "%.*s", (int)label.len, (const char *)label.at);
    out->metric = metric_find(OF_CHANNEL, last);
    return out->metric || unknown_rest(arena, OF_CHANNEL, owner, last, mark, err);
}

bool metric_resolve(struct arena *arena, const struct scenario *scenario, struct bytes name,
                    struct err_mark mark, struct metric_ref *out, struct err *err)
{
    *out = (struct metric_ref){.entity = OF_RUN, .metric = metric_find(OF_RUN, name)};
    if (out->metric)
        return true;
    size_t dot = dot_in(name);
    struct bytes owner = {name.at, dot}, rest = bytes_from(name, dot + 1);
    enum entity entity;
    if (!owner_find(scenario, owner, &entity, &out->index))
        return unknown_owner(arena, scenario, owner, mark, err);
    out->entity = entity;
    out->metric = metric_find(entity, rest);
    if (out->metric)
        return true;
    if (entity != OF_PEER)
        return unknown_rest(arena, entity, owner, rest, mark, err);
    out->member = metrics_media_find(pair_members, rest);
    out->entity = OF_PAIR;
    if (out->member)
        return true;
    out->member = metrics_media_find(media_transport_members, rest);
    out->entity = OF_TRANSPORT;
    return out->member || label_resolve(arena, scenario, name, owner, mark, out, err);
}

// --------------------------------------------------------------------------------------- reporting

struct collection {
    struct run *run;
    struct arena *arena;
    struct result_metric *at;
    unsigned count;
    size_t max;
};

// "owner.name" or "owner.label.name"
static const char *dotted(struct arena *arena, const char *owner, const char *label,
                          const char *name)
{
    size_t owner_len = strlen(owner), label_len = label ? strlen(label) + 1 : 0;
    size_t name_len = strlen(name);
    char *to = arena_alloc(arena, owner_len + 1 + label_len + name_len + 1);
    memcpy(to, owner, owner_len);
    to[owner_len] = '.';
    if (label) {
        memcpy(to + owner_len + 1, label, label_len - 1);
        to[owner_len + label_len] = '.';
    }
    memcpy(to + owner_len + 1 + label_len, name, name_len + 1);
    return to;
}

static void collect_entity(struct collection *c, enum entity entity, const char *owner,
                           unsigned index, const char *label)
{
    for (size_t i = 0; i < metrics_count; i++) {
        if (metrics[i].entity != entity)
            continue;
        struct metric_ref ref = {
            .entity = entity, .metric = &metrics[i], .index = index, .label = label};
        if (!metric_is_told(c->run, &ref))
            continue;
        struct value value = metric_value(c->run, &ref);
        const char *name = metrics[i].name;
        if (owner)
            name = dotted(c->arena, owner, label, name);
        assert(c->count < c->max);
        c->at[c->count++] =
            (struct result_metric){name, value_text(c->arena, value), value.kind == VALUE_NUMBER};
    }
}

// `of` is of any of them.
static void collect_members(struct collection *c, struct metric_ref of,
                            const struct media_member *members, const void *stats,
                            const char *owner)
{
    const char *label = of.label;
    for (const struct media_member *member = members; member->name; member++) {
        of.member = member;
        if (!metric_is_told(c->run, &of))
            continue;
        struct value value = metrics_media_value(member, stats);
        assert(c->count < c->max);
        c->at[c->count++] = (struct result_metric){
            dotted(c->arena, owner, label, member->name), value_text(c->arena, value),
            value.kind == VALUE_NUMBER || value.kind == VALUE_DECIMAL};
    }
}

static unsigned tracks_of(const struct run *run, unsigned peer)
{
    unsigned session = run->peers[peer].session;
    return session == NO_SESSION ? 0 : run->scenario->sessions[session].tracks_count;
}

static void collect_media(struct collection *c, unsigned index)
{
    struct run_peer *peer = &c->run->peers[index];
    unsigned tracks = tracks_of(c->run, index);
    if (!tracks)
        return;
    const struct scenario_session *session = &c->run->scenario->sessions[peer->session];
    for (unsigned i = 0; i < tracks; i++) {
        struct media_track_stats stats = {0};
        call_track_stats(c->run, peer, i, &stats);
        struct metric_ref of = {
            .entity = OF_TRACK, .index = index, .track = i, .label = session->tracks[i].label};
        collect_members(c, of, media_track_members, &stats, peer->scenario->name);
        if (!metrics_media_decoded(c->run->scenario, index, i))
            continue;
        struct call_decoded decoded;
        call_decoded(peer, i, &decoded);
        of.entity = OF_DECODED;
        collect_members(c, of, call_decoded_members, &decoded, peer->scenario->name);
    }
    struct media_transport_stats transport = {0};
    if (c->run->ops->transport_stats)
        c->run->ops->transport_stats(peer->peer, &transport);
    struct metric_ref of = {.entity = OF_TRANSPORT, .index = index};
    collect_members(c, of, media_transport_members, &transport, peer->scenario->name);
}

unsigned metrics_collect(struct run *run, struct arena *arena, struct result_metric **out)
{
    const struct scenario *scenario = run->scenario;
    size_t owners = 1 + scenario->peers_count + scenario->servers_count + scenario->lans_count;
    for (unsigned i = 0; i < scenario->peers_count; i++)
        owners += run->peers[i].channels_count;
    size_t members = 0;
    for (unsigned i = 0; i < scenario->peers_count; i++)
        members += tracks_of(run, i) ? (tracks_of(run, i) + 1) * MEMBERS_MAX : PAIR_MEMBERS_MAX;
    size_t max = owners * metrics_count + members;
    struct collection c = {run, arena, arena_alloc(arena, max * sizeof **out), 0, max};

    for (unsigned i = 0; i < scenario->peers_count; i++) {
        struct run_peer *peer = &run->peers[i];
        collect_entity(&c, OF_PEER, peer->scenario->name, i, NULL);
        struct metric_ref of = {.entity = OF_PAIR, .index = i};
        collect_members(&c, of, pair_members, &peer_stats_now(peer)->pair, peer->scenario->name);
        for (unsigned j = 0; j < peer->channels_count; j++)
            collect_entity(&c, OF_CHANNEL, peer->scenario->name, i, peer->channels[j].label);
        collect_media(&c, i);
    }
    for (unsigned i = 0; i < scenario->servers_count; i++)
        collect_entity(&c, OF_SERVER, scenario->servers[i].name, i, NULL);
    for (unsigned i = 0; i < scenario->lans_count; i++)
        collect_entity(&c, OF_LAN, scenario->lans[i].name, i, NULL);
    collect_entity(&c, OF_RUN, NULL, 0, NULL);
    *out = c.at;
    return c.count;
}

void run_print_metrics(struct text *to)
{
    text_printf(to, "%-54s %-25s %s\n", "NAME", "UNIT", "MEANING");
    for (size_t i = 0; i < metrics_count; i++) {
        const struct metric *metric = &metrics[i];
        char name[80];
        snprintf(name, sizeof name, "%s%s", entity_names[metric->entity], metric->name);
        text_printf(to, "%-54s %-25s %s", name, metric->unit, metric->meaning);
        for (const char *const *w = metric->words; w && *w; w++)
            text_printf(to, "%s%s", w == metric->words ? ": " : " ", *w);
        text_put(to, "\n");
    }
    metrics_media_print(to, entity_names[OF_PAIR], pair_members);
    metrics_media_print(to, entity_names[OF_TRACK], media_track_members);
    metrics_media_print(to, entity_names[OF_DECODED], call_decoded_members);
    metrics_media_print(to, entity_names[OF_TRANSPORT], media_transport_members);
}
