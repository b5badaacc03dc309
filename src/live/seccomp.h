/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
/*
 * Will the seccomp filters of a thread let a system call pass? They are read and evaluated for
 * this very call, because suspending them is the one thing that is not proof against suture being
 * killed in between (Linux kernel/seccomp.c; include/uapi/linux/seccomp.h).
 */
#include <stddef.h>
#include <stdint.h>
#include "live/arch/arch.h"
#include "live/tracee.h"

struct sock_filter;
struct seccomp_data;

/* Runs one classic BPF filter: the action, or SECCOMP_RET_KILL_PROCESS where it is malformed. */
uint32_t seccomp_run(const struct sock_filter *filter, size_t n, const struct seccomp_data *data);

enum seccomp_outcome {
        SECCOMP_DENIES = 1,
};
/* 0: every filter of the stopped thread lets all `calls` pass; SECCOMP_DENIES; or a fault. */
int seccomp_check(struct tracee *tracee, pid_t pid, const struct arch_call *calls, size_t n_calls,
                  uint64_t instruction, struct error *err);
