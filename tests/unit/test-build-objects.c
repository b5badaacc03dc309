/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is taken of a fix: functions, and what they drag in. */
#include <stdio.h>
#include "base/file.h"
#include "compiled.h"
#include "elf/frames.h"
#include "unit.h"

#define _cleanup_compiled_ _cleanup_(compiled_done)
#define NOINLINE "__attribute__((noinline)) "

static const struct compiled_options library = { .link = COMPILED_LIBRARY };
static const struct compiled_options pie = { .link = COMPILED_PIE };
static const struct compiled_options pie_with_main = {
        .link = COMPILED_PIE, .rest = "int main(void) { return 0; }",
};
static const struct compiled_options static_place = { .link = COMPILED_STATIC_PLACE };

static void only_the_changed_body(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        const struct patch_function *function;

        (void)state;
        compile_patch("int a(int x) { return x * 3; }\n"
                      "int b(int x) { return x + FIXED; }\n"
                      "int c(int x) { return a(x) + b(x); }\n", &library, &compiled);
        assert_changed(&compiled, "b");
        assert_new(&compiled, "");
        function = &compiled.patch->targets[0].functions[0];
        assert_string_equal(function->name, "b");
        assert_int_equal(function->consistency, PATCH_STRICT);
        assert_false(compiled.patch->targets[0].pinned);
        assert_int_equal(compiled.patch->targets[0].n_symbols, 0);
        assert_string_equal(compiled.patch->targets[0].module, "libtest.so.1");
        assert_int_equal(compiled.report.n_build_ids, 1);
        assert_true(build_id_equal(&compiled.report.build_ids[0],
                                   &compiled.patch->targets[0].build_id));
}

static void changed_string(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("#include <stdio.h>\n"
                      "void before(void) { puts(\"a string\"); }\n"
                      "void say(void) { puts(FIXED ? \"new words\" : \"old words\"); }\n"
                      "void after(void) { puts(\"z string\"); puts(\"a string\"); }\n",
                      &library, &compiled);
        assert_changed(&compiled, "say");
        assert_true(patch_contains(&compiled, "new words", 10));
        assert_false(patch_contains(&compiled, "old words", 10));
        assert_false(patch_contains(&compiled, "string", 6));
        assert_true(compiled.patch->targets[0].pinned);
        assert_symbol(&compiled, "puts", PATCH_SYMBOL_SLOT);
        assert_string_equal(compiled.report.functions[0].why,
                            "refers to a changed string or constant");
}

/* The string's offset in its section moves in every function behind the new one. */
static void moved_strings(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("#include <stdio.h>\n"
                      "void first(void) {\n"
                      "#if FIXED\n"
                      "puts(\"quite a long new string that moves all others\");\n"
                      "#endif\n"
                      "puts(\"first\"); }\n"
                      "void second(int x) { printf(\"%d second\\n\", x); }\n"
                      "double third(double x) { return x * 3.25 + 7.5; }\n"
                      "const char *fourth(int i) { static const char *const n[] = { \"x\", \"yy\" };\n"
                      "        return n[i]; }\n", &library, &compiled);
        assert_changed(&compiled, "first");
}

/* The compiler takes a constant from a larger one, once that is there. */
static void constant_within_another(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("typedef double pair __attribute__((vector_size(16)));\n"
                      "double f(double x) { return x * 2.5; }\n"
                      "int changed(int x) { return x * 1234567 + FIXED; }\n"
                      "#if FIXED\n"
                      "pair g(pair x) { return x * (pair){ 7.5, 2.5 }; }\n"
                      "#endif\n", &library, &compiled);
        assert_changed(&compiled, "changed");
        compiled_run(&compiled, "readelf -SW fixed.o | grep -q cst16");
        compiled_run(&compiled, "! readelf -SW fixed.o | grep -q cst8");
}

static void line_numbers(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("#include <assert.h>\n"
                      "int a(int x) { assert(x > 1); return x; }\n"
                      "int b(int x) { return x + FIXED; }\n"
                      "#if FIXED\n"
                      "\n"
                      "#line 5\n"
                      "#endif\n"
                      "int c(int x) { assert(x > 2); return x; }\n", &library, &compiled);
        assert_changed(&compiled, "b c");
}

