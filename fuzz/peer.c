// A connected pair of peers and a network in the hand of the bytes: datagrams are damaged, dropped,
// repeated, delayed and injected, behind STUN's, DTLS's and TURN's first bytes alike.
//
//   - the session survives, since none of this takes longer than its timeouts;
//   - what is delivered is what was sent, in order, each message once;
//   - nothing is sent without consent; the heap stays small.
#include "fuzz/kit/peers.h"

// libFuzzer: -max_len=1000

#define FLIGHT_MAX 1024
#define DATAGRAM_MAX 1300
#define MEMORY_MAX (64u << 20)
#define BAD_MAX (12 * TIME_S)

struct packet {
    nanotime at;
    uint64_t order;
    int to;
    struct addr from, dest;
    size_t len;
    uint8_t bytes[DATAGRAM_MAX];
};

struct end {
    void *peer;
    struct addr addr;
    int channel;
    uint32_t said, heard;
};

struct bench {
    nanotime now;
    struct end ends[2];
    struct packet *flight[FLIGHT_MAX];
    unsigned flying;
    uint64_t order;
    struct reader r;
    bool connected; // from then on the bytes decide
};

static void put(struct bench *b, int to, const struct datagram *d, struct bytes bytes, nanotime at)
{
    if (b->flying == FLIGHT_MAX || bytes.len > DATAGRAM_MAX)
        return;
    struct packet *p = mem_alloc(sizeof *p);
    p->at = at;
    p->order = b->order++;
    p->to = to;
    p->from = d->from;
    p->dest = d->to;
    p->len = bytes.len;
    if (bytes.len)
        memcpy(p->bytes, bytes.at, bytes.len);
    b->flight[b->flying++] = p;
}

static void send(struct bench *b, int from, const struct datagram *d)
{
    unsigned fate = b->connected ? read_u8(&b->r) : 0, what = fate % 16;
    int to = addr_equal(&d->to, &b->ends[1 - from].addr) ? 1 - from : -1;
    nanotime at = b->now + (10 + (nanotime)(fate / 16) * 30) * TIME_MS;
    assert(d->bytes.len <= 1200);
    if (to < 0 || what >= 14)
        return;
    if (what < 11) {
        put(b, to, d, d->bytes, at);
        return;
    }
    // Damaged; and sometimes the true one behind it.
    uint8_t copy[DATAGRAM_MAX];
    memcpy(copy, d->bytes.at, d->bytes.len);
    size_t len = d->bytes.len;
    for (unsigned i = 0; i < what - 10; i++)
        copy[read_u16(&b->r) % len] ^= (uint8_t)(1 << read_u8(&b->r) % 8);
    if (what == 13)
        len = read_u16(&b->r) % (len + 1);
    put(b, to, d, bytes_of(copy, len), at);
    if (fate & 64)
        put(b, to, d, d->bytes, at + TIME_MS);
}

static void take_message(struct end *end, struct bytes bytes)
{
    struct reader r = reader_of(bytes);
    uint32_t number = read_u32(&r);
    assert(!r.failed && number == end->heard);
    assert(bytes.len == 4 + number % 50);
    for (size_t i = 0; i < r.len; i++)
        assert(r.at[i] == (uint8_t)(number + i));
    end->heard++;
}

static void pump(struct bench *b)
{
    for (int i = 0; i < 2; i++) {
        struct end *end = &b->ends[i];
        struct peer_output out;
        unsigned outputs = 0;
        while (peer_simrtc.poll(end->peer, b->now, &out)) {
            outputs++;
            assert(outputs < 100000);
            void *other = b->ends[1 - i].peer;
            if (out.kind == PEER_SEND)
                send(b, i, &out.datagram);
            else if (out.kind == PEER_MESSAGE)
                take_message(end, out.bytes);
            else if (out.kind == PEER_CHANNEL_OPEN && out.incoming)
                end->channel = (int)out.channel;
            else if (out.kind == PEER_DESCRIPTION)
                assert(peer_simrtc.accept(other, b->now, out.bytes, out.answer));
            else if (out.kind == PEER_CANDIDATE)
                peer_simrtc.add_candidate(other, b->now, out.bytes);
        }
    }
    // What one was told may give the other something to do.
    for (int i = 0; i < 2; i++)
        if (peer_simrtc.deadline(b->ends[i].peer) <= b->now) {
            pump(b);
            return;
        }
}

static void pass(struct bench *b, nanotime span)
{
    nanotime until = b->now + span;
    pump(b);
    for (unsigned rounds = 0;; rounds++) {
        assert(rounds < 50000);
        nanotime wake =
            time_min(peer_simrtc.deadline(b->ends[0].peer), peer_simrtc.deadline(b->ends[1].peer));
        int first = -1;
        for (unsigned i = 0; i < b->flying; i++) {
            const struct packet *p = b->flight[i], *q = first < 0 ? NULL : b->flight[first];
            if (!q || p->at < q->at || (p->at == q->at && p->order < q->order))
                first = (int)i;
        }
        nanotime at = first < 0 ? TIME_NEVER : b->flight[first]->at;
        if (time_min(at, wake) > until)
            break;
        b->now = time_max(b->now, time_min(at, wake));
        if (at <= wake) {
            struct packet *p = b->flight[first];
            b->flight[first] = b->flight[--b->flying];
            struct datagram d = {p->from, p->dest, bytes_of(p->bytes, p->len)};
            assert(peer_simrtc.input(b->ends[p->to].peer, b->now, &d) < PEER_DROPS);
            free(p);
        }
        pump(b);
    }
    b->now = until;
}

