/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * When is it safe to change code? When no thread will come back into it. All threads are stopped;
 * instruction pointers and every word of every used stack are looked at, signal frames included. A
 * word that points into code to be changed is taken for a return address unless unwinding shows
 * that it is not.
 */
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "live/target.h"

struct code_range {
        uint64_t start, end;
        /*
         * Addresses that are harmless although they lie in the range: where execution may begin
         * anew (a function's entry, and the place of its jump).
         */
        uint64_t harmless[2];
        const char *name;           /* for the message */
};

/*
 * `target` is stopped. 0: safe. TARGET_BUSY: target->busy names thread, function and since when.
 * TARGET_GONE, or a fault.
 */
int safety_check(struct target *target, const struct code_range *ranges, size_t n_ranges,
                 struct error *err);

/* The same for one stopped thread alone. */
int safety_check_thread(struct target *target, const struct tracee *tracee,
                        const struct code_range *ranges, size_t n_ranges, struct error *err);

/*
 * Looks, while the target runs, whether it keeps stacks besides those of its threads (ucontext,
 * coroutines): sets target->further_stacks. 0, TARGET_GONE, fault.
 */
int safety_find_further_stacks(struct target *target, struct error *err);
