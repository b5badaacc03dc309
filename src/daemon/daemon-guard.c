/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guard as the daemon keeps it: renewed whenever the enabled patches change, its reports noted,
 * and the patched processes followed to their end for the crash guard.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/array.h"
#include "base/clock.h"
#include "daemon/daemon-parts.h"
#include "daemon/facts.h"
#include "live/entry.h"

#define SWAP_PATIENCE_NS 30000000000u   /* for a new guard that does not get ready */

static uint64_t boottime_ns(void)
{
        struct timespec now;

        clock_gettime(CLOCK_BOOTTIME, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --- Sets -------------------------------------------------------------------------------- */

static void set_done(struct guard_set *set)
{
        guard_close(set->guard);
        for (size_t i = 0; i < set->n_patches; i++)
                patch_free(set->patches[i]);
        free(set->patches);
        *set = (struct guard_set){ 0 };
}

/* The store's own may go with its next change, so the guard gets copies. */
static int set_patches(const struct daemon *daemon, struct guard_set *set, struct error *err)
{
        size_t n;
        _cleanup_free_ const struct patch **enabled = daemon_enabled(daemon, &n);

        set->patches = calloc(n + 1, sizeof(struct patch *));
        if (!enabled || !set->patches)
                return error_no_memory(err);
        for (size_t i = 0; i < n; i++) {
                int r = patch_parse(enabled[i]->bytes.data, enabled[i]->bytes.size, enabled[i]->id,
                                    &set->patches[i], err);

                if (r < 0)
                        return r;
                set->n_patches++;
        }
        return 0;
}

static int set_open(struct daemon *daemon, struct guard_set *ret, struct error *err)
{
        struct guard_set set = { .opened_ns = clock_now_ns() };
        int r = set_patches(daemon, &set, err);

        entry_set_wanted(facts_wanted, &daemon->policy);
        if (r == 0 && set.n_patches > 0) {
                struct guard_settings settings = {
                        .patches = (const struct patch *const *)set.patches,
                        .n_patches = set.n_patches,
                        .files = daemon->settings.watch,
                        .n_files = daemon->settings.n_watch,
                };

                r = guard_open(&settings, &set.guard, err);
        }
        set.ready = set.n_patches == 0;
        if (r == 0)
                *ret = set;
        else
                set_done(&set);
        return r;
}

void daemon_guard_renew(struct daemon *daemon)
{
        struct error err = { 0 };

        if (daemon->swapping) {
                daemon->swap_again = true;
                return;
        }
        if (set_open(daemon, &daemon->next, &err) == 0)
                daemon->swapping = true;
        else
                daemon_tell(daemon, "guard-fault", 0, getpid(), json_pack("{s:s}", "cause",
                                                                          err.cause));
}

void daemon_undone(struct daemon *daemon, const char *id)
{
        char(*slot)[PATCH_NAME_SIZE] = ARRAY_PUSH(daemon->undone, daemon->n_undone);

        daemon_tasks_break_off(daemon, id);
        if (slot)
                snprintf(*slot, sizeof(*slot), "%s", id);
}

/* The new guard watches: the old one ends, and what it did meanwhile is looked after. */
static void take_over(struct daemon *daemon)
{
        set_done(&daemon->guard);
        daemon->guard = daemon->next;
        daemon->next = (struct guard_set){ 0 };
        daemon->swapping = false;
        daemon->scan_wanted = true;
        for (size_t i = 0; i < daemon->n_undone; i++) {
                struct task task = { .kind = TASK_UNDO, .deadline_ms = 10000 };

                memcpy(task.id, daemon->undone[i], sizeof(task.id));
                (void)daemon_task_add(daemon, &task);
        }
        daemon->n_undone = 0;
        free(daemon->undone);
        daemon->undone = NULL;
        if (daemon->swap_again) {
                daemon->swap_again = false;
                daemon_guard_renew(daemon);
        }
}

/* --- Patched processes ------------------------------------------------------------------- */

static size_t split(char *names, const char **ret, size_t max)
{
        char *rest;
        size_t n = 0;

        for (char *name = strtok_r(names, " ", &rest); name && n < max;
             name = strtok_r(NULL, " ", &rest))
                ret[n++] = name;
        return n;
}

void daemon_know(struct daemon *daemon, const struct life *life, bool all)
{
        _cleanup_free_ char *names = strdup(life->patches);
        const char *patches[CRASH_GUARD_MAX_PATCHES];
        size_t n = names ? split(names, patches, CRASH_GUARD_MAX_PATCHES) : 0;

        for (size_t i = 0; i < n; i++)
                if (crash_guard_activated(daemon->crash, life->service, patches[i],
                                          crash_guard_clock(daemon->crash, boottime_ns())))
                        daemon->crash_changed = true;
        if (all)
                (void)lives_add(daemon->lives, life);
        for (size_t i = 0; i < n && !all; i++) {
                struct life one = *life;

                one.patches = (char *)patches[i];
                (void)lives_add_patch(daemon->lives, &one);
        }
}

void daemon_life_ended(void *context, const struct life_end *end)
{
        struct daemon *daemon = context;
        _cleanup_free_ char *names = strdup(end->life->patches);
        const char *patches[CRASH_GUARD_MAX_PATCHES];
        struct crash_guard_verdict verdict;
        struct crash_guard_death death = {
                .service = end->life->service,
                .patches = patches,
                .signal = end->signal,
                .exit_status = end->exit_status,
                .service_main = end->life->main,
                .time_ns = crash_guard_clock(daemon->crash, boottime_ns()),
        };

        if (!names || !crash_guard_counts(&death))
                return;
        death.n_patches = split(names, patches, CRASH_GUARD_MAX_PATCHES);
        daemon->crash_changed = true;
        daemon_tell(daemon, "patched-process-died", 0, end->life->pid,
                    json_pack("{s:s, s:s, s:i, s:i}", "service", end->life->service, "patches",
                              end->life->patches, "signal", end->signal, "status",
                              end->exit_status));
        if (crash_guard_death(daemon->crash, &death, &verdict) == CRASH_GUARD_QUARANTINE)
                daemon_quarantine(daemon, verdict.patch, verdict.reason, "crash guard");
}

/* "SUT-1.2" is level 2 of SUT-1. */
static void strip_level(char *name)
{
        char *dot = strrchr(name, '.');

        if (dot && dot[1] && strspn(dot + 1, "0123456789") == strlen(dot + 1))
                *dot = '\0';
}

void daemon_quarantine(struct daemon *daemon, const char *patch, const char *reason,
                       const char *by)
{
        struct task task = { .kind = TASK_UNDO, .deadline_ms = 10000 };
        struct error err = { 0 };
        int r;

        snprintf(task.id, sizeof(task.id), "%s", patch);
        strip_level(task.id);
        r = patch_store_set_state(daemon->store, task.id, PATCH_STATE_QUARANTINED, reason, by,
                                  &err);
        if (r == PATCH_STORE_UNCHANGED)
                return;
        daemon_tell(daemon, "patch-quarantined", 0, getpid(),
                    json_pack("{s:s, s:s, s:s, s:s}", "patch", patch, "reason", reason, "by", by,
                              "fault", r < 0 ? err.cause : ""));
        daemon_undone(daemon, task.id);
        daemon_guard_renew(daemon);
        (void)daemon_task_add(daemon, &task);
}

/* --- Reports ----------------------------------------------------------------------------- */

static void note_patched(struct daemon *daemon, const struct guard_report *report)
{
        const struct life life = {
                .pid = report->pid,
                .start_ticks = report->start_ticks,
                .main = report->main,
                .service = (char *)report->service,
                .patches = (char *)report->patches,
        };
        bool late = report->event == GUARD_LATE;

        daemon->n_late += late;
        daemon->n_started += !late;
        daemon_tell(daemon, late ? "program-patched-late" : "program-patched", 0, report->pid,
                    json_pack("{s:s, s:s, s:I, s:I, s:I}", "patches", report->patches, "service",
                              report->service, "held_us", (json_int_t)(report->held_ns / 1000),
                              "linking_us", (json_int_t)(report->linking_ns / 1000), "gap_us",
                              (json_int_t)(report->gap_ns / 1000)));
        daemon_know(daemon, &life, !late);
}

static void on_report(struct daemon *daemon, struct guard_set *set,
                      const struct guard_report *report)
{
        switch (report->event) {
        case GUARD_READY:
                set->ready = true;
                break;
        case GUARD_STARTED:
        case GUARD_LATE:
                note_patched(daemon, report);
                break;
        case GUARD_FAILED:
                daemon->n_failed++;
                daemon_tell(daemon, "program-not-patched", 0, report->pid,
                            json_pack("{s:s, s:s, s:I}", "patches", report->patches, "cause",
                                      report->text, "gap_us",
                                      (json_int_t)(report->gap_ns / 1000)));
                break;
        case GUARD_LOST:
                daemon->n_lost++;
                daemon->scan_wanted = true;
                daemon_tell(daemon, "guard-lost", 0, getpid(), json_pack("{s:s}", "cause",
                                                                         report->text));
                break;
        case GUARD_FALLBACK:
                set->ready = set->fallback = true;
                daemon_tell(daemon, "guard-late", 0, getpid(), json_pack("{s:s}", "cause",
                                                                         report->text));
                break;
        case GUARD_WATCHING:
                break;
        }
}

struct report_context {
        struct daemon *daemon;
        struct guard_set *set;
};

static void tell_report(void *context, const struct guard_report *report)
{
        const struct report_context *where = context;

        on_report(where->daemon, where->set, report);
}

static void step_set(struct daemon *daemon, struct guard_set *set)
{
        struct report_context context = { daemon, set };
        struct error err = { 0 };

        if (set->guard && guard_step(set->guard, tell_report, &context, &err) < 0)
                daemon_tell(daemon, "guard-fault", 0, getpid(), json_pack("{s:s}", "cause",
                                                                          err.cause));
}

void daemon_guard_step(struct daemon *daemon)
{
        step_set(daemon, &daemon->guard);
        if (!daemon->swapping)
                return;
        step_set(daemon, &daemon->next);
        if (daemon->next.ready || clock_now_ns() - daemon->next.opened_ns > SWAP_PATIENCE_NS)
                take_over(daemon);
}

void daemon_guard_end(struct daemon *daemon)
{
        set_done(&daemon->guard);
        set_done(&daemon->next);
        free(daemon->undone);
}
