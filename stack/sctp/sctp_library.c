// usrsctp's start and end in each run, and what it is given instead of the system: chance, no
// threads, no network interfaces.
#include <usrsctp.h>
#undef SCTP_CLOSED // usrsctp's name for 0

#include "stack/sctp/sctp_priv.h"

#include "base/arena.h"
#include "base/libenv.h"

#include <assert.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdlib.h>

#define STOP_ROUNDS_MAX 1000
#define STOP_ROUND (100 * TIME_MS)
#define ASSOCIATION_BUCKETS 2048

static struct {
    bool running;
    bool starting;
    struct rng rng;
    struct sctp **table; // by number; [0] is never used
    size_t count, max;
    size_t alive;
} library;

// usrsctp calls the wrapped names; see SCTP_WRAP in the Makefile.
void __real_sctp_init_sysctls(void);
void __wrap_sctp_init_sysctls(void);
void __wrap_read_random(void *to, size_t len);
int __wrap_sctp_userspace_thread_create(void *thread, void *start);
int __real_getifaddrs(struct ifaddrs **out);
int __wrap_getifaddrs(struct ifaddrs **out);

// Its table of associations has 31 times as many buckets as the first of these says: made for a
// host that serves the world, it is 128 KiB to clear and to walk in every run. Set before it is
// made.
void __wrap_sctp_init_sysctls(void)
{
    __real_sctp_init_sysctls();
    usrsctp_tunable_set_sctp_hashtblsize(ASSOCIATION_BUCKETS / 31);
}

void __wrap_read_random(void *to, size_t len)
{
    libenv_random(to, len);
}

// usrsctp starts one thread even with "nothreads", for address changes that we never make.
int __wrap_sctp_userspace_thread_create(void *thread, void *start)
{
    (void)thread, (void)start;
    return EAGAIN;
}

// The host's interfaces are none of usrsctp's business.
int __wrap_getifaddrs(struct ifaddrs **out)
{
    if (!library.starting)
        return __real_getifaddrs(out);
    errno = ENOSYS;
    return -1;
}

static int packet_out(void *address, void *packet, size_t len, uint8_t tos, uint8_t fragment)
{
    (void)tos, (void)fragment;
    uintptr_t id = (uintptr_t)address;
    if (id < library.count && library.table[id])
        sctp_packet_out(library.table[id], bytes_of(packet, len));
    return 0;
}

void sctp_library_start(nanotime now)
{
    assert(!library.running);
    library.running = true;
    library.rng = rng_seed(0, "sctp library");
    struct libenv env = libenv_enter(now, &library.rng);
    sctp_timers_library_init();
    library.starting = true;
    usrsctp_init_nothreads(0, packet_out, NULL);
    library.starting = false;
    sctp_timers_library_check();

    usrsctp_sysctl_set_sctp_blackhole(2);  // say nothing to packets of no association
    usrsctp_sysctl_set_sctp_ecn_enable(0); // RFC 8261 6.1: DTLS hides the ECN bits
    usrsctp_sysctl_set_sctp_asconf_enable(0);
    usrsctp_sysctl_set_sctp_auto_asconf(0);
    usrsctp_sysctl_set_sctp_auth_enable(0);
    usrsctp_sysctl_set_sctp_nrsack_enable(0);
    usrsctp_sysctl_set_sctp_pktdrop_enable(0);
    usrsctp_sysctl_set_sctp_rto_initial_default(1000); // RFC 9260 16
    usrsctp_sysctl_set_sctp_rto_min_default(1000);
    usrsctp_sysctl_set_sctp_rto_max_default(60000);
    usrsctp_sysctl_set_sctp_max_chunks_on_queue(UINT32_MAX); // the send buffer is the bound
    libenv_leave(env);
}

void sctp_library_stop(void)
{
    assert(library.running);
    assert(library.alive == 0);
    nanotime now = libenv_now();
    struct libenv env = libenv_enter(now, &library.rng);
    int left = usrsctp_finish();
    for (int i = 0; left != 0 && i < STOP_ROUNDS_MAX; i++) {
        now += STOP_ROUND;
        libenv_enter(now, &library.rng);
        sctp_timers_library_fire(now);
        left = usrsctp_finish();
    }
    assert(left == 0); // else its memory would be lost, and seen by the next run
    libenv_leave(env);
    free(library.table);
    library.table = NULL;
    library.count = library.max = 0;
    library.running = false;
}

uintptr_t sctp_library_add(struct sctp *sctp)
{
    assert(library.running);
    if (library.count == library.max) {
        library.max = library.max ? library.max * 2 : 64;
        library.table = mem_grow(library.table, library.max * sizeof *library.table);
    }
    if (library.count == 0)
        library.table[library.count++] = NULL; // 0 would look like a wildcard
    library.table[library.count] = sctp;
    library.alive++;
    return library.count++;
}

void sctp_library_remove(uintptr_t id)
{
    assert(library.table[id]);
    library.table[id] = NULL;
    library.alive--;
}
