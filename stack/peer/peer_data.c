// DTLS over the selected pair, SCTP over DTLS, data channels over SCTP. Nothing of it is polled
// while ICE may not send, so that nothing leaves without consent (RFC 7675 5.1).
#include "stack/peer/peer_priv.h"

#include "base/arena.h"

#include <stdlib.h>

#define DTLS_OVERHEAD 37  // of a record: header, explicit nonce, tag (RFC 6347 4.1, RFC 5288 3)
#define RELAY_OVERHEAD 52 // of a Send indication to an IPv6 peer (RFC 8656 11.1)

size_t peer_mtu_least(bool turn)
{
    return SCTP_MTU_MIN + DTLS_OVERHEAD + (turn ? RELAY_OVERHEAD : 0);
}

// The largest datagram of DTLS: inside a Send indication it must still fit.
static size_t dtls_mtu(const struct peer *p)
{
    size_t mtu = peer_mtu(p);
    bool relays = false;
    for (unsigned i = 0; i < p->config.servers_count; i++)
        relays = relays || p->config.servers[i].kind == PEER_TURN;
    if (mtu < peer_mtu_least(relays))
        mtu = peer_mtu_least(relays);
    return mtu - (relays ? RELAY_OVERHEAD : 0);
}

// ------------------------------------------------------------------------- channels of the early

static const struct peer_early_channel *early_channel(const struct peer *p, unsigned channel)
{
    return channel < p->early_channels_count ? &p->early_channels[channel] : NULL;
}

// Handles of the peer are those of `channels`, moved on by the early ones that could not be opened.
static int inner_of(const struct peer *p, unsigned channel)
{
    const struct peer_early_channel *early = early_channel(p, channel);
    return early ? early->handle : (int)channel - (int)p->early_refused;
}

static unsigned outer_of(const struct peer *p, unsigned inner)
{
    unsigned opened = p->early_channels_count - p->early_refused;
    if (inner >= opened || p->early_refused == 0)
        return inner + p->early_refused;
    unsigned channel = 0;
    while (p->early_channels[channel].handle != (int)inner)
        channel++;
    return channel;
}

static int early_channel_add(struct peer *p, const struct channel_config *config)
{
    if (p->early_channels_count == PEER_EARLY_CHANNELS_MAX ||
        config->label.len >= CHANNEL_LABEL_MAX || config->protocol.len >= CHANNEL_LABEL_MAX)
        return -1;
    for (unsigned i = 0; i < p->early_channels_count && config->id != CHANNEL_ID_AUTO; i++)
        if (p->early_channels[i].config.id == config->id)
            return -1;
    if (p->early_channels_count == p->early_channels_max) {
        p->early_channels_max = p->early_channels_max ? p->early_channels_max * 2 : 4;
        p->early_channels =
            mem_grow(p->early_channels, p->early_channels_max * sizeof *p->early_channels);
    }
    struct peer_early_channel *early = &p->early_channels[p->early_channels_count];
    size_t label_len = config->label.len, protocol_len = config->protocol.len;
    *early = (struct peer_early_channel){
        .config = *config, .text = mem_alloc(label_len + protocol_len + 1), .handle = -1};
    if (label_len)
        memcpy(early->text, config->label.at, label_len);
    if (protocol_len)
        memcpy(early->text + label_len, config->protocol.at, protocol_len);
    early->config.label = bytes_of(early->text, label_len);
    early->config.protocol = bytes_of(early->text + label_len, protocol_len);
    return (int)p->early_channels_count++;
}

static void early_channels_begin(struct peer *p, nanotime now)
{
    for (unsigned i = 0; i < p->early_channels_count; i++) {
        struct peer_early_channel *early = &p->early_channels[i];
        early->handle = early->closed ? -1 : channel_open(p->channels, now, &early->config);
        if (early->handle >= 0) {
            channel_set_buffered_low(p->channels, (unsigned)early->handle, early->low);
            continue;
        }
        p->early_refused++;
        if (!early->closed)
            trace(&p->trace, now, "channel %u cannot be opened: its id is taken", i);
    }
    p->early_closed = 0;
}

// ----------------------------------------------------------------------------------------- start

