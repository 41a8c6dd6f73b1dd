// Tables: sections by index; incoming streams in slots that stay, found by an open-addressed hash
// of the SSRC; outgoing SSRCs likewise. Nothing is ever given out in the order of a hash.
#include "stack/rtp/rtp_demux.h"

#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>

#define CONFLICT_LIFETIME (50 * TIME_S) // RFC 3550 8.2: ten times the report interval
#define FREE_SLOT UINT16_MAX

struct section {
    bool used;
    uint8_t mid[RTP_DEMUX_MID_MAX];
    uint8_t mid_len;
    uint64_t payload_types[2];
};

struct entry { // an incoming SSRC, or one of ours
    uint32_t ssrc;
    uint16_t section;
    bool used;
    bool signalled;
    bool bye;
    bool repaired;
    bool has_mid_update;
    uint8_t rid_len;
    uint8_t rid[RTP_DEMUX_RID_MAX];
    int64_t sequence;   // the highest, unwrapped; -1: none came
    int64_t mid_update; // the number of the packet that last told the MID
    nanotime last_seen;
    bool has_from;
    struct addr from; // of the packets that are taken
};

// SSRC to index. Deletion closes the gap, so that no tombstones gather.
struct table {
    struct entry *entries;
    unsigned max, count;
    unsigned first_free; // no index below it is free
    uint16_t *hash;      // indices; FREE_SLOT
    unsigned mask;
};

struct conflict {
    struct addr from;
    nanotime last;
};

struct rtp_demux {
    struct rtp_demux_config config;
    struct section *sections;
    uint16_t unique[128]; // the section of a payload type that one alone has; RTP_DEMUX_NONE
    struct table in, out;
    struct conflict conflicts[RTP_DEMUX_CONFLICTS_MAX];
    unsigned conflict_count;
};

const char *rtp_demux_outcome_name(enum rtp_demux_outcome outcome)
{
    static const char *const names[RTP_DEMUX_OUTCOMES] = {
        [RTP_DEMUX_OK] = "ok",
        [RTP_DEMUX_UNKNOWN_MID] = "unknown-mid",
        [RTP_DEMUX_PAYLOAD_TYPE] = "payload-type",
        [RTP_DEMUX_UNKNOWN] = "unknown",
        [RTP_DEMUX_FULL] = "full",
        [RTP_DEMUX_COLLISION] = "collision",
        [RTP_DEMUX_LOOP] = "loop",
        [RTP_DEMUX_THIRD_PARTY] = "third-party",
    };
    assert(outcome < RTP_DEMUX_OUTCOMES);
    return names[outcome];
}

// ---------------------------------------------------------------------------------------- a table

static void table_init(struct table *t, unsigned max)
{
    assert(max >= 1 && max < FREE_SLOT / 2);
    unsigned size = 4;
    while (size < 2 * max)
        size *= 2;
    *t = (struct table){.max = max, .mask = size - 1};
    t->entries = mem_zero(max, sizeof *t->entries);
    t->hash = mem_alloc(size * sizeof *t->hash);
    memset(t->hash, 0xff, size * sizeof *t->hash);
}

static unsigned home_of(const struct table *t, uint32_t ssrc)
{
    return (ssrc * 2654435761u >> 7) & t->mask;
}

// Where the SSRC stands in the hash, or the free place where it would.
static unsigned find_place(const struct table *t, uint32_t ssrc)
{
    unsigned at = home_of(t, ssrc);
    while (t->hash[at] != FREE_SLOT && t->entries[t->hash[at]].ssrc != ssrc)
        at = (at + 1) & t->mask;
    return at;
}

static struct entry *table_find(const struct table *t, uint32_t ssrc)
{
    uint16_t index = t->hash[find_place(t, ssrc)];
    return index == FREE_SLOT ? NULL : &t->entries[index];
}

static struct entry *table_add(struct table *t, uint32_t ssrc)
{
    if (t->count == t->max)
        return NULL;
    unsigned index = t->first_free;
    while (t->entries[index].used)
        index++;
    t->first_free = index + 1;
    t->entries[index] =
        (struct entry){.ssrc = ssrc, .used = true, .section = RTP_DEMUX_NONE, .sequence = -1};
    t->hash[find_place(t, ssrc)] = (uint16_t)index;
    t->count++;
    return &t->entries[index];
}

