/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A replacement, written by hand, of libevent's evutil_gettime_monotonic_, which every turn of an
 * event loop calls (libevent 2.1, evutil_time.c and time-internal.h). The new one does the same for a
 * system whose monotonic clock works, and counts its calls in data of its own. hand-patch makes the
 * patch, for whichever build of the library is installed.
 */
#include <sys/time.h>
#include <time.h>

/* The beginning of struct evutil_monotonic_timer. */
struct timer {
        int monotonic_clock;
};

static _Atomic unsigned long n_calls;

int evutil_gettime_monotonic_(struct timer *timer, struct timeval *tp);
int evutil_gettime_monotonic_(struct timer *timer, struct timeval *tp)
{
        struct timespec now;

        if (clock_gettime(timer->monotonic_clock, &now) < 0)
                return -1;
        n_calls++;
        tp->tv_sec = now.tv_sec;
        tp->tv_usec = now.tv_nsec / 1000;
        return 0;
}