static void static_local(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        const struct patch_symbol *symbol;

        (void)state;
        compile_patch("#if FIXED\n"
                      "int fresh(void) { static int n = 5; return n++; }\n"
                      "#endif\n"
                      "int a(void) { static int n = 1; return n++; }\n"
                      "int b(void) { static int n = 2; return n += 1 + FIXED; }\n"
                      "int c(void) { static int n = 3; return n++; }\n", &library, &compiled);
        assert_changed(&compiled, "b");
        assert_int_equal(compiled.patch->targets[0].n_symbols, 1);
        symbol = &compiled.patch->targets[0].symbols[0];
        assert_int_equal(symbol->kind, PATCH_SYMBOL_LOCAL);
        compiled_run(&compiled,
                     "test $(nm symbols | awk '$3 == \"n.1\" { print $1 }') = %016llx",
                     (unsigned long long)symbol->address);
}

static void jump_table(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        static const struct compiled_options *const all[] = { &library, &static_place };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                compile_patch("int f(int), g(int);\n"
                              "int f(int x) { switch (x) { case 0: return g(9); case 1: return g(x + 3);\n"
                              "case 2: return g(12) * 2; case 3: return x * g(5); case 4: return g(1) - 7;\n"
                              "case 5: return g(FIXED ? 8 : 4); default: return -1; } }\n"
                              NOINLINE "int g(int x) { __asm__(\"\"); return x * x + 1; }\n"
                              "int main(int c, char **v) { (void)v; return f(c); }\n",
                              all[i], &compiled);
                assert_changed(&compiled, "f");
                assert_true(compiled.report.n_data > 0);
                assert_false(compiled.patch->targets[0].pinned);
                if (i + 1 < ARRAY_SIZE(all))
                        compiled_done(&compiled);
        }
}

static void new_function_and_data(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("#include <string.h>\n"
                      "static char seen[64]; static int limit = 7;\n"
                      "#if FIXED\n"
                      "static int refusals = 3; static char buffer[100];\n"
                      NOINLINE "static int check(const char *s) {\n"
                      "        strncpy(buffer, s, sizeof(buffer) - 1); return ++refusals; }\n"
                      "#endif\n"
                      "int take(const char *s) {\n"
                      "#if FIXED\n"
                      "        if (check(s) > limit) return -1;\n"
                      "#endif\n"
                      "        strcpy(seen, s); return limit++; }\n", &library, &compiled);
        assert_changed(&compiled, "take");
        assert_new(&compiled, "check");
        assert_int_equal(compiled.report.n_data, 2);
        assert_symbol(&compiled, "limit", PATCH_SYMBOL_LOCAL);
        assert_symbol(&compiled, "seen", PATCH_SYMBOL_LOCAL);
        assert_symbol(&compiled, "strcpy", PATCH_SYMBOL_SLOT);
        assert_string_equal(assert_symbol(&compiled, "strncpy", PATCH_SYMBOL_IMPORT)->version,
                            "GLIBC_2.2.5");
        assert_true(patch_contains(&compiled, "\3\0\0\0", 4));
}

static void changed_where_it_was_inlined(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("static inline int check(int x) { return x > 10 + FIXED; }\n"
                      "int a(int x) { return check(x) ? -1 : x; }\n"
                      "int b(int x) { return x; }\n"
                      "int c(int x) { return check(x * 2) ? -2 : x * 5; }\n", &library, &compiled);
        assert_changed(&compiled, "a c");
}

static void clones(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("#include <stdio.h>\n"
                      "struct s { int a, b, c; };\n"
                      NOINLINE "static int part(struct s *s, int mode, int unused) {\n"
                      "        if (mode == 3) { puts(\"three\"); return s->a * FIXED; }\n"
                      "        return s->a + s->b * mode; }\n"
                      "int a(struct s *s) { return part(s, 3, s->c) + 1; }\n"
                      "int b(struct s *s) { return part(s, 3, 0) * 2; }\n", &library, &compiled);
        assert_changed(&compiled, "part.constprop.0");
}

/* A new clone takes the number that another one had. */
static void renumbered_clones(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("#include <stdio.h>\n"
                      "#define BODY if (mode > 100) puts(\"many\"); n += mode; return n * mode;\n"
                      "#if FIXED\n"
                      "#define N 5\n"
                      "#else\n"
                      "#define N 4\n"
                      "#endif\n"
                      "static int n;\n"
                      NOINLINE "static int one(int mode, int k) { n += k; BODY }\n"
                      "int a(void) { return one(7, 3); }\n"
                      "int b(int k) { return one(k, N) + n; }\n"
                      "int c(void) { return one(7, 3) * 2; }\n", &library, &compiled);
        assert_int_equal(compiled.outcome, 0);
        assert_true(compiled.patch->targets[0].n_functions <= 2);
}

