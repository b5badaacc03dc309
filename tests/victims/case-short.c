/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A function shorter than a jump. The compiler aligns functions, so behind it there is padding,
 * which belongs to nobody.
 */
#include "case.h"

NOINLINE int subject_tiny(void)
{
#if FIXED
        __asm__ volatile("");
        return 1;
#else
        __asm__ volatile("");
        return 0;
#endif
}

void case_setup(struct victim *victim)
{
        (void)victim;
}

bool case_ask(void)
{
        return subject_tiny() == 1;
}

bool case_work(void)
{
        return true;
}
