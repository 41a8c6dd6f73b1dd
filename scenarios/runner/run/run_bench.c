// How fast whole runs are: one process, the same scenarios that a user would write. Rates are per
// second of CPU, so that other work on the machine does not show.
//
// Prints "name<TAB>value<TAB>unit" lines, all medians. What they are held against is in ci/bench.
#include "base/bench.h"
#include "scenarios/runner/run/run.h"
#include "stack/srtp/srtp.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORLDS 3 // of each size

static const char ice_only[] =
    "name: ICE-only connect, port-restricted on both sides\n"
    "network:\n"
    "  wan: {delay: 25ms}\n"
    "  lans:\n"
    "    home: {gateway: {nat: port-restricted}}\n"
    "    office: {gateway: {nat: port-restricted}}\n"
    "servers: {stun: {at: wan}}\n"
    "peers:\n"
    "  alice: {at: home, ice-servers: [stun]}\n"
    "  bob: {at: office, ice-servers: [stun]}\n"
    "session: {offerer: alice, ice-only: true}\n"
    "expect: [alice.ice.state == connected within 5s, bob.ice.state == connected within 5s]\n";

static const char data_channel[] =
    "name: data channel, port-restricted on both sides, one message each way\n"
    "network:\n"
    "  wan: {delay: 25ms}\n"
    "  lans:\n"
    "    home: {gateway: {nat: port-restricted}}\n"
    "    office: {gateway: {nat: port-restricted}}\n"
    "servers: {stun: {at: wan}}\n"
    "peers:\n"
    "  alice: {at: home, ice-servers: [stun]}\n"
    "  bob: {at: office, ice-servers: [stun]}\n"
    "session: {offerer: alice, data: [{label: chat}]}\n"
    "timeline:\n"
    "  - {at: 0s, send: {from: alice, channel: chat, messages: 1, size: 100}}\n"
    "  - {at: 0s, send: {from: bob, channel: chat, messages: 1, size: 100}}\n"
    "expect: [alice.chat.received == 1 within 5s, bob.chat.received == 1 within 5s]\n";

// Opus at 50 packets a second and video of 1.5 Mbit/s, both ways, 60 s of it.
static const char call[] =
    "name: a call, port-restricted on both sides\n"
    "limit: 60s\n"
    "network:\n"
    "  wan: {delay: 25ms}\n"
    "  lans:\n"
    "    home: {gateway: {nat: port-restricted}}\n"
    "    office: {gateway: {nat: port-restricted}}\n"
    "servers: {stun: {at: wan}}\n"
    "peers:\n"
    "  alice: {at: home, ice-servers: [stun]}\n"
    "  bob: {at: office, ice-servers: [stun]}\n"
    "session: {offerer: alice, audio: opus, video: VP8}\n"
    "expect: [bob.video.in.framesDecoded >= 1450, alice.video.in.framesDecoded >= 1450]\n";
#define CALL_SECONDS 60
#define IP_UDP_LEN 28

static void die(const char *text)
{
    fprintf(stderr, "run_bench: %s\n", text);
    exit(2);
}

static const struct scenario *load(struct scenario_set *set, const char *text)
{
    struct err err = {0};
    if (!scenario_load_text(set, "bench.yaml", bytes_text(text), &err))
        die(err.text);
    return set->scenarios[set->count - 1];
}

// One run, which must pass: a bench of failures would measure nothing.
static void run_once(const struct scenario *scenario, uint64_t seed, bool capture)
{
    struct run_options options = {.seed = seed, .capture = capture, .live_fd = -1};
    struct run *run = run_new(scenario, &options);
    struct result result;
    run_go(run);
    run_result(run, &result);
    if (result.verdict != VERDICT_PASSED)
        die(result.why);
    run_free(run);
}

struct rate {
    const struct scenario *scenario;
    unsigned runs;
    bool capture;
};

// Runs a second.
static double take_rate(void *user)
{
    const struct rate *rate = user;
    nanotime start = clock_cpu();
    for (unsigned i = 0; i < rate->runs; i++)
        run_once(rate->scenario, 1 + i, rate->capture);
    return rate->runs * 1e9 / (double)(clock_cpu() - start);
}

static void bench_rate(const char *name, const char *text, unsigned runs, bool capture)
{
    struct scenario_set set = {0};
    struct rate rate = {load(&set, text), runs, capture};
    printf("%s\t%.0f\truns/s\n", name, bench_median(take_rate, &rate));
    scenario_set_free(&set);
}

