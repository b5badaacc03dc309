/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The patched code is small but refers to all that real code does: a static function and static
 * data of its own, a string, a jump table, a function of the C library, and a symbol that may be
 * interposed.
 */
#include "subject.h"
#include <stdatomic.h>
#include <string.h>

#ifndef FIXED
#define FIXED 0
#endif

static _Atomic uint64_t calls;
uint64_t subject_n_seen;

/* A weight for each kind of byte. The cases are far apart, so that a table of jumps is made. */
__attribute__((noinline)) static int weigh(unsigned char byte)
{
        switch (byte & 7) {
        case 0:
                return 1;
        case 1:
                return byte * 3;
        case 2:
                return byte ^ 0x55;
        case 3:
                return -byte;
        case 4:
                return byte << 2;
        case 5:
                return byte + 77;
        case 6:
                return byte / 3;
        default:
                return 1000 - byte;
        }
}

__attribute__((noipa)) void subject_seen(void)
{
        __atomic_fetch_add(&subject_n_seen, 1, __ATOMIC_RELAXED);
}

__attribute__((noipa)) int subject_check(const unsigned char *message, size_t size)
{
        size_t length;
        int sum = 0;

        atomic_fetch_add(&calls, 1);
        if (size == 0)
                return -1;
        length = message[0];
#if FIXED >= 1
        if (length > size - 1)
                return -1;
#endif
        if (length >= 4 && memchr(message + 1, '#', length))
                return (int)strlen("comment, of no weight");
        for (size_t i = 1; i <= length; i++)
                sum += weigh(message[i]);
        subject_seen();
        return sum;
}

__attribute__((noipa)) int subject_format(char *ret, size_t size, unsigned value)
{
        char digits[16];
        size_t n = 0;

        do
                digits[n++] = (char)('0' + value % 10);
        while ((value /= 10) > 0);
#if FIXED >= 2
        if (n + 1 > size)
                return -1;
#else
        if (n > size)
                return -1;
#endif
        for (size_t i = 0; i < n; i++)
                ret[i] = digits[n - 1 - i];
        ret[n] = '\0';
        return (int)n;
}

uint64_t subject_calls(void)
{
        return atomic_load(&calls);
}

__attribute__((noipa)) int subject_twin(const unsigned char *message, size_t size)
{
        size_t length;
        int sum = 0;

        atomic_fetch_add(&calls, 1);
        if (size == 0)
                return -1;
        length = message[0];
        if (length >= 4 && memchr(message + 1, '#', length))
                return (int)strlen("comment, of no weight");
        for (size_t i = 1; i <= length; i++)
                sum += weigh(message[i]);
        subject_seen();
        return sum;
}
