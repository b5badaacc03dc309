/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Applying and taking back, group by group. All members of a group are prepared before the first
 * is activated; then each is stopped for as long as its own switch takes. A member that is busy is
 * tried again with growing gaps until the deadline. If one can't be done, what was done to the
 * others is undone, so that a service is never half patched.
 */
#include "live/live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "live/choose.h"
#include "live/inspect.h"
#include "live/instance.h"
#include "live/unwind.h"

#define GAP_FIRST_MS 1
#define GAP_LAST_MS 250
#define QUICK_ATTEMPTS 4 /* within some ten milliseconds, whatever the deadline */
#define UNDO_WAIT_MS 10000
#define FOLLOW_UPS 3    /* rounds for processes that were forked meanwhile */

/* One process in work. */
struct member {
        struct live_process *process;
        struct target *target;
        struct instance **instances;
        size_t n_instances;
        bool settled;           /* its result is known */
        bool switched;
};

struct group {
        struct member *members;
        size_t n_members;
};

struct run {
        const struct patch *patch;                       /* NULL for a rollback */
        const struct live_rollback_filter *filter;
        const struct live_options *options;
        uint64_t deadline_ns;
        struct live_cache *cache;
};

/* --- Members ----------------------------------------------------------------------------- */

static void member_done(struct member *member)
{
        for (size_t i = 0; i < member->n_instances; i++)
                instance_free(member->instances[i]);
        free(member->instances);
        target_free(member->target);
        *member = (struct member){ 0 };
}

static void group_done(struct group *group)
{
        for (size_t i = 0; i < group->n_members; i++)
                member_done(&group->members[i]);
        free(group->members);
        *group = (struct group){ 0 };
}

static void settle(const struct run *run, struct member *member, enum live_result result)
{
        struct live_process *process = member->process;

        member->settled = true;
        process->result = result;
        if (member->target) {
                process->pause_ns = MAX(process->pause_ns, member->target->pause_ns);
                process->held_ns = MAX(process->held_ns, member->target->held_ns);
        }
        if (run->options->progress)
                run->options->progress(run->options->context, process);
}

/* Turns an outcome of the engine into a result; `err` holds the sentence of a fault. */
static void settle_outcome(const struct run *run, struct member *member, int outcome,
                           const struct error *err)
{
        /* a program that ends meanwhile may have shown itself as any kind of fault */
        if (outcome == TARGET_GONE ||
            (outcome < 0 && member->target && target_is_over(member->target))) {
                settle(run, member, LIVE_GONE);
        } else if (outcome == TARGET_BUSY) {
                member->process->error = member->target->busy;
                settle(run, member, LIVE_BUSY);
        } else {
                member->process->error = *err;
                settle(run, member,
                       err->exit_code == EXIT_CODE_ERROR ? LIVE_FAILED : LIVE_REFUSED);
        }
}

static int add_instance(struct member *member, uint64_t module_address, struct error *err)
{
        struct instance **slot = ARRAY_PUSH(member->instances, member->n_instances);

        if (!slot)
                return error_no_memory(err);
        return instance_open(member->target, module_address, slot, err);
}

static int open_target(const struct run *run, struct member *member, struct error *err)
{
        const struct live_process *process = member->process;

        return target_open(process->process.pid, process->process.start_ticks, process->siblings,
                           process->n_siblings, run->cache, &member->target, err);
}

/* --- Applying: preparation --------------------------------------------------------------- */

/* The modules that the patch is for; preparing one changes the maps that the list belongs to. */
static int find_modules(const struct run *run, struct target *target, uint64_t **addresses,
                        const struct patch_target ***specs, size_t *ret_n, struct error *err)
{
        size_t n_specs = 0;
        int r = target_read_modules(target, err);

        for (size_t i = 0; r == 0 && i < target->modules.n_items; i++) {
                const struct module *module = &target->modules.items[i];
                const struct patch_target *spec = patch_find_target(run->patch, &module->build_id);
                const struct patch_target **spec_slot;
                uint64_t *slot;

                if (!spec)
                        continue;
                slot = ARRAY_PUSH(*addresses, *ret_n);
                spec_slot = ARRAY_PUSH(*specs, n_specs);
                if (!slot || !spec_slot)
                        return error_no_memory(err);
                *slot = module->address;
                *spec_slot = spec;
        }
        return r;
}

static int prepare_modules(const struct run *run, struct member *member, size_t *ret_unchanged,
                           struct error *err)
{
        _cleanup_free_ uint64_t *addresses = NULL;
        _cleanup_free_ const struct patch_target **specs = NULL;
        size_t n = 0;
        int r = find_modules(run, member->target, &addresses, &specs, &n, err);

