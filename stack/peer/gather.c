#include "stack/peer/gather.h"

#include "base/arena.h"

#include <stdlib.h>

#define TA (50 * TIME_MS)        // RFC 8445 14.2
#define KEEPALIVE (15 * TIME_S)  // RFC 8445 11: at least 15 s apart
#define TIMEOUT (9500 * TIME_MS) // a server that does not answer holds gathering up no longer

void gather_init(struct gather *gather, const struct peer_config *config, struct rng *rng)
{
    *gather = (struct gather){.config = config,
                              .rng = rng,
                              .trace = trace_part(&config->trace, "gather"),
                              .next_at = TIME_NEVER,
                              .timeout_at = TIME_NEVER,
                              .hosts_given = config->locals_count};
    if (config->ice_lite || config->servers_count == 0)
        return; // RFC 8445 2.5: a lite agent has host candidates only
    unsigned max = config->locals_count * config->servers_count;
    gather->tasks = mem_zero(max ? max : 1, sizeof *gather->tasks);
    for (unsigned l = 0; l < config->locals_count; l++) {
        for (unsigned s = 0; s < config->servers_count; s++) {
            const struct peer_server *server = &config->servers[s];
            if (server->addr.ip.family != config->locals[l].ip.family ||
                (config->relay_only && server->kind == PEER_STUN) ||
                (server->transport == PEER_TCP && server->kind != PEER_TURN))
                continue;
            struct gather_task *task = &gather->tasks[gather->tasks_count++];
            *task = (struct gather_task){
                .server = server, .local = config->locals[l], .keepalive_at = TIME_NEVER};
            task->by_tcp = server->transport == PEER_TCP;
            if (task->by_tcp)
                task->local.port = 0; // the socket of that port speaks UDP
        }
    }
}

static void stats_add(struct turn_client_stats *to, const struct turn_client *client)
{
    struct turn_client_stats more = turn_client_stats(client);
    to->requests += more.requests;
    to->retransmissions += more.retransmissions;
    to->stale_nonces += more.stale_nonces;
    to->refreshes += more.refreshes;
    to->permissions += more.permissions;
    to->channel_binds += more.channel_binds;
    to->data_sent += more.data_sent;
    to->data_received += more.data_received;
}

static void turn_drop_client(struct gather *gather, struct gather_task *task)
{
    if (!task->turn)
        return;
    stats_add(&gather->past, task->turn);
    turn_client_free(task->turn);
    task->turn = NULL;
    task->relayed = (struct addr){0};
}

static void stun_drop_client(struct gather_task *task)
{
    stun_client_free(task->stun);
    task->stun = NULL;
}

void gather_fini(struct gather *gather)
{
    for (unsigned i = 0; i < gather->tasks_count; i++) {
        stun_drop_client(&gather->tasks[i]);
        turn_drop_client(gather, &gather->tasks[i]);
        turn_stream_fini(&gather->tasks[i].framing);
        free(gather->tasks[i].held);
    }
    free(gather->tasks);
    free(gather->permits);
}

void gather_start(struct gather *gather, nanotime now)
{
    const struct peer_config *config = gather->config;
    for (unsigned i = 0; i < gather->tasks_count; i++) {
        struct gather_task *task = &gather->tasks[i];
        stun_drop_client(task);
        // One allocation for each local address and server (RFC 8656 6.2: else 437). The server may
        // have lost it without a word: what is reused is refreshed first.
        bool stands =
            task->turn && !task->unwanted && turn_client_state(task->turn) == TURN_ALLOCATED;
        if (stands)
            turn_client_refresh(task->turn, now);
        else
            turn_drop_client(gather, task);
        if (!stands)
            gather_stream_drop(task);
        task->waiting = !stands;
        task->asking = task->verifying = stands;
        task->give_srflx = task->give_relay = task->unwanted = false;
        task->refreshes = stands ? turn_client_stats(task->turn).refreshes : 0;
        task->keepalive_at = TIME_NEVER;
    }
    gather->next = 0;
    gather->hosts_given = config->relay_only ? config->locals_count : 0;
    gather->running = gather->keep_bindings = true;
    gather->next_at = now;
    gather->timeout_at = time_add(now, config->gather_timeout ? config->gather_timeout : TIMEOUT);
    trace(&gather->trace, now, "gathering: %u addresses, %u questions to servers",
          config->locals_count, gather->tasks_count);
}

// ------------------------------------------------------------------------------------------- tasks

static struct rng task_rng(struct gather *gather, const char *kind)
{
    return rng_seed(rng_u64(gather->rng), kind);
}

static void ask_stun(struct gather *gather, nanotime now, struct gather_task *task)
{
    struct stun_client_config config = {
        .local = task->local, .server = task->server->addr, .rng = task_rng(gather, "stun")};
    task->stun = stun_client_new(&config, now);
}

