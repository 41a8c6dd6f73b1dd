#include "fuzz/kit/rtp_mutate.h"

#include "fuzz/fuzz.h"

#define PIECES_MAX 24
#define BODY_MAX 512
#define ELEMENTS_MAX 16
#define RTP_HEADER 12

struct piece {
    uint8_t head[2]; // version, padding, count; type
    uint8_t body[BODY_MAX];
    size_t len;
};

static struct piece pieces[PIECES_MAX + 1];
static unsigned count;

static unsigned any(struct rng *rng, unsigned limit)
{
    return limit ? (unsigned)rng_below(rng, limit) : 0;
}

// ------------------------------------------------------------------------------------------- RTCP

static void split(const uint8_t *data, size_t size)
{
    count = 0;
    while (size >= 4 && count < PIECES_MAX) {
        size_t len = 4 * (size_t)(data[2] << 8 | data[3]);
        struct piece *piece = &pieces[count++];
        len = len < size - 4 ? len : size - 4;
        len = len < BODY_MAX ? len : BODY_MAX;
        memcpy(piece->head, data, 2);
        memcpy(piece->body, data + 4, len);
        piece->len = len;
        data += 4 + len;
        size -= 4 + len;
    }
}

// draft-holmer-rmcat-transport-wide-cc-extensions-01 3.1: one run of packets that all came.
static void fill_transport(struct piece *piece, struct rng *rng)
{
    unsigned status = 1 + any(rng, 2), packets = 1 + any(rng, 40);
    put_u16(piece->body + 10, (uint16_t)packets);
    put_u16(piece->body + 16, (uint16_t)(status << 13 | packets));
    piece->len = 18 + (size_t)status * packets;
}

// A packet of one of the kinds, its body by chance but for what must fit.
static void make(struct piece *piece, struct rng *rng)
{
    static const struct {
        uint8_t type, count; // 32: by chance
        uint16_t least, step;
    } kinds[] = {{200, 32, 24, 24}, {201, 32, 4, 24}, {202, 1, 12, 4}, {203, 32, 4, 4},
                 {204, 32, 8, 4},   {205, 1, 12, 4},  {205, 3, 16, 8}, {205, 4, 16, 8},
                 {205, 11, 16, 4},  {205, 15, 20, 4}, {206, 1, 8, 0},  {206, 4, 16, 8},
                 {206, 15, 16, 4},  {207, 0, 12, 4}};
    unsigned kind = any(rng, sizeof kinds / sizeof *kinds);
    piece->head[0] = (uint8_t)(0x80 | (kinds[kind].count == 32 ? any(rng, 32) : kinds[kind].count));
    piece->head[1] = kinds[kind].type;
    piece->len = kinds[kind].least + kinds[kind].step * (size_t)any(rng, 4);
    rng_fill(rng, piece->body, 128); // more than any has
    uint8_t *body = piece->body;
    if (piece->head[1] == 202) { // a name, and the zeros behind it
        body[4] = (uint8_t)(1 + any(rng, 8));
        body[5] = (uint8_t)(piece->len - 7);
        body[piece->len - 1] = 0;
    } else if (piece->head[1] == 205 && kinds[kind].count == 15) {
        fill_transport(piece, rng);
    } else if (piece->head[1] == 205 && kinds[kind].count == 11) { // RFC 8888 3.1
        put_u16(body + 10, (uint16_t)((piece->len - 16) / 2));
    } else if (piece->head[1] == 206 && kinds[kind].count == 15) {
        memcpy(body + 8, "REMB", 4);
        body[12] = (uint8_t)((piece->len - 16) / 4);
    } else if (piece->head[1] == 207) { // RFC 3611 4: one block, of a kind that has its own length
        body[4] = (uint8_t)(1 + any(rng, 7));
        put_u16(body + 6, (uint16_t)((piece->len - 8) / 4));
    }
}

static void change(struct rng *rng)
{
    unsigned at = any(rng, count), other = any(rng, count);
    struct piece *piece = &pieces[at];
    struct piece kept = *piece;
    switch (any(rng, 8)) {
    case 0:
        pieces[at] = pieces[other];
        pieces[other] = kept;
        break;
    case 1:
        if (count < PIECES_MAX)
            pieces[count++] = kept;
        break;
    case 2:
        if (count > 1)
            pieces[at] = pieces[--count];
        break;
    case 3:
        piece->head[0] = (uint8_t)(piece->head[0] ^ 1u << any(rng, 6));
        break;
    case 4:
        piece->len = any(rng, 2) ? piece->len + 4u * any(rng, 8) : piece->len / 2;
        piece->len = piece->len < BODY_MAX ? piece->len : BODY_MAX;
        break;
    case 5:
        if (count < PIECES_MAX)
            make(&pieces[count++], rng);
        break;
    case 6:
        make(piece, rng);
        break;
    default:
        piece->len = piece->len ? piece->len : 4;
        piece->len = LLVMFuzzerMutate(piece->body, piece->len, BODY_MAX);
        break;
    }
}

