// A parsed expectation, for the files that parse, watch and diagnose.
#ifndef SCENARIOS_EXPECT_PRIV_H
#define SCENARIOS_EXPECT_PRIV_H

#include "scenarios/runner/run/metrics.h"

enum compare { COMPARE_EQ, COMPARE_NE, COMPARE_LT, COMPARE_LE, COMPARE_GT, COMPARE_GE };

enum clause_kind {
    CLAUSE_METRIC,   // ref, compare, value
    CLAUSE_PACKETS,  // packets of a vantage point that match a filter: compare, value
    CLAUSE_LINES,    // lines of a description that match a pattern: compare, value
    CLAUSE_COMPUTED, // as the oracle says
};

struct clause {
    enum clause_kind kind;
    bool negated;
    struct metric_ref ref;
    enum compare compare;
    struct value value;
    const char *point;
    const char *filter;  // LINES: the pattern, in which '*' is any text
    unsigned peer;       // LINES: whose description
    bool answer;         // LINES: the answer, not the offer
    unsigned line;       // LINES: this one alone, counted from 1; 0: all
    struct clause *next; // all must hold
};

// The lines of a description that match the pattern as a whole.
uint64_t expect_lines(struct bytes description, const char *pattern, unsigned line);

enum expect_when { WHEN_END, WHEN_WITHIN, WHEN_AT, WHEN_DURING };

struct expect {
    const struct scenario_expect *source;
    struct clause *clauses;
    enum expect_when when;
    nanotime from, to; // WITHIN and AT: `to`
    bool needs_capture;
};

#endif
