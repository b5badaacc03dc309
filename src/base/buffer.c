/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void buffer_done(struct buffer *buffer)
{
        free(buffer->data);
        *buffer = (struct buffer){ 0 };
}

static bool buffer_reserve(struct buffer *buffer, size_t more)
{
        size_t needed, capacity = buffer->capacity ? buffer->capacity : 256;
        uint8_t *data;

        if (__builtin_add_overflow(buffer->size, more, &needed) ||
            __builtin_add_overflow(needed, 1, &needed))
                return false;
        if (needed <= buffer->capacity)
                return true;
        while (capacity < needed)
                if (__builtin_mul_overflow(capacity, 2, &capacity))
                        return false;
        data = realloc(buffer->data, capacity);
        if (!data)
                return false;
        buffer->data = data;
        buffer->capacity = capacity;
        return true;
}

bool buffer_append(struct buffer *buffer, const void *data, size_t size)
{
        if (!buffer_reserve(buffer, size))
                return false;
        if (size > 0)
                memcpy(buffer->data + buffer->size, data, size);
        buffer->size += size;
        buffer->data[buffer->size] = 0;
        return true;
}

static bool buffer_append_fill(struct buffer *buffer, size_t size, uint8_t fill)
{
        if (!buffer_reserve(buffer, size))
                return false;
        memset(buffer->data + buffer->size, fill, size);
        buffer->size += size;
        buffer->data[buffer->size] = 0;
        return true;
}

bool buffer_append_zeros(struct buffer *buffer, size_t size)
{
        return buffer_append_fill(buffer, size, 0);
}

bool buffer_align(struct buffer *buffer, size_t alignment, uint8_t fill)
{
        return buffer_append_fill(buffer, ROUND_UP(buffer->size, alignment) - buffer->size, fill);
}

bool buffer_printf(struct buffer *buffer, const char *format, ...)
{
        va_list args;
        int length;

        va_start(args, format);
        length = vsnprintf(NULL, 0, format, args);
        va_end(args);
        if (length < 0 || !buffer_reserve(buffer, (size_t)length))
                return false;
        va_start(args, format);
        vsnprintf((char *)buffer->data + buffer->size, (size_t)length + 1, format, args);
        va_end(args);
        buffer->size += (size_t)length;
        return true;
}
