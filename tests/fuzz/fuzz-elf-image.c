/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of a foreign process: the input lies at a fixed address, the rest is not mapped. All
 * questions that suture asks of a module are asked. Work must stay bounded by what is mapped, not
 * by what the tables claim.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "mutate.h"
#include "sound.h"

#define ADDRESS UINT64_C(0x7f0000000000)
#define MAX_READS 2000000u

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
        const uint8_t *data;
        size_t size, n_reads;
};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
        size = recall(data, size, max_size, seed);
        if (seed % 4 == 0)
                return LLVMFuzzerMutate(data, size, max_size);
        mutate_elf_image(data, size, ADDRESS, seed);
        return size;
}

static int read_input(void *context, uint64_t address, void *ret, size_t size)
{
        struct input *input = context;

        if (++input->n_reads > MAX_READS)
                abort();
        if (address < ADDRESS || !range_fits(address - ADDRESS, size, input->size))
                return -EFAULT;
        memcpy(ret, input->data + (address - ADDRESS), size);
        return 0;
}

static bool take_slot(void *context, const char *name, enum elf_slot_kind kind, uint64_t address)
{
        if (name[0] == '\0' || (kind != ELF_SLOT_JUMP && kind != ELF_SLOT_DATA))
                abort();
        (void)address;
        return ++*(size_t *)context > 100000;
}

static void ask(const struct elf_memory *memory, const struct elf_image *image)
{
        static const struct {
                const char *name, *version;
        } questions[] = {
                { "seed_answer", "SEED_1" }, { "seed_old", "SEED_1" }, { "seed_old", "SEED_2" },
                { "seed_old", NULL }, { "seed_data", "SEED_1" }, { "seed_weak", NULL },
                { "malloc", "GLIBC_2.2.5" }, { "none", NULL }, { "", NULL },
                { "__vdso_gettimeofday", "LINUX_2.6" }, { "clock_gettime", "LINUX_2.6" },
        };
        static const char *const imports[] = { "makecontext", "malloc", "none", NULL };
        size_t n_slots = 0;

        for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
                struct elf_image_symbol symbol = { 0 };
                int r = elf_image_lookup(memory, image, questions[i].name, questions[i].version,
                                         &symbol);

                if (r > 1 ||
                    (r == 0 && (symbol.bind == STB_LOCAL || symbol.type == STT_SECTION)))
                        abort();
        }
        elf_image_each_slot(memory, image, take_slot, &n_slots);
        elf_image_imports_any(memory, image, imports);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input input = { .data = data, .size = size };
        struct elf_memory memory = { .read = read_input, .context = &input };
        struct elf_image image;
        struct build_id id = { 0 };

        if (elf_image_read(&memory, ADDRESS, &image) == 0) {
                if (image.start > image.header_address || image.header_address >= image.end ||
                    image.build_id.size > BUILD_ID_MAX)
                        abort();
                ask(&memory, &image);
                remember(data, size);
                if (image.gnu_hash && image.sysv_hash) {
                        image.gnu_hash = 0;
                        ask(&memory, &image);
                }
        }
        if (elf_image_read_build_id(&memory, ADDRESS, &id) == 0 && id.size > BUILD_ID_MAX)
                abort();
        return 0;
}
