#include "reports/stats.h"

#include "reports/clean.h"

#include <jansson.h>
#include <stdlib.h>

// As in json.c: 15 digits, which every IEEE double keeps, and members in the order of the calls.
#define DUMP_FLAGS (JSON_REAL_PRECISION(15) | JSON_ENCODE_ANY)

struct stats {
    struct text samples; // those that are over
    unsigned count;
    bool truncated;
    char *id;
    nanotime interval;
    struct arena arena;            // cleaned text of the sample under way
    json_t *sample;                // NULL: none
    json_t *peers, *peer, *object; // of it, borrowed
    nanotime at;
};

static json_t *checked(json_t *made)
{
    if (!made)
        _Exit(EXIT_NO_MEMORY); // clean text and finite numbers: nothing else can fail
    return made;
}

static int append(const char *bytes, size_t len, void *to)
{
    text_add(to, bytes_of(bytes, len));
    return 0;
}

static const char *clean(struct stats *stats, const char *text)
{
    return clean_text(&stats->arena, text, CLEAN_JSON);
}

static void set(struct stats *stats, json_t *object, const char *name, json_t *value)
{
    json_object_set_new(object, clean(stats, name), checked(value));
}

// A new object that is a member of another, which then owns it.
static json_t *within(struct stats *stats, json_t *object, const char *name)
{
    json_t *made = json_object();
    set(stats, object, name, made);
    return made;
}

struct stats *stats_new(const char *id, nanotime interval)
{
    struct stats *stats = mem_zero(1, sizeof *stats);
    size_t len = strlen(id) + 1;
    json_object_seed(1); // tables without chance; the order of members never depends on it
    stats->id = mem_alloc(len);
    memcpy(stats->id, id, len);
    stats->interval = interval;
    return stats;
}

// The sample under way is over: its bytes are kept, if there is room.
static void end_sample(struct stats *stats)
{
    struct text line = {0};
    if (!stats->sample)
        return;
    json_dump_callback(stats->sample, append, &line, DUMP_FLAGS);
    stats->truncated |= stats->samples.len + line.len > STATS_BYTES_MAX;
    if (!stats->truncated) {
        text_put(&stats->samples, stats->count++ ? ",\n" : "\n");
        text_add(&stats->samples, text_bytes(&line));
    }
    text_free(&line);
    json_decref(stats->sample);
    arena_free(&stats->arena);
    stats->sample = stats->peers = stats->peer = stats->object = NULL;
}

void stats_free(struct stats *stats)
{
    if (!stats)
        return;
    json_decref(stats->sample);
    arena_free(&stats->arena);
    text_free(&stats->samples);
    free(stats->id);
    free(stats);
}

void stats_sample(struct stats *stats, nanotime at)
{
    end_sample(stats);
    stats->at = at;
    stats->sample = checked(json_object());
    stats->object = stats->sample;
    stats_moment(stats, "timestamp", at);
    stats->peers = within(stats, stats->sample, "peers");
    stats->object = NULL;
}

void stats_peer(struct stats *stats, const char *name)
{
    stats->peer = within(stats, stats->peers, name);
    stats->object = NULL;
}

void stats_object(struct stats *stats, const char *type, const char *id)
{
    stats->object = within(stats, stats->peer, id);
    stats_text(stats, "type", type);
    stats_text(stats, "id", id);
    stats_moment(stats, "timestamp", stats->at);
}

void stats_nested(struct stats *stats, const char *name)
{
    stats->object = within(stats, stats->object, name);
}

void stats_number(struct stats *stats, const char *name, int64_t value)
{
    set(stats, stats->object, name, json_integer(value));
}

// One division of whole numbers that doubles hold: the same bits wherever it is done.
void stats_decimal(struct stats *stats, const char *name, int64_t value, int64_t scale)
{
    set(stats, stats->object, name, json_real((double)value / (double)scale));
}

void stats_text(struct stats *stats, const char *name, const char *value)
{
    if (value)
        set(stats, stats->object, name, json_string(clean(stats, value)));
}

void stats_bool(struct stats *stats, const char *name, bool value)
{
    set(stats, stats->object, name, json_boolean(value));
}

void stats_duration(struct stats *stats, const char *name, nanotime value)
{
    if (value != TIME_NEVER)
        stats_decimal(stats, name, value, TIME_S);
}

void stats_moment(struct stats *stats, const char *name, nanotime value)
{
    if (value != TIME_NEVER)
        stats_decimal(stats, name, value, TIME_MS);
}

static void print_value(struct text *to, json_t *value)
{
    json_dump_callback(checked(value), append, to, DUMP_FLAGS);
    json_decref(value);
}

void stats_print(struct stats *stats, struct text *to)
{
    end_sample(stats);
    text_put(to, "{\"id\": ");
    print_value(to, json_string(clean(stats, stats->id)));
    text_put(to, ", \"interval\": ");
    print_value(to, json_real((double)stats->interval / (double)TIME_S));
    text_put(to, ", \"samples\": [");
    text_add(to, text_bytes(&stats->samples));
    text_put(to, stats->truncated ? "\n], \"truncated\": true}\n" : "\n]}\n");
}
