// A TURN server and hostile clients, by UDP and by TCP. The bytes write requests, signed or not,
// data and time; the harness keeps its own book of what the server has granted.
//
//   - nothing goes to a peer or comes from one without a permission that was granted to that client
//     in the last five minutes, and never to a loopback, multicast or link-local address; a channel
//     is one that was bound in the last ten, and means its peer;
//   - what is relayed is what was said, byte for byte;
//   - no more allocations, and of one user, than the configuration allows, nor fewer while somebody
//     is refused for it; a socket for each; none outlives its lifetime, or serves another user;
//   - what is answered goes to who asked, on the connection where it was asked, and an input has a
//     few outputs at most; a connection that is closed is not spoken of again;
//   - the heap stays small.
//
// Bytes that nobody here wrote may ask for anything: after them it is not known what was asked, and
// the book says less.
#include "fuzz/fuzz.h"
#include "stack/stun/stun_auth.h"
#include "stack/turn/turn.h"

// libFuzzer: -max_len=1500

#define CLIENTS 6
#define BY_UDP 4 // those after them have a connection each: streams 0 and 1
#define USERS 2
#define PEERS 10
#define ALLOCATIONS 3
#define PER_USER 2
#define LIFETIME_MAX 3600 // RFC 8656 3.2
#define GRANTS_MAX 1024
#define CHANNELS 6
#define OUTPUTS_MAX 16
#define MEMORY_MAX (8u << 20)

static const char *const peer_texts[PEERS] = {
    "203.0.113.1:4000", "203.0.113.2:4001", "203.0.113.2:4002",  "127.0.0.1:53",
    "224.0.0.1:5353",   "169.254.1.1:80",   "255.255.255.255:9", "0.0.0.0:1",
    "192.0.2.1:3478",   "198.51.100.1:5000"};

struct grant {
    unsigned client;
    struct ip peer;
    nanotime at;
};

struct channel {
    struct addr peer; // none: never bound
    nanotime at;
};

struct bench {
    nanotime now;
    struct turn_server *server;
    struct addr listen, clients[CLIENTS], peers[PEERS];
    struct addr relays[CLIENTS]; // none: no allocation
    unsigned relay_user[CLIENTS];
    nanotime relay_until[CLIENTS];
    struct channel channels[CLIENTS][CHANNELS];
    nanotime reserved_until;          // of the last reservation
    struct stun_key *keys[USERS + 1]; // the last is wrong
    uint8_t nonce[CLIENTS][256];
    size_t nonce_len[CLIENTS];
    struct addr sockets[ALLOCATIONS];
    unsigned sockets_count;
    struct grant grants[GRANTS_MAX];
    unsigned grants_count;
    // The request that is being answered.
    unsigned asking, user;
    uint16_t method;
    struct addr asked[STUN_PEERS_MAX];
    unsigned asked_count;
    int channel;                       // asked for; -1: none
    bool bind_fails, is_asking, plain; // nothing that chooses its port
    // What is to be relayed, from a client or from a peer to a relay; at NULL: nothing.
    struct bytes said;
    struct addr said_by, said_to; // none: not known
    bool connected[CLIENTS];
    bool classic; // bytes that nobody here wrote have been in it: maybe a request of RFC 3489, and
                  // from then on it is not known who asked for what
    uint8_t id, asked_id;
};

static struct addr addr_of(const char *text)
{
    struct addr addr = {0};
    bool ok = addr_parse(bytes_text(text), &addr);
    assert(ok);
    return addr;
}

static int client_find(const struct bench *b, const struct addr *addr)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (addr_equal(&b->clients[i], addr))
            return (int)i;
    return -1;
}

static int relay_owner(const struct bench *b, const struct addr *relay)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (!addr_is_none(relay) && addr_equal(&b->relays[i], relay))
            return (int)i;
    return -1;
}

static bool is_granted(const struct bench *b, unsigned client, const struct ip *peer)
{
    for (unsigned i = 0; i < b->grants_count; i++) {
        const struct grant *g = &b->grants[i];
        // RFC 8656 9: 300 seconds
        if (g->client == client && ip_equal(&g->peer, peer) && b->now - g->at < 300 * TIME_S)
            return true;
    }
    return false;
}

static bool is_forbidden(const struct ip *ip)
{
    return ip_is_loopback(ip) || ip_is_multicast(ip) || ip_is_link_local(ip) ||
           ip_is_unspecified(ip) || ip_v4_value(ip) == UINT32_MAX;
}

