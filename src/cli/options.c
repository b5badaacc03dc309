/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One reader for all options: what differs from one to the next is data in its row, and how a
 * value is taken depends on its kind alone. Options may stand before and behind arguments;
 * "--" ends them. A value follows as "--pid 7" or "--pid=7".
 */
#include "cli/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/array.h"
#include "base/cleanup.h"
#include "cli/verbs.h"
#include "proc/process.h"

#define WAIT_MAX_S 86400

#define ROW(field) .offset = offsetof(struct options, field)

static const struct option_row option_rows[N_OPTIONS] = {
        [OPTION_PID] = { "--pid", 'p', OPTION_PIDS, "PID", "only this process; may be repeated",
                         COMPLETES_PID, ROW(pids) },
        [OPTION_UNIT] = { "--unit", 'u', OPTION_TEXT, "UNIT", "only processes of this systemd unit",
                          COMPLETES_UNIT, ROW(unit) },
        [OPTION_CONTAINER] = { "--container", 0, OPTION_TEXT, "CONTAINER",
                               "only processes of this container (id, name, or docker:ID)",
                               COMPLETES_NOTHING, ROW(container) },
        [OPTION_ALL] = { "--all", 0, OPTION_FLAG, NULL, "every patch in every process",
                         COMPLETES_NOTHING, ROW(all) },
        [OPTION_LAST] = { "--last", 0, OPTION_FLAG, NULL, "the patch that was applied last",
                          COMPLETES_NOTHING, ROW(last) },
        [OPTION_DIGEST] = { "--digest", 0, OPTION_SHA256, "SHA256",
                            "the file is meant that has this digest, although nobody signed it",
                            COMPLETES_NOTHING, ROW(digest) },
        [OPTION_WAIT] = { "--wait", 'w', OPTION_SECONDS, "SECONDS",
                          "how long to try again while a function is in use (default 10)",
                          COMPLETES_NOTHING, ROW(wait_s) },
        [OPTION_DRY_RUN] = { "--dry-run", 'n', OPTION_FLAG, NULL, "print the plan and stop",
                             COMPLETES_NOTHING, ROW(dry_run) },
        [OPTION_ONCE] = { "--once", 0, OPTION_FLAG, NULL,
                          "only to what runs now; the patch is not kept", COMPLETES_NOTHING,
                          ROW(once) },
        [OPTION_YES] = { "--yes", 'y', OPTION_FLAG, NULL, "do not ask", COMPLETES_NOTHING,
                         ROW(yes) },
        [OPTION_SOURCE] = { "--source", 's', OPTION_TEXT, "PACKAGE=VERSION",
                            "the Debian source package that was shipped", COMPLETES_NOTHING,
                            ROW(source) },
        [OPTION_TREE] = { "--tree", 0, OPTION_TEXT, "FOLDER",
                          "an unpacked source tree, instead of --source", COMPLETES_FOLDER,
                          ROW(tree) },
        [OPTION_COMMAND] = { "--command", 0, OPTION_TEXT, "COMMAND",
                             "what builds the tree, for the shell (default: as a Debian package)",
                             COMPLETES_NOTHING, ROW(command) },
        [OPTION_DEPENDS] = { "--depends", 0, OPTION_TEXTS, "PACKAGE",
                             "a Debian package that --command needs; may be repeated",
                             COMPLETES_NOTHING, ROW(depends) },
        [OPTION_IN_PLACE] = { "--in-place", 0, OPTION_FLAG, NULL,
                              "build the tree where it is, on this machine, not in a root of its own",
                              COMPLETES_NOTHING, ROW(in_place) },
        [OPTION_ORIGINAL_OBJECTS] = { "--original-objects", 0, OPTION_TEXT, "FOLDER",
                                      "object files of the original, instead of a source",
                                      COMPLETES_FOLDER, ROW(original_objects) },
        [OPTION_FIXED_OBJECTS] = { "--fixed-objects", 0, OPTION_TEXT, "FOLDER",
                                   "object files of the fixed source, under the same names",
                                   COMPLETES_FOLDER, ROW(fixed_objects) },
        [OPTION_REPLACE] = { "--replace", 0, OPTION_TEXTS, "FILE.c",
                             "functions written by hand, instead of a source; may be repeated",
                             COMPLETES_FILE, ROW(replacements) },
        [OPTION_CFLAGS] = { "--cflags", 0, OPTION_TEXT, "FLAGS",
                            "how --replace files are compiled (default -O2 -g -fPIC)",
                            COMPLETES_NOTHING, ROW(cflags) },
        [OPTION_FIX] = { "--fix", 'f', OPTION_TEXTS, "FILE",
                         "the fix, as a .patch file; may be repeated", COMPLETES_FILE, ROW(fixes) },
        [OPTION_FIXED_SOURCE] = { "--fixed-source", 0, OPTION_TEXT, "VERSION",
                                  "the fix is what this version of the package changes",
                                  COMPLETES_NOTHING, ROW(fixed_source) },
        [OPTION_FIXED_TREE] = { "--fixed-tree", 0, OPTION_TEXT, "FOLDER",
                                "the fix is what this tree changes in that of --tree",
                                COMPLETES_FOLDER, ROW(fixed_tree) },
        [OPTION_CVE] = { "--cve", 0, OPTION_TEXTS, "CVE[:REACH]",
                         "what it fixes; REACH is remote or local; may be repeated",
                         COMPLETES_NOTHING, ROW(cves) },
        [OPTION_BINARY] = { "--binary", 'b', OPTION_TEXTS, "FILE",
                            "a shipped program or library to patch; may be repeated",
                            COMPLETES_FILE, ROW(binaries) },
        [OPTION_SYMBOLS] = { "--symbols", 0, OPTION_TEXT, "FILE",
                             "the unstripped form of --binary, for objects and --replace",
                             COMPLETES_FILE, ROW(symbols) },
        [OPTION_BUILT_MODULES] = { "--built-modules", 0, OPTION_TEXT, "FOLDER",
                                   "patch what this build makes, and put its packages there",
                                   COMPLETES_FOLDER, ROW(built_modules) },
        [OPTION_ID] = { "--id", 0, OPTION_TEXT, "ID", "name of the patch (default: from the CVE)",
                        COMPLETES_NOTHING, ROW(id) },
        [OPTION_LEVEL] = { "--level", 0, OPTION_NUMBER, "N", "level of the patch (default 1)",
                           COMPLETES_NOTHING, ROW(level) },
        [OPTION_TITLE] = { "--title", 0, OPTION_TEXT, "TEXT", "one line for people",
                           COMPLETES_NOTHING, ROW(title) },
        [OPTION_AUTHOR] = { "--author", 0, OPTION_TEXT, "NAME", "who made the patch",
                            COMPLETES_NOTHING, ROW(author) },
        [OPTION_SUPERSEDES] = { "--supersedes", 0, OPTION_TEXTS, "ID",
                                "a patch whose fixes are all contained; may be repeated",
                                COMPLETES_NOTHING, ROW(supersedes) },
        [OPTION_OUTPUT] = { "--output", 'o', OPTION_TEXT, "FILE",
                            "the patch file to write (default: named after the CVE or the fix)",
                            COMPLETES_PATCH_FILE, ROW(output) },
        [OPTION_CACHE] = { "--cache", 0, OPTION_TEXT, "FOLDER",
                           "where builds are kept (default /var/cache/suture)", COMPLETES_FOLDER,
                           ROW(cache) },
        [OPTION_FOLLOW] = { "--follow", 'f', OPTION_FLAG, NULL, "go on with what is written from now on",
                            COMPLETES_NOTHING, ROW(follow) },
        [OPTION_LINES] = { "--lines", 0, OPTION_NUMBER, "N", "the last N entries (default 20)",
                           COMPLETES_NOTHING, ROW(lines) },
        [OPTION_ANCHOR] = { "--anchor", 0, OPTION_TEXT, "FOLDER",
                            "where the anchor of the log is (default /var/lib/suture)",
                            COMPLETES_FOLDER, ROW(anchor) },
        [OPTION_JSON] = { "--json", 0, OPTION_FLAG, NULL, "print JSON for programs",
                          COMPLETES_NOTHING, ROW(json) },
        [OPTION_QUIET] = { "--quiet", 'q', OPTION_FLAG, NULL, "print nothing; the exit code tells",
                           COMPLETES_NOTHING, ROW(quiet) },
        [OPTION_COLOR] = { "--color", 0, OPTION_WHEN, "WHEN", "auto, always or never",
                           COMPLETES_WHEN, ROW(color) },
        [OPTION_HELP] = { "--help", 'h', OPTION_FLAG, NULL, "print this help", COMPLETES_NOTHING,
                          ROW(help) },
        [OPTION_VERSION] = { "--version", 'V', OPTION_FLAG, NULL, "print the version",
                             COMPLETES_NOTHING, ROW(version) },
};

