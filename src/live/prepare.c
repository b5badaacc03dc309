/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything that can be done before the target has to stop: is this patch allowed here, are the
 * original bytes those it was made for, where will it lie; map, link, write, read back. Each step
 * is recorded in the target before it is made, so that a run which is killed in between leaves a
 * record from which the next one can clean up. Nothing that the target executes changes.
 */
#include "live/instance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/fault.h"
#include "live/call.h"
#include "live/mapping.h"
#include "live/place.h"
#include "live/registration.h"

#define PLACE_TRIES 8
#define PADDING_LOOK 16 /* bytes behind a function in which padding may lie */

/* --- Is it allowed? ---------------------------------------------------------------------- */

static bool supersedes(const struct patch *patch, const char *id)
{
        for (size_t i = 0; i < patch->n_supersedes; i++)
                if (strcmp(patch->supersedes[i], id) == 0)
                        return true;
        return false;
}

static int check_level(struct instance *instance, struct error *err)
{
        const struct patch *patch = instance->patch;
        const struct record_level *current =
                record_level_with(&instance->record, RECORD_ROLE_CURRENT);

        if (!current)
                return 0;
        if (memcmp(current->digest, patch->digest.bytes, SHA256_SIZE) == 0)
                return instance_is_active(instance) ? INSTANCE_UNCHANGED : 0;
        if (strcmp(current->id, patch->id) != 0 && !supersedes(patch, current->id))
                return error_set(err, EXIT_CODE_ERROR, 0,
                                 "apply a patch that contains both, or roll back the other one "
                                 "first (suture rollback)",
                                 "the module is patched with %s.%u, which %s does not contain",
                                 current->id, current->level, patch->id);
        if (strcmp(current->id, patch->id) == 0 && current->level >= patch->level)
                return error_set(err, EXIT_CODE_TRUST, 0,
                                 "apply a newer level, or roll back first (suture rollback)",
                                 "the module is patched with %s.%u already, and level %u of it is "
                                 "not newer",
                                 current->id, current->level, patch->level);
        return 0;
}

/* --- Original bytes ---------------------------------------------------------------------- */

static uint64_t function_address(const struct instance *instance, size_t i)
{
        return resolver_module(instance->resolver)->bias +
               instance->spec->functions[i].range.address;
}

/* Puts the displaced bytes back where a jump of ours stands, in a copy of the function. */
static void without_jump(const struct instance *instance, uint64_t address, uint8_t *bytes,
                         size_t size)
{
        int slot = record_find_function(&instance->record, address);
        const struct record_function *function;
        uint64_t to;

        if (slot < 0)
                return;
        function = &instance->record.functions[slot];
        if (function->skip + (size_t)ARCH_JUMP_SIZE > ARCH_ORIGINAL_MAX ||
            !arch_jump_target(bytes + function->skip, record_jump_address(function), &to) ||
            to != record_slot_address(&instance->record, (size_t)slot))
                return;
        memcpy(bytes + function->skip, function->original,
               MIN((size_t)ARCH_JUMP_SIZE, size - MIN(size, (size_t)function->skip)));
}

static int check_function(struct instance *instance, size_t i, struct error *err)
{
        const struct patch_function *function = &instance->spec->functions[i];
        const struct elf_image *module = resolver_module(instance->resolver);
        uint64_t address = function_address(instance, i);
        size_t size = function->range.size, room = MAX(size, (size_t)ARCH_ORIGINAL_MAX);
        _cleanup_free_ uint8_t *original = NULL;
        struct sha256 digest;
        int r;

        if (address < module->start || address + size > module->end)
                return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                 "function %s lies outside of its module", function->name);
        /* one buffer of at least a jump's size: the bytes behind a short function are zero */
        instance->checked[i] = calloc(1, room);
        original = calloc(1, room);
        if (!instance->checked[i] || !original)
                return error_no_memory(err);
        r = target_read(instance->target, address, instance->checked[i], size, err);
        if (r != 0)
                return r;
        memcpy(original, instance->checked[i], size);
        if (size < ARCH_JUMP_SIZE) {
                r = target_read(instance->target, address, original, ARCH_JUMP_SIZE, err);
                if (r != 0)
                        return r;
        }
        without_jump(instance, address, original, room);
        digest = sha256_of(original, size);
        if (!sha256_equal(&digest, &function->digest))
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                                 "see whether a debugger or another patching tool has changed it; "
                                 "a restart with the fixed version helps in any case",
                                 "the code of %s in memory is not what the patch was made for",
                                 function->name);
        return 0;
}

