/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libdw does the unwinding; it is given the modules by descriptor, memory by callback and
 * registers by value, so that it neither opens a path nor attaches to anything itself.
 */
#include "live/unwind.h"

#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "live/arch/arch.h"

struct unwinder {
        Dwfl *dwfl;
        struct target *target;
        const struct tracee *tracee;    /* the one being unwound */
};

/* --- What libdw asks for ----------------------------------------------------------------- */

static int no_debuginfo(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base,
                        const char *file, const char *link, GElf_Word crc, char **ret_name)
{
        (void)module, (void)userdata, (void)name, (void)base;
        (void)file, (void)link, (void)crc, (void)ret_name;
        return -1;
}

static int no_elf(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base,
                  char **ret_name, Elf **ret_elf)
{
        (void)module, (void)userdata, (void)name, (void)base, (void)ret_name, (void)ret_elf;
        return -1;
}

static pid_t next_thread(Dwfl *dwfl, void *context, void **thread_context)
{
        struct unwinder *unwinder = context;

        (void)dwfl;
        if (*thread_context)
                return 0;
        *thread_context = context;
        return unwinder->tracee->tid;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *context, void **thread_context)
{
        (void)dwfl, (void)tid;
        *thread_context = context;
        return true;
}

static bool read_word(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *ret, void *context)
{
        struct unwinder *unwinder = context;

        (void)dwfl;
        return target_read(unwinder->target, address, ret, sizeof(*ret), NULL) == 0;
}

static bool set_registers(Dwfl_Thread *thread, void *context)
{
        struct unwinder *unwinder = context;
        uint64_t registers[ARCH_DWARF_REGISTERS];

        arch_regs_dwarf(&unwinder->tracee->regs, registers);
        return dwfl_thread_state_registers(thread, 0, ARCH_DWARF_REGISTERS, registers);
}

static const Dwfl_Callbacks module_callbacks = {
        .find_elf = no_elf,
        .find_debuginfo = no_debuginfo,
        .section_address = dwfl_offline_section_address,
};

static const Dwfl_Thread_Callbacks thread_callbacks = {
        .next_thread = next_thread,
        .get_thread = get_thread,
        .memory_read = read_word,
        .set_initial_registers = set_registers,
};

/* --- Modules ----------------------------------------------------------------------------- */

static int open_mapped(const struct target *target, uint64_t address)
{
        const struct region *region = maps_find(&target->maps, address);
        char path[96];

        if (!region || region->inode == 0)
                return -1;
        snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", target->thread, region->start,
                 region->end);
        return open(path, O_RDONLY | O_CLOEXEC);
}

static void report_modules(struct unwinder *unwinder)
{
        struct target *target = unwinder->target;
        struct elf_memory memory = target_memory(target);
        struct elf_image image;

        if (target_read_modules(target, NULL) != 0)
                return;
        for (size_t i = 0; i < target->modules.n_items; i++) {
                const struct module *module = &target->modules.items[i];
                int fd;

                if (elf_image_read(&memory, module->address, &image) != 0)
                        continue;
                fd = open_mapped(target, module->address);
                if (fd < 0)
                        continue;
                /* the same library may be there twice: the name tells them apart */
                if (!dwfl_report_elf(unwinder->dwfl, module->path, module->path, fd, image.bias,
                                     true))
                        close(fd);
        }
}

struct unwinder *unwinder_new(struct target *target)
{
        _cleanup_(unwinder_freep) struct unwinder *unwinder = calloc(1, sizeof(*unwinder));

        if (!unwinder)
                return NULL;
        unwinder->target = target;
        unwinder->dwfl = dwfl_begin(&module_callbacks);
        if (!unwinder->dwfl)
                return NULL;
        dwfl_report_begin(unwinder->dwfl);
        report_modules(unwinder);
        dwfl_report_end(unwinder->dwfl, NULL, NULL);
        if (!dwfl_attach_state(unwinder->dwfl, NULL, target->pid, &thread_callbacks, unwinder))
                return NULL;
        return STEAL(unwinder);
}

struct unwinder *unwinder_free(struct unwinder *unwinder)
{
        if (!unwinder)
                return NULL;
        if (unwinder->dwfl)
                dwfl_end(unwinder->dwfl);
        free(unwinder);
        return NULL;
}

/* --- Frames ------------------------------------------------------------------------------ */

struct collection {
        uint64_t *frames;
        size_t n;
};

/*
 * True if the way on from here is described. Where it is not, libdw follows the frame pointer,
 * which may be any number, and takes what it can't read for the end of the stack.
 */
static bool is_described(Dwfl_Frame *frame, Dwarf_Addr pc)
{
        Dwfl_Module *module = dwfl_addrmodule(dwfl_thread_dwfl(dwfl_frame_thread(frame)), pc);
        Dwarf_Frame *description = NULL;
        Dwarf_Addr bias;
        Dwarf_CFI *cfi = module ? dwfl_module_eh_cfi(module, &bias) : NULL;
        bool found = cfi && dwarf_cfi_addrframe(cfi, pc - bias, &description) == 0;

        free(description);
        return found;
}

static int collect_frame(Dwfl_Frame *frame, void *context)
{
        struct collection *collection = context;
        bool is_activation;
        Dwarf_Addr pc;

        if (collection->n == UNWIND_MAX_FRAMES || !dwfl_frame_pc(frame, &pc, &is_activation) ||
            !is_described(frame, is_activation ? pc : pc - 1))
                return DWARF_CB_ABORT;
        collection->frames[collection->n++] = pc;
        return DWARF_CB_OK;
}

int unwind_thread(struct target *target, const struct tracee *tracee,
                  uint64_t frames[static UNWIND_MAX_FRAMES], size_t *ret_n)
{
        struct collection collection = { .frames = frames };

        if (!target->unwinder) {
                target->wants_unwinder = true;
                return UNWIND_INCOMPLETE;
        }
        target->unwinder->tracee = tracee;
        if (dwfl_getthread_frames(target->unwinder->dwfl, tracee->tid, collect_frame,
                                  &collection) != 0)
                return UNWIND_INCOMPLETE;
        *ret_n = collection.n;
        return 0;
}
