#include "scenarios/live_adapter.h"

#include "base/arena.h"
#include "scenarios/live_config.h"
#include "scenarios/live_json.h"
#include "scenarios/live_stats.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define OUTGOING_MAX ((size_t)1024 * 1024) // waiting for the process: then a channel is full
#define MESSAGE_MAX ((size_t)700 * 1024)   // what fits into a line as base64
#define ASK_EVERY (200 * TIME_MS)
#define QUOTE_MAX 80

struct output {
    struct output *next;
    enum peer_output_kind kind;
    unsigned channel;
    bool answer, incoming, text;
    size_t len;
    uint8_t bytes[];
};

// What the stack says that it cannot do.
static const char *const cannot_words[] = {"trickle",  "restart",   "relay",      "retransmits",
                                           "lifetime", "unordered", "negotiated", "turn-tcp"};
enum cannot {
    CANNOT_TRICKLE = 1,
    CANNOT_RESTART = 2,
    CANNOT_RELAY = 4,
    CANNOT_RETRANSMITS = 8,
    CANNOT_LIFETIME = 16,
    CANNOT_UNORDERED = 32,
    CANNOT_NEGOTIATED = 64,
    CANNOT_TURN_TCP = 128,
};

struct channel {
    char label[CHANNEL_LABEL_MAX];
    bool known, open;
};

struct adapter {
    struct peer_config config;
    struct arena arena;
    struct trace trace;
    struct text outgoing, incoming, keys;
    struct output *first, **last, *lent;
    struct peer_stats stats;
    char error[256];
    char mid[33];
    unsigned section; // the number of the one with that mid
    bool own;         // this stack
    bool detailed;    // it told all that this stack counts
    bool told_connection, told_stack;
    unsigned cannot;          // bits of enum cannot
    struct channel *channels; // ours have even numbers, the other side's odd ones
    unsigned channels_max, channels_opened_by_us;
    unsigned asked, answered, events;
    uint64_t bytes;
    nanotime asked_at, ask_next;
    bool started, closing, waits_for_room;
    bool unsupported;
    char failure[512];
};

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
        if (a->asked == a->answered)
            live_adapter_ask(a, now);
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

// ------------------------------------------------------------------------------------- what it
// says

static const char *const connection_states[] = {"new",    "connecting", "connected", "disconnected",
                                                "failed", "closed",     NULL};
static const char *const ice_states[] = {"new",          "checking", "connected", "completed",
                                         "disconnected", "failed",   "closed",    NULL};
static const char *const gathering_states[] = {"new", "gathering", "complete", NULL};
static const char *const signaling_states[] = {"stable", "have-local-offer", "have-remote-offer",
                                               "closed", NULL};

