#include "scenarios/runner/live/live_run.h"

#include "scenarios/runner/live/live_adapter.h"
#include "scenarios/runner/live/live_path.h"
#include "scenarios/runner/live/live_sandbox.h"
#include "scenarios/runner/live/live_stacks.h"
#include "scenarios/runner/run/metrics.h"
#include "scenarios/runner/run/watch.h"
#include "simnet/live.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_MAX 65536
#define STDERR_MAX ((size_t)256 * 1024) // of one program, into the trace
#define START_PATIENCE (20 * TIME_S)    // from the start of the programs to their first answer
#define SETTLE_PATIENCE (2 * TIME_S)
#define END_PATIENCE_MS 100 // from the end of its stdout to its own
#define COTURN_ARGS_MAX 40
#define DEVICE_MTU 1500
#define EXIT_NOT_INSTALLED 127 // of an adapter whose stack is missing

enum stream { STREAM_OUT, STREAM_ERR, STREAM_IN, STREAMS };

// A peer, or a server that is a program.
struct program {
    const char *name;
    struct live_host host;
    struct live_process process;
    struct run_peer *peer; // NULL: a server
    struct trace trace;    // of its stderr
    struct text line;
    size_t stderr_len;
    bool writing; // its stdin is waited for
    bool up;      // a server: it has said that it listens
    struct live_path path;
};

struct live_run {
    struct live_net *net;
    struct live_sandbox sandbox;
    struct program *programs; // the peers, then the servers
    unsigned count;
    bool stopped;
    enum verdict verdict; // VERDICT_PASSED: the run's own
    const char *why;
};

static bool give_up(struct run *run, enum verdict verdict, const char *why)
{
    struct live_run *live = run->live;
    if (!live->stopped) {
        live->verdict = verdict;
        live->why = why;
        trace(&run->trace, run_now(run), "live: %s", why);
    }
    live->stopped = true;
    return false;
}

// --------------------------------------------------------------------------------------- programs

static bool program_start(struct run *run, struct program *p, const char *const *argv,
                          const char *folder, const char *install)
{
    struct err err = {0};
    bool missing;
    struct live_command command = {argv, folder, p->host.namespace};
    if (!live_process_start(&p->process, &command, &missing, &err)) {
        if (!missing)
            return give_up(run, VERDICT_FAILED,
                           arena_printf(&run->arena, "%s: %s", p->name, err.text));
        return give_up(run, VERDICT_UNSUPPORTED,
                       arena_printf(&run->arena, "%s: %s is missing: install with %s", p->name,
                                    argv[0], install));
    }
    unsigned id = (unsigned)(p - run->live->programs) * STREAMS;
    return (live_net_watch(run->live->net, p->process.out, id + STREAM_OUT, true, false, &err) &&
            live_net_watch(run->live->net, p->process.err, id + STREAM_ERR, true, false, &err)) ||
           give_up(run, VERDICT_FAILED, arena_text(&run->arena, err.text));
}

// The folder of the scenario's file: what it names is found from there.
static const char *folder_of(struct run *run)
{
    const char *file = run->scenario->file, *slash = strrchr(file, '/');
    return slash ? arena_printf(&run->arena, "%.*s", (int)(slash - file) + 1, file) : NULL;
}

static bool peer_start(struct run *run, struct program *p)
{
    const struct scenario_peer *scenario = p->peer->scenario;
    const char *own[] = {run->options.real->program, "peer", NULL};
    bool adapter = scenario->kind == SCENARIO_ADAPTER;
    if (!program_start(run, p, adapter ? scenario->run : own, adapter ? folder_of(run) : NULL,
                       scenario->install ? scenario->install : "the package that has it"))
        return false;
    live_adapter_init(p->peer->peer, !adapter, scenario->media);
    return true;
}

