// The PeerConnection of this stack: gathering, ICE, DTLS and data channels joined behind peer_ops.
//
// A datagram goes by its first byte (RFC 7983) and its addresses: to the question it answers or the
// relay it comes from (gather.h), to ICE, or to DTLS. What a relay hands on goes in once more, as a
// datagram to the relayed address; what ICE or DTLS send from a relayed address goes out through
// its relay. poll() asks the parts in a fixed order until none has anything more.
#include "stack/peer/peer_priv.h"

#include "base/arena.h"

#include <stdlib.h>

// RFC 8445 8.3.1: candidates that are not selected stay for three seconds more.
#define RELEASE_AFTER (3 * TIME_S)

// ------------------------------------------------------------------------------------------ life

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static const char *keep_text(char **at, const char *text)
{
    if (!text)
        return NULL;
    char *kept = *at;
    memcpy(kept, text, text_size(text));
    *at += text_size(text);
    return kept;
}

static void config_copy(struct peer *p, const struct peer_config *config)
{
    p->config = *config;
    size_t size = text_size(config->name) + 1;
    for (unsigned i = 0; i < config->servers_count; i++)
        size += text_size(config->servers[i].username) + text_size(config->servers[i].password);
    char *at = p->secrets = mem_alloc(size);
    p->config.name = keep_text(&at, config->name);
    for (unsigned i = 0; i < config->servers_count; i++) {
        struct peer_server *server = &p->config.servers[i];
        server->username = keep_text(&at, server->username);
        server->password = keep_text(&at, server->password);
    }
}

static void *create(const struct peer_config *config)
{
    struct peer *p = mem_zero(1, sizeof *p);
    config_copy(p, config);
    p->trace = config->trace;
    p->rng = config->rng;
    p->trickle = config->trickle;
    p->release_at = TIME_NEVER;
    p->session_id = rng_u64(&p->rng) >> 2; // RFC 9429 5.2.1: 62 random bits and more
    p->session_version = 1;
    p->dtls_rng = rng_seed(rng_u64(&p->rng), "dtls");
    p->sctp_rng = rng_seed(rng_u64(&p->rng), "sctp");
    struct ice_config ice = {.role = config->force_role ? config->role : ICE_CONTROLLED,
                             .lite = config->ice_lite,
                             .ta = config->ice_ta,
                             .patience = config->patience,
                             .nomination_wait = config->nomination_wait,
                             .consent_interval = config->consent_interval,
                             .consent_timeout = config->consent_timeout,
                             .tiebreaker = config->tiebreaker,
                             .rng = rng_seed(rng_u64(&p->rng), "ice"),
                             .trace = trace_part(&config->trace, "ice")};
    p->ice = ice_agent_new(&ice);
    gather_init(&p->gather, &p->config, &p->rng);
    p->stats.ice_connected_at = p->stats.dtls_connected_at = p->stats.sctp_connected_at =
        p->stats.connected_at = p->stats.failed_at = p->stats.disconnected_at =
            p->stats.gathered_at = TIME_NEVER;
    return p;
}

static void destroy(void *peer)
{
    struct peer *p = peer;
    if (!p)
        return;
    peer_data_free(p);
    peer_media_free(p);
    gather_fini(&p->gather);
    ice_agent_free(p->ice);
    text_free(&p->description);
    text_free(&p->candidate);
    text_free(&p->offered);
    text_free(&p->accepted);
    text_free(&p->pending.lines);
    free(p->locals);
    free(p->remotes);
    free(p->secrets);
    free(p);
}

// ----------------------------------------------------------------------------------------- input

enum peer_drop peer_datagram_refuse(struct peer *p, const char *by, const char *why)
{
    p->refused_by = by;
    p->refusal = why;
    return PEER_REFUSED;
}

// A datagram to one of our bases, which may be a relayed address.
static enum peer_drop base_input(struct peer *p, nanotime now, const struct datagram *datagram)
{
    struct bytes bytes = datagram->bytes;
    uint8_t first = bytes.len ? bytes.at[0] : 0xff;
    if (p->closing != PEER_OPEN)
        return PEER_AFTER_CLOSE;
    // RFC 7983 7: 0 to 3 is STUN, 20 to 63 is DTLS.
    if (first <= 3) {
        p->stats.stun_received++;
        enum ice_drop drop = ice_agent_input(p->ice, now, datagram);
        if (drop != ICE_KEPT)
            return peer_datagram_refuse(p, "ICE", ice_drop_name(drop));
        peer_data_authenticated(p, datagram);
        return PEER_KEPT;
    }
    if (first >= 20 && first <= 63)
        return peer_data_input(p, now, datagram);
    if (first >= 128 && first <= 191) // RTP and RTCP
        return peer_media_input(p, now, datagram);
    return PEER_UNKNOWN_PROTOCOL;
}

