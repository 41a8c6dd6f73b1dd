// The E-model (ITU-T G.107), and the two functions it needs that are not plain arithmetic.
#include "stack/media/mos.h"

static double clamp(double value, double low, double high)
{
    if (!(value >= low)) // not-a-number too
        return low;
    return value > high ? high : value;
}

// Of 1 and more: halve to 1..2, then a bit for each squaring.
static double log2_of(double x)
{
    double whole = 0;
    for (; x >= 2; x /= 2)
        whole += 1;
    double part = 0;
    for (double bit = 0.5; bit > 1e-13; bit /= 2) {
        x *= x;
        if (x >= 2) {
            x /= 2;
            part += bit;
        }
    }
    return whole + part;
}

// Of 1 and more, by Newton from above: y^6 = x. 200 steps of at least 1/6 reach any x below 1e15.
static double sixth_root(double x)
{
    double y = x;
    for (int i = 0; i < 200; i++)
        y -= (y - x / (y * y * y * y * y)) / 6;
    return y;
}

static double sixth_power(double x)
{
    return x * x * x * x * x * x;
}

// G.107 7.4: Idd is 0 up to 100 ms.
static double idd_of(double delay_ms)
{
    if (delay_ms <= 100)
        return 0;
    double x = log2_of(delay_ms / 100);
    return 25 * (sixth_root(1 + sixth_power(x)) - 3 * sixth_root(1 + sixth_power(x / 3)) + 2);
}

static double bpl_of(enum mos_codec codec)
{
    return codec == MOS_OPUS ? 20 : 25.1;
}

struct mos mos_estimate(const struct mos_input *input)
{
    double loss = clamp(input->loss_percent, 0, 100);
    double burst = clamp(input->burst_ratio, 1, 1000);
    struct mos out = {0};
    out.idd = idd_of(clamp(input->delay_ms, 0, 10000));
    // G.107 7.5: Ie,eff = Ie + (95 - Ie) * Ppl / (Ppl / BurstR + Bpl), Ie 0
    out.ie_eff = 95 * loss / (loss / burst + bpl_of(input->codec));
    out.r = clamp(93.2 - out.idd - out.ie_eff, 0, 100);
    // G.107 Annex B; its cubic dips below 1 for small R
    out.mos = clamp(1 + 0.035 * out.r + out.r * (out.r - 60) * (100 - out.r) * 7e-6, 1, 4.5);
    return out;
}
