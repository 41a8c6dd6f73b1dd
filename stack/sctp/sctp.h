// SCTP over DTLS (RFC 9260, 8261) as WebRTC uses it (RFC 8831 5, 6): one association, streams,
// partial reliability, stream reset. usrsctp does the protocol; this makes each association a
// sans-IO state machine in virtual time with the caller's randomness.
//
// usrsctp is process-wide and knows one clock for all associations. The wrapper takes over its
// timer queue instead: a timer belongs to the association in whose context it was armed, which
// alone fires it, so that each has an exact deadline and none costs another anything.
//
// A packet that arrives before sctp_connect is ignored; the peer sends its INIT again.
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
    size_t mtu;       // the largest SCTP packet, at least SCTP_MTU_MIN
    uint64_t max_message_size; // the peer's a=max-message-size; 0: no limit
    uint64_t max_receive_size; // of ours: a longer message aborts the association. 0: 16 MiB
    size_t send_buffer, receive_buffer; // 0: 1 MiB
    struct rng *rng;                    // borrowed for the life of the association
    struct trace trace;
};

#define SCTP_MTU_MIN 524 // usrsctp's least, and the common header

// How one message travels (RFC 8831 6.1, RFC 3758, RFC 7496).
enum sctp_reliability { SCTP_RELIABLE, SCTP_MAX_RETRANSMITS, SCTP_MAX_LIFETIME };
struct sctp_delivery {
    bool unordered;
    enum sctp_reliability reliability;
    uint32_t limit;     // retransmissions, or milliseconds
    bool beyond_buffer; // never refused for a full buffer: DCEP
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
    SCTP_WRITABLE,         // after SCTP_WOULD_BLOCK: now there is room
    SCTP_STREAM_LOW,       // sctp_stream_unsent(`stream`) fell to its threshold
    SCTP_STREAM_REFUSED,   // a message that waited for `stream` is lost: the peer grants no more
};
struct sctp_output {
    enum sctp_output_kind kind;
    struct bytes bytes;
    struct sctp_message message;
    uint16_t stream;
};

struct sctp *sctp_new(const struct sctp_config *config);
void sctp_free(struct sctp *sctp);
// Two names that usrsctp has as well: another symbol for the linker.
void sctp_connect(struct sctp *sctp, nanotime now) // both sides do (RFC 8261 6.1)
    __asm__("simrtc_sctp_connect");
void sctp_close(struct sctp *sctp, nanotime now) // ABORT
    __asm__("simrtc_sctp_close");
// Before sctp_connect: so many streams are needed, each way. Not every stack lets them grow later.
void sctp_streams_need(struct sctp *sctp, unsigned streams);

void sctp_input(struct sctp *sctp, nanotime now, struct bytes packet);
bool sctp_poll(struct sctp *sctp, nanotime now, struct sctp_output *out);
nanotime sctp_deadline(const struct sctp *sctp); // 0: there is output now

enum sctp_send_result {
    SCTP_SENT,
    SCTP_WOULD_BLOCK,
    SCTP_TOO_LARGE,
    SCTP_NOT_CONNECTED,
    SCTP_BAD_STREAM
};
// A whole message (at least a byte), or nothing of it. SCTP_WOULD_BLOCK: the message does not fit
// into the send buffer beside what is there, or the stream is being reset; SCTP_WRITABLE follows. A
// message larger than the whole buffer is taken when the buffer is empty. On a stream that the
// association does not have yet, the message waits until the peer grants more (RFC 6525 5.1.5);
// once the peer has refused to, that is SCTP_BAD_STREAM.
enum sctp_send_result sctp_send(struct sctp *sctp, nanotime now, const struct sctp_message *message,
                                struct sctp_delivery delivery);
// Close our side of a stream (RFC 6525), once all that was sent on any is acknowledged, or after
// five seconds; the peer sees SCTP_STREAM_RESET_IN.
bool sctp_reset_stream(struct sctp *sctp, nanotime now, uint16_t stream);

enum sctp_state sctp_state(const struct sctp *sctp);
unsigned sctp_streams_out(const struct sctp *sctp); // what we may send on now
// Bytes of messages given to sctp_send and not yet acknowledged (cumulatively) or given up.
size_t sctp_buffered(const struct sctp *sctp);
// Of one stream: bytes given and not yet sent for the first time, as W3C's bufferedAmount counts.
size_t sctp_stream_unsent(const struct sctp *sctp, uint16_t stream);
// Ask for SCTP_STREAM_LOW when that number falls from above `low` to `low` or below.
void sctp_stream_set_low(struct sctp *sctp, uint16_t stream, size_t low);

struct sctp_stats {
    unsigned packets_sent, packets_received;
    unsigned retransmissions; // DATA chunks sent again
    unsigned timers;          // timers that fired
    unsigned queue_full;      // packets lost because the owner does not poll
    unsigned messages_sent, messages_received, messages_abandoned;
    nanotime connected_at; // TIME_NEVER: not yet
};
struct sctp_stats sctp_stats(const struct sctp *sctp);

#endif
