// Shared inside sctp/: timers, accounting, the table of associations.
#ifndef STACK_SCTP_SCTP_PRIV_H
#define STACK_SCTP_SCTP_PRIV_H

#include "stack/sctp/sctp.h"

// ----------------------------------------------------------------------------- timers,
// sctp_timer.c

// usrsctp's `struct sctp_callout`, whose two queue links and tick count are ours to use: with start
// and stop wrapped, nothing else reads them. sctp_timers_check proves the layout.
struct sctp_timer {
    struct sctp_timer *next, *before; // in its owner's ring, in order of arming
    nanotime due;
    void *argument;
    void (*fire)(void *);
    int flags;
};

// The armed timers of one owner: a ring through `head`.
struct sctp_timers {
    struct sctp_timer head;
};

void sctp_timers_init(struct sctp_timers *timers);
// Whose timers are armed from now on; returns who it was. NULL: the library's own.
struct sctp_timers *sctp_timers_enter(struct sctp_timers *owner);
nanotime sctp_timers_deadline(const struct sctp_timers *timers);
// Fire what is due at `now` in order of time, then of arming. Returns how many.
unsigned sctp_timers_fire(struct sctp_timers *timers, nanotime now);
// Timers that outlive their owner go to the library.
void sctp_timers_leave_behind(struct sctp_timers *timers);
void sctp_timers_library_init(void);
void sctp_timers_library_check(void); // after usrsctp_init
unsigned sctp_timers_library_fire(nanotime now);

// ------------------------------------------------------------------------- accounting, sctp_flow.c

// What usrsctp does not tell, read off the packets as they pass.
struct sctp_flow {
    struct sctp_flow_stream {
        size_t unsent, low;
        bool resetting;    // see sctp_reset_stream
        unsigned messages; // that are not sent as a whole, in the order in which they were given:
        uint32_t first, last;
    } * streams;
    unsigned streams_max;
    size_t unsent; // of all streams
    // By number modulo messages_max, a power of two, from the oldest that is not sent as a whole.
    struct sctp_flow_message {
        size_t left;   // bytes that are unsent
        uint32_t next; // of its stream
        bool started, done;
    } * messages;
    uint32_t messages_max, message_oldest, message_next;
    size_t in_flight;
    bool started;                  // a DATA chunk was sent
    uint32_t tsn_oldest, tsn_next; // in flight: from, up to
    uint16_t *lengths;             // by TSN modulo lengths_max, a power of two
    uint32_t lengths_max;
    unsigned retransmissions;
};

void sctp_flow_free(struct sctp_flow *flow);
struct sctp_flow_stream *sctp_flow_stream(struct sctp_flow *flow, uint16_t stream);
// A message is given: its number, for sctp_flow_drop.
uint32_t sctp_flow_add(struct sctp_flow *flow, uint16_t stream, size_t len);
// It was given up: what is unsent of it never will be sent. True: its stream fell to its threshold.
bool sctp_flow_drop(struct sctp_flow *flow, uint16_t stream, uint32_t message);
void sctp_flow_dry(struct sctp_flow *flow); // all sent and acknowledged
void sctp_flow_incoming(struct sctp_flow *flow, struct bytes packet);

// The next DATA chunk of a packet that we send: true while there is one. `low` tells that its
// stream fell to its threshold.
struct sctp_flow_walk {
    struct reader at;
    uint16_t stream;
    bool low;
};
struct sctp_flow_walk sctp_flow_outgoing(struct bytes packet);
bool sctp_flow_next(struct sctp_flow *flow, struct sctp_flow_walk *walk);

// ---------------------------------------------------------------------------- lines, sctp_line.c

// A message, or a reset of its stream, that waits.
struct sctp_waiting {
    struct sctp_waiting *next;
    bool reset;
    struct sctp_message message; // bytes: behind this struct
    struct sctp_delivery delivery;
};

// First come, first served.
struct sctp_line {
    struct sctp_waiting *first, **last;
    size_t len; // bytes of its messages
};

void sctp_line_init(struct sctp_line *line);
void sctp_line_fini(struct sctp_line *line);
// The bytes are copied.
void sctp_line_add(struct sctp_line *line, const struct sctp_message *message,
                   struct sctp_delivery delivery, bool reset);
// The first, to be freed; NULL: nobody waits.
struct sctp_waiting *sctp_line_pop(struct sctp_line *line);
size_t sctp_line_of_stream(const struct sctp_line *line, uint16_t stream); // bytes

// -------------------------------------------------------------------- the library, sctp_library.c

// A number for the association, counted from 1 in each run: its address towards usrsctp, which puts
// it on the wire.
uintptr_t sctp_library_add(struct sctp *sctp);
void sctp_library_remove(uintptr_t id);
// usrsctp has a packet to send.
void sctp_packet_out(struct sctp *sctp, struct bytes packet);

#endif
