/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <strings.h>
#include "build/rules.h"
#include "cli/output.h"
#include "cli/verbs.h"

#define INDENT 2

static json_t *rule_json(const struct build_rule *rule)
{
        return json_pack("{s:o, s:o, s:o, s:o, s:o}", "rule", output_json_text(rule->code), "title",
                         output_json_text(rule->title), "why", output_json_text(rule->why),
                         "remedy", output_json_text(rule->remedy), "example",
                         output_json_text(rule->example));
}

static void print_part(struct output *output, const char *heading, const char *text)
{
        if (!text || !*text)
                return;
        output_text(output, "\n%s\n", heading);
        output_paragraph(output, INDENT, text);
}

/* An example keeps its lines. */
static void print_example(struct output *output, const char *text)
{
        if (!text || !*text)
                return;
        output_text(output, "\nExample\n");
        while (*text) {
                size_t size = strcspn(text, "\n");

                output_text(output, "%*s%.*s\n", INDENT, "", (int)size, text);
                text += size + (text[size] == '\n');
        }
}

static int explain(struct output *output, const struct build_rule *rule)
{
        output_text(output, "%s  %s\n", rule->code, rule->title);
        print_part(output, "Why it is not safe", rule->why);
        print_part(output, "What to do", rule->remedy);
        print_example(output, rule->example);
        output_json(output, "suture-explain-1", EXIT_CODE_OK,
                    json_pack("{s:[o]}", "items", rule_json(rule)));
        return EXIT_CODE_OK;
}

static int list_rules(struct output *output)
{
        json_t *items = json_array();

        for (size_t i = 0; i < n_build_rules; i++) {
                output_text(output, "%s  %s\n", build_rules[i].code, build_rules[i].title);
                json_array_append_new(items, rule_json(&build_rules[i]));
        }
        output_json(output, "suture-explain-1", EXIT_CODE_OK, json_pack("{s:o}", "items", items));
        return EXIT_CODE_OK;
}

int verb_explain(const struct options *options, struct output *output, struct error *err)
{
        if (options->arguments.n_items == 0)
                return list_rules(output);
        for (size_t i = 0; i < n_build_rules; i++)
                if (strcasecmp(build_rules[i].code, options->arguments.items[0]) == 0)
                        return explain(output, &build_rules[i]);
        return error_set(err, EXIT_CODE_USAGE, 0, "see all of them: suture explain",
                         "there is no rule \"%s\"", options->arguments.items[0]);
}
