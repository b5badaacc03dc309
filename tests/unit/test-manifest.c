/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <stdio.h>

#include "patch/manifest.h"
#include "patch/patch.h"
#include "sample-patch.h"

/* The value at "targets/0/functions/0" of the sample's manifest. */
static json_t *at(json_t *root, const char *path)
{
        _cleanup_free_ char *copy = strdup(path);
        char *rest = NULL;

        assert_non_null(copy);
        for (char *part = strtok_r(copy, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
                root = json_is_array(root) ? json_array_get(root, strtoul(part, NULL, 10))
                                           : json_object_get(root, part);
                assert_non_null(root);
        }
        return root;
}

/* Sets `key` of the object at `path` to a JSON text with ' for "; NULL removes it. */
static void change(json_t *manifest, const char *path, const char *key, const char *text)
{
        _cleanup_free_ char *copy = NULL;
        json_t *value;

        if (!text) {
                assert_int_equal(json_object_del(at(manifest, path), key), 0);
                return;
        }
        copy = strdup(text);
        assert_non_null(copy);
        for (char *c = copy; *c; c++)
                if (*c == '\'')
                        *c = '"';
        value = json_loads(copy, JSON_DECODE_ANY, NULL);
        assert_non_null(value);
        assert_int_equal(json_object_set_new(at(manifest, path), key, value), 0);
}

static int try_manifest(const json_t *manifest, struct error *err)
{
        _cleanup_free_ char *text = json_dumps(manifest, JSON_COMPACT);
        struct patch patch = { 0 };
        int r;

        assert_non_null(text);
        r = manifest_read(text, strlen(text), "x.spatch", &patch, err);
        manifest_done(&patch);
        return r;
}

struct manifest_case {
        const char *path, *key, *value, *says;
};

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct manifest_case refused[] = {
        { "", "schema", NULL, "schema is missing" },
        { "", "schema", "1", "schema is not a string" },
        { "", "schema", "'suture-patch-2'", "format \"suture-patch-2\"" },
        { "", "surprise", "1", "surprise is a key that means nothing here" },
        { "", "id", NULL, "id is missing" },
        { "", "id", "''", "id is empty" },
        { "", "id", "'a/b'", "no patch id" },
        { "", "id", "'-x'", "no patch id" },
        { "", "id", "'.x'", "no patch id" },
        { "", "id", "'1234567890123456789012345678901234567890123456789'", "no patch id" },
        { "", "id", "[]", "id is not a string" },
        { "", "level", NULL, "level is missing" },
        { "", "level", "0", "level is 0, outside of 1" },
        { "", "level", "-1", "level is -1" },
        { "", "level", "2147483648", "level is 2147483648" },
        { "", "level", "1.0", "level is not a whole number" },
        { "", "level", "'1'", "level is not a whole number" },
        { "", "level", "null", "level is not a whole number" },
        { "", "title", NULL, "title is missing" },
        { "", "title", "'a\\u001b[2Jb'", "title contains control characters" },
        { "", "title", "'a\\u009bb'", "title contains control characters" },
        { "", "title", "'a\\u202eb'", "title contains control characters" },
        { "", "author", "null", "author is not a string" },
        { "", "created", "'yesterday'", "created is no time" },
        { "", "created", "'2026-13-25T08:00:00Z'", "created is no time" },
        { "", "created", "'2026-11-25T08:00:00+01:00'", "created is no time" },
        { "", "created", "'2026-11-25T24:00:00Z'", "created is no time" },
        { "", "source", NULL, "source is missing" },
        { "", "source", "'sample'", "source is not an object" },
        { "source", "package", NULL, "source.package is missing" },
        { "source", "package", "7", "source.package is not a string" },
        { "source", "extra", "7", "source.extra is a key" },
        { "", "cves", "{}", "cves is not an array" },
        { "", "cves", "['CVE-2026-0001']", "cves[0] is not an object" },
        { "cves/0", "id", "'CVE-26-1'", "cves[0].id is not of the form" },
        { "cves/0", "id", "'CVE-2026-123'", "cves[0].id is not of the form" },
        { "cves/1", "reach", "'network'", "cves[1].reach is \"network\"" },
        { "cves/1", "reach", NULL, "cves[1].reach is missing" },
        { "fixes/0", "sha256", "'" A64 "a'", "fixes[0].sha256 is longer" },
        { "fixes/0", "sha256", "'abc'", "fixes[0].sha256 is not a SHA-256" },
        { "fixes/0", "name", "''", "fixes[0].name is empty" },
        { "", "supersedes", "[1]", "supersedes[0] is not a string" },
        { "", "supersedes", "['a b']", "supersedes[0] is \"a b\", which is no patch id" },
        { "", "supersedes", "['SUT-2026-0042']", "supersedes[0] is this patch itself" },
        { "", "targets", NULL, "targets is missing" },
        { "", "targets", "[]", "targets has fewer than 1" },
        { "", "targets", "[[]]", "targets[0] is not an object" },
        { "targets/0", "build_id", "'0011'", "targets[0].build_id is not a build ID" },
        { "targets/0", "build_id", "'xx'", "targets[0].build_id is not a build ID" },
        { "targets/0", "build_id", "'" SAMPLE_BUILD_ID_2 "'",
          "targets[1].build_id is that of targets[0] too" },
        { "targets/0", "module", NULL, "targets[0].module is missing" },
        { "targets/0", "package", "''", "targets[0].package is empty" },
        { "targets/0", "pinned", NULL, "targets[0].pinned is missing" },
        { "targets/0", "pinned", "1", "targets[0].pinned is neither" },
        { "targets/0", "pined", "true", "targets[0].pined is a key" },
        { "targets/0", "sections", NULL, "targets[0].sections is missing" },
        { "targets/0", "sections", "[]", "targets[0].sections has fewer" },
        { "targets/0", "sections", "[3]", "targets[0].sections[0] is not a string" },
        { "targets/0", "functions", "[]", "targets[0].functions has fewer" },
        { "targets/0", "functions", "[null]", "targets[0].functions[0] is not an object" },
        { "targets/0/functions/0", "name", NULL, "functions[0].name is missing" },
        { "targets/0/functions/0", "address", "0", "functions[0].address is 0" },
        { "targets/0/functions/0", "address", "140737488355328", "functions[0].address is" },
        { "targets/0/functions/0", "address", "140737488355300", "beyond the end of memory" },
        { "targets/0/functions/0", "address", "4096.5", "address is not a whole number" },
        { "targets/0/functions/0", "size", "0", "functions[0].size is 0" },
        { "targets/0/functions/0", "size", "16777217", "functions[0].size is 16777217" },
        { "targets/0/functions/0", "sha256", "''", "functions[0].sha256 is empty" },
        { "targets/0/functions/0", "symbol", "null", "functions[0].symbol is not a string" },
        { "targets/0/functions/0", "consistency", "'lax'", "consistency is \"lax\"" },
        { "targets/0/functions/0", "consistency", NULL, "consistency is missing" },
        { "targets/0/functions/0", "cold", "{}", "functions[0].cold is not an array" },
        { "targets/0/functions/0/cold/0", "size", NULL, "functions[0].cold[0].size is missing" },
        { "targets/0/functions/0/cold/0", "x", "1", "functions[0].cold[0].x is a key" },
        { "targets/0/functions/0", "adress", "1", "functions[0].adress is a key" },
        { "targets/0", "symbols", "[7]", "symbols[0] is not an object" },
        { "targets/0/symbols/0", "kind", NULL, "symbols[0].kind is missing" },
        { "targets/0/symbols/0", "kind", "'magic'", "symbols[0].kind is \"magic\"" },
        { "targets/0/symbols/0", "kind", "'runtime'", "symbols[0].address is a key" },
        { "targets/0/symbols/0", "address", NULL, "symbols[0].address is missing" },
        { "targets/0/symbols/0", "lookup", "'x'", "symbols[0].lookup is a key" },
        { "targets/0/symbols/1", "address", "889", "symbols[1].address is no multiple of 8" },
        { "targets/0/symbols/1", "version", "'V'", "symbols[1].version is a key" },
        { "targets/0/symbols/2", "version", "''", "symbols[2].version is empty" },
        { "targets/0/symbols/3", "name", "'other'", "must be \"runtime\"" },
        { "targets/0/symbols/2", "name", "'suture_shadow_root'", "must be \"runtime\"" },
        { "targets/0", "hooks", "[]", "targets[0].hooks is not an object" },
        { "targets/0/hooks", "pre", "1", "targets[0].hooks.pre is not a string" },
        { "targets/0/hooks", "before", "'hook'", "targets[0].hooks.before is a key" },
};

static void test_refused(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
                struct sample sample;
                struct error err = { 0 };

                assert_true(sample_init(&sample));
                change(sample.manifest, refused[i].path, refused[i].key, refused[i].value);
                if (try_manifest(sample.manifest, &err) >= 0)
                        fail_msg("%s/%s = %s was accepted", refused[i].path, refused[i].key,
                                 refused[i].value);
                if (!strstr(err.cause, refused[i].says))
                        fail_msg("\"%s\" does not say \"%s\"", err.cause, refused[i].says);
                assert_non_null(strstr(err.cause, "x.spatch"));
                assert_true(err.next[0] != '\0');
                sample_done(&sample);
        }
}

