// What reading and writing a description costs.
#include "base/bench.h"
#include "base/clock.h"
#include "stack/sdp/sdp.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 20000

static struct sdp sdp;

// Microseconds of one description read.
static double take_parse(void *user)
{
    const struct bytes *text = user;
    nanotime start = clock_cpu();
    for (unsigned i = 0; i < ROUNDS; i++)
        if (sdp_parse(*text, &sdp) != SDP_OK)
            exit(1);
    return (double)(clock_cpu() - start) / 1e3 / ROUNDS;
}

struct writing {
    struct text text;
    struct sdp_local local;
};

// Microseconds of one description written.
static double take_write(void *user)
{
    struct writing *writing = user;
    nanotime start = clock_cpu();
    for (unsigned i = 0; i < ROUNDS; i++) {
        text_clear(&writing->text);
        sdp_write_offer(&writing->text, &writing->local);
    }
    return (double)(clock_cpu() - start) / 1e3 / ROUNDS;
}

static void bench_parse(const char *name, struct bytes text)
{
    printf("%s\t%.2f\tus\n", name, bench_median(take_parse, &text));
}

int main(void)
{
    static const struct ice_credentials credentials = {"EsAw", "P2uYro0UCOQ4zxjKXaWCBui1"};
    static const struct dtls_fingerprint fingerprint = {
        "sha-256",
        "49:66:12:17:0D:1C:91:AE:57:4C:C6:36:DD:D5:97:D2:7D:62:C9:9A:7F:B9:A3:F4:70:03:E7:43:91:73:"
        "23:5E"};
    struct ice_candidate candidates[3];
    for (unsigned i = 0; i < 3; i++)
        candidates[i] = (struct ice_candidate){.type = ICE_HOST,
                                               .addr = {ip_v4(192, 0, 2, (uint8_t)i), 50000},
                                               .priority = 2130706431,
                                               .component = 1,
                                               .foundation = "1"};
    struct writing own = {.local = {.session_id = 4611731400430051336,
                                    .session_version = 2,
                                    .credentials = &credentials,
                                    .trickle = true,
                                    .end_of_candidates = true,
                                    .fingerprint = &fingerprint,
                                    .setup = SDP_SETUP_ACTPASS,
                                    .candidates = candidates,
                                    .candidates_count = 3,
                                    .sctp_port = 5000,
                                    .max_message_size = 262144}};
    printf("sdp_write_own_us\t%.2f\tus\n", bench_median(take_write, &own));
    bench_parse("sdp_parse_own_us", text_bytes(&own.text));
    text_free(&own.text);

    static char chrome[8192];
    FILE *file = fopen("stack/sdp/testdata/chrome-data-audio-video-offer.sdp", "rb");
    if (!file)
        return 1;
    size_t len = fread(chrome, 1, sizeof chrome, file);
    fclose(file);
    bench_parse("sdp_parse_chrome_us", bytes_of(chrome, len));
    return 0;
}