static void grant(struct bench *b, unsigned client)
{
    for (unsigned i = 0; i < b->asked_count; i++) {
        unsigned at = 0;
        while (at < b->grants_count &&
               (b->grants[at].client != client || !ip_equal(&b->grants[at].peer, &b->asked[i].ip)))
            at++;
        assert(at < GRANTS_MAX);
        b->grants_count += at == b->grants_count;
        b->grants[at] = (struct grant){client, b->asked[i].ip, b->now};
    }
}

static void forget(struct bench *b, unsigned client)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < b->grants_count; i++)
        if (b->grants[i].client != client)
            b->grants[kept++] = b->grants[i];
    b->grants_count = kept;
    b->relays[client] = (struct addr){0};
    memset(b->channels[client], 0, sizeof b->channels[client]);
}

// -------------------------------------------------------------------------------- what comes out

static bool is_socket(const struct bench *b, const struct addr *addr)
{
    for (unsigned i = 0; i < b->sockets_count; i++)
        if (addr_equal(&b->sockets[i], addr))
            return true;
    return false;
}

static unsigned live_of(const struct bench *b, unsigned user)
{
    unsigned count = 0;
    for (unsigned i = 0; i < CLIENTS; i++)
        count += !addr_is_none(&b->relays[i]) && b->relay_user[i] == user;
    return count;
}

// There was a reason: RFC 8656 5, 7.2, 9.2.
static void see_refusal(const struct bench *b, unsigned client, const struct stun_msg *msg)
{
    bool has = !addr_is_none(&b->relays[client]);
    switch (msg->error_code) {
    case STUN_ALLOCATION_MISMATCH:
        assert(has == (msg->method == STUN_ALLOCATE));
        break;
    case STUN_WRONG_CREDENTIALS:
        assert(has && b->relay_user[client] != b->user);
        break;
    case STUN_ALLOCATION_QUOTA_REACHED:
        assert(live_of(b, b->user) == PER_USER);
        break;
    case STUN_INSUFFICIENT_CAPACITY: // there are more ports than allocations
        assert(msg->method != STUN_ALLOCATE || !b->plain || b->sockets_count == ALLOCATIONS ||
               b->now < b->reserved_until);
        break;
    default:
        break;
    }
}

static void see_answer(struct bench *b, unsigned client, const struct stun_msg *msg)
{
    if (!b->classic)
        assert(b->is_asking && client == b->asking && msg->method == b->method &&
               msg->id[0] == b->asked_id);
    if (msg->class == STUN_ERROR) {
        if (!b->classic)
            see_refusal(b, client, msg);
        if (stun_has(msg, STUN_NONCE)) {
            assert(msg->nonce.len <= sizeof b->nonce[0]);
            memcpy(b->nonce[client], msg->nonce.at, msg->nonce.len);
            b->nonce_len[client] = msg->nonce.len;
        }
        return; // and nothing was granted
    }
    if (msg->method == STUN_BINDING) {
        assert(b->classic || addr_equal(&msg->mapped, &b->clients[client]));
        return;
    }
    assert(b->is_asking && client == b->asking && msg->method == b->method);
    assert(b->user < USERS); // nobody with a wrong key succeeds
    bool has = !addr_is_none(&b->relays[client]);
    assert(!has || b->relay_user[client] == b->user);
    if (msg->method == STUN_ALLOCATE) {
        assert(is_socket(b, &msg->relayed) && addr_equal(&msg->mapped, &b->clients[client]));
        assert(!has || addr_equal(&b->relays[client], &msg->relayed)); // RFC 8656 7.2: again
        b->relays[client] = msg->relayed;
        b->relay_user[client] = b->user;
        if (stun_has(msg, STUN_RESERVATION_TOKEN))
            b->reserved_until = b->now + 30 * TIME_S;
    } else {
        assert(has || (msg->method == STUN_REFRESH && msg->lifetime_s == 0));
    }
    if (msg->method == STUN_ALLOCATE || msg->method == STUN_REFRESH) {
        assert(msg->lifetime_s <= LIFETIME_MAX);
        b->relay_until[client] = b->now + msg->lifetime_s * TIME_S;
    }
    if (msg->method == STUN_CHANNEL_BIND && b->asked_count > 1)
        b->asked_count = 1; // RFC 8656 12.1: it has one
    if (msg->method == STUN_CREATE_PERMISSION || msg->method == STUN_CHANNEL_BIND) {
        for (unsigned i = 0; i < b->asked_count; i++)
            assert(!is_forbidden(&b->asked[i].ip));
        grant(b, client);
    }
    if (msg->method == STUN_CHANNEL_BIND && b->channel >= 0 && b->asked_count > 0)
        b->channels[client][b->channel] = (struct channel){b->asked[0], b->now};
}

