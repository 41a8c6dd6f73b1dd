#include "scenarios/runner/run/watch.h"
#include "scenarios/runner/load/filter.h"
#include "scenarios/runner/live/live_run.h"

// RFC 8863 4: without a working pair ICE gives up 39.5 s after it began, not before.
#define PATIENCE (39 * TIME_S + 500 * TIME_MS)

// ------------------------------------------------------------------------------------------
// clauses

static bool compare_holds(enum compare compare, int64_t a, int64_t b)
{
    switch (compare) {
    case COMPARE_EQ:
        return a == b;
    case COMPARE_NE:
        return a != b;
    case COMPARE_LT:
        return a < b;
    case COMPARE_LE:
        return a <= b;
    case COMPARE_GT:
        return a > b;
    case COMPARE_GE:
        return a >= b;
    }
    return false;
}

static bool metric_holds(struct run *run, const struct clause *clause, struct value *got)
{
    *got = metric_value(run, &clause->ref);
    if (!metric_is_told(run, &clause->ref))
        return false;
    bool holds;
    if (got->kind == VALUE_WORD)
        holds = (strcmp(got->word, clause->value.word) == 0) == (clause->compare == COMPARE_EQ);
    else
        holds = compare_holds(clause->compare, got->number, clause->value.number);
    return holds != clause->negated;
}

static const char *outcome_name(enum scenario_outcome outcome)
{
    static const char *const names[] = {"computed", "direct", "relay", "none"};
    return names[outcome];
}

static bool types_fit(const struct peer_stats *stats, unsigned types)
{
    return types == 0 || (types & 1u << stats->selected.local.type) != 0;
}

static const char *view_of(struct run *run, const struct peer_stats *stats)
{
    if (!stats->has_selected)
        return arena_printf(&run->arena, "ice %s", ice_state_name(stats->ice_state));
    return arena_printf(&run->arena, "ice %s by %s to %s", ice_state_name(stats->ice_state),
                        ice_candidate_type_name(stats->selected.local.type),
                        ice_candidate_type_name(stats->selected.remote.type));
}

static bool session_holds(struct run *run, const struct scenario_session *session,
                          const struct oracle_outcome *computed)
{
    const struct peer_stats *a = peer_stats_now(&run->peers[session->offerer]);
    const struct peer_stats *b = peer_stats_now(&run->peers[session->answerer]);
    if (computed->outcome == OUTCOME_NONE)
        return a->ice_state == ICE_FAILED && b->ice_state == ICE_FAILED &&
               a->ice_connected_at == TIME_NEVER && b->ice_connected_at == TIME_NEVER &&
               a->ice_failure != ICE_CONSENT_EXPIRED && b->ice_failure != ICE_CONSENT_EXPIRED;
    bool told_a = !run->live || live_run_is_detailed(run, &run->peers[session->offerer]);
    bool told_b = !run->live || live_run_is_detailed(run, &run->peers[session->answerer]);
    if (!told_a || !told_b) {
        // Others name types and states as they like: their packets say which way they go.
        const char *path = live_run_path(run, &run->peers[session->offerer]);
        return (!told_a || a->state == PEER_CONNECTED) && (!told_b || b->state == PEER_CONNECTED) &&
               strcmp(path, computed->outcome == OUTCOME_RELAY ? "relay" : "direct") == 0;
    }
    if (!a->has_selected || !b->has_selected || !a->selected.nominated || !b->selected.nominated ||
        a->state != PEER_CONNECTED || b->state != PEER_CONNECTED)
        return false;
    bool relay = peer_is_relayed(&run->peers[session->offerer]) ||
                 peer_is_relayed(&run->peers[session->answerer]);
    bool fits = relay == (computed->outcome == OUTCOME_RELAY) || (relay && computed->may_relay);
    return fits && types_fit(a, computed->types_offerer) && types_fit(b, computed->types_answerer);
}

