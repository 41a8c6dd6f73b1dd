// Data channels against a peer that sends any message on any stream: the harness holds the other
// end of the association itself.
//
//   - every message is delivered on an open channel, or is a DATA_CHANNEL_OPEN or ACK, or is
//     counted as dropped, or as given up by its sender (behind a reset of its stream);
//   - what is delivered is what was sent on its stream, text or not, each message once, the ordered
//     ones in order; the peer gets what was sent on a channel likewise;
//   - a channel comes in once for each id while it is open, with the parity of the peer, and is
//   what
//     the peer asked for;
//   - the heap stays small, and it ends.
#include "fuzz/fuzz.h"
#include "stack/sctp/datachannel.h"
#include "stack/sctp/dcep.h"

// libFuzzer: -max_len=1500

#define MTU 1191
#define FLIGHT_MAX 4096
#define CHANNELS 512
#define STREAMS 65536
#define BOOK_MAX 256 // no step sends more than one message
#define MEMORY_MAX (64u << 20)

struct packet {
    nanotime at;
    bool to_raw;
    size_t len;
    uint8_t bytes[MTU];
};

// A message that was sent and what has become of it.
struct entry {
    uint16_t stream;
    uint32_t ppid;
    uint64_t hash; // of an OPEN: of what it asks for
    bool taken;
};

struct book {
    struct entry at[BOOK_MAX];
    unsigned count;
    uint16_t begun[STREAMS]; // where in the book those begin that may come, of those in order
    bool loose[STREAMS];     // some were not: then no order is looked for
};
static struct book theirs, ours;

struct bench {
    nanotime now;
    struct rng rng[2];
    struct channels *channels; // ours
    struct sctp *raw;          // the peer's
    struct packet *flight[FLIGHT_MAX];
    unsigned first, flying;
    unsigned sent, dcep, delivered, opened, came_in, closed;
    bool is_open[CHANNELS], is_closing[CHANNELS]; // by us: until it is closed
    uint16_t id[CHANNELS];
};

static uint64_t hash_more(uint64_t hash, struct bytes bytes)
{
    hash = (hash ^ bytes.len) * 0x100000001b3u; // FNV-1a
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ bytes.at[i]) * 0x100000001b3u;
    return hash;
}

// What a channel is asked to be.
static uint64_t hash_config(const struct channel_config *config)
{
    uint64_t hash = hash_more(hash_more(14695981039346656037u, config->label), config->protocol);
    hash = (hash ^ config->priority) * 0x100000001b3u;
    hash = (hash ^ config->delivery.unordered) * 0x100000001b3u;
    hash = (hash ^ config->delivery.reliability) * 0x100000001b3u;
    return (hash ^ config->delivery.limit) * 0x100000001b3u;
}

// RFC 8832 5.1, read by hand. False: it is none that could be taken.
static bool open_read(struct bytes bytes, struct channel_config *to)
{
    const uint8_t *at = bytes.at;
    if (bytes.len < 12 || at[0] != 3)
        return false;
    size_t label = at[8] * 256u + at[9], protocol = at[10] * 256u + at[11];
    if (bytes.len != 12 + label + protocol)
        return false;
    uint32_t limit = (uint32_t)at[4] << 24 | (uint32_t)at[5] << 16 | (uint32_t)at[6] << 8 | at[7];
    *to = (struct channel_config){.label = bytes_of(at + 12, label),
                                  .protocol = bytes_of(at + 12 + label, protocol),
                                  .priority = (uint16_t)(at[2] * 256u + at[3]),
                                  .delivery = {.unordered = at[1] >= 0x80,
                                               .reliability = (enum sctp_reliability)(at[1] & 0x7f),
                                               .limit = at[1] & 0x7f ? limit : 0}};
    return true;
}

