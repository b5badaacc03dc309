/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Where in a target's address space new code may lie: within reach of the module it belongs to. */
#include <stdint.h>
#include "base/error.h"
#include "proc/maps.h"

/* What has to be near what. */
struct place_wish {
        uint64_t size;              /* bytes */
        uint64_t near_start, near_end; /* every byte of it must reach every byte of this range */
        bool low;                   /* below 2 GiB, for absolute 32-bit addresses */
};

enum place_outcome {
        PLACE_NONE = 1,
};
/*
 * A hole of the address space, page-aligned, with an unmapped page on both sides, so that the new
 * mapping never merges with another. Chooses the nearest, at the upper end of the hole: there
 * neither the heap nor the stack grows. 0 or PLACE_NONE.
 */
int place_find(const struct maps *maps, const struct place_wish *wish, uint64_t *ret);