void gather_ask_turn(struct gather *gather, nanotime now, struct gather_task *task)
{
    const struct peer_server *server = task->server;
    struct turn_client_config config = {.local = task->local,
                                        .server = server->addr,
                                        .username = server->username ? server->username : "",
                                        .password = server->password ? server->password : "",
                                        .lifetime_s = gather->config->turn_lifetime_s,
                                        .channels = gather->config->turn_channels,
                                        .stream = task->by_tcp,
                                        .rng = task_rng(gather, "turn"),
                                        .trace = trace_part(&gather->config->trace, "turn")};
    task->turn = turn_client_new(&config);
    turn_client_allocate(task->turn, now);
    for (unsigned i = 0; i < gather->permits_count; i++)
        if (gather->permits[i].family == server->addr.ip.family)
            turn_client_permit(task->turn, now, &gather->permits[i]);
}

// True: one more has begun.
static bool start_due(struct gather *gather, nanotime now)
{
    while (gather->next < gather->tasks_count && !gather->tasks[gather->next].waiting)
        gather->next++;
    if (gather->next == gather->tasks_count || now < gather->next_at)
        return false;
    struct gather_task *task = &gather->tasks[gather->next++];
    task->waiting = false;
    task->asking = true;
    if (task->server->kind == PEER_STUN) {
        ask_stun(gather, now, task);
    } else {
        turn_drop_client(gather, task); // one that has lost its allocation
        if (task->by_tcp)
            gather_stream_want(task, &task->server->addr);
        else
            gather_ask_turn(gather, now, task);
    }
    // RFC 8445 5.1.1.2, 14: new transactions are Ta apart.
    gather->next_at = time_add(now, gather->config->ice_ta ? gather->config->ice_ta : TA);
    return true;
}

static void stun_finished(struct gather *gather, nanotime now, struct gather_task *task)
{
    struct stun_client_result result = stun_client_result(task->stun);
    if (result.state == STUN_CLIENT_ASKING)
        return;
    char server[ADDR_TEXT_MAX], mapped[ADDR_TEXT_MAX];
    bool answered = result.state == STUN_CLIENT_ANSWERED && !addr_is_none(&result.mapped);
    if (answered && task->asking) {
        task->mapped = result.mapped;
        task->give_srflx = true;
        trace(&gather->trace, now, "%s sees us at %s", addr_print(&task->server->addr, server),
              addr_print(&result.mapped, mapped));
    } else if (task->asking) {
        trace(&gather->trace, now, "%s gave no address: %s, error %u",
              addr_print(&task->server->addr, server),
              result.state == STUN_CLIENT_TIMED_OUT ? "no answer" : "refused", result.error_code);
    }
    task->asking = false;
    task->keepalive_at = answered ? time_add(now, KEEPALIVE) : TIME_NEVER;
    stun_drop_client(task);
}

// The address that a server sees of a connection is of no use to anyone else.
static bool has_srflx(const struct gather *gather, const struct gather_task *task)
{
    return !gather->config->relay_only && !task->by_tcp && !addr_is_none(&task->mapped);
}

static void turn_changed(struct gather *gather, nanotime now, struct gather_task *task)
{
    struct bytes reason;
    char server[ADDR_TEXT_MAX], relayed[ADDR_TEXT_MAX];
    switch (turn_client_state(task->turn)) {
    case TURN_IDLE:
    case TURN_ALLOCATING:
        return;
    case TURN_ALLOCATED:
        if (!addr_is_none(&task->relayed))
            return;
        gather->allocations++;
        task->relayed = turn_client_relayed(task->turn);
        task->mapped = turn_client_mapped(task->turn);
        trace(&gather->trace, now, "%s relays for us at %s%s",
              addr_print(&task->server->addr, server), addr_print(&task->relayed, relayed),
              task->by_tcp ? ", over tcp" : "");
        if (task->unwanted) {
            turn_client_release(task->turn, now);
            break;
        }
        task->give_srflx = has_srflx(gather, task);
        task->give_relay = true;
        break;
    case TURN_FAILED:
        gather_stream_drop(task);
        if (task->verifying) { // RFC 8656 5: the allocation is gone, so ask for another
            task->verifying = task->asking = false;
            task->waiting = true;
            task->relayed = (struct addr){0};
            gather->next = 0;
            return;
        }
        gather->turn_error = turn_client_failure(task->turn, &reason);
        trace(&gather->trace, now, "%s does not relay for us: error %u",
              addr_print(&task->server->addr, server), gather->turn_error);
        task->relayed = (struct addr){0};
        break;
    case TURN_RELEASED:
        gather_stream_drop(task);
        task->relayed = (struct addr){0};
        break;
    }
    task->asking = false;
}

