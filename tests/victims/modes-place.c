/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Modes that are a difficult place to work in: forbidden system calls, no room for memory, memory
 * that may not become executable, code that no longer comes from a file, a module mapped twice.
 */
#include "victim.h"
#include <dlfcn.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "subject.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif
#ifndef PR_MDWE_REFUSE_EXEC_GAIN
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

__attribute__((noreturn)) static void work(struct victim *victim)
{
        struct state_slot *slot = state_take_slot(victim->file);
        struct timespec pause = { .tv_nsec = 3000000 };

        victim_ready(victim);
        for (;;) {
                victim_round(victim, slot);
                victim_compute(victim, slot, 200);
                if (nanosleep(&pause, NULL) < 0)
                        state_complain(victim->file, &slot->eintr, "nanosleep");
        }
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))
/* Answers `value` to the system call `nr`. */
#define ON(nr, value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), RETURN(value)

static void install_filter(const struct sock_filter *filter, size_t n)
{
        struct sock_fprog program = { .len = (unsigned short)n, .filter = (struct sock_filter *)filter };

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
                victim_fail("seccomp");
}
#define INSTALL(filter) install_filter(filter, sizeof(filter) / sizeof((filter)[0]))

/* Death to all that changes memory, as a strict sandbox has it. */
static void run_seccomp_kill(struct victim *victim)
{
        static const struct sock_filter filter[] = {
                LOAD(arch),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
                RETURN(SECCOMP_RET_KILL_PROCESS),
                LOAD(nr),
                ON(SYS_mmap, SECCOMP_RET_KILL_PROCESS),
                ON(SYS_munmap, SECCOMP_RET_KILL_PROCESS),
                ON(SYS_mprotect, SECCOMP_RET_KILL_PROCESS),
                ON(SYS_mremap, SECCOMP_RET_KILL_PROCESS),
                ON(SYS_madvise, SECCOMP_RET_KILL_PROCESS),
                ON(SYS_prctl, SECCOMP_RET_KILL_PROCESS),
                RETURN(SECCOMP_RET_ALLOW),
        };

        INSTALL(filter);
        work(victim);
}

/* The list of what the victim itself needs, and death to the rest; two filters, one above the other. */
static void run_seccomp_list(struct victim *victim)
{
        static const struct sock_filter outer[] = {
                LOAD(nr),
                ON(SYS_ptrace, SECCOMP_RET_ERRNO | EPERM),
                RETURN(SECCOMP_RET_ALLOW),
        };
        static const struct sock_filter inner[] = {
                LOAD(nr),
                ON(SYS_nanosleep, SECCOMP_RET_ALLOW),
                ON(SYS_clock_nanosleep, SECCOMP_RET_ALLOW),
                ON(SYS_restart_syscall, SECCOMP_RET_ALLOW),
                ON(SYS_gettid, SECCOMP_RET_ALLOW),
                ON(SYS_exit_group, SECCOMP_RET_ALLOW),
                RETURN(SECCOMP_RET_KILL_PROCESS),
        };

        INSTALL(outer);
        INSTALL(inner);
        work(victim);
}

/* Memory calls answered with an error. */
static void run_seccomp_errno(struct victim *victim)
{
        static const struct sock_filter filter[] = {
                LOAD(nr),
                ON(SYS_mmap, SECCOMP_RET_ERRNO | EPERM),
                ON(SYS_mprotect, SECCOMP_RET_ERRNO | EPERM),
                RETURN(SECCOMP_RET_ALLOW),
        };

        INSTALL(filter);
        work(victim);
}

/* As systemd's MemoryDenyWriteExecute: no mmap with both, no mprotect to executable. */
static void run_seccomp_mdwe(struct victim *victim)
{
        static const struct sock_filter filter[] = {
                LOAD(nr),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3),
                LOAD(args[2]),
                BPF_STMT(BPF_ALU | BPF_AND | BPF_K, PROT_WRITE | PROT_EXEC),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROT_WRITE | PROT_EXEC, 4, 5),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 1, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pkey_mprotect, 0, 3),
                LOAD(args[2]),
                BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
                RETURN(SECCOMP_RET_KILL_PROCESS),
                RETURN(SECCOMP_RET_ALLOW),
        };

        INSTALL(filter);
        work(victim);
}

/* A filter that allows all is what most sandboxes are to suture. */
static void run_seccomp_allow(struct victim *victim)
{
        static const struct sock_filter filter[] = { RETURN(SECCOMP_RET_ALLOW) };

        INSTALL(filter);
        work(victim);
}

static void run_mdwe(struct victim *victim)
{
        if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) < 0)
                victim_fail("PR_SET_MDWE");
        work(victim);
}

static size_t size_of_address_space(void)
{
        char line[256];
        FILE *file = fopen("/proc/self/statm", "r");
        unsigned long pages = 0;

        if (!file || !fgets(line, sizeof(line), file) || sscanf(line, "%lu", &pages) != 1)
                victim_fail("statm");
        fclose(file);
        return pages * 4096;
}

