/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stub for calls lies in the unused tail of a page of code that some module has mapped anyway:
 * behind the last byte of its executable segment, where the file has nothing but zeros. It stays
 * there for good, since a thread that an earlier, killed suture has started may still be in it.
 *
 * A thread is used as it is found. It is stopped, given its frame and its registers, and watched
 * from system call to system call. When all have returned it is stopped once more before its next
 * instruction and given the registers it came with: then the kernel settles the system call it was
 * in, as if nothing had been. A signal that comes in between is treated the same way: original
 * registers first, then the signal, and what is left of the list later.
 */
#include "live/call.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/rseq.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "live/safety.h"
#include "live/seccomp.h"
#include "live/unwind.h"
#include "proc/process.h"

#define CALL_WAIT_NS 1000000000u      /* for a system call; mmap waits for others' page faults */
#define FUNCTION_WAIT_NS 5000000000u  /* for a hook */
#define STOP_WAIT_NS 20000000u
#define TURN_WAIT_NS UINT64_C(5000000000)
#define ROUNDS 50                     /* over all threads, before giving up */
#define OWN_STACK_ROUNDS 20           /* of them, in which a thread must be on its own stack */

/* --- The place of the stub --------------------------------------------------------------- */

/* A tail of at least the stub's size behind an executable segment; 0, or 1 if there is none. */
static int place_in_module(struct target *target, uint64_t header, struct error *err)
{
        struct elf_memory memory = target_memory(target);
        struct elf_image image;
        uint8_t tail[PAGE_SIZE];
        int r;

        if (elf_image_read(&memory, header, &image) != 0)
                return 1;
        for (size_t i = 0; i < image.n_segments; i++) {
                const Elf64_Phdr *segment = &image.segments[i];
                uint64_t start = image.bias + segment->p_vaddr + segment->p_filesz;
                uint64_t end = ROUND_UP(start, (uint64_t)PAGE_SIZE);
                const struct region *region;
                bool zero = true;

                start = ROUND_UP(start, UINT64_C(16));
                region = maps_find(&target->maps, start);
                if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) ||
                    segment->p_memsz != segment->p_filesz || start + arch_call_stub_size > end ||
                    !region || !region->executable || region->shared)
                        continue;
                if (target_read(target, start, tail, arch_call_stub_size, NULL) != 0)
                        continue;
                for (size_t j = 0; j < arch_call_stub_size; j++)
                        zero = zero && tail[j] == 0;
                if (zero) {
                        r = target_write(target, start, arch_call_stub, arch_call_stub_size, err);
                        if (r != 0)
                                return r;
                } else if (memcmp(tail, arch_call_stub, arch_call_stub_size) != 0) {
                        continue;
                }
                target->stub = start;
                return 0;
        }
        return 1;
}

int target_place_stub(struct target *target, struct error *err)
{
        int r;

        if (target->stub)
                return 0;
        r = target_read_modules(target, err);
        if (r != 0)
                return r;
        for (size_t i = 0; i < target->modules.n_items; i++) {
                r = place_in_module(target, target->modules.items[i].address, err);
                if (r <= 0)
                        return r;
        }
        return error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                         "restart the program with the fixed version",
                         "no module of pid %d has room for the call stub behind its code",
                         target->pid);
}

/* --- One thread -------------------------------------------------------------------------- */

struct call_list {
        const struct arch_call *calls;  /* NULL for a function */
        size_t n_calls, done;
        int64_t *results;
        uint64_t stub, stub_return;
        uint64_t function, argument;
        uint64_t wait_ns;
        const struct call_terms *terms; /* NULL: any thread */
        bool any_stack;                 /* also threads that are not on a stack of their own */
        bool stub_lost;
        bool locked;                    /* taken back out of the function, see call_terms */
};

enum thread_outcome {
        THREAD_UNFIT = 1,       /* use another one, or this one later */
        THREAD_INTERRUPTED = 2, /* a signal came in between; list->done calls were made */
        THREAD_LOCKED = 3,      /* it waited for a lock, and has nothing to do with the call now */
};

