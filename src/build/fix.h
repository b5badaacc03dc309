/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* The fix, applied to a copy of the built source tree, with line numbers kept in place. */
#include "build/rebuild.h"

#define FIX_TREE "fixed"        /* below rebuilt.work */

struct applied_fix {
        struct words changed;   /* files of the tree, relative, that exist after the fix */
        struct words failed;    /* files where a part of the fix did not fit */
        bool fuzzy;             /* it fitted only with some lines of context ignored */
};
void applied_fix_done(struct applied_fix *fix);

/*
 * Applies all fixes in their order with patch -p1. Parts that don't fit are listed, not a fault:
 * whether they matter depends on what the module is made of. Not one part fitting is a fault.
 */
int fix_apply(const struct store *store, const struct rebuilt *rebuilt, const char *const *fixes,
              size_t n_fixes, struct applied_fix *ret, struct error *err);

/* What patch(1) says, for the unit test: "patching file X", "Hunk #1 FAILED at 3." and so on. */
bool fix_read_report(const char *report, struct applied_fix *ret);