static enum peer_drop dropped(struct peer *p, nanotime now, const struct datagram *datagram,
                              enum peer_drop drop)
{
    char from[ADDR_TEXT_MAX];
    p->stats.drops[drop]++;
    if (drop == PEER_REFUSED)
        trace(&p->trace, now, "dropped %zu bytes from %s: refused by %s: %s", datagram->bytes.len,
              addr_print(&datagram->from, from), p->refused_by, p->refusal);
    else if (drop != PEER_KEPT)
        trace(&p->trace, now, "dropped %zu bytes from %s: %s", datagram->bytes.len,
              addr_print(&datagram->from, from), peer_drop_name(drop));
    return drop;
}

// Any part may have something to say.
static void touch(struct peer *p)
{
    for (unsigned i = 0; i < PEER_PARTS; i++)
        p->due[i] = 0;
}

// What it came to: media moves media alone, and is most of what comes.
static void touched_by(struct peer *p, struct bytes datagram)
{
    if (datagram.len && datagram.at[0] >= 128)
        p->due[PEER_PART_MEDIA] = 0;
    else
        touch(p);
}

static enum peer_drop input(void *peer, nanotime now, const struct datagram *datagram)
{
    struct peer *p = peer;
    p->stats.datagrams_received++;
    enum peer_drop drop = PEER_KEPT;
    switch (gather_input(&p->gather, now, datagram)) {
    case GATHER_TOOK:
        touch(p);
        break;
    case GATHER_REFUSED:
        touch(p);
        drop = p->closing == PEER_OPEN
                   ? peer_datagram_refuse(p, "gathering", "no answer of a server")
                   : PEER_AFTER_CLOSE;
        break;
    case GATHER_NOT_OURS:
        touched_by(p, datagram->bytes);
        drop = base_input(p, now, datagram);
        break;
    }
    return dropped(p, now, datagram, drop);
}

static void stream_event(void *peer, nanotime now, unsigned stream, enum peer_stream_event event,
                         struct bytes bytes)
{
    struct peer *p = peer;
    struct datagram datagram = {.bytes = bytes};
    touch(p);
    if (gather_stream_event(&p->gather, now, stream, event, bytes) == GATHER_REFUSED)
        dropped(p, now, &datagram, peer_datagram_refuse(p, "gathering", "no answer of a server"));
}

// ---------------------------------------------------------------------------------------- output

// `taken`: somebody sends it; else it is lost.
static enum peer_step send_datagram(struct peer *p, nanotime now, const struct datagram *datagram,
                                    struct peer_output *out, bool *taken)
{
    struct turn_client *relay = gather_relay(&p->gather, &datagram->from);
    *taken = true;
    if (relay) { // it comes out of gather_poll, wrapped
        *taken = turn_client_send(relay, now, &datagram->to, datagram->bytes);
        return PEER_WORKED;
    }
    for (unsigned i = 0; i < p->config.locals_count; i++) {
        if (!addr_equal(&p->config.locals[i], &datagram->from))
            continue;
        p->stats.datagrams_sent++;
        *out = (struct peer_output){.kind = PEER_SEND, .datagram = *datagram};
        return PEER_OUTPUT;
    }
    *taken = false;
    return PEER_WORKED; // from a relay that was given back
}

enum peer_step peer_send_data(struct peer *p, nanotime now, struct bytes bytes, uint64_t *count,
                              struct peer_output *out)
{
    const struct ice_pair *pair = ice_agent_selected(p->ice);
    struct datagram datagram = {pair->local.base, pair->remote.addr, bytes};
    bool taken;
    enum peer_step step = send_datagram(p, now, &datagram, out, &taken);
    ice_agent_sent(p->ice, now, bytes.len, !taken);
    *count += taken;
    p->stats.bytes_sent += taken ? bytes.len : 0;
    return step;
}

