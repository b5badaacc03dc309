/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both runtimes take a lock for it, so the call is made on a thread that is not in the runtime, as
 * far as its stack tells; and libgcc gives memory back when it forgets (and since GCC 13 takes some
 * to remember), so that this is asked only of a thread that waits in the kernel for something from
 * outside, and so is in no allocator. Where there is none, the level stays mapped and known, which
 * harms nobody: its code is not reached any more. It is what the next apply of the same patch takes
 * up again. A thread that waits too long for the lock is taken back out of the call.
 *
 * What lies in the target was written by suture, but the target could have changed it; it is used
 * for calls by that same target only, and a registration is believed only while the runtime that
 * it was made with is where it was, and has not been loaded anew since: libgcc aborts the program
 * when it is to forget what it does not know. So a random number marks it, in the unused rest of
 * its last page of data, which a later load begins with zeros.
 */
#include "live/registration.h"

#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include "base/array.h"
#include "base/fault.h"
#include "base/log.h"
#include "live/arch/arch.h"
#include "live/call.h"
#include "live/instance.h"
#include "live/mapping.h"

#define ADD_ROUNDS 50
#define REMOVE_ROUNDS 6 /* also of adding, for a waiting thread where others would do */
#define CALL_WAIT_NS UINT64_C(1000000000)

struct runtime {
        const char *library;        /* how its file name begins */
        const char *add, *remove;
        bool allocates;
        const char *newer;          /* if it has this symbol, also when it adds */
        const char *lookup;         /* shows its layout, see knows_layout() */
};

static const struct runtime runtimes[REGISTRATION_RUNTIMES] = {
        /* GCC, libgcc/unwind-dw2-fde.h: add(first entry, room), remove(first entry) */
        { "libgcc_s.so.1", "__register_frame_info", "__deregister_frame_info", true,
          "__truncsfbf2", NULL },
        /* libunwind-dynamic.h: add(room), remove(room); the room is an unw_dyn_info_t */
        { "libunwind.so.8", "_U_dyn_register", "_U_dyn_cancel", false, NULL,
          "_ULx86_64_dwarf_search_unwind_table" },
};

/*
 * unw_dyn_info_t with a remote table (UNW_INFO_FORMAT_REMOTE_TABLE) since libunwind 1.6. Before,
 * and with the same soname, it had no load_offset.
 */
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

#define LOOKUP_CODE 128 /* bytes to look at */

struct found {
        struct elf_image image;
        uint64_t add, remove;
        bool adding_allocates;
};

static const char *file_name(const struct module *module)
{
        const char *slash = strrchr(module->path, '/');

        return slash ? slash + 1 : module->path;
}

/* The last word of the structure is read, which would lie behind the end of the older one. */
static bool knows_layout(struct target *target, const struct elf_image *image, const char *lookup)
{
        struct elf_memory memory = target_memory(target);
        struct elf_image_symbol symbol;
        uint8_t code[LOOKUP_CODE];

        return elf_image_lookup(&memory, image, lookup, NULL, &symbol) == 0 &&
               target_read(target, symbol.address, code, sizeof(code), NULL) == 0 &&
               arch_third_argument_is_read(code, MIN(sizeof(code), symbol.size),
                                           offsetof(struct dynamic_info, table));
}

/* Is it this runtime and, unless that is 0, the one that has its function at `add`? */
static bool find_in(struct target *target, const struct module *module,
                    const struct runtime *runtime, uint64_t wanted, struct found *ret)
{
        struct elf_memory memory = target_memory(target);
        struct elf_image_symbol add, remove, newer;

        if (strncmp(file_name(module), runtime->library, strlen(runtime->library)) != 0 ||
            elf_image_read(&memory, module->address, &ret->image) != 0 ||
            elf_image_lookup(&memory, &ret->image, runtime->add, NULL, &add) != 0 ||
            elf_image_lookup(&memory, &ret->image, runtime->remove, NULL, &remove) != 0)
                return false;
        if (wanted != 0 && add.address != wanted)
                return false;
        if (runtime->lookup && !knows_layout(target, &ret->image, runtime->lookup))
                return false;
        ret->adding_allocates = runtime->newer && elf_image_lookup(&memory, &ret->image,
                                                                   runtime->newer, NULL,
                                                                   &newer) == 0;
        ret->add = add.address;
        ret->remove = remove.address;
        return true;
}

/* The first one in the list; a process has one, unless it loads further ones by dlmopen. */
static bool find_runtime(struct target *target, size_t which, uint64_t add, struct found *ret)
{
        for (size_t i = 0; i < target->modules.n_items; i++)
                if (find_in(target, &target->modules.items[i], &runtimes[which], add, ret))
                        return true;
        return false;
}

/* Of several, the one that the module's own namespace has. */
static bool find_runtime_of(struct instance *instance, size_t which, struct found *ret)
{
        uint64_t add;

        if (resolver_find(instance->resolver, runtimes[which].add, NULL, &add, NULL) == 0 &&
            find_runtime(instance->target, which, add, ret))
                return true;
        return find_runtime(instance->target, which, 0, ret);
}

/* --- Which load of it -------------------------------------------------------------------- */

struct mark {
        char name[8];
        uint64_t load;
};
static const char mark_name[8] = "suture:";