/*
 * Room on the stack for the frame: within one mapping with the stack pointer. What is not the stack
 * that the kernel or the thread library has made (an alternate signal stack, that of a coroutine)
 * may be small and lie amidst other data.
 */
static bool stack_fits(struct target *target, const struct tracee *tracee, uint64_t lowest,
                       bool any_stack)
{
        uint64_t sp = arch_regs_sp(&tracee->regs);
        uint64_t tp = arch_regs_thread_pointer(&tracee->regs);
        const struct region *region = maps_find(&target->maps, sp);
        bool main_stack;

        if (!region) {
                if (target_read_maps(target, NULL) != 0)
                        return false;
                region = maps_find(&target->maps, sp);
        }
        if (!region || !region->writable)
                return false;
        main_stack = strcmp(region->path, "[stack]") == 0;
        return main_stack ||
               (lowest >= region->start && (any_stack || (tp > sp && tp < region->end)));
}

static void make_frame(const struct call_list *list, const struct tracee *tracee,
                       struct arch_frame *ret)
{
        if (list->calls)
                arch_call_frame(&tracee->regs, list->stub, list->calls + list->done,
                                list->n_calls - list->done, ret);
        else
                arch_function_frame(&tracee->regs, list->stub, list->function, list->argument,
                                    ret);
}

static int write_frame(struct target *target, struct tracee *tracee, struct call_list *list,
                       struct error *err)
{
        struct arch_frame frame;
        uint64_t lowest;
        int r;

        make_frame(list, tracee, &frame);
        lowest = frame.address - (list->calls ? 0 : arch_function_stack());
        if (!stack_fits(target, tracee, lowest, list->any_stack))
                return THREAD_UNFIT;
        r = target_write(target, frame.address, frame.bytes, frame.size, err);
        if (r != 0)
                return r;
        if (fault_here(FAULT_CALL_FRAME_WRITTEN))
                return fault_set(FAULT_CALL_FRAME_WRITTEN, err);
        r = tracee_set_regs(tracee, &frame.regs, err);
        (void)fault_here(FAULT_CALL_REGISTERS_SET); /* only death is possible here */
        return r == TRACEE_GONE ? THREAD_UNFIT : r;
}

/* Gives the thread back what it came with; a signal it was about to handle stays with it. */
static int restore(struct tracee *tracee, const struct user_regs_struct *original,
                   struct error *err)
{
        int r = tracee_set_regs(tracee, original, err);

        if (r == TRACEE_GONE)
                return THREAD_UNFIT;
        return r;
}

/* At the exit of the last call: on to the stop where the original registers may be put back. */
static int finish(struct tracee *tracee, const struct user_regs_struct *original,
                  struct error *err)
{
        int r = tracee_run_to_user_mode(tracee, err);

        if (r == 0)
                r = tracee_wait(tracee, clock_now_ns() + CALL_WAIT_NS, err);
        if (r != 0)
                return r < 0 ? r : 0; /* gone or slow: the frame takes it home */
        return restore(tracee, original, err);
}

/* The stop at a return from a call of the list, as opposed to its entry, which comes first. */
static bool at_our_call(const struct tracee *tracee, const struct call_list *list)
{
        return tracee_at_system_call(tracee) &&
               arch_regs_pc(&tracee->regs) == list->stub + list->stub_return;
}

/*
 * The function takes too long. A lock may never be given back: in a child that was forked while
 * another thread held it. Waiting for it is all that has happened then, unless the thread was woken
 * just now, which the system call's result tells; so the thread can be taken home.
 */
static int take_home(struct tracee *tracee, const struct user_regs_struct *original,
                     struct error *err)
{
        int r;

