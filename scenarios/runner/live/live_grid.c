#include "scenarios/runner/live/live_grid.h"

#include "reports/report.h"
#include "scenarios/runner/live/live_stacks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 40
#define MARGIN 2

// One grid: the scenarios with the same file and the same rest of the cell.
struct grid {
    const struct scenario *const *scenarios;
    const struct result *results;
    unsigned count;
    const char *names[2 * STACKS_MAX]; // of the stacks that answer
    unsigned names_count;
    size_t width[2]; // of the first column, and of the others
    char words[2 * STACKS_MAX][WORD_MAX];
};

// What of the cell is not the pair: "" or ",5%".
static const char *rest_of(const struct scenario *s)
{
    return s->cell + strlen(s->pair[0]) + 1 + strlen(s->pair[1]);
}

static bool is_of(const struct scenario *s, const struct scenario *first)
{
    return strcmp(s->file, first->file) == 0 && strcmp(rest_of(s), rest_of(first)) == 0;
}

static const char *path_of(const struct scenario *s, const struct result *result)
{
    char name[80];
    snprintf(name, sizeof name, "%.60s.path", s->peers[0].name);
    for (unsigned i = 0; i < result->metrics_count; i++) {
        if (strcmp(result->metrics[i].name, name) == 0)
            return result->metrics[i].value;
    }
    return "passed";
}

static void word_put(const struct scenario *s, const struct result *result, char to[WORD_MAX])
{
    int64_t tenths = result->virtual_time / (100 * TIME_MS);
    if (result->verdict == VERDICT_PASSED)
        snprintf(to, WORD_MAX, "%.20s %" PRId64 ".%" PRId64 "s", path_of(s, result), tenths / 10,
                 tenths % 10);
    else
        snprintf(to, WORD_MAX, "%s",
                 verdict_is_failure(result->verdict) ? "FAILED" : verdict_name(result->verdict));
}

static unsigned column_of(struct grid *grid, const char *name)
{
    for (unsigned i = 0; i < grid->names_count; i++) {
        if (strcmp(grid->names[i], name) == 0)
            return i;
    }
    grid->names[grid->names_count] = name;
    return grid->names_count++;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void measure(struct grid *grid)
{
    char word[WORD_MAX];
    grid->width[0] = strlen("offers");
    for (unsigned i = 0; i < grid->count; i++) {
        const struct scenario *s = grid->scenarios[i];
        if (!is_of(s, grid->scenarios[0]))
            continue;
        word_put(s, &grid->results[i], word);
        column_of(grid, s->pair[1]);
        grid->width[0] = larger(grid->width[0], strlen(s->pair[0]));
        grid->width[1] = larger(grid->width[1], larger(strlen(word), strlen(s->pair[1])));
    }
}

static void line_put(struct text *to, const struct grid *grid, const char *first)
{
    text_printf(to, "  %-*s", (int)grid->width[0], first);
    size_t blank = 0; // nothing at the end of a line
    for (unsigned i = 0; i < grid->names_count; i++) {
        const char *word = grid->words[i];
        if (word[0])
            text_printf(to, "%*s%s", (int)(blank + MARGIN), "", word);
        blank = word[0] ? grid->width[1] - strlen(word) : blank + MARGIN + grid->width[1];
    }
    text_put(to, "\n");
}

static void grid_put(struct text *to, struct grid *grid)
{
    const struct scenario *first = grid->scenarios[0];
    measure(grid);
    text_printf(to, "\n%s%s\n", first->name, rest_of(first));
    for (unsigned i = 0; i < grid->names_count; i++)
        snprintf(grid->words[i], WORD_MAX, "%.*s", WORD_MAX - 1, grid->names[i]);
    line_put(to, grid, "offers");
    const char *row = NULL;
    for (unsigned i = 0; i < grid->count; i++) {
        const struct scenario *s = grid->scenarios[i];
        if (!is_of(s, first))
            continue;
        if (row && strcmp(row, s->pair[0]) != 0)
            line_put(to, grid, row);
        if (!row || strcmp(row, s->pair[0]) != 0)
            memset(grid->words, 0, sizeof grid->words);
        row = s->pair[0];
        word_put(s, &grid->results[i], grid->words[column_of(grid, s->pair[1])]);
    }
    line_put(to, grid, row);
}

// Has its grid been printed? The first scenario of a file with this rest of the cell begins one.
static bool is_first(const struct scenario *const *scenarios, unsigned index)
{
    for (unsigned i = index; i > 0 && strcmp(scenarios[i - 1]->file, scenarios[index]->file) == 0;
         i--) {
        if (strcmp(rest_of(scenarios[i - 1]), rest_of(scenarios[index])) == 0)
            return false;
    }
    return true;
}

void live_grid_print(struct text *to, const struct scenario *const *scenarios,
                     const struct result *results, unsigned count)
{
    static struct grid grid;
    for (unsigned i = 0; i < count; i++) {
        if (!is_first(scenarios, i))
            continue;
        unsigned end = i;
        while (end < count && strcmp(scenarios[end]->file, scenarios[i]->file) == 0)
            end++;
        grid = (struct grid){.scenarios = scenarios + i, .results = results + i, .count = end - i};
        grid_put(to, &grid);
    }
}

void live_grid_missing(struct text *to, const struct result *results, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct result *result = &results[i];
        unsigned same = 0;
        bool told = false;
        if (result->verdict != VERDICT_UNSUPPORTED)
            continue;
        for (unsigned j = 0; j < count; j++) {
            bool is = results[j].verdict == VERDICT_UNSUPPORTED &&
                      strcmp(results[j].why, result->why) == 0;
            told |= is && j < i;
            same += is;
        }
        if (!told)
            text_printf(to, "unsupported %4u x  %s\n", same, result->why);
    }
}
