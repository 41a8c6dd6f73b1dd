#define _GNU_SOURCE // ppoll
#include "scenarios/live_peer.h"

#include "base/arena.h"
#include "base/libenv.h"
#include "base/version.h"
#include "scenarios/live_json.h"
#include "scenarios/live_stats.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_MAX 65536
#define BURST_MAX 64
#define BUFFERED_LOW ((size_t)256 * 1024)
#define MESSAGE_MAX 262144
#define QUEUE_MAX ((size_t)8 * 1024 * 1024) // then the bench's next words wait in the pipe
#define LEAVE_AFTER (2 * TIME_S)            // from close, for the goodbyes

struct queued {
    struct queued *next;
    uint64_t id;   // of the command; 0: others of the same command follow
    uint64_t sent; // what its answer says
    unsigned handle;
    bool text;
    size_t len;
    uint8_t bytes[];
};

struct peer_process {
    void *peer;
    struct peer_config config;
    int sockets[PEER_LOCALS_MAX];
    nanotime epoch;
    bool started, ended, failed;
    nanotime leave_at; // after close; TIME_NEVER: it was not told to
    struct text incoming, outgoing;
    char (*labels)[CHANNEL_LABEL_MAX]; // by the stack's handle
    unsigned labels_count, labels_max;
    uint64_t id;       // of the command being carried out
    bool answered;     // it was
    uint64_t describe; // the command that waits for a description; 0: none
    struct queued *first, **last;
    size_t queued_len;
    bool changed;
    struct peer_stats told; // the states that were told last
    struct trace_log log;
};

static const struct peer_ops *const ops = &peer_simrtc;

static nanotime now_of(const struct peer_process *p)
{
    return p->started ? clock_real() - p->epoch : 0;
}

static json_t *line_of(const char *is)
{
    json_t *line = json_object();
    json_object_set_new(line, "is", json_string(is));
    return line;
}

static void tell(struct peer_process *p, json_t *line)
{
    live_json_put(&p->outgoing, line);
}

static void answer_to(struct peer_process *p, uint64_t id, json_t *line)
{
    json_object_set_new(line, "id", json_integer((json_int_t)id));
    tell(p, line);
}

// What is being carried out gets its answer.
static void answer(struct peer_process *p, json_t *line)
{
    p->answered = true;
    answer_to(p, p->id, line);
}

static json_t *error_of(const char *text)
{
    json_t *line = line_of("error");
    json_object_set_new(line, "text", json_string(text));
    return line;
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
    struct ifreq found[2 * PEER_LOCALS_MAX];
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
    p->sockets[index] = fd;
    if (fd < 0)
        return false;
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

// ---------------------------------------------------------------------------------------- channels

static void label_set(struct peer_process *p, unsigned handle, struct bytes label)
{
    if (handle >= p->labels_max) {
        unsigned max = p->labels_max ? p->labels_max : 8;
        while (max <= handle)
            max *= 2;
        p->labels = mem_grow(p->labels, max * sizeof *p->labels);
        memset(p->labels + p->labels_max, 0, (max - p->labels_max) * sizeof *p->labels);
        p->labels_max = max;
    }
    bytes_copy_text(label, p->labels[handle], sizeof p->labels[handle]);
    if (handle >= p->labels_count)
        p->labels_count = handle + 1;
}

// The latest channel of the label; -1: none.
static int handle_of(const struct peer_process *p, const json_t *command)
{
    const char *label = live_json_text(command, "channel");
    for (unsigned i = p->labels_count; label && i > 0; i--) {
        if (strcmp(p->labels[i - 1], label) == 0)
            return (int)i - 1;
    }
    return -1;
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
        json_t *line = sent == SCTP_SENT ? line_of("done") : error_of("the message was refused");
        if (sent == SCTP_SENT)
            json_object_set_new(line, "sent", json_integer((json_int_t)message->sent));
        if (message->id)
            answer_to(p, message->id, line);
        else
            json_decref(line);
        p->first = message->next;
        if (!p->first)
            p->last = &p->first;
        p->queued_len -= message->len;
        free(message);
    }
}

static void on_channel_open(struct peer_process *p, const struct peer_output *out)
{
    json_t *line = line_of("open");
    label_set(p, out->channel, ops->channel_label(p->peer, out->channel));
    json_object_set_new(line, "channel", json_string(p->labels[out->channel]));
    json_object_set_new(line, "incoming", json_boolean(out->incoming));
    tell(p, line);
    ops->set_buffered_low(p->peer, out->channel, BUFFERED_LOW);
}

