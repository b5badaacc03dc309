/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A module as it lies in memory: what the dynamic linker sees, and nothing of the file. It is
 * read through a callback, so the memory may be that of another process; nothing read from there
 * is trusted. Section tables are not mapped, so all that is known comes from the program headers
 * and the dynamic section (gABI "Dynamic Section"; GNU hash table and symbol versions as written
 * by binutils and read by glibc).
 */
#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "elf/build-id.h"

/*
 * Reads exactly `size` bytes at `address`; 0, or a negative errno. Must not fail for less than
 * what is mapped.
 */
struct elf_memory {
        int (*read)(void *context, uint64_t address, void *ret, size_t size);
        void *context;
};

#define ELF_IMAGE_MAX_SEGMENTS 64

struct elf_image {
        uint64_t header_address;  /* where the ELF header lies */
        uint64_t bias;            /* added to the file's virtual addresses; 0 for non-PIE */
        uint16_t type;            /* ET_EXEC or ET_DYN */
        uint64_t entry;           /* absolute */
        Elf64_Phdr segments[ELF_IMAGE_MAX_SEGMENTS]; /* addresses as in the file, without bias */
        size_t n_segments;
        uint64_t start, end;      /* of all PT_LOAD, absolute, page-rounded */
        struct build_id build_id;
        bool has_dynamic;         /* the rest is zero without */
        /* all absolute addresses; 0 where absent */
        uint64_t dynamic, symbols, strings, versions, version_needs, version_definitions;
        uint64_t gnu_hash, sysv_hash, jump_relocations, relocations;
        uint64_t strings_size, jump_relocations_size, relocations_size;
        uint64_t n_version_needs, n_version_definitions;
        uint64_t soname;          /* absolute address of the string, 0 if none */
        uint64_t r_debug;         /* value of DT_DEBUG (executables), 0 if none */
        bool bind_now, symbolic;
};

enum elf_image_outcome {
        ELF_IMAGE_NOT_ELF = 1,     /* no ELF magic at this address */
        ELF_IMAGE_OTHER_CLASS = 2, /* an ELF file, but 32-bit or big-endian or another machine */
        ELF_IMAGE_BROKEN = 3,      /* headers that contradict each other or are not readable */
};

/*
 * Reads header, program headers, build ID and dynamic section at `address`.
 * 0, one of enum elf_image_outcome, or a negative errno of the reader. No err: callers that walk
 * over all mappings of a process expect most of these outcomes.
 */
int elf_image_read(const struct elf_memory *memory, uint64_t address, struct elf_image *ret);
/* Header and build ID only, in as few reads as possible (two for usual files). */
int elf_image_read_build_id(const struct elf_memory *memory, uint64_t address,
                            struct build_id *ret);

struct elf_image_symbol {
        uint64_t address;   /* absolute: bias added (not for SHN_ABS) */
        uint64_t size;
        uint8_t bind, type, visibility;
        uint16_t section;   /* SHN_UNDEF for one that is only needed here */
        bool hidden_version;/* the version is not the default one (VERSYM_HIDDEN) */
};

/*
 * Looks for a definition by name and version in the module's dynamic symbols, through its hash
 * table, with the rules of the dynamic linker (glibc elf/dl-lookup.c, check_match). `version` may
 * be NULL: then, as by dlsym(3), the base definition or the default version. In a program that is
 * not PIE, a function it only needs but whose address it takes is found too, with the section
 * SHN_UNDEF: the linker gives its PLT entry as the function's address; calls do not bind to it.
 * 0, or 1 if there is none, or negative errno (-EBADMSG: the tables are broken).
 */
int elf_image_lookup(const struct elf_memory *memory, const struct elf_image *image,
                     const char *name, const char *version, struct elf_image_symbol *ret);

enum elf_slot_kind {
        ELF_SLOT_JUMP = 1, /* R_X86_64_JUMP_SLOT: may still lead to the lazy binder */
        ELF_SLOT_DATA = 2, /* R_X86_64_GLOB_DAT: always bound */
};

/*
 * Calls `each` for every relocation of DT_JMPREL and DT_RELA that binds a named symbol in a slot
 * (JUMP_SLOT, GLOB_DAT). `each` returns true to stop. Returns 1 if it was stopped, 0 at the end,
 * negative errno.
 */
int elf_image_each_slot(const struct elf_memory *memory, const struct elf_image *image,
                        bool (*each)(void *context, const char *name, enum elf_slot_kind kind,
                                     uint64_t slot_address),
                        void *context);
/* True if the module needs a symbol of one of these names (NULL-terminated list) from outside. */
int elf_image_imports_any(const struct elf_memory *memory, const struct elf_image *image,
                          const char *const names[]);
