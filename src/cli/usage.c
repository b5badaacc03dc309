/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/usage.h"

#include <ctype.h>
#include <string.h>
#include "cli/verbs.h"

#define OPTION_COLUMN 26

static void print_option(struct output *output, enum option_id id)
{
        const struct option_row *row = option_row(id);
        char left[64];

        snprintf(left, sizeof(left), "%c%c%s %s%s%s", row->letter ? '-' : ' ',
                 row->letter ? row->letter : ' ', row->letter ? "," : " ", row->name,
                 row->value ? " " : "", row->value ? row->value : "");
        output_text(output, "  %-*s", OPTION_COLUMN, left);
        if (strlen(left) > OPTION_COLUMN)
                output_text(output, "\n  %*s", OPTION_COLUMN, "");
        output_text(output, " %s\n", row->help);
}

static void print_options(struct output *output, const struct verb *verb)
{
        output_text(output, "\nOptions:\n");
        for (enum option_id id = OPTION_NONE + 1; id < N_OPTIONS; id++)
                if (option_allowed(verb, id))
                        print_option(output, id);
}

void usage_print(struct output *output)
{
        output_text(output, "suture closes security holes in running programs, without a "
                            "restart.\n\nUsage: suture VERB [OPTION...] [ARGUMENT...]\n\n"
                            "Verbs:\n");
        for (size_t i = 0; i < n_verbs; i++)
                if (!verbs[i].hidden)
                        output_text(output, "  %-10s %s\n", verbs[i].name, verbs[i].summary);
        print_options(output, NULL);
        output_text(output, "\nMore: suture VERB --help, man suture\n");
}

void usage_print_verb(struct output *output, const struct verb *verb)
{
        output_text(output, "Usage: suture %s [OPTION...]%s%s\n\n", verb->name,
                    *verb->arguments ? " " : "", verb->arguments);
        output_paragraph(output, 0, verb->description);
        print_options(output, verb);
}

/* For groff: a minus sign that can be copied. */
static void print_man_word(struct output *output, const char *word)
{
        for (; *word; word++)
                output_text(output, "%s%c", *word == '-' ? "\\" : "", *word);
}

static void print_man_option(struct output *output, const struct option_row *row)
{
        output_text(output, ".TP\n\\fB");
        if (row->letter)
                output_text(output, "\\-%c\\fR, \\fB", row->letter);
        print_man_word(output, row->name);
        output_text(output, "\\fR");
        if (row->value)
                output_text(output, " \\fI%s\\fR", row->value);
        output_text(output, "\n%c%s.\n", toupper((unsigned char)row->help[0]), row->help + 1);
}

static void print_man_verb(struct output *output, const struct verb *verb)
{
        output_text(output, "\\fBsuture %s\\fR [\\fIOPTION\\fR...]", verb->name);
        if (*verb->arguments)
                output_text(output, " \\fI%s\\fR", verb->arguments);
        output_text(output, "\n");
}

int verb_synopsis(const struct options *options, struct output *output, struct error *err)
{
        const struct verb *verb = NULL;

        if (options->arguments.n_items == 0) {
                for (size_t i = 0; i < n_verbs; i++)
                        if (!verbs[i].hidden)
                                print_man_verb(output, &verbs[i]);
                output_text(output, "\\fBsuture\\fR [\\fIVERB\\fR] \\fB\\-\\-help\\fR\n");
                return EXIT_CODE_OK;
        }
        if (strcmp(options->arguments.items[0], "common") != 0) {
                verb = verb_find(options->arguments.items[0]);
                if (!verb)
                        return error_set(err, EXIT_CODE_USAGE, 0, NULL, "there is no verb \"%s\"",
                                         options->arguments.items[0]);
        }
        for (enum option_id id = OPTION_NONE + 1; id < N_OPTIONS; id++)
                if (option_allowed(verb, id) && (verb == NULL) == (id >= OPTION_FIRST_COMMON))
                        print_man_option(output, option_row(id));
        return EXIT_CODE_OK;
}
