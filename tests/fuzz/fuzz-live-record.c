/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The record in the memory of a process that may have written anything there. Most inputs would be
 * refused for their checksums, so the mutator puts those right again and what is behind them is
 * reached.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "live/mapping.h"
#include "live/record.h"

#define ADDRESS UINT64_C(0x7f0000000000)

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not reached by a reader. */
bool mapping_is_marked(const struct target *target, const struct region *region)
{
        (void)target, (void)region;
        abort();
}

int target_read(struct target *target, uint64_t address, void *ret, size_t size, struct error *err)
{
        (void)target, (void)address, (void)ret, (void)size, (void)err;
        abort();
}

int target_write(struct target *target, uint64_t address, const void *data, size_t size,
                 struct error *err)
{
        (void)target, (void)address, (void)data, (void)size, (void)err;
        abort();
}

/* FNV-1a, as the record has it. */
static uint32_t checksum(const uint8_t *bytes, size_t size)
{
        uint32_t hash = 2166136261u;

        for (size_t i = 0; i < size; i++)
                hash = (hash ^ bytes[i]) * 16777619u;
        return hash;
}

static void make_plausible(uint8_t *data, size_t size, unsigned int seed)
{
        struct record_header *header = (struct record_header *)data;
        size_t head;

        memcpy(header->magic, RECORD_MAGIC, sizeof(header->magic));
        header->version = RECORD_VERSION_FIRST + header->version % 2;
        header->address = ADDRESS;
        header->capacity = RECORD_CAPACITY_MIN + seed % 4;
        header->region_size = (uint32_t)record_region_size(header->capacity);
        if (seed & 16)
                header->n_functions %= 8;
        head = RECORD_SLOTS + header->capacity * ARCH_SLOT_SIZE;
        for (size_t i = 0; i < 8; i++) {
                size_t at = head + i * sizeof(struct record_function);
                struct record_function *function = (struct record_function *)(data + at);

                if (at + sizeof(*function) > size)
                        break;
                function->checksum = 0;
                function->checksum = checksum(data + at, sizeof(*function));
        }
        for (size_t i = 0; i < RECORD_LEVELS && (seed & 32); i++) {
                struct record_level *level = (struct record_level *)(data + 256 + i * 144);

                level->role %= RECORD_ROLE_RETAINED + 1;
                level->id[sizeof(level->id) - 1] = '\0';
        }
        header->checksum = 0;
        header->checksum = checksum(data, head);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
        size = LLVMFuzzerMutate(data, size, max_size);
        if (seed % 8 == 0)
                return size;
        if (size < RECORD_HEAD_SIZE && max_size >= 2 * RECORD_HEAD_SIZE) {
                memset(data + size, 0, 2 * RECORD_HEAD_SIZE - size);
                size = 2 * RECORD_HEAD_SIZE;
        }
        if (size >= RECORD_HEAD_SIZE)
                make_plausible(data, size, seed / 8);
        return size;
}

struct input {
        const uint8_t *data;
        size_t size;
};

static int read_input(void *context, uint64_t address, void *ret, size_t size)
{
        const struct input *input = context;

        if (address < ADDRESS || size > input->size || address - ADDRESS > input->size - size)
                return -EFAULT;
        memcpy(ret, input->data + (address - ADDRESS), size);
        return 0;
}

static void check_record(const struct elf_memory *memory, struct record *record)
{
        uint64_t end = record->header.address + record->header.region_size;

        if (record->header.address != ADDRESS || record->n_functions > record->header.capacity ||
            record->header.capacity > RECORD_CAPACITY_MAX ||
            strlen(record->header.module) >= sizeof(record->header.module) ||
            record_function_address(record, record->header.capacity) > record_stub_address(record) ||
            record_stub_address(record) + RECORD_STUB_ROOM != end)
                abort();
        for (size_t i = 0; i < record->n_functions; i++)
                if (record->functions[i].length > ARCH_ORIGINAL_MAX ||
                    record->functions[i].displaced_size > ARCH_DISPLACED_MAX ||
                    record_displaced_address(record, i) + ARCH_DISPLACED_MAX > end)
                        abort();
        for (size_t i = 0; i < RECORD_LEVELS; i++)
                if (strlen(record->levels[i].id) >= sizeof(record->levels[i].id))
                        abort();
        if (record_count_jumps(memory, record) > record->n_functions ||
            record_count_missing_jumps(memory, record) > record->n_functions)
                abort();
        (void)record_find_function(record, ADDRESS);
        (void)record_level_with(record, RECORD_ROLE_CURRENT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input input = { data, size };
        struct elf_memory memory = { read_input, &input };
        _cleanup_(record_done) struct record record = { 0 };
        char problem[160] = "";
        int r = record_read(&memory, ADDRESS, &record, problem, sizeof(problem));

        if (r == 0)
                check_record(&memory, &record);
        if (r == RECORD_DAMAGED && problem[0] == '\0')
                abort();
        if (r != 0 && r != RECORD_DAMAGED && record.functions)
                abort();
        return 0;
}
