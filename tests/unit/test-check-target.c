/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "patch/patch.h"
#include "sample-patch.h"

static json_t *target(struct sample *sample)
{
        return json_array_get(json_object_get(sample->manifest, "targets"), 0);
}

static json_t *item(json_t *object, const char *list, size_t index)
{
        return json_array_get(json_object_get(object, list), index);
}

static void set(json_t *object, const char *key, const char *value)
{
        assert_int_equal(json_object_set_new(object, key, json_string(value)), 0);
}

static void add(json_t *object, const char *list, const char *value)
{
        assert_int_equal(json_array_append_new(json_object_get(object, list), json_string(value)),
                         0);
}

static void no_such_section(struct sample *sample)
{
        add(target(sample), "sections", ".text.none");
}

static void not_alloc(struct sample *sample)
{
        add(target(sample), "sections", PATCH_MANIFEST_SECTION);
}

static void section_twice(struct sample *sample)
{
        add(target(sample), "sections", ".text.hook");
}

static void ambiguous_section(struct sample *sample)
{
        elf_writer_add_section(sample->writer, ".text.hook", SHT_PROGBITS,
                               SHF_ALLOC | SHF_EXECINSTR, 1, "x", 1);
}

static void note_section(struct sample *sample)
{
        elf_writer_add_section(sample->writer, ".note.x", SHT_NOTE, SHF_ALLOC, 4, NULL, 16);
        add(target(sample), "sections", ".note.x");
}

static void too_large_together(struct sample *sample)
{
        elf_writer_add_section(sample->writer, ".b1", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, 1, NULL,
                               9u << 20);
        elf_writer_add_section(sample->writer, ".b2", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, 1, NULL,
                               9u << 20);
        add(target(sample), "sections", ".b1");
        add(target(sample), "sections", ".b2");
}

static void no_such_function(struct sample *sample)
{
        set(item(target(sample), "functions", 0), "symbol", "none");
}

static void undefined_function(struct sample *sample)
{
        set(item(target(sample), "functions", 0), "symbol", "strlen");
}

static void function_is_data(struct sample *sample)
{
        set(item(target(sample), "functions", 0), "symbol", "counter");
}

static void function_not_listed(struct sample *sample)
{
        set(item(json_array_get(json_object_get(sample->manifest, "targets"), 1), "functions", 1),
            "symbol", "answer");
}

static void ambiguous_function(struct sample *sample)
{
        elf_writer_add_symbol(sample->writer, "answer", sample->text, 8, 8, STB_LOCAL, STT_FUNC);
}

static void function_beyond_the_end(struct sample *sample)
{
        elf_writer_add_symbol(sample->writer, "long", sample->text, 32, 33, STB_LOCAL, STT_FUNC);
        set(item(target(sample), "functions", 0), "symbol", "long");
}

static void function_at_the_end(struct sample *sample)
{
        elf_writer_add_symbol(sample->writer, "end", sample->text, 64, 0, STB_LOCAL, STT_FUNC);
        set(item(target(sample), "functions", 0), "symbol", "end");
}

static void object_in_code(struct sample *sample)
{
        elf_writer_add_symbol(sample->writer, "object", sample->text, 0, 8, STB_LOCAL, STT_OBJECT);
        set(item(target(sample), "functions", 0), "symbol", "object");
}

static void hook_is_missing(struct sample *sample)
{
        set(json_object_get(target(sample), "hooks"), "post", "none");
}

static void functions_overlap(struct sample *sample)
{
        json_t *copy = json_deep_copy(item(target(sample), "functions", 0));

        set(copy, "name", "neighbour");
        json_object_del(copy, "cold");
        json_object_set_new(copy, "address", json_integer(4096 + 63));
        json_array_append_new(json_object_get(target(sample), "functions"), copy);
}

static void cold_overlaps(struct sample *sample)
{
        json_object_set_new(item(item(target(sample), "functions", 0), "cold", 0), "address",
                            json_integer(4096 - 19));
}

static void symbol_not_needed(struct sample *sample)
{
        set(item(target(sample), "symbols", 0), "name", "none");
}

static void symbol_is_defined(struct sample *sample)
{
        set(item(target(sample), "symbols", 0), "name", "answer");
}

static void symbol_twice(struct sample *sample)
{
        json_array_append(json_object_get(target(sample), "symbols"),
                          item(target(sample), "symbols", 0));
}

static void symbol_missing(struct sample *sample)
{
        json_array_remove(json_object_get(target(sample), "symbols"), 2);
}

static void reference_to_unlisted(struct sample *sample)
{
        json_array_remove(json_object_get(target(sample), "sections"), 2);
}

static const struct {
        void (*spoil)(struct sample *sample);
        const char *says;
} cases[] = {
        { no_such_section, "targets[0].sections[5] is \".text.none\"" },
        { not_alloc, "not the name of exactly one alloc section" },
        { section_twice, "targets[0].sections names \".text.hook\" twice" },
        { ambiguous_section, "\".text.hook\", which is not the name of exactly one" },
        { note_section, "a section of type 7, which is not loaded" },
        { too_large_together, "targets[0] are larger than the 16777216 bytes" },
        { no_such_function, "functions[0].symbol is \"none\"" },
        { undefined_function, "functions[0].symbol is \"strlen\"" },
        { function_is_data, "functions[0].symbol is \"counter\"" },
        { function_not_listed, "targets[1].functions[1].symbol is \"answer\"" },
        { ambiguous_function, "functions[0].symbol is \"answer\"" },
        { function_beyond_the_end, "functions[0].symbol is \"long\"" },
        { function_at_the_end, "functions[0].symbol is \"end\"" },
        { object_in_code, "functions[0].symbol is \"object\"" },
        { hook_is_missing, "targets[0].hooks.post is \"none\"" },
        { functions_overlap, "answer and neighbour overlap at address 0x103f" },
        { cold_overlaps, "overlap at address 0x1000" },
        { symbol_not_needed, "symbols[0].name is \"none\"" },
        { symbol_is_defined, "symbols[0].name is \"answer\"" },
        { symbol_twice, "targets[0].symbols names \"warn_local\" twice" },
        { symbol_missing, "refers to memchr, for which targets[0].symbols has no entry" },
        { reference_to_unlisted, "section .text.answer refers to section .data.counter, which is" },
};

static void test_refused(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_buffer_ struct buffer buffer = { 0 };
                struct patch *patch = NULL;
                struct error err = { 0 };
                struct sample sample;

                assert_true(sample_init(&sample));
                cases[i].spoil(&sample);
                if (sample_write(&sample, &buffer, &err) != 0)
                        fail_msg("case %zu: %s", i, err.cause);
                if (patch_parse(buffer.data, buffer.size, "x.spatch", &patch, &err) >= 0)
                        fail_msg("case %zu (%s) was accepted", i, cases[i].says);
                if (!strstr(err.cause, cases[i].says))
                        fail_msg("\"%s\" does not say \"%s\"", err.cause, cases[i].says);
                assert_true(err.next[0] != '\0');
                sample_done(&sample);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
