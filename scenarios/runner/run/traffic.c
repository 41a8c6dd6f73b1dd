// Data channels in a run: what is opened, sent and received, tracked by label and by handle.
//
// Every message carries its number, and its content follows from number and size, so that the
// receiver can tell order, doubles and damage. Messages of 16 bytes and more carry when they were
// sent, too.
#include "scenarios/runner/run/run_priv.h"

#include <stdio.h>
#include <stdlib.h>

#define STAMP_LEN 16                      // number (8) and time (8); in text, 16 + 16 hex digits
#define BUFFERED_LOW ((size_t)256 * 1024) // a full channel is written to again at this

struct handle_track {
    unsigned track; // index of the peer's tracks
    bool open;
    uint64_t next_sent; // number of the next message
    uint64_t next_received;
};

// A `send` of the timeline under way.
struct sender {
    struct sender *next;
    const struct scenario_action *action;
    struct run_peer *peer;
    uint32_t left;
    unsigned cursor; // the handle to go on with, after one was full
    nanotime due;    // the next message; TIME_NEVER while the channel is not open, or full
};

// ------------------------------------------------------------------------------------------ tracks

static unsigned track_index(struct run_peer *peer, struct bytes label)
{
    for (unsigned i = 0; i < peer->channels_count; i++) {
        if (bytes_is(label, peer->channels[i].label))
            return i;
    }
    unsigned index = peer->channels_count++;
    // Doubling: full at every power of two.
    if ((index & (index - 1)) == 0)
        peer->channels =
            mem_grow(peer->channels, sizeof *peer->channels * (index ? (size_t)index * 2 : 1));
    struct channel_track *track = &peer->channels[index];
    *track = (struct channel_track){
        .opened_at = TIME_NEVER, .first_at = TIME_NEVER, .last_at = TIME_NEVER};
    bytes_copy_text(label, track->label, sizeof track->label);
    return index;
}

const struct channel_track *traffic_find(const struct run_peer *peer, const char *label)
{
    for (unsigned i = 0; i < peer->channels_count; i++) {
        if (strcmp(peer->channels[i].label, label) == 0)
            return &peer->channels[i];
    }
    return NULL;
}

static struct handle_track *handle_of(struct run_peer *peer, unsigned handle)
{
    if (handle >= peer->handles_max) {
        unsigned max = peer->handles_max ? peer->handles_max : 4;
        while (max <= handle)
            max *= 2;
        peer->handles = mem_grow(peer->handles, sizeof *peer->handles * max);
        memset(peer->handles + peer->handles_max, 0,
               sizeof *peer->handles * (max - peer->handles_max));
        peer->handles_max = max;
    }
    return &peer->handles[handle];
}

// ------------------------------------------------------------------------------- opening, closing

void traffic_open(struct run *run, struct run_peer *peer, const struct scenario_channel *channel)
{
    for (unsigned i = 0; i == 0 || i < channel->count; i++) {
        if (run->ops->channel_open(peer->peer, run_now(run), &channel->config) < 0) {
            unsigned track = track_index(peer, channel->config.label); // the table may move
            peer->channels[track].refused = true;
            trace(&run->trace, run_now(run), "%s cannot open channel \"%.*s\"",
                  peer->scenario->name, (int)channel->config.label.len,
                  (const char *)channel->config.label.at);
            return;
        }
    }
}

void traffic_open_initial(struct run *run, const struct scenario_session *session)
{
    for (unsigned i = 0; i < session->channels_count; i++) {
        const struct scenario_channel *channel = &session->channels[i];
        traffic_open(run, &run->peers[channel->peer], channel);
        if (channel->config.negotiated) // both sides know of it (RFC 8831 6.6)
            traffic_open(run, &run->peers[run->peers[channel->peer].remote], channel);
    }
}

void traffic_opened(struct run *run, struct run_peer *peer, unsigned handle)
{
    struct bytes label = run->ops->channel_label(peer->peer, handle);
    unsigned index = track_index(peer, label);
    struct channel_track *track = &peer->channels[index];
    track->opened++;
    if (track->opened_at == TIME_NEVER)
        track->opened_at = run_now(run);
    *handle_of(peer, handle) = (struct handle_track){.track = index, .open = true};
    for (struct sender *s = run->senders; s; s = s->next) {
        if (s->due == TIME_NEVER && s->peer == peer && bytes_is(label, s->action->channel))
            s->due = run_now(run);
    }
    run->ops->set_buffered_low(peer->peer, handle, BUFFERED_LOW);
}

void traffic_writable(struct run *run, const struct run_peer *peer)
{
    for (struct sender *s = run->senders; s; s = s->next) {
        if (s->due == TIME_NEVER && s->peer == peer && s->left > 0)
            s->due = run_now(run);
    }
}

void traffic_channel_closed(struct run *run, struct run_peer *peer, unsigned handle)
{
    (void)run;
    struct handle_track *track = handle_of(peer, handle);
    if (!track->open)
        return;
    track->open = false;
    peer->channels[track->track].closed++;
}

void traffic_close(struct run *run, struct run_peer *peer, const char *label)
{
    for (unsigned i = 0; i < peer->handles_max; i++) {
        struct handle_track *handle = &peer->handles[i];
        if (handle->open && strcmp(peer->channels[handle->track].label, label) == 0)
            run->ops->channel_close(peer->peer, run_now(run), i);
    }
}

// ---------------------------------------------------------------------------------------- messages

static uint8_t pattern(uint64_t number, size_t i, bool text)
{
    uint8_t v = (uint8_t)(number * 31 + i * 7);
    return text ? (uint8_t)('a' + v % 26) : v;
}

