#include "scenarios/live_adapter.h"

#include "base/arena.h"
#include "scenarios/live_json.h"
#include "scenarios/live_stats.h"

#include <openssl/evp.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define UNSENT_MAX ((size_t)1024 * 1024) // of messages not yet taken over: then a channel is full
#define PENDING_MAX 4096u                // commands without an answer
#define SENT_MAX ((size_t)256 * 1024 * 1024) // kept for the other end to be told by their hash
#define MESSAGE_MAX ((size_t)700 * 1024)     // what fits into a line as base64
#define ASK_EVERY (200 * TIME_MS)
#define QUOTE_MAX 80
#define HASH_LEN 32

struct output {
    struct output *next;
    enum peer_output_kind kind;
    unsigned channel;
    bool answer, incoming, text;
    size_t len;
    uint8_t bytes[];
};

struct channel {
    char label[CHANNEL_LABEL_MAX];
    bool open;
};

// A command on its way.
enum command {
    DO_INIT,
    DO_OFFER,
    DO_ANSWER,
    DO_ACCEPT,
    DO_CANDIDATE,
    DO_RESTART,
    DO_OPEN,
    DO_SEND,
    DO_STATS,
    DO_CLOSE,
};
static const char *const command_names[] = {"init",    "offer", "answer", "accept", "candidate",
                                            "restart", "open",  "send",   "stats",  "close"};
struct pending {
    uint64_t id;
    enum command command;
    nanotime at;
    size_t bytes; // of DO_SEND
};

// What `ready` says that the stack cannot do, in the order of on_ready.
enum cannot {
    CANNOT_TRICKLE = 1,
    CANNOT_RESTART = 2,
    CANNOT_RETRANSMITS = 4,
    CANNOT_LIFETIME = 8,
    CANNOT_UNORDERED = 16,
    CANNOT_NEGOTIATED = 32,
    CANNOT_RELAY = 64,
};

// A message too long to be told in full by who receives it.
struct sent {
    struct sent *next;
    uint8_t hash[HASH_LEN];
    size_t len;
    uint8_t bytes[];
};

struct adapter {
    struct peer_config config;
    struct arena arena;
    struct trace trace;
    struct adapter *other;
    struct text outgoing, incoming, keys;
    struct output *first, **last, *lent;
    struct peer_stats stats;
    char error[256];
    char mid[33];
    bool own;      // this stack
    bool detailed; // it told all that this stack counts
    bool told_connection;
    struct channel *channels;
    unsigned channels_count, channels_max;
    json_t *unopened; // channels that wait for an offer, an answer or the association
    bool described;
    struct pending *pending; // in order of their ids
    unsigned pending_count;
    uint64_t ids, asked; // asked: the latest `stats`
    bool answered;
    size_t unsent;
    struct sent *sent, **sent_last;
    size_t sent_len;
    unsigned events;
    uint64_t bytes;
    nanotime ask_next, now, epoch;
    bool ready, started, closing, waits_for_room;
    unsigned cannot;         // bits of enum cannot
    const char *vital_error; // the command that failed
    bool unsupported;
    char failure[512];
};

static void ask_if_answered(struct adapter *a, nanotime now)
{
    if (a->answered)
        live_adapter_ask(a, now);
}

// ------------------------------------------------------------------------------- what comes out

static void push(struct adapter *a, enum peer_output_kind kind, unsigned channel,
                 struct bytes bytes, bool flag)
{
    struct output *output = mem_alloc(sizeof *output + bytes.len);
    *output = (struct output){.kind = kind, .channel = channel, .len = bytes.len};
    output->answer = output->incoming = output->text = flag;
    if (bytes.len)
        memcpy(output->bytes, bytes.at, bytes.len);
    *a->last = output;
    a->last = &output->next;
}

static void changed(struct adapter *a)
{
    push(a, PEER_CHANGED, 0, bytes_of(NULL, 0), false);
}

static bool adapter_poll(void *peer, nanotime now, struct peer_output *out)
{
    struct adapter *a = peer;
    free(a->lent);
    a->lent = a->first;
    if (a->started && now >= a->ask_next && !a->failure[0] && !a->closing) {
        a->ask_next = time_add(now, ASK_EVERY);
        ask_if_answered(a, now);
    }
    if (!a->lent)
        return false;
    struct output *output = a->lent;
    a->first = output->next;
    if (!a->first)
        a->last = &a->first;
    *out = (struct peer_output){.kind = output->kind,
                                .bytes = bytes_of(output->bytes, output->len),
                                .channel = output->channel,
                                .answer = output->answer,
                                .incoming = output->incoming,
                                .text = output->text};
    return true;
}

static nanotime adapter_deadline(const void *peer)
{
    const struct adapter *a = peer;
    return a->started && !a->failure[0] && !a->closing ? a->ask_next : TIME_NEVER;
}

