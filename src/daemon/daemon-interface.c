/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The methods of org.suture.Daemon (share/varlink), and those of org.varlink.service. Each call is
 * answered here at once, except where a task or the reading of a patch file has to end first.
 */
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/daemon-parts.h"
#include "daemon/interface-text.h"

#define GROUP "suture"
#define DEADLINE_MS 10000
#define DEADLINE_MAX_MS 600000
#define NAME "org.suture.Daemon"

static bool may_change(const struct varlink_call *call)
{
        const struct group *group;

        if (call->uid == 0)
                return true;
        group = getgrnam(GROUP);
        if (!group)
                return false;
        for (size_t i = 0; i < call->n_groups; i++)
                if (call->groups[i] == group->gr_gid)
                        return true;
        return call->gid == group->gr_gid;
}

static const char *text_of(const struct varlink_call *call, const char *name)
{
        return json_string_value(json_object_get(call->parameters, name));
}

static bool flag_of(const struct varlink_call *call, const char *name, bool otherwise)
{
        const json_t *json = json_object_get(call->parameters, name);

        return json_is_boolean(json) ? json_is_true(json) : otherwise;
}

static uint64_t deadline_of(const struct varlink_call *call)
{
        const json_t *json = json_object_get(call->parameters, "deadline_ms");
        json_int_t value = json_is_integer(json) ? json_integer_value(json) : DEADLINE_MS;

        return (uint64_t)MIN(MAX(value, 0), DEADLINE_MAX_MS);
}

static void refuse(struct daemon *daemon, uint64_t connection, const struct error *err)
{
        (void)varlink_fail(daemon->varlink, connection, NAME ".Refused",
                           json_pack("{s:s, s:s, s:i}", "cause", err->cause, "next", err->next,
                                     "exit_code", (int)err->exit_code));
}

static void bad_parameter(struct daemon *daemon, const struct varlink_call *call,
                          const char *name)
{
        (void)varlink_fail(daemon->varlink, call->connection,
                           "org.varlink.service.InvalidParameter",
                           json_pack("{s:s}", "parameter", name));
}

static void no_such_patch(struct daemon *daemon, const struct varlink_call *call, const char *id)
{
        (void)varlink_fail(daemon->varlink, call->connection, NAME ".NoSuchPatch",
                           json_pack("{s:s}", "id", id));
}

/* --- Reading ----------------------------------------------------------------------------- */

static void get_info(struct daemon *daemon, struct varlink_call *call)
{
        (void)varlink_reply(daemon->varlink, call->connection,
                            json_pack("{s:s, s:s, s:s, s:s, s:[s, s]}", "vendor", "suture",
                                      "product", "sutured", "version", SUTURE_VERSION, "url",
                                      "https://varlink.org/", "interfaces", "org.varlink.service",
                                      NAME), false);
}

static void get_description(struct daemon *daemon, struct varlink_call *call)
{
        const char *name = text_of(call, "interface"), *text = NULL;

        if (name && strcmp(name, NAME) == 0)
                text = interface_text;
        else if (name && strcmp(name, "org.varlink.service") == 0)
                text = service_text;
        if (text)
                (void)varlink_reply(daemon->varlink, call->connection,
                                    json_pack("{s:s}", "description", text), false);
        else
                (void)varlink_fail(daemon->varlink, call->connection,
                                   "org.varlink.service.InterfaceNotFound",
                                   json_pack("{s:s}", "interface", name ? name : ""));
}

static const char *guard_word(const struct daemon *daemon)
{
        if (daemon->swapping)
                return "starting";
        if (!daemon->guard.guard)
                return "idle";
        return daemon->guard.fallback ? "late" : "events";
}

static size_t count(const struct daemon *daemon, enum patch_state state)
{
        size_t n = 0;

        for (size_t i = 0; i < daemon->store->n_entries; i++)
                n += daemon->store->entries[i]->state == state;
        return n;
}

static void status(struct daemon *daemon, struct varlink_call *call)
{
        json_t *reply = json_pack(
                "{s:s, s:i, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "version",
                SUTURE_VERSION, "pid", (int)getpid(), "guard", guard_word(daemon), "guard_pid",
                daemon->guard.guard ? (int)guard_keeper(daemon->guard.guard) : 0, "enabled",
                (json_int_t)count(daemon, PATCH_STATE_ENABLED), "held",
                (json_int_t)count(daemon, PATCH_STATE_HELD), "quarantined",
                (json_int_t)count(daemon, PATCH_STATE_QUARANTINED), "processes",
                (json_int_t)lives_count(daemon->lives), "started", (json_int_t)daemon->n_started,
                "late", (json_int_t)daemon->n_late, "failed", (json_int_t)daemon->n_failed,
                "guard_lost", (json_int_t)daemon->n_lost);

        if (daemon->policy_fault)
                json_object_set_new(reply, "policy_fault", json_string(daemon->policy_fault));
        (void)varlink_reply(daemon->varlink, call->connection, reply, false);
}

