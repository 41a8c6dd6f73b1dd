// pcap filters (the language of tcpdump), over the packets of a vantage point.
#ifndef SCENARIOS_FILTER_H
#define SCENARIOS_FILTER_H

#include "base/err.h"
#include "simnet/world.h"

// False: `err` gets libpcap's complaint, at `mark`.
bool filter_check(const char *filter, struct err_mark mark, struct err *err);
// How many packets match; `first` is the number of the first, 0 when none does.
uint64_t filter_count(const char *filter, const struct world *world, int capture, uint32_t *first);

#endif
