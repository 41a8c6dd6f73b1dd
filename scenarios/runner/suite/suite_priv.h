// Inside suite: what its workers do.
#ifndef SCENARIOS_SUITE_PRIV_H
#define SCENARIOS_SUITE_PRIV_H

#include "scenarios/runner/suite/suite.h"

// As struct workers_config has them; `user` is the suite.
bool suite_work_start(void *user, struct err *err);
bool suite_work_run(void *user, unsigned task, struct text *out, struct err *err);

// `file`, which is relative to the folder of all output.
const char *suite_path(struct arena *arena, const struct suite *suite, const char *file);
// The folder of a run's files, relative: its id.
const char *suite_folder(struct arena *arena, const struct scenario *scenario);

#endif
