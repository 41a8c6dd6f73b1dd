// A TURN client between a server and an attacker. The bytes choose what the client is told to do,
// what the network does to each datagram, and what is forged: by somebody without the password, or
// by a server that has it and means ill.
//
//   - without the password nobody makes an allocation, and no data comes but by the server, from
//     peers that the client has permitted or sent to, as it was said there;
//   - what reaches a peer was sent to it, byte for byte, each time once;
//   - undisturbed, an allocation lasts as long as the client wants it;
//   - each call ends, a deadline lies ahead, and in the end silence is an end: the client fails or
//     has released, after a bounded number of datagrams;
//   - the heap stays small.
#include "fuzz/fuzz.h"
#include "stack/stun/stun.h"
#include "stack/turn/turn.h"

// libFuzzer: -max_len=1000

#define PEERS 4
#define SAID_MAX 256 // more than there are steps
#define WIRE_MAX 64
#define OUTPUTS_MAX 300
#define MEMORY_MAX (16u << 20)

struct packet {
    bool to_server;
    struct addr from, to;
    size_t len;
    uint8_t bytes[1500];
};

struct bench {
    nanotime now;
    struct turn_client *client;
    struct turn_server *server;
    struct stun_key *key;
    struct addr local, listen, peers[PEERS];
    bool known[PEERS];
    struct packet wire[WIRE_MAX];
    unsigned wire_count;
    uint8_t last_id[STUN_ID_LEN]; // of the client's last request
    uint16_t last_method;
    bool last_signed;
    bool allocated, hostile; // a server that is not ours had the password
    bool disturbed;          // something was lost, late, forged or given back
    bool damaged, repeats;   // datagrams on their way; come twice
    unsigned sent;
    struct bytes told; // by whom it claims to be a peer; at NULL: nobody says what
    bool stranger;     // not by the server
    // What the client was given to send.
    uint64_t said[SAID_MAX];
    unsigned said_count;
};

static uint64_t hash_of(unsigned peer, struct bytes data)
{
    uint64_t hash = 14695981039346656037u ^ peer; // FNV-1a
    for (size_t i = 0; i < data.len; i++)
        hash = (hash ^ data.at[i]) * 0x100000001b3u;
    return hash * 2 + 1;
}

static void put(struct bench *b, bool to_server, const struct datagram *d)
{
    if (b->wire_count == WIRE_MAX || d->bytes.len > sizeof b->wire[0].bytes)
        return;
    struct packet *p = &b->wire[b->wire_count++];
    *p = (struct packet){.to_server = to_server, .from = d->from, .to = d->to, .len = d->bytes.len};
    if (p->len)
        memcpy(p->bytes, d->bytes.at, p->len);
}

static void see_data(const struct bench *b, const struct datagram *d)
{
    assert(turn_client_state(b->client) == TURN_ALLOCATED || b->allocated);
    bool known = false;
    for (unsigned i = 0; i < PEERS; i++)
        known |= b->known[i] && ip_equal(&b->peers[i].ip, &d->from.ip);
    assert(known && !b->stranger);
    assert(!b->told.at || bytes_equal(b->told, d->bytes));
}

// A datagram that the server sends to a peer.
static void see_sent(struct bench *b, const struct datagram *d)
{
    unsigned peer = 0, at = 0;
    while (peer < PEERS && !addr_equal(&b->peers[peer], &d->to))
        peer++;
    while (at < b->said_count && b->said[at] != hash_of(peer, d->bytes))
        at++;
    assert(peer < PEERS && at < b->said_count);
    if (!b->repeats)
        b->said[at] = 0;
}

