// Media and repair packets of one stream, ULPFEC or FlexFEC, with losses, delays and lies as the
// bytes say, and a book of what can be computed beside the decoder.
//
//   - what comes back is what was lost, byte for byte, and all that can come back does;
//   - a repair packet is no longer than was promised, and its header says what it protects;
//   - each one that was taken has helped, waits, or was needed by nobody;
//   - whatever bytes come in, a packet that comes out is one of RTP's, of the stream, within its
//     size; the heap stays small.
#include "fuzz/fuzz.h"
#include "stack/rtp/fec.h"

// libFuzzer: -max_len=2000

#define SSRC 0x5afe1234
#define MEMORY_MAX (1u << 20)
#define REPAIR_MAX (RTP_PACKET_MAX + FEC_OVERHEAD_MAX)
#define DELAYED_MAX 8

struct repair {
    bool used;
    uint16_t sequences[FEC_MASK_MAX];
    unsigned count;
};

struct delayed {
    struct repair repair;
    uint8_t bytes[REPAIR_MAX];
    size_t len;
};

struct bench {
    enum fec_format format;
    struct fec_decoder *decoder;
    struct reader r;
    bool hostile; // something was damaged or forged
    uint16_t first, next;
    // What the decoder should know, as it is told.
    bool kept[FEC_KEPT];
    uint16_t kept_sequence[FEC_KEPT];
    struct repair waiting[FEC_WAITING];
    unsigned waiting_next;
    uint64_t taken, helped;
    struct delayed delayed[DELAYED_MAX];
    unsigned delayed_count;
};

// The packet of a sequence number: most are short, some as long as can be.
static struct bytes packet_of(uint16_t sequence, uint8_t *to)
{
    uint32_t x = sequence * 2654435761u + 1;
    size_t len = RTP_HEADER_LEN + (x >> 28 == 0 ? RTP_PACKET_MAX - RTP_HEADER_LEN : x >> 26);
    for (size_t i = 0; i < len; i++) {
        to[i] = (uint8_t)(x >> 24);
        x = x * 1664525u + 1013904223u;
    }
    to[0] = (uint8_t)(0x80 | (to[0] & 0x3f));
    put_u16(to + 2, sequence);
    put_u32(to + 8, SSRC);
    return bytes_of(to, len);
}

static void note_kept(struct bench *b, uint16_t sequence)
{
    b->kept[sequence % FEC_KEPT] = true;
    b->kept_sequence[sequence % FEC_KEPT] = sequence;
}

static unsigned missing(const struct bench *b, const struct repair *repair, uint16_t *which)
{
    unsigned count = 0;
    for (unsigned i = 0; i < repair->count; i++) {
        uint16_t sequence = repair->sequences[i];
        if (b->kept[sequence % FEC_KEPT] && b->kept_sequence[sequence % FEC_KEPT] == sequence)
            continue;
        *which = sequence;
        count++;
    }
    return count;
}

// How many wait, without those that have nothing left to bring.
static unsigned waiting(struct bench *b)
{
    unsigned count = 0;
    for (unsigned i = 0; i < FEC_WAITING; i++) {
        uint16_t which;
        struct repair *repair = &b->waiting[i];
        repair->used = repair->used && missing(b, repair, &which) > 0;
        count += repair->used;
    }
    return count;
}

static void see_recovered(struct bench *b, struct bytes packet)
{
    uint8_t wanted[RTP_PACKET_MAX];
    struct reader r = reader_of(packet);
    assert(packet.len >= RTP_HEADER_LEN && packet.len <= RTP_PACKET_MAX);
    assert(read_u16(&r) >> 14 == 2);
    uint16_t sequence = read_u16(&r);
    (void)read_u32(&r);
    assert(read_u32(&r) == SSRC);
    if (b->hostile)
        return;
    bool can = false;
    for (unsigned i = 0; i < FEC_WAITING; i++) {
        uint16_t which = 0;
        const struct repair *repair = &b->waiting[i];
        can |= repair->used && missing(b, repair, &which) == 1 && which == sequence;
    }
    assert(can && bytes_equal(packet, packet_of(sequence, wanted)));
}

