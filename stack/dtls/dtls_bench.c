// What a handshake, and a whole connect, cost in CPU time: both ends, in memory, no network.
#include "base/arena.h"
#include "base/libenv.h"
#include "stack/dtls/dtls.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 400

struct end {
    struct rng rng;
    struct dtls *dtls;
};

static struct dtls *end_new(struct end *end, unsigned k, enum dtls_role role)
{
    struct dtls_config config = {
        .identity = dtls_identity_pooled(k),
        .role = role,
        .remote = dtls_identity_fingerprint(dtls_identity_pooled(1 - k)),
        .remote_count = 1,
        .mtu = 1200,
        .rng = &end->rng,
    };
    end->rng = rng_seed(1, k ? "b" : "a");
    end->dtls = dtls_new(&config);
    return end->dtls;
}

static void shake(void)
{
    struct end ends[2];
    end_new(&ends[0], 0, DTLS_CLIENT);
    end_new(&ends[1], 1, DTLS_SERVER);
    dtls_start(ends[1].dtls, 0);
    dtls_start(ends[0].dtls, 0);
    bool moved = true;
    while (moved) {
        moved = false;
        for (int i = 0; i < 2; i++) {
            struct dtls_output out;
            while (dtls_poll(ends[i].dtls, 0, &out)) {
                moved = true;
                if (out.kind == DTLS_SEND)
                    dtls_input(ends[1 - i].dtls, 0, out.bytes);
            }
        }
    }
    if (dtls_state(ends[0].dtls) != DTLS_CONNECTED || dtls_state(ends[1].dtls) != DTLS_CONNECTED) {
        fprintf(stderr, "dtls_bench: not connected: %s %s\n", dtls_failure(ends[0].dtls),
                dtls_failure(ends[1].dtls));
        exit(1);
    }
    dtls_free(ends[0].dtls);
    dtls_free(ends[1].dtls);
}

int main(void)
{
    struct err err = {0};
    libenv_reset();
    if (!dtls_library_init(&err)) {
        fprintf(stderr, "dtls_bench: %s\n", err.text);
        return 2;
    }
    for (int i = 0; i < 20; i++)
        shake();
    nanotime start = clock_cpu();
    for (int i = 0; i < ROUNDS; i++)
        shake();
    printf("dtls_handshake_us\t%.1f\tus\n", (double)(clock_cpu() - start) / 1000 / ROUNDS);
    dtls_library_fini();
    return 0;
}
