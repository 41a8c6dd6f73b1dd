#define _GNU_SOURCE // ppoll
#include "scenarios/runner/live/live_peer.h"

#include "base/arena.h"
#include "base/libenv.h"
#include "base/version.h"
#include "scenarios/runner/live/live_config.h"
#include "scenarios/runner/live/live_json.h"
#include "scenarios/runner/live/live_media.h"
#include "scenarios/runner/live/live_stats.h"
#include "scenarios/runner/socket/socket_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_MAX 65536
#define BURST_MAX 64
#define BUFFERED_LOW ((size_t)256 * 1024)
#define QUEUE_MAX ((size_t)8 * 1024 * 1024) // then the bench's next words wait in the pipe
#define HANDLES_MAX (2u * CHANNELS_MAX)

struct queued {
    struct queued *next;
    unsigned handle;
    bool text;
    size_t len;
    uint8_t bytes[];
};

struct peer_process {
    void *peer;
    struct peer_config config;
    int sockets[PEER_LOCALS_MAX];
    unsigned sockets_count;
    struct socket_streams *streams;            // NULL: none yet
    bool stream_full;                          // told once
    unsigned stream_sockets[PEER_STREAMS_MAX]; // number + 1 in `streams`, by the peer's
    nanotime epoch;
    bool started, ended, failed;
    struct text incoming, outgoing;
    unsigned *handle_of,
        *number_of; // the bench's number of a channel and the stack's handle, from 1
    unsigned incoming_channels;
    struct queued *first, **last;
    size_t queued_len;
    bool changed;
    struct peer_stats told; // the states that were told last
    struct arena arena;
    struct clip *clips[MEDIA_TRACKS_MAX]; // of the tracks
    unsigned tracks_count;
    struct trace_log log;
};

static const struct peer_ops *const ops = &peer_simrtc;

static nanotime now_of(const struct peer_process *p)
{
    return p->started ? clock_real() - p->epoch : 0;
}

static json_t *event_of(const char *name)
{
    json_t *event = json_object();
    json_object_set_new(event, "event", json_string(name));
    return event;
}

static void tell(struct peer_process *p, json_t *event)
{
    live_json_put(&p->outgoing, event);
}

static void tell_error(struct peer_process *p, bool fatal, const char *text)
{
    json_t *event = event_of("error");
    json_object_set_new(event, "text", json_string(text));
    json_object_set_new(event, "fatal", json_boolean(fatal));
    tell(p, event);
    p->failed |= fatal;
}

// ----------------------------------------------------------------------------------------- sockets

static struct sockaddr_in to_system(const struct addr *addr)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(addr->port),
                                .sin_addr.s_addr = htonl(ip_v4_value(&addr->ip))};
}

// Without a word from the bench: each address of this namespace, and any port.
static void find_locals(struct peer_process *p)
{
    struct ifreq found[2 * PEER_LOCALS_MAX] = {0};
    struct ifconf all = {.ifc_len = sizeof found, .ifc_req = found};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    size_t count = 0;
    if (fd >= 0 && ioctl(fd, SIOCGIFCONF, &all) == 0)
        count = (size_t)all.ifc_len / sizeof found[0];
    for (size_t i = 0; i < count && p->config.locals_count < PEER_LOCALS_MAX; i++) {
        struct sockaddr_in name;
        memcpy(&name, &found[i].ifr_addr, sizeof name);
        struct ip ip = ip_v4_of(ntohl(name.sin_addr.s_addr));
        if (!ip_is_loopback(&ip))
            p->config.locals[p->config.locals_count++].ip = ip;
    }
    if (fd >= 0)
        close(fd);
}

static bool socket_open(struct peer_process *p, unsigned index)
{
    struct sockaddr_in name = to_system(&p->config.locals[index]);
    socklen_t len = sizeof name;
    int room = 1024 * 1024;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    p->sockets[index] = fd;
    p->sockets_count = index + 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room); // what it gets is good enough
    if (bind(fd, (struct sockaddr *)&name, sizeof name) != 0 ||
        getsockname(fd, (struct sockaddr *)&name, &len) != 0)
        return false;
    p->config.locals[index].port = ntohs(name.sin_port);
    return true;
}

