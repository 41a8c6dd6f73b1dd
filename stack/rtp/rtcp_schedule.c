#include "stack/rtp/rtcp_schedule.h"

#include <assert.h>

#define FIRST_LEN 100 // bytes, until packets tell (RFC 3550 6.3.2: "the probable size")
#define LEN_MAX 65535
#define MINIMUM (5 * TIME_S)          // RFC 3550 6.2
#define FEEDBACK_MINIMUM (1 * TIME_S) // RFC 4585 3.5.1: of the first packet, among many
#define BANDWIDTH_MAX 9000000000u     // bit/s; keeps products within 64 bits
#define INTERVAL_MAX (1000000 * TIME_S)
#define BYE_BACKOFF 50 // members (RFC 3550 6.3.7)
#define MILLION 1000000u
// RFC 3550 6.3.1: e - 3/2, for timer reconsideration ends up below the intended average.
#define COMPENSATION 1218282u // millionths

// part * whole / of, without overflow; `of` and `part` below 2^32.
static nanotime scale(nanotime whole, uint64_t part, uint64_t of)
{
    uint64_t w = (uint64_t)whole;
    return (nanotime)(w / of * part + w % of * part / of);
}

// RFC 3550 6.2, RFC 3556 2: what senders and receivers may use.
static void shares(const struct rtcp_schedule_config *config, uint64_t *senders,
                   uint64_t *receivers)
{
    *senders = config->sender_bandwidth;
    *receivers = config->receiver_bandwidth;
    if (*senders == 0 && *receivers == 0) {
        *senders = config->session_bandwidth / 80; // a quarter of 5 %
        *receivers = config->session_bandwidth / 80 * 3;
    }
}

// n * C of RFC 3550 6.3.1.
static nanotime interval_of(const struct rtcp_schedule *s)
{
    uint64_t sender_share, receiver_share;
    shares(&s->config, &sender_share, &receiver_share);
    uint64_t bandwidth = sender_share + receiver_share, n = s->members;
    // Senders have a share of their own while they are no more than it is worth.
    if (bandwidth && (uint64_t)s->senders * bandwidth <= (uint64_t)s->members * sender_share) {
        bandwidth = s->we_sent ? sender_share : receiver_share;
        n = s->we_sent ? s->senders : s->members - s->senders;
    }
    if (bandwidth == 0) // RFC 3556 2: b=RR:0, receivers send nothing
        return TIME_NEVER;
    if (bandwidth > BANDWIDTH_MAX)
        bandwidth = BANDWIDTH_MAX;
    uint64_t half_bits = n * s->average_len_q4; // bytes times 16
    uint64_t unit = 2 * bandwidth;
    if (half_bits / unit >= (uint64_t)(INTERVAL_MAX / TIME_S))
        return INTERVAL_MAX;
    return (nanotime)(half_bits / unit) * TIME_S +
           (nanotime)(half_bits % unit * (uint64_t)TIME_S / unit);
}

static nanotime minimum_of(const struct rtcp_schedule *s)
{
    if (s->config.feedback) // RFC 4585 3.5.1: none after the first packet, or between two
        return s->initial && !s->config.point_to_point ? FEEDBACK_MINIMUM : 0;
    nanotime minimum = MINIMUM;
    uint64_t kilobits = s->config.session_bandwidth / 1000;
    if (s->config.reduced_minimum && kilobits)
        minimum = time_min(minimum, 360 * TIME_S / (nanotime)kilobits);
    return s->initial ? minimum / 2 : minimum; // RFC 3550 6.3.1
}

// T: the interval with chance, from half of it to one and a half, compensated.
static nanotime random_interval(struct rtcp_schedule *s)
{
    nanotime td = interval_of(s);
    if (td == TIME_NEVER)
        return TIME_NEVER;
    td = time_max(td, minimum_of(s));
    uint64_t factor = MILLION / 2 + rng_below(s->rng, MILLION + 1);
    return time_max(scale(td, factor, COMPENSATION), 1);
}

nanotime rtcp_schedule_interval(const struct rtcp_schedule *s)
{
    // RFC 3550 6.2: timeouts keep to the fixed minimum; RFC 4585 3.5.4: or to T_rr_interval.
    nanotime minimum = s->config.feedback ? s->config.rr_interval : MINIMUM;
    return time_max(interval_of(s), minimum);
}

// tp is `now`, tn an interval later.
static void restart(struct rtcp_schedule *s, nanotime now)
{
    s->interval = random_interval(s);
    s->previous = now;
    s->next = time_add(now, s->interval);
    s->members_previous = s->members;
}

void rtcp_schedule_init(struct rtcp_schedule *s, nanotime now,
                        const struct rtcp_schedule_config *config, struct rng *rng)
{
    *s = (struct rtcp_schedule){.config = *config,
                                .rng = rng,
                                .members = 1,
                                .initial = true,
                                .allow_early = true,
                                .early_at = TIME_NEVER,
                                .last_regular = TIME_NEVER};
    s->average_len_q4 = (config->first_len ? config->first_len : FIRST_LEN) * 16;
    restart(s, now);
}

// RFC 3550 6.3.3: a sixteenth of the new, the rest of the old.
static void average(struct rtcp_schedule *s, size_t len)
{
    uint64_t bounded = len < LEN_MAX ? len : LEN_MAX;
    s->average_len_q4 = bounded + s->average_len_q4 - s->average_len_q4 / 16;
}

