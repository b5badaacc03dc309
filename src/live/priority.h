/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * While threads of a target are stopped, suture must not wait for its turn behind others: on a
 * machine with more busy threads than processors that wait would be most of the pause.
 */
#include <sched.h>
#include <stdbool.h>

struct priority {
        bool raised;
        int policy;
        struct sched_param parameter;
};

/* Goes before all ordinary threads, where the system allows it (CAP_SYS_NICE); else nothing. */
void priority_raise(struct priority *priority);
/* Back to what it was. */
void priority_restore(struct priority *priority);
