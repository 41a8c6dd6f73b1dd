// Expectations: what a scenario says must hold, in one line each.
//
//   alice.ice.state == connected within 3s     becomes true at or before 3 s
//   alice.selected is relay                    `is` is `==`
//   bob.chat.received == 100                   without a time: true at the end
//   bob.chat.in-order                          a name alone: it is true
//   not bob.chat.in-order
//   alice.state == connected at 12s            true at that moment
//   alice.ice.state == connected from 1s to 9s true all that time
//   turn.allocations >= 2 and alice.path == relay within 5s
//   no packet at home.outside matches "udp port 53"      pcap filter, over the whole run; addresses
//                                              as numbers: no resolver is asked
//   packets at alice matching "udp" <= 40
//   packets at alice.clear matching "udp[8] = 0x90" > 9  before and after SRTP: see clear-capture
//   line of alice.offer matches "a=group:BUNDLE *"       the latest one: a line that is this, '*'
//   no line of bob.answer matches "a=crypto:*"           being any text; line 1 of: that one alone
//   lines of alice.offer matching "m=*" == 3
//   as computed within 5s                      the outcome that oracle.h computes for the NATs
//
// Comparisons: == != < <= > >= is; of words and of true or false the first two and the last alone.
// Values: numbers, times, sizes, percents, words. `simrtc metrics` lists the names. An expectation
// is parsed against its scenario when the file is loaded, so that a wrong name is an error of the
// file.
#ifndef SCENARIOS_EXPECT_H
#define SCENARIOS_EXPECT_H

#include "scenarios/runner/load/scenario.h"

struct expect;

// Parse into the arena. NULL: `err` has the file's line and column, and the nearest valid name.
struct expect *expect_parse(struct arena *arena, const struct scenario *scenario,
                            const struct scenario_expect *source, struct err *err);

#endif