static void socket_send(struct peer_process *p, const struct datagram *datagram)
{
    struct sockaddr_in to = to_system(&datagram->to);
    for (unsigned i = 0; i < p->config.locals_count; i++) {
        if (!addr_equal(&p->config.locals[i], &datagram->from))
            continue;
        // What the system refuses is lost, as it may be on any way.
        ssize_t sent = sendto(p->sockets[i], datagram->bytes.at, datagram->bytes.len, 0,
                              (struct sockaddr *)&to, sizeof to);
        (void)sent;
    }
}

static void pump(struct peer_process *p);

static void stream_open(struct peer_process *p, const struct peer_output *out)
{
    if (!p->streams)
        p->streams = socket_streams_new(PEER_STREAMS_MAX);
    int number = socket_streams_connect(p->streams, &out->datagram.from, &out->datagram.to);
    p->stream_sockets[out->stream] = (unsigned)(number + 1);
    if (number < 0)
        ops->stream_event(p->peer, now_of(p), out->stream, PEER_STREAM_REFUSED, (struct bytes){0});
}

static void stream_output(struct peer_process *p, const struct peer_output *out)
{
    if (out->kind == PEER_STREAM_OPEN) {
        stream_open(p, out);
        return;
    }
    unsigned number = p->stream_sockets[out->stream];
    if (number == 0)
        return;
    if (out->kind == PEER_STREAM_CLOSE) {
        socket_streams_close(p->streams, number - 1);
        p->stream_sockets[out->stream] = 0;
    } else if (!socket_streams_send(p->streams, number - 1, out->bytes) && !p->stream_full) {
        p->stream_full = true;
        tell_error(p, false, "messages are dropped: the stream to their server is full");
    }
}

static void read_stream(struct peer_process *p, const struct socket_stream_event *event)
{
    static const enum peer_stream_event events[] = {
        [SOCKET_STREAM_OPENED] = PEER_STREAM_OPENED,
        [SOCKET_STREAM_BYTES] = PEER_STREAM_BYTES,
        [SOCKET_STREAM_CLOSED] = PEER_STREAM_CLOSED,
        [SOCKET_STREAM_REFUSED] = PEER_STREAM_REFUSED,
    };
    unsigned stream = 0;
    while (stream < PEER_STREAMS_MAX && p->stream_sockets[stream] != event->id + 1)
        stream++;
    if (stream == PEER_STREAMS_MAX)
        return;
    if (event->kind == SOCKET_STREAM_CLOSED || event->kind == SOCKET_STREAM_REFUSED)
        p->stream_sockets[stream] = 0;
    ops->stream_event(p->peer, now_of(p), stream, events[event->kind], event->bytes);
    pump(p);
}

// ---------------------------------------------------------------------------------------- channels

static unsigned number_of(struct peer_process *p, unsigned handle)
{
    if (!p->number_of[handle]) {
        unsigned number = 2 * p->incoming_channels++ + 1;
        p->number_of[handle] = number + 1;
        p->handle_of[number] = handle + 1;
    }
    return p->number_of[handle] - 1;
}

static void send_queued(struct peer_process *p)
{
    while (p->first) {
        struct queued *message = p->first;
        enum sctp_send_result sent =
            ops->send(p->peer, now_of(p), message->handle, bytes_of(message->bytes, message->len),
                      message->text);
        if (sent == SCTP_WOULD_BLOCK)
            return;
        if (sent != SCTP_SENT)
            tell_error(p, false, "a message was refused");
        p->first = message->next;
        if (!p->first)
            p->last = &p->first;
        p->queued_len -= message->len;
        free(message);
    }
}

static void on_channel_open(struct peer_process *p, const struct peer_output *out)
{
    struct bytes label = ops->channel_label(p->peer, out->channel);
    json_t *event = event_of("open");
    json_object_set_new(event, "channel", json_integer(number_of(p, out->channel)));
    if (out->incoming)
        json_object_set_new(event, "label",
                            json_stringn(label.len ? (const char *)label.at : "", label.len));
    tell(p, event);
    ops->set_buffered_low(p->peer, out->channel, BUFFERED_LOW);
}

