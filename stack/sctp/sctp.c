// One association: a usrsctp socket behind input, poll and deadline.
//
// Every call enters the association (its randomness, its timers, the clock at `now`), calls
// usrsctp, and leaves. What usrsctp says meanwhile, through its two callbacks, is queued in the
// order in which it happened; nothing is called back into from there.
#include <usrsctp.h>
#undef SCTP_CLOSED // usrsctp's name for 0

#include "stack/sctp/sctp_priv.h"

#include "base/arena.h"
#include "base/libenv.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define QUEUE_START 2048
#define QUEUE_KEEP 65536 // what an empty queue may go on holding
#define QUEUE_MAX ((size_t)16 << 20)
#define STREAMS_DEFAULT 64
#define STREAMS_MAX 65535
#define BUFFER_DEFAULT ((size_t)1 << 20)
#define RECEIVE_SIZE_DEFAULT ((uint64_t)16 << 20)
#define COMMON_HEADER 12
#define RESET_WAIT TIME_S           // before others' messages are held back for a reset,
#define RESET_WAIT_MAX (5 * TIME_S) // and before it is not waited for any longer

struct sctp {
    struct socket *socket;
    uintptr_t id;
    struct sctp_timers timers;
    struct sctp_config config;
    enum sctp_state state;
    struct {
        uint8_t *at;
        size_t head, len, max;
    } queue;       // events, bytes behind each
    uint8_t *lent; // of the message handed out last
    struct {
        uint8_t *at;
        size_t len, max;
    } partial; // a message that usrsctp delivers in pieces
    struct sctp_flow flow;
    size_t blocked_len; // of the message that did not fit; 0: none
    bool blocked;
    bool too_large; // a message from the peer is; close
    unsigned streams_out, streams_in;
    bool streams_asked, streams_refused;
    struct sctp_line ungranted; // for a stream to be granted
    struct sctp_line paused;    // see is_paused
    struct {
        uint16_t *streams; // to be reset when all that was sent is acknowledged
        size_t len, max;
        nanotime since;
        size_t asked; // further ones, that usrsctp is told of
    } resets;
    uint32_t abandoned; // the message that failed last: several fragments may
    struct sctp_stats stats;
};

struct event {
    enum sctp_output_kind kind;
    uint16_t stream;
    uint32_t ppid;
    size_t len;
    uint8_t *owned; // SCTP_MESSAGE: from malloc; else the bytes follow
};

const char *sctp_state_name(enum sctp_state state)
{
    static const char *const names[] = {"new", "connecting", "connected", "closed"};
    return names[state];
}

// ------------------------------------------------------------------------------------------ queue

static bool queue_push(struct sctp *sctp, struct event event, const uint8_t *inline_bytes)
{
    size_t need = sctp->queue.len + sizeof event + (inline_bytes ? event.len : 0);
    if (need > QUEUE_MAX)
        return false;
    if (need > sctp->queue.max) {
        size_t max = sctp->queue.max ? sctp->queue.max : QUEUE_START;
        while (max < need)
            max *= 2;
        sctp->queue.at = mem_grow(sctp->queue.at, max);
        sctp->queue.max = max;
    }
    memcpy(sctp->queue.at + sctp->queue.len, &event, sizeof event);
    if (inline_bytes && event.len)
        memcpy(sctp->queue.at + sctp->queue.len + sizeof event, inline_bytes, event.len);
    sctp->queue.len = need;
    return true;
}

static bool queue_pop(struct sctp *sctp, struct event *event, const uint8_t **bytes)
{
    if (sctp->queue.head == sctp->queue.len) {
        sctp->queue.head = sctp->queue.len = 0;
        if (sctp->queue.max > QUEUE_KEEP) {
            free(sctp->queue.at);
            sctp->queue.at = NULL;
            sctp->queue.max = 0;
        }
        return false;
    }
    const uint8_t *at = sctp->queue.at + sctp->queue.head;
    memcpy(event, at, sizeof *event);
    *bytes = event->owned ? event->owned : at + sizeof *event;
    sctp->queue.head += sizeof *event + (event->owned ? 0 : event->len);
    return true;
}

