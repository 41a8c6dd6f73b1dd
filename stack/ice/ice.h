// ICE agent (RFC 8445) for one data stream of one component, with trickle (RFC 8838), consent
// freshness (RFC 7675) and patience (RFC 8863): candidates in, one working pair out.
//
// It owns no socket, clock, thread or random source. Drive it like every module in stack/:
//
//     drop = ice_agent_input(agent, now, &datagram);        // each STUN datagram that is not a
//                                                           // server's answer
//     while (ice_agent_poll(agent, now, &output)) { ... }   // after each input, and when due
//     wake = ice_agent_deadline(agent);                     // poll again by this time
//
// Commands (candidates, credentials, restart) may make something due: ask the deadline after them.
//
// The controlling agent nominates the valid pair with the highest priority: at once when no pair
// still to be checked has a higher one and no candidate can come to give one (both sides said they
// are done, or the pair joins two host candidates), else `nomination_wait` after the first valid
// pair. A nomination whose check fails costs that pair only.
//
// A relay candidate is a base like any other: the agent sends "from" the relayed address, and its
// owner passes that through the TURN client. Not here: which local addresses exist and gathering
// (peer/), relay allocations (turn/), the candidate lines of SDP (sdp/).
#ifndef STACK_ICE_ICE_H
#define STACK_ICE_ICE_H

#include "base/addr.h"
#include "base/rng.h"
#include "base/trace.h"

#define ICE_FOUNDATION_MAX 33 // RFC 8839 5.1: 1 to 32 ice-chars, and the end
#define ICE_UFRAG_MAX 257     // RFC 8839 5.4: 4 to 256
#define ICE_PWD_MAX 257       // 22 to 256

enum ice_candidate_type { ICE_HOST, ICE_SRFLX, ICE_PRFLX, ICE_RELAY };
const char *ice_candidate_type_name(enum ice_candidate_type type); // "host" ... as in SDP

// Whom a local candidate comes from, and how that was asked.
enum ice_server { ICE_NO_SERVER, ICE_STUN_UDP, ICE_TURN_UDP, ICE_TURN_TCP };

struct ice_candidate {
    enum ice_candidate_type type;
    struct addr addr;
    struct addr base;    // local candidates: what is sent from. Host and relay: the address itself
    struct addr related; // raddr and rport; none for host candidates
    uint32_t priority;   // local: 0 lets the agent compute it (RFC 8445 5.1.2)
    uint16_t component;
    char foundation[ICE_FOUNDATION_MAX]; // local: empty lets the agent compute it (5.1.1.3)
    // Local reflexive and relayed: the server that gave it, where known (5.1.1.3 goes by its IP).
    struct addr server;
    enum ice_server server_kind;
};

// RFC 8445 5.1.2.1, with the type preferences of 5.1.2.2. The component is 1 to 256.
uint32_t ice_candidate_priority(enum ice_candidate_type type, uint16_t local_preference,
                                uint16_t component);
// RFC 8445 6.1.2.3, from the priorities of the controlling and the controlled side's candidate.
uint64_t ice_pair_priority(uint32_t controlling, uint32_t controlled);

enum ice_role { ICE_CONTROLLED, ICE_CONTROLLING };

// As the W3C names them (RTCIceTransportState).
enum ice_state {
    ICE_NEW,
    ICE_CHECKING,
    ICE_CONNECTED, // a pair is selected
    ICE_COMPLETED, // and no check is left to do, both sides said that they have no more candidates
    ICE_DISCONNECTED, // a consent check of the selected pair got no answer for half an interval
    ICE_FAILED,       // no pair can work, or consent expired (RFC 7675 5.1)
    ICE_CLOSED,
};
const char *ice_state_name(enum ice_state state);

// Why ICE_FAILED; each is a word of the report.
enum ice_failure {
    ICE_NOT_FAILED,
    ICE_NO_REMOTE_CANDIDATES, // patience ended (RFC 8863) with none to check
    ICE_CHECKS_FAILED,        // every pair failed (lite: was not nominated) and patience ended
    ICE_CONSENT_EXPIRED,
};
const char *ice_failure_name(enum ice_failure failure);

