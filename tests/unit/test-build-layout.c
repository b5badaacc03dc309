/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changed structures and signatures: what is refused, what is suggested, what does not matter. */
#include <stdio.h>
#include "compiled.h"
#include "unit.h"

#define _cleanup_compiled_ _cleanup_(compiled_done)
#define HIDDEN "__attribute__((visibility(\"hidden\"))) "
#define NOINLINE "__attribute__((noinline)) "

static const struct compiled_options library = { .link = COMPILED_LIBRARY };
static const struct compiled_options pie = {
        .link = COMPILED_PIE, .rest = "int main(void) { return 0; }",
};

static const struct build_finding *finding(const struct compiled *compiled, const char *code)
{
        for (size_t i = 0; i < compiled->report.n_findings; i++)
                if (strcmp(compiled->report.findings[i].code, code) == 0)
                        return &compiled->report.findings[i];
        fail_msg("no finding %s", code);
        return NULL;
}

static void assert_says(const struct compiled *compiled, const char *code, const char *text)
{
        const struct build_finding *found = finding(compiled, code);

        if (!strstr(found->text, text))
                fail_msg("\"%s\" is not in: %s", text, found->text);
}

static void suggests_a_shadow_variable(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("#include <stdlib.h>\n"
                      "struct conn { char name[40]; long size;\n"
                      "#if FIXED\n"
                      "unsigned int retries;\n"
                      "#endif\n"
                      "};\n"
                      "struct conn *conn_new(void) { return calloc(1, sizeof(struct conn)); }\n"
                      "int conn_try(struct conn *conn) {\n"
                      "#if FIXED\n"
                      "        if (++conn->retries > 3) return -1;\n"
                      "#endif\n"
                      "        return conn->size > 5; }\n"
                      "long conn_size(struct conn *conn) { return conn->size; }\n", &library,
                      &compiled);
        assert_refused(&compiled, "SB101", "struct conn");
        assert_says(&compiled, "SB101", "member retries is new");
        assert_says(&compiled, "SB101", "it grows by: retries");
        assert_says(&compiled, "SB101", "unsigned int *retries = suture_shadow_get_or_alloc(object");
        assert_says(&compiled, "SB101", "conn_try may use it");
        assert_says(&compiled, "SB101", "made in conn_new");
}

static void member_between_others(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("struct conn { int a;\n"
                      "#if FIXED\n"
                      "const char *why;\n"
                      "#endif\n"
                      "long size; };\n"
                      "long conn_size(struct conn *conn) { return conn->size + FIXED; }\n",
                      &library, &compiled);
        assert_refused(&compiled, "SB101", "struct conn");
        assert_says(&compiled, "SB101", "leave the old members as they are; new: why");
        assert_says(&compiled, "SB101", "char **why = ");
}

/* What reads the same bits in the same way, under whatever name. */
static void harmless_changes(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("enum color { RED, GREEN\n"
                      "#if FIXED\n"
                      ", BLUE\n"
                      "#endif\n"
                      "};\n"
                      "struct later; struct s;\n"
                      "#if FIXED\n"
                      "struct later { int x; };\ntypedef unsigned int count_t;\n"
                      "struct s { count_t number; const char *text; enum color paint; struct later *l;\n"
                      "        void *any; unsigned long long big; };\n"
                      "#else\n"
                      "struct s { int n; char *text; enum color color; struct later *l;\n"
                      "        struct s *any; long big; };\n"
                      "#endif\n"
                      "int f(const struct s *s) { return s->text[0] + (s->l != 0) + FIXED * BIG; }\n",
                      &(struct compiled_options){ .link = COMPILED_LIBRARY,
                                                  .flags = "-DBIG=7" }, &compiled);
        assert_changed(&compiled, "f");
}

/* The old objects hold pointers to another thing than the new code expects. */
static void pointer_to_another_structure(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("struct a { int x; }; struct b { int y, z; };\n"
                      "#if FIXED\n"
                      "struct s { struct b *p; };\n"
                      "#else\n"
                      "struct s { struct a *p; };\n"
                      "#endif\n"
                      "int f(const struct s *s) { return *(int *)s->p + FIXED; }\n", &library,
                      &compiled);
        assert_refused(&compiled, "SB101", "struct s");
}

static void untouched_structure(void **state)
{
        static const char source[] =
                "struct big { char old[4000]; int last;\n"
                "#if FIXED\n"
                "int more[20];\n"
                "#endif\n"
                "};\n"
                "#ifdef HELD\n"
                "struct holder { struct big *big; }; int h(struct holder *h) { return !h->big; }\n"
                "#endif\n"
                "int use(struct big *big) { return big->old[3]; }\n"
                "int f(int x) { return x * 1234567 + FIXED; }\n";
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch(source, &library, &compiled);
        assert_changed(&compiled, "f");
        compiled_done(&compiled);
        compile_patch(source, &(struct compiled_options){ .link = COMPILED_LIBRARY,
                                                          .flags = "-DHELD" }, &compiled);
        assert_refused(&compiled, "SB101", "struct big");
}

