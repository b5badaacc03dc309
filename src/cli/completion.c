/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Completion scripts, written from the tables. Where a value is a pid or a unit the script asks
 * the system at that moment; nothing runs suture itself.
 */
#include <string.h>
#include "base/cleanup.h"
#include "cli/usage.h"
#include "cli/verbs.h"

struct shell {
        const char *name;
        void (*print)(struct output *output);
};

static const char *bash_words(enum completes completes)
{
        static const char *const words[] = {
                [COMPLETES_NOTHING] = "COMPREPLY=()",
                [COMPLETES_FILE] = "mapfile -t COMPREPLY < <(compgen -f -- \"$word\")",
                [COMPLETES_PATCH_FILE] =
                        "mapfile -t COMPREPLY < <(compgen -f -X '!*.spatch' -- \"$word\"; "
                        "compgen -d -- \"$word\")",
                [COMPLETES_FOLDER] = "mapfile -t COMPREPLY < <(compgen -d -- \"$word\")",
                [COMPLETES_PID] =
                        "mapfile -t COMPREPLY < <(cd /proc && "
                        "compgen -d -X '*[!0-9]*' -- \"$word\")",
                [COMPLETES_UNIT] =
                        "mapfile -t COMPREPLY < <(compgen -W \"$(systemctl list-units --plain "
                        "--no-legend --type=service 2>/dev/null | cut -d' ' -f1)\" -- \"$word\")",
                [COMPLETES_WHEN] =
                        "mapfile -t COMPREPLY < <(compgen -W 'auto always never' -- \"$word\")",
        };

        return words[completes];
}

static void print_bash_values(struct output *output)
{
        output_text(output, "        case $previous in\n");
        for (enum option_id id = OPTION_NONE + 1; id < N_OPTIONS; id++) {
                const struct option_row *row = option_row(id);

                if (!row->value)
                        continue;
                output_text(output, "        %s", row->name);
                if (row->letter)
                        output_text(output, "|-%c", row->letter);
                output_text(output, ")\n                %s\n                return\n"
                                    "                ;;\n", bash_words(row->completes));
        }
        output_text(output, "        esac\n");
}

static void print_bash(struct output *output)
{
        output_text(output, "# bash completion for suture, printed by suture _completion bash\n"
                            "_suture()\n{\n"
                            "        local word=${COMP_WORDS[COMP_CWORD]} verb='' i\n"
                            "        local previous=${COMP_WORDS[COMP_CWORD-1]}\n\n"
                            "        compopt -o filenames 2>/dev/null\n");
        print_bash_values(output);
        output_text(output, "        for ((i = 1; i < COMP_CWORD; i++)); do\n"
                            "                case ${COMP_WORDS[i]} in\n                ");
        for (size_t i = 0, n = 0; i < n_verbs; i++)
                if (!verbs[i].hidden)
                        output_text(output, "%s%s", n++ ? "|" : "", verbs[i].name);
        output_text(output, ")\n                        verb=${COMP_WORDS[i]}\n"
                            "                        break\n                        ;;\n"
                            "                esac\n        done\n"
                            "        case $verb in\n");
        for (size_t i = 0; i < n_verbs; i++) {
                if (verbs[i].hidden)
                        continue;
                output_text(output, "        %s)\n                if [[ $word == -* ]]; then\n"
                                    "                        mapfile -t COMPREPLY < <(compgen -W '",
                            verbs[i].name);
                for (enum option_id id = OPTION_NONE + 1; id < N_OPTIONS; id++)
                        if (option_allowed(&verbs[i], id))
                                output_text(output, "%s ", option_row(id)->name);
                output_text(output, "' -- \"$word\")\n                else\n"
                                    "                        %s\n                fi\n"
                                    "                ;;\n", bash_words(verbs[i].completes));
        }
        output_text(output, "        *)\n                mapfile -t COMPREPLY < <(compgen -W '");
        for (size_t i = 0; i < n_verbs; i++)
                if (!verbs[i].hidden)
                        output_text(output, "%s ", verbs[i].name);
        output_text(output, "--help --version' -- \"$word\")\n                ;;\n        esac\n}\n"
                            "complete -F _suture suture\n");
}

static const char *zsh_action(enum completes completes)
{
        static const char *const actions[] = {
                [COMPLETES_NOTHING] = " ",
                [COMPLETES_FILE] = "_files",
                [COMPLETES_PATCH_FILE] = "_files -g \"*.spatch\"",
                [COMPLETES_FOLDER] = "_files -/",
                [COMPLETES_PID] = "_pids",
                [COMPLETES_UNIT] = " ",
                [COMPLETES_WHEN] = "(auto always never)",
        };

        return actions[completes];
}

/* Within '…' of a shell and [ ] of _arguments. */
static void print_zsh_text(struct output *output, const char *text)
{
        for (; *text; text++) {
                if (*text == '\'')
                        output_text(output, "'\\''");
                else
                        output_text(output, "%s%c", strchr("[]:", *text) ? "\\" : "", *text);
        }
}

static bool repeatable(const struct option_row *row)
{
        return row->kind == OPTION_TEXTS || row->kind == OPTION_PIDS;
}

