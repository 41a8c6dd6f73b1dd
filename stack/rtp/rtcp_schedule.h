// When to send RTCP (RFC 3550 6.2, 6.3; RFC 4585 3.5): one participant's timer.
//
//     rtcp_schedule_init(&s, now, &config, rng);
//     while (rtcp_schedule_poll(&s, now, &due)) {
//         ... build the packet that `due` asks for, send it ...
//         rtcp_schedule_sent(&s, now, len);   // always, before the next poll
//     }
//     wake = rtcp_schedule_deadline(&s);
//
// The owner counts members and senders (from its SSRC tables) and tells changes; this decides
// times. Integers only; chance from the owner's stream. `len` is of the RTCP packet with IP and UDP
// headers (RFC 3550 6.3.3).
#ifndef STACK_RTP_RTCP_SCHEDULE_H
#define STACK_RTP_RTCP_SCHEDULE_H

#include "base/clock.h"
#include "base/rng.h"

struct rtcp_schedule_config {
    uint64_t session_bandwidth; // bit/s; RTCP gets 5 % (RFC 3550 6.2), unless the next two say else
    uint64_t sender_bandwidth,
        receiver_bandwidth; // b=RS and b=RR in bit/s (RFC 3556); both 0: as above
    bool feedback;          // AVPF: Tmin is 0, early feedback is allowed (RFC 4585 3.5)
    bool reduced_minimum;   // AVP: Tmin is 360 s / session kbit/s (RFC 3550 6.2), not 5 s
    nanotime rr_interval;   // T_rr_interval (RFC 4585 3.4); a=rtcp-fb trr-int; 0: none
    nanotime dither_max;    // T_dither_max for early feedback in groups; 0: half of the interval
    bool point_to_point;    // two members at most: early feedback is at once (RFC 4585 3.5.2)
    size_t first_len;       // probable size of the first packet; 0: 100
};

enum rtcp_due {
    RTCP_DUE_REGULAR, // a full compound: reports, SDES, and waiting feedback
    RTCP_DUE_EARLY,   // feedback, in the smallest form that was agreed on
    RTCP_DUE_BYE,     // compound with BYE; the last
};

// What became of a wish to send feedback (RFC 4585 3.5.2).
enum rtcp_feedback_when {
    RTCP_FEEDBACK_EARLY,   // an early packet was scheduled
    RTCP_FEEDBACK_PENDING, // it rides along with one that is already scheduled
    RTCP_FEEDBACK_LATE,    // not before the next regular packet
};

struct rtcp_schedule {
    struct rtcp_schedule_config config;
    struct rng *rng; // the owner's
    unsigned members, senders, members_previous;
    bool we_sent;
    bool initial;
    bool leaving, left;
    bool allow_early;
    uint64_t average_len_q4; // avg_rtcp_size times 16, in bytes
    nanotime previous;       // tp
    nanotime next;           // tn
    nanotime interval;       // T_rr, randomised, from the last computation
    nanotime early_at;       // TIME_NEVER: none
    nanotime last_regular;   // t_rr_last; TIME_NEVER: none yet
    enum rtcp_due due;       // what the last poll gave out
    bool owed;               // poll gave `due`, rtcp_schedule_sent has not come
    bool in_slot;            // `due` stands for the regular packet of tn
    bool feedback_waiting;
    bool spoke;          // anything was sent: who never spoke says no goodbye (RFC 3550 6.3.7)
    uint64_t suppressed; // regular packets left out for T_rr_interval
};

// One member (ourselves), no sender. `rng` must outlive the schedule.
void rtcp_schedule_init(struct rtcp_schedule *s, nanotime now,
                        const struct rtcp_schedule_config *config, struct rng *rng);
// The counts, ourselves included (at least 1 member). Fewer members bring the timer forward (RFC
// 3550 6.3.4). While leaving, only BYEs count: see rtcp_schedule_received.
void rtcp_schedule_members(struct rtcp_schedule *s, nanotime now, unsigned members,
                           unsigned senders, bool we_sent);
// An RTCP datagram of another came. `bye`: it has a BYE.
void rtcp_schedule_received(struct rtcp_schedule *s, nanotime now, size_t len, bool bye);
// Somebody else already sent the feedback that we wait to send early (RFC 4585 3.5.2): drop it.
void rtcp_schedule_feedback_seen(struct rtcp_schedule *s, nanotime now);
enum rtcp_feedback_when rtcp_schedule_feedback(struct rtcp_schedule *s, nanotime now);
// We leave: a BYE at once below 50 members, else when its own back-off lets it (RFC 3550 6.3.7).
// `len`: of the packet with the BYE.
void rtcp_schedule_leave(struct rtcp_schedule *s, nanotime now, size_t len);

// True: send what `due` says, then call rtcp_schedule_sent. Reconsiders the timer first (RFC 3550
// 6.3.6). Gives nothing after the BYE.
bool rtcp_schedule_poll(struct rtcp_schedule *s, nanotime now, enum rtcp_due *due);
void rtcp_schedule_sent(struct rtcp_schedule *s, nanotime now, size_t len);
nanotime rtcp_schedule_deadline(const struct rtcp_schedule *s);

// Td, the deterministic calculated interval (RFC 3550 6.3.1), as timeouts measure it: without
// chance, compensation or reduced minimum. Members go after 5, senders after 2 of them (RFC
// 3550 6.3.5).
nanotime rtcp_schedule_interval(const struct rtcp_schedule *s);

#endif
