/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A function whose first five bytes are the target of a branch of its own: they can't be displaced.
 * Alone it may be changed, since then a jump written over it is the whole switch; with PAIR a second
 * function changes with it, which must be refused.
 */
#include "case.h"

long subject_count(long n);

__asm__(".section .text.subject_count,\"ax\",@progbits\n"
        ".globl subject_count\n.type subject_count, @function\n"
        "subject_count:\n"
        "        xorl %eax, %eax\n"
        "1:      incq %rax\n"
        "        decq %rdi\n"
        "        jnz 1b\n"
#if FIXED
        "        negq %rax\n"
#endif
        "        ret\n"
        ".size subject_count, . - subject_count\n"
        ".balign 16\n"
        ".text\n");

NOINLINE int subject_second(int n)
{
#if FIXED && defined(PAIR)
        return n * 5 - 3;
#else
        return n * 3 + 1;
#endif
}

void case_setup(struct victim *victim)
{
        (void)victim;
}

bool case_ask(void)
{
        return subject_count(1000) == -1000;
}

bool case_work(void)
{
        volatile int n = 4;
        long count = subject_count(100);

        return (count == 100 || count == -100) && (subject_second(n) == 13 || subject_second(n) == 17);
}
