#include "reports/report.h"

struct report_totals report_totals(const struct report *report)
{
    struct report_totals totals = {0};
    for (unsigned i = 0; i < report->count; i++) {
        totals.verdicts[report->results[i].verdict]++;
        totals.virtual_time = time_add(totals.virtual_time, report->results[i].virtual_time);
    }
    return totals;
}

bool verdict_is_failure(enum verdict verdict)
{
    switch (verdict) {
    case VERDICT_FAILED:
    case VERDICT_CRASHED:
    case VERDICT_WALL_LIMIT:
    case VERDICT_CPU_LIMIT:
    case VERDICT_OUT_OF_MEMORY:
        return true;
    case VERDICT_PASSED:
    case VERDICT_TIMING_INVALID:
    case VERDICT_UNSUPPORTED:
    case VERDICT_NOT_RUN:
    case VERDICTS:
        break;
    }
    return false;
}
