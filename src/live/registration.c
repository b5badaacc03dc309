/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both runtimes take a lock for it, so the call is made on a thread that is not in the runtime, as
 * far as its stack tells; and libgcc gives memory back when it forgets, so that this is asked only
 * of a thread that waits in the kernel for something from outside, and so is in no allocator.
 * Where there is none, the level stays mapped and known, which harms nobody: its code is not
 * reached any more. It is what the next apply of the same patch takes up again.
 *
 * What lies in the target was written by suture, but the target could have changed it; it is used
 * for calls by that same target only, and a registration is believed only while the runtime that
 * it was made with is where it was.
 */
#include "live/registration.h"

#include <stddef.h>
#include <string.h>

#include "base/array.h"
#include "base/fault.h"
#include "base/log.h"
#include "live/arch/arch.h"
#include "live/call.h"
#include "live/instance.h"
#include "live/mapping.h"

#define ADD_ROUNDS 50
#define REMOVE_ROUNDS 6

struct runtime {
        const char *library;        /* how its file name begins */
        const char *add, *remove;
        bool frees;
};

static const struct runtime runtimes[REGISTRATION_RUNTIMES] = {
        /* GCC, libgcc/unwind-dw2-fde.h: add(first entry, room), remove(first entry) */
        { "libgcc_s.so.1", "__register_frame_info", "__deregister_frame_info", true },
        /* libunwind-dynamic.h: add(room), remove(room); the room is an unw_dyn_info_t */
        { "libunwind.so.8", "_U_dyn_register", "_U_dyn_cancel", false },
};

/* unw_dyn_info_t of libunwind 1.6 with a remote table (UNW_INFO_FORMAT_REMOTE_TABLE). */
struct dynamic_info {
        uint64_t next, previous;
        uint64_t start, end;        /* of the code */
        uint64_t global_pointer;
        int32_t format, padding;
        uint64_t load_offset;
        uint64_t name, base, table_words, table;
};
enum { FORMAT_REMOTE_TABLE = 2 };

_Static_assert(sizeof(struct dynamic_info) <= sizeof(((struct registration *)0)->room),
               "room for libunwind");

/* --- The runtimes ------------------------------------------------------------------------ */

struct found {
        struct elf_image image;
        uint64_t add, remove;
};

static const char *file_name(const struct module *module)
{
        const char *slash = strrchr(module->path, '/');

        return slash ? slash + 1 : module->path;
}

/* Is it this runtime and, unless that is 0, the one that has its function at `add`? */
static bool find_in(struct target *target, const struct module *module,
                    const struct runtime *runtime, uint64_t wanted, struct found *ret)
{
        struct elf_memory memory = target_memory(target);
        struct elf_image_symbol add, remove;

        if (strncmp(file_name(module), runtime->library, strlen(runtime->library)) != 0 ||
            elf_image_read(&memory, module->address, &ret->image) != 0 ||
            elf_image_lookup(&memory, &ret->image, runtime->add, NULL, &add) != 0 ||
            elf_image_lookup(&memory, &ret->image, runtime->remove, NULL, &remove) != 0)
                return false;
        if (wanted != 0 && add.address != wanted)
                return false;
        ret->add = add.address;
        ret->remove = remove.address;
        return true;
}

/* The first one in the list: a process has one, unless it loads further ones by dlmopen. */
static bool find_runtime(struct target *target, size_t which, uint64_t add, struct found *ret)
{
        for (size_t i = 0; i < target->modules.n_items; i++)
                if (find_in(target, &target->modules.items[i], &runtimes[which], add, ret))
                        return true;
        return false;
}

int registration_is_wanted(struct target *target, bool *ret, struct error *err)
{
        struct found found;
        int r = target_read_modules(target, err);

        *ret = false;
        for (size_t i = 0; r == 0 && !*ret && i < REGISTRATION_RUNTIMES; i++)
                *ret = find_runtime(target, i, 0, &found);
        return r;
}

/* --- The call ---------------------------------------------------------------------------- */

static uint64_t address_of(const struct record_level *level, size_t which)
{
        return level->data_address + level->data_size - sizeof(struct registrations) +
               which * sizeof(struct registration);
}

static int write_stubs(struct instance *instance, struct error *err)
{
        int r = target_write(instance->target, record_stub_address(&instance->record),
                             arch_function_stub, arch_function_stub_size, err);

        return r ? r : target_write(instance->target,
                                    record_register_stub_address(&instance->record),
                                    arch_register_stub, arch_register_stub_size, err);
}

/* Has the target make the call that is written at `address`, which leaves its state `after`. */
static int call_runtime(struct instance *instance, uint64_t address, uint64_t after,
                        const struct call_terms *terms, struct error *err)
{
        struct target *target = instance->target;
        int64_t result;
        uint64_t state;
        int r = write_stubs(instance, err);

        if (r == 0 && fault_here(FAULT_REGISTRATION_WRITTEN))
                r = fault_set(FAULT_REGISTRATION_WRITTEN, err);
        if (r != 0)
                return r;
        r = target_call_function_if(target, terms, record_stub_address(&instance->record),
                                    record_register_stub_address(&instance->record), address,
                                    &result, err);
        if (r != 0 && r != TARGET_BUSY)
                instance->doubtful = true;
        if (r == 0)
                r = target_read(target, address, &state, sizeof(state), err);
        if (r == 0 && state != after)
                return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                 "the unwind information of the new code could not be made known "
                                 "in pid %d", target->pid);
        return r;
}

