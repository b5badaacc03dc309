/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the exec to the entry point. At the exec stop the new program and its dynamic linker are
 * mapped and not one of their instructions has run: there the detour is laid (entry-place.h). The
 * linker then does its work undisturbed and jumps to the detour, which sends a signal that is
 * ignored by default. The tracer sees it as a stop, drops it, takes the detour away, and has before
 * it a program in which everything is mapped and nothing has run. It keeps the thread stopped
 * (tracee_hold) while the engine does what it does to any process.
 *
 * Where all of those signals are blocked, which a program inherits, the stop is taken from the
 * detour's system call instead; then every system call of the linker stops, too.
 */
#include "live/entry.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "live/arch/arch.h"
#include "live/entry-place.h"
#include "live/instance.h"
#include "live/live.h"
#include "live/seccomp.h"
#include "proc/process.h"

#define LOOK_NS 50000000u               /* how long a stop is waited for before looking round */
#define FIRST_STOP_NS 500000000u
#define BLOCKED_NS 250000u              /* to take hold of a thread that waits takes some ten us */
#define EARLY_STOPS 4                   /* of the linker, until it has read the entry point */
#define LOADING_NS 1000000000u
#define LOADING_STOPS 400
#define ASLEEP_NS 100000000u            /* for a thread that is on its way to sleep */
#define RELEASE_TRIES 10
#define MISSED_NS 20000000u             /* no exec stop for so long: was there an exec? */

struct entry {
        pid_t pid;
        struct tracee tracee;
        struct target *target;
        struct entry_place place;
        int signal;             /* that the detour sends; 0: its system call is watched */
        bool execing;           /* no exec stop has been seen yet */
        bool loading;           /* the program runs, and its linker maps a library */
        unsigned n_early;       /* stops in the linker where that stop was missed */
        uint64_t taken_at_ns;
};

static bool stuck;

bool entry_is_stuck(void)
{
        return stuck;
}

struct entry *entry_free(struct entry *entry)
{
        bool released = false;
        pid_t child;

        if (!entry)
                return NULL;
        for (unsigned i = 0; i < RELEASE_TRIES && !released; i++)
                released = tracee_release(&entry->tracee, &child);
        stuck = stuck || !released;
        target_free(entry->target);
        free(entry);
        return NULL;
}

/* --- Taking ------------------------------------------------------------------------------ */

/* proc(5), /proc/PID/syscall: of a thread that sleeps in one. False where it does not. */
static bool read_system_call(pid_t tid, long *ret_number, uint64_t *ret_sp, uint64_t *ret_pc)
{
        _cleanup_buffer_ struct buffer text = { 0 };
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
        if (file_read(path, 512, &text, NULL) < 0)
                return false;
        return sscanf((const char *)text.data, "%ld %*x %*x %*x %*x %*x %*x %lx %lx", ret_number,
                      ret_sp, ret_pc) == 3 ||
               sscanf((const char *)text.data, "%ld %*s %*s %*s %*s %*s %*s %lx %lx", ret_number,
                      ret_sp, ret_pc) == 3;
}

/* A thread that has asked a question may not be asleep yet. */
static bool wait_for_system_call(pid_t tid, long *ret_number, uint64_t *ret_sp, uint64_t *ret_pc)
{
        uint64_t until_ns = clock_now_ns() + ASLEEP_NS;

        while (!read_system_call(tid, ret_number, ret_sp, ret_pc)) {
                if (clock_now_ns() > until_ns)
                        return false;
                sched_yield();
        }
        return true;
}

static int take(pid_t pid, pid_t tid, struct entry **ret, struct error *err)
{
        _cleanup_(entry_freep) struct entry *entry = calloc(1, sizeof(*entry));
        int r;

        if (!entry)
                return error_no_memory(err);
        entry->pid = pid;
        entry->taken_at_ns = clock_now_ns();
        r = tracee_seize(&entry->tracee, tid, false, err);
        if (r != 0)
                return r == TRACEE_GONE ? ENTRY_GONE : ENTRY_LEFT_ALONE;
        *ret = STEAL(entry);
        return 0;
}

