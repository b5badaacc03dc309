/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What makes new code known to debuggers: the code image of a level begins with an ELF header and
 * ends with a symbol table and a section table (System V gABI), so that it is an ELF file in memory
 * which gdb reads by itself (add-symbol-file-from-memory), in a process or in its core file.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct binding;

/* Room for ELF header and program header, at the start of the code image. */
#define DEBUG_IMAGE_HEAD 128

/* Bytes at the end of the code image: tables and names. */
size_t debug_image_tail_size(const struct binding *binding);
/*
 * Writes head and tail, the latter at `tail_offset` (a multiple of 8), into the binding's code
 * image; everything else must be there already.
 */
void debug_image_fill(struct binding *binding);
