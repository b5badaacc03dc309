/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP and TCP are done by a small program (health-probe.c): it resolves names, speaks TLS and
 * parses what a stranger answers, in a process without privileges that can be killed. So there is
 * one kind of check here, a process, and nothing that could hang the daemon.
 */
#include "daemon/health.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include "base/clock.h"
#include "daemon/health-run.h"

#define MAX_ARGUMENTS 64
#define BAD_TO_UNDO 2

struct check {
        char *name, *text;
        char *argv[MAX_ARGUMENTS + 1];
        uint32_t timeout_ms, watch_ms, interval_ms;
        struct health_run *run;
        bool done_before, good_before, decides;
        unsigned bad;           /* runs that were, one after the other */
        uint64_t next_ns;       /* when to run again */
        uint64_t until_ns;      /* how long to watch */
};

struct health_watch {
        struct check *checks;
        size_t n_checks;
        int epoll, timer;
        enum health_outcome phase;
        bool applied;
        char cause[HEALTH_MAX_OUTPUT + 256];
};

static void end_run(struct health_watch *watch, struct check *check)
{
        if (check->run)
                epoll_ctl(watch->epoll, EPOLL_CTL_DEL, health_run_fd(check->run), NULL);
        check->run = health_run_free(check->run);
}

struct health_watch *health_watch_free(struct health_watch *watch)
{
        if (!watch)
                return NULL;
        for (size_t i = 0; i < watch->n_checks; i++) {
                end_run(watch, &watch->checks[i]);
                free(watch->checks[i].name);
                free(watch->checks[i].text);
        }
        free(watch->checks);
        cleanup_close(&watch->epoll);
        cleanup_close(&watch->timer);
        free(watch);
        return NULL;
}

static int split_command(struct check *check, struct error *err)
{
        size_t n = 0;

        for (char *rest = check->text, *word; (word = strtok_r(rest, " \t", &rest));) {
                if (n == MAX_ARGUMENTS)
                        return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                         "the check %s has more than %d arguments", check->name,
                                         MAX_ARGUMENTS);
                check->argv[n++] = word;
        }
        return 0;
}

static int copy_check(struct check *check, const struct policy_health *from, const char *probe,
                      struct error *err)
{
        const char *kind = from->kind == POLICY_HEALTH_HTTP ? "http" : "tcp";

        check->name = strdup(from->name);
        check->timeout_ms = from->timeout_ms;
        check->watch_ms = from->watch_ms;
        check->interval_ms = from->interval_ms;
        if (from->kind == POLICY_HEALTH_COMMAND) {
                check->text = strdup(from->check);
                return check->name && check->text ? split_command(check, err)
                                                  : error_no_memory(err);
        }
        /* "PROBE\0KIND\0TEXT" in one piece of memory */
        if (asprintf(&check->text, "%s%c%s%c%s", probe, 0, kind, 0, from->check) < 0)
                check->text = NULL;
        if (!check->name || !check->text)
                return error_no_memory(err);
        check->argv[0] = check->text;
        check->argv[1] = check->argv[0] + strlen(probe) + 1;
        check->argv[2] = check->argv[1] + strlen(kind) + 1;
        return 0;
}

