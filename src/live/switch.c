/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The switch. While all threads are stopped, jumps are put at the beginning of the functions, one
 * at a time: each leads to its slot, and the slot to the displaced instructions, so that after any
 * of them the target would run on as before. Then the head of the record is written once: slots
 * and roles change together. Taking back is the same in reverse. Only a function whose first
 * instructions can't be displaced is switched by its jump, and then it is the only one.
 */
#include "live/instance.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fault.h"
#include "base/log.h"
#include "live/call.h"

static bool is_direct(const struct record *record, size_t i)
{
        return record->functions[i].displaced_size == 0;
}

/* --- Forward ----------------------------------------------------------------------------- */

/* The bytes verified while the target ran must still be there. */
static int check_again(struct instance *instance, struct error *err)
{
        const struct patch_target *spec = instance->spec;
        uint64_t bias = resolver_module(instance->resolver)->bias;
        _cleanup_free_ struct iovec *local = calloc(2 * spec->n_functions, sizeof(*local));
        _cleanup_free_ uint8_t *bytes = NULL;
        struct iovec *remote = local + spec->n_functions;
        size_t total = 0;
        int r;

        for (size_t i = 0; i < spec->n_functions; i++)
                total += spec->functions[i].range.size;
        bytes = malloc(total + 1);
        if (!local || !bytes)
                return error_no_memory(err);
        total = 0;
        for (size_t i = 0; i < spec->n_functions; i++) {
                size_t size = spec->functions[i].range.size;

                local[i] = (struct iovec){ bytes + total, size };
                remote[i] = (struct iovec){ (void *)(bias + spec->functions[i].range.address),
                                            size };
                total += size;
        }
        r = target_read_many(instance->target, local, remote, spec->n_functions, err);
        for (size_t i = 0; r == 0 && i < spec->n_functions; i++)
                if (memcmp(local[i].iov_base, instance->checked[i], local[i].iov_len) != 0)
                        return error_set(err, EXIT_CODE_UNSUPPORTED, 0, "try again",
                                         "the code of %s changed while it was being patched",
                                         spec->functions[i].name);
        return r;
}

/* So must the new code, which a call that an earlier, killed run has left could have unmapped. */
static int check_new_code(struct instance *instance, struct error *err)
{
        const struct buffer *code = &instance->binding->code;
        _cleanup_free_ uint8_t *copy = malloc(code->size + 1);
        int r;

        if (!copy)
                return error_no_memory(err);
        r = target_read(instance->target, instance->binding->code_address, copy, code->size, err);
        if (r == 0 && memcmp(copy, code->data, code->size) != 0)
                return error_set(err, EXIT_CODE_ERROR, 0, "try again",
                                 "the new code is not what was written to pid %d",
                                 instance->target->pid);
        return r;
}

static int write_jump(struct instance *instance, size_t i, struct error *err)
{
        uint64_t at = record_jump_address(&instance->record.functions[i]);
        uint8_t jump[ARCH_JUMP_SIZE];
        int r;

        if (!arch_jump(at, record_slot_address(&instance->record, i), jump))
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0, NULL,
                                 "the switch region is out of reach of the module");
        r = target_write(instance->target, at, jump, sizeof(jump), err);
        if (r == 0 && fault_here(FAULT_JUMP_WRITTEN))
                r = fault_set(FAULT_JUMP_WRITTEN, err);
        return r;
}

static int write_jumps(struct instance *instance, bool direct, struct error *err)
{
        struct elf_memory memory = target_memory(instance->target);

        for (size_t i = 0; i < instance->spec->n_functions; i++) {
                size_t slot = instance->slot_of[i];
                int r = 0;

                if (is_direct(&instance->record, slot) == direct &&
                    !record_has_jump(&memory, &instance->record, slot))
                        r = write_jump(instance, slot, err);
                if (r != 0)
                        return r;
        }
        return 0;
}

/* Slots and roles as they will be; nothing is written yet. */
static int turn(struct instance *instance, struct error *err)
{
        struct record *record = &instance->record;
        struct record_level *outgoing = record_level_with(record, RECORD_ROLE_CURRENT);
        struct record_level *incoming = record_level_with(record, RECORD_ROLE_INCOMING);

        for (size_t i = 0; i < record->n_functions; i++)
                if (!is_direct(record, i))
                        record_set_slot(record, i, record_displaced_address(record, i));
        for (size_t i = 0; i < instance->spec->n_functions; i++) {
                uint64_t code = binding_symbol_address(instance->binding,
                                                       instance->spec->functions[i].symbol_index);

                if (!record_set_slot(record, instance->slot_of[i], code))
                        return error_set(err, EXIT_CODE_UNSUPPORTED, 0, NULL,
                                         "the new code of %s is out of reach",
                                         instance->spec->functions[i].name);
        }
        if (outgoing) {
                outgoing->role = record_role_after(outgoing);
                outgoing->hook_undo = 0; /* what it set up is the new level's now */
        }
        incoming->role = RECORD_ROLE_CURRENT;
        incoming->applied_at = (uint64_t)time(NULL);
        return 0;
}

