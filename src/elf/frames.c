/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entries have a length each, so a list can be walked without understanding them. Of a common part
 * only as much is read as leads to the one byte that says how addresses are written.
 */
#include "elf/frames.h"

#include <string.h>

#include "base/cursor.h"

/* DW_EH_PE_*: the lower four bits are the format, the next three what it is relative to. */
enum {
        FORMAT_MASK = 0x0f,
        FORMAT_ABSOLUTE = 0x00,     /* as wide as an address */
        FORMAT_U32 = 0x03,
        FORMAT_U64 = 0x04,
        FORMAT_S32 = 0x0b,
        FORMAT_S64 = 0x0c,
        RELATIVE_MASK = 0x70,
        RELATIVE_NONE = 0x00,
        RELATIVE_FIELD = 0x10,
        OMITTED = 0xff,
};

int frames_next(const void *data, size_t size, uint64_t *at, struct frame *ret)
{
        struct cursor cursor = cursor_init(data, size);
        uint32_t length, id;

        if (*at >= size)
                return *at == size ? FRAMES_END : FRAMES_BROKEN;
        if (!cursor_seek(&cursor, *at) || !cursor_u32(&cursor, &length))
                return FRAMES_BROKEN;
        if (length == 0) {
                *at += sizeof(length);
                return FRAMES_END;
        }
        /* 0xffffffff would say that a longer length follows, which no compiler needs */
        if (length < sizeof(id) || !cursor_u32(&cursor, &id) ||
            !cursor_skip(&cursor, length - sizeof(id)))
                return FRAMES_BROKEN;
        *ret = (struct frame){ .offset = *at, .size = length + sizeof(length),
                               .is_common = id == 0 };
        if (id != 0) {
                if (id > *at + FRAME_COMMON_POINTER)
                        return FRAMES_BROKEN;
                ret->common = *at + FRAME_COMMON_POINTER - id;
        }
        *at = cursor.offset;
        return 0;
}

/* A number in LEB128, signed or not: only its end matters. */
static bool skip_leb128(struct cursor *cursor)
{
        uint8_t byte = 0x80;

        while (byte & 0x80)
                if (!cursor_u8(cursor, &byte))
                        return false;
        return true;
}

static size_t format_size(uint8_t encoding)
{
        switch (encoding & FORMAT_MASK) {
        case FORMAT_U32:
        case FORMAT_S32:
                return 4;
        case FORMAT_ABSOLUTE:
        case FORMAT_U64:
        case FORMAT_S64:
                return 8;
        default:
                return 0;
        }
}

static bool skip_pointer(struct cursor *cursor, uint8_t encoding)
{
        size_t size = format_size(encoding);

        return encoding == OMITTED || (size > 0 && cursor_skip(cursor, size));
}

static bool read_augmentation(struct cursor *cursor, const char *letters, uint8_t *ret)
{
        uint8_t byte;

        for (; *letters; letters++) {
                switch (*letters) {
                case 'z':
                        if (!skip_leb128(cursor))
                                return false;
                        break;
                case 'R':
                        if (!cursor_u8(cursor, ret))
                                return false;
                        break;
                case 'L':
                        if (!cursor_u8(cursor, &byte))
                                return false;
                        break;
                case 'P':
                        if (!cursor_u8(cursor, &byte) || !skip_pointer(cursor, byte))
                                return false;
                        break;
                case 'S': /* of a signal handler */
                case 'B': /* of aarch64 */
                        break;
                default:
                        return false;
                }
        }
        return true;
}

bool frames_encoding(const void *data, size_t size, const struct frame *common, uint8_t *ret)
{
        struct cursor cursor;
        const char *letters;
        uint8_t version;

        *ret = FORMAT_ABSOLUTE;
        if (!cursor_slice(data, size, common->offset, common->size, &cursor) ||
            !cursor_skip(&cursor, 8) || !cursor_u8(&cursor, &version) ||
            (version != 1 && version != 3))
                return false;
        letters = bounded_string(cursor.data, cursor.size, cursor.offset);
        if (!letters || (letters[0] != '\0' && letters[0] != 'z'))
                return false;
        return cursor_skip(&cursor, strlen(letters) + 1) &&
               skip_leb128(&cursor) &&                      /* code alignment */
               skip_leb128(&cursor) &&                      /* data alignment */
               (version == 1 ? cursor_skip(&cursor, 1) : skip_leb128(&cursor)) &&
               read_augmentation(&cursor, letters, ret);
}

static bool read_number(struct cursor *cursor, uint8_t encoding, uint64_t *ret)
{
        uint32_t half;

        if (format_size(encoding) == 8)
                return cursor_u64(cursor, ret);
        if (format_size(encoding) != 4 || !cursor_u32(cursor, &half))
                return false;
        *ret = (encoding & FORMAT_MASK) == FORMAT_S32 ? (uint64_t)(int64_t)(int32_t)half : half;
        return true;
}

bool frames_code(const void *data, size_t size, uint64_t address, const struct frame *entry,
                 uint64_t *ret_start, uint64_t *ret_size)
{
        uint64_t at = entry->common, start, length;
        struct cursor cursor;
        struct frame common;
        uint8_t encoding;

        if (entry->is_common || frames_next(data, size, &at, &common) != 0 || !common.is_common ||
            !frames_encoding(data, size, &common, &encoding) || (encoding & 0x80) ||
            !cursor_slice(data, size, entry->offset, entry->size, &cursor) ||
            !cursor_skip(&cursor, FRAME_CODE_POINTER) ||
            !read_number(&cursor, encoding, &start) ||
            !read_number(&cursor, encoding & FORMAT_MASK, &length))
                return false;
        if ((encoding & RELATIVE_MASK) == RELATIVE_FIELD)
                start += address + entry->offset + FRAME_CODE_POINTER;
        else if ((encoding & RELATIVE_MASK) != RELATIVE_NONE)
                return false;
        *ret_start = start;
        *ret_size = length;
        return true;
}
