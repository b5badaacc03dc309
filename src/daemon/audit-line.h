/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * One entry of the audit log: a line of JSON that holds the SHA-256 of the line before it.
 *
 *   {"seq":7,"time":"2026-11-25T08:12:09.123456Z","uid":0,"pid":812,"event":"patch-applied",
 *    "fields":{"patch":"SUT-1.2"},"prev":"<64 hexadecimal digits>"}
 *
 * Hashes are of a line without its newline. The first entry of a log has number 1; its event is
 * log-begun, its field "log" the random id of the log, its prev the hash of that id.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/buffer.h"
#include "base/hash.h"

#define AUDIT_LINE_MAX 65536  /* bytes, newline included */
#define AUDIT_TIME_SIZE 48
#define AUDIT_ID_SIZE 33      /* 128 random bits in hexadecimal, and NUL */

/* Events that the log itself makes. */
#define AUDIT_LOG_BEGUN "log-begun"
#define AUDIT_LOG_CONTINUED "log-continued"   /* first in a further file */
#define AUDIT_LINE_TORN "line-torn"           /* what stands before it was cut off while written */
#define AUDIT_LOG_DAMAGED "log-damaged"       /* the end is not what it was when last written */
#define AUDIT_ANCHOR_LOST "anchor-lost"       /* nobody can say any more where the end was */

struct audit_entry {
        uint64_t seq;
        const char *time;       /* RFC 3339 UTC with microseconds */
        uid_t uid;
        pid_t pid;
        const char *event;
        json_t *fields;         /* an object */
        struct sha256 prev;
        json_t *root;           /* what the above point into, for parsed ones */
};

/* Appends the line with its newline. False if memory is out or a text is no UTF-8. */
bool audit_line_format(const struct audit_entry *entry, struct buffer *ret);
/* Reads a line, given without its newline. True if it is a whole and sound entry. */
bool audit_line_parse(const void *data, size_t size, struct audit_entry *ret);
void audit_entry_done(struct audit_entry *entry);
/* A text field, or NULL. */
const char *audit_entry_text(const struct audit_entry *entry, const char *name);

void audit_time_now(char ret[static AUDIT_TIME_SIZE]);
