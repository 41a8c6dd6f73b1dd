// Every name that an expectation may use, and its value in a run.
//
//   alice.ice.state         of a peer
//   bob.chat.received       of the channels with a label, at a peer
//   bob.audio.in.jitter     of a track; bob.media.usage of all media of a peer
//   bob.video.bit-exact     of a track's decoded frames
//   bob.pair.bytesSent      of a peer's selected pair of candidates
//   turn.allocations        of a server
//   home.nat.mappings       of a LAN's gateway
//   dropped.loss            of the whole network
#ifndef SCENARIOS_METRICS_H
#define SCENARIOS_METRICS_H

#include "scenarios/runner/run/run_priv.h"

enum value_kind {
    VALUE_NUMBER,
    VALUE_TIME,
    VALUE_WORD,
    VALUE_BOOL,
    VALUE_DECIMAL, // in millionths
    VALUE_SHARE,   // per billion, shown as a percentage
};
struct value {
    enum value_kind kind;
    int64_t number; // of a time: nanoseconds, TIME_NEVER for "never"; of a bool: 0 or 1
    const char *word;
};

enum entity {
    OF_PEER,
    OF_CHANNEL,
    OF_SERVER,
    OF_LAN,
    OF_RUN,
    OF_TRACK,
    OF_TRANSPORT,
    OF_DECODED,
    OF_PAIR,
};
struct metric;
struct metric_ref {
    enum entity entity;
    const struct metric *metric;       // NULL of media
    const struct media_member *member; // of those alone, and of pairs
    unsigned index;                    // of peers, servers or lans
    unsigned track;                    // OF_TRACK, OF_DECODED: of the peer
    const char *label;                 // of channels; lives as long as the scenario
};

// False: `err` gets what is wrong with the name, at `mark`, with the nearest valid one.
bool metric_resolve(struct arena *arena, const struct scenario *scenario, struct bytes name,
                    struct err_mark mark, struct metric_ref *out, struct err *err);
// Does it depend on packets between the two peers having come through? Then `index` is of peers.
bool metric_needs_network(const struct metric_ref *ref);
const char *metric_name(const struct metric_ref *ref); // without that of its owner
enum value_kind metric_kind(const struct metric_ref *ref);
// The words it may take, NULL-ended; NULL for other kinds.
const char *const *metric_words(const struct metric_ref *ref);
struct value metric_value(struct run *run, const struct metric_ref *ref);
// Live, a peer of another stack tells what it likes: what it does not tell has no value.
bool metric_is_told(const struct run *run, const struct metric_ref *ref);
// The RFC section that a wrong value most likely offends; NULL: none.
const char *metric_rule(const struct metric_ref *ref);
// Text of a value, in the arena of the run.
const char *value_text(struct arena *arena, struct value value);

// All metrics of a run, for its result.
unsigned metrics_collect(struct run *run, struct arena *arena, struct result_metric **out);

#endif