int entry_take_exec(pid_t pid, pid_t tid, struct entry **ret, struct error *err)
{
        uint64_t began_ns = clock_now_ns();
        int r = take(pid, tid, ret, err);

        if (r != 0)
                return r;
        (*ret)->execing = true;
        /* taken at the end of its exec, and perhaps too late for the stop there */
        if (clock_now_ns() - began_ns > BLOCKED_NS)
                tracee_interrupt(&(*ret)->tracee);
        return 0;
}

static int open_target(struct entry *entry, struct error *err)
{
        struct process process;
        int r = process_read(entry->pid, &process, err);

        target_free(entry->target);
        entry->target = NULL;
        if (r != 0)
                return r < 0 ? r : ENTRY_GONE;
        r = target_open(entry->pid, process.start_ticks, NULL, 0, NULL, &entry->target, err);
        if (r == 0)
                r = entry_place_read(entry->target, &entry->place, err);
        return r == TARGET_GONE ? ENTRY_GONE : r;
}

/* The first signal that the program ignores by default and does not block; 0 if it blocks all. */
static int choose_signal(const struct entry *entry)
{
        static const int signals[] = { SIGURG, SIGWINCH, SIGCHLD };
        struct thread_status status;

        if (thread_status_read(entry->pid, entry->pid, &status, NULL) != 0)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
                if (!(status.blocked & (UINT64_C(1) << (signals[i] - 1))))
                        return signals[i];
        return 0;
}

static int settle_place(const struct entry *entry, int r, struct error *err)
{
        switch (r) {
        case ENTRY_PLACE_BEGUN:
        case ENTRY_PLACE_UNKNOWN:
                return ENTRY_RUNS;
        case ENTRY_PLACE_NO_ROOM:
                error_set(err, EXIT_CODE_UNSUPPORTED, 0, NULL,
                          "no page of code of pid %d has room for the detour", entry->pid);
                return ENTRY_RUNS;
        case TARGET_GONE:
                return ENTRY_GONE;
        }
        return r;
}

static int redirect(struct entry *entry, uint64_t sp, struct error *err)
{
        int r;

        entry->signal = choose_signal(entry);
        r = entry_place_redirect(entry->target, &entry->place, sp, entry->signal, err);
        return settle_place(entry, r, err);
}

int entry_take_library(pid_t pid, pid_t tid, bool local, struct entry **ret, struct error *err)
{
        _cleanup_(entry_freep) struct entry *entry = NULL;
        uint64_t sp, pc;
        long number;
        int r;

        if (!wait_for_system_call(tid, &number, &sp, &pc) ||
            (number != SYS_openat && number != SYS_open && number != SYS_openat2))
                return ENTRY_UNRELATED;
        entry = calloc(1, sizeof(*entry));
        if (!entry)
                return error_no_memory(err);
        entry->pid = pid;
        r = open_target(entry, err);
        if (r < 0)
                log_debug("pid %d opens a library: %s", pid, err->cause);
        if (r < 0 || (r == 0 && !entry_place_in_linker(entry->target, &entry->place, pc)))
                return ENTRY_UNRELATED;
        if (r != 0)
                return r;
        /* before it is seized: while it waits in the opening it could not be let go */
        r = ENTRY_RUNS;
        if (tid == pid && entry->place.linker)
                r = settle_place(entry,
                                 entry_place_check(entry->target, &entry->place, sp, err), err);
        entry->loading = r == ENTRY_RUNS;
        if ((r != 0 && r != ENTRY_RUNS) || (entry->loading && !local))
                return r;
        entry->taken_at_ns = clock_now_ns();
        r = tracee_seize(&entry->tracee, tid, false, err);
        if (r != 0)
                return r == TRACEE_GONE ? ENTRY_GONE : ENTRY_LEFT_ALONE;
        if (!entry->loading)
                r = redirect(entry, sp, err);
        if (r != 0)
                return r;
        /* calls can be watched from a stop on only: the return from the opening */
        if (entry->loading || (entry->signal == 0 && local))
                tracee_interrupt(&entry->tracee);
        *ret = STEAL(entry);
        return 0;
}

