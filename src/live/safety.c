/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The search for return addresses. The used part of a stack is what lies between the stack pointer
 * and the stack's upper end: the end of the mapping for a main thread, the thread pointer for
 * others, whose control block glibc puts there. A thread that runs a handler on an alternate stack
 * has its frames in two places, and both are searched. All stacks are read with few system calls.
 */
#include "live/safety.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "live/arch/arch.h"
#include "live/unwind.h"

#define CHUNK_BYTES (UINT64_C(8) << 20)
/* A stack that neither the kernel nor the C library made may lie in a heap of many gigabytes. */
#define OTHER_STACK_MAX (UINT64_C(16) << 20)

/* A piece of memory to search, and whose it is. */
struct piece {
        const struct tracee *tracee; /* NULL: memory that may hold further stacks */
        uint64_t start, end;
};

struct search {
        struct target *target;
        const struct code_range *ranges;
        size_t n_ranges;
        uint64_t lowest, highest;    /* of all ranges */
        struct piece *pieces;
        size_t n_pieces;
};

static const struct code_range *range_of(const struct search *search, uint64_t address)
{
        if (address < search->lowest || address >= search->highest)
                return NULL;
        for (size_t i = 0; i < search->n_ranges; i++) {
                const struct code_range *range = &search->ranges[i];

                if (address >= range->start && address < range->end &&
                    address != range->harmless[0] && address != range->harmless[1])
                        return range;
        }
        return NULL;
}

/* --- Who is in the way ------------------------------------------------------------------- */

static void thread_name(const struct target *target, pid_t tid, char *ret, size_t size)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", target->thread, tid);
        if (file_read(path, 256, &text, NULL) < 0)
                snprintf(ret, size, "?");
        else
                snprintf(ret, size, "%.*s", (int)strcspn((char *)text.data, "\n"), text.data);
}

static int busy(struct search *search, const struct tracee *tracee, const struct code_range *range)
{
        struct target *target = search->target;
        pid_t tid = tracee ? tracee->tid : 0;
        char name[64] = "", since[48] = "";
        uint64_t now_ns = clock_now_ns();

        if (target->busy_thread != tid || target->busy_function != range->start) {
                target->busy_thread = tid;
                target->busy_function = range->start;
                target->busy_since_ns = now_ns;
        } else {
                snprintf(since, sizeof(since), " (for %.1f s)",
                         (double)(now_ns - target->busy_since_ns) / 1e9);
        }
        if (!tracee) {
                error_set(&target->busy, EXIT_CODE_ERROR, 0,
                          "try again, or restart the program with the fixed version",
                          "a suspended coroutine of pid %d may be in %s%s", target->pid,
                          range->name, since);
                return TARGET_BUSY;
        }
        thread_name(target, tid, name, sizeof(name));
        error_set(&target->busy, EXIT_CODE_ERROR, 0,
                  "try again with a longer --wait, or when the program is idle",
                  "thread %d (%s) %s %s%s", tid, name,
                  arch_regs_system_call(&tracee->regs) >= 0 ? "sleeps in" : "is in", range->name,
                  since);
        return TARGET_BUSY;
}

/* A hit on the stack of a thread: a return address, or a stale word? */
static int judge_hit(struct search *search, const struct piece *piece,
                     const struct code_range *range)
{
        const struct code_range *real = range;
        uint64_t frames[UNWIND_MAX_FRAMES];
        size_t n = 0;

        if (!piece->tracee)
                return busy(search, NULL, range);
        if (unwind_thread(search->target, piece->tracee, frames, &n) == 0) {
                real = NULL;
                for (size_t i = 0; i < n && !real; i++)
                        real = range_of(search, frames[i]);
        }
        log_debug("thread %d: a word on its stack points into %s: %s", piece->tracee->tid,
                  range->name, n == 0 ? "not unwound" : real ? "a frame" : "stale");
        return real ? busy(search, piece->tracee, real) : 0;
}

/* --- What to search ---------------------------------------------------------------------- */

