/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libunwind, from beneath the changed function: it must come to the function that called main. */
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include "case.h"

static bool found;
static uint64_t goal;

static bool reaches_goal(void)
{
        unw_context_t context;
        unw_cursor_t cursor;
        unw_word_t address;

        if (unw_getcontext(&context) != 0 || unw_init_local(&cursor, &context) != 0)
                return false;
        for (unsigned i = 0; i < 64; i++) {
                if (unw_get_reg(&cursor, UNW_REG_IP, &address) != 0)
                        return false;
                if (address == goal)
                        return true;
                if (unw_step(&cursor) <= 0)
                        return false;
        }
        return false;
}

NOINLINE static int trace(int n)
{
        found = reaches_goal();
        return n;
}

NOINLINE int subject_traced(int n)
{
        volatile int room[20] = { n };

        return trace(room[0]) + (FIXED ? 2 : 1) + room[19];
}

void case_setup(struct victim *victim)
{
        (void)victim;
}

bool case_ask(void)
{
        goal = (uint64_t)__builtin_return_address(0);
        return subject_traced(1) == 3;
}

bool case_work(void)
{
        goal = (uint64_t)__builtin_return_address(0);
        found = false;
        subject_traced(1);
        return found;
}
