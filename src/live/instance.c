/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding an instance's record, what may be done to it, and the ways in which it is put right
 * after a run that did not end. Preparing is in prepare.c, switching in switch.c.
 */
#include "live/instance.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/fault.h"
#include "base/log.h"
#include "live/call.h"
#include "live/mapping.h"
#include "live/registration.h"
#include "live/unwind.h"

/* --- Opening ----------------------------------------------------------------------------- */

/* Unmaps what a killed run mapped and never wrote to. */
static int remove_orphans(struct target *target, struct error *err)
{
        size_t i = 0;

        while (i < target->maps.n_items) {
                const struct region *region = &target->maps.items[i++];
                int r;

                if (!record_is_orphan(target, region))
                        continue;
                log_debug("pid %d: unmapping %#lx, left by a run that was killed", target->pid,
                          region->start);
                r = mapping_remove(target, region->start, region->end - region->start, err);
                if (r == 0)
                        r = target_read_maps(target, err);
                if (r != 0)
                        return r;
                i = 0;
        }
        return 0;
}

/* A record can be older than the module: another may have been loaded where its own was. */
static bool is_record_of(const struct record *record, const struct instance *instance)
{
        const struct build_id *build_id = &resolver_module(instance->resolver)->build_id;

        return record->header.module_address == instance->module_address &&
               record->header.build_id_size == build_id->size &&
               memcmp(record->header.build_id, build_id->bytes, build_id->size) == 0;
}

static int find_record(struct instance *instance, struct error *err)
{
        struct target *target = instance->target;
        struct elf_memory memory = target_memory(target);
        char problem[160];

        for (size_t i = 0; i < target->maps.n_items; i++) {
                const struct region *region = &target->maps.items[i];
                struct record record;
                int r;

                if (!record_may_be_at(region))
                        continue;
                r = record_read(&memory, region->start, &record, problem, sizeof(problem));
                if (r < 0 || r == RECORD_NONE)
                        continue;
                if (!is_record_of(&record, instance)) {
                        record_done(&record);
                        continue;
                }
                instance->record = record;
                if (r == RECORD_DAMAGED)
                        return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                                         "use the version of suture that patched it, or restart "
                                         "the program",
                                         "the patch record in pid %d can't be used: %s",
                                         target->pid, problem);
                return 0;
        }
        return 0;
}

int instance_open(struct target *target, uint64_t module_address, struct instance **ret,
                  struct error *err)
{
        _cleanup_(instance_freep) struct instance *instance = calloc(1, sizeof(*instance));
        int r;

        if (!instance)
                return error_no_memory(err);
        instance->target = target;
        instance->module_address = module_address;
        r = resolver_new(target, module_address, &instance->resolver, err);
        if (r != 0)
                return r;
        r = remove_orphans(target, err);
        if (r == 0)
                r = find_record(instance, err);
        if (r != 0)
                return r;
        instance->doubtful = instance->record.exists && !record_is_settled(&instance->record);
        if (instance->record.exists)
                resolver_set_function_stub(instance->resolver,
                                           record_stub_address(&instance->record));
        *ret = STEAL(instance);
        return 0;
}

struct instance *instance_free(struct instance *instance)
{
        if (!instance)
                return NULL;
        if (instance->spec && instance->checked)
                for (size_t i = 0; i < instance->spec->n_functions; i++)
                        free(instance->checked[i]);
        free(instance->checked);
        free(instance->slot_of);
        resolver_free(instance->resolver);
        binding_free(instance->binding);
        record_done(&instance->record);
        free(instance);
        return NULL;
}

bool instance_is_active(struct instance *instance)
{
        struct elf_memory memory = target_memory(instance->target);

        return instance->record.exists &&
               record_level_with(&instance->record, RECORD_ROLE_CURRENT) &&
               record_count_missing_jumps(&memory, &instance->record) == 0;
}

/* --- Code that must be clear ------------------------------------------------------------- */

static int add_range(struct code_range **items, size_t *n_items, struct code_range range,
                     struct error *err)
{
        struct code_range *slot;

        if (range.end <= range.start)
                return 0;
        slot = ARRAY_PUSH(*items, *n_items);
        if (!slot)
                return error_no_memory(err);
        *slot = range;
        return 0;
}