/* --- Patching what is held --------------------------------------------------------------- */

static void note_name(struct entry_report *report, const struct patch *patch)
{
        char name[PATCH_NAME_SIZE];
        size_t used = strlen(report->names);

        patch_format_name(patch, name);
        snprintf(report->names + used, sizeof(report->names) - used, "%s%s", used ? " " : "", name);
}

static int outcome_error(struct target *target, int outcome, struct error *err)
{
        if (outcome == TARGET_BUSY && err)
                *err = target->busy;
        return outcome;
}

/* Prepares, switches and proves one module; the thread stands still but for the calls it makes. */
static int patch_module(struct target *target, uint64_t address, const struct patch *patch,
                        const struct patch_target *spec, struct error *err)
{
        _cleanup_(instance_freep) struct instance *instance = NULL;
        int r = instance_open(target, address, &instance, err);

        if (r == 0)
                r = instance_prepare(instance, patch, spec, err);
        if (r == INSTANCE_UNCHANGED)
                return r;
        if (r == 0)
                r = instance_act_stopped(instance, false, instance_activate, err);
        if (r == 0)
                r = instance_prove(instance, err);
        if (instance)
                (void)instance_clean(instance, NULL);
        return outcome_error(target, r, err);
}

static entry_wanted *wanted_asked;
static void *wanted_context;

void entry_set_wanted(entry_wanted *wanted, void *context)
{
        wanted_asked = wanted;
        wanted_context = context;
}

static bool is_wanted(pid_t pid, const struct patch *patch)
{
        return !wanted_asked || wanted_asked(wanted_context, pid, patch);
}

static void patch_held(struct entry *entry, const struct patch *const *patches, size_t n_patches,
                       struct entry_report *report)
{
        struct target *target = entry->target;

        for (size_t p = 0; p < n_patches; p++) {
                /* what one patch maps makes the list of modules another */
                for (size_t i = 0;; i++) {
                        const struct patch_target *spec;
                        int r = target_refresh_maps(target, &report->error);

                        if (r == 0)
                                r = target_read_modules(target, &report->error);
                        if (r != 0 || i >= target->modules.n_items)
                                break;
                        spec = patch_find_target(patches[p], &target->modules.items[i].build_id);
                        if (!spec || !is_wanted(target->pid, patches[p]))
                                continue;
                        r = patch_module(target, target->modules.items[i].address, patches[p],
                                         spec, &report->error);
                        if (r == 0)
                                report->n_patched++;
                        else if (r == INSTANCE_UNCHANGED)
                                report->n_unchanged++;
                        else
                                report->n_failed++;
                        note_name(report, patches[p]);
                }
        }
}

static int at_entry(struct entry *entry, const struct patch *const *patches, size_t n_patches,
                    struct entry_report *report, struct error *err)
{
        uint64_t began_ns = clock_now_ns();
        int r = target_read_maps(entry->target, err);

        report->linking_ns = began_ns - entry->taken_at_ns;
        if (r != 0)
                return r < 0 ? r : ENTRY_GONE;
        tracee_hold(&entry->tracee);
        patch_held(entry, patches, n_patches, report);
        r = tracee_unhold(&entry->tracee) ? 0 : ENTRY_GONE;
        report->held_ns = clock_now_ns() - began_ns;
        return r;
}

/* --- On the way -------------------------------------------------------------------------- */

/* At the stop in the detour: the thread is put to the entry point, then the detour is removed. */
static int leave_detour(struct entry *entry, struct error *err)
{
        struct user_regs_struct regs = entry->tracee.regs;
        uint64_t words[ARCH_ENTRY_WORDS];
        int r = target_read(entry->target, arch_regs_sp(&regs), words, sizeof(words), err);

        if (r == 0) {
                arch_entry_begin(&regs, entry->place.entry, words);
                r = tracee_set_regs(&entry->tracee, &regs, err);
        }
        (void)fault_here(FAULT_ENTRY_REACHED);
        if (r == 0)
                r = entry_place_restore(entry->target, &entry->place, err);
        return r > 0 ? ENTRY_GONE : r;
}

