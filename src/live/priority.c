/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SCHED_FIFO (sched(7)) for the length of a stop. It is bounded by the deadlines of the stop, and
 * suture sleeps while it waits, so that the threads it waits for get their processor. The policy is
 * one of the whole process (it has one thread), and so is what is kept here.
 */
#include "live/priority.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"

static bool raised;
static int usual_policy;
static struct sched_param usual_parameter;

/* More runnable threads than twice the processors: the fourth field of /proc/loadavg, proc(5). */
static bool processors_are_busy(void)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        long runnable = 0, processors = sysconf(_SC_NPROCESSORS_ONLN);

        return file_read("/proc/loadavg", 256, &text, NULL) == 0 &&
               sscanf((const char *)text.data, "%*s %*s %*s %ld/", &runnable) == 1 &&
               runnable > 2 * processors;
}

void priority_raise(void)
{
        struct sched_param first = { .sched_priority = 1 };

        if (raised || !processors_are_busy())
                return;
        usual_policy = sched_getscheduler(0);
        raised = usual_policy >= 0 && usual_policy != SCHED_FIFO && usual_policy != SCHED_RR &&
                 sched_getparam(0, &usual_parameter) == 0 &&
                 sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first) == 0;
}

bool priority_is_raised(void)
{
        return raised;
}

void priority_restore(void)
{
        if (raised)
                (void)sched_setscheduler(0, usual_policy, &usual_parameter);
        raised = false;
}
