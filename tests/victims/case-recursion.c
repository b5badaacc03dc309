/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread sits below thousands of frames of the changed function: busy, until it is let go. The one
 * return address nearest to it is far up, behind a large frame of another function.
 */
#include "case.h"

NOINLINE long subject_depth(long n, void (*bottom)(void))
{
        volatile long here = n;
        long below;

        if (n == 0) {
                if (bottom)
                        bottom();
                return FIXED;
        }
        below = subject_depth(n - 1, bottom);
        __asm__ volatile("" ::: "memory");
        return below + here - n;
}

NOINLINE static void far_below(void)
{
        volatile char block[128 << 10];

        block[77] = 1;
        case_hold();
        block[78] = block[77];
}

static void *deep(void *nothing)
{
        subject_depth(3000, far_below);
        return nothing;
}

void case_setup(struct victim *victim)
{
        (void)victim;
        case_thread(deep);
        case_await_held();
}

bool case_ask(void)
{
        return subject_depth(10, NULL) == 1;
}

bool case_work(void)
{
        long result = subject_depth(1000, NULL);

        return result == 0 || result == 1;
}