static bool in_detour(const struct entry *entry)
{
        const struct tracee *tracee = &entry->tracee;

        return entry->place.stub &&
               arch_regs_pc(&tracee->regs) == entry->place.stub + arch_entry_stub_sent &&
               (entry->signal ? tracee->signal == entry->signal : tracee_at_system_call(tracee));
}

static int check_seccomp(struct entry *entry, struct error *err)
{
        struct arch_call calls[ARCH_ENTRY_CALLS];

        for (size_t i = 0; i < ARCH_ENTRY_CALLS; i++)
                calls[i] = (struct arch_call){ .number = arch_entry_calls[i] };
        return seccomp_check(&entry->tracee, entry->pid, calls, ARCH_ENTRY_CALLS, 0, err);
}

/*
 * At the exec stop. 0: on its way, by the detour. ENTRY_UNRELATED: it is at its entry point.
 */
static int at_exec(struct entry *entry, struct error *err)
{
        struct tracee *tracee = &entry->tracee;
        int r;

        entry->execing = false;
        entry->taken_at_ns = clock_now_ns();
        r = open_target(entry, err);
        if (r != 0)
                return r;
        if (arch_regs_pc(&tracee->regs) == entry->place.entry) { /* static */
                r = tracee_run_to_first_instruction(tracee, clock_now_ns() + FIRST_STOP_NS, err);
                if (r != 0 || tracee->signal || tracee_in_group_stop(tracee))
                        return r == TRACEE_GONE ? ENTRY_GONE : ENTRY_RUNS;
                return ENTRY_UNRELATED;
        }
        if (check_seccomp(entry, err) != 0) {
                error_set(err, EXIT_CODE_UNSUPPORTED, 0, NULL,
                          "the seccomp filter of pid %d forbids the detour", entry->pid);
                return ENTRY_RUNS;
        }
        r = redirect(entry, arch_regs_sp(&tracee->regs), err);
        (void)fault_here(FAULT_ENTRY_REDIRECTED);
        return r;
}

static int run_on(struct entry *entry, int signal, struct error *err)
{
        struct tracee *tracee = &entry->tracee;
        int r;

        if (entry->signal || !entry->place.stub || tracee_in_group_stop(tracee)) {
                r = tracee_run(tracee, signal, err);
        } else {
                tracee->signal = signal;
                r = tracee_run_to_system_call(tracee, err);
        }
        return r == TRACEE_GONE ? ENTRY_GONE : r;
}

/*
 * A stop while the exec stop is waited for: it was missed, and the linker has begun, or there was no
 * exec. The linker may not have read the entry point yet; it has at its first system call.
 */
static int at_early_stop(struct entry *entry, struct error *err)
{
        struct tracee *tracee = &entry->tracee;
        int r = open_target(entry, err);

        if (r != 0)
                return r;
        if (!entry->place.linker && arch_regs_pc(&tracee->regs) == entry->place.entry)
                return ENTRY_UNRELATED; /* static, and in time after all */
        if (!entry->place.linker ||
            !entry_place_in_linker(entry->target, &entry->place, arch_regs_pc(&tracee->regs)))
                return ENTRY_RUNS;
        r = entry_place_check(entry->target, &entry->place, arch_regs_sp(&tracee->regs), err);
        if (r == ENTRY_PLACE_UNKNOWN && ++entry->n_early <= EARLY_STOPS) {
                r = tracee_run_to_system_call(tracee, err);
                return r == TRACEE_GONE ? ENTRY_GONE : r;
        }
        if (r == 0)
                r = redirect(entry, arch_regs_sp(&tracee->regs), err);
        else
                r = settle_place(entry, r, err);
        if (r != 0)
                return r;
        entry->execing = false;
        return run_on(entry, 0, err);
}

/* An exec stop that does not come: the exec has failed, or it was missed. */
static void look_for_exec(struct entry *entry)
{
        uint64_t sp, pc;
        long number = -1;

        if (!read_system_call(entry->tracee.tid, &number, &sp, &pc) ||
            (number != SYS_execve && number != SYS_execveat))
                tracee_interrupt(&entry->tracee);
}

