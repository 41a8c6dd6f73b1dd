// Two connected peers and a network in the hand of the bytes: each datagram that one sends is
// delivered, lost, delayed or damaged, as the next byte says; when there is none, it comes whole.
#ifndef FUZZ_KIT_PAIR_H
#define FUZZ_KIT_PAIR_H

#include "fuzz/kit/peers.h"

#define PAIR_FLIGHT_MAX 1024
#define PAIR_DATAGRAM_MAX 1300

struct pair_packet {
    nanotime at;
    uint64_t order;
    int to;
    struct addr from, dest;
    size_t len;
    uint8_t bytes[PAIR_DATAGRAM_MAX];
};

struct pair_end {
    void *peer;
    struct addr addr;
    int channel;                // -1: none yet
    unsigned drops[PEER_DROPS]; // what it said of each datagram
};

struct pair {
    nanotime now;
    struct pair_end ends[2];
    struct pair_packet *flight[PAIR_FLIGHT_MAX];
    unsigned flying;
    uint64_t order;
    struct reader r;
    bool connected; // from then on the bytes decide
    bool cut;       // nothing comes through any more
    nanotime cut_at;
    // What is no datagram, description or candidate: the harness's.
    void (*take)(struct pair *pair, int i, const struct peer_output *out);
};

static inline void pair_put(struct pair *pair, int to, const struct datagram *d, struct bytes bytes,
                            nanotime at)
{
    if (pair->flying == PAIR_FLIGHT_MAX || bytes.len > PAIR_DATAGRAM_MAX)
        return;
    struct pair_packet *p = mem_alloc(sizeof *p);
    p->at = at;
    p->order = pair->order++;
    p->to = to;
    p->from = d->from;
    p->dest = d->to;
    p->len = bytes.len;
    if (bytes.len)
        memcpy(p->bytes, bytes.at, bytes.len);
    pair->flight[pair->flying++] = p;
}

static inline void pair_send(struct pair *pair, int from, const struct datagram *d)
{
    unsigned fate = pair->connected ? read_u8(&pair->r) : 0, what = fate % 16;
    int to = addr_equal(&d->to, &pair->ends[1 - from].addr) ? 1 - from : -1;
    nanotime at = pair->now + (10 + (nanotime)(fate / 16) * 30) * TIME_MS;
    assert(d->bytes.len <= 1200);
    // RFC 7675 5.1: without an answer for 30 seconds nothing but STUN.
    assert(!pair->cut || pair->now - pair->cut_at <= 30 * TIME_S ||
           (d->bytes.len > 0 && d->bytes.at[0] <= 3));
    if (to < 0 || what >= 14 || pair->cut)
        return;
    if (what < 11) {
        pair_put(pair, to, d, d->bytes, at);
        return;
    }
    // Damaged; and sometimes the true one behind it.
    uint8_t copy[PAIR_DATAGRAM_MAX];
    memcpy(copy, d->bytes.at, d->bytes.len);
    size_t len = d->bytes.len;
    for (unsigned i = 0; i < what - 10; i++)
        copy[read_u16(&pair->r) % len] ^= (uint8_t)(1 << read_u8(&pair->r) % 8);
    if (what == 13)
        len = read_u16(&pair->r) % (len + 1);
    pair_put(pair, to, d, bytes_of(copy, len), at);
    if (fate & 64)
        pair_put(pair, to, d, d->bytes, at + TIME_MS);
}

static inline void pair_input(struct pair *pair, int to, const struct datagram *d)
{
    enum peer_drop drop = peer_simrtc.input(pair->ends[to].peer, pair->now, d);
    assert(drop < PEER_DROPS);
    pair->ends[to].drops[drop]++;
}

static inline void pair_pump(struct pair *pair)
{
    for (int i = 0; i < 2; i++) {
        struct pair_end *end = &pair->ends[i];
        struct peer_output out;
        unsigned outputs = 0;
        while (peer_simrtc.poll(end->peer, pair->now, &out)) {
            outputs++;
            assert(outputs < 100000);
            void *other = pair->ends[1 - i].peer;
            if (out.kind == PEER_SEND)
                pair_send(pair, i, &out.datagram);
            else if (out.kind == PEER_CHANNEL_OPEN && out.incoming)
                end->channel = (int)out.channel;
            else if (out.kind == PEER_DESCRIPTION)
                assert(peer_simrtc.accept(other, pair->now, out.bytes, out.answer));
            else if (out.kind == PEER_CANDIDATE)
                peer_simrtc.add_candidate(other, pair->now, out.bytes);
            else
                pair->take(pair, i, &out);
        }
    }
    // What one was told may give the other something to do.
    for (int i = 0; i < 2; i++)
        if (peer_simrtc.deadline(pair->ends[i].peer) <= pair->now) {
            pair_pump(pair);
            return;
        }
}

