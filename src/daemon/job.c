/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A job's process is killed when the daemon ends, and when its time is over; the engine is made so
 * that no process suffers from that. What it says is read through a bounded buffer: a job that
 * parses untrusted bytes may itself say anything.
 */
#include "daemon/job.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"

#define JOB_OUT (JOB_FIRST_FD - 1)      /* where a job's lines go */

struct job {
        struct job_settings settings;
        pid_t pid;
        int fd;
        uint64_t until_ns;      /* 0: no limit */
        bool overlong;
        struct buffer line;
};

void job_say(json_t *json)
{
        _cleanup_free_ char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
        size_t size = text ? strlen(text) : 0, done = 0;

        json_decref(json);
        if (!text || size + 1 > JOB_LINE_MAX)
                return;
        text[size++] = '\n'; /* in the place of the NUL */
        while (done < size) {
                ssize_t n = write(JOB_OUT, text + done, size - done);

                if (n < 0 && errno != EINTR)
                        _exit(1);
                done += (size_t)MAX(n, 0);
        }
}

/* First out of the way of the numbers that they are to have. */
static void keep_descriptors(const struct job_settings *settings, int out)
{
        int fds[ARRAY_SIZE(settings->fds)];

        out = fcntl(out, F_DUPFD, 100);
        for (size_t i = 0; i < settings->n_fds; i++)
                fds[i] = fcntl(settings->fds[i], F_DUPFD, 100);
        if (dup2(out, JOB_OUT) < 0)
                _exit(1);
        for (size_t i = 0; i < settings->n_fds; i++)
                if (dup2(fds[i], JOB_FIRST_FD + (int)i) < 0)
                        _exit(1);
        close_range((unsigned)(JOB_FIRST_FD + settings->n_fds), ~0u, 0);
}

__attribute__((noreturn)) static void be_job(const struct job_settings *settings, int out,
                                             pid_t owner)
{
        sigset_t none;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != owner)
                _exit(1);
        prctl(PR_SET_NAME, settings->name);
        for (int i = 1; i < NSIG; i++)
                if (i != SIGKILL && i != SIGSTOP)
                        signal(i, SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        keep_descriptors(settings, out);
        settings->run(settings->run_context);
        _exit(0);
}

int job_start(const struct job_settings *settings, struct job **ret, struct error *err)
{
        _cleanup_(job_freep) struct job *job = calloc(1, sizeof(*job));
        pid_t owner = getpid();
        int ends[2];

        if (!job)
                return error_no_memory(err);
        job->fd = -1;
        job->settings = *settings;
        if (pipe2(ends, O_CLOEXEC) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "%s can't be started",
                                 settings->name);
        job->fd = ends[0];
        (void)fcntl(job->fd, F_SETFL, O_NONBLOCK);
        job->pid = fork();
        if (job->pid == 0)
                be_job(settings, ends[1], owner);
        close(ends[1]);
        if (job->pid < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "%s can't be started",
                                 settings->name);
        if (settings->limit_ms)
                job->until_ns = clock_now_ns() + settings->limit_ms * UINT64_C(1000000);
        *ret = STEAL(job);
        return 0;
}

static int stop(struct job *job)
{
        int status = -1;

        if (job->pid > 0) {
                kill(job->pid, SIGKILL);
                while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR)
                        ;
        }
        job->pid = 0;
        return status;
}

struct job *job_free(struct job *job)
{
        if (!job)
                return NULL;
        (void)stop(job);
        if (job->fd >= 0)
                close(job->fd);
        buffer_done(&job->line);
        free(job);
        return NULL;
}

int job_fd(const struct job *job)
{
        return job->fd;
}

static void hand_out(struct job *job)
{
        json_t *json = job->overlong ? NULL
                                     : json_loadb((const char *)job->line.data, job->line.size,
                                                  JSON_REJECT_DUPLICATES, NULL);

        if (json_is_object(json))
                job->settings.line(job->settings.context, json);
        json_decref(json);
        job->line.size = 0;
        job->overlong = false;
}

static void take(struct job *job, const char *data, size_t size)
{
        while (size > 0) {
                const char *newline = memchr(data, '\n', size);
                size_t part = newline ? (size_t)(newline - data) : size;

                job->overlong = job->overlong || job->line.size + part > JOB_LINE_MAX ||
                                !buffer_append(&job->line, data, part);
                if (!newline)
                        return;
                hand_out(job);
                data += part + 1;
                size -= part + 1;
        }
}

/* It closed its end, so it is about to end: a moment for that, no more. */
static bool ended_well(struct job *job)
{
        int status = -1;

        for (unsigned i = 0; i < 100; i++) {
                if (waitpid(job->pid, &status, WNOHANG) == job->pid) {
                        job->pid = 0;
                        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
                }
                (void)poll(NULL, 0, 1);
        }
        (void)stop(job);
        return false;
}

bool job_step(struct job *job)
{
        char data[4096];

        for (;;) {
                ssize_t n = read(job->fd, data, sizeof(data));

                if (n > 0) {
                        take(job, data, (size_t)n);
                        continue;
                }
                if (n < 0 && errno == EINTR)
                        continue;
                if (n == 0) {
                        job->settings.end(job->settings.context, ended_well(job));
                        return true;
                }
                break;
        }
        if (job->until_ns && clock_now_ns() > job->until_ns) {
                (void)stop(job);
                job->settings.end(job->settings.context, false);
                return true;
        }
        return false;
}
