/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Appending. Under the lock of the file, the end of the log is found (or known from last time) and
 * held against the anchor; whatever does not fit is said in an entry of the log's own before the
 * caller's. The order is: line, sync, anchor. So after a power loss the log may be one entry ahead
 * of the anchor, never behind; an anchor that is ahead means that entries were taken away.
 */
#include "daemon/audit-log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include "base/fault.h"
#include "base/file.h"
#include "daemon/audit-line.h"
#include "daemon/audit-parts.h"
#include "daemon/durable.h"
#include "daemon/journal.h"

#define TAIL_BYTES (1u << 20) /* in which the last sound line is looked for */
#define FILE_MODE 0640
#define FOLDER_MODE 0750

struct audit_log {
        char *path, *journal;
        uint64_t max_bytes;
        int state_folder, folder;
        /* The end of the log as this process left it; holds while inode and size are the same. */
        dev_t device;
        ino_t inode;
        off_t size;
        struct audit_anchor end;
};

/* The end of the log as it is found on disk. */
struct tail {
        struct audit_anchor last;   /* the last sound entry; seq 0: none. `log` is not filled */
        struct buffer rest;         /* what stands behind it, without a final newline */
        bool open_line;             /* the rest has no newline at its end */
};

static void tail_done(struct tail *tail)
{
        buffer_done(&tail->rest);
}

struct audit_log *audit_log_close(struct audit_log *log)
{
        if (log) {
                cleanup_close(&log->state_folder);
                cleanup_close(&log->folder);
                free(log->path);
                free(log->journal);
                free(log);
        }
        return NULL;
}

int audit_log_open(const struct audit_log_options *options, struct audit_log **ret,
                   struct error *err)
{
        _cleanup_(audit_log_closep) struct audit_log *log = calloc(1, sizeof(*log));
        _cleanup_free_ char *copy = strdup(options->path);
        int r;

        if (!log)
                return error_no_memory(err);
        log->state_folder = log->folder = -1;
        log->path = strdup(options->path);
        log->journal = options->journal ? strdup(options->journal) : NULL;
        log->max_bytes = options->max_bytes;
        if (!copy || !log->path || (options->journal && !log->journal))
                return error_no_memory(err);
        r = durable_open_folder(options->state_folder, true, 0755, &log->state_folder, err);
        if (r == 0)
                r = durable_open_folder(dirname(copy), true, FOLDER_MODE, &log->folder, err);
        if (r < 0)
                return r;
        *ret = STEAL(log);
        return 0;
}

/* Opens the file at the path and locks it; another may rename it between the two. */
static int open_locked(struct audit_log *log, int *ret_fd, struct stat *ret_info, struct error *err)
{
        for (;;) {
                _cleanup_close_ int fd = open(log->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC |
                                                                 O_NOFOLLOW, FILE_MODE);
                struct stat info;

                if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, ret_info) < 0)
                        return error_set(err, errno == EACCES ? EXIT_CODE_PERMISSION
                                                              : EXIT_CODE_ERROR,
                                         errno, NULL, "can't open the log %s", log->path);
                if (!S_ISREG(ret_info->st_mode))
                        return error_set(err, EXIT_CODE_ERROR, 0, NULL, "%s is no regular file",
                                         log->path);
                if (stat(log->path, &info) == 0 && info.st_ino == ret_info->st_ino &&
                    info.st_dev == ret_info->st_dev) {
                        *ret_fd = steal_fd(&fd);
                        return 0;
                }
        }
}

/* Splits `size` bytes of a file's end into its last sound line and the rest behind it. */
static int split_tail(const char *data, size_t size, bool whole, struct tail *ret, struct error *err)
{
        size_t end = size;
        bool closed = size > 0 && data[size - 1] == '\n';
        struct audit_entry entry;

        for (size_t behind = size; end > 0;) {
                const char *newline;
                size_t start, length;

                if (data[end - 1] == '\n')
                        end--;
                newline = memrchr(data, '\n', end);
                start = newline ? (size_t)(newline - data) + 1 : 0;
                length = end - start;
                if ((newline || whole) && end < size && data[end] == '\n' &&
                    audit_line_parse(data + start, length, &entry)) {
                        ret->last.seq = entry.seq;
                        ret->last.hash = sha256_of(data + start, length);
                        audit_entry_done(&entry);
                        end = behind;
                        break;
                }
                behind = start;
                end = start;
        }
        ret->open_line = size > end && !closed;
        /* Only the newline is missing: an entry, as soon as there is one. */
        if (ret->open_line && audit_line_parse(data + end, size - end, &entry)) {
                ret->last.seq = entry.seq;
                ret->last.hash = sha256_of(data + end, size - end);
                audit_entry_done(&entry);
                end = size;
        }
        if (!buffer_append(&ret->rest, data + end, size - end - (size > end && closed)))
                return error_no_memory(err);
        return 0;
}

