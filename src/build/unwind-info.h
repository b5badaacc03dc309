/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What tells a runtime how to unwind through a function: of an object file's .eh_frame the entries
 * (FDE) of single functions with what they share (CIE), and of its .gcc_except_table the tables
 * of single functions (LSDA) that say where exceptions are caught and what is cleaned up.
 * Layouts: Linux Standard Base 5.0, Core, 10.6 "Exception Frames".
 */
#include "build/object.h"

struct extraction;

/* All parts are atoms of kind ATOM_CONSTANT, but none of the object's list of atoms. */
struct unwind_entry {
        struct atom atom;        /* the FDE; its references are where the code is, and the LSDA */
        struct atom *code;       /* NULL: not of a function that is known */
        size_t common;           /* the CIE, an index */
        struct atom *table;      /* the LSDA; NULL: none */
};

/* Where in the object a reference leads; section 0: its symbol is not defined there. */
struct unwind_place {
        size_t section;
        uint64_t offset;
};

struct unwind_info {
        struct object *object;
        struct atom *commons;
        size_t n_commons;
        struct unwind_entry *entries;
        size_t n_entries;
        struct atom *tables;
        size_t n_tables;
        struct reference *references;
        struct unwind_place *places; /* for each of them */
        size_t n_references;
        const char *problem;     /* why nothing of it can be used; NULL: all is well */
};

/* An object without unwind information, or with one that makes no sense, is no fault. */
int unwind_info_read(struct object *object, struct unwind_info **ret, struct error *err);
struct unwind_info *unwind_info_free(struct unwind_info *info);
DEFINE_CLEANUP(struct unwind_info *, unwind_info_free)

/* Adds to the patch what belongs to `code`, a taken atom. Findings are reported. */
int unwind_info_take(struct extraction *extraction, struct atom *code, struct error *err);

/* The CIE of a taken FDE; NULL for what is none. */
const struct atom *unwind_info_common(const struct extraction *extraction,
                                      const struct atom *part);
