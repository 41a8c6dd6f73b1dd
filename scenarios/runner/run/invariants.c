// What holds in every run, whatever its expectations.
#include "scenarios/runner/run/run_priv.h"

#include "base/libenv.h"

#define DATAGRAM_MTU_DEFAULT 1200
// Goodbyes may follow a close: close_notify, ABORT, the Refresh that gives an allocation back and
// its retransmissions (RFC 8489 6.2.1: 39.5 s in all).
#define GOODBYE_SPAN (40 * TIME_S)

const char *invariant_rule(enum invariant invariant)
{
    switch (invariant) {
    case INVARIANT_NONE:
    case INVARIANT_ORPHAN_CHANCE:
    case INVARIANT_UNBOUND_SOURCE:
        return NULL;
    case INVARIANT_DATA_WITHOUT_CONSENT:
        return "RFC 7675 5.1";
    case INVARIANT_OVER_MTU:
        return "RFC 8261 5";
    case INVARIANT_SEND_AFTER_CLOSE:
        return "RFC 9429 4.1.19";
    }
    return NULL;
}

void invariant_break(struct run *run, enum invariant invariant, const char *format, ...)
{
    if (run->broken != INVARIANT_NONE)
        return;
    va_list args;
    va_start(args, format);
    struct text text = {0};
    text_vprintf(&text, format, args);
    va_end(args);
    run->broken = invariant;
    run->broken_at = run_now(run);
    run->broken_text = arena_text(&run->arena, text.at);
    trace(&run->trace, run->broken_at, "invariant broken: %s", run->broken_text);
    text_free(&text);
}

void invariants_at_send(struct run *run, struct run_peer *peer, const struct datagram *datagram)
{
    size_t mtu = peer->scenario->config.mtu;
    if (datagram->bytes.len > (mtu > DATAGRAM_MTU_DEFAULT ? mtu : DATAGRAM_MTU_DEFAULT))
        invariant_break(run, INVARIANT_OVER_MTU, "%s sent %zu bytes, over its path MTU",
                        peer->scenario->name, datagram->bytes.len);
    if (peer->closed && run_now(run) > time_add(peer->closed_at, GOODBYE_SPAN))
        invariant_break(run, INVARIANT_SEND_AFTER_CLOSE, "%s still sends after it was closed",
                        peer->scenario->name);
}

void invariants_at_end(struct run *run)
{
    if (libenv_orphan_draws() > 0)
        invariant_break(run, INVARIANT_ORPHAN_CHANCE,
                        "a library drew randomness %u times outside of every stream",
                        libenv_orphan_draws());
    for (unsigned i = 0; i < run->scenario->peers_count; i++) {
        struct run_peer *peer = &run->peers[i];
        uint64_t without = peer_stats_now(peer)->sent_without_consent;
        if (without > 0)
            invariant_break(run, INVARIANT_DATA_WITHOUT_CONSENT,
                            "%s sent %llu datagrams without consent", peer->scenario->name,
                            (unsigned long long)without);
    }
}