static int add_piece(struct search *search, const struct tracee *tracee, uint64_t start,
                     uint64_t end, struct error *err)
{
        struct piece *piece;

        start = ROUND_DOWN(start, UINT64_C(8));
        end = ROUND_DOWN(end, UINT64_C(8));
        for (; start < end; start += CHUNK_BYTES) {
                piece = ARRAY_PUSH(search->pieces, search->n_pieces);
                if (!piece)
                        return error_no_memory(err);
                *piece = (struct piece){ tracee, start, MIN(end, start + CHUNK_BYTES) };
        }
        return 0;
}

static bool is_main_thread(const struct target *target, const struct tracee *tracee)
{
        return tracee->tid == target->pid;
}

static const struct region *main_stack(const struct target *target)
{
        for (size_t i = target->maps.n_items; i > 0; i--)
                if (strcmp(target->maps.items[i - 1].path, "[stack]") == 0)
                        return &target->maps.items[i - 1];
        return NULL;
}

/* A stack of its own that the thread has left for an alternate one. */
static int add_left_stack(struct search *search, const struct tracee *tracee,
                          const struct region *current, struct error *err)
{
        struct target *target = search->target;
        uint64_t tp = arch_regs_thread_pointer(&tracee->regs);
        const struct region *other = is_main_thread(target, tracee)
                                             ? main_stack(target)
                                             : maps_find(&target->maps, tp);

        if (!other || other == current || !other->writable)
                return 0;
        return add_piece(search, tracee, other->start,
                         is_main_thread(target, tracee) ? other->end : tp, err);
}

static int add_stack(struct search *search, const struct tracee *tracee, struct error *err)
{
        struct target *target = search->target;
        uint64_t sp = arch_regs_sp(&tracee->regs), tp = arch_regs_thread_pointer(&tracee->regs);
        const struct region *region = maps_find(&target->maps, sp);
        uint64_t end;
        int r;

        if (!region || !region->readable) { /* a thread younger than what we know of the maps */
                r = target_read_maps(target, err);
                if (r != 0)
                        return r;
                region = maps_find(&target->maps, sp);
        }
        if (!region || !region->readable)
                return 0; /* no stack at all: nothing can be on it */
        end = region->end;
        if (is_main_thread(target, tracee) ? region != main_stack(target) : tp <= sp || tp > end)
                end = MIN(end, sp + OTHER_STACK_MAX);
        else if (!is_main_thread(target, tracee))
                end = tp;
        r = add_piece(search, tracee, sp, end, err);
        return r ? r : add_left_stack(search, tracee, region, err);
}

/*
 * The end of a thread's own stack, if `region` (the index of one in the maps) is one: the main
 * thread's, or one as the thread library maps it, above a guard page. Its used part has been
 * searched already, and what lies below that is dead. 0 where it is none.
 */
static uint64_t end_of_own_stack(const struct target *target, size_t index)
{
        const struct region *region = &target->maps.items[index];
        const struct region *below = index > 0 ? region - 1 : NULL;

        if (region == main_stack(target))
                return region->end;
        if (!below || below->end != region->start || below->readable)
                return 0;
        for (size_t i = 0; i < target->n_tracees; i++) {
                const struct tracee *tracee = &target->tracees[i];
                uint64_t sp = arch_regs_sp(&tracee->regs);
                uint64_t tp = arch_regs_thread_pointer(&tracee->regs);

                if (tracee->state == TRACEE_STOPPED && sp >= region->start && sp < tp &&
                    tp <= region->end)
                        return tp;
        }
        return 0;
}

/* All private writable memory: where coroutines keep their stacks. */
static int add_all_memory(struct search *search, struct error *err)
{
        const struct maps *maps = &search->target->maps;
        int r = target_read_maps(search->target, err); /* a stack may have been made just now */

        for (size_t i = 0; r == 0 && i < maps->n_items; i++) {
                const struct region *region = &maps->items[i];

                if (region->readable && region->writable && !region->shared)
                        r = add_piece(search, NULL,
                                      MAX(region->start, end_of_own_stack(search->target, i)),
                                      region->end, err);
        }
        return r;
}

/* --- The search -------------------------------------------------------------------------- */