/*
 * One stop, or none by the deadline. 0: go on waiting. ENTRY_UNRELATED: at the entry point. Others:
 * it is over.
 */
static int step(struct entry *entry, struct error *err)
{
        struct tracee *tracee = &entry->tracee;
        int r = tracee_wait(tracee, clock_now_ns() + 1, err);

        if (r == TRACEE_GONE && entry->execing && tracee->tid != entry->pid) {
                tracee_adopt(tracee, entry->pid); /* another thread's exec: it is the process now */
                r = tracee_wait(tracee, clock_now_ns() + LOOK_NS, err);
        }
        if (r == TRACEE_SLOW)
                return TRACEE_SLOW + 100;
        if (r == TRACEE_GONE)
                return ENTRY_GONE;
        if (r == TRACEE_FOREIGN) {
                error_set(err, EXIT_CODE_UNSUPPORTED, 0, NULL, "pid %d runs a 32-bit program",
                          entry->pid);
                return ENTRY_LEFT_ALONE;
        }
        if (r < 0)
                return r;
        if (tracee_did_exec(tracee)) {
                r = at_exec(entry, err);
                return r ? r : run_on(entry, 0, err);
        }
        if (entry->execing && tracee->signal == 0 && !tracee_in_group_stop(tracee))
                return at_early_stop(entry, err);
        if (in_detour(entry)) {
                r = leave_detour(entry, err);
                return r ? r : ENTRY_UNRELATED;
        }
        return run_on(entry, tracee->signal, err);
}

/* Sleeps until a child of this process changes, at most `ns`. SIGCHLD is blocked by the caller. */
static void wait_for_child(uint64_t ns)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        (void)sigtimedwait(&set, NULL, &(struct timespec){ .tv_nsec = (long)ns });
}

static int go_to_entry(struct entry *entry, bool (*beat)(void *context), void *context,
                       struct error *err)
{
        uint64_t began_ns = clock_now_ns();

        for (;;) {
                int r = step(entry, err);

                if (r == 0)
                        continue;
                if (r != TRACEE_SLOW + 100)
                        return r == ENTRY_UNRELATED ? 0 : r;
                if (entry->execing && clock_now_ns() - began_ns > MISSED_NS)
                        look_for_exec(entry);
                if (beat && beat(context))
                        return ENTRY_RUNS;
                wait_for_child(entry->execing ? MISSED_NS : LOOK_NS);
        }
}

/* --- A library for a running program ----------------------------------------------------- */

static int wait_for_stop(struct entry *entry, uint64_t until_ns, bool (*beat)(void *context),
                         void *context, struct error *err)
{
        for (;;) {
                int r = tracee_wait(&entry->tracee, clock_now_ns() + 1, err);

                if (r != TRACEE_SLOW)
                        return r == TRACEE_GONE      ? ENTRY_GONE
                               : r == TRACEE_FOREIGN ? ENTRY_LEFT_ALONE
                                                     : r;
                if (clock_now_ns() > until_ns || (beat && beat(context)))
                        return ENTRY_RUNS;
                wait_for_child(LOOK_NS);
        }
}

/* At a return from close(2). Entry comes first, where registers must be left as they are. */
static bool after_close(const struct entry *entry, bool *entered)
{
        if (!tracee_at_system_call(&entry->tracee))
                return false;
        *entered = !*entered;
        return !*entered && arch_regs_system_call(&entry->tracee.regs) == SYS_close;
}

/*
 * The linker closes the file when it has mapped it, and nobody can use the library yet. It may be
 * that what the new code needs is in another library that comes next: then it is tried again there.
 */
static int go_loading(struct entry *entry, const struct patch *const *patches, size_t n_patches,
                      bool (*beat)(void *context), void *context, struct entry_report *report,
                      struct error *err)
{
        struct tracee *tracee = &entry->tracee;
        uint64_t until_ns = clock_now_ns() + LOADING_NS;
        bool entered = false;

