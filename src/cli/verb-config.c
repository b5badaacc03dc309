/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <unistd.h>
#include "cli/output.h"
#include "cli/verbs.h"
#include "daemon/policy.h"

static json_t *policy_json(const char *path, bool there, const struct policy *policy)
{
        json_t *rules = json_array(), *health = json_array();

        for (size_t i = 0; i < policy->n_rules; i++) {
                const struct policy_rule *rule = &policy->rules[i];
                const char *mode = rule->exclude    ? policy_mode_name(POLICY_EXCLUDED)
                                   : rule->has_mode ? policy_mode_name(rule->mode)
                                                    : NULL;

                json_array_append_new(rules, json_pack("{s:o, s:I, s:o}", "name",
                                                       output_json_text(rule->name), "line",
                                                       (json_int_t)rule->line, "mode",
                                                       output_json_text(mode)));
        }
        for (size_t i = 0; i < policy->n_health; i++)
                json_array_append_new(health,
                                      json_pack("{s:o, s:I, s:o}", "name",
                                                output_json_text(policy->health[i].name), "line",
                                                (json_int_t)policy->health[i].line, "check",
                                                output_json_text(policy->health[i].check)));
        return json_pack("{s:[{s:o, s:b, s:s, s:I, s:o, s:o}]}", "items", "file",
                         output_json_text(path), "exists", there, "mode",
                         policy_mode_name(policy->mode), "pause_budget_ms",
                         (json_int_t)policy->pause_budget_ms, "rules", rules, "health", health);
}

static void print_policy(struct output *output, const char *path, bool there,
                         const struct policy *policy)
{
        if (there)
                output_text(output, "%s is in order.\n", path);
        else
                output_text(output, "There is no %s; this holds without it:\n", path);
        output_text(output, "  mode    %s\n", policy_mode_name(policy->mode));
        if (policy->pause_budget_ms)
                output_text(output, "  pause   at most %u ms\n", policy->pause_budget_ms);
        if (policy->crash_deaths)
                output_text(output, "  undone  after %u deaths within %u s\n", policy->crash_deaths,
                            policy->crash_within_ms / 1000);
        for (size_t i = 0; i < policy->n_rules; i++) {
                const struct policy_rule *rule = &policy->rules[i];

                output_text(output, "  %-7s %s", rule->exclude ? "exclude" : "rule", rule->name);
                if (rule->has_mode)
                        output_text(output, ": %s", policy_mode_name(rule->mode));
                if (rule->has_budget)
                        output_text(output, ", pause at most %u ms", rule->pause_budget_ms);
                output_text(output, "\n");
        }
        for (size_t i = 0; i < policy->n_health; i++)
                output_text(output, "  health  %s: %s\n", policy->health[i].name,
                            policy->health[i].check);
}

int verb_config(const struct options *options, struct output *output, struct error *err)
{
        _cleanup_(policy_freep) struct policy *policy = NULL;
        const struct text_list *words = &options->arguments;
        const char *path = words->n_items > 1 ? words->items[1] : POLICY_PATH;
        bool there = access(path, F_OK) == 0;
        int r;

        if (strcmp(words->items[0], "check") != 0)
                return error_set(err, EXIT_CODE_USAGE, 0, "see: suture config --help",
                                 "suture config can only check, not \"%s\"", words->items[0]);
        r = policy_load(path, words->n_items == 1, &policy, err);
        if (r < 0)
                return r;
        print_policy(output, path, there, policy);
        output_json(output, "suture-config-1", EXIT_CODE_OK, policy_json(path, there, policy));
        return EXIT_CODE_OK;
}