static json_t *entry_json(const struct patch_store_entry *entry)
{
        static const char *const reaches[] = { "unknown", "local", "remote" };
        const struct patch *patch = entry->patch;
        json_t *cves = json_array();
        char digest[SHA256_HEX_SIZE];

        for (size_t i = 0; i < patch->n_cves; i++)
                json_array_append_new(cves, json_pack("{s:s, s:s}", "id", patch->cves[i].id,
                                                      "reach", reaches[patch->cves[i].reach]));
        sha256_format(&patch->digest, digest);
        return json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:b, s:o}", "id", patch->id,
                         "level", (json_int_t)patch->level, "digest", digest, "title",
                         patch->title, "state", patch_state_name(entry->state), "reason",
                         entry->reason, "by", entry->by, "since", (json_int_t)entry->since,
                         "added", (json_int_t)entry->added, "superseded", (int)entry->superseded,
                         "cves", cves);
}

static void list_patches(struct daemon *daemon, struct varlink_call *call)
{
        json_t *patches = json_array(), *faults = json_array();

        for (size_t i = 0; i < daemon->store->n_entries; i++)
                json_array_append_new(patches, entry_json(daemon->store->entries[i]));
        for (size_t i = 0; i < daemon->store->n_faults; i++)
                json_array_append_new(faults, json_pack("{s:s, s:s}", "file",
                                                        daemon->store->faults[i].file, "what",
                                                        daemon->store->faults[i].what));
        (void)varlink_reply(daemon->varlink, call->connection,
                            json_pack("{s:o, s:o}", "patches", patches, "faults", faults), false);
}

static void watch(struct daemon *daemon, struct varlink_call *call)
{
        if (!call->more || call->oneway) {
                (void)varlink_fail(daemon->varlink, call->connection,
                                   "org.varlink.service.ExpectedMore", NULL);
                return;
        }
        for (size_t i = 0; i < DAEMON_WATCHERS_MAX; i++)
                if (!daemon->watchers[i].connection ||
                    !varlink_connected(daemon->varlink, daemon->watchers[i].connection)) {
                        daemon->watchers[i].connection = call->connection;
                        return;
                }
        (void)varlink_fail(daemon->varlink, call->connection, NAME ".Busy", NULL);
}

/* --- Changing ---------------------------------------------------------------------------- */

static void format_by(uid_t uid, char *ret, size_t size)
{
        snprintf(ret, size, "uid %u", uid);
}

static void answer(struct daemon *daemon, uint64_t connection, bool stored, bool failed,
                   json_t *items, json_t *faults)
{
        (void)varlink_reply(daemon->varlink, connection,
                            json_pack("{s:b, s:b, s:O, s:O}", "stored", (int)stored, "failed",
                                      (int)failed, "processes", items, "faults", faults), false);
}

void daemon_answer_task(struct daemon *daemon, struct task *task)
{
        if (task->connection)
                answer(daemon, task->connection, task->stored, task->failed, task->items,
                       task->faults);
}

static void answer_empty(struct daemon *daemon, uint64_t connection, bool stored)
{
        json_t *none = json_array();

        answer(daemon, connection, stored, false, none, none);
        json_decref(none);
}

static int store_outcome(int outcome, const struct patch *patch, struct error *err)
{
        if (outcome == PATCH_STORE_OLDER)
                return error_set(err, EXIT_CODE_TRUST, 0,
                                 "nothing was changed; suture rollback takes the newer one back",
                                 "a higher level of %s is kept already", patch->id);
        if (outcome == PATCH_STORE_DIFFERENT)
                return error_set(err, EXIT_CODE_TRUST, 0,
                                 "nothing was changed; give the changed file a higher level",
                                 "level %u of %s is kept already, with other content",
                                 patch->level, patch->id);
        return outcome;
}

/* Kept as asked for. 0 or UNCHANGED, or negative. */
static int keep(struct daemon *daemon, const struct upload *upload, const struct patch *patch,
                struct error *err)
{
        char by[32];
        int r;

