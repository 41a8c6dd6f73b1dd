// A peer that gathers from a TURN server by UDP and by TCP; the bytes say what becomes of its
// connections and of what is said on them: opened late, refused, cut, closed, filled with rubbish.
//
//   - it opens, sends and closes as streams allow, whatever happened to them before;
//   - gathering is over in time, however it went; undisturbed it has its relays, those by TCP also
//     where datagrams are lost;
//   - the heap stays small, and nobody holds a connection when it is gone.
#include "fuzz/kit/peers.h"
#include "stack/turn/turn.h"

// libFuzzer: -max_len=600

#define LOCALS 2
#define MEMORY_MAX (32u << 20)
#define GATHER_MAX (60 * TIME_S)

enum line { LINE_CLOSED, LINE_OPENING, LINE_OPEN };

struct bench {
    nanotime now;
    void *peer;
    struct turn_server *server;
    struct addr listen, locals[LOCALS];
    struct reader r;
    enum line lines[PEER_STREAMS_MAX];
    bool served[PEER_STREAMS_MAX]; // the server has it
    bool disturbed;
    unsigned work;
};

static void hear(struct bench *b, unsigned stream, enum peer_stream_event event, struct bytes bytes)
{
    if (event == PEER_STREAM_OPENED && b->lines[stream] == LINE_OPENING)
        b->lines[stream] = LINE_OPEN;
    if (event == PEER_STREAM_CLOSED || event == PEER_STREAM_REFUSED) {
        if (b->served[stream])
            turn_server_stream_closed(b->server, b->now, stream);
        b->served[stream] = false;
        b->lines[stream] = LINE_CLOSED;
    }
    peer_simrtc.stream_event(b->peer, b->now, stream, event, bytes);
}

static void opened(struct bench *b, const struct peer_output *out)
{
    assert(out->stream < PEER_STREAMS_MAX && b->lines[out->stream] == LINE_CLOSED);
    assert(addr_equal(&out->datagram.to, &b->listen));
    b->lines[out->stream] = LINE_OPENING;
    unsigned fate = read_u8(&b->r) % 8;
    b->disturbed |= fate >= 4;
    if (fate == 4)
        hear(b, out->stream, PEER_STREAM_REFUSED, bytes_of(NULL, 0));
    else if (fate == 5 || fate == 6)
        return; // it opens later, or never
    else
        hear(b, out->stream, PEER_STREAM_OPENED, bytes_of(NULL, 0));
}

// In pieces as the bytes say, to the server.
static void told(struct bench *b, const struct peer_output *out)
{
    assert(out->stream < PEER_STREAMS_MAX && b->lines[out->stream] == LINE_OPEN);
    if (!b->served[out->stream])
        b->served[out->stream] = turn_server_stream_open(b->server, b->now, out->stream,
                                                         &(struct addr){out->datagram.from.ip, 9});
    if (b->served[out->stream])
        turn_server_stream_input(b->server, b->now, out->stream,
                                 out->bytes.len ? out->bytes : out->datagram.bytes);
}

static void take(struct bench *b, const struct peer_output *out)
{
    switch (out->kind) {
    case PEER_SEND:
        if (addr_equal(&out->datagram.to, &b->listen) && read_u8(&b->r) < 224)
            turn_server_input(b->server, b->now, &out->datagram);
        break;
    case PEER_STREAM_OPEN:
        opened(b, out);
        break;
    case PEER_STREAM_SEND:
        told(b, out);
        break;
    case PEER_STREAM_CLOSE:
        assert(out->stream < PEER_STREAMS_MAX && b->lines[out->stream] != LINE_CLOSED);
        if (b->served[out->stream])
            turn_server_stream_closed(b->server, b->now, out->stream);
        b->served[out->stream] = false;
        b->lines[out->stream] = LINE_CLOSED;
        break;
    default:
        break;
    }
}

// From the server on a stream: whole, in pieces, behind rubbish, or only its beginning.
static void answer(struct bench *b, unsigned stream, struct bytes bytes)
{
    unsigned fate = read_u8(&b->r), how = fate % 8;
    if (how == 5 || how == 6)
        b->disturbed = true;
    if (how == 5) {
        hear(b, stream, PEER_STREAM_BYTES, fuzz_slice(&b->r));
        if (b->lines[stream] != LINE_OPEN)
            return;
    }
    if (how == 6)
        bytes.len = bytes.len * (fate >> 3) / 32;
    size_t piece = how == 4 || how == 7 ? 1 + fate / 8 : bytes.len;
    while (bytes.len > 0 && b->lines[stream] == LINE_OPEN) {
        size_t len = bytes.len < piece ? bytes.len : piece;
        hear(b, stream, PEER_STREAM_BYTES, bytes_of(bytes.at, len));
        bytes = bytes_from(bytes, len);
    }
    if (how == 6)
        hear(b, stream, PEER_STREAM_CLOSED, bytes_of(NULL, 0));
}

