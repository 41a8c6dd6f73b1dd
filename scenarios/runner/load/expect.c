// Parsing expectations: words, then clauses, then the time.
#include "scenarios/runner/load/expect_priv.h"
#include "scenarios/runner/load/filter.h"
#include "scenarios/runner/load/load_priv.h"

// A walk over the words of one expectation. A quoted string is one word, without its quotes.
struct words {
    struct arena *arena;
    const struct scenario *scenario;
    const struct scenario_expect *source;
    struct bytes rest;
    struct bytes word; // empty at the end
    bool quoted;
    bool open; // a quoted one had no end
    struct err *err;
};

static bool at_end(const struct words *w)
{
    return w->word.len == 0 && !w->quoted;
}

static bool fail(struct words *w, const char *expected)
{
    if (at_end(w))
        return err_at(w->err, w->source->mark, "expected %s, got the end of \"%s\"", expected,
                      w->source->text);
    return err_at(w->err, w->source->mark, "expected %s, got '%.*s' in \"%s\"", expected,
                  (int)w->word.len, (const char *)w->word.at, w->source->text);
}

static void words_next(struct words *w)
{
    while (w->rest.len && (w->rest.at[0] == ' ' || w->rest.at[0] == '\t'))
        w->rest = bytes_from(w->rest, 1);
    size_t start = 0, end = 0;
    w->quoted = w->rest.len && w->rest.at[0] == '"';
    if (w->quoted) {
        for (start = end = 1; end < w->rest.len && w->rest.at[end] != '"';)
            end++;
    } else {
        while (end < w->rest.len && w->rest.at[end] != ' ' && w->rest.at[end] != '\t')
            end++;
    }
    w->word = (struct bytes){w->rest.at + start, end - start};
    if (w->quoted && end == w->rest.len) {
        w->open = true;
        fail(w, "the end of a text in quotes");
    }
    w->rest = bytes_from(w->rest, w->quoted ? end + 1 : end);
}

static bool take(struct words *w, const char *word)
{
    if (w->quoted || !bytes_is(w->word, word))
        return false;
    words_next(w);
    return true;
}

static const struct {
    const char *text;
    enum compare compare;
} compares[] = {{"==", COMPARE_EQ}, {"is", COMPARE_EQ}, {"!=", COMPARE_NE}, {"<", COMPARE_LT},
                {"<=", COMPARE_LE}, {">", COMPARE_GT},  {">=", COMPARE_GE}};

static bool take_compare(struct words *w, enum compare *out)
{
    for (size_t i = 0; i < sizeof compares / sizeof compares[0]; i++) {
        if (take(w, compares[i].text)) {
            *out = compares[i].compare;
            return true;
        }
    }
    return false;
}

static bool take_number(struct words *w, struct value *out)
{
    uint64_t number;
    if (!bytes_parse_u64(w->word, INT64_MAX, &number))
        return fail(w, "a whole number");
    *out = (struct value){.kind = VALUE_NUMBER, .number = (int64_t)number};
    words_next(w);
    return true;
}

static bool take_time(struct words *w, nanotime *out)
{
    if (!time_parse(w->word, out))
        return fail(w, "a time with its unit, such as 3s");
    words_next(w);
    return true;
}

// A decimal number times `one`, before its unit.
static bool take_scaled(struct words *w, const char *what, uint64_t one, const char *unit,
                        int64_t *out)
{
    size_t unit_len = strlen(unit), len = w->word.len;
    uint64_t scaled;
    if (len <= unit_len || memcmp(w->word.at + len - unit_len, unit, unit_len) != 0 ||
        !load_decimal(bytes_of(w->word.at, len - unit_len), one, INT64_MAX, &scaled))
        return fail(w, what);
    *out = (int64_t)scaled;
    words_next(w);
    return true;
}

static bool take_word(struct words *w, const struct metric_ref *ref, struct value *out)
{
    const char *const *words = metric_words(ref);
    for (const char *const *known = words; known && *known; known++) {
        if (bytes_is(w->word, *known)) {
            *out = (struct value){.kind = VALUE_WORD, .word = *known};
            words_next(w);
            return true;
        }
    }
    struct text list = {0};
    text_put(&list, "one of");
    for (const char *const *known = words; known && *known; known++)
        text_printf(&list, "%s%s", **known ? " " : "", *known); // "": not known yet
    bool failed = fail(w, list.at);
    text_free(&list);
    return failed;
}