        tracee_interrupt(tracee);
        r = tracee_wait(tracee, clock_now_ns() + STOP_WAIT_NS, err);
        if (r != 0)
                return r < 0 ? r : THREAD_UNFIT;
        if (!tracee_at_system_call(tracee) || !arch_regs_waits_for_lock(&tracee->regs))
                return THREAD_UNFIT;
        r = finish(tracee, original, err);
        return r ? r : THREAD_LOCKED;
}

static int watch(struct tracee *tracee, struct call_list *list,
                 const struct user_regs_struct *original, struct error *err)
{
        uint64_t deadline_ns = clock_now_ns() + list->wait_ns;
        bool entered = false;
        int r;

        for (;;) {
                r = tracee_run_to_system_call(tracee, err);
                if (r == 0)
                        r = tracee_wait(tracee, deadline_ns, err);
                if (r < 0)
                        return r;
                if (r == TRACEE_SLOW && list->terms)
                        return take_home(tracee, original, err);
                if (r > 0 || tracee_did_exec(tracee)) /* gone, or it does not come back */
                        return THREAD_UNFIT;
                if (tracee->signal && list->calls) {
                        r = restore(tracee, original, err);
                        return r ? r : THREAD_INTERRUPTED;
                }
                if (!at_our_call(tracee, list))
                        continue;
                entered = !entered;
                if (entered)
                        continue;
                (void)fault_here(FAULT_CALL_RETURNED); /* only death is possible here */
                if (!list->calls) {
                        list->results[0] = arch_function_result(&tracee->regs);
                        list->done = 1;
                        return finish(tracee, original, err);
                }
                list->results[list->done++] = arch_call_result(&tracee->regs);
                if (list->done == list->n_calls)
                        return finish(tracee, original, err);
        }
}

static int check_seccomp(struct target *target, struct tracee *tracee,
                         const struct call_list *list, struct error *err)
{
        static const struct arch_call sign = { .number = SYS_sched_yield }; /* see the stub */
        int r;

        r = seccomp_check(tracee, target->pid, list->calls ? list->calls : &sign,
                          list->calls ? list->n_calls : 1, list->stub + list->stub_return, err);
        if (r != SECCOMP_DENIES)
                return r;
        log_debug("thread %d: seccomp forbids the call, its filters are suspended for it",
                  tracee->tid);
        target->seccomp_suspended = true;
        return tracee_suspend_seccomp(tracee, err);
}

/*
 * The kernel takes a thread that it finds outside of a sequence, as one would be that is sent to
 * the stub, for one that has ended it, and would not abort it later (Linux kernel/rseq.c).
 */
static bool in_restartable_sequence(struct target *target, const struct tracee *tracee)
{
        struct { uint32_t version, flags; uint64_t start, length, abort; } sequence;
        uint64_t area = tracee_rseq_area(tracee), at = 0;

        if (area == 0 ||
            target_read(target, area + offsetof(struct rseq, rseq_cs), &at, sizeof(at), NULL) != 0)
                return false;
        return at != 0 && (target_read(target, at, &sequence, sizeof(sequence), NULL) != 0 ||
                           arch_regs_pc(&tracee->regs) - sequence.start < sequence.length);
}

/*
 * Asked of the thread, not of the memory that target->memory_fd holds on to: it may be another
 * program by now, or the module in whose tail the stub lies may have been unloaded.
 */
static bool stub_is_there(const struct tracee *tracee, const struct call_list *list)
{
        const uint8_t *wanted = list->calls ? arch_call_stub : arch_function_stub;
        size_t size = list->calls ? arch_call_stub_size : arch_function_stub_size;
        uint8_t found[512];
        struct iovec local = { found, size }, remote = { (void *)list->stub, size };

        return size <= sizeof(found) &&
               process_vm_readv(tracee->tid, &local, 1, &remote, 1, 0) == (ssize_t)size &&
               memcmp(found, wanted, size) == 0;
}

