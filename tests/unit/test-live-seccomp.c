/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interpreter against the kernel. Every action of a filter is an errno of its own, so a forked
 * child that has installed it learns, call by call, what the kernel made of it; the same program is
 * then run here for the same call.
 */
#include "unit.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "live/seccomp.h"

#define PROBE 1000      /* a system call number that no kernel has: ENOSYS where it is allowed */
#define N_PROBES 400
#define DATA(field) ((uint32_t)offsetof(struct seccomp_data, field))
#define HIGH 4          /* of a 64-bit field */

static uint32_t random_state = 1;

static uint32_t next_random(void)
{
        random_state = random_state * 1664525u + 1013904223u;
        return random_state >> 4;
}

/* Arguments that comparisons are likely to distinguish. */
static void make_call(uint64_t arguments[static 6])
{
        static const uint64_t values[] = { 0, 1, 2, 7, 31, 32, 0x7fffffff, 0x80000000, 0xffffffff,
                                           0x100000000, 0xffffffff00000000, UINT64_MAX };

        for (size_t i = 0; i < 6; i++)
                arguments[i] = next_random() % 4 == 0
                                       ? next_random()
                                       : values[next_random() % ARRAY_SIZE(values)];
}

/* What the kernel answers: errno of the probe, or -1 if the filter could not be installed. */
static void ask_kernel(const struct sock_filter *filter, size_t n, uint64_t calls[][6],
                       int *answers)
{
        struct sock_fprog program = { .len = (unsigned short)n,
                                      .filter = (struct sock_filter *)(uintptr_t)filter };
        pid_t child = fork();
        int status;

        assert_true(child >= 0);
        if (child == 0) {
                bool installed = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                                 syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;

                for (size_t i = 0; i < N_PROBES; i++) {
                        const uint64_t *a = calls[i];

                        errno = 0;
                        if (installed)
                                syscall(PROBE, a[0], a[1], a[2], a[3], a[4], a[5]);
                        answers[i] = installed ? errno : -1;
                }
                _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
}

/* The errno that an action leads to. */
static int errno_of(uint32_t action)
{
        if ((action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO)
                return (int)MIN(action & SECCOMP_RET_DATA, 4095u);
        return (action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ALLOW ? ENOSYS : -2;
}

/*
 * All other system calls pass; the probe runs `body`. The instruction pointer is not the same here
 * and there, so bodies leave it alone. Returns the number of different answers.
 */
static size_t compare(const struct sock_filter *body, size_t n_body)
{
        struct sock_filter filter[BPF_MAXINSNS] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROBE, 1, 0),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        static uint64_t calls[N_PROBES][6];
        int *answers = mmap(NULL, sizeof(int) * N_PROBES, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        size_t n = 3 + n_body, different = 1;

        assert_ptr_not_equal(answers, MAP_FAILED);
        memcpy(filter + 3, body, n_body * sizeof(*body));
        for (size_t i = 0; i < N_PROBES; i++)
                make_call(calls[i]);
        ask_kernel(filter, n, calls, answers);
        for (size_t i = 0; i < N_PROBES; i++) {
                struct seccomp_data data = { .nr = PROBE, .arch = AUDIT_ARCH_X86_64 };

                memcpy(data.args, calls[i], sizeof(data.args));
                assert_int_not_equal(answers[i], -1);
                assert_int_equal(errno_of(seccomp_run(filter, n, &data)), answers[i]);
                different += i > 0 && answers[i] != answers[0];
        }
        munmap(answers, sizeof(int) * N_PROBES);
        return different;
}

#define COMPARE(...)                                                                          \
        ({                                                                                    \
                const struct sock_filter body[] = { __VA_ARGS__ };                            \
                compare(body, ARRAY_SIZE(body));                                              \
        })
/* Returns 12 bits of A as the errno, which shows what was computed. */
#define RETURN_A                                                                              \
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfff),                                           \
                BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO), BPF_STMT(BPF_RET | BPF_A, 0)
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(field))

static void loads_see_what_the_kernel_shows(void **state)
{
        (void)state;
        for (uint32_t i = 0; i < 6; i++) {
                assert_true(COMPARE(LOAD(args[i]), RETURN_A) > 1);
                assert_true(COMPARE(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(args[i]) + HIGH),
                                    RETURN_A) > 1);
        }
        COMPARE(LOAD(nr), RETURN_A);
        COMPARE(LOAD(arch), RETURN_A);
        COMPARE(BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), RETURN_A);
        COMPARE(BPF_STMT(BPF_LDX | BPF_W | BPF_LEN, 0), BPF_STMT(BPF_MISC | BPF_TXA, 0), RETURN_A);
        COMPARE(BPF_STMT(BPF_LD | BPF_IMM, 1234), RETURN_A);
        COMPARE(BPF_STMT(BPF_LDX | BPF_IMM, 1234), BPF_STMT(BPF_MISC | BPF_TXA, 0), RETURN_A);
}

