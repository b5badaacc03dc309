/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What code of all kinds refers to, with gcc and with clang. */
#include <stdio.h>
#include "compiled.h"
#include "unit.h"

#define _cleanup_compiled_ _cleanup_(compiled_done)
#define NOINLINE "__attribute__((noinline)) "
#define NOIPA "__attribute__((noinline)) " /* clang has no noipa */

static const char *const both[] = { "gcc", "clang", NULL };
static const char *const gcc_only[] = { "gcc", NULL };

struct reference_case {
        const char *about;
        const char *changed;     /* exactly these */
        const char *added;       /* and these are new */
        const char *source;
        const char *flags;
        enum compiled_link link;
        const char *const *compilers;
        const char *rest;
};

#define MAIN "int main(int c, char **v) { (void)v; return c; }\n"
#define THREAD_SOURCE                                                                         \
        "static __thread int mine = 3; __thread int also; extern __thread int theirs;\n"      \
        "int f(int x) { mine += x; also++; theirs += 2; return mine + FIXED; }\n"             \
        "int g(void) { return mine + also + theirs; }\n"

static const struct reference_case cases[] = {
        { "thread-local, general dynamic", "f", "", THREAD_SOURCE, "-ftls-model=global-dynamic",
          COMPILED_LIBRARY, both, "__thread int theirs;" },
        { "thread-local, local dynamic", "f", "",
          "static __thread int a = 3; static __thread long b;\n"
          "int f(int x) { a += x; b += a; return a + FIXED; } long g(void) { return a + b; }\n",
          "-ftls-model=local-dynamic", COMPILED_LIBRARY, both, NULL },
        { "thread-local, initial executable", "f", "", THREAD_SOURCE,
          "-ftls-model=initial-exec", COMPILED_LIBRARY, both, "__thread int theirs;" },
        { "thread-local, descriptors", "f", "", THREAD_SOURCE, "-mtls-dialect=gnu2",
          COMPILED_LIBRARY, gcc_only, "__thread int theirs;" },
        { "thread-local, program", "f", "", THREAD_SOURCE MAIN, "", COMPILED_PIE, both,
          "__thread int theirs;" },
        { "thread-local, program of library code", "f", "", THREAD_SOURCE MAIN,
          "-fPIC -ftls-model=global-dynamic", COMPILED_PIE, both, "__thread int theirs;" },
        { "without PLT", "f", "",
          "#include <stdlib.h>\nint own(int x); extern int far(int);\n"
          "int f(int x) { return own(x) + far(x) + atoi(\"12\") + FIXED; }\n"
          NOIPA "int own(int x) { __asm__(\"\"); return x * 77777; }\n",
          "-fno-plt", COMPILED_LIBRARY, both, "int far(int x) { return x + 77777; }" },
        { "without PLT, program", "f", "",
          "#include <stdlib.h>\nint own(int x); extern int far(int);\n"
          "int f(int x) { return own(x) + far(x) + atoi(\"12\") + FIXED; }\n"
          NOIPA "int own(int x) { __asm__(\"\"); return x * 77777; }\n" MAIN,
          "-fno-plt", COMPILED_PIE, both, "int far(int x) { return x + 77777; }" },
        { "indirect function, global", "f", "",
          "static int one(int x) { return x * 77777; } static int two(int x) { return x - 77777; }\n"
          "void *choose(void) { return one == two ? one : two; }\n"
          "int copy(int) __attribute__((ifunc(\"choose\")));\n"
          "int f(int x) { return copy(x) + FIXED; } int g(int x) { return copy(x) * 3; }\n", "",
          COMPILED_LIBRARY, gcc_only, NULL },
        { "indirect function, static", "f", "",
          "static int one(int x) { return x * 77777; } static int two(int x) { return x - 77777; }\n"
          "static void *choose(void) { return one == two ? one : two; }\n"
          "static int copy(int) __attribute__((ifunc(\"choose\")));\n"
          "int f(int x) { return copy(x) + FIXED; } int g(int x) { return copy(x) * 3; }\n", "",
          COMPILED_LIBRARY, gcc_only, NULL },
        { "weak function", "f", "",
          "__attribute__((weak)) int own(int x) { __asm__(\"\"); return x * 77777; }\n"
          "__attribute__((weak)) int other(int x);\n"
          "int f(int x) { return own(x) + (other ? other(x) : 0) + FIXED; }\n", "",
          COMPILED_LIBRARY, both, NULL },
        { "computed goto", "f", "",
          "int f(const char *p) { static const void *const labels[] = { &&a, &&b, &&end };\n"
          "int n = 0; goto *labels[*p++ & 1];\n"
          "a: n += 77777; goto *labels[*p++ & 3];\n"
          "b: n = n * 3 + FIXED; goto *labels[*p++ & 3];\n"
          "end: return n; }\n", "", COMPILED_LIBRARY, both, NULL },
        { "computed goto, offsets", "f", "",
          "int f(const char *p) { static const int labels[] = { 0, &&b - &&a, &&end - &&a };\n"
          "int n = 0; goto *(&&a + labels[*p++ & 1]);\n"
          "a: n += 77777; goto *(&&a + labels[*p++ & 3]);\n"
          "b: n = n * 3 + FIXED; goto *(&&a + labels[*p++ & 3]);\n"
          "end: return n; }\n", "", COMPILED_LIBRARY, gcc_only, NULL },
        { "jump table", "f", "",
          "int g(int); int f(int x) { switch (x) { case 0: return g(9); case 1: return g(x + 3);\n"
          "case 2: return g(12) * 2; case 3: return x * g(5); case 4: return g(1) - 7;\n"
          "case 5: return g(FIXED ? 8 : 4); default: return -1; } }\n", "",
          COMPILED_LIBRARY, both, "int g(int x) { return x * 77777; }" },
        { "landing pads", "f", "",
          "int (*p)(int); static int g(int x) { return x * 77777; }\n"
          "int f(int x) { p = g; return p(x) + FIXED; }\n", "-fcf-protection=full",
          COMPILED_LIBRARY, both, NULL },
        { "room for a tracer", "f", "",
          "int g(int x); int f(int x) { return g(x) + FIXED; }\n"
          NOIPA "int g(int x) { __asm__(\"\"); return x * 77777; }\n",
          "-fpatchable-function-entry=16,8", COMPILED_LIBRARY, both, NULL },
        { "calls of a profiler", "f", "",
          "int g(int x); int f(int x) { return g(x) + FIXED; }\n"
          NOIPA "int g(int x) { __asm__(\"\"); return x * 77777; }\n" MAIN, "-pg -mfentry",
          COMPILED_PIE, gcc_only, "void __fentry__(void) { }" },
        { "two names at one address", "f own", "",
          NOIPA "int own(int x) { __asm__(\"\"); return x * 77777 + FIXED; }\n"
          "extern __typeof__(own) alias __attribute__((alias(\"own\")));\n"
          "int f(int x) { return alias(x) + own(x) + FIXED; }\n"
          "int g(int x) { return alias(x) - 1; }\n", "", COMPILED_LIBRARY, gcc_only, NULL },
        { "functions in another order", "b", "",
          "#if FIXED\n"
          "int c(int x) { return x * 777777; } int b(int x) { return x + 888888; }\n"
          "#endif\n"
          "int a(int x) { return x * 999999; }\n"
          "#if !FIXED\n"
          "int b(int x) { return x + 444444; } int c(int x) { return x * 777777; }\n"
          "#endif\n", "", COMPILED_LIBRARY, both, NULL },
        { "merged strings", "f", "",
          "#include <stdio.h>\n"
          "void f(void) { puts(FIXED ? \"not a string\" : \"a string\"); puts(\"a string\"); }\n"
          "void g(void) { puts(\"string\"); puts(\"another string\"); }\n", "",
          COMPILED_LIBRARY, both, NULL },
        { "static locals of one name", "c", "",
          "int a(void) { static int n = 1; return n++ * 77777; }\n"
          "int b(void) { static int n = 2; return n++ * 77777; }\n"
          "int c(void) { static int n = 3; static int m = 5; n += m++; return n * 77777 + FIXED; }\n"
          "int d(void) { static int n = 4; return n++ * 77777; }\n", "", COMPILED_LIBRARY, both,
          NULL },
        { "a part is split off", "f", "",
          "#include <stdio.h>\n#include <stdlib.h>\nextern int k;\n"
          "static int inner(int x) { if (x < 0) return 0;\n"
          "        for (int i = 0; i < x; i++) printf(\"%d %d\\n\", i, x); return x + k; }\n"
          "int f(int x) { return inner(x) + inner(x + 1) + FIXED; } int g(int x) { return inner(x * 3); }\n",
          "", COMPILED_LIBRARY, both, "int k;" },
        { "ends without a return", "f", "",
          "int g(int); int f(int x) { switch (x) { case 1: return g(3); case 2: return g(7) + FIXED; }\n"
          "__builtin_unreachable(); }\n", "", COMPILED_LIBRARY, both,
          "int g(int x) { return x * 77777; }" },
        { "ends in a call", "f", "",
          "#include <stdlib.h>\nint f(int x) { if (x > 5 + FIXED) abort(); return x * 77777; }\n"
          "void g(int x) { if (x) exit(x * 77777); }\n", "", COMPILED_LIBRARY, both, NULL },
        { "large and small constants", "f", "",
          "double f(double x) { return x * 3.25 + 7.5 + FIXED; }\n"
          "float g(float x) { return x * 3.25f - 1.5f; } double h(double x) { return x / 7.5; }\n",
          "", COMPILED_LIBRARY, both, NULL },
        { "a table of strings", "f", "",
          "const char *f(int i) { static const char *const n[] = { \"one\", \"two\", \"three\", \"four\" };\n"
          "        return i < 0 ? \"none\" : n[i & (FIXED ? 1 : 3)]; }\n"
          "const char *g(int i) { static const char *const n[] = { \"one\", \"two\" }; return n[i & 1]; }\n",
          "", COMPILED_LIBRARY, both, NULL },
        { "a switch that is a table", "f", "",
          "const char *f(int i) { switch (i) { case 0: return \"zero\"; case 1: return \"one\";\n"
          "case 2: return FIXED ? \"deux\" : \"two\"; case 3: return \"three\"; case 4: return \"four\"; }\n"
          "return 0; }\n"
          "int g(int i) { switch (i) { case 0: return 7; case 1: return 12; case 2: return 77; case 3:\n"
          "return 71; case 4: return 13; case 5: return 99; } return 0; }\n", "",
          COMPILED_LIBRARY, both, NULL },
        { "common variables", "f", "",
          "int shared; long counts[5]; int f(int x) { shared += x; counts[x & 3]++; return shared + FIXED; }\n"
          "int g(void) { return shared; }\n", "-fcommon", COMPILED_LIBRARY, both, NULL },
};

static void one_case(const struct reference_case *test, const char *compiler)
{
        _cleanup_compiled_ struct compiled compiled;
        const struct compiled_options options = {
                .link = test->link, .flags = test->flags, .compiler = compiler,
                .rest = test->rest,
        };

        print_message("%s, %s\n", test->about, compiler);
        compile_patch(test->source, &options, &compiled);
        assert_changed(&compiled, test->changed);
        assert_new(&compiled, test->added);
}

static void references(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                for (const char *const *compiler = cases[i].compilers; *compiler; compiler++)
                        one_case(&cases[i], *compiler);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(references),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