static void drain(struct bench *b)
{
    struct bytes packet;
    for (unsigned rounds = 0; fec_decoder_poll(b->decoder, &packet); rounds++) {
        uint8_t copy[RTP_PACKET_MAX];
        assert(rounds < FEC_WAITING);
        see_recovered(b, packet);
        uint16_t sequence = (uint16_t)(packet.at[2] << 8 | packet.at[3]);
        memcpy(copy, packet.at, packet.len);
        note_kept(b, sequence);
        fec_decoder_media(b->decoder, sequence, bytes_of(copy, packet.len));
        b->helped++;
    }
    uint64_t wait = waiting(b);
    assert(b->helped + fec_decoder_unused(b->decoder) <= b->taken);
    if (b->hostile)
        return;
    assert(b->helped + fec_decoder_unused(b->decoder) + wait == b->taken);
    for (unsigned i = 0; i < FEC_WAITING; i++) {
        uint16_t which;
        assert(!b->waiting[i].used || missing(b, &b->waiting[i], &which) > 1);
    }
}

static void hand_media(struct bench *b, uint16_t sequence)
{
    uint8_t room[RTP_PACKET_MAX];
    fec_decoder_media(b->decoder, sequence, packet_of(sequence, room));
    note_kept(b, sequence);
    drain(b);
}

static void hand_repair(struct bench *b, const struct delayed *d)
{
    assert(fec_decoder_repair(b->decoder, bytes_of(d->bytes, d->len)) == FEC_KEPT_IT);
    b->waiting[b->waiting_next] = d->repair;
    b->waiting_next = (b->waiting_next + 1) % FEC_WAITING;
    b->taken++;
    drain(b);
}

// RFC 5109 7.3 and FlexFEC-03 4.2.2, read by hand: base and mask are those of the packets.
static void check_header(const struct bench *b, const struct delayed *d)
{
    const uint8_t *at = d->bytes;
    uint64_t mask;
    uint16_t base;
    if (b->format == FEC_ULP) {
        assert((at[0] & 0x80) == 0 && d->len >= 14);
        base = (uint16_t)(at[2] << 8 | at[3]);
        assert((size_t)(at[10] << 8 | at[11]) == d->len - (at[0] & 0x40 ? 18 : 14));
        mask = (uint64_t)(at[12] << 8 | at[13]) << 48;
        if (at[0] & 0x40)
            mask |= (uint64_t)at[14] << 40 | (uint64_t)at[15] << 32 | (uint64_t)at[16] << 24 |
                    (uint64_t)at[17] << 16;
    } else {
        assert((at[0] & 0xc0) == 0 && d->len >= 20 && at[8] == 1);
        base = (uint16_t)(at[16] << 8 | at[17]);
        mask = (uint64_t)((at[18] & 0x7f) << 8 | at[19]) << 49;
        if (!(at[18] & 0x80))
            mask |= ((uint64_t)(at[20] & 0x7f) << 24 | (uint64_t)at[21] << 16 |
                     (uint64_t)at[22] << 8 | at[23])
                    << 18;
    }
    uint64_t wanted = 0;
    for (unsigned i = 0; i < d->repair.count; i++)
        wanted |= 1ull << (63 - (uint16_t)(d->repair.sequences[i] - base));
    assert(base == d->repair.sequences[0] && mask == wanted);
}

// Over some of the packets from `first` on.
static void encode(struct bench *b, struct delayed *d, uint16_t first, uint64_t which)
{
    static uint8_t rooms[FEC_MASK_MAX][RTP_PACKET_MAX];
    struct bytes packets[FEC_MASK_MAX];
    size_t longest = 0;
    *d = (struct delayed){.repair = {.used = true}};
    for (uint16_t i = 0; i < FEC_MASK_MAX; i++) {
        if (i > 0 && !(which >> i & 1))
            continue;
        unsigned n = d->repair.count++;
        d->repair.sequences[n] = (uint16_t)(first + i);
        packets[n] = packet_of(d->repair.sequences[n], rooms[n]);
        longest = packets[n].len > longest ? packets[n].len : longest;
    }
    d->len = fec_encode(b->format, packets, d->repair.count, d->bytes, sizeof d->bytes);
    assert(d->len > 0 && d->len <= longest + FEC_OVERHEAD_MAX);
    assert(fec_encode(b->format, packets, d->repair.count, d->bytes, d->len - 1) == 0);
    assert(fec_encode(b->format, packets, d->repair.count, d->bytes, d->len) == d->len);
    check_header(b, d);
}

