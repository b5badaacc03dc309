/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Applies and takes back. Services with health checks are patched one after the other: their checks
 * are made before and watched afterwards, and when one says so, the service gets its old code back.
 */
#include "daemon/work.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "daemon/facts.h"
#include "daemon/health.h"
#include "daemon/job.h"

#define CHECKS_MAX 32
#define THREAD_PAUSE_NS 25000u  /* what a thread adds to a pause: 1,000 threads in 25 ms */

const char *work_result_word(enum live_result result)
{
        static const char *const words[] = {
                [LIVE_PENDING] = "pending", [LIVE_DONE] = "done", [LIVE_UNCHANGED] = "unchanged",
                [LIVE_BUSY] = "busy",       [LIVE_REFUSED] = "refused", [LIVE_GONE] = "gone",
                [LIVE_FAILED] = "failed",   [LIVE_UNDONE] = "undone",
        };

        return words[result];
}

static void say_fault(const struct error *err)
{
        job_say(json_pack("{s:{s:s, s:s, s:i}}", "fault", "cause", err->cause, "next", err->next,
                          "exit_code", (int)err->exit_code));
}

static void say_process(const char *patch, const struct live_process *item)
{
        const struct process *process = &item->process;
        struct facts facts = { 0 };

        (void)facts_read(process->pid, &facts, NULL);
        job_say(json_pack("{s:{s:s, s:b, s:i, s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:s, "
                          "s:i}}",
                          "process", "service", facts.service, "main", (int)facts.main, "pid", (int)process->pid, "start",
                          (json_int_t)process->start_ticks, "name", process->name, "unit",
                          process->unit, "container", process->container, "patch", patch,
                          "result", work_result_word(item->result), "pause_ns",
                          (json_int_t)item->pause_ns, "held_ns", (json_int_t)item->held_ns,
                          "cause", item->error.cause, "next", item->error.next, "exit_code",
                          (int)item->error.exit_code));
}

/* --- What policy lets through ------------------------------------------------------------ */

static bool may_be_done(const struct work *work, const struct patch *patch,
                        const struct live_process *item)
{
        struct policy_decision decision;
        struct facts facts;

        if (facts_read(item->process.pid, &facts, NULL) != 0)
                return false;
        decision = facts_decide(work->policy, patch, &facts);
        if (work->asked)
                return decision.mode != POLICY_EXCLUDED;
        if (decision.mode != POLICY_AUTOMATIC)
                return false;
        return decision.pause_budget_ms == 0 ||
               (uint64_t)item->process.n_threads * THREAD_PAUSE_NS <=
                       decision.pause_budget_ms * UINT64_C(1000000);
}

/* A group is all or nothing here, too: one that may not be touched keeps its whole group out. */
static bool group_may(const struct work *work, const struct patch *patch,
                      const struct live_plan *plan, size_t group)
{
        for (size_t i = 0; i < plan->n_items; i++)
                if (plan->items[i].group_index == group &&
                    !may_be_done(work, patch, &plan->items[i]))
                        return false;
        return true;
}

/* Keeps of the plan what `keep` says of each group. */
static void keep_groups(struct live_plan *plan, const bool *keep)
{
        size_t kept = 0;

        for (size_t i = 0; i < plan->n_items; i++)
                if (keep[plan->items[i].group_index])
                        plan->items[kept++] = plan->items[i];
                else
                        free(plan->items[i].siblings);
        plan->n_items = kept;
}

static int filter_plan(const struct work *work, const struct patch *patch, struct live_plan *plan,
                       struct error *err)
{
        _cleanup_free_ bool *keep = calloc(plan->n_groups + 1, sizeof(*keep));

        if (!keep)
                return error_no_memory(err);
        for (size_t i = 0; i < plan->n_groups; i++)
                keep[i] = group_may(work, patch, plan, i);
        keep_groups(plan, keep);
        return 0;
}

/* --- Applying ---------------------------------------------------------------------------- */

static void say_plan(const char *name, const struct live_plan *plan)
{
        for (size_t i = 0; i < plan->n_items; i++)
                say_process(name, &plan->items[i]);
}