static bool computed_holds(struct run *run, struct watch *watch, bool say)
{
    for (unsigned i = 0; i < run->scenario->sessions_count; i++) {
        const struct scenario_session *session = &run->scenario->sessions[i];
        const struct oracle_outcome *computed = &watch->computed[i];
        bool holds = session_holds(run, session, computed);
        if (say && (!holds || i == 0))
            watch->actual =
                arena_printf(&run->arena, "computed %s (%s), saw %s: %s, %s: %s",
                             outcome_name(computed->outcome), computed->because,
                             run->scenario->peers[session->offerer].name,
                             view_of(run, peer_stats_now(&run->peers[session->offerer])),
                             run->scenario->peers[session->answerer].name,
                             view_of(run, peer_stats_now(&run->peers[session->answerer])));
        if (!holds)
            return false;
    }
    return true;
}

static bool clause_holds(struct run *run, struct watch *watch, const struct clause *clause,
                         bool say)
{
    struct value got;
    bool holds = false;
    switch (clause->kind) {
    case CLAUSE_METRIC:
        holds = metric_holds(run, clause, &got);
        if (say)
            watch->actual = metric_is_told(run, &clause->ref) ? value_text(&run->arena, got)
                                                              : "not told by that peer";
        return holds;
    case CLAUSE_PACKETS:
        got = (struct value){.kind = VALUE_NUMBER};
        got.number =
            (int64_t)filter_count(clause->filter, run->world,
                                  world_capture_find(run->world, clause->point), &watch->packet);
        holds = compare_holds(clause->compare, got.number, clause->value.number);
        if (say)
            watch->actual =
                got.number == 0
                    ? "no packet"
                    : arena_printf(&run->arena, "%lld packet%s number %u", (long long)got.number,
                                   got.number == 1 ? "," : "s, the first is", watch->packet);
        return holds;
    case CLAUSE_LINES:
        got = (struct value){.kind = VALUE_NUMBER};
        got.number = (int64_t)expect_lines(
            text_bytes(&run->peers[clause->peer].descriptions[clause->answer]), clause->filter,
            clause->line);
        holds = compare_holds(clause->compare, got.number, clause->value.number);
        if (say)
            watch->actual = got.number == 0
                                ? "no line"
                                : arena_printf(&run->arena, "%lld line%s", (long long)got.number,
                                               got.number == 1 ? "" : "s");
        return holds;
    case CLAUSE_COMPUTED:
        return computed_holds(run, watch, say);
    }
    return false;
}

// All clauses hold. With `say`, what was seen is put down, of the first that fails if one does.
static bool all_hold(struct run *run, struct watch *watch, bool say)
{
    for (const struct clause *clause = watch->expect->clauses; clause; clause = clause->next) {
        watch->clause = clause;
        if (!clause_holds(run, watch, clause, false)) {
            if (say)
                clause_holds(run, watch, clause, true);
            return false;
        }
    }
    if (say && watch->clause)
        clause_holds(run, watch, watch->clause, true);
    return true;
}

// -------------------------------------------------------------------------------------------
// course

static void decide(struct run *run, struct watch *watch, bool held)
{
    all_hold(run, watch, true);
    watch->state = held ? WATCH_HELD : WATCH_BROKEN;
    const struct clause *clause = watch->clause;
    watch->untold =
        !held && clause && clause->kind == CLAUSE_METRIC && !metric_is_told(run, &clause->ref);
    watch->at = run_now(run);
    run->watches_open--;
    trace(&run->trace, watch->at, "%s: %s (%s)", held ? "held" : "BROKEN",
          watch->expect->source->text, watch->actual ? watch->actual : "");
}

// For cells that cannot connect, the time given is on top of the patience that the RFC demands.
static nanotime last_moment(const struct run *run, const struct watch *watch)
{
    nanotime to = watch->expect->to;
    if (run->options.real && watch->expect->when == WHEN_WITHIN)
        to = time_add(to, run->options.real->slack);
    if (!watch->computed)
        return to;
    for (unsigned i = 0; i < run->scenario->sessions_count; i++) {
        if (watch->computed[i].outcome == OUTCOME_NONE)
            return time_add(to, PATIENCE);
    }
    return to;
}

// Nothing more happens at this moment.
static bool moment_is_over(const struct run *run)
{
    return world_deadline(run->world) > run_now(run);
}

// It is past `at`, or at its end.
static bool is_past(const struct run *run, nanotime at)
{
    return run_now(run) > at || (run_now(run) == at && moment_is_over(run));
}

