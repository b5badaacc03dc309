/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "elf/build-id.h"

#define NOTE(name_size, size, type) name_size, 0, 0, 0, size, 0, 0, 0, type, 0, 0, 0

static void test_found_behind_others(void **state)
{
        static const uint8_t notes[] = {
                NOTE(4, 3, 1), 'G', 'N', 'U', 0, 1, 2, 3, 0,            /* padded descriptor */
                NOTE(3, 0, 3), 'a', 'b', 0, 0,                          /* another owner */
                NOTE(4, 5, 3), 'G', 'N', 'U', 0, 0xde, 0xad, 0xbe, 0xef, 0x42, /* padding missing */
        };
        struct build_id id = { 0 };
        char text[BUILD_ID_HEX_SIZE];

        (void)state;
        assert_true(build_id_from_notes(notes, sizeof(notes), &id));
        build_id_format(&id, text);
        assert_string_equal(text, "deadbeef42");
        /* Cut anywhere, it is found only if it is whole. */
        for (size_t size = 0; size < sizeof(notes); size++) {
                uint8_t *exact = malloc(size ? size : 1);

                assert_non_null(exact);
                memcpy(exact, notes, size);
                assert_false(build_id_from_notes(exact, size, &id));
                free(exact);
        }
}

static void test_hostile_sizes(void **state)
{
        static const uint8_t cases[][20] = {
                { 0xff, 0xff, 0xff, 0xff, 4, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0 },
                { 4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0, 'G', 'N', 'U', 0 },
                { 0xfd, 0xff, 0xff, 0xff, 0xfd, 0xff, 0xff, 0xff, 3, 0, 0, 0, 'G', 'N', 'U', 0 },
                { NOTE(4, 3, 3), 'G', 'N', 'U', 0, 1, 2, 3 },           /* too short an ID */
                { NOTE(4, 4, 3), 'G', 'N', 'U', 'X', 1, 2, 3, 4 },
                { NOTE(3, 4, 3), 'G', 'N', 'U', 0, 1, 2, 3, 4 },
                { NOTE(4, 4, 2), 'G', 'N', 'U', 0, 1, 2, 3, 4 },
        };
        struct build_id id;

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                assert_false(build_id_from_notes(cases[i], sizeof(cases[i]), &id));
        assert_false(build_id_from_notes(NULL, 0, &id));
}

static void test_too_long_is_passed_over(void **state)
{
        uint8_t notes[12 + 4 + 36 + 12 + 4 + 4] = {
                NOTE(4, 33, 3), 'G', 'N', 'U', 0,
                [52] = NOTE(4, 4, 3), 'G', 'N', 'U', 0, 1, 2, 3, 4,
        };
        struct build_id id;

        (void)state;
        assert_true(build_id_from_notes(notes, sizeof(notes), &id));
        assert_int_equal(id.size, 4);
}

static void test_text(void **state)
{
        static const char *const bad[] = {
                "", "0", "001122", "0011223", "0011223g", "00 11223344",
                "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00",
        };
        struct build_id a, b;
        char text[BUILD_ID_HEX_SIZE];

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_false(build_id_parse(bad[i], &a));
        assert_true(build_id_parse("DEADbeef", &a));
        build_id_format(&a, text);
        assert_string_equal(text, "deadbeef");
        assert_true(build_id_parse("deadbeef00", &b));
        assert_false(build_id_equal(&a, &b));
        assert_true(build_id_parse("deadbeef", &b));
        assert_true(build_id_equal(&a, &b));
        assert_true(build_id_parse(
                "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", &a));
        assert_int_equal(a.size, BUILD_ID_MAX);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_found_behind_others),
                cmocka_unit_test(test_hostile_sizes),
                cmocka_unit_test(test_too_long_is_passed_over),
                cmocka_unit_test(test_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
