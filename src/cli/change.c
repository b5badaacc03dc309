/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/change.h"

#include <string.h>
#include <unistd.h>
#include "cli/confirm.h"
#include "cli/describe.h"

#define DEFAULT_WAIT_S 10
#define BAR_WIDTH 20
#define NAMES_SHOWN 3
#define PIDS_SHOWN 16

void change_done(struct change *change)
{
        for (size_t i = 0; i < change->n_before; i++)
                free(change->before[i].instances);
        free(change->before);
        live_plan_done(&change->plan);
}

int change_look(struct change *change, struct error *err)
{
        change->before = calloc(change->plan.n_items + 1, sizeof(*change->before));
        if (!change->before)
                return error_no_memory(err);
        change->n_before = change->plan.n_items;
        for (size_t i = 0; i < change->n_before; i++) {
                struct change_before *before = &change->before[i];

                if (live_inspect(change->plan.items[i].process.pid, &before->instances,
                                 &before->n_instances, NULL) != 0)
                        *before = (struct change_before){ 0 };
        }
        return 0;
}

int change_check_root(const char *verb, struct error *err)
{
        if (geteuid() == 0)
                return 0;
        return error_set(err, EXIT_CODE_PERMISSION, 0, "nothing was changed; run it as root",
                         "suture %s must be run by root", verb);
}

size_t change_count(const struct live_plan *plan, enum live_result result)
{
        size_t n = 0;

        for (size_t i = 0; i < plan->n_items; i++)
                n += plan->items[i].result == result;
        return n;
}

static bool is_fault(enum live_result result)
{
        return result == LIVE_BUSY || result == LIVE_REFUSED || result == LIVE_FAILED ||
               result == LIVE_PENDING;
}

int change_exit_code(const struct live_plan *plan)
{
        size_t n_undone = change_count(plan, LIVE_UNDONE), n_faults = 0;
        int common = 0;

        for (size_t i = 0; i < plan->n_items; i++) {
                const struct live_process *item = &plan->items[i];
                int code = item->error.exit_code ? (int)item->error.exit_code : EXIT_CODE_ERROR;

                if (!is_fault(item->result))
                        continue;
                common = n_faults == 0 || common == code ? code : EXIT_CODE_ERROR;
                n_faults++;
        }
        if (n_faults + n_undone == 0)
                return EXIT_CODE_OK;
        if (change_count(plan, LIVE_DONE) + change_count(plan, LIVE_UNCHANGED) > 0)
                return EXIT_CODE_PARTIAL;
        return n_undone > 0 ? EXIT_CODE_UNDONE : common;
}

uint64_t change_longest_pause(const struct live_plan *plan)
{
        uint64_t longest = 0;

        for (size_t i = 0; i < plan->n_items; i++)
                longest = MAX(longest, plan->items[i].pause_ns);
        return longest;
}

static bool same_line(const struct live_process *a, const struct live_process *b)
{
        return a->result != LIVE_REFUSED && b->result != LIVE_REFUSED &&
               strcmp(a->process.name, b->process.name) == 0 &&
               strcmp(describe_place(&a->process), describe_place(&b->process)) == 0;
}

/* True if an earlier item's line holds this one too. */
static bool is_listed(const struct live_plan *plan, size_t i)
{
        for (size_t k = i; k > 0; k--)
                if (same_line(&plan->items[k - 1], &plan->items[i]))
                        return true;
        return false;
}

static void print_target_line(struct change *change, size_t i, const char *label)
{
        const struct live_plan *plan = &change->plan;
        const struct live_process *first = &plan->items[i];
        size_t n = 0;

        output_text(change->output, "  %-9s%s", label, first->process.name);
        for (size_t k = i; k < plan->n_items; k++) {
                if (!same_line(first, &plan->items[k]))
                        continue;
                if (n++ < PIDS_SHOWN)
                        output_text(change->output, " %d", (int)plan->items[k].process.pid);
        }
        if (n > PIDS_SHOWN)
                output_text(change->output, " and %zu more", n - PIDS_SHOWN);
        output_text(change->output, "  (%s)\n", describe_place(&first->process));
}

