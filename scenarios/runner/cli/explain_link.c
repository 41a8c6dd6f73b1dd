// Links, NATs and firewalls in words.

#include "scenarios/runner/cli/explain.h"

#include <inttypes.h>
#include <stdio.h>

// Per billion as a percentage with the digits it takes.
static void percent(struct text *to, uint32_t per_billion)
{
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%" PRIu32 ".%07" PRIu32,
                       per_billion / (RNG_BILLION / 100), per_billion % (RNG_BILLION / 100));
    while (digits[len - 1] == '0')
        len--;
    if (digits[len - 1] == '.')
        len--;
    text_printf(to, "%.*s%%", len, digits);
}

static void rate(struct text *to, uint64_t bps)
{
    static const struct {
        const char *name;
        uint64_t unit;
    } units[] = {{"Gbps", 1000000000}, {"Mbps", 1000000}, {"kbps", 1000}, {"bps", 1}};
    unsigned i = 0;
    while (bps % units[i].unit != 0)
        i++;
    text_printf(to, "%" PRIu64 "%s", bps / units[i].unit, units[i].name);
}

static void comma(struct text *to, size_t start)
{
    if (to->len > start)
        text_put(to, ", ");
}

static void share(struct text *to, size_t start, uint32_t per_billion, const char *what)
{
    if (per_billion == 0)
        return;
    comma(to, start);
    percent(to, per_billion);
    text_printf(to, " %s", what);
}

void explain_link(struct text *to, const struct link_config *link)
{
    size_t start = to->len;
    char time[TIME_TEXT_MAX];
    if (link->down)
        text_put(to, "down");
    if (link->delay) {
        comma(to, start);
        text_printf(to, "%s delay", time_print(link->delay, time));
    }
    if (link->jitter) {
        comma(to, start);
        text_printf(to, "%s %sjitter%s", time_print(link->jitter, time),
                    link->shape == JITTER_NORMAL ? "normal " : "",
                    link->jitter_reorders ? " that reorders" : "");
    }
    share(to, start, link->loss, "loss");
    if (link->loss && link->loss_burst > 1)
        text_printf(to, " in bursts of %" PRIu32, link->loss_burst);
    share(to, start, link->duplicate, "duplicates");
    share(to, start, link->reorder, "reordered");
    if (link->reorder)
        text_printf(to, " by %s", time_print(link->reorder_by, time));
    share(to, start, link->corrupt, "corrupt");
    if (link->rate_bps) {
        comma(to, start);
        rate(to, link->rate_bps);
    }
    if (link->queue_bytes) {
        comma(to, start);
        text_printf(to, "queue %" PRIu32 " bytes", link->queue_bytes);
    }
    if (link->discipline == LINK_CODEL) {
        comma(to, start);
        text_put(to, "CoDel");
        if (link->codel_target)
            text_printf(to, " with target %s", time_print(link->codel_target, time));
        if (link->codel_interval)
            text_printf(to, " with interval %s", time_print(link->codel_interval, time));
    }
    if (link->mtu) {
        comma(to, start);
        text_printf(to, "MTU %" PRIu32, link->mtu);
    }
    if (to->len == start)
        text_put(to, "perfect");
}

static const char *classic(const struct nat_config *nat)
{
    static const char *const names[3][3] = {
        [NAT_ENDPOINT_INDEPENDENT] = {"full-cone", "restricted-cone", "port-restricted"},
        [NAT_ADDRESS_AND_PORT_DEPENDENT] = {[NAT_ADDRESS_AND_PORT_DEPENDENT] = "symmetric"},
    };
    return names[nat->mapping][nat->filtering];
}

void explain_nat(struct text *to, const struct nat_config *nat)
{
    static const char *const ports[] = {"preserved", "overloaded", "sequential", "random"};
    static const char *const hairpins[] = {"no hairpinning", "hairpinning",
                                           "hairpinning with internal source"};
    char time[TIME_TEXT_MAX];
    const char *name = classic(nat);
    if (name)
        text_printf(to, "%s NAT", name);
    else
        text_printf(to, "NAT with %s mapping and %s filtering", nat_dependence_name(nat->mapping),
                    nat_dependence_name(nat->filtering));
    text_printf(to, ", ports %s, %s", ports[nat->ports], hairpins[nat->hairpin]);
    text_printf(to, ", mappings live %s",
                time_print(nat->lifetime ? nat->lifetime : 120 * TIME_S, time));
    if (nat->filter_lifetime)
        text_printf(to, ", filters %s", time_print(nat->filter_lifetime, time));
    if (nat->mappings_max)
        text_printf(to, ", at most %u, then %s", nat->mappings_max,
                    nat->mappings_evict ? "the oldest goes" : "refused");
}
