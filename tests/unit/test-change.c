/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the results of a plan come to: the exit code, the names, the selection on a command line. */
#include "cli/change.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "cli/describe.h"

#define MAX_ITEMS 8

struct outcome {
        enum live_result result;
        int code; /* of its fault */
};

static void make_plan(struct live_process items[MAX_ITEMS], const struct outcome *outcomes,
                      struct live_plan *ret)
{
        memset(items, 0, MAX_ITEMS * sizeof(*items));
        *ret = (struct live_plan){ .items = items };
        for (; outcomes->result != LIVE_PENDING || outcomes->code; outcomes++) {
                items[ret->n_items].result = outcomes->result;
                items[ret->n_items].error.exit_code = (enum exit_code)outcomes->code;
                items[ret->n_items].pause_ns = 10 * (ret->n_items + 1);
                ret->n_items++;
        }
}

static void test_exit_code(void **state)
{
        static const struct {
                struct outcome outcomes[MAX_ITEMS];
                int code;
        } rows[] = {
                { { { 0 } }, 0 },
                { { { LIVE_DONE, 0 }, { LIVE_UNCHANGED, 0 }, { LIVE_GONE, 0 } }, 0 },
                { { { LIVE_GONE, 0 } }, 0 },
                { { { LIVE_DONE, 0 }, { LIVE_BUSY, 1 } }, EXIT_CODE_PARTIAL },
                { { { LIVE_UNCHANGED, 0 }, { LIVE_REFUSED, 4 } }, EXIT_CODE_PARTIAL },
                { { { LIVE_DONE, 0 }, { LIVE_UNDONE, 0 } }, EXIT_CODE_PARTIAL },
                { { { LIVE_REFUSED, 4 }, { LIVE_REFUSED, 4 } }, EXIT_CODE_UNSUPPORTED },
                { { { LIVE_REFUSED, 4 }, { LIVE_FAILED, 3 } }, EXIT_CODE_ERROR },
                { { { LIVE_FAILED, 3 } }, EXIT_CODE_PERMISSION },
                { { { LIVE_BUSY, 0 } }, EXIT_CODE_ERROR },
                { { { LIVE_PENDING, 1 } }, EXIT_CODE_ERROR },
                { { { LIVE_UNDONE, 0 }, { LIVE_FAILED, 4 } }, EXIT_CODE_UNDONE },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct live_process items[MAX_ITEMS];
                struct live_plan plan;

                make_plan(items, rows[i].outcomes, &plan);
                assert_int_equal(change_exit_code(&plan), rows[i].code);
                assert_int_equal(change_longest_pause(&plan), 10 * plan.n_items);
        }
}

static void check_names(const char *const names[], const char *expected)
{
        struct live_process items[MAX_ITEMS] = { 0 };
        struct live_plan plan = { .items = items };
        struct buffer text = { 0 };

        for (; names[plan.n_items]; plan.n_items++) {
                struct live_process *item = &items[plan.n_items];

                item->result = names[plan.n_items][0] == '!' ? LIVE_BUSY : LIVE_DONE;
                snprintf(item->process.name, sizeof(item->process.name), "%s",
                         names[plan.n_items]);
        }
        change_names(&plan, &text);
        assert_string_equal((const char *)text.data, expected);
        buffer_done(&text);
}

static void test_names(void **state)
{
        (void)state;
        check_names((const char *const[]){ NULL }, "");
        check_names((const char *const[]){ "a", "a", NULL }, "a");
        check_names((const char *const[]){ "!a", "a", "!b", NULL }, "a");
        check_names((const char *const[]){ "a", "b", "a", NULL }, "a and b");
        check_names((const char *const[]){ "a", "b", "c", NULL }, "a, b and c");
        check_names((const char *const[]){ "a", "b", "c", "d", NULL },
                    "a, b, c and 1 more program");
        check_names((const char *const[]){ "a", "b", "c", "d", "e", NULL },
                    "a, b, c and 2 more programs");
}

static void test_command_line(void **state)
{
        pid_t pids[] = { 7, 8 };
        struct options options = { .pids = { pids, 2 }, .unit = "a b.service" };
        struct buffer text = { 0 };

        (void)state;
        change_selection_words(&options, &text);
        assert_string_equal((const char *)text.data, " --pid 7 --pid 8 --unit 'a b.service'");
        buffer_done(&text);
        describe_shell_word("it's $HOME", &text);
        assert_string_equal((const char *)text.data, "'it'\\''s $HOME'");
        buffer_done(&text);
        describe_shell_word("", &text);
        assert_string_equal((const char *)text.data, "''");
        buffer_done(&text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_exit_code),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_command_line),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