// The server has answered that it still has the allocation.
static void turn_verified(struct gather *gather, struct gather_task *task)
{
    if (turn_client_state(task->turn) != TURN_ALLOCATED ||
        turn_client_stats(task->turn).refreshes == task->refreshes)
        return;
    task->verifying = task->asking = false;
    task->give_srflx = has_srflx(gather, task);
    task->give_relay = true;
}

static bool turn_poll(struct gather *gather, nanotime now, struct gather_task *task,
                      struct gather_output *out)
{
    struct turn_output got;
    while (turn_client_poll(task->turn, now, &got)) {
        if (got.kind == TURN_STATE_CHANGED) {
            turn_changed(gather, now, task);
            continue;
        }
        if (got.kind == TURN_SEND && task->by_tcp) {
            if (gather_stream_send(task, &got.datagram, out))
                return true;
            continue;
        }
        out->kind = got.kind == TURN_SEND ? GATHER_SEND : GATHER_RELAYED;
        out->datagram = got.datagram;
        return true;
    }
    return false;
}

// Hand out the candidates of a task. RFC 8445 5.1.1.2: the base of a reflexive one is the local
// address; that of a relayed one is itself, its related address the mapped one.
static bool task_candidate(struct gather *gather, struct gather_task *task,
                           struct ice_candidate *out)
{
    *out = (struct ice_candidate){.component = 1,
                                  .server = task->server->addr,
                                  .server_kind = task->server->kind == PEER_STUN ? ICE_STUN_UDP
                                                 : task->by_tcp                  ? ICE_TURN_TCP
                                                                                 : ICE_TURN_UDP};
    if (task->give_srflx) {
        task->give_srflx = false;
        out->type = ICE_SRFLX;
        out->addr = task->mapped;
        out->base = out->related = task->local;
        return true;
    }
    if (!task->give_relay)
        return false;
    task->give_relay = false;
    out->type = ICE_RELAY;
    out->addr = out->base = task->relayed;
    // With a relay-only policy the mapped address is what is to be hidden (RFC 8828 3).
    out->related = gather->config->relay_only ? (struct addr){0} : task->mapped;
    if (task->by_tcp)
        gather_stream_candidate(gather, task, out);
    return true;
}

static bool task_poll(struct gather *gather, nanotime now, struct gather_task *task,
                      struct gather_output *out)
{
    if (now >= task->keepalive_at) {
        task->keepalive_at = TIME_NEVER;
        if (gather->keep_bindings)
            ask_stun(gather, now, task); // RFC 8445 5.1.1.4: until ICE is done
    }
    if (task->stun) {
        if (stun_client_poll(task->stun, now, &out->datagram)) {
            out->kind = GATHER_SEND;
            return true;
        }
        stun_finished(gather, now, task);
    }
    if (task->turn && turn_poll(gather, now, task, out))
        return true;
    if (task->verifying)
        turn_verified(gather, task);
    out->kind = GATHER_CANDIDATE;
    return (task->give_srflx || task->give_relay) && task_candidate(gather, task, &out->candidate);
}

// Those who have not answered by now are not waited for.
static void give_up(struct gather *gather, nanotime now)
{
    for (unsigned i = 0; i < gather->tasks_count; i++) {
        struct gather_task *task = &gather->tasks[i];
        if (!task->waiting && !task->asking)
            continue;
        trace(&gather->trace, now, "gathering ends without an answer to question %u", i + 1);
        task->waiting = task->asking = false;
        task->unwanted = !task->verifying; // it may carry data yet
        task->verifying = false;
        stun_drop_client(task);
        if (!task->turn)
            gather_stream_drop(task);
    }
}

static bool is_finished(const struct gather *gather)
{
    for (unsigned i = 0; i < gather->tasks_count; i++)
        if (gather->tasks[i].waiting || gather->tasks[i].asking)
            return false;
    return true;
}

bool gather_poll(struct gather *gather, nanotime now, struct gather_output *out)
{
    const struct peer_config *config = gather->config;
    if (gather->hosts_given < config->locals_count) {
        const struct addr *local = &config->locals[gather->hosts_given++];
        out->kind = GATHER_CANDIDATE;
        out->candidate = (struct ice_candidate){
            .type = ICE_HOST, .addr = *local, .base = *local, .component = 1};
        return true;
    }
    if (gather->running && now >= gather->timeout_at)
        give_up(gather, now);
    if (gather->running)
        (void)start_due(gather, now);
    do {
        for (unsigned i = 0; i < gather->tasks_count; i++) {
            out->stream = i;
            if (gather_stream_poll(gather, i, out) ||
                task_poll(gather, now, &gather->tasks[i], out) ||
                gather_stream_poll(gather, i, out)) // what the task came to want
                return true;
        }
    } while (gather->running && start_due(gather, now)); // one that lost its allocation
    if (!gather->running || !is_finished(gather))
        return false;
    gather->running = false;
    gather->next_at = gather->timeout_at = TIME_NEVER;
    out->kind = GATHER_DONE;
    return true;
}

