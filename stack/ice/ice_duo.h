// For the tests of stack/ice: two agents and a tiny network between them, in virtual time.
//
// Each side has sockets. A socket behind a NAT is reached only through the mappings that it made; a
// relayed address is a socket without one. Every datagram takes `delay`, unless `drop` takes it.
#ifndef STACK_ICE_ICE_DUO_H
#define STACK_ICE_ICE_DUO_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "base/arena.h"
#include "stack/ice/ice.h"
#include "stack/stun/stun.h"

#define MS TIME_MS
#define S TIME_S
#define DUO_PACKETS 256
#define DUO_SOCKETS 8
#define DUO_MAPPINGS 128

enum nat_kind {
    NAT_NONE,
    NAT_FULL_CONE,
    NAT_PORT_RESTRICTED,
    NAT_SYMMETRIC,
    NAT_SYMMETRIC_OPEN, // a port for each destination, and no filter
};

struct mapping {
    struct addr inside;
    struct addr outside;
    struct addr remote;
};

struct side {
    struct ice_agent *agent;
    struct addr sockets[DUO_SOCKETS];
    bool behind[DUO_SOCKETS]; // the NAT
    unsigned sockets_count;
    enum nat_kind nat;
    struct ip public_ip;
    struct mapping mappings[DUO_MAPPINGS];
    unsigned mappings_count;
    unsigned sent;   // datagrams
    unsigned states; // a bit for each state that was reported
    unsigned selections;
};

struct packet {
    nanotime at;
    struct addr from;
    struct addr to;
    size_t len;
    uint8_t bytes[640];
};

struct duo {
    struct side side[2];
    nanotime now;
    nanotime delay;
    struct trace_log log;
    struct packet packets[DUO_PACKETS];
    unsigned packets_count;
    bool (*drop)(struct duo *duo, unsigned from, struct packet *packet);
    unsigned dropped; // a counter for `drop`
};

static inline struct addr at(const char *text)
{
    struct addr addr;
    assert_true(addr_parse(bytes_text(text), &addr));
    return addr;
}

static inline struct ice_candidate candidate(enum ice_candidate_type type, const char *addr,
                                             const char *base)
{
    struct ice_candidate made = {.type = type, .addr = at(addr), .component = 1};
    made.base = base ? at(base) : made.addr;
    if (base)
        made.related = made.base;
    return made;
}

static inline struct ice_config duo_config(struct duo *duo, enum ice_role role, unsigned side)
{
    return (struct ice_config){
        .role = role,
        .tiebreaker = side == 0 ? 9 : 4,
        .rng = rng_seed(7, side == 0 ? "a" : "b"),
        .trace = trace_of(&duo->log, side == 0 ? "a" : "b"),
    };
}

static inline struct duo *duo_new_of(const struct ice_config *a, const struct ice_config *b)
{
    struct duo *duo = mem_zero(1, sizeof *duo);
    duo->log.live_fd = -1;
    duo->delay = 10 * MS;
    struct ice_config configs[2] = {*a, *b};
    for (unsigned i = 0; i < 2; i++) {
        configs[i].trace = trace_of(&duo->log, i == 0 ? "a" : "b");
        duo->side[i].agent = ice_agent_new(&configs[i]);
    }
    return duo;
}

static inline struct duo *duo_new(enum ice_role a, enum ice_role b)
{
    struct duo none = {0};
    struct ice_config one = duo_config(&none, a, 0), two = duo_config(&none, b, 1);
    return duo_new_of(&one, &two);
}

static inline void duo_free(struct duo *duo)
{
    for (unsigned i = 0; i < 2; i++)
        ice_agent_free(duo->side[i].agent);
    text_free(&duo->log.text);
    free(duo);
}

static inline void duo_socket(struct duo *duo, unsigned side, const char *addr, bool behind)
{
    struct side *s = &duo->side[side];
    assert_true(s->sockets_count < DUO_SOCKETS);
    s->behind[s->sockets_count] = behind;
    s->sockets[s->sockets_count++] = at(addr);
}

