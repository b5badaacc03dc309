/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any file: opened and, if accepted, walked over wholly. */
#include <stdlib.h>

#include "mutate.h"
#include "sound.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
        size = recall(data, size, max_size, seed);
        if (seed % 4 == 0)
                return LLVMFuzzerMutate(data, size, max_size);
        mutate_elf_file(data, size, seed);
        return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct error err = { 0 };
        struct elf_view view;

        if (elf_view_open(data, size, "the file", &view, &err) == 0) {
                walk_view(&view);
                remember(data, size);
        } else if (err.cause[0] == '\0' || err.next[0] == '\0') {
                abort();
        }
        return 0;
}
