/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Holes between mappings, nearest first. Room is left below the stack and above the heap, since
 * both grow; above the heap we stay at the far end of the hole besides.
 */
#include "live/place.h"

#include <string.h>
#include <sys/user.h>

#include "base/cleanup.h"
#include "live/arch/arch.h"

#define LOWEST UINT64_C(0x10000)              /* vm.mmap_min_addr is at most this by default */
#define HIGHEST UINT64_C(0x7ffffffff000)      /* TASK_SIZE with four-level paging */
#define LOW_END UINT64_C(0x80000000)
#define MARGIN UINT64_C(0x10000)              /* for what is added to an address in code */
#define HEAP_ROOM (UINT64_C(64) << 20)
#define STACK_ROOM (UINT64_C(1) << 30)

struct range {
        uint64_t start, end;
};

static struct range reachable(const struct place_wish *wish)
{
        struct range range = { LOWEST, HIGHEST };

        if (wish->near_end > ARCH_REACH - MARGIN)
                range.start = MAX(range.start, wish->near_end - (ARCH_REACH - MARGIN));
        range.end = MIN(range.end, wish->near_start + ARCH_REACH - MARGIN);
        if (wish->low)
                range.end = MIN(range.end, LOW_END);
        return range;
}

static bool is_stack(const struct region *region)
{
        return region && strncmp(region->path, "[stack", 6) == 0;
}

/* The part of a hole that may be used: `below` and `above` are its neighbours, NULL at the ends. */
static struct range usable(const struct region *below, const struct region *above,
                           const struct range *reach)
{
        struct range hole = { below ? below->end + PAGE_SIZE : LOWEST,
                              above ? above->start - PAGE_SIZE : HIGHEST };

        if (is_stack(above))
                hole.end -= MIN(hole.end, STACK_ROOM);
        if (below && strcmp(below->path, "[heap]") == 0)
                hole.start += HEAP_ROOM;
        hole.start = MAX(hole.start, reach->start);
        hole.end = MIN(hole.end, reach->end);
        return hole;
}

static uint64_t distance(uint64_t address, const struct place_wish *wish)
{
        return address < wish->near_start ? wish->near_start - address : address - wish->near_start;
}

int place_find(const struct maps *maps, const struct place_wish *wish, uint64_t *ret)
{
        struct range reach = reachable(wish);
        uint64_t size = ROUND_UP(wish->size, (uint64_t)PAGE_SIZE);
        uint64_t best = 0;

        for (size_t i = 0; i <= maps->n_items; i++) {
                const struct region *below = i > 0 ? &maps->items[i - 1] : NULL;
                const struct region *above = i < maps->n_items ? &maps->items[i] : NULL;
                struct range hole = usable(below, above, &reach);
                uint64_t address;

                if (hole.end <= hole.start || hole.end - hole.start < size)
                        continue;
                address = ROUND_DOWN(hole.end - size, (uint64_t)PAGE_SIZE);
                if (address < hole.start)
                        continue;
                if (best == 0 || distance(address, wish) < distance(best, wish))
                        best = address;
        }
        if (best == 0)
                return PLACE_NONE;
        *ret = best;
        return 0;
}