// RFC 8656 12: a channel that was bound in the last ten minutes.
static bool is_bound(const struct bench *b, unsigned client, unsigned number,
                     const struct addr *peer)
{
    const struct channel *channel = &b->channels[client][(number - 0x4000) % CHANNELS];
    return number < 0x4000 + CHANNELS && addr_equal(&channel->peer, peer) &&
           b->now - channel->at < 600 * TIME_S;
}

// What a peer said, as the client gets it.
static void see_data(const struct bench *b, unsigned client, const struct addr *peer,
                     struct bytes data)
{
    assert(is_granted(b, client, &peer->ip));
    assert(b->said.at && addr_equal(&b->said_by, peer) && bytes_equal(b->said, data));
    assert(addr_equal(&b->said_to, &b->relays[client]));
}

static void see_to_client(struct bench *b, unsigned client, struct bytes bytes)
{
    struct stun_msg msg;
    if (bytes.len >= 4 && bytes.at[0] >= 0x40) { // ChannelData
        unsigned number = (unsigned)bytes.at[0] << 8 | bytes.at[1];
        size_t len = (size_t)bytes.at[2] << 8 | bytes.at[3];
        assert(bytes.len == 4 + (client < BY_UDP ? len : (len + 3) / 4 * 4));
        see_data(b, client, &b->said_by, bytes_of(bytes.at + 4, len));
        assert(b->classic || is_bound(b, client, number, &b->said_by));
        return;
    }
    enum stun_outcome outcome = stun_decode(bytes, &msg);
    if (outcome == STUN_NOT_STUN && bytes.len >= 20) { // RFC 8489 11: asked without a cookie
        assert(b->classic && bytes.at[0] == 1 && (bytes.at[1] & 0xef) == 1);
        return;
    }
    assert(outcome == STUN_OK);
    if (msg.class != STUN_INDICATION) {
        see_answer(b, client, &msg);
        return;
    }
    assert(msg.method == STUN_DATA && msg.peers_count == 1);
    see_data(b, client, &msg.peers[0], msg.data);
}

static void see_to_peer(struct bench *b, const struct datagram *d)
{
    int owner = relay_owner(b, &d->from);
    assert(is_socket(b, &d->from) && owner >= 0);
    assert(!is_forbidden(&d->to.ip));
    assert(is_granted(b, (unsigned)owner, &d->to.ip));
    if (b->classic)
        return;
    assert(b->said.at && bytes_equal(b->said, d->bytes));
    assert(addr_equal(&b->said_by, &b->clients[owner]) && addr_equal(&b->said_to, &d->to));
}

static void unbind(struct bench *b, const struct addr *relay)
{
    assert(is_socket(b, relay));
    for (unsigned i = 0; i < b->sockets_count; i++)
        if (addr_equal(&b->sockets[i], relay))
            b->sockets[i--] = b->sockets[--b->sockets_count];
    int owner = relay_owner(b, relay);
    if (owner >= 0)
        forget(b, (unsigned)owner);
}

static void see_to_stream(struct bench *b, const struct turn_server_output *out)
{
    unsigned client = out->stream + BY_UDP;
    assert(client < CLIENTS && b->connected[client]);
    assert(addr_equal(&out->datagram.to, &b->clients[client]));
    assert(addr_equal(&out->datagram.from, &b->listen));
    see_to_client(b, client, out->datagram.bytes);
}

static void see_close(struct bench *b, unsigned stream)
{
    assert(stream + BY_UDP < CLIENTS && b->connected[stream + BY_UDP]);
    b->connected[stream + BY_UDP] = false;
}

static void take(struct bench *b, const struct turn_server_output *out)
{
    switch (out->kind) {
    case TURN_SERVER_SEND: {
        int client = client_find(b, &out->datagram.to);
        if (addr_equal(&out->datagram.from, &b->listen)) {
            assert(client >= 0 && client < BY_UDP);
            see_to_client(b, (unsigned)client, out->datagram.bytes);
        } else {
            see_to_peer(b, &out->datagram);
        }
        return;
    }
    case TURN_SERVER_BIND:
        assert(!is_socket(b, &out->relay));
        if (b->bind_fails) {
            struct addr relay = out->relay;
            b->bind_fails = false;
            turn_server_bind_failed(b->server, b->now, &relay);
            return;
        }
        assert(b->sockets_count < ALLOCATIONS);
        b->sockets[b->sockets_count++] = out->relay;
        return;
    case TURN_SERVER_UNBIND:
        unbind(b, &out->relay);
        return;
    case TURN_SERVER_STREAM_SEND:
        see_to_stream(b, out);
        return;
    case TURN_SERVER_STREAM_CLOSE:
        see_close(b, out->stream);
        return;
    }
}

