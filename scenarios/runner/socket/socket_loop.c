#define _GNU_SOURCE // ppoll, signalfd, IP_MTU_DISCOVER
#include "scenarios/runner/socket/socket_loop.h"

#include "base/arena.h"
#include "scenarios/runner/socket/socket_address.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define DATAGRAM_MAX 65536
#define BURST_MAX 64                 // datagrams of one socket before the next one's turn
#define RECEIVE_BUFFER (1024 * 1024) // as far as the system allows
#define NAME_MAX_LEN 255

struct socket {
    struct addr local;
    bool dont_fragment; // as the socket is set now
};

// sockets[i] is waited for by polls[i + 1]: both are sorted by address, so that the one to send
// from is found by halves. polls[0] is the signals. Behind the sockets come the streams.
struct socket_loop {
    nanotime start; // of the real clock
    sigset_t signals_before;
    int signal; // taken; or errno
    struct socket *sockets;
    struct pollfd *polls;
    unsigned count, max;
    unsigned turn;                  // the socket that is read from
    unsigned burst;                 // how many of its datagrams were
    struct socket_streams *streams; // NULL: none
    struct socket_stream_event event;
    uint8_t buffer[DATAGRAM_MAX];
};

// -------------------------------------------------------------------------------------- addresses

bool socket_route(const struct addr *remote, struct addr *local, struct err *err)
{
    union socket_address name;
    socklen_t len = socket_address_to(remote, &name);
    int fd = socket(socket_address_family(remote), SOCK_DGRAM | SOCK_CLOEXEC, 0);
    // Connecting a UDP socket sends nothing: it looks up the route.
    bool good = fd >= 0 && connect(fd, &name.any, len) == 0;
    len = sizeof name;
    good = good && getsockname(fd, &name.any, &len) == 0;
    int why = errno;
    if (fd >= 0)
        close(fd);
    char text[ADDR_TEXT_MAX];
    if (!good)
        return err_set(err, "no way to %s: %s", addr_print(remote, text), strerror(why));
    *local = socket_address_of(&name);
    local->port = 0;
    return true;
}

// Split at the colon before the port; a bare IPv6 address has colons but no port.
static bool split(const char *text, char host[NAME_MAX_LEN + 1], uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    const char *bracket = text[0] == '[' ? strchr(text, ']') : NULL;
    size_t len = strlen(text);
    if (text[0] == '[' && !bracket)
        return false;
    if (bracket) {
        if (bracket[1] != 0 && bracket[1] != ':')
            return false;
        colon = bracket[1] ? bracket + 1 : NULL;
        text++;
        len = (size_t)(bracket - text);
    } else if (colon && strchr(text, ':') != colon) {
        colon = NULL;
    } else if (colon) {
        len = (size_t)(colon - text);
    }
    uint64_t number = *port;
    if (colon && !bytes_parse_u64(bytes_text(colon + 1), UINT16_MAX, &number))
        return false;
    *port = (uint16_t)number;
    return len > 0 && number > 0 && bytes_copy_text(bytes_of(text, len), host, NAME_MAX_LEN + 1);
}

bool socket_resolve(const char *text, uint16_t port, struct addr *out, struct err *err)
{
    char host[NAME_MAX_LEN + 1];
    if (!split(text, host, &port))
        return err_set(err, "expected HOST:PORT, got '%.60s'", text);
    *out = (struct addr){.port = port};
    if (ip_parse(bytes_text(host), &out->ip))
        return true;
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found = NULL;
    int code = getaddrinfo(host, NULL, &hints, &found);
    if (code != 0)
        return err_set(err, "cannot resolve '%.60s': %s", host, gai_strerror(code));
    union socket_address name;
    memset(&name, 0, sizeof name);
    memcpy(&name, found->ai_addr,
           found->ai_addrlen < sizeof name ? found->ai_addrlen : sizeof name);
    freeaddrinfo(found);
    *out = socket_address_of(&name);
    out->port = port;
    if (addr_is_none(out))
        return err_set(err, "'%.60s' has no IP address", host);
    return true;
}

// ---------------------------------------------------------------------------------------- the loop

