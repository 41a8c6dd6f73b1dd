#include "reports/report.h"

#include "base/version.h"
#include "reports/clean.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

// Members are written in the order in which they are set. Numbers that are not whole carry the 15
// digits that every IEEE double keeps: 0.1 stays 0.1.
#define DUMP_FLAGS (JSON_INDENT(1) | JSON_REAL_PRECISION(15))

static json_t *checked(json_t *made)
{
    if (!made)
        _Exit(EXIT_NO_MEMORY); // clean text and finite numbers: nothing else can fail
    return made;
}

static json_t *string(struct arena *arena, const char *text)
{
    return text ? checked(json_string(clean_text(arena, text, CLEAN_JSON))) : json_null();
}

static json_t *time_of(nanotime at)
{
    return at == TIME_NEVER ? json_null() : checked(json_integer(at));
}

static json_t *metric_value(struct arena *arena, const struct result_metric *metric)
{
    if (metric->is_number) {
        json_t *number = json_loads(metric->value, JSON_DECODE_ANY, NULL);
        if (json_is_number(number))
            return number;
        json_decref(number);
    }
    return string(arena, metric->value);
}

static json_t *expectations(struct arena *arena, const struct result *result)
{
    json_t *list = checked(json_array());
    for (unsigned i = 0; i < result->expectations_count; i++) {
        const struct result_expectation *e = &result->expectations[i];
        json_t *item = checked(json_object());
        json_object_set_new(item, "text", string(arena, e->text));
        json_object_set_new(item, "line", checked(json_integer(e->line)));
        json_object_set_new(item, "passed", json_boolean(e->passed));
        json_object_set_new(item, "actual", string(arena, e->actual));
        json_object_set_new(item, "at_ns", time_of(e->at));
        json_array_append_new(list, item);
    }
    return list;
}

static json_t *metrics(struct arena *arena, const struct result *result)
{
    json_t *object = checked(json_object());
    for (unsigned i = 0; i < result->metrics_count; i++) {
        const struct result_metric *m = &result->metrics[i];
        json_object_set_new(object, clean_text(arena, m->name, CLEAN_JSON), metric_value(arena, m));
    }
    return object;
}

static json_t *captures(struct arena *arena, const struct result *result)
{
    json_t *list = checked(json_array());
    for (unsigned i = 0; i < result->captures_count; i++) {
        const struct result_capture *c = &result->captures[i];
        json_t *item = checked(json_object());
        json_object_set_new(item, "point", string(arena, c->point));
        json_object_set_new(item, "file", string(arena, c->file));
        json_object_set_new(item, "packets", checked(json_integer(c->packets)));
        json_array_append_new(list, item);
    }
    return list;
}

static json_t *cause(struct arena *arena, const struct result_cause *cause)
{
    if (cause->at == TIME_NEVER && !cause->capture && !cause->rule)
        return json_null();
    json_t *object = checked(json_object());
    json_object_set_new(object, "at_ns", time_of(cause->at));
    json_object_set_new(object, "capture", string(arena, cause->capture));
    json_object_set_new(object, "packet",
                        cause->capture ? checked(json_integer(cause->packet)) : json_null());
    json_object_set_new(object, "rule", string(arena, cause->rule));
    return object;
}

static json_t *row(struct arena *arena, const struct result *result)
{
    char seed[24];
    snprintf(seed, sizeof seed, "%" PRIu64, result->seed);
    json_t *object = checked(json_object());
    json_object_set_new(object, "id", string(arena, result->id));
    json_object_set_new(object, "file", string(arena, result->file));
    json_object_set_new(object, "name", string(arena, result->name));
    json_object_set_new(object, "cell", string(arena, result->cell));
    json_object_set_new(object, "seed", checked(json_string(seed)));
    json_object_set_new(object, "verdict", checked(json_string(verdict_name(result->verdict))));
    json_object_set_new(object, "why", string(arena, result->why));
    json_object_set_new(object, "cause", cause(arena, &result->cause));
    json_object_set_new(object, "replay", string(arena, result->replay));
    json_object_set_new(object, "virtual_time_ns", checked(json_integer(result->virtual_time)));
    json_object_set_new(object, "log", string(arena, result->log));
    json_object_set_new(object, "keys", string(arena, result->keys));
    if (result->stats)
        json_object_set_new(object, "stats", string(arena, result->stats));
    json_object_set_new(object, "expectations", expectations(arena, result));
    json_object_set_new(object, "metrics", metrics(arena, result));
    json_object_set_new(object, "captures", captures(arena, result));
    return object;
}

static json_t *totals(const struct report *report)
{
    struct report_totals sums = report_totals(report);
    json_t *object = checked(json_object());
    json_object_set_new(object, "runs", checked(json_integer(report->count)));
    for (unsigned i = 0; i < VERDICTS; i++) {
        if (i == VERDICT_TIMING_INVALID && sums.verdicts[i] == 0)
            continue; // nothing of virtual time can be that
        json_object_set_new(object, verdict_name((enum verdict)i),
                            checked(json_integer(sums.verdicts[i])));
    }
    json_object_set_new(object, "virtual_time_ns", checked(json_integer(sums.virtual_time)));
    return object;
}

static int append(const char *bytes, size_t len, void *to)
{
    text_add(to, bytes_of(bytes, len));
    return 0;
}

void report_json(struct text *to, const struct report *report)
{
    struct arena arena = {0};
    json_object_seed(1); // tables without chance; the order of members never depends on it
    json_t *document = checked(json_object());
    json_object_set_new(document, "schema", checked(json_integer(REPORT_SCHEMA)));
    json_object_set_new(document, "simrtc", checked(json_string(SIMRTC_VERSION)));
    json_object_set_new(document, "totals", totals(report));
    json_t *rows = checked(json_array());
    for (unsigned i = 0; i < report->count; i++)
        json_array_append_new(rows, row(&arena, &report->results[i]));
    json_object_set_new(document, "results", rows);
    json_dump_callback(document, append, to, DUMP_FLAGS);
    text_put(to, "\n");
    json_decref(document);
    arena_free(&arena);
}
