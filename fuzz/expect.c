// Any text as an expectation of a scenario that has one of everything: it is taken, or one line
// says what is wrong, with the place in the file. More blanks change nothing.
#include "fuzz/fuzz.h"
#include "scenarios/runner/load/expect.h"

#include <ctype.h>

// libFuzzer: -max_len=300

#define TEXT_MAX 700

static const char file[] =
    "name: all\n"
    "network: {lans: {home: {}, office: {gateway: {nat: symmetric}}}}\n"
    "servers: {stun: {at: wan}, turn: {at: wan}}\n"
    "peers: {alice: {at: home, ice-servers: [stun, turn]}, bob: {at: office, ice-servers: "
    "[stun]}}\n"
    "session: {offerer: alice, data: [{label: chat}, {label: bulk, ordered: false}]}\n"
    "timeline: [{at: 1s, send: {from: alice, channel: chat, messages: 3}}]\n";

static bool parse(const struct scenario *scenario, const char *text, struct err *err)
{
    struct arena arena = {0};
    const struct scenario_expect source = {text, {"f.yaml", 7, 3}};
    *err = (struct err){0};
    const struct expect *expect = expect_parse(&arena, scenario, &source, err);
    assert((expect != NULL) == !err_is_set(err));
    if (!expect)
        assert(strncmp(err->text, "f.yaml:7:", 9) == 0 && strlen(err->text) > 12);
    arena_free(&arena);
    return expect != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct scenario_set set;
    struct err err = {0}, wide_err;
    if (fuzz_once()) {
        bool loaded = scenario_load_text(&set, "f.yaml", bytes_text(file), &err);
        assert(loaded && set.count == 1);
    }
    char text[TEXT_MAX], wide[2 * TEXT_MAX];
    if (size >= sizeof text || memchr(data, 0, size)) // the YAML loader lets no zero byte through
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    bool taken = parse(set.scenarios[0], text, &err);

    size_t len = 0;
    bool quoted = memchr(data, '"', size) || memchr(data, '\'', size);
    for (size_t i = 0; i < size && !quoted; i++) {
        wide[len++] = text[i];
        if (text[i] == ' ')
            wide[len++] = ' ';
    }
    wide[len] = 0;
    if (!quoted && size > 0 && text[0] != ' ') {
        bool taken_wide = parse(set.scenarios[0], wide, &wide_err);
        assert(taken_wide == taken);
    }
    return 0;
}