static bool coturn_start(struct run *run, struct program *p, const struct scenario_server *s)
{
    struct arena *arena = &run->arena;
    char ip[IP_TEXT_MAX], other[IP_TEXT_MAX];
    const char *argv[COTURN_ARGS_MAX] = {
        "turnserver", "-n", "--listening-ip", ip_print(&s->addr.ip, ip), "--relay-ip", ip,
        "--listening-port", arena_printf(arena, "%u", s->addr.port),
        // RFC 5780: the second port
        "--alt-listening-port", arena_printf(arena, "%u", s->addr.port + 1u), "--min-port",
        arena_printf(arena, "%u", s->relay_port_min), "--max-port",
        arena_printf(arena, "%u", s->relay_port_max), "--realm", s->realm, "--user",
        arena_printf(arena, "%s:%s", s->user, s->password), "--lt-cred-mech", "--no-tls",
        "--no-dtls", "--no-cli", "--log-file", "stdout", "--simple-log", "--pidfile",
        LIVE_HOME "/turnserver.pid", "--userdb", LIVE_HOME "/turndb",
        arena_printf(arena, "--max-allocate-lifetime=%u", s->lifetime_max_s),
        arena_printf(arena, "--stale-nonce=%u", s->nonce_lifetime_s)};
    unsigned count = 0;
    while (argv[count])
        count++;
    if (!addr_is_none(&s->other)) {
        argv[count++] = "--listening-ip";
        argv[count++] = ip_print(&s->other.ip, other);
    }
    if (s->kind == PEER_STUN)
        argv[count++] = "--stun-only";
    return program_start(run, p, argv, NULL, "apt-get install coturn");
}

// A line of stderr, or of a server's log.
static void log_line(struct run *run, struct program *p, const char *line, size_t len)
{
    p->stderr_len += len;
    if (p->stderr_len < STDERR_MAX)
        trace(&p->trace, run_now(run), "%.*s", (int)len, line);
    if (!p->peer && strstr(line, "SQLite DB connection success"))
        p->up = true;
}

static void log_bytes(struct run *run, struct program *p, struct bytes bytes)
{
    text_add(&p->line, bytes);
    size_t done = 0;
    const char *end;
    while (p->line.len > done &&
           (end = memchr(p->line.at + done, '\n', p->line.len - done)) != NULL) {
        size_t len = (size_t)(end - p->line.at) - done;
        p->line.at[done + len] = 0;
        log_line(run, p, p->line.at + done, len);
        done += len + 1;
    }
    if (p->line.len - done > READ_MAX)
        done = p->line.len; // no log has such lines
    p->line.len -= done;
    memmove(p->line.at, p->line.at + done, p->line.len + 1);
}

static void read_err(struct run *run, struct program *p)
{
    uint8_t room[READ_MAX];
    ssize_t got = read(p->process.err, room, sizeof room);
    if (got > 0)
        log_bytes(run, p, bytes_of(room, (size_t)got));
    else if (got == 0)
        live_net_unwatch(run->live->net, p->process.err);
}

static const char *ending(struct run *run, int status)
{
    if (WIFSIGNALED(status))
        return arena_printf(&run->arena, "signal %d ended it", WTERMSIG(status));
    return arena_printf(&run->arena, "it ended with code %d", WEXITSTATUS(status));
}

static void program_gone(struct run *run, struct program *p)
{
    read_err(run, p); // its last words
    live_net_unwatch(run->live->net, p->process.out);
    live_net_unwatch(run->live->net, p->process.err);
    if (p->writing)
        live_net_unwatch(run->live->net, p->process.in);
    p->writing = false;
    bool closed = !live_process_is_over(&p->process, END_PATIENCE_MS);
    int status = live_process_end(&p->process);
    const char *how = closed ? "it closed its stdout" : ending(run, status);
    bool missing = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NOT_INSTALLED;
    if (p->peer && !live_adapter_closing(p->peer->peer))
        live_adapter_fail(p->peer->peer, run_now(run), missing, "%s before the run was over", how);
    if (!p->peer)
        give_up(run, VERDICT_FAILED,
                arena_printf(&run->arena, "%s: its program is gone: %s", p->name, how));
}

static void read_out(struct run *run, struct program *p)
{
    uint8_t room[READ_MAX];
    ssize_t got = read(p->process.out, room, sizeof room);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        program_gone(run, p);
    else if (p->peer)
        live_adapter_feed(p->peer->peer, live_net_now(run->live->net), bytes_of(room, (size_t)got));
    else
        log_bytes(run, p, bytes_of(room, (size_t)got));
}