static bool take_value(struct words *w, const struct metric_ref *ref, struct value *out)
{
    switch (metric_kind(ref)) {
    case VALUE_NUMBER:
        return take_number(w, out);
    case VALUE_TIME:
        *out = (struct value){.kind = VALUE_TIME, .number = TIME_NEVER};
        return take(w, "never") || take_time(w, &out->number);
    case VALUE_BOOL:
        *out = (struct value){.kind = VALUE_BOOL, .number = bytes_is(w->word, "true")};
        return take(w, "true") || take(w, "false") || fail(w, "true or false");
    case VALUE_WORD:
        return take_word(w, ref, out);
    case VALUE_DECIMAL:
        *out = (struct value){.kind = VALUE_DECIMAL};
        return take_scaled(w, "a number such as 3.8", 1000000, "", &out->number);
    case VALUE_SHARE:
        *out = (struct value){.kind = VALUE_SHARE};
        return take_scaled(w, "a percentage such as 2.5%", RNG_BILLION / 100, "%", &out->number);
    }
    return false;
}

static bool parse_metric(struct words *w, struct clause *clause)
{
    if (at_end(w))
        return fail(w, "the name of a metric");
    if (!metric_resolve(w->arena, w->scenario, w->word, w->source->mark, &clause->ref, w->err))
        return false;
    words_next(w);
    struct words before = *w;
    enum value_kind kind = metric_kind(&clause->ref);
    if (take_compare(w, &clause->compare)) {
        bool equal = clause->compare == COMPARE_EQ || clause->compare == COMPARE_NE;
        if (!equal && (kind == VALUE_WORD || kind == VALUE_BOOL))
            return fail(&before, "== or !=, as words have no order");
        return take_value(w, &clause->ref, &clause->value);
    }
    if (kind != VALUE_BOOL)
        return fail(w, "a comparison (== != < <= > >= is)");
    clause->compare = COMPARE_EQ;
    clause->value = (struct value){.kind = VALUE_BOOL, .number = 1};
    return true;
}

static bool point_exists(const struct scenario *scenario, struct bytes point)
{
    for (unsigned i = 0; i < scenario->peers_count; i++) {
        size_t len = strlen(scenario->peers[i].name);
        if (bytes_starts(point, scenario->peers[i].name) &&
            (point.len == len ||
             (scenario->peers[i].config.clear_media && bytes_is(bytes_from(point, len), ".clear"))))
            return true;
    }
    for (unsigned i = 0; i < scenario->servers_count; i++) {
        if (bytes_is(point, scenario->servers[i].name))
            return true;
    }
    for (unsigned i = 0; i < scenario->lans_count; i++) {
        size_t len = strlen(scenario->lans[i].name);
        if (bytes_starts(point, scenario->lans[i].name) &&
            (bytes_is(bytes_from(point, len), ".inside") ||
             bytes_is(bytes_from(point, len), ".outside")))
            return true;
    }
    return false;
}

// "at POINT matches|matching FILTER"
static bool parse_packets(struct words *w, struct clause *clause)
{
    clause->kind = CLAUSE_PACKETS;
    if (!take(w, "at"))
        return fail(w, "'at' and a vantage point");
    if (!point_exists(w->scenario, w->word))
        return fail(w, "a vantage point (a peer, PEER.clear with clear-capture, a server, "
                       "LAN.inside or LAN.outside)");
    clause->point = arena_printf(w->arena, "%.*s", (int)w->word.len, (const char *)w->word.at);
    words_next(w);
    if (!take(w, "matches") && !take(w, "matching"))
        return fail(w, "'matches' and a pcap filter in quotes");
    if (!w->quoted)
        return fail(w, "a pcap filter in quotes");
    clause->filter = arena_printf(w->arena, "%.*s", (int)w->word.len, (const char *)w->word.at);
    if (!filter_check(clause->filter, w->source->mark, w->err))
        return false;
    words_next(w);
    return true;
}

// "of PEER.offer|answer matches|matching PATTERN"; `numbered`: which line may stand before.
static bool parse_lines(struct words *w, struct clause *clause, bool numbered)
{
    uint64_t line;
    clause->kind = CLAUSE_LINES;
    if (numbered && bytes_parse_u64(w->word, 100000, &line)) {
        if (line == 0)
            return fail(w, "a line counted from 1");
        clause->line = (unsigned)line;
        words_next(w);
    }
    if (!take(w, "of"))
        return fail(w, "'of' and a description");
    size_t name = 0;
    while (name < w->word.len && w->word.at[name] != '.')
        name++;
    struct bytes peer = {w->word.at, name}, kind = bytes_from(w->word, name);
    for (clause->peer = 0; clause->peer < w->scenario->peers_count; clause->peer++) {
        if (bytes_is(peer, w->scenario->peers[clause->peer].name))
            break;
    }
    clause->answer = bytes_is(kind, ".answer");
    if (clause->peer == w->scenario->peers_count || (!clause->answer && !bytes_is(kind, ".offer")))
        return fail(w, "a description (PEER.offer or PEER.answer)");
    words_next(w);
    if (!take(w, "matches") && !take(w, "matching"))
        return fail(w, "'matches' and a line in quotes");
    if (!w->quoted)
        return fail(w, "a line in quotes");
    clause->filter = arena_printf(w->arena, "%.*s", (int)w->word.len, (const char *)w->word.at);
    words_next(w);
    return true;
}

