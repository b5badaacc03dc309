/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Variables within functions, which the compiler tells apart by numbers. */
#include "compiled.h"
#include "unit.h"

#define _cleanup_compiled_ _cleanup_(compiled_done)
#define NOINLINE "__attribute__((noinline)) "

static const struct compiled_options library = { .link = COMPILED_LIBRARY };

/* One is gone, the other is new, and both are called `n`. */
static void another_functions_variable(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("int f(int x) {\n"
                      "#if !FIXED\n"
                      "        static int n; n += x; if (n > 1000) return n;\n"
                      "#endif\n"
                      "        return x * 1234577 + x / 7; }\n"
                      "int g(int x) {\n"
                      "#if FIXED\n"
                      "        static int n; n += x; if (n > 1000) return n;\n"
                      "#endif\n"
                      "        return x * 1234588 + x / 7; }\n", &library, &compiled);
        assert_refused(&compiled, "SB115", "n");
}

/* Both are inlined; the fix calls them the other way round. */
static void inlined_in_another_order(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("extern int step(int);\n"
                      "static inline int a(int x) { static int n; n += x; return step(n); }\n"
                      "static inline int b(int x) { static int n; n ^= x; return step(n); }\n"
                      "int f(int x) {\n"
                      "#if FIXED\n"
                      "        if (b(x) < 0) return 5; return a(x);\n"
                      "#else\n"
                      "        if (a(x) < 0) return 5; return b(x);\n"
                      "#endif\n"
                      "}\n", &library, &compiled);
        if (compiled.outcome != BUILD_REFUSED) /* then each is bound to its own */
                assert_changed(&compiled, "f");
        else
                assert_refused(&compiled, "SB115", "n");
}

static void one_that_stays(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("static inline int a(int x) { static int n; n += x; return n; }\n"
                      "static inline int b(int x) { static int n; n ^= x; return n; }\n"
                      "int f(int x) { return a(x) + b(x) + FIXED * 7; }\n"
                      "int g(int x) { static int n = 3; n -= x; return n; }\n", &library, &compiled);
        assert_changed(&compiled, "f");
        assert_symbol(&compiled, "n.2", PATCH_SYMBOL_LOCAL);
}

static void type_of_one_changes(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("#if FIXED\n#define TYPE short\n#define N 4\n"
                      "#else\n#define TYPE int\n#define N 2\n#endif\n"
                      "int f(int x) { static TYPE list[N]; list[x & (N - 1)] += x;\n"
                      "        return list[1] * 3; }\n", &library, &compiled);
        assert_refused(&compiled, "SB112", "list");
        compiled_done(&compiled);
        compile_patch("#if FIXED\n#define ORDER b, a\n#else\n#define ORDER a, b\n#endif\n"
                      "int f(int x) { static struct cache { int ORDER; } cache; cache.a += x * 1234567;\n"
                      "        return cache.b++ * 3; }\n", &library, &compiled);
        assert_refused(&compiled, "SB112", "cache");
}

/* Of the unit's own nothing is left in the module, and another file has one of that name. */
static void variable_of_another_file(void **state)
{
        static const char source[] =
                "static int n[2];\n"
                "__attribute__((noinline)) int gone(int x) { return n[x & 1] += x; }\n"
                "int f(int x) {\n"
                "#if FIXED\n"
                "        n[x & 1] += 7;\n"
                "#endif\n"
                "        return x * 1234577 + x / 7; }\n";
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        options.rest = "static int n[2] = { 5, 6 }; int other(int x) { return n[x & 1]--; }\n";
        options.shipped_source = "int f(int x) { return x * 1234577 + x / 7; }\n";
        compile_patch(source, &options, &compiled);
        assert_refused(&compiled, "SB115", "n");
}

/* Without symbols it is not known whether a static function is in the module. */
static void static_function_of_a_stripped_module(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        options.link_flags = "-Wl,-s";
        compile_patch(NOINLINE "static int g(int x) { return x * 1234577 + FIXED; }\n"
                      "int f(int x) { return g(x) * 7654321 + FIXED; }\n", &options, &compiled);
        assert_refused(&compiled, "SB106", "g");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(another_functions_variable),
                cmocka_unit_test(inlined_in_another_order),
                cmocka_unit_test(one_that_stays),
                cmocka_unit_test(type_of_one_changes),
                cmocka_unit_test(variable_of_another_file),
                cmocka_unit_test(static_function_of_a_stripped_module),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