static void channels_begin(struct peer *p, nanotime now, const struct sdp_media *data,
                           enum dtls_role role)
{
    struct sctp_config sctp = {.local_port = p->config.sctp_port ? p->config.sctp_port : 5000,
                               .remote_port = data->sctp_port,
                               .mtu = (dtls_mtu(p) - DTLS_OVERHEAD) & ~(size_t)3,
                               .max_message_size = data->max_message_size,
                               .max_receive_size =
                                   p->config.max_message_size ? p->config.max_message_size : 262144,
                               .rng = &p->sctp_rng,
                               .trace = trace_part(&p->trace, "sctp")};
    p->channels = channels_new(&sctp, role == DTLS_CLIENT);
    early_channels_begin(p, now);
}

void peer_data_start(struct peer *p, nanotime now, const struct sdp_media *remote,
                     const struct sdp_media *data, enum dtls_role role)
{
    p->remote_fingerprint = remote->fingerprints[0];
    struct dtls_config config = {.identity = dtls_identity_pooled(p->config.identity),
                                 .role = role,
                                 .remote = remote->fingerprints,
                                 .remote_count = remote->fingerprints_count,
                                 .mtu = dtls_mtu(p),
                                 .srtp_profiles = peer_media_profiles(p),
                                 .rng = &p->dtls_rng,
                                 .trace = trace_part(&p->trace, "dtls")};
    p->dtls = dtls_new(&config);

    if (data)
        channels_begin(p, now, data, role);

    // What came before we knew whom to expect (RFC 8842 5.3: the answer may be overtaken).
    size_t at = 0;
    for (unsigned i = 0; i < p->early.count; i++) {
        enum dtls_drop drop =
            dtls_input(p->dtls, now, bytes_of(p->early.at + at, p->early.lens[i]));
        trace(&p->trace, now, "early DTLS datagram: %s", dtls_drop_name(drop));
        at += p->early.lens[i];
    }
    p->early.count = 0;
}

void peer_data_change(struct peer *p, nanotime now, const struct sdp_media *data)
{
    if (data && !p->channels) {
        channels_begin(p, now, data, dtls_role(p->dtls));
        if (dtls_state(p->dtls) == DTLS_CONNECTED)
            channels_connect(p->channels, now);
    } else if (!data && p->channels) {
        peer_data_close_channels(p, now); // RFC 8841 10.3
    }
}

void peer_data_free(struct peer *p)
{
    if (p->channels)
        channels_free(p->channels);
    if (p->dtls)
        dtls_free(p->dtls);
    for (unsigned i = 0; i < p->early_channels_count; i++)
        free(p->early_channels[i].text);
    free(p->early_channels);
    free(p->early.at);
}

// ----------------------------------------------------------------------------------------- input

bool peer_is_authenticated(const struct peer *p, const struct datagram *datagram)
{
    for (unsigned i = 0; i < PEER_AUTHENTICATED_MAX; i++)
        if (addr_equal(&p->authenticated[i].remote, &datagram->from) &&
            addr_equal(&p->authenticated[i].local, &datagram->to))
            return true;
    return false;
}

static void authenticate(struct peer *p, const struct datagram *datagram)
{
    if (p->config.ice_only || peer_is_authenticated(p, datagram))
        return;
    p->authenticated[p->authenticated_next] = (struct peer_pair){datagram->to, datagram->from};
    p->authenticated_next = (p->authenticated_next + 1) % PEER_AUTHENTICATED_MAX;
}

void peer_data_authenticated(struct peer *p, const struct datagram *datagram)
{
    struct bytes message = datagram->bytes;
    // A Binding request, or success: those are with MESSAGE-INTEGRITY (RFC 8445 7.1.2, 7.3).
    if (message.len > 1 && message.at[0] <= 1 && message.at[1] == 1)
        authenticate(p, datagram);
}

void peer_data_selected(struct peer *p, const struct ice_pair *pair)
{
    // RFC 8445 8.2: between two lite agents nothing is checked; signaling alone tells.
    if (p->config.ice_lite)
        authenticate(p, &(struct datagram){.from = pair->remote.addr, .to = pair->local.base});
}

static enum peer_drop keep_early(struct peer *p, struct bytes datagram)
{
    size_t used = 0, max = PEER_EARLY_MAX * peer_mtu(p);
    for (unsigned i = 0; i < p->early.count; i++)
        used += p->early.lens[i];
    if (p->early.count == PEER_EARLY_MAX || datagram.len > max - used)
        return PEER_TOO_EARLY;
    if (!p->early.at)
        p->early.at = mem_alloc(max);
    memcpy(p->early.at + used, datagram.at, datagram.len);
    p->early.lens[p->early.count++] = datagram.len;
    return PEER_KEPT;
}