// Report blocks and sources are as many as there is room for.
static void count_fix(struct piece *piece)
{
    size_t blocks = 0;
    if (piece->head[1] == 200 && piece->len >= 24)
        blocks = (piece->len - 24) / 24;
    else if (piece->head[1] == 201 && piece->len >= 4)
        blocks = (piece->len - 4) / 24;
    else if (piece->head[1] == 203)
        blocks = piece->len / 4;
    else
        return;
    piece->head[0] = (uint8_t)((piece->head[0] & 0xe0) | (blocks < 31 ? blocks : 31));
}

static size_t join(uint8_t *data, size_t max, struct rng *rng)
{
    struct writer w = writer_of(data, max);
    unsigned wrong = any(rng, 64), miscounted = any(rng, 8);
    for (unsigned i = 0; i < count; i++) {
        struct piece *piece = &pieces[i];
        piece->len = (piece->len + 3) & ~(size_t)3;
        piece->len = piece->len < BODY_MAX ? piece->len : BODY_MAX;
        if (w.len + 4 + piece->len > max)
            break;
        piece->head[0] = (uint8_t)((piece->head[0] & 0x3f) | 0x80);
        if (i != miscounted)
            count_fix(piece);
        if (piece->head[0] & 0x20 && i + 1 < count) // RFC 3550 6.4.1: the last alone is padded
            piece->head[0] &= 0xdf;
        if (piece->head[0] & 0x20 && piece->len >= 4)
            piece->body[piece->len - 1] = 4;
        write_bytes(&w, bytes_of(piece->head, 2));
        write_u16(&w, (uint16_t)(piece->len / 4 + (i == wrong)));
        write_bytes(&w, bytes_of(piece->body, piece->len));
    }
    return w.len;
}

size_t rtcp_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    struct rng rng = rng_seed(seed, "rtcp");
    max = max < RTP_MUTATE_MAX ? max : RTP_MUTATE_MAX;
    if (max < 8)
        return LLVMFuzzerMutate(data, size, max);
    split(data, size);
    if (count == 0)
        make(&pieces[count++], &rng);
    for (unsigned i = 0; i <= any(&rng, 3); i++)
        change(&rng);
    size_t len = join(data, max, &rng);
    return len ? len : LLVMFuzzerMutate(data, size, max);
}

// -------------------------------------------------------------------------------------------- RTP

struct element {
    uint8_t id, len;
    uint8_t value[255];
};

struct packet {
    uint8_t header[RTP_HEADER];
    unsigned sources;
    uint8_t source[15 * 4];
    bool extended;
    uint16_t profile;
    struct element elements[ELEMENTS_MAX];
    unsigned elements_count;
    uint8_t payload[RTP_MUTATE_MAX];
    size_t payload_len;
    uint8_t padding;
};

static void elements_take(struct packet *packet, struct reader r)
{
    bool one_byte = packet->profile == 0xbede;
    while (r.len > 0 && packet->elements_count < ELEMENTS_MAX) {
        unsigned head = read_u8(&r);
        if (head == 0)
            continue;
        struct element *element = &packet->elements[packet->elements_count++];
        size_t len = one_byte ? (head & 15) + 1 : read_u8(&r);
        struct bytes value = read_bytes(&r, len < r.len ? len : r.len);
        element->id = (uint8_t)(one_byte ? head >> 4 : head);
        element->len = (uint8_t)value.len;
        if (value.len)
            memcpy(element->value, value.at, value.len);
    }
}

