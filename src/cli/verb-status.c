/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every process is asked for its records, which for a process without any costs no more than
 * reading its memory map. Only a process that has one is looked at closely: its name and place, and
 * whether the same build is mapped in it once more, unpatched (a library loaded again by dlmopen).
 */
#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "base/array.h"
#include "base/file.h"
#include "cli/describe.h"
#include "cli/link.h"
#include "cli/verbs.h"
#include "proc/module.h"

struct status_copy {
        struct build_id build_id;
        uint64_t address;
        char path[256];
};

struct status_item {
        struct process process;
        struct live_instance *instances;
        size_t n_instances;
        struct status_copy *copies; /* of a patched build, without a record */
        size_t n_copies;
};

struct status_result {
        struct status_item *items;
        size_t n_items;
        size_t n_processes;         /* that were read */
        size_t n_unreadable;
        struct utsname system;
        char os[128];               /* PRETTY_NAME of os-release(5) */
        json_t *daemon;             /* what sutured says, or NULL */
        bool daemon_hangs;
        struct patch_store *store;  /* as its files say; NULL: it can't be read */
};

static void status_result_done(struct status_result *result)
{
        for (size_t i = 0; i < result->n_items; i++) {
                free(result->items[i].instances);
                free(result->items[i].copies);
        }
        free(result->items);
        json_decref(result->daemon);
        patch_store_close(result->store);
}

/* The value of PRETTY_NAME=, without its quotes. */
static void read_os_name(char *ret, size_t size)
{
        static const char *const paths[] = { "/etc/os-release", "/usr/lib/os-release" };
        static const char key[] = "PRETTY_NAME=";

        snprintf(ret, size, "unknown system");
        for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
                _cleanup_buffer_ struct buffer text = { 0 };
                char *line, *rest;

                if (file_read(paths[i], 65536, &text, NULL) < 0)
                        continue;
                for (line = strtok_r((char *)text.data, "\n", &rest); line;
                     line = strtok_r(NULL, "\n", &rest)) {
                        char *value = line + sizeof(key) - 1;

                        if (strncmp(line, key, sizeof(key) - 1) != 0)
                                continue;
                        value += strspn(value, "\"'");
                        value[strcspn(value, "\"'")] = '\0';
                        snprintf(ret, size, "%s", value);
                }
                return;
        }
}

static bool has_record(const struct status_item *item, uint64_t module_address)
{
        for (size_t i = 0; i < item->n_instances; i++)
                if (item->instances[i].module_address == module_address)
                        return true;
        return false;
}

static bool is_patched_build(const struct status_item *item, const struct build_id *build_id)
{
        for (size_t i = 0; i < item->n_instances; i++)
                if (item->instances[i].build_id.size &&
                    build_id_equal(&item->instances[i].build_id, build_id))
                        return true;
        return false;
}

static int find_copies(struct status_item *item, struct error *err)
{
        _cleanup_(modules_done) struct modules modules = { 0 };
        _cleanup_(maps_done) struct maps maps = { 0 };
        pid_t pid = item->process.pid;
        int r;

        r = maps_read(pid, &maps, err);
        if (r == 0)
                r = modules_read(pid, &maps, NULL, &modules, err);
        for (size_t i = 0; i < modules.n_items && r == 0; i++) {
                const struct module *module = &modules.items[i];
                struct status_copy *copy;

                if (has_record(item, module->address) || !is_patched_build(item, &module->build_id))
                        continue;
                copy = ARRAY_PUSH(item->copies, item->n_copies);
                if (!copy)
                        return error_no_memory(err);
                copy->build_id = module->build_id;
                copy->address = module->address;
                snprintf(copy->path, sizeof(copy->path), "%s", module->path);
        }
        return r < 0 ? r : 0;
}

/* Why a process that was named has no memory to look at. */
static int no_memory_fault(pid_t pid, struct error *err)
{
        struct process process;

        if (process_read(pid, &process, NULL) != 0)
                return error_set(err, EXIT_CODE_ERROR, 0, NULL, "there is no process %d", (int)pid);
        if (process.kernel_thread)
                return error_set(err, EXIT_CODE_UNSUPPORTED, 0, NULL,
                                 "process %d (%s) is a kernel thread", (int)pid, process.name);
        return error_set(err, EXIT_CODE_UNSUPPORTED, 0, NULL,
                         "process %d (%s) has ended; only its parent's answer is missing", (int)pid,
                         process.name);
}