static void on_message(struct peer_process *p, const struct peer_output *out)
{
    json_t *line = line_of("message");
    json_object_set_new(line, "channel", json_string(p->labels[out->channel]));
    json_object_set_new(line, "binary", json_boolean(!out->text));
    json_object_set_new(line, "size", json_integer((json_int_t)out->bytes.len));
    if (out->bytes.len > LIVE_TOLD_MAX)
        live_json_hash_set(line, out->bytes);
    else
        live_json_content_set(line, out->bytes, out->text);
    tell(p, line);
}

static void on_description(struct peer_process *p, const struct peer_output *out)
{
    bool sdp = out->kind == PEER_DESCRIPTION;
    json_t *line = line_of(sdp ? "sdp" : "candidate");
    json_object_set_new(
        line, sdp ? "sdp" : "candidate",
        json_stringn(out->bytes.len ? (const char *)out->bytes.at : "", out->bytes.len));
    if (!sdp) {
        json_object_set_new(line, "mid", json_string("0"));
        tell(p, line);
        return;
    }
    json_object_set_new(line, "type", json_string(out->answer ? "answer" : "offer"));
    answer_to(p, p->describe, line);
    p->describe = 0;
}

static void on_output(struct peer_process *p, const struct peer_output *out)
{
    json_t *line;
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
        line = line_of("closed");
        json_object_set_new(line, "channel", json_string(p->labels[out->channel]));
        tell(p, line);
        break;
    }
    p->changed = true;
}

static json_t *stats_line(struct peer_process *p)
{
    struct peer_stats stats;
    struct text keys = {0};
    json_t *line = line_of("stats");
    ops->stats(p->peer, &stats);
    live_stats_encode(line, &stats);
    ops->key_log(p->peer, &keys);
    json_object_set_new(json_object_get(line, "simrtc"), "keys",
                        json_stringn(keys.len ? keys.at : "", keys.len));
    text_free(&keys);
    return line;
}