/* A function of the patch: all of it, or (entry) only the bytes that the jump replaces. */
static int add_function_ranges(const struct instance *instance, size_t i,
                               struct code_range **items, size_t *n_items, struct error *err)
{
        const struct patch_function *function = &instance->spec->functions[i];
        const struct record_function *slot =
                &instance->record.functions[instance->slot_of[i]];
        uint64_t bias = resolver_module(instance->resolver)->bias;
        uint64_t start = bias + function->range.address, jump = record_jump_address(slot);
        struct code_range range = { start, start + MAX(function->range.size,
                                                       slot->skip + (uint64_t)slot->length),
                                    { start, jump }, function->name };
        int r;

        if (function->consistency == PATCH_ENTRY) {
                range.start = jump;
                range.end = jump + slot->length;
        }
        r = add_range(items, n_items, range, err);
        for (size_t j = 0; r == 0 && j < function->n_cold; j++) {
                uint64_t cold = bias + function->cold[j].address;

                if (function->consistency == PATCH_STRICT)
                        r = add_range(items, n_items,
                                      (struct code_range){ cold, cold + function->cold[j].size,
                                                           { 0, 0 }, function->name },
                                      err);
        }
        return r;
}

static int add_level_range(const struct record_level *level, uint64_t size,
                           struct code_range **items, size_t *n_items, struct error *err)
{
        return add_range(items, n_items,
                         (struct code_range){ level->code_address, level->code_address + size,
                                              { 0, 0 }, level->id },
                         err);
}

int instance_ranges(const struct instance *instance, struct code_range **items, size_t *n_items,
                    struct error *err)
{
        const struct record *record = &instance->record;
        uint64_t slots = record->header.address + RECORD_SLOTS;
        int r = 0;

        if (record->exists) /* slots and displaced instructions */
                r = add_range(items, n_items,
                              (struct code_range){ slots,
                                                   record->header.address +
                                                           record->header.region_size,
                                                   { 0, 0 }, "displaced code of a patch" },
                              err);
        if (r == 0 && instance->target->stub) /* on its way home from an earlier run's call */
                r = add_range(items, n_items,
                              (struct code_range){ instance->target->stub,
                                                   instance->target->stub + arch_call_stub_size,
                                                   { 0, 0 }, "a call for an earlier run" },
                              err);
        for (size_t i = 0; r == 0 && i < RECORD_LEVELS; i++)
                if (record->levels[i].role == RECORD_ROLE_CURRENT)
                        r = add_level_range(&record->levels[i], record->levels[i].strict_size,
                                            items, n_items, err);
        for (size_t i = 0; r == 0 && instance->prepared && i < instance->spec->n_functions; i++)
                r = add_function_ranges(instance, i, items, n_items, err);
        return r;
}

static int collect_ranges(const struct instance *instance, bool leftovers,
                          struct code_range **items, size_t *n_items, struct error *err)
{
        int r = instance_ranges(instance, items, n_items, err);

        for (size_t i = 0; r == 0 && leftovers && i < RECORD_LEVELS; i++) {
                const struct record_level *level = &instance->record.levels[i];

                if (level->role == RECORD_ROLE_INCOMING || level->role == RECORD_ROLE_OUTGOING)
                        r = add_level_range(level, level->code_size, items, n_items, err);
        }
        return r;
}

static int act_once(struct instance *instance, const struct code_range *ranges, size_t n_ranges,
                    int (*act)(struct instance *instance, struct error *err), struct error *err)
{
        int r = target_stop(instance->target, err);

        if (r != 0)
                return r;
        r = safety_check(instance->target, ranges, n_ranges, err);
        if (r == 0 && act)
                r = act(instance, err);
        target_resume(instance->target);
        return r;
}

int instance_act_stopped(struct instance *instance, bool leftovers,
                         int (*act)(struct instance *instance, struct error *err),
                         struct error *err)
{
        _cleanup_free_ struct code_range *ranges = NULL;
        struct target *target = instance->target;
        size_t n_ranges = 0;
        int r = collect_ranges(instance, leftovers, &ranges, &n_ranges, err);

        if (r == 0)
                r = act_once(instance, ranges, n_ranges, act, err);
        if (r == TARGET_BUSY && target->wants_unwinder && !target->unwinder) {
                target->unwinder = unwinder_new(target); /* a stale word, perhaps */
                r = act_once(instance, ranges, n_ranges, act, err);
        }
        return r;
}

/* --- Hooks ------------------------------------------------------------------------------- */

int instance_call_hook(struct instance *instance, uint64_t hook, int64_t *ret, struct error *err)
{
        int r = target_call_function(instance->target, record_stub_address(&instance->record),
                                     hook, 0, ret, err);

        if (r != 0)
                instance->doubtful = true;
        return r;
}

