/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading and writing the record. Whoever reads it does so from the memory of a process that may
 * have written there itself, so nothing in it is believed before it was checked: checksums, own
 * address, sizes. That a mapping named in it is still suture's is for mapping_is_ours() to say.
 */
#include "live/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "live/mapping.h"

/* FNV-1a, 32 bits: against accidents, not against intent (who can write here owns the process). */
static uint32_t checksum(const void *data, size_t size)
{
        const uint8_t *bytes = data;
        uint32_t hash = 2166136261u;

        for (size_t i = 0; i < size; i++)
                hash = (hash ^ bytes[i]) * 16777619u;
        return hash;
}

static uint32_t head_checksum(const struct record *record)
{
        uint8_t head[RECORD_HEAD_SIZE];
        size_t size = RECORD_SLOTS + (size_t)record->header.capacity * ARCH_SLOT_SIZE;

        memcpy(head, record->head, size);
        memset(head + offsetof(struct record_header, checksum), 0, sizeof(uint32_t));
        return checksum(head, size);
}

static uint32_t function_checksum(const struct record_function *function)
{
        struct record_function copy = *function;

        copy.checksum = 0;
        return checksum(&copy, sizeof(copy));
}

static size_t head_size(const struct record *record)
{
        return RECORD_SLOTS + (size_t)record->header.capacity * ARCH_SLOT_SIZE;
}

uint64_t record_region_size(uint32_t capacity)
{
        uint64_t size = RECORD_SLOTS + (uint64_t)capacity * ARCH_SLOT_SIZE;

        size += capacity * sizeof(struct record_function) + RECORD_STUB_ROOM;
        return ROUND_UP(size, UINT64_C(4096));
}

uint64_t record_stub_address(const struct record *record)
{
        return record->header.address + record->header.region_size - RECORD_STUB_ROOM;
}

uint64_t record_register_stub_address(const struct record *record)
{
        return record->header.address + record->header.region_size - RECORD_REGISTER_STUB_ROOM;
}

uint64_t record_slot_address(const struct record *record, size_t function)
{
        return record->header.address + RECORD_SLOTS + function * ARCH_SLOT_SIZE;
}

uint64_t record_function_address(const struct record *record, size_t function)
{
        return record->header.address + head_size(record) +
               function * sizeof(struct record_function);
}

uint64_t record_displaced_address(const struct record *record, size_t function)
{
        return record_function_address(record, function) +
               offsetof(struct record_function, displaced);
}

uint64_t record_jump_address(const struct record_function *function)
{
        return function->address + function->skip;
}

void record_init(struct record *record, uint64_t address, uint32_t capacity,
                 uint64_t module_address, const struct build_id *build_id, const char *module)
{
        *record = (struct record){ 0 };
        memcpy(record->header.magic, RECORD_MAGIC, sizeof(record->header.magic));
        record->header.version = RECORD_VERSION_FIRST;
        record->header.address = address;
        record->header.capacity = capacity;
        record->header.region_size = (uint32_t)record_region_size(capacity);
        record->header.module_address = module_address;
        memcpy(record->header.build_id, build_id->bytes, build_id->size);
        record->header.build_id_size = build_id->size;
        snprintf(record->header.module, sizeof(record->header.module), "%s", module);
        memset(record->head + RECORD_SLOTS, 0xcc, (size_t)capacity * ARCH_SLOT_SIZE);
}

void record_done(struct record *record)
{
        free(record->functions);
        *record = (struct record){ 0 };
}

struct record_level *record_level_with(struct record *record, enum record_role role)
{
        for (size_t i = 0; i < RECORD_LEVELS; i++)
                if (record->levels[i].role == role)
                        return &record->levels[i];
        return NULL;
}

struct record_level *record_level_add(struct record *record)
{
        struct record_level *level = record_level_with(record, RECORD_ROLE_NONE);

        if (level)
                *level = (struct record_level){ 0 };
        return level;
}

bool record_is_settled(struct record *record)
{
        return !record_level_with(record, RECORD_ROLE_INCOMING) &&
               !record_level_with(record, RECORD_ROLE_OUTGOING);
}

enum record_role record_role_after(const struct record_level *level)
{
        return level->flags & (RECORD_LEVEL_PINNED | RECORD_LEVEL_ENTRY) ? RECORD_ROLE_RETAINED
                                                                         : RECORD_ROLE_OUTGOING;
}

int record_find_function(const struct record *record, uint64_t address)
{
        for (size_t i = 0; i < record->n_functions; i++)
                if (record->functions[i].address == address)
                        return (int)i;
        return -1;
}

bool record_set_slot(struct record *record, size_t function, uint64_t to)
{
        uint8_t slot[ARCH_SLOT_SIZE];

        memset(slot, 0xcc, sizeof(slot));
        if (!arch_jump(record_slot_address(record, function), to, slot))
                return false;
        memcpy(record->head + RECORD_SLOTS + function * ARCH_SLOT_SIZE, slot, sizeof(slot));
        return true;
}

static uint32_t version_for(const struct record *record)
{
        for (size_t i = 0; i < RECORD_LEVELS; i++)
                if (record->levels[i].role != RECORD_ROLE_NONE &&
                    (record->levels[i].flags & RECORD_LEVEL_REGISTERS))
                        return RECORD_VERSION_REGISTERS;
        return RECORD_VERSION_FIRST;
}