static void on_message(struct peer_process *p, const struct peer_output *out)
{
    json_t *event = event_of("message");
    json_object_set_new(event, "channel", json_integer(number_of(p, out->channel)));
    live_json_content_set(event, out->bytes, out->text);
    tell(p, event);
}

static void on_description(struct peer_process *p, const struct peer_output *out)
{
    json_t *event = event_of(out->kind == PEER_DESCRIPTION ? "sdp" : "candidate");
    if (out->kind == PEER_DESCRIPTION)
        json_object_set_new(event, "type", json_string(out->answer ? "answer" : "offer"));
    json_object_set_new(
        event, out->kind == PEER_DESCRIPTION ? "sdp" : "candidate",
        json_stringn(out->bytes.len ? (const char *)out->bytes.at : "", out->bytes.len));
    tell(p, event);
}

static void on_output(struct peer_process *p, const struct peer_output *out)
{
    json_t *event;
    switch (out->kind) {
    case PEER_SEND:
        socket_send(p, &out->datagram);
        return;
    case PEER_DESCRIPTION:
    case PEER_CANDIDATE:
        on_description(p, out);
        break;
    case PEER_CHANGED:
        break;
    case PEER_CHANNEL_OPEN:
        on_channel_open(p, out);
        break;
    case PEER_MESSAGE:
        on_message(p, out);
        return;
    case PEER_BUFFERED_LOW:
        send_queued(p);
        return;
    case PEER_CHANNEL_CLOSED:
        event = event_of("close");
        json_object_set_new(event, "channel", json_integer(number_of(p, out->channel)));
        tell(p, event);
        break;
    case PEER_STREAM_OPEN:
    case PEER_STREAM_SEND:
    case PEER_STREAM_CLOSE:
        stream_output(p, out);
        return;
    case PEER_CLEAR:
    case PEER_FRAME:
    case PEER_DIGIT:
        return;
    }
    p->changed = true;
}

static void add_media(struct peer_process *p, json_t *event)
{
    json_t *tracks = json_array();
    for (unsigned i = 0; i < p->tracks_count; i++) {
        struct media_track_stats stats = {0};
        ops->track_stats(p->peer, now_of(p), i, &stats);
        json_array_append_new(tracks, live_track_stats_encode(&stats));
    }
    json_object_set_new(event, "tracks", tracks);
    if (!p->tracks_count)
        return;
    struct media_transport_stats transport = {0};
    ops->transport_stats(p->peer, &transport);
    json_object_set_new(event, "transport", live_transport_stats_encode(&transport));
}

static void tell_stats(struct peer_process *p)
{
    struct peer_stats stats;
    json_t *event = event_of("stats");
    if (p->peer) {
        struct text keys = {0};
        ops->stats(p->peer, &stats);
        live_stats_encode(event, &stats);
        ops->key_log(p->peer, &keys);
        json_object_set_new(json_object_get(event, "simrtc"), "keys",
                            json_stringn(keys.len ? keys.at : "", keys.len));
        text_free(&keys);
        add_media(p, event);
    }
    json_object_set_new(event, "stack", json_string("simrtc"));
    json_object_set_new(event, "version", json_string(SIMRTC_VERSION));
    json_object_set_new(event, "cannot", json_array());
    tell(p, event);
}

static void tell_changes(struct peer_process *p)
{
    struct peer_stats stats;
    p->changed = false;
    ops->stats(p->peer, &stats);
    if (stats.state != p->told.state || stats.ice_state != p->told.ice_state ||
        stats.gathering != p->told.gathering || stats.signaling != p->told.signaling) {
        json_t *event = event_of("state");
        json_object_set_new(event, "connection", json_string(peer_state_name(stats.state)));
        json_object_set_new(event, "ice", json_string(ice_state_name(stats.ice_state)));
        json_object_set_new(event, "gathering", json_string(peer_gathering_name(stats.gathering)));
        json_object_set_new(event, "signaling", json_string(peer_signaling_name(stats.signaling)));
        tell(p, event);
    }
    p->told = stats;
    tell_stats(p);
}

