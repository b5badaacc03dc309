/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The contents of a section .eh_frame. */
#include <stdlib.h>

#include "elf/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint64_t at = 0, last = 0, start, length;
        struct frame frame;
        uint8_t encoding;
        int r = 0;

        while (r != FRAMES_BROKEN && at < size) {
                r = frames_next(data, size, &at, &frame);
                if (r == FRAMES_BROKEN)
                        break;
                if (at <= last || at > size)
                        abort();
                if (r == 0 && (frame.offset != last || frame.size != at - last ||
                               (!frame.is_common && frame.common > frame.offset + 4)))
                        abort();
                if (r == 0 && frame.is_common)
                        (void)frames_encoding(data, size, &frame, &encoding);
                if (r == 0)
                        (void)frames_code(data, size, UINT64_C(0x7f0000000000), &frame, &start,
                                          &length);
                last = at;
        }
        return 0;
}
