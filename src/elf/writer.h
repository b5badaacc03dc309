/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Writes a relocatable ELF object (ET_REL) with libelf: sections, symbols and relocations are
 * added in any order, then written out. Local symbols are put before global ones and relocations
 * are renumbered accordingly, as the gABI wants.
 */
#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buffer.h"
#include "base/error.h"

struct elf_writer;

struct elf_writer *elf_writer_new(uint16_t machine);
struct elf_writer *elf_writer_free(struct elf_writer *writer);
DEFINE_CLEANUP(struct elf_writer *, elf_writer_free)

/*
 * Adds a section; data is copied (NULL: zeros; SHT_NOBITS has none). Returns its index (>= 1), or
 * 0 when memory is out.
 */
size_t elf_writer_add_section(struct elf_writer *writer, const char *name, uint32_t type,
                              uint64_t flags, uint64_t alignment, const void *data, size_t size);

/*
 * Adds a symbol in `section` (an index as returned above, SHN_UNDEF or SHN_ABS). Returns a handle
 * (>= 1) for relocations, or 0 when memory is out.
 */
size_t elf_writer_add_symbol(struct elf_writer *writer, const char *name, size_t section,
                             uint64_t value, uint64_t size, uint8_t bind, uint8_t type);

/*
 * Adds a relocation to the bytes of `section`. False when memory is out or the section or symbol
 * was not returned by the functions above.
 */
bool elf_writer_add_relocation(struct elf_writer *writer, size_t section, uint64_t offset,
                               uint32_t type, size_t symbol, int64_t addend);

/* The finished file. */
int elf_writer_finish(struct elf_writer *writer, struct buffer *ret, struct error *err);
