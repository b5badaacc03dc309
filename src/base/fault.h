/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Faults on demand, in test builds only (meson -Dfaults=true). Every step that changes a target,
 * or prepares to, is a named point. SUTURE_FAULT=fail:N makes the Nth point passed fail,
 * SUTURE_FAULT=kill:N ends suture there with SIGKILL; `fail:NAME` and `kill:NAME` name the point.
 * Counting N up until the operation succeeds walks through every failure path there is. In other
 * builds a point costs nothing.
 */
#include <stdbool.h>
#include "base/error.h"

enum fault_point {
        FAULT_SEIZE,
        FAULT_STOP,
        FAULT_CALL_STUB_WRITTEN,
        FAULT_CALL_FRAME_WRITTEN,
        FAULT_CALL_REGISTERS_SET,
        FAULT_CALL_RETURNED,
        FAULT_MAPPED_SWITCH,
        FAULT_RECORD_WRITTEN,
        FAULT_MAPPED_CODE,
        FAULT_CODE_WRITTEN,
        FAULT_REGISTRATION_WRITTEN,
        FAULT_REGISTERED,
        FAULT_UNREGISTERED,
        FAULT_HOOK,
        FAULT_STOPPED_ALL,
        FAULT_SAFE,
        FAULT_JUMP_WRITTEN,
        FAULT_JUMP_REMOVED,
        FAULT_BEFORE_COMMIT,
        FAULT_AFTER_COMMIT,
        FAULT_RESUMED,
        FAULT_PROVE,
        FAULT_UNMAP,
        FAULT_ENTRY_REDIRECTED,
        FAULT_ENTRY_REACHED,
        FAULT_DURABLE_CREATED,
        FAULT_DURABLE_WRITTEN,
        FAULT_DURABLE_SYNCED,
        FAULT_DURABLE_RENAMED,
        FAULT_DURABLE_REMOVED,
        FAULT_AUDIT_WRITTEN,
        FAULT_AUDIT_SYNCED,
        FAULT_AUDIT_ROTATED,
        N_FAULT_POINTS,
};

const char *fault_point_name(enum fault_point point);
/* The error of a step that was made to fail. Returns a negative number. */
int fault_set(enum fault_point point, struct error *err);

#ifdef SUTURE_FAULTS
/* True if the caller must behave as if this step had failed; may not return at all. */
bool fault_here(enum fault_point point);
#else
static inline bool fault_here(enum fault_point point)
{
        (void)point;
        return false;
}
#endif
