/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The crash guard: does a service die because of a patch? A state machine without I/O: it is told
 * of patches that became active and of deaths, and answers which patch to take back and put in
 * quarantine. What it knows can be written out and read in again.
 *
 * A service is a unit, or for processes without one the path of a program. Times are nanoseconds of
 * the guard's own clock (crash_guard_clock()): it stands still while the machine is off, and no
 * setting of the wall clock moves it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buffer.h"
#include "base/error.h"

#define CRASH_GUARD_NAME "crash-guard.json" /* in the state folder */
#define CRASH_GUARD_MAX_BYTES (16u << 20)
#define CRASH_GUARD_MAX_SERVICES 1024       /* the one longest without news is forgotten */
#define CRASH_GUARD_MAX_DEATHS 64           /* of a service; the oldest are forgotten */
#define CRASH_GUARD_MAX_PATCHES 16          /* of a service */
#define CRASH_GUARD_NAME_SIZE 256

struct crash_guard_limits {
        uint32_t deaths;        /* 0: the guard is off */
        uint64_t within_ns;
};

struct crash_guard;
struct crash_guard *crash_guard_new(const struct crash_guard_limits *limits);
struct crash_guard *crash_guard_free(struct crash_guard *guard);
DEFINE_CLEANUP(struct crash_guard *, crash_guard_free)
void crash_guard_set_limits(struct crash_guard *guard, const struct crash_guard_limits *limits);

/* The guard's clock for a boot clock (CLOCK_BOOTTIME) of this boot. */
uint64_t crash_guard_clock(const struct crash_guard *guard, uint64_t boottime_ns);

struct crash_guard_death {
        const char *service;            /* unit, or path of the program */
        const char *const *patches;     /* "SUT-1.2": active in the process when it died */
        size_t n_patches;
        int signal;                     /* that ended it, or 0 */
        int exit_status;                /* if signal is 0 */
        bool service_main;              /* the main process of a service: a bad exit status counts */
        uint64_t time_ns;               /* of the guard's clock */
};

/* Death by a signal that means a fault, or of a main process with a status other than 0. */
bool crash_guard_counts(const struct crash_guard_death *death);

/* A patch became active in a process of the service. Later calls for the same change nothing. */
bool crash_guard_activated(struct crash_guard *guard, const char *service, const char *patch,
                           uint64_t time_ns);

enum crash_guard_outcome {
        CRASH_GUARD_QUARANTINE = 1,
};
struct crash_guard_verdict {
        char patch[CRASH_GUARD_NAME_SIZE];
        uint32_t deaths;        /* with the patch, within the time */
        uint32_t before;        /* the most within such a time before it */
        char reason[512];       /* a sentence, for the store and the log */
};

/*
 * 0; CRASH_GUARD_QUARANTINE with the patch that came last of those that were active; -ENOMEM. The
 * deaths that led to a quarantine are settled and count for no other patch.
 */
int crash_guard_death(struct crash_guard *guard, const struct crash_guard_death *death,
                      struct crash_guard_verdict *ret);

/*
 * The state as JSON. `boot_id` is /proc/sys/kernel/random/boot_id. A state from another boot goes
 * on where that one ended. A damaged one is a fault; begin with a new guard and say so.
 */
int crash_guard_save(const struct crash_guard *guard, const char *boot_id, uint64_t boottime_ns,
                     struct buffer *ret, struct error *err);
int crash_guard_restore(const void *data, size_t size, const struct crash_guard_limits *limits,
                        const char *boot_id, uint64_t boottime_ns, struct crash_guard **ret,
                        struct error *err);

/* The same with files: CRASH_GUARD_NAME in a folder (a descriptor), and this boot's clock. */
int crash_guard_store(const struct crash_guard *guard, int folder, struct error *err);
/* Without a file a new guard. */
int crash_guard_load(int folder, const struct crash_guard_limits *limits, struct crash_guard **ret,
                     struct error *err);