static void table_remove(struct table *t, struct entry *entry)
{
    unsigned gap = find_place(t, entry->ssrc);
    t->hash[gap] = FREE_SLOT;
    unsigned index = (unsigned)(entry - t->entries);
    if (index < t->first_free)
        t->first_free = index;
    *entry = (struct entry){0};
    t->count--;
    for (unsigned at = (gap + 1) & t->mask; t->hash[at] != FREE_SLOT; at = (at + 1) & t->mask) {
        unsigned home = home_of(t, t->entries[t->hash[at]].ssrc);
        if (((at - home) & t->mask) < ((at - gap) & t->mask))
            continue; // it is nearer to its home than the gap is
        t->hash[gap] = t->hash[at];
        t->hash[at] = FREE_SLOT;
        gap = at;
    }
}

static void table_remove_section(struct table *t, unsigned section)
{
    for (unsigned i = 0; i < t->max; i++)
        if (t->entries[i].used && t->entries[i].section == section)
            table_remove(t, &t->entries[i]);
}

// --------------------------------------------------------------------------------- configuration

struct rtp_demux *rtp_demux_new(const struct rtp_demux_config *config)
{
    assert(config->sections_max >= 1 && config->sections_max <= RTP_DEMUX_SECTIONS_MAX);
    struct rtp_demux *d = mem_zero(1, sizeof *d);
    d->config = *config;
    if (d->config.conflict_lifetime == 0)
        d->config.conflict_lifetime = CONFLICT_LIFETIME;
    d->sections = mem_zero(config->sections_max, sizeof *d->sections);
    memset(d->unique, 0xff, sizeof d->unique);
    table_init(&d->in, config->receive_max);
    table_init(&d->out, config->send_max);
    return d;
}

void rtp_demux_free(struct rtp_demux *d)
{
    if (!d)
        return;
    free(d->sections);
    free(d->in.entries);
    free(d->in.hash);
    free(d->out.entries);
    free(d->out.hash);
    free(d);
}

static bool has_payload_type(const struct section *section, unsigned type)
{
    return section->payload_types[type / 64] >> type % 64 & 1;
}

// RFC 9143 9.2: a payload type of more than one section tells nothing.
static void index_payload_types(struct rtp_demux *d)
{
    for (unsigned type = 0; type < 128; type++) {
        unsigned owners = 0;
        d->unique[type] = RTP_DEMUX_NONE;
        for (unsigned i = 0; i < d->config.sections_max; i++) {
            if (!d->sections[i].used || !has_payload_type(&d->sections[i], type))
                continue;
            d->unique[type] = owners++ ? RTP_DEMUX_NONE : (uint16_t)i;
        }
    }
}

static uint16_t section_by_mid(const struct rtp_demux *d, struct bytes mid)
{
    for (unsigned i = 0; i < d->config.sections_max; i++) {
        const struct section *s = &d->sections[i];
        if (s->used && s->mid_len && bytes_equal(mid, bytes_of(s->mid, s->mid_len)))
            return (uint16_t)i;
    }
    return RTP_DEMUX_NONE;
}

bool rtp_demux_section_set(struct rtp_demux *d, unsigned index,
                           const struct rtp_demux_section *section)
{
    assert(index < d->config.sections_max);
    if (section->mid.len > RTP_DEMUX_MID_MAX)
        return false;
    uint16_t other = section->mid.len ? section_by_mid(d, section->mid) : RTP_DEMUX_NONE;
    if (other != RTP_DEMUX_NONE && other != index)
        return false;
    struct section *s = &d->sections[index];
    *s = (struct section){.used = true, .mid_len = (uint8_t)section->mid.len};
    if (section->mid.len)
        memcpy(s->mid, section->mid.at, section->mid.len);
    memcpy(s->payload_types, section->payload_types, sizeof s->payload_types);
    for (unsigned i = 0; i < d->in.max; i++) {
        if (d->in.entries[i].section == index)
            d->in.entries[i].signalled = false;
    }
    index_payload_types(d);
    return true;
}

void rtp_demux_section_remove(struct rtp_demux *d, unsigned index)
{
    assert(index < d->config.sections_max);
    d->sections[index] = (struct section){0};
    table_remove_section(&d->in, index);
    table_remove_section(&d->out, index);
    index_payload_types(d);
}