void rtcp_schedule_members(struct rtcp_schedule *s, nanotime now, unsigned members,
                           unsigned senders, bool we_sent)
{
    assert(members >= 1 && senders <= members);
    s->spoke = s->spoke || we_sent;
    if (s->leaving) // RFC 3550 6.3.7: members counts BYEs now
        return;
    s->members = members;
    s->senders = senders;
    s->we_sent = we_sent && senders;
    if (members >= s->members_previous)
        return;
    // RFC 3550 6.3.4: reverse reconsideration.
    if (s->next > now && s->next != TIME_NEVER)
        s->next = now + scale(s->next - now, members, s->members_previous);
    if (s->previous < now)
        s->previous = now - scale(now - s->previous, members, s->members_previous);
    s->members_previous = members;
}

void rtcp_schedule_received(struct rtcp_schedule *s, nanotime now, size_t len, bool bye)
{
    (void)now;
    if (s->leaving && !bye) // RFC 3550 6.3.7: while leaving, BYEs alone count
        return;
    average(s, len);
    if (s->leaving)
        s->members++;
}

void rtcp_schedule_feedback_seen(struct rtcp_schedule *s, nanotime now)
{
    (void)now;
    s->early_at = TIME_NEVER; // RFC 4585 3.5.2 (5a): tn stays as it was
    s->feedback_waiting = false;
}

enum rtcp_feedback_when rtcp_schedule_feedback(struct rtcp_schedule *s, nanotime now)
{
    if (s->feedback_waiting) // RFC 4585 3.5.2 (2a)
        return RTCP_FEEDBACK_PENDING;
    s->feedback_waiting = true;
    if (!s->config.feedback || s->leaving)
        return RTCP_FEEDBACK_LATE;
    nanotime dither = s->config.dither_max ? s->config.dither_max : s->interval / 2;
    if (s->config.point_to_point) // RFC 4585 3.5.2 (2b)
        dither = 0;
    // RFC 4585 3.5.2 (3a), (4a): the regular packet is soon enough, or an early one was sent
    // already.
    if (time_add(now, dither) > s->next || !s->allow_early)
        return RTCP_FEEDBACK_LATE;
    uint64_t chance = dither ? rng_below(s->rng, MILLION + 1) : 0;
    s->early_at = time_add(now, scale(dither, chance, MILLION));
    return RTCP_FEEDBACK_EARLY;
}

void rtcp_schedule_leave(struct rtcp_schedule *s, nanotime now, size_t len)
{
    if (s->leaving)
        return;
    s->leaving = true;
    s->early_at = TIME_NEVER;
    if (!s->spoke) { // RFC 3550 6.3.7: never sent a packet, so no BYE either
        s->left = true;
        return;
    }
    if (s->members < BYE_BACKOFF) {
        s->next = now;
        s->previous = now;
        s->interval = 0; // at once: nothing to reconsider
        return;
    }
    s->members = 1;
    s->senders = 0;
    s->we_sent = false;
    s->initial = true;
    s->average_len_q4 = (len < LEN_MAX ? len : LEN_MAX) * 16;
    restart(s, now);
}

static bool give(struct rtcp_schedule *s, enum rtcp_due what, bool in_slot, enum rtcp_due *due)
{
    s->due = what;
    s->in_slot = in_slot;
    s->owed = true;
    *due = what;
    return true;
}

// RFC 4585 3.5.3: with T_rr_interval a regular packet may be left out.
static bool is_spared(struct rtcp_schedule *s)
{
    if (s->leaving || s->config.rr_interval == 0 || s->last_regular == TIME_NEVER)
        return false;
    uint64_t factor = MILLION / 2 + rng_below(s->rng, MILLION + 1);
    return time_add(s->last_regular, scale(s->config.rr_interval, factor, MILLION)) > s->next;
}

// RFC 3550 6.3.6: by the numbers of now, would the time be later? Then it is.
static bool reconsider(struct rtcp_schedule *s, nanotime now)
{
    if (s->leaving && s->interval == 0)
        return false;
    nanotime interval = random_interval(s);
    nanotime next = time_add(s->previous, interval);
    s->members_previous = s->members;
    if (next <= now)
        return false;
    s->interval = interval;
    s->next = next;
    return true;
}

bool rtcp_schedule_poll(struct rtcp_schedule *s, nanotime now, enum rtcp_due *due)
{
    assert(!s->owed); // rtcp_schedule_sent comes first
    if (s->left)
        return false;
    if (s->early_at <= now && s->early_at <= s->next)
        return give(s, RTCP_DUE_EARLY, false, due);
    if (s->next > now || reconsider(s, now))
        return false;
    if (s->leaving)
        return give(s, RTCP_DUE_BYE, true, due);
    if (!is_spared(s))
        return give(s, RTCP_DUE_REGULAR, true, due);
    if (s->feedback_waiting) // RFC 4585 3.5.3 (2b)
        return give(s, RTCP_DUE_EARLY, true, due);
    s->suppressed++; // RFC 4585 3.5.3 (2c)
    s->allow_early = true;
    restart(s, now);
    return false;
}

void rtcp_schedule_sent(struct rtcp_schedule *s, nanotime now, size_t len)
{
    assert(s->owed);
    s->owed = false;
    s->spoke = true;
    s->feedback_waiting = false;
    s->early_at = TIME_NEVER;
    if (s->due == RTCP_DUE_BYE) {
        s->left = true;
        return;
    }
    average(s, len);
    if (!s->in_slot) {
        // RFC 4585 3.5.2 (6): one regular packet is skipped for the early one.
        nanotime skipped = s->next;
        s->allow_early = false;
        s->next = time_add(s->previous, time_add(s->interval, s->interval));
        s->previous = skipped == TIME_NEVER ? now : skipped;
        return;
    }
    s->allow_early = true;
    if (s->due == RTCP_DUE_REGULAR) {
        s->last_regular = s->next;
        s->initial = false;
    }
    restart(s, now);
}

nanotime rtcp_schedule_deadline(const struct rtcp_schedule *s)
{
    return s->left ? TIME_NEVER : time_min(s->next, s->early_at);
}