const struct option_row *option_row(enum option_id id)
{
        return &option_rows[id];
}

bool option_allowed(const struct verb *verb, enum option_id id)
{
        if (id == OPTION_VERSION)
                return verb == NULL;
        if (id >= OPTION_FIRST_COMMON)
                return true;
        for (size_t i = 0; verb && i < VERB_MAX_OPTIONS && verb->options[i] != OPTION_NONE; i++)
                if (verb->options[i] == id)
                        return true;
        return false;
}

static int usage_fault(struct error *err, const struct verb *verb, const char *cause)
{
        char next[128];

        snprintf(next, sizeof(next), "see: suture %s%s--help", verb ? verb->name : "",
                 verb ? " " : "");
        return error_set(err, EXIT_CODE_USAGE, 0, next, "%s", cause);
}

_printf_(3, 4)
static int usage_faultf(struct error *err, const struct verb *verb, const char *format, ...)
{
        char cause[sizeof(err->cause)];
        va_list args;

        va_start(args, format);
        vsnprintf(cause, sizeof(cause), format, args);
        va_end(args);
        return usage_fault(err, verb, cause);
}

static bool parse_number(const char *text, uint32_t min, uint32_t max, uint32_t *ret)
{
        uint64_t value = 0;

        if (!*text)
                return false;
        for (; *text; text++) {
                if (*text < '0' || *text > '9')
                        return false;
                value = 10 * value + (uint64_t)(*text - '0');
                if (value > max)
                        return false;
        }
        if (value < min)
                return false;
        *ret = (uint32_t)value;
        return true;
}

