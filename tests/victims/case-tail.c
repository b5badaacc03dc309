/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tail calls: the changed function is jumped to by its caller, and jumps to the next itself. */
#include "case.h"

NOINLINE int third(int n)
{
        __asm__ volatile("");
        return n * 2;
}

NOINLINE int subject_second(int n)
{
#if FIXED
        return third(n + 100);
#else
        return third(n + 1);
#endif
}

NOINLINE int first(int n)
{
        __asm__ volatile("");
        return subject_second(n + 10);
}

void case_setup(struct victim *victim)
{
        (void)victim;
}

bool case_ask(void)
{
        return first(0) == 220;
}

bool case_work(void)
{
        int n = first(1);

        return n == 24 || n == 222;
}
