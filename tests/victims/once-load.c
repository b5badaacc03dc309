/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loads the subject's library while it runs, and says after how many microseconds it was fixed, or
 * "vulnerable" if it was not within five seconds.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const unsigned char hostile[48] = { 40, 'a', 'b', 'c', 'd', 'e', 'f', 'g' };

static double now_us(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
        void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
        int (*check)(const unsigned char *, size_t) =
                library ? (int (*)(const unsigned char *, size_t))dlsym(library, "subject_check")
                        : NULL;
        double began = now_us();

        if (!check)
                return 2;
        while (now_us() - began < 5e6) {
                if (check(hostile, 8) == -1) {
                        printf("fixed after %.0f us\n", now_us() - began);
                        return 0;
                }
        }
        printf("vulnerable\n");
        return 1;
}
