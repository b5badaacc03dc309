/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pthread_cancel(3) of a thread beneath the changed function. Compiled with -fexceptions, so that the
 * cleanup handler of its caller is found by unwinding (pthread_cleanup_push(3), glibc's pthread.h).
 */
#include <pthread.h>
#include <unistd.h>
#include "case.h"

static int pipes[2];
static _Atomic int n_cleaned, n_waiting;

NOINLINE static int wait_for_byte(int n)
{
        char byte;

        n_waiting++;
        return n + (int)read(pipes[0], &byte, 1);
}

NOINLINE int subject_waits(int n)
{
        volatile int room[20] = { n };

        if (n == 0)
                return FIXED ? 2 : 1;
        return wait_for_byte(room[0]) + room[19];
}

static void clean(void *nothing)
{
        (void)nothing;
        n_cleaned++;
}

static void *waiting(void *nothing)
{
        pthread_cleanup_push(clean, NULL);
        subject_waits(1);
        pthread_cleanup_pop(0);
        return nothing;
}

void case_setup(struct victim *victim)
{
        (void)victim;
        if (pipe(pipes) != 0)
                victim_fail("pipe");
        if (!case_work()) /* this loads what it needs */
                victim_fail("pthread_cancel");
}

bool case_ask(void)
{
        volatile int n = 0;

        return subject_waits(n) == 2;
}

bool case_work(void)
{
        int cleaned = n_cleaned, before = n_waiting;
        pthread_t thread;
        void *result;

        if (pthread_create(&thread, NULL, waiting, NULL) != 0)
                return false;
        while (n_waiting == before)
                usleep(100);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        return result == PTHREAD_CANCELED && n_cleaned == cleaned + 1;
}
