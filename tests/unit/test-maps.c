/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proc/maps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static const char sample[] =
        "00400000-00452000 r-xp 00001000 08:02 173521      /usr/bin/dbus daemon\n"
        "7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n"
        "7f0000001000-7f0000003000 r--s 00002000 fd:1a 18446744073709551615 "
        "/tmp/a\\012b (deleted)\n"
        "7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]\n"
        "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

static void test_sample(void **state)
{
        struct maps maps = { 0 };

        (void)state;
        assert_int_equal(maps_parse(sample, sizeof(sample) - 1, &maps, NULL), 0);
        assert_int_equal(maps.n_items, 5);
        assert_true(maps.items[0].start == 0x400000 && maps.items[0].end == 0x452000);
        assert_true(maps.items[0].readable && !maps.items[0].writable);
        assert_true(maps.items[0].executable && !maps.items[0].shared);
        assert_int_equal(maps.items[0].offset, 0x1000);
        assert_int_equal(maps.items[0].device_major, 8);
        assert_int_equal(maps.items[0].device_minor, 2);
        assert_int_equal(maps.items[0].inode, 173521);
        assert_string_equal(maps.items[0].path, "/usr/bin/dbus daemon");
        assert_string_equal(maps.items[1].path, "");
        assert_true(maps.items[1].writable);
        assert_true(maps.items[2].shared && maps.items[2].deleted);
        assert_string_equal(maps.items[2].path, "/tmp/a\\012b");
        assert_int_equal(maps.items[2].device_minor, 0x1a);
        assert_true(maps.items[2].inode == UINT64_MAX);
        assert_string_equal(maps.items[3].path, "[stack]");
        assert_false(maps.items[4].readable);
        assert_true(maps.items[4].start == 0xffffffffff600000);
        maps_done(&maps);
        assert_null(maps.items);
}

static void test_find(void **state)
{
        struct maps maps = { 0 };

        (void)state;
        assert_int_equal(maps_parse(sample, sizeof(sample) - 1, &maps, NULL), 0);
        assert_ptr_equal(maps_find(&maps, 0x400000), &maps.items[0]);
        assert_ptr_equal(maps_find(&maps, 0x451fff), &maps.items[0]);
        assert_null(maps_find(&maps, 0x452000));
        assert_null(maps_find(&maps, 0));
        assert_ptr_equal(maps_find(&maps, 0xffffffffff600fff), &maps.items[4]);
        assert_null(maps_find(&maps, UINT64_MAX));
        assert_true(maps_covers(&maps, 0x7f0000000000, 0x7f0000003000));
        assert_true(maps_covers(&maps, 0x7f0000000800, 0x7f0000001001));
        assert_false(maps_covers(&maps, 0x7f0000000000, 0x7f0000003001));
        assert_false(maps_covers(&maps, 0x451000, 0x7f0000000000));
        assert_false(maps_covers(&maps, 0xffffffffff600000, UINT64_MAX));
        maps_done(&maps);
}

static void test_malformed(void **state)
{
        static const char *const texts[] = {
                "nonsense\n",
                "00400000-00452000 r-xp 00000000 08:02 173521",         /* cut off */
                "00400000-00452000 r-xp 00000000 08:02\n",
                "00400000-00452000 r-xp 00000000 08:02 x\n",
                "00400000-00452000 r-xp 00000000 08:02 12/x\n",
                "00400000-00400000 r-xp 00000000 08:02 12\n",           /* empty */
                "00452000-00400000 r-xp 00000000 08:02 12\n",
                "10000000000000000-10000000000001000 r-xp 0 08:02 12\n",/* 65 bits */
                "00400000-00452000 rwz- 00000000 08:02 12\n",
                "00400000-00452000 r-xp 00000000 100000000:02 12\n",
                "00400000-00452000 r-xp 00000000 08:02 99999999999999999999\n",
                "00400000-00452000 r-xp 00000000 08:02 12\n\n",
                ("00400000-00452000 r-xp 00000000 08:02 12\n"
                 "00451000-00453000 r-xp 00000000 08:02 12\n"),         /* overlap */
        };

        (void)state;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                struct maps maps = { 0 };
                struct error err = { 0 };

                if (maps_parse(texts[i], strlen(texts[i]), &maps, &err) >= 0)
                        fail_msg("accepted: %s", texts[i]);
                assert_null(maps.items);
                assert_non_null(strstr(err.cause, "memory map"));
        }
}

static void test_nul_in_text(void **state)
{
        static const char text[] = "00400000-00452000 r-xp 00000000 08:02 12 /a\0b\n";
        struct maps maps = { 0 };

        (void)state;
        assert_true(maps_parse(text, sizeof(text) - 1, &maps, NULL) < 0);
}

static void test_empty(void **state)
{
        struct maps maps = { 0 };

        (void)state;
        assert_int_equal(maps_parse("", 0, &maps, NULL), 0);
        assert_int_equal(maps.n_items, 0);
        assert_null(maps_find(&maps, 1));
        assert_false(maps_covers(&maps, 1, 2));
        maps_done(&maps);
}

/* A long map, and a file with a newline and a space in its name, as this kernel prints them. */
static void test_own(void **state)
{
        const size_t page = 4096, n = 4000;
        char path[] = "/tmp/suture test\nXXXXXX";
        int fd = mkstemp(path);
        struct maps maps = { 0 };
        const struct region *region;
        uint8_t *file, *run;

        (void)state;
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t)page), 0);
        file = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);
        run = mmap(NULL, n * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(file != MAP_FAILED && run != MAP_FAILED);
        for (size_t i = 0; i < n; i += 2)
                assert_int_equal(mprotect(run + i * page, page, PROT_NONE), 0);
        assert_int_equal(unlink(path), 0);
        close(fd);

        assert_int_equal(maps_read(getpid(), &maps, NULL), 0);
        assert_true(maps.n_items > n);
        region = maps_find(&maps, (uintptr_t)file);
        assert_non_null(region);
        assert_true(region->deleted && region->shared && region->readable);
        assert_memory_equal(region->path, "/tmp/suture test\\012", 20);
        for (size_t i = 0; i < n; i++) {
                region = maps_find(&maps, (uintptr_t)run + i * page);
                assert_non_null(region);
                assert_int_equal(region->readable, i % 2);
        }
        assert_true(maps_covers(&maps, (uintptr_t)run, (uintptr_t)run + n * page));
        maps_done(&maps);
        munmap(run, n * page);
        munmap(file, page);
}

static void test_gone(void **state)
{
        struct maps maps = { 0 };
        pid_t pid = fork();

        (void)state;
        if (pid == 0)
                _exit(0);
        assert_true(pid > 0);
        siginfo_t info;
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
        assert_int_equal(maps_read(pid, &maps, NULL), MAPS_GONE); /* a zombie */
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(maps_read(pid, &maps, NULL), MAPS_GONE);
        assert_null(maps.items);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sample),
                cmocka_unit_test(test_find),
                cmocka_unit_test(test_malformed),
                cmocka_unit_test(test_nul_in_text),
                cmocka_unit_test(test_empty),
                cmocka_unit_test(test_own),
                cmocka_unit_test(test_gone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