void change_print_targets(struct change *change)
{
        const struct live_plan *plan = &change->plan;
        const char *label = "targets";

        for (size_t i = 0; i < plan->n_items; i++) {
                if (plan->items[i].result == LIVE_REFUSED || is_listed(plan, i))
                        continue;
                print_target_line(change, i, label);
                label = "";
        }
        label = "refused";
        for (size_t i = 0; i < plan->n_items; i++) {
                const struct live_process *item = &plan->items[i];

                if (item->result != LIVE_REFUSED)
                        continue;
                output_text(change->output, "  %-9s%s %d: %s\n", label, item->process.name,
                            (int)item->process.pid, item->error.cause);
                label = "";
        }
}

int change_confirm(struct change *change, const char *question, struct error *err)
{
        if (change->options->yes)
                return 0;
        return confirm(change->output, question, err);
}

static bool ask_interrupted(void *context)
{
        (void)context;
        return interrupt_seen();
}

static void show_progress(void *context, const struct live_process *process)
{
        struct change *change = context;
        size_t n = change->plan.n_items, done = n - change_count(&change->plan, LIVE_PENDING);
        char bar[BAR_WIDTH + 1];

        (void)process;
        if (!change->output->interactive || n == 0)
                return;
        for (size_t i = 0; i < BAR_WIDTH; i++)
                bar[i] = i < done * BAR_WIDTH / n ? '#' : '.';
        bar[BAR_WIDTH] = '\0';
        fprintf(change->output->errors, "\r  working  [%s] %zu/%zu", bar, done, n);
        fflush(change->output->errors);
}

struct live_options change_live_options(struct change *change)
{
        const struct options *options = change->options;

        return (struct live_options){
                .deadline_ms = 1000u * (options->wait_given ? options->wait_s : DEFAULT_WAIT_S),
                .progress = show_progress,
                .context = change,
                .interrupted = ask_interrupted,
        };
}

void change_progress_end(struct change *change)
{
        if (change->output->interactive) /* the line is wiped: what came of it is said below */
                fprintf(change->output->errors, "\r\033[K");
        fflush(change->output->errors);
}

static const char *result_word(enum live_result result)
{
        switch (result) {
        case LIVE_PENDING:
                return "pending";
        case LIVE_DONE:
                return "done";
        case LIVE_UNCHANGED:
                return "unchanged";
        case LIVE_BUSY:
                return "busy";
        case LIVE_REFUSED:
                return "refused";
        case LIVE_GONE:
                return "gone";
        case LIVE_FAILED:
                return "failed";
        case LIVE_UNDONE:
                return "undone";
        }
        return "failed";
}

static void print_result(struct change *change, const struct live_process *item)
{
        struct output *output = change->output;

        if (item->result == LIVE_DONE || item->result == LIVE_UNCHANGED)
                return;
        output_text(output, "  %-9s%s %d", result_word(item->result), item->process.name,
                    (int)item->process.pid);
        if (item->result == LIVE_GONE)
                output_text(output, ": the process ended");
        else if (item->error.cause[0])
                output_text(output, ": %s", item->error.cause);
        else if (item->result == LIVE_UNDONE)
                output_text(output, ": taken back, since another process of %s failed",
                            item->group);
        output_text(output, "\n");
        if (item->error.next[0])
                output_text(output, "           %s\n", item->error.next);
}

void change_print_results(struct change *change)
{
        const struct live_plan *plan = &change->plan;
        size_t n_done = change_count(plan, LIVE_DONE);
        size_t n_unchanged = change_count(plan, LIVE_UNCHANGED);
        char pause[OUTPUT_DURATION_SIZE];

        output_format_duration(change_longest_pause(plan), pause);
        if (n_done > 0)
                output_text(change->output, "  %-9s%zu of %zu processes   longest pause %s\n",
                            "done", n_done, plan->n_items, pause);
        if (n_unchanged > 0)
                output_text(change->output, "  %-9s%zu of %zu processes\n", "unchanged",
                            n_unchanged, plan->n_items);
        for (size_t i = 0; i < plan->n_items; i++)
                print_result(change, &plan->items[i]);
}

