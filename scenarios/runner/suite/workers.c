#define _GNU_SOURCE // ppoll, signalfd
#include "scenarios/runner/suite/workers.h"

#include "base/arena.h"
#include "scenarios/runner/suite/workers_priv.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_TASK UINT32_MAX
#define TICK (100 * TIME_MS)

struct worker {
    pid_t pid; // 0: this place is free
    int fd;
    uint32_t task; // NO_TASK: it waits for one
    nanotime deadline;
    bool killed_at_wall;
    struct text inbox;
};

struct pool {
    const struct workers_config *config;
    struct worker *workers;
    unsigned jobs;
    uint32_t next; // the first task that nobody has got
    bool stopped;  // hand out no more
    unsigned idle_deaths;
    int signals;      // SIGINT and SIGTERM are read from here
    bool interrupted; // one was
    struct err *err;
};

// ------------------------------------------------------------------------------- life and death

static bool worker_start(struct pool *pool, struct worker *worker)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return err_set(pool->err, "cannot start a worker: %s", strerror(errno));
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        for (unsigned i = 0; i < pool->jobs; i++) {
            if (pool->workers[i].pid)
                close(pool->workers[i].fd);
        }
        worker_main(pool->config, pair[1], parent);
    }
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return err_set(pool->err, "cannot start a worker: %s", strerror(errno));
    }
    *worker = (struct worker){.pid = pid, .fd = pair[0], .task = NO_TASK};
    worker->deadline = TIME_NEVER;
    return true;
}

