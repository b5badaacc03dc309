/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Making the unwind information of new code known to what unwinds in the target itself: libgcc_s
 * (C++ exceptions, pthread_cancel, backtrace(3)) and libunwind. Both find a module's own
 * information through the dynamic linker, and that of other code only if it was registered.
 *
 * They keep what they know in the target's memory, in part in room that the caller gives. So
 * that room, and whether it is in use, lies at the end of the level's data: struct registrations.
 * The call is made by a few instructions (arch_register_stub) that note in `state` where they are,
 * so that it is known even if suture is killed meanwhile.
 */
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "live/target.h"

enum registration_state {
        REGISTRATION_NONE = 0,
        REGISTRATION_ADDING = 1,    /* the call was begun; in doubt if no thread is in it */
        REGISTRATION_ADDED = 2,
        REGISTRATION_REMOVING = 3,  /* as above */
};

/* As it lies in the target; arch_register_stub knows the first six words. */
struct registration {
        uint64_t state;
        uint64_t function, arguments[2];
        uint64_t before, after;     /* the states to note around the call */
        uint64_t add;               /* the function with which it was added */
        uint64_t load;              /* of the runtime that it was added to; 0: not known */
        uint8_t room[192];          /* what the runtime keeps */
};

#define REGISTRATION_RUNTIMES 2
struct registrations {
        struct registration items[REGISTRATION_RUNTIMES];
};
_Static_assert(sizeof(struct registrations) == 512, "layout of the record");

/* Is there anything in the target that it could be made known to? 0, TARGET_GONE, fault. */
int registration_is_wanted(struct target *target, bool *ret, struct error *err);

struct instance;
struct record_level;

enum registration_outcome {
        REGISTRATION_STAYS = 16,    /* it can't be removed now: the level must stay mapped */
};
/* Is it known of a level that was rolled back whether it is registered? Else it can't be used. */
bool registration_is_certain(struct target *target, const struct record_level *level);
/* Registers a level that was written. 0 (also if it is already), TARGET_GONE, TARGET_BUSY, fault. */
int registration_add(struct instance *instance, const struct record_level *level,
                     struct error *err);
/* Before its unmapping. 0: nobody knows of it any more. REGISTRATION_STAYS, TARGET_GONE, fault. */
int registration_remove(struct instance *instance, const struct record_level *level,
                        struct error *err);
