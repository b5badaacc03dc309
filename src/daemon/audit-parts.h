/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * The files of an audit log. New entries go to PATH. When it is full it is renamed to PATH.000001,
 * the next time to PATH.000002, ...: the numbers grow with time, no file is renamed twice and none
 * is ever removed. The anchor is a small file elsewhere that says where the log ends.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "base/hash.h"
#include "daemon/audit-line.h"

struct audit_parts {
        uint32_t *numbers;      /* ascending; PATH itself is not among them */
        size_t n_numbers;
};
/* A folder that is not there has no parts. */
int audit_parts_list(const char *path, struct audit_parts *ret, struct error *err);
void audit_parts_done(struct audit_parts *parts);
/* PATH.NUMBER, or PATH for 0. Allocated; NULL when memory is out. */
char *audit_part_path(const char *path, uint32_t number);

struct audit_anchor {
        char log[AUDIT_ID_SIZE];
        uint64_t seq;           /* of the last entry */
        struct sha256 hash;     /* of its line */
};
#define AUDIT_ANCHOR_NAME "audit-anchor.json"
/* In `folder` (a descriptor). -ENOENT if there is none. */
int audit_anchor_read(int folder, struct audit_anchor *ret, struct error *err);
int audit_anchor_write(int folder, const struct audit_anchor *anchor, struct error *err);
