// A connected pair of peers and a network in the hand of the bytes: datagrams are damaged, dropped,
// repeated, delayed and injected, behind STUN's, DTLS's and TURN's first bytes alike.
//
//   - the session survives, since none of this takes longer than its timeouts;
//   - what is delivered is what was sent, in order, each message once;
//   - nothing is sent without consent, which is over when in the end nothing comes through any
//   more;
//   - the heap stays small.
#include "fuzz/kit/pair.h"

// libFuzzer: -max_len=1000

#define MEMORY_MAX (64u << 20)
#define BAD_MAX (12 * TIME_S)

static struct pair pair;
static uint32_t said[2], heard[2];

static void take(struct pair *b, int i, const struct peer_output *out)
{
    (void)b;
    if (out->kind != PEER_MESSAGE)
        return;
    struct reader r = reader_of(out->bytes);
    uint32_t number = read_u32(&r);
    assert(!r.failed && number == heard[i]);
    assert(out->bytes.len == 4 + number % 50);
    for (size_t k = 0; k < r.len; k++)
        assert(r.at[k] == (uint8_t)(number + k));
    heard[i]++;
}

static void say(int i)
{
    const struct pair_end *end = &pair.ends[i];
    uint8_t message[64];
    put_u32(message, said[i]);
    size_t len = 4 + said[i] % 50;
    for (size_t k = 4; k < len; k++)
        message[k] = (uint8_t)(said[i] + k - 4);
    if (peer_simrtc.send(end->peer, pair.now, (unsigned)end->channel, bytes_of(message, len),
                         false) == SCTP_SENT)
        said[i]++;
    pair_pump(&pair);
}

static void step(void)
{
    unsigned kind = fuzz_choice(&pair.r, 16);
    if (kind < 5)
        say(kind & 1);
    else if (kind < 9)
        pair_inject(&pair);
    else if (kind < 11)
        pair_replay(&pair);
    else if (kind < 15)
        pair_pass(&pair, (nanotime)read_u8(&pair.r) * TIME_MS);
    else
        pair_pass(&pair, (nanotime)read_u8(&pair.r) * 5 * TIME_MS);
}

static void connect(void)
{
    fuzz_peers_begin();
    for (unsigned i = 0; i < 2; i++) {
        const struct peer_config config = fuzz_peer_config(i);
        pair.ends[i] = (struct pair_end){
            .peer = peer_simrtc.create(&config), .addr = config.locals[0], .channel = -1};
        said[i] = heard[i] = 0;
    }
    pair.ends[0].channel = fuzz_peer_open_chat(pair.ends[0].peer);
    peer_simrtc.describe(pair.ends[0].peer, 0, false);
    pair_pass(&pair, 2 * TIME_S);
    assert(pair.ends[1].channel >= 0);
    pair.connected = true;
}

// Both go on talking to a path that is dead.
static void cut(void)
{
    pair.cut = true;
    pair.cut_at = pair.now;
    for (unsigned i = 0; i < 12; i++) {
        say((int)(i & 1));
        pair_pass(&pair, 4 * TIME_S);
    }
    for (int i = 0; i < 2; i++) {
        static struct peer_stats stats;
        peer_simrtc.stats(pair.ends[i].peer, &stats);
        assert(stats.state == PEER_FAILED && stats.ice_failure == ICE_CONSENT_EXPIRED);
        assert(stats.sent_without_consent == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_peers_ready();
    size_t before = fuzz_memory();
    pair = (struct pair){.r = reader_of(bytes_of(data, size)), .take = take};
    connect();
    nanotime started = pair.now;
    for (unsigned i = 0; i < 200 && pair.r.len > 0 && pair.now - started < BAD_MAX; i++)
        step();
    pair.r.len = 0; // from now on the network is good
    pair_pass(&pair, 60 * TIME_S);
    fuzz_memory_check(before, MEMORY_MAX);
    pair_check_connected(&pair);
    assert(heard[0] == said[1] && heard[1] == said[0]);
    cut();
    pair_free(&pair);
    fuzz_peers_end();
    return 0;
}
