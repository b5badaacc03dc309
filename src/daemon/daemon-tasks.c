/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Work on processes, one job at a time: two that hold the same process would be in each other's
 * way. Taking back does not wait for others, because what does harm must go at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/daemon-parts.h"
#include "daemon/health.h"

#define SCAN_EVERY_NS (300u * UINT64_C(1000000000))
#define SCAN_DEADLINE_MS 2000
#define ITEMS_MAX 10000

const struct patch **daemon_enabled(const struct daemon *daemon, size_t *ret_n)
{
        const struct patch **patches = calloc(daemon->store->n_entries + 1, sizeof(*patches));
        size_t n = 0;

        for (size_t i = 0; patches && i < daemon->store->n_entries; i++) {
                const struct patch_store_entry *entry = daemon->store->entries[i];

                if (entry->state == PATCH_STATE_ENABLED && !entry->superseded)
                        patches[n++] = entry->patch;
        }
        *ret_n = n;
        return patches;
}

static void task_free(struct task *task)
{
        job_free(task->job);
        patch_free(task->patch);
        json_decref(task->items);
        json_decref(task->faults);
        free(task);
}

int daemon_task_add(struct daemon *daemon, const struct task *task)
{
        for (size_t i = 0; i < DAEMON_TASKS_MAX; i++) {
                struct task *copy;

                if (daemon->tasks[i])
                        continue;
                copy = malloc(sizeof(*copy));
                if (!copy)
                        return -ENOMEM;
                *copy = *task;
                copy->daemon = daemon;
                copy->items = json_array();
                copy->faults = json_array();
                daemon->tasks[i] = copy;
                return 0;
        }
        return -EAGAIN;
}

/* --- What a job says --------------------------------------------------------------------- */

static const char *text_of(const json_t *json, const char *name)
{
        const char *text = json_string_value(json_object_get(json, name));

        return text ? text : "";
}

static void on_known(struct daemon *daemon, const json_t *known)
{
        _cleanup_buffer_ struct buffer names = { 0 };
        struct life life = {
                .pid = (pid_t)json_integer_value(json_object_get(known, "pid")),
                .start_ticks = (uint64_t)json_integer_value(json_object_get(known, "start")),
                .main = json_is_true(json_object_get(known, "main")),
                .service = (char *)text_of(known, "service"),
        };
        const json_t *name;
        size_t i;

        json_array_foreach(json_object_get(known, "patches"), i, name)
                buffer_printf(&names, "%s%s", i ? " " : "", json_string_value(name));
        life.patches = names.data ? (char *)names.data : (char *)"";
        daemon_know(daemon, &life, true);
}

static void note_patched(const struct task *task, const json_t *process)
{
        const struct life life = {
                .pid = (pid_t)json_integer_value(json_object_get(process, "pid")),
                .start_ticks = (uint64_t)json_integer_value(json_object_get(process, "start")),
                .main = json_is_true(json_object_get(process, "main")),
                .service = (char *)text_of(process, "service"),
                .patches = (char *)text_of(process, "patch"),
        };

        if (life.service[0])
                daemon_know(task->daemon, &life, false);
}

/* Nothing of what was so already goes into the log. */
static void on_process(struct task *task, json_t *process)
{
        const char *result = text_of(process, "result");

        if (json_array_size(task->items) < ITEMS_MAX)
                json_array_append(task->items, process);
        if (task->kind != TASK_UNDO && strcmp(result, "done") == 0)
                note_patched(task, process);
        if (strcmp(result, "unchanged") == 0 || strcmp(result, "gone") == 0)
                return;
        daemon_tell(task->daemon, task->kind == TASK_UNDO ? "process-rolled-back"
                                                          : "process-patched",
                    task->uid, task->pid ? task->pid : getpid(),
                    json_pack("{s:s, s:s, s:O, s:s, s:s, s:s, s:I}", "patch",
                              text_of(process, "patch"), "result", result, "process",
                              json_object_get(process, "pid"), "name", text_of(process, "name"),
                              "unit", text_of(process, "unit"), "cause",
                              text_of(process, "cause"), "pause_us",
                              json_integer_value(json_object_get(process, "pause_ns")) / 1000));
}

static void on_health(struct task *task, const json_t *health)
{
        char reason[512];

        task->failed = true;
        snprintf(reason, sizeof(reason), "health check of %s: %.380s", text_of(health, "unit"),
                 text_of(health, "cause"));
        daemon_quarantine(task->daemon, text_of(health, "patch"), reason, "health check");
}

static void on_line(void *context, const json_t *json)
{
        struct task *task = context;
        json_t *part;

        if ((part = json_object_get(json, "known")))
                on_known(task->daemon, part);
        else if ((part = json_object_get(json, "process")))
                on_process(task, part);
        else if ((part = json_object_get(json, "health")))
                on_health(task, part);
        else if ((part = json_object_get(json, "fault"))) {
                json_array_append(task->faults, part);
                daemon_tell(task->daemon, "work-fault", task->uid, getpid(), json_incref(part));
        }
}

