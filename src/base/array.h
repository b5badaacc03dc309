/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Growing arrays: a struct holds `TYPE *items; size_t n_items;` and ARRAY_PUSH gives the address
 * of a new zeroed item at the end, or NULL when memory is out (the array is then unchanged).
 * Capacity is the next power of two and is derived from the count, so there is nothing to keep.
 */
#include <stddef.h>

void *array_push(void **items, size_t *n_items, size_t item_size);

#define ARRAY_PUSH(items, n_items)                                                            \
        ((__typeof__(items))array_push((void **)&(items), &(n_items), sizeof(*(items))))
