/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The changed function begins with a call, so a thread that waits in what it calls will return into
 * the moved copy of its first instructions. They must stay mapped, and count as the function.
 */
#include "case.h"

static _Thread_local bool hold;

long subject_caller(void);

NOINLINE __attribute__((used)) void callee(void)
{
        if (hold)
                case_hold();
}

/* push and call: the call is within the five bytes that are displaced. */
__asm__(".section .text.subject_caller,\"ax\",@progbits\n"
        ".globl subject_caller\n.type subject_caller, @function\n"
        "subject_caller:\n"
        "        pushq %rbx\n"
        "        call callee\n"
        "        movl $1, %eax\n"
#if FIXED
        "        incl %eax\n"
#endif
        "        popq %rbx\n"
        "        ret\n"
        ".size subject_caller, . - subject_caller\n"
        ".text\n");

static void *held(void *nothing)
{
        hold = true;
        for (;;) {
                subject_caller();
                while (case_released())
                        ;
        }
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
        return subject_caller() == 2;
}

bool case_work(void)
{
        long result = subject_caller();

        return result == 1 || result == 2;
}
