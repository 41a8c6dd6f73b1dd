// Any bytes as a DATA_CHANNEL_OPEN: one that is taken is written, read and the same.
#include "fuzz/fuzz.h"
#include "stack/sctp/dcep.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes message = bytes_of(data, size);
    struct channel_config first, again;
    enum channel_drop drop = dcep_open_decode(message, &first);
    assert(drop == CHANNEL_KEPT || drop == CHANNEL_BAD_DCEP || drop == CHANNEL_LABEL_TOO_LONG);
    if (drop != CHANNEL_KEPT)
        return 0;
    assert(fuzz_is_inside(message, first.label) && fuzz_is_inside(message, first.protocol));
    assert(size == 12 + first.label.len + first.protocol.len);
    assert(!first.negotiated && first.id == CHANNEL_ID_AUTO);
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
