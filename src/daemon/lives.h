/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The patched processes that are known, and how each of them ends. Their own memory is the truth
 * (`suture status` reads it); this is what the crash guard needs to know of one that is gone. The
 * kernel tells of forks, execs and ends through its process events connector.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"

#define LIVES_MAX 65536         /* processes; more are not followed */

struct life {
        pid_t pid;
        uint64_t start_ticks;
        bool main;              /* see facts.h */
        bool seen;              /* by the look that is under way */
        char *service;
        char *patches;          /* "A.1 B.2" */
};

struct life_end {
        const struct life *life;
        int signal, exit_status;
};

struct lives;
/* `ended` is told of every known process that ends. Without process events nothing is told. */
int lives_open(void (*ended)(void *context, const struct life_end *end), void *context,
               struct lives **ret, struct error *err);
struct lives *lives_close(struct lives *lives);
DEFINE_CLEANUP(struct lives *, lives_close)

/* For poll(2); -1 where there are no process events. */
int lives_fd(const struct lives *lives);
/* Takes in all that the kernel has told so far; never blocks. */
void lives_step(struct lives *lives);

/*
 * The process has these patches now. One that has already ended is known to have ended so, if that
 * was a moment ago. False if memory is out or there are too many.
 */
bool lives_add(struct lives *lives, const struct life *life);
/* It has this one patch now, beside those that are known. */
bool lives_add_patch(struct lives *lives, const struct life *life);
/* Around a look at all processes: what it did not add is no longer there. */
void lives_look_begin(struct lives *lives);
void lives_look_end(struct lives *lives);
size_t lives_count(const struct lives *lives);
