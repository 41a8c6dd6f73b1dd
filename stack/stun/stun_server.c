// What a STUN server answers to Binding requests.
#include "stack/stun/stun_server.h"

#define CHANGE_IP 4u // RFC 5780 7.2
#define CHANGE_PORT 2u
#define PADDING_MAX 1500
#define UNKNOWN_MAX (STUN_UNKNOWN_MAX + 3)

bool stun_server_is_listening(const struct stun_server_config *config, const struct addr *addr)
{
    if (addr_equal(addr, &config->listen))
        return true;
    if (addr_is_none(&config->other))
        return false;
    return (addr->port == config->listen.port || addr->port == config->other.port) &&
           (ip_equal(&addr->ip, &config->listen.ip) || ip_equal(&addr->ip, &config->other.ip));
}

static struct addr other_of(const struct stun_server_config *config, const struct addr *at,
                            bool change_ip, bool change_port)
{
    struct addr other = *at;
    if (change_ip)
        other.ip = ip_equal(&at->ip, &config->listen.ip) ? config->other.ip : config->listen.ip;
    if (change_port)
        other.port = at->port == config->listen.port ? config->other.port : config->listen.port;
    return other;
}

// Comprehension-required attributes that cannot be obeyed here.
static unsigned list_unknown(const struct stun_server_config *config, const struct stun_msg *msg,
                             uint16_t types[UNKNOWN_MAX])
{
    memcpy(types, msg->unknown, sizeof msg->unknown);
    unsigned count = msg->unknown_count;
    if (!addr_is_none(&config->other))
        return count;
    // RFC 5780 5, 6.1: without a second address, these are unknown attributes. An answer to another
    // port than was asked for would tell the wrong thing of a NAT.
    if (msg->change_request & (CHANGE_IP | CHANGE_PORT))
        types[count++] = STUN_CHANGE_REQUEST;
    if (stun_has(msg, STUN_RESPONSE_PORT))
        types[count++] = STUN_RESPONSE_PORT;
    if (stun_has(msg, STUN_PADDING))
        types[count++] = STUN_PADDING;
    return count;
}

// RFC 5780 6.1: the answer is padded as well. With as much as was asked with and not with an MTU,
// as it SHOULD be: a short request would bring a long answer to whoever it names as its sender.
static void add_padding(struct stun_writer *s, const struct stun_msg *msg)
{
    static const uint8_t padding[PADDING_MAX];
    size_t len = (msg->padding.len + 3) / 4 * 4;
    stun_add_bytes(s, STUN_PADDING, bytes_of(padding, len < PADDING_MAX ? len : PADDING_MAX));
}

bool stun_server_answer(const struct stun_server_config *config, const struct datagram *request,
                        const struct stun_msg *msg, void *buffer, size_t max, struct datagram *out)
{
    if (msg->class != STUN_REQUEST || msg->method != STUN_BINDING ||
        !stun_server_is_listening(config, &request->to))
        return false;
    *out = (struct datagram){.from = request->to, .to = request->from};

    uint16_t unknown[UNKNOWN_MAX];
    unsigned unknown_count = list_unknown(config, msg, unknown);
    // RFC 5780 7.5: MUST NOT process a request with both.
    bool bad = stun_has(msg, STUN_RESPONSE_PORT) && stun_has(msg, STUN_PADDING);
    unsigned code = unknown_count ? STUN_UNKNOWN_ATTRIBUTE : bad ? STUN_BAD_REQUEST : 0;

    struct stun_writer s =
        stun_begin(buffer, max, code ? STUN_ERROR : STUN_SUCCESS, STUN_BINDING, msg->id);
    if (config->software)
        stun_add_bytes(&s, STUN_SOFTWARE, bytes_text(config->software));
    if (code) {
        stun_add_error(&s, code, bytes_text(stun_error_reason(code)));
        if (unknown_count)
            stun_add_unknown(&s, unknown, unknown_count);
    } else {
        stun_add_xor_addr(&s, STUN_XOR_MAPPED_ADDRESS, &request->from);
    }
    if (!code && !addr_is_none(&config->other)) {
        struct addr other = other_of(config, &request->to, true, true);
        out->from = other_of(config, &request->to, msg->change_request & CHANGE_IP,
                             msg->change_request & CHANGE_PORT);
        // RFC 5780 6.1: plain MAPPED-ADDRESS shows what a payload-rewriting NAT did to it.
        stun_add_addr(&s, STUN_MAPPED_ADDRESS, &request->from);
        stun_add_addr(&s, STUN_RESPONSE_ORIGIN, &out->from);
        stun_add_addr(&s, STUN_OTHER_ADDRESS, &other);
        if (stun_has(msg, STUN_RESPONSE_PORT))
            out->to.port = msg->response_port;
        if (stun_has(msg, STUN_PADDING))
            add_padding(&s, msg);
    }
    if (stun_has(msg, STUN_FINGERPRINT))
        stun_add_fingerprint(&s);
    out->bytes = stun_end(&s);
    return out->bytes.len > 0;
}

#define CLASSIC_ID_LEN 16
#define CLASSIC_ADDRESS_LEN 8

// A Binding request without attributes that must be understood.
static bool is_classic_request(struct bytes datagram)
{
    struct reader r = reader_of(datagram);
    unsigned type = read_u16(&r), len = read_u16(&r);
    read_skip(&r, CLASSIC_ID_LEN);
    if (r.failed || type != STUN_BINDING || len != r.len || stun_is_stun(datagram))
        return false;
    while (r.len > 0) {
        unsigned attr = read_u16(&r), value_len = read_u16(&r);
        read_skip(&r, value_len);
        read_skip(&r, (0 - value_len) & 3);
        if (r.failed || attr < 0x8000)
            return false;
    }
    return true;
}

bool stun_server_answer_classic(const struct stun_server_config *config,
                                const struct datagram *request, void *buffer, size_t max,
                                struct datagram *out)
{
    if (!is_classic_request(request->bytes) || request->from.ip.family != IP_V4 ||
        !stun_server_is_listening(config, &request->to))
        return false;
    *out = (struct datagram){.from = request->to, .to = request->from};
    struct writer w = writer_of(buffer, max);
    write_u16(&w, 0x100 | STUN_BINDING); // RFC 8489 5: a success response
    write_u16(&w, 4 + CLASSIC_ADDRESS_LEN);
    // RFC 5389 12.2: what stands in the place of the cookie is copied, and the address is plain.
    write_bytes(&w, bytes_of(request->bytes.at + 4, CLASSIC_ID_LEN));
    write_u16(&w, STUN_MAPPED_ADDRESS);
    write_u16(&w, CLASSIC_ADDRESS_LEN);
    write_u16(&w, 1); // RFC 8489 14.1: a zero byte, then the family IPv4
    write_u16(&w, request->from.port);
    write_bytes(&w, bytes_of(request->from.ip.at, 4));
    out->bytes = writer_bytes(&w);
    return out->bytes.len > 0;
}
