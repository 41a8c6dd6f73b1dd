// Any lines as the words of an adapter (scenarios/adapters/README.md), in one piece and in pieces.
//
//   - how the bytes were cut changes nothing: the same outputs, statistics and failure;
//   - what failed stays failed, says why in one line and has no more outputs; a channel has
//   messages
//     when the bench has opened it, or when it has come in, and opens and closes in turn;
//   - statistics, the content of messages and the config of `init` are written, read and the same,
//     value by value;
//   - the heap stays small.
#include "fuzz/fuzz.h"
#include "scenarios/runner/live/live_adapter.h"
#include "scenarios/runner/live/live_config.h"
#include "scenarios/runner/live/live_json.h"
#include "scenarios/runner/live/live_stats.h"

// libFuzzer: -max_len=4096

#define MEMORY_MAX (64u << 20)
#define CHANNELS 65536 // more than the bytes can name in their lines
#define CHAT 0         // the bench's own

// What came of the bytes, as text that can be compared.
struct ending {
    struct text outputs;
    struct peer_stats stats;
};

static struct {
    bool known, open;
} channels[CHANNELS];

static void take(struct ending *ending, const struct peer_output *out)
{
    text_printf(&ending->outputs, "%d %u %d%d%d %zu:", (int)out->kind, out->channel, out->answer,
                out->incoming, out->text, out->bytes.len);
    text_add(&ending->outputs, out->bytes);
    text_put(&ending->outputs, "\n");
}

static void check_channel(const struct peer_output *out)
{
    if (out->kind != PEER_MESSAGE && out->kind != PEER_CHANNEL_OPEN &&
        out->kind != PEER_CHANNEL_CLOSED)
        return;
    unsigned c = out->channel;
    assert(c < CHANNELS);
    if (out->kind == PEER_CHANNEL_OPEN) {
        assert(!channels[c].open && out->incoming == (c % 2 == 1));
        assert(out->incoming ? !channels[c].known : c == CHAT);
        channels[c].known = channels[c].open = true;
    } else if (out->kind == PEER_CHANNEL_CLOSED) {
        assert(channels[c].open);
        channels[c].open = false;
    } else {
        assert(channels[c].known || c == CHAT);
    }
}

static void drain(void *peer, struct ending *ending, nanotime now)
{
    struct peer_output out;
    while (peer_adapter.poll(peer, now, &out)) {
        assert(out.kind != PEER_SEND);
        check_channel(&out);
        if (out.kind != PEER_CHANGED) // how many there are is no promise
            take(ending, &out);
    }
}

static void check_failure(const void *peer, bool fed)
{
    bool unsupported;
    const char *why = live_adapter_failure(peer, &unsupported);
    assert(fed == !why);
    assert(!why || why[0] != 0);
}

// `cuts`: 0 for one piece; else the pieces that a stream of chance says.
static struct ending speak(struct bytes lines, unsigned cuts)
{
    struct ending ending = {0};
    const struct peer_config config = {.name = "bob", .trickle = true};
    const struct channel_config chat = {.label = bytes_text("chat"), .id = CHANNEL_ID_AUTO};
    struct rng rng = rng_seed(cuts, "cuts");
    void *peer = peer_adapter.create(&config);
    live_adapter_init(peer, false, false);
    live_adapter_start(peer, 1);
    assert(peer_adapter.channel_open(peer, 0, &chat) == CHAT);
    memset(channels, 0, sizeof channels);
    bool failed = false;
    while (lines.len > 0) {
        size_t len = cuts ? 1 + rng_below(&rng, lines.len < 40 ? lines.len : 40) : lines.len;
        bool fed = live_adapter_feed(peer, 0, bytes_of(lines.at, len));
        assert(!failed || !fed);
        check_failure(peer, fed);
        lines = bytes_from(lines, len);
        size_t before = ending.outputs.len;
        drain(peer, &ending, 0);
        assert(!failed || ending.outputs.len == before);
        failed = !fed;
    }
    peer_adapter.stats(peer, &ending.stats);
    // What it is told in turn is lines of JSON, whatever it said.
    struct bytes told = text_bytes(live_adapter_outgoing(peer));
    for (const uint8_t *end; told.len > 0; told = bytes_from(told, (size_t)(end - told.at) + 1)) {
        end = memchr(told.at, '\n', told.len);
        assert(end);
        json_t *line = live_json_line(bytes_of(told.at, (size_t)(end - told.at)));
        assert(live_json_text(line, "do"));
        json_decref(line);
    }
    bool unsupported;
    const char *why = live_adapter_failure(peer, &unsupported);
    text_printf(&ending.outputs, "%s\n%s", why ? why : "no failure", ending.stats.error);
    ending.stats.error = ""; // the peer's
    peer_adapter.destroy(peer);
    return ending;
}