static void poll(struct bench *b)
{
    struct turn_server_output out;
    unsigned outputs = 0;
    while (turn_server_poll(b->server, b->now, &out)) {
        outputs++;
        assert(outputs <= OUTPUTS_MAX);
        take(b, &out);
    }
    b->is_asking = false;
    b->said = (struct bytes){0};
    assert(turn_server_deadline(b->server) > b->now);
    unsigned live = turn_server_stats(b->server).allocations_live;
    assert(live <= ALLOCATIONS && live == b->sockets_count);
    for (unsigned user = 0; user < USERS; user++)
        assert(live_of(b, user) <= PER_USER);
    for (unsigned i = 0; i < CLIENTS; i++)
        assert(addr_is_none(&b->relays[i]) || b->now < b->relay_until[i]);
}

// --------------------------------------------------------------------------------- what goes in

static void input(struct bench *b, const struct addr *from, const struct addr *to,
                  struct bytes bytes)
{
    struct datagram datagram = {*from, *to, bytes};
    enum turn_drop drop = turn_server_input(b->server, b->now, &datagram);
    assert(drop < TURN_DROPS);
    poll(b);
}

// From a client; of a connection in pieces, once it is open.
static void input_client(struct bench *b, unsigned client, struct bytes bytes, size_t piece)
{
    if (client < BY_UDP) {
        input(b, &b->clients[client], &b->listen, bytes);
        return;
    }
    unsigned stream = client - BY_UDP;
    if (!b->connected[client]) {
        b->connected[client] =
            turn_server_stream_open(b->server, b->now, stream, &b->clients[client]);
        assert(b->connected[client]);
    }
    assert(!turn_server_stream_open(b->server, b->now, stream, &b->clients[client]));
    while (bytes.len > 0) {
        size_t len = bytes.len < piece ? bytes.len : piece;
        enum turn_drop drop =
            turn_server_stream_input(b->server, b->now, stream, bytes_of(bytes.at, len));
        assert(drop < TURN_DROPS);
        bytes = bytes_from(bytes, len);
    }
    poll(b);
}

static void hang_up(struct bench *b, unsigned client)
{
    turn_server_stream_closed(b->server, b->now, client - BY_UDP);
    b->connected[client] = false;
    poll(b);
    assert(addr_is_none(&b->relays[client])); // it cannot be refreshed by anybody
}

static void add_peer(struct bench *b, struct reader *r, struct stun_writer *s)
{
    struct addr peer = b->peers[fuzz_choice(r, PEERS)];
    unsigned v = read_u8(r);
    if (v >= 240) { // one of many
        peer = (struct addr){ip_v4(203, 0, 114, (uint8_t)v), 7000};
    } else if (v >= 232) {
        peer = (struct addr){.ip.family = IP_V6, .port = 9};
        peer.ip.at[v % 16] = read_u8(r);
        peer.ip.at[15] = 1;
    }
    stun_add_xor_addr(s, STUN_XOR_PEER_ADDRESS, &peer);
    if (b->asked_count < STUN_PEERS_MAX)
        b->asked[b->asked_count++] = peer;
}

static void add_attributes(struct bench *b, struct reader *r, struct stun_writer *s)
{
    unsigned which = read_u8(r);
    if (which & 1)
        stun_add_u32(s, STUN_REQUESTED_TRANSPORT, read_u8(r) & 1 ? 6u << 24 : 17u << 24);
    if (which & 2)
        stun_add_u32(s, STUN_LIFETIME, read_u8(r) * 16u);
    for (unsigned i = 0; which & 4 && i <= (which >> 3 & 3) * 3; i++)
        add_peer(b, r, s);
    if (which & 0x20) {
        b->channel = read_u8(r) % CHANNELS;
        stun_add_u32(s, STUN_CHANNEL_NUMBER, 0x40000000u + ((uint32_t)b->channel << 16));
    }
    b->plain = !(which & 0x40);
    if (which & 0x40) {
        uint8_t more = read_u8(r);
        if (more & 1)
            stun_add_bytes(s, STUN_EVEN_PORT, bytes_of(&more, 1));
        if (more & 2)
            stun_add_u64(s, STUN_RESERVATION_TOKEN, read_u64(r));
        if (more & 4)
            stun_add_u32(s, STUN_REQUESTED_ADDRESS_FAMILY, (uint32_t)read_u8(r) << 24);
        if (more & 8)
            stun_add_flag(s, STUN_DONT_FRAGMENT);
        if (more & 16) {
            unsigned type = read_u16(r);
            b->classic |= type < 0x8000; // maybe one that is in the book
            stun_add_bytes(s, (enum stun_attr)type, fuzz_slice(r));
        }
    }
    if (which & 0x80) {
        b->said = fuzz_slice(r);
        stun_add_bytes(s, STUN_DATA_ATTR, b->said);
    }
}

