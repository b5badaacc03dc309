/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The owner's side: starts the keeper, reads its reports, starts it again when it has died. The
 * owner is not on the way of any program; it may be stopped or slow, and the guard goes on.
 */
#include "daemon/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/guard-parts.h"

#define RESTART_NS 1000000000u
#define REPORT_ROOM (4u << 20) /* reports that may wait for a slow owner */

struct guard {
        struct guard_settings settings;
        struct guard_pins *pins;
        pid_t keeper;
        int socket;
        uint64_t started_at_ns;
};

void guard_wind_up(unsigned ms)
{
        static timer_t timer;
        static pid_t owner; /* a timer is not inherited by fork */
        struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
        struct itimerspec when = { .it_value = { ms / 1000, (long)(ms % 1000) * 1000000 } };

        if (owner != getpid()) {
                if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0)
                        _exit(1); /* without it nobody would be safe from us */
                owner = getpid();
        }
        timer_settime(timer, 0, &when, NULL);
}

void guard_part_begin(const char *name, pid_t owner)
{
        sigset_t none;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != owner)
                _exit(0);
        prctl(PR_SET_NAME, name);
        for (int i = 1; i < NSIG; i++)
                if (i != SIGKILL && i != SIGSTOP)
                        signal(i, SIG_DFL);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGINT, SIG_IGN); /* of a terminal: the owner decides */
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What else the owner has open is not the guard's: others would wait for the end of it. */
static void keep_only(int *socket)
{
        *socket = dup2(*socket, STDERR_FILENO + 1) >= 0 ? STDERR_FILENO + 1 : *socket;
        close_range(STDERR_FILENO + 2, ~0u, 0);
}

static int start(struct guard *guard, struct error *err)
{
        int sockets[2], room = REPORT_ROOM;
        pid_t owner = getpid();

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "the guard can't be started");
        (void)setsockopt(sockets[1], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
        guard->started_at_ns = clock_now_ns();
        guard->keeper = fork();
        if (guard->keeper == 0) {
                keep_only(&sockets[1]);
                guard_keeper_run(&guard->settings, guard->pins, sockets[1], owner);
        }
        close(sockets[1]);
        if (guard->keeper < 0) {
                close(sockets[0]);
                guard->keeper = 0;
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "the guard can't be started");
        }
        guard->socket = sockets[0];
        return 0;
}

int guard_open(const struct guard_settings *settings, struct guard **ret, struct error *err)
{
        _cleanup_(guard_closep) struct guard *guard = calloc(1, sizeof(*guard));
        int r;

        if (!guard)
                return error_no_memory(err);
        guard->settings = *settings;
        guard->socket = -1;
        guard->pins = guard_pins_new();
        r = start(guard, err);
        if (r == 0)
                *ret = STEAL(guard);
        return r;
}

static void stop(struct guard *guard, int *ret_status)
{
        *ret_status = 0;
        if (guard->keeper > 0) {
                kill(guard->keeper, SIGKILL);
                while (waitpid(guard->keeper, ret_status, 0) < 0 && errno == EINTR)
                        ;
        }
        guard->keeper = 0;
        guard_unpin_all(guard->pins);
        if (guard->socket >= 0)
                close(guard->socket);
        guard->socket = -1;
}

struct guard *guard_close(struct guard *guard)
{
        int status;

        if (!guard)
                return NULL;
        stop(guard, &status);
        guard_pins_free(guard->pins);
        free(guard);
        return NULL;
}

int guard_fd(const struct guard *guard)
{
        return guard->socket;
}

pid_t guard_keeper(const struct guard *guard)
{
        return guard->keeper;
}

int guard_step(struct guard *guard,
               void (*tell)(void *context, const struct guard_report *report), void *context,
               struct error *err)
{
        struct guard_report report;
        ssize_t n = -1;
        int status, r;

        while (guard->socket >= 0) {
                n = recv(guard->socket, &report, sizeof(report), MSG_DONTWAIT);
                if (n != (ssize_t)sizeof(report))
                        break;
                tell(context, &report);
        }
        if (guard->socket >= 0 && n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (guard->keeper > 0) {
                stop(guard, &status);
                report = (struct guard_report){ .event = GUARD_LOST };
                snprintf(report.text, sizeof(report.text),
                         "the guard ended (%s %d) and is started again; programs that began "
                         "meanwhile run unpatched until the next scan",
                         WIFSIGNALED(status) ? "signal" : "exit code",
                         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
                tell(context, &report);
        }
        if (clock_now_ns() - guard->started_at_ns < RESTART_NS)
                return 0;
        r = start(guard, err);
        return r;
}
