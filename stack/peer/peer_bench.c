// What a connection of two peers costs, without a network: each datagram and each signaling message
// arrives a millisecond after it was sent.
#include "base/arena.h"
#include "base/bench.h"
#include "base/libenv.h"
#include "stack/peer/peer.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#define MESSAGES_MAX 256
#define MESSAGE_SIZE 2048

struct message {
    nanotime at;
    int to;
    enum peer_output_kind kind;
    bool answer;
    struct addr from, dest;
    size_t len;
    uint8_t bytes[MESSAGE_SIZE];
};

static struct message messages[MESSAGES_MAX]; // a ring: the delay is the same for all
static unsigned head, tail;
static void *peers[2];
static unsigned datagrams;

static void pump(nanotime now)
{
    for (int i = 0; i < 2; i++) {
        struct peer_output out;
        while (peer_simrtc.poll(peers[i], now, &out)) {
            if (out.kind != PEER_SEND && out.kind != PEER_DESCRIPTION && out.kind != PEER_CANDIDATE)
                continue;
            struct bytes bytes = out.kind == PEER_SEND ? out.datagram.bytes : out.bytes;
            struct message *message = &messages[tail++ % MESSAGES_MAX];
            if (bytes.len > MESSAGE_SIZE || tail - head > MESSAGES_MAX)
                exit(1);
            message->at = now + TIME_MS;
            message->to = 1 - i;
            message->kind = out.kind;
            message->answer = out.answer;
            message->from = out.datagram.from;
            message->dest = out.datagram.to;
            message->len = bytes.len;
            if (bytes.len)
                memcpy(message->bytes, bytes.at, bytes.len);
        }
    }
}

static void deliver(nanotime now)
{
    struct message *message = &messages[head++ % MESSAGES_MAX];
    struct bytes bytes = {message->bytes, message->len};
    struct datagram datagram = {message->from, message->dest, bytes};
    if (message->kind == PEER_SEND) {
        datagrams++;
        peer_simrtc.input(peers[message->to], now, &datagram);
    } else if (message->kind == PEER_DESCRIPTION) {
        peer_simrtc.accept(peers[message->to], now, bytes, message->answer);
    } else {
        peer_simrtc.add_candidate(peers[message->to], now, bytes);
    }
}

static bool both_connected(void)
{
    struct peer_stats stats[2];
    for (int i = 0; i < 2; i++)
        peer_simrtc.stats(peers[i], &stats[i]);
    return stats[0].state == PEER_CONNECTED && stats[1].state == PEER_CONNECTED;
}

static size_t in_use(void)
{
    return mallinfo2().uordblks;
}

// Returns bytes in use by both peers when connected.
static size_t connect_once(uint64_t seed, bool ice_only)
{
    size_t before = in_use();
    libenv_reset();
    if (!ice_only)
        sctp_library_start(0);
    for (int i = 0; i < 2; i++) {
        struct peer_config config = {.name = i ? "bob" : "alice",
                                     .locals = {{ip_v4(10, 0, 0, (uint8_t)(i + 1)), 5000}},
                                     .locals_count = 1,
                                     .trickle = true,
                                     .ice_only = ice_only,
                                     .identity = (unsigned)i,
                                     .rng = rng_seed(seed, i ? "bob" : "alice")};
        peers[i] = peer_simrtc.create(&config);
    }
    nanotime now = 0;
    head = tail = 0;
    peer_simrtc.describe(peers[0], now, false);
    pump(now);
    while (now < 5 * TIME_S) {
        nanotime next = head < tail ? messages[head % MESSAGES_MAX].at : TIME_NEVER;
        bool arrived = next != TIME_NEVER;
        for (int i = 0; i < 2; i++) {
            nanotime wake = peer_simrtc.deadline(peers[i]);
            arrived = arrived && next <= wake;
            next = time_min(next, wake);
        }
        now = time_max(now, next);
        if (arrived)
            deliver(now);
        pump(now);
        if (head == tail && both_connected())
            break;
    }
    if (!both_connected())
        exit(1);
    size_t used = in_use() - before;
    for (int i = 0; i < 2; i++)
        peer_simrtc.destroy(peers[i]);
    if (!ice_only)
        sctp_library_stop();
    return used;
}

struct connects {
    unsigned rounds;
    bool ice_only;
    size_t bytes; // of both peers, when connected
};

// Microseconds of one connect.
static double take(void *user)
{
    struct connects *connects = user;
    datagrams = 0;
    nanotime start = clock_cpu();
    for (unsigned i = 0; i < connects->rounds; i++)
        connects->bytes = connect_once(i, connects->ice_only);
    return (double)(clock_cpu() - start) / 1e3 / connects->rounds;
}

static void bench(const char *name, unsigned rounds, bool ice_only)
{
    struct connects connects = {.rounds = rounds, .ice_only = ice_only};
    printf("%s_us\t%.2f\tus\n", name, bench_median(take, &connects));
    printf("%s_datagrams\t%u\tdatagrams\n", name, datagrams / rounds);
    printf("%s_bytes\t%zu\tbytes a peer\n", name, connects.bytes / 2);
}

int main(void)
{
    static struct err err;
    if (!dtls_library_init(&err))
        return 1;
    bench("peer_ice_connect", 2000, true);
    bench("peer_full_connect", 150, false);
    dtls_library_fini();
    return 0;
}
