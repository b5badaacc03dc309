/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/compile-log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A record as the wrapper writes it; words end with NULL. */
static void add_record(struct buffer *log, const char *directory, const char *program,
                       const char *const *words)
{
        static const char one_variable[] = "1\0SOURCE_DATE_EPOCH=7";
        size_t n = 0;

        while (words[n])
                n++;
        assert_true(buffer_append(log, directory, strlen(directory) + 1));
        assert_true(buffer_append(log, program, strlen(program) + 1));
        assert_true(buffer_append(log, one_variable, sizeof(one_variable)));
        assert_true(buffer_printf(log, "%zu", n) && buffer_append(log, "", 1));
        for (size_t i = 0; i < n; i++)
                assert_true(buffer_append(log, words[i], strlen(words[i]) + 1));
}
#define RECORD(log, directory, ...)                                                           \
        add_record(log, directory, "/usr/bin/gcc", (const char *const[]){ __VA_ARGS__, NULL })

static struct compile_log parse(struct buffer *bytes)
{
        struct compile_log log = { 0 };
        struct error err = { 0 };

        assert_int_equal(compile_log_parse(bytes, &log, &err), 0);
        return log;
}

static void assert_command(const struct compile_log *log, size_t unit,
                           enum compile_variant variant, const char *expected)
{
        struct words words = { 0 };
        struct buffer text = { 0 };

        assert_true(compile_unit_command(log, &log->units[unit], variant, "/out.o", &words));
        for (size_t i = 0; i < words.n_items; i++)
                assert_true(buffer_printf(&text, "%s%s", i ? " " : "", words.items[i]));
        assert_string_equal((char *)text.data, expected);
        words_done(&words);
        buffer_done(&text);
}

static void test_libtool(void **state)
{
        struct buffer bytes = { 0 };
        struct compile_log log;

        (void)state;
        RECORD(&bytes, "/build/x", "-DA=\"b c\"", "-I.", "-I", "include", "-g", "-O2", "-MT",
               "http.lo", "-MD", "-MP", "-MF", ".deps/http.Tpo", "-c", "http.c", "-fPIC", "-DPIC",
               "-o", ".libs/http.o");
        RECORD(&bytes, "/build/x", "-c", "../y/./http.c");
        RECORD(&bytes, "/build/x", "-shared", "-o", "libx.so", ".libs/http.o", "-lc");
        log = parse(&bytes);
        assert_int_equal(log.n_commands, 3);
        assert_int_equal(log.n_units, 2);
        assert_string_equal(log.units[0].source, "/build/x/http.c");
        assert_string_equal(log.units[0].object, "/build/x/.libs/http.o");
        assert_string_equal(log.units[1].source, "/build/y/http.c");
        assert_string_equal(log.units[1].object, "/build/x/http.o");
        assert_int_equal(log.commands[0].n_environment, 1);
        assert_string_equal(log.commands[0].environment[0], "SOURCE_DATE_EPOCH=7");
        assert_command(&log, 0, COMPILE_SECTIONS,
                       "/usr/bin/gcc -DA=\"b c\" -I. -I include -g -O2 -fPIC -DPIC -g "
                       "-ffunction-sections -fdata-sections -c -o /out.o http.c");
        assert_command(&log, 0, COMPILE_DEPENDENCIES,
                       "/usr/bin/gcc -DA=\"b c\" -I. -I include -g -O2 -fPIC -DPIC -M http.c");
        compile_log_done(&log);
}

static void test_compiled_and_linked(void **state)
{
        struct buffer bytes = { 0 };
        struct compile_log log;

        (void)state;
        RECORD(&bytes, "/b", "-O2", "-ofoo", "a.c", "b.cc", "old.o", "-L.", "-lfoo", "-Wl,-z,now",
               "-Xlinker", "x.c", "-include", "config.c");
        log = parse(&bytes);
        assert_int_equal(log.n_units, 2);
        assert_null(log.units[0].object);
        assert_string_equal(log.units[1].source, "/b/b.cc");
        assert_command(&log, 1, COMPILE_SECTIONS,
                       "/usr/bin/gcc -O2 -include config.c -g -ffunction-sections -fdata-sections "
                       "-c -o /out.o b.cc");
        compile_log_done(&log);
}

static void test_not_compiled(void **state)
{
        struct buffer bytes = { 0 };
        struct compile_log log;

        (void)state;
        RECORD(&bytes, "/b", "-E", "a.c");
        RECORD(&bytes, "/b", "-M", "a.c");
        RECORD(&bytes, "/b", "--version");
        RECORD(&bytes, "/b", "-S", "a.c");
        RECORD(&bytes, "/b", "-flto=auto", "-c", "a.c");
        RECORD(&bytes, "/b", "-flto=auto", "-fno-lto", "-c", "a.c");
        log = parse(&bytes);
        assert_int_equal(log.n_units, 2);
        assert_true(log.units[0].link_time);
        assert_false(log.units[1].link_time);
        compile_log_done(&log);
}

static void test_broken(void **state)
{
        struct buffer whole = { 0 };
        struct compile_log log = { 0 };
        struct error err = { 0 };
        size_t size;

        (void)state;
        RECORD(&whole, "/b", "-c", "a.c");
        size = whole.size;
        for (size_t cut = 1; cut < size; cut++) {
                struct buffer part = { 0 };

                assert_true(buffer_append(&part, whole.data, cut));
                assert_true(compile_log_parse(&part, &log, &err) < 0);
        }
        whole.data[strlen("/b") + 1] = 'x'; /* a program that isn't absolute */
        assert_true(compile_log_parse(&whole, &log, &err) < 0);
}

static void test_dependencies(void **state)
{
        static const char rule[] = "http.o: http.c include/a.h \\\n /usr/include/b.h dir\\ x/c.h \\\n"
                                   " ../d$$e.h\n";
        static const char *const expected[] = {
                "/b/http.c", "/b/include/a.h", "/usr/include/b.h", "/b/dir x/c.h", "/d$e.h",
        };
        struct words words = { 0 };

        (void)state;
        assert_true(compile_dependencies_parse(rule, "/b", &words));
        assert_int_equal(words.n_items, 5);
        for (size_t i = 0; i < 5; i++)
                assert_string_equal(words.items[i], expected[i]);
        words_done(&words);
        assert_true(compile_dependencies_parse("", "/b", &words));
        assert_int_equal(words.n_items, 0);
}

static void assert_path(const char *directory, const char *path, const char *expected)
{
        char *result = path_resolve(directory, path);

        assert_string_equal(result, expected);
        free(result);
}

static void test_paths(void **state)
{
        (void)state;
        assert_path("/a/b", "c.c", "/a/b/c.c");
        assert_path("/a/b", "../c.c", "/a/c.c");
        assert_path("/a/b", "./x/.././c.c", "/a/b/c.c");
        assert_path("/a", "../../../c", "/c");
        assert_path("/a", "/x//y/", "/x/y");
        assert_path("/", "..", "/");
}

static void test_quote(void **state)
{
        struct buffer text = { 0 };

        (void)state;
        assert_true(shell_quote(&text, "a'b $c"));
        assert_string_equal((char *)text.data, "'a'\\''b $c'");
        buffer_done(&text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_libtool),
                cmocka_unit_test(test_compiled_and_linked),
                cmocka_unit_test(test_not_compiled),
                cmocka_unit_test(test_broken),
                cmocka_unit_test(test_dependencies),
                cmocka_unit_test(test_paths),
                cmocka_unit_test(test_quote),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
