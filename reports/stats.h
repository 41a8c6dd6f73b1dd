// Statistics over time, as a browser's RTCPeerConnection.getStats() gives them
// (https://www.w3.org/TR/webrtc-stats/): a document of samples, of all peers each.
//
//     struct stats *stats = stats_new("media/audio-loss", TIME_S);
//     stats_sample(stats, now);                            // for each moment
//     stats_peer(stats, "alice");                          // for each peer
//     stats_object(stats, "inbound-rtp", "inbound-audio"); // for each of its objects
//     stats_number(stats, "packetsReceived", 100);         // for each member
//     stats_decimal(stats, "jitter", 1250, 1000000);       // 0.00125
//     stats_print(stats, &text);
//
// The document, a sample each line:
//
//     {"id": "media/audio-loss", "interval": 1.0, "samples": [
//     {"timestamp": 1000.0, "peers": {"alice": {"inbound-audio": {"type": "inbound-rtp",
//         "id": "inbound-audio", "timestamp": 1000.0, "packetsReceived": 100, ...}, ...}, ...}},
//     ...
//     ]}
//
// Units are the W3C's: a duration is in seconds; a moment (`timestamp` and whatever ends in
// "Timestamp") is in milliseconds, here since the start of the run. Members are named as there. One
// that is not known is left out. The same calls give the same bytes on every machine.
#ifndef REPORTS_STATS_H
#define REPORTS_STATS_H

#include "base/clock.h"
#include "base/text.h"

// Samples that would make the document longer are left out, and it ends with "truncated": true.
#define STATS_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define STATS_INTERVAL_MIN (10 * TIME_MS)

struct stats;
struct stats *stats_new(const char *id, nanotime interval);
void stats_free(struct stats *stats); // NULL: nothing

// Each ends those before it. Names are copied; a second object of the same id replaces the first.
void stats_sample(struct stats *stats, nanotime at);
void stats_peer(struct stats *stats, const char *name);
void stats_object(struct stats *stats, const char *type, const char *id);
// An object within the object, which the members that follow are of: the last of its members.
void stats_nested(struct stats *stats, const char *name);

void stats_number(struct stats *stats, const char *name, int64_t value);
void stats_decimal(struct stats *stats, const char *name, int64_t value, int64_t scale);
void stats_text(struct stats *stats, const char *name, const char *value); // NULL: left out
void stats_bool(struct stats *stats, const char *name, bool value);
// TIME_NEVER is left out, of both.
void stats_duration(struct stats *stats, const char *name, nanotime value);
void stats_moment(struct stats *stats, const char *name, nanotime value);

// The whole document, appended to `to`. Nothing is added after it.
void stats_print(struct stats *stats, struct text *to);

#endif
