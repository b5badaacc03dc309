/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls made by a forked child for this process. The child holds known values in every register, or
 * waits in a system call; whether it was watched to the end, or left to return by itself, it must
 * find everything as it was and see no result that it would not have seen otherwise.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "live/call.h"
#include "live/record.h"
#include "proc/process.h"

/* Between the child and this process. */
static struct shared {
        _Atomic bool ready, release;
        _Atomic unsigned handled, waits;
        char wrong[200]; /* what the child has found, "" if nothing */
} *shared;
static uint8_t *function_stub; /* a page that the child runs, mapped before it is forked */
static int wake[2];            /* a pipe */
static uint64_t left_mapping;  /* where the child maps a page by itself */

struct child {
        pid_t pid;
        struct target *target;
};

static struct child start(void (*run)(void))
{
        struct child child = { 0 };
        struct process process;

        *shared = (struct shared){ 0 };
        child.pid = fork();
        assert_true(child.pid >= 0);
        if (child.pid == 0) {
                static const int faults[] = { SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP };

                for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
                        signal(faults[i], SIG_DFL); /* not back into the test */
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                alarm(60);
                run();
                _exit(shared->wrong[0] != '\0');
        }
        while (!shared->ready)
                assert_int_equal(waitpid(child.pid, NULL, WNOHANG), 0);
        assert_int_equal(process_read(child.pid, &process, NULL), 0);
        assert_int_equal(target_open(child.pid, process.start_ticks, NULL, 0, NULL, &child.target,
                                     NULL),
                         0);
        return child;
}

static void end(struct child *child)
{
        int status;

        child->target = target_free(child->target);
        assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
        if (shared->wrong[0])
                fail_msg("%s", shared->wrong);
        assert_int_equal(status, 0);
}

static int make_shared(void **state)
{
        void *free_page;

        (void)state;
        shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                      0);
        function_stub = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                             -1, 0);
        free_page = mmap(NULL, PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        left_mapping = (uint64_t)free_page;
        return shared == MAP_FAILED || function_stub == MAP_FAILED || free_page == MAP_FAILED ||
               munmap(free_page, PAGE_SIZE) != 0 || pipe(wake) != 0;
}

/* --- What is done to a child ------------------------------------------------------------- */

static void call_watched(const struct child *child)
{
        static const struct arch_call calls[] = {
                { SYS_getpid, { 0 } },
                { SYS_munmap, { 1, 4096 } },
                { SYS_sched_yield, { 0 } },
        };
        int64_t results[3] = { 0 };
        size_t done = 0;
        struct error err = { 0 };
        int r = target_call(child->target, calls, 3, results, &done, &err);

        if (r != 0)
                fail_msg("call: %d %s %s", r, err.cause, child->target->busy.cause);
        assert_int_equal(done, 3);
        assert_int_equal(results[0], child->pid);
        assert_int_equal(results[1], -EINVAL);
        assert_int_equal(results[2], 0);
}

static uint64_t scribbled; /* in the child */

/* A function that keeps nothing but what the ABI says must be kept. */
__attribute__((noinline, used)) static int64_t scribble(uint64_t argument)
{
        scribbled += argument;
        __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n movdqa %%xmm0, %%xmm1\n movdqa %%xmm0, %%xmm7\n"
                         "movdqa %%xmm0, %%xmm8\n movdqa %%xmm0, %%xmm15\n fldpi\n fstp %%st(0)\n"
                         ::: "xmm0", "xmm1", "xmm7", "xmm8", "xmm15", "rax", "rcx", "rdx", "rsi",
                             "rdi", "r8", "r9", "r10", "r11", "cc", "memory");
        if (__builtin_cpu_supports("avx"))
                __asm__ volatile("vxorps %%ymm2, %%ymm2, %%ymm2\n vzeroupper\n" ::: "xmm2");
        return (int64_t)(argument * 2 + 1);
}