void peer_count_received(struct peer *p, nanotime now, const struct datagram *datagram,
                         uint64_t *count)
{
    (*count)++;
    p->stats.bytes_received += datagram->bytes.len;
    ice_agent_received(p->ice, now, datagram);
}

static void stream_output(const struct gather_output *got, struct peer_output *out)
{
    enum peer_output_kind kind = got->kind == GATHER_STREAM_OPEN   ? PEER_STREAM_OPEN
                                 : got->kind == GATHER_STREAM_SEND ? PEER_STREAM_SEND
                                                                   : PEER_STREAM_CLOSE;
    *out = (struct peer_output){.kind = kind,
                                .stream = got->stream,
                                .datagram = got->datagram,
                                .bytes = got->datagram.bytes};
}

static enum peer_step gather_step(struct peer *p, nanotime now, struct peer_output *out)
{
    struct gather_output got;
    if (!gather_poll(&p->gather, now, &got))
        return PEER_IDLE;
    switch (got.kind) {
    case GATHER_SEND:
        p->stats.datagrams_sent++;
        p->stats.stun_sent += got.datagram.bytes.len > 0 && got.datagram.bytes.at[0] <= 3;
        *out = (struct peer_output){.kind = PEER_SEND, .datagram = got.datagram};
        return PEER_OUTPUT;
    case GATHER_STREAM_OPEN:
    case GATHER_STREAM_SEND:
    case GATHER_STREAM_CLOSE:
        stream_output(&got, out);
        return PEER_OUTPUT;
    case GATHER_CANDIDATE:
        peer_local_candidate(p, now, &got.candidate);
        break;
    case GATHER_RELAYED:
        dropped(p, now, &got.datagram, base_input(p, now, &got.datagram));
        break;
    case GATHER_DONE:
        peer_gathered(p, now);
        break;
    }
    return PEER_WORKED;
}

static void ice_selected(struct peer *p, nanotime now)
{
    const struct ice_pair *pair = ice_agent_selected(p->ice);
    char local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX];
    p->changed = true;
    if (!pair)
        return;
    trace(&p->trace, now, "%s pair %s %s > %s %s", pair->nominated ? "nominated" : "valid",
          ice_candidate_type_name(pair->local.type), addr_print(&pair->local.addr, local),
          ice_candidate_type_name(pair->remote.type), addr_print(&pair->remote.addr, remote));
    peer_data_selected(p, pair);
    peer_media_selected(p, now, pair);
    if (!pair->nominated)
        return;
    gather_bindings_done(&p->gather);
    p->release_at = p->gather.tasks_count ? time_add(now, RELEASE_AFTER) : TIME_NEVER;
}

static enum peer_step ice_step(struct peer *p, nanotime now, struct peer_output *out)
{
    struct ice_output got;
    bool taken;
    if (!ice_agent_poll(p->ice, now, &got))
        return PEER_IDLE;
    switch (got.kind) {
    case ICE_SEND:
        p->stats.stun_sent++;
        return send_datagram(p, now, &got.send, out, &taken);
    case ICE_SELECTED_CHANGED:
        ice_selected(p, now);
        break;
    case ICE_STATE_CHANGED:
        break;
    }
    peer_update(p, now);
    if (ice_agent_state(p->ice) == ICE_FAILED) {
        gather_bindings_done(&p->gather);
        gather_release(&p->gather, now, NULL);
    }
    return PEER_WORKED;
}

static enum peer_step release_step(struct peer *p, nanotime now)
{
    if (now < p->release_at)
        return PEER_IDLE;
    p->release_at = TIME_NEVER;
    p->due[PEER_PART_GATHER] = 0;
    const struct ice_pair *pair = ice_agent_selected(p->ice);
    gather_release(&p->gather, now, pair ? &pair->local.base : NULL);
    return PEER_WORKED;
}

// After close: ABORT and close_notify go out over the pair that stands, then the relays go back.
static enum peer_step closing_step(struct peer *p, nanotime now, struct peer_output *out)
{
    enum peer_step step = gather_step(p, now, out);
    if (step == PEER_IDLE && p->closing == PEER_CLOSING_CHANNELS) // BYE
        step = peer_media_poll(p, now, out);
    if (step == PEER_IDLE && p->closing != PEER_CLOSING_RELAYS)
        step = peer_data_poll(p, now, out);
    if (step != PEER_IDLE)
        return step;
    switch (p->closing) {
    case PEER_OPEN:
    case PEER_CLOSING_RELAYS:
        return PEER_IDLE;
    case PEER_CLOSING_CHANNELS:
        if (p->dtls)
            dtls_close(p->dtls, now);
        p->closing = PEER_CLOSING_DTLS;
        return PEER_WORKED;
    case PEER_CLOSING_DTLS:
        ice_agent_close(p->ice, now);
        gather_close(&p->gather, now);
        p->closing = PEER_CLOSING_RELAYS;
        peer_update(p, now);
        return PEER_WORKED;
    }
    return PEER_IDLE;
}

