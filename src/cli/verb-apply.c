/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plan, trust, question, change, result. A patch that nobody signed is applied only where the
 * administrator names the file's digest: that is the one way in which a file is meant and no other.
 */
#include <inttypes.h>
#include <string.h>
#include "cli/change.h"
#include "cli/confirm.h"
#include "cli/describe.h"
#include "cli/link.h"

#define FUNCTIONS_SHOWN 6

static int check_digest(const struct options *options, const struct patch *patch,
                        struct error *err)
{
        char digest[SHA256_HEX_SIZE];

        if (!options->digest_given || sha256_equal(&options->digest, &patch->digest))
                return 0;
        sha256_format(&patch->digest, digest);
        return error_set(err, EXIT_CODE_TRUST, 0,
                         "nothing was changed; this is not the file that was meant, get it again",
                         "%s has the digest %s, not the one given", options->arguments.items[0],
                         digest);
}

static bool holds_patch(const struct change_before *before, const struct patch *patch)
{
        size_t n = 0;

        for (size_t i = 0; i < before->n_instances; i++)
                n += before->instances[i].state == LIVE_STATE_ACTIVE &&
                     sha256_equal(&before->instances[i].digest, &patch->digest);
        return n > 0;
}

/* True if every module of every process of the plan runs this very patch. */
static bool all_unchanged(const struct change *change, const struct patch *patch)
{
        for (size_t i = 0; i < change->plan.n_items; i++) {
                const struct change_before *before = &change->before[i];
                size_t n = 0;

                for (size_t k = 0; k < before->n_instances; k++)
                        n += before->instances[k].state == LIVE_STATE_ACTIVE &&
                             sha256_equal(&before->instances[k].digest, &patch->digest);
                if (n < change->plan.items[i].n_instances)
                        return false;
        }
        return true;
}

static void print_functions(struct output *output, const struct patch *patch,
                            const struct patch_target *target, const char *label)
{
        _cleanup_buffer_ struct buffer text = { 0 };

        for (size_t i = 0; i < MIN(target->n_functions, (size_t)FUNCTIONS_SHOWN); i++) {
                if (i)
                        buffer_append(&text, ", ", 2);
                describe_function(patch, &target->functions[i], &text);
        }
        if (target->n_functions > FUNCTIONS_SHOWN)
                buffer_printf(&text, " and %zu more", target->n_functions - FUNCTIONS_SHOWN);
        output_text(output, "  %-9s%zu function%s of %s: %s\n", label, target->n_functions,
                    target->n_functions == 1 ? "" : "s", target->module,
                    text.data ? (const char *)text.data : "");
}

static size_t count_holding(const struct change *change, const struct patch *patch)
{
        size_t n = 0;

        for (size_t i = 0; i < change->plan.n_items; i++)
                n += holds_patch(&change->before[i], patch);
        return n;
}

static void print_plan(struct change *change, const struct patch *patch)
{
        struct output *output = change->output;
        _cleanup_buffer_ struct buffer cves = { 0 };
        char name[PATCH_NAME_SIZE];
        size_t n_holding = count_holding(change, patch);
        bool pinned = false;

        patch_format_name(patch, name);
        describe_cves(patch, true, &cves);
        output_text(output, "Plan (nothing changed yet)\n");
        output_text(output, "  %-9s%s  %s %s   not signed%s\n", "patch", name,
                    patch->source_package, patch->source_version,
                    change->options->digest_given ? ", named by its digest" : "");
        if (cves.size)
                output_text(output, "  %-9s%s\n", "fixes", (const char *)cves.data);
        for (size_t i = 0; i < patch->n_targets; i++) {
                print_functions(output, patch, &patch->targets[i], i ? "" : "changes");
                pinned |= patch->targets[i].pinned;
        }
        change_print_targets(change);
        if (n_holding > 0)
                output_text(output, "  %-9s%zu of them run it already\n", "", n_holding);
        output_text(output, "  %-9syes%s\n", "rollback",
                    pinned ? "; the new code then stays in memory unused" : "");
}

/* The command that applies this very file, with what was selected. */
static void format_command(const struct change *change, const struct patch *patch,
                           struct buffer *ret)
{
        char digest[SHA256_HEX_SIZE];

        sha256_format(&patch->digest, digest);
        buffer_printf(ret, "suture apply ");
        describe_shell_word(change->options->arguments.items[0], ret);
        change_selection_words(change->options, ret);
        buffer_printf(ret, " --digest %s", digest);
}

/* Nobody vouches for the file: say so, and how to go on. */
static int refuse_unsigned(struct change *change, const struct patch *patch)
{
        _cleanup_buffer_ struct buffer command = { 0 };
        struct error err = { .exit_code = EXIT_CODE_TRUST };

        format_command(change, patch, &command);
        snprintf(change->cause, sizeof(change->cause),
                 "nobody signed %s, so nothing was changed", change->options->arguments.items[0]);
        snprintf(change->next, sizeof(change->next), "if you trust this very file: %s",
                 command.data ? (const char *)command.data : "name its --digest");
        memcpy(err.cause, change->cause, sizeof(err.cause));
        memcpy(err.next, change->next, sizeof(err.next));
        if (!change->output->json)
                output_error(change->output, &err);
        return EXIT_CODE_TRUST;
}