static void write_function_stub(const struct child *child)
{
        assert_int_equal(target_write(child->target, (uint64_t)function_stub, arch_function_stub,
                                      arch_function_stub_size, NULL),
                         0);
}

static void call_function(const struct child *child)
{
        struct error err = { 0 };
        int64_t result = 0;
        int r;

        write_function_stub(child);
        r = target_call_function(child->target, (uint64_t)function_stub, (uint64_t)scribble, 20,
                                 &result, &err);
        if (r != 0)
                fail_msg("function: %d %s %s", r, err.cause, child->target->busy.cause);
        assert_int_equal(result, 41);
}

static void stop_and_resume(const struct child *child)
{
        assert_int_equal(target_stop(child->target, NULL), 0);
        target_resume(child->target);
}

/*
 * Starts the call and lets go at once, as if this process were killed then. False if the thread
 * can't be used now.
 */
static bool start_and_leave(const struct child *child, const struct arch_frame *frame,
                            struct tracee *tracee)
{
        pid_t ignored;
        bool fit = tracee->signal == 0;

        if (fit) {
                assert_int_equal(target_write(child->target, frame->address, frame->bytes,
                                              frame->size, NULL),
                                 0);
                assert_int_equal(tracee_set_regs(tracee, &frame->regs, NULL), 0);
        }
        assert_true(tracee_release(tracee, &ignored));
        return fit;
}

static struct tracee stop_thread(const struct child *child)
{
        struct tracee tracee;

        assert_int_equal(tracee_seize(&tracee, child->pid, false, NULL), 0);
        tracee_interrupt(&tracee);
        assert_int_equal(tracee_wait(&tracee, clock_now_ns() + 1000000000, NULL), 0);
        return tracee;
}

static bool is_mapped(const struct child *child, uint64_t address)
{
        assert_int_equal(target_read_maps(child->target, NULL), 0);
        return maps_find(&child->target->maps, address) != NULL;
}

static void call_left_alone(const struct child *child)
{
        bool map = !is_mapped(child, left_mapping);
        const struct arch_call calls[] = {
                { SYS_getppid, { 0 } },
                { map ? SYS_mmap : SYS_munmap,
                  { left_mapping, PAGE_SIZE, PROT_READ,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0 } },
        };
        struct arch_frame frame;
        struct tracee tracee;

        assert_int_equal(target_place_stub(child->target, NULL), 0);
        tracee = stop_thread(child);
        arch_call_frame(&tracee.regs, child->target->stub, calls, 2, &frame);
        assert_in_range(frame.size, 1, ARCH_FRAME_MAX);
        if (!start_and_leave(child, &frame, &tracee))
                return;
        while (is_mapped(child, left_mapping) != map)
                assert_int_equal(waitpid(child->pid, NULL, WNOHANG), 0);
}

static uint64_t read_scribbled(const struct child *child)
{
        uint64_t value = 0;

        assert_int_equal(target_read(child->target, (uint64_t)&scribbled, &value, sizeof(value),
                                     NULL),
                         0);
        return value;
}

static void function_left_alone(const struct child *child)
{
        uint64_t before = read_scribbled(child);
        struct arch_frame frame;
        struct tracee tracee;

        write_function_stub(child);
        tracee = stop_thread(child);
        arch_function_frame(&tracee.regs, (uint64_t)function_stub, (uint64_t)scribble, 3, &frame);
        if (!start_and_leave(child, &frame, &tracee))
                return;
        while (read_scribbled(child) != before + 3)
                assert_int_equal(waitpid(child->pid, NULL, WNOHANG), 0);
}

static void (*const disturbances[])(const struct child *child) = {
        call_watched, stop_and_resume, call_left_alone, call_function, function_left_alone,
};

/* --- Registers --------------------------------------------------------------------------- */

#define N_GENERAL 14 /* all but rsp, and rcx, with which the child waits */
#define RED_ZONE_WORDS 16

