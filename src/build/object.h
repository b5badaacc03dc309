/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * An object file, cut into atoms: the smallest parts that are compared, taken along or referred to.
 * An atom is a function, a variable, a constant without a name, one string of a section of
 * mergeable strings. Its references are its relocations, each resolved to the atom that is meant,
 * whatever way the assembler wrote it.
 */
#include "base/buffer.h"
#include "base/error.h"
#include "build/code.h"
#include "elf/view.h"

enum atom_kind {
        ATOM_CODE = 1,
        ATOM_CONSTANT,   /* read-only, also what is so after relocation (.data.rel.ro) */
        ATOM_DATA,
        ATOM_BSS,
        ATOM_THREAD,     /* thread-local */
        ATOM_SETUP,      /* .init_array and its kind: pointers that are used once */
        ATOM_NOTE,       /* .suture.*: what suture/patch.h declares */
};

struct object;

struct atom {
        struct object *object;
        const struct elf_section *section; /* NULL for a common variable */
        uint64_t start, size;    /* in the section */
        enum atom_kind kind;
        const char *name;        /* NULL: none, or one that the compiler numbers (.LC7) */
        char *base;              /* the name without the compiler's numbers: "x", "f.isra" */
        bool numbered;           /* there were some */
        bool global;             /* known to other units by its name */
        bool hidden;             /* but not to other modules */
        bool indirect;           /* IFUNC */
        bool shared_section;     /* code that has no section of its own */
        bool tied;               /* to another function by a branch too short to lead elsewhere */
        bool unwind;             /* unwind information, see unwind-info.h */
        struct reference *references;
        size_t n_references;
        struct atom *parent;     /* of NAME.cold: the function */
        struct atom *cold;       /* of a function: NAME.cold */

        /* match.h, compare.h */
        struct atom *twin;       /* the same thing in the other object */
        bool differs;            /* from its twin, in meaning */
        /* extract.h */
        bool taken;              /* becomes part of the patch */
        const char *why;
        /* shipped.h, for atoms of the original */
        bool sought, found;
        uint64_t address;        /* in the shipped module */
        uint64_t shipped_size;
};

struct reference {
        uint64_t offset;         /* of the field, from the atom's start */
        uint32_t type;           /* R_X86_64_* */
        int64_t addend;          /* as in the file */
        uint8_t bias;            /* of relative fields: from there to the instruction's end */
        enum code_use use;
        uint8_t access_size;     /* of CODE_USE_MEMORY: bytes, 0 if not known */
        struct atom *target;     /* NULL if the symbol is not defined in the object */
        int64_t delta;           /* what is meant, from the start of the target or the symbol */
        const char *symbol;      /* name of the symbol, "" for a section */
        bool symbol_global;      /* others may know it by this name */
        bool symbol_hidden;      /* but not other modules */
        bool symbol_indirect;    /* IFUNC: what its resolver chose is meant */
};

struct object {
        struct buffer bytes;
        struct elf_view view;
        const char *path, *unit;
        struct elf_section *sections;    /* by index; index 0 and broken ones have no name */
        struct elf_section symbol_table;
        struct elf_symbol *symbols;
        size_t n_symbols;
        struct atom *atoms;              /* by section, then by start */
        size_t n_atoms;
        size_t *first_atom;              /* by section index: its first atom */
        struct reference *references;
        size_t n_references;
        bool has_code;                   /* any executable section that isn't empty */
        bool link_time;                  /* holds the compiler's intermediate code */
        bool handmade;                   /* no file: stands in for an original (handmade.h) */
};

int object_open(const char *path, const char *unit, struct object **ret, struct error *err);
struct object *object_free(struct object *object);
DEFINE_CLEANUP(struct object *, object_free)

/* The bytes of an atom; NULL for bss and common. */
const uint8_t *atom_data(const struct atom *atom);
uint64_t atom_alignment(const struct atom *atom);
/* A name for messages: that of the atom or its section. */
const char *atom_label(const struct atom *atom);
/* The atom that holds [offset] of a section; the end of a section belongs to its last atom. */
struct atom *object_atom_at(const struct object *object, size_t section, uint64_t offset);
struct atom *object_find(const struct object *object, const char *name, bool global_only);

/* How many bytes a relocation changes; 0 if the type is not one that suture knows. */
size_t relocation_size(uint32_t type);
bool relocation_is_relative(uint32_t type);
/* Through an entry of the global offset table. */
bool relocation_is_slot(uint32_t type);
bool relocation_is_thread(uint32_t type);

/* The name without numbers that the compiler added; allocated. NULL when memory is out. */
char *object_base_name(const char *name, bool *ret_numbered);

/* --- For the parts that an object is read by --- */

/* What a section holds; 0 for one that does not count. */
enum atom_kind object_section_kind(const struct elf_section *section);
/* A fault: `what` is wrong with the object. */
int object_is_bad(const struct object *object, struct error *err, const char *what);
