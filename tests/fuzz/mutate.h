/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Mutations that know the format. Flipping bytes anywhere mostly breaks the ELF header, which is
 * checked first; these change a field where it counts, to a value that breaks readers, and leave
 * the rest whole, so that the later checks are reached.
 */
#include <stddef.h>
#include <stdint.h>

/*
 * Inputs that were accepted are the best to start from: with one thing changed they get to the
 * check of that thing. The first ones are kept (the seeds come first), and now and then recall()
 * replaces `data` by one of them. Returns the size.
 */
void remember(const uint8_t *data, size_t size);
size_t recall(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

/* A file: header, section headers, program headers, symbols, relocations. Same size. */
void mutate_elf_file(uint8_t *data, size_t size, unsigned int seed);
/* A mapped module: header, program headers, and what the dynamic section leads to. Same size. */
void mutate_elf_image(uint8_t *data, size_t size, uint64_t address, unsigned int seed);
/*
 * The manifest of a patch file: one value in its JSON changed, removed, doubled or of another
 * type; the new text is put at the end of the file. Returns the new size (at most `max_size`; the
 * old one where that is too small or there is no manifest).
 */
size_t mutate_manifest(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