struct machine {
        uint64_t general[N_GENERAL];
        uint64_t flags, sp;
        uint64_t red_zone[RED_ZONE_WORDS];
        _Alignas(64) uint8_t extended[4096];
};

/*
 * Takes the values of `hold_before`, waits without changing any of them (jrcxz tells without flags)
 * and writes what they are then to `hold_after`.
 */
extern struct machine hold_before, hold_after;
extern uint64_t hold_reached, hold_release;
void hold(void);

#define GENERAL(f)                                                                            \
        f(0, "rax") f(8, "rbx") f(16, "rdx") f(24, "rsi") f(32, "rdi") f(40, "rbp")           \
        f(48, "r8") f(56, "r9") f(64, "r10") f(72, "r11") f(80, "r12") f(88, "r13")           \
        f(96, "r14") f(104, "r15")
#define LOAD(offset, name) "mov hold_before+" #offset "(%rip), %" name "\n"
#define STORE(offset, name) "mov %" name ", hold_after+" #offset "(%rip)\n"
#define WORDS(f)                                                                              \
        f(0) f(8) f(16) f(24) f(32) f(40) f(48) f(56) f(64) f(72) f(80) f(88) f(96) f(104)    \
        f(112) f(120)
#define TO_RED_ZONE(i) "mov hold_before+128+" #i "(%rip), %rcx\n mov %rcx, -128+" #i "(%rsp)\n"
#define FROM_RED_ZONE(i) "mov -128+" #i "(%rsp), %rcx\n mov %rcx, hold_after+128+" #i "(%rip)\n"

__asm__(".pushsection .bss\n"
        ".balign 64\n"
        "hold_before: .skip 4352\n"
        "hold_after: .skip 4352\n"
        "hold_reached: .skip 8\n"
        "hold_release: .skip 8\n"
        ".popsection\n"
        ".pushsection .text\n"
        "hold:\n"
        "       push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
        "       mov $7, %eax\n xor %edx, %edx\n"
        "       xrstor64 hold_before+256(%rip)\n"
        "       push hold_before+112(%rip)\n popfq\n" WORDS(TO_RED_ZONE) GENERAL(LOAD)
        "       mov %rsp, hold_before+120(%rip)\n"
        "       movq $1, hold_reached(%rip)\n"
        "1:     mov hold_release(%rip), %rcx\n"
        "       jrcxz 1b\n"
        "       mov %rsp, hold_after+120(%rip)\n" GENERAL(STORE) WORDS(FROM_RED_ZONE)
        "       pushfq\n pop hold_after+112(%rip)\n"
        "       cld\n"
        "       mov $7, %eax\n xor %edx, %edx\n"
        "       xsave64 hold_after+256(%rip)\n"
        "       fninit\n"
        "       pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
        "       ret\n"
        ".popsection\n");

_Static_assert(sizeof(struct machine) == 4352, "layout used in assembly");
_Static_assert(offsetof(struct machine, flags) == 112, "layout used in assembly");
_Static_assert(offsetof(struct machine, red_zone) == 128, "layout used in assembly");
_Static_assert(offsetof(struct machine, extended) == 256, "layout used in assembly");

/* Layout of the area: Intel SDM 1, 10.5.1 and 13.4. */
#define X87_CONTROL 0
#define X87_TAGS 4
#define MXCSR 24
#define X87_REGISTERS 32
#define XMM_REGISTERS 160
#define STATE_BV 512
#define YMM_UPPER 576
#define FLAGS_FIXED 0x202u    /* interrupts, and the bit that is always one */

