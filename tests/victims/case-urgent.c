/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signals all the time, as Go's runtime sends SIGURG to preempt its threads: a thread is asked to stop
 * while a handler is about to run, runs, or has just run.
 */
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include "case.h"

static pthread_t first;
static _Atomic unsigned long n_sent, n_seen;

static void handler(int signal)
{
        (void)signal;
        atomic_fetch_add(&n_seen, 1);
}

static void *sender(void *nothing)
{
        struct timespec pause = { .tv_nsec = 100000 };

        for (;;) {
                /* One signal of a kind can wait, so the next is sent when the last was seen. */
                if (atomic_load(&n_sent) == atomic_load(&n_seen)) {
                        atomic_fetch_add(&n_sent, 1);
                        pthread_kill(first, SIGURG);
                }
                nanosleep(&pause, NULL);
        }
        return nothing;
}

NOINLINE long subject_sum(const long *numbers, int n)
{
        long sum = 0;

        for (int i = 0; i < n; i++)
                sum += numbers[i];
        return FIXED ? -sum : sum;
}

void case_setup(struct victim *victim)
{
        struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };

        (void)victim;
        first = pthread_self();
        if (sigaction(SIGURG, &action, NULL) < 0)
                victim_fail("sigaction");
        case_thread(sender);
}

bool case_ask(void)
{
        const long numbers[] = { 1, 2, 3, 4 };

        return subject_sum(numbers, 4) == -10;
}

/* A signal that was lost would stop the sender for good. */
bool case_work(void)
{
        static unsigned long before, rounds;

        if (++rounds % 1024 != 0)
                return true;
        if (atomic_load(&n_seen) == before)
                return false;
        before = atomic_load(&n_seen);
        return true;
}
