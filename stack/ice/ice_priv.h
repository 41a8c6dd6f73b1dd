// What the files of the ICE agent share: its tables, and who may change them.
//
//     agent.c       the API, the state, poll and deadline
//     session.c     credentials, ICE restart
//     candidates.c  the two lists of candidates
//     checklist.c   pairs: order, states, freezing, the triggered-check queue
//     checks.c      transactions: sending and repeating checks, giving up
//     requests.c    incoming checks and the answers to them
//     responses.c   incoming answers to our checks
//     nomination.c  valid pairs, nomination, the selected pair
//     consent.c     consent freshness, keepalives
//     pair_stats.c  what is counted of each pair
//     names.c       the words for enums
//
// Candidates and pairs are known by index. Indexes hold until the pair is removed to make room
// (checklist.c) or until restart; candidates are never removed but by a restart.
#ifndef STACK_ICE_ICE_PRIV_H
#define STACK_ICE_ICE_PRIV_H

#include "base/arena.h"
#include "stack/ice/ice.h"
#include "stack/stun/stun.h"

#define NO_INDEX UINT16_MAX
#define CANDIDATE_BLOCKS 14   // block k holds 4 << k candidates: enough for any 16-bit index
#define TRIGGERED_RUN_MAX 3   // triggered checks in a row while others wait
#define REPLIES_MAX 8         // answers between two polls
#define MESSAGE_MAX 640       // the longest check: two usernames of 256 and the fixed attributes
#define TRANSACTIONS_SPARE 16 // beyond two for each pair: consent checks on their way
#define KEEPALIVE_INTERVAL (15 * TIME_S) // RFC 8445 11: Tr

// -------------------------------------------------------------------------------------- candidates

struct candidate {
    struct ice_candidate is;
    uint16_t foundation; // equal for two candidates of one list exactly when the texts are
};

// A list that grows and never moves what is in it, since the owner holds pointers.
struct candidates {
    struct candidate *blocks[CANDIDATE_BLOCKS];
    unsigned count;
};

// ------------------------------------------------------------------------------------------- pairs

enum pair_state {
    PAIR_FROZEN,
    PAIR_WAITING,
    PAIR_IN_PROGRESS,
    PAIR_SUCCEEDED,
    PAIR_FAILED,
    PAIR_STATES,
};

// A pair of the checklist. The valid list (RFC 8445 7.2.5.3.2) is the pairs with `valid` set: a
// valid pair with another local candidate of the same base is kept here too, as `valid_local`.
struct pair {
    uint64_t priority;
    uint64_t valid_priority; // of the valid pair
    nanotime responded_at;   // the last valid response to a check of the valid pair
    uint32_t foundation;     // of both candidates together
    uint32_t number;         // how many pairs were made before: settles equal priorities
    uint32_t prflx_priority; // the PRIORITY of the check that made it valid
    uint16_t local;
    uint16_t remote;
    uint16_t valid_local;
    uint16_t produced;    // the pair that this one's check made valid: most often itself
    uint16_t checked_by;  // the pair whose check made this one valid
    uint16_t transaction; // in progress, or NO_INDEX
    uint16_t queue_next;
    enum pair_state state;
    bool used; // the slot holds a pair
    bool valid;
    bool queued;
    bool nominate;            // controlling: its checks carry USE-CANDIDATE
    bool nominate_on_success; // controlled: USE-CANDIDATE came before the pair was valid
    struct ice_pair_stats stats;
};

// ------------------------------------------------------------------------------------ transactions

enum transaction_kind {
    TRANSACTION_FREE,
    TRANSACTION_CHECK,
    TRANSACTION_CANCELLED, // not repeated, and its silence is no failure (RFC 8445 7.3.1.4)
    TRANSACTION_CONSENT,   // sent once (RFC 7675 5.1)
};

// A Binding request on its way. Its id is 16 bits of the index here and 80 random bits, so that an
// answer is found at once and not guessed by who did not see the request.
struct transaction {
    uint8_t id[STUN_ID_LEN];
    enum transaction_kind kind;
    enum ice_role role;
    bool use_candidate;
    bool previous; // under the credentials from before the restart
    uint16_t pair; // consent: NO_INDEX
    uint32_t priority;
    uint64_t tiebreaker;
    struct addr from;
    struct addr to;
    struct stun_rto rto;
    nanotime sent_at; // first
    nanotime last_at; // and last
    nanotime until;   // cancelled and consent: forgotten then
};

// An answer that waits for poll.
enum reply_key { REPLY_UNSIGNED, REPLY_CURRENT, REPLY_PREVIOUS };
struct reply {
    uint8_t id[STUN_ID_LEN];
    struct addr from;
    struct addr to;
    enum reply_key key;
    unsigned code; // 0: success
    uint16_t unknown[STUN_UNKNOWN_MAX];
    unsigned unknown_count;
};

