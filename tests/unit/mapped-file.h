/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A module as the kernel would map it, made from a file's bytes: for readers of foreign memory,
 * with addresses of one's choice and bytes that may be spoiled. Nothing is relocated, as in a
 * program that is stopped at its exec.
 */
#include "base/buffer.h"
#include "elf/image.h"

struct mapped_file {
        uint64_t start;         /* of the memory, page-aligned */
        uint8_t *memory;
        size_t size;
        size_t n_reads;         /* how often memory was read */
};

/* `address`: where the file's first byte comes to lie. False if it can't be mapped. */
bool mapped_file_init(struct mapped_file *mapped, const void *data, size_t size, uint64_t address);
void mapped_file_done(struct mapped_file *mapped);
/* A reader of it; -EFAULT outside. */
struct elf_memory mapped_file_memory(struct mapped_file *mapped);
/* A reader of this process. */
struct elf_memory own_memory(void);
