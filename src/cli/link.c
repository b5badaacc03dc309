/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where sutured runs it holds the store, and is asked; where it doesn't the store is changed here,
 * so that a sutured that is started later has it. Without a store folder nothing is kept: that is a
 * machine on which nobody wants a daemon.
 */
#include "cli/link.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/daemon.h"
#include "daemon/varlink-client.h"
#include "daemon/work.h"

#define NAME "org.suture.Daemon."
#define SHORT_MS 500
#define LONG_MS 3600000

static const char *from_environment(const char *name, const char *otherwise)
{
        const char *value = getenv(name);

        return value && *value ? value : otherwise;
}

const char *link_socket(void)
{
        return from_environment("SUTURE_SOCKET", DAEMON_SOCKET);
}

const char *link_store(void)
{
        return from_environment("SUTURE_STORE", PATCH_STORE_PATH);
}

/* --- Applying ---------------------------------------------------------------------------- */

static int copy_to_memory(const struct patch *patch, int *ret_fd, struct error *err)
{
        _cleanup_close_ int fd = memfd_create("suture-patch", MFD_CLOEXEC);
        size_t done = 0;

        while (fd >= 0 && done < patch->bytes.size) {
                ssize_t n = write(fd, patch->bytes.data + done, patch->bytes.size - done);

                if (n <= 0)
                        break;
                done += (size_t)n;
        }
        if (fd < 0 || done < patch->bytes.size || lseek(fd, 0, SEEK_SET) < 0)
                return error_set(err, EXIT_CODE_ERROR, errno, NULL,
                                 "the patch file can't be handed to sutured");
        *ret_fd = steal_fd(&fd);
        return 0;
}

static const char *text_of(const json_t *json, const char *name)
{
        const char *text = json_string_value(json_object_get(json, name));

        return text ? text : "";
}

static uint64_t number_of(const json_t *json, const char *name)
{
        return (uint64_t)json_integer_value(json_object_get(json, name));
}

static void fill_item(struct live_process *item, const json_t *json)
{
        for (enum live_result result = LIVE_DONE; result <= LIVE_UNDONE; result++)
                if (strcmp(work_result_word(result), text_of(json, "result")) == 0)
                        item->result = result;
        item->pause_ns = number_of(json, "pause_ns");
        item->held_ns = number_of(json, "held_ns");
        item->error.exit_code = (enum exit_code)number_of(json, "exit_code");
        snprintf(item->error.cause, sizeof(item->error.cause), "%s", text_of(json, "cause"));
        snprintf(item->error.next, sizeof(item->error.next), "%s", text_of(json, "next"));
}

/* Later lines of a process count: applied, then undone. Without a line it is `otherwise`. */
static void fill_plan(struct live_plan *plan, const json_t *processes, enum live_result otherwise)
{
        for (size_t i = 0; i < plan->n_items; i++) {
                struct live_process *item = &plan->items[i];
                const json_t *json;
                size_t k;

                item->result = LIVE_PENDING;
                json_array_foreach(processes, k, json)
                        if (number_of(json, "pid") == (uint64_t)item->process.pid &&
                            number_of(json, "start") == item->process.start_ticks)
                                fill_item(item, json);
                if (item->result != LIVE_PENDING)
                        continue;
                item->result = process_alive(item->process.pid, item->process.start_ticks)
                                       ? otherwise : LIVE_GONE;
                if (item->result == LIVE_REFUSED)
                        error_set(&item->error, EXIT_CODE_UNSUPPORTED, 0, "see suture.conf(5)",
                                  "the policy excludes it, or another process of its group");
        }
}

static int first_fault(const json_t *faults, struct error *err)
{
        const json_t *fault = json_array_get(faults, 0);

        if (!fault)
                return 0;
        return error_set(err, (enum exit_code)(number_of(fault, "exit_code") & 15), 0,
                         text_of(fault, "next"), "%.700s", text_of(fault, "cause"));
}

int link_apply(const struct patch *patch, struct live_plan *plan, uint64_t deadline_ms,
               struct error *err)
{
        _cleanup_close_ int fd = -1;
        char digest[SHA256_HEX_SIZE];
        json_t *reply = NULL;
        int r = copy_to_memory(patch, &fd, err);

