#include "stack/rtp/rtp_history.h"

#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>

#define RTT_UNKNOWN (50 * TIME_MS)

struct kept {
    uint8_t *bytes; // RTP_PACKET_MAX, once needed
    size_t len;     // 0: empty
    uint16_t sequence;
    nanotime sent_at, again_at; // again_at: TIME_NEVER before the first time
    bool waits;                 // to be sent again
};

struct rtp_history {
    struct kept ring[RTP_HISTORY_PACKETS];
    nanotime rtt;
    const struct kept *newest;
};

struct rtp_history *rtp_history_new(void)
{
    struct rtp_history *history = mem_zero(1, sizeof *history);
    history->rtt = RTT_UNKNOWN;
    return history;
}

void rtp_history_free(struct rtp_history *history)
{
    if (!history)
        return;
    for (unsigned i = 0; i < RTP_HISTORY_PACKETS; i++)
        free(history->ring[i].bytes);
    free(history);
}

void rtp_history_set_rtt(struct rtp_history *history, nanotime rtt)
{
    history->rtt = rtt;
}

static struct kept *put(struct rtp_history *history, nanotime now, uint16_t sequence,
                        struct bytes packet)
{
    struct kept *kept = &history->ring[sequence % RTP_HISTORY_PACKETS];
    assert(packet.len > 0 && packet.len <= RTP_PACKET_MAX);
    if (!kept->bytes)
        kept->bytes = mem_alloc(RTP_PACKET_MAX);
    memcpy(kept->bytes, packet.at, packet.len);
    kept->len = packet.len;
    kept->sequence = sequence;
    kept->sent_at = now;
    kept->again_at = TIME_NEVER;
    kept->waits = false;
    return kept;
}

void rtp_history_put(struct rtp_history *history, nanotime now, uint16_t sequence,
                     struct bytes packet)
{
    history->newest = put(history, now, sequence, packet);
}

void rtp_history_put_aside(struct rtp_history *history, nanotime now, uint16_t sequence,
                           struct bytes packet)
{
    const struct kept *kept = put(history, now, sequence, packet);
    if (history->newest == kept)
        history->newest = NULL;
}

enum rtp_history_outcome rtp_history_get(struct rtp_history *history, nanotime now,
                                         uint16_t sequence, struct bytes *packet)
{
    struct kept *kept = &history->ring[sequence % RTP_HISTORY_PACKETS];
    *packet = bytes_of(NULL, 0);
    if (kept->len == 0 || kept->sequence != sequence || now - kept->sent_at > RTP_HISTORY_AGE)
        return RTP_HISTORY_GONE;
    // Those who ask again after a round trip have a reason; the clock of asking is a little early.
    if (kept->waits)
        return RTP_HISTORY_SOON;
    if (kept->again_at != TIME_NEVER && now - kept->again_at < history->rtt - history->rtt / 8)
        return RTP_HISTORY_SOON;
    kept->waits = true;
    *packet = bytes_of(kept->bytes, kept->len);
    return RTP_HISTORY_FOUND;
}

void rtp_history_resent(struct rtp_history *history, nanotime now, uint16_t sequence)
{
    struct kept *kept = &history->ring[sequence % RTP_HISTORY_PACKETS];
    if (kept->len == 0 || kept->sequence != sequence)
        return;
    kept->waits = false;
    kept->again_at = now;
}

struct bytes rtp_history_newest(const struct rtp_history *history)
{
    return history->newest ? bytes_of(history->newest->bytes, history->newest->len)
                           : bytes_of(NULL, 0);
}