        for (unsigned stop = 0; stop < LOADING_STOPS; stop++) {
                int r = wait_for_stop(entry, until_ns, beat, context, err);

                if (r != 0)
                        return r;
                if (tracee_in_group_stop(tracee) || tracee_did_exec(tracee))
                        return ENTRY_RUNS;
                if (tracee->signal == 0 && (after_close(entry, &entered) || stop == 0)) {
                        *report = (struct entry_report){ 0 };
                        r = at_entry(entry, patches, n_patches, report, err);
                        if (r != 0 || (report->n_failed == 0 && (report->n_patched || stop > 0)))
                                return r;
                }
                r = tracee_run_to_system_call(tracee, err);
                if (r != 0)
                        return r < 0 ? r : ENTRY_GONE;
        }
        return ENTRY_RUNS;
}

int entry_patch(struct entry *entry, const struct patch *const *patches, size_t n_patches,
                bool (*beat)(void *context), void *context, struct entry_report *ret,
                struct error *err)
{
        sigset_t child, before;
        int r;

        *ret = (struct entry_report){ 0 };
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        sigprocmask(SIG_BLOCK, &child, &before);
        if (entry->loading)
                r = go_loading(entry, patches, n_patches, beat, context, ret, err);
        else
                r = go_to_entry(entry, beat, context, err);
        if (r == 0 && !entry->loading)
                r = at_entry(entry, patches, n_patches, ret, err);
        sigprocmask(SIG_SETMASK, &before, NULL);
        return r;
}

/* --- A process that runs already --------------------------------------------------------- */

static void add_result(struct entry_report *report, const struct live_process *process,
                       const struct patch *patch)
{
        switch (process->result) {
        case LIVE_DONE:
                report->n_patched++;
                break;
        case LIVE_UNCHANGED:
                report->n_unchanged++;
                break;
        case LIVE_GONE:
        case LIVE_PENDING:
                return;
        default:
                report->n_failed++;
                report->error = process->error;
        }
        report->held_ns = MAX(report->held_ns, process->pause_ns);
        note_name(report, patch);
}

/* Which of the patches are for a module that is mapped by now; false if none. */
static bool find_wanted(pid_t pid, const struct patch *const *patches, size_t n_patches,
                        bool *wanted)
{
        _cleanup_(maps_done) struct maps maps = { 0 };
        _cleanup_(modules_done) struct modules modules = { 0 };
        bool any = false;

        if (maps_read(pid, &maps, NULL) != 0 || modules_read(pid, &maps, NULL, &modules, NULL) != 0)
                return false;
        for (size_t i = 0; i < n_patches; i++) {
                wanted[i] = false;
                for (size_t j = 0; j < modules.n_items && !wanted[i]; j++)
                        wanted[i] = patch_find_target(patches[i], &modules.items[j].build_id);
                wanted[i] = wanted[i] && is_wanted(pid, patches[i]);
                any = any || wanted[i];
        }
        return any;
}

int entry_patch_running(pid_t pid, const struct patch *const *patches, size_t n_patches,
                        uint64_t deadline_ms, bool (*beat)(void *context), void *context,
                        struct entry_report *ret, struct error *err)
{
        struct live_options options = { .deadline_ms = deadline_ms,
                                        .interrupted = beat,
                                        .context = context };
        _cleanup_free_ bool *wanted = calloc(n_patches + 1, sizeof(*wanted));
        struct process process;
        int r = wanted ? process_read(pid, &process, err) : error_no_memory(err);

        *ret = (struct entry_report){ 0 };
        if (r != 0)
                return r < 0 ? r : ENTRY_GONE;
        if (!find_wanted(pid, patches, n_patches, wanted))
                return 0;
        for (size_t i = 0; i < n_patches; i++) {
                struct live_selection selection = { .pids = &pid, .n_pids = 1 };
                _cleanup_(live_plan_done) struct live_plan plan = { 0 };

                if (!wanted[i])
                        continue;
                if (live_choose(patches[i], &selection, &plan, &ret->error) < 0 ||
                    live_apply(patches[i], &plan, &options, &ret->error) < 0)
                        continue; /* it maps no such module, as a rule */
                for (size_t j = 0; j < plan.n_items; j++)
                        if (plan.items[j].process.pid == pid)
                                add_result(ret, &plan.items[j], patches[i]);
        }
        return 0;
}
