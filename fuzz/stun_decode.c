// Any bytes as a STUN message. What decodes lies within its datagram; written again it decodes to
// the same, and written once more it is the same bytes. What does not decode says what to write:
// that decodes, to what was written.
#include "fuzz/fuzz.h"
#include "fuzz/kit/stun_mutate.h"
#include "stack/stun/stun.h"
#include "stack/stun/stun_auth.h"

// libFuzzer: -max_len=2000

#define ROOM 70000

static void add_slices(struct stun_writer *s, const struct stun_msg *msg)
{
    const struct {
        enum stun_attr attr;
        struct bytes value;
    } slices[] = {
        {STUN_USERNAME, msg->username},
        {STUN_REALM, msg->realm},
        {STUN_NONCE, msg->nonce},
        {STUN_SOFTWARE, msg->software},
        {STUN_DATA_ATTR, msg->data},
        {STUN_USERHASH, msg->userhash},
        {STUN_ALTERNATE_DOMAIN, msg->alternate_domain},
        {STUN_UNKNOWN_ATTRIBUTES, msg->unknown_attributes},
        {STUN_PASSWORD_ALGORITHMS, msg->password_algorithms},
    };
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) {
        assert(fuzz_is_inside(msg->raw, slices[i].value));
        if (stun_has(msg, slices[i].attr))
            stun_add_bytes(s, slices[i].attr, slices[i].value);
        else
            assert(slices[i].value.len == 0);
    }
}

