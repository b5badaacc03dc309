/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which processes, and which of them belong together. A process counts if a build ID of the patch
 * is mapped executable in its memory; its path, package and namespace do not matter. Processes of
 * one systemd unit, one container, or else one tree of parents and children, form a group.
 */
#include "live/choose.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syscall.h>

#include "base/array.h"
#include "live/inspect.h"
#include "proc/module.h"

void live_plan_done(struct live_plan *plan)
{
        for (size_t i = 0; i < plan->n_items; i++)
                free(plan->items[i].siblings);
        free(plan->items);
        free(plan->known);
        *plan = (struct live_plan){ 0 };
}

/* What is looked for in each process: the targets of a patch, or records that fit a filter. */
struct wish {
        const struct patch *patch;
        const struct live_rollback_filter *filter;
        const struct live_selection *selection;
        const struct live_plan *except; /* processes that are not looked at; sorted by pid */
        struct module_cache *cache;
};

/* --- One process ------------------------------------------------------------------------- */

static bool is_selected(const struct live_selection *selection, const struct process *process)
{
        bool named = selection->n_pids == 0;

        for (size_t i = 0; i < selection->n_pids && !named; i++)
                named = selection->pids[i] == process->pid;
        return named && (!selection->unit || strcmp(selection->unit, process->unit) == 0) &&
               (!selection->container || strcmp(selection->container, process->container) == 0);
}

static size_t count_targets(const struct patch *patch, const struct modules *modules)
{
        size_t n = 0;

        for (size_t i = 0; i < modules->n_items; i++)
                if (patch_find_target(patch, &modules->items[i].build_id))
                        n++;
        return n;
}

bool live_filter_fits(const struct live_rollback_filter *filter,
                      const struct live_instance *instance)
{
        char name[80];

        if (instance->state != LIVE_STATE_ACTIVE && instance->state != LIVE_STATE_PREPARED)
                return false;
        if (!filter || !filter->patch_id)
                return true;
        snprintf(name, sizeof(name), "%s.%u", instance->patch_id, instance->level);
        return strcmp(filter->patch_id, instance->patch_id) == 0 ||
               strcmp(filter->patch_id, name) == 0;
}

/* How many modules of the process the wish is about; negative on a fault. */
static int count_instances(const struct wish *wish, pid_t pid, struct error *err)
{
        _cleanup_(maps_done) struct maps maps = { 0 };
        _cleanup_(modules_done) struct modules modules = { 0 };
        _cleanup_free_ struct live_instance *instances = NULL;
        size_t n = 0;
        int r, count = 0;

        r = maps_read(pid, &maps, err);
        if (r == MAPS_GONE) { /* the main thread may have ended before the process */
                pid = process_living_thread(pid);
                r = pid ? maps_read(pid, &maps, err) : MAPS_GONE;
        }
        if (r != 0)
                return r < 0 ? r : 0;
        if (wish->patch) {
                r = modules_read(pid, &maps, wish->cache, &modules, err);
                return r < 0 ? r : r > 0 ? 0 : (int)count_targets(wish->patch, &modules);
        }
        r = live_inspect_maps(pid, &maps, &instances, &n, err);
        for (size_t i = 0; r == 0 && i < n; i++)
                count += live_filter_fits(wish->filter, &instances[i]);
        return r < 0 ? r : count;
}

/*
 * Another run of this program is soon through, and target_open() waits for it; one that has ended
 * by now traces nobody any more.
 */
static bool is_suture(pid_t pid)
{
        struct stat own, other;
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/exe", pid);
        if (stat(path, &other) < 0)
                return errno == ENOENT;
        return stat("/proc/self/exe", &own) == 0 && own.st_dev == other.st_dev &&
               own.st_ino == other.st_ino;
}

/* What makes a process of a kind that can't be worked on, as a sentence; 0 if nothing does. */
static int refuse_kind(const struct process *process, struct error *err)
{
        if (process->kernel_thread)
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                                 "name a process of user space, or see suture kernel",
                                 "pid %d is a kernel thread", process->pid);
        if (process->pid == getpid())
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0, "name another process",
                                 "pid %d is suture itself", process->pid);
        if (process->state == 'Z' && process->n_threads <= 1)
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                                 "nothing is to be done: it has ended, and its parent has not "
                                 "looked yet",
                                 "pid %d is a zombie", process->pid);
        if (process->tracer != 0 && !is_suture(process->tracer))
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                                 "end the debugger's session first, then try again",
                                 "pid %d is being traced by pid %d", process->pid,
                                 process->tracer);
        if (process->frozen)
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0, "thaw its cgroup, then try again",
                                 "pid %d is frozen by its cgroup", process->pid);
        return 0;
}

static int add_process(const struct wish *wish, struct live_plan *plan,
                       const struct process *process, int n_instances, struct error *err)
{
        struct live_process *item = ARRAY_PUSH(plan->items, plan->n_items);

        if (!item)
                return error_no_memory(err);
        item->process = *process;
        item->n_instances = (size_t)n_instances;
        item->selected = is_selected(wish->selection, process);
        /* a zombie had its memory a moment ago: it will be found to be gone */
        if (process->state != 'Z' && refuse_kind(process, &item->error) < 0)
                item->result = LIVE_REFUSED;
        return 0;
}