static void poll_client(struct bench *b)
{
    struct turn_output out;
    unsigned outputs = 0;
    while (turn_client_poll(b->client, b->now, &out)) {
        outputs++;
        assert(outputs <= OUTPUTS_MAX);
        if (out.kind == TURN_DATA)
            see_data(b, &out.datagram);
        if (out.kind == TURN_STATE_CHANGED)
            b->allocated |= turn_client_state(b->client) == TURN_ALLOCATED;
        if (out.kind != TURN_SEND)
            continue;
        b->sent++;
        struct stun_msg msg;
        if (stun_decode(out.datagram.bytes, &msg) == STUN_OK && msg.class == STUN_REQUEST) {
            memcpy(b->last_id, msg.id, STUN_ID_LEN);
            b->last_method = msg.method;
            b->last_signed = msg.integrity_at || msg.integrity256_at;
        }
        put(b, true, &out.datagram);
    }
    assert(turn_client_deadline(b->client) > b->now);
    struct addr relayed = turn_client_relayed(b->client);
    enum turn_client_state state = turn_client_state(b->client);
    assert(addr_is_none(&relayed) || state != TURN_ALLOCATING);
    assert(!addr_is_none(&relayed) || state != TURN_ALLOCATED);
}

static void poll(struct bench *b)
{
    poll_client(b);
    struct turn_server_output out;
    while (turn_server_poll(b->server, b->now, &out))
        if (out.kind == TURN_SERVER_SEND && addr_equal(&out.datagram.to, &b->local))
            put(b, false, &out.datagram);
        else if (out.kind == TURN_SERVER_SEND && !b->damaged)
            see_sent(b, &out.datagram);
}

static void to_client(struct bench *b, const struct addr *from, struct bytes bytes)
{
    struct datagram d = {*from, b->local, bytes};
    enum turn_drop drop = turn_client_input(b->client, b->now, &d);
    assert(drop < TURN_DROPS && turn_drop_name(drop));
    poll(b);
    b->told = (struct bytes){0};
}

// Deliver, lose, repeat or damage the first datagram on the wire.
static void carry(struct bench *b, unsigned how, struct reader *r)
{
    if (b->wire_count == 0)
        return;
    unsigned at = how / 8 % b->wire_count;
    struct packet p = b->wire[at];
    memmove(&b->wire[at], &b->wire[at + 1], (b->wire_count - at - 1) * sizeof p);
    b->wire_count--;
    b->disturbed |= how % 8 > 5;
    b->damaged |= how % 8 == 6;
    b->repeats |= how % 8 == 5;
    if (how % 8 == 7)
        return;
    if (how % 8 == 6 && p.len > 0)
        p.bytes[read_u8(r) % p.len] ^= (uint8_t)(1 << read_u8(r) % 8);
    for (unsigned i = 0; i < (how % 8 == 5 ? 2u : 1u); i++) {
        struct datagram d = {p.from, p.to, bytes_of(p.bytes, p.len)};
        if (p.to_server) {
            turn_server_input(b->server, b->now, &d);
            poll(b);
        } else {
            to_client(b, &p.from, d.bytes);
        }
    }
}

static void add_some(struct bench *b, struct reader *r, struct stun_writer *s)
{
    unsigned which = read_u8(r);
    if (which & 1)
        stun_add_xor_addr(s, STUN_XOR_RELAYED_ADDRESS, &b->peers[fuzz_choice(r, PEERS)]);
    if (which & 2)
        stun_add_xor_addr(s, STUN_XOR_MAPPED_ADDRESS, &b->local);
    if (which & 4)
        stun_add_u32(s, STUN_LIFETIME, read_u32(r));
    if (which & 8)
        stun_add_addr(s, STUN_ALTERNATE_SERVER, &b->listen);
    if (which & 16)
        stun_add_bytes(s, STUN_NONCE, fuzz_slice(r));
    if (which & 32)
        stun_add_bytes(s, STUN_REALM, which & 64 ? bytes_text("example.org") : fuzz_slice(r));
    if (which & 128)
        stun_add_bytes(s, (enum stun_attr)read_u16(r), fuzz_slice(r));
}

