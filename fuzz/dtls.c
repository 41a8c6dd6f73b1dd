// DTLS associations under attack. One byte chooses: any datagrams into one association, or two
// associations and a network in the hand of the bytes, which drops, repeats, delays, damages and
// injects.
//
//   - what is delivered is what the other side sent, each record once at most;
//   - CONNECTED comes only of a genuine peer, FAILED only with a reason; of one that has another
//     certificate than was signaled (to the client, to the server or to both) nobody gets data;
//   - when nothing was damaged or injected, a handshake ends connected once the network is good;
//   - a datagram with a sealed record that is shorter than any seal is not taken, by either;
//   - each call ends, and the heap stays small.
#include "fuzz/fuzz.h"
#include "stack/dtls/dtls.h"

// libFuzzer: -max_len=4096

#define FLIGHT_MAX 256
#define RECORDS_MAX 256
#define MEMORY_MAX (8u << 20)

struct packet {
    nanotime at;
    uint64_t order;
    int to;
    size_t len;
    uint8_t bytes[1500];
};

struct end {
    struct dtls *dtls;
    struct rng rng;
    unsigned sent; // records of data, numbered
    bool got[RECORDS_MAX];
};

struct bench {
    nanotime now;
    struct end ends[2];
    struct packet flight[FLIGHT_MAX];
    unsigned flying;
    uint64_t order;
    struct reader r;
    bool attacked, closed;
    unsigned wary; // a bit for each end that was told of another fingerprint than it will see
};

static void put(struct bench *b, int to, struct bytes bytes, nanotime after)
{
    if (b->flying == FLIGHT_MAX || bytes.len > sizeof b->flight[0].bytes)
        return;
    struct packet *p = &b->flight[b->flying++];
    p->at = b->now + after;
    p->order = b->order++;
    p->to = to;
    p->len = bytes.len;
    if (bytes.len)
        memcpy(p->bytes, bytes.at, bytes.len);
}

// One byte for each datagram while there are any: what becomes of it.
static void send(struct bench *b, int from, struct bytes bytes)
{
    unsigned fate = read_u8(&b->r), what = fate % 16;
    nanotime after = (5 + (nanotime)(fate / 16) * 60) * TIME_MS;
    assert(bytes.len <= 1500);
    if (what >= 14)
        return;
    if (what == 13) {
        put(b, 1 - from, bytes, after * 2);
    } else if (what >= 11) {
        uint8_t copy[1500];
        memcpy(copy, bytes.at, bytes.len);
        for (unsigned i = 0; i < what - 10; i++)
            copy[read_u16(&b->r) % bytes.len] ^= (uint8_t)(1 << read_u8(&b->r) % 8);
        b->attacked = true;
        put(b, 1 - from, bytes_of(copy, bytes.len), after);
        return;
    }
    put(b, 1 - from, bytes, after);
}

static void take_data(struct bench *b, int i, struct bytes bytes)
{
    struct end *end = &b->ends[i];
    assert(dtls_state(end->dtls) == DTLS_CONNECTED || dtls_state(end->dtls) == DTLS_CLOSED);
    assert(!b->wary);
    assert(bytes.len == 5 && bytes.at[0] == (i ? 'a' : 'b'));
    unsigned number = (unsigned)bytes.at[1] << 8 | bytes.at[2];
    assert(number < b->ends[1 - i].sent && !end->got[number]);
    assert(bytes.at[3] == (uint8_t)(number * 7) && bytes.at[4] == '.');
    end->got[number] = true;
}

static void drain(struct bench *b)
{
    for (int i = 0; i < 2; i++) {
        struct end *end = &b->ends[i];
        if (!end->dtls)
            continue;
        struct dtls_output out;
        unsigned outputs = 0;
        while (dtls_poll(end->dtls, b->now, &out)) {
            outputs++;
            assert(outputs < 1000);
            if (out.kind == DTLS_SEND)
                send(b, i, out.bytes);
            if (out.kind == DTLS_DATA)
                take_data(b, i, out.bytes);
        }
        assert(dtls_deadline(end->dtls) > b->now);
        enum dtls_state state = dtls_state(end->dtls);
        assert((state == DTLS_FAILED) == (dtls_failure(end->dtls)[0] != 0));
        assert((dtls_data_max(end->dtls) > 0) >= (state == DTLS_CONNECTED));
        assert(state != DTLS_CONNECTED || !(b->wary >> i & 1));
    }
}

