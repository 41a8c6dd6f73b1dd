// Any network: the bytes write a scenario of two peers behind NATs, firewalls and carriers, with
// servers or without, and it is run. The oracle, which knows the RFCs and not the simulator, must
// agree with what happened, and no invariant may break.
#include "fuzz/fuzz.h"
#include "scenarios/runner/run/run.h"

// libFuzzer: -max_len=64

#define MEMORY_MAX (64u << 20)

static const char *const dependences[] = {"endpoint-independent", "address-dependent",
                                          "address-and-port-dependent"};

// Pools are paired: where an address is drawn for each mapping, chance decides who gets through.
static void put_nat(struct text *to, struct reader *r)
{
    static const char *const ports[] = {"preserve", "sequential", "random"};
    static const char *const hairpins[] = {"off", "external", "internal"};
    unsigned which = read_u8(r);
    text_printf(to, "{mapping: %s, filtering: %s", dependences[which % 3],
                dependences[which / 3 % 3]);
    unsigned more = read_u8(r);
    text_printf(to, ", ports: %s, hairpin: %s", ports[more % 3], hairpins[more / 3 % 3]);
    if (which & 64)
        text_put(to, ", port-parity: false");
    text_put(to, "}");
}

static void put_firewall(struct text *to, struct reader *r)
{
    unsigned which = read_u8(r) % 16;
    if (which == 1)
        text_put(to, ", firewall: home");
    else if (which == 2)
        text_put(to, ", firewall: udp-blocked");
    else if (which == 3)
        text_put(to, ", firewall: corporate");
}

// LANs: home, office, and maybe a carrier or two that they are behind.
static void put_network(struct text *to, struct reader *r, unsigned shape)
{
    static const char *const names[] = {"home", "office"};
    text_printf(to, "network:\n  wan: {delay: %ums}\n  lans:\n", 5 + read_u8(r) % 40u);
    unsigned carriers = shape % 4 == 3 ? 2 : shape % 4 == 2 ? 1 : 0;
    for (unsigned i = 0; i < carriers; i++) {
        text_printf(to, "    cgn%u:\n      gateway: {nat: ", i);
        put_nat(to, r);
        text_put(to, "}\n");
    }
    for (unsigned i = 0; i < 2; i++) {
        unsigned kind = read_u8(r);
        text_printf(to, "    %s:\n", names[i]);
        if (carriers > 0 && kind & 1)
            text_printf(to, "      behind: cgn%u\n", i % carriers);
        else if (kind & 2 && kind < 240)
            text_printf(to, "      external: [198.18.%u.1, 198.18.%u.2]\n", 7 + i, 7 + i);
        text_put(to, "      gateway: {nat: ");
        if (kind >= 240)
            text_put(to, "none");
        else
            put_nat(to, r);
        put_firewall(to, r);
        text_put(to, "}\n");
    }
}

static void put_peers(struct text *to, struct reader *r)
{
    static const char *const servers[] = {"[]", "[stun]", "[stun, turn]", "[turn]"};
    static const char *const places[2][8] = {
        {"home", "home", "home", "home", "home", "home", "wan", "office"},
        {"office", "office", "office", "office", "office", "home", "wan", "office"}};
    text_put(to, "servers: {stun: {at: wan}, turn: {at: wan}}\npeers:\n");
    for (unsigned i = 0; i < 2; i++) {
        unsigned which = read_u8(r);
        text_printf(to, "  %s: {at: %s, ice-servers: %s", i ? "bob" : "alice", places[i][which % 8],
                    servers[which / 8 % 4]);
        if (which >= 240)
            text_put(to, ", relay-only: true");
        text_put(to, "}\n");
    }
}

static void put_scenario(struct text *to, struct reader *r)
{
    unsigned shape = read_u8(r);
    text_printf(to, "name: any\nseed: %u\nlimit: 150s\n", 1 + read_u8(r));
    put_network(to, r, shape);
    put_peers(to, r);
    // Trickled, a relay that comes late is paired with what checks have shown by then, and time
    // decides what there is to find: the oracle has none.
    text_printf(to, "session: {offerer: %s, ice-only: true, trickle: false}\n",
                shape & 16 ? "bob" : "alice");
    text_put(to, "expect:\n  - as computed within 140s\n");
}

static void check_passed(struct run *run, const char *file)
{
    struct result result;
    run_result(run, &result);
    if (result.verdict == VERDICT_PASSED)
        return;
    fprintf(stderr, "%s%s: %s\n", file, verdict_name(result.verdict), result.why);
    for (unsigned i = 0; i < result.expectations_count; i++)
        fprintf(stderr, "%s: %s\n", result.expectations[i].text, result.expectations[i].actual);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {0};
    if (fuzz_once()) {
        bool ready = run_library_init(&err);
        assert(ready);
    }
    size_t before = fuzz_memory();
    struct reader r = reader_of(bytes_of(data, size));
    struct text text = {0};
    put_scenario(&text, &r);
    struct scenario_set set = {0};
    bool loaded = scenario_load_text(&set, "any.yaml", text_bytes(&text), &err);
    if (!loaded)
        fprintf(stderr, "%s%s\n", text.at, err.text);
    assert(loaded && set.count == 1);
    const struct run_options options = {.live_fd = -1};
    struct run *run = run_new(set.scenarios[0], &options);
    run_go(run);
    fuzz_memory_check(before, MEMORY_MAX);
    check_passed(run, text.at);
    run_free(run);
    scenario_set_free(&set);
    text_free(&text);
    return 0;
}
