// Any bytes as an RTP packet, behind a map of extension ids. Its outcome and its fields are those
// of a plain reading; what was parsed is written as the same bytes; its elements are those that a
// plain walk finds; values that are written are read again; late values change their own bytes
// alone.
#include "fuzz/fuzz.h"
#include "fuzz/kit/rtp_mutate.h"
#include "stack/rtp/rtp.h"

// libFuzzer: -max_len=1400

#define ROOM 2048
#define MAP_LEN (1 + RTP_EXTENSIONS) // in front of the packet

// RFC 8285 4.2 and 4.3: no element is longer than what is left.
static bool elements_fit(unsigned profile, struct bytes extension)
{
    struct reader r = reader_of(extension);
    if (profile != 0xbede && profile >> 4 != 0x100)
        return true;
    while (r.len > 0 && !r.failed) {
        unsigned head = read_u8(&r);
        if (head == 0)
            continue;
        if (profile == 0xbede && (head >> 4 == 15 || head >> 4 == 0))
            return true;
        read_skip(&r, profile == 0xbede ? (head & 15) + 1u : read_u8(&r));
    }
    return !r.failed;
}

// RFC 3550 5.1 and 5.3.1, field by field.
static void check_parsed(struct bytes datagram, enum rtp_outcome outcome,
                         const struct rtp_packet *packet)
{
    struct reader r = reader_of(datagram);
    unsigned first = read_u8(&r), second = read_u8(&r), sequence = read_u16(&r), profile = 0;
    uint32_t timestamp = read_u32(&r), ssrc = read_u32(&r), csrc[15];
    struct bytes extension = {0};
    if (datagram.len >= RTP_HEADER_LEN && first >> 6 != 2) {
        assert(outcome == RTP_BAD_VERSION);
        return;
    }
    for (unsigned i = 0; i < (first & 15); i++)
        csrc[i] = read_u32(&r);
    if (first & 0x10) {
        profile = read_u16(&r);
        extension = read_bytes(&r, 4u * read_u16(&r));
    }
    assert((outcome == RTP_TOO_SHORT) == r.failed);
    if (r.failed)
        return;
    bool fits = elements_fit(profile, extension);
    assert((outcome == RTP_BAD_EXTENSION) == !fits);
    unsigned padding = first & 0x20 && r.len ? datagram.at[datagram.len - 1] : 0;
    bool padded = !(first & 0x20) || (padding > 0 && padding <= r.len);
    assert((outcome == RTP_BAD_PADDING) == (fits && !padded));
    if (outcome != RTP_OK)
        return;
    assert(packet->marker == second >> 7 && packet->payload_type == (second & 127));
    assert(packet->sequence == sequence && packet->timestamp == timestamp && packet->ssrc == ssrc);
    assert(packet->csrc_count == (first & 15));
    for (unsigned i = 0; i < packet->csrc_count; i++)
        assert(packet->csrc[i] == csrc[i]);
    assert(packet->has_extension == (first >> 4 & 1) && packet->extension_profile == profile);
    assert(bytes_equal(packet->extension, extension) && packet->padding == padding);
    assert(bytes_equal(packet->payload, bytes_of(r.at, r.len - padding)));
}

// The value of the last element with this id; false: there is none.
static bool element_find(const struct rtp_packet *packet, unsigned id, struct bytes *out)
{
    bool one_byte = packet->extension_profile == 0xbede, found = false;
    struct reader r = reader_of(packet->extension);
    if (id == 0 || (!one_byte && packet->extension_profile >> 4 != 0x100))
        return false;
    while (r.len > 0) {
        unsigned head = read_u8(&r), got = one_byte ? head >> 4 : head;
        if (head == 0)
            continue;
        if (one_byte && (got == 0 || got == 15))
            break;
        struct bytes value = read_bytes(&r, one_byte ? (head & 15) + 1 : read_u8(&r));
        assert(!r.failed);
        if (got == id) {
            *out = value;
            found = true;
        }
    }
    return found;
}

static bool has(const struct rtp_extension_values *values, enum rtp_extension extension)
{
    return values->has >> extension & 1;
}

static void check_text(const struct rtp_extension_values *values, enum rtp_extension extension,
                       bool found, struct bytes wanted, struct bytes got)
{
    assert(has(values, extension) == (found && wanted.len > 0));
    assert(!has(values, extension) || (got.at == wanted.at && got.len == wanted.len));
}

static void check_values(const struct rtp_packet *packet, const struct rtp_extension_map *map,
                         const struct rtp_extension_values *values)
{
    for (enum rtp_extension i = 0; i < RTP_EXTENSIONS; i++) {
        struct bytes v = {0};
        bool found = element_find(packet, map->id[i], &v);
        switch (i) {
        case RTP_MID:
            check_text(values, i, found, v, values->mid);
            break;
        case RTP_RID:
            check_text(values, i, found, v, values->rid);
            break;
        case RTP_REPAIRED_RID:
            check_text(values, i, found, v, values->repaired_rid);
            break;
        case RTP_AUDIO_LEVEL:
            assert(has(values, i) == (found && v.len == 1));
            assert(!has(values, i) || values->audio_level + 128 * values->voice == v.at[0]);
            break;
        case RTP_ABS_SEND_TIME:
            assert(has(values, i) == (found && v.len == 3));
            assert(!has(values, i) || values->abs_send_time == ((uint32_t)v.at[0] << 16 |
                                                                (uint32_t)v.at[1] << 8 | v.at[2]));
            break;
        case RTP_TRANSPORT_CC:
            assert(has(values, i) == (found && v.len == 2));
            assert(!has(values, i) || values->transport_sequence == v.at[0] * 256 + v.at[1]);
            break;
        case RTP_EXTENSIONS:
            break;
        }
    }
}