static void on_end(void *context, bool whole)
{
        struct task *task = context;

        if (!whole)
                json_array_append_new(task->faults,
                                      json_pack("{s:s, s:s, s:i}", "cause",
                                                "the process that did the work was ended", "next",
                                                "see suture status, and try again", "exit_code",
                                                EXIT_CODE_ERROR));
        if (task->kind == TASK_SCAN) {
                if (whole)
                        lives_look_end(task->daemon->lives);
                task->daemon->looked = true;
        }
}

/* --- The queue --------------------------------------------------------------------------- */

static int start(struct task *task, struct error *err)
{
        struct daemon *daemon = task->daemon;
        const char *id = task->id;
        size_t n = 0;
        _cleanup_free_ const struct patch **enabled = daemon_enabled(daemon, &n);
        struct work work = {
                .policy = daemon->policy,
                .deadline_ms = task->deadline_ms,
                .probe = daemon->settings.probe,
                .asked = task->kind != TASK_SCAN,
        };
        struct job_settings settings = {
                .name = "suture-job", .run = work_run, .line = on_line, .end = on_end,
                .context = task,
        };

        if (!enabled)
                return error_no_memory(err);
        if (task->kind == TASK_SCAN) {
                work.patches = enabled;
                work.n_patches = n;
                work.look = true;
                lives_look_begin(daemon->lives);
        } else if (task->kind == TASK_APPLY) {
                work.patches = (const struct patch *const *)&task->patch;
                work.n_patches = 1;
        } else {
                work.undo = &id;
                work.n_undo = 1;
        }
        settings.run_context = &work; /* the new process has a copy of all this */
        return job_start(&settings, &task->job, err);
}

static void finish(struct daemon *daemon, size_t i)
{
        struct task *task = daemon->tasks[i];

        daemon_answer_task(daemon, task);
        daemon->tasks[i] = NULL;
        task_free(task);
}

void daemon_tasks_break_off(struct daemon *daemon, const char *id)
{
        for (size_t i = 0; i < DAEMON_TASKS_MAX; i++) {
                struct task *task = daemon->tasks[i];

                if (!task || task->failed)
                        continue;
                /* Later: this may be called while the task's own job is being heard. */
                if (task->kind == TASK_SCAN)
                        task->broken_off = daemon->scan_wanted = true;
                else if (task->kind == TASK_APPLY && strcmp(task->patch->id, id) == 0)
                        task->broken_off = true;
        }
}

static void end_broken_off(struct daemon *daemon)
{
        for (size_t i = 0; i < DAEMON_TASKS_MAX; i++) {
                struct task *task = daemon->tasks[i];

                if (!task || !task->broken_off)
                        continue;
                json_array_append_new(task->faults,
                                      json_pack("{s:s, s:s, s:i}", "cause",
                                                "the patch was taken back meanwhile", "next", "",
                                                "exit_code", EXIT_CODE_ERROR));
                finish(daemon, i);
        }
}

static bool may_start(const struct daemon *daemon, const struct task *task)
{
        for (size_t i = 0; i < DAEMON_TASKS_MAX; i++) {
                const struct task *other = daemon->tasks[i];

                if (other && other->job && other->failed)
                        return false; /* it is just taking its patch back */
                if (other && other->job && (task->kind != TASK_UNDO || other->kind == TASK_UNDO))
                        return false;
        }
        return true;
}

static void ask_for_scan(struct daemon *daemon)
{
        struct task task = { .kind = TASK_SCAN, .deadline_ms = SCAN_DEADLINE_MS };
        uint64_t now_ns = clock_now_ns();

        if (!daemon->scan_wanted && now_ns - daemon->last_scan_ns < SCAN_EVERY_NS)
                return;
        for (size_t i = 0; i < DAEMON_TASKS_MAX; i++)
                if (daemon->tasks[i] && daemon->tasks[i]->kind == TASK_SCAN)
                        return;
        if (daemon_task_add(daemon, &task) == 0) {
                daemon->scan_wanted = false;
                daemon->last_scan_ns = now_ns;
        }
}

void daemon_tasks_step(struct daemon *daemon)
{
        end_broken_off(daemon);
        for (size_t i = 0; i < DAEMON_TASKS_MAX; i++)
                if (daemon->tasks[i] && daemon->tasks[i]->job && job_step(daemon->tasks[i]->job))
                        finish(daemon, i);
        end_broken_off(daemon); /* before anything is started that takes back */
        ask_for_scan(daemon);
        for (size_t i = 0; i < DAEMON_TASKS_MAX; i++) {
                struct task *task = daemon->tasks[i];
                struct error err = { .exit_code = EXIT_CODE_ERROR };

                if (!task || task->job || !may_start(daemon, task) || start(task, &err) == 0)
                        continue;
                json_array_append_new(task->faults,
                                      json_pack("{s:s, s:s, s:i}", "cause", err.cause, "next",
                                                err.next, "exit_code", (int)err.exit_code));
                finish(daemon, i);
        }
}

void daemon_tasks_end(struct daemon *daemon)
{
        for (size_t i = 0; i < DAEMON_TASKS_MAX; i++)
                if (daemon->tasks[i])
                        task_free(daemon->tasks[i]);
}