// Signals are few and small: the bound of the queue is for packets and messages.
static void signal_push(struct sctp *sctp, enum sctp_output_kind kind, unsigned stream)
{
    bool pushed = queue_push(sctp, (struct event){.kind = kind, .stream = (uint16_t)stream}, NULL);
    if (!pushed)
        sctp->stats.queue_full++;
}

static void message_push(struct sctp *sctp, uint16_t stream, uint32_t ppid, uint8_t *owned,
                         size_t len)
{
    struct event event = {
        .kind = SCTP_MESSAGE, .stream = stream, .ppid = ppid, .len = len, .owned = owned};
    sctp->stats.messages_received++;
    if (!queue_push(sctp, event, NULL)) {
        sctp->stats.queue_full++;
        free(owned);
    }
}

// ------------------------------------------------------------------------------------------ state

static void state_set(struct sctp *sctp, enum sctp_state state, const char *why)
{
    if (sctp->state == state || sctp->state == SCTP_CLOSED)
        return;
    sctp->state = state;
    if (state == SCTP_CONNECTED)
        sctp->stats.connected_at = libenv_now();
    trace(&sctp->config.trace, libenv_now(), "%s%s%s", sctp_state_name(state), *why ? ": " : "",
          why);
    signal_push(sctp, SCTP_STATE_CHANGED, 0);
}

static void writable_check(struct sctp *sctp)
{
    size_t buffered = sctp_buffered(sctp);
    if (!sctp->blocked || sctp->state != SCTP_CONNECTED ||
        (buffered && buffered + sctp->blocked_len > sctp->config.send_buffer))
        return;
    sctp->blocked = false;
    signal_push(sctp, SCTP_WRITABLE, 0);
}

static struct sctp_timers *enter(struct sctp *sctp, nanotime now, struct libenv *env)
{
    *env = libenv_enter(now, sctp->config.rng);
    return sctp_timers_enter(&sctp->timers);
}

static void leave(struct sctp_timers *before, struct libenv env)
{
    sctp_timers_enter(before);
    libenv_leave(env);
}

// ------------------------------------------------------------------------- what usrsctp calls back

void sctp_packet_out(struct sctp *sctp, struct bytes packet)
{
    assert(packet.len <= sctp->config.mtu);
    struct sctp_flow_walk walk = sctp_flow_outgoing(packet);
    struct event event = {.kind = SCTP_SEND, .len = packet.len};
    if (!queue_push(sctp, event, packet.at))
        sctp->stats.queue_full++;
    sctp->stats.packets_sent++;
    while (sctp_flow_next(&sctp->flow, &walk)) {
        if (walk.low)
            signal_push(sctp, SCTP_STREAM_LOW, walk.stream);
    }
}

static void note_association(struct sctp *sctp, const struct sctp_assoc_change *change)
{
    switch (change->sac_state) {
    case SCTP_COMM_UP:
        sctp->streams_out = change->sac_outbound_streams;
        sctp->streams_in = change->sac_inbound_streams;
        state_set(sctp, SCTP_CONNECTED, "");
        break;
    case SCTP_COMM_LOST:
        state_set(sctp, SCTP_CLOSED, "lost or aborted by the peer");
        break;
    case SCTP_RESTART:
        state_set(sctp, SCTP_CLOSED, "the peer began anew");
        break;
    case SCTP_SHUTDOWN_COMP:
        state_set(sctp, SCTP_CLOSED, "shut down");
        break;
    case SCTP_CANT_STR_ASSOC:
        state_set(sctp, SCTP_CLOSED, "no answer");
        break;
    default:
        break;
    }
}

static void reset_done(struct sctp *sctp, uint16_t stream)
{
    struct sctp_flow_stream *s = sctp_flow_stream(&sctp->flow, stream);
    sctp->resets.asked -= s->resetting && sctp->resets.asked > 0;
    s->resetting = false;
    signal_push(sctp, SCTP_STREAM_RESET_OUT, stream);
}