        format_by(upload->uid, by, sizeof(by));
        r = store_outcome(patch_store_add(daemon->store, patch->bytes.data, patch->bytes.size,
                                          upload->force, by, err), patch, err);
        if (r < 0)
                return r;
        if (upload->hold)
                r = patch_store_set_state(daemon->store, patch->id, PATCH_STATE_HELD, "", by, err);
        else /* it is asked for, whatever was before */
                r = patch_store_set_state(daemon->store, patch->id, PATCH_STATE_ENABLED, "", by,
                                          err);
        if (r < 0)
                return r;
        daemon_tell(daemon, upload->hold ? "patch-held" : "patch-enabled", upload->uid,
                    upload->pid, json_pack("{s:s, s:i}", "patch", patch->id, "level",
                                           (int)patch->level));
        daemon_guard_renew(daemon);
        return 0;
}

static int use_bytes(struct upload *upload, struct buffer *bytes, struct error *err)
{
        struct daemon *daemon = upload->daemon;
        _cleanup_(patch_freep) struct patch *patch = NULL;
        struct task task = {
                .kind = TASK_APPLY, .deadline_ms = upload->deadline_ms,
                .connection = upload->connection, .uid = upload->uid, .pid = upload->pid,
                .stored = !upload->once,
        };
        int r = patch_parse(bytes->data, bytes->size, "the patch file", &patch, err);

        if (r == 0 && !sha256_equal(&patch->digest, &upload->digest))
                return error_set(err, EXIT_CODE_TRUST, 0,
                                 "nothing was changed; this is not the file that was meant",
                                 "the patch file has another digest than the one given");
        if (r == 0 && !upload->once)
                r = keep(daemon, upload, patch, err);
        if (r < 0)
                return r;
        if (upload->hold) {
                answer_empty(daemon, upload->connection, true);
                return 0;
        }
        task.patch = patch;
        r = daemon_task_add(daemon, &task);
        if (r < 0)
                return error_set(err, EXIT_CODE_ERROR, -r, "try again in a moment",
                                 "sutured has too much to do");
        patch = NULL;
        return 0;
}

static void upload_end(void *context, struct buffer *bytes, const struct error *err)
{
        struct upload *upload = context;
        struct error fault = *err;

        if (!bytes || use_bytes(upload, bytes, &fault) < 0)
                refuse(upload->daemon, upload->connection, &fault);
}

static void upload_free(struct upload *upload)
{
        sandbox_free(upload->sandbox);
        free(upload);
}

static void apply(struct daemon *daemon, struct varlink_call *call)
{
        const char *digest = text_of(call, "digest");
        struct upload *upload, **slot = NULL;
        struct error err = { .exit_code = EXIT_CODE_ERROR };
        int fd = call->fd;

        for (size_t i = 0; i < DAEMON_TASKS_MAX && !slot; i++)
                slot = daemon->uploads[i] ? NULL : &daemon->uploads[i];
        upload = slot ? calloc(1, sizeof(*upload)) : NULL;
        if (!upload) {
                (void)varlink_fail(daemon->varlink, call->connection, NAME ".Busy", NULL);
                return;
        }
        upload->daemon = daemon;
        if (!digest || !sha256_parse(digest, &upload->digest)) {
                bad_parameter(daemon, call, "digest");
        } else if (fd < 0) {
                (void)varlink_fail(daemon->varlink, call->connection, NAME ".NoFile", NULL);
        } else {
                upload->once = flag_of(call, "once", false);
                upload->hold = flag_of(call, "hold", false);
                upload->force = flag_of(call, "force", false);
                upload->deadline_ms = deadline_of(call);
                upload->connection = call->connection;
                upload->uid = call->uid;
                upload->pid = call->pid;
                call->fd = -1;
                if (sandbox_start(fd, upload_end, upload, &upload->sandbox, &err) == 0) {
                        *slot = upload;
                        return;
                }
                refuse(daemon, call->connection, &err);
        }
        upload_free(upload);
}

void daemon_uploads_step(struct daemon *daemon)
{
        for (size_t i = 0; i < DAEMON_TASKS_MAX; i++) {
                struct upload *upload = daemon->uploads[i];

                if (!upload || !job_step(sandbox_job(upload->sandbox)))
                        continue;
                daemon->uploads[i] = NULL;
                upload_free(upload);
        }
}

void daemon_uploads_end(struct daemon *daemon)
{
        for (size_t i = 0; i < DAEMON_TASKS_MAX; i++)
                if (daemon->uploads[i])
                        upload_free(daemon->uploads[i]);
}

/* "SUT-1.2" names SUT-1 where level 2 is the one that is kept. */
static const struct patch_store_entry *find_entry(const struct daemon *daemon, const char *name)
{
        for (size_t i = 0; i < daemon->store->n_entries; i++) {
                const struct patch_store_entry *entry = daemon->store->entries[i];
                char full[PATCH_NAME_SIZE];

                patch_format_name(entry->patch, full);
                if (strcmp(entry->patch->id, name) == 0 || strcmp(full, name) == 0)
                        return entry;
        }
        return NULL;
}