static void say(struct bench *b, int i)
{
    struct end *end = &b->ends[i];
    uint8_t message[64];
    put_u32(message, end->said);
    size_t len = 4 + end->said % 50;
    for (size_t k = 4; k < len; k++)
        message[k] = (uint8_t)(end->said + k - 4);
    if (peer_simrtc.send(end->peer, b->now, (unsigned)end->channel, bytes_of(message, len),
                         false) == SCTP_SENT)
        end->said++;
    pump(b);
}

// Any bytes, or any behind a first byte of each protocol (RFC 7983 7), from the peer or a stranger.
static void inject(struct bench *b)
{
    static const uint8_t firsts[] = {0, 1, 2, 3, 20, 21, 22, 23, 24, 63, 64, 79, 80, 128, 191, 255};
    unsigned how = read_u8(&b->r);
    int to = how & 1;
    struct bytes body = fuzz_slice(&b->r);
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
        write_u32(&w, read_u16(&b->r));
        write_u16(&w, (uint16_t)body.len);
    }
    write_bytes(&w, body);
    struct datagram d = {b->ends[1 - to].addr, b->ends[to].addr, writer_bytes(&w)};
    if (how & 2)
        d.from.port ^= 1;
    assert(peer_simrtc.input(b->ends[to].peer, b->now, &d) < PEER_DROPS);
    pump(b);
}

static void replay(struct bench *b)
{
    unsigned how = read_u8(&b->r);
    if (b->flying == 0)
        return;
    const struct packet *p = b->flight[how % b->flying];
    struct datagram d = {p->from, p->dest, {0}};
    if (how & 128) // RFC 8445 7.2.5.2.1 lets an answer from elsewhere fail its check: see ice.c
        d.from.port ^= p->len > 0 && p->bytes[0] >= 20;
    put(b, p->to, &d, bytes_of(p->bytes, p->len), b->now + (nanotime)how * 4 * TIME_MS);
}

static void step(struct bench *b)
{
    unsigned kind = fuzz_choice(&b->r, 16);
    if (kind < 5)
        say(b, kind & 1);
    else if (kind < 9)
        inject(b);
    else if (kind < 11)
        replay(b);
    else if (kind < 15)
        pass(b, (nanotime)read_u8(&b->r) * TIME_MS);
    else
        pass(b, (nanotime)read_u8(&b->r) * 5 * TIME_MS);
}

static void connect(struct bench *b)
{
    fuzz_peers_begin();
    for (unsigned i = 0; i < 2; i++) {
        const struct peer_config config = fuzz_peer_config(i);
        b->ends[i] = (struct end){
            .peer = peer_simrtc.create(&config), .addr = config.locals[0], .channel = -1};
    }
    b->ends[0].channel = fuzz_peer_open_chat(b->ends[0].peer);
    peer_simrtc.describe(b->ends[0].peer, 0, false);
    pass(b, 2 * TIME_S);
    assert(b->ends[1].channel >= 0);
    b->connected = true;
}

static void check_alive(struct bench *b)
{
    for (int i = 0; i < 2; i++) {
        static struct peer_stats stats;
        peer_simrtc.stats(b->ends[i].peer, &stats);
        if (stats.state != PEER_CONNECTED) {
            fprintf(stderr, "%d: %s, ice %s %s, dtls %s %s, %s\n", i, peer_state_name(stats.state),
                    ice_state_name(stats.ice_state), ice_failure_name(stats.ice_failure),
                    dtls_state_name(stats.dtls_state), stats.dtls_failure, stats.error);
            abort();
        }
        assert(stats.sent_without_consent == 0);
        assert(b->ends[i].heard == b->ends[1 - i].said);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bench bench;
    fuzz_peers_ready();
    size_t before = fuzz_memory();
    bench = (struct bench){.r = reader_of(bytes_of(data, size))};
    connect(&bench);
    nanotime started = bench.now;
    for (unsigned i = 0; i < 200 && bench.r.len > 0 && bench.now - started < BAD_MAX; i++)
        step(&bench);
    bench.r.len = 0; // from now on the network is good
    pass(&bench, 60 * TIME_S);
    fuzz_memory_check(before, MEMORY_MAX);
    check_alive(&bench);
    for (int i = 0; i < 2; i++)
        peer_simrtc.destroy(bench.ends[i].peer);
    while (bench.flying > 0)
        free(bench.flight[--bench.flying]);
    fuzz_peers_end();
    return 0;
}
