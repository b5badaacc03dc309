/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The patches of this host: /var/lib/suture/patches. A patch is ID.spatch, always its newest level
 * (levels are cumulative), and ID.state beside it, which says what it counts as and holds the
 * digest of the file, recorded when it was added and checked whenever it is loaded.
 *
 * Every change is atomic and durable. A store that was cut off at any point of a change, by a kill
 * or a power loss, is read as it was before or after that change. What is in the folder and does
 * not fit is listed in `faults`; it is not loaded and never deleted.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "base/hash.h"
#include "elf/build-id.h"
#include "patch/patch.h"

#define PATCH_STORE_PATH "/var/lib/suture/patches"

enum patch_state {
        PATCH_STATE_ENABLED = 0,    /* every instance gets it */
        PATCH_STATE_HELD,           /* kept, not applied, until somebody enables it */
        PATCH_STATE_QUARANTINED,    /* taken back because it did harm; `reason` says which */
};
const char *patch_state_name(enum patch_state state);

enum patch_store_outcome {
        PATCH_STORE_UNCHANGED = 1,  /* it is so already */
        PATCH_STORE_NOT_FOUND,      /* the store holds no such patch */
        PATCH_STORE_OLDER,          /* the store holds a higher level */
        PATCH_STORE_DIFFERENT,      /* the store holds the same level with another content */
};

struct patch_store_entry {
        struct patch *patch;        /* id, level, digest, targets, ... */
        enum patch_state state;
        char *reason;               /* why it is in this state; "" if nobody said */
        char *by;                   /* who brought it there: "uid 0", "crash guard" */
        uint64_t since;             /* when, seconds since 1970-01-01 UTC */
        uint64_t added;             /* when this level was added */
        bool superseded;            /* an enabled patch contains its fixes */
};

struct patch_store_fault {
        char *file;                 /* name in the folder */
        char *what;                 /* a sentence for a person */
};

struct patch_store {
        struct patch_store_entry **entries; /* sorted by patch id */
        size_t n_entries;
        struct patch_store_fault *faults;
        size_t n_faults;
        /* private */
        int folder, lock;
};

/*
 * Opens and loads the store. With `writable` the folder is made if it is missing, what an
 * interrupted change left is finished, and the store is locked as long as it is open: a second
 * writer gets -EBUSY. Without, nothing is written; a missing folder is an empty store.
 */
int patch_store_open(const char *path, bool writable, struct patch_store **ret, struct error *err);
struct patch_store *patch_store_close(struct patch_store *store);
DEFINE_CLEANUP(struct patch_store *, patch_store_close)

/* Entries stay valid until the next change of the store. NULL if there is none. */
struct patch_store_entry *patch_store_find(const struct patch_store *store, const char *id);

/*
 * Adds the patch in `data`, or replaces a lower level of it. It becomes enabled, except that a
 * held one stays held. `force` takes a lower level, or another content of the same, too. `by` is
 * who did it. 0, or UNCHANGED, OLDER, DIFFERENT: then nothing was changed.
 */
int patch_store_add(struct patch_store *store, const void *data, size_t size, bool force,
                    const char *by, struct error *err);
/* 0 or NOT_FOUND. */
int patch_store_remove(struct patch_store *store, const char *id, struct error *err);
/* 0, NOT_FOUND, or UNCHANGED (same state and reason). `reason` may be NULL. */
int patch_store_set_state(struct patch_store *store, const char *id, enum patch_state state,
                          const char *reason, const char *by, struct error *err);
