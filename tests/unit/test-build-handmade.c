/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replacement code without an original: what it replaces is found by name in the module. */
#include "compiled.h"
#include "unit.h"

#define _cleanup_compiled_ _cleanup_(compiled_done)
#define NOINLINE "__attribute__((noinline)) "

static const char module_source[] =
        "int counter = 3; static int limit = 70000;\n"
        NOINLINE "static int helper(int x) { __asm__(\"\"); return x * limit; }\n"
        "int take(int x) { counter++; return helper(x) + 1; }\n"
        "int other(int x) { limit += x; return take(x) * 2; }\n";

static void compile_by_hand(const char *source, const char *hand, struct compiled *ret)
{
        struct compiled_options options = { .link = COMPILED_LIBRARY, .hand = hand,
                                            .flags = "-I" SOURCE_ROOT "/include" };

        compile_patch(source, &options, ret);
}

static void replaces_by_name(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        const struct patch_function *function;

        (void)state;
        compile_by_hand(module_source,
                        "extern int counter; extern int limit; int helper(int);\n"
                        "static int refused = 5;\n"
                        NOINLINE "static int check(int x) { __asm__(\"\"); refused++; return x > limit; }\n"
                        "int take(int x) { counter++; return check(x) ? refused : helper(x) + 2; }\n",
                        &compiled);
        assert_changed(&compiled, "take");
        assert_new(&compiled, "check");
        assert_string_equal(compiled.report.functions[0].why, "written by hand");
        function = &compiled.patch->targets[0].functions[0];
        compiled_run(&compiled, "test $(nm symbols | awk '$3 == \"take\" { print $1 }') = %016llx",
                     (unsigned long long)function->range.address);
        assert_symbol(&compiled, "helper", PATCH_SYMBOL_LOCAL);
        assert_symbol(&compiled, "limit", PATCH_SYMBOL_LOCAL);
        assert_symbol(&compiled, "counter", PATCH_SYMBOL_SLOT);
        assert_int_equal(compiled.report.n_data, 1);
}

static void replaces_a_static_function(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_by_hand(module_source,
                        "extern int limit; int helper(int x) { return x > 100 ? 0 : x * limit; }\n",
                        &compiled);
        assert_changed(&compiled, "helper");
}

static const char two_files[] = NOINLINE "static int trim(int x) { __asm__(\"\"); return x - 1; }\n"
                                "int a(int x) { return trim(x) * 3; }\n";

static void compile_two(const char *hand, struct compiled *ret)
{
        const struct compiled_options options = {
                .link = COMPILED_LIBRARY, .hand = hand, .flags = "-I" SOURCE_ROOT "/include",
                .rest = NOINLINE "static int trim(int x) { __asm__(\"\"); return x - 5; }\n"
                        "int b(int x) { return trim(x) * 7; }\n",
        };

        compile_patch(two_files, &options, ret);
}

static void statics_of_one_name(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_two("int trim(int x) { return x - 2; }\n", &compiled);
        assert_refused(&compiled, "SB107", "trim");
        compiled_done(&compiled);
        compile_two("#include <suture/patch.h>\n"
                    "SUTURE_REPLACES(\"rest.c\", trim)\nint trim(int x) { return x - 2; }\n",
                    &compiled);
        assert_changed(&compiled, "trim");
        compiled_run(&compiled,
                     "test $(nm symbols | awk '$3 == \"trim\" { print $1 }' | grep -c .) = 2");
        /* the one that subtracts 5: lea -5(%%rdi), %%eax */
        compiled_run(&compiled, "objdump -d --start-address=0x%llx symbols | sed -n 8,12p | "
                     "grep -q -- '-0x5'",
                     (unsigned long long)compiled.patch->targets[0].functions[0].range.address);
        compiled_done(&compiled);
        compile_two("#include <suture/patch.h>\n"
                    "SUTURE_REPLACES(\"none.c\", trim)\nint trim(int x) { return x - 2; }\n",
                    &compiled);
        assert_refused(&compiled, "SB120", "none.c");
}

static void equal_code_is_no_replacement(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_two(NOINLINE "static int trim(int x) { __asm__(\"\"); return x - 1; }\n"
                    "int a(int x) { return trim(x) * 4; }\n", &compiled);
        assert_changed(&compiled, "a");
}

static void copies_of_the_compiler(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_by_hand("#include <stdio.h>\n"
                        "int part(int mode, int n) {\n"
                        "        if (mode == 3) puts(\"three\"); for (int i = 0; i < n; i++) puts(\"x\");\n"
                        "        return n * mode; }\n"
                        "int (*pointer)(int, int) = part;\n"
                        "int a(int n) { return part(3, n) + 1; }\n",
                        "int part(int mode, int n) { return n > 5 ? 0 : n * mode; }\n", &compiled);
        if (compiled.outcome == 0) /* inlined, or not copied: depends on the compiler */
                compiled_run(&compiled, "! nm symbols | grep -q 'part\\.'");
        else
                assert_refused(&compiled, "SB130", "part");
        compiled_done(&compiled);
        compile_by_hand("__attribute__((noinline, noclone)) static int g(int x) { __asm__(\"\"); return x; }\n"
                        "int f(int x) { return g(x) + 1; }\n",
                        "int none(int x) { return x; }\n", &compiled);
        assert_refused(&compiled, "SB105", "no function");
}

static void hooks_and_shadow_variables(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_by_hand(module_source,
                        "#include <suture/patch.h>\n"
                        "extern int limit;\n"
                        "static int lower(void) { limit = 4; return 0; }\nSUTURE_PRE(lower)\n"
                        "int take(int x) { int *n = suture_shadow_get_or_alloc(&limit, 1, 4);\n"
                        "        return n ? ++*n : x; }\n", &compiled);
        assert_changed(&compiled, "take");
        assert_string_equal(compiled.patch->targets[0].hook_pre_name, "lower");
        assert_symbol(&compiled, "suture_shadow_root", PATCH_SYMBOL_RUNTIME);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(replaces_by_name),
                cmocka_unit_test(replaces_a_static_function),
                cmocka_unit_test(statics_of_one_name),
                cmocka_unit_test(equal_code_is_no_replacement),
                cmocka_unit_test(copies_of_the_compiler),
                cmocka_unit_test(hooks_and_shadow_variables),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