static bool set_ssrc(struct rtp_demux *d, struct table *t, uint32_t ssrc, unsigned section)
{
    assert(section < d->config.sections_max);
    struct entry *entry = table_find(t, ssrc);
    if (!entry)
        entry = table_add(t, ssrc);
    if (!entry)
        return false;
    entry->section = (uint16_t)section;
    entry->signalled = true;
    return true;
}

bool rtp_demux_receive(struct rtp_demux *d, uint32_t ssrc, unsigned section)
{
    return set_ssrc(d, &d->in, ssrc, section);
}

bool rtp_demux_send(struct rtp_demux *d, uint32_t ssrc, unsigned section)
{
    return set_ssrc(d, &d->out, ssrc, section);
}

void rtp_demux_forget(struct rtp_demux *d, uint32_t ssrc)
{
    struct entry *in = table_find(&d->in, ssrc), *out = table_find(&d->out, ssrc);
    if (in)
        table_remove(&d->in, in);
    if (out)
        table_remove(&d->out, out);
}

// -------------------------------------------------------------------------------------- conflicts

static void conflicts_expire(struct rtp_demux *d, nanotime now)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < d->conflict_count; i++)
        if (now - d->conflicts[i].last < d->config.conflict_lifetime)
            d->conflicts[kept++] = d->conflicts[i];
    d->conflict_count = kept;
}

// RFC 3550 8.2: our SSRC from an address that did it before is a loop; from a new one, a collision.
static enum rtp_demux_outcome conflict(struct rtp_demux *d, nanotime now, const struct addr *from)
{
    static const struct addr nowhere;
    const struct addr *place = from ? from : &nowhere;
    conflicts_expire(d, now);
    unsigned oldest = 0;
    for (unsigned i = 0; i < d->conflict_count; i++) {
        if (addr_equal(&d->conflicts[i].from, place)) {
            d->conflicts[i].last = now;
            return RTP_DEMUX_LOOP;
        }
        if (d->conflicts[i].last < d->conflicts[oldest].last)
            oldest = i;
    }
    unsigned at = oldest;
    if (d->conflict_count < RTP_DEMUX_CONFLICTS_MAX)
        at = d->conflict_count++;
    d->conflicts[at] = (struct conflict){*place, now};
    return RTP_DEMUX_COLLISION;
}

// RFC 3550 8.2: two others have the same SSRC, or a third one repeats what the first sends.
static bool is_third_party(const struct rtp_demux *d, nanotime now, const struct addr *from,
                           const struct entry *entry)
{
    return from && entry && entry->has_from && !addr_equal(&entry->from, from) &&
           now - entry->last_seen < d->config.conflict_lifetime;
}

// -------------------------------------------------------------------------------------------- RTP

static void note_rid(struct entry *entry, const struct rtp_extension_values *values)
{
    bool repaired = values->has >> RTP_REPAIRED_RID & 1;
    if (!repaired && !(values->has >> RTP_RID & 1))
        return;
    struct bytes rid = repaired ? values->repaired_rid : values->rid;
    if (rid.len == 0 || rid.len > RTP_DEMUX_RID_MAX)
        return;
    memcpy(entry->rid, rid.at, rid.len);
    entry->rid_len = (uint8_t)rid.len;
    entry->repaired = repaired;
}

static void note_csrcs(const struct rtp_demux *d, const struct rtp_packet *packet,
                       struct rtp_demux_result *out)
{
    for (unsigned i = 0; i < packet->csrc_count; i++) {
        const struct entry *entry = table_find(&d->in, packet->csrc[i]);
        bool known = !entry || entry->section == out->section;
        for (unsigned k = 0; k < out->csrc_sections && !known; k++)
            known = out->csrc_section[k] == entry->section;
        if (!known)
            out->csrc_section[out->csrc_sections++] = entry->section;
    }
}