static void add_numbers(struct stun_writer *s, const struct stun_msg *msg)
{
    const struct {
        enum stun_attr attr;
        uint32_t value;
    } words[] = {
        {STUN_PRIORITY, msg->priority},
        {STUN_LIFETIME, msg->lifetime_s},
        {STUN_CHANGE_REQUEST, msg->change_request},
        {STUN_CHANNEL_NUMBER, (uint32_t)msg->channel << 16},
        {STUN_RESPONSE_PORT, (uint32_t)msg->response_port << 16},
        {STUN_PASSWORD_ALGORITHM, (uint32_t)msg->password_algorithm << 16},
        {STUN_REQUESTED_TRANSPORT, (uint32_t)msg->transport << 24},
        {STUN_REQUESTED_ADDRESS_FAMILY, (uint32_t)msg->family << 24},
        {STUN_ADDITIONAL_ADDRESS_FAMILY, (uint32_t)msg->additional_family << 24},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (stun_has(msg, words[i].attr))
            stun_add_u32(s, words[i].attr, words[i].value);
    if (stun_has(msg, STUN_EVEN_PORT))
        stun_add_bytes(s, STUN_EVEN_PORT, bytes_of(msg->even_port_reserve ? "\x80" : "\0", 1));
    static const enum stun_attr longs[] = {STUN_ICE_CONTROLLING, STUN_ICE_CONTROLLED};
    for (size_t i = 0; i < 2; i++)
        if (stun_has(msg, longs[i]))
            stun_add_u64(s, longs[i], msg->tiebreaker);
    if (stun_has(msg, STUN_RESERVATION_TOKEN))
        stun_add_u64(s, STUN_RESERVATION_TOKEN, msg->reservation_token);
    if (stun_has(msg, STUN_USE_CANDIDATE))
        stun_add_flag(s, STUN_USE_CANDIDATE);
    if (stun_has(msg, STUN_DONT_FRAGMENT))
        stun_add_flag(s, STUN_DONT_FRAGMENT);
    if (stun_has(msg, STUN_ERROR_CODE)) {
        assert(msg->error_code >= 300 && msg->error_code < 700);
        assert(fuzz_is_inside(msg->raw, msg->error_reason));
        stun_add_error(s, msg->error_code, msg->error_reason);
    }
}

static void add_addresses(struct stun_writer *s, const struct stun_msg *msg)
{
    if (stun_has(msg, STUN_XOR_MAPPED_ADDRESS))
        stun_add_xor_addr(s, STUN_XOR_MAPPED_ADDRESS, &msg->mapped);
    else if (stun_has(msg, STUN_MAPPED_ADDRESS))
        stun_add_addr(s, STUN_MAPPED_ADDRESS, &msg->mapped);
    if (stun_has(msg, STUN_XOR_RELAYED_ADDRESS))
        stun_add_xor_addr(s, STUN_XOR_RELAYED_ADDRESS, &msg->relayed);
    if (stun_has(msg, STUN_ALTERNATE_SERVER))
        stun_add_addr(s, STUN_ALTERNATE_SERVER, &msg->alternate_server);
    if (stun_has(msg, STUN_RESPONSE_ORIGIN))
        stun_add_addr(s, STUN_RESPONSE_ORIGIN, &msg->response_origin);
    if (stun_has(msg, STUN_OTHER_ADDRESS))
        stun_add_addr(s, STUN_OTHER_ADDRESS, &msg->other_address);
    assert(msg->peers_count <= STUN_PEERS_MAX);
    assert(stun_has(msg, STUN_XOR_PEER_ADDRESS) == (msg->peers_count > 0));
    for (unsigned i = 0; i < msg->peers_count; i++)
        stun_add_xor_addr(s, STUN_XOR_PEER_ADDRESS, &msg->peers[i]);
}

static struct bytes write_again(const struct stun_msg *msg, uint8_t *to)
{
    struct stun_writer s = stun_begin(to, ROOM, msg->class, msg->method, msg->id);
    add_slices(&s, msg);
    add_numbers(&s, msg);
    add_addresses(&s, msg);
    struct bytes made = stun_end(&s);
    assert(made.len >= STUN_HEADER_LEN);
    return made;
}

static void check_same(const struct stun_msg *a, const struct stun_msg *b)
{
    assert(a->class == b->class && a->method == b->method);
    assert(memcmp(a->id, b->id, STUN_ID_LEN) == 0);
    assert(bytes_equal(a->username, b->username) && bytes_equal(a->realm, b->realm));
    assert(bytes_equal(a->nonce, b->nonce) && bytes_equal(a->software, b->software));
    assert(bytes_equal(a->data, b->data) && bytes_equal(a->userhash, b->userhash));
    assert(bytes_equal(a->error_reason, b->error_reason) && a->error_code == b->error_code);
    assert(addr_equal(&a->mapped, &b->mapped) && addr_equal(&a->relayed, &b->relayed));
    assert(addr_equal(&a->alternate_server, &b->alternate_server));
    assert(addr_equal(&a->other_address, &b->other_address));
    assert(a->peers_count == b->peers_count);
    for (unsigned i = 0; i < a->peers_count; i++)
        assert(addr_equal(&a->peers[i], &b->peers[i]));
    assert(a->priority == b->priority && a->lifetime_s == b->lifetime_s);
    assert(a->tiebreaker == b->tiebreaker && a->channel == b->channel);
    assert(a->transport == b->transport && a->family == b->family);
    assert(a->even_port_reserve == b->even_port_reserve);
    assert(a->password_algorithm == b->password_algorithm);
}

static void check_marks(const struct stun_msg *msg)
{
    assert(msg->unknown_count <= STUN_UNKNOWN_MAX);
    size_t len = msg->raw.len;
    assert(msg->integrity_at == 0 || msg->integrity_at + 24 <= len);
    assert(msg->integrity256_at == 0 || msg->integrity256_at + 4 + msg->integrity256_len <= len);
    assert(msg->fingerprint_at == 0 || msg->fingerprint_at + 8 <= len);
    (void)stun_check_fingerprint(msg);
    uint32_t features;
    (void)stun_nonce_features(msg->nonce, &features);
    enum stun_password_algorithm picked;
    if (stun_algorithms_pick(msg->password_algorithms, &picked))
        assert(stun_algorithms_has(msg->password_algorithms, picked));
}

// Values of any length, between attributes that have one.
static void write_and_decode(struct bytes script, uint8_t *to)
{
    static const enum stun_attr attrs[] = {STUN_USERNAME, STUN_REALM, STUN_NONCE, STUN_SOFTWARE,
                                           STUN_DATA_ATTR};
    struct reader r = reader_of(script);
    struct bytes values[5];
    uint8_t id[STUN_ID_LEN] = {read_u8(&r)};
    struct stun_msg msg;
    struct stun_writer s = stun_begin(to, ROOM, STUN_REQUEST, STUN_BINDING, id);
    for (unsigned i = 0; i < 5; i++) {
        values[i] = fuzz_slice(&r);
        stun_add_bytes(&s, attrs[i], values[i]);
        stun_add_u32(&s, STUN_PRIORITY, (uint32_t)values[0].len);
    }
    assert(stun_decode(stun_end(&s), &msg) == STUN_OK && msg.priority == values[0].len);
    assert(bytes_equal(msg.username, values[0]) && bytes_equal(msg.realm, values[1]));
    assert(bytes_equal(msg.nonce, values[2]) && bytes_equal(msg.software, values[3]));
    assert(bytes_equal(msg.data, values[4]) && msg.unknown_count == 0);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    // Whole messages are dear: most of the time is for bytes.
    return seed % 32 ? LLVMFuzzerMutate(data, size, max) : stun_mutate(data, size, max, seed / 32);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t first[ROOM], second[ROOM];
    struct bytes datagram = bytes_of(data, size);
    struct stun_msg msg, again, third;
    enum stun_outcome outcome = stun_decode(datagram, &msg);
    assert(outcome < STUN_OUTCOMES);
    if (outcome != STUN_OK) {
        if (size % 8 == 1) // never STUN, and a few are enough
            write_and_decode(datagram, first);
        return 0;
    }
    assert(size >= STUN_HEADER_LEN && size % 4 == 0);
    assert(stun_is_stun(datagram) == (data[0] <= 3)); // RFC 7983 7 leaves it the first of methods
    check_marks(&msg);
    struct bytes made = write_again(&msg, first);
    assert(stun_decode(made, &again) == STUN_OK);
    check_same(&msg, &again);
    struct bytes made_again = write_again(&again, second);
    assert(bytes_equal(made, made_again));
    assert(stun_decode(made_again, &third) == STUN_OK && third.has == again.has);
    return 0;
}
