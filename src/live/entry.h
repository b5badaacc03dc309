/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Patching a program before its first instruction. A program that is about to start is held by
 * someone else's means (fanotify: the opening of its file, or of a library that the dynamic linker
 * wants, is not answered yet). Meanwhile one of the functions entry_take_*() takes it; then the
 * opening is answered, and entry_patch() waits until all is mapped, patches it where it
 * stands, and lets it go.
 *
 * Whoever calls this may be killed at any moment: the program then simply runs, unpatched. For that
 * reason nothing here is a breakpoint (see entry-place.h). One process of suture works on one
 * program at a time, and has no other children.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "patch/patch.h"

struct entry;
/* Lets the program go. One that does not stop for it stays traced: see entry_is_stuck(). */
struct entry *entry_free(struct entry *entry);
DEFINE_CLEANUP(struct entry *, entry_free)

enum entry_outcome {
        ENTRY_GONE = 1,        /* it has ended, or the program was not started after all */
        ENTRY_LEFT_ALONE = 2,  /* of a kind that is not touched: err says why */
        ENTRY_RUNS = 3,        /* its own code runs already: to be patched as any process */
        ENTRY_UNRELATED = 4,   /* neither starts nor loads anything; nothing was done */
};

/*
 * Thread `tid` of process `pid` is within execve(2). May block until the exec is nearly through
 * where the kernel holds the lock on credentials meanwhile (cred_guard_mutex: Linux before 6.8, and
 * for interpreters of scripts): the caller must see to it that the opening is answered then, too.
 * 0, ENTRY_GONE, ENTRY_LEFT_ALONE.
 */
int entry_take_exec(pid_t pid, pid_t tid, struct entry **ret, struct error *err);
/*
 * Thread `tid` of process `pid` is in the opening of a file that may be a library. Never blocks.
 * 0: it is the dynamic linker, at a program's start or for a running program, whose thread is then
 * kept in the linker until the library is patched. `local`: the opening can't be broken off by a
 * stop (it can on FUSE and network file systems, and the linker would fail). ENTRY_RUNS: the linker,
 * but the thread can't be kept. ENTRY_UNRELATED, ENTRY_GONE, ENTRY_LEFT_ALONE.
 */
int entry_take_library(pid_t pid, pid_t tid, bool local, struct entry **ret, struct error *err);

/*
 * Asked for every process and patch that is for one of its modules, when the program is known; false
 * leaves that patch out. For the whole of this process and the ones it forks; NULL: all are wanted.
 */
typedef bool entry_wanted(void *context, pid_t pid, const struct patch *patch);
void entry_set_wanted(entry_wanted *wanted, void *context);

/* True if a program could not be let go: the end of this process, which should be soon, does it. */
bool entry_is_stuck(void);

/* What became of one program. */
struct entry_report {
        size_t n_patched;       /* modules that are patched now and were not before */
        size_t n_unchanged;     /* that were already */
        size_t n_failed;
        uint64_t linking_ns;    /* from exec (or the taking) to the entry point */
        uint64_t held_ns;       /* at the entry point */
        char names[256];        /* of the patches, "A.1 B.2" */
        struct error error;     /* of the last that failed */
};

/*
 * Goes with the program to its entry point and applies whichever patches are for its modules. `beat`
 * is called at least every 100 ms (may be NULL); true gives up. 0 (the report tells), or ENTRY_GONE,
 * ENTRY_LEFT_ALONE, ENTRY_RUNS.
 */
int entry_patch(struct entry *entry, const struct patch *const *patches, size_t n_patches,
                bool (*beat)(void *context), void *context, struct entry_report *ret,
                struct error *err);
/*
 * A process that runs already: every patch for a module it has mapped. `beat` is called between
 * attempts. 0 (the report tells; nothing
 * patched and nothing failed: it maps none of them), or ENTRY_GONE.
 */
int entry_patch_running(pid_t pid, const struct patch *const *patches, size_t n_patches,
                        uint64_t deadline_ms, bool (*beat)(void *context), void *context,
                        struct entry_report *ret, struct error *err);
