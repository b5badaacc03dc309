/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/array.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *array_push(void **items, size_t *n_items, size_t item_size)
{
        size_t n = *n_items;
        uint8_t *item;

        if ((n & (n - 1)) == 0) { /* 0, 1, 2, 4, 8, ...: full */
                size_t capacity = n ? 2 * n : 1, bytes;
                void *grown;

                if (__builtin_mul_overflow(capacity, item_size, &bytes))
                        return NULL;
                grown = realloc(*items, bytes);
                if (!grown)
                        return NULL;
                *items = grown;
        }
        item = (uint8_t *)*items + n * item_size;
        memset(item, 0, item_size);
        *n_items = n + 1;
        return item;
}
