// A peer's config as the `init` command: what every adapter is told, and what only this stack is.
#ifndef SCENARIOS_LIVE_CONFIG_H
#define SCENARIOS_LIVE_CONFIG_H

#include "stack/peer/peer.h"

#include <jansson.h>

// `own`: with all that this stack has a use for, so that it does in the live world what it does in
// the virtual one.
void live_config_encode(json_t *init, const struct peer_config *config, bool own);
// Text is borrowed from the command. Without what only this stack is told, chance is the system's:
// false, it has none.
bool live_config_decode(const json_t *init, struct peer_config *config);

// Of the `open` command.
void live_channel_encode(json_t *open, unsigned number, const struct channel_config *config);

#endif
