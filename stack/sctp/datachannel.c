// Data channels over one association. A channel is a pair of streams with one number, opened by
// DCEP or by agreement, closed by resetting both streams:
//
//     CONNECTING -ACK, or any message-> OPEN -our close, or the peer's reset-> CLOSING
//     CLOSING -our stream reset, and the peer's-> CLOSED, the number is free
//
// Everything that arrives is looked up by its stream, in one array; handles index another, and are
// never used twice.
#include "stack/sctp/datachannel.h"

#include "base/arena.h"
#include "stack/sctp/dcep.h"

#include <assert.h>
#include <stdlib.h>

struct channel {
    enum channel_state state;
    struct channel_config config; // label and protocol in `text`
    char *text;
    bool opened;    // now or before
    bool heard;     // of the peer: our messages may go unordered
    bool in_reset;  // the peer's stream is reset
    bool out_asked; // ours is to be
    bool out_reset; // and is
    bool blocked;   // in the list of those that wait until there is room: to
    bool owes_ack;  // acknowledge, and
    bool refused;   // to be told so, for a message of theirs was not taken
    struct channel_stats stats;
};

struct stream {
    uint32_t handle; // of its channel, plus 1; 0: none
    bool reset;      // our side is reset and unused since: no need to answer a reset with one
    bool pending;    // a reset of our side is under way
    bool again;      // and another is to follow: the stream has a new channel, closed already
};

struct signal {
    enum channels_output_kind kind;
    unsigned channel;
    bool incoming;
};

struct channels {
    struct sctp *sctp;
    struct trace trace;
    bool client;
    struct channel *at;
    unsigned count, max;
    struct stream *streams;
    unsigned streams_max;
    unsigned id_next; // no id of our parity is free below
    struct {
        struct signal *at;
        size_t head, len, max;
    } signals;
    struct {
        unsigned *at;
        size_t len, max;
    } blocked;
    bool held; // a message to hand out after the signals
    struct channels_output held_output;
    unsigned drops[CHANNEL_DROPS];
};

const char *channel_state_name(enum channel_state state)
{
    static const char *const names[] = {"connecting", "open", "closing", "closed"};
    return names[state];
}

const char *channel_drop_name(enum channel_drop drop)
{
    static const char *const names[] = {"kept",           "bad-dcep",  "bad-parity",
                                        "already-open",   "not-open",  "unknown-ppid",
                                        "label-too-long", "table-full"};
    return names[drop];
}

// ---------------------------------------------------------------------------------------- tables

static void signal_push(struct channels *channels, enum channels_output_kind kind, unsigned channel,
                        bool incoming)
{
    if (channels->signals.head == channels->signals.len)
        channels->signals.head = channels->signals.len = 0;
    if (channels->signals.len == channels->signals.max) {
        channels->signals.max = channels->signals.max ? channels->signals.max * 2 : 8;
        channels->signals.at =
            mem_grow(channels->signals.at, channels->signals.max * sizeof *channels->signals.at);
    }
    channels->signals.at[channels->signals.len++] = (struct signal){kind, channel, incoming};
}

static struct stream *stream_at(struct channels *channels, uint16_t id)
{
    if (id >= channels->streams_max) {
        unsigned max = channels->streams_max ? channels->streams_max : 16;
        while (max <= id)
            max *= 2;
        channels->streams = mem_grow(channels->streams, max * sizeof *channels->streams);
        memset(channels->streams + channels->streams_max, 0,
               (max - channels->streams_max) * sizeof *channels->streams);
        channels->streams_max = max;
    }
    return &channels->streams[id];
}

static bool stream_taken(const struct channels *channels, unsigned id)
{
    return id < channels->streams_max && channels->streams[id].handle;
}

// RFC 8832 6: the DTLS client uses even ids.
static unsigned parity(bool client)
{
    return client ? 0 : 1;
}

static unsigned id_choose(struct channels *channels)
{
    unsigned id = channels->id_next;
    while (id < CHANNEL_ID_AUTO && stream_taken(channels, id))
        id += 2;
    channels->id_next = id;
    return id;
}

