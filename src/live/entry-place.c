/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dynamic linker learns where the program begins from AT_ENTRY of the auxiliary vector on the
 * program's stack, and jumps there last of all. It copies the value early: glibc to a variable of
 * its first function (elf/dl-sysdep.c, user_entry), musl to an array of its own (ldso/dynlink.c,
 * aux). Both are on the stack, so every word there that equals the entry point is changed; a stale
 * one does no harm, since it leads to the same place by a detour. That the linker is still at work
 * is known by the stack, too: once the program has begun, some return address there lies in its
 * code, which no frame of the linker holds.
 *
 * The stub lies behind the last byte of a code segment, as the one for calls does (live/call.c).
 */
#include "live/entry-place.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/log.h"
#include "live/arch/arch.h"
#include "proc/process.h"

#define MAX_STACK_BYTES (UINT64_C(8) << 20) /* of the linker; more is none of its stack */
#define MAX_VECTOR_WORDS (1u << 20)

enum { STAT_STACK_START = 28 }; /* proc(5) */

/* Where the stack began, which is where argc lies. */
static int read_stack_start(const struct target *target, uint64_t *ret, struct error *err)
{
        char text[32];
        int r = process_stat_field(target->pid, STAT_STACK_START, text, sizeof(text), err);

        if (r != 0)
                return r == PROCESS_GONE || target_is_over(target) ? TARGET_GONE : r;
        *ret = strtoull(text, NULL, 10);
        if (*ret == 0)
                return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                 "the stack of pid %d can't be found", target->pid);
        return 0;
}

/* Skips a list of pointers that a zero ends. */
static int skip_pointers(struct target *target, uint64_t *at, struct error *err)
{
        uint64_t words[128];

        for (size_t seen = 0; seen < MAX_VECTOR_WORDS; seen += ARRAY_SIZE(words)) {
                /* near the end of the stack fewer may be there */
                size_t n = ARRAY_SIZE(words);
                int r = target_read(target, *at, words, sizeof(words), NULL);

                if (r != 0) {
                        n = 1;
                        r = target_read(target, *at, words, sizeof(*words), err);
                }
                if (r != 0)
                        return r;
                for (size_t i = 0; i < n; i++) {
                        *at += sizeof(*words);
                        if (words[i] == 0)
                                return 0;
                }
        }
        return error_set(err, EXIT_CODE_ERROR, 0, NULL, "the stack of pid %d is not a program's",
                         target->pid);
}

static int read_vector(struct target *target, uint64_t at, struct entry_place *place,
                       struct error *err)
{
        for (size_t i = 0; i < 128; i++, at += sizeof(Elf64_auxv_t)) {
                Elf64_auxv_t item;
                int r = target_read(target, at, &item, sizeof(item), err);

                if (r != 0)
                        return r;
                switch (item.a_type) {
                case AT_NULL:
                        if (place->entry != 0 && place->headers != 0)
                                return 0;
                        i = 128;
                        break;
                case AT_ENTRY:
                        place->entry = item.a_un.a_val;
                        place->auxv_slot = at + offsetof(Elf64_auxv_t, a_un.a_val);
                        break;
                case AT_BASE:
                        place->linker = item.a_un.a_val;
                        break;
                case AT_PHDR:
                        place->headers = item.a_un.a_val;
                        break;
                }
        }
        return error_set(err, EXIT_CODE_UNSUPPORTED, 0, NULL,
                         "the auxiliary vector of pid %d names no entry point", target->pid);
}

int entry_place_read(struct target *target, struct entry_place *ret, struct error *err)
{
        struct entry_place place = { 0 };
        uint64_t at;
        int r = read_stack_start(target, &place.stack, err);

        at = place.stack + sizeof(uint64_t);
        if (r == 0)
                r = skip_pointers(target, &at, err);
        if (r == 0)
                r = skip_pointers(target, &at, err);
        if (r == 0)
                r = read_vector(target, at, &place, err);
        if (r == 0)
                *ret = place;
        return r;
}

/* The linker run as a program has changed the vector: it names what the linker has loaded. */
static bool in_executed_file(const struct target *target, const struct region *region)
{
        char path[64], file[4096];
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/%d/exe", target->pid);
        n = readlink(path, file, sizeof(file) - 1);
        if (n <= 0)
                return false;
        file[n] = '\0';
        return strcmp(file, region->path) == 0;
}

bool entry_place_in_linker(const struct target *target, const struct entry_place *place,
                           uint64_t pc)
{
        const struct region *linker = maps_find(&target->maps, place->linker);
        const struct region *region = maps_find(&target->maps, pc);

        if (!region || !region->executable || !region->inode)
                return false;
        if (place->linker == 0)
                return in_executed_file(target, region);
        return linker && region->inode == linker->inode &&
               region->device_major == linker->device_major &&
               region->device_minor == linker->device_minor;
}

/* --- The stub ---------------------------------------------------------------------------- */

/* Zeros of `size` bytes behind a code segment of the module at `header`; 0 if there are none. */
static uint64_t find_tail(struct target *target, uint64_t header, size_t size)
{
        static const uint8_t zeros[ARCH_ENTRY_STUB_MAX];
        struct elf_memory memory = target_memory(target);
        struct elf_image image;

        if (elf_image_read(&memory, header, &image) != 0)
                return 0;
        for (size_t i = 0; i < image.n_segments; i++) {
                const Elf64_Phdr *segment = &image.segments[i];
                uint64_t start = ROUND_UP(image.bias + segment->p_vaddr + segment->p_filesz,
                                          UINT64_C(16));
                const struct region *region = maps_find(&target->maps, start);
                uint8_t found[ARCH_ENTRY_STUB_MAX];

                if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) &&
                    segment->p_memsz == segment->p_filesz && region && region->executable &&
                    !region->shared && start + size <= ROUND_UP(start, (uint64_t)PAGE_SIZE) &&
                    target_read(target, start, found, size, NULL) == 0 &&
                    memcmp(found, zeros, size) == 0)
                        return start;
        }
        return 0;
}

