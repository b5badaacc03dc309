/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Unwind information as compilers write it in .eh_frame: a list of entries (FDE), each for a range
 * of code, and of what several of them have in common (CIE). Linux Standard Base 5.0, Core, 10.6
 * "Exception Frames"; the encodings of pointers are in 10.5. Nothing of it is trusted.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame {
        uint64_t offset, size;      /* of the whole entry, in the list */
        bool is_common;             /* a CIE */
        uint64_t common;            /* of an FDE: the offset of its CIE */
};

/* In an FDE: where the distance back to its CIE lies, and where the address of its code. */
#define FRAME_COMMON_POINTER 4
#define FRAME_CODE_POINTER 8

enum frames_outcome {
        FRAMES_END = 1,             /* the zero that ends a list, or the end of the data */
        FRAMES_BROKEN = 2,          /* an entry that ends outside of the data, or belongs to none */
};

/* The entry at *at, which is advanced. After FRAMES_END another list may follow. */
int frames_next(const void *data, size_t size, uint64_t *at, struct frame *ret);

/* How the addresses of code are encoded (DW_EH_PE_*) in the FDEs of a CIE; false: not understood. */
bool frames_encoding(const void *data, size_t size, const struct frame *common, uint8_t *ret);

/*
 * The code that an FDE is for, where the list lies at `address`. Only the encodings that compilers
 * use for x86-64 are known: relative to the field, or absolute, of 4 or 8 bytes. The whole list
 * must be whole (frames_next() up to FRAMES_END).
 */
bool frames_code(const void *data, size_t size, uint64_t address, const struct frame *entry,
                 uint64_t *ret_start, uint64_t *ret_size);
