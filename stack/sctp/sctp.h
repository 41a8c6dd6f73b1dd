// SCTP over DTLS (RFC 9260, 8261) as WebRTC uses it (RFC 8831 5, 6): one association, streams,
// partial reliability, stream reset. usrsctp does the protocol; this makes each association a
// sans-IO state machine in virtual time with the caller's randomness.
//
// usrsctp is process-wide: its clock and timers are shared by all associations of the process. The
// wrapper learns each timer from usrsctp's own arming call, so that every association has an exact
// deadline of its own.
#ifndef STACK_SCTP_SCTP_H
#define STACK_SCTP_SCTP_H

#include "base/addr.h"
#include "base/rng.h"
#include "base/trace.h"

// Once for each run: start with a clean library at virtual time `now`, and give everything back.
// All associations are freed before _stop, which asserts that nothing is left.
void sctp_library_start(nanotime now);
void sctp_library_stop(void);

enum sctp_state { SCTP_NEW, SCTP_CONNECTING, SCTP_CONNECTED, SCTP_CLOSED };
const char *sctp_state_name(enum sctp_state state); // as the W3C: "connecting" "connected" "closed"

struct sctp_config {
    uint16_t local_port, remote_port; // of a=sctp-port; both 5000 by default
    uint16_t streams; // asked for, each way (RFC 8831 6.2: up to 65535). 0: 64; grows on demand
    size_t mtu;       // the largest SCTP packet
    uint64_t max_message_size;          // the peer's a=max-message-size; 0: no limit
    size_t send_buffer, receive_buffer; // 0: 1 MiB
    struct rng *rng;                    // borrowed for the life of the association
    struct trace trace;
};

// How one message travels (RFC 8831 6.1, RFC 3758, RFC 7496).
enum sctp_reliability { SCTP_RELIABLE, SCTP_MAX_RETRANSMITS, SCTP_MAX_LIFETIME };
struct sctp_delivery {
    bool unordered;
    enum sctp_reliability reliability;
    uint32_t limit; // retransmissions, or milliseconds
};

struct sctp_message {
    uint16_t stream;
    uint32_t ppid;
    struct bytes bytes;
};

enum sctp_output_kind {
    SCTP_SEND, // `bytes`: one packet for DTLS
    SCTP_STATE_CHANGED,
    SCTP_MESSAGE,          // `message`, whole
    SCTP_STREAM_RESET_IN,  // the peer reset its side of `stream`
    SCTP_STREAM_RESET_OUT, // our reset of `stream` was carried out
    SCTP_WRITABLE,         // buffer space came free, or acknowledged data left the buffer
};
struct sctp_output {
    enum sctp_output_kind kind;
    struct bytes bytes;
    struct sctp_message message;
    uint16_t stream;
};

struct sctp *sctp_new(const struct sctp_config *config);
void sctp_free(struct sctp *sctp);
void sctp_connect(struct sctp *sctp, nanotime now); // both sides do (RFC 8261 6.1)
void sctp_close(struct sctp *sctp, nanotime now);   // ABORT

void sctp_input(struct sctp *sctp, nanotime now, struct bytes packet);
bool sctp_poll(struct sctp *sctp, nanotime now, struct sctp_output *out);
nanotime sctp_deadline(const struct sctp *sctp);

enum sctp_send_result {
    SCTP_SENT,
    SCTP_WOULD_BLOCK,
    SCTP_TOO_LARGE,
    SCTP_NOT_CONNECTED,
    SCTP_BAD_STREAM
};
// A whole message, or nothing of it.
enum sctp_send_result sctp_send(struct sctp *sctp, nanotime now, const struct sctp_message *message,
                                struct sctp_delivery delivery);
// Close our side of a stream (RFC 6525); the peer sees SCTP_STREAM_RESET_IN.
bool sctp_reset_stream(struct sctp *sctp, nanotime now, uint16_t stream);

enum sctp_state sctp_state(const struct sctp *sctp);
// Bytes of messages given to sctp_send and not yet acknowledged or given up.
size_t sctp_buffered(const struct sctp *sctp);

struct sctp_stats {
    unsigned packets_sent, packets_received;
    unsigned retransmissions; // chunks, as usrsctp counts them
    unsigned messages_sent, messages_received, messages_abandoned;
    nanotime connected_at; // TIME_NEVER: not yet
};
struct sctp_stats sctp_stats(const struct sctp *sctp);

#endif