static void fill_machine(struct machine *machine, uint64_t flags)
{
        static const uint16_t control = 0x0c7f;
        static const uint32_t mxcsr = 0x5fa0;
        uint64_t components = __builtin_cpu_supports("avx") ? 7 : 3;

        memset(machine, 0, sizeof(*machine));
        for (size_t i = 0; i < N_GENERAL; i++)
                machine->general[i] = UINT64_C(0x0123456789abcdef) * (i + 1);
        for (size_t i = 0; i < RED_ZONE_WORDS; i++)
                machine->red_zone[i] = UINT64_C(0xfedcba9876543210) * (i + 1);
        machine->flags = flags | FLAGS_FIXED;
        memcpy(machine->extended + X87_CONTROL, &control, sizeof(control));
        machine->extended[X87_TAGS] = 0xff;
        memcpy(machine->extended + MXCSR, &mxcsr, sizeof(mxcsr));
        for (size_t i = 0; i < 8; i++)
                memset(machine->extended + X87_REGISTERS + i * 16, (int)(0x10 + i), 10);
        for (size_t i = 0; i < 256; i++)
                machine->extended[XMM_REGISTERS + i] = (uint8_t)(i ^ 0x5a);
        for (size_t i = 0; i < 256 && components == 7; i++)
                machine->extended[YMM_UPPER + i] = (uint8_t)(i ^ 0xa5);
        memcpy(machine->extended + STATE_BV, &components, sizeof(components));
}

static void differs(const char *what, size_t i, uint64_t is, uint64_t was)
{
        snprintf(shared->wrong, sizeof(shared->wrong), "%s %zu is %#lx, was %#lx", what, i, is,
                 was);
}

static void compare_machines(void)
{
        for (size_t i = 0; i < N_GENERAL; i++)
                if (hold_after.general[i] != hold_before.general[i])
                        differs("register", i, hold_after.general[i], hold_before.general[i]);
        for (size_t i = 0; i < RED_ZONE_WORDS; i++)
                if (hold_after.red_zone[i] != hold_before.red_zone[i])
                        differs("red zone", i, hold_after.red_zone[i], hold_before.red_zone[i]);
        if (hold_after.flags != hold_before.flags)
                differs("flags", 0, hold_after.flags, hold_before.flags);
        if (hold_after.sp != hold_before.sp)
                differs("stack pointer", 0, hold_after.sp, hold_before.sp);
        for (size_t i = 0; i < YMM_UPPER + 256; i++) {
                bool compared = i < 8 || (i >= MXCSR && i < MXCSR + 4) ||
                                (i >= X87_REGISTERS && i < XMM_REGISTERS + 256) || i >= YMM_UPPER;

                if (compared && hold_after.extended[i] != hold_before.extended[i])
                        differs("extended state", i, hold_after.extended[i],
                                hold_before.extended[i]);
        }
}

static uint64_t flags_to_hold;

static void hold_registers(void)
{
        fill_machine(&hold_before, flags_to_hold);
        shared->ready = true;
        hold();
        compare_machines();
}

static void hold_is_reached(const struct child *child)
{
        uint64_t reached = 0;

        while (!reached)
                assert_int_equal(target_read(child->target, (uint64_t)&hold_reached, &reached,
                                             sizeof(reached), NULL),
                                 0);
}

static void registers_survive(void **state)
{
        /* none, carry zero sign overflow parity adjust, direction, all of them */
        static const uint64_t flags[] = { 0, 0x8d5, 0x400, 0xcd5 };
        const uint64_t one = 1;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
                struct child child;

                flags_to_hold = flags[i];
                child = start(hold_registers);
                hold_is_reached(&child);
                for (size_t j = 0; j < 20 * ARRAY_SIZE(disturbances); j++)
                        disturbances[j % ARRAY_SIZE(disturbances)](&child);
                assert_int_equal(target_write(child.target, (uint64_t)&hold_release, &one,
                                              sizeof(one), NULL),
                                 0);
                end(&child);
        }
}

/* --- Waiting ----------------------------------------------------------------------------- */

#define WAIT_MS 40

struct wait {
        const char *name;
        int (*wait)(void);      /* once; -errno, or the result */
        int expected;
        bool timed;             /* takes WAIT_MS */
        bool until_signal;      /* ends with a handler only */
        bool restarts;          /* with SA_RESTART no EINTR is ever seen */
};