static enum peer_step part_poll(struct peer *p, enum peer_part part, nanotime now,
                                struct peer_output *out)
{
    switch (part) {
    case PEER_PART_GATHER:
        return gather_step(p, now, out);
    case PEER_PART_ICE:
        return ice_step(p, now, out);
    case PEER_PART_DATA:
        return peer_data_poll(p, now, out);
    case PEER_PART_MEDIA:
        return peer_media_poll(p, now, out);
    case PEER_PARTS:
        break;
    }
    return PEER_IDLE;
}

static nanotime part_deadline(const struct peer *p, enum peer_part part)
{
    switch (part) {
    case PEER_PART_GATHER:
        return gather_deadline(&p->gather);
    case PEER_PART_ICE:
        return ice_agent_deadline(p->ice);
    case PEER_PART_DATA:
        return peer_data_deadline(p);
    case PEER_PART_MEDIA:
        return peer_media_deadline(p);
    case PEER_PARTS:
        break;
    }
    return TIME_NEVER;
}

// Most polls are for the sake of one part: one that was idle, and that nothing has moved since, is
// not asked before its deadline.
static enum peer_step part_step(struct peer *p, enum peer_part part, nanotime now,
                                struct peer_output *out)
{
    if (now < p->due[part])
        return PEER_IDLE;
    enum peer_step step = part_poll(p, part, now, out);
    if (step == PEER_IDLE)
        p->due[part] = part_deadline(p, part);
    if (step == PEER_WORKED)
        touch(p);
    return step;
}

static enum peer_step open_step(struct peer *p, nanotime now, struct peer_output *out)
{
    enum peer_step step = part_step(p, PEER_PART_GATHER, now, out); // before what gives to relays
    if (step == PEER_IDLE)
        step = part_step(p, PEER_PART_ICE, now, out);
    if (step == PEER_IDLE)
        step = part_step(p, PEER_PART_DATA, now, out);
    if (step == PEER_IDLE)
        step = part_step(p, PEER_PART_MEDIA, now, out);
    if (step == PEER_IDLE)
        step = release_step(p, now);
    return step;
}

static bool poll(void *peer, nanotime now, struct peer_output *out)
{
    struct peer *p = peer;
    for (;;) {
        if (p->closing == PEER_OPEN && peer_signaling_poll(p, now, out))
            return true;
        enum peer_step step =
            p->closing == PEER_OPEN ? open_step(p, now, out) : closing_step(p, now, out);
        if (step == PEER_OUTPUT)
            return true;
        if (step == PEER_WORKED)
            continue;
        if (!p->changed)
            return false;
        p->changed = false;
        *out = (struct peer_output){.kind = PEER_CHANGED};
        return true;
    }
}

static nanotime deadline(const void *peer)
{
    const struct peer *p = peer;
    if (p->changed)
        return 0;
    if (p->closing != PEER_OPEN)
        return p->closing == PEER_CLOSING_RELAYS ? gather_deadline(&p->gather) : 0;
    if (peer_signaling_is_due(p))
        return 0;
    nanotime at = p->release_at;
    for (enum peer_part i = 0; i < PEER_PARTS; i++)
        at = time_min(at, p->due[i] ? p->due[i] : part_deadline(p, i));
    return at;
}

static void close(void *peer, nanotime now)
{
    struct peer *p = peer;
    if (p->closing != PEER_OPEN)
        return;
    touch(p);
    p->closing = PEER_CLOSING_CHANNELS;
    p->describe_due = p->answer_due = false;
    peer_media_close(p, now);
    peer_data_close_channels(p, now);
    peer_set_signaling(p, now, PEER_SIGNALING_CLOSED);
    peer_update(p, now);
}

// --------------------------------------------------------------------------------------- the table

static void describe(void *peer, nanotime now, bool restart)
{
    touch(peer);
    peer_describe(peer, now, restart);
}

