/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shows and checks the audit log. Reading needs no daemon: the files are the truth, and the same
 * reader follows them while sutured writes.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <libgen.h>
#include <sys/inotify.h>
#include "base/array.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "daemon/audit-log.h"
#include "daemon/audit-reader.h"
#include "daemon/audit-verify.h"
#include "daemon/policy.h"

#define DEFAULT_LINES 20
#define SCHEMA "suture-log-1"

struct request {
        bool verify, own;               /* own: the log of this machine */
        char *path;
        const char *state_folder;       /* NULL: no anchor is looked at */
};

static void request_done(struct request *request)
{
        free(request->path);
}

static int make_request(const struct options *options, struct request *ret, struct error *err)
{
        _cleanup_(policy_freep) struct policy *policy = NULL;
        const struct text_list *words = &options->arguments;
        size_t first = 0;
        int r;

        ret->verify = words->n_items > 0 && strcmp(words->items[0], "verify") == 0;
        first = ret->verify;
        if (words->n_items > first + 1)
                return error_set(err, EXIT_CODE_USAGE, 0, "see: suture log --help",
                                 "suture log has no use for \"%s\"", words->items[first + 1]);
        if (ret->verify && (options->follow || options->lines))
                return error_set(err, EXIT_CODE_USAGE, 0, "see: suture log --help",
                                 "suture log verify reads all of the log");
        ret->state_folder = options->anchor;
        if (words->n_items > first) {
                ret->path = strdup(words->items[first]);
                return ret->path ? 0 : error_no_memory(err);
        }
        r = policy_load(POLICY_PATH, true, &policy, err);
        if (r < 0)
                return r;
        ret->own = true;
        if (!ret->state_folder)
                ret->state_folder = AUDIT_STATE_PATH;
        ret->path = STEAL(policy->audit_path);
        return 0;
}

static json_t *entry_json(const struct audit_entry *entry, const struct audit_reader_line *line)
{
        return json_pack("{s:I, s:s, s:I, s:I, s:s, s:O, s:I}", "seq", (json_int_t)entry->seq,
                         "time", entry->time, "uid", (json_int_t)entry->uid, "pid",
                         (json_int_t)entry->pid, "event", entry->event, "fields", entry->fields,
                         "line", (json_int_t)line->number);
}

static void print_entry(struct output *output, const struct audit_entry *entry)
{
        const char *key;
        json_t *value;

        output_text(output, "%5llu  %.19s  %s", (unsigned long long)entry->seq, entry->time,
                    entry->event);
        json_object_foreach(entry->fields, key, value) {
                _cleanup_free_ char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

                output_text(output, "  %s=%s", key,
                            json_is_string(value) ? json_string_value(value) : dump ? dump : "?");
        }
        output_text(output, "  (uid %u, pid %d)\n", entry->uid, entry->pid);
}

/* The last lines, as they were read. */
struct ring {
        char **lines;
        struct audit_reader_line *places;
        size_t size, n;
};

static void ring_done(struct ring *ring)
{
        for (size_t i = 0; ring->lines && i < ring->size; i++)
                free(ring->lines[i]);
        free(ring->lines);
        free(ring->places);
}

static int read_last(struct audit_reader *reader, struct ring *ring, struct error *err)
{
        struct audit_reader_line line;
        int r;

        while ((r = audit_reader_next(reader, &line, err)) == 0) {
                size_t slot = ring->n++ % ring->size;
                char *copy = strndup(line.data, line.size);

                if (!copy)
                        return error_no_memory(err);
                free(ring->lines[slot]);
                ring->lines[slot] = copy;
                ring->places[slot] = line;
        }
        return r < 0 ? r : 0;
}

/* One line for people, and what --json says of it (NULL: nothing). */
static json_t *show_line(struct output *output, const char *text,
                         const struct audit_reader_line *line)
{
        struct audit_entry entry;
        json_t *item;

        if (!audit_line_parse(text, strlen(text), &entry)) {
                output_text(output, "    -  line %llu is no entry: see suture log verify\n",
                            (unsigned long long)line->number);
                return NULL;
        }
        print_entry(output, &entry);
        item = entry_json(&entry, line);
        audit_entry_done(&entry);
        return item;
}

static void show_last(struct output *output, const struct ring *ring)
{
        size_t n = MIN(ring->n, ring->size);
        json_t *items = json_array();

        for (size_t i = ring->n - n; i < ring->n; i++) {
                json_t *item = show_line(output, ring->lines[i % ring->size],
                                         &ring->places[i % ring->size]);

                if (item)
                        json_array_append_new(items, item);
        }
        if (ring->n == 0)
                output_text(output, "The log is empty.\n");
        output_json(output, SCHEMA, EXIT_CODE_OK, json_pack("{s:o}", "items", items));
}

