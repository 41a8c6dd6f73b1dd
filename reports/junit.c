#include "reports/report.h"

#include "reports/clean.h"

#include <inttypes.h>
#include <libxml/xmlwriter.h>
#include <stdlib.h>
#include <string.h>

struct junit {
    xmlTextWriterPtr writer;
    struct arena arena;
    bool failed;
};

static void check(struct junit *junit, int written)
{
    junit->failed |= written < 0;
}

static void element(struct junit *junit, const char *name)
{
    check(junit, xmlTextWriterStartElement(junit->writer, BAD_CAST name));
}

static void end(struct junit *junit)
{
    check(junit, xmlTextWriterEndElement(junit->writer));
}

static void attribute(struct junit *junit, const char *name, const char *value)
{
    const char *clean = clean_text(&junit->arena, value, CLEAN_XML);
    check(junit, xmlTextWriterWriteAttribute(junit->writer, BAD_CAST name, BAD_CAST clean));
}

static void attribute_number(struct junit *junit, const char *name, unsigned value)
{
    attribute(junit, name, arena_printf(&junit->arena, "%u", value));
}

// Seconds of virtual time, with the six digits that the readers keep.
static void attribute_time(struct junit *junit, nanotime time)
{
    attribute(junit, "time",
              arena_printf(&junit->arena, "%" PRId64 ".%06" PRId64, time / TIME_S,
                           time % TIME_S / TIME_US));
}

static void content(struct junit *junit, const char *text)
{
    const char *clean = clean_text(&junit->arena, text, CLEAN_XML);
    check(junit, xmlTextWriterWriteString(junit->writer, BAD_CAST clean));
}

// "scenarios/nat/classic.yaml" as readers group it: "scenarios.nat.classic".
static const char *class_name(struct arena *arena, const char *file)
{
    while (strncmp(file, "./", 2) == 0)
        file += 2;
    char *name = arena_text(arena, file);
    size_t len = strlen(name);
    if (len > 5 && strcmp(name + len - 5, ".yaml") == 0)
        name[len - 5] = 0;
    for (char *c = name; *c; c++) {
        if (*c == '/')
            *c = '.';
    }
    return name;
}

static const char *details(struct junit *junit, const struct result *result)
{
    struct text text = {0};
    text_printf(&text, "%s\n", result->why);
    const struct result_cause *cause = &result->cause;
    char at[TIME_TEXT_MAX];
    if (cause->at != TIME_NEVER)
        text_printf(&text, "at: %s\n", time_print(cause->at, at));
    if (cause->capture)
        text_printf(&text, "packet: %" PRIu32 " of %s\n", cause->packet, cause->capture);
    if (cause->rule)
        text_printf(&text, "rule: %s\n", cause->rule);
    for (unsigned i = 0; i < result->expectations_count; i++) {
        const struct result_expectation *e = &result->expectations[i];
        if (!e->passed)
            text_printf(&text, "line %u: %s: %s\n", e->line, e->text, e->actual ? e->actual : "");
    }
    text_printf(&text, "replay: %s\n", result->replay);
    const char *copy = arena_text(&junit->arena, text.at);
    text_free(&text);
    return copy;
}

static void verdict(struct junit *junit, const struct result *result)
{
    if (result->verdict == VERDICT_PASSED)
        return;
    bool failure = result->verdict == VERDICT_FAILED;
    element(junit, failure ? "failure" : verdict_is_failure(result->verdict) ? "error" : "skipped");
    attribute(junit, "message", result->why);
    if (verdict_is_failure(result->verdict)) {
        attribute(junit, "type", verdict_name(result->verdict));
        content(junit, details(junit, result));
    }
    end(junit);
}

static void files(struct junit *junit, const struct result *result)
{
    if (!result->log && result->captures_count == 0)
        return;
    element(junit, "system-out");
    if (result->log)
        content(junit, arena_printf(&junit->arena, "log: %s\n", result->log));
    for (unsigned i = 0; i < result->captures_count; i++)
        content(junit, arena_printf(&junit->arena, "capture: %s\n", result->captures[i].file));
    end(junit);
}

static void test_case(struct junit *junit, const struct result *result)
{
    const char *name = result->name;
    if (result->cell[0])
        name = arena_printf(&junit->arena, "%s [%s]", result->name, result->cell);
    element(junit, "testcase");
    attribute(junit, "classname", class_name(&junit->arena, result->file));
    attribute(junit, "name", name);
    attribute(junit, "file", result->file);
    attribute_time(junit, result->virtual_time);
    verdict(junit, result);
    files(junit, result);
    end(junit);
}

static void counts(struct junit *junit, const struct report *part)
{
    struct report_totals totals = report_totals(part);
    unsigned failures = totals.verdicts[VERDICT_FAILED];
    unsigned skipped = totals.verdicts[VERDICT_UNSUPPORTED] + totals.verdicts[VERDICT_NOT_RUN] +
                       totals.verdicts[VERDICT_TIMING_INVALID];
    attribute_number(junit, "tests", part->count);
    attribute_number(junit, "failures", failures);
    attribute_number(junit, "errors",
                     part->count - failures - skipped - totals.verdicts[VERDICT_PASSED]);
    attribute_number(junit, "skipped", skipped);
    attribute_time(junit, totals.virtual_time);
}

// The results from `first` on that are of the same file.
static struct report suite_at(const struct report *report, unsigned first)
{
    unsigned end_at = first + 1;
    while (end_at < report->count &&
           strcmp(report->results[first].file, report->results[end_at].file) == 0)
        end_at++;
    return (struct report){report->results + first, end_at - first};
}

static void document(struct junit *junit, const struct report *report)
{
    check(junit, xmlTextWriterSetIndent(junit->writer, 1));
    check(junit, xmlTextWriterStartDocument(junit->writer, NULL, "UTF-8", NULL));
    element(junit, "testsuites");
    attribute(junit, "name", "simrtc");
    counts(junit, report);
    for (unsigned at = 0; at < report->count;) {
        struct report suite = suite_at(report, at);
        element(junit, "testsuite");
        attribute(junit, "name", suite.results[0].file);
        counts(junit, &suite);
        for (unsigned i = 0; i < suite.count; i++)
            test_case(junit, &suite.results[i]);
        end(junit);
        at += suite.count;
    }
    check(junit, xmlTextWriterEndDocument(junit->writer));
}

void report_junit(struct text *to, const struct report *report)
{
    xmlBufferPtr buffer = xmlBufferCreate();
    struct junit junit = {.writer = buffer ? xmlNewTextWriterMemory(buffer, 0) : NULL};
    if (!junit.writer)
        _Exit(EXIT_NO_MEMORY);
    document(&junit, report);
    if (junit.failed)
        _Exit(EXIT_NO_MEMORY); // into memory, from clean text: nothing else can fail
    xmlFreeTextWriter(junit.writer);
    text_add(to, bytes_of(xmlBufferContent(buffer), (size_t)xmlBufferLength(buffer)));
    xmlBufferFree(buffer);
    arena_free(&junit.arena);
}