static void pump(struct peer_process *p)
{
    struct peer_output out;
    if (!p->started)
        return;
    while (ops->poll(p->peer, now_of(p), &out))
        on_output(p, &out);
    if (p->changed)
        tell_changes(p);
}

// ---------------------------------------------------------------------------------------- commands

static void do_init(struct peer_process *p, const json_t *command)
{
    struct peer_config *c = &p->config;
    struct err err = {0};
    if (p->peer || !libenv_check(&err) || !dtls_library_init(&err)) {
        tell_error(p, true, p->peer ? "a second init" : err.text);
        return;
    }
    if (!live_config_decode(command, c))
        tell_error(p, false, "no random bytes from the system");
    if (c->locals_count == 0)
        find_locals(p);
    for (unsigned j = 0; j < c->locals_count; j++) {
        if (!socket_open(p, j)) {
            tell_error(p, true, "cannot open a socket at its address");
            return;
        }
    }
    p->log.live_fd = STDERR_FILENO;
    c->trace = trace_of(&p->log, c->name);
    libenv_reset();
    if (!c->ice_only)
        sctp_library_start(0);
    p->peer = ops->create(c);
}

// The first description begins the time for a bench that does not say when.
static void do_start(struct peer_process *p, const json_t *command)
{
    uint64_t epoch = 0;
    if (p->started)
        return;
    p->epoch = clock_real();
    if (live_json_number(command, "epoch", INT64_MAX, &epoch))
        p->epoch = (nanotime)epoch;
    p->started = true;
}

static void do_open(struct peer_process *p, const json_t *command)
{
    const char *label = live_json_text(command, "label"), *protocol;
    protocol = live_json_text(command, "protocol");
    uint64_t number, limit, id;
    struct channel_config config = {.label = bytes_text(label ? label : ""),
                                    .protocol = bytes_text(protocol ? protocol : ""),
                                    .priority = 256,
                                    .id = CHANNEL_ID_AUTO};
    if (!live_json_number(command, "channel", HANDLES_MAX - 1, &number))
        return;
    config.delivery.unordered = json_is_false(json_object_get(command, "ordered"));
    config.negotiated = json_is_true(json_object_get(command, "negotiated"));
    if (live_json_number(command, "maxRetransmits", 65535, &limit)) {
        config.delivery.reliability = SCTP_MAX_RETRANSMITS;
        config.delivery.limit = (uint32_t)limit;
    } else if (live_json_number(command, "maxPacketLifeTime", 65535, &limit)) {
        config.delivery.reliability = SCTP_MAX_LIFETIME;
        config.delivery.limit = (uint32_t)limit;
    }
    if (live_json_number(command, "priority", 65535, &limit))
        config.priority = (uint16_t)limit;
    if (live_json_number(command, "id", CHANNELS_MAX, &id))
        config.id = (uint16_t)id;
    int handle = ops->channel_open(p->peer, now_of(p), &config);
    if (handle < 0) {
        tell_error(p, false, "the channel was refused");
        return;
    }
    p->number_of[handle] = (unsigned)number + 1;
    p->handle_of[number] = (unsigned)handle + 1;
}

static void do_track(struct peer_process *p, const json_t *command)
{
    struct media_track_config config = {0};
    bool good =
        p->tracks_count < MEDIA_TRACKS_MAX && live_track_decode(command, &p->arena, &config);
    if (good && ops->track_add(p->peer, &config) == (int)p->tracks_count) {
        p->clips[p->tracks_count++] = (struct clip *)config.clip;
        return;
    }
    clip_free((struct clip *)config.clip);
    tell_error(p, false, "the track was refused");
}

static void do_media(struct peer_process *p, const json_t *command)
{
    struct media_command told;
    if (live_media_command_decode(command, &told) && told.track < p->tracks_count)
        ops->media_command(p->peer, now_of(p), &told);
    else
        tell_error(p, false, "no command to a track");
}