static void test_accepted(void **state)
{
        static const struct manifest_case cases[] = {
                { "", "cves", NULL, "" }, { "", "cves", "[]", "" }, { "", "fixes", NULL, "" },
                { "", "supersedes", NULL, "" }, { "", "author", NULL, "" },
                { "", "title", "'gr\\u00fc\\u00dfe \\u4f60'", "" },
                { "", "level", "2147483647", "" },
                { "", "id", "'0'", "" }, { "", "created", "'2024-02-29T23:59:60Z'", "" },
                { "targets/0", "package", NULL, "" }, { "targets/0", "version", NULL, "" },
                { "targets/0", "symbols", NULL, "" }, { "targets/0", "hooks", NULL, "" },
                { "targets/0", "hooks", "{}", "" },
                { "targets/0/functions/0", "cold", NULL, "" },
                { "targets/0/symbols/1", "lookup", NULL, "" },
                { "targets/0/symbols/2", "version", NULL, "" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct sample sample;
                struct error err = { 0 };

                assert_true(sample_init(&sample));
                change(sample.manifest, cases[i].path, cases[i].key, cases[i].value);
                if (try_manifest(sample.manifest, &err) != 0)
                        fail_msg("%s", err.cause);
                sample_done(&sample);
        }
}

static void test_not_json(void **state)
{
        static const char *const texts[] = {
                "", "{", "[]", "null", "\"x\"", "{} {}", "{ 'a': 1 }",
                "\xff\xfe", "{\"a\":\"\xff\"}",
                "{ \"schema\": \"suture-patch-1\", \"schema\": \"suture-patch-1\" }",
                "{ \"schema\": \"suture-patch-1\\u0000\" }",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                struct patch patch = { 0 };
                struct error err = { 0 };

                assert_true(manifest_read(texts[i], strlen(texts[i]), "x", &patch, &err) < 0);
                assert_non_null(strstr(err.cause, "x can't be used"));
                manifest_done(&patch);
        }
}

static void test_limits(void **state)
{
        _cleanup_free_ char *deep = malloc(100001), *large = malloc(MANIFEST_MAX_BYTES + 1);
        struct patch patch = { 0 };
        struct error err = { 0 };
        struct sample sample;
        json_t *functions;

        (void)state;
        assert_true(deep && large);
        memset(deep, '[', 100000);
        assert_true(manifest_read(deep, 100000, "x", &patch, &err) < 0);
        manifest_done(&patch);
        memset(large, ' ', MANIFEST_MAX_BYTES + 1);
        patch = (struct patch){ 0 };
        assert_true(manifest_read(large, MANIFEST_MAX_BYTES + 1, "x", &patch, &err) < 0);
        assert_non_null(strstr(err.cause, "more than the"));
        assert_true(sample_init(&sample));
        functions = at(sample.manifest, "targets/0/functions");
        while (json_array_size(functions) <= PATCH_MAX_FUNCTIONS)
                json_array_append(functions, json_array_get(functions, 0));
        assert_true(try_manifest(sample.manifest, &err) < 0);
        assert_non_null(strstr(err.cause, "functions has 321 items"));
        sample_done(&sample);
}

static void test_section_names(void **state)
{
        _cleanup_free_ char *text = NULL;
        struct patch patch = { 0 };
        struct sample sample;
        struct error err;

        (void)state;
        assert_true(sample_init(&sample));
        text = json_dumps(sample.manifest, 0);
        assert_int_equal(manifest_read(text, strlen(text), "x", &patch, &err), 0);
        assert_string_equal(manifest_section_name(&patch, 0, 1), ".rodata.answer");
        assert_string_equal(manifest_section_name(&patch, 1, 0), ".text.hook");
        manifest_done(&patch);
        sample_done(&sample);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_accepted),
                cmocka_unit_test(test_not_json),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_section_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