/* --- Cleaning ---------------------------------------------------------------------------- */

/* The hook that goes with taking back; it runs at most once. */
static int run_undo_hook(struct instance *instance, struct record_level *level, struct error *err)
{
        uint64_t hook = level->hook_undo;
        int64_t result;
        int r;

        if (hook == 0)
                return 0;
        level->hook_undo = 0;
        r = record_commit(instance->target, &instance->record, err);
        if (r != 0)
                return r;
        return instance_call_hook(instance, hook, &result, err);
}

/*
 * What the record names may not be there: a run that was killed has recorded it before it was
 * mapped, or unmapped it already, and the target may have put something else in its place since.
 */
static int unmap_ours(struct target *target, enum mapping_kind kind, uint64_t address,
                      uint64_t size, struct error *err)
{
        struct mapping mapping = { kind, address, ROUND_UP(size, (uint64_t)PAGE_SIZE) };

        if (address == 0 || !mapping_is_ours(target, &mapping))
                return 0;
        return mapping_remove(target, mapping.address, mapping.size, err);
}

static int unmap_level(struct instance *instance, struct record_level *level, struct error *err)
{
        struct target *target = instance->target;
        int r;

        r = registration_remove(instance, level, err);
        if (r == REGISTRATION_STAYS) {
                level->role = RECORD_ROLE_RETAINED;
                return record_commit(target, &instance->record, err);
        }
        if (r != 0)
                return r;
        if (fault_here(FAULT_UNMAP))
                return fault_set(FAULT_UNMAP, err);
        r = unmap_ours(target, MAPPING_CODE, level->code_address, level->code_size, err);
        if (r == 0)
                r = unmap_ours(target, MAPPING_DATA, level->data_address, level->data_size, err);
        if (r == 0) {
                *level = (struct record_level){ 0 };
                r = record_commit(target, &instance->record, err);
        }
        return r;
}

/* Nothing but its registration, which could not be taken back earlier, keeps it mapped. */
static bool stays_for_runtime(const struct record_level *level)
{
        return (level->flags & RECORD_LEVEL_REGISTERS) &&
               record_role_after(level) != RECORD_ROLE_RETAINED;
}

static int clean_levels(struct instance *instance, struct error *err)
{
        for (size_t i = 0; i < RECORD_LEVELS; i++) {
                struct record_level *level = &instance->record.levels[i];
                bool hook_ran = level->hook_undo != 0;
                int r;

                if (level->role == RECORD_ROLE_NONE || level->role == RECORD_ROLE_CURRENT)
                        continue;
                r = run_undo_hook(instance, level, err);
                if (r != 0)
                        return r;
                if (level->role == RECORD_ROLE_RETAINED && !stays_for_runtime(level))
                        continue;
                if ((hook_ran || level->applied_at) &&
                    record_role_after(level) == RECORD_ROLE_RETAINED) {
                        /* its code has run, if only as a hook, and may have left pointers */
                        level->role = RECORD_ROLE_RETAINED;
                        r = record_commit(instance->target, &instance->record, err);
                } else {
                        r = unmap_level(instance, level, err);
                }
                if (r != 0)
                        return r;
        }
        return 0;
}

int instance_clean(struct instance *instance, struct error *err)
{
        struct record *record = &instance->record;
        struct target *target = instance->target;
        int r;

        if (!record->exists || (record_is_settled(record) &&
                                record_level_with(record, RECORD_ROLE_CURRENT)))
                return 0;
        r = target_read_maps(target, err);
        if (r != 0)
                return r;
        if (!record_level_with(record, RECORD_ROLE_CURRENT)) {
                r = instance_remove_idle_jumps(instance, err);
                if (r != 0)
                        return r;
        }
        if (instance->doubtful) {
                r = instance_act_stopped(instance, true, NULL, err);
                if (r != 0)
                        return r;
                instance->doubtful = false;
        }
        r = clean_levels(instance, err);
        if (r != 0 || record_level_with(record, RECORD_ROLE_CURRENT) ||
            record_level_with(record, RECORD_ROLE_RETAINED))
                return r;
        r = unmap_ours(target, MAPPING_DATA, record->header.shadow_root, PAGE_SIZE, err);
        if (r == 0)
                r = mapping_remove(target, record->header.address, record->header.region_size,
                                   err);
        if (r == 0)
                record_done(record);
        return r;
}