static void tell_changes(struct peer_process *p)
{
    struct peer_stats stats;
    p->changed = false;
    ops->stats(p->peer, &stats);
    if (stats.state != p->told.state || stats.ice_state != p->told.ice_state ||
        stats.gathering != p->told.gathering || stats.signaling != p->told.signaling) {
        json_t *line = line_of("state");
        json_object_set_new(line, "connection", json_string(peer_state_name(stats.state)));
        json_object_set_new(line, "ice", json_string(ice_state_name(stats.ice_state)));
        json_object_set_new(line, "gathering", json_string(peer_gathering_name(stats.gathering)));
        json_object_set_new(line, "signaling", json_string(peer_signaling_name(stats.signaling)));
        tell(p, line);
    }
    p->told = stats;
    tell(p, stats_line(p)); // unasked: times and counts go with the states
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

static uint64_t own_number(const json_t *own, const char *name)
{
    uint64_t number = 0;
    live_json_number(own, name, INT64_MAX, &number);
    return number;
}

static void read_own(struct peer_process *p, const json_t *own)
{
    struct peer_config *c = &p->config;
    const json_t *value;
    size_t i;
    json_array_foreach(json_object_get(own, "locals"), i, value)
    {
        const char *text = json_string_value(value);
        if (i < PEER_LOCALS_MAX && text && addr_parse(bytes_text(text), &c->locals[i]))
            c->locals_count = (unsigned)i + 1;
    }
    c->rng = rng_seed(1, "peer");
    if (!own && getrandom(c->rng.s, sizeof c->rng.s, 0) < 0) // tidy: others must not foresee it
        tell(p, error_of("no random bytes from the system"));
    json_array_foreach(json_object_get(own, "stream"), i, value)
    {
        const char *text = json_string_value(value);
        uint64_t number;
        if (i < sizeof c->rng.s / sizeof c->rng.s[0] && text &&
            bytes_parse_u64(bytes_text(text), UINT64_MAX, &number))
            c->rng.s[i] = number;
    }
    const char *tiebreaker = live_json_text(own, "tiebreaker");
    if (tiebreaker)
        bytes_parse_u64(bytes_text(tiebreaker), UINT64_MAX, &c->tiebreaker);
    c->ice_lite = own_number(own, "lite") != 0;
    c->ice_only = own_number(own, "ice-only") != 0;
    c->force_role = own_number(own, "force-role") != 0;
    c->role = own_number(own, "role") ? ICE_CONTROLLING : ICE_CONTROLLED;
    c->setup = (enum peer_dtls_setup)(own_number(own, "setup") % 3);
    c->identity = (unsigned)(own_number(own, "identity") % DTLS_IDENTITIES);
    c->wrong_fingerprint = own_number(own, "wrong-fingerprint") != 0;
    c->mtu = (size_t)own_number(own, "mtu");
    c->sctp_port = (uint16_t)own_number(own, "sctp-port");
    c->max_message_size = own_number(own, "max-message-size");
    c->ice_ta = (nanotime)own_number(own, "ta");
    c->consent_interval = (nanotime)own_number(own, "consent-interval");
    c->consent_timeout = (nanotime)own_number(own, "consent-timeout");
    c->nomination_wait = (nanotime)own_number(own, "nomination-wait");
    c->patience = (nanotime)own_number(own, "patience");
    c->gather_timeout = (nanotime)own_number(own, "gather-timeout");
    c->turn_lifetime_s = (uint32_t)own_number(own, "turn-lifetime");
    c->turn_channels = own_number(own, "turn-channels") != 0;
}

static bool read_server(const json_t *from, struct peer_server *to)
{
    const char *url = live_json_text(from, "urls");
    if (!url || (strncmp(url, "stun:", 5) != 0 && strncmp(url, "turn:", 5) != 0))
        return false;
    *to = (struct peer_server){.kind = url[0] == 't' ? PEER_TURN : PEER_STUN,
                               .username = live_json_text(from, "username"),
                               .password = live_json_text(from, "credential")};
    struct bytes addr = bytes_of(url + 5, strcspn(url + 5, "?"));
    return addr_parse(addr, &to->addr) && (to->kind == PEER_STUN || (to->username && to->password));
}

static void open_sockets(struct peer_process *p)
{
    if (p->config.locals_count == 0)
        find_locals(p);
    for (unsigned i = 0; i < p->config.locals_count && !p->failed; i++)
        p->failed = !socket_open(p, i);
}

static json_t *abilities(void)
{
    static const char *const names[] = {
        "trickle",   "restart",    "maxRetransmits", "maxPacketLifeTime",
        "unordered", "negotiated", "relay"};
    json_t *can = json_object();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        json_object_set_new(can, names[i], json_true());
    return can;
}

static void do_init(struct peer_process *p, const json_t *command)
{
    const json_t *servers = json_object_get(command, "ice_servers"), *server;
    const char *policy = live_json_text(command, "policy");
    struct peer_config *c = &p->config;
    size_t i;
    struct err err = {0};
    if (p->peer || !libenv_check(&err) || !dtls_library_init(&err)) {
        answer(p, error_of(p->peer ? "a second init" : err.text));
        return;
    }
    c->name = live_json_text(command, "name");
    c->name = c->name ? c->name : "peer";
    c->relay_only = policy && strcmp(policy, "relay") == 0;
    c->trickle = json_is_true(json_object_get(command, "trickle"));
    read_own(p, json_object_get(command, "simrtc"));
    json_array_foreach(servers, i, server)
    {
        if (c->servers_count < PEER_SERVERS_MAX &&
            read_server(server, &c->servers[c->servers_count]))
            c->servers_count++;
    }
    open_sockets(p);
    if (p->failed) {
        answer(p, error_of("cannot open a socket at its address"));
        return;
    }
    p->log.live_fd = STDERR_FILENO;
    c->trace = trace_of(&p->log, c->name);
    libenv_reset();
    if (!c->ice_only)
        sctp_library_start(0);
    p->peer = ops->create(c);
    json_t *ready = line_of("ready");
    json_object_set_new(ready, "stack", json_string("simrtc"));
    json_object_set_new(ready, "version", json_string(SIMRTC_VERSION));
    json_object_set_new(ready, "can", abilities());
    json_object_set_new(ready, "max_message", json_integer(MESSAGE_MAX));
    answer(p, ready);
}

// The first description begins the time, unless the bench says when that was.
static void start(struct peer_process *p, const json_t *command)
{
    uint64_t epoch = 0;
    if (p->started)
        return;
    p->epoch = clock_real();
    if (live_json_number(command, "epoch", INT64_MAX, &epoch) && epoch)
        p->epoch = (nanotime)epoch;
    p->started = true;
}

static bool open_channel(struct peer_process *p, const json_t *from)
{
    const char *label = live_json_text(from, "label"), *protocol = live_json_text(from, "protocol");
    uint64_t limit, id;
    struct channel_config config = {.label = bytes_text(label ? label : ""),
                                    .protocol = bytes_text(protocol ? protocol : ""),
                                    .priority = 256,
                                    .id = CHANNEL_ID_AUTO};
    config.delivery.unordered = json_is_false(json_object_get(from, "ordered"));
    config.negotiated = json_is_true(json_object_get(from, "negotiated"));
    if (live_json_number(from, "maxRetransmits", 65535, &limit)) {
        config.delivery.reliability = SCTP_MAX_RETRANSMITS;
        config.delivery.limit = (uint32_t)limit;
    } else if (live_json_number(from, "maxPacketLifeTime", 65535, &limit)) {
        config.delivery.reliability = SCTP_MAX_LIFETIME;
        config.delivery.limit = (uint32_t)limit;
    }
    if (live_json_number(from, "id", CHANNELS_MAX, &id))
        config.id = (uint16_t)id;
    int handle = ops->channel_open(p->peer, now_of(p), &config);
    if (handle >= 0)
        label_set(p, (unsigned)handle, config.label);
    return handle >= 0;
}

static bool open_channels(struct peer_process *p, const json_t *command)
{
    const json_t *channel;
    size_t i;
    bool opened = true;
    json_array_foreach(json_object_get(command, "channels"), i, channel)
    {
        opened = open_channel(p, channel) && opened;
    }
    if (!opened)
        answer(p, error_of("a channel was refused"));
    return opened;
}

static void do_open(struct peer_process *p, const json_t *command)
{
    if (!open_channel(p, json_object_get(command, "channel")))
        answer(p, error_of("the channel was refused"));
}

static void do_offer(struct peer_process *p, const json_t *command)
{
    start(p, command);
    if (!open_channels(p, command))
        return;
    p->describe = p->id;
    p->answered = true; // by the description
    ops->describe(p->peer, now_of(p), strcmp(live_json_text(command, "do"), "restart") == 0);
}

static bool take_description(struct peer_process *p, const json_t *command, bool is_answer)
{
    const char *sdp = live_json_text(command, "sdp");
    struct peer_stats stats;
    if (ops->accept(p->peer, now_of(p), bytes_text(sdp ? sdp : ""), is_answer))
        return true;
    ops->stats(p->peer, &stats);
    answer(p, error_of(stats.error[0] ? stats.error : "refused"));
    p->changed = true;
    return false;
}

static void do_answer(struct peer_process *p, const json_t *command)
{
    start(p, command);
    if (!open_channels(p, command) || !take_description(p, command, false))
        return;
    p->describe = p->id;
    p->answered = true;
}

static void do_accept(struct peer_process *p, const json_t *command)
{
    take_description(p, command, true);
}

static void do_candidate(struct peer_process *p, const json_t *command)
{
    const char *text = live_json_text(command, "candidate");
    if (!text || !ops->add_candidate(p->peer, now_of(p), bytes_text(text)))
        answer(p, error_of("the candidate was refused"));
}

static struct queued *queue(struct peer_process *p, unsigned handle, size_t len)
{
    struct queued *message = mem_alloc(sizeof *message + len);
    *message = (struct queued){.handle = handle, .len = len};
    *p->last = message;
    p->last = &message->next;
    p->queued_len += len;
    return message;
}

// `count` messages of a pattern; the last one's `done` is the answer.
static void queue_many(struct peer_process *p, unsigned handle, uint64_t count, size_t size)
{
    uint8_t number[4];
    for (uint64_t n = 0; n < count; n++) {
        struct queued *message = queue(p, handle, size);
        put_u32(number, (uint32_t)n);
        for (size_t i = 0; i < size; i++)
            message->bytes[i] = i < sizeof number ? number[i] : (uint8_t)(n + i);
        message->id = n + 1 == count ? p->id : 0;
        message->sent = count;
    }
}

static void do_send(struct peer_process *p, const json_t *command)
{
    struct text content = {0};
    bool text;
    uint64_t count, size;
    int handle = handle_of(p, command);
    bool many = live_json_number(command, "count", QUEUE_MAX, &count) &&
                live_json_number(command, "size", MESSAGE_MAX, &size) && count > 0;
    if (handle >= 0 && many) {
        p->answered = true;
        queue_many(p, (unsigned)handle, count, size);
        send_queued(p);
    } else if (handle >= 0 && live_json_content_get(command, &content, &text)) {
        struct queued *message = queue(p, (unsigned)handle, content.len);
        message->id = p->id;
        message->text = text;
        message->sent = 1;
        if (content.len)
            memcpy(message->bytes, content.at, content.len);
        p->answered = true; // when the stack has taken it
        send_queued(p);
    } else {
        answer(p, error_of("no such channel, or nothing to send"));
    }
    text_free(&content);
}

static void do_stats(struct peer_process *p, const json_t *command)
{
    (void)command;
    answer(p, stats_line(p));
}

static void do_close(struct peer_process *p, const json_t *command)
{
    int handle = handle_of(p, command);
    if (!json_object_get(command, "channel")) {
        ops->close(p->peer, now_of(p));
        p->leave_at = time_add(clock_real(), LEAVE_AFTER);
    } else if (handle >= 0) {
        ops->channel_close(p->peer, now_of(p), (unsigned)handle);
    } else {
        answer(p, error_of("no such channel"));
    }
}

static const struct {
    const char *name;
    void (*run)(struct peer_process *p, const json_t *command);
} commands[] = {
    {"init", do_init},     {"offer", do_offer}, {"answer", do_answer}, {"accept", do_accept},
    {"restart", do_offer}, {"open", do_open},   {"send", do_send},     {"candidate", do_candidate},
    {"stats", do_stats},   {"close", do_close},
};

static void run_line(struct peer_process *p, struct bytes line)
{
    json_t *command = live_json_line(line);
    const char *name = live_json_text(command, "do");
    p->answered = false;
    p->id = 0;
    bool has_id = live_json_number(command, "id", INT64_MAX, &p->id), known = false;
    for (size_t i = 0; name && i < sizeof commands / sizeof commands[0] && !known; i++) {
        known = strcmp(name, commands[i].name) == 0;
        if (known && (p->peer || i == 0))
            commands[i].run(p, command);
        else if (known)
            answer(p, error_of("a command before init"));
    }
    if (!known && has_id)
        answer(p, error_of("no command that is known"));
    else if (!known)
        tell(p, error_of("no JSON object, or none with a command"));
    else if (!p->answered)
        answer(p, line_of("done"));
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
    struct pollfd fds[2 + PEER_LOCALS_MAX];
    unsigned sockets = p->peer ? p->config.locals_count : 0;
    fds[0] = (struct pollfd){.fd = p->queued_len > QUEUE_MAX ? -1 : STDIN_FILENO, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = p->outgoing.len ? STDOUT_FILENO : -1, .events = POLLOUT};
    for (unsigned i = 0; i < sockets; i++)
        fds[2 + i] = (struct pollfd){.fd = p->sockets[i], .events = POLLIN};
    nanotime deadline = p->started ? ops->deadline(p->peer) : TIME_NEVER;
    if (p->leave_at != TIME_NEVER)
        deadline = time_min(deadline, now_of(p) + time_max(p->leave_at - clock_real(), 0));
    nanotime span = deadline == TIME_NEVER ? TIME_S : time_max(deadline - now_of(p), 0);
    struct timespec wait = {.tv_sec = span / TIME_S, .tv_nsec = span % TIME_S};
    if (ppoll(fds, 2 + sockets, deadline == TIME_NEVER ? NULL : &wait, NULL) < 0)
        return errno == EINTR;
    for (unsigned i = 0; i < sockets; i++) {
        if (fds[2 + i].revents)
            read_socket(p, i);
    }
    if (fds[0].revents)
        read_commands(p);
    pump(p);
    if (p->outgoing.len)
        write_events(p);
    return true;
}

int live_peer_main(void)
{
    struct peer_process p = {.told = live_stats_none(), .leave_at = TIME_NEVER};
    p.last = &p.first;
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    fcntl(STDOUT_FILENO, F_SETFL, fcntl(STDOUT_FILENO, F_GETFL) | O_NONBLOCK);
    while (!p.ended && !(p.failed && p.outgoing.len == 0) && clock_real() < p.leave_at &&
           wait_once(&p))
        continue;
    if (p.peer)
        ops->destroy(p.peer);
    while (p.first) {
        struct queued *next = p.first->next;
        free(p.first);
        p.first = next;
    }
    free(p.labels);
    text_free(&p.incoming);
    text_free(&p.outgoing);
    text_free(&p.log.text);
    return p.failed;
}