static void note_reset(struct sctp *sctp, const struct sctp_stream_reset_event *event)
{
    size_t count = (event->strreset_length - sizeof *event) / sizeof(uint16_t);
    bool in = (event->strreset_flags & SCTP_STREAM_RESET_INCOMING_SSN) != 0;
    bool refused =
        (event->strreset_flags & (SCTP_STREAM_RESET_DENIED | SCTP_STREAM_RESET_FAILED)) != 0;
    if (refused)
        trace(&sctp->config.trace, libenv_now(), "the peer refused a stream reset");
    if (in && refused)
        return;
    // RFC 6525 4.1: no stream listed means all of them.
    bool all = count == 0;
    if (all)
        count = in ? sctp->streams_in : sctp->streams_out;
    for (size_t i = 0; i < count; i++) {
        uint16_t stream = all ? (uint16_t)i : event->strreset_stream_list[i];
        if (in)
            signal_push(sctp, SCTP_STREAM_RESET_IN, stream);
        else
            reset_done(sctp, stream);
    }
    writable_check(sctp); // a send may have waited for the reset to be over
}

static void note_streams(struct sctp *sctp, const struct sctp_stream_change_event *event)
{
    if (event->strchange_flags & (SCTP_STREAM_CHANGE_DENIED | SCTP_STREAM_CHANGE_FAILED)) {
        trace(&sctp->config.trace, libenv_now(), "the peer refused more streams");
        sctp->streams_refused = true;
    } else {
        sctp->streams_in = event->strchange_instrms;
        if (event->strchange_outstrms > sctp->streams_out)
            sctp->streams_asked = false;
        sctp->streams_out = event->strchange_outstrms;
    }
}

static void note_failed(struct sctp *sctp, const struct sctp_send_failed_event *event)
{
    if (event->ssfe_info.snd_context != sctp->abandoned) {
        sctp->abandoned = event->ssfe_info.snd_context;
        sctp->stats.messages_abandoned++;
    }
    // One fragment was given up, and all of its message with it (RFC 3758 3.6): of what had not
    // become a fragment yet, usrsctp says nothing.
    uint16_t stream = event->ssfe_info.snd_sid;
    if (sctp_flow_drop(&sctp->flow, stream, event->ssfe_info.snd_context))
        signal_push(sctp, SCTP_STREAM_LOW, stream);
}

static void note(struct sctp *sctp, const union sctp_notification *note)
{
    switch (note->sn_header.sn_type) {
    case SCTP_ASSOC_CHANGE:
        note_association(sctp, &note->sn_assoc_change);
        break;
    case SCTP_STREAM_RESET_EVENT:
        note_reset(sctp, &note->sn_strreset_event);
        break;
    case SCTP_STREAM_CHANGE_EVENT:
        note_streams(sctp, &note->sn_strchange_event);
        break;
    case SCTP_SEND_FAILED_EVENT:
        note_failed(sctp, &note->sn_send_failed_event);
        break;
    case SCTP_SENDER_DRY_EVENT:
        sctp_flow_dry(&sctp->flow);
        break;
    case SCTP_PARTIAL_DELIVERY_EVENT: // the rest was given up by the peer
        sctp->partial.len = 0;
        break;
    default:
        break;
    }
}

static void partial_add(struct sctp *sctp, const uint8_t *data, size_t len)
{
    if (sctp->partial.len + len > sctp->partial.max) {
        size_t max = sctp->partial.max ? sctp->partial.max : QUEUE_KEEP;
        while (max < sctp->partial.len + len)
            max *= 2;
        sctp->partial.at = mem_grow(sctp->partial.at, max);
        sctp->partial.max = max;
    }
    if (len)
        memcpy(sctp->partial.at + sctp->partial.len, data, len);
    sctp->partial.len += len;
}

