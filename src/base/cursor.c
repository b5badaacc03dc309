/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cursor.h"

#include <string.h>

bool cursor_slice(const void *data, size_t data_size, uint64_t offset, uint64_t size,
                  struct cursor *ret)
{
        if (!range_fits(offset, size, data_size))
                return false;
        *ret = cursor_init((const uint8_t *)data + offset, size);
        return true;
}

size_t cursor_left(const struct cursor *cursor)
{
        return cursor->failed ? 0 : cursor->size - cursor->offset;
}

bool cursor_skip(struct cursor *cursor, uint64_t size)
{
        if (cursor->failed || size > cursor_left(cursor)) {
                cursor->failed = true;
                return false;
        }
        cursor->offset += size;
        return true;
}

bool cursor_seek(struct cursor *cursor, uint64_t offset)
{
        if (cursor->failed || offset > cursor->size) {
                cursor->failed = true;
                return false;
        }
        cursor->offset = offset;
        return true;
}

bool cursor_bytes(struct cursor *cursor, void *ret, size_t size)
{
        size_t start = cursor->offset;

        if (!cursor_skip(cursor, size))
                return false;
        if (size > 0)
                memcpy(ret, cursor->data + start, size);
        return true;
}

bool cursor_u8(struct cursor *cursor, uint8_t *ret)
{
        return cursor_bytes(cursor, ret, 1);
}

static bool cursor_number(struct cursor *cursor, size_t size, uint64_t *ret)
{
        uint8_t bytes[8];
        uint64_t value = 0;

        if (!cursor_bytes(cursor, bytes, size))
                return false;
        for (size_t i = size; i > 0; i--)
                value = value << 8 | bytes[i - 1];
        *ret = value;
        return true;
}

bool cursor_u16(struct cursor *cursor, uint16_t *ret)
{
        uint64_t value;

        if (!cursor_number(cursor, 2, &value))
                return false;
        *ret = (uint16_t)value;
        return true;
}

bool cursor_u32(struct cursor *cursor, uint32_t *ret)
{
        uint64_t value;

        if (!cursor_number(cursor, 4, &value))
                return false;
        *ret = (uint32_t)value;
        return true;
}

bool cursor_u64(struct cursor *cursor, uint64_t *ret)
{
        return cursor_number(cursor, 8, ret);
}

const char *bounded_string(const void *data, size_t size, uint64_t offset)
{
        const char *start;

        if (offset >= size)
                return NULL;
        start = (const char *)data + offset;
        return memchr(start, '\0', size - offset) ? start : NULL;
}
