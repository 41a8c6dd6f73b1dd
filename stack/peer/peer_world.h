// For the tests of stack/peer: two peers, a wire between them and a TURN server on it, in virtual
// time. A datagram takes `delay` unless `lost` takes it; a signaling message takes `signal_delay`.
#ifndef STACK_PEER_PEER_WORLD_H
#define STACK_PEER_PEER_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/libenv.h"
#include "stack/peer/peer.h"
#include "stack/turn/turn.h"

#include <stdio.h>
#include <stdlib.h>

#define WIRE_MAX 4096
#define SERVER 2 // the third actor
#define ALICE (wire->actor[0].peer)
#define BOB (wire->actor[1].peer)

enum wire_kind { WIRE_DATAGRAM, WIRE_OFFER, WIRE_ANSWER, WIRE_CANDIDATE };
struct wire_event {
    nanotime at;
    uint64_t sequence;
    enum wire_kind kind;
    int to;
    struct addr from, dest;
    size_t len;
    uint8_t *bytes;
};

struct actor {
    void *peer;
    struct addr addr, addr6; // both reach it; which it has, its configuration says
    unsigned sent, candidates_told, ends_told, offers, answers, opened, closed, lows;
    int incoming; // the latest channel that came in, or -1
    unsigned messages;
    size_t message_len;
    char message[64];
    bool message_text;
    struct text described; // the last description
    struct text last_candidate;
    nanotime described_at;
};

struct wire {
    nanotime now, delay;
    nanotime signal_delay[4]; // by kind; of descriptions and candidates
    bool signal_twice;
    bool cut[2]; // nothing from this peer arrives
    bool (*lost)(struct wire *wire, const struct datagram *datagram);
    struct actor actor[2];
    struct turn_server *server;
    struct addr server_addr;
    bool server_dead;
    struct wire_event events[WIRE_MAX];
    unsigned events_count;
    uint64_t sequence, digest;
    struct trace_log log;
};

static inline struct wire_event *wire_add(struct wire *wire, nanotime at, enum wire_kind kind,
                                          int to, struct bytes bytes)
{
    assert_true(wire->events_count < WIRE_MAX);
    struct wire_event *event = &wire->events[wire->events_count++];
    *event = (struct wire_event){.at = at,
                                 .sequence = wire->sequence++,
                                 .kind = kind,
                                 .to = to,
                                 .len = bytes.len,
                                 .bytes = mem_alloc(bytes.len + 1)};
    if (bytes.len)
        memcpy(event->bytes, bytes.at, bytes.len);
    return event;
}

static inline void digest_add(struct wire *wire, const void *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        wire->digest = (wire->digest ^ ((const uint8_t *)at)[i]) * 0x100000001b3u;
}

static inline void wire_send(struct wire *wire, const struct datagram *datagram)
{
    digest_add(wire, &wire->now, sizeof wire->now);
    digest_add(wire, datagram->bytes.at, datagram->bytes.len);
    for (int i = 0; i < 2; i++)
        if (wire->cut[i] && (ip_equal(&datagram->from.ip, &wire->actor[i].addr.ip) ||
                             ip_equal(&datagram->from.ip, &wire->actor[i].addr6.ip)))
            return;
    if (wire->lost && wire->lost(wire, datagram))
        return;
    assert_true(datagram->bytes.len <= 1200); // no fragments, relayed or not
    int to = ip_equal(&datagram->to.ip, &wire->server_addr.ip) ? SERVER : -1;
    for (int i = 0; i < 2; i++)
        if (addr_equal(&datagram->to, &wire->actor[i].addr) ||
            addr_equal(&datagram->to, &wire->actor[i].addr6))
            to = i;
    if (to < 0)
        return;
    struct wire_event *event =
        wire_add(wire, wire->now + wire->delay, WIRE_DATAGRAM, to, datagram->bytes);
    event->from = datagram->from;
    event->dest = datagram->to;
}

static inline void wire_signal(struct wire *wire, int from, enum wire_kind kind, struct bytes bytes)
{
    for (int i = 0; i < (wire->signal_twice ? 2 : 1); i++)
        wire_add(wire, wire->now + wire->signal_delay[kind], kind, 1 - from, bytes);
}