static void arithmetic_is_as_in_the_kernel(void **state)
{
        static const uint16_t operations[] = { BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_AND,
                                               BPF_OR,  BPF_XOR, BPF_LSH, BPF_RSH };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
                COMPARE(LOAD(args[0]), BPF_STMT(BPF_ALU | BPF_K | operations[i], 3), RETURN_A);
                COMPARE(LOAD(args[0]), BPF_STMT(BPF_ALU | BPF_K | operations[i], 31), RETURN_A);
                /* by a variable between 1 and 16 */
                COMPARE(LOAD(args[1]), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 15),
                        BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 1), BPF_STMT(BPF_MISC | BPF_TAX, 0),
                        LOAD(args[0]), BPF_STMT(BPF_ALU | BPF_X | operations[i], 0),
                        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 1), RETURN_A);
        }
        COMPARE(LOAD(args[0]), BPF_STMT(BPF_ALU | BPF_NEG, 0), RETURN_A);
}

static void division_by_zero_ends_the_filter(void **state)
{
        (void)state;
        /* the kernel returns 0, which is to kill the thread: no answer could be compared */
        const struct sock_filter filter[] = {
                BPF_STMT(BPF_LDX | BPF_IMM, 0),
                BPF_STMT(BPF_LD | BPF_IMM, 5),
                BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct seccomp_data data = { .nr = PROBE };

        assert_int_not_equal(seccomp_run(filter, ARRAY_SIZE(filter), &data), SECCOMP_RET_ALLOW);
}

#define ERROR(n) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (n))

static void jumps_are_as_in_the_kernel(void **state)
{
        static const uint16_t operations[] = { BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET };
        static const uint32_t values[] = { 0, 1, 2, 31, 0x7fffffff, 0x80000000, 0xffffffff };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
                for (size_t j = 0; j < ARRAY_SIZE(values); j++)
                        COMPARE(LOAD(args[0]),
                                BPF_JUMP(BPF_JMP | BPF_K | operations[i], values[j], 0, 1),
                                ERROR(10), ERROR(11));
                assert_true(COMPARE(LOAD(args[1]), BPF_STMT(BPF_MISC | BPF_TAX, 0), LOAD(args[0]),
                                    BPF_JUMP(BPF_JMP | BPF_X | operations[i], 0, 1, 0), ERROR(10),
                                    ERROR(11)) > 1);
        }
        COMPARE(BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0), ERROR(10), ERROR(11));
}

static void scratch_memory_is_kept(void **state)
{
        (void)state;
        for (uint32_t i = 0; i < BPF_MEMWORDS; i++)
                COMPARE(LOAD(args[2]), BPF_STMT(BPF_ST, i), LOAD(args[3]),
                        BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_STX, BPF_MEMWORDS - 1 - i),
                        BPF_STMT(BPF_LD | BPF_MEM, i),
                        BPF_STMT(BPF_LDX | BPF_MEM, BPF_MEMWORDS - 1 - i),
                        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0), RETURN_A);
}