static void cold_parts(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        const struct patch_target *target;

        (void)state;
        compile_patch("#include <stdio.h>\n#include <stdlib.h>\n"
                      "__attribute__((cold, noinline)) static void note(int x) {\n"
                      "        __asm__ volatile(\"\" : : \"r\"(x)); }\n"
                      "int f(int x) { if (x > 5) { note(x); note(x + 1);\n"
                      "        puts(FIXED ? \"too large\" : \"large\"); note(x + 2); return -1; }\n"
                      "        return x * 7; }\n"
                      "int g(int x) { return x; }\n", &library, &compiled);
        assert_changed(&compiled, "f");
        target = &compiled.patch->targets[0];
        assert_int_equal(target->functions[0].n_cold, 1);
        assert_true(target->functions[0].cold[0].size > 0);
        assert_true(patch_contains(&compiled, "too large", 9));
}

static void calls_between_changed_functions(void **state)
{
        static const char source[] =
                NOINLINE "static int inner(int x) { __asm__(\"\"); return x * 2 + FIXED; }\n"
                "int outer(int x) { return inner(x) + FIXED * 5; }\n"
                "int (*pointer(int x))(int) { return x > 2 + FIXED ? inner : 0; }\n"
                "int main(int c, char **v) { (void)v; pointer(c); return outer(c) + FIXED; }\n"
                "int last(int x) { return x; }\n";
        _cleanup_compiled_ struct compiled compiled;
        uint64_t address = 0;

        (void)state;
        compile_patch(source, &pie, &compiled);
        /* main contains both */
        assert_changed(&compiled, "inner outer pointer main");
        compiled_done(&compiled);
        compile_patch(source, &library, &compiled);
        assert_changed(&compiled, "inner outer pointer main");
        /* the address that is taken is that of the original */
        for (size_t i = 0; i < 4; i++)
                if (strcmp(compiled.patch->targets[0].functions[i].name, "inner") == 0)
                        address = compiled.patch->targets[0].functions[i].range.address;
        assert_int_equal(assert_symbol(&compiled, "inner", PATCH_SYMBOL_LOCAL)->address, address);
}

static void program_symbols(void **state)
{
        static const char source[] =
                "#include <stdio.h>\n#include <stdlib.h>\n#include <errno.h>\n"
                "extern int other(int); extern int shared;\n"
                NOINLINE "int report(int x) { fprintf(stderr, \"%d %s\\n\", x, getenv(\"HOME\"));\n"
                "        errno = 0; return other(x) + shared + FIXED; }\n"
                "int main(int c, char **v) { (void)v; return report(c); }\n";
        static const struct compiled_options *const all[] = { &pie, &static_place };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                _cleanup_compiled_ struct compiled compiled;
                struct compiled_options options = *all[i];

                options.rest = "int shared = 4; int other(int x) { return x * x; }";
                compile_patch(source, &options, &compiled);
                assert_changed(&compiled, "report");
                assert_symbol(&compiled, "other", PATCH_SYMBOL_LOCAL);
                assert_symbol(&compiled, "shared", PATCH_SYMBOL_LOCAL);
                assert_symbol(&compiled, "getenv", PATCH_SYMBOL_SLOT);
                assert_symbol(&compiled, "stderr", PATCH_SYMBOL_LOCAL); /* the copy */
        }
}

static void library_data_by_slot(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        options.rest = "int exported = 4; __attribute__((visibility(\"hidden\"))) int hidden = 5;\n"
                       "__attribute__((visibility(\"hidden\"))) int helper(int x) { return x; }";
        compile_patch("extern int exported; extern int environ;\n"
                      "extern __attribute__((visibility(\"hidden\"))) int hidden;\n"
                      "extern __attribute__((visibility(\"hidden\"))) int helper(int);\n"
                      "int f(void) { return helper(exported + hidden) + FIXED; }\n", &options,
                      &compiled);
        assert_changed(&compiled, "f");
        assert_symbol(&compiled, "exported", PATCH_SYMBOL_SLOT);
        assert_symbol(&compiled, "hidden", PATCH_SYMBOL_LOCAL);
        assert_symbol(&compiled, "helper", PATCH_SYMBOL_LOCAL);
}

/* What counts is the name that the code uses, not the first one of what it stands for. */
static void aliases(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("__attribute__((noipa)) int exported(int x) { return x * 5; }\n"
                      "extern __typeof__(exported) internal\n"
                      "        __attribute__((alias(\"exported\"), visibility(\"hidden\")));\n"
                      "int f(int x) { return internal(x) + FIXED; }\n"
                      "int g(int x) { return exported(x) + 1; }\n", &library, &compiled);
        assert_changed(&compiled, "f");
        assert_int_equal(compiled.patch->targets[0].n_symbols, 1);
        assert_int_equal(compiled.patch->targets[0].symbols[0].kind, PATCH_SYMBOL_LOCAL);
}