/* N pages of room, by default none worth speaking of. */
static void run_rlimit(struct victim *victim)
{
        size_t size = size_of_address_space() + (size_t)victim->count * 4096;
        struct rlimit limit = { .rlim_cur = size, .rlim_max = size };

        if (setrlimit(RLIMIT_AS, &limit) < 0)
                victim_fail("setrlimit");
        work(victim);
}

/* Two processes of one tree, of which the child has no room: together they are all or nothing. */
static void run_family(struct victim *victim)
{
        pid_t parent = getpid(), child = fork();

        if (child < 0)
                victim_fail("fork");
        if (child == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (getppid() != parent)
                        _exit(0);
                run_rlimit(victim);
        }
        while (!atomic_load(&victim->file->state.ready))
                usleep(1000);
        work(victim);
}

static void run_undumpable(struct victim *victim)
{
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                victim_fail("PR_SET_DUMPABLE");
        work(victim);
}

/* Another copy of the same library, with its own data, in its own namespace of the linker. */
static void run_dlmopen(struct victim *victim)
{
        struct state_slot *slot = state_take_slot(victim->file);
        struct state_slot *second = state_take_slot(victim->file);
        void *library = dlmopen(LM_ID_NEWLM, getenv("VICTIM_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
        static const unsigned char hostile[48] = { 40, 'a', 'b', 'c', 'd', 'e', 'f', 'g' };
        int (*check)(const unsigned char *, size_t) = library ? dlsym(library, "subject_check") : NULL;
        int (*format)(char *, size_t, unsigned) = library ? dlsym(library, "subject_format") : NULL;
        char text[16];

        if (!check || !format || check == subject_check)
                victim_fail("dlmopen");
        victim_ready(victim);
        for (;;) {
                uint32_t answer = ANSWER_ASKED;

                victim_round(victim, slot);
                answer |= check(hostile, 8) == -1 ? ANSWER_CHECK_FIXED : 0;
                answer |= format(text, 4, 4711) == -1 ? ANSWER_FORMAT_FIXED : 0;
                atomic_store(&second->answer, answer);
                atomic_fetch_add(&second->rounds, 1);
                usleep(2000);
        }
}

/* The mapping that holds `address`, from /proc/self/maps. */
static void find_mapping(const void *address, uintptr_t *begin, uintptr_t *end)
{
        FILE *file = fopen("/proc/self/maps", "r");
        char line[512];

        while (file && fgets(line, sizeof(line), file)) {
                if (sscanf(line, "%lx-%lx", begin, end) == 2 && *begin <= (uintptr_t)address &&
                    (uintptr_t)address < *end) {
                        fclose(file);
                        return;
                }
        }
        victim_fail("no mapping of the subject");
}

/*
 * The subject's code moved to anonymous memory at the same address, as programs do that put their
 * code into huge pages: no file, no path, only the bytes.
 */
static void run_anonymous_text(struct victim *victim)
{
        uintptr_t begin, end;
        void *copy;

        find_mapping((void *)subject_check, &begin, &end);
        copy = mmap(NULL, end - begin, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (copy == MAP_FAILED)
                victim_fail("mmap");
        memcpy(copy, (void *)begin, end - begin);
        if (mprotect(copy, end - begin, PROT_READ | PROT_EXEC) < 0 ||
            mremap(copy, end - begin, end - begin, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)begin) ==
                    MAP_FAILED)
                victim_fail("mremap");
        madvise((void *)begin, end - begin, MADV_HUGEPAGE);
        work(victim);
}

/* A process that waits for its end while its first thread is gone already. */
__attribute__((noreturn)) static void work_on(struct victim *victim, struct state_slot *slot)
{
        for (;;) {
                victim_round(victim, slot);
                usleep(3000);
        }
}

static void run_leaderless(struct victim *victim)
{
        victim_thread(victim, work_on);
        victim_thread(victim, work_on);
        while (atomic_load(&victim->file->state.n_slots) < 2)
                usleep(1000);
        victim_ready(victim);
        syscall(SYS_exit, 0);
}

static void run_plain(struct victim *victim)
{
        work(victim);
}

/* Lives for N milliseconds after `release` is written, then ends. */
static void run_mortal(struct victim *victim)
{
        struct state_slot *slot = state_take_slot(victim->file);

        victim_ready(victim);
        while (!atomic_load(&victim->file->state.release))
                victim_round(victim, slot);
        for (uint64_t end = state_now_ns() + (uint64_t)victim->count * 1000000; state_now_ns() < end;)
                victim_round(victim, slot);
        exit(0);
}

const struct mode modes_place[] = {
        { "plain", 1, run_plain },
        { "seccomp-kill", 1, run_seccomp_kill },
        { "seccomp-list", 1, run_seccomp_list },
        { "seccomp-errno", 1, run_seccomp_errno },
        { "seccomp-mdwe", 1, run_seccomp_mdwe },
        { "seccomp-allow", 1, run_seccomp_allow },
        { "mdwe", 1, run_mdwe },
        { "rlimit", 1, run_rlimit },
        { "family", 1, run_family },
        { "undumpable", 1, run_undumpable },
        { "dlmopen", 1, run_dlmopen },
        { "anonymous-text", 1, run_anonymous_text },
        { "leaderless", 2, run_leaderless },
        { "mortal", 5, run_mortal },
        { 0 },
};
