/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* A fix that is given as the fixed source: what differs, as a patch. */
#include "build/rebuild.h"

struct difference {
        char *patch;             /* path of the patch file, on the host, in the store's temporary */
        struct words set_aside;  /* other files that differ: no object is made from them */
        struct words removed;    /* C files that the fixed source does not have */
};
void difference_done(struct difference *difference);

/*
 * Compares the source that was rebuilt, as it is unpacked, with another one: a source package or a
 * tree (`fixed->tree` set). Build products in either tree don't matter. No difference in code is a
 * fault.
 */
int difference_make(const struct store *store, const struct rebuilt *rebuilt,
                    const struct source_package *original, const struct source_package *fixed,
                    struct difference *ret, struct error *err);
