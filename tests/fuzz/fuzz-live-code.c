/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes of a foreign process that are interpreted: machine code whose first instructions are moved,
 * and seccomp filters. The first byte of the input chooses.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "live/arch/arch.h"
#include "live/seccomp.h"
#include "proc/process.h"

#define ADDRESS UINT64_C(0x7f0000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not reached by the interpreter. */
int thread_status_read(pid_t pid, pid_t tid, struct thread_status *ret, struct error *err)
{
        (void)pid, (void)tid, (void)ret, (void)err;
        abort();
}

int tracee_seccomp_filter(struct tracee *tracee, unsigned index, struct sock_filter **ret,
                          size_t *ret_n, struct error *err)
{
        (void)tracee, (void)index, (void)ret, (void)ret_n, (void)err;
        abort();
}

/* Exactly as many bytes as may be read. */
static uint8_t *copy_of(const uint8_t *data, size_t size)
{
        uint8_t *copy = malloc(size ? size : 1);

        if (!copy)
                abort();
        memcpy(copy, data, size);
        return copy;
}

static void displace(const uint8_t *data, size_t size)
{
        uint64_t address = ADDRESS + data[0], place = ADDRESS - (1 << 20);
        size_t padding = MIN((size_t)data[1] % 32, size - 2), length = size - 2 - padding;
        _cleanup_free_ uint8_t *code = copy_of(data + 2, size - 2);
        size_t skip = arch_entry_skip(code, length);
        struct arch_displaced displaced;

        if (skip > length)
                abort();
        if (arch_displace(code, length, size - 2, skip, address, place, &displaced) != 0)
                return;
        if (displaced.size == 0 || displaced.size > ARCH_DISPLACED_MAX ||
            displaced.length < ARCH_JUMP_SIZE || displaced.length > ARCH_ORIGINAL_MAX ||
            skip + displaced.length > size - 2)
                abort();
}

static void run_filter(const uint8_t *data, size_t size)
{
        size_t n = size / sizeof(struct sock_filter);
        _cleanup_free_ uint8_t *copy = copy_of(data, n * sizeof(struct sock_filter));
        struct seccomp_data call = { .nr = 9, .args = { 1, 2, 3, 4, 5, UINT64_MAX } };

        (void)seccomp_run((const struct sock_filter *)copy, n, &call);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size >= 3 && data[0] % 2 == 0)
                displace(data + 1, size - 1);
        else if (size >= 1 && data[0] % 2 == 1)
                run_filter(data + 1, size - 1);
        return 0;
}