/* Index of the first good item with that name. */
static bool name_is_new(const struct live_plan *plan, size_t i)
{
        for (size_t k = 0; k < i; k++)
                if ((plan->items[k].result == LIVE_DONE ||
                     plan->items[k].result == LIVE_UNCHANGED) &&
                    strcmp(plan->items[k].process.name, plan->items[i].process.name) == 0)
                        return false;
        return plan->items[i].result == LIVE_DONE || plan->items[i].result == LIVE_UNCHANGED;
}

void change_names(const struct live_plan *plan, struct buffer *ret)
{
        size_t n = 0, shown = 0;

        for (size_t i = 0; i < plan->n_items; i++)
                n += name_is_new(plan, i);
        for (size_t i = 0; i < plan->n_items && shown < MIN(n, (size_t)NAMES_SHOWN); i++) {
                if (!name_is_new(plan, i))
                        continue;
                buffer_printf(ret, "%s%s",
                              shown == 0 ? "" : shown + 1 == n ? " and " : ", ",
                              plan->items[i].process.name);
                shown++;
        }
        if (n > NAMES_SHOWN)
                buffer_printf(ret, " and %zu more program%s", n - NAMES_SHOWN,
                              n - NAMES_SHOWN == 1 ? "" : "s");
        buffer_append(ret, "", 0);
}

static json_t *item_json(const struct live_process *item, const struct change_before *before)
{
        json_t *json = describe_process_json(&item->process), *records = json_array();

        for (size_t i = 0; before && i < before->n_instances; i++)
                json_array_append_new(records, describe_instance_json(&before->instances[i]));
        json_object_set_new(json, "group", output_json_text(item->group));
        json_object_set_new(json, "n_modules", json_integer((json_int_t)item->n_instances));
        json_object_set_new(json, "before", records);
        json_object_set_new(json, "result", json_string(result_word(item->result)));
        json_object_set_new(json, "pause_ns", json_integer((json_int_t)item->pause_ns));
        json_object_set_new(json, "held_ns", json_integer((json_int_t)item->held_ns));
        json_object_set_new(json, "cause",
                            item->error.cause[0] ? output_json_text(item->error.cause)
                                                 : json_null());
        json_object_set_new(json, "next",
                            item->error.next[0] ? output_json_text(item->error.next)
                                                : json_null());
        return json;
}

void change_print_json(struct change *change, int code, json_t *rest)
{
        json_t *items = json_array();

        for (size_t i = 0; i < change->plan.n_items; i++) {
                const struct change_before *before =
                        i < change->n_before ? &change->before[i] : NULL;

                json_array_append_new(items, item_json(&change->plan.items[i], before));
        }
        json_object_set_new(rest, "dry_run", json_boolean(change->dry_run));
        json_object_set_new(rest, "longest_pause_ns",
                            json_integer((json_int_t)change_longest_pause(&change->plan)));
        json_object_set_new(rest, "cause",
                            change->cause[0] ? output_json_text(change->cause) : json_null());
        json_object_set_new(rest, "next",
                            change->next[0] ? output_json_text(change->next) : json_null());
        json_object_set_new(rest, "items", items);
        output_json(change->output, change->schema, code, rest);
}

void change_selection_words(const struct options *options, struct buffer *ret)
{
        for (size_t i = 0; i < options->pids.n_items; i++)
                buffer_printf(ret, " --pid %d", (int)options->pids.items[i]);
        if (options->unit) {
                buffer_printf(ret, " --unit ");
                describe_shell_word(options->unit, ret);
        }
        if (options->container) {
                buffer_printf(ret, " --container ");
                describe_shell_word(options->container, ret);
        }
        buffer_append(ret, "", 0);
}
