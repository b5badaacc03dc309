/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Modes that wait in the kernel, one for each way an interrupted system call goes on: restarted from the
 * start, restarted with the time that is left, or ended with EINTR although nothing happened. No
 * signal handler runs in most of them, so any EINTR is the patcher's fault.
 */
#include "victim.h"
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ull

/* Short waits, and now and then a long one, which several stops can fall into. */
static uint64_t next_wait_ns(const struct state_slot *slot)
{
        return (atomic_load(&slot->rounds) % 8 == 0 ? 120 : 7) * MS;
}

static struct timespec span(uint64_t ns)
{
        return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u) };
}

/* What a wait returned: it was to time out, and nothing else. */
static void judge(struct victim *victim, struct state_slot *slot, const struct state_wait *wait,
                  bool timed_out, int error, const char *what)
{
        if (!timed_out && error == EINTR)
                state_complain(victim->file, &slot->eintr, what);
        else if (!timed_out)
                state_complain(victim->file, &slot->wrong, what);
        else
                state_wait_end(victim->file, slot, wait, what);
}

static void make_pipe(int ret[static 2])
{
        if (pipe(ret) < 0)
                victim_fail("pipe");
}

/* Each kind of wait is one function; run_waits() repeats it between two pieces of work. */
typedef void (*wait_once)(struct victim *victim, struct state_slot *slot, uint64_t ns);

__attribute__((noreturn)) static void run_waits(struct victim *victim, wait_once wait)
{
        struct state_slot *slot = state_take_slot(victim->file);

        victim_ready(victim);
        for (;;) {
                victim_round(victim, slot);
                wait(victim, slot, next_wait_ns(slot));
        }
}

static void wait_nanosleep(struct victim *victim, struct state_slot *slot, uint64_t ns)
{
        struct timespec time = span(ns);
        struct state_wait wait = state_wait_begin(ns);
        int r = nanosleep(&time, NULL);

        judge(victim, slot, &wait, r == 0, errno, "nanosleep");
}

static void wait_clock_nanosleep(struct victim *victim, struct state_slot *slot, uint64_t ns)
{
        struct state_wait wait = state_wait_begin(ns);
        struct timespec until = span(wait.began_ns + ns);
        int r = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);

        judge(victim, slot, &wait, r == 0, r, "clock_nanosleep");
}

static void wait_poll(struct victim *victim, struct state_slot *slot, uint64_t ns)
{
        static int silent[2] = { -1, -1 };
        struct state_wait wait;
        struct pollfd pollfd;
        int r;

        if (silent[0] < 0)
                make_pipe(silent);
        pollfd = (struct pollfd){ .fd = silent[0], .events = POLLIN };
        wait = state_wait_begin(ns);
        r = poll(&pollfd, 1, (int)(ns / MS));
        judge(victim, slot, &wait, r == 0, errno, "poll");
}

static void wait_ppoll(struct victim *victim, struct state_slot *slot, uint64_t ns)
{
        struct timespec time = span(ns);
        struct state_wait wait;
        sigset_t none;
        int r;

        sigemptyset(&none);
        wait = state_wait_begin(ns);
        r = ppoll(NULL, 0, &time, &none);
        judge(victim, slot, &wait, r == 0, errno, "ppoll");
}

static void wait_select(struct victim *victim, struct state_slot *slot, uint64_t ns)
{
        struct timeval time = { .tv_sec = 0, .tv_usec = (suseconds_t)(ns / 1000) };
        struct state_wait wait = state_wait_begin(ns);
        int r = select(0, NULL, NULL, NULL, &time);

        judge(victim, slot, &wait, r == 0, errno, "select");
}

static void wait_pselect(struct victim *victim, struct state_slot *slot, uint64_t ns)
{
        struct timespec time = span(ns);
        struct state_wait wait = state_wait_begin(ns);
        int r = pselect(0, NULL, NULL, NULL, &time, NULL);

        judge(victim, slot, &wait, r == 0, errno, "pselect");
}

static int silent_epoll(void)
{
        struct epoll_event event = { .events = EPOLLIN };
        int fds[2], epoll = epoll_create1(EPOLL_CLOEXEC);

        make_pipe(fds);
        if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &event) < 0)
                victim_fail("epoll");
        return epoll;
}

static void wait_epoll(struct victim *victim, struct state_slot *slot, uint64_t ns)
{
        static int epoll = -1;
        struct epoll_event event;
        struct state_wait wait;
        int r;

        if (epoll < 0)
                epoll = silent_epoll();
        wait = state_wait_begin(ns);
        r = epoll_wait(epoll, &event, 1, (int)(ns / MS));
        judge(victim, slot, &wait, r == 0, errno, "epoll_wait");
}

