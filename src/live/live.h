/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Live patching as its callers see it: choose processes, apply a patch to them, take it back, and
 * say what is in memory. All that is known about a patched process is read from that process's own
 * memory; suture keeps no state of its own.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "base/hash.h"
#include "elf/build-id.h"
#include "patch/patch.h"
#include "proc/process.h"

enum live_state {
        LIVE_STATE_PREPARED = 1, /* in memory, but every function still runs its original code */
        LIVE_STATE_ACTIVE,       /* the new code runs */
        LIVE_STATE_RETIRED,      /* rolled back; kept mapped because pointers to it may exist */
        LIVE_STATE_DAMAGED,      /* the record or the code it describes is not what was written */
};

struct live_memory {
        const char *what;            /* "switch", "code" or "data" */
        uint64_t address, size;
};
#define LIVE_MAX_MEMORY 18           /* code and data of each level, the record, shadow root */

/* One patched module of one process, as its record in that process's memory tells. */
struct live_instance {
        enum live_state state;
        struct build_id build_id;
        uint64_t module_address;     /* of the module's ELF header */
        char module[64];             /* soname or program name, from the patch */
        char patch_id[49];
        uint32_t level;
        struct sha256 digest;        /* of the patch file */
        uint64_t applied_at;         /* seconds since 1970-01-01 UTC; 0 if never activated */
        size_t n_functions;
        /* What is mapped for it, also for levels before that had to be kept. */
        struct live_memory memory[LIVE_MAX_MEMORY];
        size_t n_memory;
        char problem[160];           /* what is wrong, for LIVE_STATE_DAMAGED, else "" */
};

/*
 * The records in the memory of `pid`. Reads only; needs no stop and no symbols. `ret` is
 * allocated (may be NULL with *ret_n 0). 0, PROCESS_GONE, or negative.
 */
int live_inspect(pid_t pid, struct live_instance **ret, size_t *ret_n, struct error *err);

enum live_result {
        LIVE_PENDING = 0,    /* chosen, nothing done yet */
        LIVE_DONE,
        LIVE_UNCHANGED,      /* already as asked for */
        LIVE_BUSY,           /* a thread was in the way until the deadline */
        LIVE_REFUSED,        /* of a kind that can't be patched, or not safely */
        LIVE_GONE,           /* the process ended or became another program meanwhile */
        LIVE_FAILED,         /* a fault; nothing was changed in this process */
        LIVE_UNDONE,         /* was done, then taken back because its group failed */
};

/* One chosen process. */
struct live_process {
        struct process process;
        pid_t *siblings;             /* processes that share its memory without being threads */
        size_t n_siblings;
        bool selected;               /* it, or one of the siblings, was asked for */
        char group[192];             /* unit, container or process tree: all or nothing */
        size_t group_index;
        size_t n_instances;          /* modules in it that the patch (or rollback) is for */
        enum live_result result;
        uint64_t pause_ns;           /* all threads stopped: longest single stop */
        uint64_t held_ns;            /* one thread held for preparation, the others running */
        struct error error;          /* cause and next step of BUSY, REFUSED, FAILED */
};

struct live_plan {
        struct live_process *items;
        size_t n_items;
        size_t n_groups;
        /* All processes it could have been about, when it was made: who is not here is younger. */
        pid_t *known;
        size_t n_known;
};
void live_plan_done(struct live_plan *plan);

/* Which processes: all conditions given must hold. Zeroed: every process of this /proc. */
struct live_selection {
        const pid_t *pids;
        size_t n_pids;
        const char *unit;            /* "nginx.service" */
        const char *container;       /* as in struct process */
};

struct live_options {
        uint64_t deadline_ms;        /* how long to retry while busy; 0: one attempt */
        /* Called when the result of a process is known; may be NULL. */
        void (*progress)(void *context, const struct live_process *process);
        void *context;
        /* Asked between attempts; true gives up (Ctrl-C). May be NULL. */
        bool (*interrupted)(void *context);
};

/*
 * Every selected process in whose memory a target build ID of the patch is mapped executable, with
 * its group. A pid that was named but can't be taken is a fault with its reason (does not exist,
 * is a kernel thread, a zombie, suture itself, does not map a target...); a process that was only
 * found and can't be patched (traced, 32-bit, frozen) is in the plan with LIVE_REFUSED.
 */
int live_choose(const struct patch *patch, const struct live_selection *selection,
                struct live_plan *ret, struct error *err);

/*
 * Applies the patch to a plan of live_choose(). Group by group: all members are prepared before
 * the first is activated; if one can't be, the others are taken back. Results are in the plan; a
 * negative return is a fault that concerns the whole run.
 */
int live_apply(const struct patch *patch, struct live_plan *plan,
               const struct live_options *options, struct error *err);

/* Which patch to take back: all conditions given must hold. Zeroed: any. */
struct live_rollback_filter {
        const char *patch_id;        /* without level, or with ".LEVEL" */
};

/* Every selected process that holds an ACTIVE or PREPARED record that the filter fits. */
int live_choose_rollback(const struct live_rollback_filter *filter,
                         const struct live_selection *selection, struct live_plan *ret,
                         struct error *err);
int live_rollback(const struct live_rollback_filter *filter, struct live_plan *plan,
                  const struct live_options *options, struct error *err);
