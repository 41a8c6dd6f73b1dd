#include "stack/congestion/trend_priv.h"

#include <assert.h>

#define GROUP_LENGTH (5 * TIME_MS) // draft 5.1: burst_time
#define BURST_GAP (5 * TIME_MS)    // arrivals closer than this may be one burst ...
#define BURST_MAX (100 * TIME_MS)  // ... of at most so much
#define SILENCE_MAX (2 * TIME_S)   // after it, delays from before say nothing
#define CLOCK_JUMP (3 * TIME_S)    // of the receiver's clock against ours
#define REORDERED_MAX 3

#define SMOOTHING 0.9
#define GAIN 4.0
#define DELTAS_SCALED 60u // the trend counts for more the more was seen, up to this
#define DELTAS_MAX 1000u
#define OVER_TIME_MS 10.0 // draft 5.3: overuse_time_th

#define THRESHOLD_START_MS 12.5 // draft 5.4: del_var_th(0)
#define THRESHOLD_MIN_MS 6.0
#define THRESHOLD_MAX_MS 600.0
#define THRESHOLD_UP 0.0087
#define THRESHOLD_DOWN 0.039
#define ADAPT_OFFSET_MS 15.0
#define ADAPT_STEP_MAX_MS 100.0

static double to_ms(nanotime span)
{
    return (double)span / (double)TIME_MS;
}

static double absolute(double x)
{
    return x < 0 ? -x : x;
}

void trend_init(struct trend *trend)
{
    *trend = (struct trend){.threshold_ms = THRESHOLD_START_MS, .usage = GCC_NORMAL};
}

// Least squares through the points of the window. False: they all have the same x.
static bool line_slope(const struct trend *trend, double *slope)
{
    double x_sum = 0, y_sum = 0;
    for (unsigned i = 0; i < TREND_WINDOW; i++) {
        x_sum += trend->x_ms[i];
        y_sum += trend->y_ms[i];
    }
    double x_mean = x_sum / TREND_WINDOW, y_mean = y_sum / TREND_WINDOW;
    double xy = 0, xx = 0;
    for (unsigned i = 0; i < TREND_WINDOW; i++) {
        double x = trend->x_ms[i] - x_mean;
        xy += x * (trend->y_ms[i] - y_mean);
        xx += x * x;
    }
    if (xx <= 0)
        return false;
    *slope = xy / xx;
    return true;
}

// draft-ietf-rmcat-gcc-02 5.4: the threshold follows the trend, slowly up and faster down; a spike
// far above it is not followed at all.
static void threshold_adapt(struct trend *trend, nanotime arrived)
{
    double size = absolute(trend->scaled_ms);
    double step_ms = trend->adapted ? to_ms(arrived - trend->adapted_at) : 0;
    trend->adapted = true;
    trend->adapted_at = arrived;
    if (size > trend->threshold_ms + ADAPT_OFFSET_MS)
        return;
    if (step_ms > ADAPT_STEP_MAX_MS)
        step_ms = ADAPT_STEP_MAX_MS;
    double k = size < trend->threshold_ms ? THRESHOLD_DOWN : THRESHOLD_UP;
    double next = trend->threshold_ms + k * (size - trend->threshold_ms) * step_ms;
    if (next < THRESHOLD_MIN_MS)
        next = THRESHOLD_MIN_MS;
    trend->threshold_ms = next > THRESHOLD_MAX_MS ? THRESHOLD_MAX_MS : next;
}

