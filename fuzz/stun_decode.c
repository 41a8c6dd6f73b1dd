// Any bytes as a STUN message. What decodes lies within its datagram, and is what the first
// attribute of each type says that a check covers (RFC 8489 14); written again it decodes to the
// same, and written once more it is the same bytes. What does not decode says what to write: that
// decodes, to what was written.
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

// RFC 8489 14.5 to 14.7: behind a check all is ignored but further checks. 0: nothing is.
static unsigned seal_of(unsigned type)
{
    return type == STUN_MESSAGE_INTEGRITY          ? 1
           : type == STUN_MESSAGE_INTEGRITY_SHA256 ? 2
           : type == STUN_FINGERPRINT              ? 3
                                                   : 0;
}

// The attribute of this type that is number `n`, from 0. False: there are fewer.
static bool find(struct bytes datagram, enum stun_attr wanted, unsigned n, struct bytes *out)
{
    struct reader r = reader_of(bytes_from(datagram, STUN_HEADER_LEN));
    unsigned sealed = 0;
    while (r.len > 0) {
        unsigned type = read_u16(&r), len = read_u16(&r);
        *out = read_bytes(&r, len);
        read_skip(&r, (4 - len % 4) % 4);
        assert(!r.failed);
        if (sealed && seal_of(type) <= sealed)
            continue;
        sealed = seal_of(type) ? seal_of(type) : sealed;
        if (type == (unsigned)wanted && n-- == 0)
            return true;
    }
    *out = (struct bytes){0};
    return false;
}

// The number in its first bytes.
static uint64_t number_at(struct bytes datagram, enum stun_attr attr, unsigned len)
{
    struct bytes value;
    uint64_t number = 0;
    bool found = find(datagram, attr, 0, &value);
    assert(!found || value.len >= len);
    for (unsigned i = 0; found && i < len; i++)
        number = number << 8 | value.at[i];
    return number;
}

// RFC 8489 14.1, 14.2
static bool is_address(struct bytes datagram, enum stun_attr attr, unsigned n, bool mask,
                       const struct addr *got)
{
    struct bytes value;
    struct addr addr = {0};
    if (find(datagram, attr, n, &value)) {
        bool v6 = value.len == 20;
        assert(v6 ? value.at[1] == 2 : value.at[1] == 1 && value.len == 8);
        addr.ip.family = v6 ? IP_V6 : IP_V4;
        for (size_t i = 0; i < value.len - 4; i++)
            addr.ip.at[i] = value.at[4 + i] ^ (mask ? datagram.at[4 + i] : 0);
        addr.port = (uint16_t)((value.at[2] << 8 | value.at[3]) ^ (mask ? 0x2112 : 0));
    }
    return addr_equal(&addr, got);
}

static bool is_slice(struct bytes datagram, enum stun_attr attr, struct bytes got)
{
    struct bytes value;
    return find(datagram, attr, 0, &value) ? got.at == value.at && got.len == value.len
                                           : got.len == 0;
}

static void check_addresses(struct bytes d, const struct stun_msg *msg)
{
    struct bytes value;
    bool masked = find(d, STUN_XOR_MAPPED_ADDRESS, 0, &value);
    assert(is_address(d, masked ? STUN_XOR_MAPPED_ADDRESS : STUN_MAPPED_ADDRESS, 0, masked,
                      &msg->mapped));
    assert(is_address(d, STUN_XOR_RELAYED_ADDRESS, 0, true, &msg->relayed));
    assert(is_address(d, STUN_ALTERNATE_SERVER, 0, false, &msg->alternate_server));
    assert(is_address(d, STUN_RESPONSE_ORIGIN, 0, false, &msg->response_origin));
    assert(is_address(d, STUN_OTHER_ADDRESS, 0, false, &msg->other_address));
    for (unsigned i = 0; i < msg->peers_count; i++)
        assert(is_address(d, STUN_XOR_PEER_ADDRESS, i, true, &msg->peers[i]));
    unsigned peers = msg->peers_count + msg->peers_lost;
    assert(peers == 0 || find(d, STUN_XOR_PEER_ADDRESS, peers - 1, &value));
    assert(!find(d, STUN_XOR_PEER_ADDRESS, peers, &value));
}

