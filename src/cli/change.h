/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/* What apply and rollback have in common: the plan, the progress, the results, the exit code. */
#include "cli/output.h"
#include "cli/select.h"
#include "cli/verbs.h"
#include "live/live.h"

/* What the memory of a process of the plan said when the plan was made. */
struct change_before {
        struct live_instance *instances;
        size_t n_instances;
};

struct change {
        const struct options *options;
        struct output *output;
        const char *schema;         /* "suture-apply-1" */
        struct selection selection;
        struct live_plan plan;
        struct change_before *before; /* one for each item that the plan had then */
        size_t n_before;
        bool dry_run;
        bool kept;                  /* the store has it now, or rollback: had it */
        char cause[768], next[384]; /* why it ended early; "" if it did not */
};

void change_done(struct change *change);
/* Fills `before`; what can't be read stays empty, live_apply() will say why. */
int change_look(struct change *change, struct error *err);
/* Root is needed: EXIT_CODE_PERMISSION without. */
int change_check_root(const char *verb, struct error *err);

size_t change_count(const struct live_plan *plan, enum live_result result);
/*
 * The exit code that a finished plan deserves: everything done, unchanged or gone is 0; a part is
 * 12; nothing but what was taken back again is 13; nothing at all is the common exit code of the
 * faults, else 1.
 */
int change_exit_code(const struct live_plan *plan);
/* The longest stop of all processes. */
uint64_t change_longest_pause(const struct live_plan *plan);

/* Lines of the plan: "targets" and "refused". */
void change_print_targets(struct change *change);
/* Asks. 0: go on; CONFIRM_NO; negative. */
int change_confirm(struct change *change, const char *question, struct error *err);
/* Options for live_apply() and live_rollback(), with progress on a terminal. */
struct live_options change_live_options(struct change *change);
/* Ends the line of progress. */
void change_progress_end(struct change *change);
/* One line for each process that is not as was asked for, and the longest pause. */
void change_print_results(struct change *change);
/* "nginx", "nginx and memcached", of the processes that are as was asked for. */
void change_names(const struct live_plan *plan, struct buffer *ret);
/* The document; `rest` is taken over. */
void change_print_json(struct change *change, int code, json_t *rest);
/* The --pid, --unit and --container that were given, as they stand on a command line. */
void change_selection_words(const struct options *options, struct buffer *ret);