/* 0, or negative: this process could not be read. A process that is gone leaves no trace. */
static int inspect(struct status_result *result, pid_t pid, bool named, struct error *err)
{
        struct status_item item = { 0 }, *slot;
        int r = live_inspect(pid, &item.instances, &item.n_instances, err);

        if (r == PROCESS_GONE && named)
                return no_memory_fault(pid, err);
        if (r != 0)
                return r < 0 ? r : 0;
        result->n_processes++;
        if (item.n_instances == 0) {
                free(item.instances);
                return 0;
        }
        r = process_read(pid, &item.process, err);
        if (r == 0)
                r = find_copies(&item, err);
        slot = r == 0 ? ARRAY_PUSH(result->items, result->n_items) : NULL;
        if (!slot) {
                free(item.instances);
                free(item.copies);
                return r < 0 ? r : 0;
        }
        *slot = item;
        return 0;
}

static int inspect_all(struct status_result *result, struct error *err)
{
        _cleanup_free_ pid_t *pids = NULL;
        size_t n_pids;
        int r = process_list(&pids, &n_pids, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < n_pids; i++) {
                struct error fault = { 0 };

                if (inspect(result, pids[i], false, &fault) < 0)
                        result->n_unreadable++;
        }
        return 0;
}

static int gather(const struct options *options, struct status_result *result, struct error *err)
{
        uname(&result->system);
        read_os_name(result->os, sizeof(result->os));
        result->daemon = link_status(&result->daemon_hangs);
        (void)patch_store_open(link_store(), false, &result->store, NULL);
        if (options->pids.n_items == 0)
                return inspect_all(result, err);
        for (size_t i = 0; i < options->pids.n_items; i++) {
                int r = inspect(result, options->pids.items[i], true, err);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* All that is known of the process in one word. */
static const char *process_verdict(const struct status_item *item)
{
        const char *verdict = NULL;

        for (size_t i = 0; i < item->n_instances; i++) {
                const char *word = describe_verdict(item->instances[i].state);

                if (!verdict)
                        verdict = word;
                else if (strcmp(verdict, word) != 0)
                        return "PARTIAL";
        }
        return item->n_copies > 0 && strcmp(verdict, "PATCHED") == 0 ? "PARTIAL" : verdict;
}

static size_t count_patched(const struct status_result *result)
{
        size_t n = 0;

        for (size_t i = 0; i < result->n_items; i++)
                n += strcmp(process_verdict(&result->items[i]), "PATCHED") == 0;
        return n;
}

static json_t *copy_json(const struct status_copy *copy)
{
        char build_id[BUILD_ID_HEX_SIZE], address[32];

        build_id_format(&copy->build_id, build_id);
        snprintf(address, sizeof(address), "0x%" PRIx64, copy->address);
        return json_pack("{s:o, s:s, s:s, s:s, s:s}", "module", output_json_text(copy->path),
                         "build_id", build_id, "module_address", address, "state", "unpatched",
                         "verdict", "EXPOSED");
}

static json_t *item_json(const struct status_item *item)
{
        json_t *json = describe_process_json(&item->process), *modules = json_array();

        for (size_t i = 0; i < item->n_instances; i++)
                json_array_append_new(modules, describe_instance_json(&item->instances[i]));
        for (size_t i = 0; i < item->n_copies; i++)
                json_array_append_new(modules, copy_json(&item->copies[i]));
        json_object_set_new(json, "verdict", json_string(process_verdict(item)));
        json_object_set_new(json, "modules", modules);
        return json;
}

static const char *guard_word(const struct status_result *result)
{
        const char *word = json_string_value(json_object_get(result->daemon, "guard"));

        if (word)
                return word;
        return result->daemon_hangs ? "hangs" : "none";
}

static json_t *kept_json(const struct status_result *result)
{
        json_t *kept = json_array();

        for (size_t i = 0; result->store && i < result->store->n_entries; i++) {
                const struct patch_store_entry *entry = result->store->entries[i];

                json_array_append_new(kept, json_pack("{s:s, s:I, s:s, s:s}", "id",
                                                      entry->patch->id, "level",
                                                      (json_int_t)entry->patch->level, "state",
                                                      patch_state_name(entry->state), "reason",
                                                      entry->reason));
        }
        return kept;
}

static void print_json(struct output *output, const struct status_result *result)
{
        json_t *items = json_array();

        for (size_t i = 0; i < result->n_items; i++)
                json_array_append_new(items, item_json(&result->items[i]));
        output_json(output, "suture-status-1", EXIT_CODE_OK,
                    json_pack("{s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:s, s:o, s:o}", "version",
                              SUTURE_VERSION,
                              "host", output_json_text(result->system.nodename), "os",
                              output_json_text(result->os), "kernel",
                              output_json_text(result->system.release), "n_processes",
                              (json_int_t)result->n_processes, "n_patched",
                              (json_int_t)count_patched(result), "n_unreadable",
                              (json_int_t)result->n_unreadable, "guard", guard_word(result),
                              "kept", kept_json(result), "items", items));
}

/* One line of the table: processes of one program in which the same is true. */
struct row {
        const struct status_item *first;
        size_t n_processes;
        const char *module, *verdict, *note;
        char patch[PATCH_NAME_SIZE];
        uint64_t applied_at;        /* the latest */
};

struct rows {
        struct row *items;
        size_t n_items;
};

static bool rows_alike(const struct row *a, const struct row *b)
{
        return strcmp(a->first->process.name, b->first->process.name) == 0 &&
               strcmp(describe_place(&a->first->process), describe_place(&b->first->process)) ==
                       0 &&
               strcmp(a->module, b->module) == 0 && strcmp(a->verdict, b->verdict) == 0 &&
               strcmp(a->patch, b->patch) == 0 && strcmp(a->note, b->note) == 0;
}

static void rows_add(struct rows *rows, struct row row)
{
        struct row *slot;

        row.n_processes = 1;
        for (size_t i = rows->n_items; i > 0; i--) {
                struct row *known = &rows->items[i - 1];

                if (!rows_alike(known, &row))
                        continue;
                known->n_processes += known->first != row.first;
                known->applied_at = MAX(known->applied_at, row.applied_at);
                return;
        }
        slot = ARRAY_PUSH(rows->items, rows->n_items);
        if (slot)
                *slot = row;
}

static const char *instance_note(const struct live_instance *instance)
{
        switch (instance->state) {
        case LIVE_STATE_PREPARED:
                return "prepared, not switched on";
        case LIVE_STATE_RETIRED:
                return "rolled back";
        case LIVE_STATE_DAMAGED:
                return instance->problem;
        case LIVE_STATE_ACTIVE:
                break;
        }
        return "";
}

static void add_item_rows(struct rows *rows, const struct status_item *item)
{
        for (size_t i = 0; i < item->n_instances; i++) {
                const struct live_instance *instance = &item->instances[i];
                struct row row = {
                        .first = item,
                        .module = instance->module,
                        .verdict = describe_verdict(instance->state),
                        .note = instance_note(instance),
                        .applied_at = instance->applied_at,
                };

                describe_instance_patch(instance, row.patch);
                rows_add(rows, row);
        }
        for (size_t i = 0; i < item->n_copies; i++) {
                const char *slash = strrchr(item->copies[i].path, '/');

                rows_add(rows, (struct row){
                        .first = item,
                        .module = slash ? slash + 1 : item->copies[i].path,
                        .verdict = "EXPOSED",
                        .note = "mapped once more, not patched",
                        .patch = "-",
                });
        }
}

static int worst_first(const void *a, const void *b)
{
        const struct row *left = a, *right = b;
        bool left_patched = strcmp(left->verdict, "PATCHED") == 0;
        bool right_patched = strcmp(right->verdict, "PATCHED") == 0;

        if (left_patched != right_patched)
                return left_patched ? 1 : -1;
        return left->first->process.pid - right->first->process.pid;
}

static void print_table(struct output *output, const struct status_result *result)
{
        static const char *const headings[] = { "VERDICT", "PROCESS", "PIDS", "WHERE", "MODULE",
                                                "PATCH", "SINCE" };
        _cleanup_(table_done) struct table table;
        struct rows rows = { 0 };

        for (size_t i = 0; i < result->n_items; i++)
                add_item_rows(&rows, &result->items[i]);
        qsort(rows.items, rows.n_items, sizeof(struct row), worst_first);
        table_init(&table, headings, ARRAY_SIZE(headings), 0);
        for (size_t i = 0; i < rows.n_items; i++) {
                const struct row *row = &rows.items[i];
                char since[OUTPUT_TIME_SIZE];

                output_format_time(row->applied_at, since);
                table_add(&table, "%s", row->verdict);
                table_add(&table, "%s", row->first->process.name);
                if (row->n_processes > 1)
                        table_add(&table, "%d +%zu", (int)row->first->process.pid,
                                  row->n_processes - 1);
                else
                        table_add(&table, "%d", (int)row->first->process.pid);
                table_add(&table, "%s", describe_place(&row->first->process));
                table_add(&table, "%s", row->module);
                table_add(&table, "%s", row->patch);
                table_add(&table, "%s%s%s", since, row->note[0] ? "  " : "", row->note);
        }
        table_print(output, &table);
        free(rows.items);
}

static size_t count_kept(const struct status_result *result, enum patch_state state)
{
        size_t n = 0;

        for (size_t i = 0; result->store && i < result->store->n_entries; i++)
                n += result->store->entries[i]->state == state;
        return n;
}

/* Whether what starts from now on is patched, and what has to be looked at. */
static void print_guard(struct output *output, const struct status_result *result)
{
        static const struct {
                const char *word, *text;
        } texts[] = {
                { "events", "sutured patches programs before they run" },
                { "late", "sutured patches programs only when they run already (no fanotify)" },
                { "starting", "sutured is starting; not all is watched yet" },
                { "idle", "sutured runs, and no patch is enabled" },
                { "hangs", "sutured does not answer; see: systemctl status sutured" },
                { "none", "sutured does not run; programs that start are not patched" },
        };
        size_t enabled = count_kept(result, PATCH_STATE_ENABLED);
        size_t held = count_kept(result, PATCH_STATE_HELD);

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                if (strcmp(texts[i].word, guard_word(result)) == 0)
                        output_text(output, "Guard: %s.\n", texts[i].text);
        if (enabled + held > 0)
                output_text(output, "Kept: %zu enabled, %zu held.\n", enabled, held);
        for (size_t i = 0; result->store && i < result->store->n_entries; i++) {
                const struct patch_store_entry *entry = result->store->entries[i];

                if (entry->state == PATCH_STATE_QUARANTINED)
                        output_text(output, "QUARANTINED  %s.%u  %s\n", entry->patch->id,
                                    entry->patch->level, entry->reason);
        }
        for (size_t i = 0; result->store && i < result->store->n_faults; i++)
                output_text(output, "Store: %s: %s\n", result->store->faults[i].file,
                            result->store->faults[i].what);
        if (json_object_get(result->daemon, "policy_fault"))
                output_text(output, "Policy: %s; the one from before holds.\n",
                            json_string_value(json_object_get(result->daemon, "policy_fault")));
}

static void print_text(struct output *output, const struct status_result *result)
{
        const char *dot = strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? "·" : "-";

        output_text(output, "suture %s %s %s %s %s %s kernel %s\n\n", SUTURE_VERSION, dot,
                    result->system.nodename, dot, result->os, dot, result->system.release);
        if (result->n_items > 0) {
                print_table(output, result);
                output_text(output, "\n");
        }
        output_text(output, "Patched: %zu of %zu processes", count_patched(result),
                    result->n_processes);
        if (result->n_unreadable > 0)
                output_text(output, "; %zu more could not be read%s", result->n_unreadable,
                            geteuid() ? ", run suture as root" : "");
        output_text(output, ".\n");
        print_guard(output, result);
}

int verb_status(const struct options *options, struct output *output, struct error *err)
{
        _cleanup_(status_result_done) struct status_result result = { 0 };
        int r = gather(options, &result, err);

        if (r < 0)
                return r;
        print_text(output, &result);
        print_json(output, &result);
        return EXIT_CODE_OK;
}