static void do_offer(struct peer_process *p, const json_t *command)
{
    do_start(p, command);
    ops->describe(p->peer, now_of(p), json_is_true(json_object_get(command, "restart")));
}

static void refused(struct peer_process *p)
{
    struct peer_stats stats;
    ops->stats(p->peer, &stats);
    tell_error(p, false, stats.error[0] ? stats.error : "refused");
    p->changed = true;
}

static void do_answer(struct peer_process *p, const json_t *command)
{
    const char *sdp = live_json_text(command, "sdp"), *type = live_json_text(command, "type");
    do_start(p, command);
    if (!ops->accept(p->peer, now_of(p), bytes_text(sdp ? sdp : ""),
                     type && strcmp(type, "answer") == 0))
        refused(p);
}

static void do_candidate(struct peer_process *p, const json_t *command)
{
    const char *text = live_json_text(command, "candidate");
    if (text && !ops->add_candidate(p->peer, now_of(p), bytes_text(text)))
        refused(p);
}

static void do_send(struct peer_process *p, const json_t *command)
{
    uint64_t number;
    struct text content = {0};
    bool text;
    if (live_json_number(command, "channel", HANDLES_MAX - 1, &number) && p->handle_of[number] &&
        live_json_content_get(command, &content, &text)) {
        struct queued *message = mem_alloc(sizeof *message + content.len);
        *message =
            (struct queued){.handle = p->handle_of[number] - 1, .text = text, .len = content.len};
        if (content.len)
            memcpy(message->bytes, content.at, content.len);
        *p->last = message;
        p->last = &message->next;
        p->queued_len += content.len;
        send_queued(p);
    }
    text_free(&content);
}

static void do_stats(struct peer_process *p, const json_t *command)
{
    (void)command;
    tell_stats(p);
}

static void do_close(struct peer_process *p, const json_t *command)
{
    uint64_t number;
    if (!json_object_get(command, "channel"))
        ops->close(p->peer, now_of(p));
    else if (live_json_number(command, "channel", HANDLES_MAX - 1, &number) && p->handle_of[number])
        ops->channel_close(p->peer, now_of(p), p->handle_of[number] - 1);
}

static const struct {
    const char *name;
    bool before_init;
    void (*run)(struct peer_process *p, const json_t *command);
} commands[] = {
    {"init", true, do_init},    {"start", false, do_start},   {"open", false, do_open},
    {"offer", false, do_offer}, {"answer", false, do_answer}, {"candidate", false, do_candidate},
    {"send", false, do_send},   {"stats", true, do_stats},    {"close", false, do_close},
    {"track", false, do_track}, {"media", false, do_media},
};

static void run_line(struct peer_process *p, struct bytes line)
{
    json_t *command = live_json_line(line);
    const char *name = live_json_text(command, "do");
    for (size_t i = 0; name && i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(name, commands[i].name) != 0)
            continue;
        if (p->peer || commands[i].before_init)
            commands[i].run(p, command);
        else
            tell_error(p, false, "a command before init");
        json_decref(command);
        return;
    }
    tell_error(p, false, "no command that is known");
    json_decref(command);
}

// ------------------------------------------------------------------------------------------- loop

static void read_commands(struct peer_process *p)
{
    uint8_t room[READ_MAX];
    ssize_t got = read(STDIN_FILENO, room, sizeof room);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        p->ended = true;
    if (got <= 0)
        return;
    text_add(&p->incoming, bytes_of(room, (size_t)got));
    struct bytes rest = text_bytes(&p->incoming);
    const uint8_t *end;
    while (rest.len && (end = memchr(rest.at, '\n', rest.len)) != NULL) {
        struct bytes line = bytes_of(rest.at, (size_t)(end - rest.at));
        rest = bytes_from(rest, line.len + 1);
        run_line(p, line);
        pump(p);
    }
    memmove(p->incoming.at, rest.at, rest.len);
    p->incoming.len = rest.len;
}

