#define _GNU_SOURCE // accept4
#include "scenarios/runner/socket/socket_stream.h"

#include "base/arena.h"
#include "scenarios/runner/socket/socket_address.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_MAX 16384
#define BURST_MAX 16 // reads of one connection before the next one's turn
#define BACKLOG 64

enum state { FREE, LISTENING, CONNECTING, OPEN, DRAINING }; // draining: closed by us, bytes wait

struct connection {
    enum state state;
    int fd;
    short ready;
    unsigned burst;
    struct addr local, remote;
    uint8_t *out; // owned: what waits to be written
    size_t out_len, out_room;
};

struct socket_streams {
    struct connection *at;
    unsigned max;
    unsigned used; // none from here on is taken
    unsigned turn; // of those that are ready
    int spare;     // given up for who cannot be taken in; -1: there is none
    uint8_t buffer[READ_MAX];
};

static int spare_open(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

struct socket_streams *socket_streams_new(unsigned max)
{
    struct socket_streams *streams = mem_zero(1, sizeof *streams);
    streams->at = mem_zero(max, sizeof *streams->at);
    streams->max = max;
    streams->spare = spare_open();
    return streams;
}

void socket_streams_free(struct socket_streams *streams)
{
    if (!streams)
        return;
    for (unsigned i = 0; i < streams->used; i++) {
        if (streams->at[i].state != FREE)
            close(streams->at[i].fd);
        free(streams->at[i].out);
    }
    if (streams->spare >= 0)
        close(streams->spare);
    free(streams->at);
    free(streams);
}

unsigned socket_streams_max(const struct socket_streams *streams)
{
    return streams->max;
}

static struct connection *slot_take(struct socket_streams *streams)
{
    unsigned i = 0;
    while (i < streams->used && streams->at[i].state != FREE)
        i++;
    if (i == streams->max)
        return NULL;
    streams->used += i == streams->used;
    return &streams->at[i];
}

static void slot_fill(struct connection *slot, enum state state, int fd, const struct addr *remote)
{
    union socket_address name;
    socklen_t len = sizeof name;
    int on = 1;
    // STUN messages are not to wait for each other.
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    uint8_t *out = slot->out;
    size_t room = slot->out_room;
    *slot = (struct connection){
        .state = state, .fd = fd, .remote = *remote, .out = out, .out_room = room};
    if (getsockname(fd, &name.any, &len) == 0)
        slot->local = socket_address_of(&name);
}

static void slot_free(struct connection *slot)
{
    close(slot->fd);
    slot->state = FREE;
    slot->ready = 0;
    slot->out_len = 0;
}

static int open_bound(const struct addr *local)
{
    int on = 1;
    union socket_address name;
    socklen_t len = socket_address_to(local, &name);
    int fd = socket(socket_address_family(local), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &name.any, len) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

bool socket_streams_listen(struct socket_streams *streams, struct addr *local, struct err *err)
{
    char text[ADDR_TEXT_MAX];
    struct connection *slot = slot_take(streams);
    if (!slot)
        return err_set(err, "no more than %u connections", streams->max);
    int fd = open_bound(local);
    if (fd < 0 || listen(fd, BACKLOG) != 0) {
        err_set(err, "cannot listen on %s: %s", addr_print(local, text), strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    slot_fill(slot, LISTENING, fd, &(struct addr){0});
    *local = slot->local;
    return true;
}

int socket_streams_connect(struct socket_streams *streams, const struct addr *from,
                           const struct addr *to)
{
    union socket_address name;
    struct connection *slot = slot_take(streams);
    int fd = slot ? open_bound(from) : -1;
    if (fd < 0)
        return -1;
    socklen_t len = socket_address_to(to, &name);
    if (connect(fd, &name.any, len) != 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    slot_fill(slot, CONNECTING, fd, to);
    return (int)(slot - streams->at);
}

// ---------------------------------------------------------------------------------------- sending

// Write what waits. False: the connection is broken, which reading will say, too.
static bool flush(struct connection *slot)
{
    ssize_t sent = send(slot->fd, slot->out, slot->out_len, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR;
    slot->out_len -= (size_t)sent;
    memmove(slot->out, slot->out + sent, slot->out_len);
    return true;
}

bool socket_streams_send(struct socket_streams *streams, unsigned id, struct bytes bytes)
{
    struct connection *slot = id < streams->used ? &streams->at[id] : NULL;
    if (!slot || slot->state != OPEN || bytes.len > SOCKET_STREAM_QUEUE_MAX - slot->out_len)
        return false;
    ssize_t sent = 0;
    if (slot->out_len == 0)
        sent = send(slot->fd, bytes.at, bytes.len, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return false;
    bytes = bytes_from(bytes, sent > 0 ? (size_t)sent : 0);
    if (bytes.len == 0)
        return true;
    if (slot->out_room < slot->out_len + bytes.len) {
        slot->out_room = 2 * (slot->out_len + bytes.len);
        slot->out = mem_grow(slot->out, slot->out_room);
    }
    memcpy(slot->out + slot->out_len, bytes.at, bytes.len);
    slot->out_len += bytes.len;
    return true;
}

void socket_streams_close(struct socket_streams *streams, unsigned id)
{
    struct connection *slot = id < streams->used ? &streams->at[id] : NULL;
    if (!slot || slot->state == FREE || slot->state == DRAINING)
        return;
    if (slot->state == OPEN && slot->out_len > 0)
        slot->state = DRAINING;
    else
        slot_free(slot);
}

struct addr socket_streams_local(const struct socket_streams *streams, unsigned id)
{
    return id < streams->used ? streams->at[id].local : (struct addr){0};
}

struct addr socket_streams_remote(const struct socket_streams *streams, unsigned id)
{
    return id < streams->used ? streams->at[id].remote : (struct addr){0};
}

// ---------------------------------------------------------------------------------------- waiting

static short events_of(const struct connection *slot)
{
    switch (slot->state) {
    case FREE:
        return 0;
    case LISTENING:
        return POLLIN;
    case CONNECTING:
    case DRAINING:
        return POLLOUT;
    case OPEN:
        return slot->out_len ? POLLIN | POLLOUT : POLLIN;
    }
    return 0;
}

unsigned socket_streams_fill(const struct socket_streams *streams, struct pollfd *polls)
{
    for (unsigned i = 0; i < streams->used; i++) {
        const struct connection *slot = &streams->at[i];
        polls[i] =
            (struct pollfd){.fd = slot->state == FREE ? -1 : slot->fd, .events = events_of(slot)};
    }
    return streams->used;
}

void socket_streams_ready(struct socket_streams *streams, const struct pollfd *polls,
                          unsigned count)
{
    for (unsigned i = 0; i < count && i < streams->used; i++) {
        struct connection *slot = &streams->at[i];
        slot->ready = slot->state != FREE && slot->fd == polls[i].fd ? polls[i].revents : 0;
        slot->burst = 0;
    }
    streams->turn = 0;
}

// The system has no descriptor left: who waits would wake us for ever. With the spare one a client
// sees itself closed. False: nobody waits any more, or there is no spare one.
static bool turn_away(struct socket_streams *streams, const struct connection *listener)
{
    if (streams->spare < 0)
        return false;
    close(streams->spare);
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    streams->spare = spare_open();
    return fd >= 0;
}

static bool take_incoming(struct socket_streams *streams, struct connection *listener,
                          struct socket_stream_event *out)
{
    union socket_address name;
    socklen_t len = sizeof name;
    int fd = accept4(listener->fd, &name.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        bool full = errno == EMFILE || errno == ENFILE;
        if (!full || !turn_away(streams, listener))
            listener->ready = 0;
        return false;
    }
    struct connection *slot = slot_take(streams);
    if (!slot) {
        close(fd); // all are taken: the client sees it closed
        return false;
    }
    struct addr remote = socket_address_of(&name);
    slot_fill(slot, OPEN, fd, &remote);
    *out = (struct socket_stream_event){
        .kind = SOCKET_STREAM_OPENED, .id = (unsigned)(slot - streams->at), .incoming = true};
    return true;
}

static bool take_connected(struct connection *slot, struct socket_stream_event *out)
{
    union socket_address name;
    socklen_t name_len = sizeof name;
    int why = 0;
    socklen_t len = sizeof why;
    slot->ready = 0;
    if (getsockopt(slot->fd, SOL_SOCKET, SO_ERROR, &why, &len) == 0 && why == 0 &&
        getpeername(slot->fd, &name.any, &name_len) == 0) {
        slot->state = OPEN;
        out->kind = SOCKET_STREAM_OPENED;
    } else {
        slot_free(slot);
        out->kind = SOCKET_STREAM_REFUSED;
    }
    return true;
}

static bool take_bytes(struct socket_streams *streams, struct connection *slot,
                       struct socket_stream_event *out)
{
    if (slot->ready & POLLOUT && slot->out_len > 0)
        (void)flush(slot);
    slot->ready &= (short)~POLLOUT;
    if (!slot->ready || slot->burst++ == BURST_MAX) {
        slot->ready = 0;
        return false;
    }
    ssize_t got = recv(slot->fd, streams->buffer, sizeof streams->buffer, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        slot->ready = 0;
        return false;
    }
    out->kind = SOCKET_STREAM_BYTES;
    out->bytes = bytes_of(streams->buffer, got > 0 ? (size_t)got : 0);
    if (got > 0)
        return true;
    out->kind = SOCKET_STREAM_CLOSED;
    slot_free(slot);
    return true;
}

static bool take(struct socket_streams *streams, struct connection *slot,
                 struct socket_stream_event *out)
{
    *out = (struct socket_stream_event){.id = (unsigned)(slot - streams->at)};
    switch (slot->state) {
    case FREE:
        break;
    case LISTENING:
        return take_incoming(streams, slot, out);
    case CONNECTING:
        return take_connected(slot, out);
    case OPEN:
        return take_bytes(streams, slot, out);
    case DRAINING:
        if (!flush(slot) || slot->out_len == 0)
            slot_free(slot);
        break;
    }
    slot->ready = 0;
    return false;
}

bool socket_streams_next(struct socket_streams *streams, struct socket_stream_event *out)
{
    while (streams->turn < streams->used) {
        struct connection *slot = &streams->at[streams->turn];
        if (!slot->ready)
            streams->turn++;
        else if (take(streams, slot, out))
            return true;
    }
    return false;
}
