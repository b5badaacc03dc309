/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* A process as the policy and the crash guard see it: which service it is of, what it may get. */
#include <limits.h>
#include "daemon/policy.h"
#include "proc/process.h"

struct facts {
        struct process process;
        char path[512];         /* of its program, as it sees it */
        char service[256];      /* its unit, or the path */
        bool main;              /* the service's own process, not a child of it */
};

/* 0, PROCESS_GONE, or negative. */
int facts_read(pid_t pid, struct facts *ret, struct error *err);
struct policy_decision facts_decide(const struct policy *policy, const struct patch *patch,
                                    const struct facts *facts);
/* For entry_set_wanted(): context is a `struct policy *const *`. Only what is automatic. */
bool facts_wanted(void *context, pid_t pid, const struct patch *patch);