// What is read of a message is what it says.
static void check_values(struct bytes d, const struct stun_msg *msg)
{
    static const enum stun_attr all[] = {
        0x01,   0x03,   0x06,   0x08,   0x09,   0x0a,   0x0c,   0x0d,   0x12,   0x13,
        0x14,   0x15,   0x16,   0x17,   0x18,   0x19,   0x1a,   0x1c,   0x1d,   0x1e,
        0x20,   0x22,   0x24,   0x25,   0x26,   0x27,   0x8000, 0x8001, 0x8002, 0x8003,
        0x8004, 0x8022, 0x8023, 0x8028, 0x8029, 0x802a, 0x802b, 0x802c};
    struct bytes value;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert(stun_has(msg, all[i]) == find(d, all[i], 0, &value));
    unsigned type =
        (unsigned)d.at[0] << 8 | d.at[1]; // RFC 8489 5: M11 to M7 C1 M6 to M4 C0 M3 to M0
    assert((unsigned)msg->class == ((type & 0x100) >> 7 | (type & 0x10) >> 4));
    assert(msg->method == ((type & 0x3e00) >> 2 | (type & 0xe0) >> 1 | (type & 0xf)));
    assert(is_slice(d, STUN_USERNAME, msg->username) && is_slice(d, STUN_REALM, msg->realm));
    assert(is_slice(d, STUN_NONCE, msg->nonce) && is_slice(d, STUN_SOFTWARE, msg->software));
    assert(is_slice(d, STUN_DATA_ATTR, msg->data) && is_slice(d, STUN_USERHASH, msg->userhash));
    assert(is_slice(d, STUN_ALTERNATE_DOMAIN, msg->alternate_domain));
    assert(is_slice(d, STUN_PADDING, msg->padding));
    assert(is_slice(d, STUN_UNKNOWN_ATTRIBUTES, msg->unknown_attributes));
    assert(is_slice(d, STUN_PASSWORD_ALGORITHMS, msg->password_algorithms));
    assert(msg->password_algorithm == number_at(d, STUN_PASSWORD_ALGORITHM, 2));
    assert(msg->priority == number_at(d, STUN_PRIORITY, 4));
    assert(msg->lifetime_s == number_at(d, STUN_LIFETIME, 4));
    assert(msg->change_request == number_at(d, STUN_CHANGE_REQUEST, 4));
    assert(msg->reservation_token == number_at(d, STUN_RESERVATION_TOKEN, 8));
    assert(msg->channel == number_at(d, STUN_CHANNEL_NUMBER, 2));
    assert(msg->response_port == number_at(d, STUN_RESPONSE_PORT, 2));
    assert(msg->transport == number_at(d, STUN_REQUESTED_TRANSPORT, 1));
    assert(msg->family == number_at(d, STUN_REQUESTED_ADDRESS_FAMILY, 1));
    assert(msg->additional_family == number_at(d, STUN_ADDITIONAL_ADDRESS_FAMILY, 1));
    assert(msg->even_port_reserve == number_at(d, STUN_EVEN_PORT, 1) >> 7);
    unsigned error = (unsigned)number_at(d, STUN_ERROR_CODE, 4);
    assert(msg->error_code == (error >> 8 & 7) * 100 + (error & 255));
    check_addresses(d, msg);
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
    check_values(datagram, &msg);
    check_marks(&msg);
    struct bytes made = write_again(&msg, first);
    assert(stun_decode(made, &again) == STUN_OK);
    check_same(&msg, &again);
    struct bytes made_again = write_again(&again, second);
    assert(bytes_equal(made, made_again));
    assert(stun_decode(made_again, &third) == STUN_OK && third.has == again.has);
    return 0;
}