static void write_in(struct run *run, struct program *p)
{
    struct text *text = live_adapter_outgoing(p->peer->peer);
    struct err err = {0};
    if (p->process.in < 0)
        text_clear(text);
    ssize_t put = text->len ? write(p->process.in, text->at, text->len) : 0;
    if (put > 0) {
        text->len -= (size_t)put;
        memmove(text->at, text->at + put, text->len);
    }
    // A pipe without reader is told by the end of stdout.
    bool more = text->len > 0 && (put >= 0 || errno == EAGAIN);
    unsigned id = (unsigned)(p - run->live->programs) * STREAMS + STREAM_IN;
    if (more && !p->writing)
        live_net_watch(run->live->net, p->process.in, id, false, true, &err);
    else if (!more && p->writing)
        live_net_unwatch(run->live->net, p->process.in);
    p->writing = more;
}

static void on_fd(struct run *run, unsigned id)
{
    struct program *p = &run->live->programs[id / STREAMS];
    if (p->process.pid <= 0)
        return;
    switch ((enum stream)(id % STREAMS)) {
    case STREAM_OUT:
        read_out(run, p);
        break;
    case STREAM_ERR:
        read_err(run, p);
        return;
    case STREAM_IN:
    case STREAMS:
        break;
    }
    if (p->peer)
        world_wake_at(run->world, peer_waker(p->peer->index), run_now(run));
}

// -------------------------------------------------------------------------------------- life of a
// run

// Every program's host has one interface, and one address or, for RFC 5780, two.
static bool host_open(struct run *run, struct program *p, struct host *host)
{
    struct ip ips[2];
    struct err err = {0};
    unsigned count = host_addresses(host, ips, 2);
    if (p->peer && count > 1)
        return give_up(
            run, VERDICT_UNSUPPORTED,
            arena_printf(&run->arena,
                         "%s: a live host has one interface, and this peer is at several places",
                         p->name));
    const struct link_config *link = link_config(host_link(host, 0, true));
    uint32_t mtu = link->mtu && link->mtu < DEVICE_MTU ? link->mtu : DEVICE_MTU;
    return (live_host_open(&p->host, ips, count, mtu, &err) &&
            live_net_add(run->live->net, host, p->host.tun, &err)) ||
           give_up(run, VERDICT_FAILED, arena_text(&run->arena, err.text));
}

static bool program_open(struct run *run, struct program *p, unsigned index)
{
    const struct scenario *scenario = run->scenario;
    if (index < scenario->peers_count) {
        p->peer = &run->peers[index];
        p->name = p->peer->scenario->name;
    } else {
        p->name = scenario->servers[index - scenario->peers_count].name;
    }
    p->trace = trace_of(run->trace.log, arena_printf(&run->arena, "%.32s.stderr", p->name));
    if (p->peer)
        return host_open(run, p, p->peer->host);
    const struct scenario_server *server = &scenario->servers[index - scenario->peers_count];
    struct err err = {0};
    if (!server->coturn)
        return true;
    if (!host_open(run, p, run->servers[index - scenario->peers_count].host))
        return false;
    // It may relay from itself to itself.
    if (!live_host_loopback(&p->host, &err))
        return give_up(run, VERDICT_FAILED, arena_text(&run->arena, err.text));
    return coturn_start(run, p, server);
}

static bool program_ready(const struct program *p)
{
    if (p->peer)
        return live_adapter_ready(p->peer->peer);
    return p->process.pid == 0 || p->up;
}

// What an adapter did wrong is the verdict of the run.
static bool check_peers(struct run *run)
{
    bool unsupported;
    for (unsigned i = 0; i < run->scenario->peers_count; i++) {
        struct run_peer *peer = &run->peers[i];
        struct ip as;
        char ip[IP_TEXT_MAX];
        if (host_has_posed(peer->host, &as))
            live_adapter_fail(peer->peer, run_now(run), false,
                              "it sends packets from %s, which is not its address",
                              ip_print(&as, ip));
        const char *failure = live_adapter_failure(peer->peer, &unsupported);
        if (!failure)
            continue;
        const char *why = arena_printf(&run->arena, "%s: %s", peer->scenario->name, failure);
        return give_up(run, unsupported ? VERDICT_UNSUPPORTED : VERDICT_FAILED, why);
    }
    return !run->live->stopped;
}

