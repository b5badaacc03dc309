/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* What the guard's processes say to each other; see guard.h. Messages are packets of one struct. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "daemon/guard.h"
#include "daemon/guard-pin.h"

/* --- Dead man's timer -------------------------------------------------------------------- */

/* Kills this process, though it be stopped, unless it is wound up again within `ms`; 0: stops it. */
void guard_wind_up(unsigned ms);
/* What every process of the guard does first. Ends it where the owner has ended meanwhile. */
void guard_part_begin(const char *name, pid_t owner);

/* --- Keeper and worker ------------------------------------------------------------------- */

enum guard_job_kind {
        GUARD_JOB_EXEC = 1,   /* the thread is within execve */
        GUARD_JOB_LIBRARY,    /* the thread opens a library */
        GUARD_JOB_RUNNING,    /* the process runs: too late for anything better */
};

struct guard_job {
        enum guard_job_kind kind;
        pid_t pid, tid;
        bool local;           /* not on FUSE or a network file system */
        uint64_t since_ns;    /* when the question was asked */
        uint64_t look_ns;     /* RUNNING: how long a module that is not mapped is waited for */
};

struct guard_answer {
        bool done;            /* else: the opening may go on, or ... */
        bool let_go;          /* said before the program is let go: it may soon ask again */
        bool has_report;
        struct guard_report report;
};

/* Never returns. */
__attribute__((noreturn)) void guard_worker_run(const struct guard_settings *settings, int socket,
                                                pid_t keeper);

/* --- Keeper and finder ------------------------------------------------------------------- */

enum guard_find_kind {
        GUARD_FIND_PROGRAM = 1, /* the file may be executed */
        GUARD_FIND_LIBRARY = 2, /* ... or loaded; may be combined */
        GUARD_FIND_OVERLAY = 4, /* the file system of a container */
        GUARD_FIND_RUNNING = 8, /* a process that may have the old code */
        GUARD_FIND_DONE = 16,   /* one round is through, or what was asked for */
};

struct guard_find {
        unsigned kinds;
        pid_t pid;
        uint64_t token;         /* of the request that is done */
        char path[512];
};

/* Keeper to finder: look for the libraries under the root of this process. */
struct guard_find_request {
        pid_t pid;
        uint64_t token;
};

/*
 * What kind of module with a patch the open file is, as enum guard_find_kind; 0: none. Reads its
 * bytes only through `fd`.
 */
unsigned guard_classify(const struct guard_settings *settings, int fd);
__attribute__((noreturn)) void guard_finder_run(const struct guard_settings *settings, int socket,
                                                pid_t keeper);

/* --- Process events ---------------------------------------------------------------------- */

/* A descriptor that tells of every exec on the machine, or a negative errno. */
int guard_events_open(void);
/* The next process that has become another program; 0 if there is none now. */
pid_t guard_events_next(int fd);

/* --- The keeper -------------------------------------------------------------------------- */

/* `pins`: shared with the owner, which undoes what is left of them; may be NULL. */
__attribute__((noreturn)) void guard_keeper_run(const struct guard_settings *settings,
                                                struct guard_pins *pins, int socket, pid_t owner);