/* Programs of the other word size hold no module that could match; say so where one was named. */
static bool is_other_class(pid_t pid)
{
        _cleanup_(maps_done) struct maps maps = { 0 };
        struct elf_memory memory = PROCESS_MEMORY(pid);
        struct elf_image image;

        if (maps_read(pid, &maps, NULL) != 0)
                return false;
        for (size_t i = 0; i < maps.n_items; i++)
                if (maps.items[i].inode && maps.items[i].offset == 0)
                        return elf_image_read(&memory, maps.items[i].start, &image) ==
                               ELF_IMAGE_OTHER_CLASS;
        return false;
}

/* What can't be read can't be taken back, and nothing done must not look like all done. */
static int refuse_damaged(pid_t pid, struct error *err)
{
        _cleanup_free_ struct live_instance *instances = NULL;
        size_t n = 0;
        int r = live_inspect(pid, &instances, &n, err);

        for (size_t i = 0; r == 0 && i < n; i++)
                if (instances[i].state == LIVE_STATE_DAMAGED && instances[i].module_address == 0)
                        return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                                         "use the version of suture that patched it, or restart "
                                         "the program",
                                         "the patch record in pid %d can't be used: %s", pid,
                                         instances[i].problem);
        return r < 0 ? r : 0;
}

/* A pid that was named must be one that can be worked on, or the reason is a fault. */
static int check_named(const struct wish *wish, pid_t pid, struct error *err)
{
        struct process process;
        int r = process_read(pid, &process, err);

        if (r < 0)
                return r;
        if (r > 0)
                return error_set(err, EXIT_CODE_ERROR, ESRCH, "see ps for the processes there are",
                                 "pid %d", pid);
        r = refuse_kind(&process, err);
        if (r == 0 && !wish->patch && (!wish->filter || !wish->filter->patch_id))
                r = refuse_damaged(pid, err);
        if (r < 0)
                return r;
        r = count_instances(wish, pid, err);
        if (r != 0)
                return r < 0 ? r : 0;
        if (is_other_class(pid))
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                                 "upgrade and restart this program instead",
                                 "pid %d is a 32-bit program; only 64-bit ones can be patched",
                                 pid);
        if (wish->patch)
                return error_set(err, EXIT_CODE_ERROR, 0,
                                 "see suture verify FILE for the build IDs it is for",
                                 "pid %d (%s) maps no module that the patch is for", pid,
                                 process.name);
        return 0;
}

/* --- Processes that share memory --------------------------------------------------------- */

/* An order of address spaces that the kernel gives (kcmp(2)). */
static int compare_memory(const void *a, const void *b)
{
        pid_t left = ((const struct live_process *)a)->process.pid;
        pid_t right = ((const struct live_process *)b)->process.pid;
        long r = syscall(SYS_kcmp, left, right, KCMP_VM, 0, 0);

        if (r == 1)
                return -1;
        if (r == 2)
                return 1;
        return r == 0 ? 0 : (left > right) - (left < right);
}

static int compare_pid(const void *a, const void *b)
{
        pid_t left = ((const struct live_process *)a)->process.pid;
        pid_t right = ((const struct live_process *)b)->process.pid;

        return (left > right) - (left < right);
}

static int add_sibling(struct live_process *process, struct live_process *other,
                       struct error *err)
{
        pid_t *slot;

        if (other->process.pid < process->process.pid && other->n_siblings == 0) {
                pid_t pid = process->process.pid; /* the older one names the target */

                process->process = other->process;
                other->process.pid = pid;
        }
        slot = ARRAY_PUSH(process->siblings, process->n_siblings);
        if (!slot)
                return error_no_memory(err);
        *slot = other->process.pid;
        process->selected = process->selected || other->selected;
        if (other->result == LIVE_REFUSED) {
                process->result = LIVE_REFUSED;
                process->error = other->error;
        }
        return 0;
}

/* One item for each address space. */
static int merge_siblings(struct live_plan *plan, struct error *err)
{
        size_t kept = 0;

        if (plan->n_items == 0)
                return 0;
        qsort(plan->items, plan->n_items, sizeof(*plan->items), compare_memory);
        for (size_t i = 1; i < plan->n_items; i++) {
                struct live_process *last = &plan->items[kept], *item = &plan->items[i];
                int r = 0;

                if (syscall(SYS_kcmp, last->process.pid, item->process.pid, KCMP_VM, 0, 0) == 0)
                        r = add_sibling(last, item, err);
                else
                        plan->items[++kept] = *item;
                if (r < 0)
                        return r;
        }
        plan->n_items = kept + 1;
        qsort(plan->items, plan->n_items, sizeof(*plan->items), compare_pid);
        return 0;
}

/* Only now: who shares memory with a selected process has to be known, selected or not. */
static void drop_unselected(struct live_plan *plan)
{
        size_t kept = 0;

        for (size_t i = 0; i < plan->n_items; i++) {
                if (plan->items[i].selected)
                        plan->items[kept++] = plan->items[i];
                else
                        free(plan->items[i].siblings);
        }
        plan->n_items = kept;
}

