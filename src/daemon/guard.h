/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The guard: programs that start, and libraries that are loaded, are patched before their first
 * instruction. It runs in processes of its own, beside the one that opened it, so that nothing that
 * one does can keep a program waiting:
 *
 *   keeper   answers the kernel's questions (fanotify permission events) and nothing else
 *   workers  take one program each to its entry point and patch it there (live/entry.h)
 *   finder   looks for the files that have to be watched, on the host and in containers
 *
 * It fails open. Each of these processes winds up a timer in the kernel that kills it unless it is
 * wound up again within GUARD_ANSWER_MS, stopped or hung or not; with the last descriptor of the
 * group every question is answered by the kernel itself, and with a tracer its tracees run on.
 * When the owner ends, they end.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"
#include "patch/patch.h"

#define GUARD_ANSWER_MS 1500 /* after this nothing waits any more, whatever has happened */

enum guard_event {
        GUARD_READY = 1,    /* all that is known to be watched is watched */
        GUARD_STARTED,      /* a program was patched at its entry point */
        GUARD_LATE,         /* patched while it ran already: gap_ns tells for how long */
        GUARD_FAILED,       /* it runs unpatched: text tells why */
        GUARD_WATCHING,     /* a file (or, for a container, a file system) is watched: text */
        GUARD_LOST,         /* the guard died, and is there again; text says what was known */
        GUARD_FALLBACK,     /* there are no permission events: programs are patched late */
};

struct guard_report {
        enum guard_event event;
        pid_t pid;
        uint64_t linking_ns;    /* from exec to entry point, which the linker would take anyway */
        uint64_t held_ns;       /* at the entry point */
        uint64_t gap_ns;        /* the old code could run for so long */
        uint64_t start_ticks;   /* STARTED, LATE: which process it is, and of what; see facts.h */
        bool main;
        char service[256];
        char patches[128];      /* "A.1 B.2" */
        char text[320];
};

struct guard_settings {
        const struct patch *const *patches; /* must live as long as the guard */
        size_t n_patches;
        const char *const *files;   /* further files to look at, besides where modules usually lie */
        size_t n_files;
        bool only_events;           /* as if the kernel had no permission events */
};

struct guard;
/*
 * Starts it; GUARD_READY comes later. The caller must be root, and should have no further threads.
 * It must leave SIGCHLD of the keeper to guard_step(), or at least not wait for any child.
 */
int guard_open(const struct guard_settings *settings, struct guard **ret, struct error *err);
/* Ends it: nothing waits, and what was on its way runs on. */
struct guard *guard_close(struct guard *guard);
DEFINE_CLEANUP(struct guard *, guard_close)

/* For poll(2): readable when guard_step() has something to do. It may change with each step. */
int guard_fd(const struct guard *guard);
/*
 * Never blocks. Hands over the reports that have come; starts the guard again where it has died (at
 * most once a second: call it at least that often). 0, or a fault: it can't be started.
 */
int guard_step(struct guard *guard,
               void (*tell)(void *context, const struct guard_report *report), void *context,
               struct error *err);
/* The process that answers, for tests and for people. */
pid_t guard_keeper(const struct guard *guard);
