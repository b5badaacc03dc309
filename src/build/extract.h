/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What becomes the patch for one module: the changed functions, all they drag in, and where each
 * of their references leads.
 */
#include "build/object.h"
#include "build/objects.h"
#include "build/shipped.h"

/* A symbol of the target that the new code needs. */
struct outside {
        char *name;              /* unique in this extraction */
        enum patch_symbol_kind kind;
        uint64_t address;
        const char *lookup;      /* of the dynamic symbol */
        char *version;
};

enum link_kind {
        LINK_ATOM = 1,           /* to something of the patch */
        LINK_OUTSIDE,            /* to a symbol of the target */
        LINK_VALUE,              /* a number that is known already */
};

/* A reference of a taken atom, bound. */
struct link {
        struct atom *from;
        const struct reference *reference;
        enum link_kind kind;
        uint32_t type;           /* of the relocation to write */
        struct atom *atom;
        size_t outside;          /* index */
        int64_t delta;
        uint64_t value;
        bool rewritten;          /* the access to the thread-local variable takes another form */
};

struct replaced {
        struct atom *original, *fixed;
        enum patch_consistency consistency;
};

enum { HOOK_PRE, HOOK_POST, HOOK_UNDO, N_HOOKS };

struct extraction {
        const struct objects_target *target;
        size_t target_index;
        struct shipped *shipped;
        struct object **originals, **fixed;
        size_t n_units;
        struct replaced *replaced;
        size_t n_replaced;
        struct atom **taken;     /* in the order they were found */
        size_t n_taken;
        struct link *links;
        size_t n_links;
        struct outside *outsides;
        size_t n_outsides;
        struct atom *hooks[N_HOOKS];
        struct unwind_info **unwind_infos;   /* of the objects that were asked for it */
        size_t n_unwind_infos;
        struct atom **unwind_parts; /* for .eh_frame: each common part before what belongs to it */
        size_t n_unwind_parts;
        bool pinned;
        struct objects_report *report;
};

/* Opens and compares everything, then extracts. Findings go to `report`. */
int extraction_new(const struct objects_target *target, size_t target_index,
                   struct objects_report *report, struct extraction **ret, struct error *err);
struct extraction *extraction_free(struct extraction *extraction);
DEFINE_CLEANUP(struct extraction *, extraction_free)

/* Adds a finding; `where` may be NULL. False only when memory is out. */
bool report_finding(struct objects_report *report, const char *code, bool fatal, const char *where,
                    const char *format, ...) _printf_(5, 6);
/* The first fatal finding; NULL if there is none. */
const struct build_finding *report_fatal(const struct objects_report *report);