static int check_functions(struct instance *instance, struct error *err)
{
        size_t n = instance->spec->n_functions;

        instance->checked = calloc(n, sizeof(*instance->checked));
        instance->slot_of = calloc(n, sizeof(*instance->slot_of));
        if (!instance->checked || !instance->slot_of)
                return error_no_memory(err);
        for (size_t i = 0; i < n; i++) {
                int r = check_function(instance, i, err);

                if (r != 0)
                        return r;
        }
        return 0;
}

/* --- Places ------------------------------------------------------------------------------ */

static int find_place(struct instance *instance, uint64_t size, bool low, uint64_t *ret,
                      struct error *err)
{
        const struct elf_image *module = resolver_module(instance->resolver);
        const struct record_header *header = &instance->record.header;
        struct place_wish wish = { size, module->start, module->end, low };

        if (instance->record.exists) { /* slots jump to the new code */
                wish.near_start = MIN(wish.near_start, header->address);
                wish.near_end = MAX(wish.near_end, header->address + header->region_size);
        }
        if (place_find(&instance->target->maps, &wish, ret) == 0)
                return 0;
        return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                         "restart the program with the fixed version",
                         "there is no free address space within 2 GiB of the module");
}

/* Every place that was chosen had been taken by the time it was to be mapped. */
static int place_lost(struct instance *instance)
{
        error_set(&instance->target->busy, EXIT_CODE_ERROR, 0, "try again",
                  "pid %d maps memory faster than a place for the patch can be found",
                  instance->target->pid);
        return TARGET_BUSY;
}

static uint32_t wanted_capacity(const struct instance *instance)
{
        size_t n = 2 * instance->spec->n_functions;

        n = MAX(n, (size_t)RECORD_CAPACITY_MIN);
        return (uint32_t)MIN(n, RECORD_CAPACITY_MAX);
}

/* --- The new level ----------------------------------------------------------------------- */

static uint64_t pages(uint64_t size)
{
        return ROUND_UP(size, (uint64_t)PAGE_SIZE);
}

static void describe_level(const struct instance *instance, struct record_level *level)
{
        const struct patch_target *spec = instance->spec;
        const struct binding *binding = instance->binding;

        snprintf(level->id, sizeof(level->id), "%s", instance->patch->id);
        level->level = instance->patch->level;
        memcpy(level->digest, instance->patch->digest.bytes, SHA256_SIZE);
        level->code_size = (uint32_t)binding->code_size;
        level->strict_size = (uint32_t)binding->strict_size;
        level->data_size = (uint32_t)binding->data_size;
        level->n_functions = (uint32_t)spec->n_functions;
        level->flags = (spec->pinned ? RECORD_LEVEL_PINNED : 0) |
                       (binding->registers ? RECORD_LEVEL_REGISTERS : 0);
        for (size_t i = 0; i < spec->n_functions; i++)
                if (spec->functions[i].consistency == PATCH_ENTRY)
                        level->flags |= RECORD_LEVEL_ENTRY;
}

/* One hole for code and data together: they may have to reach each other. */
static int choose_places(struct instance *instance, struct record_level *level, struct error *err)
{
        const struct binding *binding = instance->binding;
        uint64_t code = pages(binding->code_size), data = pages(binding->data_size), address;
        int r = target_refresh_maps(instance->target, err);

        if (r == 0) /* a page between the two, so that nothing merges */
                r = find_place(instance, code + (data ? PAGE_SIZE + data : 0), binding->low,
                               &address, err);
        if (r != 0)
                return r;
        level->code_address = address;
        level->data_address = data ? address + code + PAGE_SIZE : 0;
        return 0;
}

static int map_level(struct instance *instance, const struct record_level *level,
                     struct error *err)
{
        struct mapping mappings[2] = {
                { MAPPING_CODE, level->code_address, pages(level->code_size) },
                { MAPPING_DATA, level->data_address, pages(level->data_size) },
        };

        return mapping_make(instance->target, mappings, level->data_address ? 2 : 1, err);
}