// usrsctp delivers at most one message in pieces at a time.
static int received(struct socket *socket, union sctp_sockstore address, void *data, size_t len,
                    struct sctp_rcvinfo info, int flags, void *of)
{
    (void)socket, (void)address;
    struct sctp *sctp = of;
    if (!data)
        return 1;
    bool whole = (flags & MSG_EOR) && sctp->partial.len == 0;
    if (flags & MSG_NOTIFICATION) {
        note(sctp, data);
    } else if (sctp->partial.len + len > sctp->config.max_receive_size) {
        trace(&sctp->config.trace, libenv_now(), "stream %u: message over %llu bytes", info.rcv_sid,
              (unsigned long long)sctp->config.max_receive_size);
        sctp->too_large = true; // abort outside of this callback
    } else if (whole) {
        message_push(sctp, info.rcv_sid, ntohl(info.rcv_ppid), data, len);
        return 1;
    } else {
        partial_add(sctp, data, len);
        if (flags & MSG_EOR) {
            message_push(sctp, info.rcv_sid, ntohl(info.rcv_ppid), sctp->partial.at,
                         sctp->partial.len);
            sctp->partial.at = NULL;
            sctp->partial.len = sctp->partial.max = 0;
        }
    }
    free(data);
    return 1;
}

// ------------------------------------------------------------------------------------------- life

static void option(struct sctp *sctp, int name, const void *value, size_t len)
{
    int result = usrsctp_setsockopt(sctp->socket, IPPROTO_SCTP, name, value, (socklen_t)len);
    assert(result == 0);
}