/* --- Adding ------------------------------------------------------------------------------ */

static void describe_for_libunwind(const struct binding *binding, struct registration *ret)
{
        const struct bound_frames *frames = &binding->frames;
        struct dynamic_info info = {
                .start = frames->code_start,
                .end = frames->code_end,
                .format = FORMAT_REMOTE_TABLE,
                .base = binding->code_address,
                .table = binding->code_address + frames->table_offset,
                .table_words = frames->n_entries, /* of eight bytes, as an entry of it is */
        };

        memcpy(ret->room, &info, sizeof(info));
}

static int add_to(struct instance *instance, const struct record_level *level, size_t which,
                  const struct found *found, struct error *err)
{
        const struct bound_frames *frames = &instance->binding->frames;
        uint64_t address = address_of(level, which);
        uint64_t room = address + offsetof(struct registration, room);
        struct code_range range = { found->image.start, found->image.end, { 0, 0 },
                                    runtimes[which].library };
        struct call_terms terms = { &range, 1, false, ADD_ROUNDS };
        struct registration registration;
        int r = target_read(instance->target, address, &registration, sizeof(registration), err);

        if (r != 0)
                return r;
        if (registration.state != REGISTRATION_NONE &&
            find_runtime(instance->target, which, registration.add, &(struct found){ 0 }))
                return 0; /* known already; or in doubt, and then it stays as it is */
        registration = (struct registration){
                .function = found->add,
                .arguments = { instance->binding->code_address + frames->offset, room },
                .before = REGISTRATION_ADDING,
                .after = REGISTRATION_ADDED,
                .add = found->add,
                .entries = instance->binding->code_address + frames->offset,
        };
        if (!runtimes[which].frees) {
                registration.arguments[0] = room;
                describe_for_libunwind(instance->binding, &registration);
        }
        r = target_write(instance->target, address, &registration, sizeof(registration), err);
        if (r == 0)
                r = call_runtime(instance, address, registration.after, &terms, err);
        if (r == 0 && fault_here(FAULT_REGISTERED))
                r = fault_set(FAULT_REGISTERED, err);
        return r;
}

int registration_add(struct instance *instance, const struct record_level *level,
                     struct error *err)
{
        int r = 0;

        if (!(level->flags & RECORD_LEVEL_REGISTERS))
                return 0;
        r = target_read_modules(instance->target, err);
        for (size_t i = 0; r == 0 && i < REGISTRATION_RUNTIMES; i++) {
                struct found found;

                if (find_runtime(instance->target, i, 0, &found))
                        r = add_to(instance, level, i, &found, err);
        }
        return r;
}

/* --- Removing ---------------------------------------------------------------------------- */

static int remove_from(struct instance *instance, const struct record_level *level, size_t which,
                       struct error *err)
{
        uint64_t address = address_of(level, which);
        struct call_terms terms = { NULL, 1, runtimes[which].frees, REMOVE_ROUNDS };
        struct registration registration;
        struct code_range range = { 0 };
        struct found found;
        int r = target_read(instance->target, address, &registration, sizeof(registration), err);

        if (r != 0 || registration.state == REGISTRATION_NONE)
                return r;
        if (!find_runtime(instance->target, which, registration.add, &found))
                return 0; /* the runtime was unloaded, and with it what it knew */
        if (registration.state != REGISTRATION_ADDED)
                return REGISTRATION_STAYS;
        range = (struct code_range){ found.image.start, found.image.end, { 0, 0 },
                                     runtimes[which].library };
        terms.avoid = &range;
        registration.function = found.remove;
        registration.before = REGISTRATION_REMOVING;
        registration.after = REGISTRATION_NONE;
        /* what the runtime keeps in the room is its own now */
        r = target_write(instance->target, address + offsetof(struct registration, function),
                         &registration.function,
                         offsetof(struct registration, add) -
                                 offsetof(struct registration, function), err);
        if (r == 0)
                r = call_runtime(instance, address, registration.after, &terms, err);
        if (r == 0 && fault_here(FAULT_UNREGISTERED))
                r = fault_set(FAULT_UNREGISTERED, err);
        return r == TARGET_BUSY ? REGISTRATION_STAYS : r;
}

int registration_remove(struct instance *instance, const struct record_level *level,
                        struct error *err)
{
        struct mapping data = { MAPPING_DATA, level->data_address,
                                ROUND_UP(level->data_size, (uint64_t)PAGE_SIZE) };
        int r = 0;

        if (!(level->flags & RECORD_LEVEL_REGISTERS) || level->data_address == 0)
                return 0;
        if (!mapping_is_ours(instance->target, &data))
                return 0; /* recorded, but a killed run never came to map it, or has unmapped it */
        r = target_read_modules(instance->target, err);
        for (size_t i = 0; r == 0 && i < REGISTRATION_RUNTIMES; i++)
                r = remove_from(instance, level, i, err);
        return r;
}
