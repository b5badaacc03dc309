/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What is done to running processes on the daemon's behalf, within a job (job.h). Lines it says:
 *
 *   {"known":   {"pid", "start", "service", "main", "patches": ["A.1"]}}    from its memory
 *   {"process": {"pid", "start", "name", "unit", "container", "service", "main", "patch",
 *                "result", "pause_ns", "held_ns", "cause", "next", "exit_code"}}
 *   {"health":  {"patch", "unit", "cause"}}      a check failed: the unit's patch was taken back
 *   {"fault":   {"cause", "next", "exit_code"}}  concerns the whole run
 */
#include <stdbool.h>
#include <stddef.h>
#include "daemon/policy.h"
#include "live/live.h"
#include "patch/patch.h"

struct work {
        const struct patch *const *patches;     /* to apply */
        size_t n_patches;
        const char *const *undo;                /* ids of patches to take back */
        size_t n_undo;
        const struct policy *policy;
        bool asked;             /* by a person: all but what is excluded; else what is automatic */
        bool look;              /* tell of every patched process */
        struct live_selection selection;
        uint64_t deadline_ms;
        const char *probe;      /* see health.h */
};

/* For job_settings.run: the context is a struct work. */
void work_run(void *context);
/* "done", "unchanged", ... */
const char *work_result_word(enum live_result result);