static bool accept_description(void *peer, nanotime now, struct bytes description, bool answer)
{
    touch(peer);
    return peer_accept(peer, now, description, answer);
}

static bool add_candidate(void *peer, nanotime now, struct bytes candidate)
{
    touch(peer);
    return peer_add_candidate(peer, now, candidate);
}

static int open_channel(void *peer, nanotime now, const struct channel_config *config)
{
    touch(peer);
    return peer_channel_open(peer, now, config);
}

static enum sctp_send_result send_message(void *peer, nanotime now, unsigned channel,
                                          struct bytes message, bool text)
{
    touch(peer);
    return peer_channel_send(peer, now, channel, message, text);
}

static void close_channel(void *peer, nanotime now, unsigned channel)
{
    touch(peer);
    peer_channel_close(peer, now, channel);
}

static size_t buffered(const void *peer, unsigned channel)
{
    return peer_channel_buffered(peer, channel);
}

static struct bytes label(const void *peer, unsigned channel)
{
    return peer_channel_label(peer, channel);
}

static void set_buffered_low(void *peer, unsigned channel, size_t threshold)
{
    touch(peer);
    peer_channel_set_low(peer, channel, threshold);
}

static int track_add(void *peer, const struct media_track_config *config)
{
    touch(peer);
    return peer_media_track_add(peer, config);
}

static void track_direct(void *peer, unsigned track, bool send, bool receive)
{
    touch(peer);
    peer_media_track_direct(peer, track, send, receive);
}

static void track_stop(void *peer, unsigned track)
{
    touch(peer);
    peer_media_track_stop(peer, track);
}

static void command_media(void *peer, nanotime now, const struct media_command *command)
{
    struct peer *p = peer;
    touch(p);
    if (p->media)
        media_command(p->media, now, command);
}

static void play_out(void *peer, unsigned track)
{
    struct peer *p = peer;
    touch(p);
    if (p->media)
        media_play_out(p->media, track);
}

static void track_stats(const void *peer, nanotime now, unsigned track,
                        struct media_track_stats *out)
{
    const struct peer *p = peer;
    if (p->media)
        media_track_stats(p->media, now, track, out);
}

static void transport_stats(const void *peer, struct media_transport_stats *out)
{
    const struct peer *p = peer;
    if (p->media)
        media_transport_stats(p->media, out);
}

static bool codec_parameters(const void *peer, unsigned track, unsigned payload_type,
                             struct text *to)
{
    return peer_media_codec_parameters(peer, track, payload_type, to);
}

static bool pair_info(const void *peer, unsigned index, struct ice_pair_info *out)
{
    const struct peer *p = peer;
    return ice_agent_pair(p->ice, index, out);
}

static bool candidate_info(const void *peer, bool local, unsigned index,
                           struct ice_candidate_info *out)
{
    const struct peer *p = peer;
    return ice_agent_candidate(p->ice, local, index, out);
}

static bool channel_info(const void *peer, unsigned channel, struct peer_channel_stats *out)
{
    return peer_channel_stats(peer, channel, out);
}

static void fill_stats(const void *peer, struct peer_stats *out)
{
    peer_fill_stats(peer, out);
}

static void key_log(const void *peer, struct text *to)
{
    const struct peer *p = peer;
    char line[DTLS_KEY_LOG_MAX];
    if (p->dtls && dtls_key_log(p->dtls, line)[0])
        text_printf(to, "%s\n", line);
}

const struct peer_ops peer_simrtc = {
    .name = "simrtc",
    .create = create,
    .destroy = destroy,
    .input = input,
    .poll = poll,
    .deadline = deadline,
    .stream_event = stream_event,
    .describe = describe,
    .accept = accept_description,
    .add_candidate = add_candidate,
    .channel_open = open_channel,
    .send = send_message,
    .channel_close = close_channel,
    .channel_buffered = buffered,
    .channel_label = label,
    .set_buffered_low = set_buffered_low,
    .track_add = track_add,
    .track_direct = track_direct,
    .track_stop = track_stop,
    .media_command = command_media,
    .play_out = play_out,
    .track_stats = track_stats,
    .transport_stats = transport_stats,
    .key_log = key_log,
    .codec_parameters = codec_parameters,
    .pair = pair_info,
    .candidate = candidate_info,
    .channel_stats = channel_info,
    .close = close,
    .stats = fill_stats,
};
