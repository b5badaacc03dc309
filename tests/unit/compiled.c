/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "compiled.h"

#include <stdarg.h>
#include <stdio.h>
#include "base/file.h"
#include "unit.h"

static const char *const library_paths[] = {
        "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib",
};

void compiled_run(const struct compiled *compiled, const char *format, ...)
{
        char command[2048];
        va_list args;
        int length = snprintf(command, sizeof(command), "cd %s && ", compiled->directory);

        va_start(args, format);
        vsnprintf(command + length, sizeof(command) - (size_t)length, format, args);
        va_end(args);
        if (system(command) != 0)
                fail_msg("failed: %s", command);
}

static void write_source(const struct compiled *compiled, const char *name, const char *text)
{
        char path[128];

        snprintf(path, sizeof(path), "%s/%s", compiled->directory, name);
        assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, NULL), 0);
}

static const char *code_flags(const struct compiled_options *options)
{
        static const char *const flags[] = {
                [COMPILED_LIBRARY] = "-fPIC",
                [COMPILED_PIE] = "-fPIE",
                [COMPILED_STATIC_PLACE] = "-fno-pie",
        };

        return flags[options->link];
}

static const char *compiler(const struct compiled_options *options)
{
        return options->compiler ? options->compiler : "gcc";
}

static const char *language(const struct compiled_options *options)
{
        return strstr(compiler(options), "++") ? "c++" : "c";
}

static void link_module(const struct compiled *compiled, const struct compiled_options *options)
{
        static const char *const flags[] = {
                [COMPILED_LIBRARY] = "-shared -Wl,-soname,libtest.so.1",
                [COMPILED_PIE] = "-pie",
                [COMPILED_STATIC_PLACE] = "-no-pie",
        };

        compiled_run(compiled, "%s %s -Wl,--build-id=sha1 %s -o symbols shipped.o %s",
                     compiler(options), flags[options->link], options->link_flags ? options->link_flags : "",
                     options->rest ? "rest.o" : "");
        compiled_run(compiled, "strip -o shipped symbols");
}

static void build_patch(struct compiled *compiled, const struct compiled_options *options)
{
        bool no_library_paths = options->no_library_paths;
        char original[96], fixed[96], shipped[96], symbols[96];
        struct object_pair pair = {
                .original = options->hand ? NULL : original, .fixed = fixed, .unit = "test.c",
        };
        struct objects_target target = {
                .pairs = &pair, .n_pairs = 1, .shipped = shipped, .symbols = symbols,
                .library_paths = library_paths,
                .n_library_paths = no_library_paths ? 0 : ARRAY_SIZE(library_paths),
        };
        const struct objects_patch patch = {
                .id = "TEST-1", .level = 1, .title = "test", .source_package = "test",
                .source_version = "1",
        };

        snprintf(original, sizeof(original), "%s/original.o", compiled->directory);
        snprintf(fixed, sizeof(fixed), "%s/fixed.o", compiled->directory);
        snprintf(shipped, sizeof(shipped), "%s/shipped", compiled->directory);
        snprintf(symbols, sizeof(symbols), "%s/symbols", compiled->directory);
        compiled->outcome = build_from_objects(&patch, &target, 1, &compiled->bytes,
                                               &compiled->report, &compiled->err);
        if (compiled->outcome < 0)
                fail_msg("%s", compiled->err.cause);
        if (compiled->outcome != 0)
                return;
        if (patch_parse(compiled->bytes.data, compiled->bytes.size, "test.spatch",
                        &compiled->patch, &compiled->err) != 0)
                fail_msg("%s", compiled->err.cause);
}

static void compile(const struct compiled *compiled, const struct compiled_options *options,
                    const char *more, const char *source, const char *object)
{
        compiled_run(compiled, "%s -O2 -g %s %s %s -x %s -c %s -o %s", compiler(options),
                     code_flags(options), options->flags ? options->flags : "", more,
                     language(options), source, object);
}

void compile_patch(const char *source, const struct compiled_options *options,
                   struct compiled *ret)
{
        static const char *const sections[] = {
                "-DFIXED=0 -ffunction-sections -fdata-sections", "-DFIXED=0",
        };
        static const char *const sections_fixed[] = {
                "-DFIXED=1 -ffunction-sections -fdata-sections", "-DFIXED=1",
        };