// What the packet alone says of its section: its MID, or a payload type that is unique.
struct hint {
    uint16_t section;
    bool by_mid;
};
static enum rtp_demux_outcome hint_of(const struct rtp_demux *d, const struct entry *entry,
                                      int64_t sequence, const struct rtp_packet *packet,
                                      const struct rtp_extension_values *values, struct hint *out)
{
    // RFC 7941 4.2.6: a MID of a packet older than the one that told it last is not believed.
    bool has_mid = values->has >> RTP_MID & 1;
    if (has_mid && entry && entry->has_mid_update && sequence < entry->mid_update)
        has_mid = false;
    if (has_mid) {
        *out = (struct hint){section_by_mid(d, values->mid), true};
        return out->section == RTP_DEMUX_NONE ? RTP_DEMUX_UNKNOWN_MID : RTP_DEMUX_OK;
    }
    *out = (struct hint){entry ? entry->section : d->unique[packet->payload_type], false};
    return out->section == RTP_DEMUX_NONE ? RTP_DEMUX_UNKNOWN : RTP_DEMUX_OK;
}

enum rtp_demux_outcome rtp_demux_rtp(struct rtp_demux *d, nanotime now, const struct addr *from,
                                     const struct rtp_packet *packet,
                                     const struct rtp_extension_values *values,
                                     struct rtp_demux_result *out)
{
    *out = (struct rtp_demux_result){.section = RTP_DEMUX_NONE, .stream = RTP_DEMUX_NONE};
    if (table_find(&d->out, packet->ssrc))
        return conflict(d, now, from);
    struct entry *entry = table_find(&d->in, packet->ssrc);
    if (is_third_party(d, now, from, entry))
        return RTP_DEMUX_THIRD_PARTY;
    int64_t sequence = rtp_unwrap(entry ? entry->sequence : -1, packet->sequence);

    // RFC 9143 9.2, in its order: MID, SSRC, payload type. A MID is noted before the payload type
    // is looked at.
    struct hint hint;
    enum rtp_demux_outcome outcome = hint_of(d, entry, sequence, packet, values, &hint);
    if (outcome != RTP_DEMUX_OK)
        return outcome;
    bool fits = has_payload_type(&d->sections[hint.section], packet->payload_type);
    if (!fits && !hint.by_mid)
        return RTP_DEMUX_PAYLOAD_TYPE;
    if (!entry) {
        entry = table_add(&d->in, packet->ssrc);
        if (!entry)
            return RTP_DEMUX_FULL;
    }
    out->is_new = entry->section != hint.section;
    entry->section = hint.section;
    entry->last_seen = now;
    entry->has_from = from != NULL;
    if (from)
        entry->from = *from;
    if (sequence > entry->sequence)
        entry->sequence = sequence;
    if (hint.by_mid) {
        entry->has_mid_update = true;
        entry->mid_update = sequence;
    }
    note_rid(entry, values);
    if (!fits)
        return RTP_DEMUX_PAYLOAD_TYPE;
    out->section = entry->section;
    out->stream = (uint16_t)(entry - d->in.entries);
    note_csrcs(d, packet, out);
    return RTP_DEMUX_OK;
}

// ------------------------------------------------------------------------------------------- RTCP

static enum rtp_demux_outcome learn_mid(struct rtp_demux *d, nanotime now, uint32_t ssrc,
                                        struct bytes mid)
{
    uint16_t section = section_by_mid(d, mid);
    if (section == RTP_DEMUX_NONE || table_find(&d->out, ssrc))
        return RTP_DEMUX_OK;
    struct entry *entry = table_find(&d->in, ssrc);
    if (!entry) {
        entry = table_add(&d->in, ssrc);
        if (!entry)
            return RTP_DEMUX_FULL;
        entry->last_seen = now;
    }
    // RFC 7941 4.2.6: RTP packets up to the highest that came are older than this report.
    entry->section = section;
    if (entry->sequence >= 0) {
        entry->has_mid_update = true;
        entry->mid_update = entry->sequence + 1;
    }
    return RTP_DEMUX_OK;
}

static enum rtp_demux_outcome learn_chunk(struct rtp_demux *d, nanotime now,
                                          struct rtcp_sdes_chunk chunk)
{
    struct rtcp_sdes_item item;
    while (rtcp_sdes_item_next(&chunk, &item)) {
        if (item.type != RTCP_SDES_MID)
            continue;
        if (learn_mid(d, now, chunk.ssrc, item.text) != RTP_DEMUX_OK)
            return RTP_DEMUX_FULL;
    }
    return RTP_DEMUX_OK;
}