static char *stats_text(const struct peer_stats *stats)
{
    json_t *object = json_object();
    live_stats_encode(object, stats);
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(object);
    return text;
}

static struct peer_stats stats_of(const char *text)
{
    struct peer_stats stats = live_stats_none();
    json_t *object = live_json_line(bytes_text(text));
    live_stats_decode(object, &stats);
    json_decref(object);
    return stats;
}

static void check_same(const struct peer_stats *a, const struct peer_stats *b)
{
#define SAME(member) assert(a->member == b->member)
    SAME(state), SAME(signaling), SAME(gathering), SAME(ice_state), SAME(ice_failure);
    SAME(ice_role), SAME(dtls_state), SAME(dtls_role), SAME(sctp_state), SAME(has_selected);
    SAME(dtls.datagrams_sent), SAME(dtls.datagrams_received), SAME(dtls.timeouts);
    SAME(sctp.packets_sent), SAME(sctp.retransmissions), SAME(sctp.messages_abandoned);
    SAME(dtls.connected_at), SAME(sctp.connected_at), SAME(ice_connected_at), SAME(connected_at);
    SAME(failed_at), SAME(disconnected_at), SAME(gathered_at), SAME(restarts), SAME(rollbacks);
    SAME(channels_open), SAME(channels_opened), SAME(channels_closed);
    SAME(datagrams_sent), SAME(datagrams_received), SAME(stun_sent), SAME(stun_received);
    SAME(dtls_sent), SAME(dtls_received), SAME(media_sent), SAME(media_received);
    SAME(bytes_sent), SAME(bytes_received), SAME(sent_without_consent), SAME(turn_allocations);
    SAME(turn_refreshes), SAME(turn_permissions), SAME(turn_error), SAME(selected.nominated);
    for (unsigned i = 0; i < PEER_DROPS; i++)
        assert(i == PEER_KEPT || a->drops[i] == b->drops[i]);
    for (unsigned i = ICE_HOST; i <= ICE_RELAY; i++)
        SAME(candidates[i]);
    if (!a->has_selected)
        return;
    SAME(selected.local.type), SAME(selected.remote.type);
    assert(addr_equal(&a->selected.local.addr, &b->selected.local.addr));
    assert(addr_equal(&a->selected.remote.addr, &b->selected.remote.addr));
#undef SAME
}

// Written and read twice, it is the same; at first, text that was cut inside a letter is left out.
static void check_stats(const struct peer_stats *stats)
{
    char *first = stats_text(stats);
    struct peer_stats once = stats_of(first);
    check_same(stats, &once);
    char *second = stats_text(&once);
    struct peer_stats twice = stats_of(second);
    char *third = stats_text(&twice);
    if (strcmp(second, third) != 0) {
        fprintf(stderr, "%s\n%s\n", second, third);
        abort();
    }
    free(first);
    free(second);
    free(third);
}

static unsigned pads(const char *base64)
{
    size_t len = strlen(base64);
    unsigned count = 0;
    while (count < 2 && count < len && base64[len - 1 - count] == '=')
        count++;
    return count;
}

// As many bytes as the padding says: RFC 4648 4.
static void check_padding(const json_t *from, const json_t *made)
{
    const char *one = live_json_text(from, "data"), *two = live_json_text(made, "data");
    if (one && two &&
        strspn(one, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                    "0123456789+/") +
                pads(one) ==
            strlen(one))
        assert(pads(one) == pads(two));
}

static void check_content(const json_t *object)
{
    struct text once = {0}, twice = {0};
    bool text, again;
    if (live_json_content_get(object, &once, &text)) {
        json_t *made = json_object();
        live_json_content_set(made, text_bytes(&once), text);
        if (!text)
            check_padding(object, made);
        assert(live_json_content_get(made, &twice, &again) && again == text);
        assert(bytes_equal(text_bytes(&once), text_bytes(&twice)));
        json_decref(made);
    }
    text_free(&once);
    text_free(&twice);
}

