// Any text as an expectation of a scenario that has one of everything: it is taken, or one line
// says what is wrong, with the place in the file. More blanks change nothing; one word more is one
// too many. After a line break it is a description, and what stands before a pattern for its lines:
// a model finds the same ones.
#include "fuzz/fuzz.h"
#include "scenarios/runner/load/expect_priv.h"

#include <ctype.h>

// libFuzzer: -max_len=300

#define TEXT_MAX 700

static const char file[] =
    "name: all\n"
    "network: {lans: {home: {}, office: {gateway: {nat: symmetric}}}}\n"
    "servers: {stun: {at: wan}, turn: {at: wan}}\n"
    "peers: {alice: {at: home, ice-servers: [stun, turn]}, bob: {at: office, ice-servers: "
    "[stun]}}\n"
    "session: {offerer: alice, media: [{label: audio, audio: opus}, {label: video, video: VP8}], "
    "data: [{label: chat}, {label: bulk, ordered: false}], clear-capture: true}\n"
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

// Is the line what the pattern says, '*' being any text? Every way at once.
static bool is_like(struct bytes line, struct bytes pattern)
{
    static bool may[TEXT_MAX + 1]; // the pattern so far and so many bytes of the line
    memset(may, 0, line.len + 1);
    may[0] = true;
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.at[i] == '*') {
            for (size_t k = 0; k < line.len; k++)
                may[k + 1] |= may[k];
            continue;
        }
        for (size_t k = line.len; k > 0; k--)
            may[k] = may[k - 1] && line.at[k - 1] == pattern.at[i];
        may[0] = false;
    }
    return may[line.len];
}

static void check_lines(struct bytes pattern, struct bytes description)
{
    char text[TEXT_MAX];
    uint64_t all = 0;
    struct bytes left = description;
    memcpy(text, pattern.at, pattern.len);
    text[pattern.len] = 0;
    for (unsigned number = 1; left.len > 0; number++) {
        const uint8_t *end = memchr(left.at, '\n', left.len);
        struct bytes line = {left.at, end ? (size_t)(end - left.at) : left.len};
        left = bytes_from(left, line.len + (end != NULL));
        if (line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        bool wanted = is_like(line, pattern);
        assert(expect_lines(description, text, number) == wanted);
        all += wanted;
    }
    assert(expect_lines(description, text, 0) == all);
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
    const uint8_t *split = memchr(data, '\n', size);
    if (split) {
        size_t len = (size_t)(split - data);
        check_lines(bytes_of(data, len), bytes_from(bytes_of(data, size), len + 1));
        return 0;
    }
    memcpy(text, data, size);
    text[size] = 0;
    bool taken = parse(set.scenarios[0], text, &err);
    snprintf(wide, sizeof wide, "%s zzz", text);
    assert(!taken || !parse(set.scenarios[0], wide, &wide_err));

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
