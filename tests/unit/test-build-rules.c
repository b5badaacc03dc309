/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is refused, each by its rule. */
#include <stdio.h>
#include "build/rules.h"
#include "compiled.h"
#include "unit.h"

#define _cleanup_compiled_ _cleanup_(compiled_done)
#define NOINLINE "__attribute__((noinline)) "

static const struct compiled_options library = { .link = COMPILED_LIBRARY };
static const struct compiled_options pie = { .link = COMPILED_PIE };

struct refusal {
        const char *code, *about, *source;
};

/* Each source is a library; FIXED 1 is what is refused. */
static const struct refusal refusals[] = {
        { "SB101", "struct conn",
          "struct conn { int a; long b;\n"
          "#if FIXED\n"
          "int added;\n"
          "#endif\n"
          "};\n"
          "long f(struct conn *c) { return c->a + c->b + FIXED; }\n" },
        { "SB101", "conn_t",
          "typedef struct { int a; char b[4 + 4 * FIXED]; int c; } conn_t;\n"
          "int f(conn_t *c) { return c->a + c->c; }\n" },
        { "SB101", "union value",
          "union value { int a; char b[FIXED ? 12 : 8]; };\n"
          "int f(union value *v) { return v->a * 1234567 + FIXED; }\n" },
        { "SB101", "struct inner",
          "struct inner { char c; short s;\n"
          "#if FIXED\n"
          "char d;\n"
          "#endif\n"
          "};\n"
          "struct outer { struct inner i; int x; };\n"
          "int f(struct outer *o) { return o->x * 1234567 + FIXED; }\n" },
        { "SB102", "depth",
          "int f(int x) {\n"
          "#if FIXED\n"
          "static __thread int depth; return x + depth++;\n"
          "#else\n"
          "return x;\n"
          "#endif\n"
          "}\n" },
        { "SB102", "depth",
          "__thread int depth = 1 + FIXED; int f(void) { return depth++ + FIXED; }\n" },
        { "SB103", "parse",
          "#if FIXED\n"
          "int parse(const char *s, long n) { return s[n]; }\n"
          "#else\n"
          "int parse(const char *s) { return s[0]; }\n"
          "#endif\n" },
        { "SB103", "parse", "#if FIXED\n"
          "long parse(const char *s) { return s[0]; }\n"
          "#else\n"
          "int parse(const char *s) { return s[1]; }\n"
          "#endif\n" },
        { "SB105", "", "int f(int x) { return x; }\n" },
        { "SB109", "checksum",
          "__asm__(\".text\\n.globl checksum\\n.type checksum, @function\\nchecksum:\\n\"\n"
          "#if FIXED\n"
          "\"mov $2, %eax\\n\"\n"
          "#endif\n"
          "\"mov $1, %eax\\njmp more\\n.size checksum, .-checksum\\n\"\n"
          "\".globl more\\n.type more, @function\\nmore: ret\\n.size more, .-more\\n\");\n" },
        { "SB111", "copy",
          "static int one(void) { return 1; } static int two(void) { return 2; }\n"
          "static void *choose(void) { return FIXED ? two : one; }\n"
          "int copy(void) __attribute__((ifunc(\"choose\")));\n"
          "int call(void) { return copy() + FIXED; }\n" },
        { "SB112", "limit",
          "static int limit = 10 - FIXED; int f(int x) { return x > limit++; }\n" },
        { "SB112", "names",
          "static const char *names[] = { \"a\", FIXED ? \"b\" : \"c\" };\n"
          "const char **f(void) { return names; }\n" },
        { "SB112", "calls",
          "extern int a(int), b(int); int a(int x) { return x; } int b(int x) { return -x; }\n"
          "int (*calls[])(int) = { a, FIXED ? a : b };\n"
          "int f(int x) { return calls[1](x); }\n" },
        { "SB112", "zero", "int zero = FIXED; int f(void) { return zero++ + FIXED; }\n" },
        { "SB112", "grown",
          "static char grown[64 + 64 * FIXED]; char *f(int i) { return &grown[i + FIXED]; }\n" },
        { "SB113", "limits",
          "const int limits[] = { 10, 20 - FIXED }; int f(int i) { return limits[i]; }\n" },
        { "SB114", "nowhere_at_all",
          "#include <stdio.h>\nint nowhere_at_all(int); void say(void) { puts(\"words\"); }\n"
          "int f(int x) {\n"
          "#if FIXED\n"
          "return nowhere_at_all(x);\n"
          "#endif\n"
          "return x; }\n" },
        { "SB115", "n",
          "int f(int x) {\n"
          "#if FIXED\n"
          "if (x > 5) { static int n = 3; return n += x; }\n"
          "if (x > 3) { static int n = 3; return n -= x; }\n"
          "#else\n"
          "if (x > 5) { static int n = 3; return n += x; }\n"
          "#endif\n"
          "return x; }\n" },
        { "SB116", "tiny",
          "__asm__(\".section .text.tiny,\\\"ax\\\"\\n.globl tiny\\n.type tiny, @function\\ntiny: \"\n"
          "#if FIXED\n"
          "\"nop\\n\"\n"
          "#endif\n"
          "\"xor %eax, %eax\\nret\\n.size tiny, .-tiny\\n.section .text.tiny2,\\\"ax\\\"\\n\"\n"
          "\".globl tiny2\\n.type tiny2, @function\\ntiny2: .rept 8\\ninc %eax\\n.endr\\nret\\n\"\n"
          "\".size tiny2, .-tiny2\\n\");\n" },
        { "SB117", "serve",
          "extern int next(void); int next(void) { __asm__(\"\"); return 1; }\n"
          "void serve(void) { for (;;) if (next() == 5) next(); else { next();\n"
          "#if FIXED\n"
          "next();\n"
          "#endif\n"
          "} }\n" },
        { "SB118", "unused_so_far",
          "extern __thread int unused_so_far;\n"
          "int f(int x) {\n"
          "#if FIXED\n"
          "return x + unused_so_far;\n"
          "#endif\n"
          "return x; }\n" },
        { "SB120", "missing",
          "#include <suture/patch.h>\n"
          "#if FIXED\n"
          "SUTURE_ENTRY(missing)\n"
          "#endif\n"
          "int f(int x) { return x + FIXED; }\n" },
        { "SB120", "pre",
          "#if FIXED\n"
          "#include <suture/patch.h>\n"
          "static int a(void) { return 0; } static int b(void) { return 1; }\n"
          "SUTURE_PRE(a) SUTURE_PRE(b)\n"
          "#endif\n"
          "int f(int x) { return x + FIXED; }\n" },
        { "SB124", "other",
          "__attribute__((noipa, visibility(\"hidden\"))) int other(int x) { return x * 1234567; }\n"
          "void *f(void *x) {\n"
          "#if FIXED\n"
          "__asm__(\"lea other+4(%%rip), %0\" : \"=r\"(x));\n"
          "#endif\n"
          "return x; }\n" },
        { "SB127", "again",
          "extern long again(long), f(long);\n"
          "__asm__(\".section .text.again,\\\"ax\\\"\\n.p2align 4\\n.globl again\\n.type again, @function\\nagain:\\n\"\n"
          "\"dec %rdi\\n1: inc %eax\\ndec %rdi\\njnz 1b\\n\"\n"
          "#if FIXED\n"
          "\"inc %eax\\n\"\n"
          "#endif\n"
          "\"ret\\n.size again, .-again\\n.text\\n\");\n"
          "long f(long x) { return x + FIXED; }\n" },
};

