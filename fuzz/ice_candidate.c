// Any text as a candidate line. One that can be used is written, read and the same.
#include "fuzz/fuzz.h"
#include "stack/sdp/sdp.h"

static void check_same(const struct ice_candidate *a, const struct ice_candidate *b)
{
    assert(a->type == b->type && a->priority == b->priority && a->component == b->component);
    assert(addr_equal(&a->addr, &b->addr));
    assert(strcmp(a->foundation, b->foundation) == 0);
    if (a->type != ICE_HOST && a->related.ip.family != IP_NONE) // a host has none to write
        assert(addr_equal(&a->related, &b->related));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes line = bytes_of(data, size);
    struct ice_candidate first, again;
    bool usable = true;
    assert(fuzz_is_inside(line, sdp_candidate_ufrag(line)));
    if (!sdp_candidate_parse(line, &first, &usable)) {
        assert(!usable);
        return 0;
    }
    if (!usable)
        return 0;
    assert(first.component == 1 && first.addr.port > 0 && first.addr.ip.family != IP_NONE);
    assert(first.priority > 0 && first.priority <= INT32_MAX);
    assert(strlen(first.foundation) >= 1 && strlen(first.foundation) < ICE_FOUNDATION_MAX);

    static struct text one, two;
    text_clear(&one);
    text_clear(&two);
    sdp_candidate_write(&one, &first);
    assert(sdp_candidate_parse(text_bytes(&one), &again, &usable) && usable);
    check_same(&first, &again);
    sdp_candidate_write(&two, &again);
    assert(bytes_equal(text_bytes(&one), text_bytes(&two)));
    return 0;
}
