/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of calls for a mapping ends with those that mark it, so that a suture that is killed in
 * between leaves something it can recognise later: the target makes the whole list by itself.
 */
#include "live/mapping.h"

#include <errno.h>
#include <linux/prctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <syscall.h>

#include "base/file.h"
#include "live/call.h"

#define CALLS_PER_MAPPING 2
_Static_assert(2 * CALLS_PER_MAPPING <= ARCH_CALL_MAX, "a list of calls must fit its frame");

static void mapping_calls(const struct target *target, const struct mapping *mapping,
                          struct arch_call calls[static CALLS_PER_MAPPING])
{
        uint64_t protection = PROT_READ | (mapping->kind == MAPPING_CODE ? PROT_EXEC : PROT_WRITE);

        calls[0] = (struct arch_call){
                SYS_mmap,
                { mapping->address, mapping->size, protection,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0 }
        };
        if (live_cache_names_mappings(target->cache))
                calls[1] = (struct arch_call){
                        SYS_prctl,
                        { PR_SET_VMA, PR_SET_VMA_ANON_NAME, mapping->address, mapping->size,
                          target->stub + arch_call_stub_name }
                };
        else
                calls[1] = (struct arch_call){ SYS_madvise,
                                               { mapping->address, mapping->size, MADV_RANDOM } };
}

int mapping_make(struct target *target, const struct mapping *mappings, size_t n,
                 struct error *err)
{
        struct arch_call calls[2 * CALLS_PER_MAPPING];
        int64_t results[2 * CALLS_PER_MAPPING] = { 0 };
        size_t done = 0;
        int r = target_place_stub(target, err);

        if (r != 0)
                return r;
        for (size_t i = 0; i < n; i++)
                mapping_calls(target, &mappings[i], calls + i * CALLS_PER_MAPPING);
        r = target_call(target, calls, n * CALLS_PER_MAPPING, results, &done, err);
        target->maps_stale = true;
        for (size_t i = 0; i < n && r == 0; i++) {
                int64_t address = results[i * CALLS_PER_MAPPING];

                if ((uint64_t)address == mappings[i].address)
                        continue;
                for (size_t j = 0; j < i; j++)
                        (void)mapping_remove(target, mappings[j].address, mappings[j].size, NULL);
                if (address > 0) { /* a kernel before 4.17 took the address for a hint */
                        (void)mapping_remove(target, (uint64_t)address, mappings[i].size, NULL);
                        return MAPPING_TAKEN;
                }
                if (address == -EEXIST)
                        return MAPPING_TAKEN;
                return target_call_failed(target, "map memory for the patch", address, err);
        }
        return r;
}

/* smaps(5), "VmFlags": rr is the advice MADV_RANDOM. */
static bool has_random_advice(const struct target *target, uint64_t start)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        char path[64], wanted[32];
        const char *at, *flags;

        snprintf(path, sizeof(path), "/proc/%d/smaps", target->thread);
        if (file_read(path, 64u << 20, &text, NULL) < 0)
                return false;
        snprintf(wanted, sizeof(wanted), "%08lx-", start);
        at = (const char *)text.data;
        while (at && strncmp(at, wanted, strlen(wanted)) != 0) {
                at = strchr(at, '\n');
                at = at ? at + 1 : NULL;
        }
        flags = at ? strstr(at, "VmFlags:") : NULL;
        if (!flags)
                return false;
        at = strstr(flags, " rr");
        return at && at < flags + strcspn(flags, "\n");
}

bool mapping_is_marked(const struct target *target, const struct region *region)
{
        return strstr(region->path, ":suture]") || has_random_advice(target, region->start);
}

bool mapping_is_ours(const struct target *target, const struct mapping *mapping)
{
        const struct region *region = maps_find(&target->maps, mapping->address);
        uint64_t end = mapping->address + mapping->size;
        bool code = mapping->kind == MAPPING_CODE;

        if (!region || region->inode != 0 || region->shared || region->executable != code ||
            region->writable == code)
                return false;
        /* the advice alone is not enough for data, which others may have advised so, too */
        if (code ? end > region->end : region->start != mapping->address || region->end != end)
                return false;
        return mapping_is_marked(target, region);
}

int mapping_remove(struct target *target, uint64_t address, uint64_t size, struct error *err)
{
        struct arch_call call = { SYS_munmap, { address, size } };
        int64_t result = 0;
        size_t done = 0;
        int r = target_call(target, &call, 1, &result, &done, err);

        target->maps_stale = true;
        if (r == 0 && result < 0)
                return target_call_failed(target, "unmap the memory of a patch", result, err);
        return r;
}
