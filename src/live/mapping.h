/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Mapping and unmapping memory in a target, by calls that it makes itself. */
#include <stdint.h>
#include "base/error.h"
#include "live/target.h"

enum mapping_kind {
        MAPPING_CODE,   /* readable and executable, never writable */
        MAPPING_DATA,   /* readable and writable */
};

enum mapping_outcome {
        MAPPING_TAKEN = 8, /* apart from enum target_outcome: something else lies there by now */
};

/* One anonymous private mapping at exactly this place. */
struct mapping {
        enum mapping_kind kind;
        uint64_t address, size;     /* whole pages */
};

/*
 * Makes up to two mappings in one go. They are marked as suture's: by name where the kernel can
 * (PR_SET_VMA_ANON_NAME, Linux 5.17), else by the advice MADV_RANDOM, which nobody gives to code.
 * 0, MAPPING_TAKEN (nothing is mapped then), TARGET_GONE, TARGET_BUSY, or a fault.
 */
int mapping_make(struct target *target, const struct mapping *mappings, size_t n,
                 struct error *err);
/*
 * True if `mapping` lies there as suture made it, and not something else that the target has put
 * in its place since: anonymous, private, and marked. target->maps must be fresh.
 */
bool mapping_is_ours(const struct target *target, const struct mapping *mapping);
/* True if a region of target->maps bears the mark. */
bool mapping_is_marked(const struct target *target, const struct region *region);
/* 0 (also where nothing is mapped there), TARGET_GONE, TARGET_BUSY, or a fault. */
int mapping_remove(struct target *target, uint64_t address, uint64_t size, struct error *err);