static void serve(struct bench *b, const struct turn_server_output *out)
{
    uint8_t copy[2048];
    struct bytes bytes = out->datagram.bytes;
    assert(bytes.len <= sizeof copy);
    if (bytes.len)
        memcpy(copy, bytes.at, bytes.len);
    struct datagram datagram = {out->datagram.from, out->datagram.to, bytes_of(copy, bytes.len)};
    if (out->kind == TURN_SERVER_SEND) {
        assert(peer_simrtc.input(b->peer, b->now, &datagram) < PEER_DROPS);
    } else if (out->kind == TURN_SERVER_STREAM_SEND && b->served[out->stream]) {
        answer(b, out->stream, datagram.bytes);
    } else if (out->kind == TURN_SERVER_STREAM_CLOSE && b->served[out->stream]) {
        b->served[out->stream] = false;
        hear(b, out->stream, PEER_STREAM_CLOSED, bytes_of(NULL, 0));
    }
}

static void pump(struct bench *b)
{
    struct peer_output out;
    struct turn_server_output served;
    for (bool more = true; more;) {
        more = false;
        assert(b->work++ < 100000);
        if (peer_simrtc.poll(b->peer, b->now, &out)) {
            take(b, &out);
            more = true;
        }
        if (turn_server_poll(b->server, b->now, &served)) {
            serve(b, &served);
            more = true;
        }
    }
}

static void pass(struct bench *b, nanotime span)
{
    nanotime until = b->now + span;
    pump(b);
    for (;;) {
        nanotime wake = time_min(peer_simrtc.deadline(b->peer), turn_server_deadline(b->server));
        if (wake > until)
            break;
        b->now = time_max(b->now, wake);
        pump(b);
    }
    b->now = until;
}

// Something happens to a stream that nobody asked for.
static void disturb(struct bench *b)
{
    unsigned how = read_u8(&b->r), stream = how / 4 % 8;
    b->disturbed = true;
    switch (how % 4) {
    case 0:
        hear(b, stream, PEER_STREAM_OPENED, bytes_of(NULL, 0));
        break;
    case 1:
        hear(b, stream, PEER_STREAM_BYTES, fuzz_slice(&b->r));
        break;
    case 2:
        hear(b, stream, how & 128 ? PEER_STREAM_CLOSED : PEER_STREAM_REFUSED, bytes_of(NULL, 0));
        break;
    default:
        turn_server_reset(b->server, b->now);
        break;
    }
    pump(b);
}

static void setup(struct bench *b)
{
    static const struct turn_user users[] = {{"user", "secret"}};
    struct peer_config config = fuzz_peer_config(0);
    b->listen = (struct addr){ip_v4(192, 0, 2, 1), 3478};
    for (unsigned i = 0; i < LOCALS; i++)
        b->locals[i] = config.locals[i] = (struct addr){ip_v4(10, 0, (uint8_t)i, 1), 5000};
    config.locals_count = LOCALS;
    for (unsigned i = 0; i < 2; i++)
        config.servers[config.servers_count++] =
            (struct peer_server){.kind = PEER_TURN,
                                 .addr = b->listen,
                                 .username = "user",
                                 .password = "secret",
                                 .transport = i ? PEER_TCP : PEER_UDP};
    b->peer = peer_simrtc.create(&config);
    const struct turn_server_config serving = {.listen = b->listen,
                                               .relay_ip = b->listen.ip,
                                               .relay_port_min = 49152,
                                               .relay_port_max = 49999,
                                               .realm = "example.org",
                                               .users = users,
                                               .users_count = 1,
                                               .streams_max = PEER_STREAMS_MAX,
                                               .rng = rng_seed(1, "server")};
    b->server = turn_server_new(&serving);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bench b;
    static struct peer_stats stats;
    fuzz_peers_ready();
    size_t before = fuzz_memory();
    b = (struct bench){.r = reader_of(bytes_of(data, size))};
    fuzz_peers_begin();
    setup(&b);
    fuzz_peer_open_chat(b.peer);
    peer_simrtc.describe(b.peer, 0, false);
    pump(&b);
    for (unsigned i = 0; i < 100 && b.r.len > 0; i++) {
        unsigned kind = fuzz_choice(&b.r, 8);
        if (kind < 4)
            pass(&b, (nanotime)read_u8(&b.r) * 20 * TIME_MS);
        else if (kind < 7)
            disturb(&b);
        else
            peer_simrtc.describe(b.peer, b.now, true);
    }
    pass(&b, GATHER_MAX);
    fuzz_memory_check(before, MEMORY_MAX);
    peer_simrtc.stats(b.peer, &stats);
    assert(stats.gathering == PEER_GATHER_COMPLETE);
    if (size == 0)
        assert(stats.candidates[ICE_RELAY] == 2 * LOCALS && !b.disturbed);
    assert(b.disturbed || stats.candidates[ICE_RELAY] >= LOCALS);
    peer_simrtc.close(b.peer, b.now);
    pass(&b, GATHER_MAX);
    for (unsigned i = 0; i < PEER_STREAMS_MAX; i++)
        assert(b.lines[i] == LINE_CLOSED);
    peer_simrtc.destroy(b.peer);
    turn_server_free(b.server);
    fuzz_peers_end();
    return 0;
}