static void variable_of_another_type(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("#if FIXED\n"
                      "static struct { short a, b; } state = { 1, 0 };\n"
                      "#else\n"
                      "static struct { int a; } state = { 1 };\n"
                      "#endif\n"
                      "int f(int x) { state.a += x; return state.a + FIXED; }\n", &library,
                      &compiled);
        assert_refused(&compiled, "SB112", "state");
}

static void signatures(void **state)
{
        static const char *const alike[][2] = {
                { "int f(char *text)", "int f(const char *text)" },
                { "int f(int n)", "unsigned f(unsigned n)" },
                { "int f(enum e n)", "int f(int n)" },
                { "long f(void *p)", "long long f(struct s *p)" },
        };
        static const char *const different[][2] = {
                { "int f(int n)", "int f(int n, int m)" },
                { "int f(int n)", "int f(long n)" },
                { "int f(struct s *p)", "int f(struct t *p)" },
                { "int f(int *p)", "int f(long *p)" },
                { "void f(int n)", "int f(int n)" },
                { "int f(signed char n)", "int f(unsigned char n)" },
                { "int f(int n)", "int f(int n, ...)" },
        };
        char source[512];

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(alike) + ARRAY_SIZE(different); i++) {
                _cleanup_compiled_ struct compiled compiled;
                const char *const *pair = i < ARRAY_SIZE(alike)
                                                  ? alike[i]
                                                  : different[i - ARRAY_SIZE(alike)];

                snprintf(source, sizeof(source),
                         "struct s { int a; }; struct t { int b; }; enum e { A };\n"
                         "int g(struct s *s, struct t *t) { return s->a + t->b; } enum e en;\n"
                         "#if FIXED\n%s\n#else\n%s\n#endif\n"
                         "{ __asm__ volatile(\"nop; nop; nop; nop\" : : \"r\"(FIXED) : \"memory\");\n"
                         "return %s; }\n", pair[1], pair[0],
                         strncmp(pair[1], "void", 4) == 0 ? "" : i == 8 ? "\n#if FIXED\n1\n#endif\n"
                                                                        : "FIXED");
                compile_patch(source, &library, &compiled);
                if (i < ARRAY_SIZE(alike))
                        assert_changed(&compiled, "f");
                else
                        assert_refused(&compiled, "SB103", "f");
        }
}

/* Callers that were not compiled with the new signature would call it with the old one. */
static void internal_signature(void **state)
{
        static const char source[] =
                "#if FIXED\n"
                "__attribute__((noipa)) int f(int n, int m) { return n + m; }\n"
                "#else\n"
                "__attribute__((noipa)) int f(int n) { return n; }\n"
                "#endif\n"
                "#if FIXED\n"
                "int g(int x) { return f(x, 3) * 5; }\n"
                "#else\n"
                "int g(int x) { return f(x) * 5; }\n"
                "#endif\n";
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = pie;

        (void)state;
        compile_patch(source, &options, &compiled);
        assert_changed(&compiled, "f g");
        compiled_done(&compiled);
        options.rest = "int f(int); __attribute__((noipa)) int other(int x) { return f(x) + 1; }\n"
                       "int main(int c, char **v) { (void)v; return other(c); }";
        compile_patch(source, &options, &compiled);
        assert_refused(&compiled, "SB103", "other");
}

/* A table that only code of its unit reads comes along; one that others read can't change. */
static void global_constants(void **state)
{
        static const char source[] =
                HIDDEN "extern const short limits[4];\n"
                "const short limits[4] = { 10, 20, FIXED ? 16 : 40, 50 };\n"
                "int limit(int i) { return limits[i & 3] * 3; }\n";
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        compile_patch(source, &options, &compiled);
        assert_changed(&compiled, "limit");
        assert_true(patch_contains(&compiled, "\24\0\20\0", 4));
        compiled_done(&compiled);
        options.rest = HIDDEN "extern const short limits[4]; int other(int i) { return limits[i & 3]; }\n";
        compile_patch(source, &options, &compiled);
        assert_refused(&compiled, "SB113", "limits");
        assert_says(&compiled, "SB113", "other uses it");
        compiled_done(&compiled);
        options.rest = HIDDEN "extern const short limits[4]; const short *pointer = limits;\n";
        compile_patch(source, &options, &compiled);
        assert_refused(&compiled, "SB113", "limits");
        compiled_done(&compiled);
        options.rest = NULL;
        compile_patch(source + strlen(HIDDEN "extern const short limits[4];\n"), &options, &compiled);
        assert_refused(&compiled, "SB113", "other modules");
}