static int channel_add(struct channels *channels, const struct channel_config *config, uint16_t id)
{
    if (channels->count == CHANNELS_MAX)
        return -1;
    if (channels->count == channels->max) {
        channels->max = channels->max ? channels->max * 2 : 4;
        channels->at = mem_grow(channels->at, channels->max * sizeof *channels->at);
    }
    size_t label_len = config->label.len, protocol_len = config->protocol.len;
    char *text = mem_alloc(label_len + protocol_len);
    if (label_len)
        memcpy(text, config->label.at, label_len);
    if (protocol_len)
        memcpy(text + label_len, config->protocol.at, protocol_len);
    unsigned handle = channels->count++;
    struct channel *channel = &channels->at[handle];
    *channel = (struct channel){.config = *config, .text = text};
    channel->config.label = bytes_of(text, label_len);
    channel->config.protocol = bytes_of(text + label_len, protocol_len);
    channel->config.id = id;
    struct stream *stream = stream_at(channels, id);
    stream->handle = handle + 1;
    stream->reset = false;
    sctp_stream_set_low(channels->sctp, id, 0);
    return (int)handle;
}

static struct channel *channel_of(struct channels *channels, uint16_t stream)
{
    uint32_t handle = stream < channels->streams_max ? channels->streams[stream].handle : 0;
    return handle ? &channels->at[handle - 1] : NULL;
}

static unsigned handle_of(const struct channels *channels, const struct channel *channel)
{
    return (unsigned)(channel - channels->at);
}

// ------------------------------------------------------------------------------------- a channel

static enum sctp_send_result dcep_send(struct channels *channels, nanotime now, uint16_t id,
                                       struct bytes bytes)
{
    // RFC 8832 6: reliable, ordered, on the channel's own stream.
    struct sctp_message message = {id, PPID_DCEP, bytes};
    struct sctp_delivery delivery = {.beyond_buffer = true};
    stream_at(channels, id)->reset = false;
    return sctp_send(channels->sctp, now, &message, delivery);
}

static void channel_opened(struct channels *channels, nanotime now, struct channel *channel,
                           bool incoming)
{
    channel->state = CHANNEL_OPEN;
    channel->opened = true;
    trace(&channels->trace, now, "channel %u open: \"%.*s\"", channel->config.id,
          (int)channel->config.label.len, channel->text);
    signal_push(channels, CHANNELS_OPENED, handle_of(channels, channel), incoming);
}

static void channel_end(struct channels *channels, nanotime now, struct channel *channel)
{
    uint16_t id = channel->config.id;
    channel->state = CHANNEL_CLOSED;
    stream_at(channels, id)->handle = 0;
    stream_at(channels, id)->reset = true;
    if ((id & 1) == parity(channels->client) && id < channels->id_next)
        channels->id_next = id;
    trace(&channels->trace, now, "channel %u closed", id);
    signal_push(channels, CHANNELS_CLOSED, handle_of(channels, channel), false);
}

// The association is up: negotiated channels are open, others ask.
static void channel_begin(struct channels *channels, nanotime now, struct channel *channel)
{
    uint8_t space[DCEP_OPEN_MAX];
    if (channel->config.negotiated) {
        channel->heard = true;
        channel_opened(channels, now, channel, false);
    } else if (dcep_send(channels, now, channel->config.id,
                         dcep_open_encode(&channel->config, space)) == SCTP_BAD_STREAM) {
        channel_end(channels, now, channel); // the peer refused more streams before
    }
}

static void blocked_add(struct channels *channels, unsigned handle)
{
    if (channels->at[handle].blocked)
        return;
    channels->at[handle].blocked = true;
    if (channels->blocked.len == channels->blocked.max) {
        channels->blocked.max = channels->blocked.max ? channels->blocked.max * 2 : 4;
        channels->blocked.at =
            mem_grow(channels->blocked.at, channels->blocked.max * sizeof *channels->blocked.at);
    }
    channels->blocked.at[channels->blocked.len++] = handle;
}