/* A program of forward jumps, arithmetic and returns, as the kernel accepts it. */
static size_t make_program(struct sock_filter *ret, size_t max)
{
        static const uint16_t alu[] = { BPF_ADD, BPF_SUB, BPF_MUL, BPF_AND, BPF_OR, BPF_XOR };
        static const uint16_t jumps[] = { BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET };
        const struct sock_filter tail[] = { RETURN_A };
        size_t n = 2, length = 4 + next_random() % (max - 8);

        ret[0] = (struct sock_filter)BPF_STMT(BPF_ST, 0);
        ret[1] = (struct sock_filter)LOAD(args[0]);
        while (n < length) {
                uint32_t k = next_random() % 3 ? next_random() % 8 : next_random() << 8;
                uint16_t source = next_random() % 2 ? BPF_K : BPF_X;
                uint32_t ahead = (uint32_t)(length - n); /* to the tail at most */

                switch (next_random() % 6) {
                case 0:
                        ret[n++] = (struct sock_filter)BPF_STMT(
                                BPF_LD | BPF_W | BPF_ABS, next_random() % 16 * 4);
                        break;
                case 1:
                        ret[n++] = (struct sock_filter)BPF_STMT(
                                next_random() % 2 ? BPF_MISC | BPF_TAX : BPF_MISC | BPF_TXA, 0);
                        break;
                case 2:
                        ret[n++] = (struct sock_filter)BPF_STMT(
                                next_random() % 2 ? BPF_ST : BPF_LD | BPF_MEM, 0);
                        break;
                case 3:
                        ret[n++] = (struct sock_filter)BPF_JUMP(
                                BPF_JMP | source | jumps[next_random() % ARRAY_SIZE(jumps)], k,
                                (uint8_t)(next_random() % ahead),
                                (uint8_t)(next_random() % ahead));
                        break;
                default:
                        ret[n++] = (struct sock_filter)BPF_STMT(
                                BPF_ALU | source | alu[next_random() % ARRAY_SIZE(alu)], k);
                }
        }
        /* the instruction pointer differs between here and there, and so do its two words */
        for (size_t i = 0; i < n; i++)
                if (ret[i].code == (BPF_LD | BPF_W | BPF_ABS) && (ret[i].k == 8 || ret[i].k == 12))
                        ret[i].k = 16;
        memcpy(ret + n, tail, sizeof(tail));
        return n + ARRAY_SIZE(tail);
}

static void random_programs_agree(void **state)
{
        size_t varied = 0;

        (void)state;
        for (unsigned i = 0; i < 300; i++) {
                struct sock_filter body[80];
                size_t n = make_program(body, 60);

                varied += compare(body, n) > 1;
        }
        assert_true(varied > 100);
}

static void malformed_programs_deny(void **state)
{
        static const struct sock_filter rows[][2] = {
                { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), BPF_STMT(BPF_RET | BPF_K, 0x7fff0000) },
                { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 61), BPF_STMT(BPF_RET | BPF_K, 0x7fff0000) },
                { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, UINT32_MAX),
                  BPF_STMT(BPF_RET | BPF_K, 0x7fff0000) },
                { BPF_STMT(BPF_LD | BPF_MEM, BPF_MEMWORDS), BPF_STMT(BPF_RET | BPF_K, 0x7fff0000) },
                { BPF_STMT(BPF_LDX | BPF_MEM, UINT32_MAX), BPF_STMT(BPF_RET | BPF_K, 0x7fff0000) },
                { BPF_STMT(BPF_ST, BPF_MEMWORDS), BPF_STMT(BPF_RET | BPF_K, 0x7fff0000) },
                { BPF_STMT(BPF_STX, UINT32_MAX), BPF_STMT(BPF_RET | BPF_K, 0x7fff0000) },
                { BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0), BPF_STMT(BPF_RET | BPF_K, 0x7fff0000) },
                { BPF_STMT(BPF_ALU | 0xf0, 0), BPF_STMT(BPF_RET | BPF_K, 0x7fff0000) },
                { BPF_STMT(UINT16_MAX, 0), BPF_STMT(BPF_RET | BPF_K, 0x7fff0000) },
                { BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0), BPF_STMT(BPF_RET | BPF_K, 0x7fff0000) },
                { BPF_JUMP(BPF_JMP | BPF_JA, UINT32_MAX - 1, 0, 0),
                  BPF_STMT(BPF_RET | BPF_K, 0x7fff0000) },
                { BPF_STMT(BPF_LD | BPF_IMM, 0), BPF_STMT(BPF_LD | BPF_IMM, 0) }, /* no return */
        };
        struct seccomp_data data = { .nr = PROBE };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (seccomp_run(rows[i], 2, &data) != SECCOMP_RET_KILL_PROCESS)
                        fail_msg("row %zu was let pass", i);
        assert_int_equal(seccomp_run(NULL, 0, &data), SECCOMP_RET_KILL_PROCESS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(loads_see_what_the_kernel_shows),
                cmocka_unit_test(arithmetic_is_as_in_the_kernel),
                cmocka_unit_test(division_by_zero_ends_the_filter),
                cmocka_unit_test(jumps_are_as_in_the_kernel),
                cmocka_unit_test(scratch_memory_is_kept),
                cmocka_unit_test(random_programs_agree),
                cmocka_unit_test(malformed_programs_deny),
        };

        return cmocka_run_group_tests_name("live-seccomp", tests, NULL, NULL);
}