/* What an object is, by the address of its table; but a list that is searched is no such thing. */
static void tables_of_functions(void **state)
{
        static const char source[] =
                "struct ops { const char *name; int (*call)(int); };\n"
                NOINLINE "static int one(int x) { return x * 77777; }\n"
                NOINLINE "static int two(int x) { return x + 77777; }\n"
                "static const struct ops ops BRACKETS = BEGIN { \"a\", FIXED ? two : one } END;\n"
                "const struct ops *get(int x) { return x > 7 ? ADDRESS ops : 0; }\n"
                "int both(int x) { return one(x) + two(x); }\n";
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        options.flags = "-DBRACKETS= -DBEGIN= -DEND= '-DADDRESS=&'";
        compile_patch(source, &options, &compiled);
        assert_refused(&compiled, "SB113", "ops");
        compiled_done(&compiled);
        options.flags = "'-DBRACKETS=[]' '-DBEGIN={' '-DEND=}' -DADDRESS=";
        compile_patch(source, &options, &compiled);
        assert_changed(&compiled, "get");
        assert_warned(&compiled, "SB113", "ops");
}

static void initialiser_is_suggested_as_hook(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch("static int limit = FIXED ? 4096 : 65536;\n"
                      "int take(int x) { return x > limit ? limit++ : x; }\n", &library, &compiled);
        assert_refused(&compiled, "SB112", "limit");
        assert_says(&compiled, "SB112", "from 65536 to 4096");
        assert_says(&compiled, "SB112", "limit = 4096; return 0; } SUTURE_PRE(set)");
}

static void new_names(void **state)
{
        static const char source[] =
                "#if FIXED\n"
                "int count = 5; " HIDDEN "int inner = 4;\n"
                NOINLINE "int helper(int x) { __asm__(\"\"); return x + count + inner; }\n"
                "#else\n"
                "int helper(int);\n"
                "#endif\n"
                "int take(int x) { return FIXED ? helper(x) : x * 77777; }\n";
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_patch(source, &library, &compiled);
        assert_changed(&compiled, "take");
        assert_new(&compiled, "helper");
        assert_warned(&compiled, "SB131", "helper");
        assert_warned(&compiled, "SB131", "count");
        for (size_t i = 0; i < compiled.report.n_findings; i++)
                assert_null(strstr(compiled.report.findings[i].text, "inner"));
}

static void code_written_by_hand(void **state)
{
        static const char source[] = "struct s { int a, b; }; int f(struct s *s) { return s->b; }\n"
                                     "int g(int x) { return x; }\n";
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        options.rest = "struct s { int a, b; }; int h(struct s *s) { return s->a; }\n";
        options.hand = "struct s { int a, b; }; int f(struct s *s) { return s->b * 2; }\n";
        compile_patch(source, &options, &compiled);
        assert_changed(&compiled, "f");
        compiled_done(&compiled);
        options.hand = "struct s { int a; long b; }; int f(struct s *s) { return s->b * 2; }\n";
        compile_patch(source, &options, &compiled);
        assert_refused(&compiled, "SB101", "struct s");
        compiled_done(&compiled);
        options.hand = "int g(int x, int y) { return x + y; }\n";
        compile_patch(source, &options, &compiled);
        assert_refused(&compiled, "SB103", "g");
}

static void virtual_functions(void **state)
{
        static const char source[] =
                "namespace net {\n"
                "class Conn { public: Conn(); virtual ~Conn(); virtual int size() { return n; }\n"
                "#if FIXED == MORE\n"
                "virtual int extra(); \n"
                "#endif\n"
                "virtual int last(); int n; };\n"
                "Conn::Conn() : n(3) {} Conn::~Conn() {} int Conn::last() { return n * 5 + FIXED; }\n"
                "#if FIXED == MORE\n"
                "int Conn::extra() { return 1; }\n"
                "#endif\n"
                "}\n";
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = { .link = COMPILED_LIBRARY, .compiler = "g++",
                                            .flags = "-DMORE=2" };

        (void)state;
        compile_patch(source, &options, &compiled);
        assert_changed(&compiled, "_ZN3net4Conn4lastEv");
        compiled_done(&compiled);
        options.flags = "-DMORE=1";
        compile_patch(source, &options, &compiled);
        assert_refused(&compiled, "SB101", "net::Conn");
        assert_says(&compiled, "SB101", "virtual function extra is new");
        compiled_done(&compiled);
        options.flags = "-DMORE=2 -DSTATE";
        compile_patch("namespace net { int limit = FIXED; int take(int x) { return limit++ + x; } }\n",
                      &options, &compiled);
        assert_refused(&compiled, "SB112", "net::limit");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(suggests_a_shadow_variable),
                cmocka_unit_test(member_between_others),
                cmocka_unit_test(harmless_changes),
                cmocka_unit_test(pointer_to_another_structure),
                cmocka_unit_test(untouched_structure),
                cmocka_unit_test(variable_of_another_type),
                cmocka_unit_test(signatures),
                cmocka_unit_test(internal_signature),
                cmocka_unit_test(global_constants),
                cmocka_unit_test(tables_of_functions),
                cmocka_unit_test(initialiser_is_suggested_as_hook),
                cmocka_unit_test(new_names),
                cmocka_unit_test(code_written_by_hand),
                cmocka_unit_test(virtual_functions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
