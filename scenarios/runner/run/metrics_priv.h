// What the files of the metrics share.
//
//   metrics.c        names resolved, values read, all of them for a report
//   metrics_table.c  of peers, channels, servers, LANs and the run
//   metrics_media.c  of tracks and media transports
#ifndef SCENARIOS_METRICS_PRIV_H
#define SCENARIOS_METRICS_PRIV_H

#include "scenarios/runner/run/metrics.h"

// How a metric reads its field of a struct of statistics.
enum field { FIELD_UNSIGNED, FIELD_U64, FIELD_TIME, FIELD_FUNCTION };

struct metric {
    enum entity entity;
    const char *name;
    enum value_kind kind;
    enum field field;
    size_t offset;
    struct value (*get)(struct run *run, const struct metric_ref *ref);
    const char *const *words;
    const char *unit, *meaning;
    const char *rule;
};

extern const struct metric metrics[];
extern const size_t metrics_count;

const struct peer_stats *metrics_peer(struct run *run, const struct metric_ref *ref);
const struct channel_track *metrics_channel(struct run *run, const struct metric_ref *ref);
struct value metrics_number(uint64_t number);

const struct media_member *metrics_media_find(const struct media_member *members,
                                              struct bytes name);
enum value_kind metrics_media_kind(const struct media_member *member);
const char *const *metrics_media_words(const struct media_member *member);
// The track with this label in the session of a peer.
bool metrics_media_track(const struct scenario *scenario, unsigned peer, struct bytes label,
                         unsigned *track);
// Whether what a peer plays of this track is decoded.
bool metrics_media_decoded(const struct scenario *scenario, unsigned peer, unsigned track);
struct value metrics_media_get(struct run *run, const struct metric_ref *ref);
struct value metrics_media_value(const struct media_member *member, const void *stats);
void metrics_media_print(struct text *to, const char *prefix, const struct media_member *members);

#endif
