/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * An ELF file whose bytes nobody vouches for, seen through bounded cursors. The view copies
 * nothing: it points into `data`, which must outlive it. Only 64-bit little-endian files are
 * taken (System V gABI; x86-64 psABI); any other is refused with a sentence that says which kind
 * it is. All tables (sections, segments) are checked to lie within the file when it is opened;
 * symbols and relocations are checked one by one as they are read.
 */
#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "elf/build-id.h"

struct elf_view {
        const uint8_t *data;
        size_t size;
        Elf64_Ehdr header;
        size_t n_sections;  /* 0 where the file has no section table */
        size_t n_segments;
        size_t names_section;     /* string table of the section names; 0: none */
        const char *names;        /* that, NULL if there is none or it is malformed */
        size_t names_size;
        size_t extended_section;  /* the first SHT_SYMTAB_SHNDX; 0: none */
};

struct elf_section {
        size_t index;
        const char *name;      /* "" where the file has no names */
        uint32_t type;         /* SHT_* */
        uint64_t flags;        /* SHF_* */
        uint64_t address;
        uint64_t size;         /* in memory; the bytes in the file are `data`, if not NOBITS */
        const uint8_t *data;   /* NULL for SHT_NOBITS and SHT_NULL */
        uint32_t link;
        uint32_t info;
        uint64_t alignment;    /* a power of two, at least 1 */
        uint64_t entry_size;
};

struct elf_symbol {
        size_t index;
        const char *name;
        uint64_t value;
        uint64_t size;
        uint32_t section;      /* index (SHN_XINDEX resolved), or SHN_UNDEF, SHN_ABS, ... */
        uint8_t bind;          /* STB_* */
        uint8_t type;          /* STT_* */
        uint8_t visibility;    /* STV_* */
};

struct elf_relocation {
        uint64_t offset;
        uint32_t type;         /* R_X86_64_* and their kind */
        uint32_t symbol;       /* index in the linked symbol table; checked to exist */
        int64_t addend;
};

/* `name` is what messages call the file. */
int elf_view_open(const void *data, size_t size, const char *name, struct elf_view *ret,
                  struct error *err);

/* False if there is no such section or it was found broken (name or bytes outside the file). */
bool elf_view_section(const struct elf_view *view, size_t index, struct elf_section *ret);
bool elf_view_find_section(const struct elf_view *view, const char *name, struct elf_section *ret);
/* The first section of a type (SHT_SYMTAB, SHT_DYNSYM, ...). */
bool elf_view_find_section_type(const struct elf_view *view, uint32_t type,
                                struct elf_section *ret);

/* Program headers: false past the end. The bytes in the file are not checked by this. */
bool elf_view_segment(const struct elf_view *view, size_t index, Elf64_Phdr *ret);
/* The bytes of the file that stand at a virtual address, by PT_LOAD; NULL if not all in one. */
const uint8_t *elf_view_at_address(const struct elf_view *view, uint64_t address, uint64_t size);

/* `table` is a SHT_SYMTAB or SHT_DYNSYM section. */
size_t elf_view_symbol_count(const struct elf_section *table);
bool elf_view_symbol(const struct elf_view *view, const struct elf_section *table, size_t index,
                     struct elf_symbol *ret);

/* `table` is a SHT_RELA section; its symbols are looked for in the section it links to. */
size_t elf_view_relocation_count(const struct elf_section *table);
bool elf_view_relocation(const struct elf_view *view, const struct elf_section *table,
                         size_t index, struct elf_relocation *ret);
/* The SHT_RELA section that applies to section `index`; false if it has none. */
bool elf_view_relocations_of(const struct elf_view *view, size_t index, struct elf_section *ret);

/* From PT_NOTE segments, else from SHT_NOTE sections. False if there is none. */
bool elf_view_build_id(const struct elf_view *view, struct build_id *ret);
