// Peers as harnesses make them.
#ifndef FUZZ_KIT_PEERS_H
#define FUZZ_KIT_PEERS_H

#include "fuzz/fuzz.h"
#include "stack/peer/peer.h"

// Before each iteration: the libraries as at the start of a run. What is expensive is made once in
// a process: keys and certificates of the identities 0 and 1.
static inline void fuzz_peers_ready(void)
{
    struct err err = {0};
    if (fuzz_once()) {
        bool ready = dtls_library_init(&err);
        assert(ready);
        for (unsigned i = 0; i < 2; i++)
            dtls_identity_fingerprint(dtls_identity_pooled(i));
    }
}

static inline void fuzz_peers_begin(void)
{
    libenv_reset();
    sctp_library_start(0);
}

static inline void fuzz_peers_end(void)
{
    sctp_library_stop();
    assert(libenv_orphan_draws() == 0);
}

// alice (0) is at 10.0.0.1:5000, bob (1) at 10.0.0.2:5000.
static inline struct peer_config fuzz_peer_config(unsigned i)
{
    return (struct peer_config){.name = i ? "bob" : "alice",
                                .locals = {{ip_v4(10, 0, 0, (uint8_t)(1 + i)), 5000}},
                                .locals_count = 1,
                                .trickle = true,
                                .identity = i,
                                .rng = rng_seed(1, i ? "bob" : "alice")};
}

static inline int fuzz_peer_open_chat(void *peer)
{
    const struct channel_config chat = {
        .label = bytes_text("chat"), .priority = 256, .id = CHANNEL_ID_AUTO};
    return peer_simrtc.channel_open(peer, 0, &chat);
}

// What the statistics tell of a peer fits together. True: there is a pair that carries data.
static inline bool fuzz_peer_check_stats(const void *peer, nanotime now)
{
    unsigned counts[2] = {0}, selected = 0; // remote, local
    for (unsigned local = 0; local < 2; local++) {
        struct ice_candidate_info info;
        for (; peer_simrtc.candidate(peer, local, counts[local], &info); counts[local]++)
            assert(info.candidate && info.candidate->addr.ip.family != IP_NONE);
    }
    struct ice_pair_info pair;
    for (unsigned i = 0; peer_simrtc.pair(peer, i, &pair); i++) {
        const struct ice_pair_stats *s = pair.stats;
        assert(counts[0] > 0 && counts[1] > 0 && pair.local && pair.remote && pair.state[0]);
        assert((s->packetsSent > 0) == (s->lastPacketSentTimestamp != TIME_NEVER));
        assert((s->packetsReceived > 0) == (s->lastPacketReceivedTimestamp != TIME_NEVER));
        assert(s->packetsSent == 0 || s->lastPacketSentTimestamp <= now);
        assert(s->packetsReceived == 0 || s->lastPacketReceivedTimestamp <= now);
        assert(s->bytesSent >= s->packetsSent && s->totalRoundTripTime >= 0);
        assert(s->responsesReceived <= s->requestsSent + s->consentRequestsSent);
        assert(s->responsesSent <= s->requestsReceived);
        selected += pair.selected;
    }
    struct peer_channel_stats channel;
    for (unsigned i = 0; peer_simrtc.channel_stats(peer, i, &channel); i++)
        assert(bytes_equal(channel.label, peer_simrtc.channel_label(peer, i)));
    assert(selected <= 1);
    return selected == 1;
}

#endif