// What SRTP takes of a call: the same number of packets, protected and opened again, and nothing
// else. Printed beside the call, whose time this is a part of.
static double take_secure(void *user)
{
    enum { PACKETS = 20000, LEN = 1150 };
    const struct bytes *material = user;
    struct secure_config config = {.profile = SECURE_AEAD_AES_128_GCM, .material = *material};
    struct secure *in = secure_new(&config);
    config.client = true;
    struct secure *out = secure_new(&config);
    uint8_t packet[LEN + SECURE_OVERHEAD_MAX] = {0x80, 96};
    nanotime start = clock_cpu();
    for (unsigned i = 0; i < PACKETS; i++) {
        size_t len = LEN;
        put_u16(packet + 2, (uint16_t)i);
        if (secure_protect_rtp(out, packet, &len, sizeof packet) != SECURE_OK ||
            secure_open_rtp(in, packet, &len) != SECURE_OK)
            die("SRTP refuses a packet");
    }
    double ns = (double)(clock_cpu() - start) / PACKETS;
    secure_free(in);
    secure_free(out);
    return ns;
}

// The SRTP and SRTCP packets of a call, as one of the two peers sent and received them: each was
// protected once and opened once.
struct packets {
    struct text bytes; // of each: its length in two bytes, then itself
    unsigned count;
    struct bytes material;
};

static void packets_collect(struct packets *to, const struct run *run)
{
    const struct world *world = run_world(run);
    int capture = world_capture_find(world, "alice");
    if (capture < 0)
        die("the call has no capture");
    unsigned count = world_capture_count(world, (unsigned)capture);
    for (unsigned i = 1; i <= count; i++) {
        int first = world_capture_first(world, (unsigned)capture, i);
        if (first < 128 || first > 191)
            continue;
        struct bytes packet = world_capture_packet(world, (unsigned)capture, i).bytes;
        packet = bytes_from(packet, IP_UDP_LEN);
        uint8_t len[2];
        put_u16(len, (uint16_t)packet.len);
        text_add(&to->bytes, bytes_of(len, sizeof len));
        text_add(&to->bytes, packet);
        to->count++;
    }
}

// Milliseconds that the library takes for all of them, by the same calls. What is encrypted does
// not matter: it is what was encrypted already.
static double take_call_secure(void *user)
{
    const struct packets *packets = user;
    struct secure_config config = {.profile = SECURE_AEAD_AES_128_GCM,
                                   .material = packets->material};
    struct secure *in = secure_new(&config);
    config.client = true;
    struct secure *out = secure_new(&config);
    struct reader r = reader_of(text_bytes(&packets->bytes));
    uint8_t packet[2048];
    nanotime start = clock_cpu();
    for (unsigned i = 0; i < packets->count; i++) {
        struct bytes wire = read_bytes(&r, read_u16(&r));
        bool rtcp = wire.at[1] >= 192 && wire.at[1] <= 223;
        size_t len = wire.len - (rtcp ? SECURE_OVERHEAD_MAX : SECURE_OVERHEAD_MAX - 4);
        memcpy(packet, wire.at, len);
        bool good = rtcp ? secure_protect_rtcp(out, packet, &len, sizeof packet) == SECURE_OK &&
                               secure_open_rtcp(in, packet, &len) == SECURE_OK
                         : secure_protect_rtp(out, packet, &len, sizeof packet) == SECURE_OK &&
                               secure_open_rtp(in, packet, &len) == SECURE_OK;
        if (!good)
            die("SRTP refuses a packet of the call");
    }
    double ms = (double)(clock_cpu() - start) / 1e6;
    secure_free(in);
    secure_free(out);
    return ms;
}

static struct run *run_call(const struct scenario *scenario)
{
    struct run_options options = {.seed = 1, .capture = true, .live_fd = -1};
    struct run *run = run_new(scenario, &options);
    run_go(run);
    return run;
}

static double call_ms(struct rate *rate, const char *name)
{
    double runs = bench_median(take_rate, rate);
    printf("%s\t%.0f\ttimes real time\n", name, runs * CALL_SECONDS);
    return 1e3 / runs;
}

// A good part of a call is SRTP, which is the library's: what is ours is said beside it.
static void bench_call(void)
{
    static const uint8_t key[SECURE_MATERIAL_MAX] = {1, 2, 3};
    struct scenario_set set = {0};
    struct rate rate = {load(&set, call), 1, true};
    struct packets packets = {.material = bytes_of(key, sizeof key)};
    struct run *run = run_call(rate.scenario);
    packets_collect(&packets, run);
    run_free(run);

    double captured = call_ms(&rate, "call_60s_with_captures");
    rate.capture = false;
    double bare = call_ms(&rate, "call_60s");
    double library = bench_median(take_call_secure, &packets);
    printf("call_60s_packets\t%u\tpackets\n", packets.count);
    printf("call_60s_srtp_library\t%.1f\tms\n", library);
    printf("call_60s_ours_with_captures\t%.1f\tms\n", captured - library);
    printf("call_60s_ours\t%.1f\tms\n", bare - library);
    printf("srtp_protect_and_open_1150B\t%.0f\tns\n", bench_median(take_secure, &packets.material));
    text_free(&packets.bytes);
    scenario_set_free(&set);
}

