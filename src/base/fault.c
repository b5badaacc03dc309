/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/fault.h"

static const char *const fault_names[N_FAULT_POINTS] = {
        [FAULT_SEIZE] = "seize",
        [FAULT_STOP] = "stop",
        [FAULT_CALL_STUB_WRITTEN] = "call-stub-written",
        [FAULT_CALL_FRAME_WRITTEN] = "call-frame-written",
        [FAULT_CALL_REGISTERS_SET] = "call-registers-set",
        [FAULT_CALL_RETURNED] = "call-returned",
        [FAULT_MAPPED_SWITCH] = "mapped-switch",
        [FAULT_RECORD_WRITTEN] = "record-written",
        [FAULT_MAPPED_CODE] = "mapped-code",
        [FAULT_CODE_WRITTEN] = "code-written",
        [FAULT_REGISTRATION_WRITTEN] = "registration-written",
        [FAULT_REGISTERED] = "registered",
        [FAULT_UNREGISTERED] = "unregistered",
        [FAULT_HOOK] = "hook",
        [FAULT_STOPPED_ALL] = "stopped-all",
        [FAULT_SAFE] = "safe",
        [FAULT_JUMP_WRITTEN] = "jump-written",
        [FAULT_JUMP_REMOVED] = "jump-removed",
        [FAULT_BEFORE_COMMIT] = "before-commit",
        [FAULT_AFTER_COMMIT] = "after-commit",
        [FAULT_RESUMED] = "resumed",
        [FAULT_PROVE] = "prove",
        [FAULT_UNMAP] = "unmap",
        [FAULT_ENTRY_REDIRECTED] = "entry-redirected",
        [FAULT_ENTRY_REACHED] = "entry-reached",
        [FAULT_DURABLE_CREATED] = "durable-created",
        [FAULT_DURABLE_WRITTEN] = "durable-written",
        [FAULT_DURABLE_SYNCED] = "durable-synced",
        [FAULT_DURABLE_RENAMED] = "durable-renamed",
        [FAULT_DURABLE_REMOVED] = "durable-removed",
        [FAULT_AUDIT_WRITTEN] = "audit-written",
        [FAULT_AUDIT_SYNCED] = "audit-synced",
        [FAULT_AUDIT_ROTATED] = "audit-rotated",
};

const char *fault_point_name(enum fault_point point)
{
        return fault_names[point];
}

int fault_set(enum fault_point point, struct error *err)
{
        return error_set(err, EXIT_CODE_ERROR, 0, NULL, "fault injected at %s",
                         fault_point_name(point));
}

#ifdef SUTURE_FAULTS

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool fault_here(enum fault_point point)
{
        static long passed;
        const char *wish = getenv("SUTURE_FAULT");
        const char *where = wish ? strchr(wish, ':') : NULL;
        char *end;
        long number;

        passed++;
        if (!where)
                return false;
        where++;
        number = strtol(where, &end, 10);
        if (*end == '\0' ? number != passed : strcmp(where, fault_names[point]) != 0)
                return false;
        if (strncmp(wish, "kill:", 5) == 0)
                kill(getpid(), SIGKILL);
        return true;
}

#endif
