/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All three hooks. The pre hook refuses while the program uses a large buffer, the post hook makes the
 * running state fit the new code, the undo hook makes it fit the old.
 */
#include "case.h"
#if FIXED
#include "suture/patch.h"
#endif

int limit_in_use = 100;
int n_pre, n_post, n_undo;
int scale = 1;

NOINLINE int subject_scaled(int n)
{
#if FIXED
        return n * scale + 1;
#else
        return n * 7;
#endif
}

#if FIXED
static int check_limit(void)
{
        n_pre++;
        return limit_in_use > 4096;
}
SUTURE_PRE(check_limit)

static int begin(void)
{
        n_post++;
        scale = 10;
        return 0;
}
SUTURE_POST(begin)

static int end(void)
{
        n_undo++;
        scale = 1;
        return 0;
}
SUTURE_UNDO(end)
#endif

void case_setup(struct victim *victim)
{
        (void)victim;
}

bool case_ask(void)
{
        return subject_scaled(5) == 51;
}

/* `release` is what the buffer is said to be; the hooks' runs and the scale are reported. */
bool case_work(void)
{
        int n = subject_scaled(3);

        limit_in_use = case_released() ? 8192 : 100;
        case_figure(0, (unsigned)n_pre);
        case_figure(1, (unsigned)n_post);
        case_figure(2, (unsigned)n_undo);
        case_figure(3, (unsigned)scale);
        /* 4: between the switch and the post hook */
        return n == 21 || n == 31 || n == 4;
}
