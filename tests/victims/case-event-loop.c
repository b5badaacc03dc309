/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The changed function is always on the stack of one thread, which never leaves it. With `strict`
 * this is busy for ever and the error must name thread and function; with `entry` (-DENTRY) the
 * function may change for its next call.
 */
#include <time.h>
#include "case.h"
#ifdef ENTRY
#include "suture/patch.h"
SUTURE_ENTRY(subject_serve)
#endif

NOINLINE int subject_serve(int n_events, bool forever)
{
        struct timespec pause = { .tv_nsec = 1000000 };
        int served = 0;

        do {
                nanosleep(&pause, NULL);
                served++;
        } while (forever || served < n_events);
        return served + (FIXED ? 100 : 0);
}

static void *server(void *nothing)
{
        subject_serve(0, true);
        return nothing;
}

void case_setup(struct victim *victim)
{
        case_thread(server);
        atomic_store(&victim->file->state.held, 1);
}

bool case_ask(void)
{
        return subject_serve(2, false) == 102;
}

bool case_work(void)
{
        return true;
}