struct socket_loop *socket_loop_new(unsigned sockets_max, struct err *err)
{
    assert(sockets_max > 0);
    struct socket_loop *loop = mem_zero(1, sizeof *loop);
    loop->start = clock_real();
    loop->max = sockets_max;
    loop->sockets = mem_zero(sockets_max, sizeof *loop->sockets);
    loop->polls = mem_zero((size_t)sockets_max + 1, sizeof *loop->polls);
    sigset_t stops;
    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    sigprocmask(SIG_BLOCK, &stops, &loop->signals_before);
    loop->polls[0].fd = signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK);
    loop->polls[0].events = POLLIN;
    if (loop->polls[0].fd >= 0)
        return loop;
    err_set(err, "cannot watch for signals: %s", strerror(errno));
    socket_loop_free(loop);
    return NULL;
}

struct socket_streams *socket_loop_streams(struct socket_loop *loop, unsigned max)
{
    if (loop->streams || max == 0)
        return loop->streams;
    size_t polls = (size_t)loop->max + 1 + max;
    loop->streams = socket_streams_new(max);
    loop->polls = mem_grow(loop->polls, polls * sizeof *loop->polls);
    return loop->streams;
}

const struct socket_stream_event *socket_loop_stream(const struct socket_loop *loop)
{
    return &loop->event;
}

void socket_loop_free(struct socket_loop *loop)
{
    if (!loop)
        return;
    socket_streams_free(loop->streams);
    for (unsigned i = 0; i < loop->count; i++)
        close(loop->polls[i + 1].fd);
    if (loop->polls[0].fd >= 0)
        close(loop->polls[0].fd);
    sigprocmask(SIG_SETMASK, &loop->signals_before, NULL);
    free(loop->sockets);
    free(loop->polls);
    free(loop);
}

// Where the socket of `local` is, or would be inserted.
static unsigned place_of(const struct socket_loop *loop, const struct addr *local)
{
    unsigned low = 0, high = loop->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (addr_compare(&loop->sockets[middle].local, local) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct socket_loop *loop, unsigned i, const struct addr *local)
{
    return i < loop->count && addr_equal(&loop->sockets[i].local, local);
}

// Discovery of the path MTU sets the DF bit; without it routers may fragment.
static bool set_dont_fragment(int fd, const struct addr *local, bool on)
{
    if (local->ip.family == IP_V6) {
        int value = on ? IPV6_PMTUDISC_DO : IPV6_PMTUDISC_DONT;
        return setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &value, sizeof value) == 0;
    }
    int value = on ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT;
    return setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, sizeof value) == 0;
}

