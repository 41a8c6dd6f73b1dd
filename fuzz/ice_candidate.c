// Any text as a candidate line. What is read of it is what its words say, one after another; one
// that can be used is written, read and the same.
#include "fuzz/fuzz.h"
#include "stack/sdp/sdp.h"

#include <strings.h>

// The words of RFC 8839 5.1, and what becomes of the extensions behind them.
enum { FOUNDATION, COMPONENT, TRANSPORT, PRIORITY, ADDRESS, PORT, TYP, TYPE, WORDS };
struct line {
    struct bytes words[WORDS];
    struct bytes ufrag;
    struct addr related;
    bool bad_port; // a related one
};

static struct bytes cut(struct bytes *rest)
{
    size_t len = 0;
    while (len < rest->len && rest->at[len] != ' ')
        len++;
    struct bytes word = bytes_of(rest->at, len);
    *rest = bytes_from(*rest, len + (len < rest->len));
    return word;
}

static bool is_number(struct bytes word, uint64_t least, uint64_t most, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < word.len; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            return false;
        *out = *out * 10 + word.at[i] - '0';
        if (*out > most)
            return false;
    }
    return word.len > 0 && *out >= least;
}

static bool is_caseless(struct bytes word, const char *text)
{
    return word.len == strlen(text) && strncasecmp((const char *)word.at, text, word.len) == 0;
}

static struct line line_of(struct bytes rest)
{
    struct line line = {0};
    bool has_ufrag = false;
    uint64_t port = 0;
    if (bytes_starts(rest, "a="))
        rest = bytes_from(rest, 2);
    rest = bytes_starts(rest, "candidate:") ? bytes_from(rest, 10) : bytes_of(rest.at, 0);
    for (unsigned i = 0; i < WORDS; i++)
        line.words[i] = cut(&rest);
    while (rest.len > 0) {
        struct bytes name = cut(&rest), value = cut(&rest);
        struct ip ip;
        if (bytes_is(name, "raddr") && ip_parse(value, &ip))
            line.related.ip = ip;
        if (bytes_is(name, "rport")) {
            line.bad_port |= !is_number(value, 0, 65535, &port);
            line.related.port = (uint16_t)port;
        }
        if (bytes_is(name, "ufrag") && !has_ufrag) {
            line.ufrag = value;
            has_ufrag = true;
        }
    }
    if (line.related.ip.family == IP_NONE)
        line.related = (struct addr){0};
    return line;
}

static bool is_foundation(struct bytes word)
{
    bool good = word.len >= 1 && word.len < ICE_FOUNDATION_MAX;
    for (size_t i = 0; good && i < word.len; i++) // and what old browsers had in it
        good = word.at[i] != 0 && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                         "0123456789+/-=#_",
                                         word.at[i]);
    return good;
}

static void check_words(struct bytes text, bool parsed, bool usable, const struct ice_candidate *c)
{
    static const char *const types[] = {"host", "srflx", "prflx", "relay"};
    struct line line = line_of(text);
    const struct bytes *w = line.words;
    uint64_t component, priority, port;
    struct addr addr = {0};
    bool numbers = is_number(w[COMPONENT], 1, 256, &component);
    numbers &= is_number(w[PRIORITY], 1, INT32_MAX, &priority);
    numbers &= is_number(w[PORT], 0, 65535, &port);
    assert(bytes_equal(sdp_candidate_ufrag(text), line.ufrag));
    assert(parsed ==
           (is_foundation(w[FOUNDATION]) && numbers && w[TRANSPORT].len > 0 && w[ADDRESS].len > 0 &&
            bytes_is(w[TYP], "typ") && w[TYPE].len > 0 && !line.bad_port));
    if (!parsed)
        return;
    unsigned type = 0;
    while (type < 4 && !is_caseless(w[TYPE], types[type]))
        type++;
    bool known = ip_parse(w[ADDRESS], &addr.ip);
    addr.port = (uint16_t)port;
    assert(usable ==
           (is_caseless(w[TRANSPORT], "udp") && component == 1 && port > 0 && type < 4 && known));
    assert(bytes_is(w[FOUNDATION], c->foundation) && addr_equal(&c->related, &line.related));
    assert(c->component == component && c->priority == priority);
    assert(!usable || ((unsigned)c->type == type && addr_equal(&c->addr, &addr)));
}

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
    bool parsed = sdp_candidate_parse(line, &first, &usable);
    assert(parsed || !usable);
    check_words(line, parsed, usable, &first);
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
