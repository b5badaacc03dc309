/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fix brings data of its own: a counter, a table that is written, a string. It is fresh in every
 * process, and lasts from one call to the next.
 */
#include <string.h>
#include "case.h"

#if FIXED
static int n_calls;
static char names[3][8] = { "zero", "one", "two" };
static long zeroes[300];
#endif

NOINLINE const char *subject_name(int n)
{
#if FIXED
        n_calls++;
        zeroes[299] += n_calls;
        names[1][0] = 'O';
        return n >= 0 && n < 3 && zeroes[299] == (long)n_calls * (n_calls + 1) / 2 ? names[n] : "none";
#else
        return n == 1 ? "one" : "other";
#endif
}

void case_setup(struct victim *victim)
{
        (void)victim;
}

bool case_ask(void)
{
        return strcmp(subject_name(1), "One") == 0;
}

bool case_work(void)
{
        const char *name = subject_name(2);

        return strcmp(name, "two") == 0 || strcmp(name, "other") == 0;
}
