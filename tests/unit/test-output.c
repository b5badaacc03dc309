/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

/* An output whose two streams are memory. */
struct screen {
        struct output output;
        char *text, *errors;
        size_t text_size, errors_size;
};

static void screen_open(struct screen *screen)
{
        memset(screen, 0, sizeof(*screen));
        screen->output.stream = open_memstream(&screen->text, &screen->text_size);
        screen->output.errors = open_memstream(&screen->errors, &screen->errors_size);
        assert_true(screen->output.stream && screen->output.errors);
}

static void screen_shows(struct screen *screen, const char *text, const char *errors)
{
        fclose(screen->output.stream);
        fclose(screen->output.errors);
        assert_string_equal(screen->text, text);
        assert_string_equal(screen->errors, errors);
        free(screen->text);
        free(screen->errors);
}

static void test_clean(void **state)
{
        static const char *const pairs[][2] = {
                { "plain", "plain" },
                { "caf\xc3\xa9 \xe2\x82\xac", "caf\xc3\xa9 \xe2\x82\xac" },
                { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
                { "a\033[31mb", "a?[31mb" },
                { "a\nb\rc\td\x7f", "a?b?c?d?" },
                { "c1 \xc2\x9b" "31m", "c1 ?31m" },
                { "\xff\xfe", "??" },
                { "\xc0\xaf", "??" },                 /* overlong */
                { "\xe0\x80\xaf", "???" },            /* overlong */
                { "\xed\xa0\x80", "???" },            /* surrogate */
                { "\xf4\x90\x80\x80", "????" },       /* past U+10FFFF */
                { "cut \xe2\x82", "cut ??" },
                { "turn \xe2\x80\xae" "exe", "turn ?exe" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
                char *cleaned = output_clean(pairs[i][0]);

                assert_string_equal(cleaned, pairs[i][1]);
                free(cleaned);
        }
}

static void test_values_fake_no_lines(void **state)
{
        struct screen screen;

        (void)state;
        screen_open(&screen);
        output_text(&screen.output, "title %s\n", "x\nall is PATCHED");
        output_text(&screen.output, "one\ntwo\n");
        output_text(&screen.output, "%s", "a\nb");
        screen_shows(&screen, "title x?all is PATCHED\none\ntwo\na?b", "");
}

static void test_quiet_and_json(void **state)
{
        struct screen screen;

        (void)state;
        screen_open(&screen);
        screen.output.quiet = true;
        output_text(&screen.output, "no");
        output_remark(&screen.output, "no");
        output_verdict(&screen.output, "PATCHED");
        screen.output.json = true;
        output_json(&screen.output, "suture-test-1", 0, json_object());
        screen.output.quiet = false;
        output_text(&screen.output, "no");
        output_json(&screen.output, "suture-test-1", 3, json_pack("{s:[]}", "items"));
        screen_shows(&screen,
                     "{\n  \"schema\": \"suture-test-1\",\n  \"code\": 3,\n  \"items\": []\n}\n",
                     "");
}

static void test_json_text(void **state)
{
        json_t *json;

        (void)state;
        json = output_json_text("bad \xff\n");
        assert_string_equal(json_string_value(json), "bad ?\n");
        json_decref(json);
        json = output_json_text(NULL);
        assert_true(json_is_null(json));
        json_decref(json);
        json = output_json_time(1);
        assert_string_equal(json_string_value(json), "1970-01-01T00:00:01Z");
        json_decref(json);
        json = output_json_time(0);
        assert_true(json_is_null(json));
        json_decref(json);
}

static void test_error_text(void **state)
{
        struct error err = { .exit_code = EXIT_CODE_TRUST };
        struct screen screen;

        (void)state;
        screen_open(&screen);
        snprintf(err.cause, sizeof(err.cause), "it\033 broke");
        snprintf(err.next, sizeof(err.next), "mend it");
        output_error(&screen.output, &err);
        snprintf(err.cause, sizeof(err.cause), "Why?");
        err.next[0] = '\0';
        output_error(&screen.output, &err);
        screen.output.quiet = true;
        output_error(&screen.output, &err);
        screen_shows(&screen, "", "suture: it? broke.\n  mend it\nsuture: Why?\n");
}

static void test_error_json(void **state)
{
        struct error err = { .exit_code = EXIT_CODE_TRUST, .cause = "c" };
        struct screen screen;

        (void)state;
        screen_open(&screen);
        screen.output.json = true;
        output_error(&screen.output, &err);
        screen_shows(&screen,
                     "{\n  \"schema\": \"suture-error-1\",\n  \"code\": 5,\n  \"cause\": \"c\",\n"
                     "  \"next\": null,\n  \"items\": []\n}\n",
                     "");
}

static void test_table(void **state)
{
        static const char *const headings[] = { "STATE", "NAME", "LAST" };
        struct screen screen;
        struct table table;

        (void)state;
        screen_open(&screen);
        table_init(&table, headings, 3, 0);
        table_add(&table, "PATCHED");
        table_add(&table, "caf\xc3\xa9");
        table_add(&table, "%d", 1);
        table_add(&table, "EXPOSED");
        table_add(&table, "a\nb");
        table_add(&table, "22");
        table_print(&screen.output, &table);
        screen.output.color = true;
        table_print(&screen.output, &table);
        table_done(&table);
        screen_shows(&screen,
                     "STATE    NAME  LAST\n"
                     "PATCHED  caf\xc3\xa9  1\n"
                     "EXPOSED  a?b   22\n"
                     "STATE    NAME  LAST\n"
                     "\033[32mPATCHED\033[0m  caf\xc3\xa9  1\n"
                     "\033[1;31mEXPOSED\033[0m  a?b   22\n",
                     "");
}

static void test_paragraph(void **state)
{
        struct screen screen;

        (void)state;
        screen_open(&screen);
        output_paragraph(&screen.output, 2,
                         "aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa "
                         "aaaaaaaa b\nc");
        screen_shows(&screen,
                     "  aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa "
                     "aaaaaaaa\n  b\n  c\n",
                     "");
}

static void test_duration(void **state)
{
        static const struct {
                uint64_t ns;
                const char *text;
        } rows[] = {
                { 0, "0 us" }, { 999, "1 us" }, { 53000, "53 us" }, { 99999, "100 us" },
                { 410000, "0.41 ms" }, { 2300000, "2.30 ms" }, { 23000000, "23.0 ms" },
                { 1300000000, "1.30 s" }, { 250000000000, "250 s" },
        };
        char text[OUTPUT_DURATION_SIZE];

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                output_format_duration(rows[i].ns, text);
                assert_string_equal(text, rows[i].text);
        }
}

static void test_time(void **state)
{
        char text[OUTPUT_TIME_SIZE];

        (void)state;
        setenv("TZ", "UTC", 1);
        tzset();
        output_format_time(86400 + 3660, text);
        assert_string_equal(text, "1970-01-02 01:01");
        output_format_time(0, text);
        assert_string_equal(text, "-");
}

static bool color_with(enum color_when when, const char *no_color)
{
        struct options options = { .color = when };
        struct output output;

        if (no_color)
                setenv("NO_COLOR", no_color, 1);
        else
                unsetenv("NO_COLOR");
        output_init(&output, &options);
        return output.color;
}

static void test_color(void **state)
{
        (void)state;
        assert_true(color_with(COLOR_ALWAYS, NULL));
        assert_true(color_with(COLOR_ALWAYS, "1"));
        assert_false(color_with(COLOR_NEVER, NULL));
        assert_false(color_with(COLOR_AUTO, "1"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_clean),
                cmocka_unit_test(test_values_fake_no_lines),
                cmocka_unit_test(test_quiet_and_json),
                cmocka_unit_test(test_json_text),
                cmocka_unit_test(test_error_text),
                cmocka_unit_test(test_error_json),
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_paragraph),
                cmocka_unit_test(test_duration),
                cmocka_unit_test(test_time),
                cmocka_unit_test(test_color),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
