/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How often does epoll_wait answer EINTR to a ptrace stop? A child waits again and again; it is
 * stopped 1,000 times. With an argument, -EINTR is replaced by -ERESTARTNOHAND at every stop.
 *      gcc -O2 epoll-stops.c -o epoll-stops && ./epoll-stops && ./epoll-stops quiet
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
        volatile long *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        pid_t pid = fork();

        (void)argv;
        if (pid == 0) {
                int epoll = epoll_create1(0);
                struct epoll_event event;

                for (;;)
                        if (epoll_wait(epoll, &event, 1, 30) < 0 && errno == EINTR)
                                count[0]++;
        }
        usleep(10000);
        for (int i = 0; i < 1000; i++) {
                struct user_regs_struct regs;
                struct iovec io = { &regs, sizeof(regs) };
                int status;

                ptrace(PTRACE_SEIZE, pid, 0, 0);
                ptrace(PTRACE_INTERRUPT, pid, 0, 0);
                waitpid(pid, &status, __WALL);
                ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &io);
                if (argc > 1 && (long)regs.rax == -EINTR && (long)regs.orig_rax >= 0) {
                        regs.rax = (unsigned long)-514; /* ERESTARTNOHAND */
                        ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &io);
                }
                ptrace(PTRACE_DETACH, pid, 0, 0);
                usleep(500);
        }
        printf("%ld EINTR in 1000 stops\n", count[0]);
        kill(pid, SIGKILL);
        return 0;
}
