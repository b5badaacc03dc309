/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the workers of the libraries share. A worker is one loop: a round uses the library and checks
 * every result by MUST(), then worker_ok() counts it. What it prints is read by common.py.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static unsigned long worker_count;

#define MUST(condition)                                                                            \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "round %lu: %s:%d: not true: %s\n", worker_count,          \
                                __func__, __LINE__, #condition);                                   \
                        exit(1);                                                                   \
                }                                                                                  \
        } while (0)

/* Counts a correct result; tells how many there are about three times a second. */
static inline void worker_ok(void)
{
        static struct timespec told;
        struct timespec now;

        worker_count++;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec + now.tv_nsec / 1e9 - (told.tv_sec + told.tv_nsec / 1e9) < 0.3)
                return;
        told = now;
        printf("ok %lu\n", worker_count);
        fflush(stdout);
}

/* Bytes that look like content: the same for the same seed. */
static inline void worker_fill(uint8_t *bytes, size_t size, uint32_t seed)
{
        uint32_t state = seed * 2654435761u + 1;

        for (size_t i = 0; i < size; i++) {
                if (i % 7 < 4) {
                        bytes[i] = (uint8_t)(i / 16);
                        continue;
                }
                state = state * 1664525u + 1013904223u;
                bytes[i] = (uint8_t)(state >> 24);
        }
}
