/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker has one program at a time in its hands. It first takes hold of it, says that the opening
 * may go on, and goes with the program to its entry point. While it has something in its hands its
 * dead man's timer runs.
 */
#include "daemon/guard-parts.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/facts.h"
#include "live/entry.h"

#define PATIENCE_NS 30000000000u   /* for libraries whose constructors take long */
#define LATE_LOOK_NS 2000000000u   /* for a library that is being mapped */
#define LATE_PAUSE_NS 500000u
#define LATE_WAIT_MS 300

struct work {
        const struct guard_settings *settings;
        int socket;
        struct guard_job job;
        uint64_t allowed_at_ns;
};

static void say(struct work *work, const struct guard_answer *answer)
{
        if (send(work->socket, answer, sizeof(*answer), MSG_NOSIGNAL) < 0)
                _exit(0); /* nobody is there any more */
}

static void say_allow(struct work *work)
{
        say(work, &(struct guard_answer){ .done = false });
        work->allowed_at_ns = clock_now_ns();
}

static struct entry *let_go(struct work *work, struct entry *entry)
{
        say(work, &(struct guard_answer){ .let_go = true });
        return entry_free(entry);
}

static bool beat(void *context)
{
        const struct work *work = context;

        guard_wind_up(GUARD_ANSWER_MS);
        return clock_now_ns() - work->allowed_at_ns > PATIENCE_NS;
}

static void fill(struct guard_report *report, const struct entry_report *entry)
{
        struct facts facts;

        if (facts_read(report->pid, &facts, NULL) == 0) {
                report->start_ticks = facts.process.start_ticks;
                report->main = facts.main;
                memcpy(report->service, facts.service, sizeof(report->service));
        }
        report->linking_ns = entry->linking_ns;
        report->held_ns = entry->held_ns;
        snprintf(report->patches, sizeof(report->patches), "%.127s", entry->names);
        if (entry->n_failed > 0)
                snprintf(report->text, sizeof(report->text), "%.319s", entry->error.cause);
}

/* A program that was to be patched at its start and was too quick for that. */
static bool say_ended(const struct work *work, struct guard_report *report)
{
        report->event = GUARD_FAILED;
        report->gap_ns = clock_now_ns() - work->job.since_ns;
        snprintf(report->text, sizeof(report->text), "it ended before it could be patched");
        return work->job.kind == GUARD_JOB_EXEC;
}

/* It runs already: patched as any process, as soon as what is to be patched is mapped. */
static bool patch_running(struct work *work, struct guard_report *report)
{
        uint64_t began_ns = clock_now_ns();
        uint64_t look_ns = work->job.look_ns ? work->job.look_ns : LATE_LOOK_NS;
        struct entry_report entry = { 0 };
        struct error err = { 0 };

        for (;;) {
                int r;

                guard_wind_up(GUARD_ANSWER_MS);
                r = entry_patch_running(work->job.pid, work->settings->patches,
                                        work->settings->n_patches, LATE_WAIT_MS, beat, work,
                                        &entry, &err);
                if (r != 0)
                        return say_ended(work, report);
                if (entry.n_patched + entry.n_unchanged > 0 && entry.n_failed == 0)
                        break;
                if (clock_now_ns() - began_ns > look_ns)
                        break;
                nanosleep(&(struct timespec){ .tv_nsec = LATE_PAUSE_NS }, NULL);
        }
        fill(report, &entry);
        report->gap_ns = clock_now_ns() - MIN(work->job.since_ns, began_ns);
        report->event = entry.n_failed > 0 ? GUARD_FAILED : GUARD_LATE;
        return entry.n_failed > 0 || entry.n_patched > 0;
}

static bool patch_at_entry(struct work *work, struct entry *entry, struct guard_report *report)
{
        struct entry_report done = { 0 };
        struct error err = { 0 };
        int r = entry_patch(entry, work->settings->patches, work->settings->n_patches, beat, work,
                            &done, &err);

        if (r == 0)
                fill(report, &done);
        (void)let_go(work, entry);
        if (r == ENTRY_GONE)
                return false;
        if (r < 0 || r == ENTRY_RUNS)
                return patch_running(work, report);
        if (r != 0) {
                report->event = GUARD_FAILED;
                snprintf(report->text, sizeof(report->text), "%.319s", err.cause);
                return true;
        }
        report->event = done.n_failed > 0 ? GUARD_FAILED : GUARD_STARTED;
        return done.n_failed + done.n_patched > 0;
}

/*
 * Where taking hold of a program ends its wait in the midst of the program's exec, there are some
 * ten microseconds to go before it runs: then nobody else must have the processor.
 */
static int take_exec(const struct guard_job *job, struct entry **entry, struct error *err)
{
        struct sched_param first = { .sched_priority = 2 }, usual = { 0 };
        int r;

        (void)sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
        r = entry_take_exec(job->pid, job->tid, entry, err);
        (void)sched_setscheduler(0, SCHED_OTHER, &usual);
        return r;
}

static bool work_on(struct work *work, struct guard_report *report)
{
        struct entry *entry = NULL;
        struct error err = { 0 };
        int r = ENTRY_RUNS;

        if (work->job.kind == GUARD_JOB_EXEC)
                r = take_exec(&work->job, &entry, &err);
        else if (work->job.kind == GUARD_JOB_LIBRARY)
                r = entry_take_library(work->job.pid, work->job.tid, work->job.local, &entry,
                                       &err);
        if (work->job.kind != GUARD_JOB_RUNNING)
                say_allow(work);
        if (r == 0)
                return patch_at_entry(work, entry, report);
        if (r == ENTRY_RUNS)
                return patch_running(work, report);
        if (r == ENTRY_GONE)
                return say_ended(work, report);
        if (r != ENTRY_LEFT_ALONE)
                return false;
        report->event = GUARD_FAILED;
        snprintf(report->text, sizeof(report->text), "left alone: %.300s", err.cause);
        return true;
}

void guard_worker_run(const struct guard_settings *settings, int socket, pid_t keeper)
{
        struct work work = { .settings = settings, .socket = socket };

        guard_part_begin("suture-worker", keeper);
        for (;;) {
                struct guard_answer answer = { .done = true };
                ssize_t n = recv(socket, &work.job, sizeof(work.job), 0);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n != (ssize_t)sizeof(work.job))
                        _exit(0);
                guard_wind_up(GUARD_ANSWER_MS);
                work.allowed_at_ns = clock_now_ns();
                answer.report.pid = work.job.pid;
                answer.has_report = work_on(&work, &answer.report);
                guard_wind_up(0);
                say(&work, &answer);
                if (entry_is_stuck())
                        _exit(0);
        }
}