static int outcome(long r)
{
        return r < 0 ? -errno : (int)r;
}

static int wait_read(void)
{
        char byte;

        return outcome(read(wake[0], &byte, 1));
}

static int wait_nanosleep(void)
{
        struct timespec time = { .tv_nsec = WAIT_MS * 1000000 };

        return outcome(nanosleep(&time, NULL));
}

static int wait_until(void)
{
        uint64_t until_ns = clock_now_ns() + WAIT_MS * UINT64_C(1000000);
        struct timespec time = { .tv_sec = (time_t)(until_ns / 1000000000),
                                 .tv_nsec = (long)(until_ns % 1000000000) };

        return -clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

static int wait_poll(void)
{
        struct pollfd fd = { .fd = wake[0], .events = POLLIN };

        return outcome(poll(&fd, 1, WAIT_MS));
}

static int wait_ppoll(void)
{
        struct pollfd fd = { .fd = wake[0], .events = POLLIN };
        struct timespec time = { .tv_nsec = WAIT_MS * 1000000 };
        sigset_t none;

        sigemptyset(&none);
        return outcome(ppoll(&fd, 1, &time, &none));
}

static int wait_select(void)
{
        struct timeval time = { .tv_usec = WAIT_MS * 1000 };
        fd_set fds;

        FD_ZERO(&fds);
        FD_SET(wake[0], &fds);
        return outcome(select(wake[0] + 1, &fds, NULL, NULL, &time));
}

static int wait_epoll(void)
{
        static int fd = -1;
        struct epoll_event event = { .events = EPOLLIN };

        if (fd < 0) {
                fd = epoll_create1(0);
                epoll_ctl(fd, EPOLL_CTL_ADD, wake[0], &event);
        }
        return outcome(epoll_wait(fd, &event, 1, WAIT_MS));
}

static int wait_futex(void)
{
        static int word;
        struct timespec time = { .tv_nsec = WAIT_MS * 1000000 };

        return outcome(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &time, NULL, 0));
}

static int wait_signal(void)
{
        sigset_t set;
        struct timespec time = { .tv_nsec = WAIT_MS * 1000000 };

        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        return outcome(sigtimedwait(&set, NULL, &time));
}

static int wait_receive(void)
{
        static int fds[2] = { -1, -1 };
        struct timeval time = { .tv_usec = WAIT_MS * 1000 };
        char byte;

        if (fds[0] < 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0)
                setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
        return outcome(recv(fds[0], &byte, 1, 0));
}

static int wait_semaphore(void)
{
        int set = semget(IPC_PRIVATE, 1, 0600), r;
        struct timespec time = { .tv_nsec = WAIT_MS * 1000000 };
        struct sembuf operation = { .sem_op = -1 };

        r = outcome(semtimedop(set, &operation, 1, &time));
        semctl(set, 0, IPC_RMID);
        return r;
}

static int wait_suspend(void)
{
        sigset_t none;

        sigemptyset(&none);
        return outcome(sigsuspend(&none));
}

static const struct wait waits[] = {
        { "read", wait_read, 1, .restarts = true },
        { "nanosleep", wait_nanosleep, 0, .timed = true },
        { "clock_nanosleep", wait_until, 0, .timed = true },
        { "poll", wait_poll, 0, .timed = true },
        { "ppoll", wait_ppoll, 0, .timed = true },
        { "select", wait_select, 0, .timed = true },
        { "epoll_wait", wait_epoll, 0, .timed = true },
        { "futex", wait_futex, -ETIMEDOUT, .timed = true },
        { "sigtimedwait", wait_signal, -EAGAIN, .timed = true },
        { "recv", wait_receive, -EAGAIN, .timed = true },
        { "semtimedop", wait_semaphore, -EAGAIN, .timed = true },
        { "sigsuspend", wait_suspend, -EINTR, .until_signal = true },
};

static const struct wait *waiting;
static int handler_flags; /* of sigaction(2); -1: no handler */