        for (size_t i = 0; r == 0 && i < n; i++) {
                r = add_instance(member, addresses[i], err);
                if (r == 0)
                        r = instance_prepare(member->instances[member->n_instances - 1],
                                             run->patch, specs[i], err);
                if (r == INSTANCE_UNCHANGED) {
                        instance_free(member->instances[--member->n_instances]);
                        (*ret_unchanged)++;
                        r = 0;
                }
        }
        return r;
}

static int prepare_member(const struct run *run, struct member *member, struct error *err)
{
        size_t unchanged = 0;
        int r = open_target(run, member, err);

        if (r == 0)
                r = prepare_modules(run, member, &unchanged, err);
        if (r != 0)
                return r;
        if (member->n_instances == 0) {
                settle(run, member, unchanged > 0 ? LIVE_UNCHANGED : LIVE_GONE);
                return 0;
        }
        return safety_find_further_stacks(member->target, err);
}

static bool give_up(const struct run *run, uint64_t deadline_ns)
{
        return clock_now_ns() >= deadline_ns ||
               (run->options->interrupted && run->options->interrupted(run->options->context));
}

/* Tried again, from the beginning, while no thread can be used for the calls it takes. */
static int prepare_member_until(const struct run *run, struct member *member, struct error *err)
{
        unsigned gap_ms = GAP_FIRST_MS;

        for (;;) {
                struct live_process *process = member->process;
                int r = prepare_member(run, member, err);

                if (r != TARGET_BUSY || give_up(run, run->deadline_ns))
                        return r;
                target_rest(gap_ms);
                gap_ms = MIN(2 * gap_ms, (unsigned)GAP_LAST_MS);
                member_done(member);
                member->process = process;
        }
}

/* --- Switching one member ---------------------------------------------------------------- */

static int collect_ranges(const struct member *member, struct code_range **ranges,
                          size_t *n_ranges, struct error *err)
{
        for (size_t i = 0; i < member->n_instances; i++) {
                int r = instance_ranges(member->instances[i], ranges, n_ranges, err);

                if (r < 0)
                        return r;
        }
        return 0;
}

/*
 * Stops the target, makes sure that it is safe, lets `act` change each instance, and resumes it.
 * 0, TARGET_GONE, TARGET_BUSY, or a fault.
 */
static int with_target_stopped(struct member *member,
                               int (*act)(struct instance *instance, struct error *err),
                               struct error *err)
{
        _cleanup_free_ struct code_range *ranges = NULL;
        struct target *target = member->target;
        size_t n_ranges = 0;
        int r;

        r = target_refresh_maps(target, err);
        if (r == 0)
                r = collect_ranges(member, &ranges, &n_ranges, err);
        if (r == 0)
                r = target_stop(target, err);
        if (r != 0)
                return r;
        (void)fault_here(FAULT_STOPPED_ALL); /* only death is possible here */
        r = safety_check(target, ranges, n_ranges, err);
        (void)fault_here(FAULT_SAFE);
        for (size_t i = 0; r == 0 && i < member->n_instances; i++)
                r = act(member->instances[i], err);
        target_resume(target);
        (void)fault_here(FAULT_RESUMED);
        return r;
}

/* The same, tried again while it is busy. */
static int with_target_stopped_until(const struct run *run, struct member *member,
                                     uint64_t deadline_ns,
                                     int (*act)(struct instance *instance, struct error *err),
                                     struct error *err)
{
        struct target *target = member->target;
        unsigned gap_ms = GAP_FIRST_MS;

        for (unsigned attempt = 1;; attempt++) {
                int r = with_target_stopped(member, act, err);

                if (r != TARGET_BUSY || (attempt > QUICK_ATTEMPTS && give_up(run, deadline_ns)))
                        return r;
                /* a thread that is only passing through is soon gone; one that stays may be there
                 * by a stale word only, which unwinding tells, but that makes the stop longer */
                if (attempt == QUICK_ATTEMPTS && target->wants_unwinder && !target->unwinder)
                        target->unwinder = unwinder_new(target);
                member->target->maps_stale = true; /* it has run for a while */
                target_rest(gap_ms);
                gap_ms = MIN(2 * gap_ms, (unsigned)GAP_LAST_MS);
        }
}

static int prove_member(struct member *member, struct error *err)
{
        for (size_t i = 0; i < member->n_instances; i++) {
                int r = instance_prove(member->instances[i], err);

                if (r != 0)
                        return r;
        }
        return 0;
}

static void clean_member(struct member *member)
{
        struct error err = { 0 };

        for (size_t i = 0; i < member->n_instances; i++)
                if (member->instances[i] && instance_clean(member->instances[i], &err) != 0)
                        log_debug("pid %d: something was left for the next run to clean: %s",
                                  member->target->pid, err.cause);
}