static void flush_all(struct run *run)
{
    for (unsigned i = 0; i < run->scenario->peers_count; i++)
        write_in(run, &run->live->programs[i]);
}

// Until all programs have answered. Their time has not begun.
static bool wait_ready(struct run *run)
{
    struct live_run *live = run->live;
    nanotime until = time_add(live_net_now(live->net), START_PATIENCE);
    for (unsigned i = 0; i < live->count;) {
        struct live_event event = {0};
        flush_all(run);
        if (!check_peers(run))
            return false;
        if (program_ready(&live->programs[i])) {
            i++;
            continue;
        }
        enum live_event_kind kind = live_net_next(live->net, until, &event);
        if (kind == LIVE_FD)
            on_fd(run, event.id);
        else if (kind == LIVE_ERROR)
            return give_up(run, VERDICT_FAILED, arena_text(&run->arena, event.err.text));
        else if (kind == LIVE_END)
            return give_up(run, VERDICT_FAILED,
                           arena_printf(&run->arena, "%s: it never started: no answer in 20 s",
                                        live->programs[i].name));
    }
    return true;
}

bool live_run_open(struct run *run)
{
    const struct scenario *scenario = run->scenario;
    struct live_run *live = arena_alloc(&run->arena, sizeof *live);
    struct err err = {0};
    run->live = live;
    live->count = scenario->peers_count + scenario->servers_count;
    live->programs = arena_alloc(&run->arena, sizeof *live->programs * (live->count + 1));
    for (unsigned i = 0; i < live->count; i++) {
        live->programs[i].process = (struct live_process){.in = -1, .out = -1, .err = -1};
        live->programs[i].host = (struct live_host){-1, -1};
        if (i < scenario->peers_count)
            live->programs[i].path = live_path_of(run, &run->peers[i]);
    }
    signal(SIGPIPE, SIG_IGN); // a program that is gone is noticed by its stdout
    live->sandbox = (struct live_sandbox){.alive = -1, .home = -1};
    live->net = live_net_new(run->world, &err);
    if (!live->net || !live_sandbox_open(&live->sandbox, &err))
        return give_up(run, VERDICT_FAILED, arena_text(&run->arena, err.text));
    for (unsigned i = 0; i < live->count; i++) {
        if (!program_open(run, &live->programs[i], i))
            return false;
    }
    for (unsigned i = 0; i < scenario->peers_count; i++) {
        if (!peer_start(run, &live->programs[i]))
            return false;
    }
    if (!wait_ready(run))
        return false;
    live_net_start(live->net);
    for (unsigned i = 0; i < scenario->peers_count; i++) {
        live_adapter_start(run->peers[i].peer, live_net_epoch(live->net));
        world_wake_at(run->world, peer_waker(i), 0);
    }
    return true;
}

static void check_patience(struct run *run)
{
    for (unsigned i = 0; i < run->scenario->peers_count; i++) {
        void *peer = run->peers[i].peer;
        nanotime since;
        if (live_adapter_unanswered(peer, &since) == 0 || live_adapter_closing(peer) ||
            live_net_now(run->live->net) < time_add(since, LIVE_PATIENCE))
            continue;
        live_adapter_fail(peer, run_now(run), false, "it hangs: no answer to `stats` in 10 s");
    }
}

static bool next(struct run *run, nanotime until, struct world_event *event)
{
    struct live_event got = {0};
    for (;;) {
        flush_all(run);
        check_patience(run);
        if (!check_peers(run))
            return false;
        switch (live_net_next(run->live->net, until, &got)) {
        case LIVE_WORLD:
            *event = got.world;
            return true;
        case LIVE_FD:
            on_fd(run, got.id);
            break;
        case LIVE_END:
            return false;
        case LIVE_ERROR:
            return give_up(run, VERDICT_FAILED, arena_text(&run->arena, got.err.text));
        }
    }
}