static int apply_selected(const struct work *work, const struct patch *patch,
                          const struct live_selection *selection, struct live_plan *plan,
                          struct error *err)
{
        struct live_options options = { .deadline_ms = work->deadline_ms };
        int r = live_choose(patch, selection, plan, err);

        if (r == 0)
                r = filter_plan(work, patch, plan, err);
        return r == 0 && plan->n_items > 0 ? live_apply(patch, plan, &options, err) : r;
}

struct checks {
        const struct policy_health *items[CHECKS_MAX];
        size_t n_items;
};

static void add_check(void *context, const struct policy_health *health)
{
        struct checks *checks = context;

        if (checks->n_items < CHECKS_MAX)
                checks->items[checks->n_items++] = health;
}

/* Until the watch has something to say. */
static int wait_for_health(struct health_watch *watch, struct error *err)
{
        int r;

        while ((r = health_watch_dispatch(watch, err)) == HEALTH_RUNNING) {
                struct pollfd wait = { .fd = health_watch_fd(watch), .events = POLLIN };

                (void)poll(&wait, 1, 1000);
        }
        return r;
}

static void undo_unit(const struct work *work, const char *name, const char *unit,
                      const char *cause)
{
        struct live_rollback_filter filter = { .patch_id = name };
        struct live_selection selection = { .unit = unit };
        struct live_options options = { .deadline_ms = work->deadline_ms };
        _cleanup_(live_plan_done) struct live_plan plan = { 0 };
        struct error err = { 0 };

        job_say(json_pack("{s:{s:s, s:s, s:s}}", "health", "patch", name, "unit", unit, "cause",
                          cause));
        if (live_choose_rollback(&filter, &selection, &plan, &err) < 0 ||
            live_rollback(&filter, &plan, &options, &err) < 0) {
                say_fault(&err);
                return;
        }
        for (size_t i = 0; i < plan.n_items; i++)
                if (plan.items[i].result == LIVE_DONE)
                        plan.items[i].result = LIVE_UNDONE;
        say_plan(name, &plan);
}

static bool any_done(const struct live_plan *plan)
{
        for (size_t i = 0; i < plan->n_items; i++)
                if (plan->items[i].result == LIVE_DONE)
                        return true;
        return false;
}

static int apply_watched(const struct work *work, const struct patch *patch, const char *unit,
                         const struct checks *checks, struct error *err)
{
        struct live_selection selection = work->selection;
        _cleanup_(live_plan_done) struct live_plan plan = { 0 };
        _cleanup_(health_watch_freep) struct health_watch *watch = NULL;
        char name[PATCH_NAME_SIZE];
        int r;

        patch_format_name(patch, name);
        selection.unit = unit;
        r = health_watch_new(checks->items, checks->n_items, work->probe, &watch, err);
        if (r == 0)
                r = wait_for_health(watch, err);
        if (r >= 0)
                r = apply_selected(work, patch, &selection, &plan, err);
        if (r < 0)
                return r;
        say_plan(name, &plan);
        if (!any_done(&plan))
                return 0;
        health_watch_applied(watch);
        r = wait_for_health(watch, err);
        if (r == HEALTH_UNDO)
                undo_unit(work, name, unit, health_watch_cause(watch));
        return r < 0 ? r : 0;
}

struct units {
        char (*items)[128];
        size_t n_items;
};

static bool has_unit(const struct units *units, const char *unit)
{
        for (size_t i = 0; i < units->n_items; i++)
                if (strcmp(units->items[i], unit) == 0)
                        return true;
        return false;
}

/* The units of the plan that have checks and something to do. */
static void find_watched(const struct work *work, const struct live_plan *plan, struct units *ret)
{
        for (size_t i = 0; i < plan->n_items; i++) {
                const char *unit = plan->items[i].process.unit;
                char(*slot)[128];

                if (!unit[0] || has_unit(ret, unit) ||
                    policy_health_for(work->policy, unit, NULL, NULL) == 0)
                        continue;
                slot = ARRAY_PUSH(ret->items, ret->n_items);
                if (slot)
                        snprintf(*slot, sizeof(*slot), "%s", unit);
        }
}

