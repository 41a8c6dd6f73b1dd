#define _GNU_SOURCE // waitid with WNOWAIT
#include "scenarios/runner/suite/workers.h"

#include "base/arena.h"
#include "scenarios/runner/suite/workers_priv.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

// A task does what its letter says, and leaves the letter and the worker's pid.
//   .  nothing   s SIGSEGV   x exit 3   w hang   c burn CPU   m eat memory
//   g  garbage on the socket            e an error of the operating system
//   b  leaves BIG bytes                 h  says its result, and more
//   i  what Ctrl-C and a closed terminal send; exit 4 where a crash would leave a core file
#define TASKS_MAX 64
#define BIG (3u << 20)
struct fake {
    const char *tasks;
    struct workers_limits limits;
    bool start_fails;
    bool kill_when_done; // the parent kills each worker when it has said its result
    unsigned stop_after; // outcomes; 0: never
    int signal_after;    // outcomes until the parent gets SIGINT; 0: never
    int told;            // a 'w' says here that it hangs; 0: nowhere
    unsigned count;      // outcomes
    enum workers_end ends[TASKS_MAX];
    int details[TASKS_MAX];
    bool seen[TASKS_MAX];
    pid_t pids[TASKS_MAX];
    size_t lens[TASKS_MAX];
};

static bool fake_start(void *user, struct err *err)
{
    const struct fake *fake = user;
    return !fake->start_fails || err_set(err, "nothing works here");
}

static void eat_memory(void)
{
    for (;;) {
        volatile char *block = mem_alloc(1 << 20);
        block[0] = 1;
    }
}

static void burn_cpu(void)
{
    for (volatile unsigned i = 0;; i++)
        continue;
}

static void send_to_all(const void *bytes, size_t len)
{
    for (int fd = 3; fd < 64; fd++)
        (void)!send(fd, bytes, len, MSG_NOSIGNAL);
}

static void send_garbage(void)
{
    static const char text[] = "no message at all, but enough bytes for a head";
    send_to_all(text, sizeof text);
}

// A right message, and a byte that is none.
static void send_more(unsigned task)
{
    uint8_t message[MESSAGE_HEAD_LEN + 2];
    struct writer w = writer_of(message, sizeof message);
    write_u32(&w, MESSAGE_DONE);
    write_u32(&w, task);
    write_u32(&w, 1);
    write_u8(&w, 'h');
    write_u8(&w, 'x');
    send_to_all(message, sizeof message);
}

static void be_interrupted(void)
{
    struct rlimit core;
    raise(SIGINT);
    raise(SIGTERM);
    raise(SIGHUP);
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0)
        _exit(4);
}

static bool fake_run(void *user, unsigned task, struct text *out, struct err *err)
{
    const struct fake *fake = user;
    switch (fake->tasks[task]) {
    case 's':
        signal(SIGSEGV, SIG_DFL); // not the sanitizer's
        raise(SIGSEGV);
        break;
    case 'x':
        _exit(3);
    case 'i':
        be_interrupted();
        break;
    case 'h':
        send_more(task);
        break;
    case 'w':
        if (fake->told)
            (void)!write(fake->told, "w", 1);
        for (;;)
            pause();
    case 'c':
        burn_cpu();
        break;
    case 'm':
        eat_memory();
        break;
    case 'g':
        send_garbage();
        break;
    case 'e':
        return err_set(err, "/full/disk: no space");
    }
    while (fake->tasks[task] == 'b' && out->len < BIG)
        text_put(out, "b 123456");
    if (out->len == 0)
        text_printf(out, "%c %d", fake->tasks[task], (int)getpid());
    return true;
}

static struct workers_limits fake_limits(void *user, unsigned task)
{
    (void)task;
    return ((struct fake *)user)->limits;
}

static bool fake_finished(void *user, unsigned task, const struct workers_outcome *outcome)
{
    struct fake *fake = user;
    assert_false(fake->seen[task]);
    fake->seen[task] = true;
    fake->ends[task] = outcome->end;
    fake->details[task] = outcome->detail;
    fake->lens[task] = outcome->bytes.len;
    fake->count++;
    if (outcome->end == WORKERS_DONE) {
        assert_int_equal(outcome->bytes.at[0], fake->tasks[task]);
        fake->pids[task] = (pid_t)strtol((const char *)outcome->bytes.at + 2, NULL, 10);
    }
    if (fake->kill_when_done) {
        siginfo_t info;
        kill(fake->pids[task], SIGKILL);
        waitid(P_PID, (id_t)fake->pids[task], &info, WEXITED | WNOWAIT);
    }
    if (fake->signal_after && (int)fake->count == fake->signal_after)
        kill(getpid(), SIGINT);
    return !fake->stop_after || fake->count < fake->stop_after;
}