static bool parse_when(const char *text, enum color_when *ret)
{
        static const char *const names[] = {
                [COLOR_AUTO] = "auto", [COLOR_ALWAYS] = "always", [COLOR_NEVER] = "never",
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strcmp(text, names[i]) == 0) {
                        *ret = (enum color_when)i;
                        return true;
                }
        return false;
}

/* Puts the value where its row says; false if it is not of its kind. */
static bool store(struct options *options, const struct option_row *row, const char *value)
{
        void *field = (char *)options + row->offset;

        switch (row->kind) {
        case OPTION_FLAG:
                *(bool *)field = true;
                return true;
        case OPTION_TEXT:
                *(const char **)field = value;
                return *value != '\0';
        case OPTION_TEXTS: {
                struct text_list *list = field;
                const char **item = ARRAY_PUSH(list->items, list->n_items);

                if (item)
                        *item = value;
                return item && *value;
        }
        case OPTION_PIDS: {
                struct pid_list *list = field;
                pid_t pid, *item;

                if (!process_parse_pid(value, &pid))
                        return false;
                item = ARRAY_PUSH(list->items, list->n_items);
                if (item)
                        *item = pid;
                return item != NULL;
        }
        case OPTION_NUMBER:
                return parse_number(value, 1, UINT32_MAX, field);
        case OPTION_SECONDS:
                options->wait_given = true;
                return parse_number(value, 0, WAIT_MAX_S, field);
        case OPTION_SHA256:
                options->digest_given = true;
                return sha256_parse(value, field);
        case OPTION_WHEN:
                return parse_when(value, field);
        }
        return false;
}

/*
 * The option that `text` names, up to its "=". Two verbs may use one letter for different options;
 * that of the verb at hand is meant.
 */