static int read_tail(int fd, off_t size, struct tail *ret, struct error *err)
{
        size_t n = size > (off_t)TAIL_BYTES ? TAIL_BYTES : (size_t)size, done = 0;
        _cleanup_free_ char *data = malloc(n + 1);

        if (!data)
                return error_no_memory(err);
        while (done < n) {
                ssize_t got = pread(fd, data + done, n - done, size - (off_t)(n - done));

                if (got < 0 && errno == EINTR)
                        continue;
                if (got <= 0)
                        return error_set(err, EXIT_CODE_ERROR, got < 0 ? errno : EIO, NULL,
                                         "can't read the end of the log");
                done += (size_t)got;
        }
        return split_tail(data, n, n == (size_t)size, ret, err);
}

/* An empty file: the log ends in the one before, if there is one. */
static int read_last_part(struct audit_log *log, struct tail *ret, struct error *err)
{
        _cleanup_(audit_parts_done) struct audit_parts parts = { 0 };
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -1;
        struct stat info;
        int r = audit_parts_list(log->path, &parts, err);

        if (r < 0 || parts.n_numbers == 0)
                return r;
        path = audit_part_path(log->path, parts.numbers[parts.n_numbers - 1]);
        if (!path)
                return error_no_memory(err);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fstat(fd, &info) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't open %s", path);
        r = read_tail(fd, info.st_size, ret, err);
        /* That file is complete; a rest in it is not closed in this one. */
        buffer_done(&ret->rest);
        ret->rest = (struct buffer){ 0 };
        ret->open_line = false;
        return r;
}

static void send_to_journal(const struct audit_log *log, const struct audit_entry *entry,
                            const struct sha256 *hash)
{
        _cleanup_buffer_ struct buffer message = { 0 }, text = { 0 };
        char digest[SHA256_HEX_SIZE], number[32];
        const char *key;
        json_t *value;

        if (!log->journal)
                return;
        sha256_format(hash, digest);
        snprintf(number, sizeof(number), "%llu", (unsigned long long)entry->seq);
        buffer_printf(&text, "%s", entry->event);
        journal_add(&message, "PRIORITY", "5");
        journal_add(&message, "SYSLOG_IDENTIFIER", "sutured");
        journal_add(&message, "SUTURE_EVENT", entry->event);
        journal_add(&message, "SUTURE_SEQ", number);
        journal_add(&message, "SUTURE_HASH", digest);
        json_object_foreach(entry->fields, key, value) {
                _cleanup_free_ char *dump = json_is_string(value)
                                                    ? strdup(json_string_value(value))
                                                    : json_dumps(value, JSON_COMPACT |
                                                                                JSON_ENCODE_ANY);
                char name[64] = "SUTURE_";
                size_t n = strlen(name);

                for (const char *c = key; *c && n < sizeof(name) - 1; c++)
                        name[n++] = isalnum((unsigned char)*c) ? (char)toupper((unsigned char)*c)
                                                               : '_';
                if (dump && journal_add(&message, name, dump))
                        buffer_printf(&text, " %s=%s", key, dump);
        }
        if (text.data)
                journal_add(&message, "MESSAGE", (const char *)text.data);
        journal_send(log->journal, &message);
}

