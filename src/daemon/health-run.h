/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* One run of one check: a program in a process group of its own, with a time limit. */
#include <stdint.h>
#include "base/error.h"
#include "daemon/health.h"

enum health_result {
        HEALTH_RUN_GOES_ON = 0,
        HEALTH_RUN_GOOD,
        HEALTH_RUN_BAD,
};

struct health_run;

/* `argv` ends with NULL. */
int health_run_start(char *const argv[], uint32_t timeout_ms, struct health_run **ret,
                     struct error *err);
/* Kills the whole group if it still runs. */
struct health_run *health_run_free(struct health_run *run);
DEFINE_CLEANUP(struct health_run *, health_run_free)

/* Becomes readable when there is something to do. */
int health_run_fd(const struct health_run *run);
enum health_result health_run_dispatch(struct health_run *run);
/* Why it is bad: the exit status or time limit, and what the program printed. */
const char *health_run_text(const struct health_run *run);