/* Records the new level in the record that there is, then maps it. */
static int make_level(struct instance *instance, struct record_level **ret, struct error *err)
{
        struct record_level *level = record_level_add(&instance->record);
        int r = MAPPING_TAKEN;

        if (!level)
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                                 "restart the program with the fixed version",
                                 "the module has been patched and rolled back with %d different "
                                 "patches, and there is no room to record another",
                                 RECORD_LEVELS);
        describe_level(instance, level);
        level->role = RECORD_ROLE_INCOMING;
        for (unsigned i = 0; i < PLACE_TRIES && r == MAPPING_TAKEN; i++) {
                r = choose_places(instance, level, err);
                if (r == 0)
                        r = record_commit(instance->target, &instance->record, err);
                if (r == 0)
                        r = map_level(instance, level, err);
        }
        if (r != 0) /* the level stays recorded as incoming, for whoever cleans */
                return r == MAPPING_TAKEN ? place_lost(instance) : r;
        if (fault_here(FAULT_MAPPED_CODE))
                return fault_set(FAULT_MAPPED_CODE, err);
        *ret = level;
        return 0;
}

/*
 * The switch region and, unless the patch has data, the code of the first level behind it: mapped
 * as one, so that a thread is held once. (Code is recognised if suture is killed before the record
 * is written; data would not be.)
 */
static int make_record(struct instance *instance, struct record_level **ret, struct error *err)
{
        const struct binding *binding = instance->binding;
        struct record *record = &instance->record;
        uint32_t capacity = wanted_capacity(instance);
        uint64_t region_size = record_region_size(capacity);
        bool with_code = binding->data_size == 0;
        struct mapping mapping = { MAPPING_CODE, 0,
                                   region_size + (with_code ? pages(binding->code_size) : 0) };
        int r = MAPPING_TAKEN;

        for (unsigned i = 0; i < PLACE_TRIES && r == MAPPING_TAKEN; i++) {
                r = target_refresh_maps(instance->target, err);
                if (r == 0)
                        r = find_place(instance, mapping.size, binding->low, &mapping.address,
                                       err);
                if (r == 0)
                        r = mapping_make(instance->target, &mapping, 1, err);
        }
        if (r != 0)
                return r == MAPPING_TAKEN ? place_lost(instance) : r;
        record_init(record, mapping.address, capacity, instance->module_address,
                    &instance->spec->build_id, instance->spec->module);
        record->exists = true;
        resolver_set_function_stub(instance->resolver, record_stub_address(record));
        if (with_code) {
                *ret = record_level_add(record);
                describe_level(instance, *ret);
                (*ret)->role = RECORD_ROLE_INCOMING;
                (*ret)->code_address = mapping.address + region_size;
        }
        if (fault_here(FAULT_MAPPED_SWITCH))
                return fault_set(FAULT_MAPPED_SWITCH, err);
        r = record_commit(instance->target, record, err);
        if (r == 0 && fault_here(FAULT_RECORD_WRITTEN))
                r = fault_set(FAULT_RECORD_WRITTEN, err);
        return r;
}

static int make_shadow_root(struct instance *instance, struct error *err)
{
        struct record_header *header = &instance->record.header;
        struct mapping mapping = { MAPPING_DATA, 0, PAGE_SIZE };
        int r = MAPPING_TAKEN;

        if (!instance->binding->wants_shadow_root)
                return 0;
        r = target_refresh_maps(instance->target, err);
        if (r != 0)
                return r;
        mapping.address = header->shadow_root;
        if (mapping.address && mapping_is_ours(instance->target, &mapping))
                return 0;
        r = MAPPING_TAKEN;
        for (unsigned i = 0; i < PLACE_TRIES && r == MAPPING_TAKEN; i++) {
                r = target_refresh_maps(instance->target, err);
                if (r == 0)
                        r = find_place(instance, PAGE_SIZE, instance->binding->low,
                                       &mapping.address, err);
                header->shadow_root = mapping.address;
                if (r == 0)
                        r = record_commit(instance->target, &instance->record, err);
                if (r == 0)
                        r = mapping_make(instance->target, &mapping, 1, err);
        }
        return r == MAPPING_TAKEN ? place_lost(instance) : r;
}

static int write_checked(struct instance *instance, uint64_t address, const struct buffer *image,
                         struct error *err)
{
        _cleanup_free_ uint8_t *copy = malloc(image->size + 1);
        int r;

        if (!copy)
                return error_no_memory(err);
        r = target_write(instance->target, address, image->data, image->size, err);
        if (r == 0)
                r = target_read(instance->target, address, copy, image->size, err);
        if (r == 0 && memcmp(copy, image->data, image->size) != 0)
                return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                 "what was written to pid %d reads back differently",
                                 instance->target->pid);
        return r;
}

static int link_level(struct instance *instance, const struct record_level *level,
                      struct error *err)
{
        return binding_relocate(instance->binding, level->code_address, level->data_address,
                                instance->record.header.shadow_root, instance->resolver, err);
}