nanotime gather_deadline(const struct gather *gather)
{
    nanotime at = gather->timeout_at;
    bool waiting = false;
    if (gather->hosts_given < gather->config->locals_count ||
        (gather->running && gather->tasks_count == 0))
        return 0;
    for (unsigned i = 0; i < gather->tasks_count; i++) {
        const struct gather_task *task = &gather->tasks[i];
        if (task->give_srflx || task->give_relay || gather_stream_is_due(task))
            return 0;
        waiting = waiting || task->waiting;
        at = time_min(at, task->keepalive_at);
        if (task->stun)
            at = time_min(at, stun_client_deadline(task->stun));
        if (task->turn)
            at = time_min(at, turn_client_deadline(task->turn));
    }
    return waiting ? time_min(at, gather->next_at) : at;
}

enum gather_took gather_input(struct gather *gather, nanotime now, const struct datagram *datagram)
{
    bool from_relay = false;
    for (unsigned i = 0; i < gather->tasks_count; i++) {
        struct gather_task *task = &gather->tasks[i];
        if (task->stun && stun_client_input(task->stun, now, datagram))
            return GATHER_TOOK;
        // Its client knows which server it is with: maybe one that it was redirected to.
        if (!task->turn || task->by_tcp || !addr_equal(&datagram->to, &task->local))
            continue;
        enum turn_drop drop = turn_client_input(task->turn, now, datagram);
        if (drop == TURN_KEPT)
            return GATHER_TOOK;
        // A server may also be a STUN server, whose answers have transactions of their own.
        from_relay = from_relay || drop != TURN_NOT_OURS;
    }
    return from_relay ? GATHER_REFUSED : GATHER_NOT_OURS;
}

// ------------------------------------------------------------------------------------------ relays

void gather_permit(struct gather *gather, nanotime now, const struct ip *remote)
{
    if (gather->tasks_count == 0)
        return;
    for (unsigned i = 0; i < gather->permits_count; i++)
        if (ip_equal(&gather->permits[i], remote))
            return;
    if (gather->permits_count == GATHER_PERMITS_MAX)
        return; // turn_client_send asks for those that have no permission yet
    if (!gather->permits)
        gather->permits = mem_zero(GATHER_PERMITS_MAX, sizeof *gather->permits);
    gather->permits[gather->permits_count++] = *remote;
    for (unsigned i = 0; i < gather->tasks_count; i++) {
        struct gather_task *task = &gather->tasks[i];
        if (!task->turn || task->unwanted || remote->family != task->server->addr.ip.family)
            continue;
        enum turn_client_state state = turn_client_state(task->turn);
        if (state == TURN_ALLOCATING || state == TURN_ALLOCATED)
            turn_client_permit(task->turn, now, remote);
    }
}

struct turn_client *gather_relay(const struct gather *gather, const struct addr *relayed)
{
    for (unsigned i = 0; i < gather->tasks_count; i++)
        if (gather->tasks[i].turn && addr_equal(&gather->tasks[i].relayed, relayed))
            return gather->tasks[i].turn;
    return NULL;
}

void gather_bindings_done(struct gather *gather)
{
    gather->keep_bindings = false;
    for (unsigned i = 0; i < gather->tasks_count; i++)
        gather->tasks[i].keepalive_at = TIME_NEVER;
}

void gather_release(struct gather *gather, nanotime now, const struct addr *keep)
{
    for (unsigned i = 0; i < gather->tasks_count; i++) {
        struct gather_task *task = &gather->tasks[i];
        if (!task->turn)
            gather_stream_drop(task);
        if (!task->turn || task->unwanted || (keep && addr_equal(&task->relayed, keep)))
            continue;
        task->unwanted = true;
        task->give_srflx = task->give_relay = false;
        if (turn_client_state(task->turn) == TURN_ALLOCATED)
            turn_client_release(task->turn, now);
    }
}

void gather_close(struct gather *gather, nanotime now)
{
    gather->running = false;
    gather->hosts_given = gather->config->locals_count;
    gather->next_at = gather->timeout_at = TIME_NEVER;
    gather_bindings_done(gather);
    for (unsigned i = 0; i < gather->tasks_count; i++) {
        gather->tasks[i].waiting = gather->tasks[i].asking = gather->tasks[i].give_srflx = false;
        gather->tasks[i].verifying = false;
        stun_drop_client(&gather->tasks[i]);
    }
    gather_release(gather, now, NULL);
}

struct turn_client_stats gather_stats(const struct gather *gather)
{
    struct turn_client_stats sum = gather->past;
    for (unsigned i = 0; i < gather->tasks_count; i++)
        if (gather->tasks[i].turn)
            stats_add(&sum, gather->tasks[i].turn);
    return sum;
}