void live_adapter_fail(void *peer, nanotime now, bool unsupported, const char *format, ...)
{
    struct adapter *a = peer;
    va_list args;
    if (a->failure[0])
        return;
    va_start(args, format);
    vsnprintf(a->failure, sizeof a->failure, format, args);
    va_end(args);
    a->unsupported = unsupported;
    trace(&a->trace, now, "adapter failed: %s", a->failure);
    changed(a);
}

const char *live_adapter_failure(const void *peer, bool *unsupported)
{
    const struct adapter *a = peer;
    *unsupported = a->unsupported;
    return a->failure[0] ? a->failure : NULL;
}

// -------------------------------------------------------------------------------- what it is told

static json_t *command_of(enum command command)
{
    json_t *object = json_object();
    json_object_set_new(object, "do", json_string(command_names[command]));
    return object;
}

// The object becomes the adapter's. `bytes`: of DO_SEND.
static void tell(struct adapter *a, enum command command, json_t *object, size_t bytes)
{
    if (!a->failure[0] && a->pending_count == PENDING_MAX)
        live_adapter_fail(a, a->now, false, "it hangs: %u commands without an answer", PENDING_MAX);
    if (a->failure[0] || a->closing) {
        json_decref(object);
        return;
    }
    json_object_set_new(object, "id", json_integer((json_int_t)++a->ids));
    a->pending[a->pending_count++] = (struct pending){a->ids, command, a->now, bytes};
    a->unsent += bytes;
    live_json_put(&a->outgoing, object);
}

static json_t *text_json(struct bytes bytes)
{
    return json_stringn(bytes.len ? (const char *)bytes.at : "", bytes.len);
}

// Channels that were asked for before there was an association to open them on.
static void flush_unopened(struct adapter *a)
{
    size_t i;
    json_t *channel;
    if (!a->described || (a->stats.state != PEER_CONNECTED && a->stats.channels_opened == 0))
        return;
    json_array_foreach(a->unopened, i, channel)
    {
        json_t *open = command_of(DO_OPEN);
        json_object_set(open, "channel", channel);
        tell(a, DO_OPEN, open, 0);
    }
    json_array_clear(a->unopened);
}

// Those that an offer, or an answer, brings along.
static json_t *take_unopened(struct adapter *a, bool only_negotiated)
{
    json_t *taken = json_array();
    for (size_t i = 0; i < json_array_size(a->unopened);) {
        json_t *channel = json_array_get(a->unopened, i);
        if (only_negotiated && !json_is_true(json_object_get(channel, "negotiated"))) {
            i++;
            continue;
        }
        json_array_append(taken, channel);
        json_array_remove(a->unopened, i);
    }
    return taken;
}

struct text *live_adapter_outgoing(void *peer)
{
    struct adapter *a = peer;
    return &a->outgoing;
}

void live_adapter_ask(void *peer, nanotime now)
{
    struct adapter *a = peer;
    a->now = now;
    a->answered = false;
    tell(a, DO_STATS, command_of(DO_STATS), 0);
    a->asked = a->ids;
}

bool live_adapter_answered(const void *peer)
{
    const struct adapter *a = peer;
    return a->answered || a->failure[0];
}

nanotime live_adapter_waiting_since(const void *peer)
{
    const struct adapter *a = peer;
    for (unsigned i = 0; i < a->pending_count && !a->closing; i++) {
        if (a->pending[i].command != DO_SEND) // that takes as long as the network needs
            return a->pending[i].at;
    }
    return TIME_NEVER;
}

bool live_adapter_ready(const void *peer)
{
    const struct adapter *a = peer;
    return a->ready;
}

bool live_adapter_closing(const void *peer)
{
    const struct adapter *a = peer;
    return a->closing;
}

bool live_adapter_is_detailed(const void *peer)
{
    const struct adapter *a = peer;
    return a->detailed;
}

static json_t *server_json(const struct peer_server *server)
{
    char addr[ADDR_TEXT_MAX], url[ADDR_TEXT_MAX + 32];
    bool turn = server->kind == PEER_TURN;
    addr_print(&server->addr, addr);
    snprintf(url, sizeof url, turn ? "turn:%s?transport=udp" : "stun:%s", addr);
    json_t *object = json_object();
    json_object_set_new(object, "urls", json_string(url));
    if (turn) {
        json_object_set_new(object, "username", json_string(server->username));
        json_object_set_new(object, "credential", json_string(server->password));
    }
    return object;
}

