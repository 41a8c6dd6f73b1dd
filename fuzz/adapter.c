// Any lines as the words of an adapter (scenarios/adapters/README.md), in one piece and in pieces.
//
//   - how the bytes were cut changes nothing: the same outputs, statistics and failure;
//   - what failed stays failed, and says why in one line; a channel is open before it has messages;
//   - statistics, the content of messages and the config of `init` are written, read and the same;
//   - the heap stays small.
#include "fuzz/fuzz.h"
#include "scenarios/runner/live/live_adapter.h"
#include "scenarios/runner/live/live_config.h"
#include "scenarios/runner/live/live_json.h"
#include "scenarios/runner/live/live_stats.h"

// libFuzzer: -max_len=4096

#define MEMORY_MAX (64u << 20)

// What came of the bytes, as text that can be compared.
struct ending {
    struct text outputs;
    struct peer_stats stats;
};

static void take(struct ending *ending, const struct peer_output *out)
{
    text_printf(&ending->outputs, "%d %u %d%d%d %zu:", (int)out->kind, out->channel, out->answer,
                out->incoming, out->text, out->bytes.len);
    text_add(&ending->outputs, out->bytes);
    text_put(&ending->outputs, "\n");
}

static void drain(void *peer, struct ending *ending, nanotime now)
{
    struct peer_output out;
    while (peer_adapter.poll(peer, now, &out)) {
        assert(out.kind != PEER_SEND);
        if (out.kind == PEER_MESSAGE || out.kind == PEER_CHANNEL_CLOSED)
            assert(peer_adapter.channel_label(peer, out.channel).at);
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
    peer_adapter.channel_open(peer, 0, &chat);
    while (lines.len > 0) {
        size_t len = cuts ? 1 + rng_below(&rng, lines.len < 40 ? lines.len : 40) : lines.len;
        check_failure(peer, live_adapter_feed(peer, 0, bytes_of(lines.at, len)));
        lines = bytes_from(lines, len);
        drain(peer, &ending, 0);
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

// Written and read twice, it is the same; at first, text that was cut inside a letter is left out.
static void check_stats(const struct peer_stats *stats)
{
    char *first = stats_text(stats);
    struct peer_stats once = stats_of(first);
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
    assert(again.servers_count == config.servers_count && again.mtu == config.mtu);
    assert(again.locals_count == config.locals_count && again.trickle == config.trickle);
    assert(again.relay_only == config.relay_only && again.ice_ta == config.ice_ta);
    for (unsigned i = 0; i < config.servers_count; i++)
        assert(addr_equal(&config.servers[i].addr, &again.servers[i].addr));
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
    fuzz_memory_check(before, MEMORY_MAX);
    free(one);
    free(two);
    text_free(&whole.outputs);
    text_free(&pieces.outputs);
    return 0;
}
