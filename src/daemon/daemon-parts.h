/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* What the files daemon*.c have in common. */
#include <stdbool.h>
#include <stdint.h>
#include "daemon/audit-log.h"
#include "daemon/crash-guard.h"
#include "daemon/daemon.h"
#include "daemon/guard.h"
#include "daemon/lives.h"
#include "daemon/patch-store.h"
#include "daemon/policy.h"
#include "daemon/sandbox.h"
#include "daemon/varlink.h"
#include "daemon/work.h"

#define DAEMON_TASKS_MAX 64
#define DAEMON_WATCHERS_MAX 16

/* A guard with the patches it was started with, which must live as long as it. */
struct guard_set {
        struct guard *guard;            /* NULL: there is nothing to watch */
        struct patch **patches;
        size_t n_patches;
        bool ready, fallback;
        uint64_t opened_ns;
};

enum task_kind {
        TASK_SCAN = 1,          /* what is automatic, to every process; and look at all */
        TASK_APPLY,             /* one patch, as somebody asked for */
        TASK_UNDO,              /* one patch out of all processes */
};

/* Work on processes: waits in the queue, then is a job, then is answered. */
struct task {
        enum task_kind kind;
        struct daemon *daemon;
        struct job *job;                /* NULL: still in the queue */
        struct patch *patch;            /* APPLY */
        char id[PATCH_NAME_SIZE];       /* UNDO */
        uint64_t deadline_ms;
        uint64_t connection;            /* who waits for the answer; 0: nobody */
        uid_t uid;
        pid_t pid;
        json_t *items, *faults;
        bool stored;
        bool failed;                    /* a health check spoke against it; it takes back itself */
        bool broken_off;
};

/* A patch file that is being read by the process without privileges. */
struct upload {
        struct daemon *daemon;
        struct sandbox *sandbox;
        struct sha256 digest;
        bool once, hold, force;
        uint64_t deadline_ms, connection;
        uid_t uid;
        pid_t pid;
};

struct watcher {
        uint64_t connection;
};

struct daemon {
        struct daemon_settings settings;
        int state_folder, signals;
        struct patch_store *store;
        struct policy *policy;
        char *policy_fault;             /* of the last reload, or NULL */
        struct audit_log *audit;
        struct crash_guard *crash;
        bool crash_changed;
        struct lives *lives;
        struct varlink *varlink;
        struct guard_set guard, next;   /* next: takes over when it is ready */
        bool swapping;                  /* there is a next */
        bool swap_again;                /* the store changed meanwhile */
        char (*undone)[PATCH_NAME_SIZE]; /* taken out of the store while the old guard watched */
        size_t n_undone;
        struct task *tasks[DAEMON_TASKS_MAX];
        struct upload *uploads[DAEMON_TASKS_MAX];
        struct watcher watchers[DAEMON_WATCHERS_MAX];
        bool scan_wanted, looked, ready_said, ending;
        uint64_t started_ns, last_scan_ns, last_save_ns, last_watchdog_ns, watchdog_ns;
        uint64_t n_started, n_late, n_failed, n_lost;   /* programs, since the daemon began */
};

/* --- daemon.c ---------------------------------------------------------------------------- */

/* Into the audit log, the journal, to whoever watches. `fields` is taken over. */
void daemon_tell(struct daemon *daemon, const char *event, uid_t uid, pid_t pid, json_t *fields);
int daemon_reload(struct daemon *daemon, struct error *err);

/* --- daemon-guard.c ---------------------------------------------------------------------- */

/* The store or the policy changed: a new guard takes over from the old one, without a gap. */
void daemon_guard_renew(struct daemon *daemon);
/* This id is to be taken out of processes once more when the next guard has taken over. */
void daemon_undone(struct daemon *daemon, const char *id);
void daemon_guard_step(struct daemon *daemon);
void daemon_guard_end(struct daemon *daemon);
/* A patched process. `all`: it has no patches but these. */
void daemon_know(struct daemon *daemon, const struct life *life, bool all);
/* For lives_open(). */
void daemon_life_ended(void *context, const struct life_end *end);
/* It did harm: out of the store's enabled ones and out of all processes. */
void daemon_quarantine(struct daemon *daemon, const char *patch, const char *reason,
                       const char *by);

/* --- daemon-tasks.c ---------------------------------------------------------------------- */

/* Takes the task over (its kind and what it needs are filled in). -EAGAIN: there are too many. */
int daemon_task_add(struct daemon *daemon, const struct task *task);
/*
 * The patch is no longer enabled: work that began when it was is broken off (which harms no process),
 * and what else it had to do is begun anew.
 */
void daemon_tasks_break_off(struct daemon *daemon, const char *id);
void daemon_tasks_step(struct daemon *daemon);
void daemon_tasks_end(struct daemon *daemon);
/* The enabled patches of the store that no other supersedes; the caller frees the array. */
const struct patch **daemon_enabled(const struct daemon *daemon, size_t *ret_n);

/* --- daemon-interface.c ------------------------------------------------------------------ */

void daemon_call(void *context, struct varlink_call *call); /* a varlink_handler */
void daemon_uploads_step(struct daemon *daemon);
void daemon_uploads_end(struct daemon *daemon);
void daemon_answer_task(struct daemon *daemon, struct task *task);