static inline void actor_output(struct wire *wire, int i, const struct peer_output *out)
{
    struct actor *actor = &wire->actor[i];
    switch (out->kind) {
    case PEER_SEND:
        actor->sent++;
        wire_send(wire, &out->datagram);
        break;
    case PEER_DESCRIPTION:
        *(out->answer ? &actor->answers : &actor->offers) += 1;
        actor->described_at = wire->now;
        text_clear(&actor->described);
        text_add(&actor->described, out->bytes);
        wire_signal(wire, i, out->answer ? WIRE_ANSWER : WIRE_OFFER, out->bytes);
        break;
    case PEER_CANDIDATE:
        *(out->bytes.len ? &actor->candidates_told : &actor->ends_told) += 1;
        if (out->bytes.len) {
            text_clear(&actor->last_candidate);
            text_add(&actor->last_candidate, out->bytes);
        }
        wire_signal(wire, i, WIRE_CANDIDATE, out->bytes);
        break;
    case PEER_CHANGED:
        break;
    case PEER_CHANNEL_OPEN:
        actor->opened++;
        if (out->incoming)
            actor->incoming = (int)out->channel;
        break;
    case PEER_MESSAGE:
        actor->messages++;
        actor->message_text = out->text;
        actor->message_len = out->bytes.len;
        bytes_copy_text(out->bytes, actor->message, sizeof actor->message);
        break;
    case PEER_BUFFERED_LOW:
        actor->lows++;
        break;
    case PEER_CHANNEL_CLOSED:
        actor->closed++;
        break;
    case PEER_STREAM_OPEN:
    case PEER_STREAM_SEND:
    case PEER_STREAM_CLOSE:
        break; // no server here is reached by TCP
    case PEER_CLEAR:
    case PEER_FRAME:
    case PEER_DIGIT:
        break;
    }
}

static inline void wire_pump(struct wire *wire)
{
    for (int i = 0; i < 2; i++) {
        struct peer_output out;
        unsigned steps = 0;
        while (peer_simrtc.poll(wire->actor[i].peer, wire->now, &out)) {
            actor_output(wire, i, &out);
            assert_true(++steps < 100000); // poll ends
        }
        // Until then there is nothing to do: a deadline that is past would never let time pass.
        assert_true(peer_simrtc.deadline(wire->actor[i].peer) > wire->now);
    }
    struct turn_server_output out;
    while (turn_server_poll(wire->server, wire->now, &out))
        if (out.kind == TURN_SERVER_SEND && !wire->server_dead)
            wire_send(wire, &out.datagram);
}

static inline void wire_deliver(struct wire *wire, unsigned index)
{
    struct wire_event event = wire->events[index];
    wire->events[index] = wire->events[--wire->events_count];
    struct bytes bytes = {event.bytes, event.len};
    struct datagram datagram = {event.from, event.dest, bytes};
    void *peer = event.to == SERVER ? NULL : wire->actor[event.to].peer;
    if (event.kind == WIRE_CANDIDATE)
        peer_simrtc.add_candidate(peer, wire->now, bytes);
    else if (event.kind != WIRE_DATAGRAM)
        peer_simrtc.accept(peer, wire->now, bytes, event.kind == WIRE_ANSWER);
    else if (peer)
        peer_simrtc.input(peer, wire->now, &datagram);
    else if (!wire->server_dead)
        turn_server_input(wire->server, wire->now, &datagram);
    free(event.bytes);
}

static inline int wire_first(const struct wire *wire)
{
    int first = -1;
    for (unsigned i = 0; i < wire->events_count; i++) {
        const struct wire_event *a = &wire->events[i];
        const struct wire_event *b = first < 0 ? NULL : &wire->events[first];
        if (!b || a->at < b->at || (a->at == b->at && a->sequence < b->sequence))
            first = (int)i;
    }
    return first;
}

