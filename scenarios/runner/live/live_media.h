// Audio and video as JSON, as adapters are told of it and tell of it (adapters/README.md): tracks
// with their clips, commands to them, and statistics under the names of the W3C.
#ifndef SCENARIOS_LIVE_MEDIA_H
#define SCENARIOS_LIVE_MEDIA_H

#include "base/arena.h"
#include "stack/media/media.h"

#include <jansson.h>

// Of the `track` command. False: its clip does not fit into a line.
bool live_track_encode(json_t *to, unsigned track, const struct media_track_config *config);
// Texts are copied into the arena; `clip` of `to` is the caller's to free. False: it is no track.
bool live_track_decode(const json_t *from, struct arena *arena, struct media_track_config *to);

// Of the `media` command. Digits are borrowed from `from`.
void live_media_command_encode(json_t *to, const struct media_command *command);
bool live_media_command_decode(const json_t *from, struct media_command *to);
// What it is called; also the word of `cannot` where a stack has no such thing.
const char *live_media_command_name(enum media_command_kind kind);

// Which members were ever told; what is counted from another, when that was. One bit for each of
// media_track_members, or of the transport's.
#define LIVE_MEMBERS_MAX 256
struct live_told {
    uint64_t bits[LIVE_MEMBERS_MAX / 64];
};

// Statistics of one track (a member of `tracks`), or of the transport. W3C members are in the units
// of the W3C: seconds, shares of one. What is not told, or of another kind, stays as it was.
json_t *live_track_stats_encode(const struct media_track_stats *stats);
void live_track_stats_decode(const json_t *from, struct media_track_stats *to,
                             struct live_told *told);
bool live_track_is_told(const struct live_told *told, const struct media_member *member);
json_t *live_transport_stats_encode(const struct media_transport_stats *stats);
void live_transport_stats_decode(const json_t *from, struct media_transport_stats *to,
                                 struct live_told *told);
bool live_transport_is_told(const struct live_told *told, const struct media_member *member);

#endif