static void wait_epoll_pwait2(struct victim *victim, struct state_slot *slot, uint64_t ns)
{
        static int epoll = -1;
        struct timespec time = span(ns);
        struct epoll_event event;
        struct state_wait wait;
        int r;

        if (epoll < 0)
                epoll = silent_epoll();
        wait = state_wait_begin(ns);
        r = epoll_pwait2(epoll, &event, 1, &time, NULL);
        judge(victim, slot, &wait, r == 0, errno, "epoll_pwait2");
}

static void wait_condition(struct victim *victim, struct state_slot *slot, uint64_t ns)
{
        static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        static pthread_cond_t condition;
        static bool made;
        struct state_wait wait;
        struct timespec until;
        pthread_condattr_t attributes;
        int r;

        if (!made) {
                pthread_condattr_init(&attributes);
                pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
                pthread_cond_init(&condition, &attributes);
                made = true;
        }
        wait = state_wait_begin(ns);
        until = span(wait.began_ns + ns);
        pthread_mutex_lock(&lock);
        r = pthread_cond_timedwait(&condition, &lock, &until);
        pthread_mutex_unlock(&lock);
        judge(victim, slot, &wait, r == ETIMEDOUT, r, "pthread_cond_timedwait");
}

/* A relative time, as the kernel must carry it over a restart. */
static void wait_futex(struct victim *victim, struct state_slot *slot, uint64_t ns)
{
        static uint32_t word;
        struct timespec time = span(ns);
        struct state_wait wait = state_wait_begin(ns);
        long r = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &time, NULL, 0);

        judge(victim, slot, &wait, r < 0 && errno == ETIMEDOUT, errno, "futex");
}

static void wait_sigtimedwait(struct victim *victim, struct state_slot *slot, uint64_t ns)
{
        struct timespec time = span(ns);
        struct state_wait wait;
        sigset_t set;
        int r;

        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        sigprocmask(SIG_BLOCK, &set, NULL);
        wait = state_wait_begin(ns);
        r = sigtimedwait(&set, NULL, &time);
        judge(victim, slot, &wait, r < 0 && errno == EAGAIN, errno, "sigtimedwait");
}

/* With a time limit on the socket the kernel does not restart recv by itself. */
static void wait_recv(struct victim *victim, struct state_slot *slot, uint64_t ns)
{
        static int pair[2] = { -1, -1 };
        struct timeval time = { .tv_sec = 0, .tv_usec = (suseconds_t)(ns / 1000) };
        struct state_wait wait;
        ssize_t r;
        char byte;

        if (pair[0] < 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
                victim_fail("socketpair");
        if (setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) < 0)
                victim_fail("SO_RCVTIMEO");
        /* The kernel counts this time in ticks of its clock. */
        wait = state_wait_begin(ns > 5 * MS ? ns - 5 * MS : 0);
        r = recv(pair[0], &byte, 1, 0);
        judge(victim, slot, &wait, r < 0 && errno == EAGAIN, errno, "recv with SO_RCVTIMEO");
}

static void wait_semaphore(struct victim *victim, struct state_slot *slot, uint64_t ns)
{
        static int set = -1;
        struct sembuf take = { .sem_num = 0, .sem_op = -1 };
        struct timespec time = span(ns);
        struct state_wait wait;
        int r;

        if (set < 0) {
                set = semget(IPC_PRIVATE, 1, 0600);
                if (set < 0)
                        victim_fail("semget");
                /* Sets outlive their maker; whoever ends this process removes this one. */
                atomic_store(&victim->file->state.figure[3], (uint64_t)set + 1);
        }
        wait = state_wait_begin(ns);
        r = semtimedop(set, &take, 1, &time);
        judge(victim, slot, &wait, r < 0 && errno == EAGAIN, errno, "semtimedop");
}

#define RUN(name)                                                                             \
        static void run_##name(struct victim *victim) { run_waits(victim, wait_##name); }
RUN(nanosleep)
RUN(clock_nanosleep)
RUN(poll)
RUN(ppoll)
RUN(select)
RUN(pselect)
RUN(epoll)
RUN(epoll_pwait2)
RUN(condition)
RUN(futex)
RUN(sigtimedwait)
RUN(recv)
RUN(semaphore)

static _Atomic uint32_t n_handled;

static void handler(int signal)
{
        (void)signal;
        atomic_fetch_add(&n_handled, 1);
}

static void catch(int signal)
{
        struct sigaction action = { .sa_handler = handler };

        if (sigaction(signal, &action, NULL) < 0)
                victim_fail("sigaction");
}

/* A child that writes a byte into `fd` every few milliseconds, and sends `signal` as often. */
static void start_writer(int fd, int signal)
{
        const struct timespec time = span(15 * MS);
        pid_t parent = getpid(), child = fork();

        if (child < 0)
                victim_fail("fork");
        if (child > 0)
                return;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (getppid() == parent) {
                nanosleep(&time, NULL);
                if (signal && kill(parent, signal) < 0)
                        break;
                nanosleep(&time, NULL);
                if (write(fd, "x", 1) != 1)
                        break;
        }
        _exit(0);
}

