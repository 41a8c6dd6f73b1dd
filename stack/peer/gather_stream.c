// TURN servers by TCP (RFC 8656 2.1): the connection of a task, and the messages in it.
#include "stack/peer/gather.h"

#include "base/arena.h"

#include <stdio.h>

// Relays by TCP are for want of others: below each by UDP, whose local preferences begin at 65535.
#define LOCAL_PREFERENCE_TCP 32767

void gather_stream_drop(struct gather_task *task)
{
    if (task->stream == GATHER_OPENING || task->stream == GATHER_OPEN)
        task->close_due = true;
    task->stream = GATHER_NO_STREAM;
    task->held_len = 0;
    turn_stream_fini(&task->framing);
}

void gather_stream_want(struct gather_task *task, const struct addr *to)
{
    gather_stream_drop(task);
    task->stream = GATHER_STREAM_WANTED;
    task->stream_to = *to;
}

bool gather_stream_send(struct gather_task *task, const struct datagram *datagram,
                        struct gather_output *out)
{
    if (!addr_equal(&datagram->to, &task->stream_to)) // RFC 8489 10: redirected
        gather_stream_want(task, &datagram->to);
    if (task->stream == GATHER_OPEN) {
        out->kind = GATHER_STREAM_SEND;
        out->datagram = *datagram;
        return true;
    }
    if (task->stream == GATHER_NO_STREAM || datagram->bytes.len > GATHER_HELD_MAX)
        return false; // lost with the connection
    if (!task->held)
        task->held = mem_alloc(GATHER_HELD_MAX);
    memcpy(task->held, datagram->bytes.at, datagram->bytes.len);
    task->held_len = datagram->bytes.len;
    return false;
}

bool gather_stream_is_due(const struct gather_task *task)
{
    return task->close_due || task->stream == GATHER_STREAM_WANTED ||
           (task->stream == GATHER_OPEN && task->held_len > 0);
}

bool gather_stream_poll(struct gather *gather, unsigned index, struct gather_output *out)
{
    struct gather_task *task = &gather->tasks[index];
    if (!gather_stream_is_due(task))
        return false;
    out->stream = index;
    out->datagram = (struct datagram){.from = task->local, .to = task->stream_to};
    if (task->close_due) {
        task->close_due = false;
        out->kind = GATHER_STREAM_CLOSE;
    } else if (task->stream == GATHER_STREAM_WANTED) {
        task->stream = GATHER_OPENING;
        out->kind = GATHER_STREAM_OPEN;
    } else {
        out->kind = GATHER_STREAM_SEND;
        out->datagram.bytes = bytes_of(task->held, task->held_len);
        task->held_len = 0;
    }
    return true;
}

// RFC 8445 5.1.1.3: candidates from one server by two protocols have different foundations.
void gather_stream_candidate(const struct gather *gather, const struct gather_task *task,
                             struct ice_candidate *candidate)
{
    unsigned index = (unsigned)(task - gather->tasks), first = 0;
    while (first < index &&
           !(gather->tasks[first].by_tcp &&
             ip_equal(&gather->tasks[first].server->addr.ip, &task->server->addr.ip) &&
             ip_equal(&gather->tasks[first].relayed.ip, &task->relayed.ip)))
        first++;
    snprintf(candidate->foundation, sizeof candidate->foundation, "tcp%u", first + 1);
    candidate->priority =
        ice_candidate_priority(ICE_RELAY, (uint16_t)(LOCAL_PREFERENCE_TCP - index), 1);
}

// ----------------------------------------------------------------------------------------- events

static void lost(struct gather *gather, nanotime now, struct gather_task *task,
                 enum peer_stream_event event)
{
    char server[ADDR_TEXT_MAX];
    const char *why = event == PEER_STREAM_REFUSED ? "there is no connection by tcp"
                                                   : "the connection by tcp is gone";
    trace(&gather->trace, now, "%s: %s", addr_print(&task->stream_to, server), why);
    task->stream = GATHER_NO_STREAM;
    gather_stream_drop(task);
    if (task->turn)
        turn_client_disconnected(task->turn, now, why);
    else
        task->asking = false;
}

static enum gather_took received(struct gather *gather, nanotime now, struct gather_task *task,
                                 struct bytes bytes)
{
    struct datagram message = {.from = task->stream_to, .to = task->local};
    enum gather_took took = GATHER_TOOK;
    enum turn_stream_outcome outcome;
    turn_stream_input(&task->framing, bytes);
    while ((outcome = turn_stream_next(&task->framing, &message.bytes)) == TURN_STREAM_MESSAGE) {
        if (!task->turn || turn_client_input(task->turn, now, &message) != TURN_KEPT)
            took = GATHER_REFUSED;
    }
    if (!turn_stream_is_bad(outcome))
        return took;
    char server[ADDR_TEXT_MAX];
    trace(&gather->trace, now, "%s: the connection is closed: %s",
          addr_print(&task->stream_to, server), turn_stream_outcome_name(outcome));
    gather_stream_drop(task);
    if (task->turn)
        turn_client_disconnected(task->turn, now, turn_stream_outcome_name(outcome));
    return GATHER_REFUSED;
}

enum gather_took gather_stream_event(struct gather *gather, nanotime now, unsigned stream,
                                     enum peer_stream_event event, struct bytes bytes)
{
    struct gather_task *task = stream < gather->tasks_count ? &gather->tasks[stream] : NULL;
    bool ends = event == PEER_STREAM_CLOSED || event == PEER_STREAM_REFUSED;
    if (task && task->close_due && ends) { // it was to be closed: no need any more
        task->close_due = false;
        return GATHER_TOOK;
    }
    if (!task || task->close_due || (task->stream != GATHER_OPENING && task->stream != GATHER_OPEN))
        return GATHER_NOT_OURS;
    switch (event) {
    case PEER_STREAM_OPENED:
        if (task->stream == GATHER_OPEN)
            return GATHER_NOT_OURS;
        task->stream = GATHER_OPEN;
        turn_stream_init(&task->framing, false);
        if (!task->turn)
            gather_ask_turn(gather, now, task);
        return GATHER_TOOK;
    case PEER_STREAM_BYTES:
        return task->stream == GATHER_OPEN ? received(gather, now, task, bytes) : GATHER_NOT_OURS;
    case PEER_STREAM_CLOSED:
    case PEER_STREAM_REFUSED:
        lost(gather, now, task, event);
        return GATHER_TOOK;
    }
    return GATHER_NOT_OURS;
}