static void request(struct bench *b, struct reader *r)
{
    static const uint16_t methods[] = {STUN_ALLOCATE,     STUN_REFRESH, STUN_CREATE_PERMISSION,
                                       STUN_CHANNEL_BIND, STUN_SEND,    STUN_BINDING,
                                       STUN_ALLOCATE,     STUN_DATA};
    static const char *const users[] = {"user", "other", "user"};
    uint8_t buffer[STUN_MESSAGE_MAX], id[STUN_ID_LEN] = {0};
    unsigned first = read_u8(r), second = read_u8(r), client = first % CLIENTS;
    b->asking = client;
    b->asked_count = 0;
    b->channel = -1;
    b->method = methods[first / CLIENTS % 8];
    b->user = second % 8 < 4 ? 0 : second % 8 < 7 ? 1 : USERS;
    b->bind_fails = second % 64 == 33;
    id[0] = second & 0x40 ? b->id : ++b->id; // or the one before, again
    b->asked_id = id[0];
    bool indicates = b->method == STUN_SEND;
    struct stun_writer s = stun_begin(buffer, sizeof buffer,
                                      indicates ? STUN_INDICATION : STUN_REQUEST, b->method, id);
    add_attributes(b, r, &s);
    bool binding = b->method == STUN_BINDING;
    if (!indicates && !binding && !(second & 0x80 && second & 8)) {
        stun_add_bytes(&s, STUN_USERNAME, bytes_text(users[b->user]));
        stun_add_bytes(&s, STUN_REALM, bytes_text("example.org"));
        stun_add_bytes(&s, STUN_NONCE, bytes_of(b->nonce[client], b->nonce_len[client]));
        stun_add_integrity(&s, b->keys[b->user]);
    }
    b->is_asking = true;
    b->said_by = b->clients[client];
    b->said_to = b->asked[0];
    input_client(b, client, stun_end(&s), client < BY_UDP ? 0 : 1u + read_u8(r));
}

static void channel_data(struct bench *b, struct reader *r)
{
    uint8_t buffer[300];
    struct writer w = writer_of(buffer, sizeof buffer);
    unsigned client = fuzz_choice(r, CLIENTS), number = fuzz_choice(r, CHANNELS);
    write_u16(&w, (uint16_t)(0x4000 + number));
    struct bytes data = fuzz_slice(r);
    bool lies = read_u8(r) == 255;
    b->classic |= lies; // the next message, by TCP, begins too early
    write_u16(&w, (uint16_t)(data.len + lies));
    write_bytes(&w, data);
    b->said = data;
    b->said_by = b->clients[client];
    b->said_to = b->channels[client][number].peer;
    if (client >= BY_UDP) // RFC 8656 12.5
        write_zeros(&w, (4 - data.len % 4) % 4);
    input_client(b, client, writer_bytes(&w), 1u + read_u8(r));
}

static void from_peer(struct bench *b, struct reader *r)
{
    struct addr from = b->peers[fuzz_choice(r, PEERS)];
    unsigned which = read_u8(r);
    struct addr to = which % 8 == 7 || b->sockets_count == 0
                         ? (struct addr){b->listen.ip, (uint16_t)(49152 + which / 8)}
                         : b->sockets[which % b->sockets_count];
    b->said = fuzz_slice(r);
    if (!b->said.at)
        b->said = bytes_of("", 0);
    b->said_by = from;
    b->said_to = to;
    input(b, &from, &to, b->said);
}

// Time stops at each deadline on its way.
static void pass(struct bench *b, nanotime span)
{
    nanotime until = b->now + span;
    for (unsigned i = 0; turn_server_deadline(b->server) <= until; i++) {
        assert(i < 10000);
        b->now = time_max(b->now, turn_server_deadline(b->server));
        poll(b);
    }
    b->now = until;
    poll(b);
}

