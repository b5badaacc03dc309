/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Modes that make processes, with their memory copied, shared, or thrown away, while the parent is
 * being patched.
 */
#include "victim.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void doze(long ms)
{
        struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

        nanosleep(&time, NULL);
}

/* A child works for a while in its own slot, then ends. Children forked when patched are patched. */
static pid_t fork_worker(struct victim *victim, long ms)
{
        pid_t parent = getpid(), child = fork();
        struct state_slot *slot;

        if (child < 0)
                victim_fail("fork");
        if (child > 0)
                return child;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(0);
        slot = state_take_slot(victim->file);
        for (uint64_t end = state_now_ns() + (uint64_t)ms * 1000000; state_now_ns() < end;) {
                victim_round(victim, slot);
                doze(2);
        }
        state_free_slot(slot);
        _exit(0);
}

static void reap(struct victim *victim, struct state_slot *slot)
{
        int status;
        pid_t pid = waitpid(-1, &status, 0);

        if (pid < 0)
                state_complain(victim->file, errno == EINTR ? &slot->eintr : &slot->wrong, "waitpid");
        else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                state_complain(victim->file, &slot->wrong, "a child ended badly");
}

/* N workers at any time, each of which lives some 60 ms. */
static void run_fork_server(struct victim *victim)
{
        struct state_slot *slot = state_take_slot(victim->file);

        for (int i = 0; i < victim->count; i++)
                fork_worker(victim, 20 + 10 * i);
        victim_ready(victim);
        for (;;) {
                reap(victim, slot);
                victim_round(victim, slot);
                fork_worker(victim, 60);
        }
}

/* A pre-fork server: N workers that stay. */
static void run_prefork(struct victim *victim)
{
        struct state_slot *slot = state_take_slot(victim->file);

        for (int i = 0; i < victim->count; i++)
                fork_worker(victim, 3600000);
        victim_ready(victim);
        for (;;) {
                victim_round(victim, slot);
                doze(5);
        }
}

/* Children that at once become another program: this very one, in a mode that ends by itself. */
static void run_exec_storm(struct victim *victim)
{
        struct state_slot *slot = state_take_slot(victim->file);
        static char *const arguments[] = { "victim", "once", NULL };

        victim_ready(victim);
        for (;;) {
                for (int i = 0; i < victim->count; i++) {
                        pid_t child = fork();

                        if (child == 0) {
                                execv("/proc/self/exe", arguments);
                                _exit(127);
                        }
                }
                for (int i = 0; i < victim->count; i++)
                        reap(victim, slot);
                victim_round(victim, slot);
        }
}

static void run_once(struct victim *victim)
{
        struct state_slot *slot = state_take_slot(victim->file);

        victim_round(victim, slot);
        state_free_slot(slot);
}

/* One process that becomes the same program again every 30 ms, with the same PID. */
static void run_exec_self(struct victim *victim)
{
        struct state_slot *slot = &victim->file->slots[0];
        static char *const arguments[] = { "victim", "exec-self", NULL };

        atomic_store(&slot->id, (uint32_t)getpid());
        atomic_store(&victim->file->state.n_slots, 1);
        victim_ready(victim);
        for (int i = 0; i < 15; i++) {
                victim_round(victim, slot);
                doze(2);
        }
        execv("/proc/self/exe", arguments);
        victim_fail("execv");
}

/* posix_spawn: the child runs in our memory until it execs, and we stand still until then. */
static void run_vfork(struct victim *victim)
{
        struct state_slot *slot = state_take_slot(victim->file);
        static char *const arguments[] = { "true", NULL };

        victim_ready(victim);
        for (;;) {
                pid_t child;

                if (posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) != 0)
                        state_complain(victim->file, &slot->wrong, "posix_spawn");
                else
                        reap(victim, slot);
                victim_round(victim, slot);
        }
}

/* The same with children that take 150 ms before they exec; `held` says that one is there. */
static int slow_child(void *nothing)
{
        static char *const arguments[] = { "true", NULL };

        (void)nothing;
        doze(150);
        execv("/bin/true", arguments);
        _exit(127);
}

static void run_vfork_slow(struct victim *victim)
{
        static char stack[64 << 10] __attribute__((aligned(16)));
        struct state_slot *slot = state_take_slot(victim->file);

        victim_ready(victim);
        for (;;) {
                atomic_store(&victim->file->state.held, 1);
                if (clone(slow_child, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL) < 0)
                        victim_fail("clone");
                atomic_store(&victim->file->state.held, 0);
                reap(victim, slot);
                for (int i = 0; i < 10; i++) {
                        victim_round(victim, slot);
                        doze(5);
                }
        }
}

/* Another process (its own thread group) that works in the same memory. */
__attribute__((noreturn)) static int sibling_main(void *argument)
{
        struct victim *victim = argument;
        struct state_slot *slot;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        slot = state_take_slot(victim->file);
        for (;;) {
                victim_compute(victim, slot, 400);
                victim_round(victim, slot);
        }
}

static void run_vm_sibling(struct victim *victim)
{
        struct state_slot *slot = state_take_slot(victim->file);
        enum { STACK = 256 << 10 };
        char *stack = malloc(STACK);

        /* With a thread area of our own errno would be shared; the sibling uses none. */
        if (!stack || clone(sibling_main, stack + STACK, CLONE_VM | SIGCHLD, victim) < 0)
                victim_fail("clone");
        while (atomic_load(&victim->file->state.n_slots) < 2)
                doze(1);
        victim_ready(victim);
        for (;;) {
                victim_round(victim, slot);
                doze(3);
        }
}

const struct mode modes_process[] = {
        { "fork-server", 4, run_fork_server },
        { "prefork", 4, run_prefork },
        { "exec-storm", 2, run_exec_storm },
        { "once", 1, run_once },
        { "exec-self", 1, run_exec_self },
        { "vfork", 1, run_vfork },
        { "vfork-slow", 1, run_vfork_slow },
        { "vm-sibling", 1, run_vm_sibling },
        { 0 },
};
