// Which requirements of the RFCs have a scenario: `simrtc coverage`.
//
// requirements.tsv is a table of requirements, one a line, columns separated by tabs: rfc section
// id level paraphrase wire applies_to prio. Scenarios name ids in `covers:`.
#ifndef SCENARIOS_COVERAGE_H
#define SCENARIOS_COVERAGE_H

#include "scenarios/runner/load/scenario.h"

#define COVERAGE_REQUIREMENTS "requirements.tsv"

// The requirements that belong to the scenarios at `path`: in it, or in a folder above it. NULL:
// none found. In the arena.
const char *coverage_requirements_find(struct arena *arena, const char *path);

// For each RFC: how much is covered, and each covered id with its scenarios; with `missing`, the
// uncovered ids with what they ask for instead. False: the table cannot be read, or a scenario
// covers an id that is not in it.
bool coverage_print(struct text *to, const struct scenario_set *set, const char *requirements_path,
                    bool missing, struct err *err);

#endif
