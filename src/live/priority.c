/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SCHED_FIFO (sched(7)) for the length of a stop. It is bounded by the deadlines of the stop, and
 * suture sleeps while it waits, so that the threads it waits for get their processor.
 */
#include "live/priority.h"

void priority_raise(struct priority *priority)
{
        struct sched_param first = { .sched_priority = 1 };

        priority->policy = sched_getscheduler(0);
        priority->raised = priority->policy >= 0 && priority->policy != SCHED_FIFO &&
                           priority->policy != SCHED_RR &&
                           sched_getparam(0, &priority->parameter) == 0 &&
                           sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first) == 0;
}

void priority_restore(struct priority *priority)
{
        if (priority->raised)
                (void)sched_setscheduler(0, priority->policy, &priority->parameter);
        priority->raised = false;
}
