/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Structures and function signatures of an object file, by its DWARF information (read with libdw,
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

struct debug_function {
        const char *name;
        Dwarf_Die die;
};

struct debug_info {
        Dwfl *dwfl;
        struct debug_type *types;         /* by name */
        size_t n_types;
        struct debug_function *functions; /* with external linkage, by name */
        size_t n_functions;
};

enum debug_info_outcome {
        DEBUG_INFO_NONE = 1,
};
/* 0, DEBUG_INFO_NONE (nothing that can be read), or no memory. */
int debug_info_open(const char *path, struct debug_info *ret, struct error *err);
void debug_info_done(struct debug_info *info);

/*
 * Compares two structures. False if they are laid out alike; names of members don't matter. Else
 * `what` says what differs: "member limit: ...".
 */
bool debug_type_differs(Dwarf_Die *a, Dwarf_Die *b, char *what, size_t what_size);
/* The same for result and parameters of two functions. */
bool debug_signature_differs(Dwarf_Die *a, Dwarf_Die *b, char *what, size_t what_size);
