/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A window over one table of a module in memory. Each read of a foreign process is a system call,
 * so the window fetches a whole piece at once and answers from it while it can. It never leaves
 * the loaded segment that holds the address, and holds at most `capacity` bytes.
 */
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"
#include "elf/image.h"

struct image_window {
        const struct elf_memory *memory;
        const struct elf_image *image;
        uint64_t base;      /* pieces begin at multiples of `capacity` from here */
        size_t capacity;
        uint8_t *data;      /* what was read last: `size` bytes from `start` */
        uint64_t start;
        size_t size;
        uint64_t bytes_left;            /* that may still be read: tables of a hostile process */
        unsigned int fetches_left;      /* can be endless, or make each step a miss */
};

/* Nothing is allocated before the first use. `capacity` is rounded up to at least 64 bytes. */
void image_window_init(struct image_window *window, const struct elf_memory *memory,
                       const struct elf_image *image, uint64_t base, size_t capacity);
void image_window_done(struct image_window *window);
#define _cleanup_window_ _cleanup_(image_window_done)

/*
 * The bytes [address, address + size), valid until the next call. 0; -EBADMSG if they are not all
 * in one loaded segment, larger than the window, or more was read by now than any real module
 * needs; -ENOMEM; or the reader's negative errno.
 */
int image_window_get(struct image_window *window, uint64_t address, size_t size,
                     const uint8_t **ret);
/* Record `index` of a table of records of `size` bytes; same outcomes, -EBADMSG for table 0. */
int image_window_copy(struct image_window *window, uint64_t table, uint64_t index, size_t size,
                      void *ret);
/* A NUL-terminated string that ends before `end`; same outcomes. */
int image_window_string(struct image_window *window, uint64_t address, uint64_t end,
                        const char **ret);

/* The end of the loaded segment that holds `address`, or 0. Never beyond image->end. */
uint64_t image_segment_end(const struct elf_image *image, uint64_t address);
