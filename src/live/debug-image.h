/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * What makes new code known to debuggers: near its start the code image of a level has an ELF header,
 * and at its end a symbol table and a section table (System V gABI), so that it is an ELF file in
 * memory which gdb reads by itself (add-symbol-file-from-memory), in a process or in its core file.
 *
 * The header does not stand at the very start, since a mapping that begins with one is a module, to
 * suture (proc/module.h) and to others.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct binding;

/* Where the ELF header lies in the code image; share/gdb/suture.py knows it. */
#define DEBUG_IMAGE_START 16
/* Room for all that lies before the code. */
#define DEBUG_IMAGE_HEAD 144

/* Bytes at the end of the code image: tables and names. */
size_t debug_image_tail_size(const struct binding *binding);
/*
 * Writes head and tail, the latter at `tail_offset` (a multiple of 8), into the binding's code
 * image; everything else must be there already.
 */
void debug_image_fill(struct binding *binding);
