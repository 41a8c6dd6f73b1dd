// Data channels (RFC 8831) and their establishment protocol, DCEP (RFC 8832), over one association.
#ifndef STACK_SCTP_DATACHANNEL_H
#define STACK_SCTP_DATACHANNEL_H

#include "stack/sctp/sctp.h"

enum dcep_ppid { // RFC 8831 8
    PPID_DCEP = 50,
    PPID_STRING = 51,
    PPID_BINARY = 53,
    PPID_STRING_EMPTY = 56,
    PPID_BINARY_EMPTY = 57,
};

// As the W3C names them (RTCDataChannelState).
enum channel_state { CHANNEL_CONNECTING, CHANNEL_OPEN, CHANNEL_CLOSING, CHANNEL_CLOSED };
const char *channel_state_name(enum channel_state state);

#define CHANNEL_ID_AUTO 65535 // RFC 8832 6: odd or even by DTLS role, chosen at open
#define CHANNEL_LABEL_MAX 256
#define CHANNELS_MAX 65534

struct channel_config {
    struct bytes label, protocol; // copied; RFC 8832 5.1 allows 65535 bytes, this stack 255
    struct sctp_delivery delivery;
    uint16_t priority; // 256: normal (RFC 8831 6.4)
    bool negotiated;   // agreed outside: no DCEP, `id` is given
    uint16_t id;       // or CHANNEL_ID_AUTO
};

// The channels of one association. `client`: our DTLS role, which decides the parity of ids.
struct channels;
struct channels *channels_new(const struct sctp_config *config, bool client);
void channels_free(struct channels *channels);
void channels_connect(struct channels *channels, nanotime now);
void channels_close_all(struct channels *channels, nanotime now); // and the association

enum channels_output_kind {
    CHANNELS_SEND,          // `bytes`: one SCTP packet for DTLS
    CHANNELS_STATE_CHANGED, // of the association: ask channels_association
    CHANNELS_OPENED,  // `channel`: ours was acknowledged or is negotiated, or the peer's came in
    CHANNELS_MESSAGE, // `channel`, `bytes`, `text`
    CHANNELS_BUFFERED_LOW, // `channel`: its buffered amount fell to its threshold or below
    // `channel`: both sides are reset, its id is free again; or it could not be: the peer grants no
    // stream for its id
    CHANNELS_CLOSED,
};
struct channels_output {
    enum channels_output_kind kind;
    unsigned channel; // handle
    struct bytes bytes;
    bool text;
    bool incoming; // CHANNELS_OPENED: the peer opened it
};

// Why a message on a stream was not delivered.
enum channel_drop {
    CHANNEL_KEPT,
    CHANNEL_BAD_DCEP,   // truncated, unknown type or channel type
    CHANNEL_BAD_PARITY, // RFC 8832 6: an id of our parity
    CHANNEL_ALREADY_OPEN,
    CHANNEL_NOT_OPEN, // data on a stream without a channel
    CHANNEL_UNKNOWN_PPID,
    CHANNEL_LABEL_TOO_LONG, // or its protocol: more than CHANNEL_LABEL_MAX - 1 bytes
    CHANNEL_TABLE_FULL,
    CHANNEL_DROPS,
};
const char *channel_drop_name(enum channel_drop drop);

void channels_input(struct channels *channels, nanotime now, struct bytes packet);
bool channels_poll(struct channels *channels, nanotime now, struct channels_output *out);
nanotime channels_deadline(const struct channels *channels);

// A handle that stays good until channels_free, or -1 when the table or the ids are used up, the id
// is taken or of the peer's parity, or a text is too long. May be called before the association is
// up.
int channel_open(struct channels *channels, nanotime now, const struct channel_config *config);
// Also while CHANNEL_CONNECTING, once the association is up (RFC 8832 6). WOULD_BLOCK means that
// the buffer of the association is full: try again after this channel's CHANNELS_BUFFERED_LOW.
enum sctp_send_result channel_send(struct channels *channels, nanotime now, unsigned channel,
                                   struct bytes message, bool text);
void channel_close(struct channels *channels, nanotime now, unsigned channel);

unsigned channels_count(const struct channels *channels); // handles given out so far
enum channel_state channel_state(const struct channels *channels, unsigned channel);
bool channel_was_open(const struct channels *channels, unsigned channel); // or is
const struct channel_config *channel_config(const struct channels *channels, unsigned channel);
uint16_t channel_id(const struct channels *channels, unsigned channel);
// Bytes not yet sent for the first time (W3C's bufferedAmount), a DCEP message among them.
size_t channel_buffered(const struct channels *channels, unsigned channel);
void channel_set_buffered_low(struct channels *channels, unsigned channel, size_t threshold);

struct channel_stats {
    unsigned messages_sent, messages_received;
    uint64_t bytes_sent, bytes_received;
};
struct channel_stats channel_stats(const struct channels *channels, unsigned channel);

enum sctp_state channels_association(const struct channels *channels);
struct sctp_stats channels_sctp_stats(const struct channels *channels);
unsigned channels_drops(const struct channels *channels, enum channel_drop drop);

#endif