static enum workers_result fake_go(struct fake *fake, unsigned jobs, struct err *err)
{
    struct workers_config config = {
        .jobs = jobs,
        .count = (unsigned)strlen(fake->tasks),
        .user = fake,
        .start = fake_start,
        .run = fake_run,
        .limits = fake_limits,
        .finished = fake_finished,
    };
    enum workers_result result = workers_run(&config, err);
    // Nobody is left behind.
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    return result;
}

static void check_all_but(const struct fake *fake, char letter, enum workers_end end)
{
    for (unsigned i = 0; fake->tasks[i]; i++) {
        assert_true(fake->seen[i]);
        assert_int_equal(fake->ends[i], fake->tasks[i] == letter ? end : WORKERS_DONE);
    }
}

static void test_workers_do_each_task_once(void **state)
{
    (void)state;
    for (unsigned jobs = 1; jobs <= 8; jobs *= 2) {
        struct fake fake = {.tasks = ".............................."};
        struct err err = {0};
        assert_int_equal(fake_go(&fake, jobs, &err), WORKERS_ALL_DONE);
        assert_int_equal(fake.count, 30);
        check_all_but(&fake, 0, WORKERS_DONE);
    }
}

static void test_workers_take_tasks_one_after_another(void **state)
{
    (void)state;
    struct fake fake = {.tasks = "....."};
    struct err err = {0};
    fake_go(&fake, 1, &err);
    for (unsigned i = 1; i < 5; i++)
        assert_int_equal(fake.pids[i], fake.pids[0]);
}

static void test_workers_without_tasks_are_done(void **state)
{
    (void)state;
    struct fake fake = {.tasks = ""};
    struct err err = {0};
    assert_int_equal(fake_go(&fake, 4, &err), WORKERS_ALL_DONE);
}

static void test_workers_crash_costs_one_task(void **state)
{
    (void)state;
    struct fake fake = {.tasks = "..s...s.."};
    struct err err = {0};
    assert_int_equal(fake_go(&fake, 2, &err), WORKERS_ALL_DONE);
    check_all_but(&fake, 's', WORKERS_SIGNALED);
    assert_int_equal(fake.details[2], SIGSEGV);
}

static void test_workers_exit_is_told_with_its_code(void **state)
{
    (void)state;
    struct fake fake = {.tasks = ".x."};
    struct err err = {0};
    assert_int_equal(fake_go(&fake, 1, &err), WORKERS_ALL_DONE);
    check_all_but(&fake, 'x', WORKERS_EXITED);
    assert_int_equal(fake.details[1], 3);
}

static void test_workers_hang_ends_at_wall_limit(void **state)
{
    (void)state;
    struct fake fake = {.tasks = ".w..", .limits = {.wall = 50 * TIME_MS}};
    struct err err = {0};
    assert_int_equal(fake_go(&fake, 2, &err), WORKERS_ALL_DONE);
    check_all_but(&fake, 'w', WORKERS_WALL_LIMIT);
}

static void test_workers_loop_ends_at_cpu_limit(void **state)
{
    (void)state;
    struct fake fake = {.tasks = ".c..", .limits = {.cpu = 50 * TIME_MS}};
    struct err err = {0};
    assert_int_equal(fake_go(&fake, 2, &err), WORKERS_ALL_DONE);
    check_all_but(&fake, 'c', WORKERS_CPU_LIMIT);
}

static void test_workers_hog_ends_at_memory_limit(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    skip(); // no memory limit there
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    skip();
#endif
#endif
    struct fake fake = {.tasks = ".m.m.", .limits = {.memory = 64 << 20}};
    struct err err = {0};
    assert_int_equal(fake_go(&fake, 2, &err), WORKERS_ALL_DONE);
    check_all_but(&fake, 'm', WORKERS_NO_MEMORY);
}

static void test_workers_garbage_costs_one_task(void **state)
{
    (void)state;
    struct fake fake = {.tasks = ".g.."};
    struct err err = {0};
    assert_int_equal(fake_go(&fake, 2, &err), WORKERS_ALL_DONE);
    check_all_but(&fake, 'g', WORKERS_GARBAGE);
}

static void test_workers_death_between_tasks_costs_none(void **state)
{
    (void)state;
    struct fake fake = {.tasks = ".....", .kill_when_done = true};
    struct err err = {0};
    assert_int_equal(fake_go(&fake, 1, &err), WORKERS_ALL_DONE);
    check_all_but(&fake, 0, WORKERS_DONE);
    assert_int_not_equal(fake.pids[0], fake.pids[1]);
}

static void test_workers_that_keep_dying_idle_end_the_pool(void **state)
{
    (void)state;
    struct fake fake = {.tasks = "....................", .kill_when_done = true};
    struct err err = {0};
    assert_int_equal(fake_go(&fake, 1, &err), WORKERS_ERROR);
    assert_non_null(strstr(err.text, "keep ending"));
}