/* Where its mark is, and that; 0 if there is no room. */
static uint64_t read_mark(struct target *target, const struct found *found, struct mark *ret)
{
        static const struct mark none;

        for (size_t i = 0; i < found->image.n_segments; i++) {
                const Elf64_Phdr *segment = &found->image.segments[i];
                uint64_t end = found->image.bias + segment->p_vaddr + segment->p_memsz;
                uint64_t at = ROUND_UP(end, (uint64_t)PAGE_SIZE) - sizeof(*ret);

                if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_W) || at < end ||
                    target_read(target, at, ret, sizeof(*ret), NULL) != 0)
                        continue;
                if (memcmp(ret, &none, sizeof(none)) == 0 ||
                    memcmp(ret->name, mark_name, sizeof(mark_name)) == 0)
                        return at;
        }
        return 0;
}

static uint64_t load_of(struct target *target, const struct found *found)
{
        struct mark mark;

        return read_mark(target, found, &mark) ? mark.load : 0;
}

/* The same, and marks it if it isn't yet; *ret is 0 if that can't be. */
static int mark_load(struct target *target, const struct found *found, uint64_t *ret,
                     struct error *err)
{
        struct mark mark;
        uint64_t at = read_mark(target, found, &mark);
        int r = 0;

        if (at != 0 && mark.load == 0) {
                memcpy(mark.name, mark_name, sizeof(mark_name));
                if (getrandom(&mark.load, sizeof(mark.load), 0) != sizeof(mark.load))
                        mark.load = 0;
                if (mark.load != 0)
                        r = target_write(target, at, &mark, sizeof(mark), err);
        }
        *ret = at ? mark.load : 0;
        return r;
}

/* Is it still there with what it was told? */
static bool is_in_force(struct target *target, size_t which,
                        const struct registration *registration, struct found *ret)
{
        return registration->state != REGISTRATION_NONE &&
               find_runtime(target, which, registration->add, ret) &&
               load_of(target, ret) == registration->load;
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
static int call_runtime(struct instance *instance, uint64_t address, uint64_t earlier,
                        uint64_t after, const struct call_terms *terms, struct error *err)
{
        struct target *target = instance->target;
        struct error ignored = { 0 };
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
        if (r == TARGET_BUSY) /* begun, perhaps, but taken back out of it */
                (void)target_write(target, address, &earlier, sizeof(earlier), &ignored);
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

static int call_to_add(struct instance *instance, uint64_t address, size_t which,
                       const struct found *found, struct error *err)
{
        struct code_range range = { found->image.start, found->image.end, { 0, 0 },
                                    runtimes[which].library };
        struct call_terms terms = { &range, 1, true, CALL_WAIT_NS,
                                    found->adding_allocates ? ADD_ROUNDS : REMOVE_ROUNDS };
        int r = call_runtime(instance, address, REGISTRATION_NONE, REGISTRATION_ADDED, &terms, err);

        if (r != TARGET_BUSY || found->adding_allocates)
                return r;
        terms.waiting = false;
        terms.rounds = ADD_ROUNDS;
        return call_runtime(instance, address, REGISTRATION_NONE, REGISTRATION_ADDED, &terms, err);
}

static int add_to(struct instance *instance, const struct record_level *level, size_t which,
                  const struct found *found, struct error *err)
{
        const struct bound_frames *frames = &instance->binding->frames;
        uint64_t address = address_of(level, which);
        uint64_t room = address + offsetof(struct registration, room);
        struct registration registration;
        int r = target_read(instance->target, address, &registration, sizeof(registration), err);

        if (r != 0)
                return r;
        if (is_in_force(instance->target, which, &registration, &(struct found){ 0 }))
                return 0;
        registration = (struct registration){
                .function = found->add,
                .arguments = { instance->binding->code_address + frames->offset, room },
                .before = REGISTRATION_ADDING,
                .after = REGISTRATION_ADDED,
                .add = found->add,
        };
        if (runtimes[which].lookup) {
                registration.arguments[0] = room;
                describe_for_libunwind(instance->binding, &registration);
        }
        r = mark_load(instance->target, found, &registration.load, err);
        if (r == 0)
                r = target_write(instance->target, address, &registration, sizeof(registration),
                                 err);
        if (r == 0)
                r = call_to_add(instance, address, which, found, err);
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

                if (find_runtime_of(instance, i, &found))
                        r = add_to(instance, level, i, &found, err);
        }
        return r;
}

bool registration_is_certain(struct target *target, const struct record_level *level)
{
        struct registration registration;

        if (!(level->flags & RECORD_LEVEL_REGISTERS))
                return true;
        for (size_t i = 0; i < REGISTRATION_RUNTIMES; i++)
                if (target_read(target, address_of(level, i), &registration, sizeof(registration),
                                NULL) != 0 ||
                    (registration.state != REGISTRATION_NONE &&
                     registration.state != REGISTRATION_ADDED))
                        return false;
        return true;
}

/* --- Removing ---------------------------------------------------------------------------- */

static int remove_from(struct instance *instance, const struct record_level *level, size_t which,
                       struct error *err)
{
        uint64_t address = address_of(level, which);
        struct call_terms terms = { NULL, 1, runtimes[which].allocates, CALL_WAIT_NS,
                                    REMOVE_ROUNDS };
        struct registration registration;
        struct code_range range = { 0 };
        struct found found;
        int r = target_read(instance->target, address, &registration, sizeof(registration), err);

        if (r != 0 || registration.state == REGISTRATION_NONE)
                return r;
        if (!is_in_force(instance->target, which, &registration, &found))
                return 0; /* the runtime was unloaded, and with it what it knew */
        if (registration.state != REGISTRATION_ADDED || registration.load == 0)
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
                r = call_runtime(instance, address, REGISTRATION_ADDED, registration.after, &terms,
                                 err);
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
