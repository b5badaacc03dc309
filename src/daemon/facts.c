/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a decision is made of. A service is its unit; a program that was started by hand is known by
 * its path.
 */
#include "daemon/facts.h"

#include <stdio.h>
#include <string.h>

#define MAX_CVES 64

int facts_read(pid_t pid, struct facts *ret, struct error *err)
{
        char link[64];
        ssize_t size;
        int r = process_read(pid, &ret->process, err);

        if (r != 0)
                return r;
        snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
        size = readlink(link, ret->path, sizeof(ret->path) - 1);
        ret->path[MAX(size, 0)] = '\0';
        snprintf(ret->service, sizeof(ret->service), "%.255s",
                 ret->process.unit[0] ? ret->process.unit : ret->path);
        ret->main = ret->process.unit[0] && ret->process.parent == 1;
        return 0;
}

struct policy_decision facts_decide(const struct policy *policy, const struct patch *patch,
                                    const struct facts *facts)
{
        struct policy_cve cves[MAX_CVES];
        struct policy_facts wanted = {
                .patch = patch->id,
                .cves = cves,
                .n_cves = MIN(patch->n_cves, (size_t)MAX_CVES),
                .unit = facts->process.unit,
                .path = facts->path,
                .container = facts->process.container,
        };

        for (size_t i = 0; i < wanted.n_cves; i++)
                cves[i] = (struct policy_cve){ .id = patch->cves[i].id,
                                               .reach = patch->cves[i].reach };
        return policy_decide(policy, &wanted);
}

bool facts_wanted(void *context, pid_t pid, const struct patch *patch)
{
        const struct policy *const *policy = context;
        struct facts facts;

        return facts_read(pid, &facts, NULL) == 0 &&
               facts_decide(*policy, patch, &facts).mode == POLICY_AUTOMATIC;
}