// Of what was written, what can be expected back.
static unsigned expressible(const struct rtp_extension_map *map,
                            const struct rtp_extension_values *values)
{
    const size_t lens[RTP_EXTENSIONS] = {
        values->mid.len, values->rid.len, values->repaired_rid.len, 1, 3, 2};
    unsigned bits = 0;
    for (unsigned i = 0; i < RTP_EXTENSIONS; i++)
        if (values->has >> i & 1 && map->id[i] && lens[i] > 0 &&
            (map->two_byte || (map->id[i] < 15 && lens[i] <= 16)))
            bits |= 1u << i;
    return bits;
}

static void write_values(const uint8_t *header, const struct rtp_packet *packet,
                         const struct rtp_extension_map *map,
                         const struct rtp_extension_values *values)
{
    static uint8_t buffer[ROOM + 1024];
    struct rtp_packet again;
    struct rtp_extension_values got;
    size_t len = rtp_write(buffer, sizeof buffer, packet, map, values);
    assert(len > 0 && rtp_write(buffer, len - 1, packet, map, values) == 0);
    assert(rtp_write(buffer, len, packet, map, values) == len);
    assert(rtp_parse(bytes_of(buffer, len), &again) == RTP_OK);
    assert(bytes_equal(again.payload, packet->payload) && again.padding == packet->padding);
    size_t fixed = RTP_HEADER_LEN + 4u * packet->csrc_count; // but for the bit of the extension
    assert((buffer[0] & 0xef) == (header[0] & 0xef) &&
           memcmp(buffer + 1, header + 1, fixed - 1) == 0);
    rtp_extensions_read(&again, map, &got);
    assert(got.has == expressible(map, values));
    assert(!has(&got, RTP_MID) || bytes_equal(got.mid, values->mid));
    assert(!has(&got, RTP_RID) || bytes_equal(got.rid, values->rid));
    assert(!has(&got, RTP_REPAIRED_RID) || bytes_equal(got.repaired_rid, values->repaired_rid));
    assert(!has(&got, RTP_AUDIO_LEVEL) ||
           (got.audio_level == values->audio_level && got.voice == values->voice));
    assert(!has(&got, RTP_ABS_SEND_TIME) || got.abs_send_time == values->abs_send_time);
    assert(!has(&got, RTP_TRANSPORT_CC) || got.transport_sequence == values->transport_sequence);
}

static void patch(struct bytes datagram, const struct rtp_extension_map *map,
                  const struct rtp_extension_values *values)
{
    static uint8_t copy[ROOM];
    struct rtp_packet packet;
    struct rtp_extension_values got;
    memcpy(copy, datagram.at, datagram.len);
    bool timed = rtp_patch_abs_send_time(copy, datagram.len, map, 0xa5b6c7);
    bool numbered = rtp_patch_transport_sequence(copy, datagram.len, map, 0x1234);
    assert(timed == has(values, RTP_ABS_SEND_TIME) && numbered == has(values, RTP_TRANSPORT_CC));
    assert(rtp_parse(bytes_of(copy, datagram.len), &packet) == RTP_OK);
    rtp_extensions_read(&packet, map, &got);
    assert(got.has == values->has);
    assert(!timed || got.abs_send_time == 0xa5b6c7);
    assert(!numbered || got.transport_sequence == 0x1234);
    size_t changed = 0;
    for (size_t i = 0; i < datagram.len; i++)
        changed += copy[i] != datagram.at[i];
    assert(changed <= 3u * timed + 2u * numbered);
}

// Ids that are there once.
static struct rtp_extension_map map_of(struct reader *r)
{
    struct rtp_extension_map map = {.two_byte = read_u8(r) & 1};
    for (unsigned i = 0; i < RTP_EXTENSIONS; i++) {
        map.id[i] = read_u8(r);
        if (map.id[i] >= 192)
            map.id[i] %= 16;
        for (unsigned k = 0; k < i; k++)
            if (map.id[k] == map.id[i])
                map.id[i] = 0;
    }
    return map;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    if (size <= MAP_LEN || max <= size || seed % 4)
        return LLVMFuzzerMutate(data, size, max);
    return MAP_LEN + rtp_mutate(data + MAP_LEN, size - MAP_LEN, max - MAP_LEN, seed / 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t buffer[ROOM];
    struct reader r = reader_of(bytes_of(data, size));
    struct rtp_extension_map map = map_of(&r);
    struct bytes datagram = bytes_of(r.at, r.len);
    struct rtp_packet packet;
    enum rtp_outcome outcome = rtp_parse(datagram, &packet);
    assert(outcome < RTP_OUTCOMES && rtp_outcome_name(outcome));
    check_parsed(datagram, outcome, &packet);
    if (outcome != RTP_OK || datagram.len > ROOM)
        return 0;
    assert(fuzz_is_inside(datagram, packet.extension) && fuzz_is_inside(datagram, packet.payload));
    size_t len = rtp_write(buffer, sizeof buffer, &packet, NULL, NULL);
    assert(len == datagram.len && memcmp(buffer, datagram.at, len - packet.padding) == 0);
    struct rtp_extension_values values;
    rtp_extensions_read(&packet, &map, &values);
    check_values(&packet, &map, &values);
    write_values(datagram.at, &packet, &map, &values);
    patch(datagram, &map, &values);
    return 0;
}