// Our side of the stream may still wait for the answer to its last reset: then later.
static void ack_send(struct channels *channels, nanotime now, struct channel *channel)
{
    static const uint8_t ack[] = {DCEP_ACK};
    enum sctp_send_result result =
        dcep_send(channels, now, channel->config.id, bytes_of(ack, sizeof ack));
    channel->owes_ack = result == SCTP_WOULD_BLOCK;
    if (channel->owes_ack)
        blocked_add(channels, handle_of(channels, channel));
    else if (result == SCTP_BAD_STREAM)
        channel_end(channels, now, channel);
}

// Reset our side of a stream, unless it was not used since it was reset last. SCTP carries out one
// reset of a stream at a time.
static void stream_reset(struct channels *channels, nanotime now, uint16_t id)
{
    struct stream *stream = stream_at(channels, id);
    if (stream->reset)
        return;
    stream->reset = true;
    if (stream->pending)
        stream->again = true;
    else
        stream->pending = sctp_reset_stream(channels->sctp, now, id);
}

static void channel_reset(struct channels *channels, nanotime now, struct channel *channel)
{
    channel->state = CHANNEL_CLOSING;
    if (channel->out_asked)
        return;
    channel->out_asked = true;
    stream_at(channels, channel->config.id)->reset = false;
    stream_reset(channels, now, channel->config.id);
}

// ---------------------------------------------------------------------------------- what arrives

static void drop(struct channels *channels, nanotime now, uint16_t stream, enum channel_drop why)
{
    channels->drops[why]++;
    trace(&channels->trace, now, "stream %u: dropped, %s", stream, channel_drop_name(why));
}

// RFC 8832 6: what breaks the rules closes its channel, or its stream where there is none.
static void refuse(struct channels *channels, nanotime now, uint16_t stream, enum channel_drop why)
{
    drop(channels, now, stream, why);
    struct channel *channel = channel_of(channels, stream);
    if (channel)
        channel_reset(channels, now, channel);
    else if (stream < sctp_streams_out(channels->sctp))
        stream_reset(channels, now, stream);
}

static void open_arrived(struct channels *channels, nanotime now,
                         const struct sctp_message *message)
{
    struct channel_config config;
    enum channel_drop why = dcep_open_decode(message->bytes, &config);
    struct channel *old = channel_of(channels, message->stream);
    // The peer has both resets behind it, or it would not open again: only the answer to ours was
    // lost.
    if (why == CHANNEL_KEPT && old && old->in_reset && old->out_asked) {
        channel_end(channels, now, old);
        old = NULL;
    }
    if (why == CHANNEL_KEPT && old)
        why = CHANNEL_ALREADY_OPEN;
    else if (why == CHANNEL_KEPT && (message->stream & 1) == parity(channels->client))
        why = CHANNEL_BAD_PARITY;
    int handle = why == CHANNEL_KEPT ? channel_add(channels, &config, message->stream) : 0;
    if (handle < 0)
        why = CHANNEL_TABLE_FULL;
    if (why != CHANNEL_KEPT) {
        refuse(channels, now, message->stream, why);
        return;
    }
    channels->at[handle].heard = true;
    channel_opened(channels, now, &channels->at[handle], true);
    ack_send(channels, now, &channels->at[handle]);
}

static void ack_arrived(struct channels *channels, nanotime now, const struct sctp_message *message)
{
    struct channel *channel = channel_of(channels, message->stream);
    if (!channel || channel->config.negotiated) {
        refuse(channels, now, message->stream, CHANNEL_NOT_OPEN);
        return;
    }
    channel->heard = true;
    if (channel->state == CHANNEL_CONNECTING)
        channel_opened(channels, now, channel, false);
}

static void dcep_arrived(struct channels *channels, nanotime now,
                         const struct sctp_message *message)
{
    uint8_t type = message->bytes.len ? message->bytes.at[0] : 0;
    if (type == DCEP_OPEN)
        open_arrived(channels, now, message);
    else if (type == DCEP_ACK) // RFC 8832 5.2: a byte; pion pads it to four
        ack_arrived(channels, now, message);
    else
        refuse(channels, now, message->stream, CHANNEL_BAD_DCEP);
}