/* In a system call that waits for something from outside. Locks of allocators are plain waits. */
static bool is_waiting(const struct tracee *tracee)
{
        static const int waits[] = {
                SYS_poll, SYS_ppoll, SYS_select, SYS_pselect6, SYS_epoll_wait, SYS_epoll_pwait,
                SYS_nanosleep, SYS_clock_nanosleep, SYS_read, SYS_recvfrom, SYS_recvmsg,
                SYS_accept, SYS_accept4, SYS_wait4, SYS_waitid, SYS_pause, SYS_rt_sigsuspend,
                SYS_rt_sigtimedwait, SYS_restart_syscall,
        };
        int64_t number = arch_regs_system_call(&tracee->regs);

        if (number == SYS_futex)
                return (arch_regs_second_argument(&tracee->regs) & FUTEX_CMD_MASK) ==
                       FUTEX_WAIT_BITSET;
        for (size_t i = 0; i < ARRAY_SIZE(waits); i++)
                if (number == waits[i])
                        return true;
        return false;
}

static int fits_terms(struct target *target, const struct tracee *tracee,
                      const struct call_terms *terms, struct error *err)
{
        int r;

        if (!terms)
                return 0;
        if (terms->waiting && !is_waiting(tracee))
                return THREAD_UNFIT;
        r = safety_check_thread(target, tracee, terms->avoid, terms->n_avoid, err);
        return r > 0 ? THREAD_UNFIT : r;
}

static int call_on_stopped(struct target *target, struct tracee *tracee, struct call_list *list,
                           struct error *err)
{
        const struct user_regs_struct original = tracee->regs;
        int r;

        if (tracee->signal || tracee_did_exec(tracee) || in_restartable_sequence(target, tracee))
                return THREAD_UNFIT;
        r = fits_terms(target, tracee, list->terms, err);
        if (r != 0)
                return r;
        if (!stub_is_there(tracee, list)) {
                list->stub_lost = true;
                return THREAD_UNFIT;
        }
        r = check_seccomp(target, tracee, list, err);
        if (r != 0)
                return r;
        r = write_frame(target, tracee, list, err);
        if (r != 0)
                return r;
        r = watch(tracee, list, &original, err);
        list->locked = r == THREAD_LOCKED;
        if (r == THREAD_UNFIT && list->done == 0 && !list->calls) /* never start it twice */
                return error_set(err, EXIT_CODE_ERROR, 0, "see what the hook does",
                                 "a hook of the patch did not return in thread %d", tracee->tid);
        return r;
}

/* Of many busy threads, this one will have its turn; the others run meanwhile. */
static bool waits_for_processor(pid_t tid)
{
        struct thread_status status;

        return thread_status_read(tid, tid, &status, NULL) == 0 && status.state == 'R';
}

static int call_on_thread(struct target *target, pid_t tid, struct call_list *list,
                          struct error *err)
{
        struct tracee tracee;
        uint64_t start_ns;
        int r;

        r = tracee_seize(&tracee, tid, false, err);
        if (r != 0)
                return r < 0 ? r : THREAD_UNFIT;
        start_ns = clock_now_ns();
        tracee_interrupt(&tracee);
        r = tracee_wait(&tracee, start_ns + STOP_WAIT_NS, err);
        if (r == TRACEE_SLOW && waits_for_processor(tid))
                r = tracee_wait(&tracee, start_ns + TURN_WAIT_NS, err);
        if (r == TRACEE_FOREIGN)
                r = error_set(err, EXIT_CODE_UNSUPPORTED, 0,
                              "upgrade and restart this program instead",
                              "pid %d runs 32-bit code; only 64-bit programs can be patched",
                              target->pid);
        else if (r > 0)
                r = THREAD_UNFIT;
        if (r == 0)
                r = call_on_stopped(target, &tracee, list, err);
        target_let_go(target, &tracee);
        target->held_ns = MAX(target->held_ns, clock_now_ns() - start_ns);
        return r;
}

/* --- The whole list ---------------------------------------------------------------------- */

static int lose_stub(struct target *target)
{
        target->stub = 0;
        error_set(&target->busy, EXIT_CODE_ERROR, 0, "try again",
                  "pid %d unloads modules, or became another program", target->pid);
        return TARGET_BUSY;
}

