/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The fix, applied to a copy of the built source tree, with line numbers kept in place. */
#include "build/rebuild.h"

#define FIX_TREE "fixed"        /* below rebuilt.work */

struct applied_fix {
        struct words changed;   /* C files of the tree, relative, and what may be included by them */
        struct words others;    /* other sources, and recipes of the build */
        struct words aside;     /* files that no object is made from */
        struct words failed;    /* files where a part of the fix did not fit */
        struct words read;      /* those of `changed` that a unit of a module reads, see units.h */
        struct words copied;    /* those of `changed` that the build made copies of, also there */
        bool fuzzy;             /* it fitted only with some lines of context ignored */
};
void applied_fix_done(struct applied_fix *fix);

/*
 * Applies all fixes in their order with patch -p1. Parts that don't fit are listed, not a fault:
 * whether they matter depends on what the module is made of. Not one part fitting is a fault.
 */
int fix_apply(const struct store *store, const struct rebuilt *rebuilt, const char *const *fixes,
              size_t n_fixes, struct applied_fix *ret, struct error *err);

/* Sorts the names in `changed` by what they are for; fix_apply() did. False: memory is out. */
bool fix_sort(struct applied_fix *fix);
/* Puts those of `changed` aside that are not in `read`. */
bool fix_set_aside_unread(struct applied_fix *fix);

/* What patch(1) says, for the unit test: "patching file X", "Hunk #1 FAILED at 3." and so on. */
bool fix_read_report(const char *report, struct applied_fix *ret);
