/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A function shorter than a jump with another right behind it: there is no room, so this patch must
 * be refused, at the latest when it is applied.
 */
#include "case.h"

int subject_tiny(void);
int neighbour(void);

#if FIXED
__asm__(".section .text.subject_tiny,\"ax\",@progbits\n"
        ".globl subject_tiny\n.type subject_tiny, @function\n"
        "subject_tiny: movl $1, %eax\n ret\n.size subject_tiny, . - subject_tiny\n"
        ".section .text.neighbour,\"ax\",@progbits\n"
        ".globl neighbour\n.type neighbour, @function\n"
        "neighbour: movl $7, %eax\n ret\n.size neighbour, . - neighbour\n"
        ".text\n");
#else
__asm__(".section .text.subject_tiny,\"ax\",@progbits\n"
        ".globl subject_tiny\n.type subject_tiny, @function\n"
        "subject_tiny: xorl %eax, %eax\n ret\n.size subject_tiny, . - subject_tiny\n"
        ".section .text.neighbour,\"ax\",@progbits\n"
        ".globl neighbour\n.type neighbour, @function\n"
        "neighbour: movl $7, %eax\n ret\n.size neighbour, . - neighbour\n"
        ".text\n");
#endif

void case_setup(struct victim *victim)
{
        (void)victim;
}

bool case_ask(void)
{
        return subject_tiny() == 1;
}

bool case_work(void)
{
        return neighbour() == 7;
}
