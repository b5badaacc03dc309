/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Three descriptors hang on one epoll: the end of the process (pidfd), its output, and the time
 * limit. Between fork and exec only async-signal-safe functions are called, since the caller may
 * have threads. When the program ends, or its time is over, its group is killed: what it left
 * running in the background goes as well.
 */
#include "daemon/health-run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

struct health_run {
        pid_t pid;              /* 0: reaped */
        int epoll, pidfd, output, timer;
        enum health_result result;
        uint32_t timeout_ms;
        char text[HEALTH_MAX_OUTPUT];
        size_t text_size;
};

static void end_group(struct health_run *run, siginfo_t *ret_info)
{
        if (run->pid == 0)
                return;
        kill(-run->pid, SIGKILL);
        kill(run->pid, SIGKILL); /* before it made its group */
        while (waitid(P_PID, (id_t)run->pid, ret_info, WEXITED) < 0 && errno == EINTR)
                ;
        run->pid = 0;
}

struct health_run *health_run_free(struct health_run *run)
{
        siginfo_t info;

        if (run) {
                end_group(run, &info);
                cleanup_close(&run->pidfd);
                cleanup_close(&run->output);
                cleanup_close(&run->timer);
                cleanup_close(&run->epoll);
                free(run);
        }
        return NULL;
}

static void child(char *const argv[], int output)
{
        static char *const environment[] = {
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
                NULL,
        };
        struct sigaction action = { .sa_handler = SIG_DFL };
        sigset_t none;
        int null;

        setsid();
        for (int i = 1; i < NSIG; i++)
                sigaction(i, &action, NULL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        null = open("/dev/null", O_RDONLY);
        if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 ||
            chdir("/") < 0)
                _exit(126);
        close_range(3, ~0u, 0);
        execve(argv[0], argv, environment);
        dprintf(2, "%s", strerror(errno));
        _exit(127);
}

static int watch(struct health_run *run, int fd)
{
        struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

        return epoll_ctl(run->epoll, EPOLL_CTL_ADD, fd, &event);
}

static int spawn(struct health_run *run, char *const argv[])
{
        _cleanup_close_ int end = -1;
        int pipes[2];

        if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        run->output = pipes[0];
        end = pipes[1];
        /* The program may expect a pipe that blocks. */
        if (fcntl(end, F_SETFL, 0) < 0)
                return -errno;
        run->pid = fork();
        if (run->pid == 0)
                child(argv, end);
        if (run->pid < 0) {
                run->pid = 0;
                return -errno;
        }
        run->pidfd = pidfd_open(run->pid, 0);
        return run->pidfd < 0 ? -errno : 0;
}

int health_run_start(char *const argv[], uint32_t timeout_ms, struct health_run **ret,
                     struct error *err)
{
        _cleanup_(health_run_freep) struct health_run *run = calloc(1, sizeof(*run));
        struct itimerspec limit = {
                .it_value = { timeout_ms / 1000, timeout_ms % 1000 * 1000000l + 1 },
        };
        int r;

        if (!run)
                return error_no_memory(err);
        run->pidfd = run->output = -1;
        run->timeout_ms = timeout_ms;
        run->epoll = epoll_create1(EPOLL_CLOEXEC);
        run->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        r = run->epoll < 0 || run->timer < 0 ? -errno : spawn(run, argv);
        if (r == 0 && (timerfd_settime(run->timer, 0, &limit, NULL) < 0 ||
                       watch(run, run->pidfd) < 0 || watch(run, run->output) < 0 ||
                       watch(run, run->timer) < 0))
                r = -errno;
        if (r < 0)
                return error_set(err, EXIT_CODE_ERROR, -r, NULL, "can't start the check %s",
                                 argv[0]);
        *ret = STEAL(run);
        return 0;
}

int health_run_fd(const struct health_run *run)
{
        return run->epoll;
}

/* Keeps the beginning of the output and drops the rest, a limited amount at a time. */
static void drain(struct health_run *run)
{
        char chunk[4096];

        for (int i = 0; i < 16; i++) {
                ssize_t n = read(run->output, chunk, sizeof(chunk));
                size_t left = sizeof(run->text) - 1 - run->text_size;

                if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                        epoll_ctl(run->epoll, EPOLL_CTL_DEL, run->output, NULL);
                if (n <= 0)
                        return;
                memcpy(run->text + run->text_size, chunk, MIN((size_t)n, left));
                run->text_size += MIN((size_t)n, left);
        }
}

static void add_text(struct health_run *run, const char *text)
{
        char output[sizeof(run->text)];

        while (run->text_size && strchr(" \n", run->text[run->text_size - 1]))
                run->text_size--;
        run->text[run->text_size] = '\0';
        memcpy(output, run->text, sizeof(output));
        snprintf(run->text, sizeof(run->text), "%s%s%.1900s", text, *output ? ": " : "", output);
}

static void judge(struct health_run *run, const siginfo_t *info)
{
        char text[64];

        run->result = HEALTH_RUN_BAD;
        if (info->si_code == CLD_EXITED && info->si_status == 0)
                run->result = HEALTH_RUN_GOOD;
        if (info->si_code == CLD_EXITED)
                snprintf(text, sizeof(text), "exit status %d", info->si_status);
        else
                snprintf(text, sizeof(text), "ended by signal %d", info->si_status);
        add_text(run, text);
}

enum health_result health_run_dispatch(struct health_run *run)
{
        siginfo_t info = { 0 };
        uint64_t expired = 0;
        char text[64];

        if (run->result != HEALTH_RUN_GOES_ON)
                return run->result;
        drain(run);
        if (waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid == run->pid) {
                drain(run);
                end_group(run, &info);
                judge(run, &info);
        } else if (read(run->timer, &expired, sizeof(expired)) == sizeof(expired)) {
                end_group(run, &info);
                drain(run);
                snprintf(text, sizeof(text), "no answer within %u ms", run->timeout_ms);
                add_text(run, text);
                run->result = HEALTH_RUN_BAD;
        }
        return run->result;
}

const char *health_run_text(const struct health_run *run)
{
        return run->text;
}
