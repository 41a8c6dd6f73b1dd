// Any bytes as a DATA_CHANNEL_OPEN: it is taken, or refused for what a plain look at the bytes
// says; one that is taken is written, read and the same.
#include "fuzz/fuzz.h"
#include "stack/sctp/dcep.h"

// RFC 8832 5.1: three types, each ordered or not; then lengths, which the message must have.
static enum channel_drop model(const uint8_t *data, size_t size)
{
    if (size < 12 || (data[1] & 0x7f) > 2)
        return CHANNEL_BAD_DCEP;
    size_t label = data[8] * 256u + data[9], protocol = data[10] * 256u + data[11];
    if (size != 12 + label + protocol)
        return CHANNEL_BAD_DCEP;
    return label > 255 || protocol > 255 ? CHANNEL_LABEL_TOO_LONG : CHANNEL_KEPT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes message = bytes_of(data, size);
    struct channel_config first, again;
    enum channel_drop drop = dcep_open_decode(message, &first);
    assert(drop == model(data, size));
    if (drop != CHANNEL_KEPT)
        return 0;
    assert(fuzz_is_inside(message, first.label) && fuzz_is_inside(message, first.protocol));
    assert(size == 12 + first.label.len + first.protocol.len);
    assert(!first.negotiated && first.id == CHANNEL_ID_AUTO);
    assert(first.priority == data[2] * 256u + data[3]);
    assert(first.delivery.unordered == (data[1] >= 0x80));
    assert((data[1] & 0x7f) == (first.delivery.reliability == SCTP_RELIABLE          ? 0
                                : first.delivery.reliability == SCTP_MAX_RETRANSMITS ? 1
                                                                                     : 2));
    uint8_t one[DCEP_OPEN_MAX], two[DCEP_OPEN_MAX];
    struct bytes made = dcep_open_encode(&first, one);
    if (first.delivery.reliability != SCTP_RELIABLE) // which has no limit to keep
        assert(memcmp(made.at + 1, data + 1, size - 1) == 0);
    assert(made.len == size && dcep_open_decode(made, &again) == CHANNEL_KEPT);
    assert(bytes_equal(first.label, again.label) && bytes_equal(first.protocol, again.protocol));
    assert(first.priority == again.priority);
    assert(first.delivery.unordered == again.delivery.unordered);
    assert(first.delivery.reliability == again.delivery.reliability);
    assert(first.delivery.limit == again.delivery.limit);
    assert(bytes_equal(made, dcep_open_encode(&again, two)));
    return 0;
}