// '*' is any text; the first that fits is taken back when what follows does not.
static bool line_matches(struct bytes line, const char *pattern)
{
    const char *star = NULL;
    size_t at = 0, again = 0;
    while (at < line.len) {
        if (*pattern == '*') {
            star = ++pattern;
            again = at;
        } else if (*pattern && (uint8_t)*pattern == line.at[at]) {
            pattern++;
            at++;
        } else if (star) {
            pattern = star;
            at = ++again;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

uint64_t expect_lines(struct bytes description, const char *pattern, unsigned line)
{
    uint64_t count = 0;
    for (unsigned number = 1; description.len; number++) {
        size_t len = 0;
        while (len < description.len && description.at[len] != '\n')
            len++;
        struct bytes text = {description.at, len};
        if (text.len && text.at[text.len - 1] == '\r')
            text.len--;
        count += (!line || line == number) && line_matches(text, pattern);
        description = bytes_from(description, len + 1);
    }
    return count;
}

static bool parse_clause(struct words *w, struct clause *clause)
{
    if (take(w, "as")) {
        clause->kind = CLAUSE_COMPUTED;
        return take(w, "computed") || fail(w, "'computed'");
    }
    if (take(w, "no")) {
        clause->compare = COMPARE_EQ;
        clause->value = (struct value){.kind = VALUE_NUMBER};
        if (take(w, "line"))
            return parse_lines(w, clause, false);
        return take(w, "packet") ? parse_packets(w, clause) : fail(w, "'packet' or 'line'");
    }
    if (take(w, "line")) {
        clause->compare = COMPARE_GE;
        clause->value = (struct value){.kind = VALUE_NUMBER, .number = 1};
        return parse_lines(w, clause, true);
    }
    if (take(w, "lines"))
        return parse_lines(w, clause, false) &&
               (take_compare(w, &clause->compare) || fail(w, "a comparison")) &&
               take_number(w, &clause->value);
    if (take(w, "packets"))
        return parse_packets(w, clause) &&
               (take_compare(w, &clause->compare) || fail(w, "a comparison")) &&
               take_number(w, &clause->value);
    clause->negated = take(w, "not");
    return parse_metric(w, clause);
}

static bool parse_when(struct words *w, struct expect *expect)
{
    expect->when = WHEN_END;
    if (take(w, "within")) {
        expect->when = WHEN_WITHIN;
        return take_time(w, &expect->to);
    }
    if (take(w, "at")) {
        expect->when = WHEN_AT;
        return take_time(w, &expect->to);
    }
    if (take(w, "from")) {
        expect->when = WHEN_DURING;
        if (!take_time(w, &expect->from) || !(take(w, "to") || fail(w, "'to'")) ||
            !take_time(w, &expect->to))
            return false;
        return expect->from < expect->to || err_at(w->err, w->source->mark,
                                                   "expected a span that ends after it begins, got "
                                                   "\"%s\"",
                                                   w->source->text);
    }
    return true;
}

static bool check_when(struct words *w, const struct expect *expect)
{
    if (expect->when != WHEN_END && expect->to > w->scenario->limit) {
        char limit[TIME_TEXT_MAX];
        return err_at(w->err, w->source->mark, "expected a time within the limit of %s, got \"%s\"",
                      time_print(w->scenario->limit, limit), w->source->text);
    }
    if (expect->needs_capture && expect->when != WHEN_END)
        return err_at(w->err, w->source->mark,
                      "expected packets to be counted over the whole run, got a time in \"%s\"",
                      w->source->text);
    return true;
}

struct expect *expect_parse(struct arena *arena, const struct scenario *scenario,
                            const struct scenario_expect *source, struct err *err)
{
    struct words w = {.arena = arena,
                      .scenario = scenario,
                      .source = source,
                      .rest = bytes_text(source->text),
                      .err = err};
    struct expect *expect = arena_alloc(arena, sizeof *expect);
    expect->source = source;
    words_next(&w);
    struct clause **end = &expect->clauses;
    do {
        *end = arena_alloc(arena, sizeof **end);
        if (!parse_clause(&w, *end))
            return NULL;
        expect->needs_capture |= (*end)->kind == CLAUSE_PACKETS;
        end = &(*end)->next;
    } while (take(&w, "and"));
    if (!parse_when(&w, expect) || w.open)
        return NULL;
    if (!at_end(&w)) {
        fail(&w, "'and', 'within', 'at', 'from' or the end");
        return NULL;
    }
    return check_when(&w, expect) ? expect : NULL;
}