/* Prints what comes until the output is closed or suture is ended. */
static int follow(struct output *output, struct audit_reader *reader, int inotify,
                  struct error *err)
{
        struct audit_reader_line line;
        char events[4096];

        for (;;) {
                struct pollfd wait = { .fd = inotify, .events = POLLIN };
                int r;

                while ((r = audit_reader_next(reader, &line, err)) == 0) {
                        _cleanup_free_ char *text = strndup(line.data, line.size);
                        json_t *item = text ? show_line(output, text, &line) : NULL;

                        if (item)
                                output_json(output, SCHEMA, EXIT_CODE_OK,
                                            json_pack("{s:[o]}", "items", item));
                }
                if (r < 0)
                        return r;
                if (fflush(output->stream) != 0)
                        return EXIT_CODE_OK;
                if (poll(&wait, 1, -1) < 0 && errno != EINTR)
                        return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't wait for the log");
                while (read(inotify, events, sizeof(events)) > 0)
                        ;
        }
}

static int watch_folder(const char *path, int *ret_fd, struct error *err)
{
        _cleanup_free_ char *copy = strdup(path);
        _cleanup_close_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

        if (!copy)
                return error_no_memory(err);
        if (fd < 0 || inotify_add_watch(fd, dirname(copy), IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL, "can't watch %s", path);
        *ret_fd = steal_fd(&fd);
        return 0;
}

static int show(const struct options *options, struct output *output, const struct request *request,
                struct error *err)
{
        _cleanup_(audit_reader_closep) struct audit_reader *reader = NULL;
        _cleanup_(ring_done) struct ring ring = {
                .size = options->lines ? options->lines : DEFAULT_LINES,
        };
        _cleanup_close_ int inotify = -1;
        int r = options->follow ? watch_folder(request->path, &inotify, err) : 0;

        ring.lines = calloc(ring.size, sizeof(*ring.lines));
        ring.places = calloc(ring.size, sizeof(*ring.places));
        if (!ring.lines || !ring.places)
                return error_no_memory(err);
        if (r == 0)
                r = audit_reader_open(request->path, false, &reader, err);
        if (r == -ENOENT && request->own && !options->follow) {
                show_last(output, &ring);
                return EXIT_CODE_OK;
        }
        if (r == 0)
                r = read_last(reader, &ring, err);
        if (r < 0)
                return r;
        show_last(output, &ring);
        return options->follow ? follow(output, reader, inotify, err) : EXIT_CODE_OK;
}

static json_t *verdict_json(const struct audit_verdict *verdict)
{
        json_t *items = json_array();

        for (size_t i = 0; i < verdict->n_findings; i++) {
                const struct audit_finding *finding = &verdict->findings[i];

                json_array_append_new(items, json_pack("{s:o, s:I, s:b, s:o}", "file",
                                                       output_json_text(finding->file), "line",
                                                       (json_int_t)finding->line, "harmless",
                                                       finding->harmless, "what",
                                                       output_json_text(finding->what)));
        }
        return json_pack("{s:o, s:{s:b, s:b, s:I, s:I, s:I}}", "items", items, "verdict", "sound",
                         verdict->sound, "anchored", verdict->anchored, "entries",
                         (json_int_t)verdict->n_entries, "first", (json_int_t)verdict->first_seq,
                         "last", (json_int_t)verdict->last_seq);
}

static int verify(struct output *output, const struct request *request, struct error *err)
{
        _cleanup_(audit_verdict_done) struct audit_verdict verdict = { 0 };
        int r = audit_verify(request->path, false, request->state_folder, &verdict, err), code;

        if (r < 0)
                return r;
        code = verdict.sound ? EXIT_CODE_OK : EXIT_CODE_TRUST;
        for (size_t i = 0; i < verdict.n_findings; i++) {
                const struct audit_finding *finding = &verdict.findings[i];

                output_text(output, "%s", finding->file);
                if (finding->line)
                        output_text(output, ":%llu", (unsigned long long)finding->line);
                output_text(output, ": %s%s\n", finding->what, finding->harmless ? " (harmless)" : "");
        }
        output_text(output, "%s: %llu entries, %llu to %llu, %s%s\n", request->path,
                    (unsigned long long)verdict.n_entries, (unsigned long long)verdict.first_seq,
                    (unsigned long long)verdict.last_seq,
                    verdict.sound ? "as they were written" : "NOT as they were written",
                    verdict.anchored ? "" : "; without an anchor, lines missing at the end can't be told");
        output_json(output, SCHEMA, code, verdict_json(&verdict));
        return code;
}

int verb_log(const struct options *options, struct output *output, struct error *err)
{
        _cleanup_(request_done) struct request request = { 0 };
        int r = make_request(options, &request, err);

        if (r < 0)
                return r;
        return request.verify ? verify(output, &request, err)
                              : show(options, output, &request, err);
}