// RFC 8831 6.6: SCTP has no empty message, so one byte is sent that does not count.
static uint64_t hash_message(uint32_t ppid, struct bytes bytes)
{
    struct channel_config config;
    if (ppid == PPID_DCEP && open_read(bytes, &config))
        return hash_config(&config);
    if (ppid == PPID_STRING_EMPTY || ppid == PPID_BINARY_EMPTY)
        bytes.len = 0;
    return hash_more(14695981039346656037u, bytes);
}

static void book_add(struct book *book, const struct sctp_message *message, bool unordered)
{
    assert(book->count < BOOK_MAX);
    book->at[book->count++] = (struct entry){.stream = message->stream,
                                             .ppid = message->ppid,
                                             .hash = hash_message(message->ppid, message->bytes)};
    book->loose[message->stream] |= unordered;
}

static bool is_kind(uint32_t ppid, bool text)
{
    return ppid == (uint32_t)(text ? PPID_STRING : PPID_BINARY) ||
           ppid == (uint32_t)(text ? PPID_STRING_EMPTY : PPID_BINARY_EMPTY);
}

// It is one that was sent and has not come, and none that was sent before it may come any more.
static void book_take(struct book *book, uint16_t stream, bool text, struct bytes bytes)
{
    uint64_t hash = hash_more(14695981039346656037u, bytes);
    unsigned i = book->loose[stream] ? 0 : book->begun[stream];
    while (i < book->count && (book->at[i].taken || book->at[i].stream != stream ||
                               book->at[i].hash != hash || !is_kind(book->at[i].ppid, text)))
        i++;
    assert(i < book->count);
    book->at[i].taken = true;
    book->begun[stream] = (uint16_t)(i + 1);
}

static bool book_has_open(const struct book *book, uint16_t stream, uint64_t hash)
{
    bool found = false;
    for (unsigned i = 0; i < book->count; i++)
        found |= book->at[i].ppid == PPID_DCEP && book->at[i].stream == stream &&
                 book->at[i].hash == hash;
    return found;
}

static void put(struct bench *b, bool to_raw, struct bytes bytes)
{
    assert(b->flying < FLIGHT_MAX && bytes.len <= MTU);
    struct packet *p = mem_alloc(sizeof *p);
    *p = (struct packet){.at = b->now + 5 * TIME_MS, .to_raw = to_raw, .len = bytes.len};
    memcpy(p->bytes, bytes.at, bytes.len);
    b->flight[(b->first + b->flying++) % FLIGHT_MAX] = p;
}

static void take(struct bench *b, const struct channels_output *out)
{
    unsigned c = out->channel;
    switch (out->kind) {
    case CHANNELS_SEND:
        put(b, true, out->bytes);
        return;
    case CHANNELS_STATE_CHANGED:
    case CHANNELS_BUFFERED_LOW:
        return;
    case CHANNELS_OPENED:
        assert(c < CHANNELS && !b->is_open[c]);
        b->is_open[c] = true;
        b->id[c] = channel_id(b->channels, c);
        b->opened++;
        for (unsigned i = 0; i < CHANNELS; i++)
            assert(i == c || !b->is_open[i] || b->id[i] != b->id[c]);
        if (!out->incoming)
            return;
        b->came_in++;
        assert(b->id[c] % 2 == 0); // RFC 8832 6: the peer is the DTLS client
        assert(book_has_open(&theirs, b->id[c], hash_config(channel_config(b->channels, c))));
        return;
    case CHANNELS_MESSAGE:
        assert(c < CHANNELS && b->is_open[c] && !b->is_closing[c]);
        b->delivered++;
        book_take(&theirs, b->id[c], out->text, out->bytes);
        return;
    case CHANNELS_CLOSED:
        assert(c < CHANNELS);
        b->closed++;
        b->is_open[c] = false;
        return;
    }
}