// A Binding request whose answer is not waited for.
static void ask_unheard(struct bench *b)
{
    uint8_t buffer[STUN_MESSAGE_MAX], id[STUN_ID_LEN] = {0};
    struct stun_writer s = stun_begin(buffer, sizeof buffer, STUN_REQUEST, STUN_BINDING, id);
    struct datagram datagram = {b->clients[0], b->listen, stun_end(&s)};
    assert(turn_server_input(b->server, b->now, &datagram) == TURN_KEPT);
}

static void reset(struct bench *b, bool asked)
{
    struct turn_server_output out;
    if (asked) // what it has to say is forgotten
        ask_unheard(b);
    turn_server_reset(b->server, b->now);
    b->sockets_count = 0;
    for (unsigned i = 0; i < CLIENTS; i++)
        forget(b, i);
    while (turn_server_poll(b->server, b->now, &out)) {
        assert(out.kind == TURN_SERVER_UNBIND || out.kind == TURN_SERVER_STREAM_CLOSE);
        if (out.kind == TURN_SERVER_STREAM_CLOSE)
            see_close(b, out.stream);
    }
}

static void step(struct bench *b, struct reader *r)
{
    unsigned kind = fuzz_choice(r, 16);
    if (kind < 9) {
        request(b, r);
    } else if (kind < 11) {
        channel_data(b, r);
    } else if (kind < 13) {
        from_peer(b, r);
    } else if (kind < 14) {
        unsigned which = read_u8(r), client = which % CLIENTS;
        b->classic = true;
        if (client >= BY_UDP && which >= 192)
            hang_up(b, client);
        else
            input_client(b, client, fuzz_slice(r), 1u + which / 4);
    } else if (kind < 15) {
        unsigned span = read_u8(r);
        pass(b, span < 200 ? (nanotime)span * TIME_S / 4 : (nanotime)(span - 199) * 30 * TIME_S);
    } else {
        unsigned how = read_u8(r);
        if (how >= 250)
            reset(b, how >= 253);
    }
}

static void setup(struct bench *b)
{
    static const struct turn_user users[USERS] = {{"user", "secret"}, {"other", "word"}};
    static const char *const passwords[USERS + 1] = {"secret", "word", "guess"};
    b->listen = addr_of("192.0.2.1:3478");
    for (unsigned i = 0; i < CLIENTS; i++)
        b->clients[i] =
            (struct addr){ip_v4(198, 51, 100, (uint8_t)(1 + i / 2)), (uint16_t)(5000 + i)};
    for (unsigned i = 0; i < PEERS; i++)
        b->peers[i] = addr_of(peer_texts[i]);
    for (unsigned i = 0; i <= USERS; i++)
        b->keys[i] =
            stun_key_new_long_term(bytes_text(users[i % USERS].name), bytes_text("example.org"),
                                   bytes_text(passwords[i]), STUN_MD5);
    const struct turn_server_config config = {
        .listen = b->listen,
        .relay_ip = b->listen.ip,
        .relay_port_min = 49152,
        .relay_port_max = 49157,
        .realm = "example.org",
        .users = users,
        .users_count = USERS,
        .nonce_lifetime_s = 1200,
        .allocations_max = ALLOCATIONS,
        .allocations_per_user_max = PER_USER,
        .permissions_max = 4,
        .channels_max = 3,
        .rng = rng_seed(1, "server"),
    };
    b->server = turn_server_new(&config);
}

// Everybody asks once in vain, to have a nonce.
static void challenge(struct bench *b)
{
    uint8_t asks[] = {0, 0x88, 0};
    for (unsigned i = 0; i < CLIENTS; i++) {
        asks[0] = (uint8_t)i;
        struct reader r = reader_of(bytes_of(asks, sizeof asks));
        request(b, &r);
        assert(b->nonce_len[i] > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = fuzz_memory();
    static struct bench bench;
    bench = (struct bench){0};
    setup(&bench);
    challenge(&bench);
    struct reader r = reader_of(bytes_of(data, size));
    for (unsigned i = 0; i < 300 && r.len > 0; i++)
        step(&bench, &r);
    fuzz_memory_check(before, MEMORY_MAX);
    turn_server_free(bench.server);
    for (unsigned i = 0; i <= USERS; i++)
        stun_key_free(bench.keys[i]);
    return 0;
}