static int write_level(struct instance *instance, const struct record_level *level,
                       struct error *err)
{
        const struct binding *binding = instance->binding;
        int r = link_level(instance, level, err);

        if (r == 0)
                r = write_checked(instance, level->code_address, &binding->code, err);
        if (r == 0 && binding->data.size > 0)
                r = write_checked(instance, level->data_address, &binding->data, err);
        if (r == 0 && fault_here(FAULT_CODE_WRITTEN))
                r = fault_set(FAULT_CODE_WRITTEN, err);
        return r;
}

/*
 * The same patch, rolled back earlier and still mapped: it is used again where it is, with its
 * data as they are, since there may be pointers to them.
 */
static int reuse_level(struct instance *instance, struct record_level **ret, struct error *err)
{
        struct target *target = instance->target;
        _cleanup_free_ uint8_t *copy = malloc(instance->binding->code_size + 1);
        int r = 0;

        *ret = NULL;
        if (!copy)
                return error_no_memory(err);
        for (size_t i = 0; r == 0 && i < RECORD_LEVELS && !*ret; i++) {
                struct record_level *level = &instance->record.levels[i];

                if (level->role != RECORD_ROLE_RETAINED ||
                    memcmp(level->digest, instance->patch->digest.bytes, SHA256_SIZE) != 0 ||
                    level->code_size != instance->binding->code_size ||
                    level->data_size != instance->binding->data_size ||
                    !maps_find(&target->maps, level->code_address) ||
                    !registration_is_certain(target, level))
                        continue;
                r = link_level(instance, level, err);
                if (r == 0)
                        r = target_read(target, level->code_address, copy, level->code_size, err);
                if (r == 0 &&
                    memcmp(copy, instance->binding->code.data, level->code_size) == 0)
                        *ret = level;
        }
        return r;
}

/* --- Jumps to be ------------------------------------------------------------------------- */

static int refuse_function(const struct patch_function *function, int outcome, struct error *err)
{
        if (outcome == ARCH_NO_ROOM)
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                                 "patch its callers instead (suture explain SB116)",
                                 "function %s is too short for a jump, and nothing but other code "
                                 "follows it",
                                 function->name);
        return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                         "patch its callers instead, or change it alone in a patch of its own",
                         "the first instructions of function %s can't be moved", function->name);
}

/* A jump that crosses a page could be left half written if suture is killed in between. */
static bool crosses_page(uint64_t jump)
{
        return jump / PAGE_SIZE != (jump + ARCH_JUMP_SIZE - 1) / PAGE_SIZE;
}

static int new_function(struct instance *instance, size_t i, struct error *err)
{
        const struct patch_function *function = &instance->spec->functions[i];
        struct record *record = &instance->record;
        uint64_t address = function_address(instance, i);
        size_t size = function->range.size, n = record->n_functions;
        _cleanup_free_ uint8_t *code = calloc(1, size + PADDING_LOOK);
        struct record_function *slot;
        struct arch_displaced displaced = { 0 };
        size_t room = size, skip;
        int r;

        if (!code)
                return error_no_memory(err);
        if (n == record->header.capacity)
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                                 "roll back first, then apply",
                                 "the record in pid %d has no room for further functions",
                                 instance->target->pid);
        r = target_read(instance->target, address, code, size, err);
        if (r != 0)
                return r;
        if (target_read(instance->target, address + size, code + size, PADDING_LOOK, NULL) == 0)
                room += PADDING_LOOK;
        skip = arch_entry_skip(code, size);
        slot = ARRAY_PUSH(record->functions, record->n_functions);
        if (!slot)
                return error_no_memory(err);
        r = crosses_page(address + skip)
                    ? ARCH_NOT_DISPLACEABLE
                    : arch_displace(code, size, room, skip, address,
                                    record_displaced_address(record, n), &displaced);
        if (r == ARCH_NOT_DISPLACEABLE && instance->spec->n_functions == 1 && n == 0 &&
            function->consistency == PATCH_STRICT && size >= skip + ARCH_JUMP_SIZE &&
            !crosses_page(address + skip))
                displaced.length = ARCH_JUMP_SIZE; /* switched by the jump itself */
        else if (r != 0) {
                record->n_functions--;
                return refuse_function(function, r, err);
        }
        slot->address = address;
        slot->skip = (uint8_t)skip;
        slot->length = (uint8_t)displaced.length;
        slot->displaced_size = (uint16_t)displaced.size;
        memcpy(slot->original, code + skip, MIN(displaced.length, sizeof(slot->original)));
        memcpy(slot->displaced, displaced.code, displaced.size);
        instance->slot_of[i] = n;
        r = record_write_function(instance->target, record, n, err);
        if (r != 0)
                record->n_functions--;
        return r;
}

