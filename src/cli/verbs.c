/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/verbs.h"

#include <string.h>
#include "base/cleanup.h"
#include "cli/usage.h"

const struct verb verbs[] = {
        {
                .name = "status",
                .arguments = "",
                .summary = "what is patched in memory, process by process",
                .description =
                        "Reads the record that every patched process carries in its own memory "
                        "and says what runs there now, and whether sutured watches. Nothing is "
                        "stopped or changed, and sutured is not waited for. Without "
                        "root only your own processes can be read; how many were not is said.",
                .options = { OPTION_PID },
                .run = verb_status,
        },
        {
                .name = "verify",
                .arguments = "FILE",
                .min_arguments = 1,
                .max_arguments = 1,
                .completes = COMPLETES_PATCH_FILE,
                .summary = "check a patch file and say what it is",
                .description =
                        "Checks the whole file and prints its name, the CVEs, the builds it is "
                        "for, the functions it replaces, its digest and its signature.",
                .run = verb_verify,
        },
        {
                .name = "apply",
                .arguments = "FILE",
                .min_arguments = 1,
                .max_arguments = 1,
                .completes = COMPLETES_PATCH_FILE,
                .summary = "put a patch into running processes",
                .description =
                        "Finds every process that runs a build the patch is for, prints the "
                        "plan, asks, and patches them. All processes of one service are "
                        "patched, or none. A file that nobody signed is applied only if you "
                        "name it by its digest. Unless --once, --pid, --unit or --container is "
                        "given the patch is kept, and sutured gives it to every process that "
                        "starts.",
                .options = { OPTION_PID, OPTION_UNIT, OPTION_CONTAINER, OPTION_ONCE, OPTION_WAIT,
                             OPTION_DIGEST, OPTION_DRY_RUN, OPTION_YES },
                .run = verb_apply,
        },
        {
                .name = "rollback",
                .arguments = "[ID]",
                .max_arguments = 1,
                .summary = "take a patch back",
                .description =
                        "Makes the original code run again. ID is a patch with or without its "
                        "level (SUT-2026-0042 or SUT-2026-0042.2). Without an ID, say which: "
                        "--pid, --unit, --container, --last or --all. Unless it is taken back from "
                        "chosen processes only, the patch is no longer kept.",
                .options = { OPTION_PID, OPTION_UNIT, OPTION_CONTAINER, OPTION_ALL, OPTION_LAST,
                             OPTION_WAIT, OPTION_DRY_RUN, OPTION_YES },
                .run = verb_rollback,
        },
        {
                .name = "build",
                .arguments = "",
                .summary = "make a patch from a source fix",
                .description =
                        "Rebuilds a Debian source package, or any project, proves that the rebuild "
                        "is what was shipped, applies the fix, and writes the functions that differ "
                        "as a patch file. The packages of this machine are not touched. Say what it "
                        "is made from: --source; --tree, with or without --command; "
                        "--original-objects and --fixed-objects; or --replace.",
                .options = { OPTION_SOURCE, OPTION_TREE, OPTION_COMMAND, OPTION_DEPENDS,
                             OPTION_IN_PLACE, OPTION_ORIGINAL_OBJECTS, OPTION_FIXED_OBJECTS,
                             OPTION_REPLACE, OPTION_CFLAGS, OPTION_FIX, OPTION_FIXED_SOURCE,
                             OPTION_FIXED_TREE, OPTION_CVE, OPTION_BINARY, OPTION_SYMBOLS,
                             OPTION_BUILT_MODULES, OPTION_ID, OPTION_LEVEL, OPTION_TITLE,
                             OPTION_AUTHOR, OPTION_SUPERSEDES, OPTION_OUTPUT, OPTION_CACHE },
                .run = verb_build,
        },
        {
                .name = "explain",
                .arguments = "[CODE]",
                .max_arguments = 1,
                .summary = "what a code of suture build means, and what to do",
                .description =
                        "Prints the rule behind a code such as SB112: what was found, why it is "
                        "not safe, what to do, with an example. Without a code all rules are "
                        "listed.",
                .run = verb_explain,
        },
        {
                .name = "log",
                .arguments = "[verify] [FILE]",
                .max_arguments = 2,
                .completes = COMPLETES_FILE,
                .summary = "what suture did, and whether the log of it is whole",
                .description =
                        "Prints the last entries of the audit log. With verify, checks that no "
                        "line was changed, removed, inserted or moved and that none is missing at "
                        "the end. FILE is another log than this machine's.",
                .options = { OPTION_FOLLOW, OPTION_LINES, OPTION_ANCHOR },
                .run = verb_log,
        },
        {
                .name = "config",
                .arguments = "check [FILE]",
                .min_arguments = 1,
                .max_arguments = 2,
                .completes = COMPLETES_FILE,
                .summary = "check the policy file",
                .description =
                        "Reads /etc/suture/suture.conf, or FILE, and says what is wrong in it and "
                        "where, or what it amounts to. Nothing is changed.",
                .run = verb_config,
        },
        {
                .name = "_completion",
                .arguments = "SHELL",
                .min_arguments = 1,
                .max_arguments = 1,
                .summary = "print the completion for bash, zsh or fish",
                .description = "Prints the completion script for bash, zsh or fish.",
                .hidden = true,
                .run = verb_completion,
        },
        {
                .name = "_synopsis",
                .arguments = "[VERB]",
                .max_arguments = 1,
                .summary = "print the synopsis, or a verb's options, for the man page",
                .description = "Prints parts of suture(1) in the man macros of groff.",
                .hidden = true,
                .run = verb_synopsis,
        },
};
const size_t n_verbs = ARRAY_SIZE(verbs);

const struct verb *verb_find(const char *name)
{
        for (size_t i = 0; i < n_verbs; i++)
                if (strcmp(verbs[i].name, name) == 0)
                        return &verbs[i];
        return NULL;
}
