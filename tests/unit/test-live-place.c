/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Places in address spaces given as texts of /proc/PID/maps. */
#include "unit.h"

#include <sys/user.h>

#include "base/cleanup.h"
#include "live/arch/arch.h"
#include "live/place.h"

/* Chosen, or 0 where there is no place. Checks what holds for every choice. */
static uint64_t choose(const char *text, uint64_t size, uint64_t near_start, uint64_t near_end,
                       bool low)
{
        _cleanup_(maps_done) struct maps maps = { 0 };
        struct place_wish wish = { size, near_start, near_end, low };
        uint64_t address = 0, end;

        assert_int_equal(maps_parse(text, strlen(text), &maps, NULL), 0);
        if (place_find(&maps, &wish, &address) != 0)
                return 0;
        end = address + ROUND_UP(size, (uint64_t)PAGE_SIZE);
        assert_int_equal(address % PAGE_SIZE, 0);
        for (size_t i = 0; i < maps.n_items; i++) /* a page is left on both sides */
                assert_true(end + PAGE_SIZE <= maps.items[i].start ||
                            address >= maps.items[i].end + PAGE_SIZE);
        assert_true(address >= 0x10000 && end <= UINT64_C(0x7ffffffff000));
        /* every byte reaches every byte of the range, either way */
        assert_true(end < near_start + ARCH_REACH && near_end < address + ARCH_REACH);
        if (low)
                assert_true(end <= UINT64_C(0x80000000));
        return address;
}

#define MODULE_START UINT64_C(0x7f1000000000)
#define MODULE_END UINT64_C(0x7f1000100000)
#define MODULE "7f1000000000-7f1000100000 r-xp 00000000 08:01 42 /lib/libx.so\n"

static void the_nearest_hole_is_taken(void **state)
{
        (void)state;
        /* right below the module, one page away */
        assert_int_equal(choose(MODULE, 4096, MODULE_START, MODULE_END, false),
                         MODULE_START - 2 * PAGE_SIZE);
        assert_int_equal(choose(MODULE, 4097, MODULE_START, MODULE_END, false),
                         MODULE_START - 3 * PAGE_SIZE);
        /* a hole of five pages has room for three */
        assert_int_equal(choose("7f0fffffa000-7f0fffffb000 r--p 00000000 00:00 0\n" MODULE,
                                3 * PAGE_SIZE, MODULE_START, MODULE_END, false),
                         MODULE_START - 4 * PAGE_SIZE);
        /* not for four: then it is below */
        assert_int_equal(choose("7f0fffffa000-7f0fffffb000 r--p 00000000 00:00 0\n" MODULE,
                                4 * PAGE_SIZE, MODULE_START, MODULE_END, false),
                         UINT64_C(0x7f0fffffa000) - 5 * PAGE_SIZE);
}

static void a_full_neighbourhood_has_no_place(void **state)
{
        (void)state;
        /* all that can be reached is taken but the module's own margins */
        assert_int_equal(choose("7f0f00000000-7f0fffffe000 ---p 00000000 00:00 0\n" MODULE
                                "7f1000102000-7f1100000000 ---p 00000000 00:00 0\n",
                                4096, MODULE_START, MODULE_END, false),
                         0);
        /* a hole beyond reach does not help */
        assert_int_equal(choose("7f0f70000000-7f0fffffe000 ---p 00000000 00:00 0\n" MODULE
                                "7f1000102000-7f1090000000 ---p 00000000 00:00 0\n",
                                4096, MODULE_START, MODULE_END, false),
                         0);
        /* one that begins within reach does */
        assert_int_not_equal(choose("7f0f90000000-7f0fffffe000 ---p 00000000 00:00 0\n" MODULE,
                                    4096, MODULE_START, MODULE_END, false),
                             0);
        /* larger than all that is in reach */
        assert_int_equal(choose(MODULE, UINT64_C(1) << 33, MODULE_START, MODULE_END, false), 0);
}

static void the_stack_and_the_heap_keep_their_room(void **state)
{
        uint64_t address;

        (void)state;
        /* the hole below the stack is the nearest, and is left alone */
        address = choose("7f0fe0000000-7f0fe0001000 r--p 00000000 00:00 0\n"
                         "7f0fffff0000-7f0fffff1000 rw-p 00000000 00:00 0 [stack]\n" MODULE,
                         4 * PAGE_SIZE, MODULE_START, MODULE_END, false);
        assert_true(address > UINT64_C(0x7f0fffff1000) || address < UINT64_C(0x7f0fe0000000));
        /* above the heap, at the far end */
        address = choose("00400000-00500000 r-xp 00000000 08:01 42 /bin/x\n"
                         "00600000-00700000 rw-p 00000000 00:00 0 [heap]\n"
                         "08000000-7fff0000 ---p 00000000 00:00 0\n",
                         0x400000, 0x400000, 0x500000, false);
        assert_int_equal(address, 0x08000000 - 0x1000 - 0x400000);
        /* too near to the heap */
        assert_int_equal(choose("00011000-00500000 r-xp 00000000 08:01 42 /bin/x\n"
                                "00600000-00700000 rw-p 00000000 00:00 0 [heap]\n"
                                "02000000-f0000000 ---p 00000000 00:00 0\n",
                                0x400000, 0x400000, 0x500000, false),
                         0);
}

static void low_addresses_stay_low(void **state)
{
        uint64_t address;

        (void)state;
        address = choose("7ffe0000-7fff0000 r-xp 00000000 08:01 42 /bin/x\n", 0x100000, 0x7ffe0000,
                         0x7fff0000, true);
        assert_int_equal(address, 0x7ffe0000 - 0x1000 - 0x100000);
        /* without the wish, above is as good */
        assert_int_not_equal(choose("00011000-7fff0000 r-xp 00000000 08:01 42 /bin/x\n", 0x100000,
                                    0x7ff00000, 0x7fff0000, false),
                             0);
        assert_int_equal(choose("00011000-7fff0000 r-xp 00000000 08:01 42 /bin/x\n", 0x100000,
                                0x7ff00000, 0x7fff0000, true),
                         0);
        assert_int_equal(choose(MODULE, 4096, MODULE_START, MODULE_END, true), 0);
}

static void the_ends_of_the_address_space(void **state)
{
        (void)state;
        assert_int_not_equal(choose("", 4096, 0x10000, 0x20000, false), 0);
        assert_int_not_equal(choose("7ffffff00000-7ffffff01000 r-xp 00000000 08:01 1 /x\n", 4096,
                                    UINT64_C(0x7ffffff00000), UINT64_C(0x7ffffff01000), false),
                             0);
        assert_int_not_equal(choose("00010000-00020000 r-xp 00000000 08:01 1 /x\n"
                                    "7ffffff00000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n"
                                    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 "
                                    "[vsyscall]\n",
                                    4096, 0x10000, 0x20000, false),
                             0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_nearest_hole_is_taken),
                cmocka_unit_test(a_full_neighbourhood_has_no_place),
                cmocka_unit_test(the_stack_and_the_heap_keep_their_room),
                cmocka_unit_test(low_addresses_stay_low),
                cmocka_unit_test(the_ends_of_the_address_space),
        };

        return cmocka_run_group_tests_name("live-place", tests, NULL, NULL);
}
