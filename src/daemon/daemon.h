/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The daemon: holds the store, the policy, the guard and the records together, in one process with
 * one loop that never waits for anything. What takes time is a job (job.h).
 */
#include <stddef.h>
#include "base/error.h"

#define DAEMON_SOCKET "/run/suture/socket"

struct daemon_settings {
        const char *store;      /* PATCH_STORE_PATH; its parent folder holds the further state */
        const char *config;     /* POLICY_PATH */
        const char *socket;     /* DAEMON_SOCKET */
        const char *log;        /* NULL: as the policy says */
        const char *probe;      /* HEALTH_PROBE_PATH */
        const char **watch;     /* programs and libraries in unusual places; see guard.h */
        size_t n_watch;
};

/* Runs until SIGTERM or SIGINT; patches stay where they are. 0, or what kept it. */
int daemon_run(const struct daemon_settings *settings, struct error *err);
