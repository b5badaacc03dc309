/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What the administrator wants: /etc/suture/suture.conf (suture.conf(5)), and the decision for one
 * patch and one process, which is a pure function of that file and the facts.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "patch/patch.h"

#define POLICY_PATH "/etc/suture/suture.conf"
#define POLICY_MAX_BYTES (1u << 20)

enum policy_mode {
        POLICY_AUTOMATIC = 0,   /* apply, and to every process that starts */
        POLICY_ASK,             /* offer it; a person applies it */
        POLICY_HOLD,            /* do nothing until the policy changes */
        POLICY_EXCLUDED,        /* never touch this process */
};
const char *policy_mode_name(enum policy_mode mode);

enum policy_severity {
        POLICY_SEVERITY_UNKNOWN = 0,
        POLICY_LOW,
        POLICY_MEDIUM,
        POLICY_HIGH,
        POLICY_CRITICAL,
};

struct policy_list {
        char **items;
        size_t n_items;
};

/* [Rule NAME] and [Exclude NAME]: all that is given must match, of a list any. */
struct policy_rule {
        char *name;
        size_t line;
        bool exclude;
        struct policy_list units, paths, containers, cves, patches; /* globs */
        enum policy_severity min_severity;
        enum patch_reach reach;         /* UNKNOWN: any */
        bool has_mode, has_budget;
        enum policy_mode mode;
        uint32_t pause_budget_ms;
};

enum policy_health_kind {
        POLICY_HEALTH_COMMAND = 0,
        POLICY_HEALTH_HTTP,
        POLICY_HEALTH_TCP,
};

/* [Health NAME] */
struct policy_health {
        char *name;
        size_t line;
        struct policy_list units;       /* globs */
        bool has_check;
        enum policy_health_kind kind;
        char *check;                    /* a command line, a URL, or HOST:PORT */
        uint32_t timeout_ms, watch_ms, interval_ms;
};

struct policy {
        enum policy_mode mode;
        uint32_t pause_budget_ms;       /* 0: no limit */
        uint32_t crash_deaths, crash_within_ms; /* crash guard; 0 deaths: off */
        char *audit_path;
        uint64_t audit_max_bytes;       /* 0: one file */
        bool journal;
        struct policy_rule *rules;      /* in the order of the file */
        size_t n_rules;
        struct policy_health *health;
        size_t n_health;
};

/* The policy without a file. NULL when memory is out. */
struct policy *policy_new(void);
/*
 * Faults (EXIT_CODE_ERROR) say "FILE:LINE:COLUMN: ..." with the word in question, and what is
 * allowed as the next step. A file that others than root (or the caller) may write is refused;
 * one that is not there gives the policy without a file if `may_be_missing`.
 */
int policy_load(const char *path, bool may_be_missing, struct policy **ret, struct error *err);
int policy_parse(const char *text, size_t size, const char *name, struct policy **ret,
                 struct error *err);
struct policy *policy_free(struct policy *policy);
DEFINE_CLEANUP(struct policy *, policy_free)

struct policy_cve {
        const char *id;
        enum patch_reach reach;
        enum policy_severity severity;
};

struct policy_facts {
        const char *patch;              /* its id */
        const struct policy_cve *cves;
        size_t n_cves;
        const char *unit, *path, *container; /* "" for none; as in struct process */
};

struct policy_decision {
        enum policy_mode mode;
        uint32_t pause_budget_ms;
        const struct policy_rule *rule; /* that decided; NULL: the defaults */
};

/*
 * An exclusion decides before all rules. Then the first rule that matches and has a mode decides
 * the mode, and the first that matches and has a budget decides that; else the defaults.
 */
struct policy_decision policy_decide(const struct policy *policy, const struct policy_facts *facts);
/* The health checks of a unit: calls `each` in the order of the file. Returns how many. */
size_t policy_health_for(const struct policy *policy, const char *unit,
                         void (*each)(void *context, const struct policy_health *health),
                         void *context);