static void repair(struct bench *b)
{
    unsigned how = read_u8(&b->r);
    uint16_t back = (uint16_t)(how % 64 % (uint16_t)(b->next - b->first + 1u));
    uint64_t which = read_u32(&b->r);
    if (how & 128)
        which |= (uint64_t)read_u16(&b->r) << 32;
    which &= (2ull << (back ? back - 1 : 0)) - 1; // none that was not sent yet
    if (back == 0)
        return;
    struct delayed *d = &b->delayed[b->delayed_count < DELAYED_MAX ? b->delayed_count : 0];
    encode(b, d, (uint16_t)(b->next - back), which);
    if (how & 64 && b->delayed_count < DELAYED_MAX)
        b->delayed_count++;
    else
        hand_repair(b, d);
}

// A repair packet that lies, in some bytes of its header or in all.
static void forge(struct bench *b)
{
    static struct delayed d;
    unsigned how = read_u8(&b->r);
    if (how & 1) {
        encode(b, &d, (uint16_t)(b->next - how % 40), how * 0x9e3779b97f4a7c15ull);
        for (unsigned i = 0; i <= how >> 6; i++)
            d.bytes[read_u8(&b->r) % (how & 2 ? 24 : d.len)] ^= read_u8(&b->r);
        if (how & 4)
            d.len = read_u16(&b->r) % (d.len + 1);
    } else {
        struct bytes body = fuzz_slice(&b->r);
        d.len = body.len;
        if (body.len)
            memcpy(d.bytes, body.at, body.len);
        if (b->format == FEC_FLEX && how & 2 && d.len >= 16) {
            d.bytes[0] &= 0x3f;
            put_u32(d.bytes + 8, 1u << 24);
            put_u32(d.bytes + 12, SSRC);
        }
    }
    b->hostile = true;
    enum fec_outcome outcome = fec_decoder_repair(b->decoder, bytes_of(d.bytes, d.len));
    assert(outcome < FEC_OUTCOMES && fec_outcome_name(outcome));
    b->taken += outcome == FEC_KEPT_IT;
    drain(b);
}

// A media packet of any bytes, of any sequence number.
static void forge_media(struct bench *b)
{
    uint16_t sequence = (uint16_t)(b->next - read_u8(&b->r));
    struct bytes body = fuzz_slice(&b->r);
    b->hostile = true;
    fec_decoder_media(b->decoder, sequence, body);
    drain(b);
}

static void step(struct bench *b)
{
    unsigned kind = read_u8(&b->r);
    if (kind < 64) { // some packets come
        for (unsigned i = 0; i <= kind % 8; i++)
            hand_media(b, b->next++);
    } else if (kind < 128) { // some do not
        b->next = (uint16_t)(b->next + 1 + kind % 8);
    } else if (kind < 216) {
        repair(b);
    } else if (kind < 228 && b->delayed_count) { // a repair packet that was held up
        unsigned n = read_u8(&b->r) % b->delayed_count;
        hand_repair(b, &b->delayed[n]);
        b->delayed[n] = b->delayed[--b->delayed_count];
    } else if (kind < 240 && b->next != b->first) { // a packet that was held up, or again
        hand_media(b, (uint16_t)(b->next - 1 - read_u8(&b->r) % (uint16_t)(b->next - b->first)));
    } else if (kind < 250) {
        forge(b);
    } else {
        forge_media(b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bench b;
    size_t before = fuzz_memory();
    b = (struct bench){.r = reader_of(bytes_of(data, size))};
    b.format = fuzz_choice(&b.r, 2) ? FEC_FLEX : FEC_ULP;
    b.first = b.next = read_u16(&b.r);
    b.decoder = fec_decoder_new(b.format, SSRC);
    while (b.r.len > 0)
        step(&b);
    fuzz_memory_check(before, MEMORY_MAX);
    fec_decoder_free(b.decoder);
    return 0;
}