// The credentials of one ICE session: of both sides, from one restart to the next.
struct generation {
    struct ice_credentials local;
    struct ice_credentials remote;
    struct stun_key *local_key;
    struct stun_key *remote_key; // NULL: the peer's credentials are not known yet
    char username[2 * ICE_UFRAG_MAX];
    size_t username_len;
};

struct consent {
    bool on;
    bool disconnected;
    struct addr from;
    struct addr to;
    uint32_t priority;
    nanotime next_at;       // the next check
    nanotime unanswered_at; // when the oldest check without an answer was sent; TIME_NEVER
    nanotime expires_at;
};

// Of the selected pair from before a restart; else of the last one that was selected.
struct kept_pair {
    unsigned number, local, remote; // as in struct ice_pair_info
    struct ice_pair_stats stats;
};

struct ice_agent {
    struct ice_config config; // with its defaults filled in
    struct trace trace;
    struct rng rng;
    nanotime now; // the latest that we were told
    enum ice_role role;
    uint64_t tiebreaker;
    struct generation *current;
    struct generation *previous; // from before the restart; NULL: none
    bool remote_lite;
    bool local_done;
    bool remote_done;

    struct candidates locals;
    struct candidates remotes;
    unsigned locals_before, remotes_before; // how many there were in earlier sessions
    unsigned local_types[ICE_RELAY + 1];    // how many of each type there are
    uint16_t foundations;                   // local ones so far

    struct pair *pairs;
    uint16_t *order; // the pairs by falling priority
    unsigned pairs_len;
    unsigned pairs_size;
    unsigned pairs_count;
    uint32_t pairs_made;
    unsigned pairs_in[PAIR_STATES];
    uint16_t queue_first;
    uint16_t queue_last;
    unsigned triggered_run; // triggered checks sent while others waited
    bool started;           // initial states were set
    bool frozen_stuck;      // no frozen pair may be unfrozen until some state changes

    struct transaction *transactions;
    unsigned transactions_len;
    unsigned transactions_size;
    nanotime pace_at; // no new check before

    struct reply replies[REPLIES_MAX];
    unsigned replies_first;
    unsigned replies_count;

    uint16_t nominating; // controlling: the pair whose nomination is on its way
    uint16_t nominated;
    uint16_t selected_slot; // NO_INDEX: none, or from before the restart
    bool has_selected;
    bool selected_previous; // it is the pair from before the restart
    struct ice_pair selected;
    struct kept_pair kept;
    struct consent consent;
    nanotime keepalive_at;
    nanotime patience_at;
    bool patience_over;
    nanotime valid_at; // the first valid pair of this session

    enum ice_state state;
    enum ice_failure failure;
    bool checking; // left ICE_NEW
    bool state_changed;
    bool selected_changed;
    struct ice_stats stats;
    uint8_t message[MESSAGE_MAX];
};

// ----------------------------------------------------------------------------------------- agent.c

void ice_state_update(struct ice_agent *agent, nanotime now);
void ice_fail(struct ice_agent *agent, nanotime now, enum ice_failure failure);
// Can checks be sent and heeded? Not before the credentials are known, nor after failing.
bool ice_is_running(const struct ice_agent *agent);
void ice_role_switch(struct ice_agent *agent, nanotime now, enum ice_role role);

// --------------------------------------------------------------------------------------- session.c

struct generation *ice_generation_new(struct ice_agent *agent);
void ice_generation_free(struct generation *generation);

// ------------------------------------------------------------------------------------ candidates.c

struct candidate *ice_candidate_at(const struct candidates *list, unsigned index);
void ice_candidates_free(struct candidates *list);
const struct addr *ice_base_of(const struct candidate *local);
// The local candidate that stands for this base: itself, else a reflexive one. NO_INDEX: none.
uint16_t ice_local_by_base(const struct ice_agent *agent, const struct addr *base);
uint16_t ice_remote_by_addr(const struct ice_agent *agent, const struct addr *addr);
// The local candidate with this address, one with this base first; a new peer-reflexive one when
// there is none. NO_INDEX: no room.
uint16_t ice_local_mapped(struct ice_agent *agent, nanotime now, const struct addr *mapped,
                          const struct candidate *base, uint32_t priority);
uint16_t ice_remote_learn(struct ice_agent *agent, nanotime now, const struct addr *addr,
                          uint16_t component, uint32_t priority);
uint32_t ice_prflx_priority(uint32_t local_priority);

// ------------------------------------------------------------------------------------- checklist.c

void ice_pairs_init(struct ice_agent *agent);
void ice_pairs_clear(struct ice_agent *agent);
uint64_t ice_pair_priority_of(const struct ice_agent *agent, uint32_t local, uint32_t remote);
struct candidate *ice_pair_local(const struct ice_agent *agent, const struct pair *pair);
struct candidate *ice_pair_remote(const struct ice_agent *agent, const struct pair *pair);
uint16_t ice_pair_find(const struct ice_agent *agent, const struct addr *base, uint16_t remote);
bool ice_can_pair(const struct candidate *local, const struct candidate *remote);
void ice_pair_form(struct ice_agent *agent, nanotime now, uint16_t local, uint16_t remote);
// A pair for an incoming check; NO_INDEX: no room. Its state is still to be set.
uint16_t ice_pair_insert(struct ice_agent *agent, nanotime now, uint16_t local, uint16_t remote,
                         bool triggered);