static void interposable_function(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("int exported(int x) { return x * 2 + FIXED; }\n"
                      "int f(int x) { return exported(x) + FIXED; }\n", &library, &compiled);
        assert_changed(&compiled, "exported f");
        assert_symbol(&compiled, "exported", PATCH_SYMBOL_SLOT);
}

static void changed_static_constant(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("static const short limits[] = { 10, 20, 30, FIXED ? 16 : 40, 50, 60, 70 };\n"
                      "static const char *const names[] = { \"a\", FIXED ? \"bnew\" : \"bold\" };\n"
                      "int limit(int i) { return limits[i]; }\n"
                      "const char *name(int i) { return names[i]; }\n"
                      "int other(int i) { return i; }\n", &library, &compiled);
        assert_changed(&compiled, "limit name");
        assert_true(patch_contains(&compiled, "\36\0\20\0", 4));
        assert_true(patch_contains(&compiled, "bnew", 5));
        assert_int_equal(compiled.patch->targets[0].n_symbols, 0);
}

/* The initial value of a local array lies in .data, without a symbol. */
static void local_array_of_pointers(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("void take(const char **);\n"
                      "void other(void) { const char *help[] = { \"e\", \"f\", \"g\", \"h\", \"i\", \"j\",\n"
                      "        \"e\", \"f\", \"g\", \"h\", \"i\", \"j\", \"e\", \"f\", \"g\", \"h\", 0 };\n"
                      "        take(help); }\n"
                      "void changed(void) { const char *help[] = { \"a\", FIXED ? \"new\" : \"old\",\n"
                      "        \"b\", \"c\", \"a\", \"b\", \"c\", \"a\", \"b\", \"c\", \"a\", \"b\", \"c\", \"a\",\n"
                      "        \"b\", \"c\", \"a\", \"b\", \"c\", 0 }; take(help); }\n"
                      "__attribute__((noipa)) void take(const char **p) {\n"
                      "        __asm__ volatile(\"\" : : \"r\"(p) : \"memory\"); }\n",
                      &pie_with_main, &compiled);
        assert_changed(&compiled, "changed");
        assert_true(patch_contains(&compiled, "new", 4));
        assert_true(compiled.report.n_data > 1);
}

static void unchanged_static_constant(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("struct ops { const char *name; int (*call)(int); };\n"
                      "static int twice(int x) { return x * 2; }\n"
                      "static const struct ops ops = { \"ops\", twice };\n"
                      "const struct ops *get(int x) { return x > FIXED ? &ops : 0; }\n",
                      &library, &compiled);
        assert_changed(&compiled, "get");
        assert_symbol(&compiled, "ops", PATCH_SYMBOL_LOCAL);
}

static void thread_local_variables(void **state)
{
        static const char source[] =
                "static __thread int mine = 3; __thread int also;\n"
                "int f(int x) { mine += x; also++; return mine + FIXED; }\n"
                "int g(void) { return mine + also; }\n"
                "int main(int c, char **v) { (void)v; return g() + c; }\n";
        static const struct compiled_options *const all[] = { &library, &pie, &static_place };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                _cleanup_compiled_ struct compiled compiled;

                compile_patch(source, all[i], &compiled);
                assert_changed(&compiled, "f");
                if (all[i] != &library) /* offsets from the thread pointer, known at once */
                        assert_int_equal(compiled.patch->targets[0].n_symbols, 0);
        }
}

static void shadow_variables_and_hooks(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;
        const struct patch_target *target;

        (void)state;
        options.flags = "-I" SOURCE_ROOT "/include";
        compile_patch("struct conn { int a; };\n"
                      "#if FIXED\n"
                      "#include <suture/patch.h>\n"
                      "static int before(void) { return 0; }\n"
                      "static int undo(void) { suture_shadow_forget_all(); return 0; }\n"
                      "SUTURE_PRE(before)\nSUTURE_UNDO(undo)\nSUTURE_ENTRY(loop)\n"
                      "#endif\n"
                      "int take(struct conn *conn) {\n"
                      "#if FIXED\n"
                      "        int *n = suture_shadow_get_or_alloc(conn, 1, sizeof(*n));\n"
                      "        if (n && ++*n > 3) return -1;\n"
                      "#endif\n"
                      "        return conn->a; }\n"
                      "void loop(struct conn *conn) { for (;;) if (take(conn) > 5 + FIXED) return; }\n",
                      &options, &compiled);
        assert_changed(&compiled, "take loop");
        target = &compiled.patch->targets[0];
        assert_symbol(&compiled, "suture_shadow_root", PATCH_SYMBOL_RUNTIME);
        assert_symbol(&compiled, "calloc", PATCH_SYMBOL_IMPORT);
        assert_string_equal(target->hook_pre_name, "before");
        assert_null(target->hook_post_name);
        assert_string_equal(target->hook_undo_name, "undo");
        for (size_t i = 0; i < target->n_functions; i++)
                assert_int_equal(target->functions[i].consistency,
                                 strcmp(target->functions[i].name, "loop") == 0 ? PATCH_ENTRY
                                                                                : PATCH_STRICT);
        for (size_t i = 0; i < target->n_sections; i++) {
                struct elf_section section;

                assert_true(elf_view_section(&compiled.patch->view, target->sections[i], &section));
                assert_null(strstr(section.name, ".suture"));
        }
}

