#include "stack/congestion/loss_priv.h"

#include "stack/congestion/aimd_priv.h"

#define EXPECTED_MIN 20 // packets that a fraction is worth taking of
#define LOW_256 5.12    // 2 %
#define HIGH_256 25.6   // 10 %
#define CUT_INTERVAL (300 * TIME_MS)
#define START_PHASE (2 * TIME_S)
#define GROWTH_BPS 1000.0 // a second, besides the 8 %
#define TIMEOUT_FACTOR 0.8

void loss_init(struct loss *loss, nanotime now, double bps)
{
    *loss = (struct loss){.bps = bps, .started_at = now};
}

void loss_count(struct loss *loss, int64_t lost, int64_t expected)
{
    loss->lost += lost;
    loss->expected += expected;
    if (loss->expected < EXPECTED_MIN)
        return;
    int64_t part = loss->lost > 0 ? loss->lost * 256 / loss->expected : 0;
    // What is owed (packets told as lost that came after all) belongs to reports of the past.
    loss->lost = loss->expected = 0;
    loss_fraction(loss, part > 255 ? 255 : (uint32_t)part);
}

void loss_fraction(struct loss *loss, uint32_t fraction_256)
{
    loss->fraction_256 = fraction_256;
    loss->known = loss->fresh = true;
}

static void grow(struct loss *loss, nanotime now)
{
    nanotime span = loss->grown ? now - loss->grown_at : 0;
    if (span > 6 * TIME_S)
        span = 6 * TIME_S;
    loss->bps = loss->bps * rate_growth(span) + GROWTH_BPS * (double)span / (double)TIME_S;
}

void loss_update(struct loss *loss, nanotime now, nanotime rtt, double limit_bps, bool limit_known)
{
    double lost = loss->fraction_256;
    if (loss->known && lost > HIGH_256) {
        // draft 6: As(i) = As(i-1) * (1 - 0.5 p), once for each report and round trip.
        if (loss->fresh && (!loss->cut || now - loss->cut_at >= CUT_INTERVAL + rtt)) {
            loss->bps = loss->bps * (512 - lost) / 512;
            loss->cut = true;
            loss->cut_at = now;
            loss->fresh = false;
        }
    } else if (loss->known && lost <= LOW_256) {
        grow(loss, now);
    }
    loss->grown = true;
    loss->grown_at = now;
    bool starting = now - loss->started_at < START_PHASE && loss->fraction_256 == 0;
    if (loss->bps > limit_bps || (starting && limit_known))
        loss->bps = limit_bps;
}

void loss_timeout(struct loss *loss)
{
    loss->bps *= TIMEOUT_FACTOR;
    loss->lost = loss->expected = 0;
    loss->grown = false;
}
