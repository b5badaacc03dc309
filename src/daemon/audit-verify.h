/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* Is the audit log what was written? */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "daemon/audit-line.h"

struct audit_finding {
        char *file;             /* path */
        uint64_t line;          /* in that file, 0 for the log as a whole */
        bool harmless;          /* explained: a power loss, say; not a sign of a change */
        char *what;             /* a sentence */
};

struct audit_verdict {
        struct audit_finding *findings;
        size_t n_findings;
        bool sound;             /* no finding but harmless ones */
        bool anchored;          /* the end was held against the anchor */
        uint64_t n_entries, first_seq, last_seq;
        char log[AUDIT_ID_SIZE]; /* "" where no line tells it */
};

/*
 * Checks all files of the log at `path`; with `single` only that one, which then may begin
 * anywhere. `state_folder` is where the anchor is; NULL: don't look at it. Findings are no fault:
 * 0 is returned. Must be given to audit_verdict_done().
 */
int audit_verify(const char *path, bool single, const char *state_folder,
                 struct audit_verdict *ret, struct error *err);
void audit_verdict_done(struct audit_verdict *verdict);