static void read_socket(struct peer_process *p, unsigned index)
{
    static uint8_t room[READ_MAX];
    for (unsigned i = 0; i < BURST_MAX && p->started; i++) {
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        ssize_t got =
            recvfrom(p->sockets[index], room, sizeof room, 0, (struct sockaddr *)&from, &len);
        if (got < 0)
            return;
        struct datagram datagram = {
            .from = {ip_v4_of(ntohl(from.sin_addr.s_addr)), ntohs(from.sin_port)},
            .to = p->config.locals[index],
            .bytes = bytes_of(room, (size_t)got)};
        ops->input(p->peer, now_of(p), &datagram);
        pump(p);
    }
}

static void write_events(struct peer_process *p)
{
    ssize_t put = write(STDOUT_FILENO, p->outgoing.at, p->outgoing.len);
    if (put < 0 && errno != EAGAIN && errno != EINTR)
        p->ended = true;
    if (put <= 0)
        return;
    p->outgoing.len -= (size_t)put;
    memmove(p->outgoing.at, p->outgoing.at + put, p->outgoing.len);
}

static bool wait_once(struct peer_process *p)
{
    struct pollfd fds[2 + PEER_LOCALS_MAX + PEER_STREAMS_MAX];
    struct socket_stream_event event;
    unsigned sockets = p->peer ? p->config.locals_count : 0;
    fds[0] = (struct pollfd){.fd = p->queued_len > QUEUE_MAX ? -1 : STDIN_FILENO, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = p->outgoing.len ? STDOUT_FILENO : -1, .events = POLLOUT};
    for (unsigned i = 0; i < sockets; i++)
        fds[2 + i] = (struct pollfd){.fd = p->sockets[i], .events = POLLIN};
    unsigned streams = p->streams ? socket_streams_fill(p->streams, fds + 2 + sockets) : 0;
    nanotime deadline = p->started ? ops->deadline(p->peer) : TIME_NEVER;
    nanotime span = deadline == TIME_NEVER ? TIME_S : time_max(deadline - now_of(p), 0);
    struct timespec wait = {.tv_sec = span / TIME_S, .tv_nsec = span % TIME_S};
    if (ppoll(fds, 2 + sockets + streams, deadline == TIME_NEVER ? NULL : &wait, NULL) < 0)
        return errno == EINTR;
    for (unsigned i = 0; i < sockets; i++) {
        if (fds[2 + i].revents)
            read_socket(p, i);
    }
    if (p->streams)
        socket_streams_ready(p->streams, fds + 2 + sockets, streams);
    while (p->streams && socket_streams_next(p->streams, &event))
        read_stream(p, &event);
    if (fds[0].revents)
        read_commands(p);
    pump(p);
    if (p->outgoing.len)
        write_events(p);
    return true;
}

// What the process borrowed goes back, so that a leak checker sees those that matter.
static void peer_end(struct peer_process *p)
{
    for (unsigned i = 0; i < p->sockets_count; i++)
        close(p->sockets[i]);
    if (p->peer) {
        ops->destroy(p->peer);
        if (!p->config.ice_only)
            sctp_library_stop();
    }
    secure_library_fini();
    dtls_library_fini();
}

int live_peer_main(void)
{
    struct peer_process p = {.told = live_stats_none()};
    p.last = &p.first;
    p.handle_of = mem_zero(HANDLES_MAX, sizeof *p.handle_of);
    p.number_of = mem_zero(HANDLES_MAX, sizeof *p.number_of);
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    fcntl(STDOUT_FILENO, F_SETFL, fcntl(STDOUT_FILENO, F_GETFL) | O_NONBLOCK);
    while (!p.ended && !(p.failed && p.outgoing.len == 0) && wait_once(&p))
        continue;
    peer_end(&p);
    for (unsigned i = 0; i < p.tracks_count; i++)
        clip_free(p.clips[i]);
    arena_free(&p.arena);
    socket_streams_free(p.streams);
    while (p.first) {
        struct queued *next = p.first->next;
        free(p.first);
        p.first = next;
    }
    free(p.handle_of);
    free(p.number_of);
    text_free(&p.incoming);
    text_free(&p.outgoing);
    text_free(&p.log.text);
    return p.failed;
}
