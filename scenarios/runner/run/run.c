// The life of a run and its event loop: the world moves time, everything else reacts.
#include "scenarios/runner/run/run_priv.h"

#include "base/libenv.h"
#include "scenarios/runner/live/live_adapter.h"
#include "scenarios/runner/live/live_run.h"

#include <malloc.h>
#include <stdlib.h>

#define HEAP_KEPT (64 << 20)
#define HEAP_EACH_MAX (8 << 20)

// A worker's next run wants the memory that the one before gave back: it does not go to the system
// and come again page by page.
static void heap_keep(void)
{
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
    (void)mallopt(M_MMAP_THRESHOLD, HEAP_EACH_MAX);
}

bool run_library_init(struct err *err)
{
    heap_keep();
    return libenv_check(err) && dtls_library_init(err);
}

void run_library_fini(void)
{
    secure_library_fini();
    dtls_library_fini();
}

static bool sessions_use_sctp(const struct scenario *scenario)
{
    for (unsigned i = 0; i < scenario->peers_count; i++) {
        if (!scenario->peers[i].config.ice_only)
            return true;
    }
    return false;
}

// Sessions start by time, those of the same time in the order of the file.
static void order_sessions(struct run *run)
{
    const struct scenario *scenario = run->scenario;
    run->session_order =
        arena_alloc(&run->arena, sizeof *run->session_order * (scenario->sessions_count + 1));
    for (unsigned i = 0; i < scenario->sessions_count; i++) {
        unsigned at = i;
        while (at > 0 &&
               scenario->sessions[run->session_order[at - 1]].at > scenario->sessions[i].at) {
            run->session_order[at] = run->session_order[at - 1];
            at--;
        }
        run->session_order[at] = i;
    }
}

struct run *run_new(const struct scenario *scenario, const struct run_options *options)
{
    struct run *run = mem_zero(1, sizeof *run);
    run->scenario = scenario;
    run->options = *options;
    run->seed = options->seed ? options->seed : scenario->seed;
    run->log.live_fd = options->live_fd;
    run->ops = options->real ? &peer_adapter : &peer_simrtc;
    run->uses_sctp = !options->real && sessions_use_sctp(scenario);
    libenv_reset();
    if (run->uses_sctp)
        sctp_library_start(0);
    // What is known of stacks is looked for in the trace.
    bool log = options->log || scenario->limits_count > 0;
    run->trace = trace_of(log ? &run->log : NULL, "run");
    order_sessions(run);
    watch_start(run);
    run->options.capture |= watch_needs_capture(run);
    run_build(run);
    if (options->real)
        live_run_open(run);
    call_stats_begin(run);
    return run;
}

static nanotime own_deadline(const struct run *run)
{
    nanotime at = time_min(timeline_deadline(run), signal_deadline(run));
    at = time_min(at, traffic_deadline(run));
    return time_min(at, watch_deadline(run));
}

// Nothing is left that could change a verdict.
static bool all_decided(const struct run *run)
{
    return run->watches_count > 0 && run->watches_open == 0 && !run->watches_at_end &&
           timeline_deadline(run) == TIME_NEVER && traffic_deadline(run) == TIME_NEVER;
}

void run_dispatch(struct run *run, const struct world_event *event)
{
    if (event->kind != WORLD_WAKE) {
        actor_input(run, event);
    } else if (event->waker == RUN_WAKER) {
        timeline_run_due(run);
        signal_deliver_due(run);
        traffic_run_due(run);
        run->changed = true;
    } else {
        actor_wake(run, event->waker);
    }
}

static bool next_event(struct run *run, struct world_event *event)
{
    if (run->live)
        return live_run_next(run, event);
    return world_next(run->world, run->scenario->limit, event);
}

void run_go(struct run *run)
{
    struct world_event event;
    trace(&run->trace, 0, "scenario \"%s\"%s%s, seed %llu", run->scenario->name,
          run->scenario->cell[0] ? ", " : "", run->scenario->cell, (unsigned long long)run->seed);
    world_wake_at(run->world, RUN_WAKER, 0);
    while (next_event(run, &event)) {
        call_stats_before(run, run_now(run));
        run_dispatch(run, &event);
        watch_look(run);
        if (all_decided(run))
            break;
        world_wake_at(run->world, RUN_WAKER, own_deadline(run));
    }
    if (run->live)
        live_run_settle(run);
    run->ended_at = run_now(run);
    call_stats_end(run);
    invariants_at_end(run);
    watch_end(run);
    trace(&run->trace, run->ended_at, "end");
}

const struct world *run_world(const struct run *run)
{
    return run->world;
}

struct bytes run_log(const struct run *run)
{
    return text_bytes(&run->log.text);
}

// Both ends of an association log the same line: the client's will do.
void run_key_log(const struct run *run, struct text *to)
{
    for (unsigned i = 0; i < run->scenario->peers_count; i++) {
        struct run_peer *peer = &run->peers[i];
        if (peer_stats_now(peer)->dtls_role == DTLS_CLIENT)
            run->ops->key_log(peer->peer, to);
    }
}

void run_free(struct run *run)
{
    run->log.live_fd = -1; // what is taken down is no part of the run
    if (run->live)
        live_run_close(run);
    for (unsigned i = 0; i < run->scenario->peers_count; i++)
        run->ops->destroy(run->peers[i].peer);
    for (unsigned i = 0; i < run->scenario->servers_count; i++)
        turn_server_free(run->servers[i].server);
    if (run->uses_sctp)
        sctp_library_stop();
    signal_free(run);
    traffic_free(run);
    calls_free(run);
    world_free(run->world);
    text_free(&run->log.text);
    arena_free(&run->arena);
    free(run);
}
