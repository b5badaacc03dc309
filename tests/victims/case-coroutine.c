/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A coroutine stands still inside the changed function. Its frames are on no thread's stack, so only a
 * look through the memory finds them: busy, until it is let go.
 */
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include "case.h"

enum { STACK = 64 << 10 };

static ucontext_t outside, inside;
static bool finished;
static long result;

NOINLINE long subject_suspend(long n, bool stay)
{
        volatile long here = n;

        if (stay)
                swapcontext(&inside, &outside);
        __asm__ volatile("" ::: "memory");
        return here * (FIXED ? 3 : 2);
}

static void coroutine(void)
{
        result = subject_suspend(50, true);
        finished = true;
}

void case_setup(struct victim *victim)
{
        getcontext(&inside);
        inside.uc_stack.ss_size = STACK;
        inside.uc_stack.ss_sp = malloc(STACK);
        inside.uc_link = &outside;
        if (!inside.uc_stack.ss_sp)
                victim_fail("malloc");
        makecontext(&inside, coroutine, 0);
        swapcontext(&outside, &inside);
        atomic_store(&victim->file->state.held, 1);
}

bool case_ask(void)
{
        return subject_suspend(7, false) == 21;
}

bool case_work(void)
{
        if (case_released() && !finished) {
                swapcontext(&outside, &inside);
                /* Return addresses that lie about in memory would be taken for frames. */
                explicit_bzero(inside.uc_stack.ss_sp, STACK);
                explicit_bzero(&inside, sizeof(inside));
        }
        return !finished || result == 100;
}