enum rtp_demux_outcome rtp_demux_learn(struct rtp_demux *d, nanotime now, struct bytes datagram)
{
    struct rtcp_walk walk;
    if (rtcp_walk_start(&walk, datagram, true) != RTCP_OK)
        return RTP_DEMUX_OK;
    enum rtp_demux_outcome worst = RTP_DEMUX_OK;
    struct rtcp_packet packet;
    enum rtcp_outcome outcome;
    while ((outcome = rtcp_next(&walk, &packet)) != RTCP_END) {
        if (outcome != RTCP_OK || packet.kind != RTCP_SDES)
            continue;
        struct rtcp_sdes_walk chunks = rtcp_sdes_start(&packet);
        struct rtcp_sdes_chunk chunk;
        while (rtcp_sdes_chunk_next(&chunks, &chunk))
            if (learn_chunk(d, now, chunk) != RTP_DEMUX_OK)
                worst = RTP_DEMUX_FULL;
    }
    return worst;
}

static void deliver(struct rtp_demux_sections *out, const struct entry *entry)
{
    if (!entry || rtp_demux_has(out, entry->section))
        return;
    out->bits[entry->section / 64] |= 1ull << entry->section % 64;
    out->count++;
}

static void deliver_sdes(struct rtp_demux *d, const struct rtcp_packet *packet,
                         struct rtp_demux_sections *out)
{
    struct rtcp_sdes_walk chunks = rtcp_sdes_start(packet);
    struct rtcp_sdes_chunk chunk;
    while (rtcp_sdes_chunk_next(&chunks, &chunk))
        deliver(out, table_find(&d->in, chunk.ssrc));
}

static void deliver_bye(struct rtp_demux *d, nanotime now, const struct rtcp_packet *packet,
                        struct rtp_demux_sections *out)
{
    uint32_t ssrc;
    for (size_t i = 0; rtcp_ssrc_at(packet->bye.ssrcs, i, &ssrc); i++) {
        struct entry *entry = table_find(&d->in, ssrc);
        deliver(out, entry);
        if (!entry)
            continue;
        // RFC 9143 9.2: removed after a delay, which is the owner's.
        entry->bye = true;
        entry->last_seen = now;
    }
}

static void deliver_xr(struct rtp_demux *d, const struct rtcp_packet *packet,
                       struct rtp_demux_sections *out)
{
    deliver(out, table_find(&d->in, packet->sender));
    struct rtcp_xr_walk walk = rtcp_xr_start(packet);
    struct rtcp_xr_block block;
    while (rtcp_xr_next(&walk, &block)) {
        struct rtcp_dlrr dlrr;
        for (size_t i = 0; rtcp_xr_dlrr(&block, i, &dlrr); i++)
            deliver(out, table_find(&d->out, dlrr.ssrc));
    }
}

// RFC 9143 9.2: where the FCI names its targets, those tell; else the SSRC of the media source.
static void deliver_feedback(struct rtp_demux *d, const struct rtcp_packet *packet,
                             struct rtp_demux_sections *out)
{
    struct rtcp_fir_entry fir;
    struct rtcp_tmmb_entry tmmb;
    struct rtcp_ccfb_block block;
    uint32_t ssrc;
    if (packet->kind == RTCP_FIR) {
        for (size_t i = 0; rtcp_fir_entry(packet, i, &fir); i++)
            deliver(out, table_find(&d->out, fir.ssrc));
    } else if (packet->kind == RTCP_TMMBR) {
        for (size_t i = 0; rtcp_tmmb_entry(packet, i, &tmmb); i++)
            deliver(out, table_find(&d->out, tmmb.ssrc));
    } else if (packet->kind == RTCP_TMMBN) { // from a sender of media, about itself
        deliver(out, table_find(&d->in, packet->sender));
    } else if (packet->kind == RTCP_REMB) {
        for (size_t i = 0; rtcp_ssrc_at(packet->remb.ssrcs, i, &ssrc); i++)
            deliver(out, table_find(&d->out, ssrc));
    } else if (packet->kind == RTCP_CCFB) {
        struct rtcp_ccfb_walk walk = rtcp_ccfb_start(packet);
        while (rtcp_ccfb_next(&walk, &block))
            deliver(out, table_find(&d->out, block.ssrc));
    } else {
        ssrc = packet->kind == RTCP_TRANSPORT_CC ? packet->transport.media : packet->feedback.media;
        deliver(out, table_find(&d->out, ssrc));
    }
}