        *ret = (struct compiled){ .directory = "/tmp/suture-test-XXXXXX" };
        assert_non_null(mkdtemp(ret->directory));
        write_source(ret, "test.c", source);
        write_source(ret, "shipped.c", options->shipped_source ? options->shipped_source : source);
        if (options->hand)
                write_source(ret, "hand.c", options->hand);
        compile(ret, options, "-DFIXED=0", "shipped.c", "shipped.o");
        compile(ret, options, sections[options->plain_objects], "test.c", "original.o");
        compile(ret, options, sections_fixed[options->plain_objects],
                options->hand ? "hand.c" : "test.c", "fixed.o");
        if (options->rest) {
                write_source(ret, "rest.c", options->rest);
                compiled_run(ret, "%s -O2 %s -x %s -c rest.c -o rest.o", compiler(options),
                             code_flags(options), language(options));
        }
        link_module(ret, options);
        build_patch(ret, options);
}

void compiled_done(struct compiled *compiled)
{
        compiled_run(compiled, "rm -rf %s", compiled->directory);
        patch_free(compiled->patch);
        buffer_done(&compiled->bytes);
        objects_report_done(&compiled->report);
}

/* --- Assertions -------------------------------------------------------------------------- */

static bool is_listed(const char *names, const char *name)
{
        size_t length = strlen(name);

        for (const char *at = strstr(names, name); at; at = strstr(at + 1, name))
                if ((at == names || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
                        return true;
        return false;
}

static size_t count_words(const char *text)
{
        size_t n = 0;

        for (; *text; n++) {
                text += strcspn(text, " ");
                text += strspn(text, " ");
        }
        return n;
}

static void assert_functions(const struct compiled *compiled, enum objects_change change,
                             const char *names)
{
        size_t n = 0;

        if (compiled->outcome != 0)
                fail_msg("refused: %s", compiled->err.cause);
        for (size_t i = 0; i < compiled->report.n_functions; i++) {
                const struct objects_function *function = &compiled->report.functions[i];

                if (function->change != change)
                        continue;
                n++;
                if (!is_listed(names, function->name))
                        fail_msg("%s is %s (%s)", function->name,
                                 change == OBJECTS_CHANGED ? "changed" : "new", function->why);
        }
        assert_int_equal(n, count_words(names));
}

void assert_changed(const struct compiled *compiled, const char *names)
{
        assert_functions(compiled, OBJECTS_CHANGED, names);
        assert_int_equal(compiled->patch->targets[0].n_functions, count_words(names));
}

void assert_new(const struct compiled *compiled, const char *names)
{
        assert_functions(compiled, OBJECTS_NEW, names);
}

static const struct build_finding *find_finding(const struct compiled *compiled, const char *code,
                                                const char *about)
{
        for (size_t i = 0; i < compiled->report.n_findings; i++) {
                const struct build_finding *finding = &compiled->report.findings[i];

                if (strcmp(finding->code, code) == 0 &&
                    (strstr(finding->text, about) || strstr(finding->where, about)))
                        return finding;
        }
        return NULL;
}

void assert_refused(const struct compiled *compiled, const char *code, const char *about)
{
        const struct build_finding *finding = find_finding(compiled, code, about);

        if (compiled->outcome == 0)
                fail_msg("not refused, but expected: %s %s", code, about);
        if (!finding)
                fail_msg("expected %s %s, but: %s", code, about, compiled->err.cause);
        assert_true(finding->fatal);
        assert_int_equal(compiled->outcome, BUILD_REFUSED);
        assert_int_equal(compiled->bytes.size, 0);
}

void assert_warned(const struct compiled *compiled, const char *code, const char *about)
{
        const struct build_finding *finding = find_finding(compiled, code, about);

        assert_non_null(finding);
        assert_false(finding->fatal);
}

const struct patch_symbol *assert_symbol(const struct compiled *compiled, const char *name,
                                         enum patch_symbol_kind kind)
{
        const struct patch_target *target = &compiled->patch->targets[0];

        for (size_t i = 0; i < target->n_symbols; i++) {
                if (strcmp(target->symbols[i].name, name) != 0)
                        continue;
                assert_int_equal(target->symbols[i].kind, kind);
                return &target->symbols[i];
        }
        fail_msg("the patch needs no symbol %s", name);
        return NULL;
}

bool has_symbol(const struct compiled *compiled, const char *name)
{
        const struct patch_target *target = &compiled->patch->targets[0];

        for (size_t i = 0; i < target->n_symbols; i++)
                if (strcmp(target->symbols[i].name, name) == 0)
                        return true;
        return false;
}

bool patch_contains(const struct compiled *compiled, const void *bytes, size_t size)
{
        const struct patch_target *target = &compiled->patch->targets[0];

        for (size_t i = 0; i < target->n_sections; i++) {
                struct elf_section section;

                if (elf_view_section(&compiled->patch->view, target->sections[i], &section) &&
                    section.data && memmem(section.data, section.size, bytes, size))
                        return true;
        }
        return false;
}