static void refuses(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
                _cleanup_compiled_ struct compiled compiled;
                struct compiled_options options = library;

                options.flags = "-I" SOURCE_ROOT "/include";
                options.link_flags = "-Wl,--unresolved-symbols=ignore-all";
                options.rest = "int last_function(int x) { return x; }\n" /* so that padding follows */
                               "__thread int unused_so_far = 1;\n";
                compile_patch(refusals[i].source, &options, &compiled);
                assert_refused(&compiled, refusals[i].code, refusals[i].about);
        }
}

static void main_is_for_new_processes(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("int main(int c, char **v) { (void)v; return c + FIXED; }\n", &pie, &compiled);
        assert_changed(&compiled, "main");
        assert_warned(&compiled, "SB132", "main");
}

static void other_code_than_shipped(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        options.shipped_source = "int f(int x) { return x * 7 + 3; }\n";
        compile_patch("int f(int x) { return x * 5 + FIXED; }\n", &options, &compiled);
        assert_refused(&compiled, "SB106", "f");
}

/* Two equal functions of one name, in files of one name. */
static void ambiguous_function(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        options.rest = "#line 1 \"shipped.c\"\n"
                       NOINLINE "static int f(int x) { __asm__(\"\"); return x * 5; }\n"
                       "int h(int x) { return f(x) + 1; }\n";
        compile_patch(NOINLINE "static int f(int x) { __asm__(\"\"); return x * 5 + FIXED; }\n"
                      "int g(int x) { return f(x) * 9; }\n", &options, &compiled);
        /* g calls it, so it is known which one is meant */
        assert_changed(&compiled, "f");
        compiled_run(&compiled,
                     "test $(objdump -d --no-show-raw-insn symbols | "
                     "awk '/<g>:/ { on = 1 } on && /call/ { print $3; exit }') = %llx",
                     (unsigned long long)compiled.patch->targets[0].functions[0].range.address);
}

