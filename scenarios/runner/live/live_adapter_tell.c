// What an adapter is told: commands as lines, and the table of operations that sends them.
#include "scenarios/runner/live/live_adapter_priv.h"

#include "scenarios/runner/live/live_config.h"
#include "scenarios/runner/live/live_json.h"
#include "scenarios/runner/live/live_media.h"
#include "scenarios/runner/live/live_stats.h"

#include <stdio.h>
#include <stdlib.h>

#define OUTGOING_MAX ((size_t)1024 * 1024) // waiting for the process: then a channel is full
#define MESSAGE_MAX ((size_t)700 * 1024)   // what fits into a line as base64

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
                adapter_push(a, PEER_BUFFERED_LOW, i, bytes_of(NULL, 0), false);
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

bool live_adapter_tells(const void *peer, const char *metric)
{
    // What the bench sees by itself: states and channels as they are told, candidates and
    // descriptions as they pass, packets.
    static const char *const seen[] = {"state",
                                       "signaling",
                                       "gathering",
                                       "ice.state",
                                       "path",
                                       "dtls.state",
                                       "sctp.state",
                                       "refused",
                                       "gathered-at",
                                       "ice.connected-at",
                                       "dtls.connected-at",
                                       "sctp.connected-at",
                                       "connected-at",
                                       "disconnected-at",
                                       "failed-at",
                                       "restarts",
                                       "candidates.host",
                                       "candidates.srflx",
                                       "candidates.relay",
                                       "candidates.remote",
                                       "channels.open",
                                       "channels.opened",
                                       "channels.closed",
                                       "stun-packets",
                                       "dtls-packets"};
    static const char *const of_pair[] = {"selected", "selected.remote", "nominated"};
    const struct adapter *a = peer;
    bool told = a->detailed;
    for (size_t i = 0; i < sizeof seen / sizeof seen[0]; i++)
        told |= strcmp(metric, seen[i]) == 0;
    for (size_t i = 0; a->stats.has_selected && i < sizeof of_pair / sizeof of_pair[0]; i++)
        told |= strcmp(metric, of_pair[i]) == 0;
    return told;
}

bool live_adapter_tells_track(const void *peer, unsigned track, const struct media_member *member)
{
    const struct adapter *a = peer;
    return track < MEDIA_TRACKS_MAX && live_track_is_told(&a->tracks_told[track], member);
}

bool live_adapter_tells_transport(const void *peer, const struct media_member *member)
{
    const struct adapter *a = peer;
    return live_transport_is_told(&a->transport_told, member);
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
    text_free(&a->described);
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
    adapter_learn_mid(a, text);
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
    struct channel *channel = adapter_channel_of(a, number);
    bytes_copy_text(config->label, channel->label, sizeof channel->label);
    channel->known = true;
    json_t *open = command("open");
    live_channel_encode(open, number, config);
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

// Whether the other side may send to it, too, is told by `track`.
static int adapter_track_add(void *peer, const struct media_track_config *config)
{
    struct adapter *a = peer;
    if (a->cannot & CANNOT_MEDIA || a->tracks_count == MEDIA_TRACKS_MAX) {
        live_adapter_fail(a, 0, true, "its stack has no audio and video");
        return -1;
    }
    json_t *add = command("track");
    if (!live_track_encode(add, a->tracks_count, config))
        live_adapter_fail(a, 0, true, "the clip of '%s' is too large to be told", config->label);
    tell(a, add);
    return (int)a->tracks_count++;
}

static void adapter_media_command(void *peer, nanotime now, const struct media_command *told)
{
    static const unsigned needs[] = {
        [MEDIA_MUTE] = CANNOT_MUTE,         [MEDIA_UNMUTE] = CANNOT_MUTE,
        [MEDIA_KEYFRAME] = CANNOT_KEYFRAME, [MEDIA_DIAL] = CANNOT_DIAL,
        [MEDIA_BITRATE] = CANNOT_BITRATE,   [MEDIA_RECEIVE_MAX] = CANNOT_RECEIVE_MAX};
    struct adapter *a = peer;
    if (a->cannot & needs[told->kind]) {
        live_adapter_fail(a, now, true, "its stack has no '%s' to be told",
                          live_media_command_name(told->kind));
        return;
    }
    json_t *media = command("media");
    live_media_command_encode(media, told);
    tell(a, media);
}

static void adapter_track_stats(const void *peer, nanotime now, unsigned track,
                                struct media_track_stats *out)
{
    (void)now; // as of the latest answer
    const struct adapter *a = peer;
    if (track < a->tracks_count)
        *out = a->tracks[track];
}

static void adapter_transport_stats(const void *peer, struct media_transport_stats *out)
{
    const struct adapter *a = peer;
    *out = a->transport;
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
    adapter_changed(a);
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
    .track_add = adapter_track_add,
    .media_command = adapter_media_command,
    .track_stats = adapter_track_stats,
    .transport_stats = adapter_transport_stats,
    .key_log = adapter_key_log,
    .close = adapter_close,
    .stats = adapter_stats,
};
