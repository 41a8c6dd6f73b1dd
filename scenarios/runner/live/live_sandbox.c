#define _GNU_SOURCE // unshare, setns, close_range, pipe2
#include "scenarios/runner/live/live_sandbox.h"

#include "base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMMAND_NAMESPACES (CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC)

// ---------------------------------------------------------------------------------- the whole
// command

static bool write_small(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool whole = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return whole;
}

// user_namespaces(7): who made it is root inside, and nobody else exists there.
static bool map_ids(uid_t uid, gid_t gid)
{
    char map[64];
    snprintf(map, sizeof map, "0 %u 1", (unsigned)uid);
    if (!write_small("/proc/self/uid_map", map) || !write_small("/proc/self/setgroups", "deny"))
        return false;
    snprintf(map, sizeof map, "0 %u 1", (unsigned)gid);
    return write_small("/proc/self/gid_map", map);
}

static bool check_tun(struct err *err)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        return true;
    }
    if (errno == ENOENT || errno == ENODEV)
        return err_set(err,
                       "live mode needs TUN devices, and /dev/net/tun is missing: modprobe tun");
    return err_set(err,
                   "live mode needs /dev/net/tun, and it cannot be opened (%s): run as root, or "
                   "allow it: chmod 0666 /dev/net/tun",
                   strerror(errno));
}

bool live_sandbox_enter(struct err *err)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (!check_tun(err))
        return false;
    if (unshare(COMMAND_NAMESPACES) != 0) {
        if (unshare(CLONE_NEWUSER | COMMAND_NAMESPACES) != 0)
            return err_set(err,
                           "live mode needs namespaces, and this system allows none (%s): run as "
                           "root, or allow user namespaces: sysctl -w "
                           "kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000",
                           strerror(errno));
        if (!map_ids(uid, gid))
            return err_set(err, "cannot become root of a user namespace: %s", strerror(errno));
    }
    // What is mounted in here stays in here.
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return err_set(err, "cannot make mounts private: %s", strerror(errno));
    return true;
}

// ------------------------------------------------------------------------------------- a run's own

static _Noreturn void keeper_main(int alive)
{
    uint8_t byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "simrtc-keeper");
    setsid();
    signal(SIGCHLD, SIG_IGN); // orphans come to the first process: their ends are of no interest
    while (read(alive, &byte, 1) < 0 && errno == EINTR)
        continue;
    _exit(0);
}

bool live_sandbox_open(struct live_sandbox *sandbox, struct err *err)
{
    int pipe[2];
    *sandbox = (struct live_sandbox){.alive = -1, .home = -1};
    sandbox->home = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (sandbox->home < 0 || pipe2(pipe, O_CLOEXEC) != 0) {
        err_set(err, "cannot prepare a process namespace: %s", strerror(errno));
        live_sandbox_close(sandbox);
        return false;
    }
    sandbox->alive = pipe[1];
    if (unshare(CLONE_NEWPID) == 0)
        sandbox->keeper = fork();
    if (sandbox->keeper == 0 && getpid() == 1) {
        close(pipe[1]);
        keeper_main(pipe[0]);
    }
    close(pipe[0]);
    if (sandbox->keeper > 0)
        return true;
    err_set(err, "cannot make a process namespace: %s", strerror(errno));
    sandbox->keeper = 0;
    live_sandbox_close(sandbox);
    return false;
}

