#include "reports/report.h"

#include "reports/clean.h"

#include <inttypes.h>
#include <string.h>

void report_row(struct text *to, const struct result *result, unsigned id_width)
{
    struct arena arena = {0};
    char time[TIME_TEXT_MAX];
    unsigned width = id_width < REPORT_ID_WIDTH_MAX ? id_width : REPORT_ID_WIDTH_MAX;
    const char *why = clean_text(&arena, result->why, CLEAN_TERMINAL);
    // Microseconds are enough here, and keep the column narrow.
    nanotime shown = result->virtual_time / TIME_US * TIME_US;
    text_printf(to, "%-13s %12s  %-*s", verdict_name(result->verdict), time_print(shown, time),
                why[0] ? (int)width : 0, clean_text(&arena, result->id, CLEAN_TERMINAL));
    if (why[0])
        text_printf(to, "  %s", why);
    text_put(to, "\n");
    arena_free(&arena);
}

static void failed_expectations(struct text *to, struct arena *arena, const struct result *result)
{
    for (unsigned i = 0; i < result->expectations_count; i++) {
        const struct result_expectation *e = &result->expectations[i];
        if (e->passed)
            continue;
        text_put(to, "  expected  ");
        if (e->line)
            text_printf(to, "line %u: ", e->line);
        text_printf(to, "%s\n", clean_text(arena, e->text, CLEAN_TERMINAL));
        if (e->actual)
            text_printf(to, "  but       %s\n", clean_text(arena, e->actual, CLEAN_TERMINAL));
    }
}

void report_failure(struct text *to, const struct result *result, const char *program,
                    const char *folder)
{
    struct arena arena = {0};
    char at[TIME_TEXT_MAX];
    const struct result_cause *cause = &result->cause;
    text_printf(to, "%s: %s\n", clean_text(&arena, result->id, CLEAN_TERMINAL),
                verdict_name(result->verdict));
    text_printf(to, "  why       %s\n", clean_text(&arena, result->why, CLEAN_TERMINAL));
    if (cause->at != TIME_NEVER)
        text_printf(to, "  at        %s\n", time_print(cause->at, at));
    if (cause->capture)
        text_printf(to, "  packet    %" PRIu32 " of %s/%s\n", cause->packet, folder,
                    clean_text(&arena, cause->capture, CLEAN_TERMINAL));
    if (cause->rule)
        text_printf(to, "  rule      %s\n", clean_text(&arena, cause->rule, CLEAN_TERMINAL));
    failed_expectations(to, &arena, result);
    if (result->log)
        text_printf(to, "  log       %s/%s\n", folder,
                    clean_text(&arena, result->log, CLEAN_TERMINAL));
    const char *replay = clean_text(&arena, result->replay, CLEAN_TERMINAL);
    const char *rest = strchr(replay, ' ');
    text_printf(to, "  replay    %s%s\n", rest ? program : "", rest ? rest : replay);
    arena_free(&arena);
}

void report_summary(struct text *to, const struct report_totals *totals, nanotime wall)
{
    char time[TIME_TEXT_MAX];
    unsigned runs = 0;
    for (unsigned i = 0; i < VERDICTS; i++)
        runs += totals->verdicts[i];
    text_printf(to, "%u %s: ", runs, runs == 1 ? "run" : "runs");
    const char *separator = "";
    for (unsigned i = 0; i < VERDICTS; i++) {
        if (totals->verdicts[i] == 0 && i != VERDICT_PASSED && i != VERDICT_FAILED)
            continue;
        text_printf(to, "%s%u %s", separator, totals->verdicts[i], verdict_name((enum verdict)i));
        separator = ", ";
    }
    text_printf(to, "; %s of scenario time",
                time_print(totals->virtual_time / TIME_MS * TIME_MS, time));
    text_printf(to, " in %s\n", time_print(wall / TIME_MS * TIME_MS, time));
}

void report_progress(struct text *to, unsigned finished, unsigned count, unsigned failed,
                     const char *running)
{
    struct arena arena = {0};
    text_printf(to, "\r\033[K%u/%u", finished, count);
    if (failed)
        text_printf(to, ", %u failed", failed);
    if (running)
        text_printf(to, "  %.60s", clean_text(&arena, running, CLEAN_TERMINAL));
    arena_free(&arena);
}
