/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/hash.h"

/* FIPS 180-2, appendix B. */
static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char empty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static void test_sha256(void **state)
{
        struct sha256 a = sha256_of("abc", 3), b = sha256_of("", 0), parsed;
        char text[SHA256_HEX_SIZE];

        (void)state;
        sha256_format(&a, text);
        assert_string_equal(text, abc);
        sha256_format(&b, text);
        assert_string_equal(text, empty);
        assert_false(sha256_equal(&a, &b));
        assert_true(sha256_parse(abc, &parsed));
        assert_true(sha256_equal(&a, &parsed));
}

static void test_sha256_parse_refuses(void **state)
{
        static const char *const bad[] = {
                "", "ba", "g", "zz",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad00",
                "ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                " a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "0x7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        };
        struct sha256 hash;

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_false(sha256_parse(bad[i], &hash));
}

static void test_hex(void **state)
{
        uint8_t bytes[4];
        char text[9];
        size_t size;

        (void)state;
        assert_true(hex_decode("00fFaB9", bytes, 4, &size) == false);
        assert_true(hex_decode("00fFaB90", bytes, 4, &size));
        assert_int_equal(size, 4);
        hex_encode(bytes, 4, text);
        assert_string_equal(text, "00ffab90");
        assert_true(hex_decode("", bytes, 4, &size));
        assert_int_equal(size, 0);
        assert_false(hex_decode("0011223344", bytes, 4, &size));
        hex_encode(bytes, 0, text);
        assert_string_equal(text, "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sha256),
                cmocka_unit_test(test_sha256_parse_refuses),
                cmocka_unit_test(test_hex),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
