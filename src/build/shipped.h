/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The module as it was shipped: its bytes, its dynamic symbols, the slots through which it
 * reaches others. The names of its own functions and variables come from an unstripped file that
 * was proven to be equal.
 */
#include "base/buffer.h"
#include "base/error.h"
#include "build/objects.h"
#include "elf/view.h"

struct shipped_symbol {
        const char *name;
        const char *file;        /* of a local one: the source file's name, else NULL */
        uint64_t address;        /* in the module; of a thread-local one: offset in its block */
        uint64_t size;
        uint8_t type, bind;
};

struct shipped_slot {
        const char *name;        /* "" for those without a symbol */
        uint64_t address;
        uint32_t type;           /* R_X86_64_JUMP_SLOT, GLOB_DAT, COPY, TPOFF64, DTPMOD64, ... */
        int64_t addend;
};

/* A symbol that the module gives to others, or wants of them. */
struct shipped_dynamic {
        const char *name;
        bool defined;
        uint64_t address;        /* undefined function of a program: its canonical PLT entry */
        uint8_t type;
        const char *version;     /* NULL: none */
};

struct shipped {
        struct buffer bytes, symbol_bytes;
        struct elf_view view, symbol_view; /* may be the same */
        struct build_id build_id;
        const char *module;      /* soname, or the file's name */
        bool is_program;         /* has an interpreter or a fixed place: not interposable */
        bool symbolic;           /* DT_SYMBOLIC */
        uint64_t thread_size, thread_alignment; /* of the thread-local block */
        struct shipped_symbol *symbols;  /* by name */
        size_t n_symbols;
        bool only_dynamic;       /* the names of static functions are not known */
        struct shipped_slot *slots;
        size_t n_slots;
        struct shipped_dynamic *dynamics; /* by name */
        size_t n_dynamics;
        const char **needed;
        size_t n_needed;
};

int shipped_open(const struct objects_target *target, struct shipped **ret, struct error *err);
struct shipped *shipped_free(struct shipped *shipped);
DEFINE_CLEANUP(struct shipped *, shipped_free)

/* The symbols of this name: `*ret_n` of them, one behind the other; NULL if there is none. */
const struct shipped_symbol *shipped_find(const struct shipped *shipped, const char *name,
                                          size_t *ret_n);
const struct shipped_dynamic *shipped_find_dynamic(const struct shipped *shipped,
                                                   const char *name);
/* A slot of this name and of one of the types; NULL if there is none. */
const struct shipped_slot *shipped_find_slot(const struct shipped *shipped, const char *name,
                                             uint32_t type, uint32_t other_type);
/* Bytes of the module at a virtual address; NULL if they aren't all in the file. */
const uint8_t *shipped_at(const struct shipped *shipped, uint64_t address, uint64_t size);
/* The next function behind an address, or the end of the code section it is in. */
uint64_t shipped_next_code(const struct shipped *shipped, uint64_t address);

/*
 * Dynamic symbols of any module: used for the fixed module and for libraries. `path` is for
 * messages. False if it is no dynamic module.
 */
bool shipped_read_dynamics(const struct elf_view *view, struct shipped_dynamic **ret,
                           size_t *ret_n);