static uint64_t program_header(const struct target *target, const struct entry_place *place)
{
        const struct region *region = maps_find(&target->maps, place->headers);

        return region && region->offset == 0 ? region->start : 0;
}

/* --- The words --------------------------------------------------------------------------- */

struct code {
        uint64_t start, end;
};

/* Of the program itself. */
static int read_program_code(struct target *target, const struct entry_place *place,
                             struct code ret[static ELF_IMAGE_MAX_SEGMENTS], size_t *ret_n)
{
        struct elf_memory memory = target_memory(target);
        struct elf_image image;

        *ret_n = 0;
        if (elf_image_read(&memory, program_header(target, place), &image) != 0)
                return ENTRY_PLACE_BEGUN; /* not known is as good as begun: it is left alone */
        for (size_t i = 0; i < image.n_segments; i++) {
                const Elf64_Phdr *segment = &image.segments[i];

                if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
                        continue;
                ret[*ret_n].start = image.bias + segment->p_vaddr;
                ret[(*ret_n)++].end = image.bias + segment->p_vaddr + segment->p_memsz;
        }
        return 0;
}

static bool is_code(const struct code *code, size_t n, uint64_t word)
{
        for (size_t i = 0; i < n; i++)
                if (word >= code[i].start && word < code[i].end)
                        return true;
        return false;
}

/* The words of the linker's frames that hold the entry point. */
static int find_words(struct target *target, const struct entry_place *place, uint64_t sp,
                      uint64_t **items, size_t *n_items, struct error *err)
{
        struct code code[ELF_IMAGE_MAX_SEGMENTS];
        _cleanup_free_ uint64_t *words = NULL;
        uint64_t size;
        size_t n_code;
        int r;

        sp = ROUND_DOWN(sp, UINT64_C(8));
        if (sp > place->stack || place->stack - sp > MAX_STACK_BYTES)
                return ENTRY_PLACE_BEGUN; /* another stack: not the linker at a program's start */
        size = place->stack - sp;
        r = read_program_code(target, place, code, &n_code);
        if (r != 0 || size == 0)
                return r;
        words = malloc(size);
        if (!words)
                return error_no_memory(err);
        r = target_read(target, sp, words, size, err);
        for (size_t i = 0; r == 0 && i < size / sizeof(*words); i++) {
                uint64_t *slot;

                if (words[i] != place->entry) {
                        if (is_code(code, n_code, words[i])) {
                                log_debug("pid %d: %#lx at %#lx of its stack is code of its own",
                                          target->pid, words[i], sp + i * sizeof(*words));
                                return ENTRY_PLACE_BEGUN;
                        }
                        continue;
                }
                slot = ARRAY_PUSH(*items, *n_items);
                if (!slot)
                        return error_no_memory(err);
                *slot = sp + i * sizeof(*words);
        }
        return r;
}

static int plan(struct target *target, const struct entry_place *place, uint64_t sp,
                uint64_t **words, size_t *n_words, uint64_t *ret_stub, struct error *err)
{
        int r = find_words(target, place, sp, words, n_words, err);

        if (r != 0)
                return r;
        if (sp < place->stack && *n_words == 0)
                return ENTRY_PLACE_UNKNOWN;
        *ret_stub = find_tail(target, place->linker, ARCH_ENTRY_STUB_MAX);
        if (*ret_stub == 0)
                *ret_stub = find_tail(target, program_header(target, place), ARCH_ENTRY_STUB_MAX);
        return *ret_stub ? 0 : ENTRY_PLACE_NO_ROOM;
}

int entry_place_check(struct target *target, const struct entry_place *place, uint64_t sp,
                      struct error *err)
{
        _cleanup_free_ uint64_t *words = NULL;
        uint64_t stub;
        size_t n = 0;

        return plan(target, place, sp, &words, &n, &stub, err);
}

int entry_place_redirect(struct target *target, struct entry_place *place, uint64_t sp, int signal,
                         struct error *err)
{
        _cleanup_free_ uint64_t *words = NULL;
        uint8_t code[ARCH_ENTRY_STUB_MAX];
        size_t size = arch_entry_stub(place->entry, signal, code), n = 0;
        uint64_t stub = 0;
        int r = plan(target, place, sp, &words, &n, &stub, err);

        if (r == 0)
                r = target_write(target, stub, code, size, err);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = target_write(target, words[i], &stub, sizeof(stub), err);
        if (r == 0)
                r = target_write(target, place->auxv_slot, &stub, sizeof(stub), err);
        if (r != 0)
                return r;
        place->stub = stub;
        place->stub_size = size;
        return 0;
}

int entry_place_restore(struct target *target, struct entry_place *place, struct error *err)
{
        static const uint8_t zeros[ARCH_ENTRY_STUB_MAX];
        int r;

        if (place->stub == 0)
                return 0;
        r = target_write(target, place->auxv_slot, &place->entry, sizeof(place->entry), err);
        if (r == 0)
                r = target_write(target, place->stub, zeros, place->stub_size, err);
        place->stub = 0;
        return r;
}