static void many_pairs(struct text *to, unsigned pairs)
{
    text_put(to, "name: many peers in one world\nlimit: 20s\nnetwork:\n  wan: {delay: 25ms}\n"
                 "  lans:\n");
    for (unsigned i = 0; i < 2 * pairs; i++)
        text_printf(to, "    lan%u: {gateway: {nat: port-restricted}}\n", i);
    text_put(to, "servers: {stun: {at: wan}}\npeers:\n");
    for (unsigned i = 0; i < 2 * pairs; i++)
        text_printf(to, "  peer%u: {at: lan%u, ice-servers: [stun]}\n", i, i);
    text_put(to, "sessions:\n");
    for (unsigned i = 0; i < pairs; i++)
        text_printf(to, "  - {offerer: peer%u, answerer: peer%u, at: %ums, data: [{label: c}]}\n",
                    2 * i, 2 * i + 1, i);
    text_printf(to, "expect: [peers-connected == %u at 15s]\n", 2 * pairs);
}

static long resident_kib(void)
{
    long pages = 0, ignored;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &ignored, &pages) != 2)
        die("cannot read /proc/self/statm");
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

struct figures {
    double cpu_ms, memory_kib; // per peer
};

static struct figures measure_world(unsigned peers)
{
    struct text text = {0};
    struct scenario_set set = {0};
    struct run_options options = {.live_fd = -1};
    struct result result;
    many_pairs(&text, peers / 2);
    const struct scenario *scenario = load(&set, text.at);
    run_once(load(&set, data_channel), 1, false); // libraries warm
    malloc_trim(0); // else it would live on what runs before gave back
    long before = resident_kib();
    nanotime start = clock_cpu();
    struct run *run = run_new(scenario, &options);
    run_go(run);
    nanotime cpu = clock_cpu() - start;
    long after = resident_kib();
    run_result(run, &result);
    if (result.verdict != VERDICT_PASSED)
        die(result.why);
    run_free(run);
    scenario_set_free(&set);
    text_free(&text);
    return (struct figures){(double)cpu / 1e6 / peers, (double)(after - before) / peers};
}

// In a process of its own, so that memory is that of this world alone.
static struct figures measure_apart(unsigned peers)
{
    struct figures figures = {0};
    int ends[2], status;
    if (pipe(ends) != 0)
        die("cannot make a pipe");
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        die("cannot fork");
    if (child == 0) {
        figures = measure_world(peers);
        _exit(write(ends[1], &figures, sizeof figures) == (ssize_t)sizeof figures ? 0 : 1);
    }
    close(ends[1]);
    bool told = read(ends[0], &figures, sizeof figures) == (ssize_t)sizeof figures;
    close(ends[0]);
    if (waitpid(child, &status, 0) != child || status != 0 || !told)
        die("a world of many peers did not connect");
    return figures;
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, bench_compare);
    return values[count / 2];
}

static void bench_world(unsigned peers)
{
    double cpu[WORLDS], memory[WORLDS];
    for (unsigned i = 0; i < WORLDS; i++) {
        struct figures figures = measure_apart(peers);
        cpu[i] = figures.cpu_ms;
        memory[i] = figures.memory_kib;
    }
    printf("world_%u_peers_cpu_per_peer\t%.3f\tms\n", peers, median(cpu, WORLDS));
    // Two peers are fewer pages than the allocator takes at a time.
    if (peers >= 20)
        printf("world_%u_peers_memory_per_peer\t%.1f\tKiB\n", peers, median(memory, WORLDS));
}

// With the word `call` that scenario, for who wants to run it by other means.
int main(int argc, char **argv)
{
    static const unsigned worlds[] = {2, 20, 200, 1000, 2000};
    struct err err = {0};
    if (argc > 1 && strcmp(argv[1], "call") == 0) {
        fputs(call, stdout);
        return 0;
    }
    if (!run_library_init(&err))
        die(err.text);
    bench_rate("ice_only_connect", ice_only, 4000, false);
    bench_rate("data_channel_connect_with_capture", data_channel, 200, true);
    bench_call();
    for (size_t i = 0; i < sizeof worlds / sizeof worlds[0]; i++)
        bench_world(worlds[i]);
    run_library_fini();
    return 0;
}