static int start_run(struct health_watch *watch, struct check *check, struct error *err)
{
        struct epoll_event event = { .events = EPOLLIN };
        int r = health_run_start(check->argv, check->timeout_ms, &check->run, err);

        if (r < 0)
                return r;
        if (epoll_ctl(watch->epoll, EPOLL_CTL_ADD, health_run_fd(check->run), &event) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't wait for a check");
        return 0;
}

int health_watch_new(const struct policy_health *const *checks, size_t n_checks, const char *probe,
                     struct health_watch **ret, struct error *err)
{
        _cleanup_(health_watch_freep) struct health_watch *watch = calloc(1, sizeof(*watch));
        struct epoll_event event = { .events = EPOLLIN };
        int r = 0;

        if (!watch)
                return error_no_memory(err);
        watch->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        watch->epoll = epoll_create1(EPOLL_CLOEXEC);
        watch->checks = calloc(n_checks + 1, sizeof(*watch->checks));
        if (!watch->checks)
                return error_no_memory(err);
        if (watch->timer < 0 || watch->epoll < 0 ||
            epoll_ctl(watch->epoll, EPOLL_CTL_ADD, watch->timer, &event) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't watch a service");
        for (; r == 0 && watch->n_checks < n_checks;) {
                struct check *check = &watch->checks[watch->n_checks++];

                r = copy_check(check, checks[watch->n_checks - 1], probe, err);
                if (r == 0)
                        r = start_run(watch, check, err);
        }
        if (r < 0)
                return r;
        *ret = STEAL(watch);
        return 0;
}

int health_watch_fd(const struct health_watch *watch)
{
        return watch->epoll;
}

/* The timer ends at the earliest thing to do; one that is over makes the descriptor readable. */
static void set_timer(struct health_watch *watch)
{
        uint64_t now = clock_now_ns(), next = UINT64_MAX;
        struct itimerspec when = { 0 };

        for (size_t i = 0; watch->applied && i < watch->n_checks; i++) {
                const struct check *check = &watch->checks[i];

                if (check->decides && !check->run)
                        next = MIN(next, MIN(check->next_ns, check->until_ns));
        }
        if (watch->phase == HEALTH_RUNNING && next != UINT64_MAX) {
                uint64_t gap = next > now ? next - now : 1000000;

                when.it_value = (struct timespec){ (time_t)(gap / 1000000000u),
                                                   (long)(gap % 1000000000u) };
        }
        timerfd_settime(watch->timer, 0, &when, NULL);
}

void health_watch_applied(struct health_watch *watch)
{
        uint64_t now = clock_now_ns();

        watch->applied = true;
        watch->phase = HEALTH_RUNNING;
        for (size_t i = 0; i < watch->n_checks; i++) {
                struct check *check = &watch->checks[i];

                check->decides = check->good_before;
                check->next_ns = now;
                check->until_ns = now + check->watch_ms * 1000000ull;
        }
        set_timer(watch);
}

static void take_result(struct health_watch *watch, struct check *check, enum health_result result)
{
        bool good = result == HEALTH_RUN_GOOD;

        if (!watch->applied) {
                check->done_before = true;
                check->good_before = good;
                return;
        }
        check->bad = good ? 0 : check->bad + 1;
        if (check->bad >= BAD_TO_UNDO) {
                watch->phase = HEALTH_UNDO;
                snprintf(watch->cause, sizeof(watch->cause), "the check %.200s failed: %s",
                         check->name, health_run_text(check->run));
        }
        /* A first failure is looked into at once. */
        check->next_ns = clock_now_ns() + (good ? check->interval_ms * 1000000ull : 0);
}

/*
 * A check is through when its time of watching is over, it was asked at least once, and the last
 * answer was good.
 */
static int step(struct health_watch *watch, struct check *check, struct error *err)
{
        uint64_t now = clock_now_ns();
        enum health_result result = check->run ? health_run_dispatch(check->run)
                                               : HEALTH_RUN_GOES_ON;

        if (result != HEALTH_RUN_GOES_ON) {
                take_result(watch, check, result);
                end_run(watch, check);
                if (watch->applied && check->bad == 0 && now >= check->until_ns)
                        check->decides = false;
        }
        if (!watch->applied || !check->decides || check->run || watch->phase != HEALTH_RUNNING)
                return 0;
        return now >= check->next_ns || now >= check->until_ns || check->bad
                       ? start_run(watch, check, err)
                       : 0;
}

int health_watch_dispatch(struct health_watch *watch, struct error *err)
{
        bool waiting = false;
        uint64_t expired;

        if (watch->phase != HEALTH_RUNNING)
                return (int)watch->phase;
        while (read(watch->timer, &expired, sizeof(expired)) > 0)
                ;
        for (size_t i = 0; i < watch->n_checks && watch->phase == HEALTH_RUNNING; i++) {
                struct check *check = &watch->checks[i];
                int r = step(watch, check, err);

                if (r < 0)
                        return r;
                waiting |= watch->applied ? check->decides : !check->done_before;
        }
        if (watch->phase == HEALTH_RUNNING && !waiting)
                watch->phase = watch->applied ? HEALTH_KEEP : HEALTH_READY;
        set_timer(watch);
        return (int)watch->phase;
}

const char *health_watch_cause(const struct health_watch *watch)
{
        return watch->cause;
}

size_t health_watch_failed_before(const struct health_watch *watch)
{
        size_t n = 0;

        for (size_t i = 0; i < watch->n_checks; i++)
                n += watch->checks[i].done_before && !watch->checks[i].good_before;
        return n;
}