// True when the message is to be handed out.
static bool data_arrived(struct channels *channels, nanotime now,
                         const struct sctp_message *message, struct channels_output *out)
{
    struct channel *channel = channel_of(channels, message->stream);
    bool text = message->ppid == PPID_STRING || message->ppid == PPID_STRING_EMPTY;
    bool binary = message->ppid == PPID_BINARY || message->ppid == PPID_BINARY_EMPTY;
    bool empty = message->ppid == PPID_STRING_EMPTY || message->ppid == PPID_BINARY_EMPTY;
    if (!channel) {
        refuse(channels, now, message->stream, CHANNEL_NOT_OPEN);
        return false;
    }
    if (channel->state == CHANNEL_CLOSING) {
        drop(channels, now, message->stream, CHANNEL_NOT_OPEN);
        return false;
    }
    if (!text && !binary) {
        drop(channels, now, message->stream, CHANNEL_UNKNOWN_PPID);
        return false;
    }
    channel->heard = true;
    if (channel->state == CHANNEL_CONNECTING)
        channel_opened(channels, now, channel, false);
    // RFC 8831 6.6: SCTP has no empty message, so one byte is sent that does not count.
    size_t len = empty ? 0 : message->bytes.len;
    channel->stats.messages_received++;
    channel->stats.bytes_received += len;
    *out = (struct channels_output){
        .kind = CHANNELS_MESSAGE,
        .channel = handle_of(channels, channel),
        .bytes = {message->bytes.at, len},
        .text = text,
    };
    return true;
}

// RFC 8831 6.7: the peer's reset of its stream is answered with a reset of ours.
static void reset_in_arrived(struct channels *channels, nanotime now, uint16_t stream)
{
    struct channel *channel = channel_of(channels, stream);
    if (!channel) {
        if (stream < sctp_streams_out(channels->sctp))
            stream_reset(channels, now, stream);
        return;
    }
    channel->in_reset = true;
    channel_reset(channels, now, channel);
    if (channel->out_reset)
        channel_end(channels, now, channel);
}

static void reset_out_done(struct channels *channels, nanotime now, uint16_t stream)
{
    struct stream *s = stream_at(channels, stream);
    s->pending = s->again && sctp_reset_stream(channels->sctp, now, stream);
    s->again = false;
    struct channel *channel = channel_of(channels, stream);
    if (s->pending || !channel || !channel->out_asked)
        return;
    channel->out_reset = true;
    if (channel->in_reset)
        channel_end(channels, now, channel);
}

// The peer grants no stream for the channel: there is nothing to reset, nor to wait for.
static void stream_refused(struct channels *channels, nanotime now, uint16_t stream)
{
    struct channel *channel = channel_of(channels, stream);
    if (channel)
        channel_end(channels, now, channel);
}

static void association_changed(struct channels *channels, nanotime now)
{
    signal_push(channels, CHANNELS_STATE_CHANGED, 0, false);
    enum sctp_state state = sctp_state(channels->sctp);
    for (unsigned i = 0; i < channels->count; i++) {
        struct channel *channel = &channels->at[i];
        if (state == SCTP_CONNECTED && channel->state == CHANNEL_CONNECTING)
            channel_begin(channels, now, channel);
        else if (state == SCTP_CLOSED && channel->state != CHANNEL_CLOSED)
            channel_end(channels, now, channel);
    }
}

static void writable(struct channels *channels, nanotime now)
{
    size_t len = channels->blocked.len;
    channels->blocked.len = 0; // who is blocked again goes to a place already read
    for (size_t i = 0; i < len; i++) {
        unsigned handle = channels->blocked.at[i];
        struct channel *channel = &channels->at[handle];
        channel->blocked = false;
        if (channel->state != CHANNEL_OPEN && channel->state != CHANNEL_CONNECTING)
            continue;
        if (channel->owes_ack)
            ack_send(channels, now, channel);
        if (channel->owes_ack || !channel->refused)
            continue;
        channel->refused = false;
        signal_push(channels, CHANNELS_BUFFERED_LOW, handle, false);
    }
}

