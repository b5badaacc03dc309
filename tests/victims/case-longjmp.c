/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The changed function is left by longjmp most of the time, over frames of its own and of others.
 */
#include <setjmp.h>
#include "case.h"

static jmp_buf back;

NOINLINE int subject_leave(int n)
{
        volatile int here = n;

        if (n == 0)
                longjmp(back, FIXED ? 2 : 1);
        if (n > 0)
                subject_leave(n - 1);
        return here;
}

void case_setup(struct victim *victim)
{
        (void)victim;
}

bool case_ask(void)
{
        int value = setjmp(back);

        if (value == 0)
                subject_leave(20);
        return value == 2;
}

bool case_work(void)
{
        int value = setjmp(back);

        if (value == 0)
                subject_leave(0);
        return value == 1 || value == 2;
}
