/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mapped-file.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "base/cursor.h"
#include "elf/view.h"

#define PAGE 4096u
#define MAX_SIZE (256u << 20)

bool mapped_file_init(struct mapped_file *mapped, const void *data, size_t size, uint64_t address)
{
        uint64_t low = UINT64_MAX, high = 0;
        struct elf_view view;
        Elf64_Phdr segment;

        *mapped = (struct mapped_file){ 0 };
        if (elf_view_open(data, size, "the file", &view, NULL) < 0)
                return false;
        for (size_t i = 0; elf_view_segment(&view, i, &segment); i++) {
                if (segment.p_type != PT_LOAD)
                        continue;
                low = MIN(low, ROUND_DOWN(segment.p_vaddr, PAGE));
                high = MAX(high, ROUND_UP(segment.p_vaddr + segment.p_memsz, PAGE));
        }
        if (high <= low || high - low > MAX_SIZE)
                return false;
        mapped->start = address;
        mapped->size = high - low;
        mapped->memory = calloc(1, mapped->size);
        for (size_t i = 0; mapped->memory && elf_view_segment(&view, i, &segment); i++) {
                uint64_t offset = segment.p_vaddr - low;

                if (segment.p_type != PT_LOAD)
                        continue;
                if (!range_fits(segment.p_offset, segment.p_filesz, size) ||
                    !range_fits(offset, segment.p_filesz, mapped->size))
                        return false;
                memcpy(mapped->memory + offset, view.data + segment.p_offset, segment.p_filesz);
        }
        return mapped->memory != NULL;
}

void mapped_file_done(struct mapped_file *mapped)
{
        free(mapped->memory);
        mapped->memory = NULL;
}

static int read_mapped(void *context, uint64_t address, void *ret, size_t size)
{
        struct mapped_file *mapped = context;

        mapped->n_reads++;
        if (address < mapped->start || !range_fits(address - mapped->start, size, mapped->size))
                return -EFAULT;
        memcpy(ret, mapped->memory + (address - mapped->start), size);
        return 0;
}

struct elf_memory mapped_file_memory(struct mapped_file *mapped)
{
        return (struct elf_memory){ .read = read_mapped, .context = mapped };
}

static int read_own(void *context, uint64_t address, void *ret, size_t size)
{
        struct iovec to = { .iov_base = ret, .iov_len = size };
        struct iovec from = { .iov_base = (void *)(uintptr_t)address, .iov_len = size };
        ssize_t n = process_vm_readv(getpid(), &to, 1, &from, 1, 0);

        (void)context;
        if (n < 0)
                return -errno;
        return (size_t)n == size ? 0 : -EFAULT;
}

struct elf_memory own_memory(void)
{
        return (struct elf_memory){ .read = read_own };
}