static void digest_is_that_of_the_shipped_bytes(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        _cleanup_buffer_ struct buffer shipped = { 0 };
        const struct patch_function *function;
        struct elf_view view;
        struct sha256 digest;
        char path[96];

        (void)state;
        compile_patch("int f(int x) { return x * 1234567 + FIXED; }\n", &library, &compiled);
        assert_changed(&compiled, "f");
        function = &compiled.patch->targets[0].functions[0];
        snprintf(path, sizeof(path), "%s/shipped", compiled.directory);
        assert_int_equal(file_read(path, 1 << 24, &shipped, NULL), 0);
        assert_int_equal(elf_view_open(shipped.data, shipped.size, path, &view, NULL), 0);
        digest = sha256_of(elf_view_at_address(&view, function->range.address, function->range.size),
                           function->range.size);
        assert_true(sha256_equal(&digest, &function->digest));
}

/* Of the changed function and its cold part, not of what stays; ended by zeros, with its table. */
static void unwind_information_comes_along(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;
        struct elf_section section, frames = { 0 };
        size_t n_entries = 0, n_tables = 0;
        struct frame frame;
        uint64_t at = 0;

        (void)state;
        options.flags = "-fexceptions";
        compile_patch("extern void take(int), give(int *); static void done(int *x) { give(x); }\n"
                      "int f(int x) { __attribute__((cleanup(done))) int y = x; take(y);\n"
                      "        return y + FIXED; }\n"
                      "int g(int x) { take(x); return x; }\n"
                      "void take(int x) { __asm__(\"\" : : \"r\"(x)); }\n"
                      "void give(int *x) { __asm__(\"\" : : \"r\"(x)); }\n", &options, &compiled);
        assert_changed(&compiled, "f");
        for (size_t i = 0; i < compiled.patch->targets[0].n_sections; i++) {
                assert_true(elf_view_section(&compiled.patch->view,
                                             compiled.patch->targets[0].sections[i], &section));
                if (strcmp(section.name, ".eh_frame") == 0)
                        frames = section;
                n_tables += strncmp(section.name, ".gcc_except_table", 17) == 0;
        }
        assert_non_null(frames.data);
        assert_int_not_equal(n_tables, 0);
        while (frames_next(frames.data, frames.size, &at, &frame) == 0)
                n_entries += !frame.is_common;
        assert_int_equal(at, frames.size);
        assert_memory_equal(frames.data + frames.size - 4, "\0\0\0", 4);
        assert_int_equal(n_entries, n_tables);
        /* nothing of it is an address that could be stored */
        assert_false(compiled.patch->targets[0].pinned);
        assert_true(has_symbol(&compiled, "DW.ref.__gcc_personality_v0"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(only_the_changed_body),
                cmocka_unit_test(changed_string),
                cmocka_unit_test(moved_strings),
                cmocka_unit_test(constant_within_another),
                cmocka_unit_test(line_numbers),
                cmocka_unit_test(static_local),
                cmocka_unit_test(jump_table),
                cmocka_unit_test(new_function_and_data),
                cmocka_unit_test(changed_where_it_was_inlined),
                cmocka_unit_test(clones),
                cmocka_unit_test(renumbered_clones),
                cmocka_unit_test(cold_parts),
                cmocka_unit_test(calls_between_changed_functions),
                cmocka_unit_test(program_symbols),
                cmocka_unit_test(library_data_by_slot),
                cmocka_unit_test(aliases),
                cmocka_unit_test(interposable_function),
                cmocka_unit_test(changed_static_constant),
                cmocka_unit_test(local_array_of_pointers),
                cmocka_unit_test(unchanged_static_constant),
                cmocka_unit_test(thread_local_variables),
                cmocka_unit_test(shadow_variables_and_hooks),
                cmocka_unit_test(digest_is_that_of_the_shipped_bytes),
                cmocka_unit_test(unwind_information_comes_along),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