static enum option_id find_option(const struct verb *verb, const char *text, size_t size)
{
        enum option_id other = OPTION_NONE;

        for (enum option_id id = OPTION_NONE + 1; id < N_OPTIONS; id++) {
                const struct option_row *row = &option_rows[id];

                if (text[1] == '-' ? strlen(row->name) == size && memcmp(row->name, text, size) == 0
                                   : size == 2 && row->letter && row->letter == text[1]) {
                        if (option_allowed(verb, id))
                                return id;
                        other = id;
                }
        }
        return other;
}

/* Where in argv the reader stands. */
struct position {
        int argc, i;
        char *const *argv;
};

static int parse_option(struct options *options, struct position *position, struct error *err)
{
        const char *text = position->argv[position->i], *equals = strchr(text, '='), *value;
        size_t size = equals ? (size_t)(equals - text) : strlen(text);
        enum option_id id = find_option(options->verb, text, size);
        const struct option_row *row = &option_rows[id];

        if (id == OPTION_NONE)
                return usage_faultf(err, options->verb, "there is no option %.*s", (int)size, text);
        if (!option_allowed(options->verb, id))
                return usage_faultf(err, options->verb, "%s%s takes no option %s",
                                    options->verb ? "suture " : "suture",
                                    options->verb ? options->verb->name : " without a verb",
                                    row->name);
        if (!row->value && equals)
                return usage_faultf(err, options->verb, "%s takes no value", row->name);
        if (!row->value)
                value = "";
        else if (equals)
                value = equals + 1;
        else if (position->i + 1 < position->argc)
                value = position->argv[++position->i];
        else
                return usage_faultf(err, options->verb, "%s needs a value: %s", row->name,
                                    row->value);
        if (!store(options, row, value))
                return usage_faultf(err, options->verb, "\"%s\" is no %s for %s", value, row->value,
                                    row->name);
        return 0;
}

static int parse_argument(struct options *options, const char *text, struct error *err)
{
        const char **argument;

        if (!options->verb) {
                options->verb = verb_find(text);
                if (!options->verb)
                        return usage_faultf(err, NULL, "there is no verb \"%s\"", text);
                return 0;
        }
        argument = ARRAY_PUSH(options->arguments.items, options->arguments.n_items);
        if (!argument)
                return error_no_memory(err);
        *argument = text;
        return 0;
}

static int check_arity(const struct options *options, struct error *err)
{
        const struct verb *verb = options->verb;
        size_t n = options->arguments.n_items;

        if (options->help || options->version)
                return 0;
        if (!verb)
                return usage_fault(err, NULL, "no verb was given");
        if (n < verb->min_arguments)
                return usage_faultf(err, verb, "suture %s needs %s", verb->name, verb->arguments);
        if (n > verb->max_arguments)
                return usage_faultf(err, verb, "suture %s has no use for \"%s\"", verb->name,
                                    options->arguments.items[verb->max_arguments]);
        return 0;
}

/* --json counts for the message about any other option, wherever it stands. */
static void look_for_json(int argc, char *const argv[], struct options *options)
{
        for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
                if (strcmp(argv[i], "--json") == 0)
                        options->json = true;
}

int options_parse(int argc, char *const argv[], struct options *ret, struct error *err)
{
        struct position position = { .argc = argc, .i = 1, .argv = argv };
        bool only_arguments = false;
        int r = 0;

        memset(ret, 0, sizeof(*ret));
        look_for_json(argc, argv, ret);
        for (; position.i < argc && r == 0; position.i++) {
                const char *text = argv[position.i];

                if (!only_arguments && strcmp(text, "--") == 0)
                        only_arguments = true;
                else if (!only_arguments && text[0] == '-' && text[1])
                        r = parse_option(ret, &position, err);
                else
                        r = parse_argument(ret, text, err);
        }
        return r < 0 ? r : check_arity(ret, err);
}

void options_done(struct options *options)
{
        free(options->arguments.items);
        free(options->pids.items);
        free(options->depends.items);
        free(options->replacements.items);
        free(options->fixes.items);
        free(options->cves.items);
        free(options->binaries.items);
        free(options->supersedes.items);
        *options = (struct options){ 0 };
}
