/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A bounded cursor over bytes that nobody vouches for: a patch file, the ELF image of a foreign
 * process, a packet. It can't run past the end: a read that does not fit returns false, changes
 * nothing, and the cursor is `failed` from then on, so that a reader may check once at its end.
 * All numbers are little endian, as in every format that suture reads.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
        const uint8_t *data;
        size_t size;
        size_t offset;
        bool failed;
};

static inline struct cursor cursor_init(const void *data, size_t size)
{
        return (struct cursor){ .data = data, .size = size };
}

/* True if [offset, offset + size) lies within `total` bytes; never overflows. */
static inline bool range_fits(uint64_t offset, uint64_t size, uint64_t total)
{
        return offset <= total && size <= total - offset;
}

/* The part [offset, offset + size) of `data` as a cursor of its own; false if it does not fit. */
bool cursor_slice(const void *data, size_t data_size, uint64_t offset, uint64_t size,
                  struct cursor *ret);

size_t cursor_left(const struct cursor *cursor);
bool cursor_skip(struct cursor *cursor, uint64_t size);
bool cursor_seek(struct cursor *cursor, uint64_t offset);
bool cursor_bytes(struct cursor *cursor, void *ret, size_t size);
bool cursor_u8(struct cursor *cursor, uint8_t *ret);
bool cursor_u16(struct cursor *cursor, uint16_t *ret);
bool cursor_u32(struct cursor *cursor, uint32_t *ret);
bool cursor_u64(struct cursor *cursor, uint64_t *ret);

/*
 * A NUL-terminated string at `offset` of `data`: NULL if no NUL comes before the end. The result
 * points into `data`.
 */
const char *bounded_string(const void *data, size_t size, uint64_t offset);
