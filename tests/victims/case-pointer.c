/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reached through pointers only: a constant table, a pointer kept on the heap since the start, a
 * comparison handed to the C library.
 */
#include <stdlib.h>
#include "case.h"

static int (*volatile *kept)(const void *, const void *);

NOINLINE int subject_compare(const void *a, const void *b)
{
        int x = *(const int *)a, y = *(const int *)b;

#if FIXED
        return y < x ? -1 : y > x;
#else
        return x < y ? -1 : x > y;
#endif
}

static int (*const table[])(const void *, const void *) = { subject_compare };

void case_setup(struct victim *victim)
{
        (void)victim;
        kept = malloc(sizeof(*kept));
        if (!kept)
                victim_fail("malloc");
        *kept = subject_compare;
}

bool case_ask(void)
{
        int numbers[] = { 3, 1, 2, 5, 4 };

        qsort(numbers, 5, sizeof(numbers[0]), *kept);
        return numbers[0] == 5 && numbers[4] == 1;
}

bool case_work(void)
{
        volatile int which = 0;
        int a = 1, b = 2;
        int through_table = table[which](&a, &b), through_heap = (*kept)(&a, &b);

        return (through_table == 1 || through_table == -1) && (through_heap == 1 || through_heap == -1) &&
               *kept == table[0];
}
