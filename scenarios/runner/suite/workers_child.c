#define _GNU_SOURCE // prctl, setitimer
#include "scenarios/runner/suite/workers_priv.h"

#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifndef HAS_ASAN
#define HAS_ASAN 0
#endif

// The end of a worker whose pool is gone; nobody is there to read it.
#define EXIT_ORPHAN 0

static bool receive(int fd, uint8_t *to, size_t len)
{
    while (len) {
        ssize_t got = recv(fd, to, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got;
        len -= (size_t)got;
    }
    return true;
}

static void deliver(int fd, struct bytes bytes)
{
    while (bytes.len) {
        ssize_t sent = send(fd, bytes.at, bytes.len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            _exit(EXIT_ORPHAN);
        bytes = bytes_from(bytes, (size_t)sent);
    }
}

static void say(int fd, uint32_t kind, uint32_t task, struct bytes payload)
{
    uint8_t head[MESSAGE_HEAD_LEN];
    struct writer w = writer_of(head, sizeof head);
    write_u32(&w, kind);
    write_u32(&w, task);
    write_u32(&w, (uint32_t)payload.len);
    deliver(fd, writer_bytes(&w));
    deliver(fd, payload);
}

// Bytes of address space that this process has; 0: unknown.
static uint64_t memory_now(void)
{
    char text[64];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    size_t len = 0;
    while (got > 0 && len < (size_t)got && text[len] != ' ')
        len++;
    uint64_t pages;
    if (!bytes_parse_u64(bytes_of(text, len), UINT32_MAX, &pages))
        return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void limit_memory(uint64_t more)
{
    uint64_t now = memory_now();
    struct rlimit limit;
    if (HAS_ASAN || now == 0 || getrlimit(RLIMIT_AS, &limit) != 0)
        return;
    rlim_t wanted = more == 0 ? limit.rlim_max : (rlim_t)(now + more);
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    setrlimit(RLIMIT_AS, &limit);
}

// 0 disarms. The default action of SIGPROF ends the process, which is what is wanted.
static void limit_cpu(nanotime span)
{
    struct itimerval timer = {
        .it_value = {.tv_sec = span / TIME_S, .tv_usec = span % TIME_S / TIME_US}};
    if (span > 0 && span < TIME_US)
        timer.it_value.tv_usec = 1;
    setitimer(ITIMER_PROF, &timer, NULL);
}

// A signal to the whole group, such as Ctrl-C, is the pool's to act on.
static void leave_signals_to_the_pool(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, normal = {.sa_handler = SIG_DFL};
    sigaction(SIGINT, &ignore, NULL);
    sigaction(SIGTERM, &ignore, NULL);
    sigaction(SIGHUP, &ignore, NULL);
    sigaction(SIGPROF, &normal, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn void worker_main(const struct workers_config *config, int fd, pid_t parent)
{
    leave_signals_to_the_pool();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) // it died before the line above
        _exit(EXIT_ORPHAN);
    struct rlimit no_core = {0};
    setrlimit(RLIMIT_CORE, &no_core); // a crash is a row of the report, not a file on the disk

    struct err err = {0};
    bool started = config->start(config->user, &err);
    struct text out = {0};
    uint8_t order[4];
    while (receive(fd, order, sizeof order)) {
        struct reader r = reader_of(bytes_of(order, sizeof order));
        uint32_t task = read_u32(&r);
        text_clear(&out);
        struct workers_limits limits = config->limits(config->user, task);
        limit_memory(limits.memory);
        limit_cpu(limits.cpu);
        bool ran = started && config->run(config->user, task, &out, &err);
        limit_cpu(0);
        limit_memory(0);
        if (ran)
            say(fd, MESSAGE_DONE, task, text_bytes(&out));
        else
            say(fd, MESSAGE_ERROR, task, bytes_text(err.text));
    }
    _exit(EXIT_ORPHAN);
}