static inline void wire_run(struct wire *wire, nanotime until)
{
    wire_pump(wire);
    for (;;) {
        int first = wire_first(wire);
        nanotime at = first < 0 ? TIME_NEVER : wire->events[first].at;
        nanotime wake = turn_server_deadline(wire->server);
        for (int i = 0; i < 2; i++)
            wake = time_min(wake, peer_simrtc.deadline(wire->actor[i].peer));
        if (time_min(at, wake) > until)
            break;
        wire->now = time_max(wire->now, time_min(at, wake));
        if (at <= wake)
            wire_deliver(wire, (unsigned)first);
        wire_pump(wire);
    }
    wire->now = until;
}

static inline struct peer_config wire_config(struct wire *wire, int i, uint64_t seed)
{
    struct peer_config config = {.name = i ? "bob" : "alice",
                                 .locals = {wire->actor[i].addr},
                                 .locals_count = 1,
                                 .trickle = true,
                                 .identity = (unsigned)i,
                                 .rng = rng_seed(seed, i ? "bob" : "alice"),
                                 .trace = trace_of(&wire->log, i ? "bob" : "alice")};
    return config;
}

static inline struct addr wire_addr6(int i)
{
    struct addr addr = {.port = 6000};
    ip_parse(bytes_text(i ? "fd00::2" : "fd00::1"), &addr.ip);
    return addr;
}

static inline void config_add_server(struct peer_config *config, enum peer_server_kind kind)
{
    config->servers[config->servers_count++] =
        (struct peer_server){.kind = kind,
                             .addr = {ip_v4(192, 0, 2, 10), 3478},
                             .username = "user",
                             .password = "secret"};
}

// Alice and bob with these configurations, changed from the usual by `change` (NULL: not at all).
static inline struct wire *wire_new(uint64_t seed,
                                    void (*change)(struct peer_config *config, int i))
{
    static const struct turn_user users[] = {{"user", "secret"}};
    struct wire *wire = mem_zero(1, sizeof *wire);
    libenv_reset();
    sctp_library_start(0);
    wire->delay = 10 * TIME_MS;
    wire->log.live_fd = -1;
    for (int i = 0; i < 4; i++)
        wire->signal_delay[i] = 20 * TIME_MS;
    wire->server_addr = (struct addr){ip_v4(192, 0, 2, 10), 3478};
    struct turn_server_config server = {.listen = wire->server_addr,
                                        .relay_ip = wire->server_addr.ip,
                                        .realm = "example",
                                        .users = users,
                                        .users_count = 1,
                                        .rng = rng_seed(seed, "server"),
                                        .trace = trace_of(&wire->log, "server")};
    wire->server = turn_server_new(&server);
    for (int i = 0; i < 2; i++) {
        wire->actor[i].addr = (struct addr){ip_v4(10, 0, 0, (uint8_t)(i + 1)), 5000};
        wire->actor[i].addr6 = wire_addr6(i);
        wire->actor[i].incoming = -1;
    }
    for (int i = 0; i < 2; i++) {
        struct peer_config config = wire_config(wire, i, seed);
        if (change)
            change(&config, i);
        wire->actor[i].peer = peer_simrtc.create(&config);
    }
    return wire;
}

static inline struct media_track_stats wire_track_stats(struct wire *wire, int i, unsigned track)
{
    struct media_track_stats stats;
    peer_simrtc.track_stats(wire->actor[i].peer, wire->now, track, &stats);
    return stats;
}

static inline struct peer_stats wire_stats(struct wire *wire, int i)
{
    struct peer_stats stats;
    peer_simrtc.stats(wire->actor[i].peer, &stats);
    return stats;
}

static inline void wire_free(struct wire *wire)
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wire_stats(wire, i).sent_without_consent, 0);
        peer_simrtc.destroy(wire->actor[i].peer);
        text_free(&wire->actor[i].described);
        text_free(&wire->actor[i].last_candidate);
    }
    turn_server_free(wire->server);
    for (unsigned i = 0; i < wire->events_count; i++)
        free(wire->events[i].bytes);
    text_free(&wire->log.text);
    free(wire);
    sctp_library_stop();
    assert_int_equal(libenv_orphan_draws(), 0);
}

static inline bool wire_log_has(struct wire *wire, const char *words)
{
    return wire->log.text.at && strstr(wire->log.text.at, words) != NULL;
}

