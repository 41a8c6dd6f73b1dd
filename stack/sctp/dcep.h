// The two messages of DCEP (RFC 8832 5) on the wire.
#ifndef STACK_SCTP_DCEP_H
#define STACK_SCTP_DCEP_H

#include "stack/sctp/datachannel.h"

enum dcep_type { DCEP_ACK = 2, DCEP_OPEN = 3 };

#define DCEP_OPEN_MAX (12 + 2 * CHANNEL_LABEL_MAX)

// Write a DATA_CHANNEL_OPEN of `config` into `to` of DCEP_OPEN_MAX bytes.
struct bytes dcep_open_encode(const struct channel_config *config, uint8_t *to);
// Read one; label and protocol borrow from `message`. CHANNEL_KEPT, or why not.
enum channel_drop dcep_open_decode(struct bytes message, struct channel_config *out);

#endif
