/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An interpreter for the subset of classic BPF that seccomp accepts (Linux kernel/seccomp.c,
 * seccomp_check_filter: 32-bit loads from struct seccomp_data, scratch memory, arithmetic, forward
 * jumps). A filter is read from the kernel, which has checked it, but it is treated as untrusted.
 */
#include "live/seccomp.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "proc/process.h"

struct machine {
        uint32_t a, x, memory[BPF_MEMWORDS];
};

static bool load(const struct seccomp_data *data, uint32_t offset, uint32_t *ret)
{
        if (offset > sizeof(*data) - 4 || offset % 4 != 0)
                return false;
        memcpy(ret, (const uint8_t *)data + offset, 4);
        return true;
}

static bool compute(struct machine *machine, uint16_t code, uint32_t k)
{
        uint32_t operand = BPF_SRC(code) == BPF_X ? machine->x : k;

        switch (BPF_OP(code)) {
        case BPF_ADD:
                machine->a += operand;
                return true;
        case BPF_SUB:
                machine->a -= operand;
                return true;
        case BPF_MUL:
                machine->a *= operand;
                return true;
        case BPF_DIV:
                machine->a = operand ? machine->a / operand : 0;
                return operand != 0;
        case BPF_AND:
                machine->a &= operand;
                return true;
        case BPF_OR:
                machine->a |= operand;
                return true;
        case BPF_XOR:
                machine->a ^= operand;
                return true;
        case BPF_LSH:
                machine->a = operand < 32 ? machine->a << operand : 0;
                return true;
        case BPF_RSH:
                machine->a = operand < 32 ? machine->a >> operand : 0;
                return true;
        case BPF_NEG:
                machine->a = -machine->a;
                return true;
        default:
                return false;
        }
}

static bool jump_taken(const struct machine *machine, uint16_t code, uint32_t k)
{
        uint32_t operand = BPF_SRC(code) == BPF_X ? machine->x : k;

        switch (BPF_OP(code)) {
        case BPF_JEQ:
                return machine->a == operand;
        case BPF_JGT:
                return machine->a > operand;
        case BPF_JGE:
                return machine->a >= operand;
        default: /* BPF_JSET */
                return (machine->a & operand) != 0;
        }
}

/* Loads, stores and moves. */
static bool transfer(struct machine *machine, const struct sock_filter *insn,
                     const struct seccomp_data *data)
{
        bool in_memory = insn->k < BPF_MEMWORDS;

        switch (insn->code) {
        case BPF_LD | BPF_W | BPF_ABS:
                return load(data, insn->k, &machine->a);
        case BPF_LD | BPF_IMM:
                machine->a = insn->k;
                return true;
        case BPF_LDX | BPF_IMM:
                machine->x = insn->k;
                return true;
        case BPF_LD | BPF_W | BPF_LEN:
                machine->a = sizeof(*data);
                return true;
        case BPF_LDX | BPF_W | BPF_LEN:
                machine->x = sizeof(*data);
                return true;
        case BPF_LD | BPF_MEM:
                machine->a = in_memory ? machine->memory[insn->k] : 0;
                return in_memory;
        case BPF_LDX | BPF_MEM:
                machine->x = in_memory ? machine->memory[insn->k] : 0;
                return in_memory;
        case BPF_ST:
                if (in_memory)
                        machine->memory[insn->k] = machine->a;
                return in_memory;
        case BPF_STX:
                if (in_memory)
                        machine->memory[insn->k] = machine->x;
                return in_memory;
        case BPF_MISC | BPF_TAX:
                machine->x = machine->a;
                return true;
        case BPF_MISC | BPF_TXA:
                machine->a = machine->x;
                return true;
        default:
                return false;
        }
}

uint32_t seccomp_run(const struct sock_filter *filter, size_t n, const struct seccomp_data *data)
{
        struct machine machine = { 0 };

        for (size_t i = 0; i < n; i++) { /* jumps lead forward only, so this ends */
                const struct sock_filter *insn = &filter[i];
                bool ok = true;

                switch (BPF_CLASS(insn->code)) {
                case BPF_RET:
                        return BPF_RVAL(insn->code) == BPF_A ? machine.a : insn->k;
                case BPF_JMP:
                        if (BPF_OP(insn->code) == BPF_JA)
                                i += insn->k;
                        else
                                i += jump_taken(&machine, insn->code, insn->k) ? insn->jt
                                                                               : insn->jf;
                        break;
                case BPF_ALU:
                        ok = compute(&machine, insn->code, insn->k);
                        break;
                default:
                        ok = transfer(&machine, insn, data);
                }
                if (!ok)
                        break;
        }
        return SECCOMP_RET_KILL_PROCESS;
}

static bool lets_pass(uint32_t action)
{
        action &= SECCOMP_RET_ACTION_FULL;
        return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

int seccomp_check(struct tracee *tracee, pid_t pid, const struct arch_call *calls, size_t n_calls,
                  uint64_t instruction, struct error *err)
{
        struct thread_status status;
        int r;

        r = thread_status_read(pid, tracee->tid, &status, err);
        if (r < 0)
                return r;
        if (r > 0 || status.seccomp_mode == SECCOMP_MODE_DISABLED)
                return 0;
        if (status.seccomp_mode == SECCOMP_MODE_STRICT)
                return SECCOMP_DENIES;
        for (unsigned index = 0;; index++) {
                _cleanup_free_ struct sock_filter *filter = NULL;
                size_t n = 0;

                r = tracee_seccomp_filter(tracee, index, &filter, &n, NULL);
                if (r == 1)
                        return 0;
                if (r < 0) /* can't be read: then it can't be relied on either */
                        return SECCOMP_DENIES;
                for (size_t i = 0; i < n_calls; i++) {
                        struct seccomp_data data = { .nr = (int)calls[i].number,
                                                     .arch = AUDIT_ARCH_X86_64,
                                                     .instruction_pointer = instruction };

                        memcpy(data.args, calls[i].arguments, sizeof(data.args));
                        if (!lets_pass(seccomp_run(filter, n, &data)))
                                return SECCOMP_DENIES;
                }
        }
}