static int open_bound(struct addr *local)
{
    int fd = socket(socket_address_family(local), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int room = RECEIVE_BUFFER;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room); // what it gets is good enough
    union socket_address name;
    socklen_t len = socket_address_to(local, &name);
    bool good = set_dont_fragment(fd, local, false) && bind(fd, &name.any, len) == 0;
    len = sizeof name;
    if (good && getsockname(fd, &name.any, &len) == 0) {
        *local = socket_address_of(&name);
        return fd;
    }
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

bool socket_loop_open(struct socket_loop *loop, struct addr *local, struct err *err)
{
    char text[ADDR_TEXT_MAX];
    if (ip_is_unspecified(&local->ip))
        return err_set(err, "%s is every address of this machine: name one",
                       addr_print(local, text));
    if (loop->count == loop->max)
        return err_set(err, "no more than %u sockets", loop->max);
    int fd = open_bound(local);
    if (fd < 0)
        return err_set(err, "cannot open %s: %s", addr_print(local, text), strerror(errno));
    unsigned i = place_of(loop, local), after = loop->count - i;
    memmove(&loop->sockets[i + 1], &loop->sockets[i], after * sizeof *loop->sockets);
    memmove(&loop->polls[i + 2], &loop->polls[i + 1], after * sizeof *loop->polls);
    loop->sockets[i] = (struct socket){.local = *local};
    loop->polls[i + 1] = (struct pollfd){.fd = fd, .events = POLLIN};
    loop->count++;
    loop->turn += i <= loop->turn;
    return true;
}

void socket_loop_close(struct socket_loop *loop, const struct addr *local)
{
    unsigned i = place_of(loop, local);
    if (!is_at(loop, i, local))
        return;
    close(loop->polls[i + 1].fd);
    unsigned after = loop->count - i - 1;
    memmove(&loop->sockets[i], &loop->sockets[i + 1], after * sizeof *loop->sockets);
    memmove(&loop->polls[i + 1], &loop->polls[i + 2], after * sizeof *loop->polls);
    loop->count--;
    loop->turn -= i < loop->turn;
}

nanotime socket_loop_now(const struct socket_loop *loop)
{
    return clock_real() - loop->start;
}

void socket_loop_skip(struct socket_loop *loop, nanotime span)
{
    loop->start -= span;
}

bool socket_loop_send(struct socket_loop *loop, const struct datagram *datagram, bool dont_fragment)
{
    unsigned i = place_of(loop, &datagram->from);
    if (!is_at(loop, i, &datagram->from))
        return false;
    struct socket *from = &loop->sockets[i];
    int fd = loop->polls[i + 1].fd;
    if (from->dont_fragment != dont_fragment) {
        if (!set_dont_fragment(fd, &from->local, dont_fragment))
            return false;
        from->dont_fragment = dont_fragment;
    }
    union socket_address to;
    socklen_t len = socket_address_to(&datagram->to, &to);
    struct bytes bytes = datagram->bytes;
    return sendto(fd, bytes.at, bytes.len, 0, &to.any, len) == (ssize_t)bytes.len;
}

// The next datagram of those sockets that the last poll found ready.
static bool take(struct socket_loop *loop, struct datagram *out)
{
    while (loop->turn < loop->count) {
        struct pollfd *poll = &loop->polls[loop->turn + 1];
        if (!poll->revents || loop->burst == BURST_MAX) {
            loop->turn++;
            loop->burst = 0;
            continue;
        }
        union socket_address from;
        socklen_t len = sizeof from;
        ssize_t got = recvfrom(poll->fd, loop->buffer, sizeof loop->buffer, 0, &from.any, &len);
        if (got < 0) { // nothing more, or news of a datagram that was lost
            poll->revents = 0;
            continue;
        }
        loop->burst++;
        *out = (struct datagram){socket_address_of(&from), loop->sockets[loop->turn].local,
                                 bytes_of(loop->buffer, (size_t)got)};
        return true;
    }
    return false;
}

static bool take_signal(struct socket_loop *loop)
{
    struct signalfd_siginfo info;
    if (!loop->polls[0].revents || read(loop->polls[0].fd, &info, sizeof info) != sizeof info)
        return false;
    loop->signal = (int)info.ssi_signo;
    return true;
}

enum socket_event socket_loop_wait(struct socket_loop *loop, nanotime deadline,
                                   struct datagram *out)
{
    while (!take(loop, out)) {
        if (loop->streams && socket_streams_next(loop->streams, &loop->event))
            return SOCKET_STREAM;
        struct pollfd *streams = &loop->polls[loop->count + 1];
        unsigned more = loop->streams ? socket_streams_fill(loop->streams, streams) : 0;
        nanotime now = socket_loop_now(loop);
        nanotime span = deadline == TIME_NEVER ? TIME_NEVER : time_max(deadline - now, 0);
        struct timespec wait = {.tv_sec = span / TIME_S, .tv_nsec = span % TIME_S};
        int ready =
            ppoll(loop->polls, loop->count + 1 + more, span == TIME_NEVER ? NULL : &wait, NULL);
        if (ready < 0 && errno != EINTR) {
            loop->signal = errno;
            return SOCKET_ERROR;
        }
        if (ready > 0 && take_signal(loop))
            return SOCKET_SIGNAL;
        if (ready == 0)
            return SOCKET_DEADLINE;
        if (loop->streams && ready > 0)
            socket_streams_ready(loop->streams, streams, more);
        loop->turn = ready > 0 ? 0 : loop->count;
        loop->burst = 0;
    }
    return SOCKET_DATAGRAM;
}

int socket_loop_signal(const struct socket_loop *loop)
{
    return loop->signal;
}