static int write_line(int fd, const struct buffer *line, off_t size, struct error *err)
{
        ssize_t n = write(fd, line->data, line->size);
        int r = n < 0 ? -errno : 0;

        if (n != (ssize_t)line->size) {
                /* Not possible where the file is append-only (chattr +a); then it is torn. */
                if (n > 0 && ftruncate(fd, size) < 0)
                        r = -errno;
                return error_set(err, EXIT_CODE_ERROR, r < 0 ? -r : ENOSPC, "free space",
                                 "can't write to the log");
        }
        if (fault_here(FAULT_AUDIT_WRITTEN))
                return fault_set(FAULT_AUDIT_WRITTEN, err);
        if (fsync(fd) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't sync the log");
        if (fault_here(FAULT_AUDIT_SYNCED))
                return fault_set(FAULT_AUDIT_SYNCED, err);
        return 0;
}

/* Appends an entry behind log->end. `fields` is borrowed; `newline` closes an open line first. */
static int put_entry(struct audit_log *log, int fd, const char *event, uid_t uid, pid_t pid,
                     json_t *fields, const struct sha256 *prev, bool newline, struct error *err)
{
        _cleanup_buffer_ struct buffer line = { 0 };
        char now[AUDIT_TIME_SIZE];
        struct audit_entry entry = {
                .seq = log->end.seq + 1, .time = now, .uid = uid, .pid = pid, .event = event,
                .fields = fields, .prev = *prev,
        };
        struct stat info;
        int r;

        audit_time_now(now);
        if (newline && !buffer_append(&line, "\n", 1))
                return error_no_memory(err);
        if (!audit_line_format(&entry, &line))
                return error_set(err, EXIT_CODE_ERROR, 0, NULL,
                                 "the entry %s can't be written as JSON", event);
        if (line.size > AUDIT_LINE_MAX)
                return error_set(err, EXIT_CODE_ERROR, E2BIG, NULL, "the entry %s is too long",
                                 event);
        if (fstat(fd, &info) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't look at the log");
        log->inode = 0; /* until all is well, what is on disk counts */
        r = write_line(fd, &line, info.st_size, err);
        if (r < 0)
                return r;
        log->end.seq = entry.seq;
        log->end.hash = sha256_of(line.data + newline, line.size - newline - 1);
        r = audit_anchor_write(log->state_folder, &log->end, err);
        send_to_journal(log, &entry, &log->end.hash);
        if (r < 0)
                return r;
        log->device = info.st_dev;
        log->inode = info.st_ino;
        log->size = info.st_size + (off_t)line.size;
        return 0;
}

/* An entry of the log's own. `fields` is taken over. */
static int put_own(struct audit_log *log, int fd, const char *event, json_t *fields,
                   const struct sha256 *prev, bool newline, struct error *err)
{
        int r = fields ? put_entry(log, fd, event, geteuid(), getpid(), fields, prev, newline, err)
                       : error_no_memory(err);

        json_decref(fields);
        return r;
}

static int begin(struct audit_log *log, int fd, struct error *err)
{
        uint8_t random[(AUDIT_ID_SIZE - 1) / 2];
        struct sha256 prev;

        if (getrandom(random, sizeof(random), 0) != sizeof(random))
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't get random bytes");
        hex_encode(random, sizeof(random), log->end.log);
        log->end.seq = 0;
        prev = sha256_of(log->end.log, strlen(log->end.log));
        return put_own(log, fd, AUDIT_LOG_BEGUN, json_pack("{s:s}", "log", log->end.log), &prev,
                       false, err);
}

static json_t *torn_fields(const struct tail *tail)
{
        char hash[SHA256_HEX_SIZE];

        sha256_format(&tail->last.hash, hash);
        return json_pack("{s:I, s:s}", "bytes", (json_int_t)tail->rest.size, "last_good", hash);
}

/* The id of the log where no anchor tells it: from the first line of the file or of a part. */
static void find_id(struct audit_log *log, int fd)
{
        _cleanup_free_ char *data = malloc(AUDIT_LINE_MAX);
        ssize_t n = data ? pread(fd, data, AUDIT_LINE_MAX, 0) : -1;
        const char *newline = n > 0 ? memchr(data, '\n', (size_t)n) : NULL, *id = NULL;
        struct audit_entry entry = { 0 };

        if (newline && audit_line_parse(data, (size_t)(newline - data), &entry))
                id = audit_entry_text(&entry, "log");
        if (id && strlen(id) == AUDIT_ID_SIZE - 1)
                memcpy(log->end.log, id, AUDIT_ID_SIZE);
        else
                memset(log->end.log, '0', AUDIT_ID_SIZE - 1);
        audit_entry_done(&entry);
}

/* Holds the end on disk against the anchor and says what does not fit. */
static int settle_end(struct audit_log *log, int fd, const struct tail *tail,
                      const struct audit_anchor *anchor, struct error *err)
{
        struct sha256 rest = tail->rest.size ? sha256_of(tail->rest.data, tail->rest.size)
                                             : tail->last.hash;
        bool torn = tail->rest.size > 0 || tail->open_line;

        if (!anchor && tail->last.seq == 0 && !torn)
                return begin(log, fd, err);
        if (!anchor) {
                find_id(log, fd);
                log->end.seq = tail->last.seq;
                log->end.hash = tail->last.hash;
                return put_own(log, fd, AUDIT_ANCHOR_LOST,
                               torn_fields(tail), &rest, tail->open_line, err);
        }
        log->end = *anchor;
        if (tail->last.seq < anchor->seq ||
            (tail->last.seq == anchor->seq && !sha256_equal(&tail->last.hash, &anchor->hash)))
                return put_own(log, fd, AUDIT_LOG_DAMAGED,
                               json_pack("{s:I, s:I}", "expected", (json_int_t)anchor->seq,
                                         "found", (json_int_t)tail->last.seq),
                               &anchor->hash, tail->open_line, err);
        log->end.seq = tail->last.seq;
        log->end.hash = tail->last.hash;
        if (!torn)
                return 0;
        return put_own(log, fd, AUDIT_LINE_TORN, torn_fields(tail), &rest, tail->open_line, err);
}

static int find_end(struct audit_log *log, int fd, const struct stat *info, struct error *err)
{
        _cleanup_(tail_done) struct tail tail = { 0 };
        struct audit_anchor anchor;
        int r, found;

        if (log->inode == info->st_ino && log->device == info->st_dev && log->size == info->st_size)
                return 0;
        r = info->st_size > 0 ? read_tail(fd, info->st_size, &tail, err)
                              : read_last_part(log, &tail, err);
        if (r < 0)
                return r;
        /* A damaged anchor (-EINVAL) is a lost one. */
        found = audit_anchor_read(log->state_folder, &anchor, err);
        if (found < 0 && found != -ENOENT && found != -EINVAL)
                return found;
        return settle_end(log, fd, &tail, found == 0 ? &anchor : NULL, err);
}

/* Renames the full file and begins the next; the chain goes on. */
static int rotate(struct audit_log *log, int *fd, struct error *err)
{
        _cleanup_(audit_parts_done) struct audit_parts parts = { 0 };
        _cleanup_free_ char *path = NULL;
        uint32_t number = 1;
        struct stat info;
        int r = audit_parts_list(log->path, &parts, err);

        if (r < 0)
                return r;
        if (parts.n_numbers)
                number = parts.numbers[parts.n_numbers - 1] + 1;
        path = audit_part_path(log->path, number);
        if (!path)
                return error_no_memory(err);
        if (renameat2(AT_FDCWD, log->path, AT_FDCWD, path, RENAME_NOREPLACE) < 0 ||
            fsync(log->folder) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't rename %s", log->path);
        if (fault_here(FAULT_AUDIT_ROTATED))
                return fault_set(FAULT_AUDIT_ROTATED, err);
        cleanup_close(fd);
        *fd = -1;
        r = open_locked(log, fd, &info, err);
        if (r < 0)
                return r;
        if (info.st_size > 0) { /* another writer was faster */
                log->inode = 0;
                return find_end(log, *fd, &info, err);
        }
        r = put_own(log, *fd, AUDIT_LOG_CONTINUED,
                    json_pack("{s:s, s:I}", "log", log->end.log, "file", (json_int_t)number + 1),
                    &log->end.hash, false, err);
        if (r == 0 && fsync(log->folder) < 0)
                r = error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't sync the log's folder");
        return r;
}

static int append_locked(struct audit_log *log, const char *event, uid_t uid, pid_t pid,
                         json_t *fields, struct error *err)
{
        _cleanup_close_ int fd = -1;
        struct stat info;
        int r = open_locked(log, &fd, &info, err);

        if (r == 0 && info.st_size == 0 && fsync(log->folder) < 0)
                r = error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't sync the log's folder");
        if (r == 0)
                r = find_end(log, fd, &info, err);
        if (r == 0 && log->max_bytes && (uint64_t)info.st_size >= log->max_bytes)
                r = rotate(log, &fd, err);
        return r < 0 ? r
                     : put_entry(log, fd, event, uid, pid, fields, &log->end.hash, false, err);
}

int audit_log_append(struct audit_log *log, const char *event, uid_t uid, pid_t pid,
                     json_t *fields, struct error *err)
{
        json_t *own = fields ? fields : json_object();
        int r = own ? append_locked(log, event, uid, pid, own, err) : error_no_memory(err);

        json_decref(own);
        if (r < 0)
                error_prefix(err, "audit log");
        return r;
}
