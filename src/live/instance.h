/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * One module of one target, and its way from unpatched to patched and back. The steps:
 *
 *   instance_open       finds the module's record and what an earlier, killed run has left
 *   instance_prepare    checks, maps and writes all that is needed; the target runs, and every
 *                       function still runs its original code
 *   instance_ranges     which code no thread may be in
 *   instance_activate   with all threads stopped: jumps, then the one write that switches
 *   instance_prove      reads back what is now in memory and runs the post hook
 *   instance_take_back  with all threads stopped: the one write that switches back, then the jumps
 *   instance_clean      removes what is in no use (after taking back, or what was left over)
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "live/bind.h"
#include "live/record.h"
#include "live/resolve.h"
#include "live/safety.h"
#include "live/target.h"
#include "patch/patch.h"

struct instance {
        struct target *target;
        uint64_t module_address;
        const struct patch *patch;           /* NULL for a rollback */
        const struct patch_target *spec;
        struct resolver *resolver;
        struct binding *binding;
        struct record record;                /* as it is, or will be, in the target */
        uint8_t before[RECORD_HEAD_SIZE];    /* its head before activation, to undo it */
        bool prepared;                       /* slot_of is complete */
        bool activated;
        bool doubtful;                       /* a thread may be in code that no slot leads to: a
                                              * killed run, or a hook that did not return */
        uint8_t **checked;                   /* bytes of each function that were verified */
        size_t *slot_of;                     /* index in the record for each function of the spec */
};

enum instance_outcome {
        INSTANCE_UNCHANGED = 16,  /* the patch is active already; apart from enum target_outcome */
};

/* Reads the record of a module; orphans of killed runs are unmapped. 0, TARGET_GONE/BUSY, fault. */
int instance_open(struct target *target, uint64_t module_address, struct instance **ret,
                  struct error *err);
struct instance *instance_free(struct instance *instance);
DEFINE_CLEANUP(struct instance *, instance_free)

bool instance_is_active(struct instance *instance);
/*
 * 0, INSTANCE_UNCHANGED, TARGET_GONE, TARGET_BUSY, or a fault; nothing runs differently after any.
 */
int instance_prepare(struct instance *instance, const struct patch *patch,
                     const struct patch_target *spec, struct error *err);
/*
 * Code that no thread may be in when the instance is activated or taken back. Appends to an array
 * (base/array.h).
 */
int instance_ranges(const struct instance *instance, struct code_range **items, size_t *n_items,
                    struct error *err);
int instance_activate(struct instance *instance, struct error *err);
int instance_prove(struct instance *instance, struct error *err);
int instance_take_back(struct instance *instance, struct error *err);
/* As instance_take_back, but to what was active before instance_activate. */
int instance_undo(struct instance *instance, struct error *err);
int instance_remove_idle_jumps(struct instance *instance, struct error *err);
/*
 * Stops the target and lets `act` (may be NULL) do its work if no thread is in the way: in the code
 * of instance_ranges() or, with `leftovers`, in a level that is in no use. 0, TARGET_GONE,
 * TARGET_BUSY, fault.
 */
int instance_act_stopped(struct instance *instance, bool leftovers,
                         int (*act)(struct instance *instance, struct error *err),
                         struct error *err);
/* Calls a hook of the patch, or one that the record names. 0, TARGET_GONE, TARGET_BUSY, fault. */
int instance_call_hook(struct instance *instance, uint64_t hook, int64_t *ret, struct error *err);
/*
 * Unmaps whatever is in no use and may be unmapped. Jumps that lead nowhere new are removed first,
 * for which the target is stopped. 0, TARGET_GONE, TARGET_BUSY (left for the next run), fault.
 */
int instance_clean(struct instance *instance, struct error *err);
