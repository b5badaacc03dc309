/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thread-local variables in each way that a compiler reaches them when it makes code for a library.
 * The linker of a program knows better and leaves no slots; the new code must do without them too.
 * Each thread must go on with its own values.
 */
#include "case.h"

static __thread long mine = 40;                                  /* local dynamic */
__thread long given = 50;                                        /* general dynamic */
__thread long early __attribute__((tls_model("initial-exec"))) = 60;
__thread long straight __attribute__((tls_model("local-exec"))) = 70;

NOINLINE long subject_sum(long n)
{
        mine += n;
        given += n;
        early += n;
        straight += n;
#if FIXED
        return (mine + given + early + straight) ^ 0x5000;
#else
        return mine + given + early + straight;
#endif
}

static long sum_once(void)
{
        long sum = subject_sum(1) & ~0x5000L;

        mine--;
        given--;
        early--;
        straight--;
        return sum;
}

static bool other_failed;

static void *count(void *context)
{
        mine = 1;
        given = 2;
        early = 3;
        straight = 4;
        while (sum_once() == 14)
                ;
        other_failed = true;
        return context;
}

void case_setup(struct victim *victim)
{
        (void)victim;
        case_thread(count);
}

bool case_ask(void)
{
        return (subject_sum(0) & 0x5000) != 0;
}

bool case_work(void)
{
        return sum_once() == 224 && !other_failed;
}
