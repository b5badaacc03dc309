/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include "daemon/crash-guard.h"

#define _cleanup_guard_ _cleanup_(crash_guard_freep)
#define MINUTE 60000000000ull
#define SERVICE "nginx.service"

static const struct crash_guard_limits limits = { .deaths = 3, .within_ns = 10 * MINUTE };

/* A death by SIGSEGV with one patch, or none for "". */
static int die(struct crash_guard *guard, uint64_t minute, const char *patch,
               struct crash_guard_verdict *verdict)
{
        const char *patches[] = { patch };
        struct crash_guard_death death = {
                .service = SERVICE, .patches = patches, .n_patches = *patch ? 1 : 0,
                .signal = SIGSEGV, .time_ns = minute * MINUTE,
        };

        return crash_guard_death(guard, &death, verdict);
}

static void test_third_death(void **state)
{
        _cleanup_guard_ struct crash_guard *guard = crash_guard_new(&limits);
        struct crash_guard_verdict verdict = { 0 };

        (void)state;
        assert_true(crash_guard_activated(guard, SERVICE, "SUT-1.1", 100 * MINUTE));
        assert_int_equal(die(guard, 101, "SUT-1.1", &verdict), 0);
        assert_int_equal(die(guard, 102, "SUT-1.1", &verdict), 0);
        assert_int_equal(die(guard, 103, "SUT-1.1", &verdict), CRASH_GUARD_QUARANTINE);
        assert_string_equal(verdict.patch, "SUT-1.1");
        assert_int_equal(verdict.deaths, 3);
        assert_int_equal(verdict.before, 0);
        assert_string_equal(verdict.reason, "nginx.service died 3 times within 600 s with the "
                                            "patch, last by signal 11; before it 0 times");
        /* Once is enough; what follows without it is no news. */
        assert_int_equal(die(guard, 104, "", &verdict), 0);
}

static void test_too_slow(void **state)
{
        _cleanup_guard_ struct crash_guard *guard = crash_guard_new(&limits);
        struct crash_guard_verdict verdict;

        (void)state;
        for (uint64_t i = 0; i < 200; i++)
                assert_int_equal(die(guard, 100 + 6 * i, "SUT-1.1", &verdict), 0);
}

/* A service that died as often before dies by itself. */
static void test_before(void **state)
{
        _cleanup_guard_ struct crash_guard *guard = crash_guard_new(&limits);
        struct crash_guard_verdict verdict;

        (void)state;
        for (uint64_t i = 0; i < 4; i++)
                assert_int_equal(die(guard, 10 + i, "", &verdict), 0);
        assert_true(crash_guard_activated(guard, SERVICE, "SUT-1.1", 100 * MINUTE));
        for (uint64_t i = 0; i < 4; i++)
                assert_int_equal(die(guard, 101 + i, "SUT-1.1", &verdict), 0);
        assert_int_equal(die(guard, 105, "SUT-1.1", &verdict), CRASH_GUARD_QUARANTINE);
        assert_int_equal(verdict.before, 4);
}

static void test_last_of_two(void **state)
{
        _cleanup_guard_ struct crash_guard *guard = crash_guard_new(&limits);
        const char *both[] = { "SUT-2.1", "SUT-1.1" };
        struct crash_guard_death death = {
                .service = SERVICE, .patches = both, .n_patches = 2, .signal = SIGABRT,
                .time_ns = 200 * MINUTE,
        };
        struct crash_guard_verdict verdict;

        (void)state;
        crash_guard_activated(guard, SERVICE, "SUT-1.1", 100 * MINUTE);
        crash_guard_activated(guard, SERVICE, "SUT-2.1", 199 * MINUTE);
        assert_int_equal(crash_guard_death(guard, &death, &verdict), 0);
        assert_int_equal(crash_guard_death(guard, &death, &verdict), 0);
        assert_int_equal(crash_guard_death(guard, &death, &verdict), CRASH_GUARD_QUARANTINE);
        assert_string_equal(verdict.patch, "SUT-2.1");
        /* It was the other one after all: that takes three deaths more. */
        assert_int_equal(die(guard, 201, "SUT-1.1", &verdict), 0);
        assert_int_equal(die(guard, 202, "SUT-1.1", &verdict), 0);
        assert_int_equal(die(guard, 203, "SUT-1.1", &verdict), CRASH_GUARD_QUARANTINE);
        assert_string_equal(verdict.patch, "SUT-1.1");
}

static void test_what_counts(void **state)
{
        struct crash_guard_death death = { .signal = SIGTERM };

        (void)state;
        assert_false(crash_guard_counts(&death));
        death.signal = SIGKILL;
        assert_false(crash_guard_counts(&death));
        death.signal = SIGBUS;
        assert_true(crash_guard_counts(&death));
        death.signal = 0;
        death.exit_status = 1;
        assert_false(crash_guard_counts(&death));
        death.service_main = true;
        assert_true(crash_guard_counts(&death));
        death.exit_status = 0;
        assert_false(crash_guard_counts(&death));
}

static void test_off(void **state)
{
        const struct crash_guard_limits off = { .deaths = 0, .within_ns = MINUTE };
        _cleanup_guard_ struct crash_guard *guard = crash_guard_new(&off);
        struct crash_guard_verdict verdict;

        (void)state;
        for (int i = 0; i < 9; i++)
                assert_int_equal(die(guard, 1, "SUT-1.1", &verdict), 0);
}

