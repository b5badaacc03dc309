/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The way to sutured, and to its store where it does not run. SUTURE_SOCKET and SUTURE_STORE in the
 * environment name others than the machine's own.
 */
#include <jansson.h>
#include "cli/options.h"
#include "daemon/patch-store.h"
#include "live/live.h"

enum link_outcome {
        LINK_ABSENT = 1,        /* sutured does not run; for the store: there is none here */
};

const char *link_socket(void);
const char *link_store(void);

/*
 * Lets sutured apply the patch to all processes, and keep it. The results are put into the plan,
 * which must be one for all processes. 0, LINK_ABSENT (nothing was done), or negative.
 */
int link_apply(const struct patch *patch, struct live_plan *plan, uint64_t deadline_ms,
               struct error *err);
/* Puts the patch into the store; for when sutured does not run. 0, LINK_ABSENT, or negative. */
int link_keep(const struct patch *patch, struct error *err);
/* The same for taking back: `name` is no longer kept, and no process has it. */
int link_rollback(const char *name, struct live_plan *plan, uint64_t deadline_ms,
                  struct error *err);
/*
 * No longer kept, by sutured or in the store; running processes stay as they are. `name` may have
 * the level. 0: it is kept no longer; LINK_ABSENT: it was not; or negative.
 */
int link_forget(const char *name, struct error *err);

/* What sutured says of itself, or NULL: it does not run, or does not answer at once. */
json_t *link_status(bool *ret_hangs);
