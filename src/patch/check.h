/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What the manifest says against what the file holds. patch_check() is all that callers need; the
 * rest is shared between check.c (the file by itself) and check-target.c (target by target).
 */
#include "patch/patch.h"

#define CHECK_MAX_SECTIONS 16384u
#define CHECK_MAX_SYMBOLS 131072u
#define CHECK_MAX_RELOCATIONS 262144u       /* of alloc sections, together */
#define CHECK_MAX_ALLOC_BYTES (16u << 20)   /* of one target */
#define CHECK_MAX_ALIGNMENT 4096u

/* patch->bytes, view, symbol_table and all that manifest_read() fills must be there. */
int patch_check(struct patch *patch, const char *file, struct error *err);

struct check {
        struct patch *patch;
        const char *file;
        struct error *err;

        struct elf_section *sections;       /* all of the file */
        size_t n_sections;
        size_t *relocations;                /* by section: its SHT_RELA, 0 if none */
        struct check_references {           /* by section: the symbols it refers to, each once */
                uint32_t *symbols;
                size_t n;
        } *references;
        struct elf_symbol *symbols;         /* all of the symbol table */
        size_t n_symbols;
        size_t *sections_by_name;           /* alloc sections only, sorted */
        size_t n_alloc;
        size_t *symbols_by_name;            /* those with a name, sorted */
        size_t n_named;

        uint8_t *listed;                    /* by section: the target at hand loads it */
        uint8_t *provided;                  /* by symbol: the target at hand has an entry for it */
};

/* The fault: "FILE can't be used: WHAT". Returns -EINVAL. */
int check_bad(const struct check *check, const char *format, ...) _printf_(2, 3);

/* The only alloc section of this name; 0 if there is none, or more than one. */
size_t check_find_section(const struct check *check, const char *name);
/* The only symbol of this name that is (or is not) defined; 0 if there is none, or more. */
size_t check_find_symbol(const struct check *check, const char *name, bool defined);

/* All of target `t` against the file; fills in its indices. */
int check_target(struct check *check, size_t t);
