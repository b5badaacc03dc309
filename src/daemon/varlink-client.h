/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* One call to a varlink service, as the command line makes it; see varlink.h. */
#include <jansson.h>
#include <stdint.h>
#include "base/error.h"

#define VARLINK_REPLY_MAX (8u << 20)

enum varlink_client_outcome {
        VARLINK_CLIENT_ABSENT = 1,      /* nobody answers at that socket */
};

/*
 * Calls `method` with `parameters` (taken over) and, if it is not -1, the descriptor `fd`. Waits no
 * longer than `timeout_ms` from call to reply; a signal that is handled ends the waiting, too.
 * 0 with the reply's parameters, ABSENT, or a fault: the service's own is handed on as it was told.
 */
int varlink_client_call(const char *path, const char *method, json_t *parameters, int fd,
                        uint32_t timeout_ms, json_t **ret, struct error *err);