static void rollback(struct daemon *daemon, struct varlink_call *call)
{
        const char *id = text_of(call, "id");
        const struct patch_store_entry *entry;
        struct task task = {
                .kind = TASK_UNDO, .deadline_ms = deadline_of(call),
                .connection = call->connection, .uid = call->uid, .pid = call->pid,
        };
        struct error err = { .exit_code = EXIT_CODE_ERROR };

        if (!id || strlen(id) >= sizeof(task.id)) {
                bad_parameter(daemon, call, "id");
                return;
        }
        memcpy(task.id, id, strlen(id) + 1);
        entry = find_entry(daemon, id);
        if (entry) {
                char name[PATCH_NAME_SIZE];

                snprintf(name, sizeof(name), "%s", entry->patch->id);
                if (patch_store_remove(daemon->store, name, &err) < 0) {
                        refuse(daemon, call->connection, &err);
                        return;
                }
                task.stored = true;
                daemon_tell(daemon, "patch-removed", call->uid, call->pid,
                            json_pack("{s:s}", "patch", name));
                daemon_undone(daemon, name);
                daemon_guard_renew(daemon);
        }
        if (!flag_of(call, "processes", true))
                answer_empty(daemon, call->connection, task.stored);
        else if (daemon_task_add(daemon, &task) < 0)
                (void)varlink_fail(daemon->varlink, call->connection, NAME ".Busy", NULL);
}

static void set_state(struct daemon *daemon, struct varlink_call *call)
{
        const char *id = text_of(call, "id"), *word = text_of(call, "state");
        const char *reason = text_of(call, "reason");
        enum patch_state state = PATCH_STATE_ENABLED;
        const struct patch_store_entry *entry = id ? find_entry(daemon, id) : NULL;
        struct error err = { .exit_code = EXIT_CODE_ERROR };
        char by[32], own[PATCH_NAME_SIZE];
        int r;

        if (!entry) {
                no_such_patch(daemon, call, id ? id : "");
                return;
        }
        if (word && strcmp(word, "held") == 0)
                state = PATCH_STATE_HELD;
        else if (!word || strcmp(word, "enabled") != 0) {
                bad_parameter(daemon, call, "state");
                return;
        }
        format_by(call->uid, by, sizeof(by));
        snprintf(own, sizeof(own), "%s", entry->patch->id); /* a change makes the entry invalid */
        r = patch_store_set_state(daemon->store, own, state, reason, by, &err);
        if (r < 0) {
                refuse(daemon, call->connection, &err);
                return;
        }
        if (r == 0) {
                daemon_tasks_break_off(daemon, own);
                daemon_tell(daemon, state == PATCH_STATE_HELD ? "patch-held" : "patch-enabled",
                            call->uid, call->pid, json_pack("{s:s}", "patch", id));
                daemon_guard_renew(daemon);
        }
        (void)varlink_reply(daemon->varlink, call->connection, json_object(), false);
}

static void reload(struct daemon *daemon, struct varlink_call *call)
{
        struct error err = { .exit_code = EXIT_CODE_ERROR };

        if (daemon_reload(daemon, &err) < 0)
                refuse(daemon, call->connection, &err);
        else
                (void)varlink_reply(daemon->varlink, call->connection, json_object(), false);
}

static const struct {
        const char *name;
        bool changes;
        void (*run)(struct daemon *daemon, struct varlink_call *call);
} methods[] = {
        { "org.varlink.service.GetInfo", false, get_info },
        { "org.varlink.service.GetInterfaceDescription", false, get_description },
        { NAME ".Status", false, status },
        { NAME ".ListPatches", false, list_patches },
        { NAME ".Watch", false, watch },
        { NAME ".Apply", true, apply },
        { NAME ".Rollback", true, rollback },
        { NAME ".SetState", true, set_state },
        { NAME ".Reload", true, reload },
};

void daemon_call(void *context, struct varlink_call *call)
{
        struct daemon *daemon = context;

        for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
                if (strcmp(methods[i].name, call->method) != 0)
                        continue;
                if (!methods[i].changes || may_change(call))
                        methods[i].run(daemon, call);
                else
                        (void)varlink_fail(daemon->varlink, call->connection, NAME ".NotAllowed",
                                           json_pack("{s:s}", "reason",
                                                     "only root and the group " GROUP " may"));
                return;
        }
        (void)varlink_fail(daemon->varlink, call->connection, "org.varlink.service.MethodNotFound",
                           json_pack("{s:s}", "method", call->method));
}