/*
 * Blocked in read() on a pipe, with handlers that do not ask for a restart. An EINTR is right when
 * a handler ran, and wrong otherwise.
 */
static void read_pipe(struct victim *victim, int signal)
{
        struct state_slot *slot = state_take_slot(victim->file);
        uint32_t n_eintr = 0;
        int fds[2];
        char byte;

        make_pipe(fds);
        catch(SIGUSR1);
        start_writer(fds[1], signal);
        victim_ready(victim);
        for (;;) {
                ssize_t r = read(fds[0], &byte, 1);

                if (r < 0 && errno == EINTR && ++n_eintr > atomic_load(&n_handled))
                        state_complain(victim->file, &slot->eintr, "read from a pipe");
                else if (r != 1 && errno != EINTR)
                        state_complain(victim->file, &slot->wrong, "read from a pipe");
                victim_round(victim, slot);
        }
}

static void run_read(struct victim *victim)
{
        read_pipe(victim, 0);
}

static void run_read_signals(struct victim *victim)
{
        read_pipe(victim, SIGUSR1);
}

/* sigsuspend ends with EINTR exactly when a handler ran. */
static void run_sigsuspend(struct victim *victim)
{
        struct itimerval timer = { .it_interval.tv_usec = 9000, .it_value.tv_usec = 9000 };
        struct state_slot *slot = state_take_slot(victim->file);
        sigset_t blocked, open;

        catch(SIGALRM);
        sigemptyset(&blocked);
        sigaddset(&blocked, SIGALRM);
        sigprocmask(SIG_BLOCK, &blocked, &open);
        sigdelset(&open, SIGALRM);
        if (setitimer(ITIMER_REAL, &timer, NULL) < 0)
                victim_fail("setitimer");
        victim_ready(victim);
        for (;;) {
                uint32_t before = atomic_load(&n_handled);

                if (sigsuspend(&open) != -1 || errno != EINTR)
                        state_complain(victim->file, &slot->wrong, "sigsuspend");
                if (atomic_load(&n_handled) == before)
                        state_complain(victim->file, &slot->eintr, "sigsuspend without a signal");
                victim_round(victim, slot);
        }
}

/* Two threads that hand a turn to and fro; a lost wake-up would stop both. */
static struct {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        int turn;
} game = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };

__attribute__((noreturn)) static void play(struct victim *victim, struct state_slot *slot, int side)
{
        for (;;) {
                pthread_mutex_lock(&game.lock);
                while (game.turn != side)
                        pthread_cond_wait(&game.changed, &game.lock);
                game.turn = !side;
                pthread_cond_signal(&game.changed);
                pthread_mutex_unlock(&game.lock);
                victim_round(victim, slot);
        }
}

static void play_second(struct victim *victim, struct state_slot *slot)
{
        play(victim, slot, 1);
}

static void run_ping_pong(struct victim *victim)
{
        victim_thread(victim, play_second);
        victim_ready(victim);
        play(victim, state_take_slot(victim->file), 0);
}

/* Waits for children that end after a while. */
static void run_wait(struct victim *victim)
{
        struct state_slot *slot = state_take_slot(victim->file);

        victim_ready(victim);
        for (;;) {
                uint64_t ns = next_wait_ns(slot);
                struct timespec time = span(ns);
                pid_t child = fork();
                int status;

                if (child == 0) {
                        nanosleep(&time, NULL);
                        _exit(0);
                }
                if (waitpid(child, &status, 0) != child)
                        state_complain(victim->file, errno == EINTR ? &slot->eintr : &slot->wrong, "waitpid");
                else if (status != 0)
                        state_complain(victim->file, &slot->wrong, "a child ended badly");
                victim_round(victim, slot);
        }
}

const struct mode modes_wait[] = {
        { "nanosleep", 1, run_nanosleep },
        { "clock-nanosleep", 1, run_clock_nanosleep },
        { "poll", 1, run_poll },
        { "ppoll", 1, run_ppoll },
        { "select", 1, run_select },
        { "pselect", 1, run_pselect },
        { "epoll", 1, run_epoll },
        { "epoll-pwait2", 1, run_epoll_pwait2 },
        { "condition", 1, run_condition },
        { "futex", 1, run_futex },
        { "sigtimedwait", 1, run_sigtimedwait },
        { "recv", 1, run_recv },
        { "semaphore", 1, run_semaphore },
        { "read", 1, run_read },
        { "read-signals", 1, run_read_signals },
        { "sigsuspend", 1, run_sigsuspend },
        { "ping-pong", 1, run_ping_pong },
        { "wait", 1, run_wait },
        { 0 },
};
