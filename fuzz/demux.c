// Any datagrams at a peer's socket, as RFC 7983 tells protocols apart. A table of the first bytes
// is the model; the bytes choose who sends, to which state of the peer.
//
//   - each datagram has one outcome, that of its first byte; every one is counted once;
//   - what comes from nobody that the peer asked, and is not signed, changes no state;
//   - a firewall that looks for STUN or DTLS sees what the peer sees;
//   - the heap stays small.
#include "fuzz/kit/peers.h"
#include "simnet/firewall.h"

// libFuzzer: -max_len=3000

#define MEMORY_MAX (16u << 20)
#define DATAGRAMS_MAX 64

enum kind { KIND_STUN, KIND_DTLS, KIND_CHANNEL, KIND_MEDIA, KIND_NONE };

struct bench {
    nanotime now;
    void *peers[2]; // the second is there to make descriptions alone
    struct addr local, stun, turn, other;
    unsigned given;
};

// RFC 7983 7, figure 3.
static enum kind kind_of(struct bytes datagram)
{
    static const struct {
        uint8_t first, last;
        enum kind kind;
    } ranges[] = {
        {0, 3, KIND_STUN}, {20, 63, KIND_DTLS}, {64, 79, KIND_CHANNEL}, {128, 191, KIND_MEDIA}};
    for (unsigned i = 0; datagram.len > 0 && i < 4; i++)
        if (datagram.at[0] >= ranges[i].first && datagram.at[0] <= ranges[i].last)
            return ranges[i].kind;
    return KIND_NONE;
}

static void drain(struct bench *b)
{
    struct peer_output out;
    for (unsigned outputs = 0; peer_simrtc.poll(b->peers[0], b->now, &out); outputs++) {
        assert(outputs < 1000);
        assert(out.kind != PEER_MESSAGE && out.kind != PEER_CHANNEL_OPEN);
        // Nobody answers, so nothing but STUN may be sent.
        assert(out.kind != PEER_SEND || kind_of(out.datagram.bytes) == KIND_STUN);
    }
    assert(peer_simrtc.deadline(b->peers[0]) > b->now);
}

static void check_firewall(const struct bench *b, const struct datagram *d)
{
    for (unsigned i = 0; i < 2; i++) {
        struct firewall_config config = {.allow_out = true, .allow_in = true, .rules_count = 1};
        config.rules[0] = (struct firewall_rule){.direction = FIREWALL_BOTH,
                                                 .action = FIREWALL_DENY,
                                                 .payload = i ? FIREWALL_DTLS : FIREWALL_STUN};
        struct firewall *firewall = firewall_new(&config);
        bool refused = firewall_check(firewall, b->now, FIREWALL_IN, 17, &d->to, &d->from,
                                      d->bytes) == FIREWALL_REFUSED;
        assert(refused == (kind_of(d->bytes) == (i ? KIND_DTLS : KIND_STUN)));
        firewall_free(firewall);
    }
}

static unsigned sum(const struct peer_stats *stats)
{
    unsigned all = 0;
    for (unsigned i = 0; i < PEER_DROPS; i++)
        all += stats->drops[i];
    return all;
}

// What nobody could have said that the peer listens to.
static void check_unchanged(const struct peer_stats *before, const struct peer_stats *after)
{
    assert(before->state == after->state && before->ice_state == after->ice_state);
    assert(before->dtls_state == after->dtls_state && before->sctp_state == after->sctp_state);
    assert(before->signaling == after->signaling && before->has_selected == after->has_selected);
    assert(before->remote_candidates == after->remote_candidates);
}