static void forge(struct bench *b, struct reader *r)
{
    static const unsigned codes[] = {300, 400, 401, 403, 420, 437, 438, 440,
                                     441, 442, 486, 500, 508, 699, 401, 438};
    uint8_t buffer[STUN_MESSAGE_MAX], id[STUN_ID_LEN];
    unsigned how = read_u8(r), code = read_u8(r);
    b->disturbed = true;
    memcpy(id, b->last_id, sizeof id);
    id[0] = (uint8_t)(id[0] ^ how >> 7); // or not the request's
    bool success = how & 1, is_signed = how & 2;
    struct stun_writer s =
        stun_begin(buffer, sizeof buffer, success ? STUN_SUCCESS : STUN_ERROR, b->last_method, id);
    if (!success)
        stun_add_error(&s, codes[code % 16], bytes_text("forged"));
    add_some(b, r, &s);
    if (is_signed)
        stun_add_integrity(&s, b->key);
    // An answer to a request without credentials has none: whoever saw the request may give it.
    b->hostile |= is_signed || !b->last_signed;
    enum turn_client_state before = turn_client_state(b->client);
    bool asked_signed = b->last_signed;
    to_client(b, &b->listen, stun_end(&s));
    if (success && !is_signed && asked_signed) // RFC 8489 9.2.5: it is as if it had not come
        assert(turn_client_state(b->client) == before);
}

static void forge_data(struct bench *b, struct reader *r)
{
    uint8_t buffer[600], id[STUN_ID_LEN] = {1};
    unsigned how = read_u8(r);
    struct addr from = b->listen;
    b->stranger = how & 128;
    from.port = (uint16_t)(from.port + b->stranger);
    if (how & 1) {
        struct stun_writer s = stun_begin(buffer, sizeof buffer, STUN_INDICATION, STUN_DATA, id);
        stun_add_xor_addr(&s, STUN_XOR_PEER_ADDRESS, &b->peers[how / 2 % PEERS]);
        b->told = fuzz_slice(r);
        stun_add_bytes(&s, STUN_DATA_ATTR, b->told);
        to_client(b, &from, stun_end(&s));
        b->stranger = false;
        return;
    }
    struct writer w = writer_of(buffer, sizeof buffer);
    write_u16(&w, (uint16_t)(0x4000 + how / 2 % 8));
    struct bytes data = fuzz_slice(r);
    write_u16(&w, (uint16_t)data.len);
    write_bytes(&w, data);
    b->told = data;
    to_client(b, &from, writer_bytes(&w));
    b->stranger = false;
}

static void pass(struct bench *b, nanotime span)
{
    nanotime until = b->now + span;
    for (;;) {
        nanotime next = time_min(turn_client_deadline(b->client), turn_server_deadline(b->server));
        if (next > until)
            break;
        b->now = time_max(b->now, next);
        poll(b);
    }
    b->now = until;
    poll(b);
}

static void command(struct bench *b, struct reader *r)
{
    unsigned which = fuzz_choice(r, 8), peer = fuzz_choice(r, PEERS);
    if (which < 3) {
        struct bytes data = fuzz_slice(r);
        b->known[peer] = true;
        assert(b->said_count < SAID_MAX);
        b->said[b->said_count++] = hash_of(peer, data);
        bool taken = turn_client_send(b->client, b->now, &b->peers[peer], data);
        assert(!taken || turn_client_state(b->client) == TURN_ALLOCATED);
    } else if (which < 5) {
        b->known[peer] = true;
        turn_client_permit(b->client, b->now, &b->peers[peer].ip);
    } else if (which < 7) {
        turn_client_refresh(b->client, b->now);
    } else if (read_u8(r) > 200) {
        b->disturbed = true;
        turn_client_release(b->client, b->now);
    }
    poll(b);
}