static void options_set(struct sctp *sctp)
{
    usrsctp_set_non_blocking(sctp->socket, 1);
    struct linger linger = {1, 0}; // closing aborts
    int on = 1;
    // Never full: what is accepted is decided in sctp_send, by exact figures.
    int send_buffer = INT32_MAX / 2, receive_buffer = (int)sctp->config.receive_buffer;
    usrsctp_setsockopt(sctp->socket, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    usrsctp_setsockopt(sctp->socket, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    usrsctp_setsockopt(sctp->socket, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    option(sctp, SCTP_NODELAY, &on, sizeof on);

    struct sctp_initmsg init = {.sinit_num_ostreams = sctp->config.streams,
                                .sinit_max_instreams = STREAMS_MAX};
    option(sctp, SCTP_INITMSG, &init, sizeof init);
    struct sctp_assoc_value reset = {.assoc_value = SCTP_ENABLE_RESET_STREAM_REQ |
                                                    SCTP_ENABLE_CHANGE_ASSOC_REQ};
    option(sctp, SCTP_ENABLE_STREAM_RESET, &reset, sizeof reset);
    // RFC 8831 5: the path MTU is not discovered by SCTP here, but told.
    struct sctp_paddrparams path = {
        .spp_flags = SPP_PMTUD_DISABLE,
        .spp_pathmtu = (uint32_t)(sctp->config.mtu - COMMON_HEADER),
        .spp_address.ss_family = AF_CONN,
    };
    option(sctp, SCTP_PEER_ADDR_PARAMS, &path, sizeof path);
    static const uint16_t events[] = {SCTP_ASSOC_CHANGE,        SCTP_STREAM_RESET_EVENT,
                                      SCTP_STREAM_CHANGE_EVENT, SCTP_SEND_FAILED_EVENT,
                                      SCTP_SENDER_DRY_EVENT,    SCTP_PARTIAL_DELIVERY_EVENT};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        struct sctp_event event = {.se_assoc_id = SCTP_ALL_ASSOC, .se_type = events[i], .se_on = 1};
        option(sctp, SCTP_EVENT, &event, sizeof event);
    }
}

struct sctp *sctp_new(const struct sctp_config *config)
{
    assert(config->mtu >= SCTP_MTU_MIN);
    struct sctp *sctp = mem_zero(1, sizeof *sctp);
    *sctp = (struct sctp){.config = *config, .stats.connected_at = TIME_NEVER};
    sctp_line_init(&sctp->ungranted);
    sctp_line_init(&sctp->paused);
    sctp->abandoned = UINT32_MAX;
    if (!sctp->config.streams)
        sctp->config.streams = STREAMS_DEFAULT;
    if (!sctp->config.send_buffer)
        sctp->config.send_buffer = BUFFER_DEFAULT;
    if (!sctp->config.receive_buffer)
        sctp->config.receive_buffer = BUFFER_DEFAULT;
    if (!sctp->config.max_receive_size)
        sctp->config.max_receive_size = RECEIVE_SIZE_DEFAULT;
    sctp_timers_init(&sctp->timers);
    sctp->id = sctp_library_add(sctp);
    return sctp;
}

static void socket_close(struct sctp *sctp)
{
    if (!sctp->socket)
        return;
    usrsctp_close(sctp->socket);
    usrsctp_deregister_address((void *)sctp->id);
    sctp->socket = NULL;
}

void sctp_free(struct sctp *sctp)
{
    if (!sctp)
        return;
    sctp_close(sctp, libenv_now());
    sctp_timers_leave_behind(&sctp->timers);
    sctp_library_remove(sctp->id);
    struct event event;
    const uint8_t *bytes;
    while (queue_pop(sctp, &event, &bytes))
        free(event.owned);
    sctp_line_fini(&sctp->ungranted);
    sctp_line_fini(&sctp->paused);
    sctp_flow_free(&sctp->flow);
    free(sctp->queue.at);
    free(sctp->partial.at);
    free(sctp->resets.streams);
    free(sctp->lent);
    free(sctp);
}

void sctp_streams_need(struct sctp *sctp, unsigned streams)
{
    assert(streams <= STREAMS_MAX);
    if (sctp->state == SCTP_NEW && sctp->config.streams < streams)
        sctp->config.streams = (uint16_t)streams;
}

void sctp_connect(struct sctp *sctp, nanotime now)
{
    if (sctp->state != SCTP_NEW)
        return;
    struct libenv env;
    struct sctp_timers *before = enter(sctp, now, &env);
    usrsctp_register_address((void *)sctp->id);
    sctp->socket = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, received, NULL, 0, sctp);
    assert(sctp->socket);
    options_set(sctp);
    struct sockaddr_conn address = {.sconn_family = AF_CONN,
                                    .sconn_port = htons(sctp->config.local_port),
                                    .sconn_addr = (void *)sctp->id};
    int bound = usrsctp_bind(sctp->socket, (struct sockaddr *)&address, sizeof address);
    assert(bound == 0);
    state_set(sctp, SCTP_CONNECTING, "");
    address.sconn_port = htons(sctp->config.remote_port);
    int connected = usrsctp_connect(sctp->socket, (struct sockaddr *)&address, sizeof address);
    assert(connected == 0 || errno == EINPROGRESS);
    leave(before, env);
}

void sctp_close(struct sctp *sctp, nanotime now)
{
    struct libenv env;
    struct sctp_timers *before = enter(sctp, now, &env);
    socket_close(sctp); // the ABORT goes out here
    state_set(sctp, SCTP_CLOSED, "");
    leave(before, env);
}

// -------------------------------------------------------------------------------- sending, streams

static enum sctp_send_result hand_over(struct sctp *sctp, const struct sctp_message *message,
                                       struct sctp_delivery delivery)
{
    static const uint16_t policies[] = {SCTP_PR_SCTP_NONE, SCTP_PR_SCTP_RTX, SCTP_PR_SCTP_TTL};
    struct sctp_sendv_spa how = {
        .sendv_flags = SCTP_SEND_SNDINFO_VALID,
        .sendv_sndinfo = {.snd_sid = message->stream,
                          .snd_flags = delivery.unordered ? SCTP_UNORDERED : 0,
                          .snd_ppid = htonl(message->ppid)},
    };
    if (delivery.reliability != SCTP_RELIABLE) {
        how.sendv_flags |= SCTP_SEND_PRINFO_VALID;
        how.sendv_prinfo = (struct sctp_prinfo){policies[delivery.reliability], delivery.limit};
    }
    // Counted first: the call itself may send.
    uint32_t number = sctp_flow_add(&sctp->flow, message->stream, message->bytes.len);
    how.sendv_sndinfo.snd_context = number;
    ssize_t sent = usrsctp_sendv(sctp->socket, message->bytes.at, message->bytes.len, NULL, 0, &how,
                                 sizeof how, SCTP_SENDV_SPA, 0);
    if (sent == (ssize_t)message->bytes.len) {
        sctp->stats.messages_sent++;
        return SCTP_SENT;
    }
    assert(sent < 0);
    (void)sctp_flow_drop(&sctp->flow, message->stream, number);
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return SCTP_WOULD_BLOCK;
    return errno == EINVAL ? SCTP_BAD_STREAM : SCTP_NOT_CONNECTED;
}

static bool resets_wait(const struct sctp *sctp)
{
    return sctp->resets.len && sctp->resets.asked == 0 && sctp->state == SCTP_CONNECTED;
}

// RFC 6525 5.2.2: a peer that lacks any DATA that was sent before a reset answers "in progress",
// and resets once they have come. usrsctp, which Firefox and libdatachannel have as well, looks
// only when a DATA chunk continues what came without a gap: when the last one to come fills a gap,
// it waits for ever. So nothing is missing when we ask; and there is one request at a time, for
// another would wait in usrsctp until whatever time. (It does not send a FORWARD TSN again that was
// lost behind the last DATA, so there is an end to the waiting.)
static bool resets_can_be_asked(const struct sctp *sctp, nanotime now)
{
    bool missing = sctp->flow.unsent + sctp->flow.in_flight > 0;
    return resets_wait(sctp) && (!missing || now >= time_add(sctp->resets.since, RESET_WAIT_MAX));
}

// Other streams may be so busy that this never comes: then new messages wait for it.
static bool is_paused(const struct sctp *sctp, nanotime now)
{
    return sctp->resets.len && sctp->resets.asked == 0 &&
           now >= time_add(sctp->resets.since, RESET_WAIT) &&
           now < time_add(sctp->resets.since, RESET_WAIT_MAX);
}

static void resets_ask(struct sctp *sctp)
{
    if (!resets_can_be_asked(sctp, libenv_now()))
        return;
    size_t count = sctp->resets.len, size = sizeof(struct sctp_reset_streams) + 2 * count;
    struct sctp_reset_streams *ask = mem_zero(1, size);
    ask->srs_flags = SCTP_STREAM_RESET_OUTGOING;
    ask->srs_number_streams = (uint16_t)count;
    memcpy(ask->srs_stream_list, sctp->resets.streams, 2 * count);
    sctp->resets.len = 0;
    sctp->resets.asked += count;
    int result =
        usrsctp_setsockopt(sctp->socket, IPPROTO_SCTP, SCTP_RESET_STREAMS, ask, (socklen_t)size);
    size_t refused = result != 0 ? count : 0; // the peer has no RFC 6525: nothing to wait for
    for (size_t i = 0; i < refused; i++)
        reset_done(sctp, ask->srs_stream_list[i]);
    free(ask);
}

static void reset_add(struct sctp *sctp, nanotime now, uint16_t stream)
{
    struct sctp_flow_stream *s = sctp_flow_stream(&sctp->flow, stream);
    if (s->resetting) // nothing was sent since
        return;
    s->resetting = true;
    if (sctp->resets.len == 0)
        sctp->resets.since = now;
    if (sctp->resets.len == sctp->resets.max) {
        sctp->resets.max = sctp->resets.max ? sctp->resets.max * 2 : 4;
        sctp->resets.streams =
            mem_grow(sctp->resets.streams, sctp->resets.max * sizeof *sctp->resets.streams);
    }
    sctp->resets.streams[sctp->resets.len++] = stream;
}

static void waiting_go(struct sctp *sctp, struct sctp_waiting *w)
{
    bool there = w->message.stream < sctp->streams_out;
    if (w->reset && there)
        reset_add(sctp, libenv_now(), w->message.stream);
    else if (w->reset)
        signal_push(sctp, SCTP_STREAM_RESET_OUT, w->message.stream);
    else if (!there || hand_over(sctp, &w->message, w->delivery) != SCTP_SENT)
        sctp->stats.messages_abandoned++;
    if (!w->reset && !there)
        signal_push(sctp, SCTP_STREAM_REFUSED, w->message.stream);
    free(w);
}

static void waiting_flush(struct sctp *sctp)
{
    if (is_paused(sctp, libenv_now()))
        return;
    while (sctp->ungranted.first &&
           (sctp->streams_refused || sctp->ungranted.first->message.stream < sctp->streams_out))
        waiting_go(sctp, sctp_line_pop(&sctp->ungranted));
    while (sctp->paused.first) // later ones, if of the same stream
        waiting_go(sctp, sctp_line_pop(&sctp->paused));
}

// RFC 8831 6.2: ask for more streams when a channel needs one that is not there. One request can be
// outstanding at a time, so this is tried again on every input while something waits.
static void streams_grow(struct sctp *sctp)
{
    waiting_flush(sctp);
    if (!sctp->ungranted.first || sctp->streams_asked || sctp->state != SCTP_CONNECTED)
        return;
    unsigned need = 0;
    for (const struct sctp_waiting *w = sctp->ungranted.first; w; w = w->next)
        need = w->message.stream + 1u > need ? w->message.stream + 1u : need;
    if (need <= sctp->streams_out) // they are paused
        return;
    unsigned want = sctp->streams_out * 2 > need ? sctp->streams_out * 2 : need;
    want = want < STREAMS_MAX ? want : STREAMS_MAX;
    struct sctp_add_streams add = {.sas_outstrms = (uint16_t)(want - sctp->streams_out)};
    if (usrsctp_setsockopt(sctp->socket, IPPROTO_SCTP, SCTP_ADD_STREAMS, &add, sizeof add) == 0) {
        sctp->streams_asked = true;
    } else if (errno != EALREADY) {
        sctp->streams_refused = true;
        waiting_flush(sctp);
    }
}

enum sctp_send_result sctp_send(struct sctp *sctp, nanotime now, const struct sctp_message *message,
                                struct sctp_delivery delivery)
{
    assert(message->bytes.len > 0); // RFC 9260 3.3.1: no empty user message
    if (sctp->state != SCTP_CONNECTED)
        return SCTP_NOT_CONNECTED;
    if (sctp->config.max_message_size && message->bytes.len > sctp->config.max_message_size)
        return SCTP_TOO_LARGE;
    bool there = message->stream < sctp->streams_out;
    if (message->stream >= STREAMS_MAX || (!there && sctp->streams_refused))
        return SCTP_BAD_STREAM;
    size_t buffered = sctp_buffered(sctp);
    enum sctp_send_result result = SCTP_SENT;
    struct libenv env;
    struct sctp_timers *before = enter(sctp, now, &env);
    bool full = buffered && buffered + message->bytes.len > sctp->config.send_buffer;
    if ((full && !delivery.beyond_buffer) ||
        sctp_flow_stream(&sctp->flow, message->stream)->resetting) {
        result = SCTP_WOULD_BLOCK;
    } else if (!there) {
        sctp_line_add(&sctp->ungranted, message, delivery, false);
        streams_grow(sctp);
    } else if (is_paused(sctp, now)) {
        sctp_line_add(&sctp->paused, message, delivery, false);
    } else {
        result = hand_over(sctp, message, delivery);
    }
    if (result == SCTP_WOULD_BLOCK) {
        sctp->blocked = true;
        sctp->blocked_len = message->bytes.len;
    }
    leave(before, env);
    return result;
}

// What callbacks asked for, and could not do inside usrsctp.
static void settle(struct sctp *sctp)
{
    if (sctp->too_large) {
        sctp->too_large = false;
        socket_close(sctp);
        state_set(sctp, SCTP_CLOSED, "a message was larger than we take");
    }
    resets_ask(sctp);
    if (sctp->ungranted.first || sctp->paused.first) {
        streams_grow(sctp);
        resets_ask(sctp); // of one that waited as well
    }
    writable_check(sctp);
}

bool sctp_reset_stream(struct sctp *sctp, nanotime now, uint16_t stream)
{
    if (sctp->state != SCTP_CONNECTED || stream >= STREAMS_MAX)
        return false;
    struct libenv env;
    struct sctp_timers *before = enter(sctp, now, &env);
    struct sctp_message none = {.stream = stream};
    if (stream >= sctp->streams_out)
        sctp_line_add(&sctp->ungranted, &none, (struct sctp_delivery){0}, true);
    else if (is_paused(sctp, now)) // behind its messages that wait
        sctp_line_add(&sctp->paused, &none, (struct sctp_delivery){0}, true);
    else
        reset_add(sctp, now, stream);
    settle(sctp);
    leave(before, env);
    return true;
}

// --------------------------------------------------------------------------------- input and poll

static nanotime timer_at(const struct sctp *sctp)
{
    return time_min(sctp_timers_deadline(&sctp->timers),
                    resets_wait(sctp) ? time_add(sctp->resets.since, RESET_WAIT_MAX) : TIME_NEVER);
}

void sctp_input(struct sctp *sctp, nanotime now, struct bytes packet)
{
    sctp->stats.packets_received++;
    if (!sctp->socket)
        return;
    struct libenv env;
    struct sctp_timers *before = enter(sctp, now, &env);
    usrsctp_conninput((void *)sctp->id, packet.at, packet.len, 0);
    sctp_flow_incoming(&sctp->flow, packet);
    settle(sctp);
    leave(before, env);
}

bool sctp_poll(struct sctp *sctp, nanotime now, struct sctp_output *out)
{
    free(sctp->lent);
    sctp->lent = NULL;
    if (now >= timer_at(sctp)) {
        struct libenv env;
        struct sctp_timers *before = enter(sctp, now, &env);
        sctp->stats.timers += sctp_timers_fire(&sctp->timers, now);
        settle(sctp);
        leave(before, env);
    }
    struct event event;
    const uint8_t *bytes;
    if (!queue_pop(sctp, &event, &bytes))
        return false;
    sctp->lent = event.owned;
    struct bytes slice = {bytes, event.len};
    *out = (struct sctp_output){
        .kind = event.kind,
        .stream = event.stream,
        .bytes = slice,
        .message = {event.stream, event.ppid, slice},
    };
    return true;
}

nanotime sctp_deadline(const struct sctp *sctp)
{
    return sctp->queue.head < sctp->queue.len ? 0 : timer_at(sctp);
}

// -------------------------------------------------------------------------------------- questions

enum sctp_state sctp_state(const struct sctp *sctp)
{
    return sctp->state;
}

unsigned sctp_streams_out(const struct sctp *sctp)
{
    return sctp->streams_out;
}

size_t sctp_buffered(const struct sctp *sctp)
{
    return sctp->flow.unsent + sctp->flow.in_flight + sctp->ungranted.len + sctp->paused.len;
}

size_t sctp_stream_unsent(const struct sctp *sctp, uint16_t stream)
{
    size_t waiting =
        sctp_line_of_stream(&sctp->ungranted, stream) + sctp_line_of_stream(&sctp->paused, stream);
    return waiting + (stream < sctp->flow.streams_max ? sctp->flow.streams[stream].unsent : 0);
}

void sctp_stream_set_low(struct sctp *sctp, uint16_t stream, size_t low)
{
    sctp_flow_stream(&sctp->flow, stream)->low = low;
}

struct sctp_stats sctp_stats(const struct sctp *sctp)
{
    struct sctp_stats stats = sctp->stats;
    stats.retransmissions = sctp->flow.retransmissions;
    return stats;
}
