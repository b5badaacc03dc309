/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One pass over the lines. Each line must have the next number and hold the hash of the line
 * before it. Where one does not, the numbers tell what happened: one that is too high means
 * that entries are missing, one that is too low that a line was put in or moved, the right one that
 * the line before was changed. After a finding the pass goes on from the line as it is, so that
 * one change gives one finding.
 */
#include "daemon/audit-verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include "base/array.h"
#include "base/buffer.h"
#include "daemon/audit-parts.h"
#include "daemon/audit-reader.h"
#include "daemon/durable.h"

struct walk {
        const char *path;
        bool single;
        struct audit_verdict *verdict;
        struct error *err;
        struct sha256 hash;             /* of the last entry's line */
        struct audit_reader_line last;  /* where it is; its data is not valid */
        struct buffer damaged;          /* lines since then that are no entries */
        uint64_t damaged_line;
        uint32_t damaged_part;
        struct audit_anchor anchor;
        bool has_anchor, anchor_met;
};

void audit_verdict_done(struct audit_verdict *verdict)
{
        for (size_t i = 0; i < verdict->n_findings; i++) {
                free(verdict->findings[i].file);
                free(verdict->findings[i].what);
        }
        free(verdict->findings);
        *verdict = (struct audit_verdict){ 0 };
}

_printf_(5, 6)
static int find(struct walk *walk, uint32_t part, uint64_t line, bool harmless, const char *format,
                ...)
{
        struct audit_verdict *verdict = walk->verdict;
        struct audit_finding *finding = ARRAY_PUSH(verdict->findings, verdict->n_findings);
        va_list args;
        int n;

        if (!finding)
                return error_no_memory(walk->err);
        finding->file = audit_part_path(walk->path, part);
        finding->line = line;
        finding->harmless = harmless;
        verdict->sound = verdict->sound && harmless;
        va_start(args, format);
        n = vasprintf(&finding->what, format, args);
        va_end(args);
        if (n < 0)
                finding->what = NULL;
        return finding->file && finding->what ? 0 : error_no_memory(walk->err);
}

/* The first line that is read. */
static int check_first(struct walk *walk, const struct audit_entry *entry,
                       const struct audit_reader_line *line)
{
        struct audit_verdict *verdict = walk->verdict;
        const char *id = audit_entry_text(entry, "log");
        struct sha256 start;

        if (id && strlen(id) == AUDIT_ID_SIZE - 1)
                memcpy(verdict->log, id, AUDIT_ID_SIZE);
        start = sha256_of(verdict->log, strlen(verdict->log));
        verdict->first_seq = entry->seq;
        if (entry->seq > 1)
                return find(walk, line->part, line->number, walk->single,
                            "the log begins with entry %llu; those before it are not here",
                            (unsigned long long)entry->seq);
        if (strcmp(entry->event, AUDIT_LOG_BEGUN) != 0 || !sha256_equal(&start, &entry->prev))
                return find(walk, line->part, line->number, false,
                            "entry 1 is not the beginning of a log");
        return 0;
}

/* An entry behind lines that are none. */
static int check_behind_damage(struct walk *walk, const struct audit_entry *entry,
                               const struct audit_reader_line *line)
{
        struct sha256 damaged = sha256_of(walk->damaged.data, walk->damaged.size);
        const char *last_good = audit_entry_text(entry, "last_good");
        char hash[SHA256_HEX_SIZE];
        bool explained;

        sha256_format(&walk->hash, hash);
        explained = strcmp(entry->event, AUDIT_LINE_TORN) == 0 &&
                    entry->seq == walk->verdict->last_seq + 1 &&
                    sha256_equal(&entry->prev, &damaged) && last_good &&
                    (strcmp(last_good, hash) == 0 || walk->verdict->n_entries == 0);
        return find(walk, walk->damaged_part, walk->damaged_line, explained,
                    explained ? "the line was cut off while it was written (power loss); line %llu "
                                "says so"
                              : "the line is no entry: it was changed, or put in (before line %llu)",
                    (unsigned long long)line->number);
}

static int check_next(struct walk *walk, const struct audit_entry *entry,
                      const struct audit_reader_line *line)
{
        uint64_t want = walk->verdict->last_seq + 1;

        if (walk->damaged_line)
                return check_behind_damage(walk, entry, line);
        if (entry->seq == want + 1)
                return find(walk, line->part, line->number, false,
                            "entry %llu is missing before this line", (unsigned long long)want);
        if (entry->seq > want)
                return find(walk, line->part, line->number, false,
                            "entries %llu to %llu are missing before this line",
                            (unsigned long long)want, (unsigned long long)entry->seq - 1);
        if (entry->seq < want)
                return find(walk, line->part, line->number, false,
                            "the line was put in, or moved here: it is entry %llu, where %llu "
                            "should follow",
                            (unsigned long long)entry->seq, (unsigned long long)want);
        if (sha256_equal(&entry->prev, &walk->hash))
                return 0;
        return find(walk, walk->last.part, walk->last.number, false,
                    "the line was changed: line %llu holds the hash of another",
                    (unsigned long long)line->number);
}