int instance_activate(struct instance *instance, struct error *err)
{
        struct record *record = &instance->record;
        int r;

        r = check_again(instance, err);
        if (r == 0)
                r = check_new_code(instance, err);
        if (r == 0)
                r = write_jumps(instance, false, err);
        if (r == 0 && fault_here(FAULT_BEFORE_COMMIT))
                r = fault_set(FAULT_BEFORE_COMMIT, err);
        if (r != 0)
                return r;
        memcpy(instance->before, record->head, sizeof(instance->before));
        r = turn(instance, err);
        if (r == 0)
                r = record_commit(instance->target, record, err);
        if (r != 0) {
                memcpy(record->head, instance->before, sizeof(instance->before));
                return r;
        }
        instance->activated = true;
        r = write_jumps(instance, true, err);
        if (r == 0 && fault_here(FAULT_AFTER_COMMIT))
                r = fault_set(FAULT_AFTER_COMMIT, err);
        return r;
}

/* --- After it ---------------------------------------------------------------------------- */

static int prove(struct instance *instance, struct error *err)
{
        struct elf_memory memory = target_memory(instance->target);
        _cleanup_(record_done) struct record now = { 0 };
        char problem[160] = "it is gone";
        int r = record_read(&memory, instance->record.header.address, &now, problem,
                            sizeof(problem));

        if (r < 0 && target_is_over(instance->target))
                return TARGET_GONE;
        if (r != 0 || fault_here(FAULT_PROVE))
                return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                 "the record does not read back as it was written: %s", problem);
        if (!instance_is_active(instance))
                return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                 "a jump does not read back as it was written");
        return 0;
}

static int run_post_hook(struct instance *instance, struct error *err)
{
        int64_t result;

        if (!instance->spec->hook_post)
                return 0;
        return instance_call_hook(instance,
                                  binding_symbol_address(instance->binding,
                                                         instance->spec->hook_post),
                                  &result, err);
}

int instance_prove(struct instance *instance, struct error *err)
{
        int r = prove(instance, err);

        return r ? r : run_post_hook(instance, err);
}

/* --- Back -------------------------------------------------------------------------------- */

static int remove_jumps(struct instance *instance, struct error *err)
{
        struct target *target = instance->target;
        struct elf_memory memory = target_memory(target);

        for (size_t i = 0; i < instance->record.n_functions; i++) {
                const struct record_function *function = &instance->record.functions[i];
                int r;

                if (!record_has_jump(&memory, &instance->record, i))
                        continue;
                r = target_write(target, record_jump_address(function), function->original,
                                 ARCH_JUMP_SIZE, err);
                if (r == 0 && fault_here(FAULT_JUMP_REMOVED))
                        r = fault_set(FAULT_JUMP_REMOVED, err);
                if (r != 0)
                        return r;
        }
        return 0;
}

int instance_take_back(struct instance *instance, struct error *err)
{
        struct record *record = &instance->record;
        struct record_level *level = record_level_with(record, RECORD_ROLE_CURRENT);
        int r = 0;

        if (!record->exists)
                return 0;
        if (fault_here(FAULT_BEFORE_COMMIT))
                return fault_set(FAULT_BEFORE_COMMIT, err);
        if (level && (level->flags & RECORD_LEVEL_DIRECT))
                r = remove_jumps(instance, err);
        if (r == 0 && level) {
                level->role = record_role_after(level);
                for (size_t i = 0; i < record->n_functions; i++)
                        if (!is_direct(record, i))
                                record_set_slot(record, i, record_displaced_address(record, i));
                r = record_commit(instance->target, record, err);
        }
        if (r == 0 && fault_here(FAULT_AFTER_COMMIT))
                r = fault_set(FAULT_AFTER_COMMIT, err);
        return r ? r : remove_jumps(instance, err);
}

/* Slots of the level before; functions that came with the undone level run their original code. */
static void slots_of_before(struct instance *instance, const struct record *before)
{
        struct record *record = &instance->record;
        size_t offset = RECORD_SLOTS, size = before->header.n_functions * ARCH_SLOT_SIZE;

        memcpy(record->head + offset, before->head + offset, size);
        for (size_t i = before->header.n_functions; i < record->n_functions; i++)
                record_set_slot(record, i, record_displaced_address(record, i));
}

int instance_undo(struct instance *instance, struct error *err)
{
        struct record *record = &instance->record;
        struct record_level *undone = record_level_with(record, RECORD_ROLE_CURRENT);
        struct record before = { 0 };

        if (!instance->activated)
                return 0;
        memcpy(before.head, instance->before, sizeof(before.head));
        instance->activated = false;
        if (!record_level_with(&before, RECORD_ROLE_CURRENT))
                return instance_take_back(instance, err);
        slots_of_before(instance, &before);
        for (size_t i = 0; i < RECORD_LEVELS; i++)
                if (&record->levels[i] != undone)
                        record->levels[i] = before.levels[i];
        if (undone)
                undone->role = record_role_after(undone);
        return record_commit(instance->target, record, err);
}

/*
 * Jumps that lead to the displaced instructions only: left by a killed run, or by an undo. They are
 * harmless, but the region they lead to can't be unmapped.
 */
int instance_remove_idle_jumps(struct instance *instance, struct error *err)
{
        struct elf_memory memory = target_memory(instance->target);

        if (record_count_jumps(&memory, &instance->record) == 0)
                return 0;
        return instance_act_stopped(instance, false, remove_jumps, err);
}
