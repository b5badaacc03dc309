/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Windows over the tables of a mapped module: few big reads in place of many small ones. A piece
 * is cut at the end of its segment; if even that can't be read (a program may have unmapped or
 * protected a part), exactly what was asked for is tried before giving up.
 */
#include "elf/image-window.h"

#include <errno.h>
#include <string.h>

#define MIN_CAPACITY 64
#define MAX_FETCHES 65536u
#define MAX_BYTES (UINT64_C(4) << 30)

void image_window_init(struct image_window *window, const struct elf_memory *memory,
                       const struct elf_image *image, uint64_t base, size_t capacity)
{
        *window = (struct image_window){
                .memory = memory,
                .image = image,
                .base = base,
                .capacity = MAX(capacity, (size_t)MIN_CAPACITY),
                .bytes_left = MAX_BYTES,
                .fetches_left = MAX_FETCHES,
        };
}

void image_window_done(struct image_window *window)
{
        free(window->data);
        window->data = NULL;
        window->size = 0;
}

uint64_t image_segment_end(const struct elf_image *image, uint64_t address)
{
        for (size_t i = 0; i < image->n_segments; i++) {
                const Elf64_Phdr *segment = &image->segments[i];
                uint64_t start = image->bias + segment->p_vaddr;

                if (segment->p_type == PT_LOAD && address >= start &&
                    address - start < segment->p_memsz)
                        return MIN(start + segment->p_memsz, image->end);
        }
        return 0;
}

static bool window_holds(const struct image_window *window, uint64_t address, size_t size)
{
        return address >= window->start && address - window->start <= window->size &&
               size <= window->size - (address - window->start);
}

static int window_fetch(struct image_window *window, uint64_t start, size_t size)
{
        int r;

        if (window->fetches_left == 0 || size > window->bytes_left)
                return -EBADMSG;
        window->fetches_left--;
        window->bytes_left -= size;
        if (!window->data)
                window->data = malloc(window->capacity);
        if (!window->data)
                return -ENOMEM;
        window->size = 0;
        r = window->memory->read(window->memory->context, start, window->data, size);
        if (r < 0)
                return r;
        window->start = start;
        window->size = size;
        return 0;
}

int image_window_get(struct image_window *window, uint64_t address, size_t size,
                     const uint8_t **ret)
{
        uint64_t start = address, end;
        int r = 0;

        if (!window_holds(window, address, size)) {
                end = image_segment_end(window->image, address);
                if (end == 0 || size > end - address || size > window->capacity)
                        return -EBADMSG;
                if (address >= window->base)
                        start = address - (address - window->base) % window->capacity;
                if (image_segment_end(window->image, start) != end ||
                    address - start + size > window->capacity)
                        start = address;
                r = window_fetch(window, start, MIN(window->capacity, end - start));
                if (r == -EFAULT || r == -EIO)
                        r = window_fetch(window, address, size);
                if (r < 0)
                        return r;
        }
        *ret = window->data + (address - window->start);
        return 0;
}

int image_window_copy(struct image_window *window, uint64_t table, uint64_t index, size_t size,
                      void *ret)
{
        const uint8_t *bytes;
        uint64_t offset, address;
        int r;

        if (table == 0 || __builtin_mul_overflow(index, size, &offset) ||
            __builtin_add_overflow(table, offset, &address))
                return -EBADMSG;
        r = image_window_get(window, address, size, &bytes);
        if (r < 0)
                return r;
        memcpy(ret, bytes, size);
        return 0;
}

int image_window_string(struct image_window *window, uint64_t address, uint64_t end,
                        const char **ret)
{
        const uint8_t *bytes;
        size_t held;
        int r;

        if (address >= end)
                return -EBADMSG;
        r = image_window_get(window, address, 1, &bytes);
        if (r < 0)
                return r;
        held = MIN(window->size - (address - window->start), end - address);
        if (!memchr(bytes, '\0', held)) {
                /* Perhaps cut by the end of the piece: once more, with the string in front. */
                held = MIN(window->capacity,
                           MIN(end, image_segment_end(window->image, address)) - address);
                r = image_window_get(window, address, held, &bytes);
                if (r < 0)
                        return r;
                if (!memchr(bytes, '\0', held))
                        return -EBADMSG;
        }
        *ret = (const char *)bytes;
        return 0;
}