static int take_damaged(struct walk *walk, const struct audit_reader_line *line)
{
        if (!walk->damaged_line) {
                walk->damaged_line = line->number;
                walk->damaged_part = line->part;
        } else if (!buffer_append(&walk->damaged, "\n", 1)) {
                return error_no_memory(walk->err);
        }
        return buffer_append(&walk->damaged, line->data, line->size) ? 0
                                                                    : error_no_memory(walk->err);
}

static int take_line(struct walk *walk, const struct audit_reader_line *line)
{
        struct audit_verdict *verdict = walk->verdict;
        struct audit_entry entry;
        int r;

        if (!audit_line_parse(line->data, line->size, &entry))
                return take_damaged(walk, line);
        r = verdict->n_entries || walk->damaged_line ? check_next(walk, &entry, line)
                                                     : check_first(walk, &entry, line);
        walk->damaged.size = 0;
        walk->damaged_line = 0;
        verdict->n_entries++;
        /* A line that was moved or put in here is nothing that the next one follows. */
        if (entry.seq > verdict->last_seq) {
                walk->hash = sha256_of(line->data, line->size);
                walk->last = *line;
                verdict->last_seq = entry.seq;
        }
        if (walk->has_anchor && entry.seq == walk->anchor.seq)
                walk->anchor_met |= sha256_equal(&walk->hash, &walk->anchor.hash);
        audit_entry_done(&entry);
        return r;
}

/* The end: what is left behind the last entry, and the anchor. */
static int check_end(struct walk *walk, size_t rest)
{
        struct audit_verdict *verdict = walk->verdict;
        bool torn = rest > 0 || walk->damaged_line;
        uint64_t last = verdict->last_seq;
        int r = 0;

        if (torn)
                r = find(walk, walk->damaged_line ? walk->damaged_part : walk->last.part,
                         walk->damaged_line ? walk->damaged_line : walk->last.number + 1,
                         walk->has_anchor && walk->anchor.seq == last,
                         "the last line is not whole (the next entry will close it)");
        if (r < 0 || !walk->has_anchor)
                return r;
        if (walk->anchor.seq > last)
                return find(walk, 0, 0, false,
                            "entries are missing at the end: there were %llu, the last here is "
                            "%llu",
                            (unsigned long long)walk->anchor.seq, (unsigned long long)last);
        if (!walk->anchor_met && walk->anchor.seq == last)
                return find(walk, walk->last.part, walk->last.number, false,
                            "the line was changed: the anchor holds the hash of another");
        if (!walk->anchor_met)
                return find(walk, 0, 0, false, "entry %llu is not the one that the anchor names",
                            (unsigned long long)walk->anchor.seq);
        if (last > walk->anchor.seq + 1)
                return find(walk, walk->last.part, walk->last.number, false,
                            "entries %llu to %llu were not written by suture, or the anchor is "
                            "an old one",
                            (unsigned long long)walk->anchor.seq + 1, (unsigned long long)last);
        return 0;
}

static int read_anchor(struct walk *walk, const char *folder)
{
        _cleanup_close_ int fd = -1;
        int r = durable_open_folder(folder, false, 0, &fd, walk->err);

        if (r == 0)
                r = audit_anchor_read(fd, &walk->anchor, walk->err);
        if (r == -ENOENT || r == -EINVAL)
                return find(walk, 0, 0, false, "the anchor is %s: lines missing at the end can't "
                            "be told", r == -ENOENT ? "missing" : "damaged");
        walk->has_anchor = walk->verdict->anchored = r == 0;
        return r;
}

static int walk_lines(struct walk *walk, struct audit_reader *reader)
{
        struct audit_reader_line line;
        const char *rest;
        int r;

        while ((r = audit_reader_next(reader, &line, walk->err)) == 0) {
                r = take_line(walk, &line);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : check_end(walk, audit_reader_rest(reader, &rest));
}

int audit_verify(const char *path, bool single, const char *state_folder,
                 struct audit_verdict *ret, struct error *err)
{
        _cleanup_(audit_reader_closep) struct audit_reader *reader = NULL;
        _cleanup_close_ int lock = -1;
        struct audit_verdict verdict = { .sound = true };
        struct walk walk = { .path = path, .single = single, .verdict = &verdict, .err = err };
        int r = 0;

        /* Nobody appends between the reading of the anchor and that of the last line. */
        lock = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (lock >= 0)
                flock(lock, LOCK_SH);
        if (state_folder)
                r = read_anchor(&walk, state_folder);
        if (r == 0)
                r = audit_reader_open(path, single, &reader, err);
        if (r == -ENOENT && walk.has_anchor)
                r = check_end(&walk, 0);
        else if (r == 0)
                r = walk_lines(&walk, reader);
        buffer_done(&walk.damaged);
        if (r < 0) {
                audit_verdict_done(&verdict);
                return r;
        }
        *ret = verdict;
        return 0;
}
