/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backtrace(3) from beneath the changed function: it must come to the function that called main.
 * Asked to (release 7), a thread stays there, so that a debugger finds it.
 */
#include <execinfo.h>
#include "case.h"

static bool found;
static void *goal;

static bool reaches_goal(void)
{
        void *frames[64];
        int n = backtrace(frames, 64);

        for (int i = 0; i < n; i++)
                if (frames[i] == goal)
                        return true;
        return false;
}

NOINLINE static int trace(int n)
{
        found = reaches_goal();
        case_stay(7);
        return n;
}

NOINLINE int subject_traced(int n)
{
        volatile int room[20] = { n };

        return trace(room[0]) + (FIXED ? 2 : 1) + room[19];
}

void case_setup(struct victim *victim)
{
        void *frames[4];

        (void)victim;
        backtrace(frames, 4); /* this loads what it needs */
}

bool case_ask(void)
{
        goal = __builtin_return_address(0);
        return subject_traced(1) == 3;
}

bool case_work(void)
{
        goal = __builtin_return_address(0);
        found = false;
        subject_traced(1);
        return found;
}
