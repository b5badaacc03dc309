/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Structures, signatures, variables and enumerations of an object file, by its DWARF information (read with libdw,
 * which carries out the relocations of an object that was not linked).
 */
#include <stdbool.h>
#include <stdint.h>
#include <elfutils/libdwfl.h>
#include "base/error.h"

/* A structure or union with a name, or one that a typedef names. */
struct debug_type {
        char *name;              /* "struct conn", "union value", "conn_t" */
        Dwarf_Die die;
};

struct debug_named {
        const char *name;
        Dwarf_Die die;
};

/* A variable within a function that has an address of its own. */
struct debug_local {
        const char *symbol;      /* "count.3" */
        const char *function;    /* as the linker knows it; where it was written, if it is inlined */
        Dwarf_Die die;
};

/* A number that an enumeration gives a name to. */
struct debug_enumerator {
        char *name;
        Dwarf_Off enumeration;
        int64_t number;
        bool is_largest;         /* of its enumeration: it moves when others are added */
};

struct debug_info {
        Dwfl *dwfl;
        Dwfl_Module *module;
        Dwarf_Addr bias;
        struct debug_type *types;         /* by name */
        size_t n_types;
        struct debug_named *functions;    /* defined ones, by name; one name may come twice */
        size_t n_functions;
        struct debug_named *variables;    /* outside of functions, by name */
        size_t n_variables;
        struct debug_local *locals;       /* by symbol; one may come several times */
        size_t n_locals;
        struct debug_enumerator *enumerators; /* by name */
        size_t n_enumerators;
};

enum debug_info_outcome {
        DEBUG_INFO_NONE = 1,
};
/* 0, DEBUG_INFO_NONE (nothing that can be read), or no memory. */
int debug_info_open(const char *path, struct debug_info *ret, struct error *err);
void debug_info_done(struct debug_info *info);

bool debug_has_flag(Dwarf_Die *die, unsigned int name);
bool debug_is_structure(int tag);
/* The type of a variable, member, parameter, or what a pointer points to. False: void. */
bool debug_type_of(Dwarf_Die *die, Dwarf_Die *ret);
/* Without typedef, const and their kind; with `pointers` also what they and arrays lead to. */
bool debug_strip(Dwarf_Die *type, bool pointers, Dwarf_Die *ret);
/* True if a variable, parameter or result of the function is of that type, or leads to it. */
bool debug_function_mentions(const struct debug_info *info, const char *name, Dwarf_Die *type);