// What only this stack has a use for: the rest of its config, and where its chance begins, so that
// it does in the live world what it does in the virtual one.
static json_t *own_json(const struct peer_config *c)
{
    json_t *own = json_object(), *locals = json_array(), *stream = json_array();
    char addr[ADDR_TEXT_MAX];
    for (unsigned i = 0; i < c->locals_count; i++)
        json_array_append_new(locals, json_string(addr_print(&c->locals[i], addr)));
    for (size_t i = 0; i < sizeof c->rng.s / sizeof c->rng.s[0]; i++) {
        snprintf(addr, sizeof addr, "%llu", (unsigned long long)c->rng.s[i]);
        json_array_append_new(stream, json_string(addr));
    }
    json_object_set_new(own, "locals", locals);
    json_object_set_new(own, "stream", stream);
    const struct {
        const char *name;
        json_int_t value;
    } numbers[] = {
        {"lite", c->ice_lite},
        {"ice-only", c->ice_only},
        {"force-role", c->force_role},
        {"role", c->role},
        {"setup", c->setup},
        {"identity", c->identity},
        {"wrong-fingerprint", c->wrong_fingerprint},
        {"mtu", (json_int_t)c->mtu},
        {"sctp-port", c->sctp_port},
        {"max-message-size", (json_int_t)c->max_message_size},
        {"ta", c->ice_ta},
        {"consent-interval", c->consent_interval},
        {"consent-timeout", c->consent_timeout},
        {"nomination-wait", c->nomination_wait},
        {"patience", c->patience},
        {"gather-timeout", c->gather_timeout},
        {"turn-lifetime", c->turn_lifetime_s},
        {"turn-channels", c->turn_channels},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        json_object_set_new(own, numbers[i].name, json_integer(numbers[i].value));
    snprintf(addr, sizeof addr, "%llu", (unsigned long long)c->tiebreaker);
    json_object_set_new(own, "tiebreaker", json_string(addr));
    return own;
}

void live_adapter_link(void *peer, void *other)
{
    ((struct adapter *)peer)->other = other;
    ((struct adapter *)other)->other = peer;
}

void live_adapter_init(void *peer, bool own)
{
    struct adapter *a = peer;
    json_t *init = command_of(DO_INIT), *servers = json_array();
    for (unsigned i = 0; i < a->config.servers_count; i++)
        json_array_append_new(servers, server_json(&a->config.servers[i]));
    json_object_set_new(init, "name", json_string(a->config.name));
    json_object_set_new(init, "ice_servers", servers);
    json_object_set_new(init, "policy", json_string(a->config.relay_only ? "relay" : "all"));
    json_object_set_new(init, "trickle", json_boolean(a->config.trickle));
    if (own)
        json_object_set_new(init, "simrtc", own_json(&a->config));
    a->own = own;
    tell(a, DO_INIT, init, 0);
    if (a->config.ice_only && !own)
        live_adapter_fail(a, 0, true, "ice-only sessions are for two peers of this stack");
}

void live_adapter_start(void *peer, nanotime epoch)
{
    struct adapter *a = peer;
    a->started = true;
    a->epoch = epoch;
    a->now = 0;
}

// ---------------------------------------------------------------------------------- what it says

static const char *const connection_states[] = {"new",    "connecting", "connected", "disconnected",
                                                "failed", "closed",     NULL};
static const char *const ice_states[] = {"new",          "checking", "connected", "completed",
                                         "disconnected", "failed",   "closed",    NULL};
static const char *const gathering_states[] = {"new", "gathering", "complete", NULL};
static const char *const signaling_states[] = {"stable", "have-local-offer", "have-remote-offer",
                                               "closed", NULL};

static bool word(const json_t *line, const char *name, const char *const *words, unsigned *out)
{
    const char *got = live_json_text(line, name);
    for (unsigned i = 0; got && words[i]; i++) {
        if (strcmp(got, words[i]) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static void first_time(nanotime *at, nanotime now)
{
    if (*at == TIME_NEVER)
        *at = now;
}

// Not every stack has RTCPeerConnectionState.
static enum peer_state state_of_ice(const struct peer_stats *stats)
{
    switch (stats->ice_state) {
    case ICE_NEW:
        return PEER_NEW;
    case ICE_CHECKING:
        return PEER_CONNECTING;
    case ICE_CONNECTED:
    case ICE_COMPLETED:
        return stats->channels_opened > 0 ? PEER_CONNECTED : PEER_CONNECTING;
    case ICE_DISCONNECTED:
        return PEER_DISCONNECTED;
    case ICE_FAILED:
        return PEER_FAILED;
    case ICE_CLOSED:
        return PEER_CLOSED;
    }
    return PEER_NEW;
}

// What follows from the states, for those who tell no more. This stack tells the rest by `stats`.
static void derive(struct adapter *a, nanotime now)
{
    struct peer_stats *stats = &a->stats;
    if (!a->told_connection)
        stats->state = state_of_ice(stats);
    if (stats->gathering == PEER_GATHER_COMPLETE)
        first_time(&stats->gathered_at, now);
    if (stats->ice_state == ICE_CONNECTED || stats->ice_state == ICE_COMPLETED)
        first_time(&stats->ice_connected_at, now);
    if (stats->ice_state == ICE_FAILED || stats->state == PEER_FAILED)
        first_time(&stats->failed_at, now);
    if (stats->state == PEER_CONNECTED) {
        first_time(&stats->connected_at, now);
        first_time(&stats->dtls_connected_at, now);
        stats->dtls_state = DTLS_CONNECTED;
    }
    if (stats->channels_opened > 0) {
        first_time(&stats->sctp_connected_at, now);
        stats->sctp_state = SCTP_CONNECTED;
    }
    flush_unopened(a);
}

static bool on_state(struct adapter *a, nanotime now, const json_t *line)
{
    unsigned v;
    enum peer_state before = a->stats.state;
    if (word(line, "connection", connection_states, &v)) {
        a->stats.state = (enum peer_state)v;
        a->told_connection = true;
    }
    if (word(line, "ice", ice_states, &v))
        a->stats.ice_state = (enum ice_state)v;
    if (word(line, "gathering", gathering_states, &v))
        a->stats.gathering = (enum peer_gathering)v;
    if (word(line, "signaling", signaling_states, &v))
        a->stats.signaling = (enum peer_signaling)v;
    derive(a, now);
    if (a->stats.state == PEER_DISCONNECTED && before != PEER_DISCONNECTED)
        a->stats.disconnected_at = now;
    if (!a->own && a->started && !a->closing)
        ask_if_answered(a, now);
    changed(a);
    return true;
}

static bool on_stats(struct adapter *a, nanotime now, const json_t *line)
{
    bool detailed = live_stats_decode(line, &a->stats);
    a->detailed |= detailed;
    const json_t *own = json_object_get(line, "simrtc"), *keys = json_object_get(own, "keys");
    const char *error = live_json_text(own, "error");
    if (error && error[0])
        snprintf(a->error, sizeof a->error, "%s", error);
    if (json_is_string(keys)) {
        text_clear(&a->keys);
        text_add(&a->keys, bytes_of(json_string_value(keys), json_string_length(keys)));
    }
    if (!a->detailed)
        derive(a, now);
    flush_unopened(a);
    changed(a);
    return true;
}

static void learn_mid(struct adapter *a, const char *sdp)
{
    const char *at = strstr(sdp, "a=mid:");
    size_t len = at ? strcspn(at + 6, "\r\n") : 0;
    if (len > 0 && len < sizeof a->mid)
        snprintf(a->mid, sizeof a->mid, "%.*s", (int)len, at + 6);
}

static bool on_sdp(struct adapter *a, nanotime now, const json_t *line)
{
    const char *sdp = live_json_text(line, "sdp"), *type = live_json_text(line, "type");
    if (!sdp || !type || (strcmp(type, "offer") != 0 && strcmp(type, "answer") != 0)) {
        live_adapter_fail(a, now, false, "its 'sdp' has no sdp, or is neither offer nor answer");
        return false;
    }
    learn_mid(a, sdp);
    push(a, PEER_DESCRIPTION, 0, bytes_text(sdp), type[0] == 'a');
    return true;
}

static bool on_candidate(struct adapter *a, nanotime now, const json_t *line)
{
    const char *text = live_json_text(line, "candidate");
    if (!text) {
        live_adapter_fail(a, now, false, "its 'candidate' has no candidate");
        return false;
    }
    struct bytes candidate = bytes_text(text);
    if (bytes_starts(candidate, "a="))
        candidate = bytes_from(candidate, 2);
    static const char *const types[] = {" typ host", " typ srflx", " typ prflx", " typ relay"};
    for (unsigned i = 0; i < 4; i++)
        a->stats.candidates[i] += !a->detailed && strstr(text, types[i]);
    push(a, PEER_CANDIDATE, 0, candidate, false);
    return true;
}

// The latest channel of the label; -1: none.
static int channel_find(const struct adapter *a, const char *label)
{
    for (unsigned i = a->channels_count; i > 0; i--) {
        if (strcmp(a->channels[i - 1].label, label) == 0)
            return (int)i - 1;
    }
    return -1;
}

static unsigned channel_add(struct adapter *a, struct bytes label)
{
    if (a->channels_count == a->channels_max) {
        a->channels_max = a->channels_max ? a->channels_max * 2 : 8;
        a->channels = mem_grow(a->channels, a->channels_max * sizeof *a->channels);
    }
    struct channel *channel = &a->channels[a->channels_count];
    *channel = (struct channel){0};
    bytes_copy_text(label, channel->label, sizeof channel->label);
    return a->channels_count++;
}

static bool bad_channel(struct adapter *a, nanotime now, const char *what)
{
    live_adapter_fail(a, now, false, "its '%s' is of a channel that does not exist", what);
    return false;
}

static bool on_open(struct adapter *a, nanotime now, const json_t *line)
{
    const char *label = live_json_text(line, "channel");
    bool incoming = json_is_true(json_object_get(line, "incoming"));
    if (!label)
        return bad_channel(a, now, "open");
    int channel = channel_find(a, label);
    if (channel < 0 && !incoming)
        return bad_channel(a, now, "open");
    if (channel >= 0 && a->channels[channel].open) {
        live_adapter_fail(a, now, false, "it opened channel '%.60s' twice", label);
        return false;
    }
    // Under a label of ours that has not opened yet, or again under one that is closed.
    if (incoming)
        channel = (int)channel_add(a, bytes_text(label));
    a->channels[channel].open = true;
    if (!a->detailed) {
        a->stats.channels_open++;
        a->stats.channels_opened++;
        derive(a, now);
    }
    push(a, PEER_CHANNEL_OPEN, (unsigned)channel, bytes_of(NULL, 0), incoming);
    return true;
}

// A long message: what the other end sent with this hash; else bytes that are none of its.
static void push_by_hash(struct adapter *a, unsigned channel, const char *hex, uint64_t size,
                         bool text)
{
    char got[2 * HASH_LEN + 1];
    for (struct sent **at = a->other ? &a->other->sent : NULL; at && *at; at = &(*at)->next) {
        struct sent *sent = *at;
        for (unsigned i = 0; i < HASH_LEN; i++)
            snprintf(got + 2 * i, 3, "%02x", sent->hash[i]);
        if (sent->len == size && strcmp(got, hex) == 0) {
            push(a, PEER_MESSAGE, channel, bytes_of(sent->bytes, sent->len), text);
            return;
        }
    }
    uint8_t *zeros = mem_zero(1, size);
    push(a, PEER_MESSAGE, channel, bytes_of(zeros, size), text);
    free(zeros);
}

static bool on_message(struct adapter *a, nanotime now, const json_t *line)
{
    const char *label = live_json_text(line, "channel"), *hash = live_json_text(line, "sha256");
    int channel = label ? channel_find(a, label) : -1;
    struct text content = {0};
    bool text = false, whole = true;
    uint64_t size = 0;
    if (channel < 0)
        return bad_channel(a, now, "message");
    if (hash && live_json_number(line, "size", MESSAGE_MAX, &size))
        push_by_hash(a, (unsigned)channel, hash, size,
                     json_is_false(json_object_get(line, "binary")));
    else if ((whole = live_json_content_get(line, &content, &text)))
        push(a, PEER_MESSAGE, (unsigned)channel, text_bytes(&content), text);
    text_free(&content);
    if (!whole)
        live_adapter_fail(a, now, false, "its 'message' has neither text, base64 nor sha256");
    return whole;
}

static bool on_closed(struct adapter *a, nanotime now, const json_t *line)
{
    const char *label = live_json_text(line, "channel");
    int channel = label ? channel_find(a, label) : -1;
    if (channel < 0)
        return bad_channel(a, now, "closed");
    if (!a->channels[channel].open)
        return true;
    a->channels[channel].open = false;
    if (!a->detailed) {
        a->stats.channels_open--;
        a->stats.channels_closed++;
    }
    push(a, PEER_CHANNEL_CLOSED, (unsigned)channel, bytes_of(NULL, 0), false);
    return true;
}

static bool on_ready(struct adapter *a, nanotime now, const json_t *line)
{
    static const char *const features[] = {
        "trickle",   "restart",    "maxRetransmits", "maxPacketLifeTime",
        "unordered", "negotiated", "relay"};
    const json_t *can = json_object_get(line, "can");
    const char *stack = live_json_text(line, "stack"), *version = live_json_text(line, "version");
    a->ready = true;
    for (unsigned i = 0; i < sizeof features / sizeof features[0]; i++)
        a->cannot |= json_is_false(json_object_get(can, features[i])) ? 1u << i : 0u;
    trace(&a->trace, now, "is %.60s %.60s", stack ? stack : "a stack without a name",
          version ? version : "");
    if (a->config.relay_only && a->cannot & CANNOT_RELAY)
        live_adapter_fail(a, now, true, "this stack cannot be told to use relays alone");
    return true;
}

static bool on_done(struct adapter *a, nanotime now, const json_t *line)
{
    (void)a, (void)now, (void)line;
    return true;
}

static bool on_error(struct adapter *a, nanotime now, const json_t *line)
{
    const char *text = live_json_text(line, "text");
    snprintf(a->error, sizeof a->error, "%s", text ? text : "an error without a text");
    trace(&a->trace, now, "adapter says: %s", a->error);
    changed(a);
    return true;
}

// What may be said, and whether it is an answer.
static const struct {
    const char *name;
    bool answer, event;
    bool (*take)(struct adapter *a, nanotime now, const json_t *line);
} words[] = {
    {"ready", true, false, on_ready},     {"sdp", true, false, on_sdp},
    {"done", true, false, on_done},       {"stats", true, true, on_stats},
    {"error", true, true, on_error},      {"candidate", false, true, on_candidate},
    {"state", false, true, on_state},     {"open", false, true, on_open},
    {"message", false, true, on_message}, {"closed", false, true, on_closed},
};

static const char *answer_to(enum command command)
{
    static const char *const answers[] = {
        [DO_INIT] = "ready",     [DO_OFFER] = "sdp",   [DO_ANSWER] = "sdp", [DO_ACCEPT] = "done",
        [DO_CANDIDATE] = "done", [DO_RESTART] = "sdp", [DO_OPEN] = "done",  [DO_SEND] = "done",
        [DO_STATS] = "stats",    [DO_CLOSE] = "done",
    };
    return answers[command];
}

// The command that is answered is no longer pending. False: there is none with this id.
static bool take_pending(struct adapter *a, uint64_t id, struct pending *out)
{
    for (unsigned i = 0; i < a->pending_count; i++) {
        if (a->pending[i].id != id)
            continue;
        *out = a->pending[i];
        a->pending_count--;
        memmove(&a->pending[i], &a->pending[i + 1], (a->pending_count - i) * sizeof *a->pending);
        a->unsent -= out->bytes;
        if (id == a->asked)
            a->answered = true;
        return true;
    }
    return false;
}

static void room_again(struct adapter *a)
{
    if (!a->waits_for_room || a->unsent > UNSENT_MAX / 2)
        return;
    a->waits_for_room = false;
    for (unsigned i = 0; i < a->channels_count; i++) {
        if (a->channels[i].open)
            push(a, PEER_BUFFERED_LOW, i, bytes_of(NULL, 0), false);
    }
}

// A command that cannot be refused without the run being over.
static bool is_vital(enum command command)
{
    return command == DO_INIT || command == DO_OFFER || command == DO_RESTART;
}

static bool check_answer(struct adapter *a, nanotime now, const char *name, uint64_t id)
{
    struct pending pending;
    if (!take_pending(a, id, &pending)) {
        live_adapter_fail(a, now, false, "it answered a command that it was not given: id %llu",
                          (unsigned long long)id);
        return false;
    }
    room_again(a);
    const char *command = command_names[pending.command];
    if (strcmp(name, "error") != 0) {
        if (strcmp(name, answer_to(pending.command)) == 0)
            return true;
        live_adapter_fail(a, now, false, "it answered '%s' with '%.20s', not '%s'", command, name,
                          answer_to(pending.command));
        return false;
    }
    if (is_vital(pending.command))
        a->vital_error = command;
    return true;
}

// Enough of a line to recognise it by, without what a terminal would act on.
static const char *quote(struct bytes line, char to[QUOTE_MAX + 1])
{
    size_t len = line.len < QUOTE_MAX ? line.len : QUOTE_MAX;
    for (size_t i = 0; i < len; i++)
        to[i] = (char)(line.at[i] >= ' ' && line.at[i] < 0x7f ? line.at[i] : '.');
    to[len] = 0;
    return to;
}

static void take_object(struct adapter *a, nanotime now, const json_t *object, struct bytes line)
{
    char quoted[QUOTE_MAX + 1];
    const char *name = live_json_text(object, "is");
    uint64_t id;
    bool answer = live_json_number(object, "id", INT64_MAX, &id);
    for (size_t i = 0; name && i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(name, words[i].name) != 0 || !(answer ? words[i].answer : words[i].event))
            continue;
        a->events += words[i].take != on_message && !answer;
        if (!answer || check_answer(a, now, name, id))
            words[i].take(a, now, object);
        if (a->vital_error && !a->failure[0])
            live_adapter_fail(a, now, false, "'%s' failed: %s", a->vital_error, a->error);
        if (a->events > LIVE_EVENTS_MAX)
            live_adapter_fail(a, now, false, "it floods: more than %u events", LIVE_EVENTS_MAX);
        return;
    }
    live_adapter_fail(a, now, false, "it said what has no meaning: '%s'", quote(line, quoted));
}

static void take_line(struct adapter *a, nanotime now, struct bytes line)
{
    char quoted[QUOTE_MAX + 1];
    json_t *object = live_json_line(line);
    if (object)
        take_object(a, now, object, line);
    else
        live_adapter_fail(a, now, false, "it wrote garbage to stdout: '%s'", quote(line, quoted));
    json_decref(object);
}

bool live_adapter_feed(void *peer, nanotime now, struct bytes bytes)
{
    struct adapter *a = peer;
    a->now = now;
    a->bytes += bytes.len;
    text_add(&a->incoming, bytes);
    struct bytes rest = text_bytes(&a->incoming);
    while (!a->failure[0]) {
        const uint8_t *end = rest.len ? memchr(rest.at, '\n', rest.len) : NULL;
        if (!end)
            break;
        struct bytes line = bytes_of(rest.at, (size_t)(end - rest.at));
        rest = bytes_from(rest, line.len + 1);
        take_line(a, now, line);
    }
    memmove(a->incoming.at, rest.at, rest.len);
    a->incoming.len = rest.len;
    a->incoming.at[rest.len] = 0;
    if (a->incoming.len > LIVE_LINE_MAX)
        live_adapter_fail(a, now, false, "it wrote a line of more than %zu bytes", LIVE_LINE_MAX);
    else if (a->bytes > LIVE_BYTES_MAX)
        live_adapter_fail(a, now, false, "it floods: more than %llu bytes",
                          (unsigned long long)LIVE_BYTES_MAX);
    return !a->failure[0];
}

void live_adapter_ended(void *peer, nanotime now, const char *how, bool not_installed)
{
    struct adapter *a = peer;
    if (a->closing)
        return;
    if (not_installed)
        live_adapter_fail(a, now, true, "%s", a->error[0] ? a->error : "it is not installed");
    else
        live_adapter_fail(a, now, false, "%s before the run was over%s%s", how,
                          a->error[0] ? ": " : "", a->error);
}

// ------------------------------------------------------------------------------ struct peer_ops

static void *adapter_create(const struct peer_config *config)
{
    struct adapter *a = mem_zero(1, sizeof *a);
    a->config = *config;
    a->config.name = arena_text(&a->arena, config->name);
    for (unsigned i = 0; i < config->servers_count; i++) {
        struct peer_server *server = &a->config.servers[i];
        if (server->kind != PEER_TURN)
            continue;
        server->username = arena_text(&a->arena, server->username);
        server->password = arena_text(&a->arena, server->password);
    }
    a->trace = config->trace;
    a->last = &a->first;
    a->sent_last = &a->sent;
    a->stats = live_stats_none();
    a->pending = mem_zero(PENDING_MAX, sizeof *a->pending);
    a->unopened = json_array();
    a->answered = true;
    snprintf(a->mid, sizeof a->mid, "0");
    return a;
}

static void forget_sent(struct adapter *a)
{
    struct sent *first = a->sent;
    a->sent = first->next;
    if (!a->sent)
        a->sent_last = &a->sent;
    a->sent_len -= first->len;
    free(first);
}

static void adapter_destroy(void *peer)
{
    struct adapter *a = peer;
    if (!a)
        return;
    while (a->first) {
        struct output *next = a->first->next;
        free(a->first);
        a->first = next;
    }
    while (a->sent)
        forget_sent(a);
    free(a->lent);
    free(a->channels);
    free(a->pending);
    json_decref(a->unopened);
    text_free(&a->outgoing);
    text_free(&a->incoming);
    text_free(&a->keys);
    arena_free(&a->arena);
    free(a);
}

static enum peer_drop adapter_input(void *peer, nanotime now, const struct datagram *datagram)
{
    (void)peer, (void)now, (void)datagram; // its sockets are real: nothing comes this way
    return PEER_UNKNOWN_PROTOCOL;
}

static json_t *timed(struct adapter *a, json_t *command)
{
    if (a->own)
        json_object_set_new(command, "epoch", json_integer(a->epoch));
    return command;
}

static void adapter_describe(void *peer, nanotime now, bool restart)
{
    struct adapter *a = peer;
    a->now = now;
    enum command command = restart ? DO_RESTART : DO_OFFER;
    json_t *offer = timed(a, command_of(command));
    if (restart && a->cannot & CANNOT_RESTART)
        live_adapter_fail(a, now, true, "this stack cannot restart ICE");
    if (!restart)
        json_object_set_new(offer, "channels", take_unopened(a, false));
    a->described = true;
    a->stats.restarts += restart && !a->detailed;
    tell(a, command, offer, 0);
}

// Whether it is refused comes later, as an `error`.
static bool adapter_accept(void *peer, nanotime now, struct bytes description, bool answer)
{
    struct adapter *a = peer;
    a->now = now;
    enum command command = answer ? DO_ACCEPT : DO_ANSWER;
    json_t *take = timed(a, command_of(command));
    char *text = arena_printf(&a->arena, "%.*s", (int)description.len,
                              description.len ? (const char *)description.at : "");
    learn_mid(a, text);
    json_object_set_new(take, "sdp", text_json(description));
    if (!answer)
        json_object_set_new(take, "channels", take_unopened(a, true));
    a->described = true;
    tell(a, command, take, 0);
    return true;
}

static bool adapter_add_candidate(void *peer, nanotime now, struct bytes candidate)
{
    struct adapter *a = peer;
    a->now = now;
    json_t *add = command_of(DO_CANDIDATE);
    json_object_set_new(add, "candidate", text_json(candidate));
    json_object_set_new(add, "mid", json_string(a->mid));
    if (!a->detailed && candidate.len)
        a->stats.remote_candidates++;
    tell(a, DO_CANDIDATE, add, 0);
    return true;
}

static json_t *channel_json(const struct channel_config *config)
{
    json_t *channel = json_object();
    json_object_set_new(channel, "label", text_json(config->label));
    json_object_set_new(channel, "ordered", json_boolean(!config->delivery.unordered));
    if (config->protocol.len)
        json_object_set_new(channel, "protocol", text_json(config->protocol));
    if (config->delivery.reliability == SCTP_MAX_RETRANSMITS)
        json_object_set_new(channel, "maxRetransmits", json_integer(config->delivery.limit));
    if (config->delivery.reliability == SCTP_MAX_LIFETIME)
        json_object_set_new(channel, "maxPacketLifeTime", json_integer(config->delivery.limit));
    if (config->negotiated) {
        json_object_set_new(channel, "negotiated", json_true());
        json_object_set_new(channel, "id", json_integer(config->id));
    }
    return channel;
}

static bool can_open(struct adapter *a, const struct channel_config *config)
{
    unsigned needs = config->delivery.unordered ? CANNOT_UNORDERED : 0;
    needs |= config->negotiated ? CANNOT_NEGOTIATED : 0;
    needs |= config->delivery.reliability == SCTP_MAX_RETRANSMITS ? CANNOT_RETRANSMITS : 0;
    needs |= config->delivery.reliability == SCTP_MAX_LIFETIME ? CANNOT_LIFETIME : 0;
    if (a->cannot & needs)
        live_adapter_fail(a, a->now, true, "this stack has no such data channels");
    return !(a->cannot & needs);
}

static int adapter_channel_open(void *peer, nanotime now, const struct channel_config *config)
{
    struct adapter *a = peer;
    char label[CHANNEL_LABEL_MAX];
    a->now = now;
    bytes_copy_text(config->label, label, sizeof label);
    int before = channel_find(a, label);
    if (!can_open(a, config))
        return -1;
    if (before >= 0 && (a->channels[before].open || !a->described)) {
        live_adapter_fail(a, now, true,
                          "live peers tell channels by their labels: '%.60s' is of two", label);
        return -1;
    }
    json_array_append_new(a->unopened, channel_json(config));
    int channel = (int)channel_add(a, config->label);
    flush_unopened(a);
    return channel;
}

static void keep_sent(struct adapter *a, struct bytes message)
{
    struct sent *sent = mem_alloc(sizeof *sent + message.len);
    *sent = (struct sent){.len = message.len};
    memcpy(sent->bytes, message.at, message.len);
    EVP_Digest(message.at, message.len, sent->hash, NULL, EVP_sha256(), NULL);
    *a->sent_last = sent;
    a->sent_last = &sent->next;
    a->sent_len += message.len;
    while (a->sent_len > SENT_MAX)
        forget_sent(a);
}

static enum sctp_send_result adapter_send(void *peer, nanotime now, unsigned channel,
                                          struct bytes message, bool text)
{
    struct adapter *a = peer;
    a->now = now;
    if (channel >= a->channels_count || !a->channels[channel].open)
        return SCTP_NOT_CONNECTED;
    if (message.len > MESSAGE_MAX)
        return SCTP_TOO_LARGE;
    if (a->unsent > UNSENT_MAX || a->pending_count > PENDING_MAX / 2) {
        a->waits_for_room = true;
        return SCTP_WOULD_BLOCK;
    }
    if (message.len > LIVE_TOLD_MAX)
        keep_sent(a, message);
    json_t *send = command_of(DO_SEND);
    json_object_set_new(send, "channel", json_string(a->channels[channel].label));
    live_json_content_set(send, message, text);
    tell(a, DO_SEND, send, message.len);
    return SCTP_SENT;
}

static void adapter_channel_close(void *peer, nanotime now, unsigned channel)
{
    struct adapter *a = peer;
    a->now = now;
    json_t *close = command_of(DO_CLOSE);
    json_object_set_new(close, "channel", json_string(a->channels[channel].label));
    tell(a, DO_CLOSE, close, 0);
}

static size_t adapter_channel_buffered(const void *peer, unsigned channel)
{
    (void)channel;
    const struct adapter *a = peer;
    return a->unsent;
}

static struct bytes adapter_channel_label(const void *peer, unsigned channel)
{
    const struct adapter *a = peer;
    return channel < a->channels_count ? bytes_text(a->channels[channel].label) : bytes_of(NULL, 0);
}

static void adapter_set_buffered_low(void *peer, unsigned channel, size_t threshold)
{
    (void)peer, (void)channel, (void)threshold; // what is not yet taken over is what counts
}

static void adapter_key_log(const void *peer, struct text *to)
{
    const struct adapter *a = peer;
    if (a->keys.len)
        text_add(to, text_bytes(&a->keys));
}

static void adapter_close(void *peer, nanotime now)
{
    struct adapter *a = peer;
    a->now = now;
    tell(a, DO_CLOSE, command_of(DO_CLOSE), 0);
    a->closing = true;
    a->stats.state = PEER_CLOSED;
    a->stats.signaling = PEER_SIGNALING_CLOSED;
    a->stats.ice_state = ICE_CLOSED;
    changed(a);
}

static void adapter_stats(const void *peer, struct peer_stats *out)
{
    const struct adapter *a = peer;
    *out = a->stats;
    out->error = a->error;
}

const struct peer_ops peer_adapter = {
    .name = "adapter",
    .create = adapter_create,
    .destroy = adapter_destroy,
    .input = adapter_input,
    .poll = adapter_poll,
    .deadline = adapter_deadline,
    .describe = adapter_describe,
    .accept = adapter_accept,
    .add_candidate = adapter_add_candidate,
    .channel_open = adapter_channel_open,
    .send = adapter_send,
    .channel_close = adapter_channel_close,
    .channel_buffered = adapter_channel_buffered,
    .channel_label = adapter_channel_label,
    .set_buffered_low = adapter_set_buffered_low,
    .key_log = adapter_key_log,
    .close = adapter_close,
    .stats = adapter_stats,
};