static void print_end(struct change *change, const struct patch *patch, int code)
{
        struct output *output = change->output;
        _cleanup_buffer_ struct buffer names = { 0 }, cves = { 0 };
        bool one_program, nothing_done = change_count(&change->plan, LIVE_DONE) == 0;

        if (change_count(&change->plan, LIVE_UNCHANGED) == 0 && nothing_done) {
                output_text(output, "%s\n", code == EXIT_CODE_OK ? "No process was left to patch."
                                                                 : "No process is PATCHED.");
                return;
        }
        change_names(&change->plan, &names);
        describe_cves(patch, false, &cves);
        one_program = !strstr((const char *)names.data, " and ");
        output_text(output, "%s%s %s ", nothing_done ? "Unchanged: " : "",
                    (const char *)names.data, one_program ? "is" : "are");
        output_verdict(output, code == EXIT_CODE_PARTIAL ? "PARTIAL" : "PATCHED");
        if (cves.size)
                output_text(output, " against %s", (const char *)cves.data);
        output_text(output, ".  Undo: suture rollback %s\n", patch->id);
}

/* What is for chosen processes only, or only for now, is not for those that start later. */
static bool wants_keeping(const struct change *change)
{
        return !change->options->once && !selection_given(change->options) &&
               change->options->digest_given && !change->dry_run;
}

/* 0: sutured does the work and keeps the patch; LINK_ABSENT: it was kept here, if anywhere. */
static int keep(struct change *change, const struct patch *patch, uint64_t deadline_ms,
                struct error *err)
{
        int r = link_apply(patch, &change->plan, deadline_ms, err);

        change->kept = r == 0;
        if (r != LINK_ABSENT)
                return r;
        r = link_keep(patch, err);
        change->kept = r == 0;
        return r < 0 ? r : LINK_ABSENT;
}

static void print_kept(struct change *change)
{
        if (change->kept)
                output_text(change->output, "It is kept: sutured gives it to every process that "
                                            "starts.\n");
}

/* No process is to be changed, but those that start later are to have it. */
static int only_keep(struct change *change, const struct patch *patch, struct error *err)
{
        int r = wants_keeping(change) ? keep(change, patch, 0, err) : LINK_ABSENT;

        if (r >= 0)
                print_kept(change);
        return r < 0 ? r : EXIT_CODE_OK;
}

static int apply(struct change *change, const struct patch *patch, struct error *err)
{
        struct live_options live_options = change_live_options(change);
        int code, r;

        r = change_confirm(change, "Apply?", err);
        if (r < 0)
                return r;
        if (r == CONFIRM_NO || interrupt_seen()) {
                output_text(change->output, "Nothing was changed.\n");
                return EXIT_CODE_ERROR;
        }
        r = wants_keeping(change) ? keep(change, patch, live_options.deadline_ms, err)
                                  : LINK_ABSENT;
        if (r == LINK_ABSENT)
                r = live_apply(patch, &change->plan, &live_options, err);
        change_progress_end(change);
        if (r < 0 && change_count(&change->plan, LIVE_DONE) == 0)
                return r;
        change_print_results(change);
        if (r < 0) { /* some were done before it: they are told of, then the fault */
                output_remark(change->output, "suture: %s.\n", err->cause);
                snprintf(change->cause, sizeof(change->cause), "%s", err->cause);
                snprintf(change->next, sizeof(change->next), "%s", err->next);
        }
        code = r < 0 ? EXIT_CODE_PARTIAL : change_exit_code(&change->plan);
        print_end(change, patch, code);
        print_kept(change);
        return code;
}

static int run(struct change *change, const struct patch *patch, struct error *err)
{
        char name[PATCH_NAME_SIZE];
        bool none_left;

        patch_format_name(patch, name);
        if (change->plan.n_items == 0) {
                output_text(change->output,
                            "No running process%s maps a build that %s is for: nothing to do.\n",
                            selection_given(change->options) ? " of those named" : "", name);
                return only_keep(change, patch, err);
        }
        interrupt_catch();
        print_plan(change, patch);
        if (all_unchanged(change, patch)) {
                for (size_t i = 0; i < change->plan.n_items; i++)
                        change->plan.items[i].result = LIVE_UNCHANGED;
                print_end(change, patch, EXIT_CODE_OK);
                return only_keep(change, patch, err);
        }
        none_left = change_count(&change->plan, LIVE_REFUSED) == change->plan.n_items;
        if (change->dry_run || none_left) {
                if (none_left)
                        output_text(change->output, "No process of these can be patched; nothing "
                                                    "was changed.\n");
                return none_left ? change_exit_code(&change->plan) : EXIT_CODE_OK;
        }
        if (!change->options->digest_given)
                return refuse_unsigned(change, patch);
        return apply(change, patch, err);
}

int verb_apply(const struct options *options, struct output *output, struct error *err)
{
        _cleanup_(patch_freep) struct patch *patch = NULL;
        _cleanup_(change_done) struct change change = {
                .options = options,
                .output = output,
                .schema = "suture-apply-1",
                .dry_run = options->dry_run,
        };
        int r = change_check_root("apply", err);

        if (r == 0)
                r = patch_open(options->arguments.items[0], &patch, err);
        if (r == 0)
                r = check_digest(options, patch, err);
        if (r == 0)
                r = selection_make(options, &change.selection, err);
        if (r == 0)
                r = live_choose(patch, &change.selection.live, &change.plan, err);
        if (r == 0)
                r = change_look(&change, err);
        if (r == 0)
                r = run(&change, patch, err);
        if (r >= 0)
                change_print_json(&change, r,
                                  json_pack("{s:o, s:b}", "patch", describe_patch_json(patch),
                                            "kept", (int)change.kept));
        return r;
}