static void step(struct bench *b, struct reader *r)
{
    unsigned kind = fuzz_choice(r, 16);
    if (kind < 7) {
        carry(b, read_u8(r), r);
    } else if (kind < 9) {
        command(b, r);
    } else if (kind < 11) {
        forge(b, r);
    } else if (kind < 12) {
        forge_data(b, r);
    } else if (kind < 13) {
        b->disturbed = true;
        to_client(b, &b->listen, fuzz_slice(r));
    } else if (kind < 15) {
        unsigned span = read_u8(r);
        unsigned waiting = b->wire_count;
        pass(b, span < 200 ? (nanotime)span * TIME_S / 8 : (nanotime)(span - 199) * 20 * TIME_S);
        b->disturbed |= waiting + b->wire_count > 0; // late
    } else {
        for (unsigned i = 0; i < 8; i++)
            carry(b, 0, r);
    }
}

static void setup(struct bench *b, unsigned flags)
{
    static const struct turn_user users[] = {{"user", "secret"}};
    b->local = (struct addr){ip_v4(198, 51, 100, 5), 5000};
    b->listen = (struct addr){ip_v4(192, 0, 2, 1), 3478};
    for (unsigned i = 0; i < PEERS; i++)
        b->peers[i] = (struct addr){ip_v4(203, 0, 113, (uint8_t)(1 + i / 2)), (uint16_t)(7000 + i)};
    const struct turn_server_config server = {.listen = b->listen,
                                              .relay_ip = b->listen.ip,
                                              .realm = "example.org",
                                              .users = users,
                                              .users_count = 1,
                                              .nonce_lifetime_s = 60,
                                              .rng = rng_seed(1, "server")};
    const struct turn_client_config client = {.local = b->local,
                                              .server = b->listen,
                                              .username = "user",
                                              .password = "secret",
                                              .channels = flags & 1,
                                              .dont_fragment = flags & 2,
                                              .lifetime_s = flags & 4 ? 120 : 0,
                                              .rng = rng_seed(1, "client")};
    b->key = stun_key_new_long_term(bytes_text("user"), bytes_text("example.org"),
                                    bytes_text("secret"), STUN_MD5);
    b->server = turn_server_new(&server);
    b->client = turn_client_new(&client);
    turn_client_allocate(b->client, b->now);
    poll(b);
}

// Half an hour of a good path: permissions, channels, the nonce and the allocation itself end in it
// more than once.
static void last(struct bench *b)
{
    nanotime until = b->now + 1800 * TIME_S;
    while (b->now < until && turn_client_deadline(b->client) != TIME_NEVER) {
        while (b->wire_count > 0)
            carry(b, 0, &(struct reader){0});
        nanotime next = time_min(turn_client_deadline(b->client), turn_server_deadline(b->server));
        b->now = time_min(time_max(b->now, next), until);
        poll(b);
    }
    assert(turn_client_state(b->client) == TURN_ALLOCATED);
}

// From now on nobody answers.
static void end_in_silence(struct bench *b)
{
    b->wire_count = 0;
    unsigned sent = b->sent;
    for (unsigned i = 0; turn_client_deadline(b->client) != TIME_NEVER; i++) {
        assert(i < 20000);
        nanotime at = turn_client_deadline(b->client);
        if (b->hostile && at > b->now + 30 * 24 * 3600 * TIME_S)
            return; // a lifetime of years was granted
        b->now = at;
        poll_client(b);
        b->wire_count = 0;
    }
    enum turn_client_state state = turn_client_state(b->client);
    assert(state == TURN_FAILED || state == TURN_RELEASED);
    assert(b->hostile || b->sent - sent < 3000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = fuzz_memory();
    static struct bench bench;
    bench = (struct bench){0};
    struct reader r = reader_of(bytes_of(data, size));
    setup(&bench, read_u8(&r));
    for (unsigned i = 0; i < 200 && r.len > 0; i++)
        step(&bench, &r);
    if (!bench.disturbed)
        last(&bench);
    fuzz_memory_check(before, MEMORY_MAX);
    end_in_silence(&bench);
    turn_client_free(bench.client);
    turn_server_free(bench.server);
    stun_key_free(bench.key);
    return 0;
}