static struct crash_guard *restart(struct crash_guard *guard, const char *old_boot, uint64_t old_now,
                                   const char *boot, uint64_t now)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        struct crash_guard *restored = NULL;
        struct error err = { 0 };

        assert_int_equal(crash_guard_save(guard, old_boot, old_now, &text, &err), 0);
        assert_int_equal(crash_guard_restore(text.data, text.size, &limits, boot, now, &restored,
                                             &err), 0);
        crash_guard_free(guard);
        return restored;
}

/* The daemon restarts after every death, the machine after some; neither forgets. */
static void test_restarts(void **state)
{
        struct crash_guard *guard = crash_guard_new(&limits);
        struct crash_guard_verdict verdict;

        (void)state;
        crash_guard_activated(guard, SERVICE, "SUT-1.1", 100 * MINUTE);
        assert_int_equal(die(guard, 101, "SUT-1.1", &verdict), 0);
        guard = restart(guard, "a", 102 * MINUTE, "a", 102 * MINUTE);
        assert_int_equal(crash_guard_clock(guard, 102 * MINUTE), 102 * MINUTE);
        assert_int_equal(die(guard, 102, "SUT-1.1", &verdict), 0);
        /* Another boot, whose clock begins at 0 again: the guard's goes on. */
        guard = restart(guard, "a", 103 * MINUTE, "b", 1 * MINUTE);
        assert_int_equal(crash_guard_clock(guard, 2 * MINUTE), 104 * MINUTE);
        guard = restart(guard, "b", 2 * MINUTE, "b", 3 * MINUTE);
        assert_int_equal(crash_guard_clock(guard, 3 * MINUTE), 105 * MINUTE);
        assert_int_equal(die(guard, 105, "SUT-1.1", &verdict), CRASH_GUARD_QUARANTINE);
        crash_guard_free(guard);
}

static void test_damaged(void **state)
{
        _cleanup_guard_ struct crash_guard *guard = crash_guard_new(&limits);
        _cleanup_buffer_ struct buffer text = { 0 };
        struct crash_guard_verdict verdict;
        struct error err = { 0 };

        (void)state;
        die(guard, 1, "SUT-1.1", &verdict);
        assert_int_equal(crash_guard_save(guard, "a", 0, &text, &err), 0);
        for (size_t size = 0; size < text.size - 1; size++) {
                struct crash_guard *restored = NULL;

                assert_true(crash_guard_restore(text.data, size, &limits, "a", 0, &restored,
                                                &err) < 0);
        }
}

/* However many services and deaths there are, what is kept is bounded. */
static void test_bounded(void **state)
{
        _cleanup_guard_ struct crash_guard *guard = crash_guard_new(&limits);
        _cleanup_buffer_ struct buffer text = { 0 };
        struct crash_guard_verdict verdict;
        struct error err = { 0 };

        (void)state;
        for (uint64_t i = 0; i < 20000; i++) {
                char service[32], patch[32];
                const char *patches[] = { patch };
                struct crash_guard_death death = {
                        .service = service, .patches = patches, .n_patches = 1, .signal = SIGSEGV,
                        .time_ns = i * 11 * MINUTE,
                };

                snprintf(service, sizeof(service), "s%d.service", (int)(i % 3000));
                snprintf(patch, sizeof(patch), "SUT-%d.1", (int)(i % 70));
                assert_int_equal(crash_guard_death(guard, &death, &verdict), 0);
        }
        assert_int_equal(crash_guard_save(guard, "a", 0, &text, &err), 0);
        assert_true(text.size < CRASH_GUARD_MAX_BYTES);
        {
                struct crash_guard *restored = NULL;

                assert_int_equal(crash_guard_restore(text.data, text.size, &limits, "a", 0,
                                                     &restored, &err), 0);
                crash_guard_free(restored);
        }
}

static void test_file(void **state)
{
        char folder[] = "/tmp/suture-test-crash.XXXXXX", command[64];
        _cleanup_close_ int fd = -1;
        _cleanup_guard_ struct crash_guard *guard = NULL;
        struct crash_guard_verdict verdict;
        struct error err = { 0 };

        (void)state;
        assert_non_null(mkdtemp(folder));
        fd = open(folder, O_RDONLY | O_DIRECTORY);
        for (uint64_t i = 0; i < 3; i++) {
                assert_int_equal(crash_guard_load(fd, &limits, &guard, &err), 0);
                assert_int_equal(die(guard, 100 + i, "SUT-1.1", &verdict),
                                 i == 2 ? CRASH_GUARD_QUARANTINE : 0);
                assert_int_equal(crash_guard_store(guard, fd, &err), 0);
                guard = crash_guard_free(guard);
        }
        snprintf(command, sizeof(command), "rm -r '%s'", folder);
        assert_int_equal(system(command), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_third_death), cmocka_unit_test(test_too_slow),
                cmocka_unit_test(test_before), cmocka_unit_test(test_last_of_two),
                cmocka_unit_test(test_what_counts), cmocka_unit_test(test_off),
                cmocka_unit_test(test_restarts), cmocka_unit_test(test_damaged),
                cmocka_unit_test(test_bounded), cmocka_unit_test(test_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
