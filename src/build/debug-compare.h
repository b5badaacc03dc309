/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* What differs between two structures, or two signatures, for a process that knows the first. */
#include "build/debug-info.h"

struct debug_difference {
        char what[256];          /* "member limit is new" */
        uint64_t old_size, new_size;
        uint64_t first_difference; /* bytes from the start; all before it is as it was */
        /* Old members are all where they were, and new ones have been added. */
        bool only_new;
        bool virtual_functions;  /* the table of virtual functions differs (C++) */
        char new_members[160];   /* "depth, limit"; "" if there are none */
        char declaration[128];   /* a pointer to the first of them: "unsigned int *depth" */
        char first_name[64];
        uint64_t first_at, first_size; /* of the first of them, bytes */
};

/*
 * Compares two structures. False if they are laid out alike. A new name for a member does not
 * matter, unless another member has or had it, nor do signs of integers.
 */
bool debug_type_differs(Dwarf_Die *a, Dwarf_Die *b, struct debug_difference *ret);
/*
 * The same for result and parameters of two functions, as far as callers of the one can tell that
 * they call the other.
 */
bool debug_signature_differs(Dwarf_Die *a, Dwarf_Die *b, char *what, size_t what_size);
/* The types of two variables. */
bool debug_variable_differs(Dwarf_Die *a, Dwarf_Die *b);