static void stream_low(struct channels *channels, uint16_t stream)
{
    struct channel *channel = channel_of(channels, stream);
    if (channel && channel->state == CHANNEL_OPEN && channel->stats.messages_sent)
        signal_push(channels, CHANNELS_BUFFERED_LOW, handle_of(channels, channel), false);
}

// One output of the association. True when `out` is to be handed out now.
static bool translate(struct channels *channels, nanotime now, const struct sctp_output *from,
                      struct channels_output *out)
{
    switch (from->kind) {
    case SCTP_SEND:
        *out = (struct channels_output){.kind = CHANNELS_SEND, .bytes = from->bytes};
        return true;
    case SCTP_STATE_CHANGED:
        association_changed(channels, now);
        return false;
    case SCTP_MESSAGE:
        if (from->message.ppid == PPID_DCEP)
            dcep_arrived(channels, now, &from->message);
        else
            channels->held = data_arrived(channels, now, &from->message, &channels->held_output);
        return false;
    case SCTP_STREAM_RESET_IN:
        reset_in_arrived(channels, now, from->stream);
        return false;
    case SCTP_STREAM_RESET_OUT:
        reset_out_done(channels, now, from->stream);
        return false;
    case SCTP_WRITABLE:
        writable(channels, now);
        return false;
    case SCTP_STREAM_LOW:
        stream_low(channels, from->stream);
        return false;
    case SCTP_STREAM_REFUSED:
        stream_refused(channels, now, from->stream);
        return false;
    }
    return false;
}

bool channels_poll(struct channels *channels, nanotime now, struct channels_output *out)
{
    for (;;) {
        if (channels->signals.head < channels->signals.len) {
            struct signal signal = channels->signals.at[channels->signals.head++];
            *out = (struct channels_output){
                .kind = signal.kind, .channel = signal.channel, .incoming = signal.incoming};
            return true;
        }
        if (channels->held) { // its bytes hold until the next sctp_poll
            channels->held = false;
            *out = channels->held_output;
            return true;
        }
        struct sctp_output from;
        if (!sctp_poll(channels->sctp, now, &from))
            return false;
        if (translate(channels, now, &from, out))
            return true;
    }
}

// ------------------------------------------------------------------------------------------- life

struct channels *channels_new(const struct sctp_config *config, bool client)
{
    struct channels *channels = mem_zero(1, sizeof *channels);
    *channels = (struct channels){
        .sctp = sctp_new(config),
        .trace = config->trace,
        .client = client,
        .id_next = parity(client),
    };
    return channels;
}

void channels_free(struct channels *channels)
{
    if (!channels)
        return;
    sctp_free(channels->sctp);
    for (unsigned i = 0; i < channels->count; i++)
        free(channels->at[i].text);
    free(channels->at);
    free(channels->streams);
    free(channels->signals.at);
    free(channels->blocked.at);
    free(channels);
}

// Channels that are known now have their streams at once. Later ones may have to ask for more (RFC
// 6525), which libwebrtc and libdatachannel do not grant.
void channels_connect(struct channels *channels, nanotime now)
{
    unsigned need = 0;
    for (unsigned i = 0; i < channels->count; i++) {
        unsigned id = channels->at[i].config.id;
        if (channels->at[i].state == CHANNEL_CONNECTING && id >= need)
            need = id + 1u;
    }
    sctp_streams_need(channels->sctp, need);
    sctp_connect(channels->sctp, now);
}

void channels_close_all(struct channels *channels, nanotime now)
{
    sctp_close(channels->sctp, now);
}

void channels_input(struct channels *channels, nanotime now, struct bytes packet)
{
    sctp_input(channels->sctp, now, packet);
}

nanotime channels_deadline(const struct channels *channels)
{
    bool output = channels->held || channels->signals.head < channels->signals.len;
    return output ? 0 : sctp_deadline(channels->sctp);
}

