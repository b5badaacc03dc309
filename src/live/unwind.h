/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Unwinding a stopped thread with libdw, to tell real return addresses from stale words. Modules
 * are opened through /proc/PID/map_files, that is, as they are mapped, whatever lies at their path.
 */
#include <stddef.h>
#include <stdint.h>
#include "live/target.h"

#define UNWIND_MAX_FRAMES 1024

enum unwind_outcome {
        UNWIND_INCOMPLETE = 1,  /* the end of the stack was not reached: nothing is proven */
};
/* Opens the modules of a target while it runs: some milliseconds. NULL: out of memory. */
struct unwinder *unwinder_new(struct target *target);
/*
 * The program counters of all frames; 0 only if the outermost frame was reached. Where the target
 * has no unwinder yet this is UNWIND_INCOMPLETE, and target->wants_unwinder is set.
 */
int unwind_thread(struct target *target, const struct tracee *tracee,
                  uint64_t frames[static UNWIND_MAX_FRAMES], size_t *ret_n);
struct unwinder *unwinder_free(struct unwinder *unwinder);
DEFINE_CLEANUP(struct unwinder *, unwinder_free)