// RFC 6347 4.1, RFC 5288 3: of an epoch that has keys, without room for a tag of 16 bytes.
static bool has_short_record(struct bytes bytes)
{
    for (struct reader r = reader_of(bytes); r.len >= 13;) {
        read_skip(&r, 3);
        unsigned epoch = read_u16(&r);
        read_skip(&r, 6);
        size_t len = read_u16(&r);
        if (epoch > 0 && len < 16)
            return true;
        read_skip(&r, len);
    }
    return false;
}

static void input(struct bench *b, int to, struct bytes bytes)
{
    if (!b->ends[to].dtls)
        return;
    enum dtls_drop drop = dtls_input(b->ends[to].dtls, b->now, bytes);
    assert(drop < DTLS_DROPS && (drop != DTLS_KEPT || !has_short_record(bytes)));
    drain(b);
}

static void pass(struct bench *b, nanotime span)
{
    nanotime until = b->now + span;
    for (unsigned rounds = 0;; rounds++) {
        assert(rounds < 20000);
        nanotime wake = TIME_NEVER;
        for (int i = 0; i < 2; i++)
            if (b->ends[i].dtls)
                wake = time_min(wake, dtls_deadline(b->ends[i].dtls));
        int first = -1;
        for (unsigned i = 0; i < b->flying; i++) {
            const struct packet *p = &b->flight[i], *q = first < 0 ? NULL : &b->flight[first];
            if (!q || p->at < q->at || (p->at == q->at && p->order < q->order))
                first = (int)i;
        }
        nanotime at = first < 0 ? TIME_NEVER : b->flight[first].at;
        if (time_min(at, wake) > until)
            break;
        b->now = time_max(b->now, time_min(at, wake));
        if (at <= wake) {
            static struct packet p;
            p = b->flight[first];
            b->flight[first] = b->flight[--b->flying];
            input(b, p.to, bytes_of(p.bytes, p.len));
        } else {
            drain(b);
        }
    }
    b->now = until;
    drain(b);
}

static void say(struct bench *b, int i)
{
    struct end *end = &b->ends[i];
    if (end->sent == RECORDS_MAX)
        return;
    uint8_t record[5] = {i ? 'b' : 'a', (uint8_t)(end->sent >> 8), (uint8_t)end->sent,
                         (uint8_t)(end->sent * 7), '.'};
    end->sent++; // also when it is refused: then it never comes
    bool sent = dtls_send(end->dtls, b->now, bytes_of(record, sizeof record));
    assert(!sent || dtls_state(end->dtls) == DTLS_CONNECTED);
    drain(b);
}

// Any bytes, behind the head of a record of any epoch or as they are.
static void inject(struct bench *b)
{
    unsigned how = read_u8(&b->r);
    struct bytes body = fuzz_slice(&b->r);
    uint8_t buffer[300];
    struct writer w = writer_of(buffer, sizeof buffer);
    if (how & 2) {
        write_u8(&w, (uint8_t)(20 + how / 4 % 5));
        write_u16(&w, 0xfefd);
        write_u16(&w, how >> 6 & 1);
        write_u16(&w, 0);
        write_u32(&w, read_u16(&b->r));
        write_u16(&w, (uint16_t)body.len);
    }
    write_bytes(&w, body);
    b->attacked = true;
    input(b, how & 1, writer_bytes(&w));
}

static void replay(struct bench *b)
{
    unsigned how = read_u8(&b->r);
    if (b->flying == 0)
        return;
    static struct packet p;
    p = b->flight[how % b->flying];
    put(b, p.to, bytes_of(p.bytes, p.len), (nanotime)how * TIME_MS);
}