bool live_run_next(struct run *run, struct world_event *event)
{
    nanotime limit = time_add(run->scenario->limit, run->options.real->slack);
    return !run->live->stopped && next(run, limit, event);
}

static bool all_answered(const struct run *run)
{
    nanotime since;
    for (unsigned i = 0; i < run->scenario->peers_count; i++) {
        const void *peer = run->peers[i].peer;
        if (!live_adapter_closing(peer) && live_adapter_unanswered(peer, &since) > 0)
            return false;
    }
    return true;
}

void live_run_settle(struct run *run)
{
    struct world_event event;
    if (run->live->stopped)
        return;
    nanotime now = live_net_now(run->live->net);
    for (unsigned i = 0; i < run->scenario->peers_count; i++) {
        if (!live_adapter_closing(run->peers[i].peer))
            live_adapter_ask(run->peers[i].peer, now);
    }
    while (!all_answered(run) && next(run, time_add(now, SETTLE_PATIENCE), &event))
        run_dispatch(run, &event);
}

void live_run_restart_server(struct run *run, unsigned server)
{
    struct program *p = &run->live->programs[run->scenario->peers_count + server];
    live_net_unwatch(run->live->net, p->process.out);
    live_net_unwatch(run->live->net, p->process.err);
    live_process_end(&p->process);
    coturn_start(run, p, &run->scenario->servers[server]);
}

void live_run_close(struct run *run)
{
    struct live_run *live = run->live;
    live_net_free(live->net);
    // Ours first: the namespace ends when its last process has been waited for.
    for (unsigned i = 0; i < live->count; i++)
        live_process_end(&live->programs[i].process);
    live_sandbox_close(&live->sandbox); // ends also what they have started
    for (unsigned i = 0; i < live->count; i++) {
        live_host_close(&live->programs[i].host);
        text_free(&live->programs[i].line);
    }
}

// -------------------------------------------------------------------------------------------
// asking

const char *live_run_path(struct run *run, struct run_peer *peer)
{
    return live_path_look(run, &run->live->programs[peer->index].path);
}

bool live_run_is_detailed(const struct run *run, const struct run_peer *peer)
{
    (void)run;
    return live_adapter_is_detailed(peer->peer);
}

bool live_run_tells(const struct run *run, const struct metric_ref *ref)
{
    bool of_peer = ref->entity == OF_PEER || ref->entity == OF_PAIR || ref->entity == OF_TRACK ||
                   ref->entity == OF_TRANSPORT;
    const void *peer = of_peer ? run->peers[ref->index].peer : NULL;
    switch (ref->entity) {
    case OF_PEER:
        return live_adapter_tells(peer, metric_name(ref));
    case OF_TRACK:
        return live_adapter_tells_track(peer, ref->track, ref->member);
    case OF_TRANSPORT:
        return live_adapter_tells_transport(peer, ref->member);
    case OF_PAIR:
        return live_adapter_is_detailed(peer);
    case OF_DECODED: // its frames are here
    case OF_CHANNEL:
    case OF_SERVER:
    case OF_LAN:
    case OF_RUN:
        break;
    }
    return true;
}

static void add_metric(struct arena *arena, struct result_metric *to, const char *name,
                       nanotime value)
{
    char text[TIME_TEXT_MAX];
    *to = (struct result_metric){name, arena_text(arena, time_print(value, text)), false};
}

// What reached a peer by each way: three metrics.
static unsigned add_path(struct run *run, unsigned peer, struct arena *arena,
                         struct result_metric *to)
{
    struct program *p = &run->live->programs[peer];
    const char *name = run->scenario->peers[peer].name;
    (void)live_path_look(run, &p->path);
    const struct {
        const char *name;
        uint64_t bytes;
    } ways[] = {{"direct", p->path.direct},
                {"relayed", p->path.relayed},
                {"relayed-tcp", p->path.relayed_tcp}};
    for (unsigned i = 0; i < 3; i++)
        to[i] = (struct result_metric){
            arena_printf(arena, "live.%s.%s-bytes", name, ways[i].name),
            arena_printf(arena, "%llu", (unsigned long long)ways[i].bytes), true};
    return 3;
}