void live_sandbox_close(struct live_sandbox *sandbox)
{
    if (sandbox->keeper > 0) {
        // pid_namespaces(7): with its first process, all others get SIGKILL, and it ends last.
        kill(sandbox->keeper, SIGKILL);
        while (waitpid(sandbox->keeper, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    if (sandbox->alive >= 0)
        close(sandbox->alive);
    if (sandbox->home >= 0) {
        setns(sandbox->home, CLONE_NEWPID);
        close(sandbox->home);
    }
    *sandbox = (struct live_sandbox){.alive = -1, .home = -1};
}

// ---------------------------------------------------------------------------------------- programs

// What cannot be had is done without: none of it is needed for the run to be true.
static void make_private(void)
{
    if (unshare(CLONE_NEWNS) != 0)
        return;
    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    mount("/dev/null", "/etc/resolv.conf", NULL, MS_BIND,
          NULL); // before /run: it may be a link there
    if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") == 0)
        mkdir(LIVE_HOME, 0700);
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static void be_ordinary(void)
{
    struct rlimit memory;
    struct sched_param param = {0};
    sigset_t none;
    sigemptyset(&none);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    sched_setscheduler(0, SCHED_OTHER, &param);
    if (getrlimit(RLIMIT_AS, &memory) == 0) {
        memory.rlim_cur = memory.rlim_max; // the bench's own limit, not the peer's
        setrlimit(RLIMIT_AS, &memory);
    }
    setsid(); // Ctrl-C is for the bench
}

static _Noreturn void child_main(const struct live_command *command, const int fds[3], int report)
{
    const char *folder = command->folder;
    bool good = setns(command->network, CLONE_NEWNET) == 0 && (!folder || chdir(folder) == 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    be_ordinary();
    make_private();
    setenv("HOME", LIVE_HOME, 1);
    setenv("TMPDIR", LIVE_HOME, 1);
    setenv("XDG_RUNTIME_DIR", LIVE_HOME, 1);
    for (int i = 0; i < 3; i++)
        good = good && dup2(fds[i], i) == i;
    close_range(3, UINT32_MAX, CLOSE_RANGE_CLOEXEC);
    if (good)
        execvp(command->argv[0], (char *const *)command->argv);
    int why = errno;
    ssize_t told = write(report, &why, sizeof why);
    _exit(told == sizeof why ? 126 : 127);
}

static void close_all(int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

bool live_process_start(struct live_process *process, const struct live_command *command,
                        bool *missing, struct err *err)
{
    int fds[8] = {-1, -1, -1, -1,
                  -1, -1, -1, -1}; // stdin, stdout, stderr, report: read and write end
    *process = (struct live_process){.in = -1, .out = -1, .err = -1};
    *missing = false;
    for (int i = 0; i < 4; i++) {
        if (pipe2(&fds[2 * i], O_CLOEXEC) != 0) {
            close_all(fds, 8);
            return err_set(err, "cannot make a pipe: %s", strerror(errno));
        }
    }
    pid_t pid = fork();
    if (pid == 0)
        child_main(command, (const int[]){fds[0], fds[3], fds[5]}, fds[7]);
    int forked = errno, why = 0;
    close_all((int[]){fds[0], fds[3], fds[5], fds[7]}, 4);
    bool failed = pid < 0 || read(fds[6], &why, sizeof why) == (ssize_t)sizeof why;
    close(fds[6]);
    if (failed) {
        close_all((int[]){fds[1], fds[2], fds[4]}, 3);
        if (pid > 0)
            waitpid(pid, NULL, 0);
        *missing = pid > 0 && why == ENOENT;
        return err_set(err, "cannot start %s: %s", command->argv[0],
                       strerror(pid < 0 ? forked : why));
    }
    *process = (struct live_process){pid, fds[1], fds[2], fds[4]};
    fcntl(process->in, F_SETFL, O_NONBLOCK);
    fcntl(process->out, F_SETFL, O_NONBLOCK);
    fcntl(process->err, F_SETFL, O_NONBLOCK);
    return true;
}

bool live_process_is_over(const struct live_process *process, int ms)
{
    struct pollfd end = {.fd = pidfd_open(process->pid, 0), .events = POLLIN};
    bool over = end.fd < 0 || poll(&end, 1, ms) != 0;
    if (end.fd >= 0)
        close(end.fd);
    return over;
}

int live_process_end(struct live_process *process)
{
    int status = 0;
    if (process->pid > 0) {
        kill(process->pid, SIGKILL);
        while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    close_all((int[]){process->in, process->out, process->err}, 3);
    *process = (struct live_process){.in = -1, .out = -1, .err = -1};
    return status;
}