// A host candidate with its socket, here and, if `tell`, at the peer.
static inline const struct ice_candidate *duo_host(struct duo *duo, unsigned side, const char *addr,
                                                   bool tell)
{
    bool known = false;
    for (unsigned i = 0; i < duo->side[side].sockets_count; i++) {
        struct addr socket = at(addr);
        known |= addr_equal(&duo->side[side].sockets[i], &socket);
    }
    if (!known)
        duo_socket(duo, side, addr, duo->side[side].nat != NAT_NONE);
    struct ice_candidate made = candidate(ICE_HOST, addr, NULL);
    const struct ice_candidate *added = ice_agent_add_local(duo->side[side].agent, duo->now, &made);
    if (added && tell)
        assert_true(ice_agent_add_remote(duo->side[!side].agent, duo->now, added));
    return added;
}

static inline const struct ice_candidate *duo_add(struct duo *duo, unsigned side,
                                                  const struct ice_candidate *made, bool tell)
{
    const struct ice_candidate *added = ice_agent_add_local(duo->side[side].agent, duo->now, made);
    if (added && tell)
        assert_true(ice_agent_add_remote(duo->side[!side].agent, duo->now, added));
    return added;
}

// Tell `side` the peer's credentials.
static inline void duo_credentials(struct duo *duo, unsigned side, bool lite)
{
    const struct ice_credentials *theirs = ice_agent_credentials(duo->side[!side].agent);
    ice_agent_set_remote(duo->side[side].agent, duo->now, bytes_text(theirs->ufrag),
                         bytes_text(theirs->pwd), lite);
}

static inline void duo_done(struct duo *duo)
{
    for (unsigned i = 0; i < 2; i++) {
        ice_agent_local_done(duo->side[i].agent, duo->now);
        ice_agent_remote_done(duo->side[i].agent, duo->now);
    }
}

static inline void duo_start(struct duo *duo)
{
    duo_credentials(duo, 0, false);
    duo_credentials(duo, 1, false);
}

// --------------------------------------------------------------------------------------------- the
// network

static inline bool nat_out(struct side *side, struct packet *packet)
{
    for (unsigned i = 0; i < side->sockets_count; i++)
        if (addr_equal(&side->sockets[i], &packet->from) && !side->behind[i])
            return true;
    bool symmetric = side->nat == NAT_SYMMETRIC || side->nat == NAT_SYMMETRIC_OPEN;
    struct mapping *same = NULL;
    for (unsigned i = 0; i < side->mappings_count; i++) {
        struct mapping *m = &side->mappings[i];
        if (!addr_equal(&m->inside, &packet->from))
            continue;
        if (addr_equal(&m->remote, &packet->to)) {
            packet->from = m->outside;
            return true;
        }
        same = m;
    }
    assert_true(side->mappings_count < DUO_MAPPINGS);
    struct mapping *made = &side->mappings[side->mappings_count];
    *made = (struct mapping){.inside = packet->from, .remote = packet->to};
    if (same && !symmetric)
        made->outside = same->outside;
    else
        made->outside =
            (struct addr){side->public_ip,
                          (uint16_t)(symmetric ? 40000 + side->mappings_count : packet->from.port)};
    side->mappings_count++;
    packet->from = made->outside;
    return true;
}

// The socket that the packet reaches, through the NAT when there is one.
static inline bool duo_arrives(struct duo *duo, struct packet *packet, unsigned *side)
{
    for (unsigned k = 0; k < 2; k++) {
        struct side *s = &duo->side[k];
        for (unsigned i = 0; i < s->sockets_count; i++) {
            if (!s->behind[i] && addr_equal(&s->sockets[i], &packet->to)) {
                *side = k;
                return true;
            }
        }
        for (unsigned i = 0; i < s->mappings_count; i++) {
            const struct mapping *m = &s->mappings[i];
            bool passes = s->nat == NAT_FULL_CONE || s->nat == NAT_SYMMETRIC_OPEN ||
                          addr_equal(&m->remote, &packet->from);
            if (addr_equal(&m->outside, &packet->to) && passes) {
                packet->to = m->inside;
                *side = k;
                return true;
            }
        }
    }
    return false;
}

static inline void duo_send(struct duo *duo, unsigned from, const struct datagram *datagram)
{
    assert_true(duo->packets_count < DUO_PACKETS);
    struct packet *packet = &duo->packets[duo->packets_count];
    *packet = (struct packet){.at = duo->now + duo->delay,
                              .from = datagram->from,
                              .to = datagram->to,
                              .len = datagram->bytes.len};
    assert_true(packet->len <= sizeof packet->bytes);
    memcpy(packet->bytes, datagram->bytes.at, packet->len);
    duo->side[from].sent++;
    if (duo->drop && duo->drop(duo, from, packet))
        return;
    if (nat_out(&duo->side[from], packet))
        duo->packets_count++;
}

