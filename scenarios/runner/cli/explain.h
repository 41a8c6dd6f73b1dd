// The world that a scenario describes, in words: `simrtc explain FILE`.
#ifndef SCENARIOS_EXPLAIN_H
#define SCENARIOS_EXPLAIN_H

#include "scenarios/runner/load/scenario.h"

// Segments with their links, gateways with NAT and firewall, servers, peers, sessions, timeline,
// expectations, and the outcome that the oracle computes for each session. Always true.
bool explain(struct text *to, const struct scenario *scenario);

// "25ms delay, 0.5% loss, 10Mbps"; "perfect" without any.
void explain_link(struct text *to, const struct link_config *link);
// Tracks of a session; what is done with one.
void explain_tracks(struct text *to, const struct scenario *scenario,
                    const struct scenario_session *session);
void explain_media_command(struct text *to, const struct scenario *scenario,
                           const struct scenario_action *action);
// "symmetric", or the behaviours that no classic type has.
void explain_nat(struct text *to, const struct nat_config *nat);

#endif