static bool is_same_text(const char *a, const char *b)
{
    return !a == !b && (!a || strcmp(a, b) == 0);
}

static void check_same_config(const struct peer_config *a, const struct peer_config *b)
{
#define SAME(member) assert(a->member == b->member)
    SAME(servers_count), SAME(locals_count), SAME(trickle), SAME(relay_only), SAME(ice_lite);
    SAME(ice_only), SAME(force_role), SAME(role), SAME(tiebreaker), SAME(setup), SAME(identity);
    SAME(wrong_fingerprint), SAME(mtu), SAME(sctp_port), SAME(max_message_size), SAME(take_media);
    SAME(srtp_profiles), SAME(media_control), SAME(media_start_bps), SAME(media_min_bps);
    SAME(media_max_bps), SAME(media_clock_ppb), SAME(ice_ta), SAME(consent_interval);
    SAME(consent_timeout), SAME(nomination_wait), SAME(patience), SAME(gather_timeout);
    SAME(turn_lifetime_s), SAME(turn_channels), SAME(polite);
    for (size_t i = 0; i < sizeof a->rng.s / sizeof a->rng.s[0]; i++)
        SAME(rng.s[i]);
    for (unsigned i = 0; i < a->locals_count; i++)
        assert(addr_equal(&a->locals[i], &b->locals[i]));
    for (unsigned i = 0; i < a->servers_count; i++) {
        SAME(servers[i].kind);
        assert(addr_equal(&a->servers[i].addr, &b->servers[i].addr));
        if (a->servers[i].kind == PEER_STUN)
            continue;
        SAME(servers[i].transport);
        assert(is_same_text(a->servers[i].username, b->servers[i].username));
        assert(is_same_text(a->servers[i].password, b->servers[i].password));
    }
    assert(is_same_text(a->name, b->name));
#undef SAME
}

static uint32_t draw(struct rng *rng, uint32_t limit)
{
    return (uint32_t)rng_below(rng, limit);
}

// What no line said first: then what is not read is missed, too.
static void check_drawn_config(struct rng *rng)
{
    const struct addr addr = {ip_v4(192, 0, 2, (uint8_t)draw(rng, 256)), 3478};
    struct peer_config config = {.name = "carol",
                                 .locals = {addr},
                                 .locals_count = 1,
                                 .relay_only = draw(rng, 2),
                                 .ice_lite = draw(rng, 2),
                                 .ice_only = draw(rng, 2),
                                 .trickle = draw(rng, 2),
                                 .force_role = draw(rng, 2),
                                 .role = draw(rng, 2) ? ICE_CONTROLLING : ICE_CONTROLLED,
                                 .tiebreaker = rng_u64(rng),
                                 .setup = (enum peer_dtls_setup)draw(rng, 3),
                                 .identity = draw(rng, DTLS_IDENTITIES),
                                 .wrong_fingerprint = draw(rng, 2),
                                 .mtu = draw(rng, 2000),
                                 .sctp_port = (uint16_t)draw(rng, 65536),
                                 .max_message_size = rng_u64(rng) >> 1,
                                 .take_media = draw(rng, 2),
                                 .srtp_profiles = draw(rng, 8),
                                 .media_control = (enum media_control)draw(rng, MEDIA_CONTROLS),
                                 .media_start_bps = draw(rng, UINT32_MAX),
                                 .media_min_bps = draw(rng, UINT32_MAX),
                                 .media_max_bps = draw(rng, UINT32_MAX),
                                 .media_clock_ppb = (int64_t)draw(rng, 2000) - 1000,
                                 .ice_ta = draw(rng, UINT32_MAX),
                                 .consent_interval = draw(rng, UINT32_MAX),
                                 .consent_timeout = draw(rng, UINT32_MAX),
                                 .nomination_wait = draw(rng, UINT32_MAX),
                                 .patience = draw(rng, UINT32_MAX),
                                 .gather_timeout = draw(rng, UINT32_MAX),
                                 .turn_lifetime_s = draw(rng, UINT32_MAX),
                                 .turn_channels = draw(rng, 2),
                                 .polite = draw(rng, 2),
                                 .rng = *rng},
                       again = {.name = "bob"};
    config.servers[0] = (struct peer_server){.kind = PEER_STUN, .addr = addr};
    config.servers[1] = (struct peer_server){.kind = PEER_TURN,
                                             .addr = addr,
                                             .username = "user",
                                             .password = "word",
                                             .transport = draw(rng, 2) ? PEER_TCP : PEER_UDP};
    config.servers_count = 2;
    json_t *made = json_object();
    live_config_encode(made, &config, true);
    assert(live_config_decode(made, &again));
    check_same_config(&config, &again);
    json_decref(made);
}

