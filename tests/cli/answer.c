/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers each line with a number: 1, or, compiled with FIXED, 2. */
#include <stdio.h>

__attribute__((noinline, noipa)) int answer(int question)
{
#ifdef FIXED
        return question ? 2 : 0;
#else
        return question ? 1 : 0;
#endif
}

#ifndef FIXED
int main(void)
{
        char line[16];

        while (fgets(line, sizeof(line), stdin)) {
                printf("%d\n", answer(1));
                fflush(stdout);
        }
        return 0;
}
#endif
