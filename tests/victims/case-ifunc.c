/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The changed function is what an indirect function (IFUNC) was resolved to, and the new code calls
 * such functions of the C library (memcpy, strlen).
 */
#include <string.h>
#include "case.h"

int chosen(const char *text);

NOINLINE int subject_chosen(const char *text)
{
        char copy[64];
        size_t n = strlen(text);

        memset(copy, 'x', sizeof(copy));
#if FIXED
        if (n >= sizeof(copy))
                return -1;
        memcpy(copy, text, n);
        return (int)strlen(strchr(copy, 'x')) < 0 ? 0 : copy[0];
#else
        memcpy(copy, text, n < sizeof(copy) ? n : sizeof(copy));
        return n >= sizeof(copy) ? 1 : copy[0];
#endif
}

__attribute__((used)) static int (*choose(void))(const char *)
{
        return subject_chosen;
}
int chosen(const char *text) __attribute__((ifunc("choose")));

void case_setup(struct victim *victim)
{
        (void)victim;
}

bool case_ask(void)
{
        return chosen("a text that is much longer than the sixty-four bytes that there are for it") == -1;
}

bool case_work(void)
{
        return chosen("abcx") == 'a';
}