// End the worker if it has not ended, and say how it did. A process that closed its end while dying
// has its status already: a signal that comes now does not change it.
static int worker_reap(struct worker *worker)
{
    int status = 0;
    kill(worker->pid, SIGKILL);
    while (waitpid(worker->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    close(worker->fd);
    text_free(&worker->inbox);
    worker->pid = 0;
    return status;
}

static struct workers_outcome outcome_of(const struct worker *worker, int status)
{
    if (worker->killed_at_wall)
        return (struct workers_outcome){.end = WORKERS_WALL_LIMIT};
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF)
        return (struct workers_outcome){.end = WORKERS_CPU_LIMIT};
    if (WIFSIGNALED(status))
        return (struct workers_outcome){.end = WORKERS_SIGNALED, .detail = WTERMSIG(status)};
    if (WEXITSTATUS(status) == EXIT_NO_MEMORY)
        return (struct workers_outcome){.end = WORKERS_NO_MEMORY};
    return (struct workers_outcome){.end = WORKERS_EXITED, .detail = WEXITSTATUS(status)};
}

static void finished(struct pool *pool, uint32_t task, const struct workers_outcome *outcome)
{
    if (!pool->config->finished(pool->config->user, task, outcome))
        pool->stopped = true;
}

// The worker is gone: so is its task.
static bool worker_lost(struct pool *pool, struct worker *worker, const struct workers_outcome *why)
{
    uint32_t task = worker->task;
    int status = worker_reap(worker);
    struct workers_outcome outcome = why ? *why : outcome_of(worker, status);
    if (task != NO_TASK) {
        finished(pool, task, &outcome);
        return true;
    }
    if (outcome.end != WORKERS_WALL_LIMIT && ++pool->idle_deaths > WORKERS_IDLE_DEATHS_MAX)
        return err_set(pool->err, "workers keep ending before they are given anything to do");
    return true;
}

// ------------------------------------------------------------------------------------ messages

// One whole message from the worker. False: the pool must end.
static bool message(struct pool *pool, struct worker *worker, const struct message_head *head,
                    struct bytes payload)
{
    static const struct workers_outcome garbage = {.end = WORKERS_GARBAGE};
    switch (head->kind) {
    case MESSAGE_DONE:
        if (worker->task == NO_TASK || head->task != worker->task)
            return worker_lost(pool, worker, &garbage);
        worker->task = NO_TASK;
        worker->deadline = TIME_NEVER;
        finished(pool, head->task, &(struct workers_outcome){WORKERS_DONE, 0, payload});
        return true;
    case MESSAGE_ERROR:
        return err_set(pool->err, "%.*s", (int)payload.len, (const char *)payload.at);
    }
    return worker_lost(pool, worker, &garbage);
}

static bool worker_inbox(struct pool *pool, struct worker *worker)
{
    while (worker->pid && worker->inbox.len >= MESSAGE_HEAD_LEN) {
        struct message_head head = message_head_decode(text_bytes(&worker->inbox));
        if (head.len > WORKERS_MESSAGE_MAX)
            return worker_lost(pool, worker, &(struct workers_outcome){.end = WORKERS_GARBAGE});
        size_t whole = MESSAGE_HEAD_LEN + (size_t)head.len;
        if (worker->inbox.len < whole)
            return true;
        // The worker says one thing for each task: nothing may follow.
        if (worker->inbox.len > whole)
            return worker_lost(pool, worker, &(struct workers_outcome){.end = WORKERS_GARBAGE});
        struct bytes payload = bytes_from(text_bytes(&worker->inbox), MESSAGE_HEAD_LEN);
        if (!message(pool, worker, &head, payload))
            return false;
        text_clear(&worker->inbox);
    }
    return true;
}

static bool worker_read(struct pool *pool, struct worker *worker)
{
    uint8_t room[65536];
    ssize_t got = recv(worker->fd, room, sizeof room, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got <= 0)
        return worker_lost(pool, worker, NULL);
    text_add(&worker->inbox, bytes_of(room, (size_t)got));
    return worker_inbox(pool, worker);
}

static void worker_give(struct pool *pool, struct worker *worker)
{
    const struct workers_config *config = pool->config;
    uint8_t order[4];
    put_u32(order, pool->next);
    // A worker that died in between is noticed when its end is read; the task is still to be had.
    if (send(worker->fd, order, sizeof order, MSG_NOSIGNAL) != sizeof order)
        return;
    worker->task = pool->next++;
    nanotime wall = config->limits(config->user, worker->task).wall;
    worker->deadline = wall ? time_add(clock_real(), wall) : TIME_NEVER;
}

// ----------------------------------------------------------------------------------- the pool

static bool work_left(const struct pool *pool)
{
    return !pool->stopped && pool->next < pool->config->count;
}

// Start workers for what is left, and give tasks to those that wait.
static bool pool_hand_out(struct pool *pool)
{
    for (unsigned i = 0; i < pool->jobs && work_left(pool); i++) {
        struct worker *worker = &pool->workers[i];
        if (!worker->pid && !worker_start(pool, worker))
            return false;
        if (worker->task == NO_TASK)
            worker_give(pool, worker);
    }
    return true;
}

static void pool_enforce_wall(struct pool *pool, nanotime now)
{
    for (unsigned i = 0; i < pool->jobs; i++) {
        struct worker *worker = &pool->workers[i];
        if (!worker->pid || now < worker->deadline)
            continue;
        worker->killed_at_wall = true;
        worker->deadline = TIME_NEVER;
        kill(worker->pid, SIGKILL);
    }
}

// The oldest task in work; NO_TASK: none is.
static uint32_t pool_oldest(const struct pool *pool, nanotime *deadline)
{
    uint32_t oldest = NO_TASK;
    *deadline = TIME_NEVER;
    for (unsigned i = 0; i < pool->jobs; i++) {
        const struct worker *worker = &pool->workers[i];
        if (!worker->pid || worker->task == NO_TASK)
            continue;
        oldest = worker->task < oldest ? worker->task : oldest;
        *deadline = time_min(*deadline, worker->deadline);
    }
    return oldest;
}

// Wait for a message, a death, a limit, a signal or the next tick; then take what came.
static bool pool_wait(struct pool *pool, nanotime deadline)
{
    struct pollfd fds[WORKERS_MAX + 1];
    for (unsigned i = 0; i < pool->jobs; i++)
        fds[i] = (struct pollfd){.fd = pool->workers[i].pid ? pool->workers[i].fd : -1,
                                 .events = POLLIN};
    fds[pool->jobs] = (struct pollfd){.fd = pool->signals, .events = POLLIN};
    nanotime now = clock_real();
    nanotime span = deadline > now ? time_min(deadline - now, TICK) : 0;
    struct timespec wait = {.tv_sec = span / TIME_S, .tv_nsec = span % TIME_S};
    int ready = ppoll(fds, pool->jobs + 1, &wait, NULL);
    if (ready < 0 && errno != EINTR)
        return err_set(pool->err, "cannot wait for the workers: %s", strerror(errno));
    for (unsigned i = 0; ready > 0 && i < pool->jobs; i++) {
        if (fds[i].revents && !worker_read(pool, &pool->workers[i]))
            return false;
    }
    pool->interrupted = ready > 0 && fds[pool->jobs].revents;
    pool_enforce_wall(pool, clock_real());
    return true;
}

static enum workers_result pool_run(struct pool *pool)
{
    nanotime ticked = clock_real();
    for (;;) {
        if (pool->interrupted)
            return WORKERS_STOPPED;
        if (!pool_hand_out(pool))
            return WORKERS_ERROR;
        nanotime deadline;
        uint32_t oldest = pool_oldest(pool, &deadline);
        if (oldest == NO_TASK && !work_left(pool))
            return WORKERS_ALL_DONE;
        if (!pool_wait(pool, deadline))
            return WORKERS_ERROR;
        if (pool->config->tick && oldest != NO_TASK && clock_real() - ticked >= TICK) {
            ticked = clock_real();
            pool->config->tick(pool->config->user, oldest);
        }
    }
}

enum workers_result workers_run(const struct workers_config *config, struct err *err)
{
    unsigned jobs = config->jobs < config->count ? config->jobs : config->count;
    jobs = jobs > WORKERS_MAX ? WORKERS_MAX : jobs;
    struct pool pool = {.config = config, .jobs = jobs, .err = err};
    pool.workers = mem_zero(jobs, sizeof *pool.workers);

    // Read like everything else, so that a signal comes between two steps, never within one.
    sigset_t stops, before;
    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    sigprocmask(SIG_BLOCK, &stops, &before);
    pool.signals = signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK);
    enum workers_result result = WORKERS_ERROR;
    if (pool.signals < 0)
        err_set(err, "cannot watch for signals: %s", strerror(errno));
    else
        result = pool_run(&pool);

    for (unsigned i = 0; i < jobs; i++) {
        if (pool.workers[i].pid)
            worker_reap(&pool.workers[i]);
    }
    free(pool.workers);
    if (pool.signals >= 0) {
        struct signalfd_siginfo taken; // those that were acted on are not delivered again
        while (read(pool.signals, &taken, sizeof taken) > 0)
            continue;
        close(pool.signals);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return result;
}
