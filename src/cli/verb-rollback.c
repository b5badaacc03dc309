/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include "base/array.h"
#include "cli/change.h"
#include "cli/confirm.h"
#include "cli/describe.h"
#include "cli/link.h"

struct names {
        char (*items)[PATCH_NAME_SIZE];
        size_t n_items;
};

/* What is taken back: a patch by name, or whatever the selected processes hold. */
struct rollback {
        struct change change;
        struct live_rollback_filter filter;
        char patch_name[PATCH_NAME_SIZE]; /* the filter's, for --last */
        struct names names;         /* of the patches that the plan takes back */
};

static int check_usage(const struct options *options, struct error *err)
{
        size_t n = options->arguments.n_items + options->all + options->last;

        if (n > 1)
                return error_set(err, EXIT_CODE_USAGE, 0, "see: suture rollback --help",
                                 "an ID, --all and --last exclude each other");
        if (n == 0 && !selection_given(options))
                return error_set(err, EXIT_CODE_USAGE, 0,
                                 "name a patch, or --pid, --unit, --container, --last or --all; "
                                 "suture status shows what is there",
                                 "suture rollback was not told what to take back");
        return 0;
}

static bool fits(const struct rollback *rollback, const struct live_instance *instance)
{
        char name[PATCH_NAME_SIZE];

        if (instance->state != LIVE_STATE_ACTIVE && instance->state != LIVE_STATE_PREPARED)
                return false;
        describe_instance_patch(instance, name);
        return !rollback->filter.patch_id || strcmp(rollback->filter.patch_id, name) == 0 ||
               strcmp(rollback->filter.patch_id, instance->patch_id) == 0;
}

static int choose(struct rollback *rollback, struct error *err)
{
        struct change *change = &rollback->change;
        int r = live_choose_rollback(&rollback->filter, &change->selection.live, &change->plan,
                                     err);

        return r < 0 ? r : change_look(change, err);
}

static const struct live_instance *latest(const struct rollback *rollback)
{
        const struct live_instance *latest = NULL;

        for (size_t i = 0; i < rollback->change.n_before; i++) {
                const struct change_before *before = &rollback->change.before[i];

                for (size_t k = 0; k < before->n_instances; k++)
                        if (before->instances[k].state == LIVE_STATE_ACTIVE &&
                            (!latest || before->instances[k].applied_at > latest->applied_at))
                                latest = &before->instances[k];
        }
        return latest;
}

/* --last: all processes are looked at, then those with the patch that was applied last. */
static int choose_last(struct rollback *rollback, struct error *err)
{
        const struct live_instance *instance;
        struct change *change = &rollback->change;
        int r = choose(rollback, err);

        instance = r < 0 ? NULL : latest(rollback);
        if (!instance)
                return r;
        describe_instance_patch(instance, rollback->patch_name);
        rollback->filter.patch_id = rollback->patch_name;
        change_done(change);
        change->before = NULL;
        change->n_before = 0;
        return choose(rollback, err);
}

static void add_name(struct names *names, const char *name)
{
        char(*slot)[PATCH_NAME_SIZE];

        for (size_t i = 0; i < names->n_items; i++)
                if (strcmp(names->items[i], name) == 0)
                        return;
        slot = ARRAY_PUSH(names->items, names->n_items);
        if (slot)
                memcpy(*slot, name, strlen(name) + 1);
}

/* The patches that the plan takes back, each once. */
static void collect_names(const struct rollback *rollback, struct names *ret)
{
        for (size_t i = 0; i < rollback->change.n_before; i++) {
                const struct change_before *before = &rollback->change.before[i];

                for (size_t k = 0; k < before->n_instances; k++) {
                        char name[PATCH_NAME_SIZE];

                        if (!fits(rollback, &before->instances[k]))
                                continue;
                        describe_instance_patch(&before->instances[k], name);
                        add_name(ret, name);
                }
        }
}

static void join_names(const struct names *names, struct buffer *ret)
{
        for (size_t i = 0; i < names->n_items; i++)
                buffer_printf(ret, "%s%s", i ? ", " : "", names->items[i]);
        buffer_append(ret, "", 0);
}

static void print_end(struct change *change, const char *patches, int code)
{
        _cleanup_buffer_ struct buffer names = { 0 };
        bool many;

        if (change_count(&change->plan, LIVE_DONE) == 0) {
                output_text(change->output, "%s\n", code == EXIT_CODE_OK
                                                            ? "Nothing was left to take back."
                                                            : "Nothing was taken back.");
                return;
        }
        change_names(&change->plan, &names);
        many = strstr((const char *)names.data, " and ") != NULL;
        output_text(change->output, "%s %s original code again%s: %s was taken back.\n",
                    (const char *)names.data, many ? "run their" : "runs its",
                    code == EXIT_CODE_OK ? "" : " in part", patches);
}