static void handle(int signal)
{
        (void)signal;
        shared->handled++;
}

static void wait_once(void)
{
        unsigned handled = shared->handled;
        uint64_t start_ns = clock_now_ns(), took_ns;
        int r = waiting->wait();
        bool was_handled = shared->handled != handled;

        took_ns = clock_now_ns() - start_ns;
        shared->waits++;
        if (waiting->until_signal ? was_handled && r == -EINTR : r == waiting->expected) {
                if (!waiting->timed || took_ns >= (WAIT_MS - 1) * UINT64_C(1000000))
                        return;
                snprintf(shared->wrong, sizeof(shared->wrong), "%s ended after %lu us",
                         waiting->name, took_ns / 1000);
                return;
        }
        if (r == -EINTR && was_handled && !(waiting->restarts && (handler_flags & SA_RESTART)))
                return;
        snprintf(shared->wrong, sizeof(shared->wrong), "%s gave %d, and the handler ran %u times",
                 waiting->name, r, shared->handled - handled);
}

static void wait_until_released(void)
{
        struct sigaction action = { .sa_handler = handle, .sa_flags = handler_flags };
        sigset_t blocked;

        if (handler_flags >= 0)
                sigaction(SIGUSR1, &action, NULL);
        if (waiting->until_signal) { /* else it could come just before */
                sigemptyset(&blocked);
                sigaddset(&blocked, SIGUSR1);
                sigprocmask(SIG_BLOCK, &blocked, NULL);
        }
        shared->ready = true;
        while (!shared->release)
                if (shared->wrong[0])
                        usleep(100);
                else
                        wait_once();
}

static void disturb(const struct wait *wait, int flags)
{
        unsigned n = 0;
        struct child child;

        waiting = wait;
        handler_flags = flags;
        child = start(wait_until_released);
        for (size_t i = 0; i < 5 * ARRAY_SIZE(disturbances) && !shared->wrong[0]; i++) {
                bool with_signal = flags >= 0 && i % 3 != 0;

                if (with_signal && i % 2)
                        kill(child.pid, SIGUSR1);
                disturbances[i % ARRAY_SIZE(disturbances)](&child);
                if (with_signal && i % 2 == 0)
                        kill(child.pid, SIGUSR1);
                if (wait->restarts && i % 7 == 0)
                        n += write(wake[1], "x", 1) == 1;
                usleep(i % 4 * 1000);
        }
        shared->release = true;
        if (wait->until_signal)
                while (waitid(P_PID, (id_t)child.pid, &(siginfo_t){ 0 },
                              WEXITED | WNOHANG | WNOWAIT) == 0 &&
                       process_alive(child.pid, child.target->start_ticks))
                        kill(child.pid, SIGUSR1);
        if (wait->restarts)
                n += write(wake[1], "x", 1) == 1;
        end(&child);
        assert_true(shared->waits > 0);
        for (; wait->restarts && n > shared->waits; n--) /* bytes that were not waited for */
                wait_read();
}

static void waits_are_not_disturbed(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(waits); i++)
                if (!waits[i].until_signal)
                        disturb(&waits[i], -1);
}

static void signals_arrive_as_ever(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
                disturb(&waits[i], 0);
                disturb(&waits[i], SA_RESTART);
        }
}

/* --- Processes that end, and threads that can't be used ---------------------------------- */

static void wait_for_release(void)
{
        shared->ready = true;
        while (!shared->release)
                usleep(100);
}

static void a_process_that_has_ended_is_gone(void **state)
{
        struct child child = start(wait_for_release);
        const struct arch_call call = { SYS_getpid, { 0 } };
        int64_t result;
        size_t done;

        (void)state;
        call_watched(&child);
        kill(child.pid, SIGKILL);
        while (process_alive(child.pid, child.target->start_ticks))
                usleep(100);
        assert_int_equal(target_call(child.target, &call, 1, &result, &done, NULL), TARGET_GONE);
        assert_int_equal(target_stop(child.target, NULL), TARGET_GONE);
        assert_true(target_is_over(child.target));
        target_free(child.target);
        assert_int_equal(waitpid(child.pid, NULL, 0), child.pid);
}