/* --- A group ----------------------------------------------------------------------------- */

static void undo_member(const struct run *run, struct member *member)
{
        struct error err = { 0 };
        int r = with_target_stopped_until(run, member,
                                          clock_now_ns() + UNDO_WAIT_MS * UINT64_C(1000000),
                                          instance_undo, &err);

        if (r == TARGET_GONE) {
                settle(run, member, LIVE_GONE);
                return;
        }
        if (r != 0) {
                member->process->error = r < 0 ? err : member->target->busy;
                error_prefix(&member->process->error, "could not be taken back, so it is patched");
                settle(run, member, LIVE_FAILED);
                return;
        }
        clean_member(member);
        settle(run, member, LIVE_UNDONE);
}

/* One member could not be done: what was done to the others is undone. */
static void fail_group(const struct run *run, struct group *group, const struct member *culprit)
{
        for (size_t i = 0; i < group->n_members; i++) {
                struct member *member = &group->members[i];

                if (member == culprit) {
                        if (member->switched)
                                undo_member(run, member);
                        else if (member->target)
                                clean_member(member);
                        continue;
                }
                if (member->settled && !member->switched)
                        continue;
                error_set(&member->process->error, EXIT_CODE_ERROR, 0,
                          "see to that process first; a group is patched as a whole or not at all",
                          "not patched, because pid %d of its group (%s) could not be",
                          culprit->process->process.pid, culprit->process->group);
                if (member->switched) {
                        undo_member(run, member);
                } else {
                        if (member->target)
                                clean_member(member);
                        settle(run, member, LIVE_FAILED);
                }
        }
}

static bool is_failure(enum live_result result)
{
        return result == LIVE_BUSY || result == LIVE_REFUSED || result == LIVE_FAILED;
}

static void apply_group(const struct run *run, struct group *group)
{
        struct error err = { 0 };
        int r;

        for (size_t i = 0; i < group->n_members; i++) {
                struct member *member = &group->members[i];

                if (member->process->result == LIVE_REFUSED) {
                        member->settled = true;
                        fail_group(run, group, member);
                        return;
                }
        }
        for (size_t i = 0; i < group->n_members; i++) {
                struct member *member = &group->members[i];

                r = prepare_member_until(run, member, &err);
                if (r == 0)
                        continue;
                settle_outcome(run, member, r, &err);
                if (is_failure(member->process->result)) {
                        fail_group(run, group, member);
                        return;
                }
        }
        for (size_t i = 0; i < group->n_members; i++) {
                struct member *member = &group->members[i];

                if (member->settled)
                        continue;
                r = with_target_stopped_until(run, member, run->deadline_ns, instance_activate,
                                              &err);
                for (size_t j = 0; j < member->n_instances; j++)
                        member->switched = member->switched || member->instances[j]->activated;
                if (r == 0)
                        r = prove_member(member, &err);
                if (r == 0) {
                        settle(run, member, LIVE_DONE);
                        continue;
                }
                settle_outcome(run, member, r, &err);
                if (is_failure(member->process->result)) {
                        fail_group(run, group, member);
                        return;
                }
        }
        for (size_t i = 0; i < group->n_members; i++)
                if (group->members[i].process->result == LIVE_DONE)
                        clean_member(&group->members[i]);
}

/* --- Taking back ------------------------------------------------------------------------- */

static int open_for_rollback(const struct run *run, struct member *member, struct error *err)
{
        _cleanup_free_ struct live_instance *records = NULL;
        size_t n = 0;
        int r = open_target(run, member, err);

        if (r == 0)
                r = live_inspect_maps(member->target->thread, &member->target->maps, &records, &n,
                                      err);
        for (size_t i = 0; r == 0 && i < n; i++)
                if (live_filter_fits(run->filter, &records[i]))
                        r = add_instance(member, records[i].module_address, err);
        return r ? r : safety_find_further_stacks(member->target, err);
}

static void take_back_member(const struct run *run, struct member *member)
{
        struct error err = { 0 };
        int r;

        if (member->process->result == LIVE_REFUSED)
                return;
        r = open_for_rollback(run, member, &err);
        if (r == 0 && member->n_instances == 0) {
                settle(run, member, LIVE_UNCHANGED);
                return;
        }
        if (r == 0)
                r = with_target_stopped_until(run, member, run->deadline_ns, instance_take_back,
                                              &err);
        if (r != 0) {
                settle_outcome(run, member, r, &err);
                return;
        }
        clean_member(member);
        settle(run, member, LIVE_DONE);
}

/* --- A plan ------------------------------------------------------------------------------ */

/* Each target holds one descriptor for as long as its group is in work. */
static void raise_descriptor_limit(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
                limit.rlim_cur = limit.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &limit);
        }
}

