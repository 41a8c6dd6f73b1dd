// Two ICE agents and a network in the hand of the bytes: it drops, delays, repeats, damages and
// forges datagrams, moves time, restarts a side. When the bytes end the network is good again, and
//
//   - both sides come to rest on the same pair, one controlling and one controlled, and stay there,
//     unless one has failed: with a reason, and only after it was bad for long; of two that began
//     alike the larger tie-breaker is controlling;
//   - at any time, a side may send only if the other has answered a check in the last 30 seconds;
//   - an answer from elsewhere than its check went is none;
//   - at rest there is nothing but consent checks and their answers.
//
// The bytes may also sign, with either side's password. From then on the two need not agree, but
// each call still ends, with deadlines ahead, and nothing is sent without consent.
#include "fuzz/fuzz.h"
#include "stack/ice/ice.h"
#include "stack/stun/stun.h"

// libFuzzer: -max_len=1500

#define SOCKETS 2
#define FLIGHT_MAX 512
#define DATAGRAM_MAX 700
#define OUTAGE_MAX (14 * TIME_S) // of 31.5 s, in which a check is repeated (RFC 8489 6.2.1)
#define MEMORY_MAX (8u << 20)

struct packet {
    nanotime at;
    uint64_t order;
    int to;
    struct addr from, dest;
    size_t len;
    bool genuine; // as the other agent sent it
    bool forged;  // by somebody without the password
    bool astray;  // an answer that does not go the way of its check, backwards
    uint8_t bytes[DATAGRAM_MAX];
};

struct side {
    struct ice_agent *agent;
    struct addr sockets[SOCKETS];
    nanotime answered_at; // a genuine answer to a check came in; or never
    unsigned sent, failed;
};

struct bench {
    nanotime now;
    struct side sides[2];
    struct packet flight[FLIGHT_MAX];
    unsigned flying;
    uint64_t order;
    struct reader r;
    unsigned restarts;
    nanotime bad_until; // when the bytes ended
    bool hostile;       // they had a password
    bool resting;
    int stronger; // of two that began in the same role; -1: they did not
};

static struct packet *packet_new(struct bench *b)
{
    if (b->flying == FLIGHT_MAX)
        return NULL;
    struct packet *p = &b->flight[b->flying++];
    memset(p, 0, offsetof(struct packet, bytes));
    p->order = b->order++;
    return p;
}

static int side_with(const struct bench *b, const struct addr *addr)
{
    for (int i = 0; i < 2; i++)
        for (unsigned k = 0; k < SOCKETS; k++)
            if (addr_equal(&b->sides[i].sockets[k], addr))
                return i;
    return -1;
}

// One byte for each datagram while there are any: what becomes of it.
static void send(struct bench *b, const struct datagram *d)
{
    unsigned fate = read_u8(&b->r), copies = fate % 16 == 15 ? 2 : 1;
    int to = side_with(b, &d->to);
    if (to < 0 || fate % 16 >= 12 + (fate % 16 == 15 ? 4 : 0))
        return; // lost
    for (unsigned i = 0; i < copies; i++) {
        struct packet *p = packet_new(b);
        assert(d->bytes.len <= DATAGRAM_MAX);
        if (!p)
            return;
        p->at = b->now + (5 + (nanotime)(fate / 16) * 40 * (i + 1)) * TIME_MS;
        p->to = to;
        p->from = d->from;
        p->dest = d->to;
        p->len = d->bytes.len;
        p->genuine = fate % 16 != 11;
        memcpy(p->bytes, d->bytes.at, p->len);
        if (!p->genuine)
            p->bytes[read_u8(&b->r) % p->len] ^= (uint8_t)(1 << read_u8(&b->r) % 8);
    }
}

static void check_consent(const struct bench *b, const struct side *s)
{
    if (!ice_agent_may_send(s->agent))
        return;
    assert(s->answered_at != TIME_NEVER && b->now - s->answered_at <= 30 * TIME_S);
}

