/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * A target: one address space and every thread that runs in it. That is a process, and where
 * there are such, the processes that share its memory without being threads of it (vfork children
 * before their exec, clone(CLONE_VM) siblings). The target owns the descriptor through which its
 * memory is read and written; this is the only code in suture that writes foreign memory.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "base/error.h"
#include "elf/image.h"
#include "live/tracee.h"
#include "live/cache.h"
#include "proc/maps.h"
#include "proc/module.h"

struct target {
        pid_t pid;                /* the process that names it */
        pid_t thread;             /* a thread through which /proc sees the memory: pid, unless its
                                   * main thread has ended */
        uint64_t start_ticks;
        pid_t *processes;         /* all that share the memory, pid first */
        size_t n_processes;
        struct tracee *tracees;   /* while stopped: every thread of all of them */
        size_t n_tracees;
        int memory_fd;
        uint64_t stopped_at_ns;
        uint64_t pause_ns;        /* the longest stop of all threads so far */
        uint64_t held_ns;         /* the longest time one thread was held for a call */
        struct maps maps;
        bool maps_stale;          /* we have mapped or unmapped something since */
        struct modules modules;   /* as of the maps; read by target_read_modules() */
        bool modules_known;
        struct live_cache *cache; /* of the run; may be NULL */
        uint64_t stub;            /* address of the stub for calls, once placed (live/call.h) */
        bool seccomp_suspended;   /* a call was only possible so; it was not kill-proof */
        bool further_stacks;      /* it keeps stacks besides those of its threads */
        pid_t busy_thread;        /* who was in the way last, in which function, since when */
        uint64_t busy_function, busy_since_ns;
        struct unwinder *unwinder;/* live/unwind.h; made while the target runs, once wanted */
        bool wants_unwinder;
        struct error busy;        /* why the last attempt was TARGET_BUSY */
};

enum target_outcome {
        TARGET_GONE = 1,          /* ended, or became another program */
        TARGET_BUSY = 2,          /* not now; target->busy says who is in the way */
};

/*
 * The process `pid` that was started at `start_ticks`. `siblings`: further processes known to share
 * its memory; may be NULL. `cache` too. 0, TARGET_GONE, fault.
 */
int target_open(pid_t pid, uint64_t start_ticks, const pid_t *siblings, size_t n_siblings,
                struct live_cache *cache, struct target **ret, struct error *err);
/* Lets every thread go and frees. */
struct target *target_free(struct target *target);
DEFINE_CLEANUP(struct target *, target_free)

/* Reads target->maps anew. 0, TARGET_GONE, fault. */
int target_read_maps(struct target *target, struct error *err);
/* The same, where it is known that they have changed. */
int target_refresh_maps(struct target *target, struct error *err);
/* Reads target->modules, if they are not known yet. 0, TARGET_GONE, fault. */
int target_read_modules(struct target *target, struct error *err);

/*
 * Stops every thread; those that appear meanwhile too. On any outcome but 0 all run again.
 * 0, TARGET_GONE, TARGET_BUSY, fault.
 */
int target_stop(struct target *target, struct error *err);
/* Lets all go on, with system calls restarted as if nothing had been; measures the pause. */
void target_resume(struct target *target);
/*
 * Lets one thread go, and what it has just cloned. One that is still on its way to its stop is a
 * straggler: it is let go later, while this or another target rests.
 */
void target_let_go(struct target *target, struct tracee *tracee);
/* True if a thread is a straggler, perhaps of an earlier struct target: it can't be stopped. */
bool target_has_stragglers(const struct target *target);
/* Waits `ms` milliseconds, letting stragglers go as they come. */
void target_rest(unsigned ms);

/*
 * True if two processes (or threads) share their memory, and where the kernel does not tell: then
 * one is only stopped for nothing.
 */
bool target_shares_memory(pid_t a, pid_t b);
/* True if the process has ended, or is another program than it was. */
bool target_is_over(const struct target *target);
/* All or nothing: 0, TARGET_GONE, or a fault that says where. */
int target_read(struct target *target, uint64_t address, void *ret, size_t size,
                struct error *err);
/* Many reads in few system calls; each all or nothing. */
int target_read_many(struct target *target, const struct iovec *local, const struct iovec *remote,
                     size_t n, struct error *err);
/*
 * One write, also to pages that are not writable (they become private copies). Not interruptible
 * where it lies within one page. 0, TARGET_GONE, fault.
 */
int target_write(struct target *target, uint64_t address, const void *data, size_t size,
                 struct error *err);
/* A reader for elf/image.h. */
struct elf_memory target_memory(struct target *target);