// One that says that it cannot restart ICE may have been told to by the other side.
static void forgive_restart(struct run *run, struct arena *arena, struct result *out)
{
    bool restart = false;
    for (unsigned i = 0; i < run->scenario->actions_count; i++)
        restart |= run->scenario->actions[i].kind == ACTION_RESTART_ICE;
    for (unsigned i = 0; i < run->scenario->peers_count && restart; i++) {
        if (out->verdict != VERDICT_FAILED || !live_adapter_cannot_restart(run->peers[i].peer))
            continue;
        out->verdict = VERDICT_UNSUPPORTED;
        out->why =
            arena_printf(arena, "%s: its stack cannot restart ICE, nor follow when it is asked to",
                         run->scenario->peers[i].name);
    }
}

// What others are known not to do is told, but is no failure of this run.
static void forgive(struct run *run, struct arena *arena, struct result *out)
{
    if (out->verdict != VERDICT_FAILED)
        return;
    const struct scenario_limit *known = live_stacks_known(run->scenario, out, run_log(run));
    if (!known)
        return;
    out->verdict = VERDICT_UNSUPPORTED;
    out->why = arena_printf(arena, "known: %s", known->why);
}

// What cannot be judged, since a peer does not tell it, is no failure of that peer.
static void forgive_untold(struct run *run, struct arena *arena, struct result *out)
{
    const struct clause *first = NULL;
    if (out->verdict != VERDICT_FAILED || run->broken != INVARIANT_NONE)
        return;
    for (unsigned i = 0; i < run->watches_count; i++) {
        const struct watch *watch = &run->watches[i];
        if (watch->state == WATCH_BROKEN && !watch->untold)
            return;
        if (watch->state == WATCH_BROKEN && !first)
            first = watch->clause;
    }
    if (!first)
        return;
    out->verdict = VERDICT_UNSUPPORTED;
    out->why = arena_printf(arena, "%s does not tell %s",
                            run->scenario->peers[first->ref.index].name, metric_name(&first->ref));
}

void live_run_result(struct run *run, struct arena *arena, struct result *out)
{
    struct live_run *live = run->live;
    struct live_lateness late = {0};
    if (live->net)
        late = live_net_lateness(live->net);
    unsigned peers = run->scenario->peers_count;
    struct result_metric *metrics =
        arena_alloc(arena, sizeof *metrics * (out->metrics_count + 4 + 3 * peers));
    memcpy(metrics, out->metrics, sizeof *metrics * out->metrics_count);
    metrics[out->metrics_count++] = (struct result_metric){
        "live.packets", arena_printf(arena, "%llu", (unsigned long long)late.packets), true};
    add_metric(arena, &metrics[out->metrics_count++], "live.lateness-p50", late.p50);
    add_metric(arena, &metrics[out->metrics_count++], "live.lateness-p99", late.p99);
    add_metric(arena, &metrics[out->metrics_count++], "live.lateness-max", late.max);
    for (unsigned i = 0; i < peers && live->net; i++)
        out->metrics_count += add_path(run, i, arena, metrics + out->metrics_count);
    out->metrics = metrics;
    if (live->stopped) {
        out->verdict = live->verdict;
        out->why = live->why;
        out->expectations_count = 0; // nobody was there to meet them
        out->cause = (struct result_cause){.at = TIME_NEVER};
    } else if (late.p99 > run->options.real->allowance) {
        char p99[TIME_TEXT_MAX], allowed[TIME_TEXT_MAX];
        out->verdict = VERDICT_TIMING_INVALID;
        out->why = arena_printf(arena,
                                "one packet in a hundred was forwarded %s late or later, more than "
                                "the %s allowed: this machine was too busy to tell",
                                time_print(late.p99, p99),
                                time_print(run->options.real->allowance, allowed));
        out->cause = (struct result_cause){.at = TIME_NEVER};
    }
    forgive_untold(run, arena, out);
    forgive_restart(run, arena, out);
    forgive(run, arena, out);
}
