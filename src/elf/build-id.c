/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Build IDs: compared, written, and found among the notes of a module. A note is three words
 * (name size, descriptor size, type), the name and the descriptor, each padded to four bytes
 * (gABI, "Note Section").
 */
#include "elf/build-id.h"

#include <elf.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/hash.h"

#define BUILD_ID_MIN 4
#define NOTE_ALIGNMENT 4

bool build_id_equal(const struct build_id *a, const struct build_id *b)
{
        return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

bool build_id_parse(const char *text, struct build_id *ret)
{
        struct build_id id = { 0 };
        size_t size;

        if (!hex_decode(text, id.bytes, BUILD_ID_MAX, &size) || size < BUILD_ID_MIN)
                return false;
        id.size = (uint8_t)size;
        *ret = id;
        return true;
}

void build_id_format(const struct build_id *id, char ret[static BUILD_ID_HEX_SIZE])
{
        hex_encode(id->bytes, MIN(id->size, BUILD_ID_MAX), ret);
}

/* Moves past one note; `name` and `descriptor` are what lies in it. False at the end. */
static bool note_next(struct cursor *cursor, uint32_t *type, struct cursor *name,
                      struct cursor *descriptor)
{
        uint32_t name_size, descriptor_size;

        if (!cursor_u32(cursor, &name_size) || !cursor_u32(cursor, &descriptor_size) ||
            !cursor_u32(cursor, type))
                return false;
        if (!cursor_slice(cursor->data, cursor->size, cursor->offset, name_size, name) ||
            !cursor_skip(cursor, ROUND_UP((uint64_t)name_size, NOTE_ALIGNMENT)))
                return false;
        if (!cursor_slice(cursor->data, cursor->size, cursor->offset, descriptor_size, descriptor))
                return false;
        /* The padding of the very last descriptor may be missing. */
        return cursor_skip(cursor, MIN(ROUND_UP((uint64_t)descriptor_size, NOTE_ALIGNMENT),
                                       cursor_left(cursor)));
}

bool build_id_from_notes(const void *notes, size_t size, struct build_id *ret)
{
        struct cursor cursor = cursor_init(notes, size), name, descriptor;
        uint32_t type;

        while (note_next(&cursor, &type, &name, &descriptor)) {
                if (type != NT_GNU_BUILD_ID || name.size != sizeof(ELF_NOTE_GNU) ||
                    memcmp(name.data, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) != 0)
                        continue;
                if (descriptor.size < BUILD_ID_MIN || descriptor.size > BUILD_ID_MAX)
                        continue;
                *ret = (struct build_id){ .size = (uint8_t)descriptor.size };
                memcpy(ret->bytes, descriptor.data, descriptor.size);
                return true;
        }
        return false;
}