/* Taken back everywhere, so no longer given to what starts. */
static int forget(struct rollback *rollback, const char *name, struct error *err)
{
        int r = link_forget(name, err);

        if (r == 0) {
                rollback->change.kept = true;
                output_text(rollback->change.output, "%s is no longer kept.\n", name);
        }
        return MIN(r, 0);
}

static int forget_all(struct rollback *rollback, struct error *err)
{
        const struct options *options = rollback->change.options;
        int r = 0;

        if (selection_given(options) || rollback->change.dry_run)
                return 0;
        for (size_t i = 0; r == 0 && i < rollback->names.n_items; i++)
                r = forget(rollback, rollback->names.items[i], err);
        if (r == 0 && options->arguments.n_items && !rollback->change.kept)
                r = forget(rollback, options->arguments.items[0], err);
        return r;
}

/* One patch everywhere is what sutured does; the rest is done here. */
static int through_sutured(struct rollback *rollback, uint64_t deadline_ms, struct error *err)
{
        int r = LINK_ABSENT;

        if (rollback->names.n_items == 1 && !selection_given(rollback->change.options))
                r = link_rollback(rollback->names.items[0], &rollback->change.plan, deadline_ms,
                                  err);
        rollback->change.kept = r == 0;
        return r;
}

static int take_back(struct rollback *rollback, const char *patches, struct error *err)
{
        struct change *change = &rollback->change;
        struct live_options live_options = change_live_options(change);
        int code, r;

        r = change_confirm(change, "Take it back?", err);
        if (r < 0)
                return r;
        if (r == CONFIRM_NO || interrupt_seen()) {
                output_text(change->output, "Nothing was changed.\n");
                return EXIT_CODE_ERROR;
        }
        r = through_sutured(rollback, live_options.deadline_ms, err);
        if (r == LINK_ABSENT) {
                r = forget_all(rollback, err); /* first, or those that start meanwhile had it */
                if (r == 0)
                        r = live_rollback(&rollback->filter, &change->plan, &live_options, err);
        }
        change_progress_end(change);
        if (r < 0 && change_count(&change->plan, LIVE_DONE) == 0)
                return r;
        change_print_results(change);
        if (r < 0) {
                output_remark(change->output, "suture: %s.\n", err->cause);
                snprintf(change->cause, sizeof(change->cause), "%s", err->cause);
                snprintf(change->next, sizeof(change->next), "%s", err->next);
        }
        code = r < 0 ? EXIT_CODE_PARTIAL : change_exit_code(&change->plan);
        print_end(change, patches, code);
        return code;
}

static int run(struct rollback *rollback, const char *patches, struct error *err)
{
        struct change *change = &rollback->change;
        const struct options *options = change->options;
        bool none_left;

        if (change->plan.n_items == 0) {
                const char *id = options->arguments.n_items ? options->arguments.items[0] : NULL;

                output_text(change->output, "No process%s holds %s%s: nothing to do.\n",
                            selection_given(options) ? " of those named" : "",
                            id ? "the patch " : "a patch", id ? id : "");
                return forget_all(rollback, err);
        }
        interrupt_catch();
        output_text(change->output, "Plan (nothing changed yet)\n  %-9s%s\n", "undo", patches);
        change_print_targets(change);
        none_left = change_count(&change->plan, LIVE_REFUSED) == change->plan.n_items;
        if (none_left) {
                output_text(change->output, "Nothing was taken back.\n");
                return change_exit_code(&change->plan);
        }
        return change->dry_run ? EXIT_CODE_OK : take_back(rollback, patches, err);
}

static json_t *names_json(const struct names *names)
{
        json_t *json = json_array();

        for (size_t i = 0; i < names->n_items; i++)
                json_array_append_new(json, output_json_text(names->items[i]));
        return json;
}

static void rollback_done(struct rollback *rollback)
{
        change_done(&rollback->change);
        free(rollback->names.items);
}

int verb_rollback(const struct options *options, struct output *output, struct error *err)
{
        _cleanup_(rollback_done) struct rollback rollback = {
                .change = {
                        .options = options,
                        .output = output,
                        .schema = "suture-rollback-1",
                        .dry_run = options->dry_run,
                },
                .filter = {
                        .patch_id = options->arguments.n_items ? options->arguments.items[0] : NULL,
                },
        };
        _cleanup_buffer_ struct buffer patches = { 0 };
        int r = check_usage(options, err);

        if (r == 0)
                r = change_check_root("rollback", err);
        if (r == 0)
                r = selection_make(options, &rollback.change.selection, err);
        if (r == 0)
                r = options->last ? choose_last(&rollback, err) : choose(&rollback, err);
        if (r == 0) {
                collect_names(&rollback, &rollback.names);
                join_names(&rollback.names, &patches);
                r = run(&rollback, patches.data ? (const char *)patches.data : "", err);
        }
        if (r >= 0)
                change_print_json(&rollback.change, r, json_pack("{s:o, s:b}", "patches",
                                                                 names_json(&rollback.names),
                                                                 "no_longer_kept", (int)rollback.change.kept));
        return r;
}