/* The same, but only pointers lead to them, so their callers don't tell. */
static void indistinguishable_function(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        options.rest = "#line 1 \"shipped.c\"\n"
                       "static int f(int x) { return x * 1234567; }\n"
                       "int (*table_h[])(int) = { f, f };\n";
        compile_patch("static int f(int x) { return x * 1234567 + FIXED; }\n"
                      "int (*table_g[])(int) = { f, f };\n", &options, &compiled);
        assert_refused(&compiled, "SB107", "f");
}

static void address_out_of_reach(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = { .link = COMPILED_STATIC_PLACE };

        (void)state;
        compile_patch("#include <unistd.h>\n"
                      "void *f(void *x) {\n"
                      "#if FIXED\n"
                      "return (void *)&getppid;\n"
                      "#endif\n"
                      "return x; }\n"
                      "int last(int x) { return x; }\n"
                      "int main(int c, char **v) { return f(v) == v ? c : getpid(); }\n",
                      &options, &compiled);
        assert_refused(&compiled, "SB108", "getppid");
}

static void function_that_is_not_in_the_module(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        options.shipped_source = "int f(int x) { return x * 1234567; }\n";
        compile_patch("int f(int x) { return x * 1234567 + FIXED; }\n"
                      "int dropped(int x) { return x * 7654321 + FIXED; }\n", &options,
                      &compiled);
        assert_changed(&compiled, "f");
        assert_new(&compiled, "");
        assert_warned(&compiled, "SB126", "dropped");
}

static void without_sections(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        options.plain_objects = true;
        compile_patch("__attribute__((noipa)) int a(int x) { return x * 77777; }\n"
                      "int b(int x) { return a(x) + a(x + 1) + FIXED; }\n", &options, &compiled);
        assert_changed(&compiled, "b");
        assert_symbol(&compiled, "a", PATCH_SYMBOL_SLOT);
}

static void link_time_optimisation(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        options.flags = "-flto";
        compile_patch("int f(int x) { return x + FIXED; }\n", &options, &compiled);
        assert_refused(&compiled, "SB122", "test.c");
}

static void no_build_id(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        options.link_flags = "-Wl,--build-id=none";
        compile_patch("int f(int x) { return x + FIXED; }\n", &options, &compiled);
        assert_refused(&compiled, "SB123", "shipped");
}