static void drain(struct bench *b)
{
    struct channels_output out;
    unsigned outputs = 0;
    while (channels_poll(b->channels, b->now, &out)) {
        outputs++;
        assert(outputs < 10000);
        take(b, &out);
    }
    struct sctp_output raw;
    while (sctp_poll(b->raw, b->now, &raw)) {
        if (raw.kind == SCTP_SEND)
            put(b, false, raw.bytes);
        if (raw.kind == SCTP_MESSAGE && raw.message.ppid != PPID_DCEP) {
            bool text = is_kind(raw.message.ppid, true);
            bool empty =
                raw.message.ppid == PPID_STRING_EMPTY || raw.message.ppid == PPID_BINARY_EMPTY;
            assert(text || is_kind(raw.message.ppid, false));
            book_take(&ours, raw.message.stream, text,
                      empty ? bytes_of(NULL, 0) : raw.message.bytes);
        }
    }
}

static void pass(struct bench *b, nanotime span)
{
    nanotime until = b->now + span;
    drain(b);
    for (unsigned rounds = 0;; rounds++) {
        assert(rounds < 50000);
        nanotime at = b->flying ? b->flight[b->first]->at : TIME_NEVER;
        nanotime wake = time_min(channels_deadline(b->channels), sctp_deadline(b->raw));
        if (time_min(at, wake) > until)
            break;
        b->now = time_max(b->now, time_min(at, wake));
        if (at <= wake) {
            struct packet *p = b->flight[b->first];
            b->first = (b->first + 1) % FLIGHT_MAX;
            b->flying--;
            if (p->to_raw)
                sctp_input(b->raw, b->now, bytes_of(p->bytes, p->len));
            else
                channels_input(b->channels, b->now, bytes_of(p->bytes, p->len));
            free(p);
        }
        drain(b);
    }
    b->now = until;
}

static void send(struct bench *b, uint16_t stream, uint32_t ppid, struct bytes bytes,
                 struct sctp_delivery delivery)
{
    if (bytes.len == 0)
        bytes = bytes_of("", 1);
    const struct sctp_message message = {stream, ppid, bytes};
    if (sctp_send(b->raw, b->now, &message, delivery) != SCTP_SENT)
        return;
    b->sent++;
    b->dcep += ppid == PPID_DCEP;
    book_add(&theirs, &message, delivery.unordered);
}

static void send_ours(struct bench *b, unsigned channel, struct bytes bytes, bool text)
{
    if (channel_send(b->channels, b->now, channel, bytes, text) != SCTP_SENT)
        return;
    const struct channel_config *config = channel_config(b->channels, channel);
    const struct sctp_message message = {config->id, text ? PPID_STRING : PPID_BINARY, bytes};
    book_add(&ours, &message, config->delivery.unordered);
}

static void send_open(struct bench *b, struct reader *r, uint16_t stream)
{
    uint8_t buffer[DCEP_OPEN_MAX];
    unsigned how = read_u8(r);
    struct channel_config config = {
        .label = fuzz_slice(r),
        .protocol = how & 8 ? fuzz_slice(r) : (struct bytes){0},
        .priority = read_u16(r),
        .delivery = {.unordered = how & 1,
                     .reliability = (enum sctp_reliability)(how / 2 % 3),
                     .limit = how >> 4}};
    struct bytes open = dcep_open_encode(&config, buffer);
    if (how & 0x80 && open.len > 0)
        buffer[read_u8(r) % open.len] = read_u8(r);
    if (how == 0xff)
        open.len--;
    send(b, stream, PPID_DCEP, open, (struct sctp_delivery){0});
}

