#include "stack/congestion/throughput_priv.h"

#define WINDOW (150 * TIME_MS)
#define WINDOW_FIRST (500 * TIME_MS)
#define SILENCE_MAX (2 * TIME_S)
#define VARIANCE_START 50.0
#define VARIANCE_DRIFT 5.0
#define VARIANCE_CHANGE 200.0
#define UNCERTAINTY 10.0

void throughput_init(struct throughput *throughput)
{
    *throughput = (struct throughput){.variance = VARIANCE_START};
}

static void sample_add(struct throughput *throughput, double sample)
{
    if (!throughput->known) {
        throughput->known = true;
        throughput->kbps = sample;
        return;
    }
    double error = throughput->kbps - sample;
    double uncertainty = UNCERTAINTY * error / (throughput->kbps > 1 ? throughput->kbps : 1);
    double sample_variance = uncertainty * uncertainty;
    double variance = throughput->variance + VARIANCE_DRIFT;
    double sum = sample_variance + variance;
    throughput->kbps = (sample_variance * throughput->kbps + variance * sample) / sum;
    throughput->variance = sample_variance * variance / sum;
}

void throughput_packet(struct throughput *throughput, nanotime arrived, uint32_t size)
{
    nanotime span = arrived - throughput->window_at;
    if (!throughput->started || span < 0 || span > SILENCE_MAX) {
        throughput->started = true;
        throughput->window_at = arrived;
        throughput->bytes = size;
        return;
    }
    // The packet that ends a window is the first of the next: bytes and time then belong together.
    if (span >= (throughput->known ? WINDOW : WINDOW_FIRST)) {
        sample_add(throughput, (double)throughput->bytes * 8e6 / (double)span);
        throughput->window_at = arrived;
        throughput->bytes = 0;
    }
    throughput->bytes += size;
}

void throughput_expect_change(struct throughput *throughput)
{
    throughput->variance += VARIANCE_CHANGE;
}

double throughput_bps(const struct throughput *throughput)
{
    return throughput->known ? throughput->kbps * 1000 : 0;
}