// Why a datagram had no effect. Each value is a word in the trace and has a test.
enum ice_drop {
    ICE_KEPT,
    ICE_NOT_STUN,
    ICE_MALFORMED,       // STUN, but stun_decode refused it
    ICE_BAD_FINGERPRINT, // RFC 8445 7.1.1, 7.3
    ICE_BAD_USERNAME,
    ICE_BAD_INTEGRITY,
    ICE_UNKNOWN_TRANSACTION,
    ICE_UNKNOWN_LOCAL,     // arrived at an address that is no base of ours
    ICE_ASYMMETRIC,        // RFC 8445 7.2.5.2.1: the response came from or to other addresses
    ICE_NO_REMOTE_YET,     // a response or indication before the peer's credentials are known
    ICE_CHECKLIST_FULL,    // no room for the candidate, pair or answer that it asks for
    ICE_UNEXPECTED,        // a method or class that ICE does not use, or the agent is closed
    ICE_UNKNOWN_ATTRIBUTE, // comprehension-required and unknown: a request was answered with 420
    ICE_ERROR_RESPONSE,    // the peer refused a check, other than for its role
    ICE_ROLE_CONFLICT,     // a request answered with 487
    ICE_DROPS,
};
const char *ice_drop_name(enum ice_drop drop);

struct ice_config {
    enum ice_role role;
    bool lite;                // RFC 8445 2.5: host candidates only, never sends checks
    nanotime ta;              // pacing between checks; 0: 50 ms (RFC 8445 14.2)
    nanotime rto_min;         // 0: 500 ms (14.3)
    nanotime patience;        // 0: 39.5 s (RFC 8863 4)
    nanotime nomination_wait; // after the first valid pair, for a better one; 0: 500 ms
    nanotime
        consent_interval;     // 0: 5 s, each interval is drawn from 0.8 to 1.2 of it (RFC 7675 5.1)
    nanotime consent_timeout; // 0: 30 s
    unsigned checks_max;      // 0: 100 candidate pairs (6.1.2.5)
    unsigned candidates_max;  // 0: 64, of each side
    uint64_t tiebreaker;      // 0: drawn
    struct rng rng;
    struct trace trace;
};

struct ice_agent *ice_agent_new(const struct ice_config *config); // config is copied
void ice_agent_free(struct ice_agent *agent);

struct ice_credentials {
    char ufrag[ICE_UFRAG_MAX];
    char pwd[ICE_PWD_MAX];
};
// Ours: drawn at _new, and anew by _restart.
const struct ice_credentials *ice_agent_credentials(const struct ice_agent *agent);

// Before checks can start. Setting different credentials later is the peer's ICE restart: the agent
// then restarts too, as by ice_agent_restart, so local candidates must be added again. (After an
// ice_agent_restart of our own, this sets the peer's answer to it.)
void ice_agent_set_remote(struct ice_agent *agent, nanotime now, struct bytes ufrag,
                          struct bytes pwd, bool lite);

// Local candidates as they are gathered. A redundant one (same address and base as another, RFC
// 8445 5.1.3) is refused with NULL; else the candidate as the agent completed it, owned by the
// agent and good until restart. The same socket's host candidate comes before its reflexive ones.
const struct ice_candidate *ice_agent_add_local(struct ice_agent *agent, nanotime now,
                                                const struct ice_candidate *candidate);
void ice_agent_local_done(struct ice_agent *agent, nanotime now); // gathering is over

// Remote candidates may come before or after the local ones and the credentials. False: refused,
// because the list is full. Duplicates do nothing, except that a peer-reflexive candidate learned
// from a check takes the description that is now signalled; nor does what comes after
// end-of-candidates (RFC 8838 14), or an address that nobody can be sent to.
bool ice_agent_add_remote(struct ice_agent *agent, nanotime now,
                          const struct ice_candidate *candidate);
void ice_agent_remote_done(struct ice_agent *agent,
                           nanotime now); // end-of-candidates (RFC 8838 14)

// The role may change until checks have started, e.g. when the peer turns out to be lite.
void ice_agent_set_role(struct ice_agent *agent, nanotime now, enum ice_role role);

// New credentials of ours, none of the peer's, and an empty checklist. The selected pair keeps
// carrying data, under the old credentials, until a new one is nominated or its consent ends (RFC
// 8445 9). Local candidates must be added again. The only way out of ICE_FAILED.
void ice_agent_restart(struct ice_agent *agent, nanotime now);
void ice_agent_close(struct ice_agent *agent, nanotime now); // revokes nothing, sends nothing

enum ice_output_kind {
    ICE_SEND,
    ICE_STATE_CHANGED,    // ask ice_agent_state
    ICE_SELECTED_CHANGED, // ask ice_agent_selected
};

struct ice_output {
    enum ice_output_kind kind;
    struct datagram send; // ICE_SEND: bytes belong to the agent until the next call on it
};