// RFC 7675 5.1: a check of consent is a Binding request without USE-CANDIDATE.
static void check_consent_alone(struct bytes bytes)
{
    struct stun_msg msg;
    assert(stun_decode(bytes, &msg) == STUN_OK);
    assert(msg.class == STUN_REQUEST || msg.class == STUN_SUCCESS);
    assert(!stun_has(&msg, STUN_USE_CANDIDATE));
}

static void drain(struct bench *b)
{
    for (int i = 0; i < 2; i++) {
        struct side *s = &b->sides[i];
        struct ice_output out;
        unsigned outputs = 0;
        while (ice_agent_poll(s->agent, b->now, &out)) {
            outputs++;
            assert(outputs < 1000);
            if (out.kind != ICE_SEND)
                continue;
            assert(side_with(b, &out.send.from) == i); // from a socket of its own
            s->sent++;
            if (b->resting)
                check_consent_alone(out.send.bytes);
            send(b, &out.send);
        }
        assert(ice_agent_deadline(s->agent) > b->now);
        if (ice_agent_state(s->agent) == ICE_FAILED) {
            assert(ice_agent_failure(s->agent) != ICE_NOT_FAILED);
            s->failed++;
        }
        check_consent(b, s);
    }
}

static void arrive(struct bench *b, struct packet p)
{
    struct side *s = &b->sides[p.to];
    struct datagram d = {p.from, p.dest, bytes_of(p.bytes, p.len)};
    struct stun_msg msg;
    enum ice_drop drop = ice_agent_input(s->agent, b->now, &d);
    assert(drop < ICE_DROPS && ice_drop_name(drop));
    bool answer = stun_decode(d.bytes, &msg) == STUN_OK && msg.class == STUN_SUCCESS;
    if (p.forged) // indications ask for nothing and are not signed
        assert(drop != ICE_KEPT || msg.class == STUN_INDICATION);
    assert(!p.astray || drop != ICE_KEPT); // RFC 8445 7.2.5.2.1
    if (p.genuine && answer && drop == ICE_KEPT)
        s->answered_at = b->now;
    if (!p.genuine && answer && drop == ICE_KEPT) {
        // Damaged where no check looks: the same to the agent.
        assert(msg.integrity_at > 0);
        s->answered_at = b->now;
    }
    drain(b);
}

static void pass(struct bench *b, nanotime span)
{
    nanotime until = b->now + span;
    for (unsigned rounds = 0;; rounds++) {
        assert(rounds < 20000);
        nanotime next =
            time_min(ice_agent_deadline(b->sides[0].agent), ice_agent_deadline(b->sides[1].agent));
        int first = -1;
        for (unsigned i = 0; i < b->flying; i++) {
            const struct packet *p = &b->flight[i], *q = first < 0 ? NULL : &b->flight[first];
            if (!q || p->at < q->at || (p->at == q->at && p->order < q->order))
                first = (int)i;
        }
        nanotime at = first < 0 ? TIME_NEVER : b->flight[first].at;
        if (time_min(at, next) > until)
            break;
        b->now = time_max(b->now, time_min(at, next));
        if (at <= next) {
            struct packet p = b->flight[first];
            b->flight[first] = b->flight[--b->flying];
            arrive(b, p);
        } else {
            drain(b);
        }
    }
    b->now = until;
    drain(b);
}

// ------------------------------------------------------------------------------------------
// forging

static void tell(struct bench *b, int i)
{
    const struct ice_credentials *theirs = ice_agent_credentials(b->sides[1 - i].agent);
    ice_agent_set_remote(b->sides[i].agent, b->now, bytes_text(theirs->ufrag),
                         bytes_text(theirs->pwd), false);
}