static inline void duo_drain(struct duo *duo)
{
    for (unsigned k = 0; k < 2; k++) {
        struct side *s = &duo->side[k];
        struct ice_output out;
        for (unsigned n = 0; ice_agent_poll(s->agent, duo->now, &out); n++) {
            assert_true(n < 100);
            if (out.kind == ICE_SEND)
                duo_send(duo, k, &out.send);
            else if (out.kind == ICE_STATE_CHANGED)
                s->states |= 1u << ice_agent_state(s->agent);
            else
                s->selections++;
        }
        assert_true(ice_agent_deadline(s->agent) > duo->now); // all that was due is done
    }
}

static inline void duo_deliver(struct duo *duo)
{
    unsigned kept = 0, count = duo->packets_count;
    struct packet *due = mem_alloc((count ? count : 1) * sizeof *due);
    unsigned due_count = 0;
    for (unsigned i = 0; i < count; i++) {
        if (duo->packets[i].at <= duo->now)
            due[due_count++] = duo->packets[i];
        else
            duo->packets[kept++] = duo->packets[i];
    }
    duo->packets_count = kept;
    for (unsigned i = 0; i < due_count; i++) {
        unsigned side;
        if (!duo_arrives(duo, &due[i], &side))
            continue;
        struct datagram datagram = {due[i].from, due[i].to, bytes_of(due[i].bytes, due[i].len)};
        ice_agent_input(duo->side[side].agent, duo->now, &datagram);
        duo_drain(duo);
    }
    free(due);
}

static inline void duo_run(struct duo *duo, nanotime until)
{
    for (unsigned rounds = 0;; rounds++) {
        assert_true(rounds < 100000);
        duo_drain(duo);
        nanotime next = time_min(ice_agent_deadline(duo->side[0].agent),
                                 ice_agent_deadline(duo->side[1].agent));
        for (unsigned i = 0; i < duo->packets_count; i++)
            next = time_min(next, duo->packets[i].at);
        if (next > until)
            break;
        duo->now = next;
        duo_deliver(duo);
    }
    duo->now = until;
}

// --------------------------------------------------------------------------------------- questions

static inline enum ice_state duo_state(const struct duo *duo, unsigned side)
{
    return ice_agent_state(duo->side[side].agent);
}

static inline bool duo_saw(const struct duo *duo, unsigned side, enum ice_state state)
{
    return duo->side[side].states >> state & 1;
}

static inline bool duo_traced(const struct duo *duo, const char *text)
{
    return duo->log.text.at && strstr(duo->log.text.at, text);
}

static inline unsigned duo_count(const struct duo *duo, const char *text)
{
    unsigned count = 0;
    for (const char *p = duo->log.text.at; p && (p = strstr(p, text)); p++)
        count++;
    return count;
}

// "host 10.0.0.1:5000 > srflx 198.51.100.2:4000", or "none".
static inline const char *duo_selected(const struct duo *duo, unsigned side)
{
    static char text[4][2 * ADDR_TEXT_MAX + 32];
    static unsigned turn;
    char *to = text[turn++ % 4], from_text[ADDR_TEXT_MAX], to_text[ADDR_TEXT_MAX];
    const struct ice_pair *pair = ice_agent_selected(duo->side[side].agent);
    if (!pair)
        return "none";
    struct writer w = writer_of(to, sizeof text[0] - 1);
    const char *parts[] = {ice_candidate_type_name(pair->local.type),  " ",
                           addr_print(&pair->local.addr, from_text),   " > ",
                           ice_candidate_type_name(pair->remote.type), " ",
                           addr_print(&pair->remote.addr, to_text)};
    for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++)
        write_bytes(&w, bytes_text(parts[i]));
    to[w.len] = 0;
    return to;
}

static inline bool packet_is(const struct packet *packet, enum stun_class class)
{
    struct stun_msg msg;
    return stun_decode(bytes_of(packet->bytes, packet->len), &msg) == STUN_OK && msg.class == class;
}

static inline bool packet_has(const struct packet *packet, enum stun_attr attr)
{
    struct stun_msg msg;
    return stun_decode(bytes_of(packet->bytes, packet->len), &msg) == STUN_OK &&
           stun_has(&msg, attr);
}

#endif
