// Shared by the two files of the bench's end of an adapter: live_adapter.c takes what it says,
// live_adapter_tell.c tells it what to do.
#ifndef SCENARIOS_LIVE_ADAPTER_PRIV_H
#define SCENARIOS_LIVE_ADAPTER_PRIV_H

#include "base/arena.h"
#include "scenarios/runner/live/live_adapter.h"
#include "scenarios/runner/live/live_media.h"

// What waits for poll.
struct output {
    struct output *next;
    enum peer_output_kind kind;
    unsigned channel;
    bool answer, incoming, text;
    size_t len;
    uint8_t bytes[];
};

// What a stack says that it cannot do, by the words of `cannot`.
enum cannot {
    CANNOT_TRICKLE = 1,
    CANNOT_RESTART = 2,
    CANNOT_RELAY = 4,
    CANNOT_RETRANSMITS = 8,
    CANNOT_LIFETIME = 16,
    CANNOT_UNORDERED = 32,
    CANNOT_NEGOTIATED = 64,
    CANNOT_TURN_TCP = 128,
    CANNOT_MEDIA = 256,
    CANNOT_KEYFRAME = 512,
    CANNOT_MUTE = 1024,
    CANNOT_DIAL = 2048,
    CANNOT_BITRATE = 4096,
    CANNOT_RECEIVE_MAX = 8192,
};

struct channel {
    char label[CHANNEL_LABEL_MAX];
    bool known, open;
};

struct adapter {
    struct peer_config config;
    struct arena arena;
    struct trace trace;
    struct text outgoing, incoming, keys;
    struct text described; // its last description
    struct output *first, **last, *lent;
    struct peer_stats stats;
    char error[256];
    char mid[33];
    unsigned section; // the number of the one with that mid
    bool own;         // this stack
    bool detailed;    // it told all that this stack counts
    bool told_connection, told_stack;
    unsigned cannot;          // bits of enum cannot
    struct channel *channels; // ours have even numbers, the other side's odd ones
    unsigned channels_max, channels_opened_by_us, channels_opened_by_it;
    struct media_track_stats tracks[MEDIA_TRACKS_MAX];
    struct media_transport_stats transport;
    struct live_told tracks_told[MEDIA_TRACKS_MAX], transport_told;
    unsigned tracks_count;
    unsigned asked, answered, events;
    uint64_t bytes;
    nanotime asked_at, ask_next;
    bool started, closing, waits_for_room;
    bool unsupported;
    char failure[512];
};

void adapter_push(struct adapter *a, enum peer_output_kind kind, unsigned channel,
                  struct bytes bytes, bool flag);
void adapter_changed(struct adapter *a);
void adapter_learn_mid(struct adapter *a, const char *sdp);
struct channel *adapter_channel_of(struct adapter *a, unsigned number);
bool adapter_poll(void *peer, nanotime now, struct peer_output *out);
nanotime adapter_deadline(const void *peer);

#endif