static void step(struct bench *b)
{
    unsigned kind = fuzz_choice(&b->r, 16);
    if (kind < 7)
        pass(b, (nanotime)read_u8(&b->r) * TIME_MS);
    else if (kind < 10)
        say(b, kind & 1);
    else if (kind < 12)
        inject(b);
    else if (kind < 14)
        replay(b);
    else if (kind < 15)
        pass(b, (nanotime)read_u8(&b->r) * 20 * TIME_MS);
    else if (read_u8(&b->r) > 230 && !b->closed) {
        dtls_close(b->ends[0].dtls, b->now);
        b->closed = true;
        drain(b);
    }
}

static void setup(struct bench *b, unsigned flags)
{
    for (unsigned i = 0; i < 2; i++) {
        struct end *end = &b->ends[i];
        if (flags & 1 && i != (flags >> 1 & 1))
            continue;
        end->rng = rng_seed(1, i ? "b" : "a");
        unsigned signaled = b->wary >> i & 1 ? i : 1 - i;
        const struct dtls_config config = {
            .identity = dtls_identity_pooled(i),
            .role = i == 0 ? DTLS_CLIENT : DTLS_SERVER,
            .remote = dtls_identity_fingerprint(dtls_identity_pooled(signaled)),
            .remote_count = 1,
            .mtu = flags & 4 ? DTLS_MTU_MIN + (flags >> 3) * 8 : 1200,
            .rng = &end->rng,
        };
        end->dtls = dtls_new(&config);
        dtls_start(end->dtls, 0);
    }
    drain(b);
}

// One byte of length, or two for those of a real handshake.
static struct bytes next_datagram(struct reader *r, bool is_long)
{
    size_t len = is_long ? read_u16(r) : read_u8(r);
    return read_bytes(r, len < r->len ? len : r->len);
}

static void check_end(struct bench *b)
{
    for (int i = 0; i < 2; i++) {
        if (!b->ends[i].dtls)
            continue;
        enum dtls_state state = dtls_state(b->ends[i].dtls);
        if (!b->ends[1 - i].dtls)
            assert(state != DTLS_CONNECTED); // nobody is there
        else if (b->wary)
            assert(state != DTLS_CONNECTED);
        else if (!b->attacked && !b->closed)
            assert(state == DTLS_CONNECTED);
    }
    // The client sees a certificate first; who is left may wait for an alert that was lost.
    if (b->wary && !b->attacked && !b->closed)
        assert(dtls_state(b->ends[b->wary & 1 ? 0 : 1].dtls) == DTLS_FAILED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bench bench;
    struct err err = {0};
    if (fuzz_once()) {
        bool ready = dtls_library_init(&err);
        assert(ready);
        for (unsigned i = 0; i < 2; i++)
            dtls_identity_fingerprint(dtls_identity_pooled(i));
    }
    libenv_reset();
    size_t before = fuzz_memory();
    memset(&bench, 0, offsetof(struct bench, flight));
    bench.flying = 0;
    bench.order = 0;
    bench.attacked = bench.closed = false;
    bench.r = reader_of(bytes_of(data, size));
    unsigned flags = read_u8(&bench.r);
    bench.wary = !(flags & 5) && flags >= 0xe8 ? flags >> 3 & 3 : 0;
    setup(&bench, flags);
    while (flags & 1 && bench.r.len > 0) // datagrams, each behind its length
        input(&bench, (flags >> 1) & 1, next_datagram(&bench.r, (flags & 12) == 8));
    for (unsigned i = 0; i < 200 && bench.r.len > 0; i++)
        step(&bench);
    bench.r.len = 0;
    pass(&bench, 100 * TIME_S);
    fuzz_memory_check(before, MEMORY_MAX);
    check_end(&bench);
    for (int i = 0; i < 2; i++)
        dtls_free(bench.ends[i].dtls);
    assert(libenv_orphan_draws() == 0);
    return 0;
}