enum peer_drop peer_data_input(struct peer *p, nanotime now, const struct datagram *datagram)
{
    if (p->config.ice_only)
        return PEER_UNKNOWN_PROTOCOL;
    if (!peer_is_authenticated(p, datagram))
        return PEER_UNAUTHENTICATED;
    peer_count_received(p, now, datagram, &p->stats.dtls_received);
    if (!p->dtls)
        return keep_early(p, datagram->bytes);
    enum dtls_drop drop = dtls_input(p->dtls, now, datagram->bytes);
    return drop == DTLS_KEPT ? PEER_KEPT : peer_datagram_refuse(p, "DTLS", dtls_drop_name(drop));
}

// ---------------------------------------------------------------------------------------- output

void peer_data_close_channels(struct peer *p, nanotime now)
{
    if (p->channels && !p->channels_down)
        channels_close_all(p->channels, now);
    p->channels_down = true;
}

static void dtls_changed(struct peer *p, nanotime now)
{
    enum dtls_state state = dtls_state(p->dtls);
    if (state == DTLS_CONNECTED && p->channels)
        channels_connect(p->channels, now);
    if (state == DTLS_CONNECTED)
        peer_media_start(p, now);
    if (state == DTLS_CLOSED || state == DTLS_FAILED)
        peer_data_close_channels(p, now);
    peer_update(p, now);
}

static enum peer_step dtls_step(struct peer *p, nanotime now, struct peer_output *out)
{
    struct dtls_output got;
    if (!dtls_poll(p->dtls, now, &got))
        return PEER_IDLE;
    if (got.kind == DTLS_STATE_CHANGED)
        dtls_changed(p, now);
    if (got.kind == DTLS_DATA && p->channels)
        channels_input(p->channels, now, got.bytes);
    if (got.kind != DTLS_SEND)
        return PEER_WORKED;
    const struct ice_pair *pair = ice_agent_selected(p->ice);
    if (!pair || !ice_agent_may_send(p->ice)) // RFC 7675 5.1: this cannot be
        p->stats.sent_without_consent++;
    if (!pair)
        return PEER_WORKED;
    return peer_send_data(p, now, got.bytes, &p->stats.dtls_sent, out);
}

static enum peer_step channels_step(struct peer *p, nanotime now, struct peer_output *out)
{
    struct channels_output got;
    if (!channels_poll(p->channels, now, &got))
        return PEER_IDLE;
    *out = (struct peer_output){.bytes = got.bytes, .text = got.text, .incoming = got.incoming};
    switch (got.kind) {
    case CHANNELS_SEND:
        if (dtls_state(p->dtls) == DTLS_CONNECTED && !dtls_send(p->dtls, now, got.bytes))
            trace(&p->trace, now, "DTLS does not take a packet of %zu bytes", got.bytes.len);
        return PEER_WORKED;
    case CHANNELS_STATE_CHANGED:
        peer_update(p, now);
        return PEER_WORKED;
    case CHANNELS_OPENED:
        p->stats.channels_open++;
        p->stats.channels_opened++;
        out->kind = PEER_CHANNEL_OPEN;
        break;
    case CHANNELS_MESSAGE:
        out->kind = PEER_MESSAGE;
        break;
    case CHANNELS_BUFFERED_LOW:
        out->kind = PEER_BUFFERED_LOW;
        break;
    case CHANNELS_CLOSED:
        p->stats.channels_closed++;
        out->kind = PEER_CHANNEL_CLOSED;
        p->stats.channels_open -= channel_was_open(p->channels, got.channel);
        break;
    }
    out->channel = outer_of(p, got.channel);
    return PEER_OUTPUT;
}

// Early channels that were closed, or never could be opened, end like others.
static enum peer_step early_closed_step(struct peer *p, struct peer_output *out)
{
    while (p->early_closed < p->early_channels_count) {
        unsigned channel = p->early_closed++;
        if (p->early_channels[channel].handle >= 0)
            continue;
        *out = (struct peer_output){.kind = PEER_CHANNEL_CLOSED, .channel = channel};
        p->stats.channels_closed++;
        return PEER_OUTPUT;
    }
    return PEER_IDLE;
}

static bool channels_flow(const struct peer *p, bool may_send)
{
    return p->channels && (p->channels_down || (may_send && dtls_state(p->dtls) == DTLS_CONNECTED));
}