static void forge(struct bench *b)
{
    static const enum stun_class classes[] = {STUN_REQUEST, STUN_SUCCESS, STUN_ERROR,
                                              STUN_INDICATION};
    unsigned how = read_u8(&b->r), more = read_u8(&b->r);
    int to = how & 1;
    struct packet *last = b->flying ? &b->flight[how / 2 % b->flying] : NULL;
    uint8_t id[STUN_ID_LEN] = {(uint8_t)more};
    struct stun_msg msg;
    if (last && more & 1 && stun_decode(bytes_of(last->bytes, last->len), &msg) == STUN_OK)
        memcpy(id, msg.id, sizeof id); // who sees the request knows its id
    struct packet *p = packet_new(b);
    if (!p)
        return;
    struct stun_writer s =
        stun_begin(p->bytes, DATAGRAM_MAX, classes[more / 2 % 4], STUN_BINDING, id);
    char username[2 * ICE_UFRAG_MAX];
    snprintf(username, sizeof username, "%s:%s", ice_agent_credentials(b->sides[to].agent)->ufrag,
             ice_agent_credentials(b->sides[1 - to].agent)->ufrag);
    if (more & 8)
        stun_add_bytes(&s, STUN_USERNAME, bytes_text(username));
    if (more & 16)
        stun_add_xor_addr(&s, STUN_XOR_MAPPED_ADDRESS, &b->sides[to].sockets[how / 2 % SOCKETS]);
    if (more & 32)
        stun_add_flag(&s, STUN_USE_CANDIDATE);
    if (more & 64)
        stun_add_u32(&s, STUN_PRIORITY, read_u32(&b->r));
    if (classes[more / 2 % 4] == STUN_ERROR)
        stun_add_error(&s, how & 64 ? STUN_ROLE_CONFLICT : STUN_BAD_REQUEST, bytes_text("x"));
    struct stun_key *guess = stun_key_new(bytes_text("not the password at all"));
    if (more & 128)
        stun_add_integrity(&s, guess);
    stun_key_free(guess);
    stun_add_fingerprint(&s);
    p->len = stun_end(&s).len;
    p->forged = true;
    p->at = b->now + (nanotime)(how / 16) * TIME_MS;
    p->to = to;
    p->dest = b->sides[to].sockets[how / 4 % SOCKETS];
    p->from = how & 32 ? (struct addr){ip_v4(203, 0, 113, 66), 666}
                       : b->sides[1 - to].sockets[how / 8 % SOCKETS];
}

// A datagram that is on its way, from another address too.
static void replay(struct bench *b)
{
    unsigned how = read_u8(&b->r);
    if (b->flying == 0)
        return;
    struct packet old = b->flight[how % b->flying];
    struct packet *p = packet_new(b);
    if (!p)
        return;
    uint64_t order = p->order;
    *p = old;
    p->order = order;
    p->at = time_add(b->now, (nanotime)(how / 8) * 20 * TIME_MS);
    // An answer from elsewhere makes its check fail, as RFC 8445 7.2.5.2.1 wants it: who can copy
    // answers can so undo a nomination on one side, and there is no rest to be had.
    struct stun_msg msg;
    if (how & 1 && stun_decode(bytes_of(p->bytes, p->len), &msg) == STUN_OK &&
        msg.class == STUN_REQUEST)
        p->from = (struct addr){ip_v4(203, 0, 113, 77), 777};
    p->genuine = false;
}

// -----------------------------------------------------------------------------------------
// commands

static void add_candidates(struct bench *b, int i)
{
    for (unsigned k = 0; k < SOCKETS; k++) {
        struct ice_candidate made = {
            .type = ICE_HOST, .addr = b->sides[i].sockets[k], .component = 1};
        made.base = made.addr;
        const struct ice_candidate *added = ice_agent_add_local(b->sides[i].agent, b->now, &made);
        if (added)
            ice_agent_add_remote(b->sides[1 - i].agent, b->now, added);
    }
    ice_agent_local_done(b->sides[i].agent, b->now);
}

// The signaling of an offer and an answer, at once.
static void restart(struct bench *b, int i)
{
    if (b->restarts++ >= 3)
        return;
    ice_agent_restart(b->sides[i].agent, b->now);
    tell(b, 1 - i); // which restarts it
    tell(b, i);
    for (int k = 0; k < 2; k++)
        add_candidates(b, k);
    for (int k = 0; k < 2; k++)
        ice_agent_remote_done(b->sides[k].agent, b->now);
    drain(b);
}