int channel_open(struct channels *channels, nanotime now, const struct channel_config *config)
{
    bool chosen = !config->negotiated && config->id == CHANNEL_ID_AUTO;
    unsigned id = chosen ? id_choose(channels) : config->id;
    if (sctp_state(channels->sctp) == SCTP_CLOSED || config->label.len >= CHANNEL_LABEL_MAX ||
        config->protocol.len >= CHANNEL_LABEL_MAX || id >= CHANNEL_ID_AUTO ||
        stream_taken(channels, id) || (!config->negotiated && (id & 1) != parity(channels->client)))
        return -1;
    int handle = channel_add(channels, config, (uint16_t)id);
    if (handle >= 0 && sctp_state(channels->sctp) == SCTP_CONNECTED)
        channel_begin(channels, now, &channels->at[handle]);
    return handle;
}

enum sctp_send_result channel_send(struct channels *channels, nanotime now, unsigned channel,
                                   struct bytes message, bool text)
{
    static const uint8_t zero[1] = {0};
    assert(channel < channels->count);
    struct channel *c = &channels->at[channel];
    if (c->state != CHANNEL_OPEN && c->state != CHANNEL_CONNECTING)
        return SCTP_NOT_CONNECTED;
    struct sctp_message m = {c->config.id, text ? PPID_STRING : PPID_BINARY, message};
    if (message.len == 0) { // RFC 8831 6.6
        m.ppid = text ? PPID_STRING_EMPTY : PPID_BINARY_EMPTY;
        m.bytes = bytes_of(zero, 1);
    }
    struct sctp_delivery delivery = c->config.delivery;
    // RFC 8832 6: ordered, until the peer is known to have the channel.
    delivery.unordered = delivery.unordered && c->heard;
    delivery.beyond_buffer = false;
    enum sctp_send_result result = sctp_send(channels->sctp, now, &m, delivery);
    if (result == SCTP_SENT) {
        stream_at(channels, c->config.id)->reset = false;
        c->stats.messages_sent++;
        c->stats.bytes_sent += message.len;
    } else if (result == SCTP_WOULD_BLOCK) {
        c->refused = true;
        blocked_add(channels, channel);
    }
    return result;
}

void channel_close(struct channels *channels, nanotime now, unsigned channel)
{
    assert(channel < channels->count);
    struct channel *c = &channels->at[channel];
    if (c->state != CHANNEL_OPEN && c->state != CHANNEL_CONNECTING)
        return;
    if (sctp_state(channels->sctp) == SCTP_CONNECTED)
        channel_reset(channels, now, c);
    else
        channel_end(channels, now, c);
}

// -------------------------------------------------------------------------------------- questions

unsigned channels_count(const struct channels *channels)
{
    return channels->count;
}

enum channel_state channel_state(const struct channels *channels, unsigned channel)
{
    assert(channel < channels->count);
    return channels->at[channel].state;
}

bool channel_was_open(const struct channels *channels, unsigned channel)
{
    assert(channel < channels->count);
    return channels->at[channel].opened;
}

const struct channel_config *channel_config(const struct channels *channels, unsigned channel)
{
    assert(channel < channels->count);
    return &channels->at[channel].config;
}

uint16_t channel_id(const struct channels *channels, unsigned channel)
{
    return channel_config(channels, channel)->id;
}

size_t channel_buffered(const struct channels *channels, unsigned channel)
{
    assert(channel < channels->count);
    const struct channel *c = &channels->at[channel];
    return c->state == CHANNEL_CLOSED ? 0 : sctp_stream_unsent(channels->sctp, c->config.id);
}

void channel_set_buffered_low(struct channels *channels, unsigned channel, size_t threshold)
{
    assert(channel < channels->count);
    if (channels->at[channel].state != CHANNEL_CLOSED)
        sctp_stream_set_low(channels->sctp, channels->at[channel].config.id, threshold);
}

struct channel_stats channel_stats(const struct channels *channels, unsigned channel)
{
    assert(channel < channels->count);
    return channels->at[channel].stats;
}

enum sctp_state channels_association(const struct channels *channels)
{
    return sctp_state(channels->sctp);
}

struct sctp_stats channels_sctp_stats(const struct channels *channels)
{
    return sctp_stats(channels->sctp);
}

unsigned channels_drops(const struct channels *channels, enum channel_drop drop)
{
    return channels->drops[drop];
}
