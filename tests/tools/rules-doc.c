/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prints docs/rules.md from the table of rules. `tools/rules-doc` puts it in place. */
#include <stdio.h>
#include <string.h>
#include "build/rules.h"

static void print_example(const char *text)
{
        puts("");
        while (*text) {
                size_t length = strcspn(text, "\n");

                printf("    %.*s\n", (int)length, text);
                text += length + (text[length] == '\n');
        }
}

int main(void)
{
        puts("# Rules of `suture build`\n");
        puts("What can't be a live patch is refused when the patch is made, with a number that stays.");
        puts("The same text is printed by `suture explain SB112`. This file is made by `tools/rules-doc`.\n");
        for (size_t i = 0; i < n_build_rules; i++)
                printf("- [%s](#%s): %s\n", build_rules[i].code, build_rules[i].code,
                       build_rules[i].title);
        for (size_t i = 0; i < n_build_rules; i++) {
                const struct build_rule *rule = &build_rules[i];

                printf("\n## %s\n\n**%s.** %s\n\nWhat to do: %s\n", rule->code, rule->title,
                       rule->why, rule->remedy);
                print_example(rule->example);
        }
        return 0;
}
