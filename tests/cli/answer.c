/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answers each line with a number: 1, or, compiled with FIXED, 2. The original waits within the
 * function, for a line that begins with w, until the next byte comes.
 */
#include <stdio.h>

__attribute__((noinline, noipa)) int answer(int question)
{
#ifdef FIXED
        return question ? 2 : 0;
#else
        if (question == 'w')
                getchar();
        return question ? 1 : 0;
#endif
}

#ifndef FIXED
int main(void)
{
        char line[16];

        while (fgets(line, sizeof(line), stdin)) {
                printf("%d\n", answer(line[0]));
                fflush(stdout);
        }
        return 0;
}
#endif