static int make_group(struct live_plan *plan, size_t index, struct group *ret, struct error *err)
{
        for (size_t i = 0; i < plan->n_items; i++) {
                struct member *member;

                if (plan->items[i].group_index != index)
                        continue;
                member = ARRAY_PUSH(ret->members, ret->n_members);
                if (!member)
                        return error_no_memory(err);
                member->process = &plan->items[i];
        }
        return 0;
}

static int apply_plan(const struct run *run, struct live_plan *plan, struct error *err)
{
        for (size_t i = 0; i < plan->n_groups; i++) {
                _cleanup_(group_done) struct group group = { 0 };
                int r = make_group(plan, i, &group, err);

                if (r < 0)
                        return r;
                apply_group(run, &group);
        }
        return 0;
}

static int take_back_plan(const struct run *run, struct live_plan *plan)
{
        for (size_t i = 0; i < plan->n_items; i++) {
                struct member member = { .process = &plan->items[i] };

                take_back_member(run, &member);
                member_done(&member);
        }
        return 0;
}

/* --- Newcomers --------------------------------------------------------------------------- */

static const struct live_process *item_with_pid(const struct live_plan *plan, pid_t pid)
{
        for (size_t i = 0; i < plan->n_items; i++)
                if (plan->items[i].process.pid == pid)
                        return &plan->items[i];
        return NULL;
}

/*
 * A child that was forked from a process of the plan after it was made, so that it has the old
 * code. One that has become another program since is not ours; one that still shares the memory
 * (vfork) has been changed with its parent.
 */
static bool is_newcomer(const struct live_plan *plan, const struct process *process)
{
        const struct live_process *parent = item_with_pid(plan, process->parent);

        return parent && process->forked &&
               (parent->result == LIVE_DONE || parent->result == LIVE_UNCHANGED) &&
               !target_shares_memory(process->parent, process->pid);
}

static int find_newcomers(const struct run *run, const struct live_plan *plan,
                          struct live_plan *ret, struct error *err)
{
        size_t kept = 0;
        int r = live_choose_newcomers(run->patch, run->filter, plan, run->cache, ret, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < ret->n_items; i++) {
                struct live_process *item = &ret->items[i];

                if (is_newcomer(plan, &item->process))
                        ret->items[kept++] = *item;
                else
                        free(item->siblings);
        }
        ret->n_items = kept;
        return 0;
}

static int append_plan(struct live_plan *plan, struct live_plan *more, struct error *err)
{
        for (size_t i = 0; i < more->n_known; i++) {
                pid_t *known = ARRAY_PUSH(plan->known, plan->n_known);

                if (!known)
                        return error_no_memory(err);
                *known = more->known[i];
        }
        for (size_t i = 0; i < more->n_items; i++) {
                struct live_process *slot = ARRAY_PUSH(plan->items, plan->n_items);

                if (!slot)
                        return error_no_memory(err);
                *slot = more->items[i];
                slot->group_index += plan->n_groups;
                more->items[i].siblings = NULL;
        }
        plan->n_groups += more->n_groups;
        return 0;
}

/* Does to the newcomers what was done to the plan, and adds them to it. */
static int follow_newcomers(const struct run *run, struct live_plan *plan, struct error *err)
{
        for (unsigned i = 0; i < FOLLOW_UPS; i++) {
                _cleanup_(live_plan_done) struct live_plan more = { 0 };
                int r = find_newcomers(run, plan, &more, err);

                if (r == 0 && more.n_items == 0)
                        return 0;
                if (r == 0)
                        r = run->patch ? apply_plan(run, &more, err) : take_back_plan(run, &more);
                if (r == 0)
                        r = append_plan(plan, &more, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

int live_apply(const struct patch *patch, struct live_plan *plan,
               const struct live_options *options, struct error *err)
{
        _cleanup_(live_cache_freep) struct live_cache *cache = live_cache_new();
        struct run run = { .patch = patch, .options = options, .cache = cache };
        int r;

        raise_descriptor_limit();
        run.deadline_ns = clock_now_ns() + options->deadline_ms * UINT64_C(1000000);
        r = apply_plan(&run, plan, err);
        return r ? r : follow_newcomers(&run, plan, err);
}

int live_rollback(const struct live_rollback_filter *filter, struct live_plan *plan,
                  const struct live_options *options, struct error *err)
{
        _cleanup_(live_cache_freep) struct live_cache *cache = live_cache_new();
        struct run run = { .filter = filter, .options = options, .cache = cache };

        run.deadline_ns = clock_now_ns() + options->deadline_ms * UINT64_C(1000000);
        (void)take_back_plan(&run, plan);
        return follow_newcomers(&run, plan, err);
}