/* Every function of the patch gets a slot; a new one leads back to the displaced instructions. */
static int prepare_functions(struct instance *instance, struct record_level *level,
                             struct error *err)
{
        struct record *record = &instance->record;

        for (size_t i = 0; i < instance->spec->n_functions; i++) {
                int slot = record_find_function(record, function_address(instance, i));

                if (slot < 0) {
                        int r = new_function(instance, i, err);

                        if (r != 0)
                                return r;
                        slot = (int)instance->slot_of[i];
                        if (!record_set_slot(record, (size_t)slot,
                                             record_displaced_address(record, (size_t)slot)))
                                return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                                 "a slot of the record is out of reach");
                }
                instance->slot_of[i] = (size_t)slot;
                if (record->functions[slot].displaced_size == 0)
                        level->flags |= RECORD_LEVEL_DIRECT;
        }
        if ((level->flags & RECORD_LEVEL_DIRECT) && record->n_functions > 1)
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0, "roll back first, then apply",
                                 "function %s can only be changed alone",
                                 instance->spec->functions[0].name);
        instance->prepared = true;
        return record_commit(instance->target, record, err);
}

static int run_pre_hook(struct instance *instance, struct record_level *level, struct error *err)
{
        const struct patch_target *spec = instance->spec;
        int64_t result = 0;
        int r = 0;

        if (spec->hook_pre || spec->hook_post || spec->hook_undo)
                r = target_write(instance->target, record_stub_address(&instance->record),
                                 arch_function_stub, arch_function_stub_size, err);
        if (r == 0 && spec->hook_pre)
                r = instance_call_hook(instance,
                                       binding_symbol_address(instance->binding, spec->hook_pre),
                                       &result, err);
        if (r != 0)
                return r;
        if ((int)result != 0)
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0, "see the patch's description",
                                 "the patch's own check in pid %d refuses it (its pre hook "
                                 "returned %d)",
                                 instance->target->pid, (int)result);
        if (spec->hook_undo) {
                level->hook_undo = binding_symbol_address(instance->binding, spec->hook_undo);
                r = record_commit(instance->target, &instance->record, err);
        }
        if (r == 0 && fault_here(FAULT_HOOK))
                r = fault_set(FAULT_HOOK, err);
        return r;
}

/* --- All of it --------------------------------------------------------------------------- */

/* A record, and in it an incoming level: new, or one that was rolled back earlier. */
static int prepare_level(struct instance *instance, struct record_level **ret, struct error *err)
{
        struct record *record = &instance->record;
        int r = 0;

        *ret = NULL;
        if (!record->exists)
                r = make_record(instance, ret, err);
        if (r == 0)
                r = make_shadow_root(instance, err);
        if (r == 0 && !*ret) {
                r = reuse_level(instance, ret, err);
                if (r != 0 || *ret)
                        return r;
                r = make_level(instance, ret, err);
        }
        return r ? r : write_level(instance, *ret, err);
}

static int clean_leftovers(struct instance *instance, struct error *err)
{
        if (!instance->record.exists || record_is_settled(&instance->record))
                return 0;
        return instance_clean(instance, err);
}

int instance_prepare(struct instance *instance, const struct patch *patch,
                     const struct patch_target *spec, struct error *err)
{
        struct record_level *level;
        bool registers = false;
        int r;

        instance->patch = patch;
        instance->spec = spec;
        r = check_level(instance, err);
        /* what is cleaned may be jumps, so it comes before the functions are looked at */
        if (r == 0)
                r = clean_leftovers(instance, err);
        else if (r == INSTANCE_UNCHANGED)
                (void)clean_leftovers(instance, NULL);
        if (r == 0)
                r = check_functions(instance, err);
        if (r == 0)
                r = registration_is_wanted(instance->target, &registers, err);
        if (r == 0)
                r = binding_new(patch, spec, registers, &instance->binding, err);
        if (r == 0)
                r = prepare_level(instance, &level, err);
        if (r != 0)
                return r;
        level->role = RECORD_ROLE_INCOMING;
        r = prepare_functions(instance, level, err);
        if (r == 0)
                r = registration_add(instance, level, err);
        return r ? r : run_pre_hook(instance, level, err);
}