// draft-ietf-rmcat-gcc-02 5.3: overuse is signalled only when the trend stays above the threshold
// for some time and is not falling already.
static void detect(struct trend *trend, double slope, double sent_ms, nanotime arrived)
{
    if (trend->deltas < 2)
        return;
    unsigned weight = trend->deltas < DELTAS_SCALED ? trend->deltas : DELTAS_SCALED;
    trend->scaled_ms = weight * slope * GAIN;
    if (trend->scaled_ms > trend->threshold_ms) {
        trend->over_ms = trend->over ? trend->over_ms + sent_ms : sent_ms / 2;
        trend->over = true;
        trend->over_count++;
        if (trend->over_ms > OVER_TIME_MS && trend->over_count > 1 && slope >= trend->slope) {
            trend->over_ms = 0;
            trend->over_count = 0;
            trend->usage = GCC_OVERUSE;
        }
    } else {
        trend->over = false;
        trend->over_count = 0;
        trend->usage = trend->scaled_ms < -trend->threshold_ms ? GCC_UNDERUSE : GCC_NORMAL;
    }
    trend->slope = slope;
    threshold_adapt(trend, arrived);
}

static void line_add(struct trend *trend, double sent_ms, double arrived_ms, nanotime arrived)
{
    if (trend->deltas == 0)
        trend->origin = arrived;
    if (trend->deltas < DELTAS_MAX)
        trend->deltas++;
    trend->accumulated_ms += arrived_ms - sent_ms;
    trend->smoothed_ms = SMOOTHING * trend->smoothed_ms + (1 - SMOOTHING) * trend->accumulated_ms;

    trend->x_ms[trend->next] = to_ms(arrived - trend->origin);
    trend->y_ms[trend->next] = trend->smoothed_ms;
    trend->next = (trend->next + 1) % TREND_WINDOW;
    if (trend->points < TREND_WINDOW)
        trend->points++;

    double slope = trend->slope;
    if (trend->points == TREND_WINDOW)
        line_slope(trend, &slope);
    detect(trend, slope, sent_ms, arrived);
}

// draft-ietf-rmcat-gcc-02 5.2: packets that come in close together though sent apart were held up
// on the way (a Wi-Fi that was busy) and are one burst: part of the group before.
static bool is_burst(const struct trend_group *group, nanotime sent, nanotime arrived)
{
    nanotime sent_gap = sent - group->last_sent;
    nanotime arrived_gap = arrived - group->last_arrived;
    if (sent_gap == 0)
        return true;
    return arrived_gap < sent_gap && arrived_gap <= BURST_GAP &&
           arrived - group->first_arrived < BURST_MAX;
}

// The group `current` is complete. True if it is comparable with the one before.
static bool group_done(struct trend *trend)
{
    const struct trend_group *current = &trend->current, *previous = &trend->previous;
    if (!previous->used)
        return true;
    nanotime arrived = current->last_arrived - previous->last_arrived;
    if (arrived - (current->seen - previous->seen) >= CLOCK_JUMP) {
        trend_init(trend);
        return false;
    }
    if (arrived < 0) {
        if (++trend->reordered >= REORDERED_MAX)
            trend_init(trend);
        return false;
    }
    trend->reordered = 0;
    line_add(trend, to_ms(current->last_sent - previous->last_sent), to_ms(arrived),
             current->last_arrived);
    return true;
}

bool trend_packet(struct trend *trend, nanotime now, nanotime sent, nanotime arrived)
{
    struct trend_group *group = &trend->current;
    if (group->used && now - group->seen > SILENCE_MAX)
        trend_init(trend);
    bool looked = false;
    if (group->used && sent < group->first_sent)
        return false; // reordered on the way: of a group that is done
    if (group->used && !is_burst(group, sent, arrived) && sent - group->first_sent > GROUP_LENGTH) {
        unsigned deltas = trend->deltas;
        if (group_done(trend) && trend->current.used)
            trend->previous = trend->current;
        looked = trend->deltas != deltas || deltas == DELTAS_MAX;
        group->used = false;
    }
    if (!group->used)
        *group = (struct trend_group){
            .used = true, .first_sent = sent, .last_sent = sent, .first_arrived = arrived};
    if (sent > group->last_sent)
        group->last_sent = sent;
    group->last_arrived = arrived;
    group->seen = now;
    return looked;
}