static void print_zsh_option(struct output *output, const struct option_row *row, char letter)
{
        char name[64];

        if (letter)
                snprintf(name, sizeof(name), "-%c", letter);
        else
                snprintf(name, sizeof(name), "%s", row->name);
        output_text(output, " \\\n                '%s%s%s[", repeatable(row) ? "*" : "", name,
                    row->value && !letter ? "=" : "");
        print_zsh_text(output, row->help);
        output_text(output, "]");
        if (row->value) {
                output_text(output, ":");
                print_zsh_text(output, row->value);
                output_text(output, ":%s", zsh_action(row->completes));
        }
        output_text(output, "'");
}

static void print_zsh_verb(struct output *output, const struct verb *verb)
{
        output_text(output, "        %s)\n                _arguments -s", verb->name);
        for (enum option_id id = OPTION_NONE + 1; id < N_OPTIONS; id++) {
                if (!option_allowed(verb, id))
                        continue;
                print_zsh_option(output, option_row(id), 0);
                if (option_row(id)->letter)
                        print_zsh_option(output, option_row(id), option_row(id)->letter);
        }
        if (verb->max_arguments > 0)
                output_text(output, " \\\n                '%s:%s:%s'",
                            verb->min_arguments ? "1" : "1:",
                            verb->completes == COMPLETES_PATCH_FILE ? "patch file" : "name",
                            zsh_action(verb->completes));
        output_text(output, "\n                ;;\n");
}

static void print_zsh(struct output *output)
{
        output_text(output, "#compdef suture\n"
                            "# zsh completion for suture, printed by suture _completion zsh\n"
                            "_suture()\n{\n        local -a verbs\n        verbs=(\n");
        for (size_t i = 0; i < n_verbs; i++) {
                if (verbs[i].hidden)
                        continue;
                output_text(output, "                '%s:", verbs[i].name);
                print_zsh_text(output, verbs[i].summary);
                output_text(output, "'\n");
        }
        output_text(output, "        )\n        if (( CURRENT == 2 )); then\n"
                            "                _describe verb verbs\n                return\n"
                            "        fi\n        local verb=$words[2]\n"
                            "        shift words\n        (( CURRENT-- ))\n"
                            "        case $verb in\n");
        for (size_t i = 0; i < n_verbs; i++)
                if (!verbs[i].hidden)
                        print_zsh_verb(output, &verbs[i]);
        output_text(output, "        esac\n}\n_suture \"$@\"\n");
}

/* Within '…' of fish: a quote and a backslash are escaped. */
static void print_fish_text(struct output *output, const char *text)
{
        for (; *text; text++)
                output_text(output, "%s%c", strchr("'\\", *text) ? "\\" : "", *text);
}

static const char *fish_words(enum completes completes)
{
        static const char *const words[] = {
                [COMPLETES_NOTHING] = "-x",
                [COMPLETES_FILE] = "-r -F",
                [COMPLETES_PATCH_FILE] = "-r -F",
                [COMPLETES_FOLDER] = "-x -a '(__fish_complete_directories)'",
                [COMPLETES_PID] = "-x -a '(__fish_complete_pids)'",
                [COMPLETES_UNIT] = "-x",
                [COMPLETES_WHEN] = "-x -a 'auto always never'",
        };

        return words[completes];
}

static void print_fish_option(struct output *output, const struct verb *verb,
                              const struct option_row *row)
{
        output_text(output, "complete -c suture -n '__fish_seen_subcommand_from %s' -l %s",
                    verb->name, row->name + 2);
        if (row->letter)
                output_text(output, " -s %c", row->letter);
        if (row->value)
                output_text(output, " %s", fish_words(row->completes));
        output_text(output, " -d '");
        print_fish_text(output, row->help);
        output_text(output, "'\n");
}

static void print_fish(struct output *output)
{
        output_text(output, "# fish completion for suture, printed by suture _completion fish\n"
                            "complete -c suture -f\n");
        for (size_t i = 0; i < n_verbs; i++) {
                if (verbs[i].hidden)
                        continue;
                output_text(output, "complete -c suture -n __fish_use_subcommand -a %s -d '",
                            verbs[i].name);
                print_fish_text(output, verbs[i].summary);
                output_text(output, "'\n");
                if (verbs[i].completes == COMPLETES_PATCH_FILE)
                        output_text(output, "complete -c suture -n "
                                            "'__fish_seen_subcommand_from %s' -F\n", verbs[i].name);
                for (enum option_id id = OPTION_NONE + 1; id < N_OPTIONS; id++)
                        if (option_allowed(&verbs[i], id))
                                print_fish_option(output, &verbs[i], option_row(id));
        }
}

int verb_completion(const struct options *options, struct output *output, struct error *err)
{
        static const struct shell shells[] = {
                { "bash", print_bash }, { "zsh", print_zsh }, { "fish", print_fish },
        };

        for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
                if (strcmp(shells[i].name, options->arguments.items[0]) == 0) {
                        shells[i].print(output);
                        return EXIT_CODE_OK;
                }
        return error_set(err, EXIT_CODE_USAGE, 0, "give bash, zsh or fish",
                         "there is no completion for \"%s\"", options->arguments.items[0]);
}