static int apply_unwatched(const struct work *work, const struct patch *patch,
                           const struct units *watched, struct live_plan *plan, struct error *err)
{
        _cleanup_free_ bool *keep = calloc(plan->n_groups + 1, sizeof(*keep));
        struct live_options options = { .deadline_ms = work->deadline_ms };
        char name[PATCH_NAME_SIZE];
        int r = 0;

        if (!keep)
                return error_no_memory(err);
        for (size_t i = 0; i < plan->n_items; i++)
                keep[plan->items[i].group_index] = !has_unit(watched, plan->items[i].process.unit);
        keep_groups(plan, keep);
        patch_format_name(patch, name);
        if (plan->n_items > 0)
                r = live_apply(patch, plan, &options, err);
        say_plan(name, plan);
        return r;
}

static int apply_patch(const struct work *work, const struct patch *patch, struct error *err)
{
        _cleanup_(live_plan_done) struct live_plan plan = { 0 };
        struct units watched = { 0 };
        int r = live_choose(patch, &work->selection, &plan, err);

        if (r == 0)
                r = filter_plan(work, patch, &plan, err);
        if (r == 0) {
                find_watched(work, &plan, &watched);
                r = apply_unwatched(work, patch, &watched, &plan, err);
        }
        for (size_t i = 0; r == 0 && i < watched.n_items; i++) {
                struct checks checks = { 0 };

                (void)policy_health_for(work->policy, watched.items[i], add_check, &checks);
                r = apply_watched(work, patch, watched.items[i], &checks, err);
        }
        free(watched.items);
        return r;
}

/* --- Taking back, looking ---------------------------------------------------------------- */

static int undo(const struct work *work, const char *id, struct error *err)
{
        struct live_rollback_filter filter = { .patch_id = id };
        struct live_options options = { .deadline_ms = work->deadline_ms };
        _cleanup_(live_plan_done) struct live_plan plan = { 0 };
        int r = live_choose_rollback(&filter, &work->selection, &plan, err);

        if (r == 0 && plan.n_items > 0)
                r = live_rollback(&filter, &plan, &options, err);
        say_plan(id, &plan);
        return r;
}

static void look_at(pid_t pid)
{
        _cleanup_free_ struct live_instance *instances = NULL;
        json_t *patches = json_array();
        struct facts facts;
        size_t n = 0;

        if (live_inspect(pid, &instances, &n, NULL) != 0)
                n = 0;
        for (size_t i = 0; i < n; i++)
                if (instances[i].state == LIVE_STATE_ACTIVE)
                        json_array_append_new(patches, json_sprintf("%s.%u", instances[i].patch_id,
                                                                    instances[i].level));
        if (json_array_size(patches) > 0 && facts_read(pid, &facts, NULL) == 0)
                job_say(json_pack("{s:{s:i, s:I, s:s, s:b, s:O}}", "known", "pid", (int)pid,
                                  "start", (json_int_t)facts.process.start_ticks, "service",
                                  facts.service, "main", (int)facts.main, "patches", patches));
        json_decref(patches);
}

static void look(void)
{
        _cleanup_free_ pid_t *pids = NULL;
        size_t n = 0;

        if (process_list(&pids, &n, NULL) < 0)
                return;
        for (size_t i = 0; i < n; i++)
                look_at(pids[i]);
}

void work_run(void *context)
{
        const struct work *work = context;

        for (size_t i = 0; i < work->n_undo; i++) {
                struct error err = { .exit_code = EXIT_CODE_ERROR };

                if (undo(work, work->undo[i], &err) < 0)
                        say_fault(&err);
        }
        for (size_t i = 0; i < work->n_patches; i++) {
                struct error err = { .exit_code = EXIT_CODE_ERROR };

                if (apply_patch(work, work->patches[i], &err) < 0)
                        say_fault(&err);
        }
        if (work->look)
                look();
}