        if (r < 0)
                return r;
        sha256_format(&patch->digest, digest);
        r = varlink_client_call(link_socket(), NAME "Apply",
                                json_pack("{s:s, s:I}", "digest", digest, "deadline_ms",
                                          (json_int_t)deadline_ms),
                                fd, LONG_MS, &reply, err);
        if (r != 0)
                return r < 0 ? r : LINK_ABSENT;
        fill_plan(plan, json_object_get(reply, "processes"), LIVE_REFUSED);
        r = first_fault(json_object_get(reply, "faults"), err);
        json_decref(reply);
        return r;
}

int link_rollback(const char *name, struct live_plan *plan, uint64_t deadline_ms,
                  struct error *err)
{
        json_t *reply = NULL;
        int r = varlink_client_call(link_socket(), NAME "Rollback",
                                    json_pack("{s:s, s:I}", "id", name, "deadline_ms",
                                              (json_int_t)deadline_ms),
                                    -1, LONG_MS, &reply, err);

        if (r != 0)
                return r < 0 ? r : LINK_ABSENT;
        fill_plan(plan, json_object_get(reply, "processes"), LIVE_UNCHANGED);
        r = first_fault(json_object_get(reply, "faults"), err);
        json_decref(reply);
        return r;
}

/* --- The store --------------------------------------------------------------------------- */

static bool store_is_there(void)
{
        struct stat status;

        return stat(link_store(), &status) == 0 && S_ISDIR(status.st_mode);
}

int link_keep(const struct patch *patch, struct error *err)
{
        _cleanup_(patch_store_closep) struct patch_store *store = NULL;
        int r;

        if (!store_is_there())
                return LINK_ABSENT;
        r = patch_store_open(link_store(), true, &store, err);
        if (r < 0)
                return r;
        r = patch_store_add(store, patch->bytes.data, patch->bytes.size, false, "uid 0", err);
        if (r == PATCH_STORE_OLDER || r == PATCH_STORE_DIFFERENT)
                return error_set(err, EXIT_CODE_TRUST, 0,
                                 "nothing was changed; --once applies it without keeping it",
                                 r == PATCH_STORE_OLDER
                                         ? "a higher level of %s is kept already"
                                         : "the same level of %s, with other content, is kept already",
                                 patch->id);
        if (r >= 0) /* it is asked for, whatever was before */
                r = patch_store_set_state(store, patch->id, PATCH_STATE_ENABLED, "", "uid 0", err);
        return MIN(r, 0);
}

static int forget_in_store(const char *name, struct error *err)
{
        _cleanup_(patch_store_closep) struct patch_store *store = NULL;
        int r;

        if (!store_is_there())
                return LINK_ABSENT;
        r = patch_store_open(link_store(), true, &store, err);
        for (size_t i = 0; r == 0 && i < store->n_entries; i++) {
                const struct patch *patch = store->entries[i]->patch;
                char full[PATCH_NAME_SIZE], id[PATCH_NAME_SIZE];

                patch_format_name(patch, full);
                if (strcmp(patch->id, name) != 0 && strcmp(full, name) != 0)
                        continue;
                snprintf(id, sizeof(id), "%s", patch->id);
                return patch_store_remove(store, id, err);
        }
        return r < 0 ? r : LINK_ABSENT;
}

int link_forget(const char *name, struct error *err)
{
        json_t *reply = NULL;
        bool stored;
        int r = varlink_client_call(link_socket(), NAME "Rollback",
                                    json_pack("{s:s, s:b}", "id", name, "processes", 0), -1,
                                    10 * SHORT_MS, &reply, err);

        if (r < 0)
                return r;
        if (r == VARLINK_CLIENT_ABSENT)
                return forget_in_store(name, err);
        stored = json_is_true(json_object_get(reply, "stored"));
        json_decref(reply);
        return stored ? 0 : LINK_ABSENT;
}

json_t *link_status(bool *ret_hangs)
{
        json_t *reply = NULL;
        struct error err = { 0 };
        int r = varlink_client_call(link_socket(), NAME "Status", json_object(), -1, SHORT_MS,
                                    &reply, &err);

        *ret_hangs = r < 0;
        return r == 0 ? reply : NULL;
}
