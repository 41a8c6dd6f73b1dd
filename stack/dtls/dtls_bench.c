// What a handshake, and a whole connect, cost in CPU time: both ends, in memory, no network.
#include "base/bench.h"
#include "base/libenv.h"
#include "stack/dtls/dtls.h"
#include "stack/sctp/datachannel.h"

#include <assert.h>
#include <stdio.h>

#define ROUNDS 200
#define PAIRS_MAX 1000

struct end {
    struct rng rng;
    struct dtls *dtls;
    struct channels *channels;
    unsigned messages;
    bool opened;
};

struct pair {
    struct end ends[2];
};

static void pair_new(struct pair *pair)
{
    static uint64_t seed; // one each: equal random streams would choose equal tags
    seed++;
    for (unsigned i = 0; i < 2; i++) {
        struct end *end = &pair->ends[i];
        struct dtls_config config = {
            .identity = dtls_identity_pooled(i),
            .role = i == 0 ? DTLS_CLIENT : DTLS_SERVER,
            .remote = dtls_identity_fingerprint(dtls_identity_pooled(1 - i)),
            .remote_count = 1,
            .mtu = 1200,
            .rng = &end->rng,
        };
        *end = (struct end){.rng = rng_seed(seed, i ? "b" : "a")};
        end->dtls = dtls_new(&config);
    }
}

static void pair_free(struct pair *pair)
{
    for (int i = 0; i < 2; i++) {
        channels_free(pair->ends[i].channels);
        dtls_free(pair->ends[i].dtls);
    }
}

static bool dtls_pump(struct pair *pair, int i)
{
    struct end *end = &pair->ends[i];
    struct dtls_output out;
    bool moved = false;
    while (dtls_poll(end->dtls, 0, &out)) {
        moved = true;
        if (out.kind == DTLS_SEND)
            dtls_input(pair->ends[1 - i].dtls, 0, out.bytes);
        else if (out.kind == DTLS_DATA && end->channels)
            channels_input(end->channels, 0, out.bytes);
    }
    return moved;
}

static bool channels_pump(struct end *end)
{
    struct channels_output out;
    bool moved = false;
    while (end->channels && channels_poll(end->channels, 0, &out)) {
        moved = true;
        if (out.kind == CHANNELS_SEND)
            dtls_send(end->dtls, 0, out.bytes);
        else if (out.kind == CHANNELS_OPENED)
            end->opened = true;
        else if (out.kind == CHANNELS_MESSAGE)
            end->messages++;
    }
    return moved;
}

static void pump(struct pair *pair)
{
    bool moved = true;
    while (moved) {
        moved = false;
        for (int i = 0; i < 2; i++) {
            moved = dtls_pump(pair, i) || moved;
            moved = channels_pump(&pair->ends[i]) || moved;
        }
    }
}

static void handshake(struct pair *pair)
{
    pair_new(pair);
    dtls_start(pair->ends[1].dtls, 0);
    dtls_start(pair->ends[0].dtls, 0);
    pump(pair);
    for (int i = 0; i < 2; i++)
        assert(dtls_state(pair->ends[i].dtls) == DTLS_CONNECTED);
}

// Until each side has a message of the other's.
static void channel(struct pair *pair)
{
    handshake(pair);
    for (int i = 0; i < 2; i++) {
        struct end *end = &pair->ends[i];
        struct sctp_config config = {.local_port = 5000,
                                     .remote_port = 5000,
                                     .mtu = dtls_data_max(end->dtls),
                                     .rng = &end->rng};
        end->channels = channels_new(&config, i == 0);
    }
    struct channel_config chat = {
        .label = bytes_text("chat"), .priority = 256, .id = CHANNEL_ID_AUTO};
    channel_open(pair->ends[0].channels, 0, &chat);
    for (int i = 0; i < 2; i++)
        channels_connect(pair->ends[i].channels, 0);
    pump(pair);
    for (int i = 0; i < 2; i++) {
        assert(pair->ends[i].opened);
        channel_send(pair->ends[i].channels, 0, 0, bytes_text("hello"), true);
    }
    pump(pair);
    for (int i = 0; i < 2; i++)
        assert(pair->ends[i].messages == 1);
}

// Microseconds of one round.
static double take(void *user)
{
    void (*const *round)(struct pair *) = user;
    struct pair pair;
    nanotime start = clock_cpu();
    for (int i = 0; i < ROUNDS; i++) {
        (*round)(&pair);
        pair_free(&pair);
    }
    return (double)(clock_cpu() - start) / 1e3 / ROUNDS;
}

static double each_us(void (*round)(struct pair *))
{
    return bench_median(take, &round);
}

static long resident_kib(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return resident * 4;
}

// Many at once: what one costs when the others are there, in time and in memory.
static void crowd(unsigned pairs)
{
    static struct pair all[PAIRS_MAX];
    long before = resident_kib();
    nanotime start = clock_cpu();
    for (unsigned i = 0; i < pairs; i++)
        channel(&all[i]);
    double us = (double)(clock_cpu() - start) / 1000 / pairs;
    printf("dtls_sctp_channel_among_%u_us\t%.1f\tus\n", 2 * pairs, us);
    printf("dtls_sctp_peer_memory\t%.1f\tKiB\n", (double)(resident_kib() - before) / (2.0 * pairs));
    for (unsigned i = 0; i < pairs; i++)
        pair_free(&all[i]);
}

int main(void)
{
    struct err err = {0};
    libenv_reset();
    if (!dtls_library_init(&err)) {
        fprintf(stderr, "dtls_bench: %s\n", err.text);
        return 2;
    }
    printf("dtls_handshake_us\t%.1f\tus\n", each_us(handshake));
    sctp_library_start(0);
    printf("dtls_sctp_channel_us\t%.1f\tus\n", each_us(channel));
    sctp_library_stop();
    sctp_library_start(0);
    crowd(PAIRS_MAX);
    sctp_library_stop();
    dtls_library_fini();
    return 0;
}