static int find_locked(struct target *target)
{
        error_set(&target->busy, EXIT_CODE_ERROR, 0,
                  "try again; if it persists, restart the program with the fixed version",
                  "a lock of the C++ runtime in pid %d is not given back", target->pid);
        return TARGET_BUSY;
}

/* Goes round the threads until the list is through. */
static int run_list(struct target *target, struct call_list *list, size_t wanted,
                    struct error *err)
{
        unsigned rounds = list->terms ? list->terms->rounds : ROUNDS;

        for (unsigned round = 0; round < rounds; round++) {
                _cleanup_free_ pid_t *tids = NULL;
                size_t n = 0;
                int r;

                if (round > 0)
                        target_rest(round);
                if (round > 1 && target->wants_unwinder && !target->unwinder)
                        target->unwinder = unwinder_new(target); /* a stale word, perhaps */
                if (target_is_over(target))
                        return TARGET_GONE;
                r = process_threads(target->pid, &tids, &n, err);
                if (r != 0)
                        return r < 0 ? r : TARGET_GONE;
                for (size_t i = 0; i < n && i < 64; i++) {
                        if (target_has_stragglers(target))
                                break;
                        list->any_stack = list->calls && round >= OWN_STACK_ROUNDS;
                        r = call_on_thread(target, tids[i], list, err);
                        if (r < 0)
                                return target_is_over(target) ? TARGET_GONE : r;
                        if (list->done == wanted)
                                return 0;
                        if (list->stub_lost)
                                return lose_stub(target);
                        if (list->locked)
                                return find_locked(target);
                }
        }
        error_set(&target->busy, EXIT_CODE_ERROR, 0,
                  "try again; if it persists, see what its threads do with ps -L",
                  "no thread of pid %d can be used for a call", target->pid);
        return TARGET_BUSY;
}

int target_call(struct target *target, const struct arch_call *calls, size_t n_calls,
                int64_t *results, size_t *ret_done, struct error *err)
{
        struct call_list list = { .calls = calls,
                                  .n_calls = n_calls,
                                  .results = results,
                                  .stub_return = arch_call_stub_return,
                                  .wait_ns = CALL_WAIT_NS };
        int r = target_place_stub(target, err);

        *ret_done = 0;
        if (r != 0)
                return r;
        if (fault_here(FAULT_CALL_STUB_WRITTEN))
                return fault_set(FAULT_CALL_STUB_WRITTEN, err);
        list.stub = target->stub;
        r = run_list(target, &list, n_calls, err);
        *ret_done = list.done;
        return r;
}

int target_call_function_if(struct target *target, const struct call_terms *terms, uint64_t stub,
                            uint64_t function, uint64_t argument, int64_t *ret, struct error *err)
{
        struct call_list list = { .results = ret,
                                  .terms = terms,
                                  .stub = stub,
                                  .stub_return = arch_function_stub_return,
                                  .function = function,
                                  .argument = argument,
                                  .wait_ns = terms ? terms->wait_ns : FUNCTION_WAIT_NS };

        return run_list(target, &list, 1, err);
}

int target_call_function(struct target *target, uint64_t stub, uint64_t function,
                         uint64_t argument, int64_t *ret, struct error *err)
{
        return target_call_function_if(target, NULL, stub, function, argument, ret, err);
}

int target_call_failed(const struct target *target, const char *what, int64_t result,
                       struct error *err)
{
        const char *next = NULL;

        if (result == -ENOMEM)
                next = "raise its limit of address space (prlimit --as) or of mappings "
                       "(vm.max_map_count), then try again";
        else if (result == -EPERM || result == -EACCES)
                next = "a security policy of the system forbids it (SELinux execmem, for example)";
        return error_set(err, EXIT_CODE_ERROR, (int)-result, next, "pid %d could not %s",
                         target->pid, what);
}