static void add_signed(struct bench *b, struct stun_writer *s, unsigned which)
{
    if (which & 1)
        stun_add_u32(s, STUN_PRIORITY, read_u32(&b->r));
    if (which & 2)
        stun_add_u64(s, STUN_ICE_CONTROLLING, read_u16(&b->r));
    if (which & 4)
        stun_add_u64(s, STUN_ICE_CONTROLLED, read_u16(&b->r));
    if (which & 8)
        stun_add_flag(s, STUN_USE_CANDIDATE);
    if (which & 16)
        stun_add_xor_addr(s, STUN_XOR_MAPPED_ADDRESS, &b->sides[which >> 7].sockets[0]);
    if (which & 32)
        stun_add_bytes(s, (enum stun_attr)read_u16(&b->r), fuzz_slice(&b->r));
    if (which & 64)
        stun_add_error(s, 300 + read_u16(&b->r) % 400u, fuzz_slice(&b->r));
}

// By who has the passwords: a request, an answer to a request on its way, with anything in it.
static void forge_signed(struct bench *b)
{
    unsigned how = read_u8(&b->r), which = read_u8(&b->r);
    int to = how & 1, signer = how & 2 ? to : 1 - to; // a request is signed by who it is for
    enum stun_class class = how & 2 ? STUN_REQUEST : how & 4 ? STUN_SUCCESS : STUN_ERROR;
    uint8_t id[STUN_ID_LEN] = {(uint8_t)how};
    struct stun_msg msg;
    const struct packet *last = b->flying ? &b->flight[which % b->flying] : NULL;
    if (last && last->to != to && stun_decode(bytes_of(last->bytes, last->len), &msg) == STUN_OK)
        memcpy(id, msg.id, sizeof id);
    struct packet *p = packet_new(b);
    if (!p)
        return;
    const struct ice_credentials *ours = ice_agent_credentials(b->sides[to].agent),
                                 *theirs = ice_agent_credentials(b->sides[1 - to].agent);
    struct stun_writer s = stun_begin(p->bytes, DATAGRAM_MAX, class, STUN_BINDING, id);
    char username[2 * ICE_UFRAG_MAX];
    snprintf(username, sizeof username, "%s:%s", ours->ufrag, theirs->ufrag);
    if (class == STUN_REQUEST)
        stun_add_bytes(&s, STUN_USERNAME, bytes_text(username));
    add_signed(b, &s, which);
    struct stun_key *key = stun_key_new(bytes_text(signer == to ? ours->pwd : theirs->pwd));
    stun_add_integrity(&s, key);
    stun_key_free(key);
    stun_add_fingerprint(&s);
    p->len = stun_end(&s).len;
    p->at = b->now;
    p->to = to;
    p->dest = b->sides[to].sockets[how / 8 % SOCKETS];
    p->from = b->sides[1 - to].sockets[how / 16 % SOCKETS];
    if (how & 32)
        p->from.port = (uint16_t)(6000 + which % 4);
    p->astray = class != STUN_REQUEST && last && last->to != to &&
                !(addr_equal(&p->from, &last->dest) && addr_equal(&p->dest, &last->from));
    b->hostile = true;
}

static void step(struct bench *b)
{
    unsigned kind = fuzz_choice(&b->r, 16);
    if (kind < 8)
        pass(b, (nanotime)read_u8(&b->r) * TIME_MS * 2);
    else if (kind < 11)
        forge(b);
    else if (kind < 13)
        replay(b);
    else if (kind < 14)
        pass(b, (nanotime)read_u8(&b->r) * TIME_MS * 100);
    else if (kind == 14 && read_u8(&b->r) > 192)
        restart(b, read_u8(&b->r) & 1);
    else if (kind == 15)
        forge_signed(b);
    drain(b);
}