static void test_workers_error_ends_the_pool_with_its_text(void **state)
{
    (void)state;
    struct fake fake = {.tasks = "..e..."};
    struct err err = {0};
    assert_int_equal(fake_go(&fake, 1, &err), WORKERS_ERROR);
    assert_string_equal(err.text, "/full/disk: no space");
    assert_int_equal(fake.count, 2);
}

static void test_workers_that_cannot_start_end_the_pool(void **state)
{
    (void)state;
    struct fake fake = {.tasks = "...", .start_fails = true};
    struct err err = {0};
    assert_int_equal(fake_go(&fake, 2, &err), WORKERS_ERROR);
    assert_string_equal(err.text, "nothing works here");
}

static void test_workers_stop_handing_out_when_told(void **state)
{
    (void)state;
    struct fake fake = {.tasks = "..........", .stop_after = 3};
    struct err err = {0};
    assert_int_equal(fake_go(&fake, 1, &err), WORKERS_ALL_DONE);
    assert_int_equal(fake.count, 3);
}

static void test_workers_signal_stops_the_pool_even_when_one_hangs(void **state)
{
    (void)state;
    struct fake fake = {.tasks = "w.....", .signal_after = 3};
    struct err err = {0};
    assert_int_equal(fake_go(&fake, 2, &err), WORKERS_STOPPED);
    assert_true(fake.count >= 3);
    assert_false(fake.seen[0]);
}

static void test_workers_message_larger_than_a_socket_buffer_arrives(void **state)
{
    (void)state;
    struct fake fake = {.tasks = "bsb"};
    struct err err = {0};
    assert_int_equal(fake_go(&fake, 1, &err), WORKERS_ALL_DONE);
    check_all_but(&fake, 's', WORKERS_SIGNALED);
    assert_int_equal(fake.lens[0], BIG);
    assert_int_equal(fake.lens[2], BIG);
}

static void test_workers_message_and_more_costs_one_task(void **state)
{
    (void)state;
    struct fake fake = {.tasks = ".h.."};
    struct err err = {0};
    assert_int_equal(fake_go(&fake, 1, &err), WORKERS_ALL_DONE);
    check_all_but(&fake, 'h', WORKERS_GARBAGE);
}

static void test_workers_leave_signals_to_the_pool(void **state)
{
    (void)state;
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    core.rlim_cur = core.rlim_max; // else there is nothing for a worker to give up
    setrlimit(RLIMIT_CORE, &core);
    struct fake fake = {.tasks = ".i."};
    struct err err = {0};
    assert_int_equal(fake_go(&fake, 1, &err), WORKERS_ALL_DONE);
    check_all_but(&fake, 0, WORKERS_DONE);
}

// The pool is killed: a worker that hangs, and would never read its socket, ends all the same.
static void test_workers_die_with_their_pool(void **state)
{
    (void)state;
    int ends[2];
    char said;
    assert_int_equal(pipe(ends), 0);
    pid_t pool = fork();
    if (pool == 0) {
        struct fake fake = {.tasks = "w", .told = ends[1]};
        struct err err = {0};
        fake_go(&fake, 1, &err);
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &said, 1), 1);
    kill(pool, SIGKILL);
    assert_int_equal(waitpid(pool, NULL, 0), pool);
    // The end of the pipe: nobody who could write is left.
    struct pollfd poll_end = {.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&poll_end, 1, 10000), 1);
    assert_int_equal(read(ends[0], &said, 1), 0);
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_do_each_task_once),
        cmocka_unit_test(test_workers_take_tasks_one_after_another),
        cmocka_unit_test(test_workers_without_tasks_are_done),
        cmocka_unit_test(test_workers_crash_costs_one_task),
        cmocka_unit_test(test_workers_exit_is_told_with_its_code),
        cmocka_unit_test(test_workers_hang_ends_at_wall_limit),
        cmocka_unit_test(test_workers_loop_ends_at_cpu_limit),
        cmocka_unit_test(test_workers_hog_ends_at_memory_limit),
        cmocka_unit_test(test_workers_garbage_costs_one_task),
        cmocka_unit_test(test_workers_death_between_tasks_costs_none),
        cmocka_unit_test(test_workers_that_keep_dying_idle_end_the_pool),
        cmocka_unit_test(test_workers_error_ends_the_pool_with_its_text),
        cmocka_unit_test(test_workers_that_cannot_start_end_the_pool),
        cmocka_unit_test(test_workers_stop_handing_out_when_told),
        cmocka_unit_test(test_workers_signal_stops_the_pool_even_when_one_hangs),
        cmocka_unit_test(test_workers_message_larger_than_a_socket_buffer_arrives),
        cmocka_unit_test(test_workers_message_and_more_costs_one_task),
        cmocka_unit_test(test_workers_leave_signals_to_the_pool),
        cmocka_unit_test(test_workers_die_with_their_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