static void parent_of_another(void)
{
        pid_t child = fork();
        int status = 0;

        if (child == 0)
                wait_for_release();
        shared->waits = (unsigned)child;
        shared->handled = waitpid(child, &status, 0) == child && WIFSIGNALED(status);
        while (!shared->release)
                usleep(100);
}

/* Who is killed while it is stopped here ends for its parent, too, as long as we live. */
static void the_end_of_a_stopped_process_is_handed_on(void **state)
{
        struct child parent = start(parent_of_another);
        struct target *target = NULL;
        struct process process;

        (void)state;
        assert_int_equal(process_read((pid_t)shared->waits, &process, NULL), 0);
        assert_int_equal(target_open(process.pid, process.start_ticks, NULL, 0, NULL, &target,
                                     NULL),
                         0);
        assert_int_equal(target_stop(target, NULL), 0);
        kill(process.pid, SIGKILL);
        target_resume(target);
        while (shared->handled == 0) {
                target_rest(1);
                assert_int_equal(waitpid(parent.pid, NULL, WNOHANG), 0);
        }
        target_free(target);
        shared->release = true;
        end(&parent);
}

static void exec_when_released(void)
{
        wait_for_release();
        execl("/bin/sleep", "sleep", "30", NULL);
        _exit(1);
}

static void a_program_that_has_become_another_is_gone(void **state)
{
        struct child child = start(exec_when_released);
        const struct arch_call call = { SYS_getpid, { 0 } };
        char name[32] = "";
        int64_t result;
        size_t done;
        int fd, r;

        (void)state;
        call_watched(&child);
        shared->release = true;
        while (strncmp(name, "sleep", 5) != 0) {
                char path[64];

                snprintf(path, sizeof(path), "/proc/%d/comm", child.pid);
                fd = open(path, O_RDONLY);
                assert_true(read(fd, name, sizeof(name)) > 0);
                close(fd);
        }
        assert_true(target_is_over(child.target));
        r = target_call(child.target, &call, 1, &result, &done, NULL);
        assert_int_equal(r, TARGET_GONE);
        assert_int_equal(target_write(child.target, (uint64_t)&scribbled, "", 1, NULL),
                         TARGET_GONE);
        assert_true(process_alive(child.pid, child.target->start_ticks));
        target_free(child.target);
        kill(child.pid, SIGKILL);
        assert_int_equal(waitpid(child.pid, NULL, 0), child.pid);
}

/* A stopped job stays stopped, and still can be used. */
static void a_stopped_process_stays_stopped(void **state)
{
        struct child child = start(wait_for_release);
        struct process process;
        int status;

        (void)state;
        kill(child.pid, SIGSTOP);
        assert_int_equal(waitpid(child.pid, &status, WUNTRACED), child.pid);
        call_watched(&child);
        stop_and_resume(&child);
        for (unsigned i = 0; i < 5000; i++) { /* it gets there by itself */
                assert_int_equal(process_read(child.pid, &process, NULL), 0);
                if (process.state == 'T')
                        break;
                usleep(1000);
        }
        assert_int_equal(process.state, 'T');
        shared->release = true;
        kill(child.pid, SIGCONT);
        end(&child);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(registers_survive),
                cmocka_unit_test(waits_are_not_disturbed),
                cmocka_unit_test(signals_arrive_as_ever),
                cmocka_unit_test(a_process_that_has_ended_is_gone),
                cmocka_unit_test(the_end_of_a_stopped_process_is_handed_on),
                cmocka_unit_test(a_program_that_has_become_another_is_gone),
                cmocka_unit_test(a_stopped_process_stays_stopped),
        };

        return cmocka_run_group_tests_name("live-call", tests, make_shared, NULL);
}
