/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A patch file: whatever is accepted must be sound, whatever is refused must be told why. */
#include <stdlib.h>
#include <string.h>

#include "mutate.h"
#include "sound.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
        size = recall(data, size, max_size, seed);
        switch (seed % 8) {
        case 0: return LLVMFuzzerMutate(data, size, max_size);
        case 1:
        case 2:
        case 3: mutate_elf_file(data, size, seed); return size;
        default: return mutate_manifest(data, size, max_size, seed);
        }
}

static void check_told(const struct error *err)
{
        if (strlen(err->cause) < 10 || err->next[0] == '\0')
                abort();
        for (const char *at = err->cause; *at; at++)
                if ((unsigned char)*at < 0x20 || *at == 0x7f)
                        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct patch *patch = NULL;
        struct error err = { 0 };

        if (patch_parse(data, size, "x.spatch", &patch, &err) < 0) {
                check_told(&err);
                return 0;
        }
        if (!patch_is_sound(patch))
                abort();
        remember(data, size);
        walk_view(&patch->view);
        patch_free(patch);
        return 0;
}
