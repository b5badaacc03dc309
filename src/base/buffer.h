/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A growing run of bytes, for what is put together piece by piece: the images of a patch's
 * sections, a file read whole, text for the screen.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/cleanup.h"

struct buffer {
        uint8_t *data;    /* always followed by one NUL byte that is not counted in size */
        size_t size;
        size_t capacity;
};

void buffer_done(struct buffer *buffer);
/* All return false only when memory is out; the buffer is then unchanged. */
bool buffer_append(struct buffer *buffer, const void *data, size_t size);
bool buffer_append_zeros(struct buffer *buffer, size_t size);
/* Pads with `fill` until size is a multiple of `alignment` (a power of two). */
bool buffer_align(struct buffer *buffer, size_t alignment, uint8_t fill);
bool buffer_printf(struct buffer *buffer, const char *format, ...) _printf_(2, 3);

#define _cleanup_buffer_ _cleanup_(buffer_done)