static void look_at(struct run *run, struct watch *watch)
{
    const struct expect *expect = watch->expect;
    switch (expect->when) {
    case WHEN_END:
        return;
    case WHEN_WITHIN:
        if (all_hold(run, watch, false))
            decide(run, watch, true);
        else if (is_past(run, last_moment(run, watch)))
            decide(run, watch, false);
        return;
    case WHEN_AT:
        if (is_past(run, expect->to))
            decide(run, watch, all_hold(run, watch, false));
        return;
    case WHEN_DURING:
        if (!is_past(run, expect->from))
            return;
        if (!all_hold(run, watch, false))
            decide(run, watch, false);
        else if (is_past(run, expect->to))
            decide(run, watch, true);
        return;
    }
}

void watch_look(struct run *run)
{
    if (!run->changed)
        return;
    run->changed = false;
    for (unsigned i = 0; i < run->watches_count && run->watches_open > 0; i++) {
        if (run->watches[i].state == WATCH_OPEN)
            look_at(run, &run->watches[i]);
    }
}

// A deadline that is now comes behind what else is due at this moment, and again until nothing is.
nanotime watch_deadline(const struct run *run)
{
    nanotime at = TIME_NEVER;
    for (unsigned i = 0; i < run->watches_count; i++) {
        const struct watch *watch = &run->watches[i];
        if (watch->state != WATCH_OPEN || watch->expect->when == WHEN_END)
            continue;
        if (watch->expect->when == WHEN_DURING && !is_past(run, watch->expect->from))
            at = time_min(at, watch->expect->from);
        at = time_min(at, last_moment(run, watch));
    }
    return at;
}

void watch_end(struct run *run)
{
    run->changed = true;
    watch_look(run);
    for (unsigned i = 0; i < run->watches_count; i++) {
        struct watch *watch = &run->watches[i];
        if (watch->state != WATCH_OPEN)
            continue;
        decide(run, watch, watch->expect->when == WHEN_END && all_hold(run, watch, false));
    }
}

static void compute(struct run *run, struct watch *watch)
{
    for (const struct clause *c = watch->expect->clauses; c; c = c->next) {
        if (c->kind != CLAUSE_COMPUTED || watch->computed)
            continue;
        watch->computed =
            arena_alloc(&run->arena, sizeof *watch->computed * (run->scenario->sessions_count + 1));
        for (unsigned i = 0; i < run->scenario->sessions_count; i++)
            watch->computed[i] =
                oracle_compute(&run->arena, run->scenario, &run->scenario->sessions[i]);
    }
}

void watch_start(struct run *run)
{
    const struct scenario *scenario = run->scenario;
    struct err err = {0};
    run->watches = arena_alloc(&run->arena, sizeof *run->watches * (scenario->expects_count + 1));
    for (unsigned i = 0; i < scenario->expects_count; i++) {
        struct watch *watch = &run->watches[run->watches_count];
        *watch = (struct watch){
            .expect = expect_parse(&run->arena, scenario, &scenario->expects[i], &err)};
        if (!watch->expect)
            continue; // the loader parsed it before: cannot be
        compute(run, watch);
        run->watches_at_end |= watch->expect->when == WHEN_END;
        run->watches_count++;
        run->watches_open++;
    }
}

bool watch_needs_capture(const struct run *run)
{
    for (unsigned i = 0; i < run->watches_count; i++) {
        if (run->watches[i].expect->needs_capture)
            return true;
    }
    return false;
}

unsigned watch_results(const struct run *run, struct arena *arena, struct result_expectation **out,
                       const struct watch **first_broken)
{
    *out = arena_alloc(arena, sizeof **out * (run->watches_count + 2));
    *first_broken = NULL;
    for (unsigned i = 0; i < run->watches_count; i++) {
        const struct watch *watch = &run->watches[i];
        bool held = watch->state == WATCH_HELD;
        (*out)[i] = (struct result_expectation){.text = watch->expect->source->text,
                                                .line = watch->expect->source->mark.line,
                                                .passed = held,
                                                .actual = watch->actual ? watch->actual : "",
                                                .at = watch->at};
        if (!held && (!*first_broken || watch->at < (*first_broken)->at))
            *first_broken = watch;
    }
    return run->watches_count;
}
