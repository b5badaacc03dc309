/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Cleanup attributes: whatever must be undone when a scope is left is declared with the
 * function that undoes it, so that every return path is safe without being written out.
 * Variables are undone in reverse order of their declaration.
 */
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define _printf_(format_index, first_arg) __attribute__((format(printf, format_index, first_arg)))

/* Defines NAMEp(), the cleanup function for a `TYPE *` destroyed by NAME(). */
#define DEFINE_CLEANUP(type, name)                                                            \
        static inline void name##p(type *pointer)                                             \
        {                                                                                     \
                if (*pointer)                                                                 \
                        name(*pointer);                                                       \
        }

/* Hands over a pointer: the variable keeps nothing, so its cleanup does nothing. */
#define STEAL(pointer)                                                                        \
        ({                                                                                    \
                __typeof__(pointer) steal_value = (pointer);                                  \
                (pointer) = NULL;                                                             \
                steal_value;                                                                  \
        })

static inline void cleanup_free(void *pointer)
{
        free(*(void **)pointer);
}

static inline void cleanup_close(int *fd)
{
        if (*fd >= 0)
                close(*fd);
}

#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)

static inline int steal_fd(int *fd)
{
        int value = *fd;

        *fd = -1;
        return value;
}

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
/* Rounds up to a power of two. */
#define ROUND_UP(value, to) (((value) + ((to) - 1)) & ~((__typeof__(value))(to) - 1))
#define ROUND_DOWN(value, to) ((value) & ~((__typeof__(value))(to) - 1))
