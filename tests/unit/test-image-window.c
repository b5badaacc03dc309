/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <errno.h>

#include "elf/image-window.h"

/* Memory whose byte at address A is A % 251, but for a hole. */
struct memory {
        uint64_t hole_start, hole_end;
        size_t n_reads, n_bytes;
};

static int read_pattern(void *context, uint64_t address, void *ret, size_t size)
{
        struct memory *memory = context;

        memory->n_reads++;
        memory->n_bytes += size;
        if (address < memory->hole_end && address + size > memory->hole_start)
                return -EFAULT;
        for (size_t i = 0; i < size; i++)
                ((uint8_t *)ret)[i] = (uint8_t)((address + i) % 251);
        return 0;
}

/* Two segments: [0x1000, 0x3000) and [0x5000, 0x5064), 0x10000 higher in memory. */
static const struct elf_image image = {
        .bias = 0x10000, .start = 0x11000, .end = 0x16000, .n_segments = 3,
        .segments = {
                { .p_type = PT_LOAD, .p_vaddr = 0x1000, .p_memsz = 0x2000 },
                { .p_type = PT_NOTE, .p_vaddr = 0x3000, .p_memsz = 0x2000 },
                { .p_type = PT_LOAD, .p_vaddr = 0x5000, .p_memsz = 0x64 },
        },
};

static void check_bytes(struct image_window *window, uint64_t address, size_t size)
{
        const uint8_t *bytes = NULL;

        assert_int_equal(image_window_get(window, address, size, &bytes), 0);
        for (size_t i = 0; i < size; i++)
                assert_int_equal(bytes[i], (address + i) % 251);
}

static void test_one_read_serves_many(void **state)
{
        struct memory memory = { 0 };
        const struct elf_memory reader = { .read = read_pattern, .context = &memory };
        _cleanup_window_ struct image_window window;

        (void)state;
        image_window_init(&window, &reader, &image, 0x11000, 1024);
        for (uint64_t address = 0x11000; address < 0x12000; address += 8)
                check_bytes(&window, address, 8);
        assert_int_equal(memory.n_reads, 4);
        /* Across the border of two pieces. */
        check_bytes(&window, 0x113fc, 8);
        /* Backwards within one piece. */
        memory.n_reads = 0;
        for (uint64_t address = 0x11bf8; address >= 0x11800; address -= 8)
                check_bytes(&window, address, 8);
        assert_int_equal(memory.n_reads, 1);
}

static void test_never_leaves_the_segment(void **state)
{
        struct memory memory = { 0 };
        const struct elf_memory reader = { .read = read_pattern, .context = &memory };
        _cleanup_window_ struct image_window window;
        const uint8_t *bytes;

        (void)state;
        image_window_init(&window, &reader, &image, UINT64_MAX, 4096);
        check_bytes(&window, 0x15000, 100);
        assert_int_equal(memory.n_bytes, 100);
        assert_int_equal(image_window_get(&window, 0x15001, 100, &bytes), -EBADMSG);
        assert_int_equal(image_window_get(&window, 0x15064, 1, &bytes), -EBADMSG);
        assert_int_equal(image_window_get(&window, 0x13000, 1, &bytes), -EBADMSG); /* a note */
        assert_int_equal(image_window_get(&window, 0x10fff, 1, &bytes), -EBADMSG);
        assert_int_equal(image_window_get(&window, 0, 1, &bytes), -EBADMSG);
        assert_int_equal(image_window_get(&window, UINT64_MAX, 1, &bytes), -EBADMSG);
        assert_int_equal(image_window_get(&window, 0x11000, 4097, &bytes), -EBADMSG);
        check_bytes(&window, 0x11000, 4096);
        assert_int_equal(image_segment_end(&image, 0x11fff), 0x13000);
        assert_int_equal(image_segment_end(&image, 0x14000), 0);
}

static void test_a_hole_beside_does_not_matter(void **state)
{
        struct memory memory = { .hole_start = 0x12000, .hole_end = 0x13000 };
        const struct elf_memory reader = { .read = read_pattern, .context = &memory };
        _cleanup_window_ struct image_window window;
        const uint8_t *bytes;

        (void)state;
        image_window_init(&window, &reader, &image, 0x11000, 8192);
        check_bytes(&window, 0x11ff0, 16);
        assert_int_equal(image_window_get(&window, 0x11ff1, 16, &bytes), -EFAULT);
}

static void test_endless_reading_ends(void **state)
{
        struct memory memory = { 0 };
        const struct elf_memory reader = { .read = read_pattern, .context = &memory };
        _cleanup_window_ struct image_window window;
        const uint8_t *bytes;
        size_t n = 0;

        (void)state;
        image_window_init(&window, &reader, &image, UINT64_MAX, 64);
        while (image_window_get(&window, n % 2 ? 0x11000 : 0x12000, 8, &bytes) == 0)
                assert_true(++n < 1000000);
        assert_true(n > 10000);
}

static int read_text(void *context, uint64_t address, void *ret, size_t size)
{
        const char *text = context;

        memset(ret, 'x', size);
        for (size_t i = 0; i < size; i++)
                if (address + i >= 0x11000 && address + i - 0x11000 < 200)
                        ((char *)ret)[i] = text[address + i - 0x11000];
        return 0;
}

static void test_strings(void **state)
{
        char text[200] = "one";
        const struct elf_memory reader = { .read = read_text, .context = text };
        _cleanup_window_ struct image_window window;
        const char *string;

        (void)state;
        memset(text + 4, 'a', 100);     /* a long one, cut by the piece's end */
        image_window_init(&window, &reader, &image, 0x11000, 64);
        assert_int_equal(image_window_string(&window, 0x11000, 0x110c8, &string), 0);
        assert_string_equal(string, "one");
        assert_int_equal(image_window_string(&window, 0x11032, 0x110c8, &string), 0);
        assert_int_equal(strlen(string), 54);
        /* Longer than the window; without an end; outside of the table. */
        assert_int_equal(image_window_string(&window, 0x11004, 0x110c8, &string), -EBADMSG);
        assert_int_equal(image_window_string(&window, 0x11050, 0x11060, &string), -EBADMSG);
        assert_int_equal(image_window_string(&window, 0x110c8, 0x110c8, &string), -EBADMSG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_read_serves_many),
                cmocka_unit_test(test_never_leaves_the_segment),
                cmocka_unit_test(test_a_hole_beside_does_not_matter),
                cmocka_unit_test(test_endless_reading_ends),
                cmocka_unit_test(test_strings),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
