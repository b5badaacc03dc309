/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The compiler splits off what it takes for unlikely (NAME.cold). A thread that is held in the cold
 * part is in the changed function: busy, until it is let go.
 */
#include "case.h"

static _Thread_local bool hold;

__attribute__((cold, noinline)) static void unlikely_work(int n)
{
        __asm__ volatile("" : : "r"(n));
        if (hold)
                case_hold();
}

NOINLINE int subject_split(int n)
{
        if (__builtin_expect(n < 0, 0)) {
                unlikely_work(n);
                unlikely_work(n + 1);
                return FIXED ? -2 : -1;
        }
        return n + (FIXED ? 2 : 1);
}

static void *held(void *nothing)
{
        volatile int n = -5;

        hold = true;
        subject_split(n);
        return nothing;
}

void case_setup(struct victim *victim)
{
        (void)victim;
        case_thread(held);
        case_await_held();
}

bool case_ask(void)
{
        volatile int n = 1;

        return subject_split(n) == 3;
}

bool case_work(void)
{
        volatile int n = -9;
        int result = subject_split(n);

        return result == -1 || result == -2;
}
