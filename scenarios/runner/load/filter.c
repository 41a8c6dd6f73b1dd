#define _DEFAULT_SOURCE // pcap.h speaks of u_char
#include "scenarios/runner/load/filter.h"

#include <pcap/pcap.h>

#define SNAPSHOT_LEN 262144

bool filter_check(const char *filter, struct err_mark mark, struct err *err)
{
    pcap_t *pcap = pcap_open_dead(DLT_RAW, SNAPSHOT_LEN);
    struct bpf_program program;
    bool compiled = pcap_compile(pcap, &program, filter, 1, PCAP_NETMASK_UNKNOWN) == 0;
    if (compiled)
        pcap_freecode(&program);
    else
        err_at(err, mark, "expected a pcap filter, got '%s': %s", filter, pcap_geterr(pcap));
    pcap_close(pcap);
    return compiled;
}

static uint64_t count(const struct bpf_program *program, const struct world *world,
                      unsigned capture, uint32_t *first)
{
    uint64_t matching = 0;
    unsigned packets = world_capture_count(world, capture);
    for (unsigned i = 1; i <= packets; i++) {
        struct bytes bytes = world_capture_packet(world, capture, i).bytes;
        struct pcap_pkthdr header = {.caplen = (bpf_u_int32)bytes.len,
                                     .len = (bpf_u_int32)bytes.len};
        if (pcap_offline_filter(program, &header, bytes.at) == 0)
            continue;
        matching++;
        *first = *first ? *first : i;
    }
    return matching;
}

uint64_t filter_count(const char *filter, const struct world *world, int capture, uint32_t *first)
{
    pcap_t *pcap = pcap_open_dead(DLT_RAW, SNAPSHOT_LEN);
    struct bpf_program program;
    uint64_t matching = 0;
    *first = 0;
    if (capture >= 0 && pcap_compile(pcap, &program, filter, 1, PCAP_NETMASK_UNKNOWN) == 0) {
        matching = count(&program, world, (unsigned)capture, first);
        pcap_freecode(&program);
    }
    pcap_close(pcap);
    return matching;
}