static void setup(struct bench *b)
{
    unsigned flags = read_u8(&b->r);
    b->stronger = (flags & 1) == (flags >> 1 & 1) ? (int)(flags >> 2 & 1) : -1;
    for (int i = 0; i < 2; i++) {
        const struct ice_config config = {
            .role = flags >> i & 1 ? ICE_CONTROLLED : ICE_CONTROLLING,
            .tiebreaker = (flags >> 2 & 1) == (unsigned)i ? 9 : 5, // RFC 8445 16.1: never equal
            .nomination_wait = flags & 8 ? 50 * TIME_MS : 0,
            .rng = rng_seed(7, i ? "b" : "a"),
        };
        b->sides[i].agent = ice_agent_new(&config);
        b->sides[i].answered_at = TIME_NEVER;
        for (unsigned k = 0; k < SOCKETS; k++)
            b->sides[i].sockets[k] =
                (struct addr){ip_v4(10, 0, (uint8_t)k, (uint8_t)(1 + i)), (uint16_t)(5000 + k)};
    }
    bool late = flags & 16; // the credentials come behind the candidates, and to one side later
    if (!late)
        tell(b, 0);
    for (int i = 0; i < 2; i++)
        add_candidates(b, i);
    tell(b, 1);
    if (late)
        tell(b, 0);
    for (int i = 0; i < 2; i++)
        ice_agent_remote_done(b->sides[i].agent, b->now);
    drain(b);
}

static void check_rest(struct bench *b)
{
    bool failed = false;
    for (int i = 0; i < 2; i++)
        failed |= ice_agent_state(b->sides[i].agent) == ICE_FAILED;
    assert(!failed || b->hostile || b->bad_until > OUTAGE_MAX);
    if (failed || b->hostile)
        return;
    const struct ice_pair *one = ice_agent_selected(b->sides[0].agent);
    assert(one);
    struct ice_pair a = *one, c;
    const struct ice_pair *two = ice_agent_selected(b->sides[1].agent);
    assert(two);
    c = *two;
    assert(a.nominated && c.nominated);
    // After so long that a nomination was given up by one side and heard by the other, they may
    // differ: RFC 8445 8.1.1 takes the best of the nominated, and each knows of others.
    assert(b->bad_until > OUTAGE_MAX || (addr_equal(&a.local.base, &c.remote.addr) &&
                                         addr_equal(&c.local.base, &a.remote.addr)));
    assert(ice_agent_role(b->sides[0].agent) != ice_agent_role(b->sides[1].agent));
    // RFC 8445 7.3.1.1
    assert(b->stronger < 0 || ice_agent_role(b->sides[b->stronger].agent) == ICE_CONTROLLING);
    for (int i = 0; i < 2; i++) {
        enum ice_state state = ice_agent_state(b->sides[i].agent);
        assert(state == ICE_CONNECTED || state == ICE_COMPLETED);
        assert(ice_agent_may_send(b->sides[i].agent));
        b->sides[i].sent = 0;
    }
    b->resting = true;
    pass(b, 60 * TIME_S);
    for (int i = 0; i < 2; i++) { // a check of each side every 4 to 6 s, and its answers
        assert(b->sides[i].sent >= 2 * 60 / 6 - 4 && b->sides[i].sent <= 2 * 60 / 4 + 4);
        assert(ice_agent_may_send(b->sides[i].agent));
    }
    one = ice_agent_selected(b->sides[0].agent);
    assert(one && addr_equal(&one->local.base, &a.local.base) &&
           addr_equal(&one->remote.addr, &a.remote.addr));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = fuzz_memory();
    static struct bench bench;
    memset(&bench, 0, offsetof(struct bench, flight));
    bench.flying = bench.restarts = 0;
    bench.order = 0;
    bench.hostile = bench.resting = false;
    bench.r = reader_of(bytes_of(data, size));
    setup(&bench);
    for (unsigned i = 0; i < 200 && bench.r.len > 0; i++)
        step(&bench);
    bench.bad_until = bench.now;
    bench.r.len = 0; // from now on the network is good
    pass(&bench, 90 * TIME_S);
    fuzz_memory_check(before, MEMORY_MAX);
    check_rest(&bench);
    for (int i = 0; i < 2; i++)
        ice_agent_free(bench.sides[i].agent);
    return 0;
}