int record_commit(struct target *target, struct record *record, struct error *err)
{
        record->header.version = version_for(record);
        record->header.n_functions = (uint32_t)record->n_functions;
        record->header.sequence++;
        record->header.checksum = head_checksum(record);
        return target_write(target, record->header.address, record->head, head_size(record), err);
}

int record_write_function(struct target *target, struct record *record, size_t i,
                          struct error *err)
{
        record->functions[i].checksum = function_checksum(&record->functions[i]);
        return target_write(target, record_function_address(record, i), &record->functions[i],
                            sizeof(record->functions[i]), err);
}

/* --- Reading ----------------------------------------------------------------------------- */

static const char *header_problem(const struct record *record, uint64_t address)
{
        const struct record_header *header = &record->header;

        if (header->version != RECORD_VERSION_FIRST && header->version != RECORD_VERSION_REGISTERS)
                return "written by another version of suture";
        if (header->address != address)
                return "its own address is wrong";
        if (header->capacity < RECORD_CAPACITY_MIN || header->capacity > RECORD_CAPACITY_MAX ||
            header->region_size != record_region_size(header->capacity))
                return "its size is wrong";
        if (header->checksum != head_checksum(record))
                return "its checksum is wrong";
        if (header->n_functions > header->capacity || header->build_id_size > BUILD_ID_MAX ||
            !memchr(header->module, '\0', sizeof(header->module)))
                return "its header is malformed";
        for (size_t i = 0; i < RECORD_LEVELS; i++)
                if (record->levels[i].role > RECORD_ROLE_RETAINED ||
                    !memchr(record->levels[i].id, '\0', sizeof(record->levels[i].id)))
                        return "its levels are malformed";
        return NULL;
}

static int read_functions(const struct elf_memory *memory, struct record *record,
                          const char **ret_problem)
{
        size_t n = record->header.n_functions, capacity = 1;
        int r;

        while (capacity < n) /* as base/array.h lets it grow */
                capacity *= 2;
        record->functions = calloc(capacity, sizeof(*record->functions));
        if (!record->functions)
                return -ENOMEM;
        record->n_functions = n;
        r = memory->read(memory->context, record_function_address(record, 0), record->functions,
                         n * sizeof(*record->functions));
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                const struct record_function *function = &record->functions[i];

                if (function->checksum != function_checksum(function) ||
                    function->length > ARCH_ORIGINAL_MAX ||
                    function->displaced_size > ARCH_DISPLACED_MAX)
                        *ret_problem = "one of its functions is malformed";
        }
        return 0;
}

int record_read(const struct elf_memory *memory, uint64_t address, struct record *ret,
                char *problem, size_t problem_size)
{
        _cleanup_(record_done) struct record record = { 0 };
        const char *text;
        int r;

        r = memory->read(memory->context, address, record.head, sizeof(record.header));
        if (r < 0)
                return r;
        if (memcmp(record.header.magic, RECORD_MAGIC, sizeof(record.header.magic)) != 0)
                return RECORD_NONE;
        r = memory->read(memory->context, address, record.head, sizeof(record.head));
        if (r < 0)
                return r;
        text = header_problem(&record, address);
        if (!text) {
                r = read_functions(memory, &record, &text);
                if (r < 0)
                        return r;
        }
        record.exists = true;
        *ret = record;
        record = (struct record){ 0 };
        if (!text)
                return 0;
        snprintf(problem, problem_size, "%s", text);
        return RECORD_DAMAGED;
}

bool record_may_be_at(const struct region *region)
{
        return region->executable && region->readable && !region->writable && !region->shared &&
               region->inode == 0 && (region->path[0] == '\0' || region->path[1] == 'a') &&
               region->end - region->start >= RECORD_HEAD_SIZE;
}

bool record_is_orphan(struct target *target, const struct region *region)
{
        static const uint8_t zeros[RECORD_HEAD_SIZE];
        uint8_t head[RECORD_HEAD_SIZE];

        return record_may_be_at(region) &&
               target_read(target, region->start, head, sizeof(head), NULL) == 0 &&
               memcmp(head, zeros, sizeof(head)) == 0 &&
               mapping_is_marked(target, region);
}

bool record_has_jump(const struct elf_memory *memory, const struct record *record, size_t i)
{
        uint64_t at = record_jump_address(&record->functions[i]), to;
        uint8_t code[ARCH_JUMP_SIZE];

        return memory->read(memory->context, at, code, sizeof(code)) == 0 &&
               arch_jump_target(code, at, &to) && to == record_slot_address(record, i);
}

size_t record_count_jumps(const struct elf_memory *memory, const struct record *record)
{
        size_t n = 0;

        for (size_t i = 0; i < record->n_functions; i++)
                n += record_has_jump(memory, record, i);
        return n;
}

/* True if a slot leads to the code of the current level. */
static bool is_switched(const struct record *record, size_t function)
{
        const uint8_t *slot = record->head + RECORD_SLOTS + function * ARCH_SLOT_SIZE;
        uint64_t to;

        if (!arch_jump_target(slot, record_slot_address(record, function), &to))
                return false;
        for (size_t i = 0; i < RECORD_LEVELS; i++) {
                const struct record_level *level = &record->levels[i];

                if (level->role == RECORD_ROLE_CURRENT && to >= level->code_address &&
                    to - level->code_address < level->code_size)
                        return true;
        }
        return false;
}

size_t record_count_missing_jumps(const struct elf_memory *memory, const struct record *record)
{
        size_t n = 0;

        for (size_t i = 0; i < record->n_functions; i++)
                n += is_switched(record, i) && !record_has_jump(memory, record, i);
        return n;
}
