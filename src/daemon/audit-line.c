/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The form is strict in both directions: a line that lacks a member or has one of another kind is
 * no entry, since a reader that guesses would hide what a chain of hashes is there to show.
 */
#include "daemon/audit-line.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/cleanup.h"

bool audit_line_format(const struct audit_entry *entry, struct buffer *ret)
{
        char prev[SHA256_HEX_SIZE];
        json_t *root;
        char *text;
        bool good;

        sha256_format(&entry->prev, prev);
        root = json_pack("{s:I, s:s, s:I, s:I, s:s, s:O, s:s}", "seq", (json_int_t)entry->seq,
                         "time", entry->time, "uid", (json_int_t)entry->uid, "pid",
                         (json_int_t)entry->pid, "event", entry->event, "fields", entry->fields,
                         "prev", prev);
        text = root ? json_dumps(root, JSON_COMPACT) : NULL;
        good = text && buffer_printf(ret, "%s\n", text);
        free(text);
        json_decref(root);
        return good;
}

static bool unpack(json_t *root, struct audit_entry *ret)
{
        json_int_t seq, uid, pid;
        const char *prev;

        if (json_unpack(root, "{s:I, s:s, s:I, s:I, s:s, s:o, s:s !}", "seq", &seq, "time",
                        &ret->time, "uid", &uid, "pid", &pid, "event", &ret->event, "fields",
                        &ret->fields, "prev", &prev) < 0)
                return false;
        ret->seq = (uint64_t)seq;
        ret->uid = (uid_t)uid;
        ret->pid = (pid_t)pid;
        return seq >= 1 && uid >= 0 && pid >= 0 && json_is_object(ret->fields) &&
               sha256_parse(prev, &ret->prev);
}

bool audit_line_parse(const void *data, size_t size, struct audit_entry *ret)
{
        struct audit_entry entry = { 0 };

        if (size >= AUDIT_LINE_MAX)
                return false;
        entry.root = json_loadb(data, size, JSON_REJECT_DUPLICATES, NULL);
        if (!entry.root || !unpack(entry.root, &entry)) {
                json_decref(entry.root);
                return false;
        }
        *ret = entry;
        return true;
}

void audit_entry_done(struct audit_entry *entry)
{
        json_decref(entry->root);
        *entry = (struct audit_entry){ 0 };
}

const char *audit_entry_text(const struct audit_entry *entry, const char *name)
{
        return json_string_value(json_object_get(entry->fields, name));
}

void audit_time_now(char ret[static AUDIT_TIME_SIZE])
{
        struct timespec now;
        struct tm broken;
        char seconds[24];

        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &broken);
        strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &broken);
        snprintf(ret, AUDIT_TIME_SIZE, "%s.%06dZ", seconds, (int)(now.tv_nsec / 1000 % 1000000));
}
