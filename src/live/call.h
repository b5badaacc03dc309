/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Calls made by the target itself: lists of system calls (to map and unmap memory), and functions
 * of the patch (hooks). One thread is held for some hundred microseconds while the others run;
 * from the moment it is started it needs nobody, so that the death of suture at any point leaves
 * it whole (live/arch: self-returning calls).
 */
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "live/arch/arch.h"
#include "live/target.h"

/* Puts the stub in its place if it is not there yet: target->stub. 0, TARGET_GONE, fault. */
int target_place_stub(struct target *target, struct error *err);
/*
 * Makes the calls in order on one thread; results as the kernel returns them (negative errno).
 * 0: all were made. TARGET_GONE; TARGET_BUSY (no thread could be used, target->busy says why;
 * calls up to *ret_done were made); or a fault.
 */
int target_call(struct target *target, const struct arch_call *calls, size_t n_calls,
                int64_t *results, size_t *ret_done, struct error *err);
/*
 * Calls int64_t function(uint64_t argument) on one thread, like a signal handler: the other
 * threads run, and this one may be anywhere. `stub` is where arch_function_stub has been written.
 */
int target_call_function(struct target *target, uint64_t stub, uint64_t function,
                         uint64_t argument, int64_t *ret, struct error *err);

/* Which thread may be used for a function call. */
struct code_range;
struct call_terms {
        const struct code_range *avoid; /* it must not be in this code, nor come back to it */
        size_t n_avoid;
        bool waiting;               /* it waits in the kernel, and so is in no allocator */
        uint64_t wait_ns;           /* for the function; then a thread that does no more than wait
                                     * for a lock is taken back out of it: TARGET_BUSY */
        unsigned rounds;            /* over all threads, before it is TARGET_BUSY */
};
/* target_call_function on a thread that fits `terms`. */
int target_call_function_if(struct target *target, const struct call_terms *terms, uint64_t stub,
                            uint64_t function, uint64_t argument, int64_t *ret,
                            struct error *err);

/* What a system call's negative result means for the user: fills err with a sentence. */
int target_call_failed(const struct target *target, const char *what, int64_t result,
                       struct error *err);
