// What one ICE connect costs: two agents, made, joined in memory at no cost, nominated, freed.
#include "base/arena.h"
#include "base/bench.h"
#include "stack/ice/ice.h"

#include <assert.h>
#include <stdio.h>

#define CONNECTS 4000

static struct ice_agent *agent_make(enum ice_role role, uint64_t seed)
{
    struct ice_config config = {.role = role, .rng = rng_seed(seed, "bench")};
    return ice_agent_new(&config);
}

// All that one agent has to say now, straight into the other.
static bool pump(struct ice_agent *from, struct ice_agent *to, nanotime now)
{
    struct ice_output out;
    bool any = false;
    while (ice_agent_poll(from, now, &out)) {
        if (out.kind == ICE_SEND)
            ice_agent_input(to, now, &out.send);
        any = true;
    }
    return any;
}

static void connect_once(uint64_t seed)
{
    struct ice_agent *agents[2] = {agent_make(ICE_CONTROLLING, seed),
                                   agent_make(ICE_CONTROLLED, seed + 1)};
    struct ice_candidate hosts[2] = {
        {.type = ICE_HOST, .addr = {ip_v4(192, 0, 2, 1), 1000}, .component = 1},
        {.type = ICE_HOST, .addr = {ip_v4(192, 0, 2, 2), 2000}, .component = 1},
    };
    nanotime now = 0;
    for (int i = 0; i < 2; i++) {
        const struct ice_candidate *added = ice_agent_add_local(agents[i], now, &hosts[i]);
        ice_agent_add_remote(agents[!i], now, added);
        ice_agent_local_done(agents[i], now);
        ice_agent_remote_done(agents[!i], now);
        const struct ice_credentials *own = ice_agent_credentials(agents[i]);
        ice_agent_set_remote(agents[!i], now, bytes_text(own->ufrag), bytes_text(own->pwd), false);
    }
    while (ice_agent_state(agents[0]) != ICE_COMPLETED ||
           ice_agent_state(agents[1]) != ICE_COMPLETED) {
        bool busy = true;
        while (busy) {
            busy = pump(agents[0], agents[1], now);
            busy |= pump(agents[1], agents[0], now);
        }
        now = time_min(ice_agent_deadline(agents[0]), ice_agent_deadline(agents[1]));
        assert(now < 10 * TIME_S); // a consent check after the end at most
    }
    ice_agent_free(agents[0]);
    ice_agent_free(agents[1]);
}

// Microseconds of one connect.
static double take(void *user)
{
    uint64_t *seed = user;
    nanotime start = clock_cpu();
    for (int i = 0; i < CONNECTS; i++)
        connect_once((*seed)++);
    return (double)(clock_cpu() - start) / 1e3 / CONNECTS;
}

int main(void)
{
    uint64_t seed = 0;
    printf("ice_connect_agents_us\t%.2f\tus\n", bench_median(take, &seed));
    return 0;
}
