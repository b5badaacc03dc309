/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A signal handler on an alternate stack is inside the changed function: the frames below the
 * kernel's signal frame are on one stack, those above on another. Busy, until it is let go.
 */
#include <signal.h>
#include <stdlib.h>
#include "case.h"

static _Thread_local bool hold;
static _Atomic int last;

NOINLINE static void hold_if_wanted(void)
{
        if (hold)
                case_hold();
}

NOINLINE void subject_handle(int signal)
{
        volatile int here = signal;

        hold_if_wanted();
        __asm__ volatile("" ::: "memory");
        atomic_store(&last, here + (FIXED ? 1000 : 0));
}

static void *held(void *nothing)
{
        stack_t stack = { .ss_size = 64 << 10, .ss_sp = malloc(64 << 10) };

        if (!stack.ss_sp || sigaltstack(&stack, NULL) < 0)
                victim_fail("sigaltstack");
        hold = true;
        raise(SIGUSR1);
        return nothing;
}

void case_setup(struct victim *victim)
{
        struct sigaction action = { .sa_handler = subject_handle, .sa_flags = SA_ONSTACK | SA_RESTART };

        (void)victim;
        if (sigaction(SIGUSR1, &action, NULL) < 0)
                victim_fail("sigaction");
        case_thread(held);
        case_await_held();
}

bool case_ask(void)
{
        raise(SIGUSR1);
        return atomic_load(&last) == SIGUSR1 + 1000;
}

bool case_work(void)
{
        return atomic_load(&last) % 1000 == SIGUSR1;
}
