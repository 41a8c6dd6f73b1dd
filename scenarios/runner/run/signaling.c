// The signaling channel between two peers, outside of the simulated network: each message takes the
// session's delay, and is lost, doubled or overtaken when the scenario asks for it.
#include "scenarios/runner/run/run_priv.h"

#include <stdlib.h>

struct signal_message {
    nanotime at;
    uint64_t sequence;
    unsigned to;
    bool candidate, answer;
    size_t len;
    uint8_t bytes[];
};

static bool before(const struct signal_message *a, const struct signal_message *b)
{
    return a->at < b->at || (a->at == b->at && a->sequence < b->sequence);
}

static void heap_push(struct run *run, struct signal_message *message)
{
    if (run->signals_count == run->signals_max) {
        run->signals_max = run->signals_max ? run->signals_max * 2 : 16;
        run->signals = mem_grow(run->signals, sizeof(void *) * run->signals_max);
    }
    unsigned i = run->signals_count++;
    while (i > 0 && before(message, run->signals[(i - 1) / 2])) {
        run->signals[i] = run->signals[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    run->signals[i] = message;
}

static struct signal_message *heap_pop(struct run *run)
{
    struct signal_message *first = run->signals[0], *last = run->signals[--run->signals_count];
    unsigned i = 0, count = run->signals_count;
    for (;;) {
        unsigned child = 2 * i + 1;
        if (child >= count)
            break;
        if (child + 1 < count && before(run->signals[child + 1], run->signals[child]))
            child++;
        if (!before(run->signals[child], last))
            break;
        run->signals[i] = run->signals[child];
        i = child;
    }
    run->signals[i] = last;
    return first;
}

static void post_one(struct run *run, struct run_peer *from, nanotime at, bool candidate,
                     bool answer, struct bytes bytes)
{
    struct signal_message *message = mem_alloc(sizeof *message + bytes.len);
    *message = (struct signal_message){.at = at,
                                       .sequence = run->signal_sequence++,
                                       .to = from->remote,
                                       .candidate = candidate,
                                       .answer = answer,
                                       .len = bytes.len};
    if (bytes.len)
        memcpy(message->bytes, bytes.at, bytes.len);
    heap_push(run, message);
}

void signal_post(struct run *run, struct run_peer *from, bool candidate, bool answer,
                 struct bytes bytes)
{
    if (from->session == NO_SESSION)
        return;
    static const char *const names[SCENARIO_SIGNALS] = {"offer", "answer", "candidate",
                                                        "end-of-candidates"};
    const struct scenario_session *session = &run->scenario->sessions[from->session];
    const struct scenario_signaling *config = &session->signaling;
    enum scenario_signal kind = !candidate  ? (answer ? SIGNAL_ANSWER : SIGNAL_OFFER)
                                : bytes.len ? SIGNAL_CANDIDATES
                                            : SIGNAL_END;
    const char *what = names[kind];
    if (!candidate) {
        text_clear(&from->descriptions[answer]);
        text_add(&from->descriptions[answer], bytes);
    }
    nanotime now = run_now(run);
    if (config->lose[from->index == session->answerer] & 1u << kind ||
        rng_chance(&from->signal_rng, config->loss)) {
        trace(&from->run->trace, now, "signaling loses the %s of %s", what, from->scenario->name);
        return;
    }
    nanotime at = time_add(now, config->delay);
    if (config->jitter > 0)
        at = time_add(at, (nanotime)rng_below(&from->signal_rng, (uint64_t)config->jitter + 1));
    if (rng_chance(&from->signal_rng, config->reorder)) {
        at = time_add(at, config->reorder_by); // those behind it may overtake
        trace(&from->run->trace, now, "signaling holds back the %s of %s", what,
              from->scenario->name);
    } else {
        at = time_max(at, from->signal_last);
        from->signal_last = at;
    }
    post_one(run, from, at, candidate, answer, bytes);
    if (rng_chance(&from->signal_rng, config->duplicate))
        post_one(run, from, at, candidate, answer, bytes);
}

void signal_deliver_due(struct run *run)
{
    nanotime now = run_now(run);
    while (run->signals_count > 0 && run->signals[0]->at <= now) {
        struct signal_message *message = heap_pop(run);
        struct run_peer *to = &run->peers[message->to];
        struct bytes bytes = {message->bytes, message->len};
        if (!to->closed) {
            bool taken = message->candidate
                             ? run->ops->add_candidate(to->peer, now, bytes)
                             : run->ops->accept(to->peer, now, bytes, message->answer);
            if (!taken) {
                to->stats_fresh = false;
                trace(&run->trace, now, "%s refuses %s: %s", to->scenario->name,
                      message->candidate ? "a candidate"
                      : message->answer  ? "an answer"
                                         : "an offer",
                      peer_stats_now(to)->error);
            }
            peer_pump(run, to);
        }
        free(message);
    }
}

nanotime signal_deadline(const struct run *run)
{
    return run->signals_count ? run->signals[0]->at : TIME_NEVER;
}

void signal_free(struct run *run)
{
    for (unsigned i = 0; i < run->signals_count; i++)
        free(run->signals[i]);
    free(run->signals);
}