static void give(struct bench *b, const struct datagram *d)
{
    static struct peer_stats before, after;
    peer_simrtc.stats(b->peers[0], &before);
    enum peer_drop drop = peer_simrtc.input(b->peers[0], b->now, d);
    peer_simrtc.stats(b->peers[0], &after);
    b->given++;
    assert(after.datagrams_received == b->given &&
           sum(&after) >= sum(&before) + (drop != PEER_KEPT));
    bool server = addr_equal(&d->from, &b->turn) || addr_equal(&d->from, &b->stun);
    switch (kind_of(d->bytes)) {
    case KIND_STUN:
        assert(drop == PEER_KEPT || drop == PEER_REFUSED);
        // Gathering takes what answers it, ICE all else.
        assert(after.stun_received - before.stun_received <= 1);
        assert(server || after.stun_received == before.stun_received + 1);
        break;
    case KIND_DTLS: // before ICE has validated an address there is nobody to speak with
        assert(drop == PEER_TOO_EARLY || drop == PEER_UNAUTHENTICATED ||
               (server && drop == PEER_REFUSED));
        break;
    case KIND_CHANNEL:
        assert(drop == PEER_UNKNOWN_PROTOCOL || (server && drop == PEER_REFUSED));
        break;
    case KIND_MEDIA: // there are no keys
    case KIND_NONE:
        assert(drop != PEER_KEPT && drop < PEER_DROPS);
        break;
    }
    if (kind_of(d->bytes) != KIND_STUN)
        assert(after.stun_received == before.stun_received);
    check_unchanged(&before, &after);
    drain(b);
}

static void step(struct bench *b, struct reader *r)
{
    unsigned how = read_u8(r);
    struct datagram d = {b->other, b->local, {0}};
    if (how % 8 == 0)
        d.from = b->stun;
    else if (how % 8 < 3)
        d.from = b->turn;
    else if (how % 8 == 3)
        d.from.ip = ip_v4(203, 0, 113, 9);
    // Two bytes of length, so that a datagram of any size stands in a corpus.
    size_t len = read_u16(r);
    d.bytes = read_bytes(r, len < r->len ? len : r->len);
    check_firewall(b, &d);
    give(b, &d);
    if (how & 0x80)
        b->now = time_min(peer_simrtc.deadline(b->peers[0]), b->now + 5 * TIME_S);
    drain(b);
}

// From the second peer to the first: an offer, so that there is ICE to speak with, and DTLS.
static void describe(struct bench *b)
{
    struct peer_output out;
    peer_simrtc.describe(b->peers[1], 0, false);
    for (unsigned outputs = 0; peer_simrtc.poll(b->peers[1], 0, &out); outputs++) {
        assert(outputs < 100);
        if (out.kind == PEER_DESCRIPTION)
            assert(peer_simrtc.accept(b->peers[0], 0, out.bytes, false));
        else if (out.kind == PEER_CANDIDATE)
            peer_simrtc.add_candidate(b->peers[0], 0, out.bytes);
    }
}

static void setup(struct bench *b, unsigned flags)
{
    struct peer_config config = fuzz_peer_config(0), second = fuzz_peer_config(1);
    b->local = config.locals[0];
    b->other = second.locals[0];
    b->stun = (struct addr){ip_v4(192, 0, 2, 1), 3478};
    b->turn = (struct addr){ip_v4(192, 0, 2, 2), 3478};
    if (flags & 1) {
        config.servers[0] = (struct peer_server){.kind = PEER_STUN, .addr = b->stun};
        config.servers[1] = (struct peer_server){
            .kind = PEER_TURN, .addr = b->turn, .username = "user", .password = "secret"};
        config.servers_count = 2;
    }
    config.ice_lite = flags & 2 && !(flags & 1);
    b->peers[0] = peer_simrtc.create(&config);
    b->peers[1] = peer_simrtc.create(&second);
    fuzz_peer_open_chat(b->peers[1]);
    if (flags & 4)
        describe(b);
    else if (flags & 8)
        peer_simrtc.describe(b->peers[0], 0, false);
    drain(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_peers_ready();
    size_t before = fuzz_memory();
    struct bench bench = {0};
    struct reader r = reader_of(bytes_of(data, size));
    fuzz_peers_begin();
    setup(&bench, read_u8(&r));
    for (unsigned i = 0; i < DATAGRAMS_MAX && r.len > 0; i++)
        step(&bench, &r);
    fuzz_memory_check(before, MEMORY_MAX);
    for (unsigned i = 0; i < 2; i++)
        peer_simrtc.destroy(bench.peers[i]);
    fuzz_peers_end();
    return 0;
}
