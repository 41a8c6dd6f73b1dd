// Candidate lines of SDP (RFC 8839 5.1), read and written.
#include "stack/sdp/sdp_priv.h"

#define PRIORITY_MAX 0x7fffffffu
#define COMPONENT_MAX 256

// Type words in the order of enum ice_candidate_type.
static bool type_parse(struct bytes word, enum ice_candidate_type *out)
{
    static const char *const words[] = {"host", "srflx", "prflx", "relay"};
    for (unsigned i = 0; i < 4; i++) {
        if (is_word(word, words[i])) {
            *out = (enum ice_candidate_type)i;
            return true;
        }
    }
    return false;
}

// What follows "candidate:".
static struct bytes body(struct bytes line)
{
    if (bytes_starts(line, "a="))
        line = bytes_from(line, 2);
    return bytes_starts(line, "candidate:") ? bytes_from(line, 10) : (struct bytes){line.at, 0};
}

// "raddr A rport P" and extensions, in pairs. A related address that is a name stays none.
static bool related_parse(struct bytes rest, struct addr *out)
{
    while (rest.len > 0) {
        struct bytes name = field(&rest), value = field(&rest);
        uint64_t port;
        if (bytes_is(name, "raddr")) {
            struct ip ip;
            if (ip_parse(value, &ip))
                out->ip = ip;
        } else if (bytes_is(name, "rport")) {
            if (!bytes_parse_u64(value, 65535, &port))
                return false;
            out->port = (uint16_t)port;
        }
    }
    if (out->ip.family == IP_NONE)
        *out = (struct addr){0};
    return true;
}

bool sdp_candidate_parse(struct bytes line, struct ice_candidate *out, bool *usable)
{
    struct bytes rest = body(line);
    struct bytes foundation = field(&rest), component_text = field(&rest);
    struct bytes transport = field(&rest), priority_text = field(&rest);
    struct bytes address = field(&rest), port_text = field(&rest);
    struct bytes typ = field(&rest), type = field(&rest);
    uint64_t component, priority, port;
    *usable = false;
    // RFC 8839 5.1: foundation 1*32 ice-char, component 1 to 256, priority 1 to 2^31-1.
    if (foundation.len < 1 || foundation.len >= ICE_FOUNDATION_MAX || !is_ice_chars(foundation))
        return false;
    if (!bytes_parse_u64(component_text, COMPONENT_MAX, &component) || component == 0)
        return false;
    if (!bytes_parse_u64(priority_text, PRIORITY_MAX, &priority) || priority == 0)
        return false;
    if (transport.len == 0 || address.len == 0 || !bytes_parse_u64(port_text, 65535, &port))
        return false;
    if (!bytes_is(typ, "typ") || type.len == 0)
        return false;

    out->related = (struct addr){0};
    if (!related_parse(rest, &out->related))
        return false;
    out->addr = (struct addr){.port = (uint16_t)port};
    out->base = (struct addr){0};
    out->server = (struct addr){0};
    out->server_kind = ICE_NO_SERVER;
    out->priority = (uint32_t)priority;
    out->component = (uint16_t)component;
    bytes_copy_text(foundation, out->foundation, sizeof out->foundation);
    *usable = is_word(transport, "udp") && component == 1 && port > 0 &&
              type_parse(type, &out->type) && ip_parse(address, &out->addr.ip);
    return true;
}

struct bytes sdp_candidate_ufrag(struct bytes line)
{
    struct bytes rest = body(line);
    for (unsigned i = 0; i < 8; i++) // up to the type
        (void)field(&rest);
    while (rest.len > 0) {
        struct bytes name = field(&rest), value = field(&rest);
        if (bytes_is(name, "ufrag"))
            return value;
    }
    return rest;
}

void sdp_candidate_write(struct text *to, const struct ice_candidate *candidate)
{
    char ip[IP_TEXT_MAX];
    text_printf(to, "candidate:%s %u udp %u %s %u typ %s", candidate->foundation,
                candidate->component, candidate->priority, ip_print(&candidate->addr.ip, ip),
                candidate->addr.port, ice_candidate_type_name(candidate->type));
    if (candidate->type == ICE_HOST)
        return;
    // RFC 8839 5.1: MUST be there for the other types, and may hide the address.
    struct ip hidden = {.family = candidate->addr.ip.family};
    bool known = !addr_is_none(&candidate->related);
    text_printf(to, " raddr %s rport %u", ip_print(known ? &candidate->related.ip : &hidden, ip),
                candidate->related.port);
}
