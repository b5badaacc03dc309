/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Is a service well? The checks of suture.conf(5) for one group, run before a patch and watched
 * afterwards, without ever blocking the caller: every check is a process of its own, and all that
 * is to be waited for hangs on one descriptor.
 *
 *   health_watch_new() ... poll health_watch_fd(), health_watch_dispatch() until HEALTH_READY
 *   ... apply the patch ... health_watch_applied() ... poll and dispatch until KEEP or UNDO.
 */
#include <stdbool.h>
#include <stddef.h>
#include "base/error.h"
#include "daemon/policy.h"

#define HEALTH_PROBE_PATH "/usr/libexec/suture/suture-health-probe"
#define HEALTH_MAX_OUTPUT 2048 /* bytes of a check's output that are kept */

enum health_outcome {
        HEALTH_RUNNING = 0,
        HEALTH_READY,   /* all checks were made once; the patch may be applied */
        HEALTH_KEEP,    /* the time of watching is over, nothing got worse */
        HEALTH_UNDO,    /* a check that succeeded before failed twice running; see `cause` */
};

struct health_watch;

/* Starts the checks. The texts of `checks` are copied. `probe` does HTTP and TCP. */
int health_watch_new(const struct policy_health *const *checks, size_t n_checks, const char *probe,
                     struct health_watch **ret, struct error *err);
/* Ends what is running. */
struct health_watch *health_watch_free(struct health_watch *watch);
DEFINE_CLEANUP(struct health_watch *, health_watch_free)

int health_watch_fd(const struct health_watch *watch);
/* An enum health_outcome, or negative. May be called at any time. */
int health_watch_dispatch(struct health_watch *watch, struct error *err);
/* After HEALTH_READY: the patch is in. */
void health_watch_applied(struct health_watch *watch);
/* For HEALTH_UNDO: which check, and what it said. */
const char *health_watch_cause(const struct health_watch *watch);
/* How many checks failed before the patch, and so don't decide. */
size_t health_watch_failed_before(const struct health_watch *watch);
