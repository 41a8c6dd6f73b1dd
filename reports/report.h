// All results of a suite, as documents for machines and as text for people.
//
// The documents (JSON, JUnit) are the same bytes on every run of the same scenarios and seeds: no
// wall time, host name, output folder or number of workers is in them.
#ifndef REPORTS_REPORT_H
#define REPORTS_REPORT_H

#include "reports/result.h"

#define REPORT_SCHEMA 1 // of reports/schema.json: a field that goes or changes raises it

struct report {
    const struct result *results; // in the order of their files
    unsigned count;
};

struct report_totals {
    unsigned verdicts[VERDICTS];
    nanotime virtual_time; // of all runs
};
struct report_totals report_totals(const struct report *report);
// A row that makes the suite fail: neither passed, unsupported nor not run.
bool verdict_is_failure(enum verdict verdict);

// A document as reports/schema.json describes it.
void report_json(struct text *to, const struct report *report);
// A document as Jenkins and GitLab read it: a suite for each file, a case for each run.
void report_junit(struct text *to, const struct report *report);

// ---------------------------------------------------------------------------------- the terminal

#define REPORT_ID_WIDTH_MAX 72

// One line, with columns as wide as `id_width`; longer ids push the rest aside.
void report_row(struct text *to, const struct result *result, unsigned id_width);
// What went wrong with one run, where to look, how to run it again. `program` replaces the first
// word of the command, `folder` is where the captures are.
void report_failure(struct text *to, const struct result *result, const char *program,
                    const char *folder);
// One line of totals.
void report_summary(struct text *to, const struct report_totals *totals, nanotime wall);
// A line that overwrites itself: "\r  12/40 ...".
void report_progress(struct text *to, unsigned finished, unsigned count, unsigned failed,
                     const char *running);

#endif
