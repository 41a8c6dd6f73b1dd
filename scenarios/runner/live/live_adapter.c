#include "scenarios/runner/live/live_adapter_priv.h"

#include "scenarios/runner/live/live_json.h"
#include "scenarios/runner/live/live_media.h"
#include "scenarios/runner/live/live_stats.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ASK_EVERY (200 * TIME_MS)
#define QUOTE_MAX 80
#define CHANNELS_AHEAD_MAX 256 // of the other side that open before one that came earlier

// What the stack says that it cannot do.
static const char *const cannot_words[] = {
    "trickle",  "restart", "relay",    "retransmits", "lifetime", "unordered", "negotiated",
    "turn-tcp", "media",   "keyframe", "mute",        "dial",     "bitrate",   "receive-max"};
// ------------------------------------------------------------------------------- what comes out

void adapter_push(struct adapter *a, enum peer_output_kind kind, unsigned channel,
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

void adapter_changed(struct adapter *a)
{
    adapter_push(a, PEER_CHANGED, 0, bytes_of(NULL, 0), false);
}

bool adapter_poll(void *peer, nanotime now, struct peer_output *out)
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

nanotime adapter_deadline(const void *peer)
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
    adapter_changed(a);
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
    adapter_changed(a);
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
    const json_t *tracks = json_object_get(event, "tracks"), *track;
    size_t i;
    json_array_foreach(tracks, i, track)
    {
        if (i < a->tracks_count)
            live_track_stats_decode(track, &a->tracks[i], &a->tracks_told[i]);
    }
    live_transport_stats_decode(json_object_get(event, "transport"), &a->transport,
                                &a->transport_told);
    const json_t *keys = json_object_get(json_object_get(event, "simrtc"), "keys");
    if (json_is_string(keys)) {
        text_clear(&a->keys);
        text_add(&a->keys, bytes_of(json_string_value(keys), json_string_length(keys)));
    }
    if (!a->detailed)
        derive(a, now);
    adapter_changed(a);
    return true;
}

// Candidates are of the section that the others share their transport with (RFC 9143 7.2.1): with
// audio and video the first one, else that of the data channels, which alone is taken.
void adapter_learn_mid(struct adapter *a, const char *sdp)
{
    const char *section = strstr(sdp, a->tracks_count ? "\nm=" : "\nm=application");
    a->section = 0;
    for (const char *m = sdp; section && (m = strstr(m, "\nm=")) != section; m++)
        a->section++;
    const char *at = strstr(section ? section : sdp, "a=mid:");
    size_t len = at ? strcspn(at + 6, "\r\n") : 0;
    if (len > 0 && len < sizeof a->mid)
        snprintf(a->mid, sizeof a->mid, "%.*s", (int)len, at + 6);
}

// The ICE user fragment of a section; empty: there is no such section, or it has none.
static struct bytes ufrag_of(const char *sdp, const char *mid)
{
    static const char ufrag_name[] = "a=ice-ufrag:", mid_name[] = "a=mid:";
    struct bytes session = {0}, ufrag = {0};
    bool in_section = false, found = false;
    for (const char *line = sdp; *line;) {
        struct bytes text = bytes_of(line, strcspn(line, "\r\n"));
        line += text.len + strspn(line + text.len, "\r\n");
        if (bytes_starts(text, "m=") && found)
            break;
        if (bytes_starts(text, "m=")) {
            in_section = true;
            ufrag = session;
        } else if (bytes_starts(text, ufrag_name)) {
            *(in_section ? &ufrag : &session) = bytes_from(text, sizeof ufrag_name - 1);
        } else if (bytes_starts(text, mid_name)) {
            found |= bytes_is(bytes_from(text, sizeof mid_name - 1), mid);
        }
    }
    return found ? ufrag : (struct bytes){0};
}

// Sections of a bundle may name its transport by the mid of any of them.
static bool is_of_transport(const struct adapter *a, const char *mid)
{
    const char *sdp = a->described.len ? a->described.at : "";
    struct bytes ufrag = ufrag_of(sdp, mid);
    return strcmp(mid, a->mid) == 0 || (ufrag.len && bytes_equal(ufrag, ufrag_of(sdp, a->mid)));
}

static bool on_sdp(struct adapter *a, nanotime now, const json_t *event)
{
    const char *sdp = live_json_text(event, "sdp"), *type = live_json_text(event, "type");
    if (!sdp || !type || (strcmp(type, "offer") != 0 && strcmp(type, "answer") != 0)) {
        live_adapter_fail(a, now, false, "its 'sdp' has no sdp, or is neither offer nor answer");
        return false;
    }
    adapter_learn_mid(a, sdp);
    text_clear(&a->described);
    text_put(&a->described, sdp);
    adapter_push(a, PEER_DESCRIPTION, 0, bytes_text(sdp), type[0] == 'a');
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
    if (mid && text[0] && !is_of_transport(a, mid))
        return true; // of audio or video, which has a transport of its own until it is refused
    struct bytes candidate = bytes_text(text);
    if (bytes_starts(candidate, "a="))
        candidate = bytes_from(candidate, 2);
    static const char *const types[] = {" typ host", " typ srflx", " typ prflx", " typ relay"};
    for (unsigned i = 0; i < 4; i++)
        a->stats.candidates[i] += !a->detailed && strstr(text, types[i]);
    adapter_push(a, PEER_CANDIDATE, 0, candidate, false);
    return true;
}

struct channel *adapter_channel_of(struct adapter *a, unsigned number)
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

// Channels of the other side are numbered as they come, but may open in another order. The table
// grows with what was opened, not with the number that an adapter makes up.
static bool on_open(struct adapter *a, nanotime now, const json_t *event)
{
    uint64_t number;
    if (!live_json_number(event, "channel", 2u * CHANNELS_MAX, &number))
        return bad_channel(a, now, "open");
    bool incoming = number % 2 == 1;
    if (number / 2 >=
        (incoming ? a->channels_opened_by_it + CHANNELS_AHEAD_MAX : a->channels_opened_by_us))
        return bad_channel(a, now, "open");
    struct channel *channel = adapter_channel_of(a, (unsigned)number);
    if (channel->open || channel->known == incoming)
        return bad_channel(a, now, "open");
    if (incoming) {
        const char *label = live_json_text(event, "label");
        snprintf(channel->label, sizeof channel->label, "%s", label ? label : "");
        channel->known = true;
        a->channels_opened_by_it++;
    }
    channel->open = true;
    if (!a->detailed) {
        a->stats.channels_open++;
        a->stats.channels_opened++;
        derive(a, now);
    }
    adapter_push(a, PEER_CHANNEL_OPEN, (unsigned)number, bytes_of(NULL, 0), incoming);
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
        adapter_push(a, PEER_MESSAGE, (unsigned)number, text_bytes(&content), text);
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
    adapter_push(a, PEER_CHANNEL_CLOSED, (unsigned)number, bytes_of(NULL, 0), false);
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
    adapter_changed(a);
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