static inline int wire_open(struct wire *wire, int i, const char *name)
{
    struct channel_config config = {
        .label = bytes_text(name), .priority = 256, .id = CHANNEL_ID_AUTO};
    return peer_simrtc.channel_open(wire->actor[i].peer, wire->now, &config);
}

static inline void wire_message(struct wire *wire, int i, int channel, const char *message)
{
    enum sctp_send_result sent = peer_simrtc.send(wire->actor[i].peer, wire->now, (unsigned)channel,
                                                  bytes_text(message), true);
    assert_int_equal(sent, SCTP_SENT);
    wire_pump(wire);
}

static inline void wire_print_on(struct wire *wire, bool failed)
{
    if (failed && wire->log.text.at)
        fputs(wire->log.text.at, stderr);
}

// Both ends are through: ICE, DTLS, SCTP, a channel from alice to bob and a message each way.
static inline void check_connected(struct wire *wire, int channel)
{
    for (int i = 0; i < 2; i++) {
        struct peer_stats stats = wire_stats(wire, i);
        wire_print_on(wire, stats.state != PEER_CONNECTED);
        assert_int_equal(stats.state, PEER_CONNECTED);
        assert_int_equal(stats.signaling, PEER_STABLE);
        assert_int_equal(stats.dtls_state, DTLS_CONNECTED);
        assert_int_equal(stats.sctp_state, SCTP_CONNECTED);
        assert_true(stats.has_selected && stats.selected.nominated);
    }
    unsigned before[2] = {wire->actor[0].messages, wire->actor[1].messages};
    assert_true(wire->actor[1].incoming >= 0);
    wire_message(wire, 0, channel, "hello bob");
    wire_message(wire, 1, wire->actor[1].incoming, "hello alice");
    wire_run(wire, wire->now + TIME_S);
    assert_int_equal(wire->actor[0].messages, before[0] + 1);
    assert_int_equal(wire->actor[1].messages, before[1] + 1);
    assert_string_equal(wire->actor[0].message, "hello alice");
    assert_string_equal(wire->actor[1].message, "hello bob");
}

// -------------------------------------------------------- what more than one test program needs

static inline void wire_offer(struct wire *wire)
{
    peer_simrtc.describe(ALICE, wire->now, false);
}

// Both ways. Returns its number.
static inline unsigned wire_track_add(struct wire *wire, int i, bool video)
{
    struct media_track_config config = {.label = video ? "video" : "audio",
                                        .kind = video ? MEDIA_VIDEO : MEDIA_AUDIO,
                                        .send = true,
                                        .receive = true,
                                        .codecs = {video ? "VP8" : "opus"},
                                        .codecs_count = 1,
                                        .stop_at = TIME_NEVER,
                                        .bitrate = video ? 300000 : 32000,
                                        .fps = 25,
                                        .width = 320,
                                        .height = 180,
                                        .frame_time = 20 * TIME_MS,
                                        .nack = video,
                                        .rtx = video,
                                        .pli = video};
    int track = peer_simrtc.track_add(wire->actor[i].peer, &config);
    assert_true(track >= 0);
    return (unsigned)track;
}

static inline bool wire_accept(struct wire *wire, int i, const char *text, bool answer)
{
    return peer_simrtc.accept(wire->actor[i].peer, wire->now, bytes_text(text), answer);
}

static inline void no_trickle(struct peer_config *config, int i)
{
    (void)i;
    config->trickle = false;
}

static inline void relay_only(struct peer_config *config, int i)
{
    config->relay_only = true;
    config->turn_channels = i == 1; // indications one way, channels the other
    config_add_server(config, PEER_TURN);
}

static inline void all_kinds(struct peer_config *config, int i)
{
    (void)i;
    config_add_server(config, PEER_STUN);
    config_add_server(config, PEER_TURN);
}

static inline int peer_tests_setup(void **state)
{
    (void)state;
    static struct err err;
    return dtls_library_init(&err) ? 0 : -1;
}

static inline int peer_tests_teardown(void **state)
{
    (void)state;
    secure_library_fini();
    dtls_library_fini();
    return 0;
}

#endif
