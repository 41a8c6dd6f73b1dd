#define _GNU_SOURCE // RTLD_NEXT; pcap.h speaks of u_char
#include "scenarios/runner/load/filter.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pcap/pcap.h>

#define SNAPSHOT_LEN 262144

// ------------------------------------------------------------------------------------------- names

// A filter may name hosts and networks, and libpcap would ask this machine's resolver for them: the
// verdict would hang on it. As with the clock in base/libenv.c the whole program gets these
// functions, which know numbers alone while a filter is compiled.
static bool nameless;

__attribute__((visibility("default"))) int getaddrinfo(const char *restrict node,
                                                       const char *restrict service,
                                                       const struct addrinfo *restrict hints,
                                                       struct addrinfo **restrict found)
{
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = NULL;
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&next, &symbol, sizeof next);
    struct addrinfo numbers = hints ? *hints : (struct addrinfo){0};
    numbers.ai_flags |= AI_NUMERICHOST;
    return next ? next(node, service, nameless && node ? &numbers : hints, found) : EAI_SYSTEM;
}

__attribute__((visibility("default"))) int
getnetbyname_r(const char *restrict name, struct netent *restrict entry, char *restrict room,
               size_t len, struct netent **restrict found, int *restrict why)
{
    int (*next)(const char *, struct netent *, char *, size_t, struct netent **, int *) = NULL;
    void *symbol = dlsym(RTLD_NEXT, "getnetbyname_r");
    memcpy(&next, &symbol, sizeof next);
    *found = NULL;
    *why = HOST_NOT_FOUND;
    return nameless || !next ? 0 : next(name, entry, room, len, found, why);
}

static bool compile(pcap_t *pcap, struct bpf_program *program, const char *filter)
{
    nameless = true;
    bool compiled = pcap_compile(pcap, program, filter, 1, PCAP_NETMASK_UNKNOWN) == 0;
    nameless = false;
    return compiled;
}

// ----------------------------------------------------------------------------------------- filters

bool filter_check(const char *filter, struct err_mark mark, struct err *err)
{
    pcap_t *pcap = pcap_open_dead(DLT_RAW, SNAPSHOT_LEN);
    struct bpf_program program;
    bool compiled = compile(pcap, &program, filter);
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
    if (capture >= 0 && compile(pcap, &program, filter)) {
        matching = count(&program, world, (unsigned)capture, first);
        pcap_freecode(&program);
    }
    pcap_close(pcap);
    return matching;
}
