/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/cleanup.h"
#include "cli/verbs.h"

#define MAX_WORDS 16

/* Reads a command line that is given as words between single blanks. */
static int parse(const char *line, struct options *ret, struct error *err)
{
        static char text[512];
        char *argv[MAX_WORDS] = { "suture" }, *rest;
        int argc = 1;

        snprintf(text, sizeof(text), "%s", line);
        for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
                argv[argc++] = word;
        assert_true(argc < MAX_WORDS);
        memset(err, 0, sizeof(*err));
        return options_parse(argc, argv, ret, err);
}

static void test_all_kinds(void **state)
{
        struct options options;
        struct error err;

        (void)state;
        assert_int_equal(parse("apply --pid 7 f.spatch -p=8 --unit nginx --wait=0 --yes --digest "
                               "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff "
                               "--color never",
                               &options, &err), 0);
        assert_string_equal(options.verb->name, "apply");
        assert_int_equal(options.arguments.n_items, 1);
        assert_string_equal(options.arguments.items[0], "f.spatch");
        assert_int_equal(options.pids.n_items, 2);
        assert_int_equal(options.pids.items[0], 7);
        assert_int_equal(options.pids.items[1], 8);
        assert_string_equal(options.unit, "nginx");
        assert_true(options.wait_given && options.wait_s == 0);
        assert_true(options.yes && !options.dry_run && !options.json);
        assert_true(options.digest_given);
        assert_int_equal(options.digest.bytes[1], 0x11);
        assert_int_equal(options.color, COLOR_NEVER);
        options_done(&options);
}

static void test_defaults(void **state)
{
        struct options options;
        struct error err;

        (void)state;
        assert_int_equal(parse("status", &options, &err), 0);
        assert_false(options.wait_given || options.digest_given || options.quiet || options.help);
        assert_int_equal(options.pids.n_items, 0);
        assert_null(options.unit);
        options_done(&options);
}

static void test_common_before_verb(void **state)
{
        struct options options;
        struct error err;

        (void)state;
        assert_int_equal(parse("--json status -q", &options, &err), 0);
        assert_true(options.json && options.quiet);
        options_done(&options);
}

static void test_end_of_options(void **state)
{
        struct options options;
        struct error err;

        (void)state;
        assert_int_equal(parse("verify -- --help", &options, &err), 0);
        assert_false(options.help);
        assert_string_equal(options.arguments.items[0], "--help");
        options_done(&options);
        assert_int_equal(parse("verify -", &options, &err), 0);
        assert_string_equal(options.arguments.items[0], "-");
        options_done(&options);
}

static void test_help_needs_no_arguments(void **state)
{
        struct options options;
        struct error err;

        (void)state;
        assert_int_equal(parse("apply --help", &options, &err), 0);
        assert_true(options.help);
        options_done(&options);
        assert_int_equal(parse("--version", &options, &err), 0);
        assert_true(options.version);
        options_done(&options);
}

struct bad_line {
        const char *line, *in_cause;
};

static const struct bad_line bad_lines[] = {
        { "", "no verb" },
        { "frobnicate", "frobnicate" },
        { "apply", "needs FILE" },
        { "apply a b", "\"b\"" },
        { "status x", "\"x\"" },
        { "status --yes", "takes no option --yes" },
        { "--yes status", "without a verb" },
        { "status --nonsense", "no option --nonsense" },
        { "status --nonsense=3", "no option --nonsense" },
        { "status -z", "no option -z" },
        { "status -qq", "no option -qq" },
        { "status --json=yes", "takes no value" },
        { "status --pid", "needs a value: PID" },
        { "status --pid x", "\"x\" is no PID" },
        { "status --pid=0", "\"0\" is no PID" },
        { "status --pid=", "\"\" is no PID" },
        { "status --color=sometimes", "\"sometimes\" is no WHEN" },
        { "apply f --wait -1", "\"-1\" is no SECONDS" },
        { "apply f --wait 86401", "86401" },
        { "apply f --wait 99999999999999999999999", "SECONDS" },
        { "apply f --digest abc", "\"abc\" is no SHA256" },
        { "build --level 0", "\"0\" is no N" },
        { "build --level 4294967296", "4294967296" },
        { "status --version", "takes no option --version" },
};

static void test_bad_lines(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(bad_lines); i++) {
                struct options options;
                struct error err;

                if (parse(bad_lines[i].line, &options, &err) >= 0)
                        fail_msg("accepted: %s", bad_lines[i].line);
                assert_int_equal(err.exit_code, EXIT_CODE_USAGE);
                if (!strstr(err.cause, bad_lines[i].in_cause))
                        fail_msg("%s: %s", bad_lines[i].line, err.cause);
                assert_non_null(strstr(err.next, "--help"));
                options_done(&options);
        }
}

static void test_json_counts_for_errors(void **state)
{
        struct options options;
        struct error err;

        (void)state;
        assert_true(parse("status --nonsense --json", &options, &err) < 0);
        assert_true(options.json);
        options_done(&options);
        assert_true(parse("status --nonsense -- --json", &options, &err) < 0);
        assert_false(options.json);
        options_done(&options);
}

/* One letter, two verbs. */
static void test_letter(void **state)
{
        struct options options;
        struct error err = { 0 };

        (void)state;
        assert_int_equal(parse("log -f", &options, &err), 0);
        assert_true(options.follow);
        options_done(&options);
        assert_int_equal(parse("build -f a.patch", &options, &err), 0);
        assert_int_equal(options.fixes.n_items, 1);
        options_done(&options);
}

/* The tables: what a person would trip over. */
static void test_tables(void **state)
{
        (void)state;
        for (enum option_id a = OPTION_NONE + 1; a < N_OPTIONS; a++) {
                const struct option_row *row = option_row(a);

                assert_non_null(row->name);
                assert_true(strncmp(row->name, "--", 2) == 0);
                assert_true((row->kind == OPTION_FLAG) == (row->value == NULL));
                assert_non_null(row->help);
                for (enum option_id b = a + 1; b < N_OPTIONS; b++) {
                        assert_string_not_equal(row->name, option_row(b)->name);
                        for (size_t i = 0; row->letter && i < n_verbs; i++)
                                assert_true(row->letter != option_row(b)->letter ||
                                            !option_allowed(&verbs[i], a) ||
                                            !option_allowed(&verbs[i], b));
                        assert_true(row->offset != option_row(b)->offset);
                }
        }
        for (size_t i = 0; i < n_verbs; i++) {
                assert_ptr_equal(verb_find(verbs[i].name), &verbs[i]);
                assert_true(verbs[i].min_arguments <= verbs[i].max_arguments);
                assert_true((verbs[i].max_arguments > 0) == (*verbs[i].arguments != '\0'));
                assert_non_null(verbs[i].run);
                assert_true(verbs[i].hidden == (verbs[i].name[0] == '_'));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_kinds),
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_common_before_verb),
                cmocka_unit_test(test_end_of_options),
                cmocka_unit_test(test_help_needs_no_arguments),
                cmocka_unit_test(test_bad_lines),
                cmocka_unit_test(test_json_counts_for_errors),
                cmocka_unit_test(test_letter),
                cmocka_unit_test(test_tables),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