static void deliver_reports(struct rtp_demux *d, nanotime now, const struct rtcp_packet *packet,
                            struct rtp_demux_sections *out)
{
    struct rtcp_block block;
    for (size_t i = 0; rtcp_report_block(packet, i, &block); i++)
        deliver(out, table_find(&d->out, block.ssrc));
    struct entry *sender = table_find(&d->in, packet->sender);
    if (sender && !sender->bye)
        sender->last_seen = now;
    if (packet->kind == RTCP_SR)
        deliver(out, sender);
}

// RFC 3550 8.2: each element with an SSRC of its own is looked up, like a chunk of SDES.
static bool is_ours(const struct rtp_demux *d, const struct rtcp_packet *packet, uint32_t *ssrc)
{
    *ssrc = packet->sender;
    if (packet->kind == RTCP_SDES) {
        struct rtcp_sdes_walk chunks = rtcp_sdes_start(packet);
        struct rtcp_sdes_chunk chunk;
        while (rtcp_sdes_chunk_next(&chunks, &chunk)) {
            *ssrc = chunk.ssrc;
            if (table_find(&d->out, chunk.ssrc))
                return true;
        }
        return false;
    }
    bool has_sender = packet->kind != RTCP_UNKNOWN && (packet->kind != RTCP_BYE || packet->count);
    return has_sender && table_find(&d->out, packet->sender);
}

enum rtp_demux_outcome rtp_demux_rtcp(struct rtp_demux *d, nanotime now, const struct addr *from,
                                      const struct rtcp_packet *packet,
                                      struct rtp_demux_sections *out)
{
    *out = (struct rtp_demux_sections){0};
    if (is_ours(d, packet, &out->ours))
        return conflict(d, now, from);
    switch (packet->kind) {
    case RTCP_SR:
    case RTCP_RR:
        deliver_reports(d, now, packet, out);
        break;
    case RTCP_SDES:
        deliver_sdes(d, packet, out);
        break;
    case RTCP_BYE:
        deliver_bye(d, now, packet, out);
        break;
    case RTCP_XR:
        deliver_xr(d, packet, out);
        break;
    case RTCP_NACK:
    case RTCP_TMMBR:
    case RTCP_TMMBN:
    case RTCP_CCFB:
    case RTCP_TRANSPORT_CC:
    case RTCP_PLI:
    case RTCP_FIR:
    case RTCP_REMB:
        deliver_feedback(d, packet, out);
        break;
    case RTCP_APP:
        deliver(out, table_find(&d->in, packet->sender));
        break;
    case RTCP_UNKNOWN:
    case RTCP_KINDS:
        break;
    }
    return out->count ? RTP_DEMUX_OK : RTP_DEMUX_UNKNOWN;
}

// ---------------------------------------------------------------------------------------- queries

static struct rtp_demux_stream stream_of(const struct rtp_demux *d, const struct entry *entry)
{
    return (struct rtp_demux_stream){.ssrc = entry->ssrc,
                                     .index = (uint16_t)(entry - d->in.entries),
                                     .section = entry->section,
                                     .signalled = entry->signalled,
                                     .bye = entry->bye,
                                     .last_seen = entry->last_seen,
                                     .rid = bytes_of(entry->rid, entry->rid_len),
                                     .repaired = entry->repaired};
}

bool rtp_demux_stream_by_ssrc(const struct rtp_demux *d, uint32_t ssrc,
                              struct rtp_demux_stream *out)
{
    const struct entry *entry = table_find(&d->in, ssrc);
    if (entry)
        *out = stream_of(d, entry);
    return entry != NULL;
}

bool rtp_demux_stream_at(const struct rtp_demux *d, unsigned index, struct rtp_demux_stream *out)
{
    if (index >= d->in.max || !d->in.entries[index].used)
        return false;
    *out = stream_of(d, &d->in.entries[index]);
    return true;
}

uint16_t rtp_demux_send_section(const struct rtp_demux *d, uint32_t ssrc)
{
    const struct entry *entry = table_find(&d->out, ssrc);
    return entry ? entry->section : RTP_DEMUX_NONE;
}
