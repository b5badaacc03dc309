/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers each number that it reads with the next one; fixed, with one a hundred higher. */
#include <stdio.h>
#include <unistd.h>

#ifndef ANSWER
#define ANSWER 1
#endif

__attribute__((noinline)) int answer(int question)
{
        for (int i = 0; i < ANSWER; i++)
                question += getppid() > 0 || i >= 0;
        return question;
}

int main(void)
{
        int question;

        setvbuf(stdout, NULL, _IOLBF, 0);
        while (scanf("%d", &question) == 1)
                printf("answer %d\n", answer(question));
        return 0;
}
