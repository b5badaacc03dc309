/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is taken for suture's own mapping before it is unmapped. The mappings are made in this
 * process, with the mark that a kernel without names for mappings leaves.
 */
#include "unit.h"

#include <sys/mman.h>
#include <sys/user.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "live/mapping.h"

#define SIZE (UINT64_C(4) * PAGE_SIZE)

static struct target target = { .memory_fd = -1 };

/* `where` 0: anywhere; an unmapped page is left on both sides. */
static uint64_t map_with(uint64_t where, int protection, int flags, int advice)
{
        uint8_t *address = mmap((void *)where, SIZE + 2 * PAGE_SIZE, PROT_NONE,
                                MAP_PRIVATE | MAP_ANONYMOUS | (where ? MAP_FIXED_NOREPLACE : 0), -1,
                                0);

        assert_ptr_not_equal(address, MAP_FAILED);
        assert_int_equal(munmap(address, SIZE + 2 * PAGE_SIZE), 0);
        address = mmap(address + PAGE_SIZE, SIZE, protection, flags | MAP_FIXED_NOREPLACE, -1, 0);
        assert_ptr_not_equal(address, MAP_FAILED);
        assert_int_equal(madvise(address, SIZE, advice), 0);
        return (uint64_t)address;
}

static bool is_ours(enum mapping_kind kind, uint64_t address, uint64_t size)
{
        struct mapping mapping = { kind, address, size };

        assert_int_equal(target_read_maps(&target, NULL), 0);
        return mapping_is_ours(&target, &mapping);
}

static void unmap(uint64_t address)
{
        assert_int_equal(munmap((void *)address, SIZE), 0);
}

#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)
#define CODE (PROT_READ | PROT_EXEC)
#define DATA (PROT_READ | PROT_WRITE)

static void our_own_are_known(void **state)
{
        uint64_t address;

        (void)state;
        address = map_with(0, CODE, ANONYMOUS, MADV_RANDOM);
        assert_true(is_ours(MAPPING_CODE, address, SIZE));
        assert_true(is_ours(MAPPING_CODE, address + PAGE_SIZE, PAGE_SIZE)); /* mapped together */
        assert_false(is_ours(MAPPING_DATA, address, SIZE));
        assert_false(is_ours(MAPPING_CODE, address, SIZE + PAGE_SIZE));
        unmap(address);
        assert_false(is_ours(MAPPING_CODE, address, SIZE));
        address = map_with(0, DATA, ANONYMOUS, MADV_RANDOM);
        assert_true(is_ours(MAPPING_DATA, address, SIZE));
        assert_false(is_ours(MAPPING_CODE, address, SIZE));
        /* a part of what others may have advised so */
        assert_false(is_ours(MAPPING_DATA, address, PAGE_SIZE));
        assert_false(is_ours(MAPPING_DATA, address + PAGE_SIZE, SIZE - PAGE_SIZE));
        unmap(address);
}

/* Below 256 MiB the kernel prints addresses with zeros in front. */
static void low_addresses_are_found(void **state)
{
        uint64_t address = map_with(0x200000, CODE, ANONYMOUS, MADV_RANDOM);

        (void)state;
        assert_true(is_ours(MAPPING_CODE, address, SIZE));
        unmap(address);
}

static void those_of_the_target_are_not_ours(void **state)
{
        uint64_t address;

        (void)state;
        address = map_with(0, CODE, ANONYMOUS, MADV_NORMAL);
        assert_false(is_ours(MAPPING_CODE, address, SIZE));
        unmap(address);
        address = map_with(0, DATA, ANONYMOUS, MADV_NORMAL);
        assert_false(is_ours(MAPPING_DATA, address, SIZE));
        unmap(address);
        address = map_with(0, CODE, MAP_SHARED | MAP_ANONYMOUS, MADV_RANDOM);
        assert_false(is_ours(MAPPING_CODE, address, SIZE));
        unmap(address);
        address = map_with(0, DATA | PROT_EXEC, ANONYMOUS, MADV_RANDOM);
        assert_false(is_ours(MAPPING_CODE, address, SIZE));
        assert_false(is_ours(MAPPING_DATA, address, SIZE));
        unmap(address);
        /* the code of this program */
        assert_false(is_ours(MAPPING_CODE, ROUND_DOWN((uint64_t)&is_ours, (uint64_t)PAGE_SIZE),
                             PAGE_SIZE));
        assert_false(is_ours(MAPPING_CODE, 0, PAGE_SIZE));
        assert_false(is_ours(MAPPING_CODE, UINT64_MAX - PAGE_SIZE + 1, PAGE_SIZE));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(our_own_are_known),
                cmocka_unit_test(low_addresses_are_found),
                cmocka_unit_test(those_of_the_target_are_not_ours),
        };

        target.pid = target.thread = getpid();
        return cmocka_run_group_tests_name("live-mapping", tests, NULL, NULL);
}