static void check_drawn_stats(struct rng *rng)
{
    struct peer_stats stats = live_stats_none();
#define DRAW(member) stats.member = draw(rng, UINT32_MAX)
    stats.state = (enum peer_state)draw(rng, PEER_CLOSED + 1);
    stats.gathering = (enum peer_gathering)draw(rng, PEER_GATHER_COMPLETE + 1);
    stats.ice_state = (enum ice_state)draw(rng, ICE_CLOSED + 1);
    stats.sctp_state = (enum sctp_state)draw(rng, SCTP_CLOSED + 1);
    stats.dtls_state = (enum dtls_state)draw(rng, DTLS_FAILED + 1);
    DRAW(dtls.datagrams_sent), DRAW(dtls.datagrams_received), DRAW(dtls.timeouts);
    DRAW(sctp.packets_sent), DRAW(sctp.retransmissions), DRAW(sctp.messages_abandoned);
    DRAW(dtls.connected_at), DRAW(sctp.connected_at), DRAW(ice_connected_at), DRAW(connected_at);
    DRAW(failed_at), DRAW(disconnected_at), DRAW(gathered_at), DRAW(restarts), DRAW(rollbacks);
    DRAW(channels_open), DRAW(channels_opened), DRAW(channels_closed);
    DRAW(datagrams_sent), DRAW(datagrams_received), DRAW(stun_sent), DRAW(stun_received);
    DRAW(dtls_sent), DRAW(dtls_received), DRAW(media_sent), DRAW(media_received);
    DRAW(bytes_sent), DRAW(bytes_received), DRAW(sent_without_consent), DRAW(turn_allocations);
    DRAW(turn_refreshes), DRAW(turn_permissions), DRAW(turn_error);
    for (unsigned i = PEER_KEPT + 1; i < PEER_DROPS; i++)
        DRAW(drops[i]);
    for (unsigned i = ICE_HOST; i <= ICE_RELAY; i++)
        DRAW(candidates[i]);
#undef DRAW
    check_stats(&stats);
}

static void check_config(const json_t *object)
{
    struct peer_config config = {.name = "bob"}, again = {.name = "bob"};
    live_config_decode(object, &config);
    assert(config.servers_count <= PEER_SERVERS_MAX && config.locals_count <= PEER_LOCALS_MAX);
    for (unsigned i = 0; i < config.servers_count; i++)
        assert(config.servers[i].kind == PEER_STUN ||
               (config.servers[i].username && config.servers[i].password));
    json_t *made = json_object();
    live_config_encode(made, &config, true);
    assert(live_config_decode(made, &again));
    check_same_config(&config, &again);
    json_decref(made);
}

static void check_line(struct bytes line)
{
    json_t *object = live_json_line(line);
    if (!object)
        return;
    check_content(object);
    check_config(object);
    struct peer_stats stats = live_stats_none();
    live_stats_decode(object, &stats);
    check_stats(&stats);
    json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t before = fuzz_memory();
    struct bytes lines = bytes_of(data, size);
    struct ending whole = speak(lines, 0), pieces = speak(lines, (unsigned)size);
    assert(bytes_equal(text_bytes(&whole.outputs), text_bytes(&pieces.outputs)));
    char *one = stats_text(&whole.stats), *two = stats_text(&pieces.stats);
    assert(strcmp(one, two) == 0);
    check_stats(&whole.stats);
    const uint8_t *end = memchr(data, '\n', size);
    check_line(bytes_of(data, end ? (size_t)(end - data) : size));
    if (size % 4 == 0) { // a quarter of all finds it as well
        struct rng rng = rng_seed(data[0] * 256u + size, "drawn");
        check_drawn_config(&rng);
        check_drawn_stats(&rng);
    }
    fuzz_memory_check(before, MEMORY_MAX);
    free(one);
    free(two);
    text_free(&whole.outputs);
    text_free(&pieces.outputs);
    return 0;
}
