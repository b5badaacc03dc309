/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Work that may take its time, or that must not be done with all that the daemon holds, is done in
 * a forked process, which tells what it finds as lines of JSON. The owner never waits for it.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"

#define JOB_LINE_MAX 65536
#define JOB_FIRST_FD 4

/* Says one line; `json` is taken over. To be called by the job only. */
void job_say(json_t *json);

struct job_settings {
        const char *name;               /* of the process, for people */
        /* In the new process, which has no descriptors but these, JOB_FIRST_FD and the next. */
        void (*run)(void *run_context);
        void *run_context;              /* need not outlive job_start() */
        int fds[2];                     /* given to it; n_fds of them */
        size_t n_fds;
        uint32_t limit_ms;              /* after that it is killed; 0: no limit */
        /* In the owner: a line, and the end (whole: it ended by itself and well). */
        void (*line)(void *context, const json_t *json);
        void (*end)(void *context, bool whole);
        void *context;
};

struct job;
int job_start(const struct job_settings *settings, struct job **ret, struct error *err);
/* Kills it if it still runs; `end` is not called. */
struct job *job_free(struct job *job);
DEFINE_CLEANUP(struct job *, job_free)

int job_fd(const struct job *job);
/* Never blocks. True: it has ended, `end` was called; free it. */
bool job_step(struct job *job);
