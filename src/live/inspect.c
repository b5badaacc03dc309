/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is patched in a process, from its memory alone. Most processes have no anonymous mapping of
 * code at all, and then reading their maps is all there is to do.
 */
#include "live/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/user.h>

#include "base/array.h"
#include "elf/image.h"
#include "live/record.h"

_Static_assert(LIVE_MAX_MEMORY == 2 * RECORD_LEVELS + 2, "room for all that a record can name");

static const struct record_level *level_to_tell(const struct record *record)
{
        static const enum record_role order[] = { RECORD_ROLE_CURRENT, RECORD_ROLE_INCOMING,
                                                  RECORD_ROLE_OUTGOING, RECORD_ROLE_RETAINED };
        const struct record_level *best = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(order) && !best; i++)
                for (size_t j = 0; j < RECORD_LEVELS; j++)
                        if (record->levels[j].role == order[i] &&
                            (!best || record->levels[j].applied_at > best->applied_at))
                                best = &record->levels[j];
        return best;
}

static void damaged(struct live_instance *instance, const char *problem)
{
        instance->state = LIVE_STATE_DAMAGED;
        snprintf(instance->problem, sizeof(instance->problem), "%s", problem);
}

static void judge(const struct elf_memory *memory, const struct record *record,
                  const struct record_level *level, struct live_instance *instance)
{
        struct build_id build_id = { 0 };
        size_t jumps = record_count_jumps(memory, record);

        if (elf_image_read_build_id(memory, record->header.module_address, &build_id) != 0 ||
            !build_id_equal(&build_id, &instance->build_id))
                damaged(instance, "its module was unloaded");
        else if (!level)
                instance->state = LIVE_STATE_PREPARED;
        else if (level->role == RECORD_ROLE_RETAINED && jumps == 0)
                instance->state = LIVE_STATE_RETIRED;
        else if (level->role != RECORD_ROLE_CURRENT || jumps == 0)
                instance->state = LIVE_STATE_PREPARED;
        else if (record_count_missing_jumps(memory, record) == 0)
                instance->state = LIVE_STATE_ACTIVE;
        else
                damaged(instance, "some of its jumps are missing");
}

static void add_memory(struct live_instance *instance, const char *what, uint64_t address,
                       uint64_t size)
{
        if (address != 0 && size != 0)
                instance->memory[instance->n_memory++] =
                        (struct live_memory){ what, address, size };
}

static void fill_memory(const struct record *record, struct live_instance *ret)
{
        add_memory(ret, "switch", record->header.address, record->header.region_size);
        for (size_t i = 0; i < RECORD_LEVELS; i++) {
                const struct record_level *level = &record->levels[i];

                if (level->role == RECORD_ROLE_NONE)
                        continue;
                add_memory(ret, "code", level->code_address, level->code_size);
                add_memory(ret, "data", level->data_address, level->data_size);
        }
        add_memory(ret, "data", record->header.shadow_root, PAGE_SIZE);
}

static void fill(const struct elf_memory *memory, const struct record *record,
                 struct live_instance *ret)
{
        const struct record_level *level = level_to_tell(record);

        memcpy(ret->build_id.bytes, record->header.build_id, BUILD_ID_MAX);
        ret->build_id.size = (uint8_t)record->header.build_id_size;
        ret->module_address = record->header.module_address;
        snprintf(ret->module, sizeof(ret->module), "%s", record->header.module);
        fill_memory(record, ret);
        if (level) {
                snprintf(ret->patch_id, sizeof(ret->patch_id), "%.48s", level->id);
                ret->level = level->level;
                memcpy(ret->digest.bytes, level->digest, SHA256_SIZE);
                ret->applied_at = level->applied_at;
                ret->n_functions = level->n_functions;
        }
        judge(memory, record, level, ret);
}

static int inspect_region(const struct elf_memory *memory, const struct region *region,
                          struct live_instance **items, size_t *n_items, struct error *err)
{
        _cleanup_(record_done) struct record record = { 0 };
        struct live_instance *instance;
        char problem[160];
        int r = record_read(memory, region->start, &record, problem, sizeof(problem));

        if (r < 0 || r == RECORD_NONE)
                return 0; /* unreadable: another tool's, or gone by now */
        instance = ARRAY_PUSH(*items, *n_items);
        if (!instance)
                return error_no_memory(err);
        if (r == RECORD_DAMAGED) {
                add_memory(instance, "switch", region->start, region->end - region->start);
                damaged(instance, problem);
        } else {
                fill(memory, &record, instance);
        }
        return 0;
}

int live_inspect_maps(pid_t pid, const struct maps *maps, struct live_instance **ret,
                      size_t *ret_n, struct error *err)
{
        struct elf_memory memory = PROCESS_MEMORY(pid);
        _cleanup_free_ struct live_instance *items = NULL;
        size_t n = 0;

        for (size_t i = 0; i < maps->n_items; i++) {
                int r = 0;

                if (record_may_be_at(&maps->items[i]))
                        r = inspect_region(&memory, &maps->items[i], &items, &n, err);
                if (r < 0)
                        return r;
        }
        *ret = STEAL(items);
        *ret_n = n;
        return 0;
}

int live_inspect(pid_t pid, struct live_instance **ret, size_t *ret_n, struct error *err)
{
        _cleanup_(maps_done) struct maps maps = { 0 };
        int r;

        r = maps_read(pid, &maps, err);
        if (r == MAPS_GONE) { /* the main thread may have ended before the process */
                pid = process_living_thread(pid);
                r = pid ? maps_read(pid, &maps, err) : MAPS_GONE;
        }
        if (r != 0)
                return r < 0 ? r : PROCESS_GONE;
        return live_inspect_maps(pid, &maps, ret, ret_n, err);
}