static void packet_take(struct packet *packet, struct reader r)
{
    static const uint8_t none[RTP_HEADER] = {0x80, 96};
    packet->sources = packet->elements_count = 0;
    packet->padding = 0;
    packet->profile = 0xbede;
    struct bytes header = read_bytes(&r, RTP_HEADER);
    memcpy(packet->header, r.failed ? none : header.at, RTP_HEADER);
    for (unsigned wanted = packet->header[0] & 15; packet->sources < wanted && r.len >= 4;)
        put_u32(packet->source + 4 * packet->sources++, read_u32(&r));
    packet->extended = packet->header[0] & 0x10;
    if (packet->extended && r.len >= 4) {
        packet->profile = read_u16(&r);
        size_t len = 4u * read_u16(&r);
        elements_take(packet, reader_of(read_bytes(&r, len < r.len ? len : r.len)));
    }
    if (packet->header[0] & 0x20 && r.len > 0) {
        packet->padding = r.at[r.len - 1];
        r.len -= packet->padding < r.len ? packet->padding : r.len;
    }
    packet->payload_len = r.len;
    if (r.len)
        memcpy(packet->payload, r.at, r.len);
}

static void packet_change(struct packet *packet, struct rng *rng)
{
    unsigned at = any(rng, packet->elements_count);
    struct element *element = &packet->elements[at];
    switch (any(rng, 8)) {
    case 0:
        packet->sources = any(rng, 16);
        break;
    case 1: // RFC 8285 4.2, 4.3
        packet->profile = (uint16_t)(any(rng, 2) ? 0xbede : 0x1000 | any(rng, 17));
        packet->extended = true;
        break;
    case 2:
    case 3:
        if (packet->elements_count == ELEMENTS_MAX)
            break;
        element = &packet->elements[packet->elements_count++];
        element->id = (uint8_t)(any(rng, 4) ? 1 + any(rng, 14) : any(rng, 256));
        element->len = (uint8_t)(any(rng, 8) ? 1 + any(rng, 4) : any(rng, 40));
        rng_fill(rng, element->value, element->len);
        packet->extended = true;
        break;
    case 4:
        if (packet->elements_count)
            *element = packet->elements[--packet->elements_count];
        break;
    case 5:
        packet->padding = (uint8_t)(any(rng, 2) ? 0 : 1 + any(rng, 255));
        break;
    case 6:
        packet->header[1] = (uint8_t)rng_u32(rng);
        packet->extended = packet->extended && any(rng, 4);
        break;
    default:
        packet->payload_len = packet->payload_len ? packet->payload_len : 1;
        packet->payload_len = LLVMFuzzerMutate(packet->payload, packet->payload_len, 1400);
        break;
    }
}

static void elements_write(struct writer *w, const struct packet *packet)
{
    bool one_byte = packet->profile == 0xbede;
    write_u16(w, packet->profile);
    size_t length_at = w->len;
    write_u16(w, 0);
    for (unsigned i = 0; i < packet->elements_count; i++) {
        const struct element *element = &packet->elements[i];
        size_t len = one_byte && element->len > 16 ? 16 : element->len;
        if (one_byte && len == 0)
            continue;
        if (one_byte)
            write_u8(w, (uint8_t)((unsigned)element->id << 4 | (unsigned)(len - 1)));
        else
            write_u8(w, element->id);
        if (!one_byte)
            write_u8(w, (uint8_t)len);
        write_bytes(w, bytes_of(element->value, len));
    }
    while (!w->failed && (w->len - length_at - 2) % 4)
        write_u8(w, 0);
    if (!w->failed)
        put_u16(w->at + length_at, (uint16_t)((w->len - length_at - 2) / 4));
}

size_t rtp_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static struct packet packet;
    struct rng rng = rng_seed(seed, "rtp");
    if (size > RTP_MUTATE_MAX)
        return LLVMFuzzerMutate(data, size, max);
    packet_take(&packet, reader_of(bytes_of(data, size)));
    for (unsigned i = 0; i <= any(&rng, 3); i++)
        packet_change(&packet, &rng);
    packet.header[0] = (uint8_t)(0x80 | (packet.padding ? 0x20 : 0) | (packet.extended ? 0x10 : 0) |
                                 packet.sources);
    struct writer w = writer_of(data, max);
    write_bytes(&w, bytes_of(packet.header, RTP_HEADER));
    write_bytes(&w, bytes_of(packet.source, 4u * packet.sources));
    if (packet.extended)
        elements_write(&w, &packet);
    write_bytes(&w, bytes_of(packet.payload, packet.payload_len));
    for (unsigned i = 1; i < packet.padding; i++)
        write_u8(&w, 0);
    if (packet.padding)
        write_u8(&w, packet.padding);
    return w.failed || w.len == 0 ? LLVMFuzzerMutate(data, size < max ? size : max, max) : w.len;
}
