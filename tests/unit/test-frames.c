/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <string.h>

#include "elf/frames.h"

/* A list as gcc writes it: a common part ("zR", pcrel sdata4), an entry of 16 bytes of code, the end. */
static const uint8_t list[] = {
        0x14, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x1b, 0x0c, 7, 8, 0x90, 1, 0, 0,
        0x14, 0, 0, 0, 0x1c, 0, 0, 0, 0x20, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0,
};
/* Its personality routine comes before the encoding ("zPLR"). */
static const uint8_t with_personality[] = {
        0x1c, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'P', 'L', 'R', 0, 1, 0x78, 16, 7, 0x9b, 1, 2, 3, 4,
        0x1b, 0x1b, 0x0c, 7, 8, 0x90, 1, 0, 0,
};

static void a_list_is_walked(void **state)
{
        struct frame frame;
        uint64_t at = 0, start, size;

        (void)state;
        assert_int_equal(frames_next(list, sizeof(list), &at, &frame), 0);
        assert_true(frame.is_common);
        assert_int_equal(frame.size, 24);
        assert_false(frames_code(list, sizeof(list), 0x1000, &frame, &start, &size));
        assert_int_equal(frames_next(list, sizeof(list), &at, &frame), 0);
        assert_false(frame.is_common);
        assert_int_equal(frame.common, 0);
        assert_int_equal(frame.offset, 24);
        assert_true(frames_code(list, sizeof(list), 0x1000, &frame, &start, &size));
        assert_int_equal(start, 0x1000 + 32 + 0x20);
        assert_int_equal(size, 16);
        assert_int_equal(frames_next(list, sizeof(list), &at, &frame), FRAMES_END);
        assert_int_equal(at, sizeof(list));
        assert_int_equal(frames_next(list, sizeof(list), &at, &frame), FRAMES_END);
}

static void the_encoding_is_found_behind_a_personality(void **state)
{
        struct frame frame;
        uint64_t at = 0;
        uint8_t encoding = 0;

        (void)state;
        assert_int_equal(frames_next(with_personality, sizeof(with_personality), &at, &frame), 0);
        assert_true(frames_encoding(with_personality, sizeof(with_personality), &frame, &encoding));
        assert_int_equal(encoding, 0x1b);
}

/* Cut off at every place: never an entry that is not there as a whole. */
static void what_is_cut_off_is_broken(void **state)
{
        (void)state;
        for (size_t size = 1; size < sizeof(list); size++) {
                uint64_t at = 0;
                struct frame frame;
                int r;

                while ((r = frames_next(list, size, &at, &frame)) == 0)
                        assert_true(frame.offset + frame.size <= size);
                assert_int_equal(r, size == 24 || size == 48 ? FRAMES_END : FRAMES_BROKEN);
        }
}

static int next_of_changed(size_t offset, uint8_t value, uint64_t at)
{
        uint8_t copy[sizeof(list)];
        struct frame frame;

        memcpy(copy, list, sizeof(copy));
        copy[offset] = value;
        return frames_next(copy, sizeof(copy), &at, &frame);
}

static void nonsense_is_broken(void **state)
{
        uint8_t copy[sizeof(list)];
        struct frame entry = { .offset = 24, .size = 24 };
        uint64_t start, size;

        (void)state;
        assert_int_equal(next_of_changed(0, 3, 0), FRAMES_BROKEN);       /* shorter than an id */
        assert_int_equal(next_of_changed(3, 0xff, 0), FRAMES_BROKEN);    /* longer than the list */
        assert_int_equal(next_of_changed(28, 0x1d, 24), FRAMES_BROKEN);  /* begins before the list */
        assert_int_equal(next_of_changed(0, 0x14, sizeof(list) + 1), FRAMES_BROKEN);
        memcpy(copy, list, sizeof(copy));
        assert_true(frames_code(copy, sizeof(copy), 0, &entry, &start, &size));
        copy[8] = 9;                                                     /* a version to come */
        assert_false(frames_code(copy, sizeof(copy), 0, &entry, &start, &size));
        copy[8] = 1;
        copy[10] = 'X';                                                  /* not known */
        assert_false(frames_code(copy, sizeof(copy), 0, &entry, &start, &size));
        copy[10] = 'R';
        copy[16] = 0x9b;                                                 /* indirect */
        assert_false(frames_code(copy, sizeof(copy), 0, &entry, &start, &size));
        copy[16] = 0x3b;                                                 /* relative to data */
        assert_false(frames_code(copy, sizeof(copy), 0, &entry, &start, &size));
        copy[16] = 0x03;                                                 /* absolute */
        assert_true(frames_code(copy, sizeof(copy), 0x1000, &entry, &start, &size));
        assert_int_equal(start, 0x20);
        entry.common = 24;                                               /* belongs to itself */
        assert_false(frames_code(copy, sizeof(copy), 0, &entry, &start, &size));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_list_is_walked),
                cmocka_unit_test(the_encoding_is_found_behind_a_personality),
                cmocka_unit_test(what_is_cut_off_is_broken),
                cmocka_unit_test(nonsense_is_broken),
        };

        return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
