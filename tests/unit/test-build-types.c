/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Structures whose bytes look the same to a linker, but mean another thing to a process. */
#include <stdio.h>
#include "compiled.h"
#include "unit.h"

#define _cleanup_compiled_ _cleanup_(compiled_done)

static const struct compiled_options library = { .link = COMPILED_LIBRARY };
static const struct compiled_options cplusplus = { .link = COMPILED_LIBRARY, .compiler = "g++" };

/* `f` uses a `struct s`, and something in its declaration changes from one text to the other. */
static void compile_change(const char *original, const char *fixed, const char *use,
                           const struct compiled_options *options, struct compiled *ret)
{
        char source[2048];

        snprintf(source, sizeof(source),
                 "#if FIXED\n%s\n#else\n%s\n#endif\n"
                 "long f(struct s *s) { return (%s) * 1234567L + FIXED * 7; }\n", fixed, original, use);
        compile_patch(source, options, ret);
}

static void assert_layout_refused(const char *original, const char *fixed, const char *use)
{
        _cleanup_compiled_ struct compiled compiled;

        compile_change(original, fixed, use, &library, &compiled);
        assert_refused(&compiled, "SB101", "struct s");
}

static void members_change_places(void **state)
{
        (void)state;
        assert_layout_refused("struct s { int a, b; };", "struct s { int b, a; };", "s->a");
        assert_layout_refused("struct s { unsigned a : 3, b : 3, c : 4; };",
                              "struct s { unsigned b : 3, a : 3, c : 4; };", "s->a + s->b");
        assert_layout_refused("struct s { struct { int a, b; } in; };",
                              "struct s { struct { int b, a; } in; };", "s->in.a");
}

/* Nobody has set it in an old object. */
static void padding_comes_into_use(void **state)
{
        (void)state;
        assert_layout_refused("struct s { int a, reserved; };", "struct s { int a, limit; };",
                              "s->a");
        assert_layout_refused("struct s { int a; char _pad[4]; };",
                              "struct s { int a; char tag[4]; };", "s->a");
}

static void members_in_detail(void **state)
{
        static const char *const changes[][3] = {
                { "struct s { int (*call)(int, long); };", "struct s { int (*call)(long, int); };",
                  "s->call(1, 2)" },
                { "struct a { int x; }; struct b { int x; }; struct s { struct a *list[4]; };",
                  "struct a { int x; }; struct b { int x; }; struct s { struct b *list[4]; };",
                  "s->list[1]->x" },
                { "struct s { struct { int a; char c[4]; } *in; };",
                  "struct s { struct { char c[4]; int a; } *in; };", "s->in->a" },
                { "struct a { int x; }; struct b { int x; }; struct s { struct { struct a *p; } in; };",
                  "struct a { int x; }; struct b { int x; }; struct s { struct { struct b *p; } in; };",
                  "s->in.p->x" },
                { "struct s { union { int a; char b[4]; } u; };",
                  "struct s { union { int a; char b[4]; float f; } u; };", "s->u.a" },
                { "struct s { int a : 4; int b : 4; };", "struct s { int a : 5; int b : 3; };",
                  "s->b" },
                { "struct s { int n; int list[6]; };", "struct s { int n; int list[5]; };", "s->n" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
                assert_layout_refused(changes[i][0], changes[i][1], changes[i][2]);
}

static void nested_classes(void **state)
{
        static const char *const changes[][2] = {
                { "struct s { struct inner { int a, b; }; inner *in; };",
                  "struct s { struct inner { int a; long b; }; inner *in; };" },
                { "namespace x { namespace y { struct inner { int a, b; }; } struct inner { int c; }; }"
                  "namespace z { namespace y { struct inner { int d[3]; }; } }"
                  "struct s { x::y::inner *in; z::y::inner *other; };",
                  "namespace x { namespace y { struct inner { int a; long b; }; } struct inner { int c; }; }"
                  "namespace z { namespace y { struct inner { int d[3]; }; } }"
                  "struct s { x::y::inner *in; z::y::inner *other; };" },
                { "struct base { int x; }; struct s : base { struct inner { int a, b; }; inner *in; };",
                  "struct base { int x; long y; }; struct s : base { struct inner { int a, b; }; inner *in; };" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
                _cleanup_compiled_ struct compiled compiled;

                compile_change(changes[i][0], changes[i][1], "s->in->b", &cplusplus, &compiled);
                assert_refused(&compiled, "SB101", "layout");
        }
}

/* An old object holds 1, which was `CLOSED` and would be `PAUSED`. */
static void enumerators_in_the_middle(void **state)
{
        _cleanup_compiled_ struct compiled compiled;

        (void)state;
        compile_change("enum e { OPEN, CLOSED, N_STATES }; struct s { enum e e; };",
                       "enum e { OPEN, PAUSED, CLOSED, N_STATES }; struct s { enum e e; };",
                       "s->e == CLOSED", &library, &compiled);
        assert_refused(&compiled, "SB133", "CLOSED");
        compiled_done(&compiled);
        compile_change("enum e { OPEN, CLOSED, N_STATES, LAST = CLOSED }; struct s { enum e e; };",
                       "enum e { OPEN, CLOSED, PAUSED, N_STATES, LAST = PAUSED }; struct s { enum e e; };",
                       "s->e == CLOSED", &library, &compiled);
        assert_changed(&compiled, "f");
}

/* Those are in units that can't be read before they are linked. */
static void debugging_information_of_types_apart(void **state)
{
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        options.flags = "-fdebug-types-section";
        compile_change("struct s { int a, b; };", "struct s { int a, b, c; };", "s->b", &options,
                       &compiled);
        assert_warned(&compiled, "SB125", "");
}

/* A clone of a function knows the structure as its function does. */
static void clones_know_structures(void **state)
{
        static const char source[] =
                "struct s { long a[600];\n"
                "#if FIXED\n"
                "long b;\n"
                "#endif\n"
                "};\n"
                "extern void use(void *); extern int cold(void);\n"
                "__attribute__((noinline)) static int g(int x, struct s *s, int mode) {\n"
                "        if (mode == 3) return x;\n"
                "        use(s + x + FIXED); return cold() * 77; }\n"
                "int f(int x, void *p) { return g(x, p, 4) + g(x + 1, p, 4); }\n";
        _cleanup_compiled_ struct compiled compiled;
        struct compiled_options options = library;

        (void)state;
        options.link_flags = "-Wl,-z,lazy";
        options.flags = "-Wno-all";
        compile_patch(source, &options, &compiled);
        assert_refused(&compiled, "SB101", "struct s");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(members_change_places),
                cmocka_unit_test(padding_comes_into_use),
                cmocka_unit_test(members_in_detail),
                cmocka_unit_test(nested_classes),
                cmocka_unit_test(enumerators_in_the_middle),
                cmocka_unit_test(debugging_information_of_types_apart),
                cmocka_unit_test(clones_know_structures),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
