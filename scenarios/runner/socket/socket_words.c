#include "scenarios/runner/socket/socket_words.h"

#include <errno.h>
#include <sys/random.h>
#include <unistd.h>

bool socket_parse_user(const char *text, struct arena *arena, struct socket_user *out,
                       struct err *err)
{
    const char *colon = strchr(text, ':');
    if (!colon || colon == text || !colon[1]) // it may be a password: not repeated
        return err_set(err, "--user: expected NAME:PASSWORD");
    char *name = arena_text(arena, text);
    name[colon - text] = 0;
    *out = (struct socket_user){name, name + (colon - text) + 1};
    return true;
}

bool socket_parse_ports(const char *text, uint16_t *min, uint16_t *max, struct err *err)
{
    size_t len = strcspn(text, "-");
    uint64_t low, high;
    if (!bytes_parse_u64(bytes_of(text, len), UINT16_MAX, &low) ||
        !bytes_parse_u64(bytes_from(bytes_text(text), len + 1), UINT16_MAX, &high) || low == 0 ||
        high < low)
        return err_set(err, "--relay-ports: expected MIN-MAX, got '%.60s'", text);
    *min = (uint16_t)low;
    *max = (uint16_t)high;
    return true;
}

bool socket_parse_local(const char *option, const char *text, uint16_t port, struct addr *out,
                        struct err *err)
{
    struct addr addr = {.port = port};
    if (!addr_parse(bytes_text(text), &addr) && !ip_parse(bytes_text(text), &addr.ip))
        return err_set(err, "--%s: expected ADDRESS:PORT, got '%.60s'", option, text);
    if (ip_is_unspecified(&addr.ip))
        return err_set(err, "--%s: '%.60s' is every address of this machine: name one", option,
                       text);
    *out = addr;
    return true;
}

bool socket_rng(const char *seed, struct rng *out, struct err *err)
{
    uint64_t number;
    if (seed) {
        if (!bytes_parse_u64(bytes_text(seed), UINT64_MAX, &number))
            return err_set(err, "--seed: expected a whole number, got '%.60s'", seed);
        *out = rng_seed(number, "socket");
        return true;
    }
    ssize_t got = getrandom(out->s, sizeof out->s, 0); // tidy: the real world's randomness
    return got == (ssize_t)sizeof out->s ||
           err_set(err, "the system gives no random bytes: %s", strerror(errno));
}

const char *socket_print(struct bytes from, char *to)
{
    size_t len = from.len < SOCKET_TEXT_MAX - 1 ? from.len : SOCKET_TEXT_MAX - 1;
    for (size_t i = 0; i < len; i++)
        to[i] = (char)(from.at[i] >= ' ' && from.at[i] < 0x7f ? from.at[i] : '.');
    to[len] = 0;
    return to;
}