static bool word(const json_t *event, const char *name, const char *const *words, unsigned *out)
{
    const char *got = live_json_text(event, name);
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

// What follows from the states, for those who tell no more. This stack tells the rest by `stats`.
static void derive(struct adapter *a, nanotime now)
{
    struct peer_stats *stats = &a->stats;
    if (!a->told_connection)
        stats->state = live_stats_state_of_ice(stats);
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
}

static bool on_state(struct adapter *a, nanotime now, const json_t *event)
{
    unsigned v;
    enum peer_state before = a->stats.state;
    a->told_connection |= word(event, "connection", connection_states, &v);
    if (word(event, "connection", connection_states, &v))
        a->stats.state = (enum peer_state)v;
    if (word(event, "ice", ice_states, &v))
        a->stats.ice_state = (enum ice_state)v;
    if (word(event, "gathering", gathering_states, &v))
        a->stats.gathering = (enum peer_gathering)v;
    if (word(event, "signaling", signaling_states, &v))
        a->stats.signaling = (enum peer_signaling)v;
    if (a->stats.state == PEER_DISCONNECTED && before != PEER_DISCONNECTED)
        a->stats.disconnected_at = now;
    trace(&a->trace, now, "says connection %s, ice %s, gathering %s, signaling %s",
          connection_states[a->stats.state], ice_states[a->stats.ice_state],
          gathering_states[a->stats.gathering], signaling_states[a->stats.signaling]);
    derive(a, now);
    if (a->asked == a->answered && !a->own && a->started && !a->closing)
        live_adapter_ask(a, now);
    changed(a);
    return true;
}

static void learn_stack(struct adapter *a, nanotime now, const json_t *event)
{
    const char *stack = live_json_text(event, "stack"), *version = live_json_text(event, "version");
    const json_t *value;
    size_t i;
    if (!stack || a->told_stack)
        return;
    a->told_stack = true;
    trace(&a->trace, now, "is %.60s %.60s", stack, version ? version : "");
    json_array_foreach(json_object_get(event, "cannot"), i, value)
    {
        for (unsigned j = 0; j < sizeof cannot_words / sizeof cannot_words[0]; j++) {
            const char *got = json_string_value(value);
            a->cannot |= got && strcmp(got, cannot_words[j]) == 0 ? 1u << j : 0u;
        }
    }
    if (a->config.relay_only && a->cannot & CANNOT_RELAY)
        live_adapter_fail(a, now, true, "%s cannot be told to use relays alone", stack);
    for (i = 0; i < a->config.servers_count; i++) {
        if (a->config.servers[i].transport == PEER_TCP && a->cannot & CANNOT_TURN_TCP)
            live_adapter_fail(a, now, true, "%s cannot reach a TURN server by TCP", stack);
    }
}

static bool on_stats(struct adapter *a, nanotime now, const json_t *event)
{
    if (a->answered < a->asked)
        a->answered++;
    learn_stack(a, now, event);
    bool detailed = live_stats_decode(event, &a->stats);
    a->detailed |= detailed;
    const char *error = live_json_text(json_object_get(event, "simrtc"), "error");
    if (error && error[0])
        snprintf(a->error, sizeof a->error, "%s", error);
    const json_t *keys = json_object_get(json_object_get(event, "simrtc"), "keys");
    if (json_is_string(keys)) {
        text_clear(&a->keys);
        text_add(&a->keys, bytes_of(json_string_value(keys), json_string_length(keys)));
    }
    if (!a->detailed)
        derive(a, now);
    changed(a);
    return true;
}

// Candidates are of the section of the data channels.
static void learn_mid(struct adapter *a, const char *sdp)
{
    const char *section = strstr(sdp, "\nm=application");
    a->section = 0;
    for (const char *m = sdp; section && (m = strstr(m, "\nm=")) != section; m++)
        a->section++;
    const char *at = strstr(section ? section : sdp, "a=mid:");
    size_t len = at ? strcspn(at + 6, "\r\n") : 0;
    if (len > 0 && len < sizeof a->mid)
        snprintf(a->mid, sizeof a->mid, "%.*s", (int)len, at + 6);
}

static bool on_sdp(struct adapter *a, nanotime now, const json_t *event)
{
    const char *sdp = live_json_text(event, "sdp"), *type = live_json_text(event, "type");
    if (!sdp || !type || (strcmp(type, "offer") != 0 && strcmp(type, "answer") != 0)) {
        live_adapter_fail(a, now, false, "its 'sdp' has no sdp, or is neither offer nor answer");
        return false;
    }
    learn_mid(a, sdp);
    push(a, PEER_DESCRIPTION, 0, bytes_text(sdp), type[0] == 'a');
    return true;
}

static bool on_candidate(struct adapter *a, nanotime now, const json_t *event)
{
    const char *text = live_json_text(event, "candidate");
    if (!text) {
        live_adapter_fail(a, now, false, "its 'candidate' has no candidate");
        return false;
    }
    const char *mid = live_json_text(event, "sdpMid");
    if (mid && text[0] && strcmp(mid, a->mid) != 0)
        return true; // of audio or video, which has a transport of its own until it is refused
    struct bytes candidate = bytes_text(text);
    if (bytes_starts(candidate, "a="))
        candidate = bytes_from(candidate, 2);
    static const char *const types[] = {" typ host", " typ srflx", " typ prflx", " typ relay"};
    for (unsigned i = 0; i < 4; i++)
        a->stats.candidates[i] += !a->detailed && strstr(text, types[i]);
    push(a, PEER_CANDIDATE, 0, candidate, false);
    return true;
}

static struct channel *channel_of(struct adapter *a, unsigned number)
{
    if (number >= a->channels_max) {
        unsigned max = a->channels_max ? a->channels_max : 8;
        while (max <= number)
            max *= 2;
        a->channels = mem_grow(a->channels, max * sizeof *a->channels);
        memset(a->channels + a->channels_max, 0, (max - a->channels_max) * sizeof *a->channels);
        a->channels_max = max;
    }
    return &a->channels[number];
}

static bool bad_channel(struct adapter *a, nanotime now, const char *event)
{
    live_adapter_fail(a, now, false, "its '%s' is of a channel that does not exist", event);
    return false;
}

static bool on_open(struct adapter *a, nanotime now, const json_t *event)
{
    uint64_t number;
    if (!live_json_number(event, "channel", 2u * CHANNELS_MAX, &number))
        return bad_channel(a, now, "open");
    struct channel *channel = channel_of(a, (unsigned)number);
    bool incoming = number % 2 == 1;
    if (channel->open || channel->known == incoming)
        return bad_channel(a, now, "open");
    if (incoming) {
        const char *label = live_json_text(event, "label");
        snprintf(channel->label, sizeof channel->label, "%s", label ? label : "");
        channel->known = true;
    }
    channel->open = true;
    if (!a->detailed) {
        a->stats.channels_open++;
        a->stats.channels_opened++;
        derive(a, now);
    }
    push(a, PEER_CHANNEL_OPEN, (unsigned)number, bytes_of(NULL, 0), incoming);
    return true;
}

static bool on_message(struct adapter *a, nanotime now, const json_t *event)
{
    uint64_t number;
    struct text content = {0};
    bool text;
    bool whole = live_json_content_get(event, &content, &text);
    bool known = live_json_number(event, "channel", 2u * CHANNELS_MAX, &number) &&
                 number < a->channels_max && a->channels[number].known;
    if (whole && known)
        push(a, PEER_MESSAGE, (unsigned)number, text_bytes(&content), text);
    text_free(&content);
    if (!known)
        return bad_channel(a, now, "message");
    if (!whole)
        live_adapter_fail(a, now, false, "its 'message' has neither text nor base64 data");
    return whole;
}

static bool on_close(struct adapter *a, nanotime now, const json_t *event)
{
    uint64_t number;
    if (!live_json_number(event, "channel", 2u * CHANNELS_MAX, &number) ||
        number >= a->channels_max || !a->channels[number].known)
        return bad_channel(a, now, "close");
    if (!a->channels[number].open)
        return true;
    a->channels[number].open = false;
    if (!a->detailed) {
        a->stats.channels_open--;
        a->stats.channels_closed++;
    }
    push(a, PEER_CHANNEL_CLOSED, (unsigned)number, bytes_of(NULL, 0), false);
    return true;
}

static bool on_error(struct adapter *a, nanotime now, const json_t *event)
{
    const char *text = live_json_text(event, "text");
    bool fatal = json_is_true(json_object_get(event, "fatal"));
    snprintf(a->error, sizeof a->error, "%s", text ? text : "an error without a text");
    trace(&a->trace, now, "adapter says: %s", a->error);
    if (fatal)
        live_adapter_fail(a, now, false, "it gave up: %s", a->error);
    changed(a);
    return !fatal;
}

static bool on_unsupported(struct adapter *a, nanotime now, const json_t *event)
{
    const char *how = live_json_text(event, "install");
    live_adapter_fail(a, now, true, "install with %s", how ? how : "what its adapter needs");
    return false;
}

static const struct {
    const char *name;
    bool (*take)(struct adapter *a, nanotime now, const json_t *event);
} events[] = {
    {"sdp", on_sdp},     {"candidate", on_candidate}, {"state", on_state},
    {"open", on_open},   {"message", on_message},     {"stats", on_stats},
    {"error", on_error}, {"close", on_close},         {"unsupported", on_unsupported},
};

// Enough of a line to recognise it by, without what a terminal would act on.
static const char *quote(struct bytes line, char to[QUOTE_MAX + 1])
{
    size_t len = line.len < QUOTE_MAX ? line.len : QUOTE_MAX;
    for (size_t i = 0; i < len; i++)
        to[i] = (char)(line.at[i] >= ' ' && line.at[i] < 0x7f ? line.at[i] : '.');
    to[len] = 0;
    return to;
}

static bool take_line(struct adapter *a, nanotime now, struct bytes line)
{
    char quoted[QUOTE_MAX + 1];
    if (line.len == 0)
        return true;
    json_t *event = live_json_line(line);
    const char *name = live_json_text(event, "event");
    bool good = false, known = false;
    for (size_t i = 0; name && i < sizeof events / sizeof events[0] && !known; i++) {
        known = strcmp(name, events[i].name) == 0;
        if (!known)
            continue;
        if (events[i].take != on_message)
            a->events++;
        good = events[i].take(a, now, event);
    }
    if (!event)
        live_adapter_fail(a, now, false, "it wrote garbage to stdout: '%s'", quote(line, quoted));
    else if (!known)
        live_adapter_fail(a, now, false, "it wrote no event that is known: '%s'",
                          quote(line, quoted));
    json_decref(event);
    if (good && a->events > LIVE_EVENTS_MAX) {
        live_adapter_fail(a, now, false, "it floods: more than %u events", LIVE_EVENTS_MAX);
        return false;
    }
    return good;
}

bool live_adapter_feed(void *peer, nanotime now, struct bytes bytes)
{
    struct adapter *a = peer;
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

// -------------------------------------------------------------------------------- what it is told

static json_t *command(const char *name)
{
    json_t *object = json_object();
    json_object_set_new(object, "do", json_string(name));
    return object;
}

static void tell(struct adapter *a, json_t *object)
{
    if (a->failure[0])
        json_decref(object);
    else
        live_json_put(&a->outgoing, object);
}

struct text *live_adapter_outgoing(void *peer)
{
    struct adapter *a = peer;
    if (a->waits_for_room && a->outgoing.len < OUTGOING_MAX / 2) {
        a->waits_for_room = false;
        for (unsigned i = 0; i < a->channels_max; i++) {
            if (a->channels[i].open)
                push(a, PEER_BUFFERED_LOW, i, bytes_of(NULL, 0), false);
        }
    }
    return &a->outgoing;
}

void live_adapter_ask(void *peer, nanotime now)
{
    struct adapter *a = peer;
    if (a->asked++ == a->answered)
        a->asked_at = now;
    tell(a, command("stats"));
}

unsigned live_adapter_unanswered(const void *peer, nanotime *since)
{
    const struct adapter *a = peer;
    *since = a->asked_at;
    return a->asked - a->answered;
}

bool live_adapter_ready(const void *peer)
{
    const struct adapter *a = peer;
    return a->answered > 0;
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

bool live_adapter_cannot_restart(const void *peer)
{
    const struct adapter *a = peer;
    return a->cannot & CANNOT_RESTART;
}

void live_adapter_init(void *peer, bool own, bool media)
{
    struct adapter *a = peer;
    json_t *init = command("init");
    live_config_encode(init, &a->config, own);
    json_object_set_new(init, "media", json_boolean(media));
    a->own = own;
    tell(a, init);
    if (a->config.ice_only && !own)
        live_adapter_fail(a, 0, true, "ice-only sessions are for two peers of this stack");
    live_adapter_ask(a, 0);
}

void live_adapter_start(void *peer, nanotime epoch)
{
    struct adapter *a = peer;
    json_t *start = command("start");
    json_object_set_new(start, "epoch", json_integer(epoch));
    a->started = true;
    a->answered = a->asked;
    tell(a, start);
}

// ----------------------------------------------------------------------------------- struct
// peer_ops

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
    a->stats = live_stats_none();
    snprintf(a->mid, sizeof a->mid, "0");
    return a;
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
    free(a->lent);
    free(a->channels);
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

static void adapter_describe(void *peer, nanotime now, bool restart)
{
    struct adapter *a = peer;
    json_t *offer = command("offer");
    json_object_set_new(offer, "restart", json_boolean(restart));
    if (restart && a->cannot & CANNOT_RESTART) {
        // What the scenario expects may hold all the same: the other side may find the new way.
        trace(&a->trace, now, "its stack cannot restart ICE");
        json_decref(offer);
        return;
    }
    a->stats.restarts += restart && !a->detailed;
    tell(a, offer);
}

static json_t *text_json(struct bytes bytes)
{
    return json_stringn(bytes.len ? (const char *)bytes.at : "", bytes.len);
}

// Whether it is refused comes later, as an `error`.
static bool adapter_accept(void *peer, nanotime now, struct bytes description, bool answer)
{
    (void)now;
    struct adapter *a = peer;
    json_t *take = command("answer");
    char *text = arena_printf(&a->arena, "%.*s", (int)description.len,
                              description.len ? (const char *)description.at : "");
    learn_mid(a, text);
    json_object_set_new(take, "type", json_string(answer ? "answer" : "offer"));
    json_object_set_new(take, "sdp", text_json(description));
    tell(a, take);
    return true;
}

static bool adapter_add_candidate(void *peer, nanotime now, struct bytes candidate)
{
    (void)now;
    struct adapter *a = peer;
    json_t *add = command("candidate");
    json_object_set_new(add, "candidate", text_json(candidate));
    json_object_set_new(add, "sdpMid", json_string(a->mid));
    json_object_set_new(add, "sdpMLineIndex", json_integer(a->section));
    if (!a->detailed && candidate.len)
        a->stats.remote_candidates++;
    tell(a, add);
    return true;
}

static int adapter_channel_open(void *peer, nanotime now, const struct channel_config *config)
{
    struct adapter *a = peer;
    unsigned needs = config->delivery.unordered ? CANNOT_UNORDERED : 0;
    needs |= config->negotiated ? CANNOT_NEGOTIATED : 0;
    needs |= config->delivery.reliability == SCTP_MAX_RETRANSMITS ? CANNOT_RETRANSMITS : 0;
    needs |= config->delivery.reliability == SCTP_MAX_LIFETIME ? CANNOT_LIFETIME : 0;
    if (a->cannot & needs) {
        live_adapter_fail(a, now, true, "its stack has no such data channels");
        return -1;
    }
    unsigned number = 2 * a->channels_opened_by_us++;
    struct channel *channel = channel_of(a, number);
    bytes_copy_text(config->label, channel->label, sizeof channel->label);
    channel->known = true;
    json_t *open = command("open");
    json_object_set_new(open, "channel", json_integer(number));
    json_object_set_new(open, "label", text_json(config->label));
    json_object_set_new(open, "protocol", text_json(config->protocol));
    json_object_set_new(open, "ordered", json_boolean(!config->delivery.unordered));
    if (config->delivery.reliability == SCTP_MAX_RETRANSMITS)
        json_object_set_new(open, "maxRetransmits", json_integer(config->delivery.limit));
    if (config->delivery.reliability == SCTP_MAX_LIFETIME)
        json_object_set_new(open, "maxPacketLifeTime", json_integer(config->delivery.limit));
    json_object_set_new(open, "priority", json_integer(config->priority));
    json_object_set_new(open, "negotiated", json_boolean(config->negotiated));
    if (config->negotiated)
        json_object_set_new(open, "id", json_integer(config->id));
    tell(a, open);
    return (int)number;
}

static enum sctp_send_result adapter_send(void *peer, nanotime now, unsigned channel,
                                          struct bytes message, bool text)
{
    (void)now;
    struct adapter *a = peer;
    if (channel >= a->channels_max || !a->channels[channel].open)
        return SCTP_NOT_CONNECTED;
    if (message.len > MESSAGE_MAX)
        return SCTP_TOO_LARGE;
    if (a->outgoing.len > OUTGOING_MAX) {
        a->waits_for_room = true;
        return SCTP_WOULD_BLOCK;
    }
    json_t *send = command("send");
    json_object_set_new(send, "channel", json_integer(channel));
    live_json_content_set(send, message, text);
    tell(a, send);
    return SCTP_SENT;
}

static void adapter_channel_close(void *peer, nanotime now, unsigned channel)
{
    (void)now;
    json_t *close = command("close");
    json_object_set_new(close, "channel", json_integer(channel));
    tell(peer, close);
}

static size_t adapter_channel_buffered(const void *peer, unsigned channel)
{
    (void)channel;
    const struct adapter *a = peer;
    return a->outgoing.len;
}

static struct bytes adapter_channel_label(const void *peer, unsigned channel)
{
    const struct adapter *a = peer;
    return channel < a->channels_max ? bytes_text(a->channels[channel].label) : bytes_of(NULL, 0);
}

static void adapter_set_buffered_low(void *peer, unsigned channel, size_t threshold)
{
    (void)peer, (void)channel, (void)threshold; // the pipe's room is what counts
}

static void adapter_key_log(const void *peer, struct text *to)
{
    const struct adapter *a = peer;
    if (a->keys.len)
        text_add(to, text_bytes(&a->keys));
}

static void adapter_close(void *peer, nanotime now)
{
    (void)now;
    struct adapter *a = peer;
    tell(a, command("close"));
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