static void stamp_write(uint8_t *to, uint64_t v, bool text)
{
    struct writer w = writer_of(to, 8);
    if (text) {
        char digits[17];
        snprintf(digits, sizeof digits, "%016llx", (unsigned long long)v);
        memcpy(to, digits, 16);
    } else {
        write_u64(&w, v);
    }
}

static uint64_t stamp_read(const uint8_t *at, bool text)
{
    if (!text) {
        struct reader r = reader_of(bytes_of(at, 8));
        return read_u64(&r);
    }
    char digits[17];
    memcpy(digits, at, 16);
    digits[16] = 0;
    return strtoull(digits, NULL, 16);
}

static void message_fill(uint8_t *to, size_t size, uint64_t number, nanotime now, bool text)
{
    size_t width = text ? 16 : 8, start = 0;
    if (size >= 2 * width) {
        stamp_write(to, number, text);
        stamp_write(to + width, (uint64_t)now, text);
        start = 2 * width;
    }
    for (size_t i = start; i < size; i++)
        to[i] = pattern(number, i, text);
}

static bool message_intact(struct bytes got, uint64_t number, bool text)
{
    size_t width = text ? 16 : 8;
    for (size_t i = got.len >= 2 * width ? 2 * width : 0; i < got.len; i++) {
        if (got.at[i] != pattern(number, i, text))
            return false;
    }
    return true;
}

void traffic_message(struct run *run, struct run_peer *peer, const struct peer_output *out)
{
    struct handle_track *handle = handle_of(peer, out->channel);
    struct channel_track *track = &peer->channels[handle->track];
    size_t width = out->text ? 16 : 8;
    uint64_t number = handle->next_received; // what a short message is taken for
    nanotime now = run_now(run);
    bool intact = true;

    if (!handle->open)
        track->damaged++;
    if (out->bytes.len >= 2 * width) {
        number = stamp_read(out->bytes.at, out->text);
        uint64_t sent = stamp_read(out->bytes.at + width, out->text);
        intact = sent <= (uint64_t)now; // an adapter may say what it likes
        if (intact)
            track->latency_max = time_max(track->latency_max, now - (nanotime)sent);
    }
    if (!intact || !message_intact(out->bytes, number, out->text))
        track->damaged++;
    // Of an unordered or unreliable channel, gaps are no fault; going back is out of order.
    if (number < handle->next_received)
        track->out_of_order++;
    else
        handle->next_received = number + 1;
    track->received++;
    track->bytes_received += out->bytes.len;
    track->last_at = now;
    if (track->first_at == TIME_NEVER)
        track->first_at = now;
}

// ----------------------------------------------------------------------------------------- sending

void traffic_send(struct run *run, const struct scenario_action *action)
{
    struct sender *s = mem_alloc(sizeof *s);
    *s = (struct sender){.action = action,
                         .peer = &run->peers[action->peer],
                         .left = action->messages,
                         .due = action->at};
    struct sender **end = &run->senders; // in the order of the timeline
    while (*end)
        end = &(*end)->next;
    *end = s;
}

// One message on every open channel of the label. False: none is open, or one is full.
static bool send_one(struct run *run, struct sender *s, uint8_t *buffer)
{
    const struct scenario_action *action = s->action;
    struct run_peer *peer = s->peer;
    bool any = s->cursor > 0;
    for (unsigned i = s->cursor; i < peer->handles_max; i++) {
        struct handle_track *handle = &peer->handles[i];
        if (!handle->open || strcmp(peer->channels[handle->track].label, action->channel) != 0)
            continue;
        s->cursor = i;
        message_fill(buffer, action->size, handle->next_sent, run_now(run), action->text);
        enum sctp_send_result sent = run->ops->send(peer->peer, run_now(run), i,
                                                    bytes_of(buffer, action->size), action->text);
        if (sent == SCTP_WOULD_BLOCK)
            return false;
        struct channel_track *track = &peer->channels[handle->track];
        if (sent == SCTP_SENT) {
            handle->next_sent++;
            track->sent++;
            track->bytes_sent += action->size;
        } else {
            track->refused = true;
        }
        any = true;
    }
    s->cursor = 0;
    return any;
}

static void sender_run(struct run *run, struct sender *s)
{
    uint8_t *buffer = mem_alloc(s->action->size);
    nanotime now = run_now(run);
    while (s->left > 0 && s->due <= now) {
        if (!send_one(run, s, buffer)) {
            s->due = TIME_NEVER; // until traffic_opened or traffic_writable
            break;
        }
        s->left--;
        s->due = time_add(s->due, s->action->interval);
    }
    free(buffer);
    if (s->left == 0)
        s->due = TIME_NEVER;
}

void traffic_run_due(struct run *run)
{
    struct sender **at = &run->senders;
    while (*at) {
        struct sender *s = *at;
        if (s->due <= run_now(run)) {
            sender_run(run, s);
            peer_pump(run, s->peer);
        }
        if (s->left == 0) {
            *at = s->next;
            free(s);
        } else {
            at = &s->next;
        }
    }
}

nanotime traffic_deadline(const struct run *run)
{
    nanotime at = TIME_NEVER;
    for (const struct sender *s = run->senders; s; s = s->next)
        at = time_min(at, s->due);
    return at;
}

void traffic_free(struct run *run)
{
    while (run->senders) {
        struct sender *next = run->senders->next;
        free(run->senders);
        run->senders = next;
    }
    for (unsigned i = 0; i < run->scenario->peers_count; i++) {
        free(run->peers[i].channels);
        free(run->peers[i].handles);
        for (int k = 0; k < 2; k++)
            text_free(&run->peers[i].descriptions[k]);
    }
}
