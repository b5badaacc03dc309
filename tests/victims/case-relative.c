/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first instructions refer to data relative to themselves, and call: both must be rewritten when
 * they are moved out of the way of the jump.
 */
#include "case.h"

static volatile long counter = 41;

NOINLINE long subject_next(void)
{
        long value = counter;

        counter = value + 1;
#if FIXED
        return value ^ 0x5000;
#else
        return value;
#endif
}

NOINLINE static void step_back(void)
{
        counter--;
}

NOINLINE int subject_caller(int n)
{
        step_back();
#if FIXED
        return n + 2;
#else
        return n + 1;
#endif
}

void case_setup(struct victim *victim)
{
        (void)victim;
}

bool case_ask(void)
{
        return (subject_next() & 0x5000) != 0;
}

bool case_work(void)
{
        int n = subject_caller(10);

        return (n == 11 || n == 12) && counter == 41;
}