static inline void pair_pass(struct pair *pair, nanotime span)
{
    nanotime until = pair->now + span;
    pair_pump(pair);
    for (unsigned rounds = 0;; rounds++) {
        assert(rounds < 50000);
        nanotime wake = time_min(peer_simrtc.deadline(pair->ends[0].peer),
                                 peer_simrtc.deadline(pair->ends[1].peer));
        int first = -1;
        for (unsigned i = 0; i < pair->flying; i++) {
            const struct pair_packet *p = pair->flight[i],
                                     *q = first < 0 ? NULL : pair->flight[first];
            if (!q || p->at < q->at || (p->at == q->at && p->order < q->order))
                first = (int)i;
        }
        nanotime at = first < 0 ? TIME_NEVER : pair->flight[first]->at;
        if (time_min(at, wake) > until)
            break;
        pair->now = time_max(pair->now, time_min(at, wake));
        if (at <= wake) {
            struct pair_packet *p = pair->flight[first];
            pair->flight[first] = pair->flight[--pair->flying];
            struct datagram d = {p->from, p->dest, bytes_of(p->bytes, p->len)};
            pair_input(pair, p->to, &d);
            free(p);
        }
        pair_pump(pair);
    }
    pair->now = until;
}

// Any bytes, or any behind a first byte of each protocol (RFC 7983 7), from the peer or a stranger.
static inline void pair_inject(struct pair *pair)
{
    static const uint8_t firsts[] = {0, 1, 2, 3, 20, 21, 22, 23, 24, 63, 64, 79, 80, 128, 191, 255};
    unsigned how = read_u8(&pair->r);
    int to = how & 1;
    struct bytes body = fuzz_slice(&pair->r);
    uint8_t buffer[300];
    struct writer w = writer_of(buffer, sizeof buffer);
    unsigned first = firsts[how / 4 % 16];
    write_u8(&w, (uint8_t)first);
    if (first < 4 && how & 64) {
        write_u8(&w, 1);
        write_u16(&w, (uint16_t)(body.len & ~3u));
        write_u32(&w, 0x2112a442);
    } else if (first >= 20 && first < 64 && how & 64) {
        write_u16(&w, 0xfefd);
        write_u16(&w, (uint16_t)(how >> 7));
        write_u16(&w, 0);
        write_u32(&w, read_u16(&pair->r));
        write_u16(&w, (uint16_t)body.len);
    }
    write_bytes(&w, body);
    struct datagram d = {pair->ends[1 - to].addr, pair->ends[to].addr, writer_bytes(&w)};
    if (how & 2)
        d.from.port ^= 1;
    pair_input(pair, to, &d);
    pair_pump(pair);
}

static inline void pair_replay(struct pair *pair)
{
    unsigned how = read_u8(&pair->r);
    if (pair->flying == 0)
        return;
    const struct pair_packet *p = pair->flight[how % pair->flying];
    struct datagram d = {p->from, p->dest, {0}};
    if (how & 128) // RFC 8445 7.2.5.2.1 lets an answer from elsewhere fail its check: see ice.c
        d.from.port ^= p->len > 0 && p->bytes[0] >= 20;
    pair_put(pair, p->to, &d, bytes_of(p->bytes, p->len), pair->now + (nanotime)how * 4 * TIME_MS);
}

static inline void pair_free(struct pair *pair)
{
    for (int i = 0; i < 2; i++)
        peer_simrtc.destroy(pair->ends[i].peer);
    while (pair->flying > 0)
        free(pair->flight[--pair->flying]);
}

// Each datagram is counted, by what became of it.
static inline void pair_check_counts(const struct pair *pair)
{
    for (int i = 0; i < 2; i++) {
        static struct peer_stats stats;
        uint64_t all = 0;
        peer_simrtc.stats(pair->ends[i].peer, &stats);
        for (unsigned drop = 0; drop < PEER_DROPS; drop++) {
            assert(stats.drops[drop] == pair->ends[i].drops[drop]);
            all += stats.drops[drop];
        }
        assert(stats.datagrams_received == all);
    }
}

// Both are connected, all is counted, and nothing was sent without consent.
static inline void pair_check_connected(const struct pair *pair)
{
    pair_check_counts(pair);
    for (int i = 0; i < 2; i++) {
        static struct peer_stats stats;
        peer_simrtc.stats(pair->ends[i].peer, &stats);
        if (stats.state != PEER_CONNECTED) {
            fprintf(stderr, "%d: %s, ice %s %s, dtls %s %s, %s\n", i, peer_state_name(stats.state),
                    ice_state_name(stats.ice_state), ice_failure_name(stats.ice_failure),
                    dtls_state_name(stats.dtls_state), stats.dtls_failure, stats.error);
            abort();
        }
        assert(stats.sent_without_consent == 0);
        assert(fuzz_peer_check_stats(pair->ends[i].peer, pair->now));
    }
}

#endif