static int search_words(struct search *search, const struct piece *piece, const uint64_t *words)
{
        size_t n = (piece->end - piece->start) / sizeof(*words);

        for (size_t i = 0; i < n; i++) {
                const struct code_range *range = range_of(search, words[i]);
                int r = range ? judge_hit(search, piece, range) : 0;

                if (r != 0)
                        return r;
                if (range && piece->tracee)
                        return 0; /* the whole thread has been judged */
        }
        return 0;
}

/* Reads and searches pieces [first, first + n), which together have `bytes` bytes. */
static int search_batch(struct search *search, size_t first, size_t n, size_t bytes,
                        struct error *err)
{
        _cleanup_free_ uint8_t *memory = malloc(bytes + 8);
        _cleanup_free_ struct iovec *local = calloc(2 * n, sizeof(*local));
        struct iovec *remote = local + n;
        size_t offset = 0;
        int r;

        if (!memory || !local)
                return error_no_memory(err);
        for (size_t i = 0; i < n; i++) {
                const struct piece *piece = &search->pieces[first + i];
                size_t size = piece->end - piece->start;

                local[i] = (struct iovec){ memory + offset, size };
                remote[i] = (struct iovec){ (void *)piece->start, size };
                offset += size;
        }
        r = target_read_many(search->target, local, remote, n, err);
        if (r < 0) { /* something was unmapped since we looked */
                search->target->maps_stale = true;
                search->target->busy = *err;
                return TARGET_BUSY;
        }
        for (size_t i = 0; r == 0 && i < n; i++)
                r = search_words(search, &search->pieces[first + i], local[i].iov_base);
        return r;
}

static int search_pieces(struct search *search, struct error *err)
{
        size_t first = 0;
        uint64_t bytes = 0;
        int r = 0;

        for (size_t i = 0; r == 0 && i < search->n_pieces; i++) {
                bytes += search->pieces[i].end - search->pieces[i].start;
                if (bytes < CHUNK_BYTES && i + 1 < search->n_pieces)
                        continue;
                r = search_batch(search, first, i + 1 - first, bytes, err);
                first = i + 1;
                bytes = 0;
        }
        return r;
}

static struct search search_for(struct target *target, const struct code_range *ranges,
                                size_t n_ranges)
{
        struct search search = { .target = target, .ranges = ranges, .n_ranges = n_ranges,
                                 .lowest = UINT64_MAX };

        for (size_t i = 0; i < n_ranges; i++) {
                search.lowest = MIN(search.lowest, ranges[i].start);
                search.highest = MAX(search.highest, ranges[i].end);
        }
        return search;
}

int safety_check_thread(struct target *target, const struct tracee *tracee,
                        const struct code_range *ranges, size_t n_ranges, struct error *err)
{
        struct search search = search_for(target, ranges, n_ranges);
        const struct code_range *range = range_of(&search, arch_regs_pc(&tracee->regs));
        int r = range ? busy(&search, tracee, range) : add_stack(&search, tracee, err);

        if (r == 0)
                r = search_pieces(&search, err);
        free(search.pieces);
        return r;
}

int safety_check(struct target *target, const struct code_range *ranges, size_t n_ranges,
                 struct error *err)
{
        struct search search = search_for(target, ranges, n_ranges);
        int r = 0;

        for (size_t i = 0; r == 0 && i < target->n_tracees; i++) {
                const struct tracee *tracee = &target->tracees[i];
                const struct code_range *range;

                if (tracee->state != TRACEE_STOPPED)
                        continue;
                range = range_of(&search, arch_regs_pc(&tracee->regs));
                r = range ? busy(&search, tracee, range) : add_stack(&search, tracee, err);
        }
        if (r == 0 && target->further_stacks)
                r = add_all_memory(&search, err);
        if (r == 0)
                r = search_pieces(&search, err);
        free(search.pieces);
        return r;
}

/* --- Further stacks ---------------------------------------------------------------------- */

int safety_find_further_stacks(struct target *target, struct error *err)
{
        struct elf_memory memory = target_memory(target);
        int r = target_read_modules(target, err);

        for (size_t i = 0; r == 0 && i < target->modules.n_items; i++)
                if (live_cache_switches_stacks(target->cache, &memory, &target->modules.items[i]))
                        target->further_stacks = true;
        return r;
}