static void unreadable_unwind_information(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("int f(int x) { return x / (x + 3 + FIXED); }\n"
                      "#if FIXED\n"
                      "__asm__(\".pushsection .eh_frame,\\\"a\\\",@progbits\\n\"\n"
                      "        \".long 0x7fffffff, 0\\n\"\n"
                      "        \".popsection\");\n"
                      "#endif\n", &library, &compiled);
        assert_refused(&compiled, "SB110", "ends outside of its section");
}

static void too_many_functions(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        _cleanup_buffer_ struct buffer source = { 0 };

        (void)state;
        for (int i = 0; i <= PATCH_MAX_FUNCTIONS; i++)
                assert_true(buffer_printf(&source, "int f%d(int x) { return x * %d + FIXED; }\n", i,
                                          i + 100));
        compile_patch((char *)source.data, &library, &compiled);
        assert_refused(&compiled, "SB121", "functions differ");
}

static void warnings(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        options.flags = "-g0";
        compile_patch("int f(int x) { return x / (x + 3 + FIXED); }\n"
                      "#if !FIXED\n"
                      "int gone(int x) { return x; }\n"
                      "#endif\n"
                      "static int ready;\n"
                      "__attribute__((constructor)) static void setup(void) { ready = 1 + FIXED; }\n"
                      "int is_ready(void) { return ready; }\n", &options, &compiled);
        assert_changed(&compiled, "f setup");
        assert_warned(&compiled, "SB104", "gone");
        assert_warned(&compiled, "SB119", "setup");
        assert_warned(&compiled, "SB125", "test.c");
}

static void suspicious_data(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        options.rest = "int last_function(int x) { return x; }";
        compile_patch("#if FIXED\n#define NAME main_pool\n#else\n#define NAME pool\n#endif\n"
                      "static void *NAME;\n"
                      "void *take(void *p) { void *old = NAME; NAME = p; return old; }\n"
                      "#if FIXED\n"
                      "static const int added __attribute__((section(\"commands\"), used)) = 5;\n"
                      "#endif\n", &options, &compiled);
        assert_changed(&compiled, "take");
        assert_warned(&compiled, "SB128", "main_pool");
        assert_warned(&compiled, "SB129", "added");
}

static void renamed_member(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("#if FIXED\n#define NAME b\n#else\n#define NAME a\n#endif\n"
                      "struct s { int NAME; char *p; struct s *next; };\n"
                      "int f(struct s *s) { return s->NAME * 1234567 + FIXED; }\n", &library, &compiled);
        assert_changed(&compiled, "f");
}

/* The table itself. */
static void rules_are_in_order(void **state)
{
        (void)state;
        for (size_t i = 0; i < n_build_rules; i++) {
                const struct build_rule *rule = &build_rules[i];

                assert_int_equal(strlen(rule->code), 5);
                assert_true(rule->title && rule->why && rule->remedy && rule->example);
                assert_true(i == 0 || strcmp(build_rules[i - 1].code, rule->code) < 0);
                assert_ptr_equal(build_rule_find(rule->code), rule);
        }
        assert_ptr_equal(build_rule_find("sb112"), build_rule_find("SB112"));
        assert_null(build_rule_find("SB999"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(refuses),
                cmocka_unit_test(main_is_for_new_processes),
                cmocka_unit_test(other_code_than_shipped),
                cmocka_unit_test(ambiguous_function),
                cmocka_unit_test(indistinguishable_function),
                cmocka_unit_test(address_out_of_reach),
                cmocka_unit_test(function_that_is_not_in_the_module),
                cmocka_unit_test(without_sections),
                cmocka_unit_test(link_time_optimisation),
                cmocka_unit_test(no_build_id),
                cmocka_unit_test(unreadable_unwind_information),
                cmocka_unit_test(too_many_functions),
                cmocka_unit_test(warnings),
                cmocka_unit_test(suspicious_data),
                cmocka_unit_test(renamed_member),
                cmocka_unit_test(rules_are_in_order),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
