/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The audit log: /var/log/suture/audit.jsonl, append-only lines of JSON, each with the SHA-256 of
 * the one before (audit-line.h; files and anchor: audit-parts.h). Several processes may write; each
 * entry is appended under a lock, synced, and anchored before audit_log_append() returns.
 *
 * What it shows: a line that was changed, removed, inserted or moved, and lines missing at the end.
 * What it can't: somebody who may write both the log and the anchor, and writes both anew. The
 * journal gets the hash of every entry, and can be sent to another host.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"

#define AUDIT_LOG_PATH "/var/log/suture/audit.jsonl"
#define AUDIT_STATE_PATH "/var/lib/suture" /* where the anchor is */

struct audit_log_options {
        const char *path, *state_folder;
        uint64_t max_bytes;     /* a new file is begun above that; 0: never */
        const char *journal;    /* socket of journald, or NULL for none */
};

struct audit_log;

/* Makes the folders. Nothing is written yet; the first entry repairs and says what it found. */
int audit_log_open(const struct audit_log_options *options, struct audit_log **ret,
                   struct error *err);
struct audit_log *audit_log_close(struct audit_log *log);
DEFINE_CLEANUP(struct audit_log *, audit_log_close)

/*
 * Appends one entry. `fields` is an object (taken over, freed in every case) or NULL; uid and pid
 * are who wanted it. May wait for the disk and for another writer. On a fault the entry may be in
 * the log or not, but never in part: a rest is closed by the next entry, which says so.
 */
int audit_log_append(struct audit_log *log, const char *event, uid_t uid, pid_t pid,
                     json_t *fields, struct error *err);