static void step(struct bench *b, struct reader *r)
{
    static const uint32_t ppids[] = {PPID_DCEP,         PPID_STRING, PPID_BINARY, PPID_STRING_EMPTY,
                                     PPID_BINARY_EMPTY, 52,          0,           UINT32_MAX};
    unsigned kind = fuzz_choice(r, 16), which = read_u8(r);
    uint16_t stream = (uint16_t)(which % 24);
    if (which >= 240)
        stream = read_u16(r);
    if (kind < 4) {
        send_open(b, r, stream);
    } else if (kind < 9) {
        unsigned how = read_u8(r);
        send(b, stream, ppids[how % 8], fuzz_slice(r),
             (struct sctp_delivery){.unordered = how & 8});
    } else if (kind < 10) {
        send(b, stream, PPID_DCEP, bytes_of("\2", 1), (struct sctp_delivery){0});
    } else if (kind < 11) {
        sctp_reset_stream(b->raw, b->now, stream);
    } else if (kind < 12) {
        struct channel_config config = {.label = fuzz_slice(r),
                                        .priority = 256,
                                        .negotiated = which & 0x20,
                                        .id = CHANNEL_ID_AUTO};
        if (config.negotiated)
            config.id = stream;
        channel_open(b->channels, b->now, &config);
    } else if (kind < 14) {
        unsigned c = which % CHANNELS;
        if (c < CHANNELS && b->is_open[c] && kind == 12) {
            b->is_closing[c] = true;
            channel_close(b->channels, b->now, c);
        } else if (b->is_open[c])
            send_ours(b, c, fuzz_slice(r), which & 1);
    } else {
        pass(b, (nanotime)which * TIME_MS * (kind == 14 ? 1 : 10));
    }
    drain(b);
}

static void setup(struct bench *b)
{
    libenv_reset();
    sctp_library_start(0);
    for (int i = 0; i < 2; i++)
        b->rng[i] = rng_seed(1, i ? "raw" : "ours");
    struct sctp_config config = {
        .local_port = 5000, .remote_port = 5000, .mtu = MTU, .streams = 64, .rng = &b->rng[0]};
    b->channels = channels_new(&config, false);
    config.rng = &b->rng[1];
    b->raw = sctp_new(&config);
    channels_connect(b->channels, 0);
    sctp_connect(b->raw, 0);
    pass(b, TIME_S);
    assert(channels_association(b->channels) == SCTP_CONNECTED);
}

static void check_end(struct bench *b)
{
    unsigned drops = 0;
    for (enum channel_drop d = CHANNEL_KEPT + 1; d < CHANNEL_DROPS; d++)
        drops += channels_drops(b->channels, d);
    // Where every message came, it was delivered, or dropped, or is one of DCEP.
    if (sctp_buffered(b->raw) == 0 && channels_association(b->channels) == SCTP_CONNECTED) {
        assert(b->delivered + drops <= b->sent);
        unsigned abandoned = sctp_stats(b->raw).messages_abandoned;
        assert(b->sent <= b->delivered + drops + b->dcep + abandoned);
        // Apart: data alone may have no channel or no kind, and DCEP no place.
        unsigned of_data = channels_drops(b->channels, CHANNEL_NOT_OPEN) +
                           channels_drops(b->channels, CHANNEL_UNKNOWN_PPID);
        assert(b->sent - b->dcep <= b->delivered + of_data + abandoned);
        assert(b->came_in + drops - of_data <= b->dcep);
    }
    assert(b->closed <= b->opened + CHANNELS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bench bench;
    size_t before = fuzz_memory();
    bench = (struct bench){0};
    memset(&theirs, 0, sizeof theirs);
    memset(&ours, 0, sizeof ours);
    struct reader r = reader_of(bytes_of(data, size));
    setup(&bench);
    for (unsigned i = 0; i < 150 && r.len > 0; i++)
        step(&bench, &r);
    pass(&bench, 30 * TIME_S);
    fuzz_memory_check(before, MEMORY_MAX);
    check_end(&bench);
    while (bench.flying > 0)
        free(bench.flight[(bench.first + --bench.flying) % FLIGHT_MAX]);
    channels_free(bench.channels);
    sctp_free(bench.raw);
    sctp_library_stop();
    assert(libenv_orphan_draws() == 0);
    return 0;
}