void ice_pair_set_state(struct ice_agent *agent, nanotime now, uint16_t slot,
                        enum pair_state state);
void ice_pairs_update(struct ice_agent *agent); // priorities anew, and the order
void ice_pairs_unfreeze(struct ice_agent *agent, nanotime now, uint32_t foundation);
void ice_pairs_start(struct ice_agent *agent, nanotime now);
void ice_pairs_thaw(struct ice_agent *agent, nanotime now);
bool ice_pairs_may_thaw(const struct ice_agent *agent); // is it worth looking?
bool ice_pairs_are_done(const struct ice_agent *agent); // no check is left to do
void ice_queue_push(struct ice_agent *agent, uint16_t slot);
void ice_queue_remove(struct ice_agent *agent, uint16_t slot);
void ice_queue_clear(struct ice_agent *agent);
// Would ice_check_pick find a pair?
bool ice_check_is_ready(const struct ice_agent *agent);
uint16_t ice_check_pick(struct ice_agent *agent);
void ice_trace_pair(const struct ice_agent *agent, nanotime now, uint16_t slot, const char *what);

// ---------------------------------------------------------------------------------------- checks.c

struct transaction *ice_transaction_new(struct ice_agent *agent, nanotime now);
struct transaction *ice_transaction_find(struct ice_agent *agent, nanotime now,
                                         const uint8_t id[STUN_ID_LEN]);
void ice_transactions_drop(struct ice_agent *agent, bool keep_consent);
void ice_pair_drop_transactions(struct ice_agent *agent, uint16_t slot);
void ice_pair_cancel(struct ice_agent *agent, uint16_t slot); // its check in progress, if any
void ice_pair_failed(struct ice_agent *agent, nanotime now, uint16_t slot);
void ice_checks_expire(struct ice_agent *agent, nanotime now);
bool ice_checks_repeat(struct ice_agent *agent, nanotime now, struct ice_output *out);
bool ice_check_send(struct ice_agent *agent, nanotime now, struct ice_output *out);
void ice_request_encode(struct ice_agent *agent, const struct transaction *transaction,
                        struct ice_output *out);

// ---------------------------------------------------------------------- requests.c and responses.c

enum ice_drop ice_request_input(struct ice_agent *agent, nanotime now,
                                const struct datagram *datagram, const struct stun_msg *msg);
bool ice_reply_send(struct ice_agent *agent, nanotime now, struct ice_output *out);
enum ice_drop ice_response_input(struct ice_agent *agent, nanotime now,
                                 const struct datagram *datagram, const struct stun_msg *msg);

// ------------------------------------------------------------------------------------ nomination.c

void ice_pair_nominate(struct ice_agent *agent, nanotime now, uint16_t slot);
void ice_nomination_consider(struct ice_agent *agent, nanotime now);
nanotime ice_nomination_deadline(const struct ice_agent *agent);
void ice_selected_update(struct ice_agent *agent, nanotime now);
void ice_selected_drop(struct ice_agent *agent, nanotime now);
void ice_lite_pair_choose(struct ice_agent *agent, nanotime now);
bool ice_pair_is_fresh(const struct ice_agent *agent, nanotime now, const struct pair *pair);
// Is there a pair that carries data, or may yet be nominated to?
bool ice_is_hopeful(const struct ice_agent *agent, nanotime now);

// --------------------------------------------------------------------------------------- consent.c

void ice_consent_start(struct ice_agent *agent, nanotime now, const struct pair *pair);
void ice_consent_stop(struct ice_agent *agent);
void ice_consent_given(struct ice_agent *agent, nanotime now);
void ice_consent_lost(struct ice_agent *agent, nanotime now, const char *why);
void ice_consent_watch(struct ice_agent *agent, nanotime now);
bool ice_consent_send(struct ice_agent *agent, nanotime now, struct ice_output *out);
bool ice_keepalive_send(struct ice_agent *agent, nanotime now, struct ice_output *out);
nanotime ice_consent_deadline(const struct ice_agent *agent);

// ------------------------------------------------------------------------------------ pair_stats.c

struct ice_pair_stats ice_pair_stats_none(void);
void ice_count_request(struct ice_agent *agent, const struct transaction *sent);
// An authentic answer came, by the way that the request went.
void ice_count_response(struct ice_agent *agent, nanotime now, const struct transaction *sent);
void ice_count_asked(struct ice_agent *agent, const struct datagram *request, bool previous);
void ice_count_answered(struct ice_agent *agent, const struct reply *reply);
// Before the selected pair leaves the table, or is selected no more.
void ice_selected_keep(struct ice_agent *agent);

const char *ice_role_name(enum ice_role role);

#endif