enum ice_drop ice_agent_input(struct ice_agent *agent, nanotime now,
                              const struct datagram *datagram);
bool ice_agent_poll(struct ice_agent *agent, nanotime now, struct ice_output *out);
nanotime ice_agent_deadline(const struct ice_agent *agent);

enum ice_state ice_agent_state(const struct ice_agent *agent);
enum ice_failure ice_agent_failure(const struct ice_agent *agent);
enum ice_role ice_agent_role(const struct ice_agent *agent);

struct ice_pair {
    struct ice_candidate local; // of the valid pair: maybe prflx
    struct ice_candidate remote;
    bool nominated;
};
// The pair for data: the nominated one, or before that the best valid one (RFC 8445 12.1.1). NULL:
// none. Data goes from local.base to remote.addr. Good until the next call on the agent.
const struct ice_pair *ice_agent_selected(const struct ice_agent *agent);
// May data be sent now? A pair is selected and consent stands (RFC 7675 5.1).
bool ice_agent_may_send(const struct ice_agent *agent);

struct ice_stats {
    unsigned checks_sent; // requests, without retransmissions
    unsigned retransmissions;
    unsigned checks_received;
    unsigned responses_received;
    unsigned role_conflicts; // 487 sent or received
    unsigned consent_checks; // requests to keep the selected pair's consent
    unsigned pairs;          // formed
    unsigned selections;     // selectedCandidatePairChanges: to a pair, from one, or both
    nanotime first_valid_at; // in this session, since the last restart. TIME_NEVER: not yet
    nanotime selected_at;    // nominated, likewise
    unsigned drops[ICE_DROPS];
};
struct ice_stats ice_agent_stats(const struct ice_agent *agent);

// --------------------------------------------------------------------------------------- each pair

// RTCIceCandidatePairStats, by the names of the W3C. Packets and bytes are those of data: what the
// owner tells by ice_agent_sent and _received, the payload of UDP, no checks. Of requests and
// responses, those that count are authentic.
struct ice_pair_stats {
    uint64_t packetsSent, packetsReceived, bytesSent, bytesReceived;
    uint64_t packetsDiscardedOnSend, bytesDiscardedOnSend;
    nanotime lastPacketSentTimestamp, lastPacketReceivedTimestamp; // TIME_NEVER: none
    uint64_t requestsSent;        // checks, without retransmissions and without consent
    uint64_t consentRequestsSent; // RFC 7675
    uint64_t requestsReceived;    // of both kinds, with retransmissions
    uint64_t responsesSent;
    uint64_t responsesReceived; // of both kinds
    // Each response measures one round trip, so that the mean is total / responsesReceived. A check
    // that was sent more than once is measured from the last time, as in libwebrtc, where each has
    // a transaction of its own; nobody knows which of them was answered, so where a round trip
    // takes longer than rto_min (500 ms) that is too little. Consent is never asked for by the same
    // request twice: its round trips are exact.
    nanotime totalRoundTripTime;
    nanotime currentRoundTripTime; // the latest; TIME_NEVER: none
};

// Data went out on the selected pair; or, `discarded`, it could not be given to its socket.
void ice_agent_sent(struct ice_agent *agent, nanotime now, size_t len, bool discarded);
// Data came, to a base of ours. It counts for the pair that it came on, if there is one.
void ice_agent_received(struct ice_agent *agent, nanotime now, const struct datagram *datagram);

// Of the selected pair; while there is none, of the one that was.
const struct ice_pair_stats *ice_agent_selected_stats(const struct ice_agent *agent);

// Numbers of pairs and candidates are never used again, not after a restart either.
struct ice_pair_info {
    unsigned number, local_number, remote_number;
    const struct ice_candidate *local, *remote; // good until the next call on the agent
    const char *state; // RTCStatsIceCandidatePairState: "frozen", "waiting" ...
    bool nominated, selected;
    const struct ice_pair_stats *stats;
};
// The pairs of the checklist by falling priority, then the one from before a restart that still
// carries data. False: no more than `index` of them.
bool ice_agent_pair(const struct ice_agent *agent, unsigned index, struct ice_pair_info *out);

struct ice_candidate_info {
    unsigned number;
    const struct ice_candidate *candidate;
    const char *ufrag; // of its side; NULL: not known yet
};
// The candidates of a side as they came, then that of the pair from before a restart. False: no
// more than `index` of them.
bool ice_agent_candidate(const struct ice_agent *agent, bool local, unsigned index,
                         struct ice_candidate_info *out);

#endif