enum peer_step peer_data_poll(struct peer *p, nanotime now, struct peer_output *out)
{
    if (!p->dtls)
        return PEER_IDLE;
    if (p->early_closed < p->early_channels_count && early_closed_step(p, out) == PEER_OUTPUT)
        return PEER_OUTPUT;
    bool may_send = ice_agent_may_send(p->ice);
    if (may_send && !p->dtls_started) {
        p->dtls_started = true;
        dtls_start(p->dtls, now); // a handshake that the other side began goes on
    }
    enum peer_step step = may_send ? dtls_step(p, now, out) : PEER_IDLE;
    if (step == PEER_IDLE && channels_flow(p, may_send))
        step = channels_step(p, now, out);
    return step;
}

nanotime peer_data_deadline(const struct peer *p)
{
    if (!p->dtls)
        return TIME_NEVER;
    bool may_send = ice_agent_may_send(p->ice);
    if ((may_send && !p->dtls_started) || p->early_closed < p->early_channels_count)
        return 0;
    nanotime at = may_send ? dtls_deadline(p->dtls) : TIME_NEVER;
    return channels_flow(p, may_send) ? time_min(at, channels_deadline(p->channels)) : at;
}

// -------------------------------------------------------------------------------------- channels

int peer_channel_open(struct peer *p, nanotime now, const struct channel_config *config)
{
    if (p->closing != PEER_OPEN || p->config.ice_only)
        return -1;
    if (!p->channels)
        return early_channel_add(p, config);
    int inner = channel_open(p->channels, now, config);
    return inner < 0 ? -1 : inner + (int)p->early_refused;
}

enum sctp_send_result peer_channel_send(struct peer *p, nanotime now, unsigned channel,
                                        struct bytes message, bool text)
{
    int inner = p->channels ? inner_of(p, channel) : -1;
    if (inner < 0 || p->closing != PEER_OPEN)
        return SCTP_NOT_CONNECTED;
    return channel_send(p->channels, now, (unsigned)inner, message, text);
}

void peer_channel_close(struct peer *p, nanotime now, unsigned channel)
{
    if (!p->channels && channel < p->early_channels_count)
        p->early_channels[channel].closed = true;
    int inner = p->channels ? inner_of(p, channel) : -1;
    if (inner >= 0)
        channel_close(p->channels, now, (unsigned)inner);
}

size_t peer_channel_buffered(const struct peer *p, unsigned channel)
{
    int inner = p->channels ? inner_of(p, channel) : -1;
    return inner < 0 ? 0 : channel_buffered(p->channels, (unsigned)inner);
}

struct bytes peer_channel_label(const struct peer *p, unsigned channel)
{
    const struct peer_early_channel *early = early_channel(p, channel);
    if (early)
        return early->config.label;
    int inner = p->channels ? inner_of(p, channel) : -1;
    return inner < 0 ? (struct bytes){NULL, 0}
                     : channel_config(p->channels, (unsigned)inner)->label;
}

bool peer_channel_stats(const struct peer *p, unsigned channel, struct peer_channel_stats *out)
{
    const struct peer_early_channel *early = early_channel(p, channel);
    if (early && early->handle < 0) {
        const struct channel_config *config = &early->config;
        bool ended = early->closed || p->channels;
        *out = (struct peer_channel_stats){.label = config->label,
                                           .protocol = config->protocol,
                                           .state = ended ? CHANNEL_CLOSED : CHANNEL_CONNECTING,
                                           .has_id = config->id != CHANNEL_ID_AUTO,
                                           .id = config->id};
        return true;
    }
    int inner = p->channels ? inner_of(p, channel) : -1;
    if (inner < 0 || (unsigned)inner >= channels_count(p->channels))
        return false;
    unsigned handle = (unsigned)inner;
    const struct channel_config *config = channel_config(p->channels, handle);
    *out = (struct peer_channel_stats){.label = config->label,
                                       .protocol = config->protocol,
                                       .state = channel_state(p->channels, handle),
                                       .has_id = true,
                                       .id = channel_id(p->channels, handle),
                                       .counts = channel_stats(p->channels, handle)};
    return true;
}

void peer_channel_set_low(struct peer *p, unsigned channel, size_t threshold)
{
    if (!p->channels && channel < p->early_channels_count)
        p->early_channels[channel].low = threshold;
    int inner = p->channels ? inner_of(p, channel) : -1;
    if (inner >= 0)
        channel_set_buffered_low(p->channels, (unsigned)inner, threshold);
}