/* --- Groups ------------------------------------------------------------------------------ */

static struct live_process *find_pid(const struct live_plan *plan, pid_t pid)
{
        struct live_process wanted = { .process = { .pid = pid } };

        return bsearch(&wanted, plan->items, plan->n_items, sizeof(*plan->items), compare_pid);
}

/* The first ancestor within the plan that has no ancestor there itself. */
static const struct live_process *tree_root(const struct live_plan *plan,
                                            const struct live_process *process)
{
        for (size_t i = 0; i < plan->n_items; i++) {
                const struct live_process *parent = find_pid(plan, process->process.parent);

                if (!parent || parent == process)
                        break;
                process = parent;
        }
        return process;
}

static void name_group(const struct live_plan *plan, struct live_process *process)
{
        const struct process *p = &process->process;

        if (p->container[0] && p->unit[0])
                snprintf(process->group, sizeof(process->group), "%.90s/%.98s", p->container,
                         p->unit);
        else if (p->container[0] || p->unit[0])
                snprintf(process->group, sizeof(process->group), "%s",
                         p->unit[0] ? p->unit : p->container);
        else
                snprintf(process->group, sizeof(process->group), "%s (tree of pid %d)",
                         tree_root(plan, process)->process.name,
                         tree_root(plan, process)->process.pid);
}

struct named_index {
        const char *name;
        size_t item;
};

static int compare_name(const void *a, const void *b)
{
        const struct named_index *left = a, *right = b;
        int r = strcmp(left->name, right->name);

        return r ? r : (left->item > right->item) - (left->item < right->item);
}

static int make_groups(struct live_plan *plan, struct error *err)
{
        _cleanup_free_ struct named_index *order = calloc(plan->n_items + 1, sizeof(*order));

        if (!order)
                return error_no_memory(err);
        for (size_t i = 0; i < plan->n_items; i++) {
                name_group(plan, &plan->items[i]);
                order[i] = (struct named_index){ plan->items[i].group, i };
        }
        qsort(order, plan->n_items, sizeof(*order), compare_name);
        for (size_t i = 0; i < plan->n_items; i++) {
                if (i == 0 || strcmp(order[i].name, order[i - 1].name) != 0)
                        plan->n_groups++;
                plan->items[order[i].item].group_index = plan->n_groups - 1;
        }
        return 0;
}

/* --- All of it --------------------------------------------------------------------------- */

static bool is_known(const struct live_plan *plan, pid_t pid)
{
        for (size_t i = 0; i < plan->n_known; i++)
                if (plan->known[i] == pid)
                        return true;
        return false;
}

static int look_at(const struct wish *wish, pid_t pid, struct live_plan *plan, struct error *err)
{
        struct process process;
        pid_t *known;
        int r;

        if (pid == getpid() || (wish->except && is_known(wish->except, pid)))
                return 0;
        r = count_instances(wish, pid, NULL);
        if (r <= 0)
                return 0; /* nothing there, or nothing that can be read */
        if (process_read(pid, &process, NULL) != 0)
                return 0;
        known = ARRAY_PUSH(plan->known, plan->n_known);
        if (!known)
                return error_no_memory(err);
        *known = pid;
        return add_process(wish, plan, &process, r, err);
}

static int choose(const struct wish *wish, struct live_plan *ret, struct error *err)
{
        _cleanup_(live_plan_done) struct live_plan plan = { 0 };
        _cleanup_free_ pid_t *pids = NULL;
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; r == 0 && i < wish->selection->n_pids; i++)
                r = check_named(wish, wish->selection->pids[i], err);
        if (r == 0)
                r = process_list(&pids, &n, err);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = look_at(wish, pids[i], &plan, err);
        if (r == 0)
                r = merge_siblings(&plan, err);
        drop_unselected(&plan);
        if (r == 0)
                r = make_groups(&plan, err);
        if (r < 0)
                return r;
        *ret = plan;
        plan = (struct live_plan){ 0 };
        return 0;
}

int live_choose(const struct patch *patch, const struct live_selection *selection,
                struct live_plan *ret, struct error *err)
{
        _cleanup_(module_cache_freep) struct module_cache *cache = module_cache_new();
        struct wish wish = { .patch = patch, .selection = selection, .cache = cache };

        return choose(&wish, ret, err);
}

int live_choose_newcomers(const struct patch *patch, const struct live_rollback_filter *filter,
                          const struct live_plan *plan, struct live_cache *cache,
                          struct live_plan *ret, struct error *err)
{
        struct live_selection everything = { 0 };
        struct wish wish = { .patch = patch, .filter = filter, .selection = &everything,
                             .except = plan, .cache = live_cache_modules(cache) };

        return choose(&wish, ret, err);
}

int live_choose_rollback(const struct live_rollback_filter *filter,
                         const struct live_selection *selection, struct live_plan *ret,
                         struct error *err)
{
        struct wish wish = { .filter = filter, .selection = selection };

        return choose(&wish, ret, err);
}
